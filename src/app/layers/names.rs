//! The names of all settings.

use super::PROXY;
use crate::app::heartbeat;
use crate::arrival;
use crate::auth0;
use crate::aws;
use crate::azure::principal;
use crate::destination::KINDS;
use crate::pii;
use crate::run;
use crate::settings::tenants;
use crate::storage;

/// The settings that `app` itself reads.
const SETTINGS: [&str; 4] = [
    tenants::SETTING,
    "DESTINATIONS",
    "REDACT",
    heartbeat::SETTING,
];

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
