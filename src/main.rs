//! The command line: reads the environment once, and does what it is told.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command's results go to standard output, and what hinders it to standard error"
)]

use std::collections::HashMap;
use std::io::{ErrorKind, IsTerminal as _, Write as _};
use std::net::Ipv4Addr;
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use auth0_poller::app::{App, Pipeline, TimerFunction};
use auth0_poller::auth0::LogId;
use auth0_poller::check::{self, Verdict};
use auth0_poller::checkpoint::{Checkpoint, Position, Start, to_seconds};
use auth0_poller::destination::{AnyDestination, Destination as _};
use auth0_poller::report::{Report, with_causes};
use auth0_poller::retry::Jitter;
use auth0_poller::settings::{AppSettings, Purpose, Settings, parse_start_from};
use auth0_poller::{BoxError, clock, host};
use clap::{Parser, Subcommand};
use tokio::net::TcpListener;
use tokio::time::{Instant, interval_at};
use tracing::{error, info};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::writer::MakeWriterExt as _;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// The names under which the host passes its port, the present one first.
const PORT_VARIABLES: [&str; 2] = ["FUNCTIONS_CUSTOMHANDLER_PORT", "FUNCTIONS_HTTPWORKER_PORT"];
const LOCAL_SETTINGS: &str = "local.settings.json";
/// A run that takes longer than this shows its progress on a terminal, as often as that.
const PROGRESS_AFTER: Duration = Duration::from_secs(2);
const PROGRESS_EVERY: Duration = Duration::from_millis(500);

/// Exit status for settings that cannot be used; clap's for a command line that cannot.
const UNUSABLE: u8 = 2;

/// Delivers every Auth0 tenant log to Microsoft Sentinel.
///
/// Settings come from the environment, and where it lacks one, from local.settings.json in the
/// current folder. `check` tells whether they work, `poll --destination stdout` shows what would
/// be sent, and `poll` sends it.
#[derive(Parser)]
#[command(name = "auth0-poller", version)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Answer the Azure Functions host (the default; started by the host, not by hand)
    Serve,
    /// Make one run now and print its report as JSON
    ///
    /// Reads the records behind the checkpoint, delivers them and moves the checkpoint, until
    /// there are no more or `RUN_BUDGET` is spent. The exit status is 0 if all went well, 1 if the
    /// run failed (it says why; run it again, nothing is lost), 2 if settings are missing or bad.
    Poll {
        /// Deliver here instead of to DESTINATIONS: log-analytics, or stdout to look at the
        /// records (one JSON object a line; the report then goes to standard error). Each
        /// destination has a checkpoint of its own, so looking does not affect sending.
        #[arg(long, value_name = "NAME")]
        destination: Option<String>,
    },
    /// Try the Auth0 token, a log read, the storage and the workspace, and say what is wrong
    ///
    /// Sends no record and moves no checkpoint. The exit status is 0 if all that could be tried
    /// works, 1 if something does not, 2 if settings are missing or bad.
    Check,
    /// Show or set where reading resumes
    Checkpoint {
        #[command(subcommand)]
        command: CheckpointCommand,
    },
}

#[derive(Subcommand)]
enum CheckpointCommand {
    /// Print the checkpoint as it is stored
    Show {
        /// Only that of this destination
        #[arg(long, value_name = "NAME")]
        destination: Option<String>,
    },
    /// Let the next run begin somewhere else
    ///
    /// Going back delivers records again (each row carries its log id, so queries can tell);
    /// going forward leaves records out for good.
    Set {
        /// A duration back from now (30m, 1h, 7d), a time (2026-11-21T08:00:00Z), `oldest`, or the
        /// log id behind which to read on
        #[arg(long, value_name = "WHERE", value_parser = parse_position)]
        from: From,
        /// Only that of this destination
        #[arg(long, value_name = "NAME")]
        destination: Option<String>,
    },
}

/// Where a person wants reading to begin.
#[derive(Clone, Debug)]
enum From {
    Record(LogId),
    Start(auth0_poller::poll::StartFrom),
}

