//! A checkpoint that is damaged, gone or of another version: what a run does, and what the commands
//! say.

use std::fs;

use serde_json::{Value, json};
use simulator::Fault;
use simulator::tenant::Options;

use crate::world::{Sink, World, minutes_ago, now, numbers};

/// A world with two checkpoints, and the newest record of the older one.
async fn with_one_before_it() -> (World, String) {
    let world = World::start().await;
    let ids = world.tenant.generate(10, minutes_ago(50), minutes_ago(5));
    world.poll().await;
    world.tenant.generate(1, minutes_ago(4), minutes_ago(3));
    world.poll().await;
    let newest = ids.into_iter().max().unwrap();
    (world, newest)
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
    let (world, newest) = with_one_before_it().await;
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

    let told = format!(
        "the checkpoint {} is gone, and so is the one before it",
        file.display()
    );
    // Until the next run, both can be put back.
    let advice = "put one of them back before the next run, which otherwise begins at START_FROM";
    for command in [
        &["checkpoint", "show"][..],
        &["checkpoint", "show", "--json"],
        &["check"],
    ] {
        let looked = world.command(command).await;
        assert_eq!(looked.code(), 1, "{looked:?}");
        let output = format!("{}{}", looked.stdout, looked.stderr);
        assert!(output.contains(&told), "{output}");
        assert!(output.contains(advice), "{output}");
        for calm in ["no checkpoint yet", "Nothing is in the way"] {
            assert!(!output.contains(calm), "{output}");
        }
    }

    let ran = world.command(&["poll"]).await;
    assert!(ran.stderr.contains(&told), "{ran:?}");
    assert_ne!(ran.report()["gap"], Value::Null);
    assert_ne!(world.poll().await["gap"], Value::Null, "for a day");
}

#[tokio::test]
async fn one_that_is_set_where_one_was_lost_is_not_said_to_be_the_first() {
    let world = World::start().await;
    world.tenant.generate(10, minutes_ago(50), minutes_ago(5));
    world.poll().await;
    fs::remove_file(world.checkpoint_file(Sink::LogAnalytics)).unwrap();
    let set = world.command(&["checkpoint", "set", "--from", "1h"]).await;
    assert_eq!(set.code(), 0, "{set:?}");
    let told = "There was a checkpoint before, which is gone.\n";
    assert!(set.stdout.ends_with(told), "{set:?}");
    assert_eq!(world.command(&["check"]).await.code(), 0);
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
    assert_eq!(world.command(&["check"]).await.code(), 0);
    let show = world.command(&["checkpoint", "show"]).await;
    assert!(
        show.stderr.contains("there is no checkpoint yet"),
        "{show:?}"
    );
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
    let (world, newest) = with_one_before_it().await;
    let file = world.checkpoint_file(Sink::LogAnalytics);
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
