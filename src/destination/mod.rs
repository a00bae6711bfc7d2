//! Where records go: one file for each service, behind one small trait.
//!
//! A destination knows its service's wire format, limits and errors. It knows nothing of
//! checkpoints: what is delivered when, and what that means for the cursor, is the poller's
//! business.

pub mod log_analytics;
pub mod logs_ingestion;
pub mod stdout;

use std::future::Future;

use bytes::Bytes;

use crate::BoxError;
use crate::auth0::Record;
use crate::retry::Deadline;

/// What one delivery may hold.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Rows.
    pub rows: usize,
    /// Bytes, what stands around and between the rows included. A single row may be larger.
    pub bytes: usize,
}

/// A delivery that was acknowledged.
#[derive(Clone, Copy, Debug)]
pub struct Receipt {
    /// Bytes that were sent.
    pub bytes: usize,
}

/// Why a delivery was not acknowledged.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// The service finds fault with what it was sent: there is a row that it will never take.
    #[error(transparent)]
    Refused(BoxError),
    /// Anything else. Passing failures have been tried again already.
    #[error(transparent)]
    Failed(BoxError),
}

/// A service that takes records.
pub trait Destination: Send + Sync {
    /// Its name in the setting `DESTINATIONS`.
    fn name(&self) -> &'static str;

    /// What one delivery may hold.
    fn limits(&self) -> Limits;

    /// The form in which the service takes a record. An error says why it has none: the service
    /// will never take this record.
    fn row(&self, record: &Record) -> Result<Bytes, BoxError>;

    /// Hands rows over, in order, as one delivery.
    ///
    /// `Ok` means that the service acknowledged every row: the caller may forget them. An error
    /// means that any of them may be missing, so the caller delivers all of them again some time.
    fn deliver(
        &self,
        rows: &[Bytes],
        deadline: Deadline,
    ) -> impl Future<Output = Result<Receipt, DeliveryError>> + Send;
}

/// A JSON list of rows that are JSON already.
fn json_list(rows: &[Bytes]) -> Bytes {
    let length = rows.iter().map(|row| row.len() + 1).sum::<usize>() + 1;
    let mut list = Vec::with_capacity(length.max(2));
    list.push(b'[');
    for row in rows {
        if list.len() > 1 {
            list.push(b',');
        }
        list.extend_from_slice(row);
    }
    list.push(b']');
    list.into()
}

/// The destinations that the setting can name.
pub enum AnyDestination {
    /// `log-analytics`
    LogAnalytics(log_analytics::LogAnalytics),
    /// `logs-ingestion`
    LogsIngestion(Box<logs_ingestion::LogsIngestion>),
    /// `stdout`
    Stdout(stdout::Stdout),
}

impl Destination for AnyDestination {
    fn name(&self) -> &'static str {
        match self {
            Self::LogAnalytics(it) => it.name(),
            Self::LogsIngestion(it) => it.name(),
            Self::Stdout(it) => it.name(),
        }
    }

    fn limits(&self) -> Limits {
        match self {
            Self::LogAnalytics(it) => it.limits(),
            Self::LogsIngestion(it) => it.limits(),
            Self::Stdout(it) => it.limits(),
        }
    }

    fn row(&self, record: &Record) -> Result<Bytes, BoxError> {
        match self {
            Self::LogAnalytics(it) => it.row(record),
            Self::LogsIngestion(it) => it.row(record),
            Self::Stdout(it) => it.row(record),
        }
    }

    async fn deliver(&self, rows: &[Bytes], deadline: Deadline) -> Result<Receipt, DeliveryError> {
        match self {
            Self::LogAnalytics(it) => it.deliver(rows, deadline).await,
            Self::LogsIngestion(it) => it.deliver(rows, deadline).await,
            Self::Stdout(it) => it.deliver(rows, deadline).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_handed_over_as_one_json_list() {
        let rows = [Bytes::from_static(b"{}"), Bytes::from_static(br#"{"a":1}"#)];
        assert_eq!(&json_list(&rows)[..], br#"[{},{"a":1}]"#);
        assert_eq!(&json_list(&rows[..1])[..], b"[{}]");
        assert_eq!(&json_list(&[])[..], b"[]");
    }
}
