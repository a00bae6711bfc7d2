//! A topic of Azure Event Grid, of both kinds: by itself, and in a namespace.
//!
//! It verifies every batch as the service documents it: address, version, credential, content type,
//! limits, and the form of `CloudEvents` 1.0. A batch is accepted as a whole or not at all.
//!
//! Simplified: tests see events as soon as the batch is answered, nobody is subscribed, and the
//! limits on events and bytes a second are faults on demand.
//! <https://learn.microsoft.com/azure/event-grid/cloud-event-schema>

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use crate::arrivals::Arrivals;
use crate::issuer::Issuer;
use crate::server::Server;

const KEY: &str = "c2ltdWxhdGVkLXRvcGljLWtleS0wMTIzNDU2Nzg5";
const AUDIENCE: &str = "https://eventgrid.azure.net";
const CUSTOM: &str = "/api/events";
const NAMESPACE: &str = "/topics/logs:publish";
/// Maximum bytes of a batch, and of an event.
const LARGEST: usize = 1024 * 1024;
/// The table from which tests read what arrived.
const TABLE: &str = "Auth0AM_CL";

/// A simulated topic.
#[derive(Debug)]
pub struct EventGridTopic {
    server: Server,
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    issuer: Issuer,
    has_role: AtomicBool,
    takes_cloud_events: AtomicBool,
    arrivals: Arrivals,
}

/// Every destination has [`Arrivals`], so tests read and disturb all of them in the same way.
impl Deref for EventGridTopic {
    type Target = Arrivals;

    fn deref(&self) -> &Arrivals {
        &self.inner.arrivals
    }
}

impl EventGridTopic {
    /// A topic that takes `CloudEvents`, with its key or with a token of any identity of the
    /// issuer.
    pub async fn start(issuer: Issuer) -> Self {
        let inner = Arc::new(Inner {
            issuer,
            has_role: AtomicBool::new(true),
            takes_cloud_events: AtomicBool::new(true),
            arrivals: Arrivals::default(),
        });
        let router = Router::new()
            .route(CUSTOM, post(publish))
            .route("/topics/{topic}", post(publish))
            .with_state(Arc::clone(&inner));
        Self {
            server: Server::start(router).await,
            inner,
        }
    }

