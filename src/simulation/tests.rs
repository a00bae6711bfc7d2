//! Thousands of simulated runs with faults, each different and each repeatable: one seed determines
//! everything random.
//!
//! - `SIMULATION_SEEDS=1000000 cargo test --release --lib simulation -- --nocapture` plays more seeds, and
//!   `SIMULATION_SEEDS=5000..6000` plays this range.
//! - `SIMULATION_SEED=123 cargo test simulation -- --nocapture` plays one seed, and prints what happens.

use std::future::poll_fn;
use std::ops::Range;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use fastrand::Rng;
use futures_util::FutureExt as _;
use tokio::sync::watch;
use tokio::time::Instant;

use self::ahead::ReadingAhead;
use self::parts::Simulated;
use self::script::{Phase, Script};
use self::world::{EIGHT, Fact, Tally};
use crate::clock::Clock;
use crate::net::retry::Jitter;
use crate::redact::Redaction;
use crate::report::{Gap, Report};
use crate::run::{MemoryBudget, Pace, Policy, Run};
use crate::state::{CheckpointLedger, CheckpointStore, DeadLetterStore};
use crate::storage::Storage;

mod ahead;
mod parts;
mod script;
mod seeds;
mod world;

/// Number of seeds to play by default: half a minute in a debug build.
const SEEDS: u64 = 600;
/// How long after its budget a run may end.
const GRACE: Duration = Duration::from_secs(10);
/// Number of runs without faults in which the end must be reached.
const ENOUGH_RUNS: usize = 12;
/// Maximum interval between a run's searches for records with other prefixes.
const LOOKED_FOR: Duration = Duration::from_mins(11);

/// Polls a run this many times, then drops it.
async fn until_crash<T>(run: impl Future<Output = T>, mut polls: Option<u32>) -> Option<T> {
    let mut run = pin!(run);
    poll_fn(|context| {
        match &mut polls {
            Some(0) => return Poll::Ready(None),
            Some(left) => *left -= 1,
            None => {}
        }
        run.as_mut().poll(context).map(Some)
    })
    .await
}

struct Simulation {
    script: Script,
    world: Simulated,
    rng: Rng,
    gaps: Vec<Gap>,
}

impl Simulation {
    fn new(seed: u64, is_traced: bool) -> Self {
        let script = Script::of(seed, is_traced);
        let world = Simulated::new(script.plan.clone(), script.facts.clone());
        world.trace(|| format!("{:#?}", script.plan));
        Self {
            script,
            world,
            rng: Rng::with_seed(!seed),
            gaps: Vec::new(),
        }
    }

    async fn play(mut self) -> Tally {
        for index in 0..self.script.phases.len() {
            let Phase { pause, runs } = self.script.phases[index];
            for _ in 0..runs {
                tokio::time::sleep(pause).await;
                Box::pin(self.step()).await;
            }
        }
        self.world.state().are_faults_on = false;
        Box::pin(self.finish()).await;
        self.world.state().tally.clone()
    }

    /// Makes one run or two concurrent ones; any of them may crash.
    async fn step(&mut self) {
        let mut polls = || {
            let crashes = self.rng.f64() < self.script.crash_chance;
            crashes.then(|| self.rng.u32(0..60))
        };
        let (first, second) = (polls(), polls());
        if self.rng.f64() < self.script.twin_chance {
            self.world.state().tally.twins += 1;
            let budget = self.script.plan.policy.budget;
            let apart = budget.mul_f64(self.rng.f64() * self.rng.f64());
            let later = async {
                tokio::time::sleep(apart).await;
                self.run(second).await
            };
            let (first, second) = tokio::join!(self.run(first), later);
            self.gaps.extend([first, second].into_iter().flatten());
        } else {
            let gap = self.run(first).await;
            self.gaps.extend(gap);
        }
    }

    /// Makes a run that may crash, and checks its report. Returns the gap that it reports.
    async fn run(&self, polls: Option<u32>) -> Option<Gap> {
        self.run_and_report(polls).await?.gap
    }

