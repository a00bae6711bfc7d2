//! Warnings and errors for settings that are set but not read.

use std::collections::BTreeSet;

use tracing::warn;

use super::layers::setting_names;
use super::{Layers, Tenants};
use crate::destination::{Filter, KINDS, Kind};
use crate::pii::{self, Keys};
use crate::settings::tenants::{self, OfStranger};
use crate::settings::{Misspelt, SettingsError, as_seen};

/// The settings that name a place for checkpoints. Each list takes precedence over the next one;
/// within a list all are equal.
const PLACES: [&[&str]; 3] = [
    &["AzureWebJobsStorage"],
    &[
        "AzureWebJobsStorage__blobServiceUri",
        "AzureWebJobsStorage__accountName",
    ],
    &["CHECKPOINT_DIR"],
];

/// Prefix of the destinations' filter settings.
const FILTERS: &str = "FILTER_";

/// The setting that every tenant has.
const HOST: &str = "DOMAIN";

impl Layers {
    /// Warns of names that are set but not read and resemble a setting. For the storage they are an
    /// error, raised where the storage is opened.
    pub fn warn_of_misspelt(&self) {
        let known = setting_names();
        let misspelt = self.settings.misspelt(&known);
        for Misspelt { given, meant, .. } in &misspelt {
            let given = as_seen(given);
            warn!("the setting {given} is not read; {meant} is (names are case-sensitive)");
        }
        for OfStranger { given, tenant, .. } in self.settings.of_strangers(&known) {
            let given = as_seen(&given);
            warn!("the setting {given} is not read: TENANTS does not name {tenant}");
        }
        let filters = known.iter().filter_map(|it| it.strip_prefix(FILTERS));
        let about: Vec<_> = filters.collect();
        let word = FILTERS.trim_end_matches('_');
        for given in self.settings.named_like(word, &about, &known) {
            // Other programs have settings with this prefix: `FILTER_BRANCH_SQUELCH_WARNING=1`.
            let value = self.settings.get(given).unwrap_or_default();
            if misspelt.iter().any(|it| it.given == given) || Filter::parse(value).is_err() {
                continue;
            }
            let given = as_seen(given);
            warn!(
                "the setting {given} is not read; each destination has a filter of its own, such as \
                 FILTER_LOG_ANALYTICS, and without it gets everything"
            );
        }
    }

    /// Refuses a misspelt setting for the storage: checkpoints would silently go to the wrong
    /// place.
    pub(super) fn judge_storage_names(&self) -> Result<(), SettingsError> {
        let is_any = |names: &[&str], is: &dyn Fn(&str) -> bool| names.iter().any(|name| is(name));
        let is_set = |name: &str| self.settings.get(name).is_some();
        // A tenant's own setting takes precedence over one for all tenants.
        let is_own = |name: &str| self.settings.is_own(name);
        let own = PLACES.iter().position(|names| is_any(names, &is_own));
        let chosen = PLACES.iter().position(|names| is_any(names, &is_set));
        let known = setting_names();
        let rank = |setting: &str| PLACES.iter().position(|names| names.contains(&setting));
        for misspelt in self.settings.misspelt(&known) {
            let Some(rank) = rank(misspelt.setting) else {
                continue;
            };
            let would_count = if misspelt.is_own {
                own.is_none_or(|own| rank < own)
            } else {
                own.is_none() && chosen.is_none_or(|chosen| rank < chosen)
            };
            if would_count {
                return Err(not_read(&misspelt));
            }
        }
        let strangers = self.settings.of_strangers(&known);
        let mistyped = strangers.iter().find(|it| {
            let would_count = |rank| own.is_none_or(|own| rank < own);
            rank(it.setting).is_some_and(would_count)
                && self.settings.is_about_owner(&it.tenant)
                && !is_whole(&it.tenant, &strangers)
        });
        mistyped.map_or(Ok(()), |it| Err(of_nobody(it)))
    }

    /// Refuses a misspelt setting for personal data: the data that it withholds would be sent.
    pub(super) fn judge_privacy_names(&self) -> Result<(), SettingsError> {
        let known = setting_names();
        let [policy, key, ..] = pii::SETTINGS;
        let destinations = known.iter().filter_map(|it| it.strip_prefix("PII_"));
        let about: Vec<_> = destinations.chain(pii::kinds()).collect();
        // Without `TENANTS`, a prefix cannot be compared with a list, so a policy is recognised by its form.
        let is_meant = |given: &str, tenant: &str| {
            if self.settings.get(tenants::SETTING).is_some() {
                self.settings.is_about(tenant, &about)
            } else {
                self.settings.get(given).is_some_and(|it| it.contains(':'))
            }
        };
        // Short names resemble unrelated ones, such as `PID` and `PKI_KEY`, which have no policy as their value.
        let is_of_privacy = |it: &&Misspelt| {
            let is_whole = it.is_own || !it.given.contains("__");
            let has_policy = || self.settings.get(&it.given).is_some_and(pii::is_policy);
            let is_short = it.setting == key || it.setting == policy && !(is_whole && has_policy());
            let tenant = it.meant.split_once("__").map(|(tenant, _)| tenant);
            it.setting.starts_with(policy)
                && (!is_short || it.is_same_but_for_case())
                && tenant.is_none_or(|tenant| is_meant(&it.given, tenant))
        };
        // A tenant's own policy would take effect, whatever is set for all.
        let is_missing = |it: &&Misspelt| {
            let is_own = self.settings.is_own(it.setting);
            !is_own && (it.is_own || self.settings.get(it.setting).is_none())
        };
        let misspelt = self.settings.misspelt(&known);
        let mut wrong = misspelt.iter().filter(is_of_privacy).filter(is_missing);
        if let Some(misspelt) = wrong.next() {
            return Err(not_read(misspelt));
        }
        let strangers = self.settings.of_strangers(&known);
        let is_tenant = |tenant: &str| is_whole(tenant, &strangers);
        let mistyped = strangers.iter().find(|it| {
            let is_of_privacy = it.setting.starts_with(policy) && is_meant(&it.given, &it.tenant);
            is_of_privacy && !is_tenant(&it.tenant) && !self.settings.is_own(it.setting)
        });
        if let Some(mistyped) = mistyped {
            return Err(of_nobody(mistyped));
        }
        let named = self.settings.named_like(policy, &about, &known);
        let is_of_tenant = |name: &str| name.split_once("__").is_some_and(|it| is_tenant(it.0));
        match named.into_iter().find(|it| !is_of_tenant(it)) {
            Some(given) => Err(SettingsError::new(
                as_seen(given),
                "is not read; the settings for personal data are PII, and for one destination PII_ and \
                 its name, such as PII_LOG_ANALYTICS",
            )),
            None => Ok(()),
        }
    }
}

