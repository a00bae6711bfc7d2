//! What comes from outside, made up and damaged at random, at the places where it is read: see
//! `tests.rs`. A room of its own, since it knows all that reads.

mod tests;
