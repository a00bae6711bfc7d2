//! How fast the tenant's bucket fills, as far as the answers show it.
//!
//! What was left in the bucket at one answer and is left at a later one differs by what this program
//! took, what others took, and what came in. The first of these is known, so the rest is what this
//! program may take without anybody noticing: where the others take half of what comes in, it is the
//! other half.

use std::time::Duration;

use tokio::time::Instant;

/// Two answers are compared that are so far apart: nearer ones tell more of the order in which they
/// came.
const APART: Duration = Duration::from_millis(250);
/// How much a comparison counts beside those before it.
const WEIGHT: f64 = 0.3;
/// The part of what was seen that is relied on.
const TRUSTED: f64 = 0.97;

/// What is known of it.
#[derive(Default)]
pub(super) struct Refill {
    per_second: f64,
    since: Option<Sample>,
}

/// The bucket at an answer.
struct Sample {
    at: Instant,
    remaining: f64,
    /// When it is full.
    filled_at: Instant,
    /// Requests that were taken out of it since.
    taken: f64,
}

impl Refill {
    /// Requests that come into it each second, beside what others take; 0 where nothing is known.
    pub fn per_second(&self) -> f64 {
        self.per_second * TRUSTED
    }

    /// Takes note of an answer, to a request that was taken out of the bucket or refused.
    pub fn learn(&mut self, now: Instant, remaining: f64, filled_at: Instant, is_taken: bool) {
        let next = Sample {
            at: now,
            remaining,
            filled_at,
            taken: 0.0,
        };
        let Some(since) = &mut self.since else {
            self.since = Some(next);
            return;
        };
        since.taken += f64::from(u8::from(is_taken));
        // A bucket that was filled in between, by drops or at once, shows less than came in or more.
        if now >= since.filled_at {
            self.since = Some(next);
            return;
        }
        let elapsed = now - since.at;
        if elapsed < APART {
            return;
        }
        let came = (remaining - since.remaining + since.taken).max(0.0);
        let seen = came / elapsed.as_secs_f64();
        let weight = if self.per_second > 0.0 { WEIGHT } else { 1.0 };
        self.per_second += (seen - self.per_second) * weight;
        self.since = Some(next);
    }
}

#[cfg(test)]
#[allow(clippy::cast_precision_loss, reason = "the numbers are small")]
mod tests {
    use super::*;

    /// What is known after answers at these times, in milliseconds, which tell what is left, all of
    /// them of a bucket that is full a minute later.
    fn known(answers: &[(u64, f64)]) -> f64 {
        let began = Instant::now();
        let mut refill = Refill::default();
        for (at, remaining) in answers {
            let now = began + Duration::from_millis(*at);
            refill.learn(now, *remaining, now + Duration::from_mins(1), true);
        }
        refill.per_second()
    }

    fn is_about(found: f64, wanted: f64) -> bool {
        (found - wanted).abs() < 0.01 * wanted.max(0.01)
    }

    #[test]
    fn what_came_in_is_what_is_left_and_was_taken_against_what_was_left() {
        // Two taken, one less is left: one came in within half a second.
        let seen = known(&[(0, 50.0), (200, 49.0), (500, 49.0)]);
        assert!(is_about(seen, 2.0 * 0.97), "{seen}");
        let many: Vec<_> = (0..100).map(|it| (it * 500, 30.0)).collect();
        let seen = known(&many);
        assert!(is_about(seen, 2.0 * 0.97), "one each half second: {seen}");
    }

    #[test]
    fn a_bucket_that_is_filled_at_once_shows_nothing() {
        let falling: Vec<_> = (0..100).map(|it| (it * 500, 100.0 - it as f64)).collect();
        assert!(is_about(known(&falling), 0.0));
        // Nor when it is filled.
        let began = Instant::now();
        let mut refill = Refill::default();
        for at in 0..100 {
            let now = began + Duration::from_millis(at * 500);
            let left = 10.0 - (at % 10) as f64;
            let filled_at = began + Duration::from_secs(5 * (at / 10) + 5);
            refill.learn(now, left, filled_at, true);
        }
        assert!(is_about(refill.per_second(), 0.0));
    }

    #[test]
    fn where_others_take_more_than_comes_in_nothing_is_left() {
        let falling: Vec<_> = (0..40)
            .map(|it| (it * 500, 100.0 - 2.0 * it as f64))
            .collect();
        assert!(is_about(known(&falling), 0.0));
    }

    #[test]
    fn a_refused_request_took_nothing() {
        let began = Instant::now();
        let mut refill = Refill::default();
        for at in [0, 300] {
            let now = began + Duration::from_millis(at);
            refill.learn(now, 0.0, now + Duration::from_mins(1), false);
        }
        assert!(is_about(refill.per_second(), 0.0));
    }
}
