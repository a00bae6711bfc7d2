//! The settings, layer by layer: the storage for state, the tenant, and each destination
//! separately.
//!
//! Reading a layer sends no request. All problems of the requested layers are reported together.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};

use super::{AppError, Purpose, Stores, heartbeat};
use crate::arrival;
use crate::auth0::{self, Domain, TenantSettings};
use crate::aws;
use crate::azure::principal;
use crate::clock::Clock;
use crate::destination::{Destination, Filter, KINDS, Kind, Tools};
use crate::error::BoxError;
use crate::net::http::{self, Proxy};
use crate::net::retry::Jitter;
use crate::pii::{self, Keys, Policy as PiiPolicy, Privacy};
use crate::redact::Redaction;
use crate::report::label;
use crate::run::{self, InFlight, Policy};
use crate::settings::tenants::OfTenant;
use crate::settings::{AppSettings, Reader, SettingsError, UNKNOWN, tenants, values};
use crate::state::{DeadLetterStore, HistoryStore};
use crate::storage::{self, Storage, azure, folder, settings::StorageSettings};

/// The settings that this module reads.
const SETTINGS: [&str; 4] = [
    tenants::SETTING,
    "DESTINATIONS",
    "REDACT",
    heartbeat::SETTING,
];

/// The settings for the proxy.
const PROXY: [&str; 4] = ["HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"];

/// The names of all settings.
#[must_use]
pub fn setting_names() -> Vec<&'static str> {
    let shared: [&[&str]; 9] = [
        &arrival::SETTINGS,
        &auth0::SETTINGS,
        &SETTINGS,
        &PROXY,
        &principal::SETTINGS,
        &aws::settings::SETTINGS,
        &storage::settings::SETTINGS,
        &run::SETTINGS,
        &pii::SETTINGS,
    ];
    let own = KINDS.iter().map(|kind| kind.settings);
    let for_each = KINDS.iter().flat_map(|kind| [kind.filter, kind.pii]);
    own.chain(shared)
        .flatten()
        .copied()
        .chain(for_each)
        .collect()
}

/// Collects the problems of all layers.
#[derive(Default)]
pub(super) struct Problems(pub SettingsError);

impl Problems {
    /// Returns the layer, or notes the problems of its settings.
    pub fn note<T, E: Into<AppError>>(
        &mut self,
        layer: Result<T, E>,
    ) -> Result<Option<T>, BoxError> {
        match layer.map_err(Into::into) {
            Ok(layer) => Ok(Some(layer)),
            Err(AppError::Settings(problems)) => {
                self.0.add(problems);
                Ok(None)
            }
            Err(AppError::Other(error)) => Err(error),
        }
    }
}

/// What the settings of a destination describe.
pub(super) struct Built {
    pub destination: Box<dyn Destination>,
    pub filter: Filter,
    /// What the destination may see of a record, and so what its dead letters may hold.
    pub privacy: Privacy,
}

/// The settings of one tenant, to be read layer by layer.
#[derive(Clone)]
pub(crate) struct Layers {
    pub(super) settings: AppSettings,
    /// The tenant's name, if there are several tenants.
    pub(super) tenant: Option<String>,
    /// Whether records are read from Auth0.
    pub(super) is_auth0_read: bool,
    pub(super) purpose: Purpose,
    pub(super) clock: Clock,
    pub(super) jitter: Jitter,
    pub(super) shared: Arc<Shared>,
}

/// Objects that tenants of an app share if their settings are the same.
#[derive(Default)]
pub(super) struct Shared {
    /// Everything that the runs of the process hold in memory.
    pub in_flight: InFlight,
    pub ahead: auth0::Room,
    clients: Memo<reqwest::Client>,
    storages: Memo<Arc<Storage>>,
}

/// What was made, by the settings that it was made from.
type Memo<T> = Mutex<HashMap<Vec<Option<Value>>, T>>;

/// A setting's value, and whether it is the tenant's own, which takes precedence over the shared one.
type Value = (String, bool);

impl Layers {
    pub fn new(settings: AppSettings, purpose: Purpose, clock: Clock, jitter: Jitter) -> Self {
        Self {
            settings,
            tenant: None,
            is_auth0_read: true,
            purpose,
            clock,
            jitter,
            shared: Arc::default(),
        }
    }

    /// The same layers with one tenant's settings.
    pub(super) fn of_tenant(&self, name: Option<String>, settings: AppSettings) -> Self {
        Self {
            settings,
            tenant: name,
            ..self.clone()
        }
    }

