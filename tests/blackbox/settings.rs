//! Settings that are bad, missing, misspelt or in a file: what still works, and what is reported.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::time::Duration;

use serde_json::json;
use simulator::host::Level;
use tokio::process::Command;
use tokio::time::timeout;

use crate::world::{FUNCTION, Sink, World, binary, minutes_ago, now, numbers};

/// Commands that a person calls.
const COMMANDS: [&[&str]; 7] = [
    &["poll"],
    &["check"],
    &["checkpoint", "show"],
    &["checkpoint", "set", "--from", "1h"],
    &["dead-letter", "list"],
    &["dead-letter", "show", "9"],
    &["dead-letter", "retry"],
];
/// What the platform passes on if it cannot get the secret.
const REFERENCE: &str = "@Microsoft.KeyVault(SecretUri=https://acme.vault.azure.net/secrets/key/)";

async fn world_of_all() -> World {
    let mut world = World::start().await;
    world.deliver_to(Sink::ALL);
    world
}

#[tokio::test]
async fn of_two_destinations_the_one_that_is_badly_set_fails_alone_and_is_named() {
    for (bad, good, setting, value, problem) in [
        (
            Sink::LogAnalytics,
            Sink::LogsIngestion,
            "WorkspaceKey",
            "",
            "WorkspaceKey is missing",
        ),
        (
            Sink::LogAnalytics,
            Sink::LogsIngestion,
            "WorkspaceID",
            "acme",
            "WorkspaceID is not a GUID",
        ),
        (
            Sink::LogAnalytics,
            Sink::LogsIngestion,
            "WorkspaceKey",
            REFERENCE,
            "WorkspaceKey is a Key Vault reference that was not resolved",
        ),
        (
            Sink::LogsIngestion,
            Sink::LogAnalytics,
            "DCR_IMMUTABLE_ID",
            "",
            "DCR_IMMUTABLE_ID is missing",
        ),
        (
            Sink::LogsIngestion,
            Sink::LogAnalytics,
            "DCR_ENDPOINT",
            REFERENCE,
            "DCR_ENDPOINT is a Key Vault reference that was not resolved",
        ),
    ] {
        let mut world = World::start().await;
        world.deliver_to(&[Sink::LogAnalytics, Sink::LogsIngestion]);
        world.set(setting, value);
        world.tenant.generate(10, minutes_ago(50), minutes_ago(5));

        let check = world.command(&["check"]).await;
        assert_eq!(check.code(), 2, "{check:?}");
        for line in [
            format!("ok         {}: ", good.name()),
            format!(
                "FAILED     {}: a setting needs attention: {problem}",
                bad.name()
            ),
        ] {
            assert!(check.stdout.contains(&line), "{line} is not in {check:?}");
        }

        let poll = world.command(&["poll"]).await;
        assert_eq!(poll.code(), 1, "{poll:?}");
        for report in poll.reports() {
            let is_bad = report["destination"] == bad.name();
            let errors = report["errors"].as_array().unwrap();
            assert_eq!(errors.len(), usize::from(is_bad), "{report}");
            assert_eq!(
                numbers(&report, ["delivered"]),
                [if is_bad { 0 } else { 10 }]
            );
        }
        let why = format!(
            "{}: the run failed: a setting needs attention: {problem}",
            bad.name()
        );
        assert!(poll.stderr.contains(&why), "{poll:?}");

        world.tenant.generate(10, minutes_ago(4), minutes_ago(3));
        let host = world.host().await;
        host.fire(FUNCTION).await.failure();
        for line in [
            format!("{} will fail at every invocation: ", bad.name()),
            format!(": {}: a setting needs attention: {problem}", bad.name()),
        ] {
            host.wait_for_line(Level::Error, &line).await;
        }
        world.assert_all_landed_once_at(good);
        assert_eq!(world.arrivals_at(bad).requests(), 0);
    }
}

