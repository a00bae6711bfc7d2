//! The outside world of `auth0-poller`, for its tests and its demo.
//!
//! - [`Tenant`]: an Auth0 tenant, with its token endpoint and its log.
//! - [`Backlog`]: a tenant with a long log that answers fast, for benchmarks.
//! - [`Tally`]: the ingestion APIs of Log Analytics, for benchmarks; it counts and keeps nothing.
//! - [`Workspace`]: a Log Analytics workspace that takes the HTTP Data Collector API.
//! - [`DataCollectionRule`]: a data collection rule that takes the Logs Ingestion API.
//! - [`QueryApi`]: the query API of Log Analytics, over what has arrived.
//! - [`Blobs`]: a container of blobs that holds an archive.
//! - [`EventGridTopic`]: a topic of Event Grid, by itself or in a namespace.
//! - [`TinybirdWorkspace`]: a workspace of Tinybird that takes the Events API.
//! - [`EventBus`]: a bus of Amazon EventBridge, and [`Sts`], which lets identities assume a role in
//!   its [`AwsAccount`].
//! - [`FunctionsHost`]: a strict **stand-in** for the Azure Functions host, which cannot be
//!   installed from the package registries. It does what the real one was observed to do, and fails
//!   where the real one is lenient or hangs, so passing here is harder.
//! - [`Azurite`]: Microsoft's own storage emulator, started and stopped.
//! - [`Moto`]: an emulator of AWS from `PyPI`, fetched like all else there by [`python`].
//! - [`ManagedIdentity`]: the endpoint from which a Function App gets tokens for its identity.
//! - [`EntraId`]: the endpoint from which a program outside Azure gets tokens for its secret.
//! - [`Issuer`]: issues the tokens of both, and tells the services that get them if they are good.
//!
//! Nothing here uses code of `auth0-poller`: signatures, columns and ids have code of their own,
//! made from what the services document and were observed to do.

pub mod arrivals;
pub mod aws;
pub mod azurite;
pub mod backlog;
pub mod blobs;
mod bucket;
pub mod entra;
pub mod event_bridge;
pub mod event_grid;
pub mod host;
pub mod identity;
pub mod ingestion;
pub mod issuer;
pub mod moto;
pub mod python;
pub mod query;
pub mod records;
pub mod rule;
mod server;
mod sigv4;
pub mod tally;
pub mod tenant;
pub mod tinybird;
pub mod workspace;

pub use aws::{AwsAccount, Sts};
pub use azurite::Azurite;
pub use backlog::Backlog;
pub use blobs::Blobs;
pub use entra::EntraId;
pub use event_bridge::EventBus;
pub use event_grid::EventGridTopic;
pub use host::{AppRoot, FunctionsHost};
pub use identity::ManagedIdentity;
pub use ingestion::DataCollectionRule;
pub use issuer::Issuer;
pub use moto::Moto;
pub use query::QueryApi;
pub use server::{Fault, Gate};
pub use tally::Tally;
pub use tenant::Tenant;
pub use tinybird::TinybirdWorkspace;
pub use workspace::Workspace;
