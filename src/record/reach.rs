//! How far reading has come: the largest id seen in each series.
//!
//! Each [series](LogId::series) is read separately, since ids of two series are not in the order of time.

use std::collections::BTreeMap;

use super::LogId;

/// The largest id seen in each series.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reach(BTreeMap<String, LogId>);

impl Reach {
    /// Notes an id that was seen.
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
