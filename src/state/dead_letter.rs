//! Dead letters in the storage that the settings name.

mod letter;

use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};

pub(crate) use self::letter::StoredLetter;
use self::letter::{NoLetter, file_name, is_again, is_name, is_of, judge, stored};
use crate::error::BoxError;
use crate::net::retry::Deadline;
use crate::pii::Privacy;
use crate::record::LogId;
use crate::run::{DeadLetter, DeadLetters, Kept};
use crate::storage::{Storage, StorageError, digest};

/// Why a dead letter was not stored, read or removed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeadLetterError {
    /// It could not be written.
    #[error("setting a record aside in {place}")]
    Keep { place: String, source: StorageError },
    /// The storage could not be read.
    #[error("reading {place}")]
    Read { place: String, source: StorageError },
    /// What is there is not a dead letter.
    #[error("{place} is not a dead letter")]
    Unreadable { place: String, source: NoLetter },
    /// It could not be removed.
    #[error("removing {place}")]
    Remove { place: String, source: StorageError },
}

/// Dead letters in the storage that the settings name: one object each, in
/// `dead-letter/<tenant>/<destination>/`.
pub(crate) struct DeadLetterStore {
    storage: Arc<Storage>,
    /// `<tenant>/<destination>`
    whose: String,
    privacy: Privacy,
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

