//! JSON, forms and paths inside strings.

use super::*;
use crate::json;

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
        // Punctuation around a value, and what follows it, is not part of the value.
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
    // JSON that was cut contains JSON that was cut too.
    assert_becomes(
        "first_name:mask",
        r#"{"a":"[\"{\\\"b\\\":{\",","body":"[{\"email\":\"x@y.z\",\"name\":\"Ada\"}]"}"#,
        r#"{"a":"[\"{\\\"b\\\":{\",","body":"[{\"email\":\"x@y.z\",\"name\":\"***\"}]"}"#,
    );
}

#[test]
fn a_text_of_brackets_and_mistakes_is_read_in_time() {
    for text in ["[[", r#"[\"a\"!"#, r#"{\"a\":[!"#, r#"{\"a\"\n"#] {
        let text = text.repeat(200_000 / text.len());
        assert_stays("email:mask", &format!(r#"{{"body":"{text}"}}"#));
    }
    // In a path, the name of the parameter that counts for one endpoint only.
    let path = format!("/api/v2/{}", "identifier/x/".repeat(40_000));
    assert_stays("email:mask", &format!(r#"{{"path":"{path}"}}"#));
    // In a form, bars without a pair after them, and closing brackets whose opening one comes late.
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
            "/api/v2/users/auth0%7C5f1abc/identities/ad/adalove",
            "/api/v2/users/***/identities/ad/***",
        ),
        (
            "/api/v2/users/auth0%7C5f1abc/identities/adfs/CORP%5CAda%2FL?x=1",
            "/api/v2/users/***/identities/adfs/***?x=1",
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
        // Syntax errors are skipped as long as the scan can go on.
        (
            r#"[{\"a\":1} {\"email\":\"ada@example.com\"}]"#,
            r#"[{\"a\":1} {\"email\":\"***\"}]"#,
        ),
        (
            r#"{\"a\":[1,2,] \"p\":\"C:\\Users\",\"b\":tru,\"email\":\"ada@example.com\"}"#,
            r#"{\"a\":[1,2,] \"p\":\"C:\\Users\",\"b\":tru,\"email\":\"***\"}"#,
        ),
        // After a syntax error, reading starts again at the next JSON.
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
    // Objects in JSON that was cut are not mistaken for those after it.
    assert_becomes(
        "first_name:mask",
        r#"{"text":"[{\"email\":\"x@y.z\"},{\"a\"","body":{"name":"Shop"},"user":{"name":"Ada"}}"#,
        r#"{"text":"[{\"email\":\"x@y.z\"},{\"a\"","body":{"name":"Shop"},"user":{"name":"***"}}"#,
    );
}

#[test]
fn json_in_what_is_auth0_s_own_names_nobody() {
    assert_stays(
        "email:mask",
        r#"{"connection":"{\"email\":\"shop@example.com\"}","description":"of shop@example.com"}"#,
    );
}

#[test]
fn whom_a_search_names_is_found_wherever_the_search_stands() {
    let persons = "email:mask,username:mask,first_name:mask,last_name:mask,user_id:mask,ip:mask";
    for (search, expected) in [
        ("email:ada@example.com", "email:***"),
        (
            "username:adalove AND blocked:true",
            "username:*** AND blocked:true",
        ),
        ("-username:(adalove OR bolove)", "-username:(*** OR ***)"),
        (
            "given_name:'Mary Ann' family_name:O'Brien",
            "given_name:'***' family_name:***",
        ),
        ("family_name:(Lovelace)", "family_name:(***)"),
        ("name:adalove", "name:***"),
        (
            "user_id:(auth0|5f1abc OR auth0|5f1abd)",
            "user_id:(*** OR ***)",
        ),
        ("identities.user_id:5f1abc", "identities.user_id:***"),
        ("last_ip:2001:db8::1 ip:fe80::1", "last_ip:*** ip:***"),
        (
            "userName eq 'adalove' and active eq true",
            "userName eq '***' and active eq true",
        ),
        (
            "name.familyName eq 'van der Berg'",
            "name.familyName eq '***'",
        ),
        // Only punctuation makes the word after a name its value.
        (
            "emails[type eq 'work'].value",
            "emails[type eq 'work'].value",
        ),
        ("email domain", "email domain"),
        (
            "connection:acme AND email_verified:true",
            "connection:acme AND email_verified:true",
        ),
    ] {
        let encoded = |text: &str| text.replace(' ', "+").replace('|', "%7C");
        let (in_path, left) = (encoded(search), encoded(expected));
        for (record, expected) in [
            (
                format!(r#""query":{{"q":"{search}"}}"#),
                format!(r#""query":{{"q":"{expected}"}}"#),
            ),
            (
                format!(r#""query":{{"search":["{search}"]}}"#),
                format!(r#""query":{{"search":["{expected}"]}}"#),
            ),
            (
                format!(r#""query":"q={in_path}&page=1""#),
                format!(r#""query":"q={left}&page=1""#),
            ),
        ] {
            let of_users = |query: &str| {
                format!(
                    r#"{{"request":{{"path":"/api/v2/users",{query}}},"description":"a type of domain"}}"#
                )
            };
            assert_becomes(persons, &of_users(&record), &of_users(&expected));
        }
        assert_becomes(
            persons,
            &format!(r#"{{"request":{{"path":"/api/v2/users?q={in_path}"}}}}"#),
            &format!(r#"{{"request":{{"path":"/api/v2/users?q={left}"}}}}"#),
        );
    }
    // There the name is an application's.
    assert_stays(
        persons,
        r#"{"request":{"path":"/api/v2/clients","query":{"q":"name:\"Shop\""}}}"#,
    );
}

#[test]
fn a_form_under_the_name_of_a_search_is_read_as_one() {
    let persons = "email:mask,username:mask,ip:mask";
    for name in ["q", "search", "filter", "other"] {
        for (form, expected) in [
            ("username=adalove&page=1", "username=***&page=1"),
            ("?ip=203.0.113.9", "?ip=***"),
            ("?email=ada@example.com", "?email=***"),
            ("a=b;username=adalove", "a=b;username=***"),
        ] {
            assert_becomes(
                persons,
                &format!(r#"{{"request":{{"query":{{"{name}":"{form}"}}}}}}"#),
                &format!(r#"{{"request":{{"query":{{"{name}":"{expected}"}}}}}}"#),
            );
        }
    }
}

#[test]
fn names_of_objects_may_stand_before_that_of_a_field() {
    assert_becomes(
        "email:mask,username:mask,first_name:mask,last_name:mask",
        r#"{"value":{"name.familyName":"Lovelace","emails[type eq \"work\"].value":"ada@example.com","profile.user_name":"adalove","roles[primary eq \"True\"].value":"admin"},"body":"profile.first_name=Augusta"}"#,
        r#"{"value":{"name.familyName":"***","emails[type eq \"work\"].value":"***","profile.user_name":"***","roles[primary eq \"True\"].value":"admin"},"body":"profile.first_name=***"}"#,
    );
}

#[test]
fn what_has_a_name_or_an_id_may_have_json_or_a_form_there() {
    assert_becomes(
        "email:mask,first_name:mask",
        r#"{"a":{"id":"{\"email\":\"ada@x.y\"}","b":{"name":"[{\"value\":\"bo@x.y\",\"key\":\"email\"}]"}},"c":{"name":"given_name=Augusta&x=1"},"client":{"name":"a {\"email\":\"cy@x.y\",\"b\":{"},"d":"[{\"email\":\"x@y.z\",\"name\":\"Ada\"},{\"name\":\"Shop\"}]","e":"Augusta"}"#,
        r#"{"a":{"id":"{\"email\":\"***\"}","b":{"name":"[{\"value\":\"***\",\"key\":\"email\"}]"}},"c":{"name":"given_name=***&x=1"},"client":{"name":"a {\"email\":\"***\",\"b\":{"},"d":"[{\"email\":\"***\",\"name\":\"***\"},{\"name\":\"Shop\"}]","e":"***"}"#,
    );
    // A user's name is replaced as a whole.
    assert_becomes(
        "first_name:mask",
        r#"{"user":{"name":"{\"a\":[]}"},"b":"[{\"email\":\"x@y.z\",\"name\":\"Ada\"},{\"name\":\"Shop\"}]"}"#,
        r#"{"user":{"name":"***"},"b":"[{\"email\":\"x@y.z\",\"name\":\"***\"},{\"name\":\"Shop\"}]"}"#,
    );
}

#[test]
fn what_is_deep_in_texts_within_texts_takes_no_more_than_others() {
    for (depth, is_found) in [(1, true), (6, true), (7, false), (12, false), (200, false)] {
        let text = json::deep_in_texts(depth, "email", "ada");
        let record = format!(r#"{{"details":{{"a":{text},"email":"ada"}}}}"#);
        let line = applied("email:mask", &record);
        assert!(line.len() < 2 * record.len(), "{depth}");
        assert_eq!(
            line.matches("ada").count(),
            usize::from(!is_found),
            "{line}"
        );
        serde_json::from_str::<serde_json::Value>(&line).unwrap();
    }
}

#[test]
fn a_word_that_json_does_not_have_hides_nothing_after_it() {
    for (text, expected) in [
        (
            r#"{\"a\":t{\"email\":\"ada@example.com\"}}"#,
            r#"{\"a\":t{\"email\":\"***\"}}"#,
        ),
        (
            r#"[nul[\"email=ada@example.com\"],fals{\"email\":\"bo@example.com\"}]"#,
            r#"[nul[\"email=***\"],fals{\"email\":\"***\"}]"#,
        ),
        (
            r#"{\"score\": NaN, \"email\":\"ada@example.com\"}"#,
            r#"{\"score\": NaN, \"email\":\"***\"}"#,
        ),
    ] {
        assert_becomes(
            "email:mask",
            &format!(r#"{{"body":"{text}"}}"#),
            &format!(r#"{{"body":"{expected}"}}"#),
        );
    }
}

#[test]
fn what_is_short_or_a_number_is_replaced_in_json_that_was_cut() {
    for (text, expected) in [
        (
            r#"cut {\"given_name\": \"Ada\", \"n\" : [1,{\"username\":\"al\",\"b\":\"Ada"#,
            r#"cut {\"given_name\": \"***\", \"n\" : [1,{\"username\":\"***\",\"b\":\"Ada"#,
        ),
        (
            r#"{\"city_name\":\"Ulm\",\"latitude\":48.4,\"longitude\":\"10.0\",\"country_code\":\"DE\",\"x\":"#,
            r#"{\"city_name\":\"***\",\"latitude\":\"***\",\"longitude\":\"***\",\"country_code\":\"DE\",\"x\":"#,
        ),
        // Inside a string, and named by a member beside the value.
        (
            r#"[{\"body\":\"{\\\"given_name\\\":\\\"Al\\\"}\"},{\"path\":\"username\",\"value\":\"bo\"},"#,
            r#"[{\"body\":\"{\\\"given_name\\\":\\\"***\\\"}\"},{\"path\":\"username\",\"value\":\"***\"},"#,
        ),
        // The name of a user, but not that of an application.
        (
            r#"[{\"name\":\"Li\",\"client\":{\"name\":\"Al\"},\"user\":{\"name\":\"Bo\"}},{\"name\":\"Di\",\"email\":0},{\"name\":\"Li\"},"#,
            r#"[{\"name\":\"Li\",\"client\":{\"name\":\"Al\"},\"user\":{\"name\":\"***\"}},{\"name\":\"***\",\"email\":0},{\"name\":\"Li\"},"#,
        ),
        // The same inside strings, of which one was cut too.
        (
            r#"[{\"a\":\"[{\\\"name\\\":\\\"Al\\\"},\",\"name\":\"Bo\",\"email\":0,\"b\":\"{\\\"name\\\":\\\"Di\\\",\\\"email\\\":0}\"},"#,
            r#"[{\"a\":\"[{\\\"name\\\":\\\"Al\\\"},\",\"name\":\"***\",\"email\":0,\"b\":\"{\\\"name\\\":\\\"***\\\",\\\"email\\\":0}\"},"#,
        ),
    ] {
        assert_becomes(
            "first_name:mask,username:mask,location:truncate",
            &format!(r#"{{"body":"{text}"}}"#),
            &format!(r#"{{"body":"{expected}"}}"#),
        );
    }
    // Nor does it matter that the call alone tells of users.
    assert_becomes(
        "first_name:mask",
        r#"{"details":"{\"request\":{\"path\":\"/api/v2/users\",\"body\":{\"name\":\"Bo\"}},"}"#,
        r#"{"details":"{\"request\":{\"path\":\"/api/v2/users\",\"body\":{\"name\":\"***\"}},"}"#,
    );
    // What was found is also replaced between the values.
    assert_becomes(
        "username:mask",
        r#"{"username":"adalove","body":"[\"x\" adalove, {\"a\":adalove, \"b\" : \"no adalove\""}"#,
        r#"{"username":"***","body":"[\"x\" ***, {\"a\":***, \"b\" : \"no ***\""}"#,
    );
}

#[test]
fn json_in_quotes_is_read_also_where_more_follows_or_it_was_cut() {
    for (text, expected) in [
        (
            r#"\"{\\\"email\\\":\\\"ada@example.com\\\",\\\"b\\\":\\\"c"#,
            r#"\"{\\\"email\\\":\\\"***\\\",\\\"b\\\":\\\"c"#,
        ),
        (
            r#" \"{\\\"email\\\":\\\"ada@example.com\\\"}\" was sent"#,
            r#" \"{\\\"email\\\":\\\"***\\\"}\" was sent"#,
        ),
        (
            r#"\"a\" {\"email\":\"ada@example.com\"}"#,
            r#"\"a\" {\"email\":\"***\"}"#,
        ),
    ] {
        assert_becomes(
            "email:mask",
            &format!(r#"{{"body":"{text}"}}"#),
            &format!(r#"{{"body":"{expected}"}}"#),
        );
    }
    // A word in quotes may be part of a name.
    assert_becomes(
        "username:mask",
        r#"{"username":"\"Bob\" Smith","error":"\"Bob\" Smith is blocked"}"#,
        r#"{"username":"***","error":"*** is blocked"}"#,
    );
}

#[test]
fn a_value_in_quotes_of_its_own_is_found_where_it_is_the_whole_text() {
    assert_becomes(
        "username:mask",
        r#"{"user_name":"\"adalove\"","a":"\"AdaLove\"","b":[" \"adalove\" "],"c":"no \"adalove\"","d":"{\"e\":\"\\\"adalove\\\"\"}"}"#,
        r#"{"user_name":"***","a":"***","b":[" *** "],"c":"no ***","d":"{\"e\":\"***\"}"}"#,
    );
    // Names of fields in a text in quotes stay.
    assert_becomes(
        "username:mask",
        r#"{"user_name":"\\\"role\\\":","a":"\"{\\\"role\\\":1}\""}"#,
        r#"{"user_name":"***","a":"\"{\\\"role\\\":1}\""}"#,
    );
}

#[test]
fn a_form_is_known_however_its_signs_are_encoded() {
    for (text, expected) in [
        ("username%3Dadalove", "username%3D***"),
        (
            "https%3A%2F%2Fh%2F%3Fusername%3Dadalove%26a%3Db",
            "https%3A%2F%2Fh%2F%3Fusername%3D***%26a%3Db",
        ),
        ("username%253Dadalove", "username%253D***"),
        (
            "username&#x3D;adalove&amp;a&#61;b",
            "username&#x3D;***&amp;a&#61;b",
        ),
        ("username&equals;adalove", "username&equals;***"),
        (r"username\\u003dadalove", r"username\\u003d***"),
    ] {
        for name in ["target", "query", "name"] {
            assert_becomes(
                "username:mask",
                &format!(r#"{{"details":{{"{name}":"{text}"}}}}"#),
                &format!(r#"{{"details":{{"{name}":"{expected}"}}}}"#),
            );
        }
        assert_becomes(
            "username:mask",
            &format!(r#"{{"request":{{"path":"/x?{text}"}}}}"#),
            &format!(r#"{{"request":{{"path":"/x?{expected}"}}}}"#),
        );
    }
}

#[test]
fn a_value_after_json_with_a_mistake_is_found_whole() {
    for (text, expected) in [
        (
            r#"[{\"x\":1}, ada@example.com was blocked"#,
            r#"[{\"x\":1}, *** was blocked"#,
        ),
        (r#"{\"x\":1, by: 4bo@example.com}"#, r#"{\"x\":1, by: ***}"#),
        (r#"[\"x\", Ada O'Neill, \"y\"]"#, r#"[\"x\", ***, \"y\"]"#),
        // A number after a name is a value.
        (
            r#"{\"x\":1, latitude: 48.4, 'y'"#,
            r#"{\"x\":1, latitude: \"***\", 'y'"#,
        ),
    ] {
        assert_becomes(
            "email:mask,username:mask,location:truncate",
            &format!(
                r#"{{"email":"ada@example.com","user_name":"4bo@example.com","username":"Ada O'Neill","body":"{text}"}}"#
            ),
            &format!(r#"{{"email":"***","user_name":"***","username":"***","body":"{expected}"}}"#),
        );
    }
}
