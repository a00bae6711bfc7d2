//! A tenant, a destination, a store and a place for dead letters, all in memory, and all failing at
//! the worst moment.

use std::sync::MutexGuard;

use fastrand::Rng;

use super::super::*;
use super::world::{Fact, Odds, Part, Plan, Saved, State, Told, version};
use crate::storage::Version;

/// How long an effect may come after whoever asked for it is gone.
const STRAYS_FOR: u64 = 60_000;

/// Why a call has no result.
enum NoAnswer {
    Failed,
    OutOfTime,
    Odd,
}

/// All parts of the world, as one run sees them.
#[derive(Clone)]
pub(super) struct Simulated {
    state: Arc<Mutex<State>>,
    run: usize,
}

impl Simulated {
    pub fn new(plan: Plan, facts: BTreeMap<LogId, Fact>) -> Self {
        Self {
            state: Arc::new(Mutex::new(State::new(plan, facts))),
            run: 0,
        }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub fn trace(&self, what: impl FnOnce() -> String) {
        self.state().trace(what);
    }

    /// A process that is about to make a run, and the number of that run.
    pub fn poller(&self) -> (Poller<Self, Self, Self, Self>, usize) {
        let mut state = self.state();
        let run = state.runs.len();
        state.runs.push(Told::default());
        state.tally.runs += 1;
        let part = Self {
            state: Arc::clone(&self.state),
            run,
        };
        let began = state.began;
        let poller = Poller {
            source: part.clone(),
            destination: part.clone(),
            checkpoints: part.clone(),
            dead_letters: part,
            clock: Arc::new(move || at("08:00:00") + began.elapsed()),
            stopping: watch::channel(false).1,
            policy: state.plan.policy,
        };
        (poller, run)
    }

    /// What chance has in store for the next call.
    ///
    /// It depends on the seed, the run and the number of the call alone: `tokio::select!` begins
    /// with a random branch, so that a run may or may not make a last call that nobody awaits.
    fn chance(&self, part: Part) -> (Rng, Odds) {
        let mut state = self.state();
        let calls = &mut state.runs[self.run].calls[part as usize];
        *calls += 1;
        let call = *calls;
        let mut hash = state.plan.seed;
        for number in [self.run as u64, part as u64, call] {
            hash = Rng::with_seed(hash ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15)).u64(..);
        }
        let odds = if state.are_faults_on {
            state.plan.odds[part as usize]
        } else {
            Odds::default()
        };
        (Rng::with_seed(hash), odds)
    }

    /// Makes a call: some time passes, the effect happens, some time passes, the answer comes.
    /// Any of it may fail to happen, and the effect may come although nobody waits any more.
    async fn call<T: Send + 'static>(
        &self,
        part: Part,
        deadline: Deadline,
        effect: impl FnOnce(&mut State, bool) -> T + Send + 'static,
    ) -> Result<T, NoAnswer> {
        let (mut rng, odds) = self.chance(part);
        let mut is = |chance: f64| rng.f64() < chance;
        let (fails, loses, delays) = (is(odds.fails), is(odds.loses_answer), is(odds.delays));
        let (hangs, is_odd, is_early) = (is(odds.hangs), is(odds.oddity), is(0.5));
        let is_stray = is(odds.loses_answer);
        let usual = rng.u64(0..20);
        let long = if delays { rng.u64(0..60_000) } else { usual };
        let (before, after) = if is_early { (long, 0) } else { (usual, long) };
        let stray = rng.u64(0..STRAYS_FOR);
        if fails || loses || delays || hangs || is_odd || is_stray {
            let mut state = self.state();
            state.tally.faults[part as usize] += 1;
            let run = self.run;
            state.trace(|| {
                format!(
                    "  run {run}: {part:?} fails {fails} loses {loses} takes {before}+{after} \
                     hangs {hangs} odd {is_odd} stray {is_stray}"
                )
            });
        }
        let answer = async {
            pause(before).await;
            if fails {
                return Err(NoAnswer::Failed);
            }
            if is_odd && matches!(part, Part::Source) {
                return Err(NoAnswer::Odd);
            }
            if hangs && is_early {
                std::future::pending::<()>().await;
            }
            let result = if is_stray {
                self.state().tally.strays += 1;
                let state = Arc::clone(&self.state);
                let effect = async move {
                    pause(stray).await;
                    effect(&mut state.lock().unwrap(), is_odd)
                };
                tokio::spawn(effect).await.map_err(|_| NoAnswer::Failed)?
            } else {
                effect(&mut self.state(), is_odd)
            };
            pause(after).await;
            if hangs {
                std::future::pending::<()>().await;
            }
            if loses {
                return Err(NoAnswer::Failed);
            }
            Ok(result)
        };
        let answer = tokio::time::timeout_at(deadline.for_answers(), answer).await;
        answer.unwrap_or_else(|_| {
            self.state().tally.timed_out += 1;
            Err(NoAnswer::OutOfTime)
        })
    }

    async fn ask<T: Send + 'static>(
        &self,
        deadline: Deadline,
        effect: impl FnOnce(&mut State) -> T + Send + 'static,
    ) -> Result<T, SourceError> {
        let answer = self.call(Part::Source, deadline, |state, _| effect(state));
        answer.await.map_err(|why| match why {
            NoAnswer::Odd => self.rejected(),
            NoAnswer::Failed => SourceError::Failed(failure()),
            NoAnswer::OutOfTime => SourceError::OutOfTime(failure()),
        })
    }

    fn rejected(&self) -> SourceError {
        let mut state = self.state();
        state.runs[self.run].is_cursor_gone = true;
        state.tally.restarts += 1;
        SourceError::Rejected("no such id".into())
    }
}

