//! A row for a record that is too large: every column that fits, the rest shortened, and the reason
//! in a column of its own.
//!
//! Whoever signs in or calls the API chooses much of a record's content. If an oversized record had
//! no row, no rule would see it. So nothing that is too long, too numerous or too deep displaces
//! anything else: each value is shortened by itself, and members with a column do not count towards
//! the limit.

use std::borrow::Cow;

use super::Api;
use super::catalogue::{Node, SHORTENED, Type, catalogue};
use super::row::row;
use crate::json::{self, Scanner, Token};
use crate::redact::Redaction;

/// Marks a place where something was cut off. No name in the catalogue ends with it.
const CUT: char = '…';
/// Nesting levels kept of a value without a column. KQL's `parse_json` takes several times as many.
const DEEPEST: usize = 16;

/// How much of a record to keep.
#[derive(Clone, Copy)]
struct Measure {
    /// Maximum bytes of a text that may have a column.
    column: usize,
    /// Maximum bytes of any other text, and of a name.
    text: usize,
    /// Maximum bytes of a value without a column, not counting its last text.
    value: usize,
    /// Maximum members of an object without a column, and maximum elements of a list.
    members: usize,
}

/// From the largest to one that always fits: a test fills everything.
const MEASURES: [Measure; 4] = [
    Measure {
        column: usize::MAX,
        text: 8_000,
        value: 16_000,
        members: 256,
    },
    Measure {
        column: 8_000,
        text: 2_000,
        value: 4_000,
        members: 64,
    },
    Measure {
        column: 1_000,
        text: 250,
        value: 500,
        members: 16,
    },
    Measure {
        column: 250,
        text: 60,
        value: 100,
        members: 4,
    },
];

/// Builds a row for a record that [has none](row()), and stores the reason in it.
///
/// Returns `None` only if even the smallest row does not fit.
#[must_use]
pub(crate) fn shortened(record: &str, api: Api, why: &str) -> Option<String> {
    let mut marker = String::from("{");
    let name = match api {
        Api::DataCollector => SHORTENED.to_owned(),
        Api::LogsIngestion => format!("{SHORTENED}{}", Type::String.suffix()),
    };
    json::write(&mut marker, Token::Key(&name));
    json::write(&mut marker, Token::Text(&json::escape(why)));
    MEASURES.into_iter().find_map(|measure| {
        let measure = Measure {
            column: measure.column.min(api.longest_field()),
            ..measure
        };
        let row = row(&record_within(record, measure), api, Redaction::Off).ok()?;
        let row = match row.strip_prefix('{') {
            Some("}") | None => format!("{marker}}}"),
            Some(columns) => format!("{marker},{columns}"),
        };
        (row.len() <= api.longest_row()).then_some(row)
    })
}

/// The record, shortened to this measure.
fn record_within(record: &str, measure: Measure) -> String {
    let mut shortening = Shortening {
        tokens: Scanner::new(record),
        out: String::new(),
        measure,
    };
    // The record's opening brace.
    shortening.tokens.next();
    shortening.object(&catalogue().root);
    shortening.out
}

struct Shortening<'a> {
    tokens: Scanner<'a>,
    out: String,
    measure: Measure,
}

impl<'a> Shortening<'a> {
    /// Writes an object at a node of the column tree. Its opening brace has been read.
    fn object(&mut self, node: &'static Node) {
        json::write(&mut self.out, Token::BeginObject);
        // A second member with the same name has no column.
        let mut seen: Vec<&Node> = Vec::new();
        let mut members = 0;
        while let Some(Token::Key(key)) = self.tokens.next() {
            let Some(value) = self.tokens.next() else {
                break;
            };
            let child = json::unescape(key).and_then(|name| node.child(&name));
            let child = child.filter(|child| !seen.iter().any(|it| std::ptr::eq(*it, *child)));
            let Some(child) = child else {
                members += 1;
                if members <= self.measure.members {
                    self.key(key);
                    self.value(value);
                } else {
                    self.skip(value);
                }
                continue;
            };
            seen.push(child);
            json::write(&mut self.out, Token::Key(key));
            match value {
                Token::BeginObject if child.is_inner() => self.object(child),
                Token::Text(text) => self.text(text, self.measure.column),
                value => self.value(value),
            }
        }
        json::write(&mut self.out, Token::EndObject);
    }

