//! The run: read what is new, deliver it in batches, move the checkpoint.
//!
//! There is one path. The first run, the run of every minute and the catch-up after an outage are
//! the same loop, which ends when the tenant's log is read to its end or the time budget is spent.
//! A run takes no input but the checkpoint and may be killed at any instant: what it has not saved
//! the next one does again.
//!
//! Reading and delivering go on side by side, so that the next pages arrive while a batch is under
//! way; but the checkpoint moves only behind an acknowledgement, batch by batch, in order.
//!
//! The run knows a source of records, a destination and a checkpoint store. It knows no URL, no
//! header and no JSON.

use std::collections::HashSet;
use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tracing::warn;

use crate::BoxError;
use crate::auth0::{LogId, Record, STORING_DELAY};
use crate::checkpoint::{
    Checkpoint, CheckpointError, CheckpointStore, Position, Start, to_seconds,
};
use crate::clock::Clock;
use crate::destination::{Destination, Limits};
use crate::report::{Gap, Report, with_causes};
use crate::retry::Deadline;
use crate::storage::Version;

/// Pages that are read ahead of the batch being delivered: one batch of records.
const PAGES_AHEAD: usize = 10;
/// How long records wait for others to share a batch with.
const LINGER: Duration = Duration::from_secs(5);
/// Time kept at the end of a run for delivering what was read, unless a quarter of the budget is
/// less. Without it a source so slow that a run never fills a batch would never get one through.
const DELIVERY_RESERVE: Duration = Duration::from_secs(30);
/// The shortest retention of any Auth0 plan: what was read to its end within it has lost nothing.
const SHORTEST_RETENTION: Duration = Duration::from_hours(24);
/// How old the stored time of having caught up may grow while there is nothing else to save.
const HEARTBEAT: Duration = Duration::from_hours(1);

/// Some records, ascending by id, as one request returned them.
#[derive(Debug)]
pub struct Page {
    /// The records.
    pub records: Vec<Record>,
    /// Whether the source had no more at that moment.
    pub is_last: bool,
}

impl Page {
    /// A page behind which there is nothing.
    #[must_use]
    pub fn last(records: Vec<Record>) -> Self {
        Self {
            records,
            is_last: true,
        }
    }
}

/// Why a page was not read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The source does not read behind this id, most likely because it no longer has the record.
    #[error(transparent)]
    Rejected(BoxError),
    /// There was no time for it in this run.
    #[error(transparent)]
    OutOfTime(BoxError),
    /// Anything else. Passing failures have been tried again already.
    #[error(transparent)]
    Failed(BoxError),
}

/// Where records come from.
pub trait Source: Send + Sync {
    /// The page with which a reading from `start` begins.
    fn first(
        &self,
        start: Start,
        deadline: Deadline,
    ) -> impl Future<Output = Result<Page, SourceError>> + Send;

    /// The page behind a record.
    fn after(
        &self,
        id: &LogId,
        deadline: Deadline,
    ) -> impl Future<Output = Result<Page, SourceError>> + Send;

    /// Requests made so far.
    fn requests(&self) -> u64;
}

/// The settings of a run.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// `START_FROM`: where the first run begins, seen from now.
    pub start_from: StartFrom,
    /// `OVERLAP`: how far back each run reads again.
    pub overlap: Duration,
    /// `RUN_BUDGET`: time for one run.
    pub budget: Duration,
}

/// A beginning as a person states it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StartFrom {
    /// So long ago.
    Ago(Duration),
    /// At this time.
    At(DateTime<Utc>),
    /// With the oldest record there is.
    Oldest,
}

impl StartFrom {
    /// The beginning that is meant at this moment.
    #[must_use]
    pub fn resolve(self, now: DateTime<Utc>) -> Start {
        match self {
            Self::Ago(duration) => Start::At(now - duration),
            Self::At(time) => Start::At(time),
            Self::Oldest => Start::Oldest,
        }
    }
}

/// One source, one destination, one checkpoint.
pub struct Poller<S, D, C> {
    /// Where records come from.
    pub source: S,
    /// Where they go.
    pub destination: D,
    /// Where the checkpoint is kept.
    pub checkpoints: C,
    /// What time it is.
    pub clock: Clock,
    /// The settings.
    pub policy: Policy,
}

