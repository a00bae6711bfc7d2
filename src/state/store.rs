//! Checkpoints in the storage that the settings name, in two generations.

mod handover;
mod peek;
mod replace;

use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use tracing::warn;

pub(crate) use self::peek::Peeked;
pub(crate) use self::replace::Replaced;
use super::checkpoint::Checkpoint;
use super::format::{self, Unreadable};
use super::history::HistoryStore;
use crate::error::with_causes;
use crate::net::retry::Deadline;
use crate::report::alone;
use crate::storage::{Storage, StorageError, Version, digest};

/// What is said of the newest generation if only the previous one exists.
const NOT_THERE: &str = "it is not there";

/// Why a checkpoint was not loaded or saved.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CheckpointError {
    /// The storage could not be read.
    #[error("reading the checkpoint {path}")]
    Read { path: String, source: StorageError },
    /// There is none, and the history, which tells whether there was one, could not be read.
    #[error("reading the history {path}")]
    History { path: String, source: StorageError },
    /// What is stored there cannot be used.
    #[error(
        "the checkpoint {path} cannot be used; \
         `auth0-poller checkpoint set --from …` writes a new one ({only})"
    )]
    Unreadable {
        path: String,
        /// How to run a command only for this checkpoint.
        only: String,
        source: Unreadable,
    },
    /// There was one, and both generations are missing. A run begins anew.
    #[error(
        "the checkpoint {path} is gone, and so is the one before it; put one of them back before the \
         next run, which otherwise begins at START_FROM, or let that begin earlier by `auth0-poller \
         checkpoint set --from …` ({only})"
    )]
    Gone {
        path: String,
        /// How to run a command only for this checkpoint.
        only: String,
    },
    /// The storage could not be written.
    #[error("saving the checkpoint {path}")]
    Write { path: String, source: StorageError },
    /// It was changed by something else since this run read or saved it.
    #[error(
        "the checkpoint {path} was changed or removed by something else during this run, so the \
         run gives way: by `checkpoint set`, or by a second poller, of which there must be none \
         for the same tenant and destination"
    )]
    Conflict { path: String },
}

impl CheckpointError {
    /// Whether the storage may be available again later.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Read { source, .. }
            | Self::History { source, .. }
            | Self::Write { source, .. } => source.may_pass(),
            Self::Unreadable { .. } | Self::Gone { .. } | Self::Conflict { .. } => false,
        }
    }
}

/// What a store holds.
#[derive(Debug)]
pub(crate) enum Stored {
    /// There has never been a checkpoint, as far as is known.
    Nothing,
    /// The newest generation.
    Newest(Checkpoint),
    /// The previous generation, because the newest is missing or cannot be read.
    Previous(Checkpoint),
    /// There was a checkpoint, but no generation of it can be read.
    Lost,
}

/// What a store holds, and its version.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// What is stored.
    pub found: Stored,
    /// The version that the next save must name; `None` if there is nothing to replace.
    pub version: Option<Version>,
}

/// The checkpoint of one destination of one tenant.
///
/// A save succeeds only over the version that was last read or saved, so one of two pollers notices the
/// other. A save may be repeated until the deadline, but never reports a conflict with a version that
/// it wrote itself.
///
/// The first save after a load stores what was loaded as the previous generation. If the newest
/// generation turns out to be unreadable, the previous one is used: then some records come twice, and
/// none is lost.
pub(crate) struct CheckpointStore {
    storage: Arc<Storage>,
    path: String,
    /// Identifies the destination in messages.
    label: String,
    /// The checkpoints of destinations that this one may replace, by name.
    predecessors: Vec<(&'static str, Self)>,
    writer: String,
    /// What was loaded, until it is stored as the previous generation.
    unkept: Mutex<Option<Bytes>>,
    /// Whether the storage was unavailable when the checkpoint was last loaded.
    is_away: AtomicBool,
    /// Whether this process has seen a checkpoint here.
    was_there: AtomicBool,
    /// Tells of runs before this process.
    history: HistoryStore,
}

impl CheckpointStore {
    /// The checkpoint of one destination of one tenant: `checkpoints/<tenant>/<destination>.json`.
    /// `writer` identifies this process in what it writes.
    pub fn new(storage: Arc<Storage>, tenant: &str, destination: &str, writer: String) -> Self {
        Self {
            history: HistoryStore::new(Arc::clone(&storage), tenant, destination),
            storage,
            writer,
            path: format!("checkpoints/{tenant}/{destination}"),
            label: destination.to_owned(),
            predecessors: Vec::new(),
            unkept: Mutex::default(),
            is_away: AtomicBool::default(),
            was_there: AtomicBool::default(),
        }
    }

    /// The same, with the label that identifies the destination among several tenants.
    pub fn labelled(self, label: &str) -> Self {
        let label = label.to_owned();
        Self { label, ..self }
    }

