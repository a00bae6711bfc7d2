//! The ways in which text is encoded on its way through services and proxies, undone.
//!
//! Works on bytes: what comes out need not be Unicode. Nothing here knows what is looked for.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// Base64 of which the end may be missing.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
/// HTML's names of what keyboards have.
const NAMES: [(&[u8], u8); 34] = [
    (b"amp", b'&'),
    (b"lt", b'<'),
    (b"gt", b'>'),
    (b"quot", b'"'),
    (b"apos", b'\''),
    (b"plus", b'+'),
    (b"sol", b'/'),
    (b"bsol", b'\\'),
    (b"equals", b'='),
    (b"percnt", b'%'),
    (b"num", b'#'),
    (b"excl", b'!'),
    (b"dollar", b'$'),
    (b"lpar", b'('),
    (b"rpar", b')'),
    (b"ast", b'*'),
    (b"comma", b','),
    (b"period", b'.'),
    (b"colon", b':'),
    (b"semi", b';'),
    (b"quest", b'?'),
    (b"commat", b'@'),
    (b"lsqb", b'['),
    (b"lbrack", b'['),
    (b"rsqb", b']'),
    (b"rbrack", b']'),
    (b"Hat", b'^'),
    (b"lowbar", b'_'),
    (b"grave", b'`'),
    (b"lcub", b'{'),
    (b"lbrace", b'{'),
    (b"rcub", b'}'),
    (b"rbrace", b'}'),
    (b"vert", b'|'),
];
/// HTML's names of what nobody sees in a word.
const UNSEEN: [&[u8]; 17] = [
    b"shy",
    b"zwj",
    b"zwnj",
    b"lrm",
    b"rlm",
    b"af",
    b"it",
    b"ic",
    b"ApplyFunction",
    b"InvisibleTimes",
    b"InvisibleComma",
    b"NoBreak",
    b"ZeroWidthSpace",
    b"NegativeVeryThinSpace",
    b"NegativeThinSpace",
    b"NegativeMediumSpace",
    b"NegativeThickSpace",
];
/// Bytes of the longest name, and of the sign after it.
const LONGEST_NAME: usize = 22;
/// One of them.
const NOTHING_SEEN: char = '\u{200b}';

/// Undoes one level of percent encoding, of JSON's escapes and of HTML's.
pub(super) fn unescape(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, after)) = rest.split_first() {
        let decoded = match first {
            b'%' => percent(after),
            b'\\' => json(after),
            b'&' => html(after),
            b'<' => tag(after),
            _ => None,
        };
        match decoded {
            Some((character, length)) => {
                character.write(&mut plain);
                rest = &after[length..];
            }
            None => {
                plain.push(first);
                rest = after;
            }
        }
    }
    plain
}

/// What the runs of base64 letters in a text stand for, wherever in them it begins: four readings.
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
            // A last letter alone stands for less than a byte.
            let run = &run[..run.len() - usize::from(run.len() % 4 == 1)];
            let mut plain = LENIENT.decode(run).unwrap_or_default();
            // So that two runs do not make one.
            plain.push(b' ');
            plain
        })
        .collect()
    })
}

/// What the runs of hexadecimal digits in a text stand for: two readings.
pub(super) fn hex(text: &[u8]) -> [Vec<u8>; 2] {
    [0, 1].map(|skipped| {
        let runs = text.split(|byte| !byte.is_ascii_hexdigit());
        runs.flat_map(|run| {
            let run = run.get(skipped..).unwrap_or_default();
            let pairs = run.chunks_exact(2);
            let mut plain: Vec<_> = pairs.filter_map(|it| byte(it, 16)).collect();
            plain.push(b' ');
            plain
        })
        .collect()
    })
}

enum Character {
    Byte(u8),
    Letter(char),
}

