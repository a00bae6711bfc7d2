//! What was acknowledged lately, in the storage that the settings name.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use tracing::warn;

use super::{Arrivals, FORMAT};
use crate::net::retry::Deadline;
use crate::storage::{Storage, StorageError, Version};

/// Time limit for writing; a run does not wait longer. It is also limited to half of the time left for
/// saving, because the checkpoint is saved afterwards.
const SAVING: Duration = Duration::from_secs(5);

/// Why it could not be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ArrivalsError {
    /// The storage could not be read.
    #[error("reading the list of accepted records {place}")]
    Read { place: String, source: StorageError },
    /// It could not be written.
    #[error("writing the list of accepted records {place}")]
    Write { place: String, source: StorageError },
}

impl ArrivalsError {
    /// Whether the change may have been made: it was written, and there was no answer.
    pub fn is_unanswered(&self) -> bool {
        match self {
            Self::Write { source, .. } => !matches!(source, StorageError::Conflict),
            Self::Read { .. } => false,
        }
    }
}

/// What was acknowledged lately by one destination, in `arrival/<tenant>/<destination>.json`.
pub(crate) struct ArrivalStore {
    storage: Arc<Storage>,
    path: String,
    /// What this process read or wrote last.
    known: Mutex<Option<Known>>,
}

struct Known {
    arrivals: Arrivals,
    version: Option<Version>,
}

impl ArrivalStore {
    pub fn new(storage: Arc<Storage>, tenant: &str, destination: &str) -> Self {
        Self {
            storage,
            path: format!("arrival/{tenant}/{destination}.json"),
            known: Mutex::default(),
        }
    }

    /// Loads what is stored. If it cannot be used, warns, and begins with nothing.
    async fn load(&self, deadline: Deadline) -> Result<Known, ArrivalsError> {
        let read = self.storage.read(&self.path, deadline).await;
        let object = read.map_err(|source| ArrivalsError::Read {
            place: self.storage.location(&self.path),
            source,
        })?;
        let (json, version) = object.unzip();
        let Some(json) = json else {
            let arrivals = Arrivals::default();
            return Ok(Known { arrivals, version });
        };
        let arrivals = serde_json::from_slice::<Arrivals>(&json).ok();
        let arrivals = arrivals.filter(|it| it.format == FORMAT && it.is_sound());
        if arrivals.is_none() {
            warn!(
                "the list of accepted records {} cannot be used, so a new one is begun: whether what was \
                 delivered before has arrived is not checked",
                self.storage.location(&self.path)
            );
        }
        let arrivals = arrivals.unwrap_or_default();
        Ok(Known { arrivals, version })
    }

    /// Reads from what is stored.
    pub async fn see<T>(
        &self,
        deadline: Deadline,
        see: impl FnOnce(&Arrivals) -> T,
    ) -> Result<T, ArrivalsError> {
        let mut known = self.known.lock().await;
        let latest = match known.take() {
            Some(latest) => latest,
            None => self.load(deadline).await?,
        };
        let seen = see(&latest.arrivals);
        *known = Some(latest);
        Ok(seen)
    }

    /// Changes what is stored, and writes it if it is different. If another process has written
    /// meanwhile, changes what that process wrote.
    pub async fn change<T>(
        &self,
        deadline: Deadline,
        change: impl FnMut(&mut Arrivals) -> T,
    ) -> Result<T, ArrivalsError> {
        let deadline = deadline.for_saving();
        let last = deadline.for_answers();
        let left = last.saturating_duration_since(Instant::now());
        let most = SAVING.min(left / 2);
        let changed = timeout(most, self.change_within(deadline.within(most), change)).await;
        changed.unwrap_or_else(|_| {
            Err(ArrivalsError::Write {
                place: self.storage.location(&self.path),
                source: StorageError::OutOfTime,
            })
        })
    }

    async fn change_within<T>(
        &self,
        deadline: Deadline,
        mut change: impl FnMut(&mut Arrivals) -> T,
    ) -> Result<T, ArrivalsError> {
        let mut known = self.known.lock().await;
        let mut is_second = false;
        loop {
            let mut latest = match known.take() {
                Some(latest) => latest,
                None => self.load(deadline).await?,
            };
            let before = latest.arrivals.clone();
            let changed = change(&mut latest.arrivals);
            if latest.arrivals == before {
                *known = Some(latest);
                return Ok(changed);
            }
            let json = Bytes::from(serde_json::to_vec(&latest.arrivals).unwrap_or_default());
            let over = latest.version.as_ref();
            let written = self.storage.write_or_meet(&self.path, json, over, deadline);
            match written.await {
                Ok(version) => {
                    latest.version = Some(version);
                    *known = Some(latest);
                    return Ok(changed);
                }
                // The next attempt reads again first.
                Err(StorageError::Conflict) if !is_second => is_second = true,
                Err(source) => {
                    return Err(ArrivalsError::Write {
                        place: self.storage.location(&self.path),
                        source,
                    });
                }
            }
        }
    }
}
