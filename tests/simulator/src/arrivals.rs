//! What arrives at a workspace, through any of its APIs: how a test reads it, and how it
//! interferes.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::response::Response;
use chrono::{DateTime, Duration, Utc};
use flate2::read::GzDecoder;
use serde_json::{Value, json};

use crate::server::{Counter, Fault, Faults};

/// A row as a query shows it: column to value.
pub type Row = BTreeMap<String, Value>;

/// A table.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// The rows that were stored.
    pub rows: Vec<Row>,
    /// When each of the rows was stored.
    pub stored_at: Vec<DateTime<Utc>>,
    /// The custom columns that the rows made, suffixes included.
    pub columns: BTreeSet<String>,
    /// Records that were accepted and then dropped, since they needed one column too many.
    pub dropped: usize,
}

impl Table {
    /// Adds a row whose record names `date` as its time. If that is more than two days ago or more
    /// than a day ahead, the time of arrival replaces it.
    pub(crate) fn push(
        &mut self,
        mut row: Row,
        date: Option<DateTime<Utc>>,
        arrival: DateTime<Utc>,
    ) {
        let is_believed = |date: &DateTime<Utc>| {
            arrival - Duration::days(2) <= *date && *date <= arrival + Duration::days(1)
        };
        let generated = date.filter(is_believed).unwrap_or(arrival);
        self.columns.extend(row.keys().cloned());
        row.insert("TimeGenerated".into(), json!(generated));
        self.rows.push(row);
        self.stored_at.push(arrival);
    }
}

/// The posts to a workspace, and the rows that they made.
#[derive(Debug, Default)]
pub struct Arrivals {
    tables: Mutex<BTreeMap<String, Table>>,
    posts: Mutex<Vec<usize>>,
    /// Posts that were accepted.
    taken: Counter,
    requests: Counter,
    faults: Faults,
    refused: Mutex<Vec<String>>,
    /// Texts for which something on the way blocks a post, and its answer.
    blocked: Mutex<Vec<(String, Fault)>>,
    /// One of this many rows is dropped; 0 drops none.
    dropping: AtomicUsize,
    rows: AtomicUsize,
}

impl Arrivals {
    /// A table as it is now; empty if nothing was posted to it.
    pub fn table(&self, name: &str) -> Table {
        self.tables().get(name).cloned().unwrap_or_default()
    }

    /// The log ids in `Auth0AM_CL`, in the order in which they were stored.
    pub fn landed(&self) -> Vec<String> {
        let id = |row: &Row| {
            let id = row.get("log_id_s").and_then(Value::as_str);
            id.unwrap_or_default().to_owned()
        };
        self.table("Auth0AM_CL").rows.iter().map(id).collect()
    }

    /// How many rows `Auth0AM_CL` has.
    pub fn stored(&self) -> usize {
        let tables = self.tables();
        tables.get("Auth0AM_CL").map_or(0, |table| table.rows.len())
    }

    /// The length of each post that was accepted, as JSON.
    pub fn posts(&self) -> Vec<usize> {
        lock(&self.posts).clone()
    }

    /// The number of posts so far, accepted or not.
    pub fn requests(&self) -> u64 {
        self.requests.get()
    }

    /// Waits until `least` posts have come, accepted or not.
    pub async fn wait_for_post(&self, least: u64) {
        self.requests.wait_for(least).await;
    }

    /// Waits until `Auth0AM_CL` has at least this many rows.
    pub async fn wait_for_rows(&self, least: usize) {
        loop {
            let taken = self.taken.get();
            if self.stored() >= least {
                return;
            }
            self.taken.wait_for(taken + 1).await;
        }
    }

    /// From now on refuses every post that contains this text, as the service refuses one that it
    /// cannot read.
    pub fn refuse(&self, text: &str) {
        lock(&self.refused).push(text.to_owned());
    }

    /// From now on answers every post that contains this text like this, as something on the way does
    /// that blocks it. Nothing of such a post is stored.
    pub fn block(&self, text: &str, answer: Fault) {
        lock(&self.blocked).push((text.to_owned(), answer));
    }

    /// Stops refusing and blocking posts.
    pub fn relent(&self) {
        lock(&self.refused).clear();
        lock(&self.blocked).clear();
    }

    /// Acknowledges every row from now on, and drops one of every `rows` rows; 0 drops none.
    pub fn drop_one_of(&self, rows: usize) {
        self.dropping.store(rows, Ordering::Relaxed);
    }

    /// Whether the next row is dropped.
    pub(crate) fn drops(&self) -> bool {
        let one_of = self.dropping.load(Ordering::Relaxed);
        one_of > 0 && (self.rows.fetch_add(1, Ordering::Relaxed) + 1).is_multiple_of(one_of)
    }

    /// Applies these faults to the next posts, one to each.
    pub fn fail(&self, faults: impl IntoIterator<Item = Fault>) {
        self.faults.add(faults);
    }

    /// From now on lets this share of posts fail. The same seed gives the same failures.
    pub fn fail_at_random(&self, seed: u64, share: f64) {
        self.faults.at_random(seed, share);
    }

    /// How many posts were stored without an answer that acknowledged them.
    pub fn answers_lost(&self) -> u64 {
        self.faults.answers_lost()
    }

    /// Counts a post, and answers as `accept` says unless a fault intervenes.
    pub(crate) async fn answer(&self, post: &[u8], accept: impl FnOnce() -> Response) -> Response {
        self.requests.count();
        if let Some(blocked) = self.blocks(post) {
            return blocked.respond().await;
        }
        match self.faults.next() {
            Some(fault @ (Fault::LoseAnswer | Fault::Break)) => {
                drop(accept());
                return fault.respond().await;
            }
            Some(Fault::Wait(gate)) => gate.pass().await,
            Some(fault) => return fault.respond().await,
            None => {}
        }
        accept()
    }

    pub(crate) fn refuses(&self, post: &[u8]) -> bool {
        lock(&self.refused).iter().any(|text| contains(post, text))
    }

    /// The answer of what blocks this post, if anything does. It looks into compressed posts too.
    fn blocks(&self, post: &[u8]) -> Option<Fault> {
        let blocked = lock(&self.blocked);
        if blocked.is_empty() {
            return None;
        }
        let mut plain = Vec::new();
        let is_read = GzDecoder::new(post).read_to_end(&mut plain).is_ok();
        let post = if is_read { &plain } else { post };
        let found = blocked.iter().find(|(text, _)| contains(post, text));
        found.map(|(_, answer)| answer.clone())
    }

    pub(crate) fn accepted(&self, length: usize) {
        lock(&self.posts).push(length);
        self.taken.count();
    }

    pub(crate) fn tables(&self) -> MutexGuard<'_, BTreeMap<String, Table>> {
        lock(&self.tables)
    }
}

fn contains(post: &[u8], text: &str) -> bool {
    post.windows(text.len()).any(|it| it == text.as_bytes())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
