//! An AWS account: its access key, and a role that identities of Entra ID assume at its STS.
//!
//! Simplified: the role trusts every token of the issuer that is for the right audience.
//! <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html>

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use chrono::{DateTime, Duration, SecondsFormat, Utc};

use crate::issuer::Issuer;
use crate::server::{Counter, Fault, Faults, Server};

/// The region of the account.
pub const REGION: &str = "eu-west-1";
/// The number of the account.
pub const ACCOUNT: &str = "123456789012";
/// The audience that a token must have for the role.
pub const AUDIENCE: &str = "api://AzureADTokenExchange";
const KEY_ID: &str = "AKIASIMULATED0000001";
const SECRET: &str = "simulatedAwsSecret/0123456789+abcdefghij";
const SESSION_SECRET: &str = "simulatedSessionSecret/";
const SESSION_TOKEN: &str = "FwoGZXIvYXdzSimulatedSession";

/// An account. Its clones are the same one, shared by the services in it.
#[derive(Clone, Debug, Default)]
pub struct AwsAccount(Arc<Mutex<HashMap<String, Session>>>);

#[derive(Clone, Debug)]
struct Session {
    secret: String,
    token: String,
    ends: DateTime<Utc>,
}

/// A refusal: its code and its explanation.
pub(crate) type Refusal = (&'static str, String);

impl AwsAccount {
    /// The app settings with the account's access key.
    pub fn key() -> Vec<(String, String)> {
        [
            ("AWS_ACCESS_KEY_ID", KEY_ID),
            ("AWS_SECRET_ACCESS_KEY", SECRET),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    }

    /// Secrets that must not appear anywhere.
    pub fn secrets() -> Vec<String> {
        [SECRET, SESSION_SECRET, SESSION_TOKEN]
            .map(str::to_owned)
            .into()
    }

    /// Ends all sessions.
    pub fn end_sessions(&self) {
        let now = Utc::now();
        for session in self.sessions().values_mut() {
            session.ends = now;
        }
    }

    /// The secret of an access key. A key of a session needs that session's token.
    pub(crate) fn secret(&self, key_id: &str, token: Option<&str>) -> Result<String, Refusal> {
        let unknown = || {
            let message = "The security token included in the request is invalid.";
            ("UnrecognizedClientException", message.to_owned())
        };
        if key_id == KEY_ID {
            return match token {
                None => Ok(SECRET.to_owned()),
                Some(_) => Err(unknown()),
            };
        }
        let session = self.sessions().get(key_id).cloned().ok_or_else(unknown)?;
        if token != Some(&session.token) {
            return Err(unknown());
        }
        if session.ends <= Utc::now() {
            let message = "The security token included in the request is expired";
            return Err(("ExpiredTokenException", message.to_owned()));
        }
        Ok(session.secret)
    }

    fn open_session(&self, life: Duration) -> (String, Session) {
        let number = fastrand::u64(..);
        let key_id = format!("ASIA{number:016X}");
        let session = Session {
            secret: format!("{SESSION_SECRET}{number:016x}"),
            token: format!("{SESSION_TOKEN}{number:016x}=="),
            ends: Utc::now() + life,
        };
        self.sessions().insert(key_id.clone(), session.clone());
        (key_id, session)
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<String, Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The account's STS.
#[derive(Debug)]
pub struct Sts {
    server: Server,
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    account: AwsAccount,
    issuer: Issuer,
    requests: Counter,
    faults: Faults,
}

impl Sts {
    /// An STS that accepts tokens of this issuer.
    pub async fn start(account: AwsAccount, issuer: Issuer) -> Self {
        let inner = Arc::new(Inner {
            account,
            issuer,
            requests: Counter::default(),
            faults: Faults::default(),
        });
        let router = Router::new()
            .route("/", post(assume))
            .with_state(Arc::clone(&inner));
        Self {
            server: Server::start(router).await,
            inner,
        }
    }

    /// The app settings that use the role instead of a key.
    pub fn settings(&self) -> Vec<(String, String)> {
        [
            ("AWS_ACCESS_KEY_ID", String::new()),
            ("AWS_SECRET_ACCESS_KEY", String::new()),
            ("AWS_ROLE_ARN", role()),
            ("AWS_STS_ENDPOINT", self.server.url()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// The number of requests to assume a role so far.
    pub fn requests(&self) -> u64 {
        self.inner.requests.get()
    }

    /// Applies these faults to the next requests, one to each.
    pub fn fail(&self, faults: impl IntoIterator<Item = Fault>) {
        self.inner.faults.add(faults);
    }
}

fn role() -> String {
    format!("arn:aws:iam::{ACCOUNT}:role/auth0-logs")
}

async fn assume(State(inner): State<Arc<Inner>>, headers: HeaderMap, body: Bytes) -> Response {
    inner.requests.count();
    if let Some(answer) = inner.faults.answer().await {
        return answer;
    }
    let form = crate::entra::form(&headers, &body);
    let asked = |name: &str| form.get(name).map_or("", String::as_str);
    if asked("Action") != "AssumeRoleWithWebIdentity" || asked("Version") != "2011-06-15" {
        return refuse("InvalidAction", "Could not find operation");
    }
    if asked("RoleArn") != role() || asked("RoleSessionName").is_empty() {
        let message = "Not authorized to perform sts:AssumeRoleWithWebIdentity";
        return refuse("AccessDenied", message);
    }
    if inner
        .issuer
        .verify(asked("WebIdentityToken"), AUDIENCE)
        .is_err()
    {
        return refuse("InvalidIdentityToken", "Incorrect token audience");
    }
    let seconds: i64 = asked("DurationSeconds").parse().unwrap_or(3_600);
    let (key_id, session) = inner.account.open_session(Duration::seconds(seconds));
    let ends = session.ends.to_rfc3339_opts(SecondsFormat::Secs, true);
    let body = format!(
        r#"<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <AssumeRoleWithWebIdentityResult>
    <Audience>{AUDIENCE}</Audience>
    <Credentials>
      <AccessKeyId>{key_id}</AccessKeyId>
      <SecretAccessKey>{}</SecretAccessKey>
      <SessionToken>{}</SessionToken>
      <Expiration>{ends}</Expiration>
    </Credentials>
  </AssumeRoleWithWebIdentityResult>
</AssumeRoleWithWebIdentityResponse>"#,
        session.secret, session.token
    );
    (StatusCode::OK, body).into_response()
}

fn refuse(code: &str, message: &str) -> Response {
    let body = format!(
        "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message>\
         </Error><RequestId>1</RequestId></ErrorResponse>"
    );
    let status = match code {
        "AccessDenied" => StatusCode::FORBIDDEN,
        _ => StatusCode::BAD_REQUEST,
    };
    (status, body).into_response()
}
