//! The Auth0 tenant as a source of records.
//!
//! Auth0 describes its side at <https://auth0.com/docs/deploy-monitor/logs> and
//! <https://auth0.com/docs/api/management/v2/logs/get-logs>. What these modules rely on beyond
//! that is said where it is relied on.

mod ahead;
mod error;
mod forward;
mod logs;
mod pages;
mod rate_limit;
mod refill;
mod room;
mod settings;
mod start;
mod token;

use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::FutureExt as _;
use url::Url;

pub(crate) use self::settings::{Domain, ForeignDomain, SETTINGS, TenantSettings};
pub(crate) use self::token::Credentials;

pub(crate) use self::ahead::{Ahead, Log, Session};
pub(crate) use self::room::Room;

use self::error::LogsError;
use self::forward::{Forward, Take};
use self::logs::{Logs, PAGE, Search};
use self::pages::{Handle, Pages};
use self::rate_limit::RateLimit;
use self::token::{TokenError, TokenSource};
use crate::clock::Clock;
use crate::net::http::SendError;
use crate::net::retry::{Deadline, GaveUp, Jitter, retry};
use crate::record::{LogId, Page, Record, Source, SourceError, Start};

/// An Auth0 tenant, as one application sees it.
///
/// Cheap to clone: the clones share the token, the pages and what is known of the tenant's limits.
#[derive(Clone)]
pub(crate) struct Tenant {
    http: reqwest::Client,
    domain: Url,
    tokens: Arc<TokenSource>,
    rate_limit: Arc<RateLimit>,
    pages: Arc<Pages>,
    ahead: Arc<Ahead>,
    take: Arc<Take>,
    clock: Clock,
    jitter: Jitter,
}

