use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::super::catalogue::{additional_fields, additional_fields_column, custom_columns};
use super::*;
use crate::pii::Privacy;

const BOTH: [Api; 2] = [Api::DataCollector, Api::LogsIngestion];
/// More bytes than a row of the Logs Ingestion API holds.
const LARGE: usize = 1_100_000;
/// More bytes than any row holds.
const LARGER: usize = 4_200_000;

/// A row as it is in the table, with the names without suffixes.
fn row_of(record: &str, api: Api) -> Map<String, Value> {
    let why = row(record, api, Redaction::On).unwrap_err().to_string();
    let row = Privacy::from(Redaction::On)
        .shortened(record, api, &why)
        .unwrap();
    let row: Map<String, Value> = serde_json::from_str(&row).unwrap();
    for value in row.values() {
        let length = value.as_str().map_or(0, str::len);
        assert!(length <= api.longest_field(), "{api:?}: {length}");
    }
    let plain = |(name, value): (String, Value)| match api {
        Api::DataCollector => (name, value),
        Api::LogsIngestion => {
            let is_known = custom_columns(api).any(|(it, _)| it == name);
            assert!(is_known || name == "TimeGenerated", "{name}");
            let suffix = name.rfind('_').unwrap_or(name.len());
            (name[..suffix].to_owned(), value)
        }
    };
    let row: Map<String, Value> = row.into_iter().map(plain).collect();
    assert_eq!(row["Shortened"], why, "{api:?}");
    row
}

/// The part that is in no column, as KQL reads it.
fn rest(record: &str, api: Api) -> Value {
    let why = "why";
    let row = shortened(record, api, why).unwrap();
    let row: Map<String, Value> = serde_json::from_str(&row).unwrap();
    let name = |number| match api {
        Api::DataCollector => additional_fields(number),
        Api::LogsIngestion => additional_fields_column(number),
    };
    let parts = (0..api.parts()).map_while(|number| row.get(&name(number))?.as_str());
    serde_json::from_str(&parts.collect::<String>()).unwrap()
}

/// An API call that a detection looks for. `body` adds the first members of its body, and `more`
/// the first of the record.
fn call(body: &str, more: &str) -> String {
    format!(
        r#"{{{more}"date":"2026-11-21T08:00:00.000Z","type":"sapi","details":{{"request":{{"method":"post",
            "path":"/api/v2/client-grants","body":{{{body}"client_id":"evil","scope":["create:users"]}},
            "auth":{{"user":{{"email":"admin@example.com"}}}}}},"response":{{"statusCode":201}}}},
            "ip":"203.0.113.9","user_id":"auth0|1","user_name":"ada","client_id":"c1","log_id":"900"}}"#
    )
}

fn assert_call(record: &str) {
    assert_call_in(record, Api::LogsIngestion);
}

#[track_caller]
fn assert_call_in(record: &str, api: Api) {
    let row = row_of(record, api);
    for (column, value) in [
        ("date", "2026-11-21T08:00:00.000Z"),
        ("type", "sapi"),
        ("details_request_method", "post"),
        ("details_request_path", "/api/v2/client-grants"),
        ("details_request_body_client_id", "evil"),
        ("details_request_auth_user_email", "admin@example.com"),
        ("ip", "203.0.113.9"),
        ("user_id", "auth0|1"),
        ("user_name", "ada"),
        ("client_id", "c1"),
        ("log_id", "900"),
    ] {
        assert_eq!(row[column], value, "{column}");
    }
    assert_eq!(row["details_response_statusCode"], 201);
    assert!(row.contains_key("details_request_body_scope"));
}

