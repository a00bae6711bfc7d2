//! The ledger of a destination: its checkpoint, loaded when a run begins and saved as it goes.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tracing::warn;

use super::advance::{Cut, MAX_TIMELESS};
use super::checkpoint::{Checkpoint, Loss};
use super::store::{CheckpointError, CheckpointStore, Loaded, Stored};
use crate::clock::Clock;
use crate::error::BoxError;
use crate::net::retry::Deadline;
use crate::record::{LogId, Reach, Record, Start, StartFrom};
use crate::report::Gap;
use crate::run::{Comparison, Handled, Ledger, Newest, Opening};
use crate::storage::Version;

/// How long the loss of a checkpoint is reported, unless a person sets a new checkpoint.
const LOSS_REPORTED: Duration = Duration::from_hours(24);
/// How old the stored time of having caught up may become, if there is nothing else to save.
const HEARTBEAT: Duration = Duration::from_hours(1);
/// Pause between attempts to save what was acknowledged, while the storage is unavailable.
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// The ledger of one run.
pub(crate) struct CheckpointLedger<'a> {
    store: &'a CheckpointStore,
    clock: &'a Clock,
    /// When the run began, before it read anything.
    began: DateTime<Utc>,
    /// Nothing that the run gets was fetched before this time.
    fetched_since: DateTime<Utc>,
    start: Start,
    overlap: Duration,
    /// What was handled before this run.
    before: Arc<Checkpoint>,
    checkpoint: Checkpoint,
    /// The checkpoint as it is stored.
    stored: Checkpoint,
    version: Option<Version>,
    /// Whether something was acknowledged that is not saved. If it is never saved, it is sent again.
    is_owing: bool,
    /// What cursors were moved past in this run, which was told.
    told: Cut,
    /// By how much the clock is ahead of the source's.
    clock_ahead: TimeDelta,
}

impl<'a> CheckpointLedger<'a> {
    /// The ledger of a run that begins now. Nothing is known before it is opened.
    pub fn new(
        store: &'a CheckpointStore,
        start_from: StartFrom,
        overlap: Duration,
        clock: &'a Clock,
    ) -> Self {
        let began = clock();
        let start = start_from.resolve(began);
        let first = Checkpoint::first(start);
        Self {
            store,
            clock,
            began,
            fetched_since: began,
            start,
            overlap,
            before: Arc::new(first.clone()),
            stored: first.clone(),
            checkpoint: first,
            version: None,
            is_owing: false,
            told: Cut::default(),
            clock_ahead: TimeDelta::zero(),
        }
    }

    /// The same for a run that was to begin at this time and had to wait. It may get what another run has
    /// fetched since. A first reading begins where it would have begun then.
    pub fn waiting_since(self, time: DateTime<Utc>, start_from: StartFrom) -> Self {
        let fetched_since = self.began.min(time);
        Self {
            fetched_since,
            start: start_from.resolve(fetched_since),
            ..self
        }
    }

    async fn try_save(&mut self, deadline: Deadline) -> Result<(), CheckpointError> {
        let now = (self.clock)();
        let until = deadline.for_saving();
        let saved = loop {
            let version = self.version.as_ref();
            let saved = self.store.save(&self.checkpoint, version, now, until).await;
            let may_pass = saved.as_ref().is_err_and(CheckpointError::may_pass);
            if !may_pass || !self.is_owing || deadline.is_over() {
                break saved;
            }
            tokio::time::sleep(STORE_PAUSE).await;
        };
        self.version = Some(saved?);
        self.stored = self.checkpoint.clone();
        self.is_owing = false;
        Ok(())
    }

    /// The gap that the loss of a checkpoint may have left; `None` after a day.
    fn loss(&self) -> Option<Gap> {
        let Loss {
            noticed_at,
            began_at,
        } = self.checkpoint.loss?;
        let age = (self.began - noticed_at).to_std().unwrap_or_default();
        let to = began_at.filter(|_| age < LOSS_REPORTED)?;
        Some(Gap { from: None, to })
    }
}

