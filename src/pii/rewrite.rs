//! The second pass over a record: rewrites it without the personal data that was found.

use std::borrow::Cow;
use std::collections::HashSet;

use super::Kind;
use super::fields::{self, Field};
use super::find::{BLOCKED, SEARCH};
use super::found::Found;
use super::kinds::{self, is_read_on, may_be_blocked, of_user};
use super::looks::{CALLS, is_word};
use super::method::{Method, Policy};
use super::nested::{self, Part};
use super::pieces::{Piece, Reading, pieces, tokens, written};
use super::prefilter::Prefilter;
use super::walk::{Left, Role, Walk};
use crate::json::{self, MOST_TEXTS, Scanner, Token, unescape_lossy};
use crate::redact::MASK;

/// Replaces or leaves out the personal data that was found in a record.
pub(super) fn rewrite(policy: &Policy, found: &Found, pieces: &mut [Piece]) {
    let mut writer = Writer {
        policy,
        found,
        prefilter: found.prefilter(),
        objects: pieces.iter().map(|it| u32::from(it.begins())).sum(),
        users_of_cut: HashSet::new(),
        texts: 0,
        is_changed: false,
    };
    writer.write(pieces);
}

/// The path segments before a user.
const USERS: [&str; 4] = ["users/", "users-by-email/", "members/", "Users/"];
/// The path segment two places before the id of an identity.
const IDENTITIES: &str = "identities/";

/// The number of the first object in JSON that was cut. The first pass gives no object such a number.
const FIRST_OF_CUT: u32 = u32::MAX / 4 * 3;

struct Writer<'f> {
    policy: &'f Policy,
    found: &'f Found<'f>,
    prefilter: Prefilter,
    /// How many objects and lists were read: counted as in the first pass.
    objects: u32,
    /// The numbers of the objects about users in the JSON that is being written and was cut.
    users_of_cut: HashSet<u32>,
    /// How many strings, each inside another, enclose what is being written.
    texts: usize,
    is_changed: bool,
}

