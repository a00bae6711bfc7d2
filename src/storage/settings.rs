//! Where state is stored, according to the settings that the Functions host uses for its own storage.

use std::path::PathBuf;

use crate::azure::account::{Account, Invalid};
use crate::azure::identity::Principal;
use crate::azure::principal::managed_identity;
use crate::settings::Reader;

/// The settings that this module reads.
pub(crate) const SETTINGS: [&str; 5] = [
    STRING,
    NAME,
    SERVICE,
    "AzureWebJobsStorage__clientId",
    FOLDER,
];

const STRING: &str = "AzureWebJobsStorage";
const NAME: &str = "AzureWebJobsStorage__accountName";
const SERVICE: &str = "AzureWebJobsStorage__blobServiceUri";

/// The setting that names a folder.
pub(crate) const FOLDER: &str = "CHECKPOINT_DIR";
const DEFAULT_FOLDER: &str = ".auth0-poller";

/// Where state is stored.
#[derive(Clone, Debug)]
pub(crate) enum StorageSettings {
    /// A storage account.
    Azure(Account),
    /// A folder.
    Folder(PathBuf),
}

impl StorageSettings {
    /// Reads the settings of the storage. Under the host a folder must be configured explicitly: the
    /// local file system is lost with the instance, and the next one would start from the beginning.
    pub fn read(reader: &mut Reader, is_under_host: bool) -> Option<Self> {
        let Some(setting) = reader.first_set(&[STRING, SERVICE, NAME, FOLDER]) else {
            if is_under_host {
                return reader.problem(
                    STRING,
                    "is missing, and so are AzureWebJobsStorage__blobServiceUri and \
                     AzureWebJobsStorage__accountName (names are case-sensitive): without one of \
                     them checkpoints would go with the instance; set the one that the Function \
                     App's storage is known by, or CHECKPOINT_DIR to a folder that lasts",
                );
            }
            return Some(Self::Folder(DEFAULT_FOLDER.into()));
        };
        let text = reader.get(setting)?;
        let account = match setting {
            STRING => Account::from_connection_string(text),
            SERVICE => Account::from_blob_service(text, identity(reader, setting)?),
            NAME => Account::from_name(text, identity(reader, setting)?),
            _ => return folder(reader, text),
        };
        match account {
            Ok(account) => Some(Self::Azure(account)),
            Err(Invalid(problem)) => reader.problem(setting, &format!("cannot be used: {problem}")),
        }
    }
}

/// The folder with this path, unless the path still needs a shell to expand it.
fn folder(reader: &mut Reader, text: &str) -> Option<StorageSettings> {
    if let Some((sign, hint)) = left_to_a_shell(text) {
        let problem =
            format!("names a folder by {sign}, which only a shell works out; write it out{hint}");
        return reader.problem(FOLDER, &problem);
    }
    Some(StorageSettings::Folder(text.into()))
}

/// Finds a sign that only a shell would expand: `~` at the beginning, and `$NAME`, `${NAME}`,
/// `$(command)` and `%NAME%` anywhere. Adds a hint for names that really contain it.
pub(crate) fn left_to_a_shell(text: &str) -> Option<(&'static str, &'static str)> {
    let begins = |it: &str| it.starts_with(|it: char| it.is_ascii_alphabetic() || it == '_');
    if text.starts_with('~') {
        return Some(("~", ", or with ./ before it where it is called so"));
    }
    let mut after_dollar = text.split('$').skip(1);
    if after_dollar.any(|it| begins(it) || it.starts_with(['{', '('])) {
        return Some(("$", ""));
    }
    let parts: Vec<_> = text.split('%').collect();
    let mut between = parts.iter().skip(1).take(parts.len().saturating_sub(2));
    let is_name = |it: &&str| begins(it) && !it.contains(['/', '\\']);
    between.any(is_name).then_some(("%", ""))
}

fn identity(reader: &mut Reader, setting: &'static str) -> Option<Principal> {
    let client_id = reader.get("AzureWebJobsStorage__clientId");
    let client_id = client_id.map(str::to_owned);
    let elsewhere = "AzureWebJobsStorage or CHECKPOINT_DIR instead";
    managed_identity(reader, setting, client_id, elsewhere)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::azure::account::Credential;
    use crate::settings::{AppSettings, SettingsError};

    fn read(
        settings: &[(&str, &str)],
        is_under_host: bool,
    ) -> Result<StorageSettings, SettingsError> {
        let settings: AppSettings = settings.iter().copied().collect();
        Reader::read(&settings, |reader| {
            StorageSettings::read(reader, is_under_host)
        })
    }

    const IDENTITY: [(&str, &str); 2] = [
        ("IDENTITY_ENDPOINT", "http://localhost:8081/msi/token"),
        ("IDENTITY_HEADER", "header"),
    ];

    #[test]
    fn an_account_is_named_by_what_the_functions_host_uses() {
        for (setting, value) in [
            ("AzureWebJobsStorage__accountName", "acme"),
            (
                "AzureWebJobsStorage__blobServiceUri",
                "https://acme.blob.core.windows.net",
            ),
        ] {
            let named = [(setting, value), ("AzureWebJobsStorage__clientId", "c1")];
            let settings = read(&[&IDENTITY[..], &named].concat(), true).unwrap();
            let StorageSettings::Azure(account) = settings else {
                panic!("a folder");
            };
            assert_eq!(
                account.endpoint.as_str(),
                "https://acme.blob.core.windows.net/"
            );
            let Credential::Identity(principal) = account.credential else {
                panic!("a key");
            };
            assert!(
                matches!(*principal, Principal::Managed { client_id: Some(id), .. } if id == "c1")
            );
            assert_eq!(
                read(&named, true).unwrap_err().to_string(),
                format!(
                    "a setting needs attention: {setting} needs a managed identity, and there is \
                     none here: in Azure turn the Function App's system-assigned identity on and \
                     restart the app; elsewhere set AzureWebJobsStorage or CHECKPOINT_DIR instead"
                )
            );
        }
    }

    #[test]
    fn a_connection_string_that_opens_nothing_is_a_problem() {
        let refused = read(&[("AzureWebJobsStorage", "AccountName=acme")], false);
        assert_eq!(
            refused.unwrap_err().to_string(),
            "a setting needs attention: AzureWebJobsStorage cannot be used: it has neither \
             AccountKey nor SharedAccessSignature"
        );
    }

    #[test]
    fn under_the_host_a_folder_is_a_choice_and_never_what_is_left() {
        let folder = |settings: &[(&str, &str)], is_under_host| match read(settings, is_under_host)
        {
            Ok(StorageSettings::Folder(path)) => Ok(path.display().to_string()),
            other => Err(format!("{other:?}")),
        };
        assert_eq!(folder(&[], false), Ok(".auth0-poller".into()));
        for is_under_host in [false, true] {
            let chosen = [("CHECKPOINT_DIR", "/data")];
            assert_eq!(folder(&chosen, is_under_host), Ok("/data".into()));
        }
        let refused = folder(&[], true).unwrap_err();
        for name in ["AzureWebJobsStorage__blobServiceUri", "CHECKPOINT_DIR"] {
            assert!(refused.contains(name), "{refused}");
        }
    }
}
