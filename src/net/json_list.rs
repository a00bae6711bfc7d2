//! A JSON list as the body of a request: as a whole, or in pieces, so that the whole is never in memory.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

/// The most bytes of a piece, unless a row alone is larger.
const PIECE: usize = 256 * 1024;

/// One list of rows that are JSON already.
pub(crate) fn whole(rows: &[Bytes]) -> Bytes {
    let mut list = Vec::with_capacity(length(rows));
    append(&mut list, rows, 0, usize::MAX);
    list.into()
}

/// The length of such a list in bytes.
fn length(rows: &[Bytes]) -> usize {
    let bytes: usize = rows.iter().map(Bytes::len).sum();
    let commas = rows.len().saturating_sub(1);
    bytes + commas + "[]".len()
}

/// Such a list, sent in pieces.
pub(crate) struct JsonList(Arc<[Bytes]>);

impl JsonList {
    /// A list of these rows.
    pub fn of(rows: &[Bytes]) -> Self {
        Self(rows.into())
    }

    /// Its length in bytes.
    pub fn bytes(&self) -> usize {
        length(&self.0)
    }

    /// A body that is sent piece by piece, and whose length is known in advance.
    pub fn body(&self) -> reqwest::Body {
        reqwest::Body::wrap(Pieces {
            rows: Arc::clone(&self.0),
            next: 0,
            left: self.bytes(),
        })
    }
}

/// What is still to be sent of a list.
struct Pieces {
    rows: Arc<[Bytes]>,
    next: usize,
    /// Bytes that are still to be sent.
    left: usize,
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        if this.left == 0 {
            return Poll::Ready(None);
        }
        let mut piece = Vec::with_capacity(this.left.min(PIECE));
        this.next = append(&mut piece, &this.rows, this.next, PIECE);
        this.left -= piece.len();
        Poll::Ready(Some(Ok(Frame::data(piece.into()))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left as u64)
    }
}

/// Appends rows from number `first` on: at least one, and no more than fit into `most` bytes. After the
/// last one it closes the list. Returns the number of the next row.
fn append(text: &mut Vec<u8>, rows: &[Bytes], first: usize, most: usize) -> usize {
    let mut next = first;
    if rows.is_empty() {
        text.push(b'[');
    }
    while let Some(row) = rows.get(next) {
        let bytes = text.len() + row.len() + "[]".len();
        if next > first && bytes > most {
            return next;
        }
        text.push(if next == 0 { b'[' } else { b',' });
        text.extend_from_slice(row);
        next += 1;
    }
    text.push(b']');
    next
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(list: &JsonList) -> Vec<Bytes> {
        let mut body = Pieces {
            rows: Arc::clone(&list.0),
            next: 0,
            left: list.bytes(),
        };
        assert!(!body.is_end_stream());
        let mut pieces = Vec::new();
        let mut context = Context::from_waker(std::task::Waker::noop());
        while let Poll::Ready(Some(piece)) = Pin::new(&mut body).poll_frame(&mut context) {
            pieces.push(piece.unwrap().into_data().unwrap());
        }
        assert!(body.is_end_stream());
        pieces
    }

    #[test]
    fn rows_are_handed_over_as_one_json_list() {
        let rows = [Bytes::from_static(b"{}"), Bytes::from_static(br#"{"a":1}"#)];
        for (rows, list) in [
            (&rows[..], &br#"[{},{"a":1}]"#[..]),
            (&rows[..1], b"[{}]"),
            (&[], b"[]"),
        ] {
            assert_eq!(&whole(rows)[..], list);
            let rows = JsonList::of(rows);
            assert_eq!(rows.bytes(), list.len());
            assert_eq!(pieces(&rows), [list]);
            assert_eq!(rows.body().size_hint().exact(), Some(list.len() as u64));
        }
    }

    #[test]
    fn a_long_list_is_sent_in_pieces_and_a_row_is_never_divided() {
        let row = |letter: u8, bytes| Bytes::from(vec![letter; bytes]);
        let rows = [
            row(b'a', 100_000),
            row(b'b', 100_000),
            row(b'c', 62_141),
            row(b'd', 300_000),
            row(b'e', 262_141),
            row(b'f', 1),
        ];
        let list = JsonList::of(&rows);
        let pieces = pieces(&list);
        assert_eq!(pieces.concat(), whole(&rows));
        // A piece has at most 262,144 bytes, and a, b and c together would take one more.
        let sizes: Vec<usize> = pieces.iter().map(Bytes::len).collect();
        assert_eq!(sizes, [200_002, 62_142, 300_001, 262_142, 3]);
        assert_eq!(list.bytes(), 824_290);
    }

    #[test]
    fn a_piece_may_be_full_to_the_last_byte() {
        let sizes = |second: usize| {
            let rows = [131_070, second].map(|it| Bytes::from(vec![b'a'; it]));
            let pieces = pieces(&JsonList::of(&rows));
            pieces.iter().map(Bytes::len).collect::<Vec<_>>()
        };
        assert_eq!(sizes(131_071), [262_144]);
        assert_eq!(sizes(131_072), [131_071, 131_074]);
    }
}
