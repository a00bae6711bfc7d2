//! Tests of the deployment package that `cargo xtask package` makes. Run that first:
//!
//!     cargo xtask package && cargo test --test blackbox package -- --ignored
//!
//! All tests here take the program from the zip.
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use elf::ElfBytes;
use elf::endian::LittleEndian;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use simulator::{Azurite, FunctionsHost, tenant};
use tempfile::TempDir;
use tokio::process::Command;
use zip::ZipArchive;

use crate::template::app_settings;
use crate::template::resource_manager::Azure;
use crate::world::{FUNCTION, Sink, World, minutes_ago};

/// Maximum bytes of the zip, which is fetched whenever a Function App starts on another machine.
const LARGEST: usize = 6_000_000;

/// A file of the package's folder.
fn package(name: &str) -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let path = target.join("package").join(name);
    let is_there = path.is_file();
    assert!(
        is_there,
        "there is no {}; run `cargo xtask package`",
        path.display()
    );
    path
}

fn archive() -> ZipArchive<File> {
    ZipArchive::new(File::open(package("auth0-poller.zip")).unwrap()).unwrap()
}

/// The package as it is unpacked on a Function App.
fn unpacked() -> TempDir {
    let extracted = tempfile::tempdir().unwrap();
    archive().extract(extracted.path()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    copy(&extracted.path().join("."), folder.path());
    folder
}

/// Copies in another process. If this one wrote the program, a child forked by another test
/// meanwhile would hold the file open for writing, and it could not be started ("Text file busy").
fn copy(from: &Path, to: &Path) {
    let mut cp = std::process::Command::new("cp");
    cp.arg("--archive").args([from, to]);
    assert!(cp.status().unwrap().success(), "{cp:?}");
}

fn program() -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut archive = archive();
    let mut program = archive.by_name("auth0-poller").unwrap();
    program.read_to_end(&mut bytes).unwrap();
    bytes
}

fn sha256(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in Sha256::digest(bytes) {
        write!(text, "{byte:02x}").unwrap();
    }
    text
}

#[test]
#[ignore = "needs the package: cargo xtask package && cargo test --test blackbox package -- --ignored"]
fn the_archive_holds_what_is_deployed_and_nothing_else() {
    let mut archive = archive();
    let files: Vec<_> = (0..archive.len())
        .map(|index| {
            let file = archive.by_index(index).unwrap();
            (file.name().unwrap().to_string(), file.unix_mode().unwrap())
        })
        .collect();
    let expected = [
        ("Auth0Health/function.json", 0o100_644),
        ("Auth0Poller/function.json", 0o100_644),
        ("LICENSE", 0o100_644),
        ("THIRD-PARTY-NOTICES.txt", 0o100_644),
        ("auth0-poller", 0o100_755),
        ("host.json", 0o100_644),
    ];
    assert_eq!(files, expected.map(|(name, mode)| (name.to_owned(), mode)));

    let folder = unpacked();
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    for name in [
        "host.json",
        "Auth0Health/function.json",
        "Auth0Poller/function.json",
        "LICENSE",
    ] {
        let packed = fs::read_to_string(folder.path().join(name)).unwrap();
        assert_eq!(packed, fs::read_to_string(project.join(name)).unwrap());
    }
    let program = folder.path().join("auth0-poller").metadata().unwrap();
    assert_eq!(program.permissions().mode() & 0o777, 0o755);
}

#[test]
#[ignore = "needs the package: cargo xtask package && cargo test --test blackbox package -- --ignored"]
fn it_is_small_and_its_checksum_is_beside_it() {
    let zip = fs::read(package("auth0-poller.zip")).unwrap();
    assert!(zip.len() < LARGEST, "{} bytes", zip.len());
    let checksum = fs::read_to_string(package("auth0-poller.zip.sha256")).unwrap();
    assert_eq!(checksum, format!("{}  auth0-poller.zip\n", sha256(&zip)));
}