#[tokio::test]
async fn what_is_kept_can_be_looked_at_and_set_without_a_secret_or_a_destination_s_setting() {
    for value in ["", REFERENCE] {
        let mut world = world_of_all().await;
        let ids = world.tenant.generate(10, minutes_ago(50), minutes_ago(5));
        world.rule.refuse(&ids[5]);
        assert_eq!(world.command(&["poll"]).await.code(), 0);
        let good = world.settings.clone();
        for (name, _) in &good {
            if !["DOMAIN", "DESTINATIONS", "CHECKPOINT_DIR"].contains(&&**name) {
                world.set(name, value);
            }
        }
        for (command, told) in [
            (&["checkpoint", "show"][..], "The next run begins after"),
            (&["checkpoint", "show", "--json"], "\"cursor\": "),
            (&["dead-letter", "list"], "logs-ingestion: "),
            (&["dead-letter", "show", &ids[5]], "\"reason\": "),
            (
                &["checkpoint", "set", "--from", "1h"],
                "the next run begins at",
            ),
        ] {
            let ran = world.command(command).await;
            assert_eq!(ran.code(), 0, "{command:?}: {ran:?}");
            assert!(ran.stdout.contains(told), "{command:?}: {ran:?}");
        }

        // To deliver a dead letter takes the settings of its destination, and none of Auth0's.
        let retry = world.command(&["dead-letter", "retry"]).await;
        assert_eq!(retry.code(), 1, "{retry:?}");
        let told = format!("{}  not delivered (logs-ingestion): ", ids[5]);
        assert!(retry.stdout.starts_with(&told), "{retry:?}");
        for (name, value) in &good {
            if name.starts_with("DCR_") || name.starts_with("IDENTITY_") {
                world.set(name, value);
            }
        }
        world.rule.relent();
        let retry = world.command(&["dead-letter", "retry"]).await;
        let told = format!("{}  delivered (logs-ingestion)\n", ids[5]);
        assert_eq!((retry.code(), retry.stdout), (0, told));
    }
}

#[tokio::test]
async fn every_command_warns_of_a_misspelt_setting() {
    for (given, meant) in [
        ("DESTINATION", "DESTINATIONS"),
        ("ClientSecret", "CLIENT_SECRET"),
        ("ACME__CLIENTID", "ACME__CLIENT_ID"),
        // The right name is set as well, so that nothing is stored in the wrong place.
        ("CHECKPOINTDIR", "CHECKPOINT_DIR"),
    ] {
        let mut world = World::start().await;
        world.set(given, "hunter2");
        world.keep_secret(vec!["hunter2".into()]);
        let warning = format!("the setting {given} is not read; {meant} is");
        for command in COMMANDS {
            let ran = world.command(command).await;
            assert_ne!(ran.code(), 2, "{command:?}: {ran:?}");
            assert_eq!(
                ran.stderr.matches(&warning).count(),
                1,
                "{command:?}: {ran:?}"
            );
        }
        let host = world.host().await;
        host.fire(FUNCTION).await.report();
        host.wait_for_line(Level::Warning, &warning).await;
    }
}

#[tokio::test]
async fn a_filter_that_is_of_no_destination_is_warned_of_since_everything_is_sent() {
    let mut world = World::start().await;
    let warned = async |world: &World| {
        let ran = world.command(&["status"]).await;
        assert_eq!(ran.code(), 0, "{ran:?}");
        ran.stderr
    };
    world.set("FILTER_STDOUT", "security");
    assert_eq!(warned(&world).await, "");
    for given in [
        "FILTER",
        "filter",
        "FILTER_SENTINEL",
        "EVENT_GRID_FILTER",
        "FILTER_LOGANALYTICS",
    ] {
        world.set(given, "security");
        let told = format!("the setting {given} is not read; ");
        let stderr = warned(&world).await;
        assert_eq!(stderr.matches(&told).count(), 1, "{stderr}");
        assert!(stderr.contains("FILTER_LOG_ANALYTICS"), "{stderr}");
        world.set(given, "");
    }
    // Other programs have filters too.
    world.set("LOG_FILTER", "debug");
    world.set("FILTER_BRANCH_SQUELCH_WARNING", "1");
    assert_eq!(warned(&world).await, "");
}

#[tokio::test]
async fn no_command_keeps_anything_elsewhere_because_the_storage_is_misspelt() {
    for (given, meant) in [
        (
            "AzureWebJobsStorage__AccountName",
            "AzureWebJobsStorage__accountName",
        ),
        (
            "ACME__AzureWebJobsStorage__AccountName",
            "AzureWebJobsStorage__accountName",
        ),
        ("azurewebjobsstorage", "AzureWebJobsStorage"),
        ("CHECKPOINTDIR", "CHECKPOINT_DIR"),
    ] {
        let mut world = World::start().await;
        world.set("CHECKPOINT_DIR", "");
        world.set(given, "acme");
        let problem = format!("{meant} is not set, but {given} is, which is not read");
        for command in COMMANDS {
            let ran = world.command(command).await;
            assert_eq!((ran.code(), &*ran.stdout), (2, ""), "{command:?}: {ran:?}");
            assert!(ran.stderr.contains(&problem), "{command:?}: {ran:?}");
        }
        let host = world.host().await;
        host.fire(FUNCTION).await.failure();
        host.wait_for_line(Level::Error, &problem).await;
        assert_eq!(fs::read_dir(world.folder.path()).unwrap().count(), 0);
        assert_eq!(world.tenant.token_requests(), 0);
    }
}

