//! Catching up from far behind: pages are read in parallel, and the result is the same as when they
//! are read one after another.

use std::collections::BTreeSet;
use std::time::Duration;

use simulator::tenant::{Options, SyntheticIds};

use crate::world::{Sink, World, for_each_destination, minutes_ago, numbers};

for_each_destination![a_kill_far_behind_loses_nothing_and_repeats_what_was_under_way];

/// Records in the log. Each page of it takes some time.
const RECORDS: usize = 8_000;
/// Rows in a post.
const BATCH: usize = 1_000;

fn slow() -> Options {
    Options {
        latency: Duration::from_millis(100),
        token_events: false,
        ..Options::default()
    }
}

async fn world(options: Options) -> World {
    let mut world = World::with(options).await;
    world.set("START_FROM", "1d");
    world
        .tenant
        .generate(RECORDS, minutes_ago(600), minutes_ago(15));
    world
}

async fn a_kill_far_behind_loses_nothing_and_repeats_what_was_under_way(sink: Sink) {
    let mut world = world(slow()).await;
    world.deliver_to(&[sink]);
    let mut first = world.start_command(&["poll"]);
    world.tenant.wait_for_log_request(25).await;
    first.kill().await.unwrap();
    let stored = world.arrivals_at(sink).stored();
    let ran = world.command(&["poll"]).await;
    assert_eq!(ran.code(), 0, "{ran:?}");
    assert_eq!(ran.report()["caught_up"], true);
    assert!(world.tenant.most_at_once() > 2, "it was read one by one");
    let landed = world.arrivals_at(sink).landed();
    let seen: BTreeSet<_> = landed.iter().cloned().collect();
    assert!(seen.into_iter().eq(world.tenant.log_ids()), "lost");
    assert!(landed.len() <= RECORDS + BATCH, "{stored} {}", landed.len());
}

#[tokio::test]
async fn of_what_is_read_side_by_side_little_is_asked_for_twice() {
    let world = world(slow()).await;
    let report = world.poll().await;
    assert_eq!(numbers(&report, ["delivered"]), [8_000]);
    assert!(world.tenant.most_at_once() > 2);
    // One after another it takes 81 pages, and two searches.
    let requests = world.tenant.log_requests();
    assert!(requests <= 83 + 12, "{requests}");
    world.assert_all_landed_once();
}

#[tokio::test]
async fn two_destinations_share_what_is_read_side_by_side() {
    let mut world = world(slow()).await;
    world.deliver_to(&[Sink::LogAnalytics, Sink::Archive]);
    let ran = world.command(&["poll"]).await;
    assert_eq!(ran.code(), 0, "{ran:?}");
    for sink in [Sink::LogAnalytics, Sink::Archive] {
        world.assert_all_landed_once_at(sink);
    }
    let requests = world.tenant.log_requests();
    assert!(requests <= 83 + 12, "{requests}");
}

#[tokio::test]
async fn a_replay_reads_side_by_side_and_little_beyond_its_end() {
    let world = world(slow()).await;
    let [from, to] = [500, 200].map(|it| minutes_ago(it).format("%Y-%m-%dT%H:%M:%SZ").to_string());
    let replay = ["replay", "--destination", "log-analytics"];
    let ran = world
        .command(&[&replay[..], &["--from", &from, "--to", &to]].concat())
        .await;
    assert_eq!(ran.code(), 0, "{ran:?}");
    assert!(world.tenant.most_at_once() > 2, "it was read one by one");
    let rows = world.table().rows;
    for row in &rows {
        let date = row["date_t"].as_str().unwrap();
        assert!(from.as_str() <= date && date < to.as_str(), "{date}");
    }
    // 300 of 585 minutes, so about half of 8,000 records.
    assert!((3_800..4_400).contains(&rows.len()), "{}", rows.len());
    let requests = world.tenant.log_requests();
    assert!(requests < 42 + 16, "{requests}");
}

#[tokio::test]
async fn where_made_up_ids_are_not_taken_one_page_is_read_after_the_other() {
    for synthetic_ids in [
        SyntheticIds::Rejected,
        SyntheticIds::NotFound,
        SyntheticIds::Ignored,
        SyntheticIds::Unheeded,
    ] {
        let world = world(Options {
            synthetic_ids,
            ..slow()
        })
        .await;
        let report = world.poll().await;
        assert_eq!(numbers(&report, ["delivered"]), [8_000]);
        world.assert_all_landed_once();
    }
}

#[tokio::test]
async fn a_tenant_with_few_requests_a_second_is_asked_no_more_than_it_grants() {
    let world = world(Options {
        rate_limit: (10, 600),
        ..slow()
    })
    .await;
    let report = world.poll().await;
    assert_eq!(numbers(&report, ["delivered"]), [8_000]);
    // No request was refused and repeated.
    let requests = world.tenant.log_requests();
    assert_eq!(numbers(&report, ["requests"]), [requests + 1]);
    world.assert_all_landed_once();
}
