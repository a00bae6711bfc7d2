//! What each analytic rule is for, and what it must not take for that.
#![allow(
    clippy::needless_pass_by_value,
    reason = "a scenario reads better without ampersands"
)]

use std::path::Path;

use auth0_poller::redact::Redaction;
use auth0_poller::table::row::row;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use simulator::workspace::Table;

use crate::kql::{self, Kql};

const NOW: &str = "2026-11-21T12:00:00Z";

/// A record of this day, from one address.
fn event(clock: &str, kind: &str, fields: Value) -> Value {
    let mut record = json!({
        "date": format!("2026-11-21T{clock}.000Z"), "type": kind, "ip": "198.51.100.7",
        "client_id": "shop", "client_name": "Shop", "user_id": "auth0|1", "user_name": "jane@example.com",
    });
    merge(&mut record, fields);
    record
}

/// A successful call of the Management API by an administrator.
fn call(clock: &str, method: &str, path: &str, body: Value) -> Value {
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
    let event = |n| {
        event(
            &format!("11:10:{n:02}"),
            kind,
            user(&format!("user{n}@example.com")),
        )
    };
    (0..count).map(event).collect()
}

fn at_place(city: &str, ip: &str, latitude: f64, longitude: f64) -> Value {
    json!({"ip": ip, "location_info": {"city_name": city, "country_name": "X",
        "latitude": latitude, "longitude": longitude}})
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
            2,
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
        "management-api-grant" => (
            2,
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
            ],
        ),
        "mfa-reset-for-user" => (
            2,
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
            ],
        ),
        "mfa-weakened-for-tenant" => (
            3,
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
            ],
        ),
        "password-spraying" => (
            1,
            of_users(15, "fp"),
            [
                of_users(14, "fp"),
                // One user who forgot the password.
                (20..40)
                    .map(|n| event(&format!("11:10:{n}"), "fp", json!({"ip": "198.51.100.8"})))
                    .collect(),
            ]
            .concat(),
        ),
        "push-fatigue" => (
            2,
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
            ]
            .concat(),
            vec![
                event("11:10:00", "gd_send_pn", json!({})),
                event("11:11:00", "gd_auth_rejected", json!({})),
                event("11:12:00", "gd_send_pn", json!({})),
                event("11:13:00", "gd_auth_succeed", json!({})),
            ],
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
            2,
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

/// The number of a rule's results over these records.
fn results(rule: &Path, records: &[Value]) -> usize {
    let now: DateTime<Utc> = NOW.parse().unwrap();
    let mut table = Table::default();
    for (n, record) in records.iter().enumerate() {
        let mut record = record.clone();
        record["log_id"] = json!(format!("900{n:053}"));
        let row = row(&record.to_string(), Redaction::On).unwrap();
        table.store(serde_json::from_str(&row).unwrap(), Some("date"), now);
    }
    Kql::over(&table).result_of(rule, NOW).len()
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
        assert_eq!(results(&rule, &fires), expected, "{}", rule.display());
    }
}

#[test]
fn no_rule_fires_on_what_only_looks_like_it() {
    for rule in kql::files("sentinel/rules") {
        assert_eq!(
            results(&rule, &scenario(&name(&rule)).quiet),
            0,
            "{}",
            rule.display()
        );
    }
}

#[test]
fn the_silence_of_a_connector_that_never_spoke_is_noticed_too() {
    let rule = kql::project().join("sentinel/rules/connector-silent.yaml");
    assert_eq!(results(&rule, &[]), 1);
}
