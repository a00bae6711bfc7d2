//! Reading ahead: while a reader is far behind, the pages that come next are fetched in parallel.
//!
//! This is a matter of speed only. Pages are handed out in order, with the records that a
//! sequential read would return. Anything odd ends the reading ahead, and the reader goes on
//! sequentially. So what a run stores and what it reports do not depend on it.

mod density;
mod prefetch;

use std::future::pending;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::FutureExt as _;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;

use self::density::weight;
use self::prefetch::{Job, NotRead, Prefetch, Taken};
use super::page_budget::{AHEAD_BYTES, PageBudget, Share};
use crate::clock::Clock;
use crate::net::retry::Deadline;
use crate::record::{LogId, Page};

/// When reading ahead is worthwhile.
const WORTH: Worth = Worth {
    recent: TimeDelta::minutes(10),
    pages: 40,
    time: Duration::from_secs(3),
    latency: Duration::from_millis(10),
    transfer: Duration::from_millis(40),
};
/// The latest pages, whose average tells whether pages are slow.
const LAST_PAGES: f64 = 8.0;
/// How long nothing is read ahead after the log did not honour synthetic ids.
const PAUSE: Duration = Duration::from_mins(2);
/// The fewest pages for which there has to be room.
const FEWEST: usize = 16;
/// The most prefetches at a time: one for each position at which a reader is.
const PREFETCHES: usize = 4;
/// A prefetch is discarded after no reader has asked for its next page for this long.
const FORGOTTEN: Duration = Duration::from_mins(1);

/// A log that can be read sequentially.
pub(crate) trait Log: Send + Sync + 'static {
    type Error: Send;

    /// The page after an id.
    fn after(
        &self,
        id: &LogId,
        deadline: Deadline,
    ) -> impl Future<Output = Result<Page, Self::Error>> + Send;

    /// Whether an error means that the log rejected the id.
    fn is_rejected(error: &Self::Error) -> bool;

    /// Whether requests are already queued.
    fn is_crowded(&self) -> bool;
}

/// A run, as far as reading ahead is concerned. It gets nothing that was fetched before it began.
#[derive(Debug)]
pub(crate) struct Session {
    began: Instant,
    /// The run needs nothing later.
    until: Option<DateTime<Utc>>,
    /// The last id that it read.
    last: Mutex<Option<LogId>>,
    /// The average time that its latest pages took, relative to pages that come at once.
    pace: Mutex<Option<f64>>,
}

impl Session {
    /// A run that begins now, and reads up to `until` at least.
    pub fn begin(until: Option<DateTime<Utc>>) -> Self {
        Self {
            began: Instant::now(),
            until,
            last: Mutex::default(),
            pace: Mutex::default(),
        }
    }

    /// Whether a page that ends near the present completes the run: the next run goes on from
    /// there, or the page reaches past what this run needs.
    pub fn ends_with(&self, page: &Page) -> bool {
        let last = page.records.iter().map(|it| &it.log_id).max();
        let stored = last.and_then(LogId::stored_at);
        self.until
            .is_none_or(|until| stored.is_some_and(|it| it > until))
    }

    /// Notes the page that it has read.
    pub fn note(&self, page: &Page) {
        let last = page.records.iter().map(|it| &it.log_id).max();
        *self.last() = last.cloned();
    }

    /// Notes how long a page took. Returns whether the latest pages were slow on average. Each
    /// counts double at most: now and then one is slow, when the machine is busy.
    fn is_slow(&self, took: Duration, at_once: Duration) -> bool {
        let pace = (took.as_secs_f64() / at_once.as_secs_f64()).min(2.0);
        let mut known = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        let average = known.map_or(pace, |known| known + (pace - known) / LAST_PAGES);
        *known = Some(average);
        average >= 1.0
    }

