//! Stores objects as blobs in one container of an Azure storage account. A version is an `ETag`.

mod refusal;
mod secrets;
mod tokens;

use std::error::Error as _;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt as _;
use object_store::Error;
use object_store::azure::{AzureAuthorizer, AzureConfigKey, MicrosoftAzure, MicrosoftAzureBuilder};
use object_store::client::{HttpError, HttpRequest, HttpRequestBody};
use reqwest::Method;
use secrecy::ExposeSecret as _;
use url::Url;

pub(crate) use self::refusal::AzureRefusal;
use self::refusal::{Meaning, Opener};
use self::secrets::AzureRefusals;
use self::tokens::Tokens;
use super::wire::{AnswerTooLarge, Wire, cause};
use super::{Attempt, Object, Objects, StorageError, Version, remote};
use crate::azure::account::{Account, Credential};
use crate::azure::identity::Identity;
use crate::clock::Clock;
use crate::error::with_causes;
use crate::net::http::is_loopback;
use crate::net::retry::{Again, Deadline};

/// The container for this program's own state.
pub(crate) const CONTAINER: &str = "auth0-poller";

/// The audience of a token for storage, in every cloud.
const RESOURCE: &str = "https://storage.azure.com";

/// What to do if the container is missing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Missing {
    /// Create it.
    IsMade,
    /// Report an error: the container belongs to somebody else.
    IsAnError,
}

/// A container of a storage account.
pub(crate) struct Container {
    blobs: MicrosoftAzure,
    wire: Wire<AzureRefusals>,
    account: String,
    url: Url,
    missing: Missing,
    is_emulator: bool,
    opener: Opener,
    tokens: Option<Arc<Tokens>>,
}

