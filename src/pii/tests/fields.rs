//! What the name of a field says about its value.

use super::*;

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
        // The path says what a body is about that does not say so itself.
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
        (
            r#"{"user":{"name":1234,"logins":42},"app":{"name":1234}}"#,
            r#"{"user":{"name":"***","logins":42},"app":{"name":1234}}"#,
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
fn names_with_a_namespace_say_at_the_end_what_they_are() {
    assert_becomes(
        "email:mask,username:mask,ip:mask",
        r#"{"details":{"http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress":"ada@example.com","http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn":"ada@corp","urn:ietf:params:scim:schemas:core:2.0:User:userName":"adalove","https://acme-corporation.example/device/client_ip":"203.0.113.7","their_preferred_secondary_contact_email":"bo@example.com","https://acme.example/scope":"openid"}}"#,
        r#"{"details":{"http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress":"***","http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn":"***","urn:ietf:params:scim:schemas:core:2.0:User:userName":"***","https://acme-corporation.example/device/client_ip":"***","their_preferred_secondary_contact_email":"***","https://acme.example/scope":"openid"}}"#,
    );
    // A name with a namespace is not one of Auth0's words.
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
fn what_is_the_address_or_the_place_of_an_address_is_the_address() {
    for (kind, value) in [
        ("email", "ada@example.com"),
        ("ip", "203.0.113.7"),
        ("phone", "+4915112345672"),
    ] {
        for name in ["address", "location", "from", "to", "owner"] {
            let record = |value: &str| {
                format!(
                    r#"{{"a":{{"{kind}":{{"{name}":"{value}"}},"{kind}s":[{{"{name}":"{value}"}}]}}}}"#
                )
            };
            assert_becomes(&format!("{kind}:mask"), &record(value), &record("***"));
        }
    }
    assert_becomes(
        "ip:mask",
        r#"{"ip":{"from":["203.0.113.7"],"owner":{"host":"203.0.113.8"},"address":["203.0.113.9",{"v4":"203.0.113.10"}],"geo":["203.0.113.11"],"name":["x"]}}"#,
        r#"{"ip":{"from":["***"],"owner":{"host":"***"},"address":["***",{"v4":"***"}],"geo":["***"],"name":["x"]}}"#,
    );
    // A value whose own kind is treated is replaced even inside a value of another kind.
    assert_becomes(
        "address:mask,location:mask",
        r#"{"email":{"address":"12 High Street","geo":{"city":"London"}}}"#,
        r#"{"email":{"address":"***","geo":{"city":"***"}}}"#,
    );
}

#[test]
fn who_stands_in_a_place_is_there_too() {
    let record =
        r#"{"location_info":{"city_name":"London","ip":"203.0.113.7","postal_code":"N1"}}"#;
    for (pii, expected) in [
        (
            "ip:mask",
            r#"{"location_info":{"city_name":"London","ip":"***","postal_code":"N1"}}"#,
        ),
        (
            "location:mask",
            r#"{"location_info":{"city_name":"***","ip":"***","postal_code":"***"}}"#,
        ),
        ("location:truncate", r#"{"location_info":{}}"#),
        (
            "location:truncate,ip:truncate",
            r#"{"location_info":{"ip":"203.0.113.0"}}"#,
        ),
    ] {
        assert_becomes(pii, record, expected);
    }
}

#[test]
fn a_place_may_be_a_text() {
    assert_becomes(
        "location:mask",
        r#"{"location_info":"London, GB","geoip":"{\"city_name\":\"London\"}","profile":{"location":"Paris"},"headers":{"location":"https://acme.example/Paris"},"next":{"location":"/callback"}}"#,
        r#"{"location_info":"***","geoip":"{\"city_name\":\"***\"}","profile":{"location":"***"},"headers":{"location":"https://acme.example/***"},"next":{"location":"/callback"}}"#,
    );
    assert_becomes(
        "location:drop",
        r#"{"location_info":"London, GB","geo":"Paris {FR}","headers":{"location":"/callback"}}"#,
        r#"{"headers":{"location":"/callback"}}"#,
    );
    assert_becomes(
        "location:truncate",
        r#"{"location_info":"London, GB","geo":"Berlin [HQ]"}"#,
        r#"{"location_info":"***","geo":"***"}"#,
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
fn what_is_no_text_is_left_out_also_where_nothing_else_is_personal() {
    assert_becomes(
        "location:mask",
        r#"{"location_info":{"latitude":51.5,"longitude":-0.1}}"#,
        r#"{"location_info":{}}"#,
    );
    // Under any name of a coordinate.
    assert_becomes(
        "location:pseudonym",
        r#"{"geoip":{"lat":51.5,"Long":-0.1,"lat_lng":"51.5,-0.1","coords":[51.5,-0.1],"geo_point":{"x":51.5}}}"#,
        r#"{"geoip":{}}"#,
    );
    assert_becomes(
        "phone:drop",
        r#"{"phone_number":null,"type":"s"}"#,
        r#"{"type":"s"}"#,
    );
}

#[test]
fn names_with_more_before_them_say_at_the_end_what_they_are() {
    let masks = "email:mask,phone:mask,username:mask,first_name:mask,last_name:mask,address:mask,\
                 user_id:mask,ip:mask";
    for name in [
        "recipientEmails",
        "auth0-forwarded-for",
        "X-Original-Forwarded-For",
        "x_forwarded",
        "Forwarded",
        "clientip",
        "sourceip",
        "ipAddr",
        "ipv4",
        "client_ipv6",
        "sourceIPv6Address",
        "customer_first_name",
        "phoneticLastName",
        "contact-given-name",
        "forename",
        "userFamilyName",
        "maiden_name",
        "home_phone_numbers",
        "mobileNumber",
        "screen_name",
        "login_name",
        "billing_address",
        "postalCode",
        "nameid",
        "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/nameidentifier",
        "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/givenname",
        "http://schemas.microsoft.com/identity/claims/objectidentifier",
        "objectGUID",
        "externalId",
    ] {
        // A value that looks like the kind that the name expects.
        let value = match name {
            "recipientEmails" => "ada@example.com",
            _ => "15550100200",
        };
        assert_becomes(
            masks,
            &format!(r#"{{"details":{{"a":{{"{name}":"{value}"}}}}}}"#),
            &format!(r#"{{"details":{{"a":{{"{name}":"***"}}}}}}"#),
        );
    }
    for name in [
        "client_name",
        "roleName",
        "tenant",
        "ship",
        "zip",
        "mac_address",
        "callback_address",
        "forwarded_count",
        "screen",
        "object_id",
    ] {
        assert_stays(
            masks,
            &format!(r#"{{"details":{{"a":{{"{name}":"15550100200"}}}}}}"#),
        );
    }
}

#[test]
fn the_claims_of_a_directory_are_a_user_s() {
    assert_becomes(
        "first_name:mask",
        r#"{"details":{"attributes":{"http://schemas.xmlsoap.org/ws/2005/05/identity/claims/name":"Ada","http://schemas.microsoft.com/identity/claims/displayname":"Ada L","http://acme.example/role/name":"boss"},"role":{"name":"boss"}}}"#,
        r#"{"details":{"attributes":{"http://schemas.xmlsoap.org/ws/2005/05/identity/claims/name":"***","http://schemas.microsoft.com/identity/claims/displayname":"***","http://acme.example/role/name":"boss"},"role":{"name":"boss"}}}"#,
    );
}

#[test]
fn what_a_personal_value_was_and_is_are_both_personal() {
    assert_becomes(
        "email:mask,username:mask,phone:mask,ip:mask,user_id:mask,last_name:mask",
        r#"{"details":{"changes":{"email":{"old":"a@b.c","new":"d@e.f","verified":true,"provider":"sendgrid"},"username":{"before":"ada","after":"bo"},"family_name":{"previous":"Lovelace","current":"King"},"ip":{"first":"203.0.113.7","country":"GB"},"user_id":[{"seen":{"as":"auth0|1"}}],"phone_number":{"sms":{"to_be":"+1 555 010 0200"},"attempts":3,"type":"sms"}}}}"#,
        r#"{"details":{"changes":{"email":{"old":"***","new":"***","verified":true,"provider":"sendgrid"},"username":{"before":"***","after":"***"},"family_name":{"previous":"***","current":"***"},"ip":{"first":"***","country":"GB"},"user_id":[{"seen":{"as":"***"}}],"phone_number":{"sms":{"to_be":"***"},"attempts":3,"type":"sms"}}}}"#,
    );
    // The settings of a connection belong to nobody.
    assert_stays(
        "email:mask,username:mask,phone:mask",
        r#"{"details":{"options":{"attributes":{"email":{"identifier":{"active":true},"signup":{"status":"required"}},"username":{"validation":{"min_length":1,"max_length":15}}}}}}"#,
    );
}

#[test]
fn no_path_but_that_of_the_call_makes_users_of_its_bodies() {
    for (query, body) in [
        (
            "{}",
            r#"{"name":"Shop","client_metadata":{"path":"/api/v2/users"}}"#,
        ),
        ("{}", r#"{"name":"Shop","path":"/api/v2/users"}"#),
        (
            "{}",
            r#"{"name":"Shop","a":"{\"path\":\"/api/v2/users\"}"}"#,
        ),
        (r#"{"path":"/api/v2/users"}"#, r#"{"name":"Shop"}"#),
    ] {
        assert_stays(
            "first_name:mask",
            &format!(
                r#"{{"user_agent":"{{\"path\":\"/api/v2/users\"}}","details":{{"request":{{"method":"post","path":"/api/v2/clients","query":{query},"body":{body}}},"response":{{"body":{{"name":"Shop"}}}}}}}}"#
            ),
        );
    }
    // The details of a call may be a string.
    assert_becomes(
        "first_name:mask",
        r#"{"details":"{\"request\":{\"path\":\"/api/v2/users\",\"body\":{\"name\":\"Ada\"}}}"}"#,
        r#"{"details":"{\"request\":{\"path\":\"/api/v2/users\",\"body\":{\"name\":\"***\"}}}"}"#,
    );
    assert_stays(
        "first_name:mask",
        r#"{"details":{"request":{"path":"/api/v2/clients","body":{"details":"{\"request\":{\"path\":\"/api/v2/users\"}}","name":"Shop"}}}}"#,
    );
}

#[test]
fn a_name_may_have_places_in_lists_after_it() {
    assert_becomes(
        "email:mask",
        r#"{"a":[{"path":"/emails/0/value","value":"ada"},{"path":"/emails/-","value":"ada"},{"path":"/emails/0","value":{"value":"ada"}}],"emails.1":"ada","roles.1":"ada","/roles/0/value":"ada"}"#,
        r#"{"a":[{"path":"/emails/0/value","value":"***"},{"path":"/emails/-","value":"***"},{"path":"/emails/0","value":{"value":"***"}}],"emails.1":"***","roles.1":"ada","/roles/0/value":"ada"}"#,
    );
}

#[test]
fn below_a_personal_name_a_value_is_known_whatever_its_own_name_is() {
    let names = [
        "key",
        "field",
        "header",
        "claim",
        "attribute",
        "details",
        "to_be",
    ];
    for name in names {
        assert_becomes(
            "email:mask",
            &format!(
                r#"{{"a":{{"email":{{"{name}":"ada@x.y"}},"work_email":{{"{name}":["ada@x.y"]}}}}}}"#
            ),
            &format!(r#"{{"a":{{"email":{{"{name}":"***"}},"work_email":{{"{name}":["***"]}}}}}}"#),
        );
        assert_stays(
            "email:mask,username:mask",
            &format!(r#"{{"a":{{"email":{{"{name}":"sms"}},"user_name":{{"{name}":["a"]}}}}}}"#),
        );
    }
    assert_becomes(
        "email:mask",
        r#"{"a":{"email":{"client":"ada@x.y","body":"bo@x.y","app":{"name":"Shop","email":"cy@x.y"}}}}"#,
        r#"{"a":{"email":{"client":"***","body":"***","app":{"name":"Shop","email":"***"}}}}"#,
    );
}

#[test]
fn a_name_beside_a_value_and_the_value_have_other_names_too() {
    for name in [
        "label",
        "param",
        "parameter",
        "property",
        "attribute_name",
        "fieldName",
    ] {
        for value in ["value", "oldValue", "new_value"] {
            assert_becomes(
                "email:mask",
                &format!(
                    r#"{{"a":[{{"{name}":"email","{value}":"ada"}},{{"{name}":"color","{value}":"red"}}]}}"#
                ),
                &format!(
                    r#"{{"a":[{{"{name}":"email","{value}":"***"}},{{"{name}":"color","{value}":"red"}}]}}"#
                ),
            );
        }
    }
}

#[test]
fn a_user_name_is_known_where_auth0_takes_one_of_several_ways_to_name_a_user() {
    const PII: &str = "username:mask,user_id:mask,phone:mask";
    for name in ["adalove", "ada@example.com", "auth0|5f1abc", "+15550100200"] {
        let record = |it: &str| {
            format!(
                r#"{{"details":{{"qs":{{"login_hint":"{it}"}},"url":"/authorize?login_hint={it}&a=b","error":"no {it}"}}}}"#
            )
        };
        assert_becomes(PII, &record(name), &record("***"));
    }
    assert_becomes(
        "username:drop",
        r#"{"details":{"qs":{"login_hint":"adalove","state":"x"},"error":"no adalove"}}"#,
        r#"{"details":{"qs":{"state":"x"},"error":"no ***"}}"#,
    );
    assert_becomes(
        "username:pseudonym",
        r#"{"details":{"qs":{"login_hint":"Countess"}}}"#,
        &format!(r#"{{"details":{{"qs":{{"login_hint":"{COUNTESS}"}}}}}}"#),
    );
    // If one kind alone is treated, a value of another kind stays.
    for (pii, name) in [
        ("user_id:mask", "ada@example.com"),
        ("email:mask", "auth0|5f1abc"),
        ("username:mask", "auth0|5f1abc"),
        ("email:mask", "adalove"),
    ] {
        let record = format!(r#"{{"details":{{"qs":{{"login_hint":"{name}"}}}}}}"#);
        assert_stays(pii, &record);
    }
    // Several addresses in one value, JSON as in a sign-in by another device, and an object.
    for pii in ["email:mask", "email:mask,username:mask"] {
        let becomes = applied(
            pii,
            r#"{"details":{"qs":{"login_hint":"Ada <ada@example.com>, bo@example.com"},"error":"no ada@example.com, bo@example.com"}}"#,
        );
        assert!(!becomes.contains("example"), "{becomes}");
    }
    assert_becomes(
        "username:pseudonym,user_id:mask",
        r#"{"details":{"login_hint":"{\"format\":\"iss_sub\",\"sub\":\"auth0|5f1abc\"}","error":"no auth0|5f1abc"}}"#,
        r#"{"details":{"login_hint":"{\"format\":\"iss_sub\",\"sub\":\"***\"}","error":"no ***"}}"#,
    );
    assert_becomes(
        "first_name:mask",
        r#"{"details":{"login_hint":{"name":"Ada"}}}"#,
        r#"{"details":{"login_hint":{"name":"***"}}}"#,
    );
    // An identifier is a user's in a call about blocked users. An API has an identifier too.
    for (request, expected) in [
        (
            r#""path":"/api/v2/user-blocks","query":{"identifier":"adalove"}"#,
            r#""path":"/api/v2/user-blocks","query":{"identifier":"***"}"#,
        ),
        (
            r#""query":{"identifier":"adalove"},"path":"/v2/user-blocks/""#,
            r#""query":{"identifier":"***"},"path":"/v2/user-blocks/""#,
        ),
        (
            r#""path":"/api/v2/user-blocks?identifier=adalove""#,
            r#""path":"/api/v2/user-blocks?identifier=***""#,
        ),
        (
            r#""path":"/api/v2/resource-servers","body":{"identifier":"my-api"}"#,
            r#""path":"/api/v2/resource-servers","body":{"identifier":"my-api"}"#,
        ),
    ] {
        let record = |it: &str| format!(r#"{{"details":{{"request":{{{it}}}}}}}"#);
        assert_becomes(PII, &record(request), &record(expected));
    }
    assert_becomes(
        "username:drop",
        r#"{"details":{"request":{"path":"/api/v2/user-blocks","query":{"identifier":"adalove","a":1}}}}"#,
        r#"{"details":{"request":{"path":"/api/v2/user-blocks","query":{"a":1}}}}"#,
    );
    // A phone number may be written as a number.
    assert_becomes(
        "username:mask",
        r#"{"details":{"request":{"path":"/api/v2/user-blocks","query":{"identifier":15550100200}},"error":"no 15550100200","n":[1]}}"#,
        r#"{"details":{"request":{"path":"/api/v2/user-blocks","query":{"identifier":"***"}},"error":"no ***","n":[1]}}"#,
    );
    // In JSON inside a string, and beside JSON whose objects are counted.
    assert_becomes(
        "username:mask,first_name:mask",
        r#"{"details":{"request":{"path":"/api/v2/user-blocks","query":{"identifier":"{\"a\":{}}"},"body":"{\"identifier\":\"ada\",\"user\":{\"name\":\"Bo\"},\"client\":{\"name\":\"Di\"}}"}}}"#,
        r#"{"details":{"request":{"path":"/api/v2/user-blocks","query":{"identifier":"{\"a\":{}}"},"body":"{\"identifier\":\"***\",\"user\":{\"name\":\"***\"},\"client\":{\"name\":\"Di\"}}"}}}"#,
    );
}
