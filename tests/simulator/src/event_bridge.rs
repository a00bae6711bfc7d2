//! An event bus of Amazon `EventBridge`.
//!
//! It verifies every request as the service documents it: signature, clock, permission, number and
//! size of entries, and each entry by itself. Entries for a missing bus are acknowledged and
//! dropped, as AWS does.
//!
//! Simplified: tests see events as soon as they are acknowledged, there is no rule, and throttling
//! is a fault on demand.
//! <https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html>

use std::collections::VecDeque;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};

use crate::arrivals::Arrivals;
use crate::aws::{ACCOUNT, AwsAccount, REGION, Refusal};
use crate::server::{AtWork, Counter, Server};
use crate::sigv4::Signed;

const BUS: &str = "auth0";
/// Maximum bytes of all entries of a request together.
const LARGEST: usize = 1024 * 1024;
const MOST: usize = 10;
/// How far a signature's time may be from the current time.
const TOLERANCE: TimeDelta = TimeDelta::minutes(5);
/// The table from which tests read what arrived.
const TABLE: &str = "Auth0AM_CL";

/// A simulated bus.
#[derive(Debug)]
pub struct EventBus {
    server: Server,
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    account: AwsAccount,
    is_there: AtomicBool,
    may_describe: AtomicBool,
    may_put: AtomicBool,
    latency_ms: AtomicU64,
    at_work: AtWork,
    described: Counter,
    entries: AtomicUsize,
    dropped: AtomicUsize,
    codes: Mutex<VecDeque<Option<&'static str>>>,
    arrivals: Arrivals,
}

/// Every destination has [`Arrivals`], so tests read and disturb all of them in the same way.
impl Deref for EventBus {
    type Target = Arrivals;

    fn deref(&self) -> &Arrivals {
        &self.inner.arrivals
    }
}

impl EventBus {
    /// A bus that accepts events from this account.
    pub async fn start(account: AwsAccount) -> Self {
        let inner = Arc::new(Inner {
            account,
            is_there: AtomicBool::new(true),
            may_describe: AtomicBool::new(true),
            may_put: AtomicBool::new(true),
            latency_ms: AtomicU64::default(),
            at_work: AtWork::default(),
            described: Counter::default(),
            entries: AtomicUsize::default(),
            dropped: AtomicUsize::default(),
            codes: Mutex::default(),
            arrivals: Arrivals::default(),
        });
        let router = Router::new()
            .route("/", post(call))
            .with_state(Arc::clone(&inner));
        Self {
            server: Server::start(router).await,
            inner,
        }
    }

    /// The app settings that make the program use this bus, with the account's key.
    pub fn settings(&self) -> Vec<(String, String)> {
        let own = [
            ("EVENT_BRIDGE_BUS", BUS.to_owned()),
            ("AWS_REGION", REGION.to_owned()),
            ("EVENT_BRIDGE_ENDPOINT", self.server.url()),
        ]
        .map(|(name, value)| (name.to_owned(), value));
        [own.into(), AwsAccount::key()].concat()
    }

    /// The bus's name in policies.
    pub fn arn() -> String {
        format!("arn:aws:events:{REGION}:{ACCOUNT}:event-bus/{BUS}")
    }

    /// Deletes the bus, or makes it again.
    pub fn set_there(&self, is_there: bool) {
        self.inner.is_there.store(is_there, Ordering::Relaxed);
    }

    /// Revokes the permission `events:DescribeEventBus`.
    pub fn deny_describe(&self) {
        self.inner.may_describe.store(false, Ordering::Relaxed);
    }

    /// Revokes the permission `events:PutEvents`.
    pub fn deny_put(&self) {
        self.inner.may_put.store(false, Ordering::Relaxed);
    }

    /// Makes each request take this long.
    pub fn take(&self, latency_ms: u64) {
        self.inner.latency_ms.store(latency_ms, Ordering::Relaxed);
    }

    /// Refuses the next entries with these codes, one each; `None` accepts one.
    pub fn refuse_entries(&self, codes: impl IntoIterator<Item = Option<&'static str>>) {
        self.inner.codes().extend(codes);
    }

    /// How often the bus was described.
    pub fn described(&self) -> u64 {
        self.inner.described.get()
    }

    /// The number of entries so far, accepted or not.
    pub fn entries(&self) -> usize {
        self.inner.entries.load(Ordering::Relaxed)
    }

    /// The number of entries that were acknowledged and dropped.
    pub fn dropped(&self) -> usize {
        self.inner.dropped.load(Ordering::Relaxed)
    }

    /// The most requests that were in flight at the same time.
    pub fn most_in_flight(&self) -> usize {
        self.inner.at_work.most()
    }
}

async fn call(State(inner): State<Arc<Inner>>, request: Request<Body>) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 2 * LARGEST).await.unwrap_or_default();
    let target = parts.headers.get("x-amz-target").cloned();
    match target.as_ref().and_then(|it| it.to_str().ok()) {
        Some("AWSEvents.DescribeEventBus") => {
            inner.described.count();
            respond(inner.verify(&parts, &body).and_then(|()| inner.describe()))
        }
        Some("AWSEvents.PutEvents") => {
            let _at_work = inner.at_work.enter();
            let latency = inner.latency_ms.load(Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(latency)).await;
            let put = || respond(inner.verify(&parts, &body).and_then(|()| inner.put(&body)));
            inner.arrivals.answer(&body, put).await
        }
        _ => respond(Err(("UnknownOperationException", String::new()))),
    }
}

fn respond(answer: Result<Value, Refusal>) -> Response {
    match answer {
        Ok(value) => (StatusCode::OK, value.to_string()).into_response(),
        Err((code, message)) => {
            let error = json!({"__type": code, "message": message});
            (StatusCode::BAD_REQUEST, error.to_string()).into_response()
        }
    }
}

