//! What a data collection rule makes of a record: first by the stream's declaration, then by the
//! transformation, then by the table.
//!
//! The transformation is described here without KQL: some text columns become GUIDs, and a
//! `TimeGenerated` that is null becomes the time of arrival.
//!
//! Azure does not document how it converts a value that is not of the declared type. Here only
//! values of that type are accepted, and any number for a `real`.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, NaiveDateTime, Utc};
use serde_json::{Map, Value};

use crate::arrivals::Row;
use crate::workspace::guid;

/// Maximum characters of a column's name.
const LONGEST_NAME: usize = 45;
/// How many bytes of a field are kept.
const LONGEST_FIELD: usize = 64 * 1024;
/// Maximum columns of a table.
const MOST_COLUMNS: usize = 500;
/// Names that a table reserves.
const RESERVED: [&str; 7] = [
    "_ResourceId",
    "id",
    "_SubscriptionId",
    "TenantId",
    "Type",
    "UniqueId",
    "Title",
];
pub(crate) const TIME: &str = "TimeGenerated";

/// The type of a column.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Type {
    /// Text.
    String,
    /// An integer of 32 bits.
    Int,
    /// An integer of 64 bits.
    Long,
    /// A number.
    Real,
    /// `true` or `false`.
    Boolean,
    /// Anything.
    Dynamic,
    /// A time in ISO 8601; UTC if it names no zone.
    DateTime,
    /// A GUID. Allowed in a table, not in a stream.
    Guid,
}

impl Type {
    /// The type with this name in a template. Panics for an unknown name.
    pub fn named(name: &str) -> Self {
        match name {
            "string" => Self::String,
            "int" => Self::Int,
            "long" => Self::Long,
            "real" => Self::Real,
            "boolean" => Self::Boolean,
            "dynamic" => Self::Dynamic,
            "datetime" => Self::DateTime,
            "guid" => Self::Guid,
            _ => panic!("{name} is no type of a column"),
        }
    }

    fn fits(self, value: &Value) -> bool {
        match self {
            Self::String => value.is_string(),
            Self::Int => value.as_i64().is_some_and(|it| i32::try_from(it).is_ok()),
            Self::Long => value.is_i64(),
            Self::Real => value.is_number(),
            Self::Boolean => value.is_boolean(),
            Self::Dynamic => true,
            Self::DateTime => value.as_str().and_then(moment).is_some(),
            // With hyphens only: how one without is treated is not documented.
            Self::Guid => value
                .as_str()
                .is_some_and(|it| it.contains('-') && guid(it).is_some()),
        }
    }
}

/// What a data collection rule says of one stream and its table.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The stream's declaration: the columns that a post may contain.
    pub stream: BTreeMap<String, Type>,
    /// The table's columns: `TimeGenerated` and the custom ones.
    pub table: BTreeMap<String, Type>,
    /// The text columns that the transformation turns into GUIDs.
    pub to_guid: BTreeSet<String>,
}

/// What the service loses without telling: it still answers 204.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Loss {
    /// The stream does not declare the column: the value is gone.
    Undeclared {
        /// The column's name in the post.
        column: String,
        /// The JSON type of the value.
        kind: &'static str,
    },
    /// The value is not of the column's type, or not the GUID that it should become. It becomes
    /// null.
    Mistyped {
        /// The column.
        column: String,
        /// The JSON type of the value.
        kind: &'static str,
        /// The type that the column declares.
        declared: Type,
    },
    /// The value was longer than 64 KB. Its end is gone.
    Cut {
        /// The column.
        column: String,
        /// The value's length in bytes.
        length: usize,
    },
}

impl Rule {
    /// Panics if Azure would refuse to deploy this, or if it would deploy a stream's column that no
    /// row ever has a value for.
    pub(crate) fn validate(&self) {
        let columns = self.stream.iter().chain(&self.table);
        for (name, _) in columns {
            assert!(is_name(name), "{name} is no name for a column");
        }
        assert!(self.table.len() <= MOST_COLUMNS, "too many columns");
        assert_eq!(self.table.get(TIME), Some(&Type::DateTime), "{TIME}");
        for name in &self.to_guid {
            assert_eq!(
                self.stream.get(name),
                Some(&Type::String),
                "{name} has to come as text to become a GUID"
            );
        }
        for (name, kind) in &self.stream {
            assert!(*kind != Type::Guid, "{name}: a stream has no GUIDs");
            let transformed = if self.to_guid.contains(name) {
                Type::Guid
            } else {
                *kind
            };
            assert_eq!(
                self.table.get(name),
                Some(&transformed),
                "{name} is not the same in the table"
            );
        }
    }

    /// The row that a record becomes, with [`TIME`] as it was sent.
    pub(crate) fn row(&self, record: Map<String, Value>, losses: &mut Vec<Loss>) -> Row {
        let mut row = Row::new();
        for (column, value) in record {
            let Some(declared) = self.stream.get(&column) else {
                let kind = kind(&value);
                losses.push(Loss::Undeclared { column, kind });
                continue;
            };
            if value.is_null() {
                continue;
            }
            let becomes_guid = self.to_guid.contains(&column);
            let declared = if becomes_guid { Type::Guid } else { *declared };
            if !declared.fits(&value) {
                losses.push(Loss::Mistyped {
                    kind: kind(&value),
                    column,
                    declared,
                });
                continue;
            }
            let guid = value.as_str().filter(|_| becomes_guid).and_then(guid);
            let (value, cut_from) = cut(guid.map_or(value, Value::String));
            if let Some(length) = cut_from {
                let column = column.clone();
                losses.push(Loss::Cut { column, length });
            }
            row.insert(column, value);
        }
        row
    }
}

