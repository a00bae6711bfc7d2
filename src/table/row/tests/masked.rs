//! Secrets in rows.

use super::*;

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
    for (record, open) in [
        (
            r#"{"details":{"body":{"ticket":"e"}}}"#,
            r#"{"details_body_ticket":"e"}"#,
        ),
        (
            r#"{"details":{"body":{"ticket":7}}}"#,
            r#"{"AdditionalFields":"{\"details\":{\"body\":{\"ticket\":7}}}"}"#,
        ),
    ] {
        let row = row(record, Api::DataCollector, Redaction::Off).unwrap();
        assert_eq!(row, open);
    }
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
    // A body inside a list of calls does not count as the body.
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
