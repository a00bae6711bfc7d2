//! Errors of any kind, and how they are printed on one line.

use std::error::Error;

/// An error of any kind that can cross threads.
pub(crate) type BoxError = Box<dyn Error + Send + Sync>;

/// An error and its causes on one line, without terminal control characters: an id in it may come from
/// someone else.
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.ends_with(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    one_line(&text)
}

/// A text on one line, without terminal control characters.
pub(crate) fn one_line(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.replace(is_command, "\u{fffd}")
}

/// Whether a terminal treats this character as a control, or displays what follows it in another order
/// than it is written. Records, names and responses are untrusted.
pub(crate) fn is_command(letter: char) -> bool {
    letter.is_control()
        || matches!(letter,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Whether this character is such a control, or invisible: one for which Unicode lets programs show
/// nothing (`Default_Ignorable_Code_Point`).
pub(crate) fn is_command_or_unseen(letter: char) -> bool {
    is_command(letter)
        || matches!(letter,
            '\u{ad}' | '\u{34f}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}'
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("saving\nthe checkpoint")]
    struct Outer(#[source] Inner);

    #[derive(Debug, thiserror::Error)]
    #[error("after {0}")]
    struct Named(&'static str);

    #[derive(Debug, thiserror::Error)]
    #[error("disk full")]
    struct Inner;

    #[test]
    fn an_error_is_told_with_its_causes_on_one_line() {
        let told = with_causes(&Outer(Inner));
        assert_eq!(told, "saving the checkpoint: disk full");
    }

    #[test]
    fn an_error_that_names_what_others_chose_commands_no_terminal() {
        let told = with_causes(&Named("9\u{1b}[31m\u{9b}m\r\nERROR \u{202e}1"));
        assert_eq!(told, "after 9\u{fffd}[31m\u{fffd}m ERROR \u{fffd}1");
    }
}
