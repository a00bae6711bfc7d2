//! The two ingestion APIs of Log Analytics, for benchmarks. They accept every post, keep only its
//! ids, and count those. Invalid posts are found by [`Workspace`](crate::Workspace) and
//! [`DataCollectionRule`](crate::DataCollectionRule) instead.

use std::io::Read as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use flate2::read::MultiGzDecoder;
use memchr::memmem;
use serde_json::json;

use crate::server::Server;
use crate::workspace::WORKSPACE_ID;

/// The text before an id in a row, and how it goes on for each API.
const NAME: &str = r#""log_id"#;
const BEFORE_ID: [&str; 2] = [r#"":""#, r#"_s":""#];
/// Digits of an id, and how many at its end tell apart records of the same time.
const DIGITS: usize = 56;
const SERIAL: usize = 20;

/// A destination that only counts.
#[derive(Debug)]
pub struct Tally {
    server: Server,
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    latency: Duration,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    posts: usize,
    bytes: usize,
    /// Compressed posts, which are read only when the count is asked for.
    compressed: Vec<Bytes>,
    ids: Vec<u64>,
}

/// What has arrived so far.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Count {
    /// The number of posts.
    pub posts: usize,
    /// Bytes of the posts as they were sent.
    pub bytes: usize,
    /// The number of rows.
    pub rows: usize,
    /// Rows whose id had arrived before.
    pub duplicates: usize,
}

impl Tally {
    /// A destination that takes `latency` to answer a post.
    pub async fn start(latency: Duration) -> Self {
        let inner = Arc::new(Inner {
            latency,
            seen: Mutex::default(),
        });
        let router = Router::new()
            .route("/api/logs", post(collect))
            .route("/dataCollectionRules/{rule}/streams/{stream}", post(ingest))
            .route("/msi/token", get(token))
            .layer(DefaultBodyLimit::disable())
            .with_state(Arc::clone(&inner));
        Self {
            server: Server::start(router).await,
            inner,
        }
    }

    /// The app settings that make the program use both APIs.
    pub fn settings(&self) -> Vec<(String, String)> {
        let url = self.server.url();
        [
            ("WorkspaceID", WORKSPACE_ID.to_owned()),
            ("WorkspaceKey", "c2ltdWxhdGVk".to_owned()),
            ("logAnalyticsUri", url.clone()),
            ("DCR_ENDPOINT", url.clone()),
            ("DCR_IMMUTABLE_ID", format!("dcr-{}", "0".repeat(32))),
            ("IDENTITY_ENDPOINT", format!("{url}/msi/token")),
            ("IDENTITY_HEADER", "simulated-identity-header".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// The address of both APIs.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// What has arrived so far.
    pub fn count(&self) -> Count {
        let mut seen = self
            .inner
            .seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for post in std::mem::take(&mut seen.compressed) {
            let mut json = Vec::new();
            let read = MultiGzDecoder::new(&*post).read_to_end(&mut json);
            read.expect("the post is compressed with gzip");
            seen.ids.extend(ids(&json));
        }
        let rows = seen.ids.len();
        let mut distinct = seen.ids.clone();
        distinct.sort_unstable();
        distinct.dedup();
        Count {
            posts: seen.posts,
            bytes: seen.bytes,
            rows,
            duplicates: rows - distinct.len(),
        }
    }
}

impl Inner {
    async fn take(&self, body: Bytes, headers: &HeaderMap) {
        if !self.latency.is_zero() {
            tokio::time::sleep(self.latency).await;
        }
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.posts += 1;
        seen.bytes += body.len();
        if headers.contains_key("content-encoding") {
            seen.compressed.push(body);
        } else {
            seen.ids.extend(ids(&body));
        }
    }
}

/// The serial parts of the ids in a post.
fn ids(post: &[u8]) -> impl Iterator<Item = u64> + '_ {
    let places = memmem::find_iter(post, NAME);
    places.filter_map(|at| {
        let rest = &post[at + NAME.len()..];
        let id = BEFORE_ID
            .iter()
            .find_map(|it| rest.strip_prefix(it.as_bytes()))?;
        let serial = id.get(DIGITS - SERIAL..DIGITS)?;
        std::str::from_utf8(serial).ok()?.parse().ok()
    })
}

/// `POST /api/logs`
async fn collect(State(inner): State<Arc<Inner>>, headers: HeaderMap, body: Bytes) -> Response {
    inner.take(body, &headers).await;
    StatusCode::OK.into_response()
}

/// `POST /dataCollectionRules/{rule}/streams/{stream}`
async fn ingest(State(inner): State<Arc<Inner>>, headers: HeaderMap, body: Bytes) -> Response {
    inner.take(body, &headers).await;
    StatusCode::NO_CONTENT.into_response()
}

/// `GET /msi/token`
async fn token() -> Response {
    let token = json!({"access_token": "simulated-token", "expires_on": "4102444800",
                       "resource": "https://monitor.azure.com", "token_type": "Bearer"});
    axum::Json(token).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn rows_are_counted_and_those_that_come_again_are_told() {
        let tally = Tally::start(Duration::ZERO).await;
        for name in ["log_id", "log_id_s"] {
            let row = |number: u64| {
                format!(r#"{{"{name}":"900{number:053}","x":"{{\"log_id\":\"9\"}}"}}"#)
            };
            let post = format!("[{},{},{}]", row(1), row(2), row(1));
            tally.inner.take(post.into(), &HeaderMap::new()).await;
        }
        let count = tally.count();
        assert_eq!((count.posts, count.rows, count.duplicates), (2, 6, 4));
    }
}
