//! Makes what a service said fit for an error, a log line and a terminal.
//!
//! A proxy may answer with the request that it received, in any encoding. So the text is decoded
//! again and again, and nothing is quoted if a credential shows in any of its forms.

use std::collections::HashSet;

use secrecy::{ExposeSecret as _, SecretString};

use super::decode::{base64, hex, numbers, unescape};
use crate::error::{is_command_or_unseen, one_line};

/// The most characters of an answer that an error quotes.
pub(super) const EXCERPT: usize = 300;
/// A part of a credential that has this many bytes counts as the whole.
const PART: usize = 8;
/// The most bytes of a text that are examined: more than are quoted, in any encoding.
const LONGEST: usize = 4 * 1024;
/// The most levels of encoding that are undone. No honest service uses that many.
const LEVELS: usize = 8;

/// The beginning of what a service said, on one line, for an error. Withheld if the text repeats
/// one of the `secrets`, or [`PART`] bytes of it, in any encoding.
pub(crate) fn excerpt(said: &str, secrets: &[&SecretString]) -> String {
    let said = &said[..said.floor_char_boundary(LONGEST)];
    match search(said, secrets) {
        Found::Nothing => {}
        Found::Credential => return "(withheld: it repeats a credential)".to_owned(),
        Found::TooManyLevels => return "(withheld: it is encoded too many times)".to_owned(),
    }
    // An invisible character could split a word that somebody searches for.
    let line = one_line(said).replace(is_command_or_unseen, "\u{fffd}");
    if line.is_empty() {
        return "an empty body".to_owned();
    }
    match line.char_indices().nth(EXCERPT) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// Whether a text repeats a credential, in any encoding, or may do so.
pub(crate) fn repeats(said: &str, secrets: &[&SecretString]) -> bool {
    !matches!(search(said, secrets), Found::Nothing)
}

enum Found {
    Nothing,
    Credential,
    TooManyLevels,
}

fn search(said: &str, secrets: &[&SecretString]) -> Found {
    let secrets = secrets.iter().map(|secret| secret.expose_secret());
    let wanted = Wanted::new(secrets.filter(|secret| !secret.is_empty()));
    if wanted.whole.is_empty() {
        return Found::Nothing;
    }
    let mut text = letters(said).into_bytes();
    for _ in 0..LEVELS {
        if wanted.is_in_any_reading(&text) {
            return Found::Credential;
        }
        let plain = unescape(&text);
        if plain == text {
            return Found::Nothing;
        }
        text = plain;
    }
    Found::TooManyLevels
}

/// A text without the invisible and invalid characters between its letters, such as the zeros in UTF-16.
fn letters(text: &str) -> String {
    text.replace(
        |it| it == '\u{fffd}' || is_command_or_unseen(it) && !it.is_whitespace(),
        "",
    )
}

/// The same for the result of a decoding.
fn seen(text: &[u8]) -> Vec<u8> {
    letters(&String::from_utf8_lossy(text)).into_bytes()
}

/// What to search for: the secrets as they are, and as they look if they are decoded themselves.
struct Wanted {
    /// The whole of each, in lower case.
    whole: HashSet<Vec<u8>>,
    /// Every part of [`PART`] bytes of each. In the original case only: a secret may contain a word.
    parts: HashSet<[u8; PART]>,
}

impl Wanted {
    fn new<'a>(secrets: impl Iterator<Item = &'a str>) -> Self {
        let mut wanted = Self {
            whole: HashSet::new(),
            parts: HashSet::new(),
        };
        for secret in secrets {
            let mut form = letters(secret).into_bytes();
            for _ in 0..LEVELS {
                wanted.add(&form);
                wanted.add(&without_plus(&form));
                wanted.add(&without_space(&form));
                let plain = unescape(&form);
                if plain == form {
                    break;
                }
                form = plain;
            }
        }
        wanted
    }

    fn add(&mut self, form: &[u8]) {
        if !form.is_empty() {
            self.whole.insert(form.to_ascii_lowercase());
            self.parts.extend(form.array_windows::<PART>().copied());
        }
    }

    /// Whether a secret is in the text in any encoding, with or without the text's invisible characters.
    fn is_in_any_reading(&self, text: &[u8]) -> bool {
        let seen = seen(text);
        self.is_in_any_encoding(text) || seen != text && self.is_in_any_encoding(&seen)
    }

    /// Whether a secret is in the text as it is, over several lines, form-encoded, as a list of bytes, in
    /// base64 or in hexadecimal, or in base64 of one of these two.
    fn is_in_any_encoding(&self, text: &[u8]) -> bool {
        let joined = without_space(text);
        self.is_in(text)
            || self.is_in(&joined)
            || self.is_in(&without_plus(text))
            || self.is_in_seen(&numbers(text))
            || [hex(&joined), hex(&alone(&joined))]
                .iter()
                .flatten()
                .any(|it| self.is_in_seen(it))
            || [base64(text), base64(&joined)]
                .iter()
                .flatten()
                .any(|it| self.is_in_decoded(it))
    }

    /// Whether a secret is in a decoded text. A client may have escaped or encoded it before.
    fn is_in_decoded(&self, text: &[u8]) -> bool {
        let is_in = |text: &Vec<u8>| self.is_in_seen(text);
        self.is_in_seen(text)
            || self.is_in(&unescape(text))
            // What was decoded from the wrong place is no text.
            || is_encoded(text)
                && (base64(text).iter().any(is_in) || hex(text).iter().any(is_in))
    }

    /// Whether a secret is in the text as it is, or as whoever reads it sees it.
    fn is_in_seen(&self, text: &[u8]) -> bool {
        self.is_in(text) || self.is_in(&seen(text))
    }

    fn is_in(&self, text: &[u8]) -> bool {
        let mut parts = text.array_windows::<PART>();
        let lower = text.to_ascii_lowercase();
        parts.any(|part| self.parts.contains(part))
            || self
                .whole
                .iter()
                .any(|it| memchr::memmem::find(&lower, it).is_some())
    }
}

