//! No destination gets data that its policy withholds, in any record format.

use bytes::Bytes;
use serde_json::Value;

use super::*;
use crate::app::layers::{Built, Problems};
use crate::destination::{KINDS, Kind};
use crate::record::Record;

const KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
const OTHER_KEY: &str = "YW5vdGhlciBrZXkgb2YgdGhpcnR5LXR3byBieXRlcyE=";
const ALL: &str = "email:pseudonym,phone:pseudonym,username:pseudonym,first_name:pseudonym,\
                   last_name:pseudonym,address:pseudonym,user_id:pseudonym,ip:pseudonym,\
                   location:pseudonym,user_agent:pseudonym";
/// Settings of the destinations besides those of the reference connector.
const OF_EACH: [(&str, &str); 9] = [
    (
        "EVENT_GRID_ENDPOINT",
        "https://acme.westeurope-1.eventgrid.azure.net/api/events",
    ),
    ("EVENT_GRID_KEY", "a2V5"),
    ("EVENT_BRIDGE_BUS", "auth0"),
    ("AWS_REGION", "eu-central-1"),
    ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
    ("AWS_SECRET_ACCESS_KEY", "s3cret"),
    ("TINYBIRD_HOST", "https://api.europe-west2.gcp.tinybird.co"),
    ("TINYBIRD_TOKEN", "t0ken"),
    ("ARCHIVE_URL", "file:///var/lib/auth0"),
];
/// Values that identify Ada, in lower case.
const PERSONAL: [&str; 14] = [
    "ada@example.com",
    "ada%40example.com",
    "5f1abcdef",
    "lovelace",
    "augusta",
    "countess",
    "203.0.113.7",
    "2001:db8:1::7",
    "15550100200",
    "555-010-0200",
    "mozilla/5.0",
    "ockham",
    "51.25",
    "surrey",
];

