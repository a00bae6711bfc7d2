//! How many records the runs have read of each hour, by the log id's own time, and a digest of which
//! these are: what was not there yet when they passed is found by it later.
//!
//! A record counts when the checkpoint is saved that takes it as new, so that it counts once, however
//! often it is read and by however many pollers. It counts whatever became of it: that it was read is
//! what matters.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::history::HistoryStore;
use crate::clock::{Clock, hour, is_reckonable};
use crate::record::{LogId, Position, Record, Start, is_future};
use crate::run::{Handled, Opening, Watch};

/// How far back hours are kept, from the newest.
const KEPT: TimeDelta = TimeDelta::days(14);

/// What was read of each hour.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Counted {
    /// Of what was stored since then everything that was read is counted; `None` before the first.
    since: Option<DateTime<Utc>>,
    /// When the newest record was stored that is counted.
    newest: Option<DateTime<Utc>>,
    /// By its beginning.
    hours: BTreeMap<DateTime<Utc>, Count>,
}

/// So many log ids, and which: the sum of what is made of each, in any order.
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

    /// How many of these ids, which are all that there are now, were not there when this was counted.
    /// `None` where it cannot be told: some of them are gone, or were counted twice.
    fn lacks<'a>(self, ids: impl Iterator<Item = &'a LogId>) -> Option<u64> {
        let mut now = Self::default();
        ids.for_each(|id| now.add(Self::of(id)));
        let more = now.records.checked_sub(self.records)?;
        (more > 0 || now.digest == self.digest).then_some(more)
    }
}

impl Counted {
    /// Counts a record that was read. One that cannot be placed is not counted.
    fn count(&mut self, id: &LogId) {
        if let Some(stored) = id.stored_at() {
            self.newest = self.newest.max(Some(stored));
            let count = self.hours.entry(hour(stored)).or_default();
            count.add(Count::of(id));
        }
    }

    /// Whether its newest time can be reckoned with.
    pub(super) fn is_reckonable(&self) -> bool {
        self.newest.is_none_or(is_reckonable)
    }

    /// Adds what was counted since. What comes first says since when all is counted.
    pub(super) fn add(&mut self, other: &Self) {
        self.since = self.since.or(other.since);
        for (hour, count) in &other.hours {
            self.hours.entry(*hour).or_default().add(*count);
        }
        self.newest = self.newest.max(other.newest);
    }

    /// Keeps what was counted since, and forgets what is too old, and what is from before everything
    /// was counted.
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

    /// How many of these ids, which are all that there are now of the hour that begins then, were not
    /// there when the runs passed. `None` where that is not known.
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

/// What was counted since the history was written last.
#[derive(Debug, Default)]
pub(super) struct Uncounted(Mutex<Counted>);

impl Uncounted {
    /// Hands it to who writes it.
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

/// Counts what a run's ledger takes as new.
pub(crate) struct Counting<'a> {
    history: Option<&'a HistoryStore>,
    clock: &'a Clock,
    /// What was stored before is not counted, since not all of it is read.
    floor: Option<DateTime<Utc>>,
    /// What is noted and not saved.
    unsaved: Counted,
}

impl<'a> Counting<'a> {
    pub fn new(history: Option<&'a HistoryStore>, clock: &'a Clock) -> Self {
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
            // Should this be the first time that anything is counted, the present hour has more.
            Position::After(_) => (None, Some(hour((self.clock)()) + TimeDelta::hours(1))),
        };
    }

    fn noted(&mut self, record: &Record, _: Handled) {
        let id = &record.log_id;
        let stored = id.stored_at();
        // Up to one of a time to come, nothing is passed.
        let is_wrong = stored.is_some_and(|it| is_future(it, (self.clock)()));
        if !is_wrong && self.floor.is_none_or(|floor| stored >= Some(floor)) {
            self.unsaved.count(id);
        }
    }

    fn saved(&mut self) {
        if let Some(history) = self.history {
            history.uncounted().add(&self.unsaved);
        }
        self.unsaved.hours.clear();
    }
}

#[cfg(test)]
mod tests;
