//! Records over which a destination failed when they were tried alone.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use crate::record::LogId;

/// The records over which a destination failed while it accepted others, and that are not set aside
/// yet: nothing was accepted after them, or the time of the run was over. They outlive the run, and what
/// is accepted in the next one shows that the fault is in them.
#[derive(Debug, Default)]
pub(crate) struct Suspects(Mutex<BTreeSet<LogId>>);

impl Suspects {
    pub(super) fn add(&self, id: LogId) {
        self.known(|it| it.insert(id));
    }

    /// Forgets the others.
    pub(super) fn retain(&self, is_wanted: impl Fn(&LogId) -> bool) {
        self.known(|it| it.retain(is_wanted));
    }

    pub(super) fn has(&self, id: &LogId) -> bool {
        self.known(|it| it.contains(id))
    }

    fn known<T>(&self, of: impl FnOnce(&mut BTreeSet<LogId>) -> T) -> T {
        of(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