/// Records about Ada, of several shapes.
fn records() -> Vec<String> {
    let head = r#""date":"2026-11-21T08:00:00.000Z","log_id":"9001","_id":"9001","client_id":"c1","client_name":"Shop","connection":"Users","hostname":"acme.eu.auth0.com""#;
    [
        // A login.
        r#""type":"fp","description":"Wrong password for ada@example.com","user_name":"Ada@example.com","user_id":"auth0|5f1abcdef","ip":"203.0.113.7","client_ip":"203.0.113.7","user_agent":"Mozilla/5.0 (X11; Linux)","location_info":{"country_code":"GB","city_name":"Ockham","latitude":51.25,"longitude":-0.5,"time_zone":"Europe/Surrey"},"details":{"error":{"message":"no Ada@Example.com from 203.0.113.7"},"session_id":"s1","stats":{"loginsCount":7}}"#,
        // A call to the Management API.
        r#""type":"sapi","description":"Update a user","user_id":"auth0|5f1abcdef","details":{"request":{"ip":"2001:db8:1::7","userAgent":"Mozilla/5.0 (X11; Linux)","path":"/api/v2/users/auth0%7C5f1abcdef","query":{"q":"email:\"ada@example.com\""},"auth":{"user":{"user_id":"auth0|5f1abcdef","name":"Ada Lovelace","email":"ada@example.com"}},"body":{"given_name":"Augusta","family_name":"Lovelace","name":"Augusta Ada Lovelace","nickname":"countess","phone_number":"+1 (555) 010-0200","address":{"locality":"Ockham","region":"Surrey"},"user_metadata":{"name":"Lovelace"}}},"response":{"body":{"identities":[{"user_id":"5f1abcdef","provider":"auth0","profileData":{"email":"ada@example.com","name":"Ada Lovelace"}}],"last_ip":"203.0.113.7"}}}"#,
        // An SMS.
        r#""type":"gd_send_sms","user_id":"sms|5f1abcdef","user_name":"+15550100200","details":{"authenticator":{"phone_number":"+1 555-010-0200"},"text":"sent to +15550100200"}"#,
        // Texts nested in texts, and a name without a column.
        r#""type":"fcoa","user_name":"countess","user_agent":"Mozilla/5.0 (X11; Linux)","details":{"qs":"login_hint=ada%40example.com&state=x","body":"{\"email\":\"ada@example.com\",\"profile\":\"{\\\"family_name\\\":\\\"Lovelace\\\"}\"}","error":"at /u?login_hint=ada%2540example.com for Countess","by":{"ada@example.com":{"last_ip":"203.0.113.7"}}}"#,
        // Too large for a row.
        &format!(r#""type":"sapi","user_name":"ada@example.com","ip":"203.0.113.7","details":{{"request":{{"body":{{"owners":["ada@example.com"],"text":"ada@example.com {} Ada@example.com"}}}}}}"#, "- ".repeat(600_000)),
    ]
    .into_iter()
    .map(|rest| format!("{{{head},{rest}}}"))
    .collect()
}

fn built(kind: &Kind, settings: &[(&str, &str)]) -> Built {
    let all = [&REFERENCE[..], &RULE, &OF_EACH, settings].concat();
    let purpose = Purpose::CommandLine { destination: None };
    let layers = layers(all.into_iter().collect(), purpose);
    let tools = layers.tools(&mut Problems::default()).unwrap();
    layers
        .build(kind, &tools)
        .unwrap_or_else(|problems| panic!("{} needs settings in OF_EACH: {problems}", kind.name))
}

/// Everything of a record that leaves the process, to a destination or elsewhere.
fn sent(built: &Built, json: &str) -> String {
    let record = Record {
        log_id: crate::record::LogId::new("9001"),
        date: Some("2026-11-21T08:00:00Z".parse().unwrap()),
        json: Bytes::copy_from_slice(json.as_bytes()),
    };
    let row = match built.destination.encode(&record) {
        Ok(row) => Some(row),
        Err(why) => built.destination.shortened(&record, &why.to_string()),
    };
    let row = row.unwrap_or_default();
    let letter = built.privacy.line(json);
    format!("{}\n{letter}", String::from_utf8_lossy(&row))
}

/// Checks that none of these values, in lower case, leaves the process.
#[track_caller]
fn assert_gone<'a>(sent: &str, personal: impl IntoIterator<Item = &'a str>, whose: &str) {
    let sent = sent.to_lowercase();
    for value in personal {
        let at = sent.find(value);
        let part =
            at.map(|at| &sent[sent.floor_char_boundary(at.saturating_sub(80))..at + value.len()]);
        assert_eq!(part, None, "{whose}");
    }
}

#[test]
fn no_record_of_any_type_tells_a_destination_of_a_person() {
    let records = &records()[..4];
    let types: Vec<_> = crate::record::types().collect();
    assert!(types.len() > 150);
    for kind in KINDS {
        let built = built(kind, &[("PII", ALL), ("PII_KEY", KEY)]);
        for (number, name) in types.iter().enumerate() {
            let mut record: Value = serde_json::from_str(&records[number % 4]).unwrap();
            record["type"] = (*name).into();
            let sent = sent(&built, &record.to_string());
            assert!(
                sent.contains(&format!("\"{name}\"")) || sent.contains(&format!("\\\"{name}\\\""))
            );
            assert_gone(&sent, PERSONAL, kind.name);
        }
    }
}

/// Events published by others. They are not part of the project; without the file there is nothing
/// to check.
#[test]
fn no_published_event_tells_a_destination_of_a_person() {
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../shared/data/auth0-events.ndjson"
    );
    let events = std::fs::read_to_string(file).unwrap_or_default();
    for kind in KINDS {
        let built = built(kind, &[("PII", ALL), ("PII_KEY", KEY)]);
        for event in events.lines() {
            let mut event: Value = serde_json::from_str(event).unwrap();
            while let Some(inner) = ["event", "data", "detail"]
                .iter()
                .find(|it| event[**it].is_object())
            {
                event = event[*inner].take();
            }
            let mut values = std::collections::BTreeSet::new();
            add_personal(&event, "", &mut values);
            let sent = sent(&built, &event.to_string());
            let sent = sent.to_lowercase();
            for value in values {
                let is_word = |it: Option<char>| it.is_some_and(char::is_alphanumeric);
                let found = sent.match_indices(&value).find(|(at, _)| {
                    let (before, after) = (&sent[..*at], &sent[at + value.len()..]);
                    !is_word(before.chars().next_back()) && !is_word(after.chars().next())
                });
                assert_eq!(found, None, "{} {}", kind.name, event["type"]);
            }
        }
    }
}

