//! A deployed function: its `function.json`, and the settings that disable it.
//!
//! The real host ignores what it does not know, and so loses a function, a policy or a key. Here an
//! unknown key is an error.

use std::time::Duration;

use serde_json::Value;

use super::files::{check_keys, time_span};
use super::route::Route;

/// A function of the app.
#[derive(Debug)]
pub(super) struct Deployed {
    pub trigger: Trigger,
    /// Whether the app's settings disable the function. The host then does not trigger it.
    pub is_disabled: bool,
}

/// What invokes a function.
#[derive(Debug)]
pub(super) enum Trigger {
    Timer {
        binding: String,
        /// How many retries its policy allows, if it has one.
        retries: Option<u64>,
    },
    Http(HttpTrigger),
}

/// A call from outside with the key of the function or of the app.
#[derive(Debug)]
pub(super) struct HttpTrigger {
    /// The name of the input binding for the request.
    pub request: String,
    /// The name of the output binding for the response.
    pub response: String,
    /// In capitals; `None` if all methods are accepted.
    pub methods: Option<Vec<String>>,
    pub route: Route,
}

impl Deployed {
    /// Panics unless this is the `function.json` of a timer, or of an HTTP trigger with its
    /// response.
    pub fn read(name: &str, function: &Value, app_settings: &[(String, String)]) -> Self {
        check_keys(function, &["bindings", "retry"]);
        let bindings = function["bindings"].as_array().expect("bindings");
        let retry = function.get("retry").map(check_retry);
        let trigger = match &bindings[..] {
            [timer] => Trigger::Timer {
                binding: check_timer(timer),
                retries: retry,
            },
            [request, response] => {
                assert_eq!(retry, None, "an HTTP trigger is not retried");
                Trigger::Http(HttpTrigger::read(name, request, response))
            }
            _ => panic!("this stand-in knows a timer, and an HTTP trigger with its response"),
        };
        Self {
            trigger,
            is_disabled: is_disabled(name, app_settings),
        }
    }
}

/// Whether the app's settings disable the function. The form with two underscores, which replaces a
/// dot in other settings, has no effect.
fn is_disabled(function: &str, app_settings: &[(String, String)]) -> bool {
    let names = [
        format!("AzureWebJobs.{function}.Disabled"),
        format!("AzureWebJobs_{function}_Disabled"),
    ];
    let mut values = app_settings
        .iter()
        .filter(|(name, _)| names.contains(name))
        .map(|(_, value)| value.as_str());
    values.any(|value| match value {
        "true" => true,
        "false" | "" => false,
        other => panic!("what the host makes of {other} is not known"),
    })
}

fn check_timer(timer: &Value) -> String {
    check_keys(timer, &["type", "direction", "name", "schedule"]);
    assert_eq!(timer["type"], "timerTrigger");
    assert_eq!(timer["direction"], "in");
    let schedule = timer["schedule"].as_str().expect("a schedule");
    assert!(
        !schedule.contains('%'),
        "without its setting a schedule such as {schedule} leaves the function unindexed"
    );
    assert_eq!(schedule.split(' ').count(), 6, "a schedule has six fields");
    name_of(timer)
}

fn name_of(binding: &Value) -> String {
    let name = binding["name"].as_str().unwrap_or_default();
    assert!(!name.is_empty(), "a binding has no name");
    name.to_owned()
}

impl HttpTrigger {
    fn read(function: &str, request: &Value, response: &Value) -> Self {
        let known = ["type", "direction", "name", "authLevel", "methods", "route"];
        check_keys(request, &known);
        assert_eq!(request["type"], "httpTrigger");
        assert_eq!(request["direction"], "in");
        // Required although it is the default: without a key anyone could call the function.
        assert_eq!(request["authLevel"], "function");
        check_keys(response, &["type", "direction", "name"]);
        assert_eq!(response["type"], "http");
        assert_eq!(response["direction"], "out");
        let methods = request.get("methods").map(|methods| {
            let methods = methods.as_array().expect("a list of methods");
            assert!(!methods.is_empty(), "nobody could call it");
            let names = methods.iter().map(|it| it.as_str().expect("a method"));
            names.map(str::to_ascii_uppercase).collect()
        });
        let route = request.get("route").map_or(function, |route| {
            route.as_str().expect("a route that is text")
        });
        Self {
            request: name_of(request),
            response: name_of(response),
            methods,
            route: Route::read(route),
        }
    }
}

