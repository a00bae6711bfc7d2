//! Shows people the checkpoint that the next run uses. Nothing is claimed or set aside.

use bytes::Bytes;
use chrono::{DateTime, Utc};

use super::{CheckpointError, CheckpointStore, NOT_THERE, read};
use crate::error::with_causes;
use crate::net::retry::Deadline;
use crate::report::alone;
use crate::state::checkpoint::Checkpoint;
use crate::state::format::Unreadable;

/// The checkpoint that the next run uses, as it is shown.
#[derive(Debug)]
pub(crate) struct Peeked {
    pub checkpoint: Checkpoint,
    /// The stored text.
    pub text: String,
    /// Where it is, for people.
    pub location: String,
    /// What is wrong with the newest generation, if this is the previous one.
    pub damage: Option<Unreadable>,
    is_previous: bool,
}

impl CheckpointStore {
    /// The checkpoint that the next run uses, for people. Nothing is claimed or set aside.
    pub async fn peek(
        &self,
        now: DateTime<Utc>,
        deadline: Deadline,
    ) -> Result<Option<Peeked>, CheckpointError> {
        let shown = |path: &str, json: &Bytes, checkpoint| Peeked {
            checkpoint,
            text: String::from_utf8_lossy(json).into_owned(),
            location: self.storage.location(path),
            damage: None,
            is_previous: false,
        };
        let newest = self.newest();
        let problem = match self.read(&newest, deadline).await? {
            Some((json, _)) => match read(&json, now) {
                Ok(checkpoint) => return Ok(Some(shown(&newest, &json, checkpoint))),
                Err(problem) => Some(self.unless_newer(&newest, problem)?),
            },
            None => None,
        };
        let previous = self.previous();
        let Some((json, _)) = self.read(&previous, deadline).await? else {
            return match problem {
                Some(source) => Err(self.unreadable(&newest, source)),
                None => Ok(None),
            };
        };
        match read(&json, now) {
            Ok(checkpoint) => Ok(Some(Peeked {
                damage: problem,
                is_previous: true,
                ..shown(&previous, &json, checkpoint)
            })),
            Err(source) => {
                let source = self.unless_newer(&previous, source)?;
                // Even if the newest generation is missing, the next run would not begin as a first
                // one.
                Err(match problem {
                    Some(problem) => self.unreadable(&newest, problem),
                    None => self.unreadable(&previous, source),
                })
            }
        }
    }

    /// Whether there has never been a checkpoint, as far as is known, if none was found. It is an error
    /// if there was one.
    pub async fn never_was(&self, deadline: Deadline) -> Result<(), CheckpointError> {
        if self.was_ever_there(deadline).await? {
            return Err(CheckpointError::Gone {
                path: self.location(),
                only: alone(&self.label),
            });
        }
        Ok(())
    }

    /// Warns that the newest generation cannot be used, if this is the previous one.
    pub fn warn_of(&self, peeked: &Peeked) {
        if peeked.is_previous {
            let damage = peeked.damage.as_ref().map(|it| with_causes(it));
            self.warn_of_newest(damage.as_deref().unwrap_or(NOT_THERE));
        }
    }
}
