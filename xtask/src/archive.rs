//! Makes a zip whose bytes depend only on its content.

use std::io::{Cursor, Write as _};

use anyhow::Result;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

/// The best compression level of deflate.
const LEVEL: i64 = 9;

/// A file in the archive.
pub struct Entry {
    /// The path in the archive.
    pub name: String,
    /// The Unix permissions.
    pub mode: u32,
    /// The content.
    pub content: Vec<u8>,
}

/// Packs the files in this order. All get the earliest time that a zip can express.
pub fn pack(entries: &[Entry]) -> Result<Vec<u8>> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for entry in entries {
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .compression_level(Some(LEVEL))
            .last_modified_time(DateTime::DEFAULT)
            .unix_permissions(entry.mode);
        zip.start_file(&*entry.name, options)?;
        zip.write_all(&entry.content)?;
    }
    Ok(zip.finish()?.into_inner())
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use zip::ZipArchive;

    use super::*;

    fn entries() -> [Entry; 2] {
        [("b", 0o755, "program"), ("a/c", 0o644, "text")].map(|(name, mode, content)| Entry {
            name: name.into(),
            mode,
            content: content.into(),
        })
    }

    #[test]
    fn the_same_files_make_the_same_bytes() {
        assert_eq!(pack(&entries()).unwrap(), pack(&entries()).unwrap());
    }

    #[test]
    fn files_keep_order_mode_and_content_and_bear_no_time() {
        let mut zip = ZipArchive::new(Cursor::new(pack(&entries()).unwrap())).unwrap();
        let mut found = Vec::new();
        for index in 0..zip.len() {
            let mut file = zip.by_index(index).unwrap();
            let mut content = String::new();
            file.read_to_string(&mut content).unwrap();
            let time = file.last_modified().unwrap();
            assert_eq!((time.year(), time.month(), time.day()), (1980, 1, 1));
            assert_eq!((time.hour(), time.minute(), time.second()), (0, 0, 0));
            found.push((file.name().unwrap().to_string(), file.unix_mode(), content));
        }
        let expected = [
            ("b".to_owned(), Some(0o100_755), "program".to_owned()),
            ("a/c".to_owned(), Some(0o100_644), "text".to_owned()),
        ];
        assert_eq!(found, expected);
    }
}
