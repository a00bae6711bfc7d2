//! The history of one destination of one tenant: its newest runs and errors, and what was delivered in
//! the last hours. `status` and the health page read it, perhaps in another process.
//!
//! A run that did something, or that ended differently from the one before, is written at once. A run
//! that found nothing new is only a sign of life, which is written every ten minutes.

mod store;
mod unwritten;

use std::collections::{BTreeMap, VecDeque};

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

pub(crate) use self::store::{HistoryError, HistoryStore};
use super::counted::Counted;
use crate::clock::hour;
use crate::record::{LogId, is_future};
use crate::report::{Arrival, Gap, OnlyQuarantined, OnlySetAside, RateLimit, Report};

/// Version of the stored form.
const FORMAT: u32 = 1;
/// Runs that are kept.
const RUNS: usize = 500;
/// Errors that are kept.
const ERRORS: usize = 50;
/// Gaps that are kept.
const GAPS: usize = 20;
/// How long a gap is reported.
const GAP_TOLD: TimeDelta = TimeDelta::days(1);
/// Hours for which sums are kept.
const HOURS: usize = 49;
/// Characters of an error that are kept.
const LONGEST_ERROR: usize = 2_000;
/// How often a run that found nothing new is written.
const SIGN_OF_LIFE: TimeDelta = TimeDelta::minutes(10);

/// What is known of the runs of one destination.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct History {
    format: u32,
    /// Since when someone waits for a first run to end; `None` once one has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waited_since: Option<DateTime<Utc>>,
    /// When the newest run that was written ended.
    pub last_run: Option<DateTime<Utc>>,
    /// How long that run took.
    #[serde(default, skip_serializing_if = "is_zero")]
    last_elapsed_ms: u64,
    /// When the newest run without errors that was written ended.
    pub last_success: Option<DateTime<Utc>>,
    /// The date of the newest record that was delivered or set aside.
    pub newest_record: Option<DateTime<Utc>>,
    /// As the newest run reports it.
    pub lag_seconds: Option<u64>,
    /// As the newest run reports it.
    pub caught_up: bool,
    /// The rate limit that Auth0 last reported.
    pub rate_limit: Option<RateLimit>,
    /// As the newest run reports it.
    #[serde(default)]
    pub arrival: Option<Arrival>,
    /// How many records are missing from the table for good.
    #[serde(default)]
    pub lost: u64,
    /// Why arrival could not be checked.
    #[serde(default)]
    pub unasked: Option<String>,
    /// Since when the destination has refused every record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused_since: Option<DateTime<Utc>>,
    /// How many records were set aside since one was last delivered.
    #[serde(default, skip_serializing_if = "is_zero")]
    only_set_aside: u64,
    /// How many records the destination quarantined since one was last delivered.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub only_quarantined: u64,
    /// Whether the newest run that tells anything had errors.
    pub is_failing: bool,
    /// All records and bytes ever delivered.
    pub total: Sum,
    /// What was delivered in each hour, by the hour's beginning.
    hours: BTreeMap<DateTime<Utc>, Sum>,
    /// What was read of each hour, by the time in the log ids.
    #[serde(default)]
    counted: Counted,
    /// Runs that did something, the oldest first.
    pub runs: VecDeque<PastRun>,
    /// Errors, the oldest first.
    pub errors: VecDeque<PastError>,
    /// Gaps in which records may be missing, the oldest first.
    pub gaps: VecDeque<PastGap>,
}

/// How many records came since one was last delivered, by what became of them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Undelivered {
    pub set_aside: u64,
    pub quarantined: u64,
}

/// Records and bytes that were delivered.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sum {
    pub records: u64,
    pub bytes: u64,
}

/// A run that has ended.
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

/// A gap, and when a run reported it.
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

/// Whether a report tells what has arrived. A run that could not begin, or could not query the table,
/// does not tell.
fn tells_arrival(report: &Report) -> bool {
    report.arrival.is_some() || report.is_success() && report.unasked.is_none()
}

impl History {
    /// Adds a run that has just ended. Returns whether it is worth writing at once.
    fn add(&mut self, report: &Report, now: DateTime<Utc>) -> bool {
        let now = now.trunc_subsecs(3);
        if !self.is_news(report, now) {
            return false;
        }
        self.format = FORMAT;
        self.bring_back(now);
        self.take_over(report, now);
        self.count(report, now);
        for text in &report.errors {
            let text = text.chars().take(LONGEST_ERROR).collect();
            push(&mut self.errors, ERRORS, PastError { at: now, text });
        }
        if let Some(gap) = report.gap {
            self.add_gap(PastGap { at: now, gap });
        }
        true
    }

    /// Whether a run found or changed something, or the last entry is old.
    fn is_news(&self, report: &Report, now: DateTime<Utc>) -> bool {
        !report.is_quiet()
            || self.is_failing
            || !self.caught_up
            || tells_arrival(report) && self.arrival != report.arrival
            || self.unasked.is_some() != report.unasked.is_some()
            || self.refused_since != report.refused_since
            || self
                .last_run
                .is_none_or(|it| now - it >= SIGN_OF_LIFE || is_future(it, now))
    }

    /// Whether the newest run that tells anything had errors, or nothing has been delivered since the
    /// destination refused, quarantined or made set aside all that came.
    fn has_standing_problem(&self) -> bool {
        self.is_failing
            || self.refused_since.is_some()
            || OnlySetAside::find(self.only_set_aside(), None).is_some()
            || OnlyQuarantined::find(self.only_quarantined).is_some()
    }

