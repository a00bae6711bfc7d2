//! The row of a record: `{"log_id":…,"data":{record}}`. Every data source for Auth0's logs takes it,
//! whatever the record holds.
//!
//! Two kinds of data source are documented: one with a column for each field, and one with a single
//! column of `ClickHouse`'s type JSON. A row that does not fit is quarantined, so values of another
//! shape are converted here, without loss:
//!
//! - `scope` becomes a list of texts, `auth0_client` and `details` become objects (any other value goes
//!   into their member `value`), and the other columns become texts (the JSON of any other value);
//! - `date` becomes `ClickHouse`'s own date format; an unreadable one goes into `date_value`;
//! - of members with the same name the last keeps it; the others become `name#1`, `name#2`;
//! - where dots in names would make two paths equal, they become `%2E`, as `ClickHouse`'s own setting
//!   for this writes them;
//! - numbers of more than 64 bits, nulls in lists of lists, and values nested too deep, become texts.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};

use crate::json::{self, Scanner, Token, escape, unescape, unescape_lossy};
use crate::record::{LogId, parse_date};

/// The deepest nesting of objects and lists that is kept; Auth0's records have some ten levels.
/// `ClickHouse`'s parser takes about a thousand, but a column's type grows with each list.
const DEEPEST: usize = 32;
/// The columns that hold text.
const TEXTS: [&str; 20] = [
    "audience",
    "client_id",
    "client_ip",
    "client_name",
    "connection",
    "connection_id",
    "description",
    "hostname",
    "ip",
    "log_id",
    "organization_id",
    "organization_name",
    "strategy",
    "strategy_type",
    "tenant_name",
    "tracking_id",
    "type",
    "user_agent",
    "user_id",
    "user_name",
];
/// The columns that every row has.
const ALWAYS: [&str; 4] = ["auth0_client", "date", "details", "scope"];
/// The member that holds a value that is not an object, in a column that takes objects.
const VALUE: &str = "value";
/// The member that holds an unreadable date.
const DATE_VALUE: &str = "date_value";
/// `ClickHouse`'s format for a time, always UTC.
const DATE_FORMAT: &str = "%Y-%m-%d %H:%M:%S%.3f";

/// A JSON value. Texts keep their JSON escapes and are valid Unicode.
#[derive(Clone, Debug)]
enum Value<'a> {
    Null,
    Bool(bool),
    Number(&'a str),
    Text(Cow<'a, str>),
    List(Vec<Self>),
    Object(Vec<Member<'a>>),
}

/// An unescaped name and its value.
type Member<'a> = (Cow<'a, str>, Value<'a>);

/// The row of a record. `data` is the record's text, already masked.
pub(super) fn row(log_id: &LogId, data: &str) -> String {
    let mut row = String::with_capacity(data.len() + 256);
    row.push_str(r#"{"log_id":""#);
    row.push_str(&escape(log_id.as_str()));
    row.push_str(r#"","data":"#);
    Value::Object(record(log_id, data)).write(&mut row);
    row.push('}');
    row
}

/// The members of a record, converted to the columns' shapes.
fn record<'a>(log_id: &LogId, data: &'a str) -> Vec<Member<'a>> {
    let mut tokens = Scanner::new(data);
    tokens.next();
    let mut members = members(&mut tokens, data, 1);
    let dates = members.iter().rev().find(|(name, _)| name == "date");
    let written = dates.map(|(_, value)| value.clone());
    let happened = written.as_ref().and_then(Value::date);
    if let Some(other) = written
        && happened.is_none()
        && !matches!(other, Value::Null)
    {
        members.push((DATE_VALUE.into(), other));
    }
    for name in ALWAYS {
        if !members.iter().any(|(it, _)| it == name) {
            members.push((name.into(), Value::Null));
        }
    }
    distinguish(&mut members);
    // If the record has no readable date, the time at which Auth0 stored it.
    let happened = happened.or_else(|| log_id.stored_at());
    let in_shape = |(name, value): Member<'a>| {
        let value = shape(&name, value, happened)?;
        Some((name, value))
    };
    members.into_iter().filter_map(in_shape).collect()
}

/// Converts a value to its column's shape. `None` leaves it out, so that the column gets its default.
fn shape<'a>(name: &str, value: Value<'a>, happened: Option<DateTime<Utc>>) -> Option<Value<'a>> {
    match name {
        "date" => {
            let date = happened?.format(DATE_FORMAT).to_string();
            Some(Value::Text(date.into()))
        }
        "scope" => Some(Value::List(value.into_texts())),
        "auth0_client" | "details" => Some(Value::Object(match value {
            Value::Object(members) => members,
            Value::Null => Vec::new(),
            other => vec![(VALUE.into(), other)],
        })),
        "$event_schema" => match value {
            Value::Object(members) => {
                let members = members.into_iter().filter_map(|(name, value)| {
                    let is_column = name == "version";
                    let value = if is_column { value.into_text()? } else { value };
                    Some((name, value))
                });
                Some(Value::Object(members.collect()))
            }
            other => Some(other),
        },
        name if TEXTS.contains(&name) => value.into_text(),
        _ => Some(value),
    }
}

