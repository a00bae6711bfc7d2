//! What a run has seen of the log: which prefixes it has read and how far, which ids cannot be
//! right, and where reading goes on. Why, is said in `compare.rs`.

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tracing::warn;

use super::{Comparison, Opening};
use crate::record::{LogId, Page, Position, Reach, Record, STORING_DELAY, is_future};

/// A record that was stored so long ago should have been met by a reading that has just come to its
/// end.
const LONG_SHOWN: TimeDelta = TimeDelta::minutes(3);
/// So much older than the newest record, a cursor from before the first comparison is looked into.
const STALE: TimeDelta = TimeDelta::days(1);
/// How far below the end of a reading another one begins at the most, if it begins by time.
const READ_TWICE: Duration = Duration::from_secs(2 * STORING_DELAY.as_secs());
/// By how much the time in an id may precede the record's date: by nothing, but for clocks.
const CLOCK_ERROR: TimeDelta = TimeDelta::minutes(5);
/// Ids of a run that are told of. More say nothing more.
const MOST_TOLD: usize = 10;

/// Where reading goes on.
#[derive(Debug)]
pub(super) struct Next {
    pub after: LogId,
    /// Whether that id is none of a record.
    pub is_made_up: bool,
    /// Where to read if the source does not take it.
    pub instead: Option<Instead>,
}

/// Where to read if the source does not take an id.
#[derive(Debug)]
pub(super) enum Instead {
    After(LogId),
    Oldest,
    /// From that time on in the same prefix: after an id made of it, or else from the smallest id of
    /// records dated so or later.
    Smallest(DateTime<Utc>),
}

/// What a run has seen.
pub(super) struct Seen<'a> {
    opening: &'a Opening,
    /// The date of the newest record that was handled before.
    newest: Option<DateTime<Utc>>,
    began: DateTime<Utc>,
    /// Cursors that are still to be read after.
    ahead: Vec<LogId>,
    /// What was read, beyond the cursors.
    read: Reach,
    /// What was read at the ends of these, so far back as it may be read twice.
    recent: BTreeSet<LogId>,
    /// Whether that may happen from now on.
    is_again: bool,
    /// Ids of no known shape that were read.
    odd: HashSet<LogId>,
    /// The series of which everything after its cursor was read.
    whole: BTreeSet<String>,
    /// That which is being read.
    current: Option<String>,
    has_news: bool,
    has_strange: bool,
    told: usize,
}

impl<'a> Seen<'a> {
    pub(super) fn new(
        opening: &'a Opening,
        newest: Option<DateTime<Utc>>,
        began: DateTime<Utc>,
    ) -> Self {
        Self {
            ahead: opening.ahead.clone(),
            opening,
            newest,
            began,
            read: Reach::default(),
            recent: BTreeSet::new(),
            is_again: false,
            odd: HashSet::new(),
            whole: BTreeSet::new(),
            current: None,
            has_news: false,
            has_strange: false,
            told: 0,
        }
    }

    /// Notes that the next page is the one after this id, or the first of a reading by time.
    pub(super) fn begin(&mut self, after: Option<&LogId>) {
        self.current = after.map(|id| id.series().to_owned());
        if let Some(id) = after {
            self.ahead.retain(|it| it.series() != id.series());
            self.whole.insert(id.series().to_owned());
        }
    }

    /// Notes that there is no record any more after the page after this id. So cursors above that are
    /// not to be read after: what comes after them was in that page.
    pub(super) fn end(&mut self, after: Option<&LogId>) {
        let is_above = |it: &mut LogId| after.is_some_and(|after| *it > *after);
        let read = self.ahead.extract_if(.., is_above);
        self.whole.extend(read.map(|it| it.series().to_owned()));
    }

    /// Whether this id is of another series than is being read, of which all up to there was read
    /// before, so that nothing more of this one can follow, and that one need not be read now.
    pub(super) fn is_passed(&self, last: &LogId) -> bool {
        let series = last.series();
        let is_other = self.current.as_deref().is_some_and(|it| it != series);
        let is_ahead = self.ahead.iter().any(|it| it.series() == series);
        is_other && !is_ahead && self.floor(series).is_some_and(|floor| last <= floor)
    }

    /// Up to where a series was read before, in this run or an earlier one.
    fn floor(&self, series: &str) -> Option<&LogId> {
        self.opening.cursors.of(series).max(self.read.of(series))
    }

