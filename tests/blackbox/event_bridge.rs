//! What an EventBridge bus receives, whose credentials sign the requests, and what is reported when
//! the bus refuses. The last tests run against moto, an independent imitation of AWS.

use std::path::Path;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use simulator::{EventBus, Fault, Moto};

use crate::world::{Sink, World, minutes_ago, numbers};

async fn world() -> World {
    World::start_for(Sink::EventBridge).await
}

async fn world_with_role() -> World {
    let mut world = world().await;
    world.set_all(world.sts.settings());
    world.set_all(world.identity.environment());
    world
}

fn events(world: &World) -> Vec<Value> {
    let rows = world.table().rows;
    rows.into_iter().map(|row| row["event"].clone()).collect()
}

/// The one error of a run that failed and set nothing aside.
async fn error_of(world: &World) -> String {
    let ran = world.command(&["poll"]).await;
    assert_eq!(ran.code(), 1, "{ran:?}");
    let report = ran.report();
    assert_eq!(numbers(&report, ["dead_lettered"]), [0], "{report}");
    let errors = report["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 1, "{report}");
    errors[0].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_event_holds_the_record_masked_and_happened_when_it_did() {
    let world = world().await;
    let date: DateTime<Utc> = minutes_ago(10);
    let record = json!({"date": date, "type": "sapi", "n": "\"\u{fc}\u{1f600}\\",
        "details": {"request": {"body": {"client_secret": "s"}}}});
    let id = world.tenant.add(record, date);
    assert_eq!(numbers(&world.poll().await, ["delivered"]), [1]);
    let event = &events(&world)[0];
    assert_eq!(event["Source"], "auth0.logs");
    assert_eq!(event["DetailType"], "Auth0 log");
    let milliseconds = date.timestamp_millis();
    let time = event["Time"].as_f64().unwrap() * 1_000.0;
    assert_eq!(format!("{time:.0}"), milliseconds.to_string());
    assert_eq!(event["Detail"]["log_id"], id);
    let sent = &event["Detail"]["data"];
    assert_eq!(sent["n"], "\"\u{fc}\u{1f600}\\");
    assert_eq!(sent["details"]["request"]["body"]["client_secret"], "***");
}

#[tokio::test]
async fn requests_of_ten_entries_stand_side_by_side() {
    let world = world().await;
    world.bus.take(30);
    world
        .tenant
        .generate(2_000, minutes_ago(50), minutes_ago(5));
    assert_eq!(numbers(&world.poll().await, ["delivered"]), [2_000]);
    world.assert_all_landed_once();
    assert_eq!(world.bus.requests(), 200);
    // At this rate ten thousand records take 63 times 30 ms.
    assert_eq!(world.bus.most_in_flight(), 16);
}

#[tokio::test]
async fn only_entries_that_could_not_be_taken_are_sent_again() {
    let world = world().await;
    world.tenant.generate(20, minutes_ago(50), minutes_ago(5));
    let codes = [None, Some("ThrottlingException"), Some("InternalFailure")];
    world.bus.refuse_entries(codes);
    assert_eq!(numbers(&world.poll().await, ["delivered"]), [20]);
    world.assert_all_landed_once();
    assert_eq!(world.bus.entries(), 22);
}

#[tokio::test]
async fn what_was_accepted_beside_a_failure_is_not_sent_again_by_the_next_run() {
    let world = world().await;
    world.tenant.generate(30, minutes_ago(50), minutes_ago(5));
    // Seven failures are one more than the run's attempts.
    let busy = [Some("ThrottlingException"); 7];
    world.bus.refuse_entries([None; 29]);
    world.bus.refuse_entries(busy);
    let ran = world.command(&["poll"]).await;
    assert_eq!(ran.code(), 1, "{ran:?}");
    let report = ran.report();
    assert_eq!(numbers(&report, ["delivered", "dead_lettered"]), [29, 0]);
    let error = report["errors"][0].as_str().unwrap();
    assert!(
        error.contains("EventBridge did not take 1 of the entries for now: ThrottlingException"),
        "{error}"
    );
    world.bus.refuse_entries([None]);
    world.poll().await;
    world.assert_all_landed_once();
}

#[tokio::test]
async fn an_entry_that_is_refused_is_set_aside_with_its_code_and_the_others_land() {
    let world = world().await;
    world.tenant.generate(12, minutes_ago(50), minutes_ago(5));
    world.bus.refuse_entries([None, Some("InvalidArgument")]);
    let report = world.poll().await;
    assert_eq!(numbers(&report, ["delivered", "dead_lettered"]), [11, 1]);
    let list = world.command(&["dead-letter", "list"]).await;
    let told = "event-bridge: EventBridge refused the entry: InvalidArgument: as a test wants it";
    assert!(list.stdout.contains(told), "{list:?}");
    assert_eq!(world.bus.entries(), 12);
}

#[tokio::test]
async fn what_all_entries_have_in_common_sets_none_aside() {
    for (code, telling) in [
        ("NotAuthorizedForSourceException", "set EVENT_BRIDGE_SOURCE"),
        ("AccessDeniedException", "allow events:PutEvents"),
        ("MalformedDetail", "refuses every record"),
    ] {
        let world = world().await;
        world.tenant.generate(25, minutes_ago(50), minutes_ago(5));
        world.bus.refuse_entries([Some(code); 100]);
        let error = error_of(&world).await;
        assert!(error.contains(telling), "{error}");
        assert_eq!(world.bus.stored(), 0);
    }
}

#[tokio::test]
async fn nothing_is_sent_to_a_bus_that_is_not_there() {
    let world = world().await;
    world.bus.set_there(false);
    world.tenant.generate(20, minutes_ago(50), minutes_ago(5));
    let error = error_of(&world).await;
    assert!(
        error.contains("there is no bus auth0 at 127.0.0.1"),
        "{error}"
    );
    assert!(error.contains("aws events create-event-bus"), "{error}");
    assert_eq!((world.bus.requests(), world.bus.dropped()), (0, 0));
    assert_eq!(world.bus.described(), 1);
    let check = world.command(&["check"]).await;
    assert_eq!(check.code(), 1, "{check:?}");
    assert!(check.stdout.contains("there is no bus auth0"), "{check:?}");
    world.bus.set_there(true);
    world.poll().await;
    world.assert_all_landed_once();
}

#[tokio::test]
async fn without_the_permission_to_ask_delivery_goes_on_and_check_says_what_is_not_known() {
    let world = world().await;
    world.bus.deny_describe();
    world.tenant.generate(20, minutes_ago(50), minutes_ago(5));
    assert_eq!(numbers(&world.poll().await, ["delivered"]), [20]);
    let check = world.command(&["check"]).await;
    assert_eq!(check.code(), 0, "{check:?}");
    for told in [
        "not tried  event-bridge: ",
        "whether there is a bus auth0 could not be verified",
        "events:DescribeEventBus on arn:aws:events:eu-west-1:<account>:event-bus/auth0",
    ] {
        assert!(check.stdout.contains(told), "{told}: {check:?}");
    }
}

#[tokio::test]
async fn what_is_wrong_with_the_credentials_has_its_remedy() {
    let secret = ("AWS_SECRET_ACCESS_KEY", "another0secret");
    let key = ("AWS_ACCESS_KEY_ID", "AKIAANOTHER");
    let region = ("AWS_REGION", "us-east-1");
    let session = ("AWS_SESSION_TOKEN", "another0token");
    for ((setting, value), telling) in [
        (secret, "AWS_SECRET_ACCESS_KEY is not the secret of"),
        (key, "AWS knows no such access key"),
        (session, "AWS knows no such access key"),
        (region, "see that AWS_REGION is the region of the bus"),
    ] {
        let mut world = world().await;
        world.set(setting, value);
        world.tenant.generate(5, minutes_ago(50), minutes_ago(5));
        let error = error_of(&world).await;
        assert!(error.contains(telling), "{setting}: {error}");
        let check = world.command(&["check"]).await;
        assert_eq!(check.code(), 1, "{check:?}");
        assert!(check.stdout.contains(telling), "{setting}: {check:?}");
    }
    let world = world().await;
    world.bus.deny_put();
    world.tenant.generate(5, minutes_ago(50), minutes_ago(5));
    let error = error_of(&world).await;
    let told = "allow events:PutEvents on arn:aws:events:eu-west-1:<account>:event-bus/auth0";
    assert!(error.contains(told), "{error}");
    // No request without an event shows that, so `check` does not say that all is well.
    let check = world.command(&["check"]).await;
    assert_eq!(check.code(), 0, "{check:?}");
    let tells = "Nothing failed; the first run shows whether what was not tried works.\n";
    assert!(check.stdout.ends_with(tells), "{check:?}");
}

#[tokio::test]
async fn an_address_that_is_another_service_s_is_told_from_a_refusal() {
    let mut world = world().await;
    world.tenant.generate(5, minutes_ago(50), minutes_ago(5));
    let tenant = world.tenant.settings()[0].1.clone();
    world.set("EVENT_BRIDGE_ENDPOINT", &tenant);
    let error = error_of(&world).await;
    assert!(error.contains("is not EventBridge: "), "{error}");
}

#[tokio::test]
async fn a_success_that_says_nothing_of_the_entries_acknowledges_none() {
    let world = world().await;
    world.tenant.generate(5, minutes_ago(50), minutes_ago(5));
    world.bus.fail([Fault::answer(200, "<html>welcome</html>")]);
    let error = error_of(&world).await;
    assert!(error.contains("answered PutEvents with success and something else"));
    assert_eq!(numbers(&world.poll().await, ["delivered"]), [5]);
}

#[tokio::test]
async fn an_identity_of_azure_needs_no_stored_secret_and_its_session_is_replaced_once() {
    let mut world = world_with_role().await;
    world.set("RUN_BUDGET", "20s");
    let host = world.host().await;
    let run = || async {
        let timer = json!({"Data": {"timer": {}}, "Metadata": {}}).to_string();
        let simulator::host::Received { status, body, .. } =
            host.send(crate::world::FUNCTION, timer).await.unwrap();
        let answer: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(status, 200, "{answer}");
        numbers(&answer["ReturnValue"][0], ["delivered"])
    };
    world.tenant.generate(300, minutes_ago(50), minutes_ago(40));
    assert_eq!(run().await, [300]);
    assert_eq!(world.sts.requests(), 1);
    world.tenant.generate(20, minutes_ago(30), minutes_ago(20));
    assert_eq!(run().await, [20]);
    assert_eq!(world.sts.requests(), 1);
    world.aws.end_sessions();
    world.tenant.generate(300, minutes_ago(19), minutes_ago(5));
    assert_eq!(run().await, [300]);
    assert_eq!(world.sts.requests(), 2);
    world.assert_all_landed_once();
}

#[tokio::test]
async fn a_role_that_does_not_take_the_identity_says_what_the_token_says() {
    for (setting, value, telling) in [
        (
            "AWS_ROLE_ARN",
            "arn:aws:iam::123456789012:role/other",
            "check AWS_ROLE_ARN",
        ),
        (
            "AWS_WEB_IDENTITY_AUDIENCE",
            "https://monitor.azure.com",
            "in IAM make an identity provider",
        ),
    ] {
        let mut world = world_with_role().await;
        world.set(setting, value);
        world.tenant.generate(5, minutes_ago(50), minutes_ago(5));
        let error = error_of(&world).await;
        assert!(error.contains(telling), "{error}");
        assert!(
            error.contains("(it says iss https://sts.windows.net/"),
            "{error}"
        );
        let check = world.command(&["check"]).await;
        assert_eq!(check.code(), 1, "{check:?}");
        assert!(check.stdout.contains(telling), "{check:?}");
    }
    // A passing failure is retried.
    let world = world_with_role().await;
    world.tenant.generate(5, minutes_ago(50), minutes_ago(5));
    let busy = "<ErrorResponse><Error><Code>Throttling</Code></Error></ErrorResponse>";
    world.sts.fail([Fault::answer(400, busy), Fault::Drop]);
    assert_eq!(numbers(&world.poll().await, ["delivered"]), [5]);
}

#[tokio::test]
async fn a_filter_takes_what_matches() {
    let mut world = world().await;
    world.set("FILTER_EVENT_BRIDGE", "auth.login.fail");
    world.set("EVENT_BRIDGE_BUS", &EventBus::arn());
    world.set("AWS_REGION", "");
    for (n, kind) in ["s", "fp", "slo"].iter().enumerate() {
        let date = minutes_ago(30 - i64::try_from(n).unwrap());
        world.tenant.add(json!({"date": date, "type": kind}), date);
    }
    let report = world.poll().await;
    assert_eq!(numbers(&report, ["delivered", "filtered"]), [1, 2]);
    assert_eq!(events(&world)[0]["Detail"]["data"]["type"], "fp");
}

async fn moto() -> Moto {
    Moto::start(Path::new(env!("CARGO_TARGET_TMPDIR"))).await
}

/// Makes a bus with a rule that sends only failures to a queue, and returns the queue.
async fn prepare(moto: &Moto) -> String {
    let bus = json!({"Name": "auth0"});
    moto.json("events", "AWSEvents.CreateEventBus", &bus).await;
    let queue = json!({"QueueName": "failures"});
    let queue = moto.json("sqs", "AmazonSQS.CreateQueue", &queue).await;
    let pattern = json!({"source": ["auth0.logs"], "detail-type": ["Auth0 log"],
        "detail": {"data": {"type": [{"prefix": "f"}]}}});
    let rule = json!({"Name": "failures", "EventBusName": "auth0", "State": "ENABLED",
        "EventPattern": pattern.to_string()});
    moto.json("events", "AWSEvents.PutRule", &rule).await;
    let arn = format!("arn:aws:sqs:eu-west-1:{}:failures", Moto::ACCOUNT);
    let target = json!({"Rule": "failures", "EventBusName": "auth0",
        "Targets": [{"Id": "queue", "Arn": arn}]});
    moto.json("events", "AWSEvents.PutTargets", &target).await;
    queue["QueueUrl"].as_str().unwrap().to_owned()
}

/// Receives all messages of a queue.
async fn received(moto: &Moto, queue: &str) -> Vec<Value> {
    let mut received = Vec::new();
    loop {
        let ask = json!({"QueueUrl": queue, "MaxNumberOfMessages": 10});
        let answer = moto.json("sqs", "AmazonSQS.ReceiveMessage", &ask).await;
        let messages = answer["Messages"].as_array().cloned().unwrap_or_default();
        if messages.is_empty() {
            return received;
        }
        let body = |it: &Value| serde_json::from_str(it["Body"].as_str().unwrap()).unwrap();
        received.extend(messages.iter().map(body));
    }
}

fn may(actions: &[&str]) -> Value {
    json!({"Effect": "Allow", "Action": actions, "Resource": "*"})
}

const BOTH: [&str; 2] = ["events:PutEvents", "events:DescribeEventBus"];

/// A world that delivers to moto's bus.
async fn world_of(moto: &Moto) -> World {
    let mut world = world().await;
    world.set("EVENT_BRIDGE_ENDPOINT", moto.url());
    world.set("AWS_STS_ENDPOINT", moto.url());
    for (n, kind) in ["s", "fp", "slo", "fu", "f"].iter().enumerate() {
        let date = minutes_ago(30 - i64::try_from(n).unwrap());
        world.tenant.add(json!({"date": date, "type": kind}), date);
    }
    world
}

#[tokio::test]
async fn moto_takes_what_is_signed_by_a_user_and_its_rule_hands_it_on() {
    let moto = moto().await;
    let queue = prepare(&moto).await;
    let mut world = world_of(&moto).await;
    let key = moto.user(&may(&BOTH)).await;
    world.keep_secret(vec![key[1].1.clone()]);
    world.set_all(key);
    moto.check_after(0).await;
    assert_eq!(numbers(&world.poll().await, ["delivered"]), [5]);

    moto.check_after(1_000).await;
    let mut messages = received(&moto, &queue).await;
    messages.sort_by_key(|it| it["detail"]["log_id"].to_string());
    let kinds: Vec<_> = messages
        .iter()
        .map(|it| it["detail"]["data"]["type"].clone())
        .collect();
    assert_eq!(kinds, ["fp", "fu", "f"]);
    assert_eq!(messages[0]["source"], "auth0.logs");
    assert_eq!(messages[0]["detail-type"], "Auth0 log");
    assert_eq!(messages[0]["detail"]["log_id"], world.tenant.log_ids()[1]);
}

#[tokio::test]
async fn moto_refuses_what_aws_refuses_and_each_refusal_is_understood() {
    let moto = moto().await;
    prepare(&moto).await;
    let mut world = world_of(&moto).await;
    let key = moto.user(&may(&BOTH[1..])).await;
    world.keep_secret(vec![key[1].1.clone()]);
    world.set_all(key.clone());
    moto.check_after(0).await;
    let error = error_of(&world).await;
    assert!(error.contains("allow events:PutEvents on "), "{error}");
    let check = world.command(&["check"]).await;
    let there = "event-bridge: arn:aws:events:eu-west-1:123456789012:event-bus/auth0 is there";
    assert!(check.stdout.contains(there), "{check:?}");

    world.set("EVENT_BRIDGE_BUS", "other");
    let error = error_of(&world).await;
    assert!(error.contains("there is no bus other at "), "{error}");
    world.set("AWS_SECRET_ACCESS_KEY", "another0secret");
    let error = error_of(&world).await;
    assert!(
        error.contains("is not the secret of AWS_ACCESS_KEY_ID"),
        "{error}"
    );
    world.set("AWS_ACCESS_KEY_ID", "AKIAANOTHER");
    let error = error_of(&world).await;
    assert!(error.contains("AWS knows no such access key"), "{error}");
}

#[tokio::test]
async fn moto_takes_what_is_signed_by_a_role_that_the_identity_has_assumed() {
    let moto = moto().await;
    let queue = prepare(&moto).await;
    let mut world = world_of(&moto).await;
    let role = moto.role(&may(&BOTH)).await;
    world.set_all(world.identity.environment());
    world.set("AWS_ACCESS_KEY_ID", "");
    world.set("AWS_SECRET_ACCESS_KEY", "");
    world.set("AWS_ROLE_ARN", &role);
    // The first request asks for the role. AWS takes it unsigned, but moto would want a signature.
    moto.check_after(1).await;
    assert_eq!(numbers(&world.poll().await, ["delivered"]), [5]);
    moto.check_after(1_000).await;
    assert_eq!(received(&moto, &queue).await.len(), 3);
}
