//! Compares the records at Auth0 with those at a destination, id by id, one hour of log ids at a time.
//!
//! This module only counts. It knows neither how a destination is queried nor what a result leads to.

mod archive;
mod outcome;
mod reading;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::Serialize;

pub(crate) use self::archive::Archive;
pub(crate) use self::outcome::{Audited, Witness};
pub(crate) use self::reading::{AtAuth0, HourWatch, Nowhere};
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

impl AtAuth0 {
    /// The ids within the audited stretch.
    fn asked(&self) -> impl Iterator<Item = (&LogId, &reading::Sight)> {
        self.seen.iter().filter(|(_, sight)| sight.is_asked)
    }

    /// The ids that this destination should have but does not.
    pub fn missing(&self, destination: usize, there: &AtDestination) -> BTreeSet<LogId> {
        let wanted = self
            .asked()
            .filter(|(_, sight)| !sight.is_left_out(destination));
        let ids = wanted.map(|(id, _)| id);
        ids.filter(|id| !there.contains_key(id)).cloned().collect()
    }

    /// How many of these ids are within the audited stretch.
    pub fn count(&self, ids: &BTreeSet<LogId>) -> u64 {
        let is_asked = |id: &&LogId| self.seen.get(id).is_some_and(|it| it.is_asked);
        number(ids.iter().filter(is_asked).count())
    }

    /// The counts of an hour, given its missing ids.
    ///
    /// If several tenants share a table, rows that name another tenant are not surplus. A row
    /// without a tenant may belong to any of them, and counts as surplus.
    pub fn compare(
        &self,
        destination: usize,
        there: &AtDestination,
        missing: &BTreeSet<LogId>,
        own_names: &BTreeSet<String>,
    ) -> Counts {
        let is_there = |id: &LogId| there.contains_key(id);
        let is_filtered = |(id, sight): &(&LogId, &reading::Sight)| {
            sight.is_left_out(destination) && !is_there(id)
        };
        let is_own = |name: &str| name.is_empty() || own_names.contains(name);
        let surplus = there
            .iter()
            .filter(|(id, name)| !self.seen.contains_key(id) && is_own(name));
        let at_auth0 = number(self.asked().count());
        let filtered = number(self.asked().filter(is_filtered).count());
        let missing = number(missing.len());
        Counts {
            at_auth0,
            filtered,
            there: at_auth0 - filtered - missing,
            missing,
            surplus: number(surplus.count()),
            late: None,
            delivered: 0,
        }
    }
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
