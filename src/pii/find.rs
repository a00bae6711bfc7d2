//! The first pass over a record: finds its personal values and decides what replaces them.

use std::cell::OnceCell;

use super::Kind;
use super::fields::Field;
use super::found::{Found, Value, is_personal};
use super::key::Group;
use super::kinds::{is_read_on, kind, may_be_blocked, of_user};
use super::looks::{
    addresses, is_call_about_blocked, is_call_about_users, is_link, kind_by_looks, may_have_form,
    may_name_somebody,
};
use super::method::Policy;
use super::nested::{self, Part};
use super::pieces::{Piece, Reading, pieces, tokens};
use super::queries::{begins_a_form, by_looks, decoded, of_decoded_search, of_form, of_path};
use super::walk::{Left, Role, Walk};
use crate::json::{MOST_TEXTS, Token, unescape_lossy};

/// The number of the first object in JSON that is not rewritten. The JSON that is rewritten has fewer
/// objects.
const FIRST_SET_ASIDE: u32 = u32::MAX / 2;

/// Used as an object's number for whatever a search query is about: users if the call is about them.
pub(super) const SEARCH: u32 = u32::MAX;
/// Used as an object's number for whatever an identifier names: a user if the call is about blocked
/// users.
pub(super) const BLOCKED: u32 = u32::MAX - 1;

/// How many of the last values are searched for an equal one, so that it is not treated twice.
const REMEMBERED: usize = 16;

/// Reads a record into pieces and finds the personal data that the policy treats; `None` if there is
/// none.
pub(super) fn find<'a, 'p>(
    policy: &'p Policy,
    length: usize,
    record: impl Iterator<Item = (Token<'a>, Option<String>)>,
) -> (Vec<Piece<'a>>, Option<Found<'p>>) {
    let mut finder = Finder::new(policy);
    let mut pieces = finder.pieces(record, length, Walk::of_record());
    finder.read(&mut pieces);
    let found = finder.finish(|at, reading| pieces[at].reading = reading);
    (pieces, found)
}

/// The name or the id of whatever an object is about.
struct Name {
    /// The number of the object.
    object: u32,
    kind: Kind,
    value: String,
    /// The index of its piece in the record; `None` inside a string.
    piece: Option<usize>,
}

pub(super) struct Finder<'p> {
    policy: &'p Policy,
    values: Vec<Value>,
    users: Vec<u32>,
    /// The numbers of the objects that are bodies of calls.
    bodies: Vec<u32>,
    names: Vec<Name>,
    /// How many objects and lists were read.
    objects: u32,
    /// The number of the next object or list in JSON that is not rewritten: it was cut, or is in a path,
    /// a name or an id.
    objects_set_aside: u32,
    is_set_aside: bool,
    /// How many strings, each inside another, enclose what is being read.
    texts: usize,
    is_call_about_users: bool,
    is_any: bool,
}

impl<'p> Finder<'p> {
    pub fn new(policy: &'p Policy) -> Self {
        Self {
            policy,
            values: Vec::with_capacity(8),
            users: Vec::new(),
            bodies: Vec::new(),
            names: Vec::new(),
            objects: 0,
            objects_set_aside: FIRST_SET_ASIDE,
            is_set_aside: false,
            texts: 0,
            is_call_about_users: false,
            is_any: false,
        }
    }

    /// Enters an object or a list. Returns its number.
    pub fn enter(&mut self) -> u32 {
        self.objects += 1;
        self.objects - 1
    }

    /// Leaves an object or a list.
    pub fn leave(&mut self, left: Left) {
        if left.is_user {
            self.users.push(left.number);
        }
        if left.is_body {
            self.bodies.push(left.number);
        }
    }

