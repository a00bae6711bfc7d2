//! What a string reveals by itself, whatever its name.

use super::*;

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
    // With the two letters of base64url that are no letters, in each part.
    assert_masked(
        r#"{"a":"eyJh-b_c.ey-J_z.c2-l_n","b":"no eyJh.eyJz.c-2_ln, next"}"#,
        r#"{"a":"***","b":"no ***, next"}"#,
    );
    // With white space after the header's first bracket: a space, two, a line, a tab, and four spaces in
    // a line of their own.
    assert_masked(
        r#"{"a":"eyAiYWxnIjoibm9uZSJ9.e30.c2ln","b":"eyAgImFsZyI6Im5vbmUifQ.e30.","c":"no ewoiYWxnIjoibm9uZSJ9.e30.c2ln, next","d":"https://a/v/ewkiYWxnIjoibm9uZSJ9.e30.c2ln/x","e":"ew0KICAgICJhbGciOiAibm9uZSJ9.e30.c2ln"}"#,
        r#"{"a":"***","b":"***","c":"no ***, next","d":"https://a/v/***/x","e":"***"}"#,
    );
    // Hosts and words that only begin so.
    assert_left(
        r#"{"a":"ewold.example.com","b":"eyAb.example.com","c":"www.newkirk.example.com","g":"newkirkland.example.com","d":"new0.ewok.example.com","e":"eyA.b.c","f":"ewo.ewo.ewo"}"#,
    );
    // Not a token: a header alone, a token that was cut, dots of another kind.
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
    // Passwords that are carelessly encoded, that contain an `@`, without a user, in a text, in a
    // parameter.
    assert_masked(
        r#"{"a":"amqp://u:p#q/r@host/v","f":"amqp://u:1p/2@host","b":"ldap://u:a@b@host","c":"redis://:p@host","d":"cannot reach https://u:p@host/, retry","e":"/x?to=https%3A%2F%2Fu%3Ap%40host%2Fy"}"#,
        r#"{"a":"amqp://u:***@host/v","f":"amqp://u:***@host","b":"ldap://u:***@host","c":"redis://:***@host","d":"cannot reach https://u:***@host/, retry","e":"/x?to=https%3A%2F%2Fu%3A***%40host%2Fy"}"#,
    );
    assert_masked(
        r#"{"a":"https://u:1&2@host/"}"#,
        r#"{"a":"https://u:***@host/"}"#,
    );
    // How far it may extend carelessly.
    let careless = |password: &str| format!(r#"{{"a":"https://u:{password}@host"}}"#);
    let long = |more: usize| careless(&format!("p/{}", "q".repeat(more)));
    assert_masked(&long(254), &careless("***"));
    assert_left(&long(255));
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
    // A form, and fields that are known to contain a form or a URL.
    assert_masked(
        r#"{"x":"grant_type=password&username=u&password=p%20q","y":"grant_type%3Dx%26client_secret%3Ds","body":"client_secret=s","query":"a&token=b","redirect_uri":"h/cb?code=c&state=d","z":"https://h/f?sig=a&key=b"}"#,
        r#"{"x":"grant_type=password&username=u&password=***","y":"grant_type%3Dx%26client_secret%3D***","body":"client_secret=***","query":"a&token=***","redirect_uri":"h/cb?code=***&state=d","z":"https://h/f?sig=***&key=***"}"#,
    );
}

