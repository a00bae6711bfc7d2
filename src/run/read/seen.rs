//! What a run reads of the log, and in which order.
//!
//! Auth0 returns records in the order of their ids as text: one series after the other, whatever their
//! time. One rule holds for all reading: **in a run, each series is read once, in one piece, from its
//! place to its end.** Its place is its cursor or, if it has none, the time since when records are
//! wanted. So what was read of a series never has a hole above its cursor, the cursor may follow what
//! is handled, and no record is handed over twice.
//!
//! A page after an id of one series may also show series above it. It shows each of these from its
//! beginning, and so from its place. A series that it does not show to its end is read further, if it
//! is to be read at all. The records of a series that was read before are dropped.
//!
//! `compare.rs` says which series are read at all.

mod behind;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tracing::warn;

use super::compare::Comparison;
use super::next::{Instead, Next};
use crate::record::{
    CLOCK_ERROR, LogId, Page, Position, Reach, Record, STORING_DELAY, Start, is_future,
};
use crate::run::Opening;
use crate::run::time::time_of;

/// The page has no record with an id, so it is not known where to read on.
#[derive(Debug)]
pub(super) struct NoId;

/// A record that was stored longer ago than this should have been met by a reading that has just
/// reached its end.
const LONG_SHOWN: TimeDelta = TimeDelta::minutes(3);
/// A cursor that is older than the newest record by more than this may not lead to it.
const STALE: TimeDelta = TimeDelta::days(1);
/// How far below the end of one reading another may begin, if it begins by time.
const READ_TWICE: Duration = Duration::from_secs(2 * STORING_DELAY.as_secs());
/// So many records that are compared may hide others: Auth0's default for a page.
const MANY: usize = 50;
/// Maximum number of strange ids that a run logs. More would tell nothing new.
const MOST_TOLD: usize = 10;

/// What a run has seen.
pub(in crate::run) struct Seen<'a> {
    opening: &'a Opening,
    /// The date of the newest record that was handled before.
    newest: Option<DateTime<Utc>>,
    /// The time of the oldest record that was read.
    pub(super) oldest: Option<DateTime<Utc>>,
    began: DateTime<Utc>,
    /// The series still to be read, and where.
    to_read: BTreeMap<String, Next>,
    /// The series that were read to their end.
    done: BTreeSet<String>,
    /// The series being read; `None` before the first record of a reading by time.
    current: Option<String>,
    /// The last id of the page that has a prefix.
    shown: Option<LogId>,
    /// The largest id of each series that was read.
    read: Reach,
    /// The ids at the ends of these series, as far back as they may be read twice.
    recent: BTreeSet<LogId>,
    /// Whether a series may be read twice from now on.
    is_again: bool,
    /// Ids without a prefix that were read.
    odd: HashSet<LogId>,
    /// How many records were read.
    taken: usize,
    has_news: bool,
    has_strange: bool,
    told: usize,
}

impl<'a> Seen<'a> {
    pub(in crate::run) fn new(
        opening: &'a Opening,
        newest: Option<DateTime<Utc>>,
        began: DateTime<Utc>,
    ) -> Self {
        let place = |cursor: &LogId| {
            let next = match cursor.prefix().zip(opening.beginning()) {
                Some((prefix, time)) if opening.begins_after(cursor) => Next::by_time(prefix, time),
                _ => Next::after_cursor(cursor.clone()),
            };
            (cursor.series().to_owned(), next)
        };
        let mut seen = Self {
            opening,
            newest,
            oldest: None,
            began,
            to_read: opening.also_after.iter().map(place).collect(),
            done: BTreeSet::new(),
            current: None,
            shown: None,
            read: Reach::default(),
            recent: BTreeSet::new(),
            is_again: false,
            odd: HashSet::new(),
            taken: 0,
            has_news: false,
            has_strange: false,
            told: 0,
        };
        if Comparison::is_due(opening.comparison, true, began) {
            seen.read_quiet();
        }
        seen
    }

    /// Also reads the series that are not in use. They are read whenever the newest records are
    /// compared, because a record of theirs need not be among the newest.
    pub(super) fn read_quiet(&mut self) {
        for cursor in self.opening.cursors.ends() {
            let is_done = self.done.contains(cursor.series());
            if cursor.prefix().is_none() || is_done {
                continue;
            }
            let next = Next::after_cursor(cursor.clone());
            let series = cursor.series().to_owned();
            self.to_read.entry(series).or_insert(next);
        }
    }

    /// Notes that the next page belongs to this series.
    pub(super) fn begin(&mut self, series: &str) {
        let is_read = self.done.contains(series);
        debug_assert!(self.is_again || !is_read, "{series} is read twice");
        self.current = Some(series.to_owned());
    }

