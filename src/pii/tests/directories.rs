//! Persons as directories and identity providers write them.

use super::*;

const PERSONS: &str = "email:mask,username:mask,user_id:mask,phone:mask,first_name:mask,\
                       last_name:mask";

/// A record of a warning at a log-in, with this profile of the identity provider.
fn with_profile(profile: &str) -> String {
    let profile = crate::json::escape(profile);
    format!(r#"{{"type":"w","details":{{"original_profile":"{profile}"}}}}"#)
}

#[test]
fn the_profile_of_an_identity_provider_tells_nobody() {
    for (profile, expected) in [
        // Entra
        (
            r#"{"otherMails":["ada@home.example"],"mailNickname":"adal","unique_name":"adalove","onPremisesSamAccountName":"alove","onPremisesUserPrincipalName":"al@corp","onPremisesDistinguishedName":"CN=Ada Lovelace,OU=x"}"#,
            r#"{"otherMails":["***"],"mailNickname":"***","unique_name":"***","onPremisesSamAccountName":"***","onPremisesUserPrincipalName":"***","onPremisesDistinguishedName":"***"}"#,
        ),
        (
            r#"{"proxyAddresses":["SMTP:ada@corp.example","smtp:al@corp.example","X500:/o=acme"],"imAddresses":["sip:ada@im.example"],"oid":"9f0c"}"#,
            r#"{"proxyAddresses":["SMTP:***","smtp:***","X500:/o=acme"],"imAddresses":["sip:***"],"oid":"***"}"#,
        ),
        // LDAP, where a value may be a list or a number.
        (
            r#"{"sn":"Lovelace","cn":["Ada Lovelace"],"commonName":"Ada King","uid":1815,"dn":"uid=ada,ou=x","distinguishedName":"CN=Ada,OU=x","sAMAccountName":"alove"}"#,
            r#"{"sn":"***","cn":["***"],"commonName":"***","uid":"***","dn":"***","distinguishedName":"***","sAMAccountName":"***"}"#,
        ),
        (r#"{"uid":["al","alove"]}"#, r#"{"uid":["***","***"]}"#),
        // SAML
        (
            r#"{"eduPersonPrincipalName":"ada@uni","urn:oid:2.5.4.4":"Lovelace","urn:oid:2.5.4.42":"Ada","urn:oid:2.5.4.3":"Ada Lovelace","urn:oid:0.9.2342.19200300.100.1.3":"ada@example.com","urn:oid:0.9.2342.19200300.100.1.1":"alove","urn:oid:1.3.6.1.4.1.5923.1.1.1.6":"al@uni","urn:oid:2.5.4.20":"5550100","urn:oid:2.16.840.1.113730.3.1.241":"Ada L","urn:oid:2.5.4.12":"Countess"}"#,
            r#"{"eduPersonPrincipalName":"***","urn:oid:2.5.4.4":"***","urn:oid:2.5.4.42":"***","urn:oid:2.5.4.3":"***","urn:oid:0.9.2342.19200300.100.1.3":"***","urn:oid:0.9.2342.19200300.100.1.1":"***","urn:oid:1.3.6.1.4.1.5923.1.1.1.6":"***","urn:oid:2.5.4.20":"***","urn:oid:2.16.840.1.113730.3.1.241":"***","urn:oid:2.5.4.12":"Countess"}"#,
        ),
        (
            r#"{"nameIdAttributes":{"value":"G-1815","Format":"urn:oasis:names:tc:SAML:2.0:nameid-format:persistent"}}"#,
            r#"{"nameIdAttributes":{"value":"***","Format":"urn:oasis:names:tc:SAML:2.0:nameid-format:persistent"}}"#,
        ),
        // GitHub
        (
            r#"{"login":"adal","company":"Acme"}"#,
            r#"{"login":"***","company":"Acme"}"#,
        ),
        // By its looks, at any depth, but for what has a name of its own.
        (
            r#"{"contact":"ada@home.example","reachable":["+1 555 010 0200"],"a":{"b":[{"linked":"auth0|5f1abc","name":"boss"}]},"note":"or bo@example.com","app":{"owned":"x|y"},"page":"https://acme.example/@ada"}"#,
            r#"{"contact":"***","reachable":["***"],"a":{"b":[{"linked":"***","name":"boss"}]},"note":"or ***","app":{"owned":"x|y"},"page":"https://acme.example/@ada"}"#,
        ),
    ] {
        let becomes = applied(PERSONS, &with_profile(profile));
        assert_eq!(becomes, with_profile(expected));
    }
}

#[test]
fn attributes_of_a_directory_beside_those_of_a_user_are_the_user_s() {
    // As the Management API answers about a user of an enterprise connection.
    assert_becomes(
        PERSONS,
        r#"{"details":{"request":{"path":"/api/v2/users/waad%7C1","body":{"app_metadata":{}}},"response":{"body":{"user_id":"waad|1","email":"ada@example.com","sn":"Lovelace","cn":"Ada Lovelace","uid":"alove","dn":"CN=Ada","otherMails":["al@home.example"],"mailNickname":"adal","groups":["Staff"]}}},"description":"by Lovelace (alove), adal"}"#,
        r#"{"details":{"request":{"path":"/api/v2/users/***","body":{"app_metadata":{}}},"response":{"body":{"user_id":"***","email":"***","sn":"***","cn":"***","uid":"***","dn":"***","otherMails":["***"],"mailNickname":"***","groups":["Staff"]}}},"description":"by *** (***), ***"}"#,
    );
    // The path says what the body is about.
    assert_becomes(
        PERSONS,
        r#"{"details":{"request":{"path":"/api/v2/users/ad%7C1","body":{"sn":"Lovelace"}}}}"#,
        r#"{"details":{"request":{"path":"/api/v2/users/***","body":{"sn":"***"}}}}"#,
    );
    // The names of SAML's attributes are those of a user's.
    assert_becomes(
        PERSONS,
        r#"{"details":{"attributes":{"urn:mace:dir:attribute-def:sn":"Lovelace","urn:mace:dir:attribute-def:cn":"Ada L","urn:mace:dir:attribute-def:uid":"alove"},"b":{"urn:oid:2.5.4.4":"Lovelace"}}}"#,
        r#"{"details":{"attributes":{"urn:mace:dir:attribute-def:sn":"***","urn:mace:dir:attribute-def:cn":"***","urn:mace:dir:attribute-def:uid":"***"},"b":{"urn:oid:2.5.4.4":"***"}}}"#,
    );
}

#[test]
fn each_attribute_of_a_directory_has_the_method_of_its_kind() {
    let profile = r#"{"sn":"King","uid":"al","cn":"Ada","mailNickname":"adal","x":"ada@x.y"}"#;
    for (pii, expected) in [
        (
            "last_name:mask",
            r#"{"sn":"***","uid":"al","cn":"***","mailNickname":"adal","x":"ada@x.y"}"#,
        ),
        (
            "username:mask",
            r#"{"sn":"King","uid":"***","cn":"Ada","mailNickname":"***","x":"ada@x.y"}"#,
        ),
        (
            "first_name:drop,last_name:drop,email:drop",
            r#"{"uid":"al","mailNickname":"adal"}"#,
        ),
        ("username:drop", r#"{"sn":"King","cn":"Ada","x":"ada@x.y"}"#),
        ("ip:mask", profile),
    ] {
        let becomes = applied(pii, &with_profile(profile));
        assert_eq!(becomes, with_profile(expected), "{pii}");
        let plain = |profile: &str| format!(r#"{{"details":{{"profile":{profile}}}}}"#);
        assert_becomes(pii, &plain(profile), &plain(expected));
    }
    // An address has one pseudonym, with a scheme before it too.
    assert_becomes(
        "email:pseudonym",
        r#"{"details":{"profile":{"proxyAddresses":["SMTP:ada@example.com"],"otherMails":["ada@example.com"],"x":"ada@example.com","uid":"ada@example.com"}}}"#,
        &format!(
            r#"{{"details":{{"profile":{{"proxyAddresses":["SMTP:{ADA}@example.com"],"otherMails":["{ADA}@example.com"],"x":"{ADA}@example.com","uid":"{ADA}@example.com"}}}}}}"#
        ),
    );
    // A value that looks like another kind is of that kind, if it is treated.
    assert_becomes(
        "user_id:mask",
        r#"{"details":{"user":{"uid":"auth0|5f1abc"},"login":"auth0|5f1abd"}}"#,
        r#"{"details":{"user":{"uid":"***"},"login":"***"}}"#,
    );
}

#[test]
fn short_names_of_a_directory_mean_something_else_elsewhere() {
    for record in [
        r#"{"details":{"device":{"sn":"C02X","uid":"1815","oid":"9f0c"},"certificate":{"cn":"login.acme.example","dn":"CN=login.acme.example","commonName":"acme"},"sns":"Lovelace","dns":"Ada","uids":["al"],"login":"universal"}}"#,
        r#"{"details":{"request":{"path":"/api/v2/clients/a","body":{"sn":"Lovelace","uid":"al","login":"x"}}}}"#,
        r#"{"details":{"client":{"email":"a","cn":"Shop","uid":"al","sn":"Lovelace"}}}"#,
        // Only a claim's last part counts.
        r#"{"details":{"user":{"device.sn":"C02X","machine/uid":"1815","phone.dn":"x"}}}"#,
    ] {
        assert_stays(
            "username:mask,user_id:mask,first_name:mask,last_name:mask",
            record,
        );
    }
}

#[test]
fn what_names_nobody_in_a_user_s_object_stays() {
    assert_stays(
        PERSONS,
        r#"{"type":"sapi","details":{"request":{"auth":{"user":{"picture":"https://cdn.example/ada@2x.png","locale":"en","type":"a@b.c","scope":"a|b","client":"shop@clients","logins":"+1","n":15550100200,"groups":["CN=Admins,OU=x"],"plan":"gold | silver","l":null,"ok":true,"app":{"callbacks":["x@y"],"z":"q@w.e"}}}}}}"#,
    );
    let with_form = r#"{"details":{"user":{"note":"a=1&email=ada@x.y"}}}"#;
    assert!(!applied("email:mask", with_form).contains("ada@x.y"));
}
