//! What an audit delivers again.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use simulator::{Fault, QueryApi, tenant};

use super::{add, as_argument, asked, audit, audited, ids, this_hour, total, world};
use crate::world::{Ran, Sink, World, minutes_ago, now};

#[tokio::test]
async fn what_cannot_be_delivered_again_stays_missing_and_fails() {
    let (world, _api) = world(Sink::LogAnalytics).await;
    world.tenant.generate(30, minutes_ago(50), minutes_ago(5));
    world.arrivals().drop_one_of(10);
    world.poll().await;
    let refused = Fault::answer(403, "");
    world.workspace.fail([refused.clone(), refused]);
    let ran = audit(&world, &["--mend"]).await;
    assert_eq!(ran.code(), 1, "{ran:?}");
    assert!(
        ran.stderr.contains("could not be delivered again"),
        "{ran:?}"
    );
    assert!(
        ran.stderr
            .contains("are missing and were not delivered again"),
        "{ran:?}"
    );

    // The workspace acknowledges the record and drops it again. The next audit finds that.
    world.arrivals().drop_one_of(1);
    assert_eq!(audit(&world, &["--mend"]).await.code(), 0);
    assert_eq!(audit(&world, &[]).await.code(), 1);
}

#[tokio::test]
async fn a_dead_letter_keeps_nothing_after_it_from_being_compared_and_delivered_again() {
    let (mut world, _api) = world(Sink::LogAnalytics).await;
    world.set("START_FROM", "6h");
    let this_hour = this_hour();
    let [later, earlier] = [1, 2].map(|back| this_hour - TimeDelta::hours(back));
    for hour in [earlier, later] {
        for minute in 1..=5 {
            add(&world, hour + TimeDelta::minutes(minute));
        }
    }
    let mut ids = world.tenant.log_ids();
    ids.sort();
    world.workspace.refuse(&ids[2]);
    world.arrivals().drop_one_of(8);
    world.poll().await;
    world.arrivals().drop_one_of(0);
    assert_eq!(world.workspace.stored(), 8);

    let (from, to) = (as_argument(earlier), as_argument(this_hour));
    let audit = ["audit", "--from", &from, "--to", &to, "--json", "--mend"];
    let ran = world.command(&audit).await;
    assert_eq!(ran.code(), 1, "{ran:?}");
    let found = audited(&ran);
    assert_eq!(total(&found)[..3], [10, 8, 2].map(Some), "{found}");
    assert_eq!(found["total"]["delivered"], 1, "{found}");
    assert_eq!(found["error"], Value::Null);
    assert!(
        ran.stderr
            .contains("1 records are missing and were not delivered again, 1 were"),
        "{ran:?}"
    );
    // Later the workspace accepts the refused record.
    world.workspace.relent();
    assert_eq!(world.command(&audit).await.code(), 0);
    world.assert_all_landed_once();
}

/// This also holds after the missing records were read and delivered again.
#[tokio::test]
async fn an_hour_is_compared_to_its_end_where_pages_have_few_records() {
    let world = World::with(tenant::Options {
        largest_page: 5,
        token_events: false,
        ..tenant::Options::default()
    });
    let (world, _api) = asked(world.await, Sink::LogAnalytics).await;
    for minutes in [70, 69] {
        add(&world, minutes_ago(minutes));
    }
    for seconds in 60..90 {
        add(&world, now() - TimeDelta::seconds(seconds));
    }
    world.arrivals().drop_one_of(2);
    world.poll().await;
    world.poll().await;
    world.arrivals().drop_one_of(0);
    let poll = world.poll().await;
    assert_eq!(poll["caught_up"], true, "{poll}");

    let audit = ["audit", "--from", "2h", "--to", "1s", "--json", "--mend"];
    let ran = world.command(&audit).await;
    let found = audited(&ran);
    assert_eq!(found["total"]["at_auth0"], 32, "{found}");
    assert_eq!(ran.code(), 0, "{ran:?}");
    world.assert_all_landed_once();
}

