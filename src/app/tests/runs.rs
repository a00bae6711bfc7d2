//! Concurrent runs of an app.

use bytes::Bytes;
use futures_util::future::BoxFuture;

use super::*;
use crate::destination::{Delivery, Destination, Limits, Probe};
use crate::net::retry::Deadline;
use crate::record::Record;
use crate::run::Share;

/// A destination with a bug.
struct Buggy;

impl Destination for Buggy {
    fn limits(&self) -> Limits {
        panic!("a bug")
    }

    fn encode(&self, _: &Record) -> Result<Bytes, BoxError> {
        panic!("a bug")
    }

    fn deliver<'a>(&'a self, _: &'a [Bytes], _: Deadline) -> BoxFuture<'a, Delivery> {
        panic!("a bug")
    }

    fn probe(&self, _: Deadline) -> BoxFuture<'_, Probe> {
        panic!("a bug")
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_ends_the_run_of_one_destination_and_not_that_of_another() {
    let state = tempfile::tempdir().unwrap();
    let changes = [
        ("DOMAIN", "http://127.0.0.1:1"),
        ("CHECKPOINT_DIR", state.path().to_str().unwrap()),
        ("DESTINATIONS", "logs-ingestion,log-analytics"),
    ];
    let mut app = app(&[&RULE[..], &changes].concat()).unwrap();
    app.pipelines[0].route.as_mut().ok().unwrap().destination = Box::new(Buggy);
    let reports = app.runs(&Rounds::one()).await;
    let names: Vec<_> = reports.iter().map(|it| &*it.destination).collect();
    assert_eq!(names, ["logs-ingestion", "log-analytics"]);
    assert_eq!(
        reports[0].errors,
        [
            "the run ended in a panic, which is a bug in auth0-poller; nothing is lost, the next \
             run does its work again"
        ]
    );
    // The other run fails for its own reason: nothing listens at its address.
    assert!(reports[1].errors[0].contains("127.0.0.1:1"), "{reports:?}");
}

#[tokio::test(start_paused = true)]
async fn what_a_run_has_done_before_it_ends_in_a_panic_is_told() {
    let state = tempfile::tempdir().unwrap();
    let changes = [
        ("DOMAIN", "http://127.0.0.1:1"),
        ("CHECKPOINT_DIR", state.path().to_str().unwrap()),
    ];
    let mut app = app(&changes).unwrap();
    assert_eq!(app.runs(&Rounds::one()).await[0].gap, None);
    let tenant = std::fs::read_dir(state.path().join("checkpoints")).unwrap();
    for file in std::fs::read_dir(tenant.last().unwrap().unwrap().path()).unwrap() {
        std::fs::write(file.unwrap().path(), "{").unwrap();
    }
    app.pipelines[0].route.as_mut().ok().unwrap().destination = Box::new(Buggy);
    let reports = app.runs(&Rounds::one()).await;
    assert!(reports[0].errors[0].contains("a panic"), "{reports:?}");
    // The lost checkpoint is noticed before the panic.
    assert!(reports[0].gap.is_some(), "{reports:?}");
}

#[test]
fn a_domain_that_may_be_mistyped_is_told_of_once_a_day() {
    let now: DateTime<Utc> = "2026-11-21T08:00:00Z".parse().unwrap();
    let told = |changes: &[(&str, &str)], hours: &[i64]| -> Vec<bool> {
        let mut app = app(changes).unwrap();
        let told = hours.iter().map(|hours| {
            let now = now + TimeDelta::hours(*hours);
            app.clock = Arc::new(move || now);
            app.doubt_to_tell().is_some()
        });
        told.collect()
    };
    assert_eq!(
        told(&[("DOMAIN", "acme.auth0.co")], &[0, 1, 23, 24, 25, 48]),
        [true, false, false, true, false, true]
    );
    assert_eq!(told(&[], &[0, 24]), [false, false]);
}

/// Tenants acme, globex and initech at these addresses. All turns but `count` are taken.
async fn with_turns(
    count: usize,
    state: &std::path::Path,
    [acme, globex, initech]: [&str; 3],
) -> (Apps, Vec<Share>) {
    let apps = apps(&[
        ("CHECKPOINT_DIR", state.to_str().unwrap()),
        ("RUN_BUDGET", "175s"),
        ("TENANTS", "acme,globex,initech"),
        ("ACME__DOMAIN", acme),
        ("GLOBEX__DOMAIN", globex),
        ("INITECH__DOMAIN", initech),
    ])
    .unwrap();
    let memory = apps.able().next().unwrap().memory.clone();
    let mut taken = Vec::new();
    for _ in count..64 {
        taken.push(memory.enter_in_turn().await);
    }
    (apps, taken)
}

/// Addresses at which nothing listens.
const AWAY: [&str; 2] = ["http://127.0.0.1:1", "http://127.0.0.1:2"];

/// An address that accepts connections but never responds, while the listener exists.
fn silent() -> (std::net::TcpListener, String) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    (listener, address)
}

