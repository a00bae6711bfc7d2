//! Checkpoints in Azure Blob Storage, against the real emulator.

use simulator::Azurite;

use crate::world::{FUNCTION, World, minutes_ago, numbers};

async fn world(connection_string: &str) -> World {
    let mut world = World::start().await;
    world.set("AzureWebJobsStorage", connection_string);
    world.keep_secret(Azurite::secrets());
    world
}

#[tokio::test]
async fn a_run_resumes_where_another_process_stopped() {
    let azurite = Azurite::start().await;
    let world = world(&azurite.connection_string()).await;
    world
        .tenant
        .generate(1_500, minutes_ago(50), minutes_ago(5));
    assert_eq!(numbers(&world.poll().await, ["delivered"]), [1_500]);

    let host = world.host().await;
    assert_eq!(
        numbers(&host.fire(FUNCTION).await.report(), ["delivered"]),
        [0]
    );
    world.tenant.generate(130, minutes_ago(4), minutes_ago(3));
    assert_eq!(
        numbers(&host.fire(FUNCTION).await.report(), ["delivered"]),
        [130]
    );
    world.assert_all_landed_once();

    let show = world.command(&["checkpoint", "show"]).await;
    let newest = world.tenant.log_ids().pop().unwrap();
    assert!(show.stdout.contains(&newest), "{show:?}");
}

#[tokio::test]
async fn the_first_save_makes_the_container_and_a_signature_is_enough() {
    let azurite = Azurite::start().await;
    let world = world(&azurite.sas_connection_string("rwdlac")).await;
    world.tenant.generate(10, minutes_ago(50), minutes_ago(5));
    world.poll().await;
    assert_eq!(numbers(&world.poll().await, ["delivered"]), [0]);

    let check = world.command(&["check"]).await;
    let endpoint = azurite.endpoint();
    let line =
        format!("ok         storage: {endpoint}/auth0-poller/check.txt was read and written");
    assert!(check.stdout.contains(&line), "{check:?}");
}

#[tokio::test]
async fn a_signature_that_may_not_write_fails_the_run_and_says_so() {
    let azurite = Azurite::start().await;
    let world = world(&azurite.sas_connection_string("r")).await;
    world.tenant.generate(10, minutes_ago(50), minutes_ago(5));
    let ran = world.command(&["poll"]).await;
    assert_eq!(ran.code(), 1);
    assert!(
        ran.stdout
            .contains("saving the checkpoint http://127.0.0.1"),
        "{ran:?}"
    );
    assert!(
        ran.stdout
            .contains("refuses the key, signature or identity"),
        "{ran:?}"
    );
}

#[tokio::test]
async fn without_storage_nothing_is_read() {
    let azurite = Azurite::start().await;
    let gone = azurite.connection_string();
    drop(azurite);
    let mut world = world(&gone).await;
    world.set("RUN_BUDGET", "1s");
    let ran = world.command(&["poll"]).await;
    assert_eq!(ran.code(), 1);
    assert!(
        ran.stdout
            .contains("reading the checkpoint http://127.0.0.1"),
        "{ran:?}"
    );
    assert_eq!(
        world.tenant.token_requests() + world.tenant.log_requests(),
        0
    );
}

#[tokio::test]
async fn of_two_pollers_one_gives_way_and_nothing_is_lost() {
    let azurite = Azurite::start().await;
    let world = world(&azurite.connection_string()).await;
    world
        .tenant
        .generate(10_000, minutes_ago(50), minutes_ago(5));
    let (one, other) = tokio::join!(world.command(&["poll"]), world.command(&["poll"]));
    let gave_way: Vec<_> = [&one, &other]
        .into_iter()
        .filter(|ran| ran.stdout.contains("another poller saved the checkpoint"))
        .collect();
    assert_eq!(gave_way.len(), 1, "{one:?} {other:?}");
    assert_eq!(gave_way[0].code(), 1);

    let mut landed = world.workspace.landed();
    landed.sort();
    landed.dedup();
    assert_eq!(landed, world.tenant.log_ids());
}
