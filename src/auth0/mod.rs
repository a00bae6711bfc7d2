//! The Auth0 tenant as a source of records.
//!
//! Auth0 describes its side at <https://auth0.com/docs/deploy-monitor/logs> and
//! <https://auth0.com/docs/api/management/v2/logs/get-logs>. What these modules rely on beyond
//! that is said where it is relied on.

mod logs;
mod pages;
mod rate_limit;
mod settings;
mod start;
mod token;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use url::Url;

pub(crate) use self::settings::{Domain, SETTINGS, TenantSettings};
pub(crate) use self::token::Credentials;

use self::logs::{Logs, LogsError, Search};
use self::pages::Pages;
use self::rate_limit::RateLimit;
use self::token::{TokenError, TokenSource};
use crate::clock::Clock;
use crate::net::retry::{Deadline, GaveUp, Jitter, retry};
use crate::record::{LogId, Page, Record, Source, SourceError, Start};

/// An Auth0 tenant, as one application sees it.
///
/// Cheap to clone: the clones share the token and the knowledge of the rate limit.
#[derive(Clone)]
pub struct Tenant {
    http: reqwest::Client,
    domain: Url,
    tokens: Arc<TokenSource>,
    rate_limit: Arc<RateLimit>,
    pages: Arc<Pages>,
    jitter: Jitter,
}

impl Tenant {
    /// The tenant at `domain`, read with `credentials` by so many readers.
    #[must_use]
    pub fn new(
        http: reqwest::Client,
        domain: Url,
        credentials: Credentials,
        readers: usize,
        clock: Clock,
        jitter: Jitter,
    ) -> Self {
        Self {
            tokens: Arc::new(TokenSource::new(
                http.clone(),
                &domain,
                credentials,
                clock.clone(),
            )),
            rate_limit: Arc::new(RateLimit::new(clock)),
            pages: Arc::new(Pages::new(readers)),
            http,
            domain,
            jitter,
        }
    }

    /// A reader of the tenant's log that counts its own requests.
    #[must_use]
    pub fn reader(&self) -> LogReader {
        let logs = Logs::new(
            self.http.clone(),
            &self.domain,
            Arc::clone(&self.tokens),
            Arc::clone(&self.rate_limit),
            self.jitter.clone(),
        );
        LogReader {
            logs,
            pages: Arc::clone(&self.pages),
        }
    }

    /// To be called before runs begin that read side by side: they share what they fetch.
    pub fn begin(&self) {
        self.pages.forget();
    }

    /// Gets a token and answers with the scopes it carries.
    pub async fn scope(&self, deadline: Deadline) -> Result<String, SourceError> {
        let requests = std::sync::atomic::AtomicU64::new(0);
        retry(&self.jitter, deadline, || {
            self.tokens.token(&requests, deadline)
        })
        .await
        .map(|token| token.scope)
        .map_err(|error| SourceError::Failed(error.into()))
    }
}

/// Reads a tenant's log, page by page.
pub struct LogReader {
    logs: Logs,
    pages: Arc<Pages>,
}

impl LogReader {
    /// The newest record of the tenant, if it has any.
    pub async fn newest(&self, deadline: Deadline) -> Result<Option<Record>, SourceError> {
        let newest_first = Search {
            from: None,
            to: None,
            descending: true,
        };
        let found = self.logs.search(newest_first, 0, 1, deadline).await;
        Ok(found.map_err(source_error)?.records.into_iter().next())
    }
}

impl Source for LogReader {
    async fn first(&self, start: Start, deadline: Deadline) -> Result<Page, SourceError> {
        start::first_page(&self.logs, start, deadline)
            .await
            .map_err(source_error)
    }

    async fn after(&self, id: &LogId, deadline: Deadline) -> Result<Page, SourceError> {
        let fetch = async { self.logs.after(id, deadline).await.map(start::page) };
        let found = self.pages.after(id, fetch).await;
        found.map_err(|error| match error.error {
            // What Auth0 answers for an id that it no longer has is not documented.
            LogsError::BadRequest { .. } | LogsError::NotFound { .. } => {
                SourceError::Rejected(error.into())
            }
            _ => source_error(error),
        })
    }

    /// Looks for any record dated so early that it was stored before this one or is this one.
    async fn has_dropped(&self, id: &LogId, deadline: Deadline) -> Result<bool, SourceError> {
        let Some(stored) = id.stored_at() else {
            return Ok(false);
        };
        let as_old = Search {
            from: None,
            to: Some(stored),
            descending: true,
        };
        let found = self.logs.search(as_old, 0, 1, deadline).await;
        Ok(found.map_err(source_error)?.count() == 0)
    }

    async fn oldest(&self, deadline: Deadline) -> Result<Option<DateTime<Utc>>, SourceError> {
        let oldest_first = Search {
            from: None,
            to: None,
            descending: false,
        };
        let found = self.logs.search(oldest_first, 0, 1, deadline).await;
        let found = found.map_err(source_error)?;
        Ok(found.records.first().and_then(|record| record.date))
    }

    fn requests(&self) -> u64 {
        self.logs.requests()
    }
}

fn source_error(error: GaveUp<LogsError>) -> SourceError {
    match error.error {
        LogsError::ResetTooLate(_) | LogsError::Token(TokenError::ResetTooLate(_)) => {
            SourceError::OutOfTime(error.into())
        }
        _ => SourceError::Failed(error.into()),
    }
}