    /// Notes that the next page is the first of a reading by time. Returns whether it shows a series
    /// from its place on; if not, it only tells which series there are.
    pub(super) fn begin_at(&mut self, start: Start, page: &Page) -> bool {
        let prefixes = page.records.iter().filter_map(|it| it.log_id.prefix());
        match prefixes.min() {
            Some(first) if !self.covers(start, first) => {
                for record in &page.records {
                    self.hear_of(&record.log_id);
                }
                false
            }
            None if page.is_last && !self.covers(start, "") => {
                // No record is dated then or later.
                let ends = self.opening.cursors.ends().map(LogId::series);
                let read: Vec<_> = ends.filter(|it| self.covers(start, it)).collect();
                for series in read {
                    self.to_read.remove(series);
                    self.done.insert(series.to_owned());
                }
                false
            }
            _ => true,
        }
    }

    /// Whether a reading from `start` meets every wanted record of a series that its cursor has not
    /// passed.
    fn covers(&self, start: Start, series: &str) -> bool {
        let Start::At(time) = start else {
            return true;
        };
        let cursor = self.opening.cursors.of(series).and_then(LogId::stored_at);
        self.opening.wanted_since.is_none_or(|since| time <= since)
            || cursor.is_some_and(|cursor| time + STORING_DELAY <= cursor)
    }

    /// Adds the series of an id to those to be read, if the id is new.
    fn hear_of(&mut self, id: &LogId) {
        let Some(prefix) = id.prefix() else {
            return;
        };
        let next = match self.floor(prefix) {
            Some(floor) if id <= floor || (self.opening.was_handled)(id) => return,
            Some(floor) => Next::after_cursor(floor.clone()),
            None => Next::by_time(prefix, self.beginning_for(id)),
        };
        self.to_read.entry(prefix.to_owned()).or_insert(next);
    }

    /// The time from which this id's series is read, if it was never met.
    fn beginning_for(&self, id: &LogId) -> DateTime<Utc> {
        let since = self.opening.beginning();
        let since = since.unwrap_or(DateTime::UNIX_EPOCH);
        id.stored_at().map_or(since, |stored| since.min(stored))
    }

    /// Up to where a series was read, in this run or an earlier one.
    fn floor(&self, series: &str) -> Option<&LogId> {
        self.opening.cursors.of(series).max(self.read.of(series))
    }

    /// Takes note of a page, and removes the records that this run has read before.
    pub(super) fn take(&mut self, page: &mut Page) {
        let ids = page.records.iter().map(|it| &it.log_id);
        let mut ended: BTreeSet<String> = ids
            .filter_map(|it| it.prefix())
            .map(str::to_owned)
            .collect();
        if self.current.is_none() {
            // The page was requested by time, so it begins within a series.
            self.current = ended.first().cloned();
        }
        ended.extend(self.current.clone());
        let mut shown = page.records.iter().rev().map(|it| &it.log_id);
        self.shown = shown.find(|it| it.prefix().is_some()).cloned();
        let is_empty = page.records.is_empty() && page.misfits.is_empty();
        let goes_on = self.shown.as_ref().map(LogId::series);
        let goes_on = goes_on.or(self.current.as_deref());
        // A page with records may be the last because it ends near the present. That ends its series,
        // but none above it.
        if page.is_last && is_empty {
            let current = self.current.as_deref().unwrap_or_default();
            let above = self.to_read.keys().filter(|it| it.as_str() > current);
            ended.extend(above.cloned());
        } else if let Some(goes_on) = goes_on.filter(|_| !page.is_last) {
            ended.remove(goes_on);
        }
        page.records.retain(|it| !self.was_taken(&it.log_id));
        for series in ended {
            self.to_read.remove(&series);
            self.done.insert(series);
        }
        self.taken += page.records.len();
        for record in &page.records {
            let id = &record.log_id;
            self.oldest = self.oldest.into_iter().chain(time_of(record)).min();
            if !(self.opening.was_handled)(id) {
                self.has_news = true;
                self.judge(record);
            }
            if id.prefix().is_none() {
                self.odd.insert(id.clone());
            } else {
                self.read.meet(id);
                self.recent.insert(id.clone());
            }
        }
        if let Some(last) = page.records.last() {
            self.forget_below(&last.log_id);
        }
    }

    fn was_taken(&self, id: &LogId) -> bool {
        let series = id.series();
        if series.is_empty() {
            self.odd.contains(id)
        } else if self.current.as_deref() == Some(series) {
            // Records below the end may have become visible since.
            self.is_again && self.recent.contains(id)
        } else {
            self.done.contains(series)
        }
    }

