//! `log-analytics`: the table `Auth0AM_CL` of a Log Analytics workspace, by the workspace key.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use secrecy::SecretSlice;

use super::{Delivery, Destination, Heartbeats, Kind, Limits, Probe, Tools};
use crate::azure::cloud::{self, Cloud};
use crate::azure::data_collector::{DataCollector, Table, Workspace};
use crate::error::BoxError;
use crate::net::json_list::JsonList;
use crate::net::retry::Deadline;
use crate::pii::Privacy;
use crate::record::Record;
use crate::settings::{Reader, values};
use crate::table::Api;
use crate::table::health::{self, Heartbeat};

pub(super) const KIND: Kind = Kind {
    name: "log-analytics",
    about: "the table Auth0AM_CL by the workspace's key",
    settings: &["WorkspaceID", "WorkspaceKey", "logAnalyticsUri"],
    filter: "FILTER_LOG_ANALYTICS",
    pii: "PII_LOG_ANALYTICS",
    is_for_a_look: false,
    takes_heartbeats: true,
    build,
};

const TABLE: Table = Table {
    log_type: "Auth0AM",
    time_field: "date",
};
/// The table of heartbeats.
const HEALTH: Table = Table {
    log_type: health::LOG_TYPE,
    time_field: health::ENDED_AT,
};
/// Far below the service's limit of 30 MB, so that a failed post is cheap to repeat.
const LIMITS: Limits = Limits {
    rows: 1_000,
    bytes: 8_000_000,
    ..Limits::JSON_LIST
};

struct LogAnalytics {
    table: DataCollector,
    health: DataCollector,
    cloud: &'static Cloud,
    privacy: Privacy,
}

fn build(reader: &mut Reader, tools: &Tools) -> Option<Box<dyn Destination>> {
    let workspace = workspace(reader)?;
    let (http, clock, jitter) = (&tools.http, &tools.clock, &tools.jitter);
    let cloud = cloud::of_workspace(&workspace.endpoint);
    let table = DataCollector::new(
        workspace,
        TABLE,
        http.clone(),
        clock.clone(),
        jitter.clone(),
    );
    Some(Box::new(LogAnalytics {
        cloud,
        health: table.beside(HEALTH),
        table,
        privacy: tools.privacy.clone(),
    }))
}

fn workspace(reader: &mut Reader) -> Option<Workspace> {
    let id = reader.required(
        "WorkspaceID",
        "the workspace id of the Log Analytics workspace, a GUID",
        values::guid,
    );
    let key = reader.required(
        "WorkspaceKey",
        "the primary or secondary key of the workspace, base64",
        workspace_key,
    );
    let endpoint = reader.optional("logAnalyticsUri", cloud::log_analytics_uri);
    let id = id?;
    let endpoint = endpoint.map(|it| cloud::workspace_beside(it, &id));
    Some(Workspace {
        endpoint: endpoint.or_else(|| cloud::public_workspace(&id).ok())?,
        id,
        key: key?,
    })
}

/// Decodes a workspace key.
fn workspace_key(text: &str) -> Result<SecretSlice<u8>, String> {
    BASE64_STANDARD
        .decode(text)
        .map(SecretSlice::from)
        .map_err(|_| "is not base64; copy the workspace's key whole".into())
}

impl Destination for LogAnalytics {
    fn limits(&self) -> Limits {
        LIMITS
    }

    fn encode(&self, record: &Record) -> Result<Bytes, BoxError> {
        Ok(self.privacy.row(record.text(), Api::DataCollector)?.into())
    }

    fn shortened(&self, record: &Record, why: &str) -> Option<Bytes> {
        let row = self
            .privacy
            .shortened(record.text(), Api::DataCollector, why);
        row.map(Bytes::from)
    }

