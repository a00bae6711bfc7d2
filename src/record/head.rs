//! The part of a record that reading needs: its id and its date. The rest is kept byte for byte.

use std::borrow::Cow;

use bytes::Bytes;
use chrono::{DateTime, Datelike as _, Utc};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::page::Misfit;
use super::{LONGEST_ID, LogId, Record};
use crate::json::{self, Scanner, Token};

const NO_ID: &str = "it has no log_id";
const LONG_ID: &str = "its log_id is longer than 256 characters";

/// Parses a record from its JSON text; `None` if the text is not JSON or has no usable id.
pub(crate) fn record_of(json: &Bytes) -> Option<Record> {
    let text = std::str::from_utf8(json).ok()?;
    serde_json::from_str::<IgnoredAny>(text).ok()?;
    record_with(head(text)?, json, text).ok()
}

/// The id in a record's JSON text, which must be valid; `None` if it has no id.
pub(crate) fn id_of(json: &str) -> Option<Cow<'_, str>> {
    head(json)?.id()
}

/// The date in a record's JSON text, which must be valid; `None` if it has none that can be read.
pub(crate) fn date_of(json: &str) -> Option<DateTime<Utc>> {
    let date = head(json)?.date.and_then(text)?;
    parse_date(&date)
}

/// Makes a record from valid JSON text, which is a slice of `page`.
pub(super) fn record_with(head: Head, page: &Bytes, json: &str) -> Result<Record, Misfit> {
    let date = head.date.and_then(text).and_then(|it| parse_date(&it));
    let json = page.slice_ref(json.as_bytes());
    let log_id = head.id().ok_or(NO_ID).and_then(|id| {
        // A character has a byte at least.
        let is_long = id.len() > LONGEST_ID && id.chars().nth(LONGEST_ID).is_some();
        (!is_long).then(|| LogId::new(id)).ok_or(LONG_ID)
    });
    match log_id {
        Ok(log_id) => Ok(Record { log_id, date, json }),
        Err(reason) => Err(Misfit { json, date, reason }),
    }
}

/// The fields that reading needs. Any field of a record may be null or of an unexpected type, so
/// they are stored as they come and judged afterwards.
#[derive(Clone, Copy, Default)]
pub(super) struct Head<'a> {
    log_id: Option<Token<'a>>,
    underscore_id: Option<Token<'a>>,
    date: Option<Token<'a>>,
}

impl<'a> Head<'a> {
    fn id(self) -> Option<Cow<'a, str>> {
        let id = self.log_id.and_then(text);
        let id = id.or_else(|| self.underscore_id.and_then(text));
        id.filter(|id| !id.is_empty())
    }
}

/// The same fields, as `serde_json` reads them from an object in which none of them occurs twice.
#[derive(Deserialize)]
pub(super) struct PlainHead<'a> {
    #[serde(borrow, default)]
    log_id: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "_id")]
    underscore_id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    date: Option<&'a RawValue>,
}

impl<'a> From<PlainHead<'a>> for Head<'a> {
    fn from(plain: PlainHead<'a>) -> Self {
        let token = |it: Option<&'a RawValue>| Scanner::new(it?.get()).next();
        Self {
            log_id: token(plain.log_id),
            underscore_id: token(plain.underscore_id),
            date: token(plain.date),
        }
    }
}

fn text(value: Token<'_>) -> Option<Cow<'_, str>> {
    match value {
        Token::Text(text) => json::unescape(text),
        _ => None,
    }
}

/// The head of a record; `None` if the text is no object, has one of these fields twice, or has a
/// name that is no valid text.
pub(super) fn head(json: &str) -> Option<Head<'_>> {
    let mut tokens = Scanner::new(json);
    if tokens.next() != Some(Token::BeginObject) {
        return None;
    }
    let mut head = Head::default();
    while let Some(Token::Key(key)) = tokens.next() {
        let value = tokens.next()?;
        if matches!(value, Token::BeginObject | Token::BeginArray) {
            tokens.skip_rest();
        }
        let field = match &*json::unescape(key)? {
            "log_id" => &mut head.log_id,
            "_id" => &mut head.underscore_id,
            "date" => &mut head.date,
            _ => continue,
        };
        if field.replace(value).is_some() {
            return None;
        }
    }
    Some(head)
}

/// Parses a date. A year before 1970 or after 9999 counts as no date, so that arithmetic stays in range.
pub(crate) fn parse_date(text: &str) -> Option<DateTime<Utc>> {
    // The format of nearly all dates, and much faster to parse.
    let date = match DateTime::parse_from_rfc3339(text) {
        Ok(date) => date.to_utc(),
        Err(_) => text.parse().ok()?,
    };
    (1970..=9999).contains(&date.year()).then_some(date)
}
