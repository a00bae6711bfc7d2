//! What `object_store` and the account exchange, and what of it may go further.
//!
//! `object_store` puts the whole body of a failure into its errors, and reads a success to whatever
//! end it has. So it gets neither: a failure reaches it as a [`Refusal`], and a success is read
//! here, up to a limit.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::TryStreamExt as _;
use futures_util::future::BoxFuture;
use object_store::client::{
    ClientOptions, HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse,
    HttpResponseBody, HttpService,
};
use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH};
use secrecy::SecretString;

use super::refusal::Refusal;
use super::tokens::Tokens;
use crate::net::http::Answer;
use crate::storage::LARGEST;

/// Bytes of a failure that are read: an error of Azure has some hundred.
const LARGEST_REFUSAL: usize = 64 * 1024;

/// This program's own HTTP client, with its time-outs and without redirects.
#[derive(Clone, Debug)]
pub(super) struct Wire {
    http: HttpClient,
    tokens: Option<Arc<Tokens>>,
}

/// An answer that is larger than any object of this program.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the answer is too large")]
pub(super) struct AnswerTooLarge;

impl Wire {
    pub(super) fn new(client: reqwest::Client, tokens: Option<Arc<Tokens>>) -> Self {
        Self {
            http: HttpClient::new(client),
            tokens,
        }
    }

    /// Sends a request; an answer is a success with its whole body.
    pub(super) async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let secrets = Secrets::of(&request);
        let (head, body) = self.http.execute(request).await?.into_parts();
        if head.status.is_success() {
            let told = head.headers.get(CONTENT_LENGTH);
            let told = told.and_then(|it| it.to_str().ok()?.parse::<usize>().ok());
            let body = match told {
                Some(length) if length > LARGEST => return Err(too_large()),
                _ => read(body, LARGEST).await?.ok_or_else(too_large)?,
            };
            return Ok(HttpResponse::from_parts(head, body.into()));
        }
        // Of a failure the status is enough, and its beginning will do.
        let body = read(body, LARGEST_REFUSAL).await.ok().flatten();
        let answer = Answer {
            status: head.status,
            headers: head.headers,
            body: body.unwrap_or_default(),
        };
        let mut refusal = Refusal::read(&answer, &secrets.all());
        if let (Some(tokens), Some(token)) = (&self.tokens, &secrets.token)
            && refusal.is_about_credential()
        {
            refusal = refusal.with_again(tokens.refuse(token));
        }
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

/// What opens the account, as a request carries it.
struct Secrets {
    token: Option<SecretString>,
    signatures: Vec<SecretString>,
}

impl Secrets {
    fn of(request: &HttpRequest) -> Self {
        let authorization = request.headers().get(AUTHORIZATION);
        let authorization = authorization.and_then(|it| it.to_str().ok());
        let (scheme, value) = authorization
            .and_then(|it| it.split_once(' '))
            .unwrap_or_default();
        let mut signatures = Vec::new();
        if let Some((_, signature)) = value.split_once(':') {
            signatures.push(signature.into());
        }
        let query = request.uri().query().unwrap_or_default();
        for pair in query.split('&') {
            // As it is sent, and as whoever reads it decodes it, once or as a form.
            if let Some(signature) = pair.strip_prefix("sig=") {
                signatures.push(signature.into());
                let decoded = url::form_urlencoded::parse(pair.as_bytes()).next();
                let decoded = decoded.map(|(_, value)| value.into_owned());
                signatures.extend(decoded.map(SecretString::from));
            }
        }
        Self {
            token: (scheme == "Bearer").then(|| value.into()),
            signatures,
        }
    }

    fn all(&self) -> Vec<&SecretString> {
        self.token.iter().chain(&self.signatures).collect()
    }
}

impl HttpService for Wire {
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

impl HttpConnector for Wire {
    fn connect(&self, _options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}