#[test]
fn the_signature_of_a_presigned_url_is_masked_whoever_signed_it() {
    for (name, is_secret) in [
        ("X-Amz-Signature", true),
        ("X-Goog-Signature", true),
        ("x-oss-signature", true),
        ("Signature", true),
        ("X-Amz-Security-Token", true),
        ("X%2DAmz%2DSignature", true),
        // Whose key it is, and what was signed.
        ("X-Amz-Credential", false),
        ("X-Amz-SignedHeaders", false),
        ("X-Goog-Credential", false),
        ("signature_version", false),
    ] {
        let value = if is_secret { "***" } else { "5d672d79c15b" };
        let url = |value: &str| {
            format!(
                r#"{{"details":{{"error":"GET https://acme.s3.amazonaws.com/a?{name}={value}&x=1"}}}}"#
            )
        };
        assert_masked(&url("5d672d79c15b"), &url(value));
        let query = |value: &str| format!(r#"{{"details":{{"qs":{{"{name}":"{value}"}}}}}}"#);
        if !name.contains('%') {
            assert_masked(&query("5d672d79c15b"), &query(value));
        }
    }
    // As a field, it may be anything.
    assert_left(r#"{"details":{"request":{"body":{"email_signature":"Yours, Ada"}}}}"#);
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
    // The ticket of an invitation, as in the URL that is sent.
    assert_masked(
        r#"{"details":{"qs":{"invitation":"a","organization":"b"},"originalUrl":"/authorize?invitation=a&organization=b"}}"#,
        r#"{"details":{"qs":{"invitation":"***","organization":"b"},"originalUrl":"/authorize?invitation=***&organization=b"}}"#,
    );
    assert_left(r#"{"details":{"request":{"body":{"invitation":"a"}}}}"#);
    // These names mean a secret nowhere else.
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
    // The first word is one of several until the mask replaces the others.
    assert_masked(
        r#"{"a":"Bearer [-----BEGIN PRIVATE KEY-----\nMII","b":"Bearer ://:,@"}"#,
        r#"{"a":"Bearer ***","b":"Bearer ***"}"#,
    );
    // The same beside JSON in a string.
    assert_masked(
        r#"{"a":"Bearer -----BEGIN PRIVATE KEY-----:\"[[eyJhbGciOi.eyJh.b"}"#,
        r#"{"a":"Bearer ***"}"#,
    );
}

#[test]
fn what_only_looks_like_a_parameter_is_left() {
    assert_left(
        r#"{"a":"a?token=b","b":"a#password=b@evil.example","c":"why? token=b","d":"a=1;token=2","e":"https://h/?token=&a=b","f":"https://h/token=a/b","g":"%zz%2","h":"x&password=y","i":"https://h/a&token=b","j":"tel:12?token=b"}"#,
    );
}

#[test]
fn json_within_a_text_is_masked_as_json() {
    assert_masked(
        r#"{"details":"{\"request\": {\"body\":{\"passw\\u006frd\":\"a\\\"b\",\"n\":1},\"n\":[\"x\"]}}","otp_settings":"[1]"}"#,
        r#"{"details":"{\"request\": {\"body\":{\"passw\\u006frd\":\"***\",\"n\":1},\"n\":[\"x\"]}}","otp_settings":"[1]"}"#,
    );
    // JSON inside JSON, in a sentence, cut, with a number, in a list.
    assert_masked(
        r#"{"a":"{\"b\":\"{\\\"token\\\":\\\"t\\\"}\"}","c":"sent {\"secret\": \"s\"} to https://u:p@h/","d":"{\"user\":\"u\",\"password\":\"pq","e":["[{\"otp\": 12, \"x\":1}]"]}"#,
        r#"{"a":"{\"b\":\"{\\\"token\\\":\\\"***\\\"}\"}","c":"sent {\"secret\": \"***\"} to https://u:***@h/","d":"{\"user\":\"u\",\"password\":\"***","e":["[{\"otp\": \"***\", \"x\":1}]"]}"#,
    );
    // Settings are no secret, names stay names, and what is not JSON stays.
    assert_left(
        r#"{"a":"{\"refresh_token\": {\"leeway\":0}}","b":"{\"user_name\":\"https://u:p@h\"}","c":"function() { return [\"password\"] }","d":"{\"a\":tru","e":"[[[","f":"{\"password\"","g":"a\\\\","h":"{\"/i?token=t\":1}"}"#,
    );
}

#[test]
fn json_in_a_parameter_hides_no_other_parameter() {
    for (text, expected) in [
        (
            r#"claims={"a":1}&client_secret=s"#,
            r#"claims={"a":1}&client_secret=***"#,
        ),
        (
            r#"a=b&claims={"a":"?x#"}&client_secret=s&d=["e"]&otp=1"#,
            r#"a=b&claims={"a":"?x#"}&client_secret=***&d=["e"]&otp=***"#,
        ),
        (
            r#"see https://h/cb?claims={"a": "b"}&code=c now"#,
            r#"see https://h/cb?claims={"a": "b"}&code=*** now"#,
        ),
        (
            r#"(/cb%3Fclaims%3D{"a":"b"}%26token%3Dt)"#,
            r#"(/cb%3Fclaims%3D{"a":"b"}%26token%3D***"#,
        ),
        // The JSON is the secret, or a part of it.
        (r#"client_secret={"a":1}&b=c"#, r"client_secret=***&b=c"),
        (
            r#"client_secret={"a":{"b":1},"c":"&d"}&e=f"#,
            r"client_secret=***&e=f",
        ),
        (
            r#"a=b&token=t["u"]v&d={"password":"p"}"#,
            r#"a=b&token=***&d={"password":"***"}"#,
        ),
        (r#"https://u:["p"]@h/"#, r"https://u:***@h/"),
        // It was cut, or is none.
        (
            r#"a={"b":"c&client_secret=s"#,
            r#"a={"b":"c&client_secret=***"#,
        ),
        (
            r#"a={"b":"c&client_secret=s&d="e""#,
            r#"a={"b":"c&client_secret=***&d="e""#,
        ),
        (
            r#"a=1&b={"token":"t?code=5","password":"p#q"#,
            r#"a=1&b={"token":"***","password":"***"#,
        ),
    ] {
        let record = format!(r#"{{"a":{}}}"#, quoted(text));
        assert_masked(&record, &format!(r#"{{"a":{}}}"#, quoted(expected)));
    }
    assert_left(r#"{"a":"{\"a\":\"b?c\"} token=t","b":"{\"a\":1} & [\"b=\"] token=t"}"#);
}

#[test]
fn a_form_may_begin_with_a_delimiter() {
    assert_masked(
        r#"{"body":"&client_secret=s&a=b","payload":"=&otp=c","query":"&a&token=d","note":"&token=e"}"#,
        r#"{"body":"&client_secret=***&a=b","payload":"=&otp=***","query":"&a&token=***","note":"&token=e"}"#,
    );
}

#[test]
fn a_value_ends_at_an_escape_of_code_and_not_at_a_backslash_of_its_own() {
    assert_masked(
        r#"{"a":"/x?token=s%5Ct\nnext"}"#,
        r#"{"a":"/x?token=***\nnext"}"#,
    );
}

#[test]
fn half_a_surrogate_pair_hides_nothing() {
    assert_masked(
        r#"{"a":"\ud800 https://h/?token=t","b":"\ud800 x"}"#,
        r#"{"a":"� https://h/?token=***","b":"\ud800 x"}"#,
    );
}

#[test]
fn a_text_in_a_text_is_what_its_name_says() {
    assert_masked(
        r#"{"redirect_uri":"\"h/cb?code=c\"","body":"\"client_secret=s\"","callback_url":"[\"h/cb?code=c\",[\"h/cb?code=c\"]]"}"#,
        r#"{"redirect_uri":"\"h/cb?code=***\"","body":"\"client_secret=***\"","callback_url":"[\"h/cb?code=***\",[\"h/cb?code=***\"]]"}"#,
    );
    // The same in a list that is not in a string. A member of an object has a name of its own.
    assert_masked(
        r#"{"callback_url":["h/cb?code=c",["h/cb?code=c"]]}"#,
        r#"{"callback_url":["h/cb?code=***",["h/cb?code=***"]]}"#,
    );
    assert_left(r#"{"redirect_uri":"{\"a\":\"h/cb?code=c\"}"}"#);
}

#[test]
fn half_a_surrogate_pair_hides_no_name() {
    for name in [
        r"t\u006fken\ud800",
        r"\ud800set\u0075p",
        r"\udc00Client\u005fSecret",
    ] {
        assert_masked(
            &format!(
                r#"{{"{name}":"hidden","a":"{{\"{}\":\"hidden\"}}"}}"#,
                name.replace('\\', r"\\")
            ),
            &format!(
                r#"{{"{name}":"***","a":"{{\"{}\":\"***\"}}"}}"#,
                name.replace('\\', r"\\")
            ),
        );
    }
}

#[test]
fn a_word_that_json_does_not_have_hides_nothing_after_it() {
    assert_masked(
        r#"{"a":"{\"score\": NaN, \"password\":\"x\"}","b":"{\"a\":tru,\"otp\":1}","c":"[{\"a\":undefined{\"token\":\"t\"}}]","d":"{\"a\":None, password: \"x\", b: \"y\"}"}"#,
        r#"{"a":"{\"score\": NaN, \"password\":\"***\"}","b":"{\"a\":tru,\"otp\":\"***\"}","c":"[{\"a\":undefined{\"token\":\"***\"}}]","d":"{\"a\":None, password: \"***\", b: \"y\"}"}"#,
    );
    // Text between the values may be a secret by itself.
    assert_masked(
        r#"{"a":"[\"x\" eyJhbGciOi.eyJz.c2ln, \"y\"]","b":"{\"a\":1 Bearer 12345678901234567890 [\"otp\"]}","c":"[\"x\" https://u:p@h/?token=t \"y\"]","d":"[\"\" Bearer abc123 \"\"]"}"#,
        r#"{"a":"[\"x\" ***, \"y\"]","b":"{\"a\":1 Bearer *** [\"otp\"]}","c":"[\"x\" https://u:***@h/?token=*** \"y\"]","d":"[\"\" Bearer *** \"\"]"}"#,
    );
}

#[test]
fn parameters_and_passwords_are_known_in_html_and_in_code() {
    for (text, expected) in [
        // A link as Handlebars and Mustache write it.
        (
            "https:&#x2F;&#x2F;h&#x2F;?a&#x3D;b&amp;ticket&#x3D;s&amp;c&#x3D;d",
            "https:&#x2F;&#x2F;h&#x2F;?a&#x3D;b&amp;ticket&#x3D;***&amp;c&#x3D;d",
        ),
        (
            "&lt;a href=&quot;https://h/?token&#x3d;s&#x3D;&#x3D;&quot;&gt;x",
            "&lt;a href=&quot;https://h/?token&#x3d;***&quot;&gt;x",
        ),
        ("/x?ticket&#61;s&#38;a=b", "/x?ticket&#61;***&#38;a=b"),
        ("/x?ticket&equals;s", "/x?ticket&equals;***"),
        ("/x?token=it&#39;s&amp;a=b", "/x?token=***&amp;a=b"),
        ("a&#x3D;b&amp;token&#x3D;s", "a&#x3D;b&amp;token&#x3D;***"),
        (
            "https&colon;&sol;&sol;u&#58;p&commat;h/",
            "https&colon;&sol;&sol;u&#58;***&commat;h/",
        ),
        ("https://u:p&#64;h/", "https://u:***&#64;h/"),
        (r"/x?ticket\x3Ds\x26a=b", r"/x?ticket\x3D***\x26a=b"),
        // The percent sign may be encoded itself.
        (
            r"/x?ticket\u00253Ds\u002526a=b",
            r"/x?ticket\u00253D***\u002526a=b",
        ),
        ("/x?ticket&#37;253ds", "/x?ticket&#37;253d***"),
        // What is another parameter, and not one of HTML's names.
        ("/x?a&token=s", "/x?a&token=***"),
        ("/x?a=b&lt;token=s", "/x?a=b&lt;token=***"),
        ("/x?token=s&lt=5", "/x?token=***&lt=5"),
    ] {
        let quoted = |text: &str| quoted(text);
        assert_masked(
            &format!(r#"{{"a":{}}}"#, quoted(text)),
            &format!(r#"{{"a":{}}}"#, quoted(expected)),
        );
    }
    assert_left(r#"{"a":"R&D: a&#x3D;b","b":"/x?a&#x3D;b&copy;=c&#8364;&#x3D;d"}"#);
}

#[test]
fn an_authorization_is_known_however_its_space_is_encoded() {
    for (text, expected) in [
        (
            "Authorization%253A%2520Bearer%2520abc123",
            "Authorization%253A%2520Bearer%2520***",
        ),
        ("Bearer%09abc123", "Bearer%09***"),
        (r"Basic\\u0020YTpiYTpi", r"Basic\\u0020***"),
        ("Bearer&#32;abc123", "Bearer&#32;***"),
        ("Basic+YTpiYTpi", "Basic+***"),
    ] {
        assert_masked(
            &format!(r#"{{"a":"{text}"}}"#),
            &format!(r#"{{"a":"{expected}"}}"#),
        );
    }
    assert_left(r#"{"a":"Bearer%2Babc123","b":"Basic&amp;YTpiYTpi"}"#);
}

#[test]
fn a_secret_does_not_end_at_an_escape_of_a_letter_beyond_ascii() {
    for escape in [r"\\u00e9", r"\\xe9", r"\\u20ac", "&#233;"] {
        assert_masked(
            &format!(r#"{{"a":"/x?ticket=s{escape}t&amp;b=c"}}"#),
            r#"{"a":"/x?ticket=***&amp;b=c"}"#,
        );
    }
}
