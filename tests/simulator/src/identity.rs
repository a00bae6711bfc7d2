//! The endpoint from which a Function App gets tokens for its managed identity.
//!
//! Azure returns the same token for hours. Here each request gets a new one.
//! <https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference>

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use chrono::Duration;
use serde_json::json;

use crate::issuer::Issuer;
use crate::server::{Counter, Fault, Faults, Server};

const HEADER: &str = "simulated-identity-header-5f4e3d2c1b0a";
const CORRELATION_ID: &str = "6f1d2c3b-0a9e-4d8c-8b7a-91c7e05a64d8";

/// An app's identity.
#[derive(Clone, Debug)]
pub struct Options {
    /// The issuer of its tokens.
    pub issuer: Issuer,
    /// The resources that it gets tokens for. A request may add a slash to one, which is then also
    /// in the token's audience.
    pub resources: Vec<&'static str>,
    /// The client id of a user-assigned identity, which requests must name; `None` for the
    /// system-assigned one, which they must not name.
    pub client_id: Option<&'static str>,
    /// The life of a token, in seconds.
    pub token_life: i64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            issuer: Issuer::default(),
            resources: vec![
                "https://storage.azure.com",
                "https://monitor.azure.com",
                "https://eventgrid.azure.net",
                "https://api.loganalytics.io",
                crate::aws::AUDIENCE,
            ],
            client_id: None,
            token_life: 86_400,
        }
    }
}

/// A simulated identity endpoint.
#[derive(Debug)]
pub struct ManagedIdentity {
    server: Server,
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    options: Options,
    requests: Counter,
    faults: Faults,
}

impl ManagedIdentity {
    /// An endpoint that returns tokens for one resource.
    pub async fn start(resource: &'static str) -> Self {
        Self::with(Options {
            resources: vec![resource],
            ..Options::default()
        })
        .await
    }

    /// An endpoint for an identity with these options.
    pub async fn with(options: Options) -> Self {
        let inner = Arc::new(Inner {
            options,
            requests: Counter::default(),
            faults: Faults::default(),
        });
        let router = Router::new()
            .route("/msi/token", get(token))
            .with_state(Arc::clone(&inner));
        Self {
            server: Server::start(router).await,
            inner,
        }
    }

    /// The environment that the platform gives to the program.
    pub fn environment(&self) -> Vec<(String, String)> {
        vec![
            (
                "IDENTITY_ENDPOINT".into(),
                format!("{}/msi/token", self.server.url()),
            ),
            ("IDENTITY_HEADER".into(), HEADER.into()),
        ]
    }

    /// Secrets that must not appear anywhere: the header, and the beginning of every token.
    pub fn secrets() -> Vec<String> {
        [vec![HEADER.into()], Issuer::secrets()].concat()
    }

    /// The number of requests for a token so far.
    pub fn requests(&self) -> u64 {
        self.inner.requests.get()
    }

    /// Applies these faults to the next requests, one to each: any, or [`not_found`], [`not_ready`]
    /// and [`failed`].
    pub fn fail(&self, faults: impl IntoIterator<Item = Fault>) {
        self.inner.faults.add(faults);
    }
}

/// The app does not have this identity, or not yet.
pub fn not_found() -> Fault {
    let message = "No User Assigned or Delegated Managed Identity found for specified \
                   ClientId/ResourceId/PrincipalId.";
    Fault::answer(400, &error(StatusCode::BAD_REQUEST, message))
}

/// The endpoint is up, but the service behind it is not yet.
pub fn not_ready() -> Fault {
    Fault::answer(503, "")
}

/// The endpoint could not get a token itself.
pub fn failed() -> Fault {
    let message = "An unexpected error occurred while fetching the AAD Token.";
    Fault::answer(500, &error(StatusCode::INTERNAL_SERVER_ERROR, message))
}

