//! The world of a simulation: its records, what happened to them, and whether a run's actions are
//! allowed.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use tokio::time::Instant;

use crate::destination::Limits;
use crate::record::{LogId, Page, Position, Record, STORING_DELAY, Start};
use crate::run::Policy;
use crate::state::{Checkpoint, read_checkpoint};
use crate::storage::{Object, Version};

/// The path of the checkpoint.
pub(super) const CHECKPOINT: &str = "checkpoints/acme/simulated.json";
pub(super) const DEAD_LETTERS: &str = "dead-letter/acme/simulated/";

/// 2026-11-21T08:00:00Z, when the first run begins.
pub(super) const EIGHT: DateTime<Utc> = DateTime::from_timestamp(1_795_248_000, 0).unwrap();

/// 2026-11-21 at this time of day.
pub(super) fn at(clock: &str) -> DateTime<Utc> {
    format!("2026-11-21T{clock}Z").parse().unwrap()
}

/// Slightly longer than the shortest retention: Auth0 does not drop records to the second.
pub(super) const RETENTION: Duration = Duration::from_mins(24 * 60 + 5);
/// The parts that a run communicates with.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part {
    Source,
    Destination,
    Store,
    DeadLetters,
}

/// The probabilities of each kind of fault in a call to one part.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Odds {
    pub fails: f64,
    pub loses_answer: f64,
    pub delays: f64,
    pub hangs: f64,
    /// The source rejects the id or a request; a post lands twice, because its response was lost
    /// and it was repeated within the call; the storage denies access.
    pub oddity: f64,
}

/// The constants of one seed.
#[derive(Clone, Debug)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "they are facts about one world, and each combination is one"
)]
pub(super) struct Plan {
    pub seed: u64,
    pub is_traced: bool,
    pub policy: Policy,
    pub odds: [Odds; 4],
    pub limits: Limits,
    pub page: usize,
    /// Whether a page may hold fewer records than requested although there are more.
    pub has_short_pages: bool,
    /// Whether reading after an id that does not exist is rejected, or takes the id as a bound.
    pub rejects_unknown: bool,
    /// Whether ids have several prefixes, so that some records are found only by search.
    pub has_prefixes: bool,
    /// Maximum rows of a post. Larger ones are refused.
    pub takes_at_most: usize,
    /// The time during which the destination refuses everything.
    pub refuses_all: std::ops::Range<DateTime<Utc>>,
}

impl Plan {
    /// Rows of a full batch. Each row is as long as an id, plus one byte.
    pub fn batch_rows(&self) -> usize {
        self.limits.rows.min(self.limits.bytes / 57)
    }
}

/// A record, and what happened to it.
#[derive(Clone, Debug)]
pub(super) struct Fact {
    pub record: Record,
    pub stored_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
    pub visible_at: DateTime<Utc>,
    pub is_poison: bool,
    pub is_unfit: bool,
    pub landed: u64,
    pub is_dead: bool,
}

impl Fact {
    pub fn is_settled(&self) -> bool {
        self.landed > 0 || self.is_dead
    }

    pub fn is_expired(&self, now: DateTime<Utc>) -> bool {
        self.expires_at <= now
    }

    fn is_there(&self, now: DateTime<Utc>) -> bool {
        self.visible_at <= now && !self.is_expired(now)
    }
}

/// What happened in one seed.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Tally {
    pub runs: u64,
    pub crashes: u64,
    /// Posts that landed.
    pub posts: u64,
    /// Acknowledged posts.
    pub acknowledged: u64,
    pub duplicates: u64,
    pub faults: [u64; 4],
    pub timed_out: u64,
    pub strays: u64,
    /// Saves that began.
    pub saves: u64,
    /// Saves that are known to have succeeded.
    pub saved: u64,
    pub conflicts: u64,
    pub refused: u64,
    pub restarts: u64,
    pub expired: u64,
    pub gaps: u64,
    pub dead_letters: u64,
    pub left_out: u64,
    pub twins: u64,
    pub late: u64,
}

/// What one run has learnt and done.
#[derive(Default)]
pub(super) struct Told {
    pub calls: [u64; 4],
    /// The checkpoint that it loaded.
    pub loaded: Option<Checkpoint>,
    /// Whether one of its saves had an effect.
    pub has_saved: bool,
    pub acknowledged: BTreeSet<LogId>,
    /// The number of dead letters that it wrote.
    pub buried: u64,
    /// Whether the source has rejected its cursor.
    pub is_cursor_gone: bool,
}

