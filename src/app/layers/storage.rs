//! The storage for state, which one process opens once.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::shared::Value;
use super::{Layers, PROXY};
use crate::app::{AppError, Purpose};
use crate::azure::principal;
use crate::destination::Tools;
use crate::error::BoxError;
use crate::storage::settings::{self, StorageSettings};
use crate::storage::{Storage, azure, folder};

impl Layers {
    /// The storage that the settings name.
    pub(in crate::app) fn storage(&self, tools: &Tools) -> Result<Arc<Storage>, AppError> {
        let is_under_host = matches!(self.purpose, Purpose::Host);
        self.judge_storage_names()?;
        let wanted = self.read(|reader| StorageSettings::read(reader, is_under_host))?;
        let storages = &self.shared.storages;
        if let StorageSettings::Folder(path) = &wanted {
            // However it is written, and whatever else differs, one process locks it once.
            let folder = Value {
                text: canonical(path),
                is_own: false,
            };
            return storages.get_or_make(vec![Some(folder)], || self.make_storage(wanted, tools));
        }
        let names = [&settings::SETTINGS[..], &principal::SETTINGS, &PROXY].concat();
        storages.get_or_make(self.key(&names), || self.make_storage(wanted, tools))
    }

    fn make_storage(
        &self,
        wanted: StorageSettings,
        tools: &Tools,
    ) -> Result<Arc<Storage>, AppError> {
        let jitter = self.jitter.clone();
        let storage = match wanted {
            StorageSettings::Azure(account) => {
                let (http, clock) = (tools.http.clone(), self.clock.clone());
                let container = azure::Container::new(
                    &account,
                    azure::CONTAINER,
                    azure::Missing::IsMade,
                    http,
                    clock,
                );
                Storage::over(container.map_err(BoxError::from)?, jitter)
            }
            StorageSettings::Folder(path) => {
                Storage::over(folder::Folder::new(path, settings::FOLDER), jitter)
            }
        };
        Ok(Arc::new(storage))
    }
}

/// The canonical path of a folder, even if the folder does not exist yet.
fn canonical(folder: &Path) -> String {
    let path = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    // The part that does not exist yet has no links.
    let real = path.ancestors().find_map(|it| {
        let rest = path.strip_prefix(it).ok()?;
        Some(it.canonicalize().ok()?.join(rest))
    });
    let parts: PathBuf = real.as_ref().unwrap_or(&path).components().collect();
    parts.display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_folder_has_one_path_however_it_is_written_and_before_it_is_there() {
        let temp = tempfile::tempdir().unwrap();
        let real = temp.path().canonicalize().unwrap();
        std::fs::create_dir(real.join("a")).unwrap();
        std::os::unix::fs::symlink(real.join("a"), real.join("link")).unwrap();
        let path = |text: &str| canonical(&real.join(text));
        for is_there in [false, true] {
            let plain = real.join("a/state").display().to_string();
            for text in ["a/state", "a/./state/", "link/state", "link/../a//state"] {
                assert_eq!(path(text), plain, "{text}, {is_there}");
            }
            assert_ne!(path("state"), plain);
            std::fs::create_dir_all(real.join("a/state")).unwrap();
        }
    }
}
