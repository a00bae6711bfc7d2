//! The page of records that one request returns.

use std::fmt;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::de::{Deserializer as _, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::Record;
use super::head::{Head, PlainHead, head, record_with};

/// Why an answer is not a page of records.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PageError {
    /// The answer is not a JSON list. It is not quoted, since it may be anything.
    #[error("the answer is not a JSON list of records (line {line}, column {column})")]
    NotAList {
        /// The line of the error.
        line: usize,
        /// The column in that line.
        column: usize,
    },
}

/// An element of a page without a usable id. Reading cannot resume from it, nor recognise it when
/// it comes again.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Misfit {
    /// Its JSON text.
    pub json: Bytes,
    /// Its date, if it has a readable one.
    pub date: Option<DateTime<Utc>>,
    /// What is wrong with it.
    pub reason: &'static str,
}

/// After this many bytes of misfits a source collects no more of them for a page, since all are in memory
/// at the same time.
pub(crate) const MOST_MISFITS: usize = 128 * 1024 * 1024;

/// The elements of a list, as one request returned them.
#[derive(Debug, Default)]
pub(crate) struct Elements {
    /// Records, in Auth0's order.
    pub records: Vec<Record>,
    /// Elements that are no records.
    pub misfits: Vec<Misfit>,
}

impl Elements {
    /// The number of elements.
    pub fn count(&self) -> usize {
        self.records.len() + self.misfits.len()
    }

    /// Bytes of their JSON text.
    pub fn bytes(&self) -> usize {
        bytes(&self.records, &self.misfits)
    }

    fn push(&mut self, head: Head, page: &Bytes, json: &str) {
        match record_with(head, page, json) {
            Ok(record) => self.records.push(record),
            Err(misfit) => self.misfits.push(misfit),
        }
    }
}

/// Some records, ascending by id, as one request returned them.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    /// The records.
    pub records: Vec<Record>,
    /// Elements among them that have no usable id.
    pub misfits: Vec<Misfit>,
    /// Whether the source had no more at that moment.
    pub is_last: bool,
}

impl Page {
    /// A page after which there is nothing.
    pub fn last(records: Vec<Record>) -> Self {
        Self {
            records,
            misfits: Vec::new(),
            is_last: true,
        }
    }

    /// A page of one record, after which there may be more.
    pub fn of(record: Record) -> Self {
        Self {
            is_last: false,
            ..Self::last(vec![record])
        }
    }

    /// Bytes of its JSON text.
    pub fn bytes(&self) -> usize {
        bytes(&self.records, &self.misfits)
    }
}

fn bytes(records: &[Record], misfits: &[Misfit]) -> usize {
    let records = records.iter().map(|record| &record.json);
    let misfits = misfits.iter().map(|misfit| &misfit.json);
    records.chain(misfits).map(Bytes::len).sum()
}

/// Reads the body of `GET /api/v2/logs`: a JSON list of records.
///
/// Invalid UTF-8, which JSON cannot have, is replaced: better a wrong character than a page that
/// blocks reading for ever.
pub(crate) fn parse_page(body: &Bytes) -> Result<Elements, PageError> {
    let page = parse_page_of(usize::MAX, body)?;
    Ok(page.unwrap_or_default())
}

/// Like [`parse_page`]; `None` if the list has more than `most` elements.
pub(crate) fn parse_page_of(most: usize, body: &Bytes) -> Result<Option<Elements>, PageError> {
    // Much faster than replacing, and nearly always enough.
    if let Ok(text) = std::str::from_utf8(body) {
        return parse(most, body, text);
    }
    let body = Bytes::from(String::from_utf8_lossy(body).into_owned());
    parse(most, &body, std::str::from_utf8(&body).unwrap_or_default())
}

fn parse(most: usize, body: &Bytes, text: &str) -> Result<Option<Elements>, PageError> {
    match parse_plain(most, body, text) {
        Some(elements) => Ok(Some(elements)),
        None => parse_any(most, body, text),
    }
}

/// The fast path, for a list of at least one object with nothing odd in any of them: the parser takes what
/// is needed from each object as it steps over it. `None` if that fails, whatever the reason.
fn parse_plain(most: usize, body: &Bytes, text: &str) -> Option<Elements> {
    const BLANKS: [char; 4] = [' ', '\n', '\r', '\t'];
    let mut elements = Elements::default();
    let mut ahead = text.trim_start_matches(BLANKS).strip_prefix('[')?;
    loop {
        ahead = ahead.trim_start_matches(BLANKS);
        if !ahead.starts_with('{') || elements.count() == most {
            return None;
        }
        let mut objects = serde_json::Deserializer::from_str(ahead).into_iter::<PlainHead>();
        let head = objects.next()?.ok()?;
        let (json, rest) = ahead.split_at(objects.byte_offset());
        elements.push(head.into(), body, json);
        ahead = rest.trim_start_matches(BLANKS);
        match ahead.strip_prefix(',') {
            Some(rest) => ahead = rest,
            None => break,
        }
    }
    let after = ahead.strip_prefix(']')?.trim_start_matches(BLANKS);
    after.is_empty().then_some(elements)
}

