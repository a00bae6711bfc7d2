//! What `object_store` and a service exchange, and what of it may go further.
//!
//! `object_store` puts the whole body of a failure into its errors, and reads a success to whatever
//! end it has. So it gets neither: a failure reaches it as what the service's [`Refusals`] make of it,
//! and a success is read here, up to a limit.

use std::error::Error as StdError;

use bytes::{Bytes, BytesMut};
use futures_util::TryStreamExt as _;
use futures_util::future::BoxFuture;
use object_store::Error;
use object_store::client::{
    ClientOptions, HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse,
    HttpResponseBody, HttpService,
};
use reqwest::Method;
use reqwest::header::CONTENT_LENGTH;

use super::LARGEST;
use crate::net::http::{Answer, is_webpage};

/// Bytes of a failure that are read: an error of a storage service has some hundred.
const LARGEST_REFUSAL: usize = 64 * 1024;

/// What a service's answers mean that are no success.
pub(super) trait Refusals: Clone + std::fmt::Debug + Send + Sync + 'static {
    /// A refusal. None of its text repeats a secret.
    type Refusal: StdError + Send + Sync + 'static;
    /// What opens the service, as a request carries it.
    type Secrets: Send + Sync;

    fn secrets(&self, request: &HttpRequest) -> Self::Secrets;

    fn read(&self, answer: &Answer, secrets: &Self::Secrets) -> Self::Refusal;
}

/// This program's own HTTP client, with its time-outs and without redirects.
#[derive(Clone, Debug)]
pub(super) struct Wire<R> {
    http: HttpClient,
    refusals: R,
}

/// An answer that is larger than any object of this program.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the answer is too large")]
pub(super) struct AnswerTooLarge;

/// A page in the place of what a service says of a write or a removal, which is nothing.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("it answered with a page, as a proxy may in its place")]
pub(super) struct AnswerIsWebpage;

impl<R: Refusals> Wire<R> {
    pub(super) fn new(client: reqwest::Client, refusals: R) -> Self {
        Self {
            http: HttpClient::new(client),
            refusals,
        }
    }

    /// Sends a request; an answer is a success with its whole body.
    pub(super) async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let secrets = self.refusals.secrets(&request);
        let is_change = matches!(*request.method(), Method::PUT | Method::DELETE);
        let (head, body) = self.http.execute(request).await?.into_parts();
        if head.status.is_success() {
            let told = head.headers.get(CONTENT_LENGTH);
            let told = told.and_then(|it| it.to_str().ok()?.parse::<usize>().ok());
            let body = match told {
                Some(length) if length > LARGEST => return Err(too_large()),
                _ => read(body, LARGEST).await?.ok_or_else(too_large)?,
            };
            if is_change && is_webpage(&head.headers, &body) {
                return Err(HttpError::new(HttpErrorKind::Unknown, AnswerIsWebpage));
            }
            return Ok(HttpResponse::from_parts(head, body.into()));
        }
        // Of a failure the status is enough, and its beginning will do.
        let body = read(body, LARGEST_REFUSAL).await.ok().flatten();
        let answer = Answer {
            status: head.status,
            headers: head.headers,
            body: body.unwrap_or_default(),
        };
        let refusal = self.refusals.read(&answer, &secrets);
        Err(HttpError::new(HttpErrorKind::Unknown, refusal))
    }
}

/// Reads a body; `None` where it goes on after the limit.
async fn read(body: HttpResponseBody, limit: usize) -> Result<Option<Bytes>, HttpError> {
    let mut chunks = body.bytes_stream();
    let mut whole = BytesMut::new();
    while let Some(chunk) = chunks.try_next().await? {
        if whole.len() + chunk.len() > limit {
            return Ok(None);
        }
        whole.extend_from_slice(&chunk);
    }
    Ok(Some(whole.freeze()))
}

fn too_large() -> HttpError {
    HttpError::new(HttpErrorKind::Unknown, AnswerTooLarge)
}

impl<R: Refusals> HttpService for Wire<R> {
    fn call<'a, 'b>(
        &'a self,
        request: HttpRequest,
    ) -> BoxFuture<'b, Result<HttpResponse, HttpError>>
    where
        'a: 'b,
    {
        Box::pin(self.send(request))
    }
}

impl<R: Refusals> HttpConnector for Wire<R> {
    fn connect(&self, _options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

/// The cause of this type, if there is one among the causes.
pub(super) fn cause<T: StdError + 'static>(error: &Error) -> Option<&T> {
    let mut next = error.source();
    while let Some(cause) = next {
        if let Some(found) = cause.downcast_ref() {
            return Some(found);
        }
        next = cause.source();
    }
    None
}
