//! Byte sizes as people write them: `536870912`, `"512MiB"`, `"2 GB"`.

use std::fmt;
use std::str::FromStr;

use serde::de::{Error as _, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A number of bytes. In JSON either a whole number or a text with a unit.
///
/// Units are `B`, `KiB`, `MiB`, `GiB`, `TiB` (powers of 1024) and `KB`, `MB`, `GB`, `TB` (powers
/// of 1000), in any case and with or without a space before them. Printed exactly: in the largest
/// binary unit that divides it, else in bytes, so that printing and reading never lose a byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(u64);

/// A text that is no byte size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ByteSizeError {
    /// No whole number at the start.
    #[error("a byte size starts with a whole number, as in 536870912 or \"512MiB\"")]
    NoNumber,
    /// Something other than a known unit after the number.
    #[error("the unit of a byte size is one of B, KiB, MiB, GiB, TiB, KB, MB, GB, TB")]
    UnknownUnit,
    /// More than 2⁶⁴ − 1 bytes.
    #[error("a byte size must be below 16777216TiB")]
    TooLarge,
}

/// Units, largest binary ones first: the order in which [`ByteSize`] tries them for printing.
const UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("B", 1),
];

/// How many entries of [`UNITS`] are powers of 1024.
const BINARY_UNITS: usize = 4;

impl ByteSize {
    /// So many bytes.
    pub const fn bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// So many mebibytes (1024² bytes); the largest size if that is more than fits.
    pub const fn mebibytes(mebibytes: u64) -> Self {
        Self(mebibytes.saturating_mul(1 << 20))
    }

    /// So many gibibytes (1024³ bytes); the largest size if that is more than fits.
    pub const fn gibibytes(gibibytes: u64) -> Self {
        Self(gibibytes.saturating_mul(1 << 30))
    }

    /// The size in bytes.
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, factor) in UNITS.iter().take(BINARY_UNITS) {
            if self.0 != 0 && self.0.is_multiple_of(*factor) {
                return write!(f, "{}{name}", self.0 / factor);
            }
        }
        write!(f, "{}B", self.0)
    }
}

impl FromStr for ByteSize {
    type Err = ByteSizeError;

    fn from_str(text: &str) -> Result<Self, ByteSizeError> {
        let text = text.trim();
        let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (digits, unit) = text.split_at(end);
        if digits.is_empty() {
            return Err(ByteSizeError::NoNumber);
        }
        let number: u64 = digits.parse().map_err(|_| ByteSizeError::TooLarge)?;
        let unit = unit.trim_start();
        let factor = if unit.is_empty() {
            1
        } else {
            UNITS
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case(unit))
                .map(|(_, factor)| *factor)
                .ok_or(ByteSizeError::UnknownUnit)?
        };
        number.checked_mul(factor).map(Self).ok_or(ByteSizeError::TooLarge)
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Size;

        impl Visitor<'_> for Size {
            type Value = ByteSize;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a byte size, such as 536870912 or \"512MiB\"")
            }

            fn visit_u64<E: serde::de::Error>(self, bytes: u64) -> Result<ByteSize, E> {
                Ok(ByteSize(bytes))
            }

            fn visit_i64<E: serde::de::Error>(self, bytes: i64) -> Result<ByteSize, E> {
                u64::try_from(bytes)
                    .map(ByteSize)
                    .map_err(|_| E::invalid_value(Unexpected::Signed(bytes), &self))
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<ByteSize, E> {
                text.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_any(Size).map_err(D::Error::custom)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for ByteSize {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ByteSize".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": ["integer", "string"],
            "format": "byte-size",
            "minimum": 0,
            "pattern": r"^\s*[0-9]+\s*([KkMmGgTt]?[Bb]|[KkMmGgTt][Ii][Bb])?\s*$",
            "x-expected": "a byte size, such as 536870912 or \"512MiB\"",
            "x-unit": "bytes",
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_numbers_and_units() {
        for (text, bytes) in [
            ("0", 0),
            ("512", 512),
            ("512MiB", 512 << 20),
            (" 2 gib ", 2 << 30),
            ("3KB", 3000),
            ("1TB", 1_000_000_000_000),
            ("7b", 7),
        ] {
            assert_eq!(text.parse::<ByteSize>().unwrap().as_u64(), bytes, "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_size() {
        assert_eq!("".parse::<ByteSize>(), Err(ByteSizeError::NoNumber));
        assert_eq!("-1".parse::<ByteSize>(), Err(ByteSizeError::NoNumber));
        assert_eq!("MiB".parse::<ByteSize>(), Err(ByteSizeError::NoNumber));
        assert_eq!("1.5GiB".parse::<ByteSize>(), Err(ByteSizeError::UnknownUnit));
        assert_eq!("5 parsecs".parse::<ByteSize>(), Err(ByteSizeError::UnknownUnit));
        assert_eq!("99999999999999999999".parse::<ByteSize>(), Err(ByteSizeError::TooLarge));
        assert_eq!("16777216TiB".parse::<ByteSize>(), Err(ByteSizeError::TooLarge));
    }

    #[test]
    fn json_is_a_number_or_a_text() {
        assert_eq!(serde_json::from_str::<ByteSize>("1024").unwrap(), ByteSize::bytes(1024));
        assert_eq!(serde_json::from_str::<ByteSize>("\"1KiB\"").unwrap(), ByteSize::bytes(1024));
        assert!(serde_json::from_str::<ByteSize>("-1").is_err());
        assert!(serde_json::from_str::<ByteSize>("1.5").is_err());
        assert_eq!(serde_json::to_string(&ByteSize::mebibytes(3)).unwrap(), "\"3MiB\"");
    }

    proptest! {
        #[test]
        fn printing_loses_nothing(bytes: u64) {
            let size = ByteSize::bytes(bytes);
            prop_assert_eq!(size.to_string().parse::<ByteSize>().unwrap(), size);
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".{0,40}") {
            let _ = text.parse::<ByteSize>();
        }
    }
}
