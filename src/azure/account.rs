//! An Azure storage account as the setting `AzureWebJobsStorage` describes it.
//!
//! The forms are Microsoft's: <https://learn.microsoft.com/azure/storage/common/storage-configure-connection-string>.

mod sas;

use std::fmt;

use secrecy::SecretString;
use url::Url;

use crate::azure::cloud::is_blob_service;
use crate::azure::identity::Principal;
use crate::net::http::is_secure;
use crate::settings::values::{is_host_name, is_plain};

/// The account of the storage emulator (Azurite), the same on every machine.
const EMULATOR_ACCOUNT: &str = "devstoreaccount1";
/// Its key, published by Microsoft.
const EMULATOR_KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
/// Where the emulator listens.
const EMULATOR_HOST: &str = "http://127.0.0.1";
/// The emulator's port for blobs.
const EMULATOR_BLOB_PORT: u16 = 10_000;
/// The domain of the public cloud's storage accounts.
const PUBLIC_SUFFIX: &str = "core.windows.net";

/// A storage account and the credential for it.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    /// The account's name.
    pub name: String,
    /// Its blob service, without a trailing slash in the path.
    pub endpoint: Url,
    /// The credential for the account.
    pub credential: Credential,
}

/// A credential for a storage account.
#[derive(Clone, Debug)]
pub(crate) enum Credential {
    /// The account's key, base64.
    Key(SecretString),
    /// A shared access signature, the part of a URL after the `?`.
    Sas(SecretString),
    /// The identity of this program.
    Identity(Box<Principal>),
}

/// What is wrong with an account's description. It quotes no value, since any may be a secret.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Invalid(pub String);

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Account {
    /// Reads a connection string.
    pub fn from_connection_string(text: &str) -> Result<Self, Invalid> {
        let fields = Fields::parse(unbroken("it", text)?)?;
        let is_true = |value: &str| value.eq_ignore_ascii_case("true");
        if fields.get("UseDevelopmentStorage").is_some_and(is_true) {
            return Self::emulator(&fields);
        }
        let endpoint = match (fields.get("BlobEndpoint"), fields.get("AccountName")) {
            (Some(endpoint), _) => endpoint.to_owned(),
            (None, Some(name)) => {
                let protocol = fields.get("DefaultEndpointsProtocol").unwrap_or("https");
                let suffix = fields.get("EndpointSuffix").unwrap_or(PUBLIC_SUFFIX);
                if !is_of_host(name) || !is_of_host(suffix) {
                    return Err(Invalid(
                        "its AccountName or EndpointSuffix cannot be part of a host's name".into(),
                    ));
                }
                if name.contains('.') {
                    return Err(Invalid(
                        "its AccountName has a dot, and the name of an account has none; give \
                         what stands before .blob in its address"
                            .into(),
                    ));
                }
                let first = suffix.split('.').next().unwrap_or_default();
                if first.is_empty() || first.eq_ignore_ascii_case("blob") {
                    return Err(Invalid(
                        "its EndpointSuffix must be what follows .blob. in the account's address, \
                         such as core.windows.net"
                            .into(),
                    ));
                }
                format!("{protocol}://{name}.blob.{suffix}")
            }
            (None, None) => {
                return Err(Invalid(
                    "it has neither AccountName nor BlobEndpoint".into(),
                ));
            }
        };
        let endpoint = blob_endpoint(&endpoint)?;
        let credential = match (
            fields.get("AccountKey"),
            fields.get("SharedAccessSignature"),
        ) {
            (Some(key), _) => Credential::Key(account_key(key)?),
            (None, Some(sas)) => Credential::Sas(sas::read(sas)?.into()),
            (None, None) => {
                return Err(Invalid(
                    "it has neither AccountKey nor SharedAccessSignature".into(),
                ));
            }
        };
        let name = fields
            .get("AccountName")
            .map_or_else(|| account_of(&endpoint), str::to_owned);
        Ok(Self {
            name,
            endpoint,
            credential,
        })
    }

    /// The account of this name in the public cloud, with an identity as the credential.
    pub fn from_name(name: &str, identity: Principal) -> Result<Self, Invalid> {
        if name.contains("://") {
            return Err(Invalid(
                "it is a URL; give the account's name alone, or the URL as \
                 AzureWebJobsStorage__blobServiceUri"
                    .into(),
            ));
        }
        if !is_of_host(name) {
            return Err(Invalid("it cannot be part of a host's name".into()));
        }
        if name.contains('.') {
            return Err(Invalid(
                "it cannot be part of a host's name with a dot in it; give what stands before \
                 .blob in the account's address"
                    .into(),
            ));
        }
        let endpoint = blob_endpoint(&format!("https://{name}.blob.{PUBLIC_SUFFIX}"))?;
        Ok(Self {
            name: name.to_owned(),
            endpoint,
            credential: Credential::Identity(identity.into()),
        })
    }

    /// The account with this blob service, with an identity as the credential.
    pub fn from_blob_service(uri: &str, identity: Principal) -> Result<Self, Invalid> {
        let endpoint = blob_endpoint(uri)?;
        Ok(Self {
            name: account_of(&endpoint),
            endpoint,
            credential: Credential::Identity(identity.into()),
        })
    }

    fn emulator(fields: &Fields) -> Result<Self, Invalid> {
        let host = fields
            .get("DevelopmentStorageProxyUri")
            .unwrap_or(EMULATOR_HOST)
            .trim_end_matches('/');
        Ok(Self {
            name: EMULATOR_ACCOUNT.into(),
            endpoint: blob_endpoint(&format!("{host}:{EMULATOR_BLOB_PORT}/{EMULATOR_ACCOUNT}"))?,
            credential: Credential::Key(EMULATOR_KEY.into()),
        })
    }
}

