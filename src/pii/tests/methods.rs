//! What replaces a value.

use super::*;

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
        // By default Auth0 uses the address as the name.
        (
            "given_name",
            "ada@example.com",
            format!("{ADA}@example.com"),
        ),
        // Or the phone number, for users of an SMS connection.
        ("given_name", "+15550100200", ADA_S_PHONE.to_owned()),
        ("surname", "15550100200", ADA_S_PHONE.to_owned()),
        ("user_name", "+15550100200", ADA_S_PHONE.to_owned()),
        ("email", "+15550100200", ADA_S_PHONE.to_owned()),
        // Directories identify their users by it.
        (
            "external_id",
            "Ada@example.com",
            format!("{ADA}@example.com"),
        ),
        ("sub", "ada@example.com", format!("{ADA}@example.com")),
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
fn where_addresses_are_masked_no_name_and_no_id_shows_the_domain_of_one() {
    let record = r#"{"details":{"given_name":"ada@example.com","surname":"Ada@Example.com","sub":"ada@example.com","x":"by ADA@example.com"}}"#;
    for email in ["mask", "drop"] {
        assert_becomes(
            &format!(
                "email:{email},username:mask,first_name:pseudonym,last_name:pseudonym,user_id:pseudonym"
            ),
            record,
            &format!(
                r#"{{"details":{{"given_name":"{ADA}","surname":"{ADA}","sub":"{ADA}","x":"by {ADA}"}}}}"#
            ),
        );
        // In an archive the pseudonym may have been made while addresses were not masked.
        assert_becomes(
            &format!("email:{email},first_name:pseudonym,user_id:pseudonym"),
            &format!(
                r#"{{"details":{{"given_name":"{ADA}@example.com","sub":"{ADA}@example.com","user_id":"{ADA}@clients"}}}}"#
            ),
            &format!(
                r#"{{"details":{{"given_name":"{ADA}","sub":"{ADA}","user_id":"{ADA}@clients"}}}}"#
            ),
        );
    }
}

