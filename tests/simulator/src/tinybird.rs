//! A Tinybird workspace with one data source, as the Events API shows it.
//!
//! It verifies every request as the API's reference documents it: name, `wait`, token and scope,
//! compression and size. Each row is judged by itself: one that does not fit the columns of
//! Tinybird's guide to Auth0 goes into quarantine, while the answer is still 200.
//!
//! It is stricter than Tinybird: a column accepts only its own type, and nothing is converted. How
//! `ClickHouse` itself treats the rows is tested with `ClickHouse`.
//! <https://www.tinybird.co/docs/api-reference/events-api>

use std::collections::BTreeMap;
use std::io::Read as _;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use chrono::{NaiveDateTime, Utc};
use flate2::read::GzDecoder;
use serde_json::{Value, json};

use crate::arrivals::Arrivals;
use crate::server::Server;

const TOKEN: &str = "p.eyJ1IjogInNpbXVsYXRlZCJ9.0Pzq7sGmS1dM4vN8aXw2YkTtRbJcUeHf";
const NAME: &str = "auth0";
/// Maximum bytes of a request before compression.
const LARGEST: usize = 10_000_000;
/// The table from which tests read what arrived.
const TABLE: &str = "Auth0AM_CL";
/// The text columns.
const TEXTS: [&str; 18] = [
    "type",
    "client_name",
    "user_id",
    "connection_id",
    "ip",
    "log_id",
    "user_name",
    "client_id",
    "client_ip",
    "tenant_name",
    "description",
    "connection",
    "audience",
    "user_agent",
    "hostname",
    "strategy",
    "strategy_type",
    "tracking_id",
];

/// A simulated workspace.
#[derive(Debug)]
pub struct TinybirdWorkspace {
    server: Server,
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    arrivals: Arrivals,
    /// The rows as they were sent, including those in quarantine.
    lines: Mutex<Vec<String>>,
    /// Texts that put a row into quarantine.
    unfit: Mutex<Vec<String>>,
    quarantined: Mutex<Vec<String>>,
    lacks_scope: AtomicBool,
    lacks_source: AtomicBool,
}

/// Every destination has [`Arrivals`], so tests read and disturb all of them in the same way.
impl Deref for TinybirdWorkspace {
    type Target = Arrivals;

    fn deref(&self) -> &Arrivals {
        &self.inner.arrivals
    }
}

impl TinybirdWorkspace {
    /// A workspace with an empty data source.
    pub async fn start() -> Self {
        let inner = Arc::<Inner>::default();
        let router = Router::new()
            .route("/v0/events", post(events))
            .with_state(Arc::clone(&inner));
        Self {
            server: Server::start(router).await,
            inner,
        }
    }

