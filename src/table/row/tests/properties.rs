//! Properties that hold for every record.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::value::RawValue;

use super::*;
use crate::table::catalogue::Column;

/// Values as JSON text: some that services take for another type, some that not every parser
/// accepts, and others.
fn leaf() -> impl Strategy<Value = String> {
    let odd = [
        "null",
        "true",
        "false",
        "{}",
        "[]",
        "0",
        "-0.5",
        "1e400",
        "9007199254740993",
        "17.10",
        r#""2026-11-21T08:00:00Z""#,
        r#""2026-11-21T08:00:00.1234567Z""#,
        r#""2026-11-21""#,
        r#""2026-11-21T08:00:00+01:00""#,
        r#""01234567-89ab-cdef-0123-456789abcdef""#,
        r#""0123456789abcdef0123456789abcdef""#,
        r#""a\u0000b""#,
        r#""\ud800""#,
        r#""\ud83d\ude00""#,
        r#""true""#,
        r#""17""#,
        r#""017""#,
        r#""1e3""#,
        r#""\u0074rue""#,
    ];
    prop_oneof![
        4 => proptest::sample::select(odd.to_vec()).prop_map(str::to_owned),
        1 => any::<i64>().prop_map(|it| it.to_string()),
        1 => "[0-9A-F{}/:T -]{0,40}".prop_map(quoted),
        1 => any::<String>().prop_map(quoted),
    ]
}

#[allow(clippy::needless_pass_by_value, reason = "what a strategy hands over")]
fn quoted(text: String) -> String {
    Value::from(text).to_string()
}

