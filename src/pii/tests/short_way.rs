//! The short way against the long one.

use std::borrow::Cow;
use std::net::Ipv4Addr;

use proptest::strategy::Strategy as _;

use super::*;
use crate::table::Api;
use crate::table::row::row_of;

/// Members of a record besides the columns about the user.
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
        r#""headers":[{"name":"client_ip","value":"203.0.113.9"}]"#,
        r#""op":{"value":"bobby","path":"userName"}"#,
        r#""changes":{"email":{"old":"bo@example.com","is":"ada@example.com"},"n":{"new":1}}"#,
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
        let prefilter = found.prefilter();
        let (_, value) = chosen.get(&values);
        let value = match form {
            0 => value.to_uppercase(),
            1 => value.to_lowercase(),
            // An id without its connection, and an address in another notation.
            2 => value.replace("auth0|", ""),
            _ => match value.parse().map(|it: Ipv4Addr| it.octets()) {
                Ok([a, b, c, d]) => format!("::FFFF:{a:x}{b:02x}:{c:x}{d:02x}"),
                Err(_) => value.clone(),
            },
        };
        for text in [format!("{before} {value} {after}"), format!("{before} {value}"), value] {
            let is_replaced = matches!(found.index().replaced(&text), Cow::Owned(_));
            proptest::prop_assert!(!is_replaced || prefilter.may_be_in(&text), "{text}");
        }
    }
}

/// The name of a field, and a value that identifies a person.
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
fn what_may_be_a_secret_in_part_is_masked_before_it_is_replaced() {
    let record = r#"{"details":{"phone":"Bearer abcdefghijklmnopqrstuvwxyz"}}"#;
    let policy = policy("phone:pseudonym");
    assert!(policy.plain(Redaction::On, record, &mut None).is_none());
    assert!(policy.plain(Redaction::Off, record, &mut None).is_some());
    // The secret makes no difference to the result.
    let other = r#"{"details":{"phone":"Bearer zyxwvutsrqponmlkjihgfedcba"}}"#;
    let privacy = Privacy::new(Redaction::On, policy);
    assert_eq!(privacy.line(record), privacy.line(other));
}
