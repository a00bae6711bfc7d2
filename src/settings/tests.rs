use chrono::DateTime;
use proptest::prelude::*;
use secrecy::ExposeSecret as _;

use super::*;
use crate::storage::connection_string::Credential;

const COMPLETE: [(&str, &str); 5] = [
    ("DOMAIN", "acme.eu.auth0.com"),
    ("CLIENT_ID", "id"),
    ("CLIENT_SECRET", "secret"),
    ("WorkspaceID", "01234567-89AB-cdef-0123-456789abcdef"),
    ("WorkspaceKey", "a2V5"),
];

/// Complete settings, with these changes; a blank value unsets.
fn read(changes: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    let settings: AppSettings = COMPLETE.iter().chain(changes).copied().collect();
    Settings::read(&settings, &Purpose::Host)
}

fn problem(name: &str, value: &str) -> String {
    read(&[(name, value)]).unwrap_err().to_string()
}

#[test]
fn the_settings_of_the_reference_connector_are_enough() {
    let settings = read(&[("logAnalyticsUri", "")]).unwrap();
    assert_eq!(settings.domain.as_str(), "https://acme.eu.auth0.com/");
    assert_eq!(settings.tenant, "acme.eu.auth0.com");
    assert_eq!(
        settings.credentials.audience,
        "https://acme.eu.auth0.com/api/v2/"
    );
    let [DestinationSettings::LogAnalytics { endpoint, key, .. }] = &settings.destinations[..]
    else {
        panic!("{:?}", settings.destinations);
    };
    assert_eq!(
        endpoint.as_str(),
        "https://01234567-89ab-cdef-0123-456789abcdef.ods.opinsights.azure.com/"
    );
    assert_eq!(key.expose_secret(), b"key");
    assert!(matches!(&settings.storage, StorageSettings::Folder(path)
        if path.as_os_str() == ".auth0-poller"));
    assert_eq!(settings.redaction, Redaction::On);
    let policy = settings.policy;
    assert_eq!(policy.start_from, StartFrom::Ago(Duration::from_hours(1)));
    assert_eq!(policy.overlap, Duration::from_mins(1));
    assert_eq!(policy.budget, Duration::from_mins(4));
}

/// The `Values` of the sample, for a laptop.
fn sample() -> serde_json::Map<String, serde_json::Value> {
    let sample = include_str!("../../local.settings.sample.json");
    let mut sample: serde_json::Value = serde_json::from_str(sample).unwrap();
    serde_json::from_value(sample["Values"].take()).unwrap()
}

#[test]
fn the_sample_lacks_nothing_but_what_only_its_user_knows() {
    let sample = include_str!("../../local.settings.sample.json");
    let filled_in: AppSettings = COMPLETE.into_iter().collect();
    let settings = filled_in.or_local(sample).unwrap();
    let settings = Settings::read(&settings, &Purpose::Host).unwrap();
    assert!(matches!(settings.storage, StorageSettings::Azure(_)));

    let error = AppSettings::default().or_local(sample).unwrap();
    let error = Settings::read(&error, &Purpose::Host).unwrap_err();
    let missing: Vec<_> = error.lines().collect();
    let names = missing.iter().map(|line| line.split(' ').next().unwrap());
    assert!(names.eq(COMPLETE.map(|(name, _)| name)), "{missing:?}");
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
    // What the Functions tools ask for.
    expected.push("FUNCTIONS_WORKER_RUNTIME");
    expected.sort_unstable();
    let values = sample();
    let mut found: Vec<_> = values.keys().collect();
    found.sort_unstable();
    assert_eq!(found, expected);
}

#[test]
fn the_default_run_ends_before_the_host_would_kill_it() {
    let host: serde_json::Value = serde_json::from_str(include_str!("../../host.json")).unwrap();
    let timeout = host["functionTimeout"].as_str().unwrap();
    let parts = timeout.split(':').map(|part| part.parse::<u64>().unwrap());
    let timeout = Duration::from_secs(parts.fold(0, |seconds, part| seconds * 60 + part));
    // The documentation promises ten seconds.
    let longest = read(&[]).unwrap().policy.budget + Duration::from_secs(10);
    assert!(longest < timeout, "{longest:?} is not below {timeout:?}");
}

