//! How far a reading has come: of the ids of each series, the largest that was met.
//!
//! A [series](LogId::series) is read by itself, as ids of two series tell nothing about each other's
//! time.

use std::collections::BTreeMap;

use super::LogId;

/// For each series the largest id that was met.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reach(BTreeMap<String, LogId>);

impl Reach {
    /// Takes note of an id.
    pub fn meet(&mut self, id: &LogId) {
        match self.0.get_mut(id.series()) {
            Some(largest) if *largest >= *id => {}
            Some(largest) => *largest = id.clone(),
            None => {
                self.0.insert(id.series().to_owned(), id.clone());
            }
        }
    }

    /// The largest id of this series.
    pub fn of(&self, series: &str) -> Option<&LogId> {
        self.0.get(series)
    }

    /// The largest id of each series.
    pub fn ends(&self) -> impl Iterator<Item = &LogId> {
        self.0.values()
    }
}

impl<'a> FromIterator<&'a LogId> for Reach {
    fn from_iter<I: IntoIterator<Item = &'a LogId>>(ids: I) -> Self {
        let mut reach = Self::default();
        ids.into_iter().for_each(|id| reach.meet(id));
        reach
    }
}
