//! JSON whose own quotes are escaped, in a text: `sent "{\"a\":\"b\"}"`, `{%22a%22:1}`,
//! `{&quot;a&quot;:1}`. It may be escaped several times, and every layer may be of another kind.
//!
//! One layer is removed at a time. What is then changed in the JSON is escaped again in the same way,
//! and everything else stays as written.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::ops::Range;

use memchr::memchr3;

use crate::encoded::{self, Character};
use crate::json::{self, MOST_TEXTS};

/// How many bytes are examined to see whether JSON begins there: more than white space and a quote take
/// that is escaped as often as it may be.
const HEAD: usize = 128;

/// New text for a part of a text.
pub(crate) type Edit = (Range<usize>, String);
/// New text for several parts of a text, in order.
pub(crate) type Edits = Vec<Edit>;

/// What is new in a text that is at this offset in another one.
pub(crate) fn moved((range, new): Edit, at: usize) -> Edit {
    (at + range.start..at + range.end, new)
}

/// A text with new text in some of its parts.
pub(crate) fn edited<'a>(text: &'a str, edits: &Edits) -> Cow<'a, str> {
    if edits.is_empty() {
        return text.into();
    }
    let mut new = String::with_capacity(text.len());
    let mut copied = 0;
    for (range, part) in edits {
        new.push_str(&text[copied..range.start]);
        new.push_str(part);
        copied = range.end;
    }
    new.push_str(&text[copied..]);
    new.into()
}

/// A part of a text that begins with escaped JSON, with one layer removed. It ends where nothing that is
/// escaped in this way can go on, so there may be more than one value in it, and other text.
pub(crate) struct Escaped<'a> {
    /// Where it begins in the text.
    pub begin: usize,
    pub written: &'a str,
    /// It without the layer.
    pub text: String,
    /// For each byte of that, and for the end, its offset in `written`.
    places: Vec<usize>,
    /// The first character of whatever is escaped.
    sign: u8,
    /// How the first quote is written.
    quote: &'a str,
}

impl<'a> Escaped<'a> {
    /// The first one that begins at or after an offset.
    pub fn find(text: &'a str, from: usize) -> Option<Self> {
        let bytes = text.as_bytes();
        memchr3(b'\\', b'%', b'&', bytes.get(from..)?)?;
        let is_candidate = |it: &u8| matches!(it, b'{' | b'[' | b'%' | b'&');
        let mut at = from;
        loop {
            at += bytes[at..].iter().position(is_candidate)?;
            if let Some(sign) = sign_of_json(&bytes[at..]) {
                return Some(Self::of(text, at, sign));
            }
            at += 1 + json::innermost(&bytes[at..]);
        }
    }

    fn of(text: &'a str, begin: usize, sign: u8) -> Self {
        let layer = Layer::removed(&text.as_bytes()[begin..], sign);
        let written = &text[begin..begin + layer.end];
        let quote = match (layer.quote, sign) {
            (Some(quote), _) => &written[quote],
            (None, b'\\') => "\\\"",
            (None, b'%') => "%22",
            (None, _) => "&quot;",
        };
        Self {
            begin,
            written,
            text: encoded::text_of(&layer.bytes),
            places: layer.places,
            sign,
            quote,
        }
    }

    /// What is new in `self.written`, given what is new in `self.text`. It is escaped as what it replaces.
    pub fn edit(&self, (range, new): Edit) -> Edit {
        let quote = self.text[range.clone()].find('"');
        let quote = quote.map_or(self.quote, |at| {
            let at = range.start + at;
            &self.written[self.places[at]..self.places[at + 1]]
        });
        let new = self.escaped(&new, quote);
        (self.places[range.start]..self.places[range.end], new)
    }

    /// Where it ends in the text.
    pub fn end(&self) -> usize {
        self.begin + self.written.len()
    }

