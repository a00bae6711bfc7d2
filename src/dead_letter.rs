//! Records that cannot be delivered, set aside with the reason, so that the rest can go on.

use std::future::Future;
use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::auth0::{LogId, Record};
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

/// Keeps what one destination cannot take.
pub trait DeadLetters: Send + Sync {
    /// Keeps a record, and answers where. To keep it twice is the same as once.
    fn set_aside(
        &self,
        record: &Record,
        reason: &str,
        now: DateTime<Utc>,
        deadline: Deadline,
    ) -> impl Future<Output = Result<String, DeadLetterError>> + Send;
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
    log_id: &'a LogId,
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
        record: &Record,
        reason: &str,
        now: DateTime<Utc>,
        deadline: Deadline,
    ) -> Result<String, DeadLetterError> {
        let path = format!("{}/{}.json", self.folder, file_name(&record.log_id));
        let json = stored(record, reason, now, self.redaction);
        match self.storage.write(&path, json.into(), None, deadline).await {
            Ok(_) => Ok(self.storage.location(&path)),
            // An earlier run has set it aside and could not save its checkpoint then.
            Err(StorageError::Conflict) if self.is_kept(&path, deadline).await => {
                Ok(self.storage.location(&path))
            }
            Err(source) => Err(DeadLetterError::new(self.storage.location(&path), source)),
        }
    }
}

fn stored(record: &Record, reason: &str, now: DateTime<Utc>, redaction: Redaction) -> Vec<u8> {
    let line = redaction.line(record.text());
    // invariant: a record is JSON, and masking leaves JSON
    #[allow(clippy::expect_used, reason = "stated above")]
    let raw = RawValue::from_string(line).expect("a record is JSON");
    let stored = Stored {
        format: FORMAT,
        log_id: &record.log_id,
        reason,
        set_aside_at: now.to_rfc3339_opts(SecondsFormat::Secs, true),
        record: &raw,
    };
    // invariant: a struct of texts has a JSON form
    #[allow(clippy::expect_used, reason = "stated above")]
    let json = serde_json::to_vec_pretty(&stored).expect("a dead letter has a JSON form");
    json
}

/// An id as a file name: itself, or where it is none of Auth0's, a digest of it.
fn file_name(id: &LogId) -> String {
    let id = id.as_str();
    if id.len() <= LONGEST_NAME && id.bytes().all(|it| it.is_ascii_alphanumeric()) {
        return id.to_owned();
    }
    format!("sha256-{}", digest(id.as_bytes()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use serde_json::{Value, json};

    use super::*;
    use crate::retry::Jitter;
    use crate::storage::folder::Folder;

    fn record(id: &str) -> Record {
        let json = json!({"log_id": id, "client_secret": "hidden", "n": 1});
        Record {
            log_id: LogId::new(id),
            date: None,
            json: Bytes::from(json.to_string()),
        }
    }

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
            let record = record(id);
            let mut places = Vec::new();
            for _ in 0..2 {
                let place = letters.set_aside(&record, "too large", now, deadline);
                places.push(place.await.unwrap());
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
