//! The run against a world in memory, under paused time, over the real checkpoints and dead letters.
//!
//! The world's source behaves as Auth0's documentation says: ascending by id, strictly after the
//! given one, a page at most 100 long. Ids are made of the time of storing, dates are as told.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::future::BoxFuture;

use super::*;
use crate::destination::{Delivery, DeliveryError, Filter, Limits, Outcome, Probe, Quarantine};
use crate::net::retry::Jitter;
use crate::record::{Misfit, Page, Position, Record, STORING_DELAY, Start, StartFrom};
use crate::redact::Redaction;
use crate::state::{CheckpointLedger, CheckpointStore, DeadLetterStore, Stored, StoredLetter};
use crate::storage::memory::Memory;
use crate::storage::{Attempt, Object, Objects, Storage, StorageError, Version};

const PAGE: usize = 100;
/// Where the checkpoint is kept.
const CHECKPOINT: &str = "checkpoints/acme/memory.json";
const DEAD_LETTERS: &str = "dead-letter/acme/memory";

/// 2026-11-21 at this time of day.
fn at(clock: &str) -> DateTime<Utc> {
    format!("2026-11-21T{clock}Z").parse().unwrap()
}

fn id(stored: DateTime<Utc>) -> LogId {
    LogId::synthetic("900", stored)
}

fn record(stored: DateTime<Utc>, date: DateTime<Utc>) -> Record {
    let log_id = id(stored);
    Record {
        json: Bytes::from(log_id.to_string()),
        log_id,
        date: Some(date),
    }
}

/// What a request to a part of the world comes to, instead of succeeding.
#[derive(Clone, Debug)]
enum Fault {
    /// For good: it is not tried again.
    Fails,
    /// As a storage that does not answer for a while.
    IsAway,
    Rejects,
    /// As a tenant whose rate limit leaves nothing for this run.
    IsTooLate,
    /// As a tenant whose answer does not come in what time is left.
    IsSlow,
    Delays,
    LosesAnswer,
}

#[derive(Default)]
struct State {
    records: BTreeMap<LogId, Record>,
    /// Whether reading after an id that is not there is rejected, or taken as a bound.
    rejects_unknown: bool,
    /// For each coming request to the source, one fault or none.
    source_faults: VecDeque<Option<Fault>>,
    /// Records of a page, where they are fewer than were asked for.
    short_pages: Option<usize>,
    requests: u64,
    asked_for_oldest: usize,
    asked_if_dropped: usize,
    comparisons: usize,
    landed: Vec<Vec<String>>,
    /// Of each coming delivery, so many are quarantined.
    quarantined: VecDeque<u64>,
    destination_faults: VecDeque<Option<Fault>>,
    /// For each coming reading of the checkpoint.
    load_faults: VecDeque<Option<Fault>>,
    saves: u64,
    /// For each coming save.
    save_faults: VecDeque<Option<Fault>>,
    /// What is in every page beside its records.
    misfits: Vec<Bytes>,
    /// Records that the destination refuses when it is sent them.
    poison: BTreeSet<LogId>,
    refuses_all: bool,
    /// So many posts are refused whatever is in them, if that is not all.
    refuses_first: usize,
    /// Whether the destination says of each record by itself what became of it.
    tells_each: bool,
    /// Rows of a delivery, where they are fewer than usual.
    rows_at_once: Option<usize>,
    /// Bytes of a delivery, where they are not the usual ones.
    bytes_at_once: Option<usize>,
    /// How long a post takes.
    post_takes: Duration,
    /// Deliveries that may be under way at a time, where it is more than one.
    side_by_side: usize,
    /// Those that are, and the most there were.
    under_way: (usize, usize),
    posts: usize,
    /// Records that the destination has no form for.
    unfit: BTreeSet<LogId>,
    /// Those of them of which it has one for what fits.
    cut: BTreeSet<LogId>,
    dead_letter_faults: VecDeque<Option<Fault>>,
}

#[derive(Clone)]
struct World {
    state: Arc<Mutex<State>>,
    memory: Memory,
    clock: Clock,
    stopping: watch::Sender<bool>,
    filter: Filter,
}

impl World {
    /// A world in which it is 08:00:00, with these many records, one a second, the last one
    /// stored and dated 07:58:00.
    fn with_records(count: i64) -> Self {
        let began = Instant::now();
        let world = Self {
            state: Arc::default(),
            memory: Memory::default(),
            stopping: watch::Sender::new(false),
            filter: Filter::default(),
            clock: Arc::new(move || at("08:00:00") + began.elapsed()),
        };
        for n in 0..count {
            let time = at("07:58:00") - chrono::Duration::seconds(count - 1 - n);
            world.add(time, time);
        }
        world
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn add(&self, stored: DateTime<Utc>, date: DateTime<Utc>) {
        let record = record(stored, date);
        self.state().records.insert(record.log_id.clone(), record);
    }

    fn policy() -> Policy {
        Policy {
            start_from: StartFrom::Oldest,
            overlap: Duration::from_mins(1),
            budget: Duration::from_mins(4),
        }
    }

    /// What a process keeps in this world's memory.
    fn checkpoints(&self) -> CheckpointStore {
        let storage = Arc::new(Storage::over(self.clone(), Jitter::seeded(1)));
        CheckpointStore::new(storage, "acme", "memory", "me".into())
    }

    async fn run_of(
        &self,
        source: &impl Source,
        policy: Policy,
        progress: &watch::Sender<Report>,
    ) -> Report {
        let storage = Arc::new(Storage::over(self.clone(), Jitter::seeded(1)));
        let checkpoints = self.checkpoints();
        let Policy {
            start_from,
            overlap,
            budget,
        } = policy;
        let mut ledger = CheckpointLedger::new(&checkpoints, start_from, overlap, &self.clock);
        let run = Run {
            name: "memory",
            source,
            destination: self,
            filter: &self.filter,
            dead_letters: &DeadLetterStore::new(storage, "acme", "memory", Redaction::Off.into()),
            share: &InFlight::default().enter(),
            clock: &self.clock,
            stopping: &self.stopping.subscribe(),
            budget,
        };
        run.make(&mut ledger, progress).await
    }

    async fn run(&self) -> Report {
        self.run_with(|_| ()).await
    }

    async fn run_with(&self, change: impl FnOnce(&mut Policy)) -> Report {
        let mut policy = Self::policy();
        change(&mut policy);
        self.run_of(self, policy, &watch::Sender::default()).await
    }

    /// Ids that landed, in order.
    fn landed(&self) -> Vec<String> {
        self.state().landed.concat()
    }

    fn all_ids(&self) -> Vec<String> {
        self.state()
            .records
            .keys()
            .map(ToString::to_string)
            .collect()
    }

    fn assert_all_landed_once(&self) {
        let mut landed = self.landed();
        landed.sort();
        assert_eq!(landed, self.all_ids());
    }

    async fn position(&self) -> Position {
        let checkpoints = self.checkpoints();
        let now = (self.clock)();
        let loaded = checkpoints.load(now, Deadline::after(Duration::from_mins(1)));
        match loaded.await.unwrap().found {
            Stored::Newest(checkpoint) => checkpoint.position(),
            other => panic!("{other:?}"),
        }
    }

    /// What is stored is no checkpoint any more, nor is what was stored before.
    fn lose_checkpoint(&self) {
        for path in [CHECKPOINT, "checkpoints/acme/memory.previous.json"] {
            self.memory.put(path, Bytes::from_static(&[0; 9]));
        }
    }

    /// Of each dead letter its id, or where it has none its text, and the reason.
    async fn dead_letters(&self) -> Vec<String> {
        let paths = self.memory.list(DEAD_LETTERS).await.unwrap();
        let mut letters = Vec::new();
        for path in paths {
            let (json, _) = self.memory.read(&path).await.unwrap().unwrap();
            let letter: StoredLetter = serde_json::from_slice(&json).unwrap();
            let name = letter
                .log_id
                .map_or(letter.record.get().to_owned(), |id| id.to_string());
            letters.push(format!("{name}: {}", letter.reason));
        }
        letters.sort();
        letters
    }
}

fn failure() -> BoxError {
    "it failed".into()
}

impl World {
    async fn suffer(fault: Option<Fault>) -> Result<(), SourceError> {
        match fault {
            None => Ok(()),
            Some(Fault::Rejects) => Err(SourceError::Rejected("no such id".into())),
            Some(Fault::IsTooLate) => Err(SourceError::OutOfTime("no requests left".into())),
            Some(Fault::IsSlow) => Err(SourceError::Slow("no answer in time".into())),
            Some(Fault::Delays) => {
                tokio::time::sleep(Duration::from_secs(20)).await;
                Ok(())
            }
            Some(Fault::Fails | Fault::IsAway | Fault::LosesAnswer) => {
                Err(SourceError::Failed(failure()))
            }
        }
    }

