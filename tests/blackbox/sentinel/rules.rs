//! What each analytic rule must find and must not find: the scenarios in `tests/kql/scenarios`,
//! over rows that the program makes of their records.
#![allow(
    clippy::needless_pass_by_value,
    reason = "a record reads better without ampersands"
)]

use std::fs;
use std::path::{Path, PathBuf};

use auth0_poller::pii::Privacy;
use auth0_poller::redact::Redaction;
use auth0_poller::table::Api;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use simulator::workspace::Table;

use crate::kql::{self, Kql};

const NOW: &str = "2026-11-21T12:00:00Z";

/// A record of the day of `NOW`, from one address.
pub(super) fn event(clock: &str, kind: &str, fields: Value) -> Value {
    let mut record = json!({
        "date": format!("2026-11-21T{clock}.000Z"), "type": kind, "ip": "198.51.100.7",
        "client_id": "shop", "client_name": "Shop", "user_id": "auth0|1", "user_name": "jane@example.com",
    });
    merge(&mut record, fields);
    record
}

/// A successful call of the Management API by an administrator.
pub(super) fn call(clock: &str, method: &str, path: &str, body: Value) -> Value {
    let details = json!({
        "request": {
            "method": method, "path": path, "ip": "203.0.113.9", "body": body,
            "auth": {"user": {"email": "admin@example.com", "user_id": "google-oauth2|1"}, "strategy": "jwt"},
        },
        "response": {"statusCode": 200},
    });
    event(
        clock,
        "sapi",
        json!({"user_id": "google-oauth2|1", "user_name": null, "details": details}),
    )
}

/// The call with its answer in the record.
pub(super) fn answered(mut call: Value, body: Value) -> Value {
    call["details"]["response"]["body"] = body;
    call
}

fn merge(record: &mut Value, fields: Value) {
    let Value::Object(fields) = fields else {
        panic!("fields are an object");
    };
    for (name, value) in fields {
        record[name] = value;
    }
}

fn at_place(city: &str, ip: &str, latitude: f64, longitude: f64) -> Value {
    json!({"ip": ip, "location_info": {"city_name": city, "country_name": "X",
        "latitude": latitude, "longitude": longitude}})
}

/// The row that is delivered for a record.
fn row_of(record: &str, api: Api, privacy: &Privacy) -> String {
    privacy.row(record, api).unwrap_or_else(|why| {
        let why = why.to_string();
        privacy.shortened(record, api, &why).unwrap()
    })
}

/// The table with a row for each of these records, which arrived through `api` at these times.
pub(super) fn table(api: Api, records: &[(Value, DateTime<Utc>)]) -> Table {
    table_of(api, records, &Redaction::On.into())
}

/// The same in a workspace that may not see everything.
fn table_of(api: Api, records: &[(Value, DateTime<Utc>)], privacy: &Privacy) -> Table {
    let mut table = Table::default();
    for (record, arrival) in records {
        let row = row_of(&record.to_string(), api, privacy);
        let row: Map<String, Value> = serde_json::from_str(&row).unwrap();
        match api {
            Api::DataCollector => table.store(row, Some("date"), *arrival),
            Api::LogsIngestion => {
                table.rows.push(row.into_iter().collect());
                table.stored_at.push(*arrival);
            }
        }
    }
    table
}

/// Gives the records ids. Each arrives when it happens.
pub(super) fn arrived(records: &[Value]) -> Vec<(Value, DateTime<Utc>)> {
    let arrived = records.iter().enumerate().map(|(n, record)| {
        let mut record = record.clone();
        record["log_id"] = json!(format!("900{n:053}"));
        let arrival = record["date"].as_str().unwrap().parse().unwrap();
        (record, arrival)
    });
    arrived.collect()
}

/// A rule's results over records.
fn results(rule: &Path, records: &[Value]) -> Vec<Map<String, Value>> {
    Kql::over(&table(Api::DataCollector, &arrived(records))).result_of(rule, NOW)
}

fn rule(name: &str) -> PathBuf {
    kql::project().join(format!("sentinel/rules/{name}.yaml"))
}

