//! Where records come from: one small trait.
//!
//! A source knows its service's addresses, tokens and limits. It knows nothing of checkpoints or
//! destinations: which record to read behind, and what becomes of the records, is the poller's
//! business.

use std::future::Future;

use bytes::Bytes;
use chrono::{DateTime, Datelike as _, Utc};

use crate::BoxError;
use crate::auth0::{LogId, Record};
use crate::retry::Deadline;

/// Where a first reading begins.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Start {
    /// With the oldest record that the source still has.
    Oldest,
    /// With the first record dated so or later.
    At(DateTime<Utc>),
}

impl Start {
    /// Whether a service can be asked for it: a year has four digits, and what is subtracted from
    /// it stays in range.
    #[must_use]
    pub fn is_usable(self) -> bool {
        match self {
            Self::Oldest => true,
            Self::At(time) => (1..=9999).contains(&time.year()),
        }
    }
}

/// Some records, ascending by id, as one request returned them.
#[derive(Clone, Debug)]
pub struct Page {
    /// The records.
    pub records: Vec<Record>,
    /// The JSON text of what was among them and cannot be told apart from others, since it has no
    /// id.
    pub misfits: Vec<Bytes>,
    /// Whether the source had no more at that moment.
    pub is_last: bool,
}

impl Page {
    /// A page behind which there is nothing.
    #[must_use]
    pub fn last(records: Vec<Record>) -> Self {
        Self {
            records,
            misfits: Vec::new(),
            is_last: true,
        }
    }
}

/// Why a page was not read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The source does not read behind this id, most likely because it no longer has the record.
    #[error(transparent)]
    Rejected(BoxError),
    /// There was no time for it in this run.
    #[error(transparent)]
    OutOfTime(BoxError),
    /// Anything else. Passing failures have been tried again already.
    #[error(transparent)]
    Failed(BoxError),
}

/// Where records come from.
pub trait Source: Send + Sync {
    /// The page with which a reading from `start` begins.
    fn first(
        &self,
        start: Start,
        deadline: Deadline,
    ) -> impl Future<Output = Result<Page, SourceError>> + Send;

    /// The page behind a record.
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
