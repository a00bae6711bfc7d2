//! Where records go. Each service has one file with its settings, construction, wire format,
//! limits, errors and probe. [`KINDS`] lists them.
//!
//! A destination knows nothing of checkpoints or of where records come from. The run decides what
//! to deliver and when, and what an outcome means for the cursor.

mod archive;
mod event_bridge;
mod event_grid;
mod filter;
mod log_analytics;
mod logs_ingestion;
mod pattern;
mod stdout;
mod tinybird;

use std::error::Error;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;

pub(crate) use self::filter::Filter;
use crate::azure::cloud::Cloud;
use crate::clock::Clock;
use crate::error::BoxError;
use crate::net::retry::{Deadline, Failure, GaveUp, Jitter, Transient};
use crate::pii::Privacy;
use crate::record::{LogId, Record};
use crate::settings::Reader;
use crate::table::health::Heartbeat;

/// The destinations that the setting `DESTINATIONS` can name, the default first. Everything that
/// lists destinations uses this list.
pub(crate) const KINDS: [&Kind; 7] = [
    &log_analytics::KIND,
    &logs_ingestion::KIND,
    &event_grid::KIND,
    &event_bridge::KIND,
    &tinybird::KIND,
    &archive::KIND,
    &stdout::KIND,
];

/// A kind of destination, and how to build one.
pub(crate) struct Kind {
    /// Its name in `DESTINATIONS`, in paths and in reports.
    pub name: &'static str,
    /// A short description for the help text.
    pub about: &'static str,
    /// The names of the settings that only this kind reads.
    pub settings: &'static [&'static str],
    /// The setting that selects its records: `FILTER_` and its name.
    pub filter: &'static str,
    /// The setting that restricts the personal data it gets: `PII_` and its name.
    pub pii: &'static str,
    /// Whether it writes records to standard output, for a person to look at. It is not allowed
    /// under the Functions host, where standard output is a log.
    pub is_for_a_look: bool,
    /// Whether the destinations that it builds have [`Heartbeats`].
    pub takes_heartbeats: bool,
    /// Builds a destination from its settings. `None` means that the reader has noted a problem.
    pub build: fn(&mut Reader, &Tools) -> Option<Box<dyn Destination>>,
}

impl Kind {
    /// The kind of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        KINDS.into_iter().find(|kind| kind.name == name)
    }

    /// All names as part of a sentence: `a, b or c`.
    pub fn names() -> String {
        let mut names = KINDS.map(|kind| kind.name).join(", ");
        if let Some(last) = names.rfind(", ") {
            names.replace_range(last..=last, " or");
        }
        names
    }
}

/// What every destination is built with, besides its settings.
#[derive(Clone)]
pub(crate) struct Tools {
    /// The HTTP client for every request.
    pub http: reqwest::Client,
    /// The tenant's host, used in paths and events. Empty if `DOMAIN` is invalid, which is reported
    /// elsewhere.
    pub tenant: String,
    /// What the destination may see of a record.
    pub privacy: Privacy,
    /// The current time.
    pub clock: Clock,
    /// The source of randomness.
    pub jitter: Jitter,
}

#[cfg(test)]
impl Tools {
    /// For a destination's tests, with a fixed time.
    fn for_test() -> Self {
        Self {
            http: crate::net::http::client(None).unwrap(),
            tenant: "acme.eu.auth0.com".into(),
            privacy: crate::redact::Redaction::On.into(),
            clock: std::sync::Arc::new(|| "2026-11-21T08:00:00Z".parse().unwrap()),
            jitter: Jitter::seeded(1),
        }
    }
}

/// What one delivery may hold. Its size is `per_delivery` plus, for each row, the row's bytes and
/// `per_row`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Maximum rows.
    pub rows: usize,
    /// Maximum bytes. A single row may be larger.
    pub bytes: usize,
    /// Framing bytes per row.
    pub per_row: usize,
    /// Framing bytes per delivery.
    pub per_delivery: usize,
    /// Concurrent deliveries; 1 if each has to wait for the one before.
    pub side_by_side: usize,
}

/// Enough for 25 batches a second if the destination takes 100 ms for each.
const SIDE_BY_SIDE: usize = 4;