impl Told {
    pub fn delivered(&self) -> u64 {
        self.acknowledged.len() as u64
    }
}

pub(super) struct State {
    pub plan: Plan,
    pub began: Instant,
    pub facts: BTreeMap<LogId, Fact>,
    open: BTreeSet<LogId>,
    pub objects: BTreeMap<String, Object>,
    writes: u64,
    highest_cursors: BTreeMap<String, LogId>,
    /// When the first checkpoint was saved.
    begun_at: Option<DateTime<Utc>>,
    /// When each prefix first had a cursor.
    has_cursor_since: BTreeMap<String, DateTime<Utc>>,
    /// When the log was first read to its end, whatever the prefix.
    has_ended_since: Option<DateTime<Utc>>,
    /// Where the first run began. Earlier records need not be delivered.
    start: Option<Start>,
    /// Good records among the dead letters.
    good_dead: BTreeSet<LogId>,
    pub are_faults_on: bool,
    pub runs: Vec<Told>,
    pub tally: Tally,
    /// The first violated expectation. It is stored because it may occur in a separate task, where
    /// nobody would notice a panic.
    pub violation: Option<String>,
    /// What happened, line by line, if tracing is on.
    pub lines: Vec<String>,
}

impl State {
    pub fn new(plan: Plan, facts: BTreeMap<LogId, Fact>) -> Self {
        Self {
            plan,
            began: Instant::now(),
            open: facts.keys().cloned().collect(),
            facts,
            objects: BTreeMap::new(),
            writes: 0,
            highest_cursors: BTreeMap::new(),
            begun_at: None,
            has_cursor_since: BTreeMap::new(),
            has_ended_since: None,
            start: None,
            good_dead: BTreeSet::new(),
            are_faults_on: true,
            runs: Vec::new(),
            tally: Tally::default(),
            violation: None,
            lines: Vec::new(),
        }
    }

    pub fn now(&self) -> DateTime<Utc> {
        EIGHT + self.began.elapsed()
    }

    /// The records that are neither delivered nor dead letters yet.
    pub fn open(&self) -> impl Iterator<Item = &Fact> {
        self.open.iter().map(|id| &self.facts[id])
    }

    pub fn expect(&mut self, is_so: bool, what: impl FnOnce() -> String) {
        if !is_so && self.violation.is_none() {
            self.violation = Some(format!("at {}: {}", self.now(), what()));
        }
    }

    pub fn trace(&mut self, what: impl FnOnce() -> String) {
        if self.plan.is_traced {
            let line = format!("{} {}", self.now().format("%dT%H:%M:%S%.3f"), what());
            self.lines.push(line);
        }
    }

    /// Whether this record has to be delivered or become a dead letter.
    pub fn is_due(&self, fact: &Fact) -> bool {
        match self.start {
            Some(Start::At(start)) => fact.record.date.unwrap() >= start,
            _ => true,
        }
    }

    /// Whether a record that was dropped before it was read must lie in a reported gap.
    ///
    /// With `START_FROM=oldest`, that is the case only for records stored after the first
    /// checkpoint. Of earlier ones nothing is known, except for prefixes already met, or once the
    /// log was read to its end. An impossible id belongs to none of these prefixes: it is above or
    /// below everything that was read, at any time.
    pub fn is_missed(&self, fact: &Fact) -> bool {
        let id = &fact.record.log_id;
        let is_right = id.stored_at() == Some(fact.stored_at);
        let met_at = self.has_cursor_since.get(id.series());
        let met_at = met_at.filter(|_| is_right);
        let mut known_at = met_at.into_iter().chain(&self.has_ended_since);
        matches!(self.start, Some(Start::At(_)))
            || self.begun_at.is_some_and(|time| time <= fact.stored_at)
            || known_at.any(|time| !fact.is_expired(*time))
    }

