//! The template `azuredeploy.json`, and `createUiDefinition.json`, its form in the portal.
//!
//! Nothing here deploys them. What the template makes is worked out, strictly, with the answers of
//! a test, and the tests say what must be there then.

use std::collections::BTreeSet;
use std::fs;

use regex_lite::Regex;
use serde_json::{Map, Value, json};

use self::expression::Result;
use self::resource_manager::{
    ACCOUNT, Azure, Deployed, LOCATION, Resource, TENANT, TOPIC, WORKSPACE,
};
use self::strict::strict;
use crate::kql;

mod alerts;
mod destinations;
mod elsewhere;
mod expression;
mod form;
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

/// Answers for all destinations, the two in the workspace among them.
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

/// What a template makes with these answers besides the usual ones.
fn deployed_of(template: &Value, azure: &Azure, changes: &[(&str, Value)]) -> Result<Deployed> {
    let mut answers = answers();
    let changes = changes.iter();
    answers.extend(changes.map(|(name, it)| ((*name).to_owned(), it.clone())));
    resource_manager::deploy(azure, template, &answers)
}

/// What the template makes with these answers besides the usual ones.
fn deployed(changes: &[(&str, Value)]) -> Deployed {
    deployed_of(&template(), &Azure::default(), changes).unwrap()
}

fn template() -> Value {
    parsed("azuredeploy.json")
}

