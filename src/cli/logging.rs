//! Lines about events, and where they go.

use std::fmt;

use tracing::{Event, Subscriber, error};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::writer::MakeWriterExt as _;
use tracing_subscriber::fmt::{FmtContext, FormattedFields};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
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
        .event_format(Line);
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

/// Begins with the level and, within an invocation, with what tells that one from others.
struct Line;

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut line: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        write!(line, "{} ", event.metadata().level())?;
        for span in context
            .event_scope()
            .into_iter()
            .flat_map(tracing_subscriber::registry::Scope::from_root)
        {
            if let Some(fields) = span.extensions().get::<FormattedFields<N>>() {
                write!(line, "{fields}: ")?;
            }
        }
        context.field_format().format_fields(line.by_ref(), event)?;
        writeln!(line)
    }
}
