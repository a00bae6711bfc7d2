//! What each analytic rule is for, and what it must not take for that.
#![allow(
    clippy::needless_pass_by_value,
    reason = "a scenario reads better without ampersands"
)]

use std::ops::Range;
use std::path::{Path, PathBuf};

use auth0_poller::redact::Redaction;
use auth0_poller::table::Api;
use auth0_poller::table::row::row;
use auth0_poller::table::shortened::shortened;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use simulator::workspace::Table;

use crate::kql::{self, Kql};

const NOW: &str = "2026-11-21T12:00:00Z";

/// A record of this day, from one address.
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

/// A call whose answer is in the record.
pub(super) fn answered(mut call: Value, body: Value) -> Value {
    call["details"]["response"]["body"] = body;
    call
}

fn failed(mut call: Value) -> Value {
    call["details"]["response"]["statusCode"] = json!(403);
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

fn user(name: &str) -> Value {
    json!({"user_name": name, "user_id": format!("auth0|{name}")})
}

/// `count` events of different users, a second apart from 11:10.
fn of_users(count: usize, kind: &str) -> Vec<Value> {
    from_address("198.51.100.7", "11:10", 0..count, kind)
}

/// An event of each of these users within a minute, from one address.
fn from_address(ip: &str, minute: &str, users: Range<usize>, kind: &str) -> Vec<Value> {
    let event = |n| {
        let mut fields = user(&format!("user{n}@example.com"));
        fields["ip"] = json!(ip);
        event(&format!("{minute}:{n:02}"), kind, fields)
    };
    users.map(event).collect()
}

/// An event of a user at each of these minutes.
fn at_minutes(minutes: &[&str], kind: &str, name: &str) -> Vec<Value> {
    let event = |minute| event(&format!("{minute}:00"), kind, user(name));
    minutes.iter().map(event).collect()
}

fn at_place(city: &str, ip: &str, latitude: f64, longitude: f64) -> Value {
    json!({"ip": ip, "location_info": {"city_name": city, "country_name": "X",
        "latitude": latitude, "longitude": longitude}})
}

/// Rejected push notifications of a user, whose name only one of the records has.
fn one_name_of_three() -> Vec<Value> {
    let mut records = at_minutes(
        &["11:31", "11:32", "11:33"],
        "gd_auth_rejected",
        "zoe@example.com",
    );
    records[0]["user_name"] = json!(null);
    records[2]["user_name"] = json!("");
    records
}

/// What makes a rule fire, how many results that has, and what leaves it quiet.
struct Scenario {
    fires: Vec<Value>,
    results: usize,
    quiet: Vec<Value>,
}

#[allow(clippy::too_many_lines, reason = "a list")]
fn scenario(rule: &str) -> Scenario {
    let (results, fires, quiet) = match rule {
        "attack-protection-off" => (
            5,
            vec![
                call(
                    "11:40:00",
                    "patch",
                    "/api/v2/attack-protection/brute-force-protection",
                    json!({"enabled": false}),
                ),
                call(
                    "11:41:00",
                    "patch",
                    "/v2/attack-protection/suspicious-ip-throttling",
                    json!({"shields": []}),
                ),
                call(
                    "11:42:00",
                    "patch",
                    "/api/v2/attack-protection/bot-detection",
                    json!({"challenge_password_policy": "when_risky", "challenge_password_reset_policy": "never"}),
                ),
                call(
                    "11:43:00",
                    "patch",
                    "/api/v2/attack-protection/bot-detection",
                    json!({"monitoring_mode_enabled": true}),
                ),
                // Only the answer tells.
                answered(
                    call(
                        "11:44:00",
                        "patch",
                        "/api/v2/attack-protection/breached-password-detection",
                        json!(null),
                    ),
                    json!({"enabled": false}),
                ),
            ],
            vec![
                call(
                    "11:40:00",
                    "patch",
                    "/api/v2/attack-protection/brute-force-protection",
                    json!({"enabled": true}),
                ),
                failed(call(
                    "11:41:00",
                    "patch",
                    "/api/v2/attack-protection/brute-force-protection",
                    json!({"enabled": false}),
                )),
                call(
                    "11:42:00",
                    "patch",
                    "/api/v2/connections/con_1",
                    json!({"enabled": false}),
                ),
                // An edit of what was off before.
                answered(
                    call(
                        "11:43:00",
                        "patch",
                        "/api/v2/attack-protection/brute-force-protection",
                        json!({"allowlist": ["192.0.2.1"]}),
                    ),
                    json!({"enabled": false, "allowlist": ["192.0.2.1"]}),
                ),
                call(
                    "11:44:00",
                    "patch",
                    "/api/v2/attack-protection/bot-detection",
                    json!({"challenge_password_policy": "always", "monitoring_mode_enabled": false}),
                ),
            ],
        ),
        "breached-password" => (
            2,
            vec![
                event("11:50:00", "pwd_leak", user("jane@example.com")),
                event("11:51:00", "signup_pwd_leak", user("joe@example.com")),
            ],
            vec![
                event("11:50:00", "fp", json!({})),
                // Seen by an earlier run of the rule.
                event("08:40:00", "pwd_leak", json!({})),
            ],
        ),
        "brute-force-protection" => (
            2,
            [
                of_users(3, "limit_wc"),
                vec![event(
                    "11:48:00",
                    "limit_mu",
                    json!({"ip": "198.51.100.20", "user_name": ""}),
                )],
            ]
            .concat(),
            of_users(2, "limit_wc"),
        ),
        "connector-silent" => (
            1,
            vec![event("03:40:00", "s", json!({}))],
            vec![event("11:30:00", "s", json!({}))],
        ),
        "impossible-travel" => (
            1,
            vec![
                event(
                    "11:10:00",
                    "s",
                    at_place("Berlin", "203.0.113.5", 52.5, 13.4),
                ),
                event(
                    "11:40:00",
                    "s",
                    at_place("Sydney", "203.0.113.6", -33.9, 151.2),
                ),
            ],
            vec![
                event(
                    "11:10:00",
                    "s",
                    at_place("Berlin", "203.0.113.5", 52.5, 13.4),
                ),
                event(
                    "11:40:00",
                    "s",
                    at_place("Potsdam", "203.0.113.6", 52.4, 13.1),
                ),
                // Long before, and somebody else.
                event(
                    "02:00:00",
                    "s",
                    at_place("Sydney", "203.0.113.7", -33.9, 151.2),
                ),
                event(
                    "11:20:00",
                    "fp",
                    at_place("Sydney", "203.0.113.7", -33.9, 151.2),
                ),
                // A backend's address.
                event(
                    "11:21:00",
                    "sepft",
                    at_place("Sydney", "203.0.113.8", -33.9, 151.2),
                ),
            ],
        ),
        "log-stream-stopped" => (
            2,
            vec![
                call(
                    "11:40:00",
                    "delete",
                    "/api/v2/log-streams/lst_1",
                    json!(null),
                ),
                call(
                    "11:41:00",
                    "patch",
                    "/api/v2/log-streams/lst_2",
                    json!({"status": "paused"}),
                ),
            ],
            vec![
                call(
                    "11:40:00",
                    "patch",
                    "/api/v2/log-streams/lst_1",
                    json!({"name": "new"}),
                ),
                call(
                    "11:41:00",
                    "post",
                    "/api/v2/log-streams",
                    json!({"type": "http"}),
                ),
                call(
                    "11:42:00",
                    "patch",
                    "/api/v2/log-streams/lst_1",
                    json!({"status": "active"}),
                ),
                failed(call(
                    "11:43:00",
                    "delete",
                    "/api/v2/log-streams/lst_1",
                    json!(null),
                )),
            ],
        ),
        "record-too-large" => (
            3,
            vec![
                // What is delivered where even the program could not read it.
                json!({"date": "2026-11-21T11:39:00.000Z", "type": "sapi", "description":
                    "auth0-poller could not read this record, which is larger than 67108864 bytes: its other \
                     fields are not here"}),
                call(
                    "11:40:00",
                    "post",
                    "/api/v2/client-grants",
                    json!({"filler": "x".repeat(4_200_000)}),
                ),
                event(
                    "11:41:00",
                    "f",
                    json!({"description": "x".repeat(4_200_000)}),
                ),
            ],
            vec![
                call(
                    "11:40:00",
                    "post",
                    "/api/v2/client-grants",
                    json!({"filler": "x".repeat(500_000)}),
                ),
                // No record can say it of itself.
                event(
                    "11:41:00",
                    "f",
                    json!({"Shortened": "its row takes 1 byte", "Shortened_s": "its row takes 1 byte"}),
                ),
            ],
        ),
        "management-api-grant" => (
            3,
            vec![
                call(
                    "11:40:00",
                    "post",
                    "/api/v2/client-grants",
                    json!({"client_id": "new",
                    "audience": "https://acme.eu.auth0.com/api/v2/", "scope": ["read:users", "delete:users"]}),
                ),
                call(
                    "11:41:00",
                    "patch",
                    "/api/v2/client-grants/cgr_1",
                    json!({"scope": ["read:logs"]}),
                ),
                call(
                    "11:42:00",
                    "patch",
                    "/api/v2/client-grants/cgr_2",
                    json!({"scope": ["create:actions"]}),
                ),
            ],
            vec![
                call(
                    "11:40:00",
                    "post",
                    "/api/v2/client-grants",
                    json!({"client_id": "new",
                    "audience": "https://orders.example.com/", "scope": ["read:orders"]}),
                ),
                call(
                    "11:41:00",
                    "delete",
                    "/api/v2/client-grants/cgr_1",
                    json!(null),
                ),
                call(
                    "11:42:00",
                    "post",
                    "/api/v2/clients",
                    json!({"name": "new"}),
                ),
                call(
                    "11:43:00",
                    "patch",
                    "/api/v2/client-grants/cgr_1",
                    json!({"scope": ["read:orders"]}),
                ),
            ],
        ),
        "mfa-reset-for-user" => (
            3,
            vec![
                call(
                    "11:40:00",
                    "delete",
                    "/api/v2/users/auth0%7C7/authenticators",
                    json!(null),
                ),
                call(
                    "11:41:00",
                    "delete",
                    "/api/v2/guardian/enrollments/dev_0Ab",
                    json!(null),
                ),
                call(
                    "11:42:00",
                    "put",
                    "/api/v2/users/auth0%7C8/authentication-methods",
                    json!([]),
                ),
            ],
            vec![
                call(
                    "11:40:00",
                    "patch",
                    "/api/v2/users/auth0%7C7",
                    json!({"blocked": true}),
                ),
                call(
                    "11:41:00",
                    "get",
                    "/api/v2/users/auth0%7C7/authenticators",
                    json!(null),
                ),
                call(
                    "11:42:00",
                    "patch",
                    "/api/v2/users/auth0%7C7/authentication-methods/totp%7Cdev_1",
                    json!({"name": "new"}),
                ),
            ],
        ),
        "mfa-weakened-for-tenant" => (
            5,
            vec![
                call("11:40:00", "put", "/api/v2/guardian/policies", json!([])),
                call(
                    "11:41:00",
                    "put",
                    "/v2/guardian/factors/sms",
                    json!({"enabled": false}),
                ),
                call(
                    "11:42:00",
                    "patch",
                    "/api/v2/actions/triggers/post-login/bindings",
                    json!({"bindings": []}),
                ),
                call(
                    "11:43:00",
                    "patch",
                    "/api/v2/risk-assessments/settings",
                    json!({"enabled": false}),
                ),
                call(
                    "11:44:00",
                    "patch",
                    "/api/v2/risk-assessment/config",
                    json!({"AfterAuthentication": false}),
                ),
            ],
            vec![
                call(
                    "11:40:00",
                    "put",
                    "/api/v2/guardian/policies",
                    json!(["all-applications"]),
                ),
                call(
                    "11:41:00",
                    "put",
                    "/api/v2/guardian/factors/otp",
                    json!({"enabled": true}),
                ),
                failed(call(
                    "11:42:00",
                    "put",
                    "/api/v2/guardian/policies",
                    json!([]),
                )),
                call(
                    "11:43:00",
                    "patch",
                    "/api/v2/actions/triggers/post-login/bindings",
                    json!({"bindings": [{"ref": 1}]}),
                ),
                call(
                    "11:44:00",
                    "patch",
                    "/api/v2/risk-assessments/settings",
                    json!({"enabled": true}),
                ),
                call(
                    "11:45:00",
                    "patch",
                    "/api/v2/risk-assessments/settings/new-device",
                    json!({"remember_for": 30}),
                ),
            ],
        ),
        "password-spraying" => (
            3,
            [
                of_users(15, "fp"),
                // Before and after the full hour.
                from_address("198.51.100.20", "10:59", 0..8, "fp"),
                from_address("198.51.100.20", "11:00", 8..15, "fu"),
                from_address("198.51.100.21", "11:10", 0..15, "fepft"),
            ]
            .concat(),
            [
                of_users(14, "fp"),
                // As many as in a spray, but not within an hour.
                from_address("198.51.100.20", "10:20", 0..8, "fp"),
                from_address("198.51.100.20", "11:50", 8..15, "fp"),
                // One user who forgot the password.
                (20..40)
                    .map(|n| event(&format!("11:10:{n}"), "fp", json!({"ip": "198.51.100.8"})))
                    .collect(),
            ]
            .concat(),
        ),
        "push-fatigue" => (
            4,
            [
                (0..3)
                    .map(|n| event(&format!("11:1{n}:00"), "gd_auth_rejected", json!({})))
                    .collect::<Vec<_>>(),
                (0..8)
                    .map(|n| {
                        event(
                            &format!("11:2{n}:00"),
                            "gd_send_pn",
                            user("joe@example.com"),
                        )
                    })
                    .collect(),
                // Before and after the full hour.
                at_minutes(
                    &["10:57", "10:59", "11:01"],
                    "gd_auth_rejected",
                    "ann@example.com",
                ),
                one_name_of_three(),
            ]
            .concat(),
            [
                vec![
                    event("11:10:00", "gd_send_pn", json!({})),
                    event("11:11:00", "gd_auth_rejected", json!({})),
                    event("11:12:00", "gd_send_pn", json!({})),
                    event("11:13:00", "gd_auth_succeed", json!({})),
                ],
                // As many as in a series, but not within an hour.
                at_minutes(
                    &["10:20", "11:05", "11:50"],
                    "gd_auth_rejected",
                    "ann@example.com",
                ),
            ]
            .concat(),
        ),
        "refresh-token-reuse" => (
            1,
            vec![event(
                "11:50:00",
                "ferrt",
                json!({"description": "Unsuccessful Refresh Token exchange, reused refresh token detected"}),
            )],
            vec![
                event(
                    "11:50:00",
                    "fertft",
                    json!({"description": "Unknown or invalid refresh token."}),
                ),
                event("11:51:00", "sertft", json!({})),
            ],
        ),
        "tenant-administrator-added" => (
            4,
            vec![
                call(
                    "11:40:00",
                    "post",
                    "/api/v2/tenants/invitations",
                    json!({"owners": ["marge@example.com"], "roles": ["owner"]}),
                ),
                call(
                    "11:45:00",
                    "patch",
                    "/api/v2/tenants/invitations/inv_1",
                    json!({"state": "accepted", "user": {"email": "marge@example.com"}}),
                ),
                call(
                    "11:46:00",
                    "post",
                    "/api/v2/tenants/invitations",
                    json!({"email": "joe@example.com"}),
                ),
                call(
                    "11:47:00",
                    "put",
                    "/api/v2/tenants/members/mem_1/roles",
                    json!(null),
                ),
            ],
            vec![
                call(
                    "11:45:00",
                    "patch",
                    "/api/v2/tenants/invitations/inv_1",
                    json!({"state": "declined"}),
                ),
                call(
                    "11:46:00",
                    "post",
                    "/api/v2/organizations/org_1/invitations",
                    json!({"invitee": {"email": "x@example.com"}}),
                ),
                call(
                    "11:47:00",
                    "patch",
                    "/api/v2/tenants/settings",
                    json!({"friendly_name": "x"}),
                ),
            ],
        ),
        other => panic!("the rule {other} has no scenario"),
    };
    Scenario {
        fires,
        results,
        quiet,
    }
}

/// The row that is delivered of a record.
fn row_of(record: &str) -> String {
    row(record, Api::DataCollector, Redaction::On).unwrap_or_else(|why| {
        let why = why.to_string();
        shortened(record, Api::DataCollector, Redaction::On, &why).unwrap()
    })
}

/// A rule's results over records, each with the time at which it arrives.
fn results_by_arrival(rule: &Path, records: &[(Value, &str)]) -> Vec<Map<String, Value>> {
    over(records).result_of(rule, NOW)
}

/// Queries over records, each with the time at which it arrives.
fn over(records: &[(Value, &str)]) -> Kql {
    let mut table = Table::default();
    for (n, (record, arrival)) in records.iter().enumerate() {
        let mut record = record.clone();
        record["log_id"] = json!(format!("900{n:053}"));
        let row = row_of(&record.to_string());
        let arrival: DateTime<Utc> = arrival.parse().unwrap();
        table.store(serde_json::from_str(&row).unwrap(), Some("date"), arrival);
    }
    Kql::over(&table)
}

/// A rule's results over records that arrive when they happen.
fn results(rule: &Path, records: &[Value]) -> Vec<Map<String, Value>> {
    let arrived = records
        .iter()
        .map(|record| (record.clone(), record["date"].as_str().unwrap()));
    results_by_arrival(rule, &arrived.collect::<Vec<_>>())
}

fn rule(name: &str) -> PathBuf {
    kql::project().join(format!("sentinel/rules/{name}.yaml"))
}

fn name(rule: &Path) -> String {
    rule.file_stem().unwrap().to_string_lossy().into_owned()
}

#[test]
fn each_rule_fires_on_what_it_is_for() {
    let rules = kql::files("sentinel/rules");
    assert!(rules.len() >= 8);
    for rule in rules {
        let Scenario {
            fires,
            results: expected,
            ..
        } = scenario(&name(&rule));
        let found = results(&rule, &fires);
        assert_eq!(found.len(), expected, "{}: {found:?}", rule.display());
    }
}

#[test]
fn no_rule_fires_on_what_only_looks_like_it() {
    for rule in kql::files("sentinel/rules") {
        let found = results(&rule, &scenario(&name(&rule)).quiet);
        assert!(found.is_empty(), "{}: {found:?}", rule.display());
    }
}

#[test]
fn the_silence_of_a_connector_that_never_spoke_is_noticed_too() {
    assert_eq!(results(&rule("connector-silent"), &[]).len(), 1);
}

#[test]
fn a_late_record_is_looked_at_after_its_arrival() {
    let leak = event("05:00:00", "pwd_leak", json!({}));
    let rule = rule("breached-password");
    for (arrival, expected) in [("2026-11-21T11:50:00Z", 1), ("2026-11-21T10:50:00Z", 0)] {
        let found = results_by_arrival(&rule, &[(leak.clone(), arrival)]);
        assert_eq!(found.len(), expected, "{arrival}");
    }
}

#[test]
fn a_connector_that_only_brings_old_records_is_not_silent() {
    let old = event("01:00:00", "s", json!({}));
    let rule = rule("connector-silent");
    assert!(results_by_arrival(&rule, &[(old, "2026-11-21T11:50:00Z")]).is_empty());
}

#[test]
fn a_user_is_shown_by_the_name_that_any_of_the_records_has() {
    let found = results(&rule("push-fatigue"), &one_name_of_three());
    assert_eq!(found[0]["Account"], "zoe@example.com");
}

#[test]
fn of_two_windows_the_one_in_which_the_user_gave_in_is_shown() {
    let name = "ann@example.com";
    let records = [
        at_minutes(&["11:26", "11:27", "11:28"], "gd_auth_rejected", name),
        at_minutes(&["11:40"], "gd_auth_succeed", name),
        // These make the other window the fuller one.
        at_minutes(&["10:50", "10:51", "10:52"], "gd_send_pn", name),
    ]
    .concat();
    let found = results(&rule("push-fatigue"), &records);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0]["AlertSeverity"], "High");
}

