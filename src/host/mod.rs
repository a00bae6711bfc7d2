//! The Azure Functions host's side of the program: a custom handler.
//!
//! The host asks `GET /` whether the program is there, and posts to `/{function}` each time a
//! function is triggered. What it understands as an answer, and what it does with one, is
//! Microsoft's: <https://learn.microsoft.com/azure/azure-functions/functions-custom-handlers>.
//! Two things shape this module: on any status but a success the host throws the answer's body
//! away, so a failure is told in the status line and on standard error; and an empty success leaves
//! the host waiting until its time-out, so no answer is empty.
//!
//! `protocol` holds what crosses between host and program, `dispatch` takes an invocation to its
//! function, `reason` makes the status line of a failure, `timer` is the function that delivers, and
//! `health` the one that tells how it stands. What a run is, is not known here.

mod dispatch;
mod health;
mod protocol;
mod reason;
mod timer;

pub(crate) use self::dispatch::{Functions, Work};
pub(crate) use self::health::{HEALTH, Health, Views, Webpage};
#[cfg(test)]
use self::protocol::{Completion, Function, Invocation};
pub(crate) use self::timer::{Runs, TIMER, Timer};

#[cfg(test)]
mod tests;
