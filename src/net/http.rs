//! The one way in which this program speaks HTTP to a service.
//!
//! Redirects are refused, because a credential goes only to the host it is for. Every request
//! ends: connecting, answering and reading the body share one time limit. An answer is read
//! whole, up to a limit, so that what follows needs no network.

use std::fmt;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use chrono::{DateTime, TimeDelta, Utc};
use reqwest::header::{CONTENT_ENCODING, DATE, HeaderMap, LOCATION, RETRY_AFTER};
use reqwest::{NoProxy, RequestBuilder, Response, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use url::{Host, Url};

use crate::net::retry::{Again, Deadline};

/// Time for a TCP connection and its TLS handshake.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Time in which nothing of an answer arrives.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// Time for a request and its whole answer.
const REQUEST_TIMEOUT: Duration = Duration::from_mins(1);
/// Bytes of an answer that are read: far above 100 records, far below what hurts the process.
const MAX_ANSWER: usize = 64 * 1024 * 1024;
/// Characters of an unexpected answer that an error quotes.
const EXCERPT: usize = 300;

/// A proxy for `https`, as the environment names it.
///
/// Plain `http` is never sent through one: it is used on this machine only, and is to stay there.
#[derive(Clone)]
pub struct Proxy(reqwest::Proxy);

impl Proxy {
    /// Reads `HTTPS_PROXY` and `NO_PROXY`.
    pub fn new(https_proxy: &str, no_proxy: Option<&str>) -> Result<Self, reqwest::Error> {
        let exceptions = no_proxy.and_then(NoProxy::from_string);
        Ok(Self(
            reqwest::Proxy::https(https_proxy)?.no_proxy(exceptions),
        ))
    }
}

/// Shows nothing: the address may hold a password.
impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Proxy")
    }
}

/// Builds the client that all requests share.
pub fn client(proxy: Option<&Proxy>) -> Result<reqwest::Client, reqwest::Error> {
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
        // Or it would read the environment.
        .no_proxy();
    if let Some(Proxy(proxy)) = proxy {
        client = client.proxy(proxy.clone());
    }
    client.build()
}

/// An answer, with its body.
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

