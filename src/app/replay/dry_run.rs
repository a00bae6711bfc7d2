//! A dry run does everything but send and store.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;

use crate::destination::{Delivery, Destination, Limits, Probe};
use crate::error::BoxError;
use crate::net::retry::Deadline;
use crate::record::{LogId, Record};
use crate::run::{DeadLetter, DeadLetters, Kept};

/// A destination to which nothing is sent.
pub(super) struct Dry<'a>(pub &'a dyn Destination);

impl Destination for Dry<'_> {
    fn limits(&self) -> Limits {
        self.0.limits()
    }

    fn closes_between(&self, last: &LogId, next: &LogId) -> bool {
        self.0.closes_between(last, next)
    }

    fn encode(&self, record: &Record) -> Result<Bytes, BoxError> {
        self.0.encode(record)
    }

    fn shortened(&self, record: &Record, why: &str) -> Option<Bytes> {
        self.0.shortened(record, why)
    }

    fn deliver<'a>(&'a self, rows: &'a [Bytes], _: Deadline) -> BoxFuture<'a, Delivery> {
        let bytes = rows.iter().map(Bytes::len).sum();
        Box::pin(std::future::ready(Delivery::accepted(rows.len(), bytes)))
    }

    fn probe(&self, deadline: Deadline) -> BoxFuture<'_, Probe> {
        self.0.probe(deadline)
    }
}

/// Dead letters, which are not stored in a dry run.
pub(super) struct Letters<'a, A> {
    pub kept: &'a A,
    pub is_dry: bool,
}

impl<A: DeadLetters> DeadLetters for Letters<'_, A> {
    async fn set_aside(
        &self,
        letter: DeadLetter<'_>,
        now: DateTime<Utc>,
        deadline: Deadline,
    ) -> Result<Kept, BoxError> {
        if self.is_dry {
            return Ok(Kept {
                place: "no place, since this is a dry run".into(),
                is_new: true,
            });
        }
        self.kept.set_aside(letter, now, deadline).await
    }
}
