//! A source that reads ahead, as Auth0's does.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::parts::Simulated;
use crate::auth0::{Ahead, Log, Session};
use crate::clock::Clock;
use crate::net::retry::Deadline;
use crate::record::{LogId, Page, Record, Source, SourceError, Start};

/// The source of one run.
pub(super) struct ReadingAhead {
    world: Simulated,
    log: Arc<Simulated>,
    ahead: Ahead,
    session: Session,
    /// Whether it reads ahead.
    is_ahead: bool,
}

impl ReadingAhead {
    pub fn over(world: &Simulated, is_ahead: bool, clock: Clock) -> Self {
        Self {
            world: world.clone(),
            log: Arc::new(world.reading_ahead()),
            ahead: Ahead::eager(clock),
            session: Session::begin(None),
            is_ahead,
        }
    }

    fn noted(&self, page: Page) -> Page {
        self.session.note(&page);
        page
    }
}

impl Log for Simulated {
    type Error = SourceError;

    async fn after(&self, id: &LogId, deadline: Deadline) -> Result<Page, SourceError> {
        Source::after(self, id, deadline).await
    }

    fn is_rejected(error: &SourceError) -> bool {
        matches!(error, SourceError::Rejected(_))
    }

    fn is_crowded(&self) -> bool {
        false
    }
}

impl Source for ReadingAhead {
    async fn first(&self, start: Start, deadline: Deadline) -> Result<Page, SourceError> {
        Ok(self.noted(self.world.first(start, deadline).await?))
    }

    async fn after(&self, id: &LogId, deadline: Deadline) -> Result<Page, SourceError> {
        if !self.is_ahead {
            return Source::after(&self.world, id, deadline).await;
        }
        let page = self.ahead.after(&self.log, &self.session, id, deadline);
        let page = page.await.inspect_err(|error| {
            if Simulated::is_rejected(error) {
                self.world.note_rejected();
            }
        });
        Ok(self.noted(page?))
    }

    async fn next(&self, after: &LogId, deadline: Deadline) -> Result<Option<Record>, SourceError> {
        self.world.next(after, deadline).await
    }

    async fn look(&self, id: &LogId, deadline: Deadline) -> Result<Page, SourceError> {
        self.after(id, deadline).await
    }

    async fn has_dropped(&self, id: &LogId, deadline: Deadline) -> Result<bool, SourceError> {
        self.world.has_dropped(id, deadline).await
    }

    async fn earlier(
        &self,
        to: DateTime<Utc>,
        deadline: Deadline,
    ) -> Result<Vec<Record>, SourceError> {
        self.world.earlier(to, deadline).await
    }

    async fn latest(&self, deadline: Deadline) -> Result<Vec<Record>, SourceError> {
        self.world.latest(deadline).await
    }

    async fn smallest(
        &self,
        prefix: &str,
        from: DateTime<Utc>,
        deadline: Deadline,
    ) -> Result<Option<Page>, SourceError> {
        self.world.smallest(prefix, from, deadline).await
    }

    async fn one(&self, id: &LogId, deadline: Deadline) -> Result<Option<Record>, SourceError> {
        self.world.one(id, deadline).await
    }

    async fn oldest(&self, deadline: Deadline) -> Result<Option<DateTime<Utc>>, SourceError> {
        self.world.oldest(deadline).await
    }

    fn requests(&self) -> u64 {
        self.world.requests()
    }
}