    async fn suffer_storage(fault: Option<Fault>) -> Result<(), StorageError> {
        match fault {
            Some(Fault::IsAway) => Err(StorageError::Unavailable("it is away".into(), failure())),
            fault => {
                let suffered = Self::suffer(fault).await;
                suffered.map_err(|_| StorageError::Denied("it is denied".into(), failure()))
            }
        }
    }

    fn page_after(&self, bound: Option<&LogId>) -> Page {
        let state = self.state();
        let after = state
            .records
            .iter()
            .filter(|(id, _)| bound.is_none_or(|bound| *id > bound))
            .map(|(_, record)| record.clone());
        let count = after.clone().count();
        let records: Vec<_> = after.take(state.short_pages.unwrap_or(PAGE)).collect();
        let misfits = state.misfits.iter().map(|json| Misfit {
            json: json.clone(),
            date: None,
            reason: "it has no log_id",
        });
        let misfits = misfits.collect();
        Page {
            is_last: match state.short_pages {
                Some(_) => records.len() == count,
                None => records.len() < PAGE,
            },
            records,
            misfits,
        }
    }

    fn rejects(&self, id: &LogId) -> bool {
        let state = self.state();
        state.rejects_unknown && !state.records.contains_key(id)
    }

    fn source_fault(&self) -> Option<Fault> {
        let mut state = self.state();
        state.requests += 1;
        state.source_faults.pop_front().flatten()
    }
}

impl Source for World {
    async fn first(&self, start: Start, _: Deadline) -> Result<Page, SourceError> {
        Self::suffer(self.source_fault()).await?;
        Ok(match start {
            Start::At(time) => {
                let records: Vec<_> = self.state().records.values().cloned().collect();
                let window = records.iter().filter(|it| it.date >= Some(time));
                let prefix = window.filter_map(|it| it.log_id.prefix()).min();
                let bound = LogId::synthetic(prefix.unwrap_or("900"), time - STORING_DELAY);
                self.page_after(Some(&bound))
            }
            Start::Oldest => self.page_after(None),
        })
    }

    async fn after(&self, id: &LogId, _: Deadline) -> Result<Page, SourceError> {
        Self::suffer(self.source_fault()).await?;
        if self.rejects(id) {
            Self::suffer(Some(Fault::Rejects)).await?;
        }
        Ok(self.page_after(Some(id)))
    }

    async fn has_dropped(&self, id: &LogId, _: Deadline) -> Result<bool, SourceError> {
        Self::suffer(self.source_fault()).await?;
        let mut state = self.state();
        state.asked_if_dropped += 1;
        let mut dates = state.records.values().map(|it| it.date);
        Ok(!dates.any(|date| date <= id.stored_at()))
    }

    async fn latest(&self, _: Deadline) -> Result<Vec<Record>, SourceError> {
        let mut state = self.state();
        state.comparisons += 1;
        let mut records: Vec<_> = state.records.values().cloned().collect();
        records.sort_by_key(|record| std::cmp::Reverse(record.date));
        records.truncate(PAGE);
        Ok(records)
    }

    async fn smallest(
        &self,
        prefix: &str,
        from: DateTime<Utc>,
        _: Deadline,
    ) -> Result<Option<Record>, SourceError> {
        let state = self.state();
        let mut records = state.records.values();
        let is_it = |it: &&Record| it.log_id.prefix() == Some(prefix) && it.date >= Some(from);
        Ok(records.find(is_it).cloned())
    }

    async fn one(&self, id: &LogId, _: Deadline) -> Result<Option<Record>, SourceError> {
        Ok(self.state().records.get(id).cloned())
    }

    async fn oldest(&self, _: Deadline) -> Result<Option<DateTime<Utc>>, SourceError> {
        let mut state = self.state();
        state.asked_for_oldest += 1;
        Ok(state.records.values().next().and_then(|record| record.date))
    }

    fn requests(&self) -> u64 {
        self.state().requests
    }
}

impl Destination for World {
    fn limits(&self) -> Limits {
        let state = self.state();
        Limits {
            rows: state.rows_at_once.unwrap_or(1_000),
            bytes: state.bytes_at_once.unwrap_or(60_000),
            per_row: 1,
            per_delivery: 1,
            side_by_side: state.side_by_side.max(1),
        }
    }

    fn encode(&self, record: &Record) -> Result<Bytes, BoxError> {
        if self.state().unfit.contains(&record.log_id) {
            return Err("it does not fit".into());
        }
        Ok(record.json.clone())
    }

    fn shortened(&self, record: &Record, why: &str) -> Option<Bytes> {
        assert_eq!(why, "it does not fit");
        let has_one = self.state().cut.contains(&record.log_id);
        has_one.then(|| record.json.clone())
    }

