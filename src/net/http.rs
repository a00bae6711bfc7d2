//! The one way in which this program speaks HTTP to a service.
//!
//! Redirects are refused, because a credential goes only to the host it is for. Every request ends:
//! connecting, waiting and reading the body share one timeout. An answer is read whole, up to a
//! size limit, so that later steps need no network.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use chrono::{DateTime, TimeDelta, Utc};
use reqwest::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, DATE, HeaderMap, LOCATION, RETRY_AFTER,
};
use reqwest::{NoProxy, RequestBuilder, Response, StatusCode};
use secrecy::SecretString;
use serde_json::{Map, Value};
use tokio::time::{Instant, timeout_at};
use url::{Host, Url};

pub(crate) use self::excerpt::{excerpt, repeats};
pub(crate) use self::folded::folded;
use crate::net::retry::{Again, Deadline, Failure};

mod decode;
mod excerpt;
mod folded;

/// Time for a TCP connection and its TLS handshake.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest time in which nothing of an answer arrives.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// Time for a request and its whole answer.
const REQUEST_TIMEOUT: Duration = Duration::from_mins(1);
/// The size limit, in bytes, of an answer with a single record, or with brief ones.
pub(crate) const MAX_PAGE: usize = 64 * 1024 * 1024;
/// The size limit, in bytes, of any other answer: a token, an acknowledgement, an error.
const MAX_ANSWER: usize = 64 * 1024;
/// The most bytes allocated before an answer is read: the common size of a page.
const LIKELY: usize = 1024 * 1024;
/// A clock skew that may be the reason of a refusal. Services allow for 5 or 15 minutes.
const WORTH_TELLING: TimeDelta = TimeDelta::minutes(10);
/// The encodings that an error names. Any other is not quoted, since its text may be anything.
const ENCODINGS: [&str; 6] = ["br", "compress", "deflate", "gzip", "x-gzip", "zstd"];

/// A proxy for `https`, as the environment names it.
///
/// Plain `http` never goes through a proxy: it is used on this machine only, and must not leave it.
#[derive(Clone)]
pub(crate) struct Proxy(reqwest::Proxy);

impl Proxy {
    /// Reads `HTTPS_PROXY` and `NO_PROXY`; `None` if the first is not the address of an HTTP proxy.
    /// With another scheme, requests would silently bypass the proxy.
    pub fn new(https_proxy: &str, no_proxy: Option<&str>) -> Option<Self> {
        let scheme = https_proxy.split_once("://").map(|(scheme, _)| scheme);
        let is_http = |it: &str| {
            ["http", "https"]
                .iter()
                .any(|http| it.eq_ignore_ascii_case(http))
        };
        if !scheme.is_none_or(is_http) {
            return None;
        }
        let exceptions = no_proxy.and_then(NoProxy::from_string);
        let proxy = reqwest::Proxy::https(https_proxy).ok()?;
        Some(Self(proxy.no_proxy(exceptions)))
    }
}

/// Shows nothing: the address may hold a password.
impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Proxy")
    }
}

