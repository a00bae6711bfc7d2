//! JSON whose own quotes are escaped.

use super::*;
use crate::json;

const PERSONS: &str = "email:mask,first_name:mask,username:mask,location:mask";

#[track_caller]
fn assert_text_becomes(text: &str, expected: &str) {
    let record = |text: &str| format!(r#"{{"body":"{}","n":1}}"#, json::escape(text));
    assert_becomes(PERSONS, &record(text), &record(expected));
}

#[test]
fn json_whose_own_quotes_are_escaped_tells_by_its_names_wherever_it_stands() {
    for (text, expected) in [
        (
            r#"body={\"email\":\"ada@example.com\",\"given_name\":\"Ada\"} failed"#,
            r#"body={\"email\":\"***\",\"given_name\":\"***\"} failed"#,
        ),
        (
            r#"sent "{\"given_name\": \"Al\", \"latitude\":1, \"n\" : \"\\\"é\"}" at C:\dir"#,
            r#"sent "{\"given_name\":\"***\",\"n\":\"\\\"é\"}" at C:\dir"#,
        ),
        // Several times, in a list, beside other JSON, and cut.
        (
            r#"got [{\\\"given_name\\\":\\\"Al\\\"}] and {\\\"n\\\" : 1}"#,
            r#"got [{\\\"given_name\\\":\\\"***\\\"}] and {\\\"n\\\" : 1}"#,
        ),
        (
            r#"{"given_name":"Bo"} {\"given_name\":\"Al\"} {"given_name":"Cy"}"#,
            r#"{"given_name":"***"} {\"given_name\":\"***\"} {"given_name":"***"}"#,
        ),
        (
            r#"{\"given_name\":\"Al\", \"latitude\":1, \"n\" : \"\/"#,
            r#"{\"given_name\":\"***\", \"latitude\":\"***\", \"n\" : \"\/"#,
        ),
        (
            r"got {\u0022given_name\u0022:\u0022Al\u0022}",
            r"got {\u0022given_name\u0022:\u0022***\u0022}",
        ),
        // As in HTML, and percent-encoded.
        (
            "<p>{&quot;given_name&quot;:&quot;Al&quot;,&quot;a&quot;:&quot;R&amp;D&quot;}</p>",
            "<p>{&quot;given_name&quot;:&quot;***&quot;,&quot;a&quot;:&quot;R&amp;D&quot;}</p>",
        ),
        (
            "got {&#34;given_name&#34;:&#34;Al&#34;} {&#x22;given_name&#x22;:&#x22;Al&#x22;}",
            "got {&#34;given_name&#34;:&#34;***&#34;} {&#x22;given_name&#x22;:&#x22;***&#x22;}",
        ),
        (
            "/x?user=%7B%22given_name%22%3A%22Al%22%2C+%22n%22%3A%22%C3%A9%22%7D&a=%7B%22n%22%3A+1%7D",
            "/x?user=%7B%22given_name%22%3A%22***%22%2C%22n%22%3A%22%C3%A9%22%7D&a=%7B%22n%22%3A+1%7D",
        ),
        (
            "/x?user={%22given_name%22:%22Al%22}&b=%257B%2522given_name%2522%253A%2522Al%2522%257D",
            "/x?user={%22given_name%22:%22***%22}&b=%257B%2522given_name%2522%253A%2522***%2522%257D",
        ),
    ] {
        assert_text_becomes(text, expected);
    }
}

#[test]
fn escaped_json_without_personal_names_stays_to_the_byte() {
    for text in [
        r#"got {\"a\" : \"b\"} at C:\dir [\"c\"] "\n""#,
        "{&quot;a&quot; : 1} R&D &lt;",
        "%7B%22a%22+%3A%201%7D",
    ] {
        assert_text_becomes(text, text);
    }
}

#[test]
fn objects_in_escaped_json_are_told_apart() {
    assert_becomes(
        "first_name:mask",
        r#"{"a":"x {\\\"b\\\":{}} {\\\"email\\\":\\\"x@y.z\\\",\\\"name\\\":\\\"Ada\\\"}","path":"/a?q=%7B%22c%22:1%7D","body":"[{\"email\":\"x@y.z\",\"name\":\"Bo\"},{\"name\":\"Shop\"}]"}"#,
        r#"{"a":"x {\\\"b\\\":{}} {\\\"email\\\":\\\"x@y.z\\\",\\\"name\\\":\\\"***\\\"}","path":"/a?q=%7B%22c%22:1%7D","body":"[{\"email\":\"x@y.z\",\"name\":\"***\"},{\"name\":\"Shop\"}]"}"#,
    );
    // In a path, what was found is replaced.
    assert_becomes(
        "username:mask",
        r#"{"path":"/x?user=%7B%22username%22%3A%22adalove%22%7D","error":"no adalove"}"#,
        r#"{"path":"/x?user=%7B%22username%22%3A%22***%22%7D","error":"no ***"}"#,
    );
}

#[test]
fn json_that_is_escaped_in_very_many_layers_is_read_as_deep_as_texts_in_texts() {
    for depth in [1, 3, 5, 6, 7, 12] {
        let mut text = r#"{"given_name":"Al"}"#.to_owned();
        for _ in 0..depth {
            text = json::escape(&text);
        }
        let record = format!(r#"{{"a":"{}"}}"#, json::escape(&format!("sent {text} ok")));
        let line = applied(PERSONS, &record);
        assert_eq!(line.contains("Al"), depth > 5, "{depth} {line}");
        assert!(line.len() <= record.len() + 2);
    }
    for text in [
        r#"{\"a\":"#,
        r#"[\"{\"#,
        "%7B%22a%22%3A",
        "{&quot;a&quot;:",
        r#"{\\\"a\\\":\"{\""#,
    ] {
        let text = text.repeat(40_000);
        assert_text_becomes(&text, &text);
    }
}

#[test]
fn what_nobody_sees_before_json_in_quotes_hides_nothing() {
    assert_text_becomes(
        "\u{feff} \"[{\\\"given_name\\\":\\\"Al\\\"}]\"",
        "\u{feff} \"[{\\\"given_name\\\":\\\"***\\\"}]\"",
    );
}

#[test]
fn details_may_be_json_in_texts_in_texts() {
    let call = |name: &str| {
        format!(r#"{{"request":{{"path":"/api/v2/users","body":{{"name":"{name}"}}}}}}"#)
    };
    let quoted = |it: String| format!("\"{}\"", json::escape(&it));
    let all = |name| {
        let call = call(name);
        [
            quoted(call.clone()),
            quoted(quoted(call.clone())),
            quoted(format!("\u{feff} {}", quoted(call.clone()))),
            quoted(json::escape(&call)),
        ]
    };
    for (details, expected) in all("Ada").iter().zip(all("***")) {
        assert_becomes(
            "first_name:mask",
            &format!(r#"{{"details":{details}}}"#),
            &format!(r#"{{"details":{expected}}}"#),
        );
    }
}