impl Layers {
    /// The personal-data setting of this destination for all tenants, if it takes precedence over
    /// the tenant's own general setting and differs from it.
    pub fn policy_before_own(&self, destination: &str) -> Option<&'static str> {
        let [policy, ..] = pii::SETTINGS;
        let setting = KINDS.iter().find(|it| it.name == destination)?.pii;
        let is_plain = !self.settings.is_own(setting) && self.settings.is_own(policy);
        let differs = || self.settings.get(setting) != self.settings.get(policy);
        (is_plain && self.settings.get(setting).is_some() && differs()).then_some(setting)
    }

    /// The problem of a destination that gets all personal data, while a setting withholds some from one
    /// that is no longer there: `DESTINATIONS` was changed, and `PII_…` was not. It may be meant so.
    pub fn without_policy(&self, destination: &str) -> Option<String> {
        let [policy, ..] = pii::SETTINGS;
        let kind = Kind::named(destination).filter(|it| !it.is_for_a_look)?;
        let own = kind.pii;
        if [policy, own]
            .iter()
            .any(|it| self.settings.get(it).is_some())
        {
            return None;
        }
        let in_use = self.kinds_in_use().ok()?;
        let withholds = |setting: &str| self.settings.get(setting).is_some_and(pii::withholds);
        let left = KINDS.iter().filter(|it| !in_use.contains(&it.name));
        let left: Vec<_> = left
            .filter(|it| withholds(it.pii))
            .map(|it| self.settings.told(it.pii))
            .collect();
        (!left.is_empty()).then_some(())?;
        Some(format!(
            "{} applies to no destination in DESTINATIONS, and {destination} gets all personal data: \
             set {own}, or if that is meant, set it to none",
            left.join(", ")
        ))
    }

    /// The same problems of all destinations that are configured, or named on the command line.
    fn without_policies(&self) -> Vec<String> {
        let named = self.named().unwrap_or_default().into_iter().flatten();
        let problems = named.map(|it| self.without_policy(it.name));
        problems.flatten().collect()
    }

    /// The problem of a key for pseudonyms that is this tenant's alone, while its id is not: a new key for
    /// all tenants would change the id, and so each pseudonym of this tenant.
    pub fn key_with_foreign_id(&self) -> Option<String> {
        let [_, key, id, _] = pii::SETTINGS;
        let is_foreign = self.settings.get(id).is_some() && !self.settings.is_own(id);
        (self.settings.is_own(key) && is_foreign).then_some(())?;
        let key = self.settings.told(key);
        Some(format!(
            "{key} has the id in {id}, which is set for all tenants, so that a new key of theirs would \
             change this tenant's pseudonyms too; give it a {id} of its own"
        ))
    }

    /// The problem of keys for pseudonyms that the platform does not have at present, which stops only what
    /// makes pseudonyms.
    pub fn without_pseudonyms(&self) -> Option<String> {
        let is_away = self.read(|reader| Some(Keys::are_away(reader)));
        is_away.ok().filter(|it| *it)?;
        let problem = self.read(Keys::read).err()?;
        Some(format!(
            "{problem}; destinations that make no pseudonyms go on without it"
        ))
    }
}

impl Tenants {
    /// Warns of destinations that get all personal data, perhaps because `DESTINATIONS` was changed.
    pub fn warn_of_policies(&self) {
        let problems = self.each().flatten().flat_map(Layers::without_policies);
        for problem in problems.collect::<BTreeSet<_>>() {
            warn!("{problem}");
        }
    }
}

/// Whether a name outside the list is a complete tenant, with a `DOMAIN`. Any other is a typing mistake.
fn is_whole(tenant: &str, strangers: &[OfStranger]) -> bool {
    let mut of_it = strangers
        .iter()
        .filter(|it| it.tenant.eq_ignore_ascii_case(tenant));
    of_it.any(|it| it.setting == HOST)
}

fn of_nobody(OfStranger { given, tenant, .. }: &OfStranger) -> SettingsError {
    let problem = format!("is not read: TENANTS does not name {tenant}");
    SettingsError::new(as_seen(given), &problem)
}

fn not_read(Misspelt { given, meant, .. }: &Misspelt) -> SettingsError {
    let given = as_seen(given);
    let problem = format!("is not set, but {given} is, which is not read");
    let problem = format!("{problem} (names are case-sensitive)");
    SettingsError::new(meant.clone(), &problem)
}