impl Container {
    /// Prepares access to the account's container. Sends no request yet.
    pub fn new(
        account: &Account,
        name: &str,
        missing: Missing,
        client: reqwest::Client,
        clock: Clock,
    ) -> Result<Self, StorageError> {
        let endpoint = account.endpoint.as_str().trim_end_matches('/');
        let mut url = account.endpoint.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push(name);
        }
        let tokens = match &account.credential {
            Credential::Identity(principal) => {
                let principal = (**principal).clone();
                let identity = Identity::new(client.clone(), principal, RESOURCE, clock);
                Some(Arc::new(Tokens::new(identity)))
            }
            Credential::Key(_) | Credential::Sas(_) => None,
        };
        let wire = Wire::new(client, AzureRefusals(tokens.clone()));
        let builder = MicrosoftAzureBuilder::new()
            .with_account(&account.name)
            .with_endpoint(endpoint.to_owned())
            .with_container_name(name)
            .with_allow_http(true)
            .with_http_connector(wire.clone())
            .with_retry(remote::retries());
        let (mut builder, opener) = match &account.credential {
            Credential::Key(key) => (builder.with_access_key(key.expose_secret()), Opener::Key),
            Credential::Sas(sas) => (
                builder.with_config(AzureConfigKey::SasKey, sas.expose_secret()),
                Opener::Signature,
            ),
            Credential::Identity(_) => (builder, Opener::Identity),
        };
        if let Some(tokens) = tokens.clone() {
            builder = builder.with_credentials(tokens);
        }
        // The error is dropped: its text may hold the unusable credential.
        let blobs = builder.build().map_err(|_| {
            let problem = "what opens the account cannot be used";
            StorageError::Denied(format!("preparing {url}"), problem.into())
        })?;
        Ok(Self {
            blobs,
            wire,
            account: account.name.clone(),
            url,
            missing,
            is_emulator: is_loopback(&account.endpoint),
            opener,
            tokens,
        })
    }

    async fn read(&self, path: &str) -> Result<Option<Object>, StorageError> {
        match remote::get(&self.blobs, path).await {
            Ok(blob) => Ok(Some(blob)),
            // The blob is missing, or the whole container that this program creates: in both cases nothing
            // has been stored yet.
            Err(error) if self.is_absent(&error) => Ok(None),
            Err(error) => Err(self.classify(path, &error)),
        }
    }

    /// Writes a blob. Creates the container if it is missing and this program's own.
    async fn write(
        &self,
        path: &str,
        content: Bytes,
        over: Option<&Version>,
    ) -> Result<Version, StorageError> {
        let written = match remote::put(&self.blobs, path, content.clone(), over).await {
            Err(error) if over.is_none() && self.may_create(&error) => {
                self.create().await?;
                remote::put(&self.blobs, path, content, over).await
            }
            result => result,
        };
        written.map_err(|error| match over {
            // The blob existed when it was read, and was removed before it could be replaced.
            Some(_) if self.is_absent(&error) => StorageError::Conflict,
            _ => self.classify(path, &error),
        })
    }

    async fn list(&self, folder: &str) -> Result<Vec<String>, StorageError> {
        match remote::list(&self.blobs, folder).await {
            Err(error) if self.is_absent(&error) => Ok(Vec::new()),
            result => result.map_err(|error| self.classify(folder, &error)),
        }
    }

    /// `object_store` deletes by a batch request, and does not report Azure's error codes for it.
    ///
    /// <https://learn.microsoft.com/rest/api/storageservices/delete-blob>
    async fn remove(&self, path: &str) -> Result<(), StorageError> {
        let blob = remote::path(path);
        let mut url = self.url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.extend(blob.parts());
        }
        match self.send(Method::DELETE, &url).await {
            Err(error) if self.is_absent(&error) => Ok(()),
            result => result.map_err(|error| self.classify(path, &error)),
        }
    }

    /// Creates the container. `object_store` has no call for this.
    ///
    /// <https://learn.microsoft.com/rest/api/storageservices/create-container>
    async fn create(&self) -> Result<(), StorageError> {
        let mut url = self.url.clone();
        url.set_query(Some("restype=container"));
        let Err(error) = self.send(Method::PUT, &url).await else {
            return Ok(());
        };
        // It is just as well if somebody else created it meanwhile.
        if refusal_in(&error).is_some_and(AzureRefusal::is_made_already) {
            return Ok(());
        }
        Err(match self.classify("", &error) {
            StorageError::Denied(why, source) => StorageError::Denied(
                format!(
                    "{} does not exist, and creating it was refused; create it, or allow this \
                     program to: {why}",
                    self.url
                ),
                source,
            ),
            error => error,
        })
    }

    /// Sends a request without a body, signed by `object_store`.
    async fn send(&self, method: Method, url: &Url) -> Result<(), Error> {
        let credential = self.blobs.credentials().get_credential().await?;
        let mut request = HttpRequest::new(HttpRequestBody::empty());
        *request.method_mut() = method;
        *request.uri_mut() = url.as_str().parse().map_err(generic)?;
        // The signature covers the length.
        let length = reqwest::header::CONTENT_LENGTH;
        request.headers_mut().insert(length, 0.into());
        AzureAuthorizer::new(&credential, &self.account).try_authorize(&mut request)?;
        self.wire.send(request).await.map_err(generic)?;
        Ok(())
    }

    fn is_absent(&self, error: &Error) -> bool {
        refusal_in(error).is_some_and(|it| {
            it.verdict(self.opener) == Meaning::Absent && !self.lacks_container(it)
        })
    }

    /// Whether the container is missing, and belongs to somebody else. What it should hold is then not
    /// known, so that nothing may be taken for absent.
    fn lacks_container(&self, refusal: &AzureRefusal) -> bool {
        self.missing == Missing::IsAnError && refusal.is_about_container()
    }

    fn may_create(&self, error: &Error) -> bool {
        let refusal = refusal_in(error).filter(|it| it.is_about_container());
        refusal.is_some() && self.missing == Missing::IsMade
    }

    fn unavailable(&self) -> &'static str {
        if self.is_emulator && self.missing == Missing::IsMade {
            "the storage emulator cannot be used; start Azurite, or leave AzureWebJobsStorage \
             empty to keep checkpoints in a folder"
        } else {
            "the storage account cannot be used"
        }
    }

    /// Takes nothing from `error` except what [`Wire`] has passed on: `object_store`'s own texts
    /// may quote the response.
    fn classify(&self, path: &str, error: &Error) -> StorageError {
        if let Some(refusal) = refusal_in(error) {
            return self.judge(refusal);
        }
        if cause::<AnswerTooLarge>(error).is_some() {
            return StorageError::TooLarge(self.location(path));
        }
        let why = match cause::<HttpError>(error) {
            Some(error) => error.source().map_or_else(String::new, with_causes),
            None => "its answer is not that of a storage account".to_owned(),
        };
        StorageError::Unavailable(self.unavailable().into(), why.into())
    }

    fn judge(&self, refusal: &AzureRefusal) -> StorageError {
        let again = refusal.again();
        let source = Box::new(refusal.clone());
        match refusal.verdict(self.opener) {
            Meaning::Conflict => StorageError::Conflict,
            Meaning::Absent if self.lacks_container(refusal) => {
                let why = format!("{} does not exist; make it, or name another", self.url);
                StorageError::Denied(why, source)
            }
            Meaning::Absent => StorageError::Unavailable("it is not there".into(), source),
            Meaning::Passes(why) if again == Again::Never => {
                let source = refusal.clone().with_again(Again::Soon);
                StorageError::Unavailable(why.into(), source.into())
            }
            Meaning::Passes(why) => StorageError::Unavailable(why.into(), source),
            // Another token may be accepted.
            Meaning::Stays(why) if refusal.is_about_credential() && again != Again::Never => {
                StorageError::Unavailable(why.into(), source)
            }
            Meaning::Stays(why) => StorageError::Denied(why.into(), source),
        }
    }
}

impl Objects for Container {
    fn prepare(&self, deadline: Deadline) -> Attempt<'_, ()> {
        async move {
            match &self.tokens {
                Some(tokens) => {
                    let prepared = tokens.prepare(deadline).await;
                    prepared.map_err(|error| StorageError::NoToken(error.into()))
                }
                None => Ok(()),
            }
        }
        .boxed()
    }

    fn read<'a>(&'a self, path: &'a str) -> Attempt<'a, Option<Object>> {
        self.read(path).boxed()
    }

    fn write<'a>(
        &'a self,
        path: &'a str,
        content: Bytes,
        over: Option<&'a Version>,
    ) -> Attempt<'a, Version> {
        self.write(path, content, over).boxed()
    }

    fn list<'a>(&'a self, folder: &'a str) -> Attempt<'a, Vec<String>> {
        self.list(folder).boxed()
    }

    fn remove<'a>(&'a self, path: &'a str) -> Attempt<'a, ()> {
        self.remove(path).boxed()
    }

    /// A blob's URL, without credentials.
    fn location(&self, path: &str) -> String {
        format!("{}/{path}", self.url)
    }
}

fn generic(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Generic {
        store: "Azure",
        source: Box::new(error),
    }
}

fn refusal_in(error: &Error) -> Option<&AzureRefusal> {
    cause(error)
}

#[cfg(test)]
mod tests;
