//! A record token by token, with what is known of each by its place. Both readings go by it.

use super::fields::Field;
use super::walk::{Left, Role, Walk};
use crate::json::{self, Scanner, Token, unescape_lossy};

/// A token and its place.
#[derive(Clone)]
pub(super) struct Piece<'a> {
    token: Token<'a>,
    /// The text in place of the token's, without a secret or a person in it.
    text: Option<String>,
    /// Whether it is left out.
    pub is_gone: bool,
    pub is_in_list: bool,
    /// What a value is.
    pub role: Role,
    /// The name under which it stands.
    pub field: Field,
}

impl Piece<'_> {
    pub fn token(&self) -> Token<'_> {
        match (&self.text, self.token) {
            (None, token) => token,
            (Some(text), Token::Key(_)) => Token::Key(text),
            (Some(text), _) => Token::Text(text),
        }
    }

    /// Puts a text in place of the token's.
    pub fn replace(&mut self, text: &str) {
        self.text = Some(json::escape(text));
    }

    /// Whether an object or a list begins.
    pub fn begins(&self) -> bool {
        matches!(self.token, Token::BeginObject | Token::BeginArray)
    }
}

/// The pieces of one value, from its beginning to its end or to where it was cut. `objects` counts
/// objects and lists, and `leave` is told of each that ends.
pub(super) fn pieces<'a>(
    tokens: impl Iterator<Item = (Token<'a>, Option<String>)>,
    mut walk: Walk,
    objects: &mut usize,
    mut leave: impl FnMut(Left),
) -> Vec<Piece<'a>> {
    let mut pieces = Vec::with_capacity(64);
    for (token, text) in tokens {
        let mut piece = Piece {
            token,
            text,
            is_gone: false,
            is_in_list: false,
            role: Role::Open,
            field: Field::Open,
        };
        match token {
            Token::Key(key) => walk.key(&unescape_lossy(key)),
            Token::EndObject | Token::EndArray => {
                walk.end().map(&mut leave);
            }
            _ => {
                (piece.role, piece.field) = (walk.role(), walk.field());
                piece.is_in_list = walk.is_in_list();
            }
        }
        if piece.begins() {
            walk.begin(token == Token::BeginArray, *objects);
            *objects += 1;
        }
        pieces.push(piece);
        if walk.is_over() && !matches!(token, Token::Key(_)) {
            break;
        }
    }
    while !walk.is_over() {
        walk.end().map(&mut leave);
    }
    pieces
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
