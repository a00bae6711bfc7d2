//! How many tenants without news one instance serves, under the stand-in for the Functions host,
//! which fires the timer. A run asks each tenant once. Also whether runs get slower while somebody
//! opens the health page every second.

use std::path::Path;
use std::time::Duration;

use chrono::TimeDelta;
use simulator::backlog::{Backlog, Options};
use simulator::host::{AppRoot, Call, FunctionsHost};
use simulator::tally::Tally;

use super::process::{self, Program};

/// How long a tenant takes to answer.
const LATENCY: Duration = Duration::from_millis(100);
/// How many runs are measured, after the first one.
const RUNS: u32 = 10;
/// How often the health page is opened.
const LOOKS: Duration = Duration::from_secs(1);
const TENANTS: [usize; 4] = [1, 100, 300, 1_000];

/// Prints what a run takes for each number of tenants.
#[allow(clippy::print_stdout, reason = "a benchmark reports there")]
pub fn measure(program: &Program) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    println!(
        "\n| quiet tenants | seconds a run | CPU ms a run | the same with the page | | peak MB |"
    );
    println!("|{}", "---|".repeat(6));
    for tenants in TENANTS {
        println!("{}", runtime.block_on(line(program, tenants)));
    }
}

async fn line(program: &Program, count: usize) -> String {
    let options = Options {
        records: 1,
        record_bytes: 0,
        span: TimeDelta::hours(1),
        rate_limit: (1_000_000, 1_000_000),
        latency: LATENCY,
    };
    let mut tenants = Vec::new();
    for _ in 0..count {
        tenants.push(Backlog::start(options.clone(), super::super::now()).await);
    }
    let workspace = Tally::start(LATENCY).await;
    let folder = tempfile::tempdir().expect("a folder");
    let settings = settings(&tenants, &workspace, folder.path());
    let binary = program.path().canonicalize().expect("the program");
    let root = AppRoot::assemble(Path::new(env!("CARGO_MANIFEST_DIR")), &binary);
    let host = FunctionsHost::start(root.path(), &settings).await;
    fire(&host, count).await;
    assert_eq!(workspace.count().rows, count, "not all were delivered");
    let alone = runs(&host, count).await;
    let looks = async {
        loop {
            let page = host.call(Call::new("GET", "/api/health/page").key()).await;
            assert_eq!(page.status, 200, "{}", page.body);
            tokio::time::sleep(LOOKS).await;
        }
    };
    let beside = tokio::select! {
        beside = runs(&host, count) => beside,
        () = looks => unreachable!(),
    };
    let peak = process::memory(host.process_id(), "VmHWM").expect("it runs");
    host.stop().await;
    format!(
        "| {count} | {alone} | {beside} | {:.0} |",
        peak as f64 / 1e6,
    )
}

/// What a run takes on average: seconds, and milliseconds of CPU time.
async fn runs(host: &FunctionsHost, tenants: usize) -> String {
    let (begun, before) = (process::now(), process::cpu(host.process_id()));
    for _ in 0..RUNS {
        fire(host, tenants).await;
    }
    let elapsed = begun.elapsed() / RUNS;
    let cpu = (process::cpu(host.process_id()) - before) / RUNS;
    let (elapsed, cpu) = (elapsed.as_secs_f64(), cpu.as_secs_f64() * 1e3);
    format!("{elapsed:.2} | {cpu:.0}")
}

async fn fire(host: &FunctionsHost, tenants: usize) {
    let reports = host.fire("Auth0Poller").await.reports();
    assert_eq!(reports.len(), tenants);
}

fn settings(tenants: &[Backlog], workspace: &Tally, folder: &Path) -> Vec<(String, String)> {
    let mut settings = workspace.settings();
    let names: Vec<_> = (0..tenants.len()).map(|it| format!("t{it}")).collect();
    for (name, tenant) in names.iter().zip(tenants) {
        // Everything else is the same for all tenants.
        settings.push((format!("{}__DOMAIN", name.to_uppercase()), tenant.url()));
    }
    let common = tenants.iter().take(1).flat_map(Backlog::settings);
    settings.extend(common.filter(|(name, _)| name != "DOMAIN"));
    settings.push(("TENANTS".into(), names.join(",")));
    settings.push(("START_FROM".into(), "oldest".into()));
    settings.push(("CHECKPOINT_DIR".into(), folder.display().to_string()));
    settings
}