#[tokio::test]
async fn what_is_refused_by_now_keeps_nothing_after_it_from_being_delivered_again() {
    let (mut world, _api) = world(Sink::LogAnalytics).await;
    world.set("START_FROM", "6h");
    let this_hour = this_hour();
    let hours = [3, 2, 1].map(|back| this_hour - TimeDelta::hours(back));
    for (hour, records) in hours.into_iter().zip([5, 10, 5]) {
        for minute in 1..=records {
            add(&world, hour + TimeDelta::minutes(minute));
        }
    }
    let mut ids = world.tenant.log_ids();
    ids.sort();
    world.arrivals().drop_one_of(5);
    world.poll().await;
    world.arrivals().drop_one_of(0);
    // The workspace refuses all that is missing of the first hour, and one of two of the second.
    world.workspace.refuse(&ids[4]);
    world.workspace.refuse(&ids[9]);

    let (from, to) = (as_argument(hours[0]), as_argument(this_hour));
    let audit = ["audit", "--from", &from, "--to", &to, "--json", "--mend"];
    let ran = world.command(&audit).await;
    assert_eq!(ran.code(), 1, "{ran:?}");
    let found = audited(&ran);
    assert_eq!(total(&found)[..3], [20, 16, 4].map(Some), "{found}");
    assert_eq!(found["total"]["delivered"], 2, "{found}");
    assert_eq!(found["error"], Value::Null);
    assert!(
        ran.stderr.contains("log-analytics: of the hour from"),
        "{ran:?}"
    );
    world.workspace.relent();
    assert_eq!(world.command(&audit).await.code(), 0);
    world.assert_all_landed_once();
}

/// Ids sort by prefix before time. More than a page of records comes before the first one of
/// another prefix.
#[tokio::test]
async fn records_of_every_prefix_are_compared_and_delivered_again() {
    let (mut world, _api) = world(Sink::LogAnalytics).await;
    world.set("START_FROM", "6h");
    let this_hour = this_hour();
    let hour = this_hour - TimeDelta::hours(2);
    let put = |prefix: &str, seconds: i64| {
        let date = hour + TimeDelta::seconds(seconds);
        let id = format!("{prefix}{}{:033}", date.format("%Y%m%d%H%M%S%6f"), 1);
        let record = json!({"date": date, "type": "s", "tenant_name": "acme"});
        world.tenant.add_as(&id, record);
        id
    };
    for prefix in ["800", "900", "950"] {
        put(prefix, -3_600);
    }
    world.poll().await;
    let mut missing: BTreeSet<_> = (2_450..2_600).map(|second| put("900", second)).collect();
    missing.extend([put("800", 3_000), put("900", 100), put("950", 100)]);
    let (from, to) = (as_argument(hour), as_argument(this_hour));
    for [from, to] in [[&*from, &to], ["oldest", &to]] {
        let audit = ["audit", "--from", from, "--to", to, "--json"];
        let found = audited(&world.command(&audit).await);
        assert_eq!(total(&found)[2], Some(153), "{found}");
        assert_eq!(ids(&found), missing);
    }
    let audit = ["audit", "--from", &from, "--to", &to, "--json"];
    let mended = world.command(&[&audit[..], &["--mend"]].concat()).await;
    let found = audited(&mended);
    assert_eq!(found["total"]["delivered"], 153, "{mended:?}");
    let ran = world.command(&audit).await;
    assert_eq!(
        total(&audited(&ran))[..4],
        [153, 153, 0, 0].map(Some),
        "{ran:?}"
    );
}

/// A world with so many hours of five records each, of which the last one is missing in each hour. Returns
/// the hours, and what is missing.
async fn world_of_hours(count: i64) -> (World, QueryApi, Vec<DateTime<Utc>>, Vec<String>) {
    let (mut world, api) = world(Sink::LogAnalytics).await;
    world.set("START_FROM", "12h");
    let this_hour = this_hour();
    let hours: Vec<_> = (1..=count)
        .map(|back| this_hour - TimeDelta::hours(back))
        .rev()
        .collect();
    for hour in &hours {
        for minute in 1..=5 {
            add(&world, *hour + TimeDelta::minutes(minute));
        }
    }
    world.arrivals().drop_one_of(5);
    world.poll().await;
    world.arrivals().drop_one_of(0);
    let mut ids = world.tenant.log_ids();
    ids.sort();
    let missing: Vec<_> = ids.into_iter().skip(4).step_by(5).collect();
    let landed = world.arrivals().landed();
    assert!(missing.iter().all(|it| !landed.contains(it)), "{landed:?}");
    (world, api, hours, missing)
}

