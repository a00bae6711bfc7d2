//! An Auth0 tenant: its token endpoint and its log.
//!
//! What Auth0 documents or was seen to do is done here; where its behaviour is not known, a test
//! chooses (see [`SyntheticIds`]).

mod answers;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::routing::{get, post};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use crate::bucket::Bucket;
use crate::records::Generator;
use crate::server::{AtWork, Counter, Fault, Faults, Server};

const CLIENT_ID: &str = "simulated-client-id-aK3bQ9xTz1Lm";
const CLIENT_SECRET: &str = "simulated-client-secret-9x8y7z6w5v4u3t2s1r0q";
/// The tenant's own domain. It is served on loopback, as behind a custom domain, so that the
/// audience is another than the address.
const DOMAIN: &str = "acme.eu.auth0.com";
const LARGEST_PAGE: usize = 100;
/// The field that says how large a record is.
const BYTES: &str = "simulated_bytes";

/// What the tenant makes of an id that it never issued, as reading from a time needs it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SyntheticIds {
    /// A lower bound like any other: what other collectors rely on.
    Taken,
    /// 400, as for an id that has expired.
    Rejected,
    /// An empty page.
    Ignored,
    /// The newest records, as where no id was given.
    Unheeded,
}

/// What the tenant makes of the id of a record whose retention is over.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ExpiredIds {
    /// 400: what another collector's authors met.
    Rejected,
    /// 404.
    NotFound,
    /// A lower bound like any other: the page begins with the oldest record left.
    Taken,
    /// An empty page.
    Ignored,
}

/// How the tenant behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// What it makes of ids that have expired.
    pub expired_ids: ExpiredIds,
    /// What it makes of ids that it never issued.
    pub synthetic_ids: SyntheticIds,
    /// Whether each exchange of a token leaves an event in the log, as it does at Auth0.
    pub token_events: bool,
    /// Seconds that a token lives.
    pub token_life: i64,
    /// What it says of that instead of the truth, as JSON.
    pub told_life: Option<String>,
    /// The scopes of a token, until others are [granted](Tenant::grant).
    pub scope: &'static str,
    /// The Management API's identifier.
    pub audience: &'static str,
    /// Whether a search for some fields only answers with all of them.
    pub ignores_fields: bool,
    /// Whether a search for all times shows records without a date as well, as the oldest of all.
    pub finds_dateless: bool,
    /// Records that it returns at once, even where more are asked for.
    pub largest_page: usize,
    /// Requests in the bucket, and requests a minute that fill it again.
    pub rate_limit: (u64, u64),
    /// Time that it takes to answer a request for log records.
    pub latency: std::time::Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            expired_ids: ExpiredIds::Rejected,
            synthetic_ids: SyntheticIds::Taken,
            token_events: true,
            token_life: 86_400,
            told_life: None,
            scope: "read:logs read:logs_users",
            audience: "https://acme.eu.auth0.com/api/v2/",
            ignores_fields: false,
            finds_dateless: false,
            largest_page: LARGEST_PAGE,
            // Out of the way; a test of the limit sets its own.
            rate_limit: (1_000, 60_000),
            latency: std::time::Duration::ZERO,
        }
    }
}

/// A simulated tenant.
#[derive(Debug)]
pub struct Tenant {
    server: Server,
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    options: Options,
    state: Mutex<Log>,
    token_requests: Counter,
    token_faults: Faults,
    log_requests: Counter,
    logs_at_work: AtWork,
    log_faults: Faults,
}

#[derive(Debug)]
struct Log {
    generator: Generator,
    records: BTreeMap<String, Value>,
    issued: HashSet<String>,
    tokens: HashMap<String, Issued>,
    /// The scopes of the next token.
    scope: &'static str,
    bucket: Bucket,
    serial: u64,
}

/// A token that was issued.
#[derive(Debug)]
struct Issued {
    expires: DateTime<Utc>,
    scope: &'static str,
}

impl Tenant {
    /// A tenant with an empty log that behaves as Auth0 does.
    pub async fn start() -> Self {
        Self::with(Options::default()).await
    }

    /// A tenant with an empty log.
    pub async fn with(options: Options) -> Self {
        let inner = Arc::new(Inner {
            state: Mutex::new(Log {
                generator: Generator::seeded(1),
                records: BTreeMap::new(),
                issued: HashSet::new(),
                tokens: HashMap::new(),
                scope: options.scope,
                bucket: Bucket::full(options.rate_limit, Utc::now()),
                serial: 0,
            }),
            options,
            token_requests: Counter::default(),
            token_faults: Faults::default(),
            log_requests: Counter::default(),
            logs_at_work: AtWork::default(),
            log_faults: Faults::default(),
        });
        let router = Router::new()
            .route("/oauth/token", post(answers::token))
            .route("/api/v2/logs", get(answers::logs))
            .route("/api/v2/logs/{id}", get(answers::one))
            .with_state(Arc::clone(&inner));
        Self {
            server: Server::start(router).await,
            inner,
        }
    }

