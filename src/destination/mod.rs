//! Where records go: one file for each service, which holds its settings, construction, wire form,
//! limits, errors and probe; and [`KINDS`], the list of them.
//!
//! A destination knows nothing of checkpoints or of where records come from: what is delivered when,
//! and what that means for the cursor, is the run's business.

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
use crate::net::retry::{Deadline, GaveUp, Jitter, Transient};
use crate::pii::Privacy;
use crate::record::{LogId, Record};
use crate::settings::Reader;
use crate::table::health::Heartbeat;

/// The destinations that the setting `DESTINATIONS` can name, the default first. Everything that
/// lists them is made of this.
pub(crate) const KINDS: [&Kind; 7] = [
    &log_analytics::KIND,
    &logs_ingestion::KIND,
    &event_grid::KIND,
    &event_bridge::KIND,
    &tinybird::KIND,
    &archive::KIND,
    &stdout::KIND,
];

/// A kind of destination, and how one is made.
pub(crate) struct Kind {
    /// Its name in `DESTINATIONS`, in paths and in reports.
    pub name: &'static str,
    /// What it is, for a line of help.
    pub about: &'static str,
    /// The names of the settings that only it reads.
    pub settings: &'static [&'static str],
    /// The setting that says which records it gets: `FILTER_` and its name.
    pub filter: &'static str,
    /// The setting that says what it may not see of a person: `PII_` and its name.
    pub pii: &'static str,
    /// Whether it writes records to standard output: for a person who looks, never under the
    /// Functions host, to which standard output is a log.
    pub is_for_a_look: bool,
    /// Whether what it makes has [`Heartbeats`].
    pub takes_heartbeats: bool,
    /// Makes one of its settings. `None` stands for a problem that the reader has noted.
    pub build: fn(&mut Reader, &Tools) -> Option<Box<dyn Destination>>,
}

impl Kind {
    /// The kind of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        KINDS.into_iter().find(|kind| kind.name == name)
    }

    /// All names, for a sentence: `a, b or c`.
    pub fn names() -> String {
        let mut names = KINDS.map(|kind| kind.name).join(", ");
        if let Some(last) = names.rfind(", ") {
            names.replace_range(last..=last, " or");
        }
        names
    }
}

/// What destinations are made with, besides their settings.
#[derive(Clone)]
pub(crate) struct Tools {
    /// Sends every request.
    pub http: reqwest::Client,
    /// The tenant's name in paths and events: its host. Empty where `DOMAIN` is bad, which is told
    /// elsewhere.
    pub tenant: String,
    /// What the destination may see of a record.
    pub privacy: Privacy,
    /// What time it is.
    pub clock: Clock,
    /// The source of everything random.
    pub jitter: Jitter,
}

#[cfg(test)]
impl Tools {
    /// For the tests of a destination, at a time of their own.
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

/// What one delivery may hold. The room that a delivery takes is `per_delivery`, and for each row its
/// bytes and `per_row`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Rows.
    pub rows: usize,
    /// Bytes. A single row may be larger.
    pub bytes: usize,
    /// Bytes that come with each row.
    pub per_row: usize,
    /// Bytes that come with each delivery.
    pub per_delivery: usize,
    /// Deliveries that may be under way at a time; 1 where one has to follow the other.
    pub side_by_side: usize,
}

/// Enough for 25 batches a second where a destination takes 100 ms for each.
const SIDE_BY_SIDE: usize = 4;

impl Limits {
    /// The framing of a JSON list: a bracket at its beginning, and after each row a comma or the
    /// other bracket.
    const JSON_LIST: Self = Self {
        rows: usize::MAX,
        bytes: usize::MAX,
        per_row: 1,
        per_delivery: 1,
        side_by_side: SIDE_BY_SIDE,
    };
    /// The framing of lines: after each row its end.
    const LINES: Self = Self {
        per_delivery: 0,
        ..Self::JSON_LIST
    };
}

