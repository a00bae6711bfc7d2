//! What the value of a setting says. An error says what it should be, and never quotes it.

use std::time::Duration;

use base64::Engine as _;
use chrono::{DateTime, Utc};
use secrecy::SecretSlice;
use url::Url;

use crate::http::{is_loopback, is_secure};
use crate::poll::StartFrom;
use crate::redact::Redaction;
use crate::source::Start;

/// A cloud of Microsoft's, by the names that its services have there.
pub struct Cloud {
    /// How the hosts end at which workspaces take posts.
    workspace: &'static str,
    /// How the hosts of logs ingestion endpoints end.
    ingestion: &'static str,
    /// What a token for those is for.
    pub monitor: &'static str,
    /// Where Entra ID issues tokens.
    pub authority: &'static str,
}

const PUBLIC: Cloud = Cloud {
    workspace: ".ods.opinsights.azure.com",
    ingestion: ".ingest.monitor.azure.com",
    monitor: "https://monitor.azure.com",
    authority: "https://login.microsoftonline.com",
};
const CLOUDS: [Cloud; 3] = [
    PUBLIC,
    Cloud {
        workspace: ".ods.opinsights.azure.us",
        ingestion: ".ingest.monitor.azure.us",
        monitor: "https://monitor.azure.us",
        authority: "https://login.microsoftonline.us",
    },
    Cloud {
        workspace: ".ods.opinsights.azure.cn",
        ingestion: ".ingest.monitor.azure.cn",
        monitor: "https://monitor.azure.cn",
        authority: "https://login.chinacloudapi.cn",
    },
];
/// Far beyond any retention; what is longer is a slip.
pub const LONGEST_DURATION: Duration = Duration::from_hours(24 * 3650);

/// A URL of a scheme and a host, and nothing behind it.
fn origin(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let is_bare = matches!(url.path(), "" | "/")
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    (is_bare && url.has_host()).then_some(url)
}

/// The tenant's address.
pub fn domain(text: &str) -> Result<Url, String> {
    let url = if text.contains("://") {
        origin(text)
    } else {
        origin(&format!("https://{text}"))
    };
    let url = url.ok_or("is neither a host such as acme.eu.auth0.com nor a URL of one")?;
    if is_secure(&url) {
        Ok(url)
    } else {
        Err("must be https (http only on loopback)".into())
    }
}

/// Where a workspace of the public cloud takes posts.
pub fn public_workspace(id: &str) -> Result<Url, String> {
    log_analytics_uri(&format!("https://{id}{}", PUBLIC.workspace))
}

/// Where a workspace takes posts.
pub fn log_analytics_uri(text: &str) -> Result<Url, String> {
    let is_workspace = |url: &Url| {
        let host = url.host_str().unwrap_or_default();
        is_secure(url) && (is_loopback(url) || CLOUDS.iter().any(|it| host.ends_with(it.workspace)))
    };
    origin(text).filter(is_workspace).ok_or_else(|| {
        "must be https://<WorkspaceID>.ods.opinsights.azure.com, .azure.us or .azure.cn, or blank"
            .into()
    })
}

/// An endpoint that takes rows for a rule, and its cloud. This machine passes for the public one.
pub fn dcr_endpoint(text: &str) -> Result<(Url, &'static Cloud), String> {
    let cloud_of = |url: &Url| {
        let host = url.host_str().unwrap_or_default();
        let named = CLOUDS.iter().find(|it| host.ends_with(it.ingestion));
        named.or_else(|| is_loopback(url).then_some(&CLOUDS[0]))
    };
    let endpoint = origin(text).filter(is_secure);
    let known = endpoint.and_then(|url| cloud_of(&url).map(|cloud| (url, cloud)));
    known.ok_or_else(|| {
        "must be https://<name>.<region>.ingest.monitor.azure.com, .azure.us or .azure.cn".into()
    })
}

/// Where a cloud issues tokens.
pub fn authority(text: &str) -> Result<Url, String> {
    let is_known = |url: &Url| {
        let origin = url.as_str().trim_end_matches('/');
        is_loopback(url) || CLOUDS.iter().any(|it| it.authority == origin)
    };
    let url = origin(text).filter(is_secure).filter(is_known);
    url.ok_or_else(|| "must be https://login.microsoftonline.com or that of another cloud".into())
}

/// A duration.
pub fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .ok()
        .filter(|duration| *duration <= LONGEST_DURATION)
        .ok_or_else(|| "is not a duration such as 30s, 5m, 1h or 7d".into())
}

/// Reads a beginning: a duration back, an RFC 3339 time, or `oldest`.
pub fn start_from(text: &str) -> Result<StartFrom, String> {
    if text.eq_ignore_ascii_case("oldest") {
        return Ok(StartFrom::Oldest);
    }
    if let Ok(duration) = duration(text) {
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

/// Whether secrets are masked.
pub fn redaction(text: &str) -> Result<Redaction, String> {
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

/// The tenant's name in paths: its host, with its port where it has one of its own.
pub fn tenant_name(domain: &Url) -> String {
    let host = domain.host_str().unwrap_or_default();
    let host = host.trim_matches(['[', ']']).replace(':', "_");
    match domain.port() {
        Some(port) => format!("{host}_{port}"),
        None => host,
    }
}

/// The id of a workspace.
pub fn workspace_id(text: &str) -> Result<String, String> {
    is_guid(text)
        .then(|| text.to_ascii_lowercase())
        .ok_or_else(|| "is not a GUID such as 01234567-89ab-cdef-0123-456789abcdef".into())
}

/// The key of a workspace.
pub fn workspace_key(text: &str) -> Result<SecretSlice<u8>, String> {
    base64::prelude::BASE64_STANDARD
        .decode(text)
        .map(SecretSlice::from)
        .map_err(|_| "is not base64; copy the workspace's key whole".into())
}

/// The immutable id of a data collection rule.
pub fn dcr_immutable_id(text: &str) -> Result<String, String> {
    let digits = text.strip_prefix("dcr-").unwrap_or_default();
    let is_id = digits.len() == 32 && digits.bytes().all(|it| it.is_ascii_hexdigit());
    is_id
        .then(|| text.to_owned())
        .ok_or_else(|| "is not dcr- and 32 hexadecimal digits".into())
}

/// The name of a stream of such a rule.
pub fn dcr_stream(text: &str) -> Result<String, String> {
    let is_word = |it: char| it.is_ascii_alphanumeric() || matches!(it, '_' | '-');
    (text.starts_with("Custom-") && text.chars().all(is_word))
        .then(|| text.to_owned())
        .ok_or_else(|| "is not a stream's name such as Custom-Auth0AM_CL".into())
}

/// A tenant of Entra ID.
pub fn entra_tenant(text: &str) -> Result<String, String> {
    let is_of_tenant = |it: char| it.is_ascii_alphanumeric() || matches!(it, '-' | '.');
    text.chars()
        .all(is_of_tenant)
        .then(|| text.to_owned())
        .ok_or_else(|| "is neither a GUID nor a domain".into())
}

/// Time for a run.
pub fn run_budget(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        budget if budget < Duration::from_secs(1) => Err("must be at least 1s".into()),
        budget => Ok(budget),
    }
}
