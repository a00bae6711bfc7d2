//! Finding personal values wherever they occur in a text: at the boundaries of words, in lower case
//! or upper, percent-encoded or escaped.
//!
//! Whoever calls the API chooses how many values there are and how long. So a place in a text is
//! looked up among all of them at once: they are sorted, and each knows the longest other one that
//! it begins with.

use std::borrow::Cow;

use super::Kind;
use super::key::trimmed;
use super::view::{ROUNDS, View};

/// Characters of a value that is looked for: shorter ones are words of every language.
pub(super) const SHORTEST: usize = 4;
/// Digits of a number that is looked for.
const SHORTEST_NUMBER: usize = 7;

/// Digits that no name of a field of Auth0's has.
const DIGITS_OF_NO_NAME: usize = 4;

/// A value that is looked for.
#[derive(Debug)]
struct Needle {
    /// In lower case.
    text: String,
    replacement: String,
    /// The longest other one that it begins with.
    inner: Option<usize>,
    begins_with_word: bool,
    ends_with_word: bool,
    /// Whether it has something in it that no name of a field of Auth0's has.
    is_no_name: bool,
}

/// What of a value is looked for, if it is long enough.
pub(super) fn looked_for(value: &str) -> Option<&str> {
    let value = trimmed(value);
    value.chars().nth(SHORTEST - 1).map(|_| value)
}

/// Collects values that are looked for.
#[derive(Default)]
pub(super) struct Needles(Vec<Candidate>);

struct Candidate {
    text: String,
    /// Of those of one text the first counts.
    rank: (Kind, bool),
    replacement: String,
}

impl Needles {
    /// Adds a value. Where it was added before as another kind, the first kind counts; an alias is
    /// a part of a value, or another way to write it, and counts before a value of the same kind.
    pub fn add(&mut self, kind: Kind, is_alias: bool, value: &str, replacement: &str) {
        if let Some(value) = looked_for(value) {
            self.0.push(Candidate {
                text: folded(value).into_owned(),
                rank: (kind, !is_alias),
                replacement: replacement.to_owned(),
            });
        }
    }

    pub fn index(self) -> Index {
        let mut candidates = self.0;
        candidates.sort_by(|one, other| (&one.text, one.rank).cmp(&(&other.text, other.rank)));
        candidates.dedup_by(|later, first| later.text == first.text);
        let mut needles: Vec<Needle> = candidates.into_iter().map(needle).collect();
        let mut first = [false; 256];
        // Those that the last one begins with, the shortest first.
        let mut open: Vec<usize> = Vec::new();
        for at in 0..needles.len() {
            let byte = needles[at].text.as_bytes()[0];
            first[usize::from(byte)] = true;
            first[usize::from(byte.to_ascii_uppercase())] = true;
            if !byte.is_ascii() {
                // In upper case it may begin with another one.
                first[128..].fill(true);
            }
            while let Some(last) = open.last()
                && !needles[at].text.starts_with(&needles[*last].text)
            {
                open.pop();
            }
            needles[at].inner = open.last().copied();
            open.push(at);
        }
        Index {
            has_spaces: needles.iter().any(|it| it.text.contains(' ')),
            has_no_names: needles.iter().any(|it| it.is_no_name),
            needles,
            first,
        }
    }
}

fn needle(candidate: Candidate) -> Needle {
    let Candidate {
        text, replacement, ..
    } = candidate;
    let is_word = |it: Option<char>| it.is_some_and(char::is_alphanumeric);
    let is_of_a_name = |it: char| it.is_ascii_alphanumeric() || matches!(it, '_' | '-' | '$');
    let has_letter = text.contains(char::is_alphabetic);
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    Needle {
        begins_with_word: is_word(text.chars().next()),
        ends_with_word: is_word(text.chars().next_back()),
        is_no_name: !has_letter || digits >= DIGITS_OF_NO_NAME || !text.chars().all(is_of_a_name),
        inner: None,
        text,
        replacement,
    }
}

/// Values that are looked for.
pub(super) struct Index {
    needles: Vec<Needle>,
    /// Whether one begins with this byte, in either case.
    first: [bool; 256],
    has_no_names: bool,
    has_spaces: bool,
}

/// A value in a text.
struct Hit {
    begin: usize,
    end: usize,
    needle: usize,
}

impl Index {
    /// What stands in place of a text that is one of the values.
    pub fn whole(&self, text: &str) -> Option<&str> {
        let text = folded(text.trim());
        let found = self
            .needles
            .binary_search_by(|it| it.text.as_str().cmp(&text));
        Some(&self.needles[found.ok()?].replacement)
    }

    /// What stands in place of a number that is one of the values.
    pub fn number(&self, number: &str) -> Option<&str> {
        let is_long = number.bytes().filter(u8::is_ascii_digit).count() >= SHORTEST_NUMBER;
        self.whole(number).filter(|_| is_long)
    }

