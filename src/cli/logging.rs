//! The format of log lines, and where they go.

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
use crate::error::is_command;

/// Starts logging, one line per event. Warnings and errors go to standard error, everything else to
/// standard output. A command logs no more than those two, because its results go to standard output.
/// Events of other crates are not shown, because they may contain secrets.
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
    // A panic's message may contain anything, so only its location is logged.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        error!(
            "internal error at {}; this is a bug in auth0-poller",
            place.unwrap_or_default()
        );
    }));
}

/// Formats a line: the level and, within an invocation, its id come first. The line has no line breaks
/// or terminal control characters, because it may quote an id from a server that impersonates Auth0.
struct Line;

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut out: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut text = String::new();
        let mut line = Writer::new(&mut text);
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
        writeln!(out, "{}", text.replace(is_command, "\u{fffd}"))
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use tracing::{error_span, warn};

    use super::*;

    /// Collects what was written.
    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(line)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_event_is_one_line_that_commands_no_terminal_whatever_it_names() {
        let written = Written::default();
        let writer = written.clone();
        let lines = tracing_subscriber::fmt::layer()
            .with_writer(move || writer.clone())
            .with_ansi(false)
            .event_format(Line);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), || {
            error_span!("invocation", message = %"invocation 7").in_scope(|| {
                warn!("the record {} is too large", "9\nERROR \u{202e}\u{9b}m\r1");
            });
        });
        let written = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        let (line, rest) = written.split_once('\n').unwrap();
        assert_eq!(rest, "");
        assert!(line.starts_with("WARN invocation 7: the record 9\u{fffd}ERROR \u{fffd}"));
        assert!(!line.contains(is_command), "{line:?}");
    }
}
