//! Single files of a folder that others may be able to write to.
//!
//! A path is checked before it is used: a link may lead to another user's file, and a pipe would
//! block forever. Files are accessible to their owner only, because checkpoints and dead letters
//! hold personal data.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};

use crate::storage::{LARGEST, LONGEST_LIST, StorageError, Version, digest};

/// Suffix of a file that is being written.
const UNFINISHED: &str = ".new";

/// The version of this content.
pub(super) fn version(content: &[u8]) -> Version {
    Version(digest(content))
}

/// A file's content; `None` if there is none of this name.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>, StorageError> {
    let file = match options().read(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unopened("reading", path, error)),
    };
    see(path, &file)?;
    let mut content = Vec::new();
    let limit = LARGEST as u64 + 1;
    file.take(limit)
        .read_to_end(&mut content)
        .map_err(|error| failed("reading", path, error))?;
    if content.len() > LARGEST {
        return Err(StorageError::TooLarge(path.display().to_string()));
    }
    Ok(Some(content))
}

/// Writes a temporary file and renames it, so that a complete version exists at every moment.
pub(super) fn replace(path: &Path, content: &[u8]) -> Result<(), StorageError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    make_folder(folder)?;
    let beside = unfinished(path);
    // A dead process with the same id may have left it behind.
    remove(&beside)?;
    let write = || {
        let mut new = options().write(true).create_new(true).open(&beside)?;
        new.write_all(content)?;
        new.sync_all()?;
        fs::rename(&beside, path)?;
        sync_names(folder);
        Ok(())
    };
    write().map_err(|error| {
        // A half-written file may take the space that is lacking.
        let _ = fs::remove_file(&beside);
        failed("writing", path, error)
    })
}

/// Makes a new name survive a power failure, as the file's content already does. Not every file
/// system supports that; the file exists all the same.
fn sync_names(folder: &Path) {
    #[cfg(unix)]
    let _ = File::open(folder).and_then(|it| it.sync_all());
    #[cfg(not(unix))]
    let _ = folder;
}

/// Removes whatever has this name, except a folder. It need not exist.
pub(super) fn remove(path: &Path) -> Result<(), StorageError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(unopened("removing", path, error)),
        _ => Ok(()),
    }
}

/// The names of the files in a folder.
pub(super) fn list(folder: &Path) -> Result<Vec<String>, StorageError> {
    let names = || {
        let mut names = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.file_type()?.is_file() && !name.ends_with(UNFINISHED) {
                names.push(name);
            }
            if names.len() >= LONGEST_LIST {
                break;
            }
        }
        Ok(names)
    };
    match names() {
        Err(error) if is_absent(&error) => Ok(Vec::new()),
        names => names.map_err(|error| failed("listing", folder, error)),
    }
}

/// Opens a file for locking, and creates it if it is missing. Its content is kept.
pub(super) fn open_to_lock(path: &Path) -> Result<File, StorageError> {
    let file = options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(|error| unopened("opening", path, error))?;
    see(path, &file)?;
    tighten(&file).map_err(|error| failed("protecting", path, error))?;
    Ok(file)
}

/// Creates a folder and its parents, accessible to the owner only. An existing one is unchanged.
pub(super) fn make_folder(path: &Path) -> Result<(), StorageError> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
        .create(path)
        .map_err(|error| failed("creating", path, error))
}

/// Checks that these folders below `root`, as far as they exist, are folders and not links. The
/// root itself may be a link, chosen by whoever configured it.
pub(super) fn see_folders(root: &Path, folders: &Path) -> Result<(), StorageError> {
    let mut path = root.to_owned();
    for folder in folders {
        path.push(folder);
        match fs::symlink_metadata(&path) {
            Ok(it) if it.is_symlink() => return Err(wrong(&path, IS_LINK)),
            Ok(it) if !it.is_dir() => return Err(wrong(&path, "is not a folder; move it away")),
            Ok(_) => {}
            Err(error) if is_absent(&error) => return Ok(()),
            Err(error) => return Err(failed("reading", &path, error)),
        }
    }
    Ok(())
}

const IS_LINK: &str = "is a symbolic link, which is not followed here; remove it";

/// Options that follow no link in the last part of a path, do not wait for the other end of a pipe,
/// and create files accessible to the owner only.
fn options() -> OpenOptions {
    #[cfg_attr(not(unix), allow(unused_mut, reason = "only Unix has these flags"))]
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;

        use rustix::fs::OFlags;
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
        options.custom_flags(flags.cast_signed()).mode(0o600);
    }
    options
}