    /// Writes a value without a column, or a list, as far as it fits.
    fn value(&mut self, first: Token<'a>) {
        let longest = self.out.len() + self.measure.value;
        // The number of members or elements in each open object or list.
        let mut levels: Vec<usize> = Vec::new();
        let mut token = first;
        loop {
            match token {
                Token::EndObject | Token::EndArray => {
                    json::write(&mut self.out, token);
                    levels.pop();
                }
                Token::Key(key) => {
                    // A key and its value count as one member.
                    let Some(value) = self.tokens.next() else {
                        return;
                    };
                    if self.has_room(longest, &mut levels) {
                        self.key(key);
                        self.begin(value, &mut levels);
                    } else {
                        self.skip(value);
                    }
                }
                element if levels.is_empty() || self.has_room(longest, &mut levels) => {
                    self.begin(element, &mut levels);
                }
                element => self.skip(element),
            }
            if levels.is_empty() {
                return;
            }
            match self.tokens.next() {
                Some(next) => token = next,
                None => return,
            }
        }
    }

    /// Counts another member, and returns whether it fits into the innermost object or list.
    fn has_room(&self, longest: usize, levels: &mut [usize]) -> bool {
        let is_shallow = levels.len() <= DEEPEST;
        let Some(members) = levels.last_mut() else {
            return true;
        };
        *members += 1;
        is_shallow && *members <= self.measure.members && self.out.len() < longest
    }

    /// Writes a scalar value, or the start of an object or list.
    fn begin(&mut self, value: Token<'a>, levels: &mut Vec<usize>) {
        match value {
            Token::Text(text) => self.text(text, self.measure.text),
            Token::Number(number) if number.len() > self.measure.text => {
                json::write(&mut self.out, Token::Null);
            }
            value => json::write(&mut self.out, value),
        }
        if matches!(value, Token::BeginObject | Token::BeginArray) {
            levels.push(0);
        }
    }

    fn key(&mut self, key: &str) {
        let key = cut(key, self.measure.text);
        json::write(&mut self.out, Token::Key(&key));
    }

    fn text(&mut self, text: &str, longest: usize) {
        let text = cut(text, longest);
        json::write(&mut self.out, Token::Text(&text));
    }

    /// Skips the rest of a value.
    fn skip(&mut self, first: Token) {
        if matches!(first, Token::BeginObject | Token::BeginArray) {
            self.tokens.skip_rest();
        }
    }
}

/// Truncates a JSON-escaped text to this many bytes. Neither an escape nor a surrogate pair is
/// split.
fn cut(text: &str, longest: usize) -> Cow<'_, str> {
    if text.len() <= longest {
        return text.into();
    }
    let longest = longest - CUT.len_utf8();
    let mut end = 0;
    loop {
        let ahead = text.get(end..).unwrap_or_default();
        let length = match ahead.as_bytes() {
            [
                b'\\',
                b'u',
                b'd' | b'D',
                b'8'..=b'9' | b'a'..=b'b' | b'A'..=b'B',
                _,
                _,
                b'\\',
                b'u',
                ..,
            ] => 12,
            [b'\\', b'u', ..] => 6,
            [b'\\', ..] => 2,
            _ => ahead.chars().next().map_or(longest + 1, char::len_utf8),
        };
        if end + length > longest {
            let kept = &text[..text.floor_char_boundary(end)];
            return format!("{kept}{CUT}").into();
        }
        end += length;
    }
}

#[cfg(test)]
mod tests;
