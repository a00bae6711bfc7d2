//! Records without a log id, which no reading can resume from.

use super::*;

/// A tenant all of whose records were delivered.
async fn caught_up() -> World {
    let world = world().await;
    add(&world, "900", 20, 50);
    poll(&world).await;
    world
}

/// A record that no other equals.
fn numbered(date: DateTime<Utc>, number: i64) -> Value {
    let mut record = record(date);
    record["n"] = number.into();
    record
}

#[tokio::test]
async fn however_many_records_have_no_id_those_after_them_are_delivered() {
    for count in [100, 250, 1_200] {
        let world = caught_up().await;
        for n in 0..count {
            let stored = minutes_ago(40) + chrono::Duration::milliseconds(n);
            world.tenant.add_nameless(numbered(stored, n), stored);
        }
        add(&world, "900", 30, 20);
        let report = poll(&world).await.report();
        let count = count.unsigned_abs();
        assert_eq!(
            numbers(&report, ["delivered", "dead_lettered"]),
            [30, count]
        );
        assert_eq!(report["caught_up"], true);
        assert_quiet(&world).await;
    }
}

#[tokio::test]
async fn they_are_passed_whatever_the_tenant_makes_of_an_id_that_it_never_issued() {
    for synthetic_ids in [
        SyntheticIds::Ignored,
        SyntheticIds::Rejected,
        SyntheticIds::NotFound,
        SyntheticIds::Unheeded,
    ] {
        let world = World::with(towards(synthetic_ids)).await;
        add(&world, "900", 20, 50);
        poll(&world).await;
        for n in 0..150 {
            let stored = minutes_ago(40) + chrono::Duration::milliseconds(n);
            world.tenant.add_nameless(numbered(stored, n), stored);
        }
        add(&world, "900", 30, 20);
        let report = poll(&world).await.report();
        assert_eq!(
            numbers(&report, ["delivered", "dead_lettered"]),
            [30, 150],
            "{synthetic_ids:?}"
        );
        assert_quiet(&world).await;
    }
}

/// Adds 150 records without an id. A hundred of them are more than 8 MiB, which is the most of a page.
fn add_large_nameless(world: &World) {
    for n in 0..150 {
        let stored = minutes_ago(40) + chrono::Duration::milliseconds(n);
        let mut record = record(stored);
        record["description"] = format!("{n}{}", "x".repeat(200_000)).into();
        world.tenant.add_nameless(record, stored);
    }
}

/// A page of a search that is too large is asked for with fewer records, never with fewer fields.
#[tokio::test]
async fn records_without_an_id_are_set_aside_however_large_they_are() {
    let world = caught_up().await;
    add_large_nameless(&world);
    add(&world, "900", 30, 20);
    let report = poll(&world).await.report();
    assert_eq!(numbers(&report, ["delivered", "dead_lettered"]), [30, 150]);
    assert_quiet(&world).await;
}

#[tokio::test]
async fn a_log_of_large_records_without_an_id_is_not_taken_for_an_empty_one() {
    let world = world().await;
    add_large_nameless(&world);
    let ran = world.command(&["poll"]).await;
    assert_eq!(ran.code(), 1, "{}", ran.stderr);
    assert_eq!(numbers(&ran.report(), ["dead_lettered"]), [150]);
    assert_eq!(ran.report()["caught_up"], false);
}

/// Of 68 MB nothing but the date and the type can be read, of 17 MB all.
#[tokio::test]
async fn small_records_without_an_id_are_set_aside_whatever_large_one_is_among_them() {
    for (bytes, is_nameless) in [
        (17_000_000, false),
        (17_000_000, true),
        (68_000_000, false),
        (68_000_000, true),
    ] {
        let world = caught_up().await;
        for n in 0..130 {
            let stored = minutes_ago(40) + chrono::Duration::milliseconds(n);
            let mut record = numbered(stored, n);
            if n == 120 {
                record["simulated_bytes"] = bytes.into();
            }
            if n == 120 && !is_nameless {
                world.tenant.add_as(&id("900", stored, 7), record);
            } else {
                world.tenant.add_nameless(record, stored);
            }
        }
        add(&world, "900", 30, 20);
        let report = poll(&world).await.report();
        let expected = if is_nameless { [30, 130] } else { [31, 129] };
        assert_eq!(
            numbers(&report, ["delivered", "dead_lettered"]),
            expected,
            "{bytes} {is_nameless}"
        );
        assert_quiet(&world).await;
    }
}

