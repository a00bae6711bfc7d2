use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use simulator::workspace::columns_of;

use super::super::catalogue::custom_columns;
use super::*;
use crate::table::catalogue::Column;

fn row_of(record: &str) -> Value {
    let row = row(record, Api::DataCollector, Redaction::On).unwrap();
    serde_json::from_str(&row).unwrap_or_else(|error| panic!("{error}: {row}"))
}

/// The parts of `AdditionalFields`, joined.
fn joined(row: &Value) -> String {
    let parts = (0..128).map_while(|number| row[additional_fields(number)].as_str());
    parts.collect()
}

/// A record again, from its row.
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
    // `{"x":"…","n":…}`: the digits and the brace would have been a part of their own.
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
    // `{"a":"…"}` has 8 bytes beside the text.
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

fn declared_row_of(record: &str) -> Result<Value, TooLarge> {
    let row = row(record, Api::LogsIngestion, Redaction::On)?;
    Ok(serde_json::from_str(&row).unwrap())
}

#[test]
fn a_row_for_the_logs_ingestion_api_has_the_columns_as_they_are_declared() {
    let row = declared_row_of(
        r#"{"date":"2026-11-21T08:00:00.123Z","type":"f","isMobile":false,"scope":["a","b\""],
            "details":{"response":{"statusCode":200,"body":{"providers":{"recaptcha_v2":"x"}}},
            "request":{"auth":{"credentials":{"jti":"01234567-89ab-cdef-0123-456789abcdef"}}}}}"#,
    );
    assert_eq!(
        row.unwrap(),
        json!({
            "TimeGenerated": "2026-11-21T08:00:00.123Z",
            "date_t": "2026-11-21T08:00:00.123Z",
            "type_s": "f",
            "isMobile_b": false,
            "scope_s": r#"["a","b\""]"#,
            "details_response_statusCode_d": 200,
            "details_request_auth_credentials_jti_g": "01234567-89ab-cdef-0123-456789abcdef",
            // The column's name would be too long.
            "AdditionalFields_s":
                r#"{"details":{"response":{"body":{"providers":{"recaptcha_v2":"x"}}}}}"#,
        })
    );
    let jti = declared_row_of(
        r#"{"details":{"request":{"auth":{"credentials":{"jti":"0123456789ABcdef0123456789abcdef"}}}}}"#,
    );
    assert_eq!(
        jti.unwrap(),
        json!({"details_request_auth_credentials_jti_g": "01234567-89AB-cdef-0123-456789abcdef"})
    );
    let dateless = declared_row_of(r#"{"date":"yesterday"}"#).unwrap();
    assert_eq!(
        dateless,
        json!({"AdditionalFields_s": r#"{"date":"yesterday"}"#})
    );
}

#[test]
fn what_a_field_of_the_logs_ingestion_api_cannot_hold_goes_on_in_the_next() {
    let longest = "x".repeat(64_000);
    let fits = declared_row_of(&format!(r#"{{"ip":"{longest}"}}"#)).unwrap();
    assert_eq!(fits, json!({"ip_s": longest}));
    let long = declared_row_of(&format!(r#"{{"ip":"{longest}x"}}"#)).unwrap();
    // `{"ip":"` has 7 bytes. The last part is never so short that it could be a number.
    assert_eq!(
        long,
        json!({
            "AdditionalFields_s": format!(r#"{{"ip":"{}"#, &longest[..64_000 - 100 - 7]),
            "AdditionalFields_2_s": format!(r#"{}x"}}"#, &longest[..107]),
        })
    );
}

#[test]
fn a_row_that_no_delivery_of_the_logs_ingestion_api_can_hold_is_an_error() {
    // Beside the text: 8 bytes of the rest, whose 4 quotes take another 4 in the row, and the
    // names of 16 parts.
    let names: usize = (1..=16)
        .map(|number| {
            let number = if number == 1 {
                String::new()
            } else {
                format!("_{number}")
            };
            format!(r#","AdditionalFields{number}_s":"""#).len()
        })
        .sum();
    let room = 999_998 - 12 - names - 1;
    let record = |length: usize| format!(r#"{{"a":"{}"}}"#, "x".repeat(length));
    let row = row(&record(room), Api::LogsIngestion, Redaction::On).unwrap();
    assert_eq!(row.len(), 999_998);
    assert_eq!(
        declared_row_of(&record(room + 1)).unwrap_err().to_string(),
        "its row takes 999999 bytes, and a delivery 999998"
    );
    assert_eq!(
        declared_row_of(&record(16 * 64_000)).unwrap_err(),
        TooLarge::Rest {
            bytes: 1_024_008,
            parts: 16,
            longest: 64_000
        }
    );
}

#[test]
fn secrets_are_masked_in_columns_lists_and_the_rest() {
    assert_row(
        r#"{"details":{"request":{"body":{"password":"a","name":"b","options":{"client_secret":"c"}}},
            "response":{"body":[{"client_secret":"d","id":1}]},"body":{"ticket":"e"}},"otp":123456}"#,
        &json!({"details_request_body_password": "***", "details_request_body_name": "b",
            "details_response_body": [{"client_secret": "***", "id": 1}], "details_body_ticket": "***",
            "AdditionalFields":
                r#"{"details":{"request":{"body":{"options":{"client_secret":"***"}}}},"otp":"***"}"#}),
    );
    let open = row(
        r#"{"details":{"body":{"ticket":"e"}}}"#,
        Api::DataCollector,
        Redaction::Off,
    )
    .unwrap();
    assert_eq!(open, r#"{"details_body_ticket":"e"}"#);
}

#[test]
fn the_bodies_of_a_call_that_sets_secrets_are_masked_and_nothing_else_is() {
    assert_row(
        r#"{"user_agent":"curl/8","details":{"request":{"path":"/api/v2/rules-configs/A","body":{"name":"a","b":{"c":1}},
            "query":{"body":"d"}},"response":{"statusCode":200,"body":[{"e":"f"}]},"body":{"email":"g"}}}"#,
        &json!({"user_agent": "curl/8", "details_request_path": "/api/v2/rules-configs/A",
            "details_response_statusCode": 200, "details_response_body": [{"e": "***"}],
            "details_body_email": "g",
            "AdditionalFields":
                r#"{"details":{"request":{"body":{"name":"***","b":{"c":"***"}},"query":{"body":"d"}}}}"#}),
    );
    // The body of a list of calls is none.
    assert_row(
        r#"{"details":{"request":{"path":"/api/v2/hooks/1/secrets"},"requests":[{"body":{"name":"a"}}]}}"#,
        &json!({"details_request_path": "/api/v2/hooks/1/secrets",
            "AdditionalFields": r#"{"details":{"requests":[{"body":{"name":"a"}}]}}"#}),
    );
}

#[test]
fn a_caller_masks_nothing_that_a_rule_reads() {
    assert_row(
        r#"{"user_name":"a#password=b@evil.example","user_agent":"sqlmap PRIVATE KEY-----","user_id":"auth0|a?token=b",
            "scope":["a?token=b"],"details":{"request":{"method":"post","path":"/api/v2/client-grants","userAgent":"/rules-configs/",
            "body":{"client_id":"evil","audience":"https://acme.eu.auth0.com/api/v2/","scope":["create:users"],
            "owners":["a=b&token=c@evil.example"]},"correlation_id":"/hooks/1/secrets"}}}"#,
        &json!({"user_name": "a#password=b@evil.example", "user_agent": "sqlmap PRIVATE KEY-----",
            "user_id": "auth0|a?token=b", "scope": ["a?token=b"], "details_request_method": "post",
            "details_request_path": "/api/v2/client-grants", "details_request_userAgent": "/rules-configs/",
            "details_request_body_client_id": "evil",
            "details_request_body_audience": "https://acme.eu.auth0.com/api/v2/",
            "details_request_body_scope": ["create:users"],
            "details_request_body_owners": ["a=b&token=c@evil.example"],
            "AdditionalFields": r#"{"details":{"request":{"correlation_id":"/hooks/1/secrets"}}}"#}),
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

/// Values as JSON text: what services take for something else, what not every parser takes, and
/// others.
fn leaf() -> impl Strategy<Value = String> {
    let odd = [
        "null",
        "true",
        "false",
        "{}",
        "[]",
        "0",
        "-0.5",
        "1e400",
        "9007199254740993",
        "17.10",
        r#""2026-11-21T08:00:00Z""#,
        r#""2026-11-21T08:00:00.1234567Z""#,
        r#""2026-11-21""#,
        r#""2026-11-21T08:00:00+01:00""#,
        r#""01234567-89ab-cdef-0123-456789abcdef""#,
        r#""0123456789abcdef0123456789abcdef""#,
        r#""a\u0000b""#,
        r#""\ud800""#,
        r#""\ud83d\ude00""#,
        r#""true""#,
        r#""17""#,
        r#""017""#,
        r#""1e3""#,
        r#""\u0074rue""#,
    ];
    prop_oneof![
        4 => proptest::sample::select(odd.to_vec()).prop_map(str::to_owned),
        1 => any::<i64>().prop_map(|it| it.to_string()),
        1 => "[0-9A-F{}/:T -]{0,40}".prop_map(quoted),
        1 => any::<String>().prop_map(quoted),
    ]
}

#[allow(clippy::needless_pass_by_value, reason = "what a strategy hands over")]
fn quoted(text: String) -> String {
    Value::from(text).to_string()
}

/// Names from paths of the catalogue, whole and in pieces, and others, as JSON text.
fn name() -> impl Strategy<Value = String> {
    let columns = &catalogue().columns;
    let segments: BTreeSet<&str> = columns.iter().flat_map(|it| it.path.clone()).collect();
    let segments: Vec<_> = segments.into_iter().map(str::to_owned).collect();
    let names: Vec<_> = columns.iter().map(|it| it.name.clone()).collect();
    prop_oneof![
        4 => proptest::sample::select(segments).prop_map(quoted),
        1 => proptest::sample::select(names).prop_map(quoted),
        1 => Just(r#""\u0074ype""#.to_owned()),
        1 => any::<String>().prop_map(quoted),
    ]
}

fn value() -> impl Strategy<Value = String> {
    leaf().prop_recursive(7, 64, 6, |inner| {
        prop_oneof![
            1 => proptest::collection::vec(inner.clone(), 0..4)
                .prop_map(|items| format!("[{}]", items.join(" ,"))),
            4 => object(inner),
        ]
    })
}

/// Names may be there twice.
fn object(value: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let member = (name(), value).prop_map(|(name, value)| format!("{name} : {value}"));
    let members = proptest::collection::vec(member, 0..6);
    members.prop_map(|members| format!("{{ {}\n}}", members.join(",")))
}

/// A value at the path of one of the columns.
fn at_a_column() -> impl Strategy<Value = String> {
    let paths: Vec<_> = catalogue()
        .columns
        .iter()
        .map(|it| it.path.clone())
        .collect();
    (proptest::sample::select(paths), value()).prop_map(|(path, value)| {
        let wrap = |value: String, name: &&str| format!(r#"{{"{name}":{value}}}"#);
        path.iter().rev().fold(value, wrap)
    })
}

/// Every value with the names that lead to it, as it was written, but that what stands under a
/// path whose column converts has no quotes.
type Leaves = Vec<(Vec<String>, String)>;

fn leaves_of(text: &str) -> Leaves {
    let mut leaves = Vec::new();
    let mut tokens = Scanner::new(text);
    let first = tokens.next().unwrap();
    collect(first, &mut tokens, &mut Vec::new(), &mut leaves);
    leaves
}

fn collect<'a>(
    value: Token<'a>,
    rest: &mut Scanner<'a>,
    path: &mut Vec<String>,
    leaves: &mut Leaves,
) {
    let mut text = String::new();
    json::write(&mut text, value);
    match value {
        Token::BeginObject => {
            let mut is_empty = true;
            while let Some(Token::Key(key)) = rest.next() {
                is_empty = false;
                path.push(json::unescape(key).unwrap_or(key.into()).into_owned());
                let value = rest.next().unwrap();
                collect(value, rest, path, leaves);
                path.pop();
            }
            if is_empty {
                leaves.push((path.clone(), "{}".into()));
            }
        }
        Token::BeginArray => {
            for index in 0.. {
                let value = rest.next().unwrap();
                if value == Token::EndArray {
                    leaves.push((path.clone(), format!("a list of {index}")));
                    break;
                }
                path.push(index.to_string());
                collect(value, rest, path, leaves);
                path.pop();
            }
        }
        _ => {
            let is_converted = |it: &Column| it.from_text && it.path.iter().eq(path.iter());
            let is_converted = catalogue().columns.iter().any(is_converted);
            let text = if is_converted {
                text.trim_matches('"')
            } else {
                &text
            };
            leaves.push((path.clone(), text.to_owned()));
        }
    }
}

type Columns<'a> = BTreeMap<String, &'a RawValue>;

fn check(record: &str) {
    let as_flattened = row(record, Api::DataCollector, Redaction::Off).unwrap();
    let flattened: Columns = serde_json::from_str(&as_flattened).unwrap();
    let Value::Object(parsed) = serde_json::from_str(&as_flattened).unwrap() else {
        panic!("a row is an object");
    };
    let known: BTreeSet<_> = custom_columns(Api::DataCollector)
        .map(|(name, _)| name)
        .collect();
    for column in columns_of(parsed).into_keys() {
        assert!(known.contains(&column), "{column}");
    }
    assert_whole(record, Api::DataCollector, &flattened);

    let declared = row(record, Api::LogsIngestion, Redaction::Off).unwrap();
    let mut declared: Columns = serde_json::from_str(&declared).unwrap();
    let known: BTreeSet<_> = custom_columns(Api::LogsIngestion)
        .map(|(name, _)| name)
        .collect();
    let time = declared.remove("TimeGenerated").map(RawValue::get);
    assert_eq!(time, declared.get("date_t").map(|it| it.get()));
    for column in declared.keys() {
        assert!(known.contains(column), "{column}");
    }
    // A list is a text here, and what text it is the other row tells.
    for column in &catalogue().columns {
        let list = flattened
            .get(&column.name)
            .filter(|it| it.get().starts_with('['));
        if let (Some(list), Some(text)) = (list, declared.get_mut(&column.full_name)) {
            let unquoted: String = serde_json::from_str(text.get()).unwrap();
            assert_eq!(unquoted, list.get());
            *text = list;
        }
    }
    // A GUID has hyphens here.
    for column in catalogue()
        .columns
        .iter()
        .filter(|it| it.kind == Type::Guid)
    {
        let guid = flattened.get(&column.name);
        if let (Some(guid), Some(hyphenated)) = (guid, declared.get_mut(&column.full_name)) {
            let bare = |it: &RawValue| it.get().replace('-', "");
            assert_eq!(bare(guid), bare(hyphenated));
            *hyphenated = guid;
        }
    }
    assert_whole(record, Api::LogsIngestion, &declared);
}

/// Asserts that the columns of a row and its rest are the record, leaf by leaf.
fn assert_whole(record: &str, api: Api, columns: &Columns) {
    let parts = (0..api.parts()).map_while(|number| match api {
        Api::DataCollector => columns.get(&additional_fields(number)),
        Api::LogsIngestion => columns.get(&additional_fields_column(number)),
    });
    let parts = parts.map(|part| serde_json::from_str::<String>(part.get()).unwrap());
    let mut leaves = match &*parts.collect::<String>() {
        "" => Vec::new(),
        rest => leaves_of(rest),
    };
    for column in &catalogue().columns {
        let name = column.name_for(api);
        if let Some(value) = name.and_then(|name| columns.get(name)) {
            let wrap = |value: String, name: &&str| format!(r#"{{"{name}":{value}}}"#);
            let record = column.path.iter().rev().fold(value.get().to_owned(), wrap);
            leaves.extend(leaves_of(&record));
        }
    }
    let mut expected = leaves_of(record);
    // Of an empty record there is nothing to keep.
    expected.retain(|(path, _)| !path.is_empty());
    expected.sort();
    leaves.sort();
    assert_eq!(leaves, expected, "{api:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_row_and_the_catalogue_are_the_record(record in object(value())) {
        check(&record);
    }

    #[test]
    fn any_value_may_stand_at_the_path_of_a_column(record in at_a_column()) {
        check(&record);
    }
}
