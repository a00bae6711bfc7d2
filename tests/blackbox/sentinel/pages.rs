//! The workbook and the data-connector page: every query is run, over the records of one day.

use auth0_poller::table::Api;
use serde_json::{Value, json};

use super::rules::{arrived, call, event, table};
use crate::kql::Kql;

const NOW: &str = "2026-11-21T12:00:00Z";
const DAY: [&str; 4] = [
    "Tenant='*'",
    "TimeRange:start=datetime(2026-11-21T09:00:00Z)",
    "TimeRange:end=datetime(2026-11-21T12:00:00Z)",
    "TimeRange:grain=1h",
];

/// Two sign-ins, three failures of which two are one user's, a second factor rejected and one
/// accepted, a token, a block, a leak and a change.
fn records() -> Vec<Value> {
    let joe = json!({"user_name": "joe@example.com", "user_id": "auth0|2", "ip": "192.0.2.9",
        "client_name": "Forum", "client_id": "forum"});
    let with = |clock, kind, more: Value| {
        let mut fields = json!({"connection": "Users", "strategy": "auth0", "tenant_name": "acme",
            "location_info": {"country_name": "Germany"}});
        for (name, value) in more.as_object().unwrap() {
            fields[name] = value.clone();
        }
        event(clock, kind, fields)
    };
    vec![
        with("09:10:00", "s", json!({})),
        with("11:10:00", "s", json!({})),
        with("11:20:00", "fp", json!({})),
        with("11:21:00", "fp", joe.clone()),
        with("11:22:00", "fu", joe.clone()),
        with("11:23:00", "gd_auth_rejected", joe),
        with("11:24:00", "gd_auth_succeed", json!({})),
        with(
            "11:25:00",
            "seccft",
            json!({"user_name": "", "user_id": ""}),
        ),
        with("11:26:00", "limit_wc", json!({})),
        with("11:27:00", "pwd_leak", json!({})),
        call(
            "11:40:00",
            "patch",
            "/api/v2/clients/c",
            json!({"name": "Shop"}),
        ),
    ]
}

/// Of one tenant a failing destination and a silent one, of another tenant a healthy one.
fn heartbeats() -> Vec<Value> {
    let beat = |clock: &str, tenant: &str, destination: &str, state: &str, delivered: u64| {
        json!({"TimeGenerated": format!("2026-11-21T{clock}:00Z"), "TenantName_s": tenant,
            "Destination_s": destination, "State_s": state, "Delivered_d": delivered})
    };
    let mut failing = beat("11:55", "acme", "logs-ingestion", "failing", 0);
    failing["Error_s"] = json!("disk full");
    failing["LagSeconds_d"] = json!(90);
    vec![
        beat("11:40", "acme", "logs-ingestion", "ok", 5),
        failing,
        beat("11:29", "acme", "archive", "ok", 7),
        beat("11:31", "globex", "logs-ingestion", "catching_up", 2),
    ]
}

#[test]
fn every_query_of_the_workbook_answers() {
    let kql = Kql::over(&table(Api::DataCollector, &arrived(&records())));
    let kql = kql.with_heartbeats(&heartbeats());
    let results = kql.results_of_page("sentinel/workbook.json", NOW, &DAY);
    for (name, rows) in &results {
        // Nothing landed twice in these records, but there is a row that says so. The queries about
        // runs read other tables, and are tried over those of a recorded host.
        let is_of_runs = name.starts_with("failed runs");
        assert!(is_of_runs || !rows.is_empty(), "{name} shows nothing");
    }
    let one = |name: &str, column: &str| results[name][0][column].clone();
    let column = |name: &str, column: &str| -> Vec<Value> {
        results[name].iter().map(|it| it[column].clone()).collect()
    };
    assert_eq!(
        column("totals", "Name"),
        [
            "Sign-ins",
            "Failures",
            "Users",
            "Blocked by attack protection",
            "Breached passwords",
            "Changes by administrators"
        ]
    );
    assert_eq!(column("totals", "Count"), [2, 3, 1, 1, 1, 1]);
    assert_eq!(one("who fails", "User"), "joe@example.com");
    assert_eq!(one("who fails", "Failures"), 2);
    assert_eq!(one("from where", "IPAddress"), "192.0.2.9");
    assert_eq!(one("from where", "Country"), "Germany");
    assert_eq!(one("against which application", "Application"), "Forum");
    assert_eq!(one("is the connector well", "State"), "well");
    let told = results["heartbeats"].iter().map(|it| {
        let texts = ["Tenant", "Destination", "State"].map(|name| it[name].as_str().unwrap());
        (texts, it["Delivered"].as_f64().unwrap())
    });
    assert_eq!(
        told.collect::<Vec<_>>(),
        [
            (["acme", "archive", "silent"], 7.0),
            (["acme", "logs-ingestion", "failing"], 5.0),
            (["globex", "logs-ingestion", "catching_up"], 2.0),
        ]
    );
    let failing = &results["heartbeats"][1];
    assert_eq!(failing["Error"], "disk full");
    assert_eq!(failing["SecondsBehind"], 90.0);
    assert_eq!(
        one("what was changed by whom", "RequestActor"),
        "admin@example.com"
    );
    assert_eq!(
        one("what was changed by whom", "RequestPath"),
        "/api/v2/clients/c"
    );
    assert_eq!(one("sign-ins over time", "Succeeded"), json!([1, 0, 1]));
    assert_eq!(one("sign-ins over time", "Failed"), json!([0, 0, 3]));
    assert_eq!(one("second factors by user", "Rejected"), 1);
    assert_eq!(one("freshness", "Rows"), 11);
    assert_eq!(one("freshness", "MedianLag"), "00:00:00");
    assert_eq!(one("duplicates", "RecordsTwice"), 0);
    assert_eq!(column("parameter Tenant", "TenantName"), ["(none)", "acme"]);
}

