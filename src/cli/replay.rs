//! `replay`: a stretch of the log once more, for one destination.

use std::process::ExitCode;

use chrono::{DateTime, Utc};
use clap::Args;

use super::checkpoint::{Beginning, parse};
use super::poll::{tell, with_progress};
use super::print::{UNUSABLE, note};
use super::{Environment, Exit, layers, signals, unusable};
use crate::app::{App, Replay};
use crate::clock;
use crate::destination::Filter;
use crate::record::{Start, StartFrom};
use crate::run::{Mark, Stretch};

#[derive(Args)]
pub(super) struct Command {
    /// The destination that gets it
    #[arg(long, value_name = "NAME")]
    destination: String,
    /// The first record: a duration back from now (7d), a time (2026-11-21T08:00:00Z) that its date
    /// is not before, `oldest`, or its log id
    #[arg(long, value_name = "WHERE", value_parser = parse, allow_hyphen_values = true)]
    from: Beginning,
    /// The record after the last, in the same way: its date is before this time
    #[arg(long, value_name = "WHERE", value_parser = parse, allow_hyphen_values = true)]
    to: Beginning,
    /// Send these records instead of those that the destination's filter takes
    #[arg(long, value_name = "LIST", value_parser = Filter::parse)]
    filter: Option<Filter>,
    /// Read from this destination, which keeps records, instead of from Auth0
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Send nothing, and report what would be sent
    #[arg(long)]
    dry_run: bool,
}

/// A way to use the command that makes no sense.
fn misused(problem: std::fmt::Arguments) -> ExitCode {
    note(problem);
    ExitCode::from(UNUSABLE)
}

pub(super) async fn run(environment: Environment, command: Command) -> Exit {
    let now = clock::system()();
    let Some(to) = mark(&command.to, now) else {
        return Err(misused(format_args!(
            "--to is the end, which cannot be the oldest record"
        )));
    };
    let from = mark(&command.from, now);
    let times = from.as_ref().and_then(Mark::time).zip(to.time());
    if times.is_some_and(|(from, to)| from >= to) {
        return Err(misused(format_args!(
            "--from is not before --to, so there is nothing between"
        )));
    }
    let stopping = signals::stopping();
    let layers = layers(environment, Some(command.destination.clone()))?;
    let app = App::new(&layers, stopping.clone()).map_err(|error| unusable(&error))?;
    let source = match &command.source {
        None => None,
        Some(name) => {
            let source = layers.destination(name).map_err(|error| unusable(&error))?;
            if source.archived().is_none() {
                return Err(misused(format_args!(
                    "--source {name} keeps no records to read"
                )));
            }
            if from.as_ref().and_then(Mark::time).is_none() {
                return Err(misused(format_args!(
                    "--source {name} needs --from to be a time, a duration or a log id"
                )));
            }
            Some(source)
        }
    };
    let replay = Replay {
        stretch: Stretch { from, to },
        filter: command.filter,
        source,
        is_dry: command.dry_run,
    };
    let run = with_progress(&app, async { app.replay(&replay).await.map(|it| vec![it]) });
    let reports = run
        .await
        .map_err(|error| misused(format_args!("{error}")))?;
    for gap in reports.iter().filter_map(|report| report.gap) {
        note(format_args!(
            "Auth0 has no records {gap}: it has dropped them, or there were none"
        ));
    }
    if command.dry_run {
        note(format_args!(
            "nothing was sent: `delivered` is what would have been"
        ));
    }
    tell(&app, &reports, *stopping.borrow())
}

/// An end of the stretch; `None` for the oldest record.
fn mark(place: &Beginning, now: DateTime<Utc>) -> Option<Mark> {
    match place {
        Beginning::After(id) => Some(Mark::Id(id.clone())),
        Beginning::At(StartFrom::Oldest) => None,
        Beginning::At(start) => match start.resolve(now) {
            Start::At(time) => Some(Mark::At(time)),
            Start::Oldest => None,
        },
    }
}