fn parse_any(most: usize, body: &Bytes, text: &str) -> Result<Option<Elements>, PageError> {
    let mut page = Parsed {
        body,
        most,
        is_passed: false,
        elements: Elements::default(),
    };
    let mut json = serde_json::Deserializer::from_str(text);
    let read = json.deserialize_seq(&mut page).and_then(|()| json.end());
    match read {
        _ if page.is_passed => Ok(None),
        Ok(()) => Ok(Some(page.elements)),
        Err(error) => Err(PageError::NotAList {
            line: error.line(),
            column: error.column(),
        }),
    }
}

/// A page during parsing. Each element is scanned once more for what is needed of it.
struct Parsed<'a> {
    body: &'a Bytes,
    most: usize,
    /// Whether there are more than `most` elements.
    is_passed: bool,
    elements: Elements,
}

impl<'de> Visitor<'de> for &mut Parsed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(element) = list.next_element::<&RawValue>()? {
            if self.elements.count() == self.most {
                self.is_passed = true;
                break;
            }
            let json = element.get();
            let head = head(json).unwrap_or_default();
            self.elements.push(head, self.body, json);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use chrono::Datelike as _;
    use proptest::prelude::*;

    use super::*;
    use crate::record::record_of;

    fn page(body: &'static str) -> Result<Vec<Record>, PageError> {
        let page = parse_page(&Bytes::from_static(body.as_bytes()))?;
        assert!(page.misfits.is_empty());
        Ok(page.records)
    }

    #[test]
    fn a_record_keeps_its_bytes_and_tells_id_and_date() {
        let records =
            page(r#"[ {"b": 1e400 , "log_id":"9001","date":"2026-11-21T08:00:00.5+01:00"}]"#)
                .unwrap();
        assert_eq!(records[0].log_id.as_str(), "9001");
        assert_eq!(
            records[0].date,
            Some("2026-11-21T07:00:00.5Z".parse().unwrap())
        );
        assert_eq!(
            &records[0].json[..],
            br#"{"b": 1e400 , "log_id":"9001","date":"2026-11-21T08:00:00.5+01:00"}"#
        );
    }

    #[test]
    fn fields_of_unexpected_types_do_not_hide_a_record() {
        let records = page(
            r#"[{"_id":"9001","log_id":null,"date":null},
                {"log_id":"9002","_id":{},"date":1700000000},
                {"log_id":"9003","date":"yesterday","details":null},
                {"log_id":"9004","date":"-262143-01-01T00:00:00Z"}]"#,
        )
        .unwrap();
        let ids: Vec<_> = records
            .iter()
            .map(|record| record.log_id.as_str())
            .collect();
        assert_eq!(ids, ["9001", "9002", "9003", "9004"]);
        assert!(records.iter().all(|record| record.date.is_none()));
    }