    /// Stores a letter where there is an object already. That may be this letter: it counts as that if it
    /// is too large to be read back. Anything else is moved aside, and the letter is written in its
    /// place. Returns whether the letter was there before.
    async fn write_unless_kept(
        &self,
        name: &str,
        log_id: Option<&LogId>,
        json: &Bytes,
        deadline: Deadline,
    ) -> Result<bool, StorageError> {
        let path = self.path(name);
        let (content, version) = match self.storage.read(&path, deadline).await {
            Ok(Some(object)) => object,
            // The object was removed meanwhile, so the letter is not stored.
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
            .write_or_meet(&path, json.clone(), Some(&version), deadline);
        write.await.map(|_| false)
    }
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
            .write_or_meet(&path, json.clone(), None, deadline)
            .await;
        let is_kept = match written {
            Ok(_) => Ok(false),
            // The record was read again, or an earlier run could not save its checkpoint.
            Err(StorageError::Conflict) => {
                self.write_unless_kept(&name, letter.log_id, &json, deadline)
                    .await
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt as _;
    use serde_json::{Value, json};

    use super::*;
    use crate::net::retry::Jitter;
    use crate::redact::Redaction;
    use crate::storage::Objects;
    use crate::storage::faulty::{Fault, Faulty, Operation};
    use crate::storage::folder::Folder;
    use crate::storage::memory::Memory;

    fn letters_over(objects: impl Objects + 'static) -> DeadLetterStore {
        let storage = Arc::new(Storage::over(objects, Jitter::seeded(1)));
        DeadLetterStore::new(storage, "acme", "memory", Redaction::On.into())
    }

    #[tokio::test]
    async fn a_dead_letter_holds_the_record_masked_and_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage::over(
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
            let letters = letters_over(objects);
            letters.set_aside(letter, now, deadline).await
        };
        let first = set_aside(Fault::None).await.unwrap();
        assert!(first.is_new);
        let file = std::fs::File::options().write(true).open(&first.place);
        file.unwrap().set_len(32 * 1024 * 1024 + 1).unwrap();
        // A folder reports the size at once; a storage account only when it is asked what is there.
        for fault in [Fault::None, Fault::Conflict] {
            let again = set_aside(fault).await.unwrap();
            assert!(!again.is_new, "{fault:?}");
            assert_eq!(again.place, first.place);
        }
    }

    /// Otherwise the record would be set aside without a message.
    #[tokio::test(start_paused = true)]
    async fn one_is_new_although_the_answer_to_its_first_attempt_was_lost() {
        for stands_there in [None, Some("notes")] {
            let path = "dead-letter/acme/memory/9001.json";
            let memory = Memory::default();
            if let Some(content) = stands_there {
                memory.put(path, content.into());
            }
            let mut is_lost = false;
            let objects = Faulty::over(memory.clone(), move |operation, of| {
                // If something else is at this path, the letter is stored by the second write.
                let is_first = operation == Operation::Write && of == path && !is_lost;
                if is_first && (stands_there.is_none() || is_set_aside(&memory)) {
                    is_lost = true;
                    return Fault::LoseAnswer;
                }
                Fault::None
            });
            let letters = letters_over(objects);
            let log_id = LogId::new("9001");
            let letter = DeadLetter {
                log_id: Some(&log_id),
                json: r#"{"log_id":"9001"}"#,
                reason: "too large",
            };
            let now = "2026-11-21T08:00:00Z".parse().unwrap();
            let deadline = Deadline::after(Duration::from_mins(1));
            for is_new in [true, false] {
                let kept = letters.set_aside(letter, now, deadline).await.unwrap();
                assert_eq!(kept.is_new, is_new, "{stands_there:?}");
            }
        }
    }

    /// Otherwise the next run would find it, and nobody would have told of it.
    #[tokio::test(start_paused = true)]
    async fn one_of_which_it_is_unknown_who_wrote_it_is_not_taken_for_an_older_one() {
        let (mut writes, mut reads) = (0, 0);
        let objects = Faulty::over(Memory::default(), move |operation, _| match operation {
            Operation::Write => {
                writes += 1;
                if writes == 1 {
                    Fault::LoseAnswer
                } else {
                    Fault::None
                }
            }
            Operation::Read => {
                reads += 1;
                if reads == 1 { Fault::Hang } else { Fault::None }
            }
            _ => Fault::None,
        });
        let letters = letters_over(objects);
        let log_id = LogId::new("9001");
        let letter = DeadLetter {
            log_id: Some(&log_id),
            json: r#"{"log_id":"9001"}"#,
            reason: "too large",
        };
        let now = "2026-11-21T08:00:00Z".parse().unwrap();
        let deadline = Deadline::after(Duration::from_mins(1));
        assert!(letters.set_aside(letter, now, deadline).await.is_err());
    }

    /// Whether the notes of a test above are beside the letter.
    fn is_set_aside(memory: &Memory) -> bool {
        let path = format!(
            "dead-letter/acme/memory/9001.unreadable-{}.json",
            &digest(b"notes")[..8]
        );
        let read = memory.read(&path).now_or_never();
        read.is_some_and(|it| it.unwrap().is_some())
    }

    #[tokio::test]
    async fn what_others_put_there_is_no_dead_letter() {
        let memory = Memory::default();
        let letters = letters_over(memory.clone());
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
            // The content is not quoted: it may be a record, or of any length.
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
            // A newer format may have another form.
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
        // An older letter does not say whose it is.
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
            json: r#"{"log_id":"9001"}"#,
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
        // As similar to the letter as possible.
        let almost = |format: u32, whose: &str, record: &str| {
            format!(
                r#"{{"format": {format}, "for": "acme/{whose}", "log_id": "9001", "reason": "r",
                     "set_aside_at": "2026-11-21T08:00:00Z", "record": {record}}}"#
            )
        };
        for foreign in [
            &almost(0, "memory", letter.json),
            &almost(1, "other", letter.json),
            &almost(1, "memory", r#"{"log_id": "9002"}"#),
            &holding(Value::Null),
            &holding(json!({"log_id": "9002"})),
            "",
            "{",
            "notes",
            r#"{"format": 0}"#,
            &without_id.to_string(),
        ] {
            let memory = Memory::default();
            let letters = letters_over(memory.clone());
            memory.put(path, foreign.to_owned().into());
            for is_new in [true, false] {
                let kept = letters.set_aside(letter, now, deadline).await.unwrap();
                assert_eq!(kept.is_new, is_new, "{foreign}");
            }
            let read = letters.read("9001", deadline).await.unwrap().unwrap();
            assert_eq!(read.reason, "too large");
            // What was there is stored beside it, and is not a dead letter.
            let aside = format!(
                "dead-letter/acme/memory/9001.unreadable-{}.json",
                &digest(foreign.as_bytes())[..8]
            );
            assert_eq!(content(&memory, &aside).await, foreign);
            assert_eq!(letters.names(deadline).await.unwrap(), ["9001"]);
        }
        // A newer version may keep the record there.
        let memory = Memory::default();
        let letters = letters_over(memory.clone());
        let newer = r#"{"format": 2}"#;
        memory.put(path, newer.into());
        let kept = letters.set_aside(letter, now, deadline).await.unwrap();
        assert!(!kept.is_new);
        assert_eq!(content(&memory, path).await, newer);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_there_and_cannot_be_read_is_not_taken_for_the_record() {
        let memory = Memory::default();
        memory.put("dead-letter/acme/memory/9001.json", "notes".into());
        let objects = Faulty::over(memory, |operation, _| match operation {
            Operation::Read => Fault::Fail,
            _ => Fault::None,
        });
        let letters = letters_over(objects);
        let log_id = LogId::new("9001");
        let letter = DeadLetter {
            log_id: Some(&log_id),
            json: r#"{"log_id": "9001"}"#,
            reason: "too large",
        };
        let now = "2026-11-21T08:00:00Z".parse().unwrap();
        let deadline = Deadline::after(Duration::from_mins(1));
        assert!(letters.set_aside(letter, now, deadline).await.is_err());
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