    fn pieces<'a>(
        &mut self,
        tokens: impl Iterator<Item = (Token<'a>, Option<String>)>,
        length: usize,
        walk: Walk,
    ) -> Vec<Piece<'a>> {
        let mut objects = self.objects;
        let pieces = pieces(tokens, length, walk, &mut objects, |left| self.leave(left));
        self.objects = objects;
        pieces
    }

    /// Reads the pieces of the record itself.
    fn read(&mut self, pieces: &mut [Piece]) {
        for (at, piece) in pieces.iter_mut().enumerate() {
            piece.reading = self.piece(piece, Some(at));
        }
    }

    /// Reads a piece. `at` is its index in the record, for `finish` to report; `None` inside a string.
    pub fn piece(&mut self, piece: &Piece, at: Option<usize>) -> Reading {
        let role = piece.role;
        let reading = match piece.token() {
            Token::Text(text) => self.text(piece, text, at),
            Token::Number(number) => self.number(piece, number, at),
            Token::Key(raw) => {
                self.key(raw);
                return Reading::Open;
            }
            Token::EndObject | Token::EndArray => return Reading::Open,
            Token::BeginObject | Token::BeginArray | Token::Bool(_) | Token::Null => Reading::Open,
        };
        self.is_any = self.is_any || self.is_concerned(role);
        reading
    }

    /// Notes a key that looks like a personal value, since custom data may be keyed by user.
    pub fn key(&mut self, raw: &str) {
        let is_sign = |it: u8| matches!(it, b'@' | b'|' | b'.' | b':' | b'+' | b'%' | b'\\' | b'&');
        if !raw.bytes().any(is_sign) {
            return;
        }
        let name = unescape_lossy(raw);
        let name = decoded(&name);
        if let Some(kind) = by_looks(&name) {
            self.note(kind, &name);
        }
    }

    fn number(&mut self, place: &Piece, number: &str, piece: Option<usize>) -> Reading {
        let (role, object) = (place.role, place.object);
        if let Some(kind) = kind(self.policy, role, number) {
            return self.noted(kind, number);
        }
        if let Some(kind) = of_user(self.policy, role, number) {
            self.name(object, kind, number, piece);
        }
        if role == Role::Somebody {
            self.name(BLOCKED, Kind::Username, number, piece);
        }
        Reading::Open
    }

    fn nested(&mut self, json: &str, field: Field) {
        let pieces = self.pieces(tokens(json), json.len(), Walk::within(field));
        self.texts += 1;
        for piece in &pieces {
            self.piece(piece, None);
        }
        self.texts -= 1;
    }

    /// Reads JSON that is not rewritten. Its objects are numbered separately.
    fn set_aside(&mut self, json: &str, field: Field) {
        if self.is_set_aside {
            return self.nested(json, field);
        }
        self.is_set_aside = true;
        std::mem::swap(&mut self.objects, &mut self.objects_set_aside);
        self.nested(json, field);
        std::mem::swap(&mut self.objects, &mut self.objects_set_aside);
        self.is_set_aside = false;
    }

    /// Whether the policy treats every value that has this role.
    fn is_concerned(&self, role: Role) -> bool {
        let kind = match role {
            Role::Personal(kind) => kind,
            Role::Place | Role::Coordinate | Role::Country | Role::Town => Kind::Location,
            _ => return false,
        };
        self.policy.method(kind).is_some()
    }

    fn text(&mut self, place: &Piece, raw: &str, piece: Option<usize>) -> Reading {
        let (role, object) = (place.role, place.object);
        match role {
            Role::Fixed => return Reading::Open,
            // Most strings.
            Role::Open | Role::Word if !may_name_somebody(raw) => {
                return Reading::Open;
            }
            _ => {}
        }
        let value = &*unescape_lossy(raw);
        match role {
            Role::Path => {
                self.is_call_about_users |= place.is_of_call && is_call_about_users(value);
                if place.is_of_call && is_call_about_blocked(value) {
                    self.users.push(BLOCKED);
                }
                of_path(self.policy, value, |kind, value| self.searched(kind, value));
            }
            Role::Search if !begins_a_form(value) => {
                of_decoded_search(self.policy, &decoded(value), &mut |kind, value| {
                    self.searched(kind, value);
                });
            }
            _ => {}
        }
        let kind = kind(self.policy, role, value);
        let may_have_addresses = match role {
            // Also if the whole string is a user name.
            Role::Login => kind_by_looks(value).is_none(),
            Role::Somebody
            | Role::InUser
            | Role::OfUser(_)
            | Role::SomebodyBelow(_)
            | Role::LooksLike(Kind::Email) => kind.is_none(),
            _ => false,
        };
        if may_have_addresses {
            let is_page = |it: &&str| role == Role::InUser && is_link(it);
            for address in addresses(value).filter(|it| !is_page(it)) {
                self.note(Kind::Email, address);
            }
        }
        if let Some(kind) = kind {
            return self.noted(kind, value);
        }
        if let Some(kind) = of_user(self.policy, role, value) {
            self.name(object, kind, value, piece);
        }
        if role == Role::Somebody && may_be_blocked(value) {
            self.name(BLOCKED, Kind::Username, value, piece);
        }
        self.parts(role, place.field, value)
    }

    /// Reads the form or the JSON in a string that is not personal as a whole.
    fn parts(&mut self, role: Role, field: Field, value: &str) -> Reading {
        // A path, and what may be a name as a whole, is not rewritten in parts.
        let is_aside = matches!(role, Role::Path | Role::Name | Role::Id);
        let may_be_form = matches!(
            role,
            Role::Open | Role::InUser | Role::Search | Role::Name | Role::Id
        );
        if may_be_form && may_have_form(value) {
            of_form(self.policy, value, |kind, value| self.searched(kind, value));
        }
        let is_read_on = is_aside || is_read_on(self.policy, role, value);
        if !nested::may_have_json(value) || !is_read_on || self.texts == MOST_TEXTS {
            return Reading::Open;
        }
        for part in nested::parts(value) {
            match part {
                Part::Plain(_) => {}
                Part::Json(json) if !is_aside => self.nested(json, field),
                Part::Json(json) | Part::Cut(json) => self.set_aside(json, field),
            }
        }
        if is_aside {
            Reading::Open
        } else {
            Reading::HasJson
        }
    }

    /// Keeps the name or the id of an object until it is known whether the object is about a user.
    fn name(&mut self, object: u32, kind: Kind, value: &str, piece: Option<usize>) {
        if self.policy.method(kind).is_some() {
            let value = value.to_owned();
            self.names.push(Name {
                object,
                kind,
                value,
                piece,
            });
        }
    }

    /// Notes a value from a search query, a path or a form. Without a kind it is a name, which is a
    /// user's if the call is about users.
    fn searched(&mut self, kind: Option<Kind>, value: &str) {
        match kind {
            Some(kind) => {
                self.note(kind, value);
            }
            None => self.name(SEARCH, self.policy.kind_of_name(), value, None),
        }
    }

    fn noted(&mut self, kind: Kind, value: &str) -> Reading {
        self.note(kind, value)
            .map_or(Reading::SaysNothing, Reading::Personal)
    }

    /// Notes a value of this kind. Returns its number; `None` if the policy does not treat this kind or
    /// the value says nothing about a person.
    fn note(&mut self, kind: Kind, value: &str) -> Option<u32> {
        if self.policy.method(kind).is_none() || !is_personal(kind, value) {
            return None;
        }
        self.is_any = true;
        let mut alike = None;
        let known = self.values.iter().enumerate().rev().take(REMEMBERED);
        for (number, known) in known.filter(|(_, it)| it.text == value) {
            if known.kind == kind {
                return Some(number_of(number));
            }
            // Often a user name is the user's e-mail address.
            if Group::of(known.kind) == Group::of(kind)
                && self.policy.method(known.kind) == self.policy.method(kind)
            {
                alike = Some(known.replacement.clone());
            }
        }
        let replacement = alike.unwrap_or_else(|| self.policy.replacement(kind, value));
        self.values.push(Value {
            kind,
            text: value.to_owned(),
            replacement,
        });
        Some(number_of(self.values.len() - 1))
    }

    /// Ends the pass. `tell` is called with the index and the new reading of each piece that names a
    /// user.
    pub fn finish(mut self, mut tell: impl FnMut(usize, Reading)) -> Option<Found<'p>> {
        if self.is_call_about_users {
            self.users.append(&mut self.bodies);
            self.users.push(SEARCH);
        }
        self.users.sort_unstable();
        for name in std::mem::take(&mut self.names) {
            if self.users.binary_search(&name.object).is_err() {
                continue;
            }
            let reading = self.noted(name.kind, &name.value);
            if let Some(piece) = name.piece {
                tell(piece, reading);
            }
        }
        self.is_any.then(|| {
            let mut found = Found {
                policy: self.policy,
                values: self.values,
                index: OnceCell::new(),
                ids: OnceCell::new(),
                users: self.users,
            };
            found.settle();
            found
        })
    }
}

#[allow(
    clippy::cast_possible_truncation,
    reason = "a record has fewer values, as they take bytes"
)]
fn number_of(value: usize) -> u32 {
    value as u32
}
