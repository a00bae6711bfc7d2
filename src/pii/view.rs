//! A text as others would read it: without percent-encoding, or without the escapes of JSON or code.
//! Each byte knows where in the text it comes from.

use std::borrow::Cow;

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
                b'%' => percent(&text[at..]),
                b'\\' => escape(&text[at..]),
                b'+' if plus_is_space => Some((1, Decoded::Byte(b' '))),
                _ => None,
            };
            is_changed |= found.is_some();
            let (length, decoded) = found.unwrap_or((1, Decoded::Byte(*first)));
            let before = bytes.len();
            match decoded {
                Decoded::Byte(byte) => bytes.push(byte),
                Decoded::Letter(letter) => {
                    bytes.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
                }
            }
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

enum Decoded {
    Byte(u8),
    Letter(char),
}

/// `%7C`
fn percent(text: &[u8]) -> Option<(usize, Decoded)> {
    let digits = text.get(1..3)?;
    let digits = std::str::from_utf8(digits).ok()?;
    let is_hex = digits.bytes().all(|it| it.is_ascii_hexdigit());
    let byte = u8::from_str_radix(digits, 16).ok().filter(|_| is_hex)?;
    Some((3, Decoded::Byte(byte)))
}

/// `\u007c`, `\n`, `\"`
fn escape(text: &[u8]) -> Option<(usize, Decoded)> {
    let letter = match text.get(1)? {
        b'u' => {
            let digits = std::str::from_utf8(text.get(2..6)?).ok()?;
            let is_hex = digits.bytes().all(|it| it.is_ascii_hexdigit());
            let code = u32::from_str_radix(digits, 16).ok().filter(|_| is_hex)?;
            // Half of a pair is passed over: what it is half of is nobody's name.
            let letter = char::from_u32(code).unwrap_or('\u{fffd}');
            return Some((6, Decoded::Letter(letter)));
        }
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        it @ (b'"' | b'\\' | b'/' | b'\'') => char::from(*it),
        _ => return None,
    };
    Some((2, Decoded::Letter(letter)))
}
