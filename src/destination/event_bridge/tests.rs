use super::*;
use crate::net::http::SendError;
use crate::net::retry::Again;
use crate::record::LogId;
use crate::settings::{AppSettings, SettingsError};

const ARN: &str = "arn:aws:events:eu-west-1:123456789012:event-bus/auth0";

fn built(changes: &[(&str, &str)]) -> Result<Box<dyn Destination>, SettingsError> {
    let complete = [
        ("EVENT_BRIDGE_BUS", "auth0"),
        ("AWS_REGION", "eu-west-1"),
        ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
        (
            "AWS_SECRET_ACCESS_KEY",
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        ),
    ];
    let settings: AppSettings = complete.iter().chain(changes).copied().collect();
    Reader::read(&settings, |reader| build(reader, &Tools::for_test()))
}

fn problem(changes: &[(&str, &str)]) -> String {
    built(changes).err().unwrap().to_string()
}

fn record(json: &str) -> Record {
    Record {
        log_id: LogId::new("9001"),
        date: Some("2026-11-21T08:00:00.5Z".parse().unwrap()),
        json: Bytes::copy_from_slice(json.as_bytes()),
    }
}

fn encoded(changes: &[(&str, &str)], record: &Record) -> String {
    let row = built(changes).unwrap().encode(record).unwrap();
    String::from_utf8(row.into()).unwrap()
}

#[test]
fn an_entry_holds_the_record_masked_as_its_detail() {
    let json = r#"{"type":"fp","details":{"password":"x"},"n":"a\"b\u00e9"}"#;
    assert_eq!(
        encoded(&[], &record(json)),
        r#"{"Time":1795248000.500,"Source":"auth0.logs","DetailType":"Auth0 log","Detail":"{\"log_id\":\"9001\",\"data\":{\"type\":\"fp\",\"details\":{\"password\":\"***\"},\"n\":\"a\\\"b\\u00e9\"}}","EventBusName":"auth0"}"#
    );
}

