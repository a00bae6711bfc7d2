//! Concurrent runs of an app.

use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use simulator::tenant::{Options, Tenant as SimulatedTenant};

use super::*;
use crate::destination::{Delivery, Destination, Limits, Probe};
use crate::net::retry::Deadline;
use crate::record::{LogId, Record, Source as _, Start};
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
    let (apps, mut taken) = with_turns(1, state.path(), [&acme, &globex, &initech]).await;
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
    // With two turns, the one that missed its turn in the last round is first, and no one that had it.
    taken.pop();
    for turns in [
        [true, false, true],
        [false, true, true],
        [true, true, false],
    ] {
        assert_eq!(had_turns(&apps.run_once().await), turns);
    }
}

/// Two that hang are before one that does not. They would take all turns each time that nobody has missed one.
#[tokio::test(start_paused = true)]
async fn an_order_in_which_all_had_their_turns_is_kept() {
    let state = tempfile::tempdir().unwrap();
    let (_acme, acme) = silent();
    let (_globex, globex) = silent();
    let (apps, _taken) = with_turns(2, state.path(), [&acme, &globex, AWAY[0]]).await;
    for turns in [[true, true, false], [true; 3], [true; 3], [true; 3]] {
        assert_eq!(had_turns(&apps.run_once().await), turns);
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

type Meanwhile = Box<dyn FnOnce() + Send>;

/// A destination that accepts everything.
#[derive(Clone, Default)]
struct Taker {
    landed: Arc<Mutex<Vec<String>>>,
    /// What happens during the next delivery.
    meanwhile: Arc<Mutex<Option<Meanwhile>>>,
}

impl Destination for Taker {
    fn limits(&self) -> Limits {
        Limits {
            rows: 1_000,
            bytes: 1_000_000,
            per_delivery: 0,
            per_row: 0,
            side_by_side: 1,
        }
    }

    fn encode(&self, record: &Record) -> Result<Bytes, BoxError> {
        Ok(Bytes::copy_from_slice(record.log_id.as_str().as_bytes()))
    }

    fn deliver<'a>(&'a self, rows: &'a [Bytes], _: Deadline) -> BoxFuture<'a, Delivery> {
        if let Some(meanwhile) = self.meanwhile.lock().unwrap().take() {
            meanwhile();
        }
        let ids = rows
            .iter()
            .map(|it| String::from_utf8_lossy(it).into_owned());
        self.landed.lock().unwrap().extend(ids);
        Box::pin(std::future::ready(Delivery::accepted(rows.len(), 0)))
    }

    fn probe(&self, _: Deadline) -> BoxFuture<'_, Probe> {
        panic!("it is not probed")
    }
}

async fn simulated() -> SimulatedTenant {
    SimulatedTenant::with(Options {
        token_events: false,
        ..Options::default()
    })
    .await
}

/// The app of this tenant, with `logs-ingestion` and `log-analytics`.
fn with_two_destinations(tenant: &SimulatedTenant, state: &Path, clock: Clock) -> App {
    let changes = [
        ("CHECKPOINT_DIR", state.to_str().unwrap()),
        ("DESTINATIONS", "logs-ingestion,log-analytics"),
    ];
    let settings = tenant.settings();
    let settings = settings.iter().map(|(name, value)| (&**name, &**value));
    let settings = [&REFERENCE[..], &RULE, &changes]
        .concat()
        .into_iter()
        .chain(settings);
    let purpose = Purpose::CommandLine { destination: None };
    let layers = Layers::new(settings.collect(), purpose, clock, Jitter::seeded(1));
    App::new(&layers, watch::channel(false).1).unwrap()
}

#[tokio::test]
async fn a_look_ahead_gives_up_no_page_that_another_run_has_fetched() {
    let tenant = simulated().await;
    let now = clock::system()();
    for n in 0..350 {
        let date = now - TimeDelta::hours(2) + TimeDelta::seconds(n);
        tenant.add(serde_json::json!({"type": "s", "date": date}), date);
    }
    let state = tempfile::tempdir().unwrap();
    let app = with_two_destinations(&tenant, state.path(), clock::system());
    let [slow, fast] = [0, 1].map(|at| &app.pipelines[at].route.as_ref().ok().unwrap().source);
    let _runs = [slow.begin(), fast.begin()];
    let deadline = Deadline::after(Duration::from_secs(30));
    let mut ids = vec![LogId::synthetic("000", DateTime::UNIX_EPOCH)];
    for at in 0..3 {
        let page = fast.after(&ids[at], deadline).await.unwrap();
        ids.push(page.records.last().unwrap().log_id.clone());
    }
    slow.after(&ids[0], deadline).await.unwrap();
    slow.look(&ids[3], deadline).await.unwrap();
    let requests = tenant.log_requests();
    for id in &ids[1..3] {
        slow.after(id, deadline).await.unwrap();
    }
    assert_eq!(tenant.log_requests(), requests);
}

/// The page that a run gets may be as old as the wait for its turn. What Auth0 makes visible late, after
/// that page was fetched, lies below what the run has read.
#[tokio::test]
async fn a_run_that_waits_for_its_turn_reads_again_what_may_have_come_since_its_page_was_fetched() {
    let tenant = Arc::new(simulated().await);
    let state = tempfile::tempdir().unwrap();
    let began = clock::system()();
    let passed = Arc::new(AtomicI64::new(0));
    let clock: Clock = {
        let passed = Arc::clone(&passed);
        Arc::new(move || began + TimeDelta::seconds(passed.load(Ordering::SeqCst)))
    };
    let mut app = with_two_destinations(&tenant, state.path(), clock);
    let takers = [Taker::default(), Taker::default()];
    for (pipeline, taker) in app.pipelines.iter_mut().zip(&takers) {
        pipeline.route.as_mut().ok().unwrap().destination = Box::new(taker.clone());
    }
    let add = move |tenant: &SimulatedTenant, seconds: i64| {
        let date = began - TimeDelta::seconds(seconds);
        let record = serde_json::json!({"type": "s", "date": date});
        tenant.add(record, date + TimeDelta::seconds(1));
    };
    add(&tenant, 1_800);
    app.runs(&Rounds::one()).await;

    // The first run has the only turn, reads this record, and delivers it for two minutes.
    add(&tenant, 5);
    let mut taken = Vec::new();
    for _ in 1..64 {
        taken.push(app.memory.enter_in_turn().await);
    }
    {
        let (tenant, passed) = (Arc::clone(&tenant), Arc::clone(&passed));
        *takers[0].meanwhile.lock().unwrap() = Some(Box::new(move || {
            passed.store(120, Ordering::SeqCst);
            add(&tenant, 6);
        }));
    }
    let reports = app.runs(&Rounds::one()).await;
    assert!(reports.iter().all(|it| it.delivered == 1), "{reports:?}");
    assert_eq!(reports[1].requests, 0, "it got the pages of the first");

    drop(taken);
    passed.store(180, Ordering::SeqCst);
    app.runs(&Rounds::one()).await;
    let landed = takers.map(|taker| {
        let mut landed = taker.landed.lock().unwrap().clone();
        landed.sort();
        landed
    });
    assert_eq!(landed, [tenant.log_ids(), tenant.log_ids()]);
}

/// A destination that is new gets what its first run was to begin with, whenever the turn of that run comes.
#[tokio::test(start_paused = true)]
async fn the_time_for_which_a_first_run_waits_moves_no_beginning() {
    let began: DateTime<Utc> = "2026-11-21T08:00:00Z".parse().unwrap();
    for waited in [0, 70, 200] {
        let state = tempfile::tempdir().unwrap();
        let origin = Instant::now();
        let clock: Clock = Arc::new(move || began + origin.elapsed());
        let changes = [
            ("DOMAIN", AWAY[0]),
            ("CHECKPOINT_DIR", state.path().to_str().unwrap()),
            ("START_FROM", "30m"),
        ];
        let settings = REFERENCE.iter().chain(&changes).copied().collect();
        let purpose = Purpose::CommandLine { destination: None };
        let layers = Layers::new(settings, purpose, clock, Jitter::seeded(1));
        let app = App::new(&layers, watch::channel(false).1).unwrap();
        let mut taken = Vec::new();
        for _ in 0..64 {
            taken.push(app.memory.enter_in_turn().await);
        }
        let free = async {
            tokio::time::sleep(Duration::from_secs(waited)).await;
            drop(taken);
        };
        let rounds = Rounds::one();
        let (reports, ()) = tokio::join!(app.runs(&rounds), free);
        assert!(!reports[0].is_success(), "{reports:?}");
        let checkpoints = &app.pipelines[0].stores().unwrap().checkpoints;
        let deadline = Deadline::after(Duration::from_secs(1));
        let peeked = checkpoints.peek((app.clock)(), deadline).await.unwrap();
        let first = peeked.and_then(|it| it.checkpoint.first_start());
        let wanted = began - TimeDelta::minutes(30);
        assert_eq!(first, Some(Start::At(wanted)), "{waited}");
    }
}
