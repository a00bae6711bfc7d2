//! Tokens of Microsoft Entra ID, by which Azure services recognise this program.
//!
//! Two kinds of principal can get them: the managed identity of a Function App, from the platform's
//! own endpoint and without any secret of ours, and outside Azure an application with a client
//! secret. This is written by hand because it takes only two requests: `azure_identity` would add
//! 36 crates, among them an HTTP pipeline with timeouts and retries of its own.
//!
//! <https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference>
//! and <https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow>

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::{RequestBuilder, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::time::Instant;
use url::Url;

use crate::clock::Clock;
use crate::net::http::{self, Answer, SendError};
use crate::net::retry::{Again, Deadline, Transient};
use crate::net::token::{self, AccessToken, TokenCache};

/// The API version of the platform's endpoint.
const ENDPOINT_VERSION: &str = "2019-08-01";

/// How the errors of Entra ID begin, which the platform passes on in several forms. It uses 400 for some
/// of them, and also for an identity that is not there.
const ENTRA_ID: &str = "AADSTS";
/// What such an error holds if the tenant does not know what the token is for.
const UNKNOWN_SERVICE: [&str; 3] = ["AADSTS500011:", "AADSTS50001:", "invalid_resource"];

/// The identity of this program.
#[derive(Clone, Debug)]
pub(crate) enum Principal {
    /// The managed identity that the platform gives to a Function App.
    Managed {
        /// `IDENTITY_ENDPOINT`
        endpoint: Url,
        /// `IDENTITY_HEADER`, which proves that the request comes from the app.
        header: SecretString,
        /// The client id of a user-assigned identity; the system-assigned one otherwise.
        client_id: Option<String>,
    },
    /// An application that is registered in a tenant of Entra ID.
    Application {
        /// Where its cloud issues tokens.
        authority: Url,
        /// The tenant of Entra ID: a GUID or a domain.
        tenant: String,
        /// The application's id.
        client_id: String,
        /// Its secret.
        client_secret: SecretString,
    },
}

/// A principal and the service that it needs tokens for.
pub(crate) struct Identity {
    http: reqwest::Client,
    principal: Principal,
    resource: String,
    clock: Clock,
    cache: TokenCache,
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IdentityError {
    /// The request failed, or its answer was not read.
    #[error("{host}, which issues tokens for {resource}, cannot be reached")]
    Send {
        host: String,
        resource: String,
        source: SendError,
    },
    /// The platform knows no such identity.
    #[error(
        "the platform has no identity for this app ({said}); turn the Function App's \
         system-assigned identity on, or correct the client id of the user-assigned one, and \
         restart the app"
    )]
    NoIdentity { said: String },
    /// The identity is there, and its tenant of Entra ID does not know what the token is for.
    #[error(
        "the tenant of the app's identity knows no service {resource} ({said}); check that it is in \
         the same cloud as the app, and the setting that names it"
    )]
    UnknownService { resource: String, said: String },
    /// The identity is there, and Entra ID refuses it a token.
    #[error("Entra ID refuses the app's identity a token for {resource}: {said}")]
    RefusedByEntraId { resource: String, said: String },
    /// The platform refuses a token, perhaps because the identity is new.
    #[error(
        "the platform refuses the app's identity a token for {resource} ({status}: {said}); an \
         identity that was turned on just now is ready some minutes later"
    )]
    NotReady {
        resource: String,
        status: StatusCode,
        said: String,
        again: Again,
    },
    /// Entra ID refuses the application a token: it may not know the application, or not by this secret.
    #[error("{host} refuses the application a token for {resource} ({status}: {said}){hint}")]
    Refused {
        host: String,
        resource: String,
        status: StatusCode,
        said: String,
        hint: &'static str,
        again: Again,
    },
    /// A success without a token in it.
    #[error("{host} answered the request for a token with something else: {bytes} bytes")]
    NoToken {
        host: String,
        /// The answer is not quoted: it may hold a token in a form that was not understood.
        bytes: usize,
    },
}

