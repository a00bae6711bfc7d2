//! Masks JSON in a string. It may be the whole string or part of a sentence, and it may have been cut.
//! Secrets in it are replaced, and everything else stays as written.

use std::borrow::Cow;
use std::ops::Range;

use super::{Judgement, MASK, Masker, Walk, text};
use crate::escaped::{Edits, Escaped, edited, moved};
use crate::json::{self, Scanner, Token};

/// Masks the secrets in a string, in its JSON and around it. From JSON that is nested too deeply on,
/// everything is masked.
pub fn masked(masker: Masker, verdict: Judgement, plain: &str) -> Cow<'_, str> {
    edited(plain, &edits(masker, verdict, plain))
}

/// Masks the secrets in the JSON whose own quotes are escaped, in a text without other JSON.
pub fn escaped(masker: Masker, verdict: Judgement, plain: &str) -> Cow<'_, str> {
    let mut all = Edits::new();
    let mut at = 0;
    while let Some(json) = Escaped::find(plain, at) {
        let Some(masker) = masker.within() else {
            all.push((json.begin..plain.len(), MASK.to_owned()));
            break;
        };
        let edits = edits(masker, verdict, &json.text).into_iter();
        all.extend(edits.map(|it| moved(json.edit(it), json.begin)));
        at = json.end();
    }
    edited(plain, &all)
}

fn edits(masker: Masker, verdict: Judgement, plain: &str) -> Edits {
    let mut edits = Edits::new();
    // Replaces a range of the text, if its masked form differs.
    let mut put = |range: Range<usize>, part: Cow<str>| {
        if let Cow::Owned(part) = part {
            edits.push((range, part));
        }
    };
    let around = |range| text::plain(masker, verdict, &plain[range]);
    let mut begins = Begins::of(plain);
    let mut at = 0;
    while let Some(begin) = begins.next_from(at) {
        put(at..begin, around(at..begin));
        let Some(masker) = masker.within() else {
            put(begin..plain.len(), Cow::Owned(MASK.to_owned()));
            return edits;
        };
        let mut walk = Walk::new(masker, verdict);
        let mut tokens = Scanner::new(&plain[begin..]);
        at = begin;
        while !walk.is_over
            && let Some(token) = tokens.next()
        {
            let inner = walk.step(token);
            let (start, value, new) = match token {
                Token::Text(text) if inner.is_secret() => {
                    (tokens.begin(), text, Cow::Owned(MASK.to_owned()))
                }
                Token::Text(text) => (tokens.begin(), text, masker.text(inner, text)),
                Token::Number(number) if inner.is_secret() => {
                    (tokens.begin(), number, Cow::Owned(format!("\"{MASK}\"")))
                }
                Token::Key(name) => (tokens.begin(), name, Cow::Borrowed(name)),
                // Read as text, together with the words around it, since they may not be JSON.
                Token::Number(_) | Token::Bool(_) | Token::Null => continue,
                _ => (tokens.at() - 1, "", Cow::Borrowed("")),
            };
            let start = begin + start;
            put(at..start, around(at..start));
            put(start..start + value.len(), new);
            at = begin + tokens.at();
        }
    }
    put(at..plain.len(), around(at..plain.len()));
    edits
}

/// The longest name, in bytes, by which JSON is recognised that was cut at its beginning.
const LONGEST_NAME: usize = 64;

/// Where JSON begins in a text: a value, or a member of an object whose beginning was cut off, as in
/// `..."password":"hunter2"... is not valid JSON`.
struct Begins<'a> {
    text: &'a str,
    /// The next value and the next member that were found, each unless there is none. They are looked for
    /// anew only once they are passed, so that a long text is read once.
    value: Option<usize>,
    member: Option<usize>,
}

impl<'a> Begins<'a> {
    fn of(text: &'a str) -> Self {
        Self {
            text,
            value: json::begin_in(text, 0),
            member: begin_of_member(text, 0),
        }
    }

    /// The first one at or after an offset, which never decreases.
    fn next_from(&mut self, at: usize) -> Option<usize> {
        if self.value.is_some_and(|it| it < at) {
            self.value = json::begin_in(self.text, at);
        }
        if self.member.is_some_and(|it| it < at) {
            self.member = begin_of_member(self.text, at);
        }
        self.value.into_iter().chain(self.member).min()
    }
}

/// Where the first name in quotes with a colon after it begins, at or after an offset.
fn begin_of_member(text: &str, from: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = from;
    loop {
        at += memchr::memchr(b'"', bytes.get(at..)?)?;
        let ahead = &bytes[at + 1..];
        let ahead = &ahead[..ahead.len().min(LONGEST_NAME)];
        let end = memchr::memchr2(b'"', b'\\', ahead);
        if let Some(end) = end.filter(|it| ahead[*it] == b'"')
            && ahead[end + 1..].trim_ascii_start().first() == Some(&b':')
        {
            return Some(at);
        }
        at += 1;
    }
}
