//! Objects as blobs in one container of an Azure storage account; a version is an `ETag`.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use futures_util::future::BoxFuture;
use object_store::azure::{
    AzureAuthorizer, AzureConfigKey, AzureCredential, MicrosoftAzure, MicrosoftAzureBuilder,
};
use object_store::client::{
    ClientOptions, HttpClient, HttpConnector, HttpRequest, HttpRequestBody,
};
use object_store::path::Path;
use object_store::{
    CredentialProvider, Error, ObjectStore as _, ObjectStoreExt as _, PutMode, PutOptions,
    RetryConfig, UpdateVersion,
};
use reqwest::{Method, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};

use super::{StorageError, Version};
use crate::azure::account::{Account, Credential};
use crate::azure::identity::{Identity, IdentityError};
use crate::clock::Clock;
use crate::error::with_causes;
use crate::net::http::is_loopback;
use crate::net::retry::Deadline;

/// The container that holds everything this program keeps.
pub const CONTAINER: &str = "auth0-poller";

/// What a token for storage is for, in every cloud.
const RESOURCE: &str = "https://storage.azure.com";
/// Time for a token. `object_store` does not tell how much there is.
const TOKEN_BUDGET: Duration = Duration::from_secs(30);

/// A container of a storage account.
pub struct Container {
    blobs: MicrosoftAzure,
    http: HttpClient,
    account: String,
    url: String,
    is_emulator: bool,
    tokens: Option<Arc<Tokens>>,
}

/// Gives `object_store` this program's own HTTP client, with its time-outs and without redirects.
#[derive(Debug)]
struct Connector(HttpClient);

impl HttpConnector for Connector {
    fn connect(&self, _options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(self.0.clone())
    }
}

/// Gives `object_store` this program's own tokens.
struct Tokens {
    identity: Identity,
    /// Whether the account refused the one in use.
    is_refused: AtomicBool,
    /// Whether the one in use took the place of one that was refused.
    is_renewed: AtomicBool,
}

/// Shows nothing of the identity.
impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokens")
    }
}

impl CredentialProvider for Tokens {
    type Credential = AzureCredential;

