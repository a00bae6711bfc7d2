//! Records that cannot be delivered are set aside with the reason, so that the rest can go on.

use chrono::{DateTime, Utc};

use crate::error::BoxError;
use crate::net::retry::Deadline;
use crate::record::{LogId, Record};

/// What is set aside.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DeadLetter<'a> {
    /// The record's id, if it has one.
    pub log_id: Option<&'a LogId>,
    /// The record's JSON text.
    pub json: &'a str,
    /// Why it is set aside.
    pub reason: &'a str,
}

impl<'a> DeadLetter<'a> {
    /// A record, for this reason.
    pub fn of(record: &'a Record, reason: &'a str) -> Self {
        Self {
            log_id: Some(&record.log_id),
            json: record.text(),
            reason,
        }
    }
}

/// Where a dead letter is.
#[derive(Debug)]
pub(crate) struct Kept {
    /// For people.
    pub place: String,
    /// Whether it was not there before.
    pub is_new: bool,
}

/// Keeps what one destination cannot take.
pub(crate) trait DeadLetters: Send + Sync {
    /// Keeps a record. To keep it twice is the same as once.
    fn set_aside(
        &self,
        letter: DeadLetter<'_>,
        now: DateTime<Utc>,
        deadline: Deadline,
    ) -> impl Future<Output = Result<Kept, BoxError>> + Send;
}
