//! Names in members beside values, as in SCIM changes.

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

#[test]
fn a_value_is_what_the_name_beside_it_says() {
    let masks = "email:mask,username:mask,first_name:mask,last_name:mask,ip:mask,location:truncate";
    for (record, expected) in [
        (
            r#"{"body":{"Operations":[{"op":"replace","path":"userName","value":"adalove"},{"op":"Replace","path":"name.familyName","value":"Lovelace"},{"op":"add","path":"emails[type eq \"work\"].value","value":"ada@x.y"},{"op":"replace","path":"emails","value":[{"type":"work","value":"bo@x.y"}]},{"op":"replace","path":"active","value":"true"}]},"error":"no Lovelace"}"#,
            r#"{"body":{"Operations":[{"op":"replace","path":"userName","value":"***"},{"op":"Replace","path":"name.familyName","value":"***"},{"op":"add","path":"emails[type eq \"work\"].value","value":"***"},{"op":"replace","path":"emails","value":[{"type":"work","value":"***"}]},{"op":"replace","path":"active","value":"true"}]},"error":"no ***"}"#,
        ),
        (
            r#"{"headers":[{"name":"X-Forwarded-For","value":"203.0.113.7"},{"value":"203.0.113.8","name":"x-real-ip"},{"name":"Accept","value":"text/html"}]}"#,
            r#"{"headers":[{"name":"X-Forwarded-For","value":"***"},{"value":"***","name":"x-real-ip"},{"name":"Accept","value":"text/html"}]}"#,
        ),
        (
            r#"{"fields":[{"key":"given_name","value":"Ada"},{"value":["Ada","Bo"],"field":"given_name"},{"attribute":"country_name","values":["France"]},{"claim":"email","value":{"a":"a@b.c","n":1}}],"x":{"value":"plain"}}"#,
            r#"{"fields":[{"key":"given_name","value":"***"},{"value":["***","***"],"field":"given_name"},{"attribute":"country_name","values":["France"]},{"claim":"email","value":{"a":"***","n":1}}],"x":{"value":"plain"}}"#,
        ),
        // Also in a string, with either member first.
        (
            r#"{"body":"[{\"value\": \"203.0.113.7\", \"name\": \"client_ip\"}]"}"#,
            r#"{"body":"[{\"value\":\"***\",\"name\":\"client_ip\"}]"}"#,
        ),
    ] {
        assert_becomes(masks, record, expected);
    }
    assert_becomes(
        "username:drop,email:mask",
        r#"{"a":{"path":"userName","value":"adalove","op":"add"},"b":{"value":"ada@x.y","path":"email"}}"#,
        r#"{"a":{"path":"userName","op":"add"},"b":{"value":"***","path":"email"}}"#,
    );
}

#[test]
fn an_operation_of_scim_about_a_user_names_the_user() {
    let record = |what: &str, name: &str| {
        format!(
            r#"{{"details":{{"request":{{"body":{{"Operations":[{{"op":"replace","path":"displayName","value":"{name}"}},{{"op":"replace","value":{{"displayName":"{name}"}}}}]}},"path":"/scim/v2/connections/con_1/{what}/1"}}}}}}"#
        )
    };
    let kinds = "first_name:mask";
    assert_becomes(kinds, &record("Users", "Ada L"), &record("Users", "***"));
    assert_stays(kinds, &record("Groups", "Admins"));
}

