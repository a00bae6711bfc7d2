//! A walk over the tokens of a record, which tells for each value what it may say about a person.

use std::collections::HashMap;

use super::Kind;
use super::fields::{self, Field};

/// How many objects are around the path of a call: the record, its details and the request.
const DEPTH_OF_CALL: usize = 3;

/// What a value is by its place.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Role {
    /// Not personal by its place.
    Open,
    /// Never personal, whatever its content.
    Fixed,
    /// Personal, of this kind.
    Personal(Kind),
    /// Personal, of this kind, if it looks like it.
    LooksLike(Kind),
    /// Personal, of the kind that it looks like, if any.
    Somebody,
    /// The same in a user's object, under a name that says nothing: it may also be a form.
    InUser,
    /// The same as `Somebody`, but of this kind if it looks like no other, and the object that it is in is
    /// about a user.
    OfUser(Kind),
    /// The same, but a user name if it looks like no kind.
    Login,
    /// The same as `Somebody` inside a value of this kind: of this kind if it looks like it and like no
    /// other kind that is treated.
    SomebodyBelow(Kind),
    /// Of the second kind, inside a value of the first kind. If the second kind is kept, it is of the
    /// first kind if it looks like it. Everything looks like a location.
    Below(Kind, Kind),
    /// The name of the object that it is in: personal if the object is about a user.
    Name,
    /// The id of the object that it is in.
    Id,
    /// A country.
    Country,
    /// Any other part of a location, such as a city.
    Town,
    /// A geographic coordinate.
    Coordinate,
    /// An object about a place.
    Place,
    /// The path of a request.
    Path,
    /// A search query.
    Search,
    /// A word that Auth0 defines, if it looks like one.
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
    /// Something that is personal with all its content, such as an address.
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
    /// What its name says.
    field: Field,
    subject: Subject,
    /// Whether it is a user's by its name, or is in such an object and not about anything else.
    is_user_s: bool,
    /// The kind that its name or one around it tells: what looks like a value of this kind is one.
    below: Option<Kind>,
    /// Its number, counted from the beginning of the record.
    number: u32,
    /// The number of the object that names in it belong to. What is under `name` is part of the name of
    /// the object around it.
    owner: u32,
    has_user_s_fields: bool,
    has_other_fields: bool,
}

impl Frame {
    fn is_list(&self) -> bool {
        self.container == Container::List
    }

    /// The role of a value in it whose name says this.
    fn role(&self, field: Field) -> Role {
        match role(field) {
            Role::Open if self.is_user_s && !matches!(field, Field::Thing | Field::Body) => {
                Role::InUser
            }
            role => role,
        }
    }
}

/// An object or a list that the walk has left.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Left {
    pub number: u32,
    /// Whether it is about a user, by its name or its own fields.
    pub is_user: bool,
    /// Whether it is a body, so that the call decides what it is about.
    pub is_body: bool,
}

pub(super) struct Walk {
    frames: Vec<Frame>,
    /// What the name of the next value says.
    next: Field,
    /// What the name of the whole value says.
    first: Field,
    role: Role,
    is_record: bool,
    /// Whether there is a value that a member beside it may name.
    has_values: bool,
    labels: Labels,
}

/// What is known about values by names in members beside them, by the number of the object.
pub(super) type Labels = HashMap<u32, Field>;

impl Walk {
    /// A walk over a record.
    pub fn of_record() -> Self {
        Self {
            is_record: true,
            ..Self::within(Field::Open)
        }
    }

    /// A walk over JSON in a string whose name says this.
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

    /// Whether there is a value that a member beside it may name.
    pub fn has_values(&self) -> bool {
        self.has_values
    }

    /// The same walk from its beginning, now that the names in members beside values are known.
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

    /// Whether the next value may be the path of the call. What is deeper is part of what the caller
    /// sent.
    pub fn is_of_call(&self) -> bool {
        let around = match self.first {
            Field::Details => 1,
            _ => 0,
        };
        (self.is_record || around > 0) && around + self.frames.len() <= DEPTH_OF_CALL
    }

    /// What the name of the next value says.
    pub fn field(&self) -> Field {
        match self.frames.last() {
            Some(list) if list.is_list() => list.field,
            _ => self.next,
        }
    }

    /// Reads the name of a member, as written. Returns whether it is the name of a column.
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
            _ => frame.role(self.next),
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
                _ => match list.role(list.field) {
                    Role::Id => Role::Open,
                    role => below(list.below, role),
                },
            },
            Some(_) => self.role,
            None => role(self.next),
        }
    }

    /// The number of the object or list that the next value belongs to.
    pub fn object(&self) -> u32 {
        self.frames.last().map_or(0, |it| it.owner)
    }

    /// Enters an object or a list, which gets this number.
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
            Field::OfUser(_) if is_list => self.object(),
            _ => number,
        };
        let subject = match (above, field) {
            (Some(subject @ (Subject::All(_) | Subject::Place)), _) => subject,
            (_, Field::Of(kind @ Kind::Address)) => Subject::All(kind),
            (_, Field::Place) => Subject::Place,
            (_, Field::Somebody | Field::Login | Field::User | Field::OfUser(Kind::Username)) => {
                Subject::User
            }
            (_, Field::Thing) => Subject::Thing,
            _ if container == Container::Record => Subject::Thing,
            _ => Subject::Unknown,
        };
        let is_user_s = match subject {
            Subject::User => true,
            Subject::Unknown => self.frames.last().is_some_and(|it| it.is_user_s),
            _ => false,
        };
        self.frames.push(Frame {
            container,
            field,
            subject,
            is_user_s,
            below: match field {
                // The `address` of an e-mail object is not a postal address.
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

    /// Leaves an object or a list.
    pub fn end(&mut self) -> Option<Left> {
        let frame = self.frames.pop()?;
        let is_open = frame.subject == Subject::Unknown && !frame.has_other_fields;
        Some(Left {
            number: frame.number,
            is_user: frame.subject == Subject::User || is_open && frame.has_user_s_fields,
            is_body: is_open && frame.field == Field::Body && !frame.is_list(),
        })
    }

    /// Whether the whole value has ended.
    pub fn is_over(&self) -> bool {
        self.frames.is_empty()
    }
}

/// The role of a value, given the kind that a name around it tells, if any.
fn below(kind: Option<Kind>, own: Role) -> Role {
    let Some(kind) = kind else {
        return own;
    };
    match own {
        Role::Open => Role::LooksLike(kind),
        Role::Somebody | Role::InUser | Role::OfUser(_) | Role::Login => Role::SomebodyBelow(kind),
        Role::Personal(own) if own != kind => Role::Below(kind, own),
        Role::Place | Role::Town => Role::Below(kind, Kind::Location),
        own => own,
    }
}

/// The role of a value whose name says this.
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
        Field::OfUser(kind) => Role::OfUser(kind),
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
