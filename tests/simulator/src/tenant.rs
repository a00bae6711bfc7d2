//! An Auth0 tenant: its token endpoint and its log.
//!
//! It does what Auth0 documents or was observed to do. Where Auth0's behaviour is not known, a test
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
/// The tenant's own domain. The tenant is served on loopback, as if behind a custom domain, so the
/// audience differs from the address.
const DOMAIN: &str = "acme.eu.auth0.com";
const LARGEST_PAGE: usize = 100;
/// The field that holds the simulated size of a record.
const BYTES: &str = "simulated_bytes";

/// How the tenant treats an id that it never issued. Reading from a time uses such ids.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SyntheticIds {
    /// Like any other id, as a lower bound. Other collectors rely on this.
    Taken,
    /// Answers 400, as for an expired id.
    Rejected,
    /// Answers 404.
    NotFound,
    /// Answers an empty page.
    Ignored,
    /// Answers the newest records, as if there were no id.
    Unheeded,
}

/// How the tenant treats the id of a record whose retention is over.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ExpiredIds {
    /// Answers 400, which the authors of another collector met.
    Rejected,
    /// Answers 404.
    NotFound,
    /// Like any other id, as a lower bound: the page begins with the oldest record left.
    Taken,
    /// Answers an empty page.
    Ignored,
}

/// How the tenant behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// How it treats ids that have expired.
    pub expired_ids: ExpiredIds,
    /// How it treats ids that it never issued.
    pub synthetic_ids: SyntheticIds,
    /// Whether each exchange for a token leaves an event in the log, as at Auth0.
    pub token_events: bool,
    /// The life of a token, in seconds.
    pub token_life: i64,
    /// What it says about the life instead of the truth, as JSON.
    pub told_life: Option<String>,
    /// The scopes of a token until a test [grants](Tenant::grant) others.
    pub scope: &'static str,
    /// The identifier of the Management API.
    pub audience: &'static str,
    /// Whether a search that asks for some fields returns all.
    pub ignores_fields: bool,
    /// Whether a search for all times also finds records without a date, before all others.
    pub finds_dateless: bool,
    /// The most records that it returns at once, even if more are asked for.
    pub largest_page: usize,
    /// Size of the rate limit's bucket, and requests a minute that refill it.
    pub rate_limit: (u64, u64),
    /// The time to answer a request for log records.
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
            // High enough to be irrelevant. Tests of the limit set their own.
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
    page_fault: Mutex<Option<PageFault>>,
    failed_pages: Counter,
    single_fault: Mutex<Option<Fault>>,
}

/// Which answers fail for the records in them, and how.
#[derive(Debug)]
struct PageFault {
    most: usize,
    ids: Vec<String>,
    fault: Fault,
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
            page_fault: Mutex::default(),
            failed_pages: Counter::default(),
            single_fault: Mutex::default(),
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

    /// The app settings that make the program use this tenant.
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

    /// Secrets that must not appear anywhere: the client secret, and every token issued so far.
    pub fn secrets(&self) -> Vec<String> {
        let tokens = self.log().tokens.keys().cloned().collect::<Vec<_>>();
        [vec![CLIENT_SECRET.to_owned()], tokens].concat()
    }

    /// Makes `count` records, dated within a range and each stored some seconds after its date.
    /// Returns their ids.
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

    /// Adds a record that was stored at this time, and returns its id. If later ids have been read
    /// already, the record becomes visible late.
    pub fn add(&self, record: Value, stored: DateTime<Utc>) -> String {
        let Value::Object(record) = record else {
            panic!("a record is an object");
        };
        self.log().store(record, stored)
    }

    /// Adds a record under an id that the test chooses.
    pub fn add_as(&self, id: &str, record: Value) {
        let Value::Object(record) = record else {
            panic!("a record is an object");
        };
        self.log().store_as(id.to_owned(), record);
    }

    /// Adds a record whose id is not shown in answers.
    pub fn add_nameless(&self, record: Value, stored: DateTime<Utc>) {
        let id = self.add(record, stored);
        let mut log = self.log();
        let record = log.records.get_mut(&id).and_then(Value::as_object_mut);
        if let Some(record) = record {
            record.retain(|name, _| !matches!(name.as_str(), "log_id" | "_id"));
        }
    }

