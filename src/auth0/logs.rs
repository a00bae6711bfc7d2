//! `GET /api/v2/logs` in its two modes, within the tenant's rate limit.
//!
//! Addresses are made here. The `Link` header is input from outside and is not looked at: the
//! token goes to the tenant's host and to no other.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::{DateTime, SecondsFormat, Utc};
use reqwest::StatusCode;
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use url::Url;

use super::rate_limit::{RateLimit, ResetTooLate};
use super::token::{TokenError, TokenSource};
use crate::net::http::{self, Answer, SendError};
use crate::net::retry::{self, Again, Deadline, GaveUp, Jitter, Transient};
use crate::net::token::Token;
use crate::record::{Elements, LogId, PageError, parse_page};

/// Records of a page, the most that Auth0 returns at once.
pub const PAGE: usize = 100;
/// Records that a search can reach, in pages of [`PAGE`].
pub const SEARCH_LIMIT: usize = 1_000;

/// Reads a tenant's log.
pub struct Logs {
    http: reqwest::Client,
    url: Url,
    tokens: Arc<TokenSource>,
    rate_limit: Arc<RateLimit>,
    jitter: Jitter,
    requests: AtomicU64,
}

/// What a search looks for, oldest or newest first.
#[derive(Clone, Copy, Debug)]
pub struct Search {
    /// Dated so or later.
    pub from: Option<DateTime<Utc>>,
    /// Dated so or earlier.
    pub to: Option<DateTime<Utc>>,
    /// Newest first.
    pub descending: bool,
}

/// Why the log was not read.
#[derive(Debug, thiserror::Error)]
pub enum LogsError {
    /// There is no token to read with.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// No answer.
    #[error("{host} does not hand out its log")]
    Send {
        /// The tenant's host.
        host: String,
        /// What happened.
        source: SendError,
    },
    /// 400: Auth0 cannot do what was asked, such as reading behind an id it no longer has.
    #[error("{host} rejected the request: {said}")]
    BadRequest {
        /// The tenant's host.
        host: String,
        /// What it said.
        said: String,
    },
    /// 401, with a token made for this request.
    #[error("{host} refused a new token: {said}; check that AUDIENCE and DOMAIN belong together")]
    Unauthorized {
        /// The tenant's host.
        host: String,
        /// What it said.
        said: String,
    },
    /// 403: the token has no permission to read logs.
    #[error(
        "{host} does not let this application read logs ({said}); in the Auth0 dashboard give it \
         the permission read:logs for the Auth0 Management API"
    )]
    Forbidden {
        /// The tenant's host.
        host: String,
        /// What it said.
        said: String,
    },
    /// 404: this is no Auth0 tenant.
    #[error("{host} has no Management API (404); check DOMAIN")]
    NotFound {
        /// The tenant's host.
        host: String,
    },
    /// A redirect, which would take the token to another address.
    #[error("{host} redirects to {location}, which is not followed; check DOMAIN")]
    Redirected {
        /// The tenant's host.
        host: String,
        /// Where it points.
        location: String,
    },
    /// Any other status.
    #[error("{host} answered {status}: {said}")]
    Status {
        /// The tenant's host.
        host: String,
        /// Its status.
        status: StatusCode,
        /// What it said.
        said: String,
        /// Whether it may pass.
        again: Again,
    },
    /// 200 with something else than a page.
    #[error("{host} sent a page that cannot be read{said}")]
    Page {
        /// The tenant's host.
        host: String,
        /// What it said, in parentheses, if those are no records.
        said: String,
        /// What is wrong with it.
        source: PageError,
    },
    /// The tenant's rate limit leaves nothing for this run.
    #[error(transparent)]
    ResetTooLate(#[from] ResetTooLate),
}

impl Transient for LogsError {
    fn again(&self) -> Again {
        match self {
            Self::Token(error) => error.again(),
            Self::Send { source, .. } => source.again(),
            Self::Status { again, .. } => *again,
            Self::BadRequest { .. }
            | Self::Unauthorized { .. }
            | Self::Forbidden { .. }
            | Self::NotFound { .. }
            | Self::Redirected { .. }
            | Self::Page { .. }
            | Self::ResetTooLate(_) => Again::Never,
        }
    }
}

/// The form of the Management API's errors.
#[derive(Deserialize)]
struct ApiError {
    message: String,
}

impl Logs {
    /// The log of the tenant at `domain`.
    #[must_use]
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