/// Checks that an open file is a regular file, of this user, with no other name.
fn see(path: &Path, file: &File) -> Result<(), StorageError> {
    let metadata = file.metadata();
    judge(
        path,
        &metadata.map_err(|error| failed("reading", path, error))?,
    )
}

fn judge(path: &Path, metadata: &Metadata) -> Result<(), StorageError> {
    if metadata.is_symlink() {
        return Err(wrong(path, IS_LINK));
    }
    if !metadata.is_file() {
        return Err(wrong(path, "is not a file; move it away"));
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;

        // The content of another user's file is not trusted, not even by root.
        let me = rustix::process::geteuid().as_raw();
        let owner = metadata.uid();
        if owner != me {
            let what = format!(
                "belongs to user {owner}, and this program runs as user {me}; run it as that \
                 user, or give the folder to this one"
            );
            return Err(wrong(path, &what));
        }
        let names = metadata.nlink();
        if names > 1 {
            let what = format!("has {names} names (hard links); copy it, and remove the links");
            return Err(wrong(path, &what));
        }
    }
    Ok(())
}

/// Removes other users' permissions on a file of this user, as an earlier version or a copy may have left
/// them. It stays as it is where that cannot be done: its content is not in question.
pub(super) fn protect(path: &Path) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let is_wide = |it: Metadata| it.permissions().mode() & 0o077 != 0;
        // Not each of many files is opened.
        if fs::symlink_metadata(path).is_ok_and(is_wide)
            && let Ok(file) = options().read(true).open(path)
            && see(path, &file).is_ok()
        {
            let _ = tighten(&file);
        }
    }
    #[cfg(not(unix))]
    let _ = path;
}

/// Removes other users' permissions on a file.
fn tighten(file: &File) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        if file.metadata()?.permissions().mode() & 0o077 != 0 {
            file.set_permissions(fs::Permissions::from_mode(0o600))?;
        }
    }
    #[cfg(not(unix))]
    let _ = file;
    Ok(())
}

fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}{UNFINISHED}", std::process::id()));
    path.with_file_name(name)
}

fn is_absent(error: &io::Error) -> bool {
    error.kind() == ErrorKind::NotFound
}

fn wrong(path: &Path, what: &str) -> StorageError {
    StorageError::Denied(
        format!("using {}", path.display()),
        format!("it {what}").into(),
    )
}

/// Why a file could not be opened. What is at its path explains more than the system's error.
fn unopened(doing: &str, path: &Path, error: io::Error) -> StorageError {
    let there = fs::symlink_metadata(path).ok();
    let problem = there.and_then(|there| judge(path, &there).err());
    problem.unwrap_or_else(|| failed(doing, path, error))
}

/// Classifies an error. Permanent ones are not retried.
pub(super) fn failed(doing: &str, path: &Path, error: io::Error) -> StorageError {
    let what = format!("{doing} {}", path.display());
    match error.kind() {
        ErrorKind::StorageFull
        | ErrorKind::QuotaExceeded
        | ErrorKind::FileTooLarge
        | ErrorKind::PermissionDenied
        | ErrorKind::ReadOnlyFilesystem
        | ErrorKind::NotADirectory
        | ErrorKind::IsADirectory
        | ErrorKind::InvalidFilename
        | ErrorKind::InvalidInput
        | ErrorKind::AlreadyExists => StorageError::Denied(what, error.into()),
        _ => StorageError::Unavailable(what, error.into()),
    }
}

/// Adds advice to an error of the system, for a folder that this setting names.
pub(super) fn advise(error: StorageError, setting: &str) -> StorageError {
    let StorageError::Denied(what, source) = error else {
        return error;
    };
    let kind = source.downcast_ref::<io::Error>().map(io::Error::kind);
    // With an empty folder for checkpoints, reading would begin anew and leave out what was not delivered
    // before. An archive would lack what it had.
    let advice = match kind {
        Some(ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge) => {
            Some(format!(
                "make room there, or name another folder in {setting} after moving there what this \
                 one holds"
            ))
        }
        Some(_) => Some(format!(
            "name a folder in {setting} that this program may read and write, after moving there what \
             this one holds"
        )),
        None => None,
    };
    let what = match advice {
        Some(advice) => format!("{what}; {advice}"),
        None => what,
    };
    StorageError::Denied(what, source)
}
