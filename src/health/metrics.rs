//! Health in the text format of Prometheus:
//! <https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>.

use std::collections::BTreeSet;
use std::fmt::{Display, Write as _};

use super::{Health, PipelineHealth, State};

/// A metric of a pipeline; `None` if it is unknown.
type Value = fn(&PipelineHealth) -> Option<String>;

/// The metrics with one value per tenant and destination: name, kind, help text, value.
const METRICS: [(&str, &str, &str, Value); 7] = [
    (
        "lag_seconds",
        "gauge",
        "How far behind the newest run was.",
        |it| Some(it.lag_seconds?.to_string()),
    ),
    ("records_total", "counter", "Records delivered.", |it| {
        Some(it.total?.records.to_string())
    }),
    (
        "bytes_total",
        "counter",
        "Bytes delivered, before compression.",
        |it| Some(it.total?.bytes.to_string()),
    ),
    ("dead_letters", "gauge", "Records set aside.", |it| {
        Some(it.dead_letters?.to_string())
    }),
    (
        "missing_rows",
        "gauge",
        "Records acknowledged within about a day that were not found in the table.",
        |it| {
            let arrival = it.arrival.filter(|it| it.looked_at.is_some())?;
            // While the table cannot be queried, nobody knows that nothing is missing.
            let is_known = it.unasked.is_none() || arrival.missing > 0;
            is_known.then(|| arrival.missing.to_string())
        },
    ),
    (
        "last_success_timestamp_seconds",
        "gauge",
        "When the newest run without errors ended.",
        |it| Some(it.last_success?.timestamp().to_string()),
    ),
    (
        "rate_limit_remaining",
        "gauge",
        "Requests that Auth0 said are left of the tenant's rate limit.",
        |it| Some(it.rate_limit?.remaining.to_string()),
    ),
];

/// All metrics as text.
pub(crate) fn metrics(health: &Health) -> String {
    // Unknown names share one label, and each series may occur only once.
    let mut series = BTreeSet::new();
    let pipelines = health.pipelines.iter();
    let pipelines: Vec<_> = pipelines.filter(|it| series.insert(labels(it))).collect();
    let mut text = String::new();
    head(
        &mut text,
        "state",
        "gauge",
        "1 for the state, 0 for the others.",
    );
    for pipeline in &pipelines {
        for state in State::ALL {
            let labels = format!("{},state=\"{}\"", labels(pipeline), state.name());
            sample(
                &mut text,
                "state",
                &labels,
                u8::from(pipeline.state == state),
            );
        }
    }
    for (name, kind, help, value) in METRICS {
        head(&mut text, name, kind, help);
        for pipeline in &pipelines {
            if let Some(value) = value(pipeline) {
                sample(&mut text, name, &labels(pipeline), value);
            }
        }
    }
    text
}

fn head(text: &mut String, name: &str, kind: &str, help: &str) {
    // invariant: writing to a String does not fail
    let _ = writeln!(text, "# HELP auth0_poller_{name} {help}");
    let _ = writeln!(text, "# TYPE auth0_poller_{name} {kind}");
}

fn labels(pipeline: &PipelineHealth) -> String {
    format!(
        "tenant=\"{}\",destination=\"{}\"",
        escaped(&pipeline.tenant),
        escaped(&pipeline.destination)
    )
}

fn sample(text: &mut String, name: &str, labels: &str, value: impl Display) {
    // invariant: writing to a String does not fail
    let _ = writeln!(text, "auth0_poller_{name}{{{labels}}} {value}");
}

fn escaped(label: &str) -> String {
    let label = label.replace('\\', "\\\\").replace('"', "\\\"");
    label.replace('\n', "\\n")
}
