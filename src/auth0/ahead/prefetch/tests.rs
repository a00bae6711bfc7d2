use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::record::Record;

const BEGIN: &str = "2026-11-21T08:00:00Z";
/// Bytes of a page as [`page`] makes it.
const PAGE: usize = 100 * (256 + 2);

fn begin() -> DateTime<Utc> {
    BEGIN.parse().unwrap()
}

/// A page whose records lie `apart` from each other, the first one `seconds` after the beginning.
fn page(seconds: u64, apart: Duration) -> Page {
    let first = begin() + Duration::from_secs(seconds);
    let records = (0..100).map(|number| Record {
        log_id: LogId::synthetic("900", first + apart * number),
        date: None,
        json: Bytes::from_static(b"{}"),
    });
    Page {
        is_last: false,
        ..Page::last(records.collect())
    }
}

/// The position after which a job reads, in seconds after the beginning.
fn seconds(job: &Job) -> i64 {
    (job.after.stored_at().unwrap() - begin()).num_seconds()
}

#[test]
fn a_range_is_cut_again_only_once_another_page_says_that_it_is_long() {
    let room = 40 * PAGE;
    let end = begin() + Duration::from_hours(24);
    let mut prefetch = Prefetch::after(&page(0, Duration::from_secs(1)), end, 10).unwrap();
    // Two pages of 99 s, as it seems, up to 297 s.
    let first = prefetch.job(room).unwrap();
    assert_eq!(seconds(&first), 99);
    let burst = Duration::from_millis(10);
    prefetch.settle(first.range, Ok(page(100, burst)));
    let first = prefetch.job(room).unwrap();
    assert_eq!(seconds(&first), 100);
    // If they were like this page, there would be 198 more up to there.
    let half = prefetch.job(room).unwrap();
    assert_eq!(seconds(&half), 198);
    // Nobody knows yet whether either part is long.
    let next = prefetch.job(room).unwrap();
    assert_eq!(seconds(&next), 297);
    prefetch.settle(first.range, Ok(page(101, burst)));
    let again = prefetch.job(room).unwrap();
    assert_eq!((again.range, seconds(&again)), (first.range, 101));
    let half = prefetch.job(room).unwrap();
    assert_eq!(seconds(&half), 150);
}
