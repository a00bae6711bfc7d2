//! Checkpoints in Azure Blob Storage, against the real emulator.

use simulator::{Azurite, Fault, Gate};

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
        ran.stdout.contains("the signature does not allow this"),
        "{ran:?}"
    );
    let code = "403 AuthorizationPermissionMismatch: This request is not authorized";
    assert!(ran.stdout.contains(code), "{ran:?}");
}

#[tokio::test]
async fn without_storage_nothing_is_read() {
    let azurite = Azurite::start().await;
    let gone = [
        azurite.connection_string(),
        azurite.sas_connection_string("rwdlac"),
    ];
    drop(azurite);
    for connection_string in gone {
        let mut world = world(&connection_string).await;
        world.set("RUN_BUDGET", "1s");
        let ran = world.command(&["poll"]).await;
        assert_eq!(ran.code(), 1);
        let expected = "reading the checkpoint http://127.0.0.1";
        assert!(ran.stdout.contains(expected), "{ran:?}");
        let requests = world.tenant.token_requests() + world.tenant.log_requests();
        assert_eq!(requests, 0);
    }
}

#[tokio::test]
async fn of_two_pollers_one_gives_way_and_nothing_is_lost() {
    let azurite = Azurite::start().await;
    let world = world(&azurite.connection_string()).await;
    world
        .tenant
        .generate(1_500, minutes_ago(50), minutes_ago(5));
    let gate = Gate::closed();
    world.workspace.fail([Fault::Wait(gate.clone())]);
    let other = async {
        // During the first post of one poller, the other makes a whole run.
        world.workspace.wait_for_post(1).await;
        let report = world.poll().await;
        gate.open();
        report
    };
    let (one, other) = tokio::join!(world.command(&["poll"]), other);
    assert_eq!(numbers(&other, ["delivered"]), [1_500]);
    assert_eq!(one.code(), 1);
    let reason = "was changed or removed by something else during this run";
    assert!(one.stdout.contains(reason), "{one:?}");

    let mut landed = world.workspace.landed();
    assert_eq!(landed.len(), 2_500, "one batch twice");
    landed.sort();
    landed.dedup();
    assert_eq!(landed, world.tenant.log_ids());
}

#[tokio::test]
async fn a_poller_that_lost_the_checkpoint_posts_nothing() {
    let azurite = Azurite::start().await;
    let world = world(&azurite.connection_string()).await;
    world.poll().await;
    world.tenant.generate(10, minutes_ago(50), minutes_ago(5));
    let gate = Gate::closed();
    world.tenant.fail_logs([Fault::Wait(gate.clone())]);
    let before = world.tenant.log_requests();
    let other = async {
        // The first poller has read the checkpoint and waits for its first page.
        world.tenant.wait_for_log_request(before + 1).await;
        world.poll().await;
        gate.open();
    };
    let (one, ()) = tokio::join!(world.command(&["poll"]), other);
    assert_eq!(one.code(), 1, "{one:?}");
    world.assert_all_landed_once();
}
