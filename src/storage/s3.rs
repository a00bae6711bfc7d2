//! Stores objects in a bucket of S3 or of an S3-compatible service. A version is an `ETag`.

mod list;

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use object_store::aws::{AmazonS3, AmazonS3Builder, AwsCredential, Checksum};
use object_store::client::{HttpError, HttpRequest};
use object_store::{CredentialProvider, Error, ObjectStoreExt as _};
use reqwest::StatusCode;
use secrecy::SecretString;
use url::Url;

use super::foreign::Tags;
use super::in_use::InUse;
use super::wire::{AnswerTooLarge, Refusals, Wire, cause};
use super::{Attempt, Object, Objects, StorageError, Version, remote};
use crate::aws::credentials::{Credentials, RoleError};
use crate::aws::refusal::{About, AwsRefusal, secrets};
use crate::aws::region::Region;
use crate::error::with_causes;
use crate::net::http::Answer;
use crate::net::retry::{Again, Deadline, Transient as _};

/// A bucket and its location.
pub(crate) struct Bucket {
    pub name: String,
    pub region: Region,
    /// The address of a service other than Amazon's.
    pub endpoint: Option<Url>,
}

impl Bucket {
    fn place(&self) -> String {
        format!("s3://{}", self.name)
    }
}

/// The objects in a bucket.
pub(crate) struct S3 {
    objects: AmazonS3,
    bucket: Bucket,
    credentials: Arc<Current>,
}

/// The bucket, or something in front of it, did not accept a request.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{}: {said}", status.as_u16())]
pub(crate) struct S3Refusal {
    status: StatusCode,
    code: String,
    about: About,
    said: String,
    again: Again,
}

impl S3Refusal {
    pub fn again(&self) -> Again {
        self.again
    }

    /// Whether the request was too large.
    pub fn is_too_much(&self) -> bool {
        self.status == StatusCode::PAYLOAD_TOO_LARGE || self.code == "EntityTooLarge"
    }
}

/// The credentials in use, for `object_store`, which cannot wait for new ones.
struct Current {
    origin: Credentials,
    in_use: InUse<Arc<AwsCredential>>,
}

impl fmt::Debug for Current {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Current")
    }
}

impl Current {
    /// Obtains credentials to use. Refused ones are replaced first.
    async fn prepare(&self, deadline: Deadline) -> Result<(), RoleError> {
        let issued = || self.origin.get(deadline);
        let forget = async |refused: Arc<AwsCredential>| self.origin.forget(&refused).await;
        self.in_use.prepare(issued, forget).await
    }

    /// Notes that the bucket refused these credentials. Returns whether to try others.
    fn refuse(&self, refused: &Arc<AwsCredential>) -> Again {
        if !self.origin.are_renewed() {
            return Again::Never;
        }
        self.in_use.refuse(refused)
    }
}

impl CredentialProvider for Current {
    type Credential = AwsCredential;

    fn get_credential<'a, 'b>(&'a self) -> BoxFuture<'b, object_store::Result<Arc<AwsCredential>>>
    where
        'a: 'b,
    {
        Box::pin(async {
            self.in_use.get().ok_or(Error::Generic {
                store: "S3",
                source: "there are no credentials yet".into(),
            })
        })
    }
}

/// Reads the refusals of a bucket.
#[derive(Clone, Debug)]
struct S3Refusals(Arc<Current>);

/// What a request was signed with, and its secrets.
struct Sent {
    credential: Arc<AwsCredential>,
    secrets: Vec<SecretString>,
}

impl Refusals for S3Refusals {
    type Refusal = S3Refusal;
    type Secrets = Option<Sent>;

    fn secrets(&self, request: &HttpRequest) -> Option<Sent> {
        let credential = self.0.in_use.get()?;
        let secrets = secrets(&credential, request.headers());
        Some(Sent {
            credential,
            secrets,
        })
    }

    fn read(&self, answer: &Answer, sent: &Option<Sent>) -> S3Refusal {
        let said = AwsRefusal::of(answer);
        let about = said.about();
        let again = match (said.again(), sent) {
            (Again::Never, Some(sent)) if about.is_credential() => self.0.refuse(&sent.credential),
            (again, _) => again,
        };
        let secrets = sent.as_ref().map_or(&[][..], |it| &it.secrets);
        S3Refusal {
            status: answer.status,
            said: said.said(secrets),
            code: said.code,
            about,
            again,
        }
    }

    fn list(&self, query: &str) -> Option<Tags> {
        list::is_asked_for(query).then_some(Tags::S3)
    }

