//! The checkpoint: how a person shows, sets and checks it.

use std::fs;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::json;

use crate::world::{Sink, World, minutes_ago, now, numbers};

/// An id in Auth0's form, of a record that was stored at `stored`.
fn id(stored: DateTime<Utc>) -> String {
    format!("900{}{:033}", stored.format("%Y%m%d%H%M%S%6f"), 1)
}

#[tokio::test]
async fn the_checkpoint_is_set_and_shown() {
    let world = World::start().await;
    let ids = world.tenant.generate(100, minutes_ago(50), minutes_ago(5));
    world.poll().await;
    let mut sorted = ids;
    sorted.sort();

    let set = world
        .command(&["checkpoint", "set", "--from", &sorted[69]])
        .await;
    assert_eq!(set.code(), 0, "{set:?}");
    assert_eq!(world.checkpoint().await["cursor"], sorted[69]);
    assert_eq!(numbers(&world.poll().await, ["delivered"]), [30]);

    for (from, delivered) in [("oldest", 100), ("2h", 100), ("1s", 0)] {
        world.command(&["checkpoint", "set", "--from", from]).await;
        assert_eq!(
            numbers(&world.poll().await, ["delivered"]),
            [delivered],
            "{from}"
        );
    }

    let bad = world
        .command(&["checkpoint", "set", "--from", "12345"])
        .await;
    assert_eq!(bad.code(), 2);
    assert!(
        bad.stderr.contains("nor oldest, nor a log id of 56 digits"),
        "{bad:?}"
    );
}

#[tokio::test]
async fn reading_goes_on_where_the_folder_was_moved_to() {
    let mut world = World::start().await;
    world.tenant.generate(5, minutes_ago(300), minutes_ago(290));
    world.set("START_FROM", "6h");
    world.poll().await;
    // What came while the folder could not be written is older than a first run would begin.
    world.tenant.generate(5, minutes_ago(200), minutes_ago(190));
    world.set("START_FROM", "");

    let [full, roomy] = ["checkpoints", "roomy"].map(|name| world.folder.path().join(name));
    fs::rename(full, &roomy).unwrap();
    world.set("CHECKPOINT_DIR", &roomy.display().to_string());
    assert_eq!(numbers(&world.poll().await, ["delivered"]), [5]);
    world.assert_all_landed_once();
}

#[tokio::test]
async fn show_is_a_summary_for_a_person_and_the_whole_for_a_program() {
    let world = World::start().await;
    let none = world.command(&["checkpoint", "show", "--json"]).await;
    assert_eq!((none.code(), &*none.stdout), (0, ""), "{none:?}");
    let dates = [30, 20].map(minutes_ago);
    let ids = dates.map(|date| world.tenant.add(json!({"date": date, "type": "s"}), date));
    world.poll().await;

    let show = world.command(&["checkpoint", "show"]).await;
    assert_eq!((show.code(), &*show.stderr), (0, ""), "{show:?}");
    let lines: Vec<_> = show.stdout.lines().collect();
    let file = world.checkpoint_file(Sink::LogAnalytics);
    assert_eq!(lines[0], format!("log-analytics: {}", file.display()));
    let after = format!("  The next run begins after the record {}.", ids[1]);
    assert_eq!(lines[1], after);
    let written = dates[1].to_rfc3339_opts(SecondsFormat::Secs, true);
    let newest = format!(
        "  The newest record delivered or set aside is {}, dated {written}.",
        ids[1]
    );
    assert!(lines.contains(&&*newest), "{show:?}");
    assert!(lines.len() < 10, "{show:?}");

    let stored = fs::read_to_string(file).unwrap();
    let json = world.command(&["checkpoint", "show", "--json"]).await;
    assert_eq!(json.stdout, format!("{stored}\n"));
    assert_eq!(json.report()["cursor"], ids[1]);
}

