//! The template `azuredeploy.json`, and `createUiDefinition.json`, its form in the portal.
//!
//! Nothing here deploys them, and nothing works out what the Resource Manager would make of an
//! expression: each that matters is written down here, and one that is not fails.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use auth0_poller::settings::{
    AppSettings, DestinationSettings, NAMES, Purpose, Settings, SettingsError, StorageSettings,
};
use regex_lite::Regex;
use serde_json::{Value, json};

use self::strict::strict;
use crate::kql::{self, Kql};

mod form;
mod strict;

/// The blob service of the storage account, in the template's app settings.
pub const BLOB_SERVICE: &str = "[reference(resourceId('Microsoft.Storage/storageAccounts', \
    variables('storageName')), '2023-05-01').primaryEndpoints.blob]";
/// Application Insights' connection string.
pub const INSIGHTS: &str = "[reference(resourceId('Microsoft.Insights/components', \
    variables('siteName')), '2020-02-02').ConnectionString]";
/// The parameter `Domain`.
pub const DOMAIN: &str = "[parameters('Domain')]";
/// The parameter `ClientId`.
pub const CLIENT_ID: &str = "[parameters('ClientId')]";
/// The reference to the client secret, which the platform replaces by what it finds there.
pub const CLIENT_SECRET: &str = "[concat('@Microsoft.KeyVault(SecretUri=', reference(resourceId(\
    'Microsoft.KeyVault/vaults', variables('vaultName')), '2023-07-01').vaultUri, 'secrets/', \
    variables('clientSecretName'), '/)')]";
/// The parameter `Destinations`.
pub const DESTINATIONS: &str = "[parameters('Destinations')]";
/// The endpoint of the data collection rule, where there is one.
pub const DCR_ENDPOINT: &str = "[if(variables('usesRule'), reference(resourceId(\
    'Microsoft.Resources/deployments', concat(variables('siteName'), '-rule')), '2022-09-01')\
    .outputs.endpoint.value, '')]";
/// The rule's immutable id.
pub const DCR_IMMUTABLE_ID: &str = "[if(variables('usesRule'), reference(resourceId(\
    'Microsoft.Resources/deployments', concat(variables('siteName'), '-rule')), '2022-09-01')\
    .outputs.immutableId.value, '')]";
/// The parameter `AzureSentinelWorkspaceId`.
pub const WORKSPACE_ID: &str =
    "[if(variables('usesKey'), parameters('AzureSentinelWorkspaceId'), '')]";
/// The reference to the workspace's key.
pub const WORKSPACE_KEY: &str = "[if(variables('usesKey'), concat('@Microsoft.KeyVault(SecretUri=', \
    reference(resourceId('Microsoft.KeyVault/vaults', variables('vaultName')), '2023-07-01')\
    .vaultUri, 'secrets/', variables('sharedKeyName'), '/)'), '')]";
/// Where the workspace takes posts in the cloud that the template is deployed to.
pub const LOG_ANALYTICS: &str = "[if(variables('usesKey'), concat('https://', \
    parameters('AzureSentinelWorkspaceId'), '.', \
    variables('logAnalyticsSuffixes')[environment().name]), '')]";
/// The parameter `StartFrom`.
pub const START_FROM: &str = "[parameters('StartFrom')]";

/// What the expressions of the app settings are in some deployment with both destinations.
const VALUES: [(&str, &str); 12] = [
    (BLOB_SERVICE, "https://auth0abc.blob.core.windows.net/"),
    (
        INSIGHTS,
        "InstrumentationKey=01234567-89ab-cdef-0123-456789abcdef",
    ),
    (DOMAIN, "acme.eu.auth0.com"),
    (CLIENT_ID, "id"),
    (CLIENT_SECRET, "secret"),
    (DESTINATIONS, "log-analytics,logs-ingestion"),
    (
        DCR_ENDPOINT,
        "https://auth0-poller-abc-x1.westeurope-1.ingest.monitor.azure.com",
    ),
    (DCR_IMMUTABLE_ID, "dcr-0123456789abcdef0123456789abcdef"),
    (WORKSPACE_ID, "01234567-89ab-cdef-0123-456789abcdef"),
    (WORKSPACE_KEY, "a2V5"),
    (
        LOG_ANALYTICS,
        "https://01234567-89ab-cdef-0123-456789abcdef.ods.opinsights.azure.com",
    ),
    (START_FROM, "7d"),
];