fn parse_position(text: &str) -> Result<From, String> {
    let id = LogId::new(text);
    if id.is_well_formed() {
        return Ok(From::Record(id));
    }
    parse_start_from(text)
        .map(From::Start)
        .map_err(|problem| format!("it {problem}, nor a log id of 56 digits"))
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let environment = environment();
    let command = cli.command.unwrap_or(Command::Serve);
    start_logging(matches!(command, Command::Serve));

    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return fail("starting", &error),
    };
    let exit = runtime.block_on(async {
        match command {
            Command::Serve => serve(environment).await,
            Command::Poll { destination } => poll(environment, destination).await,
            Command::Check => check(environment).await,
            Command::Checkpoint { command } => checkpoint(environment, command).await,
        }
    });
    // A file system that hangs must not keep a command from ending.
    runtime.shutdown_background();
    exit
}

#[allow(
    clippy::disallowed_methods,
    reason = "the one place that reads the environment"
)]
fn environment() -> HashMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// One line an event: warnings and errors to standard error, the rest to standard output, which
/// under a command belongs to its results. Of other crates' events none is shown, since what is in
/// them was not chosen with secrets in mind.
fn start_logging(under_host: bool) {
    let level = if under_host {
        LevelFilter::INFO
    } else {
        LevelFilter::WARN
    };
    let writer = std::io::stderr
        .with_max_level(tracing::Level::WARN)
        .or_else(std::io::stdout);
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(writer)
        .with_ansi(false)
        .with_target(false)
        .without_time();
    tracing_subscriber::registry()
        .with(Targets::new().with_target("auth0_poller", level))
        .with(lines)
        .init();
    // The message of a panic may hold anything, so only its place is told.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        error!(
            "internal error at {}; this is a bug in auth0-poller",
            place.unwrap_or_default()
        );
    }));
}

async fn serve(environment: HashMap<String, String>) -> ExitCode {
    let port = PORT_VARIABLES
        .iter()
        .find_map(|name| environment.get(*name))
        .and_then(|port| port.parse::<u16>().ok());
    let Some(port) = port else {
        eprintln!(
            "`auth0-poller serve` is started by the Azure Functions host, which sets \
             {}. Use `func start` for that, or `auth0-poller poll` to make one run without it; \
             `auth0-poller --help` tells more.",
            PORT_VARIABLES[0]
        );
        return ExitCode::from(UNUSABLE);
    };
    let listener = match TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
        Ok(listener) => listener,
        Err(error) => return fail(&format!("listening on 127.0.0.1:{port}"), &error),
    };
    let settings = Settings::read(&environment.into_iter().collect(), &Purpose::Host);
    if let Err(error) = &settings {
        error!("every invocation will fail: {error}");
    }
    info!("auth0-poller {} is listening", env!("CARGO_PKG_VERSION"));
    let function = Arc::new(TimerFunction::new(settings, clock::system()));
    match axum::serve(listener, host::router(function)).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail("serving", &error),
    }
}

async fn poll(environment: HashMap<String, String>, destination: Option<String>) -> ExitCode {
    let app = match app(environment, destination) {
        Ok(app) => app,
        Err(exit) => return exit,
    };
    let reports = with_progress(&app).await;
    let records_on_stdout = app
        .pipelines
        .iter()
        .any(|pipeline| matches!(pipeline.poller.destination, AnyDestination::Stdout(_)));
    for report in &reports {
        match serde_json::to_string_pretty(report) {
            Ok(json) if records_on_stdout => eprintln!("{json}"),
            Ok(json) => println!("{json}"),
            Err(error) => return fail("printing the report", &error),
        }
    }
    exit_code(reports.iter().all(Report::is_success))
}

/// Makes the run; if it is long and a person is looking, shows how it gets on.
async fn with_progress(app: &App) -> Vec<Report> {
    let mut run = pin!(app.run());
    if !std::io::stderr().is_terminal() {
        return run.await;
    }
    let progress: Vec<_> = app.pipelines.iter().map(Pipeline::progress).collect();
    let mut ticks = interval_at(Instant::now() + PROGRESS_AFTER, PROGRESS_EVERY);
    let mut is_shown = false;
    let reports = loop {
        tokio::select! {
            reports = &mut run => break reports,
            _ = ticks.tick() => {
                let lines: Vec<_> = progress.iter().map(|it| progress_line(&it.borrow())).collect();
                eprint!("\r\x1b[K{}", lines.join(" | "));
                let _ = std::io::stderr().flush();
                is_shown = true;
            }
        }
    };
    if is_shown {
        eprint!("\r\x1b[K");
    }
    reports
}

