//! The messages of `cargo xtask` when it fails.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that cannot go on fails, and starts the tool in its own environment"
)]

use std::process::{Command, Output};

fn xtask(argument: &str) -> Output {
    let nowhere = tempfile::tempdir().unwrap();
    Command::new(env!("CARGO_BIN_EXE_xtask"))
        .arg(argument)
        .current_dir(nowhere.path())
        .env("RUST_BACKTRACE", "1")
        .output()
        .unwrap()
}

#[test]
fn a_failure_is_a_message_and_no_stack_trace() {
    let output = xtask("local");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.starts_with("error: "), "{said}");
    assert!(said.contains("could not find `Cargo.toml`"), "{said}");
    assert_eq!(said.trim_end().lines().count(), 1, "{said}");
}

#[test]
fn wrong_usage_is_another_status_than_a_failure() {
    let output = xtask("pakage");
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("pakage") && said.contains("Usage: cargo xtask"),
        "{said}"
    );
}