/// The app settings that the Functions host reads, besides those that the program reads too.
const OF_THE_HOST: [&str; 2] = [
    "APPLICATIONINSIGHTS_CONNECTION_STRING",
    "AzureWebJobsStorage__credential",
];

/// What the platform adds for an app that has an identity.
const OF_THE_PLATFORM: [(&str, &str); 2] = [
    ("IDENTITY_ENDPOINT", "http://127.0.0.1:8081/msi/token"),
    ("IDENTITY_HEADER", "header"),
];

const SECRETS: [&str; 2] = ["AzureSentinelSharedKey", "ClientSecret"];

/// The app settings that the template makes, where its expressions have these values.
pub fn app_settings(values: &[(&str, &str)]) -> Vec<(String, String)> {
    let template = template();
    let mut unused: BTreeMap<_, _> = values.iter().copied().collect();
    let settings = resource(&template, "settings")["properties"].clone();
    let settings = settings.as_object().unwrap().iter();
    let settings = settings
        .map(|(name, value)| {
            let value = value.as_str().unwrap();
            let value = if value.starts_with('[') {
                unused
                    .remove(value)
                    .unwrap_or_else(|| panic!("{name} has the unknown expression {value}"))
            } else {
                value
            };
            (name.clone(), value.to_owned())
        })
        .collect();
    assert!(unused.is_empty(), "no app setting has {unused:?}");
    settings
}

fn read(values: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    let added = OF_THE_PLATFORM.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let settings: AppSettings = app_settings(values).into_iter().chain(added).collect();
    Settings::read(&settings, &Purpose::Host)
}

/// [`VALUES`] with another value of one expression.
fn with(expression: &str, value: &'static str) -> Vec<(&'static str, &'static str)> {
    let mut values = VALUES.to_vec();
    let place = values.iter_mut().find(|(key, _)| *key == expression);
    place.unwrap().1 = value;
    values
}

fn template() -> Value {
    parsed("azuredeploy.json")
}

