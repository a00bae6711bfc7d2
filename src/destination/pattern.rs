//! Texts with placeholders that are filled in from a record, such as `auth0.log.{type}`.

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::record::{LogId, category, texts};

/// The placeholders and their fields.
const FIELDS: [(&str, Field); 6] = [
    ("{type}", Field::Type),
    ("{category}", Field::Category),
    ("{tenant}", Field::Tenant),
    ("{user_id}", Field::UserId),
    ("{client_id}", Field::ClientId),
    ("{log_id}", Field::LogId),
];

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Field {
    Type,
    /// Auth0's category for the type.
    Category,
    /// The tenant's host.
    Tenant,
    UserId,
    ClientId,
    LogId,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Piece {
    Text(String),
    Field(Field),
}

/// A text with placeholders.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Pattern(Vec<Piece>);

/// The values for the placeholders.
pub(super) struct Filling<'a> {
    kind: Option<Cow<'a, str>>,
    user_id: Option<Cow<'a, str>>,
    client_id: Option<Cow<'a, str>>,
    tenant: &'a str,
    log_id: &'a LogId,
}

impl<'a> Filling<'a> {
    /// From a record's text, in which secrets are already masked.
    pub fn of(record: &'a str, log_id: &'a LogId, tenant: &'a str) -> Self {
        let [kind, user_id, client_id] = texts(record, ["type", "user_id", "client_id"]);
        Self {
            kind,
            user_id,
            client_id,
            tenant,
            log_id,
        }
    }

    fn field(&self, field: Field) -> &str {
        let kind = self.kind.as_deref();
        let text = match field {
            Field::Type => kind,
            Field::Category => kind.and_then(category),
            Field::Tenant => Some(self.tenant),
            Field::UserId => self.user_id.as_deref(),
            Field::ClientId => self.client_id.as_deref(),
            Field::LogId => Some(self.log_id.as_str()),
        };
        text.unwrap_or_default()
    }
}

impl Pattern {
    /// Parses a pattern. An error lists the placeholders.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let known = FIELDS.iter().find(|(name, _)| rest[at..].starts_with(name));
            let Some((name, field)) = known else {
                let names = FIELDS.map(|(name, _)| name).join(", ");
                return Err(format!(
                    "has an unknown placeholder or a brace too many; it takes {names}"
                ));
            };
            if at > 0 {
                pieces.push(Piece::Text(rest[..at].to_owned()));
            }
            pieces.push(Piece::Field(*field));
            rest = &rest[at + name.len()..];
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        Ok(Self(pieces))
    }

    /// Fills in the placeholders. A field that the record lacks becomes empty.
    pub fn fill(&self, filling: &Filling) -> String {
        let pieces = self.0.iter().map(|piece| match piece {
            Piece::Text(text) => text,
            Piece::Field(field) => filling.field(*field),
        });
        pieces.collect()
    }
}

/// Percent-encodes everything that a URI cannot hold.
pub(super) fn uri(text: &str) -> String {
    let mut uri = String::with_capacity(text.len());
    let fragment = text.find('#');
    for (at, byte) in text.bytes().enumerate() {
        let after = &text.as_bytes()[at + 1..];
        let fits = match byte {
            b'%' => after
                .get(..2)
                .is_some_and(|it| it.iter().all(u8::is_ascii_hexdigit)),
            // The first # begins the fragment, which cannot hold another one.
            b'#' => fragment == Some(at),
            byte => byte.is_ascii_alphanumeric() || b"-._~:/?[]@!$&'()*+,;=".contains(&byte),
        };
        if fits {
            uri.push(char::from(byte));
        } else {
            // Writing to a String does not fail.
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: &str = r#"{"type":"fp","user_id":"auth0|1","client_id":"c1","description":"x"}"#;

    fn fill(pattern: &str, record: &str) -> String {
        let log_id = LogId::new("900123");
        let filling = Filling::of(record, &log_id, "acme.eu.auth0.com");
        Pattern::parse(pattern).unwrap().fill(&filling)
    }

    #[test]
    fn a_record_fills_every_placeholder() {
        for (pattern, text) in [
            ("auth0.log.{type}", "auth0.log.fp"),
            (
                "{category}/{tenant}/{user_id}",
                "auth.login.fail/acme.eu.auth0.com/auth0|1",
            ),
            ("{client_id}{log_id}", "c1900123"),
            ("plain", "plain"),
            ("", ""),
        ] {
            assert_eq!(fill(pattern, RECORD), text);
        }
    }

    #[test]
    fn what_a_record_lacks_is_left_out() {
        let odd = r#"{"type":"new_type","user_id":"","client_id":7}"#;
        assert_eq!(
            fill("<{type}|{category}|{user_id}|{client_id}>", odd),
            "<new_type|||>"
        );
        assert_eq!(fill("a.{type}", "{}"), "a.");
    }

    #[test]
    fn an_unknown_placeholder_is_a_problem_that_names_the_known_ones() {
        let problem = "has an unknown placeholder or a brace too many; it takes {type}, \
                       {category}, {tenant}, {user_id}, {client_id}, {log_id}";
        for text in [
            "{ip}",
            "{Type}",
            "{type",
            "type}",
            "{}",
            "{{type}}",
            "a{type}b{c}",
        ] {
            assert_eq!(Pattern::parse(text), Err(problem.to_owned()), "{text}");
        }
    }

    #[test]
    fn a_uri_holds_only_what_a_uri_may() {
        assert_eq!(uri("urn:auth0:a.b/c?d=%20"), "urn:auth0:a.b/c?d=%20");
        assert_eq!(uri("auth0|1 \"é\u{1}"), "auth0%7C1%20%22%C3%A9%01");
        // A percent sign without two hex digits, and a second #.
        assert_eq!(uri("50%-off%2G%4%"), "50%25-off%252G%254%25");
        assert_eq!(uri("a#b#c"), "a#b%23c");
    }
}
