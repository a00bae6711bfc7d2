//! What the host posts for one invocation of a function.

use std::fmt::Write as _;

use chrono::{DateTime, DurationRound as _, SecondsFormat, TimeDelta, Utc};
use serde_json::{Value, json};

/// One invocation of a function.
#[derive(Clone, Debug)]
pub(super) struct Invocation {
    /// Sent in a header. All attempts of a retry share it.
    pub id: String,
    /// Sent in a header. The real host sends none if nothing traces.
    pub trace_parent: Option<String>,
    pub body: String,
}

/// When a timer last ran, as the host remembers it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Schedule {
    pub last: Option<DateTime<Utc>>,
}

/// Why a timer runs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Why {
    /// It is due.
    OnTime,
    /// It was overdue when the host started.
    PastDue,
    /// A person asked for it, before it was due.
    RunNow,
}

/// One attempt at an invocation of a function with a retry policy.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt {
    /// 0 for the first.
    pub number: u64,
    pub most: u64,
}

impl Invocation {
    /// An invocation with this body and a new trace.
    pub fn new(body: String) -> Self {
        Self {
            id: guid(),
            trace_parent: Some(format!("00-{}-{}-00", hex(32), hex(16))),
            body,
        }
    }

    /// A timer's tick.
    pub fn timer(
        function: &str,
        binding: &str,
        (schedule, why): (Schedule, Why),
        attempt: Option<Attempt>,
    ) -> Self {
        let mut invocation = Self::new(String::new());
        let mut metadata = json!({"sys": sys(function)});
        if let Some(attempt) = attempt {
            metadata["RetryContext"] = retry_context(function, &invocation.id, attempt, None);
        }
        let data = json!({binding: timer(schedule, why)});
        invocation.body = json!({"Data": data, "Metadata": metadata}).to_string();
        invocation
    }

    /// The same tick in another attempt, after one that failed for this reason.
    pub fn again(&self, function: &str, attempt: Attempt, failure: &str) -> Self {
        let mut body: Value = serde_json::from_str(&self.body).expect("of its own making");
        body["Metadata"]["sys"] = sys(function);
        let context = retry_context(function, &self.id, attempt, Some(failure));
        body["Metadata"]["RetryContext"] = context;
        Self {
            body: body.to_string(),
            ..self.clone()
        }
    }

    /// *Run now* of the portal, without a trace and without a policy. What the portal passes
    /// arrives as text with quotes of its own.
    pub fn run_now(function: &str, binding: &str, schedule: Schedule) -> Self {
        let data = json!({binding: timer(schedule, Why::RunNow)});
        let metadata = json!({binding: "\"test\"", "sys": sys(function)});
        Self {
            trace_parent: None,
            ..Self::new(json!({"Data": data, "Metadata": metadata}).to_string())
        }
    }
}

fn timer(schedule: Schedule, why: Why) -> Value {
    let now = Utc::now();
    let minute = TimeDelta::minutes(1);
    let after = |time: DateTime<Utc>| {
        let full = time.duration_trunc(minute).expect("a time of this age");
        full + minute
    };
    // `Next` is the due time: that of the tick itself, and in the past for an overdue one.
    let next = match (why, schedule.last) {
        (Why::PastDue, Some(last)) => after(last),
        (Why::OnTime | Why::PastDue, _) => after(now) - minute,
        (Why::RunNow, _) => after(now),
    };
    let last = schedule.last.map_or_else(never, to_ticks);
    // Before the first tick the host has stored the time of its start, which *Run now* shows.
    let updated = match (why, schedule.last) {
        (Why::RunNow, None) => to_ticks(now),
        _ => last.clone(),
    };
    json!({
        "Schedule": {"AdjustForDST": true},
        "ScheduleStatus": {
            "Last": last,
            "Next": next.to_rfc3339_opts(SecondsFormat::Secs, false),
            "LastUpdated": updated,
        },
        "IsPastDue": why == Why::PastDue,
    })
}

