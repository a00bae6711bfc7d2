//! A Log Analytics workspace through the HTTP Data Collector API: the table `Auth0AM_CL`.
//!
//! Every post is signed with the workspace's key. The API is described at
//! <https://learn.microsoft.com/azure/azure-monitor/logs/data-collector-api>.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::StatusCode;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use secrecy::{ExposeSecret as _, SecretSlice, SecretString};
use sha2::Sha256;
use url::Url;

use super::{DeliveryError, Destination, Limits, Receipt, json_list};
use crate::BoxError;
use crate::auth0::Record;
use crate::clock::Clock;
use crate::http::{self, Answer, SendError};
use crate::redact::Redaction;
use crate::retry::{self, Again, Deadline, GaveUp, Jitter, Transient};
use crate::table::Api;
use crate::table::row::row;

/// The table is named so; the service appends `_CL`.
const LOG_TYPE: &str = "Auth0AM";
/// The service knows this exact text only, without a character set.
const JSON: &str = "application/json";
const RESOURCE: &str = "/api/logs";
const API_VERSION: &str = "2016-04-01";
/// Bytes of a post of which a 404 may say that it is too large, rather than that the address is
/// wrong.
const LARGE: usize = 1_000_000;
/// A difference of clocks that may be the reason of a refusal. The service allows for 15 minutes.
const WORTH_TELLING: TimeDelta = TimeDelta::minutes(10);
/// The row's field that becomes the column `TimeGenerated`.
const TIME_FIELD: &str = "date";

/// A workspace and the key that opens it.
pub struct LogAnalytics {
    workspace_id: String,
    key: SecretSlice<u8>,
    url: Url,
    redaction: Redaction,
    http: reqwest::Client,
    clock: Clock,
    jitter: Jitter,
}

/// Why a post was not acknowledged.
#[derive(Debug, thiserror::Error)]
pub enum PostError {
    /// No answer.
    #[error("posting to {host}")]
    Send {
        /// The workspace's host.
        host: String,
        /// What happened.
        source: SendError,
    },
    /// 403.
    #[error(
        "{host} refused the signature: {excerpt}; check that WorkspaceKey is a key of the \
         workspace WorkspaceID, and that the workspace allows local authentication{clock}"
    )]
    Forbidden {
        /// The workspace's host.
        host: String,
        /// What it said.
        excerpt: String,
        /// What is wrong with this machine's clock, if anything is.
        clock: String,
    },
    /// Any other answer than 200.
    #[error("{host} answered {status}: {excerpt}{hint}")]
    Status {
        /// The workspace's host.
        host: String,
        /// Its status.
        status: StatusCode,
        /// What it said.
        excerpt: String,
        /// What it may mean.
        hint: &'static str,
        /// Whether it may pass.
        again: Again,
    },
}

impl PostError {
    /// Whether the workspace found fault with what was posted rather than with who posted it
    /// (`InactiveCustomer` and `InvalidCustomerId` are the codes for the latter).
    #[must_use]
    pub fn is_about_content(&self) -> bool {
        matches!(self, Self::Status { status, excerpt, .. }
            if *status == StatusCode::BAD_REQUEST && !excerpt.contains("Customer"))
    }

    /// Whether a post of this many bytes would be taken if it held something else, or less.
    fn refuses(&self, bytes: usize) -> bool {
        let is_too_large = |status| {
            status == StatusCode::PAYLOAD_TOO_LARGE
                || (status == StatusCode::NOT_FOUND && bytes >= LARGE)
        };
        self.is_about_content()
            || matches!(self, Self::Status { status, .. } if is_too_large(*status))
    }
}

impl Transient for PostError {
    fn again(&self) -> Again {
        match self {
            Self::Send { source, .. } => source.again(),
            Self::Forbidden { .. } => Again::Never,
            Self::Status { again, .. } => *again,
        }
    }
}

impl LogAnalytics {
    /// The workspace with this id, behind `endpoint`.
    #[must_use]
    pub fn new(
        workspace_id: String,
        key: SecretSlice<u8>,
        endpoint: &Url,
        redaction: Redaction,
        http: reqwest::Client,
        clock: Clock,
        jitter: Jitter,
    ) -> Self {
        let mut url = endpoint.clone();
        url.set_path(RESOURCE);
        url.set_query(Some(&format!("api-version={API_VERSION}")));
        Self {
            workspace_id,
            key,
            url,
            redaction,
            http,
            clock,
            jitter,
        }
    }

