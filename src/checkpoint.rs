//! Where reading resumes, what has been delivered beyond that point, and how both are kept.
//!
//! The cursor is not the newest record but one that is at least the *overlap* old, because
//! Auth0 may make a record visible late, below ids that were read already. Everything above the
//! cursor is read again in each run and what was delivered is recognised by its id.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

use crate::auth0::{LogId, Record};
use crate::retry::Deadline;
use crate::storage::{Storage, StorageError, Version};

/// Delivered ids that are remembered above the cursor, and so the records that a run reads
/// again at the most.
pub const MAX_OVERLAP_RECORDS: usize = 1_000;
/// Version of the stored form.
const FORMAT: u32 = 1;

/// Where a first reading begins.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Start {
    /// With the first record dated so or later.
    At(DateTime<Utc>),
    /// With the oldest record that the tenant still has.
    Oldest,
}

/// Where reading resumes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Position {
    /// Nothing old enough has been delivered: the first reading is not over.
    From(Start),
    /// Behind this record, which Auth0 has or had.
    After(LogId),
}

/// The newest record delivered.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Newest {
    /// Its id, the largest of all.
    pub log_id: LogId,
    /// Its date, where it had a readable one.
    pub date: Option<DateTime<Utc>>,
}

/// The state of one destination.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Checkpoint {
    position: Position,
    /// Ids above the position that have been delivered.
    delivered: BTreeSet<LogId>,
    newest: Option<Newest>,
    /// When a run last reached the end of the tenant's log.
    caught_up_at: Option<DateTime<Utc>>,
}

impl Checkpoint {
    /// The state in which nothing has been delivered.
    #[must_use]
    pub fn at(position: Position) -> Self {
        Self {
            position,
            delivered: BTreeSet::new(),
            newest: None,
            caught_up_at: None,
        }
    }

    /// Where reading resumes.
    #[must_use]
    pub fn position(&self) -> &Position {
        &self.position
    }

    /// The newest record delivered.
    #[must_use]
    pub fn newest(&self) -> Option<&Newest> {
        self.newest.as_ref()
    }

    /// When a run last reached the end of the tenant's log.
    #[must_use]
    pub fn caught_up_at(&self) -> Option<DateTime<Utc>> {
        self.caught_up_at
    }

    /// Whether this record is known to be delivered.
    #[must_use]
    pub fn has_delivered(&self, id: &LogId) -> bool {
        matches!(&self.position, Position::After(cursor) if id <= cursor) || self.remembers(id)
    }

    /// Whether this record is among those delivered above the cursor.
    #[must_use]
    pub fn remembers(&self, id: &LogId) -> bool {
        self.delivered.contains(id)
    }

    /// Notes what a destination acknowledged, and moves the cursor as far as that allows.
    pub fn acknowledge<'a>(
        &mut self,
        records: impl IntoIterator<Item = &'a Record>,
        now: DateTime<Utc>,
        overlap: Duration,
    ) {
        for record in records {
            self.delivered.insert(record.log_id.clone());
            if self
                .newest
                .as_ref()
                .is_none_or(|newest| newest.log_id < record.log_id)
            {
                self.newest = Some(Newest {
                    log_id: record.log_id.clone(),
                    date: record.date,
                });
            }
        }
        self.advance(now, overlap);
    }

    /// Moves the cursor to the newest delivered record that Auth0 stored at least `overlap` ago,
    /// and further if more ids would be remembered than may be.
    pub fn advance(&mut self, now: DateTime<Utc>, overlap: Duration) {
        let settled = |id: &&LogId| {
            id.stored_at()
                .is_some_and(|stored| (now - stored).to_std().is_ok_and(|age| age >= overlap))
        };
        let by_age = self.delivered.iter().rev().find(settled);
        let by_count = self.delivered.iter().rev().nth(MAX_OVERLAP_RECORDS);
        let Some(mut cursor) = by_age.max(by_count).cloned() else {
            return;
        };
        if let Position::After(current) = &self.position {
            cursor = cursor.max(current.clone());
        }
        self.delivered = self.delivered.split_off(&cursor);
        self.delivered.remove(&cursor);
        self.position = Position::After(cursor);
    }

    /// Notes that a run reached the end of the tenant's log.
    pub fn caught_up(&mut self, now: DateTime<Utc>) {
        self.caught_up_at = Some(now);
    }

    /// Whether it says more than the stored state of before. That the end was reached once more
    /// counts only if the stored time of that is older than `heartbeat`.
    #[must_use]
    pub fn is_news_after(&self, stored: &Self, heartbeat: Duration) -> bool {
        let is_stale = match (self.caught_up_at, stored.caught_up_at) {
            (Some(now), Some(then)) => (now - then).to_std().is_ok_and(|age| age >= heartbeat),
            (now, _) => now.is_some(),
        };
        is_stale
            || (&self.position, &self.delivered, &self.newest)
                != (&stored.position, &stored.delivered, &stored.newest)
    }

    /// Begins a new reading at `start`, because Auth0 no longer takes the cursor.
    pub fn restart(&mut self, start: Start) {
        if let Position::After(cursor) =
            std::mem::replace(&mut self.position, Position::From(start))
        {
            self.delivered.insert(cursor);
        }
    }

    /// The stored form: JSON for people and programs.
    fn to_json(&self, saved_at: DateTime<Utc>) -> Bytes {
        let stored = Stored {
            format: FORMAT,
            resume_from: match &self.position {
                Position::After(id) => Some(id.clone()),
                Position::From(_) => None,
            },
            start: match &self.position {
                Position::From(start) => Some((*start).into()),
                Position::After(_) => None,
            },
            delivered: self.delivered.iter().cloned().collect(),
            newest: self.newest.clone(),
            caught_up_at: self.caught_up_at,
            saved_at,
        };
        // invariant: a struct of strings and lists has a JSON form
        #[allow(clippy::expect_used, reason = "stated above")]
        let json = serde_json::to_vec_pretty(&stored).expect("a checkpoint has a JSON form");
        json.into()
    }

    fn from_json(json: &[u8]) -> Result<Self, Unreadable> {
        let stored: Stored = serde_json::from_slice(json).map_err(Unreadable::Json)?;
        if stored.format != FORMAT {
            return Err(Unreadable::Format(stored.format));
        }
        let position = match (stored.resume_from, stored.start) {
            (Some(id), None) => Position::After(id),
            (None, Some(start)) => Position::From(start.into()),
            _ => return Err(Unreadable::Position),
        };
        Ok(Self {
            position,
            delivered: stored.delivered.into_iter().collect(),
            newest: stored.newest,
            caught_up_at: stored.caught_up_at,
        })
    }
}