    pub fn page_after(&self, bound: Option<&LogId>) -> Page {
        let now = self.now();
        let from = bound.map_or(Bound::Unbounded, Bound::Excluded);
        let after = self.facts.range((from, Bound::Unbounded));
        let mut after = after
            .filter(|(_, fact)| fact.is_there(now))
            .map(|(_, fact)| fact.record.clone());
        let size = match (self.plan.has_short_pages, bound) {
            // A varying size.
            (true, Some(id)) => {
                1 + id.as_str().bytes().map(usize::from).sum::<usize>() % self.plan.page
            }
            _ => self.plan.page,
        };
        let records: Vec<_> = after.by_ref().take(size).collect();
        Page {
            is_last: if self.plan.has_short_pages {
                after.next().is_none()
            } else {
                records.len() < size
            },
            records,
            misfits: Vec::new(),
        }
    }

    pub fn is_there(&self, id: &LogId) -> bool {
        let fact = self.facts.get(id);
        fact.is_some_and(|fact| fact.is_there(self.now()))
    }

    pub fn is_dropped(&self, id: &LogId) -> bool {
        let now = self.now();
        let stored = id.stored_at().unwrap();
        let mut there = self.facts.values().filter(|fact| fact.is_there(now));
        !there.any(|fact| fact.stored_at <= stored)
    }

    /// The existing records with this date or a later one, by date.
    pub fn by_date(&self, from: DateTime<Utc>) -> Vec<Record> {
        let now = self.now();
        let there = self.facts.values().filter(|fact| fact.is_there(now));
        let records = there.map(|fact| fact.record.clone());
        let mut records: Vec<_> = records.filter(|it| it.date.unwrap() >= from).collect();
        records.sort_by_key(|record| record.date);
        records
    }

    /// The hundred newest records by date, or the newest ones up to this date.
    pub fn newest(&self, to: Option<DateTime<Utc>>) -> Vec<Record> {
        let records = self.by_date(DateTime::UNIX_EPOCH).into_iter().rev();
        let newest = records.filter(|it| to.is_none() || it.date <= to);
        newest.take(100).collect()
    }

    /// The first page of a reading that begins at this time: from below the smallest prefix that a
    /// search shows. If that page is empty, the smallest record in the search.
    pub fn page_from(&self, time: DateTime<Utc>) -> Page {
        let records = self.by_date(time);
        let prefixes = records.iter().take(100).filter_map(|it| it.log_id.prefix());
        let bound = LogId::synthetic(prefixes.min().unwrap_or("900"), time - STORING_DELAY);
        let page = self.page_after(Some(&bound));
        let smallest = records.into_iter().min_by(|a, b| a.log_id.cmp(&b.log_id));
        match smallest {
            Some(smallest) if page.records.is_empty() => Page {
                is_last: false,
                ..Page::last(vec![smallest])
            },
            _ => page,
        }
    }

    /// Accepts or refuses a post.
    pub fn land(&mut self, run: usize, ids: &[LogId], times: u64) -> bool {
        let is_poison = |id: &LogId| self.facts[id].is_poison;
        let refuses_all = self.are_faults_on && self.plan.refuses_all.contains(&self.now());
        if refuses_all || ids.len() > self.plan.takes_at_most || ids.iter().any(is_poison) {
            self.tally.refused += 1;
            self.trace(|| format!("  run {run}: a post of {ids:?} is refused"));
            return false;
        }
        self.trace(|| format!("  run {run}: a post of {ids:?} lands"));
        let rows = self.plan.batch_rows();
        self.expect(ids.len() <= rows, || "a post of too many rows".to_owned());
        let has_saved = self.runs[run].has_saved;
        self.expect(has_saved, || {
            format!("run {run} posts before it knows that it may save")
        });
        for id in ids {
            let told = &self.runs[run];
            let loaded = told.loaded.as_ref();
            let was_known = told.acknowledged.contains(id)
                || loaded.is_some_and(|checkpoint| checkpoint.has_handled(id));
            self.expect(!was_known, || {
                format!("run {run} delivers {id} although it knows that it is delivered")
            });
            let fact = self.facts.get_mut(id).unwrap();
            let before = fact.landed.min(1);
            fact.landed += times;
            self.open.remove(id);
            self.tally.duplicates += before + times - 1;
        }
        self.tally.posts += times;
        true
    }

