//! `cargo demo`: the real binary between a simulated tenant and a simulated workspace.
//!
//! Needs only the Rust toolchain. The timer is fired by hand, tick after tick, and typical failures
//! happen in between. At the end it answers what a security team asks: is every record there, and
//! is each there once? With `--stay` the tenant and the workspace then stay up, to try the commands
//! on.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, ExitCode};

use chrono::{DateTime, Duration, Utc};
use serde_json::{Value, json};
use simulator::host::{Outcome, built};
use simulator::{AppRoot, Fault, FunctionsHost, Tenant, Workspace};

const FUNCTION: &str = "Auth0Poller";
const USAGE: &str = "\
Runs the program between a simulated Auth0 tenant and a simulated workspace, makes a service fail,
kills the program as it posts, and counts what landed.

Usage: cargo demo [-- --stay]

Options:
      --stay  Keep the tenant and the workspace up until Ctrl-C, and print what to type in another
              terminal to try the commands by hand
  -h, --help  Print help
";

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let stays = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => false,
        ["--stay"] => true,
        ["--help" | "-h"] => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    if !build(&project) {
        eprintln!("the binary could not be built");
        return ExitCode::FAILURE;
    }

    let tenant = Tenant::start().await;
    let workspace = Workspace::start().await;
    let checkpoints = tempfile::tempdir().expect("a temporary folder");
    let folder = checkpoints.path().display().to_string();
    let mut settings = [tenant.settings(), workspace.settings()].concat();
    settings.push(("CHECKPOINT_DIR".into(), folder.clone()));

    tenant.generate(2_500, minutes_ago(55), minutes_ago(2));
    let program = built("auth0-poller");
    let root = AppRoot::assemble(&project, &program);
    let host = FunctionsHost::start(root.path(), &settings).await;

    let answered = host.startup().as_millis();
    println!("A simulated Auth0 tenant with 2500 records of the last hour, a simulated workspace,");
    println!("and a stand-in for the Functions host, which fires the timer of the real binary.");
    println!("The binary answered {answered} ms after it was started.\n");
    println!(
        "{:<46} fetched  delivered  skipped  batches  requests",
        "tick"
    );

    tick(&host, "the first run begins an hour back").await;
    tick(&host, "nothing happened since").await;
    tenant.generate(130, minutes_ago(1), Utc::now());
    tick(&host, "130 new records").await;
    let late = Utc::now() - Duration::seconds(30);
    tenant.add(
        json!({"date": late, "type": "f", "description": "Late"}),
        late,
    );
    tick(&host, "one record became visible late").await;
    tenant.generate(40, minutes_ago(0), Utc::now());
    workspace.fail([Fault::answer(503, "")]);
    tick(&host, "40 new ones; the workspace answers 503 once").await;
    tenant.generate(25, minutes_ago(0), Utc::now());
    workspace.fail([Fault::Hang]);
    let killed = async {
        workspace.wait_for_post(workspace.requests() + 1).await;
        host.kill().await;
    };
    let what = "25 new ones; the process is killed as it posts";
    tokio::join!(tick(&host, what), killed);
    tick(&host, "the next minute").await;

    let verdict = conclude(&tenant, &workspace);
    if stays {
        // The commands then have the checkpoints for themselves.
        host.stop().await;
        tenant.generate(40, minutes_ago(0), Utc::now());
        println!("\nThe tenant and the workspace stay until Ctrl-C, and 40 new records wait.");
        println!("In another terminal:\n");
        // The demo's folder has no local.settings.json.
        println!("    cd '{folder}'");
        for (name, value) in settings {
            println!("    export {name}='{value}'");
        }
        for command in ["check", "poll"] {
            println!("    '{}' {command}", program.display());
        }
        if let Err(error) = tokio::signal::ctrl_c().await {
            eprintln!("Ctrl-C cannot be waited for: {error}");
        }
    }
    verdict
}

fn build(project: &Path) -> bool {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build
        .args(["build", "--quiet", "--bin", "auth0-poller"])
        .current_dir(project);
    // Cargo's variables about this package would make the build scripts run again.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            build.env_remove(&name);
        }
    }
    build.status().is_ok_and(|status| status.success())
}

async fn tick(host: &FunctionsHost, what: &str) {
    match host.fire(FUNCTION).await {
        outcome @ Outcome::Success { .. } => {
            let report = outcome.report();
            let number = |name: &str| report[name].as_u64().unwrap_or_default();
            println!(
                "{what:<46} {:>7}  {:>9}  {:>7}  {:>7}  {:>8}",
                number("fetched"),
                number("delivered"),
                number("skipped"),
                number("batches"),
                number("requests"),
            );
        }
        Outcome::Failure(reason) => {
            let reason = reason.split(':').next().unwrap_or_default();
            println!("{what:<46} {reason}");
        }
    }
}

/// Prints what landed. Returns success if it is what the tenant holds.
fn conclude(tenant: &Tenant, workspace: &Workspace) -> ExitCode {
    let table = workspace.table("Auth0AM_CL");
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for row in &table.rows {
        *kinds.entry(text(&row["type_s"])).or_default() += 1;
    }
    let mut kinds: Vec<_> = kinds.into_iter().collect();
    kinds.sort_by_key(|(kind, count)| (std::cmp::Reverse(*count), *kind));
    println!("\nAuth0AM_CL | summarize count() by type_s");
    for (kind, count) in kinds {
        println!("    {kind:<20} {count:>6}");
    }
    if let Some(row) = table.rows.last() {
        println!("\nAuth0AM_CL | take 1");
        for column in [
            "TimeGenerated",
            "type_s",
            "user_name_s",
            "ip_s",
            "client_name_s",
            "log_id_s",
        ] {
            println!("    {column:<20} {}", row.get(column).map_or("", text));
        }
    }

    let records: BTreeSet<String> = tenant.log_ids().into_iter().collect();
    let landed = workspace.landed();
    let distinct: BTreeSet<String> = landed.iter().cloned().collect();
    let lost = records.difference(&distinct).count();
    let duplicates = landed.len() - distinct.len();
    println!("\nThe rows of type seccft are the tokens that the binary itself asked for.");
    println!(
        "{} records in the tenant, {} rows in the table: lost {lost}, duplicates {duplicates}",
        records.len(),
        landed.len(),
    );
    if lost + duplicates == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn minutes_ago(minutes: i64) -> DateTime<Utc> {
    Utc::now() - Duration::minutes(minutes)
}
