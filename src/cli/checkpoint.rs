//! `checkpoint`: where reading resumes.

use clap::Subcommand;

use super::ends::{Place, parse};
use super::print::{fail, note, show};
use super::{Exit, Given, Target, Targets, deadline, tenants};
use crate::app::{Layers, Stores};
use crate::clock::{self, to_seconds};
use crate::error::{BoxError, one_line};
use crate::record::{Position, is_future};
use crate::report::alone;
use crate::state::{Checkpoint, Peeked, Replaced};

#[derive(Subcommand)]
pub(super) enum Command {
    /// Show where reading resumes
    Show {
        /// Print the checkpoint as it is stored
        #[arg(long)]
        json: bool,
        /// Only the checkpoint of this destination; several are separated by commas
        #[arg(long, value_name = "NAME")]
        destination: Option<String>,
    },
    /// Let the next run begin somewhere else
    ///
    /// Going back delivers records again (each row carries its log id, so queries can tell);
    /// going forward leaves records out for good.
    Set {
        /// A duration back from now (30m, 1h, 7d), a time (2026-11-21T08:00:00Z), `oldest`, or the
        /// log id after which to read on
        #[arg(long, value_name = "WHERE", value_parser = parse, allow_hyphen_values = true)]
        from: Place,
        /// Only the checkpoint of this destination; several are separated by commas
        #[arg(long, value_name = "NAME")]
        destination: Option<String>,
    },
}

pub(super) async fn run(given: Given, command: Command) -> Exit {
    if let Command::Set { from, .. } = &command {
        from.see(clock::system()())?;
    }
    let (Command::Show { destination, .. } | Command::Set { destination, .. }) = &command;
    let tenants = tenants(given, destination.clone())?;
    let targets = Targets::of(&tenants)?;
    let mut is_good = true;
    for Target { layers, stores } in &targets.each {
        let done = match &command {
            Command::Show { json: true, .. } => print(layers, stores).await,
            Command::Show { .. } => summarize(layers, stores).await,
            Command::Set { from, .. } => set(layers, stores, from).await,
        };
        if let Err(error) = done {
            fail(&format!("{}: checkpoint", stores.label), &*error);
            is_good = false;
        }
    }
    Ok(targets.ended(is_good))
}

/// Prints the checkpoint to standard output, and its location to standard error.
async fn print(layers: &Layers, stores: &Stores) -> Result<(), BoxError> {
    if let Some(peeked) = peek(layers, stores).await? {
        // If the checkpoint is only missing, and not damaged, its location is enough.
        if peeked.damage.is_some() {
            stores.checkpoints.warn_of(&peeked);
        }
        note(format_args!("{}: {}", stores.label, peeked.location));
        show(format_args!("{}", peeked.text));
    }
    Ok(())
}

/// The checkpoint that the next run will use. Prints a note if there is none yet.
async fn peek(layers: &Layers, stores: &Stores) -> Result<Option<Peeked>, BoxError> {
    let Stores {
        label: name,
        checkpoints,
        ..
    } = stores;
    let peeked = checkpoints.peek(layers.now(), deadline()).await?;
    if peeked.is_none() {
        checkpoints.never_was(deadline()).await?;
        note(format_args!(
            "{name}: there is no checkpoint yet at {}; a run makes one",
            checkpoints.location()
        ));
    }
    Ok(peeked)
}

async fn summarize(layers: &Layers, stores: &Stores) -> Result<(), BoxError> {
    let name = &stores.label;
    let Some(peeked) = peek(layers, stores).await? else {
        return Ok(());
    };
    stores.checkpoints.warn_of(&peeked);
    let Peeked {
        mut checkpoint,
        location,
        ..
    } = peeked;
    let now = layers.now();
    layers.begin(&mut checkpoint);
    show(format_args!("{name}: {location}"));
    for line in checkpoint.summary() {
        show(format_args!("  {line}"));
    }
    if let Some(time) = checkpoint
        .position()
        .time()
        .filter(|it| is_future(*it, now))
    {
        note(format_args!(
            "{name}: that is in the future, so nothing is delivered until {}; `auth0-poller \
             checkpoint set --from …` lets reading begin earlier ({})",
            to_seconds(time),
            alone(name)
        ));
    }
    Ok(())
}

async fn set(layers: &Layers, stores: &Stores, from: &Place) -> Result<(), BoxError> {
    let Stores {
        label: name,
        checkpoints,
        ..
    } = stores;
    let now = layers.now();
    let position = match from {
        Place::Id(id) => Position::After(id.clone()),
        Place::At(start) => Position::Start(start.resolve(now)),
    };
    let checkpoint = Checkpoint::set(position);
    let replaced = checkpoints.replace(&checkpoint, now, deadline()).await?;
    show(format_args!(
        "{name}: the next run begins {} ({})",
        checkpoint.position(),
        checkpoints.location()
    ));
    match replaced {
        Replaced::Nothing => show(format_args!("There was no checkpoint before.")),
        Replaced::Gone => show(format_args!(
            "There was a checkpoint before, which is gone."
        )),
        Replaced::Unreadable => show(format_args!("What was there was no checkpoint.")),
        Replaced::Checkpoint(mut replaced) => {
            layers.begin(&mut replaced);
            let begin = one_line(&replaced.position().to_string());
            show(format_args!("It would have begun {begin}."));
        }
    }
    Ok(())
}
