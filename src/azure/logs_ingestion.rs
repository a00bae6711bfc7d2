//! The Logs Ingestion API: posts JSON to a stream of a data collection rule.
//!
//! <https://learn.microsoft.com/azure/azure-monitor/logs/logs-ingestion-api-overview>

use std::sync::Arc;

use bytes::Bytes;
use reqwest::StatusCode;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use url::Url;

use super::identity::{Identity, IdentityError, is_unauthorized};
use crate::net::gzip::gzip;
use crate::net::http::{self, Answer, SendError};
use crate::net::retry::{self, Again, Deadline, Failure, GaveUp, Jitter, Transient};

const API_VERSION: &str = "2023-01-01";
/// The header with the service's error code.
const ERROR_CODE: &str = "x-ms-error-code";

/// A stream of a data collection rule.
#[derive(Clone, Debug)]
pub(crate) struct Stream {
    /// Where the rule takes posts.
    pub endpoint: Url,
    /// The rule's immutable id.
    pub rule: String,
    /// The stream's name.
    pub name: String,
    /// What to do if the rule has no stream of this name.
    pub advice: &'static str,
}

/// Posts to a stream, with an identity that may publish to it.
pub(crate) struct RuleClient {
    stream: Stream,
    url: Url,
    identity: Arc<Identity>,
    http: reqwest::Client,
    jitter: Jitter,
}

/// Why a post was not acknowledged.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LogsIngestionError {
    /// There is no token to post with.
    #[error(transparent)]
    Identity(#[from] Box<IdentityError>),
    /// The request failed, or its answer was not read.
    #[error("posting to {host}")]
    Send { host: String, source: SendError },
    /// 401, although the token is new.
    #[error(
        "{host} refused a new token for {resource}: {said}; check that DCR_ENDPOINT is in the \
         same cloud as the identity, and that both belong to the same tenant of Entra ID"
    )]
    Unauthorized {
        host: String,
        resource: String,
        said: String,
    },
    /// 403.
    #[error(
        "{host} does not let this identity publish to the rule {rule}: {said}; give it the role \
         Monitoring Metrics Publisher on the data collection rule itself (a role given just now \
         works some minutes later, at most half an hour)"
    )]
    Forbidden {
        host: String,
        rule: String,
        said: String,
    },
    /// 404.
    #[error(
        "{host} knows no rule {rule}: {said}; check DCR_IMMUTABLE_ID, which begins with dcr-, and \
         that DCR_ENDPOINT is that rule's endpoint"
    )]
    UnknownRule {
        host: String,
        rule: String,
        said: String,
    },
    /// 400, with a code that names the stream or the rule.
    #[error("the rule {rule} has no stream {stream}: {said}; {advice}")]
    UnknownStream {
        rule: String,
        stream: String,
        said: String,
        advice: &'static str,
    },
    /// Any other answer than 204.
    #[error("{host} answered {status}: {said}")]
    Status {
        host: String,
        status: StatusCode,
        said: String,
        again: Again,
    },
}

impl LogsIngestionError {
    /// Whether the service refused what was posted, and not its sender or the address.
    pub fn is_about_content(&self) -> bool {
        matches!(self, Self::Status { status, .. }
            if matches!(*status, StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE))
    }
}

impl Transient for LogsIngestionError {
    fn again(&self) -> Again {
        match self {
            Self::Identity(error) => error.again(),
            Self::Send { source, .. } => source.again(),
            Self::Status { again, .. } => *again,
            Self::Unauthorized { .. }
            | Self::Forbidden { .. }
            | Self::UnknownRule { .. }
            | Self::UnknownStream { .. } => Again::Never,
        }
    }

    fn failure(&self) -> Failure {
        match self {
            Self::Send { source, .. } => source.failure(),
            Self::Status { status, .. } => http::failure(*status),
            _ => Failure::Other,
        }
    }
}

/// An error body of the service.
#[derive(Deserialize)]
struct ApiError {
    error: ApiErrorBody,
}

#[derive(Deserialize)]
struct ApiErrorBody {
    code: String,
    #[serde(default)]
    message: String,
}

impl RuleClient {
    /// A client for the stream, with this identity.
    pub fn new(stream: Stream, identity: Identity, http: reqwest::Client, jitter: Jitter) -> Self {
        Self::of(stream, Arc::new(identity), http, jitter)
    }

