//! Queries the table for everything in an hour, not only for what was accepted.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::listing::{Listing, MOST};
use super::question::{AT_ONCE, AskError, Question, TABLE};
use crate::azure::log_query::{LogQuery, Rows};
use crate::clock::{Clock, hour};
use crate::net::retry::Deadline;
use crate::record::LogId;

/// Time limit for a query, including retries.
const ASKING: Duration = Duration::from_mins(2);

/// A workspace's table.
pub(crate) struct Table {
    query: LogQuery,
    clock: Clock,
}

impl Table {
    pub fn new(query: LogQuery, clock: &Clock) -> Self {
        let clock = clock.clone();
        Self { query, clock }
    }

    /// Sends a harmless query. Returns whether the table exists.
    pub async fn probe(&self, deadline: Deadline) -> Result<bool, AskError> {
        let now = (self.clock)();
        let listing = Listing::of(now, now);
        let (query, timespan) = (listing.query(), listing.timespan());
        let rows = self.query.ask(&query, TABLE, &timespan, deadline).await?;
        match rows {
            None => Ok(false),
            Some(rows) => Listing::answer(&rows).map(|_| true).ok_or(AskError::Form),
        }
    }

    /// The ids in the table that Auth0 stored in this time, each with the tenant that its row
    /// names, or an empty text. Rows that arrived more than two days late are not listed.
    pub async fn list(
        &self,
        begin: DateTime<Utc>,
        end: DateTime<Utc>,
    ) -> Result<BTreeMap<LogId, String>, AskError> {
        let mut all = BTreeMap::new();
        let mut left = vec![Listing::of(begin, end)];
        while let Some(listing) = left.pop() {
            let rows = self.ask(&listing.query(), &listing.timespan()).await?;
            let rows = rows.ok_or(AskError::Nothing)?;
            let listed = Listing::answer(&rows).ok_or(AskError::Form)?;
            let Some(listed) = listed else {
                let halves = listing.halves().ok_or(AskError::Crowded {
                    second: listing.begin(),
                    most: MOST,
                })?;
                left.extend(halves);
                continue;
            };
            all.extend(listed);
        }
        let is_within = |id: &LogId| {
            let stored = id.stored_at();
            stored.is_some_and(|stored| begin <= stored && stored < end)
        };
        all.retain(|id, _| is_within(id));
        Ok(all)
    }

    /// Which of these ids, all of one hour, are not in the table, whenever they arrived.
    pub async fn lacks(&self, ids: &BTreeSet<LogId>) -> Result<BTreeSet<LogId>, AskError> {
        let mut missing = BTreeSet::new();
        let Some(first) = ids.first().and_then(LogId::stored_at) else {
            return Ok(missing);
        };
        let ids: Vec<_> = ids.iter().collect();
        for ids in ids.chunks(AT_ONCE) {
            let question = Question {
                hour: hour(first),
                since: hour(first),
                ids,
                by_name: true,
            };
            let timespan = question.timespan((self.clock)());
            let rows = self.ask(&question.query(), &timespan).await?;
            let answer = question.answer(rows.as_ref()).ok_or(AskError::Form)?;
            missing.extend(answer.missing);
        }
        Ok(missing)
    }

    async fn ask(&self, query: &str, timespan: &str) -> Result<Option<Rows>, AskError> {
        let deadline = Deadline::after(ASKING);
        Ok(self.query.ask(query, TABLE, timespan, deadline).await?)
    }
}