impl Transient for IdentityError {
    fn again(&self) -> Again {
        match self {
            Self::Send { source, .. } => source.again(),
            Self::NotReady { again, .. } | Self::Refused { again, .. } => *again,
            Self::NoIdentity { .. }
            | Self::UnknownService { .. }
            | Self::RefusedByEntraId { .. }
            | Self::NoToken { .. } => Again::Never,
        }
    }
}

#[derive(Serialize)]
struct ManagedQuery<'a> {
    resource: &'a str,
    #[serde(rename = "api-version")]
    version: &'static str,
    client_id: Option<&'a str>,
}

#[derive(Serialize)]
struct ApplicationForm<'a> {
    grant_type: &'static str,
    client_id: &'a str,
    client_secret: &'a str,
    scope: String,
}

#[derive(Deserialize)]
struct Granted {
    access_token: SecretString,
    /// Seconds, from Entra ID.
    expires_in: Option<Box<RawValue>>,
    /// Seconds since 1970, from the platform.
    expires_on: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct Denied {
    error_description: String,
    #[serde(default)]
    error_codes: Vec<u32>,
}

impl Identity {
    /// A principal that needs tokens for the service known as `resource`.
    pub fn new(
        http: reqwest::Client,
        principal: Principal,
        resource: impl Into<String>,
        clock: Clock,
    ) -> Self {
        Self {
            http,
            principal,
            resource: resource.into(),
            clock,
            cache: TokenCache::default(),
        }
    }

    /// What the tokens are for.
    pub fn resource(&self) -> &str {
        &self.resource
    }

    /// The current token, or a new one if there is none or the current one expires soon. Makes one
    /// attempt, and waits no longer for another caller's than for its own.
    pub async fn token(&self, deadline: Deadline) -> Result<SecretString, IdentityError> {
        let token = self.cache.get(self.request(deadline));
        match tokio::time::timeout_at(deadline.for_answers(), token).await {
            Ok(token) => Ok(token?.value),
            Err(_) => Err(self.unsent(self.host(), SendError::OutOfTime)),
        }
    }

    /// Calls `send` with a token. Returns the answer and the token that it was sent with. A refused
    /// token is replaced once.
    pub async fn with_token<E, Sent>(
        &self,
        deadline: Deadline,
        is_refused: impl Fn(&Answer) -> bool,
        send: impl Fn(SecretString) -> Sent,
    ) -> Result<(Answer, SecretString), E>
    where
        E: From<Box<IdentityError>>,
        Sent: Future<Output = Result<Answer, E>>,
    {
        let token = self.token(deadline).await.map_err(Box::new)?;
        let answer = send(token.clone()).await?;
        if !is_refused(&answer) {
            return Ok((answer, token));
        }
        self.forget(&token).await;
        let token = self.token(deadline).await.map_err(Box::new)?;
        let answer = send(token.clone()).await?;
        Ok((answer, token))
    }

    /// Forgets a token that the service refused.
    pub async fn forget(&self, refused: &SecretString) {
        self.cache.forget(refused).await;
    }

    async fn request(&self, deadline: Deadline) -> Result<AccessToken, IdentityError> {
        let asked_at = Instant::now();
        let (url, request) = self.prepare();
        let host = url.authority().to_owned();
        match http::send(request, deadline).await {
            Ok(answer) => self.judge(host, &answer, asked_at),
            Err(source) => Err(self.unsent(host, source)),
        }
    }

    fn judge(
        &self,
        host: String,
        answer: &Answer,
        asked_at: Instant,
    ) -> Result<AccessToken, IdentityError> {
        // Whatever the success is called: its body, which may hold a token, is never quoted.
        if !answer.status.is_success() {
            return Err(self.refusal(host, answer));
        }
        let granted = serde_json::from_slice(&answer.body).ok();
        let granted = granted.filter(|it: &Granted| token::is_bearer(&it.access_token));
        let Some(granted) = granted else {
            let bytes = answer.body.len();
            return Err(IdentityError::NoToken { host, bytes });
        };
        let life = granted.life((self.clock)());
        Ok(AccessToken::new(
            granted.access_token,
            String::new(),
            asked_at,
            life,
        ))
    }

