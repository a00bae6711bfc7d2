//! A tenant with a long log, for benchmarks: a small and fast version of `tenant.rs`.
//!
//! Records are not kept. Each is built on request from one of some thousand texts, so a million of
//! them take no memory and a page takes almost no time. Nobody adds to the log, every token is
//! good, and every id is taken as a lower bound.
//!
//! Four times as many records are stored by day as by night, so a reader that cuts the log into
//! equal periods gets unequal parts.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Timelike as _, Utc};
use serde_json::{Map, Value, json};

use crate::bucket::Bucket;
use crate::records::Generator;
use crate::server::Server;

/// Maximum records in a page.
const LARGEST_PAGE: usize = 100;
/// How many records a search reaches.
const SEARCH_LIMIT: usize = 1_000;
/// How many texts records are made from.
const TEXTS: usize = 2_000;
/// The serial part of the first id.
const FIRST: u64 = 1_223_372_037_583_230_452;
/// The placeholders for the id and the date in a text.
const ID: &str = "90020010203040506789000000000000000000000000000000000000";
const DATE: &str = "2001-02-03T04:05:06.789Z";
/// The longest time between a record's date and its storage.
const STORING_DELAY: TimeDelta = TimeDelta::milliseconds(5_430);
/// How long ago the newest record was stored.
const QUIET: TimeDelta = TimeDelta::minutes(5);

/// What a backlog holds, and how it answers.
#[derive(Clone, Debug)]
pub struct Options {
    /// Records in the log.
    pub records: usize,
    /// Minimum bytes of a record; 0 leaves records as they are made.
    pub record_bytes: usize,
    /// The period in which the records were stored, which ends shortly before now.
    pub span: TimeDelta,
    /// Size of the rate limit's bucket, and requests a minute that refill it. It starts a tenth
    /// full, so that no reader gains from a full bucket.
    pub rate_limit: (u64, u64),
    /// The time to answer a request for log records.
    pub latency: Duration,
}

/// A tenant with a long log.
#[derive(Debug)]
pub struct Backlog {
    server: Server,
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    options: Options,
    texts: Vec<Text>,
    log: Vec<Stored>,
    bucket: Mutex<Bucket>,
    answered: AtomicU64,
    refused: AtomicU64,
}

/// A record without its id and date.
#[derive(Debug)]
struct Text {
    json: Vec<u8>,
    date: usize,
    ids: Vec<usize>,
}

/// When a record happened and when it was stored, as the digits in which they are written.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Stored {
    /// `YYYYMMDDHHMMSS`
    second: u64,
    microsecond: u64,
    date: u64,
    millisecond: u64,
}

impl Stored {
    fn new(stored: DateTime<Utc>, date: DateTime<Utc>) -> Self {
        Self {
            second: second(stored),
            microsecond: u64::from(stored.timestamp_subsec_micros()),
            date: second(date),
            millisecond: u64::from(date.timestamp_subsec_millis()),
        }
    }
}

/// `YYYYMMDDHHMMSS`
fn second(time: DateTime<Utc>) -> u64 {
    let digits = time.format("%Y%m%d%H%M%S").to_string();
    digits.parse().expect("fourteen digits")
}

