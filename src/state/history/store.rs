//! The history as it is stored, and how runs are added to it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, SubsecRound as _, Utc};
use serde::Deserialize;
use tokio::sync::Mutex;
use tracing::warn;

use super::unwritten::Unwritten;
use super::{FORMAT, History, PastError, Undelivered};
use crate::net::retry::Deadline;
use crate::report::Report;
use crate::state::counted::NewlyCounted;
use crate::storage::{Storage, StorageError, Version};

/// Time limit for writing the history; a run does not wait longer.
const SAVING: Duration = Duration::from_secs(5);

/// Why a history was not read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HistoryError {
    /// The storage could not be read.
    #[error("reading the history {place}")]
    Read { place: String, source: StorageError },
    /// It could not be written.
    #[error("writing the history {place}")]
    Write { place: String, source: StorageError },
    /// What is stored cannot be used.
    #[error("the history {place} cannot be used; the next run begins it anew")]
    Unusable { place: String, source: NoHistory },
}

/// Why what is stored is not a history.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum NoHistory {
    /// Not the JSON that this program writes.
    #[error("it is not a history")]
    Form,
    /// Written by a newer version of this program.
    #[error("it has format {0}, and this version reads format {FORMAT}")]
    Newer(u32),
}

#[derive(Deserialize)]
struct Head {
    format: u32,
}

fn parse(json: &[u8]) -> Result<History, NoHistory> {
    let Head { format } = serde_json::from_slice(json).map_err(|_| NoHistory::Form)?;
    match format {
        FORMAT => {
            let history: Option<History> = serde_json::from_slice(json).ok();
            let history = history.filter(|it| it.counted.is_reckonable());
            history.ok_or(NoHistory::Form)
        }
        newer if newer > FORMAT => Err(NoHistory::Newer(newer)),
        _ => Err(NoHistory::Form),
    }
}

/// What was found, with its version: a history, nothing, or something that is not a history.
type Loaded = (Result<Option<History>, NoHistory>, Option<Version>);

/// The history of one destination of one tenant, in `history/<tenant>/<destination>.json`.
pub(crate) struct HistoryStore {
    storage: Arc<Storage>,
    path: String,
    books: Mutex<Books>,
    newly_counted: NewlyCounted,
}

#[derive(Default)]
struct Books {
    /// What this process last read or wrote; `None` if it has not, or does not know what is stored now.
    known: Option<Known>,
    unwritten: Unwritten,
}

struct Known {
    history: History,
    version: Option<Version>,
}

impl HistoryStore {
    pub fn new(storage: Arc<Storage>, tenant: &str, destination: &str) -> Self {
        Self {
            storage,
            path: format!("history/{tenant}/{destination}.json"),
            books: Mutex::default(),
            newly_counted: NewlyCounted::default(),
        }
    }

    /// A number that tells this storage from others.
    pub fn storage(&self) -> usize {
        Arc::as_ptr(&self.storage).addr()
    }

    /// What was counted, to be written with the next run that is worth writing.
    pub(in crate::state) fn newly_counted(&self) -> &NewlyCounted {
        &self.newly_counted
    }

    /// Whether a run has delivered a record or set one aside. What is no history of this version does
    /// not tell.
    pub(in crate::state) async fn has_delivered(
        &self,
        deadline: Deadline,
    ) -> Result<bool, StorageError> {
        let stored = match self.storage.read(&self.path, deadline).await {
            // Something else is in its place, since the storage did answer about the checkpoint.
            Err(error) if error.is_too_large() || error.is_denied() => None,
            read => read?,
        };
        let history = stored.and_then(|(json, _)| parse(&json).ok());
        Ok(history.is_some_and(|it| it.has_delivered()))
    }

    /// The stored history; `None` if there is none of this version.
    pub async fn read(&self, deadline: Deadline) -> Result<Option<History>, HistoryError> {
        Ok(self.load(deadline).await?.0.unwrap_or_default())
    }

    /// The stored history, for callers that judge by it: one that is not of this version is an error.
    pub async fn look(&self, deadline: Deadline) -> Result<Option<History>, HistoryError> {
        let (history, _) = self.load(deadline).await?;
        history.map_err(|source| HistoryError::Unusable {
            place: self.place(),
            source,
        })
    }

