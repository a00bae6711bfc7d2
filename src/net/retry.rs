//! When to retry: one policy for every request that leaves the process.
//!
//! A failure says about itself whether a retry can help ([`Transient`]); the waits are decided here. They
//! are short: a run that would have to wait long ends, and the next minute's run starts where it stopped.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use backon::Retryable;
use tokio::time::Instant;

/// Attempts at one request, the first included.
const MAX_ATTEMPTS: u32 = 6;
/// Late answers after which a request is given up. The first one may have been the connection's fault.
const MOST_LATE: usize = 2;
/// The first wait is random, between zero and this. The bound doubles with each further wait.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// The longest wait, unless a service asks for a longer one.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// The longest wait that a service can ask for. Otherwise work without a time budget, such as a
/// replay, might wait for days, or for good.
pub(crate) const LONGEST_ASKED: Duration = Duration::from_hours(1);
/// How long after the end of its budget a run still waits for the answer to a request that is under
/// way: a post may have been stored, and only its answer tells.
const ANSWER_GRACE: Duration = Duration::from_secs(5);
/// How long after the end of its budget a run may still be saving what was acknowledged.
const SAVE_GRACE: Duration = Duration::from_secs(9);

/// The end of a run's time budget, and what may still happen after it:
///
/// ```text
///       0 ─────────────────────── budget ────── +5 s ────── +9 s
///       requests may begin        answers may   saves may
///                                 still come    still come
/// ```
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Instant);

impl Deadline {
    /// The deadline of work that starts now and may take `budget`.
    pub fn after(budget: Duration) -> Self {
        Self(Instant::now() + budget)
    }

    /// This deadline, or `time` from now if that is earlier. The grace for answers comes after either.
    pub fn within(self, time: Duration) -> Self {
        Self(self.0.min(Instant::now() + time))
    }

    /// Whether it is too late to begin anything.
    pub fn is_over(self) -> bool {
        self.remaining().is_zero()
    }

    /// Time left in which something may be begun.
    pub fn remaining(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// The last moment to wait for the answer to a request that is under way.
    pub fn for_answers(self) -> Instant {
        self.0 + ANSWER_GRACE
    }

    /// A later deadline, for work that must not be cut off: saving what was acknowledged.
    pub fn for_saving(self) -> Self {
        Self(self.0 + SAVE_GRACE - ANSWER_GRACE)
    }
}

/// Whether trying again can help.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Again {
    /// The same request would be answered the same way.
    Never,
    /// A retry may help, after a wait of our choosing.
    Soon,
    /// A retry may help, but the service asked to wait at least this long.
    NotBefore(Duration),
}

/// How a request failed, as far as what was sent may be the cause although no service says so.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Failure {
    /// The answer did not come in time. A smaller request takes less time.
    Late,
    /// The service failed internally, something on the way blocked the request or answered in the
    /// service's place, or the connection ended without an answer.
    Internal,
    /// In another way, which is no reason to suspect what was sent.
    Other,
}

/// A failure that knows whether trying again can help.
pub(crate) trait Transient {
    /// What the failure says about another attempt.
    fn again(&self) -> Again;

    /// How the request failed.
    fn failure(&self) -> Failure {
        Failure::Other
    }
}

/// The source of everything random; cheap to clone.
///
/// It is passed in, so that a test can repeat itself.
#[derive(Clone, Debug)]
pub(crate) struct Jitter(Arc<Mutex<fastrand::Rng>>);

impl Jitter {
    /// Waits that differ from process to process.
    pub fn random() -> Self {
        Self(Arc::new(Mutex::new(fastrand::Rng::new())))
    }

    /// The same waits for the same seed.
    #[cfg(test)]
    pub fn seeded(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(fastrand::Rng::with_seed(seed))))
    }

    /// A name that no other process has.
    pub fn name(&self) -> String {
        format!("{:016x}", self.fork().u64(..))
    }

    fn fork(&self) -> fastrand::Rng {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).fork()
    }
}

