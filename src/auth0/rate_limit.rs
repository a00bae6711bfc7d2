//! The tenant's rate limit, a share of which this program leaves to others.
//!
//! Every answer of Auth0 says how many requests are left in the tenant's bucket and when the bucket
//! will be full again. All of the customer's tools share the bucket.
//!
//! A bucket that is refilled gradually has requests to spare long before it is full. [`Refill`]
//! estimates from the answers how fast it is refilled beyond what the other tools take. A bucket
//! that is refilled all at once shows no such rate; then the program waits for its reset.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::StatusCode;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::refill::{Level, Refill};
use crate::clock::{Clock, to_seconds};
use crate::net::http::Answer;
use crate::net::retry::{Deadline, LONGEST_ASKED};

/// One in this many requests of the bucket is left to others.
const RESERVE: u64 = 10;
/// A reset is never taken to be further away than this. The longest of Auth0's windows is a minute.
const LONGEST_WINDOW: Duration = Duration::from_mins(2);
/// No bucket takes longer to fill, whatever the clock skew: a longer wait is for a quota or a lockout.
const LONGEST_REFILL: Duration = Duration::from_secs(90);
/// The wait for an empty bucket whose reset is now, past or missing: resets are given in whole
/// seconds, and clocks differ.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);
/// The shortest wait for a bucket that is refilled gradually.
const DROP: Duration = Duration::from_millis(1);

/// A smaller difference counts as none: `Date` has whole seconds, and an answer takes some time.
const LEAST_AHEAD: TimeDelta = TimeDelta::seconds(5);
/// A larger difference counts as this much: the answer may come from a cache.
const MOST_AHEAD: TimeDelta = TimeDelta::hours(1);

/// When the next request to the tenant may be made.
pub(crate) struct RateLimit {
    clock: Clock,
    state: Mutex<State>,
    /// Held by the caller whose request is next; the others queue for it.
    turn: tokio::sync::Mutex<()>,
    /// Wakes the caller that holds `turn` when a request has ended.
    answered: Notify,
}

#[derive(Default)]
struct State {
    /// When a request may be made again after one was refused.
    refused_until: Option<Instant>,
    /// The bucket, by the newest answer.
    bucket: Option<Bucket>,
    refill: Refill,
    /// Requests that are not answered yet.
    under_way: u64,
    /// Requests that wait to be made.
    waiting: usize,
    /// By how much this machine's clock is ahead of Auth0's.
    ahead: TimeDelta,
}

struct Bucket {
    size: u64,
    /// Requests left at `at`, minus those begun since.
    remaining: f64,
    at: Instant,
    /// When it will be full again, in seconds by Auth0's clock. Tells a newer answer from an older one.
    reset: u64,
    filled_at: Instant,
}

/// The tenant takes no request for this long.
#[derive(Debug, thiserror::Error)]
#[error(
    "Auth0 takes no further requests for another {} s, until {} (rate limit or quota)",
    .wait.as_secs_f64().ceil(),
    to_seconds(*.until)
)]
pub(crate) struct Closed {
    wait: Duration,
    until: DateTime<Utc>,
}

impl Closed {
    /// How long.
    pub fn wait(&self) -> Duration {
        self.wait
    }

    /// Whether the wait is longer than any for a bucket.
    pub fn is_long(&self) -> bool {
        self.wait > LONGEST_REFILL
    }
}

/// Permission for one request, which counts as under way until this is dropped.
pub(crate) struct Permit<'a>(&'a RateLimit);

/// A request that counts as waiting until this is dropped.
struct Waiting<'a>(&'a RateLimit);

