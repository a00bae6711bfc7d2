//! The deployed folder, laid out as in the package.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::files::{executable, functions, read_json};

/// The deployed folder: `host.json`, the program, and a folder for each function.
#[derive(Debug)]
pub struct AppRoot {
    folder: TempDir,
}

impl AppRoot {
    /// Lays out `program` with `host.json` and the functions of the project in `source`.
    pub fn assemble(source: &Path, program: &Path) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let copy = |name: &Path| {
            let to = folder.path().join(name);
            fs::create_dir_all(to.parent().expect("a folder")).expect("a folder");
            fs::copy(source.join(name), to)
                .unwrap_or_else(|error| panic!("{} is missing: {error}", name.display()));
        };
        copy(Path::new("host.json"));
        for function in functions(source) {
            copy(&Path::new(&function).join("function.json"));
        }
        let host_json = read_json(&source.join("host.json"));
        let executable = executable(&host_json);
        std::os::unix::fs::symlink(program, folder.path().join(executable)).expect("a link");
        Self { folder }
    }

    /// The path of the folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Where Cargo puts a binary of this workspace: beside the running test or program.
pub fn built(name: &str) -> PathBuf {
    let current = std::env::current_exe().expect("a program");
    let mut folder = current.parent().expect("a folder");
    if folder.file_name() == Some(OsStr::new("deps")) {
        folder = folder.parent().expect("a folder");
    }
    folder.join(name)
}
