//! Where reading resumes, what has been handled beyond that point, and what may not be forgotten
//! between two runs.
//!
//! Auth0 orders ids as text, so that their prefix outweighs their time. A cursor therefore speaks for
//! the ids of its own prefix alone, and there is one for each prefix that was met.
//!
//! The cursor is not the newest record but the newest that is *settled*: it was read when it was at
//! least the overlap old. Auth0 may make a record visible late, below ids that were read already, so
//! what lies after the cursor is read again in each run, and what was handled of it is recognised by
//! its id.
//!
//! How a checkpoint is written down is in `format.rs`, and how it is kept in `store.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::clock::to_seconds;
use crate::error::one_line;
use crate::record::{LONGEST_RETENTION, LogId, Position, Record, Start, is_future};
use crate::run::{Comparison, Handled, Newest};

/// The state of one destination.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Checkpoint {
    /// Everything of its prefix up to this record is handled.
    pub(super) cursor: Option<LogId>,
    /// The same of other prefixes, by prefix.
    pub(super) others: BTreeMap<String, LogId>,
    /// Where reading begins instead of after the cursor.
    pub(super) start: Option<Start>,
    /// What is dated before this is left out, since a first reading was to begin there.
    pub(super) left_out_before: Option<DateTime<Utc>>,
    /// Ids that are handled and that no cursor speaks for.
    pub(super) handled: BTreeSet<LogId>,
    pub(super) newest: Option<Newest>,
    /// Since then, the destination has refused every record that it was sent.
    pub(super) refused_since: Option<DateTime<Utc>>,
    /// A run that began then reached the end of the tenant's log.
    pub(super) caught_up_at: Option<DateTime<Utc>>,
    /// Of a prefix that was never met, what Auth0 stored before this is not wanted.
    pub(super) wanted_since: Option<DateTime<Utc>>,
    /// When the oldest record was stored that the first reading found, if it began with that.
    pub(super) oldest_found: Option<DateTime<Utc>>,
    /// When the newest records were compared with those read.
    pub(super) comparison: Option<Comparison>,
    /// Whether a person has chosen the position.
    pub(super) set_by_hand: bool,
    /// What came before this checkpoint was lost.
    pub(super) loss: Option<Loss>,
}

