//! The run in a world that goes wrong: see `tests.rs`. A room of its own, since it knows the run and
//! what is kept between runs.

mod tests;
