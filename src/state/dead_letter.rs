//! Dead letters as they are stored: a record that could not be delivered, and the reason.

use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, SubsecRound as _, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::error::BoxError;
use crate::json::Mistake;
use crate::net::retry::Deadline;
use crate::pii::Privacy;
use crate::record::{LogId, parse_page};
use crate::run::{DeadLetter, DeadLetters, Kept};
use crate::storage::{Storage, StorageError, digest};

/// Version of the stored form.
const FORMAT: u32 = 1;
/// Letters of an id that may stand in a path.
const LONGEST_NAME: usize = 100;

/// Why a dead letter was not kept, read or removed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeadLetterError {
    /// It could not be written.
    #[error("setting a record aside in {place}")]
    Keep { place: String, source: StorageError },
    /// The storage could not be read.
    #[error("reading {place}")]
    Read { place: String, source: StorageError },
    /// What is there is no dead letter.
    #[error("{place} is not a dead letter")]
    Unreadable { place: String, source: NoLetter },
    /// It could not be removed.
    #[error("removing {place}")]
    Remove { place: String, source: StorageError },
}

/// Why an object is no dead letter that this program wrote.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoLetter {
    /// Not the JSON that this program writes.
    #[error("it is not of the form of one")]
    Json(#[from] Mistake),
    /// Another version's, or nobody's.
    #[error("it has format {0}, and this version reads format {FORMAT}")]
    Format(u32),
    /// The record is no object.
    #[error("what is set aside there is no record")]
    Record,
    /// The record is another than the letter and its name say.
    #[error("the record in it has another log_id than the letter")]
    Id,
    /// It was moved here.
    #[error("it was set aside for another tenant or destination: {0}")]
    Elsewhere(String),
}

/// Dead letters in the storage that the settings name: one object each, in
/// `dead-letter/<tenant>/<destination>/`.
pub(crate) struct DeadLetterStore {
    storage: Arc<Storage>,
    /// `<tenant>/<destination>`
    whose: String,
    privacy: Privacy,
}

/// What each format has.
#[derive(Deserialize)]
struct Head {
    format: u32,
}

/// A dead letter as it is stored.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct StoredLetter {
    format: u32,
    /// For which tenant and destination, as in its path. Letters of before have it not.
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    whose: Option<String>,
    /// The record's id, if it has one.
    pub log_id: Option<LogId>,
    /// Why it was set aside.
    pub reason: String,
    /// When.
    pub set_aside_at: DateTime<Utc>,
    /// The record, as its destination may see it.
    pub record: Box<RawValue>,
}

impl DeadLetterStore {
    /// The dead letters of one destination of one tenant.
    pub fn new(storage: Arc<Storage>, tenant: &str, destination: &str, privacy: Privacy) -> Self {
        Self {
            storage,
            whose: format!("{tenant}/{destination}"),
            privacy,
        }
    }

    /// The names of all dead letters.
    pub async fn names(&self, deadline: Deadline) -> Result<Vec<String>, DeadLetterError> {
        let folder = self.folder();
        let paths = self.storage.list(&folder, deadline).await;
        let paths = paths.map_err(|source| DeadLetterError::Read {
            place: self.storage.location(&folder),
            source,
        })?;
        let name = |path: &String| Some(path.rsplit('/').next()?.strip_suffix(".json")?.to_owned());
        let names = paths.iter().filter_map(name);
        Ok(names.filter(|it| is_name(it)).collect())
    }

    /// The dead letter of this name, if there is one.
    pub async fn read(
        &self,
        name: &str,
        deadline: Deadline,
    ) -> Result<Option<StoredLetter>, DeadLetterError> {
        if !is_name(name) {
            return Ok(None);
        }
        let path = self.path(name);
        let place = self.storage.location(&path);
        match self.storage.read(&path, deadline).await {
            Ok(None) => Ok(None),
            Ok(Some((json, _))) => match judge(name, &self.whose, &json) {
                Ok(letter) => Ok(Some(letter)),
                Err(source) => Err(DeadLetterError::Unreadable { place, source }),
            },
            Err(source) => Err(DeadLetterError::Read { place, source }),
        }
    }

    /// Removes the dead letter of this name.
    pub async fn remove(&self, name: &str, deadline: Deadline) -> Result<(), DeadLetterError> {
        let path = self.path(name);
        let removed = self.storage.remove(&path, deadline).await;
        removed.map_err(|source| DeadLetterError::Remove {
            place: self.storage.location(&path),
            source,
        })
    }