    /// Makes a run with the real checkpoint and dead-letter stores.
    async fn make(&self, process: &Simulated, number: usize) -> Report {
        let plan = &self.script.plan;
        let Policy {
            start_from,
            overlap,
            budget,
        } = plan.policy;
        let began = self.world.state().began;
        let clock: Clock = Arc::new(move || EIGHT + began.elapsed());
        let jitter = Jitter::seeded(plan.seed.wrapping_add(number as u64));
        let writer = format!("run {number}");
        let storage = Arc::new(Storage::over(process.clone(), jitter));
        let (tenant, name) = ("acme", "simulated");
        let checkpoints = CheckpointStore::new(Arc::clone(&storage), tenant, name, writer);
        let dead_letters = DeadLetterStore::new(storage, tenant, name, Redaction::Off.into());
        let mut ledger = CheckpointLedger::new(&checkpoints, start_from, overlap, &clock);
        // Only in some seeds, so that both variants are played.
        let is_ahead = plan.seed.is_multiple_of(4);
        let run = Run {
            label: name,
            source: &ReadingAhead::over(process, is_ahead, clock.clone()),
            filter: &crate::destination::Filter::default(),
            destination: process,
            dead_letters: &dead_letters,
            share: &MemoryBudget::default().enter(),
            pace: &Pace::default(),
            clock: &clock,
            stopping: &watch::channel(false).1,
            budget: Some(budget),
        };
        let progress = watch::Sender::default();
        Box::pin(run.make(&mut ledger, &progress)).await
    }

    async fn run_and_report(&self, polls: Option<u32>) -> Option<Report> {
        let (process, number) = self.world.process();
        let (began_at, began) = (self.world.state().now(), Instant::now());
        self.world.trace(|| format!("run {number} begins"));
        let report = until_crash(self.make(&process, number), polls).await;
        self.world.trace(|| format!("run {number}: {report:?}"));
        let late = began
            .elapsed()
            .checked_sub(self.script.plan.policy.budget + GRACE);
        let mut state = self.world.state();
        state.expect(late.is_none(), || {
            format!("run {number} ends {late:?} late")
        });
        match &report {
            Some(report) => {
                let told = &state.runs[number];
                let (delivered, buried) = (told.delivered(), told.buried);
                let said = (report.delivered, report.dead_lettered);
                let counted = said.0 + said.1 + report.skipped + report.before_start;
                // If every response for a dead letter is lost, the run ends without knowing that it is
                // stored.
                let is_told = said.1 == buried || !report.is_success() && said.1 < buried;
                state.expect(delivered == said.0 && is_told, || {
                    format!("run {number} did {delivered} and {buried} and says {said:?}")
                });
                let now = state.now();
                // The search for records of another prefix may be a little later.
                let began_at = if state.plan.has_prefixes {
                    began_at - LOOKED_FOR
                } else {
                    began_at
                };
                let overlooked =
                    |fact: &&Fact| fact.visible_at <= began_at && !fact.is_expired(now);
                let open = state.open().filter(overlooked);
                let open = open.filter(|fact| state.is_due(fact));
                let open: Vec<Fact> = open.cloned().collect();
                let is_done = report.caught_up && report.is_success();
                state.expect(!is_done || open.is_empty(), || {
                    format!("run {number} says that it caught up, and {open:?} are open")
                });
                state.expect(!is_done || counted == report.fetched, || {
                    format!("the numbers of run {number} do not add up: {report:?}")
                });
                state.tally.gaps += u64::from(report.gap.is_some());
                state.tally.left_out += report.before_start;
            }
            None => state.tally.crashes += 1,
        }
        drop(state);
        self.check();
        report
    }