impl Limits {
    /// The framing of a JSON list: an opening bracket, and after each row a comma or the closing
    /// bracket.
    const JSON_LIST: Self = Self {
        rows: usize::MAX,
        bytes: usize::MAX,
        per_row: 1,
        per_delivery: 1,
        side_by_side: SIDE_BY_SIDE,
    };
    /// The framing of lines: a line break after each row.
    const LINES: Self = Self {
        per_delivery: 0,
        ..Self::JSON_LIST
    };
}

/// The result for one row of a delivery.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The service acknowledged the row. It is never sent again.
    Accepted,
    /// The service will never take the row, for this reason, whatever it is sent with.
    Refused(BoxError),
    /// Neither. The row may not have been stored, so it has to be delivered again.
    Open,
}

/// Why rows of a delivery are open.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeliveryError {
    /// The service will never take one of the rows, but did not say which.
    #[error(transparent)]
    Refused(BoxError),
    /// No response came in time for several rows, so it is unknown whether they were stored. Fewer
    /// rows might be answered in time.
    #[error(transparent)]
    Late(BoxError),
    /// The service failed internally at every attempt, or something on the way blocks the request. One
    /// of the rows may be the cause.
    #[error(transparent)]
    Internal(BoxError),
    /// Anything else. Transient failures have been retried already.
    #[error(transparent)]
    Failed(BoxError),
}

impl DeliveryError {
    /// All attempts to deliver this many rows failed with this error.
    fn given_up<E>(rows: usize, gave_up: GaveUp<E>) -> Self
    where
        E: Transient + Error + Send + Sync + 'static,
    {
        let error = match gave_up.error.failure() {
            Failure::Late if rows > 1 => Self::Late,
            // With a single row, the row may be the cause of either.
            Failure::Late | Failure::Internal => Self::Internal,
            Failure::Other => Self::Failed,
        };
        error(gave_up.into())
    }
}

/// The result of a delivery.
#[derive(Debug)]
pub(crate) struct Delivery {
    /// One outcome per row, in order.
    pub outcomes: Vec<Outcome>,
    /// Bytes sent for the accepted rows.
    pub bytes: usize,
    /// Why rows are open; `None` if none are.
    pub error: Option<DeliveryError>,
    /// Accepted rows that the service put aside.
    pub quarantine: Option<Quarantine>,
}

/// Rows that the service acknowledged but put aside because they do not fit. They are never sent
/// again, and somebody has to look at them.
#[derive(Debug)]
pub(crate) struct Quarantine {
    /// The number of rows.
    pub rows: u64,
    /// Where they are, and what to do about them.
    pub advice: String,
}

impl Delivery {
    /// All rows were accepted.
    pub fn accepted(rows: usize, bytes: usize) -> Self {
        Self {
            outcomes: (0..rows).map(|_| Outcome::Accepted).collect(),
            bytes,
            error: None,
            quarantine: None,
        }
    }

    /// The delivery was refused as a whole. For a single row that is final; with several, it is
    /// unknown which one is at fault.
    pub fn refused(rows: usize, reason: BoxError) -> Self {
        if rows == 1 {
            return Self {
                outcomes: vec![Outcome::Refused(reason)],
                bytes: 0,
                error: None,
                quarantine: None,
            };
        }
        Self::open(rows, DeliveryError::Refused(reason))
    }

    /// The delivery failed, and the state of its rows is unknown.
    pub fn failed(rows: usize, error: BoxError) -> Self {
        Self::open(rows, DeliveryError::Failed(error))
    }

    /// All attempts failed with this error, and the state of the rows is unknown.
    pub fn given_up<E>(rows: usize, gave_up: GaveUp<E>) -> Self
    where
        E: Transient + Error + Send + Sync + 'static,
    {
        Self::open(rows, DeliveryError::given_up(rows, gave_up))
    }

    fn open(rows: usize, error: DeliveryError) -> Self {
        Self {
            outcomes: (0..rows).map(|_| Outcome::Open).collect(),
            bytes: 0,
            error: Some(error),
            quarantine: None,
        }
    }
}

/// The result of testing a destination without delivering anything.
#[derive(Debug)]
pub(crate) enum Probe {
    /// It works. The text says what shows that.
    Works(String),
    /// It could not be tested. The text says why.
    NotTried(String),
    /// It does not work.
    Fails(BoxError),
}

/// A service that takes records.
pub(crate) trait Destination: Send + Sync {
    /// What one delivery may hold.
    fn limits(&self) -> Limits;

