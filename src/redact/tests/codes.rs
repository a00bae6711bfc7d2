//! One-time codes in the bodies of requests.

use super::*;

/// A record of a second factor that was typed wrong, with this body of the request.
fn typed(body: &str) -> String {
    format!(r#"{{"type":"gd_auth_failed","details":{{"request":{{"body":{body}}}}}}}"#)
}

#[test]
fn a_one_time_code_that_was_typed_is_masked() {
    let masked = typed(r#"{"code":"***","channel":"sms"}"#);
    for code in [
        r#""1234""#,
        r#""123456""#,
        r#"" 123456 ""#,
        r#""123 456""#,
        r#""123-456""#,
        r#""1234567890""#,
        "123456",
        // One of Auth0's recovery codes.
        r#""H4BKQ2N7XWE9RT5YU8PLM3CD""#,
    ] {
        let record = typed(&format!(r#"{{"code":{code},"channel":"sms"}}"#));
        assert_masked(&record, &masked);
        // A body may be JSON in a string.
        let body = |code: &str| quoted(&format!(r#"{{"code":{code}}}"#));
        assert_masked(&typed(&body(code)), &typed(&body(r#""***""#)));
    }
    let row = row(
        &typed(r#"{"code":123456}"#),
        Api::LogsIngestion,
        Redaction::On,
    )
    .unwrap();
    assert!(!row.contains("123456"), "{row}");
    assert_eq!(
        Redaction::Off.line(&typed(r#"{"code":123456}"#)),
        typed(r#"{"code":123456}"#)
    );
}

#[test]
fn a_code_that_is_no_one_time_code_is_left() {
    for code in [
        // The source of an Action.
        r#""exports.onExecutePostLogin = async () => { api.access.deny('123456'); };""#,
        r#""invalid_otp""#,
        r#""123""#,
        r#""12345678901""#,
        r#""E12345""#,
        r#""""#,
        "123",
        "-123456",
        "1234.5",
        "null",
        "true",
        r#"["x"]"#,
        r#"{"lang":"js","n":123456}"#,
        // The name of an error.
        r#""ORGANIZATION_NOT_FOUND_1""#,
        r#""ABCDEFGHIJKLMNOPQRSTUVWX""#,
    ] {
        let record = typed(&format!(r#"{{"code":{code}}}"#));
        assert_eq!(Redaction::On.line(&record), record);
    }
    for record in [
        r#"{"details":{"code":"123456","body":{"code":"123456"},"request":{"code":"123456"}}}"#,
        r#"{"details":{"request":{"body":{"action":{"code":"123456"},"status_code":"123456"}}}}"#,
    ] {
        assert_eq!(Redaction::On.line(record), record);
    }
}
