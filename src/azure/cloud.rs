//! Microsoft's clouds, and the host names of its services in each.

use url::Url;

use crate::net::http::{is_loopback, is_secure};
use crate::settings::values::{guid, origin};

/// One of Microsoft's clouds: the names that its services have there.
pub(crate) struct Cloud {
    /// The suffix of the hosts at which workspaces take posts.
    workspace: &'static str,
    /// The suffix of the hosts of logs ingestion endpoints.
    ingestion: &'static str,
    /// The suffix of the hosts of blob services.
    blobs: &'static str,
    /// The suffix of the hosts of Event Grid topics.
    event_grid: &'static str,
    /// The resource of a token for logs ingestion.
    pub monitor: &'static str,
    /// Where Entra ID issues tokens.
    pub authority: &'static str,
    /// Where workspaces are queried, which is also the resource of a token for queries.
    pub query: &'static str,
}

/// The public cloud, which is the default.
pub(crate) const PUBLIC: Cloud = Cloud {
    workspace: ".ods.opinsights.azure.com",
    ingestion: ".ingest.monitor.azure.com",
    blobs: ".blob.core.windows.net",
    event_grid: ".eventgrid.azure.net",
    monitor: "https://monitor.azure.com",
    authority: "https://login.microsoftonline.com",
    query: "https://api.loganalytics.io",
};
/// A newer name of the authority of China's cloud.
const NEWER_AUTHORITY: &str = "https://login.partner.microsoftonline.cn";
/// A newer address for queries in [`PUBLIC`], which takes the same tokens.
const NEWER_QUERY: &str = "https://api.loganalytics.azure.com";
const CLOUDS: [Cloud; 3] = [
    PUBLIC,
    Cloud {
        workspace: ".ods.opinsights.azure.us",
        ingestion: ".ingest.monitor.azure.us",
        blobs: ".blob.core.usgovcloudapi.net",
        event_grid: ".eventgrid.azure.us",
        monitor: "https://monitor.azure.us",
        authority: "https://login.microsoftonline.us",
        query: "https://api.loganalytics.us",
    },
    Cloud {
        workspace: ".ods.opinsights.azure.cn",
        ingestion: ".ingest.monitor.azure.cn",
        blobs: ".blob.core.chinacloudapi.cn",
        event_grid: ".eventgrid.azure.cn",
        monitor: "https://monitor.azure.cn",
        authority: "https://login.chinacloudapi.cn",
        query: "https://api.loganalytics.azure.cn",
    },
];

/// Where a workspace of the public cloud takes posts.
pub(crate) fn public_workspace(id: &str) -> Result<Url, String> {
    log_analytics_uri(&format!("https://{id}{}", PUBLIC.workspace))
}

/// Where a workspace takes posts, given an address in its cloud. If that address begins with the id of
/// another workspace, such as the one that is set for all tenants, only its cloud is used.
pub(crate) fn workspace_beside(address: Url, id: &str) -> Url {
    let host = address.host_str().unwrap_or_default();
    let own = match host.split_once('.') {
        Some((other, cloud)) if guid(other).is_ok() => format!("{id}.{cloud}"),
        _ => return address,
    };
    let mut beside = address.clone();
    match beside.set_host(Some(&own)) {
        Ok(()) => beside,
        Err(_) => address,
    }
}

/// One of the names that a cloud has.
type Name = fn(&Cloud) -> &'static str;

/// The cloud whose suffix ends the host of a URL.
fn named(url: &Url, suffix: Name) -> Option<&'static Cloud> {
    let host = url.host_str().unwrap_or_default();
    CLOUDS.iter().find(|it| host.ends_with(suffix(it)))
}

/// Like [`named`]. This machine counts as in the public cloud.
fn named_or_here(url: &Url, suffix: Name) -> Option<&'static Cloud> {
    named(url, suffix).or_else(|| is_loopback(url).then_some(&CLOUDS[0]))
}

/// The origin that a text is: one of a cloud's names, a newer one, or on this machine.
fn known_origin(text: &str, name: Name, newer: &str) -> Option<Url> {
    let is_known = |url: &Url| {
        let origin = url.as_str().trim_end_matches('/');
        let is_of_cloud = CLOUDS.iter().any(|it| name(it) == origin);
        is_loopback(url) || is_of_cloud || origin == newer
    };
    origin(text).filter(is_secure).filter(is_known)
}

/// The cloud of a workspace, by where it takes posts. This machine passes for the public one.
pub(crate) fn of_workspace(url: &Url) -> &'static Cloud {
    named(url, |it| it.workspace).unwrap_or(&CLOUDS[0])
}

/// Where workspaces are queried: the address of a cloud, the newer one of the public cloud, or this
/// machine.
pub(crate) fn query_uri(text: &str) -> Result<Url, String> {
    let url = known_origin(text, |it| it.query, NEWER_QUERY);
    url.ok_or_else(|| "must be https://api.loganalytics.io, .us or .azure.cn, or blank".into())
}

/// Where a workspace takes posts.
pub(crate) fn log_analytics_uri(text: &str) -> Result<Url, String> {
    let is_workspace = |url: &Url| named_or_here(url, |it| it.workspace).is_some();
    let url = origin(text).filter(is_secure).filter(is_workspace);
    url.ok_or_else(|| {
        "must be https://<WorkspaceID>.ods.opinsights.azure.com, .azure.us or .azure.cn, or blank"
            .into()
    })
}

/// An endpoint that takes rows for a data collection rule, and its cloud. This machine counts as in
/// the public cloud.
pub(crate) fn dcr_endpoint(text: &str) -> Result<(Url, &'static Cloud), String> {
    let endpoint = origin(text).filter(is_secure);
    let cloud_of = |url: &Url| named_or_here(url, |it| it.ingestion);
    let known = endpoint.and_then(|url| cloud_of(&url).map(|cloud| (url, cloud)));
    known.ok_or_else(|| {
        "must be https://<name>.<region>.ingest.monitor.azure.com, .azure.us or .azure.cn".into()
    })
}

/// The cloud of a topic of Event Grid, by its address. This machine counts as in the public cloud.
pub(crate) fn event_grid(url: &Url) -> Option<&'static Cloud> {
    let is_plain =
        url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    let cloud = named_or_here(url, |it| it.event_grid)?;
    (is_secure(url) && is_plain).then_some(cloud)
}

/// Whether a URL is that of a storage account's blob service.
pub(crate) fn is_blob_service(url: &Url) -> bool {
    named(url, |it| it.blobs).is_some()
}

/// The cloud of a blob service. An unknown host counts as in the public cloud.
pub(crate) fn blob_service(url: &Url) -> &'static Cloud {
    named(url, |it| it.blobs).unwrap_or(&CLOUDS[0])
}

/// Where a cloud issues tokens.
pub(crate) fn authority(text: &str) -> Result<Url, String> {
    let url = known_origin(text, |it| it.authority, NEWER_AUTHORITY);
    url.ok_or_else(|| "must be https://login.microsoftonline.com or that of another cloud".into())
}
