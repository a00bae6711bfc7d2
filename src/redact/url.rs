//! Secrets in URLs and forms: the password before the host, and parameters with the name of a
//! secret, at any level of percent-encoding.
//!
//! <https://www.rfc-editor.org/rfc/rfc3986>, <https://url.spec.whatwg.org/#application/x-www-form-urlencoded>

use std::ops::Range;

use super::names::{self, NameKind};
use crate::encoded;

/// The most bytes after the end of a host in which the end of a carelessly encoded password is searched
/// for.
const LONGEST_CARELESS: usize = 256;

/// The most levels of encoding that are told apart. The text is searched for hosts at each level.
const MOST_LEVELS: u8 = 16;

/// Stands for every character beyond ASCII, none of which has a meaning in a URL.
const LETTER: u8 = b'\x80';

/// A character, which may be encoded: `&`, `%26`, `%2526`, `\u0026`, `&amp;`.
#[derive(Clone, Copy)]
pub struct Unit {
    pub byte: u8,
    /// How many times it is percent-encoded.
    level: u8,
    /// How many bytes it takes.
    pub length: usize,
}

/// The first character of a text; `None` if the text is empty.
pub fn unit(bytes: &[u8]) -> Option<Unit> {
    let encoded = match bytes {
        // Any other escape ends a value, as a quote does.
        [b'\\', b'/' | b'u' | b'x', ..] | [b'&', ..] => encoded::first(bytes),
        _ => None,
    };
    let encoded = encoded.map(|(it, length)| (it.ascii().unwrap_or(LETTER), length));
    let (byte, length) = encoded.or(bytes.first().map(|it| (*it, 1)))?;
    let plain = Unit {
        byte,
        level: 0,
        length,
    };
    if byte != b'%' {
        return Some(plain);
    }
    // The percent sign may be encoded itself, in both ways.
    let mut digits = &bytes[length..];
    let mut level = 1_u8;
    while let [b'2', b'5', deeper @ ..] = digits {
        digits = deeper;
        level = MOST_LEVELS.min(level + 1);
    }
    let byte = match digits {
        [high, low, ..] => encoded::hex(*high, *low),
        _ => None,
    };
    Some(byte.map_or(plain, |byte| Unit {
        byte,
        level,
        length: bytes.len() - digits.len() + 2,
    }))
}

/// Finds the secrets of all URLs in a text, and of the text itself if it is a form.
pub fn secrets(kind: NameKind, text: &str, found: &mut Vec<Range<usize>>) {
    // In a form, a value may extend to the end of the text, which must not happen in a sentence.
    if kind != NameKind::Sentence && is_form(kind, text.as_bytes()) {
        return Reading::of_form(text).run(found);
    }
    let is_end = |it: char| it.is_whitespace() || matches!(it, '"' | '<' | '>' | '`');
    let ends = text.char_indices().filter(|(_, it)| is_end(*it));
    let mut begin = 0;
    for (end, it) in ends.chain([(text.len(), ' ')]) {
        Reading::of_word(kind, text, begin..end).run(found);
        begin = end + it.len_utf8();
    }
}

/// Whether a text is `name=value&name=value`. In a field for forms one delimiter is enough: a name or the
/// whole first pair may be empty.
fn is_form(kind: NameKind, text: &[u8]) -> bool {
    let is_expected = kind == NameKind::Form;
    let mut has_pair = false;
    let mut at = 0;
    while let Some(unit) = unit(&text[at..]) {
        match unit.byte {
            b'=' if is_expected => return true,
            b'=' => has_pair = true,
            it if it == b'&' || text[at] == b'&' => return has_pair || is_expected,
            it if has_pair || it.is_ascii_alphanumeric() || b"-._[]".contains(&it) => {}
            _ => return false,
        }
        at += unit.length;
    }
    false
}

/// A scan of a word, which finds out what in it is a URL.
struct Reading<'a> {
    /// The text, to the end of the word.
    text: &'a [u8],
    at: usize,
    is_in_url: bool,
    is_in_query: bool,
    /// Where the name of the parameter begins.
    name: Option<usize>,
}

impl<'a> Reading<'a> {
    fn of_form(text: &'a str) -> Self {
        Self {
            text: text.as_bytes(),
            at: 0,
            is_in_url: true,
            is_in_query: true,
            name: Some(0),
        }
    }

