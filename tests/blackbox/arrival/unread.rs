//! What is told while the list of accepted records cannot be read.

use std::fs;

use serde_json::json;

use super::{counts, run, world};
use crate::world::{Sink, minutes_ago};

/// The ids of an hour that has many are in an object of their own.
#[tokio::test]
async fn an_hour_whose_ids_cannot_be_read_is_not_told_as_checked() {
    let (world, _api) = world(Sink::LogAnalytics).await;
    for n in 0..150 {
        let date = minutes_ago(50) + chrono::Duration::milliseconds(n);
        world.tenant.add(json!({"date": date, "type": "s"}), date);
    }
    run(&world).await;
    let folder = world.arrival_file(Sink::LogAnalytics).with_extension("");
    let [file] = &fs::read_dir(&folder)
        .unwrap()
        .map(|it| it.unwrap().path())
        .collect::<Vec<_>>()[..]
    else {
        panic!("{folder:?}");
    };
    let elsewhere = world.folder.path().join("elsewhere");
    fs::rename(file, &elsewhere).unwrap();
    fs::create_dir(file).unwrap();
    let (ran, _) = run(&world).await;
    assert_eq!(ran.code(), 0, "{ran:?}");
    let told = world.command(&["status"]).await.stdout;
    let why = told.lines().find(|it| it.starts_with("  not checked"));
    let why = why.unwrap_or_else(|| panic!("{told}"));
    assert!(
        why.contains("reading the list of accepted records"),
        "{told}"
    );

    fs::remove_dir(file).unwrap();
    fs::rename(&elsewhere, file).unwrap();
    let (_, report) = run(&world).await;
    assert_eq!(counts(&report), [150, 150, 0]);
    let told = world.command(&["status"]).await.stdout;
    assert!(!told.contains("not checked"), "{told}");
}
