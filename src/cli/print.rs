//! What commands print, and their exit statuses.

use std::fmt::Arguments;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{is_command, with_causes};

/// Exit status for settings that cannot be used; clap's for a command line that cannot.
pub(super) const UNUSABLE: u8 = 2;
/// Exit status of a run that was asked to end before it was done: as shells have it for Ctrl-C.
pub(super) const INTERRUPTED: u8 = 130;

/// Whether the line on the terminal is one of progress, over which others write.
static IS_PROGRESS_SHOWN: AtomicBool = AtomicBool::new(false);
/// Whether standard output took something not, such as a file on a full disk.
static HAS_FAILED: AtomicBool = AtomicBool::new(false);
/// Clears the line that the cursor is in.
const CLEAR: &str = "\r\x1b[K";

/// Shows how far a run is, in place of what was shown of that before.
pub(super) fn show_progress(line: &str) {
    IS_PROGRESS_SHOWN.store(true, Ordering::Relaxed);
    let _ = write!(io::stderr(), "{CLEAR}{}", harmless(line));
}

/// Takes the progress away again.
pub(super) fn clear_progress() {
    if IS_PROGRESS_SHOWN.swap(false, Ordering::Relaxed) {
        let _ = write!(io::stderr(), "{CLEAR}");
    }
}

/// Standard error for lines of events, which come between two shows of progress.
#[derive(Debug, Default)]
pub(super) struct Errors;

impl Write for Errors {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        clear_progress();
        io::stderr().write(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// Writes a line to standard output. Where nobody reads it any more, nothing is to be done.
pub(super) fn show(line: Arguments) {
    if let Err(error) = writeln!(io::stdout(), "{}", harmless(&line.to_string()))
        && error.kind() != io::ErrorKind::BrokenPipe
        && !HAS_FAILED.swap(true, Ordering::Relaxed)
    {
        note(format_args!("writing to standard output: {error}"));
    }
}

/// Prints what is told in place of doing anything: the help, the version, or what is wrong with the
/// command line. Answers with how the command ends.
pub(super) fn told(text: &clap::Error) -> ExitCode {
    let printed = text.print();
    if text.use_stderr() {
        return ExitCode::from(UNUSABLE);
    }
    match printed {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            fail("writing to standard output", &error)
        }
        _ => ExitCode::SUCCESS,
    }
}

/// Whether something that was to be shown could not be written.
pub(super) fn has_failed() -> bool {
    HAS_FAILED.load(Ordering::Relaxed)
}

/// Writes a line to standard error.
pub(super) fn note(line: Arguments) {
    clear_progress();
    let _ = writeln!(io::stderr(), "{}", harmless(&line.to_string()));
}

/// A text in which nothing is a command to a terminal.
fn harmless(text: &str) -> String {
    let is_other = |it: char| is_command(it) && !matches!(it, '\n' | '\t');
    text.replace(is_other, "\u{fffd}")
}

pub(super) fn exit_code(is_good: bool) -> ExitCode {
    if is_good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// A way to use a command that makes no sense, and how it ends.
pub(super) fn misused(problem: Arguments) -> ExitCode {
    note(problem);
    ExitCode::from(UNUSABLE)
}

/// How a command ends that is for several tenants, of which `bad` may be how one with bad settings
/// would: they are the reason only where nothing else was left to do.
pub(super) fn ended(bad: Option<ExitCode>, is_any: bool, told: ExitCode) -> ExitCode {
    match bad {
        Some(bad) if !is_any => bad,
        Some(_) if told == ExitCode::SUCCESS => ExitCode::FAILURE,
        _ => told,
    }
}

pub(super) fn fail(doing: &str, error: &dyn std::error::Error) -> ExitCode {
    note(format_args!("{doing}: {}", with_causes(error)));
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_shown_as_such_and_nothing_else_is_changed() {
        let text = "{\n\t\"user\": \"Zoë 😀\"}";
        assert_eq!(harmless(text), text);
        for command in [
            "\u{1b}", "\r", "\u{8}", "\u{9b}", "\u{202e}", "\u{2066}", "\u{2028}", "\u{200f}",
            "\u{61c}",
        ] {
            assert_eq!(harmless(&format!("a{command}[31mb")), "a\u{fffd}[31mb");
        }
    }
}
