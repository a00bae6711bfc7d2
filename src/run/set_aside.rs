//! Records that cannot be delivered are set aside with the reason, so that the rest can go on.

use chrono::{DateTime, Utc};
use tracing::warn;

use super::{ActiveRun, RunError, Stop};
use crate::error::BoxError;
use crate::net::retry::Deadline;
use crate::record::{LogId, Record, Source};

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

impl<S: Source, A: DeadLetters> ActiveRun<'_, S, A> {
    /// Stores a dead letter. Returns whether it is new.
    pub(super) async fn set_aside(&self, letter: DeadLetter<'_>) -> Result<bool, Stop> {
        if self.deadline.is_over() {
            return Err(Stop::OutOfTime);
        }
        let dead_letters = self.run.dead_letters;
        let kept = dead_letters.set_aside(letter, self.now(), self.deadline);
        let Kept { place, is_new } = kept.await.map_err(RunError::DeadLetter)?;
        if is_new {
            warn!("a record was set aside in {place}: {}", letter.reason);
            self.report(|report| report.dead_lettered += 1);
        }
        Ok(is_new)
    }
}