    /// Requests made so far, those for tokens included.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// By checkpoint: at most [`PAGE`] records behind this id, ascending. A short page is the
    /// last one.
    pub async fn after(
        &self,
        id: &LogId,
        deadline: Deadline,
    ) -> Result<Elements, GaveUp<LogsError>> {
        let query = [("from", id.as_str()), ("take", &PAGE.to_string())];
        self.get(&query, deadline).await
    }

    /// By search: at most [`PAGE`] records by date. `page` counts from 0; only [`SEARCH_LIMIT`]
    /// records can be reached.
    pub async fn search(
        &self,
        search: Search,
        page: usize,
        per_page: usize,
        deadline: Deadline,
    ) -> Result<Elements, GaveUp<LogsError>> {
        let bound = |time: Option<DateTime<Utc>>| {
            time.map_or_else(
                || "*".to_owned(),
                |time| time.to_rfc3339_opts(SecondsFormat::Millis, true),
            )
        };
        let range = format!("date:[{} TO {}]", bound(search.from), bound(search.to));
        let query = [
            ("page", page.to_string()),
            ("per_page", per_page.to_string()),
            (
                "sort",
                format!("date:{}", if search.descending { -1 } else { 1 }),
            ),
            ("q", range),
        ];
        let bounded = search.from.is_some() || search.to.is_some();
        let query = &query[..if bounded { 4 } else { 3 }];
        let query: Vec<_> = query
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        self.get(&query, deadline).await
    }

    async fn get(
        &self,
        query: &[(&str, &str)],
        deadline: Deadline,
    ) -> Result<Elements, GaveUp<LogsError>> {
        retry::retry(&self.jitter, deadline, || self.attempt(query, deadline)).await
    }

    /// One attempt, in which a refused token is replaced once.
    async fn attempt(
        &self,
        query: &[(&str, &str)],
        deadline: Deadline,
    ) -> Result<Elements, LogsError> {
        let token = self.tokens.token(&self.requests, deadline).await?;
        let answer = self.request(query, &token, deadline).await?;
        if answer.status != StatusCode::UNAUTHORIZED {
            return self.judge(&answer, &token);
        }
        self.tokens.forget(&token).await;
        let token = self.tokens.token(&self.requests, deadline).await?;
        let answer = self.request(query, &token, deadline).await?;
        self.judge(&answer, &token)
    }

    async fn request(
        &self,
        query: &[(&str, &str)],
        token: &Token,
        deadline: Deadline,
    ) -> Result<Answer, LogsError> {
        self.rate_limit.wait(deadline).await?;
        self.requests.fetch_add(1, Ordering::Relaxed);
        let request = self
            .http
            .get(self.url.clone())
            .query(query)
            .bearer_auth(token.value.expose_secret());
        let answer = http::send(request, deadline)
            .await
            .map_err(|source| LogsError::Send {
                host: self.host(),
                source,
            })?;
        self.rate_limit.learn(&answer);
        Ok(answer)
    }

    fn judge(&self, answer: &Answer, token: &Token) -> Result<Elements, LogsError> {
        let host = self.host();
        if let Some(location) = answer.redirect() {
            return Err(LogsError::Redirected { host, location });
        }
        let said = || said(answer, token);
        match answer.status {
            StatusCode::OK => parse_page(&answer.body).map_err(|source| LogsError::Page {
                host,
                said: if answer.body.trim_ascii_start().starts_with(b"[") {
                    String::new()
                } else {
                    format!(" ({})", said())
                },
                source,
            }),
            StatusCode::BAD_REQUEST => Err(LogsError::BadRequest { host, said: said() }),
            StatusCode::UNAUTHORIZED => Err(LogsError::Unauthorized { host, said: said() }),
            StatusCode::FORBIDDEN => Err(LogsError::Forbidden { host, said: said() }),
            StatusCode::NOT_FOUND => Err(LogsError::NotFound { host }),
            status => Err(LogsError::Status {
                host,
                status,
                said: said(),
                again: answer.again(),
            }),
        }
    }

    fn host(&self) -> String {
        self.url.authority().to_owned()
    }
}

fn said(answer: &Answer, token: &Token) -> String {
    match serde_json::from_slice::<ApiError>(&answer.body) {
        Ok(error) => http::excerpt(&error.message, &[&token.value]),
        Err(_) => answer.excerpt(&[&token.value]),
    }
}
