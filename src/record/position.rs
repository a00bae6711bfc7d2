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
