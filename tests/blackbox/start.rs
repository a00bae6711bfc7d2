//! Where reading begins, and where it begins again.

use serde_json::{Value, json};
use simulator::Fault;
use simulator::host::Outcome;
use simulator::tenant::{ExpiredIds, Options, SyntheticIds};

use crate::world::{FUNCTION, World, minutes_ago, now, numbers};

async fn world(synthetic_ids: SyntheticIds) -> World {
    World::with(Options {
        synthetic_ids,
        token_events: false,
        ..Options::default()
    })
    .await
}

fn record(date: chrono::DateTime<chrono::Utc>) -> Value {
    json!({"date": date, "type": "s"})
}

const ALL: [SyntheticIds; 5] = [
    SyntheticIds::Taken,
    SyntheticIds::Rejected,
    SyntheticIds::NotFound,
    SyntheticIds::Ignored,
    SyntheticIds::Unheeded,
];

/// Adds a realistic window: just before it and just within it, the order of records by id is not
/// that by date. Returns the ids that belong to the window.
fn populate(world: &World, start: chrono::DateTime<chrono::Utc>) -> Vec<String> {
    let ms = chrono::Duration::milliseconds;
    for n in 0..150 {
        let date = start - ms(60_000 + 100 * n);
        world.tenant.add(record(date), date + ms(2_000));
    }
    world.tenant.add(record(start - ms(1)), start + ms(1_500));
    // The oldest record of the window by date does not have the smallest id.
    let mut within = vec![
        world.tenant.add(record(start + ms(700)), start + ms(800)),
        world.tenant.add(record(start), start + ms(4_000)),
    ];
    for n in 0..250 {
        let date = start + ms(5_000 + 1_000 * n);
        within.push(world.tenant.add(record(date), date + ms(3_000)));
    }
    within.sort();
    within
}

#[tokio::test]
async fn the_window_is_delivered_whole_whatever_the_tenant_makes_of_synthetic_ids() {
    for synthetic_ids in ALL {
        let mut world = world(synthetic_ids).await;
        let start = minutes_ago(20);
        let expected = populate(&world, start);
        world.set("START_FROM", &start.to_rfc3339());
        let report = world.poll().await;
        let mut landed = world.workspace.landed();
        landed.sort();
        assert_eq!(landed, expected, "{synthetic_ids:?}");
        let [fetched, delivered, before] =
            numbers(&report, ["fetched", "delivered", "before_start"]);
        assert_eq!(fetched, delivered + before);
        assert_eq!(numbers(&world.poll().await, ["delivered"]), [0]);
    }
}

#[tokio::test]
async fn everything_is_delivered_from_the_oldest_on_whatever_the_tenant_makes_of_synthetic_ids() {
    for synthetic_ids in ALL {
        let mut world = world(synthetic_ids).await;
        populate(&world, minutes_ago(20));
        world.set("START_FROM", "oldest");
        world.poll().await;
        world.assert_all_landed_once();
    }
}

#[tokio::test]
async fn a_window_that_begins_before_the_oldest_record_is_delivered_whole() {
    for synthetic_ids in ALL {
        let mut world = world(synthetic_ids).await;
        world
            .tenant
            .generate(1_500, minutes_ago(20), minutes_ago(2));
        world.set("START_FROM", "7d");
        world.poll().await;
        world.assert_all_landed_once();
    }
}

#[tokio::test]
async fn a_busy_second_at_the_beginning_is_delivered_whole() {
    // The last record by date was stored first. It comes after more than a page of records, and
    // then after more than a search can reach.
    let ms = chrono::Duration::milliseconds;
    for count in [150, 1_150] {
        let mut world = world(SyntheticIds::Rejected).await;
        let begin = minutes_ago(20);
        for n in 0..count {
            let date = begin + ms(n);
            world.tenant.add(record(date), date + ms(5_000));
        }
        let date = begin + ms(count);
        let first = world.tenant.add(record(date), date + ms(100));
        assert_eq!(world.tenant.log_ids()[0], first);
        world.set("START_FROM", "oldest");
        world.poll().await;
        world.assert_all_landed_once();
    }
}

/// For example, the first run lacks a permission, and `START_FROM` is changed before the next.
#[tokio::test]
async fn until_something_was_delivered_the_beginning_can_be_set_earlier() {
    let mut world = World::start().await;
    let ids = world.tenant.generate(20, minutes_ago(300), minutes_ago(5));
    world.set("START_FROM", "10m");
    world.tenant.fail_tokens([Fault::answer(403, "{}")]);
    assert_eq!(world.command(&["poll"]).await.code(), 1);
    world.set("START_FROM", "6h");
    world.poll().await;
    assert_eq!(world.workspace.landed().len(), ids.len());
}