fn progress_line(report: &Report) -> String {
    let reached = report.last_date.map(to_seconds).unwrap_or_default();
    format!(
        "{}: {} records read, {} delivered  {reached}",
        report.destination, report.fetched, report.delivered
    )
}

async fn check(environment: HashMap<String, String>) -> ExitCode {
    let app = match app(environment, None) {
        Ok(app) => app,
        Err(exit) => return exit,
    };
    let is_good = check::check(&app, |finding| {
        let verdict = match finding.verdict {
            Verdict::Works => "ok       ",
            Verdict::NotTried => "not tried",
            Verdict::Fails => "FAILED   ",
        };
        println!("{verdict}  {}: {}", finding.subject, finding.text);
    });
    exit_code(is_good.await)
}

async fn checkpoint(environment: HashMap<String, String>, command: CheckpointCommand) -> ExitCode {
    let (CheckpointCommand::Show { destination } | CheckpointCommand::Set { destination, .. }) =
        &command;
    let app = match app(environment, destination.clone()) {
        Ok(app) => app,
        Err(exit) => return exit,
    };
    for pipeline in &app.pipelines {
        let done = match &command {
            CheckpointCommand::Show { .. } => show_checkpoint(pipeline).await,
            CheckpointCommand::Set { from, .. } => set_checkpoint(&app, pipeline, from).await,
        };
        if let Err(error) = done {
            return fail("checkpoint", &*error);
        }
    }
    ExitCode::SUCCESS
}

async fn show_checkpoint(pipeline: &Pipeline) -> Result<(), BoxError> {
    let store = &pipeline.poller.checkpoints;
    match store.text(App::command_deadline()).await? {
        Some(text) => println!("{text}"),
        None => eprintln!(
            "{}: nothing has been delivered yet, so there is no checkpoint at {}",
            pipeline.poller.destination.name(),
            store.location()
        ),
    }
    Ok(())
}

async fn set_checkpoint(app: &App, pipeline: &Pipeline, from: &From) -> Result<(), BoxError> {
    let position = match from {
        From::Record(id) => Position::After(id.clone()),
        From::Start(start) => Position::From(start.resolve(app.now())),
    };
    let beginning = match &position {
        Position::After(id) => format!("behind the record {id}"),
        Position::From(Start::At(time)) => format!("at {}", to_seconds(*time)),
        Position::From(Start::Oldest) => "with the oldest record".to_owned(),
    };
    let store = &pipeline.poller.checkpoints;
    let checkpoint = Checkpoint::at(position);
    store
        .replace(&checkpoint, app.now(), App::command_deadline())
        .await?;
    println!(
        "{}: the next run begins {beginning} ({})",
        pipeline.poller.destination.name(),
        store.location()
    );
    Ok(())
}

/// Reads the settings of a command and builds what it works with, or says why it cannot.
fn app(environment: HashMap<String, String>, destination: Option<String>) -> Result<App, ExitCode> {
    let mut settings: AppSettings = environment.into_iter().collect();
    match std::fs::read_to_string(LOCAL_SETTINGS) {
        Ok(json) => {
            settings = settings.or_local(&json).map_err(|error| {
                eprintln!("{error}");
                ExitCode::from(UNUSABLE)
            })?;
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(fail(&format!("reading {LOCAL_SETTINGS}"), &error)),
    }
    let purpose = Purpose::CommandLine { destination };
    let settings = Settings::read(&settings, &purpose).map_err(|error| {
        eprintln!("These settings need attention:");
        for line in error.lines() {
            eprintln!("  {line}");
        }
        eprintln!("Set them in the environment or in {LOCAL_SETTINGS}.");
        ExitCode::from(UNUSABLE)
    })?;
    App::new(&settings, clock::system(), &Jitter::random())
        .map_err(|error| fail("preparing", &*error))
}

fn exit_code(is_good: bool) -> ExitCode {
    if is_good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn fail(doing: &str, error: &dyn std::error::Error) -> ExitCode {
    eprintln!("{doing}: {}", with_causes(error));
    ExitCode::FAILURE
}