#[test]
fn what_a_call_was_about_is_shown_in_any_spelling_of_its_path() {
    for (name, path, column, expected) in [
        (
            "mfa-reset-for-user",
            "/api/v2//Users//auth0%7cAb/authenticators/",
            "AffectedUser",
            "auth0|Ab",
        ),
        (
            "log-stream-stopped",
            "/api/v2/Log-Streams//lst_Ab/",
            "LogStream",
            "lst_Ab",
        ),
    ] {
        let found = results(
            &rule(name),
            &[call("11:40:00", "DELETE", path, json!(null))],
        );
        assert_eq!(found.len(), 1, "{path}");
        assert_eq!(found[0][column], expected, "{path}");
    }
}

#[test]
fn records_without_an_address_are_not_one_address() {
    let rule = rule("brute-force-protection");
    let mut records = of_users(3, "limit_wc");
    for (record, ip) in records
        .iter_mut()
        .zip([json!(null), json!(""), json!(null)])
    {
        record["ip"] = ip;
    }
    assert!(results(&rule, &records).is_empty());
    for record in &mut records {
        record["type"] = json!("limit_mu");
    }
    let found = results(&rule, &records);
    let addresses: Vec<_> = found.iter().map(|row| &row["Address"]).collect();
    assert_eq!(addresses, ["an unknown address"; 3]);
}

