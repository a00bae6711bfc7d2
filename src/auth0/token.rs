//! The access token for the Management API, from the client credentials grant.
//!
//! Every exchange leaves an event in the tenant's own log, so all readers of the tenant share one token.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use chrono::{Datelike as _, TimeDelta};
use reqwest::StatusCode;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::time::Instant;
use url::Url;

use super::rate_limit::{Closed, Permit, RateLimit};
use crate::clock::Clock;
use crate::clock::to_seconds;
use crate::net::http::{self, Answer, SendError};
use crate::net::retry::{Again, Deadline, Transient};
use crate::net::token::{self, AccessToken, TokenCache, is_bearer};

/// Advice for when the tenant issues no more tokens.
const QUOTA: &str = "the next run after that goes on; if it stays, see in the Auth0 dashboard which \
                     applications use up the tenant's quota of tokens and limits of its \
                     Authentication API";

/// What a token request is made from.
#[derive(Clone, Debug)]
pub(crate) struct Credentials {
    /// `CLIENT_ID`
    pub client_id: String,
    /// `CLIENT_SECRET`
    pub client_secret: SecretString,
    /// The Management API's identifier.
    pub audience: String,
}

/// Hands out the tenant's access token.
pub(crate) struct TokenSource {
    http: reqwest::Client,
    url: Url,
    credentials: Credentials,
    rate_limit: RateLimit,
    clock: Clock,
    cache: TokenCache,
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenError {
    /// The request failed, or its answer was not read.
    #[error("cannot get a token from {host}; check DOMAIN, and that this machine reaches it")]
    Send { host: String, source: SendError },
    /// No request was made: the wait after an earlier 429 is not over.
    #[error("{host} issues no token: {wait}; {QUOTA}")]
    ResetTooLate {
        host: String,
        /// How long, and until when.
        wait: Closed,
    },
    /// 429: the tenant issues no more tokens for now.
    #[error("{host} issues no token{until} ({said}); {QUOTA}")]
    TooMany {
        host: String,
        /// ` before <time>`, or empty if the answer names no time.
        until: String,
        said: String,
        /// When to try again.
        again: Again,
    },
    /// 401: unknown application, wrong secret, or a secret sent by the wrong authentication method.
    #[error(
        "{host} refused the application ({said}); check CLIENT_ID and CLIENT_SECRET, that DOMAIN is \
         the tenant they belong to, and that the authentication method in the Credentials tab of \
         the application is Client Secret (Post)"
    )]
    Refused { host: String, said: String },
    /// 403: the application may not use the API, or no API has this identifier.
    #[error(
        "{host} refuses this application a token for the Management API ({said}); in the Auth0 \
         dashboard authorize the application for the Auth0 Management API with the permission \
         read:logs, and check AUDIENCE, now {audience} (with a custom domain it names the \
         tenant's own domain and ends with /api/v2/)"
    )]
    NoGrant {
        host: String,
        said: String,
        /// The requested audience.
        audience: String,
    },
    /// The application may not use client credentials, as one for browsers may not.
    #[error(
        "{host} lets this application have no token by client credentials ({said}); in the Auth0 \
         dashboard use an application of the type Machine to Machine, or allow this one the grant \
         type Client Credentials in its advanced settings"
    )]
    NoGrantType { host: String, said: String },
    /// 404: this is no Auth0 tenant.
    #[error("{host} has no token endpoint (404); check DOMAIN")]
    NotFound { host: String },
    /// A redirect, which would take the secret to another address.
    #[error("{host} redirects to {location}, which is not followed; check DOMAIN")]
    Redirected { host: String, location: String },
    /// Any other answer.
    #[error("{host} answered {status} to the request for a token: {said}")]
    Status {
        host: String,
        status: StatusCode,
        said: String,
        again: Again,
    },
    /// A success without a token in it.
    #[error("{host} answered the request for a token with something else: {said}")]
    NoToken { host: String, said: String },
}

