//! JSON in a string: where it begins and where it ends. It may be the whole string or part of a
//! sentence, and it may have been cut.

use serde::de::IgnoredAny;

use crate::json::{self, Scanner, Token};

/// A part of a string.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Part<'a> {
    /// Text that is not JSON.
    Plain(&'a str),
    /// A complete value.
    Json(&'a str),
    /// What begins like a value but is cut or has a syntax error, as far as it can be scanned.
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
    let mut at = 0;
    while let Some(begin) = begin_of_json(text, at) {
        if at < begin {
            parts.push(Part::Plain(&text[at..begin]));
        }
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
    if at < text.len() {
        parts.push(Part::Plain(&text[at..]));
    }
    parts
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
