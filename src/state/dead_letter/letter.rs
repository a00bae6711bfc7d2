//! The stored form of a dead letter, which is a record that could not be delivered, and the reason; its
//! name; and the check whether an object is a dead letter.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::json::Mistake;
use crate::pii::Privacy;
use crate::record::{LogId, parse_page};
use crate::run::DeadLetter;
use crate::storage::digest;

/// Version of the stored form.
const FORMAT: u32 = 1;
/// The longest id that may be used as a file name.
const LONGEST_NAME: usize = 100;

/// Why an object is not a dead letter that this program wrote.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoLetter {
    /// Not the JSON that this program writes.
    #[error("it is not of the form of one")]
    Json(#[from] Mistake),
    /// Written by another version, or by another program.
    #[error("it has format {0}, and this version reads format {FORMAT}")]
    Format(u32),
    /// It does not contain a record.
    #[error("what is set aside there is no record")]
    Record,
    /// The record's id does not match the letter or its name.
    #[error("the record in it has another log_id than the letter")]
    Id,
    /// It belongs to another tenant or destination.
    #[error("it was set aside for another tenant or destination: {0}")]
    Elsewhere(String),
}

/// What every format contains.
#[derive(Deserialize)]
struct Head {
    format: u32,
}

/// A dead letter as it is stored.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct StoredLetter {
    format: u32,
    /// The tenant and destination, as in its path. Older letters do not have it.
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    whose: Option<String>,
    /// The record's id, if it has one.
    pub log_id: Option<LogId>,
    /// Why it was set aside.
    pub reason: String,
    /// When it was set aside. As exact as the clock, so that no two letters are the same.
    pub set_aside_at: DateTime<Utc>,
    /// The record, as its destination may see it.
    pub record: Box<RawValue>,
}

/// Reads a dead letter as untrusted input, because others may be able to write to the storage.
pub(super) fn judge(name: &str, whose: &str, json: &[u8]) -> Result<StoredLetter, NoLetter> {
    // Checked first, because the meaning of the other fields depends on it.
    let Head { format } = serde_json::from_slice(json).map_err(Mistake::from)?;
    if format != FORMAT {
        return Err(NoLetter::Format(format));
    }
    let letter: StoredLetter = serde_json::from_slice(json).map_err(Mistake::from)?;
    if let Some(other) = letter.whose.as_ref().filter(|it| *it != whose) {
        let other = other.chars().take(LONGEST_NAME).collect();
        return Err(NoLetter::Elsewhere(other));
    }
    let Some(log_id) = &letter.log_id else {
        return Ok(letter);
    };
    let page = Bytes::from(format!("[{}]", letter.record));
    let records = parse_page(&page).map_err(|_| NoLetter::Record)?.records;
    let [record] = &records[..] else {
        return Err(NoLetter::Record);
    };
    if record.log_id != *log_id || object_name(log_id.as_str()) != name {
        return Err(NoLetter::Id);
    }
    Ok(letter)
}

pub(super) fn stored(
    letter: DeadLetter,
    whose: &str,
    now: DateTime<Utc>,
    privacy: &Privacy,
) -> Vec<u8> {
    let line = privacy.line(letter.json);
    // invariant: a record is JSON, and masking leaves JSON
    #[allow(clippy::expect_used, reason = "stated above")]
    let record = RawValue::from_string(line).expect("a record is JSON");
    let stored = StoredLetter {
        format: FORMAT,
        whose: Some(whose.to_owned()),
        log_id: letter.log_id.cloned(),
        reason: letter.reason.to_owned(),
        set_aside_at: now,
        record,
    };
    // invariant: a struct of texts has a JSON form
    #[allow(clippy::expect_used, reason = "stated above")]
    let json = serde_json::to_vec_pretty(&stored).expect("a dead letter has a JSON form");
    json
}

/// The file name: the record's id or, if it has none, a name derived from the record.
pub(super) fn file_name(letter: DeadLetter) -> String {
    letter.log_id.map_or_else(
        // Always a digest, because the text could be another record's id.
        || digest_name(letter.json),
        |log_id| object_name(log_id.as_str()),
    )
}

/// A text as a file name: the text itself or, if it could lead elsewhere, its digest.
fn object_name(text: &str) -> String {
    if is_name(text) {
        return text.to_owned();
    }
    digest_name(text)
}

fn digest_name(text: &str) -> String {
    format!("sha256-{}", digest(text.as_bytes()))
}

/// Whether a text can be the name of a dead letter, and leads to no other place.
pub(super) fn is_name(text: &str) -> bool {
    let is_part = |it: u8| it.is_ascii_alphanumeric() || it == b'-';
    (1..=LONGEST_NAME).contains(&text.len()) && text.bytes().all(is_part)
}

/// Whether an object is the dead letter of this record, or may be one of a newer version.
pub(super) fn is_of(log_id: Option<&LogId>, name: &str, whose: &str, json: &[u8]) -> bool {
    match judge(name, whose, json) {
        Ok(letter) => letter.log_id.as_ref() == log_id,
        Err(NoLetter::Format(format)) => format > FORMAT,
        Err(_) => false,
    }
}

/// Whether the letters are the same, except that one was set aside again.
pub(super) fn is_again(letter: &[u8], other: &[u8]) -> bool {
    let read = |json| serde_json::from_slice::<StoredLetter>(json).ok();
    read(letter)
        .zip(read(other))
        .is_some_and(|(letter, other)| {
            letter.format == other.format
                && letter.whose == other.whose
                && letter.log_id == other.log_id
                && letter.record.get() == other.record.get()
        })
}