/// The metadata that every invocation has.
pub(super) fn sys(function: &str) -> Value {
    json!({
        "MethodName": function,
        "UtcNow": to_ticks(Utc::now()).replace("+00:00", "Z"),
        "RandGuid": guid(),
    })
}

fn retry_context(function: &str, id: &str, attempt: Attempt, failure: Option<&str>) -> Value {
    let exception = failure.map(|failure| {
        json!({
            "InstanceId": id,
            "MethodName": format!("Host.Functions.{function}"),
            "Handled": false,
            "ClassName": "Microsoft.Azure.WebJobs.Host.FunctionInvocationException",
            "Message": format!("Exception while executing function: Functions.{function}"),
            "Data": null,
            "InnerException": {
                "HttpRequestError": 0,
                "StatusCode": 500,
                "Message": failure,
                "Data": {},
                "InnerException": null,
                "HelpLink": null,
                "Source": "System.Net.Http",
                "HResult": -2_146_233_088,
                "StackTrace": "   at A.Method() in /_/src/A.cs:line 1\n".repeat(50),
            },
            "HelpURL": null,
            "StackTraceString": "   at B.Method() in /_/src/B.cs:line 1\n".repeat(10),
            "RemoteStackTraceString": null,
            "RemoteStackIndex": 0,
            "ExceptionMethod": null,
            "HResult": -2_146_233_088,
            "Source": "System.Private.CoreLib",
            "WatsonBuckets": null,
        })
    });
    json!({
        "RetryCount": attempt.number,
        "MaxRetryCount": attempt.most,
        "Exception": exception,
        "Instance": null,
        "State": {},
    })
}

/// The time of a timer that has never run.
fn never() -> String {
    "0001-01-01T00:00:00+00:00".to_owned()
}

/// The time as .NET writes it: to 100 ns, without trailing zeros.
fn to_ticks(time: DateTime<Utc>) -> String {
    let fraction = format!("{:07}", time.timestamp_subsec_nanos() % 1_000_000_000 / 100);
    let fraction = fraction.trim_end_matches('0');
    let dot = if fraction.is_empty() { "" } else { "." };
    format!("{}{dot}{fraction}+00:00", time.format("%Y-%m-%dT%H:%M:%S"))
}

/// A random GUID.
fn guid() -> String {
    let mut bytes: [u8; 16] = std::array::from_fn(|_| fastrand::u8(..));
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut text = String::new();
    for (n, byte) in bytes.into_iter().enumerate() {
        if [4, 6, 8, 10].contains(&n) {
            text.push('-');
        }
        write!(text, "{byte:02x}").expect("text takes everything");
    }
    text
}