impl Ledger for CheckpointLedger<'_> {
    /// Loads the checkpoint, or creates the first one.
    async fn open(&mut self, deadline: Deadline) -> Result<Opening, BoxError> {
        let Loaded { found, version } = self.store.load(self.began, deadline).await?;
        self.version = version;
        let is_newest = matches!(found, Stored::Newest(_));
        self.checkpoint = match found {
            Stored::Newest(checkpoint) | Stored::Previous(checkpoint) => checkpoint,
            Stored::Nothing => {
                let late = self.store.late_handover(self.start, self.began, deadline);
                if let Some(late) = late.await {
                    warn!("{late}");
                }
                Checkpoint::first(self.start)
            }
            Stored::Lost => Checkpoint::anew(self.start, self.began),
        };
        self.checkpoint.begin_by(self.start);
        self.before = Arc::new(self.checkpoint.clone());
        self.stored = self.checkpoint.clone();
        self.checkpoint.set_wanted_since(self.overlap);
        self.checkpoint.begin_comparing(self.began);
        if !is_newest {
            self.try_save(deadline).await?;
        }
        let (position, also_after) = self.checkpoint.plan(self.began);
        let before = Arc::clone(&self.before);
        Ok(Opening {
            position,
            also_after,
            cursors: self.checkpoint.cursors().into_iter().collect(),
            wanted_since: self.checkpoint.wanted_since,
            oldest_found: self.checkpoint.oldest_found,
            comparison: self.checkpoint.comparison,
            was_handled: Arc::new(move |id| before.has_handled(id)),
            caught_up_at: self.checkpoint.caught_up_at,
            overlap: self.overlap,
            loss: self.loss(),
        })
    }

    fn leaves_out(&self, record: &Record) -> bool {
        self.checkpoint.leaves_out(record)
    }

    fn has_handled(&self, id: &LogId) -> bool {
        // The present cursor may have passed ids that became visible since.
        self.before.has_handled(id) || self.checkpoint.remembers(id)
    }

    fn note(&mut self, record: &Record, handled: Handled) {
        self.is_owing |= handled == Handled::Accepted;
        self.checkpoint.note(record, handled, self.began);
    }

    fn begin_anew(&mut self, start: Start) {
        self.checkpoint.restart(start);
    }

    fn begin_series(&mut self, below: &LogId) {
        self.checkpoint.begin_series(below);
    }

    fn found_oldest(&mut self, oldest: DateTime<Utc>) {
        self.checkpoint.oldest_found.get_or_insert(oldest);
    }

    fn compared(&mut self, comparison: Comparison) {
        self.checkpoint.comparison = Some(comparison);
    }

    fn refuses_all(&mut self) -> Option<DateTime<Utc>> {
        Some(self.checkpoint.refused(self.began))
    }

    fn refused_since(&self) -> Option<DateTime<Utc>> {
        self.checkpoint.refused_since
    }

    fn suspect(&mut self, id: &LogId) -> bool {
        self.checkpoint.suspect(id)
    }

    fn is_suspect(&self, id: &LogId) -> bool {
        self.before.suspects.contains(id)
    }

    fn newest(&self) -> Option<&Newest> {
        self.checkpoint.newest.as_ref()
    }

    fn clock_is_ahead(&mut self, by: TimeDelta) {
        self.clock_ahead = self.clock_ahead.max(by);
    }

    fn reach(&mut self, read: &Reach) {
        let settled = self.fetched_since - self.clock_ahead - self.overlap;
        let cut = self.checkpoint.advance(read, settled, self.began);
        let label = self.store.label();
        if cut.overlap && !self.told.overlap {
            warn!(
                "{label}: more records than can be remembered were written within OVERLAP, so it is cut \
                 short: of those that Auth0 makes visible late, some may be missing"
            );
        }
        if cut.timeless && !self.told.timeless {
            warn!(
                "{label}: more than {MAX_TIMELESS} records have an id that holds no time, so of others \
                 whose id sorts below theirs some may be missing"
            );
        }
        self.told.overlap |= cut.overlap;
        self.told.timeless |= cut.timeless;
    }

    async fn save(&mut self, deadline: Deadline) -> Result<(), BoxError> {
        Ok(self.try_save(deadline).await?)
    }

    async fn close(&mut self, caught_up: bool, deadline: Deadline) -> Result<(), BoxError> {
        if caught_up {
            self.checkpoint.caught_up(self.fetched_since);
        }
        if !self.checkpoint.is_news_after(&self.stored, HEARTBEAT) {
            // Keeps the stored time, even if something else is saved. If it were always recent, the
            // source would never be asked whether it has dropped the cursor's record.
            self.checkpoint.caught_up_at = self.stored.caught_up_at;
        }
        if self.checkpoint != self.stored {
            self.try_save(deadline).await?;
        }
        Ok(())
    }
}
