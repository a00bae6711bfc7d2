//! What the template makes for destinations outside the workspace, and the settings that people
//! add.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::access::rights;
use super::resource_manager::{ACCOUNT, Azure, NAMESPACE_TOPIC, TOPIC, TOPIC_ELSEWHERE};
use super::settings::{app_settings, read};
use super::{
    ANALYTIC_RULE, ASSIGNMENT, CONTAINER, FUNCTION, RULE, SECRET, TABLE, WORKBOOK, deployed,
    deployed_of, elsewhere, template,
};

const EVENT_GRID_DATA_SENDER: &str = "d5a91429-5739-47e2-a06b-3470a27159e7";
const BLOB_DATA_CONTRIBUTOR: &str = "ba92f5b4-2d11-453d-a403-e96b0029c9fe";

/// The answers for all destinations, with these changes.
fn answers(changes: &[(&'static str, &str)]) -> Vec<(&'static str, Value)> {
    let mut answers: BTreeMap<_, _> = elsewhere().into_iter().collect();
    answers.extend(changes.iter().map(|(name, it)| (*name, json!(it))));
    answers.into_iter().collect()
}

fn settings(changes: &[(&'static str, &str)]) -> BTreeMap<String, String> {
    app_settings(&Azure::default(), &answers(changes))
}

/// The settings of the destinations outside the workspace.
fn of_them(settings: BTreeMap<String, String>) -> BTreeMap<String, String> {
    let beginnings = [
        "EVENT_GRID_",
        "EVENT_BRIDGE_",
        "AWS_",
        "TINYBIRD_",
        "ARCHIVE_",
    ];
    let settings = settings.into_iter();
    settings
        .filter(|(name, _)| beginnings.iter().any(|it| name.starts_with(it)))
        .collect()
}

#[test]
fn each_answer_is_in_the_setting_of_its_meaning() {
    let expected = json!({
        "ARCHIVE_URL": "https://acmelogs.blob.core.windows.net/auth0/logs",
        "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
        "AWS_REGION": "eu-west-1",
        "AWS_ROLE_ARN": "",
        "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        "AWS_WEB_IDENTITY_AUDIENCE": "",
        "EVENT_BRIDGE_BUS": "auth0",
        "EVENT_GRID_ENDPOINT": "https://logs.uksouth-1.eventgrid.azure.net/api/events",
        "TINYBIRD_DATASOURCE": "",
        "TINYBIRD_HOST": "https://api.tinybird.co",
        "TINYBIRD_TOKEN": "p.eyJ1IjogImEifQ.c2ln",
    });
    assert_eq!(json!(of_them(settings(&[]))), expected);

    let by_role = [
        ("AwsAccessKeyId", ""),
        ("AwsRoleArn", "arn:aws:iam::123456789012:role/auth0-logs"),
        ("AwsWebIdentityAudience", "api://a"),
        ("TinybirdDataSource", "logs"),
    ];
    let settings = settings(&by_role);
    assert_eq!(settings["AWS_ROLE_ARN"], by_role[1].1);
    assert_eq!(settings["AWS_WEB_IDENTITY_AUDIENCE"], "api://a");
    assert_eq!(settings["TINYBIRD_DATASOURCE"], "logs");
    assert!(!settings.contains_key("AWS_SECRET_ACCESS_KEY"));
}

#[test]
fn the_program_takes_every_combination() {
    let all = [
        "log-analytics",
        "logs-ingestion",
        "event-grid",
        "event-bridge",
        "tinybird",
        "archive",
    ];
    for chosen in 1..1_usize << all.len() {
        let is_chosen = |n: &usize| chosen & (1 << n) != 0;
        let names: Vec<_> = (0..all.len()).filter(is_chosen).map(|n| all[n]).collect();
        let destinations = names.join(", ");
        let answers = answers(&[("Destinations", &destinations)]);
        assert_eq!(read(&answers).unwrap(), names);
    }
}

#[test]
fn a_destination_that_is_not_chosen_leaves_no_setting_secret_resource_or_role() {
    type Expected = (
        &'static str,
        &'static [&'static str],
        &'static [&'static str],
    );
    let aws = &[
        "AWS_ACCESS_KEY_ID",
        "AWS_REGION",
        "AWS_ROLE_ARN",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_WEB_IDENTITY_AUDIENCE",
        "EVENT_BRIDGE_BUS",
    ];
    let tinybird = &["TINYBIRD_DATASOURCE", "TINYBIRD_HOST", "TINYBIRD_TOKEN"];
    let cases: [Expected; 5] = [
        ("logs-ingestion", &[], &[]),
        ("event-grid", &["EVENT_GRID_ENDPOINT"], &[]),
        ("event-bridge", aws, &["AwsSecretAccessKey"]),
        ("tinybird", tinybird, &["TinybirdToken"]),
        ("archive", &["ARCHIVE_URL"], &[]),
    ];
    for (destination, names, secrets) in cases {
        let answers = answers(&[("Destinations", destination)]);
        let found = of_them(app_settings(&Azure::default(), &answers));
        assert_eq!(found.keys().collect::<Vec<_>>(), names, "{destination}");

        let deployed = deployed(&answers);
        let made = deployed.all(SECRET).into_iter();
        let made: BTreeSet<_> = made.map(|it| it.id.rsplit_once('/').unwrap().1).collect();
        let expected: BTreeSet<_> = secrets
            .iter()
            .chain(&["ClientSecret", "PiiKey"])
            .copied()
            .collect();
        assert_eq!(made, expected, "{destination}");

        let others = deployed.all(ASSIGNMENT).into_iter();
        let others = others.filter(|it| it.id.starts_with("/subscriptions/66666666"));
        let is_elsewhere = ["event-grid", "archive"].contains(&destination);
        assert_eq!(others.count(), usize::from(is_elsewhere), "{destination}");

        // What depends on rows in the workspace is made only if rows go there.
        let is_table = destination == "logs-ingestion";
        for kind in [RULE, TABLE, FUNCTION, ANALYTIC_RULE, WORKBOOK] {
            assert_eq!(
                !deployed.all(kind).is_empty(),
                is_table,
                "{destination} {kind}"
            );
        }
    }
}

#[test]
fn a_topic_gives_its_endpoint_and_takes_the_app_s_identity() {
    for (topic, endpoint) in [
        (
            TOPIC,
            "https://logs.uksouth-1.eventgrid.azure.net/api/events",
        ),
        (
            NAMESPACE_TOPIC,
            "https://acme.uksouth-1.eventgrid.azure.net/topics/logs",
        ),
    ] {
        let answers = answers(&[
            ("Destinations", "event-grid"),
            ("EventGridTopicResourceId", topic),
        ]);
        let found = app_settings(&Azure::default(), &answers);
        assert_eq!(found["EVENT_GRID_ENDPOINT"], endpoint);
        let deployed = deployed(&answers);
        let right = (Azure::default().principal, EVENT_GRID_DATA_SENDER, topic);
        assert!(rights(&deployed).contains(&right), "{topic}");
    }
    // Whoever gives only the endpoint must also give access.
    let mut answers = answers(&[
        ("Destinations", "event-grid"),
        ("EventGridTopicResourceId", ""),
    ]);
    assert!(of_them(app_settings(&Azure::default(), &answers)).is_empty());
    let endpoint = "https://a.uksouth-1.eventgrid.azure.net/api/events";
    let more = json!({"EVENT_GRID_ENDPOINT": endpoint});
    answers.push(("AdditionalSettings", more));
    assert_eq!(read(&answers).unwrap(), ["event-grid"]);
    let roles = rights(&deployed(&answers)).len();
    assert_eq!(roles, 4);
}

/// The name of a role assignment is unique in the whole directory, and the scope of an assignment cannot
/// change. So a deployment for another topic fails if it reuses the name of the assignment before.
#[test]
fn the_right_to_a_topic_is_called_otherwise_for_one_of_the_same_name_elsewhere() {
    let name = |topic: &str| {
        let deployed = deployed(&answers(&[
            ("Destinations", "event-grid"),
            ("EventGridTopicResourceId", topic),
        ]));
        let rights = deployed.all(ASSIGNMENT).into_iter();
        let mut names = rights.filter_map(|it| it.id.strip_prefix(topic));
        names.next().unwrap().to_owned()
    };
    assert_ne!(name(TOPIC), name(TOPIC_ELSEWHERE));
}

#[test]
fn an_archive_is_in_the_account_that_is_named_or_in_the_app_s_own() {
    let own = "https://auth0abc.blob.core.windows.net/auth0-logs";
    let named = "https://acmelogs.blob.core.windows.net/auth0-logs";
    let with_path = "https://acmelogs.blob.core.windows.net/auth0/logs";
    for (url, account, expected, container) in [
        ("", "", own, Some("auth0-logs")),
        ("", ACCOUNT, named, Some("auth0-logs")),
        (with_path, ACCOUNT, with_path, Some("auth0")),
        (with_path, "", with_path, None),
        ("s3://logs/a", "", "s3://logs/a", None),
        // A bucket is in no storage account, whichever one is named.
        ("s3://logs", ACCOUNT, "s3://logs", None),
    ] {
        let answers = answers(&[
            ("Destinations", "archive"),
            ("ArchiveUrl", url),
            ("ArchiveStorageAccountResourceId", account),
        ]);
        let found = app_settings(&Azure::default(), &answers);
        assert_eq!(found["ARCHIVE_URL"], expected);
        // AWS credentials open the bucket.
        assert_eq!(found.contains_key("AWS_REGION"), url.starts_with("s3:"));
        assert_eq!(read(&answers).unwrap(), ["archive"]);

        let deployed = deployed(&answers);
        let made = deployed.all(CONTAINER).into_iter().filter(|it| {
            let name = it.id.rsplit_once('/').unwrap().1;
            !["auth0-poller", "package"].contains(&name)
        });
        let made: Vec<_> = made.map(|it| &*it.id).collect();
        let account = match account {
            "" => &*deployed.state().id,
            named => named,
        };
        let container =
            container.map(|it| format!("{account}/blobServices/default/containers/{it}"));
        assert_eq!(made, container.iter().collect::<Vec<_>>(), "{url}");
        let principal = Azure::default().principal;
        if let Some(container) = &container {
            let right = (principal, BLOB_DATA_CONTRIBUTOR, &**container);
            assert!(rights(&deployed).contains(&right), "{url}");
        }
        assert_eq!(rights(&deployed).len(), 4 + container.iter().len(), "{url}");
    }
}

/// Otherwise the app would be refused there, at every run.
#[test]
fn an_archive_in_another_account_than_the_one_that_is_opened_is_not_deployed() {
    let made = |url: &str, account: &str| {
        let answers = answers(&[
            ("Destinations", "archive"),
            ("ArchiveUrl", url),
            ("ArchiveStorageAccountResourceId", account),
        ]);
        deployed_of(&template(), &Azure::default(), &answers)
    };
    for url in [
        "https://acme.blob.core.windows.net/logs",
        "https://acmelogs2.blob.core.windows.net/logs",
        "https://logs.acmelogs.blob.core.windows.net/logs",
    ] {
        let problem = made(url, ACCOUNT).err().unwrap();
        assert!(
            problem.contains("ArchiveUrl is in another storage account"),
            "{problem}"
        );
        assert!(made(url, "").is_ok(), "{url}");
    }
    for (url, account) in [
        ("https://ACMELOGS.blob.core.windows.net/logs", ACCOUNT),
        (
            "https://acmelogs.blob.core.windows.net/logs",
            &*format!("{ACCOUNT}/"),
        ),
        ("s3://logs", ACCOUNT),
    ] {
        assert!(made(url, account).is_ok(), "{url}");
    }
}

#[test]
fn a_secret_that_is_not_given_again_stays_the_one_that_is_there() {
    let answers = answers(&[("AwsSecretAccessKey", ""), ("TinybirdToken", "")]);
    let deployed = deployed(&answers);
    let made = deployed.all(SECRET).into_iter();
    let made: Vec<_> = made.map(|it| it.id.rsplit_once('/').unwrap().1).collect();
    assert_eq!(made, ["PiiKey", "AzureSentinelSharedKey", "ClientSecret"]);
    let settings = &deployed.one(super::SETTINGS).body["properties"];
    for (setting, secret) in [
        ("AWS_SECRET_ACCESS_KEY", "AwsSecretAccessKey"),
        ("TINYBIRD_TOKEN", "TinybirdToken"),
    ] {
        let reference = settings[setting].as_str().unwrap();
        let end = format!(".vault.azure.net/secrets/{secret}/)");
        assert!(reference.starts_with("@Microsoft.KeyVault(SecretUri=https://auth0-"));
        assert!(reference.ends_with(&end), "{reference}");
    }
}

#[test]
fn a_workspace_key_that_is_not_given_again_stays_the_one_that_is_there() {
    let deployed = deployed(&answers(&[("AzureSentinelSharedKey", "")]));
    let made = deployed.all(SECRET).into_iter();
    let made: Vec<_> = made.map(|it| it.id.rsplit_once('/').unwrap().1).collect();
    assert!(!made.contains(&"AzureSentinelSharedKey"), "{made:?}");
    let settings = &deployed.one(super::SETTINGS).body["properties"];
    let reference = settings["WorkspaceKey"].as_str().unwrap();
    let end = ".vault.azure.net/secrets/AzureSentinelSharedKey/)";
    assert!(reference.ends_with(end), "{reference}");
}

#[test]
fn secrets_and_roles_are_there_before_the_settings_that_need_them() {
    let deployed = deployed(&elsewhere());
    let settings = deployed.one(super::SETTINGS);
    for needed in [
        "/secrets/AwsSecretAccessKey",
        "/secrets/TinybirdToken",
        "-event-grid",
        "-archive",
    ] {
        assert!(
            settings.after.iter().any(|it| it.ends_with(needed)),
            "{needed}"
        );
    }
}

#[test]
fn settings_that_people_added_are_kept_and_win() {
    let before = settings(&[]);
    let mut answers = answers(&[]);
    let more = json!({
        // New settings, and two that the template makes as well.
        "OVERLAP": "2m",
        "FILTER_ARCHIVE": "security",
        "START_FROM": "oldest",
        "EVENT_BRIDGE_BUS": "another",
    });
    answers.push(("AdditionalSettings", more.clone()));
    let after = app_settings(&Azure::default(), &answers);
    for (name, value) in more.as_object().unwrap() {
        assert_eq!(&after[name], value, "{name}");
    }
    assert_eq!(after.len(), before.len() + 2);
    for (name, value) in before {
        if !more.as_object().unwrap().contains_key(&name) {
            assert_eq!(after[&name], value, "{name}");
        }
    }
    assert_eq!(read(&answers).unwrap().len(), 6);
}