/// Collects, in lower case, the values of fields with personal names.
fn add_personal(value: &Value, name: &str, found: &mut std::collections::BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                add_personal(value, name, found);
            }
        }
        Value::Array(values) => values.iter().for_each(|it| add_personal(it, name, found)),
        Value::String(text) => {
            let is_personal = matches!(
                &*name.to_lowercase().replace(['_', '-'], ""),
                "email"
                    | "emails"
                    | "phone"
                    | "phonenumber"
                    | "username"
                    | "nickname"
                    | "givenname"
                    | "firstname"
                    | "familyname"
                    | "lastname"
                    | "userid"
                    | "ip"
                    | "clientip"
                    | "lastip"
                    | "useragent"
                    | "cityname"
                    | "countryname"
                    | "timezone"
                    | "address"
            );
            let says_nothing = ["known", "unknown"].contains(&&**text);
            if is_personal && !says_nothing {
                let id = text.rsplit('|').next().unwrap_or_default();
                found.extend(
                    [&**text, id]
                        .into_iter()
                        .filter(|it| it.len() >= 4)
                        .map(str::to_lowercase),
                );
            }
        }
        _ => {}
    }
}

#[test]
fn no_destination_gets_what_its_policy_keeps_back() {
    for kind in KINDS {
        for (setting, pii) in [
            ("PII", ALL.to_owned()),
            (kind.pii, ALL.replace("pseudonym", "mask")),
            (kind.pii, ALL.replace("pseudonym", "drop")),
        ] {
            let built = built(kind, &[(setting, &pii), ("PII_KEY", KEY)]);
            for record in records() {
                if record.len() > 100_000 && setting != "PII" {
                    continue;
                }
                let whose = format!("{} {pii}", kind.name);
                assert_gone(&sent(&built, &record), PERSONAL, &whose);
            }
        }
    }
}

#[test]
fn without_a_policy_each_destination_gets_it_all() {
    for kind in KINDS {
        for settings in [&[][..], &[("PII", ALL), (kind.pii, "none")]] {
            let sent = sent(&built(kind, settings), &records()[0]);
            for personal in ["Ada@example.com", "5f1abcdef", "203.0.113.7", "Ockham"] {
                let count = sent.matches(personal).count();
                assert!(count >= 2, "{} {personal}", kind.name);
            }
        }
    }
}

#[test]
fn records_of_one_person_share_their_pseudonyms_and_those_of_another_key_do_not() {
    // Computed with Python's hmac, hashlib and base64 over `email\0ada@example.com`, with each key.
    let by_key = [
        (KEY, "p1_2xedtbutyn3h3xjwcepxqb2mqa@example.com"),
        (OTHER_KEY, "p1_wkbi2ytapnytify2ftitvakrdi@example.com"),
    ];
    for kind in KINDS {
        for ((key, own), (_, other)) in [(by_key[0], by_key[1]), (by_key[1], by_key[0])] {
            let built = built(kind, &[("PII", ALL), ("PII_KEY", key)]);
            for record in &records()[..2] {
                let sent = sent(&built, record);
                assert!(sent.contains(own), "{}", kind.name);
                assert!(!sent.contains(other), "{}", kind.name);
            }
        }
    }
}

#[test]
fn a_bad_policy_stops_its_destination_alone() {
    let settings = [
        &RULE[..],
        &[
            ("DESTINATIONS", "logs-ingestion,log-analytics"),
            ("PII_LOGS_INGESTION", "email:hash"),
        ],
    ];
    let app = app(&settings.concat()).unwrap();
    let problem = app.pipelines[0].route.as_ref().err().unwrap().to_string();
    assert!(
        problem.contains("PII_LOGS_INGESTION names an unknown method"),
        "{problem}"
    );
    assert!(app.pipelines[1].route.is_ok());
}