    /// Whether records with these ids, one after the other, must be in separate deliveries.
    fn closes_between(&self, _last: &LogId, _next: &LogId) -> bool {
        false
    }

    /// Encodes a record in the service's format. An error says why that is impossible: the service
    /// will never take this record.
    fn encode(&self, record: &Record) -> Result<Bytes, BoxError>;

    /// A shortened row for a record that cannot be encoded for this reason, delivered in addition
    /// to the dead letter. The row says that it is incomplete.
    fn shortened(&self, _record: &Record, _why: &str) -> Option<Bytes> {
        None
    }

    /// Delivers rows in order as one delivery, which may be accepted in part.
    fn deliver<'a>(&'a self, rows: &'a [Bytes], deadline: Deadline) -> BoxFuture<'a, Delivery>;

    /// The stored records, if they can be read back.
    fn archived(&self) -> Option<&dyn Archived> {
        None
    }

    /// The cloud of the workspace, if this destination fills the table `Auth0AM_CL`.
    fn table(&self) -> Option<&'static Cloud> {
        None
    }

    /// Sends heartbeats to the workspace that gets the records, if there is one.
    fn heartbeats(&self) -> Option<&dyn Heartbeats> {
        None
    }

    /// Tests whether a delivery would work, without delivering anything.
    fn probe(&self, deadline: Deadline) -> BoxFuture<'_, Probe>;
}

/// The table of heartbeats beside the table of records, written by the same client.
pub(crate) trait Heartbeats: Send + Sync {
    /// Sends a heartbeat. Transient failures are retried until the deadline.
    fn send<'a>(
        &'a self,
        heartbeat: &Heartbeat,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<(), BoxError>>;

    /// Tests whether a heartbeat would be accepted, without storing one. `None` if the
    /// [test of deliveries](Destination::probe) shows that too.
    fn probe(&self, _deadline: Deadline) -> BoxFuture<'_, Option<Probe>> {
        Box::pin(async { None })
    }
}

/// Records that a destination stored and can read back, by the hour in which Auth0 stored them.
/// Records whose ids hold no time are kept apart.
pub(crate) trait Archived: Send + Sync {
    /// The names of an hour's objects, in the order of their records. Objects in one group overlap.
    fn groups(
        &self,
        hour: DateTime<Utc>,
        deadline: Deadline,
    ) -> BoxFuture<'_, Result<Vec<Vec<String>>, BoxError>>;

    /// The names of the objects of undated records, in no particular order, each in a group of its own.
    fn undated(&self, deadline: Deadline) -> BoxFuture<'_, Result<Vec<Vec<String>>, BoxError>>;

    /// The records of a group without duplicates, in ascending order of id.
    fn read<'a>(
        &'a self,
        group: &'a [String],
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Vec<Record>, BoxError>>;
}

#[cfg(test)]
mod tests {
    mod webhook;

    use std::time::Duration;

    use reqwest::StatusCode;

    use super::*;
    use crate::settings::AppSettings;