#[test]
fn a_domain_is_a_host_or_a_url_of_one() {
    for (text, url, tenant) in [
        (
            "https://acme.eu.auth0.com/",
            "https://acme.eu.auth0.com/",
            "acme.eu.auth0.com",
        ),
        (
            " login.acme.com ",
            "https://login.acme.com/",
            "login.acme.com",
        ),
        (
            "http://127.0.0.1:8080",
            "http://127.0.0.1:8080/",
            "127.0.0.1_8080",
        ),
        ("http://[::1]:8080", "http://[::1]:8080/", "__1_8080"),
    ] {
        let settings = read(&[("DOMAIN", text)]).unwrap();
        assert_eq!((settings.domain.as_str(), &*settings.tenant), (url, tenant));
    }
    for text in [
        "acme.eu.auth0.com/api/v2",
        "https://user:pw@acme",
        "https://",
        "a b",
        "ftp://",
    ] {
        assert!(
            problem("DOMAIN", text).contains("is neither a host"),
            "{text}"
        );
    }
    for text in ["http://acme.eu.auth0.com", "ftp://acme.eu.auth0.com"] {
        assert!(problem("DOMAIN", text).contains("must be https"), "{text}");
    }
}

#[test]
fn secrets_are_masked_unless_that_is_switched_off_in_so_many_words() {
    let redaction = |value| read(&[("REDACT", value)]).unwrap().redaction;
    assert_eq!(redaction("Off"), Redaction::Off);
    assert_eq!(redaction("on"), Redaction::On);
    assert_eq!(redaction(" "), Redaction::On);
    for value in ["false", "0", "no"] {
        assert!(problem("REDACT", value).contains("is neither on nor off"));
    }
}

#[test]
fn posts_go_to_a_workspace_and_nowhere_else() {
    for host in [
        "https://x.ods.opinsights.azure.com",
        "https://x.ods.opinsights.azure.us",
        "https://x.ods.opinsights.azure.cn/",
        "http://localhost:9000",
    ] {
        assert!(read(&[("logAnalyticsUri", host)]).is_ok(), "{host}");
    }
    for host in [
        "http://x.ods.opinsights.azure.com",
        "https://x.ods.opinsights.azure.com.evil.example",
        "https://evil.example/.ods.opinsights.azure.com",
        "https://x.ods.opinsights.azure.com/api/logs",
        "https://evil.example",
    ] {
        assert!(
            problem("logAnalyticsUri", host).contains("must be https://"),
            "{host}"
        );
    }
}

#[test]
fn a_beginning_is_a_duration_a_time_or_the_oldest_record() {
    let time = "2026-11-21T08:00:00Z".parse().unwrap();
    for (text, start) in [
        ("7d", StartFrom::Ago(Duration::from_hours(168))),
        ("2026-11-21T09:00:00+01:00", StartFrom::At(time)),
        ("Oldest", StartFrom::Oldest),
    ] {
        assert_eq!(
            read(&[("START_FROM", text)]).unwrap().policy.start_from,
            start
        );
    }
    for text in ["yesterday", "-1h", "100000y", "2026-11-21", "1"] {
        assert!(
            problem("START_FROM", text).contains("is neither a duration"),
            "{text}"
        );
    }
}

#[test]
fn destinations_are_named_once_each_and_known() {
    let count = |text| read(&[("DESTINATIONS", text)]).unwrap().destinations.len();
    assert_eq!(count(" log-analytics, log-analytics,"), 1);
    assert!(problem("DESTINATIONS", "sentinel").contains("unknown destination"));
    assert!(problem("DESTINATIONS", ",").contains("names no destination"));
    assert!(problem("DESTINATIONS", "stdout").contains("personal data"));

    let settings: AppSettings = COMPLETE[..3].iter().copied().collect();
    let look = Purpose::CommandLine {
        destination: Some("stdout".into()),
    };
    assert!(
        Settings::read(&settings, &look).is_ok(),
        "needs no workspace"
    );
}