#[test]
fn an_id_is_treated_as_one_also_where_it_is_what_the_user_is_called() {
    // Computed as the others are.
    const COUNTESS_S_ID: &str = "p1_npc4wkzvrpgo4u75byrnww4ak4";
    const SHORT: &str = "p1_kv72u54mtzkylgvsl4xt37jo5a";
    let record = |user: &str, id: &str| {
        format!(r#"{{"user_name":"{user}","sub":"{id}","details":{{"externalId":["{id}"]}}}}"#)
    };
    let countess = record("countess", "Countess");
    for (pii, user, id) in [
        ("username:pseudonym,user_id:mask", COUNTESS, "***"),
        ("username:mask,user_id:pseudonym", "***", COUNTESS_S_ID),
        (
            "username:pseudonym,user_id:pseudonym",
            COUNTESS,
            COUNTESS_S_ID,
        ),
    ] {
        assert_becomes(pii, &countess, &record(user, id));
    }
    let ada = record("ada@example.com", "ada@example.com");
    let ada_s_address = format!("{ADA}@example.com");
    for (pii, user, id) in [
        (
            "username:pseudonym,email:pseudonym,user_id:mask",
            &*ada_s_address,
            "***",
        ),
        ("username:mask,email:mask,user_id:pseudonym", "***", ADA),
        (
            "username:pseudonym,user_id:pseudonym",
            &ada_s_address,
            &ada_s_address,
        ),
    ] {
        assert_becomes(pii, &ada, &record(user, id));
    }
    // Only what the connection stands before in the user's id is the id of an identity.
    for id in ["5f1abc", "42"] {
        let record = |user: &str, id: &str| {
            format!(
                r#"{{"nickname":"{id}","user_id":"auth0|{user}","identities":[{{"user_id":"{user}"}}]}}"#
            )
        };
        let code = if id == "42" { SHORT } else { ADA_S_ID };
        assert_becomes(
            "user_id:pseudonym,username:mask",
            &record(id, id),
            &record(code, "***"),
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
        // The second bar is part of the user's id in another system.
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
    // The first 48 bits of a 6to4 address contain a whole IPv4 address.
    assert_becomes(
        "ip:truncate",
        r#"{"ip":"2002:cb00:7107:1::9","client_ip":"2003:cb00:7107:1::9"}"#,
        r#"{"ip":"2002:cb00:7100::","client_ip":"2003:cb00:7107::"}"#,
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
fn coordinates_without_a_name_of_their_own_are_left_out() {
    for record in [
        r#"{"geo":[51.5,-0.1],"details":{}}"#,
        r#"{"geo":[[51,0],[52,1]],"details":{}}"#,
        r#"{"geo":{"type":[-0.1]},"details":{}}"#,
        r#"{"geo":{"x":51.5,"y":-0.1},"details":{}}"#,
        r#"{"geo":515e-1,"details":{}}"#,
        r#"{"geo":["51.5","-0.1"],"details":{}}"#,
        r#"{"geo":{"x":"51.5"},"details":{}}"#,
        r#"{"location":"51.5, -0.1","details":{}}"#,
    ] {
        let left = applied("location:pseudonym", record);
        assert!(!left.contains("p1_") && !left.contains("51"), "{left}");
        assert!(left.ends_with(r#""details":{}}"#), "{left}");
    }
    let cut = applied("location:pseudonym", r#"{"error":"{\"geo\":[51.5,-0.1"}"#);
    assert!(!cut.contains("p1_") && !cut.contains(".5"), "{cut}");
    assert_becomes(
        "location:mask",
        r#"{"geo":[{"a":1},"Paris",51.5]}"#,
        r#"{"geo":[{"a":"***"},"***","***"]}"#,
    );
    assert_stays("email:mask", r#"{"geo":["Paris",51.5],"location":51.5}"#);
    // A postal code may be a number, and a place may have points in its name.
    for place in [
        "10115",
        r#""10115""#,
        r#""St. Ives""#,
        r#""181.5""#,
        r#""1.5,2.5,3.5""#,
    ] {
        let record = format!(r#"{{"geo":{{"postal_code":{place}}}}}"#);
        let left = applied("location:pseudonym", &record);
        assert!(left.contains(r#""postal_code":"p1_"#), "{left}");
    }
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
fn a_secret_that_is_a_number_is_masked_in_a_record_that_is_rewritten() {
    let privacy = Privacy::new(Redaction::On, policy("username:drop"));
    assert_eq!(
        privacy.line(r#"{"user_name":"ada","otp":123456,"tokens":[7],"n":5}"#),
        r#"{"otp":"***","tokens":["***"],"n":5}"#
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
            "Acme App|2 (X11)",
            "email first_name last_name address location user_agent",
        ),
        (
            "90210",
            "email user_id phone first_name last_name address location user_agent",
        ),
        ("12345-6789", "email user_id phone address location"),
        ("+1 555 0100", "email phone address location"),
        (
            "+1 555 010 0200 ext. 5",
            "email phone first_name last_name address location user_agent",
        ),
    ] {
        assert_eq!(groups(value), expected, "{value}");
    }
}

#[test]
fn a_pseudonym_that_was_forwarded_brings_nothing_that_json_has_to_escape() {
    // With secrets kept, such a record takes the short way.
    let record = format!(
        r#"{{"client_ip":"for=\"\n{ADA_S_IP}\t\";by=203.0.113.7, for=\"\u000b{ADA_S_IP}\""}}"#
    );
    assert_becomes(
        "ip:pseudonym",
        &record,
        &format!(r#"{{"client_ip":"for={ADA_S_IP};by={ADA_S_IP}, for={ADA_S_IP}"}}"#),
    );
}

#[test]
fn a_pseudonym_that_is_an_id_brings_nothing_that_json_has_to_escape() {
    for (around, domain, kept) in [
        (r"\n", "@example.com", ""),
        (r"\u000b", "@example.com", ""),
        (" ", "@example.com", ""),
        (r"\t", "@clients", "@clients"),
    ] {
        assert_becomes(
            "user_id:pseudonym,email:mask",
            &format!(r#"{{"details":{{"externalId":"{around}{ADA}{domain}{around}"}}}}"#),
            &match kept {
                "" => format!(r#"{{"details":{{"externalId":"{ADA}"}}}}"#),
                // It is a pseudonym already, and stays as it is.
                _ => format!(r#"{{"details":{{"externalId":"{around}{ADA}{kept}{around}"}}}}"#),
            },
        );
    }
}

#[test]
fn a_number_is_left_out_as_a_text_is() {
    assert_becomes(
        "phone:drop",
        r#"{"details":{"mobile":15550100200,"home_phone":"15550100200","phone":{"a":15550100200},"n":15550100200,"old_phone":1}}"#,
        r#"{"details":{"phone":{},"n":"***","old_phone":1}}"#,
    );
    assert_becomes(
        "username:drop",
        r#"{"details":{"request":{"path":"/api/v2/user-blocks","query":{"identifier":15550100200,"page":0}}}}"#,
        r#"{"details":{"request":{"path":"/api/v2/user-blocks","query":{"page":0}}}}"#,
    );
}

#[test]
fn an_address_that_was_forwarded_is_the_same_one() {
    for (header, by_name, truncated) in [
        (
            r"for=203.0.113.7;proto=https;host=x.y",
            format!("for={ADA_S_IP}"),
            "for=203.0.113.0",
        ),
        (
            r#"For=\"203.0.113.7:443\";by=203.0.113.7, for=203.0.113.7"#,
            format!("for={ADA_S_IP};by={ADA_S_IP}, for={ADA_S_IP}"),
            "for=203.0.113.0;by=203.0.113.0, for=203.0.113.0",
        ),
        (
            r#"for=\"[2001:db8:1:2::9]:80\""#,
            String::new(),
            "for=2001:db8:1::",
        ),
        ("for=***;for=_x", String::new(), "for=***;for=***"),
    ] {
        let record = |it: &str| format!(r#"{{"headers":{{"Forwarded":"{it}"}},"user":{{"a":1}}}}"#);
        assert_becomes("ip:truncate", &record(header), &record(truncated));
        assert_becomes("ip:mask", &record(header), &record("***"));
        if header.contains("203.0") {
            assert_becomes("ip:pseudonym", &record(header), &record(&by_name));
            // Applied again, as to a record from an archive.
            assert_stays("ip:pseudonym", &record(&by_name));
        }
    }
}

/// Every one of the nested objects is one to leave out.
#[test]
fn what_is_deep_in_what_is_left_out_is_left_out_once() {
    let depth = 60_000;
    let (opening, closing) = (r#"{"a":"#.repeat(depth), "}".repeat(depth));
    for name in ["address", "location_info"] {
        assert_becomes(
            "address:drop,location:drop",
            &format!(
                r#"{{"details":{{"{name}":{opening}1{closing},"b":[{{"address":2,"d":4}}],"c":3}}}}"#
            ),
            r#"{"details":{"b":[{"d":4}],"c":3}}"#,
        );
    }
}
