//! The project as Cargo and the Functions host see it, and calls of Cargo.

use std::collections::BTreeSet;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use cargo_metadata::{Message, Metadata, MetadataCommand, Package, PackageId};
use serde_json::Value;

/// The name of the deployed package, and of its binary.
pub const NAME: &str = "auth0-poller";

/// The project.
pub struct Project {
    /// The metadata that Cargo reports.
    pub metadata: Metadata,
}

/// The result of a build.
pub struct Build {
    /// The program.
    pub program: PathBuf,
    /// The packages that were compiled. If a target was named, only those for it, without macros and
    /// build scripts.
    pub packages: BTreeSet<PackageId>,
}

impl Project {
    /// The project around the current folder, with its dependencies on `target`, or on all targets.
    pub fn read(target: Option<&str>) -> Result<Self> {
        let mut options = vec!["--locked".to_owned()];
        if let Some(target) = target {
            options.push(format!("--filter-platform={target}"));
        }
        let mut command = MetadataCommand::new();
        let metadata = command.other_options(options).exec()?;
        Ok(Self { metadata })
    }

    /// The project's folder.
    pub fn root(&self) -> &Path {
        self.metadata.workspace_root.as_std_path()
    }

    /// The deployed package.
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

    /// The names of the functions, which are those of their folders.
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

    /// Builds the release binary for `target`, or else for this machine.
    pub fn build(&self, target: Option<&str>, rust_flags: &[String]) -> Result<Build> {
        let mut cargo = self.cargo();
        cargo.args(["build", "--release", "--locked", "--package", NAME]);
        cargo.args(["--bin", NAME]);
        cargo.arg("--message-format=json-render-diagnostics");
        if let Some(target) = target {
            cargo.args(["--target", target]);
        }
        if !rust_flags.is_empty() {
            // Cargo reads flags from this variable first, and then ignores all other places.
            cargo.env("CARGO_ENCODED_RUSTFLAGS", rust_flags.join("\u{1f}"));
        }
        let mut cargo = cargo.stdout(Stdio::piped()).spawn()?;
        let messages = cargo.stdout.take().context("Cargo's messages")?;

        // With a target, Cargo separates what it compiles for it from what runs during the build.
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
        // Cargo's variables about this package would make the build scripts run again.
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
                command.env_remove(&name);
            }
        }
        command
    }
}
