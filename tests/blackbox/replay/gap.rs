//! What a replay says of the part of a stretch for which there are no records, or none any more.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::json;
use simulator::Fault;

use super::{archived, records, replay, written};
use crate::world::{Ran, Sink, World, minutes_ago, now, numbers};

#[tokio::test]
async fn what_auth0_has_dropped_is_said_and_comes_from_the_archive() {
    let mut world = World::start_for(Sink::Archive).await;
    let records = records(&world);
    world.poll().await;
    world.deliver_to(&[Sink::LogAnalytics]);
    world.set_all(world.archive.settings());
    world.tenant.expire_before(minutes_ago(30));
    let from = written(records[0].0);
    let ran = replay(&world, &["--from", &from, "--to", "1s"]).await;
    assert_eq!(ran.code(), 0, "{ran:?}");
    let [delivered] = numbers(&ran.report(), ["delivered"]);
    assert!((25..=28).contains(&delivered), "{ran:?}");
    assert!(
        ran.stderr.contains("Auth0 has no records between"),
        "{ran:?}"
    );
    assert_eq!(
        ran.report()["gap"]["from"],
        records[0].0.to_rfc3339_opts(SecondsFormat::AutoSi, true)
    );

    let asked = world.tenant.log_requests();
    let archived = ["--from", &from, "--to", "1s", "--source", "archive "];
    let ran = replay(&world, &archived).await;
    assert_eq!(ran.code(), 0, "{ran:?}");
    assert_eq!(numbers(&ran.report(), ["delivered"]), [55]);
    assert_eq!(world.tenant.log_requests(), asked);
    let mut landed = world.workspace.landed();
    landed.sort();
    landed.dedup();
    assert_eq!(landed.len(), 55);
}

/// Otherwise what it sends would be taken for all that there was.
#[tokio::test]
async fn what_the_archive_has_not_got_yet_or_does_not_get_is_said() {
    let mut world = World::start_for(Sink::Archive).await;
    let records = records(&world);
    world.poll().await;
    let url = world.archive.settings()[0].1.clone();
    let source = ["--from", "3h", "--to", "1s", "--source", "archive"];
    let lacks = "archive may lack what was logged from";
    let filtered = "archive has only what its filter takes (FILTER_ARCHIVE)";
    let ran = replay_to_stdout(&world, &source).await;
    assert_eq!(ran.code(), 0, "{ran:?}");
    for told in [lacks, filtered] {
        assert!(!ran.stderr.contains(told), "{ran:?}");
    }

    world.set("FILTER_ARCHIVE", "fp");
    let ran = replay_to_stdout(&world, &source).await;
    assert!(ran.stderr.contains(filtered), "{ran:?}");
    world.set("FILTER_ARCHIVE", "");

    // It began in the middle of the stretch.
    let began = "archive may lack what was logged before";
    let ran = replay_to_stdout(&world, &source).await;
    assert!(ran.stderr.contains(began), "{ran:?}");
    let later = ["--from", "50m", "--to", "1s", "--source", "archive"];
    let ran = replay_to_stdout(&world, &later).await;
    assert_eq!(ran.code(), 0, "{ran:?}");
    assert!(!ran.stderr.contains(began), "{ran:?}");

    // It is away when more comes.
    let file = world.folder.path().join("no-folder");
    std::fs::write(&file, "").unwrap();
    world.set("ARCHIVE_URL", &format!("file://{}", file.display()));
    world.tenant.generate(3, minutes_ago(1), now());
    assert_eq!(world.command(&["poll"]).await.code(), 1);
    world.set("ARCHIVE_URL", &url);
    let newest = records[54].0;
    let ended = written(newest + TimeDelta::minutes(16));
    let until = ["--from", "3h", "--to", &ended, "--source", "archive"];
    let ran = replay_to_stdout(&world, &until).await;
    assert_eq!(ran.code(), 0, "{ran:?}");
    let told = format!("{lacks} {} on", newest.format("%FT%TZ"));
    assert!(ran.stderr.contains(&told), "{ran:?}");
    // What it has got is all that there is of an earlier stretch.
    let ended = written(newest);
    let until = ["--from", "3h", "--to", &ended, "--source", "archive"];
    let ran = replay_to_stdout(&world, &until).await;
    assert!(!ran.stderr.contains(lacks), "{ran:?}");

    // Where that cannot be known any more, it is said.
    std::fs::write(world.history_file(Sink::Archive), "{").unwrap();
    let ran = replay_to_stdout(&world, &until).await;
    assert_eq!(ran.code(), 0, "{ran:?}");
    let unknown = "how far archive has got the log: ";
    assert!(ran.stderr.contains(unknown), "{ran:?}");
    let unknown = "when the first run of archive began: reading the checkpoint ";
    assert!(!ran.stderr.contains(unknown), "{ran:?}");
    let checkpoint = world.checkpoint_file(Sink::Archive);
    std::fs::remove_file(&checkpoint).unwrap();
    std::fs::create_dir(&checkpoint).unwrap();
    let ran = replay_to_stdout(&world, &until).await;
    assert_eq!(ran.code(), 0, "{ran:?}");
    assert!(ran.stderr.contains(unknown), "{ran:?}");
}

async fn replay_to_stdout(world: &World, more: &[&str]) -> Ran {
    let arguments = [&["replay", "--destination", "stdout"], more].concat();
    world.command(&arguments).await
}

