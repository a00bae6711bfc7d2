//! Names that stand beside values.

use super::*;

#[test]
fn not_every_text_beside_a_value_is_its_name_and_no_name_makes_it_a_word_of_auth0_s() {
    assert_becomes(
        "username:mask",
        r#"{"user_name":"adalove","details":{"a":{"name":"scope","value":"adalove"},"b":{"note":"username","value":"countess"}}}"#,
        r#"{"user_name":"***","details":{"a":{"name":"scope","value":"***"},"b":{"note":"username","value":"countess"}}}"#,
    );
}

#[test]
fn where_a_name_tells_of_a_value_all_else_is_what_it_was() {
    assert_becomes(
        "username:mask,email:mask",
        r#"{"tenant_name":"acme1","user_name":"acme1","details":{"prompts":[{"name":"login","user_name":"acme1"}],"a":[{"key":"email","value":"ada"}]}}"#,
        r#"{"tenant_name":"acme1","user_name":"***","details":{"prompts":[{"name":"login","user_name":"***"}],"a":[{"key":"email","value":"***"}]}}"#,
    );
}

#[test]
fn a_search_is_one_wherever_its_name_stands() {
    assert_becomes(
        "username:mask",
        r#"{"details":{"query":[{"name":"q","value":"username:adalove"},{"value":"userName eq \"countess\"","key":"filter"}]}}"#,
        r#"{"details":{"query":[{"name":"q","value":"username:***"},{"value":"userName eq \"***\"","key":"filter"}]}}"#,
    );
}

#[test]
fn what_a_name_was_and_is_belongs_to_whom_it_names() {
    assert_becomes(
        "first_name:mask",
        r#"{"details":{"user":{"name":{"old":"Ada","new":"Bo"}},"client":{"name":{"old":"Shop","new":"Store"}}}}"#,
        r#"{"details":{"user":{"name":{"old":"***","new":"***"}},"client":{"name":{"old":"Shop","new":"Store"}}}}"#,
    );
}
