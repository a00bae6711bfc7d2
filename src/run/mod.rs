//! The run: reads what is new, delivers it in batches, and saves what is handled.
//!
//! There is one path. The first run, the run of every minute and the catch-up after an outage consist
//! of the same two halves, [reading](read) and [delivering](deliver), which work concurrently until the
//! log is read to its end or the time budget is spent. A run takes no input but the ledger, and may be
//! killed at any instant: the next run repeats what was not saved.
//!
//! A run knows a source, a destination, a ledger, and a place for what cannot be delivered. It does not
//! know where or how any of them stores its data.

mod deliver;
mod gap;
mod judge;
mod ledger;
mod memory;
mod pace;
mod policy;
mod read;
mod set_aside;
mod stretch;
mod time;
mod watched;

use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tracing::warn;

use self::deliver::{Delivering, Summary};
pub(crate) use self::judge::Tally;
pub(crate) use self::ledger::{Handled, Ledger, Newest, Opening};
pub(crate) use self::memory::{MemoryBudget, Share};
pub(crate) use self::pace::Pace;
pub(crate) use self::policy::{Policy, SETTINGS};
pub(crate) use self::read::Comparison;
use self::read::Seen;
pub(crate) use self::set_aside::{DeadLetter, DeadLetters, Kept};
pub(crate) use self::stretch::{Mark, Stretch, StretchLedger, Until};
use self::time::time_before;
pub(crate) use self::watched::{Watch, Watched};
use crate::clock::{Clock, to_seconds};
use crate::destination::{Destination, Filter};
use crate::error::BoxError;
use crate::net::retry::Deadline;
use crate::record::{LogId, MOST_MISFITS, Position, Source, SourceError, is_future};
use crate::report::{Gap, Report, alone};

/// Pages that may be read ahead of delivery. At 100 records a page, that is one batch.
const PAGES_AHEAD: usize = 10;
/// Time at the end of a run that is kept for delivery, at most a quarter of the budget. Without it, a
/// source so slow that no run fills a batch would never get a record delivered.
const DELIVERY_RESERVE: Duration = Duration::from_secs(30);

/// What a run works with.
pub(crate) struct Run<'a, S, A> {
    /// The tenant and the destination, for people.
    pub label: &'a str,
    /// Where records come from.
    pub source: &'a S,
    /// Where records are delivered.
    pub destination: &'a dyn Destination,
    /// Which records the destination gets.
    pub filter: &'a Filter,
    /// Where records go that the destination cannot take.
    pub dead_letters: &'a A,
    /// How many bytes of records the run may hold in memory.
    pub share: &'a Share,
    /// How many records a delivery may have.
    pub pace: &'a Pace,
    /// What time it is.
    pub clock: &'a Clock,
    /// Whether the process is asked to end. The run then reads no more, delivers what it has read, and
    /// saves.
    pub stopping: &'a watch::Receiver<bool>,
    /// `RUN_BUDGET`: time for the run. `None` if it ends only with its stretch: then no later run goes on
    /// where it ends.
    pub budget: Option<Duration>,
}

/// The time limit of a run without one. It keeps the arithmetic from overflowing.
pub(crate) const NO_END: Duration = Duration::from_hours(24 * 365);

/// Why a run failed.
#[derive(Debug, thiserror::Error)]
enum RunError {
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(
        "reading makes no progress: no record of a whole page has a log_id, and a search finds none \
         after them that has one; if something changes Auth0's answers, stop it, and the next run \
         delivers them; if not, `auth0-poller checkpoint set --from …` with a time after those that \
         were set aside lets reading go on without them ({only})"
    )]
    NoId { only: String },
    #[error(
        "reading makes no progress: more than {} MiB of records without a log_id follow each other; \
         these were set aside, and what comes after them was not read; if something changes Auth0's \
         answers, stop it, and the next run delivers them; if not, `auth0-poller checkpoint set \
         --from …` with the time of the last one that was set aside lets reading go on there ({only})",
        MOST_MISFITS / 1024 / 1024
    )]
    TooManyWithoutId { only: String },
    #[error("reading makes no progress: the page after {after} ends with {last}")]
    NoProgress { after: LogId, last: LogId },
    #[error(transparent)]
    Destination(BoxError),
    #[error(
        "the destination refuses every record, so the fault is not in one of them; nothing \
         was set aside: {0}"
    )]
    AllRefused(BoxError),
    #[error(
        "the destination refused {refused} of the {all} records of this run, which are set aside; that \
         is more than a tenth, so the fault may not be in them; look at its settings, and when it \
         takes such records, `auth0-poller dead-letter retry` delivers what was set aside"
    )]
    ManyRefused { refused: u64, all: u64 },
    #[error(
        "the time of the run was over when the first records came, so that none was delivered; a \
         longer RUN_BUDGET lets the next runs go on"
    )]
    NoTime,
    #[error(
        "{unfit} of the {all} records of this run do not fit the destination, and are set aside; that is \
         more than a tenth, so look at its settings, and when it has room for such records, \
         `auth0-poller dead-letter retry` delivers what was set aside"
    )]
    ManyUnfit { unfit: u64, all: u64 },
    #[error(
        "the time of the run was over before it was clear which records the destination refuses; \
         {left} records of the batch are neither delivered nor set aside, and the next run goes on \
         with them; a longer RUN_BUDGET helps"
    )]
    NotSortedOut { left: usize },
    #[error(
        "the destination quarantined {rows} of the records that it took, and they are not sent \
         again: {advice}"
    )]
    Quarantined { rows: u64, advice: String },
    #[error(transparent)]
    Ledger(BoxError),
    #[error(transparent)]
    DeadLetter(BoxError),
}

