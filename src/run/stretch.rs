//! A stretch of the log that is sent again, and the ledger for that. The ledger stores nothing: the
//! checkpoint stays where it is, and a stretch may be sent again any number of times.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::{Comparison, Handled, Ledger, Newest, Opening};
use crate::error::BoxError;
use crate::net::retry::Deadline;
use crate::record::{
    LogId, Page, Position, Reach, Record, STORING_DELAY, Source, SourceError, Start,
};

/// How long after the end of a stretch a record of it may still be stored, by the time in its id. The
/// longest delay seen in real records is a few seconds.
const STORED_BY: Duration = Duration::from_mins(10);

/// The smallest difference between the times in two log ids.
const MOMENT: TimeDelta = TimeDelta::microseconds(1);

/// A boundary of a stretch.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Mark {
    /// By the record's date.
    At(DateTime<Utc>),
    /// By its id.
    Id(LogId),
    /// By when the record was stored, whatever the prefix of its id.
    Stored(DateTime<Utc>),
}

impl Mark {
    /// The time of the boundary; `None` for an id that contains no time.
    pub fn time(&self) -> Option<DateTime<Utc>> {
        match self {
            Self::At(time) | Self::Stored(time) => Some(*time),
            Self::Id(id) => id.stored_at(),
        }
    }

    /// The time before which the records before the boundary were stored; `None` for an id that contains
    /// no time. Records of lower prefixes are before
    /// the id whenever they were stored.
    pub fn stored_before(&self) -> Option<DateTime<Utc>> {
        match self {
            Self::At(time) => Some(*time + STORED_BY),
            // Other records of that moment may have lower ids.
            Self::Id(id) => id.stored_at()?.checked_add_signed(MOMENT),
            Self::Stored(time) => Some(*time),
        }
    }

    /// Whether the boundary lies after a record. If the record lacks the time to compare, the other of
    /// its date and its stored time is used.
    fn is_after(&self, record: &Record) -> bool {
        match self {
            Self::At(time) => {
                let date = record.date.or_else(|| record.log_id.stored_at());
                date.is_some_and(|date| date < *time)
            }
            Self::Id(id) => record.log_id < *id,
            Self::Stored(time) => {
                let stored = record.log_id.stored_at().or(record.date);
                stored.is_some_and(|stored| stored < *time)
            }
        }
    }
}

/// A part of the log: from its beginning, inclusive, to its end, exclusive.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Stretch {
    /// `None` to begin with the oldest record that there is.
    pub from: Option<Mark>,
    pub to: Mark,
}

impl Stretch {
    /// The stretch in which these records were stored, as far as their ids contain a time.
    pub fn of(ids: &BTreeSet<LogId>) -> Option<Self> {
        let stored = || ids.iter().filter_map(LogId::stored_at);
        Some(Self {
            from: Some(Mark::Stored(stored().min()?)),
            to: Mark::Stored(stored().max()? + MOMENT),
        })
    }

    /// Whether a record is in the stretch.
    pub fn holds(&self, record: &Record) -> bool {
        let is_before = self.from.as_ref().is_some_and(|from| from.is_after(record));
        !is_before && self.to.is_after(record)
    }

    /// Whether a record without an id is in the stretch, judging by its date. A boundary that tells no time
    /// excludes none.
    pub fn is_dated(&self, date: DateTime<Utc>) -> bool {
        let from = self.from.as_ref().and_then(Mark::time);
        let to = self.to.time();
        from.is_none_or(|from| from <= date) && to.is_none_or(|to| date < to)
    }

    /// Where reading begins: no later than the first record of the stretch.
    fn position(&self) -> Position {
        Position::Start(match &self.from {
            None => Start::Oldest,
            Some(Mark::At(time)) => Start::At(*time),
            // The date of a record is not known from its id: it may be earlier than the time stored.
            Some(mark @ (Mark::Id(_) | Mark::Stored(_))) => mark
                .time()
                .map_or(Start::Oldest, |time| Start::At(time - STORED_BY)),
        })
    }

    /// No record of the stretch was stored before this, whatever its prefix; `None` if the stretch
    /// begins with an id, which excludes the prefixes below its own.
    fn begins_at(&self) -> Option<DateTime<Utc>> {
        match (&self.from, self.position()) {
            (Some(Mark::Id(_)), _) => None,
            (_, Position::Start(Start::At(time))) => Some(time - STORING_DELAY),
            _ => Some(DateTime::UNIX_EPOCH),
        }
    }

    /// The id after which the stretch continues, if this record and those after it are not in it;
    /// `None` if there is nothing to skip.
    fn way_past(&self, record: &Record) -> Option<LogId> {
        let prefix = record.log_id.prefix()?;
        if self.ends_before(record) {
            return Some(LogId::end_of(prefix));
        }
        let begin = self.begins_at()?;
        (record.log_id.stored_at()? < begin).then(|| LogId::synthetic(prefix, begin))
    }

