//! What one delivery holds.

use std::collections::HashSet;

use bytes::Bytes;
use tokio::time::Instant;

use crate::destination::Limits;
use crate::record::{LogId, Record};
use crate::run::memory::Held;

/// Rows to deliver, and the records they were made from.
pub(super) struct Batch {
    limits: Limits,
    pub(super) records: Vec<Record>,
    pub(super) rows: Vec<Bytes>,
    ids: HashSet<LogId>,
    bytes: usize,
    /// When the first record was added.
    pub(super) began: Instant,
    /// The memory held for the records and rows.
    held: Held,
}

impl Batch {
    pub(super) fn new(limits: Limits, held: Held) -> Self {
        Self {
            limits,
            records: Vec::new(),
            rows: Vec::new(),
            ids: HashSet::new(),
            bytes: limits.per_delivery,
            began: Instant::now(),
            held,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(super) fn has(&self, id: &LogId) -> bool {
        self.ids.contains(id)
    }

    /// Whether a row may be added. The first one always may: a row cannot be divided.
    pub(super) fn has_room_for(&self, row: &Bytes) -> bool {
        let bytes = self.bytes + row.len() + self.limits.per_row;
        self.is_empty() || (self.rows.len() < self.limits.rows && bytes <= self.limits.bytes)
    }

    pub(super) fn push(&mut self, record: Record, row: Bytes) {
        if self.is_empty() {
            self.began = Instant::now();
        }
        self.bytes += row.len() + self.limits.per_row;
        self.held.add_row(record.json.len(), row.len());
        self.ids.insert(record.log_id.clone());
        self.records.push(record);
        self.rows.push(row);
    }

    /// Takes over the memory held for a page, for as long as its records are in the batch.
    pub(super) fn hold(&mut self, page: Held) {
        self.held.take(page);
    }
}
