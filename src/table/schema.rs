//! What Azure is told about the table and about the data collection rule that fills it.
//!
//! The service drops a column that is sent but not declared, although it answers with success. So
//! the table, the rule and the rows come from one [`catalogue`](super::catalogue). The deployment
//! template repeats what is defined here; a test compares the two.
//!
//! <https://learn.microsoft.com/azure/azure-monitor/data-collection/data-collection-rule-structure>

use serde::Serialize;

use super::catalogue::{Type, custom_columns};
use super::{Api, health};

/// A column as a template declares it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Declared {
    /// Its name.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: &'static str,
}

/// The columns of the stream: `streamDeclarations` in the rule.
#[must_use]
pub fn stream() -> Vec<Declared> {
    declare_stream(custom_columns(Api::LogsIngestion))
}

/// The columns of the stream for heartbeats.
#[must_use]
pub fn health_stream() -> Vec<Declared> {
    declare_stream(health::columns())
}

fn declare_stream(columns: impl Iterator<Item = (String, Type)>) -> Vec<Declared> {
    declare(columns, |kind| match kind {
        // A stream has no GUID type; the transformation converts to it.
        Type::String | Type::Guid => "string",
        Type::Real => "real",
        Type::Boolean => "boolean",
        Type::DateTime => "datetime",
    })
}

/// The columns of the table.
#[must_use]
pub fn table() -> Vec<Declared> {
    declare_table(custom_columns(Api::LogsIngestion))
}

/// The columns of the table of heartbeats.
#[must_use]
pub fn health_table() -> Vec<Declared> {
    declare_table(health::columns())
}

fn declare_table(columns: impl Iterator<Item = (String, Type)>) -> Vec<Declared> {
    declare(columns, |kind| match kind {
        Type::String => "string",
        Type::Guid => "guid",
        Type::Real => "real",
        Type::Boolean => "boolean",
        Type::DateTime => "dateTime",
    })
}

/// The rule's transformation from the stream to the table, `transformKql`. A row without a readable
/// date gets its arrival time, because the service would drop it otherwise.
#[must_use]
pub fn transform() -> String {
    let columns = custom_columns(Api::LogsIngestion);
    let guids = columns.filter(|(_, kind)| *kind == Type::Guid);
    guids.fold(
        "source | extend TimeGenerated = iff(isnull(TimeGenerated), now(), TimeGenerated)".into(),
        |transform, (name, _)| format!("{transform}, {name} = toguid({name})"),
    )
}

fn declare(
    columns: impl Iterator<Item = (String, Type)>,
    kind_of: impl Fn(Type) -> &'static str,
) -> Vec<Declared> {
    let time = Declared {
        name: "TimeGenerated".into(),
        kind: kind_of(Type::DateTime),
    };
    let columns = columns.map(|(name, kind)| Declared {
        name,
        kind: kind_of(kind),
    });
    std::iter::once(time).chain(columns).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind_in(columns: &[Declared], name: &str) -> Option<&'static str> {
        let mut named = columns.iter().filter(|it| it.name == name);
        let kind = named.next().map(|it| it.kind);
        assert!(named.next().is_none(), "{name} is declared twice");
        kind
    }

    #[test]
    fn what_is_sent_and_what_is_kept_have_the_same_columns_and_matching_types() {
        let (stream, table) = (stream(), table());
        for (name, sent, kept) in [
            ("TimeGenerated", "datetime", "dateTime"),
            ("date_t", "datetime", "dateTime"),
            ("type_s", "string", "string"),
            ("isMobile_b", "boolean", "boolean"),
            ("details_response_statusCode_d", "real", "real"),
            ("details_request_auth_credentials_jti_g", "string", "guid"),
            ("AdditionalFields_16_s", "string", "string"),
            ("Shortened_s", "string", "string"),
        ] {
            assert_eq!(kind_in(&stream, name), Some(sent), "{name}");
            assert_eq!(kind_in(&table, name), Some(kept), "{name}");
        }
        let names = |columns: &[Declared]| -> Vec<String> {
            columns.iter().map(|it| it.name.clone()).collect()
        };
        assert_eq!(names(&stream), names(&table));
    }

    /// Names begin with a letter and have at most 45 letters, digits and underscores; some are
    /// reserved.
    #[test]
    fn every_name_is_one_that_the_service_takes() {
        let reserved = [
            "_ResourceId",
            "id",
            "_SubscriptionId",
            "TenantId",
            "Type",
            "UniqueId",
            "Title",
        ];
        for Declared { name, .. } in [table(), health_table()].concat() {
            let is_word = |it: char| it.is_ascii_alphanumeric() || it == '_';
            assert!(name.len() <= 45 && name.chars().all(is_word), "{name}");
            assert!(
                name.starts_with(|it: char| it.is_ascii_alphabetic()),
                "{name}"
            );
            assert!(!reserved.contains(&&*name), "{name}");
        }
    }

    #[test]
    fn the_transformation_makes_guids_and_leaves_no_row_without_a_time() {
        let transform = transform();
        assert!(transform.starts_with(
            "source | extend TimeGenerated = iff(isnull(TimeGenerated), now(), TimeGenerated), "
        ));
        let column = "details_request_auth_credentials_jti_g";
        assert!(transform.contains(&format!(", {column} = toguid({column})")));
        let count = table().iter().filter(|it| it.kind == "guid").count();
        assert_eq!(transform.matches("toguid(").count(), count);
    }
}
