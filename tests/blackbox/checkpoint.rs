//! The checkpoint: how a person shows and sets it, and what a run does when it is lost.

use std::fs;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};
use simulator::Fault;
use simulator::tenant::Options;

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
async fn a_zeroed_checkpoint_stops_nothing_and_is_told_of_until_another_is_set() {
    let world = World::start().await;
    world.tenant.generate(10, minutes_ago(50), minutes_ago(5));
    world.poll().await;
    fs::write(world.checkpoint_file(Sink::LogAnalytics), [0; 100]).unwrap();
    let ran = world.command(&["poll"]).await;
    assert_eq!(ran.code(), 0, "{ran:?}");
    assert!(ran.stderr.contains("the checkpoint was lost"), "{ran:?}");
    // Nothing shows any more that these records were delivered.
    assert_eq!(numbers(&ran.report(), ["delivered"]), [10]);
    for _ in 0..2 {
        let report = world.poll().await;
        assert_eq!(numbers(&report, ["delivered"]), [0]);
        assert!(report["gap"]["from"].is_null() && report["gap"]["to"].is_string());
    }
    world.command(&["checkpoint", "set", "--from", "1h"]).await;
    assert!(world.poll().await["gap"].is_null());

    // From here on there is a previous checkpoint to fall back on.
    world.tenant.generate(5, minutes_ago(4), minutes_ago(3));
    world.poll().await;
    fs::write(world.checkpoint_file(Sink::LogAnalytics), "").unwrap();
    let ran = world.command(&["poll"]).await;
    assert!(ran.stderr.contains("so the one before it is"), "{ran:?}");
    assert!(ran.report()["gap"].is_null(), "{ran:?}");
}

#[tokio::test]
async fn a_checkpoint_of_a_newer_version_is_an_error_that_names_the_way_out() {
    let world = World::start().await;
    world.tenant.generate(10, minutes_ago(50), minutes_ago(5));
    world.poll().await;
    let file = world.checkpoint_file(Sink::LogAnalytics);
    let newer = fs::read_to_string(&file).unwrap();
    fs::write(&file, newer.replace("\"format\": 2", "\"format\": 3")).unwrap();
    let ran = world.command(&["poll"]).await;
    assert_eq!(ran.code(), 1);
    assert!(
        ran.stdout
            .contains("`auth0-poller checkpoint set --from …` writes a new one")
    );

    world.command(&["checkpoint", "set", "--from", "1h"]).await;
    assert_eq!(numbers(&world.poll().await, ["delivered"]), [10]);
}

#[tokio::test]
async fn one_that_was_removed_by_hand_is_not_said_to_be_none_where_the_one_before_it_is_used() {
    let world = World::start().await;
    let ids = world.tenant.generate(10, minutes_ago(50), minutes_ago(5));
    world.poll().await;
    world.tenant.generate(1, minutes_ago(4), minutes_ago(3));
    world.poll().await;
    let file = world.checkpoint_file(Sink::LogAnalytics);
    let previous = file.with_file_name("log-analytics.previous.json");
    fs::remove_file(&file).unwrap();

    let stored = fs::read_to_string(&previous).unwrap();
    let json = world.command(&["checkpoint", "show", "--json"]).await;
    assert_eq!(json.stdout, format!("{stored}\n"), "{json:?}");
    let place = format!("log-analytics: {}\n", previous.display());
    assert_eq!(json.stderr, place);

    let set = world
        .command(&["checkpoint", "set", "--from", "oldest"])
        .await;
    let newest = ids.iter().max().unwrap();
    let replaced = format!("It would have begun after the record {newest}.\n");
    assert!(set.stdout.ends_with(&replaced), "{set:?}");
}

