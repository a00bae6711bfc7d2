//! The command line: reads the environment once, and does what it is told.

use std::collections::HashMap;
use std::fmt::Arguments;
use std::io::{ErrorKind, IsTerminal as _, Write as _};
use std::net::Ipv4Addr;
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use auth0_poller::app::{App, Pipeline, TimerFunction};
use auth0_poller::auth0::{LogId, Record};
use auth0_poller::check::{self, Verdict};
use auth0_poller::checkpoint::{Checkpoint, Position};
use auth0_poller::dead_letter::Stored;
use auth0_poller::destination::{AnyDestination, Destination as _};
use auth0_poller::poll::StartFrom;
use auth0_poller::report::{Report, to_seconds, with_causes};
use auth0_poller::retry::Jitter;
use auth0_poller::settings::{AppSettings, Purpose, Settings, parse_start_from};
use auth0_poller::{BoxError, clock, host};
use clap::{Parser, Subcommand};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::{Instant, interval_at};
use tracing::{error, info, warn};
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
/// Exit status of a run that was asked to end before it was done: as shells have it for Ctrl-C.
const INTERRUPTED: u8 = 130;
/// Exit status with which the host starts the program again, and does not count it as a failure.
/// After 0 it never would.
const START_AGAIN: u8 = 200;

/// Delivers every Auth0 tenant log to Microsoft Sentinel.
///
/// Settings come from the environment, and where it lacks one, from local.settings.json in the
/// current folder. `check` tells whether they work, `poll --destination stdout` shows the
/// records, and `poll` sends them.
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
        /// Deliver here instead of to DESTINATIONS: log-analytics, logs-ingestion, or stdout to
        /// look at the records (one JSON object a line; the report then goes to standard error).
        /// Each destination has a checkpoint of its own, so looking does not affect sending.
        #[arg(long, value_name = "NAME")]
        destination: Option<String>,
    },
    /// Try the Auth0 token, a log read, the storage and the destinations, and say what is wrong
    ///
    /// Sends no record and moves no checkpoint. The exit status is 0 if all that could be tried
    /// works, 1 if something does not, 2 if settings are missing or bad.
    Check {
        /// Try this destination instead of DESTINATIONS; with stdout nothing of Azure is needed
        #[arg(long, value_name = "NAME")]
        destination: Option<String>,
    },
    /// Show or set where reading resumes
    Checkpoint {
        #[command(subcommand)]
        command: CheckpointCommand,
    },
    /// Look at the records that were set aside, or deliver them after all
    ///
    /// A record is set aside if it is too large for a row, if the destination refuses it alone
    /// while it takes others, or if it has no log id. Secrets in it are masked.
    DeadLetter {
        #[command(subcommand)]
        command: DeadLetterCommand,
        /// Only those of this destination
        #[arg(long, value_name = "NAME", global = true)]
        destination: Option<String>,
    },
}

#[derive(Subcommand)]
enum DeadLetterCommand {
    /// Print a line for each: its name, when it was set aside, and why
    List,
    /// Print one as it is stored
    Show {
        /// As `list` prints it: mostly the log id
        name: String,
    },
    /// Deliver them, and remove those that were taken
    ///
    /// The exit status is 1 if one was not taken; it stays where it is.
    Retry {
        /// Only these
        names: Vec<String>,
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
        from: Beginning,
        /// Only that of this destination
        #[arg(long, value_name = "NAME")]
        destination: Option<String>,
    },
}

/// Where a person wants reading to begin.
#[derive(Clone, Debug)]
enum Beginning {
    Behind(LogId),
    At(StartFrom),
}

fn parse_position(text: &str) -> Result<Beginning, String> {
    let id = LogId::new(text);
    if id.is_well_formed() {
        return Ok(Beginning::Behind(id));
    }
    parse_start_from(text)
        .map(Beginning::At)
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
            Command::Check { destination } => check(environment, destination).await,
            Command::Checkpoint { command } => checkpoint(environment, command).await,
            Command::DeadLetter {
                command,
                destination,
            } => dead_letter(environment, destination, &command).await,
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
        note(format_args!(
            "`auth0-poller serve` is started by the Azure Functions host, which sets \
             {}. Use `func start` for that, or `auth0-poller poll` to make one run without it; \
             `auth0-poller --help` tells more.",
            PORT_VARIABLES[0]
        ));
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
    let mut stopping = stop_signals();
    let function = TimerFunction::new(settings, clock::system(), stopping.clone());
    let serve = axum::serve(listener, host::router(Arc::new(function)));
    let serve = serve.with_graceful_shutdown(async move {
        let _ = stopping.wait_for(|it| *it).await;
    });
    match serve.await {
        Ok(()) => ExitCode::from(START_AGAIN),
        Err(error) => fail("serving", &error),
    }
}

