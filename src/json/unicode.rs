//! Makes JSON text valid Unicode.

use std::borrow::Cow;

use memchr::memmem;

/// Bytes of an escape such as `\ud800`.
const UNIT: usize = 6;

/// JSON text in which each half of a surrogate pair, where the other half is missing, is replaced with
/// U+FFFD.
///
/// JSON allows such a half, and Auth0 may write one where it got one. Strict readers refuse the whole
/// text for it.
pub(crate) fn without_halves(text: &str) -> Cow<'_, str> {
    if !may_have_halves(text.as_bytes()) {
        return Cow::Borrowed(text);
    }
    let mut whole = String::with_capacity(text.len());
    let mut is_changed = false;
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        whole.push_str(&rest[..at]);
        rest = &rest[at..];
        let length = match unit(rest) {
            Some(0xd800..0xdc00) if is_low(rest.get(UNIT..)) => 2 * UNIT,
            Some(0xd800..0xe000) => {
                is_changed = true;
                whole.push_str("\\ufffd");
                rest = &rest[UNIT..];
                continue;
            }
            Some(_) => UNIT,
            // A backslash and the character after it.
            None => 2,
        };
        let escape = rest.get(..length).unwrap_or(rest);
        whole.push_str(escape);
        rest = &rest[escape.len()..];
    }
    if !is_changed {
        return Cow::Borrowed(text);
    }
    whole.push_str(rest);
    Cow::Owned(whole)
}

/// Whether there is anything that looks like a half, or like a whole pair. Hardly any record has it.
fn may_have_halves(text: &[u8]) -> bool {
    memmem::find_iter(text, b"\\u").any(|at| {
        matches!(text.get(at + 2), Some(b'd' | b'D'))
            && matches!(
                text.get(at + 3),
                Some(b'8' | b'9' | b'a'..=b'f' | b'A'..=b'F')
            )
    })
}

/// The UTF-16 unit of the escape that the text begins with.
fn unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    u16::from_str_radix(digits, 16).ok()
}

fn is_low(text: Option<&str>) -> bool {
    let unit = text.and_then(unit);
    unit.is_some_and(|it| (0xdc00..0xe000).contains(&it))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_half_a_surrogate_pair_is_replaced() {
        for (text, whole) in [
            (r#"{"a":"\ud800"}"#, r#"{"a":"\ufffd"}"#),
            (r#"["\uDBFFx","\udc00"]"#, r#"["\ufffdx","\ufffd"]"#),
            (r#"{"\uDfFf":1}"#, r#"{"\ufffd":1}"#),
            // Two first halves, then a pair; the halves in the wrong order.
            (r#""\ud83d\ud83d\ude00""#, r#""\ufffd\ud83d\ude00""#),
            (r#""\ude00\ud83d""#, r#""\ufffd\ufffd""#),
            (r#""\ud83d\n\ude00""#, r#""\ufffd\n\ufffd""#),
            // After a backslash that is escaped.
            (r#""\\\ud800""#, r#""\\\ufffd""#),
        ] {
            assert_eq!(without_halves(text), whole, "{text}");
        }
        for text in [
            "",
            r#"{"a":"b","c":["\n\"\u0041"]}"#,
            r#""\ud83d\ude00 😀 \uD83D\uDE00""#,
            r#""\ud7ff\ue000""#,
            // No escape: the backslash is escaped.
            r#""C:\\ud800""#,
            r#""\\\\udc00""#,
        ] {
            assert!(
                matches!(without_halves(text), Cow::Borrowed(it) if it == text),
                "{text}"
            );
        }
    }

    #[test]
    fn text_that_was_cut_does_not_panic() {
        let text = r#""\ud800\ud83d\ude00é""#;
        for end in (0..text.len()).filter(|it| text.is_char_boundary(*it)) {
            let cut = format!(r"\ud800{}", &text[..end]);
            assert!(without_halves(&cut).starts_with(r"\ufffd"), "{cut}");
        }
        assert_eq!(without_halves("\\ud800\\é\\"), "\\ufffd\\é\\");
    }
}
