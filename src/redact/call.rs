//! Recognises calls of the Management API that have secrets under names that their callers choose.
//!
//! `details.request.path` tells, where Auth0 writes which endpoint was called. If a record has it twice,
//! the first one counts, as it does for the columns.

use crate::encoded;
use crate::json::{self, Scanner, Token};

/// Where a record has the path of a call.
const PATH: [&str; 3] = ["details", "request", "path"];

/// Whether everything in the bodies of the call that a record describes is a secret.
pub fn sets_secrets(record: &str) -> bool {
    // Most records have neither this name nor an escape that may be part of it.
    (record.contains("path") || record.contains("\\u00"))
        && within(record, &PATH).is_some_and(|path| is_of_secrets(&path))
}

/// The first string under these nested names. Each level may also be JSON in a string.
fn within(text: &str, names: &[&str]) -> Option<String> {
    let mut tokens = Scanner::new(text);
    match tokens.next() {
        Some(Token::BeginObject) => find(&mut tokens, names),
        _ => None,
    }
}

/// The same in the rest of an object.
fn find(tokens: &mut Scanner, names: &[&str]) -> Option<String> {
    let (name, below) = names.split_first()?;
    while let Some(Token::Key(key)) = tokens.next() {
        let is_named = json::unescape(key).is_some_and(|it| it == *name);
        let found = match tokens.next()? {
            Token::Text(text) if is_named => {
                let text = json::unescape_lossy(text);
                match below {
                    [] => Some(text.into_owned()),
                    _ => within(&text, below),
                }
            }
            Token::BeginObject if is_named && !below.is_empty() => find(tokens, below),
            Token::BeginObject | Token::BeginArray => {
                tokens.skip_rest();
                None
            }
            _ => None,
        };
        if found.is_some() {
            return found;
        }
    }
    None
}

/// Whether a path is one of `/rules-configs/KEY` and `/hooks/ID/secrets`.
fn is_of_secrets(path: &str) -> bool {
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let path = decoded(path.as_bytes()).to_ascii_lowercase();
    let segments = path.trim_ascii().split(|it| *it == b'/');
    let segments: Vec<&[u8]> = segments.filter(|it| !it.is_empty()).collect();
    let prefix = match *segments {
        [b"api", b"v2", ..] => 2,
        [b"v2", ..] => 1,
        _ => 0,
    };
    let segments = &segments[prefix..];
    // Clients do not send such segments by themselves, and the server decides where they lead.
    let is_plain = !segments.iter().any(|it| matches!(*it, b"." | b".."));
    let is_of_secrets = matches!(
        segments,
        [b"rules-configs", _, ..] | [b"hooks", _, b"secrets", ..]
    );
    is_plain && is_of_secrets
}

/// Decodes `%2F` and the like, once, as servers do.
fn decoded(path: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut ahead = path;
    while let Some((first, rest)) = ahead.split_first() {
        let escaped = match rest {
            [high, low, ..] if *first == b'%' => encoded::hex(*high, *low),
            _ => None,
        };
        bytes.push(escaped.unwrap_or(*first));
        ahead = if escaped.is_some() { &rest[2..] } else { rest };
    }
    bytes
}
