//! Where reading resumes, what has been delivered beyond that point, and how both are kept.
//!
//! The cursor is not the newest record but the newest that is *settled*: it was read when it was at
//! least the overlap old. Auth0 may make a record visible late, below ids that were read already, so
//! what lies above the cursor is read again in each run, and what was delivered of it is recognised
//! by its id.

use std::collections::BTreeSet;
use std::fmt;
use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::auth0::{LogId, Record};
use crate::report::to_seconds;
use crate::retry::Deadline;
use crate::source::Start;
use crate::storage::{StorageError, Version};

pub use self::store::StoredCheckpoint;

/// Delivered ids that are remembered above the cursor, and so the records that a run reads
/// again at the most.
pub const MAX_OVERLAP_RECORDS: usize = 1_000;
/// Version of the stored form.
const FORMAT: u32 = 1;

/// Where reading resumes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Position {
    /// From the beginning of a reading: nothing to resume behind yet, or nothing that Auth0 takes.
    Start(Start),
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
    /// Everything up to this record has been delivered.
    cursor: Option<LogId>,
    /// Where reading begins instead of behind the cursor.
    start: Option<Start>,
    /// Ids above the cursor that have been delivered.
    delivered: BTreeSet<LogId>,
    newest: Option<Newest>,
    /// Since then, the destination has refused every record that it was sent.
    refused_since: Option<DateTime<Utc>>,
    /// A run that began then reached the end of the tenant's log.
    caught_up_at: Option<DateTime<Utc>>,
    /// Whether a person has chosen the position.
    set_by_hand: bool,
    /// What came before this checkpoint was lost.
    loss: Option<Loss>,
}

/// The loss of a checkpoint, with which the knowledge of what was delivered is lost too.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Loss {
    /// When it was noticed.
    pub noticed_at: DateTime<Utc>,
    /// Where reading began anew; `None` for the oldest record that there was.
    pub began_at: Option<DateTime<Utc>>,
}

impl Checkpoint {
    /// The state before the first run, which begins where the setting says.
    #[must_use]
    pub fn first(start: Start) -> Self {
        Self {
            set_by_hand: false,
            ..Self::set(Position::Start(start))
        }
    }

    /// The state after all that was stored was lost: everything begins anew.
    #[must_use]
    pub fn anew(start: Start, now: DateTime<Utc>) -> Self {
        let began_at = match start {
            Start::At(time) => Some(time),
            Start::Oldest => None,
        };
        Self {
            loss: Some(Loss {
                noticed_at: now,
                began_at,
            }),
            ..Self::first(start)
        }
    }

    /// The state in which a person wants the next run to begin at `position`.
    #[must_use]
    pub fn set(position: Position) -> Self {
        let (cursor, start) = match position {
            Position::After(id) => (Some(id), None),
            Position::Start(start) => (None, Some(start)),
        };
        Self {
            cursor,
            start,
            delivered: BTreeSet::new(),
            newest: None,
            refused_since: None,
            caught_up_at: None,
            set_by_hand: true,
            loss: None,
        }
    }

    /// Where reading resumes.
    #[must_use]
    pub fn position(&self) -> Position {
        match (self.start, &self.cursor) {
            (None, Some(cursor)) => Position::After(cursor.clone()),
            (start, _) => Position::Start(start.unwrap_or(Start::Oldest)),
        }
    }

    /// The newest record delivered.
    #[must_use]
    pub fn newest(&self) -> Option<&Newest> {
        self.newest.as_ref()
    }

    /// When a run began that reached the end of the tenant's log.
    #[must_use]
    pub fn caught_up_at(&self) -> Option<DateTime<Utc>> {
        self.caught_up_at
    }

    /// What was lost before this checkpoint.
    #[must_use]
    pub fn loss(&self) -> Option<Loss> {
        self.loss
    }

    /// Whether this record is known to be delivered.
    #[must_use]
    pub fn has_delivered(&self, id: &LogId) -> bool {
        self.cursor.as_ref().is_some_and(|cursor| id <= cursor) || self.remembers(id)
    }

    /// Whether this record is among those delivered above the cursor.
    #[must_use]
    pub fn remembers(&self, id: &LogId) -> bool {
        self.delivered.contains(id)
    }