    fn forget_below(&mut self, last: &LogId) {
        if let Some((prefix, stored)) = last.prefix().zip(last.stored_at()) {
            let first = LogId::synthetic(prefix, DateTime::UNIX_EPOCH);
            let end = LogId::synthetic(prefix, stored - READ_TWICE);
            if first < end {
                self.recent.extract_if(first..end, |_| true).for_each(drop);
            }
        }
    }

    /// Where to read on after a page that ends with this record; `None` if everything was read.
    pub(super) fn next(
        &mut self,
        last: Option<LogId>,
        is_last: bool,
    ) -> Result<Option<Next>, NoId> {
        if is_last {
            return Ok(self.next_series());
        }
        let last = last.ok_or(NoId)?;
        let shown = self
            .shown
            .take()
            .filter(|it| self.current.as_deref() != Some(it.series()));
        let Some(shown) = shown else {
            return Ok(Some(Next::on(last)));
        };
        let series = shown.series();
        if self.done.contains(series) {
            return Ok(self.next_series());
        }
        let place = match (self.to_read.remove(series), self.opening.cursors.of(series)) {
            (Some(next), _) => next,
            (None, Some(cursor)) if shown <= *cursor => return Ok(self.next_series()),
            (None, Some(cursor)) => Next::after_cursor(cursor.clone()),
            (None, None) => Next::by_time(series, self.beginning_for(&shown)),
        };
        self.begin(series);
        if place.after <= last {
            return Ok(Some(Next::on(last)));
        }
        // If the source rejects that place, the series is read from its beginning.
        Ok(Some(Next {
            instead: Some(Instead::After(last)),
            ..place
        }))
    }

    /// Where to read the next series; `None` if all were read.
    pub(super) fn next_series(&mut self) -> Option<Next> {
        let (series, next) = self.to_read.pop_first()?;
        self.begin(&series);
        Some(next)
    }

    /// Notes that the current series has no more records.
    pub(super) fn end_series(&mut self) {
        self.done.extend(self.current.take());
    }

    /// Notes that from now on, series may be read that this run has read before.
    pub(super) fn read_again(&mut self) {
        self.is_again = true;
    }

    /// Warns of an id that cannot be right. Its record is treated like any other.
    fn judge(&mut self, record: &Record) {
        let id = &record.log_id;
        let why = match id.stored_at() {
            Some(stored) if is_future(stored, self.began) => "its time is in the future",
            Some(stored) if record.date.is_some_and(|it| it - stored > CLOCK_ERROR) => {
                "it is older than the record"
            }
            Some(stored) if self.is_out_of_order(id, stored) => {
                "it is above newer ids of another prefix"
            }
            None if self.has_prefixes() => "it has another form than those before",
            _ => return,
        };
        self.has_strange = true;
        self.told += 1;
        if self.told <= MOST_TOLD {
            warn!(
                "the log id {id} is strange: {why}; its record is delivered like any other, and the \
                 cursor does not follow it"
            );
        }
    }

    /// Whether an id with a prefix was read, by this run or an earlier one.
    pub(super) fn has_prefixes(&self) -> bool {
        let mut ends = self.opening.cursors.ends().chain(self.read.ends());
        ends.any(|it| it.prefix().is_some())
    }

    /// Whether an id of a prefix that was never met is older than ids of a smaller prefix, although it
    /// sorts after them.
    fn is_out_of_order(&self, id: &LogId, stored: DateTime<Utc>) -> bool {
        let newest = |reach: &Reach| {
            let smaller = reach.ends().filter(|it| it.series() < id.series());
            smaller.filter_map(LogId::stored_at).max()
        };
        let before = newest(&self.opening.cursors).max(newest(&self.read));
        self.floor(id.series()).is_none()
            && before.is_some_and(|before| before - stored > CLOCK_ERROR)
    }

    /// Whether no earlier run has read this id's series.
    pub(super) fn is_first(&self, id: &LogId) -> bool {
        self.opening.cursors.of(id.series()).is_none()
    }

    /// Whether this record was met, by this run or an earlier one.
    pub(super) fn is_known(&self, id: &LogId) -> bool {
        let is_read = self.read.of(id.series()).is_some_and(|end| id <= end);
        is_read || self.odd.contains(id) || (self.opening.was_handled)(id)
    }

