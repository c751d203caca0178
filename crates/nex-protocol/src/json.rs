//! Reading JSON as Go's `encoding/json` does.
//!
//! Go peers match the names of fields without regard to case, take the last of several fields of
//! the same name, take `null` for "not given" and skip fields they do not know. Everything that
//! this crate reads off a wire goes through this module, so that the rules stand in one place,
//! together with ours: sizes are checked before anything is parsed, an array is never taken for
//! an object, and nesting deeper than [serde_json's limit](serde_json) of 128 is an error even in
//! parts that are skipped.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

/// Why a field of a JSON message, or the message as a whole, could not be taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FieldError {
    /// The message is larger than this protocol allows; it was not parsed.
    #[error("the message has {bytes} bytes; send at most {limit}")]
    TooLarge {
        /// Size of the message in bytes.
        bytes: usize,
        /// Largest size in bytes.
        limit: usize,
    },
    /// The message is no JSON object.
    #[error("the message is not a JSON object; send one")]
    NotAnObject(#[source] serde_json::Error),
    /// A field holds a value of the wrong kind.
    #[error("`{field}` holds a value that cannot be read; give it the type the protocol names")]
    WrongType {
        /// Name of the field on the wire.
        field: &'static str,
        /// What the parser says.
        #[source]
        source: serde_json::Error,
    },
    /// A required field is absent or `null`.
    #[error("`{field}` is missing; it is required")]
    Missing {
        /// Name of the field on the wire.
        field: &'static str,
    },
    /// A required text is empty.
    #[error("`{field}` is empty; it needs a value")]
    Empty {
        /// Name of the field on the wire.
        field: &'static str,
    },
    /// A text, or all texts of a list together, are too long.
    #[error("`{field}` has {bytes} bytes; at most {limit} are allowed")]
    TooLong {
        /// Name of the field on the wire.
        field: &'static str,
        /// Size in bytes. For a list: at least this many.
        bytes: usize,
        /// Largest size in bytes.
        limit: usize,
    },
    /// A list has too many entries.
    #[error("`{field}` has more than {limit} entries; send fewer")]
    TooMany {
        /// Name of the field on the wire.
        field: &'static str,
        /// Largest number of entries.
        limit: usize,
    },
}

impl FieldError {
    /// The name, on the wire, of the field at fault; `None` when the whole message is.
    #[must_use]
    pub const fn field(&self) -> Option<&'static str> {
        match self {
            Self::TooLarge { .. } | Self::NotAnObject(_) => None,
            Self::WrongType { field, .. }
            | Self::Missing { field }
            | Self::Empty { field }
            | Self::TooLong { field, .. }
            | Self::TooMany { field, .. } => Some(field),
        }
    }
}

/// A JSON object read field by field, with Go's rules for names.
pub(crate) trait Object: Default {
    /// The fields of this object, by their names on the wire.
    const FIELDS: &'static [&'static str];

    /// Reads the value of `field`, which is one of [`Self::FIELDS`].
    fn read_field<'de, A: MapAccess<'de>>(
        &mut self,
        field: &'static str,
        map: &mut A,
    ) -> Result<(), A::Error>;
}

/// Reads one object from the whole of `bytes`; `null` gives the object with nothing set.
pub(crate) fn read<T: Object>(bytes: &[u8], limit: usize) -> Result<T, FieldError> {
    if bytes.len() > limit {
        return Err(FieldError::TooLarge { bytes: bytes.len(), limit });
    }
    let current = Cell::new(None);
    let text = text(bytes);
    let mut deserializer = serde_json::Deserializer::from_str(&text);
    let visitor = ObjectVisitor { current: Some(&current), object: PhantomData };
    let failed = |source: serde_json::Error| match current.get() {
        Some(field) if source.is_data() => FieldError::WrongType { field, source },
        _ => FieldError::NotAnObject(source),
    };
    let object = (&mut deserializer).deserialize_any(visitor).map_err(failed)?;
    current.set(None);
    deserializer.end().map_err(FieldError::NotAnObject)?;
    Ok(object)
}

/// The text of a message. Bytes that are no UTF-8 become U+FFFD, as in Go.
pub(crate) fn text(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

/// The body of `Deserialize::deserialize` for an [`Object`].
pub(crate) fn deserialize<'de, T: Object, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    deserializer.deserialize_any(ObjectVisitor { current: None, object: PhantomData })
}

