//! The HTTP Data Collector API: posts JSON to a table of a Log Analytics workspace.
//!
//! Every post is signed with the workspace's key. The API is described at
//! <https://learn.microsoft.com/azure/azure-monitor/logs/data-collector-api>.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::StatusCode;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use secrecy::{ExposeSecret as _, SecretSlice, SecretString};
use serde::Deserialize;
use sha2::Sha256;
use url::Url;

use crate::clock::Clock;
use crate::net::http::{self, Answer, SendError, clock_problem};
use crate::net::json_list::JsonList;
use crate::net::retry::{self, Again, Deadline, Failure, GaveUp, Jitter, Transient};

/// The service accepts this exact text only, without a character set.
const JSON: &str = "application/json";
const RESOURCE: &str = "/api/logs";
const API_VERSION: &str = "2016-04-01";
/// The size, in bytes, from which on a 404 may mean that a post is too large rather than that the
/// address is wrong.
const LARGE: usize = 1_000_000;

/// The codes of a 400 that is about the workspace or the headers. Only `InvalidDataFormat` is about rows.
const OF_NO_ROW: [&str; 8] = [
    "InactiveCustomer",
    "InvalidApiVersion",
    "InvalidCustomerId",
    "InvalidLogType",
    "MissingApiVersion",
    "MissingContentType",
    "MissingLogType",
    "UnsupportedContentType",
];

/// A workspace and its key.
#[derive(Clone)]
pub(crate) struct Workspace {
    /// Its id, a GUID.
    pub id: String,
    /// Its key, decoded.
    pub key: SecretSlice<u8>,
    /// Where it takes posts.
    pub endpoint: Url,
}

/// The table that a post goes to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Table {
    /// The table's name, to which the service appends `_CL`.
    pub log_type: &'static str,
    /// The field that becomes the column `TimeGenerated`.
    pub time_field: &'static str,
}

/// Posts to one table of a workspace.
#[derive(Clone)]
pub(crate) struct DataCollector {
    workspace: Workspace,
    table: Table,
    url: Url,
    http: reqwest::Client,
    clock: Clock,
    jitter: Jitter,
}

/// Why a post was not acknowledged.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DataCollectorError {
    /// The request failed without an answer.
    #[error("posting to {host}")]
    Send { host: String, source: SendError },
    /// 403.
    #[error(
        "{host} refused the signature: {excerpt}; check that WorkspaceKey is a key of the \
         workspace WorkspaceID, and that the workspace allows local authentication{clock}"
    )]
    Forbidden {
        host: String,
        excerpt: String,
        /// What is wrong with this machine's clock, if anything is.
        clock: String,
    },
    /// Any other answer than 200, a 200 with an error, or a 200 from something in place of the service.
    #[error("{host} answered {status}: {excerpt}{hint}")]
    Status {
        host: String,
        status: StatusCode,
        excerpt: String,
        /// What it may mean.
        hint: &'static str,
        /// Whether the error's code says that no row is at fault.
        blames_no_row: bool,
        again: Again,
    },
}

/// An error body of the service. Its other members are not read: they may quote a row.
#[derive(Deserialize)]
struct ApiError {
    #[serde(rename = "Error")]
    code: String,
}

impl DataCollectorError {
    /// Whether the workspace refused what was posted, and not its sender.
    fn is_about_content(&self) -> bool {
        matches!(self, Self::Status { status, blames_no_row: false, .. }
            if *status == StatusCode::BAD_REQUEST)
    }

    /// Whether a post of this many bytes was refused for its content or its size.
    pub fn refuses(&self, bytes: usize) -> bool {
        let is_too_large = |status| {
            status == StatusCode::PAYLOAD_TOO_LARGE
                || (status == StatusCode::NOT_FOUND && bytes >= LARGE)
        };
        self.is_about_content()
            || matches!(self, Self::Status { status, .. } if is_too_large(*status))
    }
}

impl Transient for DataCollectorError {
    fn again(&self) -> Again {
        match self {
            Self::Send { source, .. } => source.again(),
            Self::Forbidden { .. } => Again::Never,
            Self::Status { again, .. } => *again,
        }
    }

