//! What a reading that delivers nothing notes of each record.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use crate::destination::Filter;
use crate::error::BoxError;
use crate::net::retry::Deadline;
use crate::record::{LogId, Record, texts};
use crate::run::{DeadLetter, DeadLetters, Handled, Kept, Stretch, Watch};

/// What Auth0 holds of an hour.
#[derive(Debug, Default)]
pub(crate) struct AtAuth0 {
    pub(super) seen: BTreeMap<LogId, Sight>,
    /// The tenant names in the records.
    pub names: BTreeSet<String>,
    /// Records within the audited stretch whose ids hold no time, so that they belong to no hour.
    pub undated: u64,
}

/// What is known about a record.
#[derive(Debug, Default)]
pub(super) struct Sight {
    /// Whether the record is within the audited stretch; an hour may extend beyond it.
    pub is_asked: bool,
    /// One bit for each destination whose filter leaves the record out.
    left_out: u32,
}

impl Sight {
    pub fn is_left_out(&self, destination: usize) -> bool {
        self.left_out & bit(destination) != 0
    }

    #[cfg(test)]
    pub fn asked(left_out: u32) -> Self {
        Self {
            is_asked: true,
            left_out,
        }
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

/// Discards records without an id: the runs have made dead letters of them.
#[derive(Debug)]
pub(crate) struct Nowhere;

impl DeadLetters for Nowhere {
    async fn set_aside(
        &self,
        _: DeadLetter<'_>,
        _: DateTime<Utc>,
        _: Deadline,
    ) -> Result<Kept, BoxError> {
        Ok(Kept {
            place: String::new(),
            is_new: false,
        })
    }
}
