//! An audit: records at Auth0, compared with rows that arrived.

mod ends;
mod kept;
mod mend;
mod nameless;

use std::collections::BTreeSet;
use std::fs;

use chrono::{DateTime, DurationRound as _, SecondsFormat, TimeDelta, Utc};
use serde_json::{Value, json};
use simulator::{QueryApi, Tenant, tenant};

use crate::kql::Kql;
use crate::world::{Ran, Sink, World, for_each_table, minutes_ago, now};

/// A world whose workspace can be queried.
async fn world(sink: Sink) -> (World, QueryApi) {
    let world = World::start_for(sink).await;
    asked(world, sink).await
}

/// Lets the workspace of a world be queried.
async fn asked(mut world: World, sink: Sink) -> (World, QueryApi) {
    let arrivals = match sink {
        Sink::LogsIngestion => world.rule.arrivals(),
        _ => world.workspace.arrivals(),
    };
    let api = QueryApi::start(arrivals, world.issuer.clone()).await;
    world.set_all(world.identity.environment());
    world.set_all(api.settings());
    (world, api)
}

async fn audit(world: &World, more: &[&str]) -> Ran {
    let stretch = ["audit", "--from", "58m", "--to", "1s"];
    world.command(&[&stretch[..], more].concat()).await
}

fn this_hour() -> DateTime<Utc> {
    now().duration_trunc(TimeDelta::hours(1)).unwrap()
}

