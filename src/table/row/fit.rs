//! Whether the service stores a value unchanged under a column's suffix.

use std::borrow::Cow;
use std::ops::Range;

use chrono::{NaiveDate, NaiveTime};

use crate::json::{self, Token};
use crate::table::Api;
use crate::table::catalogue::{Column, Type};

/// Significant digits that a `real` keeps reliably.
const EXACT_DIGITS: usize = 15;
/// Hexadecimal digits of a GUID.
const GUID: usize = 32;

/// The form in which a column takes this value; `None` if the value does not fit.
pub(super) fn fitting<'a>(column: &Column, value: Token<'a>, api: Api) -> Option<Token<'a>> {
    let fits = match (column.kind, value) {
        (Type::String, Token::Text(text)) => is_plain(text, api.longest_field()),
        (Type::Boolean, Token::Bool(_)) => true,
        (Type::Real, Token::Number(number)) => is_exact(number),
        (Type::DateTime, Token::Text(text)) => is_utc(text),
        (Type::Guid, Token::Text(text)) => is_guid(text),
        (Type::Boolean, Token::Text(text)) if column.from_text => {
            return text.parse().ok().map(Token::Bool);
        }
        (Type::Real, Token::Text(text)) if column.from_text => {
            let number: f64 = text.parse().ok()?;
            let is_same = is_exact(text) && number.to_string() == text;
            return is_same.then_some(Token::Number(text));
        }
        _ => false,
    };
    fits.then_some(value)
}

/// Whether the service keeps a text as text, untruncated.
fn is_plain(text: &str, longest: usize) -> bool {
    // Fast path for most texts: they cannot be a time or a GUID.
    let begins_with_letter = text.as_bytes().first().is_some_and(u8::is_ascii_alphabetic);
    if begins_with_letter && text.len() < GUID && !json::has_escapes(text) {
        return text.len() <= longest;
    }
    text.len() <= longest
        && unescaped(text).is_some_and(|text| {
            let text = text.trim();
            !resembles_time(text) && !resembles_guid(text)
        })
}

/// The unescaped text; `None` if it is invalid or holds NUL, which not every program accepts.
pub(super) fn unescaped(text: &str) -> Option<Cow<'_, str>> {
    json::unescape(text).filter(|text| matches!(text, Cow::Borrowed(_)) || !text.contains('\0'))
}

/// Whether a number survives the conversion to `real`, as a decimal with few enough digits does.
pub(super) fn is_exact(number: &str) -> bool {
    let is_decimal = |it: u8| it.is_ascii_digit() || matches!(it, b'-' | b'.');
    let digits = number.bytes().filter(u8::is_ascii_digit).count();
    digits <= EXACT_DIGITS && number.bytes().all(is_decimal)
}

/// Whether a text is a UTC time that the service, with its resolution of 100 ns, returns unchanged.
fn is_utc(text: &str) -> bool {
    const FORM: &[u8] = b"0000-00-00T00:00:00";
    let (Some(seconds), Some(fraction)) = (text.get(..FORM.len()), text.get(FORM.len()..)) else {
        return false;
    };
    let has_form = seconds.bytes().zip(FORM).all(|(it, form)| match form {
        b'0' => it.is_ascii_digit(),
        form => it == *form,
    });
    let is_short = match fraction.strip_suffix('Z') {
        Some("") => true,
        Some(fraction) => fraction.strip_prefix('.').is_some_and(|digits| {
            (1..=7).contains(&digits.len()) && digits.bytes().all(|it| it.is_ascii_digit())
        }),
        None => false,
    };
    // Not every program accepts the year 0.
    let is_common = !seconds.starts_with("0000");
    has_form && is_short && is_common && is_there(seconds)
}

/// Whether this date and time exist. Leap seconds count as nonexistent: not every program accepts them.
fn is_there(seconds: &str) -> bool {
    let number = |place: Range<usize>| seconds.get(place)?.parse().ok();
    let date = || {
        let year = i32::try_from(number(0..4)?).ok()?;
        NaiveDate::from_ymd_opt(year, number(5..7)?, number(8..10)?)
    };
    let time = || NaiveTime::from_hms_opt(number(11..13)?, number(14..16)?, number(17..19)?);
    date().is_some() && time().is_some()
}

/// Whether the service might take a text for a time. Its rules are documented for ISO 8601 only, so
/// this check is generous: a value kept out of its column does no harm.
fn resembles_time(text: &str) -> bool {
    let bytes = text.as_bytes();
    let separator = bytes.iter().position(|it| !it.is_ascii_digit());
    let begins_like_one = matches!(
        separator.map(|at| (at, bytes[at])),
        Some((4, b'-') | (8, b'T') | (1 | 2 | 4, b'/'))
    );
    let is_part = |it: &u8| it.is_ascii_digit() || b"TtZz:.,+-/ AaPpMm".contains(it);
    (begins_like_one && bytes.iter().all(is_part)) || text.starts_with("/Date(")
}

/// Whether the service might take a text for a GUID.
fn resembles_guid(text: &str) -> bool {
    let is_long = text.len() >= GUID;
    is_long && is_guid(text.trim_matches(['{', '}', '(', ')'])) || text.starts_with("{0x")
}

/// Whether a text is a GUID, with or without hyphens: the service accepts both.
fn is_guid(text: &str) -> bool {
    let is_hyphen = |at| matches!(at, 8 | 13 | 18 | 23);
    let mut bytes = text.bytes().enumerate();
    match text.len() {
        GUID => bytes.all(|(_, it)| it.is_ascii_hexdigit()),
        36 => bytes.all(|(at, it)| match it {
            b'-' => is_hyphen(at),
            it => it.is_ascii_hexdigit() && !is_hyphen(at),
        }),
        _ => false,
    }
}

/// A GUID in the form to send. The HTTP Data Collector API recognises it with or without hyphens,
/// and so does a rule's `toguid()`. The stream gets hyphens, as the column will show them.
pub(super) fn guid_for(api: Api, guid: &str) -> Cow<'_, str> {
    if api == Api::DataCollector || guid.len() != GUID {
        return guid.into();
    }
    let groups = [(0, 8), (8, 12), (12, 16), (16, 20), (20, 32)];
    groups
        .map(|(begin, end)| &guid[begin..end])
        .join("-")
        .into()
}
