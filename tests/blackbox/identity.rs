//! Checkpoints in Azure Blob Storage, opened by a managed identity: real Azurite over HTTPS, and a
//! stand-in for the platform's identity endpoint.

use simulator::{Azurite, Fault, ManagedIdentity, identity};

use crate::world::{FUNCTION, Sink, World, minutes_ago, numbers};

const STORAGE: &str = "https://storage.azure.com";
const USER_ASSIGNED: &str = "11111111-2222-4333-8444-555555555555";

async fn world(azurite: &Azurite, identity: &ManagedIdentity) -> World {
    let mut world = World::start().await;
    world.set("AzureWebJobsStorage__blobServiceUri", &azurite.endpoint());
    world.set("SSL_CERT_FILE", &azurite.certificate());
    world.set_all(identity.environment());
    world
}

#[tokio::test]
async fn an_identity_is_enough_to_keep_checkpoints() {
    let azurite = Azurite::start_with_identities().await;
    let identity = ManagedIdentity::start(STORAGE).await;
    let world = world(&azurite, &identity).await;
    world.tenant.generate(10, minutes_ago(50), minutes_ago(5));
    world.poll().await;
    assert_eq!(numbers(&world.poll().await, ["delivered"]), [0]);
    world.assert_all_landed_once();
}

#[tokio::test]
async fn what_goes_over_tls_goes_through_the_proxy_that_the_environment_names() {
    let azurite = Azurite::start_with_identities().await;
    let identity = ManagedIdentity::start(STORAGE).await;
    let mut world = world(&azurite, &identity).await;
    world.set("RUN_BUDGET", "1s");
    world.set("https_proxy", "http://127.0.0.1:9");
    let ran = world.command(&["poll"]).await;
    assert_eq!(ran.code(), 1);
    assert!(ran.stdout.contains("Connection refused"), "{ran:?}");

    world.set("NO_PROXY", "127.0.0.1");
    world.poll().await;
    for proxy in ["::", "socks5://127.0.0.1:9"] {
        world.set("HTTPS_PROXY", proxy);
        let ran = world.command(&["poll"]).await;
        // The message says what a proxy's URL looks like.
        let told = "HTTPS_PROXY is not the URL of a proxy such as http://proxy:8080";
        assert!(ran.stderr.contains(told), "{ran:?}");
    }
}

#[tokio::test]
async fn a_token_for_something_else_is_refused_before_anything_is_read() {
    let azurite = Azurite::start_with_identities().await;
    let identity = ManagedIdentity::start("https://vault.azure.net").await;
    let mut world = world(&azurite, &identity).await;
    world.set("RUN_BUDGET", "1s");
    let ran = world.command(&["poll"]).await;
    assert_eq!(ran.code(), 1);
    assert!(
        ran.stdout
            .contains("reading the checkpoint https://127.0.0.1"),
        "{ran:?}"
    );
    assert_eq!(world.tenant.token_requests(), 0);
}

#[tokio::test]
async fn an_identity_that_is_not_ready_is_waited_for_within_the_run() {
    let azurite = Azurite::start_with_identities().await;
    let endpoint = ManagedIdentity::start(STORAGE).await;
    let mut world = world(&azurite, &endpoint).await;
    world.tenant.generate(10, minutes_ago(50), minutes_ago(5));
    endpoint.fail([identity::not_ready(), Fault::Drop, identity::failed()]);
    world.poll().await;
    world.assert_all_landed_once();
    assert_eq!(endpoint.requests(), 4);

    world.set("RUN_BUDGET", "2s");
    endpoint.fail(vec![identity::not_ready(); 50]);
    let ran = world.command(&["poll"]).await;
    assert_eq!(ran.code(), 1);
    for telling in [
        "reading the checkpoint https://127.0.0.1",
        "the platform refuses the app's identity a token for https://storage.azure.com",
        "an identity that was turned on just now is ready some minutes later",
    ] {
        assert!(ran.stdout.contains(telling), "{telling}: {ran:?}");
    }
}

#[tokio::test]
async fn an_app_without_an_identity_is_told_to_turn_it_on() {
    let azurite = Azurite::start_with_identities().await;
    let endpoint = ManagedIdentity::start(STORAGE).await;
    let mut world = world(&azurite, &endpoint).await;
    endpoint.fail([identity::not_found()]);
    let ran = world.command(&["poll"]).await;
    assert_eq!(ran.code(), 1);
    let telling = "turn the Function App's system-assigned identity on";
    assert!(ran.stdout.contains(telling), "{ran:?}");
    assert_eq!(endpoint.requests(), 1);
    assert_eq!(world.tenant.token_requests(), 0);

    world.set("AzureWebJobsStorage__clientId", USER_ASSIGNED);
    let ran = world.command(&["check"]).await;
    assert_eq!(ran.code(), 1);
    let line = "FAILED     storage: https://127.0.0.1";
    assert!(ran.stdout.contains(line), "{ran:?}");
    let telling = "correct the client id of the user-assigned one";
    assert!(ran.stdout.contains(telling), "{ran:?}");

    world.set("IDENTITY_ENDPOINT", "");
    let ran = world.command(&["poll"]).await;
    assert_eq!(ran.code(), 2);
    let telling = "AzureWebJobsStorage__blobServiceUri needs a managed identity, and there is none";
    assert!(ran.stderr.contains(telling), "{ran:?}");
}

#[tokio::test]
async fn an_identity_assigned_by_the_user_is_asked_for_by_its_client_id() {
    let azurite = Azurite::start_with_identities().await;
    let endpoint = ManagedIdentity::with(identity::Options {
        client_id: Some(USER_ASSIGNED),
        ..identity::Options::default()
    })
    .await;
    let mut world = world(&azurite, &endpoint).await;
    world.set("AzureWebJobsStorage__clientId", USER_ASSIGNED);
    world.tenant.generate(10, minutes_ago(50), minutes_ago(5));
    world.poll().await;
    world.assert_all_landed_once();
}

/// One identity, one token for each service, and no secret in the settings but Auth0's.
#[tokio::test]
async fn one_identity_keeps_checkpoints_and_delivers() {
    let azurite = Azurite::start_with_identities().await;
    let mut world = World::start_for(Sink::LogsIngestion).await;
    world.set("AzureWebJobsStorage__blobServiceUri", &azurite.endpoint());
    world.set("SSL_CERT_FILE", &azurite.certificate());
    let host = world.host().await;
    for minutes in [50, 40, 30] {
        world
            .tenant
            .generate(10, minutes_ago(minutes), minutes_ago(minutes - 5));
        host.fire(FUNCTION).await.report();
    }
    world.assert_all_landed_once();
    assert_eq!(world.identity.requests(), 2);
}
