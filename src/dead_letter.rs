//! Records that cannot be delivered, set aside with the reason, so that the rest can go on.

use std::future::Future;
use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::auth0::LogId;
use crate::redact::Redaction;
use crate::retry::Deadline;
use crate::storage::{Storage, StorageError, digest};

/// Version of the stored form.
const FORMAT: u32 = 1;
/// Letters of an id that may stand in a path.
const LONGEST_NAME: usize = 100;

/// Why a record was not set aside.
#[derive(Debug, thiserror::Error)]
#[error("setting a record aside in {path}")]
pub struct DeadLetterError {
    path: String,
    source: StorageError,
}

impl DeadLetterError {
    /// The storage failed to keep a dead letter there.
    pub fn new(path: impl Into<String>, source: StorageError) -> Self {
        Self {
            path: path.into(),
            source,
        }
    }
}

/// What is set aside.
#[derive(Clone, Copy, Debug)]
pub struct DeadLetter<'a> {
    /// The record's id, if it has one.
    pub log_id: Option<&'a LogId>,
    /// The record's JSON text.
    pub json: &'a str,
    /// Why it is set aside.
    pub reason: &'a str,
}

/// Where a dead letter is.
#[derive(Debug)]
pub struct Kept {
    /// For people.
    pub place: String,
    /// Whether it was not there before.
    pub is_new: bool,
}

/// Keeps what one destination cannot take.
pub trait DeadLetters: Send + Sync {
    /// Keeps a record. To keep it twice is the same as once.
    fn set_aside(
        &self,
        letter: DeadLetter<'_>,
        now: DateTime<Utc>,
        deadline: Deadline,
    ) -> impl Future<Output = Result<Kept, DeadLetterError>> + Send;
}

/// Dead letters in the storage that the settings name: one object each, in
/// `dead-letter/<tenant>/<destination>/`.
pub struct StoredDeadLetters {
    storage: Arc<Storage>,
    folder: String,
    redaction: Redaction,
}

/// A dead letter as it is stored.
#[derive(Serialize)]
struct Stored<'a> {
    format: u32,
    log_id: Option<&'a LogId>,
    reason: &'a str,
    set_aside_at: String,
    record: &'a RawValue,
}

impl StoredDeadLetters {
    /// The dead letters of one destination of one tenant.
    #[must_use]
    pub fn new(
        storage: Arc<Storage>,
        tenant: &str,
        destination: &str,
        redaction: Redaction,
    ) -> Self {
        Self {
            storage,
            folder: format!("dead-letter/{tenant}/{destination}"),
            redaction,
        }
    }

    async fn is_kept(&self, path: &str, deadline: Deadline) -> bool {
        matches!(self.storage.read(path, deadline).await, Ok(Some(_)))
    }
}

impl DeadLetters for StoredDeadLetters {
    async fn set_aside(
        &self,
        letter: DeadLetter<'_>,
        now: DateTime<Utc>,
        deadline: Deadline,
    ) -> Result<Kept, DeadLetterError> {
        let path = format!("{}/{}.json", self.folder, file_name(letter));
        let json = stored(letter, now, self.redaction);
        let place = self.storage.location(&path);
        match self.storage.write(&path, json.into(), None, deadline).await {
            Ok(_) => Ok(Kept {
                place,
                is_new: true,
            }),
            // It was read again, or an earlier run could not save its checkpoint.
            Err(StorageError::Conflict) if self.is_kept(&path, deadline).await => Ok(Kept {
                place,
                is_new: false,
            }),
            Err(source) => Err(DeadLetterError::new(place, source)),
        }
    }
}

fn stored(letter: DeadLetter, now: DateTime<Utc>, redaction: Redaction) -> Vec<u8> {
    let line = redaction.line(letter.json);
    // invariant: a record is JSON, and masking leaves JSON
    #[allow(clippy::expect_used, reason = "stated above")]
    let raw = RawValue::from_string(line).expect("a record is JSON");
    let stored = Stored {
        format: FORMAT,
        log_id: letter.log_id,
        reason: letter.reason,
        set_aside_at: now.to_rfc3339_opts(SecondsFormat::Secs, true),
        record: &raw,
    };
    // invariant: a struct of texts has a JSON form
    #[allow(clippy::expect_used, reason = "stated above")]
    let json = serde_json::to_vec_pretty(&stored).expect("a dead letter has a JSON form");
    json
}

/// The record's id as a file name, or where it is none of Auth0's, a digest of it; and where there
/// is none, a digest of the record.
fn file_name(letter: DeadLetter) -> String {
    let name = letter.log_id.map_or(letter.json, LogId::as_str);
    if name.len() <= LONGEST_NAME && name.bytes().all(|it| it.is_ascii_alphanumeric()) {
        return name.to_owned();
    }
    format!("sha256-{}", digest(name.as_bytes()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;
    use crate::retry::Jitter;
    use crate::storage::folder::Folder;

    #[tokio::test]
    async fn a_dead_letter_holds_the_record_masked_and_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage::folder(Folder::new(folder.path().into()), Jitter::seeded(1));
        let deadline = Deadline::after(Duration::from_mins(1));
        storage.claim(deadline).await.unwrap();
        let letters = StoredDeadLetters::new(
            Arc::new(storage),
            "acme.auth0.com",
            "log-analytics",
            Redaction::On,
        );
        let now = "2026-11-21T08:00:00Z".parse().unwrap();
        for (id, name) in [
            ("9001", "9001"),
            (
                "../9001",
                "sha256-d42f71ea51c4f44a4a41f9a837d864b450ee875fae735d3eb015c6306086efb5",
            ),
        ] {
            let log_id = LogId::new(id);
            let record = json!({"log_id": id, "client_secret": "hidden", "n": 1}).to_string();
            let letter = DeadLetter {
                log_id: Some(&log_id),
                json: &record,
                reason: "too large",
            };
            let mut places = Vec::new();
            for is_new in [true, false] {
                let kept = letters.set_aside(letter, now, deadline).await.unwrap();
                assert_eq!(kept.is_new, is_new);
                places.push(kept.place);
            }
            assert_eq!(places[0], places[1]);
            assert!(
                places[0].ends_with(&format!(
                    "dead-letter/acme.auth0.com/log-analytics/{name}.json"
                )),
                "{places:?}"
            );
            let stored: Value =
                serde_json::from_slice(&std::fs::read(&places[0]).unwrap()).unwrap();
            assert_eq!(
                stored,
                json!({
                    "format": 1, "log_id": id, "reason": "too large",
                    "set_aside_at": "2026-11-21T08:00:00Z",
                    "record": {"log_id": id, "client_secret": "***", "n": 1},
                })
            );
        }
    }
}