/// The last failure, and how often and how long it was tried.
#[derive(Debug)]
pub(crate) struct GaveUp<E> {
    pub error: E,
    attempts: u32,
    elapsed: Duration,
}

impl<E> GaveUp<E> {
    /// After one attempt.
    #[cfg(test)]
    pub fn at_once(error: E) -> Self {
        Self {
            error,
            attempts: 1,
            elapsed: Duration::ZERO,
        }
    }

    /// The number of attempts.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }
}

impl<E: fmt::Display> fmt::Display for GaveUp<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)?;
        if self.attempts > 1 {
            let seconds = self.elapsed.as_secs_f64();
            write!(f, " (tried {} times in {seconds:.1} s)", self.attempts)?;
        }
        Ok(())
    }
}

impl<E: std::error::Error> std::error::Error for GaveUp<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}

/// Makes attempts until one succeeds, one fails for good, too many were made or were late, or there
/// is no time for another.
pub(crate) async fn retry<T, E, F>(
    jitter: &Jitter,
    deadline: Deadline,
    mut attempt: impl FnMut() -> F,
) -> Result<T, GaveUp<E>>
where
    E: Transient,
    F: Future<Output = Result<T, E>>,
{
    let started = Instant::now();
    let (mut attempts, mut late) = (0, 0);
    let counted = || {
        attempts += 1;
        attempt()
    };
    let result = counted
        .retry(FullJitter::new(jitter.fork()))
        .when(move |error: &E| {
            late += usize::from(error.failure() == Failure::Late);
            error.again() != Again::Never && late < MOST_LATE
        })
        .adjust(|error, wait| {
            let wait = match error.again() {
                Again::NotBefore(least) => least.min(LONGEST_ASKED).max(wait?),
                Again::Soon | Again::Never => wait?,
            };
            (wait < deadline.remaining()).then_some(wait)
        })
        .await;
    result.map_err(|error| GaveUp {
        error,
        attempts,
        elapsed: started.elapsed(),
    })
}

/// "Full jitter": each wait is random between nothing and a bound that doubles.
#[derive(Debug)]
struct FullJitter {
    rng: fastrand::Rng,
    bound: Duration,
    left: u32,
}

impl FullJitter {
    fn new(rng: fastrand::Rng) -> Self {
        Self {
            rng,
            bound: FIRST_WAIT,
            left: MAX_ATTEMPTS - 1,
        }
    }
}

impl Iterator for FullJitter {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.left = self.left.checked_sub(1)?;
        let wait = self.bound.mul_f64(self.rng.f64());
        self.bound = (self.bound * 2).min(LONGEST_WAIT);
        Some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Failed(Again);

    /// Marks a failure in the tests as late.
    const LATE: Again = Again::NotBefore(Duration::from_millis(1));

    impl Transient for Failed {
        fn again(&self) -> Again {
            self.0
        }

        fn failure(&self) -> Failure {
            match self.0 {
                LATE => Failure::Late,
                _ => Failure::Other,
            }
        }
    }

