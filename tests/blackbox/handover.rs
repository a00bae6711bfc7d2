//! One destination replaces another: what the old one did not get, the new one leaves out, and says
//! so.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use simulator::tenant::Options;

use crate::world::{Sink, World, minutes_ago, now};

/// What is said of records that go to neither destination.
const LEFT_OUT: &str = "what was stored between is delivered to neither";

/// A workspace has refused all records for five hours, and an archive is to take its place.
async fn world() -> (World, Vec<String>) {
    let mut world = World::with(Options {
        token_events: false,
        ..Options::default()
    })
    .await;
    let ids = world.tenant.generate(200, minutes_ago(290), minutes_ago(5));
    world.set("START_FROM", "5h");
    let key = world.setting("WorkspaceKey").to_owned();
    world.set("WorkspaceKey", "YW5vdGhlciBrZXk=");
    assert_eq!(world.command(&["poll"]).await.code(), 1);
    world.set("WorkspaceKey", &key);
    world.set("START_FROM", "");
    (world, ids)
}

#[tokio::test]
async fn a_destination_says_what_it_and_the_one_that_it_replaces_leave_out() {
    let (mut world, ids) = world().await;
    world.deliver_to(&[Sink::Archive]);

    let checked = world.command(&["check"]).await;
    let warning = checked.stdout.lines().find(|it| it.contains(LEFT_OUT));
    let begin = "warning    archive: archive begins at ";
    assert!(
        warning.is_some_and(|it| it.starts_with(begin)),
        "{checked:?}"
    );
    assert_eq!(checked.code(), 0, "{checked:?}");

    let ran = world.command(&["poll"]).await;
    let warning = ran.stderr.lines().find(|it| it.contains(LEFT_OUT));
    let warning = warning.unwrap_or_else(|| panic!("{ran:?}"));
    let parts = ["archive begins at", "and log-analytics, which DESTINATIONS"];
    assert!(parts.iter().all(|it| warning.contains(it)), "{warning}");
    assert!(world.archive.landed().len() < ids.len());

    // It is said once, and what it advises helps.
    let again = world.command(&["poll"]).await;
    assert!(!again.stderr.contains(LEFT_OUT), "{again:?}");
    let checked = world.command(&["check"]).await;
    assert!(!checked.stdout.contains(LEFT_OUT), "{checked:?}");
    follow(&world, warning).await;
    world.poll().await;
    for id in ids {
        assert!(world.archive.landed().contains(&id), "{id}");
    }
}

/// Makes what a warning advises.
async fn follow(world: &World, warning: &str) {
    let (_, advice) = warning.split_once("`auth0-poller ").unwrap();
    let (advice, _) = advice.split_once('`').unwrap();
    let set = world.command(&advice.split(' ').collect::<Vec<_>>()).await;
    assert_eq!(set.code(), 0, "{set:?}");
}

/// Reading begins at a time of records' dates, and the other ended at one of their storing.
#[tokio::test]
async fn what_is_dated_before_the_other_ended_and_was_stored_after_it_is_left_out_by_no_advice() {
    let mut world = World::start().await;
    world.tenant.generate(20, minutes_ago(50), minutes_ago(5));
    world.poll().await;
    let date = minutes_ago(0) - chrono::Duration::seconds(5);
    let late = world.tenant.add(json!({"date": date, "type": "s"}), now());
    world.deliver_to(&[Sink::Archive]);
    world.set("START_FROM", "0s");
    let ran = world.command(&["poll"]).await;
    let warning = ran.stderr.lines().find(|it| it.contains(LEFT_OUT));
    follow(&world, warning.unwrap_or_else(|| panic!("{ran:?}"))).await;
    world.poll().await;
    assert!(world.archive.landed().contains(&late), "{ran:?}");
}

/// The end of a run is not the time of its reading.
#[tokio::test]
async fn what_was_stored_while_the_last_run_of_the_other_was_at_work_is_missed() {
    let (mut world, _) = world().await;
    world.set("START_FROM", "5h");
    world.poll().await;
    // As if the run had delivered for three minutes, and ended a minute after the new one begins.
    change(&world.checkpoint_file(Sink::LogAnalytics), |checkpoint| {
        checkpoint["caught_up_at"] = Value::Null;
        checkpoint["newest"] = Value::Null;
    });
    change(&world.history_file(Sink::LogAnalytics), |history| {
        history["last_elapsed_ms"] = 180_000.into();
    });
    world.deliver_to(&[Sink::Archive]);
    world.set("START_FROM", "1m");
    let ran = world.command(&["poll"]).await;
    assert!(ran.stderr.contains(LEFT_OUT), "{ran:?}");
}

