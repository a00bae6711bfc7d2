//! Audits of a time from which Auth0 may have dropped records.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use simulator::tenant;

use super::{add, audit, audited, this_hour, total, world};
use crate::world::{Ran, Sink, World, minutes_ago};

#[tokio::test]
async fn what_auth0_has_no_more_is_surplus_and_no_proof_of_anything() {
    let (world, _api) = world(Sink::LogAnalytics).await;
    world.tenant.generate(60, minutes_ago(50), minutes_ago(5));
    world.poll().await;
    world.tenant.expire_before(minutes_ago(20));
    let left = world.tenant.log_ids().len() as u64;
    let ran = audit(&world, &["--json"]).await;
    assert_eq!(ran.code(), 0, "{ran:?}");
    let found = audited(&ran);
    assert_eq!(total(&found)[..4], [left, left, 0, 60 - left].map(Some));
    assert!(
        ran.stderr.contains("Auth0 has no records between"),
        "{ran:?}"
    );

    // Auth0 has nothing left of this time.
    world.tenant.expire_before(minutes_ago(10));
    add(&world, minutes_ago(3));
    let ran = world
        .command(&["audit", "--from", "58m", "--to", "20m"])
        .await;
    assert_eq!(ran.code(), 1, "{ran:?}");
    assert!(
        ran.stderr
            .contains("Auth0 has none of these records any more"),
        "{ran:?}"
    );
}

fn days_ago(days: i64) -> DateTime<Utc> {
    minutes_ago(days * 24 * 60)
}

/// A world that delivers to an archive, from the oldest record on.
async fn archived() -> World {
    let mut world = World::start_for(Sink::Archive).await;
    world.set("START_FROM", "oldest");
    world
}

async fn audit_of(world: &World, from: &str, to: &str) -> Ran {
    world
        .command(&["audit", "--from", from, "--to", to, "--json"])
        .await
}

#[tokio::test]
async fn what_is_older_than_auth0_keeps_anything_is_not_compared_and_that_is_said() {
    let world = archived().await;
    for days in [50, 15] {
        for minute in 0..4 {
            add(&world, days_ago(days) + TimeDelta::minutes(minute));
        }
    }
    add(&world, minutes_ago(90));
    world.poll().await;
    world.tenant.expire_before(days_ago(10));
    let telling = "are not compared: Auth0 keeps none for so long";
    for (from, to, expected) in [
        ("60d", "1h", [1, 1, 0, 4, 0]),
        ("60d", "40d", [0, 0, 0, 0, 0]),
        ("60d", "10d", [0, 0, 0, 4, 0]),
    ] {
        let ran = audit_of(&world, from, to).await;
        assert_eq!(ran.code(), 1, "{from} {to}: {ran:?}");
        assert!(ran.stderr.contains(telling), "{from} {to}: {ran:?}");
        let found = audited(&ran);
        assert_eq!(total(&found), expected.map(Some), "{from} {to}: {found}");
        if to != "1h" {
            assert_eq!(found["gap"]["to"], ran.report()["to"], "{from} {to}");
        }
    }
    let ran = audit_of(&world, "31d", "1h").await;
    assert_eq!(ran.code(), 0, "{ran:?}");
    assert!(!ran.stderr.contains(telling), "{ran:?}");
}

/// A record can have any date and still be stored just now.
#[tokio::test]
async fn a_record_of_long_before_says_nothing_of_what_auth0_has_dropped() {
    let world = archived().await;
    for minutes in [90, 85] {
        let record = json!({"date": days_ago(20), "type": "s"});
        world.tenant.add(record, minutes_ago(minutes));
    }
    add(&world, minutes_ago(80));
    world.poll().await;
    let ran = audit_of(&world, "4d", "2d").await;
    assert_eq!(ran.code(), 1, "{ran:?}");
    let telling = "Auth0 has no records of this time, or none any more";
    assert!(ran.stderr.contains(telling), "{ran:?}");
    let ran = audit_of(&world, "4d", "1h").await;
    assert_eq!(ran.code(), 0, "{ran:?}");
    let found = audited(&ran);
    assert_eq!(found["gap"]["from"], ran.report()["from"], "{found}");
}

#[tokio::test]
async fn where_auth0_may_have_dropped_all_of_a_stretch_nothing_is_proved() {
    let world = archived().await;
    add(&world, minutes_ago(90));
    world.poll().await;
    for (from, to) in [
        ("20d", "10d"),
        ("25h", "23h"),
        ("oldest", "3h"),
        ("2099-01-01T00:00:00Z", "2099-01-02T00:00:00Z"),
    ] {
        let ran = audit_of(&world, from, to).await;
        assert_eq!(ran.code(), 1, "{from} {to}: {ran:?}");
        let telling = "so nothing was compared; ask for a stretch of which it has some";
        assert!(ran.stderr.contains(telling), "{from} {to}: {ran:?}");
    }
    // On every plan, Auth0 keeps records for at least a day.
    assert_eq!(audit_of(&world, "4h", "3h").await.code(), 0);
    // Auth0 still has an older record, so it has dropped nothing of this time.
    add(&world, days_ago(21));
    let ran = audit_of(&world, "20d", "10d").await;
    assert_eq!(ran.code(), 0, "{ran:?}");
    assert!(!ran.stderr.contains("Auth0 has no records"), "{ran:?}");
}

