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
use url::{Host, Url};

use crate::auth0::Credentials;
use crate::poll::{Policy, StartFrom};
use crate::storage::connection_string::{Account, Credential, Invalid};

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
#[derive(Clone, Debug, Default)]
pub struct AppSettings(HashMap<String, String>);

impl AppSettings {
    /// Adds the values of a `local.settings.json`, as the Functions tools use it on a laptop,
    /// where there is none of that name yet.
    pub fn or_local(mut self, json: &str) -> Result<Self, LocalSettingsError> {
        let file: LocalSettings = serde_json::from_str(json.trim_start_matches('\u{feff}'))?;
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
    #[serde(rename = "Values", default)]
    values: HashMap<String, String>,
}

/// `local.settings.json` is of no use.
#[derive(Debug, thiserror::Error)]
#[error(
    "local.settings.json is not of the form {{\"Values\": {{\"NAME\": \"value\"}}}} \
     (line {}, column {})", .0.line(), .0.column()
)]
pub struct LocalSettingsError(#[from] serde_json::Error);

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

impl Reader<'_> {
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
        let start_from = self.optional("START_FROM", parse_start_from);
        let overlap = self.optional("OVERLAP", parse_duration);
        let budget = self.optional("RUN_BUDGET", |text| match parse_duration(text)? {
            budget if budget < Duration::from_secs(1) => Err("must be at least 1s".into()),
            budget => Ok(budget),
        });

        let domain = domain?;
        let audience = self.settings.get("AUDIENCE").map_or_else(
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
        })
    }

    fn destinations(&mut self, purpose: &Purpose) -> Option<Vec<DestinationSettings>> {
        let setting = match purpose {
            Purpose::CommandLine {
                destination: Some(name),
            } => name,
            _ => self.settings.get("DESTINATIONS").unwrap_or("log-analytics"),
        };
        let mut names: Vec<&str> = Vec::new();
        for name in setting
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
                    "DESTINATIONS",
                    "names stdout, which is for `auth0-poller poll`: under the Functions host it \
                     would write personal data to the function's log",
                ),
                "stdout" => Some(DestinationSettings::Stdout),
                _ => self.problem(
                    "DESTINATIONS",
                    "names an unknown destination; known are log-analytics and stdout",
                ),
            })
            .collect();
        if destinations.is_empty() {
            return self.problem("DESTINATIONS", "names no destination");
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
        let identity = || Credential::ManagedIdentity {
            client_id: self.owned("AzureWebJobsStorage__clientId"),
            identity_endpoint: self.owned("IDENTITY_ENDPOINT"),
        };
        let (setting, account) = if let Some(text) = self.settings.get("AzureWebJobsStorage") {
            ("AzureWebJobsStorage", Account::from_connection_string(text))
        } else if let Some(uri) = self.settings.get("AzureWebJobsStorage__blobServiceUri") {
            (
                "AzureWebJobsStorage__blobServiceUri",
                Account::from_blob_service(uri, identity()),
            )
        } else if let Some(name) = self.settings.get("AzureWebJobsStorage__accountName") {
            (
                "AzureWebJobsStorage__accountName",
                Account::from_name(name, identity()),
            )
        } else {
            let folder = self.settings.get("CHECKPOINT_DIR");
            let folder = folder.unwrap_or(DEFAULT_CHECKPOINT_DIR);
            return Some(StorageSettings::Folder(folder.into()));
        };
        match account {
            Ok(account) => Some(StorageSettings::Azure(account)),
            Err(Invalid(problem)) => self.problem(setting, &format!("cannot be used: {problem}")),
        }
    }

    fn owned(&self, setting: &str) -> Option<String> {
        self.settings.get(setting).map(str::to_owned)
    }

    fn required<T>(
        &mut self,
        setting: &'static str,
        what: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        if self.settings.get(setting).is_none() {
            return self.problem(setting, &format!("is missing: {what}"));
        }
        self.optional(setting, parse)
    }

    fn optional<T>(
        &mut self,
        setting: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        match parse(self.settings.get(setting)?) {
            Ok(value) => Some(value),
            Err(problem) => self.problem(setting, &problem),
        }
    }

    fn problem<T>(&mut self, setting: &'static str, text: &str) -> Option<T> {
        let text = text.to_owned();
        self.problems.push(Problem { setting, text });
        None
    }
}