#[test]
#[ignore = "needs the package: cargo xtask package && cargo test --test blackbox package -- --ignored"]
fn it_gives_memory_back_soon() {
    let folder = unpacked();
    let program = folder.path().join("auth0-poller");
    let mut command = std::process::Command::new(program);
    // mimalloc prints its options.
    let told = command
        .arg("--version")
        .env("MIMALLOC_VERBOSE", "1")
        .output();
    let told = String::from_utf8(told.unwrap().stderr).unwrap();
    assert!(told.contains("option 'purge_delay': 50 "), "{told}");
}

#[test]
#[ignore = "needs the package: cargo xtask package && cargo test --test blackbox package -- --ignored"]
fn the_bill_of_materials_lists_the_crates_in_the_program_and_no_others() {
    let bill = fs::read(package("auth0-poller.cdx.json")).unwrap();
    let bill: Value = serde_json::from_slice(&bill).unwrap();
    assert_eq!(bill["bomFormat"], "CycloneDX");
    let hash = &bill["metadata"]["component"]["hashes"][0]["content"];
    assert_eq!(*hash, sha256(&program()));

    let components = bill["components"].as_array().unwrap();
    let name = |component: &Value| component["name"].as_str().unwrap().to_owned();
    let names: BTreeSet<_> = components.iter().map(name).collect();
    for part in ["object_store", "ring", "rust-std", "rustls", "tokio"] {
        assert!(names.contains(part), "{part} is in the program");
    }
    // Crates of tests, of build scripts, of macros, of the project's own tools, of other platforms.
    for other in [
        "proptest",
        "cc",
        "serde_derive",
        "simulator",
        "xtask",
        "windows-sys",
    ] {
        assert!(!names.contains(other), "{other} is not in the program");
    }
    for component in components {
        let text = |value: &Value| value.as_str().is_some_and(|it| !it.is_empty());
        assert!(text(&component["version"]), "{component}");
        let license = &component["licenses"][0]["expression"];
        assert!(text(license), "{component}");
        // Before there were SPDX expressions, crates wrote `/` for "or".
        assert!(!license.to_string().contains('/'), "{component}");
        let hash = &component["hashes"][0]["content"];
        let is_crate = component["name"] != "rust-std";
        assert_eq!(
            hash.as_str().is_some_and(|it| it.len() == 64),
            is_crate,
            "{component}"
        );
    }

    // The notices name each of them and have a text of each but Rust, which comes with a compiler.
    let notices = fs::read_to_string(unpacked().path().join("THIRD-PARTY-NOTICES.txt")).unwrap();
    for component in components {
        let text = |name: &str| component[name].as_str().unwrap().to_owned();
        let part = format!("\n{} {}: ", text("name"), text("version"));
        let count = if component["name"] == "rust-std" {
            1
        } else {
            2
        };
        assert!(notices.matches(&part).count() >= count, "{part}");
    }

    let references = |value: &Value| -> BTreeSet<String> {
        let values = value.as_array().into_iter().flatten();
        values.map(|it| it.as_str().unwrap().to_owned()).collect()
    };
    let all: BTreeSet<_> = components
        .iter()
        .chain([&bill["metadata"]["component"]])
        .map(|it| it["bom-ref"].as_str().unwrap().to_owned())
        .collect();
    let mut reached = BTreeSet::new();
    for dependency in bill["dependencies"].as_array().unwrap() {
        reached.extend(references(&dependency["dependsOn"]));
    }
    reached.insert(format!(
        "pkg:cargo/auth0-poller@{}",
        env!("CARGO_PKG_VERSION")
    ));
    assert_eq!(reached, all, "each is there because another needs it");
}

