//! Sends a stretch of the log again, from Auth0 or from an archive.

mod pieces;

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::BoxFuture;
use tracing::warn;

use self::pieces::Pieces;
use super::oldest::Oldest;
use super::{App, Layers, Pipeline, Route};
use crate::auth0::LogReader;
use crate::clock::hour;
use crate::destination::{Archived, Delivery, Destination, Filter, Limits, Probe};
use crate::error::BoxError;
use crate::net::retry::Deadline;
use crate::record::{LogId, Page, Record, Source, SourceError, Start};
use crate::report::{Gap, Report};
use crate::run::{DeadLetter, DeadLetters, Kept, Mark, Run, Stretch, StretchLedger, Tally, Until};

/// A replay ends only with its stretch. This limit keeps the arithmetic from overflowing.
pub(super) const NO_END: Duration = Duration::from_hours(24 * 365);
/// How long after the hour of its date a record may be stored.
const HOURS_AFTER: TimeDelta = TimeDelta::hours(1);
/// No record is stored later than this after now. Each further hour would cost a request, and a year
/// with a typing error has millions of them.
const LATEST: TimeDelta = TimeDelta::days(1);
/// No record was stored before 2013: the days until then since 1970.
const EARLIEST: TimeDelta = TimeDelta::days(15_706);

/// Whether Auth0 has dropped the beginning of the stretch is not known.
#[derive(Debug, thiserror::Error)]
#[error("whether Auth0 has dropped the beginning of the stretch is not known")]
struct OldestUnknown(#[source] SourceError);

/// What to send again, and how.
pub(crate) struct Replay<'a> {
    pub stretch: Stretch,
    /// Replaces the destination's own filter.
    pub filter: Option<Filter>,
    /// Where records are read from, if not from Auth0.
    pub source: Option<&'a dyn Destination>,
    /// Whether nothing is sent.
    pub is_dry: bool,
}

/// There is more than one destination, or none that works.
#[derive(Debug, thiserror::Error)]
#[error("a replay is for one destination, whose settings are good")]
pub(crate) struct NotOne;

impl Layers {
    /// The same layers, for commands that read nothing from Auth0.
    pub fn without_auth0(&self) -> Self {
        Self {
            is_auth0_read: false,
            ..self.clone()
        }
    }
}

impl App {
    /// Sends a stretch again to the only destination.
    pub async fn replay(&self, replay: &Replay<'_>) -> Result<Report, NotOne> {
        let [pipeline] = &self.pipelines[..] else {
            return Err(NotOne);
        };
        let route = pipeline.route.as_ref().map_err(|_| NotOne)?;
        // Shared by all pieces, because records tried beyond a refused batch may belong to a later piece.
        let mut ledger = StretchLedger::new(&replay.stretch, (self.clock)());
        let archived = replay.source.and_then(|it| it.archived());
        if let Some(archived) = archived {
            let hours = Hours::new(archived, &replay.stretch, (self.clock)());
            let source = Pieces::of(&hours);
            let mut tally = Tally::default();
            let mut next = async || {
                let whole = Some(&mut tally);
                self.replay_from(&source, replay, pipeline, route, &mut ledger, whole)
                    .await
            };
            let mut report = next().await;
            while report.caught_up && source.goes_on() {
                report.go_on_with(next().await);
            }
            tally.judge(&mut report);
            let has_none = report.caught_up && report.fetched == report.before_start;
            report.gap = whole(&replay.stretch).filter(|_| has_none);
            return Ok(report);
        }
        let _reading = route.source.begin_until(replay.stretch.read_until());
        let asked_before = route.source.requests();
        let gap = dropped(&pipeline.label, &route.source, &replay.stretch);
        let gap = self.unless_asked_to_end(Box::pin(gap)).await;
        let source = Until::of(&route.source, &replay.stretch);
        let mut report = self
            .replay_from(&source, replay, pipeline, route, &mut ledger, None)
            .await;
        let gap = match gap.transpose() {
            Ok(gap) => gap.flatten(),
            Err(error) => {
                if report.is_success() {
                    report.fail(&OldestUnknown(error));
                }
                None
            }
        };
        let rate_limit = self.tenant.rate_limit();
        Ok(Report {
            gap,
            rate_limit,
            requests: route.source.requests() - asked_before,
            ..report
        })
    }

