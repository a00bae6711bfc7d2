use super::*;
use crate::record::LogId;
use crate::settings::{AppSettings, SettingsError};

const CUSTOM: &str = "https://acme.westeurope-1.eventgrid.azure.net/api/events";

fn problem(changes: &[(&str, &str)]) -> String {
    built(changes).err().unwrap().to_string()
}

fn built(changes: &[(&str, &str)]) -> Result<Box<dyn Destination>, SettingsError> {
    let complete = [("EVENT_GRID_ENDPOINT", CUSTOM), ("EVENT_GRID_KEY", "a2V5")];
    let settings: AppSettings = complete.iter().chain(changes).copied().collect();
    Reader::read(&settings, |reader| build(reader, &Tools::for_test()))
}

fn record(json: &str) -> Record {
    Record {
        log_id: LogId::new("9001"),
        date: Some("2026-11-21T08:00:00.5Z".parse().unwrap()),
        json: Bytes::copy_from_slice(json.as_bytes()),
    }
}

fn event(changes: &[(&str, &str)], json: &str) -> String {
    let destination = built(changes).unwrap();
    let row = destination.encode(&record(json)).unwrap();
    String::from_utf8(row.into()).unwrap()
}

#[test]
fn an_event_is_the_flat_record_in_an_envelope() {
    let json = r#"{"log_id":"9001","date":"2026-11-21T08:00:00.500Z","type":"fp",
        "user_id":"auth0|1","client_id":"c1","details":{"password":"x"}}"#;
    assert_eq!(
        event(&[], json),
        r#"{"specversion":"1.0","id":"9001","source":"urn:auth0:acme.eu.auth0.com","type":"auth0.log.fp","subject":"auth0|1","time":"2026-11-21T08:00:00.500Z","datacontenttype":"application/json","data":{"log_id":"9001","date":"2026-11-21T08:00:00.500Z","type":"fp","user_id":"auth0|1","client_id":"c1","details":{"password":"***"}}}"#
    );
}

#[test]
fn the_subject_is_the_user_else_the_client_else_there_is_none() {
    let subject = |json: &str, changes: &[(&str, &str)]| {
        let event: serde_json::Value = serde_json::from_str(&event(changes, json)).unwrap();
        event
            .get("subject")
            .map(|it| it.as_str().unwrap().to_owned())
    };
    let user = r#"{"user_id":"auth0|\"1","client_id":"c1"}"#;
    let client = r#"{"user_id":"","client_id":"c1"}"#;
    assert_eq!(subject(user, &[]).as_deref(), Some("auth0|\"1"));
    assert_eq!(subject(client, &[]).as_deref(), Some("c1"));
    assert_eq!(subject("{}", &[]), None);
    let own = [("EVENT_GRID_SUBJECT", "{user_id}")];
    assert_eq!(subject(client, &own), None);
}

/// `CloudEvents` forbid both in an attribute, and some consumers reject such an event.
#[test]
fn an_attribute_has_no_control_character_and_no_noncharacter() {
    let own = [("EVENT_GRID_TYPE", "{user_id}")];
    let json = r#"{"user_id":"a\u0000b\nc\u007f\u009f\ufdd0\ufffe\udbff\udfff \u00a0é\ufffd😀"}"#;
    let event: serde_json::Value = serde_json::from_str(&event(&own, json)).unwrap();
    let shown = "a\u{fffd}b\u{fffd}c\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd} \u{a0}é\u{fffd}😀";
    assert_eq!(event["type"], shown);
    assert_eq!(event["subject"], shown);
    // The record itself is unchanged.
    let written = "a\0b\nc\u{7f}\u{9f}\u{fdd0}\u{fffe}\u{10ffff} \u{a0}é\u{fffd}😀";
    assert_eq!(event["data"]["user_id"], written);
}

#[test]
fn a_type_or_a_source_that_comes_out_empty_is_as_if_it_were_not_set() {
    let own = [
        ("EVENT_GRID_TYPE", "{user_id}"),
        ("EVENT_GRID_SOURCE", "{client_id}"),
    ];
    for (json, kind, source) in [
        (
            r#"{"type":"fp","user_id":"u1","client_id":"c1"}"#,
            "u1",
            "c1",
        ),
        (
            r#"{"type":"fp"}"#,
            "auth0.log.fp",
            "urn:auth0:acme.eu.auth0.com",
        ),
    ] {
        let event: serde_json::Value = serde_json::from_str(&event(&own, json)).unwrap();
        assert_eq!(event["type"], kind);
        assert_eq!(event["source"], source);
    }
}

