//! A record as a list of tokens, each with what its place in the record tells. Both passes use it.

use std::collections::HashMap;

use super::fields::{self, Field};
use super::walk::{Labels, Left, Role, Walk};
use crate::json::{self, Scanner, Token};

/// How many bytes of JSON a piece is assumed to take when memory is reserved.
pub(super) const BYTES_OF_ONE: usize = 9;

/// A token and its place.
#[derive(Clone)]
pub(super) struct Piece<'a> {
    token: Token<'a>,
    /// The string that replaces the token's, without secrets or personal data.
    text: Option<Box<str>>,
    /// Whether the piece is left out.
    pub is_gone: bool,
    pub is_in_list: bool,
    /// Whether it may be the path of the call.
    pub is_of_call: bool,
    /// What the value is by its place.
    pub role: Role,
    /// What the name of the value says.
    pub field: Field,
    /// The number of the object or list that the value belongs to.
    pub object: u32,
    /// What the first pass found out about it.
    pub reading: Reading,
}

/// What the first pass found out about a value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Reading {
    /// Not recorded, as for values in JSON inside a string.
    None,
    /// Not personal by itself.
    Open,
    /// Personal: the noted value with this number.
    Personal(u32),
    /// In the place of a personal value, but it says nothing about a person.
    SaysNothing,
    /// A string with JSON in it.
    HasJson,
}

impl<'a> Piece<'a> {
    /// The piece for the next token of a walk.
    pub fn of(token: Token<'a>, walk: &Walk) -> Self {
        let mut piece = Self {
            token,
            text: None,
            is_gone: false,
            is_in_list: false,
            is_of_call: false,
            role: Role::Open,
            field: Field::Open,
            object: 0,
            reading: Reading::None,
        };
        piece.place(walk);
        piece
    }

    /// Sets what the place in the record tells.
    fn place(&mut self, walk: &Walk) {
        self.object = walk.object();
        if !matches!(
            self.token,
            Token::Key(_) | Token::EndObject | Token::EndArray
        ) {
            self.is_in_list = walk.is_in_list();
            self.is_of_call = walk.is_of_call();
            self.role = match (walk.role(), self.token) {
                (Role::Place | Role::Town, Token::Number(_)) if self.is_in_list => Role::Coordinate,
                (Role::Place | Role::Town, Token::Number(raw) | Token::Text(raw))
                    if are_coordinates(raw) =>
                {
                    Role::Coordinate
                }
                (role, _) => role,
            };
            self.field = walk.field();
        }
    }

    pub fn token(&self) -> Token<'_> {
        match (&self.text, self.token) {
            (None, token) => token,
            (Some(text), Token::Key(_)) => Token::Key(text),
            (Some(text), _) => Token::Text(text),
        }
    }

    /// The string that replaces the token's, if there is one.
    pub fn replacement(&self) -> Option<&str> {
        self.text.as_deref()
    }

    /// Replaces the token's string.
    pub fn replace(&mut self, text: &str) {
        self.text = Some(json::escape(text).into());
    }

    /// Whether an object or a list begins.
    pub fn begins(&self) -> bool {
        matches!(self.token, Token::BeginObject | Token::BeginArray)
    }
}

/// Whether a value is one coordinate or a pair. What has no fraction may be a postal code.
fn are_coordinates(raw: &str) -> bool {
    let is_one = |it: &str| {
        it.contains(['.', 'e', 'E']) && it.parse::<f64>().is_ok_and(|it| it.abs() <= 180.0)
    };
    let mut parts = raw.split([',', ' ', ';']).filter(|it| !it.is_empty());
    parts.next().is_some_and(is_one) && parts.next().is_none_or(is_one) && parts.next().is_none()
}

/// The pieces of one value, up to its end or to where it was cut. `objects` counts objects and lists,
/// and `leave` is called for each one that ends. `length` is that of the JSON.
pub(super) fn pieces<'a>(
    tokens: impl Iterator<Item = (Token<'a>, Option<String>)>,
    length: usize,
    mut walk: Walk,
    objects: &mut u32,
    mut leave: impl FnMut(Left),
) -> Vec<Piece<'a>> {
    let first = *objects;
    let mut pieces = Vec::with_capacity(length / BYTES_OF_ONE + 1);
    for (token, text) in tokens {
        let mut piece = Piece::of(token, &walk);
        piece.text = text.map(Into::into);
        step(&mut walk, token, objects, &mut leave);
        pieces.push(piece);
        if walk.is_over() && !matches!(token, Token::Key(_)) {
            break;
        }
    }
    while !walk.is_over() {
        walk.end().map(&mut leave);
    }
    if walk.has_values() {
        let labels = labels(&pieces, first);
        if !labels.is_empty() {
            let mut walk = walk.again(labels);
            let mut objects = first;
            for piece in &mut pieces {
                piece.place(&walk);
                step(&mut walk, piece.token, &mut objects, &mut leave);
            }
            while !walk.is_over() {
                walk.end().map(&mut leave);
            }
        }
    }
    pieces
}

/// Moves a walk past a token.
fn step(walk: &mut Walk, token: Token, objects: &mut u32, leave: impl FnMut(Left)) {
    match token {
        Token::Key(key) => {
            walk.key(key);
        }
        Token::EndObject | Token::EndArray => {
            walk.end().map(leave);
        }
        Token::BeginObject | Token::BeginArray => {
            walk.begin(token == Token::BeginArray, *objects);
            *objects += 1;
        }
        _ => {}
    }
}

/// What is known about values by names in members beside them, as in `{"path": "userName", "value":
/// "ada"}`. In each object the first name of the highest rank counts. `number` is the number of the
/// first object.
fn labels(pieces: &[Piece], mut number: u32) -> Labels {
    let mut labels: HashMap<u32, (u8, Field)> = HashMap::new();
    let mut objects = Vec::with_capacity(8);
    for piece in pieces {
        match piece.token {
            Token::BeginObject | Token::BeginArray => {
                objects.push(number);
                number += 1;
            }
            Token::EndObject | Token::EndArray => {
                objects.pop();
            }
            Token::Text(raw) if !piece.is_in_list && piece.field.may_be_a_label() => {
                let field = fields::name(raw).field;
                if let Some(object) = objects.last()
                    && field.says_what_a_value_is()
                {
                    let new = (field.rank_as_label(piece.field), field);
                    let label = labels.entry(*object).or_insert(new);
                    if new.0 > label.0 {
                        *label = new;
                    }
                }
            }
            _ => {}
        }
    }
    let labels = labels.into_iter();
    labels.map(|(object, (_, field))| (object, field)).collect()
}

/// The tokens of JSON in which secrets are masked already.
pub(super) fn tokens(json: &str) -> impl Iterator<Item = (Token<'_>, Option<String>)> {
    Scanner::new(json).map(|token| (token, None))
}

/// The tokens of the pieces that are not left out.
pub(super) fn left<'p>(pieces: &'p [Piece]) -> impl Iterator<Item = Token<'p>> + Clone {
    let pieces = pieces.iter().filter(|it| !it.is_gone);
    pieces.map(Piece::token)
}

/// The JSON of the pieces that are not left out.
pub(super) fn written(pieces: &[Piece], length: usize) -> String {
    let mut out = String::with_capacity(length);
    for token in left(pieces) {
        json::write(&mut out, token);
    }
    out
}
