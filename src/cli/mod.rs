//! The command line, with a file for each command. Commands print; only `main` uses this module.

mod audit;
mod check;
mod checkpoint;
mod dead_letter;
mod ends;
mod logging;
mod poll;
mod print;
mod pseudonym;
mod replay;
mod serve;
mod signals;
mod status;

use std::collections::{BTreeMap, HashMap};
use std::io::ErrorKind;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use futures_util::stream::{self, StreamExt as _};

use self::print::{UNUSABLE, ended, exit_code, fail, note};
use crate::app::{AppError, Layers, Purpose, Stores, Tenants};
use crate::clock;
use crate::destination::KINDS;
use crate::net::retry::{Deadline, Jitter};
use crate::settings::{AppSettings, SettingsError};

const LOCAL_SETTINGS: &str = "local.settings.json";
/// Time limit for a step of a command that makes no run: one or two requests.
const COMMAND_BUDGET: std::time::Duration = std::time::Duration::from_secs(30);
/// Number of tenants that a command without runs handles concurrently.
const AT_WORK: usize = 16;

/// The environment variables.
pub type Environment = HashMap<String, String>;

/// Delivers every log record of an Auth0 tenant to Microsoft Sentinel.
#[derive(Parser)]
#[command(name = "auth0-poller", version, after_help = after_help())]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// Only this tenant of TENANTS; not with `serve`
    #[arg(long, value_name = "NAME", global = true)]
    tenant: Option<String>,
}

#[derive(Subcommand)]
enum Command {
    /// Answer the Azure Functions host (the default; started by the host, not by hand)
    Serve,
    /// Make one run now and print its report as JSON
    ///
    /// Reads the records after the checkpoint, delivers them and moves the checkpoint, until
    /// there are no more or `RUN_BUDGET` is spent. The exit status is 0 if all went well; 1 if the
    /// run failed for a destination (it says why; run it again, nothing is lost); 2 if settings are
    /// missing or bad and nothing could run; 130 if it was asked to end before it was done.
    Poll {
        /// Deliver here instead of to DESTINATIONS; several are separated by commas
        #[arg(long, value_name = "NAME", long_help = deliver_here())]
        destination: Option<String>,
    },
    /// Try the Auth0 token, a log read, the storage and the destinations, and say what is wrong
    ///
    /// Sends no record and moves no checkpoint. The exit status is 0 if everything that could be
    /// tried works; 1 if something does not; 2 if settings are missing or bad.
    Check {
        /// Try this destination instead of DESTINATIONS; several are separated by commas
        #[arg(long, value_name = "NAME", long_help = try_this())]
        destination: Option<String>,
    },
    /// Show the state of each destination, from what its runs have left in the storage
    ///
    /// The exit status is 1 if a state is `failing`, `stale` or `gap`: the newest run failed, or ended a
    /// quarter of an hour ago or earlier (longer with a `RUN_BUDGET` over `4m`); or records may be
    /// missing; or the destination takes none. It is 2 if settings are missing or bad and no run can
    /// begin. If no run has ended yet, it is 0, or 1 once the program has answered as the function
    /// `Auth0Health` for a quarter of an hour.
    Status {
        /// Print the JSON that the function `Auth0Health` answers with
        #[arg(long)]
        json: bool,
        /// Only this destination; several are separated by commas
        #[arg(long, value_name = "NAME")]
        destination: Option<String>,
    },
    /// Send a stretch of the log again to one destination
    ///
    /// The checkpoint stays where it is. It is safe to interrupt and to repeat: each record carries
    /// its log id. The exit status is that of `poll`.
    Replay(replay::Command),
    /// Compare a stretch of the log with what is in the table and the archive
    ///
    /// Reads the stretch from Auth0 again. For each hour, by the time in the log id, it prints how
    /// many records Auth0 has, how many the destination has, how many are missing, how many only the
    /// destination has, and how many came late. The exit status is 0 if no record is missing, or all
    /// missing ones were delivered; 1 if one is missing or something could not be queried; 2 if
    /// settings are missing or bad; 130 if it was asked to end before it was done. The checkpoint stays
    /// where it is. It is safe to interrupt and to repeat.
    Audit(audit::Command),
    /// Print the pseudonyms of values, and the query that finds them
    ///
    /// A value has one pseudonym for each kind of data that it may be, and others with the previous
    /// key. Reads only `PII_KEY`, `PII_KEY_ID` and `PII_KEY_PREVIOUS`, and contacts no service.
    Pseudonym(pseudonym::Command),
    /// Show or set where reading resumes
    Checkpoint {
        #[command(subcommand)]
        command: checkpoint::Command,
    },
    /// Show the records that were set aside, or deliver them after all
    ///
    /// A record is set aside if it is too large for a row, if the destination refuses it or fails on it and
    /// accepts others, or if it has no log id. Secrets in it are masked.
    DeadLetter {
        #[command(subcommand)]
        command: dead_letter::Command,
        #[command(flatten)]
        only: Only,
    },
}