    /// Without further faults, the end must be reached, and every record must be in its place.
    async fn finish(&mut self) {
        let mut pauses = vec![Duration::from_mins(1); ENOUGH_RUNS];
        // If only a few records are new and all are refused, they become dead letters after an
        // hour. Then the next few may follow.
        pauses.extend(vec![Duration::from_mins(61); ENOUGH_RUNS]);
        let mut last = None;
        for pause in pauses {
            tokio::time::sleep(pause).await;
            let report = self.run_and_report(None).await.unwrap();
            self.gaps.extend(report.gap);
            let is_done = report.caught_up && report.is_success();
            last = Some(report);
            // The newest records may not be visible yet.
            let state = self.world.state();
            let now = state.now() - chrono::Duration::minutes(1);
            let mut open = state.open().filter(|fact| !fact.is_expired(now));
            let is_done = is_done && !(state.plan.has_prefixes && open.any(|it| state.is_due(it)));
            if is_done && state.facts.values().all(|fact| fact.visible_at < now) {
                break;
            }
        }
        let last = last.unwrap();
        self.world
            .state()
            .expect(last.caught_up && last.is_success(), || {
                format!("the end is not reached: {last:?}")
            });
        self.check();
        self.check_end();
        let again = self.run_and_report(None).await.unwrap();
        let work = (again.delivered, again.dead_lettered, again.caught_up);
        self.world.state().expect(work == (0, 0, true), || {
            format!("a run after the end found something to do: {again:?}")
        });
        self.check();
    }

    fn check_end(&self) {
        let mut state = self.world.state();
        let facts = state.facts.values().filter(|fact| state.is_due(fact));
        let facts: Vec<Fact> = facts.cloned().collect();
        let slack = chrono::Duration::from_std(self.script.plan.policy.overlap).unwrap()
            + chrono::Duration::seconds(10);
        let slack = if state.plan.has_prefixes {
            slack + chrono::Duration::minutes(11)
        } else {
            slack
        };
        for fact in &facts {
            let (stored, now) = (fact.stored_at, state.now());
            let is_bad = fact.is_poison || fact.is_unfit;
            state.tally.late += u64::from(fact.visible_at > fact.stored_at);
            if fact.is_settled() {
                let is_in_place = !is_bad || (fact.is_dead && fact.landed == 0);
                state.expect(is_in_place, || format!("in the wrong place: {fact:?}"));
                continue;
            }
            state.tally.expired += 1;
            state.expect(fact.is_expired(now), || format!("lost: {fact:?}"));
            let is_in = |gap: &Gap| {
                gap.from.is_none_or(|from| from - slack <= stored) && stored <= gap.to + slack
            };
            // A crash may lose the report of a gap.
            let is_told =
                !state.is_missed(fact) || state.tally.crashes > 0 || self.gaps.iter().any(is_in);
            state.expect(is_told, || {
                format!(
                    "dropped by the source, and no gap says so: {fact:?} {:?}",
                    self.gaps
                )
            });
        }
    }

    fn check(&self) {
        let mut state = self.world.state();
        let tally = &state.tally;
        let lost = tally.posts - tally.acknowledged;
        // A crash, or a state that can no longer be saved, loses what is known about all deliveries
        // in flight.
        let unsaved = tally.saves - tally.saved + tally.crashes;
        let mishaps = lost + unsaved * self.script.plan.limits.side_by_side as u64;
        let most = mishaps * self.script.plan.batch_rows() as u64;
        let duplicates = tally.duplicates;
        state.expect(duplicates <= most, || {
            format!("{duplicates} duplicates, and at most {most} can be explained")
        });
        if let Some(violation) = &state.violation {
            panic!("seed {}: {violation}", self.script.plan.seed);
        }
    }
}

/// Plays one seed from beginning to end. Panics if an expectation fails.
fn play(seed: u64) -> Tally {
    play_to(seed, None)
}

