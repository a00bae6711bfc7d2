//! Decodes single characters in the encodings that programs use: percent-encoding, the escapes of JSON
//! and of code, and HTML's names and numbers.
//!
//! Works on bytes, since the result need not be Unicode. Nothing here knows why a text is decoded.

/// HTML's names of characters on a keyboard.
const NAMES: [(&[u8], char); 34] = [
    (b"amp", '&'),
    (b"lt", '<'),
    (b"gt", '>'),
    (b"quot", '"'),
    (b"apos", '\''),
    (b"plus", '+'),
    (b"sol", '/'),
    (b"bsol", '\\'),
    (b"equals", '='),
    (b"percnt", '%'),
    (b"num", '#'),
    (b"excl", '!'),
    (b"dollar", '$'),
    (b"lpar", '('),
    (b"rpar", ')'),
    (b"ast", '*'),
    (b"comma", ','),
    (b"period", '.'),
    (b"colon", ':'),
    (b"semi", ';'),
    (b"quest", '?'),
    (b"commat", '@'),
    (b"lsqb", '['),
    (b"lbrack", '['),
    (b"rsqb", ']'),
    (b"rbrack", ']'),
    (b"Hat", '^'),
    (b"lowbar", '_'),
    (b"grave", '`'),
    (b"lcub", '{'),
    (b"lbrace", '{'),
    (b"rcub", '}'),
    (b"rbrace", '}'),
    (b"vert", '|'),
];
/// HTML's names of characters that are invisible in a word.
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
/// Bytes of the longest name.
const LONGEST_NAME: usize = 21;
/// The invisible character that all of them are decoded to.
pub(crate) const NOTHING_SEEN: char = '\u{200b}';
/// The most decimal digits that a character's number has.
const MOST_DIGITS: usize = 7;

/// What an encoded character stands for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Character {
    /// A byte of a text, which need not be a character.
    Byte(u8),
    /// A character.
    Letter(char),
}

