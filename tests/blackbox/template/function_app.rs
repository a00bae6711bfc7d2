//! The function app: its plan, its package, its log, and what it waits for.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::resource_manager::{LOCATION, Resource, WORKSPACE};
use super::{
    COMPONENT, CONTAINER, DEPLOYMENT, PACKAGE, PACKAGE_URI, PASSWORDS, PLAN, RULE, SECRET,
    SETTINGS, SITE, deployed, name, parsed,
};

#[test]
fn the_function_app_is_one_of_flex_consumption() {
    let deployed = deployed(&[]);
    let plan = deployed.one(PLAN);
    assert_eq!(
        plan.body["sku"],
        json!({"name": "FC1", "tier": "FlexConsumption"})
    );
    assert_eq!(plan.body["properties"]["reserved"], true);
    let site = &deployed.one(SITE).body;
    assert_eq!(site["kind"], "functionapp,linux");
    assert_eq!(site["identity"], json!({"type": "SystemAssigned"}));
    let site = &site["properties"];
    assert_eq!(site["serverFarmId"], *plan.id);
    assert_eq!(site["httpsOnly"], true);
    // The plan refuses most of what other plans take here: error 51021. That includes `alwaysOn`
    // and, though scanners ask for it, `ftpsState`. FTP is closed by having no password, below. App
    // settings here and in the resource of their own would replace each other.
    assert_eq!(site["siteConfig"], json!({"minTlsVersion": "1.2"}));
    let config = &site["functionAppConfig"];
    assert_eq!(
        config["runtime"],
        json!({"name": "custom", "version": "1.0"})
    );
    assert_eq!(
        config["deployment"]["storage"],
        json!({
            "type": "blobContainer",
            "value": "https://auth0pkgabc.blob.core.windows.net/package",
            "authentication": {"type": "SystemAssignedIdentity"},
        })
    );
    let scale = &config["scaleAndConcurrency"];
    assert!(
        [512, 2048, 4096]
            .map(Value::from)
            .contains(&scale["instanceMemoryMB"])
    );
    assert!(scale["maximumInstanceCount"].as_u64() >= Some(40));

    let mut closed = BTreeSet::new();
    for policy in deployed.all(PASSWORDS) {
        assert_eq!(policy.body["properties"]["allow"], false);
        closed.insert(name(policy).rsplit_once('/').unwrap().1);
    }
    assert_eq!(closed, BTreeSet::from(["ftp", "scm"]));
}

#[test]
fn the_package_is_fetched_from_where_the_answer_says_if_anywhere() {
    let with_package = deployed(&[]);
    let package = with_package.one(PACKAGE);
    assert_eq!(name(package).rsplit_once('/').unwrap().1, "onedeploy");
    assert_eq!(
        package.body["properties"],
        json!({"packageUri": PACKAGE_URI, "remoteBuild": false})
    );
    // The address may hold a signature, so it must stand nowhere else.
    let elsewhere = with_package.resources.iter();
    let mut elsewhere = elsewhere.filter(|it| it.kind != PACKAGE);
    assert!(elsewhere.all(|it| !it.body.to_string().contains(PACKAGE_URI)));
    let outputs = json!(with_package.outputs).to_string();
    assert!(!outputs.contains(PACKAGE_URI));
    assert_eq!(deployed(&[("PackageUri", json!(""))]).all(PACKAGE).len(), 0);
}

#[test]
fn the_function_s_log_goes_to_the_workspace() {
    let deployed = deployed(&[]);
    let component = &deployed.one(COMPONENT).body["properties"];
    assert_eq!(component["WorkspaceResourceId"], WORKSPACE);
}

#[test]
fn only_the_app_writes_its_log_and_its_reports_are_all_there() {
    let deployed = deployed(&[]);
    let component = &deployed.one(COMPONENT).body["properties"];
    assert_eq!(component["DisableLocalAuth"], true);
    let settings = &deployed.one(SETTINGS).body["properties"];
    assert_eq!(
        settings["APPLICATIONINSIGHTS_AUTHENTICATION_STRING"],
        "Authorization=AAD"
    );
    // Each line of the log is a trace, and reports are lines, so traces must not be sampled.
    let host = parsed("host.json");
    let sampling = &host["logging"]["applicationInsights"]["samplingSettings"];
    let excluded = sampling["excludedTypes"].as_str().unwrap().split(';');
    assert!(excluded.into_iter().any(|it| it == "Trace"), "{sampling}");
}

#[test]
fn what_has_a_place_is_in_the_group_s_region_or_another_if_wanted() {
    for (answers, location) in [
        (&[][..], LOCATION),
        (&[("Location", json!("uksouth"))], "uksouth"),
    ] {
        for resource in deployed(answers).resources {
            // A data collection rule has to be in the region of its workspace.
            if resource.kind != RULE
                && let Some(it) = resource.body.get("location")
            {
                assert_eq!(it, location, "{}", resource.id);
            }
        }
    }
}

#[test]
fn things_are_there_before_they_are_needed() {
    let deployed = deployed(&[]);
    let one = |kind: &str, end: &str| {
        let mut found = deployed
            .all(kind)
            .into_iter()
            .filter(|it| it.id.ends_with(end));
        let first = found.next();
        assert_eq!(found.count(), 0, "{kind} {end}");
        first.unwrap_or_else(|| panic!("no {kind} {end}"))
    };
    let roles = one(DEPLOYMENT, "-roles");
    // The identity, then its rights, then the settings that need them, then the program. A resource
    // that reads the state of another must wait for it, or the whole deployment fails.
    for (first, second) in [
        (one(CONTAINER, "/package"), one(SITE, "")),
        (one(SECRET, "/ClientSecret"), one(SETTINGS, "")),
        (one(SECRET, "/AzureSentinelSharedKey"), one(SETTINGS, "")),
        (roles, one(SETTINGS, "")),
        (roles, one(PACKAGE, "")),
        (one(SETTINGS, ""), one(PACKAGE, "")),
    ] {
        let Resource { id, after, .. } = second;
        assert!(
            after.contains(&first.id),
            "{id} does not wait for {}",
            first.id
        );
    }
    // Two changes of one site at the same time may end in a conflict.
    let site = &one(SITE, "").id;
    let changes = deployed
        .resources
        .iter()
        .filter(|it| it.id.starts_with(site));
    let changes: Vec<_> = changes.collect();
    assert_eq!(changes.len(), 5);
    for one in &changes {
        for other in &changes {
            let is_apart = one.after.contains(&other.id) || other.after.contains(&one.id);
            assert!(
                one.id == other.id || is_apart,
                "{} and {}",
                one.id,
                other.id
            );
        }
    }
}