#[test]
fn the_time_is_the_date_in_the_form_that_events_have() {
    let time = |json: &str| {
        let event: serde_json::Value = serde_json::from_str(&event(&[], json)).unwrap();
        event["time"].as_str().unwrap().to_owned()
    };
    for (written, expected) in [
        ("2026-11-21T08:00:00.500Z", "2026-11-21T08:00:00.500Z"),
        ("2026-11-21T09:00:00.5+01:00", "2026-11-21T09:00:00.5+01:00"),
        ("2026-11-21 08:00:00.5Z", "2026-11-21T08:00:00.500Z"),
        // U+2212, the minus sign of mathematics.
        (
            "2026-11-21T07:00:00.5\u{2212}01:00",
            "2026-11-21T08:00:00.500Z",
        ),
    ] {
        assert_eq!(time(&format!(r#"{{"date":"{written}"}}"#)), expected);
    }
    // RFC 3339 allows leap seconds; consumers of events may not.
    let mut leap = record(r#"{"date":"2026-12-31T23:59:60.5Z"}"#);
    leap.date = Some("2026-12-31T23:59:60.5Z".parse().unwrap());
    let row = built(&[]).unwrap().encode(&leap).unwrap();
    let event: serde_json::Value = serde_json::from_slice(&row).unwrap();
    assert_eq!(event["time"], "2026-12-31T23:59:59.999Z");
    assert_eq!(event["data"]["date"], "2026-12-31T23:59:60.5Z");
    let mut undated = record("{}");
    undated.date = None;
    let row = built(&[]).unwrap().encode(&undated).unwrap();
    assert!(!String::from_utf8_lossy(&row).contains("\"time\""));
}

#[test]
fn a_source_is_a_uri_whatever_fills_it() {
    let own = [("EVENT_GRID_SOURCE", "/{category}/{user_id}")];
    let event = event(&own, r#"{"type":"fp","user_id":"auth0|a b"}"#);
    assert!(
        event.contains(r#""source":"/auth.login.fail/auth0%7Ca%20b""#),
        "{event}"
    );
}

#[test]
fn what_is_too_large_for_a_request_has_no_event() {
    let of = |length: usize| record(&format!(r#"{{"a":"{}"}}"#, "x".repeat(length)));
    let destination = built(&[]).unwrap();
    let overhead = destination.encode(&of(0)).unwrap().len() + 2;
    assert!(destination.encode(&of(1_000_000 - overhead)).is_ok());
    let refused = destination.encode(&of(1_000_001 - overhead)).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "its event has 999999 bytes; Event Grid takes at most 1000000"
    );
}

#[test]
fn an_endpoint_is_completed_where_something_is_missing() {
    let namespace = "https://acme.westeurope-1.eventgrid.azure.net/topics/logs";
    for (text, url, kind) in [
        (
            CUSTOM,
            format!("{CUSTOM}?api-version=2018-01-01"),
            TopicKind::Custom,
        ),
        (
            &format!("{CUSTOM}/?api-version=2020-01-01"),
            format!("{CUSTOM}?api-version=2020-01-01"),
            TopicKind::Custom,
        ),
        (
            &format!("{CUSTOM}?"),
            format!("{CUSTOM}?api-version=2018-01-01"),
            TopicKind::Custom,
        ),
        (
            &format!("{CUSTOM}?api-version="),
            format!("{CUSTOM}?api-version=2018-01-01"),
            TopicKind::Custom,
        ),
        (
            namespace,
            format!("{namespace}:publish?api-version=2024-06-01"),
            TopicKind::Namespace,
        ),
        (
            &format!("{namespace}:publish?api-version=2023-11-01"),
            format!("{namespace}:publish?api-version=2023-11-01"),
            TopicKind::Namespace,
        ),
    ] {
        let endpoint = endpoint(text).unwrap();
        assert_eq!((endpoint.url.as_str(), endpoint.kind), (&*url, kind));
    }
    assert!(endpoint("http://127.0.0.1:8080/api/events").is_ok());
    for (suffix, kind) in [("/api/events", 5_000), ("/topics/t", 1_000)] {
        let url = format!("https://a.eventgrid.azure.us{suffix}");
        let destination = built(&[("EVENT_GRID_ENDPOINT", &*url)]).unwrap();
        assert_eq!(destination.limits().rows, kind);
    }
}

#[test]
fn a_key_goes_to_a_topic_and_nowhere_else() {
    for endpoint in [
        "http://acme.westeurope-1.eventgrid.azure.net/api/events",
        "https://eventgrid.azure.net.evil.example/api/events",
        "https://evil-eventgrid.azure.net.example/api/events",
        "https://user:pw@acme.eventgrid.azure.net/api/events",
        "https://acme.eventgrid.azure.net",
        "https://acme.eventgrid.azure.net/topics/",
        "https://acme.eventgrid.azure.net/topics/a/b",
        "https://acme.eventgrid.azure.net/api/other",
        "acme",
    ] {
        let problem = problem(&[("EVENT_GRID_ENDPOINT", endpoint)]);
        let told = "EVENT_GRID_ENDPOINT must be the topic's endpoint";
        assert!(problem.contains(told), "{endpoint}: {problem}");
    }
    let in_query = format!("{CUSTOM}?aeg-sas-key=hunter2");
    let in_query = problem(&[("EVENT_GRID_ENDPOINT", &in_query)]);
    assert!(
        in_query.contains("the key belongs in EVENT_GRID_KEY"),
        "{in_query}"
    );
}

#[test]
fn what_is_wrong_with_topic_and_identity_is_told_together() {
    let problem = problem(&[
        ("EVENT_GRID_ENDPOINT", ""),
        ("EVENT_GRID_KEY", ""),
        ("AZURE_CLIENT_SECRET", "hunter2"),
    ]);
    for setting in ["EVENT_GRID_ENDPOINT", "AZURE_TENANT_ID", "AZURE_CLIENT_ID"] {
        assert!(
            problem.contains(&format!("{setting} is missing")),
            "{problem}"
        );
    }
}

#[test]
fn every_bad_setting_is_named() {
    for (setting, value, telling) in [
        ("EVENT_GRID_ENDPOINT", "", "is missing: the endpoint"),
        ("EVENT_GRID_KEY", "a b", "is not a key of a topic"),
        (
            "EVENT_GRID_KEY",
            "",
            "EVENT_GRID_ENDPOINT needs a managed identity",
        ),
        ("EVENT_GRID_TYPE", "{kind}", "has an unknown placeholder"),
        ("EVENT_GRID_SOURCE", "{", "has an unknown placeholder"),
        ("EVENT_GRID_SUBJECT", "}", "has an unknown placeholder"),
    ] {
        let problem = problem(&[(setting, value)]);
        assert!(problem.contains(telling), "{setting}: {problem}");
    }
}
