//! How often each pipeline runs in one invocation of the timer.
//!
//! The timer fires again only after the invocation, and so the slowest run, has ended. To keep a slow
//! run from delaying the others, pipelines whose runs have ended run again every minute until then.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// The interval at which a pipeline runs again while others are at work: that of the timer.
const EVERY: Duration = Duration::from_mins(1);
/// The minimum time left for which another run is worth starting.
const SHORTEST: Duration = Duration::from_secs(20);

/// The rounds of one invocation.
pub(super) struct Rounds {
    /// The number of runs that have not ended.
    at_work: Arc<watch::Sender<usize>>,
    /// When all runs have to end; `None` if there is only one round.
    end: Option<Instant>,
}

impl Rounds {
    /// One run per pipeline.
    pub fn one() -> Self {
        Self {
            at_work: Arc::default(),
            end: None,
        }
    }

    /// Repeated runs for pipelines that end early, within this time.
    pub fn within(longest: Duration) -> Self {
        Self {
            end: Some(Instant::now() + longest),
            ..Self::one()
        }
    }

    /// Must be called for each pipeline before the first one runs.
    pub fn begin(&self) -> Round {
        Round {
            first: AtWork::begin(&self.at_work),
            end: self.end,
        }
    }
}

/// A run that has not ended.
struct AtWork(Arc<watch::Sender<usize>>);

impl AtWork {
    fn begin(at_work: &Arc<watch::Sender<usize>>) -> Self {
        at_work.send_modify(|it| *it += 1);
        Self(Arc::clone(at_work))
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.send_modify(|it| *it -= 1);
    }
}

/// The rounds of one pipeline.
pub(super) struct Round {
    first: AtWork,
    end: Option<Instant>,
}

impl Round {
    /// Runs once with this budget, then each minute while another pipeline is at work and time is left.
    /// Returns the result of each run.
    pub async fn repeat<'a, T>(
        self,
        budget: Duration,
        stopping: &watch::Receiver<bool>,
        mut run: impl FnMut(Duration) -> BoxFuture<'a, T>,
    ) -> Vec<T> {
        let mut began = Instant::now();
        let mut done = vec![run(budget).await];
        let all = Arc::clone(&self.first.0);
        let mut at_work = all.subscribe();
        drop(self.first);
        let Some(end) = self.end else {
            return done;
        };
        loop {
            let next = (began + EVERY).max(Instant::now());
            tokio::select! {
                biased;
                _ = at_work.wait_for(|it| *it == 0) => return done,
                () = sleep_until(next) => {}
            }
            began = Instant::now();
            let left = end.saturating_duration_since(began);
            if left < SHORTEST || *stopping.borrow() {
                return done;
            }
            // What hangs only now is not to delay the others either.
            let _at_work = AtWork::begin(&all);
            done.push(run(left.min(budget)).await);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use futures_util::future::join_all;

    use super::*;
    use crate::report::Report;

    /// Simulates an invocation whose runs take this many seconds each. Returns the seconds at which
    /// each one began.
    async fn play(rounds: &Rounds, budget: u64, runs: &[u64], is_stopping: bool) -> Vec<Vec<u64>> {
        let runs: Vec<_> = runs.iter().map(|seconds| vec![*seconds]).collect();
        play_each(rounds, budget, &runs, is_stopping).await
    }

    /// The same, with the seconds of each run of a pipeline, of which the last are those of all that
    /// follow.
    async fn play_each(
        rounds: &Rounds,
        budget: u64,
        runs: &[Vec<u64>],
        is_stopping: bool,
    ) -> Vec<Vec<u64>> {
        let start = Instant::now();
        let stopping = watch::channel(is_stopping).1;
        let begun: Vec<_> = runs
            .iter()
            .map(|seconds| (rounds.begin(), seconds))
            .collect();
        let played = begun.into_iter().map(|(round, seconds)| {
            let stopping = &stopping;
            async move {
                let mut times = Vec::new();
                let budget = Duration::from_secs(budget);
                let run = |budget: Duration| {
                    let seconds = seconds[times.len().min(seconds.len() - 1)];
                    times.push(start.elapsed().as_secs());
                    let run = tokio::time::sleep(Duration::from_secs(seconds).min(budget));
                    run.map(|()| Report::default()).boxed()
                };
                let reports = round.repeat(budget, stopping, run).await;
                assert_eq!(reports.len(), times.len());
                times
            }
        });
        join_all(played).await
    }

    #[tokio::test(start_paused = true)]
    async fn those_that_are_done_run_each_minute_while_another_is_at_work() {
        let rounds = Rounds::within(Duration::from_mins(4));
        let times = play(&rounds, 240, &[1, 230, 70], false).await;
        assert_eq!(
            times,
            [vec![0, 60, 120, 180], vec![0], vec![0, 70, 140, 210]]
        );
    }

    /// The first one hangs from its second run on.
    #[tokio::test(start_paused = true)]
    async fn they_do_so_while_another_runs_again_as_well() {
        let rounds = Rounds::within(Duration::from_mins(4));
        let runs = [vec![1, 240], vec![1], vec![61]];
        let times = play_each(&rounds, 240, &runs, false).await;
        assert_eq!(
            times,
            [vec![0, 60], vec![0, 60, 120, 180], vec![0, 61, 122, 183]]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn where_all_end_soon_each_runs_once() {
        let start = Instant::now();
        let rounds = Rounds::within(Duration::from_mins(4));
        assert_eq!(
            play(&rounds, 240, &[1, 5, 59], false).await,
            [[0], [0], [0]]
        );
        assert_eq!(start.elapsed().as_secs(), 59);
    }

    #[tokio::test(start_paused = true)]
    async fn what_ran_again_ends_in_time_and_nothing_begins_at_the_end_or_when_asked_to_stop() {
        let start = Instant::now();
        let rounds = Rounds::within(Duration::from_secs(100));
        // The second run of the first pipeline has 40 s, which leaves no time for a third.
        assert_eq!(
            play(&rounds, 100, &[55, 100], false).await,
            [vec![0, 60], vec![0]]
        );
        assert_eq!(start.elapsed().as_secs(), 100);
        // Twenty seconds are just enough for another, and nineteen are not.
        for (longest, times) in [(80, vec![0, 60]), (79, vec![0])] {
            let rounds = Rounds::within(Duration::from_secs(longest));
            let played = play(&rounds, longest, &[1, longest], false).await;
            assert_eq!(played, [times, vec![0]]);
        }
        let rounds = Rounds::within(Duration::from_mins(4));
        assert_eq!(play(&rounds, 240, &[1, 200], true).await, [[0], [0]]);
    }

    #[tokio::test(start_paused = true)]
    async fn of_one_round_there_is_one() {
        assert_eq!(
            play(&Rounds::one(), 240, &[1, 200], false).await,
            [[0], [0]]
        );
    }
}