    /// Adds a record of `bytes` bytes, and returns its id. Answers contain the bytes as white
    /// space, which is made faster.
    pub fn add_large(&self, mut record: Value, bytes: usize, stored: DateTime<Utc>) -> String {
        record[BYTES] = bytes.into();
        self.add(record, stored)
    }

    /// Drops the records that were stored before this time, as if their retention were over.
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

    /// The number of requests for a token so far.
    pub fn token_requests(&self) -> u64 {
        self.inner.token_requests.get()
    }

    /// The number of requests for log records so far.
    pub fn log_requests(&self) -> u64 {
        self.inner.log_requests.get()
    }

    /// The most requests for log records that were in progress at the same time.
    pub fn most_at_once(&self) -> usize {
        self.inner.logs_at_work.most()
    }

    /// Waits until `least` requests for log records have come.
    pub async fn wait_for_log_request(&self, least: u64) {
        self.inner.log_requests.wait_for(least).await;
    }

    /// From now on refuses every token issued so far.
    pub fn revoke_tokens(&self) {
        let past = DateTime::UNIX_EPOCH;
        self.log()
            .tokens
            .values_mut()
            .for_each(|token| token.expires = past);
    }

    /// Gives the application these scopes. Tokens issued from now on have them.
    pub fn grant(&self, scope: &'static str) {
        self.log().scope = scope;
    }

    /// Applies these faults to the next requests for a token, one to each.
    pub fn fail_tokens(&self, faults: impl IntoIterator<Item = Fault>) {
        self.inner.token_faults.add(faults);
    }

    /// Applies these faults to the next requests for log records, one to each.
    pub fn fail_logs(&self, faults: impl IntoIterator<Item = Fault>) {
        self.inner.log_faults.add(faults);
    }

    /// From now on fails like this each answer with more than `most` whole records, or with one of these
    /// ids. A record of which a search returns only some fields is not whole.
    pub fn fail_pages(&self, most: usize, ids: &[String], fault: Fault) {
        let ids = ids.to_vec();
        *self.inner.page_fault() = Some(PageFault { most, ids, fault });
    }

    /// The number of answers that failed for the records in them.
    pub fn failed_pages(&self) -> u64 {
        self.inner.failed_pages.get()
    }

    /// Lets pages be read again whatever is in them.
    pub fn stop_failing_pages(&self) {
        *self.inner.page_fault() = None;
    }

    /// From now on fails like this each request for a record by its id.
    pub fn fail_single_records(&self, fault: Fault) {
        *self.inner.single_fault() = Some(fault);
    }

    /// From now on lets this share of requests fail. The same seed gives the same failures.
    pub fn fail_at_random(&self, seed: u64, share: f64) {
        self.inner.token_faults.at_random(seed, share);
        self.inner.log_faults.at_random(seed + 1, share);
    }

    /// Drops all waiting faults, so that the next requests are answered normally.
    pub fn stop_failing(&self) {
        self.inner.token_faults.clear();
        self.inner.log_faults.clear();
    }

    fn log(&self) -> std::sync::MutexGuard<'_, Log> {
        self.inner.log()
    }
}

impl Inner {
    fn page_fault(&self) -> std::sync::MutexGuard<'_, Option<PageFault>> {
        self.page_fault
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn single_fault(&self) -> std::sync::MutexGuard<'_, Option<Fault>> {
        self.single_fault
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// How an answer with these whole records fails, if it does.
    fn fault_of(&self, records: &[Value]) -> Option<Fault> {
        let fault = self.page_fault();
        let PageFault { most, ids, fault } = fault.as_ref()?;
        let is_named = |record: &Value| ids.iter().any(|id| record["log_id"] == id.as_str());
        let is_failed = records.len() > *most || records.iter().any(is_named);
        is_failed.then(|| {
            self.failed_pages.count();
            fault.clone()
        })
    }

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

/// The smallest id of a record stored at this time.
fn bound(time: DateTime<Utc>) -> String {
    format!("900{}{:033}", time.format("%Y%m%d%H%M%S%6f"), 0)
}
