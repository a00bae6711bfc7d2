//! `cargo xtask`: makes what follows from the project's sources.

use std::error::Error;
use std::path::Path;

use clap::{Parser, Subcommand};

mod template;

#[derive(Parser)]
#[command(name = "cargo xtask", about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Writes into azuredeploy.json what it takes from other files
    Template,
}

fn main() -> Result<(), Box<dyn Error>> {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    match Arguments::parse().command {
        Command::Template => template::write(&project),
    }
}