/// Why a run stopped.
#[derive(Debug, thiserror::Error)]
enum RunError {
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error("reading does not get on: the page behind {after} ends with {last}")]
    NoProgress { after: LogId, last: LogId },
    #[error(transparent)]
    Destination(BoxError),
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

/// What the reading half hands to the delivering half.
#[derive(Debug)]
enum Read {
    /// The source rejected the cursor; what follows begins at `start`.
    Restart {
        start: Start,
        gap: Option<Gap>,
    },
    Page(Vec<Record>),
}

/// How far one half of a run got.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Reached {
    /// The end: of the tenant's log, or of what was read.
    End,
    /// Time was over before.
    Deadline,
}

impl<S: Source, D: Destination, C: CheckpointStore> Poller<S, D, C> {
    /// Makes one run. Its report is kept up to date in `progress`, and is the result.
    pub async fn run(&self, progress: &watch::Sender<Report>) -> Report {
        let started = Instant::now();
        let budget = self.policy.budget;
        let requests_before = self.source.requests();
        progress.send_replace(Report::of(self.destination.name()));
        let run = Run {
            poller: self,
            reading: Deadline::after(budget.saturating_sub(DELIVERY_RESERVE.min(budget / 4))),
            deadline: Deadline::after(budget),
            progress,
        };
        run.make().await;
        progress.send_modify(|report| {
            report.requests = self.source.requests() - requests_before;
            report.lag_seconds = lag(report, (self.clock)());
            report.elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        });
        progress.borrow().clone()
    }
}

fn lag(report: &Report, now: DateTime<Utc>) -> Option<u64> {
    if report.caught_up {
        return Some(0);
    }
    let behind = now - report.last_date?;
    Some(u64::try_from(behind.num_seconds()).unwrap_or(0))
}

/// A run under way.
struct Run<'a, S, D, C> {
    poller: &'a Poller<S, D, C>,
    /// For reading.
    reading: Deadline,
    /// For everything.
    deadline: Deadline,
    progress: &'a watch::Sender<Report>,
}

/// The checkpoint of a run, and how it is stored.
struct Tracked {
    checkpoint: Checkpoint,
    stored: Option<(Checkpoint, Version)>,
}

