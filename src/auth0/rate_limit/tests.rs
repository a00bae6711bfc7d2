//! How the limit reacts to a tenant's answers, in paused time.

use std::sync::Arc;

use bytes::Bytes;
use chrono::{TimeDelta, Utc};
use proptest::prelude::*;
use reqwest::header::{HeaderMap, HeaderValue};

use super::*;

const NOW: i64 = 1_795_248_000;
const MINUTE: Duration = Duration::from_mins(1);

/// A limit whose clock stands at 08:00:00.
fn limit() -> RateLimit {
    limit_at("2026-11-21T08:00:00Z")
}

fn limit_at(now: &str) -> RateLimit {
    let now: DateTime<Utc> = now.parse().unwrap();
    RateLimit::new(Arc::new(move || now))
}

fn answer(status: u16, headers: &[(&'static str, &str)]) -> Answer {
    let headers = headers.iter();
    Answer {
        status: StatusCode::from_u16(status).unwrap(),
        headers: headers
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect(),
        body: Bytes::new(),
    }
}

/// An answer that reports a bucket's size, the requests left and the reset, in seconds after 08:00:00.
fn bucket(status: u16, limit: u64, remaining: u64, reset: i64) -> Answer {
    let mut answer = answer(status, &[]);
    let headers = &mut answer.headers;
    headers.insert("x-ratelimit-limit", limit.into());
    headers.insert("x-ratelimit-remaining", remaining.into());
    headers.insert("x-ratelimit-reset", HeaderValue::from(NOW + reset));
    answer
}

/// Makes a request that gets this answer, and returns how long it waited.
async fn request(limit: &RateLimit, answer: &Answer) -> Result<Duration, Closed> {
    let started = Instant::now();
    let permit = limit.wait(Deadline::after(MINUTE)).await?;
    permit.learn(answer);
    Ok(started.elapsed())
}

/// How long the next request waits.
async fn wait(limit: &RateLimit) -> Result<Duration, Closed> {
    request(limit, &answer(200, &[])).await
}

/// How long the next request waits after an answer about such a bucket.
async fn wait_after(size: u64, remaining: u64, reset: i64) -> Result<Duration, Closed> {
    let limit = limit();
    request(&limit, &bucket(200, size, remaining, reset)).await?;
    wait(&limit).await
}

#[tokio::test(start_paused = true)]
async fn the_last_tenth_of_the_bucket_is_left_to_others() {
    let waits = |remaining| wait_after(50, remaining, 7);
    assert_eq!(waits(6).await.unwrap(), Duration::ZERO);
    assert_eq!(waits(5).await.unwrap(), Duration::from_secs(7));
}

#[tokio::test(start_paused = true)]
async fn it_is_crowded_where_one_more_would_only_wait_behind_another() {
    let limit = limit();
    request(&limit, &bucket(200, 50, 5, 7)).await.unwrap();
    let asked = || Box::pin(limit.wait(Deadline::after(MINUTE)));
    let mut waiting = Vec::new();
    for is_crowded in [false, true, true] {
        let mut one = asked();
        assert!(futures_util::FutureExt::now_or_never(&mut one).is_none());
        waiting.push(one);
        assert_eq!(limit.is_crowded(), is_crowded);
    }
    waiting.clear();
    assert!(!limit.is_crowded());
}

#[tokio::test(start_paused = true)]
async fn it_is_closed_as_long_as_there_is_no_request_to_spare() {
    let limit = limit();
    let seconds = Duration::from_secs;
    assert!(!limit.is_closed_for(Duration::ZERO));
    request(&limit, &bucket(200, 50, 6, 30)).await.unwrap();
    assert!(!limit.is_closed_for(Duration::ZERO));
    request(&limit, &bucket(200, 50, 5, 30)).await.unwrap();
    assert!(limit.is_closed_for(seconds(29)) && !limit.is_closed_for(seconds(31)));
    tokio::time::advance(seconds(31)).await;
    assert!(!limit.is_closed_for(Duration::ZERO));
    let refused = answer(429, &[("retry-after", "20")]);
    request(&limit, &refused).await.unwrap();
    assert!(limit.is_closed_for(seconds(19)) && !limit.is_closed_for(seconds(21)));
    tokio::time::advance(seconds(20)).await;
    assert!(!limit.is_closed_for(Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn it_is_closed_no_longer_than_it_takes_to_refill_what_is_missing() {
    let limit = limit();
    limit.lock().refill = Refill::known(1.0);
    let seconds = Duration::from_secs;
    // Six requests are missing, and a little more than six seconds bring them.
    request(&limit, &bucket(200, 100, 5, 60)).await.unwrap();
    assert!(limit.is_closed_for(seconds(6)) && !limit.is_closed_for(seconds(7)));
    tokio::time::advance(seconds(3)).await;
    assert!(limit.is_closed_for(seconds(3)) && !limit.is_closed_for(seconds(4)));
}

#[tokio::test(start_paused = true)]
async fn a_bucket_of_two_is_used_whole() {
    assert_eq!(wait_after(2, 1, 7).await.unwrap(), Duration::ZERO);
    assert_eq!(wait_after(2, 0, 7).await.unwrap(), Duration::from_secs(7));
}

#[tokio::test(start_paused = true)]
async fn requests_side_by_side_leave_the_last_tenth_as_well() {
    let limit = limit();
    request(&limit, &bucket(200, 20, 5, 7)).await.unwrap();
    let started = Instant::now();
    let asked = || limit.wait(Deadline::after(MINUTE));
    // None of them is answered yet, and two requests are left in the bucket.
    let three = [asked().await, asked().await, asked().await];
    assert_eq!(started.elapsed(), Duration::ZERO);
    let fourth = asked().await.unwrap();
    assert_eq!(started.elapsed(), Duration::from_secs(7));
    drop((three, fourth));
}

/// An answer may show meanwhile that the bucket is refilled gradually.
#[tokio::test(start_paused = true)]
async fn the_last_of_many_that_leaves_a_reserve_waits_half_a_second_if_there_is_one() {
    for (size, left, waited) in [(20, 8, 500), (9, 6, 0)] {
        let limit = limit();
        request(&limit, &bucket(200, size, left, 30)).await.unwrap();
        let started = Instant::now();
        let asked = || limit.wait(Deadline::after(MINUTE));
        let five = tokio::join!(asked(), asked(), asked(), asked(), asked());
        assert_eq!(started.elapsed(), Duration::ZERO);
        let sixth = asked().await.unwrap();
        assert_eq!(started.elapsed(), Duration::from_millis(waited), "{size}");
        drop((five, sixth));
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_does_not_count_requests_that_are_still_under_way() {
    let limit = limit();
    let asked = || limit.wait(Deadline::after(MINUTE));
    let (first, second) = (asked().await.unwrap(), asked().await.unwrap());
    // Three requests are left, one of which the second will take.
    first.learn(&bucket(200, 20, 3, 7));
    assert_eq!(wait(&limit).await.unwrap(), Duration::from_secs(7));
    drop(second);
}

#[tokio::test(start_paused = true)]
async fn an_older_answer_that_comes_later_puts_nothing_back() {
    let limit = limit();
    let asked = || limit.wait(Deadline::after(MINUTE));
    let (older, newer) = (asked().await.unwrap(), asked().await.unwrap());
    newer.learn(&bucket(200, 20, 2, 7));
    older.learn(&bucket(200, 20, 3, 7));
    assert_eq!(wait(&limit).await.unwrap(), Duration::from_secs(7));
}

#[tokio::test(start_paused = true)]
async fn a_filled_bucket_is_not_emptied_before_anything_is_heard_of_it() {
    let limit = limit();
    request(&limit, &bucket(200, 2, 0, 7)).await.unwrap();
    let started = Instant::now();
    let asked = || limit.wait(Deadline::after(MINUTE));
    let (_first, _second, _third) = tokio::join!(asked(), asked(), asked());
    // Two of them begin after 7 s, and the third a second later.
    assert_eq!(started.elapsed(), Duration::from_secs(8));
}

#[tokio::test(start_paused = true)]
async fn a_bucket_into_which_little_comes_is_asked_again_when_it_should_be_full() {
    let limit = limit();
    for _ in 0..3 {
        request(&limit, &bucket(200, 100, 50, 60)).await.unwrap();
        tokio::time::advance(Duration::from_secs(10)).await;
    }
    tokio::time::advance(Duration::from_secs(20)).await;
    request(&limit, &bucket(200, 100, 0, 60)).await.unwrap();
    let waited = wait(&limit).await.unwrap();
    assert_eq!(waited, Duration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn a_bucket_that_holds_nothing_stops_nobody_for_ever() {
    assert_eq!(wait_after(0, 0, 7).await.unwrap(), Duration::from_secs(7));
}

#[tokio::test(start_paused = true)]
async fn a_bucket_that_holds_nothing_lets_one_request_through_at_a_time() {
    let limit = limit();
    request(&limit, &bucket(200, 0, 0, 7)).await.unwrap();
    let started = Instant::now();
    let first = limit.wait(Deadline::after(MINUTE)).await.unwrap();
    assert_eq!(started.elapsed(), Duration::from_secs(7));
    let second = limit.wait(Deadline::after(MINUTE)).await.unwrap();
    assert_eq!(started.elapsed(), Duration::from_secs(8));
    drop((first, second));
}

#[tokio::test(start_paused = true)]
async fn a_reset_that_is_said_to_be_far_away_is_waited_for_two_minutes() {
    let limit = limit();
    request(&limit, &bucket(200, 50, 5, 600)).await.unwrap();
    let started = Instant::now();
    drop(limit.wait(Deadline::after(10 * MINUTE)).await.unwrap());
    assert_eq!(started.elapsed(), Duration::from_mins(2));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_given_up_is_no_longer_under_way() {
    let limit = limit();
    let asked = || limit.wait(Deadline::after(MINUTE));
    let given_up = asked().await.unwrap();
    drop(given_up);
    request(&limit, &bucket(200, 20, 3, 7)).await.unwrap();
    assert_eq!(wait(&limit).await.unwrap(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_named_wait_is_kept_beyond_the_run_that_was_told() {
    let limit = limit();
    let refused = answer(429, &[("retry-after", "3600")]);
    request(&limit, &refused).await.unwrap();
    assert!(wait(&limit).await.is_err());
    tokio::time::advance(Duration::from_mins(59)).await;
    assert!(wait(&limit).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_was_asked_for_is_not_shortened_by_an_answer_to_an_earlier_request() {
    for refused in [
        answer(429, &[("retry-after", "30")]),
        bucket(429, 50, 0, 30),
    ] {
        let limit = limit();
        let asked = || limit.wait(Deadline::after(MINUTE));
        let (first, second) = (asked().await.unwrap(), asked().await.unwrap());
        first.learn(&refused);
        second.learn(&bucket(200, 50, 49, 60));
        assert_eq!(wait(&limit).await.unwrap(), Duration::from_secs(30));
    }
}

#[tokio::test(start_paused = true)]
async fn nor_is_it_by_a_second_one_that_asks_for_less() {
    let limit = limit();
    let asked = || limit.wait(Deadline::after(MINUTE));
    let (first, second) = (asked().await.unwrap(), asked().await.unwrap());
    first.learn(&answer(429, &[("retry-after", "30")]));
    second.learn(&answer(429, &[("retry-after", "1")]));
    assert_eq!(limit.refused().wait(), Duration::from_secs(30));
    assert_eq!(wait(&limit).await.unwrap(), Duration::from_secs(30));
}

#[tokio::test(start_paused = true)]
async fn after_an_hour_it_is_tried_again_whatever_was_asked_for() {
    let limit = limit();
    for _ in 0..2 {
        let refused = answer(429, &[("retry-after", "31536000")]);
        request(&limit, &refused).await.unwrap();
        tokio::time::advance(Duration::from_mins(58)).await;
        assert!(wait(&limit).await.is_err());
        tokio::time::advance(Duration::from_mins(2)).await;
    }
    assert_eq!(wait(&limit).await.unwrap(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_names_no_time_is_a_short_wait_for_all() {
    for refused in [answer(429, &[]), bucket(429, 50, 40, 30)] {
        let limit = limit();
        request(&limit, &refused).await.unwrap();
        assert_eq!(wait(&limit).await.unwrap(), Duration::from_secs(1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_reset_in_this_second_or_the_past_is_a_short_wait() {
    for reset in [0, -1, -7, -86_400] {
        assert_eq!(
            wait_after(10, 1, reset).await.unwrap(),
            Duration::from_secs(1)
        );
        // Unless there are requests to spare.
        assert_eq!(wait_after(10, 2, reset).await.unwrap(), Duration::ZERO);
    }
    let limit = limit();
    let untold = answer(
        200,
        &[("x-ratelimit-limit", "10"), ("x-ratelimit-remaining", "0")],
    );
    request(&limit, &untold).await.unwrap();
    assert_eq!(wait(&limit).await.unwrap(), Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn the_time_until_a_reset_is_told_by_the_service_s_clock() {
    for here in [
        "2026-11-21T07:59:15Z",
        "2026-11-21T08:00:45Z",
        "2020-01-01T00:00:00Z",
    ] {
        let limit = limit_at(here);
        let mut told = bucket(200, 10, 0, 4);
        let date = "Sat, 21 Nov 2026 08:00:00 GMT";
        told.headers.insert("date", HeaderValue::from_static(date));
        request(&limit, &told).await.unwrap();
        assert_eq!(
            wait(&limit).await.unwrap(),
            Duration::from_secs(4),
            "{here}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_reset_after_the_deadline_is_not_waited_for() {
    let error = wait_after(10, 0, 90).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "Auth0 takes no further requests for another 90 s, until 2026-11-21T08:01:30Z (rate \
         limit or quota)"
    );
    // A bucket may take 90 s to fill; a longer wait is for something else.
    assert!(!error.is_long());
    assert!(wait_after(10, 0, 91).await.unwrap_err().is_long());
}

#[tokio::test(start_paused = true)]
async fn what_the_newest_answer_says_of_the_bucket_is_told() {
    let limit = limit();
    assert!(limit.told().is_none());
    request(&limit, &bucket(200, 50, 6, 7)).await.unwrap();
    let told = limit.told().unwrap();
    assert_eq!((told.limit, told.remaining), (50, 6));
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "the numbers are small"
)]
mod dripping {
    use super::*;

    /// A tenant whose bucket is refilled gradually.
    struct Dripping {
        size: f64,
        per_second: f64,
        left: std::sync::Mutex<(f64, Instant)>,
        lowest: std::sync::Mutex<f64>,
    }

    impl Dripping {
        fn new(size: f64, per_second: f64) -> Self {
            Self {
                size,
                per_second,
                left: std::sync::Mutex::new((size, Instant::now())),
                lowest: std::sync::Mutex::new(size),
            }
        }

        /// Takes a request. Returns the status, the requests left and the seconds until the bucket is full.
        fn take(&self) -> (u16, u64, i64) {
            let mut left = self.left.lock().unwrap();
            let now = Instant::now();
            let came = (now - left.1).as_secs_f64() * self.per_second;
            *left = ((left.0 + came).min(self.size), now);
            let status = if left.0 >= 1.0 { 200 } else { 429 };
            if status == 200 {
                left.0 -= 1.0;
            }
            let mut lowest = self.lowest.lock().unwrap();
            *lowest = lowest.min(left.0);
            let until_full = (self.size - left.0) / self.per_second;
            (status, left.0 as u64, until_full.ceil() as i64)
        }

        /// Runs `lanes` lanes for 100 s, whose requests take `latency` ms each, beside another
        /// client that makes `others` requests a second. Returns how many requests of the lanes
        /// succeeded, how many were refused, and how many of the other client were refused.
        async fn share(&self, lanes: usize, latency: u64, others: f64) -> (u64, u64, u64) {
            let began = Instant::now();
            let (end, clock) = (
                began + Duration::from_secs(100),
                chrono::DateTime::from_timestamp(NOW, 0).unwrap(),
            );
            let limit = RateLimit::new(Arc::new(move || clock + began.elapsed()));
            let done = std::sync::Mutex::new((0, 0));
            let lane = || async {
                while Instant::now() < end {
                    let permit = limit.wait(Deadline::after(MINUTE)).await.unwrap();
                    tokio::time::sleep(Duration::from_millis(latency / 2)).await;
                    let (status, left, until_full) = self.take();
                    let elapsed = i64::try_from(began.elapsed().as_secs()).unwrap();
                    let told = bucket(status, self.size as u64, left, elapsed + until_full);
                    tokio::time::sleep(Duration::from_millis(latency / 2)).await;
                    permit.learn(&told);
                    let mut done = done.lock().unwrap();
                    if status == 200 {
                        done.0 += 1;
                    } else {
                        done.1 += 1;
                    }
                }
            };
            let other = async {
                let mut refused = 0;
                while others > 0.0 && Instant::now() < end {
                    tokio::time::sleep(Duration::from_secs_f64(1.0 / others)).await;
                    refused += u64::from(self.take().0 == 429);
                }
                refused
            };
            let lanes = futures_util::future::join_all((0..lanes).map(|_| lane()));
            let (_, refused) = tokio::join!(lanes, other);
            let done = *done.lock().unwrap();
            (done.0, done.1, refused)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_in_drop_by_drop_is_used_as_it_comes() {
        for (size, per_second, lanes, latency) in [
            (50.0, 16.0, 4, 50),
            (50.0, 50.0, 14, 200),
            (250.0, 250.0, 32, 100),
            (10.0, 2.0, 2, 200),
            (10.0, 100.0 / 60.0, 2, 200),
            (2.0, 2.0, 2, 100),
        ] {
            let tenant = Dripping::new(size, per_second);
            let (done, refused, _) = tenant.share(lanes, latency, 0.0).await;
            let share = done as f64 / (per_second * 100.0 + size);
            assert!(share > 0.98, "{size} {per_second}: {share:.3}");
            assert_eq!(refused, 0, "{size} {per_second}");
            let lowest = *tenant.lowest.lock().unwrap();
            assert!(
                lowest >= (size / 10.0).floor(),
                "{size} {per_second}: {lowest:.1}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn so_is_what_comes_in_where_a_full_bucket_is_emptied_at_once() {
        for (size, per_second, lanes) in [(50.0, 16.0, 30), (50.0, 50.0, 40), (10.0, 2.0, 9)] {
            for left in [size, size / 10.0] {
                let tenant = Dripping::new(size, per_second);
                tenant.left.lock().unwrap().0 = left;
                *tenant.lowest.lock().unwrap() = size;
                let (done, refused, _) = tenant.share(lanes, 50, 0.0).await;
                let share = done as f64 / (per_second * 100.0 + left);
                assert!(share > 0.98, "{size} {per_second} {left}: {share:.3}");
                // Requests made before anything is known of the bucket.
                let most = u64::from(left < size) * lanes as u64;
                assert!(refused <= most, "{size} {per_second} {left}: {refused}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn another_client_that_takes_half_is_refused_nothing() {
        for (size, per_second, lanes, latency) in [
            (50.0, 16.0, 4, 50),
            (50.0, 50.0, 14, 200),
            (250.0, 250.0, 32, 100),
            (10.0, 2.0, 2, 200),
        ] {
            let tenant = Dripping::new(size, per_second);
            let (done, mine, refused) = tenant.share(lanes, latency, per_second / 2.0).await;
            assert_eq!((mine, refused), (0, 0), "{size} {per_second}");
            let share = done as f64 / (per_second * 50.0 + size);
            assert!(share > 0.98, "{size} {per_second}: {share:.3}");
        }
    }
}

/// A header value that is a number, likely or not, or something else.
fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        (0..100_u64).prop_map(|it| it.to_string()),
        any::<u64>().prop_map(|it| it.to_string()),
        // Times near the present.
        (1_795_000_000..1_796_000_000_u64).prop_map(|it| it.to_string()),
        "[ -~]{0,9}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_headers_say_no_wait_is_without_an_end(
        is_refused in any::<bool>(),
        values in proptest::collection::hash_map(
            proptest::sample::select(vec![
                "retry-after", "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset",
                "date",
            ]),
            number(),
            0..6,
        ),
    ) {
        let headers: HeaderMap = values
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect();
        let status = if is_refused { StatusCode::TOO_MANY_REQUESTS } else { StatusCode::OK };
        let answer = Answer { status, headers, body: Bytes::new() };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let wait = runtime.block_on(async {
            let limit = limit();
            request(&limit, &answer).await.unwrap();
            let started = Instant::now();
            let permit = limit.wait(Deadline::after(Duration::from_hours(48))).await;
            permit.map(|_| started.elapsed()).unwrap()
        });
        let is_told = is_refused && answer.retry_after().is_some();
        let longest = if is_told { LONGEST_ASKED } else { LONGEST_WINDOW };
        prop_assert!(wait <= longest, "{wait:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_newest_answer_tells_by_how_much_the_clock_is_ahead() {
    let limit = limit();
    assert_eq!(limit.clock_ahead(), TimeDelta::zero());
    for (date, seconds) in [
        ("Sat, 21 Nov 2026 07:57:00 GMT", 180),
        ("Sat, 21 Nov 2026 07:59:55 GMT", 5),
        // Answers take some seconds, and a clock that is behind only waits longer.
        ("Sat, 21 Nov 2026 07:59:56 GMT", 0),
        ("Sat, 21 Nov 2026 08:03:00 GMT", 0),
        // A clock that wrong would have caused other trouble: it is the answer that is old.
        ("Sat, 21 Nov 2020 08:00:00 GMT", 3_600),
    ] {
        request(&limit, &answer(200, &[("date", date)]))
            .await
            .unwrap();
        assert_eq!(limit.clock_ahead().num_seconds(), seconds, "{date}");
    }
    // An answer without a date tells nothing.
    request(&limit, &answer(200, &[])).await.unwrap();
    assert_eq!(limit.clock_ahead().num_seconds(), 3_600);
}

/// Many comparisons without any refill bring the average this close to zero.
#[tokio::test(start_paused = true)]
async fn a_refill_that_is_next_to_nothing_waits_until_the_bucket_is_full() {
    let now = Instant::now();
    let filled_at = now + MINUTE;
    for per_second in [1e-3, 1e-9, 8.4e-19, 1e-30, f64::MIN_POSITIVE] {
        let mut state = State {
            bucket: Some(Bucket {
                size: 100,
                remaining: 0.0,
                at: now,
                reset: 0,
                filled_at,
            }),
            refill: Refill::known(per_second),
            ..State::default()
        };
        assert_eq!(state.begin(now), Some(filled_at), "{per_second}");
    }
}
