//! The wall clock, as an argument.
//!
//! Nothing else in the library asks the operating system for the time: code that depends on it takes a
//! [`Clock`], so a test decides what time it is.

use std::sync::Arc;

use chrono::{DateTime, Datelike as _, SecondsFormat, Timelike as _, Utc};

/// Returns the current time.
pub(crate) type Clock = Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>;

/// The operating system's clock.
#[allow(
    clippy::disallowed_methods,
    reason = "the one place that reads the wall clock"
)]
pub(crate) fn system() -> Clock {
    Arc::new(Utc::now)
}

/// The beginning of the hour that contains `time`.
pub(crate) fn hour(time: DateTime<Utc>) -> DateTime<Utc> {
    let whole = time.with_minute(0).and_then(|it| it.with_second(0));
    whole.and_then(|it| it.with_nanosecond(0)).unwrap_or(time)
}

/// Whether a time is far enough from chrono's limits for arithmetic on it. A stored time may have been
/// written by someone else.
pub(crate) fn is_reckonable(time: DateTime<Utc>) -> bool {
    (-9_999..=99_999).contains(&time.year())
}

/// A time as it is written for people: UTC, whole seconds.
pub(crate) fn to_seconds(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}
