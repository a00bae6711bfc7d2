//! A text as others would read it: without percent-encoding, or without the escapes of JSON, HTML or code.
//! Each byte knows where in the text it comes from.

use std::borrow::Cow;

use crate::encoded::{self, Character};

/// Times that a text is decoded: twice encoded is seen in logs, more often is not.
pub(super) const ROUNDS: usize = 3;

/// A text as it reads.
pub(super) struct View<'a> {
    pub text: Cow<'a, str>,
    /// Of each byte, and of the end, where in the text of before it begins; empty where they are the
    /// same.
    places: Vec<usize>,
}

impl<'a> View<'a> {
    /// As it is written.
    pub fn of(text: &'a str) -> Self {
        Self {
            text: text.into(),
            places: Vec::new(),
        }
    }

    /// Where in the text as it is written this place is.
    pub fn place(&self, at: usize) -> usize {
        self.places.get(at).copied().unwrap_or(at)
    }

    /// The same, decoded once more; `None` if nothing in it is encoded.
    pub fn decoded(&self, plus_is_space: bool) -> Option<View<'static>> {
        let text = self.text.as_bytes();
        let mut bytes = Vec::with_capacity(text.len());
        let mut places = Vec::with_capacity(text.len() + 1);
        let mut at = 0;
        let mut is_changed = false;
        while let Some(first) = text.get(at) {
            let found = match first {
                b'+' if plus_is_space => Some((Character::Byte(b' '), 1)),
                _ => encoded::first(&text[at..]),
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

/// Bytes as text, in which each byte that is none is a question mark: places stay what they are.
fn text_of(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| '?'));
    }
    text
}
