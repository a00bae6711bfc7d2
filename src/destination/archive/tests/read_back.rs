//! Objects that are read again, which somebody may have changed.

use super::*;

#[tokio::test]
async fn an_object_that_was_listed_and_is_not_there_is_not_passed_over() {
    let folder = Folder::new();
    let ids = [id("075956", 1), id("075957", 1)];
    folder.deliver(&[&ids[0]]).await;
    folder.deliver(&[&ids[1]]).await;
    let archive = folder.archive();
    let archived = archive.archived().unwrap();
    let deadline = Deadline::after(Duration::from_mins(1));
    let hour = "2026-11-21T07:00:00Z".parse().unwrap();
    let groups = archived.groups(hour, deadline).await.unwrap().concat();
    assert_eq!(archived.read(&groups, deadline).await.unwrap().len(), 2);
    let hours = folder.0.path().join("archive");
    std::fs::remove_file(hours.join(&groups[1])).unwrap();
    let error = archived.read(&groups, deadline).await.unwrap_err();
    let told = format!(
        "{} was listed, and is not there",
        hours.join(&groups[1]).display()
    );
    assert!(error.to_string().starts_with(&told), "{error}");
}

/// Gzip files can be concatenated, which turns many objects into fewer.
#[tokio::test]
async fn of_an_object_that_somebody_put_together_of_others_every_record_is_there() {
    let folder = Folder::new();
    let ids = [id("080001", 1), id("080002", 2), id("080003", 3)];
    let content: Vec<u8> = ids
        .iter()
        .flat_map(|id| Lines::of(&[row(id)]).object().content)
        .collect();
    let hour = folder
        .0
        .path()
        .join("archive/acme.eu.auth0.com/2026/11/21/08");
    std::fs::create_dir_all(&hour).unwrap();
    let path = hour.join(format!("{}-{}.ndjson.gz", ids[0], ids[2]));
    std::fs::write(&path, &content).unwrap();

    let read = async || {
        let archive = folder.archive();
        let archived = archive.archived().unwrap();
        let deadline = Deadline::after(Duration::from_mins(1));
        let hour = "2026-11-21T08:00:00Z".parse().unwrap();
        let groups = archived.groups(hour, deadline).await.unwrap();
        let read = archived.read(&groups[0], deadline).await;
        read.map(|it| {
            it.iter()
                .map(|it| it.log_id.to_string())
                .collect::<Vec<_>>()
        })
    };
    assert_eq!(read().await.unwrap(), ids);
    folder.deliver(&[&ids[1], &ids[2]]).await;
    assert_eq!(std::fs::read_dir(&hour).unwrap().count(), 1);
    // Trailing bytes that are not gzip are not ignored.
    std::fs::write(&path, [&content[..], b"{}"].concat()).unwrap();
    assert!(read().await.is_err());
}

/// Puts these lines into the only object of the hour from 08:00, and reads it.
async fn read_again(folder: &Folder, path: &Path, lines: &str) -> Result<Vec<Record>, BoxError> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(lines.as_bytes()).unwrap();
    std::fs::write(path, encoder.finish().unwrap()).unwrap();
    let archive = folder.archive();
    let archived = archive.archived().unwrap();
    let deadline = Deadline::after(Duration::from_mins(1));
    let hour = "2026-11-21T08:00:00Z".parse().unwrap();
    let groups = archived.groups(hour, deadline).await.unwrap();
    archived.read(&groups[0], deadline).await
}

/// Somebody may have changed an object and compressed it again: only its lines show that.
#[tokio::test]
async fn a_line_that_is_no_record_is_not_passed_over() {
    let folder = Folder::new();
    folder.deliver(&[&id("080001", 1)]).await;
    let (name, _) = &folder.objects()[0];
    let path = folder.0.path().join("archive/acme.eu.auth0.com").join(name);
    let good = String::from_utf8(row(&id("080001", 1)).to_vec()).unwrap();
    for (lines, is_read) in [
        (format!("{good}\n"), true),
        (format!("{good}\n\n{good}"), true),
        (format!("{good}\n{}\n", &good[..good.len() - 1]), false),
        (format!("{good}\n{{\"type\":\"s\"}}\n"), false),
        (format!("[{good}]"), false),
        (good.replace(',', ",\n"), false),
    ] {
        let read = read_again(&folder, &path, &lines).await;
        assert_eq!(read.is_ok(), is_read, "{lines}: {read:?}");
        if lines.starts_with(&good) && !is_read {
            let told = with_causes(&*read.unwrap_err());
            assert!(told.contains("line 2 of it is no record"), "{told}");
        }
    }
    // A damaged line does not count as a stored record.
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    writeln!(encoder, "{}", &good[..good.len() - 1]).unwrap();
    std::fs::write(&path, encoder.finish().unwrap()).unwrap();
    folder.deliver(&[&id("080001", 1)]).await;
    assert_eq!(folder.objects().len(), 2);
}

/// As a shell makes of an object that is read and written by one command.
#[tokio::test]
async fn an_object_without_a_record_is_not_passed_over() {
    let folder = Folder::new();
    folder.deliver(&[&id("080001", 1)]).await;
    let (name, _) = &folder.objects()[0];
    let path = folder.0.path().join("archive/acme.eu.auth0.com").join(name);
    for lines in ["", "\n"] {
        let read = read_again(&folder, &path, lines).await;
        let told = with_causes(&*read.unwrap_err());
        let expected = format!(
            "reading {}, which is not an object that auth0-poller wrote: there is no record in it",
            path.display()
        );
        assert_eq!(told, expected, "{lines:?}");
    }
    // To a delivery its record is not stored.
    folder.deliver(&[&id("080001", 1)]).await;
    assert_eq!(folder.objects().len(), 2);
}
