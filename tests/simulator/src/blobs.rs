//! A container of a blob service that holds an archive, as far as an archive uses it.
//!
//! It exists for faults on demand. How a storage account treats signatures, leases and missing
//! containers is tested with Azurite.
//! <https://learn.microsoft.com/rest/api/storageservices/put-blob>

use std::collections::BTreeMap;
use std::io::Read as _;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use chrono::Utc;
use flate2::read::GzDecoder;
use serde_json::{Value, json};

use crate::arrivals::Arrivals;
use crate::server::Server;

const ACCOUNT: &str = "simulated";
const CONTAINER: &str = "logs";
const KEY: &str = "c2ltdWxhdGVkLWFjY291bnQta2V5LTAxMjM0NTY3ODk=";
const LARGEST: usize = 64 * 1024 * 1024;
/// The table from which tests read what arrived.
const TABLE: &str = "Auth0AM_CL";

/// A simulated container. Its blobs cannot be overwritten.
#[derive(Debug)]
pub struct Blobs {
    server: Server,
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    blobs: Mutex<BTreeMap<String, Bytes>>,
    arrivals: Arrivals,
}

/// Every destination has [`Arrivals`], so tests read and disturb all of them in the same way.
impl Deref for Blobs {
    type Target = Arrivals;

    fn deref(&self) -> &Arrivals {
        &self.inner.arrivals
    }
}

impl Blobs {
    /// An empty container.
    pub async fn start() -> Self {
        let inner = Arc::<Inner>::default();
        let path = format!("/{ACCOUNT}/{CONTAINER}/{{*blob}}");
        let container = format!("/{ACCOUNT}/{CONTAINER}");
        let router = Router::new()
            .route(&path, put(write).get(read))
            .route(&container, get(list))
            .with_state(Arc::clone(&inner));
        Self {
            server: Server::start(router).await,
            inner,
        }
    }

    /// The app settings that make this container the archive.
    pub fn settings(&self) -> Vec<(String, String)> {
        let service = format!("{}/{ACCOUNT}", self.server.url());
        let opened = format!("BlobEndpoint={service};AccountName={ACCOUNT};AccountKey={KEY}");
        [
            ("ARCHIVE_URL", format!("{service}/{CONTAINER}/auth0")),
            ("ARCHIVE_CONNECTION_STRING", opened),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// Secrets that must not appear anywhere.
    pub fn secrets() -> Vec<String> {
        vec![KEY.to_owned()]
    }

    /// The names of all blobs.
    pub fn names(&self) -> Vec<String> {
        self.inner.blobs().keys().cloned().collect()
    }
}

impl Inner {
    fn blobs(&self) -> MutexGuard<'_, BTreeMap<String, Bytes>> {
        self.blobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn store(&self, name: String, headers: &HeaderMap, content: Bytes) -> Response {
        let is = |name: &str, value: &str| headers.get(name).is_some_and(|it| it == value);
        if !is("x-ms-blob-type", "BlockBlob") || !headers.contains_key("authorization") {
            return refuse(StatusCode::BAD_REQUEST, "InvalidHeaderValue");
        }
        let mut blobs = self.blobs();
        if blobs.contains_key(&name) || !is("if-none-match", "*") {
            return refuse(StatusCode::CONFLICT, "BlobAlreadyExists");
        }
        if name.ends_with(".ndjson.gz") {
            let mut lines = String::new();
            if GzDecoder::new(&*content)
                .read_to_string(&mut lines)
                .is_err()
            {
                return refuse(StatusCode::BAD_REQUEST, "InvalidBlob");
            }
            let mut tables = self.arrivals.tables();
            let table = tables.entry(TABLE.to_owned()).or_default();
            for line in lines.lines() {
                let record: Value = serde_json::from_str(line).unwrap_or_default();
                let id = record["log_id"].clone();
                let row = [
                    ("log_id_s".to_owned(), id),
                    ("object".to_owned(), json!(name)),
                    ("record".to_owned(), record),
                ];
                table.push(row.into(), None, Utc::now());
            }
            self.arrivals.accepted(lines.len());
        }
        blobs.insert(name, content);
        (StatusCode::CREATED, [("etag", "\"1\"")]).into_response()
    }
}

async fn write(
    State(inner): State<Arc<Inner>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let Ok(content) = to_bytes(body, LARGEST).await else {
        return refuse(StatusCode::PAYLOAD_TOO_LARGE, "RequestBodyTooLarge");
    };
    let post = content.clone();
    let answer = || inner.store(name, &headers, content);
    inner.arrivals.answer(&post, answer).await
}

async fn read(State(inner): State<Arc<Inner>>, Path(name): Path<String>) -> Response {
    let blobs = inner.blobs();
    let Some(content) = blobs.get(&name) else {
        return refuse(StatusCode::NOT_FOUND, "BlobNotFound");
    };
    let headers = [
        ("etag", "\"1\""),
        ("last-modified", "Sat, 21 Nov 2026 08:00:00 GMT"),
    ];
    (headers, content.clone()).into_response()
}

/// `GET ?restype=container&comp=list&prefix=…`
async fn list(
    State(inner): State<Arc<Inner>>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Response {
    let prefix = query.get("prefix").map_or("", String::as_str);
    let blobs = inner.blobs();
    let found = blobs.iter().filter(|(name, _)| name.starts_with(prefix));
    let found: Vec<_> = found
        .map(|(name, content)| {
            format!(
                "<Blob><Name>{name}</Name><Properties>\
                 <Last-Modified>Sat, 21 Nov 2026 08:00:00 GMT</Last-Modified>\
                 <Content-Length>{}</Content-Length>\
                 <Content-Type>application/octet-stream</Content-Type>\
                 <Etag>1</Etag></Properties></Blob>",
                content.len()
            )
        })
        .collect();
    let found = found.concat();
    let body = format!(
        "<?xml version=\"1.0\"?><EnumerationResults><Blobs>{found}</Blobs><NextMarker/>\
         </EnumerationResults>"
    );
    ([("content-type", "application/xml")], body).into_response()
}

fn refuse(status: StatusCode, code: &'static str) -> Response {
    let body = format!("<Error><Code>{code}</Code><Message>It is refused.</Message></Error>");
    (status, [("x-ms-error-code", code)], body).into_response()
}
