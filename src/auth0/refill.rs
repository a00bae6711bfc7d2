//! How fast the tenant's bucket fills, as far as the answers show it.
//!
//! What was left in the bucket at one answer and is left at a later one differs by what this program
//! took, what others took, and what came in. The first of these is known, so the rest is what this
//! program may take without anybody noticing: where the others take half of what comes in, it is the
//! other half.

use std::time::Duration;

use tokio::time::Instant;

/// Answers of so long are taken together, and compared with others that came so much later: they come in
/// another order than they were written, and on the average of some that makes no difference.
const APART: Duration = Duration::from_millis(250);
/// Or of so many answers, as none tells less than a whole request; but of no longer than this.
const FEW: f64 = 4.0;
const LONG: Duration = Duration::from_secs(2);
/// How long after the first of many requests the last one is held back as long as nothing is known: a
/// bucket that is emptied at once and then left alone until it is full shows nothing.
const HELD_BACK: Duration = Duration::from_millis(500);
/// How many those are.
const MANY: f64 = 5.0;
/// How much a comparison counts beside those before it.
const WEIGHT: f64 = 0.3;
/// The part of what was seen that is relied on.
const TRUSTED: f64 = 0.97;
/// The part of a bucket from which on it may have been full, and drops may have been lost.
const FULL: f64 = 0.9;
/// The part by which there is more in one that was filled, if that tells anything.
const JUMP: f64 = 0.25;

/// A bucket, as an answer tells of it.
pub(super) struct Level {
    /// Requests that it holds.
    pub size: f64,
    /// Requests that are left.
    pub remaining: f64,
    /// When it is full.
    pub filled_at: Instant,
}

/// What is known of it.
#[derive(Default)]
pub(super) struct Refill {
    /// What the comparisons so far came to.
    per_second: f64,
    /// What was not full since its first answer, as far as the answers tell.
    watch: Option<Watch>,
}

/// A bucket as it was seen for some time.
struct Watch {
    began: Instant,
    /// When it is full, by the newest answer.
    filled_at: Instant,
    /// What was left, by the newest answer.
    remaining: f64,
    /// Requests that were taken out of it.
    taken: f64,
    before: Option<Mean>,
    newest: Mean,
}

/// What came in.
struct Seen {
    per_second: f64,
    /// Whether none was lost.
    is_all: bool,
}

/// Some answers.
struct Mean {
    began: Instant,
    count: f64,
    /// The sum of their times, in seconds since the watch began.
    seconds: f64,
    /// The sum of what each said was left, and of what had been taken out before it.
    came: f64,
    /// Whether the bucket may have been full.
    was_full: bool,
}

impl Refill {
    /// One of which this is known.
    #[cfg(test)]
    pub(super) fn known(per_second: f64) -> Self {
        Self {
            per_second,
            watch: None,
        }
    }

    /// Requests that come into it each second, beside what others take; 0 where nothing is known.
    pub fn per_second(&self) -> f64 {
        self.with_newest() * TRUSTED
    }

    /// Until when the last of many requests is held back, if it is. So many are not answered yet.
    pub fn held_back_until(&self, under_way: f64) -> Option<Instant> {
        let watch = self.watch.as_ref()?;
        let is_held_back = self.with_newest() == 0.0 && watch.taken + under_way >= MANY;
        is_held_back.then(|| watch.began + HELD_BACK)
    }

    /// Takes note that it is full now, and again at a time if nobody takes much.
    pub fn note_full(&mut self, now: Instant, filled_at: Instant) {
        self.per_second = self.with_newest();
        self.watch = Some(Watch::begin(now, filled_at));
    }

    /// Takes note of an answer, to a request that was taken out of the bucket or refused.
    pub fn learn(&mut self, now: Instant, level: &Level, is_taken: bool) {
        let Level {
            remaining,
            filled_at,
            ..
        } = *level;
        // A bucket that was filled in between, by drops or at once, shows less than came in or more. That
        // may be sooner than it was said to be, which is in whole seconds.
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

    /// What is known with the answers that came last.
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
            // Until an answer tells, there is no less than there will be.
            remaining: f64::INFINITY,
            taken: 0.0,
            before: None,
            newest: Mean::begin(now),
        }
    }

    /// What came in each second from the answers before to those that came last.
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

    /// Goes on to the next answers.
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

    /// What is known after answers at these times, in milliseconds, which tell what is left, all of
    /// them of a bucket that is full a minute later.
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
        // One taken, and as much is left: one came in within half a second.
        let seen = known(&[(0, 50.0), (1, 49.0), (2, 48.0), (3, 47.0), (502, 47.0)]);
        assert!(is_about(seen, 2.0 * 0.97), "{seen}");
        // Answers that came in the opposite order.
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
        // Nor when it is filled.
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
        // Ten taken each second, and as much is left.
        for at in 0..40 {
            let now = began + Duration::from_millis(at * 100);
            refill.learn(now, &level(800.0, now + Duration::from_secs(1)), true);
        }
        assert!(is_about(refill.per_second(), 10.0 * 0.97));
        // Two taken each second, as there is nothing to do, of twelve that might be.
        for at in 0..40 {
            let now = began + Duration::from_millis(6_000 + at * 500);
            refill.learn(now, &level(999.0, now + Duration::from_secs(1)), true);
        }
        let seen = refill.per_second();
        assert!(is_about(seen, 10.0 * 0.97), "{seen}");
        // Nor is what was lost counted where it is not full any more.
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
            // A hundred each ten seconds, of which it takes twenty. Seconds are rounded up.
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