#[tokio::test]
async fn under_the_host_each_run_fails_without_a_storage_and_names_the_settings() {
    let mut world = World::start().await;
    world.set("CHECKPOINT_DIR", "");
    let host = world.host().await;
    for _ in 0..2 {
        host.fire(FUNCTION).await.failure();
    }
    let line = host.wait_for_line(Level::Error, "invocation ").await.text;
    for name in [
        "AzureWebJobsStorage is missing",
        "AzureWebJobsStorage__blobServiceUri",
        "AzureWebJobsStorage__accountName",
        "CHECKPOINT_DIR",
    ] {
        assert!(line.contains(name), "{name} is not in {line}");
    }
    assert_eq!(world.tenant.token_requests(), 0);
    // At a terminal the default is a folder that lasts.
    host.stop().await;
    world.poll().await;
    assert!(world.folder.path().join(".auth0-poller").is_dir());
}

/// The settings of a world in a file that the Functions tools accept: with a comment, a trailing
/// comma and values that are not text.
fn local_settings(world: &World) -> String {
    let values = world.settings.iter();
    let values = values.map(|(name, value)| format!("    {}: {},\n", json!(name), json!(value)));
    format!(
        "{{\n  \"IsEncrypted\": false,\n  \"Values\": {{\n    // `func start` takes this line\n{}\
         \x20   \"AzureWebJobs.Auth0Poller.Disabled\": true,\n    \"OVERLAP\": null,\n    \
         \"FUNCTIONS_REQUEST_BODY_SIZE_LIMIT\": 104857600,\n  }}\n}}\n",
        values.collect::<String>()
    )
}

#[tokio::test]
async fn settings_come_from_local_settings_json_where_the_environment_lacks_them() {
    let mut world = World::start().await;
    world.set("WorkspaceID", "not-a-guid");
    let text = local_settings(&world);
    world.settings.clear();
    world.set_all(world.workspace.settings());
    world.set("WorkspaceKey", "");
    let marked = format!("\u{feff}{text}");
    let utf_16 = marked.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let file = world.folder.path().join("local.settings.json");
    for content in [text.into_bytes(), marked.clone().into_bytes(), utf_16] {
        fs::write(&file, content).unwrap();
        world.tenant.generate(10, minutes_ago(1), now());
        assert_eq!(numbers(&world.poll().await, ["delivered"]), [10]);
    }
    world.assert_all_landed_once();
}

#[tokio::test]
async fn a_local_settings_json_that_is_of_no_use_is_said_to_be_so_by_every_command() {
    let world = World::start().await;
    let file = world.folder.path().join("local.settings.json");
    for (content, fault) in [
        (
            &b"{\"Values\": {\"A\": \"caf\xe9\"}}"[..],
            "is neither UTF-8 text nor",
        ),
        (b"\xff\xfe{\0}", "is neither UTF-8 text nor"),
        (
            b"{\"Values\": {\n  \"A\": \"hunter2\"\n  \"B\": \"1\"}}",
            "is not JSON (line 2, column ",
        ),
        (
            b"[]",
            "is not of the form {\"Values\": {\"NAME\": \"value\"}}",
        ),
        (
            b"{\"Values\": {\"DOMAIN\": [\"hunter2\"]}}",
            "gives DOMAIN a list or an object, and a setting is text",
        ),
        (
            b"{\"values\": {\"PII\": \"hunter2\"}}",
            "has values in place of Values, which is read",
        ),
        (
            b"{\"IsEncrypted\": true, \"Values\": {\"A\": \"hunter2\"}}",
            "is encrypted; `func settings decrypt` makes it readable",
        ),
    ] {
        fs::write(&file, content).unwrap();
        for command in COMMANDS {
            let ran = world.command(command).await;
            assert_eq!((ran.code(), &*ran.stdout), (2, ""), "{command:?}: {ran:?}");
            let told = format!("local.settings.json {fault}");
            assert!(ran.stderr.starts_with(&told), "{command:?}: {ran:?}");
            assert!(!ran.stderr.contains("hunter2"), "{ran:?}");
        }
    }
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    let ran = world.command(&["poll"]).await;
    assert_eq!((ran.code(), &*ran.stdout), (2, ""), "{ran:?}");
    let told = "local.settings.json is in this folder and cannot be read (";
    assert!(ran.stderr.starts_with(told), "{ran:?}");
}

