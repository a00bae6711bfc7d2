//! Where reading resumes, which records beyond that point are handled, and what else must be remembered
//! between two runs.
//!
//! Auth0 orders ids as text, so their prefix outweighs their time. A cursor therefore covers only the
//! ids of its own prefix, and there is one cursor for each prefix that was met.
//!
//! The cursor is not the newest record but the newest that is *settled*: it was at least the overlap
//! old when it was read. Auth0 may make a record visible late, below ids that were read already. So
//! each run reads again what lies after the cursor, and recognises handled records by their ids.
//!
//! `format.rs` defines the form in which a checkpoint is stored, and `store.rs` stores it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::clock::to_seconds;
use crate::error::one_line;
use crate::record::{LONGEST_RETENTION, LogId, Position, Record, Start, is_future};
use crate::run::{Comparison, Handled, Newest};

/// Maximum number of remembered records over which a destination failed.
pub(super) const MAX_SUSPECTS: usize = 1_000;

/// The state of one destination.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Checkpoint {
    /// The main cursor: every record of its prefix up to this one is handled.
    pub(super) cursor: Option<LogId>,
    /// The cursors of the other prefixes, by prefix.
    pub(super) others: BTreeMap<String, LogId>,
    /// Where reading begins, if not after the cursor.
    pub(super) start: Option<Start>,
    /// Records dated before this are left out, because the first reading was to begin here.
    pub(super) left_out_before: Option<DateTime<Utc>>,
    /// Handled ids that no cursor covers.
    pub(super) handled: BTreeSet<LogId>,
    pub(super) newest: Option<Newest>,
    /// Since when the destination has refused every record that it was sent.
    pub(super) refused_since: Option<DateTime<Utc>>,
    /// Unhandled records over which the destination failed when they were sent alone.
    pub(super) suspects: BTreeSet<LogId>,
    /// When the reading began that last reached the end of the tenant's log.
    pub(super) caught_up_at: Option<DateTime<Utc>>,
    /// From when on records of a prefix that was never met are wanted.
    pub(super) wanted_since: Option<DateTime<Utc>>,
    /// When the oldest record found was stored, if the first reading began with the oldest record.
    /// `None` again once the log was read to its end.
    pub(super) oldest_found: Option<DateTime<Utc>>,
    /// When the newest records were last compared with those read.
    pub(super) comparison: Option<Comparison>,
    /// Whether a person has chosen the position.
    pub(super) set_by_hand: bool,
    /// Set if an earlier checkpoint was lost.
    pub(super) loss: Option<Loss>,
}

/// The loss of a checkpoint, and so of the knowledge of what was handled.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub(crate) struct Loss {
    /// When it was noticed.
    pub noticed_at: DateTime<Utc>,
    /// Where reading started over; `None` for the oldest record that there was.
    pub began_at: Option<DateTime<Utc>>,
}

impl Checkpoint {
    /// The state before the first run, which begins where the setting says.
    pub fn first(start: Start) -> Self {
        Self {
            set_by_hand: false,
            ..Self::set(Position::Start(start))
        }
    }

    /// The state after everything stored was lost: reading starts over.
    pub fn anew(start: Start, now: DateTime<Utc>) -> Self {
        Self {
            loss: Some(Loss {
                noticed_at: now,
                began_at: start.time(),
            }),
            ..Self::first(start)
        }
    }

    /// The state if a person wants the next run to begin at `position`.
    pub fn set(position: Position) -> Self {
        let (cursor, start) = match position {
            Position::After(id) => (Some(id), None),
            Position::Start(start) => (None, Some(start)),
        };
        Self {
            cursor,
            others: BTreeMap::new(),
            start,
            left_out_before: start.and_then(Start::time),
            handled: BTreeSet::new(),
            newest: None,
            refused_since: None,
            suspects: BTreeSet::new(),
            caught_up_at: None,
            wanted_since: None,
            oldest_found: None,
            comparison: None,
            set_by_hand: true,
            loss: None,
        }
    }

