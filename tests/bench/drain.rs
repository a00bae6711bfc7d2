//! Drains a simulated tenant with the program and prints what that costs. For comparison it also
//! prints the speed of a reader that does one thing after another, and the cost of the floor:
//! parsing the same pages into a `serde_json::Value` and writing it. All three are measured in one
//! run, so the machine matters only for the absolute figures. How to read them:
//! docs/performance.md.
//!
//!     cargo bench --bench drain                    100,000 records, EventBridge, and the rate limits
//!     cargo bench --bench drain -- --full          also 10,000 and 1,000,000, and records of 5 KB
//!     cargo bench --bench drain -- --rounds 5      medians of five
//!     cargo bench --bench drain -- --only idle     a part: `idle`, `quiet`, `no latency`, `16/s`, …
//!
//! `DRAIN_BINARY` names another program than the one that Cargo built, such as the package's.

#![allow(
    clippy::expect_used,
    clippy::unchecked_time_subtraction,
    reason = "where nothing can be measured, a panic says why"
)]
#![allow(
    clippy::cast_precision_loss,
    reason = "nobody reads more than a few digits of a figure"
)]

mod drain {
    pub mod floor;
    pub mod idle;
    pub mod process;
    pub mod quiet;
    pub mod serial;
    pub mod sink;
}

use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use clap::Parser;
use simulator::backlog::{Backlog, Options};
use simulator::tally::Count;

use self::drain::process::{Program, Used};
use self::drain::sink::Sink;
use self::drain::{floor, idle, quiet, serial};

/// How many seconds a drain within a rate limit takes at best.
const LIMITED_SECONDS: usize = 60;
/// How many seconds the serial reader is measured.
const SERIAL_SECONDS: u64 = 5;
/// Records in a page.
const PAGE: usize = 100;

#[derive(Parser)]
struct Arguments {
    /// Also 10,000 and 1,000,000 records, and large ones.
    #[arg(long)]
    full: bool,
    /// How often each scenario is measured.
    #[arg(long, default_value_t = 1)]
    rounds: usize,
    /// Only scenarios with this in their name.
    #[arg(long, default_value = "")]
    only: String,
    /// What Cargo passes to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

/// What is drained: a tenant and a destination.
#[derive(Clone)]
struct Scenario {
    name: String,
    destination: &'static str,
    records: usize,
    record_bytes: usize,
    /// Requests a second, and the size of the bucket.
    limit: Option<(usize, u64)>,
    /// Milliseconds for an answer of the tenant, and for one of the destination.
    latencies: [u64; 2],
}

/// The figures of one drain.
struct Drained {
    used: Used,
    count: Count,
    pages: u64,
    refused: u64,
    /// CPU time of this process, which runs the simulated services, during the drain.
    simulator: Duration,
    /// CPU time of the floor.
    floor: Duration,
    /// Records a second of the serial reader, for destinations that it can deliver to.
    serial: Option<f64>,
}

#[allow(clippy::print_stdout, reason = "a benchmark reports there")]
fn main() {
    let arguments = Arguments::parse();
    let binary = binary();
    println!("{}, {} processors", processor(), processors());
    println!("program: {}", binary.display());
    let program = Program::new(binary);
    if "idle".contains(&*arguments.only) {
        idle::measure(&program, arguments.rounds);
    }
    if "quiet".contains(&*arguments.only) {
        quiet::measure(&program);
    }
    println!(
        "\n| scenario | destination | records | bytes | records/s | serial | share of the limit | \
         CPU to floor | CPU µs | floor µs | simulator µs a page | peak MB | faults | 429 | duplicates |"
    );
    println!("|{}", "---|".repeat(15));
    for scenario in scenarios(arguments.full) {
        if scenario.name.contains(&arguments.only) {
            let rounds: Vec<_> = (0..arguments.rounds.max(1))
                .map(|_| drain(&program, &scenario))
                .collect();
            println!("{}", line(&scenario, &rounds));
        }
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "a benchmark is told by its environment which program to measure"
)]
fn binary() -> PathBuf {
    let given = std::env::var_os("DRAIN_BINARY");
    given.map_or_else(|| env!("CARGO_BIN_EXE_auth0-poller").into(), PathBuf::from)
}

#[allow(clippy::disallowed_methods, reason = "the outside world's clock")]
fn now() -> DateTime<Utc> {
    Utc::now()
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(0, std::num::NonZero::get)
}

fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("model name"));
    let name = line.and_then(|line| line.split(": ").nth(1));
    name.unwrap_or("unknown processor").to_owned()
}

