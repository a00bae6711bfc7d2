//! Where reading resumes, what has been handled beyond that point, and what may not be forgotten
//! between two runs.
//!
//! The cursor is not the newest record but the newest that is *settled*: it was read when it was at
//! least the overlap old. Auth0 may make a record visible late, below ids that were read already, so
//! what lies after the cursor is read again in each run, and what was handled of it is recognised by
//! its id.
//!
//! How a checkpoint is written down is in `format.rs`, and how it is kept in `store.rs`.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::clock::to_seconds;
use crate::record::{LogId, Position, Record, Start};
use crate::run::{Handled, Newest};

/// Handled ids that are remembered after the cursor, and so the records that a run reads again at
/// the most.
pub(crate) const MAX_OVERLAP_RECORDS: usize = 1_000;

/// For how long Auth0 keeps records, on the plan with the longest retention. Whatever it has stored
/// since a start cannot have happened so long before.
const LONGEST_RETENTION: TimeDelta = TimeDelta::days(30);

/// The state of one destination.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Checkpoint {
    /// Everything up to this record is handled.
    pub(super) cursor: Option<LogId>,
    /// Where reading begins instead of after the cursor.
    pub(super) start: Option<Start>,
    /// What is dated before this is left out, since a first reading was to begin there.
    pub(super) left_out_before: Option<DateTime<Utc>>,
    /// Ids after the cursor that are handled.
    pub(super) handled: BTreeSet<LogId>,
    pub(super) newest: Option<Newest>,
    /// Since then, the destination has refused every record that it was sent.
    pub(super) refused_since: Option<DateTime<Utc>>,
    /// A run that began then reached the end of the tenant's log.
    pub(super) caught_up_at: Option<DateTime<Utc>>,
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
            start,
            left_out_before: start.and_then(time_of),
            handled: BTreeSet::new(),
            newest: None,
            refused_since: None,
            caught_up_at: None,
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
            None => lines.push("Nothing was delivered yet.".into()),
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
        lines
    }

    /// Where reading resumes.
    pub fn position(&self) -> Position {
        match (self.start, &self.cursor) {
            (None, Some(cursor)) => Position::After(cursor.clone()),
            (start, _) => Position::Start(start.unwrap_or(Start::Oldest)),
        }
    }

    /// Where the first reading begins, while nothing is delivered or set aside yet.
    #[cfg(test)]
    pub fn first_start(&self) -> Option<Start> {
        let start = self.left_out_before.map_or(Start::Oldest, Start::At);
        self.newest.is_none().then_some(start)
    }

    /// Whether this record is known to be handled.
    pub fn has_handled(&self, id: &LogId) -> bool {
        self.cursor.as_ref().is_some_and(|cursor| id <= cursor) || self.remembers(id)
    }

    /// Whether this record is among those handled after the cursor.
    pub fn remembers(&self, id: &LogId) -> bool {
        self.handled.contains(id)
    }

    /// Whether a record is not wanted: it is dated before the start. A date far before that is none
    /// to go by, and the record is wanted.
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
            self.handled.clear();
            self.start = Some(start);
            self.left_out_before = time_of(start);
        }
    }

    /// Notes that a record is handled.
    pub fn note(&mut self, record: &Record, handled: Handled) {
        self.handled.insert(record.log_id.clone());
        if handled == Handled::Accepted {
            self.refused_since = None;
        }
        let newest = self.newest.as_ref();
        if handled != Handled::LeftOut && newest.is_none_or(|it| it.log_id < record.log_id) {
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

    /// Moves the cursor to the newest handled record that is settled, and further if more ids
    /// would be remembered than may be; but never beyond `read_to`.
    ///
    /// A record is settled if Auth0 stored it before `settled`: no other can become visible below
    /// it any more. That has to be judged by when this stretch of the log was *read*, not by when
    /// the cursor moves, and holds only as far as it was read: what appeared since is not known.
    pub fn advance(&mut self, read_to: &LogId, settled: DateTime<Utc>) {
        let is_settled = |id: &&LogId| id.stored_at().is_some_and(|stored| stored <= settled);
        let surplus = self.handled.len().saturating_sub(MAX_OVERLAP_RECORDS);
        let was_read = || self.handled.range(..=read_to);
        let by_age = was_read().rev().find(is_settled);
        let by_count = was_read().take(surplus).last();
        let Some(cursor) = by_age.max(by_count).cloned() else {
            return;
        };
        self.handled = self.handled.split_off(&cursor);
        self.handled.remove(&cursor);
        if self.cursor.as_ref().is_none_or(|current| *current < cursor) {
            self.cursor = Some(cursor);
            self.start = None;
        }
    }

    /// Notes that a run that began at `time` reached the end of the tenant's log.
    pub fn caught_up(&mut self, time: DateTime<Utc>) {
        self.caught_up_at = Some(time);
    }

    /// Whether it says more than the stored state of before. That the end was reached once more
    /// counts only if the stored time of that is older than `heartbeat`.
    pub fn is_news_after(&self, stored: &Self, heartbeat: Duration) -> bool {
        let is_stale = match (self.caught_up_at, stored.caught_up_at) {
            (Some(now), Some(then)) => (now - then).to_std().is_ok_and(|age| age >= heartbeat),
            (now, _) => now.is_some(),
        };
        let but_for_time = |checkpoint: &Self| Self {
            caught_up_at: None,
            ..checkpoint.clone()
        };
        is_stale || but_for_time(self) != but_for_time(stored)
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
