//! Lines about events, and where they go.

use tracing::error;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::writer::MakeWriterExt as _;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::print;

/// One line an event: warnings and errors to standard error, the rest to standard output, which
/// under a command belongs to its results. Of other crates' events none is shown, since what is in
/// them was not chosen with secrets in mind.
pub(super) fn start(under_host: bool) {
    let level = if under_host {
        LevelFilter::INFO
    } else {
        LevelFilter::WARN
    };
    let writer = print::Errors::default
        .with_max_level(tracing::Level::WARN)
        .or_else(std::io::stdout);
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(writer)
        .with_ansi(false)
        .with_target(false)
        .without_time();
    tracing_subscriber::registry()
        .with(Targets::new().with_target("auth0_poller", level))
        .with(lines)
        .init();
    // The message of a panic may hold anything, so only its place is told.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        error!(
            "internal error at {}; this is a bug in auth0-poller",
            place.unwrap_or_default()
        );
    }));
}
