//! The tenant's rate limit, of which this program leaves a share to others.
//!
//! Auth0 tells with every answer how many requests are left in the tenant's bucket and when it is
//! filled again. The bucket belongs to all of the customer's tools.
//!
//! A bucket that is filled drop by drop has requests to spare long before it is full. How fast it fills,
//! beside what the other tools take, is seen in what the answers tell ([`Refill`]); a bucket that is
//! filled at once shows nothing of that, and then its reset is waited for.

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

/// The share of the bucket that is left alone: one in so many requests.
const RESERVE: u64 = 10;
/// No named reset is believed to be further away. The longest of Auth0's windows is a minute.
const LONGEST_WINDOW: Duration = Duration::from_mins(2);
/// No bucket takes so long to fill, wherever the clocks are: it is a quota, or somebody is locked out.
const LONGEST_REFILL: Duration = Duration::from_secs(90);
/// The wait where nothing is to be had and the time that is named is now, has passed or is missing:
/// a reset is named in whole seconds, and clocks differ.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);
/// The shortest wait for a bucket that is filled drop by drop.
const DROP: Duration = Duration::from_millis(1);

/// A clock that is less ahead is right: a `Date` has whole seconds, and its answer takes some time.
const LEAST_AHEAD: TimeDelta = TimeDelta::seconds(5);
/// No more is believed: the answer may come from a cache.
const MOST_AHEAD: TimeDelta = TimeDelta::hours(1);

/// When the next request to the tenant may be made.
pub(crate) struct RateLimit {
    clock: Clock,
    state: Mutex<State>,
    /// Who may wait for the next request.
    turn: tokio::sync::Mutex<()>,
    /// Whoever has the turn looks again whenever more may be known.
    answered: Notify,
}

#[derive(Default)]
struct State {
    /// When a request may be made again after one was refused.
    refused_until: Option<Instant>,
    /// The bucket as the newest answer tells of it.
    bucket: Option<Bucket>,
    refill: Refill,
    /// Requests that are not answered yet.
    under_way: u64,
    /// Requests that wait to be made.
    waiting: usize,
    /// By how much this machine's clock is ahead.
    ahead: TimeDelta,
}

struct Bucket {
    size: u64,
    /// Requests that were left at that time, without those that were begun since.
    remaining: f64,
    at: Instant,
    /// When it is filled again, in Auth0's seconds: what tells a newer answer from an older one.
    reset: u64,
    filled_at: Instant,
}

/// The bucket is filled again only after the run's time is over.
#[derive(Debug, thiserror::Error)]
#[error(
    "Auth0 takes no further requests for another {} s, until {} (rate limit or quota)",
    .wait.as_secs(),
    to_seconds(*.until)
)]
pub(crate) struct ResetTooLate {
    wait: Duration,
    until: DateTime<Utc>,
}

impl ResetTooLate {
    /// Whether it is no bucket that is waited for.
    pub fn is_long(&self) -> bool {
        self.wait > LONGEST_REFILL
    }
}

/// Leave to make one request. As long as it is there, the request is under way.
pub(crate) struct Permit<'a>(&'a RateLimit);

/// A request that waits to be made.
struct Waiting<'a>(&'a RateLimit);