    /// The tenants, each with its settings or with the problem of its name.
    pub(super) fn by_tenant(&self) -> Vec<OfTenant> {
        self.settings.by_tenant(&setting_names())
    }

    /// Returns the object that was built from the same settings for any tenant, or builds it.
    fn shared<T: Clone, E>(
        &self,
        memo: &Memo<T>,
        settings: &[&str],
        make: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        let value = |name: &&str| {
            let value = self.settings.get(name)?;
            Some((value.to_owned(), self.settings.is_own(name)))
        };
        Self::shared_by(memo, settings.iter().map(value).collect(), make)
    }

    fn shared_by<T: Clone, E>(
        memo: &Memo<T>,
        values: Vec<Option<Value>>,
        make: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        let mut known = memo.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(it) = known.get(&values) {
            return Ok(it.clone());
        }
        let it = make()?;
        known.insert(values, it.clone());
        Ok(it)
    }

    /// The present time.
    pub fn now(&self) -> DateTime<Utc> {
        (self.clock)()
    }

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
    pub(super) fn stores_of_each(&self) -> Vec<(&'static str, Result<Stores, Arc<AppError>>)> {
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

    /// The tenant's name in reports: its configured name, or else its host.
    pub(super) fn tenant_name(&self) -> String {
        let host = || self.read(Domain::read).ok().map(|it| it.name);
        let name = self.tenant.clone().or_else(host);
        name.unwrap_or_else(|| UNKNOWN.to_owned())
    }

    pub(super) fn stores_of(
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

    /// Builds the destination of this name.
    pub fn destination(&self, name: &str) -> Result<Box<dyn Destination>, AppError> {
        let mut problems = Problems::default();
        let tools = self.tools(&mut problems)?;
        let kind = Kind::named(name).ok_or_else(|| BoxError::from("no such destination"))?;
        let built = problems.note(self.build(kind, &tools))?;
        let destination = built
            .map(|it| it.destination)
            .filter(|_| problems.0.is_empty());
        destination.ok_or_else(|| problems.0.into())
    }

    /// The common tools. A bad setting is noted and replaced by its default, so that the other
    /// layers can be checked too.
    pub(super) fn tools(&self, problems: &mut Problems) -> Result<Tools, BoxError> {
        let redaction = self.read(|reader| {
            let redaction = reader.optional("REDACT", values::redaction);
            Some(redaction.unwrap_or(Redaction::On))
        });
        let proxy = self.read(|reader| Some(proxy(reader)));
        let domain = self.read(Domain::read);
        let proxy = problems.note(proxy)?;
        Ok(Tools {
            tenant: domain.map(|it| it.name).unwrap_or_default(),
            privacy: problems.note(redaction)?.unwrap_or(Redaction::On).into(),
            http: self.shared(&self.shared.clients, &PROXY, || {
                http::client(proxy.flatten().as_ref())
            })?,
            clock: self.clock.clone(),
            jitter: self.jitter.clone(),
        })
    }

    /// The keys of pseudonyms. Reading them needs no other layer.
    pub fn pseudonym_keys(&self) -> Result<Keys, SettingsError> {
        self.read(Keys::read)
    }

    pub(super) fn tenant(&self) -> Result<TenantSettings, SettingsError> {
        if self.is_auth0_read {
            self.read(TenantSettings::read)
        } else {
            self.read(Domain::read).map(TenantSettings::unread)
        }
    }

    pub(super) fn policy(&self) -> Result<Policy, SettingsError> {
        self.read(|reader| Policy::read(reader, self.now()))
    }

    pub(super) fn storage(&self, tools: &Tools) -> Result<Arc<Storage>, AppError> {
        let is_under_host = matches!(self.purpose, Purpose::Host);
        self.judge_storage_names()?;
        let settings = self.read(|reader| StorageSettings::read(reader, is_under_host))?;
        let storages = &self.shared.storages;
        if let StorageSettings::Folder(path) = &settings {
            // However it is written, and whatever else differs, one process locks it once.
            let folder = vec![Some((spelt_out(path), false))];
            return Self::shared_by(storages, folder, || self.make_storage(settings, tools));
        }
        let names = [
            &storage::settings::SETTINGS[..],
            &principal::SETTINGS,
            &PROXY,
        ]
        .concat();
        self.shared(storages, &names, || self.make_storage(settings, tools))
    }

    fn make_storage(
        &self,
        settings: StorageSettings,
        tools: &Tools,
    ) -> Result<Arc<Storage>, AppError> {
        let jitter = self.jitter.clone();
        let storage = match settings {
            StorageSettings::Azure(account) => {
                let (http, clock) = (tools.http.clone(), self.clock.clone());
                let container = azure::Container::new(
                    &account,
                    azure::CONTAINER,
                    azure::Missing::IsMade,
                    http,
                    clock,
                );
                Storage::azure(container.map_err(BoxError::from)?, jitter)
            }
            StorageSettings::Folder(path) => {
                Storage::folder(folder::Folder::new(path, storage::settings::FOLDER), jitter)
            }
        };
        Ok(Arc::new(storage))
    }

    pub(super) fn build(&self, kind: &Kind, tools: &Tools) -> Result<Built, SettingsError> {
        self.judge_privacy_names()?;
        self.read(|reader| {
            let policy = PiiPolicy::read(reader, kind.pii);
            let privacy = tools.privacy.with(policy.clone().unwrap_or_default());
            let tools = Tools {
                privacy: privacy.clone(),
                ..tools.clone()
            };
            let destination = (kind.build)(reader, &tools);
            let filter = reader.or_default(kind.filter, Filter::default(), Filter::read);
            policy?;
            Some(Built {
                destination: destination?,
                filter: filter?,
                privacy,
            })
        })
    }

    /// The destinations that are configured or named on the command line: each one's kind, or the
    /// problem of its name.
    pub(super) fn named(&self) -> Result<Vec<Result<&'static Kind, SettingsError>>, SettingsError> {
        let (setting, list) = match &self.purpose {
            Purpose::CommandLine {
                destination: Some(list),
            } => ("--destination", list.clone()),
            _ => ("DESTINATIONS", self.destinations()?),
        };
        let mut names: Vec<&str> = Vec::new();
        for name in list.split(',').map(str::trim) {
            if !name.is_empty() && !names.contains(&name) {
                names.push(name);
            }
        }
        if names.is_empty() {
            return self.read(|reader| reader.problem(setting, "names no destination"));
        }
        let kind = |name| self.read(|reader| self.kind(name, setting, reader));
        Ok(names.into_iter().map(kind).collect())
    }

    fn kind(
        &self,
        name: &str,
        setting: &'static str,
        reader: &mut Reader,
    ) -> Option<&'static Kind> {
        let Some(kind) = Kind::named(name) else {
            let known = Kind::names();
            let problem = format!("names an unknown destination; it takes {known}");
            return reader.problem(setting, &problem);
        };
        if kind.is_for_a_look && matches!(self.purpose, Purpose::Host) {
            let problem = format!(
                "names {name}, which is for `auth0-poller poll`: under the Functions host it would \
                 write personal data to the function's log"
            );
            return reader.problem(setting, &problem);
        }
        Some(kind)
    }

