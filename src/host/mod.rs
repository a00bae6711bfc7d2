//! The interface to the Azure Functions host: a custom handler.
//!
//! The host calls `GET /` to check whether the program is up, and posts to `/{function}` each time
//! a function is triggered. Microsoft defines what the host accepts as a response and what it does
//! with it: <https://learn.microsoft.com/azure/azure-functions/functions-custom-handlers>. Two
//! rules shape this module. The host discards the body of an unsuccessful response, so a failure is
//! reported in the status line and on standard error. And the host waits for its timeout after an
//! empty success, so no response is empty.
//!
//! `protocol` holds the messages between host and program, `dispatch` routes an invocation to its
//! function, `reason` builds the status line of a failure, `timer` is the function that delivers,
//! and `health` is the one that shows the state. Of a run this module knows only the report; where
//! runs and views come from is passed in.

mod dispatch;
mod gist;
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
