//! The KQL functions of `sentinel/parsers`, in the form of the template.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

const FOLDER: &str = "sentinel/parsers";

/// The functions, in the order of their files' names.
pub fn functions(project: &Path) -> Result<String> {
    let folder = fs::read_dir(project.join(FOLDER)).with_context(|| format!("reading {FOLDER}"))?;
    let mut paths = Vec::new();
    for entry in folder {
        paths.push(entry?.path());
    }
    paths.sort();
    let functions = paths.iter().map(|path| {
        let reading = || format!("reading {}", path.display());
        let text = fs::read_to_string(path).with_context(reading)?;
        function(&text).with_context(reading)
    });
    let functions = functions.collect::<Result<Vec<_>>>()?;
    Ok(serde_json::to_string_pretty(&functions)?)
}

/// A KQL function in the template.
#[derive(Debug, PartialEq, Serialize)]
struct Function {
    name: String,
    parameters: String,
    /// Line by line, so that a change is easy to review.
    query: Vec<String>,
}

/// A file of `sentinel/parsers`, which is either a parser or an ASIM parser.
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

fn function(yaml: &str) -> Result<Function> {
    let file: File = serde_saphyr::from_str(yaml)?;
    let parameters: Vec<_> = file.parameters.iter().map(declaration).collect();
    Ok(Function {
        name: file.name,
        parameters: parameters.join(", "),
        query: file.query.lines().map(literal).collect(),
    })
}

/// A parameter as KQL declares it.
fn declaration(parameter: &Parameter) -> String {
    let Parameter { name, r#type, .. } = parameter;
    match &parameter.default {
        DefaultValue::Bool(value) => format!("{name}:{type}={value}"),
        DefaultValue::Text(value) if r#type == "string" => format!("{name}:{type}='{value}'"),
        DefaultValue::Text(value) => format!("{name}:{type}={value}"),
    }
}

/// A text, escaped so that the Resource Manager does not take it for an expression.
pub(super) fn literal(text: &str) -> String {
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
    fn a_function_is_read_from_either_form_of_file() {
        let parser = "
FunctionAlias: Auth0Events
ParserParams:
  - Name: eventcode_in
    Type: dynamic
    Default: dynamic([])
FunctionQuery: |
  Auth0AM_CL
  | take 1
";
        let expected = Function {
            name: "Auth0Events".into(),
            parameters: "eventcode_in:dynamic=dynamic([])".into(),
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
}
