//! A role of AWS, assumed with a token of this program's Azure identity, so that no AWS secret is
//! stored anywhere.
//!
//! <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html>

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use object_store::aws::AwsCredential;
use reqwest::StatusCode;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use url::Url;

use super::refusal::{About, AwsRefusal};
use super::settings::is_header_text;
use crate::azure::identity::{Identity, IdentityError};
use crate::clock::Clock;
use crate::net::http::{self, Answer, SendError};
use crate::net::retry::{Again, Deadline, Transient};

const VERSION: &str = "2011-06-15";
/// The name of the session in AWS's own log.
const SESSION: &str = "auth0-poller";
/// The lifetime of credentials, in seconds, which every role allows.
const LIFE: &str = "3600";

/// A role, and the identity that assumes it.
pub(super) struct Role {
    arn: String,
    endpoint: Url,
    identity: Identity,
    http: reqwest::Client,
    clock: Clock,
}

/// What assuming a role returns.
pub(super) struct Granted {
    pub credential: AwsCredential,
    /// The credential's lifetime, if it is known.
    pub life: Option<Duration>,
}

/// Why a role was not assumed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RoleError {
    /// There is no token to assume it with.
    #[error(transparent)]
    Identity(#[from] Box<IdentityError>),
    /// The request failed, or its answer was not read.
    #[error("assuming the role {role} at {host}; check AWS_REGION")]
    Send {
        role: String,
        host: String,
        source: SendError,
    },
    /// The AWS account does not know the token's issuer or audience.
    #[error(
        "AWS does not take the Azure identity's token for the role {role}: {said}; in IAM make an \
         identity provider (OpenID Connect) whose URL is the token's iss and whose audience is its \
         aud{claims}"
    )]
    UnknownIssuer {
        role: String,
        said: String,
        claims: String,
    },
    /// The role does not trust the identity in this token, or does not exist.
    #[error(
        "AWS does not let this Azure identity assume the role {role}: {said}; check AWS_ROLE_ARN, \
         and that the role's trust policy allows sts:AssumeRoleWithWebIdentity with conditions that \
         the token meets{claims}"
    )]
    NotTrusted {
        role: String,
        said: String,
        claims: String,
    },
    /// Any other refusal.
    #[error("{host} answered {status} for the role {role}: {said}")]
    Status {
        role: String,
        host: String,
        status: StatusCode,
        said: String,
        again: Again,
    },
    /// A success without credentials in it.
    #[error(
        "{host} answered the request for credentials of the role {role} with something else: \
         {bytes} bytes"
    )]
    NoCredentials {
        role: String,
        host: String,
        /// The answer is not quoted: it may hold credentials in a form that was not understood.
        bytes: usize,
    },
}

