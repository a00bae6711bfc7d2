mod read_back;

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::Method;
use axum::response::IntoResponse as _;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use tokio::net::TcpListener;
use url::Url;

use super::read_back::unpacked;
use super::*;
use crate::destination::{DeliveryError, Outcome};
use crate::error::with_causes;
use crate::net::retry::Jitter;
use crate::settings::{AppSettings, SettingsError};
use crate::storage::faulty::{Fault, Faulty, Operation};
use crate::storage::memory::Memory;

/// An id of Auth0's form, stored at this time on 21 November 2026, with this sequence number.
fn id(clock: &str, number: u32) -> String {
    format!("90020261121{clock}000000{number:033}")
}

fn row(id: &str) -> Bytes {
    format!(r#"{{"log_id":"{id}","type":"s"}}"#).into()
}

fn build_with(settings: &[(&str, &str)]) -> Result<Box<dyn Destination>, SettingsError> {
    let settings: AppSettings = settings.iter().copied().collect();
    Reader::read(&settings, |reader| build(reader, &Tools::for_test()))
}

/// An archive in memory with injected faults.
fn with_faults(decide: impl FnMut(Operation, &str) -> Fault + Send + 'static) -> Archive {
    let tools = Tools::for_test();
    let objects = Faulty::over(Memory::default(), decide);
    Archive {
        storage: Storage::over(objects, Jitter::seeded(1)),
        folder: tools.tenant,
        privacy: tools.privacy,
    }
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn archive(&self) -> Box<dyn Destination> {
        let url = Url::from_file_path(self.0.path().join("archive")).unwrap();
        build_with(&[("ARCHIVE_URL", url.as_str())]).unwrap()
    }

    /// Delivers records with these ids and checks that all are accepted.
    async fn deliver(&self, ids: &[&str]) {
        let rows: Vec<_> = ids.iter().map(|id| row(id)).collect();
        let deadline = Deadline::after(Duration::from_mins(1));
        let archive = self.archive();
        let delivery = archive.deliver(&rows, deadline).await;
        let accepted = |it: &Outcome| matches!(it, Outcome::Accepted);
        assert!(delivery.outcomes.iter().all(accepted), "{delivery:?}");
        assert_eq!(delivery.outcomes.len(), ids.len());
    }

    /// The paths below the tenant's folder, sorted, and the ids in each.
    fn objects(&self) -> Vec<(String, Vec<String>)> {
        let root = self.0.path().join("archive/acme.eu.auth0.com");
        let mut objects = Vec::new();
        collect(&root, &root, &mut objects);
        objects.sort();
        objects
    }
}

fn collect(root: &Path, folder: &Path, objects: &mut Vec<(String, Vec<String>)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, objects);
            continue;
        }
        let mut lines = String::new();
        let file = std::fs::read(&path).unwrap();
        GzDecoder::new(&*file).read_to_string(&mut lines).unwrap();
        assert!(lines.ends_with('\n'));
        let name = path.strip_prefix(root).unwrap().display().to_string();
        objects.push((name, lines.lines().map(id_of).collect()));
    }
}

#[tokio::test]
async fn a_batch_is_an_object_called_after_its_hour_and_its_ends() {
    let folder = Folder::new();
    let ids = [id("075959", 2), id("075959", 1), id("075958", 3)];
    folder.deliver(&[&ids[0], &ids[1], &ids[2]]).await;
    let name = format!("2026/11/21/07/{}-{}.ndjson.gz", ids[2], ids[0]);
    assert_eq!(folder.objects(), [(name, ids.to_vec())]);
}

#[tokio::test]
async fn the_same_batch_again_is_the_same_object() {
    let folder = Folder::new();
    let ids = [id("075958", 1), id("075959", 1)];
    for _ in 0..2 {
        folder.deliver(&[&ids[0], &ids[1]]).await;
    }
    assert_eq!(folder.objects().len(), 1);
}

