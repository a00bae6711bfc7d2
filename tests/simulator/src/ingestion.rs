//! A data collection rule as the Logs Ingestion API shows it, and the tables that it fills.
//!
//! It verifies every post as the service does. [`rule`](crate::rule) then does to the rows what the
//! service does after a 204. Every [`Loss`] is recorded, so that a test can assert that there is
//! none.
//!
//! Simplified: there is one rule, each stream fills the table of its name, rows are in the table as
//! soon as the post is answered, and the limits on bytes and requests a minute are faults on
//! demand.
//! <https://learn.microsoft.com/azure/azure-monitor/logs/logs-ingestion-api-overview>

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use chrono::Utc;
use flate2::read::MultiGzDecoder;
use serde_json::{Map, Value, json};

use crate::arrivals::Arrivals;
use crate::issuer::{Flaw, Issuer};
use crate::rule::{Loss, Rule, TIME, moment};
use crate::server::{Fault, Server};

const IMMUTABLE_ID: &str = "dcr-00a1b2c3d4e5f60718293a4b5c6d7e8f";
const STREAM: &str = "Custom-Auth0AM_CL";
/// The prefix that a stream's name has before that of its table.
const CUSTOM: &str = "Custom-";
const AUDIENCE: &str = "https://monitor.azure.com";
/// Maximum bytes of a post, both as sent and as JSON.
const LARGEST_POST: usize = 1024 * 1024;
/// How many bytes of a post are read to find that it is too large.
const LARGEST_BODY: usize = 64 * LARGEST_POST;

/// A simulated rule.
#[derive(Debug)]
pub struct DataCollectionRule {
    server: Server,
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// The streams, by the tables that they fill.
    streams: BTreeMap<&'static str, Rule>,
    forgotten: Mutex<BTreeSet<String>>,
    issuer: Issuer,
    has_role: AtomicBool,
    arrivals: Arc<Arrivals>,
    losses: Mutex<Vec<Loss>>,
    sent: Mutex<Vec<usize>>,
}

/// Every destination has [`Arrivals`], so tests read and disturb all of them in the same way.
impl Deref for DataCollectionRule {
    type Target = Arrivals;

    fn deref(&self) -> &Arrivals {
        &self.inner.arrivals
    }
}

