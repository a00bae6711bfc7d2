mod declared;
mod masked;
mod properties;

use std::collections::BTreeSet;

use serde_json::{Value, json};
use simulator::workspace::columns_of;

use super::*;
use crate::table::catalogue::custom_columns;

fn row_of(record: &str) -> Value {
    let row = row(record, Api::DataCollector, Redaction::On).unwrap();
    serde_json::from_str(&row).unwrap_or_else(|error| panic!("{error}: {row}"))
}

/// The parts of `AdditionalFields`, joined.
fn joined(row: &Value) -> String {
    let parts = (0..128).map_while(|number| row[additional_fields(number)].as_str());
    parts.collect()
}

/// Restores a record from its row.
fn record_of(row: &Value) -> Value {
    let rest = joined(row);
    let mut record = match &*rest {
        "" => json!({}),
        rest => serde_json::from_str(rest).unwrap(),
    };
    for column in &catalogue().columns {
        if let Some(value) = row.get(&column.name) {
            let mut place = &mut record;
            for name in &column.path {
                let object = place.as_object_mut().unwrap();
                place = object.entry(*name).or_insert_with(|| json!({}));
            }
            assert_eq!(place, &json!({}), "{} is there twice", column.name);
            *place = value.clone();
        }
    }
    record
}

#[track_caller]
fn assert_row(record: &str, expected: &Value) {
    assert_eq!(row_of(record), *expected);
    let mut known: BTreeSet<_> = custom_columns(Api::DataCollector)
        .map(|(name, _)| name)
        .collect();
    known.insert(String::new());
    let Value::Object(row) = row_of(record) else {
        panic!("a row is an object");
    };
    for column in columns_of(row).keys() {
        assert!(known.contains(column), "{column} of {record}");
    }
}

#[test]
fn leaves_with_a_column_go_there_and_the_rest_keeps_its_place() {
    assert_row(
        r#"{"date":"2026-11-21T08:00:00.123Z","type":"f","isMobile":false,"surprise":[1,{"a":null}],
            "details":{"error":{"message":"no","type":"t"},"stats":{"loginsCount":3},"qs":{"a":"b"},"x":1},
            "user_id":"","log_id":"900"}"#,
        &json!({
            "date": "2026-11-21T08:00:00.123Z", "type": "f", "isMobile": false, "user_id": "",
            "log_id": "900", "details_error_message": "no", "details_stats_loginsCount": 3,
            "AdditionalFields":
                r#"{"surprise":[1,{"a":null}],"details":{"error":{"type":"t"},"qs":{"a":"b"},"x":1}}"#,
        }),
    );
}

#[test]
fn a_record_of_columns_only_has_no_rest() {
    assert_row(
        r#"{"type":"s","details":{"response":{"body":[{"id":1}],"statusCode":200}}}"#,
        &json!({"type": "s", "details_response_body": [{"id": 1}], "details_response_statusCode": 200}),
    );
    assert_row("{}", &json!({}));
}

