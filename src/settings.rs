//! App settings, read and judged before anything else happens.
//!
//! The names are those of the connector that this program replaces, and a deployment that has them
//! works unchanged. Every problem is found at once and named in one message; no message quotes a
//! value, since any may be a secret in the wrong place.

mod parse;

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::{SecretSlice, SecretString};
use serde::Deserialize;
use url::Url;

pub use self::parse::start_from as parse_start_from;
use crate::auth0::Credentials;
use crate::destination::logs_ingestion::Stream;
use crate::http::Proxy;
use crate::identity::Principal;
use crate::poll::{Policy, StartFrom};
use crate::redact::Redaction;
use crate::storage::connection_string::{Account, Invalid};

/// The names of all settings. The platform sets those of the identity, people the rest.
pub const NAMES: [&str; 30] = [
    "DOMAIN",
    "CLIENT_ID",
    "CLIENT_SECRET",
    "AUDIENCE",
    "DESTINATIONS",
    "WorkspaceID",
    "WorkspaceKey",
    "logAnalyticsUri",
    "DCR_ENDPOINT",
    "DCR_IMMUTABLE_ID",
    "DCR_STREAM",
    "AZURE_TENANT_ID",
    "AZURE_CLIENT_ID",
    "AZURE_CLIENT_SECRET",
    "AZURE_AUTHORITY_HOST",
    "AzureWebJobsStorage",
    "AzureWebJobsStorage__accountName",
    "AzureWebJobsStorage__blobServiceUri",
    "AzureWebJobsStorage__clientId",
    "IDENTITY_ENDPOINT",
    "IDENTITY_HEADER",
    "CHECKPOINT_DIR",
    "START_FROM",
    "OVERLAP",
    "RUN_BUDGET",
    "REDACT",
    "HTTPS_PROXY",
    "https_proxy",
    "NO_PROXY",
    "no_proxy",
];
const DEFAULT_STREAM: &str = "Custom-Auth0AM_CL";
/// How a reference begins that the platform replaces by a secret.
const KEY_VAULT_REFERENCE: &str = "@Microsoft.KeyVault(";
const DEFAULT_CHECKPOINT_DIR: &str = ".auth0-poller";
const DEFAULT_START_FROM: Duration = Duration::from_hours(1);
const DEFAULT_OVERLAP: Duration = Duration::from_mins(1);
const DEFAULT_RUN_BUDGET: Duration = Duration::from_mins(4);

/// Names and values, as the platform or a file provides them.
#[derive(Clone, Default)]
pub struct AppSettings(HashMap<String, String>);

impl AppSettings {
    /// Adds the values of a `local.settings.json`, as the Functions tools use it on a laptop,
    /// where there is none of that name yet.
    pub fn or_local(mut self, json: &str) -> Result<Self, LocalSettingsError> {
        let file: LocalSettings = serde_json::from_str(json.trim_start_matches('\u{feff}'))?;
        if file.is_encrypted {
            return Err(LocalSettingsError::Encrypted);
        }
        for (name, value) in file.values {
            if self.get(&name).is_none() {
                self.0.insert(name, value);
            }
        }
        Ok(self)
    }

    /// A setting's value without white space around it. A blank setting is an unset one.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        Some(self.0.get(name)?.trim()).filter(|value| !value.is_empty())
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for AppSettings {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(settings: I) -> Self {
        let settings = settings.into_iter();
        Self(settings.map(|(n, v)| (n.into(), v.into())).collect())
    }
}

#[derive(Deserialize)]
struct LocalSettings {
    #[serde(rename = "Values")]
    values: HashMap<String, String>,
    #[serde(rename = "IsEncrypted", default)]
    is_encrypted: bool,
}

/// Why `local.settings.json` is of no use.
#[derive(Debug, thiserror::Error)]
pub enum LocalSettingsError {
    /// It is not what the Functions tools write.
    #[error(
        "local.settings.json is not of the form {{\"Values\": {{\"NAME\": \"value\"}}}} \
         (line {}, column {})", .0.line(), .0.column()
    )]
    Form(#[from] serde_json::Error),
    /// Only the Functions tools can read it.
    #[error("local.settings.json is encrypted; `func settings decrypt` makes it readable")]
    Encrypted,
}

/// Who asks for settings, which decides what they may be.
#[derive(Clone, Debug)]
pub enum Purpose {
    /// The Functions host, whose log takes whatever is written to standard output.
    Host,
    /// A person at a terminal, who may name one destination instead of the configured ones.
    CommandLine {
        /// That destination's name.
        destination: Option<String>,
    },
}

