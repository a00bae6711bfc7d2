//! Secrets that are recognised by their form: JSON Web Tokens, credentials after the scheme of an
//! `Authorization` header, private keys, one-time codes.
//!
//! <https://www.rfc-editor.org/rfc/rfc7519>, <https://www.rfc-editor.org/rfc/rfc9110#section-11.4>,
//! <https://www.rfc-editor.org/rfc/rfc7468>

use std::ops::{Range, RangeInclusive};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use memchr::memmem;

use super::url;

/// How many characters make a word after `Bearer` or `Basic` a credential.
const LONG: usize = 16;
/// The most characters of a label such as `BEGIN RSA PRIVATE KEY`.
const LONGEST_LABEL: usize = 64;

/// The characters of a header that are decoded to see whether it is an object.
const LOOKED_AT: Range<usize> = 12..64;

/// How many digits a one-time code has.
const ONE_TIME: RangeInclusive<usize> = 4..=10;
/// How many letters and digits a recovery code of Auth0 has.
const RECOVERY: usize = 24;

/// Finds signed and encrypted JSON Web Tokens: three parts or more of base64url, of which the first
/// is the beginning of a JSON object.
pub fn tokens(text: &str, found: &mut Vec<Range<usize>>) {
    let part = |from: usize| {
        let is_letter = |it: &u8| it.is_ascii_alphanumeric() || matches!(it, b'-' | b'_');
        let bytes = &text.as_bytes()[from..];
        from + bytes
            .iter()
            .position(|it| !is_letter(it))
            .unwrap_or(bytes.len())
    };
    let is_dot = |at: usize| text.as_bytes().get(at) == Some(&b'.');
    let mut at = 0;
    while let Some(begin) = begins_object(text, at) {
        let header = part(begin);
        at = header;
        if !is_dot(header) {
            continue;
        }
        let second = part(header + 1);
        if !is_dot(second) {
            continue;
        }
        let mut end = part(second + 1);
        // Either of the two parts may be empty, but not both.
        if second == header + 1 && end == second + 1 {
            continue;
        }
        while is_dot(end) && part(end + 1) > end + 1 {
            end = part(end + 1);
        }
        found.push(begin..end);
        at = end;
    }
}

/// Where base64url of a JSON object begins next: as `eyJ`, which is `{"`, or in another way if white space
/// follows the bracket.
fn begins_object(text: &str, from: usize) -> Option<usize> {
    let bytes = &text.as_bytes()[from..];
    let begins = memchr::memchr2_iter(b'y', b'w', bytes).filter_map(|at| at.checked_sub(1));
    let mut begins = begins.filter(|begin| match &bytes[*begin..] {
        [b'e', b'y', b'J', ..] => true,
        // A space, the end of a line as Unix or as Windows writes it, a tab.
        [b'e', b'y', b'A', ..] | [b'e', b'w', b'o' | b'0' | b'k', ..] => {
            is_object(&bytes[*begin..])
        }
        _ => false,
    });
    begins.next().map(|begin| from + begin)
}

/// Whether a text begins with base64url of a bracket, white space and a quotation mark. So does the end of
/// `newkirk`, but not with text after it.
fn is_object(text: &[u8]) -> bool {
    let is_end = |it: &u8| !it.is_ascii_alphanumeric() && !matches!(it, b'-' | b'_');
    let looked_at = &text[..text.len().min(LOOKED_AT.end)];
    let length = looked_at.iter().position(is_end);
    let length = length.unwrap_or(looked_at.len());
    // Whole groups of four characters.
    let decoded = BASE64_URL_SAFE_NO_PAD.decode(&looked_at[..length - length % 4]);
    let is_text = |it: &u8| !it.is_ascii_control() || it.is_ascii_whitespace();
    length >= LOOKED_AT.start
        && decoded.is_ok_and(|decoded| {
            let inside = decoded.strip_prefix(b"{").unwrap_or_default();
            inside.trim_ascii_start().starts_with(b"\"") && inside.iter().all(is_text)
        })
}

