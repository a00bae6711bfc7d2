//! Where the state of each destination is stored.

use std::sync::Arc;

use super::{Layers, Problems};
use crate::app::AppError;
use crate::auth0::Domain;
use crate::destination::{KINDS, Kind};
use crate::pii::Privacy;
use crate::report::label;
use crate::settings::UNKNOWN;
use crate::state::{CheckpointStore, DeadLetterStore, HistoryStore};
use crate::storage::Storage;

/// The stores of one destination of a tenant.
pub(crate) struct Stores {
    /// The destination's name.
    pub name: &'static str,
    /// Identifies it in messages: the destination's name, with the tenant's if there are several.
    pub label: String,
    pub checkpoints: CheckpointStore,
    pub dead_letters: DeadLetterStore,
    pub history: HistoryStore,
}

impl Layers {
    /// The stores of each destination. Needs neither the tenant's secret nor a destination's
    /// settings.
    pub fn stores(&self) -> Result<Vec<Stores>, AppError> {
        let mut problems = Problems::default();
        let tools = self.tools(&mut problems)?;
        let domain = problems.note(self.read(Domain::read))?;
        let named = problems.note(self.named())?;
        let storage = problems.note(self.storage(&tools))?;
        let mut kinds = Vec::new();
        for kind in named.into_iter().flatten() {
            kinds.extend(problems.note(kind)?);
        }
        let (Some(domain), Some(storage), true) = (domain, storage, problems.0.is_empty()) else {
            return Err(problems.0.into());
        };
        // These stores are not used for runs, so no dead letter is written.
        let stores = |kind: &Kind| self.stores_of(kind, &domain, &storage, &tools.privacy);
        Ok(kinds.into_iter().map(stores).collect())
    }

    /// The same per destination, each with its own problem.
    pub(in crate::app) fn stores_of_each(
        &self,
    ) -> Vec<(&'static str, Result<Stores, Arc<AppError>>)> {
        let kept = || -> Result<_, AppError> {
            let mut problems = Problems::default();
            let tools = self.tools(&mut problems)?;
            let domain = self.read(Domain::read)?;
            let storage = self.storage(&tools)?;
            Ok((tools, domain, storage))
        };
        let kept = kept().map_err(Arc::new);
        let named = match self.named() {
            Ok(named) => named,
            Err(problem) => return vec![(UNKNOWN, Err(Arc::new(problem.into())))],
        };
        let stores = named.into_iter().map(|kind| match (kind, &kept) {
            (Ok(kind), Ok((tools, domain, storage))) => (
                kind.name,
                Ok(self.stores_of(kind, domain, storage, &tools.privacy)),
            ),
            (Ok(kind), Err(problem)) => (kind.name, Err(Arc::clone(problem))),
            (Err(problem), _) => (UNKNOWN, Err(Arc::new(problem.into()))),
        });
        stores.collect()
    }

    /// The stores of a destination of this kind.
    pub(in crate::app) fn stores_of(
        &self,
        kind: &Kind,
        domain: &Domain,
        storage: &Arc<Storage>,
        privacy: &Privacy,
    ) -> Stores {
        let (name, tenant) = (kind.name, &*domain.name);
        let storage = || Arc::clone(storage);
        Stores {
            name,
            label: label(self.tenant.as_deref(), name),
            checkpoints: self.checkpoints_of(kind, tenant, &storage()),
            dead_letters: DeadLetterStore::new(storage(), tenant, name, privacy.clone()),
            history: HistoryStore::new(storage(), tenant, name),
        }
    }

    /// The checkpoint of a destination, which knows those of the destinations that it may replace.
    fn checkpoints_of(&self, kind: &Kind, tenant: &str, storage: &Arc<Storage>) -> CheckpointStore {
        let writer = self.jitter.name();
        let store = |name| CheckpointStore::new(Arc::clone(storage), tenant, name, writer.clone());
        let predecessors = self.predecessors_of(kind).into_iter();
        let predecessors = predecessors.map(|name| (name, store(name)));
        store(kind.name)
            .labelled(&label(self.tenant.as_deref(), kind.name))
            .replacing(predecessors.collect())
    }

    /// The names of the destinations that `DESTINATIONS` may have named before. None are replaced by
    /// one that only shows records.
    fn predecessors_of(&self, kind: &Kind) -> Vec<&'static str> {
        // A bad setting is reported where its destinations are built.
        let Some(in_use) = self.kinds_in_use().ok().filter(|_| !kind.is_for_a_look) else {
            return Vec::new();
        };
        let others = KINDS.iter().filter(|it| !it.is_for_a_look);
        let names = others.map(|it| it.name);
        names.filter(|it| !in_use.contains(it)).collect()
    }
}
