use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::net::retry::{Deadline, Jitter};
use crate::storage::Storage;
use crate::storage::faulty::{Fault, Faulty, Operation};
use crate::storage::memory::Memory;

fn at(clock: &str) -> DateTime<Utc> {
    format!("2026-11-21T{clock}Z").parse().unwrap()
}

fn quiet() -> Report {
    Report {
        caught_up: true,
        lag_seconds: Some(0),
        ..Report::of("log-analytics")
    }
}

fn delivered(count: u64) -> Report {
    Report {
        delivered: count,
        bytes: count * 10,
        ..quiet()
    }
}

fn failed(text: &str) -> Report {
    Report {
        errors: vec![text.to_owned()],
        ..Report::of("log-analytics")
    }
}

#[test]
fn a_quiet_run_is_a_sign_of_life_every_ten_minutes_and_a_change_is_told_at_once() {
    let mut history = History::default();
    let clocks = [
        ("08:00:00", quiet(), true),
        ("08:01:00", quiet(), false),
        ("08:09:59", quiet(), false),
        ("08:10:00", quiet(), true),
        ("08:11:00", failed("no token"), true),
        ("08:12:00", failed("no token"), true),
        ("08:13:00", quiet(), true),
        ("08:14:00", quiet(), false),
        ("08:15:00", delivered(1), true),
        ("08:16:00", quiet(), false),
    ];
    for (clock, report, is_written) in clocks {
        assert_eq!(history.add(&report, at(clock)), is_written, "{clock}");
    }
    assert_eq!(history.last_run, Some(at("08:15:00")));
    assert_eq!(history.last_success, Some(at("08:15:00")));
    // Two failed and one delivered; quiet runs do not count.
    assert_eq!(history.runs.len(), 3);
    assert_eq!(history.errors.len(), 2);
}

/// The tenant's limit may leave a run no request beyond the page that repeats the overlap.
#[test]
fn a_run_that_only_reads_again_what_was_handled_ends_no_failure() {
    let read = |fetched, skipped| Report {
        fetched,
        skipped,
        ..Report::of("log-analytics")
    };
    let mut history = History::default();
    history.add(&delivered(1), at("08:00:00"));
    history.add(&failed("no token"), at("08:01:00"));
    for (clock, report) in [("08:02:00", read(0, 0)), ("08:03:00", read(100, 100))] {
        history.add(&report, at(clock));
        assert!(history.is_failing, "{clock}");
        assert_eq!(history.last_success, Some(at("08:00:00")), "{clock}");
        assert_eq!(history.last_run, Some(at(clock)));
    }
    // One that read anything new does, and so does one that has read the log to its end.
    let whole = Report {
        caught_up: true,
        ..read(100, 100)
    };
    for report in [read(101, 100), whole] {
        history.add(&failed("no token"), at("08:04:00"));
        history.add(&report, at("08:05:00"));
        assert!(!history.is_failing);
        assert_eq!(history.last_success, Some(at("08:05:00")));
    }
}

#[test]
fn a_sign_of_life_of_the_future_is_replaced_at_once() {
    let mut history = History::default();
    history.add(&quiet(), at("08:06:00"));
    // Within a clock's error.
    assert!(!history.add(&quiet(), at("08:01:00")));
    assert!(history.add(&quiet(), at("08:00:59")));
    assert_eq!(history.last_run, Some(at("08:00:59")));
}

#[test]
fn what_was_told_while_a_clock_was_ahead_counts_from_when_it_was_right_again() {
    let mut history = History::default();
    let gap = Gap {
        from: None,
        to: at("07:00:00"),
    };
    let ahead = Report {
        gap: Some(gap),
        errors: vec!["no token".into()],
        ..delivered(5)
    };
    history.add(&ahead, at("08:00:00") + TimeDelta::days(300));
    history.add(&quiet(), at("08:00:00"));
    assert_eq!(history.gap(at("08:00:01")), Some(gap));
    let told = [history.runs[0].at, history.errors[0].at];
    assert_eq!(told, [at("08:00:00"); 2]);
    assert_eq!(history.by_hour(1, at("08:59:59"))[0].1.records, 5);
    let later = at("08:00:00") + TimeDelta::days(1);
    assert_eq!(history.gap(later), None);
    let day = history.delivered(TimeDelta::hours(24), later);
    assert_eq!(day.records, 0);
    // The hour in the future does not stay in the list.
    assert_eq!(history.hours.len(), 1);
    assert_eq!(history.last_success, Some(at("08:00:00")));
}

