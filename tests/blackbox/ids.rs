//! Unusual log ids: other prefixes, impossible times, other shapes, or no id at all. Auth0 compares
//! ids as text, so the prefix outweighs the time.

mod nameless;

use std::fs;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use simulator::Fault;
use simulator::tenant::{Options, SyntheticIds};

use crate::world::{Ran, Sink, World, minutes_ago, now, numbers};

/// A world whose tenant logs only what a test adds.
async fn world() -> World {
    World::with(Options {
        token_events: false,
        ..Options::default()
    })
    .await
}

fn record(date: DateTime<Utc>) -> Value {
    json!({"date": date, "type": "s"})
}

fn id(prefix: &str, stored: DateTime<Utc>, number: u64) -> String {
    format!("{prefix}{}{number:033}", stored.format("%Y%m%d%H%M%S%6f"))
}

/// Adds `count` records of a prefix, one a second, the first of them `minutes` minutes ago.
fn add(world: &World, prefix: &str, count: i64, minutes: i64) {
    for n in 0..count {
        let stored = minutes_ago(minutes) + chrono::Duration::seconds(n);
        let record = record(stored - chrono::Duration::seconds(1));
        world.tenant.add_as(&id(prefix, stored, 7), record);
    }
}

async fn poll(world: &World) -> Ran {
    let ran = world.command(&["poll"]).await;
    assert_eq!(ran.code(), 0, "{ran:?}");
    ran
}

/// Asserts that a run finds nothing more to do and says so.
async fn assert_quiet(world: &World) {
    let report = world.poll().await;
    assert_eq!(numbers(&report, ["delivered", "dead_lettered"]), [0, 0]);
    assert_eq!(report["caught_up"], true);
}

#[tokio::test]
async fn an_id_that_cannot_be_is_delivered_once_and_stands_in_nobody_s_way() {
    let later = now() + chrono::Duration::hours(2);
    for odd in [
        // Above all others, with a time of long ago.
        format!("90120200101{:045}", 0),
        // With the known prefix and a time in the future.
        format!("90099991231235959{:039}", 0),
        id("900", later, 0),
        // Above all others, with a time in the future.
        format!("99999991231235959{:039}", 0),
    ] {
        let world = world().await;
        add(&world, "900", 20, 20);
        world.tenant.add_as(&odd, record(minutes_ago(10)));
        let ran = poll(&world).await;
        world.assert_all_landed_once();
        assert!(ran.stderr.contains(&odd), "{ran:?}");
        for minutes in [8, 6, 4] {
            add(&world, "900", 5, minutes);
            let ran = poll(&world).await;
            assert_eq!(numbers(&ran.report(), ["delivered"]), [5], "{odd}");
            // Only the first run reports it.
            assert!(!ran.stderr.contains(&odd), "{ran:?}");
        }
        for _ in 0..3 {
            assert_quiet(&world).await;
        }
        world.assert_all_landed_once();
        let cursor = world.checkpoint().await["cursor"].clone();
        assert_ne!(cursor, odd);
    }
}

#[tokio::test]
async fn a_record_that_auth0_shows_and_does_not_send_is_told_of_and_delivered_when_it_is() {
    let odd = "0b9c7a3ex";
    for said in [
        r#"{"error":"Internal","message":"try again"}"#.to_owned(),
        "[]".to_owned(),
        record(minutes_ago(10)).to_string(),
        json!({"log_id": "another", "date": minutes_ago(10), "type": "s"}).to_string(),
    ] {
        let world = world().await;
        add(&world, "900", 20, 20);
        world.tenant.add_as(odd, record(minutes_ago(10)));
        // The record with the odd id is requested last.
        let before = [const { Fault::None }; 4];
        let answer = Fault::answer(200, &said);
        world.tenant.fail_logs(before.into_iter().chain([answer]));
        let ran = poll(&world).await;
        assert_eq!(numbers(&ran.report(), ["delivered"]), [20], "{ran:?}");
        let told =
            format!("the record {odd} was found by a search, and could not be read by its id");
        assert!(ran.stderr.contains(&told), "{ran:?}");
        // The second run that finds nothing new searches for the newest records once more.
        for _ in 0..2 {
            poll(&world).await;
        }
        world.assert_all_landed_once();
    }
}

