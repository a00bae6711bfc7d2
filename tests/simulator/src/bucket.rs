//! The bucket with which a tenant limits its rate, and the headers that report its level.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName};
use chrono::{DateTime, Utc};

/// Units of a request. They are small enough to count what a microsecond adds to the bucket.
const REQUEST: u64 = 60_000_000;

/// A bucket that holds a number of requests and is refilled evenly.
#[derive(Debug)]
pub(crate) struct Bucket {
    size: u64,
    per_minute: u64,
    /// In units of [`REQUEST`].
    left: u64,
    filled_at: DateTime<Utc>,
}

impl Bucket {
    /// A full bucket of this size, refilled with this many requests a minute.
    pub(crate) fn full((size, per_minute): (u64, u64), now: DateTime<Utc>) -> Self {
        Self {
            size,
            per_minute,
            left: size * REQUEST,
            filled_at: now,
        }
    }

    /// The same bucket with this many requests left.
    pub(crate) fn with_left(self, requests: u64) -> Self {
        let left = requests.min(self.size) * REQUEST;
        Self { left, ..self }
    }

    /// Takes a request out if there is one. Returns whether there was, and the headers.
    pub(crate) fn take(&mut self, now: DateTime<Utc>) -> (bool, HeaderMap) {
        let elapsed = (now - self.filled_at).num_microseconds().unwrap_or(0);
        self.filled_at = now;
        let full = self.size * REQUEST;
        let added = elapsed.unsigned_abs().saturating_mul(self.per_minute);
        self.left = self.left.saturating_add(added).min(full);
        let left = self.left.checked_sub(REQUEST);
        self.left = left.unwrap_or(self.left);
        let until_full = Duration::from_micros((full - self.left) / self.per_minute);
        let reset = now + until_full + Duration::from_millis(999);
        let headers = [
            ("x-ratelimit-limit", self.size.into()),
            ("x-ratelimit-remaining", (self.left / REQUEST).into()),
            ("x-ratelimit-reset", reset.timestamp().into()),
        ];
        let headers = headers.map(|(name, value)| (HeaderName::from_static(name), value));
        (left.is_some(), headers.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// This many milliseconds after some time.
    fn at(milliseconds: u64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + Duration::from_millis(milliseconds)
    }

    #[test]
    fn a_bucket_is_used_up_and_filled_again() {
        let mut bucket = Bucket::full((2, 60), at(0));
        let taken = [0, 0, 0, 999, 1_000, 1_001].map(|time| bucket.take(at(time)).0);
        assert_eq!(taken, [true, true, false, false, true, false]);
    }

    #[test]
    fn headers_tell_the_size_what_is_left_and_when_it_is_full() {
        let mut bucket = Bucket::full((10, 60), at(0)).with_left(4);
        let (_, headers) = bucket.take(at(500));
        let number = |name: &str| headers[name].to_str().unwrap().parse().unwrap();
        let told: [u64; 3] = ["limit", "remaining", "reset"]
            .map(|it| format!("x-ratelimit-{it}"))
            .map(|name| number(&name));
        // 6.5 requests are missing, so the bucket is full in 6.5 s.
        assert_eq!(told, [10, 3, 7]);
    }

    #[test]
    fn asked_a_thousand_times_a_second_it_gives_what_it_is_filled_with() {
        let mut bucket = Bucket::full((250, 15_000), at(0)).with_left(0);
        let taken = (1..=10_000).filter(|time| bucket.take(at(*time)).0).count();
        assert_eq!(taken, 2_500);
    }
}
