//! What a run asks of the book-keeping: where to begin, what is handled already, and to keep what it
//! has handled.
//!
//! A record is *handled* once it was acknowledged, set aside or left out. The cursor follows what is
//! handled, however that came about, and never passes a record that is not.

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
    /// Its id, the largest of all.
    pub log_id: LogId,
    /// Its date, where it had a readable one.
    pub date: Option<DateTime<Utc>>,
}

/// Whether a record was handled before this run.
pub(crate) type WasHandled = Arc<dyn Fn(&LogId) -> bool + Send + Sync>;

/// What a ledger says when a run opens it.
#[derive(Clone)]
pub(crate) struct Opening {
    /// Where reading resumes.
    pub position: Position,
    /// After these records it resumes as well: the cursors of other prefixes that are in use.
    pub ahead: Vec<LogId>,
    /// The cursors of all prefixes.
    pub cursors: Reach,
    /// What Auth0 stored before this with a prefix that was never met is not wanted.
    pub since: Option<DateTime<Utc>>,
    /// When the oldest record was stored that a first reading found, where it began with that.
    pub oldest_found: Option<DateTime<Utc>>,
    /// When the newest records were compared with those read.
    pub comparison: Option<Comparison>,
    pub was_handled: WasHandled,
    /// When a run began that read the log to its end.
    pub caught_up_at: Option<DateTime<Utc>>,
    /// What was stored so long before that may have become visible since.
    pub overlap: Duration,
    /// Records that may be missing, because what was known of them was lost.
    pub loss: Option<Gap>,
}

impl Opening {
    /// From when on a prefix is read that was never met.
    pub fn beginning(&self) -> Option<DateTime<Utc>> {
        self.since.map(|since| since - STORING_DELAY)
    }

    /// Whether this cursor is none of a record, but where reading of its prefix begins.
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
    /// It is among the dead letters.
    SetAside,
    /// It is not wanted.
    LeftOut,
}

/// Keeps the account of one destination's records.
///
/// What is noted is kept at the next save, in order: a run that is killed before it does again what
/// it had done since. A save fails where somebody else has saved meanwhile.
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

    /// Notes that the source no longer takes the cursor, so that reading begins anew at `start`.
    fn begin_anew(&mut self, start: Start);

    /// Notes that reading of a prefix begins after this id: what is below is not wanted.
    fn begin_series(&mut self, below: &LogId);

    /// Notes when the oldest record was stored that a reading found, which begins with that. The first
    /// such time is kept.
    fn begin_with(&mut self, oldest: DateTime<Utc>);

    /// Notes when the newest records were compared with those read.
    fn compared(&mut self, comparison: Comparison);

    /// Notes that the destination refuses whatever it is sent. Answers since when it does; nothing where
    /// this run has seen it take records, and none comes later that could see more.
    fn refuses_all(&mut self) -> Option<DateTime<Utc>>;

    /// Since when the destination has refused whatever it was sent.
    fn refused_since(&self) -> Option<DateTime<Utc>>;

    /// The newest record that was acknowledged or set aside, by this run or an earlier one.
    fn newest(&self) -> Option<&Newest>;

    /// Notes by how much the clock by which the run began is ahead of the source's, by which it is judged
    /// what may still become visible.
    fn clock_is_ahead(&mut self, _by: TimeDelta) {}

    /// Moves the cursors, since this run has read everything of each prefix up to there, and handled
    /// it all.
    fn reach(&mut self, read: &Reach);

    /// Keeps what was noted and reached.
    fn save(&mut self, deadline: Deadline) -> impl Future<Output = Result<(), BoxError>> + Send;

    /// Ends the run, which has read the log to its end or not. Keeps what is news.
    fn close(
        &mut self,
        caught_up: bool,
        deadline: Deadline,
    ) -> impl Future<Output = Result<(), BoxError>> + Send;
}