/// The resources of the template: what they are called here, their names, and their ids as
/// `dependsOn` has them.
const RESOURCES: [(&str, &str, &str); 16] = [
    (
        "storage",
        "[variables('storageName')]",
        "[resourceId('Microsoft.Storage/storageAccounts', variables('storageName'))]",
    ),
    (
        "container",
        "[concat(variables('storageName'), '/default/', variables('packageContainer'))]",
        "[resourceId('Microsoft.Storage/storageAccounts/blobServices/containers', \
         variables('storageName'), 'default', variables('packageContainer'))]",
    ),
    (
        "vault",
        "[variables('vaultName')]",
        "[resourceId('Microsoft.KeyVault/vaults', variables('vaultName'))]",
    ),
    (
        "client secret",
        "[concat(variables('vaultName'), '/', variables('clientSecretName'))]",
        "[resourceId('Microsoft.KeyVault/vaults/secrets', variables('vaultName'), \
         variables('clientSecretName'))]",
    ),
    (
        "shared key",
        "[concat(variables('vaultName'), '/', variables('sharedKeyName'))]",
        "[resourceId('Microsoft.KeyVault/vaults/secrets', variables('vaultName'), \
         variables('sharedKeyName'))]",
    ),
    (
        "insights",
        "[variables('siteName')]",
        "[resourceId('Microsoft.Insights/components', variables('siteName'))]",
    ),
    (
        "plan",
        "[variables('siteName')]",
        "[resourceId('Microsoft.Web/serverfarms', variables('siteName'))]",
    ),
    (
        "site",
        "[variables('siteName')]",
        "[resourceId('Microsoft.Web/sites', variables('siteName'))]",
    ),
    (
        "no password for scm",
        "[concat(variables('siteName'), '/scm')]",
        "[resourceId('Microsoft.Web/sites/basicPublishingCredentialsPolicies', \
         variables('siteName'), 'scm')]",
    ),
    (
        "no password for ftp",
        "[concat(variables('siteName'), '/ftp')]",
        "[resourceId('Microsoft.Web/sites/basicPublishingCredentialsPolicies', \
         variables('siteName'), 'ftp')]",
    ),
    (
        "roles",
        "[concat(variables('siteName'), '-roles')]",
        "[resourceId('Microsoft.Resources/deployments', concat(variables('siteName'), '-roles'))]",
    ),
    (
        "workspace",
        "[concat(variables('siteName'), '-workspace')]",
        "[extensionResourceId(variables('workspaceGroup'), 'Microsoft.Resources/deployments', \
         concat(variables('siteName'), '-workspace'))]",
    ),
    (
        "rule",
        "[concat(variables('siteName'), '-rule')]",
        "[resourceId('Microsoft.Resources/deployments', concat(variables('siteName'), '-rule'))]",
    ),
    (
        "settings",
        "[concat(variables('siteName'), '/appsettings')]",
        "[resourceId('Microsoft.Web/sites/config', variables('siteName'), 'appsettings')]",
    ),
    (
        "package",
        "[concat(variables('siteName'), '/onedeploy')]",
        "[resourceId('Microsoft.Web/sites/extensions', variables('siteName'), 'onedeploy')]",
    ),
    (
        "parsers",
        "[concat(variables('siteName'), '-parsers')]",
        "[resourceId('Microsoft.Resources/deployments', concat(variables('siteName'), \
         '-parsers'))]",
    ),
];

fn resource<'a>(template: &'a Value, label: &str) -> &'a Value {
    let (_, name, id) = RESOURCES.iter().find(|(it, ..)| *it == label).unwrap();
    let mut found = template["resources"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|it| {
            it["name"] == *name && id.contains(&format!("'{}', ", it["type"].as_str().unwrap()))
        });
    let resource = found.next().unwrap_or_else(|| panic!("no {label}"));
    assert_eq!(found.next(), None);
    resource
}

/// What is deployed before a resource because a `dependsOn` says so.
fn before(template: &Value, label: &str) -> BTreeSet<&'static str> {
    let depends_on = &resource(template, label)["dependsOn"];
    let ids = depends_on.as_array().map_or(&[][..], Vec::as_slice);
    let mut before = BTreeSet::new();
    for id in ids {
        let (label, ..) = RESOURCES
            .iter()
            .find(|(.., it)| id == it)
            .unwrap_or_else(|| panic!("{label} waits for {id}, which there is not"));
        before.insert(*label);
        before.extend(self::before(template, label));
    }
    before
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
    object
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
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
        "PackageUri",
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
fn names_are_unique_and_not_too_long() {
    let template = template();
    let variables = &template["variables"];
    // Of 13 small letters and digits, and the same in the next deployment.
    assert_eq!(
        variables["unique"],
        "[uniqueString(resourceGroup().id, toLower(parameters('FunctionName')))]"
    );
    assert_eq!(
        variables["siteName"],
        "[concat(toLower(parameters('FunctionName')), '-', variables('unique'))]"
    );
    // The host tells apps apart by the first 32 characters, and a rule of the kind Direct, which has
    // the same name, takes 30.
    let longest = &template["parameters"]["FunctionName"]["maxLength"];
    assert_eq!(*longest, 30 - 1 - 13);
    let rule = &resource(&template, "rule")["properties"]["parameters"]["ruleName"];
    assert_eq!(rule["value"], "[variables('siteName')]");
    // At most 24 characters, a storage account's without hyphens.
    assert_eq!(
        variables["storageName"],
        "[concat('auth0', variables('unique'))]"
    );
    assert_eq!(
        variables["vaultName"],
        "[concat('auth0-', variables('unique'))]"
    );
}

