use std::sync::{Arc, Mutex};

use chrono::TimeDelta;
use futures_util::future::BoxFuture;
use tokio::sync::watch;

use super::*;
use crate::error::BoxError;
use crate::net::retry::Jitter;
use crate::report::Arrival;
use crate::settings::AppSettings;
use crate::storage::Storage;
use crate::storage::faulty::{Fault, Faulty, Operation};
use crate::storage::memory::Memory;

const SETTINGS: [(&str, &str); 9] = [
    ("DOMAIN", "acme.eu.auth0.com"),
    ("CLIENT_ID", "id"),
    ("CLIENT_SECRET", "secret"),
    ("WorkspaceID", "01234567-89AB-cdef-0123-456789abcdef"),
    ("WorkspaceKey", "a2V5"),
    ("DCR_IMMUTABLE_ID", "dcr-0123456789abcdef0123456789abcdef"),
    (
        "DCR_ENDPOINT",
        "https://acme-x1.westeurope-1.ingest.monitor.azure.com/",
    ),
    ("IDENTITY_ENDPOINT", "http://localhost:8081/msi/token"),
    ("IDENTITY_HEADER", "header"),
];

fn layers(changes: &[(&str, &str)], destination: Option<&str>) -> Layers {
    let settings: AppSettings = SETTINGS.iter().chain(changes).copied().collect();
    let purpose = Purpose::CommandLine {
        destination: destination.map(str::to_owned),
    };
    let now = "2026-11-21T08:00:00Z".parse().unwrap();
    Layers::new(settings, purpose, Arc::new(move || now), Jitter::seeded(1))
}

fn app(changes: &[(&str, &str)], destination: Option<&str>) -> Result<App, String> {
    let app = App::new(&layers(changes, destination), watch::channel(false).1);
    app.map_err(|error| error.to_string())
}

/// The name of the destination that takes an app's heartbeats.
fn taken_by(changes: &[(&str, &str)], destination: Option<&str>) -> Option<&'static str> {
    let app = app(changes, destination).unwrap();
    let sink = app.heartbeat_sink()?;
    let is_it = |it: &dyn Heartbeats| std::ptr::addr_eq(it, sink.table);
    let mut pipelines = app.pipelines.iter();
    let found = pipelines.find(|it| {
        let route = it.route.as_ref().ok();
        route
            .and_then(|it| it.destination.heartbeats())
            .is_some_and(is_it)
    });
    found.map(|it| it.name)
}

#[test]
fn heartbeats_go_by_the_first_destination_that_leads_to_a_workspace_and_is_well_set() {
    let on = ("HEARTBEAT", "On");
    assert_eq!(taken_by(&[], None), None);
    assert_eq!(taken_by(&[("HEARTBEAT", "off")], None), None);
    assert_eq!(taken_by(&[on], None), Some("log-analytics"));
    let three = ("DESTINATIONS", "archive,logs-ingestion,log-analytics");
    assert_eq!(taken_by(&[on, three], None), Some("logs-ingestion"));
    assert_eq!(
        taken_by(&[on, three, ("DCR_IMMUTABLE_ID", "?")], None),
        Some("log-analytics")
    );
    // Until that destination's settings are good, the others work without heartbeats.
    let stdout = ("DESTINATIONS", "stdout,log-analytics");
    assert_eq!(taken_by(&[on, stdout, ("WorkspaceKey", "?")], None), None);
    // A destination that a person chooses by name needs none either.
    assert_eq!(taken_by(&[on], Some("stdout")), None);
    assert_eq!(
        taken_by(&[on], Some("logs-ingestion")),
        Some("logs-ingestion")
    );
}

#[test]
fn a_heartbeat_without_a_way_and_one_that_is_neither_on_nor_off_are_bad_settings() {
    let problem = |changes: &[(&str, &str)]| app(changes, None).err().unwrap();
    let none = problem(&[("HEARTBEAT", "on"), ("DESTINATIONS", "stdout")]);
    assert_eq!(
        none,
        "a setting needs attention: HEARTBEAT is on, and heartbeats need log-analytics or \
         logs-ingestion, which DESTINATIONS does not name: add one of them, or set it to off"
    );
    let unclear = problem(&[("HEARTBEAT", "yes")]);
    assert_eq!(
        unclear,
        "a setting needs attention: HEARTBEAT is neither on nor off"
    );
    // A misspelt name may be the destination for heartbeats.
    let misspelt = [
        ("HEARTBEAT", "on"),
        ("DESTINATIONS", "stdout,log-analitics"),
    ];
    assert!(app(&misspelt, None).is_ok());
}

