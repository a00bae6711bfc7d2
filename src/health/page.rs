//! Health as a page: one file, nothing from elsewhere, and no script.

use chrono::{DateTime, Utc};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::text::facts;
use super::{Health, Pipeline, State};
use crate::clock::to_seconds;
use crate::state::{PastRun, Sum};

/// Errors and runs that are listed.
const LISTED: usize = 10;
/// Runs in the chart of the lag.
const CHARTED: usize = 120;
/// The room of a chart.
const WIDTH: u64 = 480;
const HEIGHT: u64 = 64;

const STYLE: &str = include_str!("page.css");
/// What the page's only style is known by in its security policy: its SHA-256 in base64.
pub(crate) const STYLE_HASH: &str = "pbmIVqyuyXyWtW4hG29SgqxQo6pFehnBZE05QCoUMeE=";

/// The page.
pub(crate) fn page(health: &Health) -> String {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="refresh" content="60";
                title { (health.state.name()) " · auth0-poller" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { "auth0-poller " span class={ "state " (health.state.name()) } { (health.state.name()) } }
                    p { "Version " (health.version) ", looked at " (to_seconds(health.at)) }
                }
                main {
                    @for pipeline in &health.pipelines {
                        (section(pipeline, health.at))
                    }
                }
            }
        }
    }
    .into_string()
}

fn section(pipeline: &Pipeline, at: DateTime<Utc>) -> Markup {
    let state = pipeline.state.name();
    html! {
        section class=(state) {
            h2 {
                (pipeline.tenant) " → " (pipeline.destination) " "
                span class={ "state " (state) } { (state) }
            }
            @if pipeline.state == State::Failing {
                @if let Some(error) = &pipeline.error {
                    p class="error" { (error.text) }
                }
            }
            dl {
                @for (name, value) in facts(pipeline, at) {
                    div { dt { (name) } dd { (value) } }
                }
            }
            div class="charts" {
                (figure("Records in each of the last 24 hours", &hours(&pipeline.hours)))
                (figure("Seconds behind, run by run", &lags(&pipeline.runs)))
                (figure("Runs that failed, run by run", &failures(&pipeline.runs)))
            }
            @if !pipeline.errors.is_empty() {
                details {
                    summary { "Errors (" (pipeline.errors.len()) ")" }
                    ul {
                        @for error in pipeline.errors.iter().take(LISTED) {
                            li { time { (to_seconds(error.at)) } " " (error.text) }
                        }
                    }
                }
            }
            @if !pipeline.runs.is_empty() {
                details {
                    summary { "Runs that did something" }
                    table {
                        thead { tr { th { "ended" } th { "ms" } th { "records" } th { "bytes" } th { "set aside" } th { "" } } }
                        tbody {
                            @for run in pipeline.runs.iter().take(LISTED) {
                                tr {
                                    td { time { (to_seconds(run.at)) } }
                                    td { (run.elapsed_ms) }
                                    td { (run.delivered) }
                                    td { (run.bytes) }
                                    td { (run.dead_lettered) }
                                    td { @if run.failed { "failed" } @else if run.caught_up { "caught up" } @else { "behind" } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A chart of values by their names, with what they are and the largest of them.
fn figure(what: &str, bars: &[(String, u64)]) -> Markup {
    let most = bars
        .iter()
        .map(|(_, value)| *value)
        .max()
        .unwrap_or_default();
    let count = u64::try_from(bars.len()).unwrap_or_default().max(1);
    let width = WIDTH / count;
    html! {
        figure {
            figcaption { (what) " (at most " (most) ")" }
            svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-label=(what) {
                line x1="0" y1=(HEIGHT) x2=(WIDTH) y2=(HEIGHT) {}
                @for (index, (name, value)) in (0_u64..).zip(bars) {
                    @let height = share(*value, most);
                    rect x=(index * width) y=(HEIGHT - height) width=(width.saturating_sub(1).max(1)) height=(height) {
                        title { (name) ": " (value) }
                    }
                }
            }
        }
    }
}

/// The height of a bar. What is not nothing is seen.
fn share(value: u64, most: u64) -> u64 {
    let height = u128::from(value) * u128::from(HEIGHT) / u128::from(most.max(1));
    let height = u64::try_from(height).unwrap_or(HEIGHT);
    height.max(u64::from(value > 0))
}

fn hours(hours: &[(DateTime<Utc>, Sum)]) -> Vec<(String, u64)> {
    let bar = |(hour, sum): &(DateTime<Utc>, Sum)| (to_seconds(*hour), sum.records);
    hours.iter().map(bar).collect()
}

fn lags(runs: &[PastRun]) -> Vec<(String, u64)> {
    by_run(runs, |run| run.lag_seconds.unwrap_or_default())
}

fn failures(runs: &[PastRun]) -> Vec<(String, u64)> {
    by_run(runs, |run| u64::from(run.failed))
}

fn by_run(runs: &[PastRun], value: impl Fn(&PastRun) -> u64) -> Vec<(String, u64)> {
    let newest = runs.iter().take(CHARTED).rev();
    newest.map(|run| (to_seconds(run.at), value(run))).collect()
}
