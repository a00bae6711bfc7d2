//! A checkpoint as it is written down: JSON for people and programs.
//!
//! Format 2 is written. Format 1, that of version 0.1, is read: there `start` meant both where reading
//! begins and what is left out, `delivered` was the name of `handled`, and `resume_from` that of
//! `cursor`.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::checkpoint::{Checkpoint, Loss};
use crate::record::{LogId, Start};
use crate::run::Newest;

/// The version of the form that is written.
const FORMAT: u32 = 2;

/// Why a stored checkpoint cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreadable {
    /// Not the JSON that this program writes.
    #[error("it is not a checkpoint")]
    Json(#[source] serde_json::Error),
    /// Written by a newer version of this program.
    #[error("it has format {0}, and this version reads formats 1 and {FORMAT}")]
    Newer(u32),
    /// Neither a cursor nor a start.
    #[error("it has neither a cursor nor a start")]
    Position,
    /// A start that nothing can be asked for.
    #[error("its start is in no year from 1 to 9999")]
    Start,
}

#[derive(Deserialize)]
struct Head {
    format: u32,
}

#[derive(Serialize, Deserialize)]
struct Format2 {
    format: u32,
    /// Everything up to here is handled. Null until there is such a record.
    cursor: Option<LogId>,
    /// Where reading begins if not after the cursor.
    start: Option<WrittenStart>,
    /// What is dated before this is left out.
    left_out_before: Option<DateTime<Utc>>,
    /// Ids after the cursor that are handled.
    handled: Vec<LogId>,
    newest: Option<Newest>,
    refused_since: Option<DateTime<Utc>>,
    caught_up_at: Option<DateTime<Utc>>,
    set_by_hand: bool,
    loss: Option<Loss>,
    saved_at: DateTime<Utc>,
    /// Tells the processes apart.
    saved_by: String,
}

#[derive(Deserialize)]
struct Format1 {
    resume_from: Option<LogId>,
    start: Option<WrittenStart>,
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

impl From<Format1> for Format2 {
    fn from(old: Format1) -> Self {
        let left_out_before = match (&old.resume_from, &old.start) {
            // A first reading. After a cursor, it was one that began anew by time: what it reads
            // again is recognised by its id.
            (None, Some(WrittenStart::At(time))) => Some(*time),
            _ => None,
        };
        Self {
            format: FORMAT,
            cursor: old.resume_from,
            start: old.start,
            left_out_before,
            handled: old.delivered,
            newest: old.newest,
            refused_since: old.refused_since,
            caught_up_at: old.caught_up_at,
            set_by_hand: old.set_by_hand,
            loss: old.loss,
            saved_at: old.saved_at,
            saved_by: old.saved_by,
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum WrittenStart {
    Oldest,
    #[serde(untagged)]
    At(DateTime<Utc>),
}

impl From<Start> for WrittenStart {
    fn from(start: Start) -> Self {
        match start {
            Start::At(time) => Self::At(time),
            Start::Oldest => Self::Oldest,
        }
    }
}

impl From<WrittenStart> for Start {
    fn from(start: WrittenStart) -> Self {
        match start {
            WrittenStart::At(time) => Self::At(time),
            WrittenStart::Oldest => Self::Oldest,
        }
    }
}

/// Writes a checkpoint down. `writer` tells the processes apart.
pub(super) fn write(checkpoint: &Checkpoint, saved_at: DateTime<Utc>, writer: &str) -> Bytes {
    let written = Format2 {
        format: FORMAT,
        cursor: checkpoint.cursor.clone(),
        start: checkpoint.start.map(WrittenStart::from),
        left_out_before: checkpoint.left_out_before,
        handled: checkpoint.handled.iter().cloned().collect(),
        newest: checkpoint.newest.clone(),
        refused_since: checkpoint.refused_since,
        caught_up_at: checkpoint.caught_up_at,
        set_by_hand: checkpoint.set_by_hand,
        loss: checkpoint.loss,
        saved_at,
        saved_by: writer.to_owned(),
    };
    // invariant: a struct of strings and lists has a JSON form
    #[allow(clippy::expect_used, reason = "stated above")]
    let json = serde_json::to_vec_pretty(&written).expect("a checkpoint has a JSON form");
    json.into()
}

/// Reads what this version or an earlier one has written.
pub(crate) fn read(json: &[u8]) -> Result<Checkpoint, Unreadable> {
    let Head { format } = serde_json::from_slice(json).map_err(Unreadable::Json)?;
    let written: Format2 = match format {
        ..FORMAT => {
            let old: Result<Format1, _> = serde_json::from_slice(json);
            old.map_err(Unreadable::Json)?.into()
        }
        FORMAT => serde_json::from_slice(json).map_err(Unreadable::Json)?,
        newer => return Err(Unreadable::Newer(newer)),
    };
    if written.cursor.is_none() && written.start.is_none() {
        return Err(Unreadable::Position);
    }
    let start = written.start.map(Start::from);
    let floor = written.left_out_before.map(Start::At);
    if [start, floor]
        .into_iter()
        .flatten()
        .any(|it| !it.is_usable())
    {
        return Err(Unreadable::Start);
    }
    Ok(Checkpoint {
        cursor: written.cursor,
        start,
        left_out_before: written.left_out_before,
        handled: written.handled.into_iter().collect(),
        newest: written.newest,
        refused_since: written.refused_since,
        caught_up_at: written.caught_up_at,
        set_by_hand: written.set_by_hand,
        loss: written.loss,
    })
}

#[cfg(test)]
mod tests;
