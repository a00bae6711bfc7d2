//! What is read: the records of a tenant's log, their ids, the pages they come in, the position
//! where reading begins, and the trait of everything that returns pages.
//!
//! This module knows what Auth0 writes, but not how it is fetched or where it goes.

mod category;
mod fields;
mod head;
mod log_id;
mod page;
mod position;
mod reach;
mod source;

use bytes::Bytes;
use chrono::{DateTime, Utc};

pub(crate) use self::category::{categories, category, types};
pub(crate) use self::fields::texts;
pub(crate) use self::head::{date_of, id_of, parse_date, record_of};
pub(crate) use self::log_id::{LONGEST_ID, LogId, STORING_DELAY};
pub(crate) use self::page::{
    Elements, MOST_MISFITS, Misfit, Page, PageError, parse_page, parse_page_of,
};
pub(crate) use self::position::{CLOCK_ERROR, Position, Start, StartFrom, has_waited, is_future};
pub(crate) use self::reach::Reach;
pub(crate) use self::source::{LONGEST_RETENTION, SHORTEST_RETENTION, Source, SourceError};

/// One Auth0 log event.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    /// `log_id`, or `_id` where that is missing: Auth0 writes the same value in both.
    pub log_id: LogId,
    /// When the event happened; `None` where the record has no readable `date`.
    pub date: Option<DateTime<Utc>>,
    /// The record's JSON text, a slice of the answer it came in.
    pub json: Bytes,
}

impl Record {
    /// The record's JSON text.
    pub fn text(&self) -> &str {
        // invariant: the text was a `str` before it became a slice of the answer
        #[allow(clippy::expect_used, reason = "stated above")]
        std::str::from_utf8(&self.json).expect("JSON text is Unicode")
    }
}