#[tokio::test]
async fn one_without_an_id_that_is_too_large_to_be_read_stands_in_nobody_s_way() {
    // Before a record, before one that is too large as well, and as the last of the log.
    for following in [Some(0), Some(68_000_000), None] {
        let world = caught_up().await;
        for (bytes, minutes) in [(68_000_000, 40), (0, 39)] {
            let mut record = record(minutes_ago(minutes));
            record["simulated_bytes"] = bytes.into();
            world.tenant.add_nameless(record, minutes_ago(minutes));
        }
        let mut count = 0;
        if let Some(bytes) = following {
            let mut record = record(minutes_ago(30));
            record["simulated_bytes"] = bytes.into();
            world.tenant.add_as(&id("900", minutes_ago(30), 7), record);
            count = 1;
        }
        let report = world.command(&["poll"]).await.report();
        assert_eq!(
            numbers(&report, ["delivered", "dead_lettered"]),
            [count, 2],
            "{following:?}"
        );
        assert_eq!(report["caught_up"], true);
        add(&world, "900", 30, 20);
        let report = poll(&world).await.report();
        assert_eq!(numbers(&report, ["delivered", "dead_lettered"]), [30, 0]);
        assert_quiet(&world).await;
    }
}

#[tokio::test]
async fn those_at_the_beginning_of_the_log_are_set_aside_too() {
    let mut world = world().await;
    world.set("START_FROM", "oldest");
    for n in 0..5 {
        let date = minutes_ago(40);
        world.tenant.add_nameless(numbered(date, n), date);
    }
    add(&world, "900", 20, 30);
    let report = poll(&world).await.report();
    assert_eq!(numbers(&report, ["delivered", "dead_lettered"]), [20, 5]);
    assert_quiet(&world).await;
}

/// An imported record is stored long after its date, so a search from the cursor's time on does not find it.
#[tokio::test]
async fn imported_records_after_a_page_of_them_are_delivered() {
    for later in [0, 20] {
        let mut world = world().await;
        world.set("START_FROM", "3h");
        add(&world, "900", 20, 50);
        poll(&world).await;
        for n in 0..150 {
            let stored = minutes_ago(40) + chrono::Duration::milliseconds(n);
            world.tenant.add_nameless(record(stored), stored);
        }
        for n in 0..10 {
            let stored = minutes_ago(35) + chrono::Duration::seconds(n);
            let imported = record(minutes_ago(120));
            world.tenant.add_as(&id("900", stored, 7), imported);
        }
        add(&world, "900", later, 20);
        let report = poll(&world).await.report();
        assert_eq!(
            numbers(&report, ["delivered", "dead_lettered"]),
            [10 + later.unsigned_abs(), 150]
        );
        assert_quiet(&world).await;
    }
}

#[tokio::test]
async fn of_a_tenant_that_returns_few_at_once_a_few_are_not_taken_for_all() {
    let world = World::with(Options {
        token_events: false,
        largest_page: 5,
        ..Options::default()
    })
    .await;
    add(&world, "900", 20, 50);
    poll(&world).await;
    let stored = minutes_ago(40);
    for n in 0..12 {
        world.tenant.add_nameless(numbered(stored, n), stored);
    }
    add(&world, "900", 30, 20);
    let report = poll(&world).await.report();
    assert_eq!(numbers(&report, ["delivered", "dead_lettered"]), [30, 12]);
    assert_quiet(&world).await;
}