/// Names as JSON text: whole paths from the catalogue, single segments, and others.
fn name() -> impl Strategy<Value = String> {
    let columns = &catalogue().columns;
    let segments: BTreeSet<&str> = columns.iter().flat_map(|it| it.path.clone()).collect();
    let segments: Vec<_> = segments.into_iter().map(str::to_owned).collect();
    let names: Vec<_> = columns.iter().map(|it| it.name.clone()).collect();
    prop_oneof![
        4 => proptest::sample::select(segments).prop_map(quoted),
        1 => proptest::sample::select(names).prop_map(quoted),
        1 => Just(r#""\u0074ype""#.to_owned()),
        1 => any::<String>().prop_map(quoted),
    ]
}

fn value() -> impl Strategy<Value = String> {
    leaf().prop_recursive(7, 64, 6, |inner| {
        prop_oneof![
            1 => proptest::collection::vec(inner.clone(), 0..4)
                .prop_map(|items| format!("[{}]", items.join(" ,"))),
            4 => object(inner),
        ]
    })
}

/// An object whose names may repeat.
fn object(value: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let member = (name(), value).prop_map(|(name, value)| format!("{name} : {value}"));
    let members = proptest::collection::vec(member, 0..6);
    members.prop_map(|members| format!("{{ {}\n}}", members.join(",")))
}

/// A value at the path of one of the columns.
fn at_a_column() -> impl Strategy<Value = String> {
    let paths: Vec<_> = catalogue()
        .columns
        .iter()
        .map(|it| it.path.clone())
        .collect();
    (proptest::sample::select(paths), value()).prop_map(|(path, value)| {
        let wrap = |value: String, name: &&str| format!(r#"{{"{name}":{value}}}"#);
        path.iter().rev().fold(value, wrap)
    })
}

/// Every value, as it was written, with the names on its path. Where the column converts text, the
/// value has no quotes.
type Leaves = Vec<(Vec<String>, String)>;

fn leaves_of(text: &str) -> Leaves {
    let mut leaves = Vec::new();
    let mut tokens = Scanner::new(text);
    let first = tokens.next().unwrap();
    collect(first, &mut tokens, &mut Vec::new(), &mut leaves);
    leaves
}

fn collect<'a>(
    value: Token<'a>,
    rest: &mut Scanner<'a>,
    path: &mut Vec<String>,
    leaves: &mut Leaves,
) {
    let mut text = String::new();
    json::write(&mut text, value);
    match value {
        Token::BeginObject => {
            let mut is_empty = true;
            while let Some(Token::Key(key)) = rest.next() {
                is_empty = false;
                path.push(json::unescape(key).unwrap_or(key.into()).into_owned());
                let value = rest.next().unwrap();
                collect(value, rest, path, leaves);
                path.pop();
            }
            if is_empty {
                leaves.push((path.clone(), "{}".into()));
            }
        }
        Token::BeginArray => {
            for index in 0.. {
                let value = rest.next().unwrap();
                if value == Token::EndArray {
                    leaves.push((path.clone(), format!("a list of {index}")));
                    break;
                }
                path.push(index.to_string());
                collect(value, rest, path, leaves);
                path.pop();
            }
        }
        _ => {
            let is_converted = |it: &Column| it.from_text && it.path.iter().eq(path.iter());
            let is_converted = catalogue().columns.iter().any(is_converted);
            let text = if is_converted {
                text.trim_matches('"')
            } else {
                &text
            };
            leaves.push((path.clone(), text.to_owned()));
        }
    }
}

type Columns<'a> = BTreeMap<String, &'a RawValue>;

fn check(record: &str) {
    let as_flattened = row(record, Api::DataCollector, Redaction::Off).unwrap();
    let flattened: Columns = serde_json::from_str(&as_flattened).unwrap();
    let Value::Object(parsed) = serde_json::from_str(&as_flattened).unwrap() else {
        panic!("a row is an object");
    };
    let known: BTreeSet<_> = custom_columns(Api::DataCollector)
        .map(|(name, _)| name)
        .collect();
    for column in columns_of(parsed).into_keys() {
        assert!(known.contains(&column), "{column}");
    }
    assert_whole(record, Api::DataCollector, &flattened);

    let declared = row(record, Api::LogsIngestion, Redaction::Off).unwrap();
    let mut declared: Columns = serde_json::from_str(&declared).unwrap();
    let known: BTreeSet<_> = custom_columns(Api::LogsIngestion)
        .map(|(name, _)| name)
        .collect();
    let time = declared.remove("TimeGenerated").map(RawValue::get);
    assert_eq!(time, declared.get("date_t").map(|it| it.get()));
    for column in declared.keys() {
        assert!(known.contains(column), "{column}");
    }
    // In this row a list is JSON; the other row holds the same list as text.
    for column in &catalogue().columns {
        let list = flattened
            .get(&column.name)
            .filter(|it| it.get().starts_with('['));
        if let (Some(list), Some(text)) = (list, declared.get_mut(&column.full_name)) {
            let unquoted: String = serde_json::from_str(text.get()).unwrap();
            assert_eq!(unquoted, list.get());
            *text = list;
        }
    }
    // In this row a GUID has hyphens.
    for column in catalogue()
        .columns
        .iter()
        .filter(|it| it.kind == Type::Guid)
    {
        let guid = flattened.get(&column.name);
        if let (Some(guid), Some(hyphenated)) = (guid, declared.get_mut(&column.full_name)) {
            let bare = |it: &RawValue| it.get().replace('-', "");
            assert_eq!(bare(guid), bare(hyphenated));
            *hyphenated = guid;
        }
    }
    assert_whole(record, Api::LogsIngestion, &declared);
}

/// Asserts that a row's columns and its rest make up the record, leaf by leaf.
fn assert_whole(record: &str, api: Api, columns: &Columns) {
    let parts = (0..api.parts()).map_while(|number| match api {
        Api::DataCollector => columns.get(&additional_fields(number)),
        Api::LogsIngestion => columns.get(&additional_fields_column(number)),
    });
    let parts = parts.map(|part| serde_json::from_str::<String>(part.get()).unwrap());
    let mut leaves = match &*parts.collect::<String>() {
        "" => Vec::new(),
        rest => leaves_of(rest),
    };
    for column in &catalogue().columns {
        let name = column.name_for(api);
        if let Some(value) = name.and_then(|name| columns.get(name)) {
            let wrap = |value: String, name: &&str| format!(r#"{{"{name}":{value}}}"#);
            let record = column.path.iter().rev().fold(value.get().to_owned(), wrap);
            leaves.extend(leaves_of(&record));
        }
    }
    let mut expected = leaves_of(record);
    // An empty record has nothing to keep.
    expected.retain(|(path, _)| !path.is_empty());
    expected.sort();
    leaves.sort();
    assert_eq!(leaves, expected, "{api:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_row_and_the_catalogue_are_the_record(record in object(value())) {
        check(&record);
    }

    #[test]
    fn any_value_may_stand_at_the_path_of_a_column(record in at_a_column()) {
        check(&record);
    }
}
