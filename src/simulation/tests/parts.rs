//! A tenant, a destination and a storage in memory, all of which fail at the worst moments.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use fastrand::Rng;
use futures_util::future::BoxFuture;

use super::world::{CHECKPOINT, DEAD_LETTERS, Fact, Odds, Part, Plan, State, Told};
use crate::destination::{Delivery, Destination, Limits, Probe};
use crate::error::BoxError;
use crate::net::retry::Deadline;
use crate::record::{LogId, Page, Reach, Record, Source, SourceError, Start};
use crate::storage::{Attempt, Object, Objects, StorageError, Version};

/// How long an effect may be delayed after its caller is gone, in milliseconds.
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
    /// Whether this call reads ahead, so that the run does not learn of a rejection.
    is_ahead: bool,
}

impl Simulated {
    pub fn new(plan: Plan, facts: BTreeMap<LogId, Fact>) -> Self {
        Self {
            state: Arc::new(Mutex::new(State::new(plan, facts))),
            run: 0,
            is_ahead: false,
        }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        // Findings before a panic are still reported.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn trace(&self, what: impl FnOnce() -> String) {
        self.state().trace(what);
    }

    /// The world as seen by a process about to make a run, and the number of that run.
    pub fn process(&self) -> (Self, usize) {
        let mut state = self.state();
        let run = state.runs.len();
        state.runs.push(Told::default());
        state.tally.runs += 1;
        let part = Self {
            state: Arc::clone(&self.state),
            run,
            is_ahead: false,
        };
        (part, run)
    }

    /// The same process, for reading ahead.
    pub fn reading_ahead(&self) -> Self {
        Self {
            is_ahead: true,
            ..self.clone()
        }
    }

    /// The randomness for the next call.
    ///
    /// It depends only on the seed, the run and the number of the call.
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

    /// Makes a call: time passes, the effect happens, time passes, the response comes. Each step
    /// may fail, and the effect may happen after its caller is gone.
    async fn call<T: Send + 'static>(
        &self,
        part: Part,
        until: tokio::time::Instant,
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
            if is_odd && !matches!(part, Part::Destination) {
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
        let answer = tokio::time::timeout_at(until, answer).await;
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
        let answer = self.call(Part::Source, deadline.for_answers(), |state, _| {
            effect(state)
        });
        answer.await.map_err(|why| match why {
            NoAnswer::Odd if self.is_late() => SourceError::OutOfTime("no requests left".into()),
            NoAnswer::Odd => self.rejected(),
            NoAnswer::Failed => SourceError::Failed(failure()),
            NoAnswer::OutOfTime => SourceError::OutOfTime(failure()),
        })
    }

    /// Whether an odd response of the source is about its rate limit rather than the id.
    fn is_late(&self) -> bool {
        let state = self.state();
        state.runs[self.run].calls[Part::Source as usize].is_multiple_of(2)
    }

    /// Notes that the source has rejected an id for this run.
    pub fn note_rejected(&self) {
        let mut state = self.state();
        state.runs[self.run].is_cursor_gone = true;
        state.tally.restarts += 1;
    }

    fn rejected(&self) -> SourceError {
        if !self.is_ahead {
            self.note_rejected();
        }
        SourceError::Rejected("no such id".into())
    }
}

/// Lets time pass, and in any case lets other tasks run.
async fn pause(millis: u64) {
    match millis {
        0 => tokio::task::yield_now().await,
        millis => tokio::time::sleep(Duration::from_millis(millis)).await,
    }
}

impl Source for Simulated {
    async fn first(&self, start: Start, deadline: Deadline) -> Result<Page, SourceError> {
        let page = self.ask(deadline, move |state| {
            let page = match start {
                Start::At(time) => state.page_from(time),
                Start::Oldest => state.page_after(None),
            };
            state.trace(|| format!("  first {start:?}: {}", told(&page)));
            page
        });
        page.await
    }

    async fn after(&self, id: &LogId, deadline: Deadline) -> Result<Page, SourceError> {
        let id = id.clone();
        let page = self.ask(deadline, move |state| {
            let rejects = state.plan.rejects_unknown && !state.is_there(&id);
            let page = (!rejects).then(|| state.page_after(Some(&id)));
            state.trace(|| {
                let page = page.as_ref().map_or("rejected".to_owned(), told);
                format!("  after {id}: {page}")
            });
            page
        });
        page.await?.ok_or_else(|| self.rejected())
    }

