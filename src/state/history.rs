//! The history of one destination of one tenant: its newest runs and errors, and what was delivered in
//! the last hours. It is what `status` and the health page read, in another process if need be.
//!
//! A run that did something, or that ended otherwise than the one before, is written at once; one
//! that found nothing new is a sign of life, which is written every ten minutes.

mod unwritten;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use tracing::warn;

use self::unwritten::Unwritten;
use super::counted::{Counted, Uncounted};
use crate::clock::hour;
use crate::net::retry::Deadline;
use crate::record::{LogId, is_future};
use crate::report::{Arrival, Gap, RateLimit, Report};
use crate::storage::{Storage, StorageError, Version};

/// Version of the stored form.
const FORMAT: u32 = 1;
/// Runs that are kept.
const RUNS: usize = 500;
/// Errors that are kept.
const ERRORS: usize = 50;
/// Gaps that are kept.
const GAPS: usize = 20;
/// Hours of which the sums are kept.
const HOURS: usize = 49;
/// Characters of an error that are kept.
const LONGEST_ERROR: usize = 2_000;
/// How often a run that found nothing new leaves a sign of life.
const SIGN_OF_LIFE: TimeDelta = TimeDelta::minutes(10);
/// Time for writing it; a run does not wait longer for it.
const SAVING: Duration = Duration::from_secs(5);

/// Why a history was not read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HistoryError {
    /// The storage could not be read.
    #[error("reading the history {place}")]
    Read { place: String, source: StorageError },
    /// It could not be written.
    #[error("writing the history {place}")]
    Write { place: String, source: StorageError },
    /// What is stored is of no use.
    #[error("the history {place} cannot be used; the next run begins it anew")]
    Unusable { place: String, source: NoHistory },
}

/// Why what is stored is no history.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum NoHistory {
    /// Not the JSON that this program writes.
    #[error("it is not a history")]
    Form,
    /// Written by a newer version of this program.
    #[error("it has format {0}, and this version reads format {FORMAT}")]
    Newer(u32),
}

#[derive(Deserialize)]
struct Head {
    format: u32,
}

/// What is known of the runs of one destination.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct History {
    format: u32,
    /// Since when somebody waits for a first run to end; `None` once one has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waited_since: Option<DateTime<Utc>>,
    /// When the newest run ended, or the last that left a sign of life.
    pub last_run: Option<DateTime<Utc>>,
    /// When the newest run ended that had no error.
    pub last_success: Option<DateTime<Utc>>,
    /// The date of the newest record that was delivered or set aside.
    pub newest_record: Option<DateTime<Utc>>,
    /// As the newest run reports it.
    pub lag_seconds: Option<u64>,
    /// As the newest run reports it.
    pub caught_up: bool,
    /// What Auth0 told last of the rate limit.
    pub rate_limit: Option<RateLimit>,
    /// As the newest run reports it.
    #[serde(default)]
    pub arrival: Option<Arrival>,
    /// How many records are missing for good where they should have arrived.
    #[serde(default)]
    pub lost: u64,
    /// Why it could not be asked what has arrived.
    #[serde(default)]
    pub unasked: Option<String>,
    /// Whether the newest run had errors.
    pub is_failing: bool,
    /// Records and bytes that were ever delivered.
    pub total: Sum,
    /// What was delivered in each hour, by its beginning.
    hours: BTreeMap<DateTime<Utc>, Sum>,
    /// What was read of each hour of log ids.
    #[serde(default)]
    counted: Counted,
    /// Runs that did something, the oldest first.
    pub runs: VecDeque<PastRun>,
    /// The oldest first.
    pub errors: VecDeque<PastError>,
    /// Where records may be missing, the oldest first.
    pub gaps: VecDeque<PastGap>,
}

/// Records and bytes that were delivered.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sum {
    pub records: u64,
    pub bytes: u64,
}

/// A run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct PastRun {
    /// When it ended.
    pub at: DateTime<Utc>,
    pub elapsed_ms: u64,
    pub delivered: u64,
    pub bytes: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub dead_lettered: u64,
    pub lag_seconds: Option<u64>,
    pub caught_up: bool,
    pub failed: bool,
}

/// What went wrong in a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct PastError {
    pub at: DateTime<Utc>,
    pub text: String,
}

