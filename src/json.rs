//! A scanner that borrows its tokens from JSON text, for code that reorders or masks text without
//! building a tree.
//!
//! A record has been validated before (it is a `RawValue`), so nothing is checked again. In text that is
//! not JSON, or was cut, the tokens end where no further token can begin.

use std::borrow::Cow;

use memchr::memchr2;

pub(crate) use self::unicode::without_halves;

mod unicode;

/// Where JSON that may have names in it begins in a text, at or after an offset. A brace alone does not
/// prove JSON, since code has braces too. At the start of the text, the JSON may be a string.
pub(crate) fn begin_in(text: &str, from: usize) -> Option<usize> {
    let trimmed = text.trim_ascii_start();
    if from == 0 && trimmed.starts_with('"') {
        return Some(text.len() - trimmed.len());
    }
    let bytes = text.as_bytes();
    let mut at = from;
    loop {
        at += memchr2(b'{', b'[', &bytes[at..])?;
        let next = bytes[at + 1..].trim_ascii_start().first();
        let is_begin = match next {
            Some(b'"') => true,
            Some(b'{' | b'[') => bytes[at] == b'[',
            _ => false,
        };
        if is_begin {
            return Some(at);
        }
        at += 1;
    }
}

/// The most JSON strings, each inside another, whose JSON is read. A string may have as many backslashes
/// as all that are around it, so those of deeper strings would fill the memory.
pub(crate) const MOST_TEXTS: usize = 6;

/// Where parsing of JSON failed. It does not quote the text, which may be a record, or be of any
/// length.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("line {line}, column {column}")]
pub(crate) struct Mistake {
    line: usize,
    column: usize,
}

impl From<serde_json::Error> for Mistake {
    fn from(error: serde_json::Error) -> Self {
        Self {
            line: error.line(),
            column: error.column(),
        }
    }
}

/// A JSON token. Strings and keys are as written: without quotes, with escapes unresolved.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Token<'a> {
    /// `{`
    BeginObject,
    /// `}`
    EndObject,
    /// `[`
    BeginArray,
    /// `]`
    EndArray,
    /// The name of a member.
    Key(&'a str),
    /// A string.
    Text(&'a str),
    /// A number, as written.
    Number(&'a str),
    /// `true` or `false`.
    Bool(bool),
    /// `null`
    Null,
}

/// Splits a text into tokens.
#[derive(Clone, Debug)]
pub(crate) struct Scanner<'a> {
    text: &'a str,
    at: usize,
    /// Byte offset at which the last string, key or number begins.
    begin: usize,
}

impl<'a> Scanner<'a> {
    /// Begins with the first token of `text`.
    pub fn new(text: &'a str) -> Self {
        Self {
            text,
            at: 0,
            begin: 0,
        }
    }

    /// Byte offset up to which the text has been read.
    pub fn at(&self) -> usize {
        self.at
    }

    /// Byte offset at which the last string, key or number begins: after its opening quote, if it has
    /// one.
    pub fn begin(&self) -> usize {
        self.begin
    }

    /// Skips the rest of the object or array that was just begun.
    pub fn skip_rest(&mut self) {
        let bytes = self.text.as_bytes();
        let mut depth = 1_usize;
        while depth > 0
            && let Some(byte) = bytes.get(self.at)
        {
            match byte {
                b'"' => {
                    self.string();
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                _ => {}
            }
            self.at += 1;
        }
    }

    fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while let Some(byte) = bytes.get(self.at) {
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t' | b',' | b':') {
                return Some(*byte);
            }
            self.at += 1;
        }
        None
    }

    /// Reads a string whose opening quote is next. Returns what is between the quotes, or the rest of
    /// the text if the closing quote is missing.
    fn string(&mut self) -> &'a str {
        let begin = self.at + 1;
        self.begin = begin;
        let bytes = self.text.as_bytes();
        let mut end = begin;
        while let Some(found) = bytes.get(end..).and_then(quote_or_backslash) {
            end += found;
            if bytes[end] == b'"' {
                self.at = end + 1;
                return &self.text[begin..end];
            }
            end += 2;
        }
        self.at = bytes.len();
        &self.text[begin..]
    }

    /// Whether the string or the word that was just read is the name of a member.
    fn is_key(&self) -> bool {
        let rest = &self.text.as_bytes()[self.at..];
        let next = rest.iter().find(|it| !it.is_ascii_whitespace());
        next == Some(&b':')
    }

    /// Reads a word. A word that JSON does not have, such as `undefined` or `NaN`, counts as the name of
    /// a member if a colon follows, and otherwise as `null`.
    fn word(&mut self) -> Token<'a> {
        let begin = self.at;
        self.begin = begin;
        let bytes = &self.text.as_bytes()[begin..];
        let is_part = |it: &u8| it.is_ascii_alphanumeric() || *it == b'_';
        let length = bytes.iter().position(|it| !is_part(it));
        self.at += length.unwrap_or(bytes.len());
        match &self.text[begin..self.at] {
            "true" => Token::Bool(true),
            "false" => Token::Bool(false),
            "null" => Token::Null,
            name if self.is_key() => Token::Key(name),
            _ => Token::Null,
        }
    }

    fn number(&mut self) -> &'a str {
        let begin = self.at;
        self.begin = begin;
        let bytes = &self.text.as_bytes()[begin..];
        let is_part =
            |it: &u8| it.is_ascii_digit() || matches!(it, b'-' | b'+' | b'.' | b'e' | b'E');
        let length = bytes.iter().position(|it| !is_part(it));
        self.at += length.unwrap_or(bytes.len());
        &self.text[begin..self.at]
    }
}