/// A file of the project, if it is JSON in which no name comes twice.
fn parsed(name: &str) -> Value {
    let text = fs::read_to_string(kql::project().join(name)).unwrap();
    strict(&text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Every text in a value, with where it is.
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
    /// The storage account of checkpoints, dead letters and the host's state.
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
    // The host tells apps apart by the first 32 characters, and a rule of the kind Direct takes 30.
    assert!(is_valid(site, "^[a-z0-9][a-z0-9-]{1,29}$"), "{site}");
    assert!(site.starts_with("auth0-of-acme-16-"), "{site}");
    assert!([plan, component, rule].iter().all(|it| *it == site));

    // Another deployment under the same name finds all again, however the name is written.
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
    // The history of deployments shows the values of all others.
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
    // In the vault a name has no underline.
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

#[test]
fn storage_and_key_vault_are_closed_to_all_but_identities() {
    let deployed = deployed(&[]);
    for account in [deployed.state(), deployed.package()] {
        let storage = &account.body["properties"];
        assert_eq!(storage["allowSharedKeyAccess"], false);
        assert_eq!(storage["allowBlobPublicAccess"], false);
        assert_eq!(storage["minimumTlsVersion"], "TLS1_2");
        assert_eq!(storage["supportsHttpsTrafficOnly"], true);
        let container = deployed.container_of(account);
        assert_eq!(container.body["properties"]["publicAccess"], "None");
    }

    let vault = &deployed.one(VAULT).body["properties"];
    assert_eq!(vault["tenantId"], TENANT);
    assert_eq!(vault["enableRbacAuthorization"], true);
    assert_eq!(vault["enableSoftDelete"], true);
    assert_eq!(vault["enablePurgeProtection"], true);
}

/// What may be done, by whom, and with what.
fn rights(deployed: &Deployed) -> BTreeSet<(&str, &str, &str)> {
    let assignments = deployed.all(ASSIGNMENT).into_iter();
    assignments
        .map(|it| {
            let properties = &it.body["properties"];
            assert_eq!(properties["principalType"], "ServicePrincipal");
            let (scope, _) = it
                .id
                .split_once("/providers/Microsoft.Authorization/")
                .unwrap();
            let role = properties["roleDefinitionId"].as_str().unwrap();
            let principal = properties["principalId"].as_str().unwrap();
            (principal, role.rsplit_once('/').unwrap().1, scope)
        })
        .collect()
}

#[test]
fn the_app_may_use_its_storage_read_its_secrets_and_publish_and_no_more() {
    const BLOB_DATA_OWNER: &str = "b7e6dc6d-f1e8-4753-8033-0f276bb0955b";
    const BLOB_DATA_CONTRIBUTOR: &str = "ba92f5b4-2d11-453d-a403-e96b0029c9fe";
    const SECRETS_USER: &str = "4633458b-17de-408a-b874-0445c86b69e6";
    const METRICS_PUBLISHER: &str = "3913510d-42f4-4e42-8a64-420c390055eb";
    for (destinations, uses_rule) in [
        ("log-analytics", false),
        ("logs-ingestion", true),
        ("log-analytics,logs-ingestion", true),
    ] {
        let deployed = deployed(&[("Destinations", json!(destinations))]);
        let principal = Azure::default().principal;
        let mut expected = BTreeSet::from([
            // The host wants the whole account of its state.
            (principal, BLOB_DATA_OWNER, &*deployed.state().id),
            // The platform puts the package there as the app.
            (
                principal,
                BLOB_DATA_CONTRIBUTOR,
                &*deployed.container_of(deployed.package()).id,
            ),
            (principal, SECRETS_USER, &deployed.one(VAULT).id),
            (principal, METRICS_PUBLISHER, &deployed.one(COMPONENT).id),
        ]);
        if uses_rule {
            expected.insert((principal, METRICS_PUBLISHER, &deployed.one(RULE).id));
        }
        assert_eq!(rights(&deployed), expected, "{destinations}");
    }
}

/// A right to checkpoints and dead letters is none to replace the program.
#[test]
fn the_package_lies_where_nothing_else_does() {
    let deployed = deployed(&[]);
    let (state, package) = (deployed.state(), deployed.package());
    let settings = &deployed.one(SETTINGS).body["properties"];
    let host = settings["AzureWebJobsStorage__blobServiceUri"].as_str();
    assert_eq!(host, Some("https://auth0abc.blob.core.windows.net/"));
    let site = &deployed.one(SITE).body["properties"]["functionAppConfig"];
    let from = site["deployment"]["storage"]["value"].as_str();
    assert_eq!(
        from,
        Some("https://auth0pkgabc.blob.core.windows.net/package")
    );
    assert!(deployed.container_of(package).id.ends_with("/package"));
    // The one of checkpoints is there for a role to be given on it, and no wider.
    assert!(deployed.container_of(state).id.ends_with("/auth0-poller"));
    // Another deployment under the same name finds its checkpoints where they were.
    let unique = name(state).strip_prefix("auth0").unwrap();
    assert_eq!(name(package), format!("auth0pkg{unique}"));
    assert!(name(deployed.one(VAULT)).ends_with(unique));
}

#[test]
fn what_is_overwritten_or_deleted_can_be_had_again_for_a_week() {
    let deployed = deployed(&[]);
    for account in [deployed.state(), deployed.package()] {
        let within = |kind| {
            let found = deployed.all(kind).into_iter();
            let mut found = found.filter(|it| it.id.starts_with(&format!("{}/", account.id)));
            &found.next().unwrap().body["properties"]
        };
        let blobs = within(BLOBS);
        assert_eq!(blobs["isVersioningEnabled"], true);
        for policy in ["deleteRetentionPolicy", "containerDeleteRetentionPolicy"] {
            assert_eq!(blobs[policy], json!({"enabled": true, "days": 7}));
        }
        // What goes is versions. The host's blobs stay whatever their age.
        let rules = &within(LIFE)["policy"]["rules"];
        assert_eq!(rules.as_array().unwrap().len(), 1);
        assert_eq!(
            rules[0]["definition"]["actions"],
            json!({"version": {"delete": {"daysAfterCreationGreaterThan": 7}}})
        );
    }
}

#[test]
fn who_uses_storage_and_key_vault_is_logged_if_wanted() {
    assert_eq!(deployed(&[]).all(DIAGNOSTICS).len(), 0);
    let deployed = deployed(&[("DiagnosticLogs", json!(true))]);
    let mut logged = BTreeSet::new();
    for setting in deployed.all(DIAGNOSTICS) {
        let (of, _) = setting
            .id
            .split_once("/providers/Microsoft.Insights/")
            .unwrap();
        let properties = &setting.body["properties"];
        assert_eq!(properties["workspaceId"], WORKSPACE);
        for log in properties["logs"].as_array().unwrap() {
            assert_eq!(log["enabled"], true);
            logged.insert((of.to_owned(), log["category"].as_str().unwrap()));
        }
    }
    let mut expected = BTreeSet::from([(deployed.one(VAULT).id.clone(), "AuditEvent")]);
    for account in [deployed.state(), deployed.package()] {
        for category in ["StorageRead", "StorageWrite", "StorageDelete"] {
            expected.insert((format!("{}/blobServices/default", account.id), category));
        }
    }
    assert_eq!(logged, expected);
}

#[test]
fn the_data_collection_rule_logs_what_it_drops_if_wanted_and_if_there_is_one() {
    let wanted = ("RuleDiagnostics", json!(true));
    let by_key = [wanted.clone(), ("Destinations", json!("log-analytics"))];
    assert_eq!(deployed(&by_key).all(DIAGNOSTICS).len(), 0);
    let deployed = deployed(&[wanted, ("Destinations", json!("logs-ingestion"))]);
    let setting = deployed.one(DIAGNOSTICS);
    let of = format!("{}/providers/Microsoft.Insights/", deployed.one(RULE).id);
    assert!(setting.id.starts_with(&of), "{}", setting.id);
    let properties = &setting.body["properties"];
    assert_eq!(properties["workspaceId"], WORKSPACE);
    let logs = json!([{"category": "LogErrors", "enabled": true}]);
    let metrics = json!([{"category": "AllMetrics", "enabled": true}]);
    assert_eq!(
        (&properties["logs"], &properties["metrics"]),
        (&logs, &metrics)
    );
}

#[test]
fn an_app_that_was_made_again_gets_rights_of_its_own() {
    // An assignment cannot take another principal, so another principal takes another one.
    let ids = |principal| -> BTreeSet<_> {
        let azure = Azure {
            principal,
            ..Azure::default()
        };
        let deployed = deployed_of(&template(), &azure, &[]).unwrap();
        let assignments = deployed.all(ASSIGNMENT).into_iter();
        assignments.map(|it| it.id.clone()).collect()
    };
    let first = ids("44444444-4444-4444-4444-444444444444");
    assert_eq!(first, ids("44444444-4444-4444-4444-444444444444"));
    assert!(first.is_disjoint(&ids("55555555-5555-5555-5555-555555555555")));
}

#[test]
fn the_function_app_is_one_of_flex_consumption() {
    let deployed = deployed(&[]);
    let plan = deployed.one(PLAN);
    assert_eq!(
        plan.body["sku"],
        json!({"name": "FC1", "tier": "FlexConsumption"})
    );
    assert_eq!(plan.body["properties"]["reserved"], true);
    let site = &deployed.one(SITE).body;
    assert_eq!(site["kind"], "functionapp,linux");
    assert_eq!(site["identity"], json!({"type": "SystemAssigned"}));
    let site = &site["properties"];
    assert_eq!(site["serverFarmId"], *plan.id);
    assert_eq!(site["httpsOnly"], true);
    // The plan refuses most of what other plans take here, `alwaysOn` and, though scanners ask for
    // it, `ftpsState` among it: error 51021. FTP is closed by having no password, below.
    // App settings here and in the resource of their own would replace each other.
    assert_eq!(site["siteConfig"], json!({"minTlsVersion": "1.2"}));
    let config = &site["functionAppConfig"];
    assert_eq!(
        config["runtime"],
        json!({"name": "custom", "version": "1.0"})
    );
    assert_eq!(
        config["deployment"]["storage"],
        json!({
            "type": "blobContainer",
            "value": "https://auth0pkgabc.blob.core.windows.net/package",
            "authentication": {"type": "SystemAssignedIdentity"},
        })
    );
    let scale = &config["scaleAndConcurrency"];
    assert!(
        [512, 2048, 4096]
            .map(Value::from)
            .contains(&scale["instanceMemoryMB"])
    );
    assert!(scale["maximumInstanceCount"].as_u64() >= Some(40));

    let mut closed = BTreeSet::new();
    for policy in deployed.all(PASSWORDS) {
        assert_eq!(policy.body["properties"]["allow"], false);
        closed.insert(name(policy).rsplit_once('/').unwrap().1);
    }
    assert_eq!(closed, BTreeSet::from(["ftp", "scm"]));
}

#[test]
fn the_package_is_fetched_from_where_the_answer_says_if_anywhere() {
    let with_package = deployed(&[]);
    let package = with_package.one(PACKAGE);
    assert_eq!(name(package).rsplit_once('/').unwrap().1, "onedeploy");
    assert_eq!(
        package.body["properties"],
        json!({"packageUri": PACKAGE_URI, "remoteBuild": false})
    );
    // The address may hold a signature, and stands nowhere else.
    let elsewhere = with_package.resources.iter();
    let mut elsewhere = elsewhere.filter(|it| it.kind != PACKAGE);
    assert!(elsewhere.all(|it| !it.body.to_string().contains(PACKAGE_URI)));
    let outputs = json!(with_package.outputs).to_string();
    assert!(!outputs.contains(PACKAGE_URI));
    assert_eq!(deployed(&[("PackageUri", json!(""))]).all(PACKAGE).len(), 0);
}

#[test]
fn the_function_s_log_goes_to_the_workspace() {
    let deployed = deployed(&[]);
    let component = &deployed.one(COMPONENT).body["properties"];
    assert_eq!(component["WorkspaceResourceId"], WORKSPACE);
}

#[test]
fn only_the_app_writes_its_log_and_its_reports_are_all_there() {
    let deployed = deployed(&[]);
    let component = &deployed.one(COMPONENT).body["properties"];
    assert_eq!(component["DisableLocalAuth"], true);
    let settings = &deployed.one(SETTINGS).body["properties"];
    assert_eq!(
        settings["APPLICATIONINSIGHTS_AUTHENTICATION_STRING"],
        "Authorization=AAD"
    );
    // A line of the log is a trace, and reports are lines.
    let host = parsed("host.json");
    let sampling = &host["logging"]["applicationInsights"]["samplingSettings"];
    let excluded = sampling["excludedTypes"].as_str().unwrap().split(';');
    assert!(excluded.into_iter().any(|it| it == "Trace"), "{sampling}");
}

#[test]
fn what_has_a_place_is_in_the_group_s_region_or_another_if_wanted() {
    for (answers, location) in [
        (&[][..], LOCATION),
        (&[("Location", json!("uksouth"))], "uksouth"),
    ] {
        for resource in deployed(answers).resources {
            // A rule has to be where the workspace is.
            if resource.kind != RULE
                && let Some(it) = resource.body.get("location")
            {
                assert_eq!(it, location, "{}", resource.id);
            }
        }
    }
}

#[test]
fn things_are_there_before_they_are_needed() {
    let deployed = deployed(&[]);
    let one = |kind: &str, end: &str| {
        let mut found = deployed
            .all(kind)
            .into_iter()
            .filter(|it| it.id.ends_with(end));
        let first = found.next();
        assert_eq!(found.count(), 0, "{kind} {end}");
        first.unwrap_or_else(|| panic!("no {kind} {end}"))
    };
    let roles = one(DEPLOYMENT, "-roles");
    // The identity, then its rights, then the settings that are read with them, then the program.
    // What asks for the state of another waits for it, or nothing would have been deployed.
    for (first, second) in [
        (one(CONTAINER, "/package"), one(SITE, "")),
        (one(SECRET, "/ClientSecret"), one(SETTINGS, "")),
        (one(SECRET, "/AzureSentinelSharedKey"), one(SETTINGS, "")),
        (roles, one(SETTINGS, "")),
        (roles, one(PACKAGE, "")),
        (one(SETTINGS, ""), one(PACKAGE, "")),
    ] {
        let Resource { id, after, .. } = second;
        assert!(
            after.contains(&first.id),
            "{id} does not wait for {}",
            first.id
        );
    }
    // Two changes of one site at a time may end in a conflict.
    let site = &one(SITE, "").id;
    let changes = deployed
        .resources
        .iter()
        .filter(|it| it.id.starts_with(site));
    let changes: Vec<_> = changes.collect();
    assert_eq!(changes.len(), 5);
    for one in &changes {
        for other in &changes {
            let is_apart = one.after.contains(&other.id) || other.after.contains(&one.id);
            assert!(
                one.id == other.id || is_apart,
                "{} and {}",
                one.id,
                other.id
            );
        }
    }
}