/// The checkpoint as it is stored.
#[derive(Serialize, Deserialize)]
struct Stored {
    format: u32,
    /// The cursor, or null while the first reading is not over.
    resume_from: Option<LogId>,
    /// Where the first reading began, while there is no cursor.
    start: Option<StoredStart>,
    /// Ids above the cursor that have been delivered.
    delivered: Vec<LogId>,
    newest: Option<Newest>,
    caught_up_at: Option<DateTime<Utc>>,
    saved_at: DateTime<Utc>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredStart {
    Oldest,
    #[serde(untagged)]
    At(DateTime<Utc>),
}

impl From<Start> for StoredStart {
    fn from(start: Start) -> Self {
        match start {
            Start::At(time) => Self::At(time),
            Start::Oldest => Self::Oldest,
        }
    }
}

impl From<StoredStart> for Start {
    fn from(start: StoredStart) -> Self {
        match start {
            StoredStart::At(time) => Self::At(time),
            StoredStart::Oldest => Self::Oldest,
        }
    }
}

/// Why a stored checkpoint cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// Not the JSON that this program writes.
    #[error("it is not a checkpoint")]
    Json(#[source] serde_json::Error),
    /// Written by another version of this program.
    #[error("it has format {0}, and this version reads format {FORMAT}")]
    Format(u32),
    /// Neither a cursor nor a start, or both.
    #[error("it must have either resume_from or start")]
    Position,
}

/// Why a checkpoint was not loaded or saved.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The storage could not be read.
    #[error("reading the checkpoint {path}")]
    Read {
        /// Where it is kept.
        path: String,
        /// What the storage said.
        source: StorageError,
    },
    /// What is stored there is of no use.
    #[error(
        "the checkpoint {path} cannot be used; \
         `auth0-poller checkpoint set --from …` writes a new one"
    )]
    Unreadable {
        /// Where it is kept.
        path: String,
        /// What is wrong with it.
        source: Unreadable,
    },
    /// The storage could not be written.
    #[error("saving the checkpoint {path}")]
    Write {
        /// Where it is kept.
        path: String,
        /// What the storage said.
        source: StorageError,
    },
    /// Somebody else saved this checkpoint since it was read.
    #[error(
        "another poller saved the checkpoint {path} during this run, so this one stops; \
         run one poller for each tenant and destination"
    )]
    Conflict {
        /// Where it is kept.
        path: String,
    },
}

/// A checkpoint and the version under which it is stored.
#[derive(Debug)]
pub struct Loaded {
    /// The checkpoint.
    pub checkpoint: Checkpoint,
    /// What the next save has to name.
    pub version: Version,
}

