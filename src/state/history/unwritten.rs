//! Runs that are not written yet. They are kept because a gap, for example, is reported by one run
//! only.

use chrono::{DateTime, Utc};

use super::History;
use crate::report::Report;
use crate::state::counted::{Counted, NewlyCounted};

/// Maximum number of runs held. If there are more, runs without a gap are dropped first.
const MOST: usize = 50;

/// Runs that are not written, as far as this process knows.
#[derive(Default)]
pub(super) struct Unwritten {
    runs: Vec<Held>,
    /// What was counted up to the last attempt to write them.
    counted: Counted,
    /// The history of the last attempt. If only the response was lost, this is what is stored.
    tried: Option<History>,
}

struct Held {
    report: Report,
    at: DateTime<Utc>,
    is_tried: bool,
}

impl Unwritten {
    pub fn hold(&mut self, report: &Report, at: DateTime<Utc>) {
        if self.runs.len() == MOST {
            let tells_of_none = |it: &Held| it.report.gap.is_none();
            let least = self.runs.iter().position(tells_of_none).unwrap_or(0);
            self.runs.remove(least);
        }
        self.runs.push(Held {
            report: report.clone(),
            at,
            is_tried: false,
        });
    }

    /// Drops runs that turn out to be stored. Returns whether none are left.
    pub fn meet(&mut self, stored: &History) -> bool {
        if self.tried.take().is_some_and(|it| it == *stored) {
            self.runs.retain(|it| !it.is_tried);
            self.counted = Counted::default();
        }
        self.runs.is_empty()
    }

    /// Adds all runs to the stored history, which is then to be written. Returns whether the newest run
    /// is worth writing; `None` if no run is.
    pub fn add_to(&mut self, history: &mut History, newly_counted: &NewlyCounted) -> Option<bool> {
        let told = self.runs.iter().map(|it| history.add(&it.report, it.at));
        let told: Vec<_> = told.collect();
        if !told.contains(&true) {
            self.runs.clear();
            return None;
        }
        for run in &mut self.runs {
            run.is_tried = true;
        }
        self.counted.add(&newly_counted.take());
        history.counted.keep(&self.counted);
        self.tried = Some(history.clone());
        told.last().copied()
    }
}