impl Backlog {
    /// A tenant whose newest record was stored shortly before `now`.
    pub async fn start(options: Options, now: DateTime<Utc>) -> Self {
        let mut generator = Generator::seeded(1);
        let text = |_| Text::new(&mut generator, options.record_bytes);
        let bucket = Bucket::full(options.rate_limit, now).with_left(options.rate_limit.0 / 10);
        let inner = Arc::new(Inner {
            texts: (0..TEXTS.min(options.records.max(1))).map(text).collect(),
            log: log(&options, now),
            bucket: Mutex::new(bucket),
            options,
            answered: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        });
        let router = Router::new()
            .route("/oauth/token", post(token))
            .route("/api/v2/logs", get(logs))
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
            ("AUDIENCE", "https://acme.eu.auth0.com/api/v2/".into()),
            ("CLIENT_ID", "simulated".into()),
            ("CLIENT_SECRET", "simulated-client-secret".into()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// The tenant's address.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// The log page by page, without a server in between.
    pub fn pages(&self) -> impl Iterator<Item = Bytes> + '_ {
        let all = 0..self.inner.log.len();
        let begins = all.step_by(LARGEST_PAGE);
        begins.map(|begin| self.inner.page(begin..begin + LARGEST_PAGE))
    }

    /// The numbers of requests that were answered, and that the rate limit refused.
    pub fn requests(&self) -> (u64, u64) {
        let [answered, refused] = [&self.inner.answered, &self.inner.refused];
        (
            answered.load(Ordering::Relaxed),
            refused.load(Ordering::Relaxed),
        )
    }
}

/// The times of a log's records, in order.
fn log(options: &Options, now: DateTime<Utc>) -> Vec<Stored> {
    let mut generator = Generator::seeded(2);
    let average = options.span / i32::try_from(options.records.max(1)).expect("a length");
    let mut stored = now - QUIET;
    let mut log = Vec::with_capacity(options.records);
    for _ in 0..options.records {
        log.push(Stored::new(stored, stored - generator.storing_delay()));
        let is_day = (6..18).contains(&stored.hour());
        // Four fifths of a day's records are stored in the half of it that is day.
        stored -= if is_day {
            average * 5 / 8
        } else {
            average * 5 / 2
        };
    }
    log.reverse();
    log
}

impl Text {
    fn new(generator: &mut Generator, bytes: usize) -> Self {
        let date = DATE.parse().expect("a date");
        let mut record = generator.record(date);
        record.insert("log_id".into(), ID.into());
        record.insert("_id".into(), ID.into());
        let missing = bytes.saturating_sub(Value::Object(record.clone()).to_string().len());
        enlarge(&mut record, missing);
        let json = Value::Object(record).to_string();
        let places = |what| json.match_indices(what).map(|(at, _)| at);
        Self {
            date: places(DATE).next().expect("it has a date"),
            ids: places(ID).collect(),
            json: json.into_bytes(),
        }
    }

    fn write(&self, page: &mut Vec<u8>, index: usize, stored: Stored) {
        let begin = page.len();
        page.extend_from_slice(&self.json);
        let text = &mut page[begin..];
        let date = &mut text[self.date..];
        let digits = stored.date;
        for (range, divisor) in [
            (0..4, 10_000_000_000),
            (5..7, 100_000_000),
            (8..10, 1_000_000),
            (11..13, 10_000),
            (14..16, 100),
            (17..19, 1),
        ] {
            write_number(&mut date[range], digits / divisor);
        }
        write_number(&mut date[20..23], stored.millisecond);
        for at in &self.ids {
            let id = &mut text[*at..];
            write_number(&mut id[3..17], stored.second);
            write_number(&mut id[17..23], stored.microsecond);
            write_number(&mut id[23..56], FIRST + index as u64);
        }
    }
}

/// Writes the last digits of a number, as many as fit.
fn write_number(room: &mut [u8], number: u64) {
    let mut number = number;
    for digit in room.iter_mut().rev() {
        *digit = b'0' + u8::try_from(number % 10).expect("a digit");
        number /= 10;
    }
}

/// Enlarges a record with lines such as an Action writes into its log.
fn enlarge(record: &mut Map<String, Value>, bytes: usize) {
    let mut lines = Vec::new();
    let mut length = 0;
    while length < bytes {
        let number = lines.len();
        let mut name = String::new();
        let _ = write!(name, "post-login-step-{number:03}");
        let line = json!({
            "action_name": name,
            "started_at": "2026-11-21T08:00:00.123Z",
            "ended_at": "2026-11-21T08:00:00.241Z",
            "errors": [],
            "response": {"stats": {"total_request_duration_ms": 118 + number, "action_duration_ms": 61}},
        });
        length += line.to_string().len() + 1;
        lines.push(line);
    }
    if lines.is_empty() {
        return;
    }
    let details = record.entry("details").or_insert(Value::Null);
    if !details.is_object() {
        *details = json!({});
    }
    details["execution"] = lines.into();
}

impl Inner {
    fn page(&self, range: std::ops::Range<usize>) -> Bytes {
        let range = range.start..range.end.min(self.log.len());
        let mut page = Vec::with_capacity(range.len() * self.texts[0].json.len() * 2);
        page.push(b'[');
        for index in range {
            if page.len() > 1 {
                page.push(b',');
            }
            self.texts[index % self.texts.len()].write(&mut page, index, self.log[index]);
        }
        page.push(b']');
        page.into()
    }