fn invalid(message: impl Into<String>) -> Refusal {
    ("ValidationException", message.into())
}

impl Inner {
    fn verify(&self, parts: &Parts, body: &Bytes) -> Result<(), Refusal> {
        let Some(signed) = Signed::of(&parts.headers) else {
            let message = "Missing Authentication Token".to_owned();
            return Err(("MissingAuthenticationTokenException", message));
        };
        let secret = self
            .account
            .secret(&signed.key_id, signed.token.as_deref())?;
        let bad = |message: String| Err(("InvalidSignatureException", message));
        if (Utc::now() - signed.at).abs() > TOLERANCE {
            return bad(format!("Signature expired: {} is now earlier", signed.at));
        }
        if (&*signed.region, &*signed.service) != (REGION, "events") {
            return bad("Credential should be scoped to a valid region.".into());
        }
        let (method, uri) = (&parts.method, &parts.uri);
        if !signed.is_by(&secret, method, uri, &parts.headers, body) {
            return bad("The request signature we calculated does not match.".into());
        }
        let content_type = parts.headers.get("content-type");
        if content_type.is_none_or(|it| it != "application/x-amz-json-1.1") {
            return Err(("UnknownOperationException", String::new()));
        }
        Ok(())
    }

    fn describe(&self) -> Result<Value, Refusal> {
        if !self.may_describe.load(Ordering::Relaxed) {
            return Err(denied("DescribeEventBus"));
        }
        if !self.is_there.load(Ordering::Relaxed) {
            let message = format!("Event bus {BUS} does not exist.");
            return Err(("ResourceNotFoundException", message));
        }
        Ok(json!({"Name": BUS, "Arn": EventBus::arn(), "CreationTime": 1_795_248_000.0}))
    }

    fn put(&self, body: &Bytes) -> Result<Value, Refusal> {
        if !self.may_put.load(Ordering::Relaxed) {
            return Err(denied("PutEvents"));
        }
        let request: Value = serde_json::from_slice(body).map_err(|_| invalid("no JSON"))?;
        let entries = request["Entries"].as_array();
        let entries = entries.filter(|it| (1..=MOST).contains(&it.len()));
        let entries = entries.ok_or_else(|| {
            invalid("Value at 'entries' failed to satisfy constraint: from 1 to 10 members")
        })?;
        self.entries.fetch_add(entries.len(), Ordering::Relaxed);
        if entries.iter().map(size).sum::<usize>() > LARGEST {
            return Err(invalid(
                "Total size of the entries in the request is over the limit.",
            ));
        }
        let results: Vec<Value> = entries.iter().map(|entry| self.judge(entry)).collect();
        let is_failed = |it: &&Value| it.get("ErrorCode").is_some();
        let failed = results.iter().filter(is_failed).count();
        self.arrivals.accepted(body.len());
        Ok(json!({"FailedEntryCount": failed, "Entries": results}))
    }

    fn judge(&self, entry: &Value) -> Value {
        match self.accept(entry) {
            Ok(()) => json!({"EventId": format!("{:032x}", fastrand::u128(..))}),
            Err((code, message)) => json!({"ErrorCode": code, "ErrorMessage": message}),
        }
    }

    fn accept(&self, entry: &Value) -> Result<(), Refusal> {
        if let Some(Some(code)) = self.codes().pop_front() {
            return Err((code, "as a test wants it".into()));
        }
        let text = |name: &str| entry[name].as_str().filter(|it| !it.is_empty());
        let required = |name: &str| {
            let message = format!("Parameter {name} is not valid. Reason: {name} is required.");
            text(name).ok_or(("InvalidArgument", message))
        };
        if required("Source")?.starts_with("aws.") {
            let message = "Not authorized for the source.".to_owned();
            return Err(("NotAuthorizedForSourceException", message));
        }
        required("DetailType")?;
        let detail = required("Detail")?;
        let malformed = || ("MalformedDetail", "Detail is malformed.".to_owned());
        let parsed: Value = serde_json::from_str(detail).map_err(|_| malformed())?;
        if !parsed.is_object() || self.arrivals.refuses(detail.as_bytes()) {
            return Err(malformed());
        }
        if !entry["Time"].is_null() && !entry["Time"].is_number() {
            let message = "Time is no timestamp.".to_owned();
            return Err(("InvalidArgument", message));
        }
        let is_this_bus = [BUS, &EventBus::arn()].contains(&required("EventBusName")?);
        if !is_this_bus || !self.is_there.load(Ordering::Relaxed) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return Ok(());
        }
        let mut event = entry.clone();
        event["Detail"] = parsed;
        let row = [
            ("log_id_s".to_owned(), event["Detail"]["log_id"].clone()),
            ("event".to_owned(), event),
        ];
        let mut tables = self.arrivals.tables();
        let table = tables.entry(TABLE.to_owned()).or_default();
        table.push(row.into(), None, Utc::now());
        Ok(())
    }

    fn codes(&self) -> std::sync::MutexGuard<'_, VecDeque<Option<&'static str>>> {
        self.codes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The size of an entry as the service counts it.
fn size(entry: &Value) -> usize {
    let length = |name: &str| entry[name].as_str().map_or(0, str::len);
    let time = if entry["Time"].is_null() { 0 } else { 14 };
    time + ["Source", "DetailType", "Detail"]
        .map(length)
        .iter()
        .sum::<usize>()
}

fn denied(action: &str) -> Refusal {
    let message = format!(
        "User: arn:aws:iam::{ACCOUNT}:user/logs is not authorized to perform: events:{action} on \
         resource: {}",
        EventBus::arn()
    );
    ("AccessDeniedException", message)
}
