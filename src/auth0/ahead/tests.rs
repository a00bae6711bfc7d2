use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use fastrand::Rng;

use super::*;
use crate::record::Record;

mod pace;
mod slow;

use self::slow::{MadeUp, Slow};

/// A clock is more precise than the time in an id.
const NOW: &str = "2026-11-21T12:00:00.123456789Z";

fn at(time: &str) -> DateTime<Utc> {
    time.parse().unwrap()
}

fn id(stored: DateTime<Utc>) -> LogId {
    LogId::synthetic("900", stored)
}

fn ahead() -> Ahead {
    let now = at(NOW);
    Ahead::new(PageBudget::default(), Arc::new(move || now))
}

fn deadline() -> Deadline {
    Deadline::after(Duration::from_hours(1))
}

/// Reads the whole log, and returns the ids in the order in which they came.
async fn read_all(ahead: &Ahead, log: &Arc<Slow>) -> Result<Vec<LogId>, String> {
    let session = Session::begin(None);
    let mut after = id(DateTime::UNIX_EPOCH);
    let mut read = Vec::new();
    loop {
        let page = ahead.after(log, &session, &after, deadline()).await?;
        session.note(&page);
        read.extend(page.records.iter().map(|it| it.log_id.clone()));
        if page.is_last {
            return Ok(read);
        }
        after = read.last().unwrap().clone();
    }
}

/// Reads three pages, after which the rest is read ahead, and returns the last id.
async fn read_three(ahead: &Ahead, log: &Arc<Slow>, session: &Session) -> LogId {
    let mut after = id(DateTime::UNIX_EPOCH);
    for _ in 0..3 {
        let page = ahead.after(log, session, &after, deadline()).await;
        let page = page.unwrap();
        session.note(&page);
        after = page.records.last().unwrap().log_id.clone();
    }
    after
}

async fn assert_read_once(log: Slow) -> (Arc<Slow>, Duration) {
    let log = Arc::new(log);
    let began = Instant::now();
    let read = read_all(&ahead(), &log).await.unwrap();
    let all: Vec<_> = log.ids.lock().unwrap().iter().cloned().collect();
    assert_eq!(read.len(), all.len());
    assert!(read == all, "another order");
    (log, began.elapsed())
}

#[tokio::test(start_paused = true)]
async fn a_long_way_is_read_side_by_side_and_handed_out_in_order() {
    let (log, took) = assert_read_once(Slow::new(vec![500; 50_000], TimeDelta::hours(1))).await;
    // Sequentially it would be 75 s and 500 requests.
    assert!(took < Duration::from_secs(12), "{took:?}");
    assert!(log.requests() < 560, "{}", log.requests());
}

#[tokio::test(start_paused = true)]
async fn of_a_way_that_is_not_so_long_little_is_read_twice() {
    let mut rng = Rng::with_seed(3);
    let distances: Vec<_> = (0..8_000).map(|_| rng.u64(0..18_000)).collect();
    let (log, _) = assert_read_once(Slow::new(distances, TimeDelta::minutes(15))).await;
    assert!(log.most() > 3);
    assert!(log.requests() < 81 + 8, "{}", log.requests());
}