/// As for a run, until something was delivered.
#[tokio::test]
async fn show_begins_where_an_earlier_start_from_lets_the_next_run_begin() {
    let mut world = World::start().await;
    world.set("START_FROM", "10m");
    world.poll().await;
    let stored = world.checkpoint().await;
    let begin = stored["start"].as_str().unwrap().split('.').next().unwrap();
    world.set("START_FROM", "oldest");
    let show = world.command(&["checkpoint", "show"]).await;
    let oldest = "  The next run begins with the oldest record.";
    let lines: Vec<_> = show.stdout.lines().skip(1).collect();
    assert_eq!(lines, [oldest, "  Nothing was delivered yet."], "{show:?}");
    assert_eq!(world.checkpoint().await, stored);
    // A bad setting of something else about the runs does not hide it.
    world.set("OVERLAP", "long");
    let show = world.command(&["checkpoint", "show"]).await;
    assert!(show.stdout.contains(oldest), "{show:?}");
    world.set("OVERLAP", "");

    // A later one changes nothing, and no more does the default.
    for start in ["1m", ""] {
        world.set("START_FROM", start);
        let show = world.command(&["checkpoint", "show"]).await;
        let begin = format!("The next run begins at {begin}");
        assert!(show.stdout.contains(&begin), "{show:?}");
        assert!(show.stdout.contains("is left out."), "{show:?}");
    }

    world
        .tenant
        .add(json!({"date": minutes_ago(5), "type": "s"}), minutes_ago(5));
    world.poll().await;
    world.set("START_FROM", "oldest");
    let show = world.command(&["checkpoint", "show"]).await;
    assert!(!show.stdout.contains("oldest"), "{show:?}");
}

#[tokio::test]
async fn set_says_where_an_earlier_start_from_would_have_let_the_next_run_begin() {
    let mut world = World::start().await;
    world.set("START_FROM", "10m");
    world.poll().await;
    world.set("START_FROM", "oldest");
    let set = world.command(&["checkpoint", "set", "--from", "2h"]).await;
    let replaced = "\nIt would have begun with the oldest record.\n";
    assert!(set.stdout.ends_with(replaced), "{set:?}");
}

#[tokio::test]
async fn set_says_what_it_has_taken_the_place_of() {
    let world = World::start().await;
    let set = async |from: &str| {
        let set = world.command(&["checkpoint", "set", "--from", from]).await;
        assert_eq!(set.code(), 0, "{set:?}");
        set.stdout
    };
    let first = set("2026-11-21T08:00:00Z").await;
    let begins = "log-analytics: the next run begins at 2026-11-21T08:00:00Z (";
    assert!(first.starts_with(begins), "{first}");
    assert!(
        first.ends_with("There was no checkpoint before.\n"),
        "{first}"
    );
    let second = set("oldest").await;
    assert!(
        second.contains("the next run begins with the oldest record"),
        "{second}"
    );
    let replaced = "It would have begun at 2026-11-21T08:00:00Z.\n";
    assert!(second.ends_with(replaced), "{second}");
    fs::write(world.checkpoint_file(Sink::LogAnalytics), "{").unwrap();
    let third = set("oldest").await;
    assert!(
        third.ends_with("What was there was no checkpoint.\n"),
        "{third}"
    );
}

#[tokio::test]
async fn a_beginning_in_the_future_is_refused_and_changes_nothing() {
    let mut world = World::start().await;
    let stored = world.tenant.generate(10, minutes_ago(50), minutes_ago(5));
    world.poll().await;
    let before = world.checkpoint().await;
    let tomorrow = now() + chrono::Duration::days(1);
    for (from, why) in [
        ("2099-01-01T00:00:00Z", "is in the future"),
        (&id(tomorrow), "is in the future"),
        // Above every id that there will ever be.
        (&"9".repeat(56), "holds no time"),
    ] {
        let set = world.command(&["checkpoint", "set", "--from", from]).await;
        assert_eq!((set.code(), &*set.stdout), (2, ""), "{from}: {set:?}");
        assert!(set.stderr.contains(why), "{from}: {set:?}");
    }
    assert_eq!(world.checkpoint().await, before);

    let tomorrow = tomorrow.to_rfc3339_opts(SecondsFormat::Secs, true);
    world.set("START_FROM", &tomorrow);
    for command in ["poll", "check"] {
        let ran = world.command(&[command]).await;
        assert_eq!((ran.code(), &*ran.stdout), (2, ""), "{ran:?}");
        let why = "START_FROM is in the future";
        assert!(ran.stderr.contains(why), "{ran:?}");
    }
    assert_eq!(world.workspace.landed().len(), stored.len());
}

