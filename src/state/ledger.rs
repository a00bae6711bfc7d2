//! The ledger of a destination: its checkpoint, loaded when a run begins and saved as it goes.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::checkpoint::{Checkpoint, Loss};
use super::store::{CheckpointError, CheckpointStore, Loaded, Stored};
use crate::clock::Clock;
use crate::error::BoxError;
use crate::net::retry::Deadline;
use crate::record::{LogId, Record, Start, StartFrom};
use crate::report::Gap;
use crate::run::{Handled, Ledger, Newest, Opening};
use crate::storage::Version;

/// How long the loss of a checkpoint is reported, unless a person sets another one.
const LOSS_REPORTED: Duration = Duration::from_hours(24);
/// How old the stored time of having caught up may grow while there is nothing else to save.
const HEARTBEAT: Duration = Duration::from_hours(1);
/// Between two attempts to save what was acknowledged in a storage that is away.
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// The ledger of one run.
pub(crate) struct CheckpointLedger<'a> {
    store: &'a CheckpointStore,
    clock: &'a Clock,
    /// When the run began: what it reads, it reads later.
    began: DateTime<Utc>,
    start: Start,
    overlap: Duration,
    /// What was handled before this run.
    before: Checkpoint,
    checkpoint: Checkpoint,
    /// The checkpoint as it is stored.
    stored: Checkpoint,
    version: Option<Version>,
    /// Whether something was acknowledged that is not saved. It would be sent again if it were
    /// forgotten.
    is_owing: bool,
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
            start,
            overlap,
            before: first.clone(),
            stored: first.clone(),
            checkpoint: first,
            version: None,
            is_owing: false,
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

    /// The gap that the loss of a checkpoint may have left, for a day.
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
    /// Loads the checkpoint, or makes the first one.
    async fn open(&mut self, deadline: Deadline) -> Result<Opening, BoxError> {
        let Loaded { found, version } = self.store.load(deadline).await?;
        self.version = version;
        let is_newest = matches!(found, Stored::Newest(_));
        self.checkpoint = match found {
            Stored::Newest(checkpoint) | Stored::Previous(checkpoint) => checkpoint,
            Stored::Nothing => Checkpoint::first(self.start),
            Stored::Lost => Checkpoint::anew(self.start, self.began),
        };
        self.checkpoint.begin_by(self.start);
        self.before = self.checkpoint.clone();
        self.stored = self.checkpoint.clone();
        if !is_newest {
            self.try_save(deadline).await?;
        }
        Ok(Opening {
            position: self.checkpoint.position(),
            caught_up_at: self.checkpoint.caught_up_at,
            loss: self.loss(),
        })
    }

    fn leaves_out(&self, record: &Record) -> bool {
        self.checkpoint.leaves_out(record)
    }

    fn has_handled(&self, id: &LogId) -> bool {
        // The cursor of now may have passed ids that became visible since.
        self.before.has_handled(id) || self.checkpoint.remembers(id)
    }

    fn note(&mut self, record: &Record, handled: Handled) {
        self.is_owing |= handled == Handled::Accepted;
        self.checkpoint.note(record, handled);
    }

    fn begin_anew(&mut self, start: Start) {
        self.checkpoint.restart(start);
    }

    fn refuses_all(&mut self) -> DateTime<Utc> {
        self.checkpoint.refused(self.began)
    }

    fn refused_since(&self) -> Option<DateTime<Utc>> {
        self.checkpoint.refused_since
    }

    fn newest(&self) -> Option<&Newest> {
        self.checkpoint.newest.as_ref()
    }

    fn reach(&mut self, read_to: &LogId) {
        self.checkpoint.advance(read_to, self.began - self.overlap);
    }

    async fn save(&mut self, deadline: Deadline) -> Result<(), BoxError> {
        Ok(self.try_save(deadline).await?)
    }

    async fn close(&mut self, caught_up: bool, deadline: Deadline) -> Result<(), BoxError> {
        if caught_up {
            self.checkpoint.caught_up(self.began);
        }
        if self.checkpoint.is_news_after(&self.stored, HEARTBEAT) {
            self.try_save(deadline).await?;
        }
        Ok(())
    }
}