    async fn replay_from(
        &self,
        source: &impl Source,
        replay: &Replay<'_>,
        pipeline: &Pipeline,
        route: &Route,
        ledger: &mut StretchLedger<'_>,
        whole: Option<&mut Tally>,
    ) -> Report {
        let destination: &dyn Destination = &*route.destination;
        let dry = Dry(destination);
        let letters = Letters {
            kept: &route.stores.dead_letters,
            is_dry: replay.is_dry,
        };
        let share = self.in_flight.enter();
        let run = Run {
            destination: if replay.is_dry { &dry } else { destination },
            filter: replay.filter.as_ref().unwrap_or(&route.filter),
            ..self.run(route, source, &letters, &share, NO_END)
        };
        let report = run.make_piece(ledger, &pipeline.progress, whole);
        let report = Box::pin(report).await;
        self.signed(report, pipeline)
    }
}

/// The part at the beginning of a stretch that Auth0 has dropped, as far as is known: there may
/// have been no records.
async fn dropped(
    name: &str,
    source: &LogReader,
    stretch: &Stretch,
) -> Result<Option<Gap>, SourceError> {
    let from = stretch.from.as_ref().and_then(Mark::time);
    // As much time as the replay has: a lockout that it waits for must not fail it here.
    let oldest = Oldest::ask(source, from, Deadline::after(NO_END)).await;
    Ok(match oldest {
        Ok(Oldest::At(date)) => before(date, stretch),
        Ok(Oldest::None) => whole(stretch),
        Ok(Oldest::Later) if from.is_some() => {
            warn!(
                "{name}: Auth0 has no record as old as the beginning, and the oldest one does not tell \
                 how far that goes: some of the stretch may have been dropped"
            );
            None
        }
        Ok(Oldest::Later | Oldest::NotLater) => None,
        // Nothing is missing of a stretch that begins with the oldest record.
        Err(_) if from.is_none() => None,
        Err(error) => return Err(error),
    })
}

/// The part of a stretch before Auth0's oldest record.
fn before(oldest: DateTime<Utc>, stretch: &Stretch) -> Option<Gap> {
    let from = stretch.from.as_ref().and_then(Mark::time);
    let to = stretch.to.time().map_or(oldest, |to| oldest.min(to));
    (from? < to).then_some(Gap { from, to })
}

/// The gap if there are no records in the whole stretch; `None` if its end has no time.
fn whole(stretch: &Stretch) -> Option<Gap> {
    Some(Gap {
        from: stretch.from.as_ref().and_then(Mark::time),
        to: stretch.to.time()?,
    })
}

/// Reads archived records hour by hour, and then the undated ones, whose dates tell whether they
/// belong to the stretch.
struct Hours<'a> {
    archived: &'a dyn Archived,
    first: DateTime<Utc>,
    last: DateTime<Utc>,
    place: Mutex<Place>,
}

/// How far the archive has been read.
#[derive(Default)]
struct Place {
    /// The hour to read next.
    hour: DateTime<Utc>,
    /// Objects of the previous hour that are not read yet.
    groups: VecDeque<Vec<String>>,
    /// Whether those are the undated ones, which come last.
    is_undated: bool,
}

impl<'a> Hours<'a> {
    fn new(archived: &'a dyn Archived, stretch: &Stretch, now: DateTime<Utc>) -> Self {
        let from = stretch.from.as_ref().and_then(Mark::time);
        let to = stretch.to.time().unwrap_or_default();
        Self {
            archived,
            first: hour(from.unwrap_or(to)).max(DateTime::UNIX_EPOCH + EARLIEST),
            last: hour((to + HOURS_AFTER).min(now + LATEST)),
            place: Mutex::default(),
        }
    }

    /// The next group of objects: of this hour, the next hour that has any, or the undated ones;
    /// `None` at the end.
    async fn next(&self, deadline: Deadline) -> Result<Option<Vec<String>>, SourceError> {
        loop {
            let hour = {
                let mut place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(group) = place.groups.pop_front() {
                    return Ok(Some(group));
                }
                if place.is_undated {
                    return Ok(None);
                }
                let hour = place.hour;
                place.hour = hour + TimeDelta::hours(1);
                place.is_undated = hour > self.last;
                (!place.is_undated).then_some(hour)
            };
            let groups = match hour {
                Some(hour) => self.archived.groups(hour, deadline).await,
                None => self.archived.undated(deadline).await,
            };
            let groups = groups.map_err(SourceError::Failed)?;
            let mut place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
            place.groups = groups.into();
        }
    }