    fn failure(&self) -> Failure {
        match self {
            Self::Send { source, .. } => source.failure(),
            Self::Status { status, .. } => http::failure(*status),
            Self::Forbidden { .. } => Failure::Other,
        }
    }
}

impl DataCollector {
    /// A client for this table of the workspace.
    pub fn new(
        workspace: Workspace,
        table: Table,
        http: reqwest::Client,
        clock: Clock,
        jitter: Jitter,
    ) -> Self {
        let mut url = workspace.endpoint.clone();
        url.set_path(RESOURCE);
        url.set_query(Some(&format!("api-version={API_VERSION}")));
        Self {
            workspace,
            table,
            url,
            http,
            clock,
            jitter,
        }
    }

    /// A client for another table of the same workspace.
    pub fn beside(&self, table: Table) -> Self {
        Self {
            table,
            ..self.clone()
        }
    }

    /// Posts a JSON list of rows. Only 200 is an acknowledgement.
    pub async fn post(
        &self,
        list: &JsonList,
        deadline: Deadline,
    ) -> Result<(), GaveUp<DataCollectorError>> {
        let post = || self.post_signed_anew(list, deadline);
        retry::retry(&self.jitter, deadline, post).await
    }

    /// Posts. If the signature is refused, signs once more, since the clock or the connection may
    /// have been at fault.
    async fn post_signed_anew(
        &self,
        list: &JsonList,
        deadline: Deadline,
    ) -> Result<(), DataCollectorError> {
        match self.post_once(list, deadline).await {
            Err(DataCollectorError::Forbidden { .. }) => self.post_once(list, deadline).await,
            result => result,
        }
    }

    async fn post_once(
        &self,
        list: &JsonList,
        deadline: Deadline,
    ) -> Result<(), DataCollectorError> {
        let date = rfc1123((self.clock)());
        let key = self.workspace.key.expose_secret();
        let authorization = authorization(&self.workspace.id, key, list.bytes(), &date);
        let request = self
            .http
            .post(self.url.clone())
            .header(CONTENT_TYPE, JSON)
            .header("Log-Type", self.table.log_type)
            .header("time-generated-field", self.table.time_field)
            .header("x-ms-date", &date)
            .header(AUTHORIZATION, authorization.expose_secret())
            .body(list.body());
        let answer = http::send_for_status(request, deadline).await;
        let answer = answer.map_err(|source| DataCollectorError::Send {
            host: self.host(),
            source,
        })?;
        self.judge(&answer, &authorization)
    }

    fn judge(
        &self,
        answer: &Answer,
        authorization: &SecretString,
    ) -> Result<(), DataCollectorError> {
        let host = self.host();
        // The workspace's id before the signature is no secret, and the service's errors may name it.
        let signature = authorization.expose_secret().rsplit(':').next();
        let excerpt = answer.excerpt(&[&signature.unwrap_or_default().into()]);
        let hint = match answer.status {
            StatusCode::OK if answer.is_webpage() => {
                " (this is a page, which the service never sends: see what answers in its place, \
                 such as a proxy)"
            }
            StatusCode::OK if !answer.names_error() => return Ok(()),
            StatusCode::FORBIDDEN if !answer.is_blocked() => {
                return Err(DataCollectorError::Forbidden {
                    host,
                    excerpt,
                    clock: clock_problem(answer.skew((self.clock)())),
                });
            }
            StatusCode::NOT_FOUND => {
                " (the address is wrong, or the post was larger than the service takes)"
            }
            StatusCode::BAD_REQUEST => {
                " (the service does not take the post as it is: see the code it names)"
            }
            _ => "",
        };
        let code = serde_json::from_slice(&answer.body);
        // A text begins with the code, and what comes after it may quote a row.
        let code = code.map_or_else(|_| excerpt.clone(), |ApiError { code }| code);
        let blames_no_row = OF_NO_ROW.iter().any(|it| code.starts_with(it));
        Err(DataCollectorError::Status {
            host,
            status: answer.status,
            excerpt,
            hint,
            blames_no_row,
            again: answer.again(),
        })
    }

    fn host(&self) -> String {
        self.url.authority().to_owned()
    }
}