    fn escaped(&self, new: &str, quote: &str) -> String {
        match self.sign {
            b'\\' => json::escape(new).replace("\\\"", quote),
            b'%' => self.percent_encoded(new),
            _ => {
                let mut out = String::with_capacity(new.len());
                for letter in new.chars() {
                    match letter {
                        '"' => out.push_str(quote),
                        '&' => out.push_str("&amp;"),
                        '<' => out.push_str("&lt;"),
                        '>' => out.push_str("&gt;"),
                        _ => out.push(letter),
                    }
                }
                out
            }
        }
    }

    /// Writes characters plainly that are plain around, since each program has others that it encodes.
    fn percent_encoded(&self, new: &str) -> String {
        let mut is_plain = [false; 256];
        for byte in self.written.bytes() {
            is_plain[usize::from(byte)] = !matches!(byte, b'%' | b'+');
        }
        let has_letters = !self.written.is_ascii();
        let mut out = String::with_capacity(new.len());
        for letter in new.chars() {
            let is_plain = match u8::try_from(letter) {
                Ok(byte) if letter.is_ascii() => {
                    byte.is_ascii_alphanumeric()
                        || b"-._~*".contains(&byte)
                        || is_plain[usize::from(byte)]
                }
                _ => has_letters,
            };
            if is_plain {
                out.push(letter);
                continue;
            }
            for byte in letter.encode_utf8(&mut [0; 4]).bytes() {
                // Writing to a `String` cannot fail.
                let _ = write!(out, "%{byte:02X}");
            }
        }
        out
    }
}

/// A text without one layer of escapes.
struct Layer {
    bytes: Vec<u8>,
    places: Vec<usize>,
    /// Where the text ends that may have this layer.
    end: usize,
    /// Where the first quote is.
    quote: Option<Range<usize>>,
}

impl Layer {
    fn removed(text: &[u8], sign: u8) -> Self {
        let mut layer = Self {
            bytes: Vec::with_capacity(text.len()),
            places: Vec::with_capacity(text.len() + 1),
            end: 0,
            quote: None,
        };
        while let Some(first) = text.get(layer.end)
            && !is_end(sign, *first)
        {
            let at = layer.end;
            let found = match first {
                it if *it == sign => encoded::first(&text[at..]),
                b'+' if sign == b'%' && layer.is_between() => Some((Character::Byte(b' '), 1)),
                _ => None,
            };
            if found.is_some_and(|(it, _)| it.ascii() == Some(b'"')) {
                let length = found.map_or(1, |(_, length)| length);
                layer.quote.get_or_insert(at..at + length);
            }
            let (character, length) = found.unwrap_or((Character::Byte(*first), 1));
            character.write(&mut layer.bytes);
            layer.places.resize(layer.bytes.len(), at);
            layer.end += length;
        }
        layer.places.push(layer.end);
        layer
    }

    /// Whether what was read last is between the tokens of JSON, where forms write a space as a plus
    /// sign.
    fn is_between(&self) -> bool {
        matches!(self.bytes.last(), Some(b':' | b',' | b'{' | b'[' | b' '))
    }
}

/// Whether what is escaped in this way ends before a byte.
fn is_end(sign: u8, byte: u8) -> bool {
    match sign {
        b'\\' => byte == b'"',
        b'%' => byte.is_ascii_whitespace() || b"\"<>&#".contains(&byte),
        _ => b"\"<>".contains(&byte),
    }
}

/// The first character of the escapes of JSON that begins here and may have names in it.
fn sign_of_json(text: &[u8]) -> Option<u8> {
    let sign = sign(text)?;
    let from = json::innermost(text);
    let mut head = text[from..text.len().min(from + HEAD)].to_vec();
    for _ in 0..MOST_TEXTS {
        let layer = Layer::removed(&head, self::sign(&head)?);
        if layer.bytes.len() == head.len() {
            return None;
        }
        head = layer.bytes;
        if json::begins(&head) {
            return Some(sign);
        }
    }
    None
}

