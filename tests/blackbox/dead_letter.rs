//! The commands for what was set aside.

use serde_json::Value;
use simulator::Azurite;

use crate::world::{Sink, World, for_each_destination, minutes_ago, numbers};

for_each_destination![
    dead_letters_in_a_folder_can_be_looked_at_and_delivered,
    dead_letters_in_a_storage_account_can_be_looked_at_and_delivered,
    a_record_that_has_no_row_stays_where_it_is,
];

/// Sets two records aside, looks at them and delivers them after all.
async fn look_and_retry(world: World) {
    let none = world.command(&["dead-letter", "list"]).await;
    assert_eq!((none.code(), &*none.stdout), (0, ""), "{none:?}");
    assert!(none.stderr.contains("no record is set aside"), "{none:?}");
    let none = world.command(&["dead-letter", "retry"]).await;
    assert_eq!(none.code(), 0);
    assert!(none.stderr.contains("no record is set aside"), "{none:?}");

    let mut ids = world.tenant.generate(50, minutes_ago(50), minutes_ago(5));
    ids.sort();
    let culprits = [&ids[10], &ids[40]];
    for id in culprits {
        world.arrivals().refuse(id);
    }
    assert_eq!(
        numbers(&world.poll().await, ["delivered", "dead_lettered"]),
        [48, 2]
    );

    let list = world.command(&["dead-letter", "list"]).await;
    let lines: Vec<_> = list.stdout.lines().collect();
    assert_eq!(lines.len(), 2, "{list:?}");
    for (line, id) in lines.iter().zip(culprits) {
        assert!(line.starts_with(id.as_str()), "{line}");
        assert!(line.contains(world.sink.refusal()), "{line}");
    }
    let show = world.command(&["dead-letter", "show", culprits[0]]).await;
    let shown: Value = serde_json::from_str(&show.stdout).unwrap();
    assert_eq!(shown["record"]["log_id"], **culprits[0]);
    for nothing in ["9", "../log-analytics", ""] {
        let show = world.command(&["dead-letter", "show", nothing]).await;
        assert_eq!((show.code(), &*show.stdout), (1, ""));
    }

    let refused = world.command(&["dead-letter", "retry"]).await;
    assert_eq!(refused.code(), 1);
    assert_eq!(refused.stdout.matches("not delivered: ").count(), 2);
    world.arrivals().relent();
    let one = world.command(&["dead-letter", "retry", culprits[1]]).await;
    assert_eq!(one.stdout, format!("{}  delivered\n", culprits[1]));
    let rest = world.command(&["dead-letter", "retry"]).await;
    assert_eq!(rest.stdout, format!("{}  delivered\n", culprits[0]));
    assert_eq!(world.command(&["dead-letter", "list"]).await.stdout, "");
    world.assert_all_landed_once();
}

async fn dead_letters_in_a_folder_can_be_looked_at_and_delivered(sink: Sink) {
    look_and_retry(World::start_for(sink).await).await;
}

async fn dead_letters_in_a_storage_account_can_be_looked_at_and_delivered(sink: Sink) {
    let azurite = Azurite::start().await;
    let mut world = World::start_for(sink).await;
    world.set("AzureWebJobsStorage", &azurite.connection_string());
    world.keep_secret(Azurite::secrets());
    look_and_retry(world).await;
}

async fn a_record_that_has_no_row_stays_where_it_is(sink: Sink) {
    let world = World::start_for(sink).await;
    let date = minutes_ago(10);
    let padding = "x".repeat(5_000_000);
    let record = serde_json::json!({"date": date, "padding": padding});
    let id = world.tenant.add(record, date);
    world.poll().await;
    let retry = world.command(&["dead-letter", "retry"]).await;
    assert_eq!(retry.code(), 1);
    let expected = format!("{id}  not delivered: what has no column of its own takes 5000");
    assert!(retry.stdout.starts_with(&expected), "{}", retry.stdout);
    let list = world.command(&["dead-letter", "list"]).await;
    assert!(list.stdout.starts_with(&id), "{}", list.stdout);
}
