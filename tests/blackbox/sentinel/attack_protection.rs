//! The rule *Attack protection switched off* for every form of the Management API, past and
//! present.

use auth0_poller::table::Api;
use serde_json::{Value, json};

use super::rules::{answered, arrived, call, table};
use crate::kql::{self, Kql};

const BRUTE_FORCE: &str = "/api/v2/attack-protection/brute-force-protection";
const THROTTLING: &str = "/api/v2/attack-protection/suspicious-ip-throttling";
const BREACHED: &str = "/api/v2/attack-protection/breached-password-detection";
const BOTS: &str = "/v2/attack-protection/bot-detection";
const CAPTCHAS: &str = "/api/v2/anomaly/captchas";
const CONNECTION: &str = "/api/v2/connections/con_1";
const RISK: &str = "/api/v2/risk-assessment/config";

/// Calls and their bodies, each with the change that the rule should report.
#[allow(clippy::too_many_lines, reason = "a list")]
fn asked() -> Vec<(&'static str, Value, &'static str)> {
    let blind = "does not block what it detects";
    let open = "lets everybody pass";
    let silent = "never challenges";
    vec![
        (BRUTE_FORCE, json!({"enabled": false}), "off"),
        (
            BRUTE_FORCE,
            json!({"enabled": false, "shields": ["block"]}),
            "off",
        ),
        (BRUTE_FORCE, json!({"enabled": true, "shields": []}), blind),
        (
            BRUTE_FORCE,
            json!({"shields": ["user_notification"]}),
            blind,
        ),
        (BRUTE_FORCE, json!({"shields": "user_notification"}), blind),
        (
            BRUTE_FORCE,
            json!({"shields": ["user_notification", "block"]}),
            "",
        ),
        (
            BRUTE_FORCE,
            json!({"enabled": true, "max_attempts": 10}),
            "",
        ),
        (BRUTE_FORCE, json!({"mode": "off"}), "off"),
        (BRUTE_FORCE, json!({"mode": "count_per_identifier"}), ""),
        (
            BRUTE_FORCE,
            json!({"allowlist": ["192.0.2.1", "0.0.0.0/0"]}),
            open,
        ),
        (
            THROTTLING,
            json!({"allowlist": ["0.0.0.0/1", "128.0.0.0/1"]}),
            open,
        ),
        (THROTTLING, json!({"allowlist": ["::/0"]}), open),
        (
            THROTTLING,
            json!({"allowlist": ["10.0.0.0/8", "2001:db8::/32", "192.0.2.7"]}),
            "",
        ),
        (
            THROTTLING,
            json!({"shields": ["admin_notification"]}),
            blind,
        ),
        (
            THROTTLING,
            json!({"stage": {"pre-login": {"max_attempts": 50, "rate": 864_000}}}),
            "",
        ),
        (
            BREACHED,
            json!({"shields": ["admin_notification", "user_notification"]}),
            blind,
        ),
        (
            BREACHED,
            json!({"stage": {"pre-user-registration": {"shields": []}}}),
            "does not block a sign-up",
        ),
        (
            BREACHED,
            json!({"stage": {"pre-user-registration": {"shields": ["admin_notification"]}}}),
            "does not block a sign-up",
        ),
        (
            BREACHED,
            json!({"stage": {"pre-change-password": {"shields": []}}}),
            "does not block a change of password",
        ),
        (
            BREACHED,
            json!({"stage": {"pre-user-registration": {"shields": ["block"]}}}),
            "",
        ),
        (BREACHED, json!({"method": "enhanced"}), ""),
        (
            BOTS,
            json!({"policy": "off", "passwordless_policy": "off", "password_reset_policy": "off", "selected": "auth_challenge"}),
            silent,
        ),
        (BOTS, json!({"policy": "off"}), silent),
        (BOTS, json!({"policy": false}), silent),
        (BOTS, json!({"passwordless_policy": "off"}), silent),
        (BOTS, json!({"password_reset_policy": "Off"}), silent),
        (
            BOTS,
            json!({"policy": "always_on", "passwordless_policy": "high_risk"}),
            "",
        ),
        (BOTS, json!({"selected": "auth_challenge"}), ""),
        (BOTS, json!({"challenge_password_policy": "never"}), silent),
        (
            BOTS,
            json!({"challenge_passwordless_policy": "never"}),
            silent,
        ),
        (
            BOTS,
            json!({"challenge_password_reset_policy": "never"}),
            silent,
        ),
        (
            BOTS,
            json!({"challenge_password_policy": "when_risky", "bot_detection_level": "low"}),
            "",
        ),
        (
            BOTS,
            json!({"monitoring_mode_enabled": true}),
            "watches only",
        ),
        (BOTS, json!({"allowlist": ["0.0.0.0/0"]}), open),
        (
            CAPTCHAS,
            json!({"policy": "off", "selected": "auth0"}),
            silent,
        ),
        (
            CAPTCHAS,
            json!({"policy": "high_risk", "selected": "auth0"}),
            "",
        ),
        (RISK, json!({"BeforeLoginPrompt": false}), "off"),
        (
            RISK,
            json!({"BeforeLoginPromptMonitoring": true}),
            "watches only",
        ),
        (
            RISK,
            json!({"BeforeLoginPrompt": true, "BeforeLoginPromptMonitoring": false}),
            "",
        ),
        (
            CONNECTION,
            json!({"options": {"brute_force_protection": false}}),
            "off",
        ),
        (
            CONNECTION,
            json!({"options": {"brute_force_protection": true}, "enabled": false}),
            "",
        ),
        (
            "/api/v2/clients/c",
            json!({"enabled": false, "policy": "off", "shields": []}),
            "",
        ),
        // Other spellings of a path.
        (
            "//api//v2//attack-protection//brute-force-protection/",
            json!({"enabled": false}),
            "off",
        ),
        (
            "/API/V2/Attack-Protection/Brute-Force-Protection",
            json!({"enabled": false}),
            "off",
        ),
        (
            "/api/v2/attack%2Dprotection/bot%2ddetection",
            json!({"policy": "off"}),
            silent,
        ),
        (
            " /api/v2/attack-protection/bot-detection?x=1 ",
            json!({"policy": "off"}),
            silent,
        ),
        (
            "/api/v2/attack-protection/bot-detection/%20",
            json!({"policy": "off"}),
            silent,
        ),
    ]
}

