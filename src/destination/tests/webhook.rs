//! `webhook`: records as lines of JSON, posted to an address of your own. The example of CONTRIBUTING.md,
//! which is not part of the program.

use bytes::Bytes;
use futures_util::future::BoxFuture;
use reqwest::StatusCode;
use reqwest::header::CONTENT_TYPE;
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use crate::destination::{Delivery, Destination, Kind, Limits, Probe, Tools};
use crate::error::BoxError;
use crate::net::http::{self, SendError};
use crate::net::retry::{self, Again, Deadline, Failure, GaveUp, Jitter, Transient};
use crate::pii::Privacy;
use crate::record::Record;
use crate::settings::Reader;

pub(super) const KIND: Kind = Kind {
    name: "webhook",
    about: "lines of JSON, posted to WEBHOOK_URL",
    settings: &["WEBHOOK_URL", "WEBHOOK_TOKEN"],
    filter: "FILTER_WEBHOOK",
    pii: "PII_WEBHOOK",
    is_for_a_look: false,
    takes_heartbeats: false,
    build,
};

const LIMITS: Limits = Limits {
    rows: 500,
    bytes: 1_000_000,
    ..Limits::LINES
};

struct Webhook {
    url: Url,
    token: SecretString,
    http: reqwest::Client,
    jitter: Jitter,
    privacy: Privacy,
}

/// Why a post was not acknowledged.
#[derive(Debug, thiserror::Error)]
enum WebhookError {
    #[error("posting to the webhook {host}")]
    Send { host: String, source: SendError },
    #[error("the webhook {host} answered {status}: {said}; check WEBHOOK_URL and WEBHOOK_TOKEN")]
    Status {
        host: String,
        status: StatusCode,
        said: String,
        again: Again,
    },
}

impl Transient for WebhookError {
    fn again(&self) -> Again {
        match self {
            Self::Send { source, .. } => source.again(),
            Self::Status { again, .. } => *again,
        }
    }

    fn failure(&self) -> Failure {
        match self {
            Self::Send { source, .. } => source.failure(),
            Self::Status { status, .. } => http::failure(*status),
        }
    }
}

impl WebhookError {
    /// Whether the fault is in what was posted, so that less of it may be taken.
    fn is_about_content(&self) -> bool {
        let refused = [StatusCode::BAD_REQUEST, StatusCode::PAYLOAD_TOO_LARGE];
        matches!(self, Self::Status { status, .. } if refused.contains(status))
    }
}

fn build(reader: &mut Reader, tools: &Tools) -> Option<Box<dyn Destination>> {
    let url = reader.required("WEBHOOK_URL", "the address that takes records", address);
    let token = reader.required("WEBHOOK_TOKEN", "its bearer token", |text| Ok(text.into()));
    Some(Box::new(Webhook {
        url: url?,
        token: token?,
        http: tools.http.clone(),
        jitter: tools.jitter.clone(),
        privacy: tools.privacy.clone(),
    }))
}

fn address(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).ok().filter(http::is_secure);
    url.ok_or_else(|| "must be https (http only on loopback)".into())
}

impl Webhook {
    async fn post(&self, body: Bytes, deadline: Deadline) -> Result<(), GaveUp<WebhookError>> {
        let post = || self.post_once(&body, deadline);
        retry::retry(&self.jitter, deadline, post).await
    }

    async fn post_once(&self, body: &Bytes, deadline: Deadline) -> Result<(), WebhookError> {
        let host = || self.url.authority().to_owned();
        let request = self.http.post(self.url.clone());
        let request = request
            .bearer_auth(self.token.expose_secret())
            .header(CONTENT_TYPE, "application/x-ndjson")
            .body(body.clone());
        let answer = http::send_for_status(request, deadline).await;
        let answer = answer.map_err(|source| WebhookError::Send {
            host: host(),
            source,
        })?;
        if answer.status.is_success() {
            return Ok(());
        }
        Err(WebhookError::Status {
            host: host(),
            status: answer.status,
            said: answer.excerpt(&[&self.token]),
            again: answer.again(),
        })
    }
}

impl Destination for Webhook {
    fn limits(&self) -> Limits {
        LIMITS
    }

    fn encode(&self, record: &Record) -> Result<Bytes, BoxError> {
        Ok(self.privacy.line(record.text()).into())
    }

    fn deliver<'a>(&'a self, rows: &'a [Bytes], deadline: Deadline) -> BoxFuture<'a, Delivery> {
        Box::pin(async move {
            let mut lines = rows.join(&b'\n');
            lines.push(b'\n');
            let bytes = lines.len();
            match self.post(lines.into(), deadline).await {
                Ok(()) => Delivery::accepted(rows.len(), bytes),
                Err(gave_up) if gave_up.error.is_about_content() => {
                    Delivery::refused(rows.len(), gave_up.into())
                }
                Err(gave_up) => Delivery::given_up(rows.len(), gave_up),
            }
        })
    }

