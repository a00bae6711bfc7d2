mod codes;
mod detections;
mod hostile;
mod properties;
mod texts;

use super::*;
use crate::table::Api;
use crate::table::row::row;

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

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

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
fn a_list_of_secrets_is_masked_with_the_objects_in_it() {
    assert_masked(
        r#"{"tokens":[{"value":"x","for":{"app":"y"}},["z"]],"n":1}"#,
        r#"{"tokens":[{"value":"***","for":{"app":"***"}},["***"]],"n":1}"#,
    );
}

#[test]
fn a_secret_hides_nothing_that_comes_after_it_in_a_list() {
    assert_masked(
        r#"{"a":[{"password":"x"},"b",["c"],7]}"#,
        r#"{"a":[{"password":"***"},"b",["c"],7]}"#,
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
fn the_path_of_a_call_is_found_after_other_things_and_is_a_string() {
    assert_masked(
        r#"{"a":[1,{"b":2}],"details":{"c":["d"],"request":{"e":[["f"]],"g":{"path":"h"},"path":"/api/v2/hooks/1/secrets","body":{"i":"x"}}}}"#,
        r#"{"a":[1,{"b":2}],"details":{"c":["d"],"request":{"e":[["f"]],"g":{"path":"h"},"path":"/api/v2/hooks/1/secrets","body":{"i":"***"}}}}"#,
    );
    assert_left(
        r#"{"details":{"request":{"path":{"path":"/api/v2/hooks/1/secrets"},"body":{"a":"b"}}}}"#,
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
    assert_masked(
        r##"{"a":"#otp=b","c":"/d?e=f;otp=g"}"##,
        r##"{"a":"#otp=***","c":"/d?e=f;otp=***"}"##,
    );
    // A second question mark belongs to the value.
    assert_masked(
        r#"{"path":"/a?otp=b?c=d","x":"https://a/?otp=b?c=d&e=f"}"#,
        r#"{"path":"/a?otp=***","x":"https://a/?otp=***&e=f"}"#,
    );
    assert_masked(
        r#"{"a":"see <https://h/?otp=b>, `/c?otp=d` or /e?otp=f<br>"}"#,
        r#"{"a":"see <https://h/?otp=***>, `/c?otp=***` or /e?otp=***<br>"}"#,
    );
}

#[test]
fn what_is_encoded_more_often_than_a_parameter_is_part_of_its_value() {
    assert_masked(
        r#"{"url":"/a?b=%3Fotp%3Dc%2526d%26e=f"}"#,
        r#"{"url":"/a?b=%3Fotp%3D***%26e=f"}"#,
    );
    assert_masked(
        r#"{"url":"/a?b=%253Fotp%253Dc%252526d%2526e=f"}"#,
        r#"{"url":"/a?b=%253Fotp%253D***%2526e=f"}"#,
    );
}

#[test]
fn nothing_is_masked_where_that_is_switched_off() {
    let record = r#"{"password":"x","otp":123456,"details":{"body":{"password":7}}}"#;
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
        "passwordConfirm",
        "password_again",
        "password_repeat",
        "token_value",
        "backup_codes",
        "password2",
        "client_secret_10",
        "auth_req_id",
        "otpCode",
        "api_keys",
        "user_code",
        "authorization_code",
        "authCode",
        "mfa_code",
        "sms_code",
        "one_time_code",
        "magic_link",
        "Passwort",
        "contraseña",
        "nueva_contrasena",
        "mot_de_passe",
        "senha",
        "wachtwoord",
        "pswd",
        "x-functions-key",
        "Ocp-Apim-Subscription-Key",
        "hmac_key",
        "privKey",
        "client_secret_hash",
        "nytt_passord",
        "kennwort",
        "passphrase",
        "passcode",
        "backup_code",
        "recovery_codes",
        "verification_code",
        "device_code",
        "oobCode",
        "code_verifier",
        "SAMLResponse",
        "secret_value",
        "connection_string",
        "invitation_url",
        "ticket_url",
        "verification_url",
        "master_key",
        "saskey",
        "secret_key",
        "server_key",
        "shared_key",
    ] {
        assert_masked(
            &format!(r#"{{"{name}":"hidden"}}"#),
            &format!(r#"{{"{name}":"***"}}"#),
        );
    }
    assert_left(r#"{"country_code":"a","error_code":"b","status_code":"c","postal_code":"d"}"#);
    assert_masked(
        r#"{"signing_keys":[{"cert":"a","pkcs7":"b"}]}"#,
        r#"{"signing_keys":[{"cert":"***","pkcs7":"***"}]}"#,
    );
}

#[test]
fn what_is_a_secret_with_everything_in_it_is_known_by_its_name() {
    for name in [
        "p12",
        "pkcs12",
        "password_hash",
        "client_secrets",
        "custom_headers",
        "skey",
        "decryption_key",
    ] {
        assert_masked(
            &format!(r#"{{"{name}":{{"hash":{{"value":"hidden"}}}}}}"#),
            &format!(r#"{{"{name}":{{"hash":{{"value":"***"}}}}}}"#),
        );
        assert_masked(
            &format!(r#"{{"{name}":"hidden"}}"#),
            &format!(r#"{{"{name}":"***"}}"#),
        );
    }
}

#[test]
fn a_name_tells_that_its_value_is_a_form_or_a_url_and_which_parameters_are_secrets() {
    assert_masked(
        r#"{"query_string":"ticket=x","payload":"otp=y","note":"ticket=x"}"#,
        r#"{"query_string":"ticket=***","payload":"otp=***","note":"ticket=x"}"#,
    );
    assert_masked(
        r#"{"url":"/a?signing_key=x&setup=y&b=c"}"#,
        r#"{"url":"/a?signing_key=***&setup=***&b=c"}"#,
    );
    assert_masked(
        r#"{"referer":"a/b?otp=x","documentReferrer":"c?otp=y","note":"a/b?otp=x"}"#,
        r#"{"referer":"a/b?otp=***","documentReferrer":"c?otp=***","note":"a/b?otp=x"}"#,
    );
    assert_left(r#"{"agent_id":"/a?otp=b","user_email":"/c?otp=d"}"#);
}
