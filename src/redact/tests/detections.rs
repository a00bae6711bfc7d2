//! What detections rely on stays, whoever chooses it.

use super::*;

const TOKEN: &str = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln";

#[test]
fn what_detections_group_by_is_left_whatever_it_says() {
    for value in [
        "a?token=user1",
        "a#password=b@evil.example",
        "sqlmap/1.7 PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----",
        "https://u:p@h/?token=t",
        "a=b&token=c",
        "Bearer abcdefghijklmnop1",
        "/rules-configs/x",
        r#"{\"password\":\"x\"}"#,
        TOKEN,
    ] {
        for name in GROUPED_BY {
            assert_left(&format!(r#"{{"{name}":"{value}","details":{{}}}}"#));
            assert_left(&format!(
                r#"{{"{name}":["{value}","{value}"],"details":{{}}}}"#
            ));
        }
        for name in [
            "email",
            "name",
            "userAgent",
            "user_id",
            "ip",
            "subject",
            "owners",
        ] {
            assert_left(&format!(
                r#"{{"details":{{"request":{{"{name}":"{value}"}}}}}}"#
            ));
        }
    }
}

#[test]
fn a_description_cannot_be_emptied() {
    assert_left(
        r#"{"description":"-----BEGIN PRIVATE KEY----- {\"password\": \"reused refresh token","type":"ferrt"}"#,
    );
    assert_masked(
        &format!(r#"{{"description":"{TOKEN}: reused, from https://u:p@h/?token=t now"}}"#),
        r#"{"description":"***: reused, from https://u:***@h/?token=*** now"}"#,
    );
    // It is read neither as a form nor as JSON.
    assert_left(r#"{"description":"a=b&token= reused, token=c"}"#);
    // A description elsewhere is not a sentence that Auth0 writes.
    assert_masked(
        r#"{"details":{"description":"{\"otp\":\"1\"}"}}"#,
        r#"{"details":{"description":"{\"otp\":\"***\"}"}}"#,
    );
}

#[test]
fn the_bodies_of_a_call_are_masked_where_users_name_the_secrets() {
    for path in [
        "/api/v2/rules-configs/STRIPE",
        "/v2/rules-configs/STRIPE",
        "rules-configs/STRIPE/",
        "//API//V2//Rules-Configs//STRIPE?a=b",
        " /api/v2/rules%2Dconfigs%2FSTRIPE ",
        "\\/api\\/v2\\/rules-config\\u0073\\/STRIPE",
        "/api/v2/hooks/1/secrets",
        "/api/v2/hooks/a%2eb/secrets/",
    ] {
        assert_masked(
            &format!(
                r#"{{"details":{{"request":{{"body":{{"STRIPE":"x","n":1}},"path":"{path}","query":{{"body":"a"}}}},"response":{{"body":{{"name":"y"}},"statusCode":200}}}},"body":"z","request":{{"body":"w"}}}}"#
            ),
            &format!(
                r#"{{"details":{{"request":{{"body":{{"STRIPE":"***","n":"***"}},"path":"{path}","query":{{"body":"a"}}}},"response":{{"body":{{"name":"***"}},"statusCode":200}}}},"body":"z","request":{{"body":"w"}}}}"#
            ),
        );
    }
}

#[test]
fn no_other_path_masks_bodies() {
    for path in [
        "/api/v2/client-grants",
        "/api/v2/rules-configs",
        "/api/v2/users/rules-configs/x",
        "/api/v2/users/x?a=/rules-configs/x",
        "/api/v2/users/x#/rules-configs/x",
        "/api/v2/users/..%2frules-configs/x",
        "/api/v2/attack-protection/../rules-configs/x",
        "/api/v2/rules-configs/../client-grants",
        "/api/v2/rules-configs/./x",
        "/api/v2/rules-configs-x/y",
        "/api/v2/hooks/1/secret",
        "/api/v2/hooks/secrets",
        "/api/v2/hooks/1/x/secrets",
        "/api/v3/rules-configs/x",
        "/api/rules-configs/x",
        "x/rules-configs/x",
    ] {
        assert_left(&format!(
            r#"{{"details":{{"request":{{"path":"{path}","body":{{"a":"x"}}}},"response":{{"body":{{"b":"y"}}}}}}}}"#
        ));
    }
}

#[test]
fn nothing_but_the_path_of_the_call_decides_what_is_masked() {
    let path = "/api/v2/rules-configs/x";
    for elsewhere in [
        format!(r#""user_agent":"{path} /hooks/1/secrets""#),
        format!(r#""path":"{path}""#),
        format!(r#""request":{{"path":"{path}"}}"#),
        format!(r#""details":{{"path":"{path}","response":{{"path":"{path}"}}}}"#),
        format!(r#""details":[{{"request":{{"path":"{path}"}}}}]"#),
        format!(r#""details":{{"request":{{"query":{{"path":"{path}"}},"userAgent":"{path}"}}}}"#),
        format!(
            r#""details":{{"request":{{"body":{{"details":{{"request":{{"path":"{path}"}}}}}}}}}}"#
        ),
        format!(
            r#""details":{{"request":{{"path":17,"path":"/api/v2/clients","path":"{path}"}}}}"#
        ),
        format!(r#""Details":{{"request":{{"path":"{path}"}}}}"#),
    ] {
        assert_left(&format!(
            r#"{{{elsewhere},"details":{{"request":{{"path":"/api/v2/clients","body":{{"a":"x"}}}},"body":{{"email":"y"}}}}}}"#
        ));
    }
}

#[test]
fn the_first_path_decides_as_it_does_in_the_columns() {
    assert_masked(
        r#"{"details":{"request":{"path":"/rules-configs/x","path":"/clients"}},"details":{"request":{"body":{"a":"x"}}}}"#,
        r#"{"details":{"request":{"path":"/rules-configs/x","path":"/clients"}},"details":{"request":{"body":{"a":"***"}}}}"#,
    );
}

#[test]
fn details_may_be_a_text_of_json() {
    assert_masked(
        r#"{"details":"{\"request\":{\"path\":\"/api/v2/rules-configs/x\",\"body\":{\"a\":\"x\"}}}"}"#,
        r#"{"details":"{\"request\":{\"path\":\"/api/v2/rules-configs/x\",\"body\":{\"a\":\"***\"}}}"}"#,
    );
    assert_masked(
        r#"{"det\u0061ils":{"request":"{\"p\\u0061th\":\"/rules-configs/x\",\"body\":\"a\"}"}}"#,
        r#"{"det\u0061ils":{"request":"{\"p\\u0061th\":\"/rules-configs/x\",\"body\":\"***\"}"}}"#,
    );
}

#[test]
fn a_path_keeps_all_but_its_parameters() {
    assert_masked(
        r#"{"path":"/api/v2/users/a?token=t&b=c"}"#,
        r#"{"path":"/api/v2/users/a?token=***&b=c"}"#,
    );
    for user in [
        TOKEN,
        "a&password=b",
        "a%23password=b",
        "a%3Fpassword=b",
        "a#password=b",
        "x://u:p@h",
        "Bearer abcdefghijklmnop1",
        "a /?b",
        r#"{\"password\":\"b\"}"#,
    ] {
        assert_left(&format!(
            r#"{{"path":"/api/v2/users/{user}/multifactor/duo"}}"#
        ));
    }
}
