use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::net::retry::{Deadline, Jitter};
use crate::record::StartFrom;
use crate::report::Report;
use crate::run::{Ledger as _, Watched};
use crate::state::{CheckpointLedger, CheckpointStore};
use crate::storage::Storage;
use crate::storage::memory::Memory;

fn at(clock: &str) -> DateTime<Utc> {
    format!("2026-11-21T{clock}Z").parse().unwrap()
}

fn id(clock: &str) -> LogId {
    LogId::synthetic("900", at(clock))
}

fn counted(since: Option<&str>, clocks: &[&str]) -> Counted {
    let mut counted = Counted {
        since: since.map(at),
        ..Counted::default()
    };
    for clock in clocks {
        counted.count(&id(clock));
    }
    counted
}

fn missed(counted: &Counted, hour: &str, clocks: &[&str]) -> Option<u64> {
    let ids: Vec<_> = clocks.iter().map(|it| id(it)).collect();
    counted.missed(at(hour), ids.iter())
}

#[test]
fn what_was_not_there_is_what_there_is_more_of_now() {
    let counted = counted(Some("08:00:00"), &["08:10:00", "08:20:00", "09:30:00"]);
    for (now, expected) in [
        (&["08:10:00", "08:20:00"][..], Some(0)),
        (&["08:20:00", "08:10:00"], Some(0)),
        (&["08:10:00", "08:15:00", "08:20:00"], Some(1)),
        // The same number with other ids; and fewer.
        (&["08:10:00", "08:15:00"], None),
        (&["08:10:00"], None),
    ] {
        assert_eq!(missed(&counted, "08:00:00", now), expected, "{now:?}");
    }
}

#[test]
fn an_hour_without_a_count_had_nothing_where_the_runs_have_passed_it() {
    let counted = counted(Some("07:30:00"), &["09:30:00"]);
    assert_eq!(missed(&counted, "08:00:00", &["08:10:00"]), Some(1));
    // The runs will still meet records that are newer than everything read.
    assert_eq!(
        missed(&counted, "09:00:00", &["09:30:00", "09:31:00"]),
        Some(0)
    );
    // Nothing is known of records that are older than everything counted.
    assert_eq!(missed(&counted, "06:00:00", &["06:10:00"]), None);
    assert_eq!(missed(&counted, "07:00:00", &["07:10:00"]), Some(0));
    assert_eq!(missed(&Counted::default(), "08:00:00", &[]), None);
}

#[test]
fn what_comes_first_says_since_when_and_hours_before_that_are_not_kept() {
    let mut kept = Counted::default();
    kept.keep(&counted(Some("09:00:00"), &["08:59:00", "09:10:00"]));
    kept.keep(&counted(Some("10:00:00"), &["09:20:00"]));
    assert_eq!(kept.since, Some(at("09:00:00")));
    assert_eq!(kept.newest, Some(at("09:20:00")));
    let hours: Vec<_> = kept
        .hours
        .iter()
        .map(|(at, it)| (*at, it.records))
        .collect();
    assert_eq!(hours, [(at("09:00:00"), 2)]);
}

#[test]
fn two_weeks_of_hours_are_kept() {
    let mut kept = Counted::default();
    kept.keep(&counted(Some("00:00:00"), &["00:10:00"]));
    for hours in 0..400 {
        let mut more = Counted::default();
        more.count(&LogId::synthetic(
            "900",
            at("00:30:00") + TimeDelta::hours(hours),
        ));
        kept.keep(&more);
    }
    assert_eq!(kept.hours.len(), 14 * 24 + 1);
    assert_eq!(kept.since, kept.hours.keys().next().copied());
    assert_eq!(kept.missed(at("00:00:00"), [id("00:30:00")].iter()), None);
    let stored = serde_json::to_vec(&kept).unwrap().len();
    assert!(stored < 30_000, "{stored}");
}

/// A tenant's storage, and a clock.
struct World {
    storage: Arc<Storage>,
    clock: Clock,
}

impl World {
    fn at(clock: &str) -> Self {
        let now = at(clock);
        Self {
            storage: Arc::new(Storage::over(Memory::default(), Jitter::seeded(1))),
            clock: Arc::new(move || now),
        }
    }

    fn checkpoints(&self, writer: &str) -> CheckpointStore {
        let storage = Arc::clone(&self.storage);
        CheckpointStore::new(storage, "acme", "log-analytics", writer.to_owned())
    }

    fn history(&self) -> HistoryStore {
        HistoryStore::new(Arc::clone(&self.storage), "acme", "log-analytics")
    }

    /// A ledger that was opened.
    async fn open<'a>(
        &'a self,
        checkpoints: &'a CheckpointStore,
        history: &'a HistoryStore,
    ) -> Watched<CheckpointLedger<'a>, Counting<'a>> {
        let start = StartFrom::Ago(Duration::from_hours(1));
        let overlap = Duration::from_mins(1);
        let ledger = CheckpointLedger::new(checkpoints, start, overlap, &self.clock);
        let counting = Counting::new(history, &self.clock);
        let mut ledger = Watched::new(ledger, counting);
        ledger.open(deadline()).await.unwrap();
        ledger
    }
}

fn deadline() -> Deadline {
    Deadline::after(Duration::from_mins(1))
}

fn record(clock: &str) -> Record {
    Record {
        log_id: id(clock),
        date: Some(at(clock)),
        json: Bytes::new(),
    }
}

