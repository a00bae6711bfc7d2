//! `poll`: one run now.

use std::io::{IsTerminal as _, Write as _};
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use tokio::time::{Instant, interval_at};

use super::print::{INTERRUPTED, exit_code, fail, note, show};
use super::{Environment, Exit, layers, signals, unusable};
use crate::app::{App, Pipeline};
use crate::clock::to_seconds;
use crate::report::Report;

/// A run that takes longer than this shows its progress on a terminal, as often as that.
const PROGRESS_AFTER: Duration = Duration::from_secs(2);
const PROGRESS_EVERY: Duration = Duration::from_millis(500);

pub(super) async fn poll(environment: Environment, destination: Option<String>) -> Exit {
    let stopping = signals::stopping();
    let layers = layers(environment, destination)?;
    let app = App::new(&layers, stopping.clone()).map_err(|error| unusable(&error))?;
    let reports = with_progress(&app).await;
    let is_stdout_taken = app.pipelines.iter().any(|pipeline| pipeline.is_for_a_look);
    for report in &reports {
        match serde_json::to_string_pretty(report) {
            Ok(json) if is_stdout_taken => note(format_args!("{json}")),
            Ok(json) => show(format_args!("{json}")),
            Err(error) => return Err(fail("printing the report", &error)),
        }
    }
    if *stopping.borrow() {
        return Ok(ExitCode::from(INTERRUPTED));
    }
    Ok(exit_code(reports.iter().all(Report::is_success)))
}

/// Makes the run; if it is long and a person is looking, shows how far it is.
async fn with_progress(app: &App) -> Vec<Report> {
    let mut run = pin!(app.run());
    if !std::io::stderr().is_terminal() {
        return run.await;
    }
    let progress: Vec<_> = app.pipelines.iter().map(Pipeline::progress).collect();
    let mut ticks = interval_at(Instant::now() + PROGRESS_AFTER, PROGRESS_EVERY);
    let mut is_shown = false;
    let reports = loop {
        tokio::select! {
            reports = &mut run => break reports,
            _ = ticks.tick() => {
                let lines: Vec<_> = progress.iter().map(|it| progress_line(&it.borrow())).collect();
                let _ = write!(std::io::stderr(), "\r\x1b[K{}", lines.join(" | "));
                is_shown = true;
            }
        }
    };
    if is_shown {
        let _ = write!(std::io::stderr(), "\r\x1b[K");
    }
    reports
}

fn progress_line(report: &Report) -> String {
    let reached = report.last_date.map(to_seconds).unwrap_or_default();
    format!(
        "{}: {} records read, {} delivered  {reached}",
        report.destination, report.fetched, report.delivered
    )
}