#[test]
fn what_is_empty_or_null_is_kept() {
    assert_row(
        r#"{"connection":null,"details":{},"scope":[],"auth0_client":{"env":{}}}"#,
        &json!({"scope": [],
            "AdditionalFields": r#"{"connection":null,"details":{},"auth0_client":{"env":{}}}"#}),
    );
    assert_row(
        r#"{"details":null}"#,
        &json!({"AdditionalFields": r#"{"details":null}"#}),
    );
    assert_row(
        r#"{"details":"text"}"#,
        &json!({"AdditionalFields": r#"{"details":"text"}"#}),
    );
    assert_row(
        r#"{"details":[{"a":1}]}"#,
        &json!({"AdditionalFields": r#"{"details":[{"a":1}]}"#}),
    );
}

#[test]
fn a_value_that_would_make_a_second_column_stays_in_the_rest() {
    for (name, value) in [
        ("user_name", r#""2026-11-21T08:00:00Z""#),
        ("user_name", r#""2026-11-21""#),
        ("user_name", r#""2026-11-21 08:00:00 +01:00""#),
        ("user_name", r#"" 2026-11-21T08:00:00Z ""#),
        ("user_name", r#""\u0032026-11-21T08:00:00Z""#),
        ("user_name", r#""11/21/2026 8:00:00 AM""#),
        ("user_name", r#""/Date(1700000000000)/""#),
        ("user_name", r#""01234567-89ab-CDEF-0123-456789abcdef""#),
        ("user_name", r#""0123456789abcdef0123456789abcdef""#),
        ("user_name", r#""{01234567-89ab-cdef-0123-456789abcdef}""#),
        (
            "user_name",
            r#""2026-11-21T08:00:00.00000000000000000000000000Z""#,
        ),
        ("user_name", r#""20261121T080000Z""#),
        (
            "user_name",
            r#""{0x01234567,0x89ab,0xcdef,{0x01,0x23,0x45,0x67,0x89,0xab,0xcd,0xef}}""#,
        ),
        ("user_name", "7"),
        ("user_name", "true"),
        ("user_name", r#"{"a":1}"#),
        ("user_name", r#""a\u0000b""#),
        ("user_name", r#""a\ud800""#),
        ("date", r#""2026-11-21""#),
        ("date", r#""2026-11-21T08:00:00+01:00""#),
        ("date", r#""2026-11-21T08:00:00.12345678Z""#),
        ("date", r#""2026-13-21T08:00:00Z""#),
        ("date", r#""2026-02-29T08:00:00Z""#),
        ("date", r#""2026-11-21T24:00:00Z""#),
        ("date", r#""2026-11-21T08:60:00Z""#),
        ("date", r#""2026-11-21T 8:00:00Z""#),
        ("date", r#""+026-11-21T08:00:00Z""#),
        ("date", r#""2026-11-21T08:00:00.Z""#),
        ("date", r#""2026-11-21T23:59:60Z""#),
        ("date", r#""0000-11-21T08:00:00Z""#),
        ("date", r#""soon""#),
        ("date", "1700000000000"),
        ("isMobile", r#""true""#),
        ("isMobile", "0"),
    ] {
        let record = format!(r#"{{"{name}":{value}}}"#);
        assert_row(&record, &json!({"AdditionalFields": record}));
    }
}

#[test]
fn a_number_goes_into_a_column_only_if_it_stays_what_it_is() {
    for (number, stays) in [
        ("1700000000123", true),
        ("-0.5", true),
        ("123456789012345", true),
        ("9007199254740993", false),
        ("0.12345678901234567", false),
        ("1e400", false),
        ("1E2", false),
    ] {
        let record = format!(r#"{{"details":{{"initiatedAt":{number}}}}}"#);
        let row = row(&record, Api::DataCollector, Redaction::On).unwrap();
        let expected = if stays {
            format!(r#"{{"details_initiatedAt":{number}}}"#)
        } else {
            let escaped = record.replace('"', "\\\"");
            format!(r#"{{"AdditionalFields":"{escaped}"}}"#)
        };
        assert_eq!(row, expected);
    }
}

#[test]
fn text_is_converted_where_the_catalogue_says_so() {
    assert_row(
        r#"{"details":{"request":{"query":{"is_global":"true","page":"2"}},"body":{"verify":"false"}}}"#,
        &json!({"details_request_query_is_global": true, "details_request_query_page": 2,
            "details_body_verify": false}),
    );
    for text in ["02", "1.50", "+1", "inf", "NaN", "1e3", "", "yes"] {
        let record = format!(r#"{{"details":{{"request":{{"query":{{"page":"{text}"}}}}}}}}"#);
        assert_row(&record, &json!({"AdditionalFields": record}));
    }
}

#[test]
fn names_that_collide_lose_nothing() {
    assert_row(
        r#"{"tenant-name":"a","tenant_name":"b","tenant":{"name":"c"},"details_request_ip":"d",
            "details":{"request":{"ip":"e"},"request_ip":"f"},"AdditionalFields":"g","TimeGenerated":"h"}"#,
        &json!({"tenant_name": "b", "details_request_ip": "e",
            "AdditionalFields": r#"{"tenant-name":"a","tenant":{"name":"c"},"details_request_ip":"d","details":{"request_ip":"f"},"AdditionalFields":"g","TimeGenerated":"h"}"#}),
    );
    let twice = row(r#"{"ip":"a","ip":"b"}"#, Api::DataCollector, Redaction::On).unwrap();
    assert_eq!(twice, r#"{"ip":"a","AdditionalFields":"{\"ip\":\"b\"}"}"#);
}

#[test]
fn a_name_is_known_behind_its_escapes() {
    assert_row(r#"{"\u0074ype":"s"}"#, &json!({"type": "s"}));
    assert_row(
        r#"{"a\"\ud800":"s"}"#,
        &json!({"AdditionalFields": r#"{"a\"\ud800":"s"}"#}),
    );
}

#[test]
fn what_is_too_long_for_its_column_moves_to_the_rest_whole() {
    let fits = "x".repeat(32_000);
    assert_row(&format!(r#"{{"ip":"{fits}"}}"#), &json!({"ip": fits}));
    let long = format!(r#"{{"ip":"{fits}x"}}"#);
    assert_eq!(joined(&row_of(&long)), long);
    let list = format!(r#"{{"scope":["{}"],"ip":"1"}}"#, "x".repeat(5_000));
    let row = row_of(&list);
    assert_eq!((&row["scope"], &row["ip"]), (&Value::Null, &json!("1")));
    assert_eq!(
        record_of(&row),
        serde_json::from_str::<Value>(&list).unwrap()
    );
}

#[test]
fn a_list_that_would_not_stay_what_it_is_moves_to_the_rest() {
    for list in [
        r#"["a\ud800"]"#,
        r#"["a\u0000b"]"#,
        r#"[{"a\u0000":1}]"#,
        "[1e400]",
        "[9007199254740993.1]",
        r#"[{"a":1,"a":2}]"#,
        r#"[{"a":1,"\u0061":2}]"#,
        &format!("{}{}", "[".repeat(17), "]".repeat(17)),
    ] {
        let record = format!(r#"{{"scope":{list}}}"#);
        assert_row(&record, &json!({"AdditionalFields": record}));
    }
    let deep = format!("{}{}", "[".repeat(16), "]".repeat(16));
    let kept: Value = serde_json::from_str(&deep).unwrap();
    assert_row(&format!(r#"{{"scope":{deep}}}"#), &json!({"scope": kept}));
    assert_row(
        r#"{"scope":[{"a":1},{"a":2}]}"#,
        &json!({"scope": [{"a": 1}, {"a": 2}]}),
    );
}

#[test]
fn every_column_can_be_filled_while_secrets_are_masked() {
    for column in &catalogue().columns {
        let value = match column.kind {
            Type::String => json!("x"),
            Type::Real => json!(1),
            Type::Boolean => json!(true),
            Type::DateTime => json!("2026-11-21T08:00:00.123Z"),
            Type::Guid => json!("01234567-89ab-cdef-0123-456789abcdef"),
        };
        let wrap = |value, name: &&str| json!({ *name: value });
        let record = column.path.iter().rev().fold(value.clone(), wrap);
        let is_secret = ["masked unless REDACT=off"].contains(&column.meaning);
        let expected = if is_secret { json!("***") } else { value };
        assert_eq!(
            row_of(&record.to_string()),
            json!({ &column.name: expected })
        );
    }
}

#[test]
fn the_last_part_of_several_is_never_so_short_that_it_could_be_taken_for_something_else() {
    // `{"x":"…","n":…}`: without the minimum, the digits and the brace would be a part of their own.
    let digits = "1".repeat(32);
    let record = format!(r#"{{"x":"{}","n":{digits}}}"#, "p".repeat(31_988));
    let row = row_of(&record);
    assert_eq!(row["AdditionalFields"].as_str().unwrap().len(), 31_900);
    assert_eq!(joined(&row), record);
}

#[test]
fn the_rest_is_cut_between_characters_into_parts_that_fit() {
    let value = "é€😀\\\"".repeat(20_000);
    let record = json!({"details": {"message": value}});
    let row = row_of(&record.to_string());
    let Value::Object(parts) = &row else {
        panic!("a row is an object");
    };
    assert_eq!(parts.len(), 9);
    for (name, part) in parts {
        let length = part.as_str().unwrap().len();
        assert!(name == "AdditionalFields_9" || (31_997..=32_000).contains(&length));
    }
    assert_eq!(record_of(&row), record);
}

#[test]
fn a_rest_that_needs_more_parts_than_there_are_is_an_error() {
    // `{"a":"…"}` has 8 bytes besides the text.
    let record = |length: usize| format!(r#"{{"a":"{}"}}"#, "x".repeat(length - 8));
    let fits = row_of(&record(128 * 32_000));
    assert_eq!(fits.as_object().unwrap().len(), 128);
    let error = row(&record(128 * 32_000 + 1), Api::DataCollector, Redaction::On).unwrap_err();
    assert_eq!(
        error.to_string(),
        "what has no column of its own takes 4096001 bytes, and 128 parts of AdditionalFields hold \
         32000 each"
    );
}

#[test]
fn depth_is_no_matter() {
    let deep = format!(
        r#"{{"details":{{"request":{{"body":{}1{}}}}}}}"#,
        r#"{"a":"#.repeat(60),
        "}".repeat(60)
    );
    assert_row(&deep, &json!({"AdditionalFields": deep}));
}
