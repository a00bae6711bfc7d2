//! The deployed folder, and its `host.json`.
//!
//! The real host ignores what it does not know. Here an unknown key is an error, and so is a value
//! that would lose something.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

/// The levels of the host's log, the most verbose first.
const LEVELS: [&str; 7] = [
    "Trace",
    "Debug",
    "Information",
    "Warning",
    "Error",
    "Critical",
    "None",
];
/// What shows an operator how the function is doing: the program's lines, the lines in its answers,
/// and whether an invocation succeeded.
const NEEDED: [&str; 3] = [
    "Host.Function.Console",
    "Function.Auth0Poller.User",
    "Host.Results",
];
/// The kinds of telemetry.
const KINDS: [&str; 6] = [
    "Dependency",
    "Event",
    "Exception",
    "PageView",
    "Request",
    "Trace",
];

/// The folders that contain a `function.json`.
pub(super) fn functions(root: &Path) -> Vec<String> {
    let entries = fs::read_dir(root).expect("a folder");
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| root.join(name).join("function.json").exists())
        .collect();
    names.sort();
    names
}

/// Panics unless the host starts with this `host.json` and keeps the log complete.
pub(super) fn check_host(host: &Value) {
    check_keys(
        host,
        &["version", "functionTimeout", "customHandler", "logging"],
    );
    assert_eq!(host["version"], "2.0", "host.json has no version 2.0");
    check_keys(&host["customHandler"], &["description"]);
    check_keys(
        &host["customHandler"]["description"],
        &["defaultExecutablePath"],
    );
    function_timeout(host);
    let Some(logging) = host.get("logging") else {
        return;
    };
    check_keys(logging, &["logLevel", "applicationInsights"]);
    let levels: BTreeMap<&str, usize> = object(&logging["logLevel"])
        .map(|(category, level)| {
            let level = LEVELS.iter().position(|&known| level == known);
            (category, level.unwrap_or_else(|| panic!("{category}")))
        })
        .collect();
    for category in NEEDED {
        let level = level_of(category, &levels);
        assert!(
            level <= LEVELS.iter().position(|it| *it == "Information"),
            "{category} is not logged"
        );
    }
    let insights = &logging["applicationInsights"];
    check_keys(
        insights,
        &["enablePerformanceCountersCollection", "samplingSettings"],
    );
    let sampling = &insights["samplingSettings"];
    check_keys(sampling, &["isEnabled", "excludedTypes"]);
    assert!(sampling["isEnabled"].is_boolean());
    for kind in sampling["excludedTypes"].as_str().expect("text").split(';') {
        assert!(KINDS.contains(&kind), "there is no telemetry {kind}");
    }
}

/// The log level of a category, or else of its nearest ancestor.
fn level_of(category: &str, levels: &BTreeMap<&str, usize>) -> Option<usize> {
    let mut name = category;
    loop {
        if let Some(level) = levels.get(name) {
            return Some(*level);
        }
        match name.rsplit_once('.') {
            Some((above, _)) => name = above,
            None => return levels.get("default").copied(),
        }
    }
}

/// The path of the program, relative to the root.
pub(super) fn executable(host_json: &Value) -> &str {
    let description = &host_json["customHandler"]["description"];
    let executable = description["defaultExecutablePath"].as_str();
    executable.expect("host.json names no defaultExecutablePath")
}

/// The `functionTimeout` of `host.json`, or five minutes.
pub(super) fn function_timeout(host_json: &Value) -> Duration {
    let timeout = host_json.get("functionTimeout");
    timeout.map_or(Duration::from_mins(5), time_span)
}

/// `hh:mm:ss`
pub(super) fn time_span(value: &Value) -> Duration {
    let text = value.as_str().unwrap_or_default();
    let parts: Vec<u64> = text.split(':').filter_map(|it| it.parse().ok()).collect();
    let [hours, minutes, seconds] = parts[..] else {
        panic!("{value} is not of the form hh:mm:ss");
    };
    Duration::from_secs((hours * 60 + minutes) * 60 + seconds)
}

/// Reads a JSON file.
pub(super) fn read_json(path: &Path) -> Value {
    let text =
        fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("{} is not JSON: {error}", path.display()))
}

pub(super) fn check_keys(value: &Value, known: &[&str]) {
    for (key, _) in object(value) {
        assert!(known.contains(&key), "this stand-in knows no {key} there");
    }
}

fn object(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let object = value.as_object();
    let object = object.unwrap_or_else(|| panic!("{value} is not an object"));
    object.iter().map(|(key, value)| (&**key, value))
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use serde_json::json;

    use super::*;

    #[test]
    fn the_time_out_is_read_from_host_json() {
        let json = json!({"functionTimeout": "00:10:30"});
        assert_eq!(function_timeout(&json), Duration::from_secs(630));
    }

    #[test]
    fn the_log_keeps_what_an_operator_needs() {
        let host = |levels: Value| {
            json!({
                "version": "2.0",
                "customHandler": {"description": {"defaultExecutablePath": "x"}},
                "logging": {
                    "logLevel": levels,
                    "applicationInsights": {
                        "samplingSettings": {"isEnabled": true, "excludedTypes": "Request"},
                    },
                },
            })
        };
        check_host(&host(json!({"default": "Information"})));
        check_host(&host(
            json!({"default": "None", "Host": "Trace", "Function": "Debug"}),
        ));
        for levels in [
            json!({"default": "Warning"}),
            json!({"default": "Trace", "Host.Function.Console": "Error"}),
            json!({"default": "Trace", "Host": "None"}),
            json!({"default": "Info"}),
        ] {
            let bad = host(levels);
            assert!(catch_unwind(|| check_host(&bad)).is_err(), "{bad}");
        }
    }
}