/// The loss of a checkpoint, with which the knowledge of what was handled is lost too.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub(crate) struct Loss {
    /// When it was noticed.
    pub noticed_at: DateTime<Utc>,
    /// Where reading began anew; `None` for the oldest record that there was.
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

    /// The state after all that was stored was lost: everything begins anew.
    pub fn anew(start: Start, now: DateTime<Utc>) -> Self {
        Self {
            loss: Some(Loss {
                noticed_at: now,
                began_at: time_of(start),
            }),
            ..Self::first(start)
        }
    }

    /// The state in which a person wants the next run to begin at `position`.
    pub fn set(position: Position) -> Self {
        let (cursor, start) = match position {
            Position::After(id) => (Some(id), None),
            Position::Start(start) => (None, Some(start)),
        };
        Self {
            cursor,
            others: BTreeMap::new(),
            start,
            left_out_before: start.and_then(time_of),
            handled: BTreeSet::new(),
            newest: None,
            refused_since: None,
            caught_up_at: None,
            wanted_since: None,
            oldest_found: None,
            comparison: None,
            set_by_hand: true,
            loss: None,
        }
    }

    /// What it says, line by line, for a person.
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
            // Another checkpoint may have been there before.
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
        // An id may be any text.
        lines.iter().map(|it| one_line(it)).collect()
    }

    /// Where reading resumes.
    pub fn position(&self) -> Position {
        match (self.start, &self.cursor) {
            (None, Some(cursor)) => Position::After(cursor.clone()),
            (start, _) => Position::Start(start.unwrap_or(Start::Oldest)),
        }
    }

    /// Whether the newest records were ever compared with those read.
    #[cfg(test)]
    pub fn has_compared(&self) -> bool {
        self.comparison.is_some_and(|it| it.was_made)
    }

    /// Where the first reading begins, while nothing is delivered or set aside yet.
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

    /// Whether this record is among those handled after the cursor.
    pub fn remembers(&self, id: &LogId) -> bool {
        self.handled.contains(id)
    }

    /// The records handled after the cursor.
    #[cfg(test)]
    pub(crate) fn remembered(&self) -> impl Iterator<Item = &LogId> {
        self.handled.iter()
    }

    /// Whether a record is not wanted: it is dated before the start. What Auth0 has stored since then
    /// cannot have happened longer before than it keeps records: such a date is none to go by, and the
    /// record is wanted.
    pub fn leaves_out(&self, record: &Record) -> bool {
        let date = record.date.zip(self.left_out_before);
        date.is_some_and(|(date, start)| date < start && start - date <= LONGEST_RETENTION)
    }

    /// Lets a first run begin earlier, because the setting was changed before anything was
    /// delivered. It never begins later, which would leave records out.
    pub fn begin_by(&mut self, start: Start) {
        // A reading that began anew by time, later on, is no first one.
        let begun = self.left_out_before.map_or(Start::Oldest, Start::At);
        let is_open = !self.set_by_hand && self.newest.is_none();
        if is_open && start < begun {
            self.cursor = None;
            self.others.clear();
            self.handled.clear();
            self.start = Some(start);
            self.left_out_before = time_of(start);
            self.wanted_since = None;
            self.oldest_found = None;
            // It is another log that was read to its end and compared.
            self.caught_up_at = None;
            self.comparison = None;
        }
    }

    /// Notes that a record is handled, at this time.
    pub fn note(&mut self, record: &Record, handled: Handled, now: DateTime<Utc>) {
        self.handled.insert(record.log_id.clone());
        if handled == Handled::Accepted {
            self.refused_since = None;
        }
        // By time: an id may be larger only because of its prefix. One of a time to come is of none.
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

    /// Notes that the destination refuses whatever it is sent, and answers since when.
    pub fn refused(&mut self, now: DateTime<Utc>) -> DateTime<Utc> {
        *self.refused_since.get_or_insert(now)
    }

    /// Whether it says more than the stored state of before. That the end was reached once more
    /// counts only if the stored time of that is older than `heartbeat`, and the time of a comparison
    /// does not.
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

    /// Sets once from when on records of a prefix are wanted that was never met: from where reading
    /// first began, and where that is not known any more, from the cursor. What is below one that a
    /// person has set is left out by their choice.
    pub fn begin_prefixes(&mut self, overlap: Duration) {
        let is_chosen = self.set_by_hand && self.newest.is_none();
        let overlap = if is_chosen { Duration::ZERO } else { overlap };
        let begin = match self.position() {
            Position::Start(start) => Some(time_of(start).unwrap_or_default()),
            Position::After(cursor) => cursor.stored_at().map(|it| it - overlap),
        };
        self.wanted_since = self.wanted_since.or(begin);
    }

    /// Notes once when a run began over this checkpoint for the first time.
    pub fn begin_comparing(&mut self, now: DateTime<Utc>) {
        self.comparison
            .get_or_insert_with(|| Comparison::none_since(now));
    }

    /// Whether it says what it cannot know yet. What a person has set may be so by a clock that was
    /// wrong, and is not passed over.
    pub fn is_of_the_future(&self, now: DateTime<Utc>) -> bool {
        let chosen = self.start.and_then(time_of);
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

    /// What was noted while a clock was ahead counts as noted now. The cursors are of Auth0's time, and
    /// stay. When the log was read to its end is not known then.
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

    /// Begins a new reading at `start`, because Auth0 no longer takes the cursor. What was
    /// handled up to the cursor still counts as handled.
    pub fn restart(&mut self, start: Start) {
        self.start = Some(start);
    }
}

fn time_of(start: Start) -> Option<DateTime<Utc>> {
    match start {
        Start::At(time) => Some(time),
        Start::Oldest => None,
    }
}

#[cfg(test)]
mod tests;
