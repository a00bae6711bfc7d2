//! `cargo xtask`: makes what is derived from the project's sources.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a tool of a developer, whose environment and terminal it shares"
)]

use std::path::Path;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod archive;
mod local;
mod notices;
mod package;
mod project;
mod sbom;
mod template;

#[derive(Parser)]
#[command(bin_name = "cargo xtask", about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Makes the deployment package, its checksum and its bill of materials in target/package
    Package,
    /// Builds the program into this folder, and makes its settings, to run it on this machine
    Local,
    /// Puts azuredeploy.json together from the parts in xtask/template
    Template,
}

fn main() -> ExitCode {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let result = match Arguments::parse().command {
        Command::Package => package::make(),
        Command::Local => local::prepare(),
        Command::Template => template::write(&project),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
