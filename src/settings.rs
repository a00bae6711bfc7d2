//! App settings, read and judged before anything else happens.
//!
//! The names are those of the connector that this program replaces, and a deployment that has them
//! works unchanged. Every problem is found at once and named in one message; no message quotes a
//! value, since any may be a secret in the wrong place.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use chrono::{DateTime, Utc};
use secrecy::{SecretSlice, SecretString};
use serde::Deserialize;
use url::Url;

use crate::auth0::Credentials;
use crate::http::{Proxy, is_loopback, is_secure};
use crate::identity::Principal;
use crate::poll::{Policy, StartFrom};
use crate::redact::Redaction;
use crate::source::Start;
use crate::storage::connection_string::{Account, Invalid};

/// The names of all settings. The platform sets those of the identity, people the rest.
pub const NAMES: [&str; 23] = [
    "DOMAIN",
    "CLIENT_ID",
    "CLIENT_SECRET",
    "AUDIENCE",
    "DESTINATIONS",
    "WorkspaceID",
    "WorkspaceKey",
    "logAnalyticsUri",
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
/// How a reference begins that the platform replaces by a secret.
const KEY_VAULT_REFERENCE: &str = "@Microsoft.KeyVault(";
/// Where Log Analytics workspaces take posts: public cloud, US Government, China.
const LOG_ANALYTICS_SUFFIXES: [&str; 3] = [
    ".ods.opinsights.azure.com",
    ".ods.opinsights.azure.us",
    ".ods.opinsights.azure.cn",
];
const DEFAULT_CHECKPOINT_DIR: &str = ".auth0-poller";
const DEFAULT_START_FROM: Duration = Duration::from_hours(1);
const DEFAULT_OVERLAP: Duration = Duration::from_mins(1);
const DEFAULT_RUN_BUDGET: Duration = Duration::from_mins(4);
/// Far beyond any retention; what is longer is a slip.
const LONGEST_DURATION: Duration = Duration::from_hours(24 * 3650);

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
                     that name and enabled and that the vault's firewall lets the app in, and \
                     restart the app (Function App, Environment variables, shows why it failed)",
                );
            }
        }
    }

    fn read(&mut self, purpose: &Purpose) -> Option<Settings> {
        let domain = self.required(
            "DOMAIN",
            "the tenant's host, such as acme.eu.auth0.com",
            parse_domain,
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
        let redaction = self.optional("REDACT", parse_redaction);
        let start_from = self.optional("START_FROM", parse_start_from);
        let overlap = self.optional("OVERLAP", parse_duration);
        let budget = self.optional("RUN_BUDGET", |text| match parse_duration(text)? {
            budget if budget < Duration::from_secs(1) => Err("must be at least 1s".into()),
            budget => Ok(budget),
        });

        let domain = domain?;
        let audience = self.get("AUDIENCE").map_or_else(
            || format!("https://{}/api/v2/", domain.host_str().unwrap_or_default()),
            str::to_owned,
        );
        Some(Settings {
            tenant: tenant_name(&domain),
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
                "stdout" if matches!(purpose, Purpose::Host) => self.problem(
                    setting,
                    "names stdout, which is for `auth0-poller poll`: under the Functions host it \
                     would write personal data to the function's log",
                ),
                "stdout" => Some(DestinationSettings::Stdout),
                _ => self.problem(
                    setting,
                    "names an unknown destination; known are log-analytics and stdout",
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
            |text| {
                is_guid(text)
                    .then(|| text.to_ascii_lowercase())
                    .ok_or_else(|| {
                        "is not a GUID such as 01234567-89ab-cdef-0123-456789abcdef".into()
                    })
            },
        );
        let key = self.required(
            "WorkspaceKey",
            "the primary or secondary key of the workspace, base64",
            |text| {
                base64::prelude::BASE64_STANDARD
                    .decode(text)
                    .map(SecretSlice::from)
                    .map_err(|_| "is not base64; copy the workspace's key whole".into())
            },
        );
        let endpoint = self.optional("logAnalyticsUri", parse_log_analytics_uri);
        let workspace_id = workspace_id?;
        let endpoint = match endpoint {
            Some(endpoint) => endpoint,
            None => parse_log_analytics_uri(&format!(
                "https://{workspace_id}{}",
                LOG_ANALYTICS_SUFFIXES[0]
            ))
            .ok()?,
        };
        Some(DestinationSettings::LogAnalytics {
            workspace_id,
            key: key?,
            endpoint,
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

/// A URL of a scheme and a host, and nothing behind it.
fn parse_origin(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let is_bare = matches!(url.path(), "" | "/")
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    (is_bare && url.has_host()).then_some(url)
}

fn parse_domain(text: &str) -> Result<Url, String> {
    let url = if text.contains("://") {
        parse_origin(text)
    } else {
        parse_origin(&format!("https://{text}"))
    };
    let url = url.ok_or("is neither a host such as acme.eu.auth0.com nor a URL of one")?;
    if is_secure(&url) {
        Ok(url)
    } else {
        Err("must be https (http only on loopback)".into())
    }
}

fn parse_log_analytics_uri(text: &str) -> Result<Url, String> {
    let is_workspace = |url: &Url| {
        let host = url.host_str().unwrap_or_default();
        is_secure(url)
            && (is_loopback(url)
                || LOG_ANALYTICS_SUFFIXES
                    .iter()
                    .any(|suffix| host.ends_with(suffix)))
    };
    parse_origin(text).filter(is_workspace).ok_or_else(|| {
        "must be https://<WorkspaceID>.ods.opinsights.azure.com, .azure.us or .azure.cn, or blank"
            .into()
    })
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .ok()
        .filter(|duration| *duration <= LONGEST_DURATION)
        .ok_or_else(|| "is not a duration such as 30s, 5m, 1h or 7d".into())
}

/// Reads a beginning: a duration back, an RFC 3339 time, or `oldest`.
pub fn parse_start_from(text: &str) -> Result<StartFrom, String> {
    if text.eq_ignore_ascii_case("oldest") {
        return Ok(StartFrom::Oldest);
    }
    if let Ok(duration) = parse_duration(text) {
        return Ok(StartFrom::Ago(duration));
    }
    DateTime::parse_from_rfc3339(text)
        .map(|time| time.with_timezone(&Utc))
        .ok()
        .filter(|time| Start::At(*time).is_usable())
        .map(StartFrom::At)
        .ok_or_else(|| {
            "is neither a duration such as 1h or 7d, nor a time such as 2026-11-21T08:00:00Z, \
             nor oldest"
                .into()
        })
}

fn parse_redaction(text: &str) -> Result<Redaction, String> {
    match text.to_ascii_lowercase().as_str() {
        "on" => Ok(Redaction::On),
        "off" => Ok(Redaction::Off),
        _ => Err("is neither on nor off".into()),
    }
}

fn is_guid(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12])
        && groups.concat().bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn tenant_name(domain: &Url) -> String {
    let host = domain.host_str().unwrap_or_default();
    let host = host.trim_matches(['[', ']']).replace(':', "_");
    match domain.port() {
        Some(port) => format!("{host}_{port}"),
        None => host,
    }
}

#[cfg(test)]
mod tests;