/// Nobody was running when it was removed, so only the history tells that it was there.
#[tokio::test]
async fn one_that_was_removed_between_two_runs_is_missed_if_records_were_delivered() {
    let world = World::start().await;
    world.tenant.generate(10, minutes_ago(50), minutes_ago(5));
    let first = world.command(&["poll"]).await;
    assert!(!first.stderr.contains("is gone"), "{first:?}");
    let file = world.checkpoint_file(Sink::LogAnalytics);
    fs::remove_file(&file).unwrap();
    let previous = file.with_file_name("log-analytics.previous.json");
    assert!(!previous.exists(), "there was one run");

    let ran = world.command(&["poll"]).await;
    let told = format!(
        "the checkpoint {} is gone, and so is the one before it",
        file.display()
    );
    assert!(ran.stderr.contains(&told), "{ran:?}");
    assert_ne!(ran.report()["gap"], Value::Null);
    assert_ne!(world.poll().await["gap"], Value::Null, "for a day");
}

/// A run that failed, or had nothing to deliver, leaves a history too.
#[tokio::test]
async fn a_history_in_which_nothing_was_delivered_is_no_sign_of_a_lost_checkpoint() {
    let world = World::with(Options {
        token_events: false,
        ..Options::default()
    })
    .await;
    world.tenant.fail_tokens([Fault::answer(403, "{}")]);
    assert_eq!(world.command(&["poll"]).await.code(), 1);
    world.poll().await;
    assert!(world.history_file(Sink::LogAnalytics).exists());
    fs::remove_file(world.checkpoint_file(Sink::LogAnalytics)).unwrap();
    let previous = "log-analytics.previous.json";
    let file = world.checkpoint_file(Sink::LogAnalytics);
    fs::remove_file(file.with_file_name(previous)).unwrap();
    assert_eq!(world.poll().await["gap"], Value::Null);
    // Nor is something that is no history.
    let history = world.history_file(Sink::LogAnalytics);
    for content in [Some(vec![b'{']), Some(vec![b' '; 33 * 1024 * 1024]), None] {
        fs::remove_file(&history).unwrap();
        match content {
            Some(content) => fs::write(&history, content).unwrap(),
            None => std::os::unix::fs::symlink("elsewhere", &history).unwrap(),
        }
        fs::remove_file(&file).unwrap();
        let _ = fs::remove_file(file.with_file_name(previous));
        let ran = world.command(&["poll"]).await;
        assert_eq!(ran.report()["gap"], Value::Null, "{ran:?}");
        assert_eq!(ran.report()["errors"], json!([]), "{ran:?}");
    }
}

#[tokio::test]
async fn of_one_that_is_damaged_it_is_said_that_the_one_before_it_is_shown() {
    let world = World::start().await;
    let ids = world.tenant.generate(10, minutes_ago(50), minutes_ago(5));
    world.poll().await;
    world.tenant.generate(1, minutes_ago(4), minutes_ago(3));
    world.poll().await;
    let file = world.checkpoint_file(Sink::LogAnalytics);
    let newest = ids.iter().max().unwrap();
    let shown = format!("  The next run begins after the record {newest}.\n");
    for (damage, why) in [
        (Some("{"), "it is not a checkpoint: "),
        (None, "it is not there"),
    ] {
        match damage {
            Some(content) => fs::write(&file, content).unwrap(),
            None => fs::remove_file(&file).unwrap(),
        }
        let told = format!("the checkpoint {} cannot be used ({why}", file.display());
        for command in [&["checkpoint", "show"][..], &["check"]] {
            let ran = world.command(command).await;
            assert_eq!(ran.code(), 0, "{ran:?}");
            assert!(ran.stderr.contains(&told), "{command:?}: {ran:?}");
            let end = "), so the one before it is\n";
            assert!(ran.stderr.ends_with(end), "{command:?}: {ran:?}");
        }
        let show = world.command(&["checkpoint", "show"]).await;
        assert!(show.stdout.contains(&shown), "{show:?}");
    }
    // If neither can be read, the commands do not act as if there had been none.
    fs::write(file.with_file_name("log-analytics.previous.json"), "{").unwrap();
    for command in [&["checkpoint", "show"][..], &["check"]] {
        let ran = world.command(command).await;
        let output = format!("{}{}", ran.stdout, ran.stderr);
        assert_eq!(ran.code(), 1, "{ran:?}");
        assert!(output.contains("it is not a checkpoint"), "{ran:?}");
    }
}

