//! What a bucket answers to a request for a list. `object_store` reads any XML as a list: that of
//! something else as an empty one.

use quick_xml::Reader;
use quick_xml::events::Event;

/// Whether a request with this query asks for a list.
pub(super) fn is_asked_for(query: &str) -> bool {
    query.split('&').any(|it| it == "list-type=2")
}

/// Whether a body is a list that is complete, or says where it goes on. A service that knows only the
/// first version of such requests does not say that.
pub(super) fn is_whole(body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(body);
    let goes_on = text.contains("<IsTruncated>true</IsTruncated>");
    is_list(&text) && (!goes_on || text.contains("<NextContinuationToken>"))
}

fn is_list(text: &str) -> bool {
    let mut parts = Reader::from_str(text);
    loop {
        match parts.read_event() {
            Ok(Event::Start(root) | Event::Empty(root)) => {
                return root.local_name().as_ref() == b"ListBucketResult";
            }
            Ok(Event::Eof) | Err(_) => return false,
            Ok(_) => {}
        }
    }
}