impl<S: Source, D: Destination, C: CheckpointStore> Run<'_, S, D, C> {
    async fn make(&self) {
        let Some(mut tracked) = self.note(self.load().await) else {
            return;
        };
        let before = tracked.checkpoint.clone();
        let (read, to_deliver) = mpsc::channel(PAGES_AHEAD);
        let (reading, delivering) = tokio::join!(
            self.read(&before, read),
            self.deliver(to_deliver, &before, &mut tracked),
        );
        let reading = self.note(reading);
        let Some(delivering) = self.note(delivering) else {
            return;
        };
        let caught_up = reading == Some(Reached::End) && delivering == Reached::End;
        self.note(self.conclude(&mut tracked, caught_up).await);
        self.report(|report| report.caught_up = caught_up);
    }

    async fn load(&self) -> Result<Tracked, RunError> {
        let tracked = match self.poller.checkpoints.load(self.deadline).await? {
            Some(loaded) => Tracked {
                checkpoint: loaded.checkpoint.clone(),
                stored: Some((loaded.checkpoint, loaded.version)),
            },
            None => Tracked {
                checkpoint: Checkpoint::at(Position::From(
                    self.poller.policy.start_from.resolve(self.now()),
                )),
                stored: None,
            },
        };
        self.report_newest(&tracked.checkpoint);
        Ok(tracked)
    }

    /// Reads page after page from where the checkpoint stands.
    async fn read(
        &self,
        before: &Checkpoint,
        read: mpsc::Sender<Read>,
    ) -> Result<Reached, RunError> {
        let mut position = before.position().clone();
        let mut is_first = true;
        let mut restart = None;
        while !self.reading.is_over() {
            let page = tokio::select! {
                page = self.page(&position) => page,
                () = read.closed() => return Ok(Reached::Deadline),
            };
            let mut page = match page {
                Ok(page) => page,
                Err(SourceError::Rejected(why)) if is_first => {
                    let start = restart_of(&position);
                    warn!(
                        "the cursor is rejected, reading resumes at the oldest record left: {}",
                        with_causes(&*why)
                    );
                    position = Position::From(start);
                    restart = Some(start);
                    is_first = false;
                    continue;
                }
                Err(SourceError::OutOfTime(why)) => {
                    warn!("the rest is left to the next run: {}", with_causes(&*why));
                    return Ok(Reached::Deadline);
                }
                Err(error) => return Err(error.into()),
            };
            is_first = false;
            page.records.sort_by(|a, b| a.log_id.cmp(&b.log_id));
            let last = page.records.last().map(|record| record.log_id.clone());

            if let Some(start) = restart.take() {
                let gap = gap(before, &page, self.now());
                if read.send(Read::Restart { start, gap }).await.is_err() {
                    return Ok(Reached::Deadline);
                }
            }
            if read.send(Read::Page(page.records)).await.is_err() {
                return Ok(Reached::Deadline);
            }
            position = match (last, position) {
                (Some(last), Position::After(after)) if last <= after => {
                    return Err(RunError::NoProgress { after, last });
                }
                (Some(last), _) if !page.is_last => Position::After(last),
                _ => return Ok(Reached::End),
            };
        }
        Ok(Reached::Deadline)
    }

    async fn page(&self, position: &Position) -> Result<Page, SourceError> {
        let source = &self.poller.source;
        match position {
            Position::From(start) => source.first(*start, self.reading).await,
            Position::After(id) => source.after(id, self.reading).await,
        }
    }

    /// Delivers what is read and was not delivered before, and saves behind each batch.
    async fn deliver(
        &self,
        mut read: mpsc::Receiver<Read>,
        before: &Checkpoint,
        tracked: &mut Tracked,
    ) -> Result<Reached, RunError> {
        let mut batch = Batch::new(self.poller.destination.limits());
        loop {
            let next = if batch.rows.is_empty() {
                Ok(read.recv().await)
            } else {
                tokio::time::timeout(LINGER, read.recv()).await
            };
            let records = match next {
                Ok(Some(Read::Page(records))) => records,
                Ok(Some(Read::Restart { start, gap })) => {
                    tracked.checkpoint.restart(start);
                    self.report_gap(gap);
                    continue;
                }
                Ok(None) => break,
                Err(_) if self.flush(&mut batch, tracked).await? == Reached::Deadline => {
                    return Ok(Reached::Deadline);
                }
                Err(_) => continue,
            };
            for record in records {
                self.report(|report| report.fetched += 1);
                if is_before_start(before.position(), &record) {
                    self.report(|report| report.before_start += 1);
                    continue;
                }
                let id = &record.log_id;
                if before.has_delivered(id) || tracked.checkpoint.remembers(id) || batch.has(id) {
                    self.report(|report| report.skipped += 1);
                    continue;
                }
                let row = self.poller.destination.row(&record);
                if !batch.has_room_for(&row)
                    && self.flush(&mut batch, tracked).await? == Reached::Deadline
                {
                    return Ok(Reached::Deadline);
                }
                batch.push(record, row);
            }
        }
        self.flush(&mut batch, tracked).await
    }

    /// Delivers a batch and moves the checkpoint behind it.
    async fn flush(&self, batch: &mut Batch, tracked: &mut Tracked) -> Result<Reached, RunError> {
        if batch.rows.is_empty() {
            return Ok(Reached::End);
        }
        if self.deadline.is_over() {
            return Ok(Reached::Deadline);
        }
        let receipt = self
            .poller
            .destination
            .deliver(&batch.rows, self.deadline)
            .await
            .map_err(RunError::Destination)?;
        let overlap = self.poller.policy.overlap;
        tracked
            .checkpoint
            .acknowledge(&batch.records, self.now(), overlap);
        self.report(|report| {
            report.delivered += batch.rows.len() as u64;
            report.batches += 1;
            report.bytes += receipt.bytes as u64;
        });
        self.report_newest(&tracked.checkpoint);
        batch.clear();
        self.save(tracked).await?;
        Ok(Reached::End)
    }

    /// Moves the cursor as far as time allows, and saves if there is anything new to save.
    async fn conclude(&self, tracked: &mut Tracked, caught_up: bool) -> Result<(), RunError> {
        let now = self.now();
        tracked.checkpoint.advance(now, self.poller.policy.overlap);
        if caught_up {
            tracked.checkpoint.caught_up(now);
        }
        match &tracked.stored {
            Some((stored, _)) if !tracked.checkpoint.is_news_after(stored, HEARTBEAT) => Ok(()),
            _ => self.save(tracked).await,
        }
    }

    async fn save(&self, tracked: &mut Tracked) -> Result<(), RunError> {
        let version = tracked.stored.as_ref().map(|(_, version)| version);
        let version = self
            .poller
            .checkpoints
            .save(
                &tracked.checkpoint,
                version,
                self.now(),
                self.deadline.for_saving(),
            )
            .await?;
        tracked.stored = Some((tracked.checkpoint.clone(), version));
        Ok(())
    }

    fn now(&self) -> DateTime<Utc> {
        (self.poller.clock)()
    }

    fn report(&self, change: impl FnOnce(&mut Report)) {
        self.progress.send_modify(change);
    }

    /// Notes an error in the report; the rest of the run goes on without the result.
    fn note<T>(&self, result: Result<T, RunError>) -> Option<T> {
        result
            .map_err(|error| self.report(|report| report.fail(&error)))
            .ok()
    }

    fn report_newest(&self, checkpoint: &Checkpoint) {
        if let Some(newest) = checkpoint.newest() {
            self.report(|report| {
                report.last_log_id = Some(newest.log_id.clone());
                report.last_date = newest.date;
            });
        }
    }

    fn report_gap(&self, gap: Option<Gap>) {
        if let Some(Gap { from, to }) = gap {
            warn!(
                "records between {} and {} may have been dropped by Auth0 before they were read",
                to_seconds(from),
                to_seconds(to)
            );
        }
        self.report(|report| report.gap = gap);
    }
}

