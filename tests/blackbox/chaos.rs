//! Everything at once: the process is killed again and again, the storage goes away, and calls
//! fail.

use std::collections::BTreeSet;

use simulator::host::{Level, Outcome, State};
use simulator::{Azurite, FunctionsHost};

use crate::world::{FUNCTION, Sink, World, for_each_destination, minutes_ago};

for_each_destination![kills_outages_and_failing_calls_lose_nothing_and_repeat_a_batch_each_at_most];

/// Average number of records between two kills.
const RECORDS: usize = 667;
/// Rows in a post.
const BATCH: usize = 1_000;
/// The share of calls to the tenant and to the workspace that fail.
const FAILING: f64 = 0.1;
const SEED: u64 = 10;

async fn kills_outages_and_failing_calls_lose_nothing_and_repeat_a_batch_each_at_most(sink: Sink) {
    // What happens between kills hardly depends on the destination, and takes time.
    let kills = match sink {
        Sink::LogAnalytics => 30,
        _ => 10,
    };
    // The kills before which the storage goes away.
    let [first, second, third] = [1, 2, 3].map(|quarter| quarter * (kills / 4));
    let mut azurite = Azurite::start().await;
    let mut world = World::start_for(sink).await;
    world.set("AzureWebJobsStorage", &azurite.connection_string());
    // With this budget a save that fails is given up within seconds.
    world.set("RUN_BUDGET", "4s");
    world.keep_secret(Azurite::secrets());
    world
        .tenant
        .generate(RECORDS * kills, minutes_ago(55), minutes_ago(2));
    world.tenant.fail_at_random(SEED, FAILING);
    world.arrivals().fail_at_random(SEED + 2, FAILING);
    let host = world.host().await;
    let mut rng = fastrand::Rng::with_seed(SEED);

    let mut outages = 0;
    // What can repeat a batch: a kill, an outage of the storage, a lost answer.
    let excuses = |kills: usize, outages: usize| {
        kills + outages + usize::try_from(world.arrivals().answers_lost()).unwrap()
    };
    // For each kill: the rows so far, and the excuses so far without this kill.
    let mut marks = vec![(0, 0)];
    for kill in 1..=kills {
        let moment = async {
            a_moment(&world, &mut rng).await;
            if kill == first {
                // The storage goes away and comes back within one run.
                azurite.stop().await;
                azurite.start_again().await;
                a_moment(&world, &mut rng).await;
            } else if kill == second {
                // It stays away until runs end with an error.
                azurite.stop().await;
                let error = "the storage emulator cannot be used";
                host.wait_for_line(Level::Error, error).await;
                azurite.start_again().await;
                a_moment(&world, &mut rng).await;
            } else if kill == third {
                // It is away when the process dies and when the next one starts.
                azurite.stop().await;
            } else {
                return;
            }
            outages += 1;
        };
        tokio::select! {
            () = moment => {}
            () = run_after_run(&host) => {
                panic!("seed {SEED}: the log was read to its end before kill {kill}");
            }
        }
        host.kill().await;
        marks.push((world.arrivals().stored(), excuses(kill - 1, outages)));
        if kill == third {
            host.fire(FUNCTION).await.failure();
            azurite.start_again().await;
        }
    }
    run_after_run(&host).await;

    let landed = world.arrivals().landed();
    marks.push((landed.len(), excuses(kills, outages)));
    assert!(
        world.arrivals().answers_lost() > 0,
        "seed {SEED} tests less than it should"
    );
    let mut seen = BTreeSet::new();
    for (from, to) in marks.iter().zip(&marks[1..]) {
        let rows = landed[from.0..to.0].iter();
        let repeated = rows.filter(|id| !seen.insert(*id)).count();
        assert!(
            repeated <= BATCH * (to.1 - from.1),
            "seed {SEED}: {repeated} repeated in the rows {} to {}, with {} excuses",
            from.0,
            to.0,
            to.1 - from.1
        );
    }
    let seen: Vec<_> = seen.into_iter().cloned().collect();
    assert!(seen == world.tenant.log_ids(), "seed {SEED}: lost");

    let starts = State::Running(1 + kills);
    assert_eq!(host.state(), starts, "seed {SEED}: it ended by itself");
    let lines = host.lines();
    let panicked = lines.iter().find(|line| line.text.contains("panic"));
    assert!(panicked.is_none(), "seed {SEED}: {panicked:?}");
}

/// Waits for a random number of pages, or for a post.
async fn a_moment(world: &World, rng: &mut fastrand::Rng) {
    let reads = world.tenant.log_requests();
    let posts = world.arrivals().requests();
    // Seldom waits for a post, or everything would be delivered before the last kill.
    if rng.u8(0..3) > 0 {
        let more = rng.u64(1..12);
        world.tenant.wait_for_log_request(reads + more).await;
    } else {
        world.arrivals().wait_for_post(posts + 1).await;
    }
    // Ends at a random moment within the next request or two.
    for _ in 0..rng.u32(0..100) {
        tokio::task::yield_now().await;
    }
}

/// Fires the timer until a run reaches the end of the log.
async fn run_after_run(host: &FunctionsHost) {
    loop {
        if let Outcome::Success { return_value, .. } = host.fire(FUNCTION).await
            && return_value[0]["caught_up"] == true
        {
            return;
        }
    }
}
