//! The tenants of one app: those in the setting `TENANTS`, and the settings of each. `ACME__DOMAIN`
//! is the `DOMAIN` of the tenant acme. For a setting that a tenant does not have, the plain one
//! applies.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::misspelt::Names;
use super::{AppSettings, Reader, SettingsError, UNKNOWN};

/// The setting that names the tenants.
pub(crate) const SETTING: &str = "TENANTS";
/// The separator between a tenant's name and a setting's.
pub(super) const BETWEEN: &str = "__";
/// Maximum length of a tenant's name.
const LONGEST: usize = 20;

/// The tenant that settings belong to.
#[derive(Clone, Debug)]
pub(super) struct Owner {
    name: String,
    /// The settings that the tenant has of its own.
    own: BTreeSet<String>,
}

impl Owner {
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether this is the tenant's name.
    pub fn is(&self, tenant: &str) -> bool {
        self.name.eq_ignore_ascii_case(tenant)
    }

    pub fn is_own(&self, setting: &str) -> bool {
        self.own.contains(setting)
    }

    /// The name of a setting with the tenant's prefix.
    pub fn own(&self, setting: &str) -> String {
        joined(&self.name.to_ascii_uppercase(), setting)
    }
}

/// One tenant of an app, with its settings or the problem of its name.
pub(crate) struct OfTenant {
    /// In lower case; `None` if it is the only tenant.
    pub name: Option<String>,
    pub settings: Result<AppSettings, SettingsError>,
}

impl OfTenant {
    fn unknown(problem: SettingsError) -> Self {
        Self {
            name: Some(UNKNOWN.to_owned()),
            settings: Err(problem),
        }
    }
}

/// Settings, divided among the tenants.
#[derive(Default)]
struct Parts<'a> {
    of_all: HashMap<String, String>,
    /// By the tenant's name in lower case, each name as it is set, and the setting's name in it.
    of_each: HashMap<String, Vec<(&'a str, &'a str)>>,
}

/// A setting for a tenant that `TENANTS` does not name.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct OfStranger {
    /// The name as it is set.
    pub given: String,
    /// The tenant's name in it.
    pub tenant: String,
    /// The setting without the prefix.
    pub setting: &'static str,
}

/// Splits a name into the tenant's and the setting's.
pub(super) fn split(given: &str) -> Option<(&str, &str)> {
    given
        .split_once(BETWEEN)
        .filter(|(tenant, _)| is_name(tenant))
}

/// The name of a tenant's setting.
pub(super) fn joined(tenant: &str, setting: &str) -> String {
    format!("{tenant}{BETWEEN}{setting}")
}

fn is_name(name: &str) -> bool {
    let is_letter = |it: u8| it.is_ascii_alphanumeric();
    !name.is_empty() && name.len() <= LONGEST && name.bytes().all(is_letter)
}

impl AppSettings {
    /// The tenants in order: those that `TENANTS` names, or without it the only one. `known` are
    /// the names of all settings.
    pub fn by_tenant(&self, known: &[&str]) -> Vec<OfTenant> {
        let list = match Reader::read(self, |reader| Some(reader.get(SETTING))) {
            Ok(Some(list)) => list,
            Ok(None) => {
                let (name, settings) = (None, Ok(self.clone()));
                return vec![OfTenant { name, settings }];
            }
            Err(problem) => return vec![OfTenant::unknown(problem)],
        };
        let names = list.split(',').map(str::trim).filter(|it| !it.is_empty());
        let names: Vec<_> = names.map(str::to_ascii_lowercase).collect();
        let mut times: HashMap<&str, usize> = HashMap::new();
        for name in &names {
            *times.entry(name).or_default() += 1;
        }
        let parts = self.parts(&times, known);
        let mut tenants: Vec<OfTenant> = Vec::new();
        for name in &names {
            let is_twice = times[&**name] > 1;
            if is_twice && tenants.iter().any(|it| it.name.as_ref() == Some(name)) {
                continue;
            }
            let is_taken = name == UNKNOWN || is_of_platform(name, known);
            let (name, settings) = if !is_name(name) || is_taken {
                let problem = format!(
                    "names a tenant that cannot be called so; a name has letters and digits, at \
                     most {LONGEST}, and is neither AzureWebJobsStorage nor {UNKNOWN}"
                );
                (UNKNOWN, Err(bad(&problem)))
            } else if is_twice {
                let problem = format!("names {name} twice (case does not matter)");
                (&**name, Err(bad(&problem)))
            } else {
                (&**name, self.of(name, &parts, known))
            };
            let name = Some(name.to_owned());
            tenants.push(OfTenant { name, settings });
        }
        if tenants.is_empty() {
            tenants.push(OfTenant::unknown(bad("names no tenant")));
        }
        tenants
    }

