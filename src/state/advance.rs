//! How the cursors follow the handled records, and after which cursors a run reads.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Included, Unbounded};

use chrono::{DateTime, TimeDelta, Utc};

use super::checkpoint::Checkpoint;
use crate::record::{LogId, Position, Reach, STORING_DELAY, Start, is_future};

/// Maximum size of the ids remembered after the cursors, in bytes. This also limits how many records a
/// run reads again: 150,000 ids of the usual length.
pub(super) const MAX_HANDLED_BYTES: usize = 8 * 1024 * 1024;
/// Maximum number of remembered ids without a time: nothing tells when they are settled.
pub(super) const MAX_TIMELESS: usize = 1_000;
/// A prefix is in use, and read in each run, until a run that began this long after its newest record
/// has read the log to its end. After that it is read when the newest records are compared.
const IN_USE: TimeDelta = TimeDelta::hours(1);
/// How much newer the records of another prefix must be for its cursor to become the main one.
const IN_TURNS: TimeDelta = TimeDelta::minutes(10);

/// What cursors were moved past before it was settled, since too many ids would be remembered.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Cut {
    /// Some of the overlap.
    pub overlap: bool,
    /// Ids without a time.
    pub timeless: bool,
}

impl Checkpoint {
    /// Moves each cursor to the newest handled record of its prefix that is settled. Moves it further
    /// if too many ids would be remembered, but never beyond what was read. Returns what it passed then.
    ///
    /// A record is settled if Auth0 stored it before `settled`: no other record can become visible
    /// below it any more. This depends on when this stretch of the log was *read*, not on when the
    /// cursor moves. It holds only as far as the log was read, because it is not known what has
    /// appeared since.
    pub(super) fn advance(
        &mut self,
        read: &Reach,
        settled: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Cut {
        for read_to in read.ends() {
            if let Some(cursor) = self.settled_up_to(read_to, settled) {
                self.pass(cursor);
            }
        }
        let timeless = self.bound_timeless(read);
        let overlap = self.bound(read, now);
        self.follow(now);
        Cut { overlap, timeless }
    }

    /// Notes that reading of a prefix begins after this id.
    pub fn begin_series(&mut self, below: &LogId) {
        if self.cursor_of(below.series()).is_none() {
            self.others.insert(below.series().to_owned(), below.clone());
        }
    }

    /// Where a run begins to read, and the other cursors after which it reads.
    pub fn plan(&self, now: DateTime<Utc>) -> (Position, Vec<LogId>) {
        let newest = self.newest_of_each(now);
        let is_in_use = |id: &LogId| {
            let time = newest.get(id.series());
            let is_quiet = |time: &DateTime<Utc>| {
                let read_at = self.caught_up_at;
                read_at.is_some_and(|read_at| read_at - *time > IN_USE)
            };
            self.is_beginning(id) || time.is_some_and(|time| !is_quiet(time))
        };
        let main = self.cursor.as_ref();
        let mut in_use: Vec<_> = self.cursors().into_iter().cloned().collect();
        in_use.retain(|it| main == Some(it) || is_in_use(it));
        let position = self.position();
        if matches!(position, Position::Start(_)) {
            return (position, in_use);
        }
        // After the smallest cursor, because the prefixes above it follow by themselves; but not after
        // one that is not a record's id.
        let first = in_use.iter().position(|it| !self.is_beginning(it));
        (Position::After(in_use.remove(first.unwrap_or(0))), in_use)
    }

    /// Notes that a reading that began at `time` reached the end of the tenant's log.
    pub fn caught_up(&mut self, time: DateTime<Utc>) {
        self.caught_up_at = Some(time);
        self.oldest_found = None;
        // A prefix without any records left needs no cursor.
        let handled: BTreeSet<_> = self.handled.iter().map(LogId::series).collect();
        let mut others = std::mem::take(&mut self.others);
        others.retain(|series, it| handled.contains(&**series) || !self.is_beginning(it));
        self.others = others;
    }

    /// Whether this cursor is not a record's id, but the synthetic id at which its prefix begins to be
    /// read.
    fn is_beginning(&self, cursor: &LogId) -> bool {
        cursor
            .prefix()
            .is_some_and(|prefix| *cursor == self.beginning_of(prefix))
    }

    fn beginning_of(&self, prefix: &str) -> LogId {
        let since = self.wanted_since.unwrap_or_default();
        LogId::synthetic(prefix, since - STORING_DELAY)
    }

    fn settled_up_to(&self, read_to: &LogId, settled: DateTime<Utc>) -> Option<LogId> {
        let prefix = read_to.prefix()?;
        let unsettled = LogId::synthetic(prefix, settled + TimeDelta::microseconds(1));
        let end = if unsettled <= *read_to {
            Excluded(&unsettled)
        } else {
            Included(read_to)
        };
        let first = LogId::new(prefix);
        let mut below = self.handled.range((Included(&first), end)).rev();
        below.find(|it| it.series() == prefix).cloned()
    }

    /// Moves the cursor of an id's series to that id, and forgets what is remembered up to it.
    fn pass(&mut self, cursor: LogId) {
        let series = cursor.series().to_owned();
        let first = LogId::new(&*series);
        let below = self
            .handled
            .extract_if(first..=cursor.clone(), |it| it.series() == series);
        below.for_each(drop);
        self.suspects
            .retain(|it| it.series() != series || *it > cursor);
        match &mut self.cursor {
            Some(main) if main.series() == series => {
                if *main < cursor {
                    *main = cursor;
                    self.start = None;
                }
            }
            _ => match self.others.get(&series) {
                Some(other) if cursor <= *other && !self.is_beginning(other) => {}
                _ => {
                    self.others.insert(series, cursor);
                }
            },
        }
    }

    /// If too many ids without a time are remembered, moves their cursor past the lowest. Returns whether
    /// it had to.
    fn bound_timeless(&mut self, read: &Reach) -> bool {
        let Some(read_to) = read.of("") else {
            return false;
        };
        let timeless = self.handled.iter().filter(|it| it.series().is_empty());
        let surplus = timeless.clone().count().saturating_sub(MAX_TIMELESS);
        let last = timeless.filter(|it| *it <= read_to).take(surplus).last();
        let Some(last) = last.cloned() else {
            return false;
        };
        self.pass(last);
        true
    }

    /// If too many ids are remembered, moves the cursors past the oldest of them. Returns whether it
    /// had to.
    fn bound(&mut self, read: &Reach, now: DateTime<Utc>) -> bool {
        let bytes: usize = self.handled.iter().map(|it| it.as_str().len()).sum();
        let mut surplus = bytes.saturating_sub(MAX_HANDLED_BYTES);
        if surplus == 0 {
            return false;
        }
        let is_read = |id: &LogId| read.of(id.series()).is_some_and(|end| id <= end);
        let timed = self.handled.iter().filter(|it| is_read(it));
        let timed = timed.filter_map(|it| Some((it.stored_at()?, it)));
        let mut timed: Vec<_> = timed.filter(|(time, _)| !is_future(*time, now)).collect();
        timed.sort_unstable();
        let mut passed = Reach::default();
        for (_, id) in timed {
            if surplus == 0 {
                break;
            }
            surplus = surplus.saturating_sub(id.as_str().len());
            passed.meet(id);
        }
        for id in passed.ends() {
            self.pass(id.clone());
        }
        // Those left are mostly ids with a time in the future, which no cursor may pass.
        while surplus > 0 {
            let forgotten = self.handled.pop_last();
            surplus = surplus.saturating_sub(forgotten.map_or(surplus, |it| it.as_str().len()));
        }
        true
    }

    /// Makes the cursor of the prefix with the newest records the main one.
    fn follow(&mut self, now: DateTime<Utc>) {
        let newest = self.newest_of_each(now);
        let Some((&series, &time)) = newest.iter().max_by_key(|(_, time)| **time) else {
            return;
        };
        let is_first = match &self.cursor {
            Some(main) if main.series() == series => return,
            Some(main) => {
                let of_main = newest.get(main.series());
                self.start.is_some() || of_main.is_none_or(|it| time - *it > IN_TURNS)
            }
            None => true,
        };
        // Below a synthetic cursor nothing is handled, so it is no place to begin after.
        let begun = match (&self.cursor, self.start) {
            (Some(main), _) => main.stored_at(),
            (None, Some(Start::At(time))) => Some(time),
            (None, _) => Some(DateTime::UNIX_EPOCH),
        };
        let series = series.to_owned();
        let candidate = self.others.get(&series).and_then(LogId::stored_at);
        if !is_first || candidate <= begun {
            return;
        }
        let Some(cursor) = self.others.remove(&series) else {
            return;
        };
        self.start = None;
        if let Some(main) = self.cursor.replace(cursor) {
            self.others.insert(main.series().to_owned(), main);
        }
        self.begin_each_series();
    }

    /// Gives a cursor to each prefix with handled records, now that reading no longer begins at a
    /// start. The cursor is at the beginning of the prefix, because records below the handled ones may
    /// be unhandled.
    fn begin_each_series(&mut self) {
        let prefixes = self.handled.iter().filter_map(LogId::prefix);
        let prefixes: BTreeSet<String> = prefixes.map(str::to_owned).collect();
        for prefix in prefixes {
            self.begin_series(&self.beginning_of(&prefix));
        }
    }

    /// For each series, when its newest handled record was stored.
    fn newest_of_each(&self, now: DateTime<Utc>) -> BTreeMap<&str, DateTime<Utc>> {
        let mut newest = BTreeMap::new();
        for cursor in self.cursors() {
            let time = cursor.stored_at().filter(|it| !is_future(*it, now));
            newest.extend(time.map(|time| (cursor.series(), time)));
        }
        let mut next = self.handled.first();
        while let Some(first) = next {
            let Some(prefix) = first.prefix() else {
                next = self.handled.range((Excluded(first), Unbounded)).next();
                continue;
            };
            // `~` sorts after all digits, so this lies above all ids of the prefix.
            let end = LogId::new(format!("{prefix}~"));
            let ids = self.handled.range((Included(first), Excluded(&end)));
            let mut times = ids.rev().filter_map(LogId::stored_at);
            if let Some(time) = times.find(|it| !is_future(*it, now)) {
                let known = newest.entry(prefix).or_insert(time);
                *known = time.max(*known);
            }
            next = self.handled.range((Included(&end), Unbounded)).next();
        }
        newest
    }
}
