//! The short way, which most records take: nothing of a person is in them but in fields that are
//! personal as a whole. Then these texts are replaced where they stand, and no more is written anew.
//!
//! Whatever is less plain than that takes the long way. So nothing is decided here but that both
//! would end alike.

use std::borrow::Cow;

use super::Policy;
use super::find::Finder;
use super::found::Found;
use super::look::{Look, is_simple};
use super::looks::{is_word, may_name_somebody};
use super::pieces::{BYTES_OF_ONE, Piece, Reading};
use super::search::SHORTEST;
use super::walk::{Role, Walk};
use crate::json::{Scanner, Token, unescape_lossy};
use crate::redact::Redaction;

/// A token that may change.
struct Part {
    /// Its place among the tokens.
    place: usize,
    role: Role,
    reading: Reading,
}

/// What is known of a record before it is read, so that not each of its texts has to be looked at.
struct Glance {
    /// Whether a text may have a form in it, or JSON, whose quotes are escaped.
    has_signs: bool,
    /// Whether each text says what is written.
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

/// The tokens of a record without what the policy keeps back, secrets not masked yet; `None` if it
/// has to go the long way. `room` is for what stands in place of texts.
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
    let look = found.look();
    for part in &parts {
        let token = &mut tokens[part.place];
        if let Reading::Personal(number) = part.reading {
            match token {
                // What may be a secret in part is masked first.
                Token::Text(raw) if !redaction.may_mask(raw) => {}
                _ => return None,
            }
            // A mask, a pseudonym and what is kept of a value have nothing to be escaped.
            if let Some(new) = found.noted(number) {
                *token = Token::Text(new);
            }
        } else if !stays(found, &look, *token, part, glance.is_simple) {
            return None;
        }
    }
    Some(tokens)
}

/// Reads a record as far as it is plain.
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
        // What a value is may be said after it.
        if walk.is_over() || walk.has_values() {
            return None;
        }
        tokens.push(token);
    }
    // It was cut.
    None
}

/// Whether the policy says nothing of a text of this role by itself, unless there is JSON or a form
/// in it.
fn is_open(policy: &Policy, role: Role) -> bool {
    match role {
        Role::Personal(kind) => policy.method(kind).is_none(),
        // A policy about places leaves members out, and so does not come here.
        Role::Open | Role::Word | Role::Place | Role::Town | Role::Country | Role::Coordinate => {
            true
        }
        _ => false,
    }
}

/// Whether a token is left as it is.
fn stays(found: &Found, look: &Look, token: Token, part: &Part, is_simple: bool) -> bool {
    let (Token::Key(raw) | Token::Text(raw) | Token::Number(raw)) = token else {
        return false;
    };
    let may_be_in = if is_simple {
        look.is_in(raw)
    } else {
        look.may_be_in(raw)
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
