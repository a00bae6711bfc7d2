//! The template `azuredeploy.json`, and `createUiDefinition.json`, its form in the portal.
//!
//! Nothing here deploys them. The tests evaluate the template strictly, with answers of their own,
//! and check what it would make.

use std::fs;

use regex_lite::Regex;
use serde_json::{Map, Value, json};

use self::expression::Result;
use self::resource_manager::{ACCOUNT, Azure, Deployed, Resource, TOPIC, WORKSPACE};
use self::strict::strict;
use crate::kql;

mod access;
mod alerts;
mod destinations;
mod elsewhere;
mod expression;
mod form;
mod function_app;
pub mod resource_manager;
mod settings;
mod strict;
mod validators;

pub use alerts::alert_queries;
pub use settings::app_settings;

const STORAGE: &str = "Microsoft.Storage/storageAccounts";
const BLOBS: &str = "Microsoft.Storage/storageAccounts/blobServices";
const LIFE: &str = "Microsoft.Storage/storageAccounts/managementPolicies";
const DIAGNOSTICS: &str = "Microsoft.Insights/diagnosticSettings";
const CONTAINER: &str = "Microsoft.Storage/storageAccounts/blobServices/containers";
const VAULT: &str = "Microsoft.KeyVault/vaults";
const SECRET: &str = "Microsoft.KeyVault/vaults/secrets";
const ALERT: &str = "Microsoft.Insights/scheduledQueryRules";
const COMPONENT: &str = "Microsoft.Insights/components";
const RULE: &str = "Microsoft.Insights/dataCollectionRules";
const PLAN: &str = "Microsoft.Web/serverfarms";
const SITE: &str = "Microsoft.Web/sites";
const PASSWORDS: &str = "Microsoft.Web/sites/basicPublishingCredentialsPolicies";
const SETTINGS: &str = "Microsoft.Web/sites/config";
const PACKAGE: &str = "Microsoft.Web/sites/extensions";
const ASSIGNMENT: &str = "Microsoft.Authorization/roleAssignments";
const TABLE: &str = "Microsoft.OperationalInsights/workspaces/tables";
const FUNCTION: &str = "Microsoft.OperationalInsights/workspaces/savedSearches";
const ANALYTIC_RULE: &str = "Microsoft.SecurityInsights/alertRules";
const WORKBOOK: &str = "Microsoft.Insights/workbooks";
const DEPLOYMENT: &str = "Microsoft.Resources/deployments";

const SECRETS: [&str; 5] = [
    "AwsSecretAccessKey",
    "AzureSentinelSharedKey",
    "ClientSecret",
    "PII_KEY",
    "TinybirdToken",
];

const PACKAGE_URI: &str = "https://example.com/auth0-poller.zip?sig=c2lnbmF0dXJl";

/// Answers for both destinations in the workspace.
fn answers() -> Map<String, Value> {
    let answers = json!({
        "Domain": "acme.eu.auth0.com",
        "ClientId": "id",
        "ClientSecret": "the client's secret",
        "Destinations": "log-analytics,logs-ingestion",
        "AzureSentinelWorkspaceId": "01234567-89ab-cdef-0123-456789abcdef",
        "AzureSentinelSharedKey": "d29ya3NwYWNlJ3Mga2V5",
        "WorkspaceResourceId": WORKSPACE,
        "StartFrom": "7d",
        "PII": "email:pseudonym,ip:truncate",
        "PII_KEY": "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
        "PackageUri": PACKAGE_URI,
        "AwsSecretAccessKey": "",
        "TinybirdToken": "",
    });
    answers.as_object().unwrap().clone()
}