#[tokio::test]
async fn whatever_the_ends_of_a_batch_no_record_is_there_twice() {
    let folder = Folder::new();
    let ids = [
        id("075956", 1),
        id("075957", 1),
        id("075958", 1),
        id("075959", 1),
        id("080000", 1),
    ];
    folder.deliver(&[&ids[1], &ids[3]]).await;
    // As after a kill: the same records, one that became visible late, and new ones.
    folder.deliver(&[&ids[1], &ids[2], &ids[3]]).await;
    folder.deliver(&[&ids[0], &ids[1], &ids[2], &ids[3]]).await;
    folder.deliver(&[&ids[4]]).await;
    folder.deliver(&[&ids[3]]).await;
    let name =
        |hour: &str, first: &str, last: &str| format!("2026/11/21/{hour}/{first}-{last}.ndjson.gz");
    assert_eq!(
        folder.objects(),
        [
            (name("07", &ids[0], &ids[0]), vec![ids[0].clone()]),
            (
                name("07", &ids[1], &ids[3]),
                vec![ids[1].clone(), ids[3].clone()]
            ),
            (name("07", &ids[2], &ids[2]), vec![ids[2].clone()]),
            (name("08", &ids[4], &ids[4]), vec![ids[4].clone()]),
        ]
    );
}

/// No object that this program writes is that large, so it holds no record of this archive.
#[tokio::test]
async fn an_object_that_is_too_large_to_be_read_stops_no_delivery() {
    let folder = Folder::new();
    let ids = [id("075956", 1), id("075957", 1), id("075958", 1)];
    let hour = folder
        .0
        .path()
        .join("archive/acme.eu.auth0.com/2026/11/21/07");
    std::fs::create_dir_all(&hour).unwrap();
    let large = |first: &str, last: &str| {
        let path = hour.join(format!("{first}-{last}.ndjson.gz"));
        let file = std::fs::File::create(&path).unwrap();
        file.set_len(32 * 1024 * 1024 + 1).unwrap();
        path
    };
    // One has the name that the batch's object would have.
    let foreign = [large(&ids[0], &ids[2]), large(&ids[0], &ids[1])];
    for _ in 0..2 {
        folder.deliver(&[&ids[0], &ids[1]]).await;
    }
    for path in foreign {
        std::fs::remove_file(path).unwrap();
    }
    let objects = folder.objects();
    assert_eq!(objects.len(), 1, "{objects:?}");
    assert_eq!(objects[0].1, ids[..2]);
}

#[tokio::test]
async fn an_object_that_is_damaged_holds_nothing() {
    let folder = Folder::new();
    let ids = [id("075958", 1), id("075959", 1)];
    folder.deliver(&[&ids[0], &ids[1]]).await;
    let (name, _) = &folder.objects()[0];
    let path = folder.0.path().join("archive/acme.eu.auth0.com").join(name);
    std::fs::write(&path, b"\x1f\x8b").unwrap();
    folder.deliver(&[&ids[0], &ids[1]]).await;
    std::fs::remove_file(path).unwrap();
    let objects = folder.objects();
    assert_eq!(objects[0].1, ids);
    // The digest in its name distinguishes it.
    let stem = format!("2026/11/21/07/{}-{}-", ids[0], ids[1]);
    assert!(objects[0].0.starts_with(&stem), "{objects:?}");
}

/// S3 reports such a conflict for two concurrent writes, and both may fail.
#[tokio::test]
async fn what_is_said_to_be_there_and_is_not_is_not_in_the_archive() {
    let archive = with_faults(|operation, _| match operation {
        Operation::Write => Fault::Conflict,
        _ => Fault::None,
    });
    let rows = [row(&id("075958", 1)), row(&id("075959", 1))];
    let deadline = Deadline::after(Duration::from_mins(1));
    let delivery = archive.deliver(&rows, deadline).await;
    let is_open = |it: &Outcome| matches!(it, Outcome::Open);
    assert!(delivery.outcomes.iter().all(is_open), "{delivery:?}");
    let error = delivery.error.unwrap();
    assert!(matches!(error, DeliveryError::Failed(_)), "{error:?}");
}