async fn audit_of(world: &World, hours: &[DateTime<Utc>]) -> Ran {
    let (from, to) = (as_argument(hours[0]), as_argument(this_hour()));
    let audit = ["audit", "--from", &from, "--to", &to, "--json", "--mend"];
    world.command(&audit).await
}

/// Blocks each post with one of these records, as a firewall on the way does.
fn block<const N: usize>(world: &World, ids: [&str; N]) {
    for id in ids {
        world.workspace.block(id, Fault::answer(406, "Blocked"));
    }
}

/// Such a record is alone, so nothing else of its hour shows that the fault is in it.
#[tokio::test]
async fn a_record_that_something_on_the_way_blocks_keeps_no_hour_after_it_from_being_delivered_again()
 {
    let (world, _api, hours, missing) = world_of_hours(4).await;
    block(&world, [0, 2].map(|it| &*missing[it]));
    let ran = audit_of(&world, &hours).await;
    assert_eq!(ran.code(), 1, "{ran:?}");
    let found = audited(&ran);
    assert_eq!(total(&found)[..3], [20, 16, 4].map(Some), "{found}");
    assert_eq!(found["total"]["delivered"], 2, "{found}");
    let error = found["error"].as_str().unwrap_or_default();
    let [first, third] = [0, 2].map(|it| as_argument(hours[it]));
    let told = format!("missing records of the hour from {first} could not be delivered again: ");
    assert!(error.starts_with(&told) && error.contains("406"), "{error}");
    let told = format!("missing records of the hour from {third} could not be delivered again: ");
    assert!(ran.stderr.contains(&told), "{ran:?}");
    let left = "2 records are missing and were not delivered again, 2 were";
    assert!(ran.stderr.contains(left), "{ran:?}");

    world.workspace.relent();
    assert_eq!(audit_of(&world, &hours).await.code(), 0);
    world.assert_all_landed_once();
}

/// Most likely the destination takes nothing, and each further hour would fail the same way.
#[tokio::test]
async fn after_two_hours_in_a_row_of_which_nothing_is_delivered_again_the_audit_ends() {
    let (world, _api, hours, missing) = world_of_hours(5).await;
    block(&world, [0, 2, 3].map(|it| &*missing[it]));
    let ran = audit_of(&world, &hours).await;
    assert_eq!(ran.code(), 1, "{ran:?}");
    let found = audited(&ran);
    assert_eq!(total(&found)[..3], [20, 16, 4].map(Some), "{found}");
    assert_eq!(found["total"]["delivered"], 1, "{found}");
    let error = found["error"].as_str().unwrap_or_default();
    let told = format!(
        "missing records of the hour from {} could not be delivered again, so what follows it is not compared: ",
        as_argument(hours[3])
    );
    assert!(error.starts_with(&told), "{error}");
    for hour in [0, 2] {
        let hour = as_argument(hours[hour]);
        let told =
            format!("missing records of the hour from {hour} could not be delivered again: ");
        assert!(ran.stderr.contains(&told), "{ran:?}");
    }
}

/// They may be accepted by now, although another record of their hour is not.
#[tokio::test]
async fn dead_letters_are_delivered_again_where_another_record_of_their_hour_is_blocked() {
    let (mut world, _api) = world(Sink::LogAnalytics).await;
    world.set("START_FROM", "6h");
    let hours = [2, 1].map(|back| this_hour() - TimeDelta::hours(back));
    for hour in hours {
        for minute in 1..=5 {
            add(&world, hour + TimeDelta::minutes(minute));
        }
    }
    let mut ids = world.tenant.log_ids();
    ids.sort();
    world.workspace.refuse(&ids[1]);
    world.arrivals().drop_one_of(3);
    world.poll().await;
    world.arrivals().drop_one_of(0);
    let landed = world.arrivals().landed();
    let is_missing = |id: &&String| !landed.contains(id);
    assert_eq!(ids.iter().filter(is_missing).count(), 4);
    let mut of_first_hour = ids[..5].iter().filter(is_missing);
    let blocked = of_first_hour.find(|id| **id != ids[1]).unwrap();
    world.workspace.relent();
    block(&world, [blocked]);
    let found = audited(&audit_of(&world, &hours).await);
    assert_eq!(total(&found)[..3], [10, 6, 4].map(Some), "{found}");
    assert_eq!(found["total"]["delivered"], 3, "{found}");
}