#[test]
fn secrets_go_into_the_key_vault_and_nowhere_else() {
    let template = template();
    let is_secure = |it: &Value| it["type"].as_str().unwrap().starts_with("secure");
    let parameters = template["parameters"].as_object().unwrap();
    let secure = parameters.iter().filter(|(_, it)| is_secure(it));
    let secure: Vec<_> = secure.map(|(name, _)| name.as_str()).collect();
    assert_eq!(secure, SECRETS);

    // The Resource Manager does not tell capitals from small letters.
    let uses = |text: &str| {
        let text = text.to_lowercase().replace(' ', "");
        let name = |it: &str| format!("parameters('{}')", it.to_lowercase());
        SECRETS.iter().any(|it| text.contains(&name(it)))
    };
    let mut places = texts(&template);
    places.retain(|(_, text)| uses(text));
    let secret = |label, parameter| {
        let all = template["resources"].as_array().unwrap();
        let found = resource(&template, label);
        assert_eq!(found["type"], "Microsoft.KeyVault/vaults/secrets");
        let index = all.iter().position(|it| it == found).unwrap();
        (format!("/resources/{index}/properties/value"), parameter)
    };
    let mut expected = vec![
        secret("client secret", "[parameters('ClientSecret')]"),
        secret("shared key", "[parameters('AzureSentinelSharedKey')]"),
    ];
    expected.sort();
    places.sort();
    assert_eq!(places, expected);
    for name in SECRETS {
        assert_eq!(parameters[name].get("defaultValue"), None);
    }
}

#[test]
fn no_key_is_asked_for_and_no_output_tells_a_secret() {
    let template = template();
    let asks_for_keys = Regex::new(r"(?i)\blist\w*\(").unwrap();
    for (place, text) in texts(&template) {
        assert!(
            !(text.starts_with('[') && asks_for_keys.is_match(text)),
            "{place}: {text}"
        );
    }
    let outputs = template["outputs"].as_object().unwrap().iter();
    let outputs: Vec<_> = outputs
        .map(|(name, it)| (name.as_str(), it["value"].as_str().unwrap()))
        .collect();
    let principal = "[reference(resourceId('Microsoft.Web/sites', variables('siteName')), \
                     '2024-04-01', 'Full').identity.principalId]";
    assert_eq!(
        outputs,
        [
            ("functionAppName", "[variables('siteName')]"),
            ("functionAppPrincipalId", principal),
            ("keyVaultName", "[variables('vaultName')]"),
            ("storageAccountName", "[variables('storageName')]"),
        ]
    );
}

#[test]
fn the_program_accepts_the_app_settings() {
    for (name, _) in app_settings(&VALUES) {
        assert!(
            NAMES.contains(&&*name) || OF_THE_HOST.contains(&&*name),
            "nobody reads {name}"
        );
    }
    let settings = read(&VALUES).unwrap();
    assert_eq!(settings.tenant, "acme.eu.auth0.com");
    let StorageSettings::Azure(account) = &settings.storage else {
        panic!("{:?}", settings.storage);
    };
    assert_eq!(account.name, "auth0abc");
    // Where the references to Key Vault are not resolved, the program says so.
    for expression in [CLIENT_SECRET, WORKSPACE_KEY] {
        let reference = "@Microsoft.KeyVault(SecretUri=https://v.vault.azure.net/secrets/s/)";
        let error = read(&with(expression, reference)).unwrap_err().to_string();
        assert!(error.contains("Key Vault"), "{error}");
    }
}

