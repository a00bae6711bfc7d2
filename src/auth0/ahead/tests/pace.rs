//! How close reading ahead comes to a tenant's rate limit.

use chrono::Timelike as _;

use super::*;

/// Requests that may be made at once after a time with fewer of them.
const BURST: u32 = 5;

/// A log that serves one request per `interval`, in the order in which they arrive.
struct Limited {
    log: Slow,
    interval: Duration,
    next: Mutex<Instant>,
    waiting: AtomicU64,
}

impl Log for Limited {
    type Error = &'static str;

    async fn after(&self, id: &LogId, deadline: Deadline) -> Result<Page, &'static str> {
        let at = {
            let mut next = self.next.lock().unwrap();
            let at = (*next).max(Instant::now() - self.interval * BURST);
            *next = at + self.interval;
            at
        };
        self.waiting.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep_until(at).await;
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        self.log.after(id, deadline).await
    }

    fn is_rejected(_: &&'static str) -> bool {
        false
    }

    fn is_crowded(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 1
    }
}

/// Pages over 29 days, with four times as many records by day as by night.
fn by_day_and_night(pages: u64) -> Slow {
    let half_days = 29 * 43_200_000;
    let by_day = half_days * 5 / 4 / (pages * 100);
    let mut time = at(NOW);
    let mut distances: Vec<_> = (0..pages * 100)
        .map(|_| {
            let is_day = (6..18).contains(&time.hour());
            let distance = if is_day { by_day } else { 4 * by_day };
            time -= Duration::from_millis(distance);
            distance
        })
        .collect();
    distances.reverse();
    Slow {
        bytes: 800,
        ..Slow::new(distances, TimeDelta::hours(1))
    }
}

/// The share of the limit, in percent, that reading `pages` pages uses for what it hands out.
async fn share(rate: u32, latency: u64, pages: u32) -> u128 {
    let log = Arc::new(Limited {
        log: Slow {
            latency,
            ..by_day_and_night(pages.into())
        },
        interval: Duration::from_secs(1) / rate,
        next: Mutex::new(Instant::now()),
        waiting: AtomicU64::new(0),
    });
    let (ahead, session) = (ahead(), Session::begin(None));
    let began = Instant::now();
    let (mut after, mut read) = (id(DateTime::UNIX_EPOCH), 0);
    loop {
        let page = ahead.after(&log, &session, &after, deadline()).await;
        let page = page.unwrap();
        session.note(&page);
        read += page.records.len();
        match page.records.last() {
            Some(last) => after = last.log_id.clone(),
            None => break,
        }
    }
    assert_eq!(read, log.log.ids.lock().unwrap().len());
    let at_best = Duration::from_secs(1) * pages / rate;
    println!(
        "{rate}/s, {latency} ms: {} requests for {pages} pages in {:?}",
        log.log.requests(),
        began.elapsed()
    );
    100 * at_best.as_millis() / began.elapsed().as_millis()
}

#[tokio::test(start_paused = true)]
async fn most_of_a_limit_is_used_whatever_an_answer_takes() {
    // Half a minute each, the first second of which is spent on finding the number of lanes.
    for (rate, latency, pages, least) in [
        (16, 66, 480, 97),
        (50, 266, 1_500, 94),
        (250, 133, 7_500, 93),
        (250, 300, 7_500, 70),
    ] {
        let share = share(rate, latency, pages).await;
        assert!(share >= least, "{share} % of {rate}/s, {latency} ms");
    }
}