    /// When every record of the stretch is stored, if its end contains a time.
    pub fn read_until(&self) -> Option<DateTime<Utc>> {
        self.to
            .time()?
            .checked_add_signed(TimeDelta::from_std(STORED_BY).ok()?)
    }

    /// Whether no record that is stored after this one is in the stretch.
    fn ends_before(&self, record: &Record) -> bool {
        match &self.to {
            Mark::At(time) => {
                let stored = record.log_id.stored_at();
                stored.is_some_and(|stored| stored > *time + STORED_BY)
            }
            Mark::Id(id) => record.log_id >= *id,
            Mark::Stored(time) => {
                let stored = record.log_id.stored_at();
                stored.is_some_and(|stored| stored >= *time)
            }
        }
    }
}

/// A source limited to a stretch: where the ids of one prefix are past its end, those of the next
/// prefix follow.
pub(crate) struct Until<'a, S> {
    source: &'a S,
    stretch: &'a Stretch,
    /// Whether the source was seen to read on after an id that is not a record's. If it was not, it may
    /// treat such an id as the end of its log.
    takes_synthetic_ids: AtomicBool,
}

impl<'a, S> Until<'a, S> {
    /// Limits this source to this stretch.
    pub fn of(source: &'a S, stretch: &'a Stretch) -> Self {
        Self {
            source,
            stretch,
            takes_synthetic_ids: AtomicBool::new(false),
        }
    }
}

/// How a page is read.
#[derive(Clone, Copy)]
enum Reading {
    /// As the next one.
    On,
    /// As a [look ahead](Source::look).
    Ahead,
}

impl<S: Source> Until<'_, S> {
    async fn read(
        &self,
        id: &LogId,
        how: Reading,
        deadline: Deadline,
    ) -> Result<Page, SourceError> {
        match how {
            Reading::On => self.source.after(id, deadline).await,
            Reading::Ahead => self.source.look(id, deadline).await,
        }
    }

    /// The first page of a stretch, from the lowest prefix on. The page that the source begins with may
    /// be full of records of higher prefixes.
    async fn begin(&self, start: Start, deadline: Deadline) -> Result<Page, SourceError> {
        let page = self.source.first(start, deadline).await?;
        let prefixes = page.records.iter().filter_map(|it| it.log_id.prefix());
        let begins_at = self.stretch.begins_at();
        let below_all = match (&self.stretch.from, begins_at) {
            // Prefixes below that of the first record are not in the stretch.
            (Some(Mark::Id(id)), _) => id
                .prefix()
                .zip(id.stored_at())
                .map(|(prefix, stored)| LogId::synthetic(prefix, stored)),
            (_, begin) => begin.map(|begin| LogId::synthetic("000", begin)),
        };
        let (Some(below_all), Some(met)) = (below_all, prefixes.min()) else {
            return Ok(page);
        };
        let head = match self.source.next(&below_all, deadline).await {
            Ok(head) => head.map(|it| it.log_id).filter(|it| *it > below_all),
            // If the source rejects such an id, there is no way to find a lower prefix.
            Err(SourceError::Rejected(_)) => None,
            Err(error) => return Err(error),
        };
        self.takes_synthetic_ids
            .store(head.is_some(), Ordering::Relaxed);
        let lowest = head.as_ref().and_then(LogId::prefix);
        match lowest.filter(|it| *it < met) {
            Some(prefix) => {
                let below = begins_at.map(|begin| LogId::synthetic(prefix, begin));
                let below = below.unwrap_or(below_all);
                self.source.after(&below, deadline).await
            }
            None => Ok(page),
        }
    }

    /// Extends a page that ends outside the stretch. If its last record is past the stretch, the
    /// beginning of the next prefix follows; if it is before the stretch, the beginning of the stretch
    /// follows.
    ///
    /// A page that ends past the stretch may be called the last because it ends near the present. That
    /// says nothing about the prefixes above it.
    async fn skip(
        &self,
        mut page: Page,
        how: Reading,
        deadline: Deadline,
    ) -> Result<Page, SourceError> {
        loop {
            let last = page.records.iter().max_by_key(|it| &it.log_id);
            let Some(last) = last.filter(|it| !page.is_last || self.stretch.ends_before(it)) else {
                break;
            };
            let Some(after) = self.stretch.way_past(last) else {
                break;
            };
            match self.read(&after, how, deadline).await {
                Ok(next) if !next.records.is_empty() => {
                    page.is_last = next.is_last;
                    page.records.extend(next.records);
                    page.misfits.extend(next.misfits);
                }
                // If the source may treat such an id as the end of the log, or rejects it, everything
                // is read, to the end of the log.
                Ok(next) => {
                    // Misfits alone need not be the end.
                    let is_end = next.misfits.is_empty() || next.is_last;
                    page.is_last |= is_end && self.takes_synthetic_ids.load(Ordering::Relaxed);
                    page.misfits.extend(next.misfits);
                    break;
                }
                Err(SourceError::Rejected(_)) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(page)
    }
}

impl<S: Source> Source for Until<'_, S> {
    async fn first(&self, start: Start, deadline: Deadline) -> Result<Page, SourceError> {
        let page = self.begin(start, deadline).await?;
        self.skip(page, Reading::On, deadline).await
    }

    async fn after(&self, id: &LogId, deadline: Deadline) -> Result<Page, SourceError> {
        let page = self.read(id, Reading::On, deadline).await?;
        self.skip(page, Reading::On, deadline).await
    }

    async fn look(&self, id: &LogId, deadline: Deadline) -> Result<Page, SourceError> {
        let page = self.read(id, Reading::Ahead, deadline).await?;
        self.skip(page, Reading::Ahead, deadline).await
    }

    async fn has_dropped(&self, id: &LogId, deadline: Deadline) -> Result<bool, SourceError> {
        self.source.has_dropped(id, deadline).await
    }

    async fn oldest(&self, deadline: Deadline) -> Result<Option<DateTime<Utc>>, SourceError> {
        self.source.oldest(deadline).await
    }

    fn requests(&self) -> u64 {
        self.source.requests()
    }
}

