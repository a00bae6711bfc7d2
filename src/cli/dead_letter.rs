//! `dead-letter`: lists, shows and retries dead letters.

use chrono::{DateTime, Utc};
use clap::Subcommand;

use super::print::{fail, note, show};
use super::{Exit, Given, Target, Targets, deadline, tenants};
use crate::app::Stores;
use crate::clock::to_seconds;
use crate::destination::{Destination, Outcome, Quarantine};
use crate::error::{BoxError, one_line, with_causes};
use crate::record::{Record, record_of};

/// Consecutive failures of a destination after which nothing more is tried: each may take half a
/// minute. The destination may fail because of particular records, so a few failures prove nothing.
const FAILURES: usize = 10;

#[derive(Subcommand)]
pub(super) enum Command {
    /// Print a line for each record: its name, when it was set aside, and why
    List,
    /// Print a record as it is stored
    Show {
        /// The name that `list` prints: usually the log id
        name: String,
    },
    /// Deliver the records, and remove those that were accepted
    ///
    /// The exit status is 1 if a record was not accepted; it stays where it is.
    Retry {
        /// Only these records
        names: Vec<String>,
    },
}

pub(super) async fn run(given: Given, destination: Option<String>, command: &Command) -> Exit {
    let tenants = tenants(given, destination)?;
    let targets = Targets::of(&tenants)?;
    let is_good = match command {
        Command::List => list(&targets).await,
        Command::Show { name } => print(&targets, name.trim()).await,
        Command::Retry { names } => {
            let names: Vec<_> = names.iter().map(|it| it.trim().to_owned()).collect();
            retry(&targets, &names).await
        }
    };
    Ok(targets.ended(is_good))
}

/// Prints why the dead letters of one destination cannot be read. The others are still shown.
fn tell(stores: &Stores, error: &dyn std::error::Error) {
    fail(&format!("{}: dead-letter", stores.label), error);
}

/// The names of the dead letters; `None` if they cannot be listed, after printing why.
async fn names(stores: &Stores) -> Option<Vec<String>> {
    match stores.dead_letters.names(deadline()).await {
        Ok(names) => {
            if names.is_empty() {
                note(format_args!("{}: no record is set aside", stores.label));
            }
            Some(names)
        }
        Err(error) => {
            tell(stores, &error);
            None
        }
    }
}

/// Prints a line for each dead letter. An unreadable one does not hide the others.
async fn list(targets: &Targets<'_>) -> bool {
    let mut is_good = true;
    for Target { stores, .. } in &targets.each {
        let Some(names) = names(stores).await else {
            is_good = false;
            continue;
        };
        for name in names {
            match stores.dead_letters.read(&name, deadline()).await {
                Ok(Some(letter)) => {
                    let (time, whose) = (to_seconds(letter.set_aside_at), &stores.label);
                    // The dead letter may have been written by others.
                    let reason = one_line(&letter.reason);
                    show(format_args!("{name}  {time}  {whose}: {reason}"));
                }
                Ok(None) => {}
                Err(error) => {
                    is_good = false;
                    show(format_args!("{name}  unreadable: {}", with_causes(&error)));
                }
            }
        }
    }
    is_good
}

/// Prints the dead letter of this name for each destination that has one.
async fn print(targets: &Targets<'_>, name: &str) -> bool {
    let (mut is_found, mut is_good) = (false, targets.unusable.is_none());
    for Target { stores, .. } in &targets.each {
        let printed = match stores.dead_letters.read(name, deadline()).await {
            Ok(None) => continue,
            Ok(Some(letter)) => serde_json::to_string_pretty(&letter).map_err(BoxError::from),
            Err(error) => Err(error.into()),
        };
        match printed {
            Ok(json) => {
                is_found = true;
                show(format_args!("{json}"));
            }
            Err(error) => {
                is_good = false;
                tell(stores, &*error);
            }
        }
    }
    if is_good && !is_found {
        note(format_args!("there is no dead letter {name}"));
    }
    is_good && is_found
}

