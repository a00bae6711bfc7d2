//! Masks JSON in a string. It may be the whole string or part of a sentence, and it may have been cut.
//! Secrets in it are replaced, and everything else stays as written.

use std::borrow::Cow;
use std::ops::Range;

use super::names::NameKind;
use super::{Judgement, MASK, Masker, Walk, text, url};
use crate::json::{self, Scanner, Token};

/// Masks the secrets in a string, in its JSON and around it. From JSON that is nested too deeply on,
/// everything is masked.
pub fn masked(masker: Masker, verdict: Judgement, plain: &str) -> Cow<'_, str> {
    match by_parts(masker, verdict, plain) {
        Cow::Borrowed(plain) => around(verdict.kind, plain),
        Cow::Owned(parts) => Cow::Owned(around(verdict.kind, &parts).into_owned()),
    }
}

/// Masks parameters and passwords in URLs and forms that have JSON in them, such as
/// `claims={"a":1}&client_secret=s`. JSON that is complete counts as letters.
fn around(kind: NameKind, plain: &str) -> Cow<'_, str> {
    let mut letters = String::with_capacity(plain.len());
    while let Some(begin) = json::begin_in(plain, letters.len()) {
        letters.push_str(&plain[letters.len()..begin]);
        let (end, is_complete) = end_of_json(&plain[begin..]);
        let end = begin + end;
        if is_complete {
            letters.extend(std::iter::repeat_n('x', end - begin));
        } else {
            letters.push_str(&plain[begin..end]);
        }
    }
    letters.push_str(&plain[letters.len()..]);
    let mut found = Vec::new();
    url::secrets(kind, &letters, &mut found);
    if found.is_empty() {
        return Cow::Borrowed(plain);
    }
    Cow::Owned(text::without(plain, found))
}

/// How far JSON can be read, and whether that is to its end.
fn end_of_json(json: &str) -> (usize, bool) {
    let mut tokens = Scanner::new(json);
    let mut depth = 0_usize;
    while let Some(token) = tokens.next() {
        match token {
            Token::BeginObject | Token::BeginArray => depth += 1,
            Token::EndObject | Token::EndArray => depth = depth.saturating_sub(1),
            Token::Key(_) => continue,
            _ => {}
        }
        if depth == 0 {
            let is_cut =
                matches!(token, Token::Text(it) if tokens.begin() + it.len() == json.len());
            return (tokens.at(), !is_cut);
        }
    }
    (tokens.at(), false)
}

/// Masks each part of a string by itself: its JSON, and what is before, between and after it.
fn by_parts(masker: Masker, verdict: Judgement, plain: &str) -> Cow<'_, str> {
    let mut output = Masked {
        plain,
        text: String::new(),
        copied: 0,
    };
    let mut at = 0;
    while let Some(begin) = json::begin_in(plain, at) {
        output.put(at..begin, text::plain(verdict.kind, &plain[at..begin]));
        let Some(masker) = masker.within() else {
            output.put(begin..plain.len(), Cow::Owned(MASK.to_owned()));
            return output.done();
        };
        let mut walk = Walk::new(masker, verdict);
        let mut tokens = Scanner::new(&plain[begin..]);
        at = begin;
        while !walk.is_over
            && let Some(token) = tokens.next()
        {
            let inner = walk.step(token);
            let (start, value, new) = match token {
                Token::Text(text) if inner.hides(text) => {
                    (tokens.begin(), text, Cow::Owned(MASK.to_owned()))
                }
                Token::Text(text) => (tokens.begin(), text, masker.text(inner, text)),
                Token::Number(number) if inner.hides(number) => {
                    (tokens.begin(), number, Cow::Owned(format!("\"{MASK}\"")))
                }
                Token::Key(name) => (tokens.begin(), name, Cow::Borrowed(name)),
                // Read as text, together with the words around it, since they may not be JSON.
                Token::Number(_) | Token::Bool(_) | Token::Null => continue,
                _ => (tokens.at() - 1, "", Cow::Borrowed("")),
            };
            let start = begin + start;
            output.put(at..start, text::plain(verdict.kind, &plain[at..start]));
            output.put(start..start + value.len(), new);
            at = begin + tokens.at();
        }
    }
    output.put(at..plain.len(), text::plain(verdict.kind, &plain[at..]));
    output.done()
}

/// A text of which parts are replaced, from beginning to end.
struct Masked<'a> {
    plain: &'a str,
    text: String,
    copied: usize,
}

impl<'a> Masked<'a> {
    /// Replaces a range of the text, if its masked form differs.
    fn put(&mut self, range: Range<usize>, part: Cow<str>) {
        if let Cow::Owned(part) = part {
            self.text.push_str(&self.plain[self.copied..range.start]);
            self.text.push_str(&part);
            self.copied = range.end;
        }
    }

    fn done(mut self) -> Cow<'a, str> {
        if self.copied == 0 {
            return Cow::Borrowed(self.plain);
        }
        self.text.push_str(&self.plain[self.copied..]);
        Cow::Owned(self.text)
    }
}