    /// Like [`look`](Self::look), for someone who waits for runs since then. If nothing is stored yet,
    /// stores that time, for those who look later or in another process.
    pub async fn wait(
        &self,
        since: DateTime<Utc>,
        deadline: Deadline,
    ) -> Result<Option<History>, HistoryError> {
        if let Some(history) = self.look(deadline).await? {
            return Ok(Some(history));
        }
        let history = History {
            format: FORMAT,
            waited_since: Some(since.trunc_subsecs(3)),
            ..History::default()
        };
        match self.put(&history, None, deadline).await {
            Ok(_) => Ok(Some(history)),
            // A run has ended meanwhile, or someone else waits too.
            Err(StorageError::Conflict) => self.look(deadline).await,
            Err(source) => Err(self.unwritten(source)),
        }
    }

    async fn put(
        &self,
        history: &History,
        over: Option<&Version>,
        deadline: Deadline,
    ) -> Result<Version, StorageError> {
        let json = Bytes::from(serde_json::to_vec(history).unwrap_or_default());
        self.storage.write(&self.path, json, over, deadline).await
    }

    fn unwritten(&self, source: StorageError) -> HistoryError {
        HistoryError::Write {
            place: self.place(),
            source,
        }
    }

    async fn load(&self, deadline: Deadline) -> Result<Loaded, HistoryError> {
        let read = self.storage.read(&self.path, deadline).await;
        let object = read.map_err(|source| HistoryError::Read {
            place: self.place(),
            source,
        })?;
        let (json, version) = object.unzip();
        Ok((json.map(|json| parse(&json)).transpose(), version))
    }

    pub(in crate::state) fn place(&self) -> String {
        self.storage.location(&self.path)
    }

    /// Adds a run that has just ended. If another process has written meanwhile, adds it to what that
    /// process wrote. If it cannot be written, it is written with the next run. Returns whether it was
    /// worth writing.
    pub async fn add(
        &self,
        report: &Report,
        now: DateTime<Utc>,
        deadline: Deadline,
    ) -> Result<bool, HistoryError> {
        let deadline = deadline.for_saving().within(SAVING);
        let mut books = self.books.lock().await;
        let Books { known, unwritten } = &mut *books;
        unwritten.hold(report, now);
        for _ in 0..2 {
            let mut latest = match known.take() {
                Some(latest) => latest,
                None => {
                    let (history, version) = self.load(deadline).await?;
                    let history = match history {
                        Ok(history) => history.unwrap_or_default(),
                        Err(why) => self.anew(why, now),
                    };
                    Known { history, version }
                }
            };
            if unwritten.meet(&latest.history) {
                *known = Some(latest);
                return Ok(true);
            }
            let Some(is_told) = unwritten.add_to(&mut latest.history, &self.newly_counted) else {
                *known = Some(latest);
                return Ok(false);
            };
            let over = latest.version.as_ref();
            match self.put(&latest.history, over, deadline).await {
                Ok(version) => {
                    latest.version = Some(version);
                    *known = Some(latest);
                    *unwritten = Unwritten::default();
                    return Ok(is_told);
                }
                // The next attempt reads again first.
                Err(StorageError::Conflict) => {}
                Err(source) => return Err(self.unwritten(source)),
            }
        }
        Ok(true)
    }

    /// How many records are missing from the table for good, as far as this process knows.
    pub async fn lost(&self) -> u64 {
        let books = self.books.lock().await;
        books.known.as_ref().map_or(0, |it| it.history.lost)
    }

    /// Whether something is wrong that a run which tells nothing does not end, as far as this process
    /// knows.
    pub async fn has_standing_problem(&self) -> bool {
        let books = self.books.lock().await;
        let known = books.known.as_ref();
        known.is_some_and(|it| it.history.has_standing_problem())
    }

    /// What became of the records since one was last delivered; nothing if that is not known.
    pub async fn undelivered(&self, deadline: Deadline) -> Undelivered {
        let books = self.books.lock().await;
        if let Some(known) = &books.known {
            return known.history.undelivered();
        }
        let loaded = self.load(deadline.for_saving().within(SAVING)).await;
        let history = loaded.ok().and_then(|(history, _)| history.ok()?);
        history.map(|it| it.undelivered()).unwrap_or_default()
    }

    /// The same, as far as this process knows.
    pub async fn known_undelivered(&self) -> Undelivered {
        let books = self.books.lock().await;
        let known = books.known.as_ref();
        known.map(|it| it.history.undelivered()).unwrap_or_default()
    }

    /// A new history to replace an unusable one, with an error that says so.
    fn anew(&self, why: NoHistory, now: DateTime<Utc>) -> History {
        let place = self.place();
        let problem = format!("the history {place} cannot be used ({why}), so it is begun anew");
        warn!("{problem}");
        History {
            errors: VecDeque::from([PastError {
                at: now,
                text: problem,
            }]),
            ..History::default()
        }
    }
}
