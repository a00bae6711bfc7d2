//! Judges the program's answer as the host does. Where the real host hangs or is lenient, this one
//! fails the invocation.

use std::collections::BTreeMap;

use serde_json::Value;

use super::handler::Received;

/// The host's verdict on an invocation.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// It succeeded.
    Success {
        /// The lines of the answer's `Logs`.
        logs: Vec<String>,
        /// The answer's `ReturnValue`.
        return_value: Value,
    },
    /// It failed, for this reason. The answer is not kept, as with the real host.
    Failure(String),
}

impl Outcome {
    /// The reports in the answer's `ReturnValue`. Panics on a failure.
    pub fn reports(self) -> Vec<Value> {
        match self {
            Self::Success {
                return_value: Value::Array(reports),
                ..
            } => reports,
            Self::Success { return_value, .. } => panic!("not a list: {return_value}"),
            Self::Failure(reason) => panic!("the invocation failed: {reason}"),
        }
    }

    /// The only report, of a run for one destination. Panics on a failure, and on several reports.
    pub fn report(self) -> Value {
        let reports: Result<[Value; 1], _> = self.reports().try_into();
        let [report] = reports.unwrap_or_else(|reports| panic!("not one report: {reports:?}"));
        report
    }

    /// The reason of a failure. Panics on a success.
    pub fn failure(self) -> String {
        match self {
            Self::Failure(reason) => reason,
            Self::Success { return_value, .. } => panic!("it succeeded: {return_value}"),
        }
    }
}

/// An answer that counts as a success.
#[derive(Debug)]
pub(super) struct Answer {
    pub outputs: BTreeMap<String, Value>,
    pub logs: Vec<String>,
    pub return_value: Value,
}

impl From<Result<Answer, String>> for Outcome {
    fn from(judged: Result<Answer, String>) -> Self {
        match judged {
            Ok(answer) => Self::Success {
                logs: answer.logs,
                return_value: answer.return_value,
            },
            Err(reason) => Self::Failure(reason),
        }
    }
}

/// Reads the answer of a function with these output bindings, or says why it counts as a failure.
pub(super) fn judge(received: &Received, outputs: &[&str]) -> Result<Answer, String> {
    let Received {
        status,
        reason,
        content_type,
        body,
    } = received;
    if !(200..300).contains(status) {
        // The words of the real host, which shows only this.
        return Err(format!(
            "Response status code does not indicate success: {status} ({reason})."
        ));
    }
    if *status == 204 || body.is_empty() || body == "null" {
        return Err(format!(
            "status {status} with {} bytes: the real host would hang until functionTimeout",
            body.len()
        ));
    }
    let media_type = content_type.as_deref().and_then(|it| it.split(';').next());
    let is_json = media_type == Some("application/json");
    if !is_json {
        return Err(format!("content type {content_type:?}"));
    }
    let Ok(Value::Object(answer)) = serde_json::from_slice::<Value>(body) else {
        return Err("the body is not a JSON object".into());
    };
    let field = |name: &str| {
        let field = answer
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name));
        field.map_or(&Value::Null, |(_, value)| value)
    };
    let unknown = answer.keys().find(|key| {
        let known = ["Outputs", "Logs", "ReturnValue"];
        !known.iter().any(|name| key.eq_ignore_ascii_case(name))
    });
    if let Some(unknown) = unknown {
        return Err(format!("the body has a field {unknown}"));
    }
    let Value::Object(given) = field("Outputs") else {
        return Err("Outputs is not an object".into());
    };
    if given.keys().any(|name| !outputs.contains(&name.as_str())) {
        return Err("Outputs names bindings that the function does not have".into());
    }
    let logs: Option<Vec<String>> = match field("Logs") {
        Value::Null => Some(Vec::new()),
        Value::Array(lines) => lines.iter().map(|it| it.as_str().map(Into::into)).collect(),
        _ => None,
    };
    let Some(logs) = logs else {
        return Err("Logs is not a list of strings".into());
    };
    Ok(Answer {
        outputs: given.clone().into_iter().collect(),
        logs,
        return_value: field("ReturnValue").clone(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const JSON: Option<&str> = Some("application/json");

    fn received(status: u16, content_type: Option<&str>, body: &[u8]) -> Received {
        Received {
            status,
            reason: "Why".into(),
            content_type: content_type.map(Into::into),
            body: bytes::Bytes::copy_from_slice(body),
        }
    }

    #[test]
    fn a_success_needs_json_with_something_in_it() {
        let good = br#"{"outputs":{},"LOGS":["a"],"ReturnValue":[1]}"#;
        let answer = judge(&received(200, JSON, good), &[]).unwrap();
        assert_eq!(answer.logs, ["a"]);
        assert_eq!(answer.return_value, json!([1]));
        for (status, content_type, body) in [
            (500, JSON, &good[..]),
            (204, None, b""),
            (200, JSON, b""),
            (200, JSON, b"null"),
            (200, Some("text/plain"), good),
            (200, Some("application/problem+json"), good),
            (200, None, good),
            (200, JSON, b"{"),
            (200, JSON, br#"{"Logs":[]}"#),
            (200, JSON, br#"{"Outputs":{},"Logs":[1]}"#),
            (200, JSON, br#"{"Outputs":{"queue":1}}"#),
        ] {
            let refused = judge(&received(status, content_type, body), &["res"]).unwrap_err();
            if status == 500 {
                let told = "Response status code does not indicate success: 500 (Why).";
                assert_eq!(refused, told);
            }
        }
    }

    #[test]
    fn a_report_is_the_only_one_of_a_list() {
        let outcome = |return_value: Value| Outcome::Success {
            logs: Vec::new(),
            return_value,
        };
        assert_eq!(outcome(json!([{"a": 1}])).report(), json!({"a": 1}));
        assert_eq!(outcome(json!([1, 2])).reports(), [1, 2]);
        for bad in [json!([]), json!([1, 2]), json!({"a": 1}), json!(null)] {
            let shown = bad.to_string();
            let taken = std::panic::catch_unwind(|| outcome(bad).report());
            assert!(taken.is_err(), "{shown}");
        }
    }
}
