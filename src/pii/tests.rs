use std::borrow::Cow;
use std::net::Ipv4Addr;

use proptest::strategy::Strategy as _;

use super::*;
use crate::redact::Redaction;
use crate::settings::{AppSettings, Reader, SettingsError};
use crate::table::Api;
use crate::table::row::row_of;

/// `0123456789abcdef0123456789abcdef`
const KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
/// `another key of thirty-two bytes!`
const OTHER_KEY: &str = "YW5vdGhlciBrZXkgb2YgdGhpcnR5LXR3byBieXRlcyE=";

// By Python's hmac, hashlib and base64, from the first key, over `email\0ada@example.com` and so on.
const ADA: &str = "p1_2xedtbutyn3h3xjwcepxqb2mqa";
const ADA_S_ID: &str = "p1_7ofbzlnuwkj44xqkrdedfdqzzi";
const ADA_S_PHONE: &str = "p1_og33wzyqar3qyjomabexpy6msm";
const ADA_S_IP: &str = "p1_zzswk4cq6ju5ee5swllsod5spm";
const AUGUSTA: &str = "p1_bf366fchw6yehdykphekrc3tkm";
const COUNTESS: &str = "p1_qtzhk5cz6jyhlmku2gtyiqhnry";
/// From the other key.
const ADA_BY_ANOTHER: &str = "p1_wkbi2ytapnytify2ftitvakrdi";

const ALL: &str = "email:pseudonym,phone:pseudonym,username:pseudonym,first_name:pseudonym,\
                   last_name:pseudonym,address:pseudonym,user_id:pseudonym,ip:pseudonym,\
                   location:pseudonym,user_agent:pseudonym";

fn read(settings: &[(&str, &str)]) -> Result<Policy, SettingsError> {
    let settings: AppSettings = settings.iter().copied().collect();
    Reader::read(&settings, |reader| Policy::read(reader, "PII_ARCHIVE"))
}

fn policy(pii: &str) -> Policy {
    read(&[("PII", pii), ("PII_KEY", KEY)]).unwrap()
}

fn applied(pii: &str, record: &str) -> String {
    Privacy::new(Redaction::Off, policy(pii)).line(record)
}

#[track_caller]
fn assert_becomes(pii: &str, record: &str, expected: &str) {
    assert_eq!(applied(pii, record), expected, "{pii}");
}

#[track_caller]
fn assert_stays(pii: &str, record: &str) {
    assert_becomes(pii, record, record);
}

#[test]
fn a_pseudonym_is_a_code_and_what_is_kept_of_the_value() {
    assert_becomes(
        ALL,
        r#"{"email":"ada@example.com","user_id":"auth0|5f1abc","phone_number":"+1 (555) 010-0200","ip":"203.0.113.7","given_name":"Augusta","username":"Countess"}"#,
        &format!(
            r#"{{"email":"{ADA}@example.com","user_id":"auth0|{ADA_S_ID}","phone_number":"{ADA_S_PHONE}","ip":"{ADA_S_IP}","given_name":"{AUGUSTA}","username":"{COUNTESS}"}}"#
        ),
    );
}