/// Reading a named pipe without a writer would block, and a device may have no end.
#[cfg(unix)]
#[tokio::test]
async fn what_is_no_file_in_the_place_of_local_settings_json_is_not_waited_for() {
    use rustix::fs::{CWD, Mode, mkfifoat};

    let world = World::start().await;
    let file = world.folder.path().join("local.settings.json");
    let is_refused = async |what: &str| {
        for command in COMMANDS {
            let ran = timeout(Duration::from_secs(20), world.command(command));
            let ran = ran.await.unwrap_or_else(|_| panic!("{what}: {command:?}"));
            assert_eq!((ran.code(), &*ran.stdout), (2, ""), "{command:?}: {ran:?}");
            let told =
                "local.settings.json is in this folder and cannot be read (it is not a file)";
            assert!(ran.stderr.starts_with(told), "{command:?}: {ran:?}");
        }
    };
    mkfifoat(CWD, &file, Mode::RUSR | Mode::WUSR).unwrap();
    is_refused("a pipe").await;
    fs::remove_file(&file).unwrap();
    std::os::unix::fs::symlink("/dev/null", &file).unwrap();
    is_refused("a device").await;
}

#[tokio::test]
async fn a_variable_that_is_not_utf_8_is_not_taken_for_an_unset_one() {
    let world = World::start().await;
    for setting in ["PII", "CLIENT_SECRET", "CHECKPOINT_DIR"] {
        let mut poll = Command::new(binary());
        poll.arg("poll")
            .current_dir(world.folder.path())
            .env_clear();
        poll.envs(world.settings.iter().cloned());
        poll.env(setting, OsStr::from_bytes(b"caf\xe9"));
        let ran = poll.output().await.unwrap();
        let told = String::from_utf8(ran.stderr).unwrap();
        assert_eq!(ran.status.code(), Some(2), "{setting}: {told}");
        assert!(
            told.contains(&format!("  {setting} is not UTF-8 text\n")),
            "{told}"
        );
    }
    assert_eq!(world.tenant.token_requests(), 0);
}

#[tokio::test]
async fn the_problems_of_all_layers_are_told_at_once_under_the_host_too() {
    let mut world = World::start().await;
    world.set("CLIENT_ID", "");
    world.set("OVERLAP", "long");
    world.set("CHECKPOINT_DIR", "");
    world.set("WorkspaceKey", REFERENCE);
    let host = world.host().await;
    host.fire(FUNCTION).await.failure();
    let line = host.wait_for_line(Level::Error, "invocation ").await.text;
    for problem in [
        "4 settings need attention",
        "CLIENT_ID is missing",
        "OVERLAP is not a duration",
        "AzureWebJobsStorage is missing",
        "WorkspaceKey is a Key Vault reference that was not resolved",
    ] {
        assert!(line.contains(problem), "{problem} is not in {line}");
    }
}

#[tokio::test]
async fn a_name_that_looks_like_another_is_told_as_it_is() {
    let mut world = World::start().await;
    let folder = world.setting("CHECKPOINT_DIR").to_owned();
    world.set("CHECKPOINT_DIR", "");
    for (given, told) in [
        ("\u{feff}CHECKPOINT_DIR", r#""\u{feff}CHECKPOINT_DIR""#),
        ("CHECKPOINT_DIR ", r#""CHECKPOINT_DIR ""#),
        ("CHECKPOINT_DIR\r", r#""CHECKPOINT_DIR\r""#),
        ("checkpoint_dir", "checkpoint_dir"),
    ] {
        world.set(given, &folder);
        let ran = world.command(&["status"]).await;
        let warning = format!("the setting {told} is not read; CHECKPOINT_DIR is ");
        assert!(ran.stderr.contains(&warning), "{ran:?}");
        let error = format!("CHECKPOINT_DIR is not set, but {told} is, which is not read");
        assert!(ran.stdout.contains(&error), "{ran:?}");
        world.set(given, "");
    }
}

#[tokio::test]
async fn a_folder_that_only_a_shell_would_find_is_refused_and_not_made() {
    let mut world = World::start().await;
    for folder in [
        "~",
        "~/state",
        "~root/state",
        "$HOME/state",
        "${HOME}/state",
        "%TEMP%/state",
        "./a/$USER/state",
        "./a/x-${USER}",
        "./a/$(hostname)/state",
        "./a/%TEMP%/state",
        "a%/%ProgramFiles(x86)%",
    ] {
        world.set("CHECKPOINT_DIR", folder);
        let ran = world.command(&["poll"]).await;
        assert_eq!(ran.code(), 2, "{folder}: {ran:?}");
        assert!(
            ran.stderr.contains("CHECKPOINT_DIR names a folder by"),
            "{ran:?}"
        );
    }
    assert!(!world.folder.path().join("a").exists());
    for folder in [
        "./~",
        "./b/~/c",
        "./b/5$/c",
        "./b/100%25 or 50%/c",
        "./b/5%/c/6%",
    ] {
        world.set("CHECKPOINT_DIR", folder);
        world.poll().await;
        assert!(world.folder.path().join(folder).exists(), "{folder}");
    }
}
