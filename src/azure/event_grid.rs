//! Azure Event Grid: publishes batches of `CloudEvents` to a custom topic or a namespace's topic.
//!
//! <https://learn.microsoft.com/azure/event-grid/cloud-event-schema>

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use reqwest::{RequestBuilder, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use url::Url;

use super::identity::{Identity, IdentityError, is_unauthorized};
use crate::net::http::{self, Answer, SendError};
use crate::net::retry::{self, Again, Deadline, Failure, GaveUp, Jitter, Transient};

/// The content type of a batch of events, in the HTTP protocol binding.
const BATCH: &str = "application/cloudevents-batch+json; charset=utf-8";
/// The header of a custom topic's key.
const KEY_HEADER: &str = "aeg-sas-key";
/// The names that a topic may give its input schema if that is not `CloudEvents`.
const OTHER_SCHEMAS: [&str; 5] = [
    "eventgridevent",
    "eventgridschema",
    "custominputschema",
    "customeventschema",
    "inputschema",
];

/// The two kinds of topics, which differ in addresses, headers and limits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum TopicKind {
    /// A custom topic.
    Custom,
    /// A topic of a namespace.
    Namespace,
}

/// The credential to publish with.
pub(crate) enum Publisher {
    /// The topic's key.
    Key(SecretString),
    /// An identity that has the role for it.
    Identity(Box<Identity>),
}

/// Publishes to one topic.
pub(crate) struct Topic {
    url: Url,
    kind: TopicKind,
    publisher: Publisher,
    http: reqwest::Client,
    jitter: Jitter,
}

/// Why events were not acknowledged.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EventGridError {
    /// There is no token to publish with.
    #[error(transparent)]
    Identity(#[from] Box<IdentityError>),
    /// The request failed, or its answer was not read.
    #[error("publishing to {host}; check EVENT_GRID_ENDPOINT")]
    Send { host: String, source: SendError },
    /// 401.
    #[error("{host} refused {credential}: {said}; {remedy}")]
    Unauthorized {
        host: String,
        credential: &'static str,
        said: String,
        remedy: &'static str,
    },
    /// 403.
    #[error(
        "{host} does not let this program publish: {said}; give the identity the role EventGrid \
         Data Sender on the topic (a role given just now works some minutes later), and see that \
         the topic's network rules let it in"
    )]
    Forbidden { host: String, said: String },
    /// 404.
    #[error(
        "{host} has no topic at {path}: {said}; check EVENT_GRID_ENDPOINT against the topic's \
         endpoint in the portal"
    )]
    UnknownTopic {
        host: String,
        path: String,
        said: String,
    },
    /// 400 for any content: the topic takes events of another schema.
    #[error(
        "the topic at {host} does not take CloudEvents: {said}; a topic's input schema is fixed \
         when it is created, so make one with --input-schema cloudeventschemav1_0 and name it in \
         EVENT_GRID_ENDPOINT"
    )]
    InputSchema { host: String, said: String },
    /// 200 from something other than the service.
    #[error(
        "{host} answered 200, but with a page, which the service never sends: {said}; see what \
         answers in its place, such as a proxy, and check EVENT_GRID_ENDPOINT"
    )]
    Webpage { host: String, said: String },
    /// Any other answer than 200, or a 200 with an error.
    #[error("{host} answered {status}: {said}")]
    Status {
        host: String,
        status: StatusCode,
        said: String,
        again: Again,
    },
}

impl EventGridError {
    /// Whether the topic refused what was sent, and not its sender or the address.
    pub fn is_about_content(&self) -> bool {
        matches!(self, Self::Status { status, .. }
            if matches!(*status, StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE))
    }
}

impl Transient for EventGridError {
    fn again(&self) -> Again {
        match self {
            Self::Identity(error) => error.again(),
            Self::Send { source, .. } => source.again(),
            Self::Status { again, .. } => *again,
            Self::Unauthorized { .. }
            | Self::Forbidden { .. }
            | Self::UnknownTopic { .. }
            | Self::InputSchema { .. }
            | Self::Webpage { .. } => Again::Never,
        }
    }