#[test]
fn a_clock_that_is_behind_for_a_run_changes_nothing_of_what_was_told() {
    let mut history = History::default();
    let gap = Gap {
        from: None,
        to: at("07:00:00"),
    };
    let told = Report {
        gap: Some(gap),
        ..delivered(5)
    };
    history.add(&told, at("08:00:00"));
    history.newest_record = Some(at("07:59:00"));
    history.add(&quiet(), at("08:00:00") - TimeDelta::days(1));
    assert_eq!(history.gap(at("08:05:00")), Some(gap));
    assert_eq!(history.by_hour(1, at("08:59:59"))[0].1.records, 5);
}

#[test]
fn what_was_found_in_the_table_is_told_at_once_and_kept() {
    let mut history = History::default();
    history.add(&quiet(), at("08:00:00"));
    let found = |landed: u64| Report {
        arrival: Some(Arrival {
            accepted: 3,
            landed,
            missing: 3 - landed,
            looked_at: Some(at("08:01:00")),
        }),
        lost: 3 - landed,
        ..quiet()
    };
    assert!(history.add(&found(2), at("08:01:00")));
    assert_eq!((history.arrival, history.lost), (found(2).arrival, 1));
    history.add(&failed("no token"), at("08:01:10"));
    assert_eq!((history.arrival, history.lost), (found(2).arrival, 1));
    history.add(&found(2), at("08:01:20"));
    assert!(!history.add(&found(2), at("08:02:00")));
    assert!(history.add(&found(3), at("08:03:00")));
    assert_eq!((history.arrival, history.lost), (found(3).arrival, 0));
    let unasked = Report {
        unasked: Some("é".repeat(5_000)),
        ..found(3)
    };
    assert!(history.add(&unasked, at("08:04:00")));
    assert_eq!(history.unasked.as_ref().unwrap().chars().count(), 2_000);
    assert!(!history.add(&unasked, at("08:05:00")));
    assert!(history.add(&found(3), at("08:06:00")));
    assert_eq!(history.unasked, None);
    // The arrival check is switched off.
    assert!(history.add(&quiet(), at("08:07:00")));
    assert_eq!(history.arrival, None);
}

#[test]
fn what_is_kept_is_bounded() {
    let mut history = History::default();
    let begin = at("00:00:00");
    for minute in 0..4_000 {
        let report = Report {
            errors: vec!["é".repeat(5_000)],
            gap: Some(Gap {
                from: None,
                to: begin,
            }),
            ..delivered(1)
        };
        history.add(&report, begin + TimeDelta::minutes(minute));
    }
    assert_eq!(history.runs.len(), 500);
    assert_eq!(history.runs[0].at, begin + TimeDelta::minutes(3_500));
    assert_eq!(history.errors.len(), 50);
    assert_eq!(history.errors[0].text.chars().count(), 2_000);
    assert_eq!(history.gaps.len(), 20);
    assert_eq!(history.hours.len(), 49);
    assert_eq!(history.total.records, 4_000);
}

/// The loss of a checkpoint is reported by each run for a day.
/// A destination with a filter may get a record in a day, and each run in between leaves some out.
#[test]
fn what_was_only_set_aside_is_not_forgotten_with_the_runs_that_did_it() {
    let mut history = History::default();
    let set_aside = Report {
        dead_lettered: 1,
        ..quiet()
    };
    let filtered = Report {
        filtered: 3,
        ..quiet()
    };
    history.add(&delivered(5), at("08:00:00"));
    for _ in 0..2 {
        history.add(&set_aside, at("08:01:00"));
        for _ in 0..=RUNS {
            history.add(&filtered, at("08:02:00"));
        }
    }
    assert_eq!(history.only_set_aside(), 2);
    history.add(&delivered(1), at("08:03:00"));
    history.add(&set_aside, at("08:04:00"));
    assert_eq!(history.only_set_aside(), 1);

    // As an earlier version wrote it.
    history.only_set_aside = 0;
    history.add(&set_aside, at("08:05:00"));
    assert_eq!(history.only_set_aside(), 2);
}

#[test]
fn what_was_only_quarantined_is_not_forgotten_before_a_record_is_delivered() {
    let mut history = History::default();
    let quarantined = Report {
        quarantined: 1,
        errors: vec!["the destination quarantined 1".to_owned()],
        ..quiet()
    };
    for (report, expected) in [
        (&quarantined, 1),
        (&quiet(), 1),
        (&quarantined, 2),
        (&delivered(1), 0),
        (&quarantined, 1),
    ] {
        history.add(report, at("08:00:00"));
        assert_eq!(history.only_quarantined, expected);
    }
    let partly = Report {
        quarantined: 1,
        ..delivered(1)
    };
    history.add(&partly, at("08:01:00"));
    assert_eq!(history.only_quarantined, 0);
}