    fn last(&self) -> MutexGuard<'_, Option<LogId>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// When reading ahead is worthwhile.
#[derive(Clone, Copy, Debug)]
struct Worth {
    /// Records stored this recently are read sequentially: there the log may still change.
    recent: TimeDelta,
    /// The fewest pages that have to be left.
    pages: usize,
    /// The least time that reading them sequentially would take.
    time: Duration,
    /// Pages that take less on average come at once: there is nothing to wait for.
    latency: Duration,
    /// The additional time for each MiB of a page, to send and parse it.
    transfer: Duration,
}

impl Worth {
    /// How long a page of this size takes if it comes at once.
    fn at_once(&self, bytes: usize) -> Duration {
        let kib = u32::try_from(bytes / 1024).unwrap_or(u32::MAX);
        self.latency + self.transfer.saturating_mul(kib) / 1024
    }
}

/// Reads ahead in one tenant's log.
pub(crate) struct Ahead {
    worth: Worth,
    budget: PageBudget,
    clock: Clock,
    state: Shared,
}

#[derive(Default)]
struct State {
    prefetches: Vec<Open>,
    numbers: u64,
    /// Nothing is read ahead before this time.
    paused_until: Option<Instant>,
}

type Shared = Arc<Mutex<State>>;

/// A prefetch that is being read.
struct Open {
    number: u64,
    prefetch: Prefetch,
    began: Instant,
    asked_at: Instant,
    /// Until when requests may be made.
    deadline: Deadline,
    /// Notified whenever a page has arrived.
    came: Arc<Notify>,
    /// The requests under way, which are aborted when this is dropped.
    requests: JoinSet<()>,
    share: Share,
}

impl Drop for Open {
    fn drop(&mut self) {
        // A reader that waits for a page reads on sequentially.
        self.came.notify_waiters();
    }
}

impl Ahead {
    /// Nothing is read ahead yet.
    pub fn new(budget: PageBudget, clock: Clock) -> Self {
        Self {
            worth: WORTH,
            budget,
            clock,
            state: Shared::default(),
        }
    }

    /// One that reads ahead even where that is hardly worthwhile.
    #[cfg(test)]
    pub fn eager(clock: Clock) -> Self {
        let mut ahead = Self::new(PageBudget::default(), clock);
        ahead.worth = Worth {
            recent: TimeDelta::minutes(1),
            pages: 1,
            time: Duration::ZERO,
            latency: Duration::ZERO,
            transfer: Duration::ZERO,
        };
        ahead
    }

    /// The page after an id: one that was read ahead, or the answer of the log.
    pub async fn after<L: Log>(
        &self,
        log: &Arc<L>,
        session: &Session,
        id: &LogId,
        deadline: Deadline,
    ) -> Result<Page, L::Error> {
        let number = lock(&self.state).find(id, session);
        while let Some(number) = number {
            let (taken, came) = {
                let mut state = lock(&self.state);
                spawn_requests(&self.state, &mut state, number, log);
                // Another reader may have taken the page while this one waited.
                let open = state.open(number).filter(|it| it.prefetch.next == *id);
                let Some(open) = open else {
                    break;
                };
                open.asked_at = Instant::now();
                let taken = open.prefetch.take();
                open.prefetch.is_starved = matches!(taken, Taken::Wait);
                let came = Arc::clone(&open.came).notified_owned();
                spawn_requests(&self.state, &mut state, number, log);
                let is_idle = state.open(number).is_none_or(|it| it.prefetch.is_idle());
                let taken = match taken {
                    Taken::Wait if is_idle => Taken::Over,
                    taken => taken,
                };
                (taken, came)
            };
            match taken {
                Taken::Page(page) => return Ok(page),
                Taken::Wait => came.await,
                Taken::Over => {
                    lock(&self.state).close(number);
                    break;
                }
            }
        }
        let began = Instant::now();
        let page = fetch(log, id, deadline).await?;
        if session.last().as_ref() == Some(id) {
            self.consider(log, session, &page, began.elapsed(), deadline);
        }
        Ok(page)
    }

    /// Discards everything: no reader is left.
    pub fn clear(&self) {
        lock(&self.state).prefetches.clear();
    }

