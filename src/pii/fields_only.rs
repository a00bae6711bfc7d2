//! The short way, which most records take: nothing of a person is in them but in fields that are
//! personal as a whole. Then these texts are replaced where they stand, and no more is written anew.
//!
//! Whatever is less plain than that takes the long way. So nothing is decided here but that both
//! would end alike.

use std::borrow::Cow;
use std::slice;

use super::Policy;
use super::find::Finder;
use super::found::Found;
use super::looks::is_word;
use super::pieces::{BYTES_OF_ONE, Piece, Reading};
use super::search::SHORTEST;
use super::walk::{Role, Walk};
use crate::json::{Scanner, Token, escape, unescape_lossy};
use crate::redact::Redaction;

/// A record token by token, in which personal values are replaced and secrets are still to be masked.
pub(super) struct Plain<'a> {
    tokens: Vec<Token<'a>>,
    /// What stands in place of texts, by their places, in order.
    replaced: Vec<(usize, String)>,
}

impl Plain<'_> {
    /// What the policy leaves of the record.
    pub fn tokens(&self) -> PlainTokens<'_> {
        PlainTokens {
            tokens: self.tokens.iter(),
            length: self.tokens.len(),
            replaced: &self.replaced,
        }
    }
}

/// The tokens that are left of a record.
#[derive(Clone)]
pub(super) struct PlainTokens<'p> {
    tokens: slice::Iter<'p, Token<'p>>,
    length: usize,
    replaced: &'p [(usize, String)],
}

impl<'p> Iterator for PlainTokens<'p> {
    type Item = Token<'p>;

    fn next(&mut self) -> Option<Token<'p>> {
        let at = self.length - self.tokens.len();
        let token = *self.tokens.next()?;
        match self.replaced.split_first() {
            Some(((place, text), rest)) if *place == at => {
                self.replaced = rest;
                Some(Token::Text(text))
            }
            _ => Some(token),
        }
    }
}

/// A token that may change.
struct Part {
    /// Its place among the tokens.
    place: usize,
    role: Role,
    reading: Reading,
}

/// A record without what the policy keeps back, secrets not masked yet; `None` if it has to go the
/// long way.
pub(super) fn plain<'a>(
    policy: &Policy,
    redaction: Redaction,
    record: &'a str,
) -> Option<Plain<'a>> {
    if policy.leaves_out() {
        return None;
    }
    let mut finder = Finder::new(policy);
    let mut plain = Plain {
        tokens: Vec::with_capacity(record.len() / BYTES_OF_ONE + 1),
        replaced: Vec::new(),
    };
    let mut parts = read(&mut finder, record, &mut plain.tokens)?;
    let found = finder.finish(|at, reading| parts[at].reading = reading);
    let Some(found) = found else {
        return Some(plain);
    };
    for part in &parts {
        let token = plain.tokens[part.place];
        if let Reading::Personal(number) = part.reading {
            match token {
                // What may be a secret in part is masked first.
                Token::Text(raw) if !redaction.may_mask(raw) => {}
                _ => return None,
            }
            if let Some(new) = found.noted(number) {
                plain.replaced.push((part.place, escape(new)));
            }
        } else if !stays(&found, token, part) {
            return None;
        }
    }
    Some(plain)
}

/// Reads a record as far as it is plain.
fn read<'a>(
    finder: &mut Finder,
    record: &'a str,
    tokens: &mut Vec<Token<'a>>,
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
            _ => {
                let piece = Piece::of(token, &walk);
                let reading = finder.piece(&piece, Some(parts.len()));
                // It may turn out to be personal.
                let may_be_named = matches!(piece.role, Role::Name | Role::Id);
                match token {
                    Token::Text(raw) | Token::Number(raw)
                        if reading == Reading::Open && raw.len() < SHORTEST && !may_be_named => {}
                    Token::Text(_) if piece.role == Role::Fixed => {}
                    Token::Text(_) if reading == Reading::HasJson => return None,
                    Token::Text(_) | Token::Number(_) => parts.push(part(piece.role, reading)),
                    Token::BeginObject | Token::BeginArray => {
                        walk.begin(token == Token::BeginArray, finder.enter());
                    }
                    _ => {}
                }
                if walk.is_over() {
                    return None;
                }
            }
        }
        tokens.push(token);
    }
    // It was cut.
    None
}

/// Whether a token is left as it is.
fn stays(found: &Found, token: Token, part: &Part) -> bool {
    let (Token::Key(raw) | Token::Text(raw) | Token::Number(raw)) = token else {
        return false;
    };
    if part.reading == Reading::SaysNothing || !found.may_be_in(raw) {
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
