//! Masks secrets: each is replaced before a record leaves the process. The names of fields stay, so that
//! it is visible that something was there.
//!
//! Auth0 writes the bodies of Management API calls into its log, and with them the secrets of
//! applications, connections, log streams and Actions, passwords, and tokens. Three things identify a
//! secret: the name of its field (`names`), what the value itself looks like (`text`), and, where users
//! choose the names, the path of the call (`call`).
//!
//! Whoever signs in or calls the API controls much of what a record says. So no part of a record decides
//! how another part is masked, with one exception: Auth0's own `details.request.path` decides about the
//! bodies of that call. Fields that detections group by are not examined.

mod call;
mod names;
mod nested;
mod text;
mod url;
mod values;

use std::borrow::Cow;

pub(crate) use self::names::{NameKind, judge as judge_name};
use crate::json::{self, Scanner, Token};

/// What replaces a secret.
pub(crate) const MASK: &str = "***";

/// The setting `REDACT`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Redaction {
    /// Mask secrets.
    On,
    /// Send records as they are.
    Off,
}

impl Redaction {
    /// The masker for this record.
    #[must_use]
    pub(crate) fn of(self, record: &str) -> Masker {
        let is_on = self == Self::On;
        Masker {
            is_on,
            masks_bodies: is_on && call::sets_secrets(record),
            texts: 0,
        }
    }

    /// The tokens of a record, masked.
    pub(crate) fn tokens(self, record: &str) -> Tokens<'_> {
        Tokens {
            tokens: Scanner::new(record),
            walk: Walk::new(self.of(record), Judgement::RECORD),
        }
    }

    /// Whether a string, as written in JSON, may contain a secret by its looks.
    pub(crate) fn may_mask(self, text: &str) -> bool {
        self == Self::On && text::has_signs(text)
    }

    /// A record on one line, masked.
    #[must_use]
    pub(crate) fn line(self, record: &str) -> String {
        self.line_of(Scanner::new(record), record)
    }

    /// The same for tokens that were made from a record. The path of the call in `record` decides
    /// whether bodies are secret.
    #[must_use]
    pub(crate) fn line_of<'a>(
        self,
        mut tokens: impl Iterator<Item = Token<'a>>,
        record: &str,
    ) -> String {
        let mut line = String::with_capacity(record.len());
        if let Some(first) = tokens.next() {
            let masker = self.of(record);
            masker.copy(Judgement::RECORD, first, &mut tokens, &mut line);
        }
        line
    }
}

/// Where in a record a value is, as far as that affects masking.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Place {
    /// It is the record.
    Record,
    /// `details`
    Details,
    /// `details.qs`, `details.query`, `details.request.query`: the parameters of a request
    Query,
    /// `details.request` or `details.response`
    Call,
    /// `details.request.body` or `details.response.body`
    Body,
    /// Anywhere else.
    Elsewhere,
}

impl Place {
    fn below(self, name: &str) -> Self {
        match (self, name) {
            (Self::Record, "details") => Self::Details,
            (Self::Details | Self::Call, "qs" | "query") => Self::Query,
            (Self::Details, "request" | "response") => Self::Call,
            (Self::Call, "body") => Self::Body,
            _ => Self::Elsewhere,
        }
    }
}

/// What is known about a value before it is read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Judgement {
    kind: NameKind,
    place: Place,
}

impl Judgement {
    /// What is known about a record.
    pub const RECORD: Self = Self {
        kind: NameKind::Open,
        place: Place::Record,
    };
    const NOTHING: Self = Self {
        kind: NameKind::Open,
        place: Place::Elsewhere,
    };
    const WHOLE: Self = Self {
        kind: NameKind::Whole,
        place: Place::Elsewhere,
    };

    /// Whether a string, a number or a list with this judgement is a secret, whatever it is.
    #[must_use]
    pub fn is_secret(self) -> bool {
        matches!(self.kind, NameKind::Secret | NameKind::Whole)
    }

    /// Whether a string or a number with this judgement, as written, is a secret.
    #[must_use]
    pub fn hides(self, value: &str) -> bool {
        let is_code = || values::is_one_time_code(&json::unescape_lossy(value));
        self.is_secret() || self.kind == NameKind::Code && is_code()
    }

    /// Whether everything in an object with this judgement is a secret.
    #[must_use]
    pub fn is_whole(self) -> bool {
        self.kind == NameKind::Whole
    }

    /// What is known about the elements of a list.
    fn of_elements(self) -> Self {
        Self {
            place: Place::Elsewhere,
            ..self
        }
    }
}

/// Masks the secrets of one record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Masker {
    is_on: bool,
    masks_bodies: bool,
    /// How many strings, each inside another, enclose what is masked.
    texts: usize,
}

impl Masker {
    /// The masker for JSON in a string; `None` if it is nested too deeply.
    fn within(self) -> Option<Self> {
        let texts = self.texts + 1;
        (texts <= json::MOST_TEXTS).then_some(Self { texts, ..self })
    }