async fn retry(targets: &Targets<'_>, wanted: &[String]) -> bool {
    let (mut is_good, mut is_all_seen) = (true, targets.unusable.is_none());
    let mut missing = wanted.to_vec();
    for Target { layers, stores } in &targets.each {
        let Some(mut kept) = names(stores).await else {
            is_all_seen = false;
            continue;
        };
        if !wanted.is_empty() {
            kept.retain(|name| wanted.contains(name));
            missing.retain(|name| !kept.contains(name));
        }
        if kept.is_empty() {
            continue;
        }
        // With a single destination, its name need not be repeated.
        let whose = match targets.each[..] {
            [_] => String::new(),
            _ => format!(" ({})", stores.label),
        };
        let destination = layers.destination(stores.name);
        let (mut failures, mut is_any_taken) = (0, false);
        for name in kept {
            let delivered = match &destination {
                Ok(_) if failures == FAILURES => Err(NotDelivered::NotTried),
                Ok(destination) => deliver_again(stores, &**destination, &name).await,
                Err(error) => Err(error.to_string().into()),
            };
            failures = match &delivered {
                Ok(()) | Err(NotDelivered::Refused(_) | NotDelivered::NotRemoved(_)) => 0,
                Err(NotDelivered::Failed(_)) => failures + 1,
                Err(
                    NotDelivered::NotTried
                    | NotDelivered::QuarantinedAndLeft { .. }
                    | NotDelivered::Other(_),
                ) => failures,
            };
            match delivered {
                Ok(()) => {
                    is_any_taken = true;
                    show(format_args!("{name}  delivered{whose}"));
                }
                Err(error) => {
                    is_good = false;
                    let (is_taken, not) = match error {
                        NotDelivered::NotRemoved(_) => (true, "removed"),
                        _ => (false, "delivered"),
                    };
                    is_any_taken |= is_taken;
                    let error = with_causes(&error);
                    show(format_args!("{name}  not {not}{whose}: {error}"));
                }
            }
        }
        if is_any_taken {
            end_refusal(stores, layers.now()).await;
        }
    }
    // A missing one may be where the search failed.
    for name in missing.iter().filter(|_| is_all_seen) {
        show(format_args!(
            "{name}  not delivered: there is no such dead letter"
        ));
    }
    is_good && is_all_seen && missing.is_empty()
}

/// Notes that the destination no longer refuses every record; a quiet tenant has no record to show
/// it. If the note cannot be stored, the next delivered record will.
async fn end_refusal(stores: &Stores, now: DateTime<Utc>) {
    if let Err(error) = stores.checkpoints.end_refusal(now, deadline()).await {
        note(format_args!(
            "{}: that the destination takes records again is not noted until a run delivers one: {}",
            stores.label,
            with_causes(&error)
        ));
    }
}

/// Why a dead letter was not delivered, or is still there.
#[derive(Debug, thiserror::Error)]
enum NotDelivered {
    /// The destination refuses the record.
    #[error(transparent)]
    Refused(BoxError),
    /// The destination failed, and may fail for any record.
    #[error(transparent)]
    Failed(BoxError),
    /// The destination failed for the records before it.
    #[error("not tried, since the destination failed {FAILURES} times in a row")]
    NotTried,
    /// The destination took the record, and its dead letter is still there.
    #[error("it was delivered, and the next retry would deliver it again, so remove it by hand")]
    NotRemoved(#[source] BoxError),
    /// The destination keeps the record apart, and its dead letter is still there.
    #[error(
        "the destination quarantined it: {advice}; its dead letter is still there, and the next retry \
         would send it again, so remove it by hand"
    )]
    QuarantinedAndLeft {
        advice: String,
        #[source]
        source: BoxError,
    },
    /// Anything else.
    #[error(transparent)]
    Other(#[from] BoxError),
}

impl From<&str> for NotDelivered {
    fn from(why: &str) -> Self {
        BoxError::from(why).into()
    }
}

impl From<String> for NotDelivered {
    fn from(why: String) -> Self {
        BoxError::from(why).into()
    }
}

/// Delivers a dead letter, and removes it once it is accepted.
async fn deliver_again(
    stores: &Stores,
    destination: &dyn Destination,
    name: &str,
) -> Result<(), NotDelivered> {
    let letter = stores.dead_letters.read(name, deadline()).await;
    let letter = letter.map_err(BoxError::from)?;
    let letter = letter.ok_or("it is not there any more")?;
    let Some(log_id) = letter.log_id else {
        return Err("it has no log_id, so no query could tell it from others".into());
    };
    let json = Box::<str>::from(letter.record).into_string().into();
    let date = record_of(&json).and_then(|it| it.date);
    let record = Record { log_id, date, json };
    let row = destination.encode(&record)?;
    let delivery = destination.deliver(&[row], deadline()).await;
    match (delivery.outcomes.into_iter().next(), delivery.error) {
        (Some(Outcome::Accepted), _) => {}
        (Some(Outcome::Refused(reason)), _) => return Err(NotDelivered::Refused(reason)),
        (_, Some(error)) => return Err(NotDelivered::Failed(error.into())),
        (_, None) => return Err("the destination did not say what became of it".into()),
    }
    let removed = stores.dead_letters.remove(name, deadline()).await;
    match (removed, delivery.quarantine) {
        (Ok(()), None) => Ok(()),
        (Err(error), None) => Err(NotDelivered::NotRemoved(error.into())),
        (Ok(()), Some(Quarantine { advice, .. })) => Err(format!(
            "the destination quarantined it, so it is no dead letter any more: {advice}"
        )
        .into()),
        (Err(error), Some(Quarantine { advice, .. })) => Err(NotDelivered::QuarantinedAndLeft {
            advice,
            source: error.into(),
        }),
    }
}
