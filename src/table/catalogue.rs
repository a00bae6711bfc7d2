//! The columns of `Auth0AM_CL`, read from `catalogue.csv` beside this file.

use std::sync::LazyLock;

use super::Api;
use crate::redact::{NameKind, judge_name};

/// Maximum length of a column name in the Logs Ingestion API. The first character must be a letter.
const LONGEST_DECLARED: usize = 45;

/// The column that says why a row lacks a part of its record. It has no path in the catalogue, so
/// no record can fill it.
pub const SHORTENED: &str = "Shortened";

/// What a column holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Type {
    /// Text, and lists as JSON text.
    String,
    /// A number.
    Real,
    /// `true` or `false`.
    Boolean,
    /// A time.
    DateTime,
    /// A GUID.
    Guid,
}

impl Type {
    /// What the HTTP Data Collector API appends to the name of a column of this type.
    #[must_use]
    pub fn suffix(self) -> &'static str {
        match self {
            Self::String => "_s",
            Self::Real => "_d",
            Self::Boolean => "_b",
            Self::DateTime => "_t",
            Self::Guid => "_g",
        }
    }

    /// The type's name in KQL.
    #[must_use]
    pub fn kql(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Real => "real",
            Self::Boolean => "bool",
            Self::DateTime => "datetime",
            Self::Guid => "guid",
        }
    }
}

/// A column.
#[derive(Clone, Debug)]
pub struct Column {
    /// The path to its value in a record, name by name.
    pub path: Vec<&'static str>,
    /// Its name without the suffix.
    pub name: String,
    /// Its name in the table.
    pub full_name: String,
    /// What it holds.
    pub kind: Type,
    /// Whether records may hold the value as text.
    pub from_text: bool,
    /// What the value means.
    pub meaning: &'static str,
    /// Per `Api`, the key in rows: the column's name in quotes, and a colon.
    keys: [Option<String>; 2],
}

impl Column {
    /// The column's name in rows; `None` if this API cannot take the column.
    #[must_use]
    pub fn name_for(&self, api: Api) -> Option<&str> {
        match api {
            Api::DataCollector => Some(&self.name),
            Api::LogsIngestion => Some(&*self.full_name).filter(|it| {
                it.len() <= LONGEST_DECLARED && it.starts_with(|it: char| it.is_ascii_alphabetic())
            }),
        }
    }

    /// That name as a JSON key: in quotes, with a colon.
    pub(super) fn key_for(&self, api: Api) -> Option<&str> {
        self.keys[api as usize].as_deref()
    }
}

/// A node in the tree of column paths.
#[derive(Debug)]
pub struct Node {
    /// The index in the catalogue of the column whose path ends here.
    pub column: Option<usize>,
    /// What the node's name implies for masking.
    pub(super) kind: NameKind,
    /// Ordered by the length of their names.
    children: Vec<(&'static str, Node)>,
    /// For each length up to the longest plus one, the number of children with a shorter name.
    shorter: Vec<usize>,
}

impl Node {
    fn new(name: &str) -> Self {
        Self {
            column: None,
            kind: judge_name(name),
            children: Vec::new(),
            shorter: Vec::new(),
        }
    }

    /// The child with this name.
    #[must_use]
    pub fn child(&self, name: &str) -> Option<&Node> {
        let (first, length) = (name.as_bytes().first(), name.len());
        let range = *self.shorter.get(length)?..*self.shorter.get(length + 1)?;
        // Few names have this length, and hardly any of those start with the same letter.
        let mut children = self.children[range].iter();
        let found = children.find(|(it, _)| it.as_bytes().first() == first && *it == name);
        found.map(|(_, node)| node)
    }

    /// Whether the node has children.
    #[must_use]
    pub fn is_inner(&self) -> bool {
        !self.children.is_empty()
    }

    /// The node's children, with their names.
    #[cfg(test)]
    pub(crate) fn names(&self) -> impl Iterator<Item = (&'static str, &Node)> {
        self.children.iter().map(|(name, node)| (*name, node))
    }