    /// The app settings that make the program use this workspace.
    pub fn settings(&self) -> Vec<(String, String)> {
        [
            ("TINYBIRD_HOST", self.server.url()),
            ("TINYBIRD_TOKEN", TOKEN.to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// Secrets that must not appear anywhere.
    pub fn secrets() -> Vec<String> {
        vec![TOKEN.to_owned()]
    }

    /// The accepted rows as they were sent, including those in quarantine.
    pub fn lines(&self) -> Vec<String> {
        lock(&self.inner.lines).clone()
    }

    /// The log ids in quarantine.
    pub fn quarantined(&self) -> Vec<String> {
        lock(&self.inner.quarantined).clone()
    }

    /// Puts every row that contains this text into quarantine.
    pub fn quarantine(&self, text: &str) {
        lock(&self.inner.unfit).push(text.to_owned());
    }

    /// Takes the scope away from the token.
    pub fn take_scope(&self) {
        self.inner.lacks_scope.store(true, Ordering::Relaxed);
    }

    /// Removes the data source.
    pub fn remove_source(&self) {
        self.inner.lacks_source.store(true, Ordering::Relaxed);
    }
}

type Refusal = (StatusCode, &'static str);

/// `POST /v0/events?name=auth0&wait=true`
async fn events(
    State(inner): State<Arc<Inner>>,
    Query(query): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let body = to_bytes(body, LARGEST).await;
    let post = body.as_ref().map(Bytes::clone).unwrap_or_default();
    let answer = || {
        let accepted = inner.verify(&query, &headers).and_then(|()| {
            let body = body.map_err(|_| too_large())?;
            inner.accept(&headers, &body)
        });
        match accepted {
            Ok(told) => (StatusCode::OK, told.to_string()).into_response(),
            Err((status, error)) => {
                let documentation = "https://docs.tinybird.co/api-reference/events-api.html";
                let error = json!({"error": error, "documentation": documentation});
                (status, error.to_string()).into_response()
            }
        }
    };
    inner.arrivals.answer(&post, answer).await
}

fn too_large() -> Refusal {
    (StatusCode::PAYLOAD_TOO_LARGE, "the request is over 10 MB")
}

impl Inner {
    fn verify(&self, query: &BTreeMap<String, String>, headers: &HeaderMap) -> Result<(), Refusal> {
        let token = text(headers, "authorization").and_then(|it| it.strip_prefix("Bearer "));
        if token != Some(TOKEN) || query.contains_key("token") {
            return Err((StatusCode::FORBIDDEN, "invalid authentication token"));
        }
        if self.lacks_scope.load(Ordering::Relaxed) {
            let error = "the token has no scope DATASOURCES:APPEND:auth0";
            return Err((StatusCode::FORBIDDEN, error));
        }
        let name = query.get("name").map(String::as_str);
        if name != Some(NAME) || self.lacks_source.load(Ordering::Relaxed) {
            return Err((StatusCode::BAD_REQUEST, "Data Source not found"));
        }
        if query.get("wait").map(String::as_str) != Some("true") {
            // Without it the answer does not tell whether the rows are stored.
            return Err((StatusCode::ACCEPTED, ""));
        }
        Ok(())
    }

    fn accept(&self, headers: &HeaderMap, body: &Bytes) -> Result<Value, Refusal> {
        if text(headers, "content-encoding") != Some("gzip") {
            return Err((StatusCode::BAD_REQUEST, "the rows are not compressed"));
        }
        let mut lines = String::new();
        let mut decoder = GzDecoder::new(&body[..]).take(LARGEST as u64 + 1);
        if decoder.read_to_string(&mut lines).is_err() {
            return Err((StatusCode::BAD_REQUEST, "the rows are no text in gzip"));
        }
        if lines.len() > LARGEST {
            return Err(too_large());
        }
        if self.arrivals.refuses(lines.as_bytes()) {
            return Err((StatusCode::BAD_REQUEST, "invalid NDJSON"));
        }
        let unfit = lock(&self.unfit).clone();
        let now = Utc::now();
        let mut tables = self.arrivals.tables();
        let table = tables.entry(TABLE.to_owned()).or_default();
        let (mut stored, mut quarantined) = (0, 0);
        for line in lines.lines() {
            let row: Value = serde_json::from_str(line).unwrap_or_default();
            let id = row["log_id"].as_str().unwrap_or_default().to_owned();
            lock(&self.lines).push(line.to_owned());
            if fits(&row) && !unfit.iter().any(|it| line.contains(it.as_str())) {
                stored += 1;
                let row = [("log_id_s".to_owned(), json!(id)), ("row".to_owned(), row)];
                table.push(row.into(), None, now);
            } else {
                quarantined += 1;
                lock(&self.quarantined).push(id);
            }
        }
        if stored + quarantined > 0 {
            self.arrivals.accepted(lines.len());
        }
        Ok(json!({"successful_rows": stored, "quarantined_rows": quarantined}))
    }
}

/// Whether a row fits the columns without a conversion.
fn fits(row: &Value) -> bool {
    let data = &row["data"];
    let is_text = |name: &&str| data.get(*name).is_none_or(Value::is_string);
    let is_date = |date: &Value| {
        let format = "%Y-%m-%d %H:%M:%S%.3f";
        let text = date.as_str();
        text.is_some_and(|it| it.len() == 23 && NaiveDateTime::parse_from_str(it, format).is_ok())
    };
    let scope = data["scope"].as_array();
    row["log_id"].is_string()
        && data.is_object()
        && TEXTS.iter().all(is_text)
        && data.get("date").is_none_or(is_date)
        && scope.is_some_and(|it| it.iter().all(Value::is_string))
        && data["auth0_client"].is_object()
        && data["details"].is_object()
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
