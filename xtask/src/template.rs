//! The variables of `azuredeploy.json` whose source is another file.
//!
//! They are replaced in the template's text, and nothing else of it is touched. To add one, put it
//! into the template with the value `null`, and into [`generated`].

use std::error::Error;
use std::fs;
use std::path::Path;

use auth0_poller::table::schema;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

const TEMPLATE: &str = "azuredeploy.json";
/// What stands before a variable in the template, so that nothing of the same name elsewhere is
/// taken for it.
const INDENT: &str = "\n    ";

type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

/// Brings the template in the folder of the project up to date.
pub fn write(project: &Path) -> Result<()> {
    Ok(fs::write(project.join(TEMPLATE), current(project)?)?)
}

/// The template as it should be.
fn current(project: &Path) -> Result<String> {
    let mut template = fs::read_to_string(project.join(TEMPLATE))?;
    for (variable, value) in generated(project)? {
        template = replaced(&template, variable, &value)
            .ok_or_else(|| format!("{TEMPLATE} has no variable {variable}, or more than one"))?;
    }
    Ok(template)
}

/// The variables and their values, which are JSON.
fn generated(project: &Path) -> Result<Vec<(&'static str, String)>> {
    Ok(vec![
        ("parsers", serde_json::to_string_pretty(&parsers(project)?)?),
        ("tableColumns", columns(&schema::table())?),
        ("streamColumns", columns(&schema::stream())?),
        ("transform", serde_json::to_string(&schema::transform())?),
    ])
}

/// Columns as the template has them, a line each.
fn columns(columns: &[schema::Declared]) -> Result<String> {
    let lines = columns.iter().map(serde_json::to_string);
    let lines: Vec<_> = lines.collect::<serde_json::Result<_>>()?;
    Ok(format!("[\n  {}\n]", lines.join(",\n  ")))
}

/// The template's text with another value of a variable.
fn replaced(template: &str, variable: &str, value: &str) -> Option<String> {
    let key = format!("{INDENT}\"{variable}\": ");
    let (before, rest) = template.split_once(&key)?;
    if rest.contains(&key) {
        return None;
    }
    let mut values = serde_json::Deserializer::from_str(rest).into_iter::<IgnoredAny>();
    values.next()?.ok()?;
    let after = &rest[values.byte_offset()..];
    // No text in JSON has a line break, so each is one of the layout.
    let value = value.replace('\n', INDENT);
    Some([before, &key, &value, after].concat())
}

/// A KQL function as the template has it.
#[derive(Debug, PartialEq, Serialize)]
struct Function {
    name: String,
    parameters: String,
    /// Line by line, for the sake of those who read a change of it.
    query: Vec<String>,
}

/// A file of `sentinel/parsers`, in the form of a parser or in that of an ASIM parser.
#[derive(Deserialize)]
struct File {
    #[serde(rename = "FunctionAlias", alias = "ParserName")]
    name: String,
    #[serde(rename = "ParserParams", default)]
    parameters: Vec<Parameter>,
    #[serde(rename = "FunctionQuery", alias = "ParserQuery")]
    query: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Parameter {
    name: String,
    r#type: String,
    default: DefaultValue,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum DefaultValue {
    Bool(bool),
    Text(String),
}

fn parsers(project: &Path) -> Result<Vec<Function>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(project.join("sentinel/parsers"))? {
        paths.push(entry?.path());
    }
    paths.sort();
    paths
        .iter()
        .map(|path| {
            function(&fs::read_to_string(path)?)
                .map_err(|error| format!("{}: {error}", path.display()).into())
        })
        .collect()
}

fn function(yaml: &str) -> Result<Function> {
    let file: File = serde_saphyr::from_str(yaml)?;
    let parameters: Vec<_> = file.parameters.iter().map(declaration).collect();
    Ok(Function {
        name: file.name,
        parameters: parameters.join(", "),
        query: file.query.lines().map(literal).collect(),
    })
}

/// A parameter in the words of KQL.
fn declaration(parameter: &Parameter) -> String {
    let Parameter { name, r#type, .. } = parameter;
    match &parameter.default {
        DefaultValue::Bool(value) => format!("{name}:{type}={value}"),
        DefaultValue::Text(value) if r#type == "string" => format!("{name}:{type}='{value}'"),
        DefaultValue::Text(value) => format!("{name}:{type}={value}"),
    }
}

/// A text that the Resource Manager does not take for an expression.
fn literal(text: &str) -> String {
    if text.starts_with('[') && text.ends_with(']') {
        format!("[{text}")
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

    use super::*;

    #[test]
    fn the_template_is_current() {
        let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let template = fs::read_to_string(project.join(TEMPLATE)).unwrap();
        assert!(
            current(&project).unwrap() == template,
            "{TEMPLATE} is not what its sources make of it: `cargo xtask template` writes it anew"
        );
    }

    #[test]
    fn a_function_is_read_from_either_form_of_file() {
        let parser = "FunctionAlias: Auth0AM\nFunctionQuery: |\n  Auth0AM_CL\n  | take 1\n";
        let expected = Function {
            name: "Auth0AM".into(),
            parameters: String::new(),
            query: vec!["Auth0AM_CL".into(), "| take 1".into()],
        };
        assert_eq!(function(parser).unwrap(), expected);

        let asim = "
ParserName: vim
ParserParams:
  - Name: starttime
    Type: datetime
    Default: datetime(null)
  - Name: eventresult
    Type: string
    Default: '*'
  - Name: disabled
    Type: bool
    Default: false
ParserQuery: |
  let parser = (
      a: int) {
  [1]
  };
";
        let expected = Function {
            name: "vim".into(),
            parameters: "starttime:datetime=datetime(null), eventresult:string='*', \
                         disabled:bool=false"
                .into(),
            query: vec![
                "let parser = (".into(),
                "    a: int) {".into(),
                "[[1]".into(),
                "};".into(),
            ],
        };
        assert_eq!(function(asim).unwrap(), expected);
    }

    #[test]
    fn only_the_variable_is_replaced() {
        let template = "{\n  \"variables\": {\n    \"a\": [\n      1\n    ],\n    \"b\": 2\n  },\n  \
                        \"x\": {\n      \"a\": 3\n  }\n}\n";
        let expected = "{\n  \"variables\": {\n    \"a\": {\n      \"c\": 4\n    },\n    \"b\": 2\n  \
                        },\n  \"x\": {\n      \"a\": 3\n  }\n}\n";
        assert_eq!(
            replaced(template, "a", "{\n  \"c\": 4\n}").as_deref(),
            Some(expected)
        );
        assert_eq!(replaced(template, "c", "1"), None);
        let twice = template.replace("\"b\"", "\"a\"");
        assert_eq!(replaced(&twice, "a", "1"), None);
    }
}
