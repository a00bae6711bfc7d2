//! The tenant's rate limit, of which this program leaves a share to others.
//!
//! Auth0 tells with every answer how many requests are left in the tenant's bucket and when it is
//! filled again. The bucket belongs to all of the customer's tools.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::DateTime;
use reqwest::StatusCode;
use tokio::time::Instant;

use crate::clock::Clock;
use crate::net::http::Answer;
use crate::net::retry::Deadline;

/// The share of the bucket that is left alone: one in so many requests.
const RESERVE: u64 = 10;
/// No named reset is believed to be further away. The longest of Auth0's windows is a minute.
const LONGEST_WINDOW: Duration = Duration::from_mins(2);
/// No `Retry-After` is believed beyond this: Auth0's quotas count by the hour and by the day.
const LONGEST_WAIT: Duration = Duration::from_hours(24);

/// When the next request to the tenant may be made.
pub struct RateLimit {
    clock: Clock,
    not_before: Mutex<Option<Instant>>,
}

/// The bucket is filled again only after the run's time is over.
#[derive(Debug, thiserror::Error)]
#[error("Auth0 takes no further requests for another {} s (rate limit or quota)", .0.as_secs())]
pub struct ResetTooLate(Duration);

impl RateLimit {
    /// Knows of no limit yet. The clock tells how far away a reset is.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            not_before: Mutex::new(None),
        }
    }

    /// Waits until the tenant has requests to spare, unless that is too late.
    pub async fn wait(&self, deadline: Deadline) -> Result<(), ResetTooLate> {
        let not_before = *self.lock();
        let Some(not_before) = not_before else {
            return Ok(());
        };
        let wait = not_before.saturating_duration_since(Instant::now());
        if wait > deadline.remaining() {
            return Err(ResetTooLate(wait));
        }
        tokio::time::sleep(wait).await;
        Ok(())
    }

    /// Takes note of what an answer says of the bucket.
    pub fn learn(&self, answer: &Answer) {
        if answer.status == StatusCode::TOO_MANY_REQUESTS
            && let Some(wait) = answer.retry_after()
        {
            *self.lock() = Some(Instant::now() + wait.min(LONGEST_WAIT));
            return;
        }
        let number = |name| answer.header(name)?.trim().parse::<u64>().ok();
        let (Some(limit), Some(remaining)) =
            (number("x-ratelimit-limit"), number("x-ratelimit-remaining"))
        else {
            return;
        };
        let until_reset = number("x-ratelimit-reset")
            .and_then(|reset| DateTime::from_timestamp(i64::try_from(reset).ok()?, 0))
            .and_then(|reset| (reset - (self.clock)()).to_std().ok())
            .map(|wait| wait.min(LONGEST_WINDOW));
        *self.lock() = until_reset
            .filter(|_| remaining <= limit / RESERVE)
            .map(|wait| Instant::now() + wait);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.not_before
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use proptest::prelude::*;
    use reqwest::header::{HeaderMap, HeaderValue};

    use super::*;

    /// How long the next request waits after an answer with these headers, at 08:00:00 sharp.
    async fn wait_after(limit: u64, remaining: u64, reset: i64) -> Result<Duration, ResetTooLate> {
        let now: DateTime<chrono::Utc> = "2026-11-21T08:00:00Z".parse().unwrap();
        let rate_limit = RateLimit::new(Arc::new(move || now));
        let mut headers = HeaderMap::new();
        headers.insert("x-ratelimit-limit", limit.into());
        headers.insert("x-ratelimit-remaining", remaining.into());
        headers.insert(
            "x-ratelimit-reset",
            HeaderValue::from(now.timestamp() + reset),
        );
        rate_limit.learn(&Answer {
            status: StatusCode::OK,
            headers,
            body: Bytes::new(),
        });
        let started = Instant::now();
        rate_limit
            .wait(Deadline::after(Duration::from_mins(1)))
            .await?;
        Ok(started.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_tenth_of_the_bucket_is_left_to_others() {
        let waits = |remaining| wait_after(50, remaining, 7);
        assert_eq!(waits(6).await.unwrap(), Duration::ZERO);
        assert_eq!(waits(5).await.unwrap(), Duration::from_secs(7));
    }

    #[tokio::test(start_paused = true)]
    async fn a_bucket_of_two_is_used_whole() {
        assert_eq!(wait_after(2, 1, 7).await.unwrap(), Duration::ZERO);
        assert_eq!(wait_after(2, 0, 7).await.unwrap(), Duration::from_secs(7));
    }

    #[tokio::test(start_paused = true)]
    async fn a_named_wait_is_kept_beyond_the_run_that_was_told() {
        let rate_limit = RateLimit::new(crate::clock::system());
        let mut headers = HeaderMap::new();
        headers.insert("retry-after", 3_600.into());
        rate_limit.learn(&Answer {
            status: StatusCode::TOO_MANY_REQUESTS,
            headers,
            body: Bytes::new(),
        });
        let budget = Duration::from_mins(4);
        assert!(rate_limit.wait(Deadline::after(budget)).await.is_err());
        tokio::time::advance(Duration::from_mins(57)).await;
        assert!(rate_limit.wait(Deadline::after(budget)).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_reset_in_the_past_is_no_wait() {
        assert_eq!(wait_after(10, 0, -7).await.unwrap(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reset_after_the_deadline_is_not_waited_for() {
        let error = wait_after(10, 0, 90).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "Auth0 takes no further requests for another 90 s (rate limit or quota)"
        );
    }

    /// A number as a header may hold it, likely or not.
    fn number() -> impl Strategy<Value = String> {
        prop_oneof![
            (0..100_u64).prop_map(|it| it.to_string()),
            any::<u64>().prop_map(|it| it.to_string()),
            // About now.
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
                ]),
                number(),
                0..5,
            ),
        ) {
            let now: DateTime<chrono::Utc> = "2026-11-21T08:00:00Z".parse().unwrap();
            let rate_limit = RateLimit::new(Arc::new(move || now));
            let headers: HeaderMap = values
                .iter()
                .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
                .collect();
            let status = if is_refused { StatusCode::TOO_MANY_REQUESTS } else { StatusCode::OK };
            let answer = Answer { status, headers, body: Bytes::new() };
            rate_limit.learn(&answer);
            let is_told = is_refused && answer.retry_after().is_some();
            let longest = if is_told { LONGEST_WAIT } else { LONGEST_WINDOW };
            let not_before = *rate_limit.lock();
            let wait = not_before.map(|it| it.saturating_duration_since(Instant::now()));
            prop_assert!(wait.is_none_or(|it| it <= longest), "{wait:?}");
        }
    }
}
