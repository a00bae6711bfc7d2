//! Objects as blobs in one container of an Azure storage account; a version is an `ETag`.

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use object_store::azure::{
    AzureAuthorizer, AzureConfigKey, AzureCredential, MicrosoftAzure, MicrosoftAzureBuilder,
};
use object_store::client::{
    ClientOptions, HttpClient, HttpConnector, HttpRequest, HttpRequestBody,
};
use object_store::path::Path;
use object_store::{
    Error, ObjectStore as _, ObjectStoreExt as _, PutMode, PutOptions, RetryConfig, UpdateVersion,
};
use reqwest::{Method, StatusCode};
use secrecy::ExposeSecret;

use super::connection_string::{Account, Credential};
use super::{StorageError, Version};
use crate::http::is_loopback;
use crate::report::with_causes;

/// The container that holds everything this program keeps.
pub const CONTAINER: &str = "auth0-poller";

/// A container of a storage account.
pub struct Container {
    blobs: MicrosoftAzure,
    http: HttpClient,
    account: String,
    url: String,
    is_emulator: bool,
}

/// Gives `object_store` this program's own HTTP client, with its time-outs and without redirects.
#[derive(Debug)]
struct Connector(HttpClient);

impl HttpConnector for Connector {
    fn connect(&self, _options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(self.0.clone())
    }
}

impl Container {
    /// Prepares the use of the account's container; speaks to nobody yet.
    pub fn new(account: &Account, http: reqwest::Client) -> Result<Self, StorageError> {
        let http = HttpClient::new(http);
        let endpoint = account.endpoint.as_str().trim_end_matches('/');
        let url = format!("{endpoint}/{CONTAINER}");
        let builder = MicrosoftAzureBuilder::new()
            .with_account(&account.name)
            .with_endpoint(endpoint.to_owned())
            .with_container_name(CONTAINER)
            .with_allow_http(true)
            .with_http_connector(Connector(http.clone()))
            // The one retry policy is in retry.rs.
            .with_retry(RetryConfig {
                max_retries: 0,
                ..RetryConfig::default()
            });
        let builder = match &account.credential {
            Credential::Key(key) => builder.with_access_key(key.expose_secret()),
            Credential::Sas(sas) => {
                builder.with_config(AzureConfigKey::SasKey, sas.expose_secret())
            }
            Credential::ManagedIdentity {
                client_id,
                identity_endpoint,
            } => {
                let identity = [
                    (AzureConfigKey::ClientId, client_id),
                    (AzureConfigKey::MsiEndpoint, identity_endpoint),
                ];
                identity
                    .into_iter()
                    .filter_map(|(key, value)| value.as_ref().map(|value| (key, value)))
                    .fold(builder, |builder, (key, value)| {
                        builder.with_config(key, value)
                    })
            }
        };
        let blobs = builder
            .build()
            .map_err(|error| StorageError::Unavailable(format!("preparing {url}"), error.into()))?;
        Ok(Self {
            blobs,
            http,
            account: account.name.clone(),
            url,
            is_emulator: is_loopback(&account.endpoint),
        })
    }

    /// A blob's URL, without anything that opens it.
    #[must_use]
    pub fn location(&self, path: &str) -> String {
        format!("{}/{path}", self.url)
    }

