//! The Auth0 tenant as a source of records.
//!
//! Auth0 describes its side at <https://auth0.com/docs/deploy-monitor/logs> and
//! <https://auth0.com/docs/api/management/v2/logs/get-logs>. Where a module relies on undocumented
//! behaviour, a comment there says so.

mod ahead;
mod error;
mod forward;
mod logs;
mod page_budget;
mod pages;
mod rate_limit;
mod refill;
mod settings;
mod start;
mod token;

use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::FutureExt as _;
use serde_json::json;
use url::Url;

pub(crate) use self::settings::{Domain, ForeignDomain, SETTINGS, TenantSettings};
pub(crate) use self::token::Credentials;

pub(crate) use self::ahead::{Ahead, Log, Session};
pub(crate) use self::page_budget::PageBudget;

use self::error::{LogsError, source_error};
use self::forward::{Forward, Take};
use self::logs::{Logs, PAGE, Search};
use self::pages::{Handle, Pages};
use self::rate_limit::RateLimit;
use self::token::TokenSource;
use crate::clock::Clock;
use crate::net::retry::{Deadline, GaveUp, Jitter, retry};
use crate::record::{Elements, LogId, Page, Record, Source, SourceError, Start};

/// Records requested in a search for the oldest record, or for one as old as another.
const AS_OLD: usize = 50;

/// A record stored this long after its date was imported, not written when the event happened.
const LONG_BEFORE: TimeDelta = TimeDelta::minutes(10);

/// An Auth0 tenant, as one application sees it.
///
/// Cheap to clone: the clones share the token, the cached pages and the known rate limit.
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
        budget: PageBudget,
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
            pages: Arc::new(Pages::new(budget.clone())),
            ahead: Arc::new(Ahead::new(budget, clock.clone())),
            take: Arc::default(),
            clock,
            http,
            domain,
            jitter,
        }
    }

    /// A reader of the tenant's log that counts its own requests.
    pub fn reader(&self) -> LogReader {
        let logs = Arc::new(Logs::new(
            self.http.clone(),
            &self.domain,
            Arc::clone(&self.tokens),
            Arc::clone(&self.rate_limit),
            self.jitter.clone(),
        ));
        let log = |is_for_one_run| Forward {
            logs: Arc::clone(&logs),
            take: Arc::clone(&self.take),
            clock: self.clock.clone(),
            is_for_one_run,
        };
        LogReader {
            log: Arc::new(log(false)),
            log_of_one_run: Arc::new(log(true)),
            pages: Arc::clone(&self.pages),
            ahead: Arc::clone(&self.ahead),
            runs: Mutex::default(),
        }
    }

    /// The tenant's rate limit, as Auth0 last reported it.
    pub fn rate_limit(&self) -> Option<crate::report::RateLimit> {
        self.rate_limit.told()
    }

    /// Whether the rate limit leaves no request within this time.
    pub fn is_closed_for(&self, time: std::time::Duration) -> bool {
        self.rate_limit.is_closed_for(time)
    }

    /// Gets a token and returns its scopes.
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
    /// The same for a run that no other goes on from.
    log_of_one_run: Arc<Forward>,
    pages: Arc<Pages>,
    ahead: Arc<Ahead>,
    /// The runs of this reader. They nest: an audit reads the records it finds missing in an inner run.
    runs: Mutex<Vec<Weak<InRun>>>,
}

/// The state of a reader in one run.
struct InRun {
    shared: Handle,
    session: Session,
    log: Arc<Forward>,
}

impl InRun {
    /// Notes a page that the reader has read.
    fn take(&self, page: Page) -> Page {
        self.session.note(&page);
        self.judge(page)
    }

    /// A page that merely ends near the present counts as the last one only if a later run continues from
    /// there, or if it reaches past what this run needs.
    fn judge(&self, mut page: Page) -> Page {
        page.is_last &= page.records.is_empty() || self.session.ends_with(&page);
        page
    }
}

/// A reader's run, until it is dropped. Meanwhile the reader and the other runs share the pages they fetch.
pub(crate) struct RunGuard {
    run: Option<Arc<InRun>>,
    began: DateTime<Utc>,
    pages: Arc<Pages>,
    ahead: Arc<Ahead>,
}

impl RunGuard {
    /// When the run began. No page that it gets was fetched earlier.
    pub fn began(&self) -> DateTime<Utc> {
        self.began
    }
}

impl Drop for RunGuard {
    fn drop(&mut self) {
        drop(self.run.take());
        if self.pages.is_deserted() {
            self.ahead.clear();
        }
    }
}

impl LogReader {
    /// Begins a run, which ends when the returned value is dropped. Two runs share the pages that
    /// are fetched after both have begun, so runs that read in parallel all begin before any of
    /// them reads. A reader outside a run shares nothing.
    #[must_use = "the run ends when it is dropped"]
    pub fn begin(&self) -> RunGuard {
        self.enter(&self.log, None)
    }

    /// Like [`begin`](Self::begin), for a run that needs no records stored after `until`, and that no other
    /// goes on from.
    #[must_use = "the run ends when it is dropped"]
    pub fn begin_until(&self, until: Option<DateTime<Utc>>) -> RunGuard {
        self.enter(&self.log_of_one_run, until)
    }

    fn enter(&self, log: &Arc<Forward>, until: Option<DateTime<Utc>>) -> RunGuard {
        let began = (self.log.clock)();
        let run = Arc::new(InRun {
            shared: self.pages.enter(),
            session: Session::begin(until),
            log: Arc::clone(log),
        });
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        runs.retain(|it| it.strong_count() > 0);
        runs.push(Arc::downgrade(&run));
        drop(runs);
        RunGuard {
            run: Some(run),
            began,
            pages: Arc::clone(&self.pages),
            ahead: Arc::clone(&self.ahead),
        }
    }