    /// Destinations whose service is at this host.
    fn served_by(host: &str) -> [(&'static str, Box<dyn Destination>); 3] {
        let topic = format!("{host}/api/events");
        let id = "01234567-89ab-cdef-0123-456789abcdef";
        let settings = [
            (
                "log-analytics",
                &[
                    ("WorkspaceID", id),
                    ("WorkspaceKey", "a2V5"),
                    ("logAnalyticsUri", host),
                ][..],
            ),
            (
                "event-grid",
                &[("EVENT_GRID_ENDPOINT", &topic), ("EVENT_GRID_KEY", "key")],
            ),
            (
                "tinybird",
                &[("TINYBIRD_HOST", host), ("TINYBIRD_TOKEN", "token")],
            ),
        ];
        settings.map(|(name, settings)| {
            let settings: AppSettings = settings.iter().copied().collect();
            let build = Kind::named(name).unwrap().build;
            let destination = Reader::read(&settings, |it| build(it, &Tools::for_test()));
            (name, destination.unwrap())
        })
    }

    #[tokio::test(start_paused = true)]
    async fn of_several_rows_that_are_not_answered_in_time_fewer_may_be() {
        // Nobody accepts connections here.
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let host = format!("http://{}", silent.local_addr().unwrap());
        for (name, destination) in served_by(&host) {
            for (rows, is_late) in [(2, true), (1, false)] {
                let rows = vec![Bytes::from_static(b"{}"); rows];
                let deadline = Deadline::after(Duration::ZERO);
                let error = destination.deliver(&rows, deadline).await.error.unwrap();
                let found = matches!(error, DeliveryError::Late(_));
                assert_eq!(found, is_late, "{name}: {error:?}");
                // With one row, the row may be the cause, as with an internal failure.
                let is_alone = matches!(error, DeliveryError::Internal(_));
                assert_eq!(is_alone, !is_late, "{name}: {error:?}");
            }
        }
    }

    /// A service that crashes on a row sends no response, and neither does a firewall that blocks
    /// one.
    #[tokio::test]
    async fn a_connection_that_ends_without_an_answer_may_do_so_for_a_row() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            loop {
                drop(listener.accept().await);
            }
        });
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let nobody = format!("http://{}", closed.local_addr().unwrap());
        drop(closed);
        for (host, expected) in [(host, true), (nobody, false)] {
            for (name, destination) in served_by(&host) {
                for rows in [1, 2] {
                    let rows = vec![Bytes::from_static(b"{}"); rows];
                    // The deadline allows no retry.
                    let deadline = Deadline::after(Duration::ZERO);
                    let error = destination.deliver(&rows, deadline).await.error.unwrap();
                    let found = matches!(error, DeliveryError::Internal(_));
                    assert_eq!(found, expected, "{name}: {error:?}");
                }
            }
        }
    }

    /// How a delivery of one row, and one of two, to each destination fails if this answers.
    async fn errors_of_deliveries_to(router: axum::Router) -> Vec<(String, DeliveryError)> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let mut errors = Vec::new();
        for (name, destination) in served_by(&host) {
            for rows in [1, 2] {
                let rows = vec![Bytes::from_static(b"{}"); rows];
                let deadline = Deadline::after(Duration::from_secs(20));
                let delivery = destination.deliver(&rows, deadline).await;
                errors.push((name.to_string(), delivery.error.unwrap()));
            }
        }
        errors
    }

    #[tokio::test]
    async fn a_service_that_fails_inside_may_do_so_for_a_row() {
        for (status, is_internal) in [(500, true), (502, true), (504, true), (503, false)] {
            let status = StatusCode::from_u16(status).unwrap();
            // The deadline allows no retry.
            let answer = (status, [("retry-after", "3600")]);
            let router = axum::Router::new().fallback(async move || answer);
            for (name, error) in errors_of_deliveries_to(router).await {
                let found = matches!(error, DeliveryError::Internal(_));
                assert_eq!(found, is_internal, "{name}, {status}: {error:?}");
            }
        }
    }

    /// What answers in place of a service may do so because of what one row holds.
    #[tokio::test]
    async fn a_page_or_a_redirect_in_place_of_an_acknowledgement_may_come_for_a_row() {
        let html = [("content-type", "text/html")];
        let large = format!("<html>{}", "x".repeat(100_000));
        for (status, headers, body) in [
            (200, html, "<html>Blocked</html>"),
            (200, html, &*large),
            (202, html, "<html>Blocked</html>"),
            (302, [("location", "https://proxy.example/blocked")], ""),
            (307, [("location", "https://proxy.example/blocked")], ""),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            let body = body.to_owned();
            let answer = async move || (status, headers, body.clone());
            let router = axum::Router::new().fallback(answer);
            for (name, error) in errors_of_deliveries_to(router).await {
                let is_internal = matches!(error, DeliveryError::Internal(_));
                assert!(is_internal, "{name}, {status}: {error:?}");
            }
        }
    }

    #[test]
    fn a_filter_and_what_becomes_of_personal_data_are_named_after_their_destination() {
        for kind in KINDS {
            let name = kind.name.to_uppercase().replace('-', "_");
            assert_eq!(kind.filter, format!("FILTER_{name}"));
            assert_eq!(kind.pii, format!("PII_{name}"));
        }
    }

    #[test]
    fn names_make_a_sentence() {
        let names = Kind::names();
        assert!(
            names.starts_with("log-analytics, logs-ingestion"),
            "{names}"
        );
        assert_eq!(names.matches(" or ").count(), 1);
        assert_eq!(
            names.split([',', ' ']).next_back(),
            KINDS.last().map(|it| it.name)
        );
    }
}