    fn deliver<'a>(&'a self, rows: &'a [Bytes], _: Deadline) -> BoxFuture<'a, Delivery> {
        Box::pin(async move {
            let takes = {
                let mut state = self.state();
                state.under_way.0 += 1;
                state.under_way.1 = state.under_way.1.max(state.under_way.0);
                state.post_takes
            };
            if !takes.is_zero() {
                tokio::time::sleep(takes).await;
            }
            self.state().under_way.0 -= 1;
            let refuses = |row: &Bytes| {
                let state = self.state();
                state.refuses_all || state.poison.iter().any(|id| id.as_str().as_bytes() == row)
            };
            {
                let mut state = self.state();
                state.posts += 1;
                if state.refuses_first > 0 && state.posts > state.refuses_first {
                    state.refuses_all = false;
                }
            }
            if self.state().tells_each {
                return self.deliver_each(rows, refuses);
            }
            if rows.iter().any(refuses) {
                return Delivery::refused(rows.len(), "it is poison".into());
            }
            let fault = self.state().destination_faults.pop_front().flatten();
            let lands = matches!(fault, None | Some(Fault::LosesAnswer | Fault::Delays));
            if lands {
                self.land(rows);
            }
            match Self::suffer(fault).await {
                Ok(()) => Delivery {
                    quarantine: self.quarantine(),
                    ..Delivery::accepted(rows.len(), rows.iter().map(Bytes::len).sum())
                },
                Err(error) => Delivery::failed(rows.len(), error.into()),
            }
        })
    }

    fn probe(&self, _: Deadline) -> BoxFuture<'_, Probe> {
        unreachable!("no run probes")
    }
}

impl World {
    fn land<'a>(&self, rows: impl IntoIterator<Item = &'a Bytes>) {
        let rows = rows.into_iter();
        // Without what makes it large.
        let ids = rows.map(|row| std::str::from_utf8(row).unwrap().trim_end().to_owned());
        let ids: Vec<_> = ids.collect();
        self.state().landed.push(ids);
    }

    /// What it quarantines of the next delivery that it takes.
    fn quarantine(&self) -> Option<Quarantine> {
        let rows = self.state().quarantined.pop_front()?;
        (rows > 0).then(|| Quarantine {
            rows,
            advice: "look there".into(),
        })
    }

    /// Takes the rows that it does not refuse. A fault leaves the second half of them open.
    fn deliver_each(&self, rows: &[Bytes], refuses: impl Fn(&Bytes) -> bool) -> Delivery {
        let is_cut = self
            .state()
            .destination_faults
            .pop_front()
            .flatten()
            .is_some();
        let told = if is_cut { rows.len() / 2 } else { rows.len() };
        self.land(rows[..told].iter().filter(|row| !refuses(row)));
        let outcome = |(index, row): (usize, &Bytes)| match refuses(row) {
            _ if index >= told => Outcome::Open,
            true => Outcome::Refused("it is poison".into()),
            false => Outcome::Accepted,
        };
        Delivery {
            outcomes: rows.iter().enumerate().map(outcome).collect(),
            bytes: 1,
            error: is_cut.then(|| DeliveryError::Failed(failure())),
            quarantine: None,
        }
    }
}

/// The memory, with this world's faults. Anybody may write there: it is the versions that tell.
impl Objects for World {
    fn read<'a>(&'a self, path: &'a str) -> Attempt<'a, Option<Object>> {
        Box::pin(async move {
            let fault = match path {
                CHECKPOINT => self.state().load_faults.pop_front().flatten(),
                _ => None,
            };
            Self::suffer_storage(fault).await?;
            self.memory.read(path).await
        })
    }

    fn write<'a>(
        &'a self,
        path: &'a str,
        content: Bytes,
        over: Option<&'a Version>,
    ) -> Attempt<'a, Version> {
        Box::pin(async move {
            let fault = match path {
                CHECKPOINT => self.state().save_faults.pop_front().flatten(),
                _ if path.starts_with(DEAD_LETTERS) => {
                    self.state().dead_letter_faults.pop_front().flatten()
                }
                _ => None,
            };
            Self::suffer_storage(fault).await?;
            let written = self.memory.write(path, content, over).await?;
            self.state().saves += u64::from(path == CHECKPOINT);
            Ok(written)
        })
    }

    fn list<'a>(&'a self, folder: &'a str) -> Attempt<'a, Vec<String>> {
        self.memory.list(folder)
    }

    fn remove<'a>(&'a self, path: &'a str) -> Attempt<'a, ()> {
        self.memory.remove(path)
    }

    fn location(&self, path: &str) -> String {
        self.memory.location(path)
    }
}

#[tokio::test(start_paused = true)]
async fn every_record_lands_once_and_a_second_run_delivers_nothing() {
    let world = World::with_records(2_500);
    let report = world.run().await;
    assert_eq!(world.landed(), world.all_ids());
    assert_eq!(
        (
            report.fetched,
            report.delivered,
            report.skipped,
            report.batches
        ),
        (2_500, 2_500, 0, 3)
    );
    // 25 full pages and the empty one after them.
    assert_eq!(report.requests, 26);
    assert!(report.caught_up && report.is_success());
    assert_eq!(report.lag_seconds, Some(0));
    assert_eq!(report.last_date, Some(at("07:58:00")));

    let second = world.run().await;
    assert_eq!((second.delivered, second.requests), (0, 1));
    assert_eq!(second.last_date, Some(at("07:58:00")));
    assert_eq!(world.landed().len(), 2_500);
}

#[tokio::test(start_paused = true)]
async fn new_records_are_delivered_and_those_read_again_are_not() {
    let world = World::with_records(10);
    world.add(at("07:59:30"), at("07:59:29"));
    world.run().await;
    for n in 0..130 {
        let time = at("07:59:40") + chrono::Duration::milliseconds(n);
        world.add(time, time);
    }
    let report = world.run().await;
    assert_eq!((report.delivered, report.skipped), (130, 1));
    assert_eq!(world.landed(), world.all_ids());
}

#[tokio::test(start_paused = true)]
async fn a_record_that_becomes_visible_below_ids_already_read_is_delivered() {
    let world = World::with_records(10);
    world.add(at("07:59:30"), at("07:59:30"));
    world.run().await;
    world.add(at("07:59:10"), at("07:59:09"));
    let report = world.run().await;
    assert_eq!((report.delivered, report.skipped), (1, 1));
    assert_eq!(world.landed().last().unwrap(), id(at("07:59:10")).as_str());
}

#[tokio::test(start_paused = true)]
async fn a_late_record_lands_although_the_run_that_should_have_read_it_failed() {
    let world = World::with_records(10);
    world.add(at("07:59:50"), at("07:59:50"));
    world.run().await;
    world.add(at("07:59:40"), at("07:59:40"));
    tokio::time::advance(Duration::from_mins(1)).await;
    world.state().source_faults = [Some(Fault::Fails)].into();
    assert!(!world.run().await.is_success());
    assert_eq!(world.run().await.delivered, 1);
    world.assert_all_landed_once();
}

#[tokio::test(start_paused = true)]
async fn a_late_record_lands_although_its_stretch_was_read_before_and_settled_since() {
    // Read 50 s after it was stored; the post takes 20 s, and with it the record is old enough.
    let world = World::with_records(10);
    world.add(at("07:59:10"), at("07:59:10"));
    world.state().destination_faults = [Some(Fault::Delays)].into();
    let late = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        world.add(at("07:59:08"), at("07:59:08"));
    };
    tokio::join!(world.run(), late);
    assert_eq!(world.run().await.delivered, 1);
    world.assert_all_landed_once();
}

