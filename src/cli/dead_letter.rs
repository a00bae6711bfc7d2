//! `dead-letter`: the records that were set aside.

use clap::Subcommand;

use super::print::{exit_code, fail, note, show};
use super::{Environment, Exit, deadline, layers, unusable};
use crate::app::Books;
use crate::clock::to_seconds;
use crate::destination::{Destination, Outcome};
use crate::error::{BoxError, with_causes};
use crate::record::Record;
use crate::state::StoredLetter;

#[derive(Subcommand)]
pub(super) enum Command {
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

pub(super) async fn run(
    environment: Environment,
    destination: Option<String>,
    command: &Command,
) -> Exit {
    let layers = layers(environment, destination)?;
    let mut is_good = true;
    for books in layers.books().map_err(|error| unusable(&error))? {
        let done = match command {
            Command::List => list(&books).await,
            Command::Show { name } => print(&books, name).await,
            Command::Retry { names } => {
                let destination = layers.destination(books.name);
                let destination = destination.map_err(|error| unusable(&error))?;
                retry(&books, &*destination, names).await
            }
        };
        is_good &= done.map_err(|error| fail("dead-letter", &*error))?;
    }
    Ok(exit_code(is_good))
}

async fn list(books: &Books) -> Result<bool, BoxError> {
    let letters = &books.dead_letters;
    let names = letters.names(deadline()).await?;
    if names.is_empty() {
        note_none_set_aside(books);
    }
    for name in names {
        if let Some(letter) = letters.read(&name, deadline()).await? {
            let time = to_seconds(letter.set_aside_at);
            show(format_args!("{name}  {time}  {}", letter.reason));
        }
    }
    Ok(true)
}

fn note_none_set_aside(books: &Books) {
    note(format_args!("{}: no record is set aside", books.name));
}

async fn print(books: &Books, name: &str) -> Result<bool, BoxError> {
    let Some(letter) = books.dead_letters.read(name, deadline()).await? else {
        note(format_args!(
            "{}: there is no dead letter {name}",
            books.name
        ));
        return Ok(false);
    };
    show(format_args!("{}", serde_json::to_string_pretty(&letter)?));
    Ok(true)
}

async fn retry(
    books: &Books,
    destination: &dyn Destination,
    names: &[String],
) -> Result<bool, BoxError> {
    let letters = &books.dead_letters;
    let names = if names.is_empty() {
        letters.names(deadline()).await?
    } else {
        names.to_vec()
    };
    if names.is_empty() {
        note_none_set_aside(books);
    }
    let mut is_good = true;
    for name in names {
        let delivered = match letters.read(&name, deadline()).await? {
            Some(letter) => deliver_again(destination, letter).await,
            None => Err("there is no such dead letter".into()),
        };
        match delivered {
            Ok(()) => {
                letters.remove(&name, deadline()).await?;
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

async fn deliver_again(
    destination: &dyn Destination,
    letter: StoredLetter,
) -> Result<(), BoxError> {
    let Some(log_id) = letter.log_id else {
        return Err("it has no log_id, so that no query could tell it from others".into());
    };
    let record = Record {
        log_id,
        date: None,
        json: Box::<str>::from(letter.record).into_string().into(),
    };
    let row = destination.encode(&record)?;
    let delivery = destination.deliver(&[row], deadline()).await;
    match (delivery.outcomes.into_iter().next(), delivery.error) {
        (Some(Outcome::Accepted), _) => Ok(()),
        (Some(Outcome::Refused(reason)), _) => Err(reason),
        (_, Some(error)) => Err(error.into()),
        (_, None) => Err("the destination did not say what became of it".into()),
    }
}
