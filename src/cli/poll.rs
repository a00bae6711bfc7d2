//! `poll`: makes one run now.

use std::io::IsTerminal as _;
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use tokio::time::{Instant, interval_at};

use super::print::{INTERRUPTED, clear_progress, exit_code, fail, note, show, show_progress};
use super::signals::{self, Ending};
use super::{Exit, Given, tenants, unusable};
use crate::app::{App, Apps, Pipeline};
use crate::clock::to_seconds;
use crate::report::Report;

/// A run that takes longer than this shows its progress on a terminal.
const PROGRESS_AFTER: Duration = Duration::from_secs(2);
const PROGRESS_EVERY: Duration = Duration::from_millis(500);

pub(super) async fn poll(given: Given, destination: Option<String>) -> Exit {
    let stopping = signals::stopping(Ending::Saves);
    let tenants = tenants(given, destination)?;
    tenants.warn_of_policies();
    let apps = Apps::new(&tenants, &stopping).map_err(|error| unusable(&error))?;
    let able: Vec<_> = apps.able().collect();
    let reports = with_progress(&able, apps.run_once()).await;
    tell(&able, &reports, *stopping.borrow())
}

/// Prints the reports, and why runs failed. Returns the exit status.
pub(super) fn tell(apps: &[&App], reports: &[Report], is_interrupted: bool) -> Exit {
    let is_stdout_taken = is_looking(apps);
    for report in reports {
        match serde_json::to_string_pretty(report) {
            Ok(json) if is_stdout_taken => note(format_args!("{json}")),
            Ok(json) => show(format_args!("{json}")),
            Err(error) => return Err(fail("printing the report", &error)),
        }
    }
    for report in reports.iter().filter(|report| !report.is_success()) {
        let errors = report.errors.join("; ");
        note(format_args!("{}: the run failed: {errors}", report.name()));
    }
    if is_interrupted {
        return Ok(ExitCode::from(INTERRUPTED));
    }
    Ok(exit_code(reports.iter().all(Report::is_success)))
}

/// Whether records go to standard output.
fn is_looking(apps: &[&App]) -> bool {
    let mut pipelines = apps.iter().flat_map(|app| &app.pipelines);
    pipelines.any(|pipeline| pipeline.is_for_a_look)
}

/// Makes a run. If it takes long and standard error is a terminal, shows its progress.
pub(super) async fn with_progress<T>(apps: &[&App], run: impl Future<Output = T>) -> T {
    let mut run = pin!(run);
    let [out, err] = [
        std::io::stdout().is_terminal(),
        std::io::stderr().is_terminal(),
    ];
    if !shows_progress(is_looking(apps), out, err) {
        return run.await;
    }
    let pipelines = apps.iter().flat_map(|app| &app.pipelines);
    let progress: Vec<_> = pipelines.map(Pipeline::progress).collect();
    let mut ticks = interval_at(Instant::now() + PROGRESS_AFTER, PROGRESS_EVERY);
    let reports = loop {
        tokio::select! {
            reports = &mut run => break reports,
            _ = ticks.tick() => {
                let lines: Vec<_> = progress.iter().map(|it| progress_line(&it.borrow())).collect();
                show_progress(&lines.join(" | "));
            }
        }
    };
    clear_progress();
    reports
}

/// Whether progress is shown, by which of the two outputs are terminals. Progress lines would mix with
/// records on the same terminal.
fn shows_progress(is_looking: bool, is_out_terminal: bool, is_err_terminal: bool) -> bool {
    is_err_terminal && !(is_looking && is_out_terminal)
}

fn progress_line(report: &Report) -> String {
    let reached = report.last_date.map(to_seconds).unwrap_or_default();
    format!(
        "{}: {} records read, {} delivered  {reached}",
        report.destination, report.fetched, report.delivered
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_shown_to_a_person_and_not_between_records() {
        for (is_looking, out, err, is_shown) in [
            (false, true, true, true),
            (false, false, true, true),
            (false, true, false, false),
            (false, false, false, false),
            (true, true, true, false),
            (true, false, true, true),
            (true, true, false, false),
        ] {
            let shown = shows_progress(is_looking, out, err);
            assert_eq!(shown, is_shown, "{is_looking} {out} {err}");
        }
    }

    #[test]
    fn progress_tells_how_far_a_run_has_got() {
        let mut report = Report {
            destination: "archive".to_owned(),
            fetched: 12,
            delivered: 7,
            ..Report::default()
        };
        let begin = "archive: 12 records read, 7 delivered  ";
        assert_eq!(progress_line(&report), begin);
        report.last_date = Some("2026-11-21T08:00:00Z".parse().unwrap());
        assert_eq!(
            progress_line(&report),
            format!("{begin}2026-11-21T08:00:00Z")
        );
    }
}