/// Reading begins in the future, so there is nothing to read yet.
#[derive(Debug, thiserror::Error)]
#[error(
    "reading begins in the future, {}, so nothing is delivered until then; \
     `auth0-poller checkpoint set --from …` lets it begin earlier ({only})", to_seconds(*.time)
)]
pub(crate) struct BeginsLater {
    time: DateTime<Utc>,
    only: String,
}

impl BeginsLater {
    /// The error for the destination with this label, if its reading begins in the future.
    pub fn find(begin: &Position, label: &str, now: DateTime<Utc>) -> Option<Self> {
        let time = begin.time().filter(|it| is_future(*it, now))?;
        let only = alone(label);
        Some(Self { time, only })
    }
}

/// Why one half of a run stops before its end.
#[derive(Debug)]
enum Stop {
    /// There is no time left, the process is asked to end, or the other half has stopped. The next run
    /// continues from here.
    OutOfTime,
    Failed(RunError),
}

impl<E: Into<RunError>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// A run in progress: its deadlines, and its report so far.
struct ActiveRun<'a, S, A> {
    run: &'a Run<'a, S, A>,
    /// When the run began, before it read anything.
    began: DateTime<Utc>,
    /// The deadline for reading.
    reading: Deadline,
    /// The deadline for the whole run.
    deadline: Deadline,
    progress: &'a watch::Sender<Report>,
}

impl<S: Source, A: DeadLetters> Run<'_, S, A> {
    /// Makes one run. Keeps its report up to date in `progress`, and returns it.
    pub async fn make(&self, ledger: &mut impl Ledger, progress: &watch::Sender<Report>) -> Report {
        self.make_piece(ledger, progress, None).await
    }

    /// Makes a run that is one piece of a whole. Counts in `whole` what that is to be judged by, instead
    /// of judging the piece by itself.
    pub async fn make_piece(
        &self,
        ledger: &mut impl Ledger,
        progress: &watch::Sender<Report>,
        whole: Option<&mut Tally>,
    ) -> Report {
        let started = Instant::now();
        let requests_before = self.source.requests();
        let budget = self.budget.unwrap_or(NO_END);
        progress.send_replace(Report::of(self.label));
        let active = ActiveRun {
            run: self,
            began: (self.clock)(),
            reading: Deadline::after(budget.saturating_sub(DELIVERY_RESERVE.min(budget / 4))),
            deadline: Deadline::after(budget),
            progress,
        };
        let left = active.execute(ledger, whole).await;
        progress.send_modify(|report| {
            report.requests = self.source.requests() - requests_before;
            report.lag_seconds = lag(report, left, (self.clock)());
            report.took_since(started);
        });
        progress.borrow().clone()
    }
}

/// What a run leaves to the next one.
#[derive(Clone, Copy, Default)]
struct Left {
    /// The time of the oldest record that was read but not handled.
    oldest: Option<DateTime<Utc>>,
    /// Up to when the prefix was read that was read least, if it is not that of the newest handled record.
    read_least_to: Option<DateTime<Utc>>,
}

impl Left {
    /// The earlier of these times, given one to use if all that was read is handled.
    fn since(self, handled: Option<DateTime<Utc>>) -> Option<DateTime<Utc>> {
        let known = self.oldest.or(handled)?;
        Some(self.read_least_to.map_or(known, |it| it.min(known)))
    }
}

/// The age of the oldest record that was read but not handled. If there is none, the age of the newest
/// handled record. A prefix may be further behind, as far as it was read. This is an upper bound.
fn lag(report: &Report, left: Left, now: DateTime<Utc>) -> Option<u64> {
    if report.caught_up {
        return Some(0);
    }
    let newest = report.last_log_id.as_ref();
    let newest = newest.and_then(|id| time_before(now, id, report.last_date));
    let behind = now - left.since(newest)?;
    Some(u64::try_from(behind.num_seconds()).unwrap_or(0))
}

