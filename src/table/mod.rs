//! The table `Auth0AM_CL`: which columns it has, and how a record becomes one of its rows.
//!
//! The service makes a column of whatever it is sent, up to 500, and then drops rows although it answers 200.
//! So the set of columns is fixed here, by [`catalogue`]; and [`row`] puts what has no column of
//! its own, or does not fit the one it has, into `AdditionalFields`, with its structure. Of a record
//! that is too large even so, [`shortened`] makes a row that says so.
//!
//! Beside it is the table `Auth0AMHealth_CL`, in [`health`].

pub mod catalogue;
pub mod health;
pub mod row;
pub mod schema;
pub(crate) mod shortened;

/// The two ways into a table, which take rows in slightly different forms.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Api {
    /// The HTTP Data Collector API: it flattens what it is sent and appends a suffix for the type
    /// that it sees in the value.
    DataCollector,
    /// The Logs Ingestion API: it takes what its rule declares, suffixes spelled out, and drops
    /// the rest although it answers with success.
    LogsIngestion,
}

impl Api {
    /// Bytes of one field. Of what is longer the services keep the beginning: 32,766 bytes and
    /// 64 KiB.
    #[must_use]
    pub fn longest_field(self) -> usize {
        match self {
            Self::DataCollector => 32_000,
            Self::LogsIngestion => 64_000,
        }
    }

    /// Parts of `AdditionalFields` that there are at most.
    #[must_use]
    pub fn parts(self) -> usize {
        match self {
            Self::DataCollector => 128,
            Self::LogsIngestion => 16,
        }
    }

    /// Bytes of a row, if a delivery limits them: 1 MB with the brackets of a list around it.
    #[must_use]
    pub fn longest_row(self) -> usize {
        match self {
            Self::DataCollector => usize::MAX,
            Self::LogsIngestion => 999_998,
        }
    }
}
