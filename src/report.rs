//! What a run did: the answer to an invocation, one line of the log, and what `poll` prints.

use std::error::Error;
use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::clock::to_seconds;
use crate::error::with_causes;
use crate::record::LogId;

/// The words for records that are missing for good, in the error of the run that finds them and in the
/// state.
pub(crate) const MISSING: &str = "records that the destination acknowledged are not in the table";
/// The beginning of the error of a run that had rows quarantined.
pub(crate) const QUARANTINED: &str = "the destination quarantined";

/// The result of one run for one destination.
///
/// If the run caught up, `fetched` is the sum of `delivered`, `quarantined`, `skipped`, `before_start`,
/// `filtered` and `dead_lettered`. The exception: a record that is too large for a row counts as
/// delivered, for the part that fits, and as dead-lettered, as a whole.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Report {
    /// The tenant's name, as in the setting `TENANTS`; null if there is only one tenant.
    pub tenant: Option<String>,
    /// The destination's name, as in the setting `DESTINATIONS`.
    pub destination: String,
    /// Whether this invocation did nothing because an earlier one was still running.
    pub busy: bool,
    /// Records read from Auth0, including those read again.
    pub fetched: u64,
    /// Records that the destination acknowledged.
    pub delivered: u64,
    /// Records that the destination acknowledged but quarantined, because they do not fit.
    pub quarantined: u64,
    /// Records that had been handled before: delivered, set aside or left out.
    pub skipped: u64,
    /// Records left out because they are dated before the start.
    pub before_start: u64,
    /// Records that the destination's filter leaves out.
    pub filtered: u64,
    /// Records set aside because the destination cannot take them, or because they have no log id.
    pub dead_lettered: u64,
    /// Requests to Auth0, including retries and requests for tokens.
    pub requests: u64,
    /// Posts of which the destination acknowledged at least one record.
    pub batches: u64,
    /// Bytes of the acknowledged rows in those posts.
    pub bytes: u64,
    /// Whether the end of the tenant's log was reached.
    pub caught_up: bool,
    /// The newest record that was delivered or set aside, by this run or an earlier one.
    pub last_log_id: Option<LogId>,
    /// The date of that record.
    pub last_date: Option<DateTime<Utc>>,
    /// Age in seconds of the oldest record that was read but not handled; if there is none, of the
    /// record in `last_log_id`. More if another prefix of ids was read less far. 0 if the run caught up, null
    /// if neither age is known.
    pub lag_seconds: Option<u64>,
    /// A stretch of time whose records may be missing: Auth0 may have dropped them before they were
    /// delivered, or the checkpoint was lost. In a replay: a stretch without records.
    pub gap: Option<Gap>,
    /// The tenant's rate limit, as Auth0 last reported it.
    pub rate_limit: Option<RateLimit>,
    /// How many of the recently accepted records have arrived in the table; null if that is not
    /// checked.
    pub arrival: Option<Arrival>,
    /// How many records are missing from the table for good.
    #[serde(skip)]
    pub lost: u64,
    /// Why arrival could not be checked.
    #[serde(skip)]
    pub unasked: Option<String>,
    /// Since when the destination has refused every record, even if this run had none to deliver.
    #[serde(skip)]
    pub refused_since: Option<DateTime<Utc>>,
    /// What was set aside since a record was last delivered, even if this run had none.
    #[serde(skip)]
    pub only_set_aside: Option<OnlySetAside>,
    /// What was quarantined since a record was last delivered, even if this run had none.
    #[serde(skip)]
    pub only_quarantined: Option<OnlyQuarantined>,
    /// Whether the run ended because the destination refused every record.
    #[serde(skip)]
    pub refuses_all: bool,
    /// Where the fault of the last delivery that failed may be, if any did.
    #[serde(skip)]
    pub fault: Option<Fault>,
    /// Duration of the run in milliseconds, including the time in which it waited for its turn.
    pub elapsed_ms: u64,
    /// What went wrong. A run with errors has failed, even if it delivered records.
    pub errors: Vec<String>,
}

/// Where the fault of a failed delivery may be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Fault {
    /// In one of its records, although the destination does not say so.
    Record,
    /// In no record.
    Elsewhere,
}

/// The label of a destination: `tenant/destination`, or only `destination` if there is one tenant.
pub(crate) fn label(tenant: Option<&str>, destination: &str) -> String {
    match tenant {
        Some(tenant) => format!("{tenant}/{destination}"),
        None => destination.to_owned(),
    }
}

/// Text that tells a user how to run a command only for the destination with this label.
pub(crate) fn alone(label: &str) -> String {
    match label.split_once('/') {
        Some((tenant, destination)) => {
            format!("for this alone with --tenant {tenant} --destination {destination}")
        }
        None => format!("for this alone with --destination {label}"),
    }
}

