//! The Azure side: its clouds, this program's identity, storage accounts, and clients: two that
//! post bytes to a Log Analytics workspace, one that queries it, and one that posts to Event Grid.
//!
//! Nothing here knows what a record, a row or a checkpoint is.

pub(crate) mod account;
pub(crate) mod cloud;
pub(crate) mod data_collector;
pub(crate) mod event_grid;
pub(crate) mod identity;
pub(crate) mod log_query;
pub(crate) mod logs_ingestion;
pub(crate) mod principal;
