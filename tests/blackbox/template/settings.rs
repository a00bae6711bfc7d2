//! The app settings that the template makes, as the program reads them.

use std::collections::BTreeMap;

use auth0_poller::{judge_settings, setting_names};
use serde_json::{Value, json};

use super::resource_manager::{self, Azure, Deployed, INSIGHTS};
use super::{SECRET, SETTINGS, answers, deployed_of, template};

/// The app settings that only the Functions host reads.
const OF_THE_HOST: [&str; 4] = [
    "AzureWebJobs.Auth0Health.Disabled",
    "APPLICATIONINSIGHTS_AUTHENTICATION_STRING",
    "APPLICATIONINSIGHTS_CONNECTION_STRING",
    "AzureWebJobsStorage__credential",
];

/// What the platform adds for an app that has an identity.
const OF_THE_PLATFORM: [(&str, &str); 2] = [
    ("IDENTITY_ENDPOINT", "http://127.0.0.1:8081/msi/token"),
    ("IDENTITY_HEADER", "header"),
];

/// The app settings that the template makes, with their references to Key Vault resolved as by the
/// platform.
pub fn app_settings(azure: &Azure, answers: &[(&str, Value)]) -> BTreeMap<String, String> {
    // These take the most time, and do not affect the settings.
    let without = ["DeployParsers", "DeployRules", "DeployWorkbook"];
    let without = without.map(|it| (it, json!(false)));
    let answers = [&without, answers].concat();
    let deployed = deployed_of(&template(), azure, &answers).unwrap();
    let settings = unresolved(&deployed).into_iter();
    settings
        .map(|(name, value)| (name, resolved(&deployed, value)))
        .collect()
}

fn unresolved(deployed: &Deployed) -> BTreeMap<String, String> {
    let settings = deployed.one(SETTINGS).body["properties"].clone();
    serde_json::from_value(settings).unwrap()
}

fn resolved(deployed: &Deployed, value: String) -> String {
    let reference = value.strip_prefix("@Microsoft.KeyVault(SecretUri=https://");
    let Some(reference) = reference else {
        return value;
    };
    let (host, name) = reference.split_once("/secrets/").unwrap();
    let vault = host.split('.').next().unwrap();
    let name = name.strip_suffix("/)").unwrap();
    let id = format!("/{vault}/secrets/{name}");
    let secrets = deployed.all(SECRET).into_iter();
    let mut secrets = secrets.filter(|it| it.id.ends_with(&id));
    let secret = secrets.next().unwrap_or_else(|| panic!("no secret {id}"));
    secret.body["properties"]["value"].as_str().unwrap().into()
}

fn read_from(settings: BTreeMap<String, String>) -> Result<Vec<&'static str>, String> {
    let added = OF_THE_PLATFORM.map(|(name, value)| (name.to_owned(), value.to_owned()));
    judge_settings(settings.into_iter().chain(added))
}

/// The destinations that the program reads from the settings of a Function App with these answers.
pub fn read(answers: &[(&str, Value)]) -> Result<Vec<&'static str>, String> {
    read_from(app_settings(&Azure::default(), answers))
}

#[test]
fn the_program_accepts_the_app_settings() {
    let known = setting_names();
    for name in app_settings(&Azure::default(), &[]).into_keys() {
        assert!(
            known.contains(&&*name) || OF_THE_HOST.contains(&&*name),
            "nobody reads {name}"
        );
    }
    assert_eq!(read(&[]).unwrap(), ["log-analytics", "logs-ingestion"]);
}

#[test]
fn each_answer_is_in_the_setting_of_its_meaning() {
    let settings = app_settings(&Azure::default(), &[]);
    let expected = json!({
        "APPLICATIONINSIGHTS_AUTHENTICATION_STRING": "Authorization=AAD",
        "APPLICATIONINSIGHTS_CONNECTION_STRING": INSIGHTS,
        "AzureWebJobs.Auth0Health.Disabled": "true",
        "AzureWebJobsStorage__blobServiceUri": "https://auth0abc.blob.core.windows.net/",
        "AzureWebJobsStorage__credential": "managedidentity",
        "CLIENT_ID": "id",
        "CLIENT_SECRET": "the client's secret",
        "DCR_ENDPOINT": "https://auth0-poller-abc-x1.westeurope-1.ingest.monitor.azure.com",
        "DCR_IMMUTABLE_ID": "dcr-0123456789abcdef0123456789abcdef",
        "DESTINATIONS": "log-analytics,logs-ingestion",
        "DOMAIN": "acme.eu.auth0.com",
        "HEARTBEAT": "off",
        "PII": "email:pseudonym,ip:truncate",
        "PII_KEY": "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
        "START_FROM": "7d",
        "WorkspaceID": "01234567-89ab-cdef-0123-456789abcdef",
        "WorkspaceKey": "d29ya3NwYWNlJ3Mga2V5",
        "logAnalyticsUri": "https://01234567-89ab-cdef-0123-456789abcdef.ods.opinsights.azure.com",
    });
    assert_eq!(json!(settings), expected);
}

#[test]
fn the_health_page_is_off_unless_it_is_wanted() {
    let disabled = |answers: &[(&str, Value)]| {
        app_settings(&Azure::default(), answers)["AzureWebJobs.Auth0Health.Disabled"].clone()
    };
    assert_eq!(disabled(&[]), "true");
    assert_eq!(disabled(&[("HealthPage", json!(true))]), "false");
}