/// The ledger of a stretch. Records outside it are left out, and no record counts as handled before.
pub(crate) struct StretchLedger<'a> {
    stretch: &'a Stretch,
    /// The only records wanted; `None` for all of the stretch.
    only: Option<&'a BTreeSet<LogId>>,
    now: DateTime<Utc>,
    newest: Option<Newest>,
    /// Whether the destination accepted any record.
    is_taken: bool,
    /// Records that this run has handled and reading has not passed yet.
    handled: BTreeSet<LogId>,
}

impl<'a> StretchLedger<'a> {
    /// The ledger for a stretch that is sent again now.
    pub fn new(stretch: &'a Stretch, now: DateTime<Utc>) -> Self {
        Self {
            stretch,
            only: None,
            now,
            newest: None,
            is_taken: false,
            handled: BTreeSet::new(),
        }
    }

    /// Limits the ledger to these records of the stretch.
    pub fn only(self, ids: &'a BTreeSet<LogId>) -> Self {
        Self {
            only: Some(ids),
            ..self
        }
    }
}

impl Ledger for StretchLedger<'_> {
    async fn open(&mut self, _: Deadline) -> Result<Opening, BoxError> {
        Ok(Opening {
            position: self.stretch.position(),
            also_after: Vec::new(),
            cursors: Reach::default(),
            wanted_since: None,
            oldest_found: None,
            comparison: None,
            was_handled: Arc::new(|_| false),
            caught_up_at: None,
            overlap: Duration::ZERO,
            loss: None,
        })
    }

    fn leaves_out(&self, record: &Record) -> bool {
        match self.only {
            Some(ids) => !ids.contains(&record.log_id),
            None => !self.stretch.holds(record),
        }
    }

    fn has_handled(&self, id: &LogId) -> bool {
        self.handled.contains(id)
    }

    fn note(&mut self, record: &Record, handled: Handled) {
        self.is_taken |= handled == Handled::Accepted;
        if handled != Handled::LeftOut {
            self.handled.insert(record.log_id.clone());
        }
        let newest = self.newest.as_ref();
        if handled != Handled::LeftOut && newest.is_none_or(|it| it.log_id < record.log_id) {
            self.newest = Some(Newest {
                log_id: record.log_id.clone(),
                date: record.date,
            });
        }
    }

    fn begin_anew(&mut self, _: Start) {}

    fn begin_series(&mut self, _: &LogId) {}

    fn found_oldest(&mut self, _: DateTime<Utc>) {}

    fn compared(&mut self, _: Comparison) {}

    /// Now, unless the destination was seen to accept records. So records are not set aside for having
    /// waited: only a run that is repeated every minute can wait.
    fn refuses_all(&mut self) -> Option<DateTime<Utc>> {
        (!self.is_taken).then_some(self.now)
    }

    fn refused_since(&self) -> Option<DateTime<Utc>> {
        None
    }

    /// No later run goes on where this one ends.
    fn suspect(&mut self, _: &LogId) -> bool {
        false
    }

    fn is_suspect(&self, _: &LogId) -> bool {
        false
    }

    fn newest(&self) -> Option<&Newest> {
        self.newest.as_ref()
    }

    fn reach(&mut self, read: &Reach) {
        let is_ahead = |id: &LogId| read.of(id.series()).is_none_or(|end| end < id);
        self.handled.retain(is_ahead);
    }

    async fn save(&mut self, _: Deadline) -> Result<(), BoxError> {
        Ok(())
    }

    async fn close(&mut self, _: bool, _: Deadline) -> Result<(), BoxError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
