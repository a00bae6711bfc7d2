//! What an archive holds, in a folder and in a storage account.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::Path;

use chrono::{DateTime, Utc};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use simulator::python::{python, site};
use simulator::{Azurite, Fault, Moto};

use crate::world::{Sink, World, minutes_ago, numbers};

/// Prints what the archive holds.
const READ: [&str; 9] = [
    "replay",
    "--destination",
    "stdout",
    "--from",
    "2h",
    "--to",
    "1s",
    "--source",
    "archive",
];

async fn in_a_folder() -> (World, std::path::PathBuf) {
    let mut world = World::start_for(Sink::Archive).await;
    let folder = world.folder.path().join("archive");
    world.set("ARCHIVE_URL", &format!("file://{}", folder.display()));
    world.set("ARCHIVE_CONNECTION_STRING", "");
    (world, folder)
}

/// The names of all objects below a folder, and the records in them, in order.
fn objects(folder: &Path) -> Vec<(String, Vec<Value>)> {
    let mut folders = vec![folder.to_owned()];
    let mut objects = Vec::new();
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let mut lines = String::new();
            let content = fs::read(&path).unwrap();
            GzDecoder::new(&*content)
                .read_to_string(&mut lines)
                .unwrap();
            let records = lines.lines().map(|it| serde_json::from_str(it).unwrap());
            let name = path.strip_prefix(folder).unwrap().display().to_string();
            objects.push((name, records.collect()));
        }
    }
    objects.sort_by(|a, b| a.0.cmp(&b.0));
    objects
}

#[tokio::test]
async fn an_hour_of_records_is_an_object_masked_and_called_after_its_ends() {
    let (mut world, folder) = in_a_folder().await;
    world.set("START_FROM", "oldest");
    let mut stored: Vec<DateTime<Utc>> = Vec::new();
    for hours in [3, 2] {
        let hour = minutes_ago(hours * 60).format("%Y-%m-%dT%H").to_string();
        for minute in [58, 59] {
            stored.push(format!("{hour}:{minute}:00Z").parse().unwrap());
        }
    }
    let ids: Vec<_> = stored
        .iter()
        .map(|date| {
            let record = json!({"date": date, "type": "sapi",
                "details": {"request": {"body": {"password": "hush"}}}});
            world.tenant.add(record, *date)
        })
        .collect();
    assert_eq!(
        numbers(&world.poll().await, ["delivered", "batches"]),
        [4, 2]
    );
    let tenant = world.tenant.settings()[0].1.replace("http://", "");
    let tenant = tenant.replace(':', "_");
    let expected = [(0, 1), (2, 3)].map(|(first, last)| {
        let hour = stored[first].format("%Y/%m/%d/%H");
        format!("{tenant}/{hour}/{}-{}.ndjson.gz", ids[first], ids[last])
    });
    let objects = objects(&folder);
    let names: Vec<_> = objects.iter().map(|(name, _)| name.clone()).collect();
    assert_eq!(names, expected);
    for (_, records) in objects {
        assert_eq!(records.len(), 2);
        for record in records {
            assert_eq!(record["details"]["request"]["body"]["password"], "***");
        }
    }
}

#[tokio::test]
async fn a_stretch_that_is_read_again_leaves_no_second_object() {
    let (world, folder) = in_a_folder().await;
    world.tenant.generate(250, minutes_ago(50), minutes_ago(5));
    world.poll().await;
    let before = objects(&folder);
    world
        .command(&["checkpoint", "set", "--from", "oldest"])
        .await;
    assert_eq!(numbers(&world.poll().await, ["delivered"]), [250]);
    assert_eq!(objects(&folder), before);
}

#[tokio::test]
async fn a_container_holds_it_and_one_that_is_missing_is_named() {
    let azurite = Azurite::start().await;
    let mut world = World::start_for(Sink::Archive).await;
    world.keep_secret(Azurite::secrets());
    let service = azurite.endpoint();
    let service = service.trim_end_matches('/');
    world.set("ARCHIVE_CONNECTION_STRING", &azurite.connection_string());
    world.set("ARCHIVE_URL", &format!("{service}/missing/logs"));
    world.tenant.generate(250, minutes_ago(50), minutes_ago(5));
    for command in ["check", "poll"] {
        let ran = world.command(&[command]).await;
        assert_eq!(ran.code(), 1, "{ran:?}");
        let told = format!("{service}/missing does not exist; make it");
        assert!(ran.stdout.contains(&told), "{ran:?}");
    }
    // This container exists: the checkpoints are stored in it.
    world.set("ARCHIVE_URL", &format!("{service}/auth0-poller/logs"));
    world.set("AzureWebJobsStorage", &azurite.connection_string());
    let check = world.command(&["check"]).await;
    assert_eq!(check.code(), 0, "{check:?}");
    assert_eq!(numbers(&world.poll().await, ["delivered"]), [250]);
    world
        .command(&["checkpoint", "set", "--from", "oldest"])
        .await;
    assert_eq!(numbers(&world.poll().await, ["delivered"]), [250]);
}

