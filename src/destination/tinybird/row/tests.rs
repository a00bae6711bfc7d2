use super::*;

const ID: &str = "90020261121080000123456000000000000001223372037583230452";

fn data(record: &str) -> String {
    let row = row(&LogId::new(ID), record);
    let head = format!(r#"{{"log_id":"{ID}","data":"#);
    let data = row.strip_prefix(&head).and_then(|it| it.strip_suffix('}'));
    data.unwrap_or_else(|| panic!("{row}")).to_owned()
}

/// The members of the row without those that every row has.
fn of(record: &str) -> String {
    let data = data(record);
    let always = r#""auth0_client":{},"date":"2026-11-21 08:00:00.123","details":{},"scope":[]}"#;
    let own = data.strip_suffix(always);
    let own = own.unwrap_or_else(|| panic!("{data}"));
    format!("{}}}", own.trim_end_matches(','))
}

fn field(record: &str, name: &str) -> String {
    let data: serde_json::Value = serde_json::from_str(&data(record)).unwrap();
    data.get(name).map_or("-".into(), ToString::to_string)
}

#[test]
fn a_record_in_shape_stays_as_it_is_but_for_its_date() {
    let record = r#"{"date":"2026-11-21T08:00:00.500Z","type":"s","isMobile":false,"n":1.50,"user_id":"auth0|1","$event_schema":{"version":"1.0.0"},"scope":["openid","x"],"auth0_client":{"name":"a","env":{"node":"v22"}},"details":{"prompts":[{"name":"x"}],"elapsedTime":null},"location_info":{"latitude":50.9}}"#;
    assert_eq!(
        data(record),
        record.replace("2026-11-21T08:00:00.500Z", "2026-11-21 08:00:00.500")
    );
}

#[test]
fn a_scope_is_always_a_list_of_texts() {
    for (written, expected) in [
        (
            r#""openid  profile\nemail""#,
            r#"["openid","profile","email"]"#,
        ),
        (r#""""#, "[]"),
        ("null", "[]"),
        ("[]", "[]"),
        (
            r#"["a b",null,5,{"c":[1]},true]"#,
            r#"["a b","5","{\"c\":[1]}","true"]"#,
        ),
        (r#"{"a":1}"#, r#"["{\"a\":1}"]"#),
        (r#"[["d"],"e"]"#, r#"["[\"d\"]","e"]"#),
        ("7", r#"["7"]"#),
    ] {
        assert_eq!(
            field(&format!(r#"{{"scope":{written}}}"#), "scope"),
            expected
        );
    }
    assert_eq!(field("{}", "scope"), "[]");
}

#[test]
fn a_client_and_details_are_always_objects_and_keep_what_they_were_in_their_value() {
    for name in ["auth0_client", "details"] {
        for (written, expected) in [
            (r#"{"a":1}"#, r#"{"a":1}"#),
            ("null", "{}"),
            (r#""management""#, r#"{"value":"management"}"#),
            (r#"[{"a":1},"b"]"#, r#"{"value":[{"a":1},"b"]}"#),
            ("5", r#"{"value":5}"#),
            ("false", r#"{"value":false}"#),
        ] {
            let record = format!(r#"{{"{name}":{written}}}"#);
            assert_eq!(field(&record, name), expected);
        }
        assert_eq!(field("{}", name), "{}");
    }
}

#[test]
fn the_other_columns_are_texts_or_missing() {
    for name in TEXTS.into_iter().chain(["type", "user_id"]) {
        for (written, expected) in [
            (r#""é\u0000\"""#, r#""é\u0000\"""#),
            ("null", "-"),
            ("17", r#""17""#),
            ("true", r#""true""#),
            (r#"["a",1]"#, r#""[\"a\",1]""#),
            (r#"{"a":{"b":"c"}}"#, r#""{\"a\":{\"b\":\"c\"}}""#),
        ] {
            let record = format!(r#"{{"{name}":{written}}}"#);
            assert_eq!(field(&record, name), expected, "{name}");
        }
    }
    for (written, expected) in [
        (r#"{"version":"1"}"#, r#"{"version":"1"}"#),
        (r#"{"version":2,"x":2}"#, r#"{"version":"2","x":2}"#),
        (r#"{"version":null}"#, "{}"),
        (r#""1""#, r#""1""#),
    ] {
        let record = format!(r#"{{"$event_schema":{written}}}"#);
        assert_eq!(field(&record, "$event_schema"), expected);
    }
}

#[test]
fn a_date_is_one_that_every_parser_reads_and_what_is_none_is_kept_beside_it() {
    for (written, date, other) in [
        (
            r#""2026-11-21T08:00:00.5Z""#,
            "2026-11-21 08:00:00.500",
            "-",
        ),
        (
            r#""2026-11-21T08:00:00+02:00""#,
            "2026-11-21 06:00:00.000",
            "-",
        ),
        (
            r#""2026-11-21T08:00:00.1239999Z""#,
            "2026-11-21 08:00:00.123",
            "-",
        ),
        // The date of the id.
        (
            r#""yesterday""#,
            "2026-11-21 08:00:00.123",
            r#""yesterday""#,
        ),
        (
            r#""2026-11-21""#,
            "2026-11-21 08:00:00.123",
            r#""2026-11-21""#,
        ),
        (r#""""#, "2026-11-21 08:00:00.123", r#""""#),
        ("1795000000123", "2026-11-21 08:00:00.123", "1795000000123"),
        ("null", "2026-11-21 08:00:00.123", "-"),
        (
            r#""x","date":"2026-11-21T09:00:00Z""#,
            "2026-11-21 09:00:00.000",
            "-",
        ),
    ] {
        let record = format!(r#"{{"date":{written}}}"#);
        assert_eq!(field(&record, "date"), format!("\"{date}\""));
        assert_eq!(field(&record, "date_value"), other);
    }
    // Neither the id nor the record has a time.
    let row = row(&LogId::new("odd"), r#"{"date":null}"#);
    let expected = r#"{"log_id":"odd","data":{"auth0_client":{},"details":{},"scope":[]}}"#;
    assert_eq!(row, expected);
}

#[test]
fn no_two_paths_are_equal() {
    for (record, expected) in [
        (r#"{"a.b":1,"a":{"b":2}}"#, r#"{"a%2Eb":1,"a":{"b":2}}"#),
        (r#"{"a":1,"a":2,"a":3}"#, r#"{"a#1":1,"a#2":2,"a":3}"#),
        (r#"{"a":1,"\u0061":2}"#, r#"{"a#1":1,"a":2}"#),
        (r#"{"a":1,"a#1":2,"a":3}"#, r#"{"a#2":1,"a#1":2,"a":3}"#),
        (
            r#"{"a.b":{"c":1},"a":{"b.c":2}}"#,
            r#"{"a%2Eb":{"c":1},"a":{"b.c":2}}"#,
        ),
        (r#"{"a.b":1,"a.b.c":2}"#, r#"{"a%2Eb":1,"a%2Eb%2Ec":2}"#),
        (r#"{"a.b":1,"a":[{"b":2}]}"#, r#"{"a%2Eb":1,"a":[{"b":2}]}"#),
        (
            r#"{"a%2Eb":1,"a.b":2,"a":3,"a%2Eb.c":4}"#,
            r#"{"a%2Eb#1":1,"a%2Eb":2,"a":3,"a%2Eb%2Ec":4}"#,
        ),
        (r#"{"a":{"":1},"a.":2}"#, r#"{"a":{"":1},"a%2E":2}"#),
        (r#"{".a":1,"":{"a":2}}"#, r#"{"%2Ea":1,"":{"a":2}}"#),
        // No equal paths: unchanged.
        (
            r#"{"a.b":1,"ab":2,"a-b":{"c.d":3}}"#,
            r#"{"a.b":1,"ab":2,"a-b":{"c.d":3}}"#,
        ),
        // Also within other values.
        (
            r#"{"x":[{"y":{"a.b":1,"a":{"b":2}}},{"z":1,"z":2}]}"#,
            r#"{"x":[{"y":{"a%2Eb":1,"a":{"b":2}}},{"z#1":1,"z":2}]}"#,
        ),
    ] {
        assert_eq!(of(record), expected, "{record}");
    }
    // Also with the members that every row has.
    let added = of(r#"{"details.a":1,"ip":"1","ip":"2"}"#);
    assert_eq!(added, r#"{"details%2Ea":1,"ip#1":"1","ip":"2"}"#);
}

#[test]
fn many_equal_names_and_a_name_of_dots_take_no_time() {
    let names = vec![r#""a":1"#; 50_000].join(",");
    let record = format!("{{{names}}}");
    assert!(of(&record).ends_with(r#","a#49999":1,"a":1}"#));
    let record = format!(r#"{{"{}":1,"b":2}}"#, ".".repeat(1_000_000));
    assert_eq!(of(&record), record);
}

#[test]
fn numbers_and_texts_that_no_parser_takes_become_ones_that_it_does() {
    for (written, expected) in [
        ("18446744073709551615", "18446744073709551615"),
        ("18446744073709551616", r#""18446744073709551616""#),
        ("-9223372036854775808", "-9223372036854775808"),
        ("-9223372036854775809", r#""-9223372036854775809""#),
        ("1e400", r#""1e400""#),
        ("-1E+400", r#""-1E+400""#),
        ("1e308", "1e308"),
        ("-0", "-0"),
        ("0.10", "0.10"),
        (r#""\ud800x""#, "\"\u{fffd}x\""),
        (r#""\ud83d\ude00""#, r#""\ud83d\ude00""#),
        ("[null,1,{\"a\":null}]", r#"[null,1,{"a":null}]"#),
        (
            r#"[null,[[null],[{"a":[null]}]]]"#,
            r#"["null",[["null"],[{"a":[null]}]]]"#,
        ),
        (
            r#"[1,"x",{"b":[1e999]},[2],null]"#,
            r#"[1,"x",{"b":["1e999"]},[2],"null"]"#,
        ),
    ] {
        let record = format!(r#"{{"x":{written}}}"#);
        assert_eq!(of(&record), format!(r#"{{"x":{expected}}}"#));
    }
    assert_eq!(
        of(r#"{"\ud800":1,"\"\n":2}"#),
        "{\"\u{fffd}\":1,\"\\\"\\n\":2}"
    );
}

#[test]
fn what_is_nested_too_deep_is_its_text() {
    let nested = |depth: usize| format!(r#"{}"x"{}"#, r#"{"a":"#.repeat(depth), "}".repeat(depth));
    let record = |depth| format!(r#"{{"deep":{},"after":[1]}}"#, nested(depth));
    // The record itself is the first level.
    assert_eq!(of(&record(31)), record(31));
    let outer = r#"{"a":"#.repeat(31);
    let expected = format!(
        r#"{{"deep":{outer}"{{\"a\":\"x\"}}"{},"after":[1]}}"#,
        "}".repeat(31)
    );
    assert_eq!(of(&record(32)), expected);
    // Nested far beyond the limit, also in lists.
    let lists = format!(
        r#"{{"deep":{}{}}}"#,
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    assert!(of(&lists).contains("\"[[[["));
}