    async fn next(&self, after: &LogId, deadline: Deadline) -> Result<Option<Record>, SourceError> {
        let id = after.clone();
        let next = self.ask(deadline, move |state| {
            let next = (!state.plan.rejects_unknown).then(|| state.page_after(Some(&id)));
            state.trace(|| {
                let next = next.as_ref().map_or("rejected".to_owned(), told);
                format!("  next after {id}: {next}")
            });
            next
        });
        // This rejection says nothing about a cursor.
        let rejected = || SourceError::Rejected("no such id".into());
        let next = next.await?.ok_or_else(rejected)?;
        Ok(next.records.into_iter().next())
    }

    async fn look(&self, id: &LogId, deadline: Deadline) -> Result<Page, SourceError> {
        self.after(id, deadline).await
    }

    async fn has_dropped(&self, id: &LogId, deadline: Deadline) -> Result<bool, SourceError> {
        let id = id.clone();
        let is_dropped = self
            .ask(deadline, move |state| {
                let is_dropped = state.is_dropped(&id);
                state.trace(|| format!("  has dropped {id}: {is_dropped}"));
                is_dropped
            })
            .await?;
        let mut state = self.state();
        state.runs[self.run].is_cursor_gone |= is_dropped;
        state.tally.restarts += u64::from(is_dropped);
        Ok(is_dropped)
    }

    async fn latest(&self, deadline: Deadline) -> Result<Vec<Record>, SourceError> {
        let latest = self.ask(deadline, |state| {
            let latest = state.newest(None);
            let of_each: Reach = latest.iter().map(|it| &it.log_id).collect();
            state.trace(|| {
                format!(
                    "  latest: {} {:?}",
                    latest.len(),
                    of_each.ends().collect::<Vec<_>>()
                )
            });
            latest
        });
        latest.await
    }

    async fn earlier(
        &self,
        to: DateTime<Utc>,
        deadline: Deadline,
    ) -> Result<Vec<Record>, SourceError> {
        let earlier = self.ask(deadline, move |state| {
            let earlier = state.newest(Some(to));
            state.trace(|| format!("  newest to {to}: {}", earlier.len()));
            earlier
        });
        earlier.await
    }

    async fn smallest(
        &self,
        prefix: &str,
        from: DateTime<Utc>,
        deadline: Deadline,
    ) -> Result<Option<Page>, SourceError> {
        let prefix = prefix.to_owned();
        let smallest = self.ask(deadline, move |state| {
            let records = state.by_date(from).into_iter();
            let records = records.filter(|it| it.log_id.prefix() == Some(&*prefix));
            let smallest = records.min_by(|a, b| a.log_id.cmp(&b.log_id));
            state.trace(|| {
                let id = smallest.as_ref().map(|it| &it.log_id);
                format!("  smallest of {prefix} from {from}: {id:?}")
            });
            smallest.map(Page::of)
        });
        smallest.await
    }

    async fn one(&self, id: &LogId, deadline: Deadline) -> Result<Option<Record>, SourceError> {
        let id = id.clone();
        let one = self.ask(deadline, move |state| {
            let is_there = state.is_there(&id);
            is_there.then(|| state.facts[&id].record.clone())
        });
        one.await
    }

    async fn oldest(&self, deadline: Deadline) -> Result<Option<DateTime<Utc>>, SourceError> {
        let oldest = self.ask(deadline, |state| {
            let there = state.by_date(DateTime::UNIX_EPOCH);
            there.iter().filter_map(written_at).min()
        });
        oldest.await
    }

    fn requests(&self) -> u64 {
        0
    }
}

/// Since when a record is in the log. The date of an imported record does not tell that.
fn written_at(record: &Record) -> Option<DateTime<Utc>> {
    let stored = record.log_id.stored_at();
    let is_imported = |stored: &DateTime<Utc>| Some(*stored - TimeDelta::minutes(10)) > record.date;
    stored.filter(is_imported).or(record.date)
}