#[test]
fn a_tenant_that_cannot_work_has_a_way_as_well() {
    let has_destination =
        |changes: &[(&str, &str)]| layers(changes, None).heartbeat_destination().is_some();
    let (on, broken) = (("HEARTBEAT", "on"), ("CLIENT_SECRET", ""));
    assert!(has_destination(&[on, broken]));
    assert!(!has_destination(&[broken]));
    assert!(!has_destination(&[on, broken, ("WorkspaceKey", "?")]));
    let both = ("DESTINATIONS", "log-analytics,logs-ingestion");
    assert!(has_destination(&[on, broken, both, ("WorkspaceKey", "?")]));
}

/// Remembers the heartbeats and how long sending could take.
#[derive(Default)]
struct Sent {
    beats: Mutex<Vec<(String, String, u64)>>,
    is_broken: bool,
}

impl Heartbeats for Sent {
    fn send<'a>(
        &'a self,
        heartbeat: &Heartbeat,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<(), BoxError>> {
        self.beats.lock().unwrap().push((
            heartbeat.tenant.to_owned(),
            heartbeat.state.to_owned(),
            deadline.remaining().as_secs(),
        ));
        let result = if self.is_broken {
            Err("no workspace".into())
        } else {
            Ok(())
        };
        Box::pin(async move { result })
    }
}

fn quiet() -> Report {
    Report {
        destination: "log-analytics".into(),
        caught_up: true,
        ..Report::default()
    }
}

fn failed() -> Report {
    Report {
        errors: vec!["disk full".into()],
        ..quiet()
    }
}

fn history() -> HistoryStore {
    let storage = Storage::over(Memory::default(), Jitter::seeded(1));
    HistoryStore::new(Arc::new(storage), "acme.eu.auth0.com", "log-analytics")
}

/// The states in the heartbeats of runs that end after this many seconds.
async fn told(sent: &Sent, runs: &[(i64, Report)]) -> Vec<String> {
    let history = history();
    let begin: DateTime<Utc> = "2026-11-21T08:00:00Z".parse().unwrap();
    for (seconds, report) in runs {
        let now = begin + TimeDelta::seconds(*seconds);
        let sink = HeartbeatSink {
            tenant: "acme",
            table: sent,
        };
        let deadline = Deadline::after(Duration::from_mins(4));
        note_run(Some(&history), Some(sink), report, now, deadline).await;
    }
    let beats = sent.beats.lock().unwrap();
    beats.iter().map(|it| it.1.clone()).collect()
}

#[tokio::test(start_paused = true)]
async fn each_run_that_did_something_is_told_and_one_in_ten_minutes_of_quiet() {
    let delivered = Report {
        delivered: 1,
        ..quiet()
    };
    let behind = Report {
        delivered: 1,
        caught_up: false,
        ..quiet()
    };
    let runs = [
        (0, quiet()),
        (60, quiet()),
        (599, quiet()),
        (600, quiet()),
        (660, delivered),
        (720, quiet()),
        (1_259, quiet()),
        (1_260, quiet()),
        (1_320, failed()),
        (1_380, failed()),
        (1_440, quiet()),
        (1_500, quiet()),
        (1_560, behind),
        (1_620, quiet()),
    ];
    let sent = Sent::default();
    assert_eq!(
        told(&sent, &runs).await,
        [
            "ok",          // 0
            "ok",          // 600
            "ok",          // 660
            "ok",          // 1,260
            "failing",     // 1,320
            "failing",     // 1,380
            "ok",          // 1,440: it works again
            "catching_up", // 1,560
            "ok",          // 1,620: it has caught up
        ]
    );
    assert!(sent.beats.lock().unwrap().iter().all(|it| it.0 == "acme"));
}

