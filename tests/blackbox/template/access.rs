//! Who may do what with what the template makes, what is logged, and what can be restored.

use std::collections::BTreeSet;

use serde_json::json;

use super::resource_manager::{Azure, Deployed, TENANT, WORKSPACE};
use super::{
    ASSIGNMENT, BLOBS, COMPONENT, DIAGNOSTICS, LIFE, RULE, SETTINGS, SITE, VAULT, deployed,
    deployed_of, name, template,
};

#[test]
fn storage_and_key_vault_are_closed_to_all_but_identities() {
    let deployed = deployed(&[]);
    for account in [deployed.state(), deployed.package()] {
        let storage = &account.body["properties"];
        assert_eq!(storage["allowSharedKeyAccess"], false);
        assert_eq!(storage["allowBlobPublicAccess"], false);
        assert_eq!(storage["minimumTlsVersion"], "TLS1_2");
        assert_eq!(storage["supportsHttpsTrafficOnly"], true);
        let container = deployed.container_of(account);
        assert_eq!(container.body["properties"]["publicAccess"], "None");
    }

    let vault = &deployed.one(VAULT).body["properties"];
    assert_eq!(vault["tenantId"], TENANT);
    assert_eq!(vault["enableRbacAuthorization"], true);
    assert_eq!(vault["enableSoftDelete"], true);
    assert_eq!(vault["enablePurgeProtection"], true);
}

/// The role assignments: who has which role on what.
pub fn rights(deployed: &Deployed) -> BTreeSet<(&str, &str, &str)> {
    let assignments = deployed.all(ASSIGNMENT).into_iter();
    assignments
        .map(|it| {
            let properties = &it.body["properties"];
            assert_eq!(properties["principalType"], "ServicePrincipal");
            let (scope, _) = it
                .id
                .split_once("/providers/Microsoft.Authorization/")
                .unwrap();
            let role = properties["roleDefinitionId"].as_str().unwrap();
            let principal = properties["principalId"].as_str().unwrap();
            (principal, role.rsplit_once('/').unwrap().1, scope)
        })
        .collect()
}

#[test]
fn the_app_may_use_its_storage_read_its_secrets_and_publish_and_no_more() {
    const BLOB_DATA_OWNER: &str = "b7e6dc6d-f1e8-4753-8033-0f276bb0955b";
    const BLOB_DATA_CONTRIBUTOR: &str = "ba92f5b4-2d11-453d-a403-e96b0029c9fe";
    const SECRETS_USER: &str = "4633458b-17de-408a-b874-0445c86b69e6";
    const METRICS_PUBLISHER: &str = "3913510d-42f4-4e42-8a64-420c390055eb";
    for (destinations, uses_rule) in [
        ("log-analytics", false),
        ("logs-ingestion", true),
        ("log-analytics,logs-ingestion", true),
    ] {
        let deployed = deployed(&[("Destinations", json!(destinations))]);
        let principal = Azure::default().principal;
        let mut expected = BTreeSet::from([
            // The host needs the whole account for its state.
            (principal, BLOB_DATA_OWNER, &*deployed.state().id),
            // The platform stores the package there with the app's identity.
            (
                principal,
                BLOB_DATA_CONTRIBUTOR,
                &*deployed.container_of(deployed.package()).id,
            ),
            (principal, SECRETS_USER, &deployed.one(VAULT).id),
            (principal, METRICS_PUBLISHER, &deployed.one(COMPONENT).id),
        ]);
        if uses_rule {
            expected.insert((principal, METRICS_PUBLISHER, &deployed.one(RULE).id));
        }
        assert_eq!(rights(&deployed), expected, "{destinations}");
    }
}

/// A right to checkpoints and dead letters must not be a right to replace the program.
#[test]
fn the_package_lies_where_nothing_else_does() {
    let deployed = deployed(&[]);
    let (state, package) = (deployed.state(), deployed.package());
    let settings = &deployed.one(SETTINGS).body["properties"];
    let host = settings["AzureWebJobsStorage__blobServiceUri"].as_str();
    assert_eq!(host, Some("https://auth0abc.blob.core.windows.net/"));
    let site = &deployed.one(SITE).body["properties"]["functionAppConfig"];
    let from = site["deployment"]["storage"]["value"].as_str();
    assert_eq!(
        from,
        Some("https://auth0pkgabc.blob.core.windows.net/package")
    );
    assert!(deployed.container_of(package).id.ends_with("/package"));
    // The container for checkpoints exists so that a role can be limited to it.
    assert!(deployed.container_of(state).id.ends_with("/auth0-poller"));
    // Another deployment under the same name finds its checkpoints where they were.
    let unique = name(state).strip_prefix("auth0").unwrap();
    assert_eq!(name(package), format!("auth0pkg{unique}"));
    assert!(name(deployed.one(VAULT)).ends_with(unique));
}

