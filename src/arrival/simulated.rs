//! A workspace to query, for tests.

use axum::Router;
use axum::http::StatusCode;
use axum::routing::{get, post};
use tokio::net::TcpListener;

use super::workspace;
use crate::azure::cloud;
use crate::azure::log_query::LogQuery;
use crate::clock::Clock;
use crate::net::http;
use crate::net::retry::Jitter;
use crate::settings::{AppSettings, Reader, SettingsError};

/// The address of a workspace that answers each query this way.
pub(super) async fn serve(
    answer: impl Fn(String) -> (StatusCode, String) + Clone + Send + Sync + 'static,
) -> String {
    let token = || async { r#"{"access_token":"token","expires_on":"4102444800"}"# };
    let answer = move |question: String| async move { answer(question) };
    let router = Router::new()
        .route("/msi/token", get(token))
        .route("/v1/workspaces/{workspace}/query", post(answer));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

/// A client for the workspace at this address.
pub(super) fn query(address: &str, clock: &Clock) -> Result<LogQuery, SettingsError> {
    let token = format!("{address}/msi/token");
    let settings = [
        ("WorkspaceID", "01234567-89ab-cdef-0123-456789abcdef"),
        ("LOG_ANALYTICS_QUERY_URI", address),
        ("IDENTITY_ENDPOINT", &token),
        ("IDENTITY_HEADER", "header"),
    ];
    let settings: AppSettings = settings.into_iter().collect();
    let (http, cloud) = (http::client(None).unwrap(), &cloud::PUBLIC);
    let workspace = Reader::read(&settings, |it| {
        workspace(it, "ARRIVAL", cloud, &http, clock)
    });
    workspace.map(|it| it.query(&http, &Jitter::seeded(1)))
}