const RULE: [(&str, &str); 5] = [
    ("DESTINATIONS", "logs-ingestion"),
    ("DCR_IMMUTABLE_ID", "dcr-0123456789abcdef0123456789abcdef"),
    (
        "DCR_ENDPOINT",
        "https://acme-x1.westeurope-1.ingest.monitor.azure.us/",
    ),
    ("IDENTITY_ENDPOINT", "http://localhost:8081/msi/token"),
    ("IDENTITY_HEADER", "header"),
];

/// The settings of a rule, with these changes, and without those of a workspace.
fn read_rule(changes: &[(&str, &str)]) -> Result<DestinationSettings, SettingsError> {
    let settings: AppSettings = COMPLETE[..3]
        .iter()
        .chain(&RULE)
        .chain(changes)
        .copied()
        .collect();
    let mut destinations = Settings::read(&settings, &Purpose::Host)?.destinations;
    Ok(destinations.remove(0))
}

#[test]
fn a_rule_needs_no_workspace_key_and_tells_its_cloud() {
    let DestinationSettings::LogsIngestion {
        stream,
        resource,
        principal,
    } = read_rule(&[("AZURE_CLIENT_ID", "c1")]).unwrap()
    else {
        panic!("another destination");
    };
    assert_eq!(stream.name, "Custom-Auth0AM_CL");
    assert_eq!(resource, "https://monitor.azure.us");
    assert!(matches!(principal, Principal::Managed { client_id: Some(id), .. } if id == "c1"));
}

#[test]
fn outside_azure_an_application_s_secret_stands_for_the_identity() {
    let application = [
        ("IDENTITY_ENDPOINT", ""),
        ("AZURE_TENANT_ID", "acme.onmicrosoft.com"),
        ("AZURE_CLIENT_ID", "c1"),
        ("AZURE_CLIENT_SECRET", "hunter2"),
    ];
    let DestinationSettings::LogsIngestion {
        principal: Principal::Application {
            authority, tenant, ..
        },
        ..
    } = read_rule(&application).unwrap()
    else {
        panic!("another principal");
    };
    assert_eq!(authority.as_str(), "https://login.microsoftonline.us/");
    assert_eq!(tenant, "acme.onmicrosoft.com");

    let problem = |changes: &[(&str, &str)]| {
        let changes = [&application[..], changes].concat();
        read_rule(&changes).unwrap_err().to_string()
    };
    assert!(problem(&[("AZURE_TENANT_ID", "")]).contains("AZURE_TENANT_ID is missing"));
    assert!(problem(&[("AZURE_TENANT_ID", "a/b")]).contains("neither a GUID nor a domain"));
    assert!(
        problem(&[("AZURE_CLIENT_SECRET", "")])
            .contains("DCR_ENDPOINT needs a managed identity, and there is none here")
    );
    for host in ["https://evil.example", "http://login.microsoftonline.com"] {
        assert!(
            problem(&[("AZURE_AUTHORITY_HOST", host)]).contains("AZURE_AUTHORITY_HOST must be")
        );
    }
}

#[test]
fn rows_go_to_a_rule_and_nowhere_else() {
    for (setting, value, problem) in [
        (
            "DCR_ENDPOINT",
            "",
            "is missing: the logs ingestion endpoint",
        ),
        (
            "DCR_ENDPOINT",
            "http://x.westeurope-1.ingest.monitor.azure.com",
            "must be https://",
        ),
        (
            "DCR_ENDPOINT",
            "https://x.ingest.monitor.azure.com.evil.example",
            "must be https://",
        ),
        (
            "DCR_ENDPOINT",
            "https://x.ingest.monitor.azure.com/dataCollectionRules",
            "must be https://",
        ),
        ("DCR_IMMUTABLE_ID", "", "is missing: the immutable id"),
        (
            "DCR_IMMUTABLE_ID",
            "/subscriptions/s/rule",
            "is not dcr- and 32",
        ),
        (
            "DCR_IMMUTABLE_ID",
            "dcr-0123456789abcdef0123456789abcde/",
            "is not dcr- and 32",
        ),
        ("DCR_STREAM", "Auth0AM_CL", "is not a stream's name"),
        ("DCR_STREAM", "Custom-a/../b", "is not a stream's name"),
    ] {
        let error = read_rule(&[(setting, value)]).unwrap_err().to_string();
        assert!(error.contains(&format!("{setting} {problem}")), "{error}");
    }
}