fn is_name(name: &str) -> bool {
    name.len() <= LONGEST_NAME
        && name.starts_with(|it: char| it.is_ascii_alphabetic())
        && name
            .bytes()
            .all(|it| it.is_ascii_alphanumeric() || it == b'_')
        && !RESERVED.contains(&name)
}

/// The time that a text holds.
pub(crate) fn moment(text: &str) -> Option<DateTime<Utc>> {
    let zoned = DateTime::parse_from_rfc3339(text).map(DateTime::from);
    let plain = || NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f");
    zoned.or_else(|_| plain().map(|it| it.and_utc())).ok()
}

/// The value as it is stored, and its length if it was too long. A value other than text is cut as
/// JSON.
fn cut(value: Value) -> (Value, Option<usize>) {
    let mut text = match value {
        Value::String(text) => text,
        Value::Array(_) | Value::Object(_) if value.to_string().len() > LONGEST_FIELD => {
            value.to_string()
        }
        value => return (value, None),
    };
    let length = text.len();
    text.truncate(text.floor_char_boundary(LONGEST_FIELD));
    let cut_from = (text.len() < length).then_some(length);
    (text.into(), cut_from)
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A rule for `TimeGenerated` and these columns: name, type in the stream, type in the table.
    fn rule(columns: &[(&str, &str, &str)]) -> Rule {
        let columns = [&[(TIME, "datetime", "datetime")], columns].concat();
        let named = |name: &str, kind| (name.to_owned(), Type::named(kind));
        Rule {
            stream: columns.iter().map(|it| named(it.0, it.1)).collect(),
            table: columns.iter().map(|it| named(it.0, it.2)).collect(),
            to_guid: BTreeSet::new(),
        }
    }

    fn is_refused(rule: Rule) -> bool {
        std::panic::catch_unwind(move || rule.validate()).is_err()
    }

    #[test]
    fn a_rule_that_azure_would_refuse_is_refused() {
        let longest = "a".repeat(45);
        rule(&[(&longest, "string", "string")]).validate();

        let longer = "a".repeat(46);
        for name in [&longer, "_a", "1a", "", "a-b", "é", "id", "Type", "Title"] {
            assert!(is_refused(rule(&[(name, "string", "string")])), "{name}");
        }
        assert!(is_refused(rule(&[("a", "string", "real")])));
        assert!(is_refused(rule(&[("a", "guid", "guid")])));
        // The conversion is missing, or has no column to convert.
        assert!(is_refused(rule(&[("a", "string", "guid")])));
        let mut one = rule(&[("a", "string", "guid")]);
        one.to_guid.insert("a".into());
        one.validate();
        one.to_guid.insert("b".into());
        assert!(is_refused(one));

        let mut one = rule(&[("a", "string", "string")]);
        one.table.remove("a");
        assert!(is_refused(one));
        let mut one = rule(&[]);
        one.table.remove(TIME);
        one.stream.remove(TIME);
        assert!(is_refused(one));
        let names: Vec<_> = (0..500).map(|n| format!("c{n}")).collect();
        let columns: Vec<_> = names.iter().map(|it| (&**it, "int", "int")).collect();
        assert!(is_refused(rule(&columns)));
        rule(&columns[..499]).validate();
    }

    #[test]
    fn a_value_is_of_its_columns_type_or_it_is_null() {
        let good = json!({
            "string": "", "int": -2_147_483_648, "long": 2_147_483_648_i64, "real": 1,
            "boolean": false, "dynamic": [{"a": 1}], "datetime": "2026-11-21T08:00:00.123",
        });
        let bad = json!({
            "string": 1, "int": 2_147_483_648_i64, "long": 1.5, "real": "1", "boolean": "true",
            "datetime": "2026-11-21T25:00:00Z",
        });
        let kinds = [
            "string", "int", "long", "real", "boolean", "dynamic", "datetime",
        ];
        let rule = rule(&kinds.map(|kind| (kind, kind, kind)));
        let mut losses = Vec::new();
        let mut row = |record: &Value| rule.row(record.as_object().unwrap().clone(), &mut losses);
        assert_eq!(json!(row(&good)), good);
        assert_eq!(row(&bad), Row::new());
        assert_eq!(losses.len(), 6, "{losses:?}");
    }

    #[test]
    fn of_a_long_field_64_kilobytes_are_kept() {
        let rule = rule(&[("a", "string", "string"), ("b", "dynamic", "dynamic")]);
        let mut losses = Vec::new();
        let mut row = |record: Value| rule.row(record.as_object().unwrap().clone(), &mut losses);
        let whole = json!({"a": "x".repeat(65_536), "b": ["x".repeat(65_532)]});
        assert_eq!(json!(row(whole.clone())), whole);
        let long = row(json!({"a": "x".repeat(65_537), "b": ["x".repeat(65_533)]}));
        for name in ["a", "b"] {
            assert_eq!(long[name].as_str().unwrap().len(), 65_536);
        }
        let cut = |column: &str| Loss::Cut {
            column: column.into(),
            length: 65_537,
        };
        assert_eq!(losses, [cut("a"), cut("b")]);
    }
}