    fn deliver<'a>(&'a self, rows: &'a [Bytes], deadline: Deadline) -> BoxFuture<'a, Delivery> {
        Box::pin(async move {
            let list = JsonList::of(rows);
            match self.table.post(&list, deadline).await {
                Ok(()) => Delivery::accepted(rows.len(), list.bytes()),
                Err(gave_up) if gave_up.error.refuses(list.bytes()) => {
                    Delivery::refused(rows.len(), gave_up.into())
                }
                Err(gave_up) => Delivery::given_up(rows.len(), gave_up),
            }
        })
    }

    fn table(&self) -> Option<&'static Cloud> {
        Some(self.cloud)
    }

    fn heartbeats(&self) -> Option<&dyn Heartbeats> {
        Some(self)
    }

    /// Posts an empty list, which stores nothing. How the service responds to it is not documented.
    /// Only 200 proves that the signature is right, and only 403 that it is wrong.
    fn probe(&self, deadline: Deadline) -> BoxFuture<'_, Probe> {
        Box::pin(async move {
            match self.table.post(&JsonList::of(&[]), deadline).await {
                Ok(()) => {
                    Probe::Works("the workspace accepted the signature of an empty post".into())
                }
                Err(error) if error.error.refuses(0) => Probe::NotTried(format!(
                    "the workspace does not take an empty post, so its key was not tried; the \
                     first run will show it ({error})"
                )),
                Err(error) => Probe::Fails(error.into()),
            }
        })
    }
}

impl Heartbeats for LogAnalytics {
    fn send<'a>(
        &'a self,
        heartbeat: &Heartbeat,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<(), BoxError>> {
        let row = health::row(heartbeat, Api::DataCollector).into();
        let post = JsonList::of(&[row]);
        Box::pin(async move { Ok(self.health.post(&post, deadline).await?) })
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;
    use crate::settings::{AppSettings, SettingsError};

    fn read(changes: &[(&str, &str)]) -> Result<Workspace, SettingsError> {
        let complete = [
            ("WorkspaceID", "01234567-89AB-cdef-0123-456789abcdef"),
            ("WorkspaceKey", "a2V5"),
        ];
        let settings: AppSettings = complete.iter().chain(changes).copied().collect();
        Reader::read(&settings, workspace)
    }

    #[test]
    fn a_workspace_is_in_the_public_cloud_unless_its_address_is_set() {
        let workspace = read(&[("logAnalyticsUri", "")]).unwrap();
        assert_eq!(
            workspace.endpoint.as_str(),
            "https://01234567-89ab-cdef-0123-456789abcdef.ods.opinsights.azure.com/"
        );
        assert_eq!(workspace.key.expose_secret(), b"key");
    }

    #[test]
    fn an_address_of_another_workspace_tells_the_cloud() {
        let other = "https://aaaaaaaa-89ab-cdef-0123-456789abcdef.ods.opinsights.azure.us/";
        let workspace = read(&[("logAnalyticsUri", other)]).unwrap();
        assert_eq!(
            workspace.endpoint.as_str(),
            "https://01234567-89ab-cdef-0123-456789abcdef.ods.opinsights.azure.us/"
        );
        for host in [
            "https://x.ods.opinsights.azure.us/",
            "http://localhost:9000/",
        ] {
            let workspace = read(&[("logAnalyticsUri", host)]).unwrap();
            assert_eq!(workspace.endpoint.as_str(), host);
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
            let refused = read(&[("logAnalyticsUri", host)])
                .err()
                .unwrap()
                .to_string();
            assert!(
                refused.contains("logAnalyticsUri must be https://"),
                "{host}"
            );
        }
    }

    #[test]
    fn an_id_is_a_guid_and_a_key_is_base64() {
        for (setting, value, problem) in [
            ("WorkspaceID", "", "is missing: the workspace id"),
            ("WorkspaceID", "not-a-guid", "is not a GUID"),
            ("WorkspaceKey", "", "is missing: the primary"),
            ("WorkspaceKey", "a key", "is not base64"),
        ] {
            let refused = read(&[(setting, value)]).err().unwrap().to_string();
            assert!(
                refused.contains(&format!("{setting} {problem}")),
                "{refused}"
            );
        }
    }
}
