//! The commands as a person at a terminal uses them.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use simulator::{Fault, Gate};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::time::timeout;

use crate::world::{FUNCTION, Sink, World, binary, minutes_ago, numbers};

#[tokio::test]
async fn every_destination_that_there_is_is_under_test() {
    let help = World::start().await.command(&["poll", "--help"]).await;
    let kinds = help
        .stdout
        .lines()
        .skip_while(|it| !it.contains("--destination"));
    let kinds = kinds.take_while(|it| !it.contains("--help"));
    let kinds: Vec<_> = kinds
        .filter_map(|line| line.trim().split_once(": "))
        .map(|(name, _)| name)
        .collect();
    let tested: Vec<_> = Sink::ALL.iter().map(|it| it.name()).collect();
    // `stdout` has its tests in this file.
    assert_eq!(kinds, [&tested[..], &["stdout"]].concat());
}

#[tokio::test]
async fn poll_without_settings_names_them_all_and_exits_with_2() {
    let mut world = World::start().await;
    world.settings.clear();
    world.set("START_FROM", "yesterday");
    world.set("logAnalyticsUri", "https://example.com");
    let all = [
        "DOMAIN",
        "CLIENT_ID",
        "CLIENT_SECRET",
        "WorkspaceID",
        "WorkspaceKey",
        "logAnalyticsUri",
        "START_FROM",
    ];
    for (command, needed) in [
        (&["poll"][..], &all[..]),
        (&["check"], &all),
        // These commands use only the storage.
        (&["checkpoint", "show"], &["DOMAIN"]),
        (&["dead-letter", "list"], &["DOMAIN"]),
    ] {
        let ran = world.command(command).await;
        assert_eq!(ran.code(), 2);
        assert_eq!(ran.stdout, "");
        let named: Vec<_> = ran
            .stderr
            .lines()
            .filter_map(|line| line.strip_prefix("  ")?.split(' ').next())
            .collect();
        assert_eq!(named, needed);
    }
}

#[tokio::test]
async fn an_option_is_not_said_to_be_a_setting() {
    let mut world = World::start().await;
    let told = "  --destination names an unknown destination; it takes log-analytics, ";
    for command in ["poll", "check"] {
        let ran = world.command(&[command, "--destination", "sentinel"]).await;
        assert_eq!((ran.code(), &*ran.stdout), (2, ""), "{ran:?}");
        assert!(ran.stderr.contains(told), "{ran:?}");
        assert_eq!(ran.stderr.lines().count(), 2, "{ran:?}");
    }
    world.set("CLIENT_ID", "");
    let ran = world.command(&["poll", "--destination", "sentinel"]).await;
    let set = "Set them in the environment or in local.settings.json, which is not in this folder.";
    assert!(ran.stderr.contains(told), "{ran:?}");
    assert_eq!(ran.stderr.lines().last(), Some(set));
}

#[tokio::test]
async fn the_sample_settings_are_complete_but_for_what_only_the_user_knows() {
    let mut world = World::start().await;
    world.settings.clear();
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/local.settings.sample.json");
    fs::copy(sample, world.folder.path().join("local.settings.json")).unwrap();
    let ran = world.command(&["poll"]).await;
    assert_eq!(ran.code(), 2);
    let problems: Vec<_> = ran
        .stderr
        .lines()
        .filter(|line| line.starts_with("  "))
        .collect();
    assert_eq!(problems.len(), 5, "{ran:?}");
    assert!(
        problems.iter().all(|line| line.contains("is missing")),
        "{ran:?}"
    );
}

