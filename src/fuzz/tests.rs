//! No external input makes the program panic, gets a credential into an error, or leads to malformed output.
//! The usual test run tries a few cases for each target.
//!
//! - `FUZZ_SECONDS=120 FUZZ_SEED=7 cargo test --release --lib fuzz -- --nocapture` tries each target for
//!   this long, starting with this seed.
//! - A failure names its seed. With that seed, the first round fails again.

use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::app::setting_names;
use crate::auth0::TenantSettings;
use crate::azure::account::Account;
use crate::net::http::Answer;
use crate::record::{Record, parse_page};
use crate::redact::Redaction;
use crate::run::Policy;
use crate::settings::{AppSettings, Reader};
use crate::state::read_checkpoint;
use crate::storage::settings::StorageSettings;
use crate::table::Api;
use crate::table::row::row;

/// Cases per round. Each round has a seed of its own.
const CASES: u32 = 50;
/// A text that no error may repeat.
const CANARY: &str = "c4naryc4naryc4nary00";

#[allow(
    clippy::disallowed_methods,
    reason = "how long is tried is a matter of the person who tests, and no setting"
)]
fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Tries one round of cases, or as many rounds as there is time for.
fn fuzz<S: Strategy>(
    target: &str,
    strategy: &S,
    holds: impl Fn(S::Value) -> Result<(), TestCaseError>,
) {
    let first = number("FUZZ_SEED").unwrap_or(1);
    let seconds = number("FUZZ_SECONDS").unwrap_or(0);
    let until = Instant::now() + Duration::from_secs(seconds);
    let config = Config {
        cases: CASES,
        failure_persistence: None,
        ..Config::default()
    };
    for seed in first.. {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        let mut runner = TestRunner::new_with_rng(config.clone(), rng);
        if let Err(error) = runner.run(strategy, &holds) {
            panic!("{target}, FUZZ_SEED={seed}: {error}");
        }
        if Instant::now() >= until {
            let cases = (seed - first + 1) * u64::from(CASES);
            println!("{target}: {cases} cases");
            return;
        }
    }
}

/// Replaces some parts of a text by other bytes.
fn damaged(text: impl Strategy<Value = String>) -> impl Strategy<Value = Vec<u8>> {
    let pieces: [&[u8]; 16] = [
        b"", b"[", b"]", b"{", b"}", b"\"", b",", b":", b"\\", b"\xff", b"\0", b"null", b"0", b"=",
        b";", b"\\ud800",
    ];
    let damage = (any::<Index>(), 0..9_usize, select(pieces.to_vec()));
    let damages = prop::collection::vec(damage, 0..4);
    (text, damages).prop_map(|(text, damages)| {
        let mut bytes = text.into_bytes();
        for (place, length, piece) in damages {
            let from = place.index(bytes.len() + 1);
            let to = (from + length).min(bytes.len());
            bytes.splice(from..to, piece.iter().copied());
        }
        bytes
    })
}

fn text() -> impl Strategy<Value = String> {
    let odd = [
        "",
        "9001",
        "90020261121080000000000000000000000000000000000000000000",
        "2026-11-21T08:00:00.123Z",
        "2026-11-21T08:00:00.123+99:99",
        "+262142-12-31T23:59:59Z",
        "00000000-0000-0000-0000-000000000000",
        "https://user:hunter2@example.com/a?token=b&c=d#e",
        "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.",
        "/api/v2/hooks/x/secrets",
        "{\"a\":[\"\\ud800\"]}",
        "é\u{202e}\u{0}\u{1b}[31m\"\\",
    ];
    prop_oneof![
        4 => select(odd.to_vec()).prop_map(str::to_owned),
        2 => any::<String>(),
        1 => (0..20_000_usize, select(vec!["x", "\"", "é", "\\", "\u{1}"]))
            .prop_map(|(count, it)| it.repeat(count)),
    ]
}

