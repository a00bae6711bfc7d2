//! Finds personal values wherever they occur in a text: at word boundaries, in upper or lower case,
//! percent-encoded or escaped.
//!
//! Callers of the API choose how many values there are, and how long they are. So each position in a
//! text is looked up among all values at once: they are sorted, and each refers to the longest other
//! value that is a prefix of it. A long value is known by its beginning.

use std::borrow::Cow;

use super::Kind;
use super::key::trimmed;
use super::view::{ROUNDS, View};

/// The fewest characters of a value that is searched for. Shorter values are words in many languages.
pub(super) const SHORTEST: usize = 4;
/// How many bytes at the beginning of a value identify it. A text that begins with them counts as the
/// value, as far as both agree. Comparing more at each position would take too long.
pub(super) const LONG: usize = 1_000;
/// The fewest digits of a number that is searched for.
const SHORTEST_NUMBER: usize = 7;

/// How many digits no name of Auth0's fields has.
const DIGITS_OF_NO_NAME: usize = 4;

/// A value to search for, or the common beginning of several long values.
#[derive(Debug)]
struct Needle {
    /// In lower case, up to `LONG` bytes.
    text: String,
    /// The values that begin with `text`, sorted by what follows it.
    values: Vec<Tail>,
    /// The index of the longest other needle that is a prefix of this one.
    inner: Option<usize>,
    begins_with_word: bool,
    ends_with_word: bool,
    /// Whether it contains something that no name of Auth0's fields does.
    is_no_name: bool,
}

/// The rest of a value after its beginning, and what replaces the whole value.
#[derive(Debug)]
struct Tail {
    rest: String,
    replacement: String,
}

/// The part of a value to search for; `None` if it is too short.
pub(super) fn looked_for(value: &str) -> Option<&str> {
    let value = trimmed(value);
    value.chars().nth(SHORTEST - 1).map(|_| value)
}

/// Collects the values to search for.
#[derive(Default)]
pub(super) struct Needles(Vec<Candidate>);

struct Candidate {
    /// The beginning, up to `LONG` bytes, in lower case.
    text: String,
    rest: String,
    /// Of equal values the one with the lowest rank counts.
    rank: (Kind, bool),
    replacement: String,
}

impl Needles {
    /// Adds a value. If it is added as several kinds, the first in the order of [`Kind`] counts. An
    /// alias, which is a part of a value or another way to write it, counts before a value of the same
    /// kind.
    pub fn add(&mut self, kind: Kind, is_alias: bool, value: &str, replacement: &str) {
        if let Some(value) = looked_for(value) {
            let mut text = folded(value).into_owned();
            let rest = text.split_off(text.floor_char_boundary(LONG));
            self.0.push(Candidate {
                text,
                rest,
                rank: (kind, !is_alias),
                replacement: replacement.to_owned(),
            });
        }
    }

