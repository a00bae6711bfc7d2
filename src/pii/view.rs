//! A text as its readers see it: with percent-encoding and the escapes of JSON, HTML and code decoded.
//! Each decoded byte knows its offset in the text as written.

use std::borrow::Cow;

use crate::encoded::{self, Character};

/// How many times a text is decoded. Logs contain text that is encoded twice, but not more often.
pub(super) const ROUNDS: usize = 3;

/// A text after some rounds of decoding.
pub(super) struct View<'a> {
    pub text: Cow<'a, str>,
    /// For each byte, and for the end, its offset in the text as written; empty if nothing was decoded.
    places: Vec<usize>,
}

impl<'a> View<'a> {
    /// A text as written.
    pub fn of(text: &'a str) -> Self {
        Self {
            text: text.into(),
            places: Vec::new(),
        }
    }

    /// Translates an offset in this text to the text as written.
    pub fn place(&self, at: usize) -> usize {
        self.places.get(at).copied().unwrap_or(at)
    }

    /// The text decoded once more; `None` if nothing in it is encoded.
    pub fn decoded(&self, plus_is_space: bool) -> Option<View<'static>> {
        self.decoded_by(plus_is_space, encoded::first)
    }

    /// The same, with the escapes of search queries too, which elsewhere only find more.
    pub fn decoded_with_escapes(&self, plus_is_space: bool) -> Option<View<'static>> {
        self.decoded_by(plus_is_space, |text| {
            encoded::first(text).or_else(|| escaped_sign(text))
        })
    }

    /// The same, with this way to decode the first character of a text.
    fn decoded_by(
        &self,
        plus_is_space: bool,
        first_of: impl Fn(&[u8]) -> Option<(Character, usize)>,
    ) -> Option<View<'static>> {
        let text = self.text.as_bytes();
        let mut bytes = Vec::with_capacity(text.len());
        let mut places = Vec::with_capacity(text.len() + 1);
        let mut at = 0;
        let mut is_changed = false;
        while let Some(first) = text.get(at) {
            let found = match first {
                b'+' if plus_is_space => Some((Character::Byte(b' '), 1)),
                _ => first_of(&text[at..]),
            };
            is_changed |= found.is_some();
            let (character, length) = found.unwrap_or((Character::Byte(*first), 1));
            let before = bytes.len();
            character.write(&mut bytes);
            let place = self.place(at);
            places.extend((before..bytes.len()).map(|_| place));
            at += length;
        }
        places.push(self.place(text.len()));
        is_changed.then(|| View {
            text: text_of(&bytes).into(),
            places,
        })
    }
}

/// A space or a sign after a backslash, as in a query of Lucene: `ada\ lovelace`.
fn escaped_sign(text: &[u8]) -> Option<(Character, usize)> {
    match text {
        [b'\\', sign, ..] if *sign == b' ' || sign.is_ascii_punctuation() => {
            Some((Character::Byte(*sign), 2))
        }
        _ => None,
    }
}

/// A text without the backslashes of such escapes.
pub(super) fn without_escapes(text: &str) -> Cow<'_, str> {
    if memchr::memchr(b'\\', text.as_bytes()).is_none() {
        return text.into();
    }
    let view = View::of(text).decoded_by(false, escaped_sign);
    view.map_or(text.into(), |it| it.text)
}

/// Bytes as text. Each byte that is not valid UTF-8 becomes a question mark, so that offsets stay the
/// same.
fn text_of(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| '?'));
    }
    text
}
