//! `logs-ingestion`: the table `Auth0AM_CL` through a data collection rule, by an identity.

use bytes::Bytes;
use futures_util::future::BoxFuture;

use super::{Delivery, Destination, Heartbeats, Kind, Limits, Probe, Tools};
use crate::azure::cloud::{self, Cloud};
use crate::azure::identity::{Identity, Principal};
use crate::azure::logs_ingestion::{RuleClient, Stream};
use crate::azure::principal::principal;
use crate::error::BoxError;
use crate::net::json_list;
use crate::net::retry::Deadline;
use crate::pii::Privacy;
use crate::record::Record;
use crate::settings::Reader;
use crate::table::Api;
use crate::table::health::{self, Heartbeat};

pub(super) const KIND: Kind = Kind {
    name: "logs-ingestion",
    about: "the table Auth0AM_CL through a data collection rule, without a key",
    settings: &["DCR_ENDPOINT", "DCR_IMMUTABLE_ID", "DCR_STREAM"],
    filter: "FILTER_LOGS_INGESTION",
    pii: "PII_LOGS_INGESTION",
    is_for_a_look: false,
    takes_heartbeats: true,
    build,
};

const DEFAULT_STREAM: &str = "Custom-Auth0AM_CL";
/// What to do if the rule has no stream for heartbeats.
const NO_HEALTH: &str =
    "deploy the template again, which adds it to the rule, or set HEARTBEAT to off";
/// The service takes 1 MB, which according to its documentation applies before compression too.
const LIMITS: Limits = Limits {
    rows: 1_000,
    bytes: 1_000_000,
    ..Limits::JSON_LIST
};

struct LogsIngestion {
    stream: RuleClient,
    health: RuleClient,
    cloud: &'static Cloud,
    privacy: Privacy,
}

/// A rule's stream, and the identity that publishes to it.
struct RuleSettings {
    stream: Stream,
    cloud: &'static Cloud,
    principal: Principal,
}

fn build(reader: &mut Reader, tools: &Tools) -> Option<Box<dyn Destination>> {
    let RuleSettings {
        stream,
        cloud,
        principal,
    } = settings(reader)?;
    let (http, jitter) = (&tools.http, &tools.jitter);
    let identity = Identity::new(http.clone(), principal, cloud.monitor, tools.clock.clone());
    let stream = RuleClient::new(stream, identity, http.clone(), jitter.clone());
    Some(Box::new(LogsIngestion {
        health: stream.beside(health::STREAM, NO_HEALTH),
        stream,
        cloud,
        privacy: tools.privacy.clone(),
    }))
}

fn settings(reader: &mut Reader) -> Option<RuleSettings> {
    let endpoint = reader.required(
        "DCR_ENDPOINT",
        "the logs ingestion endpoint of the data collection rule",
        cloud::dcr_endpoint,
    );
    let rule = reader.required(
        "DCR_IMMUTABLE_ID",
        "the immutable id of the data collection rule",
        dcr_immutable_id,
    );
    let name = reader.or_default("DCR_STREAM", DEFAULT_STREAM, dcr_stream);
    // Read in any case, so that all problems are told together.
    let cloud = endpoint.as_ref().map_or(&cloud::PUBLIC, |it| it.1);
    let principal = principal(reader, "DCR_ENDPOINT", cloud);
    let (endpoint, cloud) = endpoint?;
    Some(RuleSettings {
        stream: Stream {
            endpoint,
            rule: rule?,
            name: name?,
            advice: "check DCR_STREAM against the rule's stream declarations",
        },
        cloud,
        principal: principal?,
    })
}

/// The immutable id of a data collection rule.
fn dcr_immutable_id(text: &str) -> Result<String, String> {
    let digits = text.strip_prefix("dcr-").unwrap_or_default();
    let is_id = digits.len() == 32 && digits.bytes().all(|it| it.is_ascii_hexdigit());
    is_id
        .then(|| text.to_owned())
        .ok_or_else(|| "is not dcr- and 32 hexadecimal digits".into())
}

