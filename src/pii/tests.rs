mod directories;
mod escapes;
mod fields;
mod labels;
mod methods;
mod readings;
mod search;
mod settings;
mod several;
mod short_way;
mod texts;

use super::*;
use crate::redact::Redaction;
use crate::settings::{AppSettings, Reader, SettingsError};

/// `0123456789abcdef0123456789abcdef`
const KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
/// `another key of thirty-two bytes!`
const OTHER_KEY: &str = "YW5vdGhlciBrZXkgb2YgdGhpcnR5LXR3byBieXRlcyE=";

// Computed by Python's hmac, hashlib and base64 with the first key, over `email\0ada@example.com` and so
// on.
const ADA: &str = "p1_2xedtbutyn3h3xjwcepxqb2mqa";
const ADA_S_ID: &str = "p1_7ofbzlnuwkj44xqkrdedfdqzzi";
const ADA_S_PHONE: &str = "p1_og33wzyqar3qyjomabexpy6msm";
const ADA_S_IP: &str = "p1_zzswk4cq6ju5ee5swllsod5spm";
const AUGUSTA: &str = "p1_bf366fchw6yehdykphekrc3tkm";
const COUNTESS: &str = "p1_qtzhk5cz6jyhlmku2gtyiqhnry";
/// Computed with the other key.
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
