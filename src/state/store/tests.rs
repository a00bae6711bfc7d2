use std::time::Duration;

use super::*;
use crate::net::retry::Jitter;
use crate::record::{LogId, Position, Start};
use crate::run::Comparison;
use crate::state::checkpoint::Loss;
use crate::storage::faulty::{Fault, Faulty, Operation};
use crate::storage::folder::Folder;
use crate::storage::memory::Memory;

/// 2026-11-21 at this time of day.
fn at(clock: &str) -> DateTime<Utc> {
    format!("2026-11-21T{clock}Z").parse().unwrap()
}

#[tokio::test]
async fn a_save_whose_answer_was_lost_meets_itself_and_not_another() {
    let temp = tempfile::tempdir().unwrap();
    let folder = Folder::new(temp.path().into(), "CHECKPOINT_DIR");
    let storage = Arc::new(Storage::over(folder, Jitter::seeded(1)));
    let store =
        |writer: &str| CheckpointStore::new(Arc::clone(&storage), "acme", "memory", writer.into());
    let deadline = Deadline::after(Duration::from_mins(1));
    let checkpoint = Checkpoint::first(Start::Oldest);
    let now = at("08:00:00");
    let mine = store("me");
    let version = mine.save(&checkpoint, None, now, deadline).await.unwrap();
    let again = mine.save(&checkpoint, None, now, deadline).await.unwrap();
    assert_eq!(version, again);
    let theirs = store("they").save(&checkpoint, None, now, deadline).await;
    assert!(matches!(theirs, Err(CheckpointError::Conflict { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_generation_that_was_kept_though_the_answer_was_lost_is_no_conflict() {
    let memory = Memory::default();
    let open = |storage| CheckpointStore::new(Arc::new(storage), "acme", "memory", "me".into());
    let deadline = Deadline::after(Duration::from_mins(1));
    let (first, second) = (cursor_at("08:00:00"), cursor_at("08:01:00"));
    let before = open(Storage::over(memory.clone(), Jitter::seeded(1)));
    let saved = before.save(&first, None, at("08:00:00"), deadline);
    saved.await.unwrap();

    let mut is_first = true;
    let losing = Faulty::over(memory.clone(), move |operation, path| {
        let is_kept = operation == Operation::Write && path.ends_with(".previous.json");
        if is_kept && std::mem::take(&mut is_first) {
            Fault::LoseAnswer
        } else {
            Fault::None
        }
    });
    let store = open(Storage::over(losing, Jitter::seeded(1)));
    let version = store.load(at("12:00:00"), deadline).await.unwrap().version;
    let saved = store.save(&second, version.as_ref(), at("08:01:00"), deadline);
    saved.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_generation_that_somebody_else_keeps_is_a_conflict() {
    let memory = Memory::default();
    let open = |storage| CheckpointStore::new(Arc::new(storage), "acme", "memory", "me".into());
    let deadline = Deadline::after(Duration::from_mins(1));
    let checkpoint = cursor_at("08:00:00");
    let before = open(Storage::over(memory.clone(), Jitter::seeded(1)));
    let saved = before.save(&checkpoint, None, at("08:00:00"), deadline);
    saved.await.unwrap();
    drop(before);

    let other = memory.clone();
    let meeting = Faulty::over(memory, move |operation, path| {
        if operation == Operation::Write && path.ends_with(".previous.json") {
            other.put(path, Bytes::from_static(b"{}"));
        }
        Fault::None
    });
    let store = open(Storage::over(meeting, Jitter::seeded(1)));
    let version = store.load(at("12:00:00"), deadline).await.unwrap().version;
    let saved = store.save(&checkpoint, version.as_ref(), at("08:01:00"), deadline);
    let error = saved.await.unwrap_err();
    assert!(matches!(error, CheckpointError::Conflict { .. }), "{error}");
}

/// A folder in which each process opens its own store.
struct Stores(tempfile::TempDir);

impl Stores {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// The store of another process.
    fn open(&self) -> CheckpointStore {
        let folder = Folder::new(self.0.path().into(), "CHECKPOINT_DIR");
        let storage = Arc::new(Storage::over(folder, Jitter::seeded(1)));
        CheckpointStore::new(storage, "acme", "memory", "me".into())
    }

    /// Makes a run that saves these checkpoints one after the other.
    async fn save(&self, checkpoints: &[Checkpoint]) {
        let store = self.open();
        let deadline = Deadline::after(Duration::from_mins(1));
        let mut version = store.load(at("12:00:00"), deadline).await.unwrap().version;
        for checkpoint in checkpoints {
            let saved = store.save(checkpoint, version.as_ref(), at("08:00:00"), deadline);
            version = Some(saved.await.unwrap());
        }
    }

    async fn load(&self) -> Result<Stored, CheckpointError> {
        let deadline = Deadline::after(Duration::from_mins(1));
        Ok(self.open().load(at("12:00:00"), deadline).await?.found)
    }

    fn file(&self, generation: &str) -> std::path::PathBuf {
        let name = format!("checkpoints/acme/memory{generation}.json");
        self.0.path().join(name)
    }

    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.path().join("checkpoints/acme")).unwrap();
        let names = entries.map(|it| it.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }
}

fn cursor_at(clock: &str) -> Checkpoint {
    Checkpoint::set(Position::After(LogId::synthetic("900", at(clock))))
}

#[tokio::test]
async fn the_state_before_the_run_is_used_where_the_newest_is_unreadable_or_gone() {
    let stores = Stores::new();
    assert!(matches!(stores.load().await.unwrap(), Stored::Nothing));
    stores.save(&[cursor_at("08:00:00")]).await;
    stores
        .save(&[cursor_at("08:01:00"), cursor_at("08:02:00")])
        .await;
    let Stored::Newest(newest) = stores.load().await.unwrap() else {
        panic!("the newest is fine");
    };
    assert_eq!(newest, cursor_at("08:02:00"));

    for break_it in [
        |file: &std::path::Path| std::fs::write(file, [0; 100]).unwrap(),
        |file: &std::path::Path| std::fs::write(file, "").unwrap(),
        |file: &std::path::Path| std::fs::remove_file(file).unwrap(),
    ] {
        break_it(&stores.file(""));
        let Stored::Previous(previous) = stores.load().await.unwrap() else {
            panic!("the one before it is fine");
        };
        assert_eq!(previous, cursor_at("08:00:00"));
        // The next run continues from there.
        stores.save(&[cursor_at("08:03:00")]).await;
        assert!(
            matches!(stores.load().await.unwrap(), Stored::Newest(it) if it == cursor_at("08:03:00"))
        );
    }
    let mut names = stores.names();
    names.retain(|name| !name.contains(".unreadable-"));
    assert_eq!(names, ["memory.json", "memory.previous.json"]);
    assert_eq!(
        stores.names().len(),
        2 + 2,
        "what could not be read is kept"
    );
}

#[tokio::test]
async fn where_no_generation_is_readable_both_are_set_aside_and_a_new_one_can_be_saved() {
    let stores = Stores::new();
    stores.save(&[cursor_at("08:00:00")]).await;
    stores.save(&[cursor_at("08:01:00")]).await;
    std::fs::write(stores.file(""), "half a check").unwrap();
    std::fs::write(stores.file(".previous"), [0; 9]).unwrap();
    for _ in 0..2 {
        assert!(matches!(stores.load().await.unwrap(), Stored::Lost));
    }
    let names = stores.names();
    let kept = names.iter().filter(|name| name.contains(".unreadable-"));
    let mut kept: Vec<_> = kept
        .map(|name| std::fs::read(stores.0.path().join("checkpoints/acme").join(name)).unwrap())
        .collect();
    kept.sort();
    assert_eq!(kept, [vec![0; 9], b"half a check".to_vec()]);
    stores.save(&[cursor_at("08:02:00")]).await;
    assert!(matches!(stores.load().await.unwrap(), Stored::Newest(_)));
}

#[tokio::test]
async fn what_this_process_has_met_and_is_gone_was_lost_and_never_was_for_another() {
    let deadline = Deadline::after(Duration::from_mins(1));
    let found = async |store: &CheckpointStore| {
        let loaded = store.load(at("12:00:00"), deadline).await;
        loaded.unwrap().found
    };
    let first = cursor_at("08:00:00");
    for was_saved in [true, false] {
        let stores = Stores::new();
        if !was_saved {
            stores.save(&[cursor_at("08:00:00")]).await;
        }
        let store = stores.open();
        if was_saved {
            assert!(matches!(found(&store).await, Stored::Nothing));
            let saved = store.save(&first, None, at("08:00:00"), deadline);
            saved.await.unwrap();
        } else {
            assert!(matches!(found(&store).await, Stored::Newest(_)));
        }
        std::fs::remove_dir_all(stores.0.path().join("checkpoints")).unwrap();
        for _ in 0..2 {
            assert!(matches!(found(&store).await, Stored::Lost), "{was_saved}");
        }
        drop(store);
        assert!(matches!(stores.load().await.unwrap(), Stored::Nothing));
    }
}

#[tokio::test]
async fn what_a_newer_version_has_written_is_not_touched() {
    let stores = Stores::new();
    stores.save(&[cursor_at("08:00:00")]).await;
    stores.save(&[cursor_at("08:01:00")]).await;
    let newer = std::fs::read_to_string(stores.file("")).unwrap();
    let newer = newer.replace("\"format\": 2", "\"format\": 3");
    std::fs::write(stores.file(""), &newer).unwrap();
    let error = stores.load().await.unwrap_err();
    assert!(
        matches!(error, CheckpointError::Unreadable { .. }),
        "{error}"
    );
    assert_eq!(std::fs::read_to_string(stores.file("")).unwrap(), newer);
    assert_eq!(stores.names(), ["memory.json", "memory.previous.json"]);
}

#[tokio::test]
async fn of_two_generations_the_one_is_named_that_a_newer_version_has_written() {
    let stores = Stores::new();
    stores.save(&[cursor_at("08:00:00")]).await;
    let newer = std::fs::read_to_string(stores.file("")).unwrap();
    let newer = newer.replace("\"format\": 2", "\"format\": 3");
    std::fs::write(stores.file(".previous"), newer).unwrap();
    for is_there in [true, false] {
        if is_there {
            std::fs::write(stores.file(""), "").unwrap();
        } else {
            std::fs::remove_file(stores.file("")).unwrap();
        }
        let loaded = stores.load().await.unwrap_err();
        let deadline = Deadline::after(Duration::from_mins(1));
        let peeked = stores.open().peek(at("12:00:00"), deadline).await;
        for error in [loaded, peeked.unwrap_err()] {
            let error = with_causes(&error);
            let previous = stores.file(".previous").display().to_string();
            let told = format!("the checkpoint {previous} cannot be used; ");
            assert!(error.starts_with(&told), "{error}");
            assert!(error.contains("it has format 3"), "{error}");
        }
    }
}

#[tokio::test]
async fn a_checkpoint_of_a_time_to_come_is_not_believed_and_the_one_before_it_is() {
    let stores = Stores::new();
    stores.save(&[cursor_at("08:00:00")]).await;
    let forged = Checkpoint {
        set_by_hand: false,
        ..cursor_at("12:05:01")
    };
    stores.save(&[forged]).await;
    assert!(matches!(
        stores.load().await.unwrap(),
        Stored::Previous(it) if it == cursor_at("08:00:00")
    ));
}

#[tokio::test]
async fn what_a_clock_that_was_ahead_has_noted_does_not_make_the_cursors_of_a_time_to_come() {
    let sound = Checkpoint {
        set_by_hand: false,
        ..cursor_at("08:00:00")
    };
    let (now, late) = (at("12:00:00"), at("13:00:00"));
    let noted = |at, noticed_at| Checkpoint {
        refused_since: Some(at),
        loss: Some(Loss {
            noticed_at,
            began_at: None,
        }),
        comparison: Some(Comparison::none_since(at)),
        ..sound.clone()
    };
    let ahead = Checkpoint {
        caught_up_at: Some(late),
        oldest_found: Some(late),
        ..noted(late, late)
    };
    let stores = Stores::new();
    // Saved twice, so that both generations contain it.
    for _ in 0..2 {
        stores.save(std::slice::from_ref(&ahead)).await;
    }
    let Stored::Newest(found) = stores.load().await.unwrap() else {
        panic!("its cursor is one that Auth0 gave");
    };
    assert_eq!(found, noted(now, now));
}
