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
//! The run knows a source of records, a destination, a checkpoint store and a place for dead
//! letters. Of Auth0 it knows the record and its id, and no URL, no header and no JSON.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tracing::warn;

use self::batch::Batch;
use crate::BoxError;
use crate::auth0::{LogId, Record};
use crate::checkpoint::{Checkpoint, CheckpointError, CheckpointStore, Loaded, Position, Stored};
use crate::clock::Clock;
use crate::dead_letter::{DeadLetter, DeadLetterError, DeadLetters, Kept};
use crate::destination::{DeliveryError, Destination, Receipt};
use crate::report::{Gap, Report, with_causes};
use crate::retry::Deadline;
use crate::source::{Page, Source, SourceError, Start};
use crate::storage::Version;

/// Pages of 100 records that are read ahead of the batch being delivered: one batch.
const PAGES_AHEAD: usize = 10;
/// How long records wait for others to share a batch with.
const LINGER: Duration = Duration::from_secs(5);
/// Time kept at the end of a run for delivering what was read, unless a quarter of the budget is
/// less. Without it a source so slow that a run never fills a batch would never get one through.
const DELIVERY_RESERVE: Duration = Duration::from_secs(30);
/// Between two attempts to save what was acknowledged in a storage that is away.
const STORE_PAUSE: Duration = Duration::from_secs(1);
/// How old the stored time of having caught up may grow while there is nothing else to save.
const HEARTBEAT: Duration = Duration::from_hours(1);

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
pub struct Poller<S, D, C, L> {
    /// Where records come from.
    pub source: S,
    /// Where they go.
    pub destination: D,
    /// Where the checkpoint is kept.
    pub checkpoints: C,
    /// Where a record goes that the destination cannot take.
    pub dead_letters: L,
    /// What time it is.
    pub clock: Clock,
    /// Whether the process is asked to end. A run then reads no more, delivers what it has read,
    /// and saves.
    pub stopping: watch::Receiver<bool>,
    /// The settings.
    pub policy: Policy,
}

/// Why a run stopped.
#[derive(Debug, thiserror::Error)]
enum RunError {
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error("reading does not get on: no record of a whole page has a log_id")]
    NoId,
    #[error("reading does not get on: the page behind {after} ends with {last}")]
    NoProgress { after: LogId, last: LogId },
    #[error(transparent)]
    Destination(BoxError),
    #[error(
        "the destination refuses every record, so that the fault is not in one of them; nothing \
         was set aside: {0}"
    )]
    AllRefused(BoxError),
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error(transparent)]
    DeadLetter(#[from] DeadLetterError),
}

/// What the reading half hands to the delivering half.
#[derive(Debug)]
enum Read {
    /// The source no longer has what follows the checkpoint; what follows here begins at `start`.
    Restart {
        start: Start,
        gap: Option<Gap>,
    },
    Page(Page),
}

/// Why one half of a run stops before its end.
#[derive(Debug)]
enum Stop {
    /// There is no time left, or nobody to read for. The next run goes on from here.
    OutOfTime,
    Failed(RunError),
}