    fn host(&self) -> String {
        let (Principal::Managed { endpoint: url, .. }
        | Principal::Application { authority: url, .. }) = &self.principal;
        url.authority().to_owned()
    }

    fn unsent(&self, host: String, source: SendError) -> IdentityError {
        IdentityError::Send {
            host,
            resource: self.resource.clone(),
            source,
        }
    }

    fn prepare(&self) -> (Url, RequestBuilder) {
        match &self.principal {
            Principal::Managed {
                endpoint,
                header,
                client_id,
            } => {
                let query = ManagedQuery {
                    resource: &self.resource,
                    version: ENDPOINT_VERSION,
                    client_id: client_id.as_deref(),
                };
                let request = self.http.get(endpoint.clone()).query(&query);
                let request = request.header("x-identity-header", header.expose_secret());
                (endpoint.clone(), request)
            }
            Principal::Application {
                authority,
                tenant,
                client_id,
                client_secret,
            } => {
                let mut url = authority.clone();
                url.set_path(&format!("{tenant}/oauth2/v2.0/token"));
                let form = ApplicationForm {
                    grant_type: "client_credentials",
                    client_id,
                    client_secret: client_secret.expose_secret(),
                    scope: format!("{}/.default", self.resource),
                };
                let request = self.http.post(url.clone()).form(&form);
                (url, request)
            }
        }
    }

    fn refusal(&self, host: String, answer: &Answer) -> IdentityError {
        let resource = self.resource.clone();
        let status = answer.status;
        let again = answer.again();
        match &self.principal {
            Principal::Managed { header, .. } => {
                let said = answer.excerpt(&[header]);
                let body = String::from_utf8_lossy(&answer.body);
                if UNKNOWN_SERVICE.iter().any(|it| body.contains(it)) {
                    return IdentityError::UnknownService { resource, said };
                }
                if status == StatusCode::BAD_REQUEST {
                    // Entra ID answers only to an identity that is there.
                    return if body.contains(ENTRA_ID) {
                        IdentityError::RefusedByEntraId { resource, said }
                    } else {
                        IdentityError::NoIdentity { said }
                    };
                }
                IdentityError::NotReady {
                    resource,
                    status,
                    said,
                    again,
                }
            }
            Principal::Application { client_secret, .. } => {
                let denied: Option<Denied> = serde_json::from_slice(&answer.body).ok();
                let hint = denied.as_ref().map_or("", |it| hint(&it.error_codes));
                let said = denied.map_or_else(
                    || answer.excerpt(&[client_secret]),
                    |it| http::excerpt(first_sentence(&it.error_description), &[client_secret]),
                );
                IdentityError::Refused {
                    host,
                    resource,
                    status,
                    said,
                    hint,
                    again,
                }
            }
        }
    }
}

impl Granted {
    fn life(&self, now: DateTime<Utc>) -> Option<Duration> {
        let seconds = |it: &Option<Box<RawValue>>| token::seconds(it.as_deref()?);
        if let Some(life) = seconds(&self.expires_in) {
            return Some(life);
        }
        let end = i64::try_from(seconds(&self.expires_on)?.as_secs()).ok()?;
        let left = end.saturating_sub(now.timestamp());
        Some(Duration::from_secs(u64::try_from(left).unwrap_or_default()))
    }
}

/// Whether an answer refuses the token by its status, as most services do.
pub(crate) fn is_unauthorized(answer: &Answer) -> bool {
    answer.status == StatusCode::UNAUTHORIZED
}

/// What to do about an error of Entra ID.
///
/// <https://learn.microsoft.com/entra/identity-platform/reference-error-codes>
fn hint(codes: &[u32]) -> &'static str {
    match codes {
        [7_000_215 | 7_000_222, ..] => {
            "; check AZURE_CLIENT_SECRET: it is the secret's value, not its id, and it may have \
             expired"
        }
        [700_016, ..] => "; check AZURE_CLIENT_ID, and that AZURE_TENANT_ID is its tenant",
        [90_002 | 900_021 | 900_023, ..] => {
            "; check AZURE_TENANT_ID, which has to be a tenant of the service's cloud"
        }
        [90_038 | 900_382 | 900_432, ..] => {
            "; check that AZURE_TENANT_ID is a tenant of the service's cloud, and that \
             AZURE_AUTHORITY_HOST is blank or of that cloud"
        }
        [50_001 | 500_011, ..] => {
            "; check that AZURE_TENANT_ID is a tenant of the service's cloud, and the setting that \
             names the service"
        }
        _ => "",
    }
}

