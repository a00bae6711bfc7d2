//! Amazon's side: its regions, who this program is to AWS, how a request is signed and refused, and
//! the way onto a bus of `EventBridge`, as a client that puts entries.
//!
//! Nothing here knows what a record, a row or a checkpoint is. Credentials are handed out in the form
//! that `object_store` signs with, so that requests to S3 can be made with the same.

pub(crate) mod credentials;
pub(crate) mod event_bridge;
pub(crate) mod refusal;
pub(crate) mod region;
mod role;
pub(crate) mod settings;
mod sign;
