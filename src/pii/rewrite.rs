//! The second reading of a record: it is written anew, without what was found.

use std::borrow::Cow;

use super::Kind;
use super::fields::{self, Field};
use super::find::{self, BLOCKED, is_read_on, may_be_blocked};
use super::found::Found;
use super::look::Look;
use super::looks::{CALLS, is_word, kind_by_looks};
use super::method::{Method, Policy};
use super::nested::{self, Part};
use super::pieces::{Piece, Reading, pieces, tokens, written};
use super::walk::{Role, Walk};
use crate::json::{MOST_TEXTS, Scanner, Token, unescape_lossy};
use crate::redact::MASK;

/// Takes out of a record what was found in it.
pub(super) fn rewrite(policy: &Policy, found: &Found, pieces: &mut [Piece]) {
    let mut writer = Writer {
        policy,
        found,
        look: found.look(),
        objects: pieces.iter().map(|it| u32::from(it.begins())).sum(),
        texts: 0,
        is_changed: false,
    };
    writer.write(pieces);
}

/// What stands in a path before somebody.
const USERS: [&str; 4] = ["users/", "users-by-email/", "members/", "Users/"];
/// What stands there two places before.
const IDENTITIES: &str = "identities/";

/// The number of the first object in JSON that was cut. No user has it: whose object it is, if it is
/// anybody's, is not known.
const FIRST_OF_NOBODY: u32 = u32::MAX / 4 * 3;

struct Writer<'f> {
    policy: &'f Policy,
    found: &'f Found<'f>,
    look: Look,
    /// Objects and lists so far: as many as at the first reading.
    objects: u32,
    /// Texts that it is in, each within another one.
    texts: usize,
    is_changed: bool,
}

/// A value as it is met.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Form {
    Scalar,
    List,
    Object,
}