#[test]
#[ignore = "needs the package: cargo xtask package && cargo test --test blackbox package -- --ignored"]
fn the_program_is_static_and_knows_nothing_of_the_machine_that_built_it() {
    let program = program();
    let elf = ElfBytes::<LittleEndian>::minimal_parse(&program).unwrap();
    assert_eq!(elf.ehdr.e_machine, elf::abi::EM_X86_64);
    let segments = elf.segments().unwrap();
    assert!(
        segments.iter().all(|it| it.p_type != elf::abi::PT_INTERP),
        "a static program asks for no loader"
    );
    let libraries = elf.dynamic().unwrap().into_iter().flatten();
    let libraries = libraries.filter(|it| it.d_tag == elf::abi::DT_NEEDED);
    assert_eq!(libraries.count(), 0);

    let cargo_home = home::cargo_home().unwrap();
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    for path in [project, target, &*cargo_home] {
        let path = path.to_str().unwrap();
        let is_there = memchr::memmem::find(&program, path.as_bytes()).is_some();
        assert!(!is_there, "{path} is in the program");
    }
}

/// The world of a Function App, whose storage is reached over TLS with its identity.
struct Cloud {
    world: World,
    azurite: Azurite,
}

impl Cloud {
    async fn start() -> Self {
        let options = tenant::Options {
            // Counts are easier to read without the event of the token itself.
            token_events: false,
            // As the program derives it from DOMAIN.
            audience: "https://127.0.0.1/api/v2/",
            ..tenant::Options::default()
        };
        Self {
            world: World::with(options).await,
            azurite: Azurite::start_with_identities().await,
        }
    }

    /// The app settings from the template, with their references to Key Vault resolved, and the
    /// settings that the platform adds.
    fn app_settings(&self, sinks: &[Sink]) -> Vec<(String, String)> {
        let World {
            tenant,
            workspace,
            rule,
            identity,
            ..
        } = &self.world;
        let given = [tenant.settings(), workspace.settings(), rule.settings()].concat();
        let given = |name: &str| &*given.iter().find(|(it, _)| it == name).unwrap().1;
        let of = |sink, name| {
            let is_used = sinks.contains(&sink);
            json!(if is_used { given(name) } else { "" })
        };
        let names: Vec<_> = sinks.iter().map(|it| it.name()).collect();
        let azure = Azure {
            blob: self.azurite.endpoint(),
            rule: (
                given("DCR_ENDPOINT").into(),
                given("DCR_IMMUTABLE_ID").into(),
            ),
            ..Azure::default()
        };
        let answers = [
            ("Domain", json!(given("DOMAIN"))),
            ("ClientId", json!(given("CLIENT_ID"))),
            ("ClientSecret", json!(given("CLIENT_SECRET"))),
            ("Destinations", json!(names.join(","))),
            (
                "AzureSentinelWorkspaceId",
                of(Sink::LogAnalytics, "WorkspaceID"),
            ),
            (
                "AzureSentinelSharedKey",
                of(Sink::LogAnalytics, "WorkspaceKey"),
            ),
            ("StartFrom", json!("1h")),
        ];
        let mut settings = app_settings(&azure, &answers);
        if sinks.contains(&Sink::LogAnalytics) {
            // The simulated workspace is on this machine.
            let address = given("logAnalyticsUri").to_owned();
            settings.insert("logAnalyticsUri".into(), address);
        }
        let mut settings: Vec<_> = settings.into_iter().collect();
        settings.extend(identity.environment());
        settings
    }
}