#[tokio::test(start_paused = true)]
async fn a_late_record_lands_although_the_run_ended_before_its_page() {
    let world = World::with_records(10);
    for n in 0..600 {
        let time = at("07:59:30") + chrono::Duration::milliseconds(10 * n);
        world.add(time, time);
    }
    world.run().await;
    // One late record for the first page, one for the sixth; reading fails in between, and so
    // late that all of them are settled.
    world.add(at("07:59:30.005"), at("07:59:30"));
    world.add(at("07:59:35.555"), at("07:59:35"));
    tokio::time::advance(Duration::from_secs(50)).await;
    world.state().source_faults = [None, Some(Fault::Delays), Some(Fault::Fails)].into();
    let report = world.run().await;
    assert_eq!((report.delivered, report.is_success()), (1, false));
    assert_eq!(world.run().await.delivered, 1);
    world.assert_all_landed_once();
}

#[tokio::test(start_paused = true)]
async fn the_first_run_begins_with_the_oldest_record_of_its_window() {
    let world = World::with_records(0);
    for (stored, date) in [
        ("06:59:58", "06:59:57"),
        ("07:00:02", "06:59:59"), // stored within the window, but dated before it
        ("07:00:04", "07:00:00"), // the oldest of the window
        ("07:00:05", "07:30:00"),
    ] {
        world.add(at(stored), at(date));
    }
    let report = world
        .run_with(|policy| policy.start_from = StartFrom::Ago(Duration::from_hours(1)))
        .await;
    assert_eq!((report.delivered, report.before_start), (2, 2));
    assert_eq!(
        world.landed(),
        [
            id(at("07:00:04")).to_string(),
            id(at("07:00:05")).to_string()
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn an_empty_tenant_is_read_from_the_same_start_when_records_come() {
    let world = World::with_records(0);
    let run =
        || world.run_with(|policy| policy.start_from = StartFrom::Ago(Duration::from_mins(1)));
    let report = run().await;
    assert!(report.caught_up);
    assert_eq!(
        world.position().await,
        Position::Start(Start::At(at("07:59:00")))
    );

    world.add(at("08:00:00"), at("08:00:00"));
    tokio::time::advance(Duration::from_hours(3)).await;
    assert_eq!(run().await.delivered, 1);
}

#[tokio::test(start_paused = true)]
async fn the_start_is_pinned_by_the_first_run_even_if_it_fails() {
    let world = World::with_records(0);
    world.add(at("07:30:00"), at("07:30:00"));
    world.state().source_faults = [Some(Fault::Fails)].into();
    let an_hour = |policy: &mut Policy| policy.start_from = StartFrom::Ago(Duration::from_hours(1));
    assert!(!world.run_with(an_hour).await.is_success());
    tokio::time::advance(Duration::from_hours(24)).await;
    assert_eq!(world.run_with(an_hour).await.delivered, 1);
}

#[tokio::test(start_paused = true)]
async fn a_start_that_is_set_further_back_counts_until_something_was_delivered() {
    let world = World::with_records(0);
    world.add(at("01:00:00"), at("01:00:00"));
    world
        .run_with(|policy| policy.start_from = StartFrom::Ago(Duration::from_hours(1)))
        .await;
    let report = world
        .run_with(|policy| policy.start_from = StartFrom::Ago(Duration::from_hours(24)))
        .await;
    assert_eq!(report.delivered, 1);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_delivered_while_the_checkpoint_cannot_be_saved() {
    let world = World::with_records(10);
    world.run().await;
    world.add(at("07:59:00"), at("07:59:00"));
    for _ in 0..5 {
        world.state().save_faults = [Some(Fault::Fails)].into();
        let report = world.run().await;
        assert!(
            report.errors[0].starts_with("saving the checkpoint memory"),
            "{report:?}"
        );
    }
    assert_eq!(world.landed().len(), 10);
    world.run().await;
    world.assert_all_landed_once();
}

#[tokio::test(start_paused = true)]
async fn a_failed_delivery_moves_nothing_and_the_next_run_delivers_it_all() {
    let world = World::with_records(2_500);
    world.state().destination_faults = [None, Some(Fault::Fails)].into();
    let report = world.run().await;
    assert_eq!(report.errors, ["it failed"]);
    assert_eq!((report.delivered, report.caught_up), (1_000, false));
    // The oldest record that is not is 1,499 s older than the newest there is, and that 120 s.
    assert_eq!(report.lag_seconds, Some(1_619));

    assert_eq!(world.run().await.delivered, 1_500);
    assert_eq!(world.landed(), world.all_ids());
}

#[tokio::test(start_paused = true)]
async fn a_lost_acknowledgement_costs_one_batch_of_duplicates_and_no_loss() {
    let world = World::with_records(2_500);
    world.state().destination_faults = [None, Some(Fault::LosesAnswer)].into();
    assert!(!world.run().await.is_success());
    world.run().await;
    let mut landed = world.landed();
    assert_eq!(landed.len(), 3_500);
    landed.sort();
    landed.dedup();
    assert_eq!(landed, world.all_ids());
}

#[tokio::test(start_paused = true)]
async fn what_was_read_before_a_failure_is_delivered_and_saved() {
    let world = World::with_records(500);
    world.state().source_faults = [None, None, Some(Fault::Fails)].into();
    let report = world.run().await;
    assert_eq!(report.errors, ["it failed"]);
    assert_eq!((report.delivered, report.caught_up), (200, false));
    assert_eq!(world.run().await.delivered, 300);
    assert_eq!(world.landed(), world.all_ids());
}

#[tokio::test(start_paused = true)]
async fn nothing_is_read_while_the_checkpoint_cannot_be() {
    let world = World::with_records(10);
    world.state().load_faults = [Some(Fault::Fails)].into();
    let report = world.run().await;
    assert_eq!(report.requests, 0);
    assert_eq!(
        report.errors,
        ["reading the checkpoint memory:checkpoints/acme/memory.json: it is denied: it failed"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_run_gives_way_to_another_poller_that_saved_meanwhile() {
    let world = World::with_records(2_500);
    let progress = watch::Sender::default();
    let mut seen = progress.subscribe();
    let run = world.run_of(&world, World::policy(), &progress);
    let (report, ()) = tokio::join!(run, async {
        seen.wait_for(|report: &Report| report.batches == 1)
            .await
            .unwrap();
        let others = Bytes::from_static(b"{}");
        world.memory.put(CHECKPOINT, others);
    });
    assert_eq!(report.errors.len(), 1);
    assert!(
        report.errors[0].contains("memory.json was changed or removed"),
        "{report:?}"
    );
    assert!(report.batches < 3);
}

/// A source may reject an id whose record it has dropped, or take it as a bound without a word.
const EITHER_WAY: [bool; 2] = [true, false];

#[tokio::test(start_paused = true)]
async fn a_dropped_cursor_resumes_with_what_is_left_and_reports_the_gap_once() {
    for rejects_unknown in EITHER_WAY {
        let world = World::with_records(10);
        world.state().rejects_unknown = rejects_unknown;
        world.run().await;
        // Two days without a run; what was stored before 07:00 two days later is gone.
        tokio::time::advance(Duration::from_hours(48)).await;
        world.state().records.clear();
        let resumed = at("07:00:00") + chrono::Duration::days(2);
        world.add(resumed, resumed);

        let report = world.run().await;
        assert!(report.is_success(), "{report:?}");
        assert_eq!(report.delivered, 1);
        let gap = Gap {
            from: Some(at("08:00:00")), // when the run began that had read to the end
            to: resumed,
        };
        assert_eq!(report.gap, Some(gap));
        assert_eq!(world.position().await, Position::After(id(resumed)));
        assert_eq!(world.run().await.gap, None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_cursor_dropped_in_a_silent_tenant_is_no_gap_and_costs_no_record() {
    for rejects_unknown in EITHER_WAY {
        let world = World::with_records(10);
        world.state().rejects_unknown = rejects_unknown;
        for hour in 0..50 {
            if hour == 30 {
                world.state().records.clear();
            }
            let report = world.run().await;
            assert_eq!(
                (report.gap, report.caught_up),
                (None, true),
                "{hour} {report:?}"
            );
            tokio::time::advance(Duration::from_mins(61)).await;
        }
        // By now reading begins by time, so that nothing depends on the record that is gone.
        assert!(matches!(
            world.position().await,
            Position::Start(Start::At(_))
        ));
        let new = (world.clock)();
        world.add(new, new);
        assert_eq!(world.run().await.delivered, 1);
        assert_eq!(world.landed().len(), 11);
    }
}

#[tokio::test(start_paused = true)]
async fn after_an_outage_in_a_silent_tenant_the_possible_gap_is_reported_once() {
    for rejects_unknown in EITHER_WAY {
        let world = World::with_records(10);
        world.state().rejects_unknown = rejects_unknown;
        world.run().await;
        tokio::time::advance(Duration::from_hours(48)).await;
        world.state().records.clear();
        let gap = world.run().await.gap.unwrap();
        assert_eq!(gap.from, Some(at("08:00:00")));
        assert_eq!(gap.to - at("08:00:00"), chrono::Duration::days(2));
        assert_eq!(world.run().await.gap, None);
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_after_a_restart_is_a_gap_like_any_other() {
    for rejects_unknown in EITHER_WAY {
        let world = World::with_records(10);
        world.state().rejects_unknown = rejects_unknown;
        world.run().await;
        world.state().source_faults = [Some(Fault::Rejects)].into();
        world.run().await;
        assert!(matches!(
            world.position().await,
            Position::Start(Start::At(_))
        ));
        tokio::time::advance(Duration::from_hours(48)).await;
        world.state().records.clear();
        let resumed = at("07:00:00") + chrono::Duration::days(2);
        world.add(resumed, resumed);
        let gap = Gap {
            from: Some(at("08:00:00")), // when the run began that had read to the end
            to: resumed,
        };
        assert_eq!(world.run().await.gap, Some(gap));
        assert_eq!(world.run().await.gap, None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_cursor_rejected_for_no_reason_is_no_gap_and_no_flood() {
    let world = World::with_records(500);
    world.run().await;
    world.add(at("08:00:01"), at("08:00:01"));
    world.state().source_faults = [Some(Fault::Rejects)].into();
    let report = world.run().await;
    assert_eq!((report.delivered, report.gap), (1, None));
    // The new one, and what was stored in the 20 s before the cursor.
    assert_eq!(report.fetched, 21);
    world.run().await;
    world.assert_all_landed_once();
}

#[tokio::test(start_paused = true)]
async fn a_source_that_rejects_every_beginning_is_an_error_and_not_a_loop() {
    let world = World::with_records(10);
    world.run().await;
    world.state().source_faults = [Some(Fault::Rejects), Some(Fault::Rejects)].into();
    let report = world.run().await;
    assert_eq!(report.errors, ["no such id"]);
}

#[tokio::test(start_paused = true)]
async fn a_run_ends_on_time_and_the_next_one_goes_on() {
    let world = World::with_records(2_500);
    let began = Instant::now();
    world.state().source_faults = vec![Some(Fault::Delays); 11].into();
    let report = world.run().await;
    // A page takes 20 s and reading ends at 210 s, so the eleventh page is the last one begun.
    assert_eq!((report.delivered, report.caught_up), (1_100, false));
    assert!(report.is_success());
    assert_eq!(began.elapsed(), Duration::from_secs(220));
    // Each page is delivered while the next one is awaited.
    assert_eq!(report.batches, 11);
    assert_eq!(world.run().await.delivered, 1_400);
    assert_eq!(world.landed(), world.all_ids());
}

#[tokio::test(start_paused = true)]
async fn a_delivery_that_began_in_time_is_saved_and_none_is_begun_after() {
    let world = World::with_records(14_000);
    let began = Instant::now();
    world.state().destination_faults = vec![Some(Fault::Delays); 13].into();
    let report = world.run().await;
    // A post takes 20 s: the twelfth begins at 220 s, and at 240 s it is too late for another.
    assert_eq!((report.batches, report.delivered), (12, 12_000));
    assert_eq!((report.is_success(), report.caught_up), (true, false));
    assert_eq!(began.elapsed(), Duration::from_mins(4));
    assert_eq!(world.run().await.delivered, 2_000);
    world.assert_all_landed_once();
}

#[tokio::test(start_paused = true)]
async fn after_its_budget_a_run_begins_nothing_and_is_no_failure() {
    let world = World::with_records(500);
    let report = world
        .run_with(|policy| policy.budget = Duration::ZERO)
        .await;
    assert!(report.is_success());
    assert_eq!((report.fetched, report.caught_up), (0, false));
    assert_eq!(report.lag_seconds, None);
}

#[tokio::test(start_paused = true)]
async fn a_batch_keeps_to_the_bytes_that_the_destination_takes() {
    let world = World::with_records(0);
    for (second, length) in [(1, 30_000), (2, 29_996), (3, 1), (4, 100_000), (5, 1)] {
        let time = at("07:00:00") + chrono::Duration::seconds(second);
        let mut record = record(time, time);
        record.json = Bytes::from("x".repeat(length));
        world.state().records.insert(record.log_id.clone(), record);
    }
    world.run().await;
    let sizes: Vec<Vec<usize>> = world
        .state()
        .landed
        .iter()
        .map(|batch| batch.iter().map(String::len).collect())
        .collect();
    // 30,000 and 29,996 and three separators are one below the limit; the row that is over it by
    // itself travels alone.
    assert_eq!(
        sizes,
        [vec![30_000, 29_996], vec![1], vec![100_000], vec![1]]
    );
}

#[tokio::test(start_paused = true)]
async fn a_record_that_comes_again_in_a_later_batch_is_not_delivered_again() {
    let world = World::with_records(0);
    for second in 1..=4 {
        let time = at("07:00:00") + chrono::Duration::seconds(second);
        let record = Record {
            json: Bytes::from("x".repeat(40_000)),
            ..record(time, time)
        };
        world.state().records.insert(record.log_id.clone(), record);
    }
    let records: Vec<_> = world.state().records.values().cloned().collect();
    // Each is a batch by itself, and too young for the cursor to pass it.
    let source = Stuck([records.clone(), records].concat());
    let policy = Policy {
        overlap: Duration::from_hours(24),
        ..World::policy()
    };
    let report = world
        .run_of(&source, policy, &watch::Sender::default())
        .await;
    assert_eq!((report.delivered, report.batches), (4, 4));
}

#[tokio::test(start_paused = true)]
async fn an_idle_run_is_one_request_and_saves_nothing_but_every_ten_minutes_that_it_compared() {
    let world = World::with_records(10);
    // What was there before it, the first run looks for, and once the second that finds nothing.
    world.run().await;
    assert_eq!(world.state().comparisons, 1);
    world.run().await;
    assert_eq!(world.state().comparisons, 1);
    world.run().await;
    assert_eq!(world.state().comparisons, 2);
    for _ in 0..3 {
        let saves = world.state().saves;
        let requests = world.state().requests;
        let comparisons = world.state().comparisons;
        for _ in 0..9 {
            tokio::time::advance(Duration::from_mins(1)).await;
            world.run().await;
        }
        assert_eq!(world.state().comparisons, comparisons);
        assert_eq!(world.state().saves, saves);
        assert_eq!(world.state().requests, requests + 9);
        tokio::time::advance(Duration::from_mins(1)).await;
        world.run().await;
        assert_eq!(world.state().comparisons, comparisons + 1);
        assert_eq!(world.state().saves, saves + 1);
    }
}

#[tokio::test(start_paused = true)]
async fn the_cursor_follows_when_its_records_have_aged() {
    let world = World::with_records(0);
    world.add(at("07:59:30"), at("07:59:30"));
    world.run().await;
    assert_eq!(world.position().await, Position::Start(Start::Oldest));
    tokio::time::advance(Duration::from_secs(30)).await;
    world.run().await;
    assert_eq!(world.position().await, Position::After(id(at("07:59:30"))));
    assert_eq!(world.run().await.fetched, 0);
}

/// A source that answers every request with the same page, which is never the last.
struct Stuck(Vec<Record>);

impl Source for Stuck {
    async fn first(&self, _: Start, _: Deadline) -> Result<Page, SourceError> {
        Ok(Page {
            misfits: Vec::new(),
            records: self.0.clone(),
            is_last: false,
        })
    }

    async fn after(&self, _: &LogId, deadline: Deadline) -> Result<Page, SourceError> {
        self.first(Start::Oldest, deadline).await
    }

    async fn has_dropped(&self, _: &LogId, _: Deadline) -> Result<bool, SourceError> {
        Ok(false)
    }

    async fn oldest(&self, _: Deadline) -> Result<Option<DateTime<Utc>>, SourceError> {
        Ok(None)
    }

    fn requests(&self) -> u64 {
        0
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_that_repeats_itself_is_delivered_once_and_then_an_error() {
    let world = World::with_records(100);
    let records: Vec<_> = world.state().records.values().cloned().collect();
    let source = Stuck([records.clone(), records].concat());
    let report = world
        .run_of(&source, World::policy(), &watch::Sender::default())
        .await;
    assert_eq!(world.landed(), world.all_ids());
    assert_eq!((report.delivered, report.skipped), (100, 300));
    assert_eq!(report.errors.len(), 1);
    assert!(report.errors[0].starts_with("reading makes no progress"));
}

#[tokio::test(start_paused = true)]
async fn a_record_that_the_destination_cannot_take_is_set_aside_and_the_rest_goes_on() {
    let world = World::with_records(250);
    let unfit: BTreeSet<_> = [0, 120, 249]
        .map(|n| world.state().records.keys().nth(n).unwrap().clone())
        .into();
    world.state().unfit.clone_from(&unfit);
    let report = world.run().await;
    assert_eq!(report.errors, Vec::<String>::new());
    assert_eq!((report.delivered, report.dead_lettered), (247, 3));
    let letters: Vec<_> = unfit
        .iter()
        .map(|id| format!("{id}: it does not fit"))
        .collect();
    assert_eq!(world.dead_letters().await, letters);
    let again = world.run().await;
    assert_eq!((again.delivered, again.dead_lettered), (0, 0));
    assert_eq!(world.landed().len(), 247);
}

#[tokio::test(start_paused = true)]
async fn of_a_record_that_does_not_fit_the_whole_is_set_aside_and_the_rest_delivered() {
    let world = World::with_records(250);
    let unfit: BTreeSet<_> = [0, 120, 249]
        .map(|n| world.state().records.keys().nth(n).unwrap().clone())
        .into();
    world.state().unfit.clone_from(&unfit);
    world.state().cut = unfit;
    let report = world.run().await;
    assert_eq!(report.errors, Vec::<String>::new());
    assert_eq!(
        (report.delivered, report.dead_lettered, report.skipped),
        (250, 3, 0)
    );
    assert_eq!(world.dead_letters().await.len(), 3);
    let again = world.run().await;
    assert_eq!((again.delivered, again.dead_lettered), (0, 0));
    assert_eq!(world.landed().len(), 250);
}

#[tokio::test(start_paused = true)]
async fn what_was_set_aside_but_not_delivered_is_delivered_by_the_next_run() {
    let world = World::with_records(250);
    let unfit = world.state().records.keys().nth(120).unwrap().clone();
    world.state().unfit = [unfit.clone()].into();
    world.state().cut = [unfit].into();
    // The first 120 are taken; those that follow are not.
    world.state().destination_faults = [None, Some(Fault::Fails)].into();
    let report = world.run().await;
    assert_eq!((report.delivered, report.dead_lettered), (120, 1));
    assert_eq!(report.errors.len(), 1);
    let report = world.run().await;
    assert_eq!(report.errors, Vec::<String>::new());
    assert_eq!((report.delivered, report.dead_lettered), (130, 0));
    assert_eq!(world.landed().len(), 250);
    assert_eq!(world.dead_letters().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_row_of_what_fits_that_is_refused_too_stops_nothing() {
    let world = World::with_records(250);
    let unfit = world.state().records.keys().nth(120).unwrap().clone();
    world.state().unfit = [unfit.clone()].into();
    world.state().cut = [unfit.clone()].into();
    world.state().poison = [unfit].into();
    let report = world.run().await;
    assert_eq!(report.errors, Vec::<String>::new());
    assert_eq!((report.delivered, report.dead_lettered), (249, 1));
    let letters = world.dead_letters().await;
    assert_eq!(letters.len(), 1);
    assert!(letters[0].ends_with(": it does not fit"), "{letters:?}");
}

#[tokio::test(start_paused = true)]
async fn a_log_of_nothing_but_unfit_records_is_passed() {
    let world = World::with_records(3);
    let all = world.state().records.keys().cloned().collect();
    world.state().unfit = all;
    assert_eq!(world.run().await.dead_lettered, 3);
    let last = world.state().records.keys().next_back().unwrap().clone();
    assert_eq!(world.position().await, Position::After(last));
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_that_cannot_be_kept_stops_the_cursor_but_not_what_came_before() {
    let world = World::with_records(250);
    let unfit = world.state().records.keys().nth(120).unwrap().clone();
    world.state().unfit = [unfit].into();
    world.state().dead_letter_faults = [Some(Fault::Fails)].into();
    let report = world.run().await;
    assert_eq!((report.delivered, report.dead_lettered), (120, 0));
    assert!(
        report.errors[0].starts_with("setting a record aside in memory"),
        "{report:?}"
    );
    let report = world.run().await;
    assert_eq!((report.dead_lettered, report.errors.len()), (1, 0));
    assert_eq!(world.landed().len(), 249);
}

#[tokio::test(start_paused = true)]
async fn dead_letters_that_take_long_are_not_begun_anew_in_each_run() {
    let world = World::with_records(30);
    let all = world.state().records.keys().cloned().collect();
    world.state().unfit = all;
    // 20 seconds each, of a budget of 240.
    world.state().dead_letter_faults = vec![Some(Fault::Delays); 30].into();
    let mut counts = Vec::new();
    for _ in 0..3 {
        counts.push(world.run().await.dead_lettered);
    }
    assert_eq!(counts, [12, 12, 6]);
}

#[tokio::test(start_paused = true)]
async fn after_the_loss_of_the_checkpoint_the_run_begins_anew_and_says_so_for_a_day() {
    let world = World::with_records(100);
    world.run().await;
    world.lose_checkpoint();
    // The records are of the last two minutes before 07:58.
    let run =
        || world.run_with(|policy| policy.start_from = StartFrom::Ago(Duration::from_secs(150)));
    let report = run().await;
    assert_eq!((report.delivered, report.errors.len()), (31, 0));
    let gap = Gap {
        from: None,
        to: at("07:57:30"),
    };
    assert_eq!(report.gap, Some(gap));
    tokio::time::advance(Duration::from_hours(23)).await;
    let report = run().await;
    assert_eq!((report.delivered, report.gap), (0, Some(gap)));
    tokio::time::advance(Duration::from_hours(1)).await;
    assert_eq!(run().await.gap, None);
}

#[tokio::test(start_paused = true)]
async fn after_a_loss_nothing_is_missing_where_all_there_is_is_read_again() {
    let world = World::with_records(100);
    world.run().await;
    world.lose_checkpoint();
    let report = world.run().await;
    assert_eq!((report.delivered, report.gap), (100, None));
}

#[tokio::test(start_paused = true)]
async fn what_has_no_id_is_set_aside_once_and_told_of_once() {
    let world = World::with_records(50);
    world.state().misfits = vec![Bytes::from_static(b"{}"), Bytes::from_static(b"null")];
    let report = world.run().await;
    assert_eq!(report.errors, Vec::<String>::new());
    assert_eq!(
        (report.fetched, report.delivered, report.dead_lettered),
        (52, 50, 2)
    );
    let again = world.run().await;
    assert_eq!((again.dead_lettered, again.skipped), (0, 2));
    let letters = ["null: it has no log_id", "{}: it has no log_id"];
    assert_eq!(world.dead_letters().await, letters);
}

#[tokio::test(start_paused = true)]
async fn a_misfit_that_cannot_be_kept_holds_the_cursor() {
    let world = World::with_records(50);
    world.state().misfits = vec![Bytes::from_static(b"{}")];
    world.state().dead_letter_faults = [Some(Fault::Fails)].into();
    let report = world.run().await;
    assert_eq!((report.delivered, report.errors.len()), (0, 1));
    assert_eq!(world.run().await.delivered, 50);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_asked_to_end_delivers_what_it_has_read_and_saves() {
    let world = World::with_records(1_000);
    // 20 seconds a page; the third is under way when the signal comes.
    world.state().source_faults = vec![Some(Fault::Delays); 10].into();
    let ask = async {
        tokio::time::sleep(Duration::from_secs(50)).await;
        world.stopping.send_replace(true);
    };
    let began = Instant::now();
    let (report, ()) = tokio::join!(world.run(), ask);
    assert_eq!(began.elapsed(), Duration::from_secs(50));
    assert_eq!((report.delivered, report.caught_up), (200, false));
    assert_eq!(report.errors, Vec::<String>::new());
    assert_eq!(world.run().await.fetched, 0, "it is still asked to end");

    world.stopping.send_replace(false);
    world.state().source_faults.clear();
    world.run().await;
    world.assert_all_landed_once();
}

#[tokio::test(start_paused = true)]
async fn only_a_run_that_ends_far_behind_asks_how_long_the_source_will_wait() {
    for (hours, asked) in [(17, 0), (19, 1)] {
        let world = World::with_records(2_000);
        tokio::time::advance(Duration::from_hours(hours)).await;
        // 20 seconds a page, and reading may take 210.
        world.state().source_faults = vec![Some(Fault::Delays); 20].into();
        let report = world.run().await;
        assert_eq!((report.caught_up, report.errors.len()), (false, 0));
        assert_eq!(world.state().asked_for_oldest, asked);
        world.state().source_faults.clear();
        assert!(world.run().await.caught_up);
        assert_eq!(world.state().asked_for_oldest, asked);
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_acknowledged_is_not_forgotten_if_the_store_comes_back_within_the_run() {
    let world = World::with_records(100);
    // The first checkpoint, the save before the batch, and then the one after it.
    let away = vec![Some(Fault::IsAway); 60];
    world.state().save_faults = [vec![None; 2], away.clone()].concat().into();
    let report = world.run().await;
    assert_eq!((report.delivered, report.errors.len()), (100, 0));
    world.run().await;
    world.assert_all_landed_once();

    // Before anything is delivered there is nothing to wait for.
    world.add(at("07:59:30"), at("07:59:30"));
    world.state().save_faults = away.into();
    let began = Instant::now();
    assert_eq!(world.run().await.errors.len(), 1);
    // No longer than the attempts at one request take.
    assert!(began.elapsed() < Duration::from_secs(16));
    assert_eq!(world.landed().len(), 100);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_stays_away_does_not_keep_a_run_from_ending() {
    let world = World::with_records(100);
    let away = vec![Some(Fault::IsAway); 1_000];
    world.state().save_faults = [vec![None; 2], away].concat().into();
    let began = Instant::now();
    assert_eq!(world.run().await.errors.len(), 1);
    assert!(began.elapsed() <= Duration::from_secs(250));
}

/// As `Source`s do whose records were stored lately and happened long ago.
fn world_of_old_records(count: i64, first: &str) -> World {
    let world = World::with_records(0);
    for n in 0..count {
        let stored = at(first) + chrono::Duration::milliseconds(100 * n);
        world.add(stored, at("05:00:00"));
    }
    world
}

#[tokio::test(start_paused = true)]
async fn a_run_that_only_leaves_records_out_goes_on_where_the_one_before_stopped() {
    let world = world_of_old_records(6_000, "07:30:00");
    for second in 0..300 {
        let time = at("07:45:00") + chrono::Duration::seconds(second);
        world.add(time, time);
    }
    let mut runs = Vec::new();
    for _ in 0..5 {
        // Twenty seconds a page, of which there is time for fifteen.
        world.state().source_faults = vec![Some(Fault::Delays); 100].into();
        let report = world
            .run_with(|policy| {
                policy.start_from = StartFrom::Ago(Duration::from_hours(1));
                policy.budget = Duration::from_secs(320);
            })
            .await;
        assert_eq!(report.errors, Vec::<String>::new());
        runs.push((report.before_start, report.delivered, report.caught_up));
    }
    let (left_out, delivered): (Vec<_>, Vec<_>) = runs.iter().map(|it| (it.0, it.1)).unzip();
    assert_eq!(
        (left_out.iter().sum(), delivered.iter().sum()),
        (6_000, 300),
        "{runs:?}"
    );
    assert_eq!(runs.last().unwrap(), &(0, 300, true), "{runs:?}");
    world.add(at("08:00:10"), at("06:59:59"));
    let start = |policy: &mut Policy| policy.start_from = StartFrom::Ago(Duration::from_hours(1));
    let report = world.run_with(start).await;
    assert_eq!(
        report.before_start, 1,
        "what is dated before the start stays left out"
    );
}

#[tokio::test(start_paused = true)]
async fn that_records_were_left_out_is_kept_before_the_run_ends() {
    let world = world_of_old_records(3_000, "07:30:00");
    // The run stops short, as one that is killed does.
    world.state().source_faults = [vec![None; 25], vec![Some(Fault::Delays)]].concat().into();
    let stopped = tokio::time::timeout(
        Duration::from_secs(10),
        world.run_with(|policy| policy.start_from = StartFrom::Ago(Duration::from_hours(1))),
    );
    assert!(stopped.await.is_err());
    let Position::After(cursor) = world.position().await else {
        panic!("nothing was kept");
    };
    assert!(cursor.stored_at().unwrap() >= at("07:33:19"), "{cursor}");
}

#[tokio::test(start_paused = true)]
async fn a_page_that_is_short_and_not_the_last_is_read_on_after() {
    let world = World::with_records(850);
    world.state().short_pages = Some(50);
    let report = world.run().await;
    assert_eq!((report.delivered, report.caught_up), (850, true));
    assert_eq!(
        world.run().await.requests,
        1,
        "a quiet run stays one request"
    );
}

#[tokio::test(start_paused = true)]
async fn a_rate_limit_that_leaves_nothing_is_no_failure_on_whichever_page() {
    for page in [0, 1] {
        let world = World::with_records(250);
        let mut faults = vec![None; page];
        faults.push(Some(Fault::IsTooLate));
        world.state().source_faults = faults.into();
        let report = world.run().await;
        assert_eq!(report.errors, Vec::<String>::new());
        assert_eq!(
            (report.caught_up, report.delivered),
            (false, 100 * page as u64)
        );
        assert!(world.run().await.caught_up);
        world.assert_all_landed_once();
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_too_slow_for_the_run_is_a_failure_only_where_nothing_was_read() {
    for (page, errors) in [(0, vec!["no answer in time"]), (1, vec![])] {
        let world = World::with_records(250);
        let mut faults = vec![None; page];
        faults.push(Some(Fault::IsSlow));
        world.state().source_faults = faults.into();
        let report = world.run().await;
        assert_eq!(report.errors, errors);
        let expected = (false, 100 * page as u64);
        assert_eq!((report.caught_up, report.delivered), expected);
        assert!(world.run().await.caught_up);
        world.assert_all_landed_once();
    }
}

#[tokio::test(start_paused = true)]
async fn records_that_are_filtered_out_move_the_cursor_although_nothing_is_delivered() {
    let mut world = World::with_records(2_500);
    world.filter = Filter::parse("fp").unwrap();
    let report = world.run().await;
    assert_eq!(
        (report.filtered, report.delivered, report.batches),
        (2_500, 0, 0)
    );
    assert!(report.caught_up && report.errors.is_empty());
    // All of them but those that are younger than the overlap.
    let again = world.run().await;
    assert_eq!((again.fetched, again.filtered), (0, 0));

    // A run that is killed does not begin again before them.
    let mut world = World::with_records(2_500);
    world.filter = Filter::parse("fp").unwrap();
    world.state().source_faults = [vec![None; 15], vec![Some(Fault::Fails)]].concat().into();
    assert_eq!(world.run().await.filtered, 1_500);
    assert_eq!(world.run().await.filtered, 1_000);
}

#[tokio::test(start_paused = true)]
async fn of_a_filtered_log_what_matches_is_delivered_in_order_and_the_rest_is_counted() {
    let mut world = World::with_records(0);
    for n in 0..250 {
        let time = at("07:50:00") + chrono::Duration::seconds(n);
        let mut record = record(time, time);
        let kind = if n % 10 == 0 { "fp" } else { "s" };
        record.json = Bytes::from(format!(r#"{{"type":"{kind}","n":{n}}}"#));
        world.state().records.insert(record.log_id.clone(), record);
    }
    world.filter = Filter::parse("auth.login.fail").unwrap();
    let report = world.run().await;
    assert_eq!(
        (report.fetched, report.delivered, report.filtered),
        (250, 25, 225)
    );
    let expected = (0..250)
        .step_by(10)
        .map(|n| format!(r#"{{"type":"fp","n":{n}}}"#));
    assert!(world.landed().into_iter().eq(expected));
}

#[tokio::test(start_paused = true)]
async fn a_record_that_is_filtered_out_is_not_sent_before_its_turn_either() {
    let mut world = World::with_records(0);
    for n in 0..212 {
        let time = at("07:50:00") + chrono::Duration::seconds(n);
        let mut record = record(time, time);
        // Nine of those that are refused fill a batch, and the tenth finds no room in it.
        let (kind, padding) = if n < 9 || n == 30 {
            ("fp", 6_000)
        } else {
            ("s", 0)
        };
        let padding = "x".repeat(padding);
        let json = format!(r#"{{"type":"{kind}","n":{n},"padding":"{padding}"}}"#);
        if kind == "fp" {
            world.state().poison.insert(LogId::new(json.clone()));
        }
        record.json = Bytes::from(json);
        world.state().records.insert(record.log_id.clone(), record);
    }
    world.filter = Filter::parse("fp").unwrap();
    let report = world.run().await;
    assert_eq!(world.landed(), Vec::<String>::new());
    assert_eq!((report.delivered, report.errors.len()), (0, 1));
}

mod ids;
mod large;
mod refused;
mod side_by_side;

#[tokio::test(start_paused = true)]
async fn what_is_quarantined_counts_as_handled_and_fails_the_run() {
    let world = World::with_records(2_500);
    // Of the first batch and of the last.
    world.state().quarantined = [3, 0, 1].into();
    let report = world.run().await;
    assert_eq!(
        (report.fetched, report.delivered, report.quarantined),
        (2_500, 2_496, 4)
    );
    assert!(report.caught_up);
    assert_eq!(
        report.errors,
        [
            "the destination quarantined 4 of the records that it took, and they are not sent again: look there"
        ]
    );
    world.assert_all_landed_once();
    let again = world.run().await;
    assert_eq!((again.delivered, again.quarantined), (0, 0));
    assert!(again.is_success());
}

#[tokio::test(start_paused = true)]
async fn a_run_that_fails_for_something_else_tells_of_the_quarantine_too() {
    let world = World::with_records(2_500);
    world.state().quarantined = [2].into();
    world.state().destination_faults = [None, Some(Fault::Fails)].into();
    let report = world.run().await;
    assert_eq!((report.delivered, report.quarantined), (998, 2));
    assert_eq!(report.errors.len(), 2, "{report:?}");
    assert!(report.errors[1].contains("quarantined 2 of"), "{report:?}");
}
