//! The project as Cargo and the Functions host see it, and Cargo itself.

use std::collections::BTreeSet;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use cargo_metadata::{Message, Metadata, MetadataCommand, Package, PackageId};
use serde_json::Value;

/// The package that is deployed, and its binary.
pub const NAME: &str = "auth0-poller";

/// The project.
pub struct Project {
    /// What Cargo knows of it.
    pub metadata: Metadata,
}

/// What Cargo built.
pub struct Build {
    /// The program.
    pub program: PathBuf,
    /// The packages compiled for the target that was named, if one was: macros and build scripts
    /// are not among them then.
    pub packages: BTreeSet<PackageId>,
}

impl Project {
    /// The project around the current folder, with the dependencies that it has on `target`, or on
    /// every target.
    pub fn read(target: Option<&str>) -> Result<Self> {
        let mut options = vec!["--locked".to_owned()];
        if let Some(target) = target {
            options.push(format!("--filter-platform={target}"));
        }
        let mut command = MetadataCommand::new();
        let metadata = command.other_options(options).exec()?;
        Ok(Self { metadata })
    }

    /// Its folder.
    pub fn root(&self) -> &Path {
        self.metadata.workspace_root.as_std_path()
    }

    /// The package that is deployed.
    pub fn package(&self) -> Result<&Package> {
        let mut packages = self.metadata.workspace_packages().into_iter();
        let package = packages.find(|package| package.name == NAME);
        package.with_context(|| format!("{} holds no package {NAME}", self.root().display()))
    }

    /// The name under which `host.json` starts the program.
    pub fn executable(&self) -> Result<String> {
        let path = self.root().join("host.json");
        let text = std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        let host: Value = serde_json::from_slice(&text).context("host.json is not JSON")?;
        let name = &host["customHandler"]["description"]["defaultExecutablePath"];
        let name = name.as_str().map(str::to_owned);
        name.context("host.json names no customHandler.description.defaultExecutablePath")
    }

    /// The functions, by the names of their folders.
    pub fn functions(&self) -> Result<BTreeSet<String>> {
        let mut functions = BTreeSet::new();
        for entry in std::fs::read_dir(self.root())? {
            let entry = entry?;
            if entry.path().join("function.json").is_file() {
                let name = entry.file_name().into_string();
                functions.insert(name.ok().context("a function's name is no text")?);
            }
        }
        Ok(functions)
    }

    /// Builds the release binary, for `target` or else for this machine.
    pub fn build(&self, target: Option<&str>, rust_flags: &[String]) -> Result<Build> {
        let mut cargo = self.cargo();
        cargo.args(["build", "--release", "--locked", "--package", NAME]);
        cargo.args(["--bin", NAME]);
        cargo.arg("--message-format=json-render-diagnostics");
        if let Some(target) = target {
            cargo.args(["--target", target]);
        }
        if !rust_flags.is_empty() {
            // Of all places for flags the one that Cargo looks at first, and then no further.
            cargo.env("CARGO_ENCODED_RUSTFLAGS", rust_flags.join("\u{1f}"));
        }
        let mut cargo = cargo.stdout(Stdio::piped()).spawn()?;
        let messages = cargo.stdout.take().context("Cargo's messages")?;

        // Cargo keeps what it compiles for the target apart from what it compiles to run itself.
        let mut folder = self.metadata.target_directory.clone();
        folder.extend(target);
        let mut program = None;
        let mut packages = BTreeSet::new();
        for message in Message::parse_stream(BufReader::new(messages)) {
            let Message::CompilerArtifact(artifact) = message? else {
                continue;
            };
            if artifact.filenames.iter().any(|it| it.starts_with(&folder)) {
                program = artifact.executable.or(program);
                packages.insert(artifact.package_id);
            }
        }
        match program {
            Some(program) if cargo.wait()?.success() => Ok(Build {
                program: program.into_std_path_buf(),
                packages,
            }),
            _ => bail!("Cargo could not build {NAME}"),
        }
    }

    fn cargo(&self) -> Command {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.current_dir(self.root());
        // What `cargo run` tells this program of its own package would make build scripts run anew.
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
                command.env_remove(&name);
            }
        }
        command
    }
}