#[test]
fn storage_is_named_by_what_the_functions_host_uses() {
    let identity = [
        ("AzureWebJobsStorage__accountName", "acme"),
        ("AzureWebJobsStorage__clientId", "c1"),
        ("IDENTITY_ENDPOINT", "http://localhost:8081/msi/token"),
        ("IDENTITY_HEADER", "header"),
    ];
    let StorageSettings::Azure(account) = read(&identity).unwrap().storage else {
        panic!("a folder");
    };
    assert_eq!(
        account.endpoint.as_str(),
        "https://acme.blob.core.windows.net/"
    );
    let Credential::Identity(principal) = account.credential else {
        panic!("a key");
    };
    assert!(matches!(*principal, Principal::Managed { client_id: Some(id), .. } if id == "c1"));
    assert_eq!(
        problem("AzureWebJobsStorage__accountName", "acme"),
        "a setting needs attention: AzureWebJobsStorage__accountName needs a managed identity, \
         and there is none here: in Azure turn the Function App's system-assigned identity on and \
         restart the app; elsewhere use other settings"
    );
    assert_eq!(
        problem("AzureWebJobsStorage", "AccountName=acme"),
        "a setting needs attention: AzureWebJobsStorage cannot be used: it has neither \
         AccountKey nor SharedAccessSignature"
    );
}

#[test]
fn a_key_vault_reference_that_was_not_resolved_is_told_once_with_its_remedy() {
    let reference = "@Microsoft.KeyVault(SecretUri=https://acme.vault.azure.net/secrets/s/)";
    let error = read(&[
        ("CLIENT_SECRET", reference),
        ("WorkspaceKey", reference),
        ("START_FROM", reference),
    ])
    .unwrap_err();
    let lines: Vec<_> = error.lines().collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    for (line, setting) in lines
        .iter()
        .zip(["CLIENT_SECRET", "WorkspaceKey", "START_FROM"])
    {
        let told = format!("{setting} is a Key Vault reference that was not resolved: give the");
        assert!(line.starts_with(&told), "{line}");
    }
}

