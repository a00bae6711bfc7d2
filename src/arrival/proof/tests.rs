use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64};

use axum::http::StatusCode;
use bytes::Bytes;
use chrono::Timelike as _;
use tokio::time::Instant;

use super::*;
use crate::arrival::{Noting, simulated};
use crate::net::retry::Jitter;
use crate::record::Record;
use crate::report::MISSING;
use crate::run::{Handled, Watch as _};
use crate::storage::Storage;
use crate::storage::faulty::{Fault, Faulty, Operation};
use crate::storage::memory::Memory;

/// The address of a workspace that responds to queries about hour `silent` with an error, and to
/// all others with one record in hour `other`.
async fn workspace(silent: &'static str, other: &'static str) -> String {
    let answer = move |question: String| {
        if question.contains(&format!("'900{silent}")) {
            let error = r#"{"error":{"code":"BadArgumentError","message":"no"}}"#;
            return (StatusCode::BAD_REQUEST, error.to_owned());
        }
        let columns = r#"[{"name":"Hour"},{"name":"Landed"}]"#;
        let table = format!(r#"{{"columns":{columns},"rows":[["{other}",1]]}}"#);
        (StatusCode::OK, format!(r#"{{"tables":[{table}]}}"#))
    };
    simulated::serve(answer).await
}

/// A clock, with the time at which it begins and the minutes to add to that.
fn clock(begin: &str) -> (DateTime<Utc>, Arc<AtomicI64>, Clock) {
    let begin: DateTime<Utc> = begin.parse().unwrap();
    let minutes = Arc::new(AtomicI64::new(0));
    let clock: Clock = Arc::new({
        let minutes = Arc::clone(&minutes);
        move || begin + TimeDelta::minutes(minutes.load(Ordering::Relaxed))
    });
    (begin, minutes, clock)
}

fn deadline() -> Deadline {
    Deadline::after(Duration::from_mins(1))
}

/// A proof that queries the workspace at this address.
fn proof(address: &str, clock: &Clock) -> Proof {
    let storage = Arc::new(Storage::over(Memory::default(), Jitter::seeded(1)));
    proof_in(&storage, address, clock)
}

/// The same, over this storage.
fn proof_in(storage: &Arc<Storage>, address: &str, clock: &Clock) -> Proof {
    let timing = Timing {
        after: TimeDelta::minutes(20),
        again: TimeDelta::hours(1),
    };
    Proof::new(
        "log-analytics".into(),
        ArrivalStore::new(Arc::clone(storage), "acme", "log-analytics"),
        timing,
        simulated::query(address, clock),
        clock,
    )
}

#[tokio::test]
async fn what_is_given_up_before_anybody_looked_for_it_is_told_once() {
    let begin: DateTime<Utc> = "2026-11-21T09:00:00Z".parse().unwrap();
    let clock: Clock = Arc::new(move || begin);
    let proof = proof("http://127.0.0.1:9", &clock);
    let id = |n| LogId::synthetic("900", begin + TimeDelta::microseconds(n));
    let ids = (0..150_003).map(id).collect();
    assert!(proof.accept(&ids, deadline()).await);
    let mut told = Vec::new();
    for _ in 0..2 {
        let mut report = Report::default();
        proof.tell(&mut report, deadline()).await;
        told.push(report.unasked);
    }
    let why = "3 acknowledged records will not be looked for, as no more than 150000 of an hour and \
               1000 hours are kept until then; `auth0-poller audit` looks for all of an hour";
    assert_eq!(told, [Some(why.to_owned()), None]);
}

#[tokio::test]
async fn a_look_removes_the_ids_of_forgotten_hours() {
    let (begin, minutes, clock) = clock("2026-11-21T09:00:00Z");
    let storage = Arc::new(Storage::over(Memory::default(), Jitter::seeded(1)));
    let proof = proof_in(&storage, "http://127.0.0.1:9", &clock);
    let id = |n| LogId::synthetic("900", begin + TimeDelta::milliseconds(n));
    proof.accept(&(0..101).map(id).collect(), deadline()).await;
    minutes.store(20, Ordering::Relaxed);
    let found = Found {
        hour: begin,
        accepted: 101,
        landed: 101,
        missing: BTreeSet::new(),
    };
    let mut report = Report::default();
    proof.settle(&[found], &mut report, deadline()).await;
    minutes.store(24 * 60, Ordering::Relaxed);
    let later = LogId::synthetic("900", begin + TimeDelta::days(1));
    proof.accept(&[later].into(), deadline()).await;
    let folder = "arrival/acme/log-analytics";
    let kept = async || storage.list(folder, deadline()).await.unwrap().len();
    assert_eq!(kept().await, 1);
    proof.look(deadline()).await;
    assert_eq!(kept().await, 0);
}

/// With the minutes by which its clock is past 09:30.
async fn proof_of_an_hour_that_is_not_answered_and_another() -> (Proof, Arc<AtomicI64>) {
    let address = workspace("2026112108", "2026112109").await;
    let (begin, minutes, clock) = clock("2026-11-21T09:30:00Z");
    let proof = proof(&address, &clock);
    let ids = [90, 30].map(|it| LogId::synthetic("900", begin - TimeDelta::minutes(it)));
    proof.accept(&ids.into(), deadline()).await;
    (proof, minutes)
}

#[tokio::test]
async fn an_hour_of_which_nothing_is_answered_keeps_no_other_from_its_turn() {
    let (proof, minutes) = proof_of_an_hour_that_is_not_answered_and_another().await;
    let mut found = Vec::new();
    // After a failure nobody asks for ten minutes.
    for minute in [20, 29, 30, 41] {
        minutes.store(minute, Ordering::Relaxed);
        let hours = proof.look(deadline()).await;
        proof
            .settle(&hours, &mut Report::default(), deadline())
            .await;
        found.push(hours.iter().map(|it| it.landed).collect::<Vec<_>>());
    }
    assert_eq!(found, [vec![], vec![], vec![1], vec![]]);
}

/// Otherwise nobody would look until the time of that failure has come.
#[tokio::test]
async fn a_query_that_failed_while_the_clock_was_ahead_is_made_again_once_the_clock_is_right() {
    let (proof, minutes) = proof_of_an_hour_that_is_not_answered_and_another().await;
    let mut found = Vec::new();
    for minute in [20 + 300, 20] {
        minutes.store(minute, Ordering::Relaxed);
        let hours = proof.look(deadline()).await;
        found.push(hours.iter().map(|it| it.landed).collect::<Vec<_>>());
    }
    assert_eq!(found, [vec![], vec![1]]);
}

#[tokio::test]
async fn an_hour_whose_ids_cannot_be_read_keeps_no_other_from_its_turn() {
    let address = workspace("none", "2026112109").await;
    let (begin, minutes, clock) = clock("2026-11-21T09:30:00Z");
    let is_readable = Arc::new(AtomicBool::new(false));
    let unreadable = {
        let is_readable = Arc::clone(&is_readable);
        move |operation, path: &str| match operation {
            _ if is_readable.load(Ordering::Relaxed) => Fault::None,
            Operation::Read if path.ends_with("2026-11-21T08.json") => Fault::Conflict,
            _ => Fault::None,
        }
    };
    let objects = Memory::default();
    let storage = |objects: Memory| Storage::over(objects, Jitter::seeded(1));
    let first = proof_in(&Arc::new(storage(objects.clone())), &address, &clock);
    let id = |n| {
        LogId::synthetic(
            "900",
            begin - TimeDelta::minutes(60) + TimeDelta::milliseconds(n),
        )
    };
    first.accept(&(0..101).map(id).collect(), deadline()).await;
    first
        .accept(&[LogId::synthetic("900", begin)].into(), deadline())
        .await;
    minutes.store(20, Ordering::Relaxed);
    let faulty = Storage::over(Faulty::over(objects, unreadable), Jitter::seeded(1));
    let proof = proof_in(&Arc::new(faulty), &address, &clock);
    let found = proof.look(deadline()).await;
    assert_eq!(found.iter().map(|it| it.landed).collect::<Vec<_>>(), [1]);
    // The workspace has answered, but was not asked about all.
    let told = async || {
        let mut report = Report::default();
        proof.tell(&mut report, deadline()).await;
        report.unasked
    };
    let why = told().await.unwrap();
    assert!(
        why.starts_with("reading the list of accepted records"),
        "{why}"
    );
    assert!(why.contains("2026-11-21T08.json"), "{why}");
    is_readable.store(true, Ordering::Relaxed);
    proof.look(deadline()).await;
    assert_eq!(told().await, None);
}

/// Once the run is over, nobody knows these ids any more.
#[tokio::test]
async fn what_could_not_be_noted_is_told() {
    let (begin, _, clock) = clock("2026-11-21T09:30:00Z");
    let is_writable = Arc::new(AtomicBool::new(false));
    let decide = {
        let is_writable = Arc::clone(&is_writable);
        move |operation, _: &str| match operation {
            Operation::Write if !is_writable.load(Ordering::Relaxed) => Fault::Conflict,
            _ => Fault::None,
        }
    };
    let storage = Storage::over(Faulty::over(Memory::default(), decide), Jitter::seeded(1));
    let proof = proof_in(&Arc::new(storage), "http://127.0.0.1:9", &clock);
    let record = |n| Record {
        log_id: LogId::synthetic("900", begin + TimeDelta::seconds(n)),
        date: None,
        json: Bytes::new(),
    };
    let told = async || {
        let mut report = Report::default();
        proof.tell(&mut report, deadline()).await;
        report.unasked
    };
    let mut noting = Noting::new(Some(&proof));
    noting.noted(&record(1), Handled::Accepted);
    noting.noted(&record(2), Handled::Accepted);
    noting.before_save(deadline()).await;
    noting.saved();
    // This one is delivered again, since it is not saved.
    noting.noted(&record(3), Handled::Accepted);
    noting.before_save(deadline()).await;
    drop(noting);
    let why = "2 acknowledged records could not be noted and will not be looked for; \
               `auth0-poller audit` looks for them";
    assert_eq!(told().await, Some(why.to_owned()));
    assert_eq!(told().await, None);

    // What a later attempt notes is not lost.
    let mut noting = Noting::new(Some(&proof));
    noting.noted(&record(3), Handled::Accepted);
    noting.before_save(deadline()).await;
    noting.saved();
    is_writable.store(true, Ordering::Relaxed);
    noting.before_save(deadline()).await;
    drop(noting);
    assert_eq!(told().await, None);
}

/// A proof of the hours from 01:00 to 08:00. Reading the ids of all but the first and the last hangs while
/// `hangs` says so; then the time is paused.
async fn with_hours_that_hang(hangs: &Arc<AtomicBool>) -> Proof {
    let address = workspace("none", "2026112101").await;
    let (begin, minutes, clock) = clock("2026-11-21T01:30:00Z");
    let fault = {
        let (hangs, is_paused) = (Arc::clone(hangs), AtomicBool::new(false));
        move |operation, path: &str| {
            let is_hour = path.contains("/2026-11-21T");
            if operation != Operation::Read || !is_hour || !hangs.load(Ordering::Relaxed) {
                return Fault::None;
            }
            if !is_paused.swap(true, Ordering::Relaxed) {
                tokio::time::pause();
            }
            Fault::Hang
        }
    };
    let objects = Memory::default();
    let plain = Storage::over(objects.clone(), Jitter::seeded(1));
    let first = proof_in(&Arc::new(plain), &address, &clock);
    // Only hours with more than 100 ids have objects, whose reading can hang.
    let many = (1..=6).flat_map(|hour| (0..101).map(move |n| (hour, n)));
    let all = many.chain([(0, 0), (7, 0)]);
    let all = all.map(|(hour, n)| {
        let at = begin + TimeDelta::hours(hour) + TimeDelta::milliseconds(n);
        LogId::synthetic("900", at)
    });
    assert!(first.accept(&all.collect(), deadline()).await);
    minutes.store(8 * 60, Ordering::Relaxed);
    let faulty = Storage::over(Faulty::over(objects, fault), Jitter::seeded(1));
    proof_in(&Arc::new(faulty), &address, &clock)
}

/// The hours that a look found, and what it tells.
async fn looked(proof: &Proof) -> (Vec<u32>, Option<String>) {
    let found = proof.look(deadline()).await;
    let mut report = Report::default();
    proof.tell(&mut report, deadline()).await;
    (
        found.iter().map(|it| it.hour.hour()).collect(),
        report.unasked,
    )
}

#[tokio::test]
async fn a_look_that_ends_at_its_limit_after_some_hours_goes_on_in_the_next_run() {
    let hangs = Arc::new(AtomicBool::new(true));
    let proof = with_hours_that_hang(&hangs).await;
    let (hours, told) = looked(&proof).await;
    assert_eq!(hours, [1]);
    // All that was asked was answered.
    let told = told.unwrap();
    assert!(told.starts_with("reading the list of accepted"), "{told}");
    tokio::time::resume();
    hangs.store(false, Ordering::Relaxed);
    let (hours, told) = looked(&proof).await;
    assert_eq!((hours.len(), told), (8, None));
}

/// A page comes from something on the way, which knows neither identity nor role.
#[tokio::test]
async fn a_page_in_place_of_a_refusal_gets_no_advice_about_the_identity() {
    let (_, _, clock) = clock("2026-11-21T09:30:00Z");
    for (status, is_page) in [(401, true), (403, true), (401, false), (403, false)] {
        let body = if is_page {
            "<html>blocked</html>"
        } else {
            "{}"
        };
        let status = StatusCode::from_u16(status).unwrap();
        let address = simulated::serve(move |_| (status, body.to_owned())).await;
        let query = simulated::query(&address, &clock).unwrap();
        let asked = query.ask("print 1", "T", "PT1H", deadline()).await;
        let told = with_causes(&asked.unwrap_err());
        let is_plain = told.contains(&format!("answered the query with {status}"));
        assert_eq!(is_plain, is_page, "{told}");
    }
}

#[tokio::test]
async fn a_failure_is_told_until_a_look_that_has_something_to_ask_succeeds() {
    let address = workspace("2026112108", "2026112109").await;
    let (begin, minutes, clock) = clock("2026-11-21T09:30:00Z");
    let proof = proof(&address, &clock);
    let [silent, other] =
        [90, 30].map(|it| LogId::synthetic("900", begin - TimeDelta::minutes(it)));
    let look = async |minute: i64| {
        minutes.store(minute, Ordering::Relaxed);
        proof.look(deadline()).await;
        let mut report = Report::default();
        proof.tell(&mut report, deadline()).await;
        report.unasked.is_some()
    };
    proof.accept(&[silent].into(), deadline()).await;
    assert!(!look(10).await, "nothing is due, and nothing was asked");
    assert!(look(20).await);
    // Another process has asked about that hour, so here nothing is left to ask.
    let found = Found {
        hour: "2026-11-21T08:00:00Z".parse().unwrap(),
        accepted: 1,
        landed: 1,
        missing: BTreeSet::new(),
    };
    let mut report = Report::default();
    proof.settle(&[found], &mut report, deadline()).await;
    assert!(look(31).await, "nothing shows that the table answers again");
    proof.accept(&[other].into(), deadline()).await;
    assert!(!look(52).await);
}

#[tokio::test]
async fn a_workspace_that_is_not_set_is_told_before_there_is_anything_to_ask() {
    let begin: DateTime<Utc> = "2026-11-21T09:00:00Z".parse().unwrap();
    let clock: Clock = Arc::new(move || begin);
    let problem = SettingsError::new("WorkspaceID".to_owned(), "is missing");
    let proof = Proof {
        table: Err(problem),
        ..proof("http://127.0.0.1:9", &clock)
    };
    assert_eq!(proof.look(deadline()).await.len(), 0);
    let mut report = Report::default();
    proof.tell(&mut report, deadline()).await;
    let told = report.unasked.unwrap();
    assert!(told.contains("WorkspaceID is missing"), "{told}");
}

#[tokio::test(start_paused = true)]
async fn a_storage_that_hangs_holds_no_run_up_for_long() {
    let begin: DateTime<Utc> = "2026-11-21T09:00:00Z".parse().unwrap();
    let clock: Clock = Arc::new(move || begin);
    let hangs = Faulty::over(Memory::default(), |_, _| Fault::Hang);
    let storage = Arc::new(Storage::over(hangs, Jitter::seeded(1)));
    let proof = Proof {
        store: ArrivalStore::new(storage, "acme", "log-analytics"),
        ..proof("http://127.0.0.1:9", &clock)
    };
    let deadline = || Deadline::after(Duration::from_hours(1));
    let until = |seconds| Deadline::after(Duration::from_secs(seconds)).for_answers();
    let latest = until(60);
    proof.look(deadline()).await;
    assert!(Instant::now() <= latest);
    let (latest, mut report) = (until(5), Report::default());
    proof.tell(&mut report, deadline()).await;
    assert!(Instant::now() <= latest);
    assert!(report.unasked.is_some());
}

#[tokio::test]
async fn of_two_processes_one_delivers_what_is_missing_again() {
    let (begin, minutes, clock) = clock("2026-11-21T09:00:00Z");
    let storage = Arc::new(Storage::over(Memory::default(), Jitter::seeded(1)));
    let proofs = [(); 2].map(|()| Proof {
        store: ArrivalStore::new(Arc::clone(&storage), "acme", "log-analytics"),
        ..proof("http://127.0.0.1:9", &clock)
    });
    let ids = [10, 20, 30].map(|it| LogId::synthetic("900", begin - TimeDelta::minutes(it)));
    let [missing, ..] = &ids;
    proofs[0].accept(&ids.clone().into(), deadline()).await;
    let mut again = Vec::new();
    for (minute, missing) in [(20, None), (80, Some(missing))] {
        minutes.store(minute, Ordering::Relaxed);
        // Both query the table before either stores its result.
        let found = Found {
            hour: begin - TimeDelta::hours(1),
            accepted: 3,
            landed: 2,
            missing: missing.cloned().into_iter().collect(),
        };
        for proof in &proofs {
            let see = proof
                .store
                .see(deadline(), |it| it.due(proof.timing, (proof.clock)()));
            assert_eq!(see.await.unwrap().len(), 1);
        }
        for proof in &proofs {
            let (found, mut report) = ([found.clone()], Report::default());
            again.push(proof.settle(&found, &mut report, deadline()).await.len());
        }
    }
    assert_eq!(again, [0, 0, 1, 0]);
}

/// Once it is stored that the verdict was given, no later run gives it.
#[tokio::test(start_paused = true)]
async fn what_is_missing_for_good_is_told_although_the_note_of_it_has_no_answer() {
    let (begin, minutes, clock) = clock("2026-11-21T09:00:00Z");
    let ids = [10, 20].map(|it| LogId::synthetic("900", begin - TimeDelta::minutes(it)));
    for (of_write, of_read, told) in [
        (Fault::LoseAnswer, Fault::None, 1),
        (Fault::Fail, Fault::None, 1),
        // Another process has written, and tells it.
        (Fault::Conflict, Fault::None, 0),
        (Fault::Conflict, Fault::Fail, 0),
    ] {
        minutes.store(0, Ordering::Relaxed);
        let fails = Arc::new(AtomicBool::new(false));
        let decide = {
            let fails = Arc::clone(&fails);
            move |operation, _: &str| match operation {
                _ if !fails.load(Ordering::Relaxed) => Fault::None,
                Operation::Write => of_write,
                Operation::Read => of_read,
                _ => Fault::None,
            }
        };
        let objects = Faulty::over(Memory::default(), decide);
        let storage = Arc::new(Storage::over(objects, Jitter::seeded(1)));
        let proof = Proof {
            store: ArrivalStore::new(storage, "acme", "log-analytics"),
            ..proof("http://127.0.0.1:9", &clock)
        };
        proof.accept(&ids.clone().into(), deadline()).await;
        let found = [Found {
            hour: begin - TimeDelta::hours(1),
            accepted: 2,
            landed: 1,
            missing: [ids[0].clone()].into(),
        }];
        for minute in [20, 80] {
            minutes.store(minute, Ordering::Relaxed);
            let mut report = Report::default();
            let missing = proof.settle(&found, &mut report, deadline()).await;
            proof.send_again(&missing, 1, deadline()).await;
            assert!(report.is_success(), "{report:?}");
        }
        fails.store(true, Ordering::Relaxed);
        minutes.store(140, Ordering::Relaxed);
        let mut report = Report::default();
        proof.settle(&found, &mut report, deadline()).await;
        assert_eq!(
            report.errors.len(),
            told,
            "{of_write:?} {of_read:?} {report:?}"
        );
    }
}

#[test]
fn what_is_lost_is_told_with_the_replay_that_delivers_it() {
    let stored = ["23:59:58.9", "12:30:00", "23:00:00"];
    let stored = stored.map(|it| format!("2026-12-31T{it}Z").parse().unwrap());
    let ids = stored.map(|it| LogId::synthetic("900", it)).into();
    let told = Lost::of(&ids, "acme/log-analytics").to_string();
    assert!(told.contains(MISSING), "the state knows it by this: {told}");
    let expected = "deliver them by `auth0-poller replay --from 2026-12-31T12:20:00Z \
                    --to 2027-01-01T00:09:58Z` when the cause is gone (for this alone with \
                    --tenant acme --destination log-analytics)";
    assert!(told.starts_with("3 records"), "{told}");
    assert!(told.ends_with(expected), "{told}");
}

#[test]
fn of_many_ids_the_first_are_named() {
    let ids = |count: usize| {
        (10..10 + count)
            .map(|n| LogId::new(n.to_string()))
            .collect()
    };
    assert_eq!(names(&ids(2)), "10, 11");
    assert!(names(&ids(20)).ends_with(", 28, 29"));
    assert!(names(&ids(23)).ends_with(", 28, 29 and 3 more"));
}