impl<'a> Iterator for Scanner<'a> {
    type Item = Token<'a>;

    #[allow(
        clippy::inline_always,
        reason = "tokens stay in registers so: whoever reads one from memory waits for it"
    )]
    #[inline(always)]
    fn next(&mut self) -> Option<Token<'a>> {
        let (length, token) = match self.peek()? {
            b'"' => {
                let text = self.string();
                return Some(if self.is_key() {
                    Token::Key(text)
                } else {
                    Token::Text(text)
                });
            }
            b'{' => (1, Token::BeginObject),
            b'}' => (1, Token::EndObject),
            b'[' => (1, Token::BeginArray),
            b']' => (1, Token::EndArray),
            b'-' | b'0'..=b'9' => return Some(Token::Number(self.number())),
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => return Some(self.word()),
            _ => return None,
        };
        self.at += length;
        Some(token)
    }
}

/// How many 8-byte words are examined before `memchr` is called. Most names and values end within them,
/// and for these the call takes longer.
const WORDS: usize = 4;

/// Not zero if `word` contains `byte`. The lowest bit set is then in the first byte that matches.
fn equal(word: [u8; 8], byte: u8) -> u64 {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    let differing = u64::from_le_bytes(word) ^ u64::from_le_bytes([byte; 8]);
    differing.wrapping_sub(ONES) & !differing & ONES << 7
}

/// Position of the first quote or backslash.
fn quote_or_backslash(bytes: &[u8]) -> Option<usize> {
    let (words, _) = bytes.as_chunks();
    let words = &words[..words.len().min(WORDS)];
    for (number, word) in words.iter().enumerate() {
        let found = equal(*word, b'"') | equal(*word, b'\\');
        if found != 0 {
            return Some(number * 8 + found.trailing_zeros() as usize / 8);
        }
    }
    let at = words.len() * 8;
    memchr2(b'"', b'\\', &bytes[at..]).map(|it| at + it)
}

/// Whether a string, as written, contains escapes.
pub(crate) fn has_escapes(text: &str) -> bool {
    let bytes = text.as_bytes();
    let (words, rest) = bytes.as_chunks();
    match bytes.last_chunk() {
        Some(_) if words.len() > WORDS => memchr::memchr(b'\\', bytes).is_some(),
        Some(last) => {
            let found = words.iter().map(|it| equal(*it, b'\\'));
            found.fold(equal(*last, b'\\'), |all, it| all | it) != 0
        }
        None => rest.contains(&b'\\'),
    }
}

/// A string or key with its escapes resolved; `None` if the result is not valid Unicode, for example
/// half a surrogate pair.
pub(crate) fn unescape(text: &str) -> Option<Cow<'_, str>> {
    if !has_escapes(text) {
        return Some(Cow::Borrowed(text));
    }
    serde_json::from_str(&format!("\"{text}\"")).ok()
}