#[derive(Args)]
struct Only {
    /// Only this destination; several are separated by commas
    #[arg(long, value_name = "NAME", global = true)]
    destination: Option<String>,
}

/// The destination that sends nothing to another machine.
fn look() -> &'static str {
    let look = KINDS.iter().find(|kind| kind.is_for_a_look);
    look.map_or("", |kind| kind.name)
}

fn after_help() -> String {
    format!(
        "Settings come from the environment, and where it lacks one, from {LOCAL_SETTINGS} in the \
         current folder. `check` tells whether they work, `poll --destination {}` shows the \
         records, and `poll` sends them.",
        look()
    )
}

fn try_this() -> String {
    let look = look();
    format!(
        "Try this destination instead of DESTINATIONS; several are separated by commas. With {look} \
         nothing of Azure is needed"
    )
}

fn deliver_here() -> String {
    let kinds = KINDS.map(|kind| format!("{}: {}", kind.name, kind.about));
    format!(
        "Deliver here instead of to DESTINATIONS; several are separated by commas. Each destination has \
         a checkpoint of its own, so that looking does not affect sending.\n\n{}",
        kinds.join("\n")
    )
}

/// Runs the command line.
#[must_use]
pub fn main(environment: Environment) -> ExitCode {
    #[cfg(unix)]
    leave_no_core();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(told) => return print::told(&told),
    };
    let command = cli.command.unwrap_or(Command::Serve);
    let given = Given {
        environment,
        tenant: cli.tenant,
    };
    logging::start(matches!(command, Command::Serve));

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
            Command::Serve => serve::serve(given).await,
            Command::Poll { destination } => poll::poll(given, destination).await,
            Command::Check { destination } => check::check(given, destination).await,
            Command::Status { json, destination } => status::status(given, destination, json).await,
            Command::Replay(command) => replay::run(given, command).await,
            Command::Audit(command) => audit::run(given, command).await,
            Command::Pseudonym(command) => pseudonym::run(given, &command),
            Command::Checkpoint { command } => checkpoint::run(given, command).await,
            Command::DeadLetter { command, only } => {
                dead_letter::run(given, only.destination, &command).await
            }
        }
    });
    // A file system that hangs must not keep a command from ending.
    runtime.shutdown_background();
    let exit = exit.unwrap_or_else(|exit| exit);
    if exit == ExitCode::SUCCESS && print::has_failed() {
        return ExitCode::FAILURE;
    }
    exit
}

/// Disables core dumps, which would hold every secret. If the limit cannot be set, the program
/// continues without it.
#[cfg(unix)]
fn leave_no_core() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let (current, maximum) = (Some(0), Some(0));
    let _ = setrlimit(Resource::Core, Rlimit { current, maximum });
}

/// How a command ends; `Err` if it ends early.
type Exit = Result<ExitCode, ExitCode>;

/// The input of every command.
struct Given {
    environment: Environment,
    /// The tenant that the command is limited to, if any.
    tenant: Option<String>,
}

/// Reads the settings file, if it is a regular file: a pipe would block, and a device may be
/// endless.
fn local_settings() -> std::io::Result<Vec<u8>> {
    if !std::fs::metadata(LOCAL_SETTINGS)?.is_file() {
        return Err(std::io::Error::other("it is not a file"));
    }
    std::fs::read(LOCAL_SETTINGS)
}

