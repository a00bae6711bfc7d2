mod privacy;

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use serde_json::Value;

use super::layers::setting_names;
use super::*;
use crate::destination::{Delivery, KINDS, Limits, Probe};
use crate::net::retry::{Deadline, Jitter};
use crate::record::Record;
use crate::run::Share;
use crate::settings::AppSettings;

/// The settings of the connector that this program replaces.
const REFERENCE: [(&str, &str); 5] = [
    ("DOMAIN", "acme.eu.auth0.com"),
    ("CLIENT_ID", "id"),
    ("CLIENT_SECRET", "secret"),
    ("WorkspaceID", "01234567-89AB-cdef-0123-456789abcdef"),
    ("WorkspaceKey", "a2V5"),
];
const RULE: [(&str, &str); 4] = [
    ("DCR_IMMUTABLE_ID", "dcr-0123456789abcdef0123456789abcdef"),
    (
        "DCR_ENDPOINT",
        "https://acme-x1.westeurope-1.ingest.monitor.azure.us/",
    ),
    ("IDENTITY_ENDPOINT", "http://localhost:8081/msi/token"),
    ("IDENTITY_HEADER", "header"),
];

fn layers(settings: AppSettings, purpose: Purpose) -> Layers {
    let now = "2026-11-21T08:00:00Z".parse().unwrap();
    Layers::new(settings, purpose, Arc::new(move || now), Jitter::seeded(1))
}

/// The app on a laptop with the reference settings and these changes; a blank value unsets.
fn app(changes: &[(&str, &str)]) -> Result<App, AppError> {
    let settings = REFERENCE.iter().chain(changes).copied().collect();
    let purpose = Purpose::CommandLine { destination: None };
    App::new(&layers(settings, purpose), watch::channel(false).1)
}

fn problem(changes: &[(&str, &str)]) -> String {
    apps(changes).err().unwrap().to_string()
}

fn names(app: &App) -> Vec<&str> {
    app.pipelines.iter().map(|it| it.name).collect()
}

#[test]
fn the_settings_of_the_reference_connector_are_enough() {
    assert_eq!(names(&app(&[]).unwrap()), ["log-analytics"]);
}