    /// The app settings that reach it.
    pub fn settings(&self) -> Vec<(String, String)> {
        [
            ("DOMAIN", self.server.url()),
            ("AUDIENCE", self.inner.options.audience.to_owned()),
            ("CLIENT_ID", CLIENT_ID.to_owned()),
            ("CLIENT_SECRET", CLIENT_SECRET.to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// What must not appear anywhere: the secret and every token issued so far.
    pub fn secrets(&self) -> Vec<String> {
        let tokens = self.log().tokens.keys().cloned().collect::<Vec<_>>();
        [vec![CLIENT_SECRET.to_owned()], tokens].concat()
    }

    /// Makes this many records, dated within a range, each stored some seconds after its date.
    /// Answers with their ids.
    pub fn generate(&self, count: usize, from: DateTime<Utc>, to: DateTime<Utc>) -> Vec<String> {
        let mut log = self.log();
        (0..count)
            .map(|_| {
                let date = log.generator.time(from, to);
                let record = log.generator.record(date);
                let delay = log.generator.storing_delay();
                log.store(record, date + delay)
            })
            .collect()
    }

    /// Puts a record into the log that was stored at this time, and answers with its id.
    /// If that is before ids that have been read already, the record becomes visible late.
    pub fn add(&self, record: Value, stored: DateTime<Utc>) -> String {
        let Value::Object(record) = record else {
            panic!("a record is an object");
        };
        self.log().store(record, stored)
    }

    /// Puts a record into the log under an id of the test's choosing.
    pub fn add_as(&self, id: &str, record: Value) {
        let Value::Object(record) = record else {
            panic!("a record is an object");
        };
        self.log().store_as(id.to_owned(), record);
    }

    /// Puts a record into the log of which nobody is told the id.
    pub fn add_nameless(&self, record: Value, stored: DateTime<Utc>) {
        let id = self.add(record, stored);
        let mut log = self.log();
        let record = log.records.get_mut(&id).and_then(Value::as_object_mut);
        if let Some(record) = record {
            record.retain(|name, _| !matches!(name.as_str(), "log_id" | "_id"));
        }
    }

    /// Puts a record of so many bytes into the log. Its answers have them as white space, which is
    /// made faster.
    pub fn add_large(&self, mut record: Value, bytes: usize, stored: DateTime<Utc>) -> String {
        record[BYTES] = bytes.into();
        self.add(record, stored)
    }

    /// Drops the records stored before this time: their retention is over.
    pub fn expire_before(&self, time: DateTime<Utc>) {
        let oldest = bound(time);
        self.log().records.retain(|id, _| *id >= oldest);
    }

    /// The ids in the log, ascending.
    pub fn log_ids(&self) -> Vec<String> {
        self.log().records.keys().cloned().collect()
    }

    /// The `type` of each record, by id.
    pub fn types(&self) -> BTreeMap<String, String> {
        let kind = |record: &Value| record["type"].as_str().unwrap_or_default().to_owned();
        let log = self.log();
        let records = log.records.iter();
        records
            .map(|(id, record)| (id.clone(), kind(record)))
            .collect()
    }

    /// Tokens asked for so far.
    pub fn token_requests(&self) -> u64 {
        self.inner.token_requests.get()
    }

    /// Requests for log records so far.
    pub fn log_requests(&self) -> u64 {
        self.inner.log_requests.get()
    }

    /// The most requests for log records that were under way at a time.
    pub fn most_at_once(&self) -> usize {
        self.inner.logs_at_work.most()
    }

    /// Waits for the `least`th request for log records.
    pub async fn wait_for_log_request(&self, least: u64) {
        self.inner.log_requests.wait_for(least).await;
    }

    /// Lets every token issued so far be refused from now on.
    pub fn revoke_tokens(&self) {
        let past = DateTime::UNIX_EPOCH;
        self.log()
            .tokens
            .values_mut()
            .for_each(|token| token.expires = past);
    }

    /// Gives the application these scopes: tokens issued from now on have them.
    pub fn grant(&self, scope: &'static str) {
        self.log().scope = scope;
    }

    /// What happens to the coming requests for a token.
    pub fn fail_tokens(&self, faults: impl IntoIterator<Item = Fault>) {
        self.inner.token_faults.add(faults);
    }

    /// What happens to the coming requests for log records.
    pub fn fail_logs(&self, faults: impl IntoIterator<Item = Fault>) {
        self.inner.log_faults.add(faults);
    }

    /// Lets this share of all requests fail from now on, in the same way for the same seed.
    pub fn fail_at_random(&self, seed: u64, share: f64) {
        self.inner.token_faults.at_random(seed, share);
        self.inner.log_faults.at_random(seed + 1, share);
    }

    /// Answers the coming requests as it should, whatever was to happen to them.
    pub fn stop_failing(&self) {
        self.inner.token_faults.clear();
        self.inner.log_faults.clear();
    }

    fn log(&self) -> std::sync::MutexGuard<'_, Log> {
        self.inner.log()
    }
}

impl Inner {
    fn log(&self) -> std::sync::MutexGuard<'_, Log> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log {
    fn store(&mut self, record: Map<String, Value>, stored: DateTime<Utc>) -> String {
        self.serial += 1;
        let id = format!(
            "900{}{:033}",
            stored.format("%Y%m%d%H%M%S%6f"),
            1_223_372_037_583_230_452_u64 + self.serial
        );
        self.store_as(id.clone(), record);
        id
    }

    fn store_as(&mut self, id: String, mut record: Map<String, Value>) {
        record.insert("log_id".into(), id.clone().into());
        record.insert("_id".into(), id.clone().into());
        self.issued.insert(id.clone());
        self.records.insert(id, Value::Object(record));
    }
}

/// The smallest id that could be stored at this time.
fn bound(time: DateTime<Utc>) -> String {
    format!("900{}{:033}", time.format("%Y%m%d%H%M%S%6f"), 0)
}