fn scenarios(is_full: bool) -> Vec<Scenario> {
    let mut scenarios = Vec::new();
    let mut sizes = vec![(100_000, 0)];
    if is_full {
        sizes = vec![
            (10_000, 0),
            (100_000, 0),
            (1_000_000, 0),
            (1_000_000, 5_000),
        ];
    }
    for (records, record_bytes) in sizes {
        for destination in ["log-analytics", "logs-ingestion"] {
            scenarios.push(Scenario {
                name: match record_bytes {
                    0 => "no latency".into(),
                    _ => "no latency, 5 KB".into(),
                },
                destination,
                records,
                record_bytes,
                limit: None,
                latencies: [0, 0],
            });
        }
    }
    scenarios.push(Scenario {
        name: "0 + 30 ms".into(),
        destination: "event-bridge",
        records: 10_000,
        record_bytes: 0,
        limit: None,
        latencies: [0, 30],
    });
    for (rate, bucket, latencies) in [
        (16, 50, [50, 30]),
        (50, 50, [200, 100]),
        (250, 250, [100, 50]),
    ] {
        let [tenant, destination] = latencies;
        scenarios.push(Scenario {
            name: format!("{tenant} + {destination} ms, {rate}/s"),
            destination: "log-analytics",
            records: rate * LIMITED_SECONDS * PAGE,
            record_bytes: 0,
            limit: Some((rate, bucket)),
            latencies,
        });
    }
    scenarios
}

/// Drains a tenant once, and measures the floor and the serial reader beside it.
fn drain(program: &Program, scenario: &Scenario) -> Drained {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let [tenant, destination] = scenario.latencies.map(Duration::from_millis);
    let start = || async {
        let (rate, bucket) = scenario.limit.unwrap_or((1_000_000, 1_000_000));
        let options = Options {
            records: scenario.records,
            record_bytes: scenario.record_bytes,
            span: TimeDelta::days(29),
            rate_limit: (bucket, 60 * rate as u64),
            latency: tenant,
        };
        (
            Backlog::start(options, now()).await,
            Sink::start(scenario.destination, destination).await,
        )
    };
    let (backlog, sink) = runtime.block_on(start());
    let floor = floor::measure(backlog.pages());
    let mut settings = [backlog.settings(), sink.settings()].concat();
    for (name, value) in [
        ("DESTINATIONS", scenario.destination),
        ("START_FROM", "oldest"),
        ("RUN_BUDGET", "24h"),
    ] {
        settings.push((name.into(), value.into()));
    }
    let before = drain::process::own_cpu();
    let used = program.poll(settings);
    let simulator = drain::process::own_cpu() - before;
    let (pages, refused) = backlog.requests();
    let count = sink.count();
    assert_eq!(
        count.rows - count.duplicates,
        scenario.records,
        "not all were delivered: {}",
        used.output
    );
    let fresh = runtime.block_on(start());
    let watch = Duration::from_secs(SERIAL_SECONDS);
    let serial = match &fresh.1 {
        Sink::Tally(tally) => {
            Some(runtime.block_on(serial::records_per_second(&fresh.0, tally, watch)))
        }
        Sink::Bus(_) => None,
    };
    Drained {
        used,
        count,
        pages,
        refused,
        simulator,
        floor,
        serial,
    }
}

/// A line of the table, with the median of each figure.
fn line(scenario: &Scenario, rounds: &[Drained]) -> String {
    let records = scenario.records as f64;
    let of = |figure: &dyn Fn(&Drained) -> f64| median(rounds.iter().map(figure).collect());
    let each = |time: Duration| time.as_secs_f64() * 1e6 / records;
    let speed = of(&|it| records / it.used.elapsed.as_secs_f64());
    let share = scenario.limit.map_or_else(
        || "–".into(),
        |(rate, _)| format!("{:.1} %", speed / rate as f64),
    );
    let serial = match rounds.iter().filter_map(|it| it.serial).collect::<Vec<_>>() {
        none if none.is_empty() => "–".into(),
        speeds => format!("{:.0}", median(speeds)),
    };
    format!(
        "| {} | {} | {} | {:.0} | {:.0} | {serial} | {share} | {:.2} | {:.2} | {:.2} | {:.2} | {:.1} | {:.0} | \
         {:.0} | {:.0} |",
        scenario.name,
        scenario.destination,
        scenario.records,
        of(&|it| it.count.bytes as f64 / records),
        speed,
        of(&|it| it.used.cpu.as_secs_f64() / it.floor.as_secs_f64()),
        of(&|it| each(it.used.cpu)),
        of(&|it| each(it.floor)),
        of(&|it| it.simulator.as_secs_f64() * 1e6 / it.pages as f64),
        of(&|it| it.used.peak as f64 / 1e6),
        of(&|it| it.used.faults as f64),
        of(&|it| it.refused as f64),
        of(&|it| it.count.duplicates as f64),
    )
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