    /// A client for another stream of the same rule, with the same identity.
    pub fn beside(&self, name: &str, advice: &'static str) -> Self {
        let stream = Stream {
            name: name.to_owned(),
            advice,
            ..self.stream.clone()
        };
        let (identity, http) = (Arc::clone(&self.identity), self.http.clone());
        Self::of(stream, identity, http, self.jitter.clone())
    }

    fn of(stream: Stream, identity: Arc<Identity>, http: reqwest::Client, jitter: Jitter) -> Self {
        let mut url = stream.endpoint.clone();
        url.set_path(&format!(
            "dataCollectionRules/{}/streams/{}",
            stream.rule, stream.name
        ));
        url.set_query(Some(&format!("api-version={API_VERSION}")));
        Self {
            stream,
            url,
            identity,
            http,
            jitter,
        }
    }

    /// Posts a JSON list of rows, compressed. Only 204 is an acknowledgement.
    pub async fn post(
        &self,
        list: &[u8],
        deadline: Deadline,
    ) -> Result<(), GaveUp<LogsIngestionError>> {
        let body = gzip(list);
        let post = || self.post_with_token(&body, deadline);
        retry::retry(&self.jitter, deadline, post).await
    }

    /// Makes one attempt, in which a refused token is replaced once.
    async fn post_with_token(
        &self,
        body: &Bytes,
        deadline: Deadline,
    ) -> Result<(), LogsIngestionError> {
        let post = |token| self.post_once(body, token, deadline);
        let posted = self.identity.with_token(deadline, is_unauthorized, post);
        let (answer, token) = posted.await?;
        self.judge(&answer, &token)
    }

    async fn post_once(
        &self,
        body: &Bytes,
        token: SecretString,
        deadline: Deadline,
    ) -> Result<Answer, LogsIngestionError> {
        let request = self
            .http
            .post(self.url.clone())
            .bearer_auth(token.expose_secret())
            .header(CONTENT_TYPE, "application/json")
            .header(CONTENT_ENCODING, "gzip")
            .body(body.clone());
        let answer = http::send_for_status(request, deadline).await;
        answer.map_err(|source| LogsIngestionError::Send {
            host: self.host(),
            source,
        })
    }

    fn judge(&self, answer: &Answer, token: &SecretString) -> Result<(), LogsIngestionError> {
        let host = self.host();
        let rule = self.stream.rule.clone();
        let (code, said) = explanation(answer, token);
        match answer.status {
            StatusCode::NO_CONTENT => Ok(()),
            StatusCode::UNAUTHORIZED => Err(LogsIngestionError::Unauthorized {
                host,
                resource: self.identity.resource().to_owned(),
                said,
            }),
            StatusCode::FORBIDDEN if !answer.is_blocked() => {
                Err(LogsIngestionError::Forbidden { host, rule, said })
            }
            StatusCode::NOT_FOUND => Err(LogsIngestionError::UnknownRule { host, rule, said }),
            StatusCode::BAD_REQUEST if names_stream(&code) => {
                Err(LogsIngestionError::UnknownStream {
                    rule,
                    stream: self.stream.name.clone(),
                    said,
                    advice: self.stream.advice,
                })
            }
            status => Err(LogsIngestionError::Status {
                host,
                status,
                said,
                again: answer.again(),
            }),
        }
    }

    fn host(&self) -> String {
        self.url.authority().to_owned()
    }
}

/// Whether a 400 is about where the rows were sent, and not about the rows.
///
/// The service does not document its codes. An unknown code about the address counts as a refusal
/// of the rows; if all rows are refused, the run fails as well.
fn names_stream(code: &str) -> bool {
    ["Stream", "DataCollectionRule"]
        .iter()
        .any(|it| code.contains(it))
}

/// The code and the text of an error.
fn explanation(answer: &Answer, token: &SecretString) -> (String, String) {
    match serde_json::from_slice::<ApiError>(&answer.body) {
        Ok(ApiError { error }) => {
            let said = format!("{}: {}", error.code, error.message);
            (error.code, http::excerpt(&said, &[token]))
        }
        Err(_) => {
            let code = answer.header(ERROR_CODE).unwrap_or_default();
            (code.to_owned(), answer.excerpt(&[token]))
        }
    }
}
