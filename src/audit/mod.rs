//! Compares what is at Auth0 with what is at a destination, id by id, an hour of log ids at a time.
//!
//! This room counts. It knows neither how what is there is asked for nor what follows from it.

mod archive;
mod outcome;
mod reading;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::Serialize;

pub(crate) use self::archive::Archive;
pub(crate) use self::outcome::{Audited, Witness};
pub(crate) use self::reading::{AtAuth0, Nowhere, Reading};
use crate::record::LogId;

/// What a destination has of an hour: of each id the tenant that its row names, or nothing.
pub(crate) type There = BTreeMap<LogId, String>;

/// An hour of log ids, compared.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Compared {
    /// Its beginning.
    pub hour: DateTime<Utc>,
    #[serde(flatten)]
    pub counts: Counts,
    /// Those that are missing, or the first of them.
    pub missing_ids: BTreeSet<LogId>,
}

/// Distinct log ids.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub(crate) struct Counts {
    /// At Auth0. They are there, or missing, or filtered.
    pub at_auth0: u64,
    /// Not there, and left out by the destination's filter.
    pub filtered: u64,
    /// At the destination, of those at Auth0.
    pub there: u64,
    /// Not at the destination, although it should have them.
    pub missing: u64,
    /// At the destination, and not at Auth0.
    pub surplus: u64,
    /// At Auth0, and not there yet when the log was read first; `None` where that is not known.
    pub late: Option<u64>,
    /// Delivered again, of those that were missing.
    pub delivered: u64,
}

impl Counts {
    /// Whether there is anything to tell.
    pub fn is_nothing(&self) -> bool {
        self.at_auth0 + self.surplus + self.late.unwrap_or(0) == 0
    }

    /// The sum. What is not known of one is not known of the sum.
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
    /// The ids that are asked for.
    fn asked(&self) -> impl Iterator<Item = (&LogId, &reading::Sight)> {
        self.seen.iter().filter(|(_, sight)| sight.is_asked)
    }

    /// The ids that this destination should have and `there` has not.
    pub fn missing(&self, destination: usize, there: &There) -> BTreeSet<LogId> {
        let wanted = self
            .asked()
            .filter(|(_, sight)| !sight.is_left_out(destination));
        let ids = wanted.map(|(id, _)| id);
        ids.filter(|id| !there.contains_key(id)).cloned().collect()
    }

    /// How many of these ids are asked for.
    pub fn count(&self, ids: &BTreeSet<LogId>) -> u64 {
        let is_asked = |id: &&LogId| self.seen.get(id).is_some_and(|it| it.is_asked);
        number(ids.iter().filter(is_asked).count())
    }

    /// The counts of an hour, of whose ids these are missing.
    ///
    /// Where several tenants share a table, rows that name another one are not surplus. Of one that
    /// names none it is not known whose it is.
    pub fn compare(
        &self,
        destination: usize,
        there: &There,
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
