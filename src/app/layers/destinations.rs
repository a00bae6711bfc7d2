//! Which destinations are wanted, and what the settings of each one describe.

use super::{Layers, Problems};
use crate::app::{AppError, Purpose};
use crate::destination::{Destination, Filter, KINDS, Kind, Tools};
use crate::error::BoxError;
use crate::pii::{Policy as PiiPolicy, Privacy};
use crate::settings::{Reader, SettingsError};

/// What the settings of a destination describe.
pub(in crate::app) struct Built {
    pub destination: Box<dyn Destination>,
    pub filter: Filter,
    /// What the destination may see of a record, and so what its dead letters may hold.
    pub privacy: Privacy,
}

impl Layers {
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

    /// Builds a destination of this kind.
    pub(in crate::app) fn build(&self, kind: &Kind, tools: &Tools) -> Result<Built, SettingsError> {
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

    /// The names in `DESTINATIONS`, as they are written there.
    pub(in crate::app) fn destinations(&self) -> Result<String, SettingsError> {
        self.read(|reader| {
            let list = reader.get("DESTINATIONS").unwrap_or(KINDS[0].name);
            Some(list.to_owned())
        })
    }

    /// The destinations that are configured or named on the command line: each one's kind, or the
    /// problem of its name.
    pub(in crate::app) fn named(
        &self,
    ) -> Result<Vec<Result<&'static Kind, SettingsError>>, SettingsError> {
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

    /// The names of the destinations that are configured or named on the command line.
    pub(in crate::app) fn kinds_in_use(&self) -> Result<Vec<&'static str>, SettingsError> {
        let (named, configured) = (self.named()?, self.destinations()?);
        let is_in_use = |kind: &Kind| {
            let is_named = named.iter().flatten().any(|it| it.name == kind.name);
            is_named || configured.split(',').any(|it| it.trim() == kind.name)
        };
        let in_use = KINDS.iter().filter(|it| is_in_use(it));
        Ok(in_use.map(|it| it.name).collect())
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
}
