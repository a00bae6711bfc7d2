//! JSON in a string: where it begins and where it ends. It may be the whole string or part of a
//! sentence, and it may have been cut.

use std::ops::Range;

use serde::de::IgnoredAny;

use crate::escaped::Escaped;
use crate::json::{self, Scanner, Token};

/// A part of a string.
pub(super) enum Part<'a> {
    /// Text that is not JSON.
    Plain(&'a str),
    /// What begins with JSON whose own quotes are escaped. It has parts of its own.
    Escaped(Escaped<'a>),
    /// A complete value.
    Json(&'a str),
    /// What begins like a value but is cut or has a syntax error, as far as it can be scanned.
    Cut(&'a str),
}

/// Whether there may be JSON in a text.
pub(super) fn may_have_json(text: &str) -> bool {
    memchr::memchr2(b'{', b'[', text.as_bytes()).is_some()
        || json::begin_of_string(text).is_some()
        || Escaped::find(text, 0).is_some()
}

/// Whether a text has complete JSON.
pub(super) fn has_json(text: &str) -> bool {
    may_have_json(text)
        && parts(text).iter().any(|it| match it {
            Part::Json(_) => true,
            Part::Escaped(json) => has_json(&json.text),
            Part::Plain(_) | Part::Cut(_) => false,
        })
}

/// The parts of a text, in order.
pub(super) fn parts(text: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut at = 0;
    while let Some(begin) = begin_of_json(text, at) {
        without_plain_json(&text[at..begin], &mut parts);
        let json = &text[begin..];
        let mut values = serde_json::Deserializer::from_str(json).into_iter::<IgnoredAny>();
        let is_whole = matches!(values.next(), Some(Ok(_)));
        // What was read is not read again. Otherwise a text of brackets would be read anew for each
        // bracket.
        let end = if is_whole {
            values.byte_offset()
        } else {
            end_of(json)
        };
        let json = &json[..end];
        at = begin + end;
        parts.push(if is_whole {
            Part::Json(json)
        } else {
            Part::Cut(json)
        });
    }
    without_plain_json(&text[at..], &mut parts);
    parts
}

/// The parts of a text in which all JSON is escaped.
fn without_plain_json<'a>(text: &'a str, parts: &mut Vec<Part<'a>>) {
    let mut at = 0;
    let plain = |range: Range<usize>, parts: &mut Vec<Part<'a>>| {
        if !range.is_empty() {
            parts.push(Part::Plain(&text[range]));
        }
    };
    while let Some(json) = Escaped::find(text, at) {
        plain(at..json.begin, parts);
        at = json.end();
        parts.push(Part::Escaped(json));
    }
    plain(at..text.len(), parts);
}

/// Where JSON begins, at or after an offset.
fn begin_of_json(text: &str, from: usize) -> Option<usize> {
    let begin = json::begin_in(text, from)?;
    if is_word_in_quotes(&text[begin..]) {
        // The word may be the beginning of a name.
        return json::begin_in(text, begin + 1);
    }
    Some(begin)
}

/// Whether a text begins with a string without escapes and goes on after it.
fn is_word_in_quotes(text: &str) -> bool {
    let word = text.strip_prefix('"').and_then(|it| it.split_once('"'));
    word.is_some_and(|(word, rest)| !json::has_escapes(word) && !rest.trim_ascii_end().is_empty())
}

/// Where a value ends if syntax errors are skipped. Words without quotes at its end belong to the text
/// after it: what was found may begin with them.
fn end_of(json: &str) -> usize {
    let mut tokens = Scanner::new(json);
    let mut depth = 0_usize;
    // Where the words that were just read begin.
    let mut words = None;
    let mut is_after_name = false;
    while let Some(token) = tokens.next() {
        let is_word = match token {
            Token::Key(name) => tokens.at() == tokens.begin() + name.len(),
            Token::Null => true,
            // A number after a name is a value.
            Token::Number(_) => goes_on(&json[tokens.at()..]) || words.is_some() && !is_after_name,
            _ => false,
        };
        words = is_word.then(|| words.unwrap_or(tokens.begin()));
        is_after_name = matches!(token, Token::Key(_));
        match token {
            Token::BeginObject | Token::BeginArray => depth += 1,
            Token::EndObject | Token::EndArray => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    let end = words.unwrap_or(tokens.at());
    json.ceil_char_boundary(end.min(json.len()))
}

/// Whether a text goes on with what does not separate values.
fn goes_on(text: &str) -> bool {
    let next = text.bytes().next();
    next.is_some_and(|it| !it.is_ascii_whitespace() && !b",:]}".contains(&it))
}
