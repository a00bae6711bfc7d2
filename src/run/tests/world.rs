//! A world in memory: a source, a destination and a storage, with the faults that a test asks for.

use super::*;

mod destination;

/// What a request to a part of the world results in, instead of succeeding.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Permanently: it is not retried.
    Fails,
    /// Like a storage that is unavailable for a while.
    IsAway,
    Rejects,
    /// Like a tenant whose rate limit leaves nothing for this run.
    IsTooLate,
    /// Like a tenant that does not answer within the time left.
    IsSlow,
    Delays,
    /// Takes four seconds.
    TakesLong,
    LosesAnswer,
}

#[derive(Default)]
#[allow(clippy::struct_excessive_bools, reason = "each says something else")]
pub struct State {
    pub records: BTreeMap<LogId, Record>,
    /// Whether reading after an unknown id is rejected, or the id is taken as a lower bound.
    pub rejects_unknown: bool,
    /// For each coming request to the source, a fault or none.
    pub source_faults: VecDeque<Option<Fault>>,
    /// Records per page, if fewer than were requested.
    pub short_pages: Option<usize>,
    pub requests: u64,
    /// By how much the source says that this world's clock is ahead.
    pub clock_ahead: TimeDelta,
    pub asked_for_oldest: usize,
    /// Whether the source does not answer when it is asked for the oldest record.
    pub oldest_hangs: bool,
    pub asked_if_dropped: usize,
    pub comparisons: usize,
    /// For each coming further search.
    pub search_faults: VecDeque<Option<Fault>>,
    pub searches_further: usize,
    pub looks: usize,
    pub landed: Vec<Vec<String>>,
    /// How many rows of each coming delivery are quarantined.
    pub quarantined: VecDeque<u64>,
    pub destination_faults: VecDeque<Option<Fault>>,
    /// For each coming read of the checkpoint.
    pub load_faults: VecDeque<Option<Fault>>,
    pub saves: u64,
    /// When each save began.
    pub saves_begun: Vec<Instant>,
    /// For each coming save.
    pub save_faults: VecDeque<Option<Fault>>,
    /// Added to every page, beside its records.
    pub misfits: Vec<Bytes>,
    /// Records that the destination refuses.
    pub refused: BTreeSet<LogId>,
    pub refuses_all: bool,
    /// How many of the first posts are refused, whatever is in them, if not all are.
    pub refuses_first: usize,
    /// Whether the destination tells the outcome of each record separately.
    pub tells_each: bool,
    /// Rows per delivery, if fewer than usual.
    pub rows_at_once: Option<usize>,
    /// Bytes per delivery, if not the usual number.
    pub bytes_at_once: Option<usize>,
    /// How long a post takes.
    pub post_takes: Duration,
    /// An answer that is not received within this time counts as missing.
    pub answers_keep: Option<Duration>,
    /// A delivery of more rows gets no answer in time; its rows land all the same.
    pub rows_in_time: Option<usize>,
    /// For this many rows of the next accepted delivery, no outcome is told.
    pub untold: usize,
    /// A delivery with any of these records gets no answer in time.
    pub unanswered: BTreeSet<LogId>,
    /// Records over which the destination fails internally.
    pub poison_records: BTreeSet<LogId>,
    /// Whether each of the coming posts fails internally, whatever is in it.
    pub fails_inside_next: VecDeque<bool>,
    /// This many posts fail internally, whatever is in them.
    pub fails_inside: usize,
    /// Whether a post that lasts longer than the run is cut off before it lands.
    pub cuts_posts: bool,
    /// How long a save takes.
    pub save_takes: Duration,
    /// Deliveries that may be in flight at a time, if more than one.
    pub side_by_side: usize,
    /// Deliveries in flight now, and the most that were in flight at a time.
    pub under_way: (usize, usize),
    pub posts: usize,
    /// Records that the destination cannot encode.
    pub unfit: BTreeSet<LogId>,
    /// Those of them that it can encode shortened.
    pub cut: BTreeSet<LogId>,
    pub dead_letter_faults: VecDeque<Option<Fault>>,
}