/// A workspace with the rows of all scenarios, which arrived through `api`.
fn scenarios(api: Api) -> Kql {
    scenarios_for(api, &Redaction::On.into())
}

fn scenarios_for(api: Api, privacy: &Privacy) -> Kql {
    let records = kql::scenarios().into_iter().map(|mut line| {
        let arrival = line["arrival"].as_str().unwrap().parse().unwrap();
        (line["record"].take(), arrival)
    });
    let records: Vec<_> = records.collect();
    assert!(records.len() > 1_000);
    Kql::over_table_of(api, &table_of(api, &records, privacy))
}

#[test]
fn each_rule_says_of_its_scenario_what_is_written_there_by_either_way_in() {
    for api in [Api::DataCollector, Api::LogsIngestion] {
        let problems = scenarios(api).judged("rules", &[]);
        assert_eq!(problems, Ok(String::new()), "{api:?}");
    }
}

/// For an event older than two days, the HTTP Data Collector API takes the time of arrival instead.
#[test]
fn what_arrives_days_late_counts_with_what_happened_when_it_did() {
    let arrival = "2026-11-21T11:30:00Z".parse().unwrap();
    let results = |name: &str, records: Vec<Value>| {
        let records = records.into_iter().enumerate().map(|(n, mut record)| {
            let clock = record["date"].as_str().unwrap()["2026-11-21".len()..].to_owned();
            record["date"] = json!(format!("2026-11-18{clock}"));
            record["log_id"] = json!(format!("900{n:053}"));
            (record, arrival)
        });
        let records: Vec<_> = records.collect();
        Kql::over(&table(Api::DataCollector, &records)).result_of(&rule(name), NOW)
    };
    let enrolled = |n: u32| {
        let details = json!({"authenticator": {"phone_number": 1_000_000 + n}});
        let clock = format!("1{n}:10:00");
        event(
            &clock,
            "gd_enrollment_complete",
            json!({"details": details}),
        )
    };
    assert_eq!(
        results("many-phone-numbers", (0..3).map(enrolled).collect()).len(),
        2,
        "of the account and of the address"
    );
    let read = |n: u32| {
        let clock = if n < 3 { "10:50:00" } else { "11:05:00" };
        let mut read = call(clock, "get", &format!("/api/v2/clients/Cl{n}"), json!({}));
        read["type"] = json!("mgmt_api_read");
        read["details"]["accessedSecrets"] = json!(["client_secret"]);
        read
    };
    let severities = |records: Vec<Value>| {
        let results = results("client-secret-read", records);
        let severities = results.iter().map(|it| it["AlertSeverity"].clone());
        severities.collect::<Vec<_>>()
    };
    assert_eq!(severities((0..5).map(read).collect()), ["Low", "Low"]);
    assert_eq!(severities((3..8).map(read).collect()), ["High"]);
}

/// Only every twelfth mutant, to save time. The next test takes all.
#[test]
fn mutants_of_each_rule_are_noticed_by_its_scenario() {
    let judged = scenarios(Api::LogsIngestion).judged("mutants", &["--every", "12"]);
    judged.unwrap();
}

#[test]
#[ignore = "takes ten minutes: cargo test --test blackbox mutants -- --ignored --nocapture"]
fn nine_in_ten_of_all_mutants_of_each_rule_are_noticed() {
    let judged = scenarios(Api::LogsIngestion).judged("mutants", &[]);
    println!("{}", judged.unwrap());
}

/// The kinds of personal data that identify somebody.
const PEOPLE: [&str; 8] = [
    "email",
    "username",
    "user_id",
    "phone",
    "first_name",
    "last_name",
    "address",
    "user_agent",
];

