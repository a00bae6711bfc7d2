//! Masking of secrets: what stands under the name of a secret is replaced before a record leaves
//! the process. Names stay, so that it is visible that something was there.
//!
//! Auth0 writes the bodies of Management API calls into its log, and with them the secrets of
//! applications, connections, log streams and Actions, passwords, and tokens. It is names that tell
//! them; of a value itself only two things are looked at: the parameters of a URL, and whether it is
//! a private key.

use std::borrow::Cow;

use crate::json::{self, Scanner, Token};

/// What stands instead of a secret.
pub const MASK: &str = "***";

/// Names that say that every text and number below them is a secret.
const WHOLE: [&str; 5] = ["configuration", "p12", "secrets", "signingkey", "skey"];
/// Ends of such names.
const WHOLE_ENDINGS: [&str; 7] = [
    "clientsecrets",
    "customheaders",
    "decryptionkey",
    "passwordhash",
    "pkcs12",
    "privatekey",
    "servercredentials",
];
/// Letters at the end of a name that are looked at: more than the longest of these has.
const TAIL: usize = 24;

/// Ends of names whose values are secrets, by their last letter. An object under such a name is
/// none: it is settings, such as the lifetimes under an application's `refresh_token`.
///
/// Here and above, names are lower case and without what is no letter or digit.
fn endings(last: u8) -> &'static [&'static str] {
    match last {
        b'd' => &["password", "pwd", "ticketid"],
        b'e' => &[
            "cookie",
            "devicecode",
            "oobcode",
            "passcode",
            "passphrase",
            "recoverycode",
            "samlresponse",
            "verificationcode",
        ],
        b'f' => &["csrf"],
        b'g' => &["connectionstring"],
        b'l' => &["invitationurl", "reseturl", "ticketurl", "verificationurl"],
        b'n' => &["assertion", "authorization", "token"],
        b'p' => &["otp"],
        b'r' => &["codeverifier"],
        b's' => &[
            "passwords",
            "recoverycodes",
            "smtppass",
            "sumosourceaddress",
            "tokens",
        ],
        b't' => &["idtokenhint", "secret", "ticket"],
        b'y' => &[
            "accesskey",
            "apikey",
            "masterkey",
            "saskey",
            "secretkey",
            "serverkey",
            "sharedkey",
            "writekey",
        ],
        _ => &[],
    }
}

/// The setting `REDACT`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Redaction {
    /// Mask secrets.
    On,
    /// Send records as they are.
    Off,
}

impl Redaction {
    /// What masks the secrets of this record.
    #[must_use]
    pub fn of(self, record: &str) -> Masker {
        let is_on = self == Self::On;
        // In these calls any name may be a secret's: users choose them.
        let is_about_secrets = || {
            record.contains("/rules-configs/")
                || (record.contains("/hooks/") && record.contains("/secrets"))
        };
        Masker {
            is_on,
            masks_bodies: is_on && is_about_secrets(),
        }
    }

    /// A record on one line, masked.
    #[must_use]
    pub fn line(self, record: &str) -> String {
        let mut line = String::with_capacity(record.len());
        let mut tokens = Scanner::new(record);
        if let Some(first) = tokens.next() {
            let masker = self.of(record);
            masker.copy(Secrecy::Open, first, &mut tokens, &mut line);
        }
        line
    }
}

/// What a name says of its value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Secrecy {
    /// Nothing.
    Open,
    /// It is a secret, unless it is an object.
    Value,
    /// It is a secret, with all that is in it.
    Whole,
}

/// Masks the secrets of one record.
#[derive(Clone, Copy, Debug)]
pub struct Masker {
    is_on: bool,
    masks_bodies: bool,
}

impl Masker {
    /// Judges the name of a member, as it was written.
    #[must_use]
    pub fn judge(self, key: &str) -> Secrecy {
        if !self.is_on {
            Secrecy::Open
        } else if self.masks_bodies && key == "body" {
            Secrecy::Whole
        } else {
            // What cannot be read is judged as it stands.
            judge(&json::unescape(key).unwrap_or(Cow::Borrowed(key)))
        }
    }

