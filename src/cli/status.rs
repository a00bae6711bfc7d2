//! `status`: shows the stored state.

use std::process::ExitCode;

use super::print::{UNUSABLE, exit_code, fail, show};
use super::{Exit, Given, tenants};
use crate::clock;
use crate::health::text;

pub(super) async fn status(given: Given, destination: Option<String>, json: bool) -> Exit {
    let tenants = tenants(given, destination)?;
    let health = tenants.health(&clock::system()).await;
    if json {
        match serde_json::to_string_pretty(&health) {
            Ok(json) => show(format_args!("{json}")),
            Err(error) => return Err(fail("printing the status", &error)),
        }
    } else {
        show(format_args!("{}", text(&health).trim_end()));
    }
    if health.is_unusable {
        return Ok(ExitCode::from(UNUSABLE));
    }
    Ok(exit_code(!health.state.is_alarming()))
}