async fn token(
    State(identity): State<Arc<Inner>>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    identity.requests.count();
    if let Some(answer) = identity.faults.answer().await {
        return answer;
    }
    let options = &identity.options;
    let asked = |name: &str| query.get(name).map_or("", String::as_str);
    if headers
        .get("x-identity-header")
        .is_none_or(|it| it != HEADER)
    {
        return refuse(StatusCode::UNAUTHORIZED, "the identity header is wrong");
    }
    let resource = asked("resource");
    let is_known = |known: &&str| *known == resource.strip_suffix('/').unwrap_or(resource);
    if asked("api-version") != "2019-08-01" || !options.resources.iter().any(is_known) {
        return refuse(
            StatusCode::BAD_REQUEST,
            "the version or the resource is unknown",
        );
    }
    if query.get("client_id").map(String::as_str) != options.client_id {
        return not_found().respond().await;
    }
    let life = Duration::seconds(options.token_life);
    let (token, expires) = options.issuer.issue(resource, life);
    let mut body = json!({"access_token": token, "expires_on": expires.timestamp().to_string(),
                          "resource": resource, "token_type": "Bearer"});
    if let Some(client_id) = options.client_id {
        body["client_id"] = client_id.into();
    }
    (StatusCode::OK, body.to_string()).into_response()
}

fn refuse(status: StatusCode, message: &str) -> Response {
    (status, error(status, message)).into_response()
}

fn error(status: StatusCode, message: &str) -> String {
    let status = status.as_u16();
    json!({"statusCode": status, "message": message, "correlationId": CORRELATION_ID}).to_string()
}

#[cfg(test)]
mod tests {
    use reqwest::RequestBuilder;
    use serde_json::Value;

    use super::*;
    use crate::server::client;

    const CLIENT_ID: &str = "11111111-2222-4333-8444-555555555555";

    /// A request with a query.
    fn ask(identity: &ManagedIdentity, query: &str) -> RequestBuilder {
        let url = format!("{}/msi/token?api-version={query}", identity.server.url());
        client().get(url).header("X-IDENTITY-HEADER", HEADER)
    }

    async fn status(request: RequestBuilder) -> u16 {
        request.send().await.unwrap().status().as_u16()
    }

    #[tokio::test]
    async fn it_hands_out_tokens_for_its_resources_to_those_who_know_the_header() {
        let identity = ManagedIdentity::with(Options::default()).await;
        let query = "2019-08-01&resource=https://monitor.azure.com";
        let answer = ask(&identity, query).send().await.unwrap();
        let body: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        let token = body["access_token"].as_str().unwrap();
        let issuer = &identity.inner.options.issuer;
        assert_eq!(issuer.verify(token, "https://monitor.azure.com"), Ok(()));
        let expires: i64 = body["expires_on"].as_str().unwrap().parse().unwrap();
        let life = expires - chrono::Utc::now().timestamp();
        assert!((86_390..=86_400).contains(&life), "{life}");

        assert_eq!(status(ask(&identity, &format!("{query}/"))).await, 200);
        for query in [
            "2019-08-01&resource=https://vault.azure.net",
            "2017-09-01&resource=https://monitor.azure.com",
            "2019-08-01",
        ] {
            assert_eq!(status(ask(&identity, query)).await, 400, "{query}");
        }
        let mut stranger = ask(&identity, query).build().unwrap();
        stranger.headers_mut().remove("X-IDENTITY-HEADER");
        let answer = client().execute(stranger).await.unwrap();
        assert_eq!(answer.status(), 401);
        assert_eq!(identity.requests(), 6);
    }

    #[tokio::test]
    async fn an_identity_assigned_by_the_user_is_named_and_the_systems_is_not() {
        let query = "2019-08-01&resource=https://storage.azure.com";
        let named = format!("{query}&client_id={CLIENT_ID}");
        let system = ManagedIdentity::with(Options::default()).await;
        assert_eq!(status(ask(&system, &named)).await, 400);
        let users = ManagedIdentity::with(Options {
            client_id: Some(CLIENT_ID),
            ..Options::default()
        })
        .await;
        assert_eq!(status(ask(&users, &named)).await, 200);
        assert_eq!(status(ask(&users, query)).await, 400);
        users.fail([failed(), not_ready(), not_found()]);
        for expected in [500, 503, 400, 200] {
            assert_eq!(status(ask(&users, &named)).await, expected);
        }
    }
}
