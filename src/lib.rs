//! Delivers every log record of an Auth0 tenant to where a security team queries them.
//!
//! The program is in [`cli`]. The rest of what is public is for what stands beside it: the deployment
//! template is made from [`table`] and judged by [`judge_settings`], and the benchmark of rows wants
//! [`redact`] and [`pii`].
//!
//! The rooms, from the ground up; none imports from those below it in this list:
//!
//! - `clock`, `encoded`, `error`, `json`: time, encoded characters, errors and JSON text, for all.
//! - `record` is what is read: a record, its id, a page, a place to begin, and the trait of a source.
//! - `report` is what a run says of itself.
//! - `net` sends requests; `settings` judges app settings; [`redact`] masks secrets; [`table`] makes a
//!   row of a record.
//! - [`pii`] treats personal data as the settings say; what a destination may see is its `Privacy`.
//! - `azure` knows Azure's clouds, identities and ways in; `aws` AWS's regions, credentials and
//!   signatures, and a way in; `storage` keeps small objects; `auth0` is the one source there is, and
//!   reads side by side where it is far behind (`auth0/ahead`);
//!   `destination` holds a file for each destination.
//! - `run` is the run: begin here, with its head. What it asks of the book-keeping is in
//!   `run/ledger.rs`.
//! - `state` is that book-keeping: checkpoints, dead letters, and what was accepted lately. What the cursor is stands at the head
//!   of `state/checkpoint.rs`.
//! - `arrival` asks whether what was delivered is there.
//! - `audit` compares what is at Auth0 with what is at a destination.
//! - `health` judges what is kept, for people and programs that look.
//! - `app` is the only wiring; `host` speaks the Azure Functions host's protocol; [`cli`] holds a file
//!   for each command.
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
