//! The wall clock, as an argument.
//!
//! Nothing else in the library asks the operating system for the time: what depends on it
//! takes a [`Clock`], so that a test decides what time it is.

use std::sync::Arc;

use chrono::{DateTime, Utc};

/// Answers with the present time.
pub type Clock = Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>;

/// The operating system's clock.
#[must_use]
#[allow(
    clippy::disallowed_methods,
    reason = "the one place that reads the wall clock"
)]
pub fn system() -> Clock {
    Arc::new(Utc::now)
}
