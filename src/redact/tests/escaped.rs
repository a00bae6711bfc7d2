//! JSON whose own quotes are escaped.

use super::*;

#[track_caller]
fn assert_text_masked(name: &str, text: &str, expected: &str) {
    assert_masked(
        &format!(r#"{{"details":{{"{name}":{}}}}}"#, quoted(text)),
        &format!(r#"{{"details":{{"{name}":{}}}}}"#, quoted(expected)),
    );
}

#[test]
fn json_whose_own_quotes_are_escaped_is_masked_wherever_it_stands() {
    for (text, expected) in [
        (
            r#"sent "{\"password\":\"x\"}" ok"#,
            r#"sent "{\"password\":\"***\"}" ok"#,
        ),
        (
            r#"body={\"a\":\"C:\\\\b\", \"otp\": 17, \"token\":\"x\\\"y\"} at C:\dir"#,
            r#"body={\"a\":\"C:\\\\b\", \"otp\": \"***\", \"token\":\"***\"} at C:\dir"#,
        ),
        (r#"{\"password\":\"x\"}"#, r#"{\"password\":\"***\"}"#),
        (
            r#"a [{\"password\":\"x\"}, {\"otp\":\"y\"}] and {"pin":1,"otp":"y"} {\"otp\":\"z\"}"#,
            r#"a [{\"password\":\"***\"}, {\"otp\":\"***\"}] and {"pin":1,"otp":"***"} {\"otp\":\"***\"}"#,
        ),
        // Several times, and cut.
        (
            r#"got {\\\"a\\\":{\\\"password\\\":\\\"x\\\",\\\"otp\\\":1}} ok"#,
            r#"got {\\\"a\\\":{\\\"password\\\":\\\"***\\\",\\\"otp\\\":\\\"***\\\"}} ok"#,
        ),
        (
            r#"{\"a\":\"{\\\"password\\\":\\\"x\\\",\\\"b\\\":\\\"c"#,
            r#"{\"a\":\"{\\\"password\\\":\\\"***\\\",\\\"b\\\":\\\"c"#,
        ),
        (
            r"got {\u0022password\u0022:\u0022x\u0022,\u0022otp\u0022:1}",
            r"got {\u0022password\u0022:\u0022***\u0022,\u0022otp\u0022:\u0022***\u0022}",
        ),
        (
            r"got {\\u0022password\\u0022:\\u0022x\\u0022,\\u0022otp\\u0022:1}",
            r"got {\\u0022password\\u0022:\\u0022***\\u0022,\\u0022otp\\u0022:\\u0022***\\u0022}",
        ),
        (
            r#"{\n  \"password\": \"x\",\n  \"path\": \"C:\\\\é\"\n}"#,
            r#"{\n  \"password\": \"***\",\n  \"path\": \"C:\\\\é\"\n}"#,
        ),
        // As in HTML.
        (
            "<p>{&quot;password&quot;:&quot;x&amp;y&quot;,&quot;otp&quot;:1}</p> & more",
            "<p>{&quot;password&quot;:&quot;***&quot;,&quot;otp&quot;:&quot;***&quot;}</p> & more",
        ),
        (
            "{&#34;password&#34;:&#34;x&#34;} {&#x22;otp&#x22;:1}",
            "{&#34;password&#34;:&#34;***&#34;} {&#x22;otp&#x22;:&#34;***&#34;}",
        ),
        // In a parameter, with and without brackets that are encoded.
        (
            "https://h/?a=b&claims=%7B%22password%22%3A%22x%26y%22%2C+%22otp%22%3A1%7D&c=d&token=t",
            "https://h/?a=b&claims=%7B%22password%22%3A%22***%22%2C+%22otp%22%3A%22***%22%7D&c=d&token=***",
        ),
        (
            "https://h/?q={%22password%22:%22x%22,%22otp%22:1}#top",
            "https://h/?q={%22password%22:%22***%22,%22otp%22:%22***%22}#top",
        ),
        (
            "a=b&to=%252Fx%253Fq%253D%257B%2522password%2522%253A%2522x%2522%257D&client_secret=s",
            "a=b&to=%252Fx%253Fq%253D%257B%2522password%2522%253A%2522***%2522%257D&client_secret=***",
        ),
    ] {
        assert_text_masked("error", text, expected);
        assert_text_masked("url", text, expected);
    }
    // Of the path of a call only the parameters are read, and a description is a sentence.
    assert_masked(
        r#"{"details":{"request":{"path":"/x/{%22otp%22:1}?q={%22otp%22:1}"}}}"#,
        r#"{"details":{"request":{"path":"/x/{%22otp%22:1}?q={%22otp%22:%22***%22}"}}}"#,
    );
    assert_left(r#"{"description":"reused: {\\\"otp\\\":1}"}"#);
}

#[test]
fn what_only_has_signs_of_escapes_is_left() {
    for text in [
        r#"C:\dir {x} [\"a\"] "\n" \{\"a\": [\d"#,
        r#"sent {\"refresh_token\":{\"leeway\":0}, \"note\":\"the password is x\"} ok"#,
        "{&quot;name&quot;:&quot;a&quot;} R&D",
        "/x?q=%7B%22name%22%3A%22a%22%7D&state=%7B%7D",
        r#"regex [\\"']{2} and [%20]"#,
    ] {
        assert_text_masked("error", text, text);
    }
}

/// Each layer counts as a text within a text.
#[test]
fn json_that_is_escaped_in_very_many_layers_takes_no_more_than_others() {
    for depth in [1, 3, 5, 6, 7, 12] {
        let mut text = r#"{"token":"INVENTED"}"#.to_owned();
        for _ in 0..depth {
            text = json::escape(&text);
        }
        let record = format!(r#"{{"a":{}}}"#, quoted(&format!("sent {text} ok")));
        let line = Redaction::On.line(&record);
        assert_eq!(line.contains("INVENTED"), depth > 6, "{depth} {line}");
        serde_json::from_str::<serde_json::Value>(&line).unwrap();
        assert_left(&line);
    }
    for text in [
        r#"{\"a\":"#,
        r#"[\"{\"#,
        "%7B%22a%22%3A",
        "{&quot;a&quot;:",
        r#"{\\\"a\\\":\"{\""#,
    ] {
        assert_left(&format!(r#"{{"a":{}}}"#, quoted(&text.repeat(40_000))));
    }
}