    /// Begins to read ahead after a page that took this long, if that is worthwhile.
    fn consider<L: Log>(
        &self,
        log: &Arc<L>,
        session: &Session,
        page: &Page,
        took: Duration,
        deadline: Deadline,
    ) {
        let now = Instant::now();
        let is_slow = session.is_slow(took, self.worth.at_once(weight(page)));
        let mut state = lock(&self.state);
        let is_asked_for = |it: &Open| now - it.asked_at <= FORGOTTEN;
        state.prefetches.retain(is_asked_for);
        if state.paused_until.is_some_and(|until| now < until)
            || state.prefetches.len() >= PREFETCHES
            || page.is_last
        {
            return;
        }
        let recent = (self.clock)() - self.worth.recent;
        let end = session.until.map_or(recent, |until| until.min(recent));
        let Some(prefetch) = Prefetch::after(page, end, self.worth.pages) else {
            return;
        };
        let pages = u32::try_from(prefetch.pages_left()).unwrap_or(u32::MAX);
        let is_long = took.saturating_mul(pages) >= self.worth.time;
        // Of pages this large, too few fit into the memory.
        if !is_slow || !is_long || prefetch.page_bytes() > AHEAD_BYTES / FEWEST {
            return;
        }
        state.numbers += 1;
        let number = state.numbers;
        state.prefetches.push(Open {
            number,
            prefetch,
            began: now,
            asked_at: now,
            deadline,
            came: Arc::default(),
            requests: JoinSet::new(),
            share: self.budget.share(),
        });
        spawn_requests(&self.state, &mut state, number, log);
    }
}

/// Fetches one page in a task of its own, so that another processor parses it while this one makes
/// rows of the pages before.
async fn fetch<L: Log>(log: &Arc<L>, id: &LogId, deadline: Deadline) -> Result<Page, L::Error> {
    let (log, id) = (Arc::clone(log), id.clone());
    let mut task = JoinSet::new();
    task.spawn(async move { log.after(&id, deadline).await });
    match task.join_next().await {
        Some(Ok(read)) => read,
        Some(Err(error)) if error.is_panic() => resume_unwind(error.into_panic()),
        // The runtime is shutting down, and the caller with it.
        _ => pending().await,
    }
}

/// Begins the requests that may be made now.
fn spawn_requests<L: Log>(shared: &Shared, state: &mut State, number: u64, log: &Arc<L>) {
    let Some(open) = state.open(number) else {
        return;
    };
    while open.requests.try_join_next().is_some() {}
    let room = open.share.bytes();
    while open.prefetch.is_first_wanted() || !log.is_crowded() {
        let Some(Job { range, after }) = open.prefetch.job(room) else {
            return;
        };
        let (log, shared, deadline) = (Arc::clone(log), Arc::clone(shared), open.deadline);
        open.requests.spawn(async move {
            let read = AssertUnwindSafe(log.after(&after, deadline)).catch_unwind();
            // The error itself is dropped: the reader meets it again in its own request.
            let read = match read.await {
                Ok(read) => read.map_err(|error| L::is_rejected(&error)),
                Err(_panicked) => Err(false),
            };
            let mut state = lock(&shared);
            let Some(open) = state.open(number) else {
                return;
            };
            let read = read.map_err(|is_rejected| NotRead { is_rejected });
            open.prefetch.adapt(log.is_crowded());
            open.prefetch.settle(range, read);
            open.came.notify_waiters();
            spawn_requests(&shared, &mut state, number, &log);
        });
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        // The requests under way hold a reference to the state.
        lock(&self.state).prefetches.clear();
    }
}

impl State {
    fn open(&mut self, number: u64) -> Option<&mut Open> {
        self.prefetches.iter_mut().find(|it| it.number == number)
    }

    /// The prefetch whose next page is the one after an id, unless it began before the run.
    fn find(&self, id: &LogId, session: &Session) -> Option<u64> {
        let mut prefetches = self.prefetches.iter();
        let found = prefetches.find(|it| it.prefetch.next == *id && it.began >= session.began);
        found.map(|it| it.number)
    }

    fn close(&mut self, number: u64) {
        let open = self.prefetches.extract_if(.., |it| it.number == number);
        if open.into_iter().any(|it| it.prefetch.is_untaken) {
            self.paused_until = Some(Instant::now() + PAUSE);
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