/// The run ended in a panic.
#[derive(Debug, thiserror::Error)]
#[error(
    "the run ended in a panic, which is a bug in auth0-poller; nothing is lost, the next run does its \
     work again"
)]
pub(crate) struct Panicked;

/// A destination has refused every record for a while.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error(
    "the destination has refused every record since {}, so the fault is most likely not in \
     them; look at its settings, and when it takes records again, `auth0-poller dead-letter \
     retry` delivers what was set aside meanwhile", to_seconds(*.0)
)]
pub(crate) struct StillRefusing(pub DateTime<Utc>);

/// Nothing was delivered for a while, and this many records were set aside meanwhile.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "all {0} records that came since one was last delivered were set aside, so the fault is most likely \
     not in them; `auth0-poller dead-letter list` says why, and when that is corrected, \
     `auth0-poller dead-letter retry` delivers those that have a log_id"
)]
pub(crate) struct OnlySetAside(u64);

impl OnlySetAside {
    /// The error, unless it was a single record, which proves nothing. If so many dead letters are
    /// left, more were delivered after all, or removed.
    pub fn find(count: u64, left: Option<usize>) -> Option<Self> {
        let left = left.and_then(|it| u64::try_from(it).ok());
        let count = left.map_or(count, |left| count.min(left));
        (count > 1).then_some(Self(count))
    }
}

/// Nothing was delivered for a while, and the destination quarantined this many records meanwhile.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "the destination quarantined all {0} records that it took since one was last delivered, so the fault is \
     most likely not in them; its quarantine says why they do not fit"
)]
pub(crate) struct OnlyQuarantined(u64);

impl OnlyQuarantined {
    /// The error, unless it was a single record, which proves nothing.
    pub fn find(count: u64) -> Option<Self> {
        (count > 1).then_some(Self(count))
    }
}

/// How many requests a tenant takes in its window, and how many of these are left.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub(crate) struct RateLimit {
    pub limit: u64,
    pub remaining: u64,
}

/// Records that a destination acknowledged within about a day, and how many of them were found there.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub(crate) struct Arrival {
    pub accepted: u64,
    pub landed: u64,
    pub missing: u64,
    /// When the table was last queried; null before the first time.
    pub looked_at: Option<DateTime<Utc>>,
}

/// To be printed after "arrival".
impl fmt::Display for Arrival {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            accepted,
            landed,
            missing,
            looked_at,
        } = self;
        match looked_at {
            Some(at) => write!(
                f,
                "{landed} of {accepted} landed, {missing} missing at {}",
                to_seconds(*at)
            ),
            None => f.write_str("not looked at yet"),
        }
    }
}

/// A stretch of time whose records may be missing.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub(crate) struct Gap {
    /// Its beginning, if known.
    pub from: Option<DateTime<Utc>>,
    /// Its end.
    pub to: DateTime<Utc>,
}

impl Gap {
    /// The stretch from the earlier beginning to the later end.
    pub fn and(self, other: Self) -> Self {
        Self {
            from: self.from.min(other.from),
            to: self.to.max(other.to),
        }
    }
}

/// To be printed after "records".
impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let to = to_seconds(self.to);
        match self.from {
            Some(from) => write!(f, "between {} and {to}", to_seconds(from)),
            None => write!(f, "before {to}"),
        }
    }
}

impl Report {
    /// The report of a run that has done nothing yet.
    pub fn of(destination: &str) -> Self {
        Self {
            destination: destination.to_owned(),
            ..Self::default()
        }
    }

    /// The label of the destination; see [`label`].
    pub fn name(&self) -> String {
        label(self.tenant.as_deref(), &self.destination)
    }

    /// Whether the run finished without errors.
    pub fn is_success(&self) -> bool {
        self.errors.is_empty()
    }

    /// Whether the run succeeded, caught up, and found nothing new.
    pub fn is_quiet(&self) -> bool {
        let did = self.delivered + self.dead_lettered + self.before_start + self.filtered;
        self.is_success() && self.caught_up && self.gap.is_none() && did == 0
    }

    /// Whether the run ended without an error before it read anything new: because it was asked to, or the
    /// tenant's limit left no more requests. It does not tell that an earlier error is over.
    pub fn tells_nothing(&self) -> bool {
        self.is_success() && !self.caught_up && self.fetched == self.skipped
    }

    /// Adds the report of a run that continued where this one ended.
    pub fn go_on_with(&mut self, next: Self) {
        self.count_in(&next);
        self.elapsed_ms += next.elapsed_ms;
        if self.last_date < next.last_date || self.last_log_id.is_none() {
            self.last_log_id = next.last_log_id;
            self.last_date = next.last_date;
        }
        self.caught_up = next.caught_up;
        self.lag_seconds = next.lag_seconds;
        self.errors.extend(next.errors);
    }

