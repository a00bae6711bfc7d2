//! What a run needs from its ledger: where to begin, which records are handled already, and a place to
//! save what the run has handled.
//!
//! A record is *handled* once it was acknowledged, set aside or left out. The cursor follows handled
//! records, whichever way they were handled, and never passes an unhandled one.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::Comparison;
use crate::error::BoxError;
use crate::net::retry::Deadline;
use crate::record::{LogId, Position, Reach, Record, STORING_DELAY, Start};
use crate::report::Gap;

/// The newest record that was acknowledged or set aside.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub(crate) struct Newest {
    pub log_id: LogId,
    /// Its date, where it had a readable one.
    pub date: Option<DateTime<Utc>>,
}

/// Whether a record was handled before this run.
pub(crate) type WasHandled = Arc<dyn Fn(&LogId) -> bool + Send + Sync>;

/// What a run learns when it opens a ledger.
#[derive(Clone)]
pub(crate) struct Opening {
    /// Where reading resumes.
    pub position: Position,
    /// The cursors of the other prefixes in use, after which reading resumes as well.
    pub also_after: Vec<LogId>,
    /// The cursors of all prefixes.
    pub cursors: Reach,
    /// From when on records of a prefix that was never met are wanted.
    pub wanted_since: Option<DateTime<Utc>>,
    /// When the oldest record found was stored, if the first reading began with the oldest record.
    pub oldest_found: Option<DateTime<Utc>>,
    /// When the newest records were last compared with those read.
    pub comparison: Option<Comparison>,
    pub was_handled: WasHandled,
    /// When the reading began that last reached the end of the log.
    pub caught_up_at: Option<DateTime<Utc>>,
    /// Records stored up to this long before `caught_up_at` may have become visible only after it.
    pub overlap: Duration,
    /// Records that may be missing because the checkpoint was lost.
    pub loss: Option<Gap>,
}

impl Opening {
    /// Whether a stretch is read again, by a replay or an audit. Only such a run has no comparison. It
    /// is never behind, and what it does not find may have been delivered before.
    pub fn is_replay(&self) -> bool {
        self.comparison.is_none()
    }

    /// The stored time from which a prefix that was never met is read.
    pub fn beginning(&self) -> Option<DateTime<Utc>> {
        self.wanted_since.map(|since| since - STORING_DELAY)
    }

    /// Whether this cursor is not a record's id, but the synthetic id at which its prefix begins to be
    /// read.
    pub fn begins_after(&self, cursor: &LogId) -> bool {
        let beginning = cursor.prefix().zip(self.beginning());
        beginning.is_some_and(|(prefix, time)| *cursor == LogId::synthetic(prefix, time))
    }
}

/// How a record was handled.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Handled {
    /// The destination acknowledged it.
    Accepted,
    /// It is stored as a dead letter.
    SetAside,
    /// It is not wanted: filtered out, or dated before the start.
    LeftOut,
}

/// Tracks the records of one destination.
///
/// Notes are stored by the next save, in order. If a run is killed before that, the next run repeats
/// what was done since the last save. A save fails if someone else has saved meanwhile.
pub(crate) trait Ledger: Send {
    /// Opens the ledger for a run that begins now.
    fn open(
        &mut self,
        deadline: Deadline,
    ) -> impl Future<Output = Result<Opening, BoxError>> + Send;

    /// Whether a record is not wanted, because it is dated before the start.
    fn leaves_out(&self, record: &Record) -> bool;

    /// Whether this record was handled before.
    fn has_handled(&self, id: &LogId) -> bool;

    /// Notes that a record is handled.
    fn note(&mut self, record: &Record, handled: Handled);

    /// Notes that the source rejects the cursor, so that reading starts over at `start`.
    fn begin_anew(&mut self, start: Start);

    /// Notes that reading of a prefix begins after this id; records up to it are not wanted.
    fn begin_series(&mut self, below: &LogId);

    /// Notes when the oldest record was stored, as found by a reading that begins with the oldest
    /// record. Only the first such time is kept.
    fn found_oldest(&mut self, oldest: DateTime<Utc>);

    /// Notes when the newest records were compared with those read.
    fn compared(&mut self, comparison: Comparison);

    /// Notes that the destination refuses every record, and returns since when. `None` for a replay in
    /// which it has accepted records: no later run will learn more.
    fn refuses_all(&mut self) -> Option<DateTime<Utc>>;

    /// Since when the destination has refused every record.
    fn refused_since(&self) -> Option<DateTime<Utc>>;

    /// Notes that the destination failed over this record, which it was sent alone, while it accepted
    /// others. The record is not set aside yet: nothing was accepted after it, or the time of the run was
    /// over. Returns whether that was not noted before.
    fn suspect(&mut self, id: &LogId) -> bool;

    /// Whether an earlier run has noted this of the record. What is accepted in this one then shows that
    /// the fault is in the record.
    fn is_suspect(&self, id: &LogId) -> bool;

    /// The newest record that was acknowledged or set aside, by this run or an earlier one.
    fn newest(&self) -> Option<&Newest>;

    /// Notes by how much the local clock, which says when the run began, is ahead of the source's. The
    /// source's clock decides which records may still become visible.
    fn clock_is_ahead(&mut self, _by: TimeDelta) {}

    /// Moves the cursors: this run has read and handled everything of each prefix up to `read`.
    fn reach(&mut self, read: &Reach);

    /// Saves what was noted and reached.
    fn save(&mut self, deadline: Deadline) -> impl Future<Output = Result<(), BoxError>> + Send;

    /// Ends the run; `caught_up` says whether it read the log to its end. Saves whatever is new.
    fn close(
        &mut self,
        caught_up: bool,
        deadline: Deadline,
    ) -> impl Future<Output = Result<(), BoxError>> + Send;
}
