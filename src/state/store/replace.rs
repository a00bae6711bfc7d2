//! Replaces a checkpoint by command.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use tracing::warn;

use super::{CheckpointError, CheckpointStore};
use crate::error::with_causes;
use crate::net::retry::Deadline;
use crate::state::checkpoint::Checkpoint;
use crate::state::format;

/// What a new checkpoint has replaced.
#[derive(Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "there is one of them in a command"
)]
pub(crate) enum Replaced {
    /// There was nothing.
    Nothing,
    /// There was nothing any more.
    Gone,
    /// Another checkpoint.
    Checkpoint(Checkpoint),
    /// Something that cannot be read as a checkpoint.
    Unreadable,
}

impl CheckpointStore {
    /// Replaces whatever is stored, readable or not, with `checkpoint`. Returns what was stored.
    pub async fn replace(
        &self,
        checkpoint: &Checkpoint,
        now: DateTime<Utc>,
        deadline: Deadline,
    ) -> Result<Replaced, CheckpointError> {
        self.claim(deadline).await?;
        let (stored, version) = self.read(&self.newest(), deadline).await?.unzip();
        // Kept as the previous generation, if it is readable.
        let is_readable = |json: &Bytes| format::read(json).is_ok();
        let (kept, unreadable) = match stored.clone() {
            Some(json) if is_readable(&json) => (Some(json), None),
            json => (None, json),
        };
        *self.unkept() = kept;
        if let Some(content) = unreadable {
            self.set_aside(content, deadline).await?;
        }
        // If the newest was removed by hand, the previous one would have been used.
        let stored = match stored {
            None => self.read(&self.previous(), deadline).await?.unzip().0,
            stored => stored,
        };
        let is_gone = stored.is_none() && self.is_gone(deadline).await;
        self.save(checkpoint, version.as_ref(), now, deadline)
            .await?;
        Ok(match stored.map(|json| format::read(&json)) {
            None if is_gone => Replaced::Gone,
            None => Replaced::Nothing,
            Some(Ok(checkpoint)) => Replaced::Checkpoint(checkpoint),
            Some(Err(_)) => Replaced::Unreadable,
        })
    }

    /// Whether there was a checkpoint, if none was found. A history that cannot be read keeps nobody from
    /// writing one.
    async fn is_gone(&self, deadline: Deadline) -> bool {
        let was_there = self.was_ever_there(deadline).await;
        was_there.unwrap_or_else(|error| {
            warn!("{}", with_causes(&error));
            false
        })
    }
}