/// Each delivery first lists what is there.
#[tokio::test]
async fn check_finds_a_signature_that_does_not_let_it_list() {
    let azurite = Azurite::start().await;
    let mut world = World::start_for(Sink::Archive).await;
    world.keep_secret(Azurite::secrets());
    let service = azurite.endpoint();
    let service = service.trim_end_matches('/');
    world.set("AzureWebJobsStorage", &azurite.connection_string());
    world.set("ARCHIVE_URL", &format!("{service}/auth0-poller/logs"));
    for (permissions, code) in [("rwcdl", 0), ("rwcd", 1)] {
        let signature = azurite.sas_connection_string(permissions);
        world.set("ARCHIVE_CONNECTION_STRING", &signature);
        let check = world.command(&["check"]).await;
        assert_eq!(check.code(), code, "{permissions}: {check:?}");
        let told = "make one with the permissions r, w, c, d and l";
        assert_eq!(check.stdout.contains(told), code == 1, "{check:?}");
    }
}

/// Runs against moto, which verifies signatures.
#[tokio::test]
async fn a_bucket_holds_it_and_one_that_is_missing_is_named() {
    let moto = Moto::start(Path::new(env!("CARGO_TARGET_TMPDIR"))).await;
    moto.make_bucket("auth0-logs").await;
    let mut world = World::start_for(Sink::Archive).await;
    let may = json!({"Effect": "Allow", "Resource": "*",
        "Action": ["s3:PutObject", "s3:GetObject", "s3:ListBucket"]});
    let key = moto.user(&may).await;
    world.keep_secret(vec![key[1].1.clone()]);
    moto.check_after(0).await;
    world.set_all(key);
    for (name, value) in [
        ("ARCHIVE_CONNECTION_STRING", ""),
        ("ARCHIVE_ENDPOINT", moto.url()),
        ("AWS_REGION", "eu-west-1"),
        ("ARCHIVE_URL", "s3://missing-bucket/logs"),
    ] {
        world.set(name, value);
    }
    world.tenant.generate(250, minutes_ago(50), minutes_ago(5));
    let ran = world.command(&["poll"]).await;
    assert_eq!(ran.code(), 1, "{ran:?}");
    assert!(ran.stdout.contains("s3://missing-bucket"), "{ran:?}");

    world.set("ARCHIVE_URL", "s3://auth0-logs/logs");
    let check = world.command(&["check"]).await;
    assert_eq!(check.code(), 0, "{check:?}");
    assert_eq!(numbers(&world.poll().await, ["delivered"]), [250]);
    let replay = [
        "replay",
        "--destination",
        "archive",
        "--from",
        "oldest",
        "--to",
        "1s",
    ];
    let ran = world.command(&replay).await;
    assert_eq!(numbers(&ran.report(), ["delivered"]), [250], "{ran:?}");
    let ran = world.command(&READ).await;
    assert_eq!(ran.stdout.lines().count(), 250, "{ran:?}");

    world.set("AWS_SECRET_ACCESS_KEY", "not-the-secret");
    let ran = world.command(&["check"]).await;
    assert_eq!(ran.code(), 1, "{ran:?}");
    assert!(
        ran.stdout
            .contains("the credentials for s3://auth0-logs are refused"),
        "{ran:?}"
    );
}

/// Another program, or a person, may put objects beside those of this one.
#[tokio::test]
async fn the_names_of_others_in_an_hour_of_a_bucket_stop_nothing() {
    let moto = Moto::start(Path::new(env!("CARGO_TARGET_TMPDIR"))).await;
    moto.make_bucket("auth0-logs").await;
    let mut world = World::start_for(Sink::Archive).await;
    for (name, value) in [
        ("ARCHIVE_CONNECTION_STRING", ""),
        ("ARCHIVE_ENDPOINT", moto.url()),
        ("ARCHIVE_URL", "s3://auth0-logs/logs"),
        ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
        ("AWS_REGION", "eu-west-1"),
        ("AWS_SECRET_ACCESS_KEY", "hunter2"),
    ] {
        world.set(name, value);
    }
    world.tenant.generate(250, minutes_ago(50), minutes_ago(5));
    let tenant = world.tenant.settings()[0].1.replace("http://", "");
    let tenant = tenant.replace(':', "_");
    let copied = minutes_ago(20);
    for hour in [minutes_ago(50), copied, minutes_ago(5)] {
        let folder = hour.format("%Y/%m/%d/%H");
        let folder = format!("auth0-logs/logs/{tenant}/{folder}");
        moto.put(&format!("{folder}//empty"), Vec::new()).await;
    }
    let folder = copied.format("%Y/%m/%d/%H");
    let name = format!("auth0-logs/logs/{tenant}/{folder}/1-2~%5B1%5D%25.ndjson.gz");
    let line = json!({"log_id": "copied", "date": copied, "type": "s"}).to_string();
    let mut content = GzEncoder::new(Vec::new(), Compression::fast());
    content.write_all(line.as_bytes()).unwrap();
    moto.put(&name, content.finish().unwrap()).await;

    assert_eq!(numbers(&world.poll().await, ["delivered"]), [250]);
    let ran = world.command(&READ).await;
    assert_eq!(ran.stdout.lines().count(), 251, "{ran:?}");
    assert!(ran.stdout.contains("copied"), "{ran:?}");
}