#[test]
fn posts_go_to_the_workspace_in_each_cloud() {
    let expected = json!({
        "AzureCloud": "ods.opinsights.azure.com",
        "AzureUSGovernment": "ods.opinsights.azure.us",
        "AzureChinaCloud": "ods.opinsights.azure.cn",
    });
    assert_eq!(template()["variables"]["logAnalyticsSuffixes"], expected);
    for uri in [
        "https://01234567-89ab-cdef-0123-456789abcdef.ods.opinsights.azure.com",
        "https://01234567-89ab-cdef-0123-456789abcdef.ods.opinsights.azure.us",
        "https://01234567-89ab-cdef-0123-456789abcdef.ods.opinsights.azure.cn",
    ] {
        let settings = read(&with(LOG_ANALYTICS, uri)).unwrap();
        let [DestinationSettings::LogAnalytics { endpoint, .. }, _] = &settings.destinations[..]
        else {
            panic!("{:?}", settings.destinations);
        };
        assert_eq!(endpoint.as_str().trim_end_matches('/'), uri);
    }
}

#[test]
fn storage_and_key_vault_are_closed_to_all_but_identities() {
    let template = template();
    let storage = &resource(&template, "storage")["properties"];
    assert_eq!(storage["allowSharedKeyAccess"], false);
    assert_eq!(storage["allowBlobPublicAccess"], false);
    assert_eq!(storage["minimumTlsVersion"], "TLS1_2");
    assert_eq!(storage["supportsHttpsTrafficOnly"], true);
    let container = &resource(&template, "container")["properties"];
    assert_eq!(container["publicAccess"], "None");

    let vault = &resource(&template, "vault")["properties"];
    assert_eq!(vault["enableRbacAuthorization"], true);
    assert_eq!(vault["enableSoftDelete"], true);
    assert_eq!(vault["enablePurgeProtection"], true);

    let roles = &resource(&template, "roles")["properties"]["template"];
    let role = |id: &str| {
        let roles = "Microsoft.Authorization/roleDefinitions";
        format!("[subscriptionResourceId('{roles}', '{id}')]")
    };
    assert_eq!(
        roles["variables"],
        json!({
            "storageBlobDataOwner": role("b7e6dc6d-f1e8-4753-8033-0f276bb0955b"),
            "keyVaultSecretsUser": role("4633458b-17de-408a-b874-0445c86b69e6"),
        })
    );
    let assignments = roles["resources"].as_array().unwrap();
    let assignments: Vec<_> = assignments
        .iter()
        .map(|it| {
            assert_eq!(it["type"], "Microsoft.Authorization/roleAssignments");
            assert_eq!(it["properties"]["principalType"], "ServicePrincipal");
            assert_eq!(
                it["properties"]["principalId"],
                "[parameters('principalId')]"
            );
            // An assignment cannot take another principal, so another principal takes another one.
            let name = it["name"].as_str().unwrap();
            assert!(name.starts_with("[guid(") && name.contains("parameters('principalId')"));
            let role = it["properties"]["roleDefinitionId"].as_str().unwrap();
            (it["scope"].as_str().unwrap(), role)
        })
        .collect();
    assert_eq!(
        assignments,
        [
            (
                "[concat('Microsoft.Storage/storageAccounts/', parameters('storageName'))]",
                "[variables('storageBlobDataOwner')]"
            ),
            (
                "[concat('Microsoft.KeyVault/vaults/', parameters('vaultName'))]",
                "[variables('keyVaultSecretsUser')]"
            ),
        ]
    );
}

