//! Values that occur in other fields, and what stays even so.

use super::*;

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
    assert_becomes(
        "last_name:mask",
        r#"{"error":"no Ada+Lovelace","user":{"name":"Ada Lovelace"}}"#,
        r#"{"error":"no ***","user":{"name":"***"}}"#,
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
fn an_address_that_is_written_as_a_longer_one_is_found_wherever_it_stands() {
    for digit in 1..16 {
        let ip = format!("{}.0.113.7", digit * 16 + 11);
        for before in 0..8 {
            let before = "-".repeat(before);
            assert_becomes(
                "ip:mask",
                &format!(r#"{{"ip":"{ip}","error":"{before}::FFFF:{digit:X}B00:7107"}}"#),
                &format!(r#"{{"ip":"***","error":"{before}***"}}"#),
            );
        }
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
fn a_host_in_a_list_of_addresses_is_found_too() {
    assert_becomes(
        "ip:mask",
        r#"{"details":{"headers":{"x-forwarded-for":"laptop-7, 203.0.113.7"},"error":"laptop-7 is away"}}"#,
        r#"{"details":{"headers":{"x-forwarded-for":"***"},"error":"*** is away"}}"#,
    );
}

#[test]
fn each_address_of_a_forwarded_header_is_found() {
    assert_becomes(
        "ip:mask",
        r#"{"details":{"headers":{"forwarded":"for = \"203.0.113.7\";proto=https, for=\"[2001:db8::1]:80\""},"error":"https from 203.0.113.7 and 2001:db8::1"}}"#,
        r#"{"details":{"headers":{"forwarded":"***"},"error":"https from *** and ***"}}"#,
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
    // Auth0's own fields, the endpoint, and the names of fields stay.
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
    // A value that cannot be a field's name is replaced in one too.
    assert_becomes(
        "email:mask",
        r#"{"email":"ada@example.com","by":{"ada@example.com":1}}"#,
        r#"{"email":"***","by":{"***":1}}"#,
    );
}

#[test]
fn nobody_who_takes_a_word_of_auth0_s_hides_it() {
    // Whatever the user's name is, methods, scopes, audiences and the endpoint stay.
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
    // A value that cannot be a word of Auth0's is replaced there too.
    assert_becomes(
        "email:mask,user_id:mask",
        r#"{"email":"ada@example.com","user_id":"auth0|5f1abcdef","state":"for ada@example.com","scope":"read:5f1abcdef1 u:5f1abcdef"}"#,
        r#"{"email":"***","user_id":"***","state":"for ***","scope":"read:5f1abcdef1 u:5f1abcdef"}"#,
    );
    assert_becomes(
        "first_name:mask",
        r#"{"given_name":"beef","scope":"cafe::beef"}"#,
        r#"{"given_name":"***","scope":"cafe::beef"}"#,
    );
    // Each text on its own: if one part is not such a word, no part of that text counts as one.
    let ways = ["{}", "(of {}.)", "at:{}", "read:{}", "create:{}"];
    let urls = ["https://{}/a.b", "https://{}:443/a.b"];
    for (ip, host, ways) in [
        ("203.0.113.7", "203.0.113.7", [&ways[..], &urls].concat()),
        ("::ffff:1.2.3.4", "1.2.3.4", [&ways[..], &urls].concat()),
        ("fd00::7", "fd00::7", ways.to_vec()),
        ("fd00::7", "[fd00::7]", urls.to_vec()),
    ] {
        let masked = if host.starts_with('[') {
            "[***]"
        } else {
            "***"
        };
        for way in ways {
            let record = |ip: &str, host: &str| {
                let text = way.replace("{}", host);
                format!(r#"{{"ip":"{ip}","scope":"{text}","audience":["{text}","urn:203"]}}"#)
            };
            assert_becomes("ip:mask", &record(ip, host), &record("***", masked));
        }
    }
    assert_becomes(
        "user_id:mask",
        r#"{"user_id":"auth0|5f1234abc","by":{"5f1234abc":1,"auth0|5f1234abc":2}}"#,
        r#"{"user_id":"***","by":{"***":1,"***":2}}"#,
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
        // A value begins only at a word boundary.
        (
            "a".repeat(300_000),
            "xa".repeat(300_000),
            "xa".repeat(300_000),
        ),
        // A value that was cut beyond its first 1,000 bytes is found, and a shorter part of it is not.
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
    // Whether or not a character boundary is where the beginning ends.
    let begin = "a".repeat(998);
    assert_becomes(
        "username:mask",
        &format!(
            r#"{{"user_name":["{begin}éTAIL","{begin}😀x"],"error":"{begin}éTAIL, {begin}😀x"}}"#
        ),
        r#"{"user_name":["***","***"],"error":"***, ***"}"#,
    );
    let cut = format!("a{}", "é".repeat(499));
    assert_becomes(
        "username:mask",
        &format!(r#"{{"user_name":"{cut}éé","error":"{cut}"}}"#),
        r#"{"user_name":"***","error":"***"}"#,
    );
    // However many values begin alike.
    for (begin, text) in [
        ("é".repeat(500), format!("x{}", "é".repeat(100_000))),
        ("b".repeat(2_000), "b".repeat(100_000)),
    ] {
        let names: Vec<_> = (0..200).map(|n| format!(r#""{begin}{n}""#)).collect();
        let names = names.join(",");
        let record = format!(r#"{{"user_name":[{names}],"error":"{text}","x-{text}$1":1}}"#);
        assert!(!applied("username:mask", &record).contains("b0"));
    }
    // Few enough values to be compared with each text, which goes on differently.
    let begin = "b".repeat(990);
    let names: Vec<_> = (0..30).map(|n| format!(r#""{begin}x{n}""#)).collect();
    let (names, masks) = (names.join(","), [r#""***""#; 30].join(","));
    let record = |names: &str| {
        let text = "b".repeat(2_000_000);
        format!(r#"{{"user_name":[{names}],"error":"{text}"}}"#)
    };
    assert_becomes("username:mask", &record(&names), &record(&masks));
    // Of several values that begin alike, the one that agrees the longest counts.
    let (one, other) = (format!("{long}Lovelace"), format!("{long}King"));
    let record = format!(
        r#"{{"user_name":["{other}","{one}"],"error":"{one} and {other}","more":"{long}Bo"}}"#
    );
    let line = applied("username:pseudonym", &record);
    let codes: Vec<&str> = line.split("p1_").skip(1).map(|it| &it[..26]).collect();
    assert_eq!(codes[2..4], [codes[1], codes[0]]);
    assert!(line.ends_with(r#""}"#) && !line.contains("Ada"), "{line}");
    // A user id cut where its beginning ends. There the id without the connection is shorter.
    let id = "5f1".repeat(1_000);
    let cut = &id[..1_000 - "auth0|".len()];
    assert_becomes(
        "user_id:mask",
        &format!(r#"{{"user_id":"auth0|{id}","error":"auth0|{cut}"}}"#),
        r#"{"user_id":"***","error":"***"}"#,
    );
    // The id of an identity is the user's id without the connection.
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
    // Each value is a prefix of the next.
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

#[test]
fn what_is_written_in_any_escape_of_html_or_code_is_found() {
    for (name, text) in [
        ("𠮷田太郎", r"no \\ud842\\udfb7\\u7530\\u592a\\u90ce"),
        ("𠮷田太郎", r"no &#134071;&#x7530;&#x592A;&#000000037070;"),
        ("𠮷田太郎", "no %F0%A0%AE%B7%E7%94%B0%E5%A4%AA%E9%83%8E"),
        (
            "ada_l+x@example.com",
            "no ada&lowbar;l&plus;x&commat;example&period;com",
        ),
        (
            "ada_l+x@example.com",
            "no ada&#0000000000095;l+x@example.com",
        ),
        ("ada_l+x@example.com", r"no \\fada_l+x@example.com"),
        ("ada_l+x@example.com", r"no \\bada_l+x@example.com"),
    ] {
        let line = applied(
            "username:mask",
            &format!(r#"{{"user_name":"{name}","error":"{text}"}}"#),
        );
        assert_eq!(line.matches("***").count(), 2, "{line}");
    }
    // Half of one surrogate pair makes no letter with half of another.
    assert_becomes(
        "username:mask",
        r#"{"user_name":"𠮷田太郎","error":"\\ud842\\u7530 adalove"}"#,
        r#"{"user_name":"***","error":"\\ud842\\u7530 adalove"}"#,
    );
}

#[test]
fn a_name_of_a_field_is_known_by_its_looks_also_where_it_is_escaped() {
    for name in [
        r"\u002b15550100200",
        r"ada\u0040example\u002ecom",
        r"auth0\u007c5f1abc",
        "ada&#64;example&#46;com",
    ] {
        assert_becomes(
            "email:mask,phone:mask,user_id:mask",
            &format!(r#"{{"details":{{"{name}":1}}}}"#),
            r#"{"details":{"***":1}}"#,
        );
    }
}

/// Does not end in time if each name is looked for up to the end of the query.
#[test]
fn names_with_phrases_in_a_row_are_looked_at_once() {
    let terms = "a:'x'".repeat(60_000);
    for record in [
        format!(r#"{{"details":{{"path":"/x?q={terms}"}}}}"#),
        format!(r#"{{"details":{{"q":"{terms}","search":"{terms}+"}}}}"#),
        format!(r#"{{"error":"at /x?q={terms}+y"}}"#),
        format!(r#"{{"path":"/x?q={}"}}"#, "a:%27x%27".repeat(40_000)),
    ] {
        assert_stays("email:mask,username:mask", &record);
    }
    assert_becomes(
        "email:mask",
        r#"{"q":"a:'x'email:'ada@example.com'+-b.c:'y'!email:ada@example.com"}"#,
        r#"{"q":"a:'x'email:'***'+-b.c:'y'!email:***"}"#,
    );
}