    fn of_word(kind: NameKind, text: &'a str, word: Range<usize>) -> Self {
        let text = &text.as_bytes()[..word.end];
        let opening = text[word.start..].iter();
        let opening = opening.take_while(|it| b"'([{,".contains(it)).count();
        // A URL may have no host.
        let first = unit(&text[word.start + opening..]);
        let begins_as_one = first.is_some_and(|it| matches!(it.byte, b'/' | b'?' | b'#'));
        Self {
            text,
            at: word.start,
            is_in_url: kind == NameKind::Url || begins_as_one,
            is_in_query: false,
            name: None,
        }
    }

    fn run(&mut self, found: &mut Vec<Range<usize>>) {
        while let Some(unit) = unit(&self.text[self.at..]) {
            let is_of_html = self.text[self.at] == b'&';
            self.at += unit.length;
            match unit.byte {
                b':' => self.scheme(unit.level, found),
                b'?' | b'#' if self.is_in_url => {
                    self.is_in_query = true;
                    self.name = Some(self.at);
                }
                b'&' | b';' if self.is_in_query => self.name = Some(self.at),
                b'=' => {
                    let name = self.name.take();
                    let name = name.map(|it| decoded(&self.text[it..self.at - unit.length]));
                    if name.is_some_and(|it| names::is_secret_parameter(&it)) {
                        let begin = self.at;
                        self.value(unit.level);
                        if begin < self.at {
                            found.push(begin..self.at);
                        }
                    }
                }
                // A reader that does not decode HTML sees the beginning of another parameter.
                _ if is_of_html && self.is_in_query => self.name = Some(self.at),
                _ => {}
            }
        }
    }

    /// Skips a value that is encoded this many times.
    fn value(&mut self, level: u8) {
        while let Some(unit) = unit(&self.text[self.at..]) {
            let is_end = unit.level <= level && matches!(unit.byte, b'&' | b'#');
            // An encoded quote or angle bracket ends the value, as a plain one ends the word.
            let is_around = self.text[self.at] == b'&' && b"\"<>".contains(&unit.byte);
            if is_end || is_around || (unit.byte == b'\\' && unit.level == 0) {
                break;
            }
            self.at += unit.length;
        }
    }

    /// Continues after a colon, which may be that of a scheme.
    fn scheme(&mut self, level: u8, found: &mut Vec<Range<usize>>) {
        let mut at = self.at;
        for _ in 0..2 {
            match unit(&self.text[at..]) {
                Some(it) if it.byte == b'/' && it.level == level => at += it.length,
                _ => return,
            }
        }
        self.at = at;
        self.is_in_url = true;
        found.extend(self.password(level));
    }

    /// The password before a host, in a URL whose user name or host begins here.
    fn password(&self, level: u8) -> Option<Range<usize>> {
        // What is encoded more often is part of a name or a password.
        let units = |from: usize| {
            let mut at = from;
            std::iter::from_fn(move || {
                let unit = unit(&self.text[at..])?;
                at += unit.length;
                Some((at - unit.length, unit))
            })
            .filter(move |(_, it)| it.level <= level)
        };
        let is_end = |it: Unit| b"/?#".contains(&it.byte) || (it.byte == b'&' && it.level < level);
        let end = units(self.at).find(|(_, it)| is_end(*it));
        let end = end.map_or(self.text.len(), |(at, _)| at);
        let within = || units(self.at).take_while(|(at, _)| *at < end);
        let (at, colon) = within().find(|(_, it)| it.byte == b':')?;
        let password = at + colon.length;
        let sign = within().filter(|(_, it)| it.byte == b'@').last();
        let sign = sign.or_else(|| {
            // A careless password may contain what ends a host. A port does not.
            let is_port = self.text[password..end].iter().all(u8::is_ascii_digit);
            let is_address = self.text[self.at] == b'[';
            let careless = units(end).take_while(|(at, _)| *at < end + LONGEST_CARELESS);
            let signs = careless.filter(|(_, it)| it.byte == b'@');
            signs.last().filter(|_| !is_port && !is_address)
        });
        sign.map(|(at, _)| password..at)
            .filter(|it| it.start < it.end)
    }
}

/// A name with all levels of encoding undone.
fn decoded(name: &[u8]) -> String {
    let mut text = String::new();
    let mut at = 0;
    while let Some(unit) = unit(&name[at..]) {
        text.push(char::from(unit.byte));
        at += unit.length;
    }
    text
}
