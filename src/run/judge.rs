//! Judges a run by how many of its records the destination did not take as they are.

use chrono::{DateTime, Utc};
use tracing::warn;

use super::{ActiveRun, DeadLetters, RunError};
use crate::record::Source;
use crate::report::{Report, StillRefusing};

/// What became of the records of a run, or of several that are judged together.
#[derive(Default)]
pub(crate) struct Tally {
    pub(super) delivered: u64,
    pub(super) quarantined: u64,
    /// Records that the destination refused, and that were set aside.
    pub(super) refused: u64,
    /// Records that do not fit the destination, and that were set aside.
    pub(super) unfit: u64,
    /// What to do about quarantined records.
    pub(super) advice: Option<String>,
    /// Whether delivering failed. What was set aside until then proves nothing.
    pub(super) has_failed: bool,
}

impl Tally {
    pub(super) fn count_in(&mut self, other: Self) {
        self.delivered += other.delivered;
        self.quarantined += other.quarantined;
        self.refused += other.refused;
        self.unfit += other.unfit;
        self.advice = other.advice.or(self.advice.take());
        self.has_failed |= other.has_failed;
    }

    /// Fails runs that are judged together.
    pub fn judge(&self, report: &mut Report) {
        self.judge_quarantine(report);
        if !self.has_failed {
            self.judge_refusals(report);
            self.judge_unfit(report);
        }
    }

    fn judge_quarantine(&self, report: &mut Report) {
        if let Some(advice) = self.advice.clone() {
            let rows = self.quarantined;
            report.fail(&RunError::Quarantined { rows, advice });
        }
    }

    fn judge_refusals(&self, report: &mut Report) {
        let (refused, all) = (self.refused, self.all());
        if is_much(refused, all) {
            report.fail(&RunError::ManyRefused { refused, all });
        }
    }

    fn judge_unfit(&self, report: &mut Report) {
        let (unfit, all) = (self.unfit, self.all());
        if is_much(unfit, all) {
            report.fail(&RunError::ManyUnfit { unfit, all });
        }
    }

    fn all(&self) -> u64 {
        self.delivered + self.quarantined + self.refused + self.unfit
    }
}

/// Whether so many records were set aside for one reason that the fault is not in the records: more than
/// a tenth of all. A single record proves nothing, since a quiet tenant has only a few.
fn is_much(set_aside: u64, all: u64) -> bool {
    set_aside > 1 && set_aside * 10 > all
}

impl<S: Source, A: DeadLetters> ActiveRun<'_, S, A> {
    /// Like [`Tally::judge`], for one run. Also fails a run that sent records to a destination that
    /// has refused every record since `refused_since`, even if all of them were set aside.
    pub(super) fn judge(
        &self,
        tally: &Tally,
        refused_since: Option<DateTime<Utc>>,
        was_sent: bool,
    ) {
        let Some(since) = refused_since.filter(|_| !tally.has_failed) else {
            return self.report(|report| tally.judge(report));
        };
        self.report(|report| {
            tally.judge_quarantine(report);
            report.refused_since = Some(since);
        });
        let error = StillRefusing(since);
        if was_sent {
            self.report(|report| report.fail(&error));
        } else {
            warn!("{}: {error}", self.run.label);
        }
        self.report(|report| tally.judge_unfit(report));
    }
}