    /// Where to read to meet an unknown record that was found by search; `None` if the next run will
    /// meet it anyway.
    pub(super) fn way_to(&self, head: &Record, now: DateTime<Utc>) -> Option<Next> {
        let id = &head.log_id;
        let stored = id.stored_at()?;
        let is_done = self.done.contains(id.series());
        if is_done && now - stored <= LONG_SHOWN {
            // It became visible during this run.
            return None;
        }
        Some(match self.floor(id.series()) {
            // If the series was read without meeting the record, the source does not recognise its
            // cursor.
            Some(floor) => Next {
                is_synthetic: is_done,
                ..Next::after_cursor(floor.clone())
            },
            None => Next::by_time(id.prefix()?, self.beginning_for(id)),
        })
    }

    /// Whether anything of a prefix was read, by this run or an earlier one.
    pub(super) fn has_met(&self, prefix: &str) -> bool {
        self.floor(prefix).is_some() || self.done.contains(prefix)
    }

    /// The time from which records of a prefix that was never met are wanted, but not before `oldest`.
    pub(super) fn wanted_below(&self, oldest: DateTime<Utc>) -> DateTime<Utc> {
        self.opening.beginning().map_or(oldest, |it| it.max(oldest))
    }

    /// Whether the newest records must be compared with those read.
    pub(super) fn is_comparison_due(&self) -> bool {
        let is_due = Comparison::is_due(self.opening.comparison, self.has_news, self.began);
        self.has_strange || is_due || self.is_cursor_stale()
    }

    /// Whether to look at the beginning of the log before the newest records are compared, and instead
    /// of that if it tells which prefix is there. The first run does so if it reads so many records
    /// that they hide others. If the first run finds nothing new, it counts as the quiet run that
    /// searches.
    pub(super) fn looks_first(&self) -> bool {
        let is_first = self.opening.comparison.is_some_and(|it| !it.was_made);
        is_first && self.has_news && !self.has_strange && self.taken >= MANY
    }

    /// Whether to look which prefix the log begins with, after this many records were compared. If they
    /// are few, and no more were read, they are most likely all that there are.
    pub(super) fn is_bottom_due(&self, compared: usize) -> bool {
        let last = self.opening.comparison;
        let is_due = Comparison::is_due_again(last, self.began);
        let are_many = compared >= MANY || self.taken > compared;
        last.is_some() && compared > 0 && (are_many || self.has_strange || is_due)
    }

    /// Whether the cursor may be above new records. It may come from an id that cannot be right and was
    /// the first one met, or from an earlier version, which followed whatever id was the largest.
    fn is_cursor_stale(&self) -> bool {
        let Position::After(cursor) = &self.opening.position else {
            return false;
        };
        let newest = self.newest.unwrap_or(self.began);
        cursor.stored_at().is_some_and(|it| newest - it > STALE)
    }

    /// What is stored about the last comparison after this run, whether or not it made one.
    pub(super) fn comparison(&self, is_made: bool) -> Comparison {
        // Nothing can be missing from an empty log.
        let is_quiet = !self.has_news && self.newest.is_some();
        Comparison::after(self.opening.comparison, is_made, is_quiet, self.began)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;

    use super::*;

    fn record(stored: &str) -> Record {
        let time = format!("2026-11-21T{stored}Z").parse().unwrap();
        Record {
            log_id: LogId::synthetic("900", time),
            date: Some(time),
            json: Bytes::from_static(b"{}"),
        }
    }

    fn times(page: &Page) -> Vec<String> {
        let stored = page.records.iter().filter_map(|it| it.log_id.stored_at());
        stored.map(|it| it.format("%T").to_string()).collect()
    }

    #[test]
    fn what_is_read_twice_is_handed_over_once_and_what_became_visible_meanwhile_as_well() {
        let cursor = record("08:00:00").log_id;
        let opening = Opening {
            position: Position::After(cursor.clone()),
            also_after: Vec::new(),
            cursors: [&cursor].into_iter().collect(),
            wanted_since: None,
            oldest_found: None,
            comparison: None,
            was_handled: Arc::new(|_| false),
            caught_up_at: None,
            overlap: Duration::ZERO,
            loss: None,
        };
        let mut seen = Seen::new(&opening, None, "2026-11-21T09:00:00Z".parse().unwrap());
        seen.begin(cursor.series());
        let mut page = Page::last(["08:00:10", "08:00:20", "08:00:40"].map(record).to_vec());
        seen.take(&mut page);
        assert_eq!(times(&page), ["08:00:10", "08:00:20", "08:00:40"]);
        assert_eq!(seen.recent.len(), 2, "as far back as is read twice");

        seen.read_again();
        let again = ["08:00:20", "08:00:30", "08:00:40", "08:00:50"];
        let mut page = Page::last(again.map(record).to_vec());
        seen.take(&mut page);
        assert_eq!(times(&page), ["08:00:30", "08:00:50"]);
    }
}
