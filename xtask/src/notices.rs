//! The third-party notices: whose code is in the program, under which licences, and the licence
//! texts.
//!
//! The texts are the files that the crates include. A file counts by its own name or by that of a
//! folder that it is in. Nothing depends on the time or on where the crates are stored.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use cargo_metadata::PackageId;

use crate::project::{NAME, Project};
use crate::sbom;

/// The prefixes of names of licence files, in lower case.
const NAMES: [&str; 6] = [
    "copying",
    "copyright",
    "licence",
    "license",
    "notice",
    "unlicense",
];

/// The line between the texts.
const LINE: &str =
    "--------------------------------------------------------------------------------";

/// A component of the program.
struct Part {
    /// The name and the version.
    name: String,
    /// The licence, an SPDX expression.
    license: String,
    /// Where to find the texts if the component includes none.
    home: String,
    /// The names of the licence files, and their texts.
    texts: Vec<(String, String)>,
}

/// The notices for a program that contains these packages.
pub fn of(project: &Project, packages: &BTreeSet<PackageId>) -> Result<String> {
    let program = &project.package()?.id;
    let all = project.metadata.packages.iter();
    let mut crates: Vec<_> = all
        .filter(|it| packages.contains(&it.id) && it.id != *program)
        .collect();
    crates.sort_by(|one, other| (&one.name, &one.version).cmp(&(&other.name, &other.version)));

    let mut parts = vec![Part {
        name: format!("rust-std {}", sbom::rust_version(project)?),
        license: sbom::RUST_LICENSE.to_owned(),
        home: "share/doc/rust/COPYRIGHT-library.html of that version of Rust, and musl's COPYRIGHT"
            .to_owned(),
        texts: Vec::new(),
    }];
    for package in crates {
        let folder = package.manifest_path.parent();
        let folder = folder.context("a package without a folder")?.as_std_path();
        parts.push(Part {
            name: format!("{} {}", package.name, package.version),
            license: sbom::license(package)?,
            home: package.repository.clone().unwrap_or_default(),
            texts: texts(folder).with_context(|| format!("the licences of {}", package.name))?,
        });
    }
    Ok(written(&parts)?)
}

/// The licence files in a folder and its subfolders, and their texts.
fn texts(folder: &Path) -> Result<Vec<(String, String)>> {
    let mut texts = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).with_context(|| format!("reading {}", next.display()))? {
            let entry = entry?;
            let path = entry.path();
            let kind = entry.file_type()?;
            if kind.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(folder)?;
            if kind.is_file() && is_license(name) {
                let text =
                    fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
                texts.push((
                    name.to_string_lossy().into_owned(),
                    lines(&String::from_utf8_lossy(&text)),
                ));
            }
        }
    }
    texts.sort();
    Ok(texts)
}

fn is_license(path: &Path) -> bool {
    let mut names = path.iter().map(|it| it.to_string_lossy().to_lowercase());
    let is_named = names.any(|name| NAMES.iter().any(|it| name.starts_with(it)));
    is_named && path.extension().is_none_or(|it| it != "rs")
}

/// The text without trailing white space and blank lines at either end.
fn lines(text: &str) -> String {
    let lines: Vec<_> = text.lines().map(str::trim_end).collect();
    lines.join("\n").trim_matches('\n').to_owned()
}