#[test]
fn the_function_app_is_one_of_flex_consumption() {
    let template = template();
    let plan = resource(&template, "plan");
    assert_eq!(
        plan["sku"],
        json!({"name": "FC1", "tier": "FlexConsumption"})
    );
    let site = resource(&template, "site");
    assert_eq!(site["kind"], "functionapp,linux");
    assert_eq!(site["identity"], json!({"type": "SystemAssigned"}));
    let site = &site["properties"];
    assert_eq!(site["httpsOnly"], true);
    // The plan refuses most of what other plans take here, `ftpsState` and `alwaysOn` among it.
    // App settings here and in the resource of their own would replace each other.
    assert_eq!(site["siteConfig"], json!({"minTlsVersion": "1.2"}));
    let config = &site["functionAppConfig"];
    assert_eq!(
        config["runtime"],
        json!({"name": "custom", "version": "1.0"})
    );
    assert_eq!(
        config["deployment"]["storage"]["authentication"],
        json!({"type": "SystemAssignedIdentity"})
    );
    let scale = &config["scaleAndConcurrency"];
    assert!(
        [512, 2048, 4096]
            .map(Value::from)
            .contains(&scale["instanceMemoryMB"])
    );
    assert!(scale["maximumInstanceCount"].as_u64() >= Some(40));
    for label in ["no password for scm", "no password for ftp"] {
        assert_eq!(resource(&template, label)["properties"]["allow"], false);
    }
    assert_eq!(
        resource(&template, "package")["condition"],
        "[not(empty(parameters('PackageUri')))]"
    );
    assert_eq!(
        resource(&template, "package")["properties"],
        json!({"packageUri": "[parameters('PackageUri')]", "remoteBuild": false})
    );
}

#[test]
fn things_are_there_before_they_are_needed() {
    let template = template();
    let count = template["resources"].as_array().unwrap().len();
    assert_eq!(count, RESOURCES.len());
    for (label, ..) in RESOURCES {
        assert!(!before(&template, label).contains(label));
    }
    // The identity, then its rights, then the settings that are read with them, then the program.
    let is_before = |first, second| before(&template, second).contains(first);
    for (first, second) in [
        ("storage", "container"),
        ("container", "site"),
        ("plan", "site"),
        ("vault", "client secret"),
        ("vault", "shared key"),
        ("storage", "roles"),
        ("vault", "roles"),
        ("site", "roles"),
        ("client secret", "settings"),
        ("shared key", "settings"),
        ("insights", "settings"),
        ("site", "rule"),
        ("workspace", "rule"),
        ("rule", "settings"),
        ("roles", "settings"),
        ("roles", "package"),
        ("settings", "package"),
    ] {
        assert!(
            is_before(first, second),
            "{second} does not wait for {first}"
        );
    }
    // Changes of one site, one after another.
    let changes = [
        "site",
        "no password for scm",
        "no password for ftp",
        "settings",
        "package",
    ];
    for pair in changes.windows(2) {
        assert!(is_before(pair[0], pair[1]), "{pair:?}");
    }
}

#[test]
fn the_workspace_gets_the_functions_of_the_parsers_files() {
    let template = template();
    let functions = template["variables"]["parsers"].as_array().unwrap();
    let files = kql::parsers();
    assert_eq!(functions.len(), files.len());
    for (function, file) in functions.iter().zip(files) {
        let name = function["name"].as_str().unwrap();
        assert_eq!(file.file_stem().unwrap(), name);
        let yaml = fs::read_to_string(file).unwrap();
        // In each file the query is the last thing.
        let (_, query) = yaml.split_once("Query: |\n").unwrap();
        let expected: Vec<_> = query
            .lines()
            .map(|it| it.strip_prefix("  ").unwrap_or(it))
            .collect();
        let lines = function["query"].as_array().unwrap();
        let lines: Vec<_> = lines.iter().map(|it| it.as_str().unwrap()).collect();
        assert_eq!(lines, expected, "{name}");
    }
    let parameters = functions
        .iter()
        .map(|it| it["parameters"].as_str().unwrap());
    assert_eq!(
        parameters.collect::<Vec<_>>(),
        [
            "disabled:bool=false, pack:bool=false",
            "",
            "starttime:datetime=datetime(null), endtime:datetime=datetime(null), \
             username_has_any:dynamic=dynamic([]), targetappname_has_any:dynamic=dynamic([]), \
             srcipaddr_has_any_prefix:dynamic=dynamic([]), \
             srchostname_has_any:dynamic=dynamic([]), eventtype_in:dynamic=dynamic([]), \
             eventresultdetails_in:dynamic=dynamic([]), eventresult:string='*', \
             disabled:bool=false, pack:bool=false",
        ]
    );

    let parsers = resource(&template, "parsers");
    assert_eq!(parsers["condition"], "[parameters('DeployParsers')]");
    assert_eq!(parsers["subscriptionId"], "[variables('workspace')[2]]");
    assert_eq!(parsers["resourceGroup"], "[variables('workspace')[4]]");
    let search = &parsers["properties"]["template"]["resources"][0];
    assert_eq!(
        search["type"],
        "Microsoft.OperationalInsights/workspaces/savedSearches"
    );
    // The service answers a second deployment with a conflict where this is missing.
    assert_eq!(search["properties"]["etag"], "*");
    assert_eq!(
        search["properties"]["query"],
        "[join(parameters('parsers')[copyIndex()].query, '\n')]"
    );
}