/// The first character of the escapes in a text that may be JSON: of its first bracket, or of what
/// follows that.
fn sign(text: &[u8]) -> Option<u8> {
    let (escaped, is_first) = match text {
        [b'%' | b'&', ..] => (text, true),
        [b'{' | b'[', ..] => {
            let rest = &text[json::innermost(text) + 1..];
            let is_space = |it: &u8| it.is_ascii_whitespace() || *it == b'+';
            let begin = rest.iter().position(|it| !is_space(it))?;
            (&rest[begin..], false)
        }
        _ => return None,
    };
    let (letter, _) = encoded::first(escaped)?;
    let may_be = match letter.ascii()? {
        b'{' | b'[' | b'%' | b'&' | b'\\' => true,
        b'"' | b' ' | b'\t' | b'\n' | b'\r' => !is_first,
        _ => false,
    };
    may_be.then_some(escaped[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_known_however_its_quotes_are_escaped_and_nothing_else_is() {
        for (text, plain) in [
            (r#"a={\"a\":\"b\\\"c\"} d"#, r#"{"a":"b\"c"} d"#),
            (r#"a "{\"a\":1}" b"#, r#"{"a":1}"#),
            (r#"{\n  \"a\":1}"#, "{\n  \"a\":1}"),
            (r"{\u0022a\u0022:1}", r#"{"a":1}"#),
            (r#"[[ {\\\"a\\\":1}]]"#, r#"[[ {\"a\":1}]]"#),
            (r"x%7B%22a%22%3A+%22b+c%22%7D&y", r#"{"a": "b+c"}"#),
            ("{%22a%22:1} b", r#"{"a":1}"#),
            ("%255B%2522a%2522%255D", "%5B%22a%22%5D"),
            ("<p>{&quot;a&#34;:&#x22;b&quot;}</p>", r#"{"a":"b"}"#),
            ("&lcub;&quot;a&quot;:1", r#"{"a":1"#),
        ] {
            let found = Escaped::find(text, 0);
            assert_eq!(found.map(|it| it.text).as_deref(), Some(plain), "{text}");
        }
        for text in [
            r#"{"a":1}"#,
            r"{\a} [\ ] C:\{x",
            "{a} %7B%20 %5 {%",
            "R&D {&amp;} &lt;a&gt; [&",
            r#"\" { a"#,
            "[[[[",
        ] {
            assert!(Escaped::find(text, 0).is_none(), "{text}");
        }
    }

    #[test]
    fn what_is_escaped_again_is_as_it_was() {
        for text in [
            r#"{\"a\":\"b\\\"c\\\\d\ne\"}"#,
            r#"{\\\"a\\\":\\\"b\\\"}"#,
            r"{\u0022a\u0022:\u0022\\\u0022\u0022}",
            "{%22a%22:%22b%C3%A9%20c%25%22,1}",
            "%7B%22a%22%3A%7B%7D%7D",
            "%257B%2522a%2522%257D",
            "{&quot;a&quot;:&quot;&amp;&lt;b&gt;é&quot;}",
            "{&#34;a&#34;:1}",
        ] {
            let it = Escaped::find(text, 0).unwrap();
            assert_eq!((it.begin, it.end()), (0, text.len()));
            let whole = it.edit((0..it.text.len(), it.text.clone()));
            assert_eq!(whole, (0..text.len(), text.to_owned()));
        }
    }

    #[test]
    fn a_text_of_signs_is_read_in_time() {
        for text in [
            "{\\",
            "[",
            "[\\",
            "{\\\\\\\\",
            "%7B",
            "%25",
            "&amp;",
            "{&#",
            "[{%",
            "{%2525",
            "{ ",
        ] {
            let text = text.repeat(30_000);
            let mut at = 0;
            while let Some(it) = Escaped::find(&text, at) {
                at = it.end();
            }
        }
        let brackets = format!("{}\\n", "[".repeat(1_000_000));
        assert!(Escaped::find(&brackets, 0).is_none());
    }
}