/// A key of a bad form stops every destination, so nothing goes on without.
#[test]
fn only_a_key_that_the_vault_does_not_give_is_told_as_one_that_others_go_on_without() {
    let reference = "@Microsoft.KeyVault(SecretUri=https://acme.vault.azure.net/secrets/PiiKey/)";
    let key = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
    let told = |settings: &[(&str, &str)]| {
        let settings = settings.iter().copied().collect();
        layers(settings, Purpose::Host).without_pseudonyms()
    };
    let problem = told(&[("PII_KEY", reference)]).unwrap();
    assert!(
        problem.contains("PII_KEY is a Key Vault reference that was not resolved"),
        "{problem}"
    );
    for previous in [reference, "0:short"] {
        let settings = [("PII_KEY", key), ("PII_KEY_PREVIOUS", previous)];
        assert_eq!(told(&settings).is_some(), previous == reference);
    }
    assert_eq!(told(&[("PII_KEY", "short")]), None);
    assert_eq!(told(&[("PII_KEY_PREVIOUS", reference)]), None);
    assert_eq!(told(&[("PII_KEY", key)]), None);
}

/// `DESTINATIONS` was changed, and the policies were not.
#[test]
fn a_destination_without_a_policy_is_told_where_another_one_is_left() {
    let told = |settings: &[(&str, &str)]| {
        let settings = settings.iter().copied().collect();
        layers(settings, Purpose::Host).without_policy("logs-ingestion")
    };
    let moved = ("DESTINATIONS", "logs-ingestion");
    let left = ("PII_LOG_ANALYTICS", "email:mask");
    assert_eq!(
        told(&[moved, left]).unwrap(),
        "PII_LOG_ANALYTICS applies to no destination in DESTINATIONS, and logs-ingestion gets all \
         personal data: set PII_LOGS_INGESTION, or if that is meant, set it to none"
    );
    let both = told(&[moved, left, ("PII_ARCHIVE", "ip:drop")]).unwrap();
    assert!(
        both.starts_with("PII_LOG_ANALYTICS, PII_ARCHIVE applies"),
        "{both}"
    );
    // A policy that is damaged was meant as one.
    assert!(told(&[moved, ("PII_ARCHIVE", "email")]).is_some());
    for settings in [
        &[moved][..],
        &[moved, ("PII_LOG_ANALYTICS", "none")],
        &[moved, left, ("PII", "ip:mask")],
        &[moved, left, ("PII", "none")],
        &[moved, left, ("PII_LOGS_INGESTION", "none")],
        // Both are in use, and each has what was set for it.
        &[("DESTINATIONS", "log-analytics, logs-ingestion"), left],
    ] {
        assert_eq!(told(settings), None, "{settings:?}");
    }
    // What a person looks at goes nowhere.
    let looking = [moved, left].into_iter().collect();
    let purpose = Purpose::CommandLine {
        destination: Some("stdout".into()),
    };
    assert_eq!(layers(looking, purpose).without_policy("stdout"), None);
}

#[test]
fn a_key_of_a_tenant_s_own_with_the_id_of_all_is_told() {
    let list = [("TENANTS", "acme,globex"), ("ACME__PII_KEY", "x")];
    let told = |settings: &[(&str, &str)]| {
        let settings = [&list[..], settings].concat().into_iter().collect();
        let tenants = Tenants::read(&layers(settings, Purpose::Host));
        let told = |it: &Layers| {
            it.key_with_foreign_id()
                .map(|told| (it.tenant_name(), told))
        };
        tenants
            .each()
            .flatten()
            .filter_map(told)
            .collect::<Vec<_>>()
    };
    assert_eq!(told(&[]), []);
    assert_eq!(told(&[("PII_KEY", "y")]), []);
    assert_eq!(told(&[("PII_KEY_ID", "2"), ("ACME__PII_KEY_ID", "1")]), []);
    assert_eq!(told(&[("ACME__PII_KEY_ID", "2")]), []);
    let problem = "ACME__PII_KEY has the id in PII_KEY_ID, which is set for all tenants, so that a new \
                   key of theirs would change this tenant's pseudonyms too; give it a PII_KEY_ID of its \
                   own";
    assert_eq!(
        told(&[("PII_KEY_ID", "2")]),
        [("acme".into(), problem.into())]
    );
}