    pub fn label(&self) -> &str {
        &self.label
    }

    /// The same for a destination that may replace these, by name.
    pub fn replacing(self, predecessors: Vec<(&'static str, Self)>) -> Self {
        Self {
            predecessors,
            ..self
        }
    }

    fn unreadable(&self, path: &str, source: Unreadable) -> CheckpointError {
        CheckpointError::Unreadable {
            path: self.storage.location(path),
            only: alone(&self.label),
            source,
        }
    }

    /// Warns that the newest generation cannot be used.
    fn warn_of_newest(&self, problem: &str) {
        warn!(
            "the checkpoint {} cannot be used ({problem}), so the one before it is",
            self.location()
        );
    }

    /// Notes that the destination has accepted a record, if it refused every record before.
    pub async fn end_refusal(
        &self,
        now: DateTime<Utc>,
        deadline: Deadline,
    ) -> Result<(), CheckpointError> {
        // Looks first: if there is nothing to note, nothing is to be claimed or set aside.
        let peeked = self.peek(now, deadline).await?;
        if peeked.is_none_or(|it| it.checkpoint.refused_since.is_none()) {
            return Ok(());
        }
        let Loaded { found, version } = self.load(now, deadline).await?;
        if let Stored::Newest(mut checkpoint) = found {
            checkpoint.refused_since = None;
            self.save(&checkpoint, version.as_ref(), now, deadline)
                .await?;
        }
        Ok(())
    }

    /// Where the checkpoint is stored, for people.
    pub fn location(&self) -> String {
        self.storage.location(&self.newest())
    }

    fn newest(&self) -> String {
        format!("{}.json", self.path)
    }

    fn previous(&self) -> String {
        format!("{}.previous.json", self.path)
    }

    async fn claim(&self, deadline: Deadline) -> Result<(), CheckpointError> {
        let claimed = self.storage.claim(deadline).await;
        claimed.map_err(|source| self.read_error(&self.newest(), source))
    }

    async fn read(
        &self,
        path: &str,
        deadline: Deadline,
    ) -> Result<Option<(Bytes, Version)>, CheckpointError> {
        let read = self.storage.read(path, deadline).await;
        read.map_err(|source| self.read_error(path, source))
    }

    fn read_error(&self, path: &str, source: StorageError) -> CheckpointError {
        CheckpointError::Read {
            path: self.storage.location(path),
            source,
        }
    }

    /// The previous generation or, if it cannot be read, its content, if any.
    async fn load_previous(
        &self,
        now: DateTime<Utc>,
        deadline: Deadline,
    ) -> Result<Result<Checkpoint, Option<Bytes>>, CheckpointError> {
        let Some((json, _)) = self.read(&self.previous(), deadline).await? else {
            return Ok(Err(None));
        };
        match read(&json, now) {
            Ok(checkpoint) => Ok(Ok(checkpoint)),
            Err(problem) => {
                let seen = self.unless_newer(&self.previous(), problem);
                seen.map(|_| Err(Some(json)))
            }
        }
    }

    /// Fails if a newer version of this program wrote the checkpoint, which then is not lost.
    fn unless_newer(&self, path: &str, problem: Unreadable) -> Result<Unreadable, CheckpointError> {
        match problem {
            Unreadable::Newer(_) => Err(self.unreadable(path, problem)),
            _ => Ok(problem),
        }
    }

    /// Stores unreadable content under a name derived from it, for whoever wants to see it.
    async fn set_aside(&self, content: Bytes, deadline: Deadline) -> Result<(), CheckpointError> {
        let digest = digest(&content);
        let path = format!("{}.unreadable-{}.json", self.path, &digest[..8]);
        match self.storage.write(&path, content, None, deadline).await {
            Ok(_) | Err(StorageError::Conflict) => Ok(()),
            Err(source) => Err(self.write_error(&path, source)),
        }
    }

    fn write_error(&self, path: &str, source: StorageError) -> CheckpointError {
        CheckpointError::Write {
            path: self.storage.location(path),
            source,
        }
    }

    /// Writes one generation over this version.
    async fn put(
        &self,
        path: &str,
        json: Bytes,
        version: Option<&Version>,
        deadline: Deadline,
    ) -> Result<Version, CheckpointError> {
        let written = self.storage.write(path, json.clone(), version, deadline);
        match written.await {
            Ok(version) => Ok(version),
            // If the response to a write was lost, the repeated write conflicts with its own result.
            Err(StorageError::Conflict) => match self.read(path, deadline).await? {
                Some((stored, version)) if stored == json => Ok(version),
                _ => Err(CheckpointError::Conflict {
                    path: self.storage.location(path),
                }),
            },
            Err(source) => Err(self.write_error(path, source)),
        }
    }

    /// Stores what was loaded as the previous generation, before a new one is saved.
    async fn keep_previous(&self, deadline: Deadline) -> Result<(), CheckpointError> {
        let Some(json) = self.unkept().clone() else {
            return Ok(());
        };
        let path = self.previous();
        let (stored, version) = self.read(&path, deadline).await?.unzip();
        if stored.as_ref() != Some(&json) {
            self.put(&path, json, version.as_ref(), deadline).await?;
        }
        *self.unkept() = None;
        Ok(())
    }

    fn unkept(&self) -> MutexGuard<'_, Option<Bytes>> {
        self.unkept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CheckpointStore {
    /// Loads the checkpoint. One with a position later than `now` counts as unreadable.
    pub async fn load(
        &self,
        now: DateTime<Utc>,
        deadline: Deadline,
    ) -> Result<Loaded, CheckpointError> {
        // Until there is an answer: a process that is asked to end does not wait for it.
        self.is_away.store(true, Ordering::Relaxed);
        let loaded = self.load_now(now, deadline).await;
        if let Ok(Loaded { found, .. }) = &loaded {
            let is_there = !matches!(found, Stored::Nothing);
            self.was_there.fetch_or(is_there, Ordering::Relaxed);
        }
        let is_away = loaded.as_ref().is_err_and(|error| is_storage_away(error));
        self.is_away.store(is_away, Ordering::Relaxed);
        loaded
    }

    /// Whether the storage was unavailable when the checkpoint was last loaded.
    pub fn is_away(&self) -> bool {
        self.is_away.load(Ordering::Relaxed)
    }

    async fn load_now(
        &self,
        now: DateTime<Utc>,
        deadline: Deadline,
    ) -> Result<Loaded, CheckpointError> {
        self.claim(deadline).await?;
        *self.unkept() = None;
        let newest = self.read(&self.newest(), deadline).await?;
        let (json, version) = newest.unzip();
        let problem = match json.as_ref().map(|json| read(json, now)) {
            Some(Ok(checkpoint)) => {
                *self.unkept() = json;
                let found = Stored::Newest(checkpoint);
                return Ok(Loaded { found, version });
            }
            Some(Err(problem)) => with_causes(&self.unless_newer(&self.newest(), problem)?),
            None => NOT_THERE.to_owned(),
        };
        let found = match (self.load_previous(now, deadline).await?, json) {
            (Err(None), None) if self.was_ever_there(deadline).await? => {
                warn!(
                    "the checkpoint {} is gone, and so is the one before it",
                    self.location()
                );
                Stored::Lost
            }
            (Err(None), None) => Stored::Nothing,
            (Ok(checkpoint), json) => {
                if let Some(content) = json {
                    self.set_aside(content, deadline).await?;
                }
                self.warn_of_newest(&problem);
                Stored::Previous(checkpoint)
            }
            (Err(previous), json) => {
                for content in [previous, json].into_iter().flatten() {
                    self.set_aside(content, deadline).await?;
                }
                warn!(
                    "the checkpoint {} cannot be used ({problem}), nor one before it; both are \
                     set aside beside it",
                    self.location()
                );
                Stored::Lost
            }
        };
        Ok(Loaded { found, version })
    }

    /// Whether there was a checkpoint here, if both generations are missing. A run that delivered
    /// something had saved one before.
    async fn was_ever_there(&self, deadline: Deadline) -> Result<bool, CheckpointError> {
        if self.was_there.load(Ordering::Relaxed) {
            return Ok(true);
        }
        let delivered = self.history.has_delivered(deadline).await;
        delivered.map_err(|source| CheckpointError::History {
            path: self.history.place(),
            source,
        })
    }

    /// Saves the checkpoint over `version`, or as the first one if that is `None`.
    pub async fn save(
        &self,
        checkpoint: &Checkpoint,
        version: Option<&Version>,
        now: DateTime<Utc>,
        deadline: Deadline,
    ) -> Result<Version, CheckpointError> {
        self.keep_previous(deadline).await?;
        let json = format::write(checkpoint, now, &self.writer);
        let saved = self.put(&self.newest(), json, version, deadline).await?;
        self.was_there.store(true, Ordering::Relaxed);
        Ok(saved)
    }
}

/// Whether an error comes from a storage that is unavailable now.
fn is_storage_away(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<StorageError>() {
            return error.is_away();
        }
        cause = error.source();
    }
    false
}

fn read(json: &Bytes, now: DateTime<Utc>) -> Result<Checkpoint, Unreadable> {
    let mut checkpoint = format::read(json)?;
    if checkpoint.is_of_the_future(now) {
        checkpoint.bring_back(now);
        if checkpoint.is_of_the_future(now) {
            return Err(Unreadable::Future);
        }
    }
    Ok(checkpoint)
}

#[cfg(test)]
mod tests;
