//! A walk over the tokens of a record, which knows of each value whom it may name.

use std::collections::HashMap;

use super::Kind;
use super::fields::{self, Field};

/// Objects around the path of a call: the record, its details and the request.
const DEPTH_OF_CALL: usize = 3;

/// What a value is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Role {
    /// Not personal by its place.
    Open,
    /// Not personal, whatever it says.
    Fixed,
    /// Personal.
    Personal(Kind),
    /// Personal, if it looks like it.
    LooksLike(Kind),
    /// Somebody, if it looks like it.
    Somebody,
    /// Somebody, by a user name where it looks like nothing else.
    Login,
    /// The same as `Somebody` below a name of this kind: of that kind, if it looks like it.
    SomebodyBelow(Kind),
    /// Personal, and below a name of the first kind: of that, if the second is kept and it looks like it,
    /// as everything does below that of a place.
    Below(Kind, Kind),
    /// The name of the object that it is in: personal if that is a user.
    Name,
    /// The id of the object that it is in.
    Id,
    /// A country.
    Country,
    /// Where in a country.
    Town,
    /// A number that tells a place.
    Coordinate,
    /// An object about a place.
    Place,
    /// The path of a request.
    Path,
    /// What is looked for.
    Search,
    /// A word of Auth0's own, if it looks like one.
    Word,
}

/// What an object is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Subject {
    /// Its fields may tell.
    Unknown,
    User,
    Thing,
    Place,
    /// An address, or whatever else is personal with all that is in it.
    All(Kind),
}

/// What the walk is in.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Container {
    Record,
    Object,
    List,
}

/// An object or a list that the walk is in.
struct Frame {
    container: Container,
    /// The name under which it stands.
    field: Field,
    subject: Subject,
    /// The kind that a name around it tells: whatever looks like such a value is one.
    below: Option<Kind>,
    /// Its number, from the beginning of the record.
    number: u32,
    /// The number of the object that a name in it belongs to: not its own, if it is about a name.
    owner: u32,
    has_user_s_fields: bool,
    has_other_fields: bool,
}

impl Frame {
    fn is_list(&self) -> bool {
        self.container == Container::List
    }
}

/// An object that the walk has left.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Left {
    pub number: u32,
    /// Whether it is about a user, as far as it says itself.
    pub is_user: bool,
    /// Whether the call decides what it is about.
    pub is_body: bool,
}

pub(super) struct Walk {
    frames: Vec<Frame>,
    /// The name of the next value.
    next: Field,
    /// The name under which all of it stands.
    first: Field,
    role: Role,
    is_record: bool,
    /// Whether there is a value that a name beside it may tell of.
    has_values: bool,
    labels: Labels,
}

/// What names beside values say of them, by the numbers of the objects that they are in.
pub(super) type Labels = HashMap<u32, Field>;

impl Walk {
    /// Over a record.
    pub fn of_record() -> Self {
        Self {
            is_record: true,
            ..Self::within(Field::Open)
        }
    }

    /// Over JSON in a text that stands under this name.
    pub fn within(field: Field) -> Self {
        Self {
            frames: Vec::with_capacity(8),
            next: field,
            first: field,
            role: Role::Open,
            is_record: false,
            has_values: false,
            labels: Labels::new(),
        }
    }

    /// Whether there is a value that a name beside it may tell of.
    pub fn has_values(&self) -> bool {
        self.has_values
    }

    /// The same walk from its beginning, where it is known what names say of values beside them.
    pub fn again(&self, labels: Labels) -> Self {
        Self {
            is_record: self.is_record,
            labels,
            ..Self::within(self.first)
        }
    }

    pub fn is_in_list(&self) -> bool {
        self.frames.last().is_some_and(Frame::is_list)
    }

    /// Whether the next value may tell what was called: it is not a part of what the caller sent.
    pub fn is_of_call(&self) -> bool {
        let around = match self.first {
            Field::Details => 1,
            _ => 0,
        };
        (self.is_record || around > 0) && around + self.frames.len() <= DEPTH_OF_CALL
    }

    /// The name under which the next value stands.
    pub fn field(&self) -> Field {
        match self.frames.last() {
            Some(list) if list.is_list() => list.field,
            _ => self.next,
        }
    }