/// Tries each choice that the template offers.
#[tokio::test]
#[ignore = "needs the package: cargo xtask package && cargo test --test blackbox package -- --ignored"]
async fn under_the_functions_host_it_delivers_every_record_once() {
    let root = unpacked();
    for sinks in [
        &[Sink::LogsIngestion][..],
        &[Sink::LogAnalytics],
        &[Sink::LogAnalytics, Sink::LogsIngestion],
    ] {
        let cloud = Cloud::start().await;
        let tenant = &cloud.world.tenant;
        let mut settings = cloud.app_settings(sinks);
        // No machine trusts this certificate by itself.
        settings.push(("SSL_CERT_FILE".into(), cloud.azurite.certificate()));
        let host = FunctionsHost::start(root.path(), &settings).await;

        tenant.generate(2_500, minutes_ago(50), minutes_ago(5));
        host.fire(FUNCTION).await.reports();
        host.kill().await;
        tenant.generate(30, minutes_ago(4), minutes_ago(2));
        host.fire(FUNCTION).await.reports();
        for sink in [Sink::LogAnalytics, Sink::LogsIngestion] {
            if sinks.contains(&sink) {
                cloud.world.assert_all_landed_once_at(sink);
            } else {
                assert_eq!(cloud.world.arrivals_at(sink).stored(), 0);
            }
        }
    }
    let mut left: Vec<_> = fs::read_dir(root.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    left.sort();
    let expected = [
        "Auth0Health",
        "Auth0Poller",
        "LICENSE",
        "THIRD-PARTY-NOTICES.txt",
        "auth0-poller",
        "host.json",
    ];
    assert_eq!(left, expected, "it writes nothing there");
}

#[tokio::test]
#[ignore = "needs the package: cargo xtask package && cargo test --test blackbox package -- --ignored"]
async fn certificates_are_all_that_it_needs_of_a_machine() {
    let cloud = Cloud::start().await;
    let unpacked = unpacked();
    let root = tempfile::tempdir().unwrap();
    copy(&unpacked.path().join("auth0-poller"), root.path());
    let certificates = root.path().join("etc/ssl/certs/ca-certificates.crt");
    fs::create_dir_all(certificates.parent().unwrap()).unwrap();
    fs::copy(cloud.azurite.certificate(), &certificates).unwrap();
    let settings = cloud.app_settings(&[Sink::LogsIngestion]);

    let version = on_root(root.path(), &["--version"], &[]).await;
    let expected = format!("auth0-poller {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(String::from_utf8(version.stdout).unwrap(), expected);

    let tenant = &cloud.world.tenant;
    tenant.generate(40, minutes_ago(50), minutes_ago(5));
    let check = on_root(root.path(), &["check"], &settings).await;
    assert!(check.status.success(), "{check:?}");
    let poll = on_root(root.path(), &["poll"], &settings).await;
    assert!(poll.status.success(), "{poll:?}");
    cloud.world.assert_all_landed_once_at(Sink::LogsIngestion);

    fs::remove_file(&certificates).unwrap();
    let check = on_root(root.path(), &["check"], &settings).await;
    let trusts_nobody = String::from_utf8(check.stderr).unwrap();
    assert!(
        trusts_nobody.contains("No CA certificates"),
        "{trusts_nobody}"
    );
}

/// The benchmark measures how soon it listens, since that depends on how busy the machine is.
#[tokio::test]
#[ignore = "needs the package: cargo xtask package && cargo test --test blackbox package -- --ignored"]
async fn it_takes_little_memory_while_it_waits() {
    let root = unpacked();
    let world = World::start().await;
    let host = FunctionsHost::start(root.path(), &world.settings).await;
    let bytes = resident(host.process_id());
    assert!(bytes < 10_000_000, "{bytes} bytes");
    host.kill().await;
}

/// The resident memory of a process, in bytes.
fn resident(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kilobytes = line.unwrap().split_whitespace().nth(1).unwrap();
    kilobytes.parse::<u64>().unwrap() * 1_024
}

/// Runs the program with `root` as the root of the file system.
async fn on_root(root: &Path, arguments: &[&str], settings: &[(String, String)]) -> Output {
    let mut unshare = Command::new("unshare");
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        // Only root may change the root directory. In its own user namespace every user is root.
        unshare.arg("--map-root-user");
    }
    let unshare = unshare
        .arg("--root")
        .arg(root)
        .arg("/auth0-poller")
        .args(arguments)
        .env_clear()
        .envs(settings.iter().cloned())
        .stdin(Stdio::null())
        .output();
    unshare.await.expect("unshare, of util-linux")
}
