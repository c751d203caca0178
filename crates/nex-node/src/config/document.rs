//! JSON with the place of every value: what errors and warnings need to point at a line.

use std::fmt;

use jsonc_parser::common::Ranged;
use jsonc_parser::{CollectOptions, ParseOptions, ast, parse_to_ast};
use serde_json::{Number, Value};

use super::problem::SyntaxError;

/// How deeply values may be nested. The configuration needs four levels; the rest is mistakes.
pub(super) const MAX_DEPTH: usize = 32;

/// A place in a text, both counted from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// A JSON value and where it starts, if it was read from a text.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub(super) at: Option<Position>,
    pub(super) value: NodeValue,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum NodeValue {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    Object(Vec<Member>),
}

/// One key of an object with its value. Keys can be there twice; the reader decides.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Member {
    pub(super) key: String,
    pub(super) at: Option<Position>,
    pub(super) value: Node,
}

impl Node {
    /// Reads JSON, with comments and trailing commas if it has any.
    pub(super) fn parse(text: &str) -> Result<Self, SyntaxError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let options = ParseOptions {
            allow_comments: true,
            allow_trailing_commas: true,
            allow_loose_object_property_names: false,
            allow_missing_commas: false,
            allow_single_quoted_strings: false,
            allow_hexadecimal_numbers: false,
            allow_unary_plus_numbers: false,
            allow_bare_decimal_point_numbers: false,
            allow_non_finite_numbers: false,
            allow_extended_string_escapes: false,
        };
        let parsed = parse_to_ast(text, &CollectOptions::default(), &options).map_err(|error| {
            SyntaxError {
                position: Position { line: error.line_display(), column: error.column_display() },
                what: error.kind().to_string(),
            }
        })?;
        let lines = Lines::of(text);
        match parsed.value {
            Some(value) => Self::from_ast(value, &lines, 0),
            None => Err(SyntaxError {
                position: Position { line: 1, column: 1 },
                what: "The file is empty, where {} would do".to_owned(),
            }),
        }
    }

    fn from_ast(
        value: ast::Value<'_>,
        lines: &Lines<'_>,
        depth: usize,
    ) -> Result<Self, SyntaxError> {
        let at = lines.position(value.start());
        if depth > MAX_DEPTH {
            return Err(SyntaxError {
                position: at,
                what: format!("Values are nested more than {MAX_DEPTH} deep"),
            });
        }
        let value = match value {
            ast::Value::NullKeyword(_) => NodeValue::Null,
            ast::Value::BooleanLit(literal) => NodeValue::Bool(literal.value),
            ast::Value::StringLit(literal) => NodeValue::Text(literal.value.into_owned()),
            ast::Value::NumberLit(literal) => match literal.value.parse() {
                Ok(number) => NodeValue::Number(number),
                Err(_) => {
                    return Err(SyntaxError {
                        position: at,
                        what: "This is no number that JSON can hold".to_owned(),
                    });
                }
            },
            ast::Value::Array(array) => NodeValue::List(
                array
                    .elements
                    .into_iter()
                    .map(|element| Self::from_ast(element, lines, depth + 1))
                    .collect::<Result<_, _>>()?,
            ),
            ast::Value::Object(object) => NodeValue::Object(
                object
                    .properties
                    .into_iter()
                    .map(|property| {
                        Ok(Member {
                            at: Some(lines.position(property.range.start)),
                            key: property.name.into_string(),
                            value: Self::from_ast(property.value, lines, depth + 1)?,
                        })
                    })
                    .collect::<Result<_, _>>()?,
            ),
        };
        Ok(Self { at: Some(at), value })
    }

    /// Takes a value that a program made; what is nested deeper than anything we read is `null`.
    pub(super) fn from_value(value: &Value) -> Self {
        Self::from_value_at(value, 0)
    }

    fn from_value_at(value: &Value, depth: usize) -> Self {
        let value = match value {
            _ if depth > MAX_DEPTH => NodeValue::Null,
            Value::Null => NodeValue::Null,
            Value::Bool(value) => NodeValue::Bool(*value),
            Value::Number(value) => NodeValue::Number(value.clone()),
            Value::String(value) => NodeValue::Text(value.clone()),
            Value::Array(values) => NodeValue::List(
                values.iter().map(|value| Self::from_value_at(value, depth + 1)).collect(),
            ),
            Value::Object(values) => NodeValue::Object(
                values
                    .iter()
                    .map(|(key, value)| Member {
                        key: key.clone(),
                        at: None,
                        value: Self::from_value_at(value, depth + 1),
                    })
                    .collect(),
            ),
        };
        Self { at: None, value }
    }

    /// The value in a few words for a message. Never a secret: who pastes a seed into the wrong
    /// key does not find it in a log.
    pub(super) fn describe(&self) -> String {
        match &self.value {
            NodeValue::Null => "null".to_owned(),
            NodeValue::Bool(value) => value.to_string(),
            NodeValue::Number(value) => value.to_string(),
            NodeValue::Text(text) => describe_text(text),
            NodeValue::List(_) => "a list".to_owned(),
            NodeValue::Object(_) => "an object".to_owned(),
        }
    }
}

/// How many characters of a text a message shows.
const SHOWN_CHARACTERS: usize = 60;

/// A text in quotes, shortened, without control characters, and never a seed.
pub(super) fn describe_text(text: &str) -> String {
    if looks_like_seed(text) {
        return "a secret seed (not shown)".to_owned();
    }
    let mut shown: String = text.chars().take(SHOWN_CHARACTERS).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    format!("{shown:?}")
}

/// Whether a text has the form of an nkey seed: `S`, a kind, and base32 of a key.
pub(super) fn looks_like_seed(text: &str) -> bool {
    let text = text.trim();
    text.len() >= 40
        && text.starts_with('S')
        && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
}

/// Finds lines and columns of byte offsets.
struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn of(text: &'a str) -> Self {
        let starts =
            std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { text, starts }
    }

    fn position(&self, offset: usize) -> Position {
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = self.starts.get(line.saturating_sub(1)).copied().unwrap_or(0);
        let column = self.text.get(start..offset).map_or(0, |before| before.chars().count());
        Position { line, column: column + 1 }
    }
}
