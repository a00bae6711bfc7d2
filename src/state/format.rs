//! The stored form of a checkpoint: JSON for people and programs.
//!
//! Format 2 is written. Format 1, of which there was no release, can be read: its `start` meant
//! both where reading begins and what is left out, `handled` was called `delivered`, and `cursor` was
//! called `resume_from`.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::advance::MAX_HANDLED_BYTES;
use super::checkpoint::{Checkpoint, Loss, MAX_SUSPECTS};
use super::packed;
use crate::clock::is_reckonable;
use crate::json::Mistake;
use crate::record::{LONGEST_ID, LogId, Start};
use crate::run::{Comparison, Newest};

/// The version of the format that is written.
const FORMAT: u32 = 2;
/// Maximum size of a stored checkpoint that is read, in bytes: twice what can be written.
const MAX_BYTES: usize = 16 * 1024 * 1024;
/// Up to this many ids are written as they are; more are packed.
const PLAIN: usize = 1_000;
/// Maximum number of other cursors that are read. Auth0 is known to use two prefixes.
const MAX_CURSORS: usize = 1_001;

/// Why a stored checkpoint cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreadable {
    /// Not the JSON that this program writes.
    #[error("it is not a checkpoint")]
    Json(#[from] Mistake),
    /// Written by a newer version of this program.
    #[error("it has format {0}, and this version reads formats 1 and {FORMAT}")]
    Newer(u32),
    /// Neither a cursor nor a start.
    #[error("it has neither a cursor nor a start")]
    Position,
    /// A start that Auth0 cannot be asked for.
    #[error("its start is in no year from 1 to 9999")]
    Start,
    /// A time out of range for arithmetic.
    #[error("a time in it is out of range")]
    Time,
    /// More than this program writes, in all or in one field.
    #[error("it is larger than any that this program writes")]
    TooLarge,
    /// A time in the future.
    #[error("a time in it is in the future")]
    Future,
}

#[derive(Deserialize)]
struct Head {
    format: u32,
}

#[derive(Serialize, Deserialize)]
struct Format2 {
    format: u32,
    /// Every record up to this one is handled. Null until there is such a record.
    cursor: Option<LogId>,
    /// The cursors of other prefixes.
    #[serde(default)]
    other_cursors: Vec<LogId>,
    /// Where reading begins, if not after the cursor.
    start: Option<Start>,
    /// Records dated before this are left out.
    left_out_before: Option<DateTime<Utc>>,
    /// Handled ids after the cursors.
    handled: Vec<LogId>,
    /// The same, packed, if there are many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    handled_packed: Option<String>,
    newest: Option<Newest>,
    refused_since: Option<DateTime<Utc>>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    suspects: BTreeSet<LogId>,
    caught_up_at: Option<DateTime<Utc>>,
    /// From when on records of a prefix that was never met are wanted.
    #[serde(default)]
    wanted_since: Option<DateTime<Utc>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    oldest_found: Option<DateTime<Utc>>,
    #[serde(default)]
    comparison: Option<Comparison>,
    set_by_hand: bool,
    loss: Option<Loss>,
    saved_at: DateTime<Utc>,
    /// Identifies the process that saved it.
    saved_by: String,
}

#[derive(Deserialize)]
struct Format1 {
    resume_from: Option<LogId>,
    start: Option<Start>,
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
            // A first reading. A start with a cursor is a reading that started over by time: what it
            // reads again is recognised by its id.
            (None, Some(Start::At(time))) => Some(*time),
            _ => None,
        };
        Self {
            format: FORMAT,
            cursor: old.resume_from,
            other_cursors: Vec::new(),
            start: old.start,
            left_out_before,
            handled: old.delivered,
            handled_packed: None,
            newest: old.newest,
            refused_since: old.refused_since,
            suspects: BTreeSet::new(),
            caught_up_at: old.caught_up_at,
            wanted_since: None,
            oldest_found: None,
            comparison: None,
            set_by_hand: old.set_by_hand,
            loss: old.loss,
            saved_at: old.saved_at,
            saved_by: old.saved_by,
        }
    }
}