impl RateLimit {
    /// A limit about which nothing is known yet. `clock` serves where an answer has no `Date`.
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            state: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            answered: Notify::new(),
        }
    }

    /// Waits until the tenant has a request to spare, or fails if that is after the deadline.
    /// Callers are served in order.
    pub async fn wait(&self, deadline: Deadline) -> Result<Permit<'_>, Closed> {
        self.lock().waiting += 1;
        let _waiting = Waiting(self);
        let left = deadline.remaining();
        let Ok(_turn) = tokio::time::timeout(left, self.turn.lock()).await else {
            return Err(self.closed(left));
        };
        loop {
            let now = Instant::now();
            let Some(not_before) = self.lock().begin(now) else {
                return Ok(Permit(self));
            };
            let wait = not_before - now;
            if wait > deadline.remaining() {
                return Err(self.closed(wait));
            }
            tokio::select! {
                () = tokio::time::sleep_until(not_before) => {}
                () = self.answered.notified() => {}
            }
        }
    }

    /// For how long no request is made because one was refused.
    pub fn refused(&self) -> Closed {
        let until = self.lock().refused_until;
        self.closed(until.map_or(Duration::ZERO, |it| it - Instant::now()))
    }

    fn closed(&self, wait: Duration) -> Closed {
        let until = (self.clock)() + wait;
        Closed { wait, until }
    }

    /// Whether several requests wait already, so that one more would only join the queue.
    pub fn is_crowded(&self) -> bool {
        self.lock().waiting > 1
    }

    /// By how much this machine's clock is ahead of Auth0's, by the newest answer.
    pub fn clock_ahead(&self) -> TimeDelta {
        let ahead = self.lock().ahead.min(MOST_AHEAD);
        if ahead < LEAST_AHEAD {
            return TimeDelta::zero();
        }
        ahead
    }

    /// The state of the bucket, for the report.
    pub fn told(&self) -> Option<crate::report::RateLimit> {
        let state = self.lock();
        let bucket = state.bucket.as_ref()?;
        Some(crate::report::RateLimit {
            limit: bucket.size,
            remaining: bucket.whole(),
        })
    }

    /// Whether no request may be made within this time.
    pub fn is_closed_for(&self, time: Duration) -> bool {
        let now = Instant::now();
        let mut state = self.lock();
        let refill = state.refill.per_second();
        let to_spare = state.bucket.as_mut().and_then(|bucket| {
            bucket.fill(refill, now);
            bucket.to_spare_at(refill, now)
        });
        let later = state.refused_until.max(to_spare);
        later.is_some_and(|it| it > now && it - now >= time)
    }

    /// The bucket that an answer describes.
    fn bucket(&self, answer: &Answer) -> Option<Bucket> {
        let number = |name| answer.header(name)?.parse::<u64>().ok();
        let reset = number("x-ratelimit-reset");
        let here = (self.clock)();
        // By Auth0's clock, which set the reset: this machine's may be wrong.
        let there = answer.skew(here).map_or(here, |skew| here - skew);
        let wait = reset
            .and_then(|reset| DateTime::from_timestamp(i64::try_from(reset).ok()?, 0))
            .and_then(|reset| (reset - there).to_std().ok())
            .filter(|wait| !wait.is_zero())
            .map_or(SHORTEST_WAIT, |wait| wait.min(LONGEST_WINDOW));
        let now = Instant::now();
        Some(Bucket {
            size: number("x-ratelimit-limit")?,
            remaining: to_float(number("x-ratelimit-remaining")?),
            at: now,
            reset: reset.unwrap_or_default(),
            filled_at: now + wait,
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Begins a request, or returns when to try again.
    fn begin(&mut self, now: Instant) -> Option<Instant> {
        if let Some(until) = self.refused_until.filter(|until| now < *until) {
            return Some(until);
        }
        let refill = self.refill.per_second();
        if let Some(bucket) = &mut self.bucket {
            bucket.fill(refill, now);
            if bucket.filled_at <= now {
                // Until the next answer, a reset bucket counts as full, with at least one request.
                // One that is refilled gradually keeps its estimate, with at least one request to
                // spare, since others may have taken the refill.
                let drops = bucket.remaining.max(to_float(bucket.size / RESERVE) + 1.0);
                let filled = to_float(bucket.size.max(1));
                bucket.remaining = if refill > 0.0 { drops } else { filled };
                bucket.reset = 0;
                bucket.filled_at = now + SHORTEST_WAIT;
                if refill == 0.0 {
                    self.refill.note_full(now, bucket.filled_at);
                }
            }
            if let Some(at) = bucket.to_spare_at(refill, now) {
                return Some(at);
            }
            let until = self.refill.held_back_until(to_float(self.under_way));
            if let Some(until) = until.filter(|it| now < *it && bucket.is_last()) {
                return Some(until.min(bucket.filled_at));
            }
            bucket.remaining -= 1.0;
        }
        self.under_way += 1;
        None
    }
}

impl Bucket {
    /// Adds what has been refilled by now.
    fn fill(&mut self, per_second: f64, now: Instant) {
        let filled = self.remaining + per_second * (now - self.at).as_secs_f64();
        // An answer may report more than the bucket can hold.
        self.remaining = filled.min(to_float(self.size)).max(self.remaining);
        self.at = now;
    }

    /// What is missing for a request that leaves the reserve to others.
    fn lacks(&self) -> Option<f64> {
        let lacks = to_float(self.size / RESERVE) + 1.0 - self.remaining;
        // A smaller difference is a rounding error.
        (lacks > 1e-6).then_some(lacks)
    }

    /// When there is a request that leaves the reserve to others, if there is none now.
    fn to_spare_at(&self, per_second: f64, now: Instant) -> Option<Instant> {
        let filled = Duration::try_from_secs_f64(self.lacks()? / per_second);
        // The refill may be so small that the time overflows.
        let filled = filled.ok().and_then(|it| now.checked_add(it.max(DROP)));
        Some(filled.map_or(self.filled_at, |it| it.min(self.filled_at)))
    }

    /// Whether only one more request leaves the reserve to others, if there is a reserve.
    fn is_last(&self) -> bool {
        let rest = self.size / RESERVE;
        rest > 0 && self.remaining < to_float(rest) + 2.0
    }

    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it saturates"
    )]
    fn whole(&self) -> u64 {
        self.remaining as u64
    }
}

