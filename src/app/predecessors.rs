//! The checkpoint of a destination, and those of the destinations that it may replace: it begins at
//! `START_FROM`, wherever they ended.

use std::sync::Arc;

use super::Layers;
use crate::destination::{KINDS, Kind};
use crate::report::label;
use crate::settings::SettingsError;
use crate::state::CheckpointStore;
use crate::storage::Storage;

impl Layers {
    /// The names in `DESTINATIONS`, as they are written there.
    pub(super) fn destinations(&self) -> Result<String, SettingsError> {
        self.read(|reader| {
            let list = reader.get("DESTINATIONS").unwrap_or(KINDS[0].name);
            Some(list.to_owned())
        })
    }

    /// The checkpoint of a destination.
    pub(super) fn checkpoints_of(
        &self,
        kind: &Kind,
        tenant: &str,
        storage: &Arc<Storage>,
    ) -> CheckpointStore {
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
        let (Ok(named), Ok(configured)) = (self.named(), self.destinations()) else {
            return Vec::new();
        };
        if kind.is_for_a_look {
            return Vec::new();
        }
        let is_in_use = |kind: &Kind| {
            let is_named = named.iter().flatten().any(|it| it.name == kind.name);
            is_named || configured.split(',').any(|it| it.trim() == kind.name)
        };
        let others = KINDS.iter().filter(|it| !it.is_for_a_look);
        let replaced = others.filter(|it| !is_in_use(it));
        replaced.map(|it| it.name).collect()
    }
}