    /// The innermost run that has not ended.
    fn run(&self) -> Option<Arc<InRun>> {
        let runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        runs.iter().rev().find_map(Weak::upgrade)
    }

    /// The tenant's newest record, if there is one, with its id, date and type only.
    pub async fn newest(&self, deadline: Deadline) -> Result<Option<Record>, SourceError> {
        let found = self.log.logs.search(Search::NEWEST, 0, 1, deadline).await;
        Ok(found.map_err(source_error)?.records.into_iter().next())
    }

    /// The newest records, or the newest of those dated `to` or earlier, with their ids and dates only.
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
        // The JSON is not needed, and would be cached for other readers.
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
        let run = self.run();
        let log = run.as_ref().map_or(&self.log, |it| &it.log);
        let page = start::first_page(log, start, deadline).await;
        let page = page.map_err(source_error)?;
        Ok(match run {
            Some(run) => run.take(page),
            None => page,
        })
    }

    async fn after(&self, id: &LogId, deadline: Deadline) -> Result<Page, SourceError> {
        let found = match self.run() {
            Some(run) => {
                let fetch = self.ahead.after(&run.log, &run.session, id, deadline);
                let found = run.shared.after(id, fetch.boxed()).await;
                found.map(|page| run.take(page))
            }
            None => self.log.after(id, deadline).await,
        };
        found.map_err(error_after)
    }

    /// Neither shared with other runs nor read ahead: the run has not come to this place yet.
    async fn look(&self, id: &LogId, deadline: Deadline) -> Result<Page, SourceError> {
        let page = self.log.after(id, deadline).await.map_err(error_after)?;
        Ok(match self.run() {
            Some(run) => run.judge(page),
            None => page,
        })
    }

    async fn next(&self, after: &LogId, deadline: Deadline) -> Result<Option<Record>, SourceError> {
        let logs = &self.log.logs;
        // Two records: a single one does not show whether Auth0 honoured the id.
        let is_for_one = |error: &LogsError| error.is_too_large() || error.may_be_for_a_record();
        let mut found = logs.after(after, 2, deadline).await;
        if found.as_ref().is_err_and(|it| is_for_one(&it.error)) {
            found = logs.after(after, 1, deadline).await;
        }
        match found {
            Err(error) if error.error.may_be_for_a_record() => {
                let shown = start::shown_after(logs, after, deadline).await;
                shown.map(Some).ok_or_else(|| error_after(error))
            }
            found => Ok(found.map_err(error_after)?.records.into_iter().next()),
        }
    }

    /// Looks for a record dated no later than this one was stored: this record itself or an older
    /// one. An imported record that was stored later proves nothing: it was not in the log then.
    async fn has_dropped(&self, id: &LogId, deadline: Deadline) -> Result<bool, SourceError> {
        let Some(stored) = id.stored_at() else {
            return Ok(false);
        };
        let as_old = Search {
            to: Some(stored),
            ..Search::NEWEST
        };
        let found = self.log.logs.search(as_old, 0, AS_OLD, deadline).await;
        Ok(!has_as_old(&found.map_err(source_error)?, stored))
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
    ) -> Result<Option<Page>, SourceError> {
        let found = start::smallest_of(&self.log.logs, prefix, from, deadline).await;
        found.map_err(source_error)
    }

    async fn one(&self, id: &LogId, deadline: Deadline) -> Result<Option<Record>, SourceError> {
        let head = Record {
            log_id: id.clone(),
            date: None,
            json: json!({"log_id": id.as_str()}).to_string().into(),
        };
        match start::whole(&self.log.logs, head, deadline).await {
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
        let logs = &self.log.logs;
        let found = logs.search(oldest_first, 0, AS_OLD, deadline).await;
        Ok(since_when(&found.map_err(source_error)?))
    }

    fn clock_ahead(&self) -> TimeDelta {
        self.log.logs.clock_ahead()
    }

    fn requests(&self) -> u64 {
        self.log.logs.requests()
    }
}

/// Whether a record was imported, so that its date does not tell since when it has been in the log.
fn is_imported(record: &Record) -> bool {
    let times = record.log_id.stored_at().zip(record.date);
    times.is_some_and(|(stored, date)| stored - date > LONG_BEFORE)
}

/// Whether one of these, all dated no later than `stored`, was in the log then.
fn has_as_old(found: &Elements, stored: DateTime<Utc>) -> bool {
    let tells_nothing =
        |it: &Record| it.log_id.stored_at().is_some_and(|at| stored < at) && is_imported(it);
    !found.misfits.is_empty() || !found.records.iter().all(tells_nothing)
}

/// Since when the log has had records, by up to [`AS_OLD`] that have the oldest dates; `None` if they do
/// not tell.
fn since_when(found: &Elements) -> Option<DateTime<Utc>> {
    let mut oldest: Option<DateTime<Utc>> = None;
    for record in &found.records {
        // An imported record has been in the log only since it was stored, whatever its date.
        let stored = record.log_id.stored_at().filter(|_| is_imported(record));
        let Some(time) = stored.or(record.date) else {
            break;
        };
        oldest = Some(oldest.map_or(time, |it| it.min(time)));
        if stored.is_none() {
            return oldest;
        }
    }
    // All of these were imported. Unless they are the whole log, an older record may exist.
    oldest.filter(|_| found.count() < AS_OLD)
}

/// Classifies a failure to read after an id, which Auth0 may have rejected.
fn error_after(error: GaveUp<LogsError>) -> SourceError {
    if Forward::is_rejected(&error) {
        SourceError::Rejected(error.into())
    } else {
        source_error(error)
    }
}

#[cfg(test)]
mod tests;
