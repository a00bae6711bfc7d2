//! Estimates from Auth0's answers how fast the tenant's bucket is refilled.
//!
//! Between two answers, the number of requests left changes by what this program took, what other
//! clients took, and what was refilled. Only the first is known. The rest, the refill minus what
//! others took, is what this program may take without anybody noticing: if the others take half of
//! the refill, it is the other half.

use std::time::Duration;

use tokio::time::Instant;

/// Answers within this time are averaged, and compared with an average that is this much later.
/// Answers arrive out of order, which an average makes up for.
const APART: Duration = Duration::from_millis(250);
/// The fewest answers in an average, since each counts whole requests only. After [`LONG`], fewer will do.
const FEW: f64 = 4.0;
const LONG: Duration = Duration::from_secs(2);
/// While the refill is unknown, the last request above the reserve waits this long after the first
/// of many. A bucket that is emptied at once and left alone until it is full shows no refill.
const HELD_BACK: Duration = Duration::from_millis(500);
/// This many requests are many.
const MANY: f64 = 5.0;
/// The weight of a new comparison against the average of those before it.
const WEIGHT: f64 = 0.3;
/// The fraction of the estimate that is relied on.
const TRUSTED: f64 = 0.97;
/// The fill level from which a bucket may have been full, and refill may have been lost.
const FULL: f64 = 0.9;
/// A rise to that level by more than this fraction of the bucket means that it was filled up.
const JUMP: f64 = 0.25;

/// The state of a bucket that an answer reports.
pub(super) struct Level {
    /// Requests that it can hold.
    pub size: f64,
    /// Requests that are left.
    pub remaining: f64,
    /// When it will be full.
    pub filled_at: Instant,
}

/// The estimate of a bucket's refill.
#[derive(Default)]
pub(super) struct Refill {
    /// The average of the comparisons so far.
    per_second: f64,
    /// The current watch. Since it began, the bucket was not filled up, as far as the answers tell.
    watch: Option<Watch>,
}

/// A bucket, observed over some time.
struct Watch {
    began: Instant,
    /// When it will be full: the latest time that an answer named.
    filled_at: Instant,
    /// Requests left, by the newest answer.
    remaining: f64,
    /// Requests that this program took.
    taken: f64,
    before: Option<Mean>,
    newest: Mean,
}

/// The refill that was observed.
struct Seen {
    per_second: f64,
    /// Whether none was lost to a full bucket.
    is_all: bool,
}

/// The average of some answers.
struct Mean {
    began: Instant,
    count: f64,
    /// The sum of their times, in seconds since the watch began.
    seconds: f64,
    /// The sum of the requests left and the requests taken by then, at each answer.
    came: f64,
    /// Whether the bucket may have been full.
    was_full: bool,
}

impl Refill {
    /// An estimate that is known already.
    #[cfg(test)]
    pub(super) fn known(per_second: f64) -> Self {
        Self {
            per_second,
            watch: None,
        }
    }

    /// Requests that are refilled each second, minus what others take; 0 if unknown.
    pub fn per_second(&self) -> f64 {
        self.with_newest() * TRUSTED
    }

    /// Until when the last of many requests is held back, if it is. `under_way` requests are unanswered.
    pub fn held_back_until(&self, under_way: f64) -> Option<Instant> {
        let watch = self.watch.as_ref()?;
        let is_held_back = self.with_newest() == 0.0 && watch.taken + under_way >= MANY;
        is_held_back.then(|| watch.began + HELD_BACK)
    }

    /// Begins a new watch at a full bucket, which will be full again at `filled_at` if nobody takes much.
    pub fn note_full(&mut self, now: Instant, filled_at: Instant) {
        self.per_second = self.with_newest();
        self.watch = Some(Watch::begin(now, filled_at));
    }