    pub(super) fn read<T>(
        &self,
        layer: impl FnOnce(&mut Reader) -> Option<T>,
    ) -> Result<T, SettingsError> {
        Reader::read(&self.settings, layer)
    }
}

/// The canonical path of a folder, even if the folder does not exist yet.
fn spelt_out(folder: &Path) -> String {
    let path = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    // The part that does not exist yet has no links.
    let real = path.ancestors().find_map(|it| {
        let rest = path.strip_prefix(it).ok()?;
        Some(it.canonicalize().ok()?.join(rest))
    });
    let parts: PathBuf = real.as_ref().unwrap_or(&path).components().collect();
    parts.display().to_string()
}

fn proxy(reader: &mut Reader) -> Option<Proxy> {
    let no_proxy = reader.first_set(&["NO_PROXY", "no_proxy"]);
    let no_proxy = no_proxy.and_then(|it| reader.get(it));
    let setting = reader.first_set(&["HTTPS_PROXY", "https_proxy"])?;
    let proxy = reader.get(setting)?;
    Proxy::new(proxy, no_proxy).or_else(|| {
        reader.problem(
            setting,
            "is not the URL of a proxy such as http://proxy:8080; one of SOCKS is not used",
        )
    })
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
        let spelt = |text: &str| spelt_out(&real.join(text));
        for is_there in [false, true] {
            let plain = real.join("a/state").display().to_string();
            for text in ["a/state", "a/./state/", "link/state", "link/../a//state"] {
                assert_eq!(spelt(text), plain, "{text}, {is_there}");
            }
            assert_ne!(spelt("state"), plain);
            std::fs::create_dir_all(real.join("a/state")).unwrap();
        }
    }
}
