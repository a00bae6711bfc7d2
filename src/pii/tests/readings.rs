//! The second pass over a record against the first: both number the objects alike.

use proptest::strategy::{BoxedStrategy, Strategy as _};

use super::*;

/// JSON of every shape, with strings that contain JSON, which may have been cut.
fn json() -> BoxedStrategy<String> {
    let texts = [
        "x",
        "/api/v2/users",
        "/x?q={\"a\":{}}",
        "email",
        "profile",
        "geoip",
        "a=b&email=q@w.e",
        "[{\"a\":[{",
        r#"{"email":"q@w.e","name":"Zo"}"#,
        r#"  "[{}]""#,
        r#"[[],{"value":{}}"#,
        r#"x [{"key":"user","value":{"a":[]}}] y {"z":{"#,
    ];
    let text = |it: &str| format!("\"{}\"", crate::json::escape(it));
    let leaf = proptest::sample::select(texts.to_vec()).prop_map(text);
    let names = [
        "name", "value", "key", "path", "email", "a", "user", "type", "id", "address", "location",
        "old", "q", "scope", "details", "request", "body",
    ];
    let json = leaf.prop_recursive(4, 24, 4, move |inner| {
        let name = proptest::sample::select(names.to_vec());
        let member = (name, inner.clone()).prop_map(|(name, it)| format!("\"{name}\":{it}"));
        proptest::prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4)
                .prop_map(|it| format!("[{}]", it.join(","))),
            proptest::collection::vec(member, 0..5).prop_map(|it| format!("{{{}}}", it.join(","))),
            inner.clone().prop_map(move |it| text(&it)),
            (inner, 0..30_usize)
                .prop_map(move |(it, cut)| text(&it[..it.len().saturating_sub(cut)])),
        ]
    });
    json.boxed()
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config { cases: 64, failure_persistence: None, ..Default::default() })]

    #[test]
    fn who_is_a_user_is_the_same_at_both_readings(before in json(), beside in json()) {
        let end = r#"[{"email":"q@w.e","name":"Augusta"},{"strategy":"s","email":"q@w.e","name":"Shop"},{"value":{"b":{},"name":"Lovelace"},"key":"profile"},{"value":{"b":{},"name":"Admin"},"key":"role"}]"#;
        let end = crate::json::escape(end);
        let record = format!(r#"{{"details":{{"x":{before},"name":{beside}}},"end":"{end}"}}"#);
        for pii in ["first_name:mask", "first_name:drop,email:drop,address:drop,location:truncate", ALL] {
            let left = applied(pii, &record);
            for name in ["Augusta", "Lovelace"] {
                proptest::prop_assert!(!left.contains(name), "{pii} {record} {left}");
            }
            for name in ["Shop", "Admin"] {
                proptest::prop_assert!(left.contains(name), "{pii} {record} {left}");
            }
        }
    }
}
