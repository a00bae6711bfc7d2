//! The access token for the Management API, by client credentials.
//!
//! Every exchange leaves an event in the tenant's own log, so the token is shared by all that reads
//! the tenant.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use reqwest::StatusCode;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use url::Url;

use super::rate_limit::{RateLimit, ResetTooLate};
use crate::clock::Clock;
use crate::net::http::{self, Answer, SendError};
use crate::net::retry::{Again, Deadline, Transient};
use crate::net::token::{Token, TokenCache};

/// What the token endpoint is asked with.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// `CLIENT_ID`
    pub client_id: String,
    /// `CLIENT_SECRET`
    pub client_secret: SecretString,
    /// The Management API's identifier.
    pub audience: String,
}

/// Hands out the tenant's access token.
pub struct TokenSource {
    http: reqwest::Client,
    url: Url,
    credentials: Credentials,
    rate_limit: RateLimit,
    cache: TokenCache,
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// No answer.
    #[error("{host} gives no token; check DOMAIN, and that this machine reaches it")]
    Send {
        /// The tenant's host.
        host: String,
        /// What happened.
        source: SendError,
    },
    /// 429 of earlier, with a wait that is not over.
    #[error(transparent)]
    ResetTooLate(#[from] ResetTooLate),
    /// 401: unknown application or wrong secret.
    #[error(
        "{host} refused the application ({said}); check CLIENT_ID and CLIENT_SECRET, and that \
         DOMAIN is the tenant they belong to"
    )]
    Refused {
        /// The tenant's host.
        host: String,
        /// What it said.
        said: String,
    },
    /// 403: the application may not use the API, or the API is not known by that name.
    #[error(
        "{host} gives this application no token for the Management API ({said}); in the Auth0 \
         dashboard authorize the application for the Auth0 Management API with the permission \
         read:logs, and check AUDIENCE, now {audience} (with a custom domain it names the \
         tenant's own domain and ends with /api/v2/)"
    )]
    NoGrant {
        /// The tenant's host.
        host: String,
        /// What it said.
        said: String,
        /// The audience that was asked for.
        audience: String,
    },
    /// 404: this is no Auth0 tenant.
    #[error("{host} has no token endpoint (404); check DOMAIN")]
    NotFound {
        /// The tenant's host.
        host: String,
    },
    /// A redirect, which would take the secret to another address.
    #[error("{host} redirects to {location}, which is not followed; check DOMAIN")]
    Redirected {
        /// The tenant's host.
        host: String,
        /// Where it points.
        location: String,
    },
    /// Any other answer.
    #[error("{host} answered {status} to the request for a token: {said}")]
    Status {
        /// The tenant's host.
        host: String,
        /// Its status.
        status: StatusCode,
        /// What it said.
        said: String,
        /// Whether it may pass.
        again: Again,
    },
    /// A success without a token in it.
    #[error("{host} answered the request for a token with something else: {said}")]
    NoToken {
        /// The tenant's host.
        host: String,
        /// What it said.
        said: String,
    },
}

impl Transient for TokenError {
    fn again(&self) -> Again {
        match self {
            Self::Send { source, .. } => source.again(),
            Self::Status { again, .. } => *again,
            Self::ResetTooLate(_)
            | Self::Refused { .. }
            | Self::NoGrant { .. }
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
    expires_in: Option<u64>,
    #[serde(default)]
    scope: String,
}

#[derive(Deserialize)]
struct Denied {
    error: String,
    #[serde(default)]
    error_description: String,
}

impl TokenSource {
    /// Asks `domain` for tokens, in the name of an application.
    #[must_use]
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
            rate_limit: RateLimit::new(clock),
            cache: TokenCache::default(),
        }
    }

    /// The token in use, or a new one where there is none or its end is near.
    ///
    /// Makes one attempt; callers at the same time share it. A request adds 1 to `requests`.
    pub async fn token(
        &self,
        requests: &AtomicU64,
        deadline: Deadline,
    ) -> Result<Token, TokenError> {
        let request = async {
            self.rate_limit.wait(deadline).await?;
            requests.fetch_add(1, Ordering::Relaxed);
            self.exchange(deadline).await
        };
        self.cache.get(request).await
    }

    /// Forgets a token that Auth0 refused.
    pub async fn forget(&self, refused: &Token) {
        self.cache.forget(&refused.value).await;
    }

    async fn exchange(&self, deadline: Deadline) -> Result<Token, TokenError> {
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
        self.rate_limit.learn(&answer);
        let granted = self.judge(&answer)?;
        Ok(Token::new(
            granted.access_token,
            granted.scope,
            asked_at,
            granted.expires_in.map(Duration::from_secs),
        ))
    }

    fn judge(&self, answer: &Answer) -> Result<Granted, TokenError> {
        let host = self.host();
        if let Some(location) = answer.redirect() {
            return Err(TokenError::Redirected { host, location });
        }
        match answer.status {
            StatusCode::OK => serde_json::from_slice(&answer.body)
                .ok()
                .filter(|granted: &Granted| !granted.access_token.expose_secret().is_empty())
                // The answer may hold a token in a form that was not understood: it is not quoted.
                .ok_or_else(|| TokenError::NoToken {
                    host,
                    said: format!("{} bytes", answer.body.len()),
                }),
            StatusCode::UNAUTHORIZED => Err(TokenError::Refused {
                host,
                said: self.said(answer),
            }),
            StatusCode::FORBIDDEN => Err(TokenError::NoGrant {
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
