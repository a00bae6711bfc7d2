//! The settings, layer by layer: the storage for state, the tenant, and each destination
//! separately.
//!
//! Reading a layer sends no request. All problems of the requested layers are reported together. The
//! layers that nearly every command needs are here, and the others have a file each. What belongs to one
//! task of the app, such as an audit, is with that task.

mod destinations;
mod names;
mod shared;
mod storage;
mod stores;

use std::sync::Arc;

use chrono::{DateTime, Utc};

pub(super) use self::destinations::Built;
pub use self::names::setting_names;
use self::shared::Shared;
pub(crate) use self::stores::Stores;
use super::{AppError, Purpose};
use crate::auth0::{Domain, TenantSettings};
use crate::clock::Clock;
use crate::destination::Tools;
use crate::error::BoxError;
use crate::net::http::{self, Proxy};
use crate::net::retry::Jitter;
use crate::pii::Keys;
use crate::redact::Redaction;
use crate::run::Policy;
use crate::settings::tenants::OfTenant;
use crate::settings::{AppSettings, Reader, SettingsError, UNKNOWN, values};

/// The settings for the proxy.
const PROXY: [&str; 4] = ["HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"];

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

    /// The present time.
    pub fn now(&self) -> DateTime<Utc> {
        (self.clock)()
    }

    /// The tenant's name in reports: its configured name, or else its host.
    pub(super) fn tenant_name(&self) -> String {
        let host = || self.read(Domain::read).ok().map(|it| it.name);
        let name = self.tenant.clone().or_else(host);
        name.unwrap_or_else(|| UNKNOWN.to_owned())
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
        let clients = &self.shared.clients;
        Ok(Tools {
            tenant: domain.map(|it| it.name).unwrap_or_default(),
            privacy: problems.note(redaction)?.unwrap_or(Redaction::On).into(),
            http: clients
                .get_or_make(self.key(&PROXY), || http::client(proxy.flatten().as_ref()))?,
            clock: self.clock.clone(),
            jitter: self.jitter.clone(),
        })
    }

    /// The keys of pseudonyms, if no name of a setting of theirs is mistyped. Reading them needs no other layer.
    pub fn pseudonym_keys(&self) -> Result<Keys, SettingsError> {
        self.judge_privacy_names()?;
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

    pub(super) fn read<T>(
        &self,
        layer: impl FnOnce(&mut Reader) -> Option<T>,
    ) -> Result<T, SettingsError> {
        Reader::read(&self.settings, layer)
    }
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
