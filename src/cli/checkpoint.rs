//! `checkpoint`: where reading resumes.

use clap::Subcommand;

use super::print::{exit_code, fail, note, show};
use super::{Environment, Exit, deadline, layers, unusable};
use crate::app::{Books, Layers};
use crate::error::BoxError;
use crate::record::{LogId, Position, StartFrom};
use crate::settings::values::start_from;
use crate::state::Checkpoint;

#[derive(Subcommand)]
pub(super) enum Command {
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
        /// log id after which to read on
        #[arg(long, value_name = "WHERE", value_parser = parse)]
        from: Beginning,
        /// Only that of this destination
        #[arg(long, value_name = "NAME")]
        destination: Option<String>,
    },
}

/// Where a person wants reading to begin.
#[derive(Clone, Debug)]
pub(super) enum Beginning {
    After(LogId),
    At(StartFrom),
}

fn parse(text: &str) -> Result<Beginning, String> {
    let id = LogId::new(text);
    if id.is_well_formed() {
        return Ok(Beginning::After(id));
    }
    start_from(text)
        .map(Beginning::At)
        .map_err(|problem| format!("it {problem}, nor a log id of 56 digits"))
}

pub(super) async fn run(environment: Environment, command: Command) -> Exit {
    let (Command::Show { destination } | Command::Set { destination, .. }) = &command;
    let layers = layers(environment, destination.clone())?;
    for books in layers.books().map_err(|error| unusable(&error))? {
        let done = match &command {
            Command::Show { .. } => print(&books).await,
            Command::Set { from, .. } => set(&layers, &books, from).await,
        };
        done.map_err(|error| fail("checkpoint", &*error))?;
    }
    Ok(exit_code(true))
}

/// Prints the checkpoint to standard output, and where it is kept to standard error.
async fn print(books: &Books) -> Result<(), BoxError> {
    let Books {
        name, checkpoints, ..
    } = books;
    let location = checkpoints.location();
    match checkpoints.text(deadline()).await? {
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

async fn set(layers: &Layers, books: &Books, from: &Beginning) -> Result<(), BoxError> {
    let Books {
        name, checkpoints, ..
    } = books;
    let now = layers.now();
    let position = match from {
        Beginning::After(id) => Position::After(id.clone()),
        Beginning::At(start) => Position::Start(start.resolve(now)),
    };
    let checkpoint = Checkpoint::set(position);
    let replaced = checkpoints.replace(&checkpoint, now, deadline()).await?;
    show(format_args!(
        "{name}: the next run begins {} ({})",
        checkpoint.position(),
        checkpoints.location()
    ));
    if let Some(replaced) = replaced {
        show(format_args!("It would have begun {}.", replaced.position()));
    }
    Ok(())
}
