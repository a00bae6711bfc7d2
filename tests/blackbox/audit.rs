//! An audit: what is at Auth0, compared with what arrived.

use std::collections::BTreeSet;
use std::fs;

use chrono::{DateTime, DurationRound as _, SecondsFormat, TimeDelta, Utc};
use serde_json::{Value, json};
use simulator::{Fault, QueryApi, Tenant, tenant};

use crate::kql::Kql;
use crate::world::{Ran, Sink, World, for_each_table, minutes_ago, now};

/// A world whose workspace can be asked.
async fn world(sink: Sink) -> (World, QueryApi) {
    let world = World::start_for(sink).await;
    asked(world, sink).await
}

/// Lets the workspace of a world be asked.
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

/// Of the only destination.
fn audited(ran: &Ran) -> Value {
    let report = ran.report();
    assert_eq!(report["audits"].as_array().unwrap().len(), 1, "{report}");
    report["audits"][0].clone()
}

fn total(audited: &Value) -> [Option<u64>; 5] {
    let total = &audited["total"];
    ["at_auth0", "there", "missing", "surplus", "late"].map(|it| total[it].as_u64())
}

/// What each hour says of a name, together.
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
        // Only where records come without a rule may one of them lack a column.
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

    // The service acknowledges it and drops it again: that is for another audit.
    world.arrivals().drop_one_of(1);
    assert_eq!(audit(&world, &["--mend"]).await.code(), 0);
    assert_eq!(audit(&world, &[]).await.code(), 1);
}

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

    // Of this stretch there is nothing left.
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
    // That it was delivered after all makes it no less late.
    let ran = audit(&world, &["--json"]).await;
    assert_eq!(total(&audited(&ran)), [61, 61, 0, 0, 1].map(Some));

    // Without a history nobody knows.
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

/// A time of a minute that is all of one hour.
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
    // Of what was delivered before there was an archive, it has nothing.
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
            .contains("archive: of 3 records not one is there"),
        "{ran:?}"
    );
    assert_eq!(audit(&world, &["--mend"]).await.code(), 0);
    assert_eq!(audit(&world, &[]).await.code(), 0);

    // What becomes visible later is in an object of its own.
    assert_eq!(world.command(&["poll"]).await.code(), 0);
    add(&world, minute + TimeDelta::seconds(10));
    assert_eq!(world.command(&["poll"]).await.code(), 0);
    let ran = audit(&world, &["--json"]).await;
    assert_eq!(ran.code(), 0, "{ran:?}");
    for found in of(&ran) {
        assert_eq!(total(&found), [4, 4, 0, 0, 1].map(Some));
    }

    // Where the table cannot be asked, the archive is.
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
    // One that is there although the filter leaves it out now is there.
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
async fn what_cannot_be_asked_is_said_and_proves_nothing() {
    let (mut world, api) = world(Sink::LogAnalytics).await;
    world.tenant.generate(10, minutes_ago(50), minutes_ago(5));
    let partial = r#"{"tables":[{"name":"PrimaryResult","columns":[],"rows":[]}],"error":{"code":"PartialError","message":"x"}}"#;
    // There is no table yet.
    let ran = audit(&world, &["--mend"]).await;
    assert_eq!((ran.code(), world.arrivals().stored()), (1, 0), "{ran:?}");
    assert!(
        ran.stderr.contains("the workspace has no table Auth0AM_CL"),
        "{ran:?}"
    );
    world.poll().await;
    for (fault, telling) in [
        (
            Fault::answer(204, ""),
            "the workspace has no table Auth0AM_CL",
        ),
        (
            Fault::answer(200, ""),
            "answered the query with something else: 0 bytes",
        ),
        (
            Fault::answer(200, partial),
            "answered the query only in part: PartialError",
        ),
        (
            Fault::answer(200, r#"{"tables":[{"columns":[],"rows":[]}]}"#),
            "in a form that is not known",
        ),
        (
            Fault::answer(
                400,
                r#"{"error":{"code":"BadArgumentError","message":"x"}}"#,
            ),
            "answered the query with 400",
        ),
    ] {
        api.fail([fault]);
        let ran = audit(&world, &["--mend"]).await;
        assert_eq!(ran.code(), 1, "{telling}: {ran:?}");
        assert!(ran.stderr.contains(telling), "{telling}: {ran:?}");
    }
    world.set("IDENTITY_ENDPOINT", "");
    let ran = audit(&world, &["--json"]).await;
    assert_eq!(ran.code(), 1, "{ran:?}");
    let found = audited(&ran);
    assert_eq!(found["hours"], json!([]));
    let error = found["error"].as_str().unwrap();
    assert!(error.contains("audit needs a managed identity"), "{error}");
    world.assert_all_landed_once();
}

#[tokio::test]
async fn an_audit_that_cannot_go_on_says_from_which_hour_on_nothing_is_compared() {
    let (mut world, api) = world(Sink::LogAnalytics).await;
    world.set("START_FROM", "6h");
    let this_hour = now().duration_trunc(TimeDelta::hours(1)).unwrap();
    let [third, second, first] = [1, 2, 3].map(|back| this_hour - TimeDelta::hours(back));
    for hour in [first, second, third] {
        add(&world, hour + TimeDelta::minutes(5));
    }
    world.arrivals().drop_one_of(1);
    world.poll().await;
    world.arrivals().drop_one_of(0);
    let text = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Secs, true);
    let (from, to) = (text(first), text(this_hour));
    let audit = ["audit", "--from", &from, "--to", &to];
    let total = |ran: &Ran| {
        let total = ran.stdout.lines().find(|it| it.starts_with("total"));
        let words = total.unwrap().split_whitespace().map(str::to_owned);
        words.skip(1).take(3).collect::<Vec<_>>()
    };
    // Of each hour it is asked what there is, and then for what is missing.
    api.fail([Fault::None, Fault::None, Fault::answer(200, "")]);
    let ran = world.command(&audit).await;
    assert_eq!(
        (ran.code(), total(&ran)),
        (1, ["1", "0", "1"].map(str::to_owned).to_vec())
    );
    let telling = format!(
        "log-analytics: what is there of the hour from {} is not known, so neither it nor what follows \
         is compared: ",
        text(second)
    );
    assert!(ran.stderr.contains(&telling), "{ran:?}");

    let refused = Fault::answer(403, "");
    world.workspace.fail([refused.clone(), refused]);
    let ran = world.command(&[&audit[..], &["--mend"]].concat()).await;
    assert_eq!(
        (ran.code(), total(&ran)),
        (1, ["1", "0", "1"].map(str::to_owned).to_vec())
    );
    let telling = format!(
        "log-analytics: missing records of the hour from {from} could not be delivered again, so what \
         follows it is not compared: "
    );
    assert!(ran.stderr.contains(&telling), "{ran:?}");
}