/// The settings for a command, or the exit status.
fn tenants(given: Given, destination: Option<String>) -> Result<Tenants, ExitCode> {
    let mut settings: AppSettings = given.environment.into_iter().collect();
    let unusable = |error: &dyn std::fmt::Display| {
        note(format_args!("{error}"));
        ExitCode::from(UNUSABLE)
    };
    match local_settings() {
        Ok(file) => settings = settings.or_local(&file).map_err(|error| unusable(&error))?,
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => {
            return Err(unusable(&format_args!(
                "{LOCAL_SETTINGS} is in this folder and cannot be read ({error}); put a file in its \
                 place that this user may read, or run the command in another folder"
            )));
        }
    }
    let purpose = Purpose::CommandLine { destination };
    let layers = Layers::new(settings, purpose, clock::system(), Jitter::random());
    layers.warn_of_misspelt();
    let tenants = Tenants::read(&layers);
    match given.tenant {
        Some(name) => tenants.only(&name).map_err(|error| {
            note(format_args!("--tenant: {error}"));
            ExitCode::from(UNUSABLE)
        }),
        None => Ok(tenants),
    }
}

/// A destination whose stored state a command works on.
struct Target<'a> {
    /// The settings of its tenant.
    layers: &'a Layers,
    stores: Stores,
}

/// What a command without runs works on. There is at least one target.
struct Targets<'a> {
    each: Vec<Target<'a>>,
    /// Set if some tenants cannot be used.
    unusable: Option<ExitCode>,
}

impl<'a> Targets<'a> {
    /// The destinations of all tenants. Prints why a tenant cannot be used.
    fn of(tenants: &'a Tenants) -> Result<Self, ExitCode> {
        let (mut each, mut end) = (Vec::new(), None);
        for layers in tenants.each() {
            let stores = layers.map_err(AppError::from).and_then(|layers| {
                let stores = layers.stores()?.into_iter();
                Ok(stores.map(move |stores| Target { layers, stores }))
            });
            match stores {
                Ok(targets) => each.extend(targets),
                Err(error) => end = Some(unusable(&error)),
            }
        }
        match end {
            Some(end) if each.is_empty() => Err(end),
            unusable => Ok(Self { each, unusable }),
        }
    }

    /// The exit status after all of it was worked on.
    fn ended(&self, is_good: bool) -> ExitCode {
        ended(self.unusable, true, exit_code(is_good))
    }
}

/// Prints why there is nothing to work with.
fn unusable(error: &AppError) -> ExitCode {
    match error {
        AppError::Settings(problems) => bad_settings(problems),
        AppError::Other(error) => fail("preparing", &**error),
    }
}

fn bad_settings(problems: &SettingsError) -> ExitCode {
    note(format_args!("These settings need attention:"));
    for line in problems.lines() {
        note(format_args!("  {line}"));
    }
    // Command-line options are not settings, so the hint below does not apply.
    if problems.lines().all(|line| line.starts_with("--")) {
        return ExitCode::from(UNUSABLE);
    }
    let is_missing = if std::path::Path::new(LOCAL_SETTINGS).exists() {
        ""
    } else {
        ", which is not in this folder"
    };
    note(format_args!(
        "Set them in the environment or in {LOCAL_SETTINGS}{is_missing}."
    ));
    ExitCode::from(UNUSABLE)
}

/// Handles several tenants concurrently, so that one that hangs delays no other. Keeps their order.
async fn side_by_side<F: Future>(works: impl Iterator<Item = F>) -> Vec<F::Output> {
    let numbered = works.enumerate();
    let numbered = numbered.map(async |(number, work)| (number, work.await));
    let done = stream::iter(numbered).buffer_unordered(AT_WORK);
    let done: BTreeMap<_, _> = done.collect().await;
    done.into_values().collect()
}

/// The deadline of a step that starts now.
fn deadline() -> Deadline {
    Deadline::after(COMMAND_BUDGET)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_help_names_every_destination() {
        let mut command = Cli::command();
        command.build();
        let poll = command.find_subcommand_mut("poll").unwrap();
        let help = poll.render_long_help().to_string();
        for kind in KINDS {
            assert!(
                help.contains(&format!("{}: {}", kind.name, kind.about)),
                "{help}"
            );
        }
    }
}
