//! Compares the records at Auth0 with those at a destination, id by id, one hour of log ids at a time.
//!
//! This module only counts. It knows neither how a destination is queried nor what a result leads to.

mod archive;
mod at_auth0;
mod nameless;
mod outcome;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::Serialize;

pub(crate) use self::archive::Archive;
pub(crate) use self::at_auth0::{AtAuth0, HourWatch};
pub(crate) use self::nameless::Nameless;
pub(crate) use self::outcome::{Audited, Witness};
use crate::record::LogId;

/// The records that a destination holds of an hour: each id with the tenant that its row names, or
/// an empty text.
pub(crate) type AtDestination = BTreeMap<LogId, String>;

/// The comparison of one hour of log ids.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Compared {
    /// The beginning of the hour.
    pub hour: DateTime<Utc>,
    #[serde(flatten)]
    pub counts: Counts,
    /// The missing ids, or the first of them.
    pub missing_ids: BTreeSet<LogId>,
}

/// Numbers of distinct log ids.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub(crate) struct Counts {
    /// Ids at Auth0: the sum of `there`, `missing` and `filtered`.
    pub at_auth0: u64,
    /// Not at the destination, because its filter leaves them out.
    pub filtered: u64,
    /// At Auth0 and at the destination.
    pub there: u64,
    /// Not at the destination, although it should have them.
    pub missing: u64,
    /// At the destination but not at Auth0.
    pub surplus: u64,
    /// At Auth0, but not yet visible when the log was first read; `None` if that is unknown.
    pub late: Option<u64>,
    /// Missing ones that were delivered again.
    pub delivered: u64,
}

impl Counts {
    /// Whether there is nothing to report.
    pub fn is_nothing(&self) -> bool {
        self.at_auth0 + self.surplus + self.late.unwrap_or(0) == 0
    }

    /// Adds counts. If `late` is unknown in one of them, it is unknown in the sum.
    pub fn add(&mut self, other: &Self) {
        self.at_auth0 += other.at_auth0;
        self.filtered += other.filtered;
        self.there += other.there;
        self.missing += other.missing;
        self.surplus += other.surplus;
        self.late = self.late.zip(other.late).map(|(a, b)| a + b);
        self.delivered += other.delivered;
    }
}

#[cfg(test)]
mod tests;
