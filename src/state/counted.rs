//! How many records the runs have read of each hour, by the time in the log ids, and a digest of their
//! ids. This reveals later that a record was not there yet when the runs read its hour.
//!
//! A record counts when a checkpoint is saved that takes it as new. So it counts once, however often it
//! is read and by however many pollers. It counts whatever became of it, because all that matters is
//! that it was read.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::history::HistoryStore;
use crate::clock::{Clock, hour, is_reckonable};
use crate::record::{LogId, Position, Record, Start, is_future};
use crate::run::{Handled, Opening, Watch};

/// How far back hours are kept, counted from the newest.
const KEPT: TimeDelta = TimeDelta::days(14);

/// What was read of each hour.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Counted {
    /// Since when every record that was read is counted, by stored time; `None` before the first.
    since: Option<DateTime<Utc>>,
    /// When the newest counted record was stored.
    newest: Option<DateTime<Utc>>,
    /// By the hour's beginning.
    hours: BTreeMap<DateTime<Utc>, Count>,
}

/// The number of log ids, and the sum of their hashes, whatever their order.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub(crate) struct Count {
    records: u64,
    digest: u64,
}

impl Count {
    fn add(&mut self, other: Self) {
        self.records = self.records.saturating_add(other.records);
        self.digest = self.digest.wrapping_add(other.digest);
    }

    fn of(id: &LogId) -> Self {
        let digest = Sha256::digest(id.as_str());
        let first = digest.iter().take(8);
        Self {
            records: 1,
            digest: first.fold(0, |number, byte| number << 8 | u64::from(*byte)),
        }
    }

    /// How many of these ids, which are all that exist now, were not there when this was counted.
    /// `None` if it cannot be told: some of them are gone, or were counted twice.
    fn lacks<'a>(self, ids: impl Iterator<Item = &'a LogId>) -> Option<u64> {
        let mut now = Self::default();
        ids.for_each(|id| now.add(Self::of(id)));
        let more = now.records.checked_sub(self.records)?;
        (more > 0 || now.digest == self.digest).then_some(more)
    }
}

impl Counted {
    /// Counts a record that was read. An id without a time is not counted.
    fn count(&mut self, id: &LogId) {
        if let Some(stored) = id.stored_at() {
            self.newest = self.newest.max(Some(stored));
            let count = self.hours.entry(hour(stored)).or_default();
            count.add(Count::of(id));
        }
    }

    /// Whether its newest time is in range for arithmetic.
    pub(super) fn is_reckonable(&self) -> bool {
        self.newest.is_none_or(is_reckonable)
    }

    /// Adds later counts. The first ones added say since when everything is counted.
    pub(super) fn add(&mut self, other: &Self) {
        self.since = self.since.or(other.since);
        for (hour, count) in &other.hours {
            self.hours.entry(*hour).or_default().add(*count);
        }
        self.newest = self.newest.max(other.newest);
    }

    /// Adds later counts, and forgets hours that are too old, or from before everything was counted.
    pub(super) fn keep(&mut self, since: &Self) {
        self.add(since);
        self.forget();
    }

    fn forget(&mut self) {
        let oldest = self.newest.map(|it| hour(it) - KEPT);
        self.since = self.since.max(oldest.filter(|_| self.since.is_some()));
        if let Some(since) = self.since {
            self.hours = self.hours.split_off(&hour(since));
        }
    }

    /// How many of these ids were not there when the runs read their hour. `ids` are all that exist now
    /// in the hour that begins at `begin`. `None` if this is not known.
    pub fn missed<'a>(
        &self,
        begin: DateTime<Utc>,
        ids: impl Iterator<Item = &'a LogId>,
    ) -> Option<u64> {
        let since = self.since.filter(|it| *it < begin + TimeDelta::hours(1))?;
        let is_passed = |id: &&LogId| {
            let stored = id.stored_at();
            stored.is_some_and(|it| since <= it && Some(it) <= self.newest)
        };
        let count = self.hours.get(&begin).copied().unwrap_or_default();
        count.lacks(ids.filter(is_passed))
    }
}

/// What was counted since the history was last written.
#[derive(Debug, Default)]
pub(super) struct NewlyCounted(Mutex<Counted>);

impl NewlyCounted {
    /// Hands the counts to the caller that writes them.
    pub(super) fn take(&self) -> Counted {
        std::mem::take(&mut *self.lock())
    }

    fn add(&self, counted: &Counted) {
        self.lock().add(counted);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Counted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts the records that a run's ledger takes as new.
pub(crate) struct Counting<'a> {
    history: &'a HistoryStore,
    clock: &'a Clock,
    /// Records stored before this are not counted, because not all of them are read.
    floor: Option<DateTime<Utc>>,
    /// What was noted and is not saved.
    unsaved: Counted,
}

impl<'a> Counting<'a> {
    pub fn new(history: &'a HistoryStore, clock: &'a Clock) -> Self {
        Self {
            history,
            clock,
            floor: None,
            unsaved: Counted::default(),
        }
    }
}

impl Watch for Counting<'_> {
    fn opened(&mut self, opening: &Opening) {
        (self.floor, self.unsaved.since) = match opening.position {
            Position::Start(Start::At(time)) => (Some(time), Some(time)),
            Position::Start(Start::Oldest) => (None, Some(DateTime::UNIX_EPOCH)),
            // If nothing was counted before, the current hour has records that are not counted.
            Position::After(_) => (None, Some(hour((self.clock)()) + TimeDelta::hours(1))),
        };
    }

    fn noted(&mut self, record: &Record, _: Handled) {
        let id = &record.log_id;
        let stored = id.stored_at();
        // An id with a time in the future says nothing about how far the log was read.
        let is_wrong = stored.is_some_and(|it| is_future(it, (self.clock)()));
        if !is_wrong && self.floor.is_none_or(|floor| stored >= Some(floor)) {
            self.unsaved.count(id);
        }
    }

    fn saved(&mut self) {
        self.history.newly_counted().add(&self.unsaved);
        self.unsaved.hours.clear();
    }
}

#[cfg(test)]
mod tests;