impl RateLimit {
    /// Knows of no limit yet. The clock tells how far away a reset is where the answer does not.
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            state: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            answered: Notify::new(),
        }
    }

    /// Waits until the tenant has a request to spare, unless that is too late. Whoever came first is
    /// first.
    pub async fn wait(&self, deadline: Deadline) -> Result<Permit<'_>, ResetTooLate> {
        self.lock().waiting += 1;
        let _waiting = Waiting(self);
        let left = deadline.remaining();
        let Ok(_turn) = tokio::time::timeout(left, self.turn.lock()).await else {
            return Err(self.too_late(left));
        };
        loop {
            let now = Instant::now();
            let Some(not_before) = self.lock().begin(now) else {
                return Ok(Permit(self));
            };
            let wait = not_before - now;
            if wait > deadline.remaining() {
                return Err(self.too_late(wait));
            }
            tokio::select! {
                () = tokio::time::sleep_until(not_before) => {}
                () = self.answered.notified() => {}
            }
        }
    }

    fn too_late(&self, wait: Duration) -> ResetTooLate {
        let until = (self.clock)() + wait;
        ResetTooLate { wait, until }
    }

    /// Whether requests wait already, so that one more would only wait as well.
    pub fn is_crowded(&self) -> bool {
        self.lock().waiting > 1
    }

    /// By how much this machine's clock is ahead of Auth0's, as the newest answer has it.
    pub fn clock_ahead(&self) -> TimeDelta {
        let ahead = self.lock().ahead.min(MOST_AHEAD);
        if ahead < LEAST_AHEAD {
            return TimeDelta::zero();
        }
        ahead
    }

    /// What the newest answer told of the bucket.
    pub fn told(&self) -> Option<crate::report::RateLimit> {
        let state = self.lock();
        let bucket = state.bucket.as_ref()?;
        Some(crate::report::RateLimit {
            limit: bucket.size,
            remaining: bucket.whole(),
        })
    }

    /// The bucket that an answer tells of.
    fn bucket(&self, answer: &Answer) -> Option<Bucket> {
        let number = |name| answer.header(name)?.trim().parse::<u64>().ok();
        let reset = number("x-ratelimit-reset");
        let here = (self.clock)();
        // By the clock of the service that names the time: this machine's may be wrong.
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
    /// Begins a request, or tells when it may be tried to begin one.
    fn begin(&mut self, now: Instant) -> Option<Instant> {
        if let Some(until) = self.refused_until.filter(|until| now < *until) {
            return Some(until);
        }
        let refill = self.refill.per_second();
        if let Some(bucket) = &mut self.bucket {
            bucket.fill(refill, now);
            if bucket.filled_at <= now {
                // Until an answer tells of it, it has no more than it can hold, and one at least. Of one
                // that is filled drop by drop nobody but others may have taken as much as came in.
                let drops = bucket.remaining.max(to_float(bucket.size / RESERVE) + 1.0);
                let filled = to_float(bucket.size.max(1));
                bucket.remaining = if refill > 0.0 { drops } else { filled };
                bucket.reset = 0;
                bucket.filled_at = now + SHORTEST_WAIT;
                if refill == 0.0 {
                    self.refill.note_full(now, bucket.filled_at);
                }
            }
            if let Some(lacks) = bucket.lacks() {
                let filled = Duration::try_from_secs_f64(lacks / refill);
                // A refill may be so small that no clock tells when.
                let filled = filled.ok().and_then(|it| now.checked_add(it.max(DROP)));
                return Some(filled.map_or(bucket.filled_at, |it| it.min(bucket.filled_at)));
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
    /// Lets it be filled by what comes in until now.
    fn fill(&mut self, per_second: f64, now: Instant) {
        let filled = self.remaining + per_second * (now - self.at).as_secs_f64();
        // An answer may tell of more than it can hold.
        self.remaining = filled.min(to_float(self.size)).max(self.remaining);
        self.at = now;
    }

    /// What is missing for a request that leaves the rest to others.
    fn lacks(&self) -> Option<f64> {
        let lacks = to_float(self.size / RESERVE) + 1.0 - self.remaining;
        // Less than that is an error of the arithmetic.
        (lacks > 1e-6).then_some(lacks)
    }

    /// Whether only one more request leaves the rest to others, where that is more than none.
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
    /// Takes note of what the answer to this request says of the bucket.
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
            // Auth0's quotas count by the hour and by the day.
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
        // The others under way may reach Auth0 after this answer was written.
        told.remaining = (told.remaining - to_float(state.under_way - 1)).max(0.0);
        let refill = state.refill.per_second();
        if let Some(known) = &mut state.bucket
            && now < known.filled_at
            && told.reset <= known.reset
        {
            // The answers may have come in another order than they were written.
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
