//! Records over which a destination failed when they were tried alone.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use crate::record::LogId;

/// The records of which a run could not show that the fault is in them, because nothing was accepted
/// after they had failed. They outlive the run: what is accepted in the next one shows it.
#[derive(Debug, Default)]
pub(crate) struct Suspects(Mutex<BTreeSet<LogId>>);

impl Suspects {
    /// Remembers these records instead of those before.
    pub(super) fn replace(&self, ids: BTreeSet<LogId>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = ids;
    }

    pub(super) fn has(&self, id: &LogId) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.contains(id)
    }
}
