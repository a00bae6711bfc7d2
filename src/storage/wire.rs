//! The HTTP exchange between `object_store` and a service, filtered.
//!
//! `object_store` puts the whole body of a failure into its errors, and reads the body of a success
//! without a limit. So this module reads both. A failure is passed on as the error that the
//! service's [`Refusals`] makes of it, and a success is read up to a limit.

use std::error::Error as StdError;

use bytes::{Bytes, BytesMut};
use futures_util::TryStreamExt as _;
use futures_util::future::BoxFuture;
use object_store::Error;
use object_store::client::{
    ClientOptions, HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse,
    HttpResponseBody, HttpService,
};
use reqwest::header::CONTENT_LENGTH;
use reqwest::{Method, StatusCode};

use super::LARGEST;
use super::foreign::{self, Tags};
use crate::net::http::{Answer, is_webpage};

/// Maximum bytes of a failure's body. A storage service's errors have some hundred.
const LARGEST_REFUSAL: usize = 64 * 1024;

/// Interprets a service's unsuccessful responses, and knows what its successes look like.
pub(super) trait Refusals: Clone + std::fmt::Debug + Send + Sync + 'static {
    /// A refusal. None of its text repeats a secret.
    type Refusal: StdError + Send + Sync + 'static;
    /// The credentials in a request.
    type Secrets: Send + Sync;

    fn secrets(&self, request: &HttpRequest) -> Self::Secrets;

    fn read(&self, answer: &Answer, secrets: &Self::Secrets) -> Self::Refusal;

    /// How a list is written, if this query asks for one.
    fn list(&self, query: &str) -> Option<Tags>;

    /// Whether the body of a success can be what was asked for with this query.
    fn is_answer(&self, _query: &str, _body: &[u8]) -> bool {
        true
    }
}

/// This program's own HTTP client, with its timeouts and without redirects.
#[derive(Clone, Debug)]
pub(super) struct Wire<R> {
    http: HttpClient,
    refusals: R,
}

/// A response that is larger than any object of this program.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the answer is too large")]
pub(super) struct AnswerTooLarge;

/// A web page in response to a write or a removal, which both have an empty response.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("it answered with a page, as a proxy may in its place")]
pub(super) struct AnswerIsWebpage;

/// Another success than those of a write, which both services answer with 200 or 201.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("it answered {0} to a write, as a proxy may in its place")]
pub(super) struct AnswerIsNoWrite(StatusCode);

/// Something else in response to a request for a list, a part of a list, or a list without an end.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("it did not answer with a whole list; a proxy may answer in its place")]
pub(super) struct AnswerIsNoList;

impl<R: Refusals> Wire<R> {
    pub(super) fn new(client: reqwest::Client, refusals: R) -> Self {
        Self {
            http: HttpClient::new(client),
            refusals,
        }
    }

    /// Sends a request. Returns a success with its whole body.
    pub(super) async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let secrets = self.refusals.secrets(&request);
        let is_write = *request.method() == Method::PUT;
        let is_change = is_write || *request.method() == Method::DELETE;
        let query = request.uri().query().unwrap_or_default().to_owned();
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
            let is_written = matches!(head.status, StatusCode::OK | StatusCode::CREATED);
            if is_write && !is_written {
                let source = AnswerIsNoWrite(head.status);
                return Err(HttpError::new(HttpErrorKind::Unknown, source));
            }
            if goes_nowhere(&query, &body) || !self.refusals.is_answer(&query, &body) {
                return Err(HttpError::new(HttpErrorKind::Unknown, AnswerIsNoList));
            }
            let body = match self.refusals.list(&query) {
                Some(tags) => foreign::left_out(&body, tags),
                None => body,
            };
            return Ok(HttpResponse::from_parts(head, body.into()));
        }
        // A failure's status is enough: a body that is unreadable or too long counts as empty.
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

/// Whether this is a page of a list that goes on where it began: the next one would be the same.
fn goes_nowhere(query: &str, body: &[u8]) -> bool {
    let mut parameters = url::form_urlencoded::parse(query.as_bytes());
    parameters.any(|(name, begin)| {
        let next = match &*name {
            "continuation-token" => "NextContinuationToken",
            "marker" => "NextMarker",
            _ => return false,
        };
        let next = format!("<{next}>{}</{next}>", quick_xml::escape::escape(&*begin));
        memchr::memmem::find(body, next.as_bytes()).is_some()
    })
}

/// Reads a body; `None` if it is longer than the limit.
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

/// The first cause of this type, if there is one.
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