#[test]
fn each_destination_gets_what_it_needs_and_no_more() {
    let template = template();
    let variables = &template["variables"];
    assert_eq!(
        variables["usesKey"],
        "[contains(variables('destinations'), 'log-analytics')]"
    );
    assert_eq!(
        variables["usesRule"],
        "[contains(variables('destinations'), 'logs-ingestion')]"
    );
    let condition = |label| &resource(&template, label)["condition"];
    assert_eq!(condition("shared key"), "[variables('usesKey')]");
    assert_eq!(condition("workspace"), "[variables('usesRule')]");
    assert_eq!(condition("rule"), "[variables('usesRule')]");

    let without = |names: &[&str], destinations| {
        let mut settings: BTreeMap<_, _> = app_settings(&VALUES)
            .into_iter()
            .chain(OF_THE_PLATFORM.map(|(name, value)| (name.to_owned(), value.to_owned())))
            .collect();
        for name in names {
            settings.insert((*name).to_owned(), String::new());
        }
        settings.insert("DESTINATIONS".into(), String::from(destinations));
        Settings::read(&settings.into_iter().collect(), &Purpose::Host).unwrap()
    };
    let key = ["WorkspaceID", "WorkspaceKey", "logAnalyticsUri"];
    let settings = without(&key, "logs-ingestion");
    let [DestinationSettings::LogsIngestion { stream, .. }] = &settings.destinations[..] else {
        panic!("{:?}", settings.destinations);
    };
    assert_eq!(stream.name, "Custom-Auth0AM_CL");
    without(&["DCR_ENDPOINT", "DCR_IMMUTABLE_ID"], "log-analytics");
}

/// The Resource Manager works out the parameters of a deployment, too, whose condition is false.
#[test]
fn what_may_not_be_deployed_is_asked_only_behind_its_condition() {
    let template = template();
    let mut asked = 0;
    for (place, text) in texts(&template) {
        let mut references = text.split("reference(").skip(1);
        let is_asked = |it: &str| it.contains("'-workspace'") || it.contains("'-rule'");
        if text.starts_with('[') && references.any(is_asked) {
            asked += 1;
            assert!(
                text.starts_with("[if(variables('usesRule'), reference("),
                "{place}"
            );
        }
    }
    assert_eq!(asked, 3);
}