#[tokio::test]
async fn a_cursor_above_all_ids_that_was_stored_by_an_earlier_version_is_got_past() {
    let world = world().await;
    add(&world, "900", 20, 20);
    poll(&world).await;
    let file = world.checkpoint_file(Sink::LogAnalytics);
    let mut stored = world.checkpoint().await;
    let odd = format!("90120200101{:045}", 0);
    stored["cursor"] = odd.into();
    fs::write(&file, stored.to_string()).unwrap();
    add(&world, "900", 5, 8);
    poll(&world).await;
    let landed = world.workspace.landed();
    assert!(world.tenant.log_ids().iter().all(|id| landed.contains(id)));
    assert_quiet(&world).await;
}

#[tokio::test]
async fn a_tenant_may_move_from_one_prefix_to_another() {
    for (from, to) in [("900", "800"), ("800", "900")] {
        let world = world().await;
        add(&world, from, 250, 50);
        poll(&world).await;
        world.assert_all_landed_once();
        add(&world, to, 150, 40);
        let mut delivered = 0;
        // The second run that finds nothing searches for smaller prefixes.
        for _ in 0..2 {
            delivered += numbers(&poll(&world).await.report(), ["delivered"])[0];
        }
        assert_eq!(delivered, 150, "{from} {to}");
        // The tenant goes on with the new prefix, then back to the old one, then to the new one
        // again.
        for (prefix, minutes) in [(to, 30), (to, 25), (from, 15), (to, 10)] {
            add(&world, prefix, 10, minutes);
            poll(&world).await;
            poll(&world).await;
            world.assert_all_landed_once();
        }
        assert_quiet(&world).await;
    }
}

#[tokio::test]
async fn the_first_prefix_of_all_is_no_other_prefix() {
    let world = world().await;
    let told = async || {
        let poll = poll(&world).await;
        poll.stderr.matches("has another prefix").count()
    };
    // Older than what the first run reads, so it is found by the comparison.
    add(&world, "900", 3, 90);
    assert_eq!(told().await, 0);
    assert_eq!(told().await, 0);
    add(&world, "900", 3, 6);
    assert_eq!(told().await, 0);
    add(&world, "800", 3, 5);
    assert_eq!(told().await + told().await, 1);
    world.command(&["checkpoint", "set", "--from", "1m"]).await;
    // It is not known any more what was read.
    assert_eq!(told().await, 0);
}

#[tokio::test]
async fn a_tenant_may_mix_prefixes() {
    let world = world().await;
    for (n, minutes) in (4..50).rev().enumerate() {
        let prefixes = if n < 5 {
            &["900"][..]
        } else {
            &["800", "900", "700"]
        };
        for prefix in prefixes {
            add(&world, prefix, 3, minutes);
        }
        poll(&world).await;
    }
    // They are found within ten minutes, or in the second run in which nothing else happens.
    poll(&world).await;
    poll(&world).await;
    world.assert_all_landed_once();
    // From then on each run finds them.
    add(&world, "800", 3, 2);
    add(&world, "700", 3, 1);
    poll(&world).await;
    world.assert_all_landed_once();
    assert_quiet(&world).await;
}

#[tokio::test]
async fn the_first_window_may_hold_several_prefixes() {
    for synthetic_ids in [SyntheticIds::Taken, SyntheticIds::Rejected] {
        for prefixes in [["900", "800"], ["800", "900"]] {
            let world = World::with(Options {
                token_events: false,
                synthetic_ids,
                ..Options::default()
            })
            .await;
            add(&world, prefixes[0], 150, 50);
            add(&world, prefixes[1], 150, 40);
            for _ in 0..3 {
                poll(&world).await;
            }
            world.assert_all_landed_once();
            assert_quiet(&world).await;
            world.assert_all_landed_once();
        }
    }
}

#[tokio::test]
async fn a_short_page_that_ends_amid_another_prefix_is_not_the_end_of_the_log() {
    let world = World::with(Options {
        largest_page: 20,
        ..towards(SyntheticIds::Taken)
    })
    .await;
    add(&world, "800", 5, 2);
    add(&world, "900", 60, 50);
    poll(&world).await;
    world.assert_all_landed_once();
    // The newest records of the smaller prefix are of now, and sort before those of the other
    // prefix.
    for minutes in [40, 30] {
        add(&world, "800", 1, 1);
        add(&world, "900", 10, minutes);
        poll(&world).await;
        world.assert_all_landed_once();
    }
    assert_quiet(&world).await;
}

