//! Input that is made to take much time or memory.

use super::*;

/// A secret inside this many nested strings.
fn nested(depth: usize) -> String {
    let text = json::deep_in_texts(depth, "token", "INVENTED");
    format!(r#"{{"a":{text}}}"#)
}

#[test]
fn what_is_deep_in_texts_within_texts_takes_no_more_than_others() {
    for depth in [1, 3, 6, 7, 12, 200] {
        let record = nested(depth);
        let line = Redaction::On.line(&record);
        assert!(!line.contains("INVENTED"), "{line}");
        assert!(line.len() < 2 * record.len(), "{depth}");
        assert!(line.contains("***"), "{line}");
        assert_eq!(line.contains("token"), depth <= 6, "{line}");
        serde_json::from_str::<serde_json::Value>(&line).unwrap();
        assert_left(&line);
    }
}

#[test]
fn many_words_and_blanks_before_or_after_them_are_looked_at_once() {
    let words = "Bearer x ".repeat(60_000);
    let blanks = " ".repeat(500_000);
    assert_left(&format!(
        r#"{{"a":"{blanks}{words}","b":"{words}{blanks}"}}"#
    ));
    assert_masked(
        &format!(r#"{{"a":"{blanks}Bearer x{blanks}"}}"#),
        &format!(r#"{{"a":"{blanks}Bearer ***{blanks}"}}"#),
    );
}

#[test]
fn hosts_that_are_encoded_ever_more_often_are_looked_for_in_time() {
    let scheme = |level| {
        let percent = format!("%{}", "25".repeat(level));
        format!("{percent}3A{percent}2F{percent}2F")
    };
    let schemes = (0..255).map(scheme).collect::<Vec<_>>().concat();
    let text = format!("{schemes}{}", "a".repeat(300_000));
    assert_left(&format!(r#"{{"a":"{text}"}}"#));
}
