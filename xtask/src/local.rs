//! The project's own folder as the root of a Function App, for Azure Functions Core Tools.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::project::Project;

const SETTINGS: &str = "local.settings.json";
const SAMPLE: &str = "local.settings.sample.json";

/// Builds the program, puts it where `host.json` expects it, and sees to it that there are settings.
pub fn prepare() -> Result<()> {
    let project = Project::read(None)?;
    let build = project.build(None, &[])?;
    let program = project.root().join(project.executable()?);
    install(&build.program, &program)?;
    println!("{} is built.", program.display());

    if settle(project.root())? {
        println!(
            "{SETTINGS} is new: fill in DOMAIN, CLIENT_ID, CLIENT_SECRET, WorkspaceID and WorkspaceKey."
        );
    } else {
        println!("{SETTINGS} is left as it is.");
    }
    println!(
        "
Start the storage emulator, which needs Node, in a terminal of its own:

    npx --yes azurite@3.35.0 --disableTelemetry --location .azurite

See whether everything answers, and start the function with Azure Functions Core Tools 4:

    ./auth0-poller check
    func start"
    );
    Ok(())
}

/// Puts the program where it is started from, even while it runs there.
///
/// `host.json` names it without `.exe`, and so does this: with a path before it, Windows starts a
/// program under any name.
fn install(built: &Path, program: &Path) -> Result<()> {
    let new = program.with_extension("new");
    fs::copy(built, &new).with_context(|| format!("writing {}", new.display()))?;
    fs::rename(&new, program).with_context(|| format!("replacing {}", program.display()))
}

/// Makes the settings of the sample where there are none; answers whether it did.
fn settle(root: &Path) -> Result<bool> {
    let sample = fs::read(root.join(SAMPLE)).with_context(|| format!("reading {SAMPLE}"))?;
    match File::create_new(root.join(SETTINGS)) {
        Ok(mut settings) => {
            settings.write_all(&sample)?;
            Ok(true)
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error).with_context(|| format!("writing {SETTINGS}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_made_of_the_sample_but_never_over_others() {
        let root = tempfile::tempdir().unwrap();
        let settings = || fs::read_to_string(root.path().join(SETTINGS)).unwrap();
        fs::write(root.path().join(SAMPLE), "sample").unwrap();
        assert!(settle(root.path()).unwrap());
        assert_eq!(settings(), "sample");

        fs::write(root.path().join(SETTINGS), "mine").unwrap();
        assert!(!settle(root.path()).unwrap());
        assert_eq!(settings(), "mine");
    }
}