fn check_retry(retry: &Value) -> u64 {
    let intervals: &[&str] = match retry["strategy"].as_str() {
        Some("fixedDelay") => &["delayInterval"],
        Some("exponentialBackoff") => &["minimumInterval", "maximumInterval"],
        other => panic!("there is no retry strategy {other:?}"),
    };
    check_keys(retry, &[&["strategy", "maxRetryCount"], intervals].concat());
    for name in intervals {
        assert!(time_span(&retry[name]) > Duration::ZERO, "{name}");
    }
    // -1 would retry for ever, and no further tick would come.
    let retries = retry["maxRetryCount"].as_u64();
    retries.expect("a maxRetryCount that is a number")
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use serde_json::json;

    use super::*;

    fn read(function: &Value) -> Deployed {
        Deployed::read("Health", function, &[])
    }

    #[test]
    fn a_retry_policy_is_complete_and_ends() {
        let function = |retry: Value| {
            json!({"retry": retry, "bindings": [{
                "type": "timerTrigger", "direction": "in", "name": "timer",
                "schedule": "0 * * * * *",
            }]})
        };
        let good = json!({"strategy": "fixedDelay", "maxRetryCount": 2,
                          "delayInterval": "00:00:10"});
        let timer = read(&function(good.clone())).trigger;
        assert!(
            matches!(&timer, Trigger::Timer { binding, retries: Some(2) } if binding == "timer"),
            "{timer:?}"
        );
        for (key, value) in [
            ("strategy", json!("exponentialBackoff")),
            ("strategy", json!("linear")),
            ("maxRetryCount", json!(-1)),
            ("delayInterval", json!("10s")),
            ("delayInterval", json!("00:00:00")),
            ("maximumInterval", json!("00:01:00")),
        ] {
            let mut bad = good.clone();
            bad[key] = value;
            let bad = function(bad);
            assert!(catch_unwind(|| read(&bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_http_trigger_asks_for_a_key_and_has_a_response() {
        let request = json!({"type": "httpTrigger", "direction": "in", "name": "req",
                             "authLevel": "function", "methods": ["get", "head"],
                             "route": "health/{part?}"});
        let response = json!({"type": "http", "direction": "out", "name": "res"});
        let function = json!({"bindings": [request, response]});
        let Trigger::Http(trigger) = read(&function).trigger else {
            panic!("a timer");
        };
        assert_eq!((&*trigger.request, &*trigger.response), ("req", "res"));
        assert_eq!(trigger.methods.unwrap(), ["GET", "HEAD"]);

        let changed = |binding: usize, key: &str, value: Value| {
            let mut function = function.clone();
            function["bindings"][binding][key] = value;
            function
        };
        for bad in [
            changed(0, "authLevel", json!("anonymous")),
            changed(0, "authLevel", json!(null)),
            changed(0, "methods", json!([])),
            changed(0, "webHookType", json!("github")),
            changed(0, "direction", json!("out")),
            changed(1, "type", json!("queue")),
            changed(1, "name", json!("")),
            json!({"bindings": [function["bindings"][0]]}),
            json!({"bindings": function["bindings"], "retry": {"strategy": "fixedDelay",
                   "maxRetryCount": 1, "delayInterval": "00:00:10"}}),
        ] {
            assert!(catch_unwind(|| read(&bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn two_forms_of_a_setting_disable_a_function_and_a_third_does_nothing() {
        let is_disabled = |name: &str, value: &str| {
            let other = ("AzureWebJobs.Other.Disabled".into(), "true".into());
            is_disabled("Health", &[other, (name.into(), value.into())])
        };
        assert!(is_disabled("AzureWebJobs.Health.Disabled", "true"));
        assert!(is_disabled("AzureWebJobs_Health_Disabled", "true"));
        assert!(!is_disabled("AzureWebJobs.Health.Disabled", "false"));
        assert!(!is_disabled("AzureWebJobs__Health__Disabled", "true"));
    }
}