    /// Takes note of a page, and takes out of it what was read before by this run.
    pub(super) fn take(&mut self, page: &mut Page) {
        page.records.retain(|it| !self.was_taken(&it.log_id));
        for record in &page.records {
            let id = &record.log_id;
            if !(self.opening.was_handled)(id) {
                self.has_news = true;
                self.judge(record);
            }
            if self.current.as_deref().is_none_or(|it| it != id.series())
                && self.floor(id.series()).is_none()
            {
                // Whatever there is of it comes now.
                self.whole.insert(id.series().to_owned());
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
        let current = self.current.as_deref();
        if current.is_none_or(|it| it == id.series()) {
            // Others below the end may have become visible since.
            self.is_again && (self.recent.contains(id) || self.odd.contains(id))
        } else {
            self.read.of(id.series()).is_some_and(|end| id <= end)
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

    /// Notes that from now on, a series may be read that was read before in this run.
    pub(super) fn read_again(&mut self) {
        self.is_again = true;
    }

    /// Says so where an id cannot be right. Its record is one like any other.
    fn judge(&mut self, record: &Record) {
        let id = &record.log_id;
        let why = match id.stored_at() {
            Some(stored) if is_future(stored, self.began) => "it is of a time to come",
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

    fn has_prefixes(&self) -> bool {
        let mut ends = self.opening.cursors.ends().chain(self.read.ends());
        ends.any(|it| it.prefix().is_some())
    }

    /// Whether an id of a prefix that was never met is older than those of a smaller prefix, after
    /// which it comes.
    fn is_out_of_order(&self, id: &LogId, stored: DateTime<Utc>) -> bool {
        let newest = |reach: &Reach| {
            let smaller = reach.ends().filter(|it| it.series() < id.series());
            smaller.filter_map(LogId::stored_at).max()
        };
        let before = newest(&self.opening.cursors).max(newest(&self.read));
        self.floor(id.series()).is_none()
            && before.is_some_and(|before| before - stored > CLOCK_ERROR)
    }

    /// Where to read on after the last record of a page: after it, but where it is of a prefix that
    /// was read further before, from there.
    pub(super) fn beyond(&self, last: LogId) -> Next {
        let is_other = self.current.as_deref() != Some(last.series());
        let is_new = is_other && self.is_first(&last);
        let since = self.opening.since.filter(|_| is_new).zip(last.prefix());
        let made_up = since.map(|(time, prefix)| LogId::synthetic(prefix, time - STORING_DELAY));
        let floor = self.floor(last.series()).cloned();
        let instead = Some(Instead::After(last.clone()));
        match (floor, made_up) {
            (Some(after), _) if after > last => Next {
                after,
                is_made_up: false,
                instead,
            },
            (_, Some(after)) if after > last => Next {
                after,
                is_made_up: true,
                instead,
            },
            _ => Next {
                after: last,
                is_made_up: false,
                instead: None,
            },
        }
    }

    /// The next of the cursors that are still to be read after.
    pub(super) fn ahead(&mut self) -> Option<Next> {
        (!self.ahead.is_empty()).then(|| after_cursor(self.ahead.remove(0)))
    }

    /// Whether no earlier run has read of this id's series.
    pub(super) fn is_first(&self, id: &LogId) -> bool {
        self.opening.cursors.of(id.series()).is_none()
    }

    /// Whether this record was met, now or by an earlier run.
    pub(super) fn is_known(&self, id: &LogId) -> bool {
        let is_read = self.read.of(id.series()).is_some_and(|end| id <= end);
        is_read || self.odd.contains(id) || (self.opening.was_handled)(id)
    }

    /// Where to read so as to meet a record that was found by search and is not known; nowhere, if
    /// the next run will meet it where it reads anyway.
    pub(super) fn way_to(&self, head: &Record, now: DateTime<Utc>) -> Option<Next> {
        let id = &head.log_id;
        let stored = id.stored_at()?;
        let floor = self.floor(id.series());
        match floor {
            Some(floor) if self.whole.contains(id.series()) => {
                // It came meanwhile, or the source does not take the cursor for what it is.
                let is_hidden = now - stored > LONG_SHOWN;
                is_hidden.then(|| Next {
                    is_made_up: true,
                    ..after_cursor(floor.clone())
                })
            }
            Some(floor) => Some(after_cursor(floor.clone())),
            None if self.whole.contains(id.series()) && now - stored <= LONG_SHOWN => None,
            None => {
                let begin = self.opening.since.map(|time| time - STORING_DELAY);
                let begin = begin.unwrap_or(DateTime::UNIX_EPOCH).min(stored);
                Some(Next {
                    after: LogId::synthetic(id.prefix()?, begin),
                    is_made_up: true,
                    instead: Some(Instead::Smallest(begin)),
                })
            }
        }
    }

    /// Whether the newest records have to be compared with those read.
    pub(super) fn is_comparison_due(&self) -> bool {
        let last = self.opening.comparison;
        let is_due = Comparison::is_due(last, self.has_news, self.began);
        self.has_strange || is_due || self.is_cursor_stale() && last.is_none_or(|it| !it.was_made)
    }

    /// Whether the cursor may be of an earlier version that followed whatever id was the largest.
    fn is_cursor_stale(&self) -> bool {
        let Position::After(cursor) = &self.opening.position else {
            return false;
        };
        let stored = cursor.stored_at().zip(self.newest);
        stored.is_some_and(|(stored, newest)| newest - stored > STALE)
    }

    /// What is kept of the last comparison after this run, which made one or none.
    pub(super) fn comparison(&self, is_made: bool) -> Comparison {
        // Of an empty log nothing can be missing.
        let is_quiet = !self.has_news && self.newest.is_some();
        Comparison::after(self.opening.comparison, is_made, is_quiet, self.began)
    }
}

/// After a cursor; where the source no longer has its record, by time, in the same prefix: another one
/// would come first in the whole log, and was read.
fn after_cursor(cursor: LogId) -> Next {
    let instead = match cursor.stored_at() {
        Some(stored) => Instead::Smallest(stored - STORING_DELAY),
        None => Instead::Oldest,
    };
    Next {
        after: cursor,
        is_made_up: false,
        instead: Some(instead),
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
            ahead: Vec::new(),
            cursors: [&cursor].into_iter().collect(),
            since: None,
            comparison: None,
            was_handled: Arc::new(|_| false),
            caught_up_at: None,
            loss: None,
        };
        let mut seen = Seen::new(&opening, None, "2026-11-21T09:00:00Z".parse().unwrap());
        seen.begin(Some(&cursor));
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
