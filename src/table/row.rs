//! Turns a record into a row.
//!
//! A leaf goes into a column if it is at the column's path and the service would store its value
//! under the column's suffix. Everything else stays in place in a JSON object, the rest, which is
//! sent as text in `AdditionalFields` and as many numbered parts as it needs. Joined in order and
//! parsed, the parts give that object.
//!
//! This is the hot path: a record is scanned once and written once, without a tree in between.

mod fit;
mod list;

use memchr::memchr2;

use self::fit::{fitting, guid_for};
use self::list::is_plain_list;
use super::Api;
use super::catalogue::{
    Column, Node, Type, additional_fields, additional_fields_column, catalogue,
};
use crate::json::{self, Scanner, Token};
use crate::redact::{Judgement, MASK, Masker, Redaction};

/// The path of the time at which the event happened.
const TIME: &[&str] = &["date"];
/// The column by which tables are ordered. For the HTTP Data Collector API, a header names the
/// field for it.
const TIME_GENERATED: &str = "TimeGenerated";
/// Minimum bytes of the last of several parts of `AdditionalFields`: too long for the service to
/// take it for anything but text.
const SHORTEST_PART: usize = 100;
/// Words in the bit set of the columns that a row has used.
const WORDS: usize = 8;

/// Why a record cannot become a row.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
pub enum TooLarge {
    /// The rest does not fit into the parts of `AdditionalFields`.
    #[error(
        "what has no column of its own takes {bytes} bytes, and {parts} parts of AdditionalFields \
         hold {longest} each"
    )]
    Rest {
        /// Bytes of the rest.
        bytes: usize,
        /// The number of parts.
        parts: usize,
        /// Maximum bytes of a part.
        longest: usize,
    },
    /// The row does not fit into a delivery.
    #[error("its row takes {bytes} bytes, and a delivery {longest}")]
    Row {
        /// Bytes of the row.
        bytes: usize,
        /// Maximum bytes of a row.
        longest: usize,
    },
}

/// Turns the JSON text of a record into a row.
pub fn row(record: &str, api: Api, redaction: Redaction) -> Result<String, TooLarge> {
    row_of(&mut Scanner::new(record), record, api, redaction)
}

/// Turns a record's tokens into a row. What `record` says about an API call decides whether request
/// and response bodies are secret.
pub(crate) fn row_of<'a>(
    tokens: &mut (impl Iterator<Item = Token<'a>> + Clone),
    record: &str,
    api: Api,
    redaction: Redaction,
) -> Result<String, TooLarge> {
    let mut encoder = Encoder {
        api,
        masker: redaction.of(record),
        row: String::with_capacity(record.len() + record.len() / 4),
        rest: String::with_capacity(record.len() / 4),
        levels: Vec::with_capacity(8),
        used: [0; WORDS],
    };
    encoder.record(tokens);
    let Encoder { mut row, rest, .. } = encoder;
    append_rest(&mut row, &rest, api)?;
    row.push('}');
    let (bytes, longest) = (row.len(), api.longest_row());
    if bytes > longest {
        return Err(TooLarge::Row { bytes, longest });
    }
    Ok(row)
}

/// An object of the record that the scan is inside of.
struct Level<'a> {
    key: &'a str,
    verdict: Judgement,
    node: &'static Node,
    is_empty: bool,
    /// Whether this object is open in the rest too.
    is_in_rest: bool,
}

struct Encoder<'a> {
    api: Api,
    masker: Masker,
    row: String,
    /// JSON of everything without a column.
    rest: String,
    /// The open objects, from the record down. In the rest, only those are open from which a value
    /// had to be kept.
    levels: Vec<Level<'a>>,
    /// One bit for each column that has a value. A second value at the same path goes into the
    /// rest.
    used: [u64; WORDS],
}

