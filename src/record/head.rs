//! What reading needs of a record: its id and its date. The rest is kept byte for byte.

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

/// A record by its JSON text alone; `None` where it has no id.
pub(crate) fn record_of(json: &Bytes) -> Option<Record> {
    let text = std::str::from_utf8(json).ok()?;
    serde_json::from_str::<IgnoredAny>(text).ok()?;
    record_with(head(text)?, json, text).ok()
}

/// The id of a record by its JSON text, which a parser has taken; `None` where it has no id.
pub(crate) fn id_of(json: &str) -> Option<Cow<'_, str>> {
    head(json)?.id()
}

/// Makes a record of JSON text that a parser has taken, a part of a page.
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

/// The fields that reading needs. Anything may be null or of an unexpected type in a record, so they
/// are taken as they come and judged afterwards.
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

/// The same as a parser takes it of an object that has none of them twice.
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

/// The head of a record; `None` if this is no object, has one of those fields twice, or a name that
/// is no text.
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

/// Reads a date; one that no event can have is as good as none, and arithmetic stays in range.
pub(crate) fn parse_date(text: &str) -> Option<DateTime<Utc>> {
    // Much faster, and what nearly all are.
    let date = match DateTime::parse_from_rfc3339(text) {
        Ok(date) => date.to_utc(),
        Err(_) => text.parse().ok()?,
    };
    (1970..=9999).contains(&date.year()).then_some(date)
}
