//! Divides a source whose ids do not ascend throughout into pieces whose ids do.
//!
//! A run reads each ascending series of ids once, in order. An archive is read hour by hour, so its ids may
//! start again from a smaller one: at each hour if there are several prefixes, and in undated objects.

use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Utc};

use crate::net::retry::Deadline;
use crate::record::{LogId, Page, Source, SourceError, Start};

/// A source that ends before the first id that is not above all earlier ones. Another run reads
/// what follows, starting with [`first`](Source::first).
pub(super) struct Pieces<'a, S> {
    source: &'a S,
    piece: Mutex<Piece>,
}

/// How far a piece was read.
#[derive(Default)]
struct Piece {
    /// The largest id of this piece.
    reached: Option<LogId>,
    /// The first page of the next piece.
    next: Option<Page>,
}

impl<'a, S> Pieces<'a, S> {
    pub fn of(source: &'a S) -> Self {
        Self {
            source,
            piece: Mutex::default(),
        }
    }

    /// Whether there is another piece.
    pub fn goes_on(&self) -> bool {
        let piece = self.piece.lock().unwrap_or_else(PoisonError::into_inner);
        piece.next.is_some()
    }

    /// Returns the page, or the end of this piece if the page belongs to the next one.
    fn pass(&self, page: Page) -> Page {
        let mut piece = self.piece.lock().unwrap_or_else(PoisonError::into_inner);
        let ids = || page.records.iter().map(|it| &it.log_id);
        let is_above = |first: &LogId| piece.reached.as_ref().is_none_or(|it| it < first);
        if !ids().min().is_none_or(is_above) {
            piece.next = Some(page);
            return Page::last(Vec::new());
        }
        if let Some(last) = ids().max() {
            piece.reached = Some(last.clone());
        }
        page
    }
}

impl<S: Source> Source for Pieces<'_, S> {
    async fn first(&self, start: Start, deadline: Deadline) -> Result<Page, SourceError> {
        let next = {
            let mut piece = self.piece.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *piece).next
        };
        match next {
            Some(page) => Ok(self.pass(page)),
            None => Ok(self.pass(self.source.first(start, deadline).await?)),
        }
    }

    async fn after(&self, id: &LogId, deadline: Deadline) -> Result<Page, SourceError> {
        // The page already read for the next piece must not be skipped.
        if self.goes_on() {
            return Ok(Page::last(Vec::new()));
        }
        Ok(self.pass(self.source.after(id, deadline).await?))
    }

    async fn look(&self, id: &LogId, deadline: Deadline) -> Result<Page, SourceError> {
        self.source.look(id, deadline).await
    }

    async fn has_dropped(&self, id: &LogId, deadline: Deadline) -> Result<bool, SourceError> {
        self.source.has_dropped(id, deadline).await
    }

    async fn oldest(&self, deadline: Deadline) -> Result<Option<DateTime<Utc>>, SourceError> {
        self.source.oldest(deadline).await
    }

    fn requests(&self) -> u64 {
        self.source.requests()
    }
}
