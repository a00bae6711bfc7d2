//! Lists in a column, which the services convert to text.

use super::fit::{is_exact, unescaped};
use crate::json::{Scanner, Token};

/// Maximum bytes of a list in a column. The service may write the list differently when it converts
/// it to text, for example with `\u` escapes, which take up to six times the space.
const LONGEST_LIST: usize = 5_000;
/// Maximum nesting of a list in a column, far below any parser's limit.
const DEEPEST_LIST: usize = 16;

/// Whether a list loses nothing when the service parses it and writes it again as text.
pub(super) fn is_plain_list(list: &str) -> bool {
    // The names in each open object. A list has an empty entry.
    let mut levels: Vec<Vec<&str>> = Vec::new();
    list.len() <= LONGEST_LIST
        && Scanner::new(list).all(|token| match token {
            Token::BeginObject | Token::BeginArray => {
                levels.push(Vec::new());
                levels.len() <= DEEPEST_LIST
            }
            Token::EndObject | Token::EndArray => {
                levels.pop();
                true
            }
            Token::Key(key) => {
                let names = levels.last_mut();
                let is_new = names.is_some_and(|names| {
                    let is_new = !names.contains(&key);
                    names.push(key);
                    is_new
                });
                // Two spellings of one name would look like two names.
                is_new && !key.contains('\\')
            }
            Token::Text(text) => unescaped(text).is_some(),
            Token::Number(number) => is_exact(number),
            Token::Bool(_) | Token::Null => true,
        })
}
