//! The bill of materials, as `CycloneDX` 1.6: every crate whose code is in the program.
//!
//! The build itself tells which crates those are. Tools like `cargo cyclonedx` use what Cargo
//! resolves, which includes macros. They name the project by its path, and add a random number and
//! the time. The library `cyclonedx-bom` needs thirty crates, including an XML parser, to write the
//! few fields below. The output was validated against the published schema.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use cargo_lock::{Checksum, Lockfile};
use cargo_metadata::{DependencyKind, Node, Package, PackageId};
use serde_json::{Value, json};

use crate::package::rustc;
use crate::project::{NAME, Project};

/// The licences of Rust's standard library and of musl.
pub const RUST_LICENSE: &str = "(MIT OR Apache-2.0) AND MIT";

/// The bill of materials of the program with this SHA-256. Nothing in it depends on the time or on
/// the machine.
pub fn of(project: &Project, packages: &BTreeSet<PackageId>, sha256: &str) -> Result<String> {
    let metadata = &project.metadata;
    let program = project.package()?;
    let lock = Lockfile::load(project.root().join("Cargo.lock"))?;
    let checksums: BTreeMap<_, _> = lock
        .packages
        .iter()
        .filter_map(|it| {
            Some((
                (it.name.as_str(), it.version.to_string()),
                it.checksum.as_ref()?,
            ))
        })
        .collect();

    let crates: BTreeMap<String, &Package> = metadata
        .packages
        .iter()
        .filter(|package| packages.contains(&package.id))
        .map(|package| (purl(package), package))
        .collect();
    let std = standard_library(project)?;
    let mut components = vec![std.clone()];
    for package in crates.values().filter(|it| it.id != program.id) {
        let checksum = checksums.get(&(package.name.as_str(), package.version.to_string()));
        components.push(library(package, checksum.copied())?);
    }

    let nodes = &metadata.resolve.as_ref().context("no dependencies")?.nodes;
    let mut dependencies = vec![json!({"ref": std["bom-ref"]})];
    for (reference, package) in &crates {
        let node = nodes.iter().find(|node| node.id == package.id);
        let node = node.with_context(|| format!("{reference} is not resolved"))?;
        let mut on = depends_on(node, &crates);
        if package.id == program.id {
            on.extend(std["bom-ref"].as_str().map(str::to_owned));
        }
        dependencies.push(json!({"ref": reference, "dependsOn": on}));
    }

    let bill = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "lifecycles": [{"phase": "build"}],
            "component": {
                "type": "application",
                "bom-ref": purl(program),
                "name": NAME,
                "version": program.version,
                "description": program.description,
                "hashes": [{"alg": "SHA-256", "content": sha256}],
            },
        },
        "components": components,
        "dependencies": dependencies,
    });
    Ok(format!("{bill:#}\n"))
}

/// Those of `crates` that the crate of `node` needs at run time.
fn depends_on(node: &Node, crates: &BTreeMap<String, &Package>) -> BTreeSet<String> {
    let normal = node.deps.iter().filter(|dependency| {
        let mut kinds = dependency.dep_kinds.iter();
        kinds.any(|it| it.kind == DependencyKind::Normal)
    });
    let normal: BTreeSet<_> = normal.map(|dependency| &dependency.pkg).collect();
    let there = crates.iter().filter(|(_, it)| normal.contains(&it.id));
    there.map(|(reference, _)| reference.clone()).collect()
}

/// The licence of a crate, as an SPDX expression.
pub fn license(package: &Package) -> Result<String> {
    let license = package.license.as_deref();
    let license = license.with_context(|| format!("{} names no licence", package.name))?;
    // Before SPDX expressions, crates separated choices with a slash.
    let choices: Vec<_> = license.split('/').map(str::trim).collect();
    Ok(choices.join(" OR "))
}

fn library(package: &Package, checksum: Option<&Checksum>) -> Result<Value> {
    let checksum = checksum.with_context(|| format!("{} has no checksum", package.name))?;
    Ok(json!({
        "type": "library",
        "bom-ref": purl(package),
        "name": package.name,
        "version": package.version,
        "purl": purl(package),
        "licenses": [{"expression": license(package)?}],
        "hashes": [{"alg": "SHA-256", "content": checksum.to_string()}],
    }))
}

/// The version of the compiler, which is also that of the standard library.
pub fn rust_version(project: &Project) -> Result<String> {
    let version = rustc(project.root(), &["--version"])?;
    let version = version.split(' ').nth(1);
    Ok(version.context("rustc tells no version")?.to_owned())
}

/// The component for what comes with the compiler.
fn standard_library(project: &Project) -> Result<Value> {
    let version = rust_version(project)?;
    Ok(json!({
        "type": "library",
        "bom-ref": format!("pkg:generic/rust-std@{version}"),
        "name": "rust-std",
        "version": version,
        "description": "Rust's standard library, with the C library musl",
        "purl": format!("pkg:generic/rust-std@{version}"),
        "licenses": [{"expression": RUST_LICENSE}],
    }))
}

fn purl(package: &Package) -> String {
    format!("pkg:cargo/{}@{}", package.name, package.version)
}