#[test]
fn source_and_bus_are_as_they_were_set() {
    let own = [("EVENT_BRIDGE_BUS", ARN), ("EVENT_BRIDGE_SOURCE", "acme")];
    let entry = encoded(&own, &record("{}"));
    assert!(entry.contains(r#""Source":"acme""#), "{entry}");
    assert!(
        entry.contains(&format!(r#""EventBusName":"{ARN}""#)),
        "{entry}"
    );
}

#[test]
fn the_time_is_the_date_in_seconds() {
    let entry_of = |date: Option<&str>| {
        let mut record = record("{}");
        record.date = date.map(|it| it.parse().unwrap());
        encoded(&[], &record)
    };
    for (date, expected) in [
        ("2026-11-21T08:00:00Z", r#"{"Time":1795248000,"#),
        ("2026-11-21T08:00:00.007Z", r#"{"Time":1795248000.007,"#),
        ("1970-01-01T00:00:00Z", r#"{"Time":0,"#),
    ] {
        let entry = entry_of(Some(date));
        assert!(entry.starts_with(expected), "{entry}");
    }
    for date in [None, Some("1969-12-31T23:59:59Z")] {
        let entry = entry_of(date);
        assert!(entry.starts_with(r#"{"Source":"#), "{entry}");
    }
}

#[test]
fn an_entry_has_at_most_the_size_that_is_set() {
    let of = |length: usize| record(&format!(r#"{{"a":"{}"}}"#, "x".repeat(length)));
    // Time 14, source 10, detail type 9, and 33 for the detail apart from the letters.
    let most = 1_000_000 - 14 - 10 - 9 - 33;
    let destination = built(&[]).unwrap();
    assert!(destination.encode(&of(most)).is_ok());
    let refused = destination.encode(&of(most + 1)).err().unwrap();
    assert_eq!(
        refused.to_string(),
        "its entry has 1000001 bytes; EventBridge takes at most 1000000 (EVENT_BRIDGE_MAX_BYTES)"
    );
    let mut undated = of(most + 14);
    undated.date = None;
    assert!(destination.encode(&undated).is_ok());
    let china = [("AWS_REGION", "cn-north-1")];
    let refused = built(&china).unwrap().encode(&of(256_000)).err().unwrap();
    assert!(refused.to_string().contains("at most 256000"), "{refused}");
    let own = [("EVENT_BRIDGE_MAX_BYTES", "1000")];
    assert!(built(&own).unwrap().encode(&of(1_000)).is_err());
}

#[test]
fn a_request_has_at_most_ten_entries_and_so_many_bytes() {
    let rows = |lengths: &[usize]| -> Vec<Bytes> {
        lengths.iter().map(|it| vec![b'x'; *it].into()).collect()
    };
    assert_eq!(requests(&rows(&[1; 23]), 1_000), [0..10, 10..20, 20..23]);
    // 14 bytes around the list, and one after each entry.
    assert_eq!(requests(&rows(&[42, 42, 42]), 100), [0..2, 2..3]);
    assert_eq!(requests(&rows(&[43, 42, 42]), 100), [0..1, 1..3]);
    assert_eq!(requests(&rows(&[1, 500, 1]), 100), [0..1, 1..2, 2..3]);
    assert_eq!(requests(&rows(&[500, 500]), 100), [0..1, 1..2]);
    assert_eq!(requests(&[], 100), []);
}

#[test]
fn a_bus_s_arn_tells_its_region() {
    assert!(built(&[("EVENT_BRIDGE_BUS", ARN), ("AWS_REGION", "")]).is_ok());
    assert!(built(&[("EVENT_BRIDGE_BUS", ARN)]).is_ok());
    let other = problem(&[("EVENT_BRIDGE_BUS", ARN), ("AWS_REGION", "us-east-1")]);
    assert!(other.contains("EVENT_BRIDGE_BUS is the ARN of a bus in another region"));
    for bus in ["auth0", ARN] {
        let wrong = problem(&[("EVENT_BRIDGE_BUS", bus), ("AWS_REGION", "Ireland")]);
        assert!(wrong.contains("is not the name of a region"), "{wrong}");
        assert!(!wrong.contains("is missing"), "{wrong}");
    }
}

#[test]
fn every_bad_setting_is_named() {
    for (setting, value, telling) in [
        ("EVENT_BRIDGE_BUS", "", "is missing: the name or the ARN"),
        ("EVENT_BRIDGE_BUS", "a b", "is neither the name of a bus"),
        (
            "EVENT_BRIDGE_BUS",
            "arn:aws:events:eu-west-1:1:event-bus/a",
            "is neither",
        ),
        (
            "EVENT_BRIDGE_BUS",
            "arn:aws:events:cn-north-1:123456789012:event-bus/a",
            "is neither",
        ),
        (
            "EVENT_BRIDGE_BUS",
            "arn:aws:sqs:eu-west-1:123456789012:event-bus/a",
            "is neither",
        ),
        ("AWS_REGION", "", "is missing: the region of the bus"),
        ("AWS_REGION", "Ireland", "is not the name of a region"),
        (
            "EVENT_BRIDGE_SOURCE",
            "aws.auth0",
            "may not begin with aws.",
        ),
        (
            "EVENT_BRIDGE_SOURCE",
            "AWS.auth0",
            "may not begin with aws.",
        ),
        ("EVENT_BRIDGE_SOURCE", "a b", "is not a source"),
        ("EVENT_BRIDGE_MAX_BYTES", "1MB", "is not a number of bytes"),
        ("EVENT_BRIDGE_MAX_BYTES", "999", "is not a number of bytes"),
        (
            "EVENT_BRIDGE_ENDPOINT",
            "http://events.eu-west-1.amazonaws.com",
            "must be https://",
        ),
        (
            "EVENT_BRIDGE_ENDPOINT",
            "https://user@host",
            "must be https://",
        ),
        ("AWS_SECRET_ACCESS_KEY", "", "is missing: the secret"),
    ] {
        let problem = problem(&[(setting, value)]);
        let told = format!("attention: {setting} {telling}");
        assert!(problem.contains(&told), "{setting}: {problem}");
    }
    for endpoint in ["http://127.0.0.1:8080", "https://vpce-1.events.example"] {
        assert!(built(&[("EVENT_BRIDGE_ENDPOINT", endpoint)]).is_ok());
    }
}

#[test]
fn why_rows_are_open_is_the_gravest_reason_and_what_some_took_is_not_for_all() {
    let status = |status: u16, again| EventBridgeError::Status {
        host: "events.eu-west-1.amazonaws.com".into(),
        status: reqwest::StatusCode::from_u16(status).unwrap(),
        said: String::new(),
        again,
    };
    let content = || status(400, Again::Never);
    let inside = || status(500, Again::Soon);
    let busy = || status(503, Again::Soon);
    let late = || EventBridgeError::Send {
        host: "events.eu-west-1.amazonaws.com".into(),
        source: SendError::OutOfTime,
    };
    let rows = [Bytes::from_static(b"{}"), Bytes::from_static(b"{}")];
    let put = |is_taken: bool, error| Put {
        fates: vec![
            if is_taken { Fate::Accepted } else { Fate::Open },
            Fate::Open,
        ],
        error: Some(GaveUp::at_once(error)),
    };
    for (error, is_taken, is_for_all) in [
        (content(), false, false),
        (inside(), false, true),
        (inside(), true, false),
        (busy(), false, true),
        (busy(), true, true),
    ] {
        let put = put(is_taken, error);
        assert_eq!(
            failed_for_all(&put),
            is_for_all,
            "{is_taken}, {:?}",
            put.error
        );
    }
    for (errors, expected) in [
        ([content(), content()], "Refused"),
        ([content(), inside()], "Internal"),
        ([inside(), content()], "Internal"),
        ([inside(), busy()], "Failed"),
        ([busy(), inside()], "Failed"),
        ([content(), late()], "Late"),
        ([late(), inside()], "Internal"),
    ] {
        let mut delivery = Delivery::accepted(0, 0);
        for error in errors {
            add(&mut delivery, &rows, Some(put(true, error)));
        }
        let error = format!("{:?}", delivery.error.unwrap());
        assert!(error.starts_with(expected), "{error}");
        let accepted = delivery.outcomes.iter();
        let accepted = accepted.filter(|it| matches!(it, Outcome::Accepted));
        assert_eq!((delivery.outcomes.len(), accepted.count()), (4, 2));
    }
}

#[test]
fn what_was_sent_is_what_was_accepted_in_its_frame() {
    let rows = ["aaaaa", "bb", "ccccccc"].map(Bytes::from);
    let put = |fates| Put { fates, error: None };
    let mut delivery = Delivery::accepted(0, 0);
    let open = || vec![Fate::Open, Fate::Open, Fate::Open];
    add(&mut delivery, &rows, Some(put(open())));
    assert_eq!(delivery.bytes, 0);
    let fates = vec![Fate::Accepted, Fate::Open, Fate::Accepted];
    add(&mut delivery, &rows, Some(put(fates)));
    // {"Entries":[aaaaa,ccccccc]}
    assert_eq!(delivery.bytes, 27);
}