#[test]
fn names_beside_many_values_are_found_in_time() {
    let pair = |value: &str| format!(r#"{{"key":"email","value":"{value}"}}"#);
    let record = |value: &str| format!("{{\"a\":[{}]}}", vec![pair(value); 50_000].join(","));
    assert_becomes("email:mask", &record("a@b.c"), &record("***"));
}

#[test]
fn nobody_hides_what_scim_changed_by_a_name() {
    assert_becomes(
        "username:mask",
        r#"{"details":{"request":{"path":"/scim/v2/connections/con_1/Users/1","body":{"Operations":[{"op":"replace","path":"userName","value":"active"},{"op":"replace","path":"active","value":false},{"op":"replace","path":"urn:ietf:params:scim:schemas:core:2.0:User:active","value":false},{"op":"add","path":"active[value eq \"active\"].value","value":"x"}]}}}}"#,
        r#"{"details":{"request":{"path":"/scim/v2/connections/con_1/Users/1","body":{"Operations":[{"op":"replace","path":"userName","value":"***"},{"op":"replace","path":"active","value":false},{"op":"replace","path":"urn:ietf:params:scim:schemas:core:2.0:User:active","value":false},{"op":"add","path":"active[value eq \"***\"].value","value":"x"}]}}}}"#,
    );
    // In a `path`, a value that is not the name of a field is replaced too.
    assert_becomes(
        "username:mask,email:mask",
        r#"{"user_name":"ada.love","a":{"path":"ada.love"},"email":"adal@x.y","b":{"path":"adal@x.y"},"user":{"nickname":"adalove"},"c":{"path":"{\"x\":\"adalove\"}"},"d":{"path":"adalove/x"}}"#,
        r#"{"user_name":"***","a":{"path":"***"},"email":"***","b":{"path":"***"},"user":{"nickname":"***"},"c":{"path":"{\"x\":\"***\"}"},"d":{"path":"***/x"}}"#,
    );
}

#[test]
fn names_in_scim_are_known_with_a_schema_or_an_object_before_them() {
    let record = |name: &str| {
        let body = r#"{"Operations":[{"op":"add","path":"name.formatted","value":"NAME"},{"op":"add","path":"urn:ietf:params:scim:schemas:core:2.0:User:displayName","value":"NAME"},{"op":"add","path":"urn:ietf:params:scim:schemas:core:2.0:User:name.formatted","value":"NAME"},{"op":"add","value":{"name.formatted":"NAME","urn:ietf:params:scim:schemas:core:2.0:User:displayName":"NAME","urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"manager":{"value":"26","displayName":"NAME"}}}},{"op":"add","path":"emails[type eq \"work\"].display","value":"NAME"}]}"#;
        let of_users =
            r#"{"details":{"request":{"path":"/scim/v2/connections/con_1/Users/1","body":BODY}}}"#;
        of_users.replace("BODY", &body.replace("NAME", name))
    };
    // What is inside an e-mail address counts as one.
    let kinds = "first_name:mask,email:mask";
    assert_becomes(kinds, &record("Ada"), &record("***"));
    // Groups have names too.
    assert_stays(
        "first_name:mask",
        r#"{"request":{"path":"/scim/v2/connections/con_1/Groups/1","body":{"Operations":[{"op":"add","path":"urn:ietf:params:scim:schemas:core:2.0:Group:displayName","value":"Admins"}]}}}"#,
    );
}

#[test]
fn names_beside_values_are_known_wherever_the_object_stands() {
    let kinds = "email:mask,username:mask,first_name:mask,user_id:mask,ip:mask";
    for (record, expected) in [
        (
            r#"{"a":{"name":{"key":"email","value":"ada"},"value":"x"},"b":{"name":[{"value":"bo","key":"email"}]},"c":{"name":{"name":"email"},"value":"plain"}}"#,
            r#"{"a":{"name":{"key":"email","value":"***"},"value":"x"},"b":{"name":[{"value":"***","key":"email"}]},"c":{"name":{"name":"email"},"value":"plain"}}"#,
        ),
        // An object that the name beside it says is about a user.
        (
            r#"{"a":[{"key":"profile","value":{"name":"Ada"}},{"value":[{"display_name":"Bo"}],"path":"members"},{"key":"role","value":{"name":"boss"}}],"b":"[{\"key\":\"user\",\"value\":{\"name\":\"Cy\"}}]"}"#,
            r#"{"a":[{"key":"profile","value":{"name":"***"}},{"value":[{"display_name":"***"}],"path":"members"},{"key":"role","value":{"name":"boss"}}],"b":"[{\"key\":\"user\",\"value\":{\"name\":\"***\"}}]"}"#,
        ),
        // A name that tells a kind counts before one that tells what the object is about.
        (
            r#"{"a":[{"type":"user","key":"given_name","value":"Ada"},{"id":"location","name":"email","value":"ada"},{"name":"name","type":"username","value":"bo"}]}"#,
            r#"{"a":[{"type":"user","key":"given_name","value":"***"},{"id":"location","name":"email","value":"***"},{"name":"name","type":"username","value":"***"}]}"#,
        ),
        (
            r#"{"a":[{"name":"q","value":"username:adalove"},{"name":":path","value":"/api/v2/users/auth0%7C5f1abc"}],"b":"adalove"}"#,
            r#"{"a":[{"name":"q","value":"username:***"},{"name":":path","value":"/api/v2/users/***"}],"b":"***"}"#,
        ),
    ] {
        assert_becomes(kinds, record, expected);
    }
}

#[test]
fn the_name_of_a_field_counts_before_its_type() {
    assert_becomes(
        "first_name:mask,username:mask",
        r#"{"a":[{"type":"email","name":"given_name","value":"Ada"},{"type":"phone","key":"given_name","value":"Ada"},{"provider":"email","attribute":"given_name","value":"Ada"},{"name":"name","type":"username","value":"bo"}]}"#,
        r#"{"a":[{"type":"email","name":"given_name","value":"***"},{"type":"phone","key":"given_name","value":"***"},{"provider":"email","attribute":"given_name","value":"***"},{"name":"name","type":"username","value":"***"}]}"#,
    );
}

#[test]
fn a_path_without_an_attribute_of_scim_is_a_text() {
    assert_becomes(
        "username:mask",
        r#"{"user_name":"adalove","details":{"a":{"path":"adalove"},"b":{"path":"ada.adalove"},"c":{"path":"urn:x:User:adalove"}}}"#,
        r#"{"user_name":"***","details":{"a":{"path":"***"},"b":{"path":"ada.***"},"c":{"path":"urn:x:User:***"}}}"#,
    );
    assert_becomes(
        "username:mask",
        r#"{"user_name":"department","details":{"a":{"path":"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department"},"b":{"path":"department"},"x":"department"}}"#,
        r#"{"user_name":"***","details":{"a":{"path":"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department"},"b":{"path":"department"},"x":"***"}}"#,
    );
    // Guests of a directory have such names.
    assert_becomes(
        "username:mask",
        r#"{"user_name":"ada_x.example#EXT#@y.example","details":{"a":{"path":"emails[value eq \"ada_x.example#EXT#@y.example\"].type"},"b":{"path":"/of/ada_x.example#EXT#@y.example"},"c":{"path":"userName"}}}"#,
        r#"{"user_name":"***","details":{"a":{"path":"emails[value eq \"***\"].type"},"b":{"path":"/of/***"},"c":{"path":"userName"}}}"#,
    );
}