#[derive(Clone)]
pub struct World {
    pub state: Arc<Mutex<State>>,
    pub memory: Memory,
    pub clock: Clock,
    pub stopping: watch::Sender<bool>,
    pub pace: Arc<Pace>,
    pub filter: Filter,
    /// Without one, no later run goes on where a run ends.
    pub has_budget: bool,
}

impl World {
    /// A world in which it is 08:00:00, with this many records, one a second. The last is stored and
    /// dated 07:58:00.
    pub fn with_records(count: i64) -> Self {
        let began = Instant::now();
        let world = Self {
            state: Arc::default(),
            memory: Memory::default(),
            stopping: watch::Sender::new(false),
            pace: Arc::default(),
            filter: Filter::default(),
            has_budget: true,
            clock: Arc::new(move || at("08:00:00") + began.elapsed()),
        };
        for n in 0..count {
            let time = at("07:58:00") - chrono::Duration::seconds(count - 1 - n);
            world.add(time, time);
        }
        world
    }

    pub fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub fn add(&self, stored: DateTime<Utc>, date: DateTime<Utc>) {
        let record = record(stored, date);
        self.state().records.insert(record.log_id.clone(), record);
    }

    pub fn policy() -> Policy {
        Policy {
            start_from: StartFrom::Oldest,
            overlap: Duration::from_mins(1),
            budget: Duration::from_mins(4),
        }
    }

    /// The checkpoint store of a process in this world.
    pub fn checkpoints(&self) -> CheckpointStore {
        let storage = Arc::new(Storage::over(self.clone(), Jitter::seeded(1)));
        CheckpointStore::new(storage, "acme", "memory", "me".into())
    }