    /// A blob's content and `ETag`.
    pub async fn read(&self, path: &str) -> Result<Option<(Bytes, Version)>, StorageError> {
        let blob = match self.blobs.get(&Path::from(path)).await {
            Ok(blob) => blob,
            // The blob or the whole container: either way nothing has been kept yet.
            Err(Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(self.classify(error)),
        };
        let version = Version(blob.meta.e_tag.clone().unwrap_or_default());
        let content = blob.bytes().await.map_err(|error| self.classify(error))?;
        Ok(Some((content, version)))
    }

    /// Replaces the blob with this `ETag`, or makes one. Makes the container where it is missing.
    pub async fn write(
        &self,
        path: &str,
        content: Bytes,
        over: Option<&Version>,
    ) -> Result<Version, StorageError> {
        match self.put(path, content.clone(), over).await {
            Err(Error::NotFound { .. }) if over.is_none() => {
                self.create().await?;
                self.put(path, content, over).await
            }
            result => result,
        }
        .map_err(|error| self.classify(error))
    }

    /// The paths of the blobs in a folder.
    pub async fn list(&self, folder: &str) -> Result<Vec<String>, StorageError> {
        let folder = Path::from(folder);
        let blobs = self.blobs.list(Some(&folder));
        let paths: Result<Vec<String>, Error> = blobs
            .map_ok(|blob| blob.location.to_string())
            .try_collect()
            .await;
        match paths {
            // Of a list `object_store` tells Azure's error code only as text.
            Err(error) if with_causes(&error).contains("ContainerNotFound") => Ok(Vec::new()),
            paths => paths.map_err(|error| self.classify(error)),
        }
    }

    /// Removes a blob.
    pub async fn remove(&self, path: &str) -> Result<(), StorageError> {
        match self.blobs.delete(&Path::from(path)).await {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.classify(error)),
        }
    }

    async fn put(
        &self,
        path: &str,
        content: Bytes,
        over: Option<&Version>,
    ) -> Result<Version, Error> {
        let mode = match over {
            None => PutMode::Create,
            Some(Version(e_tag)) => PutMode::Update(UpdateVersion {
                e_tag: Some(e_tag.clone()),
                version: None,
            }),
        };
        let put = self
            .blobs
            .put_opts(&Path::from(path), content.into(), PutOptions::from(mode))
            .await?;
        Ok(Version(put.e_tag.unwrap_or_default()))
    }

    /// Makes the container. `object_store` has no call for that, but signs the request.
    ///
    /// <https://learn.microsoft.com/rest/api/storageservices/create-container>
    async fn create(&self) -> Result<(), StorageError> {
        let credential = self
            .blobs
            .credentials()
            .get_credential()
            .await
            .map_err(|error| self.classify(error))?;
        let request = self
            .create_request(&credential)
            .map_err(|error| self.classify(error))?;
        let response =
            self.http.execute(request).await.map_err(|error| {
                StorageError::Unavailable(self.unavailable().into(), error.into())
            })?;
        match response.status() {
            // 409: somebody made it meanwhile, which is as good.
            status if status.is_success() || status == StatusCode::CONFLICT => Ok(()),
            status => Err(StorageError::Denied(
                format!(
                    "{} does not exist, and creating it was refused; create it, or allow this \
                     program to",
                    self.url
                ),
                format!("status {status}").into(),
            )),
        }
    }

    fn create_request(&self, credential: &AzureCredential) -> Result<HttpRequest, Error> {
        let mut request = HttpRequest::new(HttpRequestBody::empty());
        *request.method_mut() = Method::PUT;
        *request.uri_mut() =
            format!("{}?restype=container", self.url)
                .parse()
                .map_err(|error| Error::Generic {
                    store: "Azure",
                    source: Box::new(error),
                })?;
        // Part of what is signed.
        request
            .headers_mut()
            .insert(reqwest::header::CONTENT_LENGTH, 0.into());
        AzureAuthorizer::new(credential, &self.account).try_authorize(&mut request)?;
        Ok(request)
    }

    fn unavailable(&self) -> &'static str {
        if self.is_emulator {
            "the storage emulator cannot be used; start Azurite, or leave AzureWebJobsStorage \
             empty to keep checkpoints in a folder"
        } else {
            "the storage account cannot be used"
        }
    }

    fn classify(&self, error: Error) -> StorageError {
        match error {
            // Not found: it was there when it was read, and is gone when it is to be replaced.
            Error::AlreadyExists { .. } | Error::Precondition { .. } | Error::NotFound { .. } => {
                StorageError::Conflict
            }
            Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => StorageError::Denied(
                "the storage account refuses the key, signature or identity of this program (an \
                 identity needs the role Storage Blob Data Owner or Contributor)"
                    .into(),
                error.into(),
            ),
            error => StorageError::Unavailable(self.unavailable().into(), error.into()),
        }
    }
}
