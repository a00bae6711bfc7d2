//! `GET /api/v2/logs` in its two modes, by checkpoint and by search, within the tenant's rate limit.
//!
//! URLs are built here. The `Link` header is untrusted input and is ignored: the token goes to the
//! tenant's host and to no other.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use memchr::memmem;
use reqwest::StatusCode;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use url::Url;

use super::error::LogsError;
use super::rate_limit::RateLimit;
use super::token::TokenSource;
use crate::net::http::{self, Answer, MAX_PAGE};
use crate::net::retry::{self, Again, Deadline, GaveUp, Jitter};
use crate::net::token::AccessToken;
use crate::record::{Elements, LogId, Record, STORING_DELAY, parse_page, parse_page_of};

/// Records per page: the most that Auth0 returns at once.
pub(crate) const PAGE: usize = 100;
/// The most records that a search can reach, in pages of [`PAGE`].
pub(crate) const SEARCH_LIMIT: usize = 1_000;

/// The most elements accepted in a page, however few were requested. A page of mere numbers could
/// have millions, each of which takes more memory than its text.
pub(super) const MOST: usize = 1_000;
/// The most bytes of a page with several records: several pages are in memory at once, each in three
/// copies. A larger page is requested again with fewer records.
pub(super) const COMFORTABLE: usize = 8 * 1024 * 1024;
/// The fields of a brief search.
const BRIEF: &str = "log_id,date,type";

/// Reads a tenant's log.
pub(crate) struct Logs {
    http: reqwest::Client,
    url: Url,
    tokens: Arc<TokenSource>,
    rate_limit: Arc<RateLimit>,
    jitter: Jitter,
    requests: AtomicU64,
}

/// The parameters of a search.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Search {
    /// Only records dated at or after this time.
    pub from: Option<DateTime<Utc>>,
    /// Only records dated at or before this time.
    pub to: Option<DateTime<Utc>>,
    /// Newest first.
    pub descending: bool,
    /// Only the fields in [`BRIEF`], so that no record is too large.
    pub is_brief: bool,
}

impl Search {
    /// All records, oldest first.
    pub const OLDEST: Self = Self {
        from: None,
        to: None,
        descending: false,
        is_brief: false,
    };
    /// All records, newest first, with the fields in [`BRIEF`] only.
    pub const NEWEST: Self = Self {
        from: None,
        to: None,
        descending: true,
        is_brief: true,
    };

    /// All records that may come after an id, oldest first.
    pub fn after(id: &LogId) -> Self {
        Self {
            from: id.stored_at().map(|stored| stored - STORING_DELAY),
            ..Self::OLDEST
        }
    }
}

/// An error body of the Management API.
#[derive(Deserialize)]
struct ApiError {
    message: String,
    #[serde(default, rename = "errorCode")]
    code: Option<String>,
}

impl Logs {
    /// The log of the tenant at `domain`.
    pub fn new(
        http: reqwest::Client,
        domain: &Url,
        tokens: Arc<TokenSource>,
        rate_limit: Arc<RateLimit>,
        jitter: Jitter,
    ) -> Self {
        let mut url = domain.clone();
        url.set_path("/api/v2/logs");
        Self {
            http,
            url,
            tokens,
            rate_limit,
            jitter,
            requests: AtomicU64::new(0),
        }
    }

    /// The source of random waits between attempts.
    pub fn jitter(&self) -> &Jitter {
        &self.jitter
    }

    /// Requests made so far, those for tokens included.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// By how much this machine's clock is ahead of Auth0's.
    pub fn clock_ahead(&self) -> TimeDelta {
        self.rate_limit.clock_ahead()
    }

    /// Whether requests are already queued for the rate limit.
    pub fn is_crowded(&self) -> bool {
        self.rate_limit.is_crowded()
    }

    /// Reads by checkpoint: at most `take` records after this id, in ascending order.
    pub async fn after(
        &self,
        id: &LogId,
        take: usize,
        deadline: Deadline,
    ) -> Result<Elements, GaveUp<LogsError>> {
        let attempt = || self.after_at_once(id, take, deadline);
        retry::retry(&self.jitter, deadline, attempt).await
    }

