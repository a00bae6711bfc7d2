//! Checkpoints in Azure Blob Storage, opened by a managed identity: real Azurite over HTTPS, and a
//! stand-in for the platform's identity endpoint.

use simulator::{Azurite, ManagedIdentity};

use crate::world::{World, minutes_ago, numbers};

const STORAGE: &str = "https://storage.azure.com";

async fn world(azurite: &Azurite, identity: &ManagedIdentity) -> World {
    let mut world = World::start().await;
    world.set("AzureWebJobsStorage__blobServiceUri", &azurite.endpoint());
    world.set("SSL_CERT_FILE", &azurite.certificate());
    world.settings.extend(identity.environment());
    world.keep_secret(ManagedIdentity::secrets());
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
    world.set("HTTPS_PROXY", "::");
    let ran = world.command(&["poll"]).await;
    assert!(
        ran.stderr.contains("HTTPS_PROXY is not the URL of a proxy"),
        "{ran:?}"
    );
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