/// The value of `x-ms-date`: the time as HTTP writes it, always GMT.
fn rfc1123(time: DateTime<Utc>) -> String {
    time.format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// The value of `Authorization` for a post of `length` bytes, dated `date`.
fn authorization(workspace_id: &str, key: &[u8], length: usize, date: &str) -> SecretString {
    let to_sign = format!("POST\n{length}\n{JSON}\nx-ms-date:{date}\n{RESOURCE}");
    // invariant: HMAC takes a key of any length
    #[allow(clippy::expect_used, reason = "stated above")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length");
    mac.update(to_sign.as_bytes());
    let signature = BASE64_STANDARD.encode(mac.finalize().into_bytes());
    format!("SharedKey {workspace_id}:{signature}").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The published vectors of `authorization`: the key is the bytes 0 to 63.
    #[test]
    fn a_post_is_signed_as_the_service_verifies_it() {
        let key: Vec<u8> = (0..64).collect();
        let id = "00000000-0000-0000-0000-000000000000";
        let sign = |length, date| {
            authorization(id, &key, length, date)
                .expose_secret()
                .to_owned()
        };
        assert_eq!(
            sign(1024, "Mon, 04 Apr 2016 08:00:00 GMT"),
            format!("SharedKey {id}:kQfMluP3yBFQzfwH0Ye5adOjNq2FCEIWGh0n4uEtCrg=")
        );
        assert_eq!(
            sign(2, "Sat, 21 Nov 2026 08:00:00 GMT"),
            format!("SharedKey {id}:rwhfXicv3XhrDH/Dc9LLXx9aoXgog+OctGFLGPHAnz4=")
        );
    }

    #[test]
    fn the_date_is_written_as_http_writes_it() {
        let time = "2016-04-04T08:00:00.999Z".parse().unwrap();
        assert_eq!(rfc1123(time), "Mon, 04 Apr 2016 08:00:00 GMT");
    }

    #[test]
    fn whose_fault_a_400_is_its_code_tells_and_not_what_it_quotes_of_a_row() {
        let key: Vec<u8> = vec![1];
        let workspace = Workspace {
            id: "00000000-0000-0000-0000-000000000000".into(),
            key: key.into(),
            endpoint: Url::parse("https://x.ods.opinsights.azure.com").unwrap(),
        };
        let table = Table {
            log_type: "Auth0AM",
            time_field: "date",
        };
        let clock: Clock = std::sync::Arc::new(|| "2026-11-21T08:00:00Z".parse().unwrap());
        let http = http::client(None).unwrap();
        let collector = DataCollector::new(workspace, table, http, clock, Jitter::seeded(1));
        for (body, is_about_content) in [
            (
                r#"{"Error":"InvalidDataFormat","Message":"near \"Customer Portal\""}"#,
                true,
            ),
            (r#"{"Error":"InvalidDataFormat"}"#, true),
            (r#"{"Error":"InactiveCustomer","Message":"closed"}"#, false),
            (r#"{"Error":"InvalidCustomerId"}"#, false),
            ("InactiveCustomer", false),
            ("InvalidCustomerId: no such workspace", false),
            ("", true),
            // What is said in another form may quote a row as well.
            (r#"{"error":{"message":"near \"Customer Portal\""}}"#, true),
            ("near \"InactiveCustomer\" of a row", true),
            // Nor are these the fault of a row.
            (r#"{"Error":"InvalidApiVersion"}"#, false),
            (r#"{"Error":"MissingApiVersion"}"#, false),
            (r#"{"Error":"InvalidLogType"}"#, false),
            (r#"{"Error":"MissingLogType"}"#, false),
            (r#"{"Error":"MissingContentType"}"#, false),
            (r#"{"Error":"UnsupportedContentType"}"#, false),
        ] {
            let answer = Answer {
                status: StatusCode::BAD_REQUEST,
                headers: reqwest::header::HeaderMap::new(),
                body: bytes::Bytes::from_static(body.as_bytes()),
            };
            let error = collector
                .judge(&answer, &"SharedKey x:s3cret".into())
                .unwrap_err();
            assert_eq!(error.refuses(10), is_about_content, "{body}");
        }
    }
}