    /// The index of the first record after an id.
    fn after(&self, id: &str) -> Option<usize> {
        if id.len() != ID.len() || !id.bytes().all(|it| it.is_ascii_digit()) {
            return None;
        }
        let (prefix, digits) = id.split_at(3);
        match prefix.cmp("900") {
            std::cmp::Ordering::Less => return Some(0),
            std::cmp::Ordering::Greater => return Some(self.log.len()),
            std::cmp::Ordering::Equal => {}
        }
        let number = |range: std::ops::Range<usize>| digits[range].parse::<u64>().ok();
        let time = (number(0..14)?, number(14..20)?);
        // A serial part that does not fit a number counts as above every id of that time.
        let serial = number(20..53).unwrap_or(u64::MAX);
        let begin = self
            .log
            .partition_point(|it| (it.second, it.microsecond) < time);
        let same = self.log[begin..]
            .iter()
            .take_while(|it| (it.second, it.microsecond) == time);
        let passed = same
            .enumerate()
            .take_while(|(at, _)| FIRST + (begin + at) as u64 <= serial);
        Some(begin + passed.count())
    }

    /// A page of a search by date, ascending or descending.
    fn search(&self, query: &HashMap<String, String>) -> Option<Bytes> {
        let number = |name, otherwise| {
            let text = query.get(name).map(|it| it.parse::<usize>());
            text.unwrap_or(Ok(otherwise)).ok()
        };
        let (page, per_page) = (number("page", 0)?, number("per_page", 50)?);
        if per_page > LARGEST_PAGE || (page + 1) * per_page > SEARCH_LIMIT {
            return None;
        }
        let (from, to): (Option<DateTime<Utc>>, Option<DateTime<Utc>>) = match query.get("q") {
            Some(q) => {
                let range = q.strip_prefix("date:[")?.strip_suffix(']')?;
                let (from, to) = range.split_once(" TO ")?;
                let limit = |text: &str| match text {
                    "*" => Some(None),
                    text => text.parse().ok().map(Some),
                };
                (limit(from)?, limit(to)?)
            }
            None => (None, None),
        };
        let is_descending = query.get("sort").is_none_or(|it| it == "date:-1");
        // A record is stored soon after it happened.
        let begin = from.map_or(0, |it| {
            self.log
                .partition_point(|stored| stored.second < second(it))
        });
        let end = to.map_or(self.log.len(), |it| {
            let last = second(it + STORING_DELAY);
            self.log.partition_point(|stored| stored.second <= last)
        });
        let reach = 2 * SEARCH_LIMIT;
        let window = if is_descending {
            begin.max(end.saturating_sub(reach))..end
        } else {
            begin..end.min(begin + reach)
        };
        let date = |index: &usize| (self.log[*index].date, self.log[*index].millisecond);
        let key = |it: DateTime<Utc>| (second(it), u64::from(it.timestamp_subsec_millis()));
        let mut found: Vec<usize> = window
            .filter(|it| from.is_none_or(|from| key(from) <= date(it)))
            .filter(|it| to.is_none_or(|to| date(it) <= key(to)))
            .collect();
        found.sort_by_key(date);
        if is_descending {
            found.reverse();
        }
        let found = found.into_iter().skip(page * per_page).take(per_page);
        let records: Vec<_> = found.map(|it| self.page(it..it + 1)).collect();
        let records: Vec<_> = records.iter().map(|it| &it[1..it.len() - 1]).collect();
        Some([&b"["[..], &records.join(&b','), b"]"].concat().into())
    }
}

/// `POST /oauth/token`
async fn token() -> Response {
    let token = json!({"access_token": "simulated-access-token", "token_type": "Bearer",
                       "expires_in": 86_400, "scope": "read:logs"});
    axum::Json(token).into_response()
}

/// `GET /api/v2/logs`
async fn logs(
    State(inner): State<Arc<Inner>>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    if !inner.options.latency.is_zero() {
        tokio::time::sleep(inner.options.latency).await;
    }
    let (is_allowed, headers) = {
        let bucket = inner.bucket.lock();
        bucket
            .unwrap_or_else(PoisonError::into_inner)
            .take(Utc::now())
    };
    if !is_allowed {
        inner.refused.fetch_add(1, Ordering::Relaxed);
        let body =
            r#"{"statusCode":429,"error":"Too Many Requests","errorCode":"too_many_requests"}"#;
        return (StatusCode::TOO_MANY_REQUESTS, headers, body).into_response();
    }
    inner.answered.fetch_add(1, Ordering::Relaxed);
    let page = match query.get("from") {
        Some(from) => inner.after(from).and_then(|begin| {
            let take: usize = query.get("take").map_or("50", |it| it).parse().ok()?;
            (1..=LARGEST_PAGE)
                .contains(&take)
                .then(|| inner.page(begin..begin + take))
        }),
        None => inner.search(&query),
    };
    let json = [("content-type", "application/json; charset=utf-8")];
    match page {
        Some(page) => (headers, json, page).into_response(),
        None => (StatusCode::BAD_REQUEST, headers, "{}").into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        "2026-11-21T08:00:00Z".parse().unwrap()
    }

    async fn backlog(records: usize, record_bytes: usize) -> Backlog {
        let options = Options {
            records,
            record_bytes,
            span: TimeDelta::days(2),
            rate_limit: (1_000, 60_000),
            latency: Duration::ZERO,
        };
        Backlog::start(options, now()).await
    }

    fn records(page: &Bytes) -> Vec<Value> {
        serde_json::from_slice(page).unwrap()
    }

    fn id(record: &Value) -> String {
        assert_eq!(record["log_id"], record["_id"]);
        record["log_id"].as_str().unwrap().to_owned()
    }

    #[tokio::test]
    async fn ids_ascend_and_a_date_is_shortly_before_the_time_in_the_id() {
        let backlog = backlog(1_000, 0).await;
        let all: Vec<Value> = backlog.pages().flat_map(|page| records(&page)).collect();
        assert_eq!(all.len(), 1_000);
        assert!(all.is_sorted_by(|one, next| id(one) < id(next)));
        for record in all {
            let date: DateTime<Utc> = record["date"].as_str().unwrap().parse().unwrap();
            let stored =
                chrono::NaiveDateTime::parse_from_str(&id(&record)[3..23], "%Y%m%d%H%M%S%6f");
            let delay = stored.unwrap().and_utc() - date;
            assert!((TimeDelta::zero()..TimeDelta::seconds(6)).contains(&delay));
            assert!(date > now() - TimeDelta::days(3) && date < now());
        }
    }

    #[tokio::test]
    async fn reading_goes_on_after_an_id_that_was_issued_and_after_one_that_was_not() {
        let backlog = backlog(1_000, 0).await;
        let all: Vec<Value> = backlog.pages().flat_map(|page| records(&page)).collect();
        let after = |id: &str| backlog.inner.after(id).unwrap();
        for at in [0, 1, 500, all.len() - 1] {
            assert_eq!(after(&id(&all[at])), at + 1);
            let synthetic = format!("{}{}", &id(&all[at])[..23], "0".repeat(33));
            assert_eq!(after(&synthetic), at);
        }
        assert_eq!(after(&format!("800{}", "0".repeat(53))), 0);
        assert_eq!(after(&format!("900{}", "9".repeat(53))), all.len());
        assert_eq!(backlog.inner.after("9"), None);
    }

    #[tokio::test]
    async fn a_search_is_by_date() {
        let backlog = backlog(1_000, 0).await;
        let search = |pairs: &[(&str, &str)]| {
            let pairs = pairs
                .iter()
                .map(|(name, value)| ((*name).into(), (*value).into()));
            backlog.inner.search(&pairs.collect())
        };
        let page = search(&[("sort", "date:1"), ("per_page", "100")]).unwrap();
        let dates: Vec<_> = records(&page)
            .iter()
            .map(|it| it["date"].to_string())
            .collect();
        assert!(dates.len() == 100 && dates.is_sorted());
        let begin = dates[50].trim_matches('"');
        let q = format!("date:[{begin} TO *]");
        let page = search(&[("sort", "date:1"), ("q", &q), ("per_page", "1")]).unwrap();
        assert_eq!(records(&page)[0]["date"], begin);
        assert_eq!(search(&[("page", "10"), ("per_page", "100")]), None);
    }

    #[tokio::test]
    async fn records_are_as_large_as_they_should_be() {
        let backlog = backlog(200, 5_000).await;
        let page = backlog.pages().next().unwrap();
        let average = page.len() / 100;
        assert!((5_000..5_600).contains(&average), "{average}");
    }
}
