//! A replay: part of the log is sent again, from Auth0 or from an archive.

mod gap;

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::json;
use simulator::Fault;
use simulator::tenant::{Options, SyntheticIds};

use crate::world::{Ran, Sink, World, minutes_ago, now, numbers};

const RECORDS: i64 = 55;

/// Adds a record a minute, the first 58 minutes ago. Returns each date and id. Every other record
/// is a failed log-in, the first among them.
fn records(world: &World) -> Vec<(DateTime<Utc>, String)> {
    let add = |n| {
        let date = minutes_ago(58 - n);
        let kind = if n % 2 == 0 { "fp" } else { "s" };
        (
            date,
            world.tenant.add(json!({"date": date, "type": kind}), date),
        )
    };
    (0..RECORDS).map(add).collect()
}

fn written(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

async fn replay(world: &World, more: &[&str]) -> Ran {
    let arguments = [&["replay", "--destination", "log-analytics"], more].concat();
    world.command(&arguments).await
}

#[tokio::test]
async fn a_stretch_is_sent_again_by_date_from_inclusive_and_to_not_and_no_checkpoint_moves() {
    let world = World::start().await;
    let records = records(&world);
    world.poll().await;
    let before = world.checkpoint().await;
    let (from, to) = (written(records[10].0), written(records[20].0));
    let ran = replay(&world, &["--from", &from, "--to", &to]).await;
    assert_eq!(ran.code(), 0, "{ran:?}");
    assert_eq!(numbers(&ran.report(), ["delivered"]), [10]);
    let landed = world.workspace.landed();
    let expected: Vec<_> = records[10..20].iter().map(|(_, id)| id.clone()).collect();
    assert_eq!(landed[55..], expected);
    assert_eq!(world.checkpoint().await, before);

    // Ids as limits work the same way.
    let ran = replay(&world, &["--from", &records[53].1, "--to", &records[54].1]).await;
    assert_eq!(numbers(&ran.report(), ["delivered"]), [1], "{ran:?}");
    assert_eq!(world.workspace.landed().last(), Some(&records[53].1));
}

#[tokio::test]
async fn a_replay_counts_each_request_that_it_makes() {
    let world = World::start().await;
    records(&world);
    let ran = replay(&world, &["--from", "1h", "--to", "1s"]).await;
    assert_eq!(ran.code(), 0, "{ran:?}");
    let asked = world.tenant.log_requests() + world.tenant.token_requests();
    assert_eq!(ran.report()["requests"], json!(asked), "{ran:?}");
}

#[tokio::test]
async fn a_dry_run_sends_nothing_and_tells_what_it_would() {
    let mut world = World::start().await;
    records(&world);
    world.set("FILTER_LOG_ANALYTICS", "s");
    let ran = replay(&world, &["--from", "oldest", "--to", "1s", "--dry-run"]).await;
    assert_eq!(ran.code(), 0, "{ran:?}");
    assert_eq!(numbers(&ran.report(), ["delivered", "filtered"]), [27, 28]);
    // A dry run still reads from Auth0.
    assert_eq!(ran.report()["rate_limit"]["limit"], 1_000);
    assert!(ran.stderr.contains("nothing was sent"), "{ran:?}");
    assert_eq!(world.workspace.requests(), 0);
    // `--filter` replaces the destination's own filter.
    let all = ["--from", "oldest", "--to", "1s", "--filter", "fp,s"];
    let ran = replay(&world, &all).await;
    assert_eq!(numbers(&ran.report(), ["delivered", "filtered"]), [55, 0]);
    assert!(!ran.stderr.contains("nothing was sent"), "{ran:?}");
    // If nothing was read, nothing is reported.
    world.set("WorkspaceID", "");
    let ran = replay(&world, &["--from", "oldest", "--to", "1s", "--dry-run"]).await;
    assert_eq!(ran.code(), 2, "{ran:?}");
    assert!(!ran.stderr.contains("would have been"), "{ran:?}");
}

/// A world whose records are in an archive, to be sent to the table from there.
async fn archived(add: impl FnOnce(&World)) -> World {
    let mut world = World::start_for(Sink::Archive).await;
    world.set("START_FROM", "oldest");
    add(&world);
    world.poll().await;
    world.deliver_to(&[Sink::LogAnalytics]);
    world.set_all(world.archive.settings());
    world
}

/// The tenant may be gone, or the machine may have no key to it.
#[tokio::test]
async fn what_comes_from_the_archive_needs_nothing_that_opens_auth0() {
    let mut world = archived(|world| drop(records(world))).await;
    let stretch = ["--from", "2h", "--to", "1s"];
    for secret in ["", "@Microsoft.KeyVault(SecretUri=x)"] {
        world.set("CLIENT_ID", secret);
        world.set("CLIENT_SECRET", secret);
        let ran = replay(&world, &[&stretch[..], &["--source", "archive"]].concat()).await;
        assert_eq!(ran.code(), 0, "{ran:?}");
        assert_eq!(numbers(&ran.report(), ["delivered", "requests"]), [55, 0]);
        let ran = replay(&world, &stretch).await;
        assert_eq!(ran.code(), 2, "{ran:?}");
    }
}

/// If a whole batch is refused, records after it are tried.
#[tokio::test]
async fn what_is_tried_for_the_sake_of_a_refused_record_is_delivered_once_and_hides_no_other() {
    let mut world = World::start_for(Sink::Archive).await;
    // One object a minute, and more of them than are read ahead.
    for minutes in (10..30).rev() {
        for number in 0..2 {
            let date = minutes_ago(minutes) + chrono::Duration::seconds(number);
            // Too large for a row, this record makes what comes before it be delivered alone.
            let length = if minutes == 28 { 10_000_000 } else { 1 };
            let record = json!({"date": date, "type": "s", "padding": "x".repeat(length)});
            world.tenant.add(record, date);
        }
        world.poll().await;
    }
    world.deliver_to(&[Sink::LogAnalytics]);
    world.set_all(world.archive.settings());
    let mut ids = world.tenant.log_ids();
    ids.sort();
    ids[..2].iter().for_each(|id| world.workspace.refuse(id));
    let replays: [&[&str]; 2] = [&["--source", "archive"], &[]];
    for (n, source) in replays.into_iter().enumerate() {
        let stretch = ["--from", "1h", "--to", "1s"];
        let ran = replay(&world, &[&stretch, source].concat()).await;
        assert_eq!(numbers(&ran.report(), ["delivered"]), [38], "{ran:?}");
        assert_eq!(ran.code(), 0, "{ran:?}");
        let mut landed = world.workspace.landed();
        landed.sort();
        let expected = ids[2..].iter().flat_map(|id| vec![id; n + 1]);
        assert!(landed.iter().eq(expected), "{source:?}");
    }
}

/// A replay runs only once, so it cannot wait for an hour. What it has delivered shows that the
/// destination takes records.
#[tokio::test]
async fn a_record_that_is_refused_at_the_end_of_a_replay_is_set_aside() {
    let mut world = World::start().await;
    world
        .tenant
        .generate(1_000, minutes_ago(80), minutes_ago(70));
    let date = minutes_ago(60);
    let last = world.tenant.add(json!({"date": date, "type": "s"}), date);
    world.workspace.refuse(&last);
    world.set("FILTER_LOG_ANALYTICS", "!f");
    let date = minutes_ago(62);
    world.tenant.add(json!({"date": date, "type": "f"}), date);
    let ran = replay(&world, &["--from", "65m", "--to", "50m"]).await;
    // Filtered records do not show whether the record or the destination is at fault.
    assert_eq!(numbers(&ran.report(), ["dead_lettered"]), [0], "{ran:?}");
    assert_eq!(ran.code(), 1, "{ran:?}");
    let ran = replay(&world, &["--from", "90m", "--to", "50m"]).await;
    let [delivered, filtered, dead_lettered] =
        numbers(&ran.report(), ["delivered", "filtered", "dead_lettered"]);
    assert_eq!((delivered + filtered, dead_lettered), (1_001, 1), "{ran:?}");
    assert_eq!(ran.report()["caught_up"], true, "{ran:?}");
}

/// An id with this prefix, of a record that was stored at `stored`.
fn id(prefix: &str, stored: DateTime<Utc>) -> String {
    format!("{prefix}{}{:033}", stored.format("%Y%m%d%H%M%S%6f"), 1)
}

#[tokio::test]
async fn an_archive_of_two_prefixes_is_read_whole() {
    let world = archived(|world| {
        for minutes in [250, 190, 130, 70] {
            for prefix in ["800", "900"] {
                let date = minutes_ago(minutes);
                let record = json!({"date": date, "type": "s"});
                world.tenant.add_as(&id(prefix, date), record);
            }
        }
    })
    .await;
    let stretch = ["--from", "5h", "--to", "1h", "--source", "archive"];
    let ran = replay(&world, &stretch).await;
    assert_eq!(ran.code(), 0, "{ran:?}");
    let counted = numbers(&ran.report(), ["fetched", "delivered"]);
    assert_eq!(counted, [8, 8], "{ran:?}");
    assert_eq!(ran.report()["caught_up"], true);
    world.assert_all_landed_once_at(Sink::LogAnalytics);
}

/// The record is tried when all before it are refused, and comes up again in its own prefix's
/// hours.
#[tokio::test]
async fn a_record_of_another_prefix_that_was_tried_early_is_delivered_once() {
    let mut refused = Vec::new();
    let world = archived(|world| {
        for (minutes, prefixes) in [
            (190, &["900"][..]),
            (130, &["800", "900"]),
            (70, &["800", "900"]),
        ] {
            for (prefix, second) in prefixes.iter().flat_map(|it| [(it, 0), (it, 1)]) {
                let date = minutes_ago(minutes) + chrono::Duration::seconds(second);
                let id = id(prefix, date);
                if minutes == 190 {
                    refused.push(id.clone());
                }
                world.tenant.add_as(&id, json!({"date": date, "type": "s"}));
            }
        }
    })
    .await;
    for id in &refused {
        world.workspace.refuse(id);
    }
    let stretch = ["--from", "5h", "--to", "1h", "--source", "archive"];
    let ran = replay(&world, &stretch).await;
    assert_eq!(numbers(&ran.report(), ["delivered"]), [8], "{ran:?}");
    let mut landed = world.workspace.landed();
    landed.sort();
    landed.dedup();
    assert_eq!((landed.len(), world.workspace.stored()), (8, 8), "{ran:?}");
}

/// Ids sort by prefix before time. More than a page of records comes before the first one of
/// another prefix.
#[tokio::test]
async fn a_stretch_is_read_whole_although_a_page_of_another_prefix_comes_first() {
    let world = World::start().await;
    let put = |prefix: &str, minutes: i64, second: i64| {
        let date = minutes_ago(minutes) + chrono::Duration::seconds(second);
        let record = json!({"date": date, "type": "s"});
        world.tenant.add_as(&id(prefix, date), record);
    };
    for second in 0..150 {
        put("900", 90, second);
    }
    for prefix in ["800", "850", "950"] {
        for minutes in [300, 70, 20] {
            put(prefix, minutes, 0);
        }
    }
    let ran = replay(&world, &["--from", "2h", "--to", "1h"]).await;
    assert_eq!(ran.code(), 0, "{ran:?}");
    assert_eq!(numbers(&ran.report(), ["delivered"]), [153], "{ran:?}");
    assert_eq!(ran.report()["caught_up"], true);
}

/// Records of the larger prefix were stored earlier, so they are read first.
#[tokio::test]
async fn a_stretch_between_two_ids_is_read_although_a_page_of_a_larger_prefix_comes_first() {
    let world = World::start().await;
    let put = |prefix: &str, minutes: i64, second: i64| {
        let date = minutes_ago(minutes) + chrono::Duration::seconds(second);
        let id = id(prefix, date);
        let record = json!({"date": date, "type": "s"});
        world.tenant.add_as(&id, record);
        id
    };
    for second in 0..150 {
        put("900", 75, second);
    }
    put("700", 70, 0);
    put("800", 100, 0);
    let ids = [70, 60, 50].map(|minutes| put("800", minutes, 0));
    let ran = replay(&world, &["--from", &ids[0], "--to", &ids[2]]).await;
    assert_eq!(ran.code(), 0, "{ran:?}");
    assert_eq!(world.workspace.landed(), ids[..2], "{ran:?}");

    // Ids of the same moment are not the same.
    let next = format!("{}2", &ids[1][..ids[1].len() - 1]);
    let ran = replay(&world, &["--from", &ids[1], "--to", &next]).await;
    assert_eq!(ran.code(), 0, "{ran:?}");
    assert_eq!(world.workspace.landed()[2..], ids[1..2], "{ran:?}");
}

/// How a tenant may treat an id that it never issued.
const WAYS: [SyntheticIds; 5] = [
    SyntheticIds::Unheeded,
    SyntheticIds::Ignored,
    SyntheticIds::Rejected,
    SyntheticIds::NotFound,
    SyntheticIds::Taken,
];

fn tenant_with(synthetic_ids: SyntheticIds) -> Options {
    Options {
        synthetic_ids,
        token_events: false,
        ..Options::default()
    }
}

/// After the requested time, reading goes on at the end of the prefix, from an id of no record.
#[tokio::test]
async fn a_stretch_ends_as_well_where_no_made_up_id_is_heeded() {
    for after in [1, 5] {
        for synthetic_ids in WAYS {
            let world = World::with(tenant_with(synthetic_ids)).await;
            for prefix in ["800", "900"] {
                let minutes = [90, 70].into_iter().chain(40 - after..40);
                for date in minutes.map(minutes_ago) {
                    let record = json!({"date": date, "type": "s"});
                    world.tenant.add_as(&id(prefix, date), record);
                }
            }
            let ran = replay(&world, &["--from", "80m", "--to", "60m"]).await;
            assert_eq!(ran.code(), 0, "{synthetic_ids:?}: {ran:?}");
            assert_eq!(numbers(&ran.report(), ["delivered"]), [2], "{ran:?}");
        }
    }
}

/// An empty page after a made-up id does not end the log.
#[tokio::test]
async fn what_is_above_a_stretch_of_a_prefix_is_read_where_no_made_up_id_is_heeded() {
    for synthetic_ids in WAYS {
        let world = World::with(tenant_with(synthetic_ids)).await;
        let put = |id: &str, date| world.tenant.add_as(id, json!({"date": date, "type": "s"}));
        let dates = || (0..150).map(|second| minutes_ago(75) + chrono::Duration::seconds(second));
        for date in dates() {
            put(&id("800", date), date);
        }
        for date in dates().map(|it| it + chrono::Duration::minutes(40)) {
            put(&id("800", date), date);
        }
        put(&id("900", minutes_ago(70)), minutes_ago(70));
        put("odd", minutes_ago(70));
        // More of them than a page has are newer than the stretch.
        for date in dates().map(|it| it + chrono::Duration::minutes(40)) {
            put(&id("900", date), date);
        }
        let ran = replay(&world, &["--from", "80m", "--to", "60m"]).await;
        assert_eq!(ran.code(), 0, "{synthetic_ids:?}: {ran:?}");
        let delivered = numbers(&ran.report(), ["delivered"]);
        assert_eq!(delivered, [152], "{synthetic_ids:?}: {ran:?}");
    }
}

/// A run leaves the rest to the next one. A replay has none.
#[tokio::test]
async fn a_replay_that_auth0_refuses_before_its_end_fails() {
    let world = World::start().await;
    world.tenant.generate(250, minutes_ago(50), minutes_ago(10));
    // Two search for the oldest record, one for where the stretch begins, and one is for its first page.
    let before = vec![Fault::None; 4];
    let refused = vec![Fault::answer(429, "{}"); 6];
    world.tenant.fail_logs([before, refused].concat());
    let ran = replay(&world, &["--from", "1h", "--to", "1m"]).await;
    assert_eq!(ran.code(), 1, "{ran:?}");
    let report = ran.report();
    assert_eq!(numbers(&report, ["delivered"]), [100], "{ran:?}");
    let error = report["errors"][0].as_str().unwrap();
    assert!(
        error.contains("429") && error.contains("tried 6 times"),
        "{error}"
    );
}

/// In a busy tenant no answer is empty: each request finds a record that was not there before.
#[tokio::test]
async fn a_replay_ends_although_records_come_all_the_time() {
    for synthetic_ids in WAYS {
        let world = World::with(tenant_with(synthetic_ids)).await;
        world.tenant.generate(150, minutes_ago(80), minutes_ago(70));
        world.tenant.generate(150, minutes_ago(40), minutes_ago(1));
        let busy = async {
            for requests in 1..40 {
                world.tenant.wait_for_log_request(requests).await;
                let now = now();
                world.tenant.add(json!({"date": now, "type": "s"}), now);
            }
        };
        let stretch = ["--from", "85m", "--to", "60m"];
        tokio::select! {
            ran = replay(&world, &stretch) => {
                assert_eq!(ran.code(), 0, "{synthetic_ids:?}: {ran:?}");
                assert_eq!(numbers(&ran.report(), ["delivered"]), [150], "{ran:?}");
            }
            () = busy => panic!("{synthetic_ids:?}: it goes on and on"),
        }
    }
}

#[tokio::test]
async fn records_whose_ids_tell_no_time_are_replayed_from_the_archive_too() {
    let mut dates = vec![minutes_ago(100); 2];
    dates.extend([minutes_ago(40); 2]);
    let world = archived(|world| {
        for date in &dates[..2] {
            world.tenant.add(json!({"date": date, "type": "s"}), *date);
        }
        for (name, date) in ["a", "odd", "x y", "z"].iter().zip(&dates) {
            world
                .tenant
                .add_as(name, json!({"date": date, "type": "s"}));
        }
    })
    .await;
    for source in [&[][..], &["--source", "archive"]] {
        let stretch = [&["--from", "2h", "--to", "1h"], source].concat();
        let ran = replay(&world, &stretch).await;
        assert_eq!(ran.code(), 0, "{ran:?}");
        let counted = numbers(&ran.report(), ["delivered", "before_start"]);
        assert_eq!(counted, [4, 2], "{source:?}: {ran:?}");
    }
    let mut landed = world.workspace.landed();
    landed.sort();
    landed.dedup();
    assert_eq!(landed.len(), 4, "{landed:?}");
}

#[tokio::test]
async fn a_replay_into_the_archive_repeats_no_record() {
    let world = World::start_for(Sink::Archive).await;
    records(&world);
    world.poll().await;
    let arguments = [
        "replay",
        "--destination",
        "archive",
        "--from",
        "oldest",
        "--to",
        "1s",
    ];
    let ran = world.command(&arguments).await;
    assert_eq!(ran.code(), 0, "{ran:?}");
    assert_eq!(numbers(&ran.report(), ["delivered"]), [55]);
    world.assert_all_landed_once();
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_before_anything_is_asked() {
    let mut world = World::start().await;
    world.set_all(world.archive.settings());
    let timeless = "9".repeat(56);
    let ahead = written(now() + Duration::from_hours(1));
    let further = written(now() + Duration::from_hours(2));
    let id_ahead = id("900", now() + Duration::from_hours(1));
    let (earlier, later) = (id("900", minutes_ago(60)), id("800", minutes_ago(50)));
    for (more, telling) in [
        (
            &["--from", "1h", "--to", "oldest"][..],
            "cannot be the oldest record",
        ),
        (&["--from", "1h", "--to", "2h"], "--from is not before --to"),
        // An id's prefix outweighs its time.
        (
            &["--from", &earlier, "--to", &later],
            "--from is not before --to",
        ),
        (
            &["--from", &ahead, "--to", "1s"],
            "--from is not before --to",
        ),
        (&["--from", "x", "--to", "1s"], "is neither a duration"),
        // The message that a run gives for a time in the future would point to the checkpoint.
        (
            &["--from", &ahead, "--to", &further],
            "--from is in the future",
        ),
        (
            &["--from", &id_ahead, "--to", &further],
            "--from is in the future",
        ),
        (&["--from", &timeless, "--to", "1s"], "holds no time"),
        (
            &["--from", "2h", "--to", "1h", "--filter", "typo"],
            "neither a category nor a type",
        ),
        (
            &["--from", "2h", "--to", "1h", "--source", "event-grid"],
            "EVENT_GRID_ENDPOINT is missing",
        ),
        (
            &["--from", "2h", "--to", "1h", "--source", "archiv"],
            "'--source <NAME>': names an unknown destination; it takes log-analytics, ",
        ),
        (
            &["--from", "2h", "--to", "1h", "--source", "stdout"],
            "--source stdout keeps no records",
        ),
        (
            &["--from", "oldest", "--to", "1h", "--source", "archive"],
            "--source archive needs --from and --to to be",
        ),
        (
            &["--from", "2h", "--to", &timeless, "--source", "archive"],
            "--source archive needs --from and --to to be",
        ),
    ] {
        let ran = replay(&world, more).await;
        assert_eq!((ran.code(), &*ran.stdout), (2, ""), "{ran:?}");
        assert!(ran.stderr.contains(telling), "{more:?}: {ran:?}");
    }
    let two = [
        "replay",
        "--destination",
        "log-analytics,stdout",
        "--from",
        "2h",
        "--to",
        "1h",
    ];
    let ran = world.command(&two).await;
    assert_eq!(ran.code(), 2, "{ran:?}");
    assert_eq!(world.tenant.log_requests(), 0);
}

#[tokio::test]
async fn a_replay_that_fails_says_why_as_poll_does() {
    let world = World::start().await;
    records(&world);
    let refused = Fault::answer(403, "");
    world.workspace.fail([refused.clone(), refused]);
    let ran = replay(&world, &["--from", "2h", "--to", "1s"]).await;
    assert_eq!(ran.code(), 1, "{ran:?}");
    assert!(
        ran.stderr.contains("log-analytics: the run failed: "),
        "{ran:?}"
    );
    assert_eq!(numbers(&ran.report(), ["delivered"]), [0]);
}