#[tokio::test]
async fn where_there_was_nothing_of_a_stretch_that_is_said() {
    let mut world = archived(|world| {
        let date = minutes_ago(30);
        world.tenant.add(json!({"date": date, "type": "s"}), date);
    })
    .await;
    let url = world.archive.settings()[0].1.clone();
    let [from, to] = [minutes_ago(40), minutes_ago(20)].map(written);
    let stretch = ["--from", &*from, "--to", &*to, "--source", "archive"];
    let ran = replay(&world, &stretch).await;
    assert_eq!(ran.code(), 0, "{ran:?}");
    assert_eq!(ran.report()["gap"], json!(null), "{ran:?}");
    // A record that is filtered out still counts as there.
    let ran = replay(&world, &[&stretch[..], &["--filter", "fp"]].concat()).await;
    assert_eq!(ran.report()["gap"], json!(null), "{ran:?}");
    assert!(!ran.stderr.contains("has no records"), "{ran:?}");

    world.set("ARCHIVE_URL", &format!("{url}/elsewhere"));
    let ran = replay(&world, &stretch).await;
    assert_eq!(ran.code(), 0, "{ran:?}");
    let gap = ran.report()["gap"].clone();
    let told = ["from", "to"].map(|it| gap[it].as_str().unwrap().parse::<DateTime<Utc>>());
    assert_eq!(told, [from.parse(), to.parse()]);
    let telling = "log-analytics: archive has no records between";
    assert!(ran.stderr.contains(telling), "{ran:?}");

    // Records that are read but lie outside the requested time do not count.
    world.set("ARCHIVE_URL", &url);
    let [from, to] = [minutes_ago(60), minutes_ago(50)].map(written);
    let stretch = ["--from", &*from, "--to", &*to, "--source", "archive"];
    let ran = replay(&world, &stretch).await;
    assert_eq!(numbers(&ran.report(), ["delivered"]), [0], "{ran:?}");
    assert!(ran.stderr.contains(telling), "{ran:?}");

    // A tenant with an empty log has none either.
    world.tenant.expire_before(now());
    let ran = replay(&world, &stretch[..4]).await;
    assert_eq!(ran.code(), 0, "{ran:?}");
    let telling = "Auth0 has no records between";
    assert!(ran.stderr.contains(telling), "{ran:?}");
}

#[tokio::test]
async fn a_replay_from_before_auth0_s_oldest_record_says_so_and_speaks_of_no_loss() {
    let world = World::start_for(Sink::LogAnalytics).await;
    world
        .tenant
        .generate(40, minutes_ago(45 * 60), minutes_ago(5));
    world.poll().await;
    world.tenant.expire_before(minutes_ago(30 * 60));
    let from = written(minutes_ago(40 * 60));
    let ran = replay(&world, &["--from", &from, "--to", "1s"]).await;
    assert_eq!(ran.code(), 0, "{ran:?}");
    let gap = &ran.report()["gap"];
    let [begin, end] = ["from", "to"].map(|it| gap[it].as_str().unwrap().parse::<DateTime<Utc>>());
    assert_eq!(begin, from.parse());
    // There is a record about each hour.
    let kept = minutes_ago(30 * 60)..minutes_ago(28 * 60);
    assert!(kept.contains(&end.unwrap()), "{ran:?}");
    let telling = "log-analytics: Auth0 has no records between";
    assert!(ran.stderr.contains(telling), "{ran:?}");
    // All of them were delivered.
    assert!(!ran.stderr.contains("may have been dropped"), "{ran:?}");
}

/// Otherwise nobody would know that the beginning of the stretch may be missing.
#[tokio::test]
async fn a_replay_that_cannot_ask_what_auth0_has_dropped_says_so_and_fails() {
    let world = World::start().await;
    let records = records(&world);
    world.tenant.expire_before(minutes_ago(30));
    let odd = Fault::answer(200, "[1");
    let from = written(records[0].0);
    world.tenant.fail_logs([odd.clone()]);
    let ran = replay(&world, &["--from", &from, "--to", "1s"]).await;
    assert_eq!(ran.code(), 1, "{ran:?}");
    let report = ran.report();
    let error = report["errors"][0].as_str().unwrap();
    let begins = "whether Auth0 has dropped the beginning of the stretch is not known: 127.0.0.1:";
    let ends = " sent a page that cannot be read: the answer is not a JSON list of records (line 1, column 2)";
    assert!(
        error.starts_with(begins) && error.ends_with(ends),
        "{error}"
    );
    let [delivered] = numbers(&report, ["delivered"]);
    assert!((25..=28).contains(&delivered), "{ran:?}");

    // Of what begins with the oldest record, nothing can be missing.
    world.tenant.fail_logs([odd]);
    let ran = replay(&world, &["--from", "oldest", "--to", "1s"]).await;
    assert_eq!(ran.code(), 0, "{ran:?}");
    assert_eq!(numbers(&ran.report(), ["delivered"]), [delivered]);
}

/// As in a tenant that has imported its log.
#[tokio::test]
async fn a_replay_warns_if_the_oldest_records_do_not_tell_whether_its_beginning_was_dropped() {
    let world = World::start().await;
    for n in 0..60 {
        let date = minutes_ago(3_000 - n);
        world
            .tenant
            .add(json!({"date": date, "type": "s"}), minutes_ago(100));
    }
    for (from, is_told) in [("20h", true), ("90m", false)] {
        let ran = replay(&world, &["--from", from, "--to", "1s"]).await;
        assert_eq!(ran.code(), 0, "{ran:?}");
        assert_eq!(ran.report()["gap"], json!(null), "{ran:?}");
        let telling = "some of the stretch may have been dropped";
        assert_eq!(ran.stderr.contains(telling), is_told, "{ran:?}");
    }
}
