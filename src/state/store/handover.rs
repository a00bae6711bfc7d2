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
