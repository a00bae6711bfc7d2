//! How many records a destination gets per delivery, if larger deliveries were not answered in time.

use std::sync::{Mutex, PoisonError};

/// Deliveries of the largest size, all accepted in time, after which the size is doubled: one late
/// delivery takes about as long as ten that are not. Each time that doubling fails, twice as many are
/// needed.
const TAKEN: u32 = 10;
/// Maximum number of deliveries needed before the size is doubled, however often doubling failed.
const MOST_TAKEN: u32 = 1_000;

/// The maximum size of a delivery, in records. It outlives a run, or each run would have to find it out
/// anew.
#[derive(Debug, Default)]
pub(crate) struct Pace(Mutex<Known>);

#[derive(Debug)]
struct Known {
    /// `None` if no delivery was late.
    most: Option<usize>,
    /// Deliveries of that size accepted since.
    taken: u32,
    /// Deliveries after which the size is doubled.
    needed: u32,
    /// Whether the size was doubled, and no delivery of the new size has been accepted yet.
    is_trial: bool,
}

impl Default for Known {
    fn default() -> Self {
        Self {
            most: None,
            taken: 0,
            needed: TAKEN,
            is_trial: false,
        }
    }
}

impl Pace {
    /// Maximum number of records per delivery.
    pub(super) fn most(&self) -> usize {
        self.known(|it| it.most.unwrap_or(usize::MAX))
    }

    /// Notes that a delivery of this many rows was not answered in time.
    pub(super) fn late(&self, rows: usize) {
        self.known(|it| {
            let half = rows.div_ceil(2);
            // No larger than before it was doubled, it says nothing about the new size.
            let is_larger = it.most.is_some_and(|most| rows > most / 2);
            it.most = Some(it.most.map_or(half, |most| most.min(half)));
            it.taken = 0;
            if std::mem::take(&mut it.is_trial) && is_larger {
                it.needed = (2 * it.needed).min(MOST_TAKEN);
            }
        });
    }

    /// Notes that a delivery of this many rows was accepted in time.
    pub(super) fn taken(&self, rows: usize) {
        self.known(|it| {
            let Some(most) = it.most.filter(|most| rows >= *most) else {
                return;
            };
            it.taken += 1;
            it.is_trial = false;
            if it.taken >= it.needed {
                it.taken = 0;
                it.most = most.checked_mul(2);
                it.is_trial = true;
            }
        });
    }

    fn known<T>(&self, of: impl FnOnce(&mut Known) -> T) -> T {
        of(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_late_is_halved_and_what_is_taken_ten_times_doubled() {
        let pace = Pace::default();
        assert_eq!(pace.most(), usize::MAX);
        pace.late(1_000);
        pace.late(600);
        assert_eq!(pace.most(), 300);
        pace.late(1_000);
        assert_eq!(pace.most(), 300, "it was sent before");
        for _ in 0..9 {
            pace.taken(300);
        }
        // A smaller delivery proves nothing.
        pace.taken(299);
        assert_eq!(pace.most(), 300);
        pace.taken(300);
        assert_eq!(pace.most(), 600);
        for _ in 0..9 {
            pace.taken(600);
        }
        pace.late(600);
        pace.taken(300);
        assert_eq!(pace.most(), 300, "counted anew");
        pace.late(1);
        assert_eq!(pace.most(), 1);
    }

    #[test]
    fn what_was_doubled_in_vain_is_doubled_later_and_later() {
        let pace = Pace::default();
        pace.late(200);
        let mut needed = Vec::new();
        for _ in 0..9 {
            let mut taken = 0;
            while pace.most() == 100 {
                pace.taken(100);
                taken += 1;
            }
            needed.push(taken);
            pace.late(200);
        }
        assert_eq!(needed, [10, 20, 40, 80, 160, 320, 640, 1_000, 1_000]);
    }

    /// A batch may never have as many records as doubling allows.
    #[test]
    fn a_size_that_was_never_tried_did_not_fail() {
        let pace = Pace::default();
        pace.late(200);
        for _ in 0..3 {
            let mut taken = 0;
            while pace.most() == 100 {
                pace.taken(100);
                taken += 1;
            }
            assert_eq!(taken, 10);
            pace.late(100);
            pace.late(50);
            while pace.most() < 100 {
                pace.taken(pace.most());
            }
        }
    }
}
