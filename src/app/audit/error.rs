//! Why an audit is not complete.

use crate::report::Gap;

/// Why a destination is not compared, or not completely.
#[derive(Debug, thiserror::Error)]
pub(super) enum AuditError {
    #[error("this destination cannot be queried for its records, so it is not audited")]
    Unasked,
    #[error("the oldest record at Auth0 could not be found: {0}")]
    Oldest(String),
    #[error(
        "the hour from {hour} could not be read at Auth0, so neither it nor what follows is compared: \
         {why}"
    )]
    Reading { hour: String, why: String },
    #[error(
        "Auth0 has none of these records any more, and the destination has {surplus}, so nothing was \
         compared; ask for a stretch that Auth0 still keeps"
    )]
    Gone { surplus: u64 },
    #[error("records {0} are not compared: Auth0 keeps none for so long; ask for a later stretch")]
    Beyond(Gap),
    #[error(
        "Auth0 has no records of this time, or none any more, so nothing was compared; ask for a \
         stretch of which it has some"
    )]
    Nothing,
    #[error(
        "all {undated} records that Auth0 has of this time have no log id, or one that tells no time, so \
         nothing was compared"
    )]
    Undated { undated: u64 },
    #[error(
        "the destination could not be queried for the hour from {hour}, so neither it nor what follows is \
         compared: {why}"
    )]
    Asking { hour: String, why: String },
    #[error(
        "missing records of the hour from {hour} could not be delivered again, so what follows it is not \
         compared: {why}"
    )]
    Mending { hour: String, why: String },
    #[error("missing records of the hour from {hour} could not be delivered again: {why}")]
    Unmended { hour: String, why: String },
}