/// Whether a credential may be sent there: over TLS, or not leaving this machine.
#[must_use]
pub fn is_secure(url: &Url) -> bool {
    match url.scheme() {
        "https" => true,
        "http" => is_loopback(url),
        _ => false,
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(host)) => host == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
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
        .map(|time| StartFrom::At(time.with_timezone(&Utc)))
        .map_err(|_| {
            "is neither a duration such as 1h or 7d, nor a time such as 2026-11-21T08:00:00Z, \
             nor oldest"
                .into()
        })
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
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    const COMPLETE: [(&str, &str); 5] = [
        ("DOMAIN", "acme.eu.auth0.com"),
        ("CLIENT_ID", "id"),
        ("CLIENT_SECRET", "secret"),
        ("WorkspaceID", "01234567-89AB-cdef-0123-456789abcdef"),
        ("WorkspaceKey", "a2V5"),
    ];

    /// Complete settings, with these changes; a blank value unsets.
    fn read(changes: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        let settings: AppSettings = COMPLETE.iter().chain(changes).copied().collect();
        Settings::read(&settings, &Purpose::Host)
    }

    fn problem(name: &str, value: &str) -> String {
        read(&[(name, value)]).unwrap_err().to_string()
    }

    #[test]
    fn the_settings_of_the_reference_connector_are_enough() {
        let settings = read(&[("logAnalyticsUri", "")]).unwrap();
        assert_eq!(settings.domain.as_str(), "https://acme.eu.auth0.com/");
        assert_eq!(settings.tenant, "acme.eu.auth0.com");
        assert_eq!(
            settings.credentials.audience,
            "https://acme.eu.auth0.com/api/v2/"
        );
        let [DestinationSettings::LogAnalytics { endpoint, key, .. }] = &settings.destinations[..]
        else {
            panic!("{:?}", settings.destinations);
        };
        assert_eq!(
            endpoint.as_str(),
            "https://01234567-89ab-cdef-0123-456789abcdef.ods.opinsights.azure.com/"
        );
        assert_eq!(key.expose_secret(), b"key");
        assert!(matches!(&settings.storage, StorageSettings::Folder(path)
            if path.as_os_str() == ".auth0-poller"));
        let policy = settings.policy;
        assert_eq!(policy.start_from, StartFrom::Ago(Duration::from_hours(1)));
        assert_eq!(policy.overlap, Duration::from_mins(1));
        assert_eq!(policy.budget, Duration::from_mins(4));
    }

    #[test]
    fn a_domain_is_a_host_or_a_url_of_one() {
        for (text, url, tenant) in [
            (
                "https://acme.eu.auth0.com/",
                "https://acme.eu.auth0.com/",
                "acme.eu.auth0.com",
            ),
            (
                " login.acme.com ",
                "https://login.acme.com/",
                "login.acme.com",
            ),
            (
                "http://127.0.0.1:8080",
                "http://127.0.0.1:8080/",
                "127.0.0.1_8080",
            ),
            ("http://[::1]:8080", "http://[::1]:8080/", "__1_8080"),
        ] {
            let settings = read(&[("DOMAIN", text)]).unwrap();
            assert_eq!((settings.domain.as_str(), &*settings.tenant), (url, tenant));
        }
        for text in [
            "acme.eu.auth0.com/api/v2",
            "https://user:pw@acme",
            "https://",
            "a b",
            "ftp://",
        ] {
            assert!(
                problem("DOMAIN", text).contains("is neither a host"),
                "{text}"
            );
        }
        for text in ["http://acme.eu.auth0.com", "ftp://acme.eu.auth0.com"] {
            assert!(problem("DOMAIN", text).contains("must be https"), "{text}");
        }
    }

    #[test]
    fn posts_go_to_a_workspace_and_nowhere_else() {
        for host in [
            "https://x.ods.opinsights.azure.com",
            "https://x.ods.opinsights.azure.us",
            "https://x.ods.opinsights.azure.cn/",
            "http://localhost:9000",
        ] {
            assert!(read(&[("logAnalyticsUri", host)]).is_ok(), "{host}");
        }
        for host in [
            "http://x.ods.opinsights.azure.com",
            "https://x.ods.opinsights.azure.com.evil.example",
            "https://evil.example/.ods.opinsights.azure.com",
            "https://x.ods.opinsights.azure.com/api/logs",
            "https://evil.example",
        ] {
            assert!(
                problem("logAnalyticsUri", host).contains("must be https://"),
                "{host}"
            );
        }
    }

    #[test]
    fn a_beginning_is_a_duration_a_time_or_the_oldest_record() {
        let time = "2026-11-21T08:00:00Z".parse().unwrap();
        for (text, start) in [
            ("7d", StartFrom::Ago(Duration::from_hours(168))),
            ("2026-11-21T09:00:00+01:00", StartFrom::At(time)),
            ("Oldest", StartFrom::Oldest),
        ] {
            assert_eq!(
                read(&[("START_FROM", text)]).unwrap().policy.start_from,
                start
            );
        }
        for text in ["yesterday", "-1h", "100000y", "2026-11-21", "1"] {
            assert!(
                problem("START_FROM", text).contains("is neither a duration"),
                "{text}"
            );
        }
    }

    #[test]
    fn destinations_are_named_once_each_and_known() {
        let count = |text| read(&[("DESTINATIONS", text)]).unwrap().destinations.len();
        assert_eq!(count(" log-analytics, log-analytics,"), 1);
        assert!(problem("DESTINATIONS", "sentinel").contains("unknown destination"));
        assert!(problem("DESTINATIONS", ",").contains("names no destination"));
        assert!(problem("DESTINATIONS", "stdout").contains("personal data"));

        let settings: AppSettings = COMPLETE[..3].iter().copied().collect();
        let look = Purpose::CommandLine {
            destination: Some("stdout".into()),
        };
        assert!(
            Settings::read(&settings, &look).is_ok(),
            "needs no workspace"
        );
    }

    #[test]
    fn storage_is_named_by_what_the_functions_host_uses() {
        let identity = [
            ("AzureWebJobsStorage__accountName", "acme"),
            ("AzureWebJobsStorage__clientId", "c1"),
            ("IDENTITY_ENDPOINT", "http://localhost:8081/msi/token"),
        ];
        let StorageSettings::Azure(account) = read(&identity).unwrap().storage else {
            panic!("a folder");
        };
        assert_eq!(
            account.endpoint.as_str(),
            "https://acme.blob.core.windows.net/"
        );
        assert!(matches!(account.credential, Credential::ManagedIdentity {
            client_id: Some(id),
            identity_endpoint: Some(_),
        } if id == "c1"));
        assert_eq!(
            problem("AzureWebJobsStorage", "AccountName=acme"),
            "a setting needs attention: AzureWebJobsStorage cannot be used: it has neither \
             AccountKey nor SharedAccessSignature"
        );
    }

    #[test]
    fn no_message_quotes_a_value() {
        let secret = "hunter2-hunter2";
        for name in [
            "DOMAIN",
            "WorkspaceID",
            "WorkspaceKey",
            "logAnalyticsUri",
            "AzureWebJobsStorage",
            "AzureWebJobsStorage__blobServiceUri",
            "START_FROM",
            "OVERLAP",
            "RUN_BUDGET",
            "DESTINATIONS",
        ] {
            let value = format!("{secret} {secret}");
            assert!(!problem(name, &value).contains(secret), "{name}");
        }
        let debug = format!("{:?}", read(&[("CLIENT_SECRET", secret)]).unwrap());
        assert!(!debug.contains(secret));
    }
}