#[test]
fn what_is_overwritten_or_deleted_can_be_had_again_for_a_week() {
    let deployed = deployed(&[]);
    for account in [deployed.state(), deployed.package()] {
        let within = |kind| {
            let found = deployed.all(kind).into_iter();
            let mut found = found.filter(|it| it.id.starts_with(&format!("{}/", account.id)));
            &found.next().unwrap().body["properties"]
        };
        let blobs = within(BLOBS);
        assert_eq!(blobs["isVersioningEnabled"], true);
        for policy in ["deleteRetentionPolicy", "containerDeleteRetentionPolicy"] {
            assert_eq!(blobs[policy], json!({"enabled": true, "days": 7}));
        }
        // Only versions are deleted. The host's blobs stay, whatever their age.
        let rules = &within(LIFE)["policy"]["rules"];
        assert_eq!(rules.as_array().unwrap().len(), 1);
        assert_eq!(
            rules[0]["definition"]["actions"],
            json!({"version": {"delete": {"daysAfterCreationGreaterThan": 7}}})
        );
    }
}

#[test]
fn who_uses_storage_and_key_vault_is_logged_if_wanted() {
    assert_eq!(deployed(&[]).all(DIAGNOSTICS).len(), 0);
    let deployed = deployed(&[("DiagnosticLogs", json!(true))]);
    let mut logged = BTreeSet::new();
    for setting in deployed.all(DIAGNOSTICS) {
        let (of, _) = setting
            .id
            .split_once("/providers/Microsoft.Insights/")
            .unwrap();
        let properties = &setting.body["properties"];
        assert_eq!(properties["workspaceId"], WORKSPACE);
        for log in properties["logs"].as_array().unwrap() {
            assert_eq!(log["enabled"], true);
            logged.insert((of.to_owned(), log["category"].as_str().unwrap()));
        }
    }
    let mut expected = BTreeSet::from([(deployed.one(VAULT).id.clone(), "AuditEvent")]);
    for account in [deployed.state(), deployed.package()] {
        for category in ["StorageRead", "StorageWrite", "StorageDelete"] {
            expected.insert((format!("{}/blobServices/default", account.id), category));
        }
    }
    assert_eq!(logged, expected);
}

#[test]
fn the_data_collection_rule_logs_what_it_drops_if_wanted_and_if_there_is_one() {
    let wanted = ("RuleDiagnostics", json!(true));
    let by_key = [wanted.clone(), ("Destinations", json!("log-analytics"))];
    assert_eq!(deployed(&by_key).all(DIAGNOSTICS).len(), 0);
    let deployed = deployed(&[wanted, ("Destinations", json!("logs-ingestion"))]);
    let setting = deployed.one(DIAGNOSTICS);
    let of = format!("{}/providers/Microsoft.Insights/", deployed.one(RULE).id);
    assert!(setting.id.starts_with(&of), "{}", setting.id);
    let properties = &setting.body["properties"];
    assert_eq!(properties["workspaceId"], WORKSPACE);
    let logs = json!([{"category": "LogErrors", "enabled": true}]);
    let metrics = json!([{"category": "AllMetrics", "enabled": true}]);
    assert_eq!(
        (&properties["logs"], &properties["metrics"]),
        (&logs, &metrics)
    );
}

#[test]
fn an_app_that_was_made_again_gets_rights_of_its_own() {
    // An assignment cannot change its principal, so another principal needs another assignment.
    let ids = |principal| -> BTreeSet<_> {
        let azure = Azure {
            principal,
            ..Azure::default()
        };
        let deployed = deployed_of(&template(), &azure, &[]).unwrap();
        let assignments = deployed.all(ASSIGNMENT).into_iter();
        assignments.map(|it| it.id.clone()).collect()
    };
    let first = ids("44444444-4444-4444-4444-444444444444");
    assert_eq!(first, ids("44444444-4444-4444-4444-444444444444"));
    assert!(first.is_disjoint(&ids("55555555-5555-5555-5555-555555555555")));
}
