//! The state of each tenant and destination, judged from stored data alone, in formats for people
//! and programs. This module sends no request.

mod metrics;
mod page;
mod text;

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

pub(crate) use self::metrics::metrics;
pub(crate) use self::page::{STYLE_HASH, page};
pub(crate) use self::text::text;
use crate::error::one_line;
use crate::record::is_future;
use crate::report::{
    Arrival, Gap, MISSING, OnlyQuarantined, OnlySetAside, QUARANTINED, RateLimit, Report,
    StillRefusing,
};
use crate::state::{History, PastError, PastRun, Sum};

/// Runs that take no longer than usual count as stopped after this time without a sign of life. Quiet
/// runs leave one every ten minutes.
const STALE_AFTER: TimeDelta = TimeDelta::minutes(15);
/// The time of a run for which that is enough, because a run leaves its sign of life at its end.
const USUAL_RUN: Duration = Duration::from_mins(4);
/// Maximum runs listed, for all tenants and destinations together; at least ten for each.
const RUNS: usize = 5_000;
const FEWEST_RUNS: usize = 10;

/// The state of a tenant and destination. If several states apply, the first one counts.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// The newest run that tells anything had errors; or no run can begin; or the stored data cannot be
    /// read; or the destination has been refusing every record; or all records were set aside or
    /// quarantined; or records that it acknowledged are missing for good.
    Failing,
    /// No sign of life for a quarter of an hour, longer if runs may take long, counting from the
    /// start if no run has ended; or the newest one is in the future.
    Stale,
    /// A run reported within the last day that records may be missing.
    Gap,
    /// No run has ended yet.
    NeverRan,
    /// The newest run did not reach the end of the tenant's log.
    CatchingUp,
    /// None of the above.
    Ok,
}

impl State {
    /// All states, the worst first.
    pub const ALL: [Self; 6] = [
        Self::Failing,
        Self::Stale,
        Self::Gap,
        Self::NeverRan,
        Self::CatchingUp,
        Self::Ok,
    ];

    /// The state after one run, given how many records are missing for good. A gap is reported
    /// separately.
    pub fn after(report: &Report, lost: u64) -> Self {
        let is_refusing = report.refused_since.is_some()
            || report.only_set_aside.is_some()
            || report.only_quarantined.is_some();
        let is_good = report.is_success() && lost == 0 && !is_refusing;
        match (is_good, report.caught_up) {
            (false, _) => Self::Failing,
            (true, false) => Self::CatchingUp,
            (true, true) => Self::Ok,
        }
    }

    /// The state according to the history, where runs may take this long.
    fn by(
        history: &History,
        set_aside: Option<OnlySetAside>,
        budget: Duration,
        at: DateTime<Utc>,
    ) -> Self {
        let more = TimeDelta::from_std(budget.saturating_sub(USUAL_RUN)).unwrap_or(TimeDelta::MAX);
        let stale_after = STALE_AFTER.checked_add(&more).unwrap_or(TimeDelta::MAX);
        // A time in the future says nothing about the present.
        let is_old = |it| at - it >= stale_after || is_future(it, at);
        let sign_of_life = history.last_run.or(history.waited_since);
        let is_refusing = history.refused_since.is_some()
            || set_aside.is_some()
            || OnlyQuarantined::find(history.only_quarantined).is_some();
        if history.is_failing || history.lost > 0 || is_refusing {
            Self::Failing
        } else if sign_of_life.is_some_and(is_old) {
            Self::Stale
        } else if history.gap(at).is_some() {
            Self::Gap
        } else if history.last_run.is_none() {
            Self::NeverRan
        } else if !history.caught_up {
            Self::CatchingUp
        } else {
            Self::Ok
        }
    }

    /// The name in JSON and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Failing => "failing",
            Self::Stale => "stale",
            Self::Gap => "gap",
            Self::NeverRan => "never_ran",
            Self::CatchingUp => "catching_up",
            Self::Ok => "ok",
        }
    }

    /// Whether somebody has to act.
    pub fn is_alarming(self) -> bool {
        matches!(self, Self::Failing | Self::Stale | Self::Gap)
    }
}

/// The state of all tenants and destinations.
#[derive(Debug, Serialize)]
pub(crate) struct Health {
    /// The version of this program.
    pub version: &'static str,
    /// When the state was judged.
    pub at: DateTime<Utc>,
    /// The worst state of all.
    pub state: State,
    pub pipelines: Vec<PipelineHealth>,
    /// Whether bad settings keep every run from beginning.
    #[serde(skip)]
    pub is_unusable: bool,
}

/// The state of a tenant and destination.
#[derive(Debug, Serialize)]
pub(crate) struct PipelineHealth {
    pub tenant: String,
    pub destination: String,
    pub state: State,
    pub last_run: Option<DateTime<Utc>>,
    pub last_success: Option<DateTime<Utc>>,
    /// The date of the newest record that was delivered or set aside.
    pub newest_record: Option<DateTime<Utc>>,
    pub lag_seconds: Option<u64>,
    pub caught_up: bool,
    /// Records and bytes delivered recently; `None` if the history could not be read.
    pub records: Option<Spans>,
    pub bytes: Option<Spans>,
    pub rate_limit: Option<RateLimit>,
    /// The number of dead letters; `None` if they could not be counted.
    pub dead_letters: Option<usize>,
    pub gap: Option<Gap>,
    /// How much of what was accepted recently has arrived.
    pub arrival: Option<Arrival>,
    /// What is wrong now, or else the newest error, if there was one.
    pub error: Option<PastError>,
    /// Runs that did something, the newest first.
    pub runs: Vec<PastRun>,
    /// Errors, the newest first.
    #[serde(skip)]
    pub errors: Vec<PastError>,
    /// Why the table could not be queried for arrivals.
    #[serde(skip)]
    pub unasked: Option<String>,
    /// Everything ever delivered; `None` if the history could not be read.
    #[serde(skip)]
    pub total: Option<Sum>,
    /// Deliveries in each of the last 24 hours, oldest first.
    #[serde(skip)]
    pub hours: Vec<(DateTime<Utc>, Sum)>,
}

