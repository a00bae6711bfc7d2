//! Evaluates the expressions of a template.
//!
//! Stricter than the Resource Manager: names are case-sensitive, no value is converted to another
//! type, and a function that is not listed here is an error. [`Surroundings`] answers what depends
//! on a place or on what is deployed.

use std::iter::Peekable;
use std::vec::IntoIter;

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

pub type Result<T, E = String> = std::result::Result<T, E>;

/// What an expression can ask about its surroundings.
pub trait Surroundings {
    /// The value of a call that depends on more than its arguments.
    fn call(&self, name: &str, arguments: &[Value]) -> Result<Value>;
}

/// Parameters, variables and surroundings of an expression.
pub struct Scope<'a> {
    pub parameters: &'a Map<String, Value>,
    /// As written in the template, not evaluated.
    pub variables: &'a Map<String, Value>,
    /// The index of the copy, within a copy loop.
    pub index: Option<usize>,
    pub surroundings: &'a dyn Surroundings,
}

impl Scope<'_> {
    /// A value with every expression in it evaluated.
    pub fn value(&self, value: &Value) -> Result<Value> {
        match value {
            Value::String(text) => self.text(text).map_err(|error| format!("{text}: {error}")),
            Value::Array(values) => values.iter().map(|it| self.value(it)).collect(),
            Value::Object(fields) => {
                let fields = fields.iter();
                let fields = fields.map(|(name, it)| Ok((name.clone(), self.value(it)?)));
                Ok(Value::Object(fields.collect::<Result<_>>()?))
            }
            other => Ok(other.clone()),
        }
    }

    fn text(&self, text: &str) -> Result<Value> {
        match text.strip_prefix('[').and_then(|it| it.strip_suffix(']')) {
            None => Ok(text.into()),
            Some(literal) if literal.starts_with('[') => Ok(text[1..].into()),
            Some(expression) => self.worked_out(&parsed(expression)?),
        }
    }

    fn worked_out(&self, expression: &Expression) -> Result<Value> {
        match expression {
            Expression::Literal(value) => Ok(value.clone()),
            Expression::Member(of, name) => {
                let name = self.worked_out(name)?;
                let of = self.worked_out(of)?;
                let member = match &name {
                    Value::String(name) => of.get(name),
                    Value::Number(index) => index
                        .as_u64()
                        .and_then(|it| of.get(usize::try_from(it).ok()?)),
                    _ => None,
                };
                member.cloned().ok_or_else(|| format!("{of} has no {name}"))
            }
            // Only the branch that is taken is evaluated.
            Expression::Call(name, arguments) if name == "if" => match &arguments[..] {
                [condition, yes, no] => match self.worked_out(condition)? {
                    Value::Bool(true) => self.worked_out(yes),
                    Value::Bool(false) => self.worked_out(no),
                    other => Err(format!("{other} is no condition")),
                },
                _ => Err("if takes three arguments".into()),
            },
            Expression::Call(name, arguments) => {
                let arguments = arguments.iter().map(|it| self.worked_out(it));
                self.call(name, &arguments.collect::<Result<Vec<_>>>()?)
            }
        }
    }

    fn call(&self, name: &str, arguments: &[Value]) -> Result<Value> {
        match (name, arguments) {
            ("parameters", [Value::String(name)]) => {
                let value = self.parameters.get(name).cloned();
                value.ok_or_else(|| format!("no parameter {name}"))
            }
            ("variables", [Value::String(name)]) => {
                let value = self.variables.get(name);
                self.value(value.ok_or_else(|| format!("no variable {name}"))?)
            }
            ("copyIndex", []) => self.index.map(Value::from).ok_or("no copy".into()),
            _ => match function(name, arguments) {
                Some(value) => Ok(value),
                None => self.surroundings.call(name, arguments),
            },
        }
    }
}

