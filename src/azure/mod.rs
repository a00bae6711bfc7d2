//! Azure's side: its clouds, who this program is to it, a storage account by its description, and the two
//! ways into a Log Analytics workspace, the one out of it and the one into Event Grid, as clients that
//! post bytes.
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
