//! How many records to request at once, and how many a tenant returns.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::auth0::logs::{COMFORTABLE, PAGE};

/// A page with this many records is never a short one: that may be all a tenant returns at once,
/// whatever it returned before. Auth0's own default is 50. One more request tells.
const MANY: usize = 32;
/// By how much a page that failed is made smaller within a run, so that the six attempts of a request get
/// from [`PAGE`] to a single record although the first one changes nothing.
const PART: usize = 4;
/// Pages that are read before more records are requested again than were read after a larger page failed.
const UNTIL_MORE: usize = 32;

/// How many records to request at once, and how many a tenant returns. All readers of the tenant
/// share this.
pub(crate) struct Take {
    size: Mutex<Size>,
    /// The most records in any answer. A tenant may always return fewer than requested, so a short
    /// page proves nothing unless an earlier answer had more.
    most: AtomicUsize,
}

/// How many records to request.
struct Size {
    asked: usize,
    /// The size of the page that failed last, if none was read since.
    failed: Option<usize>,
    /// The most to request, and for how many pages still.
    limit: Option<(usize, usize)>,
}

impl Default for Take {
    fn default() -> Self {
        Self {
            size: Mutex::new(Size {
                asked: PAGE,
                failed: None,
                limit: None,
            }),
            most: AtomicUsize::new(0),
        }
    }
}

impl Take {
    /// How many records to request.
    pub fn get(&self) -> usize {
        self.size().asked
    }

    /// Whether `count` records, where `asked` were requested, are all there were.
    pub fn is_short(&self, asked: usize, count: usize) -> bool {
        let most = self.most.fetch_max(count, Ordering::Relaxed);
        count < asked.min(most).min(MANY)
    }

    /// Adapts the number to request to the bytes of an answer to `asked` records.
    pub fn learn(&self, asked: usize, bytes: usize) {
        self.change(asked, |size| {
            size.asked = if bytes > COMFORTABLE {
                (asked / 2).max(1)
            } else if bytes <= COMFORTABLE / 2 {
                (asked * 2).min(PAGE)
            } else {
                asked
            };
        });
    }

    /// Notes that a request for `asked` records failed, though a smaller one might not have.
    pub fn note_failure(&self, asked: usize) {
        self.change(asked, |size| {
            size.failed = Some(asked);
            size.asked = (asked / PART).max(1);
        });
    }

    /// Notes a page of `asked` records with this many bytes. If a larger one failed before it, no more
    /// are requested for a while: they would fail again.
    pub fn note_page(&self, asked: usize, bytes: usize) {
        self.change(asked, |size| {
            size.limit = match (size.failed.take(), size.limit) {
                (Some(failed), _) if asked < failed => Some((asked, UNTIL_MORE)),
                (_, Some((limit, left))) if left > 1 => Some((limit, left - 1)),
                _ => None,
            };
        });
        self.learn(asked, bytes);
        let mut size = self.size();
        if let Some((limit, _)) = size.limit {
            size.asked = size.asked.min(limit);
        }
    }

    /// Changes the number, unless another reader has changed it since `asked` were requested.
    fn change(&self, asked: usize, change: impl FnOnce(&mut Size)) {
        let mut size = self.size();
        if size.asked == asked {
            change(&mut size);
        }
    }

    fn size(&self) -> MutexGuard<'_, Size> {
        self.size.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fewer_records_than_were_asked_for_and_than_there_were_before_are_all_there_are() {
        let take = Take::default();
        // Nothing is known of the tenant yet: it may return no more at once.
        assert!(!take.is_short(100, 30));
        assert!(!take.is_short(100, 30));
        assert!(take.is_short(100, 29));
        assert!(!take.is_short(100, 31));
        assert!(take.is_short(100, 30));
        assert!(!take.is_short(25, 25));
        assert!(!take.is_short(100, 100));
        // This may be all that it returns at once by now.
        assert!(!take.is_short(100, 99));
        assert!(!take.is_short(100, 32));
        assert!(take.is_short(100, 31));
    }

    #[test]
    fn the_larger_the_records_the_fewer_are_asked_for() {
        let take = Take::default();
        let learn = |asked, bytes| {
            take.learn(asked, bytes);
            take.get()
        };
        assert_eq!(learn(100, usize::MAX), 50);
        assert_eq!(learn(50, 35_000_000), 25);
        assert_eq!(learn(25, 16_777_216), 25);
        assert_eq!(learn(25, 16_777_217), 12);
        assert_eq!(learn(12, 8_388_609), 12);
        assert_eq!(learn(12, 8_388_608), 24);
        // An answer does not count if the number has changed since its request.
        assert_eq!(learn(100, usize::MAX), 24);
        assert_eq!(learn(24, 0), 48);
        assert_eq!(learn(48, 0), 96);
        assert_eq!(learn(96, 0), 100);
        for (asked, next) in [
            (100, 50),
            (50, 25),
            (25, 12),
            (12, 6),
            (6, 3),
            (3, 1),
            (1, 1),
        ] {
            assert_eq!(learn(asked, usize::MAX), next);
        }
    }

    /// What is asked for after a failure (`None`) or a page of so many bytes.
    fn next(take: &Take, outcome: Option<usize>) -> usize {
        match outcome {
            None => take.note_failure(take.get()),
            Some(bytes) => take.note_page(take.get(), bytes),
        }
        take.get()
    }

    #[test]
    fn after_a_page_that_failed_a_smaller_one_is_asked_for_and_for_a_while_no_larger_one() {
        let take = Take::default();
        assert_eq!(next(&take, None), 25);
        assert_eq!(next(&take, None), 6);
        for _ in 0..32 {
            assert_eq!(next(&take, Some(0)), 6);
        }
        assert_eq!(next(&take, Some(0)), 12);
        assert_eq!(next(&take, Some(0)), 24);
        // One more failure begins anew.
        assert_eq!(next(&take, None), 6);
        assert_eq!(next(&take, Some(0)), 6);
    }

    #[test]
    fn after_an_outage_in_which_every_page_failed_as_many_are_soon_asked_for_as_before() {
        let take = Take::default();
        for expected in [25, 6, 1, 1, 1] {
            assert_eq!(next(&take, None), expected);
        }
        for expected in [2, 4, 8, 16, 32, 64, 100, 100] {
            assert_eq!(next(&take, Some(0)), expected);
        }
    }

    #[test]
    fn what_another_reader_learnt_meanwhile_stands() {
        let take = Take::default();
        take.note_failure(100);
        take.note_failure(100);
        take.note_page(100, 0);
        assert_eq!(take.get(), 25);
    }

    #[test]
    fn of_large_records_fewer_are_asked_for_also_below_the_limit() {
        let take = Take::default();
        assert_eq!(next(&take, None), 25);
        assert_eq!(next(&take, Some(20_000_000)), 12);
        assert_eq!(next(&take, Some(0)), 24);
        assert_eq!(next(&take, Some(0)), 25);
    }
}