impl<E: Into<RunError>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl<S: Source, D: Destination, C: CheckpointStore, L: DeadLetters> Poller<S, D, C, L> {
    /// Makes one run. Its report is kept up to date in `progress`, and is the result.
    pub async fn run(&self, progress: &watch::Sender<Report>) -> Report {
        let started = Instant::now();
        let budget = self.policy.budget;
        let requests_before = self.source.requests();
        progress.send_replace(Report::of(self.destination.name()));
        let run = Run {
            poller: self,
            began: (self.clock)(),
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
struct Run<'a, S, D, C, L> {
    poller: &'a Poller<S, D, C, L>,
    /// When it began: everything it reads, it reads later.
    began: DateTime<Utc>,
    /// For reading.
    reading: Deadline,
    /// For everything.
    deadline: Deadline,
    progress: &'a watch::Sender<Report>,
}

/// The checkpoint of a run, and what this run knows beside it.
struct Tracked {
    checkpoint: Checkpoint,
    /// The checkpoint as it is stored.
    stored: Checkpoint,
    version: Option<Version>,
    /// Whether this run has saved, and so knows that it may and that nobody else is at work.
    is_claimed: bool,
    /// Whether the destination has accepted anything since it refused a batch.
    has_accepted: bool,
    /// The largest id met in this run, delivered or still in the batch.
    met: Option<LogId>,
    /// What `met` was when the batch was empty last: up to here this run has read everything, and
    /// all of it is delivered, so that the cursor may move there.
    read_to: Option<LogId>,
}

impl<S: Source, D: Destination, C: CheckpointStore, L: DeadLetters> Run<'_, S, D, C, L> {
    async fn make(&self) {
        let Some(mut tracked) = self.note(self.load().await) else {
            return;
        };
        let before = tracked.checkpoint.clone();
        let (out, incoming) = mpsc::channel(PAGES_AHEAD);
        let (reading, delivering) = tokio::join!(
            self.read(&before, out),
            self.deliver(incoming, &before, &mut tracked),
        );
        let is_read = self.note_stop(reading);
        let has_failed = matches!(delivering, Err(Stop::Failed(_)));
        let is_delivered = self.note_stop(delivering);
        if has_failed {
            // What may be saved has been, behind each batch; the rest was not acknowledged.
            return;
        }
        let caught_up = is_read && is_delivered;
        self.note(self.conclude(&mut tracked, caught_up).await);
        self.report(|report| report.caught_up = caught_up);
        if !caught_up && let Some(newest) = tracked.checkpoint.newest() {
            self.warn_of_retention(newest.date).await;
        }
    }

    /// Reads the checkpoint, or makes the first one. Either way the storage answers before
    /// anything is asked of the source.
    async fn load(&self) -> Result<Tracked, RunError> {
        let store = &self.poller.checkpoints;
        let start = self.poller.policy.start_from.resolve(self.began);
        let Loaded { stored, version } = store.load(self.deadline).await?;
        let is_newest = matches!(stored, Stored::Newest(_));
        let mut checkpoint = match stored {
            Stored::Newest(checkpoint) | Stored::Previous(checkpoint) => checkpoint,
            Stored::Nothing => Checkpoint::first(start),
            Stored::Lost => Checkpoint::anew(start, self.began),
        };
        checkpoint.begin_by(start);
        let mut tracked = Tracked {
            stored: checkpoint.clone(),
            checkpoint,
            version,
            is_claimed: false,
            has_accepted: false,
            met: None,
            read_to: None,
        };
        if !is_newest {
            self.save(&mut tracked).await?;
        }
        self.report_newest(&tracked.checkpoint);
        self.report_loss(&tracked.checkpoint);
        Ok(tracked)
    }

    /// Reads page after page from where the checkpoint stands.
    async fn read(&self, before: &Checkpoint, out: mpsc::Sender<Read>) -> Result<(), Stop> {
        if self.reading.is_over() || *self.poller.stopping.borrow() {
            return Err(Stop::OutOfTime);
        }
        let (restart, mut page) = tokio::select! {
            first = self.first_page(before) => first?,
            () = out.closed() => return Err(Stop::OutOfTime),
            () = self.asked_to_stop() => return Err(Stop::OutOfTime),
        };
        if let Some(restart) = restart {
            hand_over(&out, restart).await?;
        }
        let mut after = None;
        loop {
            page.records.sort_by(|a, b| a.log_id.cmp(&b.log_id));
            let last = page.records.last().map(|record| record.log_id.clone());
            let is_last = page.is_last;
            let count = page.records.len() + page.misfits.len();
            self.report(|report| report.fetched += count as u64);
            hand_over(&out, Read::Page(page)).await?;

            if is_last {
                return Ok(());
            }
            let last = last.ok_or(RunError::NoId)?;
            if let Some(after) = after.filter(|after| last <= *after) {
                return Err(RunError::NoProgress { after, last }.into());
            }
            if self.reading.is_over() {
                return Err(Stop::OutOfTime);
            }
            page = tokio::select! {
                page = self.poller.source.after(&last, self.reading) => match page {
                    Err(SourceError::OutOfTime(why)) => {
                        warn!("the rest is left to the next run: {}", with_causes(&*why));
                        return Err(Stop::OutOfTime);
                    }
                    page => page?,
                },
                () = out.closed() => return Err(Stop::OutOfTime),
                () = self.asked_to_stop() => return Err(Stop::OutOfTime),
            };
            after = Some(last);
        }
    }

    async fn asked_to_stop(&self) {
        let mut stopping = self.poller.stopping.clone();
        if stopping.wait_for(|it| *it).await.is_err() {
            // Nobody is there any more who could ask.
            std::future::pending::<()>().await;
        }
    }

    /// Delivers what is read and was not delivered before, and saves behind each batch.
    async fn deliver(
        &self,
        mut incoming: mpsc::Receiver<Read>,
        before: &Checkpoint,
        tracked: &mut Tracked,
    ) -> Result<(), Stop> {
        let mut batch = Batch::new(self.poller.destination.limits());
        loop {
            let next = if batch.rows.is_empty() {
                Ok(incoming.recv().await)
            } else {
                tokio::time::timeout(LINGER, incoming.recv()).await
            };
            match next {
                Ok(Some(Read::Page(page))) => {
                    for misfit in page.misfits {
                        self.set_misfit_aside(&misfit).await?;
                    }
                    for record in page.records {
                        self.take(record, before, &mut batch, tracked).await?;
                    }
                }
                Ok(Some(Read::Restart { start, gap })) => {
                    tracked.checkpoint.restart(start);
                    if let Some(gap) = gap {
                        self.report_gap(gap);
                    }
                }
                Ok(None) => return self.flush(&mut batch, tracked).await,
                Err(_lingered) => self.flush(&mut batch, tracked).await?,
            }
        }
    }

    /// Puts a record into the batch, unless it was delivered before or is older than the start. Delivers
    /// the batch first if it has no room.
    async fn take(
        &self,
        record: Record,
        before: &Checkpoint,
        batch: &mut Batch,
        tracked: &mut Tracked,
    ) -> Result<(), Stop> {
        let id = record.log_id.clone();
        if is_before_start(before, &record) {
            self.report(|report| report.before_start += 1);
        } else if before.has_delivered(&id) || tracked.checkpoint.remembers(&id) || batch.has(&id) {
            self.report(|report| report.skipped += 1);
        } else {
            match self.poller.destination.row(&record) {
                Ok(row) => {
                    if !batch.has_room_for(&row) {
                        self.flush(batch, tracked).await?;
                    }
                    batch.push(record, row);
                }
                Err(reason) => {
                    self.flush(batch, tracked).await?;
                    self.keep_dead_letter(&record, &*reason, tracked).await?;
                    tracked.met = tracked.met.take().max(Some(id.clone()));
                    self.settle(tracked).await?;
                }
            }
        }
        tracked.met = tracked.met.take().max(Some(id));
        Ok(())
    }

    /// Puts a record among the dead letters. It counts as delivered from then on.
    async fn keep_dead_letter(
        &self,
        record: &Record,
        reason: &(dyn Error + Send + Sync),
        tracked: &mut Tracked,
    ) -> Result<(), Stop> {
        let letter = DeadLetter {
            log_id: Some(&record.log_id),
            json: record.text(),
            reason: &with_causes(reason),
        };
        self.set_aside(letter).await?;
        tracked.checkpoint.acknowledge([record]);
        Ok(())
    }

    /// Puts what has no id among the dead letters. As long as it is read again it is met there.
    async fn set_misfit_aside(&self, misfit: &Bytes) -> Result<(), Stop> {
        let letter = DeadLetter {
            log_id: None,
            json: std::str::from_utf8(misfit).unwrap_or("null"),
            reason: "it has no log_id",
        };
        self.set_aside(letter).await
    }

    async fn set_aside(&self, letter: DeadLetter<'_>) -> Result<(), Stop> {
        if self.deadline.is_over() {
            return Err(Stop::OutOfTime);
        }
        let dead_letters = &self.poller.dead_letters;
        let kept = dead_letters.set_aside(letter, self.now(), self.deadline);
        let Kept { place, is_new } = kept.await?;
        if is_new {
            warn!("a record was set aside in {place}: {}", letter.reason);
        }
        self.report(|report| {
            let count = if is_new {
                &mut report.dead_lettered
            } else {
                &mut report.skipped
            };
            *count += 1;
        });
        Ok(())
    }

    /// Delivers the batch, if there is anything in it, and moves the checkpoint behind it.
    async fn flush(&self, batch: &mut Batch, tracked: &mut Tracked) -> Result<(), Stop> {
        if batch.rows.is_empty() {
            tracked.read_to.clone_from(&tracked.met);
            return Ok(());
        }
        if self.deadline.is_over() {
            return Err(Stop::OutOfTime);
        }
        if !tracked.is_claimed {
            // Before the first post: a run that cannot save would repeat it for ever, and of two
            // pollers only one should make it.
            self.save(tracked).await?;
        }
        let destination = &self.poller.destination;
        match destination.deliver(&batch.rows, self.deadline).await {
            Ok(receipt) => self.accept(&batch.records, receipt, tracked),
            Err(DeliveryError::Refused(reason)) => self.sort_out(batch, reason, tracked).await?,
            Err(DeliveryError::Failed(error)) => return Err(RunError::Destination(error).into()),
        }
        batch.clear();
        self.settle(tracked).await?;
        Ok(())
    }

    /// Notes what the destination acknowledged.
    fn accept<'a>(
        &self,
        records: impl IntoIterator<Item = &'a Record, IntoIter: ExactSizeIterator>,
        receipt: Receipt,
        tracked: &mut Tracked,
    ) {
        let records = records.into_iter();
        tracked.has_accepted = true;
        self.report(|report| {
            report.delivered += records.len() as u64;
            report.batches += 1;
            report.bytes += receipt.bytes as u64;
        });
        tracked.checkpoint.accepted();
        tracked.checkpoint.acknowledge(records);
        self.report_newest(&tracked.checkpoint);
    }