#[test]
fn the_rule_takes_what_is_sent_into_the_table_and_lets_the_app_publish() {
    let template = template();
    let workspace = resource(&template, "workspace");
    assert_eq!(workspace["subscriptionId"], "[variables('workspace')[2]]");
    assert_eq!(workspace["resourceGroup"], "[variables('workspace')[4]]");
    let parameters = &workspace["properties"]["parameters"];
    assert_eq!(
        parameters["columns"]["value"],
        "[variables('tableColumns')]"
    );
    let table = &workspace["properties"]["template"]["resources"][0];
    assert_eq!(
        table["name"],
        "[concat(parameters('workspaceName'), '/Auth0AM_CL')]"
    );
    assert_eq!(table["condition"], "[parameters('deployTable')]");
    assert_eq!(
        table["properties"]["schema"],
        json!({"name": "Auth0AM_CL", "columns": "[parameters('columns')]"})
    );

    let rule = &resource(&template, "rule")["properties"];
    let parameters = &rule["parameters"];
    assert_eq!(
        parameters["columns"]["value"],
        "[variables('streamColumns')]"
    );
    assert_eq!(parameters["transform"]["value"], "[variables('transform')]");
    assert_eq!(
        parameters["location"]["value"],
        "[if(variables('usesRule'), reference(extensionResourceId(variables('workspaceGroup'), \
         'Microsoft.Resources/deployments', concat(variables('siteName'), '-workspace')), \
         '2022-09-01').outputs.location.value, '')]"
    );
    let resources = rule["template"]["resources"].as_array().unwrap();
    let [rule, assignment] = &resources[..] else {
        panic!("{resources:?}");
    };
    assert_eq!(rule["kind"], "Direct");
    assert_eq!(
        rule["properties"]["streamDeclarations"],
        json!({"Custom-Auth0AM_CL": {"columns": "[parameters('columns')]"}})
    );
    assert_eq!(
        rule["properties"]["dataFlows"],
        json!([{
            "streams": ["Custom-Auth0AM_CL"],
            "destinations": ["workspace"],
            "transformKql": "[parameters('transform')]",
            "outputStream": "Custom-Auth0AM_CL",
        }])
    );
    assert_eq!(
        assignment["scope"],
        "[concat('Microsoft.Insights/dataCollectionRules/', parameters('ruleName'))]"
    );
    assert_eq!(
        resource(&template, "rule")["properties"]["template"]["variables"],
        json!({
            "monitoringMetricsPublisher": "[subscriptionResourceId('Microsoft.Authorization/\
             roleDefinitions', '3913510d-42f4-4e42-8a64-420c390055eb')]",
        })
    );
    let name = assignment["name"].as_str().unwrap();
    assert!(name.starts_with("[guid(") && name.contains("parameters('principalId')"));
}

/// By Microsoft's language service, and by our own interpreter.
#[test]
fn the_transformation_makes_rows_of_the_table_out_of_those_of_the_stream() {
    let template = template();
    let columns = |variable: &str| -> BTreeMap<String, String> {
        let columns = template["variables"][variable].as_array().unwrap().iter();
        let text = |it: &Value| it.as_str().unwrap().to_owned();
        columns
            .map(|it| (text(&it["name"]), text(&it["type"])))
            .collect()
    };
    let stream: serde_json::Map<_, _> = columns("streamColumns")
        .into_iter()
        .map(|(name, kind)| (name, kind.replace("boolean", "bool").into()))
        .collect();
    let guid = "01234567-89ab-cdef-0123-456789abcdef";
    let rows = [
        json!({"TimeGenerated": "2026-11-21T08:00:00Z", "type_s": "s", "isMobile_b": true}),
        json!({"type_s": "f", "details_request_auth_credentials_jti_g": guid}),
    ];
    let kql = Kql::over_stream(&stream, &rows);
    let transform = template["variables"]["transform"].as_str().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("transform.kql");
    fs::write(&file, transform).unwrap();
    assert_eq!(kql.problems(&[file]), "");

    let kept = columns("tableColumns");
    let result = kql.result(transform, "2026-11-21T09:00:00Z");
    let filled = |row: &serde_json::Map<String, Value>| -> Value {
        let fields = row.iter().filter(|(_, it)| !it.is_null() && *it != "");
        json!(fields.collect::<BTreeMap<_, _>>())
    };
    assert_eq!(
        result.iter().map(filled).collect::<Vec<_>>(),
        [
            rows[0].clone(),
            json!({
                "TimeGenerated": "2026-11-21T09:00:00Z", "type_s": "f",
                "details_request_auth_credentials_jti_g": guid,
            }),
        ]
    );
    let names: BTreeSet<_> = result[0].keys().cloned().collect();
    assert_eq!(names, kept.into_keys().collect());
}
