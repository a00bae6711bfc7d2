//! Runs that are not written yet: a gap, for one, is told of by one run, and by none after it.

use chrono::{DateTime, Utc};

use super::History;
use crate::report::Report;
use crate::state::counted::{Counted, Uncounted};

/// Runs that are held. Of more, those go first that tell of no gap.
const MOST: usize = 50;

/// Runs that are not written, as far as this process knows.
#[derive(Default)]
pub(super) struct Unwritten {
    runs: Vec<Held>,
    /// What was counted in those that were to be written.
    counted: Counted,
    /// What was to be written last. Where only its answer was lost, it is there.
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

    /// Lets go of what is there after all. Answers with whether that is everything.
    pub fn meet(&mut self, stored: &History) -> bool {
        if self.tried.take().is_some_and(|it| it == *stored) {
            self.runs.retain(|it| !it.is_tried);
            self.counted = Counted::default();
        }
        self.runs.is_empty()
    }

    /// Adds all of them to what is stored, which is then to be written. Answers with whether the newest
    /// is worth telling; `None` where none of them is.
    pub fn add_to(&mut self, history: &mut History, uncounted: &Uncounted) -> Option<bool> {
        let told = self.runs.iter().map(|it| history.add(&it.report, it.at));
        let told: Vec<_> = told.collect();
        if !told.contains(&true) {
            self.runs.clear();
            return None;
        }
        for run in &mut self.runs {
            run.is_tried = true;
        }
        self.counted.add(&uncounted.take());
        history.counted.keep(&self.counted);
        self.tried = Some(history.clone());
        told.last().copied()
    }
}