/// Otherwise [`NAMES`] would hold a name that nobody reads, and the template's tests would let it
/// pass.
#[test]
fn every_name_in_the_list_makes_a_difference() {
    type Change = (&'static str, &'static str);
    let both: Change = ("DESTINATIONS", "log-analytics,logs-ingestion");
    let blobs: Change = (
        "AzureWebJobsStorage__blobServiceUri",
        "https://acme.blob.core.windows.net",
    );
    let secret: Change = ("AZURE_CLIENT_SECRET", "hunter2");
    // A change, and what has to be set besides for it to count.
    let changes: [(Change, &[Change]); 28] = [
        (("DOMAIN", ""), &[]),
        (("CLIENT_ID", ""), &[]),
        (("CLIENT_SECRET", ""), &[]),
        (("AUDIENCE", "x"), &[]),
        (("DESTINATIONS", "x"), &[]),
        (("WorkspaceID", ""), &[]),
        (("WorkspaceKey", ""), &[]),
        (("logAnalyticsUri", "x"), &[]),
        (("DCR_ENDPOINT", ""), &[]),
        (("DCR_IMMUTABLE_ID", ""), &[]),
        (("DCR_STREAM", "Custom-x"), &[]),
        (("AZURE_TENANT_ID", "x"), &[secret]),
        (("AZURE_CLIENT_ID", "x"), &[]),
        (secret, &[]),
        (("AZURE_AUTHORITY_HOST", "x"), &[secret]),
        (("AzureWebJobsStorage", "x"), &[]),
        (("AzureWebJobsStorage__accountName", "x"), &[]),
        (blobs, &[]),
        (("AzureWebJobsStorage__clientId", "x"), &[blobs]),
        (("IDENTITY_ENDPOINT", ""), &[]),
        (("IDENTITY_HEADER", ""), &[]),
        (("CHECKPOINT_DIR", "x"), &[]),
        (("START_FROM", "x"), &[]),
        (("OVERLAP", "x"), &[]),
        (("RUN_BUDGET", "x"), &[]),
        (("REDACT", "x"), &[]),
        (("HTTPS_PROXY", "http://proxy:1"), &[]),
        (("https_proxy", "http://proxy:1"), &[]),
    ];
    let names = changes.map(|((name, _), _)| name);
    // The hosts that a proxy is not for are inside of it, where nothing can be seen.
    assert_eq!([&names[..], &["NO_PROXY", "no_proxy"]].concat(), NAMES);
    for (change, besides) in changes {
        let base = [&RULE[..], &[both], besides].concat();
        let without = format!("{:?}", read(&base));
        let with = format!("{:?}", read(&[&base[..], &[change]].concat()));
        assert_ne!(without, with, "{}", change.0);
    }
}

#[test]
fn no_message_quotes_a_value() {
    let secret = "hunter2-hunter2";
    for name in [
        "DOMAIN",
        "WorkspaceID",
        "WorkspaceKey",
        "logAnalyticsUri",
        "AzureWebJobsStorage",
        "AzureWebJobsStorage__blobServiceUri",
        "START_FROM",
        "OVERLAP",
        "RUN_BUDGET",
        "DESTINATIONS",
    ] {
        let value = format!("{secret} {secret}");
        assert!(!problem(name, &value).contains(secret), "{name}");
    }
    let debug = format!("{:?}", read(&[("CLIENT_SECRET", secret)]).unwrap());
    assert!(!debug.contains(secret));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_beginning_is_read_as_it_is_written(
        seconds in 0..=parse::LONGEST_DURATION.as_secs(),
        time in 0..253_402_300_800_i64,
        offset in -12..=14_i32,
    ) {
        let duration = Duration::from_secs(seconds);
        let text = humantime::format_duration(duration).to_string();
        prop_assert_eq!(parse_start_from(&text), Ok(StartFrom::Ago(duration)));

        let time = DateTime::from_timestamp(time, 0).unwrap();
        let zone = chrono::FixedOffset::east_opt(offset * 3_600).unwrap();
        let local = time.with_timezone(&zone);
        // RFC 3339 has four digits for a year.
        if (0..=9999).contains(&chrono::Datelike::year(&local)) {
            prop_assert_eq!(parse_start_from(&local.to_rfc3339()), Ok(StartFrom::At(time)));
        }
    }

    #[test]
    fn whatever_is_taken_for_a_beginning_is_one_that_a_run_can_use(
        text in prop_oneof![
            "[0-9]{1,20} ?(ns|s|m|h|d|w|M|y|years){1,2}",
            "[0-9]{4}-(0[1-9]|1[0-2])-[0-3][0-9]T[0-2][0-9]:00:(00|60)(Z|[+-][0-2][0-9]:59)",
            any::<String>(),
        ],
    ) {
        match parse_start_from(&text) {
            Ok(StartFrom::Ago(duration)) => prop_assert!(duration <= parse::LONGEST_DURATION),
            Ok(StartFrom::At(time)) => {
                let years = 1..=9999;
                prop_assert!(years.contains(&chrono::Datelike::year(&time)), "{time}");
            }
            Ok(StartFrom::Oldest) => prop_assert!(text.eq_ignore_ascii_case("oldest")),
            Err(problem) => prop_assert!(problem.starts_with("is neither")),
        }
    }
}
