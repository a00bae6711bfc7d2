//! `azuredeploy.json`, put together from the parts in `xtask/template`.
//!
//! What is written by hand is there: the frame, which bears the template's own name, and a part for
//! each group of resources. A text `"{{…}}"` in a part stands for the part of that name, or for a
//! value of [`values`], which comes from the table's catalogue or from `sentinel`. A list that
//! stands for an element of another gives its elements. To add a part, put its file there and its
//! name into the frame. The layout is kept, so that a change of a part is the same change of the
//! whole.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use auth0_poller::table::schema;

mod parsers;
mod rules;

const TEMPLATE: &str = "azuredeploy.json";
const PARTS: &str = "xtask/template";
const WORKBOOK: &str = "sentinel/workbook.json";
/// How much further in the elements of a list are than the list.
const INDENT: &str = "  ";

/// Brings the template in the folder of the project up to date.
pub fn write(project: &Path) -> Result<()> {
    fs::write(project.join(TEMPLATE), current(project)?)
        .with_context(|| format!("writing {TEMPLATE}"))
}

/// The template as it should be.
fn current(project: &Path) -> Result<String> {
    let mut parts = values(project)?;
    let folder = fs::read_dir(project.join(PARTS)).with_context(|| format!("reading {PARTS}"))?;
    for entry in folder {
        let path = entry?.path();
        let text = fs::read_to_string(&path);
        let text = text.with_context(|| format!("reading {}", path.display()))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        parts.insert(name.into_owned(), text);
    }
    assembled(parts)
}

/// What is not written by hand, in JSON as it is laid out in the template.
fn values(project: &Path) -> Result<BTreeMap<String, String>> {
    let values = [
        ("healthStreamColumns", columns(&schema::health_stream())?),
        ("healthTableColumns", columns(&schema::health_table())?),
        ("parsers", parsers::functions(project)?),
        ("rules", rules::rules(project)?),
        ("streamColumns", columns(&schema::stream())?),
        ("tableColumns", columns(&schema::table())?),
        ("transform", serde_json::to_string(&schema::transform())?),
        ("workbook", workbook(project)?),
    ];
    Ok(values.map(|(name, it)| (name.to_owned(), it)).into())
}

/// The workbook of `sentinel`, line by line.
fn workbook(project: &Path) -> Result<String> {
    let text = fs::read_to_string(project.join(WORKBOOK));
    let text = text.with_context(|| format!("reading {WORKBOOK}"))?;
    let lines: Vec<_> = text.lines().map(parsers::literal).collect();
    Ok(serde_json::to_string_pretty(&lines)?)
}

/// Columns, a line each.
fn columns(columns: &[schema::Declared]) -> Result<String> {
    let lines = columns.iter().map(serde_json::to_string);
    let lines: Vec<_> = lines.collect::<serde_json::Result<_>>()?;
    Ok(format!("[\n{INDENT}{}\n]", lines.join(",\n  ")))
}

/// The frame with every part in its place. Each is used, and only once, or something is amiss.
fn assembled(mut parts: BTreeMap<String, String>) -> Result<String> {
    let whole = part(TEMPLATE, &mut parts)?;
    let left: Vec<_> = parts.into_keys().collect();
    ensure!(left.is_empty(), "no part names {}", left.join(", "));
    Ok(whole + "\n")
}

/// Takes a part out of `parts`, with those that it names in their places.
fn part(name: &str, parts: &mut BTreeMap<String, String>) -> Result<String> {
    let Some(text) = parts.remove(name) else {
        bail!("{{{{{name}}}}} is no part, or is named twice");
    };
    // Names are looked for in what is written by hand only.
    if Path::new(name).extension().is_none_or(|it| it != "json") {
        return Ok(text);
    }
    let mut lines = Vec::new();
    for line in text.lines() {
        let named = line.split_once("\"{{").and_then(|(before, rest)| {
            let (name, after) = rest.split_once("}}\"")?;
            Some((before, name, after))
        });
        lines.push(match named {
            Some((before, name, after)) => {
                let value = part(name, parts).with_context(|| line.trim().to_owned())?;
                inserted(before, &value, after)
            }
            None => line.to_owned(),
        });
    }
    Ok(lines.join("\n"))
}

/// A value in its place on a line.
fn inserted(before: &str, value: &str, after: &str) -> String {
    let indent = &before[..before.len() - before.trim_start().len()];
    // No text in JSON has a line break, so each is one of the layout.
    let elements = value
        .strip_prefix("[\n")
        .and_then(|it| it.strip_suffix("\n]"));
    let value = match elements {
        Some(elements) if before == indent => {
            let outdented = elements
                .lines()
                .map(|it| it.strip_prefix(INDENT).unwrap_or(it));
            outdented.collect::<Vec<_>>().join("\n")
        }
        _ => value.to_owned(),
    };
    let value = value.replace('\n', &format!("\n{indent}"));
    [before, &value, after].concat()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

    use super::*;

    fn parts(parts: &[(&str, &str)]) -> BTreeMap<String, String> {
        let parts = parts.iter();
        parts
            .map(|(name, it)| ((*name).into(), (*it).into()))
            .collect()
    }

    #[test]
    fn the_template_is_current() {
        let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let template = fs::read_to_string(project.join(TEMPLATE)).unwrap();
        assert!(
            current(&project).unwrap() == template,
            "{TEMPLATE} is not what its parts make of it: `cargo xtask template` writes it anew"
        );
    }

    #[test]
    fn parts_come_where_they_are_named_and_lists_within_lists_element_by_element() {
        let parts = parts(&[
            (
                "azuredeploy.json",
                "{\n  \"a\": \"{{a}}\",\n  \"list\": [\n    \"{{b.json}}\",\n    \"{{c.json}}\"\n  \
                 ]\n}\n",
            ),
            ("a", "[\n  \"{{no name, as nobody wrote it}}\"\n]"),
            ("b.json", "{\n  \"b\": [\"{{d}}\"]\n}\n"),
            ("c.json", "[\n  {\n    \"c\": 1\n  },\n  2\n]\n"),
            ("d", "0"),
        ]);
        let expected = "{
  \"a\": [
    \"{{no name, as nobody wrote it}}\"
  ],
  \"list\": [
    {
      \"b\": [0]
    },
    {
      \"c\": 1
    },
    2
  ]
}
";
        assert_eq!(assembled(parts).unwrap(), expected);
    }

    #[test]
    fn a_part_that_is_missing_or_left_over_or_named_twice_is_told() {
        let error = |given: &[(&str, &str)]| format!("{:#}", assembled(parts(given)).unwrap_err());
        let frame = ("azuredeploy.json", "[\n  \"{{a}}\",\n  \"{{b}}\"\n]");
        assert_eq!(
            error(&[frame, ("b", "1")]),
            "\"{{a}}\",: {{a}} is no part, or is named twice"
        );
        assert_eq!(
            error(&[frame, ("a", "0"), ("b", "1"), ("c", "2"), ("d", "3")]),
            "no part names c, d"
        );
        let frame = ("azuredeploy.json", "[\n  \"{{a}}\",\n  \"{{a}}\"\n]");
        assert!(error(&[frame, ("a", "0")]).contains("named twice"));
    }
}
