//! What reaches one destination of a tenant, and how it is made of the settings.

use std::sync::Arc;

use tokio::sync::watch;

use super::layers::Built;
use super::{Books, Layers};
use crate::arrival::Proof;
use crate::auth0::{Domain, LogReader, Tenant};
use crate::destination::{Destination, Filter, Kind, Tools};
use crate::report::{Report, label};
use crate::run::Pace;
use crate::settings::{SettingsError, UNKNOWN};
use crate::state::{ArrivalStore, CheckpointStore, HistoryStore, Timing};
use crate::storage::Storage;

/// What reaches one destination.
pub(crate) struct Pipeline {
    /// The destination's name.
    pub name: &'static str,
    /// What tells it from the others: its name, and the tenant's where there are several.
    pub label: String,
    /// Whether it writes records to standard output.
    pub is_for_a_look: bool,
    /// The destination, or why there is none.
    pub way: Result<Way, SettingsError>,
    /// What is remembered of its runs, if it has a place.
    pub(super) history: Option<HistoryStore>,
    /// Where its checkpoint is, if its settings are bad.
    pub(super) checkpoints: Option<CheckpointStore>,
    pub(super) progress: watch::Sender<Report>,
}

/// The way of records to one destination.
pub(crate) struct Way {
    pub destination: Box<dyn Destination>,
    pub(super) filter: Filter,
    pub(super) source: LogReader,
    pub(super) pace: Pace,
    /// What proves that records arrive, where that is asked for.
    pub(super) proof: Option<Proof>,
    pub books: Books,
}

impl Pipeline {
    /// The report of the run under way, as it grows.
    pub fn progress(&self) -> watch::Receiver<Report> {
        self.progress.subscribe()
    }
}

/// A destination that is configured: its kind, if the name is one's, and what its settings made.
pub(super) type Configured = (Option<&'static Kind>, Result<Built, SettingsError>);

/// What the pipelines of a tenant are made with.
pub(super) struct Maker<'a> {
    pub layers: &'a Layers,
    pub tools: &'a Tools,
    pub domain: &'a Domain,
    pub storage: &'a Arc<Storage>,
    pub tenant: &'a Tenant,
    /// When it is looked at whether records arrived, where that is asked for.
    pub timing: Option<Timing>,
}

impl Maker<'_> {
    pub fn pipeline(&self, (kind, built): Configured) -> Pipeline {
        let name = kind.map_or(UNKNOWN, |kind| kind.name);
        let label = label(self.layers.tenant.as_deref(), name);
        let way = built.and_then(|built| match kind {
            Some(kind) => Ok(self.way(kind, built)),
            None => Err(SettingsError::default()),
        });
        Pipeline {
            name,
            is_for_a_look: kind.is_some_and(|kind| kind.is_for_a_look),
            progress: watch::Sender::new(Report::of(&label)),
            label,
            history: kind.map(|kind| {
                HistoryStore::new(Arc::clone(self.storage), &self.domain.name, kind.name)
            }),
            checkpoints: kind.filter(|_| way.is_err()).map(|kind| {
                let privacy = &self.tools.privacy;
                let books = self
                    .layers
                    .books_of(kind, self.domain, self.storage, privacy);
                books.checkpoints
            }),
            way,
        }
    }

    fn way(&self, kind: &Kind, built: Built) -> Way {
        let arrivals = ArrivalStore::new(Arc::clone(self.storage), &self.domain.name, kind.name);
        let proof = (self.layers).proof(kind, &built, self.timing, (self.tools, arrivals));
        let Built {
            destination,
            filter,
            privacy,
        } = built;
        Way {
            destination,
            filter,
            proof,
            source: self.tenant.reader(),
            pace: Pace::default(),
            books: self
                .layers
                .books_of(kind, self.domain, self.storage, &privacy),
        }
    }
}