    /// Like [`after`](Self::after), in one attempt.
    pub async fn after_at_once(
        &self,
        id: &LogId,
        take: usize,
        deadline: Deadline,
    ) -> Result<Elements, LogsError> {
        let query = [("from", id.to_string()), ("take", take.to_string())];
        let found = self.page(&query, most_bytes(take), deadline).await?;
        let gets_on = found.records.iter().any(|it| it.log_id > *id);
        let is_heeded = gets_on || found.records.is_empty();
        let is_made_up = id.is_synthetic() || id.is_end();
        if is_made_up && are_newest_first(&found.records) || id.is_end() && !is_heeded {
            return Err(LogsError::NotHeeded {
                host: self.host(),
                after: id.clone(),
            });
        }
        if is_heeded {
            return Ok(found);
        }
        Err(LogsError::NoProgress {
            host: self.host(),
            after: id.clone(),
        })
    }

    /// Searches: at most `per_page` records by date. `page` counts from 0; only [`SEARCH_LIMIT`]
    /// records can be reached.
    pub async fn search(
        &self,
        search: Search,
        page: usize,
        per_page: usize,
        deadline: Deadline,
    ) -> Result<Elements, GaveUp<LogsError>> {
        let direction = if search.descending { -1 } else { 1 };
        let mut query = vec![
            ("page", page.to_string()),
            ("per_page", per_page.to_string()),
            ("sort", format!("date:{direction}")),
        ];
        if search.from.is_some() || search.to.is_some() {
            let [from, to] = [search.from, search.to].map(|time| {
                time.map_or_else(
                    || "*".to_owned(),
                    |time| time.to_rfc3339_opts(SecondsFormat::Millis, true),
                )
            });
            query.push(("q", format!("date:[{from} TO {to}]")));
        }
        if search.is_brief {
            query.push(("fields", BRIEF.to_owned()));
            query.push(("include_fields", true.to_string()));
        }
        let most = if search.is_brief {
            MAX_PAGE
        } else {
            most_bytes(per_page)
        };
        retry::retry(&self.jitter, deadline, || self.page(&query, most, deadline)).await
    }

    /// The record with this id. Any other content is an error: the record is known to exist, and
    /// would otherwise be skipped.
    pub async fn one(&self, id: &LogId, deadline: Deadline) -> Result<Record, GaveUp<LogsError>> {
        retry::retry(&self.jitter, deadline, || self.one_at_once(id, deadline)).await
    }

    /// Like [`one`](Self::one), in one attempt.
    pub async fn one_at_once(&self, id: &LogId, deadline: Deadline) -> Result<Record, LogsError> {
        let mut url = self.url.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.push(id.as_str());
        }
        let (body, _) = self.body(&url, &[], MAX_PAGE, deadline).await?;
        // Parsed as a page of one record.
        let body = [b"[", &body[..], b"]"].concat().into();
        let page = parse_page(&body).map_err(|source| LogsError::Page {
            host: self.host(),
            said: String::new(),
            source,
        })?;
        let record = page.records.into_iter().next();
        let record = record.filter(|it| it.log_id == *id);
        record.ok_or_else(|| LogsError::OtherRecord {
            host: self.host(),
            id: id.clone(),
        })
    }

    async fn page(
        &self,
        query: &[(&str, String)],
        most: usize,
        deadline: Deadline,
    ) -> Result<Elements, LogsError> {
        let (body, token) = self.body(&self.url, query, most, deadline).await?;
        self.parse(&body, &token)
    }

    /// Makes one attempt, in which a refused token is replaced once.
    async fn body(
        &self,
        url: &Url,
        query: &[(&str, String)],
        most: usize,
        deadline: Deadline,
    ) -> Result<(Bytes, AccessToken), LogsError> {
        let mut token = self.tokens.token(&self.requests, deadline).await?;
        let mut answer = self.request(url, query, most, &token, deadline).await?;
        if is_about_token(&answer) {
            self.tokens.forget(&token).await;
            token = self.tokens.token(&self.requests, deadline).await?;
            answer = self.request(url, query, most, &token, deadline).await?;
        }
        if is_about_scope(&answer) {
            // A permission that is granted meanwhile shows only in a new token.
            self.tokens.forget(&token).await;
        }
        self.judge(answer, token, deadline)
    }

    async fn request(
        &self,
        url: &Url,
        query: &[(&str, String)],
        most: usize,
        token: &AccessToken,
        deadline: Deadline,
    ) -> Result<Answer, LogsError> {
        let permit = self.rate_limit.wait(deadline).await?;
        self.requests.fetch_add(1, Ordering::Relaxed);
        let request = self
            .http
            .get(url.clone())
            .query(query)
            .bearer_auth(token.value.expose_secret());
        let answer = http::send_for_at_most(most, request, deadline)
            .await
            .map_err(|source| LogsError::Send {
                host: self.host(),
                source,
            })?;
        permit.learn(&answer);
        Ok(answer)
    }

    pub(super) fn judge(
        &self,
        answer: Answer,
        token: AccessToken,
        deadline: Deadline,
    ) -> Result<(Bytes, AccessToken), LogsError> {
        let host = self.host();
        if let Some(location) = answer.redirect(&self.secrets(&token)) {
            return Err(LogsError::Redirected { host, location });
        }
        let said = || said(&answer.body, &self.secrets(&token));
        match answer.status {
            StatusCode::OK => Ok((answer.body, token)),
            // A page is the answer of something on the way, which knows neither token nor permission.
            _ if is_about_token(&answer) && !answer.is_webpage() => {
                Err(LogsError::Unauthorized { host, said: said() })
            }
            StatusCode::BAD_REQUEST => Err(LogsError::BadRequest { host, said: said() }),
            _ if is_about_scope(&answer) => Err(LogsError::Forbidden { host, said: said() }),
            StatusCode::NOT_FOUND => Err(LogsError::NotFound { host }),
            StatusCode::TOO_MANY_REQUESTS => {
                let closed = self.rate_limit.refused();
                let again = if closed.wait() > deadline.remaining() {
                    Again::Never
                } else {
                    // The rate limit makes the next attempt wait as long as it must.
                    Again::Soon
                };
                Err(LogsError::TooMany {
                    host,
                    said: said(),
                    closed,
                    again,
                })
            }
            status => Err(LogsError::Status {
                host,
                status,
                said: said(),
                is_blocked: answer.is_blocked(),
                again: answer.again(),
            }),
        }
    }

    fn parse(&self, body: &Bytes, token: &AccessToken) -> Result<Elements, LogsError> {
        match parse_page_of(MOST, body) {
            Ok(Some(page)) => Ok(page),
            Ok(None) => Err(LogsError::TooManyRecords { host: self.host() }),
            Err(source) => Err(LogsError::Page {
                host: self.host(),
                said: if body.trim_ascii_start().starts_with(b"[") {
                    String::new()
                } else {
                    format!(" ({})", said(body, &self.secrets(token)))
                },
                source,
            }),
        }
    }

    /// The secrets that no error may repeat, although this host knows both.
    fn secrets<'a>(&'a self, token: &'a AccessToken) -> [&'a SecretString; 2] {
        [&token.value, self.tokens.client_secret()]
    }

    /// The tenant's host, for errors.
    pub fn host(&self) -> String {
        self.url.authority().to_owned()
    }
}