#[tokio::test]
async fn check_finds_a_cursor_that_is_newer_than_the_newest_record() {
    let world = World::start().await;
    let date = minutes_ago(5);
    let newest = world.tenant.add(json!({"date": date, "type": "s"}), date);
    // Where a cursor is of no record, there may have been one.
    let before = id(minutes_ago(6));
    world
        .command(&["checkpoint", "set", "--from", &before])
        .await;
    let ran = world.command(&["check"]).await;
    assert_eq!(ran.code(), 0, "{ran:?}");
    // An id of no record, as from a typing error.
    let cursor = id(minutes_ago(2));
    world
        .command(&["checkpoint", "set", "--from", &cursor])
        .await;
    let ran = world.command(&["check"]).await;
    assert_eq!(ran.code(), 1, "{ran:?}");
    let line = format!(
        "FAILED     log-analytics: its cursor, {cursor}, is newer than the tenant's newest \
         record, {newest}: nothing is delivered until there is a newer one"
    );
    assert!(ran.stdout.contains(&line), "{ran:?}");
}

/// `checkpoint set` refuses a time in the future, unless its clock is wrong.
#[tokio::test]
async fn check_finds_that_reading_begins_in_the_future_as_a_run_does() {
    let world = World::start().await;
    for tenant in ["without records", "with one"] {
        let tomorrow = now() + chrono::Duration::days(1);
        let time = tomorrow.to_rfc3339_opts(SecondsFormat::Secs, true);
        for from in ["1h", &id(minutes_ago(60))] {
            let set = world.command(&["checkpoint", "set", "--from", from]).await;
            assert_eq!(set.code(), 0, "{set:?}");
            let mut checkpoint = world.checkpoint().await;
            if checkpoint["cursor"].is_null() {
                checkpoint["start"] = json!(time);
                checkpoint["left_out_before"] = json!(time);
            } else {
                checkpoint["cursor"] = json!(id(tomorrow));
            }
            let file = world.checkpoint_file(Sink::LogAnalytics);
            fs::write(file, checkpoint.to_string()).unwrap();
            let told = format!("reading begins in the future, {time}, so nothing is delivered");
            let check = world.command(&["check"]).await;
            assert!(check.stdout.contains(&told), "{tenant} {from}: {check:?}");
            assert_eq!(check.code(), 1, "{tenant} {from}: {check:?}");
            let poll = world.command(&["poll"]).await;
            assert!(poll.stderr.contains(&told), "{tenant} {from}: {poll:?}");
            let show = world.command(&["checkpoint", "show"]).await;
            let told = format!("that is in the future, so nothing is delivered until {time};");
            assert!(show.stderr.contains(&told), "{tenant} {from}: {show:?}");
        }
        let date = minutes_ago(5);
        world.tenant.add(json!({"date": date, "type": "s"}), date);
    }
}

#[tokio::test]
async fn an_id_adds_no_line_to_what_check_finds() {
    let world = World::start().await;
    let forged = "1\nok         log-analytics: takes what it is sent";
    let record = json!({"date": minutes_ago(5), "type": "s"});
    world.tenant.add_as(forged, record);
    let cursor = id(minutes_ago(2));
    world
        .command(&["checkpoint", "set", "--from", &cursor])
        .await;
    let ran = world.command(&["check"]).await;
    assert_eq!(ran.code(), 1, "{ran:?}");
    let told = ran.stdout.lines().filter(|it| it.contains("takes what it"));
    let told: Vec<_> = told.collect();
    let begin = format!("FAILED     log-analytics: its cursor, {cursor}, is newer than");
    assert!(!told.is_empty(), "{ran:?}");
    assert!(told.iter().all(|it| it.starts_with(&begin)), "{ran:?}");
}

#[tokio::test]
async fn check_finds_nothing_wrong_with_a_cursor_that_is_a_record_whatever_its_date() {
    let world = World::start().await;
    let seconds = chrono::Duration::seconds;
    let start = minutes_ago(5);
    // The record with the smaller id has the later date.
    for (dated, stored) in [(1, 2), (0, 3)] {
        let record = json!({"date": start + seconds(dated), "type": "s"});
        world.tenant.add(record, start + seconds(stored));
    }
    world.poll().await;
    let ran = world.command(&["check"]).await;
    assert_eq!(ran.code(), 0, "{ran:?}");
}

