//! The endpoint from which a Function App gets tokens for its managed identity.
//!
//! The tokens are unsigned, which Azurite takes and Azure would not.
//! <https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference>

use std::collections::HashMap;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::{Duration, Utc};
use serde_json::{Value, json};

use crate::server::Server;

const HEADER: &str = "simulated-identity-header-5f4e3d2c1b0a";

/// A simulated identity endpoint.
#[derive(Debug)]
pub struct ManagedIdentity {
    server: Server,
}

impl ManagedIdentity {
    /// An endpoint that hands out tokens for one resource.
    pub async fn start(resource: &'static str) -> Self {
        let router = Router::new()
            .route("/msi/token", get(token))
            .with_state(resource);
        Self {
            server: Server::start(router).await,
        }
    }

    /// What the platform puts into the program's environment.
    pub fn environment(&self) -> Vec<(String, String)> {
        vec![
            (
                "IDENTITY_ENDPOINT".into(),
                format!("{}/msi/token", self.server.url()),
            ),
            ("IDENTITY_HEADER".into(), HEADER.into()),
        ]
    }

    /// What must not appear anywhere: the header, and the beginning of every token.
    pub fn secrets() -> Vec<String> {
        let beginning = BASE64_URL_SAFE_NO_PAD.encode(json!({"alg": "none"}).to_string());
        vec![HEADER.into(), beginning]
    }
}

async fn token(
    State(resource): State<&'static str>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    let asked = |name: &str| query.get(name).map_or("", String::as_str);
    if headers
        .get("x-identity-header")
        .is_none_or(|it| it != HEADER)
    {
        return refuse(StatusCode::UNAUTHORIZED, "the identity header is wrong");
    }
    if (asked("api-version"), asked("resource")) != ("2019-08-01", resource) {
        return refuse(
            StatusCode::BAD_REQUEST,
            "the version or the resource is unknown",
        );
    }
    let now = Utc::now();
    let expires = now + Duration::hours(24);
    let claims = json!({
        "aud": resource, "iss": "https://sts.windows.net/ab1f708d-50f6-404c-a006-d71b2ac7a606/",
        "iat": now.timestamp(), "nbf": now.timestamp(), "exp": expires.timestamp(),
    });
    let part = |value: Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let token = format!(
        "{}.{}.{}",
        part(json!({"alg": "none"})),
        part(claims),
        "c2ln"
    );
    let body = json!({"access_token": token, "expires_on": expires.timestamp().to_string(),
                      "resource": resource, "token_type": "Bearer"});
    (StatusCode::OK, body.to_string()).into_response()
}

fn refuse(status: StatusCode, message: &str) -> Response {
    (
        status,
        json!({"statusCode": status.as_u16(), "message": message}).to_string(),
    )
        .into_response()
}