    impl fmt::Display for Failed {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("failed")
        }
    }

    /// Fails in these ways, attempt after attempt, then succeeds. Also returns the time it all took.
    async fn run(failures: &[Again], budget: Duration) -> (Result<(), GaveUp<Failed>>, Duration) {
        let started = Instant::now();
        let mut failures = failures.iter();
        let result = retry(&Jitter::seeded(1), Deadline::after(budget), || {
            let next = failures.next();
            async move { next.map_or(Ok(()), |again| Err(Failed(*again))) }
        })
        .await;
        (result, started.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn answers_may_come_five_seconds_after_the_end_and_saves_nine() {
        let (start, seconds) = (Instant::now(), Duration::from_secs);
        let deadline = Deadline::after(seconds(10));
        assert_eq!(deadline.remaining(), seconds(10));
        assert_eq!(deadline.within(seconds(3)).remaining(), seconds(3));
        assert_eq!(deadline.within(seconds(20)).remaining(), seconds(10));
        assert_eq!(deadline.for_answers(), start + seconds(15));
        assert_eq!(deadline.for_saving().remaining(), seconds(14));
        assert_eq!(deadline.for_saving().for_answers(), start + seconds(19));
        tokio::time::advance(seconds(9)).await;
        assert!(!deadline.is_over());
        tokio::time::advance(seconds(1)).await;
        assert!(deadline.is_over());
    }

    #[test]
    fn each_wait_is_random_up_to_a_bound_that_doubles() {
        let mut longest = [Duration::ZERO; 5];
        for seed in 0..200 {
            let waits = FullJitter::new(fastrand::Rng::with_seed(seed));
            let waits: Vec<_> = waits.collect();
            assert_eq!(waits.len(), 5);
            for (longest, wait) in longest.iter_mut().zip(waits) {
                *longest = wait.max(*longest);
            }
        }
        for (longest, bound) in longest.into_iter().zip([500, 1_000, 2_000, 4_000, 8_000]) {
            let bound = Duration::from_millis(bound);
            assert!(longest <= bound && longest > bound / 10 * 9, "{longest:?}");
        }
    }

    #[test]
    fn no_two_names_are_the_same() {
        let jitter = Jitter::seeded(1);
        let names = [jitter.name(), jitter.name()];
        assert_ne!(names[0], names[1]);
        assert_eq!(names.map(|it| it.len()), [16, 16]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_passing_failure_is_tried_again_after_short_waits() {
        let (result, took) = run(&[Again::Soon; 5], Duration::from_mins(1)).await;
        assert!(result.is_ok());
        // 0.5 + 1 + 2 + 4 + 8 s is the most that five waits can take.
        assert!(took > Duration::ZERO && took < Duration::from_millis(15_500));
    }

    #[tokio::test(start_paused = true)]
    async fn the_sixth_failure_is_the_last_and_the_error_says_so() {
        let (result, _) = run(&[Again::Soon; 6], Duration::from_mins(1)).await;
        let gave_up = result.unwrap_err();
        assert_eq!(gave_up.attempts(), 6);
        let message = gave_up.to_string();
        assert!(
            message.starts_with("failed (tried 6 times in "),
            "{message}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_late_is_tried_once_more() {
        let minute = Duration::from_mins(1);
        let (result, _) = run(&[LATE, Again::Soon, Again::Soon], minute).await;
        assert!(result.is_ok());
        let (result, _) = run(&[Again::Soon, LATE, Again::Soon, LATE], minute).await;
        let message = result.unwrap_err().to_string();
        assert!(message.starts_with("failed (tried 4 times"), "{message}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_final_failure_is_not_tried_again() {
        let (result, took) = run(&[Again::Never], Duration::from_mins(1)).await;
        assert_eq!(result.unwrap_err().to_string(), "failed");
        assert_eq!(took, Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn the_wait_that_a_service_asks_for_is_kept() {
        let wait = Duration::from_secs(30);
        let (result, took) = run(&[Again::NotBefore(wait)], Duration::from_mins(1)).await;
        assert!(result.is_ok());
        assert!(took >= wait);
    }

    #[tokio::test(start_paused = true)]
    async fn whatever_a_service_asks_for_it_is_tried_again_after_an_hour() {
        let year = Duration::from_hours(24 * 365);
        for wait in [Duration::from_hours(24), year / 2] {
            let (result, took) = run(&[Again::NotBefore(wait)], year).await;
            assert!(result.is_ok());
            assert_eq!(took, Duration::from_hours(1), "{wait:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_beyond_the_deadline_is_not_begun() {
        let wait = Duration::from_mins(1);
        let (result, took) = run(&[Again::NotBefore(wait)], Duration::from_mins(1)).await;
        assert!(result.is_err());
        assert_eq!(took, Duration::ZERO);
    }
}
