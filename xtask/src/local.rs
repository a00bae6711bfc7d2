//! Prepares the project's own folder as the root of a Function App, for Azure Functions Core Tools.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::project::Project;

const SETTINGS: &str = "local.settings.json";
const SAMPLE: &str = "local.settings.sample.json";

/// The next steps with their commands. `docs/local.md` lists the same steps, with more detail.
const STEPS: [(&str, &[&str]); 3] = [
    ("Create an application in Auth0, as the README says.", &[]),
    (
        "Fill in DOMAIN, CLIENT_ID and CLIENT_SECRET in local.settings.json.",
        &[],
    ),
    (
        "Look at the records, masked. This sends nothing, and needs nothing in Azure:",
        &[
            "./auth0-poller check --destination stdout",
            "./auth0-poller poll --destination stdout",
        ],
    ),
];

/// Builds the program, puts it where `host.json` expects it, and makes settings if there are none.
pub fn prepare() -> Result<()> {
    let project = Project::read(None)?;
    let build = project.build(None, &[])?;
    let program = project.root().join(project.executable()?);
    install(&build.program, &program)?;
    println!("{} is built.", program.display());

    let told = if copy_sample(project.root())? {
        "is new"
    } else {
        "is left as it is"
    };
    println!("{SETTINGS} {told}.\n");

    for (number, (step, commands)) in (1..).zip(STEPS) {
        println!("{number}. {step}");
        for command in commands {
            println!("       {command}");
        }
    }
    println!("\ndocs/local.md goes on from there: into a workspace, and under the Functions host.");
    Ok(())
}

/// Puts the program where it is started from, even if it is running from there.
///
/// The file has no `.exe`, as in `host.json`. With a path before the name, Windows starts a program
/// under any name.
fn install(built: &Path, program: &Path) -> Result<()> {
    let new = program.with_extension("new");
    fs::copy(built, &new).with_context(|| format!("writing {}", new.display()))?;
    fs::rename(&new, program).with_context(|| format!("replacing {}", program.display()))
}

/// Copies the sample settings if there are no settings yet. Returns whether it did.
fn copy_sample(root: &Path) -> Result<bool> {
    let sample = fs::read(root.join(SAMPLE)).with_context(|| format!("reading {SAMPLE}"))?;
    let mut options = File::options();
    options.write(true).create_new(true);
    // The settings will hold secrets, so only their owner may read them.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(root.join(SETTINGS)) {
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
        assert!(copy_sample(root.path()).unwrap());
        assert_eq!(settings(), "sample");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let file = fs::metadata(root.path().join(SETTINGS)).unwrap();
            assert_eq!(file.permissions().mode() & 0o777, 0o600);
        }

        fs::write(root.path().join(SETTINGS), "mine").unwrap();
        assert!(!copy_sample(root.path()).unwrap());
        assert_eq!(settings(), "mine");
    }

    #[test]
    fn the_page_says_the_same_steps() {
        let project = Project::read(None).unwrap();
        let page = fs::read_to_string(project.root().join("docs/local.md")).unwrap();
        let link = "[README](../README.md#1-create-an-application-in-auth0)";
        let page = page.replace(link, "README").replace('`', "");
        let page = page.split_whitespace().collect::<Vec<_>>().join(" ");
        let mut rest = &*page;
        for (number, (step, commands)) in (1..).zip(STEPS) {
            let step = format!("{number}. {step}");
            for text in [&*step].iter().chain(commands) {
                let (_, after) = rest
                    .split_once(text)
                    .unwrap_or_else(|| panic!("docs/local.md does not say: {text}"));
                rest = after;
            }
        }
        let sample = fs::read_to_string(project.root().join(SAMPLE)).unwrap();
        assert!(sample.contains(r#""AzureWebJobsStorage": """#), "{sample}");
    }
}