/// Whether the runs have counted exactly these.
async fn has_counted(history: &HistoryStore, hour: &str, clocks: &[&str]) -> bool {
    let report = Report {
        caught_up: true,
        delivered: 1,
        ..Report::of("log-analytics")
    };
    history
        .add(&report, at("10:00:00"), deadline())
        .await
        .unwrap();
    let stored = history.read(deadline()).await.unwrap().unwrap();
    let ids: Vec<_> = clocks.iter().map(|it| id(it)).collect();
    stored.missed(at(hour), ids.iter()) == Some(0)
}

#[tokio::test]
async fn what_a_run_saved_is_counted_whatever_became_of_it_and_what_it_did_not_is_not() {
    let world = World::at("09:00:00");
    let (checkpoints, others, history) = (
        world.checkpoints("ours"),
        world.checkpoints("theirs"),
        world.history(),
    );
    let mut ledger = world.open(&checkpoints, &history).await;
    // Before the start, where not everything is read.
    ledger.note(&record("07:59:59"), Handled::LeftOut);
    ledger.note(&record("08:10:00"), Handled::Accepted);
    ledger.note(&record("08:20:00"), Handled::LeftOut);
    ledger.note(&record("08:30:00"), Handled::SetAside);
    ledger.save(deadline()).await.unwrap();

    let elsewhere = world.history();
    let mut other = world.open(&others, &elsewhere).await;
    other.note(&record("08:40:00"), Handled::Accepted);
    other.save(deadline()).await.unwrap();
    // The other poller has saved meanwhile, so this record is read again.
    ledger.note(&record("08:40:00"), Handled::Accepted);
    assert!(ledger.save(deadline()).await.is_err());

    assert!(has_counted(&elsewhere, "08:00:00", &["08:40:00"]).await);
    let all = ["08:10:00", "08:20:00", "08:30:00", "08:40:00"];
    assert!(has_counted(&history, "08:00:00", &all).await);
    let mut ledger = world.open(&checkpoints, &history).await;
    assert!(ledger.has_handled(&id("08:40:00")));
    ledger.close(true, deadline()).await.unwrap();
    assert!(has_counted(&history, "08:00:00", &all).await);
}

/// Otherwise no hour up to that time could be judged.
#[tokio::test]
async fn an_id_of_a_time_to_come_is_not_counted_and_lets_no_hour_be_forgotten() {
    let world = World::at("09:00:00");
    let (checkpoints, history) = (world.checkpoints("ours"), world.history());
    let mut ledger = world.open(&checkpoints, &history).await;
    ledger.note(&record("08:10:00"), Handled::Accepted);
    let later = LogId::synthetic("900", at("08:20:00") + TimeDelta::days(30));
    let strange = Record {
        log_id: later,
        ..record("08:20:00")
    };
    ledger.note(&strange, Handled::Accepted);
    ledger.save(deadline()).await.unwrap();
    assert!(has_counted(&history, "08:00:00", &["08:10:00"]).await);
}

#[tokio::test]
async fn where_runs_were_made_before_anything_was_counted_it_begins_with_the_next_hour() {
    let world = World::at("09:20:00");
    let (checkpoints, history) = (world.checkpoints("ours"), world.history());
    let before = world.history();
    let mut ledger = world.open(&checkpoints, &before).await;
    ledger.note(&record("08:30:00"), Handled::Accepted);
    ledger.reach(&[record("08:30:00").log_id].iter().collect());
    ledger.save(deadline()).await.unwrap();
    drop(ledger);

    let mut ledger = world.open(&checkpoints, &history).await;
    ledger.note(&record("09:10:00"), Handled::Accepted);
    ledger.note(&record("10:10:00"), Handled::Accepted);
    ledger.save(deadline()).await.unwrap();
    assert!(!has_counted(&history, "09:00:00", &["09:10:00"]).await);
    assert!(has_counted(&history, "10:00:00", &["10:10:00"]).await);
}

#[tokio::test]
async fn a_run_that_found_nothing_new_writes_nothing_more_and_what_was_counted_waits() {
    let world = World::at("09:00:00");
    let (checkpoints, history) = (world.checkpoints("ours"), world.history());
    let mut ledger = world.open(&checkpoints, &history).await;
    let quiet = Report {
        caught_up: true,
        ..Report::of("log-analytics")
    };
    assert!(
        history
            .add(&quiet, at("09:00:00"), deadline())
            .await
            .unwrap()
    );
    ledger.note(&record("08:10:00"), Handled::Accepted);
    ledger.save(deadline()).await.unwrap();
    assert!(
        !history
            .add(&quiet, at("09:01:00"), deadline())
            .await
            .unwrap()
    );
    assert!(has_counted(&history, "08:00:00", &["08:10:00"]).await);
    // It is counted only once.
    assert!(has_counted(&history, "08:00:00", &["08:10:00"]).await);
}

#[tokio::test]
async fn while_a_backlog_is_read_it_is_not_known_what_was_late() {
    let world = World::at("09:00:00");
    let (checkpoints, history) = (world.checkpoints("ours"), world.history());
    let mut ledger = world.open(&checkpoints, &history).await;
    ledger.note(&record("08:10:00"), Handled::Accepted);
    ledger.save(deadline()).await.unwrap();
    let behind = Report {
        delivered: 1,
        ..Report::of("log-analytics")
    };
    history
        .add(&behind, at("09:00:00"), deadline())
        .await
        .unwrap();
    let stored = history.read(deadline()).await.unwrap().unwrap();
    assert_eq!(stored.missed(at("08:00:00"), [id("08:10:00")].iter()), None);
}
