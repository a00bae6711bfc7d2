use std::time::Duration;

use tokio::time::Instant;

use super::faulty::{Fault, Faulty, Operation};
use super::folder::Folder;
use super::memory::Memory;
use super::*;
use crate::error::with_causes;

fn content(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

fn minute() -> Deadline {
    Deadline::after(Duration::from_mins(1))
}

fn is_conflict(written: &Result<Version, StorageError>) -> bool {
    matches!(written, Err(StorageError::Conflict))
}

/// Successes, and whether a write that is answered so counts as written.
pub(super) const IS_WRITTEN: [(u16, bool); 7] = [
    (200, true),
    (201, true),
    (202, false),
    (203, false),
    (204, false),
    (206, false),
    (299, false),
];

/// Checks what became of a write that was answered so.
pub(super) fn assert_written(
    written: Result<Version, StorageError>,
    status: u16,
    is_written: bool,
) {
    assert_eq!(written.is_ok(), is_written, "{status}");
    if let Err(error) = written {
        let error = with_causes(&error);
        let telling = format!("it answered {status} ");
        assert!(
            error.contains(&telling) && error.contains("to a write"),
            "{error}"
        );
    }
}

async fn an_object_is_written_over_the_version_that_was_read_and_no_other(place: &dyn Objects) {
    assert!(place.read("a/b.json").await.unwrap().is_none());
    let first = place.write("a/b.json", content("1"), None).await.unwrap();
    let (stored, version) = place.read("a/b.json").await.unwrap().unwrap();
    assert_eq!((&stored[..], &version), (&b"1"[..], &first));

    let written = place.write("a/b.json", content("2"), Some(&first)).await;
    let second = written.unwrap();
    for stale in [None, Some(&first)] {
        let refused = place.write("a/b.json", content("3"), stale).await;
        assert!(is_conflict(&refused), "{refused:?}");
    }
    let (stored, version) = place.read("a/b.json").await.unwrap().unwrap();
    assert_eq!((&stored[..], &version), (&b"2"[..], &second));
}

async fn what_is_gone_is_neither_replaced_nor_removed_again(place: &dyn Objects) {
    let version = place.write("a/b.json", content("1"), None).await.unwrap();
    for _ in 0..2 {
        place.remove("a/b.json").await.unwrap();
        assert!(place.read("a/b.json").await.unwrap().is_none());
        let refused = place.write("a/b.json", content("2"), Some(&version)).await;
        assert!(is_conflict(&refused), "{refused:?}");
    }
    place.write("a/b.json", content("3"), None).await.unwrap();
}

async fn the_objects_of_a_folder_are_listed_without_those_below_or_beside_it(place: &dyn Objects) {
    assert!(place.list("a").await.unwrap().is_empty());
    for path in ["a/1.json", "a/2.json", "a/b/3.json", "ab/4.json", "5.json"] {
        place.write(path, content("1"), None).await.unwrap();
    }
    let mut paths = place.list("a").await.unwrap();
    paths.sort();
    assert_eq!(paths, ["a/1.json", "a/2.json"]);
    assert_eq!(place.list("a/b").await.unwrap(), ["a/b/3.json"]);
    place.remove("a/1.json").await.unwrap();
    assert_eq!(place.list("a").await.unwrap(), ["a/2.json"]);
}

async fn of_two_that_write_at_once_one_succeeds(place: &dyn Objects) {
    let mut over = None;
    for _ in 0..20 {
        let write = |text| place.write("a", content(text), over.as_ref());
        let (one, other) = tokio::join!(write("1"), write("2"));
        let (text, version) = match (one, other) {
            (Ok(version), Err(StorageError::Conflict)) => ("1", version),
            (Err(StorageError::Conflict), Ok(version)) => ("2", version),
            both => panic!("{both:?}"),
        };
        assert_eq!(
            place.read("a").await.unwrap().unwrap(),
            (content(text), version.clone())
        );
        place.remove("a").await.unwrap();
        over = Some(place.write("a", content("0"), None).await.unwrap());
    }
}

async fn a_second_owner_is_refused_until_the_first_is_gone(
    first: impl Objects,
    second: impl Objects,
) {
    first.claim().await.unwrap();
    first.claim().await.unwrap();
    let written = first.write("a", content("1"), None).await.unwrap();
    let refused = second.claim().await.unwrap_err().to_string();
    assert!(
        refused.contains("in use by another auth0-poller"),
        "{refused}"
    );
    assert_eq!(
        second.read("a").await.unwrap().unwrap(),
        (content("1"), written)
    );
    drop(first);
    second.claim().await.unwrap();
    assert!(second.read("a").await.unwrap().is_some());
}

/// Turns the functions above into tests for every place that needs only this process. The storage
/// account is tested with Azurite, in `tests/blackbox/storage.rs`.
macro_rules! in_every_place {
    ($($test:ident),* $(,)?) => {
        mod folder_place {
            use super::*;
            $(
                #[tokio::test]
                async fn $test() {
                    let temp = tempfile::tempdir().unwrap();
                    super::$test(&Folder::new(temp.path().join("deep/er"), "CHECKPOINT_DIR")).await;
                }
            )*
        }

        mod memory_place {
            use super::*;
            $(
                #[tokio::test]
                async fn $test() {
                    super::$test(&Memory::default()).await;
                }
            )*
        }
    };
}

in_every_place!(
    an_object_is_written_over_the_version_that_was_read_and_no_other,
    what_is_gone_is_neither_replaced_nor_removed_again,
    the_objects_of_a_folder_are_listed_without_those_below_or_beside_it,
    of_two_that_write_at_once_one_succeeds,
);

#[tokio::test]
async fn a_folder_has_one_owner() {
    let temp = tempfile::tempdir().unwrap();
    let open = || Folder::new(temp.path().into(), "CHECKPOINT_DIR");
    a_second_owner_is_refused_until_the_first_is_gone(open(), open()).await;
}

#[tokio::test]
async fn a_memory_has_one_owner() {
    let memory = Memory::default();
    a_second_owner_is_refused_until_the_first_is_gone(memory.clone(), memory).await;
}

#[tokio::test(start_paused = true)]
async fn a_storage_that_hangs_does_not_hold_up_the_end_of_a_run() {
    let hanging = Faulty::over(Memory::default(), |_, _| Fault::Hang);
    let storage = Storage::over(hanging, Jitter::seeded(1));
    let began = Instant::now();
    let deadline = Deadline::after(Duration::from_mins(4));

    let read = storage.read("a", deadline).await.map(drop);
    assert_eq!(began.elapsed(), Duration::from_secs(245));
    // A save may begin after the grace period for responses is over, and still ends in time.
    let save = storage.write("a", content("1"), None, deadline.for_saving());
    let save = save.await.map(drop);
    assert_eq!(began.elapsed(), Duration::from_secs(249));
    for outcome in [read, save] {
        let error = outcome.unwrap_err().to_string();
        assert_eq!(
            error,
            "the storage did not answer before the run's time was over"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_passes_is_tried_again_and_what_does_not_is_told() {
    let mut left = 5;
    let faulty = Faulty::over(Memory::default(), move |_, _| {
        left -= 1;
        if left >= 0 { Fault::Fail } else { Fault::None }
    });
    let storage = Storage::over(faulty, Jitter::seeded(1));
    storage
        .write("a", content("1"), None, minute())
        .await
        .unwrap();
    let again = storage.write("a", content("1"), None, minute()).await;
    assert!(is_conflict(&again), "{again:?}");

    let away = Faulty::over(Memory::default(), |_, _| Fault::Fail);
    let storage = Storage::over(away, Jitter::seeded(1));
    let error = storage.remove("a", minute()).await.unwrap_err();
    assert!(error.to_string().contains("(tried 6 times in "), "{error}");
    assert!(error.may_pass());
}

/// Also if several attempts have failed so.
#[tokio::test(start_paused = true)]
async fn what_failed_says_whether_it_is_about_the_object_and_whether_it_may_pass() {
    type Failure = fn() -> StorageError;
    let judged = |it: &StorageError| {
        [
            it.is_too_large(),
            it.is_denied(),
            it.is_away(),
            it.may_pass(),
        ]
    };
    let jitter = Jitter::seeded(1);
    let cases: [(Failure, [bool; 4]); 6] = [
        (|| StorageError::Conflict, [false, false, false, false]),
        (
            || StorageError::Denied("no".into(), "403".into()),
            [false, true, true, false],
        ),
        (
            || StorageError::Unavailable("away".into(), "503".into()),
            [false, false, true, true],
        ),
        (|| StorageError::OutOfTime, [false, false, true, false]),
        (
            || StorageError::Locked("a".into()),
            [false, false, true, false],
        ),
        (
            || StorageError::TooLarge("a".into()),
            [true, false, false, false],
        ),
    ];
    for (failure, expected) in cases {
        let error = failure();
        assert_eq!(judged(&error), expected, "{error}");
        let attempt = || async { Err::<(), _>(failure()) };
        let tried = retry::retry(&jitter, minute(), attempt).await;
        let error = StorageError::GaveUp(Box::new(tried.unwrap_err()));
        assert_eq!(judged(&error), expected, "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_whose_answer_is_lost_meets_itself() {
    let mut is_first = true;
    let losing = Faulty::over(Memory::default(), move |operation, _| match operation {
        Operation::Write if std::mem::take(&mut is_first) => Fault::LoseAnswer,
        _ => Fault::None,
    });
    let storage = Storage::over(losing, Jitter::seeded(1));
    let written = storage.write("a", content("1"), None, minute()).await;
    assert!(is_conflict(&written), "{written:?}");
    assert_eq!(
        storage.read("a", minute()).await.unwrap().unwrap().0,
        content("1")
    );
}

/// Only the content tells whether the write that was not answered, or somebody else's, is what is in the way.
#[tokio::test(start_paused = true)]
async fn a_write_that_is_to_meet_itself_does_not_take_anothers_content_for_its_own() {
    for (stored, is_own) in [("1", true), ("2", false)] {
        let memory = Memory::default();
        let other = memory.clone();
        let mut writes = 0;
        let losing = Faulty::over(memory, move |operation, path| {
            if operation != Operation::Write {
                return Fault::None;
            }
            writes += 1;
            if writes == 1 {
                return Fault::LoseAnswer;
            }
            other.put(path, content(stored));
            Fault::None
        });
        let storage = Storage::over(losing, Jitter::seeded(1));
        let written = storage
            .write_or_meet("a", content("1"), None, minute())
            .await;
        let (found, version) = storage.read("a", minute()).await.unwrap().unwrap();
        assert_eq!(found, content(stored));
        if is_own {
            assert_eq!(written.unwrap(), version);
        } else {
            assert!(is_conflict(&written), "{written:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_works_where_another_probe_has_come_between() {
    let memory = Memory::default();
    let other = memory.clone();
    let meeting = Faulty::over(memory.clone(), move |operation, _| {
        if operation == Operation::Write {
            // The other probe writes after this one has read, and before this one writes.
            other.put("check.txt", content("the other"));
        }
        Fault::None
    });
    let storage = Storage::over(meeting, Jitter::seeded(1));
    for _ in 0..2 {
        storage
            .probe("check.txt", content("one"), minute())
            .await
            .unwrap();
        let (stored, _) = storage.read("check.txt", minute()).await.unwrap().unwrap();
        assert_eq!(stored, content("the other"));
    }
    let storage = Storage::over(memory, Jitter::seeded(1));
    storage
        .probe("check.txt", content("one"), minute())
        .await
        .unwrap();
    let (stored, _) = storage.read("check.txt", minute()).await.unwrap().unwrap();
    assert_eq!(stored, content("one"));
}

#[tokio::test(start_paused = true)]
async fn a_probe_fails_where_nobody_else_was_in_the_way() {
    let stubborn = Faulty::over(Memory::default(), |operation, _| match operation {
        Operation::Write => Fault::Conflict,
        _ => Fault::None,
    });
    let storage = Storage::over(stubborn, Jitter::seeded(1));
    let probed = storage.probe("check.txt", content("one"), minute()).await;
    assert!(matches!(probed, Err(StorageError::Conflict)), "{probed:?}");

    let away = Faulty::over(Memory::default(), |_, _| Fault::Fail);
    let storage = Storage::over(away, Jitter::seeded(1));
    let probed = storage.probe("check.txt", content("one"), minute()).await;
    assert!(matches!(probed, Err(StorageError::GaveUp(_))), "{probed:?}");
}