/// Compares what detections lose with these settings to these rows of the table in
/// `docs/privacy.md`.
fn assert_losses<const N: usize>(rows: [(&str, &str); N]) {
    let key = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
    let workspaces = rows.map(|(_, pii)| {
        let (who, method) = pii.split_once("PEOPLE:").unwrap_or((pii, ""));
        let people = PEOPLE.map(|kind| format!("{kind}:{method}")).join(",");
        let pii = format!("{who}{}", if method.is_empty() { "" } else { &people });
        let settings = [("PII", &*pii), ("PII_KEY", key)];
        let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let privacy = Privacy::of_settings(Redaction::On, settings).unwrap();
        scenarios_for(Api::LogsIngestion, &privacy)
    });
    let losses = scenarios(Api::LogsIngestion).losses(&workspaces);
    let page = fs::read_to_string(kql::project().join("docs/privacy.md")).unwrap();
    let rows = rows.map(|(row, _)| row);
    let written = rows.map(|row| {
        let mut lines = page.lines();
        let line = lines.find_map(|it| it.strip_prefix(&format!("| {row} | ")));
        let names = line.unwrap_or_default().split('`').skip(1).step_by(2);
        names.map(str::to_owned).collect::<Vec<_>>()
    });
    let told: Vec<_> = rows.into_iter().zip(written).collect();
    let found: Vec<_> = rows.into_iter().zip(losses).collect();
    assert_eq!(told, found);
}

#[test]
fn with_pseudonyms_the_rules_lose_what_the_page_on_personal_data_says() {
    assert_losses([
        ("persons as pseudonyms", "PEOPLE:pseudonym"),
        (
            "everything as pseudonyms",
            "ip:pseudonym,location:pseudonym,PEOPLE:pseudonym",
        ),
    ]);
}

#[test]
#[ignore = "takes minutes: cargo test --test blackbox rules_lose -- --ignored"]
fn without_personal_data_the_rules_lose_what_the_page_on_it_says() {
    assert_losses([
        ("`ip:truncate`", "ip:truncate"),
        ("`ip:mask` or `ip:drop`", "ip:mask"),
        ("persons masked or dropped", "PEOPLE:mask"),
    ]);
}

#[test]
fn a_known_address_is_no_place_to_travel_to() {
    let text = fs::read_to_string(rule("impossible-travel")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("rule.yaml");
    for (known, ip, expected) in [
        ("['2001:db8:0:1:']", "2001:db8:0:1::5", 0),
        ("['2001:DB8:0:1::5']", "2001:db8:0:1::5", 0),
        ("['2001:db8:0:1::5']", "2001:db8:0:1::55", 1),
        ("['2001:db8:0:1']", "2001:db8:0:12::5", 1),
        ("['203.0.113.']", "203.0.113.6", 0),
        ("['203.0.113.', '2001:db8:']", "2001:db8::1", 0),
        ("['203.0.113.', '2001:db8:']", "198.51.100.1", 1),
    ] {
        let list = "let knownAddresses = dynamic([]);";
        assert_eq!(text.matches(list).count(), 1);
        let changed = text.replace(list, &format!("let knownAddresses = dynamic({known});"));
        fs::write(&copy, changed).unwrap();
        let records = [
            event("11:10:00", "s", at_place("Berlin", "192.0.2.1", 52.5, 13.4)),
            event("11:40:00", "s", at_place("Sydney", ip, -33.9, 151.2)),
        ];
        assert_eq!(results(&copy, &records).len(), expected, "{known}: {ip}");
    }
}

#[test]
fn no_caller_hides_a_call_by_its_size() {
    let large = || "x".repeat(4_200_000);
    let members = (0..200_000).map(|n| (format!("member{n}"), json!(n)));
    let deep = (0..60).fold(json!(large()), |inner, _| json!([inner]));
    // What the rest of a body is filled with.
    let fillers = [
        json!({"a": "\"".repeat(2_100_000)}),
        json!({large(): 1}),
        Value::Object(members.collect()),
        json!({"a": deep}),
        json!({"name": large()}),
    ];
    let grants = fillers.map(|filler| {
        let mut body = json!({"client_id": "evil", "audience": "https://acme.eu.auth0.com/api/v2/",
            "scope": ["create:users"]});
        merge(&mut body, filler);
        call("11:20:00", "post", "/api/v2/client-grants", body)
    });
    let kql = Kql::over(&table(Api::DataCollector, &arrived(&grants)));
    for name in ["management-api-grant", "record-too-large"] {
        let found = kql.result_of(&rule(name), NOW);
        assert_eq!(found.len(), grants.len(), "{name}");
        for row in found {
            assert_eq!(row["AlertSeverity"], "High", "{name}");
        }
    }
}
