//! Whether a destination begins later than one that it replaces ended: what Auth0 stored between is
//! delivered to neither.

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::join_all;

use super::CheckpointStore;
use crate::clock::to_seconds;
use crate::net::retry::Deadline;
use crate::record::Start;
use crate::report::alone;

/// How much earlier reading should begin than the predecessor ended: reading begins at a time of records'
/// dates, and a record is stored later than it is dated, and shown later still.
const EARLIER: TimeDelta = TimeDelta::minutes(10);

/// A destination begins later than one that it may replace ended.
#[derive(Debug, thiserror::Error)]
#[error(
    "{label} begins at {}, and {predecessor}, which DESTINATIONS does not name, got what Auth0 stored \
     until {until}: what was stored between is delivered to neither; \
     `auth0-poller checkpoint set --from {}` delivers it ({})",
    to_seconds(*.begin), to_seconds(*.from), alone(label), until = to_seconds(*.until)
)]
pub(crate) struct LateHandover {
    label: String,
    begin: DateTime<Utc>,
    predecessor: &'static str,
    until: DateTime<Utc>,
    /// Where reading has to begin, so that nothing is left out.
    from: DateTime<Utc>,
}

impl CheckpointStore {
    /// Whether a first reading that begins here leaves out what its last predecessor did not get. A
    /// checkpoint that cannot be read tells nothing.
    pub async fn late_handover(
        &self,
        start: Start,
        now: DateTime<Utc>,
        deadline: Deadline,
    ) -> Option<LateHandover> {
        let Start::At(begin) = start else {
            return None;
        };
        let ends = self.predecessors.iter().map(async |(name, store)| {
            let peeked = store.peek(now, deadline).await.ok()??;
            // Where there is nothing else to save, the checkpoint is written only once an hour.
            let caught_up = store.history.read(deadline).await.ok().flatten();
            let caught_up = caught_up.and_then(|it| it.caught_up_at());
            Some((peeked.checkpoint.reached().max(caught_up)?, *name))
        });
        let (until, predecessor) = join_all(ends).await.into_iter().flatten().max()?;
        (until < begin).then(|| LateHandover {
            label: self.label.clone(),
            begin,
            predecessor,
            until,
            from: until.checked_sub_signed(EARLIER).unwrap_or(until),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::net::retry::Jitter;
    use crate::record::{LogId, Position};
    use crate::state::Checkpoint;
    use crate::storage::Storage;
    use crate::storage::memory::Memory;

    /// 2026-11-21 at this time of day.
    fn at(clock: &str) -> DateTime<Utc> {
        format!("2026-11-21T{clock}Z").parse().unwrap()
    }

    /// What is said of a destination that begins here. Those before it ended at these times; one
    /// without a time never ran.
    async fn told(start: Start, ends: &[(&'static str, Option<&str>)]) -> Option<String> {
        let storage = Arc::new(Storage::over(Memory::default(), Jitter::seeded(1)));
        let store =
            |name: &str| CheckpointStore::new(Arc::clone(&storage), "acme", name, "me".into());
        let deadline = Deadline::after(Duration::from_mins(1));
        for (name, end) in ends {
            if let Some(end) = end {
                let end = Checkpoint::set(Position::After(LogId::synthetic("900", at(end))));
                let store = store(name);
                let saved = store.save(&end, None, at(LATER), deadline);
                saved.await.unwrap();
            }
        }
        let before = ends.iter().map(|(name, _)| (*name, store(name)));
        let store = store("archive").replacing(before.collect());
        let late = store.late_handover(start, at(LATER), deadline).await;
        late.map(|it| it.to_string())
    }

    const LATER: &str = "12:00:00";

    #[tokio::test]
    async fn who_begins_later_than_the_last_one_ended_is_told_where_to_begin() {
        let ends = [
            ("log-analytics", Some("08:00:00")),
            ("logs-ingestion", Some("09:00:00")),
            ("event-grid", None),
        ];
        let late = told(Start::At(at("09:00:01")), &ends).await;
        let expected = "archive begins at 2026-11-21T09:00:01Z, and logs-ingestion, which DESTINATIONS does \
             not name, got what Auth0 stored until 2026-11-21T09:00:00Z: what was stored between is \
             delivered to neither; `auth0-poller checkpoint set --from 2026-11-21T08:50:00Z` \
             delivers it (for this alone with --destination archive)";
        assert_eq!(late.as_deref(), Some(expected));
        // It leaves nothing out.
        for clock in ["09:00:00", "08:30:00"] {
            assert_eq!(told(Start::At(at(clock)), &ends).await, None, "{clock}");
        }
        assert_eq!(told(Start::Oldest, &ends).await, None);
        // Nothing is known of a destination before it.
        for none in [&ends[2..], &[]] {
            assert_eq!(told(Start::At(at("09:00:01")), none).await, None);
        }
    }
}
