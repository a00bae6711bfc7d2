//! Tries records from after a batch of which no record is accepted: is the fault in these records, or
//! does the destination refuse everything?
//!
//! The records right after the batch may be as bad as those in it, and thousands may come before a good
//! one. So one record is tried from each of several pages: the next page, and pages that each lie half
//! as far from the present as the one before.

use std::collections::BTreeSet;

use bytes::Bytes;
use chrono::{DateTime, Utc};

use super::SAMPLE;
use crate::destination::{Delivery, DeliveryError, Outcome};
use crate::error::BoxError;
use crate::record::{LogId, Page, Record, Source, SourceError};
use crate::run::deliver::Delivering;
use crate::run::{DeadLetters, Handled, Ledger, RunError, Stop};

/// Places in the log at which one record each is tried, and pages that are read one after the other to
/// see whether few records are all that there are.
const PAGES: u32 = 10;
/// Internal failures of the service, over one record each, after which it is assumed to fail over
/// everything.
const FAILURES: usize = 2;

/// The result of trying records from after the batch.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Beyond {
    /// One was accepted.
    Accepted,
    /// None was accepted, or the log could not be read.
    NoneAccepted,
    /// None was accepted, and there are no more than this many.
    Few(usize),
}

/// Records tried from after the batch.
#[derive(Default)]
struct Tried {
    ids: BTreeSet<LogId>,
    /// How many of them the service failed over internally.
    failures: usize,
}

/// The result of trying a record alone.
enum Alone {
    Accepted,
    Refused,
    /// The service failed internally, or did not answer.
    FailedInternally(BoxError),
}

/// Where to look for records after a batch.
struct Places {
    /// The last record of the batch.
    batch: LogId,
    /// The end of the page read last.
    page: Option<LogId>,
    now: DateTime<Utc>,
    /// Whether the source reads on after a synthetic id.
    takes_synthetic_ids: bool,
}

impl Places {
    /// The place with this number: by time or, if that is not possible, the next page.
    fn number(&self, number: u32) -> Option<LogId> {
        if number == 0 {
            return Some(self.batch.clone());
        }
        let by_time = || {
            let (prefix, stored) = (self.batch.prefix()?, self.batch.stored_at()?);
            let left = (self.now - stored).checked_div(1 << number)?;
            Some(LogId::synthetic(prefix, self.now - left))
        };
        // A page may already reach into a higher series, where times start over.
        let is_shown = |it: &LogId| self.page.as_ref().is_some_and(|page| it <= page);
        let place =
            by_time().filter(|it| self.takes_synthetic_ids && *it > self.batch && !is_shown(it));
        place.or_else(|| self.page.clone())
    }
}