    pub async fn run_of(
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
            label: "memory",
            source,
            destination: self,
            filter: &self.filter,
            dead_letters: &DeadLetterStore::new(storage, "acme", "memory", Redaction::Off.into()),
            share: &MemoryBudget::default().enter(),
            pace: &self.pace,
            clock: &self.clock,
            stopping: &self.stopping.subscribe(),
            budget: self.has_budget.then_some(budget),
        };
        run.make(&mut ledger, progress).await
    }

    pub async fn run(&self) -> Report {
        self.run_with(|_| ()).await
    }

    pub async fn run_with(&self, change: impl FnOnce(&mut Policy)) -> Report {
        let mut policy = Self::policy();
        change(&mut policy);
        self.run_of(self, policy, &watch::Sender::default()).await
    }

    /// Ids that landed, in the order of landing.
    pub fn landed(&self) -> Vec<String> {
        self.state().landed.concat()
    }

    pub fn all_ids(&self) -> Vec<String> {
        self.state()
            .records
            .keys()
            .map(ToString::to_string)
            .collect()
    }

    pub fn assert_all_landed_once(&self) {
        let mut landed = self.landed();
        landed.sort();
        assert_eq!(landed, self.all_ids());
    }

    pub async fn position(&self) -> Position {
        let checkpoints = self.checkpoints();
        let now = (self.clock)();
        let loaded = checkpoints.load(now, Deadline::after(Duration::from_mins(1)));
        match loaded.await.unwrap().found {
            Stored::Newest(checkpoint) => checkpoint.position(),
            other => panic!("{other:?}"),
        }
    }

    /// Makes both generations of the checkpoint unreadable.
    pub fn lose_checkpoint(&self) {
        for path in [CHECKPOINT, "checkpoints/acme/memory.previous.json"] {
            self.memory.put(path, Bytes::from_static(&[0; 9]));
        }
    }

    /// For each dead letter, its id (or its text if it has none) and the reason.
    pub async fn dead_letters(&self) -> Vec<String> {
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
    pub async fn suffer(fault: Option<Fault>) -> Result<(), SourceError> {
        match fault {
            None => Ok(()),
            Some(Fault::Rejects) => Err(SourceError::Rejected("no such id".into())),
            Some(Fault::IsTooLate) => Err(SourceError::OutOfTime("no requests left".into())),
            Some(Fault::IsSlow) => Err(SourceError::Slow("no answer in time".into())),
            Some(Fault::Delays) => {
                tokio::time::sleep(Duration::from_secs(20)).await;
                Ok(())
            }
            Some(Fault::TakesLong) => {
                tokio::time::sleep(Duration::from_secs(4)).await;
                Ok(())
            }
            Some(Fault::Fails | Fault::IsAway | Fault::LosesAnswer) => {
                Err(SourceError::Failed(failure()))
            }
        }
    }

    pub async fn suffer_storage(fault: Option<Fault>) -> Result<(), StorageError> {
        match fault {
            Some(Fault::IsAway) => Err(StorageError::Unavailable("it is away".into(), failure())),
            fault => {
                let suffered = Self::suffer(fault).await;
                suffered.map_err(|_| StorageError::Denied("it is denied".into(), failure()))
            }
        }
    }

    pub fn page_after(&self, bound: Option<&LogId>) -> Page {
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

    pub fn rejects(&self, id: &LogId) -> bool {
        let state = self.state();
        state.rejects_unknown && !state.records.contains_key(id)
    }

    fn newest(&self, to: Option<DateTime<Utc>>) -> Vec<Record> {
        let state = self.state();
        let records = state.records.values();
        let mut records: Vec<_> = records
            .filter(|it| to.is_none() || it.date <= to)
            .cloned()
            .collect();
        records.sort_by_key(|record| std::cmp::Reverse(record.date));
        records.truncate(state.short_pages.unwrap_or(PAGE));
        records
    }

    pub fn source_fault(&self) -> Option<Fault> {
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

    async fn next(&self, after: &LogId, _: Deadline) -> Result<Option<Record>, SourceError> {
        // Like a search, it does not count among the pages.
        let fault = {
            let mut state = self.state();
            state.looks += 1;
            state.source_faults.pop_front().flatten()
        };
        Self::suffer(fault).await?;
        if self.rejects(after) {
            Self::suffer(Some(Fault::Rejects)).await?;
        }
        let page = self.page_after(Some(after));
        Ok(page.records.into_iter().next())
    }

    async fn look(&self, id: &LogId, deadline: Deadline) -> Result<Page, SourceError> {
        self.after(id, deadline).await
    }

    async fn has_dropped(&self, id: &LogId, _: Deadline) -> Result<bool, SourceError> {
        Self::suffer(self.source_fault()).await?;
        let mut state = self.state();
        state.asked_if_dropped += 1;
        let mut dates = state.records.values().map(|it| it.date);
        Ok(!dates.any(|date| date <= id.stored_at()))
    }

    async fn latest(&self, _: Deadline) -> Result<Vec<Record>, SourceError> {
        self.state().comparisons += 1;
        Ok(self.newest(None))
    }

    async fn earlier(&self, to: DateTime<Utc>, _: Deadline) -> Result<Vec<Record>, SourceError> {
        let fault = {
            let mut state = self.state();
            state.searches_further += 1;
            state.search_faults.pop_front().flatten()
        };
        Self::suffer(fault).await?;
        Ok(self.newest(Some(to)))
    }

    async fn smallest(
        &self,
        prefix: &str,
        from: DateTime<Utc>,
        _: Deadline,
    ) -> Result<Option<Page>, SourceError> {
        let state = self.state();
        let mut records = state.records.values();
        let is_it = |it: &&Record| it.log_id.prefix() == Some(prefix) && it.date >= Some(from);
        Ok(records.find(is_it).cloned().map(Page::of))
    }

    async fn one(&self, id: &LogId, _: Deadline) -> Result<Option<Record>, SourceError> {
        Ok(self.state().records.get(id).cloned())
    }

    async fn oldest(&self, deadline: Deadline) -> Result<Option<DateTime<Utc>>, SourceError> {
        if self.state().oldest_hangs {
            tokio::time::sleep_until(deadline.for_answers()).await;
            return Err(SourceError::Slow(failure()));
        }
        let mut state = self.state();
        state.asked_for_oldest += 1;
        Ok(state.records.values().next().and_then(|record| record.date))
    }

    fn clock_ahead(&self) -> TimeDelta {
        self.state().clock_ahead
    }

    fn requests(&self) -> u64 {
        self.state().requests
    }
}

/// The memory, with this world's faults. Anyone may write to it: conflicts are detected by version.
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
            if path == CHECKPOINT {
                self.state().saves_begun.push(Instant::now());
                let takes = self.state().save_takes;
                if !takes.is_zero() {
                    tokio::time::sleep(takes).await;
                }
            }
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