    /// Describes the checkpoint line by line, for a person.
    pub fn summary(&self) -> Vec<String> {
        let mut lines = vec![format!("The next run begins {}.", self.position())];
        if let Some(time) = self.cursor.as_ref().and_then(LogId::stored_at) {
            let time = to_seconds(time);
            lines.push(if self.set_by_hand {
                format!("What Auth0 stored up to {time} is passed.")
            } else {
                format!("What Auth0 stored up to {time} is handled.")
            });
        }
        for (prefix, cursor) in &self.others {
            let time = cursor.stored_at().map_or(String::new(), |it| {
                format!(", which Auth0 stored at {}", to_seconds(it))
            });
            lines.push(format!(
                "Of the prefix {prefix:?}, it is the record {cursor}{time}."
            ));
        }
        if !self.handled.is_empty() {
            let count = self.handled.len();
            lines.push(format!("{count} records after that are handled."));
        }
        if let Some(time) = self.left_out_before {
            let time = to_seconds(time);
            lines.push(format!("What is dated before {time} is left out."));
        }
        match &self.newest {
            Some(Newest { log_id, date }) => {
                let dated = date.map_or(String::new(), |it| format!(", dated {}", to_seconds(it)));
                lines.push(format!(
                    "The newest record delivered or set aside is {log_id}{dated}."
                ));
            }
            // There may have been another checkpoint before.
            None => lines.push(match self.loss {
                Some(Loss { noticed_at, .. }) => format!(
                    "Nothing was delivered since {}, when the checkpoint was lost.",
                    to_seconds(noticed_at)
                ),
                None if self.set_by_hand => {
                    "Nothing was delivered since `checkpoint set` chose that.".into()
                }
                None => "Nothing was delivered yet.".into(),
            }),
        }
        if let Some(time) = self.caught_up_at {
            lines.push(format!(
                "The log was read to its end at {}.",
                to_seconds(time)
            ));
        }
        if let Some(time) = self.refused_since {
            lines.push(format!(
                "The destination has refused every record since {}.",
                to_seconds(time)
            ));
        }
        if !self.suspects.is_empty() {
            lines.push(format!(
                "The destination failed over {} of the next records while it accepted others.",
                self.suspects.len()
            ));
        }
        // An id may contain any text.
        lines.iter().map(|it| one_line(it)).collect()
    }

    /// Where reading resumes.
    pub fn position(&self) -> Position {
        match (self.start, &self.cursor) {
            (None, Some(cursor)) => Position::After(cursor.clone()),
            (start, _) => Position::Start(start.unwrap_or(Start::Oldest)),
        }
    }

    /// Until when everything that Auth0 stored is handled, as far as is known. Of several batches under
    /// way the one with the newest record may have been accepted, and one before it not.
    pub fn reached(&self) -> Option<DateTime<Utc>> {
        let newest = self.newest.as_ref();
        let newest = newest.and_then(|it| it.log_id.stored_at().or(it.date));
        let begin = self.position().time();
        let handled = newest.zip(begin).map(|(newest, begin)| newest.min(begin));
        handled.or(newest).max(self.caught_up_at).or(begin)
    }

    /// Where the first reading of all began. `None` if that was with the oldest record, or is not known
    /// any more.
    pub fn first_began(&self) -> Option<DateTime<Utc>> {
        let is_first = !self.set_by_hand && self.loss.is_none();
        self.left_out_before.filter(|_| is_first)
    }

    /// Whether the newest records were ever compared with those read.
    #[cfg(test)]
    pub fn has_compared(&self) -> bool {
        self.comparison.is_some_and(|it| it.was_made)
    }

    /// Where the first reading begins, if nothing was delivered or set aside yet.
    #[cfg(test)]
    pub fn first_start(&self) -> Option<Start> {
        let start = self.left_out_before.map_or(Start::Oldest, Start::At);
        self.newest.is_none().then_some(start)
    }

    /// Whether this record is known to be handled.
    pub fn has_handled(&self, id: &LogId) -> bool {
        let cursor = self.cursor_of(id.series());
        cursor.is_some_and(|cursor| id <= cursor) || self.remembers(id)
    }

    /// The cursor of ids of this series.
    pub(super) fn cursor_of(&self, series: &str) -> Option<&LogId> {
        let main = self.cursor.as_ref().filter(|it| it.series() == series);
        main.or_else(|| self.others.get(series))
    }

    /// All cursors, ascending.
    pub fn cursors(&self) -> BTreeSet<&LogId> {
        self.cursor.iter().chain(self.others.values()).collect()
    }

    /// Whether this record is among those handled after the cursors.
    pub fn remembers(&self, id: &LogId) -> bool {
        self.handled.contains(id)
    }

    /// The records handled after the cursors.
    #[cfg(test)]
    pub(crate) fn remembered(&self) -> impl Iterator<Item = &LogId> {
        self.handled.iter()
    }

    /// Whether a record is not wanted, because it is dated before the start. A date that is longer
    /// before the start than Auth0 keeps records must be wrong, and such a record is wanted.
    pub fn leaves_out(&self, record: &Record) -> bool {
        let date = record.date.zip(self.left_out_before);
        date.is_some_and(|(date, start)| date < start && start - date <= LONGEST_RETENTION)
    }

    /// Lets a first run begin earlier, if the setting was changed before anything was delivered. It
    /// never begins later, because that would leave records out.
    pub fn begin_by(&mut self, start: Start) {
        // `start` does not tell this, because a later reading may have started over by time.
        let begun = self.left_out_before.map_or(Start::Oldest, Start::At);
        let is_open = !self.set_by_hand && self.newest.is_none();
        if is_open && start < begun {
            self.cursor = None;
            self.others.clear();
            self.handled.clear();
            self.start = Some(start);
            self.left_out_before = start.time();
            self.wanted_since = None;
            self.oldest_found = None;
            // The log that was read to its end and compared was a shorter one.
            self.caught_up_at = None;
            self.comparison = None;
        }
    }