#[tokio::test]
async fn a_dead_letter_keeps_nothing_after_it_from_being_compared_and_delivered_again() {
    let (mut world, _api) = world(Sink::LogAnalytics).await;
    world.set("START_FROM", "6h");
    let this_hour = now().duration_trunc(TimeDelta::hours(1)).unwrap();
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

    let text = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Secs, true);
    let (from, to) = (text(earlier), text(this_hour));
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
    // It may be taken some day.
    world.workspace.relent();
    assert_eq!(world.command(&audit).await.code(), 0);
    world.assert_all_landed_once();
}

/// Also after what is missing was read and delivered once more.
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
    let this_hour = now().duration_trunc(TimeDelta::hours(1)).unwrap();
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
    // Of the first hour all that is missing, and of the second one of two.
    world.workspace.refuse(&ids[4]);
    world.workspace.refuse(&ids[9]);

    let text = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Secs, true);
    let (from, to) = (text(hours[0]), text(this_hour));
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

/// The prefix of an id outweighs its time, and more records than a page has come before the first of
/// another prefix.
#[tokio::test]
async fn records_of_every_prefix_are_compared_and_delivered_again() {
    let (mut world, _api) = world(Sink::LogAnalytics).await;
    world.set("START_FROM", "6h");
    let this_hour = now().duration_trunc(TimeDelta::hours(1)).unwrap();
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
    let text = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Secs, true);
    let (from, to) = (text(hour), text(this_hour));
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