/// Whether a text has a run of letters and digits that is long enough to encode a part of a credential.
fn is_encoded(text: &[u8]) -> bool {
    let runs = text.split(|byte| !byte.is_ascii_alphanumeric());
    runs.map(<[u8]>::len).max().unwrap_or_default() >= PART
}

/// Undoes how hexadecimal numbers of bytes are often told apart: `53:33`, `53-33`.
fn alone(text: &[u8]) -> Vec<u8> {
    let is_between = |it: &u8| matches!(it, b':' | b'-' | b'.');
    text.iter().copied().filter(|it| !is_between(it)).collect()
}

fn without_space(text: &[u8]) -> Vec<u8> {
    let letters = text.iter().filter(|byte| !byte.is_ascii_whitespace());
    letters.copied().collect()
}

/// Undoes form encoding, which writes a space as a plus.
fn without_plus(text: &[u8]) -> Vec<u8> {
    let letters = text.iter();
    letters
        .map(|byte| if *byte == b'+' { b' ' } else { *byte })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A secret with characters that each encoding treats in its own way.
    const SECRET: &str = "S3cr+t/v&l\"ü=~x9";
    const WITHHELD: &str = "(withheld: it repeats a credential)";

    fn of(said: &str, secret: &str) -> String {
        excerpt(said, &[&secret.into()])
    }

    #[test]
    fn a_credential_in_any_form_withholds_the_whole_excerpt() {
        for form in [
            // As it is, and in another case.
            "S3cr+t/v&l\"ü=~x9",
            "s3CR+T/V&L\"ü=~X9",
            // Percent-encoded: whole, partly, in lower case, twice.
            "S3cr%2Bt%2Fv%26l%22%C3%BC%3D~x9",
            "S3cr%2bt/v%26l%22%c3%bc=%7Ex9",
            "%53%33%63%72%2b%74%2f%76%26%6c%22%c3%bc%3d%7e%78%39",
            "S3cr%252Bt%252Fv%2526l%2522%25C3%25BC%253D~x9",
            // JSON: a slash, a quotation mark, letters by number; and JSON in JSON.
            r#"{"sent":"S3cr+t\/v&l\"ü=~x9"}"#,
            r#"{"sent":"\u0053\u0033cr\u002Bt\/v\u0026l\"\u00fc=~x9"}"#,
            r#"{"sent":"S3cr+t\\\/v&l\\\"ü=~x9"}"#,
            // HTML: names, numbers, hexadecimal numbers.
            "S3cr+t/v&amp;l&quot;ü=~x9",
            "S3cr&#43;t&#47;v&#38;l&#34;&#252;=~x9",
            "&#x53;&#X33;cr&#x2b;t&#x2F;v&#x26;l&#x22;&#xfc;&#x3D;~x9",
            "S3cr&plus;t&sol;v&amp;l&quot;ü&equals;~x9",
            // Escaped before base64, as OAuth prescribes.
            "YWJjOlMzY3IlMkJ0JTJGdiUyNmwlMjIlQzMlQkMlM0R+eDk=",
            // Percent in HTML in JSON.
            r"\u0026#x25;53\u0026#x25;33cr%2Bt%2Fv%26amp;l%22ü%3D~x9",
            // Base64 alone, and after a user name of one, two and three letters.
            "UzNjcit0L3YmbCLDvD1+eDk=",
            "YTpTM2NyK3QvdiZsIsO8PX54OQ==",
            "YWI6UzNjcit0L3YmbCLDvD1+eDk=",
            "YWJjOlMzY3IrdC92Jmwiw7w9fng5",
            // Base64 for URLs, percent-encoded, and on several lines.
            "UzNjcit0L3YmbCLDvD1-eDk",
            "UzNjcit0L3YmbCLDvD1%2BeDk%3D",
            "UzNjcit0\r\n L3YmbCLD\r\n vD1+eDk=",
            // Hexadecimal.
            "533363722b742f76266c22c3bc3d7e7839",
            "533363722B742F76266C22C3BC3D7E7839",
            // On several lines.
            "S3cr+t/v\n&l\"ü=~x9",
            // As code writes it: Unicode and octal escapes.
            r#"\u{53}\u{33}cr\u{2B}t/v\u{000026}l\"\u{fc}=~x9"#,
            r"\123\063\143\162\053\164\057\166\046\154\042\303\274\075\176\170\071",
            // Its bytes as numbers, as Node writes a buffer, and in hexadecimal.
            r#"{"type":"Buffer","data":[83,51,99,114,43,116,47,118,38,108,34,195,188,61,126,120,57]}"#,
            "<83, 51, 99, 114, 43, 116, 47, 118, 38, 108, 34, 195, 188, 61, 126, 120, 57>",
            "0x53, 0x33, 0x63, 0x72, 0x2b, 0x74, 0x2f, 0x76, 0x26, 0x6c, 0x22, 0xc3, 0xbc, 0x3d, 0x7e",
            "53:33:63:72:2b:74:2f:76:26:6c:22:c3:bc:3d:7e:78:39",
            "53-33-63-72-2B-74-2F-76-26-6C-22-C3-BC-3D-7E-78-39",
            // Base64 of base64, alone and after a user name, and of hexadecimal.
            "VXpOamNpdDBMM1ltYkNMRHZEMStlRGs9",
            "WVdKak9sTXpZM0lyZEM5Mkptd2l3N3c5Zm5nNQ==",
            "NTMzMzYzNzIyYjc0MmY3NjI2NmMyMmMzYmMzZDdlNzgzOQ==",
        ] {
            assert_eq!(of(&format!("You sent {form}."), SECRET), WITHHELD, "{form}");
        }
    }

    #[test]
    fn what_nobody_sees_between_its_letters_hides_no_credential() {
        for between in [
            "\u{200b}", "\u{feff}", "\u{202e}", "\u{1b}", "\u{fffd}", "\u{0}",
        ] {
            let letters = "hunter2".chars().map(String::from);
            let echoed = letters.collect::<Vec<_>>().join(between);
            assert_eq!(
                of(&format!("You sent {echoed}"), "hunter2"),
                WITHHELD,
                "{between:?}"
            );
            let secret = format!("hunter{between}2");
            assert_eq!(of(&format!("You sent {secret}"), &secret), WITHHELD);
        }
    }

    /// UTF-16 is not text to this program, but it is to a reader who does not see the zero bytes between
    /// its letters.
    #[test]
    fn a_credential_in_two_bytes_a_letter_withholds_too() {
        for sent in ["hunter2", "%68unter2", "aHVudGVyMg=="] {
            let letters = format!("<p>You sent {sent}</p>");
            let echoed: [Vec<u8>; 2] = [u16::to_le_bytes, u16::to_be_bytes]
                .map(|bytes| letters.encode_utf16().flat_map(bytes).collect());
            for echoed in echoed {
                let echoed = String::from_utf8_lossy(&echoed);
                assert_eq!(of(&echoed, "hunter2"), WITHHELD, "{sent}");
            }
        }
    }

    #[test]
    fn what_nobody_sees_hides_no_credential_where_it_is_encoded_or_seldom_used_either() {
        for between in [
            "&#8203;",
            "&#x200B;",
            "\\u200b",
            "\\u0000",
            "%00",
            "%E2%80%8B",
            "%25e2%2580%258b",
            "\u{ad}",
            "&#173;",
            "&shy;",
            "&ZeroWidthSpace;",
            "&NoBreak;",
            "&it;",
            "&NegativeVeryThinSpace;",
            "<wbr>",
            "<WBR />",
            "\\u003cwbr\\u003e",
            "\u{34f}",
            "\u{180e}",
            "\u{3164}",
            "\u{fe0f}",
            "\u{e0041}",
        ] {
            let letters = "hunter2".chars().map(String::from);
            let echoed = letters.collect::<Vec<_>>().join(between);
            let said = format!("You sent {echoed}");
            assert_eq!(of(&said, "hunter2"), WITHHELD, "{between:?}");
        }
        // Base64 and hexadecimal of UTF-16.
        for echoed in ["aAB1AG4AdABlAHIAMgA=", "680075006e007400650072003200"] {
            assert_eq!(of(echoed, "hunter2"), WITHHELD, "{echoed}");
        }
    }

    #[test]
    fn zeros_before_the_numbers_of_its_letters_hide_no_credential() {
        let numbered = |number: &dyn Fn(u32) -> String| -> String {
            SECRET.chars().map(|it| number(it.into())).collect()
        };
        for echoed in [
            numbered(&|it| format!("&#{it:020};")),
            numbered(&|it| format!("&#x{it:020X};")),
            numbered(&|it| format!("&#{it:020} ")),
        ] {
            assert_eq!(of(&echoed, SECRET), WITHHELD, "{echoed}");
        }
    }

    #[test]
    fn a_secret_with_a_space_or_a_plus_is_found_in_a_form() {
        assert_eq!(of("client_secret=open+se%73ame", "open sesame"), WITHHELD);
        assert_eq!(of("client_secret=a+b%2Bc+d+e+f", "a b+c d e f"), WITHHELD);
        assert_eq!(of("client_secret=a+b", "a+b"), WITHHELD);
    }

    #[test]
    fn a_secret_of_several_words_is_found_in_part_on_several_lines_and_encoded() {
        for echoed in ["ab\ncd\r\n ef\ngh\nij", "cd ef gh"] {
            assert_eq!(of(echoed, "ab cd ef gh ij"), WITHHELD, "{echoed}");
        }
        assert_eq!(of("YWIrY2QgZWY=", "ab+cd ef"), WITHHELD);
    }

    #[test]
    fn a_secret_that_is_encoded_is_found_decoded() {
        for echoed in ["x%2Fy%40z", "x/y@z"] {
            assert_eq!(of(echoed, "x%252Fy%2540z"), WITHHELD, "{echoed}");
        }
    }

    #[test]
    fn where_there_is_no_secret_a_text_may_be_encoded_as_often_as_it_likes() {
        let text = format!("%{}41", "25".repeat(9));
        assert_eq!(excerpt(&text, &[]), text);
        assert_eq!(of(&text, ""), text);
    }

    #[test]
    fn a_secret_that_looks_encoded_is_found_as_it_is_and_encoded() {
        for secret in ["50%25&amp;x\\/y", "a%2541b%41c"] {
            assert_eq!(of(&format!("sent {secret}"), secret), WITHHELD, "{secret}");
            let encoded = secret.replace('%', "%25").replace('&', "%26");
            assert_eq!(
                of(&format!("sent {encoded}"), secret),
                WITHHELD,
                "{encoded}"
            );
        }
    }

    #[test]
    fn a_long_part_of_a_credential_withholds_too() {
        let secret = "kX8vQ2mZ7pL4wR9tB3nY6jD1";
        for part in [
            "kX8vQ2mZ",
            "… Q2mZ7pL4",
            "3nY6jD1\" and \"B3nY6jD1",
            "k%588v%512mZ",
            // Base64 from each offset, and hexadecimal.
            "dlEybVo3cEw0d1",
            "OHZRMm1aN3BMNHd",
            "Dh2UTJtWjdwTDR3",
            "51326d5a37704c34",
        ] {
            assert_eq!(of(&format!("You sent {part}"), secret), WITHHELD, "{part}");
        }
        // In another case it may be a word.
        assert_eq!(of("You sent KX8VQ2MZ", secret), "You sent KX8VQ2MZ");
        // Seven characters are too few to matter.
        assert_eq!(of("You sent kX8vQ2m", secret), "You sent kX8vQ2m");
    }

    #[test]
    fn a_credential_across_the_end_of_the_excerpt_leaks_no_half() {
        for at in 280..300 {
            let text = format!("{}hunter2", "x".repeat(at));
            assert_eq!(of(&text, "hunter2"), WITHHELD, "{at}");
        }
    }

    #[test]
    fn a_short_secret_is_found_in_every_form_as_well() {
        for form in [
            "hunter2",
            "%68unter2",
            "aHVudGVyMg==",
            "YTpodW50ZXIy",
            "68756e74657232",
            "hun\r\n ter2",
        ] {
            assert_eq!(of(&format!("sent {form}"), "hunter2"), WITHHELD, "{form}");
        }
    }

    #[test]
    fn any_of_several_secrets_withholds_and_an_empty_one_never() {
        let secrets: [SecretString; 3] = ["".into(), "first-one-9z".into(), "second-8y".into()];
        let secrets: Vec<_> = secrets.iter().collect();
        assert_eq!(excerpt("you sent second-8y", &secrets), WITHHELD);
        assert_eq!(excerpt("you sent nothing", &secrets), "you sent nothing");
    }

    #[test]
    fn what_is_encoded_without_an_end_is_withheld() {
        let text = format!("%{}41", "25".repeat(500));
        assert_eq!(
            of(&text, SECRET),
            "(withheld: it is encoded too many times)"
        );
    }

    #[test]
    fn an_excerpt_is_one_short_line() {
        assert_eq!(
            of("<html>\n\n  Sorry\r\n</html>", SECRET),
            "<html> Sorry </html>"
        );
        let long = format!("{}…", "é".repeat(300));
        assert_eq!(of(&"é".repeat(301), SECRET), long);
        assert_eq!(of(&"é".repeat(300), SECRET), "é".repeat(300));
        assert_eq!(of(" \n", SECRET), "an empty body");
    }

    #[test]
    fn nothing_in_an_excerpt_commands_a_terminal_or_turns_text_round() {
        let said =
            "a\u{1b}[31m\u{7}b\u{202a}\u{202e}\u{2066}\u{2069}\u{200e}\u{200f}\u{61c}c\u{9b}d";
        let shown = "a\u{fffd}[31m\u{fffd}b\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}c\u{fffd}d";
        assert_eq!(of(said, SECRET), shown);
        assert_eq!(of("a\u{2028}b\u{2029}c\u{85}d", SECRET), "a b c d");
        // An invisible character could split a word that somebody searches for.
        assert_eq!(of("a\u{200b}b\u{feff}c", SECRET), "a\u{fffd}b\u{fffd}c");
    }

    #[test]
    fn what_a_service_really_says_is_quoted() {
        let secret = "v0fPn3dXqLr8TzKb5mWcYh2JsGu7AeNi4QxDoRj6Mk1BtUpZyCfHlVwEgSaI9Xn-";
        for said in [
            "access_denied: Unauthorized",
            "Insufficient scope, expected any of: read:logs",
            "Bad HTTP authentication header format",
            "AADSTS7000215: Invalid client secret provided.",
            "Path '/api/v2/logs?from=900%2B1&take=100' &amp; C:\\temp\\u00zz 100%",
            // Invisible characters, and invalid UTF-8.
            "Log&shy;in is not possible%E2%80%8B here: %FF",
        ] {
            assert_eq!(of(said, secret), said);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn an_excerpt_of_anything_is_one_short_line_of_text(said in any::<String>()) {
            let excerpt = of(&said, SECRET);
            prop_assert!(!excerpt.is_empty() && excerpt.chars().count() <= EXCERPT + 1);
            prop_assert!(!excerpt.contains(char::is_control));
        }

        #[test]
        fn however_each_of_its_letters_is_encoded_a_secret_is_found(
            letters in proptest::collection::vec((33..127_u8, 0..6_usize), 4..40),
            before in "[ a-z]{0,9}",
        ) {
            let secret: String = letters.iter().map(|(letter, _)| char::from(*letter)).collect();
            let echoed: String = letters
                .iter()
                .map(|(letter, form)| match form {
                    0 => format!("%{letter:02x}"),
                    1 => format!("%{letter:02X}"),
                    2 => format!("\\u{letter:04x}"),
                    3 => format!("&#{letter};"),
                    4 => format!("&#x{letter:x};"),
                    _ => format!("%25{letter:02x}"),
                })
                .collect();
            prop_assert_eq!(of(&format!("{before}{echoed}"), &secret), WITHHELD);
            prop_assert_eq!(of(&format!("{before}{secret}"), &secret), WITHHELD);
        }
    }
}
