//! What commands print, and their exit statuses.

use std::fmt::Arguments;
use std::io::Write as _;
use std::process::ExitCode;

use crate::error::with_causes;

/// Exit status for settings that cannot be used; clap's for a command line that cannot.
pub(super) const UNUSABLE: u8 = 2;
/// Exit status of a run that was asked to end before it was done: as shells have it for Ctrl-C.
pub(super) const INTERRUPTED: u8 = 130;

/// Writes a line to standard output. Where nobody reads it any more, nothing is to be done.
pub(super) fn show(line: Arguments) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Writes a line to standard error.
pub(super) fn note(line: Arguments) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

pub(super) fn exit_code(is_good: bool) -> ExitCode {
    if is_good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

pub(super) fn fail(doing: &str, error: &dyn std::error::Error) -> ExitCode {
    note(format_args!("{doing}: {}", with_causes(error)));
    ExitCode::FAILURE
}