impl DataCollectionRule {
    /// A rule with a stream into each of these empty tables. Every identity of the issuer has the
    /// role that it needs. Panics if Azure would refuse the rule.
    pub async fn start(
        streams: impl IntoIterator<Item = (&'static str, Rule)>,
        issuer: Issuer,
    ) -> Self {
        let streams: BTreeMap<_, _> = streams.into_iter().collect();
        streams.values().for_each(Rule::validate);
        let inner = Arc::new(Inner {
            streams,
            forgotten: Mutex::default(),
            issuer,
            has_role: AtomicBool::new(true),
            arrivals: Arc::default(),
            losses: Mutex::default(),
            sent: Mutex::default(),
        });
        let path = "/dataCollectionRules/{rule}/streams/{stream}";
        let router = Router::new()
            .route(path, post(ingest))
            .with_state(Arc::clone(&inner));
        Self {
            server: Server::start(router).await,
            inner,
        }
    }

    /// What arrives, for a query API over it.
    pub fn arrivals(&self) -> Arc<Arrivals> {
        Arc::clone(&self.inner.arrivals)
    }

    /// The app settings that make the program use this rule.
    pub fn settings(&self) -> Vec<(String, String)> {
        [
            ("DCR_ENDPOINT", self.server.url()),
            ("DCR_IMMUTABLE_ID", IMMUTABLE_ID.to_owned()),
            ("DCR_STREAM", STREAM.to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// Secrets that must not appear anywhere: the beginning of every token. The rule has none
    /// itself.
    pub fn secrets(&self) -> Vec<String> {
        Issuer::secrets()
    }

    /// The losses after a 204 so far.
    pub fn losses(&self) -> Vec<Loss> {
        let losses = self.inner.losses.lock();
        losses.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The length of each accepted post as it was sent, compressed or not.
    pub fn sent(&self) -> Vec<usize> {
        let sent = self.inner.sent.lock();
        sent.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes the role Monitoring Metrics Publisher away from all identities.
    pub fn take_role(&self) {
        self.inner.has_role.store(false, Ordering::Relaxed);
    }

    /// Gives the role back.
    pub fn give_role(&self) {
        self.inner.has_role.store(true, Ordering::Relaxed);
    }

    /// Removes the stream into this table.
    pub fn forget_stream(&self, table: &str) {
        let forgotten = self.inner.forgotten.lock();
        forgotten
            .unwrap_or_else(PoisonError::into_inner)
            .insert(table.to_owned());
    }
}

/// The answer to a post over the limits, which may be repeated after `retry_after` seconds.
pub fn too_many_requests(retry_after: u32) -> Fault {
    Fault::Answer {
        status: 429,
        headers: vec![
            ("retry-after", retry_after.to_string()),
            ("x-ms-error-code", "TooManyRequests".to_owned()),
        ],
        body: error("TooManyRequests", "Too many requests.").into(),
    }
}

type Parameters = BTreeMap<String, String>;

/// `POST /dataCollectionRules/{rule}/streams/{stream}?api-version=2023-01-01`
async fn ingest(
    State(inner): State<Arc<Inner>>,
    Path((rule, stream)): Path<(String, String)>,
    Query(query): Query<Parameters>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let body = to_bytes(body, LARGEST_BODY).await;
    let post = body.as_ref().map(Bytes::clone).unwrap_or_default();
    let answer = || {
        let accepted = inner
            .verify(&rule, &stream, &query, &headers)
            .and_then(|()| body.map_err(|_| too_large()))
            .and_then(|body| inner.accept(&stream, &headers, &body));
        match accepted {
            Ok(()) => StatusCode::NO_CONTENT.into_response(),
            Err(refusal) => refusal.into_response(),
        }
    };
    inner.arrivals.answer(&post, answer).await
}

struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl Refusal {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        let message = message.into();
        Self {
            status,
            code,
            message,
        }
    }

    fn into_response(self) -> Response {
        let headers = [
            ("content-type", "application/json"),
            ("x-ms-error-code", self.code),
        ];
        let body = error(self.code, &self.message);
        (self.status, headers, body).into_response()
    }
}

fn error(code: &str, message: &str) -> String {
    json!({"error": {"code": code, "message": message}}).to_string()
}

fn bad(code: &'static str, message: impl Into<String>) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, code, message)
}

fn too_large() -> Refusal {
    let status = StatusCode::PAYLOAD_TOO_LARGE;
    let message = format!("The maximum size of a post is {LARGEST_POST} bytes.");
    Refusal::new(status, "ContentLengthLimitExceeded", message)
}

impl Inner {
    /// Checks that the post is for this rule and from someone who may send.
    fn verify(
        &self,
        rule: &str,
        stream: &str,
        query: &Parameters,
        headers: &HeaderMap,
    ) -> Result<(), Refusal> {
        match query.get("api-version").map(String::as_str) {
            Some("2023-01-01") => {}
            Some(_) => return Err(bad("InvalidApiVersion", "The API version is unknown.")),
            None => return Err(bad("MissingApiVersion", "The API version is missing.")),
        }
        let unauthorized = |code, message| Refusal::new(StatusCode::UNAUTHORIZED, code, message);
        let token = text(headers, "authorization").and_then(|it| it.strip_prefix("Bearer "));
        let token = token.ok_or_else(|| unauthorized("MissingToken", "There is no token."))?;
        self.issuer
            .verify(token, AUDIENCE)
            .map_err(|flaw| match flaw {
                Flaw::Unknown => unauthorized("InvalidToken", "The token is not valid."),
                Flaw::Expired => unauthorized("InvalidToken", "The token has expired."),
                Flaw::WrongAudience => {
                    unauthorized("InvalidAudience", "The token's audience is wrong.")
                }
            })?;
        if rule != IMMUTABLE_ID {
            let message = format!("Data collection rule with immutable Id '{rule}' not found.");
            return Err(Refusal::new(StatusCode::NOT_FOUND, "NotFound", message));
        }
        if !self.has_role.load(Ordering::Relaxed) {
            let message = format!(
                "The authentication token provided does not have access to ingest data for the \
                 data collection rule with immutable Id '{rule}'."
            );
            let status = StatusCode::FORBIDDEN;
            return Err(Refusal::new(status, "OperationFailed", message));
        }
        if self.stream(stream).is_none() {
            let message = format!(
                "The stream {stream} was not configured in the data collection rule with \
                 immutable Id {rule}."
            );
            return Err(bad("InvalidStream", message));
        }
        Ok(())
    }

    /// The table that a stream fills, and its rule.
    fn stream(&self, name: &str) -> Option<(&'static str, &Rule)> {
        let table = name.strip_prefix(CUSTOM)?;
        let forgotten = self.forgotten.lock();
        if forgotten
            .unwrap_or_else(PoisonError::into_inner)
            .contains(table)
        {
            return None;
        }
        let found = self.streams.get_key_value(table);
        found.map(|(table, rule)| (*table, rule))
    }

    /// Stores the post's records if they can be read.
    fn accept(&self, stream: &str, headers: &HeaderMap, body: &Bytes) -> Result<(), Refusal> {
        let content_type = text(headers, "content-type").unwrap_or_default();
        let media_type = content_type.split(';').next().unwrap_or_default();
        if media_type.trim() != "application/json" {
            let message = "The content type has to be application/json.";
            return Err(unsupported(message));
        }
        let post = decode(text(headers, "content-encoding"), body)?;
        if self.arrivals.refuses(&post) {
            return Err(bad("InvalidPayload", "The post is refused."));
        }
        let records: Vec<Map<String, Value>> = serde_json::from_slice(&post)
            .map_err(|_| bad("InvalidPayload", "The post is no JSON array of objects."))?;

        let now = Utc::now();
        let Some((table, rule)) = self.stream(stream) else {
            return Ok(());
        };
        let mut tables = self.arrivals.tables();
        let table = tables.entry(table.to_owned()).or_default();
        let losses = self.losses.lock();
        let mut losses = losses.unwrap_or_else(PoisonError::into_inner);
        for record in records {
            if self.arrivals.drops() {
                continue;
            }
            let mut row = rule.row(record, &mut losses);
            let date = row.remove(TIME);
            let date = date.and_then(|date| moment(date.as_str()?));
            table.push(row, date, now);
        }
        self.arrivals.accepted(post.len());
        let sent = self.sent.lock();
        sent.unwrap_or_else(PoisonError::into_inner)
            .push(body.len());
        Ok(())
    }
}

/// The body as JSON, decompressed if it is compressed.
fn decode(encoding: Option<&str>, body: &Bytes) -> Result<Bytes, Refusal> {
    if body.len() > LARGEST_POST {
        return Err(too_large());
    }
    match encoding {
        None => Ok(body.clone()),
        Some("gzip") => {
            let mut json = Vec::new();
            MultiGzDecoder::new(&**body)
                .take(LARGEST_POST as u64 + 1)
                .read_to_end(&mut json)
                .map_err(|_| bad("InvalidPayload", "The post is not compressed with gzip."))?;
            if json.len() > LARGEST_POST {
                return Err(too_large());
            }
            Ok(json.into())
        }
        Some(_) => Err(unsupported("The content encoding has to be gzip.")),
    }
}

fn unsupported(message: &str) -> Refusal {
    let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    Refusal::new(status, "UnsupportedMediaType", message)
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests;