/// The size limit, in bytes, of a page of this many records. A larger page is requested again with fewer
/// records, so that a page in memory is never larger than [`COMFORTABLE`], unless a single record is.
fn most_bytes(records: usize) -> usize {
    if records > 1 { COMFORTABLE } else { MAX_PAGE }
}

/// Whether records come newest first, which is the default order of a search. By checkpoint, the
/// oldest record comes first.
fn are_newest_first(records: &[Record]) -> bool {
    records.len() > 1 && records.is_sorted_by(|a, b| a.log_id > b.log_id)
}

/// Whether a new token may help: 401, or the 400 with which Auth0 answers a token it cannot read.
fn is_about_token(answer: &Answer) -> bool {
    let says_so = || {
        serde_json::from_slice::<ApiError>(&answer.body).is_ok_and(|error| {
            error.code.as_deref() == Some("Bearer")
                || error.message.contains("authentication header")
        })
    };
    answer.status == StatusCode::UNAUTHORIZED
        || answer.status == StatusCode::BAD_REQUEST && says_so()
}

/// Whether this is a 403 about the permission to read logs, as one without a code is taken to be.
fn is_about_scope(answer: &Answer) -> bool {
    if answer.status != StatusCode::FORBIDDEN {
        return false;
    }
    let error = serde_json::from_slice::<ApiError>(&answer.body).ok();
    let code = error.and_then(|it| it.code);
    match code.as_deref() {
        Some(code) => code == "insufficient_scope",
        None => !answer.is_webpage(),
    }
}

/// The error message of an answer, or an excerpt of its body.
fn said(body: &Bytes, secrets: &[&SecretString]) -> String {
    match serde_json::from_slice::<ApiError>(body) {
        Ok(error) => http::excerpt(&error.message, secrets),
        Err(_) => http::excerpt(&String::from_utf8_lossy(before_records(body)), secrets),
    }
}

