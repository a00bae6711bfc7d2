//! Single files of a folder that others may be able to write to.
//!
//! What stands where a file is expected is looked at before it is used: a link may lead to another
//! user's file, and a pipe would never answer. Files are for their owner alone, as checkpoints and
//! dead letters hold personal data.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};

use crate::storage::{LARGEST, LONGEST_LIST, StorageError, Version, digest};

/// How the name of a file ends that is being written.
const UNFINISHED: &str = ".new";

/// The version of a content.
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

/// Writes beside the file and renames, so that at every moment one whole version is there.
pub(super) fn replace(path: &Path, content: &[u8]) -> Result<(), StorageError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    make_folder(folder)?;
    let beside = unfinished(path);
    // A process with this number has died here.
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
        // What is half written takes up the room that may be lacking.
        let _ = fs::remove_file(&beside);
        failed("writing", path, error)
    })
}

/// Lets a new name outlast a loss of power, as the content of its file does already. Not every file
/// system can do that; the file is there all the same.
fn sync_names(folder: &Path) {
    #[cfg(unix)]
    let _ = File::open(folder).and_then(|it| it.sync_all());
    #[cfg(not(unix))]
    let _ = folder;
}

/// Removes a file, or what else has its name but a folder. It need not be there.
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

/// Opens a file to lock it, and makes it where there is none. What is in it stays.
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

/// Makes a folder, and those that it is in, for the owner alone. One that is there stays as it is.
pub(super) fn make_folder(path: &Path) -> Result<(), StorageError> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
        .create(path)
        .map_err(|error| failed("creating", path, error))
}

/// Sees to it that what is there of these folders below `root` are folders. The root itself may be
/// a link: whoever chose the folder chose that.
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

/// Follows no link in the last part of a path, waits for nobody at the other end of a pipe, and
/// makes files for their owner alone.
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

/// Sees to it that an open file is one, of this user, and under this name only.
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

        // What another user's file says is not to be trusted, and root makes no exception.
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

/// Takes from everybody else what they may do with a file.
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

/// Why a file was not opened; what stands there instead tells more than the system does.
fn unopened(doing: &str, path: &Path, error: io::Error) -> StorageError {
    let there = fs::symlink_metadata(path).ok();
    let problem = there.and_then(|there| judge(path, &there).err());
    problem.unwrap_or_else(|| failed(doing, path, error))
}

/// What does not pass by itself is not tried again.
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

/// Adds what to do where the system denies something, for a folder that this setting names.
pub(super) fn advise(error: StorageError, setting: &str) -> StorageError {
    let StorageError::Denied(what, source) = error else {
        return error;
    };
    let kind = source.downcast_ref::<io::Error>().map(io::Error::kind);
    let advice = match kind {
        Some(ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge) => Some(
            format!("make room there, or name another folder in {setting}"),
        ),
        Some(_) => Some(format!(
            "name a folder in {setting} that this program may read and write"
        )),
        None => None,
    };
    let what = match advice {
        Some(advice) => format!("{what}; {advice}"),
        None => what,
    };
    StorageError::Denied(what, source)
}