/// Where to begin when the cursor is of no use any more: where it was, by time. If the tenant has
/// dropped those records, that is with the oldest record left.
fn restart_of(position: &Position) -> Start {
    match position {
        Position::From(start) => *start,
        Position::After(cursor) => cursor
            .stored_at()
            .map_or(Start::Oldest, |stored| Start::At(stored - STORING_DELAY)),
    }
}

/// The time between what was read last and what can be read now, if records may be missing there.
fn gap(before: &Checkpoint, page: &Page, now: DateTime<Utc>) -> Option<Gap> {
    let is_recent = |time: DateTime<Utc>| {
        (now - time)
            .to_std()
            .is_ok_and(|age| age < SHORTEST_RETENTION)
    };
    if before.caught_up_at().is_some_and(is_recent) {
        return None;
    }
    let newest = before.newest().and_then(|newest| newest.date);
    let cursor = match before.position() {
        Position::After(cursor) => cursor.stored_at(),
        Position::From(_) => None,
    };
    let from = newest.max(before.caught_up_at()).or(cursor)?;
    let to = page
        .records
        .first()
        .and_then(|record| record.date)
        .unwrap_or(now);
    (from < to).then_some(Gap { from, to })
}

fn is_before_start(position: &Position, record: &Record) -> bool {
    match (position, record.date) {
        (Position::From(Start::At(start)), Some(date)) => date < *start,
        _ => false,
    }
}

/// Rows on their way, and the records they were made of.
struct Batch {
    limits: Limits,
    records: Vec<Record>,
    rows: Vec<Bytes>,
    ids: HashSet<LogId>,
    bytes: usize,
}

impl Batch {
    fn new(limits: Limits) -> Self {
        Self {
            limits,
            records: Vec::new(),
            rows: Vec::new(),
            ids: HashSet::new(),
            bytes: 0,
        }
    }

    fn has(&self, id: &LogId) -> bool {
        self.ids.contains(id)
    }

    /// Whether a row may be added. The first one always may: a row cannot be divided.
    fn has_room_for(&self, row: &Bytes) -> bool {
        // One byte between rows, one before and one behind them.
        let bytes = self.bytes + row.len() + 2;
        self.rows.is_empty() || (self.rows.len() < self.limits.rows && bytes <= self.limits.bytes)
    }

    fn push(&mut self, record: Record, row: Bytes) {
        self.bytes += row.len() + 1;
        self.ids.insert(record.log_id.clone());
        self.records.push(record);
        self.rows.push(row);
    }

    fn clear(&mut self) {
        *self = Self::new(self.limits);
    }
}

#[cfg(test)]
mod tests;