#[test]
fn a_heartbeat_is_sent_where_it_was_asked_for() {
    let answers = [("Heartbeat", json!(true))];
    let settings = app_settings(&Azure::default(), &answers);
    assert_eq!(settings["HEARTBEAT"], "on");
    assert!(read(&answers).is_ok());
}

#[test]
fn secrets_are_references_and_the_program_says_where_they_were_not_resolved() {
    let deployed = deployed_of(&template(), &Azure::default(), &[]).unwrap();
    for secret in ["CLIENT_SECRET", "PII_KEY", "WorkspaceKey"] {
        let mut settings = app_settings(&Azure::default(), &[]);
        settings.insert(secret.into(), unresolved(&deployed)[secret].clone());
        let error = read_from(settings).unwrap_err();
        assert!(
            error.contains(secret) && error.contains("Key Vault"),
            "{error}"
        );
    }
}

#[test]
fn posts_go_to_the_workspace_in_each_cloud() {
    for (cloud, host) in [
        ("AzureCloud", "ods.opinsights.azure.com"),
        ("AzureUSGovernment", "ods.opinsights.azure.us"),
        ("AzureChinaCloud", "ods.opinsights.azure.cn"),
    ] {
        let azure = Azure {
            cloud,
            ..Azure::default()
        };
        let settings = app_settings(&azure, &[]);
        let expected = format!("https://01234567-89ab-cdef-0123-456789abcdef.{host}");
        assert_eq!(settings["logAnalyticsUri"], expected);
        assert!(read_from(settings).is_ok(), "{cloud}");
    }
}

#[test]
fn the_settings_of_a_destination_that_was_not_chosen_are_blank() {
    let key = ["WorkspaceID", "WorkspaceKey", "logAnalyticsUri"];
    let rule = ["DCR_ENDPOINT", "DCR_IMMUTABLE_ID"];
    for (destinations, given, blank) in [
        ("logs-ingestion", &rule[..], &key[..]),
        ("log-analytics", &key, &rule),
        (
            "log-analytics,logs-ingestion",
            &[key.as_slice(), &rule].concat(),
            &[],
        ),
    ] {
        let answers = [("Destinations", json!(destinations))];
        let settings = app_settings(&Azure::default(), &answers);
        assert!(
            given.iter().all(|it| !settings[*it].is_empty()),
            "{settings:?}"
        );
        assert!(
            blank.iter().all(|it| settings[*it].is_empty()),
            "{settings:?}"
        );
        assert_eq!(read(&answers).unwrap().join(","), destinations);
    }
}

#[test]
fn the_key_of_pseudonyms_is_a_secret_where_one_is_given_or_asked_for() {
    let key = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
    let reference = Some("PiiKey");
    for (pii, key, is_stored, setting) in [
        ("", "", false, None),
        ("ip:mask", "", false, None),
        // The key of an earlier deployment is kept.
        ("ip:mask,email:pseudonym", "", false, reference),
        ("email:pseudonym", key, true, reference),
        // Pseudonyms for one destination only.
        ("", key, true, reference),
    ] {
        let answers = [("PII", json!(pii)), ("PII_KEY", json!(key))];
        let deployed = deployed_of(&template(), &Azure::default(), &answers).unwrap();
        let secrets = deployed.all(SECRET).into_iter();
        let stored = secrets.filter(|it| it.id.ends_with("/secrets/PiiKey"));
        assert_eq!(stored.count(), usize::from(is_stored), "{answers:?}");
        let settings = unresolved(&deployed);
        assert_eq!(settings["PII"], pii);
        let secret = settings["PII_KEY"].strip_suffix("/)");
        let secret = secret.and_then(|it| Some(it.rsplit_once("/secrets/")?.1));
        assert_eq!(secret, setting, "{answers:?}");
    }
}

#[test]
fn the_key_of_pseudonyms_that_only_an_added_setting_asks_for_stays_in_use() {
    for (policy, setting) in [("email:pseudonym", Some("PiiKey")), ("email:mask", None)] {
        // As in a second deployment, which leaves the key in the vault unchanged.
        let answers = [
            ("PII", json!("")),
            ("PII_KEY", json!("")),
            ("AdditionalSettings", json!({"PII_TINYBIRD": policy})),
        ];
        let deployed = deployed_of(&template(), &Azure::default(), &answers).unwrap();
        let settings = unresolved(&deployed);
        let secret = settings["PII_KEY"].strip_suffix("/)");
        let secret = secret.and_then(|it| Some(it.rsplit_once("/secrets/")?.1));
        assert_eq!(secret, setting, "{policy}");
    }
}

/// `docs/deploy.md` explains where the program's own defaults differ.
#[test]
fn without_answers_the_settings_are_those_that_the_page_on_deploying_says() {
    let mut answers = answers();
    for optional in [
        "Destinations",
        "AzureSentinelWorkspaceId",
        "StartFrom",
        "PII",
    ] {
        answers.remove(optional).unwrap();
    }
    let deployed = resource_manager::deploy(&Azure::default(), &template(), &answers).unwrap();
    let settings = unresolved(&deployed);
    assert_eq!(settings["DESTINATIONS"], "logs-ingestion");
    assert_eq!(settings["START_FROM"], "1h");
    for unset in ["AUDIENCE", "DCR_STREAM", "OVERLAP", "REDACT", "RUN_BUDGET"] {
        assert!(!settings.contains_key(unset), "{unset}");
    }
}
