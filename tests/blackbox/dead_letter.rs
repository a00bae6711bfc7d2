//! The commands for dead letters.

use std::fs;

use serde_json::Value;
use simulator::{Azurite, Fault, Gate};

use crate::refused::age_refusals;
use crate::world::{Sink, World, for_each_judge, minutes_ago, numbers};

for_each_judge![
    dead_letters_in_a_folder_can_be_looked_at_and_delivered,
    dead_letters_in_a_storage_account_can_be_looked_at_and_delivered,
    a_record_that_has_no_row_stays_where_it_is,
];

/// Sets two records aside, lists them, and delivers them after all.
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
    let copied = format!(" {} ", culprits[0]);
    let show = world.command(&["dead-letter", "show", &copied]).await;
    let shown: Value = serde_json::from_str(&show.stdout).unwrap();
    assert_eq!(shown["record"]["log_id"], **culprits[0]);
    assert!(!show.stderr.contains("there is no"), "{show:?}");
    for nothing in ["9", "../log-analytics", ""] {
        let show = world.command(&["dead-letter", "show", nothing]).await;
        assert_eq!((show.code(), &*show.stdout), (1, ""));
        let told = format!("there is no dead letter {nothing}\n");
        assert!(show.stderr.ends_with(&told), "{show:?}");
    }

    let refused = world.command(&["dead-letter", "retry"]).await;
    assert_eq!(refused.code(), 1);
    assert_eq!(refused.stdout.matches("not delivered: ").count(), 2);
    world.arrivals().relent();
    let copied = format!("{}\n", culprits[1]);
    let one = world.command(&["dead-letter", "retry", &copied]).await;
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
    let padding = "x".repeat(10_000_000);
    let record = serde_json::json!({"date": date, "padding": padding});
    let id = world.tenant.add(record, date);
    world.poll().await;
    let retry = world.command(&["dead-letter", "retry"]).await;
    assert_eq!(retry.code(), 1);
    let expected = format!("{id}  not delivered: ");
    assert!(retry.stdout.starts_with(&expected), "{}", retry.stdout);
    let list = world.command(&["dead-letter", "list"]).await;
    assert!(list.stdout.starts_with(&id), "{}", list.stdout);
}

#[tokio::test]
async fn one_that_cannot_be_read_hides_no_other_and_stays_where_it_is() {
    let world = World::start().await;
    let mut ids = world.tenant.generate(50, minutes_ago(50), minutes_ago(5));
    ids.sort();
    let culprits = [&ids[10], &ids[20], &ids[40]];
    for id in culprits {
        world.workspace.refuse(id);
    }
    world.poll().await;
    let broken = world.dead_letter_file(Sink::LogAnalytics, culprits[1]);
    fs::write(&broken, "{").unwrap();

    let list = world.command(&["dead-letter", "list"]).await;
    assert_eq!(list.code(), 1);
    let lines: Vec<_> = list.stdout.lines().collect();
    assert_eq!(lines.len(), 3, "{list:?}");
    for (line, id) in lines.iter().zip(culprits) {
        let told = if id == culprits[1] {
            format!(
                "{id}  unreadable: {} is not a dead letter: ",
                broken.display()
            )
        } else {
            format!("{id}  20")
        };
        assert!(line.starts_with(&told), "{line}");
    }
    let show = world.command(&["dead-letter", "show", culprits[1]]).await;
    assert_eq!((show.code(), &*show.stdout), (1, ""), "{show:?}");
    assert!(!show.stderr.contains("there is no"), "{show:?}");

    world.workspace.relent();
    let retry = world.command(&["dead-letter", "retry"]).await;
    assert_eq!(retry.code(), 1);
    assert_eq!(
        retry.stdout.matches("  delivered\n").count(),
        2,
        "{retry:?}"
    );
    assert_eq!(
        retry.stdout.matches("  not delivered: ").count(),
        1,
        "{retry:?}"
    );
    assert_eq!(fs::read_to_string(broken).unwrap(), "{");
    assert_eq!(world.workspace.stored(), 49);
}

#[tokio::test]
async fn a_reason_that_somebody_wrote_forges_no_line() {
    let world = World::start().await;
    let ids = world.tenant.generate(5, minutes_ago(50), minutes_ago(5));
    world.workspace.refuse(&ids[2]);
    world.poll().await;
    let file = world.dead_letter_file(Sink::LogAnalytics, &ids[2]);
    let letter = fs::read_to_string(&file).unwrap();
    let mut letter: Value = serde_json::from_str(&letter).unwrap();
    letter["reason"] = "refused\r\n9001  2026-11-21T08:00:00Z  archive: \u{202e}x".into();
    fs::write(&file, letter.to_string()).unwrap();

    let list = world.command(&["dead-letter", "list"]).await;
    assert_eq!(list.stdout.lines().count(), 1, "{list:?}");
    let told = ": refused 9001 2026-11-21T08:00:00Z archive: \u{fffd}x\n";
    assert!(list.stdout.ends_with(told), "{list:?}");
}