    /// What is known of names.
    pub(super) fn names(&self) -> &Arc<Names> {
        self.names.get_or_init(|| {
            let names = self.get(SETTING).unwrap_or_default().split(',');
            let names = names.map(str::trim).filter(|it| is_name(it));
            Names::new(names.map(str::to_ascii_uppercase).collect())
        })
    }

    /// The settings for tenants that `TENANTS` does not name.
    pub fn of_strangers(&self, known: &[&'static str]) -> Vec<OfStranger> {
        let named = self.named_tenants();
        let strange = self.values.keys().filter_map(|given| {
            let (tenant, setting) = split(given)?;
            let setting = *known.iter().find(|it| **it == setting)?;
            let is_strange = !known.contains(&&**given) && self.get(given).is_some();
            let is_strange = is_strange && !named.contains(&tenant.to_ascii_uppercase());
            is_strange.then(|| OfStranger {
                given: given.clone(),
                tenant: tenant.to_owned(),
                setting,
            })
        });
        let strange: BTreeSet<_> = strange.collect();
        strange.into_iter().collect()
    }

    /// Divides the settings into those of all tenants and those of each. `tenants` are in lower case.
    fn parts(&self, tenants: &HashMap<&str, usize>, known: &[&str]) -> Parts<'_> {
        let mut parts = Parts::default();
        for (given, value) in &self.values {
            let split = split(given).filter(|_| !known.contains(&&**given));
            let of_tenant = split.and_then(|(tenant, setting)| {
                let tenant = tenant.to_ascii_lowercase();
                tenants.contains_key(&*tenant).then_some((tenant, setting))
            });
            match of_tenant {
                None => {
                    parts.of_all.insert(given.clone(), value.clone());
                }
                Some((tenant, setting)) => {
                    let of_it = parts.of_each.entry(tenant).or_default();
                    of_it.push((given, setting));
                }
            }
        }
        parts
    }