/// A function that depends only on its arguments.
fn function(name: &str, arguments: &[Value]) -> Option<Value> {
    Some(match (name, arguments) {
        ("and", values) => bools_of(values)?.iter().all(|it| *it).into(),
        ("concat", texts) => texts_of(texts)?.concat().into(),
        ("contains", [Value::Array(list), element]) => list.contains(element).into(),
        ("contains", [Value::String(text), Value::String(part)]) => text.contains(&**part).into(),
        ("createArray", values) => json!(values),
        ("createObject", values) => {
            let mut fields = Map::new();
            for pair in values.chunks(2) {
                let [Value::String(name), value] = pair else {
                    return None;
                };
                fields.insert(name.clone(), value.clone());
            }
            fields.into()
        }
        ("empty", [Value::String(text)]) => text.is_empty().into(),
        ("first", [Value::Array(list)]) => list.first()?.clone(),
        ("guid", texts) => {
            let hash = hash(texts, "0123456789abcdef", 32)?;
            let parts = [(0, 8), (8, 12), (12, 16), (16, 20), (20, 32)];
            parts.map(|(from, to)| &hash[from..to]).join("-").into()
        }
        ("join", [Value::Array(list), Value::String(by)]) => texts_of(list)?.join(by).into(),
        ("json", [Value::String(text)]) => serde_json::from_str(text).ok()?,
        ("last", [Value::Array(list)]) => list.last()?.clone(),
        ("length", [Value::Array(list)]) => list.len().into(),
        ("not", [Value::Bool(value)]) => (!value).into(),
        ("or", values) => bools_of(values)?.contains(&true).into(),
        ("replace", [Value::String(text), Value::String(from), Value::String(to)]) => {
            text.replace(&**from, to).into()
        }
        ("split", [Value::String(text), Value::String(by)]) => {
            json!(text.split(&**by).collect::<Vec<_>>())
        }
        ("startsWith", [Value::String(text), Value::String(start)]) => text
            .to_lowercase()
            .starts_with(&start.to_lowercase())
            .into(),
        ("string", [Value::Object(fields)]) => json!(fields).to_string().into(),
        ("toLower", [Value::String(text)]) => text.to_lowercase().into(),
        ("uniqueString", texts) => hash(texts, "abcdefghijklmnopqrstuvwxyz234567", 13)?.into(),
        // Merges one level: nothing here has more.
        ("union", [Value::Object(first), others @ ..]) => {
            let mut fields = first.clone();
            for other in others {
                let other = other.as_object()?;
                fields.extend(other.iter().map(|(name, it)| (name.clone(), it.clone())));
            }
            fields.into()
        }
        _ => return None,
    })
}

fn bools_of(values: &[Value]) -> Option<Vec<bool>> {
    values.iter().map(Value::as_bool).collect()
}

fn texts_of(values: &[Value]) -> Option<Vec<&str>> {
    values.iter().map(Value::as_str).collect()
}

/// Not the hash of the Resource Manager, but one that also differs for each text.
fn hash(texts: &[Value], alphabet: &str, length: usize) -> Option<String> {
    let hash = Sha256::digest(texts_of(texts)?.join("\n"));
    let letters = hash.iter().map(|it| usize::from(*it) % alphabet.len());
    let letters = letters.map(|it| &alphabet[it..=it]);
    Some(letters.take(length).collect())
}

enum Expression {
    Literal(Value),
    Call(String, Vec<Expression>),
    Member(Box<Expression>, Box<Expression>),
}

#[derive(Debug, PartialEq)]
enum Token {
    Text(String),
    Word(String),
    Sign(char),
}

fn tokens(text: &str) -> Result<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        tokens.push(match letter {
            ' ' => continue,
            '\'' => {
                let mut literal = String::new();
                loop {
                    match letters.next().ok_or("a text without an end")? {
                        // Two quotes in a row are one quote within a text.
                        '\'' if letters.next_if_eq(&'\'').is_none() => break,
                        letter => literal.push(letter),
                    }
                }
                Token::Text(literal)
            }
            '(' | ')' | '[' | ']' | ',' | '.' => Token::Sign(letter),
            letter if letter.is_ascii_alphanumeric() => {
                let mut word = String::from(letter);
                while let Some(letter) = letters.next_if(char::is_ascii_alphanumeric) {
                    word.push(letter);
                }
                Token::Word(word)
            }
            other => return Err(format!("{other} is no part of an expression")),
        });
    }
    Ok(tokens)
}

fn parsed(text: &str) -> Result<Expression> {
    let mut tokens = tokens(text)?.into_iter().peekable();
    let expression = expression(&mut tokens)?;
    match tokens.next() {
        None => Ok(expression),
        Some(token) => Err(format!("{token:?} after the end")),
    }
}

type Tokens = Peekable<IntoIter<Token>>;