#[tokio::test]
async fn a_destination_that_keeps_nothing_to_ask_for_is_left_to_another() {
    let (mut world, _api) = world(Sink::LogAnalytics).await;
    world.tenant.generate(10, minutes_ago(50), minutes_ago(5));
    world.deliver_to(&[Sink::EventGrid]);
    let ran = audit(&world, &[]).await;
    assert_eq!((ran.code(), &*ran.stdout), (1, ""), "{ran:?}");
    let telling = "event-grid: what this destination took cannot be asked for";
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
async fn only_what_is_of_the_stretch_is_compared() {
    let (world, _api) = world(Sink::LogAnalytics).await;
    let minute = whole_minute_ago(30);
    let ids = [0, 20, 40].map(|it| add(&world, minute + TimeDelta::seconds(it)));
    // It was stored later than it is dated.
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
        ran.stderr.contains("1 records have log ids that tell no"),
        "{ran:?}"
    );
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_before_anything_is_asked() {
    let (world, api) = world(Sink::LogAnalytics).await;
    for (from, to, telling) in [
        ("1h", "2h", "--from is not before --to"),
        ("1h", "oldest", "cannot be the oldest record"),
        ("XXX", "1h", "is neither a duration"),
        (
            &"9".repeat(56),
            "1h",
            "have to be times, durations or log ids",
        ),
    ] {
        let ran = world.command(&["audit", "--from", from, "--to", to]).await;
        assert_eq!((ran.code(), &*ran.stdout), (2, ""), "{ran:?}");
        assert!(ran.stderr.contains(telling), "{from}: {ran:?}");
    }
    assert_eq!(world.command(&["audit", "--from", "1h"]).await.code(), 2);
    assert_eq!((world.tenant.log_requests(), api.requests()), (0, 0));
}

#[tokio::test]
async fn an_audit_that_is_asked_to_end_says_so_and_the_next_one_is_whole() {
    let (world, _api) = world(Sink::LogAnalytics).await;
    world.tenant.generate(30, minutes_ago(50), minutes_ago(5));
    world.arrivals().drop_one_of(10);
    world.poll().await;
    world.arrivals().drop_one_of(0);
    let before = world.checkpoint().await;
    let asked = world.tenant.log_requests();
    world.tenant.fail_logs([Fault::None, Fault::Hang]);
    let command = world.start_command(&["audit", "--from", "58m", "--to", "1s", "--mend"]);
    world.tenant.wait_for_log_request(asked + 2).await;
    let ran = world.end("INT", command).await;
    assert_eq!(ran.code(), 130, "{ran:?}");
    assert!(ran.stderr.contains("was asked to end"), "{ran:?}");
    assert_eq!(world.checkpoint().await, before);
    assert_eq!(audit(&world, &["--mend"]).await.code(), 0);
    world.assert_all_landed_once();
}

#[tokio::test]
async fn an_audit_or_a_replay_that_waits_for_an_answer_ends_when_it_is_asked_to() {
    let (world, api) = world(Sink::LogAnalytics).await;
    world.tenant.generate(30, minutes_ago(50), minutes_ago(5));
    world.poll().await;
    let stretch = ["--from", "58m", "--to", "1s"];
    let replay = ["replay", "--destination", "log-analytics"];
    for command in [&["audit"][..], &replay] {
        let asked = world.tenant.log_requests();
        world.tenant.fail_logs([Fault::Hang]);
        let command = world.start_command(&[command, &stretch].concat());
        world.tenant.wait_for_log_request(asked + 1).await;
        let ran = world.end("INT", command).await;
        assert_eq!(ran.code(), 130, "{ran:?}");
    }

    let asked = api.requests();
    api.fail([Fault::Hang]);
    let command = world.start_command(&[&["audit", "--json"], &stretch[..]].concat());
    api.wait_for_request(asked + 1).await;
    let ran = world.end("INT", command).await;
    assert_eq!(ran.code(), 130, "{ran:?}");
    // What was not compared is not told as missing.
    assert_eq!(total(&audited(&ran)), [0, 0, 0, 0, 0].map(Some), "{ran:?}");
    assert!(ran.stderr.contains("was asked to end"), "{ran:?}");
}

/// So many days before now.
fn days_ago(days: i64) -> DateTime<Utc> {
    minutes_ago(days * 24 * 60)
}

/// A world with an archive, which is delivered to from the oldest record on.
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
    // Whatever the plan, Auth0 keeps a day.
    assert_eq!(audit_of(&world, "4h", "3h").await.code(), 0);
    // It still has what is older.
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
    // Where nothing has a date, nothing is found by it.
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

    // Before it there is nothing, as far as anybody can tell.
    let ran = audit_of(&world, "30h", "20h").await;
    assert_eq!(ran.code(), 1, "{ran:?}");
    assert!(ran.stderr.contains("so nothing was compared"), "{ran:?}");
    let ran = audit_of(&world, "oldest", "1m").await;
    assert_eq!(ran.code(), 1, "{ran:?}");
    let telling = "it could not be asked from when on Auth0 has records";
    assert!(ran.stderr.contains(telling), "{ran:?}");

    // What is older than the stretch shows that nothing of it was dropped.
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
        let telling = "all 3 records that Auth0 has of this time have log ids that tell no time";
        assert!(ran.stderr.contains(telling), "{ran:?}");
    }
}

#[tokio::test]
async fn what_was_stored_late_in_the_last_hour_that_is_read_is_compared_and_later_ones_are_not() {
    let world = archived().await;
    let hour = now().duration_trunc(TimeDelta::hours(1)).unwrap() - TimeDelta::hours(5);
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
