//! Delivers every log record of an Auth0 tenant to where a security team queries them.
//!
//! The rooms, from the outside in:
//!
//! - [`settings`] judges the app settings; [`app`] builds from them what the commands need.
//! - [`host`] speaks the Azure Functions host's protocol; [`check`] tries every connection.
//! - [`poll`] is the run: it reads from a source, delivers to a destination and moves a checkpoint.
//! - [`auth0`] is the source, [`destination`] the places records go to, [`checkpoint`] the cursor.
//! - [`storage`] keeps small objects; [`http`], [`retry`] and [`clock`] serve all of them.
//! - [`report`] is what a run says of itself.
//!
//! Nothing here reads the environment, and only [`clock`] reads the time: both are passed in.

pub mod app;
pub mod auth0;
pub mod check;
pub mod checkpoint;
pub mod clock;
pub mod destination;
pub mod host;
pub mod http;
pub mod poll;
pub mod report;
pub mod retry;
pub mod settings;
pub mod storage;

/// An error of any kind that can cross threads.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
