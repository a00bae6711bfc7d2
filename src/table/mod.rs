//! The table `Auth0AM_CL`: which columns it has, and how a record becomes one of its rows.
//!
//! The service makes a column of whatever it is sent, up to 500, and then drops rows behind a 200.
//! So the set of columns is fixed here, by [`catalogue`]; and [`row`] puts what has no column of
//! its own, or does not fit the one it has, into `AdditionalFields`, with its structure.

pub mod catalogue;
pub mod row;