#[tokio::test]
async fn of_what_is_of_no_hour_only_what_may_hold_a_record_is_read() {
    let reads = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&reads);
    let archive = with_faults(move |operation, _| {
        let is_read = operation == Operation::Read;
        counter.fetch_add(usize::from(is_read), Ordering::Relaxed);
        Fault::None
    });
    let deliver = async |ids: &[&str]| {
        let before = reads.load(Ordering::Relaxed);
        let rows: Vec<_> = ids.iter().map(|id| row(id)).collect();
        let deadline = Deadline::after(Duration::from_mins(1));
        let delivery = archive.deliver(&rows, deadline).await;
        assert!(delivery.error.is_none(), "{delivery:?}");
        reads.load(Ordering::Relaxed) - before
    };
    for ids in [["10", "19"], ["20", "29"], ["30", "39"]] {
        assert_eq!(deliver(&ids).await, 0, "{ids:?}");
    }
    assert_eq!(deliver(&["25", "40"]).await, 2);
    assert_eq!(deliver(&["a/b"]).await, 0);
    // A digest does not show which ids lie between it and another one.
    assert_eq!(deliver(&["90"]).await, 1);
}

/// As with a shared access signature without the list permission (`l`).
#[tokio::test(start_paused = true)]
async fn an_archive_that_may_not_be_listed_does_not_work() {
    let probe_with = async |broken: Option<Operation>| {
        let archive = with_faults(move |operation, path| {
            assert!(path.starts_with("acme.eu.auth0.com/_check"), "{path}");
            match broken {
                Some(broken) if broken == operation => Fault::Fail,
                _ => Fault::None,
            }
        });
        archive.probe(Deadline::after(Duration::from_mins(1))).await
    };
    let works = probe_with(None).await;
    assert!(matches!(works, Probe::Works(_)), "{works:?}");
    for broken in [Operation::Read, Operation::Write, Operation::List] {
        let fails = probe_with(Some(broken)).await;
        assert!(matches!(fails, Probe::Fails(_)), "{broken:?}: {fails:?}");
    }
}

/// An archive in a storage account that answers this way.
async fn over(account: Router) -> Box<dyn Destination> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = format!("http://{}/acme", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, account).await });
    let opened = format!("AccountName=acme;AccountKey=a2V5;BlobEndpoint={address}");
    build_with(&[
        ("ARCHIVE_URL", &format!("{address}/auth0-logs")),
        ("ARCHIVE_CONNECTION_STRING", &opened),
    ])
    .unwrap()
}

/// The container forbids overwriting, by an immutability policy or because the credentials may only
/// create. The archive still writes to it.
#[tokio::test]
async fn an_archive_whose_objects_nobody_may_change_works() {
    for (status, code, works) in [
        (409, "BlobImmutableDueToPolicy", true),
        (409, "BlobImmutableDueToLegalHold", true),
        (403, "UnauthorizedBlobOverwrite", true),
        (403, "AuthorizationPermissionMismatch", false),
    ] {
        let stored = Lines::of(&[row(&id("075958", 1))]).object().content;
        let answer = move |request: Request| {
            let stored = stored.clone();
            async move {
                let is_list = request
                    .uri()
                    .query()
                    .is_some_and(|it| it.contains("comp=list"));
                let status = axum::http::StatusCode::from_u16(status).unwrap();
                match *request.method() {
                    Method::PUT => (status, [("x-ms-error-code", code)]).into_response(),
                    _ if is_list => {
                        "<EnumerationResults><Blobs/></EnumerationResults>".into_response()
                    }
                    _ => {
                        let modified = "Sat, 21 Nov 2026 08:00:00 GMT";
                        let headers = [("etag", "\"1\""), ("last-modified", modified)];
                        (headers, stored).into_response()
                    }
                }
            }
        };
        let archive = over(Router::new().fallback(answer)).await;
        let soon = || Deadline::after(Duration::from_secs(20));
        let probe = archive.probe(soon()).await;
        assert_eq!(matches!(probe, Probe::Works(_)), works, "{code}: {probe:?}");
        // As after a write whose response was lost.
        let delivery = archive.deliver(&[row(&id("075958", 1))], soon()).await;
        assert_eq!(delivery.error.is_none(), works, "{code}: {delivery:?}");
    }
}

