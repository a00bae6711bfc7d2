//! Why it is not known what is in the table.

use chrono::{DateTime, Utc};

use super::question::TABLE;
use crate::azure::log_query::LogQueryError;
use crate::clock::to_seconds;
use crate::net::retry::GaveUp;
use crate::settings::SettingsError;
use crate::state::{MOST_HOURS, MOST_IDS};

/// Why it is unknown what has arrived.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(transparent)]
    Query(#[from] GaveUp<LogQueryError>),
    #[error("the workspace answered the query in a form that is not known")]
    Form,
    #[error("the time of the run was over before the workspace had answered the query")]
    OutOfTime,
    #[error(
        "the workspace has no table {TABLE}, or nothing in it, which is so before its first row and up \
         to half an hour after; check WorkspaceID, and ask again later"
    )]
    Nothing,
    #[error("the table has more than {most} rows of one second, {}, which are too many to list", to_seconds(*second))]
    Crowded { second: DateTime<Utc>, most: usize },
    #[error(
        "{count} acknowledged records will not be looked for, as no more than {MOST_IDS} of an hour and \
         {MOST_HOURS} hours are kept until then; `auth0-poller audit` looks for all of an hour"
    )]
    TooMany { count: u64 },
    #[error(
        "{count} acknowledged records could not be noted and will not be looked for; `auth0-poller audit` \
         looks for them"
    )]
    Unnoted { count: u64 },
}
