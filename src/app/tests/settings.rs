//! How an app is built, and how unusable settings are reported.

use super::*;
use crate::app::layers::setting_names;
use crate::azure::cloud;
use crate::destination::{KINDS, Kind};

#[test]
fn the_settings_of_the_reference_connector_are_enough() {
    assert_eq!(names(&app(&[]).unwrap()), ["log-analytics"]);
}

#[test]
fn the_sample_lacks_nothing_but_what_only_its_user_knows() {
    let sample = include_str!("../../../local.settings.sample.json");
    let filled_in: AppSettings = REFERENCE.into_iter().collect();
    let filled_in = layers(
        filled_in.or_local(sample.as_bytes()).unwrap(),
        Purpose::CommandLine { destination: None },
    );
    assert!(App::new(&filled_in, watch::channel(false).1).is_ok());

    let bare = layers(
        AppSettings::default().or_local(sample.as_bytes()).unwrap(),
        Purpose::CommandLine { destination: None },
    );
    let Err(AppError::Settings(problems)) = App::new(&bare, watch::channel(false).1) else {
        panic!("it is complete");
    };
    let missing: Vec<_> = problems.lines().collect();
    let names = missing.iter().map(|line| line.split(' ').next().unwrap());
    assert!(names.eq(REFERENCE.map(|(name, _)| name)), "{missing:?}");
}

#[test]
fn the_sample_names_every_documented_setting() {
    // A managed identity replaces the sample's connection string, and a proxy depends on the
    // machine.
    let elsewhere = [
        "AzureWebJobsStorage__accountName",
        "AzureWebJobsStorage__blobServiceUri",
        "HTTPS_PROXY",
        "NO_PROXY",
    ];
    let reference = include_str!("../../../docs/reference.md");
    let (_, section) = reference.split_once("\n## Settings\n").unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    let names = rows.flat_map(|row| row.split('|').nth(1).unwrap().split('`').skip(1).step_by(2));
    let mut expected: Vec<_> = names.filter(|name| !elsewhere.contains(name)).collect();
    // Required by the Functions tools and by the host.
    expected.push("FUNCTIONS_WORKER_RUNTIME");
    expected.push("AzureWebJobs.Auth0Health.Disabled");
    expected.sort_unstable();
    let sample = include_str!("../../../local.settings.sample.json");
    let sample: serde_json::Value = serde_json::from_str(sample).unwrap();
    let mut found: Vec<_> = sample["Values"].as_object().unwrap().keys().collect();
    found.sort_unstable();
    assert_eq!(found, expected);
}

#[test]
fn destinations_are_named_once_each_and_known() {
    let both = [("DESTINATIONS", " log-analytics, log-analytics,")];
    assert_eq!(names(&app(&both).unwrap()), ["log-analytics"]);
    let unknown = problem(&[("DESTINATIONS", "sentinel")]);
    assert!(
        unknown.contains("it takes log-analytics, logs-ingestion"),
        "{unknown}"
    );
    assert!(problem(&[("DESTINATIONS", ",")]).contains("names no destination"));
}

#[test]
fn where_what_opens_a_service_cannot_be_read_no_identity_is_missed() {
    let topic = "https://acme.westeurope-1.eventgrid.azure.net/api/events";
    let topic = [("EVENT_GRID_ENDPOINT", topic)];
    let container = [(
        "ARCHIVE_URL",
        "https://acme.blob.core.windows.net/auth0-logs",
    )];
    let application = [("AZURE_TENANT_ID", "acme.com"), ("AZURE_CLIENT_ID", "id")];
    for (destination, place, secret) in [
        ("logs-ingestion", &RULE[..2], "AZURE_CLIENT_SECRET"),
        ("event-grid", &topic[..], "EVENT_GRID_KEY"),
        ("event-grid", &topic[..], "AZURE_CLIENT_SECRET"),
        ("archive", &container[..], "ARCHIVE_CONNECTION_STRING"),
    ] {
        for (value, fault) in [
            ("@Microsoft.KeyVault(SecretUri=https://x)", "is a Key Vault"),
            ("'x'", "is in quotes"),
        ] {
            let set = [("DESTINATIONS", destination), (secret, value)];
            let told = problem(&[&set[..], place, &application].concat());
            let only = format!("a setting needs attention: {secret} {fault}");
            assert!(told.starts_with(&only), "{destination}: {told}");
        }
    }
}

