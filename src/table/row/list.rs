//! Lists in a column, of which the services make text.

use super::fit::{is_exact, unescaped};
use crate::json::{Scanner, Token};

/// Bytes of a list in a column. The service makes text of it, and may write it in another way,
/// such as with `\u` escapes, that takes up to six times the room.
const LONGEST_LIST: usize = 5_000;
/// Levels of a list in a column, far fewer than a parser could mind.
const DEEPEST_LIST: usize = 16;

/// Whether the service, which parses a list and writes it again as text, keeps all that is in it.
pub(super) fn is_plain_list(list: &str) -> bool {
    // The names in each object that is open, and none for each list.
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
                // Two spellings of one name could not be told from two names.
                is_new && !key.contains('\\')
            }
            Token::Text(text) => unescaped(text).is_some(),
            Token::Number(number) => is_exact(number),
            Token::Bool(_) | Token::Null => true,
        })
}