/// What became of one row of a delivery.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The service acknowledged it: it is never sent again.
    Accepted,
    /// The service will never take it, for this reason, whatever stands beside it.
    Refused(BoxError),
    /// Neither. It may be missing, so it is to be delivered again some time.
    Open,
}

/// Why rows of a delivery are open.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeliveryError {
    /// There is a row among them that the service will never take, and it did not say which.
    #[error(transparent)]
    Refused(BoxError),
    /// There are several, and no answer came in time, so that nobody knows whether they were taken. Of
    /// fewer it may.
    #[error(transparent)]
    Late(BoxError),
    /// The service failed inside, each time. It may do so for one of the rows.
    #[error(transparent)]
    Internal(BoxError),
    /// Anything else. Passing failures have been tried again already.
    #[error(transparent)]
    Failed(BoxError),
}

/// What became of a delivery.
#[derive(Debug)]
pub(crate) struct Delivery {
    /// One for each row, in order.
    pub outcomes: Vec<Outcome>,
    /// Bytes of what was accepted, as they were sent.
    pub bytes: usize,
    /// Why rows are open; `None` where none is.
    pub error: Option<DeliveryError>,
    /// What of the accepted rows is not where it should be.
    pub quarantine: Option<Quarantine>,
}

/// Rows that the service acknowledged and put aside, since they do not fit. They are never sent
/// again, but somebody has to look after them.
#[derive(Debug)]
pub(crate) struct Quarantine {
    /// How many.
    pub rows: u64,
    /// Where they are, and what to do.
    pub advice: String,
}

impl Delivery {
    /// So many rows were accepted.
    pub fn accepted(rows: usize, bytes: usize) -> Self {
        Self {
            outcomes: (0..rows).map(|_| Outcome::Accepted).collect(),
            bytes,
            error: None,
            quarantine: None,
        }
    }

    /// So many rows were refused as a whole. Of a single row that is a verdict; of several nobody
    /// knows which is at fault.
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

    /// Of so many rows nothing is known.
    pub fn failed(rows: usize, error: BoxError) -> Self {
        Self::open(rows, DeliveryError::Failed(error))
    }

    /// Of so many rows nothing is known, since this came of all attempts.
    pub fn given_up<E>(rows: usize, gave_up: GaveUp<E>) -> Self
    where
        E: Transient + Error + Send + Sync + 'static,
    {
        let error = match &gave_up.error {
            error if error.is_late() && rows > 1 => DeliveryError::Late,
            error if error.is_late() || error.is_internal() => DeliveryError::Internal,
            _ => DeliveryError::Failed,
        };
        Self::open(rows, error(gave_up.into()))
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

/// What came of trying a destination without delivering anything.
#[derive(Debug)]
pub(crate) enum Probe {
    /// It works, and the text says how that shows.
    Works(String),
    /// It could not be tried, and the text says why.
    NotTried(String),
    /// It does not work.
    Fails(BoxError),
}

/// A service that takes records.
pub(crate) trait Destination: Send + Sync {
    /// What one delivery may hold.
    fn limits(&self) -> Limits;

    /// Whether these two, one after the other, must not be in one delivery.
    fn closes_between(&self, _last: &LogId, _next: &LogId) -> bool {
        false
    }

    /// The form in which the service takes a record. An error says why it has none: the service
    /// will never take this record.
    fn encode(&self, record: &Record) -> Result<Bytes, BoxError>;

    /// What can be delivered, beside the dead letter, of a record that has no such form for this
    /// reason. The row says that it is not the whole.
    fn shortened(&self, _record: &Record, _why: &str) -> Option<Bytes> {
        None
    }

    /// Hands rows over, in order, as one delivery, which may be accepted in part.
    fn deliver<'a>(&'a self, rows: &'a [Bytes], deadline: Deadline) -> BoxFuture<'a, Delivery>;

    /// What it took, where that can be read again.
    fn archived(&self) -> Option<&dyn Archived> {
        None
    }

    /// Where it fills the table `Auth0AM_CL`: the cloud of its workspace.
    fn table(&self) -> Option<&'static Cloud> {
        None
    }

    /// The way of heartbeats into the workspace that records go to, where they go to one.
    fn heartbeats(&self) -> Option<&dyn Heartbeats> {
        None
    }

    /// Tries whether a delivery would work, without delivering anything.
    fn probe(&self, deadline: Deadline) -> BoxFuture<'_, Probe>;
}

/// A table of heartbeats beside that of the records, by the same client.
pub(crate) trait Heartbeats: Send + Sync {
    /// Sends one. Passing failures are tried again until the deadline.
    fn send<'a>(
        &'a self,
        heartbeat: &Heartbeat,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<(), BoxError>>;
}

/// Records that a destination keeps so that they can be read again, hour by hour of when Auth0
/// stored them, and those by themselves whose ids do not tell that.
pub(crate) trait Archived: Send + Sync {
    /// The names of an hour's objects, in the order of the records in them. Those of one group
    /// overlap.
    fn groups(
        &self,
        hour: DateTime<Utc>,
        deadline: Deadline,
    ) -> BoxFuture<'_, Result<Vec<Vec<String>>, BoxError>>;

