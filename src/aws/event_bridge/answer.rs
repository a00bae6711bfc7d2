//! The JSON of requests to the service and of its answers.

use bytes::Bytes;
use secrecy::SecretString;
use serde::Deserialize;

use crate::aws::refusal::said;
use crate::json::escape;

/// What the service says of one entry.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Entry {
    Accepted,
    /// Refused for a fault of the entry.
    Refused(String),
    /// Refused for now: the service is overloaded.
    Busy(String),
    /// Refused for now: the service failed internally.
    Failed(String),
    /// Refused for what all entries have in common: the account, the bus, the source. With the remedy.
    Closed(String, &'static str),
}

/// The answer to `DescribeEventBus`, as far as it matters.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Described {
    pub arn: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Results {
    failed_entry_count: Option<usize>,
    entries: Vec<EntryResult>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct EntryResult {
    event_id: Option<String>,
    error_code: Option<String>,
    error_message: Option<String>,
}

/// The body of `DescribeEventBus`.
pub(super) fn describe(bus: &str) -> Bytes {
    format!(r#"{{"Name":"{}"}}"#, escape(bus)).into()
}

/// The body of `PutEvents` with these entries.
pub(super) fn request<'a>(entries: impl Iterator<Item = &'a Bytes>) -> Bytes {
    let mut body = br#"{"Entries":["#.to_vec();
    for (index, entry) in entries.enumerate() {
        if index > 0 {
            body.push(b',');
        }
        body.extend_from_slice(entry);
    }
    body.extend_from_slice(b"]}");
    body.into()
}

/// What an answer to `PutEvents` says of each of `count` entries. `None` if it leaves one out, or
/// counts more failures than it names. A text that repeats one of the `secrets` is withheld.
pub(super) fn entries(answer: &[u8], count: usize, secrets: &[SecretString]) -> Option<Vec<Entry>> {
    let results: Results = serde_json::from_slice(answer).ok()?;
    if results.entries.len() != count {
        return None;
    }
    let failures = results.failed_entry_count.unwrap_or_default();
    let results = results.entries.into_iter();
    let entries: Option<Vec<_>> = results.map(|it| entry(it, secrets)).collect();
    let is_failure = |it: &&Entry| !matches!(it, Entry::Accepted);
    entries.filter(|it| it.iter().filter(is_failure).count() >= failures)
}

fn entry(result: EntryResult, secrets: &[SecretString]) -> Option<Entry> {
    let Some(code) = result.error_code.filter(|it| !it.is_empty()) else {
        let is_acknowledged = result.event_id.is_some_and(|it| !it.is_empty());
        return is_acknowledged.then_some(Entry::Accepted);
    };
    let said = said(&code, &result.error_message.unwrap_or_default(), secrets);
    Some(match &*code {
        "ThrottlingException" => Entry::Busy(said),
        "InternalFailure" | "InternalException" => Entry::Failed(said),
        code if code.starts_with("NotAuthorizedForSource") => Entry::Closed(
            said,
            "set EVENT_BRIDGE_SOURCE to a source that is yours: those that begin with aws. are \
             AWS's, and those of partners the partners'",
        ),
        code if code.starts_with("NotAuthorized") || code.starts_with("AccessDenied") => {
            Entry::Closed(
                said,
                "allow events:PutEvents in the policy of the user or role, and in the bus's own where \
                 it is another account's, without conditions that this source or type of detail fails",
            )
        }
        code if code.starts_with("InvalidAccountId") => {
            Entry::Closed(said, "correct the account in EVENT_BRIDGE_BUS")
        }
        _ => Entry::Refused(said),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_put_as_one_list() {
        let entries: Vec<Bytes> = ["{}", r#"{"Source":"s"}"#].map(Bytes::from).into();
        assert_eq!(
            &request(entries.iter())[..],
            br#"{"Entries":[{},{"Source":"s"}]}"#
        );
        assert_eq!(&describe("a\"b")[..], br#"{"Name":"a\"b"}"#);
    }

    #[test]
    fn each_entry_is_judged_by_its_own_code() {
        let judged = |result: &str| {
            let failures = u8::from(result.contains(r#""ErrorCode":""#));
            let answer = format!(r#"{{"FailedEntryCount":{failures},"Entries":[{result}]}}"#);
            entries(answer.as_bytes(), 1, &[]).map(|mut it| it.remove(0))
        };
        assert_eq!(judged(r#"{"EventId":"1"}"#), Some(Entry::Accepted));
        assert_eq!(
            judged(r#"{"EventId":"1","ErrorCode":null}"#),
            Some(Entry::Accepted)
        );
        let with_message = |code| format!(r#"{{"ErrorCode":"{code}","ErrorMessage":"m"}}"#);
        let throttled = judged(&with_message("ThrottlingException"));
        let said = "ThrottlingException: m".to_owned();
        assert_eq!(throttled, Some(Entry::Busy(said)));
        for code in ["InternalFailure", "InternalException"] {
            let entry = judged(&with_message(code));
            assert_eq!(entry, Some(Entry::Failed(format!("{code}: m"))));
        }
        for code in [
            "MalformedDetail",
            "InvalidArgument",
            "RedactionFailure",
            "New",
        ] {
            let entry = judged(&format!(r#"{{"ErrorCode":"{code}"}}"#));
            assert_eq!(entry, Some(Entry::Refused(code.to_owned())));
        }
        for (code, telling) in [
            ("NotAuthorizedForSourceException", "EVENT_BRIDGE_SOURCE"),
            ("NotAuthorizedForSource", "EVENT_BRIDGE_SOURCE"),
            ("NotAuthorizedForDetailTypeException", "events:PutEvents"),
            ("AccessDeniedException", "events:PutEvents"),
            ("InvalidAccountIdException", "EVENT_BRIDGE_BUS"),
        ] {
            match judged(&format!(r#"{{"ErrorCode":"{code}"}}"#)) {
                Some(Entry::Closed(_, remedy)) => assert!(remedy.contains(telling), "{code}"),
                other => panic!("{code}: {other:?}"),
            }
        }
    }

    #[test]
    fn an_answer_that_leaves_out_an_entry_acknowledges_none() {
        let ok = r#"{"EventId":"1"}"#;
        let of = |entries: &str| format!(r#"{{"FailedEntryCount":0,"Entries":[{entries}]}}"#);
        assert!(entries(of(ok).as_bytes(), 1, &[]).is_some());
        for answer in [
            of(""),
            of(&format!("{ok},{ok}")),
            of("{}"),
            of(r#"{"EventId":""}"#),
            of("null"),
            format!(r#"{{"FailedEntryCount":1,"Entries":[{ok}]}}"#),
            r#"{"FailedEntryCount":0}"#.to_owned(),
            "{}".to_owned(),
            String::new(),
            "<html>".to_owned(),
        ] {
            assert_eq!(entries(answer.as_bytes(), 1, &[]), None, "{answer}");
        }
    }
}
