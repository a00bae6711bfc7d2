//! The deployment package: a zip that a Function App on Linux runs unchanged.
//!
//! The program in it is static. It needs only certificates from the machine, and no particular C
//! library. The same sources and compiler make the same bytes in any folder, so anyone can make the
//! package again and compare.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use cargo_lock::Checksum;
use sha2::{Digest as _, Sha256};

use crate::archive::{self, Entry};
use crate::project::{NAME, Project};
use crate::{notices, sbom};

const TARGET: &str = "x86_64-unknown-linux-musl";
/// The file with the third-party notices.
const NOTICES: &str = "THIRD-PARTY-NOTICES.txt";

/// Makes the package, its checksum and its bill of materials.
pub fn make() -> Result<()> {
    let project = Project::read(Some(TARGET))?;
    require_tools(project.root())?;
    let build = project.build(Some(TARGET), &remapped(project.root())?)?;
    let program = fs::read(&build.program)?;

    let bill = sbom::of(&project, &build.packages, &sha256(&program))?;
    let notices = notices::of(&project, &build.packages)?;
    let zip = archive::pack(&entries(&project, program, notices)?)?;
    let name = format!("{NAME}.zip");
    let checksum = format!("{}  {name}\n", sha256(&zip));

    let folder = project.metadata.target_directory.join("package");
    fs::create_dir_all(&folder)?;
    for (name, content) in [
        (name.clone(), zip),
        (format!("{name}.sha256"), checksum.into_bytes()),
        (format!("{NAME}.cdx.json"), bill.into_bytes()),
    ] {
        let path = folder.join(name);
        fs::write(&path, &content).with_context(|| format!("writing {path}"))?;
        println!("{:>9} bytes  {path}", content.len());
    }
    Ok(())
}

/// The files of the package, in order.
fn entries(project: &Project, program: Vec<u8>, notices: String) -> Result<Vec<Entry>> {
    let mut entries = vec![
        Entry {
            name: project.executable()?,
            mode: 0o755,
            content: program,
        },
        Entry {
            name: NOTICES.to_owned(),
            mode: 0o644,
            content: notices.into_bytes(),
        },
    ];
    let functions = project.functions()?;
    let functions = functions
        .into_iter()
        .map(|it| format!("{it}/function.json"));
    for name in functions.chain(["LICENSE", "host.json"].map(str::to_owned)) {
        let content = fs::read(project.root().join(&name));
        entries.push(Entry {
            mode: 0o644,
            content: content.with_context(|| format!("reading {name}"))?,
            name,
        });
    }
    entries.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(entries)
}

/// Fails if a tool for the build is missing, and says what to install.
fn require_tools(root: &Path) -> Result<()> {
    let mut compiler = Command::new("musl-gcc");
    compiler.arg("--version").stdout(Stdio::null());
    ensure!(
        compiler.status().is_ok_and(|it| it.success()),
        "musl-gcc is missing, which compiles C code for {TARGET}: on Debian or Ubuntu \
         `sudo apt-get install musl-tools` installs it"
    );
    let libraries = rustc(root, &["--print=target-libdir", "--target", TARGET])?;
    ensure!(
        Path::new(&libraries).is_dir(),
        "the Rust standard library for {TARGET} is missing: `rustup target add {TARGET}` installs it"
    );
    Ok(())
}

/// Compiler flags that keep the paths of this machine out of the program.
fn remapped(root: &Path) -> Result<[String; 3]> {
    let cargo_home = home::cargo_home_with_cwd(root).context("Cargo's folder")?;
    // If the component `rust-src` is installed, the compiler names the standard library's sources
    // by their path. If not, it names them as below.
    let sysroot = rustc(root, &["--print=sysroot"])?;
    let library = Path::new(&sysroot).join("lib/rustlib/src/rust");
    let version = rustc(root, &["--verbose", "--version"])?;
    let mut lines = version.lines();
    let commit = lines.find_map(|line| line.strip_prefix("commit-hash: "));
    let rust = format!("/rustc/{}", commit.context("rustc tells no commit")?);
    Ok([
        (root, "/auth0-poller"),
        (&*cargo_home, "/cargo"),
        (&*library, &*rust),
    ]
    .map(|(from, to)| format!("--remap-path-prefix={}={to}", from.display())))
}

/// The output of the compiler.
pub fn rustc(root: &Path, arguments: &[&str]) -> Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let mut command = Command::new(rustc);
    let output = command.args(arguments).current_dir(root).output();
    let output = output.context("starting rustc")?;
    if !output.status.success() {
        bail!("rustc: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

fn sha256(content: &[u8]) -> String {
    Checksum::Sha256(Sha256::digest(content).into()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn core_tools_upload_what_the_package_holds() {
        let project = Project::read(None).unwrap();
        let ignored = fs::read_to_string(project.root().join(".funcignore")).unwrap();
        let mut patterns = ignored.lines().filter(|line| !line.starts_with('#'));
        assert_eq!(
            patterns.next(),
            Some("*"),
            "nothing that is not named below"
        );
        let files = patterns.filter_map(|line| line.strip_prefix("!/"));
        // A folder's pattern only allows its files to be listed.
        let files: Vec<_> = files.filter(|name| !name.ends_with('/')).collect();
        let entries = entries(&project, Vec::new(), String::new()).unwrap();
        let names = entries.iter().map(|entry| &*entry.name);
        // The notices exist only in the package.
        let names: Vec<_> = names.filter(|it| *it != NOTICES).collect();
        assert_eq!(files, names);
    }
}
