//! Where records come from: one small trait.
//!
//! A source knows its service's addresses, tokens and limits. It knows nothing of checkpoints or
//! destinations: where to begin, and what becomes of the records, is the run's business.

use std::future::Future;

use chrono::{DateTime, Utc};

use super::{LogId, Page, Start};
use crate::error::BoxError;
use crate::net::retry::Deadline;

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

    /// Whether the source has dropped this record, so that `after` it something may be missing
    /// even though a page comes.
    fn has_dropped(
        &self,
        id: &LogId,
        deadline: Deadline,
    ) -> impl Future<Output = Result<bool, SourceError>> + Send;

    /// The date of the oldest record that the source still has, if it can tell.
    fn oldest(
        &self,
        deadline: Deadline,
    ) -> impl Future<Output = Result<Option<DateTime<Utc>>, SourceError>> + Send;

    /// Requests made so far.
    fn requests(&self) -> u64;
}