/// The body of a visitor's `visit_map` for an [`Object`].
pub(crate) fn read_map<'de, T: Object, A: MapAccess<'de>>(map: A) -> Result<T, A::Error> {
    ObjectVisitor { current: None, object: PhantomData }.visit_map(map)
}

struct ObjectVisitor<'a, T> {
    /// Where to note the field that is being read, for errors.
    current: Option<&'a Cell<Option<&'static str>>>,
    object: PhantomData<T>,
}

impl<'de, T: Object> Visitor<'de> for ObjectVisitor<'_, T> {
    type Value = T;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_unit<E: de::Error>(self) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<T, A::Error> {
        let mut object = T::default();
        while let Some(field) = map.next_key_seed(FieldName(T::FIELDS))? {
            if let Some(current) = self.current {
                current.set(field);
            }
            match field {
                Some(field) => object.read_field(field, &mut map)?,
                None => {
                    map.next_value::<Skipped>()?;
                }
            }
            if let Some(current) = self.current {
                current.set(None);
            }
        }
        Ok(object)
    }
}

/// Finds a key among the known names, without allocating for keys nobody knows.
struct FieldName(&'static [&'static str]);

impl<'de> DeserializeSeed<'de> for FieldName {
    type Value = Option<&'static str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for FieldName {
    type Value = Option<&'static str>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the name of a field")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().copied().find(|known| known.eq_ignore_ascii_case(name)))
    }
}

/// Any value, read and dropped.
///
/// Unlike [`de::IgnoredAny`] it keeps to the parser's limit of depth, so that a message which
/// hides a tower of brackets in an unknown field is refused here and not by the next reader.
pub(crate) struct Skipped;

impl<'de> Deserialize<'de> for Skipped {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SkippedVisitor)
    }
}

struct SkippedVisitor;

