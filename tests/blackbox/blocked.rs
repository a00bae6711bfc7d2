//! Something on the way to a destination blocks what one record holds.

use simulator::Fault;

use crate::world::{Sink, World, for_each_judge, minutes_ago, numbers};

for_each_judge![
    a_record_for_which_something_on_the_way_blocks_each_post_is_set_aside,
    where_something_on_the_way_blocks_every_post_nothing_is_set_aside,
];

/// How something on the way may answer in place of the service.
fn blocks() -> [Fault; 3] {
    let page = "<html>Blocked by policy</html>";
    [
        Fault::answer(200, page),
        Fault::answer(202, page),
        Fault::Answer {
            status: 302,
            headers: vec![("location", "https://proxy.example/blocked".into())],
            body: "".into(),
        },
    ]
}

async fn a_record_for_which_something_on_the_way_blocks_each_post_is_set_aside(sink: Sink) {
    for block in blocks() {
        let mut world = World::start_for(sink).await;
        world.set("START_FROM", "6h");
        let ids = world
            .tenant
            .generate(30, minutes_ago(150), minutes_ago(120));
        world.arrivals().block(&ids[7], block.clone());
        let report = world.command(&["poll"]).await.report();
        let counts = numbers(&report, ["delivered", "dead_lettered"]);
        assert_eq!(counts, [29, 1], "{block:?}: {report}");
        let report = world.poll().await;
        assert_eq!(report["caught_up"], true);
        let mut landed = world.arrivals().landed();
        landed.push(ids[7].clone());
        landed.sort();
        assert_eq!(landed, world.tenant.log_ids());
    }
}

async fn where_something_on_the_way_blocks_every_post_nothing_is_set_aside(sink: Sink) {
    for block in blocks() {
        let mut world = World::start_for(sink).await;
        world.set("START_FROM", "6h");
        world
            .tenant
            .generate(30, minutes_ago(150), minutes_ago(120));
        world.arrivals().block("log_id", block.clone());
        for _ in 0..2 {
            let ran = world.command(&["poll"]).await;
            assert_eq!(ran.code(), 1, "{ran:?}");
            let counts = numbers(&ran.report(), ["delivered", "dead_lettered"]);
            assert_eq!(counts, [0, 0], "{block:?}");
        }
        world.arrivals().relent();
        world.poll().await;
        world.assert_all_landed_once();
    }
}
