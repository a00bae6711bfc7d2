//! Makes what a service says comparable with what was sent to it.

/// The ASCII letters and digits of a text, in lower case, without JSON's escapes. What a service quotes
/// from a request is in the folded request, whether the service quotes it escaped, decoded or with other
/// blanks.
pub(crate) fn folded(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        push(&mut folded, &rest[..at]);
        rest = after_escape(rest[at..].trim_start_matches('\\'));
    }
    push(&mut folded, rest);
    folded
}

fn push(folded: &mut String, text: &str) {
    let letters = text.chars().filter(char::is_ascii_alphanumeric);
    folded.extend(letters.map(|it| it.to_ascii_lowercase()));
}

/// What follows the letters of an escape.
fn after_escape(rest: &str) -> &str {
    match rest.as_bytes() {
        [b'u', digits @ ..] if digits.iter().take(4).all(u8::is_ascii_hexdigit) => {
            &rest[rest.len().min(5)..]
        }
        [b'b' | b'f' | b'n' | b'r' | b't', ..] => &rest[1..],
        _ => rest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_folds_alike_however_it_is_quoted() {
        for quoted in [
            "Event Grid: \u{a0}Schema",
            "event-grid\nschema",
            r"Event\nGrid\t\u00a0Schema",
            r#"{\\\"event\\nGrid\\\\u00A0\": \"schema"#,
            r"eventgridschema\u00",
            "eventgridschema\\",
        ] {
            assert_eq!(folded(quoted), "eventgridschema", "{quoted}");
        }
        assert_eq!(folded(r"\unlike 7\é\x"), "unlike7x");
    }
}