/// Reads an object's members up to its end. Its opening brace has been read.
fn members<'a>(tokens: &mut Scanner<'a>, text: &'a str, depth: usize) -> Vec<Member<'a>> {
    let mut members = Vec::new();
    while let Some(Token::Key(name)) = tokens.next() {
        let Some(first) = tokens.next() else {
            break;
        };
        let value = Value::read(first, tokens, text, depth, false);
        members.push((unescape_lossy(name), value));
    }
    members
}

/// Gives each member of an object a unique name, and makes the paths of the members and their
/// descendants unique. A path is the names joined by dots.
///
/// If the names differ, the paths differ too, provided that no name has a dot or that no name is
/// another one's prefix up to a dot.
fn distinguish(members: &mut [Member]) {
    let names: HashSet<&str> = members.iter().map(|(name, _)| &**name).collect();
    if names.len() == members.len() && !has_prefix(&names) {
        return;
    }
    let mut last: HashMap<String, usize> = HashMap::new();
    let names: Vec<String> = members.iter().map(|it| it.0.replace('.', "%2E")).collect();
    for (index, name) in names.iter().enumerate() {
        last.insert(name.clone(), index);
    }
    let mut taken: HashSet<String> = last.keys().cloned().collect();
    let mut numbers: HashMap<&str, usize> = HashMap::new();
    for (index, (member, name)) in members.iter_mut().zip(&names).enumerate() {
        let mut own = name.clone();
        if last[name] != index {
            let number = numbers.entry(name).or_default();
            loop {
                *number += 1;
                own = format!("{name}#{number}");
                if taken.insert(own.clone()) {
                    break;
                }
            }
        }
        member.0 = own.into();
    }
}

/// Whether one of the names is another one's prefix up to a dot.
fn has_prefix(names: &HashSet<&str>) -> bool {
    let dotted: Vec<_> = names.iter().filter(|it| it.contains('.')).collect();
    if dotted.is_empty() {
        return false;
    }
    // Without this filter, a long name of nothing but dots would take an hour.
    let lengths: HashSet<usize> = names.iter().map(|it| it.len()).collect();
    dotted.iter().any(|name| {
        let dots = name.match_indices('.').map(|(dot, _)| dot);
        let mut dots = dots.filter(|dot| lengths.contains(dot));
        dots.any(|dot| names.contains(&name[..dot]))
    })
}