impl Tenant {
    /// The tenant at `domain`, read with `credentials`.
    pub fn new(
        http: reqwest::Client,
        domain: Url,
        credentials: Credentials,
        room: Room,
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
            rate_limit: Arc::new(RateLimit::new(clock.clone())),
            pages: Arc::new(Pages::new(room.clone())),
            ahead: Arc::new(Ahead::new(room, clock.clone())),
            take: Arc::default(),
            clock,
            http,
            domain,
            jitter,
        }
    }

    /// A reader of the tenant's log that counts its own requests.
    pub fn reader(&self) -> LogReader {
        let logs = Logs::new(
            self.http.clone(),
            &self.domain,
            Arc::clone(&self.tokens),
            Arc::clone(&self.rate_limit),
            self.jitter.clone(),
        );
        LogReader {
            log: Arc::new(Forward {
                logs,
                take: Arc::clone(&self.take),
                clock: self.clock.clone(),
            }),
            pages: Arc::clone(&self.pages),
            ahead: Arc::clone(&self.ahead),
            runs: Mutex::default(),
        }
    }

    /// What Auth0 told last of the tenant's rate limit.
    pub fn rate_limit(&self) -> Option<crate::report::RateLimit> {
        self.rate_limit.told()
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
pub(crate) struct LogReader {
    log: Arc<Forward>,
    pages: Arc<Pages>,
    ahead: Arc<Ahead>,
    /// The runs that it is in. What an audit finds missing is read in a run within that of the audit.
    runs: Mutex<Vec<Weak<InRun>>>,
}

/// What a reader has while it is in a run.
struct InRun {
    shared: Handle,
    session: Session,
}

impl InRun {
    /// Takes note of a page that it has read. That one ends near the present is its end only where
    /// another run goes on from there, or where it ends after all that is wanted.
    fn take(&self, mut page: Page) -> Page {
        self.session.note(&page);
        page.is_last &= page.records.is_empty() || self.session.ends_with(&page);
        page
    }
}

/// A run of a reader, for as long as it is kept: until then the reader gets the pages that other
/// runs fetch, and they get its own.
pub(crate) struct Reading {
    run: Option<Arc<InRun>>,
    pages: Arc<Pages>,
    ahead: Arc<Ahead>,
}

impl Drop for Reading {
    fn drop(&mut self) {
        drop(self.run.take());
        if self.pages.is_left() {
            self.ahead.clear();
        }
    }
}

impl LogReader {
    /// To be called when a run begins, and the answer to be dropped when the run has ended. Runs
    /// share what is fetched after both have begun, so those that are to read side by side begin
    /// before any of them reads. A reader that reads without it shares nothing.
    #[must_use = "the run ends when it is dropped"]
    pub fn begin(&self) -> Reading {
        self.begin_until(None)
    }

    /// The same, for a run that wants nothing later than a time.
    #[must_use = "the run ends when it is dropped"]
    pub fn begin_until(&self, until: Option<DateTime<Utc>>) -> Reading {
        let run = Arc::new(InRun {
            shared: self.pages.enter(),
            session: Session::begin(until),
        });
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        runs.retain(|it| it.strong_count() > 0);
        runs.push(Arc::downgrade(&run));
        drop(runs);
        Reading {
            run: Some(run),
            pages: Arc::clone(&self.pages),
            ahead: Arc::clone(&self.ahead),
        }
    }

    /// The innermost run that has not ended.
    fn run(&self) -> Option<Arc<InRun>> {
        let runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        runs.iter().rev().find_map(Weak::upgrade)
    }

    /// The newest record of the tenant, if it has any: its id, its date and its type.
    pub async fn newest(&self, deadline: Deadline) -> Result<Option<Record>, SourceError> {
        let found = self.log.logs.search(Search::NEWEST, 0, 1, deadline).await;
        Ok(found.map_err(source_error)?.records.into_iter().next())
    }

    /// The newest records, or the newest of those dated `to` or earlier, as a search shows them.
    async fn newest_to(
        &self,
        to: Option<DateTime<Utc>>,
        deadline: Deadline,
    ) -> Result<Vec<Record>, SourceError> {
        let brief = Search {
            to,
            is_brief: true,
            ..Search::NEWEST
        };
        let search = self.log.logs.search(brief, 0, PAGE, deadline);
        // What else there is of them is not wanted, and would be kept for others.
        let bare = |it: Record| Record {
            json: Bytes::new(),
            ..it
        };
        let search = async { Ok(search.await?.records.into_iter().map(bare).collect()) }.boxed();
        let found = match self.run() {
            Some(run) => run.shared.newest(to, search).await,
            None => search.await,
        };
        found.map_err(source_error)
    }

    /// Whether the tenant has a record with this id.
    pub async fn has(&self, id: &LogId, deadline: Deadline) -> Result<bool, SourceError> {
        match self.log.logs.one(id, deadline).await {
            Ok(_) => Ok(true),
            Err(error) if error.error.is_too_large() => Ok(true),
            Err(error) => match error.error {
                LogsError::BadRequest { .. } | LogsError::NotFound { .. } => Ok(false),
                _ => Err(source_error(error)),
            },
        }
    }
}

impl Source for LogReader {
    async fn first(&self, start: Start, deadline: Deadline) -> Result<Page, SourceError> {
        let page = start::first_page(&self.log, start, deadline).await;
        let page = page.map_err(source_error)?;
        Ok(match self.run() {
            Some(run) => run.take(page),
            None => page,
        })
    }

    async fn after(&self, id: &LogId, deadline: Deadline) -> Result<Page, SourceError> {
        let found = match self.run() {
            Some(run) => {
                let fetch = self.ahead.after(&self.log, &run.session, id, deadline);
                let found = run.shared.after(id, fetch.boxed()).await;
                found.map(|page| run.take(page))
            }
            None => self.log.after(id, deadline).await,
        };
        found.map_err(error_after)
    }

    async fn next(&self, after: &LogId, deadline: Deadline) -> Result<Option<Record>, SourceError> {
        let logs = &self.log.logs;
        // Two, as one does not tell whether the id was heeded.
        let found = match logs.after(after, 2, deadline).await {
            Err(error) if error.error.is_too_large() => logs.after(after, 1, deadline).await,
            found => found,
        };
        Ok(found.map_err(error_after)?.records.into_iter().next())
    }

    /// Looks for any record dated so early that it was stored before this one or is this one. One that
    /// was dated long before it was stored tells nothing of what there was then.
    async fn has_dropped(&self, id: &LogId, deadline: Deadline) -> Result<bool, SourceError> {
        let Some(stored) = id.stored_at() else {
            return Ok(false);
        };
        let as_old = Search {
            to: Some(stored),
            ..Search::NEWEST
        };
        let found = self.log.logs.search(as_old, 0, AS_OLD, deadline).await;
        let found = found.map_err(source_error)?;
        let tells_nothing =
            |it: &Record| it.log_id.stored_at().is_some_and(|at| stored < at) && is_imported(it);
        Ok(found.misfits.is_empty() && found.records.iter().all(tells_nothing))
    }

    async fn latest(&self, deadline: Deadline) -> Result<Vec<Record>, SourceError> {
        self.newest_to(None, deadline).await
    }

    async fn earlier(
        &self,
        to: DateTime<Utc>,
        deadline: Deadline,
    ) -> Result<Vec<Record>, SourceError> {
        self.newest_to(Some(to), deadline).await
    }

    async fn smallest(
        &self,
        prefix: &str,
        from: DateTime<Utc>,
        deadline: Deadline,
    ) -> Result<Option<Record>, SourceError> {
        let window = Search {
            from: Some(from),
            ..Search::OLDEST
        };
        let is_wanted = |id: &LogId| id.prefix() == Some(prefix);
        let found =
            start::smallest_id(&self.log.logs, window, is_wanted, &mut Vec::new(), deadline).await;
        found.map_err(source_error)
    }

    async fn one(&self, id: &LogId, deadline: Deadline) -> Result<Option<Record>, SourceError> {
        match self.log.logs.one(id, deadline).await {
            Err(error) => match error.error {
                LogsError::NotFound { .. } | LogsError::OtherRecord { .. } => Ok(None),
                _ => Err(source_error(error)),
            },
            Ok(found) => Ok(Some(found)),
        }
    }

    async fn oldest(&self, deadline: Deadline) -> Result<Option<DateTime<Utc>>, SourceError> {
        let oldest_first = Search {
            is_brief: true,
            ..Search::OLDEST
        };
        let found = self
            .log
            .logs
            .search(oldest_first, 0, AS_OLD, deadline)
            .await;
        let found = found.map_err(source_error)?;
        let mut oldest: Option<DateTime<Utc>> = None;
        for record in &found.records {
            // Of one that was imported, when it was stored says since when it has been there.
            let stored = record.log_id.stored_at().filter(|_| is_imported(record));
            let Some(time) = stored.or(record.date) else {
                break;
            };
            oldest = Some(oldest.map_or(time, |it| it.min(time)));
            if stored.is_none() {
                return Ok(oldest);
            }
        }
        // Others may have been there before those, unless these are all.
        let are_all = found.records.len() + found.misfits.len() < AS_OLD;
        Ok(oldest.filter(|_| are_all))
    }

    fn clock_ahead(&self) -> TimeDelta {
        self.log.logs.clock_ahead()
    }

    fn requests(&self) -> u64 {
        self.log.logs.requests()
    }
}

/// Attempts of which the last is not made for want of time, and one may have failed: where there were
/// more, the limit was waited for, or Auth0 answers in no way.
const ATTEMPTS_AT_A_LIMIT: u32 = 2;

/// Records that are asked for to see whether one of them is as old as another.
const AS_OLD: usize = 50;

/// What was dated so long before it was stored was not written when it happened, but imported.
const LONG_BEFORE: TimeDelta = TimeDelta::minutes(10);

/// Whether its date says nothing of since when it has been in the log.
fn is_imported(record: &Record) -> bool {
    let times = record.log_id.stored_at().zip(record.date);
    times.is_some_and(|(stored, date)| stored - date > LONG_BEFORE)
}

/// What went wrong in reading after an id, which the log may not take.
fn error_after(error: GaveUp<LogsError>) -> SourceError {
    if Forward::is_rejected(&error) {
        SourceError::Rejected(error.into())
    } else {
        source_error(error)
    }
}

/// A limit that leaves nothing for now is nobody's failure. One that leaves nothing for longer, or
/// again after it was waited for, is as if Auth0 did not answer.
fn source_error(error: GaveUp<LogsError>) -> SourceError {
    match &error.error {
        LogsError::ResetTooLate(it) if !it.is_long() && error.attempts() <= ATTEMPTS_AT_A_LIMIT => {
            SourceError::OutOfTime(error.into())
        }
        LogsError::ResetTooLate(_)
        | LogsError::Token(TokenError::ResetTooLate { .. })
        | LogsError::Send {
            source: SendError::OutOfTime,
            ..
        } => SourceError::Slow(error.into()),
        _ => SourceError::Failed(error.into()),
    }
}