impl<S: Source, A: DeadLetters> ActiveRun<'_, S, A> {
    /// Reads and delivers until the end, and judges the run. Returns what is left.
    async fn execute(&self, ledger: &mut impl Ledger, whole: Option<&mut Tally>) -> Left {
        let opening = tokio::select! {
            // Polled in order, so that a run is deterministic.
            biased;
            opening = self.open(ledger) => self.note(opening),
            () = self.asked_to_stop() => None,
        };
        let Some(opening) = opening else {
            return Left::default();
        };
        let mut seen = Seen::new(&opening, self.progress.borrow().last_date, self.began);
        let (out, incoming) = mpsc::channel(PAGES_AHEAD);
        let mut delivering = Delivering::new(self, ledger);
        let (read, delivered) = tokio::join!(
            self.read(&opening, &mut seen, out),
            delivering.deliver(incoming)
        );
        let Summary {
            was_sent,
            met,
            oldest_left,
            mut tally,
        } = delivering.end();
        let has_failed = matches!(delivered, Err(Stop::Failed(_)));
        tally.has_failed = has_failed;
        (tally.delivered, tally.quarantined) = {
            let report = self.progress.borrow();
            (report.delivered, report.quarantined)
        };
        if matches!(delivered, Err(Stop::OutOfTime)) {
            self.judge_time(was_sent);
        }
        let is_read = self.note_stop(read);
        let caught_up = self.note_stop(delivered) && is_read;
        match whole {
            Some(whole) => whole.count_in(tally),
            None => self.judge(&tally, ledger.refused_since(), was_sent),
        }
        // If delivery failed, what may be saved was saved after each batch; the rest was not
        // acknowledged.
        if !has_failed {
            let closed = ledger.close(caught_up, self.deadline).await;
            self.note(closed.map_err(RunError::Ledger));
            self.report(|report| report.caught_up = caught_up);
        }
        let newest = ledger.newest();
        let left = Left {
            oldest: oldest_left,
            read_least_to: newest.and_then(|it| seen.read_least_to(&it.log_id)),
        };
        if !caught_up && !opening.is_replay() {
            let read_to = left.since(self.read_to(&opening, &met, newest));
            tokio::select! {
                // In this order, so that a process that is asked to end asks for nothing more.
                biased;
                () = self.asked_to_stop() => {}
                () = self.warn_of_retention(read_to) => {}
            }
        }
        left
    }

    /// Opens the ledger first, so that the storage answers before anything is asked of the source.
    async fn open(&self, ledger: &mut impl Ledger) -> Result<Opening, RunError> {
        let opening = ledger.open(self.deadline).await.map_err(RunError::Ledger)?;
        self.report_newest(ledger.newest());
        if let Some(future) = BeginsLater::find(&opening.position, self.run.label, self.began) {
            self.report(|report| report.fail(&future));
        }
        if let Some(gap) = opening.loss {
            warn!(
                "{}: the checkpoint was lost, so records {gap} may not have been delivered; \
                 `auth0-poller checkpoint set --from …` delivers them ({})",
                self.run.label,
                alone(self.run.label)
            );
            self.report(|report| report.gap = Some(gap));
        }
        Ok(opening)
    }

    /// Leaves what was not delivered in time to the next run. Fails the run if it had no time to
    /// deliver anything, because then every run would end the same way.
    fn judge_time(&self, was_sent: bool) {
        let is_idle = {
            let report = self.progress.borrow();
            report.fetched > 0 && report.delivered + report.dead_lettered == 0
        };
        if is_idle && !was_sent && !*self.run.stopping.borrow() {
            self.report(|report| report.fail(&RunError::NoTime));
        } else {
            warn!(
                "{}: the time of the run is over: what was read and not delivered is left to the next",
                self.run.label
            );
        }
    }

    fn now(&self) -> DateTime<Utc> {
        (self.run.clock)()
    }

    fn report(&self, change: impl FnOnce(&mut Report)) {
        self.progress.send_modify(change);
    }

    /// Adds an error to the report; the rest of the run continues without the result.
    fn note<T>(&self, result: Result<T, RunError>) -> Option<T> {
        result
            .map_err(|error| self.report(|report| report.fail(&error)))
            .ok()
    }

    /// Notes how one half of the run stopped. Returns whether it reached its end.
    fn note_stop(&self, result: Result<(), Stop>) -> bool {
        match result {
            Ok(()) => true,
            Err(Stop::OutOfTime) => false,
            Err(Stop::Failed(error)) => {
                self.report(|report| {
                    report.refuses_all |= matches!(error, RunError::AllRefused(_));
                    report.fail(&error);
                });
                false
            }
        }
    }

    fn report_newest(&self, newest: Option<&Newest>) {
        if let Some(newest) = newest {
            self.report(|report| {
                report.last_log_id = Some(newest.log_id.clone());
                report.last_date = newest.date;
            });
        }
    }

    fn report_gap(&self, gap: Gap) {
        warn!(
            "{}: records {gap} may have been dropped by Auth0 before they were delivered",
            self.run.label
        );
        self.report(|report| {
            report.gap = Some(report.gap.map_or(gap, |other| other.and(gap)));
        });
    }
}

#[cfg(test)]
mod tests;
