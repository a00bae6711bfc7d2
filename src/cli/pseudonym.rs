//! `pseudonym`: shows the pseudonyms that replace a value in the table, for those who hold the key.

use std::process::ExitCode;

use clap::Args;

use super::print::{misused, show};
use super::{Exit, Given, bad_settings, tenants};
use crate::app::Layers;
use crate::pii::{Group, Keys, is_pseudonym};

#[derive(Args)]
pub(super) struct Command {
    /// An e-mail address, user name, user id, phone number, name or IP address, as it is or was
    #[arg(value_name = "VALUE", required = true)]
    values: Vec<String>,
}

pub(super) fn run(given: Given, command: &Command) -> Exit {
    let values: Vec<_> = command.values.iter().map(|it| it.trim()).collect();
    // Neither blank values nor pseudonyms are replaced, so a query for one would find nothing.
    if values.contains(&"") {
        return Err(misused(format_args!(
            "a value is blank, and nothing blank has a pseudonym"
        )));
    }
    if values.iter().any(|it| is_pseudonym(it)) {
        return Err(misused(format_args!(
            "a value is a pseudonym already, and stays as it is; search for it itself"
        )));
    }
    let tenants = tenants(given, None)?;
    let (mut keys, mut end) = (Vec::new(), None);
    for layers in tenants.each() {
        match layers.and_then(Layers::pseudonym_keys) {
            Ok(of_tenant) => keys.push(of_tenant),
            Err(problems) => end = Some(bad_settings(&problems)),
        }
    }
    if let (true, Some(end)) = (keys.is_empty(), end) {
        return Err(end);
    }
    for value in values {
        show(format_args!("{value}"));
        // Tenants may share a key.
        let mut told = Vec::new();
        for line in keys.iter().flat_map(|keys| lines(keys, value)) {
            if !told.contains(&line) {
                show(format_args!("  {line}"));
                told.push(line);
            }
        }
    }
    Ok(end.unwrap_or(ExitCode::SUCCESS))
}

/// A line for each pseudonym, and the query that finds all of them.
fn lines(keys: &Keys, value: &str) -> Vec<String> {
    let present = Some((&keys.current, ""));
    let previous = keys.previous.as_ref();
    let previous = previous.map(|key| (key, "  (previous key)"));
    let mut lines = Vec::new();
    let mut codes = Vec::new();
    for (key, note) in present.into_iter().chain(previous) {
        for group in Group::candidates(value) {
            let (name, pseudonym) = (group.name(), key.pseudonym(group, value));
            lines.push(format!("{name:<11} {pseudonym}{note}"));
            // In a path, `%7C` or `%22` may precede the code, so that no word begins there.
            codes.push(format!("\"*{}*\"", key.code(group, value)));
        }
    }
    lines.push(format!("search in (Auth0AM_CL) {}", codes.join(" or ")));
    lines
}