    /// A text, as it may leave the process.
    #[must_use]
    pub fn text(self, secrecy: Secrecy, text: &str) -> Cow<'_, str> {
        if secrecy != Secrecy::Open || (self.is_on && text.contains("PRIVATE KEY-----")) {
            Cow::Borrowed(MASK)
        } else if self.is_on && text.contains(['?', '#']) {
            without_parameters(text)
        } else {
            Cow::Borrowed(text)
        }
    }

    /// Copies a value, of which `first` was read already, behind what `out` holds.
    pub fn copy(self, secrecy: Secrecy, first: Token, rest: &mut Scanner, out: &mut String) {
        let mut depth = 0_usize;
        // Everything below this depth is a secret.
        let mut masked_from = None;
        let mut secrecy = secrecy;
        let mut token = first;
        loop {
            if masked_from.is_some() {
                secrecy = Secrecy::Whole;
            }
            match token {
                Token::Text(text) => json::write(out, Token::Text(&self.text(secrecy, text))),
                Token::Number(_) if secrecy != Secrecy::Open => {
                    json::write(out, Token::Text(MASK));
                }
                _ => json::write(out, token),
            }
            match token {
                Token::BeginObject | Token::BeginArray => {
                    let is_settings = secrecy == Secrecy::Value && token == Token::BeginObject;
                    if secrecy != Secrecy::Open && masked_from.is_none() && !is_settings {
                        masked_from = Some(depth);
                    }
                    depth += 1;
                }
                Token::EndObject | Token::EndArray => {
                    depth = depth.saturating_sub(1);
                    if masked_from == Some(depth) {
                        masked_from = None;
                    }
                }
                _ => {}
            }
            secrecy = match token {
                Token::Key(key) => self.judge(key),
                _ if depth == 0 => return,
                _ => Secrecy::Open,
            };
            match rest.next() {
                Some(next) => token = next,
                None => return,
            }
        }
    }
}

fn judge(key: &str) -> Secrecy {
    let letters = key.bytes().rev().filter(u8::is_ascii_alphanumeric);
    let mut tail = [0; TAIL];
    let mut from = TAIL;
    for letter in letters.take(TAIL) {
        from -= 1;
        tail[from] = letter.to_ascii_lowercase();
    }
    let name = &tail[from..];
    let ends = |ending: &&str| name.ends_with(ending.as_bytes());
    if WHOLE.iter().any(|it| name == it.as_bytes()) || WHOLE_ENDINGS.iter().any(ends) {
        Secrecy::Whole
    } else if name.last().is_some_and(|it| endings(*it).iter().any(ends)) {
        Secrecy::Value
    } else {
        Secrecy::Open
    }
}