    /// The names of the objects of records whose ids tell no time, in no order, each as a group.
    fn undated(&self, deadline: Deadline) -> BoxFuture<'_, Result<Vec<Vec<String>>, BoxError>>;

    /// The records of a group, ascending by id, each once.
    fn read<'a>(
        &'a self,
        group: &'a [String],
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Vec<Record>, BoxError>>;
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use reqwest::StatusCode;

    use super::*;
    use crate::settings::AppSettings;

    /// Destinations whose service is this host.
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
        // Nobody takes what comes here.
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let host = format!("http://{}", silent.local_addr().unwrap());
        for (name, destination) in served_by(&host) {
            for (rows, is_late) in [(2, true), (1, false)] {
                let rows = vec![Bytes::from_static(b"{}"); rows];
                let deadline = Deadline::after(Duration::ZERO);
                let error = destination.deliver(&rows, deadline).await.error.unwrap();
                let found = matches!(error, DeliveryError::Late(_));
                assert_eq!(found, is_late, "{name}: {error:?}");
                // It may be for this one, as where a service fails inside.
                let is_alone = matches!(error, DeliveryError::Internal(_));
                assert_eq!(is_alone, !is_late, "{name}: {error:?}");
            }
        }
    }

    /// A service that comes down over a row gives no answer at all, and so does a firewall that lets one
    /// not through.
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
                    // Nothing is tried again within so long.
                    let deadline = Deadline::after(Duration::ZERO);
                    let error = destination.deliver(&rows, deadline).await.error.unwrap();
                    let found = matches!(error, DeliveryError::Internal(_));
                    assert_eq!(found, expected, "{name}: {error:?}");
                }
            }
        }
    }

    #[tokio::test]
    async fn a_service_that_fails_inside_may_do_so_for_a_row() {
        for (status, is_internal) in [(500, true), (502, true), (504, true), (503, false)] {
            let status = StatusCode::from_u16(status).unwrap();
            // Nothing is tried again within so long.
            let answer = (status, [("retry-after", "3600")]);
            let router = axum::Router::new().fallback(async move || answer);
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let host = format!("http://{}", listener.local_addr().unwrap());
            tokio::spawn(async move { axum::serve(listener, router).await });
            for (name, destination) in served_by(&host) {
                for rows in [1, 2] {
                    let rows = vec![Bytes::from_static(b"{}"); rows];
                    let deadline = Deadline::after(Duration::from_secs(20));
                    let error = destination.deliver(&rows, deadline).await.error.unwrap();
                    let found = matches!(error, DeliveryError::Internal(_));
                    assert_eq!(found, is_internal, "{name}, {status}: {error:?}");
                }
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
