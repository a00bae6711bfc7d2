//! Assembles `azuredeploy.json` from the parts in `xtask/template`.
//!
//! The parts are written by hand: the frame, which has the template's own name, and a part for each
//! group of resources. A text `"{{…}}"` in a part is replaced by the part of that name, or by one
//! of [`values`], which come from the table's catalogue or from `sentinel`. If the text is an
//! element of a list and its value is a list, the elements are inserted. To add a part, put its
//! file there and its name into the frame. The layout is kept, so a change in a part is the same
//! change in the template.

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
/// How much further a list's elements are indented than the list.
const INDENT: &str = "  ";

/// Writes the current template into the project's folder.
pub fn write(project: &Path) -> Result<()> {
    fs::write(project.join(TEMPLATE), current(project)?)
        .with_context(|| format!("writing {TEMPLATE}"))
}

/// The template as the parts and values make it.
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

/// The values that are not written by hand, as JSON in the template's layout.
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

/// The workbook of `sentinel`, as a list of lines.
fn workbook(project: &Path) -> Result<String> {
    let text = fs::read_to_string(project.join(WORKBOOK));
    let text = text.with_context(|| format!("reading {WORKBOOK}"))?;
    let lines: Vec<_> = text.lines().map(parsers::literal).collect();
    Ok(serde_json::to_string_pretty(&lines)?)
}

/// The columns, one on each line.
fn columns(columns: &[schema::Declared]) -> Result<String> {
    let lines = columns.iter().map(serde_json::to_string);
    let lines: Vec<_> = lines.collect::<serde_json::Result<_>>()?;
    Ok(format!("[\n{INDENT}{}\n]", lines.join(",\n  ")))
}

/// The frame with every part inserted. Fails unless each part is used exactly once.
fn assembled(mut parts: BTreeMap<String, String>) -> Result<String> {
    let whole = part(TEMPLATE, &mut parts)?;
    let left: Vec<_> = parts.into_keys().collect();
    ensure!(left.is_empty(), "no part names {}", left.join(", "));
    Ok(whole + "\n")
}

/// Removes a part from `parts`, and returns it with the parts that it names inserted.
fn part(name: &str, parts: &mut BTreeMap<String, String>) -> Result<String> {
    let Some(text) = parts.remove(name) else {
        bail!("{{{{{name}}}}} is no part, or is named twice");
    };
    // Only parts written by hand may name others.
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

/// A line with a value inserted.
fn inserted(before: &str, value: &str, after: &str) -> String {
    let indent = &before[..before.len() - before.trim_start().len()];
    // A JSON text contains no line break, so every line break belongs to the layout.
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