    async fn page(&self, deadline: Deadline) -> Result<Page, SourceError> {
        while let Some(group) = self.next(deadline).await? {
            let records = self.archived.read(&group, deadline).await;
            let records = records.map_err(SourceError::Failed)?;
            if !records.is_empty() {
                return Ok(Page {
                    records,
                    misfits: Vec::new(),
                    is_last: false,
                });
            }
        }
        Ok(Page::last(Vec::new()))
    }
}

impl Source for Hours<'_> {
    async fn first(&self, _: Start, deadline: Deadline) -> Result<Page, SourceError> {
        *self.place.lock().unwrap_or_else(PoisonError::into_inner) = Place {
            hour: self.first,
            ..Place::default()
        };
        self.page(deadline).await
    }

    /// The next page, whatever its ids: a tenant may have moved to a smaller prefix.
    async fn after(&self, _: &LogId, deadline: Deadline) -> Result<Page, SourceError> {
        self.page(deadline).await
    }

    /// The page after a record, looked up by its id from its hour on.
    async fn look(&self, id: &LogId, deadline: Deadline) -> Result<Page, SourceError> {
        let stored = id.stored_at().filter(|_| !id.is_synthetic());
        let Some(stored) = stored else {
            let why = "an archive cannot be read after an id that is not that of a record";
            return Err(SourceError::Rejected(why.into()));
        };
        let mut hour = hour(stored);
        while hour <= self.last {
            let groups = self.archived.groups(hour, deadline).await;
            for group in groups.map_err(SourceError::Failed)? {
                let records = self.archived.read(&group, deadline).await;
                let mut records = records.map_err(SourceError::Failed)?;
                records.retain(|it| it.log_id > *id);
                if !records.is_empty() {
                    return Ok(Page {
                        is_last: false,
                        ..Page::last(records)
                    });
                }
            }
            hour += TimeDelta::hours(1);
        }
        Ok(Page::last(Vec::new()))
    }

    async fn has_dropped(&self, _: &LogId, _: Deadline) -> Result<bool, SourceError> {
        Ok(false)
    }

    async fn oldest(&self, _: Deadline) -> Result<Option<DateTime<Utc>>, SourceError> {
        Ok(None)
    }

    fn requests(&self) -> u64 {
        0
    }
}

/// A destination for a dry run: does everything but send.
struct Dry<'a>(&'a dyn Destination);

impl Destination for Dry<'_> {
    fn limits(&self) -> Limits {
        self.0.limits()
    }

    fn closes_between(&self, last: &LogId, next: &LogId) -> bool {
        self.0.closes_between(last, next)
    }

    fn encode(&self, record: &Record) -> Result<Bytes, BoxError> {
        self.0.encode(record)
    }

    fn shortened(&self, record: &Record, why: &str) -> Option<Bytes> {
        self.0.shortened(record, why)
    }

    fn deliver<'a>(&'a self, rows: &'a [Bytes], _: Deadline) -> BoxFuture<'a, Delivery> {
        let bytes = rows.iter().map(Bytes::len).sum();
        Box::pin(std::future::ready(Delivery::accepted(rows.len(), bytes)))
    }

    fn probe(&self, deadline: Deadline) -> BoxFuture<'_, Probe> {
        self.0.probe(deadline)
    }
}

/// Dead letters, which are not stored in a dry run.
struct Letters<'a, A> {
    kept: &'a A,
    is_dry: bool,
}

impl<A: DeadLetters> DeadLetters for Letters<'_, A> {
    async fn set_aside(
        &self,
        letter: DeadLetter<'_>,
        now: DateTime<Utc>,
        deadline: Deadline,
    ) -> Result<Kept, BoxError> {
        if self.is_dry {
            return Ok(Kept {
                place: "no place, since this is a dry run".into(),
                is_new: true,
            });
        }
        self.kept.set_aside(letter, now, deadline).await
    }
}

#[cfg(test)]
mod tests;