/// Becomes true when the process is asked to end, by SIGTERM or Ctrl-C. Who asks twice is not kept
/// waiting.
fn stop_signals() -> watch::Receiver<bool> {
    let (stop, stopping) = watch::channel(false);
    tokio::spawn(async move {
        stop_signal().await;
        warn!("asked to end: what has been read is delivered and saved first");
        stop.send_replace(true);
        stop_signal().await;
        std::process::exit(i32::from(INTERRUPTED));
    });
    stopping
}

#[cfg(unix)]
async fn stop_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let terminated = async {
        match signal(SignalKind::terminate()) {
            Ok(mut signal) => signal.recv().await,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminated => {}
    }
}

#[cfg(not(unix))]
async fn stop_signal() {
    let _ = tokio::signal::ctrl_c().await;
}

async fn poll(environment: HashMap<String, String>, destination: Option<String>) -> ExitCode {
    let stopping = stop_signals();
    let app = match app_until(environment, destination, &stopping) {
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
            Ok(json) if records_on_stdout => note(format_args!("{json}")),
            Ok(json) => show(format_args!("{json}")),
            Err(error) => return fail("printing the report", &error),
        }
    }
    if *stopping.borrow() {
        return ExitCode::from(INTERRUPTED);
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
                let _ = write!(std::io::stderr(), "\r\x1b[K{}", lines.join(" | "));
                is_shown = true;
            }
        }
    };
    if is_shown {
        let _ = write!(std::io::stderr(), "\r\x1b[K");
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

async fn check(environment: HashMap<String, String>, destination: Option<String>) -> ExitCode {
    let app = match app(environment, destination) {
        Ok(app) => app,
        Err(exit) => return exit,
    };
    let is_good = check::check(&app, |finding| {
        let verdict = match finding.verdict {
            Verdict::Works => "ok       ",
            Verdict::NotTried => "not tried",
            Verdict::Fails => "FAILED   ",
        };
        show(format_args!(
            "{verdict}  {}: {}",
            finding.subject, finding.text
        ));
    });
    let is_good = is_good.await;
    if is_good {
        show(format_args!(
            "Nothing is in the way of `auth0-poller poll`."
        ));
    } else {
        show(format_args!(
            "Mend what failed, and run `auth0-poller check` again."
        ));
    }
    exit_code(is_good)
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

/// Prints the checkpoint to standard output, and where it is kept to standard error.
async fn show_checkpoint(pipeline: &Pipeline) -> Result<(), BoxError> {
    let store = &pipeline.poller.checkpoints;
    let name = pipeline.poller.destination.name();
    let location = store.location();
    match store.text(App::command_deadline()).await? {
        Some(text) => {
            note(format_args!("{name}: {location}"));
            show(format_args!("{text}"));
        }
        None => note(format_args!(
            "{name}: there is no checkpoint yet at {location}; a run makes one"
        )),
    }
    Ok(())
}

async fn set_checkpoint(app: &App, pipeline: &Pipeline, from: &Beginning) -> Result<(), BoxError> {
    let position = match from {
        Beginning::Behind(id) => Position::After(id.clone()),
        Beginning::At(start) => Position::Start(start.resolve(app.now())),
    };
    let store = &pipeline.poller.checkpoints;
    let checkpoint = Checkpoint::set(position);
    let replaced = store
        .replace(&checkpoint, app.now(), App::command_deadline())
        .await?;
    show(format_args!(
        "{}: the next run begins {} ({})",
        pipeline.poller.destination.name(),
        checkpoint.position(),
        store.location()
    ));
    if let Some(replaced) = replaced {
        show(format_args!("It would have begun {}.", replaced.position()));
    }
    Ok(())
}

async fn dead_letter(
    environment: HashMap<String, String>,
    destination: Option<String>,
    command: &DeadLetterCommand,
) -> ExitCode {
    let app = match app(environment, destination) {
        Ok(app) => app,
        Err(exit) => return exit,
    };
    let mut is_good = true;
    for pipeline in &app.pipelines {
        let done = match command {
            DeadLetterCommand::List => list_dead_letters(pipeline).await,
            DeadLetterCommand::Show { name } => show_dead_letter(pipeline, name).await,
            DeadLetterCommand::Retry { names } => retry_dead_letters(pipeline, names).await,
        };
        match done {
            Ok(done) => is_good &= done,
            Err(error) => return fail("dead-letter", &*error),
        }
    }
    exit_code(is_good)
}

async fn list_dead_letters(pipeline: &Pipeline) -> Result<bool, BoxError> {
    let letters = &pipeline.poller.dead_letters;
    let names = letters.names(App::command_deadline()).await?;
    if names.is_empty() {
        note_none_set_aside(pipeline);
    }
    for name in names {
        if let Some(letter) = letters.read(&name, App::command_deadline()).await? {
            let time = to_seconds(letter.set_aside_at);
            show(format_args!("{name}  {time}  {}", letter.reason));
        }
    }
    Ok(true)
}

fn note_none_set_aside(pipeline: &Pipeline) {
    let destination = pipeline.poller.destination.name();
    note(format_args!("{destination}: no record is set aside"));
}

async fn show_dead_letter(pipeline: &Pipeline, name: &str) -> Result<bool, BoxError> {
    let letters = &pipeline.poller.dead_letters;
    let Some(letter) = letters.read(name, App::command_deadline()).await? else {
        let destination = pipeline.poller.destination.name();
        note(format_args!(
            "{destination}: there is no dead letter {name}"
        ));
        return Ok(false);
    };
    show(format_args!("{}", serde_json::to_string_pretty(&letter)?));
    Ok(true)
}

async fn retry_dead_letters(pipeline: &Pipeline, names: &[String]) -> Result<bool, BoxError> {
    let letters = &pipeline.poller.dead_letters;
    let names = if names.is_empty() {
        letters.names(App::command_deadline()).await?
    } else {
        names.to_vec()
    };
    if names.is_empty() {
        note_none_set_aside(pipeline);
    }
    let mut is_good = true;
    for name in names {
        let delivered = match letters.read(&name, App::command_deadline()).await? {
            Some(letter) => deliver_again(pipeline, letter).await,
            None => Err("there is no such dead letter".into()),
        };
        match delivered {
            Ok(()) => {
                letters.remove(&name, App::command_deadline()).await?;
                show(format_args!("{name}  delivered"));
            }
            Err(error) => {
                is_good = false;
                show(format_args!(
                    "{name}  not delivered: {}",
                    with_causes(&*error)
                ));
            }
        }
    }
    Ok(is_good)
}

async fn deliver_again(pipeline: &Pipeline, letter: Stored) -> Result<(), BoxError> {
    let Some(log_id) = letter.log_id else {
        return Err("it has no log_id, so that no query could tell it from others".into());
    };
    let record = Record {
        log_id,
        date: None,
        json: Box::<str>::from(letter.record).into_string().into(),
    };
    let destination = &pipeline.poller.destination;
    let row = destination.row(&record)?;
    let delivered = destination.deliver(&[row], App::command_deadline()).await;
    delivered.map(|_| ()).map_err(Into::into)
}

/// [`app_until`] for a command that makes no run, and so has nothing to bring to an end.
fn app(environment: HashMap<String, String>, destination: Option<String>) -> Result<App, ExitCode> {
    app_until(environment, destination, &watch::channel(false).1)
}

/// Reads the settings of a command and builds what it works with, or says why it cannot.
fn app_until(
    environment: HashMap<String, String>,
    destination: Option<String>,
    stopping: &watch::Receiver<bool>,
) -> Result<App, ExitCode> {
    let mut settings: AppSettings = environment.into_iter().collect();
    let local = match std::fs::read_to_string(LOCAL_SETTINGS) {
        Ok(json) => Some(json),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(fail(&format!("reading {LOCAL_SETTINGS}"), &error)),
    };
    if let Some(json) = &local {
        settings = settings.or_local(json).map_err(|error| {
            note(format_args!("{error}"));
            ExitCode::from(UNUSABLE)
        })?;
    }
    let purpose = Purpose::CommandLine { destination };
    let settings = Settings::read(&settings, &purpose).map_err(|error| {
        note(format_args!("These settings need attention:"));
        for line in error.lines() {
            note(format_args!("  {line}"));
        }
        let is_missing = if local.is_some() {
            ""
        } else {
            ", which is not in this folder"
        };
        note(format_args!(
            "Set them in the environment or in {LOCAL_SETTINGS}{is_missing}."
        ));
        ExitCode::from(UNUSABLE)
    })?;
    App::new(&settings, clock::system(), &Jitter::random(), stopping)
        .map_err(|error| fail("preparing", &*error))
}

/// Writes a line to standard output. Where nobody reads it any more, nothing is to be done.
fn show(line: Arguments) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Writes a line to standard error.
fn note(line: Arguments) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

fn exit_code(is_good: bool) -> ExitCode {
    if is_good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn fail(doing: &str, error: &dyn std::error::Error) -> ExitCode {
    note(format_args!("{doing}: {}", with_causes(error)));
    ExitCode::FAILURE
}
