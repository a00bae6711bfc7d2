//! Why the tenant's log was not read.

use reqwest::StatusCode;

use super::logs::{MOST, PAGE};
use super::rate_limit::Closed;
use super::token::TokenError;
use crate::net::http::{self, SendError};
use crate::net::retry::{Again, Failure, GaveUp, Transient};
use crate::record::{LogId, PageError, SourceError};

/// Why the log was not read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LogsError {
    /// There is no token to read with.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The request failed, or its answer was not read.
    #[error("reading the log of {host}")]
    Send { host: String, source: SendError },
    /// A page of more records than requested, and more than [`MOST`].
    #[error("{host} sent more than {MOST} records at once, where {PAGE} were asked for")]
    TooManyRecords { host: String },
    /// The next record alone exceeds the size limit, and cannot be skipped because its id is unknown.
    #[error(
        "the record after {after} is larger than {} bytes, which are all that is read, and {host} \
         does not tell its id, without which it cannot be passed",
        http::MAX_PAGE
    )]
    RecordTooLarge {
        host: String,
        /// The id that precedes the record.
        after: LogId,
    },
    /// A page with nothing but records up to the requested id. Reading on from it would repeat
    /// everything since.
    #[error(
        "reading makes no progress: of the records after {after}, {host} sent none but earlier ones"
    )]
    NoProgress {
        host: String,
        /// The id after which records were asked for.
        after: LogId,
    },
    /// Auth0 ignored an id that is not a record's, and answered as if no id had been given.
    #[error("{host} ignores the id {after}, which is not that of a record")]
    NotHeeded {
        host: String,
        /// The id after which records were asked for.
        after: LogId,
    },
    /// 400: Auth0 cannot do what was asked, such as reading after an id it no longer has.
    #[error("{host} rejected the request: {said}")]
    BadRequest { host: String, said: String },
    /// 401, or a 400 about the token, although the token is new.
    #[error("{host} refused a new token: {said}; check that AUDIENCE and DOMAIN belong together")]
    Unauthorized { host: String, said: String },
    /// 403: the token has no permission to read logs.
    #[error(
        "{host} does not let this application read logs ({said}); in the Auth0 dashboard give it \
         the permission read:logs for the Auth0 Management API"
    )]
    Forbidden { host: String, said: String },
    /// 404: this is no Auth0 tenant.
    #[error("{host} has no Management API (404); check DOMAIN")]
    NotFound { host: String },
    /// A redirect, which would take the token to another address.
    #[error("{host} redirects to {location}, which is not followed; check DOMAIN")]
    Redirected { host: String, location: String },
    /// Any other status.
    #[error("{host} answered {status}: {said}")]
    Status {
        host: String,
        status: StatusCode,
        said: String,
        /// Whether this is no answer of Auth0, but a page of what blocks the request.
        is_blocked: bool,
        again: Again,
    },
    /// 200 with a body that is not a page of records.
    #[error("{host} sent a page that cannot be read{said}")]
    Page {
        host: String,
        /// An excerpt of the body in parentheses, or nothing if the body is a list, which may hold records.
        said: String,
        source: PageError,
    },
    /// 200 with something other than the record requested by its id.
    #[error("{host} sent something else than the record {id}")]
    OtherRecord { host: String, id: LogId },
    /// 429: the tenant's rate limit, or a quota.
    #[error("{host} answered 429 Too Many Requests: {said}; {closed}")]
    TooMany {
        host: String,
        said: String,
        closed: Closed,
        /// Whether another attempt can be made before the run's deadline.
        again: Again,
    },
    /// No request was made: the tenant's rate limit allows none before the run's deadline.
    #[error(transparent)]
    ResetTooLate(#[from] Closed),
}

impl Transient for LogsError {
    fn again(&self) -> Again {
        match self {
            Self::Token(error) => error.again(),
            Self::Send { source, .. } => source.again(),
            Self::Status { again, .. } | Self::TooMany { again, .. } => *again,
            Self::BadRequest { .. }
            | Self::Unauthorized { .. }
            | Self::Forbidden { .. }
            | Self::NotFound { .. }
            | Self::Redirected { .. }
            | Self::TooManyRecords { .. }
            | Self::NoProgress { .. }
            | Self::NotHeeded { .. }
            | Self::RecordTooLarge { .. }
            | Self::Page { .. }
            | Self::OtherRecord { .. }
            | Self::ResetTooLate(_) => Again::Never,
        }
    }
}

impl LogsError {
    /// Whether the answer exceeded the size limit of its request.
    pub fn is_too_large(&self) -> bool {
        matches!(
            self,
            Self::Send {
                source: SendError::TooLarge(_),
                ..
            }
        )
    }

    /// Whether the cause may be one of the records in the answer, or that they are many: Auth0 fails
    /// over them, or something on the way blocks them.
    pub fn may_be_for_a_record(&self) -> bool {
        match self {
            Self::Send { source, .. } => {
                !self.is_too_large() && source.failure() == Failure::Internal
            }
            Self::Status {
                status: StatusCode::FORBIDDEN,
                is_blocked,
                ..
            } => *is_blocked,
            Self::Status { status, .. } => {
                status.is_server_error() || http::failure(*status) != Failure::Other
            }
            Self::Redirected { .. } | Self::Page { .. } => true,
            _ => false,
        }
    }

    /// Whether the answer did not come in time.
    pub fn is_time_out(&self) -> bool {
        match self {
            Self::Send { source, .. } => source.is_time_out(),
            _ => false,
        }
    }
}

/// After up to this many failed attempts, a rate limit that resets too late counts as lack of time.
/// After more, the limit had been waited for already, or Auth0 does not answer.
const FAILED_AT_A_LIMIT: u32 = 1;

/// Classifies a failure. An exhausted rate limit that resets soon is nobody's fault. A longer
/// lockout, or a limit that is exhausted again after a wait, counts as no answer from Auth0.
pub(super) fn source_error(error: GaveUp<LogsError>) -> SourceError {
    let limit = match &error.error {
        LogsError::TooMany { closed, .. } => Some((closed, error.attempts())),
        // The last attempt was not made.
        LogsError::ResetTooLate(closed) => Some((closed, error.attempts() - 1)),
        _ => None,
    };
    match &error.error {
        _ if limit.is_some_and(|(it, failed)| !it.is_long() && failed <= FAILED_AT_A_LIMIT) => {
            SourceError::OutOfTime(error.into())
        }
        LogsError::TooMany { .. }
        | LogsError::ResetTooLate(_)
        | LogsError::Token(TokenError::ResetTooLate { .. })
        | LogsError::Send {
            source: SendError::OutOfTime,
            ..
        } => SourceError::Slow(error.into()),
        _ => SourceError::Failed(error.into()),
    }
}
