//! How many records to request at once, and how many a tenant returns.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::auth0::logs::{COMFORTABLE, PAGE};
use crate::record::LogId;

/// A page with this many records is never a short one: that may be all a tenant returns at once,
/// whatever it returned before. Auth0's own default is 50. One more request tells.
const MANY: usize = 32;
/// By how much a page that failed is made smaller within a run, so that the six attempts of a request get
/// from [`PAGE`] to a single record although the first one changes nothing.
const PART: usize = 4;
/// Places at which a page was blocked that are remembered.
const PLACES: usize = 16;
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
    /// After which ids a page was blocked, or one shortly before it, the most to request there, and for
    /// how many pages still: what is read elsewhere meanwhile shows nothing about these.
    blocked_after: BTreeMap<LogId, (usize, usize)>,
}

impl Default for Take {
    fn default() -> Self {
        Self {
            size: Mutex::new(Size {
                asked: PAGE,
                failed: None,
                limit: None,
                blocked_after: BTreeMap::new(),
            }),
            most: AtomicUsize::new(0),
        }
    }
}

impl Size {
    fn limit_after(&mut self, id: &LogId, most: usize, pages: usize) {
        if self.blocked_after.len() >= PLACES {
            self.blocked_after.pop_first();
        }
        self.blocked_after.insert(id.clone(), (most, pages));
    }
}

impl Take {
    /// How many records to request.
    pub fn get(&self) -> usize {
        self.size().asked
    }

    /// How many records to request after this id.
    pub fn after(&self, id: &LogId) -> usize {
        let size = self.size();
        let most = size.blocked_after.get(id).copied();
        most.map_or(size.asked, |(most, _)| size.asked.min(most))
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

    /// Notes that a request for `asked` records after this id failed in a way that is not tried again,
    /// though a smaller one might not have.
    pub fn note_blocked(&self, id: &LogId, asked: usize) {
        self.learn(asked, usize::MAX);
        self.size().limit_after(id, (asked / 2).max(1), UNTIL_MORE);
    }

    /// Notes that a request for `asked` records failed, though a smaller one might not have.
    pub fn note_failure(&self, asked: usize) {
        self.change(asked, |size| {
            size.failed = Some(asked);
            size.asked = (asked / PART).max(1);
        });
    }

    /// Notes a page of `asked` records after this id, with this many bytes; `last` is the id that reading
    /// goes on after. If a larger page failed before it, no more are requested for a while: they would
    /// fail again.
    pub fn note_page(&self, id: &LogId, asked: usize, last: Option<&LogId>, bytes: usize) {
        let mut size = self.size();
        if let Some((most, left)) = size.blocked_after.remove(id)
            && let Some(last) = last.filter(|_| left > 1)
        {
            size.limit_after(last, most, left - 1);
        }
        drop(size);
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
        assert_eq!(learn(25, 8_388_608), 25);
        assert_eq!(learn(25, 8_388_609), 12);
        assert_eq!(learn(12, 4_194_305), 12);
        assert_eq!(learn(12, 4_194_304), 24);
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
            Some(bytes) => take.note_page(&LogId::new("1"), take.get(), None, bytes),
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
        let id = LogId::new("1");
        take.note_failure(100);
        take.note_failure(100);
        take.note_page(&id, 100, None, 0);
        assert_eq!(take.get(), 25);
    }

    /// Reads 40 pages at another place.
    fn read_elsewhere(take: &Take) {
        for _ in 0..40 {
            take.note_page(&LogId::new("0"), take.get(), None, 0);
        }
        assert_eq!(take.get(), 100);
    }

    #[test]
    fn where_a_page_was_blocked_no_more_are_asked_for_whatever_is_read_elsewhere() {
        let (take, here, next) = (Take::default(), LogId::new("1"), LogId::new("2"));
        take.note_blocked(&here, 100);
        read_elsewhere(&take);
        assert_eq!([&here, &next].map(|it| take.after(it)), [50, 100]);
        take.note_blocked(&here, 50);
        take.note_page(&here, 25, Some(&next), 0);
        read_elsewhere(&take);
        assert_eq!([&here, &next].map(|it| take.after(it)), [100, 25]);
        take.note_page(&next, 25, None, 0);
        read_elsewhere(&take);
        assert_eq!(take.after(&next), 100);
    }

    #[test]
    fn what_is_blocked_makes_pages_smaller_elsewhere_and_what_fails_elsewhere_makes_them_smaller_there()
     {
        let (take, here, there) = (Take::default(), LogId::new("1"), LogId::new("2"));
        take.note_blocked(&here, 100);
        assert_eq!([&here, &there].map(|it| take.after(it)), [50, 50]);
        take.note_failure(50);
        assert_eq!([&here, &there].map(|it| take.after(it)), [12, 12]);
    }

    #[test]
    fn after_many_pages_where_one_was_blocked_more_are_asked_for() {
        let (take, id) = (Take::default(), |n: i32| LogId::new(n.to_string()));
        take.note_blocked(&id(0), 1);
        for n in 0..31 {
            take.note_page(&id(n), 1, Some(&id(n + 1)), 0);
            read_elsewhere(&take);
            assert_eq!(take.after(&id(n + 1)), 1);
        }
        take.note_page(&id(31), 1, Some(&id(32)), 0);
        assert_eq!(take.after(&id(32)), 100);
    }

    #[test]
    fn sixteen_places_are_remembered() {
        let take = Take::default();
        for n in 10..27 {
            take.note_blocked(&LogId::new(n.to_string()), 100);
        }
        read_elsewhere(&take);
        let asked = ["10", "11", "26"].map(|it| take.after(&LogId::new(it)));
        assert_eq!(asked, [100, 50, 50]);
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