#[test]
fn the_sample_lacks_nothing_but_what_only_its_user_knows() {
    let sample = include_str!("../../local.settings.sample.json");
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
    // A managed identity takes the place of the sample's connection string, and a proxy is a
    // matter of the machine.
    let elsewhere = [
        "AzureWebJobsStorage__accountName",
        "AzureWebJobsStorage__blobServiceUri",
        "HTTPS_PROXY",
        "NO_PROXY",
    ];
    let reference = include_str!("../../docs/reference.md");
    let (_, section) = reference.split_once("\n## Settings\n").unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    let names = rows.flat_map(|row| row.split('|').nth(1).unwrap().split('`').skip(1).step_by(2));
    let mut expected: Vec<_> = names.filter(|name| !elsewhere.contains(name)).collect();
    // What the Functions tools ask for, and the host.
    expected.push("FUNCTIONS_WORKER_RUNTIME");
    expected.push("AzureWebJobs.Auth0Health.Disabled");
    expected.sort_unstable();
    let sample = include_str!("../../local.settings.sample.json");
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
        let problem = app.pipelines[0].way.as_ref().err().unwrap().to_string();
        assert!(problem.contains(telling), "{problem}");
        assert!(app.pipelines[1].way.is_ok());
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
    let books = layers(settings.into_iter().collect(), purpose.clone())
        .books()
        .unwrap();
    let names: Vec<_> = books.iter().map(|it| it.name).collect();
    assert_eq!(names, ["logs-ingestion", "log-analytics"]);

    let refused = layers(AppSettings::default(), purpose)
        .books()
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

/// Otherwise a name that nobody reads would pass for a setting, and one that is read for none.
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

#[test]
fn a_storage_that_is_named_by_a_setting_that_nobody_reads_is_refused() {
    for (given, setting) in [
        (
            "AzureWebJobsStorage__AccountName",
            "AzureWebJobsStorage__accountName",
        ),
        (
            "AzureWebJobsStorage__serviceUri",
            "AzureWebJobsStorage__blobServiceUri",
        ),
        ("azureWebJobsStorage", "AzureWebJobsStorage"),
        ("CheckpointDir", "CHECKPOINT_DIR"),
    ] {
        let told = format!(
            "a setting needs attention: {setting} is not set, but {given} is, which is not read \
             (names are case-sensitive)"
        );
        assert_eq!(problem(&[(given, "x")]), told);
    }
    let account =
        "BlobEndpoint=https://acme.blob.core.windows.net;AccountName=acme;AccountKey=a2V5";
    assert!(app(&[("CheckpointDir", "x"), ("AzureWebJobsStorage", account)]).is_ok());
    // Here it is no more than a leftover.
    assert!(app(&[("CheckpointDir", "x"), ("CHECKPOINT_DIR", "y")]).is_ok());
    assert!(app(&[("DESTINATION", "x")]).is_ok());
}

#[test]
fn a_storage_that_is_misspelt_for_one_tenant_is_refused_to_that_one_alone() {
    let problems = |settings: &[(&str, &str)]| {
        let of_b = [("TENANTS", "a,b"), ("B__DOMAIN", "b.eu.auth0.com")];
        let apps = apps(&[&of_b[..], settings].concat()).unwrap();
        let problems = apps.unable().into_iter();
        problems
            .map(|(name, problem)| format!("{name}: {problem}"))
            .collect::<Vec<_>>()
    };
    let told = "b: a setting needs attention: B__CHECKPOINT_DIR is not set, but B_CHECKPOINT_DIR is, \
                which is not read (names are case-sensitive)";
    assert_eq!(problems(&[("B_CHECKPOINT_DIR", "x")]), [told]);
    let own = ("B_CHECKPOINT_DIR", "x");
    // Its own would take the place of the plain one, whichever that is.
    assert_eq!(problems(&[own, ("CHECKPOINT_DIR", "y")]), [told]);
    let account =
        "BlobEndpoint=https://acme.blob.core.windows.net;AccountName=acme;AccountKey=a2V5";
    assert_eq!(problems(&[own, ("AzureWebJobsStorage", account)]), [told]);
    let none = [""; 0];
    assert_eq!(problems(&[own, ("B__CHECKPOINT_DIR", "y")]), none);
    assert_eq!(problems(&[own, ("B__AzureWebJobsStorage", account)]), none);
    // What was to be kept back would go out.
    let told = "b: a setting needs attention: B__PII is not set, but B_PII is, which is not read \
                (names are case-sensitive)";
    assert_eq!(problems(&[("B_PII", "email:mask")]), [told]);
    // Its own would count, whatever counts for all.
    assert_eq!(
        problems(&[("B_PII", "ip:mask"), ("PII", "email:mask")]),
        [told]
    );
    let told = "b: a setting needs attention: B__PII_SENTINEL is not read; ";
    let problem = problems(&[("B__PII_SENTINEL", "email:mask")]);
    assert!(
        problem.len() == 1 && problem[0].starts_with(told),
        "{problem:?}"
    );
}

#[test]
fn a_policy_that_is_set_where_nobody_reads_it_is_refused() {
    let refused = |settings: &[(&str, &str)]| match apps(settings) {
        Ok(apps) => apps.unable(),
        Err(problem) => vec![(String::new(), problem.to_string())],
    };
    let list = [
        ("TENANTS", "a,globex"),
        ("GLOBEX__DOMAIN", "b.eu.auth0.com"),
    ];
    let told = "a setting needs attention: GLOBX__PII is not read: TENANTS does not name GLOBX";
    for setting in ["GLOBX__PII", "GLOBX__PII_ARCHIVE", "globx__PII_KEY"] {
        let given = [&list[..], &[(setting, "email:mask")]].concat();
        assert_eq!(refused(&given).len(), 1, "{setting}");
        // Where it is a whole tenant, it is one that was left out of the list.
        let whole = [&given[..], &[("Globx__DOMAIN", "c.eu.auth0.com")]].concat();
        assert_eq!(refused(&whole), [], "{setting}");
        // Whoever has one of its own has not mistyped it.
        let own = setting.to_ascii_uppercase().replace("GLOBX", "GLOBEX");
        let value = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
        let value = if own.ends_with("KEY") {
            value
        } else {
            "email:mask"
        };
        let both = [&given[..], &[(&own, value)]].concat();
        assert!(
            !refused(&both).iter().any(|it| it.0 == "globex"),
            "{setting}"
        );
    }
    let mistyped = refused(&[&list[..], &[("GLOBX__PII", "email:mask")]].concat());
    assert_eq!(mistyped[0].1, told);
    let mistyped = refused(&[&list[..], &[("Globx__Pii", "email:mask")]].concat());
    assert!(
        mistyped[0].1.contains("Globx__Pii is, which is not read"),
        "{mistyped:?}"
    );
    // Nobody reads a tenant's settings where there is no list.
    let alone = refused(&[("ACME__PII", "email:mask")]);
    assert!(
        alone[0]
            .1
            .contains("ACME__PII is not read: TENANTS does not name ACME"),
        "{alone:?}"
    );
    for (name, value) in [
        ("Serilog__PII", "false"),
        ("Serilog__Pii", "false"),
        ("Serilog__PII_KEY", "x"),
    ] {
        assert_eq!(refused(&[(name, value)]), [], "{name}");
    }
    // With the words in another order, or with too few signs between them.
    for (setting, whose) in [
        ("ARCHIVE_PII", vec!["a", "globex"]),
        ("PII_SENTINEL", vec!["a", "globex"]),
        ("LOGANALYTICS_PII", vec!["a", "globex"]),
        ("EMAIL_PII", vec!["a", "globex"]),
        ("KEY_PII", vec!["a", "globex"]),
        ("ARCHIVE__PII", vec!["a", "globex"]),
        ("GLOBX_PII", vec!["a", "globex"]),
        ("GLOBX__PII_SENTINEL", vec!["a", "globex"]),
        ("Globx__Archiv__PII", vec!["a", "globex"]),
        ("GLOBEX_PII_SENTINEL", vec!["globex"]),
        ("GLOBEX__ARCHIVE_PII", vec!["globex"]),
        ("globex.pii.sentinel", vec!["globex"]),
        ("MY_PII_SCANNER", vec![]),
        ("PIIX", vec![]),
        ("MYPII", vec![]),
        // Of another program, or of a tenant that is no longer in the list.
        ("INITECH_PII", vec![]),
        ("COMPANY_PII", vec![]),
        ("LOG_PII", vec![]),
        ("OTEL_REDACT_PII", vec![]),
        ("Serilog__Enrich__PII", vec![]),
        ("Serilog__PII", vec![]),
        ("Serilog__Pii", vec![]),
        ("Serilog__PII__Enabled", vec![]),
        ("B__PII", vec![]),
        ("VIP_PII", vec![]),
        ("PKI_KEY", vec![]),
        ("OLD__PII_ARCHIVE", vec![]),
        ("OLD__PII_KEY", vec![]),
    ] {
        let problems = refused(&[&list[..], &[(setting, "email:mask")]].concat());
        let told = format!("{setting} is not read");
        assert!(
            problems.iter().all(|it| it.1.contains(&told)),
            "{problems:?}"
        );
        if whose.len() == 2 {
            assert_eq!(problems.len(), 1, "{setting}");
        } else {
            let names: Vec<_> = problems.iter().map(|it| &*it.0).collect();
            assert_eq!(names, whose, "{setting}");
        }
    }
}

/// A destination with a bug.
struct Buggy;

impl Destination for Buggy {
    fn limits(&self) -> Limits {
        panic!("a bug")
    }

    fn encode(&self, _: &Record) -> Result<Bytes, BoxError> {
        panic!("a bug")
    }

    fn deliver<'a>(&'a self, _: &'a [Bytes], _: Deadline) -> BoxFuture<'a, Delivery> {
        panic!("a bug")
    }

    fn probe(&self, _: Deadline) -> BoxFuture<'_, Probe> {
        panic!("a bug")
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_ends_the_run_of_one_destination_and_not_that_of_another() {
    let state = tempfile::tempdir().unwrap();
    let changes = [
        ("DOMAIN", "http://127.0.0.1:1"),
        ("CHECKPOINT_DIR", state.path().to_str().unwrap()),
        ("DESTINATIONS", "logs-ingestion,log-analytics"),
    ];
    let mut app = app(&[&RULE[..], &changes].concat()).unwrap();
    app.pipelines[0].way.as_mut().ok().unwrap().destination = Box::new(Buggy);
    let reports = app.runs(&Rounds::one()).await;
    let names: Vec<_> = reports.iter().map(|it| &*it.destination).collect();
    assert_eq!(names, ["logs-ingestion", "log-analytics"]);
    assert_eq!(
        reports[0].errors,
        [
            "the run ended in a panic, which is a bug in auth0-poller; nothing is lost, the next \
             run does its work again"
        ]
    );
    // The other has its own trouble: nothing listens there.
    assert!(reports[1].errors[0].contains("127.0.0.1:1"), "{reports:?}");
}

#[test]
fn a_domain_that_may_be_mistyped_is_told_of_once_a_day() {
    let now: DateTime<Utc> = "2026-11-21T08:00:00Z".parse().unwrap();
    let told = |changes: &[(&str, &str)], hours: &[i64]| -> Vec<bool> {
        let mut app = app(changes).unwrap();
        let told = hours.iter().map(|hours| {
            let now = now + TimeDelta::hours(*hours);
            app.clock = Arc::new(move || now);
            app.doubt_to_tell().is_some()
        });
        told.collect()
    };
    assert_eq!(
        told(&[("DOMAIN", "acme.auth0.co")], &[0, 1, 23, 24, 25, 48]),
        [true, false, false, true, false, true]
    );
    assert_eq!(told(&[], &[0, 24]), [false, false]);
}

fn apps(settings: &[(&str, &str)]) -> Result<Apps, AppError> {
    let settings = REFERENCE.iter().chain(settings).copied().collect();
    let purpose = Purpose::CommandLine { destination: None };
    let tenants = Tenants::read(&layers(settings, purpose));
    Apps::new(&tenants, &watch::channel(false).1)
}

#[tokio::test(start_paused = true)]
async fn a_tenant_that_is_badly_set_stops_no_other_and_is_named_with_its_own_settings() {
    let state = tempfile::tempdir().unwrap();
    let apps = apps(&[
        ("CHECKPOINT_DIR", state.path().to_str().unwrap()),
        ("TENANTS", "acme,globex,initech,hooli"),
        ("ACME__DOMAIN", "http://127.0.0.1:1"),
        ("GLOBEX__DOMAIN", "globex.auth0.com/path"),
        ("GLOBEX__DESTINATIONS", "log-analytics,logs-ingestion"),
        ("INITECH__DOMAIN", "initech.eu.auth0.com"),
        ("INITECH__START_FROM", "tomorrow"),
        ("HOOLI__DOMAIN", "http://127.0.0.1:2"),
        ("HOOLI__DESTINATIONS", "event-grid,log-analytics"),
    ])
    .unwrap();
    let reports = apps.run_once().await;
    let names: Vec<_> = reports.iter().map(Report::name).collect();
    assert_eq!(
        names,
        [
            "acme/log-analytics",
            "globex/log-analytics",
            "globex/logs-ingestion",
            "initech/log-analytics",
            "hooli/event-grid",
            "hooli/log-analytics",
        ]
    );
    let errors: Vec<_> = reports.iter().map(|it| it.errors.join(" ")).collect();
    for (index, told) in [
        (0, "127.0.0.1:1"),
        (1, "GLOBEX__DOMAIN "),
        (2, "GLOBEX__DOMAIN "),
        (3, "INITECH__START_FROM "),
        (4, "HOOLI__EVENT_GRID_ENDPOINT is missing"),
        (5, "127.0.0.1:2"),
    ] {
        assert!(errors[index].contains(told), "{told}: {}", errors[index]);
    }
    let unable: Vec<_> = apps.unable().into_iter().map(|(label, _)| label).collect();
    assert_eq!(unable, ["globex", "initech", "hooli/event-grid"]);
}

#[tokio::test(start_paused = true)]
async fn a_tenant_whose_storage_cannot_even_be_prepared_stops_no_other() {
    let state = tempfile::tempdir().unwrap();
    // The address that it allows is no text.
    let storage = "AccountName=acme;SharedAccessSignature=sv=2024-11-04&sip=%FF&sig=a2V5";
    let apps = apps(&[
        ("CHECKPOINT_DIR", state.path().to_str().unwrap()),
        ("TENANTS", "acme,globex"),
        ("ACME__DOMAIN", "acme.eu.auth0.com"),
        ("ACME__AzureWebJobsStorage", storage),
        ("GLOBEX__DOMAIN", "http://127.0.0.1:1"),
    ]);
    let reports = apps.unwrap().run_once().await;
    let errors: Vec<_> = reports.iter().map(|it| it.errors.join(" ")).collect();
    assert!(errors[0].contains("preparing https://acme."), "{errors:?}");
    assert!(errors[1].contains("127.0.0.1:1"), "{errors:?}");
}

/// Tenants acme, globex and initech at these addresses, where all turns but so many are taken.
async fn with_turns(
    count: usize,
    state: &std::path::Path,
    [acme, globex, initech]: [&str; 3],
) -> (Apps, Vec<Share>) {
    let apps = apps(&[
        ("CHECKPOINT_DIR", state.to_str().unwrap()),
        ("RUN_BUDGET", "175s"),
        ("TENANTS", "acme,globex,initech"),
        ("ACME__DOMAIN", acme),
        ("GLOBEX__DOMAIN", globex),
        ("INITECH__DOMAIN", initech),
    ])
    .unwrap();
    let in_flight = apps.able().next().unwrap().in_flight.clone();
    let mut taken = Vec::new();
    for _ in count..64 {
        taken.push(in_flight.enter_in_turn().await);
    }
    (apps, taken)
}

/// Addresses at which nobody listens.
const AWAY: [&str; 2] = ["http://127.0.0.1:1", "http://127.0.0.1:2"];

/// An address at which nobody ever answers, as long as it is kept.
fn silent() -> (std::net::TcpListener, String) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    (listener, address)
}

/// Of each report, whether its run had a turn.
fn had_turns(reports: &[Report]) -> Vec<bool> {
    let missed = "the time of the run was over before its turn came";
    let had = |it: &Report| !it.errors.join(" ").contains(missed);
    reports.iter().map(had).collect()
}

#[tokio::test(start_paused = true)]
async fn a_run_that_waits_for_its_turn_ends_in_time_and_is_first_in_the_next() {
    let state = tempfile::tempdir().unwrap();
    let (_acme, acme) = silent();
    let (_globex, globex) = silent();
    let (_initech, initech) = silent();
    let (apps, _taken) = with_turns(1, state.path(), [&acme, &globex, &initech]).await;
    // One after the other, and not always the first of those that had none.
    for at in [0, 1, 2, 0, 1] {
        let turns = [0, 1, 2].map(|it| it == at);
        let began = tokio::time::Instant::now();
        let reports = apps.run_once().await;
        assert_eq!(had_turns(&reports), turns, "{reports:?}");
        let names: Vec<_> = reports.iter().map(Report::name).collect();
        assert_eq!(
            names,
            [
                "acme/log-analytics",
                "globex/log-analytics",
                "initech/log-analytics"
            ]
        );
        assert!(began.elapsed() < Duration::from_secs(185));
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_waited_for_is_no_more_of_the_run_s_time() {
    let state = tempfile::tempdir().unwrap();
    let (_silent, acme) = silent();
    let (apps, taken) = with_turns(0, state.path(), [&acme, AWAY[0], AWAY[1]]).await;
    let began = tokio::time::Instant::now();
    let free = async {
        tokio::time::sleep(Duration::from_secs(70)).await;
        drop(taken);
    };
    let (reports, ()) = tokio::join!(apps.run_once(), free);
    assert_eq!(had_turns(&reports), [true; 3], "{reports:?}");
    assert!(began.elapsed() < Duration::from_secs(185));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_was_only_to_be_one_more_says_nothing_of_a_turn_that_never_came() {
    let state = tempfile::tempdir().unwrap();
    let (_silent, globex) = silent();
    let (apps, mut taken) = with_turns(3, state.path(), [AWAY[0], &globex, AWAY[1]]).await;
    let in_flight = apps.able().next().unwrap().in_flight.clone();
    let take = async {
        // The first runs of acme and initech are over, and that of globex is not.
        tokio::time::sleep(Duration::from_secs(30)).await;
        for _ in 0..2 {
            taken.push(in_flight.enter_in_turn().await);
        }
    };
    let (reports, ()) = tokio::join!(apps.run_in_rounds(), take);
    assert!(had_turns(&reports).iter().all(|it| *it), "{reports:?}");
    // Nor does it leave an empty report: those that there are could not reach their tenants.
    assert!(
        reports.iter().all(|it| !it.errors.is_empty()),
        "{reports:?}"
    );
}

#[test]
fn where_no_tenant_can_work_all_that_is_wrong_is_told_at_once() {
    let problem = |settings: &[(&str, &str)]| apps(settings).err().unwrap().to_string();
    let each = problem(&[
        ("DOMAIN", ""),
        ("TENANTS", "acme,globex,a-b"),
        ("ACME__WorkspaceKey", "?"),
    ]);
    for told in [
        "ACME__DOMAIN is missing",
        "ACME__WorkspaceKey ",
        "GLOBEX__DOMAIN is missing",
        "TENANTS names a tenant that cannot be called so",
    ] {
        assert!(each.contains(told), "{told}: {each}");
    }
}

#[test]
fn two_tenants_on_one_host_are_both_bad_and_a_third_works() {
    let apps = apps(&[
        ("TENANTS", "acme,globex,initech"),
        ("GLOBEX__DOMAIN", "https://ACME.eu.auth0.com/"),
        ("INITECH__DOMAIN", "initech.eu.auth0.com"),
    ])
    .unwrap();
    let able: Vec<_> = apps.able().map(|it| it.name.as_deref().unwrap()).collect();
    assert_eq!(able, ["initech"]);
    let unable = apps.unable();
    for (index, name) in ["acme", "globex"].into_iter().enumerate() {
        assert_eq!(unable[index].0, name);
        let told = "TENANTS names acme and globex, which have the same DOMAIN";
        assert!(unable[index].1.ends_with(told), "{unable:?}");
    }
}

#[test]
fn one_tenant_under_two_names_is_found_however_it_is_written() {
    let problems = |settings: &[(&str, &str)]| {
        let given = [("TENANTS", "acme,globex"), ("AUDIENCE", "")];
        match apps(&[&given[..], settings].concat()) {
            Ok(apps) => apps.unable(),
            Err(problem) => vec![(String::new(), problem.to_string())],
        }
    };
    for same in [
        "acme.eu.auth0.com.",
        "https://ACME.eu.auth0.com./",
        "acme.eu.auth0.com:443",
        "acme.eu.auth0.com.:443",
    ] {
        let found = problems(&[("GLOBEX__DOMAIN", same)]);
        let told = "TENANTS names acme and globex, which have the same DOMAIN";
        assert!(found[0].1.contains(told), "{same}: {found:?}");
    }
    let custom = ("GLOBEX__DOMAIN", "login.acme.com");
    for (own, audience) in [
        ("acme.eu.auth0.com", "https://acme.eu.auth0.com/api/v2/"),
        (
            "acme.eu.auth0.com.",
            "https://ACME.eu.auth0.com:443/api/v2/",
        ),
    ] {
        let found = problems(&[
            ("ACME__DOMAIN", own),
            custom,
            ("GLOBEX__AUDIENCE", audience),
        ]);
        let told = "TENANTS names acme and globex, which are one tenant by DOMAIN and AUDIENCE";
        assert!(found[0].1.contains(told), "{own}: {found:?}");
    }
    for different in [
        ("GLOBEX__DOMAIN", "acme.eu.auth0.com:8443"),
        ("GLOBEX__DOMAIN", "acme.us.auth0.com"),
        custom,
    ] {
        assert_eq!(problems(&[different]), [], "{different:?}");
    }
    let other = ("GLOBEX__AUDIENCE", "https://globex.eu.auth0.com/api/v2/");
    assert_eq!(problems(&[custom, other]), []);
    let itself = ("GLOBEX__AUDIENCE", "https://login.acme.com/api/v2/");
    assert_eq!(problems(&[custom, itself]), []);
    // The audience is wrong here, which Auth0 tells globex, and acme goes on.
    let wrong = ("GLOBEX__AUDIENCE", "https://acme.eu.auth0.com/api/v2/");
    assert_eq!(
        problems(&[("GLOBEX__DOMAIN", "globex.eu.auth0.com"), wrong]),
        []
    );
}

#[test]
fn tenants_share_what_is_made_of_the_same_settings() {
    let apps = apps(&[
        ("TENANTS", "a,b,c"),
        ("B__DOMAIN", "b.eu.auth0.com"),
        ("C__DOMAIN", "c.eu.auth0.com"),
        ("C__CHECKPOINT_DIR", "elsewhere"),
    ])
    .unwrap();
    let able: Vec<_> = apps.able().collect();
    assert!(Arc::ptr_eq(&able[0].storage, &able[1].storage));
    assert!(!Arc::ptr_eq(&able[0].storage, &able[2].storage));
}

#[test]
fn what_a_tenant_has_of_its_own_comes_before_whatever_else_counts_for_all() {
    let account =
        "BlobEndpoint=https://acme.blob.core.windows.net;AccountName=acme;AccountKey=a2V5";
    let bucket = [
        ("DESTINATIONS", "archive"),
        ("ARCHIVE_URL", "s3://logs"),
        ("AWS_REGION", "eu-west-1"),
    ];
    let role = "arn:aws:iam::123456789012:role/auth0-logs";
    let of_b = |settings: &[(&str, &str)]| {
        let tenants = [("TENANTS", "a,b"), ("B__DOMAIN", "b.eu.auth0.com")];
        apps(&[&tenants[..], settings].concat()).unwrap()
    };
    let places = |settings: &[(&str, &str)]| {
        let apps = of_b(settings);
        let places = apps.able().map(|it| it.storage.location("x"));
        places.collect::<Vec<_>>()
    };
    let in_account = "https://acme.blob.core.windows.net/auth0-poller/x";
    for plain in [
        ("AzureWebJobsStorage", account),
        ("AzureWebJobsStorage__accountName", "acme"),
        (
            "AzureWebJobsStorage__blobServiceUri",
            "https://acme.blob.core.windows.net",
        ),
    ] {
        for (own, value, place) in [
            ("B__CHECKPOINT_DIR", "/data", "/data/x"),
            (
                "B__AzureWebJobsStorage__accountName",
                "other",
                "https://other.blob.core.windows.net/auth0-poller/x",
            ),
        ] {
            let set = [&RULE[2..], &[plain, (own, value)]].concat();
            assert_eq!(places(&set), [in_account, place], "{plain:?} {own}");
        }
    }
    // The role is that of an identity, which is not there: so it was asked for.
    let keys = [
        ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
    ];
    let apps = of_b(&[&bucket[..], &keys, &[("B__AWS_ROLE_ARN", role)]].concat());
    let unable = apps.unable();
    let [(name, problem)] = &unable[..] else {
        panic!("{unable:?}");
    };
    assert_eq!(name, "b");
    assert!(
        problem.contains("B__AWS_ROLE_ARN needs a managed identity"),
        "{problem}"
    );
    let plain = [("AWS_ROLE_ARN", role)];
    let own = keys.map(|(name, value)| (format!("B__{name}"), value));
    let own: Vec<_> = own.iter().map(|(n, v)| (n.as_str(), *v)).collect();
    let apps = of_b(&[&bucket[..], &plain, &own].concat());
    let unable: Vec<_> = apps.unable().into_iter().map(|(name, _)| name).collect();
    assert_eq!(unable, ["a"]);
}

#[test]
fn every_setting_that_a_tenant_lacks_is_told_as_its_own() {
    let settings = REFERENCE.into_iter().chain([("TENANTS", "a")]).collect();
    let purpose = Purpose::CommandLine { destination: None };
    let tenants = layers(settings, purpose).by_tenant();
    let settings = tenants[0].settings.as_ref().ok().unwrap();
    for name in setting_names() {
        if settings.get(name).is_none() {
            assert_eq!(settings.told(name), format!("A__{name}"));
        }
    }
}

#[test]
fn one_tenant_can_be_chosen_by_its_name() {
    let settings = [
        ("TENANTS", "acme,globex"),
        ("GLOBEX__DOMAIN", "b.auth0.com"),
    ];
    let tenants = |settings: &[(&str, &str)]| {
        let settings = REFERENCE.iter().chain(settings).copied().collect();
        let purpose = Purpose::CommandLine { destination: None };
        Tenants::read(&layers(settings, purpose))
    };
    let chosen = tenants(&settings).only(" Globex ").unwrap();
    let apps = Apps::new(&chosen, &watch::channel(false).1).unwrap();
    let names: Vec<_> = apps.able().map(|it| it.name.as_deref().unwrap()).collect();
    assert_eq!(names, ["globex"]);
    let none = |settings| tenants(settings).only("initech").err().unwrap().to_string();
    assert_eq!(
        none(&settings[..]),
        "there is no tenant initech: TENANTS names acme, globex"
    );
    assert_eq!(none(&[]), "there is no tenant initech: TENANTS names none");
}
