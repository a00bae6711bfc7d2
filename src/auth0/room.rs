//! The memory that the tenants of a process share for pages that they have read and not handed out.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes of pages that were read ahead.
pub(super) const AHEAD_BYTES: usize = 40 * 1024 * 1024;
/// Bytes of records of pages that are kept for other readers: they can be large, and this is part of the
/// memory of an instance that has 512 MB. A tenant may keep one page whatever the others keep.
pub(super) const KEPT_BYTES: usize = 24 * 1024 * 1024;

/// What of it is in use. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Room(Arc<Used>);

#[derive(Debug, Default)]
struct Used {
    /// Parts of the log that are read ahead.
    courses: AtomicUsize,
    /// Bytes of pages that are kept for other readers.
    kept: AtomicUsize,
}

impl Room {
    /// Makes room for one more part of the log that is read ahead.
    pub(super) fn share(&self) -> Share {
        self.0.courses.fetch_add(1, Ordering::SeqCst);
        Share(self.clone())
    }

    /// Room for a page that is kept, which takes nothing as long as nobody knows how large it is.
    pub(super) fn weight(&self) -> Weight {
        Weight {
            room: self.clone(),
            bytes: 0,
        }
    }

    /// Bytes of pages that are kept.
    pub(super) fn kept(&self) -> usize {
        self.0.kept.load(Ordering::SeqCst)
    }
}

/// The room of a part of the log that is read ahead, as long as this is.
pub(super) struct Share(Room);

impl Share {
    /// As many as each has.
    pub fn bytes(&self) -> usize {
        AHEAD_BYTES / self.0.0.courses.load(Ordering::SeqCst).max(1)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.0.0.courses.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The room of a page that is kept, as long as this is.
pub(super) struct Weight {
    room: Room,
    pub bytes: usize,
}

impl Weight {
    /// Takes note of how large the page is.
    pub fn set(&mut self, bytes: usize) {
        let kept = &self.room.0.kept;
        kept.fetch_add(bytes, Ordering::SeqCst);
        kept.fetch_sub(self.bytes, Ordering::SeqCst);
        self.bytes = bytes;
    }
}

impl Drop for Weight {
    fn drop(&mut self) {
        self.set(0);
    }
}
