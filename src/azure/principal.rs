//! This program's identity in Azure, from its settings.

use url::Url;

use super::cloud::{self, Cloud};
use super::identity::Principal;
use crate::settings::Reader;

/// The settings that are read here. The platform sets those that begin with `IDENTITY`, people the rest.
pub(crate) const SETTINGS: [&str; 6] = [
    "AZURE_TENANT_ID",
    "AZURE_CLIENT_ID",
    "AZURE_CLIENT_SECRET",
    "AZURE_AUTHORITY_HOST",
    "IDENTITY_ENDPOINT",
    "IDENTITY_HEADER",
];

/// The identity that `setting` needs: an application if its secret is set, and otherwise the
/// managed identity.
pub(crate) fn principal(
    reader: &mut Reader,
    setting: &'static str,
    cloud: &Cloud,
) -> Option<Principal> {
    if !reader.is_set("AZURE_CLIENT_SECRET") {
        let client_id = reader.get("AZURE_CLIENT_ID").map(str::to_owned);
        let elsewhere = "AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET";
        return managed_identity(reader, setting, client_id, elsewhere);
    }
    let client_secret = reader.get("AZURE_CLIENT_SECRET");
    let tenant = reader.required(
        "AZURE_TENANT_ID",
        "the tenant of Entra ID in which the application is registered",
        entra_tenant,
    );
    let client_id = reader.required("AZURE_CLIENT_ID", "the application's id", |text| {
        Ok(text.to_owned())
    });
    let authority = reader.optional("AZURE_AUTHORITY_HOST", cloud::authority);
    Some(Principal::Application {
        authority: authority.or_else(|| Url::parse(cloud.authority).ok())?,
        tenant: tenant?,
        client_id: client_id?,
        client_secret: client_secret?.into(),
    })
}

/// The managed identity that `setting` needs. `elsewhere` names the settings that make it unnecessary.
pub(crate) fn managed_identity(
    reader: &mut Reader,
    setting: &'static str,
    client_id: Option<String>,
    elsewhere: &str,
) -> Option<Principal> {
    let endpoint = reader.get("IDENTITY_ENDPOINT");
    let endpoint = endpoint.and_then(|it| Url::parse(it).ok());
    let (Some(endpoint), Some(header)) = (endpoint, reader.get("IDENTITY_HEADER")) else {
        let problem = format!(
            "needs a managed identity, and there is none here: in Azure turn the Function App's \
             system-assigned identity on and restart the app; elsewhere set {elsewhere}"
        );
        return reader.problem(setting, &problem);
    };
    Some(Principal::Managed {
        endpoint,
        header: header.into(),
        client_id,
    })
}

/// A tenant of Entra ID.
fn entra_tenant(text: &str) -> Result<String, String> {
    let is_of_tenant = |it: char| it.is_ascii_alphanumeric() || matches!(it, '-' | '.');
    text.chars()
        .all(is_of_tenant)
        .then(|| text.to_owned())
        .ok_or_else(|| "is neither a GUID nor a domain".into())
}
