//! Records on standard output, one JSON object a line: for a look before sending.

use std::io;

use bytes::Bytes;
use tokio::io::AsyncWriteExt as _;

use super::{DeliveryError, Destination, Limits, Receipt};
use crate::BoxError;
use crate::auth0::Record;
use crate::redact::Redaction;
use crate::retry::Deadline;

/// Standard output.
#[derive(Debug)]
pub struct Stdout {
    redaction: Redaction,
}

impl Stdout {
    /// Standard output, with secrets masked or not.
    #[must_use]
    pub fn new(redaction: Redaction) -> Self {
        Self { redaction }
    }
}

/// Why records were not written.
#[derive(Debug, thiserror::Error)]
enum StdoutError {
    #[error("writing records to standard output")]
    Write(#[source] io::Error),
    #[error("standard output took no more records before the run's time was over")]
    OutOfTime,
}

impl Destination for Stdout {
    fn name(&self) -> &'static str {
        "stdout"
    }

    fn limits(&self) -> Limits {
        Limits {
            rows: 1_000,
            bytes: 8_000_000,
        }
    }

    fn row(&self, record: &Record) -> Result<Bytes, BoxError> {
        Ok(self.redaction.line(record.text()).into())
    }

    async fn deliver(&self, rows: &[Bytes], deadline: Deadline) -> Result<Receipt, DeliveryError> {
        let mut lines = rows.join(&b'\n');
        lines.push(b'\n');
        let write = async {
            let mut stdout = tokio::io::stdout();
            stdout.write_all(&lines).await.map_err(StdoutError::Write)?;
            stdout.flush().await.map_err(StdoutError::Write)
        };
        tokio::time::timeout_at(deadline.for_answers(), write)
            .await
            .unwrap_or(Err(StdoutError::OutOfTime))
            .map_err(|error| DeliveryError::Failed(error.into()))?;
        Ok(Receipt { bytes: lines.len() })
    }
}