#[tokio::test]
async fn of_two_destinations_each_is_named_and_one_that_lacks_a_dead_letter_is_no_failure() {
    let mut world = World::start().await;
    world.deliver_to(Sink::ALL);
    let ids = world.tenant.generate(50, minutes_ago(50), minutes_ago(5));
    world.workspace.refuse(&ids[10]);
    world.rule.refuse(&ids[20]);
    for arrivals in [&*world.workspace, &*world.rule] {
        arrivals.refuse(&ids[30]);
    }
    assert_eq!(world.command(&["poll"]).await.code(), 0);

    let list = world.command(&["dead-letter", "list"]).await;
    assert_eq!(list.code(), 0);
    let listed = list.stdout.lines().map(|line| {
        let mut words = line.split("  ");
        let (id, whose) = (words.next().unwrap(), words.nth(1).unwrap());
        (id, whose.split(':').next().unwrap())
    });
    let mut listed: Vec<_> = listed.collect();
    listed.sort_unstable();
    let mut expected = [
        (&*ids[10], "log-analytics"),
        (&ids[20], "logs-ingestion"),
        (&ids[30], "log-analytics"),
        (&ids[30], "logs-ingestion"),
    ];
    expected.sort_unstable();
    assert_eq!(listed, expected);

    for (id, destinations) in [
        (&ids[10], &["log-analytics"][..]),
        (&ids[20], &["logs-ingestion"]),
        (&ids[30], &["log-analytics", "logs-ingestion"]),
    ] {
        let show = world.command(&["dead-letter", "show", id]).await;
        assert_eq!(show.code(), 0, "{show:?}");
        let letters = serde_json::Deserializer::from_str(&show.stdout).into_iter::<Value>();
        assert_eq!(letters.count(), destinations.len());
        world.workspace.relent();
        world.rule.relent();
        let retry = world.command(&["dead-letter", "retry", id]).await;
        assert_eq!(retry.code(), 0, "{retry:?}");
        let lines = destinations.iter();
        let lines = lines.map(|name| format!("{id}  delivered ({name})\n"));
        assert_eq!(retry.stdout, lines.collect::<String>());
    }
    for sink in Sink::ALL {
        world.assert_all_landed_once_at(*sink);
    }
}

#[tokio::test]
async fn a_destination_that_fails_ten_times_in_a_row_is_left_alone() {
    let mut world = World::start().await;
    let ids = world.tenant.generate(200, minutes_ago(50), minutes_ago(5));
    for id in &ids[10..22] {
        world.workspace.refuse(id);
    }
    world.poll().await;
    world.workspace.relent();
    world.set("WorkspaceKey", "b3RoZXI=");
    let retry = world.command(&["dead-letter", "retry"]).await;
    assert_eq!(retry.code(), 1);
    let lines: Vec<_> = retry.stdout.lines().collect();
    assert_eq!(lines.len(), 12, "{retry:?}");
    for (number, line) in lines.into_iter().enumerate() {
        assert!(line.contains("  not delivered: "), "{line}");
        let is_left = line.ends_with("not tried, since the destination failed 10 times in a row");
        assert_eq!(is_left, number >= 10, "{line}");
    }
}

#[tokio::test]
async fn a_name_that_is_no_dead_letter_is_told_where_all_can_be_listed_and_keeps_no_other_back() {
    let mut world = World::start().await;
    let ids = world.tenant.generate(50, minutes_ago(50), minutes_ago(5));
    let refused = |number: usize| {
        world.workspace.refuse(&ids[number]);
        &ids[number]
    };
    let (first, second) = (refused(2), refused(3));
    world.poll().await;
    world.workspace.relent();
    let retry = world.command(&["dead-letter", "retry", "9", first]).await;
    assert_eq!(retry.code(), 1, "{retry:?}");
    let told = format!("{first}  delivered\n9  not delivered: there is no such dead letter\n");
    assert_eq!(retry.stdout, told);

    // It may be one of those that cannot be listed.
    world.deliver_to(&[Sink::LogAnalytics, Sink::Archive]);
    let file = world.dead_letter_file(Sink::Archive, "9");
    fs::write(file.parent().unwrap(), "no folder").unwrap();
    let retry = world.command(&["dead-letter", "retry", "9", second]).await;
    assert_eq!(retry.code(), 1, "{retry:?}");
    assert_eq!(
        retry.stdout,
        format!("{second}  delivered (log-analytics)\n")
    );
    assert!(retry.stderr.contains("archive: dead-letter: "), "{retry:?}");
    let list = world.command(&["dead-letter", "list"]).await;
    assert_eq!((list.code(), &*list.stdout), (1, ""), "{list:?}");
}

#[tokio::test]
async fn one_that_was_delivered_and_cannot_be_removed_is_told_as_such_and_keeps_no_other_back() {
    let world = World::start().await;
    let ids = world.tenant.generate(3, minutes_ago(50), minutes_ago(40));
    world.workspace.refuse("\"log_id");
    world.command(&["poll"]).await;
    age_refusals(&world, Sink::LogAnalytics);
    let ran = world.command(&["poll"]).await;
    assert_eq!(
        numbers(&ran.report(), ["delivered", "dead_lettered"]),
        [0, 3]
    );
    world.workspace.relent();

    let gate = Gate::closed();
    world.workspace.fail([Fault::Wait(gate.clone())]);
    let posts = world.workspace.requests();
    let retry = world.start_command(&["dead-letter", "retry", &ids[0]]);
    world.workspace.wait_for_post(posts + 1).await;
    let file = world.dead_letter_file(Sink::LogAnalytics, &ids[0]);
    // No user can remove a folder as if it were a file.
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    gate.open();
    let retry = world.end_of(retry).await;
    assert_eq!(retry.code(), 1, "{retry:?}");
    let told = format!(
        "{}  not removed: it was delivered, and the next retry would deliver it again, so remove it \
         by hand: removing {}",
        ids[0],
        file.display()
    );
    assert!(retry.stdout.starts_with(&told), "{retry:?}");
    assert_eq!(retry.stdout.lines().count(), 1, "{retry:?}");
    // The destination has taken a record, so it no longer refuses every one.
    assert!(world.checkpoint().await["refused_since"].is_null());

    fs::remove_dir(&file).unwrap();
    let rest = world.command(&["dead-letter", "retry"]).await;
    assert_eq!(rest.code(), 0, "{rest:?}");
    assert_eq!(rest.stdout.matches("  delivered\n").count(), 2, "{rest:?}");
    world.assert_all_landed_once();
}