#[tokio::test]
async fn a_short_page_of_now_is_not_the_end_of_what_other_prefixes_have() {
    let world = World::with(Options {
        largest_page: 7,
        ..towards(SyntheticIds::Taken)
    })
    .await;
    add(&world, "800", 60, 2);
    add(&world, "900", 60, 50);
    for _ in 0..2 {
        poll(&world).await;
    }
    let of_900 = || {
        let mut of_900 = world.workspace.landed();
        of_900.retain(|it| it.starts_with("900"));
        of_900.len()
    };
    assert_eq!(of_900(), 60);
    add(&world, "900", 10, 40);
    poll(&world).await;
    assert_eq!(of_900(), 70);
    // A replay knows only the prefixes that it meets.
    for (to, count) in [("20m", 70), ("1s", 130)] {
        let stretch = ["--from", "55m", "--to", to];
        let replay = ["replay", "--destination", "log-analytics"];
        let ran = world.command(&[&replay[..], &stretch].concat()).await;
        assert_eq!(numbers(&ran.report(), ["delivered"]), [count], "{ran:?}");
    }
}

/// Options of a tenant that treats ids of no record in this way.
fn towards(synthetic_ids: SyntheticIds) -> Options {
    Options {
        token_events: false,
        synthetic_ids,
        ..Options::default()
    }
}

/// A tenant that has caught up, and then gets a record with a prefix below all others and `newer`
/// newer records.
async fn with_hidden(options: Options, newer: i64) -> World {
    let world = World::with(options).await;
    add(&world, "900", 10, 20);
    poll(&world).await;
    add(&world, "900", newer, 10);
    let hidden = id("800", minutes_ago(9), 7);
    world.tenant.add_as(&hidden, record(minutes_ago(40)));
    // The odd id makes the run search at once instead of after ten minutes.
    let odd = format!("90120200101{:045}", 0);
    world.tenant.add_as(&odd, record(minutes_ago(1)));
    world
}

#[tokio::test]
async fn a_prefix_below_all_others_is_found_although_newer_records_hide_it() {
    for synthetic_ids in [
        SyntheticIds::Taken,
        SyntheticIds::Ignored,
        SyntheticIds::Rejected,
        SyntheticIds::NotFound,
        SyntheticIds::Unheeded,
    ] {
        let world = with_hidden(towards(synthetic_ids), 150).await;
        poll(&world).await;
        world.assert_all_landed_once();
        assert_quiet(&world).await;
    }
}

#[tokio::test]
async fn it_is_found_although_the_record_after_it_is_too_large_to_come_with_it() {
    let world = with_hidden(towards(SyntheticIds::Taken), 150).await;
    let mut large = record(minutes_ago(40));
    large["simulated_bytes"] = 17_000_000.into();
    world.tenant.add_as(&id("800", minutes_ago(9), 8), large);
    poll(&world).await;
    world.assert_all_landed_once();
}

#[tokio::test]
async fn it_is_found_by_search_although_a_page_of_it_has_fewer_records_than_there_are() {
    for synthetic_ids in [SyntheticIds::Rejected, SyntheticIds::Unheeded] {
        let options = Options {
            largest_page: 40,
            ..towards(synthetic_ids)
        };
        let world = with_hidden(options, 350).await;
        poll(&world).await;
        world.assert_all_landed_once();
        assert_quiet(&world).await;
    }
}

#[tokio::test]
async fn a_first_run_reads_all_where_an_id_that_is_none_of_a_record_is_not_heeded() {
    for synthetic_ids in [
        SyntheticIds::Rejected,
        SyntheticIds::NotFound,
        SyntheticIds::Ignored,
        SyntheticIds::Unheeded,
    ] {
        let world = World::with(towards(synthetic_ids)).await;
        add(&world, "900", 450, 30);
        poll(&world).await;
        world.assert_all_landed_once();
        assert_quiet(&world).await;
    }
}

/// A search shows a thousand of them, and goes on after their date.
#[tokio::test]
async fn what_follows_many_records_of_one_date_is_found_by_search() {
    let mut world = World::with(towards(SyntheticIds::Rejected)).await;
    world.set("START_FROM", "3h");
    add(&world, "900", 20, 50);
    let date = minutes_ago(132);
    for n in 0..1_100 {
        let stored = minutes_ago(30) + chrono::Duration::milliseconds(n);
        world.tenant.add_as(&id("900", stored, 7), record(date));
    }
    let ran = poll(&world).await;
    world.assert_all_landed_once();
    let told = "more than 1000 records have the date";
    assert!(ran.stderr.contains(told), "{}", ran.stderr);
    // The search for its prefix passes them. The odd id makes the run search at once.
    add(&world, "800", 1, 10);
    let odd = format!("90120200101{:045}", 0);
    world.tenant.add_as(&odd, record(minutes_ago(1)));
    poll(&world).await;
    world.assert_all_landed_once();
}