/// Members of records that whoever logs in or calls the API can bring about. `DuckDB` makes no table
/// of some of them, and one such record must not keep it from reading all the others.
const ODD: [&str; 8] = [
    r#""user_name":"\ud800""#,
    r#""details":{"request":{"body":{"\udc00":["\uDBFF","\ud83d\ude00"]}}}"#,
    r#""details":{"body":{"user_metadata":{"Name":1,"name":2}}}"#,
    r#""details":{"":1},"":2"#,
    r#""details":{"a":1,"a":2},"ip":"192.0.2.1","ip":null"#,
    r#""details":{"a\u0000b":"\u0000"},"Type":"x""#,
    r#""details":{"n":1e400,"m":123456789012345678901234567890}"#,
    r#""details":[1,"a",{"b":[[]]},null],"date_2":"yesterday""#,
];

/// Answers the next request for a page with [`ODD`] and a deeply nested record.
fn add_what_duckdb_does_not_read(world: &World) {
    let deep = format!(
        r#""details":{}1{}"#,
        r#"{"a":["#.repeat(500),
        "]}".repeat(500)
    );
    let stored = minutes_ago(30);
    let members = ODD.into_iter().chain([&*deep]);
    let page = (0..).zip(members).map(|(n, members): (u32, _)| {
        let id = format!("900{}{n:033}", stored.format("%Y%m%d%H%M%S%6f"));
        let date = stored.to_rfc3339();
        format!(r#"{{"log_id":"{id}","date":"{date}","type":"odd",{members}}}"#)
    });
    let page = format!("[{}]", page.collect::<Vec<_>>().join(","));
    world.tenant.fail_logs([Fault::answer(200, &page)]);
}

/// The query in docs/destinations.md, unchanged except for the folder.
#[tokio::test]
async fn duckdb_reads_it_as_it_is() {
    let (world, folder) = in_a_folder().await;
    for (n, kind) in (0..).zip(["s", "fp", "s", "sapi", "s"]) {
        let date = minutes_ago(50 - n);
        // Records differ in their fields, and a field differs in its shape.
        let details = if n % 2 == 0 {
            json!({"a": n})
        } else {
            json!("text")
        };
        let record = json!({"date": date, "type": kind, "details": details});
        world.tenant.add(record, date);
    }
    world.poll().await;
    add_what_duckdb_does_not_read(&world);
    // Not every id tells a time either.
    let record = json!({"date": minutes_ago(45), "type": "depnote"});
    world.tenant.add_as("odd", record);
    world.poll().await;
    world.poll().await;
    let page = include_str!("../../docs/destinations.md");
    let (_, query) = page.split_once("DuckDB:\n\n").unwrap();
    let query = query.split("\n\n").next().unwrap();
    assert!(query.contains("'/var/lib/auth0/"), "{query}");
    let query = query.replace("/var/lib/auth0", folder.to_str().unwrap());
    let duckdb = site(Path::new(env!("CARGO_TARGET_TMPDIR")), &["duckdb==2.0.1"]).await;
    let program = "import duckdb, json, sys; print(json.dumps(duckdb.sql(sys.argv[1]).fetchall()))";
    let output = python(&[&duckdb])
        .args(["-c", program, &query])
        .output()
        .await;
    let output = output.unwrap();
    assert!(output.status.success(), "{output:?}");
    let mut rows: Vec<(String, u64)> = serde_json::from_slice(&output.stdout).unwrap();
    let odd = ("odd".to_owned(), ODD.len() as u64 + 1);
    assert_eq!(rows.remove(0), odd);
    assert_eq!(rows.remove(0), ("s".to_owned(), 3));
    rows.sort();
    let others = ["depnote", "fp", "sapi"].map(|kind| (kind.to_owned(), 1));
    assert_eq!(rows, others);
}