#[tokio::test]
async fn it_says_so_even_if_its_own_settings_are_bad_at_first() {
    let (mut world, _) = world().await;
    world.deliver_to(&[Sink::LogsIngestion, Sink::Archive]);
    let stream = world.setting("DCR_STREAM").to_owned();
    world.set("DCR_STREAM", "no stream");
    let ran = world.command(&["poll"]).await;
    let told = |destination: &str| {
        let begin = format!("{destination} begins at");
        let told = ran.stderr.lines();
        let told = told.filter(|it| it.contains(&begin) && it.contains(LEFT_OUT));
        told.count()
    };
    assert_eq!(told("logs-ingestion"), 1, "{ran:?}");
    assert_eq!(told("archive"), 1, "{ran:?}");
    world.set("DCR_STREAM", &stream);
    let ran = world.command(&["poll"]).await;
    assert!(!ran.stderr.contains(LEFT_OUT), "{ran:?}");
}

#[tokio::test]
async fn nothing_is_said_where_nothing_is_left_out() {
    // It begins as early.
    let (mut world, _) = world().await;
    world.deliver_to(&[Sink::Archive]);
    world.set("START_FROM", "oldest");
    assert_silent(&world, &["poll"]).await;

    // The other is still configured, and will catch up by itself.
    let (mut world, _) = self::world().await;
    world.deliver_to(&[Sink::LogAnalytics, Sink::Archive]);
    assert_silent(&world, &["poll", "--destination", "archive"]).await;

    // The other has read the log to its end.
    let (mut world, _) = self::world().await;
    world.set("START_FROM", "5h");
    world.poll().await;
    world.set("START_FROM", "");
    world.deliver_to(&[Sink::Archive]);
    assert_silent(&world, &["poll"]).await;

    // The same in a quiet tenant, where a checkpoint is saved only once an hour.
    let (mut world, _) = self::world().await;
    world.set("START_FROM", "5h");
    world.poll().await;
    world.set("START_FROM", "");
    change(&world.checkpoint_file(Sink::LogAnalytics), |checkpoint| {
        checkpoint["caught_up_at"] = (now() - chrono::Duration::minutes(62)).to_rfc3339().into();
        checkpoint["newest"] = Value::Null;
    });
    world.deliver_to(&[Sink::Archive]);
    assert_silent(&world, &["poll"]).await;

    // Records are only shown.
    let (world, _) = self::world().await;
    assert_silent(&world, &["poll", "--destination", "stdout"]).await;
}

/// Of several that were replaced, the one counts that got the most.
#[tokio::test]
async fn the_last_of_its_predecessors_counts() {
    let (mut world, ids) = world().await;
    world.deliver_to(&[Sink::LogsIngestion]);
    world.set("START_FROM", "5h");
    world.poll().await;
    world.set("START_FROM", "");
    // As if that had been two hours ago, and nothing had come since.
    let two_hours_ago = now() - chrono::Duration::hours(2);
    change(&world.checkpoint_file(Sink::LogsIngestion), |checkpoint| {
        checkpoint["caught_up_at"] = Value::Null;
        checkpoint["newest"]["log_id"] = ids
            .iter()
            .rfind(|id| {
                let stored: &str = &id[3..17];
                *stored < *two_hours_ago.format("%Y%m%d%H%M%S").to_string()
            })
            .unwrap()
            .as_str()
            .into();
    });
    change(&world.history_file(Sink::LogsIngestion), |history| {
        history["last_run"] = two_hours_ago.to_rfc3339().into();
    });
    world.deliver_to(&[Sink::Archive]);
    let ran = world.command(&["poll"]).await;
    let warning = ran.stderr.lines().find(|it| it.contains(LEFT_OUT));
    let warning = warning.unwrap_or_else(|| panic!("{ran:?}"));
    assert!(warning.contains("and logs-ingestion, which"), "{warning}");
}

/// Changes what is stored in a file.
fn change(file: &Path, change: impl FnOnce(&mut Value)) {
    let mut stored: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    change(&mut stored);
    fs::write(file, stored.to_string()).unwrap();
}

async fn assert_silent(world: &World, command: &[&str]) {
    let ran = world.command(command).await;
    assert_eq!(ran.code(), 0, "{ran:?}");
    assert!(!ran.stderr.contains(LEFT_OUT), "{ran:?}");
}
