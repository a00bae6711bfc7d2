//! Values that a search query escapes.

use super::*;

#[test]
fn what_an_escape_joins_to_other_words_is_found() {
    for (query, left) in [
        (r"note:call\\ ada@example.com", r"note:call\\ ***"),
        (r"x:a@b.example\\,d@e.example", r"x:***\\,***"),
        (r"x:of\\ auth0%7C5f1abc", r"x:of\\ ***"),
    ] {
        let record = |query| format!(r#"{{"path":"/api/v2/users?q={query}"}}"#);
        assert_becomes("email:mask,user_id:mask", &record(query), &record(left));
    }
}

/// Lucene wants a backslash before its signs and before white space.
#[test]
fn what_is_escaped_in_a_search_query_is_found() {
    let pii = "email:pseudonym,username:pseudonym,user_id:pseudonym";
    for (field, value, escaped) in [
        ("username", "ada lovelace", r"ada\\ lovelace"),
        ("username", "ada lovelace", "ada%5C%20lovelace"),
        ("username", "ada-love", r"ada\\-love"),
        ("email", "ada+b@example.com", "ada%5C%2Bb@example.com"),
        ("email", "ada+b@example.com", r"ada\\+b\\@example\\.com"),
        ("email", "a&b@example.com", "a%5C%26b@example.com"),
        ("user_id", "auth0|5f1abc", "auth0%5C%7C5f1abc"),
    ] {
        let line = applied(pii, &format!(r#"{{"{field}":"{value}"}}"#));
        let code = &line[line.find("p1_").unwrap()..][..29];
        let record = format!(r#"{{"path":"/api/v2/users?q={field}:{escaped}&page=1"}}"#);
        let line = applied(pii, &record);
        assert_eq!(line.matches("p1_").count(), 1, "{line}");
        assert!(line.contains(code), "{line} has no {code}");
        assert!(!line.contains("love") && !line.contains("5f1abc"), "{line}");
    }
}