    /// Notes that a record is handled, at this time.
    pub fn note(&mut self, record: &Record, handled: Handled, now: DateTime<Utc>) {
        self.handled.insert(record.log_id.clone());
        self.suspects.remove(&record.log_id);
        if handled == Handled::Accepted {
            self.refused_since = None;
        }
        // Compared by time: an id may be larger only because of its prefix. A time in the future does
        // not count.
        let age = |log_id: &LogId, date: Option<DateTime<Utc>>| {
            let time = log_id.stored_at().or(date);
            (time.filter(|it| !is_future(*it, now)), log_id.clone())
        };
        let of_this = age(&record.log_id, record.date);
        let newest = self.newest.as_ref();
        let is_newer = newest.is_none_or(|it| age(&it.log_id, it.date) < of_this);
        if handled != Handled::LeftOut && is_newer {
            self.newest = Some(Newest {
                log_id: record.log_id.clone(),
                date: record.date,
            });
        }
    }

    /// Notes that the destination refuses every record, and returns since when.
    pub fn refused(&mut self, now: DateTime<Utc>) -> DateTime<Utc> {
        *self.refused_since.get_or_insert(now)
    }

    /// Notes that the destination failed over this record alone, and returns whether that is news. Of too
    /// many the rest is not remembered, and tried again in each run.
    pub fn suspect(&mut self, id: &LogId) -> bool {
        self.suspects.len() < MAX_SUSPECTS && self.suspects.insert(id.clone())
    }

    /// Whether this checkpoint says more than the stored one. That the end was reached once more counts
    /// only if the stored time of that is older than `heartbeat`. The time of a comparison does not
    /// count.
    pub fn is_news_after(&self, stored: &Self, heartbeat: Duration) -> bool {
        let is_stale = match (self.caught_up_at, stored.caught_up_at) {
            (Some(now), Some(then)) => (now - then).to_std().is_ok_and(|age| age >= heartbeat),
            (now, _) => now.is_some(),
        };
        let but_for_times = |checkpoint: &Self| Self {
            caught_up_at: None,
            comparison: None,
            ..checkpoint.clone()
        };
        is_stale || but_for_times(self) != but_for_times(stored)
    }

    /// Sets, only once, from when on records of a prefix that was never met are wanted: from where
    /// reading first began or, if that is no longer known, from the cursor. If a person has set the
    /// cursor, records below it are left out by their choice.
    pub fn set_wanted_since(&mut self, overlap: Duration) {
        let is_chosen = self.set_by_hand && self.newest.is_none();
        let overlap = if is_chosen { Duration::ZERO } else { overlap };
        let begin = match self.position() {
            Position::Start(start) => Some(start.time().unwrap_or_default()),
            Position::After(cursor) => cursor.stored_at().map(|it| it - overlap),
        };
        self.wanted_since = self.wanted_since.or(begin);
    }

    /// Notes, only once, when a run first began with this checkpoint.
    pub fn begin_comparing(&mut self, now: DateTime<Utc>) {
        self.comparison
            .get_or_insert_with(|| Comparison::none_since(now));
    }

    /// Whether the checkpoint contains a time that cannot be known yet. A position that a person has
    /// set does not count: it may come from a wrong clock, and is not discarded.
    pub fn is_of_the_future(&self, now: DateTime<Utc>) -> bool {
        let chosen = self.start.and_then(Start::time);
        let chosen = [chosen, self.left_out_before, self.wanted_since];
        let chosen = chosen.into_iter().flatten();
        let cursors = self.cursors().into_iter().filter_map(LogId::stored_at);
        let position = chosen.chain(cursors).filter(|_| !self.set_by_hand);
        let loss = self.loss.map(|it| it.noticed_at);
        let compared = self.comparison.map(|it| it.at);
        let found = self.oldest_found;
        let times = [self.refused_since, self.caught_up_at, loss, compared, found];
        let mut times = times.into_iter().flatten().chain(position);
        times.any(|it| is_future(it, now))
    }

    /// Replaces times noted while the clock was ahead with the present. The cursors are in Auth0's time,
    /// and stay. When the log was read to its end is then no longer known.
    pub fn bring_back(&mut self, now: DateTime<Utc>) {
        let refused = self.refused_since.as_mut();
        let lost = self.loss.as_mut().map(|it| &mut it.noticed_at);
        let compared = self.comparison.as_mut().map(|it| &mut it.at);
        for at in [refused, lost, compared].into_iter().flatten() {
            if is_future(*at, now) {
                *at = now;
            }
        }
        self.caught_up_at = self.caught_up_at.filter(|it| !is_future(*it, now));
        self.oldest_found = self.oldest_found.filter(|it| !is_future(*it, now));
    }

    /// Begins a new reading at `start`, because Auth0 rejects the cursor. Records handled up to the
    /// cursor still count as handled.
    pub fn restart(&mut self, start: Start) {
        self.start = Some(start);
    }
}

#[cfg(test)]
mod tests;