fn key() -> impl Strategy<Value = String> {
    let names = [
        "log_id",
        "_id",
        "date",
        "type",
        "details",
        "request",
        "response",
        "body",
        "path",
        "method",
        "auth",
        "credentials",
        "client_secret",
        "ip",
        "user_name",
        "isMobile",
        "location_info",
        "latitude",
        "scope",
        "user",
        "prompts",
        "stats",
        "TimeGenerated",
        "",
    ];
    prop_oneof![
        9 => select(names.to_vec()).prop_map(str::to_owned),
        1 => any::<String>(),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        4 => text().prop_map(Value::from),
        1 => any::<f64>().prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => any::<bool>().prop_map(Value::from),
        1 => Just(Value::Null),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::hash_map(key(), inner, 0..5)
                .prop_map(|members| { Value::Object(members.into_iter().collect()) }),
        ]
    })
}

/// A page of records, as JSON text.
fn page() -> impl Strategy<Value = String> {
    let members = prop::collection::hash_map(key(), value(), 0..6);
    let record = (text(), members).prop_map(|(id, members)| {
        let mut record = Value::Object(members.into_iter().collect());
        record["log_id"] = id.into();
        record
    });
    prop::collection::vec(record, 0..4).prop_map(|records| Value::from(records).to_string())
}

#[test]
fn of_any_page_each_record_has_a_row_that_the_service_can_read_or_a_reason() {
    fuzz("page", &damaged(page()), |body| {
        let Ok(page) = parse_page(&Bytes::from(body)) else {
            return Ok(());
        };
        for record in page.records.iter().map(Record::text) {
            for api in [Api::DataCollector, Api::LogsIngestion] {
                for redaction in [Redaction::On, Redaction::Off] {
                    let Ok(row) = row(record, api, redaction) else {
                        continue;
                    };
                    prop_assert!(row.len() <= api.longest_row());
                    let row: Value = serde_json::from_str(&row)
                        .map_err(|error| TestCaseError::fail(format!("{error}: {row}")))?;
                    prop_assert!(row.is_object());
                }
                let line = Redaction::On.line(record);
                prop_assert!(serde_json::from_str::<&serde_json::value::RawValue>(&line).is_ok());
            }
        }
        Ok(())
    });
}

fn checkpoint() -> impl Strategy<Value = String> {
    let odd = || prop_oneof![text().prop_map(Value::from), value()];
    let handled = prop::collection::vec(odd(), 0..5);
    let format = prop_oneof![Just(json!(1)), Just(json!(2)), odd()];
    (format, odd(), odd(), handled, odd(), any::<bool>()).prop_map(
        |(format, cursor, time, handled, newest, is_set)| {
            json!({
                "format": format, "cursor": cursor, "resume_from": cursor, "start": time,
                "left_out_before": time, "handled": handled, "delivered": handled,
                "newest": {"log_id": newest, "date": time}, "refused_since": time,
                "caught_up_at": time, "set_by_hand": is_set, "loss": null, "saved_at": time,
                "saved_by": "me",
            })
            .to_string()
        },
    )
}

#[test]
fn any_checkpoint_is_one_or_an_error() {
    fuzz("checkpoint", &damaged(checkpoint()), |json| {
        if let Ok(checkpoint) = read_checkpoint(&json) {
            prop_assert!(!checkpoint.position().to_string().is_empty());
            prop_assert!(!checkpoint.summary().is_empty());
        }
        Ok(())
    });
}

fn connection_string() -> impl Strategy<Value = String> {
    let names = [
        "AccountName",
        "AccountKey",
        "BlobEndpoint",
        "EndpointSuffix",
        "DefaultEndpointsProtocol",
        "SharedAccessSignature",
        "UseDevelopmentStorage",
        "accountname ",
        "",
    ];
    let values = [
        "https",
        "http",
        "true",
        "auth0poller",
        "core.windows.net",
        "https://auth0poller.blob.core.windows.net",
        "http://127.0.0.1:10000/devstoreaccount1",
        "a@b.example",
        "c2VjcmV0",
        CANARY,
        "sv=2024-01-01&sig=c4naryc4naryc4nary00",
    ];
    let value = prop_oneof![4 => select(values.to_vec()).prop_map(str::to_owned), 1 => text()];
    let field = (select(names.to_vec()), value).prop_map(|(name, value)| format!("{name}={value}"));
    prop::collection::vec(field, 0..7).prop_map(|fields| fields.join(";"))
}