impl Transient for TokenError {
    fn again(&self) -> Again {
        match self {
            Self::Send { source, .. } => source.again(),
            Self::TooMany { again, .. } | Self::Status { again, .. } => *again,
            Self::ResetTooLate { .. }
            | Self::Refused { .. }
            | Self::NoGrant { .. }
            | Self::NoGrantType { .. }
            | Self::NotFound { .. }
            | Self::Redirected { .. }
            | Self::NoToken { .. } => Again::Never,
        }
    }
}

#[derive(Serialize)]
struct Request<'a> {
    grant_type: &'static str,
    client_id: &'a str,
    client_secret: &'a str,
    audience: &'a str,
}

#[derive(Deserialize)]
struct Granted {
    access_token: SecretString,
    expires_in: Option<Box<RawValue>>,
    scope: Option<Value>,
}

#[derive(Deserialize)]
struct Denied {
    error: String,
    #[serde(default)]
    error_description: String,
}

impl TokenSource {
    /// Gets tokens from `domain` for an application.
    pub fn new(
        http: reqwest::Client,
        domain: &Url,
        credentials: Credentials,
        clock: Clock,
    ) -> Self {
        let mut url = domain.clone();
        url.set_path("/oauth/token");
        Self {
            http,
            url,
            credentials,
            // The token endpoint has limits of its own.
            rate_limit: RateLimit::new(clock.clone()),
            clock,
            cache: TokenCache::default(),
        }
    }

    /// The current token, or a new one if there is none or the current one expires soon.
    ///
    /// Makes at most one attempt, which concurrent callers share. A request adds 1 to `requests`.
    pub async fn token(
        &self,
        requests: &AtomicU64,
        deadline: Deadline,
    ) -> Result<AccessToken, TokenError> {
        let request = async {
            let permit = self.rate_limit.wait(deadline).await;
            let permit = permit.map_err(|wait| TokenError::ResetTooLate {
                host: self.host(),
                wait,
            })?;
            requests.fetch_add(1, Ordering::Relaxed);
            self.exchange(permit, deadline).await
        };
        self.cache.get(request).await
    }

    /// The client secret, which every token request contains.
    pub fn client_secret(&self) -> &SecretString {
        &self.credentials.client_secret
    }

    /// Forgets a token that Auth0 refused.
    pub async fn forget(&self, refused: &AccessToken) {
        self.cache.forget(&refused.value).await;
    }

    async fn exchange(
        &self,
        permit: Permit<'_>,
        deadline: Deadline,
    ) -> Result<AccessToken, TokenError> {
        let asked_at = Instant::now();
        let request = self.http.post(self.url.clone()).form(&Request {
            grant_type: "client_credentials",
            client_id: &self.credentials.client_id,
            client_secret: self.credentials.client_secret.expose_secret(),
            audience: &self.credentials.audience,
        });
        let answer = http::send(request, deadline)
            .await
            .map_err(|source| TokenError::Send {
                host: self.host(),
                source,
            })?;
        permit.learn(&answer);
        self.judge(&answer, asked_at)
    }

    fn judge(&self, answer: &Answer, asked_at: Instant) -> Result<AccessToken, TokenError> {
        let host = self.host();
        if let Some(location) = answer.redirect(&[&self.credentials.client_secret]) {
            return Err(TokenError::Redirected { host, location });
        }
        match answer.status {
            // Whatever the success is called: its body, which may hold a token, is never quoted.
            status if status.is_success() => self
                .token_in(&answer.body, asked_at)
                .map_err(|said| TokenError::NoToken { host, said }),
            StatusCode::TOO_MANY_REQUESTS => Err(TokenError::TooMany {
                host,
                until: self.until(answer),
                said: self.said(answer),
                again: answer.again(),
            }),
            status if status.is_client_error() && lacks_grant_type(answer) => {
                Err(TokenError::NoGrantType {
                    host,
                    said: self.said(answer),
                })
            }
            // A page is the answer of something on the way, which knows no application.
            StatusCode::UNAUTHORIZED if !answer.is_webpage() => Err(TokenError::Refused {
                host,
                said: self.said(answer),
            }),
            StatusCode::FORBIDDEN if !answer.is_webpage() => Err(TokenError::NoGrant {
                host,
                said: self.said(answer),
                audience: self.credentials.audience.clone(),
            }),
            StatusCode::NOT_FOUND => Err(TokenError::NotFound { host }),
            status => Err(TokenError::Status {
                host,
                status,
                said: self.said(answer),
                again: answer.again(),
            }),
        }
    }