#[tokio::test(start_paused = true)]
async fn however_the_records_lie() {
    let mut rng = Rng::with_seed(1);
    let mut quiet_and_busy: Vec<u64> = Vec::new();
    for _ in 0..40 {
        let (count, distance) = (rng.usize(1..2_000), 1 << rng.u32(0..22));
        quiet_and_busy.extend((0..count).map(|_| rng.u64(0..=distance)));
    }
    let (log, took) =
        assert_read_once(Slow::new(quiet_and_busy.clone(), TimeDelta::hours(1))).await;
    let pages = quiet_and_busy.len() as u64 / 100;
    println!("{} requests for {pages} pages, {took:?}", log.requests());
    assert!(
        log.requests() < pages * 3 / 2,
        "{} for {pages}",
        log.requests()
    );
    assert!(took.as_millis() < u128::from(pages) * 75, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn where_made_up_ids_are_not_taken_one_page_is_read_after_the_other() {
    for made_up in [MadeUp::Rejected, MadeUp::Ignored, MadeUp::Misread] {
        let log = Slow {
            made_up,
            ..Slow::new(vec![500; 20_000], TimeDelta::hours(1))
        };
        let (log, _) = assert_read_once(log).await;
        let requests = log.requests();
        let in_vain = if made_up == MadeUp::Misread { 40 } else { 8 };
        assert!(requests < 201 + in_vain, "{made_up:?} {requests}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_short_way_a_quick_log_what_is_recent_and_large_pages_are_read_one_by_one() {
    let short = Slow::new(vec![500; 3_000], TimeDelta::minutes(10));
    let quick = Slow {
        latency: 2,
        ..Slow::new(vec![500; 20_000], TimeDelta::hours(1))
    };
    let recent = Slow::new(vec![2; 20_000], TimeDelta::zero());
    // A few of these pages fill the memory.
    let large = Slow {
        bytes: 30_000,
        ..Slow::new(vec![500; 2_000], TimeDelta::hours(1))
    };
    for log in [short, quick, recent, large] {
        let pages = log.ids.lock().unwrap().len() as u64 / 100;
        let (log, _) = assert_read_once(log).await;
        assert_eq!((log.requests(), log.most()), (pages + 1, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn of_many_records_of_one_moment_nothing_is_asked_for_in_vain() {
    // A page spans too little time to show how many records follow.
    let mut distances = vec![0; 6_000];
    distances.iter_mut().step_by(60).for_each(|it| *it = 1);
    let (log, _) = assert_read_once(Slow::new(distances, TimeDelta::days(1))).await;
    assert_eq!(log.requests(), 61);
    // In a burst, few requests are wasted.
    let (log, _) = assert_read_once(Slow::new(vec![1; 6_000], TimeDelta::days(1))).await;
    assert!(log.requests() <= 61 + 12, "{}", log.requests());
}

#[tokio::test(start_paused = true)]
async fn at_the_end_of_a_log_that_has_been_quiet_since_little_is_asked_for_in_vain() {
    let log = Slow::new(vec![500; 10_000], TimeDelta::days(1));
    let (log, _) = assert_read_once(log).await;
    assert!(log.requests() < 101 + 30, "{}", log.requests());
}

#[tokio::test(start_paused = true)]
async fn an_error_comes_after_what_was_read_before_it() {
    let log = Arc::new(Slow {
        fails_after: Some(100),
        ..Slow::new(vec![500; 50_000], TimeDelta::hours(1))
    });
    let ahead = ahead();
    let error = read_all(&ahead, &log).await.unwrap_err();
    assert_eq!(error, "failed");
    // And reading ahead has stopped.
    let requests = log.requests();
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert!(log.requests() <= requests + 64, "{}", log.requests());
    assert!(lock(&ahead.state).prefetches.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_request_that_panics_keeps_nobody_waiting() {
    let log = Slow {
        panics_at: Some(100),
        ..Slow::new(vec![500; 50_000], TimeDelta::hours(1))
    };
    assert_read_once(log).await;
}

#[tokio::test(start_paused = true)]
async fn nor_does_one_that_another_reader_throws_away() {
    let log = Arc::new(Slow {
        hangs_from: Some(20),
        ..Slow::new(vec![500; 50_000], TimeDelta::hours(1))
    });
    let ahead = ahead();
    let reading = read_all(&ahead, &log);
    let thrown_away = async {
        tokio::time::sleep(Duration::from_mins(2)).await;
        let before = log.requests();
        ahead.clear();
        tokio::time::sleep(Duration::from_secs(1)).await;
        // The reader makes its own request.
        assert_eq!(log.requests(), before + 1);
    };
    tokio::select! {
        _ = reading => panic!("nothing is answered"),
        () = thrown_away => {}
    }
}

#[tokio::test(start_paused = true)]
async fn who_asks_here_and_there_gets_a_page_each_time() {
    let log = Arc::new(Slow::new(vec![500; 50_000], TimeDelta::hours(1)));
    let ahead = ahead();
    let session = Session::begin(None);
    for hours in 2..7 {
        let place = id(at(NOW) - TimeDelta::hours(hours));
        let page = ahead.after(&log, &session, &place, deadline());
        session.note(&page.await.unwrap());
    }
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_eq!((log.requests(), log.most()), (5, 1));
}

#[tokio::test(start_paused = true)]
async fn what_nobody_wants_is_not_read_ahead() {
    // A page every 50 s, from about eight hours ago on.
    let log = Arc::new(Slow::new(vec![500; 50_000], TimeDelta::hours(1)));
    let ahead = ahead();
    let session = Session::begin(Some(at(NOW) - TimeDelta::hours(7)));
    let mut after = id(DateTime::UNIX_EPOCH);
    while after < id(at(NOW) - TimeDelta::hours(7)) {
        let page = ahead
            .after(&log, &session, &after, deadline())
            .await
            .unwrap();
        session.note(&page);
        after = page.records.last().unwrap().log_id.clone();
    }
    // 56 minutes of it are read, but not the rest of the 500 pages.
    let requests = log.requests();
    assert!((67..80).contains(&requests), "{requests}");
    assert!(log.most() > 1);
}

#[tokio::test(start_paused = true)]
async fn what_has_no_id_is_handed_out_with_what_it_came_with() {
    let log = Arc::new(Slow {
        has_misfits: true,
        ..Slow::new(vec![500; 20_000], TimeDelta::hours(1))
    });
    let (ahead, session) = (ahead(), Session::begin(None));
    let mut after = id(DateTime::UNIX_EPOCH);
    let mut misfits = 0;
    loop {
        let page = ahead
            .after(&log, &session, &after, deadline())
            .await
            .unwrap();
        session.note(&page);
        misfits += page.misfits.len() as u64;
        if page.is_last {
            break;
        }
        after = page.records.last().unwrap().log_id.clone();
    }
    assert!(log.most() > 1);
    // Each answer has one misfit. Those of the 200 pages with records are handed out, and none twice.
    assert!(
        (200..=log.requests()).contains(&misfits),
        "{misfits} of {}",
        log.requests()
    );
}

#[tokio::test(start_paused = true)]
async fn what_appears_meanwhile_is_handed_out_once_or_is_for_the_overlap() {
    let log = Arc::new(Slow::new(vec![500; 50_000], TimeDelta::hours(1)));
    let ahead = ahead();
    let before: Vec<_> = log.ids.lock().unwrap().iter().cloned().collect();
    let appear = async {
        for number in 0..2_000 {
            tokio::time::sleep(Duration::from_millis(4)).await;
            let below = &before[(number * 7_919) % before.len()];
            let late = LogId::new(format!("{}8", &below.as_str()[..55]));
            log.ids.lock().unwrap().insert(late);
        }
    };
    let (read, ()) = tokio::join!(read_all(&ahead, &log), appear);
    let read = read.unwrap();
    assert!(read.is_sorted() && read.windows(2).all(|it| it[0] != it[1]));
    let read: BTreeSet<_> = read.into_iter().collect();
    assert!(
        before.iter().all(|it| read.contains(it)),
        "a record is lost"
    );
}

#[tokio::test(start_paused = true)]
async fn pages_that_are_not_full_are_none_the_less_whole() {
    let log = Slow {
        page: 37,
        ..Slow::new(vec![500; 20_000], TimeDelta::hours(1))
    };
    assert_read_once(log).await;
}

#[tokio::test(start_paused = true)]
async fn where_requests_wait_already_no_more_are_made() {
    let log = Slow {
        is_crowded: true,
        ..Slow::new(vec![500; 10_000], TimeDelta::hours(1))
    };
    let (log, _) = assert_read_once(log).await;
    assert_eq!(log.most(), 1);
}

#[tokio::test(start_paused = true)]
async fn nothing_that_was_fetched_before_a_run_is_for_it_and_nothing_is_kept_after_the_last() {
    let log = Arc::new(Slow::new(vec![500; 50_000], TimeDelta::hours(1)));
    let ahead = ahead();
    let first = Session::begin(None);
    let after = read_three(&ahead, &log, &first).await;
    assert_eq!(lock(&ahead.state).prefetches.len(), 1);
    tokio::time::sleep(Duration::from_secs(5)).await;
    let later = Session::begin(None);
    let next = ahead.after(&log, &later, &after, deadline()).await.unwrap();
    assert_eq!(next.records.len(), 100);
    let untouched = lock(&ahead.state).prefetches[0].prefetch.next.clone();
    assert_eq!(untouched, after);
    ahead.clear();
    assert!(lock(&ahead.state).prefetches.is_empty());
    assert_eq!(ahead.budget.share().bytes(), AHEAD_BYTES);
}

#[tokio::test(start_paused = true)]
async fn where_an_answer_comes_at_once_nothing_is_read_ahead() {
    let (log, _) = assert_read_once(Slow {
        latency: 9,
        ..Slow::new(vec![500; 100_000], TimeDelta::hours(1))
    })
    .await;
    assert_eq!((log.most(), log.requests()), (1, 1_001));
}

#[tokio::test(start_paused = true)]
async fn large_pages_may_take_longer_without_being_slow() {
    for (latency, is_ahead) in [(28, false), (100, true)] {
        let (log, _) = assert_read_once(Slow {
            bytes: 5_000,
            latency,
            ..Slow::new(vec![500; 50_000], TimeDelta::hours(1))
        })
        .await;
        assert_eq!(log.most() > 1, is_ahead, "{latency} ms");
    }
}

#[test]
fn a_page_takes_its_time_and_some_for_each_of_its_bytes() {
    for (kib, ms) in [(0, 10), (512, 30), (1_024, 50)] {
        assert_eq!(WORTH.at_once(kib * 1_024), Duration::from_millis(ms));
    }
}

#[test]
fn one_page_that_took_long_among_many_is_not_what_they_all_take() {
    let session = Session::begin(None);
    let is_slow = |ms| session.is_slow(Duration::from_millis(ms), WORTH.latency);
    assert!((0..20).all(|_| !is_slow(2)));
    assert!(!is_slow(1_000));
    assert!((0..20).all(|_| !is_slow(2)));
    // Several slow ones in a row are: the average is 0.2 at first, then 2 - 1.8 * (7 / 8)^n.
    assert_eq!((0..10).position(|_| is_slow(20)), Some(4));
    assert_eq!((0..10).position(|_| !is_slow(2)), Some(0));
    // The first page is all that there is to go by.
    assert!(Session::begin(None).is_slow(WORTH.latency, WORTH.latency));
}

#[tokio::test(start_paused = true)]
async fn two_who_ask_for_the_same_page_both_get_it() {
    let log = Arc::new(Slow::new(vec![500; 20_000], TimeDelta::hours(1)));
    let (ahead, session) = (ahead(), Session::begin(None));
    let mut after = id(DateTime::UNIX_EPOCH);
    let mut read = 0;
    loop {
        let (first, second) = tokio::join!(
            ahead.after(&log, &session, &after, deadline()),
            ahead.after(&log, &session, &after, deadline()),
        );
        let (first, second) = (first.unwrap(), second.unwrap());
        let ids = |page: &Page| page.records.iter().map(|it| it.log_id.clone()).next();
        assert_eq!(ids(&first), ids(&second), "after {read} records");
        session.note(&first);
        read += first.records.len();
        match first.records.last() {
            Some(last) => after = last.log_id.clone(),
            None => break,
        }
    }
    assert_eq!(read, 20_000);
    assert!(log.most() > 4, "nothing was read ahead");
}

/// No other run goes on from where a run with an end time stops. So a page near the present
/// completes such a run only if it reaches past that time.
#[test]
fn a_page_near_the_present_ends_a_run_that_wants_nothing_later() {
    let record = |log_id| Record {
        log_id,
        date: None,
        json: Bytes::new(),
    };
    let page = |ids: Vec<LogId>| Page {
        records: ids.into_iter().map(record).collect(),
        misfits: Vec::new(),
        is_last: true,
    };
    let until = at("2026-11-21T11:59:00Z");
    let stored = |second| id(until + TimeDelta::seconds(second));
    for (ids, ends) in [
        (vec![stored(-1)], false),
        (vec![stored(0)], false),
        (vec![stored(1), stored(-1)], true),
        (vec![LogId::new("odd")], false),
        (vec![], false),
    ] {
        let page = page(ids);
        assert_eq!(
            Session::begin(Some(until)).ends_with(&page),
            ends,
            "{page:?}"
        );
        assert!(Session::begin(None).ends_with(&page));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_read_ahead_is_bounded_by_its_bytes() {
    let log = Arc::new(Slow::new(vec![500; 200_000], TimeDelta::hours(1)));
    let ahead = ahead();
    let session = Session::begin(None);
    read_three(&ahead, &log, &session).await;
    // No reader asks for more.
    tokio::time::sleep(Duration::from_mins(10)).await;
    let requests = log.requests();
    assert!(requests < 1_700, "{requests}");
    tokio::time::sleep(Duration::from_mins(10)).await;
    assert_eq!(log.requests(), requests);
}

#[tokio::test(start_paused = true)]
async fn pages_that_fill_the_room_are_read_side_by_side_as_well() {
    let log = Slow {
        bytes: 1_000,
        ..Slow::new(vec![17_000; 60_000], TimeDelta::minutes(15))
    };
    let (log, took) = assert_read_once(log).await;
    // When ranges waited for one another, it was 70 pages a second.
    let a_second = 600.0 / took.as_secs_f64();
    assert!(
        a_second > 100.0,
        "{a_second:.0} pages a second, of {} requests",
        log.requests()
    );
}
