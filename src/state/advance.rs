//! How the cursors follow what is handled, and which of them a run reads after.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Included, Unbounded};

use chrono::{DateTime, TimeDelta, Utc};

use super::checkpoint::Checkpoint;
use crate::record::{LogId, Position, Reach, STORING_DELAY, Start, is_future};

/// Bytes of the ids that are remembered after the cursors, and so of the records that a run reads
/// again: 150,000 ids of the usual length.
pub(super) const MAX_HANDLED_BYTES: usize = 8 * 1024 * 1024;
/// Ids without a time that are remembered: of them nothing tells when they are settled.
const MAX_TIMELESS: usize = 1_000;
/// A prefix is read in each run until one that began so long after its newest record has read the log
/// to its end. After that it is looked at as often as the newest records are compared.
const IN_USE: TimeDelta = TimeDelta::hours(1);
/// By how much later the records of another prefix have to be for its cursor to become the first.
const IN_TURNS: TimeDelta = TimeDelta::minutes(10);

impl Checkpoint {
    /// Moves each cursor to the newest handled record of its prefix that is settled, and further if
    /// more would be remembered than may be; but never beyond what was read. Answers whether it had
    /// to go further.
    ///
    /// A record is settled if Auth0 stored it before `settled`: no other can become visible below
    /// it any more. That has to be judged by when this stretch of the log was *read*, not by when
    /// the cursor moves, and holds only as far as it was read: what appeared since is not known.
    pub fn advance(&mut self, read: &Reach, settled: DateTime<Utc>, now: DateTime<Utc>) -> bool {
        for read_to in read.ends() {
            if let Some(cursor) = self.settled_up_to(read_to, settled) {
                self.pass(cursor);
            }
        }
        self.bound_timeless(read);
        let is_cut = self.bound(read, now);
        self.follow(now);
        is_cut
    }

    /// Notes that reading of a prefix begins after this id.
    pub fn begin_series(&mut self, below: &LogId) {
        if self.cursor_of(below.series()).is_none() {
            self.others.insert(below.series().to_owned(), below.clone());
        }
    }

    /// Where a run reads: where it begins, and after which cursors else.
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
        // From the smallest on, since those above it come by themselves after it; but not from one of
        // which there is no record.
        let first = in_use.iter().position(|it| !self.is_beginning(it));
        (Position::After(in_use.remove(first.unwrap_or(0))), in_use)
    }

    /// Notes that a run that began at `time` reached the end of the tenant's log.
    pub fn caught_up(&mut self, time: DateTime<Utc>) {
        self.caught_up_at = Some(time);
        self.oldest_found = None;
        // Of a prefix of which there is nothing any more, nothing needs to be known.
        let handled: BTreeSet<_> = self.handled.iter().map(LogId::series).collect();
        let mut others = std::mem::take(&mut self.others);
        others.retain(|series, it| handled.contains(&**series) || !self.is_beginning(it));
        self.others = others;
    }

    /// Whether this cursor is none of a record, but where reading of its prefix begins.
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

    /// Moves the cursor of an id's series there, and forgets what is remembered below it.
    fn pass(&mut self, cursor: LogId) {
        let series = cursor.series().to_owned();
        let first = LogId::new(&*series);
        let below = self
            .handled
            .extract_if(first..=cursor.clone(), |it| it.series() == series);
        below.for_each(drop);
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

    fn bound_timeless(&mut self, read: &Reach) {
        let Some(read_to) = read.of("") else {
            return;
        };
        let timeless = self.handled.iter().filter(|it| it.series().is_empty());
        let surplus = timeless.clone().count().saturating_sub(MAX_TIMELESS);
        let last = timeless.filter(|it| *it <= read_to).take(surplus).last();
        if let Some(last) = last.cloned() {
            self.pass(last);
        }
    }

    /// Lets the cursors pass what is too much, the oldest first.
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
        // What is left are ids of a time to come, which no cursor may pass.
        while surplus > 0 {
            let forgotten = self.handled.pop_last();
            surplus = surplus.saturating_sub(forgotten.map_or(surplus, |it| it.as_str().len()));
        }
        true
    }

    /// Makes that cursor the first whose prefix has the newest records.
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
        // Below a made-up one nothing is handled, so that it is no place to begin after.
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
        self.begin_all();
    }

    /// Lets each prefix have a cursor of which records are handled, now that reading no longer begins
    /// at a start: there, since below those that are handled others may be that are not.
    fn begin_all(&mut self) {
        let prefixes = self.handled.iter().filter_map(LogId::prefix);
        let prefixes: BTreeSet<String> = prefixes.map(str::to_owned).collect();
        for prefix in prefixes {
            self.begin_series(&self.beginning_of(&prefix));
        }
    }

    /// For each series, when its newest record was stored that is handled.
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
            // A letter above all digits, so that this lies above all ids of the prefix.
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
