//! Audits that do not finish: refused, failed or interrupted.

use chrono::TimeDelta;
use serde_json::json;
use simulator::Fault;

use super::{add, as_argument, audit, audited, this_hour, total, world};
use crate::world::{Ran, Sink, minutes_ago};

#[tokio::test]
async fn what_cannot_be_asked_is_said_and_proves_nothing() {
    let (mut world, api) = world(Sink::LogAnalytics).await;
    world.tenant.generate(10, minutes_ago(50), minutes_ago(5));
    let partial = r#"{"tables":[{"name":"PrimaryResult","columns":[],"rows":[]}],"error":{"code":"PartialError","message":"x"}}"#;
    // There is no table yet.
    let ran = audit(&world, &["--mend"]).await;
    assert_eq!((ran.code(), world.arrivals().stored()), (1, 0), "{ran:?}");
    assert!(
        ran.stderr.contains("the workspace has no table Auth0AM_CL"),
        "{ran:?}"
    );
    world.poll().await;
    for (fault, telling) in [
        (
            Fault::answer(204, ""),
            "the workspace has no table Auth0AM_CL",
        ),
        (
            Fault::answer(200, ""),
            "answered the query with something else: 0 bytes",
        ),
        (
            Fault::answer(200, partial),
            "answered the query only in part: PartialError",
        ),
        (
            Fault::answer(200, r#"{"tables":[{"columns":[],"rows":[]}]}"#),
            "in a form that is not known",
        ),
        (
            Fault::answer(
                400,
                r#"{"error":{"code":"BadArgumentError","message":"x"}}"#,
            ),
            "answered the query with 400",
        ),
    ] {
        api.fail([fault]);
        let ran = audit(&world, &["--mend"]).await;
        assert_eq!(ran.code(), 1, "{telling}: {ran:?}");
        assert!(ran.stderr.contains(telling), "{telling}: {ran:?}");
    }
    world.set("IDENTITY_ENDPOINT", "");
    let ran = audit(&world, &["--json"]).await;
    assert_eq!(ran.code(), 1, "{ran:?}");
    let found = audited(&ran);
    assert_eq!(found["hours"], json!([]));
    let error = found["error"].as_str().unwrap();
    assert!(error.contains("audit needs a managed identity"), "{error}");
    world.assert_all_landed_once();
}

#[tokio::test]
async fn an_audit_that_cannot_go_on_says_from_which_hour_on_nothing_is_compared() {
    let (mut world, api) = world(Sink::LogAnalytics).await;
    world.set("START_FROM", "6h");
    let this_hour = this_hour();
    let [third, second, first] = [1, 2, 3].map(|back| this_hour - TimeDelta::hours(back));
    for hour in [first, second, third] {
        add(&world, hour + TimeDelta::minutes(5));
    }
    world.arrivals().drop_one_of(1);
    world.poll().await;
    world.arrivals().drop_one_of(0);
    let (from, to) = (as_argument(first), as_argument(this_hour));
    let audit = ["audit", "--from", &from, "--to", &to];
    let total = |ran: &Ran| {
        let total = ran.stdout.lines().find(|it| it.starts_with("total"));
        let words = total.unwrap().split_whitespace().map(str::to_owned);
        words.skip(1).take(3).collect::<Vec<_>>()
    };
    // Each hour takes two queries: one for what is there, one for what is missing.
    api.fail([Fault::None, Fault::None, Fault::answer(200, "")]);
    let ran = world.command(&audit).await;
    assert_eq!(
        (ran.code(), total(&ran)),
        (1, ["1", "0", "1"].map(str::to_owned).to_vec())
    );
    let telling = format!(
        "log-analytics: the destination could not be queried for the hour from {}, so neither it nor \
         what follows is compared: ",
        as_argument(second)
    );
    assert!(ran.stderr.contains(&telling), "{ran:?}");

    let refused = Fault::answer(403, "");
    world.workspace.fail([refused.clone(), refused]);
    let ran = world.command(&[&audit[..], &["--mend"]].concat()).await;
    assert_eq!(
        (ran.code(), total(&ran)),
        (1, ["1", "0", "1"].map(str::to_owned).to_vec())
    );
    let telling = format!(
        "log-analytics: missing records of the hour from {from} could not be delivered again, so what \
         follows it is not compared: "
    );
    assert!(ran.stderr.contains(&telling), "{ran:?}");
}

/// Whichever of its requests Auth0 refuses.
#[tokio::test]
async fn no_audit_is_good_that_could_not_read_all_of_the_log() {
    let (mut world, _api) = world(Sink::LogAnalytics).await;
    world.set("START_FROM", "6h");
    let this_hour = this_hour();
    for back in 1..=3 {
        add(
            &world,
            this_hour - TimeDelta::hours(back) + TimeDelta::minutes(5),
        );
    }
    world.poll().await;
    let from = as_argument(this_hour - TimeDelta::hours(3));
    let to = as_argument(this_hour);
    let command = ["audit", "--from", &from, "--to", &to, "--json"];
    let mut told = 0;
    for before in 0..12 {
        let refused = Fault::answer(403, "");
        let faults = std::iter::repeat_n(Fault::None, before).chain([refused]);
        world.tenant.fail_logs(faults);
        let ran = world.command(&command).await;
        world.tenant.stop_failing();
        let found = audited(&ran);
        if ran.code() == 0 {
            assert_eq!(total(&found)[..3], [3, 3, 0].map(Some), "{before}: {ran:?}");
        }
        let telling = "could not be read at Auth0, so neither it nor what follows is compared";
        told += usize::from(ran.stderr.contains(telling));
    }
    assert!(told >= 3, "{told}");
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_before_anything_is_asked() {
    let (world, api) = world(Sink::LogAnalytics).await;
    for (from, to, telling) in [
        ("1h", "2h", "--from is not before --to"),
        ("1h", "oldest", "cannot be the oldest record"),
        ("XXX", "1h", "is neither a duration"),
        (
            &"9".repeat(56),
            "1h",
            "have to be times, durations or log ids",
        ),
        (
            "1h",
            &"9".repeat(56),
            "have to be times, durations or log ids",
        ),
    ] {
        let ran = world.command(&["audit", "--from", from, "--to", to]).await;
        assert_eq!((ran.code(), &*ran.stdout), (2, ""), "{ran:?}");
        assert!(ran.stderr.contains(telling), "{from}: {ran:?}");
    }
    assert_eq!(world.command(&["audit", "--from", "1h"]).await.code(), 2);
    assert_eq!((world.tenant.log_requests(), api.requests()), (0, 0));
}

#[tokio::test]
async fn an_audit_that_is_asked_to_end_says_so_and_the_next_one_is_whole() {
    let (world, _api) = world(Sink::LogAnalytics).await;
    world.tenant.generate(30, minutes_ago(50), minutes_ago(5));
    world.arrivals().drop_one_of(10);
    world.poll().await;
    world.arrivals().drop_one_of(0);
    let before = world.checkpoint().await;
    let asked = world.tenant.log_requests();
    world.tenant.fail_logs([Fault::None, Fault::Hang]);
    let command = world.start_command(&["audit", "--from", "58m", "--to", "1s", "--mend"]);
    world.tenant.wait_for_log_request(asked + 2).await;
    let ran = world.end("INT", command).await;
    assert_eq!(ran.code(), 130, "{ran:?}");
    assert!(ran.stderr.contains("was asked to end"), "{ran:?}");
    assert_eq!(world.checkpoint().await, before);
    assert_eq!(audit(&world, &["--mend"]).await.code(), 0);
    world.assert_all_landed_once();
}

#[tokio::test]
async fn an_audit_or_a_replay_that_waits_for_an_answer_ends_when_it_is_asked_to() {
    let (world, api) = world(Sink::LogAnalytics).await;
    world.tenant.generate(30, minutes_ago(50), minutes_ago(5));
    world.poll().await;
    let stretch = ["--from", "58m", "--to", "1s"];
    let replay = ["replay", "--destination", "log-analytics"];
    for command in [&["audit"][..], &replay] {
        let asked = world.tenant.log_requests();
        world.tenant.fail_logs([Fault::Hang]);
        let command = world.start_command(&[command, &stretch].concat());
        world.tenant.wait_for_log_request(asked + 1).await;
        let ran = world.end("INT", command).await;
        assert_eq!(ran.code(), 130, "{ran:?}");
    }

    let asked = api.requests();
    api.fail([Fault::Hang]);
    let command = world.start_command(&[&["audit", "--json"], &stretch[..]].concat());
    api.wait_for_request(asked + 1).await;
    let ran = world.end("INT", command).await;
    assert_eq!(ran.code(), 130, "{ran:?}");
    // Records that were not compared are not reported as missing.
    assert_eq!(total(&audited(&ran)), [0, 0, 0, 0, 0].map(Some), "{ran:?}");
    assert!(ran.stderr.contains("was asked to end"), "{ran:?}");
}

#[tokio::test]
async fn a_command_that_is_asked_to_end_promises_only_what_it_does() {
    let (world, _api) = world(Sink::LogAnalytics).await;
    world.tenant.generate(30, minutes_ago(50), minutes_ago(5));
    world.poll().await;
    let replay = ["replay", "--destination", "log-analytics"];
    let dry = [&replay[..], &["--dry-run"]].concat();
    for (command, promise) in [
        (
            &["poll"][..],
            "what has been read is delivered and saved first",
        ),
        (&replay, "what has been read is delivered first"),
        (&dry, "no more is read"),
        (&["audit"], "no more is read"),
        (&["audit", "--mend"], "no more is read"),
    ] {
        let stretch = ["--from", "58m", "--to", "1s"];
        let stretch = if command == ["poll"] {
            &[]
        } else {
            &stretch[..]
        };
        let asked = world.tenant.log_requests();
        world.tenant.fail_logs([Fault::Hang]);
        let started = world.start_command(&[command, stretch].concat());
        world.tenant.wait_for_log_request(asked + 1).await;
        let ran = world.end("INT", started).await;
        let told = ran.stderr.lines().find(|it| it.contains("asked to end:"));
        let told = told.and_then(|it| it.split("asked to end: ").nth(1));
        let promise = format!("{promise}; a second signal ends it at once");
        assert_eq!(told, Some(&*promise), "{command:?}: {ran:?}");
    }
}