impl<S: Source, A: DeadLetters, L: Ledger> Delivering<'_, S, A, L> {
    /// Tries records from after the batch, until one is accepted.
    pub(super) async fn try_beyond(&mut self) -> Result<Beyond, Stop> {
        let ids = self.batch.records.iter().map(|it| &it.log_id);
        let Some(batch) = ids.max().cloned() else {
            return Ok(Beyond::Few(0));
        };
        // Begins where one was accepted the last time.
        let mut tried = Tried::default();
        if let Some(place) = self.accepted_ahead.take().filter(|it| *it > batch)
            && let Ok(page) = self.page_after(&place).await
            && self.try_one_of(page, &batch, &mut tried).await? == Beyond::Accepted
        {
            return Ok(Beyond::Accepted);
        }
        let mut places = Places {
            batch,
            page: None,
            now: self.active.began,
            takes_synthetic_ids: true,
        };
        // `open`: records read that may be tried. `is_whole`: these are all that there are up to this
        // place.
        let (mut open, mut is_whole) = (0, true);
        let (mut number, mut next_pages) = (0, 0);
        loop {
            let is_time_up = self.active.reading.is_over() || *self.active.run.stopping.borrow();
            // The next page may show that these few are all. They may also be followed by any number
            // of records that are left out, so this does not go on for ever.
            let is_few = is_whole && (1..=SAMPLE).contains(&open) && next_pages < PAGES;
            let is_first = number == 0;
            let place = if is_few {
                next_pages += 1;
                places.page.clone()
            } else {
                number += 1;
                places.number(number - 1)
            };
            let Some(place) = place.filter(|_| !is_time_up) else {
                return Ok(Beyond::NoneAccepted);
            };
            let page = match self.page_after(&place).await {
                Ok(page) => page,
                Err(SourceError::Rejected(_)) if !is_first && places.takes_synthetic_ids => {
                    places.takes_synthetic_ids = false;
                    continue;
                }
                Err(_) => return Ok(Beyond::NoneAccepted),
            };
            is_whole &= is_first || places.page.as_ref() == Some(&place);
            let last = page.records.iter().map(|it| &it.log_id).max().cloned();
            // There are no newer records.
            let is_end = page.is_last || last.is_none() && page.misfits.is_empty();
            places.page = last.or(places.page);
            match self.try_one_of(page, &places.batch, &mut tried).await? {
                Beyond::Few(more) => open += more,
                Beyond::NoneAccepted => is_whole = false,
                Beyond::Accepted => return Ok(Beyond::Accepted),
            }
            if is_end {
                break;
            }
            if number >= PAGES {
                is_whole = false;
                break;
            }
        }
        Ok(if is_whole || open == 0 && tried.failures == 0 {
            Beyond::Few(open)
        } else {
            Beyond::NoneAccepted
        })
    }

    async fn page_after(&mut self, id: &LogId) -> Result<Page, SourceError> {
        self.active.run.source.look(id, self.active.reading).await
    }

    /// Tries a record of a page that was not tried yet, a different one in each run. If it is refused,
    /// returns how many records of the page may be tried.
    async fn try_one_of(
        &mut self,
        page: Page,
        batch: &LogId,
        tried: &mut Tried,
    ) -> Result<Beyond, Stop> {
        let _held = self.active.run.share.hold(page.bytes());
        let is_open = |record: &Record| {
            let met = self.met.of(record.log_id.series());
            record.log_id > *batch
                && met.is_none_or(|met| record.log_id > *met)
                && !tried.ids.contains(&record.log_id)
                && !self.ledger.has_handled(&record.log_id)
                && !self.ledger.leaves_out(record)
                && !self.active.run.filter.leaves_out(record)
        };
        let mut open: Vec<Record> = page.records.into_iter().filter(is_open).collect();
        while !open.is_empty() {
            let count = open.len();
            let record = open.swap_remove(self.shift() % count);
            tried.ids.insert(record.log_id.clone());
            // A record that cannot be encoded proves nothing.
            if let Ok(row) = self.active.run.destination.encode(&record) {
                return Ok(match self.try_alone(&record, row).await? {
                    Alone::Accepted => Beyond::Accepted,
                    Alone::Refused => Beyond::Few(count),
                    Alone::FailedInternally(_) if tried.failures + 1 < FAILURES => {
                        tried.failures += 1;
                        Beyond::NoneAccepted
                    }
                    Alone::FailedInternally(error) => {
                        return Err(RunError::Destination(error).into());
                    }
                });
            }
        }
        Ok(Beyond::Few(0))
    }

    /// Delivers a record ahead of its batch. If it is accepted, it is handled, and is skipped when
    /// reading comes to it.
    async fn try_alone(&mut self, record: &Record, row: Bytes) -> Result<Alone, Stop> {
        let active = self.active;
        if active.deadline.is_over() {
            return Err(Stop::OutOfTime);
        }
        let destination = active.run.destination;
        let delivery = destination.deliver(&[row], active.deadline).await;
        let Delivery {
            outcomes,
            bytes,
            error,
            quarantine,
        } = delivery;
        match (outcomes.into_iter().next(), error) {
            (Some(Outcome::Accepted), _) => {}
            (_, Some(DeliveryError::Failed(error) | DeliveryError::Late(error))) => {
                return Err(RunError::Destination(error).into());
            }
            (_, Some(DeliveryError::Internal(error))) => return Ok(Alone::FailedInternally(error)),
            _ => return Ok(Alone::Refused),
        }
        self.ledger.note(record, Handled::Accepted);
        self.accepted_ahead = Some(record.log_id.clone());
        // Counted here, because the reading half may not come to it in this run.
        active.report(|report| report.fetched += 1);
        self.report_accepted(1, bytes, quarantine);
        self.save().await?;
        Ok(Alone::Accepted)
    }
}
