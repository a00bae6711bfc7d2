//! Names that are set but not read, and resemble a setting. App settings are case-sensitive on
//! Linux, and a misspelt one would be silently ignored.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use super::{AppSettings, tenants};

/// Names that other programs read and that resemble one of this program's settings.
const OF_OTHERS: [&str; 8] = [
    "HTTP_PROXY",
    "http_proxy",
    "AzureWebJobsStorage__credential",
    "AzureWebJobsStorage__fileServiceUri",
    "AzureWebJobsStorage__managedIdentityResourceId",
    "AzureWebJobsStorage__queueServiceUri",
    "AzureWebJobsStorage__tableServiceUri",
    "AzureWebJobsStorage__tenantId",
];

/// A name that is set, and the one that was most likely meant.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Misspelt {
    /// The name as it is set.
    pub given: String,
    /// The name as it is read, with the tenant's prefix if the given name has one.
    pub meant: String,
    /// The setting without a prefix.
    pub setting: &'static str,
    /// Whether it was meant for the one tenant that these settings belong to.
    pub is_own: bool,
}

impl Misspelt {
    /// Whether only the case or the separators are wrong.
    pub fn is_same_but_for_case(&self) -> bool {
        letters(&self.given) == letters(&self.meant)
    }
}

/// The names in `TENANTS`, and what was found about other names. Every tenant of an app asks the same.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// In upper case.
    tenants: BTreeSet<String>,
    meant: Mutex<HashMap<String, Meant>>,
    near: Mutex<HashMap<String, bool>>,
}