    /// Takes an answer into account. `is_taken` is false if its request was refused, and so took nothing.
    pub fn learn(&mut self, now: Instant, level: &Level, is_taken: bool) {
        let Level {
            remaining,
            filled_at,
            ..
        } = *level;
        // If the bucket was filled up in between, gradually or at once, the comparison would be wrong, so a
        // new watch begins. That may be before the reset, which is given in whole seconds.
        let is_full = remaining >= FULL * level.size;
        let is_filled = |since: f64| is_full && remaining - since > JUMP * level.size;
        self.watch
            .take_if(|it| now >= it.filled_at || is_filled(it.remaining));
        let with_newest = self.with_newest();
        let watch = self
            .watch
            .get_or_insert_with(|| Watch::begin(now, filled_at));
        watch.filled_at = watch.filled_at.max(filled_at);
        watch.remaining = remaining;
        watch.taken += f64::from(u8::from(is_taken));
        let elapsed = now - watch.newest.began;
        if elapsed >= APART && (watch.newest.count >= FEW || elapsed >= LONG) {
            self.per_second = with_newest;
            watch.next(now);
        }
        let seconds = (now - watch.began).as_secs_f64();
        watch.newest.add(seconds, remaining + watch.taken);
        watch.newest.was_full |= is_full;
    }

    /// The estimate, with the newest answers included.
    fn with_newest(&self) -> f64 {
        let seen = self.watch.as_ref().and_then(Watch::seen);
        match seen {
            None => self.per_second,
            Some(Seen { per_second, .. }) if self.per_second == 0.0 => per_second,
            Some(Seen {
                per_second,
                is_all: false,
            }) if per_second < self.per_second => self.per_second,
            Some(Seen { per_second, .. }) => {
                self.per_second + (per_second - self.per_second) * WEIGHT
            }
        }
    }
}

impl Watch {
    fn begin(now: Instant, filled_at: Instant) -> Self {
        Self {
            began: now,
            filled_at,
            // Before the first answer nothing counts as a rise.
            remaining: f64::INFINITY,
            taken: 0.0,
            before: None,
            newest: Mean::begin(now),
        }
    }

    /// The refill from the previous answers to the newest ones.
    fn seen(&self) -> Option<Seen> {
        let first = self.before.as_ref()?;
        let (then, before) = first.average()?;
        let (now, newest) = self.newest.average()?;
        let elapsed = now - then;
        (elapsed >= APART.as_secs_f64()).then(|| Seen {
            per_second: ((newest - before) / elapsed).max(0.0),
            is_all: !first.was_full && !self.newest.was_full,
        })
    }

    /// Begins a new average.
    fn next(&mut self, now: Instant) {
        self.before = Some(std::mem::replace(&mut self.newest, Mean::begin(now)));
    }
}

impl Mean {
    fn begin(now: Instant) -> Self {
        Self {
            began: now,
            count: 0.0,
            seconds: 0.0,
            came: 0.0,
            was_full: false,
        }
    }

    fn add(&mut self, seconds: f64, came: f64) {
        self.count += 1.0;
        self.seconds += seconds;
        self.came += came;
    }

    fn average(&self) -> Option<(f64, f64)> {
        (self.count > 0.0).then(|| (self.seconds / self.count, self.came / self.count))
    }
}

#[cfg(test)]
#[allow(clippy::cast_precision_loss, reason = "the numbers are small")]
mod tests {
    use super::*;

    fn level(remaining: f64, filled_at: Instant) -> Level {
        Level {
            size: 1_000.0,
            remaining,
            filled_at,
        }
    }

    /// The estimate after answers at these times, in milliseconds, with these numbers of requests
    /// left, from a bucket that will be full a minute later.
    fn known(answers: &[(u64, f64)]) -> f64 {
        let began = Instant::now();
        let mut refill = Refill::default();
        for (at, remaining) in answers {
            let now = began + Duration::from_millis(*at);
            refill.learn(now, &level(*remaining, now + Duration::from_mins(1)), true);
        }
        refill.per_second()
    }