    fn folder(&self) -> String {
        format!("dead-letter/{}", self.whose)
    }

    fn path(&self, name: &str) -> String {
        format!("{}/{name}.json", self.folder())
    }

    /// Whether it is there. One that is too large to be read back is. What has its name and is none is
    /// kept beside it, and it is written in that one's place.
    async fn is_kept(
        &self,
        name: &str,
        log_id: Option<&LogId>,
        json: &Bytes,
        deadline: Deadline,
    ) -> Result<bool, StorageError> {
        let path = self.path(name);
        let (content, version) = match self.storage.read(&path, deadline).await {
            Ok(Some(object)) => object,
            // It was removed meanwhile, and so it is nowhere.
            Ok(None) => return Err(StorageError::Conflict),
            Err(error) if error.is_too_large() => return Ok(true),
            Err(error) => return Err(error),
        };
        if is_of(log_id, name, &self.whose, &content) || is_again(json, &content) {
            return Ok(true);
        }
        let aside = format!(
            "{}/{name}.unreadable-{}.json",
            self.folder(),
            &digest(&content)[..8]
        );
        match self.storage.write(&aside, content, None, deadline).await {
            Ok(_) | Err(StorageError::Conflict) => {}
            Err(error) => return Err(error),
        }
        let write = self
            .storage
            .write(&path, json.clone(), Some(&version), deadline);
        write.await.map(|_| false)
    }
}

/// Whether an object is the dead letter of this record, or may be one of a newer version.
fn is_of(log_id: Option<&LogId>, name: &str, whose: &str, json: &[u8]) -> bool {
    match judge(name, whose, json) {
        Ok(letter) => letter.log_id.as_ref() == log_id,
        Err(NoLetter::Format(format)) => format > FORMAT,
        Err(_) => false,
    }
}