#[tokio::test]
async fn an_empty_tenant_is_no_error_and_its_first_record_lands() {
    for synthetic_ids in ALL {
        let world = world(synthetic_ids).await;
        let report = world.poll().await;
        assert_eq!(report["caught_up"], true);
        assert_eq!(report["last_log_id"], Value::Null);
        world.tenant.add(record(now()), now());
        world.poll().await;
        world.assert_all_landed_once();
    }
}

#[tokio::test]
async fn an_expired_cursor_resumes_at_the_oldest_record_left_and_reports_the_gap() {
    let days = chrono::Duration::days;
    for expired_ids in [
        ExpiredIds::Rejected,
        ExpiredIds::NotFound,
        ExpiredIds::Taken,
        ExpiredIds::Ignored,
    ] {
        let world = World::with(Options {
            expired_ids,
            token_events: false,
            ..Options::default()
        })
        .await;
        let long_ago = world.tenant.add(record(now() - days(9)), now() - days(9));
        world.tenant.add(record(now() - days(8)), now() - days(8));
        world
            .command(&["checkpoint", "set", "--from", &long_ago])
            .await;
        world.tenant.expire_before(now() - days(5));
        world.tenant.generate(500, now() - days(4), minutes_ago(5));
        let oldest = world.tenant.log_ids()[0].clone();

        let ran = world.command(&["poll"]).await;
        let report = ran.report();
        assert_eq!(report["errors"], json!([]), "{expired_ids:?}");
        world.assert_all_landed_once();
        assert_eq!(world.workspace.landed()[0], oldest);
        let time = |value: &Value| -> chrono::DateTime<chrono::Utc> {
            value.as_str().unwrap().parse().unwrap()
        };
        let gap = &report["gap"];
        assert!(
            (time(&gap["from"]) - (now() - days(9))).num_minutes().abs() < 1,
            "{gap}"
        );
        let resumed = world.workspace.table("Auth0AM_CL").rows[0]["date_t"].clone();
        assert_eq!(time(&gap["to"]), time(&resumed));
        assert!(
            ran.stderr.contains("may have been dropped by Auth0"),
            "{ran:?}"
        );
        assert_eq!(world.poll().await["gap"], Value::Null);
    }
}

/// For example, the platform cannot get a secret from the vault yet.
#[tokio::test]
async fn what_is_stored_while_no_run_can_begin_is_delivered_once_one_can() {
    const UNRESOLVED: &str = "@Microsoft.KeyVault(SecretUri=x)";
    for (destinations, bad) in [
        ("log-analytics", "WorkspaceKey"),
        ("log-analytics", "CLIENT_SECRET"),
        ("log-analytics", "OVERLAP"),
        ("log-analytics", "RUN_BUDGET"),
        ("archive,log-analytics", "WorkspaceKey"),
    ] {
        let mut world = world(SyntheticIds::Taken).await;
        world.set("DESTINATIONS", destinations);
        let good = world.setting(bad).to_owned();
        world.set(bad, UNRESOLVED);
        world.set("START_FROM", "1h");
        world.tenant.add(record(minutes_ago(30)), minutes_ago(30));
        let host = world.host().await;
        let outcome = host.run_now(FUNCTION).await;
        assert!(matches!(outcome, Outcome::Failure(_)), "{outcome:?}");
        host.stop().await;
        // As if that much time had passed: an hour back is now a minute back.
        world.set(bad, &good);
        world.set("START_FROM", "1m");
        world.command(&["poll"]).await;
        world.assert_all_landed_once();
    }
}

#[tokio::test]
async fn a_record_that_is_dated_long_before_it_was_stored_hides_no_gap() {
    let days = chrono::Duration::days;
    let world = World::with(Options {
        token_events: false,
        ..Options::default()
    })
    .await;
    let long_ago = world.tenant.add(record(now() - days(9)), now() - days(9));
    world
        .command(&["checkpoint", "set", "--from", &long_ago])
        .await;
    world.tenant.expire_before(now() - days(5));
    world.tenant.generate(50, now() - days(4), minutes_ago(5));
    world.tenant.add(record(now() - days(20)), now() - days(1));
    let report = world.poll().await;
    world.assert_all_landed_once();
    let time = |value: &Value| -> chrono::DateTime<chrono::Utc> {
        value.as_str().unwrap().parse().unwrap()
    };
    let (from, to) = (time(&report["gap"]["from"]), time(&report["gap"]["to"]));
    assert!(
        (from - (now() - days(9))).num_minutes().abs() < 1,
        "{report}"
    );
    assert!(from < to && to <= now() - days(3), "{report}");
}