fn expression(tokens: &mut Tokens) -> Result<Expression> {
    let mut expression = match tokens.next() {
        Some(Token::Text(text)) => Expression::Literal(text.into()),
        Some(Token::Word(word)) => match word.parse::<u64>() {
            Ok(number) => Expression::Literal(number.into()),
            Err(_) => Expression::Call(word, arguments(tokens)?),
        },
        other => return Err(format!("{other:?} begins no expression")),
    };
    loop {
        let name = if tokens.next_if_eq(&Token::Sign('.')).is_some() {
            match tokens.next() {
                Some(Token::Word(name)) => Expression::Literal(name.into()),
                other => return Err(format!("{other:?} is no name")),
            }
        } else if tokens.next_if_eq(&Token::Sign('[')).is_some() {
            let name = self::expression(tokens)?;
            expect(tokens, ']')?;
            name
        } else {
            return Ok(expression);
        };
        expression = Expression::Member(expression.into(), name.into());
    }
}

fn arguments(tokens: &mut Tokens) -> Result<Vec<Expression>> {
    expect(tokens, '(')?;
    let mut arguments = Vec::new();
    while tokens.peek() != Some(&Token::Sign(')')) {
        if !arguments.is_empty() {
            expect(tokens, ',')?;
        }
        arguments.push(expression(tokens)?);
    }
    expect(tokens, ')')?;
    Ok(arguments)
}

fn expect(tokens: &mut Tokens, sign: char) -> Result<()> {
    match tokens.next() {
        Some(token) if token == Token::Sign(sign) => Ok(()),
        other => Err(format!("{other:?} stands where {sign} should be")),
    }
}

/// Surroundings in which nothing is known.
struct Nowhere;

impl Surroundings for Nowhere {
    fn call(&self, name: &str, _: &[Value]) -> Result<Value> {
        Err(format!("nobody knows {name}"))
    }
}

#[test]
fn expressions_are_worked_out_and_what_is_unknown_is_an_error() {
    let parameters = json!({"A": "Xy", "list": [{"n": 1}, {"n": 2}], "no": false});
    let variables = json!({"b": "[toLower(parameters('A'))]"});
    let scope = Scope {
        parameters: parameters.as_object().unwrap(),
        variables: variables.as_object().unwrap(),
        index: Some(1),
        surroundings: &Nowhere,
    };
    for (text, expected) in [
        ("plain", json!("plain")),
        ("[[literal]", json!("[literal]")),
        ("[concat('it''s ', variables('b'))]", json!("it's xy")),
        ("[parameters('list')[copyIndex()].n]", json!(2)),
        ("[split('a/b', '/')[0]]", json!("a")),
        (
            "[if(parameters('no'), unknown(), not(empty('a')))]",
            json!(true),
        ),
        ("[contains(split('a,b', ','), 'a')]", json!(true)),
        ("[contains(split('ab', ','), 'a')]", json!(false)),
        ("[first(split('a,b', ','))]", json!("a")),
        ("[join(split('a,b', ','), '\n')]", json!("a\nb")),
        ("[length(parameters('list'))]", json!(2)),
        ("[last(split('a/b', '/'))]", json!("b")),
        ("[contains('abc', 'bc')]", json!(true)),
        ("[replace('a, b', ' ', '')]", json!("a,b")),
        ("[startsWith('S3://a', 's3:')]", json!(true)),
        (
            "[and(or(parameters('no'), not(parameters('no'))), parameters('no'))]",
            json!(false),
        ),
        (
            "[union(createObject('a', 1, 'b', 2), createObject('b', 3))]",
            json!({"a": 1, "b": 3}),
        ),
        ("[string(createObject('a', 1))]", json!("{\"a\":1}")),
    ] {
        assert_eq!(scope.value(&json!(text)), Ok(expected), "{text}");
    }
    for text in [
        "[unknown()]",
        "[parameters('a')]",
        "[variables('A')]",
        "[parameters('list')[2]]",
        "[parameters('list')[0].m]",
        "[concat('a', 1)]",
        "[if('true', 1, 2)]",
        "[not('a')]",
        "[or('a', true())]",
        "[createObject('a')]",
        "[union(createObject('a', 1), 'b')]",
        "[concat('a' 'b')]",
        "[concat('a'))]",
        "[concat('a]",
        "[]",
    ] {
        scope.value(&json!(text)).unwrap_err();
    }
    let name = |text: &str| scope.value(&json!(text)).unwrap();
    let guid = name("[guid('a', 'b')]");
    assert_eq!(guid.as_str().unwrap().len(), 36);
    assert_eq!(guid, name("[guid('a', 'b')]"));
    assert_ne!(guid, name("[guid('a', 'c')]"));
    assert_ne!(name("[uniqueString('a')]"), name("[uniqueString('b')]"));
}