impl Destination for Simulated {
    fn limits(&self) -> Limits {
        self.state().plan.limits
    }

    fn encode(&self, record: &Record) -> Result<Bytes, BoxError> {
        if self.state().facts[&record.log_id].is_unfit {
            return Err("it does not fit".into());
        }
        Ok(record.json.clone())
    }

    fn deliver<'a>(&'a self, rows: &'a [Bytes], deadline: Deadline) -> BoxFuture<'a, Delivery> {
        Box::pin(async move {
            let ids: Vec<_> = rows
                .iter()
                .map(|row| LogId::new(str::from_utf8(row).unwrap()))
                .collect();
            let (sent, run) = (ids.clone(), self.run);
            let posted = self.call(
                Part::Destination,
                deadline.for_answers(),
                move |state, is_odd| state.land(run, &sent, if is_odd { 2 } else { 1 }),
            );
            match posted.await {
                Ok(true) => {
                    let mut state = self.state();
                    state.tally.acknowledged += 1;
                    state.runs[run].acknowledged.extend(ids);
                    let bytes = rows.iter().map(Bytes::len).sum();
                    Delivery::accepted(rows.len(), bytes)
                }
                Ok(false) => Delivery::refused(rows.len(), "it is refused".into()),
                Err(_) => Delivery::failed(rows.len(), failure()),
            }
        })
    }

    fn probe(&self, _: Deadline) -> BoxFuture<'_, Probe> {
        unreachable!("no run probes")
    }
}

impl Simulated {
    /// One attempt at the storage, without a timeout of its own.
    async fn store<T: Send + 'static>(
        &self,
        path: &str,
        effect: impl FnOnce(&mut State) -> T + Send + 'static,
    ) -> Result<T, StorageError> {
        let part = if path.starts_with(DEAD_LETTERS) {
            Part::DeadLetters
        } else {
            Part::Store
        };
        let never = tokio::time::Instant::now() + Duration::from_hours(24);
        let answer = self.call(part, never, |state, _| effect(state)).await;
        answer.map_err(|why| match why {
            NoAnswer::Odd => StorageError::Denied("it is denied".into(), failure()),
            NoAnswer::Failed | NoAnswer::OutOfTime => {
                StorageError::Unavailable("it is away".into(), failure())
            }
        })
    }
}

impl Objects for Simulated {
    fn read<'a>(&'a self, path: &'a str) -> Attempt<'a, Option<Object>> {
        Box::pin(async move {
            let (key, run) = (path.to_owned(), self.run);
            let object = self
                .store(path, move |state| state.objects.get(&key).cloned())
                .await?;
            if path == CHECKPOINT {
                self.state().watch_load(run, object.as_ref());
            }
            Ok(object)
        })
    }

    fn write<'a>(
        &'a self,
        path: &'a str,
        content: Bytes,
        over: Option<&'a Version>,
    ) -> Attempt<'a, Version> {
        Box::pin(async move {
            let is_save = path == CHECKPOINT;
            self.state().tally.saves += u64::from(is_save);
            let (key, over, run) = (path.to_owned(), over.cloned(), self.run);
            let written = self.store(path, move |state| {
                state.write(run, &key, content, over.as_ref())
            });
            let written = written.await?;
            self.state().tally.saved += u64::from(is_save && written.is_some());
            written.ok_or(StorageError::Conflict)
        })
    }

    fn list<'a>(&'a self, _: &'a str) -> Attempt<'a, Vec<String>> {
        unreachable!("no run lists")
    }

    fn remove<'a>(&'a self, _: &'a str) -> Attempt<'a, ()> {
        unreachable!("no run removes")
    }

    fn location(&self, path: &str) -> String {
        path.to_owned()
    }
}

/// A short description of a page.
fn told(page: &Page) -> String {
    let id = |record: Option<&Record>| record.map_or("", |it| it.log_id.as_str()).to_owned();
    let (first, last) = (id(page.records.first()), id(page.records.last()));
    let end = if page.is_last { ", the last" } else { "" };
    format!("{} records {first}..{last}{end}", page.records.len())
}

fn failure() -> BoxError {
    "it failed".into()
}