    /// A text without the values.
    pub fn replaced<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.replaced_if(text, |_| true)
    }

    /// The name of a field without those of the values that can be nothing but values: whoever calls
    /// himself `details` does not hide that field.
    pub fn replaced_in_name<'a>(&self, name: &'a str) -> Cow<'a, str> {
        let is_of_words = |it: u8| it.is_ascii_alphabetic() || matches!(it, b'_' | b'-');
        if !self.has_no_names || name.bytes().all(is_of_words) {
            return name.into();
        }
        self.replaced_if(name, |needle| needle.is_no_name)
    }

    fn replaced_if<'a>(&self, text: &'a str, counts: fn(&Needle) -> bool) -> Cow<'a, str> {
        if self.needles.is_empty() {
            return text.into();
        }
        let mut hits = Vec::new();
        let written = View::of(text);
        self.search(&written, counts, &mut hits);
        let bytes = text.as_bytes();
        let mut read_as = |plus_is_space| {
            let mut view = written.decoded(plus_is_space);
            for _ in 0..ROUNDS {
                let Some(it) = view else { return };
                self.search(&it, counts, &mut hits);
                view = it.decoded(plus_is_space);
            }
        };
        if memchr::memchr3(b'%', b'\\', b'&', bytes).is_some() {
            read_as(false);
        }
        if self.has_spaces && bytes.contains(&b'+') {
            read_as(true);
        }
        if hits.is_empty() {
            return text.into();
        }
        // The longest of those that begin at one place first.
        hits.sort_unstable_by_key(|it| (it.begin, std::cmp::Reverse(it.end)));
        let mut result = String::with_capacity(text.len());
        let mut copied = 0;
        for Hit { begin, end, needle } in hits {
            if begin < copied {
                continue;
            }
            result.push_str(&text[copied..begin]);
            let replacement = &self.needles[needle].replacement;
            if text[begin..end].contains('%') {
                percent_encode(replacement, &mut result);
            } else {
                result.push_str(replacement);
            }
            copied = end;
        }
        result.push_str(&text[copied..]);
        result.into()
    }

    fn search(&self, view: &View, counts: fn(&Needle) -> bool, hits: &mut Vec<Hit>) {
        let bytes = view.text.as_bytes();
        let has_escapes = memchr::memchr(b'\\', bytes).is_some();
        // Most texts have no place that could begin a value.
        let mut lower = None;
        let mut is_after_letter = false;
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            let is_letter = byte.is_ascii_alphanumeric();
            let is_within = is_letter && is_after_letter && !has_escapes;
            is_after_letter = is_letter;
            if is_within || !self.first[usize::from(*byte)] {
                at += 1;
                continue;
            }
            let text: &str = lower.get_or_insert_with(|| folded(&view.text));
            match self.at(text, at, counts) {
                Some(needle) => {
                    let end = at + self.needles[needle].text.len();
                    hits.push(Hit {
                        begin: view.place(at),
                        end: view.place(end),
                        needle,
                    });
                    is_after_letter = bytes[end - 1].is_ascii_alphanumeric();
                    at = end;
                }
                None => at += 1,
            }
        }
    }

    /// The longest value at this place.
    fn at(&self, text: &str, at: usize, counts: fn(&Needle) -> bool) -> Option<usize> {
        // A value begins with a whole character.
        let (before, ahead) = (text.get(..at)?, text.get(at..)?);
        let is_after_word = ends_with_word(before);
        if is_after_word && ahead.starts_with(|it: char| it.is_ascii_alphanumeric()) {
            return None;
        }
        // All that the text begins with come before it in order, and the last one before it begins
        // with each of those.
        let after = self.needles.partition_point(|it| it.text.as_str() <= ahead);
        let mut candidate = after.checked_sub(1);
        while let Some(index) = candidate {
            let needle = &self.needles[index];
            if let Some(rest) = ahead.strip_prefix(needle.text.as_str()) {
                let begins = !needle.begins_with_word || !is_after_word;
                let ends = !needle.ends_with_word || !rest.starts_with(char::is_alphanumeric);
                if begins && ends && counts(needle) {
                    return Some(index);
                }
            }
            candidate = needle.inner;
        }
        None
    }
}

/// Whether a text ends within a word. The letter of an escape, such as `\n`, is no part of one.
fn ends_with_word(text: &str) -> bool {
    if !text.ends_with(char::is_alphanumeric) {
        return false;
    }
    let bytes = text.as_bytes();
    let is_escape = match bytes {
        [.., b'\\', b'n' | b'r' | b't'] => true,
        [.., b'\\', b'u', a, b, c, d] => [a, b, c, d].iter().all(|it| it.is_ascii_hexdigit()),
        _ => false,
    };
    !is_escape
}

/// A text in lower case, of which each byte is where it was.
fn folded(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        if !text.bytes().any(|it| it.is_ascii_uppercase()) {
            return text.into();
        }
        return text.to_ascii_lowercase().into();
    }
    let lower = |it: char| {
        let mut lower = it.to_lowercase();
        match (lower.next(), lower.next()) {
            (Some(lower), None) if lower.len_utf8() == it.len_utf8() => lower,
            _ => it,
        }
    };
    text.chars().map(lower).collect::<String>().into()
}

fn percent_encode(text: &str, out: &mut String) {
    use std::fmt::Write as _;
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'*') {
            out.push(char::from(byte));
        } else {
            // Writing to a text does not fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
}