    /// Judges a member by its name, as written, and by the object that it is in.
    #[must_use]
    pub fn judge(self, parent: Judgement, key: &str) -> Judgement {
        if !self.is_on {
            return Judgement::NOTHING;
        }
        let name = json::unescape_lossy(key);
        self.judge_as(parent, &name, names::judge(&name))
    }

    /// The same, if the name was judged before.
    #[must_use]
    pub fn judge_as(self, parent: Judgement, name: &str, kind: NameKind) -> Judgement {
        if !self.is_on {
            return Judgement::NOTHING;
        }
        let place = parent.place.below(name);
        let kind = match kind {
            _ if self.masks_bodies && place == Place::Body => NameKind::Whole,
            NameKind::Sentence if parent.place != Place::Record => NameKind::Open,
            NameKind::Open if parent.place == Place::Query && names::is_secret_parameter(name) => {
                NameKind::Secret
            }
            NameKind::Open if parent.place == Place::Body && names::is_of_code(name) => {
                NameKind::Code
            }
            kind => kind,
        };
        Judgement { kind, place }
    }

    /// A string, masked.
    #[must_use]
    pub fn text(self, verdict: Judgement, text: &str) -> Cow<'_, str> {
        if !self.is_on {
            return Cow::Borrowed(text);
        }
        match verdict.kind {
            _ if verdict.hides(text) => Cow::Borrowed(MASK),
            NameKind::Identity => Cow::Borrowed(text),
            _ => text::masked(self, verdict, text),
        }
    }

    /// Appends a value to `out`, masked. `first` is its first token.
    pub fn copy<'a>(
        self,
        verdict: Judgement,
        first: Token<'a>,
        rest: &mut impl Iterator<Item = Token<'a>>,
        out: &mut String,
    ) {
        let mut walk = Walk::new(self, verdict);
        let mut token = first;
        loop {
            let verdict = walk.step(token);
            match token {
                Token::Text(text) => json::write(out, Token::Text(&self.text(verdict, text))),
                Token::Number(it) if verdict.hides(it) => json::write(out, Token::Text(MASK)),
                _ => json::write(out, token),
            }
            if walk.is_over {
                return;
            }
            match rest.next() {
                Some(next) => token = next,
                None => return,
            }
        }
    }
}

/// The tokens of a record, each with its masked text if there is a secret in it.
pub(crate) struct Tokens<'a> {
    tokens: Scanner<'a>,
    walk: Walk,
}

impl<'a> Iterator for Tokens<'a> {
    type Item = (Token<'a>, Option<String>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.walk.is_over {
            return None;
        }
        let token = self.tokens.next()?;
        let verdict = self.walk.step(token);
        Some(match token {
            Token::Text(text) => match self.walk.masker.text(verdict, text) {
                Cow::Borrowed(text) => (Token::Text(text), None),
                Cow::Owned(masked) => (token, Some(masked)),
            },
            Token::Number(it) if verdict.hides(it) => (Token::Text(MASK), None),
            _ => (token, None),
        })
    }
}

/// A walk over the tokens of a value, which judges each of them.
struct Walk {
    masker: Masker,
    /// What is known about the next token.
    next: Judgement,
    depth: usize,
    /// Everything below this depth is a secret.
    masked_from: Option<usize>,
    /// What is known about the enclosing objects, down to the deepest one whose place matters.
    parents: [Judgement; 4],
    /// Whether the value has ended.
    is_over: bool,
}

impl Walk {
    fn new(masker: Masker, verdict: Judgement) -> Self {
        Self {
            masker,
            next: verdict,
            depth: 0,
            masked_from: None,
            parents: [Judgement::NOTHING; 4],
            is_over: false,
        }
    }

    /// Judges a token.
    fn step(&mut self, token: Token) -> Judgement {
        let verdict = match self.masked_from {
            Some(_) => Judgement::WHOLE,
            None => self.next,
        };
        match token {
            Token::Key(key) => {
                let above = self.depth.checked_sub(1);
                let parent = above.and_then(|it| self.parents.get(it));
                let parent = parent.copied().unwrap_or(Judgement::NOTHING);
                self.next = self.masker.judge(parent, key);
                return verdict;
            }
            Token::BeginObject | Token::BeginArray => {
                // An object under the name of a secret contains settings, such as the lifetimes under an
                // application's `refresh_token`.
                let is_settings = token == Token::BeginObject && !verdict.is_whole();
                if verdict.is_secret() && self.masked_from.is_none() && !is_settings {
                    self.masked_from = Some(self.depth);
                }
                if let Some(parent) = self.parents.get_mut(self.depth) {
                    *parent = verdict;
                }
                self.depth += 1;
                self.next = match token {
                    Token::BeginArray => verdict.of_elements(),
                    _ => Judgement::NOTHING,
                };
            }
            Token::EndObject | Token::EndArray => {
                self.depth = self.depth.saturating_sub(1);
                if self.masked_from == Some(self.depth) {
                    self.masked_from = None;
                }
                self.next = Judgement::NOTHING;
            }
            Token::Text(_) | Token::Number(_) | Token::Bool(_) | Token::Null => {}
        }
        self.is_over = self.depth == 0;
        verdict
    }
}

#[cfg(test)]
mod tests;
