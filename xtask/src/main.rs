//! `cargo xtask`: makes what follows from the project's sources.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a tool of a developer, whose environment and terminal it shares"
)]

use std::error::Error;
use std::path::Path;

use clap::{Parser, Subcommand};

mod archive;
mod local;
mod package;
mod project;
mod sbom;
mod template;

#[derive(Parser)]
#[command(name = "cargo xtask", about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Makes the deployment package, its checksum and its bill of materials in target/package
    Package,
    /// Prepares this folder for Azure Functions Core Tools
    Local,
    /// Writes into azuredeploy.json what it takes from other files
    Template,
}

fn main() -> Result<(), Box<dyn Error>> {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    match Arguments::parse().command {
        Command::Package => Ok(package::make()?),
        Command::Local => Ok(local::prepare()?),
        Command::Template => template::write(&project),
    }
}
