//! The settings of each tenant.

use std::collections::HashMap;

use super::Layers;
use crate::auth0::Domain;
use crate::settings::tenants::{OfTenant, SETTING};
use crate::settings::{SettingsError, UNKNOWN};

/// The settings of each tenant. There is at least one.
pub(crate) struct Tenants {
    pub(super) members: Vec<Named>,
}

/// The settings of one tenant, or why they cannot be used.
pub(super) struct Named {
    /// Its name, if there are several tenants.
    pub name: Option<String>,
    pub layers: Result<Layers, SettingsError>,
}

/// No tenant has the name that was asked for.
#[derive(Debug, thiserror::Error)]
#[error("there is no tenant {asked}: {told}")]
pub(crate) struct NoSuchTenant {
    asked: String,
    /// The known names, and the problems that hide others.
    told: String,
}

impl Tenants {
    /// The tenants in these settings. Two entries for one tenant would share checkpoints and
    /// conflict, or deliver everything twice, so both become invalid.
    pub fn read(layers: &Layers) -> Self {
        let tenants = layers.by_tenant().into_iter();
        let members = tenants.map(|OfTenant { name, settings }| {
            let layers = settings.map(|it| layers.of_tenant(name.clone(), it));
            Named { name, layers }
        });
        let mut members: Vec<_> = members.collect();
        for Duplicates { names, problem } in duplicates(&members) {
            for Named { name, layers } in &mut members {
                if name.as_ref().is_some_and(|it| names.contains(it)) {
                    *layers = Err(SettingsError::new(SETTING.to_owned(), &problem));
                }
            }
        }
        Self { members }
    }

    /// Keeps only the tenant of this name.
    pub fn only(self, asked: &str) -> Result<Self, NoSuchTenant> {
        let is_asked = |it: &Named| {
            let name = it.name.as_deref();
            name.is_some_and(|it| it.eq_ignore_ascii_case(asked.trim()))
        };
        let (members, others): (Vec<_>, Vec<_>) = self.members.into_iter().partition(is_asked);
        if members.is_empty() {
            let (mut names, mut told) = (Vec::new(), Vec::new());
            for Named { name, layers } in others {
                match layers {
                    Err(problem) if name.as_deref() == Some(UNKNOWN) => {
                        told.extend(problem.lines());
                    }
                    _ => names.extend(name),
                }
            }
            if names.is_empty() && told.is_empty() {
                names.push("none".into());
            }
            if !names.is_empty() {
                told.insert(0, format!("{SETTING} names {}", names.join(", ")));
            }
            return Err(NoSuchTenant {
                asked: asked.to_owned(),
                told: told.join("; "),
            });
        }
        Ok(Self { members })
    }

    /// Each tenant's settings, or the problem of its name.
    pub fn each(&self) -> impl Iterator<Item = Result<&Layers, SettingsError>> {
        self.members
            .iter()
            .map(|it| it.layers.as_ref().map_err(Clone::clone))
    }
}

/// Names that mean the same tenant.
struct Duplicates {
    names: Vec<String>,
    /// What to report.
    problem: String,
}

/// The groups of names that mean the same tenant.
fn duplicates(members: &[Named]) -> Vec<Duplicates> {
    let hosts_of = |layers: &Layers| {
        let hosts = layers.read(|reader| {
            let domain = Domain::read(reader)?;
            let host = domain.host();
            // A setting for all tenants may have been forgotten for one; that is this tenant's own fault.
            let own = domain.own_host(reader).filter(|it| *it != host);
            Some((host, own.filter(|_| layers.settings.is_own("AUDIENCE"))))
        });
        hosts.ok()
    };
    let hosts = members.iter().filter_map(|it| {
        let (host, own) = hosts_of(it.layers.as_ref().ok()?)?;
        Some((it.name.clone()?, host, own))
    });
    let hosts: Vec<_> = hosts.collect();
    let mut names: HashMap<&str, (Vec<String>, &str)> = HashMap::new();
    for (name, host, _) in &hosts {
        let (names, _) = names
            .entry(host)
            .or_insert((Vec::new(), "have the same DOMAIN"));
        names.push(name.clone());
    }
    for (name, _, own) in &hosts {
        if let Some(own) = own.as_deref() {
            // Each may use a custom domain of the tenant, and neither its canonical one.
            let (names, what) = names.entry(own).or_default();
            names.push(name.clone());
            *what = "are one tenant by DOMAIN and AUDIENCE";
        }
    }
    let duplicates = names.into_values().filter(|(names, _)| names.len() > 1);
    let duplicates = duplicates.map(|(names, what)| Duplicates {
        problem: format!("names {}, which {what}", names.join(" and ")),
        names,
    });
    duplicates.collect()
}