    /// Takes over the state after a run.
    fn take_over(&mut self, report: &Report, now: DateTime<Utc>) {
        let is_failing = !report.is_success() || self.is_failing && report.tells_nothing();
        let tells_arrival = tells_arrival(report);
        self.waited_since = None;
        self.last_run = Some(now);
        self.last_elapsed_ms = report.elapsed_ms;
        if !is_failing {
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
        let is_over = !is_failing && !report.tells_nothing();
        if is_over || report.refused_since.is_some() {
            self.refused_since = report.refused_since;
        }
        self.is_failing = is_failing;
    }

    /// Adds what a run delivered, and the run itself if it did anything.
    fn count(&mut self, report: &Report, now: DateTime<Utc>) {
        let sum = Sum {
            records: report.delivered,
            bytes: report.bytes,
        };
        // The runs that are kept do not tell for long where many only leave records out.
        self.only_set_aside = match report.delivered {
            0 => (self.only_set_aside()).saturating_add(report.dead_lettered),
            _ => 0,
        };
        self.only_quarantined = match report.delivered {
            0 => self.only_quarantined.saturating_add(report.quarantined),
            _ => 0,
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
                failed: !report.is_success(),
            };
            push(&mut self.runs, RUNS, run);
        }
    }

    fn add_gap(&mut self, gap: PastGap) {
        self.gaps.push_back(gap);
        if self.gaps.len() > GAPS {
            // The gap of a lost checkpoint is reported by each run for a day.
            let gaps = self.gaps.iter().enumerate();
            let is_again = |place, of: Gap| self.gaps.range(place + 1..).any(|it| it.gap == of);
            let again = gaps
                .map(|(place, it)| is_again(place, it.gap))
                .position(|it| it);
            self.gaps.remove(again.unwrap_or_default());
        }
    }

    /// Replaces times noted while the clock was ahead with the present; otherwise they would be reported
    /// until then. If there are records of a later time, this clock is behind, and nothing is changed.
    fn bring_back(&mut self, now: DateTime<Utc>) {
        if self.newest_record.is_some_and(|it| is_future(it, now)) {
            return;
        }
        let runs = self.runs.iter_mut().map(|it| &mut it.at);
        let errors = self.errors.iter_mut().map(|it| &mut it.at);
        let gaps = self.gaps.iter_mut().map(|it| &mut it.at);
        let times = runs.chain(errors).chain(gaps);
        for at in times.chain(self.last_success.as_mut()) {
            if is_future(*at, now) {
                *at = now;
            }
        }
        let next = hour(now) + TimeDelta::hours(1);
        let ahead = self.hours.range(next..).map(|(begin, _)| *begin);
        let ahead: Vec<_> = ahead.filter(|it| is_future(*it, now)).collect();
        for begin in ahead {
            let sum = self.hours.remove(&begin).unwrap_or_default();
            self.hours.entry(hour(now)).or_default().add(sum);
        }
    }

    /// Whether any run has delivered a record or set one aside.
    fn has_delivered(&self) -> bool {
        self.newest_record.is_some() || self.total.records > 0
    }

    /// When the newest run began, if it reached the end of the log and did not fail. What was stored
    /// while it was at work it may not have met.
    pub fn caught_up_at(&self) -> Option<DateTime<Utc>> {
        let ended = self
            .last_run
            .filter(|_| self.caught_up && !self.is_failing)?;
        let took = i64::try_from(self.last_elapsed_ms).ok();
        ended.checked_sub_signed(took.and_then(TimeDelta::try_milliseconds)?)
    }

    /// Up to when the destination is known to have got the log.
    pub fn reached(&self) -> Option<DateTime<Utc>> {
        self.caught_up_at().or(self.newest_record)
    }

    /// How many records were set aside since one was last delivered.
    pub fn only_set_aside(&self) -> u64 {
        let since = self.runs.iter().rev().take_while(|it| it.delivered == 0);
        let kept = since.map(|it| it.dead_lettered);
        // An earlier version did not count.
        kept.fold(0, u64::saturating_add).max(self.only_set_aside)
    }

    /// What became of the records that came since one was last delivered.
    pub fn undelivered(&self) -> Undelivered {
        Undelivered {
            set_aside: self.only_set_aside(),
            quarantined: self.only_quarantined,
        }
    }

    /// How many of these ids were not there when the runs read their hour. `ids` are all that exist now
    /// in the hour that begins at `begin`. `None` if this is not known.
    pub fn missed<'a>(
        &self,
        begin: DateTime<Utc>,
        ids: impl Iterator<Item = &'a LogId>,
    ) -> Option<u64> {
        // Until a run has read everything, it is not known what runs would have met.
        let is_read = self.caught_up && !self.is_failing;
        is_read.then(|| self.counted.missed(begin, ids))?
    }

    /// The time in which records may be missing, from all gaps reported within a day.
    pub fn gap(&self, now: DateTime<Utc>) -> Option<Gap> {
        let told = self.gaps.iter().filter(|it| now - it.at < GAP_TOLD);
        told.map(|it| it.gap).reduce(Gap::and)
    }

    /// What was delivered within this time before now. Counted by run if all runs of that time are
    /// kept, otherwise by hour.
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

    /// What was delivered in each of the last hours, the oldest first, including hours without
    /// deliveries.
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

#[cfg(test)]
mod tests;