#[tokio::test]
async fn a_failed_poll_prints_its_report_and_exits_with_1() {
    let world = World::start().await;
    world.tenant.generate(10, minutes_ago(50), minutes_ago(5));
    world
        .workspace
        .fail([Fault::answer(400, r#"{"Error":"InvalidCustomerId"}"#)]);
    let ran = world.command(&["poll"]).await;
    assert_eq!(ran.code(), 1);
    let report = ran.report();
    let error = report["errors"][0].as_str().unwrap();
    assert!(error.contains("InvalidCustomerId"), "{error}");
    let line = format!("log-analytics: the run failed: {error}\n");
    assert_eq!(ran.stderr, line, "why, in one line");
}

#[tokio::test]
async fn a_failed_look_says_why_and_keeps_standard_output_for_records() {
    let world = World::start().await;
    world.tenant.fail_tokens([Fault::answer(403, "{}")]);
    let ran = world.command(&["poll", "--destination", "stdout"]).await;
    assert_eq!((ran.code(), &*ran.stdout), (1, ""), "{ran:?}");
    let lines: Vec<_> = ran.stderr.lines().collect();
    let (why, report) = lines.split_last().unwrap();
    let report: Value = serde_json::from_str(&report.join("\n")).unwrap();
    let error = report["errors"][0].as_str().unwrap();
    assert_eq!(*why, format!("stdout: the run failed: {error}"));
}

#[tokio::test]
async fn records_can_be_looked_at_before_any_is_sent() {
    let world = World::start().await;
    let ids = world.tenant.generate(130, minutes_ago(50), minutes_ago(5));
    let ran = world.command(&["poll", "--destination", "stdout"]).await;
    assert_eq!(ran.code(), 0);
    let records: Vec<Value> = ran
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(records.len(), ids.len());
    assert!(
        records
            .iter()
            .all(|record| ids.contains(&record["_id"].as_str().unwrap().into()))
    );
    let report: Value = serde_json::from_str(&ran.stderr).unwrap();
    assert_eq!(numbers(&report, ["delivered"]), [130]);

    let again = world.command(&["poll", "--destination", "stdout"]).await;
    assert_eq!(again.stdout, "", "it has a checkpoint of its own");
    world.poll().await;
    world.assert_all_landed_once();
}

/// A user signs in with a name that clears the screen and reverses the text direction. JSON may
/// hold such characters unescaped.
#[tokio::test]
async fn a_look_at_the_records_is_no_command_to_the_terminal() {
    let world = World::start().await;
    let name = "\u{9b}2J\u{7f}\u{202e}nimda\u{2066}\u{2028}";
    let date = minutes_ago(5);
    let record = json!({"date": date, "type": "fu", "user_name": name});
    world.tenant.add(record, date);
    let ran = world.command(&["poll", "--destination", "stdout"]).await;
    let line = ran.stdout.strip_suffix('\n').unwrap();
    assert!(
        line.contains(r#""user_name":"\u009b2J\u007f\u202enimda\u2066\u2028""#),
        "{line:?}"
    );
    let record: Value = serde_json::from_str(line).unwrap();
    assert_eq!(record["user_name"], name);
}

#[tokio::test]
async fn check_finds_everything_in_order_and_sends_nothing() {
    let world = World::start().await;
    world.tenant.generate(10, minutes_ago(50), minutes_ago(5));
    let ran = world.command(&["check"]).await;
    assert_eq!(ran.code(), 0, "{ran:?}");
    let subjects: Vec<_> = ran
        .stdout
        .lines()
        .filter_map(|line| line.strip_prefix("ok         ")?.split(':').next())
        .collect();
    assert!(
        ran.stdout
            .ends_with("Nothing is in the way of `auth0-poller poll`.\n")
    );
    assert_eq!(subjects, ["token", "log", "storage", "log-analytics"]);
    assert!(world.workspace.landed().is_empty());
    let show = world.command(&["checkpoint", "show"]).await;
    assert_eq!((show.code(), &*show.stdout), (0, ""));
    assert!(
        show.stderr.contains("there is no checkpoint yet"),
        "{show:?}"
    );
}

#[tokio::test]
async fn check_of_a_look_needs_nothing_of_a_destination_and_names_the_command_that_it_tried() {
    let mut world = World::start().await;
    world.set("WorkspaceKey", "");
    let ran = world.command(&["check", "--destination", "stdout"]).await;
    assert_eq!(ran.code(), 0, "{ran:?}");
    assert!(
        ran.stdout
            .ends_with("Nothing is in the way of `auth0-poller poll --destination stdout`.\n"),
        "{ran:?}"
    );
}

#[tokio::test]
async fn check_says_of_each_thing_what_is_wrong_and_how_to_mend_it() {
    let cases: [(&str, &str, &[&str]); 5] = [
        (
            "CLIENT_SECRET",
            "wrong",
            &[
                "FAILED     token:",
                "access_denied: Unauthorized",
                "check CLIENT_ID and CLIENT_SECRET",
            ],
        ),
        (
            "AUDIENCE",
            "https://login.acme.com/api/v2/",
            &[
                "FAILED     token:",
                "Service not enabled within domain",
                "check AUDIENCE",
            ],
        ),
        (
            "WorkspaceKey",
            "d3Jvbmc=",
            &[
                "ok         token:",
                "FAILED     log-analytics:",
                "refused the signature",
                "WorkspaceKey",
            ],
        ),
        (
            "CHECKPOINT_DIR",
            "/proc/no/such/folder",
            &["FAILED     storage: /proc/no/such/folder/check.txt"],
        ),
        (
            "DOMAIN",
            "http://127.0.0.1:9",
            &[
                "FAILED     token: cannot get a token from 127.0.0.1:9; check DOMAIN",
                "(tried 6 times in ",
                " s): cannot connect",
                "not tried  log: there is no token to read it with",
            ],
        ),
    ];
    for (setting, value, expected) in cases {
        let mut world = World::start().await;
        world.set(setting, value);
        let ran = world.command(&["check"]).await;
        assert_eq!(ran.code(), 1, "{ran:?}");
        for text in expected {
            assert!(ran.stdout.contains(text), "{text} is not in {}", ran.stdout);
        }
    }
}

#[tokio::test]
async fn check_recognises_an_application_that_may_not_read_logs() {
    let world = World::with(simulator::tenant::Options {
        scope: "read:users",
        ..Default::default()
    })
    .await;
    let ran = world.command(&["check"]).await;
    assert_eq!(ran.code(), 1);
    for text in [
        "FAILED     token: Auth0 issued one for read:users, which does not allow reading logs",
        "FAILED     log: ",
        "Insufficient scope, expected any of: read:logs",
        "give it the permission read:logs",
    ] {
        assert!(ran.stdout.contains(text), "{text} is not in {}", ran.stdout);
    }
}

#[tokio::test]
async fn check_recognises_a_website_that_is_no_tenant() {
    let world = World::start().await;
    world
        .tenant
        .fail_tokens([Fault::answer(404, "<html>Not found</html>")]);
    let ran = world.command(&["check"]).await;
    assert_eq!(ran.code(), 1);
    let told = "has no token endpoint (404); check DOMAIN";
    assert!(ran.stdout.contains(told), "{ran:?}");
}

#[tokio::test]
async fn a_domain_that_may_be_mistyped_is_warned_of_before_it_gets_the_secret() {
    let mut world = World::start().await;
    world.set("DOMAIN", "acme.auth0.com.invalid");
    world.set("RUN_BUDGET", "15s");
    let told = "acme.auth0.com.invalid, which gets CLIENT_ID and CLIENT_SECRET, is not under \
                auth0.com; correct DOMAIN if it is mistyped";
    world.set("AUDIENCE", "https://acme.eu.auth0.com/api/v2/");
    let custom = world.command(&["poll"]).await;
    assert!(
        !custom.stderr.contains("which gets CLIENT_ID"),
        "{custom:?}"
    );
    world.set("AUDIENCE", "");
    let poll = world.command(&["poll"]).await;
    assert!(poll.stderr.contains(told), "{poll:?}");
    let check = world.command(&["check"]).await;
    let warned = check.stdout.find(&format!("warning    DOMAIN: {told}"));
    let tried = check.stdout.find("FAILED     token");
    assert!(warned.is_some() && warned < tried, "{check:?}");
}

#[tokio::test]
async fn check_does_not_claim_to_have_tried_a_key_that_the_workspace_did_not_judge() {
    let world = World::start().await;
    world
        .workspace
        .fail([Fault::answer(400, r#"{"Error":"InvalidDataFormat"}"#)]);
    let ran = world.command(&["check"]).await;
    assert_eq!(ran.code(), 0);
    assert!(ran.stdout.contains("not tried  log-analytics:"), "{ran:?}");
    assert!(
        ran.stdout
            .ends_with("Nothing failed; the first run shows whether what was not tried works.\n"),
        "{ran:?}"
    );

    world
        .workspace
        .fail([Fault::answer(400, r#"{"Error":"InactiveCustomer"}"#)]);
    let ran = world.command(&["check"]).await;
    assert_eq!(ran.code(), 1);
    assert!(ran.stdout.contains("FAILED     log-analytics:"), "{ran:?}");
}

#[tokio::test]
async fn a_second_process_on_the_same_folder_is_turned_away() {
    let world = World::start().await;
    let host = world.host().await;
    host.fire(FUNCTION).await.report();
    for command in [&["poll"][..], &["checkpoint", "set", "--from", "1h"]] {
        let ran = world.command(command).await;
        assert_eq!(ran.code(), 1);
        let all = format!("{}{}", ran.stdout, ran.stderr);
        assert!(all.contains("is in use by another auth0-poller"), "{ran:?}");
    }
    let show = world.command(&["checkpoint", "show"]).await;
    assert_eq!(show.code(), 0, "looking is free");
    let check = world.command(&["check"]).await;
    assert_eq!(check.code(), 0, "{check:?}");
    for told in [
        "warning    storage: ",
        "the folder is in use by another auth0-poller, which makes the runs until it ends\n",
        "\nNothing failed; `auth0-poller poll` works again once the other one has ended.\n",
    ] {
        assert!(check.stdout.contains(told), "{check:?}");
    }
    // `check` does not block the running process.
    host.fire(FUNCTION).await.report();
    host.stop().await;
    let check = world.command(&["check"]).await;
    let nothing = "Nothing is in the way of `auth0-poller poll`.\n";
    assert!(check.stdout.ends_with(nothing), "{check:?}");
}

#[tokio::test]
async fn serve_by_hand_says_what_to_do_instead() {
    let world = World::start().await;
    for command in [&["serve"][..], &[]] {
        let ran = world.command(command).await;
        assert_eq!(ran.code(), 2);
        assert!(
            ran.stderr
                .contains("Use `func start` for that, or `auth0-poller poll`"),
            "{ran:?}"
        );
    }
}

#[tokio::test]
async fn a_port_that_is_none_is_said_to_be_so() {
    for (name, value) in [
        ("FUNCTIONS_CUSTOMHANDLER_PORT", "http"),
        ("FUNCTIONS_CUSTOMHANDLER_PORT", "65536"),
        ("FUNCTIONS_CUSTOMHANDLER_PORT", "-1"),
        // 0 means any free port, which the host would not find.
        ("FUNCTIONS_CUSTOMHANDLER_PORT", "0"),
        ("FUNCTIONS_HTTPWORKER_PORT", "http"),
    ] {
        let mut world = World::start().await;
        world.set(name, value);
        let serve = world.command(&["serve"]);
        let ran = timeout(Duration::from_secs(20), serve).await;
        let ran = ran.unwrap_or_else(|_| panic!("it serves at {value}"));
        assert_eq!((ran.code(), &*ran.stdout), (2, ""), "{ran:?}");
        let told = format!("{name} is not a port from 1 to 65535");
        assert!(ran.stderr.starts_with(&told), "{ran:?}");
    }
}

#[tokio::test]
async fn serve_takes_no_tenant() {
    let mut world = World::start().await;
    // Port 0 is invalid, so a command that goes on would fail in another way.
    world.set("FUNCTIONS_CUSTOMHANDLER_PORT", "0");
    for command in [&["serve", "--tenant", "acme"][..], &["--tenant", "acme"]] {
        let ran = timeout(Duration::from_secs(20), world.command(command)).await;
        let ran = ran.unwrap_or_else(|_| panic!("it serves: {command:?}"));
        assert_eq!((ran.code(), &*ran.stdout), (2, ""), "{ran:?}");
        let told = "--tenant is not for `serve`";
        assert!(ran.stderr.starts_with(told), "{ran:?}");
    }
}

#[tokio::test]
async fn a_poll_that_is_interrupted_saves_what_it_delivered_and_prints_its_report() {
    let world = World::start().await;
    world
        .tenant
        .generate(3_000, minutes_ago(50), minutes_ago(5));
    let gate = Gate::closed();
    world.workspace.fail([Fault::Wait(gate.clone())]);
    let poll = world.start_command(&["poll"]);
    world.workspace.wait_for_post(1).await;
    world.ask_to_end("INT", &poll).await;
    gate.open();
    let ran = world.end_of(poll).await;
    assert_eq!(ran.code(), 130, "{ran:?}");
    assert_eq!(ran.report()["errors"], json!([]));
    assert!(numbers(&ran.report(), ["delivered"]) >= [1_000]);
    world.poll().await;
    world.assert_all_landed_once();
}

#[tokio::test]
async fn who_asks_a_poll_to_end_twice_does_not_wait_for_what_it_has_read() {
    let world = World::start().await;
    world.tenant.generate(10, minutes_ago(50), minutes_ago(5));
    let gate = Gate::closed();
    world.workspace.fail([Fault::Wait(gate)]);
    let mut poll = world.start_command(&["poll"]);
    world.workspace.wait_for_post(1).await;
    let mut told = BufReader::new(poll.stderr.take().unwrap()).lines();
    world.ask_to_end("INT", &poll).await;
    let line = told.next_line().await.unwrap().unwrap();
    assert!(line.contains("asked to end"), "{line}");
    world.ask_to_end("TERM", &poll).await;
    let ended = timeout(Duration::from_secs(15), poll.wait()).await;
    let ended = ended.expect("it goes on").unwrap();
    assert_eq!(ended.code(), Some(130));
    assert_eq!(numbers(&world.poll().await, ["delivered"]), [10]);
}

#[tokio::test]
async fn a_poll_that_waits_for_its_storage_ends_when_it_is_asked_to() {
    let mut world = World::start().await;
    // This storage accepts connections and never answers.
    let storage = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = storage.local_addr().unwrap();
    let account =
        format!("BlobEndpoint=http://{address}/acme;AccountName=acme;AccountKey=c2VjcmV0");
    world.set("AzureWebJobsStorage", &account);
    let poll = world.start_command(&["poll"]);
    let (_asked, _) = storage.accept().await.unwrap();
    let ran = world.end("TERM", poll).await;
    assert_eq!(ran.code(), 130, "{ran:?}");
    assert_eq!(ran.report()["errors"], json!([]));
    assert_eq!(world.tenant.token_requests(), 0);
    let another = timeout(Duration::ZERO, storage.accept()).await;
    assert!(another.is_err(), "it was asked for the history too");
}

/// Runs a command that writes to this. Returns its exit status, and what it said on standard error.
async fn writing_to(output: impl Into<Stdio>, world: &World, command: &[&str]) -> (i32, String) {
    let mut program = Command::new(binary());
    program
        .args(command)
        .current_dir(world.folder.path())
        .env_clear()
        .envs(world.settings.iter().cloned())
        .stdout(output)
        .stderr(Stdio::piped());
    let child = program.spawn().unwrap();
    // It holds the output too.
    drop(program);
    let ran = child.wait_with_output().await.unwrap();
    let said = String::from_utf8(ran.stderr).unwrap();
    (ran.status.code().unwrap(), said)
}

/// For example, `poll | head -1`.
#[tokio::test]
async fn a_reader_that_has_seen_enough_makes_no_failure() {
    let world = World::start().await;
    for command in [
        &["poll"][..],
        &["checkpoint", "show"],
        &["status"],
        &["--version"],
        &["help", "poll"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let ran = writing_to(writer, &world, command).await;
        assert_eq!(ran, (0, String::new()), "{command:?}");
    }
}

/// Writes to `/dev/full` fail as on a full disk.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn output_that_cannot_be_written_leaves_a_worse_exit_status_as_it_is() {
    let mut world = World::start().await;
    world.set("START_FROM", "yesterday");
    let full = || fs::File::create("/dev/full").unwrap();
    let (code, said) = writing_to(full(), &world, &["status"]).await;
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("writing to standard output: "), "{said}");
    let (code, said) = writing_to(full(), &world, &["poll", "--nonsense"]).await;
    assert_eq!(code, 2, "{said}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn output_that_cannot_be_written_is_a_failure() {
    let world = World::start().await;
    world.tenant.generate(10, minutes_ago(50), minutes_ago(5));
    world.poll().await;
    for command in [
        &["poll"][..],
        &["checkpoint", "show"],
        &["check"],
        &["--version"],
        &["help", "poll"],
    ] {
        let full = fs::File::create("/dev/full").unwrap();
        let (code, said) = writing_to(full, &world, command).await;
        assert_eq!(code, 1, "{command:?}: {said}");
        assert!(said.contains("writing to standard output: "), "{said}");
    }
}

#[tokio::test]
async fn a_standard_output_that_is_closed_takes_no_record() {
    let world = World::start().await;
    world.tenant.generate(10, minutes_ago(50), minutes_ago(5));
    for (command, to) in [
        ("poll", ">&-"),
        ("check", ">&-"),
        ("poll", "1<>/dev/null"),
        ("check", "1<>/dev/null"),
    ] {
        let mut closed = Command::new("sh");
        let line = format!("exec \"$0\" \"$@\" {to}");
        closed.args(["-c", &line]).arg(binary());
        closed.args([command, "--destination", "stdout"]);
        let closed = closed
            .current_dir(world.folder.path())
            .env_clear()
            .envs(world.settings.iter().cloned())
            .output();
        let closed = closed.await.unwrap();
        assert_eq!(closed.status.code(), Some(1), "{command}: {closed:?}");
        let told = "standard output is closed or the null device, so nobody would see the records";
        let stderr = String::from_utf8_lossy(&closed.stderr);
        assert!(
            command == "check" || stderr.contains(told),
            "{to}: {stderr}"
        );
    }
    let ran = world.command(&["poll", "--destination", "stdout"]).await;
    assert_eq!(ran.stdout.lines().count(), 10, "{ran:?}");
}
