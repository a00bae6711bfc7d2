use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::value::RawValue;

use super::*;
use crate::table::Api;
use crate::table::row::row;

#[track_caller]
fn assert_masked(record: &str, expected: &str) {
    assert_eq!(Redaction::On.line(record), expected);
}

#[test]
fn a_secret_is_masked_at_any_depth_and_its_name_stays() {
    assert_masked(
        r#"{"a": {"b": [{"client_secret": "x", "name": "web"}]}, "Password": "y"}"#,
        r#"{"a":{"b":[{"client_secret":"***","name":"web"}]},"Password":"***"}"#,
    );
}

#[test]
fn names_are_known_in_every_spelling() {
    for name in [
        "clientSecret",
        "CLIENT-SECRET",
        "newPassword",
        "access_token",
        "idToken",
        "otp",
        "private_key",
        "twilio_token",
        "httpAuthorization",
        "splunkToken",
        "mixpanelServiceAccountPassword",
        "segmentWriteKey",
        "datadogApiKey",
        "smtp_pass",
        "secretAccessKey",
        "consumer_secret",
        "client_assertion",
        "recovery_code",
        "ticket",
        "login_ticket",
        "_csrf",
        "set-cookie",
        "client\\u005fsecret",
        "\\ud800client_secret",
        "resetUrl",
        "ticket_id",
        "sumoSourceAddress",
        "db_pwd",
    ] {
        let record = format!(r#"{{"{name}":"hidden"}}"#);
        assert_masked(&record, &format!(r#"{{"{name}":"***"}}"#));
    }
}

#[test]
fn what_only_sounds_like_a_secret_is_left() {
    for open in [
        r#"{"token_lifetime":86400,"token_endpoint_auth_method":"none","accessedSecrets":["KEY"]}"#,
        r#"{"verify_password":true,"password":null,"description":"the password is wrong"}"#,
        r#"{"refresh_token":{"rotation_type":"rotating","leeway":0}}"#,
        r#"{"change_password":{"enabled":true,"html":"<form>"},"options":{"totp":{"length":6}}}"#,
        r#"{"authentication_methods":{"password":{"api_behavior":"required"}},"public_key":"pem"}"#,
        r#"{"originalUrl":"/authorize?client_id=a&state=b#top","text":"which token? this = that"}"#,
        r#"{"details":{"code":"invalid_password"},"session_id":"abc","jti":"def"}"#,
    ] {
        assert_masked(open, open);
    }
}

#[test]
fn everything_within_a_secret_is_one() {
    assert_masked(
        r#"{"secrets":[{"name":"A","value":"x","on":true}],"private_key":{"kty":"RSA","d":[1,[2]]},"n":1}"#,
        r#"{"secrets":[{"name":"***","value":"***","on":true}],"private_key":{"kty":"***","d":["***",["***"]]},"n":1}"#,
    );
    assert_masked(
        r#"{"password":123456,"refresh_token":"x","refresh_tokens":["y"],"id":"z"}"#,
        r#"{"password":"***","refresh_token":"***","refresh_tokens":["***"],"id":"z"}"#,
    );
}

#[test]
fn what_users_name_themselves_is_masked_with_all_that_is_in_it() {
    assert_masked(
        r#"{"options":{"configuration":{"MONGO_URI":"x"},"signing_key":{"cert":"y","key":"z"}}}"#,
        r#"{"options":{"configuration":{"MONGO_URI":"***"},"signing_key":{"cert":"***","key":"***"}}}"#,
    );
    assert_masked(
        r#"{"details":{"request":{"body":{"STRIPE":"x"},"path":"/api/v2/hooks/1/secrets"},"name":"y"}}"#,
        r#"{"details":{"request":{"body":{"STRIPE":"***"},"path":"/api/v2/hooks/1/secrets"},"name":"y"}}"#,
    );
    assert_masked(
        r#"{"details":{"request":{"path":"/api/v2/rules-configs/STRIPE","body":{"value":"x"}}}}"#,
        r#"{"details":{"request":{"path":"/api/v2/rules-configs/STRIPE","body":{"value":"***"}}}}"#,
    );
}

#[test]
fn a_private_key_and_parameters_of_urls_are_known_by_themselves() {
    assert_masked(
        r#"{"pem":"-----BEGIN RSA PRIVATE KEY-----\nMII","cert":"-----BEGIN CERTIFICATE-----"}"#,
        r#"{"pem":"***","cert":"-----BEGIN CERTIFICATE-----"}"#,
    );
    assert_masked(
        r#"{"url":"/u/reset?ticket=abc&lang=en&id_token_hint=x.y#access_token=z","body":"see https://a/?token=b now"}"#,
        r#"{"url":"/u/reset?ticket=***&lang=en&id_token_hint=***#access_token=***","body":"see https://a/?token=*** now"}"#,
    );
}

#[test]
fn nothing_is_masked_where_that_is_switched_off() {
    let record = r#"{"password":"x"}"#;
    assert_eq!(Redaction::Off.line(record), record);
}

#[test]
fn a_record_of_any_depth_is_copied() {
    let deep = format!("{}1{}", r#"{"a":["#.repeat(50_000), "]}".repeat(50_000));
    assert_masked(&deep, &deep);
}

#[track_caller]
fn assert_left(record: &str) {
    assert_masked(record, record);
}

#[test]
fn a_connection_of_the_vault_is_masked_with_all_its_setup() {
    assert_masked(
        r#"{"name":"crm","app_id":"HTTP","setup":{"type":"API_KEY","name":"X-Api-Key","value":"a","in":"HEADER"}}"#,
        r#"{"name":"crm","app_id":"HTTP","setup":{"type":"***","name":"***","value":"***","in":"***"}}"#,
    );
    assert_masked(
        r#"{"setup":{"type":"WEBHOOK","url":"https://hooks.slack.example/services/a"}}"#,
        r#"{"setup":{"type":"***","url":"***"}}"#,
    );
    assert_left(r#"{"setup_state":"done","is_setup":"yes","setups":["a"]}"#);
}

#[test]
fn names_of_the_management_api_are_known() {
    assert_masked(
        r#"{"options":{"bareConfiguration":{"DB_URL":"a","retries":3}}}"#,
        r#"{"options":{"bareConfiguration":{"DB_URL":"***","retries":"***"}}}"#,
    );
    for name in [
        "link_with",
        "header_value",
        "webhook_url",
        "wrapped_key",
        "binding_code",
        "auth_session",
        "connect_code",
        "oauth_verifier",
        "wresult",
        "passwd",
        "access_token_secret",
        "cname_api_key",
        "server_credentials",
        "storage_access_key",
        "password_confirmation",
        "token_value",
        "backup_codes",
        "password2",
        "client_secret_10",
    ] {
        assert_masked(
            &format!(r#"{{"{name}":"hidden"}}"#),
            &format!(r#"{{"{name}":"***"}}"#),
        );
    }
    assert_masked(
        r#"{"signing_keys":[{"cert":"a","pkcs7":"b"}]}"#,
        r#"{"signing_keys":[{"cert":"***","pkcs7":"***"}]}"#,
    );
}

#[test]
fn a_token_is_known_by_its_form_wherever_it_stands() {
    assert_masked(
        r#"{"a":"eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln","b":["eyJh.eyJz.c2ln"],"c":"no eyJh.eyJz.c2ln. Next"}"#,
        r#"{"a":"***","b":["***"],"c":"no ***. Next"}"#,
    );
    // Without a signature, encrypted (five parts), with detached content, in a URL.
    assert_masked(
        r#"{"a":"eyJh.eyJz.","b":"eyJh.k.iv.text.tag","c":"eyJh..c2ln","d":"https://a/v/eyJh.eyJz.c2ln/x?y=eyJh.eyJz.c2ln"}"#,
        r#"{"a":"***","b":"***","c":"***","d":"https://a/v/***/x?y=***"}"#,
    );
    // No token: a header alone, one that was cut, dots of another kind.
    assert_left(
        r#"{"auth0Client":"eyJuYW1lIjoibG9jay5qcyJ9","a":"eyJh.eyJz","b":"eyJh... was refused","c":"eyj.a.b","d":"a.b.c","e":"eyJeyJ.!.b"}"#,
    );
}

#[test]
fn the_value_of_an_authorization_is_known_by_itself() {
    assert_masked(
        r#"{"a":"Bearer x","b":"basic dXNlcjpwYXNz","c":["Authorization: Bearer abc123, q"],"d":"x-auth: BASIC YTpi=; e","f":"Bearer Basic YTpiYTpi"}"#,
        r#"{"a":"Bearer ***","b":"basic ***","c":["Authorization: Bearer ***, q"],"d":"x-auth: BASIC ***; e","f":"Bearer Basic ***"}"#,
    );
    assert_left(
        r#"{"token_type":"Bearer","a":"Basic plan","b":"the bearer token was refused","c":"basic","d":"Bearer ","e":"a Basic AUTH"}"#,
    );
}

#[test]
fn a_password_within_a_url_is_masked_and_its_host_stays() {
    assert_masked(
        r#"{"httpEndpoint":"https://collector:a@c.example.com/in","x":"mongodb+srv://u:p%40q@h1:1,h2:2/db?w=1"}"#,
        r#"{"httpEndpoint":"https://collector:***@c.example.com/in","x":"mongodb+srv://u:***@h1:1,h2:2/db?w=1"}"#,
    );
    // Written carelessly, twice, without a user, in a text, in a parameter.
    assert_masked(
        r#"{"a":"amqp://u:p#q/r@host/v","b":"ldap://u:a@b@host","c":"redis://:p@host","d":"cannot reach https://u:p@host/, retry","e":"/x?to=https%3A%2F%2Fu%3Ap%40host%2Fy"}"#,
        r#"{"a":"amqp://u:***@host/v","b":"ldap://u:***@host","c":"redis://:***@host","d":"cannot reach https://u:***@host/, retry","e":"/x?to=https%3A%2F%2Fu%3A***%40host%2Fy"}"#,
    );
    assert_left(
        r#"{"a":"https://user@host/","b":"https://host:8080/a@b","c":"a:b@example.com","d":"https://[::1]:80/a@b","e":"https://h/a:b@c","f":"https://user:@host/","g":"/x?to=https%3A%2F%2Fh&u=a:b@c"}"#,
    );
}

#[test]
fn a_private_key_is_masked_and_what_is_around_it_stays() {
    assert_masked(
        r#"{"a":"x -----BEGIN PRIVATE KEY-----\nMII\n-----END PRIVATE KEY----- y","b":"-----BEGIN+EC+PRIVATE+KEY-----%0AMII","c":"-----BEGIN CERTIFICATE-----\nA\n-----END CERTIFICATE-----\n-----BEGIN RSA PRIVATE KEY-----\nB"}"#,
        r#"{"a":"x *** y","b":"***","c":"-----BEGIN CERTIFICATE-----\nA\n-----END CERTIFICATE-----\n***"}"#,
    );
    assert_left(r#"{"a":"a PRIVATE KEY-----","b":"-----BEGIN PUBLIC KEY-----","c":"-----BEGIN "}"#);
}

#[test]
fn parameters_are_known_however_they_are_encoded() {
    assert_masked(
        r#"{"a":"https://h/cb?x=1\u0026client_secret=s\u0026y=2","b":"https://h/?to=%2Fcb%3Fx%3D1%26client_secret%3Ds%26y%3D2&z=3","c":"https://h/?to=%252Fcb%253Fclient_secret%253Ds%2526y&z=3"}"#,
        r#"{"a":"https://h/cb?x=1&client_secret=***&y=2","b":"https://h/?to=%2Fcb%3Fx%3D1%26client_secret%3D***%26y%3D2&z=3","c":"https://h/?to=%252Fcb%253Fclient_secret%253D***%2526y&z=3"}"#,
    );
    // Encoded names, an encoded delimiter within a value, entities, brackets, a URL that is encoded as a whole.
    assert_masked(
        r#"{"a":"/x?client%5F%73ecret=s","b":"/x?password=a%26b%3Dc&d=e","c":"/x?a=b&amp;otp=1&amp;c=d","d":"/x?user[password]=p;token=t","e":"https%3A%2F%2Fh%2F%3Ftoken%3Ds","f":"failed: \"https://h/?a=b\\u0026token=s\""}"#,
        r#"{"a":"/x?client%5F%73ecret=***","b":"/x?password=***&d=e","c":"/x?a=b&amp;otp=***&amp;c=d","d":"/x?user[password]=***","e":"https%3A%2F%2Fh%2F%3Ftoken%3D***","f":"failed: \"https://h/?a=b\\u0026token=***\""}"#,
    );
    // A form, and fields of which it is known what they hold.
    assert_masked(
        r#"{"x":"grant_type=password&username=u&password=p%20q","y":"grant_type%3Dx%26client_secret%3Ds","body":"client_secret=s","query":"a&token=b","redirect_uri":"h/cb?code=c&state=d","z":"https://h/f?sig=a&key=b"}"#,
        r#"{"x":"grant_type=password&username=u&password=***","y":"grant_type%3Dx%26client_secret%3D***","body":"client_secret=***","query":"a&token=***","redirect_uri":"h/cb?code=***&state=d","z":"https://h/f?sig=***&key=***"}"#,
    );
}

#[test]
fn parameters_are_known_in_a_query_that_is_an_object() {
    let record = r#"{"details":{"qs":{"code":"a","state":"b","Sig":["c"],"nested":{"code":"d"}},"query":{"jwt":"e","email":"f"},"code":"g","body":{"key":"h"}}}"#;
    let masked = r#"{"details":{"qs":{"code":"***","state":"b","Sig":["***"],"nested":{"code":"d"}},"query":{"jwt":"***","email":"f"},"code":"g","body":{"key":"h"}}}"#;
    assert_masked(record, masked);
    assert_masked(
        &format!(r#"{{"details":{}}}"#, quoted(r#"{"qs":{"code":"a"}}"#)),
        &format!(r#"{{"details":{}}}"#, quoted(r#"{"qs":{"code":"***"}}"#)),
    );
    assert_masked(
        r#"{"details":{"request":{"path":"/api/v2/x","query":{"code":"a","page":"1","q":{"key":"b"}},"body":{"key":"c"}}}}"#,
        r#"{"details":{"request":{"path":"/api/v2/x","query":{"code":"***","page":"1","q":{"key":"b"}},"body":{"key":"c"}}}}"#,
    );
    let call = r#"{"details":{"request":{"query":{"page":2,"code":"a"}}}}"#;
    let of_call = row(call, Api::LogsIngestion, Redaction::On).unwrap();
    assert!(
        of_call.contains(&quoted(
            r#"{"details":{"request":{"query":{"code":"***"}}}}"#
        )),
        "{of_call}"
    );
    let row = row(record, Api::LogsIngestion, Redaction::On).unwrap();
    let rest = r#"{"details":{"qs":{"code":"***","state":"b","Sig":["***"],"nested":{"code":"d"}},"query":{"jwt":"***"},"body":{"key":"h"}}}"#;
    assert!(row.contains(&quoted(rest)), "{row}");
    // Nowhere else is a name of these one of a secret.
    assert_left(r#"{"qs":{"code":"a"},"details":{"request":{"body":{"qs":{"code":"a"}}}}}"#);
}

#[test]
fn secrets_of_several_kinds_may_stand_in_one_text() {
    assert_masked(
        r#"{"a":"https://u:p@h/?token=eyJh.b.c then eyJh.b.c","b":"(/x?token=t, [?otp=1","c":"/a/https%3A%2F%2Fh%3Ftoken%3Dt","d":"/cb%3Ftoken%3Dt"}"#,
        r#"{"a":"https://u:***@h/?token=*** then ***","b":"(/x?token=*** [?otp=***","c":"/a/https%3A%2F%2Fh%3Ftoken%3D***","d":"/cb%3Ftoken%3D***"}"#,
    );
}

#[test]
fn what_a_mask_leaves_is_looked_at_once_more() {
    // The first word is one of several, until the mask has taken the others.
    assert_masked(
        r#"{"a":"Bearer [-----BEGIN PRIVATE KEY-----\nMII","b":"Bearer ://:,@"}"#,
        r#"{"a":"Bearer ***","b":"Bearer ***"}"#,
    );
    // And so it is beside JSON within a text.
    assert_masked(
        r#"{"a":"Bearer -----BEGIN PRIVATE KEY-----:\"[[eyJhbGciOi.eyJh.b"}"#,
        r#"{"a":"Bearer ***"}"#,
    );
}

#[test]
fn what_only_looks_like_a_parameter_is_left() {
    assert_left(
        r#"{"a":"a?token=b","b":"a#password=b@evil.example","c":"why? token=b","d":"a=1;token=2","e":"https://h/?token=&a=b","f":"https://h/token=a/b","g":"%zz%2","h":"x&password=y","i":"https://h/a&token=b"}"#,
    );
}

#[test]
fn json_within_a_text_is_masked_as_json() {
    assert_masked(
        r#"{"details":"{\"request\": {\"body\":{\"passw\\u006frd\":\"a\\\"b\",\"n\":1},\"n\":[\"x\"]}}","otp_settings":"[1]"}"#,
        r#"{"details":"{\"request\": {\"body\":{\"passw\\u006frd\":\"***\",\"n\":1},\"n\":[\"x\"]}}","otp_settings":"[1]"}"#,
    );
    // Twice, in a sentence, cut, with a number, in a list.
    assert_masked(
        r#"{"a":"{\"b\":\"{\\\"token\\\":\\\"t\\\"}\"}","c":"sent {\"secret\": \"s\"} to https://u:p@h/","d":"{\"user\":\"u\",\"password\":\"pq","e":["[{\"otp\": 12, \"x\":1}]"]}"#,
        r#"{"a":"{\"b\":\"{\\\"token\\\":\\\"***\\\"}\"}","c":"sent {\"secret\": \"***\"} to https://u:***@h/","d":"{\"user\":\"u\",\"password\":\"***","e":["[{\"otp\": \"***\", \"x\":1}]"]}"#,
    );
    // Settings are none, names stay names, and what is no JSON is left.
    assert_left(
        r#"{"a":"{\"refresh_token\": {\"leeway\":0}}","b":"{\"user_name\":\"https://u:p@h\"}","c":"function() { return [\"password\"] }","d":"{\"a\":tru","e":"[[[","f":"{\"password\"","g":"a\\\\"}"#,
    );
}

#[test]
fn half_a_surrogate_pair_hides_nothing() {
    assert_masked(
        r#"{"a":"\ud800 https://h/?token=t","b":"\ud800 x"}"#,
        r#"{"a":"� https://h/?token=***","b":"\ud800 x"}"#,
    );
}

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

/// The fields at the top of a record that the shipped rules and parsers read and compare.
const GROUPED_BY: [&str; 24] = [
    "_id",
    "audience",
    "client_id",
    "client_ip",
    "client_name",
    "connection",
    "connection_id",
    "date",
    "environment_name",
    "hostname",
    "identity_user_id",
    "ip",
    "log_id",
    "organization_id",
    "organization_name",
    "scope",
    "session_connection",
    "strategy",
    "strategy_type",
    "tenant_name",
    "type",
    "user_agent",
    "user_id",
    "user_name",
];

#[test]
fn a_description_cannot_be_emptied() {
    assert_left(
        r#"{"description":"-----BEGIN PRIVATE KEY----- {\"password\": \"reused refresh token","type":"ferrt"}"#,
    );
    assert_masked(
        &format!(r#"{{"description":"{TOKEN}: reused, from https://u:p@h/?token=t now"}}"#),
        r#"{"description":"***: reused, from https://u:***@h/?token=*** now"}"#,
    );
    // Neither a form nor JSON.
    assert_left(r#"{"description":"a=b&token= reused, token=c"}"#);
    // Another one is no sentence of Auth0's.
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

/// Names of secrets with all that is in them.
const WHOLE: [&str; 4] = ["setup", "secrets", "configuration", "priv\\u0061te_key"];
/// Names of secrets.
const SECRET: [&str; 5] = [
    "password",
    "Client-Secret",
    "t\\u006fken",
    "otp2",
    "link_with",
];
/// Names of nothing.
const OPEN: [&str; 8] = [
    "details", "request", "response", "options", "ключ", "a", "name", "url",
];
/// What no output may hold.
const CANARY: &str = "INVENTED";

/// What secrets are made of, and what delimits them.
fn hostile() -> impl Strategy<Value = String> {
    let pieces = [
        "a",
        " ",
        "?",
        "&",
        "#",
        "=",
        ":",
        "@",
        "/",
        "://",
        "https://u:p@h/",
        "token",
        "password=",
        "%26",
        "%3D",
        "%2525",
        "%",
        "\\u0026",
        "\\",
        "\"",
        "{\"",
        "\":\"",
        "[",
        "]",
        "}",
        ",",
        "-----BEGIN PRIVATE KEY-----",
        "-----END",
        "Bearer ",
        "Basic YTpi",
        "eyJh.b.c",
        "eyJ",
        ".",
        "/api/v2/rules-configs/x",
        "é",
        "\u{1}",
        "true",
        "17",
        "null",
        "\n",
    ];
    proptest::collection::vec(proptest::sample::select(pieces.to_vec()), 0..12)
        .prop_map(|pieces| pieces.concat())
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn harmless() -> impl Strategy<Value = String> {
    "[ac-z0-9é .,:/?&{}\\[\\]\"\\\\-]{0,20}".prop_map(|it| quoted(&it))
}

fn object(
    names: &'static [&'static str],
    value: impl Strategy<Value = String>,
) -> impl Strategy<Value = String> {
    let member = (proptest::sample::select(names.to_vec()), value);
    let member = member.prop_map(|(name, value)| format!("\"{name}\":{value}"));
    let members = proptest::collection::vec(member, 0..4);
    members.prop_map(|it| format!("{{{}}}", it.join(",")))
}

fn tree(
    names: &'static [&'static str],
    leaf: impl Strategy<Value = String> + 'static,
) -> impl Strategy<Value = String> {
    leaf.prop_recursive(5, 32, 4, move |inner| {
        let list = proptest::collection::vec(inner.clone(), 0..4);
        let list = list.prop_map(|it| format!("[{}]", it.join(",")));
        // As a text, too.
        let text = inner.clone().prop_map(|it| quoted(&it));
        prop_oneof![2 => object(names, inner), 1 => list, 1 => text]
    })
}

/// Any record, with names and values that matter.
fn record() -> impl Strategy<Value = String> {
    const NAMES: [&str; 12] = [
        "details",
        "request",
        "response",
        "path",
        "body",
        "password",
        "setup",
        "name",
        "refresh_token",
        "description",
        "redirect_uri",
        "user_name",
    ];
    let leaf = prop_oneof![
        3 => hostile().prop_map(|it| quoted(&it)),
        1 => Just("17".to_owned()),
        1 => Just("null".to_owned()),
        1 => Just("\"\\ud800 ?token=a\"".to_owned()),
    ];
    object(&NAMES, tree(&NAMES, leaf))
}

/// A secret under its name, wherever that is.
fn with_a_canary() -> impl Strategy<Value = String> {
    let canary = prop_oneof![
        Just(quoted(CANARY)),
        hostile().prop_map(|it| quoted(&format!("{CANARY}{it}{CANARY}"))),
    ];
    let whole = (
        proptest::sample::select(WHOLE.to_vec()),
        tree(&OPEN, canary.boxed()),
    );
    let list = proptest::collection::vec(Just(quoted(CANARY)), 1..3);
    let value = prop_oneof![
        Just(quoted(CANARY)),
        list.prop_map(|it| format!("[{}]", it.join(",")))
    ];
    let secret = (proptest::sample::select(SECRET.to_vec()), value);
    let member =
        prop_oneof![whole, secret].prop_map(|(name, value)| format!("{{\"{name}\":{value}}}"));
    let way = proptest::collection::vec((0..3_u8, proptest::sample::select(OPEN.to_vec())), 0..5);
    (member, way).prop_map(|(member, way)| {
        let wrapped = way
            .into_iter()
            .fold(member, |inner, (how, name)| match how {
                0 => format!("{{\"{name}\":{inner}}}"),
                1 => format!("[1,{inner},\"x\"]"),
                // Names, addresses and ids are not looked at.
                _ if name == "name" => format!("{{\"a\":{inner}}}"),
                _ => format!("{{\"{name}\":{}}}", quoted(&inner)),
            });
        format!("{{\"details\":{wrapped}}}")
    })
}

fn parsed(json: &str) -> BTreeMap<String, Box<RawValue>> {
    serde_json::from_str(json).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_masked_is_json_and_is_masked_but_once(record in record()) {
        let line = Redaction::On.line(&record);
        parsed(&line);
        parsed(&row(&record, Api::DataCollector, Redaction::On).unwrap());
        prop_assert_eq!(Redaction::On.line(&line), line);
    }

    #[test]
    fn without_secrets_a_line_is_the_record(record in object(&OPEN, tree(&OPEN, harmless()))) {
        prop_assert_eq!(Redaction::On.line(&record), record);
    }

    #[test]
    fn what_stands_under_the_name_of_a_secret_never_leaves(record in with_a_canary()) {
        let line = Redaction::On.line(&record);
        prop_assert!(!line.contains(CANARY), "{}", line);
        let row = row(&record, Api::LogsIngestion, Redaction::On).unwrap();
        prop_assert!(!row.contains(CANARY), "{}", row);
    }

    #[test]
    fn a_parameter_never_leaves(levels in 0..4_usize, before in "[a-z/?&=%]{0,9}", after in "[&#][a-z=&]{0,9}") {
        // A URL in a parameter of a URL, and so on.
        let url = format!("https://h/{before}?a=b&token={CANARY}{after}");
        let url = (0..levels).fold(url, |url, _| {
            let to: String = ::url::form_urlencoded::byte_serialize(url.as_bytes()).collect();
            format!("https://h/?to={to}&x=y")
        });
        let line = Redaction::On.line(&format!("{{\"a\":{}}}", quoted(&url)));
        prop_assert!(!line.contains(CANARY), "{}", line);
        prop_assert!(line.contains("***"));
    }

    #[test]
    fn what_detections_group_by_is_the_same_to_the_byte(
        name in proptest::sample::select(GROUPED_BY.to_vec()),
        value in hostile(),
        rest in record(),
    ) {
        let value = quoted(&value);
        let line = Redaction::On.line(&format!("{{\"{name}\":{value},\"details\":{rest}}}"));
        let line = parsed(&line);
        prop_assert_eq!(line[name].get(), value);
    }

    #[test]
    fn no_field_decides_about_another(
        name in proptest::sample::select(vec!["user_name", "user_agent", "x", "path", "body", "description"]),
        value in hostile(),
        details in record(),
    ) {
        let alone = Redaction::On.line(&format!("{{\"details\":{details}}}"));
        let value = quoted(&value);
        let line = Redaction::On.line(&format!("{{\"{name}\":{value},\"details\":{details}}}"));
        let (line, alone) = (parsed(&line), parsed(&alone));
        prop_assert_eq!(line["details"].get(), alone["details"].get());
    }
}
