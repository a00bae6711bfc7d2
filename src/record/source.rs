//! Where records come from: one small trait.
//!
//! A source knows its service's addresses, tokens and limits. It knows nothing of checkpoints or
//! destinations: where to begin, and what becomes of the records, is the run's business.

use std::future::{Future, ready};

use chrono::{DateTime, TimeDelta, Utc};

use super::{LogId, Page, Record, Start};
use crate::error::BoxError;
use crate::net::retry::Deadline;

/// For how long Auth0 keeps records on every plan: what was read to its end within it has lost
/// nothing.
pub(crate) const SHORTEST_RETENTION: TimeDelta = TimeDelta::days(1);
/// The same on the plan that keeps them longest.
pub(crate) const LONGEST_RETENTION: TimeDelta = TimeDelta::days(30);

/// Why a page was not read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SourceError {
    /// The source does not read on after this id, most likely because it no longer has the record.
    #[error(transparent)]
    Rejected(BoxError),
    /// There was no time for it in this run.
    #[error(transparent)]
    OutOfTime(BoxError),
    /// It did not answer before the time for reading was over.
    #[error(transparent)]
    Slow(BoxError),
    /// Anything else. Passing failures have been tried again already.
    #[error(transparent)]
    Failed(BoxError),
}

/// Where records come from.
pub(crate) trait Source: Send + Sync {
    /// The page with which a reading from `start` begins.
    fn first(
        &self,
        start: Start,
        deadline: Deadline,
    ) -> impl Future<Output = Result<Page, SourceError>> + Send;

    /// The page after a record.
    fn after(
        &self,
        id: &LogId,
        deadline: Deadline,
    ) -> impl Future<Output = Result<Page, SourceError>> + Send;

    /// The same for a look at what comes, of which the reading that goes on misses nothing.
    fn look(
        &self,
        id: &LogId,
        deadline: Deadline,
    ) -> impl Future<Output = Result<Page, SourceError>> + Send {
        self.after(id, deadline)
    }

    /// The first record after an id, which need not be that of a record, if the source takes it.
    fn next(
        &self,
        _after: &LogId,
        _: Deadline,
    ) -> impl Future<Output = Result<Option<Record>, SourceError>> + Send {
        ready(Ok(None))
    }

    /// Whether the source has dropped this record, so that `after` it something may be missing
    /// even though a page comes.
    fn has_dropped(
        &self,
        id: &LogId,
        deadline: Deadline,
    ) -> impl Future<Output = Result<bool, SourceError>> + Send;

    /// The newest records by date, of any prefix: of each at least its id and its date. A source of a
    /// part of the log has none.
    fn latest(&self, _: Deadline) -> impl Future<Output = Result<Vec<Record>, SourceError>> + Send {
        ready(Ok(Vec::new()))
    }

    /// The newest of the records dated `to` or earlier, told like the newest of all: none, where there are
    /// no more.
    fn earlier(
        &self,
        _to: DateTime<Utc>,
        _: Deadline,
    ) -> impl Future<Output = Result<Vec<Record>, SourceError>> + Send {
        ready(Ok(Vec::new()))
    }

    /// The record with the smallest id of a prefix, of those dated so or later. It is asked for only
    /// where there is such a record.
    fn smallest(
        &self,
        _prefix: &str,
        _from: DateTime<Utc>,
        _: Deadline,
    ) -> impl Future<Output = Result<Option<Record>, SourceError>> + Send {
        ready(Ok(None))
    }

    /// The record with this id, if there is one. It is asked for only where it is one of the newest.
    fn one(
        &self,
        _id: &LogId,
        _: Deadline,
    ) -> impl Future<Output = Result<Option<Record>, SourceError>> + Send {
        ready(Ok(None))
    }

    /// Since when the oldest record that the source still has is there, if it can tell: its date, or of
    /// one that was imported, when it was stored.
    fn oldest(
        &self,
        deadline: Deadline,
    ) -> impl Future<Output = Result<Option<DateTime<Utc>>, SourceError>> + Send;

    /// By how much this machine's clock is ahead of the source's, as far as its answers tell.
    fn clock_ahead(&self) -> TimeDelta {
        TimeDelta::zero()
    }

    /// Requests made so far.
    fn requests(&self) -> u64;
}