/// Finds the credentials after `Bearer` or `Basic`.
pub fn authorizations(text: &str, found: &mut Vec<Range<usize>>) {
    let bytes = text.as_bytes();
    let around = text.trim_start();
    let first = text.len() - around.len();
    let last = first + around.trim_end().len();
    let mut at = 0;
    while let Some(begin) = memchr::memchr2(b'b', b'B', &bytes[at..]).map(|it| at + it) {
        at = begin + 1;
        let is = |scheme: &str| {
            let word = bytes.get(begin..begin + scheme.len());
            word.is_some_and(|it| it.eq_ignore_ascii_case(scheme.as_bytes()))
        };
        let is_bearer = is("bearer");
        let after = match is_bearer {
            true => begin + 6,
            false if is("basic") => begin + 5,
            false => continue,
        };
        let word = skip_gap(bytes, after);
        if word == after {
            continue;
        }
        let is_end = |it: &u8| it.is_ascii_whitespace() || b"\"'<>,;&\\".contains(it);
        let length = bytes[word..].iter().position(is_end);
        let end = length.map_or(bytes.len(), |it| word + it);
        let is_alone = begin == first && end >= last;
        at = word;
        if word < end && ((is_bearer && is_alone) || is_credential(&bytes[word..end])) {
            found.push(word..end);
            at = end;
        }
    }
}

/// Skips white space, which may be encoded.
fn skip_gap(bytes: &[u8], from: usize) -> usize {
    let mut at = from;
    while let Some(unit) = url::unit(&bytes[at..])
        && (matches!(unit.byte, b' ' | b'\t') || bytes[at] == b'+')
    {
        at += unit.length;
    }
    at
}

/// Whether a word looks like a credential rather than a word of a language.
fn is_credential(word: &[u8]) -> bool {
    let has = |is: fn(&u8) -> bool| word.iter().any(is);
    let has_inner_capital = word.iter().skip(1).any(u8::is_ascii_uppercase);
    word.len() >= LONG
        || has(|it| it.is_ascii_digit() || b"=+/_~".contains(it))
        || (has_inner_capital && has(u8::is_ascii_lowercase))
}

/// Whether a value is a one-time code as people type it, or a recovery code: not the name of an error, and
/// not the source of an Action.
pub fn is_one_time_code(value: &str) -> bool {
    let value = value.trim();
    let digits = value.bytes().filter(u8::is_ascii_digit).count();
    let is_typed = |it: u8| it.is_ascii_digit() || matches!(it, b' ' | b'-');
    let begins = value.starts_with(|it: char| it.is_ascii_digit());
    let is_recovery = |it: u8| it.is_ascii_digit() || it.is_ascii_uppercase();
    begins && ONE_TIME.contains(&digits) && value.bytes().all(is_typed)
        || value.len() == RECOVERY && digits > 0 && value.bytes().all(is_recovery)
}

/// Finds private keys in PEM, up to their end, or up to the end of the text if the key was cut.
pub fn private_keys(text: &str, found: &mut Vec<Range<usize>>) {
    const BEGIN: &str = "-----BEGIN";
    const END: &str = "-----END";
    const DASHES: &str = "-----";
    let find = |what: &str, from: usize| {
        let at = memmem::find(&text.as_bytes()[from..], what.as_bytes());
        at.map(|it| from + it)
    };
    let mut at = 0;
    while let Some(begin) = find(BEGIN, at) {
        let label = begin + BEGIN.len();
        at = label;
        let window = &text.as_bytes()[label..text.len().min(label + LONGEST_LABEL)];
        let Some(length) = memmem::find(window, DASHES.as_bytes()) else {
            continue;
        };
        // Forms write spaces as `+` or `%20`.
        let letters = window[..length]
            .iter()
            .filter(|it| it.is_ascii_alphabetic());
        let letters: Vec<u8> = letters.copied().collect();
        if memmem::find(&letters, b"PRIVATEKEY").is_none() {
            continue;
        }
        let end = find(END, label).and_then(|it| find(DASHES, it + END.len()));
        at = end.map_or(text.len(), |it| it + DASHES.len());
        found.push(begin..at);
    }
}
