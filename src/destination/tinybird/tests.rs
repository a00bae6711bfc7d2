use super::*;
use crate::record::LogId;
use crate::settings::{AppSettings, SettingsError};

const HOST: &str = "https://api.europe-west2.gcp.tinybird.co";

fn built(changes: &[(&str, &str)]) -> Result<Box<dyn Destination>, SettingsError> {
    let complete = [("TINYBIRD_HOST", HOST), ("TINYBIRD_TOKEN", "p.eyJ1.abc")];
    let settings: AppSettings = complete.iter().chain(changes).copied().collect();
    Reader::read(&settings, |reader| build(reader, &Tools::for_test()))
}

fn record(json: &str) -> Record {
    Record {
        log_id: LogId::new("9001"),
        date: None,
        json: Bytes::copy_from_slice(json.as_bytes()),
    }
}

#[test]
fn a_host_is_completed_to_where_it_takes_events() {
    for text in [
        HOST,
        "api.europe-west2.gcp.tinybird.co",
        "https://api.europe-west2.gcp.tinybird.co/",
        "https://api.europe-west2.gcp.tinybird.co/v0/events",
        "https://api.europe-west2.gcp.tinybird.co/v0/events/",
    ] {
        let url = host(text).unwrap();
        assert_eq!(
            url.as_str(),
            "https://api.europe-west2.gcp.tinybird.co/v0/events"
        );
    }
    for text in ["http://127.0.0.1:7181", "https://tinybird.example.com:8443"] {
        assert!(host(text).is_ok(), "{text}");
    }
}

#[test]
fn a_token_goes_to_an_api_host_over_tls_and_nowhere_else() {
    for text in [
        "http://api.tinybird.co",
        "https://user:pw@api.tinybird.co",
        "https://cloud.tinybird.co",
        "https://app.us-east.tinybird.co",
        "https://www.tinybird.co",
        "tinybird.co",
        "https://api.tinybird.co/v0/datasources",
        "https://api.tinybird.co/#x",
        "ftp://api.tinybird.co",
        "https://",
        "a b",
    ] {
        let problem = host(text).unwrap_err();
        assert!(problem.starts_with("must be the API host"), "{text}");
    }
    // Messages show the host, so a text in the form of a token must not pass as one.
    let token = format!("p.{}.{}", "hush".repeat(20), "x".repeat(43));
    assert!(host(&token).is_err());
    let problem = host("https://api.tinybird.co/v0/events?name=auth0&token=hush").unwrap_err();
    assert!(problem.contains("the token belongs in TINYBIRD_TOKEN"));
    assert!(!problem.contains("hush"));
}

#[test]
fn every_bad_setting_is_named() {
    for (setting, value, telling) in [
        (
            "TINYBIRD_HOST",
            "",
            "TINYBIRD_HOST is missing: the API host",
        ),
        ("TINYBIRD_TOKEN", "", "TINYBIRD_TOKEN is missing: a token"),
        (
            "TINYBIRD_TOKEN",
            "p.eyJ1 abc",
            "TINYBIRD_TOKEN is not a token",
        ),
        (
            "TINYBIRD_DATASOURCE",
            "auth0&token=x",
            "TINYBIRD_DATASOURCE must be a data source's",
        ),
        ("TINYBIRD_DATASOURCE", "auth0-logs", "letters, digits and _"),
    ] {
        let problem = built(&[(setting, value)]).err().unwrap().to_string();
        assert!(problem.contains(telling), "{setting}: {problem}");
    }
    assert!(built(&[("TINYBIRD_DATASOURCE", "Auth0_logs2")]).is_ok());
}

#[test]
fn a_row_is_the_masked_record_with_its_id() {
    let json = r#"{"type":"sapi","date":"2026-11-21T08:00:00.500Z","scope":["a"],
        "auth0_client":{},"details":{"request":{"body":{"client_secret":"x"}}}}"#;
    let row = built(&[]).unwrap().encode(&record(json)).unwrap();
    assert_eq!(
        String::from_utf8_lossy(&row),
        r#"{"log_id":"9001","data":{"type":"sapi","date":"2026-11-21 08:00:00.500","scope":["a"],"auth0_client":{},"details":{"request":{"body":{"client_secret":"***"}}}}}"#
    );
}

#[test]
fn what_is_too_large_for_a_request_has_no_row() {
    let of = |length: usize| record(&format!(r#"{{"a":"{}"}}"#, "x".repeat(length)));
    let destination = built(&[]).unwrap();
    // Counts the line break.
    let overhead = destination.encode(&of(0)).unwrap().len() + 1;
    assert!(destination.encode(&of(10_000_000 - overhead)).is_ok());
    let refused = destination.encode(&of(10_000_001 - overhead)).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "its row has 10000000 bytes; Tinybird takes at most 10000000"
    );
}
