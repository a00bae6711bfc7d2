//! Records without a log id. A run makes dead letters of them, which cannot be delivered, and an audit
//! cannot compare them.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use super::{add, as_argument, audited, this_hour, total, world};
use crate::world::{Sink, World};

/// Adds a record without an id, which no other equals.
fn add_nameless(world: &World, date: DateTime<Utc>) {
    let record = json!({"date": date, "type": "s", "tenant_name": "acme"});
    world.tenant.add_nameless(record, date);
}

#[tokio::test]
async fn each_that_is_dated_within_the_stretch_is_told_of_once() {
    let (mut world, _api) = world(Sink::LogAnalytics).await;
    world.set("START_FROM", "6h");
    let begin = this_hour() - TimeDelta::hours(3);
    let minute = |minute| begin + TimeDelta::minutes(minute);
    // The first is before the stretch, the last after it. Of the others the hours' readings overlap.
    for it in [29, 31, 55, 58, 62, 65, 115, 117, 121, 151] {
        add_nameless(&world, minute(it));
    }
    for it in [30, 64, 122, 140, 160] {
        add(&world, minute(it));
    }
    world.poll().await;
    let (from, to) = (as_argument(minute(30)), as_argument(minute(150)));
    let audit = ["audit", "--from", &from, "--to", &to];
    let ran = world.command(&[&audit[..], &["--json"]].concat()).await;
    // The exit status is about those that are compared.
    assert_eq!(ran.code(), 0, "{ran:?}");
    let found = audited(&ran);
    assert_eq!(total(&found), [4, 4, 0, 0, 0].map(Some), "{found}");
    assert_eq!(found["undated"], 8, "{found}");
    let told =
        "log-analytics: 8 records have no log id, or one that tells no time; they are not compared";
    assert!(ran.stderr.lines().any(|it| it == told), "{ran:?}");
}

#[tokio::test]
async fn where_there_are_no_others_nothing_is_proved() {
    let (mut world, _api) = world(Sink::LogAnalytics).await;
    world.set("START_FROM", "6h");
    let begin = this_hour() - TimeDelta::hours(3);
    let minute = |minute| begin + TimeDelta::minutes(minute);
    add(&world, minute(0));
    for it in [20, 30, 40] {
        add_nameless(&world, minute(it));
    }
    add(&world, minute(130));
    world.poll().await;
    let (from, to) = (as_argument(minute(10)), as_argument(minute(50)));
    let audit = ["audit", "--from", &from, "--to", &to];
    let ran = world.command(&audit).await;
    assert_eq!(ran.code(), 1, "{ran:?}");
    let told = "log-analytics: all 3 records that Auth0 has of this time have no log id, or one that \
                tells no time, so nothing was compared";
    assert!(ran.stderr.lines().any(|it| it == told), "{ran:?}");
}