    /// The token in a successful answer. An answer that cannot be read is not quoted: it may hold a token.
    fn token_in(&self, body: &Bytes, asked_at: Instant) -> Result<AccessToken, String> {
        let granted: Option<Granted> = serde_json::from_slice(body).ok();
        let granted = granted.ok_or_else(|| format!("{} bytes", body.len()))?;
        if !is_bearer(&granted.access_token) {
            return Err("an access_token that cannot be a bearer token".to_owned());
        }
        let scope = self.scope(granted.scope.as_ref(), &granted.access_token);
        let life = granted.expires_in.as_deref().and_then(token::seconds);
        Ok(AccessToken::new(
            granted.access_token,
            scope,
            asked_at,
            life,
        ))
    }

    /// The scopes of a token, safe to print; empty if they repeat a credential.
    fn scope(&self, said: Option<&Value>, token: &SecretString) -> String {
        let text = match said {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Array(list)) => {
                let scopes: Vec<_> = list.iter().filter_map(Value::as_str).collect();
                scopes.join(" ")
            }
            _ => return String::new(),
        };
        if http::repeats(&text, &[&self.credentials.client_secret, token]) {
            return String::new();
        }
        let scopes = text.split_whitespace().filter(|it| is_scope(it));
        scopes.collect::<Vec<_>>().join(" ")
    }

    /// ` before <time>` if a refusal says how long it lasts, and empty otherwise.
    fn until(&self, answer: &Answer) -> String {
        let wait = answer.retry_after();
        let until = wait.and_then(|wait| {
            let wait = TimeDelta::from_std(wait).ok()?;
            (self.clock)().checked_add_signed(wait)
        });
        let known = until.filter(|until| until.year() <= 9_999);
        known.map_or_else(String::new, |until| {
            format!(" before {}", to_seconds(until))
        })
    }

    fn said(&self, answer: &Answer) -> String {
        let secrets = [&self.credentials.client_secret];
        match serde_json::from_slice::<Denied>(&answer.body) {
            Ok(denied) => {
                let said = format!("{}: {}", denied.error, denied.error_description);
                http::excerpt(&said, &secrets)
            }
            Err(_) => answer.excerpt(&secrets),
        }
    }

    fn host(&self) -> String {
        self.url.authority().to_owned()
    }
}

/// Whether a refusal is about the grant type (RFC 6749, section 5.2).
fn lacks_grant_type(answer: &Answer) -> bool {
    let denied = serde_json::from_slice::<Denied>(&answer.body);
    denied.is_ok_and(|it| it.error == "unauthorized_client")
}

