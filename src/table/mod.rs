//! The table `Auth0AM_CL`: which columns it has, and how a record becomes one of its rows.
//!
//! The service creates a column for every new field, up to 500. After that it drops rows, although
//! it answers 200. So [`catalogue`] fixes the set of columns. [`row`] puts everything that has no
//! column, or does not fit its column, into `AdditionalFields`, with its structure. For a record
//! that is still too large, `shortened` builds a row that says so.
//!
//! The table `Auth0AMHealth_CL` is in [`health`].

pub mod catalogue;
pub mod health;
pub mod row;
pub mod schema;
pub(crate) mod shortened;

/// The two APIs that fill a table, which take rows in slightly different forms.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Api {
    /// The HTTP Data Collector API: it flattens the JSON, and appends a suffix for the type that it
    /// sees in the value.
    DataCollector,
    /// The Logs Ingestion API: it takes the columns that its rule declares, named with their
    /// suffixes. It drops all others, although it answers with success.
    LogsIngestion,
}

impl Api {
    /// Maximum bytes of a field. The services truncate longer ones, to 32,766 bytes and to 64 KiB.
    #[must_use]
    pub fn longest_field(self) -> usize {
        match self {
            Self::DataCollector => 32_000,
            Self::LogsIngestion => 64_000,
        }
    }

    /// Maximum number of parts of `AdditionalFields`.
    #[must_use]
    pub fn parts(self) -> usize {
        match self {
            Self::DataCollector => 128,
            Self::LogsIngestion => 16,
        }
    }

    /// Maximum bytes of a row: 1 MB less the brackets of a list, if the API limits a delivery.
    #[must_use]
    pub fn longest_row(self) -> usize {
        match self {
            Self::DataCollector => usize::MAX,
            Self::LogsIngestion => 999_998,
        }
    }
}
