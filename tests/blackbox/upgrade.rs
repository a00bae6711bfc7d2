//! An upgrade in place: reading goes on from what an earlier checkout stored, without loss or repetition.

use std::fs;

use chrono::{DateTime, Duration, Utc};
use serde_json::{Value, json};
use simulator::Azurite;

use crate::world::{Sink, World, minutes_ago, now, numbers};

/// A checkpoint of format 1, with these members replaced.
fn of_format_1(members: &Value) -> String {
    let mut checkpoint = json!({
        "format": 1,
        "resume_from": null,
        "start": null,
        "delivered": [],
        "newest": null,
        "refused_since": null,
        "caught_up_at": minutes_ago(1),
        "set_by_hand": false,
        "loss": null,
        "saved_at": minutes_ago(1),
        "saved_by": "x",
    });
    for (name, value) in members.as_object().unwrap() {
        checkpoint[name] = value.clone();
    }
    checkpoint.to_string()
}

/// A world whose checkpoints are in a folder, or in a storage account.
struct Installation {
    world: World,
    azurite: Option<Azurite>,
}

impl Installation {
    async fn all() -> [Self; 2] {
        let azurite = Azurite::start().await;
        let mut world = World::start().await;
        world.set("AzureWebJobsStorage", &azurite.connection_string());
        world.keep_secret(Azurite::secrets());
        [
            Self {
                world: World::start().await,
                azurite: None,
            },
            Self {
                world,
                azurite: Some(azurite),
            },
        ]
    }

    /// Stores what an earlier checkout left behind in the place where this version looks for it.
    async fn was_at(&self, members: &Value) {
        let set = ["checkpoint", "set", "--from", "oldest"];
        assert_eq!(self.world.command(&set).await.code(), 0);
        let show = self.world.command(&["checkpoint", "show"]).await;
        let place = show.stdout.lines().next().unwrap();
        let place = place.strip_prefix("log-analytics: ").unwrap();
        let text = of_format_1(members);
        match &self.azurite {
            Some(azurite) => azurite.overwrite(place, text).await,
            None => fs::write(place, text).unwrap(),
        }
    }

    /// Makes a run, and asserts that exactly these records have landed.
    async fn delivers(&self, ids: &[&String]) -> Value {
        let report = self.world.poll().await;
        let mut landed = self.world.workspace.landed();
        landed.sort();
        let mut ids: Vec<_> = ids.iter().map(ToString::to_string).collect();
        ids.sort();
        assert_eq!(landed, ids);
        report
    }
}

fn seconds_ago(seconds: i64) -> DateTime<Utc> {
    now() - Duration::seconds(seconds)
}

fn add(world: &World, dated: DateTime<Utc>, stored: DateTime<Utc>) -> String {
    let record = json!({"date": dated, "type": "s"});
    world.tenant.add(record, stored)
}

#[tokio::test]
async fn a_cursor_with_ids_after_it_goes_on_where_it_was() {
    for installation in Installation::all().await {
        let world = &installation.world;
        let at = |seconds: i64| add(world, seconds_ago(seconds), seconds_ago(seconds));
        // Of 120 records, those older than the overlap are before the cursor.
        let settled: Vec<_> = (0..100).map(|n| at(600 - 5 * n)).collect();
        let recent: Vec<_> = (0..20).map(|n| at(50 - 2 * n)).collect();
        installation
            .was_at(&json!({
                "resume_from": settled[99],
                "delivered": recent,
                "newest": {"log_id": recent[19], "date": seconds_ago(12)},
            }))
            .await;
        // One record became visible late, within the overlap, and one is new.
        let late = at(31);
        let new = at(5);
        let report = installation.delivers(&[&late, &new]).await;
        assert_eq!(numbers(&report, ["fetched", "skipped"]), [22, 20]);
        assert_eq!(world.checkpoint().await["format"], 2);

        installation.delivers(&[&late, &new]).await;
        let later = at(21);
        installation.delivers(&[&late, &new, &later]).await;
    }
}

#[tokio::test]
async fn a_first_run_that_had_not_got_far_goes_on_from_its_own_start() {
    for installation in Installation::all().await {
        let world = &installation.world;
        // Earlier than a first run would begin now.
        let start = minutes_ago(120);
        let second = Duration::seconds(1);
        let before = add(world, start - second, start + second * 2);
        let window: Vec<_> = (0..150)
            .map(|n| add(world, start + second * n, start + second * (n + 3)))
            .collect();
        installation
            .was_at(&json!({"start": start, "caught_up_at": null}))
            .await;
        let window: Vec<_> = window.iter().collect();
        let report = installation.delivers(&window).await;
        assert_eq!(
            numbers(&report, ["fetched", "before_start"]),
            [151, 1],
            "{before}"
        );
        // The record before the start was left out, and stays so.
        installation.delivers(&window).await;
    }
}

#[tokio::test]
async fn a_first_run_that_had_delivered_only_what_was_young_repeats_none_of_it() {
    for installation in Installation::all().await {
        let world = &installation.world;
        let start = minutes_ago(70);
        let young: Vec<_> = [40, 30, 20]
            .map(|seconds| add(world, seconds_ago(seconds), seconds_ago(seconds)))
            .into();
        installation
            .was_at(&json!({
                "start": start,
                "delivered": young,
                "newest": {"log_id": young[2], "date": seconds_ago(20)},
            }))
            .await;
        let late = add(world, seconds_ago(35), seconds_ago(25));
        // Dated before the start, this record is outside the window although it is new.
        add(world, start - Duration::seconds(1), seconds_ago(10));
        let report = installation.delivers(&[&late]).await;
        assert_eq!(numbers(&report, ["skipped", "before_start"]), [3, 1]);
        installation.delivers(&[&late]).await;
    }
}

#[tokio::test]
async fn a_reading_that_had_begun_anew_by_time_skips_what_was_delivered_and_leaves_nothing_out() {
    for installation in Installation::all().await {
        let world = &installation.world;
        let at = |n: i64| seconds_ago(1_000 - 5 * n);
        let ids: Vec<_> = (0..100).map(|n| add(world, at(n), at(n))).collect();
        installation
            .was_at(&json!({
                "resume_from": ids[49],
                "start": at(19),
                "newest": {"log_id": ids[49], "date": at(49)},
            }))
            .await;
        // Stored after the cursor, but dated before the start.
        let odd = add(
            world,
            at(0) - Duration::hours(1),
            at(60) + Duration::seconds(1),
        );
        let mut expected: Vec<_> = ids[50..].iter().collect();
        expected.push(&odd);
        let report = installation.delivers(&expected).await;
        let [skipped] = numbers(&report, ["skipped"]);
        assert!(skipped >= 30, "{report}");
        installation.delivers(&expected).await;
    }
}

#[tokio::test]
async fn the_generation_before_may_be_of_the_old_version_too() {
    let [installation, _] = Installation::all().await;
    let world = &installation.world;
    let ids = [40, 30, 20].map(|minutes| add(world, minutes_ago(minutes), minutes_ago(minutes)));
    installation.was_at(&json!({"resume_from": ids[1]})).await;
    let newest = world.checkpoint_file(Sink::LogAnalytics);
    fs::rename(&newest, newest.with_extension("previous.json")).unwrap();
    fs::write(&newest, "").unwrap();
    let ran = world.command(&["poll"]).await;
    assert_eq!(ran.code(), 0, "{ran:?}");
    assert!(ran.stderr.contains("so the one before it is"), "{ran:?}");
    assert_eq!(world.workspace.landed(), ids[2..]);
}