/// The part of a body that an error may quote: what comes before the first record, and before the
/// first string that is a value, cut after the last opening bracket.
fn before_records(body: &[u8]) -> &[u8] {
    let Some(log_id) = memmem::find(body, b"log_id") else {
        return body;
    };
    let before = &body[..log_id];
    let mut at = 0;
    let end = loop {
        let Some(quote) = memchr::memchr(b'"', &before[at..]).map(|it| at + it) else {
            break before.len();
        };
        match name_at(&before[quote..]) {
            Some(length) => at = quote + length,
            None => break quote,
        }
    };
    let last = before[..end]
        .iter()
        .rposition(|it| matches!(it, b'{' | b'['));
    &body[..last.map_or(end, |it| it + 1).max(1)]
}

/// The length of a member's name and its colon, unless the value that follows is a string.
fn name_at(text: &[u8]) -> Option<usize> {
    let name = 1 + memchr::memchr(b'"', text.get(1..)?)?;
    let after = text[name + 1..].trim_ascii_start().strip_prefix(b":")?;
    let value = after.trim_ascii_start().first()?;
    (*value != b'"').then(|| text.len() - after.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_error_quotes_a_record() {
        let record = r#"{"date":"2026-11-21T08:00:00Z","user_name":"ada","log_id":"9001"}"#;
        let sorry = format!("{}[{{", "Sorry! ".repeat(12));
        let quoted = serde_json::Value::from(format!("[{record}]")).to_string();
        for (body, expected) in [
            (format!("\u{feff}[{record}]"), "\u{fffd}[{"),
            (
                format!(r#"{{"start": 0, "logs": [ {record}]}}"#),
                r#"{"start": 0, "logs": [ {"#,
            ),
            (record.to_owned(), "{"),
            ("<p id=\"log_id\">Sorry</p>".to_owned(), "<p id="),
            (format!("{}\n[{record}]", "Sorry! ".repeat(12)), &sorry),
            (quoted, "\""),
            (
                r#"{"user_name":"ada","phone":5,"details":[{"log_id":"9001"}]}"#.to_owned(),
                "{",
            ),
            (r#"[["ada",{"log_id":"9001"}]]"#.to_owned(), "[["),
            ("user_name;log_id\nada;9001".to_owned(), "user_name;"),
            (r#"{"error":"[{"}"#.to_owned(), r#"{"error":"[{"}"#),
        ] {
            assert_eq!(said(&body.into(), &[]), expected);
        }
    }

    #[test]
    fn a_page_that_begins_with_its_newest_record_is_none_after_an_id() {
        let page = |ids: &[&str]| {
            let record = |id: &&str| Record {
                log_id: LogId::new(*id),
                date: None,
                json: Bytes::new(),
            };
            ids.iter().map(record).collect::<Vec<_>>()
        };
        for (ids, are) in [
            (&["903", "902", "901"][..], true),
            (&["902", "901"], true),
            (&["901", "902"], false),
            (&["903", "901", "902"], false),
            (&["902", "902"], false),
            (&["901"], false),
            (&[], false),
        ] {
            assert_eq!(are_newest_first(&page(ids)), are, "{ids:?}");
        }
    }

    #[test]
    fn of_the_refusals_with_400_those_about_the_token_are_told_apart() {
        let answer = |status: u16, body: &'static str| Answer {
            status: StatusCode::from_u16(status).unwrap(),
            headers: reqwest::header::HeaderMap::new(),
            body: Bytes::from_static(body.as_bytes()),
        };
        for (status, body, is_about_token) in [
            (401, "", true),
            (403, r#"{"message":"m","errorCode":"Bearer"}"#, false),
            (400, r#"{"message":"m","errorCode":"Bearer"}"#, true),
            (
                400,
                r#"{"message":"Bad HTTP authentication header format"}"#,
                true,
            ),
            (400, r#"{"message":"Invalid log_id in from"}"#, false),
            (400, "<html>", false),
        ] {
            assert_eq!(
                super::is_about_token(&answer(status, body)),
                is_about_token,
                "{body}"
            );
        }
    }

    #[test]
    fn a_403_is_about_the_permission_unless_its_code_or_its_form_says_otherwise() {
        let answer = |body: &'static str| Answer {
            status: StatusCode::FORBIDDEN,
            headers: reqwest::header::HeaderMap::new(),
            body: Bytes::from_static(body.as_bytes()),
        };
        for (body, is_about_scope) in [
            (
                r#"{"message":"Insufficient scope","errorCode":"insufficient_scope"}"#,
                true,
            ),
            (r#"{"message":"Insufficient scope"}"#, true),
            ("", true),
            (
                r#"{"message":"Not for this plan","errorCode":"operation_not_supported"}"#,
                false,
            ),
            ("<!DOCTYPE html><title>Attention Required!</title>", false),
        ] {
            assert_eq!(
                super::is_about_scope(&answer(body)),
                is_about_scope,
                "{body}"
            );
        }
    }
}