    /// Lets a first run begin earlier, because the setting was changed before it got anywhere.
    /// It never begins later, which would leave records out.
    pub fn begin_by(&mut self, start: Start) {
        if !self.set_by_hand && self.newest.is_none() {
            self.start = self.start.map(|pinned| pinned.min(start));
        }
    }

    /// Notes what a destination acknowledged.
    pub fn acknowledge<'a>(&mut self, records: impl IntoIterator<Item = &'a Record>) {
        for record in records {
            self.delivered.insert(record.log_id.clone());
            let newest = self.newest.as_ref();
            if newest.is_none_or(|newest| newest.log_id < record.log_id) {
                self.newest = Some(Newest {
                    log_id: record.log_id.clone(),
                    date: record.date,
                });
            }
        }
    }

    /// Notes that the destination refuses whatever it is sent, and answers since when.
    pub fn refused(&mut self, now: DateTime<Utc>) -> DateTime<Utc> {
        *self.refused_since.get_or_insert(now)
    }

    /// Notes that the destination accepts records.
    pub fn accepted(&mut self) {
        self.refused_since = None;
    }

    /// Moves the cursor to the newest delivered record that is settled, and further if more ids
    /// would be remembered than may be; but never beyond `read_to`.
    ///
    /// A record is settled if Auth0 stored it before `settled`: no other can become visible below
    /// it any more. That has to be judged by when this stretch of the log was *read*, not by when
    /// the cursor moves, and holds only as far as it was read: what appeared since is not known.
    pub fn advance(&mut self, read_to: &LogId, settled: DateTime<Utc>) {
        let is_settled = |id: &&LogId| id.stored_at().is_some_and(|stored| stored <= settled);
        let surplus = self.delivered.len().saturating_sub(MAX_OVERLAP_RECORDS);
        let was_read = || self.delivered.range(..=read_to);
        let by_age = was_read().rev().find(is_settled);
        let by_count = was_read().take(surplus).last();
        let Some(cursor) = by_age.max(by_count).cloned() else {
            return;
        };
        self.delivered = self.delivered.split_off(&cursor);
        self.delivered.remove(&cursor);
        if self.cursor.as_ref().is_none_or(|current| *current < cursor) {
            self.cursor = Some(cursor);
            self.start = None;
        }
    }

    /// Notes that a run that began at `time` reached the end of the tenant's log.
    pub fn caught_up(&mut self, time: DateTime<Utc>) {
        self.caught_up_at = Some(time);
    }

    /// Whether it says more than the stored state of before. That the end was reached once more
    /// counts only if the stored time of that is older than `heartbeat`.
    #[must_use]
    pub fn is_news_after(&self, stored: &Self, heartbeat: Duration) -> bool {
        let is_stale = match (self.caught_up_at, stored.caught_up_at) {
            (Some(now), Some(then)) => (now - then).to_std().is_ok_and(|age| age >= heartbeat),
            (now, _) => now.is_some(),
        };
        let but_for_time = |checkpoint: &Self| Self {
            caught_up_at: None,
            ..checkpoint.clone()
        };
        is_stale || but_for_time(self) != but_for_time(stored)
    }

    /// Begins a new reading at `start`, because Auth0 no longer takes the cursor. What was
    /// delivered up to the cursor still counts as delivered.
    pub fn restart(&mut self, start: Start) {
        self.start = Some(start);
    }

    /// The stored form: JSON for people and programs. `writer` tells the processes apart.
    fn to_json(&self, saved_at: DateTime<Utc>, writer: &str) -> Bytes {
        let stored = Json {
            format: FORMAT,
            resume_from: self.cursor.clone(),
            start: self.start.map(StoredStart::from),
            delivered: self.delivered.iter().cloned().collect(),
            newest: self.newest.clone(),
            refused_since: self.refused_since,
            caught_up_at: self.caught_up_at,
            set_by_hand: self.set_by_hand,
            loss: self.loss,
            saved_at,
            saved_by: writer.to_owned(),
        };
        // invariant: a struct of strings and lists has a JSON form
        #[allow(clippy::expect_used, reason = "stated above")]
        let json = serde_json::to_vec_pretty(&stored).expect("a checkpoint has a JSON form");
        json.into()
    }

    fn from_json(json: &[u8]) -> Result<Self, Unreadable> {
        let stored: Json = serde_json::from_slice(json).map_err(Unreadable::Json)?;
        if stored.format != FORMAT {
            return Err(Unreadable::Format(stored.format));
        }
        if stored.resume_from.is_none() && stored.start.is_none() {
            return Err(Unreadable::Position);
        }
        let start = stored.start.map(Start::from);
        if start.is_some_and(|start| !start.is_usable()) {
            return Err(Unreadable::Start);
        }
        Ok(Self {
            cursor: stored.resume_from,
            start,
            delivered: stored.delivered.into_iter().collect(),
            newest: stored.newest,
            refused_since: stored.refused_since,
            caught_up_at: stored.caught_up_at,
            set_by_hand: stored.set_by_hand,
            loss: stored.loss,
        })
    }
}