impl<'a> Encoder<'a> {
    fn record(&mut self, tokens: &mut (impl Iterator<Item = Token<'a>> + Clone)) {
        self.row.push('{');
        // The record's opening brace.
        tokens.next();
        self.enter("", Judgement::RECORD, &catalogue().root);
        while let Some(token) = tokens.next() {
            match token {
                Token::Key(key) => {
                    if let Some(value) = tokens.next() {
                        self.member(key, value, tokens);
                    }
                }
                _ => self.leave(),
            }
        }
    }

    fn member(
        &mut self,
        key: &'a str,
        value: Token<'a>,
        tokens: &mut (impl Iterator<Item = Token<'a>> + Clone),
    ) {
        let parent = self
            .levels
            .last()
            .map_or(Judgement::RECORD, |it| it.verdict);
        let name = json::unescape(key);
        let child = match (&name, self.levels.last_mut()) {
            (Some(name), Some(level)) => {
                level.is_empty = false;
                level.node.child(name)
            }
            _ => None,
        };
        let verdict = match (&name, child) {
            (Some(name), Some(node)) => self.masker.judge_as(parent, name, node.kind),
            _ => self.masker.judge(parent, key),
        };
        if let Some(node) = child {
            if value == Token::BeginObject && node.is_inner() && !verdict.is_whole() {
                return self.enter(key, verdict, node);
            }
            if let Some(column) = node.column
                && self.column(column, verdict, value, tokens)
            {
                return;
            }
        }
        self.open_in_rest();
        json::write(&mut self.rest, Token::Key(key));
        self.masker.copy(verdict, value, tokens, &mut self.rest);
    }

    fn enter(&mut self, key: &'a str, verdict: Judgement, node: &'static Node) {
        self.levels.push(Level {
            key,
            verdict,
            node,
            is_empty: true,
            is_in_rest: false,
        });
    }

    fn leave(&mut self) {
        let is_nested = self.levels.len() > 1;
        if is_nested && self.levels.last().is_some_and(|level| level.is_empty) {
            self.open_in_rest();
        }
        if self.levels.pop().is_some_and(|level| level.is_in_rest) {
            json::write(&mut self.rest, Token::EndObject);
        }
    }

    /// Opens in the rest every object that the scan is inside of.
    fn open_in_rest(&mut self) {
        for level in self.levels.iter_mut().filter(|level| !level.is_in_rest) {
            if !self.rest.is_empty() {
                json::write(&mut self.rest, Token::Key(level.key));
            }
            json::write(&mut self.rest, Token::BeginObject);
            level.is_in_rest = true;
        }
    }

    /// Writes a value into a column, if it fits there.
    fn column(
        &mut self,
        index: usize,
        verdict: Judgement,
        value: Token,
        tokens: &mut (impl Iterator<Item = Token<'a>> + Clone),
    ) -> bool {
        let (word, bit) = (index / 64, 1 << (index % 64));
        if self.used[word] & bit != 0 {
            return false;
        }
        let column = &catalogue().columns[index];
        let Some(key) = column.key_for(self.api) else {
            return false;
        };
        let before = self.row.len();
        if before > 1 {
            self.row.push(',');
        }
        self.row.push_str(key);
        let fits = match value {
            Token::BeginArray => column.kind == Type::String && self.list(verdict, tokens),
            value => self.leaf(column, verdict, value),
        };
        if fits {
            self.used[word] |= bit;
        } else {
            self.row.truncate(before);
        }
        fits
    }

    /// Writes a value that is not a list, if it fits.
    fn leaf(&mut self, column: &Column, verdict: Judgement, value: Token) -> bool {
        let text;
        let value = match value {
            Token::Text(it) => {
                text = self.masker.text(verdict, it);
                Token::Text(&text)
            }
            Token::Number(it) if verdict.hides(it) => Token::Text(MASK),
            value => value,
        };
        let Some(value) = fitting(column, value, self.api) else {
            return false;
        };
        let hyphenated;
        let value = match value {
            Token::Text(it) if column.kind == Type::Guid => {
                hyphenated = guid_for(self.api, it);
                Token::Text(&hyphenated)
            }
            value => value,
        };
        json::write(&mut self.row, value);
        if self.api == Api::LogsIngestion && column.path == TIME {
            json::write(&mut self.row, Token::Key(TIME_GENERATED));
            json::write(&mut self.row, value);
        }
        true
    }

    /// Writes a list if it loses nothing as text. The HTTP Data Collector API turns a list into
    /// JSON text itself; the Logs Ingestion API needs text.
    fn list(
        &mut self,
        verdict: Judgement,
        tokens: &mut (impl Iterator<Item = Token<'a>> + Clone),
    ) -> bool {
        let begin = self.row.len();
        let mut ahead = tokens.clone();
        let first = Token::BeginArray;
        self.masker.copy(verdict, first, &mut ahead, &mut self.row);
        let fits = is_plain_list(&self.row[begin..]);
        if fits {
            *tokens = ahead;
            if self.api == Api::LogsIngestion {
                let list = self.row.split_off(begin);
                self.row.push('"');
                escape(&mut self.row, &list);
                self.row.push('"');
            }
        }
        fits
    }
}

/// Appends the rest to a row, as text, in parts.
fn append_rest(row: &mut String, rest: &str, api: Api) -> Result<(), TooLarge> {
    let longest = api.longest_field();
    let mut ahead = rest;
    for number in 0..api.parts() {
        if ahead.is_empty() {
            break;
        }
        let is_just_too_long = (1..SHORTEST_PART).contains(&ahead.len().saturating_sub(longest));
        let length = longest - if is_just_too_long { SHORTEST_PART } else { 0 };
        let (part, rest) = ahead.split_at(ahead.floor_char_boundary(length));
        let name = match api {
            Api::DataCollector => additional_fields(number),
            Api::LogsIngestion => additional_fields_column(number),
        };
        json::write(row, Token::Key(&name));
        row.push('"');
        escape(row, part);
        row.push('"');
        ahead = rest;
    }
    if ahead.is_empty() {
        Ok(())
    } else {
        Err(TooLarge::Rest {
            bytes: rest.len(),
            parts: api.parts(),
            longest,
        })
    }
}

/// Writes JSON text as the content of a JSON string. The text must have no control characters.
fn escape(out: &mut String, text: &str) {
    let mut ahead = text;
    while let Some(at) = memchr2(b'"', b'\\', ahead.as_bytes()) {
        out.push_str(&ahead[..at]);
        out.push('\\');
        out.push_str(&ahead[at..=at]);
        ahead = &ahead[at + 1..];
    }
    out.push_str(ahead);
}

#[cfg(test)]
mod tests;