impl Character {
    /// Appends the character to a text.
    pub fn write(self, text: &mut Vec<u8>) {
        match self {
            Self::Byte(byte) => text.push(byte),
            Self::Letter(letter) => {
                text.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
    }

    /// The character as a byte; `None` if it is not ASCII.
    pub fn ascii(self) -> Option<u8> {
        let byte = match self {
            Self::Byte(byte) => byte,
            Self::Letter(letter) => u8::try_from(letter).ok()?,
        };
        Some(byte).filter(u8::is_ascii)
    }
}

/// A character, and how many bytes encode it.
type Decoded = Option<(Character, usize)>;

/// The first character of a text; `None` if that is not encoded.
pub(crate) fn first(text: &[u8]) -> Decoded {
    // A number without the semicolon at its end may be anything.
    first_for_browsers(text).filter(|(_, length)| text[0] != b'&' || text[length - 1] == b';')
}

/// The same, as browsers do it: they accept HTML's numbers without the semicolon at the end.
pub(crate) fn first_for_browsers(text: &[u8]) -> Decoded {
    match text.first()? {
        b'%' => Some((Character::Byte(hex(*text.get(1)?, *text.get(2)?)?), 3)),
        b'\\' => escape(text),
        b'&' => entity(text),
        _ => None,
    }
}

/// The byte that two hexadecimal digits stand for.
pub(crate) fn hex(high: u8, low: u8) -> Option<u8> {
    u8::try_from(number(&[high, low], 16)?).ok()
}

/// `\u007c`, `\x7c`, `\n`, `\"`
fn escape(text: &[u8]) -> Decoded {
    let simple = |byte| Some((Character::Byte(byte), 2));
    match text.get(1)? {
        byte @ (b'/' | b'"' | b'\\' | b'\'') => simple(*byte),
        b'b' => simple(8),
        b'f' => simple(12),
        b'n' => simple(b'\n'),
        b'r' => simple(b'\r'),
        b't' => simple(b'\t'),
        b'x' => Some((Character::Byte(hex(*text.get(2)?, *text.get(3)?)?), 4)),
        b'u' => {
            let unit = |at: usize| number(text.get(at..at + 4)?, 16);
            let first = unit(2)?;
            if let Some(letter) = char::from_u32(first) {
                return Some((Character::Letter(letter), 6));
            }
            // Half of a surrogate pair. The other half has the same form.
            let second = text.get(6..8).filter(|it| *it == b"\\u").and(unit(8))?;
            let units = [first, second].map(|it| u16::try_from(it).unwrap_or_default());
            let letter = char::decode_utf16(units).next()?.ok()?;
            Some((Character::Letter(letter), 12))
        }
        _ => None,
    }
}

/// `&#64;`, `&#x40;`, `&commat;`
fn entity(text: &[u8]) -> Decoded {
    let (letter, length) = match text {
        [_, b'#', b'x' | b'X', digits @ ..] => numbered(digits, 16, 3)?,
        [_, b'#', digits @ ..] => numbered(digits, 10, 2)?,
        _ => {
            let after = &text[1..];
            let name = after.iter().take(LONGEST_NAME);
            let length = name.take_while(|it| it.is_ascii_alphabetic()).count();
            let (name, end) = after.split_at(length);
            let is_ended = end.first() == Some(&b';');
            let known = || NAMES.iter().find(|(known, _)| *known == name);
            let letter = match is_ended.then(known)? {
                Some((_, letter)) => *letter,
                None if UNSEEN.contains(&name) => NOTHING_SEEN,
                None => return None,
            };
            (letter, length + 2)
        }
    };
    Some((Character::Letter(letter), length))
}

/// The character with this number, and how many bytes encode it together with the `before` ones before
/// the digits.
fn numbered(digits: &[u8], radix: u32, before: usize) -> Option<(char, usize)> {
    let is_digit = |byte: &&u8| char::from(**byte).is_digit(radix);
    let length = digits.iter().take_while(is_digit).count();
    let zeros = digits[..length]
        .iter()
        .take_while(|it| **it == b'0')
        .count();
    let counts = &digits[zeros.min(length.saturating_sub(1))..length];
    let letter = char::from_u32(number(counts, radix)?)?;
    let end = usize::from(digits.get(length) == Some(&b';'));
    Some((letter, before + length + end))
}

/// The number that these digits are.
fn number(digits: &[u8], radix: u32) -> Option<u32> {
    if digits.is_empty() || digits.len() > MOST_DIGITS {
        return None;
    }
    let mut digits = digits.iter().map(|it| char::from(*it).to_digit(radix));
    digits.try_fold(0, |all, it| Some(all * radix + it?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A text, decoded once.
    fn decoded(text: &str, first: fn(&[u8]) -> Decoded) -> String {
        let mut bytes = Vec::new();
        let mut ahead = text.as_bytes();
        while let Some((byte, rest)) = ahead.split_first() {
            ahead = match first(ahead) {
                Some((character, length)) => {
                    character.write(&mut bytes);
                    &ahead[length..]
                }
                None => {
                    bytes.push(*byte);
                    rest
                }
            };
        }
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_character_is_known_in_each_encoding_and_nothing_else_is_one() {
        for (text, plain) in [
            ("%41%2b%C3%bc", "A+ü"),
            (r"\u0041\/\x41\uD842\udfB7\b\f", "A/A𠮷\u{8}\u{c}"),
            (r"a\nb\rc\td", "a\nb\rc\td"),
            ("&#65;&#x041;&#X00000000000041;&#0000000000000065;", "AAAA"),
            ("&#0;&#x10ffff;&#1114111;", "\0\u{10ffff}\u{10ffff}"),
            ("&commat;&vert;&rbrace;&shy;", "@|}\u{200b}"),
        ] {
            assert_eq!(decoded(text, first), plain, "{text}");
            assert_eq!(decoded(text, first_for_browsers), plain, "{text}");
        }
        for text in [
            "% %4 %+1 %g0 %4g",
            r"\ \u \u00 \u+041 \ud842 \ud842\ud842 \udfb7 \x \x4 \x+4 \q",
            "& &; &# &#; &#x; &#xg; &#+65; &AMP; &amp &nosuch; &#1114112; &#x110000; &#99999999;",
            "&NegativeVeryThinSpaces; &#xd842;",
        ] {
            assert_eq!(decoded(text, first), text);
            assert_eq!(decoded(text, first_for_browsers), text);
        }
        assert_eq!(decoded("&#65a&#x41", first), "&#65a&#x41");
        assert_eq!(decoded("&#65a&#x41", first_for_browsers), "AaA");
    }

    #[test]
    fn a_long_number_is_read_once() {
        for text in ["&#", "&#0", "&#x", "&#9", "%25", "\\ud842", "&"] {
            let text = text.repeat(200_000);
            decoded(&text, first);
        }
        let zeros = format!("&#{}65;", "0".repeat(1_000_000));
        assert_eq!(decoded(&zeros, first), "A");
    }

    #[test]
    fn what_is_ascii_is_known_as_such() {
        let ascii = [Character::Byte(b'='), Character::Letter('=')];
        assert_eq!(ascii.map(Character::ascii), [Some(b'='); 2]);
        let others = [
            Character::Byte(0xe9),
            Character::Letter('é'),
            Character::Letter('㴀'),
        ];
        assert_eq!(others.map(Character::ascii), [None; 3]);
    }
}