#[test]
fn any_connection_string_is_an_account_or_an_error_that_quotes_no_key() {
    fuzz("connection string", &damaged(connection_string()), |text| {
        let text = String::from_utf8_lossy(&text);
        match Account::from_connection_string(&text) {
            Ok(account) => {
                prop_assert!(matches!(account.endpoint.scheme(), "http" | "https"));
            }
            Err(error) => prop_assert!(!error.0.contains(CANARY), "{}", error.0),
        }
        Ok(())
    });
}

fn settings() -> impl Strategy<Value = Vec<(String, String)>> {
    let values = [
        "",
        "acme.eu.auth0.com",
        "https://acme.auth0.com/",
        "http://127.0.0.1:8080",
        "https://user:c4naryc4naryc4nary00@example.com",
        CANARY,
        "7d",
        "1h",
        "999999999999999999999d",
        "oldest",
        "2026-11-21T08:00:00Z",
        "logs-ingestion, log-analytics",
        "off",
        "AccountName=a;AccountKey=c4naryc4naryc4nary00",
    ];
    let name = prop_oneof![
        9 => select(setting_names()).prop_map(str::to_owned),
        1 => any::<String>(),
    ];
    let value = prop_oneof![4 => select(values.to_vec()).prop_map(str::to_owned), 1 => text()];
    prop::collection::vec((name, value), 0..12)
}

#[test]
fn any_settings_are_read_or_an_error_that_quotes_no_value() {
    let now = "2026-11-21T08:00:00Z".parse().unwrap();
    fuzz("settings", &settings(), |given| {
        let settings: AppSettings = given.into_iter().collect();
        let _ = settings.misspelt(&setting_names());
        let read = [
            Reader::read(&settings, |it| TenantSettings::read(it).map(|_| ())),
            Reader::read(&settings, |it| Policy::read(it, now).map(|_| ())),
            Reader::read(&settings, |it| StorageSettings::read(it, true).map(|_| ())),
            Reader::read(&settings, |it| StorageSettings::read(it, false).map(|_| ())),
        ];
        for error in read.into_iter().filter_map(Result::err) {
            let error = error.to_string();
            prop_assert!(!error.contains(CANARY), "{error}");
        }
        Ok(())
    });
}

#[test]
fn any_file_of_settings_is_read_or_an_error() {
    let file = prop::collection::hash_map(key(), value(), 0..4)
        .prop_map(|values| json!({"IsEncrypted": false, "Values": values}).to_string());
    fuzz("file of settings", &damaged(file), |file| {
        let _ = AppSettings::default().or_local(&file);
        Ok(())
    });
}

fn headers() -> impl Strategy<Value = Vec<(&'static str, Vec<u8>)>> {
    let names = [
        "retry-after",
        "date",
        "location",
        "content-encoding",
        "x-ratelimit-limit",
        "x-ratelimit-remaining",
        "x-ratelimit-reset",
    ];
    let values = [
        "18446744073709551616",
        "-1",
        " 7 ",
        "Sat, 21 Nov 2026 08:00:00 GMT",
        "Sat, 21 Nov 999999 08:00:00 GMT",
        "https://evil.example/?c4naryc4naryc4nary00",
        "https://c4naryc4naryc4nary00.evil.example/",
        "gzip",
    ];
    let value = prop_oneof![
        3 => select(values.to_vec()).prop_map(|it| it.as_bytes().to_vec()),
        1 => any::<Vec<u8>>(),
    ];
    prop::collection::vec((select(names.to_vec()), value), 0..8)
}

#[test]
fn any_headers_are_read_without_a_panic_and_quoted_without_a_credential() {
    let answer = (100..600_u16, headers(), damaged(text()));
    let now = "2026-11-21T08:00:00Z".parse().unwrap();
    let secret = SecretString::from(CANARY);
    fuzz("headers", &answer, |(status, given, body)| {
        let mut headers = HeaderMap::new();
        for (name, value) in given {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                headers.append(HeaderName::from_static(name), value);
            }
        }
        let answer = Answer {
            status: StatusCode::from_u16(status).unwrap(),
            headers,
            body: body.into(),
        };
        let _ = (answer.skew(now), answer.retry_after(), answer.again());
        let quoted = [
            answer.redirect(&[&secret]),
            Some(answer.excerpt(&[&secret])),
        ];
        for quoted in quoted.into_iter().flatten() {
            prop_assert!(!quoted.contains(CANARY), "{quoted}");
        }
        Ok(())
    });
}