    /// Posts nothing, with the token.
    fn probe(&self, deadline: Deadline) -> BoxFuture<'_, Probe> {
        Box::pin(async move {
            match self.post(Bytes::new(), deadline).await {
                Ok(()) => Probe::Works("the webhook took an empty post".into()),
                Err(gave_up) if gave_up.error.is_about_content() => {
                    Probe::NotTried(format!("the webhook takes no empty post ({gave_up})"))
                }
                Err(gave_up) => Probe::Fails(gave_up.into()),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use axum::Router;
    use axum::extract::Request;
    use tokio::net::TcpListener;

    use super::*;
    use crate::destination::{DeliveryError, Outcome};
    use crate::record::LogId;
    use crate::settings::AppSettings;

    /// What was posted.
    type Posted = Arc<Mutex<Vec<String>>>;

    /// A webhook that takes what comes with the right token, but nothing that contains `bad`. It quotes a
    /// wrong token.
    async fn webhook(token: &str) -> (Box<dyn Destination>, Posted) {
        let posted = Posted::default();
        let answer = {
            let posted = Arc::clone(&posted);
            async move |request: Request| {
                let token = request.headers()["authorization"].clone();
                let token = token.to_str().unwrap().to_owned();
                let body = axum::body::to_bytes(request.into_body(), usize::MAX).await;
                let body = String::from_utf8(body.unwrap().into()).unwrap();
                let is_bad = body.contains("bad");
                posted.lock().unwrap().push(body);
                match (token.as_str(), is_bad) {
                    ("Bearer right", false) => (StatusCode::ACCEPTED, String::new()),
                    ("Bearer right", true) => (StatusCode::BAD_REQUEST, "bad line".into()),
                    _ => (StatusCode::UNAUTHORIZED, format!("not {token}")),
                }
            }
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/logs", listener.local_addr().unwrap());
        let router = Router::new().route("/logs", axum::routing::post(answer));
        tokio::spawn(async move { axum::serve(listener, router).await });
        let settings = [("WEBHOOK_URL", url.as_str()), ("WEBHOOK_TOKEN", token)];
        let settings: AppSettings = settings.into_iter().collect();
        let built = Reader::read(&settings, |it| (KIND.build)(it, &Tools::for_test()));
        (built.unwrap(), posted)
    }

    /// What became of these lines, and what was posted.
    async fn delivered(token: &str, lines: [&'static str; 2]) -> (Delivery, Vec<String>) {
        let (webhook, posted) = webhook(token).await;
        let lines = lines.map(|it| Bytes::from_static(it.as_bytes()));
        let deadline = Deadline::after(Duration::from_secs(20));
        let delivery = webhook.deliver(&lines, deadline).await;
        (delivery, std::mem::take(&mut *posted.lock().unwrap()))
    }

    #[tokio::test]
    async fn what_is_taken_is_acknowledged_and_a_bad_line_refuses_all_until_it_is_alone() {
        let (taken, posted) = delivered("right", ["{}", r#"{"a":1}"#]).await;
        assert!(taken.error.is_none(), "{taken:?}");
        assert!(matches!(
            taken.outcomes[..],
            [Outcome::Accepted, Outcome::Accepted]
        ));
        assert_eq!(posted, ["{}\n{\"a\":1}\n"]);
        assert_eq!(taken.bytes, 11);

        let (refused, _) = delivered("right", ["{}", r#"{"a":"bad"}"#]).await;
        assert!(
            matches!(refused.error, Some(DeliveryError::Refused(_))),
            "{refused:?}"
        );
        assert!(matches!(
            refused.outcomes[..],
            [Outcome::Open, Outcome::Open]
        ));
    }

    #[tokio::test]
    async fn a_wrong_token_is_no_fault_of_a_line_and_is_not_in_the_error() {
        let (failed, _) = delivered("wr0ng", ["{}", "{}"]).await;
        let Some(DeliveryError::Failed(error)) = failed.error else {
            panic!("{failed:?}");
        };
        let told = crate::error::with_causes(error.as_ref());
        assert!(told.contains("answered 401 Unauthorized"), "{told}");
        assert!(!told.contains("wr0ng"), "{told}");
    }

    #[tokio::test]
    async fn a_probe_posts_nothing_with_the_token() {
        let deadline = || Deadline::after(Duration::from_secs(20));
        let (works, posted) = webhook("right").await;
        let probe = works.probe(deadline()).await;
        assert!(matches!(probe, Probe::Works(_)));
        assert_eq!(*posted.lock().unwrap(), [""]);
        let (fails, _) = webhook("wr0ng").await;
        let probe = fails.probe(deadline()).await;
        assert!(matches!(probe, Probe::Fails(_)));
    }

    #[tokio::test]
    async fn a_row_is_the_record_without_its_secrets() {
        let record = Record {
            log_id: LogId::new("9001"),
            date: None,
            json: Bytes::from_static(br#"{"log_id":"9001","details":{"password":"x"}}"#),
        };
        let row = webhook("right").await.0.encode(&record).unwrap();
        assert_eq!(row, r#"{"log_id":"9001","details":{"password":"***"}}"#);
    }

    #[test]
    fn an_address_is_https_unless_it_is_this_machine() {
        assert!(address("https://logs.example/in").is_ok());
        assert!(address("http://localhost:8080/in").is_ok());
        assert!(address("http://logs.example/in").is_err());
    }
}
