//! What is stored between runs: the checkpoint of each destination, which is its ledger, its dead
//! letters, its history, and its recent deliveries. Works with any storage, and for any destination.

mod advance;
mod arrival;
mod checkpoint;
mod counted;
mod dead_letter;
mod format;
mod history;
mod ledger;
mod packed;
mod store;

pub(crate) use self::arrival::{
    ArrivalStore, Found, MOST_HOURS, MOST_IDS, Timing, Wanted, by_hour,
};
pub(crate) use self::checkpoint::Checkpoint;
pub(crate) use self::counted::Counting;
pub(crate) use self::dead_letter::DeadLetterStore;
#[cfg(test)]
pub(crate) use self::dead_letter::StoredLetter;
#[cfg(test)]
pub(crate) use self::format::read as read_checkpoint;
pub(crate) use self::history::{
    History, HistoryError, HistoryStore, PastError, PastRun, Sum, Undelivered,
};
pub(crate) use self::ledger::CheckpointLedger;
#[cfg(test)]
pub(crate) use self::store::Stored;
pub(crate) use self::store::{CheckpointError, CheckpointStore, Peeked, Replaced};
