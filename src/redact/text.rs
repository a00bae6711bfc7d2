//! Masks the secrets in a string whose name does not say that it is one: what is searched for, and in
//! which order. Most strings are read once, to see that nothing in them can be a secret.

use std::borrow::Cow;
use std::ops::Range;

use super::names::NameKind;
use super::{Judgement, Masker, nested, url, values};
use crate::json;

/// The most passes over a text. No text is known to need more than two.
const MOST_PASSES: usize = 4;

/// Signs of secrets, one bit each. A text that lacks a sign of a kind of secret contains no secret of
/// that kind.
mod sign {
    pub const PAIR: u16 = 1;
    pub const PERCENT: u16 = 1 << 1;
    pub const AT: u16 = 1 << 2;
    pub const COLON: u16 = 1 << 3;
    pub const DOT: u16 = 1 << 4;
    pub const CAPITAL_J: u16 = 1 << 5;
    pub const B: u16 = 1 << 6;
    pub const GAP: u16 = 1 << 7;
    pub const DASH: u16 = 1 << 8;
    pub const CAPITAL_K: u16 = 1 << 9;
    pub const BACKSLASH: u16 = 1 << 10;
    pub const AMPERSAND: u16 = 1 << 11;
    pub const CAPITAL_A: u16 = 1 << 12;
    pub const Y: u16 = 1 << 13;
    pub const W: u16 = 1 << 14;

    pub const OF_BYTE: [u16; 256] = {
        let mut signs = [0; 256];
        signs[b'=' as usize] = PAIR;
        signs[b'%' as usize] = PERCENT | GAP;
        signs[b'@' as usize] = AT;
        signs[b':' as usize] = COLON;
        signs[b'.' as usize] = DOT;
        signs[b'J' as usize] = CAPITAL_J;
        signs[b'b' as usize] = B;
        signs[b'B' as usize] = B;
        signs[b' ' as usize] = GAP;
        signs[b'+' as usize] = GAP;
        signs[b'\t' as usize] = GAP;
        signs[b'-' as usize] = DASH;
        signs[b'K' as usize] = CAPITAL_K;
        signs[b'\\' as usize] = BACKSLASH | GAP;
        signs[b'&' as usize] = AMPERSAND | GAP;
        signs[b'A' as usize] = CAPITAL_A;
        signs[b'y' as usize] = Y;
        signs[b'w' as usize] = W;
        signs
    };
}

/// The signs that a text has.
#[derive(Clone, Copy)]
struct Signs(u16);

impl Signs {
    fn of(text: &str) -> Self {
        let signs = text.bytes().map(|it| sign::OF_BYTE[usize::from(it)]);
        Self(signs.fold(0, |all, it| all | it))
    }

    fn has(self, signs: u16) -> bool {
        self.0 & signs == signs
    }

    fn may_be_token(self) -> bool {
        // `eyJ`, `eyA`, and `ew` with one of three letters.
        self.has(sign::DOT | sign::CAPITAL_J)
            || self.has(sign::DOT | sign::CAPITAL_A | sign::Y)
            || self.has(sign::DOT | sign::W)
    }

    fn may_be_authorization(self) -> bool {
        self.has(sign::B | sign::GAP)
    }

    fn may_be_key(self) -> bool {
        self.has(sign::DASH | sign::CAPITAL_K)
    }

    fn may_be_url(self) -> bool {
        let encoded = sign::PERCENT | sign::BACKSLASH | sign::AMPERSAND;
        self.0 & (sign::PAIR | encoded) != 0 || self.has(sign::AT | sign::COLON)
    }

    fn may_be_any(self) -> bool {
        self.may_be_token() || self.may_be_authorization() || self.may_be_key() || self.may_be_url()
    }
}

/// Whether a text may contain a secret.
pub fn has_signs(text: &str) -> bool {
    Signs::of(text).may_be_any()
}

/// A string as written in JSON, masked.
pub fn masked(masker: Masker, verdict: Judgement, text: &str) -> Cow<'_, str> {
    let signs = Signs::of(text);
    if !signs.may_be_any() {
        return Cow::Borrowed(text);
    }
    if !signs.has(sign::BACKSLASH) {
        return plain(verdict.kind, text);
    }
    let is_read_whole = matches!(verdict.kind, NameKind::Sentence | NameKind::Path);
    let unescaped = json::unescape_lossy(text);
    let result = to_the_end(&unescaped, |text| {
        if is_read_whole || !text.contains('"') {
            plain(verdict.kind, text)
        } else {
            nested::masked(masker, verdict, text)
        }
    });
    match result {
        Cow::Borrowed(_) => Cow::Borrowed(text),
        Cow::Owned(plain) => Cow::Owned(json::escape(&plain)),
    }
}

/// A text without JSON, masked.
pub fn plain(kind: NameKind, text: &str) -> Cow<'_, str> {
    to_the_end(text, |it| once(kind, it))
}

/// Masks a text again until nothing changes: what a mask leaves may look like a secret for the first
/// time, as `[***` does alone after `Bearer `. So a record that comes back from an archive is sent
/// unchanged.
fn to_the_end(text: &str, mask: impl Fn(&str) -> Cow<'_, str>) -> Cow<'_, str> {
    // A text that is masked already is read once. Otherwise nested strings would be read twice at each
    // level.
    let mut masked = match mask(text) {
        Cow::Owned(masked) if masked != text => masked,
        _ => return Cow::Borrowed(text),
    };
    for _ in 1..MOST_PASSES {
        match mask(&masked) {
            Cow::Owned(again) if again != masked => masked = again,
            _ => break,
        }
    }
    Cow::Owned(masked)
}

fn once(kind: NameKind, text: &str) -> Cow<'_, str> {
    // What is before the query names the endpoint.
    let begin = match kind {
        NameKind::Path => text.find('?').unwrap_or(text.len()),
        _ => 0,
    };
    let looked_at = &text[begin..];
    let signs = Signs::of(looked_at);
    let mut found = Vec::new();
    if signs.may_be_token() {
        values::tokens(looked_at, &mut found);
    }
    if signs.may_be_authorization() {
        values::authorizations(looked_at, &mut found);
    }
    // A key that was cut is masked up to the end of the text, which must not hide a sentence.
    if signs.may_be_key() && kind != NameKind::Sentence {
        values::private_keys(looked_at, &mut found);
    }
    if signs.may_be_url() {
        url::secrets(kind, looked_at, &mut found);
    }
    if found.is_empty() {
        return Cow::Borrowed(text);
    }
    Cow::Owned(format!("{}{}", &text[..begin], without(looked_at, found)))
}

/// A text with a mask in place of what was found in it.
pub fn without(text: &str, mut found: Vec<Range<usize>>) -> String {
    found.sort_unstable_by_key(|it| it.start);
    let mut masked = String::with_capacity(text.len());
    let mut copied = 0;
    for range in found {
        // The same secret may be found in two ways.
        if range.start >= copied {
            masked.push_str(&text[copied..range.start]);
            masked.push_str(super::MASK);
        }
        copied = copied.max(range.end);
    }
    masked.push_str(&text[copied..]);
    masked
}