/// A search shows 1,000 of these 1,500, and which ones is not known.
#[tokio::test]
async fn where_a_search_shows_not_all_of_a_millisecond_nothing_is_passed_over() {
    let world = caught_up().await;
    let date = minutes_ago(40);
    for n in 0..1_500 {
        let stored = date + chrono::Duration::milliseconds(n);
        let record = numbered(date, n);
        if n < 100 {
            world.tenant.add_nameless(record, stored);
        } else {
            world.tenant.add_as(&id("900", stored, 7), record);
        }
    }
    let ran = world.command(&["poll"]).await;
    assert_eq!(ran.code(), 1, "{}", ran.stderr);
    assert_eq!(ran.report()["caught_up"], false);
    assert_eq!(numbers(&ran.report(), ["delivered"]), [0]);
}

/// A search shows a thousand, and cannot begin anew within a millisecond.
#[tokio::test]
async fn more_records_without_an_id_in_one_millisecond_than_a_search_shows_are_not_the_end() {
    let world = caught_up().await;
    let stored = minutes_ago(40);
    for n in 0..1_100 {
        world.tenant.add_nameless(numbered(stored, n), stored);
    }
    add(&world, "900", 30, 20);
    let ran = world.command(&["poll"]).await;
    assert_eq!(ran.code(), 1, "{}", ran.stderr);
    let told = "reading makes no progress: no record of a whole page has a log_id";
    assert!(ran.stderr.contains(told), "{}", ran.stderr);
    assert_eq!(ran.report()["caught_up"], false);
    assert_eq!(numbers(&ran.report(), ["delivered"]), [0]);
}

/// 140 MB, a record a second, since all of them would be in memory at the same time.
#[tokio::test]
#[ignore = "takes a minute: cargo test --test blackbox more_records -- --ignored"]
async fn more_records_without_an_id_than_memory_holds_end_the_run_which_says_what_to_do() {
    let world = caught_up().await;
    let begin = minutes_ago(45);
    for n in 0..1_400 {
        let stored = begin + chrono::Duration::seconds(n);
        let mut record = numbered(stored, n);
        record["description"] = "x".repeat(100_000).into();
        world.tenant.add_nameless(record, stored);
    }
    add(&world, "900", 30, 20);
    let ran = world.command(&["poll"]).await;
    assert_eq!(ran.code(), 1, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("more than 128 MiB of"),
        "{}",
        ran.stderr
    );
    assert_eq!(ran.report()["caught_up"], false);
    assert_eq!(numbers(&ran.report(), ["delivered"]), [0]);
    let set_aside = ran.report()["dead_lettered"].as_i64().unwrap();
    assert!((1_300..1_400).contains(&set_aside), "{set_aside}");

    let last = begin + chrono::Duration::seconds(set_aside - 1);
    let set = ["checkpoint", "set", "--from", &last.to_rfc3339()];
    assert_eq!(world.command(&set).await.code(), 0);
    let report = poll(&world).await.report();
    let left = 1_400 - set_aside.unsigned_abs();
    assert_eq!(numbers(&report, ["delivered", "dead_lettered"]), [30, left]);
    assert_quiet(&world).await;
}

#[tokio::test]
async fn who_stops_what_takes_the_ids_away_has_the_records_without_another_checkpoint() {
    let world = world().await;
    for minutes in [30, 20, 10] {
        world
            .tenant
            .add_nameless(record(minutes_ago(minutes)), minutes_ago(minutes));
    }
    let ran = world.command(&["poll"]).await;
    assert_eq!(ran.code(), 1, "{ran:?}");
    assert_eq!(numbers(&ran.report(), ["dead_lettered"]), [3]);
    // A checkpoint after these records, which is the other advice, would leave them out.
    let advice = "if something changes Auth0's answers, stop it, and the next run delivers them";
    assert!(ran.stderr.contains(advice), "{ran:?}");

    for id in world.tenant.log_ids() {
        world.tenant.add_as(&id, record(minutes_ago(10)));
    }
    let report = poll(&world).await.report();
    assert_eq!(numbers(&report, ["delivered"]), [3]);
    world.assert_all_landed_once();
}