#[tokio::test]
async fn a_cursor_that_expired_in_a_silent_tenant_is_replaced_without_a_word_of_a_gap() {
    for expired_ids in [ExpiredIds::Rejected, ExpiredIds::NotFound] {
        let world = World::with(Options {
            expired_ids,
            token_events: false,
            ..Options::default()
        })
        .await;
        world.tenant.generate(10, minutes_ago(50), minutes_ago(5));
        world.poll().await;
        world
            .tenant
            .expire_before(now() + chrono::Duration::minutes(1));
        for delivered in [1, 0] {
            if delivered == 1 {
                world.tenant.add(record(now()), now());
            }
            let report = world.poll().await;
            assert_eq!(numbers(&report, ["delivered"]), [delivered], "{report}");
            assert_eq!(report["gap"], Value::Null);
        }
    }
}

/// For example, a tenant has imported or replayed old events.
#[tokio::test]
async fn a_slow_tenant_with_many_records_from_before_the_start_is_read_on_from_run_to_run() {
    let mut world = World::with(Options {
        latency: std::time::Duration::from_millis(200),
        token_events: false,
        ..Options::default()
    })
    .await;
    world.set("RUN_BUDGET", "2s");
    let dated = minutes_ago(132);
    for n in 0..1_500 {
        let stored = minutes_ago(30) + chrono::Duration::milliseconds(100 * n);
        world.tenant.add(record(dated), stored);
    }
    let wanted = world.tenant.add(record(minutes_ago(10)), minutes_ago(10));
    let (mut reached, mut runs, mut fetched) = (String::new(), 0, 0);
    while world.workspace.stored() == 0 {
        let report = world.poll().await;
        fetched += numbers(&report, ["fetched"])[0];
        runs += 1;
        let cursor = world.checkpoint().await["cursor"].clone();
        let cursor = cursor.as_str().unwrap_or_default().to_owned();
        assert!(cursor > reached, "no progress in run {runs}: {report}");
        reached = cursor;
    }
    assert!(runs > 1, "one run is enough: the test tells nothing");
    assert_eq!(fetched, 1_501, "nothing is read twice");
    assert_eq!(world.workspace.landed(), [wanted]);
}

/// Filtered records are handled, and so is what an earlier run read to the end.
#[tokio::test]
async fn a_run_that_fails_is_as_far_behind_as_the_log_was_read_whatever_was_delivered_of_it() {
    let mut world = world(SyntheticIds::Taken).await;
    world.set("START_FROM", "3d");
    world.set("FILTER_LOG_ANALYTICS", "fp");
    let add = |kind: &str, hours: i64| {
        for second in 0..100 {
            let date = minutes_ago(hours * 60) + chrono::Duration::seconds(second);
            world.tenant.add(json!({"date": date, "type": kind}), date);
        }
    };
    add("s", 50);
    add("s", 40);
    let refusal = || Fault::answer(405, "{}");
    world
        .tenant
        .fail_logs([Fault::None, Fault::None, Fault::None, refusal()]);
    let behind = world.command(&["poll"]).await;
    assert_eq!(behind.code(), 1, "{behind:?}");
    assert_eq!(numbers(&behind.report(), ["filtered"]), [100], "{behind:?}");
    assert!(behind.stderr.contains(" hours behind, "), "{behind:?}");

    add("fp", 30);
    add("s", 1);
    assert_eq!(world.command(&["poll"]).await.code(), 0);
    world.tenant.expire_before(minutes_ago(31 * 60));
    world.tenant.fail_logs([refusal()]);
    let current = world.command(&["poll"]).await;
    assert_eq!(current.code(), 1, "{current:?}");
    assert!(!current.stderr.contains(" hours behind, "), "{current:?}");

    // A replay sends records that were read before. It asks at once for fewer than were refused.
    let faults = [vec![Fault::None; 5], vec![refusal(); 20]];
    world.tenant.fail_logs(faults.concat());
    let replay = [
        "replay",
        "--destination=log-analytics",
        "--from=32h",
        "--to=10h",
    ];
    let replay = world.command(&replay).await;
    assert_eq!(replay.code(), 1, "{replay:?}");
    assert_eq!(
        numbers(&replay.report(), ["delivered"]),
        [100],
        "{replay:?}"
    );
    assert!(!replay.stderr.contains(" hours behind, "), "{replay:?}");
}