/// A gap, and when a run told of it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct PastGap {
    pub at: DateTime<Utc>,
    #[serde(flatten)]
    pub gap: Gap,
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "the form that serde asks for"
)]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl History {
    /// Takes note of a run that has ended now. Answers with whether that is worth writing at once.
    fn add(&mut self, report: &Report, now: DateTime<Utc>) -> bool {
        let now = now.trunc_subsecs(3);
        let is_success = report.is_success();
        // A run that could not begin says nothing of it, nor one that could not read it.
        let tells_arrival = report.arrival.is_some() || is_success && report.unasked.is_none();
        let is_news = !report.is_quiet()
            || self.is_failing
            || !self.caught_up
            || tells_arrival && self.arrival != report.arrival
            || self.unasked.is_some() != report.unasked.is_some()
            || self
                .last_run
                .is_none_or(|it| now - it >= SIGN_OF_LIFE || is_future(it, now));
        if !is_news {
            return false;
        }
        self.format = FORMAT;
        self.waited_since = None;
        self.last_run = Some(now);
        if is_success {
            self.last_success = Some(now);
        }
        self.newest_record = report.last_date.or(self.newest_record);
        self.lag_seconds = report.lag_seconds;
        self.caught_up = report.caught_up;
        self.rate_limit = report.rate_limit.or(self.rate_limit);
        if tells_arrival {
            self.arrival = report.arrival;
            self.lost = report.lost;
        }
        if tells_arrival || report.unasked.is_some() {
            let unasked = report.unasked.as_ref();
            self.unasked = unasked.map(|it| it.chars().take(LONGEST_ERROR).collect());
        }
        self.is_failing = !is_success;
        let sum = Sum {
            records: report.delivered,
            bytes: report.bytes,
        };
        self.total.add(sum);
        self.hours.entry(hour(now)).or_default().add(sum);
        while self.hours.len() > HOURS {
            self.hours.pop_first();
        }
        if !report.is_quiet() {
            let run = PastRun {
                at: now,
                elapsed_ms: report.elapsed_ms,
                delivered: report.delivered,
                bytes: report.bytes,
                dead_lettered: report.dead_lettered,
                lag_seconds: report.lag_seconds,
                caught_up: report.caught_up,
                failed: !is_success,
            };
            push(&mut self.runs, RUNS, run);
        }
        for text in &report.errors {
            let text = text.chars().take(LONGEST_ERROR).collect();
            push(&mut self.errors, ERRORS, PastError { at: now, text });
        }
        if let Some(gap) = report.gap {
            push(&mut self.gaps, GAPS, PastGap { at: now, gap });
        }
        true
    }

    /// How many of these ids, which are all that there are now of the hour that begins then, were not
    /// there when the runs read it. `None` where that is not known.
    pub fn missed<'a>(
        &self,
        begin: DateTime<Utc>,
        ids: impl Iterator<Item = &'a LogId>,
    ) -> Option<u64> {
        // Until a run has read everything, it is not known what it would have met.
        let is_read = self.caught_up && !self.is_failing;
        is_read.then(|| self.counted.missed(begin, ids))?
    }

    /// What was delivered within this time before now: to the run where all runs of it are kept, else
    /// to the hour.
    pub fn delivered(&self, within: TimeDelta, now: DateTime<Utc>) -> Sum {
        let begin = now - within;
        let mut sum = Sum::default();
        if self.runs.len() < RUNS || self.runs.front().is_some_and(|it| it.at < begin) {
            for run in self.runs.iter().filter(|it| it.at > begin) {
                sum.add(Sum {
                    records: run.delivered,
                    bytes: run.bytes,
                });
            }
            return sum;
        }
        for (_, hour) in self.hours.range(hour(begin + TimeDelta::hours(1))..) {
            sum.add(*hour);
        }
        sum
    }

    /// What was delivered in each of the last hours, the oldest first, those without included.
    pub fn by_hour(&self, hours: i64, now: DateTime<Utc>) -> Vec<(DateTime<Utc>, Sum)> {
        let last = hour(now);
        let hours = (0..hours).rev().map(|back| {
            let begin = last - TimeDelta::hours(back);
            let sum = self.hours.get(&begin).copied();
            (begin, sum.unwrap_or_default())
        });
        hours.collect()
    }
}

impl Sum {
    fn add(&mut self, other: Self) {
        self.records = self.records.saturating_add(other.records);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }
}

fn push<T>(kept: &mut VecDeque<T>, most: usize, new: T) {
    kept.push_back(new);
    while kept.len() > most {
        kept.pop_front();
    }
}

fn parse(json: &[u8]) -> Result<History, NoHistory> {
    let Head { format } = serde_json::from_slice(json).map_err(|_| NoHistory::Form)?;
    match format {
        FORMAT => serde_json::from_slice(json).map_err(|_| NoHistory::Form),
        newer if newer > FORMAT => Err(NoHistory::Newer(newer)),
        _ => Err(NoHistory::Form),
    }
}

/// What was found, and its version: a history, nothing, or what is none.
type Loaded = (Result<Option<History>, NoHistory>, Option<Version>);

/// The history of one destination of one tenant, in `history/<tenant>/<destination>.json`.
pub(crate) struct HistoryStore {
    storage: Arc<Storage>,
    path: String,
    books: Mutex<Books>,
    uncounted: Uncounted,
}

#[derive(Default)]
struct Books {
    /// What this process read or wrote last; `None` where it has not, or does not know what is there.
    known: Option<Known>,
    unwritten: Unwritten,
}