#[tokio::test]
async fn an_imported_record_is_found_although_the_cursor_and_all_before_it_have_expired() {
    let mut world = world().await;
    world.set("START_FROM", "3h");
    add(&world, "900", 20, 50);
    poll(&world).await;
    world.tenant.expire_before(now());
    let stored = minutes_ago(4);
    let imported = record(minutes_ago(120));
    world.tenant.add_as(&id("900", stored, 7), imported);
    let delivered: Vec<_> = [world.poll().await, world.poll().await]
        .iter()
        .flat_map(|report| numbers(report, ["delivered"]))
        .collect();
    assert_eq!(delivered.iter().sum::<u64>(), 1, "{delivered:?}");
}

/// Asked for one record after a made-up id, the tenant returns the newest: nothing tells from that page
/// that it did not heed the id.
#[tokio::test]
async fn one_record_after_a_made_up_id_is_not_taken_for_the_first() {
    let world = World::with(towards(SyntheticIds::Unheeded)).await;
    add(&world, "900", 20, 30);
    let mut large = record(now());
    large["simulated_bytes"] = 17_000_000.into();
    world.tenant.add_as(&id("900", now(), 7), large);
    poll(&world).await;
    world.assert_all_landed_once();
}

#[tokio::test]
async fn a_record_without_a_date_before_all_others_is_delivered() {
    for finds_dateless in [false, true] {
        let mut world = World::with(Options {
            finds_dateless,
            ..towards(SyntheticIds::Taken)
        })
        .await;
        world.set("START_FROM", "oldest");
        let dateless = json!({"type": "s"});
        world
            .tenant
            .add_as(&id("900", minutes_ago(40), 7), dateless);
        add(&world, "900", 20, 30);
        poll(&world).await;
        world.assert_all_landed_once();
    }
}

#[tokio::test]
async fn ids_of_another_shape_are_delivered_whatever_their_place_among_the_others() {
    for odd in [
        &["zzz-1", "zzz-2"][..],
        // Smaller than the others, it is found by the search that runs every ten minutes.
        &["1"],
        &["9"],
        &["0f6c1b1e-4f6e"],
    ] {
        let world = world().await;
        add(&world, "900", 20, 20);
        poll(&world).await;
        world.tenant.add_as(odd[0], record(minutes_ago(10)));
        poll(&world).await;
        poll(&world).await;
        world.assert_all_landed_once();
        add(&world, "900", 5, 8);
        poll(&world).await;
        for id in &odd[1..] {
            world.tenant.add_as(id, record(minutes_ago(7)));
            poll(&world).await;
            world.assert_all_landed_once();
        }
        assert_quiet(&world).await;
    }
}

#[tokio::test]
async fn a_log_id_that_is_far_too_long_is_kept_nowhere_but_with_its_record() {
    let world = world().await;
    // The simulated tenant repeats the long id in a header, which cannot be longer.
    let [long, fits] = [50_000, 256].map(|length| "9".repeat(length));
    add(&world, "900", 3, 10);
    world.tenant.add_as(&long, record(minutes_ago(5)));
    world.tenant.add_as(&fits, record(minutes_ago(5)));
    let ran = poll(&world).await;
    let report = ran.report();
    assert_eq!(numbers(&report, ["delivered", "dead_lettered"]), [4, 1]);
    assert!(
        ran.stderr
            .contains("its log_id is longer than 256 characters"),
        "{:.900}",
        ran.stderr
    );
    assert!(!ran.stderr.contains(&long[..300]) && !ran.stdout.contains(&long[..300]));
    let stored = world.checkpoint().await.to_string();
    assert!(!stored.contains(&long[..300]), "{}", stored.len());
    let list = world.command(&["dead-letter", "list"]).await;
    assert!(
        list.stdout.contains("its log_id is longer") && list.stdout.len() < 500,
        "{list:?}"
    );
    assert_quiet(&world).await;
}