/// A time as `--from` and `--to` take it.
fn as_argument(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// The audit of the only destination.
fn audited(ran: &Ran) -> Value {
    let report = ran.report();
    assert_eq!(report["audits"].as_array().unwrap().len(), 1, "{report}");
    report["audits"][0].clone()
}

fn total(audited: &Value) -> [Option<u64>; 5] {
    let total = &audited["total"];
    ["at_auth0", "there", "missing", "surplus", "late"].map(|it| total[it].as_u64())
}

/// The missing ids of all hours.
fn ids(audited: &Value) -> BTreeSet<String> {
    let hours = audited["hours"].as_array().unwrap().iter();
    let ids = hours.flat_map(|it| it["missing_ids"].as_array().unwrap());
    ids.map(|it| it.as_str().unwrap().to_owned()).collect()
}

for_each_table![
    every_tenth_row_that_was_dropped_is_named_and_delivered_again,
    what_is_asked_is_kql_and_has_the_same_answers_there,
    a_row_that_arrived_days_later_is_there,
];

async fn every_tenth_row_that_was_dropped_is_named_and_delivered_again(sink: Sink) {
    let (world, _api) = world(sink).await;
    world.tenant.generate(200, minutes_ago(50), minutes_ago(5));
    world.arrivals().drop_one_of(10);
    world.poll().await;
    world.arrivals().drop_one_of(0);
    let landed: BTreeSet<_> = world.arrivals().landed().into_iter().collect();
    let dropped: BTreeSet<_> = world
        .tenant
        .log_ids()
        .into_iter()
        .filter(|it| !landed.contains(it))
        .collect();
    assert_eq!(dropped.len(), 20);
    let checkpoint = world.checkpoint().await;

    let ran = audit(&world, &["--json"]).await;
    assert_eq!(ran.code(), 1, "{ran:?}");
    let found = audited(&ran);
    assert_eq!(total(&found)[..4], [200, 180, 20, 0].map(Some), "{found}");
    assert_eq!(ids(&found), dropped);
    for hour in found["hours"].as_array().unwrap() {
        let begin = hour["hour"].as_str().unwrap();
        let digits: String = begin.chars().filter(char::is_ascii_digit).collect();
        let ids = hour["missing_ids"].as_array().unwrap();
        assert_eq!(hour["missing"], ids.len());
        for id in ids {
            assert_eq!(id.as_str().unwrap()[3..13], digits[..10]);
        }
    }
    let ran = audit(&world, &[]).await;
    assert_eq!(ran.code(), 1, "{ran:?}");
    let lines = ran.stdout.lines();
    let named: BTreeSet<_> = lines.filter_map(|it| it.strip_prefix("missing ")).collect();
    assert!(named.into_iter().eq(&dropped), "{ran:?}");
    let words = |line: &str| {
        line.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let head = ran.stdout.lines().nth(1).unwrap();
    assert_eq!(
        words(head).join(" "),
        "hour at Auth0 there missing surplus late"
    );
    let last = ran
        .stdout
        .lines()
        .find(|it| it.starts_with("total"))
        .unwrap();
    assert_eq!(words(last)[1..5], ["200", "180", "20", "0"]);
    assert!(
        ran.stderr.contains("20 records are missing; --mend"),
        "{ran:?}"
    );

    let ran = audit(&world, &["--mend", "--json"]).await;
    assert_eq!(ran.code(), 0, "{ran:?}");
    let found = audited(&ran);
    assert_eq!(
        (total(&found)[2], &found["total"]["delivered"]),
        (Some(20), &json!(20))
    );
    assert!(
        ran.stderr
            .contains("20 missing records were delivered again"),
        "{ran:?}"
    );
    world.assert_all_landed_once();
    let ran = audit(&world, &["--json"]).await;
    assert_eq!(ran.code(), 0, "{ran:?}");
    assert_eq!(total(&audited(&ran))[..4], [200, 200, 0, 0].map(Some));
    assert_eq!(world.checkpoint().await, checkpoint);
}

async fn what_is_asked_is_kql_and_has_the_same_answers_there(sink: Sink) {
    let (world, api) = world(sink).await;
    let date = minutes_ago(30);
    let ids = [0, 1].map(|n| {
        let date = date + TimeDelta::milliseconds(n);
        let record = json!({"date": date, "type": "s", "tenant_name": "acme"});
        world.tenant.add(record, date)
    });
    world.poll().await;
    assert_eq!(audit(&world, &[]).await.code(), 0);
    let kql = Kql::over_table_of(sink.api(), &world.table());
    let file = world.folder.path().join("query.kql");
    let mut listed = BTreeSet::new();
    for query in api.queries() {
        fs::write(&file, &query).unwrap();
        // Rows that arrive without a data collection rule may lack the column `_id_s`.
        let problems = kql.problems(std::slice::from_ref(&file));
        let told = |it: &&str| !it.ends_with("no table has a column '_id_s'");
        assert_eq!(problems.lines().find(told), None);
        for row in kql.result(&query, &now().to_rfc3339()) {
            assert_eq!(row["Tenant"], "acme", "{query}");
            listed.insert(row["LogId"].as_str().unwrap().to_owned());
        }
    }
    assert!(listed.iter().eq(&ids), "{listed:?}");
}

async fn a_row_that_arrived_days_later_is_there(sink: Sink) {
    let (mut world, _api) = world(sink).await;
    let date = minutes_ago(3 * 24 * 60);
    world
        .tenant
        .generate(20, date, date + TimeDelta::minutes(5));
    world.set("START_FROM", "4d");
    world.poll().await;
    let from = (date - TimeDelta::minutes(1)).to_rfc3339();
    let to = (date + TimeDelta::minutes(6)).to_rfc3339();
    let ran = world
        .command(&["audit", "--from", &from, "--to", &to, "--json"])
        .await;
    assert_eq!(ran.code(), 0, "{ran:?}");
    assert_eq!(
        total(&audited(&ran)),
        [20, 20, 0, 0, 0].map(Some),
        "{ran:?}"
    );
}

#[tokio::test]
async fn what_the_runs_did_not_meet_came_late_by_their_count() {
    let (world, _api) = world(Sink::LogAnalytics).await;
    world.tenant.generate(60, minutes_ago(50), minutes_ago(5));
    world.poll().await;
    let ran = audit(&world, &["--json"]).await;
    assert_eq!(
        total(&audited(&ran)),
        [60, 60, 0, 0, 0].map(Some),
        "{ran:?}"
    );

    let date = minutes_ago(30);
    let late = world.tenant.add(json!({"date": date, "type": "s"}), date);
    world.poll().await;
    let ran = audit(&world, &["--json", "--mend"]).await;
    assert_eq!(ran.code(), 0, "{ran:?}");
    let found = audited(&ran);
    assert_eq!(total(&found), [61, 60, 1, 0, 1].map(Some), "{found}");
    assert_eq!(
        (ids(&found), &found["late_by"]),
        ([late].into(), &json!("history"))
    );
    // A record that is delivered afterwards still counts as late.
    let ran = audit(&world, &["--json"]).await;
    assert_eq!(total(&audited(&ran)), [61, 61, 0, 0, 1].map(Some));

    // Without a history the number of late records is unknown.
    fs::remove_file(world.history_file(Sink::LogAnalytics)).unwrap();
    let ran = audit(&world, &[]).await;
    assert_eq!(ran.code(), 0, "{ran:?}");
    let last = ran
        .stdout
        .lines()
        .find(|it| it.starts_with("total"))
        .unwrap();
    assert!(last.ends_with(" -"), "{ran:?}");
}

/// The time in an id may be the very beginning of an hour, and other records may be of that moment.
#[tokio::test]
async fn an_end_that_is_an_id_leaves_out_none_of_the_records_before_it() {
    let (mut world, _api) = world(Sink::LogAnalytics).await;
    world.set("START_FROM", "4h");
    let hour = this_hour() - TimeDelta::hours(1);
    add(&world, hour - TimeDelta::minutes(20));
    world.poll().await;
    world.arrivals().drop_one_of(1);
    let [first, end] = [add(&world, hour), add(&world, hour)];
    world.poll().await;
    let begin = as_argument(hour - TimeDelta::minutes(30));
    for (from, expected) in [(&begin, [2, 1, 1]), (&first, [1, 0, 1])] {
        let stretch = ["audit", "--from", from, "--to", &end, "--json"];
        let ran = world.command(&stretch).await;
        assert_eq!(ran.code(), 1, "{from}: {ran:?}");
        let found = audited(&ran);
        assert_eq!(total(&found)[..3], expected.map(Some), "{from}: {found}");
        assert_eq!(ids(&found), [first.clone()].into(), "{from}");
    }
}

/// The start of a minute, so that the whole minute is within one hour.
fn whole_minute_ago(minutes: i64) -> DateTime<Utc> {
    minutes_ago(minutes)
        .duration_trunc(TimeDelta::minutes(1))
        .unwrap()
}

fn add(world: &World, date: DateTime<Utc>) -> String {
    let record = json!({"date": date, "type": "s", "tenant_name": "acme"});
    world.tenant.add(record, date)
}

#[tokio::test]
async fn an_archive_is_compared_as_well_and_tells_by_its_objects_what_came_late() {
    let (mut world, api) = world(Sink::LogAnalytics).await;
    world.set("OVERLAP", "1h");
    let minute = whole_minute_ago(30);
    for seconds in [0, 20, 40] {
        add(&world, minute + TimeDelta::seconds(seconds));
    }
    world.poll().await;
    // The archive lacks what was delivered before it was configured.
    world.deliver_to(&[Sink::LogAnalytics, Sink::Archive]);
    let ran = audit(&world, &["--json"]).await;
    assert_eq!(ran.code(), 1, "{ran:?}");
    let of = |ran: &Ran| {
        let report = ran.report();
        let [table, archive] = [0, 1].map(|it| report["audits"][it].clone());
        assert_eq!(table["destination"], "log-analytics");
        assert_eq!(archive["destination"], "archive");
        assert_eq!(table["late_by"], "archive");
        [table, archive]
    };
    let [table, archive] = of(&ran);
    assert_eq!(total(&table), [3, 3, 0, 0, 0].map(Some));
    assert_eq!(total(&archive), [3, 0, 3, 0, 0].map(Some));
    assert!(
        ran.stderr
            .contains("archive: none of the 3 records is there"),
        "{ran:?}"
    );
    assert_eq!(audit(&world, &["--mend"]).await.code(), 0);
    assert_eq!(audit(&world, &[]).await.code(), 0);

    // A record that becomes visible later is in an object of its own.
    assert_eq!(world.command(&["poll"]).await.code(), 0);
    add(&world, minute + TimeDelta::seconds(10));
    assert_eq!(world.command(&["poll"]).await.code(), 0);
    let ran = audit(&world, &["--json"]).await;
    assert_eq!(ran.code(), 0, "{ran:?}");
    for found in of(&ran) {
        assert_eq!(total(&found), [4, 4, 0, 0, 1].map(Some));
    }

    // If the table cannot be queried, the archive is still compared.
    api.give_role(false);
    let ran = audit(&world, &[]).await;
    assert_eq!(ran.code(), 1, "{ran:?}");
    assert!(ran.stderr.contains("log-analytics: "), "{ran:?}");
    assert!(ran.stderr.contains("Log Analytics Reader"), "{ran:?}");
    let totals = ran.stdout.lines().filter(|it| it.starts_with("total"));
    let totals: Vec<Vec<_>> = totals.map(|it| it.split_whitespace().collect()).collect();
    assert_eq!(totals.last().unwrap()[1..], ["4", "4", "0", "0", "1"]);
}

#[tokio::test]
async fn an_archive_that_is_named_first_tells_what_came_late_as_well() {
    let (mut world, _api) = world(Sink::LogAnalytics).await;
    world.deliver_to(&[Sink::Archive, Sink::LogAnalytics]);
    world.set("OVERLAP", "1h");
    let minute = whole_minute_ago(30);
    for seconds in [0, 20, 40] {
        add(&world, minute + TimeDelta::seconds(seconds));
    }
    assert_eq!(world.command(&["poll"]).await.code(), 0);
    add(&world, minute + TimeDelta::seconds(10));
    assert_eq!(world.command(&["poll"]).await.code(), 0);
    let ran = audit(&world, &["--json"]).await;
    for found in ran.report()["audits"].as_array().unwrap() {
        assert_eq!(total(found), [4, 4, 0, 0, 1].map(Some), "{found}");
    }
}

/// The archive's objects say nothing about records that its filter leaves out.
#[tokio::test]
async fn an_archive_that_does_not_have_all_is_no_witness_of_what_came_late() {
    let (mut world, _api) = world(Sink::LogAnalytics).await;
    world.deliver_to(&[Sink::LogAnalytics, Sink::Archive]);
    world.set("FILTER_ARCHIVE", "fp");
    let minute = whole_minute_ago(30);
    for seconds in [0, 20, 40] {
        let date = minute + TimeDelta::seconds(seconds);
        world.tenant.add(json!({"date": date, "type": "fp"}), date);
    }
    assert_eq!(world.command(&["poll"]).await.code(), 0);
    add(&world, minute + TimeDelta::seconds(10));
    assert_eq!(world.command(&["poll"]).await.code(), 0);
    let ran = audit(&world, &["--json"]).await;
    let audits = &ran.report()["audits"];
    for found in [&audits[0], &audits[1]] {
        assert_eq!(found["late_by"], "history", "{found}");
        assert_eq!(found["total"]["late"], 1, "{found}");
    }
}

#[tokio::test]
async fn what_a_filter_leaves_out_is_not_missing_and_is_told() {
    let (mut world, _api) = world(Sink::LogAnalytics).await;
    world.set("FILTER_LOG_ANALYTICS", "fp");
    for n in 0..10 {
        let date = minutes_ago(30) + TimeDelta::seconds(n);
        let kind = if n % 2 == 0 { "fp" } else { "s" };
        world.tenant.add(json!({"date": date, "type": kind}), date);
    }
    world.poll().await;
    let ran = audit(&world, &["--json"]).await;
    assert_eq!(ran.code(), 0, "{ran:?}");
    let found = audited(&ran);
    assert_eq!(total(&found), [10, 5, 0, 0, 0].map(Some), "{found}");
    assert_eq!(found["total"]["filtered"], 5);
    let ran = audit(&world, &["--mend"]).await;
    assert_eq!(ran.code(), 0, "{ran:?}");
    assert!(ran.stdout.contains("filtered"), "{ran:?}");
    assert_eq!(world.arrivals().stored(), 5);
    // A row that the filter would leave out by now still counts as there.
    world.set("FILTER_LOG_ANALYTICS", "s");
    let ran = audit(&world, &["--json"]).await;
    let found = audited(&ran);
    assert_eq!(total(&found)[..3], [10, 5, 5].map(Some), "{found}");
}

#[tokio::test]
async fn tenants_that_share_a_workspace_are_told_apart() {
    let (mut world, _api) = world(Sink::LogAnalytics).await;
    let globex = Tenant::with(tenant::Options {
        token_events: false,
        ..tenant::Options::default()
    });
    let globex = globex.await;
    world.keep_secret(globex.secrets());
    for (name, settings) in [
        ("ACME", world.tenant.settings()),
        ("GLOBEX", globex.settings()),
    ] {
        for (setting, value) in settings {
            world.set(&setting, "");
            world.set(&format!("{name}__{setting}"), &value);
        }
    }
    world.set("TENANTS", "acme,globex");
    for n in 0..10 {
        let date = minutes_ago(30) + TimeDelta::seconds(n);
        add(&world, date);
        let record = json!({"date": date, "type": "s", "tenant_name": "globex"});
        globex.add(record, date + TimeDelta::milliseconds(1));
    }
    world.arrivals().drop_one_of(20);
    assert_eq!(world.command(&["poll"]).await.code(), 0);
    let ran = audit(&world, &["--json"]).await;
    assert_eq!(ran.code(), 1, "{ran:?}");
    let report = ran.report();
    let audits = report["audits"].as_array().unwrap();
    let missing: Vec<_> = audits.iter().map(|it| total(it)[2].unwrap()).collect();
    assert_eq!((missing.iter().sum::<u64>(), missing.len()), (1, 2));
    for found in audits {
        assert_eq!(total(found)[3], Some(0), "{found}");
    }
    let green = ["acme", "globex"][usize::from(missing[0] == 1)];
    let ran = audit(&world, &["--json", "--tenant", green]).await;
    assert_eq!((ran.code(), &audited(&ran)["tenant"]), (0, &json!(green)));
}

#[tokio::test]
async fn a_destination_that_keeps_nothing_to_ask_for_is_left_to_another() {
    let (mut world, _api) = world(Sink::LogAnalytics).await;
    world.tenant.generate(10, minutes_ago(50), minutes_ago(5));
    world.deliver_to(&[Sink::EventGrid]);
    let ran = audit(&world, &[]).await;
    assert_eq!((ran.code(), &*ran.stdout), (1, ""), "{ran:?}");
    let telling = "event-grid: this destination cannot be queried for its records";
    assert!(ran.stderr.contains(telling), "{ran:?}");
    world.deliver_to(&[Sink::EventGrid, Sink::LogAnalytics]);
    assert_eq!(world.command(&["poll"]).await.code(), 0);
    let ran = audit(&world, &[]).await;
    assert_eq!(ran.code(), 0, "{ran:?}");
    assert!(ran.stderr.contains(telling), "{ran:?}");
}

#[tokio::test]
async fn a_stretch_with_nothing_in_it_lacks_nothing() {
    let (world, _api) = world(Sink::LogAnalytics).await;
    world.tenant.generate(10, minutes_ago(50), minutes_ago(5));
    world.poll().await;
    let ran = world
        .command(&["audit", "--from", "4h", "--to", "3h", "--json"])
        .await;
    assert_eq!(ran.code(), 0, "{ran:?}");
    let found = audited(&ran);
    assert_eq!(total(&found), [0, 0, 0, 0, 0].map(Some), "{found}");
    assert_eq!(found["hours"], json!([]));
}

#[tokio::test]
async fn who_asks_for_the_last_minutes_is_told_that_records_may_be_on_their_way() {
    let (world, _api) = world(Sink::LogAnalytics).await;
    world.tenant.generate(10, minutes_ago(50), minutes_ago(40));
    world.poll().await;
    let told =
        "--to is less than 20 minutes ago: what is missing at the end may still be on its way";
    for (to, is_told) in [("1s", true), ("19m", true), ("20m", false), ("30m", false)] {
        let ran = world.command(&["audit", "--from", "1h", "--to", to]).await;
        assert_eq!(ran.code(), 0, "{ran:?}");
        assert_eq!(ran.stderr.contains(told), is_told, "{to}: {ran:?}");
    }
}

#[tokio::test]
async fn only_what_is_of_the_stretch_is_compared() {
    let (world, _api) = world(Sink::LogAnalytics).await;
    let minute = whole_minute_ago(30);
    let ids = [0, 20, 40].map(|it| add(&world, minute + TimeDelta::seconds(it)));
    // This record is stored later than its date.
    let date = minute + TimeDelta::seconds(10);
    let record = json!({"date": date, "type": "s"});
    world.tenant.add(record, date + TimeDelta::seconds(5));
    world.poll().await;
    let time = |seconds| (minute + TimeDelta::seconds(seconds)).to_rfc3339();
    for (from, to, count) in [
        (time(0), time(40), 3),
        (time(1), time(41), 3),
        (time(10), time(12), 1),
        (time(11), time(20), 0),
        (ids[1].clone(), ids[2].clone(), 1),
        ("oldest".to_owned(), time(20), 2),
    ] {
        let ran = world
            .command(&["audit", "--from", &from, "--to", &to, "--json"])
            .await;
        assert_eq!(ran.code(), 0, "{ran:?}");
        let found = audited(&ran);
        let expected = [count, count, 0, 0, 0].map(Some);
        assert_eq!(total(&found), expected, "{from} {to}: {found}");
    }
}

#[tokio::test]
async fn a_record_whose_id_tells_no_time_is_told_of_and_not_compared() {
    let (world, _api) = world(Sink::LogAnalytics).await;
    let date = minutes_ago(30);
    add(&world, date);
    world
        .tenant
        .add_as("odd", json!({"date": date, "type": "s"}));
    world.poll().await;
    let ran = audit(&world, &["--json"]).await;
    assert_eq!(ran.code(), 0, "{ran:?}");
    let found = audited(&ran);
    assert_eq!(
        (total(&found)[0], &found["undated"]),
        (Some(1), &json!(1)),
        "{found}"
    );
    assert!(
        ran.stderr
            .contains("1 records have no log id, or one that tells no time"),
        "{ran:?}"
    );
}
