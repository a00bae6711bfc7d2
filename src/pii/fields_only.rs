//! The short way, which most records take: they have personal data only in fields that are personal as a
//! whole. These strings are replaced in place, and nothing else is rewritten.
//!
//! Any other record takes the long way (`Policy::apply`). The short way is taken only if both give the
//! same result.

use std::borrow::Cow;

use super::Policy;
use super::find::Finder;
use super::found::Found;
use super::looks::{is_word, may_name_somebody};
use super::pieces::{BYTES_OF_ONE, Piece, Reading};
use super::prefilter::{Prefilter, is_simple};
use super::search::SHORTEST;
use super::walk::{Role, Walk};
use crate::json::{Scanner, Token, unescape_lossy};
use crate::redact::Redaction;

/// A token that may change.
struct Part {
    /// Its index among the tokens.
    place: usize,
    role: Role,
    reading: Reading,
}

/// What a scan of the whole record tells, so that not every string has to be examined.
struct Glance {
    /// Whether a string may contain a form, or JSON, whose quotes are escaped.
    has_signs: bool,
    /// Whether all strings are [simple](is_simple).
    is_simple: bool,
}

impl Glance {
    fn at(record: &str) -> Self {
        let is_simple = is_simple(record);
        let record = record.as_bytes();
        Self {
            has_signs: memchr::memchr2(b'=', b'\\', record).is_some()
                || memchr::memchr2(b'%', b'&', record).is_some(),
            is_simple,
        }
    }
}

/// The tokens of a record with its personal data replaced, but its secrets not yet masked; `None` if the
/// record has to take the long way. The tokens borrow the replacements from `room`.
pub(super) fn plain<'t, 'p: 't>(
    policy: &'p Policy,
    redaction: Redaction,
    record: &'t str,
    room: &'t mut Option<Found<'p>>,
) -> Option<Vec<Token<'t>>> {
    if policy.leaves_out() {
        return None;
    }
    let glance = Glance::at(record);
    let mut finder = Finder::new(policy);
    let mut tokens = Vec::with_capacity(record.len() / BYTES_OF_ONE + 1);
    let mut parts = read(policy, &glance, &mut finder, record, &mut tokens)?;
    let found = finder.finish(|at, reading| parts[at].reading = reading);
    let Some(found) = found else {
        return Some(tokens);
    };
    let found = &*room.insert(found);
    let prefilter = found.prefilter();
    for part in &parts {
        let token = &mut tokens[part.place];
        if let Reading::Personal(number) = part.reading {
            match token {
                // If a part of the string may be a secret, that is masked first, on the long way.
                Token::Text(raw) if !redaction.may_mask(raw) => {}
                _ => return None,
            }
            // Masks, pseudonyms and truncated values contain nothing that JSON has to escape.
            if let Some(new) = found.noted(number) {
                *token = Token::Text(new);
            }
        } else if !stays(found, &prefilter, *token, part, glance.is_simple) {
            return None;
        }
    }
    Some(tokens)
}

/// Reads a record; `None` if it has to take the long way.
fn read<'t>(
    policy: &Policy,
    glance: &Glance,
    finder: &mut Finder,
    record: &'t str,
    tokens: &mut Vec<Token<'t>>,
) -> Option<Vec<Part>> {
    let mut walk = Walk::of_record();
    let mut parts = Vec::with_capacity(record.len() / BYTES_OF_ONE + 1);
    for token in Scanner::new(record) {
        let part = |role, reading| Part {
            place: tokens.len(),
            role,
            reading,
        };
        match token {
            Token::Key(raw) => {
                if !walk.key(raw) && raw.len() >= SHORTEST {
                    finder.key(raw);
                    parts.push(part(Role::Open, Reading::Open));
                }
            }
            Token::EndObject | Token::EndArray => {
                if let Some(left) = walk.end() {
                    finder.leave(left);
                }
                if walk.is_over() {
                    tokens.push(token);
                    return Some(parts);
                }
            }
            Token::BeginObject | Token::BeginArray => {
                walk.begin(token == Token::BeginArray, finder.enter());
            }
            Token::Text(raw) | Token::Number(raw) => match walk.role() {
                Role::Fixed => {}
                role if is_open(policy, role) && !(glance.has_signs && may_name_somebody(raw)) => {
                    if raw.len() >= SHORTEST {
                        parts.push(part(role, Reading::Open));
                    }
                }
                role => {
                    let reading = finder.piece(&Piece::of(token, &walk), Some(parts.len()));
                    if reading == Reading::HasJson {
                        return None;
                    }
                    parts.push(part(role, reading));
                }
            },
            Token::Bool(_) | Token::Null => {}
        }
        // A later member may say what the value is.
        if walk.is_over() || walk.has_values() {
            return None;
        }
        tokens.push(token);
    }
    // The record was cut.
    None
}

/// Whether the policy keeps a value of this role as it is, unless it contains JSON or a form.
fn is_open(policy: &Policy, role: Role) -> bool {
    match role {
        Role::Personal(kind) => policy.method(kind).is_none(),
        // A policy for locations leaves members out, so it never takes the short way.
        Role::Open | Role::Word | Role::Place | Role::Town | Role::Country | Role::Coordinate => {
            true
        }
        _ => false,
    }
}

/// Whether a token stays as it is.
fn stays(found: &Found, prefilter: &Prefilter, token: Token, part: &Part, is_simple: bool) -> bool {
    let (Token::Key(raw) | Token::Text(raw) | Token::Number(raw)) = token else {
        return false;
    };
    let may_be_in = if is_simple {
        prefilter.is_in(raw)
    } else {
        prefilter.may_be_in(raw)
    };
    if part.reading == Reading::SaysNothing || part.role == Role::Country || !may_be_in {
        return true;
    }
    let is_as_it_was = |text: Cow<str>| matches!(text, Cow::Borrowed(_));
    let text = &*unescape_lossy(raw);
    match token {
        Token::Key(_) => is_as_it_was(found.index().replaced_in_name(text)),
        Token::Number(_) => found.index().number(raw).is_none(),
        _ if part.role == Role::Word && is_word(text) => true,
        _ => is_as_it_was(found.index().replaced(text)),
    }
}