#[test]
fn a_gap_that_is_told_again_and_again_leaves_room_for_another() {
    let mut history = History::default();
    let gap = |to| Gap {
        from: None,
        to: at(to),
    };
    for minute in 0..60 {
        let gap = gap(if minute == 0 { "07:00:00" } else { "06:00:00" });
        let report = Report {
            gap: Some(gap),
            ..quiet()
        };
        history.add(&report, at("08:00:00") + TimeDelta::minutes(minute));
    }
    let told = history.gap(at("08:59:00"));
    assert_eq!(told, Some(gap("07:00:00")));
    // Each gap is reported for a day.
    let later = at("08:30:00") + TimeDelta::days(1);
    assert_eq!(history.gap(later), Some(gap("06:00:00")));
    assert_eq!(history.gap(later + TimeDelta::hours(1)), None);
}

#[test]
fn what_came_lately_is_counted_by_runs_and_where_they_are_too_many_by_hours() {
    let mut history = History::default();
    for (clock, count) in [
        ("07:00:00", 1),
        ("08:00:00", 2),
        ("08:00:01", 4),
        ("09:00:00", 8),
    ] {
        history.add(&delivered(count), at(clock));
    }
    let hour = history.delivered(TimeDelta::hours(1), at("09:00:00"));
    assert_eq!((hour.records, hour.bytes), (12, 120));
    assert_eq!(
        history
            .delivered(TimeDelta::hours(24), at("09:00:00"))
            .records,
        15
    );
    let hours: Vec<_> = history
        .by_hour(3, at("09:30:00"))
        .iter()
        .map(|it| it.1.records)
        .collect();
    assert_eq!(hours, [1, 6, 8]);

    // A run every ten seconds: five hundred runs take less than an hour and a half.
    let mut history = History::default();
    for second in (0..28_800).step_by(10) {
        history.add(&delivered(1), at("00:00:00") + TimeDelta::seconds(second));
    }
    let now = at("07:59:50");
    assert_eq!(history.delivered(TimeDelta::hours(1), now).records, 360);
    // Whole hours from 01:00 on.
    let six = history.delivered(TimeDelta::hours(7), now);
    assert_eq!(six.records, 7 * 360);
}

fn store(storage: &Arc<Storage>) -> HistoryStore {
    HistoryStore::new(Arc::clone(storage), "acme.eu.auth0.com", "log-analytics")
}

#[tokio::test]
async fn two_processes_add_to_one_history_and_what_is_none_is_begun_anew() {
    let storage = Arc::new(Storage::over(Memory::default(), Jitter::seeded(1)));
    let deadline = Deadline::after(Duration::from_mins(1));
    let (old, new) = (store(&storage), store(&storage));
    old.add(&delivered(1), at("08:00:00"), deadline)
        .await
        .unwrap();
    new.add(&delivered(2), at("08:00:30"), deadline)
        .await
        .unwrap();
    old.add(&delivered(4), at("08:01:00"), deadline)
        .await
        .unwrap();
    let history = store(&storage).read(deadline).await.unwrap().unwrap();
    assert_eq!(history.total.records, 7);
    assert_eq!(history.runs.len(), 3);

    let path = "history/acme.eu.auth0.com/log-analytics.json";
    let (_, version) = storage.read(path, deadline).await.unwrap().unzip();
    let foreign = Bytes::from_static(b"{\"format\": 9}");
    storage
        .write(path, foreign, version.as_ref(), deadline)
        .await
        .unwrap();
    assert_eq!(store(&storage).read(deadline).await.unwrap(), None);
    new.add(&delivered(8), at("08:02:00"), deadline)
        .await
        .unwrap();
    let history = store(&storage).read(deadline).await.unwrap().unwrap();
    assert_eq!(history.total.records, 8);
}

/// A gap is reported by one run, and the next one finds nothing new.
#[tokio::test(start_paused = true)]
async fn what_could_not_be_written_is_told_with_the_next_run() {
    for fault in [Fault::LoseAnswer, Fault::Fail, Fault::Hang, Fault::Conflict] {
        let is_faulty = Arc::new(AtomicBool::new(true));
        let objects = Faulty::over(Memory::default(), {
            let is_faulty = Arc::clone(&is_faulty);
            move |operation, _| match operation {
                Operation::Write if is_faulty.load(Ordering::Relaxed) => fault,
                _ => Fault::None,
            }
        });
        let storage = Arc::new(Storage::over(objects, Jitter::seeded(1)));
        let store = store(&storage);
        let deadline = || Deadline::after(Duration::from_mins(1));
        let gap = Gap {
            from: None,
            to: at("07:00:00"),
        };
        let report = Report {
            gap: Some(gap),
            ..delivered(3)
        };
        let _ = store.add(&report, at("08:00:00"), deadline()).await;
        is_faulty.store(false, Ordering::Relaxed);
        let later = store.add(&quiet(), at("08:01:00"), deadline()).await;
        assert!(!later.unwrap(), "{fault:?}");
        let history = store.read(deadline()).await.unwrap().unwrap();
        let gaps: Vec<_> = history.gaps.iter().map(|it| (it.at, it.gap)).collect();
        assert_eq!(gaps, [(at("08:00:00"), gap)], "{fault:?}");
        assert_eq!(history.total.records, 3, "{fault:?}");
    }
}