/// Lets time pass, and others have their turn in any case.
async fn pause(millis: u64) {
    match millis {
        0 => tokio::task::yield_now().await,
        millis => tokio::time::sleep(Duration::from_millis(millis)).await,
    }
}

impl Source for Simulated {
    async fn first(&self, start: Start, deadline: Deadline) -> Result<Page, SourceError> {
        let page = self.ask(deadline, move |state| match start {
            Start::At(time) => state.page_behind(Some(&id(time - STORING_DELAY))),
            Start::Oldest => state.page_behind(None),
        });
        page.await
    }

    async fn after(&self, id: &LogId, deadline: Deadline) -> Result<Page, SourceError> {
        let id = id.clone();
        let page = self.ask(deadline, move |state| {
            let rejects = state.plan.rejects_unknown && !state.is_there(&id);
            (!rejects).then(|| state.page_behind(Some(&id)))
        });
        page.await?.ok_or_else(|| self.rejected())
    }

    async fn has_dropped(&self, id: &LogId, deadline: Deadline) -> Result<bool, SourceError> {
        let id = id.clone();
        let is_dropped = self
            .ask(deadline, move |state| state.is_dropped(&id))
            .await?;
        let mut state = self.state();
        state.runs[self.run].is_cursor_gone |= is_dropped;
        state.tally.restarts += u64::from(is_dropped);
        Ok(is_dropped)
    }

    async fn oldest(&self, deadline: Deadline) -> Result<Option<DateTime<Utc>>, SourceError> {
        let oldest = self.ask(deadline, |state| {
            let page = state.page_behind(None);
            page.records.first().and_then(|record| record.date)
        });
        oldest.await
    }

    fn requests(&self) -> u64 {
        0
    }
}

impl Destination for Simulated {
    fn name(&self) -> &'static str {
        "simulated"
    }

    fn limits(&self) -> Limits {
        self.state().plan.limits
    }

    fn row(&self, record: &Record) -> Result<Bytes, BoxError> {
        if self.state().facts[&record.log_id].is_unfit {
            return Err("it does not fit".into());
        }
        Ok(record.json.clone())
    }

    async fn deliver(&self, rows: &[Bytes], deadline: Deadline) -> Result<Receipt, DeliveryError> {
        let ids: Vec<_> = rows
            .iter()
            .map(|row| LogId::new(str::from_utf8(row).unwrap()))
            .collect();
        let (sent, run) = (ids.clone(), self.run);
        let posted = self.call(Part::Destination, deadline, move |state, is_odd| {
            state.land(run, &sent, if is_odd { 2 } else { 1 })
        });
        match posted.await {
            Ok(true) => {
                let mut state = self.state();
                state.tally.acknowledged += 1;
                state.runs[run].acknowledged.extend(ids);
                let bytes = rows.iter().map(Bytes::len).sum();
                Ok(Receipt { bytes })
            }
            Ok(false) => Err(DeliveryError::Refused("it is refused".into())),
            Err(_) => Err(DeliveryError::Failed(failure())),
        }
    }
}

impl CheckpointStore for Simulated {
    async fn load(&self, deadline: Deadline) -> Result<Loaded, CheckpointError> {
        let loaded = self.call(Part::Store, deadline, |state, _| state.stored.clone());
        let loaded = loaded.await.map_err(|_| CheckpointError::Read {
            path: "memory".into(),
            source: StorageError::OutOfTime,
        })?;
        let (checkpoint, number) = loaded.unzip();
        self.state().runs[self.run].loaded.clone_from(&checkpoint);
        Ok(Loaded {
            stored: checkpoint.map_or(Stored::Nothing, Stored::Newest),
            version: number.map(version),
        })
    }

    async fn save(
        &self,
        checkpoint: &Checkpoint,
        over: Option<&Version>,
        _: DateTime<Utc>,
        deadline: Deadline,
    ) -> Result<Version, CheckpointError> {
        self.state().tally.saves += 1;
        let (checkpoint, over, run) = (checkpoint.clone(), over.cloned(), self.run);
        let saved = self.call(Part::Store, deadline, move |state, _| {
            state.save(run, &checkpoint, over.as_ref())
        });
        match saved.await {
            Ok(Saved::As(version)) => {
                let mut state = self.state();
                state.tally.saved += 1;
                state.runs[run].has_saved = true;
                Ok(version)
            }
            Ok(Saved::Conflict) => Err(CheckpointError::Conflict {
                path: "memory".into(),
            }),
            Err(_) => Err(CheckpointError::Write {
                path: "memory".into(),
                source: StorageError::OutOfTime,
            }),
        }
    }
}

impl DeadLetters for Simulated {
    async fn set_aside(
        &self,
        letter: DeadLetter<'_>,
        _: DateTime<Utc>,
        deadline: Deadline,
    ) -> Result<Kept, DeadLetterError> {
        let id = letter.log_id.cloned().expect("every record has an id here");
        let kept = self.call(Part::DeadLetters, deadline, move |state, _| {
            state.bury(&id);
        });
        kept.await.map_err(|_| DeadLetterError::Keep {
            place: "memory".into(),
            source: StorageError::OutOfTime,
        })?;
        let mut state = self.state();
        state.runs[self.run].dead_letters += 1;
        state.tally.dead_letters += 1;
        Ok(Kept {
            place: "memory".into(),
            is_new: true,
        })
    }
}