impl Character {
    fn write(self, text: &mut Vec<u8>) {
        match self {
            Self::Byte(byte) => text.push(byte),
            Self::Letter(letter) => {
                text.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
    }
}

/// A character, and how many bytes after the first one stood for it.
type Decoded = Option<(Character, usize)>;

fn percent(after: &[u8]) -> Decoded {
    Some((Character::Byte(byte(after.get(..2)?, 16)?), 2))
}

fn json(after: &[u8]) -> Decoded {
    let simple = |byte| Some((Character::Byte(byte), 1));
    match after.first()? {
        byte @ (b'/' | b'"' | b'\\' | b'\'') => simple(*byte),
        b'b' => simple(8),
        b'f' => simple(12),
        b'n' => simple(b'\n'),
        b'r' => simple(b'\r'),
        b't' => simple(b'\t'),
        b'x' => Some((Character::Byte(byte(after.get(1..3)?, 16)?), 3)),
        b'u' => {
            let unit = |at: usize| number(after.get(at..at + 4)?, 16);
            let first = unit(1)?;
            if let Some(letter) = char::from_u32(first) {
                return Some((Character::Letter(letter), 5));
            }
            // Half of a letter; the other half has the same form.
            let second = after.get(5..7).filter(|it| *it == b"\\u").and(unit(7))?;
            let units = [first, second].map(|it| u16::try_from(it).unwrap_or_default());
            let letter = char::decode_utf16(units).next()?.ok()?;
            Some((Character::Letter(letter), 11))
        }
        _ => None,
    }
}

fn html(after: &[u8]) -> Decoded {
    let Some(number_of) = after.strip_prefix(b"#") else {
        let end = after.iter().take(LONGEST_NAME).position(|it| *it == b';')?;
        if UNSEEN.contains(&&after[..end]) {
            return Some((Character::Letter(NOTHING_SEEN), end + 1));
        }
        let (_, byte) = NAMES.iter().find(|(name, _)| *name == &after[..end])?;
        return Some((Character::Byte(*byte), end + 1));
    };
    let (digits, radix, before) = match number_of {
        [b'x' | b'X', digits @ ..] => (digits, 16, 2),
        digits => (digits, 10, 1),
    };
    let is_digit = |byte: &&u8| char::from(**byte).is_digit(radix);
    let length = digits.iter().take(9).take_while(is_digit).count();
    let letter = char::from_u32(number(&digits[..length], radix)?)?;
    let end = usize::from(digits.get(length) == Some(&b';'));
    Some((Character::Letter(letter), before + length + end))
}

/// The place where a browser may break a word.
fn tag(after: &[u8]) -> Decoded {
    let name = after
        .get(..3)
        .filter(|it| it.eq_ignore_ascii_case(b"wbr"))?;
    let end = after.iter().take(8).position(|it| *it == b'>')?;
    let is_alone = after[name.len()..end].iter().all(|it| b" /".contains(it));
    is_alone.then_some((Character::Letter(NOTHING_SEEN), end + 1))
}

fn byte(digits: &[u8], radix: u32) -> Option<u8> {
    u8::try_from(number(digits, radix)?).ok()
}

/// A number without a sign, which Rust would take.
fn number(digits: &[u8], radix: u32) -> Option<u32> {
    let is_digit = |byte: &u8| char::from(*byte).is_digit(radix);
    let digits = std::str::from_utf8(digits).ok()?;
    let all = digits.bytes().all(|byte| is_digit(&byte));
    all.then(|| u32::from_str_radix(digits, radix).ok())?
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
            // A letter more than there are bytes.
            "aGVsbG8xx",
        ] {
            assert!(has(text, "hello"), "{text}");
        }
        assert!(has("Pj8-Pz4_", ">?>?>?"));
        assert!(!has("hello", "hello"));
    }

    #[test]
    fn hexadecimal_is_read_from_each_of_two_places() {
        assert_eq!(hex(b"f68656C6c6f -4")[1], b"hello   ");
        assert_eq!(hex(b"68656C6c6f")[0], b"hello ");
    }
}
