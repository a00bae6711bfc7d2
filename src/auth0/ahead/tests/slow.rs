//! A log whose answers take some time each.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use fastrand::Rng;

use super::*;
use crate::record::Misfit;

/// How the log treats ids that it never issued.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum MadeUp {
    Taken,
    Rejected,
    /// Treated as the end of the log.
    Ignored,
    /// Treated as an id of 90 s later.
    Misread,
}

/// A log whose answers take some time each.
pub(super) struct Slow {
    pub ids: Mutex<BTreeSet<LogId>>,
    pub made_up: MadeUp,
    pub page: usize,
    pub latency: u64,
    pub rng: Mutex<Rng>,
    pub requests: AtomicU64,
    /// Bytes of a record.
    pub bytes: usize,
    pub fails_after: Option<u64>,
    /// Whether each page has a misfit.
    pub has_misfits: bool,
    /// The request of this number panics.
    pub panics_at: Option<u64>,
    /// Requests from this number on are never answered.
    pub hangs_from: Option<u64>,
    /// Requests under way, and the most there were.
    pub active: Mutex<(usize, usize)>,
    pub is_crowded: bool,
}

impl Slow {
    /// Records at these distances in milliseconds, the last one stored `last` before now.
    pub fn new(distances: impl IntoIterator<Item = u64>, last: TimeDelta) -> Self {
        let mut time = at(NOW) - last;
        let distances: Vec<_> = distances.into_iter().collect();
        let ids = distances
            .into_iter()
            .enumerate()
            .rev()
            .map(|(number, distance)| {
                time -= Duration::from_millis(distance);
                // In the form of a record's id.
                LogId::new(format!("{}{number:09}7", &id(time).as_str()[..46]))
            });
        Self {
            ids: Mutex::new(ids.collect()),
            made_up: MadeUp::Taken,
            page: 100,
            latency: 200,
            rng: Mutex::new(Rng::with_seed(7)),
            requests: AtomicU64::new(0),
            bytes: 2,
            fails_after: None,
            has_misfits: false,
            panics_at: None,
            hangs_from: None,
            active: Mutex::default(),
            is_crowded: false,
        }
    }

    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    pub fn most(&self) -> usize {
        self.active.lock().unwrap().1
    }

    pub fn page_after(&self, id: &LogId) -> Result<Page, &'static str> {
        let ids = self.ids.lock().unwrap();
        let is_synthetic = !ids.contains(id) && id.stored_at() != Some(DateTime::UNIX_EPOCH);
        let from = match self.made_up {
            MadeUp::Rejected if is_synthetic => return Err("rejected"),
            MadeUp::Ignored if is_synthetic => return Ok(Page::last(Vec::new())),
            MadeUp::Misread if is_synthetic => {
                let stored = id.stored_at().unwrap();
                LogId::synthetic("900", stored + TimeDelta::seconds(90))
            }
            _ => id.clone(),
        };
        let after = ids.range(from.clone()..).filter(|it| **it > from);
        let json = Bytes::from(vec![b'x'; self.bytes]);
        let records = after.take(self.page).map(|log_id| Record {
            log_id: log_id.clone(),
            date: None,
            json: json.clone(),
        });
        let records: Vec<_> = records.collect();
        let misfit = Misfit {
            json: Bytes::from_static(b"null"),
            date: None,
            reason: "it has no log_id",
        };
        Ok(Page {
            is_last: records.is_empty(),
            misfits: self.has_misfits.then_some(misfit).into_iter().collect(),
            ..Page::last(records)
        })
    }
}

impl Log for Slow {
    type Error = &'static str;

    async fn after(&self, id: &LogId, _: Deadline) -> Result<Page, &'static str> {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        {
            let mut active = self.active.lock().unwrap();
            *active = (active.0 + 1, active.1.max(active.0 + 1));
        }
        let latency = self
            .rng
            .lock()
            .unwrap()
            .u64(self.latency / 2..=self.latency);
        tokio::time::sleep(Duration::from_millis(latency)).await;
        self.active.lock().unwrap().0 -= 1;
        assert!(self.panics_at != Some(number), "a bug");
        if self.hangs_from.is_some_and(|it| number >= it) {
            pending::<()>().await;
        }
        if self.fails_after.is_some_and(|it| number >= it) {
            return Err("failed");
        }
        self.page_after(id)
    }

    fn is_rejected(error: &&'static str) -> bool {
        *error == "rejected"
    }

    fn is_crowded(&self) -> bool {
        self.is_crowded
    }
}