#[tokio::test]
async fn a_program_is_shown_the_checkpoint_that_the_next_run_uses_or_none() {
    let world = World::start().await;
    world.tenant.generate(10, minutes_ago(50), minutes_ago(5));
    world.poll().await;
    world.tenant.generate(1, minutes_ago(4), minutes_ago(3));
    world.poll().await;
    let file = world.checkpoint_file(Sink::LogAnalytics);
    let previous = file.with_file_name("log-analytics.previous.json");
    let (newest, before) = (fs::read(&file).unwrap(), fs::read(&previous).unwrap());
    let show = ["checkpoint", "show", "--json"];
    for damage in ["{", "", "[]"] {
        fs::write(&file, damage).unwrap();
        let shown = world.command(&show).await;
        assert_eq!(shown.code(), 0, "{damage}: {shown:?}");
        assert_eq!(shown.stdout.trim_end().as_bytes(), before, "{damage}");
        assert!(
            shown.stderr.contains("so the one before it is"),
            "{shown:?}"
        );
        let place = format!("log-analytics: {}\n", previous.display());
        assert!(shown.stderr.ends_with(&place), "{shown:?}");
        // The text for a person shows the same checkpoint.
        let text = world.command(&["checkpoint", "show"]).await.stdout;
        assert!(text.starts_with(&place), "{text}");
    }
    fs::write(&previous, "{").unwrap();
    let newer = String::from_utf8(newest).unwrap();
    let newer = newer.replace("\"format\": 2", "\"format\": 3");
    for content in ["{", &newer] {
        fs::write(&file, content).unwrap();
        let shown = world.command(&show).await;
        assert_eq!((shown.code(), &*shown.stdout), (1, ""), "{shown:?}");
        assert!(shown.stderr.contains("cannot be used"), "{shown:?}");
    }
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

#[tokio::test]
async fn what_may_be_missing_is_told_with_the_destination() {
    let mut world = World::start().await;
    world.tenant.generate(10, minutes_ago(50), minutes_ago(5));
    world.deliver_to(&[Sink::LogAnalytics, Sink::Archive]);
    world.command(&["poll"]).await;
    for name in ["archive.json", "archive.previous.json"] {
        fs::write(
            world.checkpoint_file(Sink::Archive).with_file_name(name),
            "{",
        )
        .unwrap();
    }
    let ran = world.command(&["poll"]).await;
    let line = ran.stderr.lines().find(|it| it.contains("was lost"));
    let begins = "WARN archive: the checkpoint was lost, ";
    assert!(line.is_some_and(|it| it.starts_with(begins)), "{ran:?}");
}

/// Others may be able to write to the storage.
#[tokio::test]
async fn a_time_that_nobody_can_reckon_with_stops_no_run_wherever_it_is_stored() {
    let world = World::start().await;
    let deliver = async || {
        world.tenant.add(json!({"date": now(), "type": "s"}), now());
        let ran = world.command(&["poll"]).await;
        assert_eq!(ran.code(), 0, "{ran:?}");
        ran
    };
    let mut delivered = 0;
    for time in ["-262143-01-01T00:00:00Z", "+262142-12-31T23:59:59.9Z"] {
        for field in [
            "refused_since",
            "caught_up_at",
            "wanted_since",
            "oldest_found",
            "comparison",
            "loss",
            "newest",
            "counted",
        ] {
            deliver().await;
            let file = match field {
                "counted" => world.history_file(Sink::LogAnalytics),
                _ => world.checkpoint_file(Sink::LogAnalytics),
            };
            let mut stored: serde_json::Value =
                serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
            match field {
                "comparison" => stored[field]["at"] = json!(time),
                "loss" => stored[field] = json!({"noticed_at": time, "began_at": time}),
                "newest" => stored[field]["date"] = json!(time),
                "counted" => stored[field]["newest"] = json!(time),
                _ => stored[field] = json!(time),
            }
            fs::write(&file, stored.to_string()).unwrap();
            let ran = deliver().await;
            assert!(!ran.stderr.contains("bug"), "{field}: {ran:?}");
            let told = ran.stderr.contains("cannot be used");
            assert_eq!(told, field != "newest", "{field} {time}: {ran:?}");
            delivered += 2;
        }
    }
    let mut landed = world.workspace.landed();
    landed.sort();
    landed.dedup();
    assert_eq!(landed.len(), delivered);
}