    fn get_credential<'a, 'b>(&'a self) -> BoxFuture<'b, object_store::Result<Arc<AzureCredential>>>
    where
        'a: 'b,
    {
        Box::pin(async {
            let token = self.token().await.map_err(|error| Error::Generic {
                store: "identity",
                source: error.into(),
            })?;
            let token = token.expose_secret().to_owned();
            Ok(Arc::new(AzureCredential::BearerToken(token)))
        })
    }
}

impl Tokens {
    async fn token(&self) -> Result<SecretString, IdentityError> {
        let deadline = Deadline::after(TOKEN_BUDGET);
        let token = self.identity.token(deadline).await?;
        let is_refused = self.is_refused.swap(false, Ordering::Relaxed);
        self.is_renewed.store(is_refused, Ordering::Relaxed);
        if !is_refused {
            return Ok(token);
        }
        self.identity.forget(&token).await;
        self.identity.token(deadline).await
    }
}

impl Container {
    /// Prepares the use of the account's container; speaks to nobody yet.
    pub fn new(
        account: &Account,
        client: reqwest::Client,
        clock: Clock,
    ) -> Result<Self, StorageError> {
        let http = HttpClient::new(client.clone());
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
        let mut tokens = None;
        let builder = match &account.credential {
            Credential::Key(key) => builder.with_access_key(key.expose_secret()),
            Credential::Sas(sas) => {
                builder.with_config(AzureConfigKey::SasKey, sas.expose_secret())
            }
            Credential::Identity(principal) => {
                let source = Arc::new(Tokens {
                    identity: Identity::new(client, (**principal).clone(), RESOURCE, clock),
                    is_refused: AtomicBool::new(false),
                    is_renewed: AtomicBool::new(false),
                });
                tokens = Some(Arc::clone(&source));
                builder.with_credentials(source)
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
            tokens,
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
            status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                let answer = format!("status {status}");
                Err(StorageError::Unavailable(
                    self.unavailable().into(),
                    answer.into(),
                ))
            }
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

    /// What a refusal means for who asked. Another token is tried once.
    fn denied(&self, error: Error) -> StorageError {
        let remedy = match (&error, &self.tokens) {
            (Error::Unauthenticated { .. }, Some(tokens)) => {
                let remedy = "the storage account does not take the token of the app's identity; the \
                     account and the Function App must belong to the same tenant of Entra ID";
                tokens.is_refused.store(true, Ordering::Relaxed);
                if !tokens.is_renewed.load(Ordering::Relaxed) {
                    return StorageError::Unavailable(remedy.into(), error.into());
                }
                remedy
            }
            (_, Some(_)) => {
                "the app's identity may not use the storage account; give it the role Storage \
                 Blob Data Owner or Contributor there (a role given just now works some minutes \
                 later, at most half an hour)"
            }
            (_, None) => {
                "the storage account refuses the key or signature; where the account allows no \
                 shared keys, use AzureWebJobsStorage__accountName and the app's identity"
            }
        };
        StorageError::Denied(remedy.into(), error.into())
    }

    fn classify(&self, error: Error) -> StorageError {
        match error {
            // Not found: it was there when it was read, and is gone when it is to be replaced.
            Error::AlreadyExists { .. } | Error::Precondition { .. } | Error::NotFound { .. } => {
                StorageError::Conflict
            }
            Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => self.denied(error),
            Error::Generic { source, .. } if source.is::<IdentityError>() => {
                source.downcast().map_or_else(
                    |source| StorageError::Unavailable(self.unavailable().into(), source),
                    StorageError::NoToken,
                )
            }
            error => StorageError::Unavailable(self.unavailable().into(), error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::extract::State;
    use axum::http::{HeaderMap, StatusCode};
    use tokio::net::TcpListener;
    use tokio::sync::mpsc;

    use super::*;
    use crate::azure::identity::Principal;
    use crate::clock;
    use crate::net::http;
    use crate::net::retry::{Again, Transient as _};

    type Requests = mpsc::UnboundedSender<String>;

    /// A storage account that answers everything so, beside an identity endpoint that issues a
    /// new token each time. Both tell what they were asked with.
    async fn refusing(
        status: StatusCode,
        header: (&'static str, &'static str),
    ) -> (Container, mpsc::UnboundedReceiver<String>) {
        let (requests, seen) = mpsc::unbounded_channel();
        let blobs = move |State(requests): State<Requests>, headers: HeaderMap| async move {
            let token = headers["authorization"].to_str().unwrap_or_default();
            requests.send(token.to_owned()).unwrap();
            (status, [header])
        };
        let tokens = |State(requests): State<Requests>| async move {
            requests.send("a token".into()).unwrap();
            let number = fastrand::u64(..);
            format!(r#"{{"access_token":"t{number}","expires_on":"4102444800"}}"#)
        };
        let router = Router::new()
            .route("/token", axum::routing::get(tokens))
            .fallback(blobs)
            .with_state(requests);
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        let principal = Principal::Managed {
            endpoint: format!("http://{address}/token").parse().unwrap(),
            header: "header".into(),
            client_id: None,
        };
        let account = Account::from_blob_service(&format!("http://{address}/acme"), principal);
        let http = http::client(None).unwrap();
        let container = Container::new(&account.unwrap(), http, clock::system());
        (container.unwrap(), seen)
    }

    #[tokio::test]
    async fn a_role_that_is_missing_is_named() {
        let code = ("x-ms-error-code", "AuthorizationPermissionMismatch");
        let (container, _seen) = refusing(StatusCode::FORBIDDEN, code).await;
        let error = container.read("a").await.unwrap_err().to_string();
        assert!(
            error.contains("the role Storage Blob Data Owner"),
            "{error}"
        );
        assert!(error.contains("at most half an hour"), "{error}");
    }

    #[tokio::test]
    async fn a_token_that_is_refused_is_replaced_once() {
        let scheme = ("www-authenticate", "Bearer");
        let (container, mut seen) = refusing(StatusCode::UNAUTHORIZED, scheme).await;
        let first = container.read("a").await.unwrap_err();
        assert_eq!(first.again(), Again::Soon);
        let second = container.read("a").await.unwrap_err();
        assert_eq!(second.again(), Again::Never);
        assert!(
            second.to_string().contains("the same tenant of Entra ID"),
            "{second}"
        );
        let mut next = || seen.try_recv().unwrap();
        assert_eq!(next(), "a token");
        let first = next();
        assert_eq!(next(), "a token");
        assert_ne!(next(), first);
    }
}
