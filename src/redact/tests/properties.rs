//! What holds for every record.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::value::RawValue;

use super::*;

/// Names under which everything is a secret.
const WHOLE: [&str; 4] = ["setup", "secrets", "configuration", "priv\\u0061te_key"];
/// Names of secrets.
const SECRET: [&str; 5] = [
    "password",
    "Client-Secret",
    "t\\u006fken",
    "otp2",
    "link_with",
];
/// Names that say nothing about a secret.
const OPEN: [&str; 8] = [
    "details", "request", "response", "options", "ключ", "a", "name", "url",
];
/// What no output may contain.
const CANARY: &str = "INVENTED";

/// Texts made of parts of secrets and of what delimits them.
fn hostile() -> impl Strategy<Value = String> {
    let pieces = [
        "a",
        " ",
        "?",
        "&",
        "#",
        "=",
        ":",
        "@",
        "/",
        "://",
        "https://u:p@h/",
        "token",
        "password=",
        "%26",
        "%3D",
        "%2525",
        "%",
        "\\u0026",
        "\\",
        "\"",
        "{\"",
        "\":\"",
        "[",
        "]",
        "}",
        ",",
        "-----BEGIN PRIVATE KEY-----",
        "-----END",
        "Bearer ",
        "Basic YTpi",
        "eyJh.b.c",
        "eyJ",
        ".",
        "/api/v2/rules-configs/x",
        "é",
        "\u{1}",
        "true",
        "17",
        "null",
        "\n",
    ];
    proptest::collection::vec(proptest::sample::select(pieces.to_vec()), 0..12)
        .prop_map(|pieces| pieces.concat())
}

fn harmless() -> impl Strategy<Value = String> {
    "[ac-z0-9é .,:/?&{}\\[\\]\"\\\\-]{0,20}".prop_map(|it| quoted(&it))
}

fn object(
    names: &'static [&'static str],
    value: impl Strategy<Value = String>,
) -> impl Strategy<Value = String> {
    let member = (proptest::sample::select(names.to_vec()), value);
    let member = member.prop_map(|(name, value)| format!("\"{name}\":{value}"));
    let members = proptest::collection::vec(member, 0..4);
    members.prop_map(|it| format!("{{{}}}", it.join(",")))
}

fn tree(
    names: &'static [&'static str],
    leaf: impl Strategy<Value = String> + 'static,
) -> impl Strategy<Value = String> {
    leaf.prop_recursive(5, 32, 4, move |inner| {
        let list = proptest::collection::vec(inner.clone(), 0..4);
        let list = list.prop_map(|it| format!("[{}]", it.join(",")));
        // The same as a string.
        let text = inner.clone().prop_map(|it| quoted(&it));
        prop_oneof![2 => object(names, inner), 1 => list, 1 => text]
    })
}

/// Any record, with names and values that matter.
fn record() -> impl Strategy<Value = String> {
    const NAMES: [&str; 12] = [
        "details",
        "request",
        "response",
        "path",
        "body",
        "password",
        "setup",
        "name",
        "refresh_token",
        "description",
        "redirect_uri",
        "user_name",
    ];
    let leaf = prop_oneof![
        3 => hostile().prop_map(|it| quoted(&it)),
        1 => Just("17".to_owned()),
        1 => Just("null".to_owned()),
        1 => Just("\"\\ud800 ?token=a\"".to_owned()),
    ];
    object(&NAMES, tree(&NAMES, leaf))
}

/// A secret under its name, anywhere in a record.
fn with_a_canary() -> impl Strategy<Value = String> {
    let canary = prop_oneof![
        Just(quoted(CANARY)),
        hostile().prop_map(|it| quoted(&format!("{CANARY}{it}{CANARY}"))),
    ];
    let whole = (
        proptest::sample::select(WHOLE.to_vec()),
        tree(&OPEN, canary.boxed()),
    );
    let list = proptest::collection::vec(Just(quoted(CANARY)), 1..3);
    let value = prop_oneof![
        Just(quoted(CANARY)),
        list.prop_map(|it| format!("[{}]", it.join(",")))
    ];
    let secret = (proptest::sample::select(SECRET.to_vec()), value);
    let member =
        prop_oneof![whole, secret].prop_map(|(name, value)| format!("{{\"{name}\":{value}}}"));
    let way = proptest::collection::vec((0..3_u8, proptest::sample::select(OPEN.to_vec())), 0..5);
    (member, way).prop_map(|(member, way)| {
        let wrapped = way
            .into_iter()
            .fold(member, |inner, (how, name)| match how {
                0 => format!("{{\"{name}\":{inner}}}"),
                1 => format!("[1,{inner},\"x\"]"),
                // Identities are not examined.
                _ if name == "name" => format!("{{\"a\":{inner}}}"),
                _ => format!("{{\"{name}\":{}}}", quoted(&inner)),
            });
        format!("{{\"details\":{wrapped}}}")
    })
}

fn parsed(json: &str) -> BTreeMap<String, Box<RawValue>> {
    serde_json::from_str(json).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_masked_is_json_and_is_masked_but_once(record in record()) {
        let line = Redaction::On.line(&record);
        parsed(&line);
        parsed(&row(&record, Api::DataCollector, Redaction::On).unwrap());
        prop_assert_eq!(Redaction::On.line(&line), line);
    }

    #[test]
    fn without_secrets_a_line_is_the_record(record in object(&OPEN, tree(&OPEN, harmless()))) {
        prop_assert_eq!(Redaction::On.line(&record), record);
    }

    #[test]
    fn what_stands_under_the_name_of_a_secret_never_leaves(record in with_a_canary()) {
        let line = Redaction::On.line(&record);
        prop_assert!(!line.contains(CANARY), "{}", line);
        let row = row(&record, Api::LogsIngestion, Redaction::On).unwrap();
        prop_assert!(!row.contains(CANARY), "{}", row);
    }

    #[test]
    fn a_parameter_never_leaves(levels in 0..4_usize, before in "[a-z/?&=%]{0,9}", after in "[&#][a-z=&]{0,9}") {
        // A URL in a parameter of a URL, and so on.
        let url = format!("https://h/{before}?a=b&token={CANARY}{after}");
        let url = (0..levels).fold(url, |url, _| {
            let to: String = ::url::form_urlencoded::byte_serialize(url.as_bytes()).collect();
            format!("https://h/?to={to}&x=y")
        });
        let line = Redaction::On.line(&format!("{{\"a\":{}}}", quoted(&url)));
        prop_assert!(!line.contains(CANARY), "{}", line);
        prop_assert!(line.contains("***"));
    }

    #[test]
    fn what_detections_group_by_is_the_same_to_the_byte(
        name in proptest::sample::select(GROUPED_BY.to_vec()),
        value in hostile(),
        rest in record(),
    ) {
        let value = quoted(&value);
        let line = Redaction::On.line(&format!("{{\"{name}\":{value},\"details\":{rest}}}"));
        let line = parsed(&line);
        prop_assert_eq!(line[name].get(), value);
    }

    #[test]
    fn no_field_decides_about_another(
        name in proptest::sample::select(vec!["user_name", "user_agent", "x", "path", "body", "description"]),
        value in hostile(),
        details in record(),
    ) {
        let alone = Redaction::On.line(&format!("{{\"details\":{details}}}"));
        let value = quoted(&value);
        let line = Redaction::On.line(&format!("{{\"{name}\":{value},\"details\":{details}}}"));
        let (line, alone) = (parsed(&line), parsed(&alone));
        prop_assert_eq!(line["details"].get(), alone["details"].get());
    }
}
