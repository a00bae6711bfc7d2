//! Where the archive is, according to the settings.

use std::path::PathBuf;

use thiserror::Error;
use url::Url;

use crate::aws;
use crate::azure::account::{Account, Invalid};
use crate::azure::cloud;
use crate::azure::principal::principal;
use crate::destination::Tools;
use crate::net::http::{is_loopback, is_secure};
use crate::settings::{Reader, values};
use crate::storage::Storage;
use crate::storage::azure::{Container, Missing};
use crate::storage::folder::Folder;
use crate::storage::s3::{Bucket, S3};
use crate::storage::settings::left_to_a_shell;

/// Prefix of a folder's address.
const ROOT: &str = "file:///";

/// Where objects are stored.
pub(super) struct Place {
    pub storage: Storage,
    /// Prefix of every object name: empty, or folders with a slash at the end.
    pub prefix: String,
}

/// The place that `ARCHIVE_URL` names.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Address {
    Azure {
        /// The blob service. With the emulator its path holds the account.
        service: Url,
        container: String,
        prefix: String,
    },
    S3 {
        bucket: String,
        prefix: String,
    },
    Folder(PathBuf),
}

/// What is wrong with `ARCHIVE_URL`.
#[derive(Debug, Error)]
enum AddressError {
    #[error(
        "must be https://<account>.blob.core.windows.net/<container>[/<prefix>], \
         s3://<bucket>[/<prefix>] or file:///<folder>"
    )]
    Form,
    #[error(
        "has a user, a port, a query or a fragment, which no address of an archive has; credentials \
         have settings of their own"
    )]
    NotPlain,
    #[error(
        "names a container that cannot be used: its name has 3 to 63 lower-case letters, digits and hyphens"
    )]
    Container,
    #[error(
        "names a bucket that cannot be used: its name has 3 to 63 lower-case letters, digits, hyphens and \
         dots"
    )]
    Bucket,
    #[error(
        "has a prefix that cannot be used: its parts have letters, digits and - _ . =, and begin with no dot"
    )]
    Prefix,
}

/// Reads the settings of the archive.
pub(super) fn read(reader: &mut Reader, tools: &Tools) -> Option<Place> {
    let what = "where the archive is, such as \
                https://<account>.blob.core.windows.net/<container>/<prefix>";
    let address = reader.required("ARCHIVE_URL", what, address)?;
    let (service, container, prefix) = match address {
        Address::Folder(path) => {
            return Some(Place {
                storage: Storage::over(
                    Folder::new(path, "ARCHIVE_URL").shared(),
                    tools.jitter.clone(),
                ),
                prefix: String::new(),
            });
        }
        Address::S3 { bucket, prefix } => {
            let storage = bucket_of(reader, tools, bucket)?;
            return Some(Place { storage, prefix });
        }
        Address::Azure {
            service,
            container,
            prefix,
        } => (service, container, prefix),
    };
    let account = account(reader, &service)?;
    let (http, clock) = (tools.http.clone(), tools.clock.clone());
    match Container::new(&account, &container, Missing::IsAnError, http, clock) {
        Ok(container) => Some(Place {
            storage: Storage::over(container, tools.jitter.clone()),
            prefix,
        }),
        Err(_) => reader.problem("ARCHIVE_URL", &AddressError::Container.to_string()),
    }
}

fn bucket_of(reader: &mut Reader, tools: &Tools, name: String) -> Option<Storage> {
    if reader.get("AWS_REGION").is_none() {
        return reader.problem(
            "AWS_REGION",
            "is missing: the region of the bucket in ARCHIVE_URL",
        );
    }
    let region = aws::settings::region(reader);
    let has_endpoint = reader.get("ARCHIVE_ENDPOINT").is_some();
    let endpoint = reader.optional("ARCHIVE_ENDPOINT", endpoint);
    let region = region?;
    let (http, clock) = (&tools.http, &tools.clock);
    let credentials = aws::settings::credentials(reader, "ARCHIVE_URL", &region, http, clock)?;
    if has_endpoint && endpoint.is_none() {
        return None;
    }
    let bucket = Bucket {
        name,
        region,
        endpoint,
    };
    match S3::new(bucket, credentials, tools.http.clone()) {
        Ok(bucket) => Some(Storage::over(bucket, tools.jitter.clone())),
        Err(_) => reader.problem("ARCHIVE_URL", &AddressError::Bucket.to_string()),
    }
}

/// The address of an S3-compatible service.
fn endpoint(text: &str) -> Result<Url, String> {
    let url = values::origin(text).filter(is_secure);
    url.ok_or_else(|| "must be https and a host (http only on loopback)".into())
}

