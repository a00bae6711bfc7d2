//! Records from after a batch of which none is taken: is the fault in these records, or does the
//! destination refuse whatever it is sent?
//!
//! The records right after the batch may be as bad as those in it, and thousands may come before a
//! good one. So one is tried of each of some pages: the next one, and others that lie half as far from
//! the present each as the one before.

use std::collections::BTreeSet;

use bytes::Bytes;
use chrono::{DateTime, Utc};

use super::deliver::Delivering;
use super::refused::SAMPLE;
use super::{DeadLetters, Handled, Ledger, RunError, Stop};
use crate::destination::{Delivery, DeliveryError, Outcome};
use crate::error::BoxError;
use crate::record::{LogId, Page, Record, Source, SourceError};

/// Pages of which a record is tried.
const PAGES: u32 = 10;
/// Records at which the service may fail inside, until it is taken to fail at all.
const STUMBLES: usize = 2;

/// What came of trying records from after the batch.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Beyond {
    /// One was taken.
    Taken,
    /// None was taken; or it could not be read what there is.
    NotTaken,
    /// None was taken, and there are no more than these.
    Few(usize),
}

/// What was tried from after the batch.
#[derive(Default)]
struct Tried {
    ids: BTreeSet<LogId>,
    /// At so many of them the service failed inside.
    stumbles: usize,
}

/// What became of a record that was tried alone.
enum Alone {
    Taken,
    Refused,
    /// The service failed inside, or did not answer.
    Stumbled(BoxError),
}

/// Where to look for records after a batch.
struct Places {
    /// The last record of the batch.
    batch: LogId,
    /// The end of the page that was read last.
    page: Option<LogId>,
    now: DateTime<Utc>,
    /// Whether the source reads on after an id that was made of a time.
    takes_times: bool,
}

impl Places {
    /// The place of this number: by time, or where that is not to be had, the next page.
    fn number(&self, number: u32) -> Option<LogId> {
        if number == 0 {
            return Some(self.batch.clone());
        }
        let by_time = || {
            let (prefix, stored) = (self.batch.prefix()?, self.batch.stored_at()?);
            let left = (self.now - stored).checked_div(1 << number)?;
            Some(LogId::synthetic(prefix, self.now - left))
        };
        // What a page has shown already may be of a series above, where times begin anew.
        let is_shown = |it: &LogId| self.page.as_ref().is_some_and(|page| it <= page);
        let place = by_time().filter(|it| self.takes_times && *it > self.batch && !is_shown(it));
        place.or_else(|| self.page.clone())
    }
}

impl<S: Source, A: DeadLetters, L: Ledger> Delivering<'_, S, A, L> {
    /// Tries records from after the batch, until one is taken.
    pub(super) async fn try_beyond(&mut self) -> Result<Beyond, Stop> {
        let ids = self.batch.records.iter().map(|it| &it.log_id);
        let Some(batch) = ids.max().cloned() else {
            return Ok(Beyond::Few(0));
        };
        // First where one was taken the last time.
        let mut tried = Tried::default();
        if let Some(place) = self.taken_at.take().filter(|it| *it > batch)
            && let Ok(page) = self.page_after(&place).await
            && self.try_one_of(page, &batch, &mut tried).await? == Beyond::Taken
        {
            return Ok(Beyond::Taken);
        }
        let mut places = Places {
            batch,
            page: None,
            now: self.course.began,
            takes_times: true,
        };
        // So many are open of what was read, and whether that is all there is up to there.
        let (mut open, mut is_whole) = (0, true);
        for number in 0..PAGES {
            let is_time_up = self.course.reading.is_over() || *self.course.run.stopping.borrow();
            let is_few = is_whole && (1..=SAMPLE).contains(&open);
            let place = if is_few {
                places.page.clone()
            } else {
                places.number(number)
            };
            let Some(place) = place.filter(|_| !is_time_up) else {
                return Ok(Beyond::NotTaken);
            };
            let page = match self.page_after(&place).await {
                Ok(page) => page,
                Err(SourceError::Rejected(_)) if number > 0 && places.takes_times => {
                    places.takes_times = false;
                    continue;
                }
                Err(_) => return Ok(Beyond::NotTaken),
            };
            is_whole &= number == 0 || places.page.as_ref() == Some(&place);
            let last = page.records.iter().map(|it| &it.log_id).max().cloned();
            // Nothing is newer.
            let is_end = page.is_last || last.is_none() && page.misfits.is_empty();
            places.page = last.or(places.page);
            match self.try_one_of(page, &places.batch, &mut tried).await? {
                Beyond::Few(more) => open += more,
                Beyond::NotTaken => is_whole = false,
                Beyond::Taken => return Ok(Beyond::Taken),
            }
            if is_end {
                break;
            }
            is_whole &= number + 1 < PAGES;
        }
        Ok(if is_whole || open == 0 && tried.stumbles == 0 {
            Beyond::Few(open)
        } else {
            Beyond::NotTaken
        })
    }

    async fn page_after(&mut self, id: &LogId) -> Result<Page, SourceError> {
        self.course.run.source.look(id, self.course.reading).await
    }

    /// Tries one of a page that was not tried yet: not the same in each run. Where it is refused,
    /// answers with how many of the page may be.
    async fn try_one_of(
        &mut self,
        page: Page,
        batch: &LogId,
        tried: &mut Tried,
    ) -> Result<Beyond, Stop> {
        let _held = self.course.run.share.hold(page.bytes());
        let is_open = |record: &Record| {
            let met = self.met.of(record.log_id.series());
            record.log_id > *batch
                && met.is_none_or(|met| record.log_id > *met)
                && !tried.ids.contains(&record.log_id)
                && !self.ledger.has_handled(&record.log_id)
                && !self.ledger.leaves_out(record)
                && !self.course.run.filter.leaves_out(record)
        };
        let mut open: Vec<Record> = page.records.into_iter().filter(is_open).collect();
        while !open.is_empty() {
            let count = open.len();
            let record = open.swap_remove(self.shift() % count);
            tried.ids.insert(record.log_id.clone());
            // One that has no form proves nothing.
            if let Ok(row) = self.course.run.destination.encode(&record) {
                return Ok(match self.try_alone(&record, row).await? {
                    Alone::Taken => Beyond::Taken,
                    Alone::Refused => Beyond::Few(count),
                    Alone::Stumbled(_) if tried.stumbles + 1 < STUMBLES => {
                        tried.stumbles += 1;
                        Beyond::NotTaken
                    }
                    Alone::Stumbled(error) => return Err(RunError::Destination(error).into()),
                });
            }
        }
        Ok(Beyond::Few(0))
    }

    /// Delivers a record before its turn. Where it is taken, it is handled, and is passed when its turn
    /// comes.
    async fn try_alone(&mut self, record: &Record, row: Bytes) -> Result<Alone, Stop> {
        let course = self.course;
        if course.deadline.is_over() {
            return Err(Stop::OutOfTime);
        }
        let destination = course.run.destination;
        let delivery = destination.deliver(&[row], course.deadline).await;
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
            (_, Some(DeliveryError::Internal(error))) => return Ok(Alone::Stumbled(error)),
            _ => return Ok(Alone::Refused),
        }
        self.ledger.note(record, Handled::Accepted);
        self.taken_at = Some(record.log_id.clone());
        // The reading half may come to it, or not in this run.
        course.report(|report| report.fetched += 1);
        self.report_taken(1, bytes, quarantine);
        self.save().await?;
        Ok(Alone::Taken)
    }
}