    fn is_about(found: f64, wanted: f64) -> bool {
        (found - wanted).abs() < 0.01 * wanted.max(0.01)
    }

    #[test]
    fn what_came_in_is_what_is_left_and_was_taken_against_what_was_left() {
        // One request was taken and as many are left, so one was refilled within half a second.
        let seen = known(&[(0, 50.0), (1, 49.0), (2, 48.0), (3, 47.0), (502, 47.0)]);
        assert!(is_about(seen, 2.0 * 0.97), "{seen}");
        // Answers that arrived in reverse order.
        let waves = [
            (0, 49.0),
            (0, 48.0),
            (0, 47.0),
            (500, 45.0),
            (500, 46.0),
            (500, 47.0),
        ];
        let seen = known(&waves);
        assert!(is_about(seen, 6.0 * 0.97), "{seen}");
        let many: Vec<_> = (0..100).map(|it| (it * 500, 30.0)).collect();
        let seen = known(&many);
        assert!(is_about(seen, 2.0 * 0.97), "one each half second: {seen}");
    }

    #[test]
    fn a_bucket_that_is_filled_at_once_shows_nothing() {
        let falling: Vec<_> = (0..100).map(|it| (it * 500, 100.0 - it as f64)).collect();
        assert!(is_about(known(&falling), 0.0));
        // Its resets show nothing either.
        let began = Instant::now();
        let mut refill = Refill::default();
        for at in 0..100 {
            let now = began + Duration::from_millis(at * 500);
            let left = 10.0 - (at % 10) as f64;
            let filled_at = began + Duration::from_secs(5 * (at / 10) + 5);
            refill.learn(now, &level(left, filled_at), true);
        }
        assert!(is_about(refill.per_second(), 0.0));
    }

    #[test]
    fn while_it_is_full_it_shows_at_least_how_much_comes_in() {
        let began = Instant::now();
        let mut refill = Refill::default();
        // Ten requests a second are taken, and as many are left.
        for at in 0..40 {
            let now = began + Duration::from_millis(at * 100);
            refill.learn(now, &level(800.0, now + Duration::from_secs(1)), true);
        }
        assert!(is_about(refill.per_second(), 10.0 * 0.97));
        // Two requests a second are taken, for lack of work: the rest of the refill is lost.
        for at in 0..40 {
            let now = began + Duration::from_millis(6_000 + at * 500);
            refill.learn(now, &level(999.0, now + Duration::from_secs(1)), true);
        }
        let seen = refill.per_second();
        assert!(is_about(seen, 10.0 * 0.97), "{seen}");
        // Nor is the lost refill counted once the bucket is not full any more.
        for at in 0..4 {
            let now = began + Duration::from_millis(26_000 + at * 100);
            let left = 899.0 - at as f64;
            refill.learn(now, &level(left, now + Duration::from_secs(1)), true);
        }
        let seen = refill.per_second();
        assert!(is_about(seen, 10.0 * 0.97), "{seen}");
    }

    #[test]
    fn a_bucket_that_is_filled_at_once_a_second_before_it_is_said_to_be_shows_nothing() {
        let began = Instant::now();
        let mut refill = Refill::default();
        for at in 0..120 {
            let now = began + Duration::from_millis(at * 500);
            // Every ten seconds the bucket is filled up. Of 400 requests taken until then, 20 are
            // this program's. Seconds are rounded up.
            let left = 1_000.0 - (at % 20) as f64 * 20.0;
            let filled_at = began + Duration::from_secs(10 * (at / 20) + 11);
            refill.learn(now, &level(left, filled_at), true);
        }
        assert!(
            is_about(refill.per_second(), 0.0),
            "{}",
            refill.per_second()
        );
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
            refill.learn(now, &level(0.0, now + Duration::from_mins(1)), false);
        }
        assert!(is_about(refill.per_second(), 0.0));
    }
}