struct Known {
    history: History,
    version: Option<Version>,
}

impl HistoryStore {
    pub fn new(storage: Arc<Storage>, tenant: &str, destination: &str) -> Self {
        Self {
            storage,
            path: format!("history/{tenant}/{destination}.json"),
            books: Mutex::default(),
            uncounted: Uncounted::default(),
        }
    }

    /// What was counted and is to be written with the next run that is worth it.
    pub(super) fn uncounted(&self) -> &Uncounted {
        &self.uncounted
    }

    /// What is stored. What is no history of this version is none.
    pub async fn read(&self, deadline: Deadline) -> Result<Option<History>, HistoryError> {
        Ok(self.load(deadline).await?.0.unwrap_or_default())
    }

    /// What is stored, for who is to judge by it. What is no history of this version is an error.
    pub async fn look(&self, deadline: Deadline) -> Result<Option<History>, HistoryError> {
        let (history, _) = self.load(deadline).await?;
        history.map_err(|source| HistoryError::Unusable {
            place: self.place(),
            source,
        })
    }

    /// The same, where somebody waits for runs since then: that is kept where there is nothing yet,
    /// for those who look later and in another process.
    pub async fn wait(
        &self,
        since: DateTime<Utc>,
        deadline: Deadline,
    ) -> Result<Option<History>, HistoryError> {
        if let Some(history) = self.look(deadline).await? {
            return Ok(Some(history));
        }
        let history = History {
            format: FORMAT,
            waited_since: Some(since.trunc_subsecs(3)),
            ..History::default()
        };
        match self.put(&history, None, deadline).await {
            Ok(_) => Ok(Some(history)),
            // A run has ended meanwhile, or somebody else waits.
            Err(StorageError::Conflict) => self.look(deadline).await,
            Err(source) => Err(self.unwritten(source)),
        }
    }

    async fn put(
        &self,
        history: &History,
        over: Option<&Version>,
        deadline: Deadline,
    ) -> Result<Version, StorageError> {
        let json = Bytes::from(serde_json::to_vec(history).unwrap_or_default());
        self.storage.write(&self.path, json, over, deadline).await
    }

    fn unwritten(&self, source: StorageError) -> HistoryError {
        HistoryError::Write {
            place: self.place(),
            source,
        }
    }

    async fn load(&self, deadline: Deadline) -> Result<Loaded, HistoryError> {
        let read = self.storage.read(&self.path, deadline).await;
        let object = read.map_err(|source| HistoryError::Read {
            place: self.place(),
            source,
        })?;
        let (json, version) = object.unzip();
        Ok((json.map(|json| parse(&json)).transpose(), version))
    }

    fn place(&self) -> String {
        self.storage.location(&self.path)
    }

    /// Adds a run that has ended now. Where another process wrote meanwhile, it is added to what that
    /// one wrote; and where it cannot be written, it is with the next. Answers with whether it was worth
    /// telling.
    pub async fn add(
        &self,
        report: &Report,
        now: DateTime<Utc>,
        deadline: Deadline,
    ) -> Result<bool, HistoryError> {
        let deadline = deadline.for_saving().within(SAVING);
        let mut books = self.books.lock().await;
        let Books { known, unwritten } = &mut *books;
        unwritten.hold(report, now);
        for _ in 0..2 {
            let mut latest = match known.take() {
                Some(latest) => latest,
                None => {
                    let (history, version) = self.load(deadline).await?;
                    let history = match history {
                        Ok(history) => history.unwrap_or_default(),
                        Err(why) => self.anew(why, now),
                    };
                    Known { history, version }
                }
            };
            if unwritten.meet(&latest.history) {
                *known = Some(latest);
                return Ok(true);
            }
            let Some(is_told) = unwritten.add_to(&mut latest.history, &self.uncounted) else {
                *known = Some(latest);
                return Ok(false);
            };
            let over = latest.version.as_ref();
            match self.put(&latest.history, over, deadline).await {
                Ok(version) => {
                    latest.version = Some(version);
                    *known = Some(latest);
                    *unwritten = Unwritten::default();
                    return Ok(is_told);
                }
                // What is there is read before the next attempt.
                Err(StorageError::Conflict) => {}
                Err(source) => return Err(self.unwritten(source)),
            }
        }
        Ok(true)
    }

    /// How many records are missing for good, as far as this process knows.
    pub async fn lost(&self) -> u64 {
        let books = self.books.lock().await;
        books.known.as_ref().map_or(0, |it| it.history.lost)
    }

    /// The history after one that is of no use, in which it is told of that.
    fn anew(&self, why: NoHistory, now: DateTime<Utc>) -> History {
        let place = self.place();
        let problem = format!("the history {place} cannot be used ({why}), so it is begun anew");
        warn!("{problem}");
        History {
            errors: VecDeque::from([PastError {
                at: now,
                text: problem,
            }]),
            ..History::default()
        }
    }
}

#[cfg(test)]
mod tests;
