//! Health as a web page: one file without external resources or scripts.

use std::fmt::{Display, Write as _};

use chrono::{DateTime, Utc};
use quick_xml::escape::escape;

use super::text::facts;
use super::{Health, PipelineHealth, State};
use crate::clock::to_seconds;
use crate::state::{PastRun, Sum};

/// Maximum errors and runs listed.
const LISTED: usize = 10;
/// Maximum runs in the chart of the lag.
const CHARTED: usize = 120;
/// The size of a chart.
const WIDTH: u64 = 480;
const HEIGHT: u64 = 64;

const STYLE: &str = include_str!("page.css");
/// Identifies the page's only style in its content security policy: the style's SHA-256 in base64.
pub(crate) const STYLE_HASH: &str = "UB6NmtQ9/zx2pCNnbSEEK+pmpzpu7T527G0ZDiALrMc=";

/// A document being built. Everything except literal markup is escaped.
#[derive(Default)]
struct Html(String);

impl Html {
    /// Markup.
    fn tag(&mut self, markup: &'static str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// A value, as text or within an attribute's quotes.
    fn value(&mut self, value: impl Display) -> &mut Self {
        let text = value.to_string();
        // invariant: writing to a String does not fail
        let _ = self.0.write_str(&escape(text.as_str()));
        self
    }

    /// An element without attributes that holds a value; `open` and `close` are its tags.
    fn element(
        &mut self,
        open: &'static str,
        value: impl Display,
        close: &'static str,
    ) -> &mut Self {
        self.tag(open).value(value).tag(close)
    }
}

/// The page.
pub(crate) fn page(health: &Health) -> String {
    let state = health.state.name();
    let mut html = Html::default();
    html.tag("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">")
        .tag("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">")
        .tag("<meta http-equiv=\"refresh\" content=\"60\">")
        .element("<title>", state, " · auth0-poller</title><style>")
        .tag(STYLE)
        .tag("</style></head><body><header><h1>auth0-poller ");
    badge(&mut html, state);
    html.element("</h1><p>Version ", health.version, ", looked at ")
        .element("", to_seconds(health.at), "</p></header><main>");
    for pipeline in &health.pipelines {
        section(&mut html, pipeline, health.at);
    }
    html.tag("</main></body></html>\n");
    html.0
}

fn badge(html: &mut Html, state: &str) {
    html.element("<span class=\"state ", state, "\">")
        .element("", state, "</span>");
}

fn section(html: &mut Html, pipeline: &PipelineHealth, at: DateTime<Utc>) {
    let state = pipeline.state.name();
    html.element("<section class=\"", state, "\"><h2>")
        .element("", &pipeline.tenant, " → ")
        .element("", &pipeline.destination, " ");
    badge(html, state);
    html.tag("</h2>");
    if let (State::Failing, Some(error)) = (pipeline.state, &pipeline.error) {
        html.element("<p class=\"error\">", &error.text, "</p>");
    }
    html.tag("<dl>");
    for (name, value) in facts(pipeline, at) {
        html.element("<div><dt>", name, "</dt>")
            .element("<dd>", value, "</dd></div>");
    }
    html.tag("</dl><div class=\"charts\">");
    figure(
        html,
        "Records in each of the last 24 hours",
        &hours(pipeline),
    );
    figure(html, "Seconds behind, run by run", &lags(&pipeline.runs));
    figure(
        html,
        "Runs that failed, run by run",
        &failures(&pipeline.runs),
    );
    html.tag("</div>");
    errors(html, pipeline);
    runs(html, pipeline);
    html.tag("</section>");
}

fn errors(html: &mut Html, pipeline: &PipelineHealth) {
    if pipeline.errors.is_empty() {
        return;
    }
    let count = pipeline.errors.len();
    html.element("<details><summary>Errors (", count, ")</summary><ul>");
    for error in pipeline.errors.iter().take(LISTED) {
        html.element("<li><time>", to_seconds(error.at), "</time> ")
            .element("", &error.text, "</li>");
    }
    html.tag("</ul></details>");
}

fn runs(html: &mut Html, pipeline: &PipelineHealth) {
    if pipeline.runs.is_empty() {
        return;
    }
    html.tag("<details><summary>Runs that did something</summary><table><thead><tr>")
        .tag("<th>ended</th><th>ms</th><th>records</th><th>bytes</th><th>set aside</th><th></th>")
        .tag("</tr></thead><tbody>");
    for run in pipeline.runs.iter().take(LISTED) {
        let end = match (run.failed, run.caught_up) {
            (true, _) => "failed",
            (false, true) => "caught up",
            (false, false) => "behind",
        };
        html.element("<tr><td><time>", to_seconds(run.at), "</time></td>")
            .element("<td>", run.elapsed_ms, "</td>")
            .element("<td>", run.delivered, "</td>")
            .element("<td>", run.bytes, "</td>")
            .element("<td>", run.dead_lettered, "</td>")
            .element("<td>", end, "</td></tr>");
    }
    html.tag("</tbody></table></details>");
}

/// The name of a bar, and its value if known.
type Bar = (String, Option<u64>);

/// A chart of named values. The caption says what they are, and gives the largest one.
fn figure(html: &mut Html, what: &str, bars: &[Bar]) {
    let most = bars.iter().filter_map(|(_, value)| *value).max();
    let at_most = most.map_or(String::new(), |most| format!(" (at most {most})"));
    let most = most.unwrap_or_default();
    let count = u64::try_from(bars.len()).unwrap_or_default().max(1);
    let width = WIDTH / count;
    html.element("<figure><figcaption>", what, "")
        .element("", at_most, "</figcaption><svg viewBox=\"0 0 ")
        .element("", WIDTH, " ")
        .element("", HEIGHT, "\" role=\"img\" aria-label=\"")
        .element("", what, "\"><line x1=\"0\" y1=\"")
        .element("", HEIGHT, "\" x2=\"")
        .element("", WIDTH, "\" y2=\"")
        .element("", HEIGHT, "\"></line>");
    for (index, (name, value)) in (0_u64..).zip(bars) {
        let height = value.map_or(HEIGHT, |value| share(value, most));
        let class = value.map_or(" class=\"unknown\"", |_| "");
        let value = value.map_or("unknown".to_owned(), |value| value.to_string());
        html.element("<rect x=\"", index * width, "\" y=\"")
            .element("", HEIGHT - height, "\" width=\"")
            .element("", width.saturating_sub(1).max(1), "\" height=\"")
            .element("", height, "\"")
            .tag(class)
            .element("><title>", name, ": ")
            .element("", value, "</title></rect>");
    }
    html.tag("</svg></figure>");
}

/// The height of a bar. Any value above zero is visible.
fn share(value: u64, most: u64) -> u64 {
    let height = u128::from(value) * u128::from(HEIGHT) / u128::from(most.max(1));
    let height = u64::try_from(height).unwrap_or(HEIGHT);
    height.max(u64::from(value > 0))
}

fn hours(pipeline: &PipelineHealth) -> Vec<Bar> {
    let is_known = pipeline.records.is_some();
    let records = |sum: &Sum| is_known.then_some(sum.records);
    let bar = |(hour, sum): &(DateTime<Utc>, Sum)| (to_seconds(*hour), records(sum));
    pipeline.hours.iter().map(bar).collect()
}

fn lags(runs: &[PastRun]) -> Vec<Bar> {
    by_run(runs, |run| run.lag_seconds)
}

fn failures(runs: &[PastRun]) -> Vec<Bar> {
    by_run(runs, |run| Some(u64::from(run.failed)))
}

fn by_run(runs: &[PastRun], value: impl Fn(&PastRun) -> Option<u64>) -> Vec<Bar> {
    let newest = runs.iter().take(CHARTED).rev();
    newest.map(|run| (to_seconds(run.at), value(run))).collect()
}
