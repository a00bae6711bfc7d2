//! The connection to the program: its port, and how a request is sent to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use hyper::ext::ReasonPhrase;
use reqwest::header::CONTENT_TYPE;

use super::answer::{Answer, judge};
use super::invocation::Invocation;
use super::process::Transcript;
use crate::server::client;

/// Bytes of a body in each chunk.
const PIECE: usize = 16 * 1024;
const VERSION: &str = "4.1037.0.0";

/// The response to an invocation.
#[derive(Clone, Debug, Default)]
pub struct Received {
    /// The status.
    pub status: u16,
    /// The reason phrase after the status.
    pub reason: String,
    /// The content type, if there is one.
    pub content_type: Option<String>,
    /// The body.
    pub body: Bytes,
}

/// A program that answers the host.
pub(super) struct Handler {
    http: reqwest::Client,
    url: String,
    transcript: Transcript,
}

impl Handler {
    /// The program at this address. Every answer is added to the transcript.
    pub fn at(url: String, transcript: Transcript) -> Self {
        Self {
            http: client(),
            url,
            transcript,
        }
    }

    /// The host and the port.
    pub fn address(&self) -> &str {
        self.url.trim_start_matches("http://")
    }

    /// Posts an invocation, and returns the response.
    pub async fn send(&self, function: &str, invocation: &Invocation) -> reqwest::Result<Received> {
        // A stream has no length, so the request is chunked, as it is from the host.
        let body = Bytes::from(invocation.body.clone());
        let sent = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&sent);
        let pieces = (0..body.len()).step_by(PIECE).map({
            let body = body.clone();
            move |from| {
                let piece = body.slice(from..body.len().min(from + PIECE));
                counter.fetch_add(piece.len(), Ordering::Relaxed);
                std::io::Result::Ok(piece)
            }
        });
        let mut request = self
            .http
            .post(format!("{}/{function}", self.url))
            .header("user-agent", format!("Azure-Functions-Host/{VERSION}"))
            .header("x-azure-functions-hostversion", VERSION)
            .header("x-azure-functions-invocationid", &invocation.id)
            .header(CONTENT_TYPE, "application/json; charset=utf-8");
        if let Some(trace_parent) = &invocation.trace_parent {
            request = request.header("traceparent", trace_parent);
        }
        let response = request
            .body(reqwest::Body::wrap_stream(futures_util::stream::iter(
                pieces,
            )))
            .send()
            .await?;
        let content_type = response.headers().get(CONTENT_TYPE);
        let content_type = content_type.and_then(|it| it.to_str().ok()).map(Into::into);
        let status = response.status();
        let phrase = response.extensions().get::<ReasonPhrase>();
        let reason = match phrase {
            Some(phrase) => String::from_utf8_lossy(phrase.as_bytes()).into_owned(),
            None => status.canonical_reason().unwrap_or_default().to_owned(),
        };
        let status = status.as_u16();
        self.transcript.add(&reason);
        let sent = sent.load(Ordering::Relaxed);
        assert_eq!(
            sent,
            body.len(),
            "answered {status} before the body was read"
        );
        let body = response.bytes().await?;
        self.transcript.add(&String::from_utf8_lossy(&body));
        Ok(Received {
            status,
            reason,
            content_type,
            body,
        })
    }

    /// Posts an invocation of a function with these output bindings, and judges the answer.
    pub async fn invoke(
        &self,
        function: &str,
        invocation: &Invocation,
        outputs: &[&str],
    ) -> Result<Answer, String> {
        match self.send(function, invocation).await {
            Ok(received) => judge(&received, outputs),
            Err(error) => Err(format!("the program did not answer: {error}")),
        }
    }

    /// Sends the host's probe, `GET /`.
    pub async fn probe(&self) -> reqwest::Result<u16> {
        let response = self.http.get(&self.url).send().await?;
        Ok(response.status().as_u16())
    }
}
