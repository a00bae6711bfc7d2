//! Sending a stretch of the log again, from Auth0 or from where it is archived.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Timelike as _, Utc};
use futures_util::future::BoxFuture;

use super::{App, Way};
use crate::destination::{Archived, Delivery, Destination, Filter, Limits, Probe};
use crate::error::BoxError;
use crate::net::retry::Deadline;
use crate::record::{LogId, Page, Record, Source, SourceError, Start};
use crate::report::{Gap, Report};
use crate::run::{
    DeadLetter, DeadLetters, InFlight, Kept, Mark, Run, Stretch, StretchLedger, Until,
};

/// A replay ends with its stretch, and not before; this is for the arithmetic.
const NO_END: Duration = Duration::from_hours(24 * 365);
/// How long a record may be stored in an hour after that of its date.
const HOURS_AFTER: TimeDelta = TimeDelta::hours(1);

/// What is sent again, and how.
pub(crate) struct Replay {
    pub stretch: Stretch,
    /// In place of the destination's own.
    pub filter: Option<Filter>,
    /// Where records are read, if not from Auth0.
    pub source: Option<Box<dyn Destination>>,
    /// Whether nothing is sent.
    pub is_dry: bool,
}

impl App {
    /// Sends a stretch again to the one destination that there is.
    pub async fn replay(&self, replay: &Replay) -> Report {
        let Some((name, way, progress)) = self.only() else {
            return Report::default();
        };
        let archived = replay.source.as_ref().and_then(|it| it.archived());
        match archived {
            Some(archived) => {
                let source = Hours::new(archived, &replay.stretch);
                self.replay_from(&source, name, way, replay, progress).await
            }
            None => {
                let source = &way.source;
                let _reading = source.begin();
                let gap = dropped(source, &replay.stretch).await;
                let mut report = self.replay_from(source, name, way, replay, progress).await;
                report.gap = gap;
                report
            }
        }
    }

    async fn replay_from<S: Source>(
        &self,
        source: &S,
        name: &str,
        way: &Way,
        replay: &Replay,
        progress: &tokio::sync::watch::Sender<Report>,
    ) -> Report {
        let destination: &dyn Destination = &*way.destination;
        let dry = Dry(destination);
        let stretch = &replay.stretch;
        let source = Until { source, stretch };
        let mut ledger = StretchLedger::new(stretch, (self.clock)());
        let letters = Letters {
            kept: &way.books.dead_letters,
            is_dry: replay.is_dry,
        };
        let run = Run {
            name,
            source: &source,
            destination: if replay.is_dry { &dry } else { destination },
            filter: replay.filter.as_ref().unwrap_or(&way.filter),
            dead_letters: &letters,
            share: &InFlight::default().enter(),
            clock: &self.clock,
            stopping: &self.stopping,
            budget: NO_END,
        };
        Box::pin(run.make(&mut ledger, progress)).await
    }
}

/// What of the beginning of a stretch Auth0 has no more, as far as that shows: there may have been
/// nothing.
async fn dropped(source: &impl Source, stretch: &Stretch) -> Option<Gap> {
    let from = stretch.from.as_ref()?.time()?;
    let deadline = Deadline::after(Duration::from_mins(1));
    let oldest = source.oldest(deadline).await.ok()??;
    let to = stretch.to.time().map_or(oldest, |to| oldest.min(to));
    (from < to).then_some(Gap {
        from: Some(from),
        to,
    })
}

/// Archived records, hour by hour.
struct Hours<'a> {
    archived: &'a dyn Archived,
    first: DateTime<Utc>,
    last: DateTime<Utc>,
    place: Mutex<Place>,
}

/// How far an archive is read.
#[derive(Default)]
struct Place {
    /// The hour that is read next.
    hour: DateTime<Utc>,
    /// Objects of the hour before that are not read yet.
    groups: VecDeque<Vec<String>>,
}

impl<'a> Hours<'a> {
    fn new(archived: &'a dyn Archived, stretch: &Stretch) -> Self {
        let hour = |time: DateTime<Utc>| {
            let whole = time.with_minute(0).and_then(|it| it.with_second(0));
            whole.and_then(|it| it.with_nanosecond(0)).unwrap_or(time)
        };
        let from = stretch.from.as_ref().and_then(Mark::time);
        let to = stretch.to.time().unwrap_or_default();
        Self {
            archived,
            first: hour(from.unwrap_or(to)),
            last: hour(to + HOURS_AFTER),
            place: Mutex::default(),
        }
    }

    /// The next objects, or those of the next hour that has any; `None` at the end.
    async fn next(&self, deadline: Deadline) -> Result<Option<Vec<String>>, SourceError> {
        loop {
            let hour = {
                let mut place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(group) = place.groups.pop_front() {
                    return Ok(Some(group));
                }
                if place.hour > self.last {
                    return Ok(None);
                }
                let hour = place.hour;
                place.hour = hour + TimeDelta::hours(1);
                hour
            };
            let groups = self.archived.groups(hour, deadline).await;
            let groups = groups.map_err(SourceError::Failed)?;
            let mut place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
            place.groups = groups.into();
        }
    }

    async fn page(&self, after: Option<&LogId>, deadline: Deadline) -> Result<Page, SourceError> {
        while let Some(group) = self.next(deadline).await? {
            let records = self.archived.read(&group, deadline).await;
            let mut records = records.map_err(SourceError::Failed)?;
            records.retain(|it| after.is_none_or(|after| it.log_id > *after));
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
            groups: VecDeque::new(),
        };
        self.page(None, deadline).await
    }

    async fn after(&self, id: &LogId, deadline: Deadline) -> Result<Page, SourceError> {
        self.page(Some(id), deadline).await
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

/// A destination that is spared: everything but the sending.
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

/// Dead letters, none of which is kept where nothing is sent either.
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
