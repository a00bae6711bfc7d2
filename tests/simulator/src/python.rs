//! Python programs from `PyPI` for tests, installed by pip into a folder of the build.
//!
//! Without Python or pip a test that needs them fails with a message that says so. Nothing is
//! skipped.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;
use tokio::sync::Mutex;

/// Allows one installation at a time.
static TURN: Mutex<()> = Mutex::const_new(());

/// A folder below `folder` with these packages, for `PYTHONPATH`. They are pins such as
/// `moto==5.2.5`, or options of pip. A finished installation is reused.
pub async fn site(folder: &Path, packages: &[&str]) -> PathBuf {
    let turn = TURN.lock().await;
    let site = folder.join(format!("python-{}", packages.join("-")));
    if site.exists() {
        return site;
    }
    // It gets its name only when it is complete, since another process may want it too.
    std::fs::create_dir_all(folder).expect("a folder");
    let unfinished = tempfile::tempdir_in(folder).expect("a temporary folder");
    let mut pip = Command::new("python3");
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ])
    .args(["--no-warn-script-location", "--target"])
    .arg(unfinished.path())
    .args(packages)
    .stdin(Stdio::null());
    let output = pip.output().await.unwrap_or_else(|error| {
        panic!("this test needs Python 3.10 or later as python3, with pip: {error}")
    });
    assert!(
        output.status.success(),
        "this test needs {packages:?}, and `python3 -m pip` did not install them (install Python \
         3.10 or later with pip): {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let made = unfinished.keep();
    if let Err(error) = std::fs::rename(&made, &site) {
        assert!(site.exists(), "{error}");
        std::fs::remove_dir_all(made).expect("a folder of our own");
    }
    drop(turn);
    site
}

/// `python3` with these sites. Of the environment it gets only `PATH`.
pub fn python(sites: &[&Path]) -> Command {
    let mut python = Command::new("python3");
    let path = std::env::join_paths(sites).expect("paths without separators");
    python
        .env_clear()
        .envs(std::env::var_os("PATH").map(|it| ("PATH", it)))
        .env("PYTHONPATH", path)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    python
}