/// A tenant's prefix, if there is one, and a setting; `None` if a name is not misspelt.
type Meant = Option<(Option<String>, &'static str)>;

impl Names {
    pub fn new(tenants: BTreeSet<String>) -> Arc<Self> {
        Arc::new(Self {
            tenants,
            ..Self::default()
        })
    }

    /// The most likely meaning of a misspelt name. `known` are always the same.
    fn meant(&self, given: &str, known: &[&'static str]) -> Meant {
        let find = || {
            let reading = judge(given, known, &self.tenants)?;
            Some((reading.tenant.map(str::to_owned), reading.setting))
        };
        remembered(&self.meant, given, find)
    }

    /// Whether a word is a tenant's name, or nearly so.
    fn is_near(&self, word: &str) -> bool {
        let find = || self.tenants.iter().any(|it| is_near(word, it));
        remembered(&self.near, word, find)
    }
}

fn remembered<T: Clone>(
    memo: &Mutex<HashMap<String, T>>,
    name: &str,
    find: impl FnOnce() -> T,
) -> T {
    let mut memo = memo.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = memo.get(name) {
        return known.clone();
    }
    let found = find();
    memo.insert(name.to_owned(), found.clone());
    found
}

impl AppSettings {
    /// The names in `TENANTS`, in upper case.
    pub(super) fn named_tenants(&self) -> &BTreeSet<String> {
        &self.names().tenants
    }

    /// The names that are set but not read, and resemble one that is read. Names of other tenants
    /// are left out.
    pub fn misspelt(&self, known: &[&'static str]) -> Vec<Misspelt> {
        let (names, tenants) = (self.names(), self.named_tenants());
        let owner = self.owner.as_ref();
        let mut found: Vec<_> = self
            .values
            .keys()
            .filter(|name| self.get(name).is_some())
            .filter_map(|given| {
                let (tenant, setting) = names.meant(given, known)?;
                let tenant = tenant.as_deref();
                let is_own = tenant.is_some_and(|it| owner.is_some_and(|owner| owner.is(it)));
                let is_other = tenant.is_some_and(|it| tenants.contains(&it.to_ascii_uppercase()));
                let meant = match tenant {
                    Some(tenant) => tenants::joined(tenant, setting),
                    None => setting.to_owned(),
                };
                (is_own || owner.is_none() || !is_other).then(|| Misspelt {
                    given: given.clone(),
                    meant,
                    setting,
                    is_own,
                })
            })
            .collect();
        found.sort();
        found
    }

    /// The names that are set but not read, and either begin with this word, in any case, or end with
    /// it after one of `about`. A tenant's prefix may precede them, unless it is another tenant's.
    pub fn named_like(&self, word: &str, about: &[&str], known: &[&'static str]) -> Vec<&str> {
        let tenants = self.named_tenants();
        let is_other = |it: &str| {
            let owner = self.owner.as_ref().filter(|owner| !owner.is(it));
            owner.is_some() && tenants.contains(&it.to_ascii_uppercase())
        };
        let is_it = |it: &str| it.eq_ignore_ascii_case(word);
        let is_like = |name: &str| {
            let words = name.split(|it: char| !it.is_ascii_alphanumeric());
            let mut words: Vec<_> = words.filter(|it| !it.is_empty()).collect();
            let is_tenant = words.first().is_some_and(|it| {
                if is_it(it) {
                    tenants::split(name).is_some() && tenants.contains(&it.to_ascii_uppercase())
                } else {
                    self.is_about(it, &[])
                }
            });
            if is_tenant && is_other(words.remove(0)) {
                return false;
            }
            match &words[..] {
                [first, ..] if is_it(first) => true,
                [before @ .., last] if is_it(last) => {
                    let mut beside = (0..before.len()).map(|from| before[from..].concat());
                    beside.any(|it| self.is_about(&it, about))
                }
                _ => false,
            }
        };
        let is_read = |name: &str| {
            let own = tenants::split(name).map(|(_, setting)| setting);
            known.contains(&name) || own.is_some_and(|it| known.contains(&it))
        };
        let names = self.values.keys().map(String::as_str);
        let is_set = |name: &&str| self.get(name).is_some() && !is_read(name);
        names.filter(is_set).filter(|it| is_like(it)).collect()
    }

    /// Whether a word is one of these or a tenant in `TENANTS`, or nearly so. This excludes names
    /// of other programs, and leftovers of removed tenants.
    pub fn is_about(&self, word: &str, about: &[&str]) -> bool {
        about.iter().any(|it| is_near(word, it)) || self.names().is_near(word)
    }

    /// Whether a word is the name of the tenant that these settings belong to, or nearly so.
    pub fn is_about_owner(&self, word: &str) -> bool {
        let owner = self.owner.as_ref();
        owner.is_some_and(|it| is_near(word, it.name()))
    }
}

fn is_near(word: &str, name: &str) -> bool {
    match distance(word, name) {
        0 => true,
        // A name of one or two letters has too many neighbours.
        1 => name.len() > 2,
        _ => false,
    }
}

/// A possible meaning of a name.
#[derive(Clone, Copy)]
struct Reading<'a> {
    /// The tenant's prefix, if there is one.
    tenant: Option<&'a str>,
    setting: &'static str,
    /// The number of wrong letters.
    distance: usize,
}

/// The most likely meaning of a misspelt name; `None` if it is not misspelt. `tenants` are those
/// that are read.
fn judge<'a>(
    given: &'a str,
    known: &[&'static str],
    tenants: &'a BTreeSet<String>,
) -> Option<Reading<'a>> {
    let is_fine = |name: &str| known.contains(&name) || OF_OTHERS.contains(&name);
    let is_named = |tenant: &str| tenants.contains(&tenant.to_ascii_uppercase());
    if is_fine(given) {
        return None;
    }
    let read = |tenant, name: &str| {
        let (setting, distance) = meant(name, known)?;
        Some(Reading {
            tenant,
            setting,
            distance,
        })
    };
    let plain = read(None, given);
    let split = tenants::split(given);
    if let Some((tenant, name)) = split
        && is_fine(name)
    {
        // An unknown tenant is reported elsewhere.
        return plain.filter(|_| !is_named(tenant));
    }
    let split = split.and_then(|(tenant, name)| read(Some(tenant), name));
    // If the separator is wrong, only the list of tenants shows where the prefix ends.
    let letters = letters(given);
    let joined = (1..letters.len()).filter_map(|end| {
        let (tenant, name) = letters.split_at(end);
        read(Some(tenants.get(tenant)?), name)
    });
    // `AzureWebJobsStorage__clientID` is no tenant's `CLIENT_ID`.
    let split = split.filter(|it| plain.is_none() || it.tenant.is_some_and(is_named));
    let readings = split.into_iter().chain(plain).chain(joined);
    readings.min_by_key(|it| it.distance)
}

/// The known name that differs only in case and separators, or in one letter, and the number of
/// wrong letters.
fn meant(given: &str, known: &[&'static str]) -> Option<(&'static str, usize)> {
    // The usual name for a connection to blobs only.
    let given = letters(given).replace("STORAGESERVICEURI", "STORAGEBLOBSERVICEURI");
    let distances = known.iter().map(|name| (*name, distance(&given, name)));
    let nearest = distances.min_by_key(|(_, distance)| *distance);
    nearest.filter(|(_, distance)| *distance <= 1)
}

/// The name as a message shows it: quoted if it has unusual characters.
pub(crate) fn as_seen(name: &str) -> String {
    if name.chars().all(|it| it.is_ascii_graphic()) {
        return name.to_owned();
    }
    format!("{name:?}")
}

/// The number of letters in which two names differ, ignoring case and separators.
pub(super) fn distance(given: &str, name: &str) -> usize {
    strsim::osa_distance(&letters(given), &letters(name))
}

fn letters(name: &str) -> String {
    let letters = name.chars().filter(char::is_ascii_alphanumeric);
    letters.map(|it| it.to_ascii_uppercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 13] = [
        "TENANTS",
        "PII",
        "CHECKPOINT_DIR",
        "DOMAIN",
        "CLIENT_ID",
        "DESTINATIONS",
        "WorkspaceID",
        "AzureWebJobsStorage",
        "AzureWebJobsStorage__accountName",
        "AzureWebJobsStorage__blobServiceUri",
        "AzureWebJobsStorage__clientId",
        "HTTPS_PROXY",
        "https_proxy",
    ];

    fn meant_by(name: &str) -> Option<String> {
        meant_beside("", name)
    }

    /// The same in an app with these tenants.
    fn meant_beside(tenants: &str, name: &str) -> Option<String> {
        let settings = [(name, "x"), ("TENANTS", tenants)];
        let settings: AppSettings = settings.into_iter().collect();
        let found = settings.misspelt(&KNOWN).pop()?;
        assert_eq!(found.given, name);
        Some(found.meant)
    }

    #[test]
    fn a_name_in_another_case_with_other_separators_or_one_letter_off_is_recognised() {
        for (given, meant) in [
            ("DESTINATION", "DESTINATIONS"),
            ("destinations", "DESTINATIONS"),
            ("DESTINATOINS", "DESTINATIONS"),
            ("WORKSPACE_ID", "WorkspaceID"),
            ("CLIENTID", "CLIENT_ID"),
            ("CLIENT-ID", "CLIENT_ID"),
            ("azureWebJobsStorage", "AzureWebJobsStorage"),
            (
                "AzureWebJobsStorage__AccountName",
                "AzureWebJobsStorage__accountName",
            ),
            (
                "AzureWebJobsStorage:accountName",
                "AzureWebJobsStorage__accountName",
            ),
            (
                "AzureWebJobsStorage-accountName",
                "AzureWebJobsStorage__accountName",
            ),
            (
                "AzureWebJobsStorage__serviceUri",
                "AzureWebJobsStorage__blobServiceUri",
            ),
            // What follows resembles another setting.
            (
                "AzureWebJobsStorage__clientID",
                "AzureWebJobsStorage__clientId",
            ),
            (
                "AzureWebJobsStorage__client_id",
                "AzureWebJobsStorage__clientId",
            ),
            (
                "AzureWebJobStorage__clientId",
                "AzureWebJobsStorage__clientId",
            ),
            (
                "AzureWebJobStorage__CLIENT_ID",
                "AzureWebJobsStorage__clientId",
            ),
            ("ACME__CLIENTID", "ACME__CLIENT_ID"),
            ("acme__destination", "acme__DESTINATIONS"),
        ] {
            assert_eq!(meant_by(given).as_deref(), Some(meant), "{given}");
        }
    }

    #[test]
    fn a_tenant_in_front_is_recognised_whatever_is_between_it_and_the_setting() {
        for (given, meant) in [
            ("ACME_PII", "ACME__PII"),
            ("acme:PII", "ACME__PII"),
            ("ACME.PII", "ACME__PII"),
            ("ACME-PII", "ACME__PII"),
            ("Acme___Pii", "Acme__PII"),
            ("ACMEPII", "ACME__PII"),
            ("GLOBEX_DESTINATION", "GLOBEX__DESTINATIONS"),
            ("A_CHECKPOINT_DIR", "A__CHECKPOINT_DIR"),
            ("A__CHECKPOINTDIR", "A__CHECKPOINT_DIR"),
            ("A__OMAIN", "A__DOMAIN"),
            ("AB_DOMAIN", "AB__DOMAIN"),
            (
                "ACME_AzureWebJobsStorage__accountName",
                "ACME__AzureWebJobsStorage__accountName",
            ),
            (
                "ACME__AzureWebJobsStorage__clientID",
                "ACME__AzureWebJobsStorage__clientId",
            ),
            // The setting for all tenants is nearer.
            ("CLIENT-ID", "CLIENT_ID"),
        ] {
            let found = meant_beside("acme, globex,a,ab,client", given);
            assert_eq!(found.as_deref(), Some(meant), "{given}");
        }
        for name in ["ACME_PATH", "ACME", "ACME_", "INITECH_PII", "A_B"] {
            assert_eq!(meant_beside("acme,globex", name), None, "{name}");
        }
    }

    #[test]
    fn what_a_tenant_with_a_short_name_has_of_its_own_is_no_mistake() {
        for name in ["A__DOMAIN", "a__CHECKPOINT_DIR", "B__CLIENT_ID"] {
            assert_eq!(meant_beside("a,b", name), None, "{name}");
        }
        assert_eq!(meant_beside("b", "A__DOMAIN").as_deref(), Some("DOMAIN"));
    }

    #[test]
    fn what_is_read_is_no_mistake_and_neither_is_what_others_read() {
        for name in KNOWN.iter().chain(&OF_OTHERS) {
            assert_eq!(meant_by(name), None, "{name}");
        }
        for name in [
            "PATH",
            "HOME",
            "LANG",
            "DOM",
            "CLIENT",
            "ACME__DOMAIN",
            "ACME__PATH",
            "__",
        ] {
            assert_eq!(meant_by(name), None, "{name}");
        }
    }

    #[test]
    fn a_blank_value_is_nobody_s_setting() {
        let settings: AppSettings = [("DESTINATION", " ")].into_iter().collect();
        assert_eq!(settings.misspelt(&KNOWN), []);
    }
}