    /// Adds the counts of another run.
    pub fn count_in(&mut self, other: &Self) {
        for (count, more) in [
            (&mut self.fetched, other.fetched),
            (&mut self.delivered, other.delivered),
            (&mut self.quarantined, other.quarantined),
            (&mut self.skipped, other.skipped),
            (&mut self.before_start, other.before_start),
            (&mut self.filtered, other.filtered),
            (&mut self.dead_lettered, other.dead_lettered),
            (&mut self.requests, other.requests),
            (&mut self.batches, other.batches),
            (&mut self.bytes, other.bytes),
        ] {
            *count += more;
        }
    }

    /// Notes the duration of a run that began at this time.
    pub fn took_since(&mut self, began: Instant) {
        self.elapsed_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    }

    /// Notes an error with all its causes.
    pub fn fail(&mut self, error: &dyn Error) {
        self.errors.push(with_causes(error));
    }
}

/// One line for a person.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.busy {
            return f.write_str("an earlier run is still at work, so this invocation did nothing");
        }
        write!(f, "{}: {} records delivered", self.name(), self.delivered)?;
        for (count, what) in [
            (self.quarantined, "quarantined"),
            (self.skipped, "delivered before"),
            (self.before_start, "older than the start"),
            (self.filtered, "filtered out"),
            (self.dead_lettered, "dead-lettered"),
        ] {
            if count > 0 {
                write!(f, ", {count} {what}")?;
            }
        }
        match (self.caught_up, self.lag_seconds) {
            (true, _) => f.write_str("; caught up"),
            (false, Some(lag)) => write!(f, "; {lag} s behind"),
            (false, None) => f.write_str("; not caught up"),
        }?;
        if let Some(gap) = self.gap {
            write!(f, "; records {gap} may be missing")?;
        }
        if let Some(arrival) = self.arrival.filter(|it| it.missing > 0) {
            write!(f, "; {arrival}")?;
        }
        for error in &self.errors {
            write!(f, "; failed: {error}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_that_go_on_where_one_ended_are_told_as_one() {
        let run = |id: &str, minute: u32| Report {
            fetched: 8,
            delivered: 1,
            quarantined: 1,
            skipped: 1,
            before_start: 1,
            filtered: 2,
            dead_lettered: 2,
            requests: 3,
            batches: 2,
            bytes: 40,
            caught_up: true,
            last_log_id: Some(LogId::new(id)),
            last_date: Some(format!("2026-11-21T07:{minute}:00Z").parse().unwrap()),
            lag_seconds: Some(0),
            elapsed_ms: 5,
            errors: vec![format!("error of {id}")],
            ..Report::of("log-analytics")
        };
        let mut report = run("901", 40);
        report.go_on_with(Report {
            caught_up: false,
            lag_seconds: Some(9),
            ..run("801", 30)
        });
        let expected = Report {
            fetched: 16,
            delivered: 2,
            quarantined: 2,
            skipped: 2,
            before_start: 2,
            filtered: 4,
            dead_lettered: 4,
            requests: 6,
            batches: 4,
            bytes: 80,
            caught_up: false,
            lag_seconds: Some(9),
            elapsed_ms: 10,
            errors: vec!["error of 901".into(), "error of 801".into()],
            ..run("901", 40)
        };
        assert_eq!(report, expected);
        report.go_on_with(run("802", 50));
        assert_eq!(report.last_log_id, Some(LogId::new("802")));
        assert!(report.caught_up);
    }

    #[test]
    fn the_line_for_people_says_what_matters() {
        let report = Report {
            destination: "log-analytics".into(),
            delivered: 130,
            skipped: 60,
            caught_up: true,
            ..Report::default()
        };
        assert_eq!(
            report.to_string(),
            "log-analytics: 130 records delivered, 60 delivered before; caught up"
        );
        let arrival = Arrival {
            accepted: 40,
            landed: 38,
            missing: 2,
            looked_at: Some("2026-11-21T07:30:00Z".parse().unwrap()),
        };
        let missing = |missing| Report {
            arrival: Some(Arrival { missing, ..arrival }),
            ..report.clone()
        };
        assert_eq!(missing(0).to_string(), report.to_string());
        let told = "; 38 of 40 landed, 2 missing at 2026-11-21T07:30:00Z";
        assert_eq!(missing(2).to_string(), format!("{report}{told}"));
        let behind = Report {
            destination: "log-analytics".into(),
            lag_seconds: Some(90),
            gap: Some(Gap {
                from: Some("2026-11-01T00:00:00Z".parse().unwrap()),
                to: "2026-11-20T00:00:00Z".parse().unwrap(),
            }),
            errors: vec!["disk full".into()],
            ..Report::default()
        };
        assert_eq!(
            behind.to_string(),
            "log-analytics: 0 records delivered; 90 s behind; records between \
             2026-11-01T00:00:00Z and 2026-11-20T00:00:00Z may be missing; failed: disk full"
        );
    }
}
