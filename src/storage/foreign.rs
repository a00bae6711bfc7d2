//! Leaves out of a page of a list what another program named so that no path of `object_store` can
//! name it, such as `a//b`. It would refuse the whole page, and so the list.

use bytes::Bytes;
use object_store::path::Path;

/// How a service writes an object in a list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tags {
    /// Before and after the object.
    object: [&'static str; 2],
    /// The name of the element with its name.
    name: &'static str,
}

impl Tags {
    /// Of a storage account.
    pub const AZURE: Self = Self {
        object: ["<Blob>", "</Blob>"],
        name: "Name",
    };
    /// Of S3.
    pub const S3: Self = Self {
        object: ["<Contents>", "</Contents>"],
        name: "Key",
    };
}

/// The page without such objects.
pub(super) fn left_out(page: &Bytes, tags: Tags) -> Bytes {
    let page = String::from_utf8_lossy(page);
    let mut kept = String::with_capacity(page.len());
    let mut rest = &*page;
    while let Some((before, object, after)) = next(rest, tags.object) {
        kept.push_str(before);
        if is_path(name(object, tags.name)) {
            kept.push_str(object);
        }
        rest = after;
    }
    kept.push_str(rest);
    kept.into()
}

/// The next object, with its tags, and what is before and after it.
fn next<'a>(text: &'a str, [first, last]: [&str; 2]) -> Option<(&'a str, &'a str, &'a str)> {
    let begin = text.find(first)?;
    let end = begin + text[begin..].find(last)? + last.len();
    Some((&text[..begin], &text[begin..end], &text[end..]))
}

/// The name of an object. Its element may have attributes.
fn name<'a>(object: &'a str, element: &str) -> Option<&'a str> {
    let (_, from) = object.split_once(&format!("<{element}"))?;
    let (name, _) = from.split_once(&format!("</{element}>"))?;
    name.split_once('>').map(|(_, name)| name)
}

/// Whether a name can be a path. An object without a name is left to `object_store`.
fn is_path(name: Option<&str>) -> bool {
    name.is_none_or(|name| {
        let name = quick_xml::escape::unescape(name);
        name.is_ok_and(|name| Path::parse(&name).is_ok_and(|path| path.as_ref() == name))
    })
}