    fn insert(&mut self, path: &[&'static str], column: usize) {
        let Some((name, path)) = path.split_first() else {
            self.column = Some(column);
            return;
        };
        let known = self.children.iter().position(|(it, _)| it == name);
        let index = known.unwrap_or_else(|| {
            self.children.push((name, Self::new(name)));
            self.children.len() - 1
        });
        self.children[index].1.insert(path, column);
    }

    /// Sorts and indexes the children, once the tree is complete.
    fn sort(&mut self) {
        self.children.sort_by_key(|(name, _)| name.len());
        let lengths: Vec<usize> = self.children.iter().map(|(name, _)| name.len()).collect();
        let longest = lengths.last().map_or(0, |it| it + 1);
        let shorter = |length| lengths.partition_point(|it| *it < length);
        self.shorter = (0..=longest).map(shorter).collect();
        for (_, child) in &mut self.children {
            child.sort();
        }
    }
}

/// The columns, and the tree of their paths.
#[derive(Debug)]
pub struct Catalogue {
    /// In the order of the file.
    pub columns: Vec<Column>,
    /// The node of the record itself.
    pub root: Node,
}

/// The catalogue. It is constant, so it is read once.
#[must_use]
pub fn catalogue() -> &'static Catalogue {
    static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(|| read(include_str!("catalogue.csv")));
    &CATALOGUE
}

/// The name of the `number`th part of `AdditionalFields`, counting from 0.
#[must_use]
pub fn additional_fields(number: usize) -> String {
    match number {
        0 => "AdditionalFields".to_owned(),
        _ => format!("AdditionalFields_{}", number + 1),
    }
}

/// The name in the table of the `number`th part of `AdditionalFields`, counting from 0.
#[must_use]
pub fn additional_fields_column(number: usize) -> String {
    additional_fields(number) + Type::String.suffix()
}

/// Every column that rows can fill, except `TimeGenerated`.
pub fn custom_columns(api: Api) -> impl Iterator<Item = (String, Type)> {
    let columns = catalogue().columns.iter();
    let columns = columns.filter(move |column| column.name_for(api).is_some());
    let columns = columns.map(|column| (column.full_name.clone(), column.kind));
    let parts = (0..api.parts()).map(|number| (additional_fields_column(number), Type::String));
    let shortened = SHORTENED.to_owned() + Type::String.suffix();
    columns.chain(parts).chain([(shortened, Type::String)])
}

/// Parses the catalogue. Other lines are skipped; a test ensures that they are blank or comments.
fn read(csv: &'static str) -> Catalogue {
    let columns: Vec<Column> = csv.lines().filter_map(read_line).collect();
    let mut root = Node::new("");
    for (index, column) in columns.iter().enumerate() {
        root.insert(&column.path, index);
    }
    root.sort();
    Catalogue { columns, root }
}

fn read_line(line: &'static str) -> Option<Column> {
    let (path, rest) = line.split_once(',')?;
    let (kind, meaning) = rest.split_once(',')?;
    let (kind, from_text) = match kind.strip_suffix(" from text") {
        Some(kind) => (kind, true),
        None => (kind, false),
    };
    let kind = match kind {
        "string" => Type::String,
        "real" => Type::Real,
        "boolean" => Type::Boolean,
        "datetime" => Type::DateTime,
        "guid" => Type::Guid,
        _ => return None,
    };
    let name = path.trim_start_matches('$').replace(['.', '-'], "_");
    let mut column = Column {
        path: path.split('.').collect(),
        full_name: format!("{name}{}", kind.suffix()),
        name,
        kind,
        from_text,
        meaning,
        keys: [None, None],
    };
    for api in [Api::DataCollector, Api::LogsIngestion] {
        let name = column.name_for(api);
        column.keys[api as usize] = name.map(|name| format!("\"{name}\":"));
    }
    Some(column)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_line_of_the_file_is_a_column_a_comment_or_blank() {
        let csv = include_str!("catalogue.csv");
        for line in csv.lines() {
            let is_comment = line.is_empty() || line.starts_with('#');
            let column = read_line(line);
            assert!(is_comment || column.is_some(), "{line}");
            assert!(
                is_comment || column.is_some_and(|it| !it.meaning.is_empty()),
                "{line}"
            );
        }
    }

    #[test]
    fn no_column_is_there_twice_and_all_fit_into_a_table() {
        let columns: Vec<_> = custom_columns(Api::DataCollector)
            .map(|(name, _)| name)
            .collect();
        let names: BTreeSet<_> = columns.iter().collect();
        assert_eq!(names.len(), columns.len());
        assert!(columns.len() - 128 < 300);
        assert!(columns.len() < 500);
        let is_reserved = |it: &Column| ["tenant", "TimeGenerated", "RawData"].contains(&&*it.name);
        assert!(!catalogue().columns.iter().any(is_reserved));
    }

    #[test]
    fn a_column_is_found_by_the_path_of_its_value() {
        let catalogue = catalogue();
        let mut node = &catalogue.root;
        for name in ["details", "headers", "x-forwarded-proto"] {
            node = node.child(name).unwrap();
        }
        let column = &catalogue.columns[node.column.unwrap()];
        assert_eq!(column.name, "details_headers_x_forwarded_proto");
        assert_eq!(column.kind, Type::String);
        assert!(catalogue.root.child("details_headers").is_none());
        let version = catalogue.root.child("$event_schema").unwrap();
        let version = version.child("version").unwrap().column.unwrap();
        assert_eq!(catalogue.columns[version].name, "event_schema_version");
    }

    #[test]
    fn a_path_leads_to_its_column_and_others_to_none() {
        let found = |path: &[&str]| {
            let mut names = path.iter();
            names.try_fold(&catalogue().root, |node, name| node.child(name))
        };
        for (index, column) in catalogue().columns.iter().enumerate() {
            let node = found(&column.path);
            assert_eq!(node.and_then(|it| it.column), Some(index), "{column:?}");
            assert!(found(&[&column.path[..], &["x"]].concat()).is_none());
        }
        for name in [
            "",
            "d",
            "dat",
            "dates",
            "data",
            "Date",
            "log_ids",
            &"x".repeat(1_000),
        ] {
            assert!(found(&[name]).is_none(), "{name}");
        }
    }

    #[test]
    fn columns_are_listed_with_their_suffixes() {
        let columns = |api| custom_columns(api).map(|(name, _)| name);
        let declared: BTreeSet<_> = columns(Api::LogsIngestion).collect();
        let columns: BTreeSet<_> = columns(Api::DataCollector).collect();
        for name in [
            "date_t",
            "isMobile_b",
            "details_response_statusCode_d",
            "details_request_auth_credentials_jti_g",
            "AdditionalFields_s",
            "AdditionalFields_2_s",
            "AdditionalFields_128_s",
            "Shortened_s",
        ] {
            assert!(columns.contains(name), "{name}");
        }
        assert!(!columns.contains("AdditionalFields_1_s"));
        assert!(!columns.contains("AdditionalFields_129_s"));

        assert!(declared.is_subset(&columns));
        // Names of 45 and of 46 characters.
        assert!(declared.contains("details_response_body_flags_universal_login_b"));
        assert!(columns.contains("details_response_body_providers_recaptcha_v2_s"));
        assert!(!declared.contains("details_response_body_providers_recaptcha_v2_s"));
        assert!(declared.contains("AdditionalFields_16_s"));
        assert!(!declared.contains("AdditionalFields_17_s"));
        assert!(declared.contains("Shortened_s"));
        // All columns but the 31 with long names and `_id_s`, plus the parts and the mark of a shortened row.
        assert_eq!(declared.len(), 243 - 31 - 1 + 16 + 1);
    }
}