/// Answers for all destinations, including the two in the workspace.
fn elsewhere() -> Vec<(&'static str, Value)> {
    vec![
        (
            "Destinations",
            json!("log-analytics, logs-ingestion,event-grid,event-bridge,tinybird,archive"),
        ),
        ("EventGridTopicResourceId", json!(TOPIC)),
        ("EventBridgeBus", json!("auth0")),
        ("AwsRegion", json!("eu-west-1")),
        ("AwsAccessKeyId", json!("AKIAIOSFODNN7EXAMPLE")),
        (
            "AwsSecretAccessKey",
            json!("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
        ),
        ("TinybirdHost", json!("https://api.tinybird.co")),
        ("TinybirdToken", json!("p.eyJ1IjogImEifQ.c2ln")),
        (
            "ArchiveUrl",
            json!("https://acmelogs.blob.core.windows.net/auth0/logs"),
        ),
        ("ArchiveStorageAccountResourceId", json!(ACCOUNT)),
    ]
}

/// What a template makes with the usual answers and these changes.
fn deployed_of(template: &Value, azure: &Azure, changes: &[(&str, Value)]) -> Result<Deployed> {
    let mut answers = answers();
    let changes = changes.iter();
    answers.extend(changes.map(|(name, it)| ((*name).to_owned(), it.clone())));
    resource_manager::deploy(azure, template, &answers)
}

/// What the template makes with the usual answers and these changes.
fn deployed(changes: &[(&str, Value)]) -> Deployed {
    deployed_of(&template(), &Azure::default(), changes).unwrap()
}

fn template() -> Value {
    parsed("azuredeploy.json")
}

/// A file of the project, parsed as JSON in which no name comes twice.
fn parsed(name: &str) -> Value {
    let text = fs::read_to_string(kql::project().join(name)).unwrap();
    strict(&text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Every text in a value, with its place.
fn texts(value: &Value) -> Vec<(String, &str)> {
    fn add<'a>(value: &'a Value, place: &str, texts: &mut Vec<(String, &'a str)>) {
        match value {
            Value::String(text) => texts.push((place.to_owned(), text)),
            Value::Array(values) => {
                for (index, value) in values.iter().enumerate() {
                    add(value, &format!("{place}/{index}"), texts);
                }
            }
            Value::Object(fields) => {
                for (name, value) in fields {
                    texts.push((format!("{place}/{name}"), name));
                    add(value, &format!("{place}/{name}"), texts);
                }
            }
            _ => {}
        }
    }
    let mut texts = Vec::new();
    add(value, "", &mut texts);
    texts
}

fn names(object: &Value) -> Vec<&str> {
    let fields = object.as_object().unwrap();
    fields.keys().map(String::as_str).collect()
}

fn name(resource: &Resource) -> &str {
    resource.body["name"].as_str().unwrap()
}

impl Deployed {
    /// The storage account for checkpoints, dead letters and the host's state.
    fn state(&self) -> &Resource {
        self.account(false)
    }

    /// The storage account of the package.
    fn package(&self) -> &Resource {
        self.account(true)
    }

    fn account(&self, is_of_package: bool) -> &Resource {
        let accounts = self.all(STORAGE);
        assert_eq!(accounts.len(), 2);
        let is_it = |it: &&&Resource| name(it).starts_with("auth0pkg") == is_of_package;
        accounts.iter().find(is_it).unwrap()
    }

    /// The only container of an account.
    fn container_of(&self, account: &Resource) -> &Resource {
        let containers = self.all(CONTAINER).into_iter();
        let mut containers = containers.filter(|it| it.id.starts_with(&format!("{}/", account.id)));
        let first = containers.next().unwrap();
        assert_eq!(containers.count(), 0);
        first
    }
}

#[test]
fn both_files_are_json_without_comments_and_without_a_name_that_comes_twice() {
    template();
    parsed("createUiDefinition.json");

    assert_eq!(
        strict(r#"{"a": [1, true]}"#).unwrap(),
        json!({"a": [1, true]})
    );
    let error = strict(r#"{"a": {"b": 1, "b": 2}}"#).unwrap_err();
    assert!(error.to_string().starts_with("b comes twice"), "{error}");
    strict("{} // here").unwrap_err();
}

#[test]
fn every_parameter_is_described_and_those_asked_for_are_there() {
    let template = template();
    let parameters = template["parameters"].as_object().unwrap();
    for name in [
        "FunctionName",
        "Domain",
        "ClientId",
        "ClientSecret",
        "AzureSentinelWorkspaceId",
        "AzureSentinelSharedKey",
        "WorkspaceResourceId",
        "StartFrom",
        "PII",
        "PII_KEY",
        "PackageUri",
        "HealthPage",
        "Heartbeat",
        "DiagnosticLogs",
        "RuleDiagnostics",
        "Alerts",
        "AlertActionGroup",
        "Destinations",
        "AdditionalSettings",
    ] {
        assert!(parameters.contains_key(name), "{name}");
    }
    for (name, parameter) in parameters {
        let description = parameter["metadata"]["description"].as_str();
        let is_a_sentence = |it: &str| it.len() > 30 && it.ends_with('.');
        assert!(description.is_some_and(is_a_sentence), "{name}");
    }
}

#[test]
fn no_answer_is_taken_that_cannot_be_meant() {
    for (name, bad) in [
        ("FunctionName", json!("")),
        ("FunctionName", json!("0123456789abcdefg")),
        ("Domain", json!("")),
        ("ClientId", json!("")),
        ("ClientSecret", json!("")),
        ("Destinations", json!("")),
        ("AdditionalSettings", json!("OVERLAP=2m")),
        ("WorkspaceResourceId", json!("")),
        ("StartFrom", json!("")),
        ("DeployTable", json!("yes")),
        ("HealthPage", json!("yes")),
        ("DiagnosticLogs", json!("yes")),
        ("RuleDiagnostics", json!("yes")),
        ("Heartbeat", json!("yes")),
        ("Alerts", json!("yes")),
    ] {
        let result = deployed_of(&template(), &Azure::default(), &[(name, bad.clone())]);
        let error = result
            .err()
            .unwrap_or_else(|| panic!("{name} may be {bad}"));
        assert_eq!(error, format!("{name} cannot be {bad}"));
    }
}

#[test]
fn names_are_unique_and_not_too_long() {
    let longest = "Auth0-Of-Acme-16";
    let names_of = |azure: &Azure, function: &str| {
        let deployed = deployed_of(&template(), azure, &[("FunctionName", json!(function))]);
        let deployed = deployed.unwrap();
        let others = [VAULT, SITE, PLAN, COMPONENT, RULE].map(|it| deployed.one(it));
        let accounts = [deployed.state(), deployed.package()];
        let all = accounts.iter().chain(&others);
        let all: Vec<_> = all.map(|it| name(it).to_owned()).collect();
        <[String; 7]>::try_from(all).unwrap()
    };
    let names = names_of(&Azure::default(), longest);
    let [state, package, vault, site, plan, component, rule] = &names;
    let is_valid = |name: &str, pattern: &str| Regex::new(pattern).unwrap().is_match(name);
    for storage in [state, package] {
        assert!(is_valid(storage, "^[a-z0-9]{3,24}$"), "{storage}");
    }
    assert!(
        is_valid(vault, "^[a-z](-?[a-z0-9]){2,23}$") && vault.len() <= 24,
        "{vault}"
    );
    // The host tells apps apart by their first 32 characters, and a rule of kind Direct takes 30.
    assert!(is_valid(site, "^[a-z0-9][a-z0-9-]{1,29}$"), "{site}");
    assert!(site.starts_with("auth0-of-acme-16-"), "{site}");
    assert!([plan, component, rule].iter().all(|it| *it == site));

    // Another deployment under the same name finds everything again, however the name is written.
    assert_eq!(names_of(&Azure::default(), "auth0-of-acme-16"), names);
    let elsewhere = Azure {
        group: (Azure::default().group.0, "auth0-logs-2"),
        ..Azure::default()
    };
    for others in [
        names_of(&Azure::default(), "Auth0-Of-Acme-17"),
        names_of(&elsewhere, longest),
    ] {
        assert!(names.iter().zip(&others).all(|(one, other)| one != other));
    }
}

#[test]
fn secrets_go_into_the_key_vault_and_nowhere_else() {
    let template = template();
    let is_secure = |it: &Value| it["type"].as_str().unwrap().starts_with("secure");
    let parameters = template["parameters"].as_object().unwrap();
    let secure = parameters.iter().filter(|(_, it)| is_secure(it));
    let secure: Vec<_> = secure.map(|(name, _)| name.as_str()).collect();
    // The history of deployments shows the values of all other parameters.
    assert_eq!(
        secure,
        [
            "AwsSecretAccessKey",
            "AzureSentinelSharedKey",
            "ClientSecret",
            "PII_KEY",
            "PackageUri",
            "TinybirdToken",
        ]
    );
    for name in secure {
        assert_eq!(parameters[name].get("defaultValue"), None);
    }

    let values = SECRETS.map(|it| format!("what is secret of {it}"));
    let mut answers = elsewhere();
    answers.extend(
        SECRETS
            .iter()
            .zip(&values)
            .map(|(name, it)| (*name, json!(it))),
    );
    let deployed = deployed(&answers);
    let holds = |text: &str| values.iter().any(|it| text.contains(it));
    let mut kept = Vec::new();
    for resource in &deployed.resources {
        for (place, text) in texts(&resource.body) {
            if holds(text) {
                let name = name(resource).split_once('/').map(|(_, it)| it);
                kept.push((&*resource.kind, name.unwrap(), place, text.to_owned()));
            }
        }
    }
    kept.sort_by_key(|(_, name, ..)| *name);
    // Names in the vault have no underscore.
    let names = SECRETS.map(|it| if it == "PII_KEY" { "PiiKey" } else { it });
    let expected = names.into_iter().zip(values.clone());
    let expected: Vec<_> = expected
        .map(|(name, it)| (SECRET, name, "/properties/value".to_owned(), it))
        .collect();
    assert_eq!(kept, expected);
    for (name, output) in &deployed.outputs {
        assert!(!holds(&output.to_string()), "{name}");
    }
}

#[test]
fn no_key_is_asked_for_and_the_outputs_are_names() {
    let template = template();
    let asks_for_keys = Regex::new(r"(?i)\blist\w*\(").unwrap();
    for (place, text) in texts(&template) {
        assert!(
            !(text.starts_with('[') && asks_for_keys.is_match(text)),
            "{place}: {text}"
        );
    }
    let deployed = deployed(&[]);
    let name_of = |kind| name(deployed.one(kind));
    assert_eq!(
        json!(deployed.outputs),
        json!({
            "functionAppName": name_of(SITE),
            "functionAppPrincipalId": "44444444-4444-4444-4444-444444444444",
            "keyVaultName": name_of(VAULT),
            "storageAccountName": name(deployed.state()),
        })
    );
}
