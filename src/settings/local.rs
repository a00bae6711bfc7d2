//! `local.settings.json`, as the Functions tools use it on a laptop: JSON in UTF-8 or UTF-16 that
//! may hold comments, trailing commas and non-text values.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::OnceLock;

use jsonc_parser::{CollectOptions, ParseOptions, ast, parse_to_ast, parse_to_serde_value};
use serde_json::{Map, Value};

use super::AppSettings;
use super::misspelt::distance;

const VALUES: &str = "Values";
const IS_ENCRYPTED: &str = "IsEncrypted";

const UTF_8_MARK: &[u8] = &[0xEF, 0xBB, 0xBF];
/// Builds a UTF-16 code unit from two bytes.
type Unit = fn([u8; 2]) -> u16;
const UTF_16_MARKS: [([u8; 2], Unit); 2] = [
    ([0xFF, 0xFE], u16::from_le_bytes),
    ([0xFE, 0xFF], u16::from_be_bytes),
];

/// Why `local.settings.json` cannot be used. Its content is not quoted, because it holds secrets.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum LocalSettingsError {
    /// Not text.
    #[error("local.settings.json is neither UTF-8 text nor, with its mark, UTF-16")]
    Encoding,
    /// Not JSON.
    #[error("local.settings.json is not JSON (line {line}, column {column})")]
    Json {
        /// The line of the error.
        line: usize,
        /// The column in that line.
        column: usize,
    },
    /// Not the form that the Functions tools write.
    #[error("local.settings.json is not of the form {{\"Values\": {{\"NAME\": \"value\"}}}}")]
    Form,
    /// A member that would be ignored but resembles one that is read.
    #[error(
        "local.settings.json has {given} in place of {meant}, which is read (names are \
         case-sensitive)"
    )]
    Misspelt {
        /// The name in the file.
        given: String,
        /// The name that is read.
        meant: &'static str,
    },
    /// A duplicate: it is unknown which one is meant.
    #[error("local.settings.json has {0} twice; leave out the one that is not meant")]
    Twice(String),
    /// A setting outside `Values`, where it is not read.
    #[error("local.settings.json has {0} beside Values, where it is not read; move it into Values")]
    Beside(String),
    /// A value that no setting can have.
    #[error("local.settings.json gives {0} a list or an object, and a setting is text")]
    Value(String),
    /// Only the Functions tools can read it.
    #[error("local.settings.json is encrypted; `func settings decrypt` makes it readable")]
    Encrypted,
}

impl AppSettings {
    /// Adds the values of a `local.settings.json`. Settings that exist already take precedence.
    pub fn or_local(mut self, file: &[u8]) -> Result<Self, LocalSettingsError> {
        let Value::Object(mut file) = parse(&text(file)?)? else {
            return Err(LocalSettingsError::Form);
        };
        if let Some((given, meant)) = misspelt(&file) {
            let given = given.to_owned();
            return Err(LocalSettingsError::Misspelt { given, meant });
        }
        if file.remove(IS_ENCRYPTED).as_ref().is_some_and(is_true) {
            return Err(LocalSettingsError::Encrypted);
        }
        let values = file.remove(VALUES);
        if let (Some(_), Some(name)) = (&values, texts(&file).find(|it| is_setting(it))) {
            return Err(LocalSettingsError::Beside(name.to_owned()));
        }
        let values: Map<String, Value> = match values {
            Some(Value::Object(values)) => values,
            None if texts(&file).next().is_some() => return Err(LocalSettingsError::Form),
            Some(Value::Null) | None => Map::new(),
            Some(_) => return Err(LocalSettingsError::Form),
        };
        for (name, value) in values {
            let value = match value {
                Value::String(text) => text,
                Value::Bool(_) | Value::Number(_) => value.to_string(),
                Value::Null => continue,
                Value::Array(_) | Value::Object(_) => return Err(LocalSettingsError::Value(name)),
            };
            if self.get(&name).is_none() {
                self.values.insert(name, value);
            }
        }
        self.names = OnceLock::new();
        Ok(self)
    }
}

/// A member that resembles one that is read, and the one that it resembles.
fn misspelt(file: &Map<String, Value>) -> Option<(&str, &'static str)> {
    let alike = |given: &str| {
        let mut read = [VALUES, IS_ENCRYPTED].into_iter();
        let meant = read.find(|meant| distance(given, meant) <= 1)?;
        (given != meant).then_some(meant)
    };
    let mut names = file.keys();
    names.find_map(|given| Some((&**given, alike(given)?)))
}

/// The names of top-level texts. If such a text is a setting, it belongs in `Values`.
fn texts(file: &Map<String, Value>) -> impl Iterator<Item = &str> {
    let texts = file.iter().filter(|(_, value)| value.is_string());
    let names = texts.map(|(name, _)| name.as_str());
    names.filter(|name| !name.starts_with('$'))
}

/// Whether a name may be a setting's, as `PII` or `logAnalyticsUri`, unlike `Comment`.
fn is_setting(name: &str) -> bool {
    name.bytes().filter(u8::is_ascii_uppercase).count() > 1
}

fn is_true(value: &Value) -> bool {
    match value {
        Value::String(text) => text.eq_ignore_ascii_case("true"),
        value => *value == Value::Bool(true),
    }
}

/// The text of a file, without its byte order mark.
fn text(file: &[u8]) -> Result<Cow<'_, str>, LocalSettingsError> {
    for (mark, unit) in UTF_16_MARKS {
        if let Some(rest) = file.strip_prefix(&mark) {
            let (units, odd) = rest.as_chunks::<2>();
            let units: Vec<u16> = units.iter().map(|pair| unit(*pair)).collect();
            let text = String::from_utf16(&units).ok().filter(|_| odd.is_empty());
            return text.map(Cow::Owned).ok_or(LocalSettingsError::Encoding);
        }
    }
    let file = file.strip_prefix(UTF_8_MARK).unwrap_or(file);
    let text = std::str::from_utf8(file).map_err(|_| LocalSettingsError::Encoding)?;
    Ok(Cow::Borrowed(text))
}

/// Parses JSON as leniently as the Functions tools.
fn parse(text: &str) -> Result<Value, LocalSettingsError> {
    let options = ParseOptions {
        allow_missing_commas: false,
        ..ParseOptions::default()
    };
    if let Some(name) = twice(text, &options) {
        return Err(LocalSettingsError::Twice(name));
    }
    parse_to_serde_value(text, &options).map_err(|error| LocalSettingsError::Json {
        line: error.line_display(),
        column: error.column_display(),
    })
}

/// A duplicate name at the top level or among the values.
fn twice(text: &str, options: &ParseOptions) -> Option<String> {
    let parsed = parse_to_ast(text, &CollectOptions::default(), options).ok()?;
    let Some(ast::Value::Object(file)) = parsed.value else {
        return None;
    };
    let members = [Some(&file), file.get_object(VALUES)];
    members.into_iter().flatten().find_map(|it| {
        let mut met = BTreeSet::new();
        let mut names = it.properties.iter().map(|it| it.name.as_str());
        names.find(|name| !met.insert(*name)).map(str::to_owned)
    })
}