    #[test]
    fn of_a_list_with_more_elements_than_allowed_there_is_no_page() {
        let parse = |json: &str| parse_page_of(3, &Bytes::copy_from_slice(json.as_bytes()));
        let page = parse(r#"[{"log_id":"9001"},2,{"log_id":"9003"}]"#).unwrap();
        assert_eq!(page.unwrap().count(), 3);
        // What follows the limit is not parsed.
        for json in ["[1,2,3,4]", r#"[1,{"log_id":"9002"},3,4"#, "[1,2,3,4,@"] {
            assert!(parse(json).unwrap().is_none(), "{json}");
        }
        for json in ["[1,2,3", "[1,2,3,@", "{}", "", "[] ]"] {
            assert!(parse(json).is_err(), "{json}");
        }
    }

    #[test]
    fn a_name_in_another_spelling_is_the_same_and_one_that_is_no_text_leaves_no_record() {
        let page = page(r#"[{"log\u005fid":"9001","d\u0061te":"2026-11-21T08:00:00Z"}]"#).unwrap();
        assert_eq!(page[0].log_id.as_str(), "9001");
        assert!(page[0].date.is_some());
        for json in [
            r#"{"log_id":"9001","log\u005fid":"9002"}"#,
            r#"{"log_id":"9001","date":null,"date":null}"#,
            r#"{"log_id":"9001","\ud800":1}"#,
        ] {
            let page = parse_page(&Bytes::from(format!("[{json}]"))).unwrap();
            assert_eq!((page.records.len(), page.misfits.len()), (0, 1), "{json}");
        }
    }

    #[test]
    fn a_page_of_objects_is_plain_unless_something_is_odd() {
        let plain = |json: &'static str| {
            let page = parse_plain(2, &Bytes::from_static(json.as_bytes()), json)?;
            Some((page.records.len(), page.misfits.len()))
        };
        for json in [
            r#" [ {"log_id":"9001","a":{"log_id":1},"b":[1e400]} , {"_id":"\u0039002"} ] "#,
            r#"[{"log_id":null,"_id":"9001","date":7},{"date":null,"log_id":"9002"}]"#,
        ] {
            assert_eq!(plain(json), Some((2, 0)), "{json}");
        }
        assert_eq!(plain(r#"[{"a":1},{"log_id":"9002"}]"#), Some((1, 1)));
        for json in [
            "",
            "[]",
            "{}",
            "[1]",
            r#"["9001"]"#,
            r#"[["9001"]]"#,
            r#"[{"log_id":"9001","log_id":"9001"}]"#,
            r#"[{"log_id":"9001"}"#,
            r#"[{"log_id":"9001"},]"#,
            r#"[{"log_id":"9001"}]]"#,
            r#"[{"log_id":"9001"} {"log_id":"9002"}]"#,
            r#"[{"log_id":"9001"},{"log_id":"9002"},{"log_id":"9003"}]"#,
        ] {
            assert_eq!(plain(json), None, "{json}");
        }
    }

    #[test]
    fn of_what_is_within_a_field_nothing_counts() {
        let json = r#"[{"a":{"log_id":"9001","b":[{"date":1}]},"c":[["_id"]],"log_id":"9002"}]"#;
        assert_eq!(page(json).unwrap()[0].log_id.as_str(), "9002");
        assert!(record_of(&Bytes::from_static(br#"{"log_id":"9001","a":tru}"#)).is_none());
        assert!(record_of(&Bytes::from_static(br#"{"log_id":"9001","#)).is_none());
        assert!(record_of(&Bytes::from_static(br#"{"log_id":"9001"}"#)).is_some());
    }

    #[test]
    fn what_has_no_id_is_told_apart_and_hides_no_record() {
        for misfit in [
            r#"{"date":"2026-11-21T08:00:00Z"}"#,
            r#"{"log_id":"","_id":""}"#,
            r#"{"log_id":1}"#,
            r#"{"log_id":"9002","log_id":"9003"}"#,
            r#""text""#,
            "null",
            r#"["9002","9002","2026-11-21T08:00:00Z"]"#,
        ] {
            let body = format!(r#"[{{"log_id":"9001"}}, {misfit} ,{{"log_id":"9004"}}]"#);
            let page = parse_page(&Bytes::from(body)).unwrap();
            let ids: Vec<_> = page.records.iter().map(|it| it.log_id.as_str()).collect();
            assert_eq!(ids, ["9001", "9004"]);
            let json = page.misfits.iter().map(|it| &it.json[..]);
            assert!(json.eq([misfit.as_bytes()]), "{misfit}");
            assert_eq!(page.misfits[0].reason, "it has no log_id");
            assert_eq!(page.count(), 3);
        }
    }

    #[test]
    fn a_log_id_is_at_most_256_characters_long() {
        let record = |length| format!(r#"{{"log_id":"{}"}}"#, "9".repeat(length));
        let body = format!("[{},{}]", record(256), record(257));
        let page = parse_page(&Bytes::from(body)).unwrap();
        assert_eq!(page.records[0].log_id.as_str().len(), 256);
        let reason = page.misfits[0].reason;
        assert_eq!(reason, "its log_id is longer than 256 characters");
        assert_eq!(page.misfits[0].json, record(257));
    }

    #[test]
    fn a_misfit_tells_its_date() {
        let body = br#"[{"date":"2026-11-21T08:00:00Z"},1]"#;
        let page = parse_page(&Bytes::from_static(body)).unwrap();
        let dates: Vec<_> = page.misfits.iter().map(|it| it.date).collect();
        assert_eq!(dates, [Some("2026-11-21T08:00:00Z".parse().unwrap()), None]);
    }

    #[test]
    fn what_is_no_unicode_is_replaced_and_stands_in_nobody_s_way() {
        let body = b"[{\"log_id\":\"9001\",\"user_name\":\"a\xffb\"},{\"log_id\":\"9002\"}]";
        let page = parse_page(&Bytes::from_static(body)).unwrap();
        assert_eq!(page.count(), 2);
        let json = &page.records[0].json;
        assert_eq!(json, "{\"log_id\":\"9001\",\"user_name\":\"a\u{fffd}b\"}");
    }

    #[test]
    fn an_answer_that_is_no_list_is_an_error() {
        for body in ["", "{}", "null", "<html></html>", r#"[{"log_id":"9001"}"#] {
            let error = page(body).unwrap_err();
            assert!(matches!(error, PageError::NotAList { .. }), "{body}");
        }
        // An error of serde_json about a type quotes the value.
        let error = page(r#""Authorization: Bearer abc""#).unwrap_err();
        assert!(!error.to_string().contains("abc"));
    }

    /// Values that a record may have, as JSON text.
    fn value() -> impl Strategy<Value = String> {
        let odd = [
            "null",
            "true",
            "1e400",
            " [ {}\t]",
            r#""\ud800""#,
            r#"{"log_id":1}"#,
            r#""9001""#,
            r#""2026-11-21T08:00:00.123Z""#,
            r#""+262142-12-31T23:59:59Z""#,
            r#""""#,
        ];
        prop_oneof![
            3 => proptest::sample::select(odd.to_vec()).prop_map(str::to_owned),
            1 => any::<String>().prop_map(|text| serde_json::Value::from(text).to_string()),
        ]
    }

    /// An id, and a record with it as JSON text.
    fn record() -> impl Strategy<Value = (String, String)> {
        let other = proptest::sample::select(vec!["date", "_id", "type", "ключ", "", "log_id "]);
        let others = proptest::collection::hash_map(other, value(), 0..5);
        (any::<String>(), others, any::<bool>()).prop_map(|(id, others, is_last)| {
            // A text of spaces is an id as well; only the empty one is none.
            let id = format!("9{id}");
            let quoted = serde_json::Value::from(id.clone());
            let mut members: Vec<_> = others
                .into_iter()
                .map(|(name, value)| format!("\"{name}\" : {value}"))
                .collect();
            members.insert(
                if is_last { members.len() } else { 0 },
                format!("\"log_id\":{quoted}"),
            );
            (id, format!("{{ {} }}", members.join(",\n")))
        })
    }

    /// A page as JSON text, with other bytes in some places.
    fn damaged_page() -> impl Strategy<Value = Vec<u8>> {
        let pieces: [&[u8]; 9] = [b"", b"[", b"]", b"{", b"}", b"\"", b",", b"\xff", b"null"];
        let damage = (
            any::<proptest::sample::Index>(),
            0..9_usize,
            proptest::sample::select(pieces.to_vec()),
        );
        let elements = prop_oneof![3 => record().prop_map(|(_, json)| json), 1 => value()];
        let page = proptest::collection::vec(elements, 0..4);
        (page, proptest::collection::vec(damage, 0..3)).prop_map(|(page, damages)| {
            let mut page = format!("[{}]", page.join(",")).into_bytes();
            for (place, length, piece) in damages {
                let from = place.index(page.len() + 1);
                let to = (from + length).min(page.len());
                page.splice(from..to, piece.iter().copied());
            }
            page
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_page_of_records_is_taken_whole_and_byte_for_byte(
            records in proptest::collection::vec(record(), 0..5),
        ) {
            let (ids, texts): (Vec<_>, Vec<_>) = records.into_iter().unzip();
            let page = Bytes::from(format!(" [{}\n]", texts.join(" ,")));
            let Elements { records: parsed, misfits } = parse_page(&page).unwrap();
            prop_assert!(misfits.is_empty());
            prop_assert!(parsed.iter().map(|it| it.log_id.as_str()).eq(ids.iter().map(String::as_str)));
            prop_assert!(parsed.iter().map(Record::text).eq(texts.iter().map(String::as_str)));
        }

        #[test]
        fn a_page_without_anything_odd_is_read_as_any_other(body in damaged_page()) {
            let body = Bytes::from(String::from_utf8_lossy(&body).into_owned());
            let text = std::str::from_utf8(&body).unwrap();
            if let Some(plain) = parse_plain(3, &body, text) {
                let any = parse_any(3, &body, text).unwrap().unwrap();
                let seen = |it: &Record| (it.log_id.clone(), it.date, it.json.clone());
                prop_assert!(plain.records.iter().map(seen).eq(any.records.iter().map(seen)));
                prop_assert_eq!(plain.misfits, any.misfits);
            }
        }

        #[test]
        fn of_a_damaged_page_only_records_with_their_own_id_are_taken(body in damaged_page()) {
            let Ok(parsed) = parse_page(&Bytes::from(body)) else {
                return Ok(());
            };
            for record in parsed.records {
                let members: HashMap<String, &RawValue> = serde_json::from_str(record.text()).unwrap();
                let own = |name: &str| members.get(name).and_then(|it| serde_json::from_str::<String>(it.get()).ok());
                let id = own("log_id").or_else(|| own("_id")).unwrap();
                prop_assert_eq!(record.log_id.as_str(), id);
                prop_assert!(record.date.is_none_or(|it| (1970..=9999).contains(&it.year())));
            }
        }

        #[test]
        fn any_bytes_are_a_page_or_an_error(body in any::<Vec<u8>>()) {
            let _ = parse_page(&Bytes::from(body));
        }
    }
}
