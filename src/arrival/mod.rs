//! Proof of arrival: an acknowledgement is not a row in the table, so some time after a delivery the
//! table is asked.
//!
//! What was accepted, and what follows from what was found, is book-keeping of [`state`](crate::state).
//! This room asks. Nothing that it finds out or fails at keeps a record from being delivered.

mod listing;
mod noting;
mod proof;
mod question;
mod settings;
mod table;

pub(crate) use self::noting::Noting;
pub(crate) use self::proof::Proof;
pub(crate) use self::settings::{SETTINGS, asking, timing};
pub(crate) use self::table::Table;
