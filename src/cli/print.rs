//! The output of commands, and their exit statuses.

use std::fmt::Arguments;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{is_command, with_causes};

/// Exit status for unusable settings, the same as clap's for an unusable command line.
pub(super) const UNUSABLE: u8 = 2;
/// Exit status of an interrupted run, as shells use it for Ctrl-C.
pub(super) const INTERRUPTED: u8 = 130;

/// Whether the terminal's current line shows progress, to be overwritten.
static IS_PROGRESS_SHOWN: AtomicBool = AtomicBool::new(false);
/// Whether a write to standard output has failed, for example on a full disk.
static HAS_FAILED: AtomicBool = AtomicBool::new(false);
/// Clears the terminal's current line.
const CLEAR: &str = "\r\x1b[K";

/// Shows a run's progress, replacing what was shown before.
pub(super) fn show_progress(line: &str) {
    IS_PROGRESS_SHOWN.store(true, Ordering::Relaxed);
    let _ = write!(io::stderr(), "{CLEAR}{}", harmless(line));
}

/// Removes the progress line.
pub(super) fn clear_progress() {
    if IS_PROGRESS_SHOWN.swap(false, Ordering::Relaxed) {
        let _ = write!(io::stderr(), "{CLEAR}");
    }
}

/// Standard error for log lines, which may interrupt the progress line.
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

/// Writes a line to standard output. A closed pipe is not an error.
pub(super) fn show(line: Arguments) {
    if let Err(error) = writeln!(io::stdout(), "{}", harmless(&line.to_string()))
        && error.kind() != io::ErrorKind::BrokenPipe
        && !HAS_FAILED.swap(true, Ordering::Relaxed)
    {
        note(format_args!("writing to standard output: {error}"));
    }
}

/// Prints what clap shows instead of running a command: the help, the version, or a usage error.
/// Returns the exit status.
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

/// Whether some output could not be written.
pub(super) fn has_failed() -> bool {
    HAS_FAILED.load(Ordering::Relaxed)
}

/// Writes a line to standard error.
pub(super) fn note(line: Arguments) {
    clear_progress();
    let _ = writeln!(io::stderr(), "{}", harmless(&line.to_string()));
}

/// Replaces terminal control characters.
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

/// Prints why a command cannot be used this way. Returns the exit status.
pub(super) fn misused(problem: Arguments) -> ExitCode {
    note(problem);
    ExitCode::from(UNUSABLE)
}

/// The exit status of a command for several tenants. `bad` is the status of those with bad
/// settings, and decides only if no tenant could be handled.
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
    fn bad_settings_of_one_tenant_leave_the_worse_exit_status_to_the_others() {
        let bad = || Some(ExitCode::from(UNUSABLE));
        let interrupted = || ExitCode::from(INTERRUPTED);
        for (bad, is_any, told, expected) in [
            (None, true, ExitCode::SUCCESS, ExitCode::SUCCESS),
            (None, true, ExitCode::FAILURE, ExitCode::FAILURE),
            (bad(), false, ExitCode::SUCCESS, ExitCode::from(UNUSABLE)),
            (bad(), true, ExitCode::SUCCESS, ExitCode::FAILURE),
            (bad(), true, interrupted(), interrupted()),
        ] {
            assert_eq!(ended(bad, is_any, told), expected);
        }
        assert_eq!(exit_code(true), ExitCode::SUCCESS);
        assert_eq!(exit_code(false), ExitCode::FAILURE);
    }

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