/// The name of a stream of such a rule. The template's rule has another one beside it, which would
/// take records with success and drop all of their columns.
fn dcr_stream(text: &str) -> Result<String, String> {
    if text.eq_ignore_ascii_case(health::STREAM) {
        return Err(format!(
            "is the stream for heartbeats, which keeps nothing of a record; the template's stream for \
             records is {DEFAULT_STREAM}"
        ));
    }
    let is_word = |it: char| it.is_ascii_alphanumeric() || matches!(it, '_' | '-');
    let table = text.strip_prefix("Custom-").unwrap_or_default();
    (!table.is_empty() && table.chars().all(is_word))
        .then(|| text.to_owned())
        .ok_or_else(|| "is not a stream's name such as Custom-Auth0AM_CL".into())
}

impl Destination for LogsIngestion {
    fn limits(&self) -> Limits {
        LIMITS
    }

    fn encode(&self, record: &Record) -> Result<Bytes, BoxError> {
        Ok(self.privacy.row(record.text(), Api::LogsIngestion)?.into())
    }

    fn shortened(&self, record: &Record, why: &str) -> Option<Bytes> {
        let row = self
            .privacy
            .shortened(record.text(), Api::LogsIngestion, why);
        row.map(Bytes::from)
    }

    fn deliver<'a>(&'a self, rows: &'a [Bytes], deadline: Deadline) -> BoxFuture<'a, Delivery> {
        Box::pin(async move {
            let list = json_list::whole(rows);
            match self.stream.post(&list, deadline).await {
                Ok(()) => Delivery::accepted(rows.len(), list.len()),
                Err(gave_up) if gave_up.error.is_about_content() => {
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

    fn probe(&self, deadline: Deadline) -> BoxFuture<'_, Probe> {
        Box::pin(probe(
            &self.stream,
            "the rule accepted an empty post",
            deadline,
        ))
    }
}

/// Posts an empty list, which stores nothing. How the service responds to it is not documented.
async fn probe(stream: &RuleClient, success: &str, deadline: Deadline) -> Probe {
    match stream.post(&json_list::whole(&[]), deadline).await {
        Ok(()) => Probe::Works(success.to_owned()),
        Err(error) if error.error.is_about_content() => Probe::NotTried(format!(
            "the rule does not take an empty post, so the rest was not tried; the first run will \
             show it ({error})"
        )),
        Err(error) => Probe::Fails(error.into()),
    }
}

impl Heartbeats for LogsIngestion {
    fn send<'a>(
        &'a self,
        heartbeat: &Heartbeat,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<(), BoxError>> {
        let row = health::row(heartbeat, Api::LogsIngestion).into();
        let post = json_list::whole(&[row]);
        Box::pin(async move { Ok(self.health.post(&post, deadline).await?) })
    }

    /// The rule may have the stream for records only.
    fn probe(&self, deadline: Deadline) -> BoxFuture<'_, Option<Probe>> {
        let success = "the rule accepted an empty post to the stream for heartbeats";
        Box::pin(async move { Some(probe(&self.health, success, deadline).await) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{AppSettings, SettingsError};

    fn read(changes: &[(&str, &str)]) -> Result<RuleSettings, SettingsError> {
        let complete = [
            ("DCR_IMMUTABLE_ID", "dcr-0123456789abcdef0123456789abcdef"),
            (
                "DCR_ENDPOINT",
                "https://acme-x1.westeurope-1.ingest.monitor.azure.us/",
            ),
            ("IDENTITY_ENDPOINT", "http://localhost:8081/msi/token"),
            ("IDENTITY_HEADER", "header"),
        ];
        let app_settings: AppSettings = complete.iter().chain(changes).copied().collect();
        Reader::read(&app_settings, settings)
    }

    #[test]
    fn a_rule_needs_no_workspace_key_and_tells_its_cloud() {
        let way = read(&[("AZURE_CLIENT_ID", "c1")]).unwrap();
        assert_eq!(way.stream.name, "Custom-Auth0AM_CL");
        assert_eq!(way.cloud.monitor, "https://monitor.azure.us");
        assert!(
            matches!(way.principal, Principal::Managed { client_id: Some(id), .. } if id == "c1")
        );
    }

    #[test]
    fn outside_azure_an_application_s_secret_stands_for_the_identity() {
        let application = [
            ("IDENTITY_ENDPOINT", ""),
            ("AZURE_TENANT_ID", "acme.onmicrosoft.com"),
            ("AZURE_CLIENT_ID", "c1"),
            ("AZURE_CLIENT_SECRET", "hunter2"),
        ];
        let principal = read(&application).unwrap().principal;
        let Principal::Application {
            authority, tenant, ..
        } = principal
        else {
            panic!("another principal");
        };
        assert_eq!(authority.as_str(), "https://login.microsoftonline.us/");
        assert_eq!(tenant, "acme.onmicrosoft.com");

        let problem = |changes: &[(&str, &str)]| {
            let changes = [&application[..], changes].concat();
            read(&changes).err().unwrap().to_string()
        };
        assert!(problem(&[("AZURE_TENANT_ID", "")]).contains("AZURE_TENANT_ID is missing"));
        assert!(problem(&[("AZURE_TENANT_ID", "a/b")]).contains("neither a GUID nor a domain"));
        assert!(
            problem(&[("AZURE_CLIENT_SECRET", "")])
                .contains("DCR_ENDPOINT needs a managed identity, and there is none here")
        );
        // China's has two names, and Microsoft's pages name either.
        for host in [
            "https://login.chinacloudapi.cn",
            "https://login.partner.microsoftonline.cn/",
        ] {
            let read = read(&[&application[..], &[("AZURE_AUTHORITY_HOST", host)]].concat());
            let Principal::Application { authority, .. } = read.unwrap().principal else {
                panic!("another principal");
            };
            assert_eq!(
                authority.as_str().trim_end_matches('/'),
                host.trim_end_matches('/')
            );
        }
        for host in ["https://evil.example", "http://login.microsoftonline.com"] {
            assert!(
                problem(&[("AZURE_AUTHORITY_HOST", host)]).contains("AZURE_AUTHORITY_HOST must be")
            );
        }
    }

    #[test]
    fn what_is_wrong_with_rule_and_identity_is_told_together() {
        let problems = |changes: &[(&str, &str)]| {
            let missing = [("DCR_ENDPOINT", ""), ("DCR_IMMUTABLE_ID", "")];
            let error = read(&[&missing[..], changes].concat()).err().unwrap();
            let lines = error.lines();
            let settings = lines.map(|it| it.split(' ').next().unwrap_or_default().to_owned());
            settings.collect::<Vec<_>>()
        };
        let rule = ["DCR_ENDPOINT", "DCR_IMMUTABLE_ID"];
        assert_eq!(problems(&[]), rule);
        assert_eq!(problems(&[("IDENTITY_ENDPOINT", "")]), rule);
        let application = ["AZURE_TENANT_ID", "AZURE_CLIENT_ID"];
        assert_eq!(
            problems(&[("AZURE_CLIENT_SECRET", "hunter2")]),
            [rule, application].concat()
        );
    }

    #[test]
    fn rows_go_to_a_rule_and_nowhere_else() {
        for (setting, value, problem) in [
            (
                "DCR_ENDPOINT",
                "",
                "is missing: the logs ingestion endpoint",
            ),
            (
                "DCR_ENDPOINT",
                "http://x.westeurope-1.ingest.monitor.azure.com",
                "must be https://",
            ),
            (
                "DCR_ENDPOINT",
                "https://x.ingest.monitor.azure.com.evil.example",
                "must be https://",
            ),
            (
                "DCR_ENDPOINT",
                "https://x.ingest.monitor.azure.com/dataCollectionRules",
                "must be https://",
            ),
            ("DCR_IMMUTABLE_ID", "", "is missing: the immutable id"),
            (
                "DCR_IMMUTABLE_ID",
                "/subscriptions/s/rule",
                "is not dcr- and 32",
            ),
            (
                "DCR_IMMUTABLE_ID",
                "dcr-0123456789abcdef0123456789abcde/",
                "is not dcr- and 32",
            ),
            ("DCR_STREAM", "Auth0AM_CL", "is not a stream's name"),
            ("DCR_STREAM", "Custom-a/../b", "is not a stream's name"),
            ("DCR_STREAM", "Custom-", "is not a stream's name"),
            (
                "DCR_STREAM",
                "Custom-Auth0AMHealth_CL",
                "is the stream for heartbeats",
            ),
        ] {
            let error = read(&[(setting, value)]).err().unwrap().to_string();
            assert!(error.contains(&format!("{setting} {problem}")), "{error}");
        }
    }
}
