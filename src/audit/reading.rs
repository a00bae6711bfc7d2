//! A ledger for a reading that delivers nothing: it leaves out every record, and notes each one.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use crate::destination::Filter;
use crate::error::BoxError;
use crate::net::retry::Deadline;
use crate::record::{LogId, Reach, Record, Start, texts};
use crate::run::{
    Comparison, DeadLetter, DeadLetters, Handled, Kept, Ledger, Newest, Opening, Stretch,
    StretchLedger,
};

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

/// The ledger for reading an hour.
pub(crate) struct HourLedger<'a> {
    hour: StretchLedger<'a>,
    asked: StretchLedger<'a>,
    /// The filters of the destinations.
    filters: &'a [&'a Filter],
    found: AtAuth0,
}

impl<'a> HourLedger<'a> {
    /// Reads `hour`. Records that are also in the stretch `asked` are audited.
    pub fn new(
        hour: &'a Stretch,
        asked: &'a Stretch,
        filters: &'a [&'a Filter],
        now: DateTime<Utc>,
    ) -> Self {
        Self {
            hour: StretchLedger::new(hour, now),
            asked: StretchLedger::new(asked, now),
            filters,
            found: AtAuth0::default(),
        }
    }

    pub fn found(self) -> AtAuth0 {
        self.found
    }
}

impl Ledger for HourLedger<'_> {
    async fn open(&mut self, deadline: Deadline) -> Result<Opening, BoxError> {
        self.hour.open(deadline).await
    }

    fn leaves_out(&self, _: &Record) -> bool {
        true
    }

    fn has_handled(&self, _: &LogId) -> bool {
        false
    }

    fn note(&mut self, record: &Record, _: Handled) {
        if self.hour.leaves_out(record) {
            return;
        }
        let is_asked = !self.asked.leaves_out(record);
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

    fn begin_anew(&mut self, _: Start) {}

    fn found_oldest(&mut self, _: DateTime<Utc>) {}

    fn begin_series(&mut self, _: &LogId) {}

    fn compared(&mut self, _: Comparison) {}

    fn refuses_all(&mut self) -> Option<DateTime<Utc>> {
        self.hour.refuses_all()
    }

    fn refused_since(&self) -> Option<DateTime<Utc>> {
        None
    }

    fn newest(&self) -> Option<&Newest> {
        None
    }

    fn reach(&mut self, _: &Reach) {}

    async fn save(&mut self, _: Deadline) -> Result<(), BoxError> {
        Ok(())
    }

    async fn close(&mut self, _: bool, _: Deadline) -> Result<(), BoxError> {
        Ok(())
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