/// Whether this is a valid OAuth scope (RFC 6749, section 3.3).
fn is_scope(text: &str) -> bool {
    text.bytes()
        .all(|byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use reqwest::header::HeaderMap;

    use super::*;

    /// The outcome of an answer at 08:00:00.
    fn judge(
        status: u16,
        headers: &[(&'static str, &'static str)],
        body: &str,
    ) -> Result<AccessToken, String> {
        let credentials = Credentials {
            client_id: "id".to_owned(),
            client_secret: "client-secret-7h3".into(),
            audience: "https://acme.eu.auth0.com/api/v2/".to_owned(),
        };
        let clock: Clock = Arc::new(|| "2026-11-21T08:00:00Z".parse().unwrap());
        let domain = Url::parse("https://acme.eu.auth0.com").unwrap();
        let http = http::client(None).unwrap();
        let source = TokenSource::new(http, &domain, credentials, clock);
        let headers = headers.iter();
        let answer = Answer {
            status: StatusCode::from_u16(status).unwrap(),
            headers: headers
                .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
                .collect::<HeaderMap>(),
            body: Bytes::copy_from_slice(body.as_bytes()),
        };
        let judged = source.judge(&answer, Instant::now());
        judged.map_err(|error| error.to_string())
    }

    fn scope(json: &str) -> String {
        let body = format!(r#"{{"access_token":"token-1234567","scope":{json}}}"#);
        judge(200, &[], &body).unwrap().scope
    }

    #[tokio::test]
    async fn a_scope_commands_no_terminal_and_repeats_no_credential() {
        assert_eq!(scope(r#""read:logs read:users""#), "read:logs read:users");
        let hostile =
            r#""read:logs \u001b]0;owned\u0007\u001b[2J\nok         storage: \u202eforged""#;
        assert_eq!(scope(hostile), "read:logs ok storage:");
        assert_eq!(scope(r#""read:logs token-1234567""#), "");
        assert_eq!(scope(r#""read:logs client%2Dsecret-7h3""#), "");
        // In an undocumented form, or missing.
        assert_eq!(
            scope(r#"["read:logs","read:users",1]"#),
            "read:logs read:users"
        );
        assert_eq!(scope("null"), "");
        assert_eq!(scope("{}"), "");
    }

    #[tokio::test]
    async fn a_token_that_comes_with_another_success_is_taken_and_never_quoted() {
        let body = r#"{"access_token":"token-1234567","expires_in":86400}"#;
        for status in [200, 201, 202, 203, 206, 299] {
            let token = judge(status, &[], body).unwrap();
            assert_eq!(token.value.expose_secret(), "token-1234567", "{status}");
            // What is not understood may hold a token all the same.
            let error = judge(status, &[], &format!("{body};")).unwrap_err();
            assert!(error.ends_with("with something else: 52 bytes"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_refusal_says_what_may_be_wrong_with_the_application() {
        let body = r#"{"error":"access_denied","error_description":"Unauthorized"}"#;
        let said = judge(401, &[], body).unwrap_err();
        assert_eq!(
            said,
            "acme.eu.auth0.com refused the application (access_denied: Unauthorized); check \
             CLIENT_ID and CLIENT_SECRET, that DOMAIN is the tenant they belong to, and that the \
             authentication method in the Credentials tab of the application is Client Secret (Post)"
        );
    }

    #[tokio::test]
    async fn an_application_without_the_grant_type_is_told_from_one_without_the_api() {
        let of = |status, error, description| {
            let body = format!(r#"{{"error":"{error}","error_description":"{description}"}}"#);
            judge(status, &[], &body).unwrap_err()
        };
        let description = "Grant type 'client_credentials' not allowed for the client.";
        for status in [400, 401, 403] {
            let said = of(status, "unauthorized_client", description);
            assert_eq!(
                said,
                "acme.eu.auth0.com lets this application have no token by client credentials \
                 (unauthorized_client: Grant type 'client_credentials' not allowed for the client.); \
                 in the Auth0 dashboard use an application of the type Machine to Machine, or allow \
                 this one the grant type Client Credentials in its advanced settings"
            );
        }
        let said = of(
            403,
            "access_denied",
            "Client is not authorized to access \\\"x\\\".",
        );
        assert!(said.contains("authorize the application for the"), "{said}");
    }

    #[tokio::test]
    async fn a_page_in_place_of_a_refusal_gets_no_advice_about_the_application() {
        for status in [401, 403] {
            let said = judge(status, &[("content-type", "text/html")], "<h1>Blocked</h1>");
            let said = said.unwrap_err();
            let told = "to the request for a token: <h1>Blocked</h1>";
            assert!(said.ends_with(told), "{said}");
        }
    }

    #[tokio::test]
    async fn a_quota_that_is_used_up_is_told_with_its_end() {
        let body = r#"{"error":"too_many_requests","error_description":"Client quota exceeded"}"#;
        let said = |headers| judge(429, headers, body).unwrap_err();
        let told = said(&[("retry-after", "3600")]);
        let until = "acme.eu.auth0.com issues no token before 2026-11-21T09:00:00Z \
                     (too_many_requests: Client quota exceeded); the next run after that goes on";
        assert!(told.starts_with(until), "{told}");
        assert!(told.contains("quota of tokens"), "{told}");
        for headers in [&[][..], &[("retry-after", "18446744073709551615")]] {
            let untold = said(headers);
            let start = "acme.eu.auth0.com issues no token (too_many_requests";
            assert!(untold.starts_with(start), "{untold}");
        }
    }
}
