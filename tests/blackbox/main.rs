//! Black-box tests: the real binary against the simulated world, and against real Azurite.
//!
//! Each test has a world of its own. When a world is dropped, everything that the program sent is
//! searched for credentials, and the data collection rule is asked what it dropped after a success.
//! So every test also checks that no credential leaks and that no row is lost that way.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on fails"
)]

mod archive;
mod arrival;
mod audit;
mod bad_answers;
mod blocked;
mod both;
mod catch_up;
mod chaos;
mod checkpoint;
mod command_line;
mod dead_letter;
mod delivery;
mod event_bridge;
mod event_grid;
mod handler;
mod handover;
mod health;
mod heartbeat;
mod host_traffic;
mod identity;
mod idle;
mod ids;
mod kql;
mod log_types;
mod logs_ingestion;
mod lost_checkpoint;
mod memory;
mod package;
mod privacy;
mod refused;
mod replay;
mod same_rows;
mod sentinel;
mod settings;
mod side_by_side;
mod start;
mod status_line;
mod storage;
mod table;
mod telemetry;
mod template;
mod tenants;
mod tinybird;
mod unreadable;
mod upgrade;
mod world;