/// Writes a checkpoint as JSON. `writer` identifies the process.
pub(super) fn write(checkpoint: &Checkpoint, saved_at: DateTime<Utc>, writer: &str) -> Bytes {
    let (handled, handled_packed) = if checkpoint.handled.len() > PLAIN {
        (Vec::new(), Some(packed::pack(&checkpoint.handled)))
    } else {
        (checkpoint.handled.iter().cloned().collect(), None)
    };
    let written = Format2 {
        format: FORMAT,
        cursor: checkpoint.cursor.clone(),
        other_cursors: checkpoint.others.values().cloned().collect(),
        start: checkpoint.start,
        left_out_before: checkpoint.left_out_before,
        handled,
        handled_packed,
        newest: checkpoint.newest.clone(),
        refused_since: checkpoint.refused_since,
        suspects: checkpoint.suspects.clone(),
        caught_up_at: checkpoint.caught_up_at,
        wanted_since: checkpoint.wanted_since,
        oldest_found: checkpoint.oldest_found,
        comparison: checkpoint.comparison,
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
    let written = parse(json)?;
    written.check()?;
    let handled = handled(written.handled, written.handled_packed.as_deref())?;
    let others = by_series(written.other_cursors, written.cursor.as_ref());
    let newest = written.newest.as_ref().map(|it| &it.log_id);
    let ids = written.cursor.iter().chain(others.values()).chain(newest);
    let mut ids = ids.chain(&written.suspects);
    if ids.any(is_long) || written.suspects.len() > MAX_SUSPECTS {
        return Err(Unreadable::TooLarge);
    }
    Ok(Checkpoint {
        cursor: written.cursor,
        others,
        start: written.start,
        left_out_before: written.left_out_before,
        handled,
        newest: written.newest,
        refused_since: written.refused_since,
        suspects: written.suspects,
        caught_up_at: written.caught_up_at,
        wanted_since: written.wanted_since,
        oldest_found: written.oldest_found,
        comparison: written.comparison,
        set_by_hand: written.set_by_hand,
        loss: written.loss,
    })
}

fn parse(json: &[u8]) -> Result<Format2, Unreadable> {
    if json.len() > MAX_BYTES {
        return Err(Unreadable::TooLarge);
    }
    let Head { format } = serde_json::from_slice(json).map_err(Mistake::from)?;
    match format {
        ..FORMAT => {
            let old: Result<Format1, _> = serde_json::from_slice(json);
            Ok(old.map_err(Mistake::from)?.into())
        }
        FORMAT => Ok(serde_json::from_slice(json).map_err(Mistake::from)?),
        newer => Err(Unreadable::Newer(newer)),
    }
}

impl Format2 {
    /// Checks that there is a position to read from, and that all times are plausible.
    fn check(&self) -> Result<(), Unreadable> {
        if self.cursor.is_none() && self.start.is_none() {
            return Err(Unreadable::Position);
        }
        let starts = [self.start, self.left_out_before.map(Start::At)];
        if !starts.into_iter().flatten().all(Start::is_usable) {
            return Err(Unreadable::Start);
        }
        let times = [
            self.refused_since,
            self.caught_up_at,
            self.wanted_since,
            self.oldest_found,
            self.comparison.map(|it| it.at),
            self.loss.map(|it| it.noticed_at),
            self.loss.and_then(|it| it.began_at),
        ];
        if !times.into_iter().flatten().all(is_reckonable) {
            return Err(Unreadable::Time);
        }
        if self.other_cursors.len() > MAX_CURSORS {
            return Err(Unreadable::TooLarge);
        }
        Ok(())
    }
}

/// Maximum size of the ids that are read, in bytes. More are written than are remembered while batches
/// are in flight: a run saves before the cursor passes what it has delivered.
const MOST_READ: usize = 2 * MAX_HANDLED_BYTES;

/// The ids of handled records, from the plain list and the packed one.
fn handled(plain: Vec<LogId>, packed: Option<&str>) -> Result<BTreeSet<LogId>, Unreadable> {
    let mut ids: BTreeSet<LogId> = plain.into_iter().collect();
    if let Some(packed) = packed {
        ids.extend(packed::unpack(packed, MOST_READ).ok_or(Unreadable::TooLarge)?);
    }
    let bytes: usize = ids.iter().map(|it| it.as_str().len()).sum();
    if bytes > MOST_READ || ids.iter().any(is_long) {
        return Err(Unreadable::TooLarge);
    }
    Ok(ids)
}

/// The cursors of all series except the main cursor's, by series.
fn by_series(cursors: Vec<LogId>, main: Option<&LogId>) -> BTreeMap<String, LogId> {
    let mut others: BTreeMap<String, LogId> = BTreeMap::new();
    for cursor in cursors {
        let series = cursor.series().to_owned();
        // Of two the smaller: what is not known to be handled is delivered.
        let known = others.entry(series).or_insert_with(|| cursor.clone());
        *known = cursor.min(known.clone());
    }
    others.retain(|series, _| main.is_none_or(|main| main.series() != series));
    others
}

fn is_long(id: &LogId) -> bool {
    id.as_str().chars().nth(LONGEST_ID).is_some()
}

#[cfg(test)]
mod tests;