#[tokio::test]
async fn what_is_no_history_is_told_to_who_judges_by_it_and_in_the_next_one() {
    let storage = Arc::new(Storage::over(Memory::default(), Jitter::seeded(1)));
    let deadline = Deadline::after(Duration::from_mins(1));
    assert_eq!(store(&storage).look(deadline).await.unwrap(), None);
    let mut failing = History::default();
    failing.add(&failed("no token"), at("08:00:00"));
    failing.format = 2;
    let newer = serde_json::to_vec(&failing).unwrap();
    failing.format = 0;
    let none = serde_json::to_vec(&failing).unwrap();

    let path = "history/acme.eu.auth0.com/log-analytics.json";
    for (content, problem) in [
        (b"".to_vec(), "it is not a history"),
        (b"garbage".to_vec(), "it is not a history"),
        (b"{\"format\": 1}".to_vec(), "it is not a history"),
        (none, "it is not a history"),
        (newer, "it has format 2, and this version reads format 1"),
    ] {
        let (_, version) = storage.read(path, deadline).await.unwrap().unzip();
        let write = storage.write(path, content.into(), version.as_ref(), deadline);
        write.await.unwrap();
        let error = store(&storage).look(deadline).await.unwrap_err();
        let told = crate::error::with_causes(&error);
        assert!(told.starts_with("the history "), "{told}");
        let end = format!(" cannot be used; the next run begins it anew: {problem}");
        assert!(told.ends_with(&end), "{told}");

        store(&storage)
            .add(&quiet(), at("08:02:00"), deadline)
            .await
            .unwrap();
        let history = store(&storage).look(deadline).await.unwrap().unwrap();
        let [error] = &Vec::from(history.errors)[..] else {
            panic!("it is told once");
        };
        assert_eq!(error.at, at("08:02:00"));
        let end = format!(" cannot be used ({problem}), so it is begun anew");
        assert!(error.text.ends_with(&end), "{}", error.text);
        assert!(!history.is_failing);
    }
}

#[tokio::test]
async fn who_waits_for_a_first_run_is_known_until_it_has_ended_and_hides_no_run() {
    let storage = Arc::new(Storage::over(Memory::default(), Jitter::seeded(1)));
    let store = || HistoryStore::new(Arc::clone(&storage), "acme", "log-analytics");
    let deadline = || Deadline::after(Duration::from_mins(1));
    for (clock, since) in [("08:00:00", "08:00:00"), ("08:14:00", "08:00:00")] {
        let history = store().wait(at(clock), deadline()).await.unwrap().unwrap();
        assert_eq!(history.waited_since, Some(at(since)));
        assert_eq!(history.last_run, None);
    }
    assert!(
        store()
            .add(&delivered(3), at("08:15:00"), deadline())
            .await
            .unwrap()
    );
    let stored = store().look(deadline()).await.unwrap().unwrap();
    assert_eq!(stored.waited_since, None);
    assert_eq!(stored.last_run, Some(at("08:15:00")));
    assert_eq!(
        store().wait(at("08:16:00"), deadline()).await.unwrap(),
        Some(stored)
    );
}

#[tokio::test(start_paused = true)]
async fn who_waits_and_can_keep_nothing_is_told_so_and_is_not_told_that_all_is_well() {
    for (fault, is_kept) in [
        (Fault::LoseAnswer, true),
        (Fault::Fail, false),
        (Fault::Hang, false),
    ] {
        let objects = Faulty::over(Memory::default(), move |operation, _| match operation {
            Operation::Write => fault,
            _ => Fault::None,
        });
        let storage = Arc::new(Storage::over(objects, Jitter::seeded(1)));
        let store = HistoryStore::new(storage, "acme", "log-analytics");
        let deadline = Deadline::after(Duration::from_secs(10));
        match store.wait(at("08:00:00"), deadline).await {
            Ok(history) => {
                assert!(is_kept, "{fault:?}");
                assert_eq!(history.unwrap().waited_since, Some(at("08:00:00")));
            }
            Err(error) => {
                assert!(!is_kept, "{fault:?}: {error:?}");
                let told = "writing the history memory:history/acme/log-analytics.json";
                assert_eq!(error.to_string(), told);
            }
        }
    }
}