/// Builds the client that all requests share.
pub(crate) fn client(proxy: Option<&Proxy>) -> Result<reqwest::Client, ClientError> {
    // Fails only if a provider is installed already, and that one will do.
    let _ = rustls::crypto::ring::default_provider().install_default();
    #[allow(
        clippy::disallowed_methods,
        reason = "the one place that sets redirects and time-outs"
    )]
    let mut client = reqwest::Client::builder()
        .user_agent(concat!("auth0-poller/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
        .timeout(REQUEST_TIMEOUT)
        // Otherwise the client would read the environment itself.
        .no_proxy();
    if let Some(Proxy(proxy)) = proxy {
        client = client.proxy(proxy.clone());
    }
    client.build().map_err(ClientError)
}

/// The client was not built.
#[derive(Debug, thiserror::Error)]
#[error(
    "making the HTTP client; check that the certificates that this machine trusts are in /etc/ssl/certs, \
     or where SSL_CERT_FILE says, and can be read"
)]
pub(crate) struct ClientError(#[source] reqwest::Error);

/// An answer, with its body.
pub(crate) struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// The members of a JSON answer, in any case, of which one that says something names an error. The
/// last two are those of gateways.
const ERROR_MEMBERS: [&str; 4] = ["error", "errors", "message", "fault"];

/// Why a request has no usable answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    /// No connection was made, so that nothing was sent.
    #[error("cannot connect")]
    Connect(#[source] reqwest::Error),
    /// The request may have arrived; its answer did not, or not whole.
    #[error("no answer")]
    NoAnswer(#[source] reqwest::Error),
    /// The run's time was over before the answer came.
    #[error("no answer before the run's time was over")]
    OutOfTime,
    /// The answer is a success, but larger than this size limit in bytes.
    #[error("the answer is over {0} bytes")]
    TooLarge(usize),
    /// The answer is a success, but in this encoding, which is not read.
    #[error("the answer is compressed ({0}), which was not asked for")]
    Compressed(&'static str),
}

impl SendError {
    /// Whether time ran out: a smaller answer may come in time.
    pub fn is_time_out(&self) -> bool {
        match self {
            Self::NoAnswer(error) => error.is_timeout(),
            Self::OutOfTime => true,
            Self::Connect(_) | Self::TooLarge(_) | Self::Compressed(_) => false,
        }
    }

    /// How the request failed. If the connection ended without an answer, the service may have crashed
    /// over the request, or something on the way may block it. The latter may also send a success that
    /// is none of the service's.
    pub fn failure(&self) -> Failure {
        match self {
            _ if self.is_time_out() => Failure::Late,
            Self::Connect(_) => Failure::Other,
            _ => Failure::Internal,
        }
    }

    /// A request that may have arrived is retried too: reading twice is harmless, and a duplicate
    /// is better than a loss.
    pub fn again(&self) -> Again {
        match self {
            Self::Connect(_) | Self::NoAnswer(_) => Again::Soon,
            Self::OutOfTime | Self::TooLarge(_) | Self::Compressed(_) => Again::Never,
        }
    }
}

/// Sends a request and reads the whole answer, which has to be a small one, whatever its status. Of
/// an error only the beginning is read: the status says most of it.
pub(crate) async fn send(request: RequestBuilder, deadline: Deadline) -> Result<Answer, SendError> {
    send_for_at_most(MAX_ANSWER, request, deadline).await
}

/// Like [`send`], but a success may have up to `limit` bytes.
pub(crate) async fn send_for_at_most(
    limit: usize,
    request: RequestBuilder,
    deadline: Deadline,
) -> Result<Answer, SendError> {
    let (answer, body_read) = bounded(request, limit, deadline).await?;
    if !answer.status.is_success() {
        return Ok(answer);
    }
    body_read?;
    match answer.encoding() {
        Some(encoding) => Err(SendError::Compressed(encoding)),
        None => Ok(answer),
    }
}

/// Sends a request of which the status matters, and the body only explains it. A body that breaks
/// off or is too long is kept as far as it was read.
pub(crate) async fn send_for_status(
    request: RequestBuilder,
    deadline: Deadline,
) -> Result<Answer, SendError> {
    let (answer, _) = bounded(request, MAX_ANSWER, deadline).await?;
    Ok(answer)
}

/// An answer, and whether its body was read to its end.
type Exchanged = (Answer, Result<(), SendError>);

async fn bounded(
    request: RequestBuilder,
    limit: usize,
    deadline: Deadline,
) -> Result<Exchanged, SendError> {
    let until = deadline.for_answers();
    let response = timeout_at(until, request.send()).await;
    let response = response.map_err(|_| SendError::OutOfTime)?;
    Ok(read(response.map_err(classify)?, limit, until).await)
}

/// Reads up to `limit` bytes of an answer, but no more than [`MAX_ANSWER`] of an error.
async fn read(mut response: Response, limit: usize, until: Instant) -> Exchanged {
    let status = response.status();
    let limit = if status.is_success() {
        limit
    } else {
        limit.min(MAX_ANSWER)
    };
    // The announced length is trusted up to the limit only.
    let told = response.content_length().unwrap_or(0);
    let told = usize::try_from(told).unwrap_or(usize::MAX).min(limit);
    let mut body = BytesMut::with_capacity(told.min(LIKELY));
    // What has arrived by then is kept: the status may be all that the caller needs.
    let body_read = timeout_at(until, read_body(&mut response, &mut body, limit)).await;
    let body_read = body_read.unwrap_or(Err(SendError::OutOfTime));
    let answer = Answer {
        status,
        headers: std::mem::take(response.headers_mut()),
        body: body.freeze(),
    };
    (answer, body_read)
}

async fn read_body(
    response: &mut Response,
    body: &mut BytesMut,
    limit: usize,
) -> Result<(), SendError> {
    while let Some(chunk) = response.chunk().await.map_err(classify)? {
        let room = limit - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if chunk.len() > room {
            return Err(SendError::TooLarge(limit));
        }
    }
    Ok(())
}

fn classify(error: reqwest::Error) -> SendError {
    let error = error.without_url();
    if error.is_connect() {
        SendError::Connect(error)
    } else {
        SendError::NoAnswer(error)
    }
}

impl Answer {
    /// By how much this machine's clock is ahead of the service's, by the header `Date`.
    pub fn skew(&self, now: DateTime<Utc>) -> Option<TimeDelta> {
        let date = DateTime::parse_from_rfc2822(self.header(DATE.as_str())?).ok()?;
        Some(now - date.with_timezone(&Utc))
    }

    /// A header's value, if it is there and is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// How the body is compressed, if it is.
    fn encoding(&self) -> Option<&'static str> {
        let encoding = self.headers.get(CONTENT_ENCODING)?;
        let encoding = encoding.to_str().unwrap_or("?").trim();
        let is_none = encoding.is_empty() || encoding.eq_ignore_ascii_case("identity");
        let is_known = |it: &&&str| it.eq_ignore_ascii_case(encoding);
        let known = || ENCODINGS.iter().find(is_known).copied();
        (!is_none).then(|| known().unwrap_or("in a way of its own"))
    }

    /// The wait in `Retry-After`: seconds, or a date, which counts from the service's own `Date`.
    pub fn retry_after(&self) -> Option<Duration> {
        let told = self.header(RETRY_AFTER.as_str())?.trim();
        if let Ok(seconds) = told.parse() {
            return Some(Duration::from_secs(seconds));
        }
        let until = DateTime::parse_from_rfc2822(told).ok()?;
        self.skew(until.to_utc())?.to_std().ok()
    }

    /// Whether a retry may get another answer.
    pub fn again(&self) -> Again {
        let passing = self.status.is_server_error()
            || self.status == StatusCode::TOO_MANY_REQUESTS
            || self.status == StatusCode::REQUEST_TIMEOUT;
        match self.retry_after() {
            _ if !passing => Again::Never,
            Some(wait) => Again::NotBefore(wait),
            None => Again::Soon,
        }
    }

    /// Whether the answer is a web page: see [`is_webpage`].
    pub fn is_webpage(&self) -> bool {
        is_webpage(&self.headers, &self.body)
    }

    /// Whether something on the way blocks the request, instead of the service that refuses it: then what
    /// is in the request may be the cause.
    pub fn is_blocked(&self) -> bool {
        self.status == StatusCode::FORBIDDEN && self.is_webpage()
    }

    /// Whether the body names an error, whatever the status: a service, or something in its place,
    /// may report an error in no other way.
    pub fn names_error(&self) -> bool {
        let is_one = |it: &Value| match it {
            Value::Null | Value::Bool(false) => false,
            Value::String(text) => !text.is_empty(),
            Value::Array(list) => !list.is_empty(),
            _ => true,
        };
        let names = |name: &str| ERROR_MEMBERS.iter().any(|it| name.eq_ignore_ascii_case(it));
        serde_json::from_slice::<Map<String, Value>>(&self.body)
            .is_ok_and(|members| members.iter().any(|(name, it)| names(name) && is_one(it)))
    }

    /// Where a redirect points, without its query and without `secrets`; `None` if the answer is no
    /// redirect.
    pub fn redirect(&self, secrets: &[&SecretString]) -> Option<String> {
        self.target().map(|target| excerpt(&target, secrets))
    }

    fn target(&self) -> Option<String> {
        let location = String::from_utf8_lossy(self.headers.get(LOCATION)?.as_bytes());
        let target = location.split(['?', '#']).next().unwrap_or_default();
        self.status.is_redirection().then(|| target.to_owned())
    }

    /// The body, or where a redirect points.
    pub fn text(&self) -> Cow<'_, str> {
        match self.target() {
            Some(target) => format!("it redirects to {target}, which is not followed").into(),
            None => String::from_utf8_lossy(&self.body),
        }
    }

    /// An [`excerpt()`] of [`text`](Self::text).
    pub fn excerpt(&self, secrets: &[&SecretString]) -> String {
        excerpt(&self.text(), secrets)
    }
}

/// What the status of an answer that is no acknowledgement says of how the request failed. 408 is also
/// what a gateway says of a body that comes too slowly. 503 says only that a service is overloaded, and
/// the other exceptions have a meaning of their own. A redirect, or a success that acknowledges nothing,
/// comes from something on the way, which may block the request.
pub(crate) fn failure(status: StatusCode) -> Failure {
    match status.as_u16() {
        408 => Failure::Late,
        400 | 401 | 404 | 407 | 413 | 429 | 503 => Failure::Other,
        _ => Failure::Internal,
    }
}

/// Whether an answer is a web page, as a proxy may send it in place of a service that answers with
/// nothing or with JSON. The body shows it, or the headers if the body is compressed, not in UTF-8,
/// or was not read.
pub(crate) fn is_webpage(headers: &HeaderMap, body: &[u8]) -> bool {
    let text = body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body);
    let header = |name| headers.get(name).map_or("", |it| it.to_str().unwrap_or(""));
    let length = header(CONTENT_LENGTH).parse().unwrap_or(0);
    let kind = header(CONTENT_TYPE).to_ascii_lowercase();
    let is_html = ["text/html", "application/xhtml"]
        .iter()
        .any(|it| kind.trim_start().starts_with(it));
    text.trim_ascii_start().first() == Some(&b'<') || is_html && body.len().max(length) > 0
}

/// A note on this machine's clock, to follow other advice; empty if the skew is small or unknown.
pub(crate) fn clock_problem(skew: Option<TimeDelta>) -> String {
    match skew {
        Some(skew) if skew.abs() >= WORTH_TELLING => {
            let side = if skew > TimeDelta::zero() {
                "ahead of"
            } else {
                "behind"
            };
            let minutes = skew.num_minutes().abs();
            format!("; this machine's clock is {minutes} minutes {side} the service's")
        }
        _ => String::new(),
    }
}

/// Whether a credential may be sent to this URL: over TLS, or within this machine.
pub(crate) fn is_secure(url: &Url) -> bool {
    match url.scheme() {
        "https" => true,
        "http" => is_loopback(url),
        _ => false,
    }
}

/// Whether the host is this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(host)) => host == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests;