#[tokio::test]
async fn records_without_a_date_that_a_search_shows_first_are_not_no_records() {
    let mut world = World::with(tenant::Options {
        token_events: false,
        finds_dateless: true,
        ..tenant::Options::default()
    })
    .await;
    world.deliver_to(&[Sink::Archive]);
    let stored = minutes_ago(50);
    world.tenant.add(json!({"type": "s"}), stored);
    // A search by date finds no records without a date.
    let ran = audit(&world, &[]).await;
    assert_eq!(ran.code(), 1, "{ran:?}");
    assert!(ran.stderr.contains("so nothing was compared"), "{ran:?}");
    for minute in 20..24 {
        add(&world, minutes_ago(minute));
    }
    let ran = audit_of(&world, "2h", "1m").await;
    assert_eq!(ran.code(), 1, "{ran:?}");
    let found = audited(&ran);
    assert_eq!(total(&found)[..3], [5, 0, 5].map(Some), "{found}");
    let gap = found["gap"]["to"].as_str().unwrap();
    assert_eq!(gap.parse::<DateTime<Utc>>().unwrap(), stored, "{found}");

    // As far as can be told, Auth0 has nothing older than this record.
    let ran = audit_of(&world, "30h", "20h").await;
    assert_eq!(ran.code(), 1, "{ran:?}");
    assert!(ran.stderr.contains("so nothing was compared"), "{ran:?}");
    let ran = audit_of(&world, "oldest", "1m").await;
    assert_eq!(ran.code(), 1, "{ran:?}");
    let telling = "the oldest record at Auth0 could not be found";
    assert!(ran.stderr.contains(telling), "{ran:?}");

    // An older record shows that nothing of this time was dropped.
    add(&world, minutes_ago(40 * 60));
    let ran = audit_of(&world, "30h", "20h").await;
    assert_eq!(ran.code(), 0, "{ran:?}");
    assert_eq!(audited(&ran)["gap"], json!(null), "{ran:?}");
}

#[tokio::test]
async fn where_all_ids_tell_no_time_nothing_is_proved() {
    let world = archived().await;
    for n in 0..3 {
        let record = json!({"date": minutes_ago(30), "type": "s"});
        world.tenant.add_as(&format!("odd{n}"), record);
    }
    for more in [&[][..], &["--mend"]] {
        let ran = audit(&world, more).await;
        assert_eq!(ran.code(), 1, "{ran:?}");
        let telling =
            "all 3 records that Auth0 has of this time have no log id, or one that tells no time";
        assert!(ran.stderr.contains(telling), "{ran:?}");
    }
}

#[tokio::test]
async fn what_was_stored_late_in_the_last_hour_that_is_read_is_compared_and_later_ones_are_not() {
    let world = archived().await;
    let hour = this_hour() - TimeDelta::hours(5);
    let at = |minutes| hour + TimeDelta::minutes(minutes);
    for stored in [5, 45, 65] {
        let record = json!({"date": at(5), "type": "s"});
        world.tenant.add(record, at(stored));
    }
    let (from, to) = (hour.to_rfc3339(), at(6).to_rfc3339());
    let ran = audit_of(&world, &from, &to).await;
    assert_eq!(ran.code(), 1, "{ran:?}");
    let found = audited(&ran);
    assert_eq!(total(&found), [2, 0, 2, 0, 0].map(Some), "{found}");
    world.poll().await;
    let ran = audit_of(&world, &from, &to).await;
    assert_eq!(ran.code(), 0, "{ran:?}");
    let found = audited(&ran);
    assert_eq!(total(&found)[..4], [2, 2, 0, 0].map(Some), "{found}");
}

#[tokio::test]
async fn what_auth0_has_no_more_is_no_surplus_of_a_stretch_that_begins_after_it_in_the_same_hour() {
    let world = archived().await;
    let hour = this_hour() - TimeDelta::hours(2);
    let at = |minutes| hour + TimeDelta::minutes(minutes);
    for minutes in [5, 30] {
        add(&world, at(minutes));
    }
    world.poll().await;
    world.tenant.expire_before(at(20));
    for (from, surplus) in [(at(0), 1), (at(25), 0)] {
        let ran = audit_of(&world, &from.to_rfc3339(), &at(50).to_rfc3339()).await;
        assert_eq!(ran.code(), 0, "{from}: {ran:?}");
        let found = audited(&ran);
        assert_eq!(total(&found)[..4], [1, 1, 0, surplus].map(Some), "{found}");
    }
}

/// Rows bear the name that the tenant had when they were written.
#[tokio::test]
async fn a_row_of_a_name_that_the_tenant_had_before_is_surplus_too() {
    let (mut world, _api) = world(Sink::LogAnalytics).await;
    world.set("START_FROM", "4h");
    let hour = this_hour() - TimeDelta::hours(2);
    let at = |minutes| hour + TimeDelta::minutes(minutes);
    for (minutes, name) in [(5, "acme-old"), (30, "acme-old"), (60, "acme")] {
        let date = at(minutes);
        let record = json!({"date": date, "type": "s", "tenant_name": name});
        world.tenant.add(record, date);
    }
    world.poll().await;
    world.tenant.expire_before(at(20));
    let ran = audit_of(&world, &hour.to_rfc3339(), &at(50).to_rfc3339()).await;
    assert_eq!(ran.code(), 0, "{ran:?}");
    let found = audited(&ran);
    assert_eq!(total(&found)[..4], [1, 1, 0, 1].map(Some), "{found}");
}