    /// Posts an empty list, which holds nothing that could be stored, and answers with the status.
    ///
    /// The documentation does not say how the service answers it. Only 200 proves the signature
    /// right and only 403 proves it wrong.
    pub async fn probe(&self, deadline: Deadline) -> Result<(), GaveUp<PostError>> {
        let nothing = Bytes::from_static(b"[]");
        let post = || self.post_signed_anew(&nothing, deadline);
        retry::retry(&self.jitter, deadline, post).await
    }

    /// Posts; where the signature is refused, signs once more, since the clock or the connection
    /// may have been at fault.
    async fn post_signed_anew(&self, body: &Bytes, deadline: Deadline) -> Result<(), PostError> {
        match self.post(body, deadline).await {
            Err(PostError::Forbidden { .. }) => self.post(body, deadline).await,
            result => result,
        }
    }

    async fn post(&self, body: &Bytes, deadline: Deadline) -> Result<(), PostError> {
        let date = rfc1123((self.clock)());
        let key = self.key.expose_secret();
        let authorization = authorization(&self.workspace_id, key, body.len(), &date);
        let request = self
            .http
            .post(self.url.clone())
            .header(CONTENT_TYPE, JSON)
            .header("Log-Type", LOG_TYPE)
            .header("time-generated-field", TIME_FIELD)
            .header("x-ms-date", &date)
            .header(AUTHORIZATION, authorization.expose_secret())
            .body(body.clone());
        let answer = http::send_for_status(request, deadline).await;
        let answer = answer.map_err(|source| PostError::Send {
            host: self.host(),
            source,
        })?;
        self.judge(&answer, &authorization)
    }

    fn judge(&self, answer: &Answer, authorization: &SecretString) -> Result<(), PostError> {
        let host = self.host();
        let excerpt = answer.excerpt(&[authorization]);
        let hint = match answer.status {
            StatusCode::OK => return Ok(()),
            StatusCode::FORBIDDEN => {
                return Err(PostError::Forbidden {
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
        Err(PostError::Status {
            host,
            status: answer.status,
            excerpt,
            hint,
            again: answer.again(),
        })
    }

    fn host(&self) -> String {
        self.url.authority().to_owned()
    }
}

impl Destination for LogAnalytics {
    fn name(&self) -> &'static str {
        "log-analytics"
    }

    /// Far below the service's 30 MB, so that a post that fails is cheap to repeat.
    fn limits(&self) -> Limits {
        Limits {
            rows: 1_000,
            bytes: 8_000_000,
        }
    }

    fn row(&self, record: &Record) -> Result<Bytes, BoxError> {
        Ok(row(record.text(), Api::DataCollector, self.redaction)?.into())
    }

    async fn deliver(&self, rows: &[Bytes], deadline: Deadline) -> Result<Receipt, DeliveryError> {
        let body = json_list(rows);
        let post = || self.post_signed_anew(&body, deadline);
        match retry::retry(&self.jitter, deadline, post).await {
            Ok(()) => Ok(Receipt { bytes: body.len() }),
            Err(gave_up) if gave_up.error.refuses(body.len()) => {
                Err(DeliveryError::Refused(gave_up.into()))
            }
            Err(gave_up) => Err(DeliveryError::Failed(gave_up.into())),
        }
    }
}

/// What is wrong with a clock that is so much ahead of the service's, to follow other advice.
fn clock_problem(skew: Option<TimeDelta>) -> String {
    match skew {
        Some(skew) if skew.abs() >= WORTH_TELLING => {
            let side = if skew > TimeDelta::zero() {
                "ahead of"
            } else {
                "behind"
            };
            let minutes = skew.num_minutes().abs();
            format!("; this machine's clock is {minutes} minutes {side} the service's")
        }
        _ => String::new(),
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
    fn a_clock_that_may_be_the_reason_is_told_of() {
        let problem = |seconds| clock_problem(Some(TimeDelta::seconds(seconds)));
        assert_eq!(
            problem(1_500),
            "; this machine's clock is 25 minutes ahead of the service's"
        );
        assert_eq!(
            problem(-86_400),
            "; this machine's clock is 1440 minutes behind the service's"
        );
        assert_eq!(problem(-599), "");
        assert_eq!(clock_problem(None), "");
    }

    #[test]
    fn the_date_is_written_as_http_writes_it() {
        let time = "2016-04-04T08:00:00.999Z".parse().unwrap();
        assert_eq!(rfc1123(time), "Mon, 04 Apr 2016 08:00:00 GMT");
    }
}
