//! Delivers every log record of an Auth0 tenant to where a security team queries them.
//!
//! Begin with the head of [`checkpoint`], which says what the cursor is, and then read [`poll`], the
//! run. It knows four things: a [`source`] of records, a [`destination`], a checkpoint store, and a
//! place for [`dead_letter`]s. What an Auth0 log id is stands at [`auth0::LogId`].
//!
//! The rooms around it:
//!
//! - [`settings`] judges the app settings; [`app`] builds from them what the commands need.
//! - [`host`] speaks the Azure Functions host's protocol; [`check`] tries every connection.
//! - [`auth0`] is the one source there is; [`destination`] holds a file for each destination.
//! - [`table`] makes a row of a record, [`redact`] masks secrets, both over the tokens of [`json`].
//! - [`storage`] keeps small objects; [`identity`] gets tokens for Azure, which [`token`] keeps as it
//!   does Auth0's; [`http`], [`retry`] and [`clock`] serve all of them.
//! - [`report`] is what a run says of itself.
//!
//! Nothing here reads the environment, and only [`clock`] reads the wall clock: both are passed in.

pub mod app;
pub mod auth0;
pub mod check;
pub mod checkpoint;
pub mod clock;
pub mod dead_letter;
pub mod destination;
pub mod host;
pub mod http;
pub mod identity;
pub mod json;
pub mod poll;
pub mod redact;
pub mod report;
pub mod retry;
pub mod settings;
pub mod source;
pub mod storage;
pub mod table;
pub mod token;

/// An error of any kind that can cross threads.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
