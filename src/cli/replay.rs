//! `replay`: sends a stretch of the log to one destination again.

use std::process::ExitCode;

use chrono::{DateTime, Utc};
use clap::Args;
use tokio::sync::watch;

use super::ends::{Ends, note_gap};
use super::poll::{tell, with_progress};
use super::print::{ended, fail, misused, note};
use super::signals::{self, Ending};
use super::{Exit, Given, bad_settings, deadline, side_by_side, tenants, unusable};
use crate::app::{App, AppError, Layers, Origin, Replay};
use crate::clock::{self, to_seconds};
use crate::destination::{Destination, Filter, Kind};
use crate::report::Gap;
use crate::run::{Mark, Stretch};
use crate::settings::SettingsError;

#[derive(Args)]
pub(super) struct Command {
    /// The destination that gets the records
    #[arg(long, value_name = "NAME")]
    destination: String,
    #[command(flatten)]
    ends: Ends,
    /// Send the records that this filter takes, instead of the destination's own filter
    #[arg(long, value_name = "LIST", value_parser = Filter::read)]
    filter: Option<Filter>,
    /// Read from this destination, which must keep records, instead of from Auth0
    #[arg(long, value_name = "NAME", value_parser = known)]
    source: Option<&'static Kind>,
    /// Send nothing, and report what would be sent
    #[arg(long)]
    dry_run: bool,
}

/// Checks that a destination of this name exists.
fn known(name: &str) -> Result<&'static Kind, String> {
    Kind::named(name.trim())
        .ok_or_else(|| format!("names an unknown destination; it takes {}", Kind::names()))
}

pub(super) async fn run(given: Given, command: Command) -> Exit {
    let now = clock::system()();
    let stretch = command.ends.stretch(now)?;
    command.ends.from.see(now)?;
    let ending = if command.dry_run {
        Ending::ReadsNoMore
    } else {
        Ending::Delivers
    };
    let stopping = signals::stopping(ending);
    let tenants = tenants(given, Some(command.destination.clone()))?;
    tenants.warn_of_policies();
    let (mut reports, mut apps, mut end) = (Vec::new(), Vec::new(), None);
    for layers in tenants.each() {
        match prepare(layers, &command, &stretch, &stopping)? {
            Ok(ready) => apps.push(ready),
            Err(unusable) => end = Some(unusable),
        }
    }
    let able: Vec<_> = apps.iter().map(|(app, _)| app).collect();
    let replays = apps.iter().map(async |(app, from)| {
        let replay = Replay {
            stretch: stretch.clone(),
            filter: command.filter.clone(),
            source: from.as_ref().map(|(source, _)| &**source),
            is_dry: command.dry_run,
        };
        app.labelled(app.replay(&replay)).await
    });
    for report in with_progress(&able, side_by_side(replays)).await {
        reports.push(report.map_err(|error| misused(format_args!("{error}")))?);
    }
    for report in &reports {
        match &command.source {
            None => note_gap(&report.name(), report.gap),
            Some(source) => note_nothing(&report.name(), source.name, report.gap),
        }
    }
    if let (Some(source), Some(end)) = (&command.source, stretch.to.time()) {
        let origins = apps.iter().filter_map(|(_, from)| Some(&from.as_ref()?.1));
        for (report, origin) in reports.iter().zip(origins) {
            let name = report.name();
            if let Some(from) = stretch.from.as_ref().and_then(Mark::time) {
                note_beginning(&name, source.name, origin, from, now).await;
            }
            note_lack(&name, source.name, origin, end).await;
        }
    }
    if command.dry_run && !reports.is_empty() {
        note(format_args!(
            "nothing was sent: `delivered` is what would have been"
        ));
    }
    let told = tell(&able, &reports, *stopping.borrow())?;
    Ok(ended(end, !apps.is_empty(), told))
}

/// A tenant ready for a replay: its app, and the source if records are not read from Auth0.
type Ready = (App, Option<(Box<dyn Destination>, Origin)>);

/// Prepares one tenant. The inner error is the exit status for bad settings, after printing why;
/// the outer one is for a command line that makes no sense.
fn prepare(
    layers: Result<&Layers, SettingsError>,
    command: &Command,
    stretch: &Stretch,
    stopping: &watch::Receiver<bool>,
) -> Result<Result<Ready, ExitCode>, ExitCode> {
    let layers = match layers {
        Ok(layers) => layers,
        Err(error) => return Ok(Err(bad_settings(&error))),
    };
    let made = match &command.source {
        Some(_) => App::new(&layers.without_auth0(), stopping.clone()),
        None => App::new(layers, stopping.clone()),
    };
    let app = match made {
        Ok(app) => app,
        Err(error) => return Ok(Err(unusable(&error))),
    };
    let Some(kind) = command.source else {
        return Ok(Ok((app, None)));
    };
    let name = kind.name;
    let both = || -> Result<_, AppError> { Ok((layers.destination(name)?, layers.origin(kind)?)) };
    let (source, origin) = match both() {
        Ok(both) => both,
        Err(error) => return Ok(Err(unusable(&error))),
    };
    if source.archived().is_none() {
        return Err(misused(format_args!(
            "--source {name} keeps no records to read"
        )));
    }
    if stretch.from.as_ref().and_then(Mark::time).is_none() || stretch.to.time().is_none() {
        return Err(misused(format_args!(
            "--source {name} needs --from and --to to be times, durations or log ids that tell a time"
        )));
    }
    Ok(Ok((app, Some((source, origin)))))
}

/// Prints for which time another source has no records.
fn note_nothing(name: &str, source: &str, gap: Option<Gap>) {
    if let Some(gap) = gap {
        note(format_args!(
            "{name}: {source} has no records {gap}: it never got any, or there were none; check that \
             its settings and DOMAIN are those that it was written with"
        ));
    }
}

/// Prints if another source began only after the beginning of the stretch.
async fn note_beginning(
    name: &str,
    source: &str,
    origin: &Origin,
    from: DateTime<Utc>,
    now: DateTime<Utc>,
) {
    match origin.lacks_until(from, now, deadline()).await {
        Ok(Some(until)) => note(format_args!(
            "{name}: {source} may lack what was logged before {}, where its first run began",
            to_seconds(until)
        )),
        Ok(None) => {}
        Err(error) => {
            fail(
                &format!("{name}: when the first run of {source} began"),
                &error,
            );
        }
    }
}

/// Prints what another source lacks, as far as is known: what its filter leaves out, and what it has not
/// got yet.
async fn note_lack(name: &str, source: &str, origin: &Origin, end: DateTime<Utc>) {
    if let Some(filter) = &origin.filter {
        note(format_args!(
            "{name}: {source} has only what its filter takes ({filter})"
        ));
    }
    match origin.lacks_from(end, deadline()).await {
        Ok(Some(from)) => note(format_args!(
            "{name}: {source} may lack what was logged from {} on: its newest run was then, failed, or did \
             not reach the end; let it catch up, and replay what follows",
            to_seconds(from)
        )),
        Ok(None) => {}
        Err(error) => {
            fail(&format!("{name}: how far {source} has got the log"), &error);
        }
    }
}