/// Keeps the checkpoint of one destination.
///
/// A save succeeds only over the version that was read or saved last, so that of two pollers
/// one notices the other. It may be repeated until the deadline, but never turns a version it
/// wrote itself into a conflict.
pub trait CheckpointStore: Send + Sync {
    /// Reads the checkpoint; `None` if there has never been one.
    fn load(
        &self,
        deadline: Deadline,
    ) -> impl Future<Output = Result<Option<Loaded>, CheckpointError>> + Send;

    /// Saves the checkpoint over `version`, or as the first one if that is `None`.
    fn save(
        &self,
        checkpoint: &Checkpoint,
        version: Option<&Version>,
        now: DateTime<Utc>,
        deadline: Deadline,
    ) -> impl Future<Output = Result<Version, CheckpointError>> + Send;
}

/// Checkpoints in the storage that the settings name.
#[derive(Clone, Debug)]
pub struct StoredCheckpoint {
    storage: Arc<Storage>,
    path: String,
}

impl StoredCheckpoint {
    /// The checkpoint of one destination of one tenant: `checkpoints/<tenant>/<destination>.json`.
    #[must_use]
    pub fn new(storage: Arc<Storage>, tenant: &str, destination: &str) -> Self {
        Self {
            storage,
            path: format!("checkpoints/{tenant}/{destination}.json"),
        }
    }