    /// The settings that apply to one tenant.
    fn of(&self, name: &str, parts: &Parts<'_>, known: &[&str]) -> Result<Self, SettingsError> {
        let mut values = parts.of_all.clone();
        let mut problems = SettingsError::default();
        let mut own: BTreeMap<&str, &str> = BTreeMap::new();
        for &(given, setting) in parts.of_each.get(name).into_iter().flatten() {
            let Some(value) = self.get(given) else {
                continue;
            };
            let bad_own = |problem: &str| {
                let told = joined(&name.to_ascii_uppercase(), setting);
                SettingsError::new(told, problem)
            };
            if !known.contains(&setting) {
                values.insert(given.to_owned(), value.to_owned());
            } else if setting == SETTING {
                problems.add(bad_own(
                    "is set for one tenant, but applies to the whole app",
                ));
            } else if own.insert(setting, value).is_some_and(|it| it != value) {
                problems.add(bad_own(
                    "is set twice, in upper and in lower case, to different values",
                ));
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let owner = Owner {
            name: name.to_owned(),
            own: own.keys().map(|it| (*it).to_owned()).collect(),
        };
        let own = own.into_iter().map(|(n, v)| (n.to_owned(), v.to_owned()));
        values.extend(own);
        Ok(Self {
            values,
            owner: Some(owner),
            names: Arc::clone(self.names()).into(),
        })
    }
}

/// Whether this name is a prefix of the platform's own settings.
fn is_of_platform(name: &str, known: &[&str]) -> bool {
    let mut begins = known.iter().filter_map(|it| split(it));
    begins.any(|(begin, _)| begin.eq_ignore_ascii_case(name))
}

fn bad(problem: &str) -> SettingsError {
    SettingsError::new(SETTING.to_owned(), problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 5] = [
        "DOMAIN",
        "CLIENT_ID",
        "TENANTS",
        "AzureWebJobsStorage",
        "AzureWebJobsStorage__accountName",
    ];

    fn by_tenant(settings: &[(&str, &str)]) -> Vec<OfTenant> {
        let settings: AppSettings = settings.iter().copied().collect();
        settings.by_tenant(&KNOWN)
    }

    /// Each tenant with its problem.
    fn problems(settings: &[(&str, &str)]) -> Vec<(Option<String>, Option<String>)> {
        let tenants = by_tenant(settings).into_iter();
        let tenants = tenants.map(|it| (it.name, it.settings.err().map(|it| it.to_string())));
        tenants.collect()
    }

    #[test]
    fn without_a_list_there_is_one_tenant_that_needs_no_name() {
        for list in ["", "  "] {
            let tenants = by_tenant(&[("TENANTS", list), ("DOMAIN", "a"), ("ACME__DOMAIN", "b")]);
            let [
                OfTenant {
                    name: None,
                    settings,
                },
            ] = &tenants[..]
            else {
                panic!("{}", tenants.len());
            };
            assert_eq!(settings.as_ref().unwrap().get("DOMAIN"), Some("a"));
        }
    }

    /// An app may have a thousand tenants, and all see the names in the environment.
    #[test]
    fn what_is_found_about_names_is_found_once_for_all_tenants() {
        let settings = [("TENANTS", "acme,globex"), ("ACME__DOMIAN", "a")];
        let settings: AppSettings = settings.into_iter().collect();
        let tenants = settings.by_tenant(&KNOWN);
        for tenant in &tenants {
            let of_tenant = tenant.settings.as_ref().ok().unwrap();
            assert!(Arc::ptr_eq(of_tenant.names(), settings.names()));
        }
        // A file may name the tenants after somebody has asked.
        let settings: AppSettings = [("DOMAIN", "a")].into_iter().collect();
        assert!(settings.named_tenants().is_empty());
        let file = br#"{"Values": {"TENANTS": "acme"}}"#;
        let settings = settings.or_local(file).unwrap();
        assert!(settings.named_tenants().contains("ACME"));
    }

    #[test]
    fn a_setting_of_a_tenant_comes_before_the_plain_one_and_a_blank_one_does_not() {
        let tenants = by_tenant(&[
            ("TENANTS", " Acme , globex,"),
            ("DOMAIN", "plain"),
            ("CLIENT_ID", "id"),
            ("ACME__DOMAIN", " own "),
            ("aCmE__CLIENT_ID", "id of acme"),
            ("GLOBEX__DOMAIN", " "),
            ("GLOBEX__AzureWebJobsStorage__accountName", "account"),
            ("AzureWebJobsStorage__accountName", "shared"),
        ]);
        let names: Vec<_> = tenants
            .iter()
            .map(|it| it.name.as_deref().unwrap())
            .collect();
        assert_eq!(names, ["acme", "globex"]);
        let get = |index: usize, name| tenants[index].settings.as_ref().ok().unwrap().get(name);
        assert_eq!(get(0, "DOMAIN"), Some("own"));
        assert_eq!(get(0, "CLIENT_ID"), Some("id of acme"));
        assert_eq!(get(0, "AzureWebJobsStorage__accountName"), Some("shared"));
        assert_eq!(get(1, "DOMAIN"), Some("plain"));
        assert_eq!(get(1, "CLIENT_ID"), Some("id"));
        assert_eq!(get(1, "AzureWebJobsStorage__accountName"), Some("account"));
    }

    #[test]
    fn a_setting_is_told_by_the_name_under_which_it_stands_or_is_missing() {
        let tenants = by_tenant(&[
            ("TENANTS", "acme"),
            ("CLIENT_ID", "id"),
            ("acme__DOMAIN", "own"),
        ]);
        let settings = tenants[0].settings.as_ref().ok().unwrap();
        assert_eq!(settings.told("DOMAIN"), "ACME__DOMAIN");
        assert_eq!(settings.told("CLIENT_ID"), "CLIENT_ID");
        assert_eq!(
            settings.told("AzureWebJobsStorage"),
            "ACME__AzureWebJobsStorage"
        );
        let alone: AppSettings = [("DOMAIN", "a")].into_iter().collect();
        assert_eq!(alone.told("DOMAIN"), "DOMAIN");
        assert_eq!(alone.told("CLIENT_ID"), "CLIENT_ID");
    }

    #[test]
    fn a_bad_name_stops_no_other() {
        let list =
            "acme,ACME,globex,a b,,azurewebjobsstorage,abcdefghijklmnopqrst,abcdefghijklmnopqrstu";
        let found = problems(&[("TENANTS", list)]);
        let names: Vec<_> = found
            .iter()
            .map(|(name, _)| name.as_deref().unwrap())
            .collect();
        assert_eq!(
            names,
            [
                "acme",
                "globex",
                "unknown",
                "unknown",
                "abcdefghijklmnopqrst",
                "unknown"
            ]
        );
        let problem = |index: usize| found[index].1.as_deref();
        let twice = "a setting needs attention: TENANTS names acme twice (case does not matter)";
        assert_eq!(problem(0), Some(twice));
        assert_eq!([problem(1), problem(4)], [None, None]);
        for index in [2, 3, 5] {
            let problem = problem(index).unwrap();
            assert!(problem.contains("TENANTS names a tenant that cannot be called so"));
            assert!(!problem.contains("a b"), "{problem}");
        }
        let none = problems(&[("TENANTS", ",")]);
        assert!(
            none[0]
                .1
                .as_deref()
                .unwrap()
                .ends_with("TENANTS names no tenant")
        );
    }

    #[test]
    fn no_tenant_is_called_as_those_are_whose_name_is_bad() {
        let found = problems(&[("TENANTS", "Unknown,globex")]);
        assert!(
            found[0]
                .1
                .as_ref()
                .is_some_and(|it| it.contains("cannot be called so")),
            "{found:?}"
        );
        assert_eq!(found[1], (Some("globex".into()), None));
    }

    #[test]
    fn what_is_set_in_two_ways_or_for_a_tenant_only_by_mistake_is_bad() {
        let list = ("TENANTS", "acme,globex");
        let same = problems(&[list, ("ACME__DOMAIN", "a"), ("acme__DOMAIN", " a")]);
        assert_eq!(same[0].1, None);
        let two = problems(&[list, ("ACME__DOMAIN", "a"), ("acme__DOMAIN", "b")]);
        let problem = two[0].1.as_deref().unwrap();
        assert!(problem.contains("ACME__DOMAIN is set twice"), "{problem}");
        assert_eq!(two[1].1, None);
        let nested = problems(&[list, ("ACME__TENANTS", "a")]);
        let problem = nested[0].1.as_deref().unwrap();
        assert!(
            problem.contains("ACME__TENANTS is set for one tenant"),
            "{problem}"
        );
    }

    #[test]
    fn what_is_set_for_a_tenant_that_is_not_named_is_found() {
        let strangers = |list| {
            let settings: AppSettings = [
                ("TENANTS", list),
                ("ACME__DOMAIN", "a"),
                ("GLOBX__DOMAIN", "b"),
                ("GLOBX__PATH", "b"),
                ("INITECH__DOMAIN", " "),
                ("AzureWebJobsStorage__accountName", "c"),
            ]
            .into_iter()
            .collect();
            let found = settings.of_strangers(&KNOWN).into_iter();
            found.map(|it| it.given).collect::<Vec<_>>()
        };
        assert_eq!(strangers("Acme,globex"), ["GLOBX__DOMAIN"]);
        assert_eq!(strangers(""), ["ACME__DOMAIN", "GLOBX__DOMAIN"]);
    }

    #[test]
    fn what_is_misspelt_for_one_tenant_is_nothing_to_another() {
        for given in ["ACME__DOMAINS", "ACME_DOMAIN"] {
            let tenants = by_tenant(&[("TENANTS", "acme,globex"), (given, "x")]);
            let found = |index: usize| {
                let settings = tenants[index].settings.as_ref().ok().unwrap();
                let found = settings.misspelt(&KNOWN).into_iter();
                found.map(|it| it.meant).collect::<Vec<_>>()
            };
            assert_eq!(found(0), ["ACME__DOMAIN"]);
            assert_eq!(found(1), [""; 0]);
        }
    }
}
