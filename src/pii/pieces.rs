//! A record token by token, with what is known of each by its place. Both readings go by it.

use std::collections::HashMap;

use super::fields::{self, Field};
use super::walk::{Labels, Left, Role, Walk};
use crate::json::{self, Scanner, Token};

/// Bytes of a record for each of its pieces, or fewer.
pub(super) const BYTES_OF_ONE: usize = 9;

/// A token and its place.
#[derive(Clone)]
pub(super) struct Piece<'a> {
    token: Token<'a>,
    /// The text in place of the token's, without a secret or a person in it.
    text: Option<Box<str>>,
    /// Whether it is left out.
    pub is_gone: bool,
    pub is_in_list: bool,
    /// Whether it may tell what was called.
    pub is_of_call: bool,
    /// What a value is.
    pub role: Role,
    /// The name under which it stands.
    pub field: Field,
    /// The number of the object or list that it is in.
    pub object: u32,
    /// What the first reading made of it.
    pub reading: Reading,
}

/// What the first reading has made of a value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Reading {
    /// It is not kept, as of what stands in JSON within a text.
    None,
    /// Nothing that counts by itself.
    Open,
    /// The value of this number.
    Personal(u32),
    /// In the place of something personal, and nobody's.
    SaysNothing,
    /// A text with JSON in it.
    HasJson,
}

impl<'a> Piece<'a> {
    /// The next token of a walk.
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

    /// Says what is known of it by its place.
    fn place(&mut self, walk: &Walk) {
        self.object = walk.object();
        if !matches!(
            self.token,
            Token::Key(_) | Token::EndObject | Token::EndArray
        ) {
            self.is_in_list = walk.is_in_list();
            self.is_of_call = walk.is_of_call();
            self.role = walk.role();
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

    /// The text in place of the token's, if there is one.
    pub fn replacement(&self) -> Option<&str> {
        self.text.as_deref()
    }

    /// Puts a text in place of the token's.
    pub fn replace(&mut self, text: &str) {
        self.text = Some(json::escape(text).into());
    }

    /// Whether an object or a list begins.
    pub fn begins(&self) -> bool {
        matches!(self.token, Token::BeginObject | Token::BeginArray)
    }
}

/// The pieces of one value, from its beginning to its end or to where it was cut. `objects` counts
/// objects and lists, and `leave` is told of each that ends. `length` is that of the JSON.
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

/// Takes a walk over a token.
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

/// What names of fields say that stand beside values: `{"path": "userName", "value": "ada"}`. Of
/// several in one object the first of the highest rank counts. `number` is that of the first object.
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

/// What is left of the pieces.
pub(super) fn left<'p>(pieces: &'p [Piece]) -> impl Iterator<Item = Token<'p>> + Clone {
    let pieces = pieces.iter().filter(|it| !it.is_gone);
    pieces.map(Piece::token)
}

/// The same as JSON.
pub(super) fn written(pieces: &[Piece], length: usize) -> String {
    let mut out = String::with_capacity(length);
    for token in left(pieces) {
        json::write(&mut out, token);
    }
    out
}
