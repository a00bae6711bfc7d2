//! What Auth0 holds of an hour, as a reading that delivers nothing notes it, compared with what a
//! destination holds.

use std::collections::{BTreeMap, BTreeSet};

use super::{AtDestination, Counts};
use crate::destination::Filter;
use crate::record::{LogId, Record, texts};
use crate::run::{Handled, Stretch, Watch};

/// What Auth0 holds of an hour.
#[derive(Debug, Default)]
pub(crate) struct AtAuth0 {
    seen: BTreeMap<LogId, Sight>,
    /// The tenant names in the records.
    pub names: BTreeSet<String>,
    /// Records within the audited stretch that have no id, or one that holds no time, so that they belong to
    /// no hour.
    pub undated: u64,
}

/// What is known about a record.
#[derive(Debug, Default)]
struct Sight {
    /// Whether the record is within the audited stretch; an hour may extend beyond it.
    is_asked: bool,
    /// One bit for each destination whose filter leaves the record out.
    left_out: u32,
}

impl Sight {
    fn is_left_out(&self, destination: usize) -> bool {
        self.left_out & bit(destination) != 0
    }
}

fn bit(destination: usize) -> u32 {
    u32::try_from(destination)
        .ok()
        .and_then(|it| 1u32.checked_shl(it))
        .unwrap_or(0)
}

impl AtAuth0 {
    /// All ids of the hour.
    pub fn ids(&self) -> impl Iterator<Item = &LogId> {
        self.seen.keys()
    }

    /// Whether this id is one of them.
    pub fn has(&self, id: &LogId) -> bool {
        self.seen.contains_key(id)
    }

    /// The ids within the audited stretch.
    fn asked(&self) -> impl Iterator<Item = (&LogId, &Sight)> {
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
        let is_filtered =
            |(id, sight): &(&LogId, &Sight)| sight.is_left_out(destination) && !is_there(id);
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

/// Notes the records of an hour.
pub(crate) struct HourWatch<'a> {
    hour: &'a Stretch,
    asked: &'a Stretch,
    /// The filters of the destinations.
    filters: &'a [&'a Filter],
    pub found: AtAuth0,
}

impl<'a> HourWatch<'a> {
    /// Notes the records of `hour`. Those that are also in the stretch `asked` are audited.
    pub fn new(hour: &'a Stretch, asked: &'a Stretch, filters: &'a [&'a Filter]) -> Self {
        Self {
            hour,
            asked,
            filters,
            found: AtAuth0::default(),
        }
    }
}

impl Watch for HourWatch<'_> {
    fn noted(&mut self, record: &Record, _: Handled) {
        if !self.hour.holds(record) {
            return;
        }
        let is_asked = self.asked.holds(record);
        if record.log_id.stored_at().is_none() {
            self.found.undated += u64::from(is_asked);
            return;
        }
        let [name] = texts(record.text(), ["tenant_name"]);
        if let Some(name) = name.filter(|it| !self.found.names.contains(&**it)) {
            self.found.names.insert(name.into_owned());
        }
        let filters = self.filters.iter().enumerate();
        let left_out = filters.filter(|(_, filter)| filter.leaves_out(record));
        let left_out = left_out.fold(0, |bits, (destination, _)| bits | bit(destination));
        let sight = Sight { is_asked, left_out };
        self.found.seen.insert(record.log_id.clone(), sight);
    }
}

#[cfg(test)]
mod tests;