/// Sign-ins of programs (`seccft`) and second factors by themselves do not count.
#[test]
fn the_workbook_counts_every_kind_of_sign_in_that_the_asim_parser_has() {
    let of = |kinds: &[&str]| -> Vec<Value> {
        let event = |kind: &&str| event("11:10:00", kind, json!({}));
        kinds.iter().map(event).collect()
    };
    let succeeded = of(&[
        "s",
        "scoa",
        "sens",
        "sepft",
        "seotpft",
        "seoobft",
        "sercft",
        "sepkotpft",
        "sepkoobft",
        "sepkrcft",
        "sede",
        "secte",
        "ciba_exchange_succeeded",
        "sdel",
    ]);
    let failed = of(&[
        "f",
        "fp",
        "fu",
        "fc",
        "fcoa",
        "fens",
        "fepft",
        "fepotpft",
        "feotpft",
        "feoobft",
        "fercft",
        "fede",
        "fecte",
        "ciba_exchange_failed",
        "passkey_challenge_failed",
    ]);
    let others = of(&["seccft", "feccft", "gd_auth_failed", "seacft", "fsa"]);
    let records = [succeeded, failed, others].concat();
    let kql = Kql::over(&table(Api::DataCollector, &arrived(&records)));
    let results = kql.results_of_page("sentinel/workbook.json", NOW, &DAY);
    for (query, row, column, count) in [
        ("totals", 0, "Count", 14),
        ("totals", 1, "Count", 15),
        ("who fails", 0, "Failures", 15),
        ("from where", 0, "Failures", 15),
        ("against which application", 0, "Failures", 15),
        ("users", 0, "Succeeded", 14),
        ("addresses", 0, "Failed", 15),
        ("applications", 0, "SignIns", 14),
    ] {
        assert_eq!(results[query][row][column], count, "{query}");
    }
}

#[test]
fn a_tenant_that_is_chosen_is_the_only_one_shown() {
    let kql = Kql::over(&table(Api::DataCollector, &arrived(&records())));
    let mut values = DAY;
    values[0] = "Tenant='other'";
    let results = kql.results_of_page("sentinel/workbook.json", NOW, &values);
    assert!(results["who fails"].is_empty());
    assert!(results["what was changed by whom"].is_empty());
    assert_eq!(results["totals"][0]["Count"], 0);
}

#[test]
fn every_query_of_the_connector_page_answers() {
    let kql = Kql::over(&table(Api::DataCollector, &arrived(&records())));
    let results = kql.results_of_page("sentinel/connector.json", NOW, &[]);
    let counts: Vec<_> = results
        .iter()
        .map(|(name, it)| (&**name, it.len()))
        .collect();
    assert_eq!(
        counts,
        [
            ("connectivityCriterias[0]", 1),
            ("dataTypes[0]", 1),
            ("graphQueries[0]", 11),
            ("graphQueries[1]", 2),
            ("graphQueries[2]", 3),
            ("sampleQueries[0]", 11),
            ("sampleQueries[1]", 2),
            ("sampleQueries[2]", 1),
            ("sampleQueries[3]", 0),
        ]
    );
    assert_eq!(results["connectivityCriterias[0]"][0]["IsConnected"], true);
    assert_eq!(results["dataTypes[0]"][0]["Time"], "2026-11-21T11:40:00Z");
}
