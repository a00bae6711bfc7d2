//! Where records come from: one small trait.
//!
//! A source knows its service's addresses, tokens and limits. It knows nothing of checkpoints or
//! destinations: where to begin, and what becomes of the records, is the run's business.

use std::future::{Future, ready};

use chrono::{DateTime, TimeDelta, Utc};

use super::{LogId, Page, Record, Start};
use crate::error::BoxError;
use crate::net::retry::Deadline;

/// How long Auth0 keeps records on every plan. Nothing was lost if reading caught up within this time.
pub(crate) const SHORTEST_RETENTION: TimeDelta = TimeDelta::days(1);
/// How long Auth0 keeps records on the plan that keeps them longest.
pub(crate) const LONGEST_RETENTION: TimeDelta = TimeDelta::days(30);

/// Why a page was not read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SourceError {
    /// The source does not read on after this id, most likely because it no longer has the record.
    #[error(transparent)]
    Rejected(BoxError),
    /// This run had no time left for the request.
    #[error(transparent)]
    OutOfTime(BoxError),
    /// The source did not answer before the time for reading was over, or takes no requests for
    /// longer than that.
    #[error(transparent)]
    Slow(BoxError),
    /// Any other failure. Transient ones have been retried already.
    #[error(transparent)]
    Failed(BoxError),
}

/// Where records come from.
pub(crate) trait Source: Send + Sync {
    /// The first page from `start`.
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

    /// Like [`after`](Self::after), but as a look ahead, which does not change what reading returns next.
    fn look(
        &self,
        id: &LogId,
        deadline: Deadline,
    ) -> impl Future<Output = Result<Page, SourceError>> + Send;

    /// The first record after an id. The id need not be a record's, if the source accepts it.
    fn next(
        &self,
        _after: &LogId,
        _: Deadline,
    ) -> impl Future<Output = Result<Option<Record>, SourceError>> + Send {
        ready(Ok(None))
    }

    /// Whether the source has dropped this record, so that records may be missing after it although
    /// [`after`](Self::after) returns a page.
    fn has_dropped(
        &self,
        id: &LogId,
        deadline: Deadline,
    ) -> impl Future<Output = Result<bool, SourceError>> + Send;

    /// The newest records by date, of any prefix, each with at least its id and its date. Empty for
    /// a source that has only a part of the log.
    fn latest(&self, _: Deadline) -> impl Future<Output = Result<Vec<Record>, SourceError>> + Send {
        ready(Ok(Vec::new()))
    }

    /// The newest of the records dated `to` or earlier, in the form of [`latest`](Self::latest);
    /// empty if there are no more.
    fn earlier(
        &self,
        _to: DateTime<Utc>,
        _: Deadline,
    ) -> impl Future<Output = Result<Vec<Record>, SourceError>> + Send {
        ready(Ok(Vec::new()))
    }

    /// The record with the smallest id of a prefix, among those dated `from` or later, and the misfits
    /// met on the way to it. Called only if there is such a record.
    fn smallest(
        &self,
        _prefix: &str,
        _from: DateTime<Utc>,
        _: Deadline,
    ) -> impl Future<Output = Result<Option<Page>, SourceError>> + Send {
        ready(Ok(None))
    }

    /// The record with this id, if there is one. Called only for one of the newest records.
    fn one(
        &self,
        _id: &LogId,
        _: Deadline,
    ) -> impl Future<Output = Result<Option<Record>, SourceError>> + Send {
        ready(Ok(None))
    }

    /// The time of the oldest record that the source still has, if it can tell: its date, or the
    /// storage time of an imported record.
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
