//! Requests recorded from the real Functions host (4.1037), played to the program byte for byte.
//! The simulated host's client adds a header of its own and sends all header names in lower case.
//!
//! `host_traffic.json` has the shapes of the recording; ids, times and keys are made up.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Deserialize;
use serde_json::Value;
use simulator::host::{FunctionsHost, Level};
use simulator::{Fault, Gate};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::world::{FUNCTION, World, minutes_ago, numbers};

#[derive(Deserialize)]
struct Recorded {
    name: String,
    method: String,
    path: String,
    headers: BTreeMap<String, String>,
    body: Value,
}

struct Answer {
    /// Without the HTTP version.
    status_line: String,
    body: String,
}

impl Answer {
    /// The only report in the body.
    fn report(&self) -> Value {
        let answer: Value = serde_json::from_str(&self.body).unwrap();
        let reports = answer["ReturnValue"].as_array().unwrap();
        assert_eq!(reports.len(), 1, "{answer}");
        reports[0].clone()
    }
}

fn recorded() -> Vec<Recorded> {
    serde_json::from_str(include_str!("host_traffic.json")).unwrap()
}

/// Plays a request of the recording, in chunks of 100 bytes.
async fn play(host: &FunctionsHost, name: &str) -> Answer {
    let all = recorded();
    let request = all.iter().find(|it| it.name == name).unwrap();
    let headers = request.headers.iter();
    let headers: String = headers
        .map(|(name, value)| {
            let value = value.replace("{address}", host.address());
            [name, ": ", &value, "\r\n"].concat()
        })
        .collect();
    let mut body = String::new();
    if request.headers.contains_key("Transfer-Encoding") {
        let text = request.body.to_string();
        for piece in text.as_bytes().chunks(100) {
            let piece = std::str::from_utf8(piece).unwrap();
            write!(body, "{:X}\r\n{piece}\r\n", piece.len()).unwrap();
        }
        body.push_str("0\r\n\r\n");
    }
    let Recorded { method, path, .. } = request;
    let text = format!("{method} {path} HTTP/1.1\r\n{headers}\r\n{body}");
    let mut connection = TcpStream::connect(host.address()).await.unwrap();
    connection.write_all(text.as_bytes()).await.unwrap();
    let (head, body) = answer(&mut connection).await;
    // The answer is searched for secrets too.
    host.transcript().add(&format!("{head}\n{body}"));
    let (status_line, _) = head.split_once("\r\n").unwrap();
    let status_line = status_line.strip_prefix("HTTP/1.1 ").unwrap().to_owned();
    Answer { status_line, body }
}

/// Reads an answer that has a Content-Length, as the program's answers do.
async fn answer(connection: &mut TcpStream) -> (String, String) {
    let mut text = String::new();
    loop {
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let lengths = head.lines().filter_map(|it| it.split_once(": "));
            let mut lengths =
                lengths.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
            let (_, length) = lengths.next().unwrap();
            if body.len() == length.parse::<usize>().unwrap() {
                return (head.to_owned(), body.to_owned());
            }
        }
        let mut piece = [0; 4096];
        let read = connection.read(&mut piece).await.unwrap();
        assert_ne!(read, 0, "it ended after {text}");
        text += std::str::from_utf8(&piece[..read]).unwrap();
    }
}

#[tokio::test]
async fn each_request_of_the_real_host_is_answered_as_it_should_be() {
    let world = World::start().await;
    world.tenant.generate(10, minutes_ago(50), minutes_ago(5));
    let host = world.host().await;
    assert_eq!(play(&host, "probe").await.status_line, "200 OK");

    let first = play(&host, "first tick").await;
    assert_eq!(first.status_line, "200 OK");
    assert_eq!(numbers(&first.report(), ["delivered"]), [10]);
    let past_due = play(&host, "past due").await;
    assert_eq!(past_due.status_line, "200 OK");
    assert_eq!(numbers(&past_due.report(), ["delivered"]), [0]);

    world.tenant.generate(3, minutes_ago(4), minutes_ago(3));
    let refused = Fault::answer(403, r#"{"Error":"InvalidAuthorization"}"#);
    world.workspace.fail([refused.clone(), refused]);
    let failed = play(&host, "attempt 0").await;
    let reason = failed.status_line.strip_prefix("500 log-analytics: ");
    assert!(reason.is_some_and(|it| it.contains("refused the signature")));
    // The host fails the invocation whatever the body holds, but the report is in it.
    assert_eq!(failed.report()["destination"], "log-analytics");
    let line = host
        .wait_for_line(Level::Error, "refused the signature")
        .await;
    let begin = "ERROR invocation 33333333-cccc-4ccc-8ccc-000000000003 trace \
                 4bf92f3577b34da6a3ce929d0e0e4736: log-analytics: ";
    assert!(line.text.starts_with(begin), "{}", line.text);
    let retried = play(&host, "attempt 1").await;
    assert_eq!(retried.status_line, "200 OK");
    assert_eq!(numbers(&retried.report(), ["delivered"]), [3]);

    let names = [
        "GET with the key in a header",
        "GET with the key in the query and a name twice",
        "HEAD",
    ];
    for name in names {
        let answer = play(&host, name).await;
        assert_eq!(
            answer.status_line, "404 there is no such function",
            "{name}"
        );
    }
    // All three requests carry the caller's key.
    let transcript = host.transcript();
    assert!(!transcript.text().contains("KEYOFTHISTEST"));
    world.assert_all_landed_once();
}

#[tokio::test]
async fn run_now_comes_beside_a_running_tick() {
    let world = World::start().await;
    world.tenant.generate(10, minutes_ago(50), minutes_ago(5));
    let host = world.host().await;
    let gate = Gate::closed();
    world.workspace.fail([Fault::Wait(gate.clone())]);
    let beside = async {
        world.workspace.wait_for_post(1).await;
        let answer = play(&host, "run now").await;
        gate.open();
        answer
    };
    let (tick, run_now) = tokio::join!(play(&host, "first tick"), beside);
    assert_eq!(numbers(&tick.report(), ["delivered"]), [10]);
    assert_eq!(run_now.status_line, "200 OK");
    assert_eq!(run_now.report()["busy"], true);
    world.assert_all_landed_once();

    // Without a tick beside it, it is a run like any other.
    let alone = play(&host, "run now").await;
    assert_eq!(alone.report()["busy"], false);
    host.fire_past_due(FUNCTION).await.report();
}
