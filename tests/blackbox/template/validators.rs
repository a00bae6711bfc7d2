//! What Microsoft's validators of templates object to, as far as they are right.
//!
//! They are arm-ttk, which needs PowerShell, and Bicep's compiler, which needs .NET.

use std::collections::BTreeSet;

use regex_lite::Regex;
use serde_json::Value;

use super::{deployed, parsed, template, texts};

/// When the versions were checked.
const AS_OF: &str = "2026-11-26";

/// Older versions that were the newest then.
const NEWEST: [(&str, &str); 6] = [
    ("Microsoft.Authorization/roleAssignments", "2022-04-01"),
    ("Microsoft.Insights/components", "2020-02-02"),
    ("Microsoft.Insights/dataCollectionRules", "2024-03-11"),
    (
        "Microsoft.Insights/diagnosticSettings",
        "2021-05-01-preview",
    ),
    ("Microsoft.Insights/workbooks", "2023-06-01"),
    ("Microsoft.Insights/scheduledQueryRules", "2023-12-01"),
];

/// Every object in a value.
fn objects<'a>(value: &'a Value, found: &mut Vec<&'a serde_json::Map<String, Value>>) {
    match value {
        Value::Object(fields) => {
            found.push(fields);
            fields.values().for_each(|it| objects(it, found));
        }
        Value::Array(values) => values.iter().for_each(|it| objects(it, found)),
        _ => {}
    }
}

/// The types in a value, with the API versions that they are made or read with.
fn versions(value: &Value) -> BTreeSet<(String, String)> {
    let mut versions = BTreeSet::new();
    let mut found = Vec::new();
    objects(value, &mut found);
    for object in found {
        if let (Some(kind), Some(version)) = (object.get("type"), object.get("apiVersion")) {
            let text = |it: &Value| it.as_str().unwrap().to_owned();
            versions.insert((text(kind), text(version)));
        }
    }
    for (place, text) in texts(value) {
        for call in text.split("reference(").skip(1) {
            let mut literals = call.split('\'').skip(1).step_by(2);
            let kind = literals.find(|it| it.starts_with("Microsoft."));
            let version = literals.find(|it| it.starts_with("20"));
            let (Some(kind), Some(version)) = (kind, version) else {
                panic!("{place} does not say of what type and version");
            };
            versions.insert((kind.to_owned(), version.to_owned()));
        }
    }
    versions
}

#[test]
fn no_version_of_an_api_is_older_than_two_years_unless_there_is_no_newer_one() {
    let two_years_before = "2024-11-26";
    let versions = versions(&template());
    for (kind, version) in &versions {
        let is_newest = NEWEST.contains(&(kind, version));
        assert!(
            is_newest || (two_years_before..=AS_OF).contains(&&**version),
            "{kind} {version}"
        );
    }
    // One version of each type, also in calls of `reference`.
    let mut kinds: Vec<_> = versions.iter().map(|(kind, _)| kind).collect();
    let count = kinds.len();
    kinds.dedup();
    assert_eq!(kinds.len(), count, "{versions:?}");
    assert!(
        kinds
            .iter()
            .any(|it| *it == "Microsoft.OperationalInsights/workspaces")
    );
}

#[test]
fn every_version_of_an_api_is_half_a_year_old() {
    // A version reaches some regions and clouds months after it is published. One that a cloud does
    // not serve fails the whole deployment.
    let half_a_year_before = "2026-05-26";
    for (kind, version) in versions(&template()) {
        assert!(&*version <= half_a_year_before, "{kind} {version}");
    }
}

#[test]
fn an_etag_stands_beside_the_properties() {
    for resource in deployed(&[]).resources {
        assert_eq!(
            resource.body["properties"].get("etag"),
            None,
            "{}",
            resource.id
        );
    }
}

#[test]
fn nothing_that_is_named_like_an_address_is_put_together_in_its_place() {
    let template = template();
    let mut found = Vec::new();
    objects(&template, &mut found);
    let is_address = Regex::new("(?i)ur[il]$").unwrap();
    let made = Regex::new(r"(?i)\b(concat|format)\(").unwrap();
    let mut addresses = 0;
    for (name, value) in found.into_iter().flatten() {
        if let Some(value) = value.as_str()
            && is_address.is_match(name)
        {
            addresses += 1;
            assert!(
                !(value.starts_with('[') && made.is_match(value)),
                "{name}: {value}"
            );
        }
    }
    assert_eq!(addresses, 2);
}

#[test]
fn the_form_s_password_boxes_ask_for_a_length() {
    let form = parsed("createUiDefinition.json");
    let mut found = Vec::new();
    objects(&form, &mut found);
    let boxes = found.into_iter();
    let boxes = boxes.filter(|it| it.get("type") == Some(&"Microsoft.Common.PasswordBox".into()));
    let patterns = boxes.map(|it| it["constraints"]["regex"].as_str().unwrap());
    let patterns: Vec<_> = patterns.collect();
    assert_eq!(patterns.len(), 5);
    let length = Regex::new(r"\{[0-9]+,?[0-9]*\}").unwrap();
    for pattern in patterns {
        assert!(length.is_match(pattern), "{pattern}");
        let pattern = Regex::new(pattern).unwrap();
        assert!(!pattern.is_match(&"a".repeat(11)));
    }
}