impl Writer<'_> {
    fn write(&mut self, pieces: &mut [Piece]) {
        if self.policy.leaves_out() {
            self.leave_out(pieces);
        }
        self.replace(pieces);
    }

    fn replace(&mut self, pieces: &mut [Piece]) {
        for piece in pieces {
            let new = match (piece.token(), piece.reading) {
                (Token::Key(raw), _) => self.key(raw),
                (_, Reading::Personal(number)) => self.found.noted(number).map(str::to_owned),
                (Token::Text(raw), Reading::HasJson) => {
                    let value = unescape_lossy(raw);
                    let new = self.parts(piece.field, &value);
                    (new != *value).then_some(new)
                }
                (Token::Text(raw), Reading::Open) => self.text(piece.role, raw),
                (Token::Number(raw), Reading::Open) => self.number(piece.role, raw),
                (Token::Text(raw), Reading::None) => self.unread(piece, raw),
                (Token::Number(raw), Reading::None) => match self.kind(piece, raw) {
                    Some(kind) => Some(self.found.replacement(kind, raw)),
                    None => self.number(piece.role, raw),
                },
                _ => None,
            };
            if let Some(new) = new {
                piece.replace(&new);
                self.is_changed = true;
            }
        }
    }

    /// Leaves out the members that are dropped.
    fn leave_out(&mut self, pieces: &mut [Piece]) {
        // Where the last member begins.
        let mut member = None;
        // Of each object and list, where what is left out with it begins.
        let mut marks: Vec<Option<usize>> = Vec::with_capacity(8);
        // What is in one that is left out goes with it, and is not left out again by itself.
        let mut is_within = false;
        for at in 0..pieces.len() {
            let piece = &pieces[at];
            let token = piece.token();
            // An element of a list is never left out: it would be another list.
            let mark = member.filter(|_| !piece.is_in_list && !is_within);
            let gone = match token {
                Token::Key(_) => {
                    member = Some(at);
                    None
                }
                Token::BeginObject | Token::BeginArray => {
                    let is_list = token == Token::BeginArray;
                    let form = if is_list { Form::List } else { Form::Object };
                    let mark = mark.filter(|_| self.is_dropped(piece, form, ""));
                    is_within |= mark.is_some();
                    marks.push(mark);
                    None
                }
                Token::EndObject | Token::EndArray => marks.pop().flatten(),
                Token::Text(raw) => mark.filter(|_| self.is_dropped(piece, Form::Scalar, raw)),
                _ => mark.filter(|_| self.is_dropped(piece, Form::Scalar, "")),
            };
            if let Some(begin) = gone {
                is_within = false;
                pieces[begin..=at]
                    .iter_mut()
                    .for_each(|it| it.is_gone = true);
                self.is_changed = true;
            }
        }
    }

    /// Whether a member is left out.
    fn is_dropped(&self, piece: &Piece, form: Form, raw: &str) -> bool {
        let role = piece.role;
        let method = |kind| self.policy.method(kind);
        let is_user_s = || self.found.is_user_s(piece.object);
        let kind = match role {
            Role::Coordinate => return method(Kind::Location).is_some(),
            Role::Town if method(Kind::Location) == Some(Method::Truncate) => return true,
            Role::Below(Kind::Location, own) if method(own).is_none() => {
                return matches!(
                    method(Kind::Location),
                    Some(Method::Drop | Method::Truncate)
                );
            }
            Role::Somebody if form == Form::Scalar && self.is_blocked(&unescape_lossy(raw)) => {
                Kind::Username
            }
            Role::LooksLike(_)
            | Role::Somebody
            | Role::Login
            | Role::SomebodyBelow(_)
            | Role::Below(..)
            | Role::Place
                if form == Form::Scalar =>
            {
                match find::kind(self.policy, role, &unescape_lossy(raw)) {
                    Some(kind) => kind,
                    None => return false,
                }
            }
            Role::Place | Role::Town | Role::Country => Kind::Location,
            Role::Personal(Kind::Address) => Kind::Address,
            Role::Personal(kind) if form != Form::Object => kind,
            Role::Name if is_user_s() && form == Form::Scalar => self.policy.kind_of_name(),
            Role::Id if is_user_s() && is_user_id(&unescape_lossy(raw)) => Kind::UserId,
            _ => return false,
        };
        method(kind) == Some(Method::Drop)
    }

    /// Whether a value names a user who is blocked.
    fn is_blocked(&self, value: &str) -> bool {
        self.found.is_user_s(BLOCKED) && may_be_blocked(value)
    }

    /// What stands in place of the name of a field, if anything does.
    fn key(&self, raw: &str) -> Option<String> {
        if !self.look.may_be_in(raw) {
            return None;
        }
        let name = unescape_lossy(raw);
        match self.found.index().replaced_in_name(&name) {
            Cow::Owned(new) => Some(new),
            Cow::Borrowed(_) => None,
        }
    }

    /// What stands in place of a text that is not personal by its place, if anything does.
    fn text(&self, role: Role, raw: &str) -> Option<String> {
        if matches!(role, Role::Fixed | Role::Country) || !self.look.may_be_in(raw) {
            return None;
        }
        let value = unescape_lossy(raw);
        if role == Role::Word && is_word(&value) {
            return None;
        }
        let new = match role {
            Role::Path => self.path(&value),
            _ => self.found.index().replaced(&value).into_owned(),
        };
        (new != *value).then_some(new)
    }

    /// What stands in place of a number that is not personal by its place, if anything does.
    fn number(&self, role: Role, number: &str) -> Option<String> {
        if role == Role::Fixed {
            return None;
        }
        self.found.index().number(number).map(str::to_owned)
    }

    /// What stands in place of a text that stands in another one, if anything does.
    fn unread(&mut self, piece: &Piece, raw: &str) -> Option<String> {
        let role = piece.role;
        let value = unescape_lossy(raw);
        let new = match self.kind(piece, &value) {
            Some(kind) => self.found.replacement(kind, &value),
            None if role != Role::Path
                && self.texts < MOST_TEXTS
                && nested::may_have_json(&value)
                && is_read_on(self.policy, role, &value) =>
            {
                self.parts(piece.field, &value)
            }
            None => return self.text(role, raw),
        };
        (new != *value).then_some(new)
    }

    /// The kind of data that such a value is, if it does not stay.
    fn kind(&self, piece: &Piece, value: &str) -> Option<Kind> {
        let is_user_s = || self.found.is_user_s(piece.object);
        let kind = match piece.role {
            Role::Name if is_user_s() => self.policy.kind_of_name(),
            Role::Id if is_user_s() && is_user_id(value) => Kind::UserId,
            Role::Somebody if self.is_blocked(value) => Kind::Username,
            role => return find::kind(self.policy, role, value),
        };
        self.policy.method(kind).map(|_| kind)
    }

    /// The path of a request. What is called is no user's choice, and a user who takes its name
    /// hides nothing: there only what can be nothing but a value is one, unless users are called.
    fn path(&self, path: &str) -> String {
        let index = self.found.index();
        let (called, query) = path.split_at(path.find(['?', '#']).unwrap_or(path.len()));
        let query = index.replaced(query);
        let Some(begin) = CALLS.iter().find(|it| called.starts_with(**it)) else {
            let (name, filter) = called.split_at(called.find('[').unwrap_or(called.len()));
            let name = if is_attribute(name) {
                index.replaced_in_name(name)
            } else {
                index.replaced(name)
            };
            return format!("{name}{}{query}", index.replaced(filter));
        };
        let (begin, rest) = called.split_at(begin.len());
        let mut new = begin.to_owned();
        let mut before = ["", ""];
        for segment in rest.split_inclusive('/') {
            let is_user = USERS.contains(&before[1]) || before[0] == IDENTITIES;
            before = [before[1], segment];
            // A value that ends in a slash is not two segments of a path.
            let (name, slash) = match segment.strip_suffix('/') {
                Some(name) => (name, "/"),
                None => (segment, ""),
            };
            new += &if is_user {
                index.replaced(name)
            } else {
                index.replaced_in_name(name)
            };
            new += slash;
        }
        new + &query
    }

    /// A text with JSON in it.
    fn parts(&mut self, field: Field, text: &str) -> String {
        let mut new = String::with_capacity(text.len());
        let was_changed = std::mem::take(&mut self.is_changed);
        let mut is_changed = was_changed;
        self.texts += 1;
        for part in nested::parts(text) {
            match part {
                Part::Plain(part) => new.push_str(&self.found.index().replaced(part)),
                Part::Cut(json) => {
                    self.cut(field, json, &mut new);
                    is_changed |= std::mem::take(&mut self.is_changed);
                }
                Part::Json(json) => {
                    let walk = Walk::within(field);
                    let mut pieces =
                        pieces(tokens(json), json.len(), walk, &mut self.objects, |_| {});
                    self.write(&mut pieces);
                    // What has not changed keeps its white space.
                    let has_changed = std::mem::take(&mut self.is_changed);
                    if has_changed {
                        new.push_str(&written(&pieces, json.len()));
                    } else {
                        new.push_str(json);
                    }
                    is_changed |= has_changed;
                }
            }
        }
        self.texts -= 1;
        self.is_changed = is_changed;
        new
    }

    /// JSON that was cut. It stays as it was written, but for what is personal by its place and what was
    /// found, which may stand in no value.
    fn cut(&mut self, field: Field, json: &str, new: &mut String) {
        let objects = std::mem::replace(&mut self.objects, FIRST_OF_NOBODY);
        let walk = Walk::within(field);
        let mut pieces = pieces(tokens(json), json.len(), walk, &mut self.objects, |_| {});
        self.replace(&mut pieces);
        self.objects = objects;
        let is_place = self.policy.method(Kind::Location).is_some();
        let mut copied = 0;
        let mut tokens = Scanner::new(json);
        for piece in &pieces {
            let (raw, quote) = match tokens.next() {
                Some(Token::Key(raw) | Token::Text(raw)) => (raw, ""),
                Some(Token::Number(raw)) => (raw, "\""),
                _ => continue,
            };
            let text = match piece.replacement() {
                // There is no member to be left out as a whole.
                _ if piece.role == Role::Coordinate && is_place => MASK,
                Some(text) => text,
                None => continue,
            };
            new.push_str(&self.found.index().replaced(&json[copied..tokens.begin()]));
            new.extend([quote, text, quote]);
            copied = tokens.begin() + raw.len();
        }
        new.push_str(&self.found.index().replaced(&json[copied..]));
    }
}

/// Whether a path is that of an attribute, as changes by SCIM name what they change (RFC 7643, 4.1 and
/// 4.3).
fn is_attribute(path: &str) -> bool {
    let last = path.rsplit([':', '.']).next().unwrap_or(path);
    ATTRIBUTES.iter().any(|it| it.eq_ignore_ascii_case(last))
        || fields::name(path).field != Field::Open
}

/// Those that say nothing of a person.
const ATTRIBUTES: [&str; 20] = [
    "active",
    "addresses",
    "costCenter",
    "department",
    "division",
    "employeeNumber",
    "entitlements",
    "groups",
    "ims",
    "locale",
    "organization",
    "password",
    "photos",
    "preferredLanguage",
    "profileUrl",
    "roles",
    "timezone",
    "title",
    "userType",
    "x509Certificates",
];

fn is_user_id(value: &str) -> bool {
    kind_by_looks(value) == Some(Kind::UserId)
}