/// Everything that a run needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `DOMAIN` as a URL without a path.
    pub domain: Url,
    /// The tenant's name in paths: its host, with its port where it has one of its own.
    pub tenant: String,
    /// `CLIENT_ID`, `CLIENT_SECRET`, `AUDIENCE`.
    pub credentials: Credentials,
    /// `DESTINATIONS` and what each of them needs.
    pub destinations: Vec<DestinationSettings>,
    /// `AzureWebJobsStorage…` or `CHECKPOINT_DIR`.
    pub storage: StorageSettings,
    /// `START_FROM`, `OVERLAP`, `RUN_BUDGET`.
    pub policy: Policy,
    /// `REDACT`
    pub redaction: Redaction,
    /// `HTTPS_PROXY`, `NO_PROXY`, in capitals or not.
    pub proxy: Option<Proxy>,
}

/// A destination and its settings.
#[derive(Clone, Debug)]
pub enum DestinationSettings {
    /// `log-analytics`
    LogAnalytics {
        /// `WorkspaceID`
        workspace_id: String,
        /// `WorkspaceKey`, decoded.
        key: SecretSlice<u8>,
        /// `logAnalyticsUri`
        endpoint: Url,
    },
    /// `logs-ingestion`
    LogsIngestion {
        /// `DCR_ENDPOINT`, `DCR_IMMUTABLE_ID`, `DCR_STREAM`
        stream: Stream,
        /// What tokens are for: the service, by its name in the cloud of the endpoint.
        resource: &'static str,
        /// The managed identity, or `AZURE_TENANT_ID`, `AZURE_CLIENT_ID` and
        /// `AZURE_CLIENT_SECRET`.
        principal: Principal,
    },
    /// `stdout`
    Stdout,
}

/// Where checkpoints are kept.
#[derive(Clone, Debug)]
pub enum StorageSettings {
    /// In a storage account.
    Azure(Account),
    /// In a folder.
    Folder(PathBuf),
}

/// A setting that is missing or cannot be used.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Problem {
    setting: &'static str,
    text: String,
}

/// All that is wrong with the settings.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SettingsError(Vec<Problem>);

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let problems: Vec<_> = self.lines().collect();
        match &problems[..] {
            [one] => write!(f, "a setting needs attention: {one}"),
            many => write!(
                f,
                "{} settings need attention: {}",
                many.len(),
                many.join("; ")
            ),
        }
    }
}

impl std::error::Error for SettingsError {}

impl SettingsError {
    /// Each problem by itself, the setting's name first.
    pub fn lines(&self) -> impl Iterator<Item = String> + '_ {
        self.0
            .iter()
            .map(|problem| format!("{} {}", problem.setting, problem.text))
    }
}

impl Settings {
    /// Reads the settings, or tells all that is wrong with them.
    pub fn read(settings: &AppSettings, purpose: &Purpose) -> Result<Self, SettingsError> {
        let mut reader = Reader {
            settings,
            problems: Vec::new(),
        };
        reader.find_unresolved();
        let read = reader.read(purpose);
        match (read, reader.problems) {
            (Some(read), problems) if problems.is_empty() => Ok(read),
            (_, problems) => Err(SettingsError(problems)),
        }
    }
}

/// Reads setting after setting and collects what is wrong. A `None` stands for a problem noted.
struct Reader<'a> {
    settings: &'a AppSettings,
    problems: Vec<Problem>,
}

