//! The demo, as a person at a terminal sees it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

fn demo(argument: &str) -> Command {
    let mut demo = Command::new(env!("CARGO_BIN_EXE_demo"));
    demo.arg(argument)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    demo
}

/// Ends the demo even if the test fails.
struct Demo(Child);

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The output for a person who types these lines, in an environment without settings.
fn shell(lines: &[String]) -> Output {
    let mut shell = Command::new("sh");
    shell.arg("-ec").arg(lines.join("\n")).env_clear();
    shell.output().unwrap()
}

#[test]
fn a_tenant_and_a_workspace_that_stay_take_the_commands_that_are_printed() {
    let mut demo = Demo(demo("--stay").spawn().unwrap());
    let mut printed = BufReader::new(demo.0.stdout.take().unwrap()).lines();
    let mut typed: Vec<String> = Vec::new();
    while typed.last().is_none_or(|it| !it.ends_with(" poll")) {
        let line = printed.next().expect("it stays").unwrap();
        match line.strip_prefix("    ") {
            Some(line) if line.starts_with("cd ") || !typed.is_empty() => typed.push(line.into()),
            _ => {}
        }
    }
    let poll = typed.pop().unwrap();
    let check = typed.pop().unwrap();
    assert!(check.ends_with(" check"), "{check}");

    let checked = shell(&[&typed[..], &[check]].concat());
    let told = String::from_utf8(checked.stdout).unwrap();
    assert!(checked.status.success(), "{told}");
    assert!(
        told.ends_with("Nothing is in the way of `auth0-poller poll`.\n"),
        "{told}"
    );
    let polled = shell(&[&typed[..], &[poll]].concat());
    assert!(polled.status.success(), "{polled:?}");
    let report: Value = serde_json::from_slice(&polled.stdout).unwrap();
    // The 40 new records, and the token events of the two commands.
    assert_eq!(report["delivered"], 42, "{report}");

    let process = demo.0.id().to_string();
    let interrupt = Command::new("kill").args(["-INT", &process]).status();
    assert!(interrupt.unwrap().success());
    assert!(demo.0.wait().unwrap().success(), "nothing was lost");
}

#[test]
fn the_help_says_what_stays_and_what_is_unknown_is_refused() {
    let help = demo("--help").output().unwrap();
    assert!(help.status.success());
    let help = String::from_utf8(help.stdout).unwrap();
    assert!(help.contains("--stay"), "{help}");
    let unknown = demo("--stya").stderr(Stdio::piped()).output().unwrap();
    assert_eq!(unknown.status.code(), Some(2));
    assert_eq!(String::from_utf8(unknown.stderr).unwrap(), help);
}