    fn is_answer(&self, query: &str, body: &[u8]) -> bool {
        !list::is_asked_for(query) || list::is_whole(body)
    }
}

impl S3 {
    /// Prepares access to a bucket. Sends no request yet. Fails if the name is not valid.
    pub fn new(
        bucket: Bucket,
        credentials: Credentials,
        client: reqwest::Client,
    ) -> Result<Self, StorageError> {
        let credentials = Arc::new(Current {
            origin: credentials,
            in_use: InUse::default(),
        });
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&bucket.name)
            .with_region(bucket.region.name())
            .with_credentials(Arc::clone(&credentials) as _)
            // A bucket with Object Lock accepts no write without a checksum. The signed hash would
            // serve as one, but does not count.
            .with_checksum_algorithm(Checksum::SHA256)
            .with_http_connector(Wire::new(client, S3Refusals(Arc::clone(&credentials))))
            .with_retry(remote::retries());
        // `object_store` itself knows only the hosts of the first AWS partition.
        let of_region = || bucket.region.endpoint("s3");
        if let Some(endpoint) = bucket.endpoint.clone().or_else(of_region) {
            let endpoint = endpoint.as_str().trim_end_matches('/');
            builder = builder.with_endpoint(endpoint).with_allow_http(true);
        }
        let objects = builder.build().map_err(|_| {
            let problem = "it cannot be the name of a bucket";
            StorageError::Denied(format!("preparing {}", bucket.place()), problem.into())
        })?;
        Ok(Self {
            objects,
            bucket,
            credentials,
        })
    }

    async fn read(&self, path: &str) -> Result<Option<Object>, StorageError> {
        match remote::get(&self.objects, path).await {
            Ok(object) => Ok(Some(object)),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(self.classify(path, &error)),
        }
    }

    async fn write(
        &self,
        path: &str,
        content: Bytes,
        over: Option<&Version>,
    ) -> Result<Version, StorageError> {
        let put = remote::put(&self.objects, path, content, over).await;
        put.map_err(|error| self.classify(path, &error))
    }

    async fn list(&self, folder: &str) -> Result<Vec<String>, StorageError> {
        let list = remote::list(&self.objects, folder).await;
        list.map_err(|error| self.classify(folder, &error))
    }

    async fn remove(&self, path: &str) -> Result<(), StorageError> {
        match self.objects.delete(&remote::path(path)).await {
            Err(error) if !is_absent(&error) => Err(self.classify(path, &error)),
            _ => Ok(()),
        }
    }

    /// Takes nothing from `error` except what the wire has passed on: `object_store`'s own texts
    /// may quote the response.
    fn classify(&self, path: &str, error: &Error) -> StorageError {
        if let Some(refusal) = cause::<S3Refusal>(error) {
            if refusal.is_conflict() {
                return StorageError::Conflict;
            }
            let (why, source) = (self.advice(refusal), Box::new(refusal.clone()));
            return match refusal.again {
                Again::Never => StorageError::Denied(why, source),
                Again::Soon | Again::NotBefore(_) => StorageError::Unavailable(why, source),
            };
        }
        if cause::<AnswerTooLarge>(error).is_some() {
            return StorageError::TooLarge(self.location(path));
        }
        let why = match cause::<HttpError>(error).and_then(std::error::Error::source) {
            Some(error) => with_causes(error),
            None => "its answer is not that of S3".to_owned(),
        };
        let what = format!("{} cannot be used", self.bucket.place());
        StorageError::Unavailable(what, why.into())
    }

    /// What a refusal means, and what the operator can do about it.
    fn advice(&self, refusal: &S3Refusal) -> String {
        let (place, region) = (self.bucket.place(), self.bucket.region.name());
        let is_elsewhere = matches!(
            &*refusal.code,
            "PermanentRedirect" | "AuthorizationHeaderMalformed"
        );
        if refusal.code == "NoSuchBucket" {
            return format!("{place} does not exist; make it, or name another");
        }
        if refusal.about == About::Region || is_elsewhere {
            return format!("{place} is not in {region}; check AWS_REGION");
        }
        if refusal.about == About::Access {
            return format!(
                "these credentials may not use {place}; allow s3:PutObject and s3:GetObject on its \
                 objects, and s3:ListBucket on the bucket"
            );
        }
        if refusal.about == About::Clock {
            return "this machine's clock is wrong, so AWS takes no signature".into();
        }
        if refusal.about.is_credential() {
            return format!("the credentials for {place} are refused; check those of AWS");
        }
        if refusal.again == Again::Never {
            return format!("{place} does not take the request");
        }
        format!("{place} is not ready")
    }
}

impl S3Refusal {
    fn is_conflict(&self) -> bool {
        let is_named = matches!(
            &*self.code,
            "PreconditionFailed" | "ConditionalRequestConflict"
        );
        is_named || self.status == StatusCode::PRECONDITION_FAILED
    }
}

fn is_absent(error: &Error) -> bool {
    let refusal = cause::<S3Refusal>(error);
    refusal.is_some_and(|it| it.status == StatusCode::NOT_FOUND && it.code != "NoSuchBucket")
}

impl Objects for S3 {
    fn prepare(&self, deadline: Deadline) -> Attempt<'_, ()> {
        async move {
            let prepared = self.credentials.prepare(deadline).await;
            prepared.map_err(|error| {
                let what = format!("there are no credentials for {}", self.bucket.place());
                match error.again() {
                    Again::Never => StorageError::Denied(what, error.into()),
                    Again::Soon | Again::NotBefore(_) => {
                        StorageError::Unavailable(what, error.into())
                    }
                }
            })
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

    fn location(&self, path: &str) -> String {
        format!("{}/{path}", self.bucket.place())
    }
}

#[cfg(test)]
mod tests;
