//! Delivers every log record of an Auth0 tenant to where a security team queries them.
//!
//! The program is in [`cli`]. The other public items serve the code next to the program: the deployment
//! template is made from [`table`] and checked with [`judge_settings`], and the row benchmark uses
//! [`redact`] and [`pii`].
//!
//! The modules, from the ground up; none imports from a later one in this list:
//!
//! - `clock`, `encoded`, `error`, `json`: time, encoded characters, errors and JSON text, for all.
//! - `net` sends requests.
//! - `record` is what is read: a record, its id, a page, a place to begin, and the trait of a source.
//! - `report` is the result of a run.
//! - [`redact`] masks secrets; `settings` validates app settings; [`table`] makes a row of a record.
//! - [`pii`] treats personal data as the settings say; what a destination may see is its `Privacy`.
//! - `azure` knows Azure's clouds, identities and ingestion APIs; `aws` knows AWS's regions,
//!   credentials, signatures and event API; `storage` keeps small objects; `auth0` is the only source,
//!   and reads several pages at a time when it is far behind (`auth0/ahead`); `destination` holds a
//!   file for each destination.
//! - `run` is the run. What it needs from the ledger is in `run/ledger.rs`.
//! - `state` is that ledger: checkpoints, dead letters, and the history of recent deliveries.
//! - `arrival` checks whether delivered records are in the table.
//! - `audit` compares the records at Auth0 with those at a destination.
//! - `health` judges the stored state, for people and programs that monitor it.
//! - `host` speaks the Azure Functions host's protocol; `app` is the only wiring; [`cli`] holds a file
//!   for each command.
//!
//! Begin with the head of `state/checkpoint.rs`, which says what the cursor is, and then that of `run`.
//!
//! Nothing here reads the environment, and only `clock` reads the wall clock: both are passed in.

mod app;
mod arrival;
mod audit;
mod auth0;
mod aws;
mod azure;
pub mod cli;
mod clock;
mod destination;
mod encoded;
mod error;
#[cfg(test)]
mod fuzz;
mod health;
mod host;
mod json;
mod net;
pub mod pii;
mod record;
pub mod redact;
mod report;
mod run;
mod settings;
#[cfg(test)]
mod simulation;
mod state;
mod storage;
pub mod table;

pub use app::{judge_settings, setting_names};