/// The first sentence: trace ids and times follow it.
fn first_sentence(description: &str) -> &str {
    let end = description
        .find(". ")
        .map_or(description.len(), |at| at + 1);
    description[..end].lines().next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use reqwest::header::HeaderMap;

    use super::*;

    fn granted(json: &str) -> Granted {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_token_s_life_is_told_in_seconds_or_by_its_end() {
        let now = DateTime::from_timestamp(1_795_000_000, 0).unwrap();
        let life = |json| granted(json).life(now).map(|it| it.as_secs());
        let platform = r#"{"access_token":"t","expires_on":"1795086400","resource":"r"}"#;
        assert_eq!(life(platform), Some(86_400));
        assert_eq!(
            life(r#"{"access_token":"t","expires_in":3599}"#),
            Some(3_599)
        );
        assert_eq!(
            life(r#"{"access_token":"t","expires_in":"3599"}"#),
            Some(3_599)
        );
        // Expired by this machine's clock, which may be wrong.
        assert_eq!(life(r#"{"access_token":"t","expires_on":"1"}"#), Some(0));
        assert_eq!(life(r#"{"access_token":"t","expires_on":"soon"}"#), None);
        assert_eq!(life(r#"{"access_token":"t"}"#), None);
    }

    #[tokio::test]
    async fn a_token_that_comes_with_another_success_is_taken_and_never_quoted() {
        let managed = Principal::Managed {
            endpoint: Url::parse("http://localhost:8081/msi/token").unwrap(),
            header: "header".into(),
            client_id: None,
        };
        let application = Principal::Application {
            authority: Url::parse("https://login.microsoftonline.com").unwrap(),
            tenant: "tenant".to_owned(),
            client_id: "id".to_owned(),
            client_secret: "client-secret-7h3".into(),
        };
        let clock: Clock = Arc::new(|| "2026-11-21T08:00:00Z".parse().unwrap());
        let body = r#"{"access_token":"token-1234567","expires_in":3599}"#;
        for principal in [managed, application] {
            let http = http::client(None).unwrap();
            let identity = Identity::new(http, principal, "https://x", clock.clone());
            for status in [200, 201, 202, 203, 206, 299] {
                let judge = |body: &str| {
                    let answer = Answer {
                        status: StatusCode::from_u16(status).unwrap(),
                        headers: HeaderMap::new(),
                        body: Bytes::copy_from_slice(body.as_bytes()),
                    };
                    identity.judge("host".to_owned(), &answer, Instant::now())
                };
                let token = judge(body).unwrap();
                assert_eq!(token.value.expose_secret(), "token-1234567", "{status}");
                // What is not understood may hold a token all the same.
                let error = judge(&format!("{body};")).unwrap_err().to_string();
                assert!(error.ends_with("with something else: 51 bytes"), "{error}");
            }
        }
    }

    #[test]
    fn of_a_long_description_the_first_sentence_is_told() {
        let description = "AADSTS7000215: Invalid client secret provided. Ensure the secret being \
                           sent is the value.\r\nTrace ID: 0e3e";
        assert_eq!(
            first_sentence(description),
            "AADSTS7000215: Invalid client secret provided."
        );
        assert_eq!(first_sentence("AADSTS1: No\r\nTrace"), "AADSTS1: No");
        assert_eq!(first_sentence(""), "");
    }
}