#[test]
fn under_the_host_nothing_goes_to_standard_output() {
    let settings = REFERENCE
        .into_iter()
        .chain([("DESTINATIONS", "stdout"), ("CHECKPOINT_DIR", "/data")]);
    let under_host = layers(settings.collect(), Purpose::Host);
    let refused = App::new(&under_host, watch::channel(false).1);
    let refused = refused.err().unwrap().to_string();
    assert!(refused.contains("personal data"), "{refused}");
}

#[test]
fn a_look_at_the_records_needs_no_destination() {
    let settings = REFERENCE[..3].iter().copied().collect();
    let destination = Some("stdout".into());
    let look = layers(settings, Purpose::CommandLine { destination });
    let app = App::new(&look, watch::channel(false).1).unwrap();
    assert_eq!(names(&app), ["stdout"]);
    assert!(app.pipelines[0].is_for_a_look);
}

#[test]
fn a_destination_that_is_badly_set_fails_alone_and_the_others_are_ready() {
    for (bad, destinations, telling) in [
        (
            ("DCR_ENDPOINT", "x"),
            "logs-ingestion, log-analytics",
            "DCR_ENDPOINT must be",
        ),
        (
            ("X", "x"),
            "sentinel, log-analytics",
            "DESTINATIONS names an unknown destination",
        ),
    ] {
        let changes = [&RULE[..], &[("DESTINATIONS", destinations), bad]].concat();
        let app = app(&changes).unwrap();
        let problem = app.pipelines[0].route.as_ref().err().unwrap().to_string();
        assert!(problem.contains(telling), "{problem}");
        assert!(app.pipelines[1].route.is_ok());
    }
}

#[test]
fn where_nothing_can_run_all_that_is_wrong_is_told_at_once() {
    let changes = [
        ("DESTINATIONS", "logs-ingestion,log-analytics"),
        ("CLIENT_SECRET", ""),
        ("WorkspaceKey", ""),
        ("REDACT", "x"),
    ];
    let Err(AppError::Settings(problems)) = app(&changes) else {
        panic!("it runs");
    };
    let lines: Vec<_> = problems.lines().collect();
    let names: Vec<_> = lines
        .iter()
        .map(|it| it.split(' ').next().unwrap())
        .collect();
    let expected = [
        "CLIENT_SECRET",
        "DCR_ENDPOINT",
        "DCR_IMMUTABLE_ID",
        "WorkspaceKey",
        "REDACT",
    ];
    assert_eq!(names, expected);
}

#[test]
fn what_is_kept_is_reached_without_a_secret_or_a_destination_s_settings() {
    let settings = [
        ("DOMAIN", "acme.eu.auth0.com"),
        ("DESTINATIONS", "logs-ingestion,log-analytics"),
    ];
    let purpose = Purpose::CommandLine { destination: None };
    let stores = layers(settings.into_iter().collect(), purpose.clone())
        .stores()
        .unwrap();
    let names: Vec<_> = stores.iter().map(|it| it.name).collect();
    assert_eq!(names, ["logs-ingestion", "log-analytics"]);

    let refused = layers(AppSettings::default(), purpose)
        .stores()
        .err()
        .unwrap()
        .to_string();
    assert_eq!(
        refused,
        "a setting needs attention: DOMAIN is missing: the tenant's host, such as acme.eu.auth0.com"
    );
}

/// The destination that reads a setting, if only one does.
fn destination_of(setting: &str) -> Option<&'static str> {
    let reads = |kind: &&&Kind| {
        kind.settings.contains(&setting) || [kind.filter, kind.pii].contains(&setting)
    };
    let own = KINDS.iter().find(reads).map(|kind| kind.name);
    own.or_else(|| setting.starts_with("AWS_").then_some("event-bridge"))
}