    pub fn index(self) -> Index {
        let mut candidates = self.0;
        candidates.sort_by(|one, other| {
            (&one.text, &one.rest, one.rank).cmp(&(&other.text, &other.rest, other.rank))
        });
        candidates.dedup_by(|later, first| later.text == first.text && later.rest == first.rest);
        let mut needles: Vec<Needle> = Vec::new();
        for it in candidates {
            match needles.last_mut() {
                Some(last) if last.text == it.text => last.add(it),
                _ => needles.push(Needle::of(it)),
            }
        }
        let mut first = [false; 256];
        // The needles that are prefixes of the last one, the shortest first.
        let mut open: Vec<usize> = Vec::new();
        for at in 0..needles.len() {
            let byte = needles[at].text.as_bytes()[0];
            first[usize::from(byte)] = true;
            first[usize::from(byte.to_ascii_uppercase())] = true;
            if !byte.is_ascii() {
                // Its upper case may begin with another byte.
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
        let has_space = |it: &Needle| {
            let mut rests = it.values.iter();
            it.text.contains(' ') || rests.any(|it| it.rest.contains(' '))
        };
        Index {
            has_spaces: needles.iter().any(has_space),
            has_no_names: needles.iter().any(|it| it.is_no_name),
            needles,
            first,
        }
    }
}

impl Needle {
    fn of(candidate: Candidate) -> Self {
        let text = &candidate.text;
        let is_word = |it: Option<char>| it.is_some_and(char::is_alphanumeric);
        let mut needle = Self {
            begins_with_word: is_word(text.chars().next()),
            // Where a long value ends does not matter.
            ends_with_word: candidate.rest.is_empty() && is_word(text.chars().next_back()),
            is_no_name: false,
            inner: None,
            values: Vec::with_capacity(1),
            text: text.clone(),
        };
        needle.add(candidate);
        needle
    }

    /// Adds a value that begins like this needle. Values are added in sorted order.
    fn add(&mut self, candidate: Candidate) {
        let Candidate {
            text,
            rest,
            replacement,
            ..
        } = candidate;
        let letters = || text.chars().chain(rest.chars());
        let is_of_a_name = |it: char| it.is_ascii_alphanumeric() || matches!(it, '_' | '-' | '$');
        let digits = letters().filter(char::is_ascii_digit).count();
        self.is_no_name |= !letters().any(char::is_alphabetic)
            || digits >= DIGITS_OF_NO_NAME
            || !letters().all(is_of_a_name);
        self.ends_with_word &= rest.is_empty();
        self.values.push(Tail { rest, replacement });
    }

    /// Whether the needle is not part of a longer word at this position.
    fn is_alone(&self, is_after_word: bool, rest: &str) -> bool {
        let begins = !self.begins_with_word || !is_after_word;
        let ends = !self.ends_with_word || !rest.starts_with(char::is_alphanumeric);
        begins && ends
    }

    /// The value whose rest shares the longest prefix with the text ahead, and the length of that
    /// prefix. It is next to where the text would be sorted.
    fn longest(&self, ahead: &str) -> (&Tail, usize) {
        let after = self.values.partition_point(|it| it.rest.as_str() <= ahead);
        let near = &self.values[after.saturating_sub(1)..self.values.len().min(after + 1)];
        let alike = near.iter().map(|it| (it, common_prefix(&it.rest, ahead)));
        let best = alike.reduce(|best, it| if it.1 > best.1 { it } else { best });
        best.unwrap_or((&self.values[0], 0))
    }
}

/// The values to search for.
pub(super) struct Index {
    /// Sorted by their text.
    needles: Vec<Needle>,
    /// For each byte, whether a needle begins with it, in either case.
    first: [bool; 256],
    has_no_names: bool,
    has_spaces: bool,
}

/// An occurrence of a value in a text.
struct Hit<'i> {
    begin: usize,
    end: usize,
    replacement: &'i str,
}

impl Index {
    /// The replacement of a text that is one of the values as a whole.
    fn whole(&self, text: &str) -> Option<&str> {
        let text = folded(text.trim());
        let (text, rest) = text.split_at(text.floor_char_boundary(LONG));
        let needle = self
            .needles
            .binary_search_by(|it| it.text.as_str().cmp(text));
        let values = &self.needles[needle.ok()?].values;
        let value = values.binary_search_by(|it| it.rest.as_str().cmp(rest));
        Some(&values[value.ok()?].replacement)
    }

    /// The replacement of a number that is one of the values.
    pub fn number(&self, number: &str) -> Option<&str> {
        let is_long = number.bytes().filter(u8::is_ascii_digit).count() >= SHORTEST_NUMBER;
        self.whole(number).filter(|_| is_long)
    }

    /// A text with all values replaced.
    pub fn replaced<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.replaced_if(text, |_| true)
    }

