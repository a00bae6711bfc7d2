use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, mkfifoat};

use super::*;
use crate::error::with_causes;
use crate::net::retry::{Again, Transient as _};

const VICTIM: &str = "a victim's file";

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

fn content() -> Bytes {
    Bytes::from_static(b"1")
}

/// A folder with one object, and somebody else's file outside it.
async fn folder() -> (tempfile::TempDir, Folder, PathBuf, Version) {
    let temp = tempfile::tempdir().unwrap();
    let victim = temp.path().join("victim");
    fs::write(&victim, VICTIM).unwrap();
    let folder = Folder::new(temp.path().join("root"), "CHECKPOINT_DIR");
    let version = folder.write("a/b.json", content(), None).await.unwrap();
    (temp, folder, victim, version)
}

fn assert_final(error: &StorageError, telling: &str) {
    let text = with_causes(error);
    assert!(text.contains(telling), "{telling}: {text}");
    assert_eq!(error.again(), Again::Never, "{text}");
}

#[tokio::test]
async fn what_is_made_is_for_the_owner_alone_and_what_was_wider_is_tightened() {
    let (temp, folder, _, version) = folder().await;
    let root = temp.path().join("root");
    folder.claim().await.unwrap();
    for made in ["a/b.json", "lock"] {
        assert_eq!(mode(&root.join(made)), 0o600, "{made}");
    }
    for made in ["", "a"] {
        assert_eq!(mode(&root.join(made)), 0o700, "{made}");
    }
    drop(folder);
    for made in ["a/b.json", "lock"] {
        fs::set_permissions(root.join(made), fs::Permissions::from_mode(0o666)).unwrap();
    }
    fs::set_permissions(&root, fs::Permissions::from_mode(0o755)).unwrap();
    let again = Folder::new(root.clone(), "CHECKPOINT_DIR");
    again.claim().await.unwrap();
    again
        .write("a/b.json", content(), Some(&version))
        .await
        .unwrap();
    for made in ["a/b.json", "lock"] {
        assert_eq!(mode(&root.join(made)), 0o600, "{made}");
    }
    assert_eq!(
        mode(&root),
        0o755,
        "the folder is somebody's who made it so"
    );
}

#[tokio::test]
async fn what_is_read_or_only_listed_is_tightened_but_not_where_others_may_read() {
    let (temp, folder, ..) = folder().await;
    let made = temp.path().join("root").join("a/b.json");
    let widen = || fs::set_permissions(&made, fs::Permissions::from_mode(0o644)).unwrap();
    let shared = folder.clone().shared();
    widen();
    shared.list("a").await.unwrap();
    shared.read("a/b.json").await.unwrap();
    assert_eq!(mode(&made), 0o644);
    assert_eq!(folder.list("a").await.unwrap(), ["a/b.json"]);
    assert_eq!(mode(&made), 0o600);
    widen();
    folder.read("a/b.json").await.unwrap();
    assert_eq!(mode(&made), 0o600);
}

#[tokio::test]
async fn a_link_leads_to_no_file_outside() {
    let symbolic = |victim: &Path, link: &Path| symlink(victim, link).unwrap();
    let hard = |victim: &Path, link: &Path| fs::hard_link(victim, link).unwrap();
    assert_no_link_is_followed(symbolic, "is a symbolic link").await;
    assert_no_link_is_followed(hard, "(hard links)").await;
}

async fn assert_no_link_is_followed(link: impl Fn(&Path, &Path), telling: &str) {
    let (temp, folder, victim, version) = folder().await;
    let root = temp.path().join("root");
    let stale = format!("a/c.json.{}.new", std::process::id());
    for name in ["lock", "linked.json", &stale] {
        link(&victim, &root.join(name));
    }
    assert_final(&folder.claim().await.unwrap_err(), telling);
    assert_final(&folder.read("linked.json").await.unwrap_err(), telling);
    let over = folder.write("linked.json", content(), Some(&version)).await;
    assert_final(&over.unwrap_err(), telling);
    // A temporary file left beside an object is removed, not followed.
    folder.write("a/c.json", content(), None).await.unwrap();
    assert_eq!(fs::read_to_string(&victim).unwrap(), VICTIM);
}

#[tokio::test]
async fn a_folder_that_is_a_link_is_not_entered() {
    let (temp, folder, _, _) = folder().await;
    let outside = temp.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("c.json"), VICTIM).unwrap();
    symlink(&outside, temp.path().join("root/link")).unwrap();
    let version = file::version(VICTIM.as_bytes());
    let telling = "is a symbolic link";
    assert_final(&folder.read("link/c.json").await.unwrap_err(), telling);
    let written = folder.write("link/c.json", content(), Some(&version)).await;
    assert_final(&written.unwrap_err(), telling);
    assert_final(&folder.remove("link/c.json").await.unwrap_err(), telling);
    assert_final(&folder.list("link").await.unwrap_err(), telling);
    assert_eq!(fs::read_to_string(outside.join("c.json")).unwrap(), VICTIM);
    // The configured folder itself may be a link: that is the operator's choice.
    symlink(temp.path().join("root"), temp.path().join("chosen")).unwrap();
    let chosen = Folder::new(temp.path().join("chosen"), "CHECKPOINT_DIR");
    assert!(chosen.read("a/b.json").await.unwrap().is_some());
}

