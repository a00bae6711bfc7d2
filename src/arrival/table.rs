//! Queries the table for everything in an hour, not only for what was accepted.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::error::AskError;
use super::listing::{Listing, MOST};
use super::question::{AT_ONCE, Question, TABLE};
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::http::StatusCode;

    use super::*;
    use crate::arrival::simulated;

    /// What the workspace answers with these rows: an id and a tenant in each.
    fn rows(rows: &[String]) -> (StatusCode, String) {
        let columns = r#"[{"name":"LogId"},{"name":"Tenant"}]"#;
        let table = format!(r#"{{"columns":{columns},"rows":[{}]}}"#, rows.join(","));
        (StatusCode::OK, format!(r#"{{"tables":[{table}]}}"#))
    }

    fn at(clock: &str) -> DateTime<Utc> {
        format!("2026-11-21T{clock}Z").parse().unwrap()
    }

    async fn table(
        answer: impl Fn(String) -> (StatusCode, String) + Clone + Send + Sync + 'static,
    ) -> Table {
        let clock: Clock = Arc::new(|| at("09:00:00"));
        let address = simulated::serve(answer).await;
        Table::new(simulated::query(&address, &clock).unwrap(), &clock)
    }

    #[tokio::test]
    async fn a_listing_that_is_too_long_is_asked_for_in_parts_and_cut_to_the_stretch() {
        let ids = [
            "08:00:00.2",
            "08:00:00.5",
            "08:00:01",
            "08:00:02.499",
            "08:00:02.5",
        ];
        let ids = ids.map(|it| LogId::synthetic("900", at(it)));
        let row = |id: &LogId| format!(r#"["{}","acme"]"#, id.as_str());
        let [early, first, second, third, late] = ids.each_ref().map(row);
        let table = table(move |question| {
            let is_of = |from, to| {
                let second = |it| format!("20261121080{it:03}");
                question.contains(&format!(
                    "Second >= {} and Second < {}",
                    second(from),
                    second(to)
                ))
            };
            match () {
                () if is_of(0, 3) => rows(&vec![first.clone(); 20_001]),
                () if is_of(0, 1) => rows(&[early.clone(), first.clone()]),
                () if is_of(1, 3) => rows(&[second.clone(), third.clone(), late.clone()]),
                () => rows(&[]),
            }
        });
        let listed = table.await.list(at("08:00:00.5"), at("08:00:02.5")).await;
        let listed: Vec<_> = listed.unwrap().into_iter().collect();
        let expected = [1, 2, 3].map(|it| (ids[it].clone(), "acme".to_owned()));
        assert_eq!(listed, expected);
    }

    #[tokio::test]
    async fn a_second_with_more_rows_than_an_answer_can_hold_is_named() {
        let id = LogId::synthetic("900", at("08:00:00"));
        let row = format!(r#"["{}","acme"]"#, id.as_str());
        let table = table(move |_| rows(&vec![row.clone(); 20_001])).await;
        let failed = table
            .list(at("08:00:01"), at("08:00:02"))
            .await
            .unwrap_err();
        assert_eq!(
            failed.to_string(),
            "the table has more than 20000 rows of one second, 2026-11-21T08:00:01Z, which are too \
             many to list"
        );
    }
}
