//! Simulated runs with faults: see `tests.rs`. This is a module of its own because it uses both the
//! run and the state between runs.

mod tests;