    /// Meets the name of a member, as it is written. Answers whether it is that of a column.
    pub fn key(&mut self, raw: &str) -> bool {
        let Some(frame) = self.frames.last_mut() else {
            return false;
        };
        let name = fields::name(raw);
        if frame.container == Container::Record && name.is_fixed {
            (self.next, self.role) = (Field::Open, Role::Fixed);
            return name.is_common;
        }
        frame.has_user_s_fields |= name.tells_a_user;
        frame.has_other_fields |= name.tells_a_thing;
        let field = match name.field {
            Field::Details if frame.container != Container::Record => Field::Open,
            field => field,
        };
        self.next = match (frame.subject, field) {
            (Subject::Place, _) => fields::in_place(raw),
            (_, Field::Value) => match (frame.field, frame.container) {
                (Field::Value, _) => Field::Value,
                (field @ (Field::Of(_) | Field::LooksLike(_)), _) => field,
                (field, Container::Object) => {
                    self.has_values = true;
                    self.labels.get(&frame.number).copied().unwrap_or(field)
                }
                (field, _) => field,
            },
            (_, field) => field,
        };
        let own = match (frame.subject, field) {
            (Subject::All(kind), _) => Role::Personal(kind),
            (Subject::Place, Field::Of(kind) | Field::LooksLike(kind)) => {
                Role::Below(Kind::Location, kind)
            }
            _ => role(self.next),
        };
        self.role = below(frame.below, own);
        name.is_common
    }

    /// What the next value is.
    pub fn role(&self) -> Role {
        match self.frames.last() {
            Some(list) if list.is_list() => match list.subject {
                Subject::All(kind) => below(list.below, Role::Personal(kind)),
                Subject::Place => below(list.below, role_in_place(list.field)),
                _ => match role(list.field) {
                    Role::Name | Role::Id => Role::Open,
                    role => below(list.below, role),
                },
            },
            Some(_) => self.role,
            None => role(self.next),
        }
    }

    /// The number of the object or list that the next value is in, or says something of.
    pub fn object(&self) -> u32 {
        self.frames.last().map_or(0, |it| it.owner)
    }

    /// Goes into an object or a list, which is the object of this number.
    pub fn begin(&mut self, is_list: bool, number: u32) {
        let field = self.field();
        let above = self.frames.last().map(|it| it.subject);
        let around = self.frames.last().and_then(|it| it.below);
        let container = match (is_list, self.is_record && self.frames.is_empty()) {
            (true, _) => Container::List,
            (false, true) => Container::Record,
            (false, false) => Container::Object,
        };
        let owner = match field {
            Field::Name => self.object(),
            _ => number,
        };
        let subject = match (above, field) {
            (Some(subject @ (Subject::All(_) | Subject::Place)), _) => subject,
            (_, Field::Of(kind @ Kind::Address)) => Subject::All(kind),
            (_, Field::Place) => Subject::Place,
            (_, Field::Somebody | Field::Login | Field::User) => Subject::User,
            (_, Field::Thing) => Subject::Thing,
            _ if container == Container::Record => Subject::Thing,
            _ => Subject::Unknown,
        };
        self.frames.push(Frame {
            container,
            field,
            subject,
            below: match field {
                // That of an e-mail address is no street.
                Field::Of(Kind::Address) => around.or(Some(Kind::Address)),
                Field::Of(kind) | Field::LooksLike(kind) => Some(kind),
                _ => around,
            },
            number,
            owner,
            has_user_s_fields: false,
            has_other_fields: false,
        });
        self.role = Role::Open;
        self.next = Field::Open;
    }

    /// Leaves it again.
    pub fn end(&mut self) -> Option<Left> {
        let frame = self.frames.pop()?;
        let is_open = frame.subject == Subject::Unknown && !frame.has_other_fields;
        Some(Left {
            number: frame.number,
            is_user: frame.subject == Subject::User || is_open && frame.has_user_s_fields,
            is_body: is_open && frame.field == Field::Body && !frame.is_list(),
        })
    }

    /// Whether the value has ended that it began with.
    pub fn is_over(&self) -> bool {
        self.frames.is_empty()
    }
}

/// What a value is below a name that tells a kind, if it is.
fn below(kind: Option<Kind>, own: Role) -> Role {
    let Some(kind) = kind else {
        return own;
    };
    match own {
        Role::Open => Role::LooksLike(kind),
        Role::Somebody | Role::Login => Role::SomebodyBelow(kind),
        Role::Personal(own) if own != kind => Role::Below(kind, own),
        Role::Place | Role::Town => Role::Below(kind, Kind::Location),
        own => own,
    }
}

/// What a value under such a name is.
pub(super) fn role(field: Field) -> Role {
    match field {
        Field::Open
        | Field::User
        | Field::Thing
        | Field::Body
        | Field::Details
        | Field::Value
        | Field::Label => Role::Open,
        Field::Of(kind) => Role::Personal(kind),
        Field::LooksLike(kind) => Role::LooksLike(kind),
        Field::Somebody => Role::Somebody,
        Field::Login => Role::Login,
        Field::Name => Role::Name,
        Field::Id => Role::Id,
        Field::Country => Role::Country,
        Field::Town => Role::Town,
        Field::Coordinate => Role::Coordinate,
        Field::Place => Role::Place,
        Field::Path => Role::Path,
        Field::Search => Role::Search,
        Field::Word => Role::Word,
    }
}

fn role_in_place(field: Field) -> Role {
    match field {
        Field::Country => Role::Country,
        Field::Coordinate => Role::Coordinate,
        _ => Role::Town,
    }
}
