//! The pipeline to one destination of a tenant, and how it is built from the settings.

use std::sync::Arc;

use tokio::sync::watch;

use super::layers::Built;
use super::{Layers, Stores};
use crate::arrival::Proof;
use crate::auth0::{Domain, LogReader, RunGuard, Tenant};
use crate::destination::{Destination, Filter, Kind, Tools};
use crate::report::{Report, label};
use crate::run::Pace;
use crate::settings::{SettingsError, UNKNOWN};
use crate::state::{ArrivalStore, Timing};
use crate::storage::Storage;

/// A destination of a tenant, and all that its runs need.
pub(crate) struct Pipeline {
    /// The destination's name.
    pub name: &'static str,
    /// Identifies it in messages: the destination's name, with the tenant's if there are several.
    pub label: String,
    /// Whether it writes records to standard output.
    pub is_for_a_look: bool,
    /// The destination and its path, or why there is none.
    pub route: Result<Route, SettingsError>,
    /// Its stores if there is no route, unless its name is unknown.
    stores: Option<Stores>,
    pub(super) progress: watch::Sender<Report>,
}

/// The path of records to one destination.
pub(crate) struct Route {
    pub destination: Box<dyn Destination>,
    pub(super) filter: Filter,
    pub(super) source: LogReader,
    pub(super) pace: Pace,
    /// The proof of arrival, if it is configured.
    pub(super) proof: Option<Proof>,
    pub stores: Stores,
}

impl Pipeline {
    /// The report of the current run, as it grows.
    pub fn progress(&self) -> watch::Receiver<Report> {
        self.progress.subscribe()
    }

    /// Begins a run of its source, if there is a route.
    pub(super) fn begin_reading(&self) -> Option<RunGuard> {
        self.route.as_ref().ok().map(|it| it.source.begin())
    }

    /// Its stores, whether there is a route or not, unless its name is unknown.
    pub(super) fn stores(&self) -> Option<&Stores> {
        let route = self.route.as_ref().ok();
        route.map(|it| &it.stores).or(self.stores.as_ref())
    }
}

/// A configured destination and what its settings describe, or the problem of its name.
pub(super) type Configured = Result<(&'static Kind, Result<Built, SettingsError>), SettingsError>;

/// What the pipelines of a tenant are built from.
pub(super) struct Maker<'a> {
    pub layers: &'a Layers,
    pub tools: &'a Tools,
    pub domain: &'a Domain,
    pub storage: &'a Arc<Storage>,
    pub tenant: &'a Tenant,
    /// When to look for arrivals, if arrival is to be proved.
    pub timing: Option<Timing>,
}

impl Maker<'_> {
    pub fn pipeline(&self, configured: Configured) -> Pipeline {
        let kind = configured.as_ref().ok().map(|(kind, _)| *kind);
        let name = kind.map_or(UNKNOWN, |kind| kind.name);
        let label = label(self.layers.tenant.as_deref(), name);
        let route = configured.and_then(|(kind, built)| Ok(self.route(kind, built?)));
        Pipeline {
            name,
            is_for_a_look: kind.is_some_and(|kind| kind.is_for_a_look),
            progress: watch::Sender::new(Report::of(&label)),
            label,
            stores: kind.filter(|_| route.is_err()).map(|kind| {
                let privacy = &self.tools.privacy;
                self.layers
                    .stores_of(kind, self.domain, self.storage, privacy)
            }),
            route,
        }
    }

    fn route(&self, kind: &Kind, built: Built) -> Route {
        let arrivals = ArrivalStore::new(Arc::clone(self.storage), &self.domain.name, kind.name);
        let proof = (self.layers).proof(kind, &built, self.timing, self.tools, arrivals);
        let Built {
            destination,
            filter,
            privacy,
        } = built;
        Route {
            destination,
            filter,
            proof,
            source: self.tenant.reader(),
            pace: Pace::default(),
            stores: self
                .layers
                .stores_of(kind, self.domain, self.storage, &privacy),
        }
    }
}
