//! The short way, which most records take: nothing of a person is in them but in fields that are
//! personal as a whole. Then these texts are replaced where they stand, and no more is written anew.
//!
//! Whatever is less plain than that takes the long way. So nothing is decided here but that both
//! would end alike.

use std::borrow::Cow;

use super::Policy;
use super::find::Finder;
use super::found::Found;
use super::looks::is_word;
use super::pieces::{BYTES_OF_ONE, Piece, Reading};
use super::search::SHORTEST;
use super::walk::{Role, Walk};
use crate::json::{Scanner, Token, escape, unescape_lossy};
use crate::redact::Redaction;

/// What of a record may change.
struct Part<'a> {
    /// A key, a text or a number, as it is written.
    raw: &'a str,
    /// Where it begins.
    begin: usize,
    form: Form,
    role: Role,
    reading: Reading,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Form {
    Key,
    Text,
    Number,
}

/// A record without what the policy keeps back, secrets not masked yet; `None` if it has to go the
/// long way.
pub(super) fn rewritten<'a>(
    policy: &Policy,
    redaction: Redaction,
    record: &'a str,
) -> Option<Cow<'a, str>> {
    if policy.leaves_out() {
        return None;
    }
    let mut finder = Finder::new(policy);
    let mut parts = read(&mut finder, record)?;
    let found = finder.finish(|at, reading| parts[at].reading = reading);
    let Some(found) = found else {
        return Some(record.into());
    };
    let mut text = String::with_capacity(record.len() + record.len() / 8);
    let mut copied = 0;
    for part in &parts {
        if let Reading::Personal(number) = part.reading {
            // What may be a secret in part is masked first.
            if part.form == Form::Number || redaction.may_mask(part.raw) {
                return None;
            }
            if let Some(new) = found.noted(number) {
                text.push_str(&record[copied..part.begin]);
                text.push_str(&escape(new));
                copied = part.begin + part.raw.len();
            }
        } else if !stays(&found, part) {
            return None;
        }
    }
    text.push_str(&record[copied..]);
    Some(text.into())
}

/// Reads a record as far as it is plain.
fn read<'a>(finder: &mut Finder, record: &'a str) -> Option<Vec<Part<'a>>> {
    let mut walk = Walk::of_record();
    let mut tokens = Scanner::new(record);
    let mut parts = Vec::with_capacity(record.len() / BYTES_OF_ONE + 1);
    while let Some(token) = tokens.next() {
        let part = |raw, form, role, reading| Part {
            raw,
            begin: tokens.begin(),
            form,
            role,
            reading,
        };
        match token {
            Token::Key(raw) => {
                if !walk.key(raw) && raw.len() >= SHORTEST {
                    finder.key(raw);
                    parts.push(part(raw, Form::Key, Role::Open, Reading::Open));
                }
                continue;
            }
            Token::EndObject | Token::EndArray => {
                if let Some(left) = walk.end() {
                    finder.leave(left);
                }
                if walk.is_over() {
                    return Some(parts);
                }
                continue;
            }
            _ => {}
        }
        let piece = Piece::of(token, &walk);
        let reading = finder.piece(&piece, Some(parts.len()));
        // It may turn out to be personal.
        let may_be_named = matches!(piece.role, Role::Name | Role::Id);
        match token {
            Token::Text(raw) | Token::Number(raw)
                if reading == Reading::Open && raw.len() < SHORTEST && !may_be_named => {}
            Token::Text(_) if piece.role == Role::Fixed => {}
            Token::Text(_) if reading == Reading::HasJson => return None,
            Token::Text(raw) => parts.push(part(raw, Form::Text, piece.role, reading)),
            Token::Number(raw) => parts.push(part(raw, Form::Number, piece.role, reading)),
            Token::BeginObject | Token::BeginArray => {
                walk.begin(token == Token::BeginArray, finder.enter());
            }
            _ => {}
        }
        if walk.is_over() {
            return None;
        }
    }
    // It was cut.
    None
}

/// Whether a part is left as it is.
fn stays(found: &Found, part: &Part) -> bool {
    if part.reading == Reading::SaysNothing || !found.may_be_in(part.raw) {
        return true;
    }
    let is_as_it_was = |text: Cow<str>| matches!(text, Cow::Borrowed(_));
    let text = &*unescape_lossy(part.raw);
    match part.form {
        Form::Key => is_as_it_was(found.index().replaced_in_name(text)),
        Form::Number => found.index().number(part.raw).is_none(),
        Form::Text if part.role == Role::Word && is_word(text) => true,
        Form::Text => is_as_it_was(found.index().replaced(text)),
    }
}
