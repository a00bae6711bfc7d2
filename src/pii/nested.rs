//! JSON within a text: where it begins and where it ends. It may be the whole text, or stand in a
//! sentence, and it may have been cut.

use serde::de::IgnoredAny;

use crate::json::{Scanner, Token};

/// A part of a text.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Part<'a> {
    /// Anything else.
    Plain(&'a str),
    /// A value, whole.
    Json(&'a str),
    /// What begins like one, up to a mistake or to the end of the text.
    Cut(&'a str),
}

/// Whether there may be JSON in a text.
pub(super) fn may_have_json(text: &str) -> bool {
    memchr::memchr2(b'{', b'[', text.as_bytes()).is_some()
        || text.trim_ascii_start().starts_with('"')
}

/// The parts of a text, in order.
pub(super) fn parts(text: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut ahead = text;
    while let Some(begin) = begin_of_json(ahead, ahead.len() == text.len()) {
        let (plain, json) = ahead.split_at(begin);
        let mut values = serde_json::Deserializer::from_str(json).into_iter::<IgnoredAny>();
        if !plain.is_empty() {
            parts.push(Part::Plain(plain));
        }
        ahead = match values.next() {
            Some(Err(_)) => {
                // What was read is not read again: a text of brackets would be for each of them.
                let (json, rest) = json.split_at(end_of(json));
                parts.push(Part::Cut(json));
                rest
            }
            _ => {
                let (json, rest) = json.split_at(values.byte_offset());
                parts.push(Part::Json(json));
                rest
            }
        };
    }
    if !ahead.is_empty() {
        parts.push(Part::Plain(ahead));
    }
    parts
}

/// How far a value goes for who passes over mistakes.
fn end_of(json: &str) -> usize {
    let mut tokens = Scanner::new(json);
    let mut depth = 0_usize;
    for token in tokens.by_ref() {
        match token {
            Token::BeginObject | Token::BeginArray => depth += 1,
            Token::EndObject | Token::EndArray => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    json.ceil_char_boundary(tokens.at().min(json.len()))
}

/// Where JSON begins that may have names in it. Braces alone are no sign: code has them too.
fn begin_of_json(text: &str, is_start: bool) -> Option<usize> {
    let trimmed = text.trim_ascii_start();
    if is_start && trimmed.starts_with('"') && trimmed.trim_ascii_end().ends_with('"') {
        return Some(text.len() - trimmed.len());
    }
    let mut at = 0;
    loop {
        at += text.get(at..)?.find(['{', '['])?;
        let next = text[at + 1..].trim_ascii_start().bytes().next();
        let is_object = text.as_bytes()[at] == b'{';
        if matches!(
            (is_object, next),
            (_, Some(b'"')) | (false, Some(b'{' | b'['))
        ) {
            return Some(at);
        }
        at += 1;
    }
}
