//! Where reading begins.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Datelike as _, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::LogId;
use crate::clock::to_seconds;

/// Where reading begins if there is no record to begin after. A checkpoint holds it as `"oldest"` or as
/// the time.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Start {
    /// With the oldest record that the source still has.
    Oldest,
    /// With the first record dated at or after this time.
    #[serde(untagged)]
    At(DateTime<Utc>),
}

/// By how much a clock may be wrong: what lies later than that is in the future.
pub(crate) const CLOCK_ERROR: TimeDelta = TimeDelta::minutes(5);

/// Whether a time is in the future, even if the clock is wrong.
pub(crate) fn is_future(time: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    time > now + CLOCK_ERROR
}

/// How long a record waits before it is suspected to be at fault: most outages are shorter.
const LONG_WAIT: TimeDelta = TimeDelta::hours(1);

/// Whether a record with the first of these times that is not in the future has waited so long that the
/// fault may be in it. One that tells no such time would never get that old, so it counts as if it had.
pub(crate) fn has_waited(times: [Option<DateTime<Utc>>; 2], now: DateTime<Utc>) -> bool {
    let mut past = times.into_iter().flatten();
    let time = past.find(|it| !is_future(*it, now));
    time.is_none_or(|it| now - it >= LONG_WAIT)
}

impl Start {
    /// The time, if it is one.
    pub fn time(self) -> Option<DateTime<Utc>> {
        match self {
            Self::Oldest => None,
            Self::At(time) => Some(time),
        }
    }

    /// Whether a request can name it: the year has at most four digits, so that the time can be
    /// written, and a span can be subtracted from it.
    pub fn is_usable(self) -> bool {
        match self {
            Self::Oldest => true,
            Self::At(time) => (1..=9999).contains(&time.year()),
        }
    }
}

/// A start as a person states it: the setting `START_FROM`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum StartFrom {
    /// This long ago.
    Ago(Duration),
    /// At this time.
    At(DateTime<Utc>),
    /// With the oldest record there is.
    Oldest,
}

impl StartFrom {
    /// The start that this means at the time `now`.
    pub fn resolve(self, now: DateTime<Utc>) -> Start {
        match self {
            Self::Ago(duration) => Start::At(now - duration),
            Self::At(time) => Start::At(time),
            Self::Oldest => Start::Oldest,
        }
    }
}

/// Where reading resumes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Position {
    /// From a start: there is no record yet to resume after, or none that Auth0 accepts.
    Start(Start),
    /// After this record, which Auth0 has or had.
    After(LogId),
}

impl Position {
    /// The time of the position, where it has one: that of the start, or of the record's id.
    pub fn time(&self) -> Option<DateTime<Utc>> {
        match self {
            Self::Start(start) => start.time(),
            Self::After(id) => id.stored_at(),
        }
    }
}

/// For people, to follow "reading begins".
impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::After(id) => write!(f, "after the record {id}"),
            Self::Start(Start::At(time)) => write!(f, "at {}", to_seconds(*time)),
            Self::Start(Start::Oldest) => f.write_str("with the oldest record"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_has_waited_after_an_hour_or_if_it_tells_no_past_time() {
        let at = |clock: &str| Some(format!("2026-11-21T{clock}Z").parse().unwrap());
        let now = at("08:00:00").unwrap();
        for (stored, date, expected) in [
            (at("07:00:00"), None, true),
            (at("07:00:01"), None, false),
            // When it was stored counts, if the id tells.
            (at("07:30:00"), at("06:00:00"), false),
            (None, at("06:00:00"), true),
            (None, at("07:30:00"), false),
            (None, None, true),
            // A time in the future is none, unless a clock may be wrong.
            (at("08:05:01"), at("07:30:00"), false),
            (at("08:05:01"), at("06:00:00"), true),
            (at("08:05:01"), at("23:00:00"), true),
            (at("08:05:00"), None, false),
        ] {
            let found = has_waited([stored, date], now);
            assert_eq!(found, expected, "{stored:?} {date:?}");
        }
    }
}
