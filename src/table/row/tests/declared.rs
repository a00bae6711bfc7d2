//! Rows for the Logs Ingestion API.

use super::*;

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
            // The column's name is too long.
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
    // `{"ip":"` has 7 bytes. The last part is never short enough to be taken for a number.
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
    // Besides the text: 8 bytes of the rest, 4 more to escape its quotes in the row, and the names
    // of 16 parts.
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