/// It was asked to end before it had read anything.
fn cut_short() -> Report {
    Report {
        caught_up: false,
        ..quiet()
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_was_asked_to_end_before_it_read_anything_tells_of_no_success() {
    let read = Report {
        fetched: 1,
        ..cut_short()
    };
    let runs = [
        (0, cut_short()),
        (60, failed()),
        (120, cut_short()),
        (180, cut_short()),
        (240, read),
        (300, failed()),
        (360, quiet()),
    ];
    let states = [
        "catching_up",
        "failing",
        "failing",
        "failing",
        "catching_up",
        "failing",
        "ok",
    ];
    assert_eq!(told(&Sent::default(), &runs).await, states);
    // A quiet run warns only of a destination that still refuses all, and is no failure.
    let refusing = Report {
        refused_since: Some("2026-11-21T07:00:00Z".parse().unwrap()),
        ..quiet()
    };
    let runs = [
        (0, refusing),
        (60, cut_short()),
        (120, cut_short()),
        (180, quiet()),
    ];
    let states = ["failing", "failing", "failing", "ok"];
    assert_eq!(told(&Sent::default(), &runs).await, states);
}

#[tokio::test(start_paused = true)]
async fn one_that_cannot_be_sent_waits_for_the_next_row_and_has_five_seconds() {
    let broken = Sent {
        is_broken: true,
        ..Sent::default()
    };
    let runs = [(0, quiet()), (60, quiet()), (660, quiet())];
    assert_eq!(told(&broken, &runs).await, ["ok", "ok"]);
    assert!(broken.beats.lock().unwrap().iter().all(|it| it.2 == 5));

    // A run that used all of its time leaves less.
    let sent = Sent::default();
    let sink = HeartbeatSink {
        tenant: "acme",
        table: &sent,
    };
    let now = "2026-11-21T08:00:00Z".parse().unwrap();
    let over = Deadline::after(Duration::ZERO);
    note_run(Some(&history()), Some(sink), &failed(), now, over).await;
    assert_eq!(sent.beats.lock().unwrap()[0].2, 4);
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_told_even_where_no_history_can_be_kept() {
    let now = "2026-11-21T08:00:00Z".parse().unwrap();
    let deadline = Deadline::after(Duration::from_mins(4));
    let sent = Sent::default();
    for report in [quiet(), failed(), cut_short()] {
        let sink = HeartbeatSink {
            tenant: "acme",
            table: &sent,
        };
        note_run(None, Some(sink), &report, now, deadline).await;
    }
    let beats = sent.beats.lock().unwrap();
    let states: Vec<_> = beats.iter().map(|it| &*it.1).collect();
    assert_eq!(states, ["failing"]);
}

#[tokio::test(start_paused = true)]
async fn rows_that_are_missing_for_good_are_told_although_the_history_cannot_be_written() {
    let objects = Faulty::over(Memory::default(), |operation, _| match operation {
        Operation::Write => Fault::Fail,
        _ => Fault::None,
    });
    let storage = Storage::over(objects, Jitter::seeded(1));
    let history = HistoryStore::new(Arc::new(storage), "acme.eu.auth0.com", "log-analytics");
    let now = "2026-11-21T08:00:00Z".parse().unwrap();
    let deadline = Deadline::after(Duration::from_mins(4));
    let sent = Sent::default();
    let sink = HeartbeatSink {
        tenant: "acme",
        table: &sent,
    };
    let report = Report {
        delivered: 1,
        lost: 5,
        ..quiet()
    };
    note_run(Some(&history), Some(sink), &report, now, deadline).await;
    assert_eq!(sent.beats.lock().unwrap()[0].1, "failing");
}

/// A run that could not read how many are missing says nothing about it.
#[tokio::test(start_paused = true)]
async fn rows_that_are_missing_for_good_are_told_until_a_run_knows_of_none() {
    let arrival = Some(Arrival {
        accepted: 9,
        landed: 4,
        missing: 0,
        looked_at: None,
    });
    let lost = Report {
        delivered: 1,
        arrival,
        lost: 5,
        ..quiet()
    };
    let unread = Report {
        delivered: 1,
        unasked: Some("the storage is away".into()),
        ..quiet()
    };
    let none = Report {
        delivered: 1,
        arrival,
        ..quiet()
    };
    let runs = [(0, lost), (60, unread), (120, none)];
    let states = ["failing", "failing", "ok"];
    assert_eq!(told(&Sent::default(), &runs).await, states);
}