    /// The app settings that make the program use it as a topic by itself, with its key.
    pub fn settings(&self) -> Vec<(String, String)> {
        [
            (
                "EVENT_GRID_ENDPOINT",
                format!("{}{CUSTOM}", self.server.url()),
            ),
            ("EVENT_GRID_KEY", KEY.to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// The endpoint of the topic in a namespace.
    pub fn namespace_endpoint(&self) -> String {
        format!("{}/topics/logs", self.server.url())
    }

    /// Secrets that must not appear anywhere.
    pub fn secrets() -> Vec<String> {
        vec![KEY.to_owned()]
    }

    /// Makes it a topic without an input schema, which takes events in Event Grid's own schema.
    pub fn take_other_events(&self) {
        self.inner
            .takes_cloud_events
            .store(false, Ordering::Relaxed);
    }

    /// Takes the role `EventGrid Data Sender` away from all identities.
    pub fn take_role(&self) {
        self.inner.has_role.store(false, Ordering::Relaxed);
    }
}

type Refusal = (StatusCode, &'static str, String);

/// `POST /api/events?api-version=2018-01-01` and
/// `POST /topics/{topic}:publish?api-version=2024-06-01`
async fn publish(
    State(inner): State<Arc<Inner>>,
    uri: Uri,
    Query(query): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let body = to_bytes(body, LARGEST).await;
    let post = body.as_ref().map(Bytes::clone).unwrap_or_default();
    let answer = || {
        let accepted = inner.verify(&uri, &query, &headers).and_then(|most| {
            let body = body.map_err(|_| too_large())?;
            inner.accept(&headers, &body, most)
        });
        match accepted {
            Ok(()) if uri.path() == CUSTOM => StatusCode::OK.into_response(),
            Ok(()) => (StatusCode::OK, "{}").into_response(),
            Err((status, code, message)) => {
                let error = json!({"error": {"code": code, "message": message, "details": []}});
                (status, error.to_string()).into_response()
            }
        }
    };
    inner.arrivals.answer(&post, answer).await
}

fn too_large() -> Refusal {
    let message = format!("The maximum size (in bytes) of a request is {LARGEST}.");
    (StatusCode::PAYLOAD_TOO_LARGE, "PayloadTooLarge", message)
}

fn bad(message: impl Into<String>) -> Refusal {
    (StatusCode::BAD_REQUEST, "BadRequest", message.into())
}

impl Inner {
    /// Checks that the batch is for this topic and from someone who may send. Returns how many
    /// events it may hold.
    fn verify(
        &self,
        uri: &Uri,
        query: &BTreeMap<String, String>,
        headers: &HeaderMap,
    ) -> Result<usize, Refusal> {
        let (versions, most, key) = match uri.path() {
            CUSTOM => (["2018-01-01"], 5_000, text(headers, "aeg-sas-key")),
            NAMESPACE => {
                let header = text(headers, "authorization");
                let key = header.and_then(|it| it.strip_prefix("SharedAccessKey "));
                (["2024-06-01"], 1_000, key)
            }
            _ => {
                let message = "The specified topic does not exist.".to_owned();
                return Err((StatusCode::NOT_FOUND, "NotFound", message));
            }
        };
        let version = query.get("api-version").map(String::as_str);
        if !version.is_some_and(|it| versions.contains(&it)) {
            return Err(bad("The api-version is missing or unknown."));
        }
        let token = text(headers, "authorization").and_then(|it| it.strip_prefix("Bearer "));
        let is_good = match (key, token) {
            (Some(key), _) => key == KEY,
            (None, Some(token)) => self.issuer.verify(token, AUDIENCE).is_ok(),
            (None, None) => false,
        };
        if !is_good {
            let message = "The request authorization key is not authorized.".to_owned();
            return Err((StatusCode::UNAUTHORIZED, "Unauthorized", message));
        }
        if key.is_none() && !self.has_role.load(Ordering::Relaxed) {
            let message = "The principal is not authorized to send data.".to_owned();
            return Err((StatusCode::FORBIDDEN, "Forbidden", message));
        }
        Ok(most)
    }

    fn accept(&self, headers: &HeaderMap, body: &Bytes, most: usize) -> Result<(), Refusal> {
        let content_type = text(headers, "content-type");
        if content_type != Some("application/cloudevents-batch+json; charset=utf-8") {
            let message = "The content type is not supported.".to_owned();
            let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            return Err((status, "UnsupportedMediaType", message));
        }
        if !self.takes_cloud_events.load(Ordering::Relaxed) {
            return Err(bad(
                "This resource is configured to receive event in 'EventGridEvent' schema. The JSON \
                 received does not conform to the expected schema.",
            ));
        }
        let malformed = || {
            bad(
                "This resource is configured to receive event in 'CloudEventV10' schema. The JSON \
                 received does not conform to the expected schema.",
            )
        };
        if self.arrivals.refuses(body) {
            return Err(malformed());
        }
        let events: Vec<Map<String, Value>> =
            serde_json::from_slice(body).map_err(|_| malformed())?;
        if events.len() > most {
            return Err(too_large());
        }
        if !events.iter().all(is_cloud_event) {
            return Err(malformed());
        }
        let now = Utc::now();
        let mut tables = self.arrivals.tables();
        let table = tables.entry(TABLE.to_owned()).or_default();
        for event in events {
            let id = event["id"].clone();
            let row = [
                ("log_id_s".to_owned(), id),
                ("event".to_owned(), event.into()),
            ];
            table.push(row.into(), None, now);
        }
        self.arrivals.accepted(body.len());
        Ok(())
    }
}

/// Whether an event has all required attributes, and only known ones.
fn is_cloud_event(event: &Map<String, Value>) -> bool {
    let filled = |name: &str| event.get(name)?.as_str().filter(|it| !it.is_empty());
    let required = ["id", "source", "type"];
    let known: BTreeSet<&str> = [
        "specversion",
        "id",
        "source",
        "type",
        "subject",
        "time",
        "datacontenttype",
        "dataschema",
        "data",
    ]
    .into();
    let is_uri = |it: &str| {
        it.bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'|')
    };
    filled("specversion") == Some("1.0")
        && required.iter().all(|name| filled(name).is_some())
        && filled("source").is_some_and(is_uri)
        && event.keys().all(|name| known.contains(&**name))
        && (!event.contains_key("subject") || filled("subject").is_some())
        && event.get("time").is_none_or(|time| {
            time.as_str()
                .is_some_and(|it| DateTime::parse_from_rfc3339(it).is_ok())
        })
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
