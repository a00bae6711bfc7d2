//! Memory for records on their way from the source to a destination, in bytes, for the whole process.
//!
//! Memory is held for a record until it is handled, and a run reads on only while there is room. All
//! runs in progress have an equal share of the room, so that a destination that is slow, and holds what
//! it has, takes none of another's. A run that holds nothing may always read a page, however large:
//! otherwise one record could stop it for good.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// Bytes of memory for records in flight: a part of the 512 MB of an instance, which the Functions host
/// uses too. The memory that readers share is not included (`auth0/page_budget.rs`).
const ROOM: usize = 48 * 1024 * 1024;
/// Copies of a record in memory: as received, as a row, and in the body of a request.
const COPIES: usize = 3;
/// Runs that may be in progress at a time: each may hold a page, however little room there is.
const RUNS: usize = 64;

/// The memory for records in flight in this process. Cheap to clone.
#[derive(Clone)]
pub(crate) struct MemoryBudget(Arc<Process>);

#[derive(Debug)]
struct Process {
    room: usize,
    /// Number of runs in progress.
    runs: AtomicUsize,
    /// Notified when room is freed.
    freed: Notify,
    turns: Arc<Semaphore>,
}

impl Default for MemoryBudget {
    fn default() -> Self {
        Self::with_room(ROOM)
    }
}

impl MemoryBudget {
    fn with_room(room: usize) -> Self {
        Self(Arc::new(Process {
            room,
            runs: AtomicUsize::new(0),
            freed: Notify::new(),
            turns: Arc::new(Semaphore::new(RUNS)),
        }))
    }

    /// Admits a run, until its share is dropped.
    pub fn enter(&self) -> Share {
        self.0.runs.fetch_add(1, Ordering::SeqCst);
        Share {
            process: Arc::clone(&self.0),
            held: Arc::default(),
            turn: None,
        }
    }

    /// Waits until it is the run's turn, and admits it.
    pub async fn enter_in_turn(&self) -> Share {
        let turn = Arc::clone(&self.0.turns).acquire_owned().await.ok();
        let mut share = self.enter();
        share.turn = turn;
        share
    }
}

/// The part of the room that one run may use. All parts are equal.
pub(crate) struct Share {
    process: Arc<Process>,
    held: Arc<AtomicUsize>,
    /// Released when the run ends.
    turn: Option<OwnedSemaphorePermit>,
}

impl Share {
    /// Whether this many bytes may be read now.
    pub fn has_room_for(&self, bytes: usize) -> bool {
        let held = self.held.load(Ordering::SeqCst);
        let runs = self.process.runs.load(Ordering::SeqCst).max(1);
        let wanted = bytes.saturating_mul(COPIES);
        held == 0 || held.saturating_add(wanted) <= self.process.room / runs
    }

    /// Waits until this many bytes may be read.
    pub async fn room_for(&self, bytes: usize) {
        loop {
            let mut freed = pin!(self.process.freed.notified());
            // From here on no notification is missed.
            freed.as_mut().enable();
            if self.has_room_for(bytes) {
                return;
            }
            freed.await;
        }
    }

    /// Holds memory for this many bytes that were read, and for what is made of them.
    pub fn hold(&self, bytes: usize) -> Held {
        let mut held = Held {
            process: Arc::clone(&self.process),
            share: Arc::clone(&self.held),
            bytes: 0,
        };
        held.add(bytes.saturating_mul(COPIES));
        held
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.process.runs.fetch_sub(1, Ordering::SeqCst);
        self.process.freed.notify_waiters();
    }
}

/// Bytes held for records in flight. They are freed when this is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    process: Arc<Process>,
    share: Arc<AtomicUsize>,
    bytes: usize,
}

impl Held {
    fn add(&mut self, bytes: usize) {
        self.bytes += bytes;
        self.share.fetch_add(bytes, Ordering::SeqCst);
    }

    /// Adds the bytes by which a row is larger than the record it was made from.
    pub fn add_row(&mut self, record: usize, row: usize) {
        // Once for the row, and once for its place in the body of a request.
        self.add(row.saturating_sub(record) * (COPIES - 1));
    }

    /// Takes over what another holds.
    pub fn take(&mut self, mut other: Self) {
        self.bytes += std::mem::take(&mut other.bytes);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.share.fetch_sub(self.bytes, Ordering::SeqCst);
        self.process.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn a_run_reads_on_while_there_is_room_for_what_is_made_of_it_too() {
        let share = MemoryBudget::with_room(60).enter();
        assert!(share.has_room_for(20));
        let first = share.hold(10);
        assert!(share.has_room_for(10));
        assert!(!share.has_room_for(11));
        let second = share.hold(10);
        assert!(!share.has_room_for(1));
        assert!(share.has_room_for(0));
        drop(first);
        assert!(share.has_room_for(10));
        drop(second);
        assert!(share.has_room_for(20));
    }

    #[test]
    fn who_holds_nothing_may_read_however_much_it_is() {
        let share = MemoryBudget::with_room(60).enter();
        assert!(share.has_room_for(usize::MAX));
        let _held = share.hold(1);
        assert!(!share.has_room_for(usize::MAX));
    }

    #[test]
    fn rows_that_are_larger_than_their_records_count() {
        let share = MemoryBudget::with_room(60).enter();
        let mut held = share.hold(10);
        held.add_row(10, 9);
        assert!(share.has_room_for(10));
        // Two bytes more, once in the row and once in the request.
        held.add_row(10, 12);
        assert!(!share.has_room_for(9));
        assert!(share.has_room_for(8));
        drop(held);
        assert!(share.has_room_for(20));
    }

    #[test]
    fn what_is_taken_over_is_held_once_and_as_long_as_the_other() {
        let share = MemoryBudget::with_room(60).enter();
        let mut held = share.hold(0);
        held.take(share.hold(10));
        assert!(share.has_room_for(10));
        assert!(!share.has_room_for(11));
        drop(held);
        assert_eq!(share.held.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn one_that_holds_all_it_may_takes_nothing_from_another() {
        let all = MemoryBudget::with_room(120);
        let (slow, fast) = (all.enter(), all.enter());
        let _full = slow.hold(100);
        let held = fast.hold(10);
        assert!(fast.has_room_for(10));
        assert!(!fast.has_room_for(11));
        drop(held);
        // Once a run has ended, the others have more room.
        drop(slow);
        let _held = fast.hold(10);
        assert!(fast.has_room_for(30));
        assert!(!fast.has_room_for(31));
    }

    #[tokio::test]
    async fn who_waits_goes_on_when_something_was_handled_or_another_run_has_ended() {
        let all = MemoryBudget::with_room(60);
        let (first, second) = (all.enter(), all.enter());
        let held = first.hold(10);
        let mut waiting = Box::pin(first.room_for(10));
        assert!(waiting.as_mut().now_or_never().is_none());
        let unrelated = second.hold(1);
        drop(unrelated);
        assert!(waiting.as_mut().now_or_never().is_none());
        drop(second);
        assert!(waiting.as_mut().now_or_never().is_some());
        let mut waiting = Box::pin(first.room_for(11));
        assert!(waiting.as_mut().now_or_never().is_none());
        drop(held);
        assert!(waiting.as_mut().now_or_never().is_some());
    }
}
