//! Reads, writes and lists the objects of a service through `object_store`. A version is an `ETag`.

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use object_store::path::Path;
use object_store::{
    Error, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, RetryConfig, UpdateVersion,
};

use super::{LONGEST_LIST, Object, Version};

/// Switches the retries of `object_store` off: `retry.rs` retries.
pub(super) fn retries() -> RetryConfig {
    RetryConfig {
        max_retries: 0,
        ..RetryConfig::default()
    }
}

/// The object with exactly this name. `Path::from` would encode some letters of it, which none of this
/// program's names has, but that of another program's object may.
pub(super) fn path(name: &str) -> Path {
    Path::parse(name).unwrap_or_else(|_| Path::from(name))
}

pub(super) async fn get(store: &impl ObjectStore, name: &str) -> Result<Object, Error> {
    let object = store.get(&path(name)).await?;
    let version = Version(object.meta.e_tag.clone().unwrap_or_default());
    Ok((object.bytes().await?, version))
}

/// Writes an object: over this version, or, without one, only if the object does not exist.
pub(super) async fn put(
    store: &impl ObjectStore,
    name: &str,
    content: Bytes,
    over: Option<&Version>,
) -> Result<Version, Error> {
    let mode = match over {
        None => PutMode::Create,
        Some(Version(e_tag)) => PutMode::Update(UpdateVersion {
            e_tag: Some(e_tag.clone()),
            version: None,
        }),
    };
    let (path, options) = (path(name), PutOptions::from(mode));
    let put = store.put_opts(&path, content.into(), options);
    Ok(Version(put.await?.e_tag.unwrap_or_default()))
}

/// The paths of the objects in a folder, without those in folders below it.
pub(super) async fn list(store: &impl ObjectStore, folder: &str) -> Result<Vec<String>, Error> {
    let prefix = Path::from(folder);
    let below = prefix.parts().count() + 1;
    let mut objects = store.list(Some(&prefix));
    let mut paths = Vec::new();
    while paths.len() < LONGEST_LIST
        && let Some(object) = objects.try_next().await?
    {
        if object.location.parts().count() == below {
            paths.push(object.location.to_string());
        }
    }
    Ok(paths)
}