/// The checkpoint as it is stored.
#[derive(Serialize, Deserialize)]
struct Json {
    format: u32,
    /// The cursor: everything up to here has been delivered. Null until there is one.
    resume_from: Option<LogId>,
    /// Where reading begins if not behind the cursor.
    start: Option<StoredStart>,
    /// Ids above the cursor that have been delivered.
    delivered: Vec<LogId>,
    newest: Option<Newest>,
    #[serde(default)]
    refused_since: Option<DateTime<Utc>>,
    caught_up_at: Option<DateTime<Utc>>,
    set_by_hand: bool,
    #[serde(default)]
    loss: Option<Loss>,
    saved_at: DateTime<Utc>,
    saved_by: String,
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
    /// Neither a cursor nor a start.
    #[error("it has neither resume_from nor start")]
    Position,
    /// A start that nothing can be asked for.
    #[error("its start is in no year from 1 to 9999")]
    Start,
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
    /// It is not as this run has left it.
    #[error(
        "the checkpoint {path} was changed or removed by something else during this run, so the \
         run gives way: by `checkpoint set`, or by a second poller, of which there must be none \
         for the same tenant and destination"
    )]
    Conflict {
        /// Where it is kept.
        path: String,
    },
}

impl CheckpointError {
    /// Whether the storage may be there again later.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Read { source, .. } | Self::Write { source, .. } => source.may_pass(),
            Self::Unreadable { .. } | Self::Conflict { .. } => false,
        }
    }
}

/// The position for a person, to follow "reading begins".
impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::After(id) => write!(f, "behind the record {id}"),
            Self::Start(Start::At(time)) => write!(f, "at {}", to_seconds(*time)),
            Self::Start(Start::Oldest) => f.write_str("with the oldest record"),
        }
    }
}

/// What a store holds.
#[derive(Debug)]
pub enum Stored {
    /// There has never been a checkpoint.
    Nothing,
    /// A checkpoint.
    Newest(Checkpoint),
    /// The one before it, since the newest cannot be read.
    Previous(Checkpoint),
    /// There was a checkpoint, and no generation of it can be read.
    Lost,
}

/// What a store holds, and the version under which it does.
#[derive(Debug)]
pub struct Loaded {
    /// What is stored.
    pub stored: Stored,
    /// What the next save has to name; `None` if there is nothing to replace.
    pub version: Option<Version>,
}

/// Keeps the checkpoint of one destination.
///
/// A save succeeds only over the version that was read or saved last, so that of two pollers
/// one notices the other. It may be repeated until the deadline, but never turns a version it
/// wrote itself into a conflict.
pub trait CheckpointStore: Send + Sync {
    /// Reads the checkpoint.
    fn load(
        &self,
        deadline: Deadline,
    ) -> impl Future<Output = Result<Loaded, CheckpointError>> + Send;

    /// Saves the checkpoint over `version`, or as the first one if that is `None`.
    fn save(
        &self,
        checkpoint: &Checkpoint,
        version: Option<&Version>,
        now: DateTime<Utc>,
        deadline: Deadline,
    ) -> impl Future<Output = Result<Version, CheckpointError>> + Send;
}

mod store;
#[cfg(test)]
mod tests;