impl<'a> Reader<'a> {
    /// A setting's value.
    fn get(&self, setting: &str) -> Option<&'a str> {
        debug_assert!(NAMES.contains(&setting), "{setting} is not among the names");
        self.settings.get(setting)
    }

    /// Finds the values that the platform was to take from a Key Vault, and could not: it then
    /// hands out the reference itself.
    fn find_unresolved(&mut self) {
        for setting in NAMES {
            let value = self.get(setting);
            if value.is_some_and(|value| value.starts_with(KEY_VAULT_REFERENCE)) {
                self.problem::<()>(
                    setting,
                    "is a Key Vault reference that was not resolved: give the app's identity the \
                     role Key Vault Secrets User on the vault, see that the secret is there under \
                     that name and enabled and that the vault's firewall lets the app in (Function \
                     App, Environment variables, shows why it failed); then let the platform \
                     fetch it again and restart the app (docs/operate.md, Keys)",
                );
            }
        }
    }

    fn read(&mut self, purpose: &Purpose) -> Option<Settings> {
        let domain = self.required(
            "DOMAIN",
            "the tenant's host, such as acme.eu.auth0.com",
            parse::domain,
        );
        let client_id = self.required(
            "CLIENT_ID",
            "the client id of the Auth0 machine-to-machine application",
            |text| Ok(text.to_owned()),
        );
        let client_secret = self.required(
            "CLIENT_SECRET",
            "the client secret of that application",
            |text| Ok(SecretString::from(text)),
        );
        let destinations = self.destinations(purpose);
        let storage = self.storage();
        let proxy = self.proxy();
        let redaction = self.optional("REDACT", parse::redaction);
        let start_from = self.optional("START_FROM", parse::start_from);
        let overlap = self.optional("OVERLAP", parse::duration);
        let budget = self.optional("RUN_BUDGET", parse::run_budget);

        let domain = domain?;
        let audience = self.get("AUDIENCE").map_or_else(
            || format!("https://{}/api/v2/", domain.host_str().unwrap_or_default()),
            str::to_owned,
        );
        Some(Settings {
            tenant: parse::tenant_name(&domain),
            domain,
            credentials: Credentials {
                client_id: client_id?,
                client_secret: client_secret?,
                audience,
            },
            destinations: destinations?,
            storage: storage?,
            policy: Policy {
                start_from: start_from.unwrap_or(StartFrom::Ago(DEFAULT_START_FROM)),
                overlap: overlap.unwrap_or(DEFAULT_OVERLAP),
                budget: budget.unwrap_or(DEFAULT_RUN_BUDGET),
            },
            redaction: redaction.unwrap_or(Redaction::On),
            proxy,
        })
    }

    fn proxy(&mut self) -> Option<Proxy> {
        let either = |name: &str, other: &str| self.get(name).or(self.get(other));
        let proxy = either("HTTPS_PROXY", "https_proxy")?;
        match Proxy::new(proxy, either("NO_PROXY", "no_proxy")) {
            Ok(proxy) => Some(proxy),
            Err(_) => self.problem("HTTPS_PROXY", "is not the URL of a proxy"),
        }
    }

    fn destinations(&mut self, purpose: &Purpose) -> Option<Vec<DestinationSettings>> {
        let (setting, list) = match purpose {
            Purpose::CommandLine {
                destination: Some(name),
            } => ("--destination", name.as_str()),
            _ => {
                let list = self.get("DESTINATIONS");
                ("DESTINATIONS", list.unwrap_or("log-analytics"))
            }
        };
        let mut names: Vec<&str> = Vec::new();
        for name in list
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty())
        {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let destinations: Vec<_> = names
            .into_iter()
            .map(|name| match name {
                "log-analytics" => self.log_analytics(),
                "logs-ingestion" => self.logs_ingestion(),
                "stdout" if matches!(purpose, Purpose::Host) => self.problem(
                    setting,
                    "names stdout, which is for `auth0-poller poll`: under the Functions host it \
                     would write personal data to the function's log",
                ),
                "stdout" => Some(DestinationSettings::Stdout),
                _ => self.problem(
                    setting,
                    "names an unknown destination; known are log-analytics, logs-ingestion and \
                     stdout",
                ),
            })
            .collect();
        if destinations.is_empty() {
            return self.problem(setting, "names no destination");
        }
        destinations.into_iter().collect()
    }

    fn log_analytics(&mut self) -> Option<DestinationSettings> {
        let workspace_id = self.required(
            "WorkspaceID",
            "the workspace id of the Log Analytics workspace, a GUID",
            parse::workspace_id,
        );
        let key = self.required(
            "WorkspaceKey",
            "the primary or secondary key of the workspace, base64",
            parse::workspace_key,
        );
        let endpoint = self.optional("logAnalyticsUri", parse::log_analytics_uri);
        let workspace_id = workspace_id?;
        let endpoint = match endpoint {
            Some(endpoint) => endpoint,
            None => parse::public_workspace(&workspace_id).ok()?,
        };
        Some(DestinationSettings::LogAnalytics {
            workspace_id,
            key: key?,
            endpoint,
        })
    }

    fn logs_ingestion(&mut self) -> Option<DestinationSettings> {
        let endpoint = self.required(
            "DCR_ENDPOINT",
            "the logs ingestion endpoint of the data collection rule",
            parse::dcr_endpoint,
        );
        let rule = self.required(
            "DCR_IMMUTABLE_ID",
            "the immutable id of the data collection rule",
            parse::dcr_immutable_id,
        );
        let name = self.optional("DCR_STREAM", parse::dcr_stream);
        let (endpoint, cloud) = endpoint?;
        let principal = self.principal("DCR_ENDPOINT", cloud)?;
        Some(DestinationSettings::LogsIngestion {
            stream: Stream {
                endpoint,
                rule: rule?,
                name: name.unwrap_or_else(|| DEFAULT_STREAM.into()),
            },
            resource: cloud.monitor,
            principal,
        })
    }

    /// Who this program is to Azure: an application where its secret is set, else the managed
    /// identity, which `setting` needs.
    fn principal(&mut self, setting: &'static str, cloud: &parse::Cloud) -> Option<Principal> {
        let Some(client_secret) = self.get("AZURE_CLIENT_SECRET") else {
            let client_id = self.owned("AZURE_CLIENT_ID");
            return self.managed_identity(setting, client_id);
        };
        let tenant = self.required(
            "AZURE_TENANT_ID",
            "the tenant of Entra ID in which the application is registered",
            parse::entra_tenant,
        );
        let client_id = self.required("AZURE_CLIENT_ID", "the application's id", |text| {
            Ok(text.to_owned())
        });
        let authority = self.optional("AZURE_AUTHORITY_HOST", parse::authority);
        Some(Principal::Application {
            authority: authority.or_else(|| Url::parse(cloud.authority).ok())?,
            tenant: tenant?,
            client_id: client_id?,
            client_secret: client_secret.into(),
        })
    }

    fn storage(&mut self) -> Option<StorageSettings> {
        let named = [
            "AzureWebJobsStorage__blobServiceUri",
            "AzureWebJobsStorage__accountName",
        ]
        .into_iter()
        .find_map(|setting| Some((setting, self.get(setting)?)));
        let (setting, account) = if let Some(text) = self.get("AzureWebJobsStorage") {
            ("AzureWebJobsStorage", Account::from_connection_string(text))
        } else if let Some((setting, text)) = named {
            let client_id = self.owned("AzureWebJobsStorage__clientId");
            let identity = self.managed_identity(setting, client_id)?;
            let account = if setting.ends_with("Uri") {
                Account::from_blob_service(text, identity)
            } else {
                Account::from_name(text, identity)
            };
            (setting, account)
        } else {
            let folder = self.get("CHECKPOINT_DIR");
            let folder = folder.unwrap_or(DEFAULT_CHECKPOINT_DIR);
            return Some(StorageSettings::Folder(folder.into()));
        };
        match account {
            Ok(account) => Some(StorageSettings::Azure(account)),
            Err(Invalid(problem)) => self.problem(setting, &format!("cannot be used: {problem}")),
        }
    }

    /// The managed identity, which `setting` needs.
    fn managed_identity(
        &mut self,
        setting: &'static str,
        client_id: Option<String>,
    ) -> Option<Principal> {
        let endpoint = self.get("IDENTITY_ENDPOINT");
        let endpoint = endpoint.and_then(|it| Url::parse(it).ok());
        let (Some(endpoint), Some(header)) = (endpoint, self.get("IDENTITY_HEADER")) else {
            return self.problem(
                setting,
                "needs a managed identity, and there is none here: in Azure turn the Function \
                 App's system-assigned identity on and restart the app; elsewhere use other \
                 settings",
            );
        };
        Some(Principal::Managed {
            endpoint,
            header: header.into(),
            client_id,
        })
    }

    fn owned(&self, setting: &str) -> Option<String> {
        self.get(setting).map(str::to_owned)
    }

    fn required<T>(
        &mut self,
        setting: &'static str,
        what: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        if self.get(setting).is_none() {
            return self.problem(setting, &format!("is missing: {what}"));
        }
        self.optional(setting, parse)
    }

    fn optional<T>(
        &mut self,
        setting: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        match parse(self.get(setting)?) {
            Ok(value) => Some(value),
            Err(problem) => self.problem(setting, &problem),
        }
    }

    /// Notes what is wrong with a setting, unless something was noted before: one is enough.
    fn problem<T>(&mut self, setting: &'static str, text: &str) -> Option<T> {
        if !self.problems.iter().any(|it| it.setting == setting) {
            let text = text.to_owned();
            self.problems.push(Problem { setting, text });
        }
        None
    }
}

#[cfg(test)]
mod tests;