/// A request that was not answered, or not whole.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// No connection was made, so that nothing was sent.
    #[error("cannot connect")]
    Connect(#[source] reqwest::Error),
    /// The request may have arrived; its answer did not, or not whole.
    #[error("no answer")]
    NoAnswer(#[source] reqwest::Error),
    /// The run's time was over before the answer came.
    #[error("no answer before the run's time was over")]
    OutOfTime,
    /// The answer is larger than any that this program can expect.
    #[error("the answer is over {MAX_ANSWER} bytes")]
    TooLarge,
    /// The answer is a success, but nothing that can be read.
    #[error("the answer is compressed ({0}), which was not asked for")]
    Compressed(String),
}

impl SendError {
    /// A request that may have arrived is sent again too: reading twice is harmless, and a
    /// duplicate is better than a loss.
    #[must_use]
    pub fn again(&self) -> Again {
        match self {
            Self::Connect(_) | Self::NoAnswer(_) => Again::Soon,
            Self::OutOfTime | Self::TooLarge | Self::Compressed(_) => Again::Never,
        }
    }
}

/// Sends a request and reads the whole answer, whatever its status.
pub async fn send(request: RequestBuilder, deadline: Deadline) -> Result<Answer, SendError> {
    let (answer, body_read) = bounded(request, deadline).await?;
    body_read?;
    match answer.encoding() {
        // Of a failure the status is enough.
        Some(encoding) if answer.status.is_success() => Err(SendError::Compressed(encoding)),
        _ => Ok(answer),
    }
}

/// Sends a request whose answer is the status, and the body no more than its explanation: where
/// the body breaks off, what came of it will do.
pub async fn send_for_status(
    request: RequestBuilder,
    deadline: Deadline,
) -> Result<Answer, SendError> {
    let (answer, _) = bounded(request, deadline).await?;
    Ok(answer)
}

/// An answer, and whether its body was read to its end.
type Exchanged = (Answer, Result<(), SendError>);

async fn bounded(request: RequestBuilder, deadline: Deadline) -> Result<Exchanged, SendError> {
    tokio::time::timeout_at(deadline.for_answers(), exchange(request))
        .await
        .unwrap_or(Err(SendError::OutOfTime))
}

async fn exchange(request: RequestBuilder) -> Result<Exchanged, SendError> {
    let mut response = request.send().await.map_err(classify)?;
    let mut body = BytesMut::new();
    let body_read = read_body(&mut response, &mut body).await;
    let answer = Answer {
        status: response.status(),
        headers: std::mem::take(response.headers_mut()),
        body: body.freeze(),
    };
    Ok((answer, body_read))
}

async fn read_body(response: &mut Response, body: &mut BytesMut) -> Result<(), SendError> {
    while let Some(chunk) = response.chunk().await.map_err(classify)? {
        if body.len() + chunk.len() > MAX_ANSWER {
            return Err(SendError::TooLarge);
        }
        body.extend_from_slice(&chunk);
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
    /// By how much this machine's clock is ahead of the service's, as its `Date` has it.
    #[must_use]
    pub fn skew(&self, now: DateTime<Utc>) -> Option<TimeDelta> {
        let date = DateTime::parse_from_rfc2822(self.header(DATE.as_str())?).ok()?;
        Some(now - date.with_timezone(&Utc))
    }

    /// A header's value, if it is there and is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// How the body is compressed, if it is.
    fn encoding(&self) -> Option<String> {
        let encoding = self.header(CONTENT_ENCODING.as_str())?.trim();
        let is_none = encoding.is_empty() || encoding.eq_ignore_ascii_case("identity");
        (!is_none).then(|| encoding.chars().take(EXCERPT).collect())
    }

    /// `Retry-After` in seconds. Its other form, a date, is not used by these services.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        let seconds = self.header(RETRY_AFTER.as_str())?.trim().parse().ok()?;
        Some(Duration::from_secs(seconds))
    }

    /// Whether a service that answers so may answer otherwise soon.
    #[must_use]
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

    /// Where a redirect points, without its query; `None` where the answer is none.
    #[must_use]
    pub fn redirect(&self) -> Option<String> {
        let location = self.header(LOCATION.as_str())?;
        let target = location.split(['?', '#']).next().unwrap_or_default();
        self.status
            .is_redirection()
            .then(|| target.chars().take(EXCERPT).collect())
    }

    /// The [`excerpt`] of the body.
    #[must_use]
    pub fn excerpt(&self, secrets: &[&SecretString]) -> String {
        excerpt(&String::from_utf8_lossy(&self.body), secrets)
    }
}

/// The beginning of what a service said on one line, for an error, with `secrets` blotted out: a
/// proxy may answer with the request it was sent.
#[must_use]
pub fn excerpt(said: &str, secrets: &[&SecretString]) -> String {
    let mut text = said.to_owned();
    for secret in secrets.iter().map(|secret| secret.expose_secret()) {
        if !secret.is_empty() {
            text = text.replace(secret, "***");
        }
    }
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    // A terminal would take some of these for commands.
    let line = line.replace(char::is_control, "\u{fffd}");
    if line.is_empty() {
        return "an empty body".to_owned();
    }
    match line.char_indices().nth(EXCERPT) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// Whether a credential may be sent there: over TLS, or not leaving this machine.
#[must_use]
pub fn is_secure(url: &Url) -> bool {
    match url.scheme() {
        "https" => true,
        "http" => is_loopback(url),
        _ => false,
    }
}

/// Whether the host is this machine.
#[must_use]
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(host)) => host == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use reqwest::header::HeaderValue;

    use super::*;

    fn answer(status: u16, headers: &[(&'static str, &str)], body: &'static str) -> Answer {
        Answer {
            status: StatusCode::from_u16(status).unwrap(),
            headers: headers
                .iter()
                .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
                .collect(),
            body: Bytes::from_static(body.as_bytes()),
        }
    }

    #[test]
    fn the_service_s_own_clock_is_read_from_its_answer() {
        let now = "2026-11-21T08:25:00Z".parse().unwrap();
        let dated = answer(403, &[("date", "Sat, 21 Nov 2026 08:00:00 GMT")], "");
        assert_eq!(dated.skew(now), Some(TimeDelta::minutes(25)));
        for answer in [answer(403, &[], ""), answer(403, &[("date", "now")], "")] {
            assert_eq!(answer.skew(now), None);
        }
    }

    #[test]
    fn only_statuses_that_pass_are_tried_again() {
        for status in [408, 429, 500, 502, 503, 504] {
            assert_eq!(answer(status, &[], "").again(), Again::Soon, "{status}");
        }
        for status in [200, 302, 400, 401, 403, 404, 413] {
            assert_eq!(answer(status, &[], "").again(), Again::Never, "{status}");
        }
    }

    #[test]
    fn the_wait_that_the_service_names_is_taken() {
        let busy = answer(429, &[("retry-after", " 7 ")], "");
        assert_eq!(busy.again(), Again::NotBefore(Duration::from_secs(7)));
        let unreadable = answer(429, &[("retry-after", "soon")], "");
        assert_eq!(unreadable.again(), Again::Soon);
    }

    #[test]
    fn an_excerpt_is_one_short_line_without_secrets() {
        let secret = SecretString::from("hunter2");
        let echo = answer(400, &[], "<html>\n\n  client_secret=hunter2\r\n</html>");
        assert_eq!(echo.excerpt(&[&secret]), "<html> client_secret=*** </html>");
        let long = Answer {
            body: Bytes::from("é".repeat(301)),
            ..answer(400, &[], "")
        };
        assert_eq!(long.excerpt(&[]), format!("{}…", "é".repeat(300)));
    }

    #[test]
    fn an_excerpt_shows_what_is_no_text_as_such_and_says_when_there_is_nothing() {
        let binary = answer(400, &[], "\u{1f}\u{8b}\u{1b}[31m");
        assert_eq!(binary.excerpt(&[]), "\u{fffd}\u{fffd}\u{fffd}[31m");
        assert_eq!(answer(500, &[], " \n").excerpt(&[]), "an empty body");
    }

    #[test]
    fn a_compressed_answer_is_told_from_a_plain_one() {
        let encoding = |value| answer(200, &[("content-encoding", value)], "").encoding();
        assert_eq!(encoding("gzip").as_deref(), Some("gzip"));
        assert_eq!(encoding("identity"), None);
        assert_eq!(answer(200, &[], "").encoding(), None);
    }

    #[test]
    fn a_redirect_is_named_without_its_query() {
        let moved = answer(302, &[("location", "https://elsewhere/login?state=s")], "");
        assert_eq!(moved.redirect().unwrap(), "https://elsewhere/login");
        assert_eq!(
            answer(200, &[("location", "https://x/")], "").redirect(),
            None
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_wait_is_the_number_that_the_header_holds_or_none(
            value in prop_oneof![
                "[ +-]?[0-9]{1,25} ?".prop_map(String::into_bytes),
                any::<Vec<u8>>(),
            ],
        ) {
            let Ok(header) = HeaderValue::from_bytes(&value) else {
                return Ok(());
            };
            let mut busy = answer(429, &[], "");
            busy.headers.insert(RETRY_AFTER, header);
            let text = String::from_utf8_lossy(&value);
            let number = text.trim().trim_start_matches('+').parse::<u64>().ok();
            prop_assert_eq!(busy.retry_after().map(|it| it.as_secs()), number);
        }

        #[test]
        fn an_excerpt_of_anything_is_one_short_line(body in any::<Vec<u8>>()) {
            let answer = Answer {
                body: body.into(),
                ..answer(400, &[], "")
            };
            let excerpt = answer.excerpt(&[]);
            prop_assert!(!excerpt.is_empty() && excerpt.chars().count() <= EXCERPT + 1);
            prop_assert!(!excerpt.contains(char::is_control));
        }
    }
}
