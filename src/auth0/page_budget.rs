//! The memory budget that the tenants of a process share for pages that were read and not yet handed out.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The most bytes of pages that are read ahead.
pub(super) const AHEAD_BYTES: usize = 40 * 1024 * 1024;
/// The most bytes of pages that are kept for other readers: records can be large, and an instance may have
/// only 512 MB of memory. Each tenant may keep one page of up to this size, whatever the others keep.
pub(super) const KEPT_BYTES: usize = 24 * 1024 * 1024;

/// How much of the budget is in use. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct PageBudget(Arc<Used>);

#[derive(Debug, Default)]
struct Used {
    /// Prefetches: parts of the log that are being read ahead.
    prefetches: AtomicUsize,
    /// Bytes of pages that are kept for other readers.
    kept: AtomicUsize,
}

impl PageBudget {
    /// Registers one more prefetch, which makes the shares of the others smaller.
    pub(super) fn share(&self) -> Share {
        self.0.prefetches.fetch_add(1, Ordering::SeqCst);
        Share(self.clone())
    }

    /// Registers a kept page, with zero bytes until its size is known.
    pub(super) fn weight(&self) -> Weight {
        Weight {
            budget: self.clone(),
            bytes: 0,
        }
    }

    /// Bytes of pages that are kept.
    pub(super) fn kept(&self) -> usize {
        self.0.kept.load(Ordering::SeqCst)
    }
}

/// A prefetch's share of the budget, returned when this is dropped.
pub(super) struct Share(PageBudget);

impl Share {
    /// Its size: an equal part of [`AHEAD_BYTES`] for each prefetch.
    pub fn bytes(&self) -> usize {
        AHEAD_BYTES / self.0.0.prefetches.load(Ordering::SeqCst).max(1)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.0.0.prefetches.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A kept page's part of the budget, returned when this is dropped.
pub(super) struct Weight {
    budget: PageBudget,
    pub bytes: usize,
}

impl Weight {
    /// Sets the size of the page.
    pub fn set(&mut self, bytes: usize) {
        let kept = &self.budget.0.kept;
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