/// Whether one letter is the other, set aside once more.
fn is_again(letter: &[u8], other: &[u8]) -> bool {
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

impl DeadLetters for DeadLetterStore {
    async fn set_aside(
        &self,
        letter: DeadLetter<'_>,
        now: DateTime<Utc>,
        deadline: Deadline,
    ) -> Result<Kept, BoxError> {
        let name = file_name(letter);
        let path = self.path(&name);
        let json = Bytes::from(stored(letter, &self.whose, now, &self.privacy));
        let place = self.storage.location(&path);
        let written = self
            .storage
            .write(&path, json.clone(), None, deadline)
            .await;
        let is_kept = match written {
            Ok(_) => Ok(false),
            // It was read again, or an earlier run could not save its checkpoint.
            Err(StorageError::Conflict) => {
                self.is_kept(&name, letter.log_id, &json, deadline).await
            }
            Err(error) if error.is_too_large() => Ok(true),
            Err(error) => Err(error),
        };
        match is_kept {
            Ok(is_kept) => Ok(Kept {
                place,
                is_new: !is_kept,
            }),
            Err(source) => Err(DeadLetterError::Keep { place, source }.into()),
        }
    }
}

/// Reads a dead letter as what it is: input from a place that others may write to.
fn judge(name: &str, whose: &str, json: &[u8]) -> Result<StoredLetter, NoLetter> {
    // First of all: what else is there depends on it.
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

fn stored(letter: DeadLetter, whose: &str, now: DateTime<Utc>, privacy: &Privacy) -> Vec<u8> {
    let line = privacy.line(letter.json);
    // invariant: a record is JSON, and masking leaves JSON
    #[allow(clippy::expect_used, reason = "stated above")]
    let record = RawValue::from_string(line).expect("a record is JSON");
    let stored = StoredLetter {
        format: FORMAT,
        whose: Some(whose.to_owned()),
        log_id: letter.log_id.cloned(),
        reason: letter.reason.to_owned(),
        set_aside_at: now.trunc_subsecs(0),
        record,
    };
    // invariant: a struct of texts has a JSON form
    #[allow(clippy::expect_used, reason = "stated above")]
    let json = serde_json::to_vec_pretty(&stored).expect("a dead letter has a JSON form");
    json
}

/// The record's id as a file name, or where there is none, a name made of the record.
fn file_name(letter: DeadLetter) -> String {
    letter.log_id.map_or_else(
        // Always a digest: its text could be the id of another.
        || digest_name(letter.json),
        |log_id| object_name(log_id.as_str()),
    )
}

/// A text as a file name: itself, or where it could lead elsewhere, a digest of it.
fn object_name(text: &str) -> String {
    if is_name(text) {
        return text.to_owned();
    }
    digest_name(text)
}

fn digest_name(text: &str) -> String {
    format!("sha256-{}", digest(text.as_bytes()))
}

/// Whether a text can be the name of a dead letter, and names no other place.
fn is_name(text: &str) -> bool {
    let is_part = |it: u8| it.is_ascii_alphanumeric() || it == b'-';
    (1..=LONGEST_NAME).contains(&text.len()) && text.bytes().all(is_part)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;
    use crate::net::retry::Jitter;
    use crate::redact::Redaction;
    use crate::storage::Objects as _;
    use crate::storage::faulty::{Fault, Faulty, Operation};
    use crate::storage::folder::Folder;
    use crate::storage::memory::Memory;

    #[tokio::test]
    async fn a_dead_letter_holds_the_record_masked_and_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage::folder(
            Folder::new(folder.path().into(), "CHECKPOINT_DIR"),
            Jitter::seeded(1),
        );
        let deadline = Deadline::after(Duration::from_mins(1));
        storage.claim(deadline).await.unwrap();
        let letters = DeadLetterStore::new(
            Arc::new(storage),
            "acme.auth0.com",
            "log-analytics",
            Redaction::On.into(),
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
                    "format": 1, "for": "acme.auth0.com/log-analytics", "log_id": id,
                    "reason": "too large",
                    "set_aside_at": "2026-11-21T08:00:00Z",
                    "record": {"log_id": id, "client_secret": "***", "n": 1},
                })
            );
        }
    }

    #[tokio::test]
    async fn one_that_is_too_large_to_be_read_back_is_kept_and_stops_no_run() {
        let temp = tempfile::tempdir().unwrap();
        let folder = Folder::new(temp.path().into(), "CHECKPOINT_DIR");
        let log_id = LogId::new("9001");
        let letter = DeadLetter {
            log_id: Some(&log_id),
            json: r#"{"log_id": "9001"}"#,
            reason: "too large",
        };
        let deadline = Deadline::after(Duration::from_mins(1));
        let now = "2026-11-21T08:00:00Z".parse().unwrap();
        let set_aside = async |fault| {
            let objects = Faulty::over(folder.clone(), move |operation, _| match operation {
                Operation::Write => fault,
                _ => Fault::None,
            });
            let storage = Arc::new(Storage::over(objects, Jitter::seeded(1)));
            let letters = DeadLetterStore::new(storage, "acme", "memory", Redaction::On.into());
            letters.set_aside(letter, now, deadline).await
        };
        let first = set_aside(Fault::None).await.unwrap();
        assert!(first.is_new);
        let file = std::fs::File::options().write(true).open(&first.place);
        file.unwrap().set_len(32 * 1024 * 1024 + 1).unwrap();
        // A folder sees that at once, and a storage account when it is asked what is there.
        for fault in [Fault::None, Fault::Conflict] {
            let again = set_aside(fault).await.unwrap();
            assert!(!again.is_new, "{fault:?}");
            assert_eq!(again.place, first.place);
        }
    }

    #[tokio::test]
    async fn what_others_put_there_is_no_dead_letter() {
        let memory = Memory::default();
        let storage = Arc::new(Storage::over(memory.clone(), Jitter::seeded(1)));
        let letters = DeadLetterStore::new(storage, "acme", "memory", Redaction::On.into());
        let letter = |format: u32, log_id: &str, record: Value| {
            json!({"format": format, "log_id": log_id, "reason": "r",
                   "set_aside_at": "2026-11-21T08:00:00Z", "record": record})
        };
        let right = json!({"log_id": "9001"});
        let of = |whose: &str| {
            let mut letter = letter(1, "9001", right.clone());
            letter["for"] = whose.into();
            letter
        };
        for (content, told) in [
            (
                of("acme/other"),
                "it was set aside for another tenant or destination: acme/other",
            ),
            (
                of("globex/memory"),
                "it was set aside for another tenant or destination: globex/memory",
            ),
            (json!({}), "it is not of the form of one: line 1, column 2"),
            // What stands there may be a record, or of any length.
            (
                json!({"format": "ada@example.com"}),
                "it is not of the form of one: line 1, column",
            ),
            (
                letter(1, "9001", json!({"id": "9001"})),
                "what is set aside there is no record",
            ),
            (json!([]), "it is not of the form of one"),
            (
                letter(99, "9001", right.clone()),
                "it has format 99, and this version reads format 1",
            ),
            // The form may be another there.
            (
                json!({"format": 2, "why": "r", "letter": {}}),
                "it has format 2, and this version reads format 1",
            ),
            (
                letter(1, "9001", json!([right])),
                "what is set aside there is no record",
            ),
            (
                letter(1, "9001", json!("text")),
                "what is set aside there is no record",
            ),
            (
                letter(1, "9001", json!({"log_id": "9002"})),
                "the record in it has another log_id",
            ),
            (
                letter(1, "9002", json!({"log_id": "9002"})),
                "the record in it has another log_id",
            ),
        ] {
            memory.put(
                "dead-letter/acme/memory/9001.json",
                content.to_string().into(),
            );
            let deadline = Deadline::after(Duration::from_mins(1));
            let error = letters.read("9001", deadline).await.unwrap_err();
            let error = crate::error::with_causes(&error);
            assert!(error.contains(told), "{error}");
        }
        // One of before says not whose it is.
        for content in [letter(1, "9001", right.clone()), of("acme/memory")] {
            memory.put(
                "dead-letter/acme/memory/9001.json",
                content.to_string().into(),
            );
            let deadline = Deadline::after(Duration::from_mins(1));
            assert!(letters.read("9001", deadline).await.unwrap().is_some());
        }
    }

    #[tokio::test]
    async fn what_others_put_under_its_name_keeps_no_record_from_being_set_aside() {
        let path = "dead-letter/acme/memory/9001.json";
        let content =
            async |memory: &Memory, path: &str| memory.read(path).await.unwrap().unwrap().0;
        let log_id = LogId::new("9001");
        let letter = DeadLetter {
            log_id: Some(&log_id),
            json: r#"{"log_id": "9001"}"#,
            reason: "too large",
        };
        let now = "2026-11-21T08:00:00Z".parse().unwrap();
        let deadline = Deadline::after(Duration::from_mins(1));
        let without_id = json!({"format": 1, "log_id": null, "reason": "r",
                                "set_aside_at": now, "record": {"a": 1}});
        let holding = |record: Value| {
            json!({"format": 1, "log_id": "9001", "reason": "r", "set_aside_at": now, "record": record})
                .to_string()
        };
        for foreign in [
            &holding(Value::Null),
            &holding(json!({"log_id": "9002"})),
            "",
            "{",
            "notes",
            r#"{"format": 0}"#,
            &without_id.to_string(),
        ] {
            let memory = Memory::default();
            let storage = Arc::new(Storage::over(memory.clone(), Jitter::seeded(1)));
            let letters = DeadLetterStore::new(storage, "acme", "memory", Redaction::On.into());
            memory.put(path, foreign.to_owned().into());
            for is_new in [true, false] {
                let kept = letters.set_aside(letter, now, deadline).await.unwrap();
                assert_eq!(kept.is_new, is_new, "{foreign}");
            }
            let read = letters.read("9001", deadline).await.unwrap().unwrap();
            assert_eq!(read.reason, "too large");
            // What was there is beside it, and is no dead letter.
            let aside = format!(
                "dead-letter/acme/memory/9001.unreadable-{}.json",
                &digest(foreign.as_bytes())[..8]
            );
            assert_eq!(content(&memory, &aside).await, foreign);
            assert_eq!(letters.names(deadline).await.unwrap(), ["9001"]);
        }
        // A newer version may keep the record there.
        let memory = Memory::default();
        let storage = Arc::new(Storage::over(memory.clone(), Jitter::seeded(1)));
        let letters = DeadLetterStore::new(storage, "acme", "memory", Redaction::On.into());
        let newer = r#"{"format": 2}"#;
        memory.put(path, newer.into());
        let kept = letters.set_aside(letter, now, deadline).await.unwrap();
        assert!(!kept.is_new);
        assert_eq!(content(&memory, path).await, newer);
    }

    #[test]
    fn what_has_no_id_takes_no_name_that_could_be_an_id() {
        let number = "90020261121080000000000000000000000000000000000000000000";
        let misfit = DeadLetter {
            log_id: None,
            json: number,
            reason: "it has no log_id",
        };
        assert!(file_name(misfit).starts_with("sha256-"));
        let log_id = LogId::new(number);
        let record = DeadLetter {
            log_id: Some(&log_id),
            ..misfit
        };
        assert_eq!(file_name(record), number);
    }
}