/// Whether a text can be part of a host's name. Anything else might make the address of another
/// host, and the credential would go there.
fn is_of_host(text: &str) -> bool {
    let is_of_host = |it: char| it.is_ascii_alphanumeric() || matches!(it, '-' | '.');
    text.chars().all(is_of_host) && is_host_name(text)
}

fn blob_endpoint(text: &str) -> Result<Url, Invalid> {
    let url = Url::parse(text.trim_end_matches('/'))
        .ok()
        .filter(Url::has_host)
        .ok_or_else(|| Invalid("its blob endpoint is not a URL".into()))?;
    if !is_plain(&url) {
        return Err(Invalid(
            "its blob endpoint has more than a host and a path; a shared access signature belongs \
             in a connection string, as BlobEndpoint=…;SharedAccessSignature=…"
                .into(),
        ));
    }
    if !is_secure(&url) {
        return Err(Invalid(
            "its blob endpoint must be https (http only on loopback)".into(),
        ));
    }
    // A path would be taken for a container.
    if is_blob_service(&url) && url.path() != "/" {
        return Err(Invalid(
            "its blob endpoint has a path, and that of an account in Azure has none; leave out what \
             follows the host"
                .into(),
        ));
    }
    Ok(url)
}

const QUOTES: [char; 6] = ['"', '\'', '“', '”', '‘', '’'];

/// Rejects a value that was quoted or escaped on its way here. `what` is its name.
fn unbroken<'a>(what: &str, text: &'a str) -> Result<&'a str, Invalid> {
    for (entity, meant) in [("&amp;", '&'), ("&quot;", '"')] {
        if text.contains(entity) {
            return Err(Invalid(format!(
                "it was copied out of XML or HTML: write {meant} instead of {entity}"
            )));
        }
    }
    if text.starts_with(QUOTES) {
        return Err(Invalid(format!("{what} stands in quotes; leave them out")));
    }
    Ok(text)
}

/// A credential, which has no white space in it.
fn secret<'a>(what: &str, text: &'a str) -> Result<&'a str, Invalid> {
    let text = unbroken(what, text)?;
    if text.contains(char::is_whitespace) {
        return Err(Invalid(format!("{what} has white space in it")));
    }
    Ok(text)
}

fn account_key(text: &str) -> Result<SecretString, Invalid> {
    use base64::Engine as _;
    let text = secret("its AccountKey", text)?;
    base64::prelude::BASE64_STANDARD
        .decode(text)
        .map(|_| text.into())
        .map_err(|_| Invalid("its AccountKey is not base64".into()))
}

/// The account in `https://NAME.blob.…`, or in the emulator's `http://127.0.0.1:10000/NAME`.
fn account_of(endpoint: &Url) -> String {
    let in_path = endpoint.path().trim_matches('/');
    let name = match endpoint.host() {
        _ if !in_path.is_empty() => in_path,
        Some(url::Host::Domain(host)) => host.split('.').next().unwrap_or_default(),
        _ => EMULATOR_ACCOUNT,
    };
    name.to_owned()
}

/// `Name=value;Name=value`, names in any case; a value may contain `=`.
struct Fields<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Fields<'a> {
    fn parse(text: &'a str) -> Result<Self, Invalid> {
        if text.starts_with("https://") || text.starts_with("http://") {
            return Err(Invalid(
                "it is a URL; a shared access signature belongs in a connection string, as \
                 BlobEndpoint=…;SharedAccessSignature=…"
                    .into(),
            ));
        }
        text.split(';')
            .map(str::trim)
            .filter(|field| !field.is_empty())
            .map(|field| {
                field
                    .split_once('=')
                    .map(|(name, value)| (name.trim(), value.trim()))
                    .ok_or_else(|| Invalid("it is not of the form Name=value;Name=value".into()))
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// The value of a field; a blank one counts as missing.
    fn get(&self, name: &str) -> Option<&'a str> {
        self.0
            .iter()
            .find(|(key, value)| key.eq_ignore_ascii_case(name) && !value.is_empty())
            .map(|(_, value)| *value)
    }
}

#[cfg(test)]
mod tests;
