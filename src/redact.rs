//! Masking of secrets: what tenants keep in fields of that name is replaced before a record leaves
//! the process. Names stay, so that it is visible that something was there.
//!
//! Auth0 writes the bodies of Management API calls into its log, and with them the secrets of
//! applications, connections, log streams and Actions, passwords, and tokens.

use crate::json::{self, Scanner, Token};

/// What stands instead of a secret.
pub const MASK: &str = "***";

/// Ends of names, lower case and without what is no letter or digit, whose values are secrets.
const ENDINGS: [&str; 25] = [
    "accesskey",
    "apikey",
    "assertion",
    "authorization",
    "codeverifier",
    "connectionstring",
    "cookie",
    "csrf",
    "otp",
    "passcode",
    "passphrase",
    "password",
    "passwordhash",
    "passwords",
    "privatekey",
    "recoverycode",
    "recoverycodes",
    "secret",
    "secretkey",
    "sharedkey",
    "smtppass",
    "ticket",
    "token",
    "tokens",
    "writekey",
];
/// Whole names. As an ending `secrets` would mask `accessedSecrets`, a list of names.
const NAMES: [&str; 5] = [
    "clientsecrets",
    "idtokenhint",
    "pkcs12",
    "samlresponse",
    "secrets",
];
/// A name that ends like a secret's and is an application's settings where it holds an object.
const SETTINGS: &str = "refreshtoken";
/// Letters at the end of a name that are looked at: more than the longest of the above has.
const TAIL: usize = 24;

/// The setting `REDACT`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Redaction {
    /// Mask secrets.
    On,
    /// Send records as they are.
    Off,
}

/// What a name says of its value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Secrecy {
    /// Nothing.
    Open,
    /// It is a secret, unless it is an object.
    Scalar,
    /// It is a secret, with all that is in it.
    Whole,
}

impl Redaction {
    /// Judges the name of a member, as it was written.
    #[must_use]
    pub fn judge(self, key: &str) -> Secrecy {
        if self == Self::Off {
            return Secrecy::Open;
        }
        match json::unescape(key) {
            Some(key) => judge(&key),
            None => Secrecy::Open,
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
            let is_masked = masked_from.is_some() || secrecy != Secrecy::Open;
            match token {
                Token::Text(_) | Token::Number(_) if is_masked => {
                    json::write(out, Token::Text(MASK));
                }
                _ => json::write(out, token),
            }
            match token {
                Token::BeginObject | Token::BeginArray => {
                    let is_settings = secrecy == Secrecy::Scalar && token == Token::BeginObject;
                    if is_masked && masked_from.is_none() && !is_settings {
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

    /// A record on one line, masked.
    #[must_use]
    pub fn line(self, record: &str) -> String {
        let mut line = String::with_capacity(record.len());
        let mut tokens = Scanner::new(record);
        if let Some(first) = tokens.next() {
            self.copy(Secrecy::Open, first, &mut tokens, &mut line);
        }
        line
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
    if name == SETTINGS.as_bytes() {
        Secrecy::Scalar
    } else if NAMES.iter().any(|it| name == it.as_bytes())
        || ENDINGS.iter().any(|it| name.ends_with(it.as_bytes()))
    {
        Secrecy::Whole
    } else {
        Secrecy::Open
    }
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