    /// The name of a field, in which only values are replaced that cannot be the name of one of Auth0's
    /// fields: a user named `details` does not hide that field.
    pub fn replaced_in_name<'a>(&self, name: &'a str) -> Cow<'a, str> {
        let is_of_words = |it: u8| it.is_ascii_alphabetic() || matches!(it, b'_' | b'-');
        if !self.has_no_names || name.bytes().all(is_of_words) {
            return name.into();
        }
        self.replaced_if(name, |needle| needle.is_no_name)
    }

    fn replaced_if<'a>(&self, text: &'a str, counts: fn(&Needle) -> bool) -> Cow<'a, str> {
        let mut hits = Vec::new();
        let written = View::of(text);
        self.search(&written, counts, &mut hits);
        let bytes = text.as_bytes();
        let mut read_as = |plus_is_space| {
            let mut view = written.decoded_with_escapes(plus_is_space);
            for _ in 0..ROUNDS {
                let Some(it) = view else { return };
                self.search(&it, counts, &mut hits);
                view = it.decoded_with_escapes(plus_is_space);
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
        // Of hits at the same position, the longest comes first.
        hits.sort_unstable_by_key(|it| (it.begin, std::cmp::Reverse(it.end)));
        let mut result = String::with_capacity(text.len());
        let mut copied = 0;
        for Hit {
            begin,
            end,
            replacement,
        } in hits
        {
            if begin < copied {
                continue;
            }
            result.push_str(&text[copied..begin]);
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

    fn search<'i>(&'i self, view: &View, counts: fn(&Needle) -> bool, hits: &mut Vec<Hit<'i>>) {
        let bytes = view.text.as_bytes();
        let has_escapes = memchr::memchr(b'\\', bytes).is_some();
        // Made when it is first needed: most texts have no position where a value could begin.
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
                Some(found) => {
                    let beyond = at + found.text.len();
                    let (value, more) = found.longest(&text[beyond..]);
                    let end = beyond + more;
                    hits.push(Hit {
                        begin: view.place(at),
                        end: view.place(end),
                        replacement: &value.replacement,
                    });
                    is_after_letter = bytes[end - 1].is_ascii_alphanumeric();
                    at = end;
                }
                None => at += 1,
            }
        }
    }

    /// The longest needle at this position.
    fn at(&self, text: &str, at: usize, counts: fn(&Needle) -> bool) -> Option<&Needle> {
        // A value begins at a character boundary.
        let (before, ahead) = (text.get(..at)?, text.get(at..)?);
        let is_after_word = ends_with_word(before);
        if is_after_word && ahead.starts_with(char::is_alphanumeric) {
            return None;
        }
        // All needles that are prefixes of the text sort before it, and the last needle before it begins
        // with each of them.
        let after = self.needles.partition_point(|it| it.text.as_str() <= ahead);
        let mut candidate = after.checked_sub(1);
        // How many bytes the text shares with that last needle, and so with its prefixes.
        let mut alike = None;
        while let Some(index) = candidate {
            let needle = &self.needles[index];
            let alike = *alike.get_or_insert_with(|| common_bytes(&needle.text, ahead));
            if needle.text.len() <= alike
                && needle.is_alone(is_after_word, &ahead[needle.text.len()..])
                && counts(needle)
            {
                return Some(needle);
            }
            candidate = needle.inner;
        }
        None
    }
}

/// Whether a text ends within a word. The letter of an escape, such as `\n`, is not part of a word.
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

/// A text in lower case, with all byte offsets unchanged.
pub(super) fn folded(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        if !text.bytes().any(|it| it.is_ascii_uppercase()) {
            return text.into();
        }
        return text.to_ascii_lowercase().into();
    }
    // Converts to upper case first, since several letters, such as the two sigmas, share one upper case.
    text.chars()
        .map(|it| lower(single(it.to_uppercase(), it)))
        .collect::<String>()
        .into()
}

/// A letter in lower case, if that has as many bytes.
fn lower(letter: char) -> char {
    single(letter.to_lowercase(), letter)
}

/// The converted letter; `letter` itself if it becomes several letters or has another number of bytes.
fn single(mut cased: impl Iterator<Item = char>, letter: char) -> char {
    match (cased.next(), cased.next()) {
        (Some(it), None) if it.len_utf8() == letter.len_utf8() => it,
        _ => letter,
    }
}

/// The length in bytes of the common prefix of two texts, in whole characters.
fn common_prefix(one: &str, other: &str) -> usize {
    let letters = one.chars().zip(other.chars());
    let same = letters.take_while(|(one, other)| one == other);
    same.map(|(letter, _)| letter.len_utf8()).sum()
}

/// The same, but the prefix may end within a character.
fn common_bytes(one: &str, other: &str) -> usize {
    if other.starts_with(one) {
        return one.len();
    }
    let bytes = one.bytes().zip(other.bytes());
    bytes.take_while(|(one, other)| one == other).count()
}

fn percent_encode(text: &str, out: &mut String) {
    use std::fmt::Write as _;
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'*') {
            out.push(char::from(byte));
        } else {
            // Writing to a `String` cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
}
