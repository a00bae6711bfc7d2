//! Entra ID's token endpoint, for a program that runs outside Azure and has a client secret.
//!
//! <https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow>

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use chrono::{Duration, Utc};
use serde_json::json;

use crate::issuer::{Issuer, TENANT_ID};
use crate::server::{Counter, Fault, Faults, Server};

const CLIENT_ID: &str = "9d3c2b1a-4f5e-4a6b-8c7d-0e1f2a3b4c5d";
const CLIENT_SECRET: &str = "simulated~entra.secret-Zq8vT2mN4xW6yB1cD3fG5hJ7kL9p";
const RESOURCE: &str = "https://monitor.azure.com";
const TRACE_ID: &str = "255d1aef-8c98-452f-ac51-23d051240864";
const CORRELATION_ID: &str = "fb3d2015-bc17-4bb9-bb85-30c5cf1aaaa7";

/// How the endpoint behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// The issuer of the tokens.
    pub issuer: Issuer,
    /// The life of a token, in seconds.
    pub token_life: i64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            issuer: Issuer::default(),
            token_life: 3_599,
        }
    }
}

/// A simulated Entra ID with one tenant and one application, which gets tokens for Azure Monitor.
#[derive(Debug)]
pub struct EntraId {
    server: Server,
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    options: Options,
    requests: Counter,
    faults: Faults,
}

impl EntraId {
    /// Starts an endpoint with these options.
    pub async fn with(options: Options) -> Self {
        let inner = Arc::new(Inner {
            options,
            requests: Counter::default(),
            faults: Faults::default(),
        });
        let router = Router::new()
            .route("/{tenant}/oauth2/v2.0/token", post(token))
            .with_state(Arc::clone(&inner));
        Self {
            server: Server::start(router).await,
            inner,
        }
    }

