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
    /// A record that is set aside for this reason.
    pub fn of(record: &'a Record, reason: &'a str) -> Self {
        Self {
            log_id: Some(&record.log_id),
            json: record.text(),
            reason,
        }
    }
}

/// A dead letter that is stored.
#[derive(Debug)]
pub(crate) struct Kept {
    /// Where it is, for people.
    pub place: String,
    /// Whether it was not there before.
    pub is_new: bool,
}

/// Stores the dead letters of one destination.
pub(crate) trait DeadLetters: Send + Sync {
    /// Stores a dead letter. Storing it twice has the same effect as once.
    fn set_aside(
        &self,
        letter: DeadLetter<'_>,
        now: DateTime<Utc>,
        deadline: Deadline,
    ) -> impl Future<Output = Result<Kept, BoxError>> + Send;
}