impl Transient for RoleError {
    fn again(&self) -> Again {
        match self {
            Self::Identity(error) => error.again(),
            Self::Send { source, .. } => source.again(),
            Self::Status { again, .. } => *again,
            Self::UnknownIssuer { .. } | Self::NotTrusted { .. } | Self::NoCredentials { .. } => {
                Again::Never
            }
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Form<'a> {
    action: &'static str,
    version: &'static str,
    role_arn: &'a str,
    role_session_name: &'static str,
    duration_seconds: &'static str,
    web_identity_token: &'a str,
}

#[derive(Deserialize)]
struct Response {
    #[serde(rename = "AssumeRoleWithWebIdentityResult")]
    result: Assumed,
}

#[derive(Deserialize)]
struct Assumed {
    #[serde(rename = "Credentials")]
    credentials: Keys,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Keys {
    access_key_id: String,
    secret_access_key: String,
    session_token: String,
    expiration: Option<String>,
}

/// The claims of a token that AWS checks.
#[derive(Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    #[serde(default)]
    sub: String,
}

impl Role {
    pub fn new(
        arn: String,
        endpoint: Url,
        identity: Identity,
        http: reqwest::Client,
        clock: Clock,
    ) -> Self {
        Self {
            arn,
            endpoint,
            identity,
            http,
            clock,
        }
    }

    /// Assumes the role. Makes one attempt, in which an expired token is replaced once.
    pub async fn assume(&self, deadline: Deadline) -> Result<Granted, RoleError> {
        let has_ended =
            |it: &Answer| !it.status.is_success() && AwsRefusal::of(it).about() == About::End;
        let ask = |token| self.ask(token, deadline);
        let asked = self.identity.with_token(deadline, has_ended, ask);
        let (answer, token) = asked.await?;
        self.judge(&answer, &token)
    }

    fn judge(&self, answer: &Answer, token: &SecretString) -> Result<Granted, RoleError> {
        // Whatever the success is called: its body, which may hold credentials, is never quoted.
        if answer.status.is_success() {
            self.read(answer)
        } else {
            Err(self.refusal(answer, token))
        }
    }

    /// The error of a caller that waited too long for another caller's attempt.
    pub fn out_of_time(&self) -> RoleError {
        self.unsent(SendError::OutOfTime)
    }

    async fn ask(&self, token: SecretString, deadline: Deadline) -> Result<Answer, RoleError> {
        let form = Form {
            action: "AssumeRoleWithWebIdentity",
            version: VERSION,
            role_arn: &self.arn,
            role_session_name: SESSION,
            duration_seconds: LIFE,
            web_identity_token: token.expose_secret(),
        };
        let request = self.http.post(self.endpoint.clone()).form(&form);
        let answer = http::send(request, deadline).await;
        answer.map_err(|source| self.unsent(source))
    }

    fn unsent(&self, source: SendError) -> RoleError {
        RoleError::Send {
            role: self.arn.clone(),
            host: self.host(),
            source,
        }
    }

    fn host(&self) -> String {
        self.endpoint.authority().to_owned()
    }

    fn read(&self, answer: &Answer) -> Result<Granted, RoleError> {
        let text = String::from_utf8_lossy(&answer.body);
        let read = quick_xml::de::from_str::<Response>(&text).ok();
        let keys = read.map(|it| it.result.credentials);
        let is_usable = |it: &Keys| {
            [&it.access_key_id, &it.secret_access_key, &it.session_token]
                .iter()
                .all(|it| is_header_text(it))
        };
        let Some(keys) = keys.filter(is_usable) else {
            return Err(RoleError::NoCredentials {
                role: self.arn.clone(),
                host: self.host(),
                bytes: answer.body.len(),
            });
        };
        Ok(Granted {
            life: keys.expiration.and_then(|it| life(&it, (self.clock)())),
            credential: AwsCredential {
                key_id: keys.access_key_id,
                secret_key: keys.secret_access_key,
                token: Some(keys.session_token),
            },
        })
    }

    fn refusal(&self, answer: &Answer, token: &SecretString) -> RoleError {
        let refusal = AwsRefusal::of(answer);
        let said = refusal.said(std::slice::from_ref(token));
        let role = self.arn.clone();
        match &*refusal.code {
            "InvalidIdentityToken" | "InvalidIdentityTokenException" => RoleError::UnknownIssuer {
                role,
                said,
                claims: claims(token),
            },
            "AccessDenied" | "AccessDeniedException" | "IDPRejectedClaim" => {
                RoleError::NotTrusted {
                    role,
                    said,
                    claims: claims(token),
                }
            }
            _ => RoleError::Status {
                role,
                host: self.host(),
                status: answer.status,
                said,
                again: refusal.again(),
            },
        }
    }
}

/// The remaining lifetime of credentials that expire at this time.
fn life(expiration: &str, now: DateTime<Utc>) -> Option<Duration> {
    let end = DateTime::parse_from_rfc3339(expiration).ok()?;
    Some((end.to_utc() - now).to_std().unwrap_or_default())
}

/// The token's claims, to follow a remedy; empty if it is no JWT. They are no secret: the signature
/// is what makes a token.
fn claims(token: &SecretString) -> String {
    let payload = token.expose_secret().split('.').nth(1);
    let payload = payload.and_then(|it| BASE64_URL_SAFE_NO_PAD.decode(it).ok());
    let claims = payload.and_then(|it| serde_json::from_slice::<Claims>(&it).ok());
    let Some(Claims { iss, aud, sub }) = claims else {
        return String::new();
    };
    let text = http::excerpt(&format!("iss {iss}, aud {aud}, sub {sub}"), &[]);
    format!(" (it says {text})")
}

#[cfg(test)]
mod tests;
