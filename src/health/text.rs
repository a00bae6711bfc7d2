//! Health as text for a terminal.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};

use super::{Health, PipelineHealth};
use crate::clock::to_seconds;
use crate::record::is_future;

/// Maximum errors shown.
const ERRORS: usize = 3;

/// One paragraph per tenant and destination.
pub(crate) fn text(health: &Health) -> String {
    let (version, at) = (health.version, to_seconds(health.at));
    let mut text = format!("{}  (auth0-poller {version}, {at})\n", health.state.name());
    for pipeline in &health.pipelines {
        // invariant: writing to a String does not fail
        let _ = writeln!(
            text,
            "\n{}/{}  {}",
            pipeline.tenant,
            pipeline.destination,
            pipeline.state.name()
        );
        for (name, value) in facts(pipeline, health.at) {
            let _ = writeln!(text, "  {name:<14} {value}");
        }
        for error in pipeline.errors.iter().take(ERRORS) {
            let _ = writeln!(text, "  error at {}: {}", to_seconds(error.at), error.text);
        }
    }
    text
}

/// The facts about a pipeline, with their names, for people.
pub(super) fn facts(pipeline: &PipelineHealth, at: DateTime<Utc>) -> Vec<(&'static str, String)> {
    let time = |time: Option<DateTime<Utc>>| match time {
        Some(time) if is_future(time, at) => format!(
            "{} (in the future, by {})",
            to_seconds(time),
            span((time - at).num_seconds())
        ),
        Some(time) => format!(
            "{} ({} ago)",
            to_seconds(time),
            span((at - time).num_seconds())
        ),
        None if pipeline.records.is_none() => "unknown".to_owned(),
        None => "never".to_owned(),
    };
    let spans = |spans: Option<super::Spans>| match spans {
        Some(spans) => format!("{} in the last hour, {} in a day", spans.hour, spans.day),
        None => "unknown".to_owned(),
    };
    let lag = match (pipeline.caught_up, pipeline.lag_seconds) {
        (true, _) => "none".to_owned(),
        (false, Some(lag)) => span(i64::try_from(lag).unwrap_or(i64::MAX)),
        (false, None) => "unknown".to_owned(),
    };
    let count = |count: usize| count.to_string();
    let mut facts = vec![
        ("last run", time(pipeline.last_run)),
        ("last success", time(pipeline.last_success)),
        ("newest record", time(pipeline.newest_record)),
        ("behind", lag),
        ("records", spans(pipeline.records)),
        ("bytes", spans(pipeline.bytes)),
        (
            "set aside",
            pipeline.dead_letters.map_or("unknown".to_owned(), count),
        ),
    ];
    if let Some(limit) = pipeline.rate_limit {
        let left = format!("{} of {} requests left", limit.remaining, limit.limit);
        facts.push(("rate limit", left));
    }
    if let Some(gap) = pipeline.gap {
        facts.push(("gap", format!("records {gap} may be missing")));
    }
    if let Some(arrival) = pipeline.arrival {
        facts.push(("arrival", arrival.to_string()));
    }
    if let Some(why) = &pipeline.unasked {
        facts.push(("not checked", why.clone()));
    }
    facts
}

/// A span of time for people, in its largest unit.
fn span(seconds: i64) -> String {
    match seconds.max(0) {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds @ 7_200..172_800 => format!("{} h", seconds / 3_600),
        seconds => format!("{} days", seconds / 86_400),
    }
}