    fn failure(&self) -> Failure {
        match self {
            Self::Send { source, .. } => source.failure(),
            Self::Status { status, .. } => http::failure(*status),
            Self::Webpage { .. } => Failure::Internal,
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
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    details: Vec<ApiErrorDetail>,
}

#[derive(Deserialize)]
struct ApiErrorDetail {
    #[serde(default)]
    message: String,
}

impl Topic {
    /// The topic at this address, which is the full URL of a post.
    pub fn new(
        url: Url,
        kind: TopicKind,
        publisher: Publisher,
        http: reqwest::Client,
        jitter: Jitter,
    ) -> Self {
        Self {
            url,
            kind,
            publisher,
            http,
            jitter,
        }
    }

    /// The kind of the topic.
    pub fn kind(&self) -> TopicKind {
        self.kind
    }

    /// Publishes a JSON list of events. Only 200 is an acknowledgement, and it covers all of them.
    pub async fn publish(
        &self,
        list: &Bytes,
        deadline: Deadline,
    ) -> Result<(), GaveUp<EventGridError>> {
        let attempt = || self.attempt(list, deadline);
        retry::retry(&self.jitter, deadline, attempt).await
    }

    /// Makes one attempt, in which a refused token is replaced once.
    async fn attempt(&self, list: &Bytes, deadline: Deadline) -> Result<(), EventGridError> {
        let identity = match &self.publisher {
            Publisher::Key(key) => {
                let answer = self.send(list, self.signed(key), deadline).await?;
                return self.judge(&answer, key, list);
            }
            Publisher::Identity(identity) => identity,
        };
        let publish = |token: SecretString| self.send(list, self.request_as(&token), deadline);
        let published = identity.with_token(deadline, is_unauthorized, publish);
        let (answer, token) = published.await?;
        self.judge(&answer, &token, list)
    }

    fn signed(&self, key: &SecretString) -> RequestBuilder {
        let request = self.http.post(self.url.clone());
        let key = key.expose_secret();
        match self.kind {
            TopicKind::Custom => request.header(KEY_HEADER, key),
            TopicKind::Namespace => request.header(AUTHORIZATION, format!("SharedAccessKey {key}")),
        }
    }

    fn request_as(&self, token: &SecretString) -> RequestBuilder {
        let request = self.http.post(self.url.clone());
        request.bearer_auth(token.expose_secret())
    }

    async fn send(
        &self,
        list: &Bytes,
        request: RequestBuilder,
        deadline: Deadline,
    ) -> Result<Answer, EventGridError> {
        let request = request.header(CONTENT_TYPE, BATCH).body(list.clone());
        let answer = http::send_for_status(request, deadline).await;
        answer.map_err(|source| EventGridError::Send {
            host: self.host(),
            source,
        })
    }

    fn judge(
        &self,
        answer: &Answer,
        credential: &SecretString,
        sent: &[u8],
    ) -> Result<(), EventGridError> {
        let host = self.host();
        let text = explanation(answer);
        let said = http::excerpt(&text, &[credential]);
        match answer.status {
            StatusCode::OK if answer.is_webpage() => Err(EventGridError::Webpage { host, said }),
            StatusCode::OK if !answer.names_error() => Ok(()),
            StatusCode::UNAUTHORIZED => {
                let (credential, remedy) = match self.publisher {
                    Publisher::Key(_) => (
                        "the key",
                        "check that EVENT_GRID_KEY is a key of this very topic or namespace, and \
                         that it allows local authentication; or leave it blank and use an \
                         identity",
                    ),
                    Publisher::Identity(_) => (
                        "a new token",
                        "check that the identity belongs to the same tenant of Entra ID as the \
                         topic, and give it the role EventGrid Data Sender on the topic",
                    ),
                };
                Err(EventGridError::Unauthorized {
                    host,
                    credential,
                    said,
                    remedy,
                })
            }
            StatusCode::FORBIDDEN if !answer.is_blocked() => {
                Err(EventGridError::Forbidden { host, said })
            }
            StatusCode::NOT_FOUND => Err(EventGridError::UnknownTopic {
                host,
                path: self.url.path().to_owned(),
                said,
            }),
            StatusCode::BAD_REQUEST if names_other_schema(&text, sent) => {
                Err(EventGridError::InputSchema { host, said })
            }
            status => Err(EventGridError::Status {
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

/// What the topic said.
fn explanation(answer: &Answer) -> String {
    let Ok(ApiError { error }) = serde_json::from_slice(&answer.body) else {
        return answer.text().into_owned();
    };
    let mut text = format!("{}: {}", error.code, error.message);
    for detail in error.details.iter().filter(|it| !it.message.is_empty()) {
        text = format!("{text}; {}", detail.message);
    }
    text
}

/// Whether a topic names a schema of events which is not `CloudEvents`, and does not quote that from the
/// events that were sent.
///
/// The word "schema" alone is no proof: a topic that takes `CloudEvents` says of an invalid event
/// that it does not conform to their schema.
fn names_other_schema(said: &str, sent: &[u8]) -> bool {
    let said = http::folded(said);
    let mut named = OTHER_SCHEMAS.iter().filter(|it| said.contains(**it));
    let first = named.next();
    let sent = first.map(|_| http::folded(&String::from_utf8_lossy(sent)));
    let is_quoted = |it: &str| sent.as_ref().is_some_and(|sent| sent.contains(it));
    first.into_iter().chain(named).any(|it| !is_quoted(it))
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderMap;

    use super::*;

    fn judged(kind: TopicKind, status: u16, body: &str) -> Result<(), EventGridError> {
        judged_of(kind, status, body, "[]")
    }

    /// How this answer to a list of events is judged.
    fn judged_of(
        kind: TopicKind,
        status: u16,
        body: &str,
        sent: &str,
    ) -> Result<(), EventGridError> {
        let topic = Topic::new(
            Url::parse("https://acme.westeurope-1.eventgrid.azure.net/api/events").unwrap(),
            kind,
            Publisher::Key("c2VjcmV0".into()),
            http::client(None).unwrap(),
            Jitter::seeded(1),
        );
        let answer = Answer {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::new(),
            body: Bytes::copy_from_slice(body.as_bytes()),
        };
        topic.judge(&answer, &"c2VjcmV0".into(), sent.as_bytes())
    }

    fn about_content(body: &str) -> bool {
        judged(TopicKind::Custom, 400, body)
            .unwrap_err()
            .is_about_content()
    }

    #[test]
    fn a_topic_of_another_schema_is_no_fault_of_an_event() {
        for text in [
            "This resource is configured to receive event in 'EventGridEvent' schema. The JSON \
             received does not conform to the expected schema.",
            "The topic's input schema is EventGridSchema",
            "expects CustomEventSchema",
            "the topic's inputSchema is another one",
        ] {
            let body = format!(r#"{{"error":{{"code":"BadRequest","message":"{text}"}}}}"#);
            assert!(!about_content(&body), "{text}");
            assert!(!about_content(text), "{text}");
            let detail = format!(r#"{{"error":{{"details":[{{"message":"{text}"}}]}}}}"#);
            assert!(!about_content(&detail), "{text}");
        }
    }

    #[test]
    fn an_event_s_own_fault_may_use_the_word_schema() {
        for text in [
            "This resource is configured to receive event in 'CloudEventV10' schema. The JSON \
             received does not conform to the expected schema.",
            "the event's data does not match its dataschema",
            "",
        ] {
            let body = format!(r#"{{"error":{{"code":"BadRequest","message":"{text}"}}}}"#);
            assert!(about_content(&body), "{text}");
        }
        assert!(about_content("<html>"));
    }

    #[test]
    fn what_an_event_says_is_no_word_about_the_topic() {
        let body = r#"{"error":{"code":"BadRequest","message":"at 'Event Grid-Schema'"}}"#;
        for (sent, is_about_content) in [
            (r#"[{"data":{"user_agent":"EventGridSchema"}}]"#, true),
            (r#"[{"data":{"user_agent":"event grid SCHEMA"}}]"#, true),
            (
                r#"[{"data":{"user_agent":"Event\nGrid\u00a0Schema"}}]"#,
                true,
            ),
            (r#"[{"data":{"user_agent":"inputSchema"}}]"#, false),
        ] {
            let error = judged_of(TopicKind::Custom, 400, body, sent).unwrap_err();
            assert_eq!(error.is_about_content(), is_about_content, "{sent}");
        }
    }

    #[test]
    fn only_200_acknowledges_and_every_other_answer_has_its_remedy() {
        assert!(judged(TopicKind::Custom, 200, "").is_ok());
        for (status, telling) in [
            (202, "answered 202 Accepted"),
            (401, "is a key of this very topic"),
            (403, "the role EventGrid Data Sender"),
            (404, "has no topic at /api/events"),
            (413, "answered 413"),
            (500, "answered 500"),
        ] {
            let error = judged(TopicKind::Custom, status, "x").unwrap_err();
            assert!(error.to_string().contains(telling), "{error}");
            assert_eq!(error.is_about_content(), status == 413, "{status}");
            let expected = if status == 500 {
                Again::Soon
            } else {
                Again::Never
            };
            assert_eq!(error.again(), expected, "{status}");
        }
    }

    #[test]
    fn a_page_that_blocks_a_batch_may_do_so_for_an_event() {
        let page = "<html>Request blocked</html>";
        for (status, body, is_internal) in [
            (403, page, true),
            (451, "", true),
            (403, "{}", false),
            (200, page, true),
            (202, page, true),
            (302, "", true),
        ] {
            let error = judged(TopicKind::Custom, status, body).unwrap_err();
            let is_suspect = error.failure() == Failure::Internal;
            assert_eq!(is_suspect, is_internal, "{error}");
            assert_eq!(error.to_string().contains("Data Sender"), !is_internal);
        }
    }

    #[test]
    fn what_is_said_is_told_without_the_key() {
        let body = r#"{"error":{"code":"Bad","message":"m","details":[{"message":"d"},{}]}}"#;
        let error = judged(TopicKind::Custom, 400, body).unwrap_err();
        assert!(error.to_string().ends_with(": Bad: m; d"), "{error}");
        let error = judged(TopicKind::Custom, 400, "key c2VjcmV0").unwrap_err();
        assert!(error.to_string().contains("withheld"), "{error}");
    }
}