/// Calls, their bodies and the answers to them, each with the change that the rule should report.
fn with_answer() -> Vec<(&'static str, Value, Value, &'static str)> {
    let silent = "never challenges";
    vec![
        // Without a request body only the answer shows the change.
        (BRUTE_FORCE, json!(null), json!({"enabled": false}), "off"),
        (BRUTE_FORCE, json!({}), json!({"enabled": false}), "off"),
        (BOTS, json!(null), json!({"policy": "off"}), silent),
        (
            BREACHED,
            json!(null),
            json!({"enabled": true, "shields": []}),
            "does not block what it detects",
        ),
        (BOTS, json!(null), json!({"policy": "always_on"}), ""),
        (
            CONNECTION,
            json!(null),
            json!({"options": {"brute_force_protection": false}}),
            "",
        ),
        // What was off before is also off in the answer to another edit.
        (
            BRUTE_FORCE,
            json!({"allowlist": ["192.0.2.1"]}),
            json!({"enabled": false}),
            "",
        ),
        (
            BOTS,
            json!({"selected": "auth0"}),
            json!({"policy": "off", "selected": "auth0"}),
            "",
        ),
        (
            RISK,
            json!({"BeforeLoginPromptMonitoring": false}),
            json!({"BeforeLoginPrompt": false}),
            "",
        ),
        (
            BREACHED,
            json!({"enabled": true}),
            json!({"enabled": true, "shields": []}),
            "",
        ),
        // If they contradict each other, the answer counts.
        (
            BRUTE_FORCE,
            json!({"enabled": true}),
            json!({"enabled": false}),
            "off",
        ),
    ]
}

/// What the rule says of each record; empty if it says nothing.
fn changes(api: Api, records: &[Value]) -> Vec<String> {
    let rule = kql::project().join("sentinel/rules/attack-protection-off.yaml");
    let found = Kql::over_table_of(api, &table(api, &arrived(records)))
        .result_of(&rule, "2026-11-21T12:00:00Z");
    let change = |n| {
        let id = format!("900{n:053}");
        let found = found.iter().find(|row| row["LogId"] == id);
        found
            .map_or("", |row| row["Change"].as_str().unwrap())
            .to_owned()
    };
    (0..records.len()).map(change).collect()
}

#[test]
fn attack_protection_is_seen_to_go_off_in_every_form_and_by_both_ways() {
    let mut records = Vec::new();
    let mut expected = Vec::new();
    for (n, (path, body, change)) in asked().into_iter().enumerate() {
        let method = ["patch", "PUT", "post"][n % 3];
        records.push(call("11:40:00", method, path, body.clone()));
        expected.push((path, body, json!(null), change));
    }
    for (path, body, answer, change) in with_answer() {
        records.push(answered(
            call("11:40:00", "patch", path, body.clone()),
            answer.clone(),
        ));
        expected.push((path, body, answer, change));
    }
    // A call that only reads changes nothing.
    let off = json!({"enabled": false});
    let look = call("11:40:00", "get", BRUTE_FORCE, json!(null));
    records.push(answered(look, off.clone()));
    expected.push((BRUTE_FORCE, json!(null), off, ""));
    for api in [Api::DataCollector, Api::LogsIngestion] {
        let found = changes(api, &records);
        let wrong: Vec<_> = expected
            .iter()
            .zip(&found)
            .filter(|((.., change), found)| change != found)
            .collect();
        assert!(wrong.is_empty(), "{api:?}: {wrong:#?}");
    }
}

#[test]
fn a_path_of_the_management_api_has_one_spelling() {
    let paths = [
        (
            "/api/v2/users/auth0%7C7/authenticators",
            "/users/auth0|7/authenticators",
        ),
        ("/v2/Users/Auth0|7", "/users/auth0|7"),
        ("//api///v2//users/", "/users"),
        // A slash inside an id.
        (
            "/api/v2/users/ad%7Ca%2Fb/blocks?x=/y",
            "/users/ad|a%2fb/blocks",
        ),
        ("/api/v2/users/ad%7Ca%252Fb/", "/users/ad|a%2fb"),
        ("/api/v2/users/a+b%40example.com", "/users/a+b@example.com"),
        ("api/v2/users", "/users"),
        ("/api/v2", ""),
        ("/oauth/token", ""),
        ("", ""),
    ];
    let records: Vec<_> = paths
        .map(|(path, _)| call("11:40:00", "get", path, json!(null)))
        .to_vec();
    let api = Api::DataCollector;
    let rows =
        Kql::over(&table(api, &arrived(&records))).result("Auth0Events", "2026-11-21T12:00:00Z");
    for (n, (path, expected)) in paths.iter().enumerate() {
        let id = format!("900{n:053}");
        let row = rows.iter().find(|row| row["LogId"] == id).unwrap();
        assert_eq!(row["ApiPath"], *expected, "{path}");
    }
}