/// For each report, whether its run had a turn.
fn had_turns(reports: &[Report]) -> Vec<bool> {
    let missed = "the time of the run was over before its turn came";
    let had = |it: &Report| !it.errors.join(" ").contains(missed);
    reports.iter().map(had).collect()
}

#[tokio::test(start_paused = true)]
async fn a_run_that_waits_for_its_turn_ends_in_time_and_is_first_in_the_next() {
    let state = tempfile::tempdir().unwrap();
    let (_acme, acme) = silent();
    let (_globex, globex) = silent();
    let (_initech, initech) = silent();
    let (apps, _taken) = with_turns(1, state.path(), [&acme, &globex, &initech]).await;
    // Each gets its turn, and not always the first of those that missed theirs.
    for at in [0, 1, 2, 0, 1] {
        let turns = [0, 1, 2].map(|it| it == at);
        let began = tokio::time::Instant::now();
        let reports = apps.run_once().await;
        assert_eq!(had_turns(&reports), turns, "{reports:?}");
        let names: Vec<_> = reports.iter().map(Report::name).collect();
        assert_eq!(
            names,
            [
                "acme/log-analytics",
                "globex/log-analytics",
                "initech/log-analytics"
            ]
        );
        assert!(began.elapsed() < Duration::from_secs(185));
        // Each waits for three quarters of its time.
        let waited = reports.iter().zip(turns).filter(|(_, had)| !had);
        let waited: Vec<_> = waited.map(|(it, _)| it.elapsed_ms / 1_000).collect();
        assert_eq!(waited, [131, 131]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_waited_for_is_no_more_of_the_run_s_time() {
    let state = tempfile::tempdir().unwrap();
    let (_silent, acme) = silent();
    let (apps, taken) = with_turns(0, state.path(), [&acme, AWAY[0], AWAY[1]]).await;
    let began = tokio::time::Instant::now();
    let free = async {
        tokio::time::sleep(Duration::from_secs(70)).await;
        drop(taken);
    };
    let (reports, ()) = tokio::join!(apps.run_once(), free);
    assert_eq!(had_turns(&reports), [true; 3], "{reports:?}");
    assert!(began.elapsed() < Duration::from_secs(185));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_was_only_to_be_one_more_says_nothing_of_a_turn_that_never_came() {
    let state = tempfile::tempdir().unwrap();
    let (_silent, globex) = silent();
    let (apps, mut taken) = with_turns(3, state.path(), [AWAY[0], &globex, AWAY[1]]).await;
    let memory = apps.able().next().unwrap().memory.clone();
    let take = async {
        // By now the first runs of acme and initech have ended, and that of globex has not.
        tokio::time::sleep(Duration::from_secs(30)).await;
        for _ in 0..2 {
            taken.push(memory.enter_in_turn().await);
        }
    };
    let (reports, ()) = tokio::join!(apps.run_in_rounds(), take);
    assert!(had_turns(&reports).iter().all(|it| *it), "{reports:?}");
    // It leaves no empty report either: all reports say that the tenant could not be reached.
    assert!(
        reports.iter().all(|it| !it.errors.is_empty()),
        "{reports:?}"
    );
}
