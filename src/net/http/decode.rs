//! Undoes the encodings that text gets on its way through services and proxies.
//!
//! Works on bytes, since the result need not be Unicode. Nothing here knows what is searched for.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::encoded::{self, Character, NOTHING_SEEN};

/// Base64 whose end may be missing.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The most hexadecimal digits between the braces of `\u{…}`.
const MOST_DIGITS: usize = 6;

/// Undoes one level of percent encoding, of JSON's escapes and of HTML's.
pub(super) fn unescape(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, after)) = rest.split_first() {
        let decoded = encoded::first_for_browsers(rest)
            .or_else(|| code(rest))
            .or_else(|| tag(rest));
        match decoded {
            Some((character, length)) => {
                character.write(&mut plain);
                rest = &rest[length..];
            }
            None => {
                plain.push(first);
                rest = after;
            }
        }
    }
    plain
}

/// Decodes each run of base64 characters in a text, from each of four offsets.
pub(super) fn base64(text: &[u8]) -> [Vec<u8>; 4] {
    let text: Vec<_> = text
        .iter()
        .map(|byte| match byte {
            b'-' => b'+',
            b'_' => b'/',
            byte => *byte,
        })
        .collect();
    let is_letter = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    [0, 1, 2, 3].map(|skipped| {
        let runs = text.split(|byte| !is_letter(byte));
        runs.flat_map(|run| {
            let run = run.get(skipped..).unwrap_or_default();
            // A single last character encodes less than a byte.
            let run = &run[..run.len() - usize::from(run.len() % 4 == 1)];
            let mut plain = LENIENT.decode(run).unwrap_or_default();
            // Keeps two runs apart.
            plain.push(b' ');
            plain
        })
        .collect()
    })
}

/// Decodes each run of hexadecimal digits in a text, from both offsets.
pub(super) fn hex(text: &[u8]) -> [Vec<u8>; 2] {
    [0, 1].map(|skipped| {
        let runs = text.split(|byte| !byte.is_ascii_hexdigit());
        runs.flat_map(|run| {
            let run = run.get(skipped..).unwrap_or_default();
            let pairs = run.chunks_exact(2);
            let mut plain: Vec<_> = pairs.filter_map(|it| encoded::hex(it[0], it[1])).collect();
            plain.push(b' ');
            plain
        })
        .collect()
    })
}

/// Decodes each list of bytes in a text, as in `[104,101]`, `<104, 101>` and `0x68,0x65`.
pub(super) fn numbers(text: &[u8]) -> Vec<u8> {
    let is_between = |it: &u8| !it.is_ascii_alphanumeric();
    let numbers = text.split(is_between).filter(|it| !it.is_empty());
    numbers
        .map(|it| {
            let byte = match it {
                [b'0', b'x' | b'X', high, low] => encoded::hex(*high, *low),
                digits => str::from_utf8(digits).ok().and_then(|it| it.parse().ok()),
            };
            // Keeps two lists apart.
            byte.unwrap_or(b' ')
        })
        .collect()
}

/// Decodes what only code writes: `\u{68}` and `\150`.
fn code(text: &[u8]) -> Option<(Character, usize)> {
    let digits = |digits: &[u8], radix| {
        // A sign is no digit.
        let digits = str::from_utf8(digits)
            .ok()
            .filter(|it| !it.starts_with('+'))?;
        u32::from_str_radix(digits, radix).ok()
    };
    match text {
        [b'\\', b'u', b'{', after @ ..] => {
            let length = after
                .iter()
                .take(MOST_DIGITS + 1)
                .position(|it| *it == b'}')?;
            let letter = char::from_u32(digits(&after[..length], 16)?)?;
            Some((Character::Letter(letter), length + 4))
        }
        [b'\\', octal @ ..] => {
            let byte = digits(octal.get(..3)?, 8)?;
            Some((Character::Byte(u8::try_from(byte).ok()?), 4))
        }
        _ => None,
    }
}

/// Decodes `<wbr>`, which marks where a browser may break a word.
fn tag(text: &[u8]) -> Option<(Character, usize)> {
    let name = b"<wbr";
    text.get(..name.len())
        .filter(|it| it.eq_ignore_ascii_case(name))?;
    let end = text.iter().take(9).position(|it| *it == b'>')?;
    let is_alone = text[name.len()..end].iter().all(|it| b" /".contains(it));
    is_alone.then_some((Character::Letter(NOTHING_SEEN), end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unescaped(text: &str) -> String {
        String::from_utf8(unescape(text.as_bytes())).unwrap()
    }

    #[test]
    fn one_level_is_undone_and_what_is_no_escape_stays() {
        for (text, plain) in [
            ("%41%2b%C3%bc", "A+ü"),
            ("%2541", "%41"),
            ("100% %4 %+1 %zz%", "100% %4 %+1 %zz%"),
            (r#"\u0041\/\"\\n\t\x41"#, "A/\"\\n\tA"),
            (r"\b\f\n\r\t", "\u{8}\u{c}\n\r\t"),
            (r"\ud83d\ude00", "😀"),
            (
                r"\ud83d \ud83d\u0041 \u+041 \u00 \q \",
                r"\ud83d \ud83dA \u+041 \u00 \q \",
            ),
            ("&#65;&#x41;&#X41;&#65 &amp;amp;&sol;", "AAAA &amp;/"),
            (
                "& &; &# &#; &#x; &nosuch; &#1114112; &#99999999999;",
                "& &; &# &#; &#x; &nosuch; &#1114112; &#99999999999;",
            ),
            (
                "a<wbr>b<WBR />c<wbr/>d<wbrx>e<wbr",
                "a\u{200b}b\u{200b}c\u{200b}d<wbrx>e<wbr",
            ),
        ] {
            assert_eq!(unescaped(text), plain, "{text}");
        }
    }

    #[test]
    fn base64_is_read_from_each_of_four_places() {
        let has = |text: &str, plain: &str| {
            let readings = base64(text.as_bytes());
            readings
                .iter()
                .any(|it| it.windows(plain.len()).any(|it| it == plain.as_bytes()))
        };
        for text in [
            "aGVsbG8",
            "aGVsbG8=",
            "xaGVsbG8",
            "xxaGVsbG8",
            "xxxaGVsbG8=",
            "? aGVsbG8 ?",
            // With a single last character.
            "aGVsbG8xx",
        ] {
            assert!(has(text, "hello"), "{text}");
        }
        assert!(has("Pj8-Pz4_", ">?>?>?"));
        assert!(!has("hello", "hello"));
        // Two runs are not one.
        assert!(!has("aGVs.bG8", "hello"));
    }

    #[test]
    fn hexadecimal_is_read_from_each_of_two_places() {
        assert_eq!(hex(b"f68656C6c6f -4")[1], b"hello   ");
        assert_eq!(hex(b"68656C6c6f")[0], b"hello ");
    }
}