/// Sums over recent spans of time.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub(crate) struct Spans {
    /// In the last 60 minutes.
    pub hour: u64,
    /// In the last 24 hours.
    pub day: u64,
}

/// What the health of a tenant and destination is judged by.
pub(crate) struct Evidence {
    pub tenant: String,
    pub destination: String,
    /// The history; `Ok(None)` if no run has ended and none is expected. The error says why it is
    /// unknown, unless `obstacle` does.
    pub history: Result<Option<History>, Option<String>>,
    /// Problems of the settings that keep runs from beginning.
    pub obstacle: Option<String>,
    pub dead_letters: Option<usize>,
    /// The time that one run may take.
    pub budget: Duration,
}

impl Health {
    /// Judges the stored data at this time.
    pub fn judge(evidence: Vec<Evidence>, at: DateTime<Utc>) -> Self {
        let runs = (RUNS / evidence.len().max(1)).max(FEWEST_RUNS);
        let is_unusable = evidence.iter().all(|it| it.obstacle.is_some());
        let pipelines: Vec<_> = evidence
            .into_iter()
            .map(|it| PipelineHealth::judge(it, runs, at))
            .collect();
        let worst = pipelines.iter().map(|it| it.state).min();
        Self {
            version: env!("CARGO_PKG_VERSION"),
            at,
            state: worst.unwrap_or(State::NeverRan),
            pipelines,
            is_unusable,
        }
    }
}

impl PipelineHealth {
    fn judge(evidence: Evidence, runs: usize, at: DateTime<Utc>) -> Self {
        let is_read = evidence.history.is_ok();
        let (history, unread) = match evidence.history {
            Ok(history) => (history, None),
            Err(problem) => (None, problem),
        };
        let problems: Vec<_> = evidence.obstacle.into_iter().chain(unread).collect();
        let history = history.unwrap_or_default();
        let set_aside = OnlySetAside::find(history.only_set_aside(), evidence.dead_letters);
        let state = if problems.is_empty() {
            State::by(&history, set_aside, evidence.budget, at)
        } else {
            State::Failing
        };
        // The stored data may have been written by others.
        let harmless = |error: &PastError| PastError {
            text: one_line(&error.text),
            ..*error
        };
        let mut errors: Vec<_> = history.errors.iter().rev().map(harmless).collect();
        errors.splice(0..0, standing(&history, set_aside, at));
        let problems = problems.into_iter().map(|text| PastError { at, text });
        errors.splice(0..0, problems);
        let [hour, day] = [1, 24].map(|hours| history.delivered(TimeDelta::hours(hours), at));
        Self {
            tenant: evidence.tenant,
            destination: evidence.destination,
            state,
            last_run: history.last_run,
            last_success: history.last_success,
            newest_record: history.newest_record,
            lag_seconds: history.lag_seconds,
            caught_up: history.caught_up,
            records: is_read.then_some(Spans {
                hour: hour.records,
                day: day.records,
            }),
            bytes: is_read.then_some(Spans {
                hour: hour.bytes,
                day: day.bytes,
            }),
            rate_limit: history.rate_limit,
            dead_letters: evidence.dead_letters,
            gap: history.gap(at),
            arrival: history.arrival,
            unasked: history.unasked.as_deref().map(one_line),
            error: errors.first().cloned(),
            runs: history.runs.iter().rev().take(runs).cloned().collect(),
            errors,
            total: is_read.then_some(history.total),
            hours: history.by_hour(24, at),
        }
    }
}

/// What is wrong although the newest run had no error; `None` if the newest past error says so already.
fn standing(
    history: &History,
    set_aside: Option<OnlySetAside>,
    at: DateTime<Utc>,
) -> Option<PastError> {
    let newest = history.errors.back().map_or("", |it| &it.text);
    let refusing = history
        .refused_since
        .map(|it| StillRefusing(it).to_string());
    let refusing = refusing.filter(|it| newest != it);
    let set_aside = set_aside.map(|it| it.to_string());
    let set_aside = set_aside.filter(|it| newest != it);
    // The error of a run that had rows quarantined also says where they are.
    let quarantined = OnlyQuarantined::find(history.only_quarantined).map(|it| it.to_string());
    let quarantined = quarantined.filter(|_| !newest.starts_with(QUARANTINED));
    let is_told = newest.contains(MISSING);
    let lost = (history.lost > 0 && !is_told).then(|| format!("{} {MISSING}", history.lost));
    Some(PastError {
        at: history.last_run.unwrap_or(at),
        text: refusing
            .or(lost)
            .or(set_aside)
            .or(quarantined)
            .filter(|_| !history.is_failing)?,
    })
}

#[cfg(test)]
mod tests;