#[allow(
    clippy::cast_precision_loss,
    reason = "a bucket so large is never empty"
)]
fn to_float(requests: u64) -> f64 {
    requests as f64
}

impl Permit<'_> {
    /// Takes the answer to this request into account.
    pub fn learn(self, answer: &Answer) {
        let now = Instant::now();
        let told = self.0.bucket(answer);
        let ahead = answer.skew((self.0.clock)());
        let mut state = self.0.lock();
        state.ahead = ahead.unwrap_or(state.ahead);
        let is_refused = answer.status == StatusCode::TOO_MANY_REQUESTS;
        if let Some(told) = &told {
            let level = Level {
                size: to_float(told.size),
                remaining: told.remaining,
                filled_at: told.filled_at,
            };
            state.refill.learn(now, &level, !is_refused);
        }
        if is_refused {
            let spent = told.as_ref().filter(|bucket| bucket.lacks().is_some());
            // The wait may be long: Auth0 has quotas by the hour and by the day.
            let wait = answer.retry_after().map(|wait| wait.min(LONGEST_ASKED));
            let until = wait
                .map(|wait| now + wait)
                .or(spent.map(|bucket| bucket.filled_at))
                .unwrap_or(now + SHORTEST_WAIT);
            state.refused_until = state.refused_until.max(Some(until));
        }
        let Some(mut told) = told else {
            return;
        };
        // Other requests under way may reach Auth0 after it wrote this answer.
        told.remaining = (told.remaining - to_float(state.under_way - 1)).max(0.0);
        let refill = state.refill.per_second();
        if let Some(known) = &mut state.bucket
            && now < known.filled_at
            && told.reset <= known.reset
        {
            // Answers may arrive out of order.
            known.fill(refill, now);
            known.remaining = known.remaining.min(told.remaining);
        } else {
            state.bucket = Some(told);
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.lock().waiting -= 1;
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.0.lock().under_way -= 1;
        self.0.answered.notify_one();
    }
}

#[cfg(test)]
mod tests;
