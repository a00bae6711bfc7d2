//! Names that are set and that nothing reads, but that look like one that is read: app settings are
//! case-sensitive on Linux, and what is misspelt would be ignored in silence.

use super::{AppSettings, tenants};

/// Names that other programs read, and that look like one of ours.
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
    /// As it is set.
    pub given: String,
    /// As it is read, with the tenant's name in front if the given one has it.
    pub meant: String,
    /// The setting itself.
    pub setting: &'static str,
}

impl AppSettings {
    /// The names that are set, not read, and look like one of those that are.
    pub fn misspelt(&self, known: &[&'static str]) -> Vec<Misspelt> {
        let mut found: Vec<_> = self
            .values
            .keys()
            .filter(|name| self.get(name).is_some())
            .filter_map(|name| judge(name, known))
            .collect();
        found.sort();
        found
    }
}

fn judge(given: &str, known: &[&'static str]) -> Option<Misspelt> {
    let is_fine = |name: &str| known.contains(&name) || OF_OTHERS.contains(&name);
    if is_fine(given) {
        return None;
    }
    let misspelt = |setting: &'static str, tenant: &str| Misspelt {
        given: given.to_owned(),
        meant: format!("{tenant}{setting}"),
        setting,
    };
    if let Some(setting) = meant(given, known) {
        return Some(misspelt(setting, ""));
    }
    let (tenant, name) = tenants::split(given)?;
    if is_fine(name) {
        return None;
    }
    let setting = meant(name, known)?;
    Some(misspelt(setting, &tenants::joined(tenant, "")))
}

/// The known name that is the same but for case and separators, or that is one letter away.
fn meant(given: &str, known: &[&'static str]) -> Option<&'static str> {
    // The usual name of a connection to blobs alone.
    let given = letters(given).replace("STORAGESERVICEURI", "STORAGEBLOBSERVICEURI");
    let distance = |name: &&str| strsim::osa_distance(&given, &letters(name));
    let nearest = known.iter().min_by_key(|name| distance(name))?;
    (distance(nearest) <= 1).then_some(*nearest)
}

fn letters(name: &str) -> String {
    let letters = name.chars().filter(char::is_ascii_alphanumeric);
    letters.map(|it| it.to_ascii_uppercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 9] = [
        "DOMAIN",
        "CLIENT_ID",
        "DESTINATIONS",
        "WorkspaceID",
        "AzureWebJobsStorage",
        "AzureWebJobsStorage__accountName",
        "AzureWebJobsStorage__blobServiceUri",
        "HTTPS_PROXY",
        "https_proxy",
    ];

    fn meant_by(name: &str) -> Option<String> {
        let settings: AppSettings = [(name, "x")].into_iter().collect();
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
            ("ACME__CLIENTID", "ACME__CLIENT_ID"),
            ("acme__destination", "acme__DESTINATIONS"),
        ] {
            assert_eq!(meant_by(given).as_deref(), Some(meant), "{given}");
        }
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