    /// Moves the checkpoint behind what was met, all of which is delivered or set aside.
    async fn settle(&self, tracked: &mut Tracked) -> Result<(), RunError> {
        tracked.read_to.clone_from(&tracked.met);
        self.advance(tracked);
        self.save(tracked).await
    }

    /// Moves the cursor as far as this run's reading allows, and saves if that is news.
    async fn conclude(&self, tracked: &mut Tracked, caught_up: bool) -> Result<(), RunError> {
        self.advance(tracked);
        if caught_up {
            tracked.checkpoint.caught_up(self.began);
        }
        if tracked.checkpoint.is_news_after(&tracked.stored, HEARTBEAT) {
            self.save(tracked).await?;
        }
        Ok(())
    }

    fn advance(&self, tracked: &mut Tracked) {
        if let Some(read_to) = &tracked.read_to {
            let settled = self.began - self.poller.policy.overlap;
            tracked.checkpoint.advance(read_to, settled);
        }
    }

    async fn save(&self, tracked: &mut Tracked) -> Result<(), RunError> {
        let store = &self.poller.checkpoints;
        let deadline = self.deadline.for_saving();
        let now = self.now();
        let saved = loop {
            let version = tracked.version.as_ref();
            let saved = store
                .save(&tracked.checkpoint, version, now, deadline)
                .await;
            let may_pass = saved.as_ref().is_err_and(CheckpointError::may_pass);
            // What was acknowledged would be sent again if it were forgotten.
            if !may_pass || !tracked.has_accepted || self.deadline.is_over() {
                break saved;
            }
            tokio::time::sleep(STORE_PAUSE).await;
        };
        tracked.version = Some(saved?);
        tracked.stored = tracked.checkpoint.clone();
        tracked.is_claimed = true;
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

    /// Notes how one half of the run stopped. Answers whether it reached its end.
    fn note_stop(&self, result: Result<(), Stop>) -> bool {
        match result {
            Ok(()) => true,
            Err(Stop::OutOfTime) => false,
            Err(Stop::Failed(error)) => {
                self.report(|report| report.fail(&error));
                false
            }
        }
    }

    fn report_newest(&self, checkpoint: &Checkpoint) {
        if let Some(newest) = checkpoint.newest() {
            self.report(|report| {
                report.last_log_id = Some(newest.log_id.clone());
                report.last_date = newest.date;
            });
        }
    }

    fn report_gap(&self, gap: Gap) {
        warn!("records {gap} may have been dropped by Auth0 before they were read");
        self.report(|report| report.gap = Some(gap));
    }
}

/// Hands what was read to the delivering half, which may have stopped.
async fn hand_over(out: &mpsc::Sender<Read>, read: Read) -> Result<(), Stop> {
    out.send(read).await.map_err(|_| Stop::OutOfTime)
}

fn is_before_start(before: &Checkpoint, record: &Record) -> bool {
    match (before.position(), record.date) {
        (Position::Start(Start::At(start)), Some(date)) => date < start,
        _ => false,
    }
}

mod batch;
mod gap;
mod refused;
#[cfg(test)]
mod tests;
