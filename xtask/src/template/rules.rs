//! The analytic rules of `sentinel/rules`, in the form of the template. The service's API uses
//! other terms than the files.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::parsers::literal;

const FOLDER: &str = "sentinel/rules";
/// The maximum characters that the service accepts in a rule's name, description and query.
const LONGEST: [usize; 3] = [256, 5_000, 10_000];

/// The rules, in the order of their files' names.
pub fn rules(project: &Path) -> Result<String> {
    let folder = fs::read_dir(project.join(FOLDER)).with_context(|| format!("reading {FOLDER}"))?;
    let mut paths = Vec::new();
    for entry in folder {
        paths.push(entry?.path());
    }
    paths.sort();
    let rules = paths.iter().map(|path| {
        let reading = || format!("reading {}", path.display());
        let text = fs::read_to_string(path).with_context(reading)?;
        rule(&text).with_context(reading)
    });
    let rules = rules.collect::<Result<Vec<_>>>()?;
    Ok(serde_json::to_string_pretty(&rules)?)
}

/// A rule in the template. It has every field, since a template cannot ask whether a field exists.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    id: String,
    display_name: String,
    description: String,
    severity: String,
    query_frequency: String,
    query_period: String,
    tactics: Vec<String>,
    techniques: Vec<String>,
    entity_mappings: Value,
    custom_details: Value,
    alert_details_override: Value,
    grouping: Grouping,
    /// Line by line, so that a change is easy to review.
    query: Vec<String>,
}

/// A file of `sentinel/rules`. What is the same for all rules is in the template, and not read
/// here.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    id: String,
    name: String,
    description: String,
    severity: String,
    query_frequency: String,
    query_period: String,
    trigger_operator: String,
    trigger_threshold: u64,
    tactics: Vec<String>,
    relevant_techniques: Vec<String>,
    query: String,
    entity_mappings: Vec<Mapping>,
    custom_details: BTreeMap<String, String>,
    alert_details_override: BTreeMap<String, String>,
    event_grouping_settings: BTreeMap<String, String>,
    incident_configuration: Incident,
    kind: String,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Mapping {
    entity_type: String,
    field_mappings: Vec<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Incident {
    create_incident: bool,
    grouping_configuration: Grouping,
}

#[derive(Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Grouping {
    enabled: bool,
    reopen_closed_incident: bool,
    lookback_duration: String,
    matching_method: String,
}

fn rule(yaml: &str) -> Result<Rule> {
    let mut file: File = serde_saphyr::from_str(yaml)?;
    let is_usual = file.kind == "Scheduled"
        && file.trigger_operator == "gt"
        && file.trigger_threshold == 0
        && file.incident_configuration.create_incident
        && file.event_grouping_settings["aggregationKind"] == "AlertPerResult";
    ensure!(
        is_usual,
        "xtask/template/rules.json says other things than the rule"
    );
    for (text, longest) in [&file.name, &file.description, &file.query]
        .iter()
        .zip(LONGEST)
    {
        let length = text.chars().count();
        ensure!(
            length <= longest,
            "{length} characters, where {longest} are allowed"
        );
    }
    let mut grouping = file.incident_configuration.grouping_configuration;
    grouping.lookback_duration = duration(&grouping.lookback_duration)?;
    for text in file.alert_details_override.values_mut() {
        *text = literal(text);
    }
    Ok(Rule {
        id: file.id,
        display_name: literal(&file.name),
        description: literal(&file.description),
        severity: file.severity,
        query_frequency: duration(&file.query_frequency)?,
        query_period: duration(&file.query_period)?,
        tactics: file.tactics,
        techniques: techniques(&file.relevant_techniques),
        entity_mappings: serde_json::to_value(file.entity_mappings)?,
        custom_details: serde_json::to_value(file.custom_details)?,
        alert_details_override: serde_json::to_value(file.alert_details_override)?,
        grouping,
        query: file.query.lines().map(literal).collect(),
    })
}

/// `5h` or `14d` as an ISO 8601 duration.
fn duration(text: &str) -> Result<String> {
    let unit = text.chars().last();
    let number = text.trim_end_matches(char::is_alphabetic);
    ensure!(
        !number.is_empty() && number.chars().all(|it| it.is_ascii_digit()),
        "{text} is no duration"
    );
    match unit {
        Some('m') => Ok(format!("PT{number}M")),
        Some('h') => Ok(format!("PT{number}H")),
        Some('d') => Ok(format!("P{number}D")),
        _ => bail!("{text} is no duration"),
    }
}

/// The techniques without their sub-techniques, which the API does not accept.
fn techniques(relevant: &[String]) -> Vec<String> {
    let mut techniques: Vec<_> = relevant
        .iter()
        .map(|it| it.split('.').next().unwrap_or(it).to_owned())
        .collect();
    techniques.sort();
    techniques.dedup();
    techniques
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

    use serde_json::json;

    use super::*;

    const FILE: &str = "
id: 1
name: Auth0 - Leak
description: |
  Somebody did it.
severity: High
queryFrequency: 1h
queryPeriod: 14d
triggerOperator: gt
triggerThreshold: 0
tactics:
  - Impact
relevantTechniques:
  - T1110.004
  - T1078
  - T1110.003
query: |
  Auth0Events
  [1]
entityMappings:
  - entityType: IP
    fieldMappings:
      - identifier: Address
        columnName: Ip
customDetails:
  Count: Count
alertDetailsOverride:
  alertDisplayNameFormat: 'Auth0 - {{Count}}'
eventGroupingSettings:
  aggregationKind: AlertPerResult
incidentConfiguration:
  createIncident: true
  groupingConfiguration:
    enabled: true
    reopenClosedIncident: false
    lookbackDuration: 5h
    matchingMethod: AllEntities
version: 1.0.0
kind: Scheduled
";

    #[test]
    fn a_rule_is_said_in_the_words_of_the_api() {
        let rule = rule(FILE).unwrap();
        let expected = json!({
            "id": "1",
            "displayName": "Auth0 - Leak",
            "description": "Somebody did it.\n",
            "severity": "High",
            "queryFrequency": "PT1H",
            "queryPeriod": "P14D",
            "tactics": ["Impact"],
            "techniques": ["T1078", "T1110"],
            "entityMappings": [{"entityType": "IP",
                "fieldMappings": [{"columnName": "Ip", "identifier": "Address"}]}],
            "customDetails": {"Count": "Count"},
            "alertDetailsOverride": {"alertDisplayNameFormat": "Auth0 - {{Count}}"},
            "grouping": {"enabled": true, "reopenClosedIncident": false, "lookbackDuration": "PT5H",
                "matchingMethod": "AllEntities"},
            "query": ["Auth0Events", "[[1]"],
        });
        assert_eq!(serde_json::to_value(rule).unwrap(), expected);
    }

    #[test]
    fn a_rule_that_the_template_would_not_say_rightly_is_refused() {
        for (right, wrong) in [
            ("triggerThreshold: 0", "triggerThreshold: 5"),
            ("queryPeriod: 14d", "queryPeriod: 2w"),
            ("queryPeriod: 14d", "queryPeriod: d"),
            ("kind: Scheduled", "kind: NRT"),
        ] {
            assert!(FILE.contains(right));
            rule(&FILE.replace(right, wrong)).unwrap_err();
        }
        let long = FILE.replace("  Somebody did it.", &format!("  {}", "x".repeat(5_000)));
        let error = rule(&long).unwrap_err().to_string();
        assert_eq!(error, "5001 characters, where 5000 are allowed");
    }
}
