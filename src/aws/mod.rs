//! The AWS side: its regions, this program's credentials, how a request is signed and refused, and
//! a client that puts entries onto a bus of `EventBridge`.
//!
//! Nothing here knows what a record, a row or a checkpoint is. Credentials come in the form that
//! `object_store` signs with, so that requests to S3 can use the same ones.

pub(crate) mod credentials;
pub(crate) mod event_bridge;
pub(crate) mod refusal;
pub(crate) mod region;
mod role;
pub(crate) mod settings;
mod sign;