/// Otherwise an unread name could be listed as a setting, or a read one could be missing.
#[test]
fn every_setting_that_is_named_is_read_and_not_with_quotes_around_it() {
    let reference = "@Microsoft.KeyVault(SecretUri=https://acme.vault.azure.net/secrets/s/)";
    for name in setting_names() {
        let besides: &[(&str, &str)] = match name {
            "AZURE_TENANT_ID" | "AZURE_AUTHORITY_HOST" => &[("AZURE_CLIENT_SECRET", "hunter2")],
            "AzureWebJobsStorage__clientId" => &[("AzureWebJobsStorage__accountName", "acme")],
            "AWS_SESSION_TOKEN" => &[
                ("EVENT_BRIDGE_BUS", "auth0"),
                ("AWS_REGION", "eu-west-1"),
                ("AWS_ACCESS_KEY_ID", "AKIA1"),
                ("AWS_SECRET_ACCESS_KEY", "hunter2"),
            ],
            name if name.starts_with("AWS_") => &[
                ("EVENT_BRIDGE_BUS", "auth0"),
                ("AWS_REGION", "eu-west-1"),
                ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/auth0-logs"),
            ],
            "ARCHIVE_ENDPOINT" => &[
                ("ARCHIVE_URL", "s3://acme-logs"),
                ("AWS_REGION", "eu-west-1"),
                ("AWS_ACCESS_KEY_ID", "AKIA1"),
                ("AWS_SECRET_ACCESS_KEY", "hunter2"),
            ],
            "ARCHIVE_CONNECTION_STRING" => {
                &[("ARCHIVE_URL", "https://acme.blob.core.windows.net/logs")]
            }
            "PII_KEY" => &[("PII", "ip:pseudonym")],
            "PII_KEY_ID" | "PII_KEY_PREVIOUS" => &[
                ("PII", "ip:pseudonym"),
                ("PII_KEY", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="),
            ],
            _ => &[],
        };
        for (value, fault) in [
            (reference, "is a Key Vault reference that was not resolved"),
            ("\"a2V5\"", "is in quotes; leave them out"),
            ("\u{201c}a2V5\u{201d}", "is in quotes; leave them out"),
            ("a2V5\u{200b}", "has a letter that cannot be seen"),
            ("\u{feff}a2V5", "has a letter that cannot be seen"),
        ] {
            let destination = destination_of(name).unwrap_or("logs-ingestion");
            let destination = if name == "DESTINATIONS" {
                value
            } else {
                destination
            };
            let changes = [
                &RULE[..],
                besides,
                &[("DESTINATIONS", destination), (name, value)],
            ];
            let problem = problem(&changes.concat());
            let told = format!("{name} {fault}");
            assert!(problem.contains(&told), "{name}: {problem}");
        }
    }
}

#[test]
fn no_message_quotes_a_value() {
    let secret = "hunter2-hunter2";
    for name in setting_names() {
        let destination = destination_of(name).unwrap_or("log-analytics");
        let value = format!("{secret} {secret}");
        let changes = [&RULE[..], &[("DESTINATIONS", destination), (name, &*value)]].concat();
        if let Err(error) = app(&changes) {
            assert!(!error.to_string().contains(secret), "{name}: {error}");
        }
    }
}

/// `DESTINATIONS` need not be set for `log-analytics`, and `--destination` does not change that.
#[test]
fn the_workspace_is_that_of_the_destination_in_use_whether_it_is_named_or_the_default() {
    let settings = |destinations| REFERENCE.into_iter().chain(RULE).chain(destinations);
    for destinations in [
        None,
        Some(("DESTINATIONS", "log-analytics")),
        Some(("DESTINATIONS", "archive, log-analytics")),
        Some(("DESTINATIONS", "archive")),
    ] {
        let destination = Some("logs-ingestion".to_owned());
        let purpose = Purpose::CommandLine { destination };
        let layers = layers(settings(destinations).collect(), purpose);
        let table = layers.table("logs-ingestion", "ARRIVAL", &cloud::PUBLIC);
        let is_of_another = table.is_err_and(|problem| {
            let problem = problem.to_string();
            problem.contains("WorkspaceID is the workspace of log-analytics")
        });
        let is_in_use = destinations.is_none_or(|(_, names)| names.contains("log-analytics"));
        assert_eq!(is_of_another, is_in_use, "{destinations:?}");
    }
}
