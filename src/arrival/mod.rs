//! Proof of arrival. An acknowledgement does not prove that a row is in the table, so the table is
//! queried some time after each delivery.
//!
//! [`state`](crate::state) keeps what was accepted, and draws the conclusions from what was found. This
//! module only queries. Neither its findings nor its failures keep a record from being delivered.

mod error;
mod listing;
mod noting;
mod proof;
mod question;
mod settings;
#[cfg(test)]
mod simulated;
mod table;

pub(crate) use self::noting::Noting;
pub(crate) use self::proof::Proof;
pub(crate) use self::settings::{SETTINGS, WORKSPACE, Workspace, timing, workspace};
pub(crate) use self::table::Table;