/// Like [`unescape`], but replaces each escape that is not valid Unicode with U+FFFD.
pub(crate) fn unescape_lossy(text: &str) -> Cow<'_, str> {
    unescape(text).unwrap_or_else(|| {
        let mut plain = String::with_capacity(text.len());
        let mut ahead = text;
        while let Some(at) = ahead.find('\\') {
            plain.push_str(&ahead[..at]);
            ahead = &ahead[at..];
            // An escape is at most 12 bytes long. Resolving further escapes with it does no harm.
            let resolve = |length| Some((length, unescape(ahead.get(..length)?)?));
            let (length, resolved) =
                [12, 6, 2].into_iter().find_map(resolve).unwrap_or_else(|| {
                    let is_unit = ahead.starts_with("\\u") && ahead.is_char_boundary(6);
                    (if is_unit { 6 } else { 1 }, Cow::Borrowed("\u{fffd}"))
                });
            plain.push_str(&resolved);
            ahead = &ahead[length..];
        }
        plain.push_str(ahead);
        Cow::Owned(plain)
    })
}

/// Escapes a text for use between the quotes of a JSON string.
pub(crate) fn escape(text: &str) -> String {
    let is_plain = |it: u8| it >= b' ' && it != b'"' && it != b'\\';
    if text.bytes().all(is_plain) {
        return text.to_owned();
    }
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// Appends a token to others, with a comma before it where one is needed and no whitespace.
pub(crate) fn write(out: &mut String, token: Token) {
    if !matches!(token, Token::EndObject | Token::EndArray)
        && !matches!(out.as_bytes().last(), None | Some(b'{' | b'[' | b':'))
    {
        out.push(',');
    }
    match token {
        Token::BeginObject => out.push('{'),
        Token::EndObject => out.push('}'),
        Token::BeginArray => out.push('['),
        Token::EndArray => out.push(']'),
        Token::Key(text) => {
            quote(out, text);
            out.push(':');
        }
        Token::Text(text) => quote(out, text),
        Token::Number(text) => out.push_str(text),
        Token::Bool(true) => out.push_str("true"),
        Token::Bool(false) => out.push_str("false"),
        Token::Null => out.push_str("null"),
    }
}

fn quote(out: &mut String, text: &str) {
    out.push('"');
    out.push_str(text);
    out.push('"');
}

/// An object with one member, inside `depth` levels of arrays and JSON strings. A backslash is written
/// as `\u005c`, which adds five bytes for each level around it; `\\` would double at each level.
#[cfg(test)]
pub(crate) fn deep_in_texts(depth: usize, name: &str, value: &str) -> String {
    let quote = |level| match level {
        0 => "\"".to_owned(),
        _ => format!("\\u{}0022", "005cu".repeat(level - 1)),
    };
    let mut text = format!("{{{0}{name}{0}:{0}{value}{0}}}", quote(depth));
    for level in (0..depth).rev() {
        text = format!("[{0}{text}{0}]", quote(level));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_token_is_met_as_it_was_written() {
        let text = r#" { "a\"b" : [ "x\\" , -1.5e+3 , true,false ,null ] , "c":{} } "#;
        let tokens: Vec<_> = Scanner::new(text).collect();
        assert_eq!(
            tokens,
            [
                Token::BeginObject,
                Token::Key(r#"a\"b"#),
                Token::BeginArray,
                Token::Text(r"x\\"),
                Token::Number("-1.5e+3"),
                Token::Bool(true),
                Token::Bool(false),
                Token::Null,
                Token::EndArray,
                Token::Key("c"),
                Token::BeginObject,
                Token::EndObject,
                Token::EndObject,
            ]
        );
        let mut out = String::new();
        for token in tokens {
            write(&mut out, token);
        }
        let written = r#"{"a\"b":["x\\",-1.5e+3,true,false,null],"c":{}}"#;
        assert_eq!(out, written);
    }

    #[test]
    fn an_object_and_a_list_can_be_stepped_over() {
        let text = r#"[{"a":[1,{"b":"]}\"{"}],"c":{}},[[]],2]"#;
        let mut tokens = Scanner::new(text);
        let mut met = vec![tokens.next()];
        for _ in 0..2 {
            met.push(tokens.next());
            tokens.skip_rest();
        }
        met.extend(tokens.map(Some));
        let expected = [
            Token::BeginArray,
            Token::BeginObject,
            Token::BeginArray,
            Token::Number("2"),
            Token::EndArray,
        ];
        assert_eq!(met, expected.map(Some));
        for text in ["{", "[\"", "[{\"a\":[", "{\"a\\"] {
            let mut tokens = Scanner::new(text);
            tokens.next();
            tokens.skip_rest();
            assert_eq!(tokens.next(), None, "{text}");
        }
    }

    #[test]
    fn what_is_no_json_does_not_panic() {
        for text in [
            "", "\"", "\"\\", "\"\\\"", "tru", "{\"a", "-", "@", "é", "nul", "\"é\\",
        ] {
            assert!(Scanner::new(text).count() < 3, "{text}");
        }
    }

    #[test]
    fn words_that_json_does_not_have_are_stepped_over() {
        let text = r#"{"a":NaN,"b":tru{"c":undefined},_d2 : nulls}, none"#;
        let tokens: Vec<_> = Scanner::new(text).collect();
        assert_eq!(
            tokens,
            [
                Token::BeginObject,
                Token::Key("a"),
                Token::Null,
                Token::Key("b"),
                Token::Null,
                Token::BeginObject,
                Token::Key("c"),
                Token::Null,
                Token::EndObject,
                Token::Key("_d2"),
                Token::Null,
                Token::EndObject,
                Token::Null,
            ]
        );
    }

    #[test]
    fn a_quote_and_an_escape_are_found_wherever_they_stand() {
        // These differ from a quote or a backslash by one, or only in the highest bit.
        let others = "!#[]\u{a2}\u{dc}x";
        for length in 0..100 {
            let filling: String = others.chars().cycle().take(length).collect();
            assert!(!has_escapes(&filling), "{length}");
            let text = format!("\"{filling}\"{filling}\\");
            let mut tokens = Scanner::new(&text);
            assert_eq!(tokens.next(), Some(Token::Text(&filling)));
            assert_eq!(tokens.at(), filling.len() + 2);
            for before in 0..20 {
                let text = format!("{}\\n{filling}", "x".repeat(before));
                assert!(has_escapes(&text), "{text}");
                let quoted = format!("\"{text}\"\\");
                assert_eq!(Scanner::new(&quoted).next(), Some(Token::Text(&text)));
            }
        }
    }

    #[test]
    fn half_a_surrogate_pair_is_no_text() {
        assert_eq!(unescape(r"\ud83d\ude00").as_deref(), Some("😀"));
        assert_eq!(unescape(r"\ud83d"), None);
        assert_eq!(unescape(r"\ude00x"), None);
    }

    #[test]
    fn what_makes_no_text_is_replaced_and_the_rest_is_resolved() {
        for (text, plain) in [
            ("plain", "plain"),
            (r#"a\"b\/\u0026"#, "a\"b/&"),
            (r"\ud800 a\nb", "\u{fffd} a\nb"),
            (r"a\\\ud800\ud83d\ude00\u0041", "a\\\u{fffd}😀A"),
            (r"\ud800\", "\u{fffd}\u{fffd}"),
            (r"\ud8", "\u{fffd}ud8"),
        ] {
            assert_eq!(unescape_lossy(text), plain, "{text}");
        }
        for (text, escaped) in [
            ("a b", "a b"),
            ("a\"b\n\u{1}é", r#"a\"b\n\u0001é"#),
            ("\n", r"\n"),
            ("\"", r#"\""#),
            (r"\", r"\\"),
        ] {
            assert_eq!(escape(text), escaped);
        }
    }

    #[test]
    fn it_is_known_where_a_token_was() {
        let mut tokens = Scanner::new(r#"{"a": -12 ,"bc"#);
        let mut places = Vec::new();
        while let Some(token) = tokens.next() {
            places.push((token, tokens.begin(), tokens.at()));
        }
        assert_eq!(
            places[1..],
            [
                (Token::Key("a"), 2, 4),
                (Token::Number("-12"), 6, 9),
                (Token::Text("bc"), 12, 14),
            ]
        );
    }
}