#[test]
fn a_known_address_is_no_place_to_travel_to() {
    let text = std::fs::read_to_string(rule("impossible-travel")).unwrap();
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
        std::fs::write(&copy, changed).unwrap();
        let records = [
            event("11:10:00", "s", at_place("Berlin", "192.0.2.1", 52.5, 13.4)),
            event("11:40:00", "s", at_place("Sydney", ip, -33.9, 151.2)),
        ];
        assert_eq!(results(&copy, &records).len(), expected, "{known}: {ip}");
    }
}

#[test]
fn an_administrator_is_named_where_the_record_tells() {
    let rule = rule("tenant-administrator-added");
    let mut found = results(&rule, &scenario(&name(&rule)).fires);
    found.sort_by_key(|row| row["TimeGenerated"].to_string());
    let names: Vec<_> = found.iter().map(|row| &row["Who"]).collect();
    assert_eq!(
        names,
        [
            "marge@example.com",
            "marge@example.com",
            "joe@example.com",
            "somebody"
        ]
    );
}

#[test]
fn no_caller_hides_a_call_by_its_size() {
    let large = || "x".repeat(4_200_000);
    let members = (0..200_000).map(|n| (format!("member{n}"), json!(n)));
    let deep = (0..60).fold(json!(large()), |inner, _| json!([inner]));
    // What a body is filled with.
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
        let grant = call("11:20:00", "post", "/api/v2/client-grants", body);
        (grant, "2026-11-21T11:20:00Z")
    });
    let kql = over(&grants);
    for name in ["management-api-grant", "record-too-large"] {
        let found = kql.result_of(&rule(name), NOW);
        assert_eq!(found.len(), grants.len(), "{name}");
        for row in found {
            assert_eq!(row["AlertSeverity"], "High", "{name}");
        }
    }
}

#[test]
fn no_caller_keeps_a_rule_quiet_by_what_it_sends() {
    // As parameters of a URL these would all be one name.
    let users = (0..15).map(|n| {
        let fields = user(&format!("a?token=user{n}@example.com"));
        event(&format!("11:10:{n:02}"), "fp", fields)
    });
    let found = results(&rule("password-spraying"), &users.collect::<Vec<_>>());
    assert_eq!(found.len(), 1);
    // Paths of calls whose bodies are masked.
    for hidden in ["/api/v2/rules-configs/x", "/api/v2/hooks/1/secrets"] {
        let mut grant = call(
            "11:20:00",
            "post",
            "/api/v2/client-grants",
            json!({"client_id": "evil", "audience": "https://acme.eu.auth0.com/api/v2/",
                "scope": ["create:users"]}),
        );
        grant["user_agent"] = json!(hidden);
        grant["details"]["request"]["userAgent"] = json!(hidden);
        grant["details"]["request"]["correlation_id"] = json!(hidden);
        let found = results(&rule("management-api-grant"), &[grant]);
        assert_eq!(found.len(), 1, "{hidden}");
        assert_eq!(found[0]["GrantedClient"], "evil");
    }
}