/// Masks the parameters of URLs in a text: `/reset?ticket=…`.
fn without_parameters(text: &str) -> Cow<'_, str> {
    let mut masked = String::new();
    let mut copied = 0;
    let mut begin = 0;
    for part in text.split_inclusive(['?', '#', '&']) {
        if let Some((name, value)) = part.split_once('=').filter(|_| begin > 0)
            && judge(name) != Secrecy::Open
        {
            let is_end = |it: char| it.is_whitespace() || "?#&\"<>\\".contains(it);
            let length = value.find(is_end).unwrap_or(value.len());
            let value = begin + name.len() + 1;
            masked.push_str(&text[copied..value]);
            masked.push_str(MASK);
            copied = value + length;
        }
        begin += part.len();
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    masked.push_str(&text[copied..]);
    Cow::Owned(masked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_masked(record: &str, expected: &str) {
        assert_eq!(Redaction::On.line(record), expected);
    }

    #[test]
    fn a_secret_is_masked_at_any_depth_and_its_name_stays() {
        assert_masked(
            r#"{"a": {"b": [{"client_secret": "x", "name": "web"}]}, "Password": "y"}"#,
            r#"{"a":{"b":[{"client_secret":"***","name":"web"}]},"Password":"***"}"#,
        );
    }

    #[test]
    fn names_are_known_in_every_spelling() {
        for name in [
            "clientSecret",
            "CLIENT-SECRET",
            "newPassword",
            "access_token",
            "idToken",
            "otp",
            "private_key",
            "twilio_token",
            "httpAuthorization",
            "splunkToken",
            "mixpanelServiceAccountPassword",
            "segmentWriteKey",
            "datadogApiKey",
            "smtp_pass",
            "secretAccessKey",
            "consumer_secret",
            "client_assertion",
            "recovery_code",
            "ticket",
            "login_ticket",
            "_csrf",
            "set-cookie",
            "client\\u005fsecret",
            "\\ud800client_secret",
            "resetUrl",
            "ticket_id",
            "sumoSourceAddress",
            "db_pwd",
        ] {
            let record = format!(r#"{{"{name}":"hidden"}}"#);
            assert_masked(&record, &format!(r#"{{"{name}":"***"}}"#));
        }
    }

    #[test]
    fn what_only_sounds_like_a_secret_is_left() {
        for open in [
            r#"{"token_lifetime":86400,"token_endpoint_auth_method":"none","accessedSecrets":["KEY"]}"#,
            r#"{"verify_password":true,"password":null,"description":"the password is wrong"}"#,
            r#"{"refresh_token":{"rotation_type":"rotating","leeway":0}}"#,
            r#"{"change_password":{"enabled":true,"html":"<form>"},"options":{"totp":{"length":6}}}"#,
            r#"{"authentication_methods":{"password":{"api_behavior":"required"}},"public_key":"pem"}"#,
            r#"{"originalUrl":"/authorize?client_id=a&state=b#top","text":"which token? this = that"}"#,
            r#"{"details":{"code":"invalid_password"},"session_id":"abc","jti":"def"}"#,
        ] {
            assert_masked(open, open);
        }
    }

    #[test]
    fn everything_within_a_secret_is_one() {
        assert_masked(
            r#"{"secrets":[{"name":"A","value":"x","on":true}],"private_key":{"kty":"RSA","d":[1,[2]]},"n":1}"#,
            r#"{"secrets":[{"name":"***","value":"***","on":true}],"private_key":{"kty":"***","d":["***",["***"]]},"n":1}"#,
        );
        assert_masked(
            r#"{"password":123456,"refresh_token":"x","refresh_tokens":["y"],"id":"z"}"#,
            r#"{"password":"***","refresh_token":"***","refresh_tokens":["***"],"id":"z"}"#,
        );
    }

    #[test]
    fn what_users_name_themselves_is_masked_with_all_that_is_in_it() {
        assert_masked(
            r#"{"options":{"configuration":{"MONGO_URI":"x"},"signing_key":{"cert":"y","key":"z"}}}"#,
            r#"{"options":{"configuration":{"MONGO_URI":"***"},"signing_key":{"cert":"***","key":"***"}}}"#,
        );
        assert_masked(
            r#"{"request":{"body":{"STRIPE":"x"},"path":"/api/v2/hooks/1/secrets"},"name":"y"}"#,
            r#"{"request":{"body":{"STRIPE":"***"},"path":"/api/v2/hooks/1/secrets"},"name":"y"}"#,
        );
        assert_masked(
            r#"{"request":{"path":"/api/v2/rules-configs/STRIPE","body":{"value":"x"}}}"#,
            r#"{"request":{"path":"/api/v2/rules-configs/STRIPE","body":{"value":"***"}}}"#,
        );
    }

    #[test]
    fn a_private_key_and_parameters_of_urls_are_known_by_themselves() {
        assert_masked(
            r#"{"pem":"-----BEGIN RSA PRIVATE KEY-----\nMII","cert":"-----BEGIN CERTIFICATE-----"}"#,
            r#"{"pem":"***","cert":"-----BEGIN CERTIFICATE-----"}"#,
        );
        assert_masked(
            r#"{"url":"/u/reset?ticket=abc&lang=en&id_token_hint=x.y#access_token=z","body":"see https://a/?token=b now"}"#,
            r#"{"url":"/u/reset?ticket=***&lang=en&id_token_hint=***#access_token=***","body":"see https://a/?token=*** now"}"#,
        );
    }

    #[test]
    fn nothing_is_masked_where_that_is_switched_off() {
        let record = r#"{"password":"x"}"#;
        assert_eq!(Redaction::Off.line(record), record);
    }

    #[test]
    fn a_record_of_any_depth_is_copied() {
        let deep = format!("{}1{}", r#"{"a":["#.repeat(50_000), "]}".repeat(50_000));
        assert_masked(&deep, &deep);
    }
}
