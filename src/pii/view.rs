//! A text as others would read it: without percent-encoding, or without the escapes of JSON, HTML or code.
//! Each byte knows where in the text it comes from.

use std::borrow::Cow;

/// Times that a text is decoded: twice encoded is seen in logs, more often is not.
pub(super) const ROUNDS: usize = 3;

/// Bytes of `&#x10ffff;`.
const LONGEST_ENTITY: usize = 10;

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
                b'&' => entity(&text[at..]),
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
    let byte = u8::try_from(hex(text.get(1..3)?)?).ok()?;
    Some((3, Decoded::Byte(byte)))
}

/// The number of these digits.
fn hex(digits: &[u8]) -> Option<u32> {
    let digits = digits.iter().map(|it| char::from(*it).to_digit(16));
    digits.reduce(|all, it| Some(all? << 4 | it?)).flatten()
}

/// `&#64;`, `&#x40;`, `&amp;`
fn entity(text: &[u8]) -> Option<(usize, Decoded)> {
    let length = text
        .iter()
        .take(LONGEST_ENTITY)
        .position(|it| *it == b';')?;
    let letter = match &text[1..length] {
        b"amp" => '&',
        b"lt" => '<',
        b"gt" => '>',
        b"quot" => '"',
        b"apos" => '\'',
        b"commat" => '@',
        [b'#', b'x' | b'X', digits @ ..] => char::from_u32(hex(digits)?)?,
        [b'#', digits @ ..] => {
            let digits = std::str::from_utf8(digits).ok()?;
            char::from_u32(digits.parse().ok()?)?
        }
        _ => return None,
    };
    Some((length + 1, Decoded::Letter(letter)))
}

/// `\u007c`, `\x7c`, `\n`, `\"`
fn escape(text: &[u8]) -> Option<(usize, Decoded)> {
    let letter = match text.get(1)? {
        b'u' => {
            let code = hex(text.get(2..6)?)?;
            // Half of a pair is passed over: what it is half of is nobody's name.
            let letter = char::from_u32(code).unwrap_or('\u{fffd}');
            return Some((6, Decoded::Letter(letter)));
        }
        b'x' => {
            let byte = hex(text.get(2..4)?).and_then(|it| u8::try_from(it).ok())?;
            return Some((4, Decoded::Byte(byte)));
        }
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        it @ (b'"' | b'\\' | b'/' | b'\'') => char::from(*it),
        _ => return None,
    };
    Some((2, Decoded::Letter(letter)))
}