/// Plays one seed, and records what happens if `lines` is given.
fn play_to(seed: u64, lines: Option<&mut Vec<String>>) -> Tally {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let simulation = Simulation::new(seed, lines.is_some());
        let world = simulation.world.clone();
        let played = std::panic::AssertUnwindSafe(Box::pin(simulation.play()));
        let played = played.catch_unwind().await;
        if let Some(lines) = lines {
            *lines = std::mem::take(&mut world.state().lines);
        }
        played.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

#[allow(
    clippy::disallowed_methods,
    reason = "how much is simulated is a matter of the person who tests, and no setting"
)]
fn asked(variable: &str) -> Option<String> {
    std::env::var(variable).ok()
}

/// The seeds to play: `1000000` of them, or `1000..2000`.
fn seeds() -> Range<u64> {
    let number = |text: &str| text.parse().expect("a number of seeds");
    match asked("SIMULATION_SEEDS") {
        None => 0..SEEDS,
        Some(asked) => match asked.split_once("..") {
            Some((first, end)) => number(first)..number(end),
            None => 0..number(&asked),
        },
    }
}

#[test]
fn whatever_goes_wrong_nothing_is_lost_and_the_end_is_reached() {
    if let Some(seed) = asked("SIMULATION_SEED") {
        let seed = seed.parse().expect("a seed");
        let mut lines = Vec::new();
        let played = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            play_to(seed, Some(&mut lines))
        }));
        println!("{}", lines.join("\n"));
        println!(
            "{:#?}",
            played.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        );
        return;
    }
    let seeds = seeds();
    let next = AtomicU64::new(seeds.start);
    let failed = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let began = Instant::now().into_std();
    let work = || {
        let mut tallies = Vec::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return tallies;
            }
            // The other seeds are still played.
            match std::panic::catch_unwind(|| play(seed)) {
                Ok(tally) => tallies.push(tally),
                Err(_told) => failed.lock().unwrap().push(seed),
            }
        }
    };
    let tallies: Vec<Tally> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let done = workers.into_iter().map(std::thread::ScopedJoinHandle::join);
        done.flat_map(|it| it.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    println!("seeds {seeds:?} in {:.1?}", began.elapsed());
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "seeds {failed:?}");
    summarize(&tallies);
}

type Count = fn(&Tally) -> u64;

/// Prints how often each event happened, and in how many seeds: a simulation without faults proves
/// nothing.
fn summarize(tallies: &[Tally]) {
    let counts: [(&str, Count); 18] = [
        ("runs", |it| it.runs),
        ("crashes", |it| it.crashes),
        ("two runs at once", |it| it.twins),
        ("posts", |it| it.posts),
        ("posts unanswered", |it| it.posts - it.acknowledged),
        ("posts refused", |it| it.refused),
        ("duplicates", |it| it.duplicates),
        ("faults of the source", |it| it.faults[0]),
        ("faults of the destination", |it| it.faults[1]),
        ("faults of the store", |it| it.faults[2]),
        ("faults of dead letters", |it| it.faults[3]),
        ("calls timed out", |it| it.timed_out),
        ("effects after the end", |it| it.strays),
        ("conflicts", |it| it.conflicts),
        ("cursors rejected or dropped", |it| it.restarts),
        ("gaps reported", |it| it.gaps),
        ("dead letters", |it| it.dead_letters),
        ("records left out", |it| it.left_out),
    ];
    for (what, count) in counts {
        let total: u64 = tallies.iter().map(count).sum();
        let seeds = tallies.iter().filter(|it| count(it) > 0).count();
        println!("{what}: {total} in {seeds} seeds");
        assert!(tallies.len() < 500 || seeds > 0, "{what} never happened");
    }
}

/// What happens in a seed, line by line.
fn trace(seed: u64) -> Vec<String> {
    let mut lines = Vec::new();
    play_to(seed, Some(&mut lines));
    lines
}

#[test]
fn a_seed_plays_the_same_each_time() {
    for seed in 0..30 {
        let (first, second) = (trace(seed), trace(seed));
        for (number, (first, second)) in first.iter().zip(&second).enumerate() {
            assert_eq!(first, second, "seed {seed}, line {number}");
        }
        assert_eq!(first.len(), second.len(), "seed {seed}");
    }
}