    /// The stored text, for people.
    pub async fn text(&self, deadline: Deadline) -> Result<Option<String>, CheckpointError> {
        let object = self.read(deadline).await?;
        Ok(object.map(|(bytes, _)| String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// Puts `checkpoint` in the place of whatever is stored, readable or not.
    pub async fn replace(
        &self,
        checkpoint: &Checkpoint,
        now: DateTime<Utc>,
        deadline: Deadline,
    ) -> Result<(), CheckpointError> {
        self.claim(deadline).await?;
        let version = self.read(deadline).await?.map(|(_, version)| version);
        self.save(checkpoint, version.as_ref(), now, deadline)
            .await
            .map(|_| ())
    }

    /// Where it is kept, for people.
    #[must_use]
    pub fn location(&self) -> String {
        self.storage.location(&self.path)
    }

    async fn claim(&self, deadline: Deadline) -> Result<(), CheckpointError> {
        let claimed = self.storage.claim(deadline).await;
        claimed.map_err(|source| self.read_error(source))
    }

    async fn read(&self, deadline: Deadline) -> Result<Option<(Bytes, Version)>, CheckpointError> {
        let read = self.storage.read(&self.path, deadline).await;
        read.map_err(|source| self.read_error(source))
    }

    fn read_error(&self, source: StorageError) -> CheckpointError {
        CheckpointError::Read {
            path: self.location(),
            source,
        }
    }
}

impl CheckpointStore for StoredCheckpoint {
    async fn load(&self, deadline: Deadline) -> Result<Option<Loaded>, CheckpointError> {
        self.claim(deadline).await?;
        let Some((json, version)) = self.read(deadline).await? else {
            return Ok(None);
        };
        let checkpoint =
            Checkpoint::from_json(&json).map_err(|source| CheckpointError::Unreadable {
                path: self.location(),
                source,
            })?;
        Ok(Some(Loaded {
            checkpoint,
            version,
        }))
    }

    async fn save(
        &self,
        checkpoint: &Checkpoint,
        version: Option<&Version>,
        now: DateTime<Utc>,
        deadline: Deadline,
    ) -> Result<Version, CheckpointError> {
        let json = checkpoint.to_json(now);
        let written = self
            .storage
            .write(&self.path, json.clone(), version, deadline)
            .await;
        match written {
            Ok(version) => Ok(version),
            // A write whose answer was lost, and which was then repeated, meets itself.
            Err(StorageError::Conflict) => match self.read(deadline).await? {
                Some((stored, version)) if stored == json => Ok(version),
                _ => Err(CheckpointError::Conflict {
                    path: self.location(),
                }),
            },
            Err(source) => Err(CheckpointError::Write {
                path: self.location(),
                source,
            }),
        }
    }
}

/// A time as it is written for people: UTC, whole seconds.
#[must_use]
pub fn to_seconds(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OVERLAP: Duration = Duration::from_mins(1);

    fn time(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    /// A record stored at this time of 2026-11-21.
    fn record(clock: &str) -> Record {
        let date = time(&format!("2026-11-21T{clock}Z"));
        Record {
            log_id: LogId::synthetic("900", date),
            date: Some(date),
            json: Bytes::new(),
        }
    }

    fn start() -> Checkpoint {
        Checkpoint::at(Position::From(Start::Oldest))
    }

    fn after(clock: &str) -> Position {
        Position::After(record(clock).log_id)
    }

    #[test]
    fn the_cursor_stays_the_overlap_behind_and_remembers_what_lies_above_it() {
        let mut checkpoint = start();
        let records = ["08:00:00", "08:00:10", "08:00:20"].map(record);
        checkpoint.acknowledge(&records, time("2026-11-21T08:01:10Z"), OVERLAP);
        assert_eq!(checkpoint.position(), &after("08:00:10"));
        for delivered in &records {
            assert!(checkpoint.has_delivered(&delivered.log_id));
        }
        assert!(!checkpoint.has_delivered(&record("08:00:15").log_id));
        assert_eq!(checkpoint.newest().unwrap().log_id, records[2].log_id);

        checkpoint.advance(time("2026-11-21T08:01:20Z"), OVERLAP);
        assert_eq!(checkpoint.position(), &after("08:00:20"));
    }

    #[test]
    fn while_nothing_is_old_enough_the_first_reading_goes_on() {
        let mut checkpoint = start();
        checkpoint.acknowledge(&[record("08:00:00")], time("2026-11-21T08:00:59Z"), OVERLAP);
        assert_eq!(checkpoint.position(), &Position::From(Start::Oldest));
        assert!(checkpoint.has_delivered(&record("08:00:00").log_id));
    }

    #[test]
    fn at_most_a_thousand_ids_are_remembered_however_young_they_are() {
        let mut checkpoint = start();
        let records: Vec<_> = (0..1_500)
            .map(|n| record(&format!("08:00:00.{n:06}")))
            .collect();
        checkpoint.acknowledge(&records, time("2026-11-21T08:00:01Z"), OVERLAP);
        assert_eq!(checkpoint.position(), &after("08:00:00.000499"));
        assert_eq!(checkpoint.delivered.len(), 1_000);
    }

    #[test]
    fn a_late_record_does_not_move_the_newest_back() {
        let mut checkpoint = start();
        let now = time("2026-11-21T08:00:30Z");
        checkpoint.acknowledge(&[record("08:00:20")], now, OVERLAP);
        checkpoint.acknowledge(&[record("08:00:10")], now, OVERLAP);
        assert_eq!(
            checkpoint.newest().unwrap().date,
            Some(time("2026-11-21T08:00:20Z"))
        );
    }

    #[test]
    fn an_id_without_a_time_never_counts_as_old() {
        let mut checkpoint = start();
        let odd = Record {
            log_id: LogId::new("12345"),
            ..record("08:00:00")
        };
        checkpoint.acknowledge(&[odd], time("2027-01-01T00:00:00Z"), OVERLAP);
        assert_eq!(checkpoint.position(), &Position::From(Start::Oldest));
    }

    #[test]
    fn the_stored_form_is_read_back_as_it_was() {
        let now = time("2026-11-21T08:01:10Z");
        let mut delivered = start();
        delivered.acknowledge(&["08:00:00", "08:00:30"].map(record), now, OVERLAP);
        delivered.caught_up(now);
        let pinned = Checkpoint::at(Position::From(Start::At(time("2026-11-21T07:00:00Z"))));
        for checkpoint in [delivered, pinned, start()] {
            let json = checkpoint.to_json(now);
            assert_eq!(Checkpoint::from_json(&json).unwrap(), checkpoint);
        }
    }

    #[test]
    fn the_stored_form_is_what_the_documentation_says() {
        let stored = r#"{
            "format": 1,
            "resume_from": null,
            "start": "oldest",
            "delivered": ["90020261121080000000000000000000000000000000000000000000"],
            "newest": null,
            "caught_up_at": null,
            "saved_at": "2026-11-21T08:00:00Z"
        }"#;
        let checkpoint = Checkpoint::from_json(stored.as_bytes()).unwrap();
        assert_eq!(checkpoint.position(), &Position::From(Start::Oldest));
        assert!(checkpoint.has_delivered(&record("08:00:00").log_id));
    }

    #[test]
    fn what_cannot_be_a_checkpoint_is_refused_with_its_reason() {
        let with = |fields: &str| {
            let json = format!(
                r#"{{{fields}, "delivered": [], "newest": null, "caught_up_at": null,
                    "saved_at": "2026-11-21T08:00:00Z"}}"#
            );
            Checkpoint::from_json(json.as_bytes())
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            Checkpoint::from_json(&[0; 64]).unwrap_err().to_string(),
            "it is not a checkpoint"
        );
        assert_eq!(
            with(r#""format": 2, "resume_from": "9", "start": null"#),
            "it has format 2, and this version reads format 1"
        );
        assert_eq!(
            with(r#""format": 1, "resume_from": "9", "start": "oldest""#),
            "it must have either resume_from or start"
        );
    }
}
