//! The settings for personal data.

use super::*;

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
    // A key of 31 bytes, and one that is not base64.
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
    // Even if no kind gets a pseudonym yet.
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

/// The platform may get the key later. Until then nothing is sent that needs it, and nothing else waits.
#[test]
fn a_key_that_the_vault_does_not_give_stops_only_what_needs_it() {
    let reference = "@Microsoft.KeyVault(SecretUri=https://acme.vault.azure.net/secrets/PiiKey/)";
    let key = ("PII_KEY", reference);
    let policy = read(&[("PII", ALL), ("PII_ARCHIVE", "ip:mask,email:drop"), key]).unwrap();
    assert_eq!(
        Privacy::new(Redaction::Off, policy).line(r#"{"ip":"203.0.113.7","email":"a@b.c"}"#),
        r#"{"ip":"***"}"#
    );
    assert!(read(&[("PII_ARCHIVE", "none"), key]).unwrap().is_empty());
    assert!(read(&[key]).unwrap().is_empty());
    for of_all in ["ip:pseudonym", "ip:mask,email:pseudonym"] {
        let problem = read(&[("PII", of_all), key]).unwrap_err().to_string();
        assert!(
            problem.contains("PII_KEY is a Key Vault reference that was not resolved"),
            "{problem}"
        );
    }
    // What decides whether the key is needed is not known.
    assert!(read(&[("PII_ARCHIVE", reference), key]).is_err());
    assert!(read(&[("PII", reference), key]).is_err());
    // The previous key is for people to look a pseudonym up.
    let previous = ("PII_KEY_PREVIOUS", reference);
    let current = ("PII_KEY", KEY);
    assert!(read(&[("PII", "ip:mask"), current, previous]).is_ok());
}