fn hex(digits: usize) -> String {
    std::iter::repeat_with(|| fastrand::digit(16))
        .take(digits)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(invocation: &Invocation) -> Value {
        serde_json::from_str(&invocation.body).unwrap()
    }

    /// Removes what differs between invocations, after checking its form.
    fn without_what_varies(mut body: Value) -> Value {
        let sys = body["Metadata"]["sys"].as_object_mut().unwrap();
        let now = sys.remove("UtcNow").unwrap();
        let now = now.as_str().unwrap();
        assert!(
            now.ends_with('Z') && (20..=28).contains(&now.len()),
            "{now}"
        );
        assert_eq!(sys.remove("RandGuid").unwrap().as_str().unwrap().len(), 36);
        let status = &mut body["Data"]["timer"]["ScheduleStatus"];
        let next = status.as_object_mut().unwrap().remove("Next").unwrap();
        let next = next.as_str().unwrap();
        assert!(next.ends_with("+00:00") && next.len() == 25, "{next}");
        body
    }

    #[test]
    fn a_tick_is_written_as_the_real_host_writes_it() {
        let on_time = (Schedule::default(), Why::OnTime);
        let tick = Invocation::timer("Tick", "timer", on_time, None);
        assert_eq!(
            without_what_varies(body(&tick)),
            json!({
                "Data": {"timer": {
                    "Schedule": {"AdjustForDST": true},
                    "ScheduleStatus": {"Last": "0001-01-01T00:00:00+00:00",
                                       "LastUpdated": "0001-01-01T00:00:00+00:00"},
                    "IsPastDue": false,
                }},
                "Metadata": {"sys": {"MethodName": "Tick"}},
            })
        );
        let trace_parent = tick.trace_parent.unwrap();
        let lengths: Vec<_> = trace_parent.split('-').map(str::len).collect();
        assert_eq!(lengths, [2, 32, 16, 2]);
    }

    #[test]
    fn a_time_has_the_digits_of_a_tick_and_no_zeros_at_the_end() {
        for (time, text) in [
            (
                "2026-11-26T02:33:00.002869Z",
                "2026-11-26T02:33:00.002869+00:00",
            ),
            (
                "2026-11-26T02:33:00.123456789Z",
                "2026-11-26T02:33:00.1234567+00:00",
            ),
            ("2026-11-26T02:33:00Z", "2026-11-26T02:33:00+00:00"),
        ] {
            let last = Some(time.parse().unwrap());
            let on_time = (Schedule { last }, Why::OnTime);
            let tick = Invocation::timer("Tick", "timer", on_time, None);
            let status = &body(&tick)["Data"]["timer"]["ScheduleStatus"];
            assert_eq!(status["Last"], text);
        }
    }

    #[test]
    fn a_tick_that_is_late_says_so_and_when_it_was_due() {
        let last = Some("2026-11-26T02:33:00.002869Z".parse().unwrap());
        let late = (Schedule { last }, Why::PastDue);
        let late = body(&Invocation::timer("Tick", "timer", late, None));
        assert_eq!(
            late["Data"]["timer"],
            json!({
                "Schedule": {"AdjustForDST": true},
                "ScheduleStatus": {"Last": "2026-11-26T02:33:00.002869+00:00",
                                   "Next": "2026-11-26T02:34:00+00:00",
                                   "LastUpdated": "2026-11-26T02:33:00.002869+00:00"},
                "IsPastDue": true,
            })
        );
    }

    #[test]
    fn an_attempt_after_the_first_carries_the_exception_of_the_one_before() {
        let attempt = Attempt { number: 0, most: 2 };
        let on_time = (Schedule::default(), Why::OnTime);
        let first = Invocation::timer("Fails", "timer", on_time, Some(attempt));
        assert_eq!(
            body(&first)["Metadata"]["RetryContext"],
            json!({"RetryCount": 0, "MaxRetryCount": 2, "Exception": null, "Instance": null,
                   "State": {}})
        );
        let failure = "Response status code does not indicate success: 500 (it is down).";
        let again = first.again("Fails", Attempt { number: 1, most: 2 }, failure);
        assert_eq!(again.id, first.id);
        assert_eq!(body(&again)["Data"], body(&first)["Data"]);
        let second = body(&again)["Metadata"]["RetryContext"].clone();
        assert_eq!(second["RetryCount"], 1);
        let exception = &second["Exception"];
        assert_eq!(exception["MethodName"], "Host.Functions.Fails");
        assert_eq!(exception["InnerException"]["StatusCode"], 500);
        assert_eq!(exception["InnerException"]["Message"], failure);
        assert!(second.to_string().len() > 2_000);
    }

    #[test]
    fn run_now_passes_a_text_with_quotes_and_neither_policy_nor_trace() {
        let now = Invocation::run_now("Tick", "timer", Schedule::default());
        let metadata = &body(&now)["Metadata"];
        assert_eq!(metadata["timer"], "\"test\"");
        assert!(metadata.get("RetryContext").is_none());
        assert_eq!(now.trace_parent, None);
        let status = &body(&now)["Data"]["timer"]["ScheduleStatus"];
        assert_eq!(status["Last"], "0001-01-01T00:00:00+00:00");
        let [updated, next] = ["LastUpdated", "Next"].map(|it| {
            let time = status[it].as_str().unwrap();
            time.parse::<DateTime<Utc>>().unwrap()
        });
        // The next tick is in the future, at a full minute.
        assert!(updated < next && next - updated <= TimeDelta::minutes(1));
        assert_eq!(next.timestamp() % 60, 0);
    }
}
