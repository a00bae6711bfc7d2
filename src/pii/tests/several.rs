//! Names of fields and persons that have several values.

use super::*;

#[test]
fn names_of_several_values_are_known_as_those_of_one_are() {
    assert_becomes(
        "username:mask,first_name:mask,last_name:mask,user_id:mask,user_agent:mask",
        r#"{"details":{"usernames":["ada"],"user_names":["ada"],"givenNames":["Ada"],"lastNames":["L"],"member_user_ids":["x"],"userAgents":["curl"],"membernames":["x"]}}"#,
        r#"{"details":{"usernames":["***"],"user_names":["***"],"givenNames":["***"],"lastNames":["***"],"member_user_ids":["***"],"userAgents":["***"],"membernames":["x"]}}"#,
    );
    for (kind, names, value) in [
        (
            "email",
            &["backup_email_addresses", "workEmails"][..],
            "ada@example.com",
        ),
        (
            "phone",
            &["telephones", "home_phones", "mobileNumbers"],
            "15550100200",
        ),
        (
            "username",
            &["nicknames", "screen_names", "upns", "login_hints"],
            "adalove",
        ),
        ("first_name", &["middle_names", "forenames"], "Ada"),
        ("last_name", &["surnames", "maidenNames"], "Byron"),
        (
            "address",
            &["billing_addresses", "postal_codes", "zipcodes"],
            "12 High Street",
        ),
        ("user_id", &["external_ids", "subs"], "5f1abc"),
        (
            "ip",
            &[
                "client_ips",
                "lastIps",
                "LAST_IPS",
                "IPs",
                "ipv4_addresses",
                "ip_addrs",
            ],
            "203.0.113.7",
        ),
    ] {
        for name in names {
            let record = |it: &str| format!(r#"{{"details":{{"{name}":["{it}"]}}}}"#);
            assert_becomes(&format!("{kind}:mask"), &record(value), &record("***"));
        }
    }
    // The names of other lists.
    for name in [
        "memberships",
        "chips",
        "TIPS",
        "statuses",
        "ids",
        "names",
        "types",
    ] {
        assert_stays(
            "email:mask,username:mask,first_name:mask,user_id:mask,ip:mask,phone:mask",
            &format!(r#"{{"details":{{"{name}":["203.0.113.7"]}}}}"#),
        );
    }
}

#[test]
fn several_values_tell_that_an_object_is_about_a_user_as_one_does() {
    for name in ["emails", "given_names", "nicknames", "phoneNumbers"] {
        assert_becomes(
            "first_name:mask",
            &format!(r#"{{"details":{{"{name}":[],"name":"Ada King"}}}}"#),
            &format!(r#"{{"details":{{"{name}":[],"name":"***"}}}}"#),
        );
    }
}

#[test]
fn a_user_may_have_several_names_in_a_list() {
    for (record, expected) in [
        (
            r#"{"user":{"name":["Ada King",["Augusta"],1815],"displayName":["Ada K"]},"error":"no ada king"}"#,
            r#"{"user":{"name":["***",["***"],"***"],"displayName":["***"]},"error":"no ***"}"#,
        ),
        (
            r#"{"claims":{"http://schemas.microsoft.com/identity/claims/displayname":["Ada King"]}}"#,
            r#"{"claims":{"http://schemas.microsoft.com/identity/claims/displayname":["***"]}}"#,
        ),
        (
            r#"{"details":{"body":"{\"email\":1,\"name\":[\"Ada King\"]}"}}"#,
            r#"{"details":{"body":"{\"email\":1,\"name\":[\"***\"]}"}}"#,
        ),
        (
            r#"{"client":{"name":["Shop"]},"names":["Shop"],"name":["Shop"]}"#,
            r#"{"client":{"name":["Shop"]},"names":["Shop"],"name":["Shop"]}"#,
        ),
    ] {
        assert_becomes("first_name:mask", record, expected);
    }
    assert_becomes(
        "first_name:drop",
        r#"{"user":{"name":["Ada King"],"a":1},"client":{"name":["Shop"]},"error":"no ada king"}"#,
        r#"{"user":{"a":1},"client":{"name":["Shop"]},"error":"no ***"}"#,
    );
}