impl<'de> Visitor<'de> for SkippedVisitor {
    type Value = Skipped;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any value")
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<Skipped, E> {
        Ok(Skipped)
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<Skipped, E> {
        Ok(Skipped)
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<Skipped, E> {
        Ok(Skipped)
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Skipped, E> {
        Ok(Skipped)
    }

    fn visit_str<E: de::Error>(self, _: &str) -> Result<Skipped, E> {
        Ok(Skipped)
    }

    fn visit_unit<E: de::Error>(self) -> Result<Skipped, E> {
        Ok(Skipped)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Skipped, A::Error> {
        while seq.next_element::<Skipped>()?.is_some() {}
        Ok(Skipped)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Skipped, A::Error> {
        while map.next_entry::<Skipped, Skipped>()?.is_some() {}
        Ok(Skipped)
    }
}

/// A list of texts that stops growing at its limits; `null` among the texts is an empty one.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Texts<const MAX_COUNT: usize, const MAX_BYTES: usize> {
    texts: Vec<String>,
    bytes: usize,
    too_many: bool,
}

impl<const MAX_COUNT: usize, const MAX_BYTES: usize> Texts<MAX_COUNT, MAX_BYTES> {
    /// The texts, or why there are too many of them.
    pub(crate) fn within_limits(self, field: &'static str) -> Result<Vec<String>, FieldError> {
        if self.too_many {
            return Err(FieldError::TooMany { field, limit: MAX_COUNT });
        }
        if self.bytes > MAX_BYTES {
            return Err(FieldError::TooLong { field, bytes: self.bytes, limit: MAX_BYTES });
        }
        Ok(self.texts)
    }
}

impl<'de, const C: usize, const B: usize> Deserialize<'de> for Texts<C, B> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextsVisitor<const C: usize, const B: usize>;

        impl<'de, const C: usize, const B: usize> Visitor<'de> for TextsVisitor<C, B> {
            type Value = Texts<C, B>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a list of texts")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut list = Texts::default();
                while list.texts.len() < C && list.bytes <= B {
                    let Some(text) = seq.next_element::<Option<String>>()? else {
                        return Ok(list);
                    };
                    let text = text.unwrap_or_default();
                    list.bytes = list.bytes.saturating_add(text.len());
                    list.texts.push(text);
                }
                while seq.next_element::<Skipped>()?.is_some() {
                    list.too_many = list.bytes <= B;
                }
                Ok(list)
            }
        }

        deserializer.deserialize_seq(TextsVisitor)
    }
}

/// A required value that is not there.
pub(crate) fn required<T>(value: Option<T>, field: &'static str) -> Result<T, FieldError> {
    value.ok_or(FieldError::Missing { field })
}

/// Checks that a text is neither empty nor longer than `limit` bytes.
pub(crate) fn filled(
    text: String,
    field: &'static str,
    limit: usize,
) -> Result<String, FieldError> {
    if text.is_empty() {
        return Err(FieldError::Empty { field });
    }
    within(text, field, limit)
}

/// Checks that a text is not longer than `limit` bytes.
pub(crate) fn within(
    text: String,
    field: &'static str,
    limit: usize,
) -> Result<String, FieldError> {
    if text.len() > limit {
        return Err(FieldError::TooLong { field, bytes: text.len(), limit });
    }
    Ok(text)
}

/// Writes a message of this crate.
///
/// The messages are plain structs with texts for keys, which serde_json always can write: the
/// empty result stands for a case that does not occur.
pub(crate) fn write<T: Serialize>(message: &T) -> Vec<u8> {
    let written = serde_json::to_vec(message);
    debug_assert!(written.is_ok(), "a message of this crate is always writable");
    written.unwrap_or_default()
}

/// Implements [`Object`] and `Deserialize` for a struct: `values` keep what they have when the
/// wire says `null`, `options` become `None`.
macro_rules! read_like_go {
    ($type:ty {
        values: [$($value:ident => $value_name:literal),* $(,)?],
        options: [$($option:ident => $option_name:literal),* $(,)?] $(,)?
    }) => {
        impl $crate::json::Object for $type {
            const FIELDS: &'static [&'static str] = &[$($value_name,)* $($option_name,)*];

            fn read_field<'de, A: serde::de::MapAccess<'de>>(
                &mut self,
                field: &'static str,
                map: &mut A,
            ) -> Result<(), A::Error> {
                match field {
                    $($value_name => {
                        if let Some(value) = map.next_value::<Option<_>>()? {
                            self.$value = value;
                        }
                    })*
                    $($option_name => self.$option = map.next_value()?,)*
                    _ => { map.next_value::<$crate::json::Skipped>()?; }
                }
                Ok(())
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::json::deserialize(deserializer)
            }
        }
    };
}
pub(crate) use read_like_go;

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default)]
    struct Pair {
        text: String,
        number: Option<u64>,
        list: Option<Texts<2, 8>>,
    }
    read_like_go!(Pair {
        values: [text => "text"],
        options: [number => "number", list => "list"],
    });

    fn pair(text: &str) -> Result<Pair, FieldError> {
        read(text.as_bytes(), 1 << 20)
    }

    #[test]
    fn names_match_without_case_and_the_last_wins() {
        let read =
            pair(r#"{"TEXT":"a","Text":"b","number":1,"NUMBER":null,"x":{"y":[1]}}"#).unwrap();
        assert_eq!((read.text.as_str(), read.number), ("b", None));
    }

    #[test]
    fn null_is_an_object_with_nothing_set_and_leaves_values_alone() {
        assert_eq!(pair("null").unwrap().text, "");
        assert_eq!(pair(r#"{"text":"a","text":null}"#).unwrap().text, "a");
    }

    #[test]
    fn errors_name_the_field() {
        assert_eq!(pair(r#"{"number":"1"}"#).unwrap_err().field(), Some("number"));
        assert_eq!(pair(r#"{"number":1.0}"#).unwrap_err().field(), Some("number"));
        for whole in ["[]", "\"x\"", "", "{", "{}x", "\u{feff}{}", r#"{"number":"#] {
            assert!(matches!(pair(whole).unwrap_err(), FieldError::NotAnObject(_)), "{whole}");
        }
    }

    #[test]
    fn a_tower_of_brackets_is_an_error_wherever_it_stands() {
        let tower = "[".repeat(100_000);
        for text in [tower.clone(), format!("{{\"x\":{tower}"), format!("{{\"text\":{tower}")] {
            assert!(pair(&text).is_err());
        }
    }

    #[test]
    fn lists_end_at_their_limits() {
        let list = |text: &str| pair(text).unwrap().list.unwrap().within_limits("list");
        assert_eq!(list(r#"{"list":["a",null]}"#).unwrap(), ["a", ""]);
        assert!(matches!(list(r#"{"list":["a","b","c"]}"#), Err(FieldError::TooMany { .. })));
        assert!(matches!(list(r#"{"list":["123456789"]}"#), Err(FieldError::TooLong { .. })));
    }

    #[test]
    fn size_is_checked_first() {
        assert!(matches!(
            read::<Pair>(b"{}  ", 3),
            Err(FieldError::TooLarge { bytes: 4, limit: 3 })
        ));
    }
}
