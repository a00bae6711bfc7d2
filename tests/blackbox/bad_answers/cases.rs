//! Bad answers from Auth0, or from whoever answers in its place, and the outcome that each must
//! have.

use bytes::Bytes;
use serde_json::{Value, json};
use simulator::Fault;

/// `[]`, compressed.
const GZIP: [u8; 22] = [
    31, 139, 8, 0, 0, 0, 0, 0, 2, 3, 139, 142, 5, 0, 41, 187, 76, 13, 2, 0, 0, 0,
];

/// The required outcome of a bad answer.
pub enum Comes {
    /// The run fails with an error that contains this text.
    Error(&'static str),
    /// The run succeeds and delivers this many of the three records that the page should have had.
    Delivery(u64),
    /// The run succeeds and sets aside records without an id.
    DeadLetter,
}

use Comes::{DeadLetter, Delivery, Error};

/// Makes the answer that replaces a page of these three records.
type Answer = fn(&[Value]) -> Fault;

/// A name, the answer, and the required outcome.
pub type Case = (&'static str, Answer, Comes);

fn answer(body: impl Into<Bytes>, headers: &[(&'static str, &str)]) -> Fault {
    let headers = headers.iter();
    Fault::Answer {
        status: 200,
        headers: headers
            .map(|(name, value)| (*name, (*value).into()))
            .collect(),
        body: body.into(),
    }
}

pub fn json(body: &Value) -> Fault {
    let headers = [("content-type", "application/json; charset=utf-8")];
    answer(body.to_string(), &headers)
}

/// A page of these records, each changed by `change`.
fn changed(records: &[Value], change: impl Fn(&mut serde_json::Map<String, Value>)) -> Fault {
    let mut records = records.to_vec();
    for record in &mut records {
        change(record.as_object_mut().unwrap());
    }
    json(&records.into())
}

pub fn large_headers(page: &[Value]) -> Fault {
    let header = "x".repeat(10_000_000);
    answer(json!(page).to_string(), &[("x-large", &header)])
}

/// Answers that are not a page, or that differ from a page's usual form.
pub fn odd_answers() -> Vec<Case> {
    vec![
        (
            "HTML",
            |_| answer("<html>\n<h1>Sorry</h1>", &[("content-type", "text/html")]),
            Error("cannot be read (<html> <h1>Sorry</h1>): the answer is not a JSON list"),
        ),
        (
            "JSON that breaks off",
            |page| {
                let page = json!(page).to_string();
                answer(page[..page.len() / 2].to_owned(), &[])
            },
            Error("cannot be read: the answer is not a JSON list of records (line 1, column "),
        ),
        (
            "an object around the list",
            |page| json(&json!({"start": 0, "logs": page})),
            Error(r#"cannot be read ({"logs":[{"#),
        ),
        (
            "null",
            |_| json(&Value::Null),
            Error("cannot be read (null): the answer is not a JSON list"),
        ),
        (
            "an error, with success",
            |_| {
                json(&json!({"statusCode": 400, "error": "Bad Request",
                             "message": "The query is invalid", "errorCode": "invalid_query"}))
            },
            Error("cannot be read (The query is invalid): "),
        ),
        (
            "gzip",
            |_| answer(GZIP.to_vec(), &[("content-encoding", "gzip")]),
            Error("is compressed (gzip)"),
        ),
        (
            "headers of 10 MB",
            large_headers,
            // The request is retried.
            Delivery(3),
        ),
        (
            "an error with a body of 70 MB",
            |_| Fault::answer(503, &"x".repeat(70_000_000)),
            // The program reads only the beginning of the body, and retries.
            Delivery(3),
        ),
        (
            "more elements than were asked for",
            |_| answer(format!("[0{}]", ",0".repeat(1_000_000)), &[]),
            Error("sent more than 1000 records at once, where 100 were asked for"),
        ),
        (
            "an error about the token",
            |_| {
                let error = json!({"statusCode": 400, "error": "Bad Request",
                                   "message": "Bad HTTP authentication header format",
                                   "errorCode": "Bearer"});
                Fault::answer(400, &error.to_string())
            },
            // The request is retried with a new token.
            Delivery(3),
        ),
        (
            "nothing",
            |_| answer("", &[]),
            Error("cannot be read (an empty body): "),
        ),
        (
            "another content type",
            |page| {
                let headers = [("content-type", "image/png")];
                answer(json!(page).to_string(), &headers)
            },
            Delivery(3),
        ),
        (
            "what is no UTF-8",
            |page| {
                let page = json!(page).to_string().into_bytes();
                let page = page.into_iter();
                let page = page.map(|byte| if byte == b's' { 0xff } else { byte });
                answer(page.collect::<Vec<_>>(), &[])
            },
            Delivery(3),
        ),
    ]
}

/// Pages with elements that are not as records should be.
pub fn odd_pages() -> Vec<Case> {
    vec![
        (
            "a list of other things",
            |page| {
                json(&json!([
                    page[0],
                    1,
                    "text",
                    null,
                    [page[0]["date"]],
                    page[1]
                ]))
            },
            DeadLetter,
        ),
        (
            "records without an id",
            |page| {
                changed(page, |record| {
                    record.remove("log_id");
                })
            },
            // The tenant has more records, which a search finds.
            DeadLetter,
        ),
        (
            "records without a date",
            |page| {
                changed(page, |record| {
                    record.remove("date");
                })
            },
            Delivery(3),
        ),
        (
            "each record twice",
            |page| {
                json(&json!([
                    page[0], page[1], page[0], page[1], page[2], page[2]
                ]))
            },
            Delivery(3),
        ),
        (
            "ids that go backwards",
            |page| json(&json!([page[2], page[1], page[0]])),
            Delivery(3),
        ),
        (
            "a record of long ago",
            |_| {
                let id = format!("90020010101{:045}", 0);
                json(&json!([{"log_id": id, "date": "2001-01-01T00:00:00Z"}]))
            },
            Error("reading makes no progress: of the records after 900"),
        ),
    ]
}

/// Answers of the token endpoint, and the error that each must cause.
pub fn token_answers() -> Vec<(Fault, &'static str)> {
    let something_else = "answered the request for a token with something else: ";
    vec![
        (answer("<html>", &[]), something_else),
        (answer("", &[]), something_else),
        (answer(r#"{"access_token":"a"#, &[]), something_else),
        (answer([0xff; 9].to_vec(), &[]), something_else),
        (json(&json!([])), something_else),
        (
            json(&json!({"access_token": "a\r\nb", "expires_in": 2_592_000})),
            "something else: an access_token that cannot be a bearer token",
        ),
        (
            json(&json!({"access_token": "a".repeat(16_385)})),
            "something else: an access_token that cannot be a bearer token",
        ),
        (
            answer(
                format!(r#"{{"access_token":"{}"}}"#, "a".repeat(65_536)),
                &[],
            ),
            "the answer is over 65536 bytes",
        ),
        (json(&json!({"access_token": null})), something_else),
        (json(&json!({"error": "invalid_request"})), something_else),
        (
            answer(GZIP.to_vec(), &[("content-encoding", "gzip")]),
            "is compressed (gzip)",
        ),
    ]
}