impl<'a> Value<'a> {
    /// Reads a value whose first token, `first`, has been read.
    fn read(
        first: Token<'a>,
        tokens: &mut Scanner<'a>,
        text: &'a str,
        depth: usize,
        is_element: bool,
    ) -> Self {
        match first {
            Token::BeginObject | Token::BeginArray if depth >= DEEPEST => {
                Self::Text(escape(rest(tokens, text)).into())
            }
            Token::BeginObject => {
                let mut members = members(tokens, text, depth + 1);
                distinguish(&mut members);
                Self::Object(members)
            }
            Token::BeginArray => {
                let mut list = Vec::new();
                while let Some(first) = tokens.next().filter(|it| *it != Token::EndArray) {
                    list.push(Self::read(first, tokens, text, depth + 1, true));
                }
                if is_element || list.iter().any(|it| matches!(it, Self::List(_))) {
                    // `ClickHouse` gives all elements one type. If that is a list, it refuses null
                    // or turns it into a list.
                    let nulls = list.iter_mut().filter(|it| matches!(it, Self::Null));
                    nulls.for_each(|it| *it = Self::Text("null".into()));
                }
                Self::List(list)
            }
            Token::Text(text) | Token::Key(text) => Self::Text(match unescape(text) {
                Some(_) => text.into(),
                None => escape(&unescape_lossy(text)).into(),
            }),
            Token::Number(digits) if fits(digits) => Self::Number(digits),
            Token::Number(digits) => Self::Text(digits.into()),
            Token::Bool(bool) => Self::Bool(bool),
            Token::Null | Token::EndObject | Token::EndArray => Self::Null,
        }
    }

    /// The time in this value, if the column `date` can hold it.
    fn date(&self) -> Option<DateTime<Utc>> {
        match self {
            Self::Text(text) => parse_date(&unescape_lossy(text)),
            _ => None,
        }
    }

    /// The value as a text: the text itself, or the value's JSON. `None` for null.
    fn into_text(self) -> Option<Self> {
        match self {
            Self::Null => None,
            Self::Text(_) => Some(self),
            other => {
                let mut text = String::new();
                other.write(&mut text);
                Some(Self::Text(escape(&text).into()))
            }
        }
    }

    /// The value as a list of texts: the words of a text, the elements of a list, or any other
    /// value as the only element.
    fn into_texts(self) -> Vec<Self> {
        match self {
            Self::List(list) => list.into_iter().filter_map(Self::into_text).collect(),
            Self::Text(text) => {
                let text = unescape_lossy(&text);
                let words = text.split_whitespace();
                words.map(|it| Self::Text(escape(it).into())).collect()
            }
            other => other.into_text().into_iter().collect(),
        }
    }

    fn write(&self, out: &mut String) {
        match self {
            Self::Null => json::write(out, Token::Null),
            Self::Bool(bool) => json::write(out, Token::Bool(*bool)),
            Self::Number(digits) => json::write(out, Token::Number(digits)),
            Self::Text(text) => json::write(out, Token::Text(text)),
            Self::List(list) => {
                json::write(out, Token::BeginArray);
                for value in list {
                    value.write(out);
                }
                json::write(out, Token::EndArray);
            }
            Self::Object(members) => {
                json::write(out, Token::BeginObject);
                for (name, value) in members {
                    json::write(out, Token::Key(&escape(name)));
                    value.write(out);
                }
                json::write(out, Token::EndObject);
            }
        }
    }
}

/// The JSON text of an object or a list whose opening bracket has been read.
fn rest<'a>(tokens: &mut Scanner<'a>, text: &'a str) -> &'a str {
    let begin = tokens.at() - 1;
    tokens.skip_rest();
    &text[begin..tokens.at()]
}

/// Whether a number is a 64-bit integer, signed or unsigned, or a finite 64-bit float. Others do not parse.
fn fits(digits: &str) -> bool {
    if digits.contains(['.', 'e', 'E']) {
        return digits.parse::<f64>().is_ok_and(f64::is_finite);
    }
    digits.parse::<i64>().is_ok() || digits.parse::<u64>().is_ok()
}

#[cfg(test)]
mod tests;