#[test]
fn what_is_the_same_to_people_has_one_pseudonym() {
    for (field, value, expected) in [
        ("email", " Ada@Example.COM ", format!("{ADA}@example.com")),
        ("user_name", "ada@example.com", format!("{ADA}@example.com")),
        ("user_name", "COUNTESS", COUNTESS.to_owned()),
        ("nickname", "countess", COUNTESS.to_owned()),
        ("phone", "15550100200", ADA_S_PHONE.to_owned()),
        ("client_ip", "::ffff:203.0.113.7", ADA_S_IP.to_owned()),
        ("first_name", "AUGUSTA", AUGUSTA.to_owned()),
        // By default Auth0 takes the address for a name.
        (
            "given_name",
            "ada@example.com",
            format!("{ADA}@example.com"),
        ),
        ("userId", "auth0|5F1ABC", format!("auth0|{ADA_S_ID}")),
    ] {
        let record = format!(r#"{{"details":{{"{field}":"{value}"}}}}"#);
        assert_becomes(
            ALL,
            &record,
            &format!(r#"{{"details":{{"{field}":"{expected}"}}}}"#),
        );
    }
}

#[test]
fn another_key_makes_other_pseudonyms_and_an_id_tells_them_apart() {
    let record = r#"{"email":"ada@example.com"}"#;
    for (id, begin) in [("1", "p1_"), ("2026a", "p2026a_")] {
        let settings = [("PII", ALL), ("PII_KEY", OTHER_KEY), ("PII_KEY_ID", id)];
        let policy = read(&settings).unwrap();
        let expected = format!("{begin}{}@example.com", &ADA_BY_ANOTHER[3..]);
        assert_eq!(
            Privacy::new(Redaction::Off, policy).line(record),
            format!(r#"{{"email":"{expected}"}}"#)
        );
    }
}

#[test]
fn a_user_id_keeps_its_connection_and_no_more() {
    for (value, begin) in [
        ("google-oauth2|117", "google-oauth2|p1_"),
        ("samlp|acme|ada@example.com", "samlp|acme|p1_"),
        // The bar is in the id that the user had elsewhere.
        ("auth0|ada|lovelace", "auth0|p1_"),
        ("5f1abc", "p1_"),
    ] {
        let record = applied("user_id:pseudonym", &format!(r#"{{"user_id":"{value}"}}"#));
        let begin = format!(r#"{{"user_id":"{begin}"#);
        assert!(record.starts_with(&begin), "{record}");
        assert_eq!(record.len(), begin.len() + 26 + 2, "{record}");
    }
    let application = applied("user_id:pseudonym", r#"{"user_id":"abc123@clients"}"#);
    assert!(application.ends_with(r#"@clients"}"#), "{application}");
}

#[test]
fn each_method_does_what_it_says() {
    let record =
        r#"{"ip":"203.0.113.77","email":"ada@example.com","details":{"ip":"2001:db8:1:2::9"}}"#;
    for (pii, expected) in [
        (
            "ip:mask,email:mask",
            r#"{"ip":"***","email":"***","details":{"ip":"***"}}"#,
        ),
        (
            "ip:truncate",
            r#"{"ip":"203.0.113.0","email":"ada@example.com","details":{"ip":"2001:db8:1::"}}"#,
        ),
        ("ip:drop,email:drop", r#"{"details":{}}"#),
    ] {
        assert_becomes(pii, record, expected);
    }
    assert_becomes(
        "ip:truncate",
        r#"{"ip":"::ffff:203.0.113.7","client_ip":"not one","x_forwarded_for":"203.0.113.7, 10.1.2.3"}"#,
        r#"{"ip":"203.0.113.0","client_ip":"***","x_forwarded_for":"203.0.113.0, 10.1.2.0"}"#,
    );
}

#[test]
fn nothing_is_changed_where_nothing_is_personal_or_the_kind_stays() {
    for record in [
        r#"{"user_id":"","email":null,"ip":"***","phone_number":null}"#,
        r#"{"type":"sapi","description":"Create a client"}"#,
        r#"{"details":{"assessments":{"NewDevice":{"details":{"useragent":"known"}}}}}"#,
        r#"{"email":{"verification_method":"link","required":true},"verify_email":true}"#,
        "{}",
        "",
    ] {
        assert_stays(ALL, record);
    }
    assert_stays(
        "email:mask",
        r#"{"user_name":"ada@example.com","ip":"203.0.113.7","name":"Ada Lovelace"}"#,
    );
}

#[test]
fn a_place_is_all_that_is_in_it_and_its_coordinates_are_never_kept() {
    let record = r#"{"location_info":{"country_code":"GB","city_name":"London","latitude":51.5,"longitude":"-0.1","time_zone":"Europe/London"},"details":{"latitude":1,"geoip":{"country_name":"France","lat":2}}}"#;
    for (pii, expected) in [
        (
            "location:truncate",
            r#"{"location_info":{"country_code":"GB"},"details":{"geoip":{"country_name":"France"}}}"#,
        ),
        (
            "location:mask",
            r#"{"location_info":{"country_code":"***","city_name":"***","time_zone":"***"},"details":{"geoip":{"country_name":"***"}}}"#,
        ),
        ("location:drop", r#"{"details":{}}"#),
    ] {
        assert_becomes(pii, record, expected);
    }
    let pseudonyms = applied("location:pseudonym", record);
    for gone in [
        "London",
        "51.5",
        "-0.1",
        "latitude",
        "longitude",
        "France",
        "GB",
    ] {
        assert!(!pseudonyms.contains(gone), "{gone}: {pseudonyms}");
    }
}

#[test]
fn a_name_is_personal_within_a_user_s_object_only() {
    for (record, expected) in [
        (
            r#"{"details":{"request":{"auth":{"user":{"user_id":"auth0|1","name":"Ada"}},"body":{"name":"Shop"}}}}"#,
            r#"{"details":{"request":{"auth":{"user":{"user_id":"auth0|1","name":"***"}},"body":{"name":"Shop"}}}}"#,
        ),
        (
            r#"{"body":{"name":"Ada","email":"a@b.c","roles":[{"id":"r","name":"admin"}]}}"#,
            r#"{"body":{"name":"***","email":"a@b.c","roles":[{"id":"r","name":"admin"}]}}"#,
        ),
        (
            r#"{"body":{"inviter":{"name":"Ada"},"client":{"name":"Shop","email":"a@b.c"}}}"#,
            r#"{"body":{"inviter":{"name":"***"},"client":{"name":"Shop","email":"a@b.c"}}}"#,
        ),
        (
            r#"{"body":{"name":"mail","strategy":"email","options":{"name":"Shop"},"email":"a@b.c"}}"#,
            r#"{"body":{"name":"mail","strategy":"email","options":{"name":"Shop"},"email":"a@b.c"}}"#,
        ),
        (
            r#"{"details":{"prompts":[{"name":"login","user_id":"auth0|1","user_name":"x"}]}}"#,
            r#"{"details":{"prompts":[{"name":"login","user_id":"auth0|1","user_name":"x"}]}}"#,
        ),
        // What the call is about tells of a body that does not say so itself.
        (
            r#"{"request":{"body":{"name":"Ada"},"path":"/api/v2/users/auth0%7C1"}}"#,
            r#"{"request":{"body":{"name":"***"},"path":"/api/v2/users/auth0%7C1"}}"#,
        ),
        (
            r#"{"request":{"body":{"name":"Ada"},"path":"/api/v2/users/auth0%7C1/roles"}}"#,
            r#"{"request":{"body":{"name":"Ada"},"path":"/api/v2/users/auth0%7C1/roles"}}"#,
        ),
        (
            r#"{"response":{"body":{"users":[{"name":"Ada"}],"members":[{"name":"Bo"}]}}}"#,
            r#"{"response":{"body":{"users":[{"name":"***"}],"members":[{"name":"***"}]}}}"#,
        ),
        // SCIM
        (
            r#"{"body":{"userName":"a","displayName":"Ada L","name":{"givenName":"Ada","familyName":"L"}}}"#,
            r#"{"body":{"userName":"a","displayName":"***","name":{"givenName":"***","familyName":"***"}}}"#,
        ),
    ] {
        assert_becomes("first_name:mask,last_name:mask", record, expected);
    }
    assert_becomes(
        "last_name:drop",
        r#"{"user":{"name":"Ada Lovelace"},"description":"by ada lovelace"}"#,
        r#"{"user":{},"description":"by ***"}"#,
    );
}

#[test]
fn lists_and_objects_of_values_are_personal_too() {
    for (record, expected) in [
        (
            r#"{"emails":["a@b.c",{"value":"d@e.f","type":"work"}],"address":{"locality":"Paris","n":[1,{"x":"y"}],"ok":true}}"#,
            r#"{"emails":["***",{"value":"***","type":"work"}],"address":{"locality":"***","n":["***",{"x":"***"}],"ok":true}}"#,
        ),
        (
            r#"{"owners":["marge@example.com","auth0|1","team"],"phone_number":15550100200}"#,
            r#"{"owners":["***","***","team"],"phone_number":"***"}"#,
        ),
        (
            r#"{"support_email":"x@y.z","verify_email":"yes","user":{"id":"auth0|12"},"id":"auth0|x"}"#,
            r#"{"support_email":"***","verify_email":"yes","user":{"id":"***"},"id":"auth0|x"}"#,
        ),
    ] {
        assert_becomes(
            "email:mask,user_id:mask,phone:mask,address:mask",
            record,
            expected,
        );
    }
    assert_becomes(
        "email:drop,address:drop,phone:drop",
        r#"{"a":1,"emails":["a@b.c"],"address":{"x":"y"},"owners":["m@example.com","team"],"phone":null,"b":2}"#,
        r#"{"a":1,"owners":["***","team"],"b":2}"#,
    );
}

#[test]
fn what_was_found_is_replaced_wherever_it_occurs() {
    let user = r#""user_name":"Ada.L@example.com","user_id":"auth0|5f1abc""#;
    for (text, expected) in [
        (
            "User (ada.l@example.com) is blocked.",
            "User (***) is blocked.",
        ),
        (
            "/api/v2/users/auth0%7C5f1abc/roles",
            "/api/v2/users/%2A%2A%2A/roles",
        ),
        ("/api/v2/users/auth0%257C5f1abc", "/api/v2/users/***"),
        (
            "/users-by-email?email=ada.l%40example.com&x=1",
            "/users-by-email?email=***&x=1",
        ),
        (
            "id 5f1abc, not 5f1abcd or x5f1abc",
            "id ***, not 5f1abcd or x5f1abc",
        ),
        (
            r"a\\nada.l@example.com\\u003cADA.L@EXAMPLE.COM\\u003e",
            r"a\\n***\\u003c***\\u003e",
        ),
        (r"ada.l\\u0040example.com", "***"),
        (
            r#"{\"error\":\"no ada.l@example.com\",\"n\" : [1]}"#,
            r#"{\"error\":\"no ***\",\"n\":[1]}"#,
        ),
        (r"\u0061da.l@example.com \ud800", "*** \u{fffd}"),
        ("%E9 ada.l%40example.com", "%E9 ***"),
        ("ada.lexample.com", "ada.lexample.com"),
    ] {
        let expected = expected.replace("%2A%2A%2A", "***");
        assert_becomes(
            "username:mask,user_id:mask",
            &format!(r#"{{{user},"error":"{text}"}}"#),
            &format!(r#"{{"user_name":"***","user_id":"***","error":"{expected}"}}"#),
        );
    }
}

#[test]
fn an_occurrence_has_the_pseudonym_of_the_whole() {
    assert_becomes(
        ALL,
        r#"{"user_id":"auth0|5f1abc","path":"/api/v2/users/auth0%7C5f1abc","identities":[{"user_id":"5f1abc","provider":"auth0"}],"q":"auth0|5F1ABC"}"#,
        &format!(
            r#"{{"user_id":"auth0|{ADA_S_ID}","path":"/api/v2/users/auth0%7C{ADA_S_ID}","identities":[{{"user_id":"{ADA_S_ID}","provider":"auth0"}}],"q":"auth0|{ADA_S_ID}"}}"#
        ),
    );
    assert_becomes(
        "phone:pseudonym",
        r#"{"phone_number":"+1 555-010-0200","text":"sms to +15550100200","n":15550100200}"#,
        &format!(
            r#"{{"phone_number":"{ADA_S_PHONE}","text":"sms to {ADA_S_PHONE}","n":"{ADA_S_PHONE}"}}"#
        ),
    );
    assert_becomes(
        "last_name:drop,first_name:mask",
        r#"{"q":"name=Ada+Lovelace%20Byron&x=Lovelace","user":{"name":"Ada Lovelace Byron"},"family_name":"Lovelace"}"#,
        r#"{"q":"name=***&x=***","user":{"name":"***"}}"#,
    );
}

#[test]
fn what_is_encoded_for_html_or_code_is_found() {
    for (text, expected) in [
        ("&lt;o&#39;neill@example.com&gt;", "&lt;***&gt;"),
        ("o&#x27;NEILL&#64;example.com", "***"),
        ("o&apos;neill&commat;example.com", "***"),
        (r"o\\x27neill\\x40example.com", "***"),
        (
            "a=1&copy; &#1; &; & o'neill@example.com",
            "a=1&copy; &#1; &; & ***",
        ),
        ("o&#39neill@example.com", "o&#39neill@example.com"),
    ] {
        assert_becomes(
            "email:mask",
            &format!(r#"{{"email":"o'neill@example.com","error":"{text}"}}"#),
            &format!(r#"{{"email":"***","error":"{expected}"}}"#),
        );
    }
}

#[test]
fn an_address_is_found_however_it_is_written() {
    for (ip, text, expected) in [
        (
            "2001:db8::1",
            "2001:0db8:0000:0000:0000:0000:0000:0001 2001:DB8:0:0:0:0:0:1 [2001:db8::1]:443",
            "*** *** [***]:443",
        ),
        (
            "2001:DB8:0:0:0:0:0:1",
            "2001:db8::1 2001:db8::2",
            "*** 2001:db8::2",
        ),
        (
            "203.0.113.7",
            "::ffff:cb00:7107 203.0.113.7:80",
            "*** ***:80",
        ),
        (
            "::ffff:203.0.113.7",
            "203.0.113.7 ::FFFF:CB00:7107",
            "*** ***",
        ),
    ] {
        assert_becomes(
            "ip:mask",
            &format!(r#"{{"ip":"{ip}","error":"{text}"}}"#),
            &format!(r#"{{"ip":"***","error":"{expected}"}}"#),
        );
    }
}

#[test]
fn each_address_of_a_list_is_found() {
    assert_becomes(
        "email:mask",
        r#"{"emails":"ada@example.com,bo@example.com","to":"cy@example.com;di@example.com","error":"bo@example.com, cy@example.com"}"#,
        r#"{"emails":"***","to":"***;***","error":"***, ***"}"#,
    );
    let list = applied(
        "email:pseudonym",
        r#"{"email":"ada@lovelace.example,bo@example.com"}"#,
    );
    assert!(!list.contains("example"), "{list}");
}

#[test]
fn names_of_fields_that_look_like_somebody_are_somebody() {
    assert_becomes(
        "email:mask,user_id:mask,ip:mask,phone:mask",
        r#"{"details":{"ada@example.com":1,"b%40example.com":2,"auth0|5f1":3,"203.0.113.7":4,"2001:db8::1":5,"+1 555 010 0200":6,"v1.2.3":7,"error":"ada@example.com"}}"#,
        r#"{"details":{"***":1,"***":2,"***":3,"***":4,"***":5,"***":6,"v1.2.3":7,"error":"***"}}"#,
    );
    assert_becomes(
        "email:mask",
        r#"{"body":"{\"ada@example.com\": 1}"}"#,
        r#"{"body":"{\"***\":1}"}"#,
    );
}

#[test]
fn a_user_of_a_connection_for_text_messages_is_found_by_the_number() {
    assert_becomes(
        "username:mask",
        r#"{"connection":"sms","user_name":"+15550100200","n":15550100200,"text":"to 15550100200"}"#,
        r#"{"connection":"sms","user_name":"***","n":"***","text":"to ***"}"#,
    );
    assert_becomes(
        "phone:mask,email:mask",
        r#"{"mobile_phone":"1 (555) 010-0200","mobile":"15550100201","verify_phone":"yes","from":"Bo <bo@example.com>"}"#,
        r#"{"mobile_phone":"***","mobile":"***","verify_phone":"yes","from":"Bo <***>"}"#,
    );
}

#[test]
fn forms_and_queries_tell_by_their_names() {
    for (text, expected) in [
        (
            "username=ada%40example.com&grant_type=password",
            "username=***&grant_type=password",
        ),
        (
            "https://x.example/?user_id=auth0%7C5f1abc#email=ada+a@example.com",
            "https://x.example/?user_id=***#email=***",
        ),
        (
            "redirect_uri=https%3A%2F%2Fx%3Femail%3Dada%2540example.com%26n%3D1",
            "redirect_uri=https%3A%2F%2Fx%3Femail%3D***%26n%3D1",
        ),
        (
            r#"user_id=\"auth0|5f1abc\", type=email"#,
            r#"user_id=\"***\", type=email"#,
        ),
        ("scope=email&name=Shop", "scope=email&name=Shop"),
        // What stands around a value, and after it, is none of it.
        (
            r#"<a href=\"https://x.example/?email=ada@example.com\">verify</a>"#,
            r#"<a href=\"https://x.example/?email=***\">verify</a>"#,
        ),
        (
            "email=ada@example.com|type=limit_wc|status=blocked",
            "email=***|type=limit_wc|status=blocked",
        ),
        (
            "email=ada@example.com,bo@example.com username=CORP\\\\ada username=smith|adalove",
            "email=***,*** username=*** username=***",
        ),
        (
            "username=ada[1]; email=ada@example.com]",
            "username=***; email=***]",
        ),
        (
            "User{id=5, email=ada@example.com}, user_id=auth0|5f1abc: gone",
            "User{id=5, email=***}, user_id=***: gone",
        ),
        (
            r#"{\"url\":\"/?email=ada@example.com\",\"a\":\"b"#,
            r#"{\"url\":\"/?email=***\",\"a\":\"b"#,
        ),
    ] {
        assert_becomes(
            "email:mask,username:mask,user_id:mask,first_name:mask",
            &format!(r#"{{"details":{{"body":"{text}"}}}}"#),
            &format!(r#"{{"details":{{"body":"{expected}"}}}}"#),
        );
    }
}

#[test]
fn json_in_a_path_does_not_shift_who_is_a_user() {
    assert_becomes(
        "first_name:mask",
        r#"{"path":"/a?q={\"b\":{\"c\":1}}","body":"[{\"email\":\"x@y.z\",\"name\":\"Ada\"}]"}"#,
        r#"{"path":"/a?q={\"b\":{\"c\":1}}","body":"[{\"email\":\"x@y.z\",\"name\":\"***\"}]"}"#,
    );
    // In what was cut there is something that was cut too.
    assert_becomes(
        "first_name:mask",
        r#"{"a":"[\"{\\\"b\\\":{\",","body":"[{\"email\":\"x@y.z\",\"name\":\"Ada\"}]"}"#,
        r#"{"a":"[\"{\\\"b\\\":{\",","body":"[{\"email\":\"x@y.z\",\"name\":\"***\"}]"}"#,
    );
}

/// What is in a record, besides what the columns of a user say.
fn beside() -> impl proptest::strategy::Strategy<Value = String> {
    let parts = [
        r#""description":"no Ada@Example.com""#,
        r#""error":"203.0.113.7 ""#,
        r#""path":"/api/v2/users/auth0%7C5f1abc""#,
        r#""path":"/api/v2/clients?q={\"a\":1}""#,
        r#""user":{"name":"Ada","id":"auth0|5f1abc"}"#,
        r#""client":{"name":"Shop"}"#,
        r#""body":"{\"email\":\"bo@example.com\", \"name\":\"Bo\"}""#,
        r#""to":"Bo <bo@example.com>""#,
        r#""n":15550100200"#,
        r#""phone_number":15550100200"#,
        r#""b":{"ada@example.com":[1,true,null,""]}"#,
        r#""agent":"Chrome 142 / Windows""#,
        r#""name":"""#,
        r#""user_agent":"Bearer abcdefghijklmnopqrstuvwxyz""#,
        r#""token":"Bearer 0123456789""#,
        r#""scope":["openid","auth0|5f1abc"]"#,
        r#""x":"a\nb""#,
        r#""emails":["ada@example.com",{"value":"bo@example.com"}]"#,
        r#""location_info":{"city_name":"London","latitude":51.5}"#,
        r#""qs":"state=1&email=bo%40example.com""#,
        r#""note":"[ada@example.com] was here""#,
        r#""hint":"Köln, 5f1abc""#,
        r#""country_name":"{\"email\":\"bo@example.com\"}""#,
        r#""country_code":"ada@example.com""#,
        r#""identities":[{"user_id":"5f1abc","connection":"{"}]"#,
        r#""email":"\"Bo\" <bo@example.com>""#,
    ];
    let parts = proptest::sample::subsequence(parts.to_vec(), 0..6);
    parts.prop_map(|it| it.join(" , "))
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config { cases: 64, failure_persistence: None, ..Default::default() })]

    #[test]
    fn the_short_way_ends_where_the_long_one_does(rest in beside(), last in beside()) {
        let head = r#""type":"f","user_name":"ada@example.com","user_id":"auth0|5f1abc","ip":"203.0.113.7""#;
        let record = format!(r#"{{{head} ,"details": {{ {rest}}},"more":{{{last}}}}}"#);
        for pii in [
            ALL,
            "email:pseudonym,username:pseudonym,user_id:pseudonym,ip:pseudonym",
            "ip:truncate,first_name:mask,phone:mask",
            "user_agent:mask",
        ] {
            for redaction in [Redaction::On, Redaction::Off] {
                let policy = policy(pii);
                let long = policy.apply(redaction, &record);
                let mut room = None;
                let Some(short) = policy.plain(redaction, &record, &mut room) else {
                    continue;
                };
                let line = pieces::written(&long, record.len());
                proptest::prop_assert_eq!(redaction.line_of(short.iter().copied(), &record), line);
                for api in [Api::DataCollector, Api::LogsIngestion] {
                    let row = row_of(&mut pieces::left(&long), &record, api, Redaction::Off);
                    let short = row_of(&mut short.iter().copied(), &record, api, redaction);
                    proptest::prop_assert_eq!(short, row, "{}", pii);
                }
            }
        }
    }

    #[test]
    fn where_a_value_is_replaced_a_look_tells_that_it_may_be_there(
        values in proptest::collection::vec(value(), 1..45),
        chosen in proptest::prelude::any::<proptest::sample::Index>(),
        (before, after) in ("[a-zA-Z0-9 .:|@_/-]{0,20}", "[a-zA-Z0-9 .:|@_/-]{0,20}"),
        form in 0..4,
    ) {
        let members: Vec<_> = values.iter().map(|(name, it)| format!(r#""{name}":"{it}""#)).collect();
        let record = format!("{{{}}}", members.join(","));
        let policy = policy(ALL);
        let tokens = Redaction::Off.tokens(&record);
        let (_, found) = find::find(&policy, record.len(), tokens);
        let found = found.unwrap();
        let (_, value) = chosen.get(&values);
        let value = match form {
            0 => value.to_uppercase(),
            1 => value.to_lowercase(),
            // What an id is without its connection, and an address as others write it.
            2 => value.replace("auth0|", ""),
            _ => match value.parse().map(|it: Ipv4Addr| it.octets()) {
                Ok([a, b, c, d]) => format!("::FFFF:{a:x}{b:02x}:{c:x}{d:02x}"),
                Err(_) => value.clone(),
            },
        };
        for text in [format!("{before} {value} {after}"), format!("{before} {value}"), value] {
            let is_replaced = matches!(found.index().replaced(&text), Cow::Owned(_));
            proptest::prop_assert!(!is_replaced || found.may_be_in(&text), "{text}");
        }
    }
}

#[test]
fn a_text_of_brackets_and_mistakes_is_read_in_time() {
    for text in ["[[", r#"[\"a\"!"#, r#"{\"a\":[!"#, r#"{\"a\"\n"#] {
        let text = text.repeat(200_000 / text.len());
        assert_stays("email:mask", &format!(r#"{{"body":"{text}"}}"#));
    }
    // In a form too: bars before no pair, and brackets that were opened late.
    let bars = "|".repeat(1_000_000);
    let brackets = format!("{}[{}", "x".repeat(500_000), "]".repeat(500_000));
    for value in [bars, brackets] {
        assert_becomes(
            "username:mask",
            &format!(r#"{{"body":"username={value}"}}"#),
            r#"{"body":"username=***"}"#,
        );
    }
}

/// The name of a field, and somebody.
fn value() -> impl proptest::strategy::Strategy<Value = (&'static str, String)> {
    proptest::prop_oneof![
        "[a-zA-Z]{1,9}(@[a-z]{2,5}\\.com)?".prop_map(|it| ("user_name", it)),
        "[a-z]{1,3}\\.[a-z]{1,6}@Example\\.com".prop_map(|it| ("email", it)),
        "auth0\\|[0-9a-f]{2,24}".prop_map(|it| ("user_id", it)),
        "203\\.0\\.113\\.[1-9][0-9]?".prop_map(|it| ("ip", it)),
        "2001:db8:[1-9a-f]{1,4}::[1-9a-f]{1,4}".prop_map(|it| ("client_ip", it)),
        "[A-Zé][a-zü]{1,8}".prop_map(|it| ("given_name", it)),
    ]
}

#[test]
fn most_records_go_the_short_way() {
    let record = r#"{"type":"f","description":"a\"b","user_name":"ada@example.com","user_id":"auth0|5f1abc","ip":"203.0.113.7","details":{"n":1,"x":"example","l":[]}}"#;
    let policy = policy("email:pseudonym,username:pseudonym,user_id:pseudonym,ip:pseudonym");
    assert!(policy.plain(Redaction::On, record, &mut None).is_some());
}

#[test]
fn one_text_of_two_kinds_is_treated_as_each_of_them_in_its_field() {
    let record = r#"{"username":"countess","given_name":"countess"}"#;
    let by_name = applied("username:pseudonym,first_name:pseudonym", record);
    assert!(by_name.starts_with(&format!(r#"{{"username":"{COUNTESS}","#)));
    assert_eq!(by_name.matches(COUNTESS).count(), 1, "{by_name}");
    assert_becomes(
        "username:pseudonym,email:mask",
        r#"{"username":"countess","email":"countess"}"#,
        &format!(r#"{{"username":"{COUNTESS}","email":"***"}}"#),
    );
}

#[test]
fn short_values_are_replaced_in_their_fields_only() {
    assert_becomes(
        "username:mask",
        r#"{"username":"anna","description":"anna","error":"Ann"}"#,
        r#"{"username":"***","description":"***","error":"Ann"}"#,
    );
    assert_becomes(
        "first_name:mask",
        r#"{"given_name":"Bo","user":{"name":"Zoë"},"description":"Bo and Zoë","client":{"name":"Bo"}}"#,
        r#"{"given_name":"***","user":{"name":"***"},"description":"Bo and Zoë","client":{"name":"Bo"}}"#,
    );
    assert_becomes(
        "first_name:mask",
        r#"{"given_name":"ÄNNE","description":"Änne and änne's, not Ännes"}"#,
        r#"{"given_name":"***","description":"*** and ***'s, not Ännes"}"#,
    );
}

#[test]
fn nobody_hides_by_a_name_what_they_did() {
    // Fields of Auth0's own, what was called, and the names of fields stay.
    for name in [
        "limit_wc",
        "sapi",
        "Username-Password",
        "clients",
        "details",
        "acme-c1",
        "auth",
    ] {
        let record = format!(
            r#"{{"type":"limit_wc","client_id":"acme-c1","connection":"Username-Password","user_name":"{name}","details":{{"request":{{"path":"/api/v2/clients","auth":{{}}}}}}}}"#
        );
        let expected = record.replacen(
            &format!(r#""user_name":"{name}""#),
            r#""user_name":"***""#,
            1,
        );
        assert_becomes("username:mask", &record, &expected);
    }
    // What can be nothing but a value is none in the name of a field either.
    assert_becomes(
        "email:mask",
        r#"{"email":"ada@example.com","by":{"ada@example.com":1}}"#,
        r#"{"email":"***","by":{"***":1}}"#,
    );
}

#[test]
fn nobody_who_takes_a_word_of_auth0_s_hides_it() {
    // Whatever the name: methods, scopes and audiences stay, and what was called.
    for name in [
        "post",
        "create:users",
        "https://acme.eu.auth0.com/api/v2/",
        "auth0",
        "client_secret",
        "implicit",
        "breached-password-detection",
        "accepted",
    ] {
        let rest = r#""details":{"accessedSecrets":["client_secret"],"request":{"method":"post","path":"/api/v2/attack-protection/breached-password-detection","body":{"audience":"https://acme.eu.auth0.com/api/v2/","scope":["create:users"],"grant_types":["implicit"],"state":"accepted"}}}}"#;
        assert_becomes(
            "first_name:mask",
            &format!(r#"{{"given_name":"{name}",{rest}"#),
            &format!(r#"{{"given_name":"***",{rest}"#),
        );
    }
    // What can be nobody's word is none there either.
    assert_becomes(
        "email:mask,user_id:mask",
        r#"{"email":"ada@example.com","user_id":"auth0|5f1abcdef","state":"for ada@example.com","scope":"read:5f1abcdef1 u:5f1abcdef"}"#,
        r#"{"email":"***","user_id":"***","state":"for ***","scope":"read:5f1abcdef1 u:5f1abcdef"}"#,
    );
    assert_becomes(
        "user_id:mask",
        r#"{"user_id":"auth0|5f1234abc","by":{"5f1234abc":1,"auth0|5f1234abc":2}}"#,
        r#"{"user_id":"***","by":{"***":1,"***":2}}"#,
    );
}

#[test]
fn whom_a_path_names_is_known_by_its_looks() {
    for (path, expected) in [
        (
            "/api/v2/users/auth0%7C5f1abc/roles",
            "/api/v2/users/***/roles",
        ),
        ("/api/v2/users/auth0|x", "/api/v2/users/***"),
        ("/api/v2/users/auth0%257c5f1abc", "/api/v2/users/***"),
        (
            "/api/v2/users-by-email?email=ada%40example.com&fields=a",
            "/api/v2/users-by-email?email=***&fields=a",
        ),
        (
            "/api/v2/organizations/org_1/members/auth0%7C5f1abc",
            "/api/v2/organizations/org_1/members/***",
        ),
        ("/v2/users/auth0%7C5f1abc", "/v2/users/***"),
        (
            "/api/v2/users/auth0%7C5f1abc/identities/google-oauth2/117000",
            "/api/v2/users/***/identities/google-oauth2/***",
        ),
        (
            "/api/v2/anomaly/blocks/ips/203.0.113.7",
            "/api/v2/anomaly/blocks/ips/***",
        ),
        (
            "/api/v2/anomaly/blocks/ips/fd00::1234:1",
            "/api/v2/anomaly/blocks/ips/***",
        ),
        (
            "/api/v2/users?q=email%3A%22ada%40example.com%22&page=1",
            "/api/v2/users?q=email%3A%22***%22&page=1",
        ),
        (
            "/api/v2/users?q=email:ada@example.com AND blocked:true",
            "/api/v2/users?q=email:*** AND blocked:true",
        ),
        (
            "/api/v2/users?q=user_id:%22auth0|5f1abc%22 OR username:%22adalove%22",
            "/api/v2/users?q=user_id:%22***%22 OR username:%22***%22",
        ),
        (
            "/scim/v2/connections/con_1/Users?filter=userName%20eq%20%22adalove%22",
            "/scim/v2/connections/con_1/Users?filter=userName%20eq%20%22***%22",
        ),
        (
            "/x?username=adalove&to=Ada%20%3Cada%40example.com%3E",
            "/x?username=***&to=Ada%20%3C***%3E",
        ),
    ] {
        assert_becomes(
            "email:mask,username:mask,user_id:mask,ip:mask",
            &format!(r#"{{"request":{{"path":"{path}"}}}}"#),
            &format!(r#"{{"request":{{"path":"{expected}"}}}}"#),
        );
    }
}

#[test]
fn one_person_has_one_pseudonym_wherever_a_form_or_a_path_names_them() {
    for text in [
        r#""ip":"203.0.113.7","error":"[ip=203.0.113.7] email=ada@example.com, closed""#,
        r#""ip":"203.0.113.7","path":"/api/v2/users?q=email:ada@example.com""#,
        r#""ip":"203.0.113.7","error":"<https://x.example/?email=Ada@Example.com>""#,
    ] {
        let line = applied("email:pseudonym,ip:pseudonym", &format!("{{{text}}}"));
        let (codes, addresses) = (line.matches("p1_").count(), line.matches(ADA_S_IP).count());
        assert_eq!(line.matches(ADA).count() + addresses, codes, "{line}");
        assert!(line.contains(ADA) && !line.contains("203.0"), "{line}");
    }
}

#[test]
fn nobody_who_takes_a_part_of_a_path_hides_what_was_called() {
    for (rest, called) in [
        (
            r#""body":{"username":"clients/"}"#,
            "/api/v2/clients/abcdefgh",
        ),
        (r#""body":{"username":"/api/v2/"}"#, "/api/v2/clients"),
        (r#""body":{"username":"register"}"#, "/oidc/register"),
    ] {
        assert_becomes(
            "username:mask",
            &format!(r#"{{"request":{{"path":"{called}",{rest}}}}}"#),
            &format!(r#"{{"request":{{"path":"{called}","body":{{"username":"***"}}}}}}"#),
        );
    }
    assert_becomes(
        "user_id:mask",
        r#"{"request":{"path":"/api/v2/users/auth0%7C5f1abc/authenticators?x=a%7Cusers%2F"}}"#,
        r#"{"request":{"path":"/api/v2/users/***/authenticators?x=***"}}"#,
    );
}

#[test]
fn names_with_a_namespace_say_at_the_end_what_they_are() {
    assert_becomes(
        "email:mask,username:mask,ip:mask",
        r#"{"details":{"http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress":"ada@example.com","http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn":"ada@corp","urn:ietf:params:scim:schemas:core:2.0:User:userName":"adalove","https://acme-corporation.example/device/client_ip":"203.0.113.7","their_preferred_secondary_contact_email":"bo@example.com","https://acme.example/scope":"openid"}}"#,
        r#"{"details":{"http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress":"***","http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn":"***","urn:ietf:params:scim:schemas:core:2.0:User:userName":"***","https://acme-corporation.example/device/client_ip":"***","their_preferred_secondary_contact_email":"***","https://acme.example/scope":"openid"}}"#,
    );
    // Who has a namespace is no word of Auth0's.
    assert_becomes(
        "username:mask",
        r#"{"user_name":"adalove","https://acme.example/type":"adalove"}"#,
        r#"{"user_name":"***","https://acme.example/type":"***"}"#,
    );
}

#[test]
fn a_user_is_known_by_names_in_any_spelling() {
    assert_becomes(
        "first_name:mask,last_name:mask",
        r#"{"details":{"body":{"givenName":"Ada","surname":"Lovelace","displayName":"Ada King"},"a":{"Email":"a@b.c","name":"Bo King"},"b":{"grantTypes":[],"Email":"a@b.c","name":"Shop"}}}"#,
        r#"{"details":{"body":{"givenName":"***","surname":"***","displayName":"***"},"a":{"Email":"a@b.c","name":"***"},"b":{"grantTypes":[],"Email":"a@b.c","name":"Shop"}}}"#,
    );
}

#[test]
fn a_country_stays_whatever_has_its_name() {
    assert_becomes(
        "location:truncate,username:mask",
        r#"{"user_name":"Luxembourg","location_info":{"country_code":"LU","country_name":"Luxembourg","city_name":"Luxembourg"}}"#,
        r#"{"user_name":"***","location_info":{"country_code":"LU","country_name":"Luxembourg"}}"#,
    );
    assert_becomes(
        "username:mask",
        r#"{"user_name":"Luxembourg","location_info":{"country_name":"Luxembourg"}}"#,
        r#"{"user_name":"***","location_info":{"country_name":"Luxembourg"}}"#,
    );
    assert_becomes(
        "location:mask",
        r#"{"location_info":{"country_name":"Luxembourg"}}"#,
        r#"{"location_info":{"country_name":"***"}}"#,
    );
}

#[test]
fn letters_that_have_one_upper_case_are_one() {
    assert_becomes(
        "username:mask",
        r#"{"user_name":"Γιώργος","error":"unknown user ΓΙΏΡΓΟΣ, or γιώργοσ"}"#,
        r#"{"user_name":"***","error":"unknown user ***, or ***"}"#,
    );
}

#[test]
fn addresses_of_all_kinds_are_known() {
    assert_becomes(
        "ip:truncate",
        r#"{"ip":"203.0.113.7:443","device_ip":"[2001:db8:1:2::9]:443","lastIP":"2001:DB8:1::1","clientIp":"[2001:db8:1::]","membership":"203.0.113.7","zip":"10115","error":"from 203.0.113.7"}"#,
        r#"{"ip":"203.0.113.0","device_ip":"2001:db8:1::","lastIP":"2001:db8:1::","clientIp":"2001:db8:1::","membership":"203.0.113.0","zip":"10115","error":"from 203.0.113.0"}"#,
    );
    assert_becomes(
        "ip:pseudonym",
        r#"{"ip":"203.0.113.7:51234","client_ip":"203.0.113.7"}"#,
        &format!(r#"{{"ip":"{ADA_S_IP}","client_ip":"{ADA_S_IP}"}}"#),
    );
    assert_becomes(
        "email:mask",
        r#"{"to":"Ada <ada@example.com>, bo@example.com","newEmail":"\"Ada\" <ada@example.com>","error":"no bo@example.com"}"#,
        r#"{"to":"Ada <***>, ***","newEmail":"\"Ada\" <***>","error":"no ***"}"#,
    );
}

#[test]
fn names_of_fields_are_known_as_auth0_writes_them() {
    assert_becomes(
        "username:mask,user_id:mask",
        r#"{"details":{"body":{"newUername":"countess","oldUsername":"ada"},"prompts":[{"name":"login","identity":"5f1abc"}],"idp_user_id":"117"}}"#,
        r#"{"details":{"body":{"newUername":"***","oldUsername":"***"},"prompts":[{"name":"login","identity":"***"}],"idp_user_id":"***"}}"#,
    );
    assert_becomes(
        "location:truncate",
        r#"{"location_info":{"country_code":"GB","country_code3":"GBR","country_name":"United Kingdom","continent_code":"EU","city_name":"London","time_zone":"Europe/London"}}"#,
        r#"{"location_info":{"country_code":"GB","country_code3":"GBR","country_name":"United Kingdom"}}"#,
    );
}

#[test]
fn what_only_begins_like_a_pseudonym_is_none() {
    let letters = "aaaaaaaaaaaaaaaaaaaaaaaaaa";
    for value in [
        format!("p1_{letters}@Ada Lovelace"),
        format!("p1_{letters} Lovelace"),
        format!("auth0|Lovelace|p1_{letters}"),
        format!("Ada Lovelace|p1_{letters}"),
    ] {
        for pii in ["user_id:pseudonym", "username:pseudonym"] {
            let record = format!(r#"{{"user_id":"{value}","user_name":"{value}"}}"#);
            let field = pii.split(':').next().unwrap();
            let field = if field == "user_id" {
                field
            } else {
                "user_name"
            };
            let result: serde_json::Value = serde_json::from_str(&applied(pii, &record)).unwrap();
            let result = result[field].as_str().unwrap();
            assert!(!result.contains("Lovelace"), "{pii} {value}: {result}");
        }
    }
}

#[test]
fn json_in_a_text_is_read_also_where_it_was_cut() {
    for (text, expected) in [
        (
            r#"{\"email\": \"ada@example.com\", \"latitude\": 51.5, \"n\": 1}"#,
            r#"{\"email\":\"***\",\"n\":1}"#,
        ),
        (
            r#"failed: {\"given_name\":\"Al\",\"b\":\"{\\\"email\\\":\\\"ada@example.com\\\"}\"} at Al"#,
            r#"failed: {\"given_name\":\"***\",\"b\":\"{\\\"email\\\":\\\"***\\\"}\"} at Al"#,
        ),
        (
            r#"\"{\\\"email\\\":\\\"ada@example.com\\\"}\""#,
            r#"\"{\\\"email\\\":\\\"***\\\"}\""#,
        ),
        (
            r#"cut {\"email\":\"ada@example.com\",\"b\":[\"ada@exam"#,
            r#"cut {\"email\":\"***\",\"b\":[\"ada@exam"#,
        ),
        // Mistakes are passed over, as far as it goes on.
        (
            r#"[{\"a\":1} {\"email\":\"ada@example.com\"}]"#,
            r#"[{\"a\":1} {\"email\":\"***\"}]"#,
        ),
        (
            r#"{\"a\":[1,2,] \"p\":\"C:\\Users\",\"b\":tru,\"email\":\"ada@example.com\"}"#,
            r#"{\"a\":[1,2,] \"p\":\"C:\\Users\",\"b\":tru,\"email\":\"***\"}"#,
        ),
        // What follows a mistake is read again from where JSON begins.
        (
            r#"[{\"a\":1}, ... 3 more] {\"email\":\"ada@example.com\"}"#,
            r#"[{\"a\":1}, ... 3 more] {\"email\":\"***\"}"#,
        ),
        (
            r#"[\"é\"\n failed for\n {\"email\":\"ada@example.com\"} {\"a\":1,} {\"given_name\":\"Al\"}"#,
            r#"[\"é\"\n failed for\n {\"email\":\"***\"} {\"a\":1,} {\"given_name\":\"***\"}"#,
        ),
        (r#"{\"a\" : 1}"#, r#"{\"a\" : 1}"#),
        ("if (a[0]) { return [{ }]; }", "if (a[0]) { return [{ }]; }"),
    ] {
        assert_becomes(
            "email:mask,first_name:mask,location:mask",
            &format!(r#"{{"body":"{text}","ip":"x"}}"#),
            &format!(r#"{{"body":"{expected}","ip":"x"}}"#),
        );
    }
    // Objects in what was cut are not taken for those after it.
    assert_becomes(
        "first_name:mask",
        r#"{"text":"[{\"email\":\"x@y.z\"},{\"a\"","body":{"name":"Shop"},"user":{"name":"Ada"}}"#,
        r#"{"text":"[{\"email\":\"x@y.z\"},{\"a\"","body":{"name":"Shop"},"user":{"name":"***"}}"#,
    );
}

#[test]
fn a_policy_that_is_applied_twice_changes_nothing_more() {
    let record = r#"{"email":"ada@example.com","user_id":"samlp|acme|ada","ip":"203.0.113.7","phone":"15550100200","user":{"name":"Ada Lovelace"},"description":"ada@example.com"}"#;
    for pii in [ALL, "ip:truncate,email:mask,phone:drop", "email:drop"] {
        let once = applied(pii, record);
        assert_ne!(once, record);
        assert_eq!(applied(pii, &once), once);
    }
}

#[test]
fn secrets_are_masked_first() {
    let privacy = Privacy::new(Redaction::On, policy("username:mask"));
    let record =
        r#"{"user_name":"Bearer","error":"Bearer eyJhbGciOiJIUzI1NiJ9.e30.abcdefghijklmnop"}"#;
    assert_eq!(
        privacy.line(record),
        r#"{"user_name":"***","error":"*** ***"}"#
    );
}

#[test]
fn settings_of_a_destination_take_the_place_of_those_of_all() {
    let key = ("PII_KEY", KEY);
    let is_kept = |settings: &[(&str, &str)]| read(settings).unwrap().is_empty();
    assert!(is_kept(&[]));
    assert!(is_kept(&[("PII", "none")]));
    assert!(is_kept(&[("PII", ALL), ("PII_ARCHIVE", "none"), key]));
    let own = read(&[("PII", ALL), ("PII_ARCHIVE", "ip:mask")]).unwrap();
    assert_eq!(
        Privacy::new(Redaction::Off, own).line(r#"{"ip":"203.0.113.7","email":"a@b.c"}"#),
        r#"{"ip":"***","email":"a@b.c"}"#
    );
    assert!(!is_kept(&[("PII", " ip:mask , email : drop ,")]));
}

#[test]
fn a_bad_setting_says_what_is_expected_and_quotes_nothing() {
    let problem = |settings: &[(&str, &str)]| read(settings).unwrap_err().to_string();
    for (pii, expected) in [
        (
            "email",
            "PII has a part that is not kind:method; it takes a list such as",
        ),
        (
            "mail:mask",
            "PII names an unknown kind of personal data; it takes",
        ),
        ("email:hash", "PII names an unknown method; it takes"),
        (
            "email:truncate",
            "PII has email:truncate, and only ip and location can be truncated",
        ),
        (
            "ip:mask,ip:drop",
            "PII names ip twice; each kind has one method",
        ),
        (",", "PII names no kind of personal data; it takes"),
        ("none,ip:mask", "PII has a part that is not kind:method"),
        (
            "email:pseudonym",
            "PII_KEY is missing: 32 bytes or more in base64",
        ),
    ] {
        assert!(problem(&[("PII", pii)]).contains(expected), "{pii}");
    }
    assert!(problem(&[("PII_ARCHIVE", "x:mask")]).contains("PII_ARCHIVE names an unknown kind"));
    // Of 31 bytes, and no base64.
    for key in [
        "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZQ==",
        "hunter2 hunter2",
    ] {
        for pii in ["ip:mask", "ip:pseudonym"] {
            let problem = problem(&[("PII", pii), ("PII_KEY", key)]);
            assert!(
                problem.contains("PII_KEY is not a key of 32 bytes or more"),
                "{problem}"
            );
            assert!(!problem.contains(key), "{problem}");
        }
    }
    // Also where nothing is a pseudonym yet.
    for pii in [&[][..], &[("PII", "none")]] {
        let problem = problem(&[pii, &[("PII_KEY", "short")]].concat());
        assert!(problem.contains("PII_KEY is not a key"), "{problem}");
    }
    let with = |setting, value| problem(&[("PII", ALL), ("PII_KEY", KEY), (setting, value)]);
    assert!(with("PII_KEY_ID", "a_b").contains("PII_KEY_ID is not an id of up to 16"));
    let (bad_id, same_id) = (format!("a_b:{KEY}"), format!("1:{OTHER_KEY}"));
    for previous in [KEY, "0:short", &bad_id] {
        let problem = with("PII_KEY_PREVIOUS", previous);
        assert!(
            problem.contains("PII_KEY_PREVIOUS is not id:key"),
            "{problem}"
        );
        assert!(!problem.contains(previous), "{problem}");
    }
    let same = with("PII_KEY_PREVIOUS", &same_id);
    assert!(
        same.contains("PII_KEY_PREVIOUS has the id of the present key"),
        "{same}"
    );
}

#[test]
fn a_key_is_in_no_text_that_is_made_of_it() {
    let policy = policy(ALL);
    let text = format!("{policy:?}");
    assert!(
        !text.contains(KEY) && !text.contains("0123456789abcdef"),
        "{text}"
    );
}

#[test]
fn a_value_may_belong_to_the_groups_that_it_looks_like() {
    let groups = |value| {
        let groups = Group::candidates(value).into_iter().map(Group::name);
        groups.collect::<Vec<_>>().join(" ")
    };
    for (value, expected) in [
        ("ada@example.com", "email"),
        ("auth0|5f1abc", "email user_id"),
        ("abc@clients", "email user_id"),
        ("203.0.113.7", "email ip"),
        ("+1 555 010 0200", "email phone"),
        ("15550100200", "email user_id phone"),
        (
            "Ada Lovelace",
            "email first_name last_name address location user_agent",
        ),
        ("samlp|acme|ada@example.com", "email user_id"),
        ("auth0|ada lovelace", "email user_id"),
        (
            "90210",
            "email user_id phone first_name last_name address location user_agent",
        ),
        (
            "+1 555 010 0200 ext. 5",
            "email phone first_name last_name address location user_agent",
        ),
    ] {
        assert_eq!(groups(value), expected, "{value}");
    }
}

#[test]
fn a_long_value_is_found_in_time_as_far_as_a_text_goes_on_like_it() {
    let dots = ".".repeat(300_000);
    let long = "Ada ".repeat(500);
    for (value, text, expected) in [
        (
            format!("{dots}x"),
            format!("a{dots}{dots}x, {dots}X"),
            "a******, ***".to_owned(),
        ),
        (
            format!("Ada{dots}"),
            format!("%41da{dots} and Ada{dots}"),
            "*** and ***".to_owned(),
        ),
        // At the boundaries of words it begins.
        (
            "a".repeat(300_000),
            "xa".repeat(300_000),
            "xa".repeat(300_000),
        ),
        // A text that was cut is found, and less of it is not.
        (
            format!("{long}Lovelace"),
            format!("no {long}Love..., no {}", &long[..900]),
            format!("no ***..., no {}", &long[..900]),
        ),
    ] {
        assert_becomes(
            "username:mask",
            &format!(r#"{{"user_name":"{value}","error":"{text}"}}"#),
            &format!(r#"{{"user_name":"***","error":"{expected}"}}"#),
        );
    }
    // Whether or not a letter stands where the beginning ends.
    let begin = "a".repeat(998);
    assert_becomes(
        "username:mask",
        &format!(
            r#"{{"user_name":["{begin}éTAIL","{begin}😀x"],"error":"{begin}éTAIL, {begin}😀x"}}"#
        ),
        r#"{"user_name":["***","***"],"error":"***, ***"}"#,
    );
    // However many begin alike.
    for (begin, text) in [
        ("é".repeat(500), format!("x{}", "é".repeat(100_000))),
        ("b".repeat(2_000), "b".repeat(100_000)),
    ] {
        let names: Vec<_> = (0..200).map(|n| format!(r#""{begin}{n}""#)).collect();
        let names = names.join(",");
        let record = format!(r#"{{"user_name":[{names}],"error":"{text}","x-{text}$1":1}}"#);
        assert!(!applied("username:mask", &record).contains("b0"));
    }
    // Of several that begin alike the one that goes on for the longest.
    let (one, other) = (format!("{long}Lovelace"), format!("{long}King"));
    let record = format!(
        r#"{{"user_name":["{other}","{one}"],"error":"{one} and {other}","more":"{long}Bo"}}"#
    );
    let line = applied("username:pseudonym", &record);
    let codes: Vec<&str> = line.split("p1_").skip(1).map(|it| &it[..26]).collect();
    assert_eq!(codes[2..4], [codes[1], codes[0]]);
    assert!(line.ends_with(r#""}"#) && !line.contains("Ada"), "{line}");
    // The id of an identity is that of the user.
    let id = "5f1".repeat(1_000);
    let line = applied(
        "user_id:pseudonym",
        &format!(r#"{{"user_id":"auth0|{id}","identities":[{{"user_id":"{id}"}}]}}"#),
    );
    let codes: Vec<&str> = line.split("p1_").skip(1).map(|it| &it[..26]).collect();
    assert_eq!(codes.len(), 2, "{line}");
    assert_eq!(codes[0], codes[1]);
}

#[test]
fn many_values_that_begin_alike_are_found_in_time() {
    let mut record = String::from(r#"{"emails":["#);
    let values: Vec<String> = (0..20_000)
        .map(|it| format!("user{it:05}@example.com"))
        .collect();
    record.push_str(
        &values
            .iter()
            .map(|it| format!("\"{it}\""))
            .collect::<Vec<_>>()
            .join(","),
    );
    record.push_str(r#"],"text":""#);
    record.push_str(&values.join(" "));
    record.push_str(r#""}"#);
    let result = applied("email:mask", &record);
    assert!(!result.contains("example"));
    assert_eq!(result.matches("***").count(), 40_000);
    // Each a beginning of the next.
    let nested = "aaaa ".repeat(600);
    let values = (1..600)
        .map(|it| format!("\"{}\"", &nested[..it * 5]))
        .collect::<Vec<_>>();
    let record = format!(
        r#"{{"usernames":0,"user_name":[{}],"text":"{nested}{nested}"}}"#,
        values.join(",")
    );
    assert!(!applied("username:mask", &record).contains("aaaa"));
}
