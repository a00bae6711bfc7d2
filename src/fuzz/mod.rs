//! Random and damaged input for every reader of external data: see `tests.rs`. This is a module of
//! its own because it uses all of those readers.

mod tests;
