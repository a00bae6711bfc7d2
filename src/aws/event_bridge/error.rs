//! What may go wrong between this program and `EventBridge`, and what to do about it.

use reqwest::StatusCode;

use crate::aws::credentials::RoleError;
use crate::aws::sign::SignError;
use crate::net::http::{self, SendError};
use crate::net::retry::{Again, Failure, Transient};

/// An entry that the service will never accept.
#[derive(Debug, thiserror::Error)]
#[error("EventBridge refused the entry: {said}")]
pub(crate) struct EntryError {
    pub(super) said: String,
}

/// Why a call to the service failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EventBridgeError {
    /// There are no credentials to sign with.
    #[error(transparent)]
    Role(#[from] Box<RoleError>),
    /// The request was not signed.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// The request failed, or its answer was not read.
    #[error("calling {host}; check AWS_REGION and EVENT_BRIDGE_ENDPOINT")]
    Send { host: String, source: SendError },
    /// The service refused the credentials, or the signature made with them.
    #[error("{host} refused the credentials: {said}; {remedy}{clock}")]
    Credentials {
        host: String,
        said: String,
        remedy: &'static str,
        clock: String,
    },
    /// The credentials are valid, but not allowed to do this.
    #[error(
        "{host} does not allow these credentials {action}: {said}; in the policy of the user or role \
         allow {action} on {resource}, and see that the bus's own policy and the organization's do \
         not forbid it"
    )]
    NotAllowed {
        host: String,
        action: String,
        resource: String,
        said: String,
    },
    /// There is no such bus. AWS would acknowledge entries for it nevertheless, and drop them.
    #[error(
        "there is no bus {bus} at {host}, where AWS would drop what it acknowledges, so nothing was \
         sent: {said}; make it (aws events create-event-bus --name …), or correct EVENT_BRIDGE_BUS \
         and AWS_REGION"
    )]
    NoBus {
        bus: String,
        host: String,
        said: String,
    },
    /// Entries are refused for something that they all have in common.
    #[error("the bus {bus} takes no entry of this program: {said}; {remedy}")]
    Closed {
        bus: String,
        said: String,
        remedy: &'static str,
    },
    /// Entries were not accepted for now. `is_internal` is set if the service failed internally at
    /// all of them.
    #[error("EventBridge did not take {count} of the entries for now: {said}")]
    Busy {
        count: usize,
        said: String,
        is_internal: bool,
    },
    /// Another service answers at this address.
    #[error("{host} is not EventBridge: {said}; check AWS_REGION and EVENT_BRIDGE_ENDPOINT")]
    OtherService { host: String, said: String },
    /// A success without what AWS answers, such as the outcome of each entry.
    #[error(
        "{host} answered {action} with success and something else than what AWS answers: {said}; \
         check EVENT_BRIDGE_ENDPOINT, and that no proxy answers in its place"
    )]
    NotUnderstood {
        host: String,
        action: &'static str,
        said: String,
    },
    /// Any other answer than 200.
    #[error("{host} answered {status}: {said}")]
    Status {
        host: String,
        status: StatusCode,
        said: String,
        again: Again,
    },
}

impl EventBridgeError {
    /// Whether the service refused what was sent, and not its sender or the address.
    pub fn is_about_content(&self) -> bool {
        matches!(self, Self::Status { status, again: Again::Never, .. }
            if matches!(*status, StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE))
    }
}

impl Transient for EventBridgeError {
    fn again(&self) -> Again {
        match self {
            Self::Role(error) => error.again(),
            Self::Send { source, .. } => source.again(),
            Self::Status { again, .. } => *again,
            Self::Busy { .. } => Again::Soon,
            Self::Sign(_)
            | Self::Credentials { .. }
            | Self::NotAllowed { .. }
            | Self::NoBus { .. }
            | Self::Closed { .. }
            | Self::OtherService { .. }
            | Self::NotUnderstood { .. } => Again::Never,
        }
    }

    fn failure(&self) -> Failure {
        match self {
            Self::Busy {
                is_internal: true, ..
            }
            | Self::NotUnderstood { .. } => Failure::Internal,
            Self::Send { source, .. } => source.failure(),
            Self::Status { status, .. } => http::failure(*status),
            _ => Failure::Other,
        }
    }
}
