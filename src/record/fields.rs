//! Single fields of a record, for code that has no use for the others.

use std::borrow::Cow;

use crate::json::{Scanner, Token, unescape_lossy};

/// The string values of these members of a record, nested members excluded. A member that is
/// missing, empty or no string is `None`; of several members with one name the last counts.
pub(crate) fn texts<'a, const N: usize>(
    record: &'a str,
    names: [&str; N],
) -> [Option<Cow<'a, str>>; N] {
    let mut found = [const { None }; N];
    let mut depth = 0_usize;
    let mut wanted = None;
    for token in Scanner::new(record) {
        match token {
            Token::BeginObject | Token::BeginArray => depth += 1,
            Token::EndObject | Token::EndArray => depth = depth.saturating_sub(1),
            Token::Key(key) if depth == 1 => {
                let name = unescape_lossy(key);
                wanted = names.iter().position(|it| *it == name);
                if let Some(index) = wanted {
                    found[index] = None;
                }
            }
            Token::Text(text) if depth == 1 => {
                if let Some(index) = wanted.take()
                    && !text.is_empty()
                {
                    found[index] = Some(unescape_lossy(text));
                }
            }
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(record: &str) -> [Option<String>; 2] {
        texts(record, ["type", "user_id"]).map(|it| it.map(Cow::into_owned))
    }

    #[test]
    fn only_texts_of_the_record_itself_are_found() {
        let some = |text: &str| Some(text.to_owned());
        for (record, expected) in [
            (
                r#"{"type":"fp","user_id":"auth0|1"}"#,
                [some("fp"), some("auth0|1")],
            ),
            (
                r#"{"details":{"type":"x"},"user_id":"","type":"s"}"#,
                [some("s"), None],
            ),
            (r#"{"user_id":["a"],"type":{"type":"x"}}"#, [None, None]),
            (r#"{"type":5,"user_id":"u"}"#, [None, some("u")]),
            (
                r#"{"type":"a","type":"b","user_id":"u","user_id":null}"#,
                [some("b"), None],
            ),
            (
                r#"{"\u0074ype":"a\u0062","user_id":"\ud800"}"#,
                [some("ab"), some("\u{fffd}")],
            ),
            ("{}", [None, None]),
        ] {
            assert_eq!(read(record), expected, "{record}");
        }
    }
}