    /// Accepts a dead letter.
    pub fn bury(&mut self, id: &LogId) {
        self.trace(|| format!("  {id} is a dead letter"));
        let fact = self.facts.get_mut(id).unwrap();
        fact.is_dead = true;
        self.open.remove(id);
        if !(fact.is_poison || fact.is_unfit) {
            self.good_dead.insert(id.clone());
        }
        // If the destination begins to refuse everything while a batch is being split, the rest of
        // this batch looks bad. That must not continue with later batches.
        let tolerated = if self.plan.refuses_all.is_empty() {
            0
        } else {
            self.plan.batch_rows()
        };
        let count = self.good_dead.len();
        self.expect(count <= tolerated, || {
            format!(
                "{id} is set aside, and it is good, as were {} before",
                count - 1
            )
        });
    }

    /// Notes the checkpoint that a run loaded, up to its first save.
    pub fn watch_load(&mut self, run: usize, object: Option<&Object>) {
        if !self.runs[run].has_saved {
            self.runs[run].loaded = object.map(|(json, _)| read_checkpoint(json).unwrap());
        }
    }

    /// Writes an object. Returns its new version; `None` if the object is not the version that the
    /// writer has seen.
    pub fn write(
        &mut self,
        run: usize,
        path: &str,
        content: Bytes,
        over: Option<&Version>,
    ) -> Option<Version> {
        let stored = self.objects.get(path).map(|(_, version)| version);
        if stored != over {
            self.tally.conflicts += u64::from(path == CHECKPOINT);
            return None;
        }
        if path == CHECKPOINT {
            self.watch_save(run, &read_checkpoint(&content).unwrap());
            self.runs[run].has_saved = true;
        } else if let Some(name) = path.strip_prefix(DEAD_LETTERS) {
            let id = LogId::new(name.trim_end_matches(".json"));
            self.bury(&id);
            self.runs[run].buried += 1;
            self.tally.dead_letters += 1;
        }
        self.writes += 1;
        let version = Version::new(self.writes.to_string());
        self.objects
            .insert(path.to_owned(), (content, version.clone()));
        Some(version)
    }

    fn stored(&self) -> Option<Checkpoint> {
        let (json, _) = self.objects.get(CHECKPOINT)?;
        Some(read_checkpoint(json).unwrap())
    }

    /// The checkpoint must not claim more than is true, nor less than before.
    fn watch_save(&mut self, run: usize, checkpoint: &Checkpoint) {
        let position = checkpoint.position();
        self.trace(|| format!("  run {run} saves {checkpoint:?}"));
        if let Some(start) = checkpoint.first_start() {
            self.start = Some(self.start.map_or(start, |known| known.min(start)));
        }
        let now = self.now();
        self.begun_at.get_or_insert(now);
        // What the checkpoint claims is handled: everything up to a cursor, and the ids that it remembers.
        let cursors = checkpoint.cursors().into_iter();
        let passed = cursors.flat_map(|it| self.open.range(LogId::new(it.series())..=it.clone()));
        let remembered = checkpoint.remembered().filter(|id| self.open.contains(*id));
        let lost = passed.chain(remembered).find(|id| {
            let fact = &self.facts[*id];
            !fact.is_expired(now) && self.is_due(fact)
        });
        let lost = lost.cloned();
        self.expect(lost.is_none(), || {
            format!("run {run} saves that {lost:?} is delivered, and it is not")
        });
        for cursor in checkpoint.cursors() {
            let met_at = self.has_cursor_since.entry(cursor.series().to_owned());
            met_at.or_insert(now);
        }
        if checkpoint.has_compared() {
            self.has_ended_since.get_or_insert(now);
        }
        let series = match &position {
            Position::After(cursor) => cursor.series(),
            Position::Start(_) => "900",
        };
        let highest = self.highest_cursors.get(series).cloned();
        match position {
            Position::After(cursor) => {
                self.expect(Some(&cursor) >= highest.as_ref(), || {
                    format!("run {run} moves the cursor back from {highest:?} to {cursor}")
                });
                self.highest_cursors
                    .insert(cursor.series().to_owned(), cursor);
            }
            Position::Start(start) => {
                let may_restart = highest.is_none()
                    || self.runs[run].is_cursor_gone
                    || self.stored().is_some_and(|it| it.position() == position);
                self.expect(may_restart, || {
                    format!("run {run} restarts at {start:?} although the cursor is of use")
                });
            }
        }
    }
}