#[test]
fn a_long_text_takes_no_column_from_anything_else() {
    let long = "x".repeat(LARGER);
    for api in BOTH {
        assert_call_in(&call(&format!(r#""filler":"{long}","#), ""), api);
    }
    assert_call(&call("", &format!(r#""filler":"{long}","#)));
    let quotes = r#"\""#.repeat(LARGE / 2);
    assert_call(&call(&format!(r#""filler":"{quotes}","#), ""));
}

#[test]
fn a_long_name_takes_no_column_from_anything_else() {
    assert_call(&call(&format!(r#""{}":1,"#, "x".repeat(LARGE)), ""));
}

#[test]
fn many_members_take_no_column_from_anything_else() {
    let mut many = String::new();
    for n in 0..80_000 {
        write!(many, r#""member{n}":1,"#).unwrap();
    }
    assert_call(&call(&many, ""));
    assert_call(&call("", &many));
    assert_call(&call(&format!(r#""filler":{{{many}"last":1}},"#), ""));
    // A member that has a column, repeated.
    let same = r#""name":"a","#.repeat(100_000);
    assert_call(&call(&same, ""));
    let same = r#""auth":{"user":{"id":1}},"#.repeat(45_000);
    assert_call(
        &call("", &format!(r#""details":{{{same}"last":1}},"#)).replacen(
            r#""details":{"#,
            r#""other":{"#,
            1,
        ),
    );
}

#[test]
fn a_long_list_takes_no_column_from_anything_else_and_its_beginning_is_kept() {
    let list = format!(r#"["read:users"{}]"#, r#","create:users""#.repeat(80_000));
    let record = call(&format!(r#""grants":{list},"#), "");
    assert_call(&record);
    let kept = &rest(&record, Api::LogsIngestion)["details"]["request"]["body"]["grants"];
    assert_eq!(kept[0], "read:users");
    assert_eq!(kept[1], "create:users");
    assert_eq!(kept.as_array().unwrap().len(), 256);
}

#[test]
fn depth_takes_no_column_from_anything_else() {
    for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
        let deep = format!("{}1{}", open.repeat(200_000), close.repeat(200_000));
        let long = "x".repeat(LARGE);
        assert_call(&call(&format!(r#""deep":{deep},"filler":"{long}","#), ""));
    }
}

#[test]
fn a_long_text_with_a_column_is_cut_to_it() {
    for (api, kept) in [(Api::DataCollector, 32_000), (Api::LogsIngestion, 64_000)] {
        let record = call("", &format!(r#""user_agent":"{}","#, "x".repeat(LARGER)));
        let agent = row_of(&record, api)["user_agent"].clone();
        let expected = format!("{}…", "x".repeat(kept - 3));
        assert!(agent == expected, "{api:?}");
        assert_call_in(&record, api);
    }
}

#[test]
fn many_long_texts_with_columns_are_cut_further_until_a_delivery_holds_them() {
    let mut columns = String::new();
    for name in [
        "description",
        "user_agent",
        "client_name",
        "connection",
        "hostname",
    ] {
        write!(columns, r#""{name}":"{}","#, r"\u0061".repeat(100_000)).unwrap();
    }
    for n in 0..20 {
        write!(columns, r#""other{n}":"{}","#, "x".repeat(LARGE / 20)).unwrap();
    }
    assert_call(&call("", &columns));
}

#[test]
fn a_secret_is_masked_before_it_is_cut() {
    // Without the text that follows it, the password would not be recognised.
    let link = format!(
        "{} https://jane:hush-{}@a.example/",
        "x".repeat(7_900),
        "hush".repeat(100)
    );
    let password = "hush".repeat(2_000);
    let filler = "x".repeat(LARGE);
    let record = call(
        &format!(r#""password":"{password}","echo":"{link}","filler":"{filler}","#),
        "",
    );
    for api in BOTH {
        let seen = |by: Redaction| Privacy::from(by).shortened(&record, api, "why").unwrap();
        let row = seen(Redaction::On);
        assert!(!row.contains("hush"), "{row}");
        let open = seen(Redaction::Off);
        assert!(open.contains("jane:hush"), "{open}");
    }
}

/// At each place in the column tree, as much as is ever kept.
fn of_everything(node: &Node) -> String {
    // The part that is kept consists of escapes, which take twice the space in a row.
    let text = format!("{}{}", r"\\".repeat(130), "x".repeat(5_000));
    let mut members: Vec<String> = node
        .names()
        .map(|(it, child)| match child {
            inner if inner.is_inner() => format!(r#""{it}":{}"#, of_everything(inner)),
            // A text that no column accepts.
            _ => format!(r#""{it}":"\u0000{text}""#),
        })
        .collect();
    for n in 0..6 {
        let deep = format!(r#"{}"{text}"{}"#, "[".repeat(20), "]".repeat(20));
        members.push(format!(r#""{n}{text}":{deep}"#));
    }
    format!("{{{}}}", members.join(","))
}

#[test]
fn a_record_that_fills_everything_has_a_row() {
    let record = of_everything(&catalogue().root);
    let [.., least] = MEASURES;
    let least = record_within(&record, least);
    for api in BOTH {
        let row = row(&least, api, Redaction::Off).unwrap();
        // Leaves room for the reason.
        assert!(row.len() < 990_000, "{api:?}: {}", row.len());
    }
    row_of(&record, Api::LogsIngestion);
}

#[test]
fn a_text_is_cut_between_characters() {
    for (text, longest, expected) in [
        ("abcdef", 6, "abcdef"),
        ("abcdefg", 6, "abc…"),
        ("aéééé", 7, "aé…"),
        (r#"a\"\"\"\""#, 7, r#"a\"…"#),
        (r"a\\\\\\\\", 6, r"a\\…"),
        (r"ab\u00e9\u00e9", 11, r"ab\u00e9…"),
        (r"ab\u00e9\u00e9", 10, "ab…"),
        (r"a\ud83d\ude00\ud83d\ude00", 16, r"a\ud83d\ude00…"),
        (r"a\ud83d\ude00\ud83d\ude00", 15, "a…"),
        (r"a\ud83dbcdefghijkl", 14, r"a\ud83dbcde…"),
    ] {
        assert_eq!(cut(text, longest), expected);
    }
}

#[test]
fn what_is_small_is_kept_as_it_is() {
    let record = json!({
        "type": "sapi", "odd": [1, {"a": null, "b": [true, "é\"\n"]}, []], "empty": {},
        "details": {"request": {"body": {"x": 1.5e300}}, "qs": {"a": {"b": {"c": "d"}}}},
    });
    let kept = record_within(&record.to_string(), MEASURES[0]);
    assert_eq!(serde_json::from_str::<Value>(&kept).unwrap(), record);
}