/// The form of a value.
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
        let is_place = self.policy.method(Kind::Location).is_some();
        for piece in pieces {
            let new = match (piece.token(), piece.reading) {
                // In a list that is not left out.
                (Token::Number(_) | Token::Text(_), _)
                    if is_place && piece.is_in_list && piece.role == Role::Coordinate =>
                {
                    Some(MASK.to_owned())
                }
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

    /// Marks the members that are dropped.
    fn leave_out(&mut self, pieces: &mut [Piece]) {
        // The index of the last key.
        let mut member = None;
        // For each enclosing object and list, the index of its key if both are left out.
        let mut marks: Vec<Option<usize>> = Vec::with_capacity(8);
        // Inside a value that is left out, nothing else is marked.
        let mut is_within = false;
        for at in 0..pieces.len() {
            let piece = &pieces[at];
            let token = piece.token();
            // An element of a list is never left out, since that would make it another list.
            let mark = member.filter(|_| !piece.is_in_list && !is_within);
            let gone = match token {
                Token::Key(_) => {
                    member = Some(at);
                    None
                }
                Token::BeginObject | Token::BeginArray => {
                    let is_list = token == Token::BeginArray;
                    let form = if is_list { Form::List } else { Form::Object };
                    let mark = mark.filter(|_| {
                        self.is_dropped(piece, form, "")
                            || is_list && self.has_coordinates(&pieces[at..])
                    });
                    is_within |= mark.is_some();
                    marks.push(mark);
                    None
                }
                Token::EndObject | Token::EndArray => marks.pop().flatten(),
                Token::Text(raw) | Token::Number(raw) => {
                    mark.filter(|_| self.is_dropped(piece, Form::Scalar, raw))
                }
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
        let is_user_s = || self.is_user_s(piece.object);
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
            Role::OfUser(_) if is_user_s() && form == Form::Scalar => {
                match of_user(self.policy, role, &unescape_lossy(raw)) {
                    Some(kind) => kind,
                    None => return false,
                }
            }
            Role::OfUser(kind) if is_user_s() && form == Form::List => kind,
            Role::LooksLike(_)
            | Role::Somebody
            | Role::InUser
            | Role::OfUser(_)
            | Role::Login
            | Role::SomebodyBelow(_)
            | Role::Below(..)
            | Role::Place
                if form == Form::Scalar =>
            {
                match kinds::kind(self.policy, role, &unescape_lossy(raw)) {
                    Some(kind) => kind,
                    None => return false,
                }
            }
            Role::Place | Role::Town | Role::Country => Kind::Location,
            Role::Personal(Kind::Address) => Kind::Address,
            Role::Personal(kind) if form != Form::Object => kind,
            Role::Name if is_user_s() && form != Form::Object => self.policy.kind_of_name(),
            Role::Id if is_user_s() => match of_user(self.policy, role, &unescape_lossy(raw)) {
                Some(kind) => kind,
                None => return false,
            },
            _ => return false,
        };
        method(kind) == Some(Method::Drop)
    }

    /// Whether the first value in a list is a coordinate. Such a list is left out as a whole, as nothing
    /// is left out of a list.
    fn has_coordinates(&self, list: &[Piece]) -> bool {
        let first = list.iter().find(|it| it.token() != Token::BeginArray);
        first.is_some_and(|it| it.role == Role::Coordinate && self.is_dropped(it, Form::Scalar, ""))
    }

    /// Whether the object of this number is about a user.
    fn is_user_s(&self, number: u32) -> bool {
        self.found.is_user_s(number) || self.users_of_cut.contains(&number)
    }

    /// Whether a value names a blocked user.
    fn is_blocked(&self, value: &str) -> bool {
        self.found.is_user_s(BLOCKED) && may_be_blocked(value)
    }

    /// The replacement of the name of a field, if there is one.
    fn key(&self, raw: &str) -> Option<String> {
        if !self.prefilter.may_be_in(raw) {
            return None;
        }
        let name = unescape_lossy(raw);
        match self.found.index().replaced_in_name(&name) {
            Cow::Owned(new) => Some(new),
            Cow::Borrowed(_) => None,
        }
    }

    /// The replacement of a string that is not personal by its place, if there is one.
    fn text(&self, role: Role, raw: &str) -> Option<String> {
        if matches!(role, Role::Fixed | Role::Country) || !self.prefilter.may_be_in(raw) {
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

    /// The replacement of a number that is not personal by its place, if there is one.
    fn number(&self, role: Role, number: &str) -> Option<String> {
        if role == Role::Fixed {
            return None;
        }
        self.found.index().number(number).map(str::to_owned)
    }

    /// The replacement of a string inside another string, if there is one.
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

    /// The kind of a value inside a string, if the policy treats it.
    fn kind(&self, piece: &Piece, value: &str) -> Option<Kind> {
        let of_user = || of_user(self.policy, piece.role, value);
        let kind = match piece.role {
            Role::Somebody if self.is_blocked(value) => Some(Kind::Username),
            Role::Name | Role::Id | Role::OfUser(_) if self.is_user_s(piece.object) => of_user(),
            role => return kinds::kind(self.policy, role, value),
        };
        kind.filter(|it| self.policy.method(*it).is_some())
    }

    /// The path of a request. A user must not be able to hide an endpoint by taking its name. So in a
    /// segment of an API path only values are replaced that cannot be the name of one of Auth0's fields,
    /// unless the segment stands for a user.
    fn path(&self, path: &str) -> String {
        let index = self.found.index();
        let Some(begin) = CALLS.iter().find(|it| path.starts_with(**it)) else {
            let (name, rest) = path.split_at(path.find(['[', '?', '#']).unwrap_or(path.len()));
            if is_attribute(name) {
                return format!("{}{}", index.replaced_in_name(name), index.replaced(rest));
            }
            // A value may have such a character, as those of guests in a directory do.
            return index.replaced(path).into_owned();
        };
        let (called, query) = path.split_at(path.find(['?', '#']).unwrap_or(path.len()));
        let query = index.replaced(query);
        let (begin, rest) = called.split_at(begin.len());
        let mut new = begin.to_owned();
        let mut before = ["", ""];
        for segment in rest.split_inclusive('/') {
            let is_user = USERS.contains(&before[1]) || before[0] == IDENTITIES;
            before = [before[1], segment];
            // The slash separates two segments, even if a value ends in one.
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

    /// A string with JSON in it, rewritten.
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
                    let mut pieces = self.pieces(field, json);
                    self.write(&mut pieces);
                    // Unchanged JSON keeps its white space.
                    let has_changed = std::mem::take(&mut self.is_changed);
                    if has_changed {
                        new.push_str(&written(&pieces, json.len()));
                    } else if json.starts_with('"') && !json::has_escapes(json) {
                        // The quotes may belong to a value. No name of a field is between them.
                        new.push_str(&self.found.index().replaced(json));
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

    /// The pieces of JSON in a string. Whom they are about is known from the first pass, unless the JSON
    /// was cut.
    fn pieces<'j>(&mut self, field: Field, json: &'j str) -> Vec<Piece<'j>> {
        let (found, users) = (self.found, &mut self.users_of_cut);
        let leave = |left: Left| {
            let is_user = || left.is_user || left.is_body && found.is_user_s(SEARCH);
            if left.number >= FIRST_OF_CUT && is_user() {
                users.insert(left.number);
            }
        };
        let walk = Walk::within(field);
        pieces(tokens(json), json.len(), walk, &mut self.objects, leave)
    }

    /// Rewrites JSON that was cut. Personal fields are replaced in place, and so is what was found,
    /// even between values. Everything else stays as written.
    fn cut(&mut self, field: Field, json: &str, new: &mut String) {
        let objects = self.objects;
        let is_within = objects >= FIRST_OF_CUT;
        if !is_within {
            self.objects = FIRST_OF_CUT;
        }
        let mut pieces = self.pieces(field, json);
        self.replace(&mut pieces);
        if !is_within {
            self.objects = objects;
            self.users_of_cut.clear();
        }
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
                // Members are not left out of cut JSON, so the value is masked.
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

/// Whether a path is the name of an attribute, as a SCIM change names what it changes (RFC 7643, 4.1 and
/// 4.3).
fn is_attribute(path: &str) -> bool {
    let last = path.rsplit([':', '.']).next().unwrap_or(path);
    ATTRIBUTES.iter().any(|it| it.eq_ignore_ascii_case(last))
        || fields::name(path).field != Field::Open
}

/// Attributes that say nothing about a person.
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