#[tokio::test]
async fn check_names_a_checkpoint_that_cannot_be_read() {
    let world = World::start().await;
    world.tenant.generate(10, minutes_ago(50), minutes_ago(5));
    world.poll().await;
    let file = world.checkpoint_file(Sink::LogAnalytics);
    fs::write(&file, "{").unwrap();
    let ran = world.command(&["check"]).await;
    assert_eq!(ran.code(), 1, "{ran:?}");
    let line = ran.stdout.lines().find(|it| it.starts_with("FAILED"));
    let named = format!(
        "FAILED     log-analytics: the checkpoint {}",
        file.display()
    );
    assert!(line.is_some_and(|it| it.starts_with(&named)), "{ran:?}");
}

#[tokio::test]
async fn what_set_takes_the_place_of_is_kept_where_it_is_no_checkpoint() {
    let world = World::start().await;
    world.poll().await;
    let file = world.checkpoint_file(Sink::LogAnalytics);
    fs::write(&file, "{").unwrap();
    world.command(&["checkpoint", "set", "--from", "1h"]).await;
    let beside = fs::read_dir(file.parent().unwrap()).unwrap();
    let mut beside = beside.map(|it| it.unwrap().path());
    let kept = beside.find(|it| it.display().to_string().contains(".unreadable-"));
    assert_eq!(fs::read(kept.unwrap()).unwrap(), b"{");
}

#[tokio::test]
async fn where_what_set_has_written_is_lost_reading_goes_on_with_what_it_took_the_place_of() {
    let world = World::start().await;
    for minutes in [50, 40] {
        world
            .tenant
            .generate(5, minutes_ago(minutes), minutes_ago(minutes - 5));
        world.poll().await;
    }
    let set = world
        .command(&["checkpoint", "set", "--from", "oldest"])
        .await;
    assert_eq!(set.code(), 0, "{set:?}");
    fs::write(world.checkpoint_file(Sink::LogAnalytics), "{").unwrap();
    let ran = world.command(&["poll"]).await;
    assert!(ran.stderr.contains("cannot be used"), "{ran:?}");
    assert_eq!(numbers(&ran.report(), ["delivered"]), [0], "{ran:?}");
    world.assert_all_landed_once();
}

#[tokio::test]
async fn advice_to_set_a_checkpoint_is_for_the_one_that_needs_it() {
    let mut world = World::start().await;
    world.tenant.generate(10, minutes_ago(50), minutes_ago(5));
    let domain = world.tenant.settings()[0].1.clone();
    world.set("TENANTS", "acme");
    world.set("ACME__DOMAIN", &domain);
    world.deliver_to(&[Sink::LogAnalytics, Sink::Archive]);
    world.command(&["poll"]).await;
    let files = [Sink::LogAnalytics, Sink::Archive].map(|it| world.checkpoint_file(it));
    let stored = fs::read_to_string(&files[1]).unwrap();
    let options = "--tenant acme --destination archive";
    for (damaged, command) in [
        (stored.replace("\"format\": 2", "\"format\": 3"), "poll"),
        (stored.replace("\"format\": 2", "\"format\": 3"), "check"),
        ("{".to_owned(), "poll"),
    ] {
        fs::write(&files[1], &damaged).unwrap();
        let previous = files[1].with_file_name("archive.previous.json");
        fs::write(previous, "{").unwrap();
        let ran = world.command(&[command]).await;
        let output = format!("{}{}", ran.stdout, ran.stderr);
        let line = output
            .lines()
            .find(|it| it.contains("checkpoint set --from"));
        assert!(line.is_some_and(|it| it.contains(options)), "{output}");
    }
    let good = fs::read(&files[0]).unwrap();
    let mut set: Vec<_> = "checkpoint set --from 1h".split(' ').collect();
    set.extend(options.split(' '));
    assert_eq!(world.command(&set).await.code(), 0);
    assert_eq!(fs::read(&files[0]).unwrap(), good);
}
