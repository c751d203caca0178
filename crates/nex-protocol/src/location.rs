//! Where an artifact is: an object of an object-store bucket.
//!
//! Go puts a `url.URL` on the wire as its fields rather than as a text; that form is written, and
//! both it and the plain text `nats://BUCKET/key` are read.

use std::fmt;
use std::str::FromStr;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::ser::SerializeStruct as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::json::{self, read_like_go};

/// Most characters in the name of a bucket.
pub const MAX_BUCKET_CHARACTERS: usize = 255;

/// Most bytes in the key of an object: its base64 still fits a NATS subject.
pub const MAX_KEY_BYTES: usize = 1024;

/// The one scheme of locations.
const SCHEME: &str = "nats";

/// An object of a NATS object store.
///
/// The bucket is `[A-Za-z0-9_-]+`; the key is any text without control characters, and without a
/// slash at either end. Prints as `nats://BUCKET/key`, percent-encoded where needed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ArtifactLocation {
    bucket: String,
    key: String,
}

/// Why there is no location.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LocationError {
    /// Another scheme than `nats`.
    #[error("artifacts are read from NATS object stores only: give nats://BUCKET/KEY")]
    Scheme,
    /// No bucket.
    #[error("the location names no bucket: give nats://BUCKET/KEY")]
    BucketMissing,
    /// A bucket name that is too long or has other characters than letters, digits, `-` and `_`.
    #[error(
        "the bucket's name is not one: use letters, digits, `-` and `_`, at most {MAX_BUCKET_CHARACTERS}"
    )]
    Bucket,
    /// No key.
    #[error("the location names no object in its bucket: give nats://BUCKET/KEY")]
    KeyMissing,
    /// A key that is too long.
    #[error("the object's key has more than {MAX_KEY_BYTES} bytes: upload it under a shorter one")]
    KeyTooLong,
    /// A control character in the key.
    #[error("the object's key contains a control character: upload it under another one")]
    KeyCharacter,
    /// A `%` without two hexadecimal digits, or bytes that are not UTF-8.
    #[error("the location's percent-encoding is broken: write a literal percent sign as %25")]
    Escape,
}

impl ArtifactLocation {
    /// The object `key` of `bucket`. Slashes at either end of the key are dropped, as Go does.
    ///
    /// # Errors
    /// What is wrong with either.
    pub fn new(bucket: &str, key: &str) -> Result<Self, LocationError> {
        if bucket.is_empty() {
            return Err(LocationError::BucketMissing);
        }
        let in_alphabet = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if bucket.len() > MAX_BUCKET_CHARACTERS || !bucket.chars().all(in_alphabet) {
            return Err(LocationError::Bucket);
        }
        let key = key.trim_matches('/');
        if key.is_empty() {
            return Err(LocationError::KeyMissing);
        }
        if key.len() > MAX_KEY_BYTES {
            return Err(LocationError::KeyTooLong);
        }
        if key.chars().any(char::is_control) {
            return Err(LocationError::KeyCharacter);
        }
        Ok(Self { bucket: bucket.to_owned(), key: key.to_owned() })
    }

    /// The bucket's name.
    #[must_use]
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// The object's key.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The location whose URL has these parts; a URL without scheme is taken for a NATS one.
    fn from_parts(scheme: &str, host: &str, path: &str) -> Result<Self, LocationError> {
        if !scheme.is_empty() && !scheme.eq_ignore_ascii_case(SCHEME) {
            return Err(LocationError::Scheme);
        }
        Self::new(host, path)
    }
}

impl FromStr for ArtifactLocation {
    type Err = LocationError;

    fn from_str(text: &str) -> Result<Self, LocationError> {
        // Anything longer is refused in the end: three characters for each byte of a key, and
        // room for the rest of a URL.
        if text.len() > 4 * MAX_KEY_BYTES {
            return Err(LocationError::KeyTooLong);
        }
        let text = text.split_once('#').map_or(text, |(before, _)| before);
        let text = text.split_once('?').map_or(text, |(before, _)| before);
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) => (scheme, rest),
            None => ("", text.strip_prefix("//").ok_or(LocationError::BucketMissing)?),
        };
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        Self::from_parts(scheme, host, &percent_decode(path)?)
    }
}

fn percent_decode(text: &str) -> Result<String, LocationError> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let mut digit = || {
            bytes
                .next()
                .and_then(|byte| char::from(byte).to_digit(16))
                .and_then(|d| u8::try_from(d).ok())
        };
        let (Some(high), Some(low)) = (digit(), digit()) else {
            return Err(LocationError::Escape);
        };
        decoded.push(high << 4 | low);
    }
    String::from_utf8(decoded).map_err(|_| LocationError::Escape)
}

impl fmt::Display for ArtifactLocation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{SCHEME}://{}/", self.bucket)?;
        for byte in self.key.bytes() {
            // The characters that stand for themselves in the path of a URL.
            if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/".contains(&byte) {
                write!(formatter, "{}", char::from(byte))?;
            } else {
                write!(formatter, "%{byte:02X}")?;
            }
        }
        Ok(())
    }
}

impl Serialize for ArtifactLocation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut url = serializer.serialize_struct("URL", 11)?;
        url.serialize_field("Scheme", SCHEME)?;
        url.serialize_field("Opaque", "")?;
        url.serialize_field("User", &())?;
        url.serialize_field("Host", &self.bucket)?;
        url.serialize_field("Path", &format_args!("/{}", self.key))?;
        url.serialize_field("Fragment", "")?;
        url.serialize_field("RawQuery", "")?;
        url.serialize_field("RawPath", "")?;
        url.serialize_field("RawFragment", "")?;
        url.serialize_field("ForceQuery", &false)?;
        url.serialize_field("OmitHost", &false)?;
        url.end()
    }
}

impl<'de> Deserialize<'de> for ArtifactLocation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Location;

        impl<'de> Visitor<'de> for Location {
            type Value = ArtifactLocation;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a location: the fields of a Go URL, or nats://BUCKET/KEY")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<ArtifactLocation, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ArtifactLocation, A::Error> {
                read_url(map)
            }
        }

        deserializer.deserialize_any(Location)
    }
}

/// The fields of a Go URL. Those that say nothing about where an object is are read all the same,
/// since a Go peer refuses values of the wrong kind in them.
#[derive(Default)]
struct Url {
    scheme: String,
    host: String,
    path: String,
    user: Option<UserInfo>,
    unused_text: String,
    unused_flag: bool,
}
read_like_go!(Url {
    values: [
        scheme => "Scheme",
        host => "Host",
        path => "Path",
        unused_text => "Opaque",
        unused_text => "RawPath",
        unused_text => "RawQuery",
        unused_text => "Fragment",
        unused_text => "RawFragment",
        unused_flag => "OmitHost",
        unused_flag => "ForceQuery",
    ],
    options: [user => "User"],
});

/// What Go makes of user name and password: an object with nothing in it.
#[derive(Default)]
struct UserInfo;
read_like_go!(UserInfo { values: [], options: [] });

fn read_url<'de, A: MapAccess<'de>>(map: A) -> Result<ArtifactLocation, A::Error> {
    let url: Url = json::read_map(map)?;
    ArtifactLocation::from_parts(&url.scheme, &url.host, &url.path).map_err(A::Error::custom)
}
