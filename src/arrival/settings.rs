//! Whether arrival is proved, when to look, and which workspace to query.

use std::time::Duration;

use chrono::TimeDelta;
use url::Url;

use crate::azure::cloud::{self, Cloud};
use crate::azure::identity::Identity;
use crate::azure::log_query::LogQuery;
use crate::azure::principal::principal;
use crate::clock::Clock;
use crate::net::retry::Jitter;
use crate::settings::{Reader, values};
use crate::state::Timing;

/// The settings that this module reads, which belong to no destination.
pub(crate) const SETTINGS: [&str; 4] = [
    "ARRIVAL",
    "ARRIVAL_AFTER",
    "ARRIVAL_AGAIN",
    "LOG_ANALYTICS_QUERY_URI",
];
/// The setting that names the workspace. It also belongs to a destination.
pub(crate) const WORKSPACE: &str = "WorkspaceID";
const DEFAULT_AFTER: Duration = Duration::from_mins(20);
const DEFAULT_AGAIN: Duration = Duration::from_hours(1);

/// Reads whether arrival is proved, and when to look; `Some(None)` if it is not.
#[allow(
    clippy::option_option,
    reason = "the form of every layer, of something optional"
)]
pub(crate) fn timing(reader: &mut Reader) -> Option<Option<Timing>> {
    let is_on = reader.or_default(SETTINGS[0], false, values::switch)?;
    let mut time = |setting, default: Duration| {
        let time = reader.optional(setting, values::duration);
        TimeDelta::from_std(time.unwrap_or(default)).unwrap_or(TimeDelta::MAX)
    };
    let timing = Timing {
        after: time("ARRIVAL_AFTER", DEFAULT_AFTER),
        again: time("ARRIVAL_AGAIN", DEFAULT_AGAIN),
    };
    // Checked here, where a problem fails the run. The problems of `workspace` are only reported.
    reader.optional("LOG_ANALYTICS_QUERY_URI", cloud::query_uri);
    Some(is_on.then_some(timing))
}

/// The workspace to query, and the identity to use.
pub(crate) struct Workspace {
    address: Url,
    id: String,
    identity: Identity,
}

impl Workspace {
    /// A client for its queries.
    pub fn query(self, http: &reqwest::Client, jitter: &Jitter) -> LogQuery {
        let (http, jitter) = (http.clone(), jitter.clone());
        LogQuery::new(&self.address, &self.id, self.identity, http, jitter)
    }
}

/// Reads which workspace to query in this cloud, and how. `wanted_by` is the setting or command that needs it.
pub(crate) fn workspace(
    reader: &mut Reader,
    wanted_by: &'static str,
    cloud: &'static Cloud,
    http: &reqwest::Client,
    clock: &Clock,
) -> Option<Workspace> {
    let id = reader.required(
        WORKSPACE,
        "the workspace id of the Log Analytics workspace, a GUID",
        values::guid,
    );
    let address = reader.optional("LOG_ANALYTICS_QUERY_URI", cloud::query_uri);
    let principal = principal(reader, wanted_by, cloud)?;
    Some(Workspace {
        address: address.or_else(|| Url::parse(cloud.query).ok())?,
        id: id?,
        identity: Identity::new(http.clone(), principal, cloud.query, clock.clone()),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::net::http;
    use crate::settings::{AppSettings, SettingsError};

    const GOOD: [(&str, &str); 3] = [
        ("WorkspaceID", "01234567-89AB-cdef-0123-456789abcdef"),
        ("IDENTITY_ENDPOINT", "http://localhost:8081/msi/token"),
        ("IDENTITY_HEADER", "header"),
    ];

    fn read(ingestion: &str, changes: &[(&str, &str)]) -> Result<Workspace, SettingsError> {
        let settings: AppSettings = GOOD.iter().chain(changes).copied().collect();
        let cloud = cloud::of_workspace(&Url::parse(ingestion).unwrap());
        let clock: Clock = Arc::new(|| "2026-11-21T08:00:00Z".parse().unwrap());
        let http = http::client(None).unwrap();
        Reader::read(&settings, |reader| {
            workspace(reader, "ARRIVAL", cloud, &http, &clock)
        })
    }

    #[test]
    fn the_cloud_of_the_table_is_asked_with_a_token_for_that() {
        for (ingestion, address) in [
            (
                "https://x.ods.opinsights.azure.com",
                "https://api.loganalytics.io",
            ),
            (
                "https://x.ods.opinsights.azure.us",
                "https://api.loganalytics.us",
            ),
            (
                "https://x.ods.opinsights.azure.cn",
                "https://api.loganalytics.azure.cn",
            ),
            ("http://localhost:9000", "https://api.loganalytics.io"),
        ] {
            let workspace = read(ingestion, &[]).unwrap();
            assert_eq!(workspace.address.as_str(), format!("{address}/"));
            assert_eq!(workspace.identity.resource(), address);
            assert_eq!(workspace.id, "01234567-89ab-cdef-0123-456789abcdef");
        }
    }

    #[test]
    fn queries_go_to_the_service_and_nowhere_else() {
        let read = |uri| read("https://x.ods.opinsights.azure.com", &[(SETTINGS[3], uri)]);
        for uri in [
            "https://api.loganalytics.io/",
            "https://api.loganalytics.azure.com",
            "http://127.0.0.1:9000",
        ] {
            assert!(read(uri).is_ok(), "{uri}");
        }
        for uri in [
            "http://api.loganalytics.io",
            "https://api.loganalytics.io.evil.example",
            "https://api.loganalytics.io/v1",
            "https://evil.example",
        ] {
            let refused = read(uri).err().unwrap().to_string();
            assert!(
                refused.contains("LOG_ANALYTICS_QUERY_URI must be https://"),
                "{uri}"
            );
        }
    }

    #[test]
    fn arrival_is_proved_on_demand_and_has_its_times() {
        let read = |settings: &[(&str, &str)]| {
            let settings: AppSettings = settings.iter().copied().collect();
            Reader::read(&settings, timing)
        };
        assert!(read(&[]).unwrap().is_none());
        assert!(read(&[("ARRIVAL", "Off")]).unwrap().is_none());
        let timing = read(&[("ARRIVAL", "on")]).unwrap().unwrap();
        assert_eq!(timing.after, TimeDelta::minutes(20));
        assert_eq!(timing.again, TimeDelta::hours(1));
        let set = [
            ("ARRIVAL", "on"),
            ("ARRIVAL_AFTER", "5m"),
            ("ARRIVAL_AGAIN", "2h"),
        ];
        let timing = read(&set).unwrap().unwrap();
        assert_eq!(timing.after, TimeDelta::minutes(5));
        assert_eq!(timing.again, TimeDelta::hours(2));
        for bad in [
            ("ARRIVAL", "true"),
            ("ARRIVAL_AFTER", "20"),
            ("ARRIVAL_AGAIN", "-1h"),
            ("LOG_ANALYTICS_QUERY_URI", "https://evil.example"),
        ] {
            assert!(read(&[bad]).is_err(), "{bad:?}");
        }
    }
}