/// The account of `service`, accessed by a connection string if there is one, else by the app's identity.
fn account(reader: &mut Reader, service: &Url) -> Option<Account> {
    let setting = "ARCHIVE_CONNECTION_STRING";
    if !reader.is_set(setting) {
        let principal = principal(reader, "ARCHIVE_URL", cloud::blob_service(service))?;
        return match Account::from_blob_service(service.as_str(), principal) {
            Ok(account) => Some(account),
            Err(Invalid(problem)) => {
                reader.problem("ARCHIVE_URL", &format!("cannot be used: {problem}"))
            }
        };
    }
    let account = match Account::from_connection_string(reader.get(setting)?) {
        Ok(account) => account,
        Err(Invalid(problem)) => {
            return reader.problem(setting, &format!("cannot be used: {problem}"));
        }
    };
    let trimmed = |url: &Url| url.as_str().trim_end_matches('/').to_owned();
    if trimmed(&account.endpoint) != trimmed(service) {
        return reader.problem(setting, "is that of another account than ARCHIVE_URL names");
    }
    Some(account)
}

/// Reads `ARCHIVE_URL`.
pub(super) fn address(text: &str) -> Result<Address, String> {
    let path = text.get(ROOT.len()..).filter(|_| has_root(text));
    let encoded = match path.and_then(left_to_a_shell) {
        Some((sign @ "$", _)) => Some((sign, "%24")),
        Some((sign @ "~", _)) => Some((sign, "%7E")),
        // A percent sign is valid in an address.
        _ => None,
    };
    if let Some((sign, encoded)) = encoded {
        return Err(format!(
            "names a folder by {sign}, which only a shell works out; write it out, and the sign itself \
             as {encoded}"
        ));
    }
    let address = Url::parse(text)
        .map_err(|_| AddressError::Form)
        .and_then(|url| match url.scheme() {
            // The parser would read a relative path as one from the root.
            "file" if has_root(text) => folder(&url).ok_or(AddressError::Form),
            "https" | "http" => blobs(&url),
            "s3" => objects(&url),
            _ => Err(AddressError::Form),
        });
    address.map_err(|error| error.to_string())
}

/// Whether a file address is absolute and has no host.
fn has_root(text: &str) -> bool {
    let begin = text.get(..ROOT.len());
    begin.is_some_and(|it| it.eq_ignore_ascii_case(ROOT))
}

fn folder(url: &Url) -> Option<Address> {
    let path = url.to_file_path().ok()?;
    let is_some = path.parent().is_some() && url.query().is_none() && url.fragment().is_none();
    is_some.then_some(Address::Folder(path))
}

fn blobs(url: &Url) -> Result<Address, AddressError> {
    let is_of_azure = url.scheme() == "https" && cloud::is_blob_service(url);
    if !(is_of_azure || is_loopback(url)) {
        return Err(AddressError::Form);
    }
    if !values::is_plain(url) {
        return Err(AddressError::NotPlain);
    }
    let mut segments = url.path().split('/').filter(|it| !it.is_empty());
    let mut service = url.clone();
    // The emulator's addresses have the account name in the path.
    let in_path = if is_of_azure {
        ""
    } else {
        segments.next().ok_or(AddressError::Form)?
    };
    service.set_path(in_path);
    let container = segments.next().ok_or(AddressError::Form)?.to_owned();
    let is_letter = |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'-';
    if !(3..=63).contains(&container.len()) || !container.bytes().all(is_letter) {
        return Err(AddressError::Container);
    }
    Ok(Address::Azure {
        service,
        container,
        prefix: prefix(segments)?,
    })
}

fn objects(url: &Url) -> Result<Address, AddressError> {
    let bucket = url.host_str().ok_or(AddressError::Form)?.to_owned();
    if !values::is_plain(url) || url.port().is_some() {
        return Err(AddressError::NotPlain);
    }
    let is_letter = |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit() || b"-.".contains(&it);
    if !(3..=63).contains(&bucket.len()) || !bucket.bytes().all(is_letter) {
        return Err(AddressError::Bucket);
    }
    let segments = url.path().split('/').filter(|it| !it.is_empty());
    let prefix = prefix(segments)?;
    Ok(Address::S3 { bucket, prefix })
}

/// The prefix made of these segments, with a slash at the end. A segment that would need encoding is an error.
fn prefix<'a>(segments: impl Iterator<Item = &'a str>) -> Result<String, AddressError> {
    let is_letter = |it: u8| it.is_ascii_alphanumeric() || b"-_.=".contains(&it);
    let mut prefix = String::new();
    for segment in segments {
        if segment.starts_with('.') || !segment.bytes().all(is_letter) {
            return Err(AddressError::Prefix);
        }
        prefix.push_str(segment);
        prefix.push('/');
    }
    Ok(prefix)
}

#[cfg(test)]
mod tests;