#[tokio::test]
async fn what_is_no_file_is_named_at_once() {
    let (temp, folder, _, version) = folder().await;
    let root = temp.path().join("root");
    for name in ["fifo.json", "lock"] {
        // Made without a child process, which would share the locks of concurrent tests until it executes.
        mkfifoat(CWD, root.join(name), Mode::RUSR | Mode::WUSR).unwrap();
    }
    fs::create_dir(root.join("folder.json")).unwrap();
    for name in ["fifo.json", "folder.json"] {
        assert_final(&folder.read(name).await.unwrap_err(), "is not a file");
        let written = folder.write(name, content(), Some(&version)).await;
        assert_final(&written.unwrap_err(), "is not a file");
    }
    let removed = folder.remove("folder.json").await;
    assert_final(&removed.unwrap_err(), "is not a file");
    assert_final(&folder.claim().await.unwrap_err(), "is not a file");
    fs::remove_file(root.join("lock")).unwrap();
    fs::create_dir(root.join("lock")).unwrap();
    assert_final(&folder.claim().await.unwrap_err(), "is not a file");
    // A file is where a folder is expected.
    assert_final(&folder.read("a/b.json/c").await.unwrap_err(), "a/b.json");
    let written = folder.write("a/b.json/c", content(), None).await;
    assert_final(&written.unwrap_err(), "a/b.json");
    assert_final(&folder.list("a/b.json").await.unwrap_err(), "a/b.json");
}

/// Otherwise a list of nothing would be told of a folder that nobody has seen.
#[tokio::test]
async fn only_a_folder_that_is_not_there_has_an_empty_list() {
    let (_temp, folder, _, _) = folder().await;
    assert!(folder.list("b").await.unwrap().is_empty());
    let long = "x".repeat(300);
    assert_final(&folder.list(&long).await.unwrap_err(), &long);
}

#[tokio::test]
async fn whether_another_has_claimed_it_is_told_without_a_claim() {
    let (temp, folder, _, _) = folder().await;
    let root = temp.path().join("root");
    let other = || Folder::new(root.clone(), "CHECKPOINT_DIR");
    let mine = other();
    assert!(!mine.is_claimed_elsewhere().await.unwrap());
    assert!(!root.join("lock").exists(), "a look makes no file");
    mine.claim().await.unwrap();
    assert!(!mine.is_claimed_elsewhere().await.unwrap());
    assert!(other().is_claimed_elsewhere().await.unwrap());
    drop((mine, folder));
    assert!(!other().is_claimed_elsewhere().await.unwrap());
    assert!(!other().is_claimed_elsewhere().await.unwrap());
}

#[tokio::test]
async fn a_place_that_cannot_be_written_names_the_setting_and_is_not_tried_again() {
    let temp = tempfile::tempdir().unwrap();
    fs::write(temp.path().join("file"), "").unwrap();
    let folder = Folder::new(temp.path().join("file/x"), "ARCHIVE_URL");
    for error in [
        folder.claim().await.unwrap_err(),
        folder.write("a", content(), None).await.unwrap_err(),
    ] {
        assert!(matches!(error, StorageError::Denied(..)), "{error:?}");
        let told = "; name a folder in ARCHIVE_URL that this program may read and write";
        assert!(error.to_string().contains(told), "{error}");
    }
    for kind in [
        ErrorKind::PermissionDenied,
        ErrorKind::StorageFull,
        ErrorKind::QuotaExceeded,
        ErrorKind::ReadOnlyFilesystem,
    ] {
        let error = advise(
            failed("writing", Path::new("a"), kind.into()),
            "CHECKPOINT_DIR",
        );
        assert_final(&error, "CHECKPOINT_DIR");
        // In an empty folder reading would begin anew, and pass what was not delivered yet.
        assert_final(&error, "after moving there what this one holds");
    }
    let passing = failed("writing", Path::new("a"), ErrorKind::Interrupted.into());
    assert_eq!(passing.again(), Again::Soon);
}

#[test]
fn another_user_s_file_is_not_read() {
    let temp = tempfile::tempdir().unwrap();
    let mine = temp.path().join("a");
    fs::write(&mine, "1").unwrap();
    // Only root can give a file away; other users read one of root's files.
    let theirs = match std::os::unix::fs::chown(&mine, Some(4_321), None) {
        Ok(()) => mine,
        Err(_) => PathBuf::from("/etc/passwd"),
    };
    assert_final(&file::read(&theirs).unwrap_err(), "belongs to user ");
}

#[tokio::test]
async fn a_write_leaves_nothing_beside_the_object() {
    let (temp, _folder, _, _) = folder().await;
    let entries = fs::read_dir(temp.path().join("root/a")).unwrap();
    let names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["b.json"]);
}

#[tokio::test]
async fn what_a_dead_process_left_half_written_is_not_listed() {
    let (temp, folder, _, _) = folder().await;
    fs::write(temp.path().join("root/a/b.json.7.new"), "hal").unwrap();
    assert_eq!(folder.list("a").await.unwrap(), ["a/b.json"]);
}

#[tokio::test]
async fn a_file_that_is_too_large_is_named_and_not_read() {
    let (temp, folder, _, version) = folder().await;
    let file = File::create(temp.path().join("root/large.json")).unwrap();
    file.set_len(32 * 1024 * 1024 + 1).unwrap();
    fs::set_permissions(
        temp.path().join("root/large.json"),
        fs::Permissions::from_mode(0o600),
    )
    .unwrap();
    assert_final(
        &folder.read("large.json").await.unwrap_err(),
        "larger than 32 MiB",
    );
    let written = folder.write("large.json", content(), Some(&version)).await;
    assert_final(&written.unwrap_err(), "larger than 32 MiB");
}
