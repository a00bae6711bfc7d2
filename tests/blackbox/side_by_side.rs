//! All destinations at once: each gets every record, none waits for another, and the tenant gets no
//! more requests than for one.

use std::time::Duration;

use futures_util::future::join_all;
use simulator::{Fault, Gate};
use tokio::time::{Instant, timeout};

use crate::world::{Sink, World, for_each_destination, minutes_ago, numbers};

for_each_destination![one_of_six_is_away_for_half_the_time_and_no_other_waits_for_it];

/// Records in a page.
const PAGE: usize = 100;
/// On a slow machine a request may time out and be made again, this many times.
const ATTEMPTS: usize = 6;
/// After this time a request may soon have waited for too long: the program waits for half a minute.
const LONG: Duration = Duration::from_secs(15);
/// By then it is posted again.
const AGAIN: Duration = Duration::from_mins(2);
/// The most requests that any destination has under way at once.
const SIDE_BY_SIDE: usize = 16;

async fn one_of_six_is_away_for_half_the_time_and_no_other_waits_for_it(away: Sink) {
    // 10,000 records for every destination would take minutes.
    let records = match away {
        Sink::EventGrid => 10_000,
        _ => 1_000,
    };
    let mut world = World::start_for(away).await;
    world.deliver_to(Sink::ALL);
    world.set("RUN_BUDGET", "9m");
    // The first run searches for its beginning, which takes requests of another kind.
    world.tenant.generate(10, minutes_ago(55), minutes_ago(50));
    let begun = world.command(&["poll"]).await;
    assert_eq!(begun.code(), 0, "{begun:?}");

    world
        .tenant
        .generate(records, minutes_ago(45), minutes_ago(5));
    let before = world.tenant.log_requests();
    // The destination takes nothing until all others have everything.
    let gate = Gate::closed();
    let waits = vec![Fault::Wait(gate.clone()); ATTEMPTS * SIDE_BY_SIDE];
    let refused = Fault::answer(away.passing_failure(), "");
    world.arrivals_at(away).fail([refused]);
    world.arrivals_at(away).fail(waits);
    let closed_at = Instant::now();
    let others = async {
        let others = Sink::ALL.iter().filter(|it| **it != away);
        let all = others.map(|it| world.arrivals_at(*it).wait_for_rows(10 + records));
        join_all(all).await;
        let away = world.arrivals_at(away);
        assert_eq!(away.stored(), 10);
        // The program may be about to give up a request that has waited for long. It would then be
        // answered and made again, so that its rows were there twice. The next one has all its time.
        if closed_at.elapsed() > LONG {
            let next = away.wait_for_post(away.requests() + 1);
            timeout(AGAIN, next).await.expect("it is posted again");
        }
        gate.open();
    };
    let (ran, ()) = tokio::join!(world.command(&["poll"]), others);
    assert_eq!(ran.code(), 0, "{ran:?}");
    let reports = ran.all_reports();
    assert_eq!(reports.len(), Sink::ALL.len());
    for report in reports {
        let expected = u64::try_from(records).unwrap();
        assert_eq!(numbers(&report, ["delivered"]), [expected], "{report}");
    }
    for sink in Sink::ALL {
        world.assert_all_landed_once_at(*sink);
    }
    // One destination alone takes all pages, and one request that shows that there are no more.
    let for_one = u64::try_from(records / PAGE + 1).unwrap();
    let requests = world.tenant.log_requests() - before;
    assert!(
        requests * 10 <= for_one * 12,
        "{requests}, for one {for_one}"
    );
}