/// Lists all components, and each text once.
fn written(parts: &[Part]) -> Result<String, std::fmt::Error> {
    let mut text = format!("{NAME} holds code of others. Their licences follow the list.\n\n");
    let mut texts: Vec<(&str, Vec<String>)> = Vec::new();
    for part in parts {
        writeln!(text, "{}: {}", part.name, part.license)?;
        if part.texts.is_empty() {
            writeln!(text, "    (brings no text; see {})", part.home)?;
        }
        for (file, license) in &part.texts {
            let user = format!("{}: {file}", part.name);
            match texts.iter_mut().find(|(it, _)| it == license) {
                Some((_, users)) => users.push(user),
                None => texts.push((license, vec![user])),
            }
        }
    }
    for (license, users) in texts {
        writeln!(text, "\n{LINE}\n{}\n\n{license}", users.join("\n"))?;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use cargo_metadata::DependencyKind;

    use super::*;

    fn part(name: &str, license: &str, texts: &[(&str, &str)]) -> Part {
        let texts = texts.iter();
        Part {
            name: name.into(),
            license: license.into(),
            home: "https://example.com/home".into(),
            texts: texts
                .map(|(file, text)| ((*file).into(), (*text).into()))
                .collect(),
        }
    }

    #[test]
    fn every_part_is_listed_and_every_text_is_there_once() {
        let parts = [
            part(
                "a 1.0.0",
                "MIT OR Apache-2.0",
                &[("LICENSE-MIT", "Be kind.")],
            ),
            part("b 0.2.0", "ISC", &[]),
            part(
                "c 3.0.1",
                "MIT",
                &[("LICENSE", "Be kind."), ("NOTICE", "By C.\n\nIn 2020.")],
            ),
        ];
        let expected = "\
auth0-poller holds code of others. Their licences follow the list.

a 1.0.0: MIT OR Apache-2.0
b 0.2.0: ISC
    (brings no text; see https://example.com/home)
c 3.0.1: MIT

--------------------------------------------------------------------------------
a 1.0.0: LICENSE-MIT
c 3.0.1: LICENSE

Be kind.

--------------------------------------------------------------------------------
c 3.0.1: NOTICE

By C.

In 2020.
";
        assert_eq!(written(&parts).unwrap(), expected);
    }

    #[test]
    fn texts_are_found_by_their_names_at_any_depth_and_in_one_order() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("src/license.rs", "code"),
            ("README.md", "see LICENSE"),
            ("third_party/LICENSE", "third"),
            ("License-MIT.txt", "\r\nfirst  \r\nsecond\r\n\r\n"),
            ("LICENSES/ISC.txt", "isc"),
            ("COPYING", "copying\n"),
        ] {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let expected = [
            ("COPYING", "copying"),
            ("LICENSES/ISC.txt", "isc"),
            ("License-MIT.txt", "first\nsecond"),
            ("third_party/LICENSE", "third"),
        ];
        let expected = expected.map(|(name, text)| (name.to_owned(), text.to_owned()));
        assert_eq!(texts(folder.path()).unwrap(), expected);
    }

    /// Uses what Cargo resolves, since nothing is built here. This includes macros.
    #[test]
    fn each_crate_that_the_program_depends_on_brings_its_texts() {
        let project = Project::read(Some("x86_64-unknown-linux-musl")).unwrap();
        let nodes = &project.metadata.resolve.as_ref().unwrap().nodes;
        let mut packages = BTreeSet::new();
        let mut next = vec![project.package().unwrap().id.clone()];
        while let Some(id) = next.pop() {
            let node = nodes.iter().find(|it| it.id == id).unwrap();
            if packages.insert(id) {
                let normal = node.deps.iter().filter(|it| {
                    let mut kinds = it.dep_kinds.iter();
                    kinds.any(|it| it.kind == DependencyKind::Normal)
                });
                next.extend(normal.map(|it| it.pkg.clone()));
            }
        }
        let notices = of(&project, &packages).unwrap();
        assert_eq!(notices, of(&project, &packages).unwrap());
        // Rust's text comes with the compiler.
        assert_eq!(notices.matches("(brings no text").count(), 1, "{notices}");
        assert!(notices.contains("\nring 0."), "{notices}");
        assert!(notices.contains("third_party/fiat/LICENSE\n"), "{notices}");
        assert!(!notices.contains("\nauth0-poller "), "{notices}");
        let root = project.root().to_str().unwrap();
        assert!(!notices.contains(root) && !notices.contains(".cargo"));
    }
}
