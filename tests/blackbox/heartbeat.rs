//! `HEARTBEAT`: rows about the runs, in a table of the workspace beside that of the records.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use simulator::Fault;
use simulator::arrivals::Row;

use crate::world::{FUNCTION, Sink, World, for_each_table, minutes_ago, now};

const TABLE: &str = "Auth0AMHealth_CL";

async fn world(sink: Sink) -> World {
    let mut world = World::start_for(sink).await;
    world.set("HEARTBEAT", "on");
    world
}

/// The heartbeats that arrived at the destination under test.
fn beats(world: &World) -> Vec<Row> {
    world.arrivals().table(TABLE).rows
}

/// The destination and the state in each heartbeat.
fn told(world: &World) -> Vec<[String; 2]> {
    let text = |it: &Value| it.as_str().unwrap().to_owned();
    let beats = beats(world).into_iter();
    beats
        .map(|it| [text(&it["Destination_s"]), text(&it["State_s"])])
        .collect()
}

for_each_table![
    a_run_that_delivers_or_fails_leaves_a_row_and_a_quiet_one_after_it_does_not,
    a_table_that_takes_no_row_fails_no_run_and_is_warned_of_once,
    what_is_told_of_other_destinations_goes_the_same_way,
];

async fn a_run_that_delivers_or_fails_leaves_a_row_and_a_quiet_one_after_it_does_not(sink: Sink) {
    let mut world = world(sink).await;
    let ids = world.tenant.generate(120, minutes_ago(50), minutes_ago(5));
    let report = world.poll().await;
    world.poll().await;
    let [beat] = &beats(&world)[..] else {
        panic!("{:?}", beats(&world));
    };
    // The host as it stands in the paths of the storage.
    let host = world.tenant.settings()[0].1.replace("http://", "");
    let host = host.replace(':', "_");
    for (column, value) in [
        ("TenantName_s", json!(host)),
        ("Destination_s", json!(sink.name())),
        ("State_s", json!("ok")),
        ("Delivered_d", json!(120)),
        ("Fetched_d", report["fetched"].clone()),
        ("Bytes_d", report["bytes"].clone()),
        ("LagSeconds_d", json!(0)),
        ("CaughtUp_b", json!(true)),
    ] {
        assert_eq!(beat[column], value, "{column}: {beat:?}");
    }
    let time = |column: &str| {
        beat[column]
            .as_str()
            .unwrap()
            .parse::<chrono::DateTime<chrono::Utc>>()
    };
    assert_eq!(time("TimeGenerated"), time("EndedAt_t"));
    assert!((now() - time("EndedAt_t").unwrap()).num_seconds() < 60);
    assert!(!beat.contains_key("Error_s") && !beat.contains_key("GapTo_t"));
    assert_eq!(world.table().rows.len(), ids.len());

    let secret = "hunter2-hunter2";
    world.set("CLIENT_SECRET", secret);
    let body = format!(r#"{{"error":"access_denied","error_description":"no {secret} here"}}"#);
    world.tenant.fail_tokens([Fault::answer(401, &body)]);
    assert_eq!(world.command(&["poll"]).await.code(), 1);
    let beats = beats(&world);
    assert_eq!(beats.len(), 2);
    assert_eq!(beats[1]["State_s"], "failing");
    let error = beats[1]["Error_s"].as_str().unwrap();
    assert!(error.contains("CLIENT_SECRET"), "{error}");
    let everything = format!("{beats:?}");
    let secrets = [
        world.tenant.secrets(),
        world.workspace.secrets(),
        world.rule.secrets(),
    ];
    for secret in secrets.concat().iter().map(|it| &**it).chain([secret]) {
        assert!(!everything.contains(secret), "{secret}");
    }
    // The template declares these columns, for both ways into the workspace.
    let declared: BTreeSet<_> = auth0_poller::table::schema::health_table()
        .into_iter()
        .map(|it| it.name)
        .collect();
    let table = world.arrivals().table(TABLE);
    assert!(
        table.columns.is_subset(&declared),
        "{:?}",
        table.columns.difference(&declared)
    );
}

async fn a_table_that_takes_no_row_fails_no_run_and_is_warned_of_once(sink: Sink) {
    let world = world(sink).await;
    world.tenant.generate(10, minutes_ago(50), minutes_ago(5));
    world.arrivals().refuse("EndedAt");
    let ran = world.command(&["poll"]).await;
    assert_eq!(ran.code(), 0, "{ran:?}");
    world.assert_all_landed_once();
    let warned = |text: &str| text.matches("the heartbeat was not sent: ").count();
    assert_eq!(warned(&ran.stderr), 1, "{ran:?}");
    assert!(ran.stderr.contains(sink.refusal()), "{ran:?}");
    let ran = world.command(&["poll"]).await;
    assert_eq!((ran.code(), warned(&ran.stderr)), (0, 0), "{ran:?}");
    assert_eq!(world.table().rows.len(), 10);
}

async fn what_is_told_of_other_destinations_goes_the_same_way(sink: Sink) {
    let mut world = world(sink).await;
    world.deliver_to(&[Sink::Archive, Sink::EventGrid, sink]);
    world.set("EVENT_GRID_ENDPOINT", "nowhere");
    world.tenant.generate(10, minutes_ago(50), minutes_ago(5));
    let host = world.host().await;
    host.fire(FUNCTION).await.failure();
    let mut told = told(&world);
    told.sort();
    let mut expected = [
        ["archive", "ok"],
        ["event-grid", "failing"],
        [sink.name(), "ok"],
    ];
    expected.sort_unstable();
    assert_eq!(told, expected);
    let beats = beats(&world);
    let failing = beats.iter().find(|it| it["State_s"] == "failing").unwrap();
    let error = failing["Error_s"].as_str().unwrap();
    assert!(error.contains("EVENT_GRID_ENDPOINT"), "{error}");
}

#[tokio::test]
async fn of_several_tenants_only_those_that_want_them_have_rows_and_one_that_cannot_work_has_too() {
    let mut world = World::start().await;
    let domain = world.tenant.settings()[0].1.clone();
    world.set("TENANTS", "acme,globex,initech");
    world.set("DOMAIN", "");
    world.set("ACME__DOMAIN", &domain);
    world.set("ACME__HEARTBEAT", "on");
    world.set("GLOBEX__DOMAIN", "globex.eu.auth0.com");
    world.set("GLOBEX__CLIENT_SECRET", "@Microsoft.KeyVault(SecretUri=x)");
    world.set("GLOBEX__HEARTBEAT", "on");
    world.set("INITECH__DOMAIN", "http://127.0.0.1:1");
    assert_eq!(world.command(&["poll"]).await.code(), 1);
    let mut told: Vec<_> = beats(&world)
        .iter()
        .map(|it| [&it["TenantName_s"], &it["State_s"]].map(|it| it.as_str().unwrap().to_owned()))
        .collect();
    told.sort();
    assert_eq!(told, [["acme", "ok"], ["globex", "failing"]]);
}

#[tokio::test]
async fn a_rule_without_the_stream_is_told_with_what_to_do_and_records_arrive() {
    let mut world = world(Sink::LogsIngestion).await;
    world.rule.forget_stream(TABLE);
    world.tenant.generate(10, minutes_ago(50), minutes_ago(5));
    let ran = world.command(&["poll"]).await;
    assert_eq!(ran.code(), 0, "{ran:?}");
    world.assert_all_landed_once();
    let told = "has no stream Custom-Auth0AMHealth_CL: ";
    assert!(ran.stderr.contains(told), "{ran:?}");
    assert!(ran.stderr.contains("deploy the template again"), "{ran:?}");
    world.set("HEARTBEAT", "off");
    let ran = world.command(&["poll"]).await;
    assert!(!ran.stderr.contains("heartbeat"), "{ran:?}");
}

#[tokio::test]
async fn a_look_at_the_records_leaves_none() {
    let mut world = world(Sink::LogAnalytics).await;
    world.set("DESTINATIONS", "stdout,log-analytics");
    world.tenant.generate(10, minutes_ago(50), minutes_ago(5));
    assert_eq!(world.command(&["poll"]).await.code(), 0);
    assert_eq!(told(&world), [["log-analytics", "ok"]]);
    let look = ["poll", "--destination", "stdout"];
    assert_eq!(world.command(&look).await.code(), 0);
    assert_eq!(beats(&world).len(), 1);
}

#[tokio::test]
async fn a_heartbeat_has_the_token_of_the_records() {
    let world = world(Sink::LogsIngestion).await;
    world.tenant.generate(10, minutes_ago(50), minutes_ago(5));
    world.poll().await;
    assert_eq!(beats(&world).len(), 1);
    assert_eq!(world.identity.requests(), 1);
}

#[tokio::test]
async fn without_a_way_into_a_workspace_it_is_a_bad_setting() {
    let mut world = world(Sink::Archive).await;
    let ran = world.command(&["check"]).await;
    assert_eq!(ran.code(), 2, "{ran:?}");
    let told = "HEARTBEAT is on, and heartbeats need log-analytics or logs-ingestion";
    assert!(ran.stderr.contains(told), "{ran:?}");
    world.deliver_to(&[Sink::Archive, Sink::LogAnalytics]);
    assert_eq!(world.command(&["check"]).await.code(), 0);
}

/// An alert may rest on heartbeats, and only a warning of each run tells that none arrives.
#[tokio::test]
async fn check_tries_the_stream_of_heartbeats_and_stores_nothing() {
    let mut world = world(Sink::LogsIngestion).await;
    let check = async |world: &World| {
        let ran = world.command(&["check"]).await;
        assert_eq!(ran.code(), 0, "{ran:?}");
        ran.stdout
    };
    let good =
        "ok         heartbeat: the rule accepted an empty post to the stream for heartbeats\n";
    let told = check(&world).await;
    assert!(told.contains(good), "{told}");

    let wants_more = r#"{"error":{"code":"InvalidPayload","message":"The list is empty."}}"#;
    world
        .rule
        .fail([Fault::None, Fault::answer(400, wants_more)]);
    let told = check(&world).await;
    assert!(told.contains("\nnot tried  heartbeat: "), "{told}");

    world.rule.forget_stream(TABLE);
    let told = check(&world).await;
    let begin = "\nwarning    heartbeat: no heartbeat can be sent: the rule ";
    assert!(told.contains(begin), "{told}");
    for text in [
        "has no stream Custom-Auth0AMHealth_CL: ",
        "deploy the template again",
    ] {
        assert!(told.contains(text), "{told}");
    }
    assert!(beats(&world).is_empty() && world.rule.stored() == 0);

    world.set("HEARTBEAT", "off");
    let told = check(&world).await;
    assert!(!told.contains("heartbeat"), "{told}");
}