    /// The app settings that make the program use this endpoint.
    pub fn settings(&self) -> Vec<(String, String)> {
        [
            ("AZURE_TENANT_ID", TENANT_ID.to_owned()),
            ("AZURE_CLIENT_ID", CLIENT_ID.to_owned()),
            ("AZURE_CLIENT_SECRET", CLIENT_SECRET.to_owned()),
            ("AZURE_AUTHORITY_HOST", self.server.url()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// Secrets that must not appear anywhere: the client secret, and the beginning of every token.
    pub fn secrets() -> Vec<String> {
        [vec![CLIENT_SECRET.into()], Issuer::secrets()].concat()
    }

    /// The number of requests for a token so far.
    pub fn requests(&self) -> u64 {
        self.inner.requests.get()
    }

    /// Applies these faults to the next requests, one to each.
    pub fn fail(&self, faults: impl IntoIterator<Item = Fault>) {
        self.inner.faults.add(faults);
    }
}

/// `POST /{tenant}/oauth2/v2.0/token` with a form
async fn token(
    State(entra): State<Arc<Inner>>,
    Path(tenant): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    entra.requests.count();
    if let Some(answer) = entra.faults.answer().await {
        return answer;
    }
    let audience = match verify(&tenant, &form(&headers, &body)) {
        Ok(audience) => audience,
        Err(refusal) => return refusal.into_response(),
    };
    let life = entra.options.token_life;
    let issuer = &entra.options.issuer;
    let (token, _) = issuer.issue(&audience, Duration::seconds(life));
    let body = json!({"token_type": "Bearer", "expires_in": life, "ext_expires_in": life,
                      "access_token": token});
    answer(StatusCode::OK, body.to_string())
}

/// The fields of the body; none if it is not a form.
pub(crate) fn form(headers: &HeaderMap, body: &[u8]) -> HashMap<String, String> {
    let is_form = headers.get("content-type").is_some_and(|it| {
        it.as_bytes()
            .starts_with(b"application/x-www-form-urlencoded")
    });
    if !is_form {
        return HashMap::new();
    }
    let form = reqwest::Url::parse(&format!("http://form/?{}", String::from_utf8_lossy(body)));
    form.map(|url| url.query_pairs().into_owned().collect())
        .unwrap_or_default()
}

/// The audience of the requested token, if the application may have it.
fn verify(tenant: &str, form: &HashMap<String, String>) -> Result<String, Refusal> {
    let field = |name: &str| {
        let value = form.get(name).filter(|value| !value.is_empty());
        value.map(String::as_str).ok_or_else(|| {
            let message = format!("The request body must contain the parameter '{name}'.");
            bad("invalid_request", 900_144, message)
        })
    };
    if tenant != TENANT_ID {
        let message = format!("Tenant '{tenant}' not found.");
        return Err(bad("invalid_request", 90_002, message));
    }
    let grant = field("grant_type")?;
    if grant != "client_credentials" {
        let message = format!("The app requested an unsupported grant type '{grant}'.");
        return Err(bad("unsupported_grant_type", 70_003, message));
    }
    let client = field("client_id")?;
    if client != CLIENT_ID {
        let message = format!("Application '{client}' was not found in the directory.");
        return Err(bad("unauthorized_client", 700_016, message));
    }
    let scope = field("scope")?;
    let Some(audience) = scope.strip_suffix("/.default") else {
        let message = format!("The provided value for scope {scope} is not valid.");
        return Err(bad("invalid_scope", 1_002_012, message));
    };
    if audience.strip_suffix('/').unwrap_or(audience) != RESOURCE {
        let message = format!("The resource principal named {audience} was not found.");
        return Err(bad("invalid_resource", 500_011, message));
    }
    if field("client_secret")? != CLIENT_SECRET {
        return Err(Refusal {
            status: StatusCode::UNAUTHORIZED,
            error: "invalid_client",
            code: 7_000_215,
            message: "Invalid client secret provided. It is the secret's value that is asked for, \
                      not its id."
                .into(),
        });
    }
    Ok(audience.to_owned())
}

struct Refusal {
    status: StatusCode,
    error: &'static str,
    /// The number after `AADSTS`.
    code: u32,
    message: String,
}

fn bad(error: &'static str, code: u32, message: String) -> Refusal {
    Refusal {
        status: StatusCode::BAD_REQUEST,
        error,
        code,
        message,
    }
}

impl Refusal {
    fn into_response(self) -> Response {
        let Self { code, message, .. } = &self;
        let timestamp = Utc::now().format("%Y-%m-%d %H:%M:%SZ").to_string();
        let description = format!(
            "AADSTS{code}: {message} Trace ID: {TRACE_ID} Correlation ID: {CORRELATION_ID} \
             Timestamp: {timestamp}"
        );
        let body = json!({
            "error": self.error, "error_description": description, "error_codes": [code],
            "timestamp": timestamp, "trace_id": TRACE_ID, "correlation_id": CORRELATION_ID,
            "error_uri": format!("https://login.microsoftonline.com/error?code={code}"),
        });
        answer(self.status, body.to_string())
    }
}

fn answer(status: StatusCode, body: String) -> Response {
    let json = [("content-type", "application/json; charset=utf-8")];
    (status, json, body).into_response()
}

#[cfg(test)]
mod tests {
    use reqwest::RequestBuilder;
    use serde_json::Value;

    use super::*;
    use crate::server::client;

    const GOOD: [(&str, &str); 4] = [
        ("grant_type", "client_credentials"),
        ("client_id", CLIENT_ID),
        ("client_secret", CLIENT_SECRET),
        ("scope", "https://monitor.azure.com/.default"),
    ];

    fn post(entra: &EntraId, tenant: &str) -> RequestBuilder {
        let url = entra.server.url();
        client().post(format!("{url}/{tenant}/oauth2/v2.0/token"))
    }

    async fn answer(request: RequestBuilder) -> (u16, Value) {
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let body = serde_json::from_str(&response.text().await.unwrap());
        (status, body.unwrap())
    }

    #[tokio::test]
    async fn the_secret_gets_a_token_for_azure_monitor() {
        let entra = EntraId::with(Options::default()).await;
        let (status, body) = answer(post(&entra, TENANT_ID).form(&GOOD)).await;
        assert_eq!((status, &body["expires_in"]), (200, &json!(3599)));
        let token = body["access_token"].as_str().unwrap();
        let issuer = &entra.inner.options.issuer;
        assert_eq!(issuer.verify(token, "https://monitor.azure.com"), Ok(()));
    }

    #[tokio::test]
    async fn whatever_is_wrong_has_a_number() {
        let entra = EntraId::with(Options::default()).await;
        for (name, value, status, error, code) in [
            ("client_secret", "x", 401, "invalid_client", 7_000_215),
            ("client_secret", "", 400, "invalid_request", 900_144),
            ("client_id", "x", 400, "unauthorized_client", 700_016),
            (
                "grant_type",
                "password",
                400,
                "unsupported_grant_type",
                70_003,
            ),
            (
                "scope",
                "https://monitor.azure.com",
                400,
                "invalid_scope",
                1_002_012,
            ),
            (
                "scope",
                "https://x.azure.com/.default",
                400,
                "invalid_resource",
                500_011,
            ),
        ] {
            let form = GOOD.map(|it| if it.0 == name { (name, value) } else { it });
            let (is, body) = answer(post(&entra, TENANT_ID).form(&form)).await;
            assert_eq!(
                (is, &body["error"]),
                (status, &json!(error)),
                "{name}={value}"
            );
            assert_eq!(body["error_codes"], json!([code]));
            let description = body["error_description"].as_str().unwrap();
            assert!(description.starts_with(&format!("AADSTS{code}: ")));
        }
        let (status, body) = answer(post(&entra, "elsewhere").form(&GOOD)).await;
        assert_eq!((status, &body["error_codes"]), (400, &json!([90_002])));
        let no_form = post(&entra, TENANT_ID).body("grant_type=client_credentials");
        assert_eq!(answer(no_form).await.1["error_codes"], json!([900_144]));
        assert_eq!(entra.requests(), 8);
    }
}