/// As with a proxy that takes a megabyte at most. Sent again as it is, the batch would be refused for
/// ever, and so would be all that comes after it.
#[tokio::test]
async fn what_is_too_much_for_the_place_is_refused_so_that_less_is_sent() {
    for (status, code, is_size) in [
        (413, "", true),
        (413, "RequestBodyTooLarge", true),
        (400, "InvalidHeaderValue", false),
    ] {
        let server = Router::new().fallback(async move |request: Request| {
            let status = axum::http::StatusCode::from_u16(status).unwrap();
            match *request.method() {
                Method::PUT => (status, [("x-ms-error-code", code)]).into_response(),
                _ => "<EnumerationResults><Blobs/></EnumerationResults>".into_response(),
            }
        });
        let archive = over(server).await;
        let rows = [row(&id("075958", 1)), row(&id("075959", 1))];
        let soon = || Deadline::after(Duration::from_secs(20));
        let Delivery { error, .. } = archive.deliver(&rows, soon()).await;
        let is_halved = matches!(error, Some(DeliveryError::Refused(_)));
        assert_eq!(is_halved, is_size, "{status} {code}: {error:?}");
        // One that is too large even alone can be set aside.
        let Delivery { outcomes, .. } = archive.deliver(&rows[..1], soon()).await;
        let is_refused = matches!(outcomes[..], [Outcome::Refused(_)]);
        assert_eq!(is_refused, is_size, "{status} {code}: {outcomes:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_is_not_told_as_if_something_were_written() {
    let archive = with_faults(|_, _| Fault::Fail);
    let soon = || Deadline::after(Duration::from_mins(1));
    let hour = "2026-11-21T08:00:00Z".parse().unwrap();
    let listed = archive.groups(hour, soon()).await.unwrap_err();
    let paths = ["t/2026/11/21/08/1-2.ndjson.gz".to_owned()];
    let read = archive.read(&paths, soon()).await.unwrap_err();
    for error in [listed, read] {
        assert!(error.to_string().starts_with("reading "), "{error}");
    }
    let rows = [row(&id("080000", 1))];
    let told = format!("{:?}", archive.deliver(&rows, soon()).await);
    assert!(told.contains("Reading {"), "{told}");
}

#[tokio::test]
async fn an_id_of_another_form_leads_nowhere_else() {
    let folder = Folder::new();
    folder.deliver(&["../../etc/passwd"]).await;
    let (name, ids) = &folder.objects()[0];
    assert!(name.starts_with("undated/sha256_"), "{name}");
    assert_eq!(ids, &["../../etc/passwd"]);
}

#[tokio::test]
async fn a_name_is_no_longer_than_any_place_takes() {
    for (length, begins) in [(64, "undated/aaa"), (65, "undated/sha256_")] {
        let folder = Folder::new();
        folder.deliver(&[&"a".repeat(length)]).await;
        let (name, _) = &folder.objects()[0];
        assert!(name.starts_with(begins), "{name}");
    }
}

#[test]
fn an_object_is_looked_into_unless_its_name_tells_that_it_shares_nothing() {
    let (dated, undated) = ([row(&id("080000", 5))], [row("m")]);
    let (dated, undated) = (Lines::of(&dated).ends(), Lines::of(&undated).ends());
    let digest = format!("sha256_{}", "0".repeat(32));
    for (ends, first, last, may_share) in [
        (&dated, &*id("080000", 1), &*id("080000", 5), true),
        (&dated, &id("080000", 6), &id("080000", 9), false),
        (&dated, &id("080000", 6), "b", true),
        (&dated, "a", "b", true),
        (&undated, "a", "m", true),
        (&undated, "a", "b", false),
        (&undated, &digest, &digest, true),
    ] {
        let path = format!("t/{}/{first}-{last}.ndjson.gz", ends.folder());
        assert_eq!(ends.may_share_with(&path), may_share, "{path}");
    }
}

#[tokio::test]
async fn a_record_has_the_id_here_that_it_was_read_by() {
    let folder = Folder::new();
    let deadline = || Deadline::after(Duration::from_mins(1));
    let ids = [id("075959", 1), id("075959", 2)];
    for id in &ids {
        // Half a surrogate pair is not text, so `_id` supplies the id.
        let record = format!(r#"{{"log_id":"\ud800","_id":"{id}"}}"#);
        let row = Bytes::from(record);
        let delivery = folder.archive().deliver(&[row], deadline()).await;
        assert!(matches!(delivery.outcomes[..], [Outcome::Accepted]));
    }
    let held = folder.objects().into_iter().flat_map(|(_, ids)| ids);
    assert_eq!(held.collect::<Vec<_>>(), ids);
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_told_with_the_setting_that_names_it() {
    let folder = Folder::new();
    std::fs::write(folder.0.path().join("archive"), "").unwrap();
    let rows = [row(&id("075959", 1))];
    let archive = folder.archive();
    let delivery = archive.deliver(&rows, Deadline::after(Duration::from_mins(1)));
    let told = format!("{:?}", delivery.await);
    let advice = "; name a folder in ARCHIVE_URL that this program may read and write";
    assert!(told.contains(advice), "{told}");
}

#[tokio::test]
async fn an_hour_closes_a_batch() {
    let archive = Folder::new().archive();
    let closes = |a: &str, b: &str| archive.closes_between(&LogId::new(a), &LogId::new(b));
    assert!(closes(&id("075959", 1), &id("080000", 1)));
    assert!(!closes(&id("080000", 1), &id("085959", 1)));
    assert!(closes(&id("080000", 1), "1"));
    assert!(!closes("2", "1"));
}

#[test]
fn every_bad_setting_is_named() {
    let acme = "https://acme.blob.core.windows.net/logs";
    let opened = "AccountName=other;AccountKey=a2V5";
    for (settings, telling) in [
        (&[][..], "ARCHIVE_URL is missing: where the archive is"),
        (&[("ARCHIVE_URL", "x")], "ARCHIVE_URL must be https://"),
        (
            &[("ARCHIVE_URL", acme)],
            "ARCHIVE_URL needs a managed identity",
        ),
        (
            &[("ARCHIVE_URL", "s3://acme-logs")],
            "AWS_REGION is missing: the region of the bucket",
        ),
        (
            &[
                ("ARCHIVE_URL", "s3://acme-logs"),
                ("AWS_REGION", "eu-west-1"),
            ],
            "ARCHIVE_URL needs credentials of AWS",
        ),
        (
            &[("ARCHIVE_URL", acme), ("ARCHIVE_CONNECTION_STRING", "x")],
            "ARCHIVE_CONNECTION_STRING cannot be used: it is not of the form",
        ),
        (
            &[("ARCHIVE_URL", acme), ("ARCHIVE_CONNECTION_STRING", opened)],
            "ARCHIVE_CONNECTION_STRING is that of another account",
        ),
    ] {
        let problem = build_with(settings).err().unwrap().to_string();
        assert!(problem.contains(telling), "{problem}");
    }
    let opened = opened.replace("other", "acme");
    let both = [
        ("ARCHIVE_URL", acme),
        ("ARCHIVE_CONNECTION_STRING", &*opened),
    ];
    assert!(build_with(&both).is_ok());
}

#[test]
fn what_is_longer_than_is_read_is_refused_and_not_cut() {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(&vec![b'\n'; 64 * 1024 * 1024]).unwrap();
    let whole = Bytes::from(gzip.finish().unwrap());
    assert_eq!(unpacked(&whole).unwrap().len(), 64 * 1024 * 1024);
    let mut gzip = GzEncoder::new(whole.to_vec(), Compression::fast());
    gzip.write_all(b"\n").unwrap();
    let longer = Bytes::from(gzip.finish().unwrap());
    assert!(unpacked(&longer).is_err());
}
