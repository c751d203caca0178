//! Events as they come off a wire.

use std::collections::BTreeMap;
use std::fmt;

use data_encoding::BASE64;
use serde::de::{self, DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value};
use time::{OffsetDateTime, UtcOffset};

use super::{
    EventKind, JSON_CONTENT_TYPE, MAX_EVENT_ATTRIBUTE_BYTES, MAX_EVENT_BYTES, MAX_EVENT_EXTENSIONS,
};
use crate::json::{self, FieldError};
use crate::timestamp::{self, TimestampError};

/// Why an event could not be taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EventError {
    /// A field, or the whole message, is of the wrong form.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// The event is of a version of CloudEvents that is not spoken here.
    #[error("`specversion` is neither 1.0 nor 0.3; send CloudEvents 1.0")]
    SpecVersion,
    /// The time is none.
    #[error("`time` cannot be read")]
    Time(#[source] TimestampError),
    /// The source is no URI reference.
    #[error("`source` has a broken % escape; send a URI reference")]
    Source,
    /// The type holds characters that cannot stand in a type.
    #[error("`type` holds a blank or a control character; send a plain name")]
    Kind,
    /// There are two sets of data.
    #[error("the event has both `data` and `data_base64`; send one of them")]
    TwoSetsOfData,
    /// The binary data is not base64.
    #[error("`data_base64` is not standard base64 with padding")]
    Base64(#[source] data_encoding::DecodeError),
    /// The name of an extension is none.
    #[error("the name of an extension holds more than letters and digits; rename it")]
    ExtensionName,
    /// An extension holds a value that extensions cannot have.
    #[error("an extension holds neither a text, nor a truth value, nor a 32-bit number")]
    ExtensionValue,
    /// There are too many extensions.
    #[error("the event has more than {MAX_EVENT_EXTENSIONS} extensions; send fewer")]
    TooManyExtensions,
    /// The data is not what events of this type hold.
    #[error("the data is not what an event of this type holds")]
    Data(#[source] serde_json::Error),
}

/// Version of the CloudEvents specification an event follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpecVersion {
    /// 0.3, which Go peers read as well.
    V03,
    /// 1.0, what everybody writes.
    V1,
}

impl SpecVersion {
    /// The text of this version on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V03 => "0.3",
            Self::V1 => "1.0",
        }
    }
}

/// Value of an extension attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Extension {
    /// A truth value.
    Bool(bool),
    /// A number.
    Integer(i32),
    /// A text.
    Text(String),
}

/// What an event holds.
#[derive(Debug, Clone, PartialEq)]
pub enum EventData {
    /// Nothing.
    None,
    /// A JSON value, `null` included.
    Json(Value),
    /// Bytes.
    Binary(Vec<u8>),
}

/// An event as it was read: within bounds, and so that it can be published again.
#[derive(Debug, Clone, PartialEq)]
pub struct RawEvent {
    /// Version of the specification.
    pub spec_version: SpecVersion,
    /// Names this event among those of its source.
    pub id: String,
    /// Where it happened. Never trust it: the subject, or the connection, says who sent this.
    pub source: String,
    /// The type; see [`Self::kind`].
    pub kind_text: String,
    /// When it happened, in UTC.
    pub time: Option<OffsetDateTime>,
    /// What it is about, in the terms of its source.
    pub subject: Option<String>,
    /// Media type of the data; JSON when there is none.
    pub content_type: Option<String>,
    /// Schema of the data.
    pub schema: Option<String>,
    /// Extension attributes by name.
    pub extensions: BTreeMap<String, Extension>,
    /// What it holds.
    pub data: EventData,
}

/// The members of the JSON object, before they are judged. The last of several of one name wins.
#[derive(Default)]
struct Members {
    attributes: Map<String, Value>,
    extensions: BTreeMap<String, Result<Option<Extension>, EventError>>,
    bad_name: bool,
    too_many: bool,
}

const ATTRIBUTES: [&str; 11] = [
    "specversion",
    "id",
    "source",
    "type",
    "time",
    "subject",
    "datacontenttype",
    "dataschema",
    "schemaurl",
    "data",
    "data_base64",
];

impl<'de> de::Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;

        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a CloudEvent")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Members::default();
                while let Some(name) = map.next_key::<String>()? {
                    let value = map.next_value::<Value>()?;
                    members.take(name, value);
                }
                Ok(members)
            }
        }

        deserializer.deserialize_map(MembersVisitor)
    }
}

impl Members {
    fn take(&mut self, name: String, value: Value) {
        if ATTRIBUTES.contains(&name.as_str()) {
            self.attributes.insert(name, value);
            return;
        }
        // Go writes the names of extensions in lower case; a name that becomes one of the
        // attributes by that would be two things at once.
        let lower = name.to_ascii_lowercase();
        let well_formed = !name.is_empty()
            && name.len() <= MAX_EVENT_ATTRIBUTE_BYTES
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
            && !ATTRIBUTES.contains(&lower.as_str());
        if !well_formed {
            self.bad_name = true;
        } else if self.extensions.len() >= MAX_EVENT_EXTENSIONS
            && !self.extensions.contains_key(&lower)
        {
            self.too_many = true;
        } else {
            self.extensions.insert(lower, extension(value));
        }
    }

    /// A text attribute: absent and `null` are the same, empty is an error.
    fn text(&mut self, field: &'static str) -> Result<Option<String>, FieldError> {
        match self.attributes.remove(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => {
                json::filled(text, field, MAX_EVENT_ATTRIBUTE_BYTES).map(Some)
            }
            Some(_) => Err(FieldError::WrongType {
                field,
                source: de::Error::invalid_type(de::Unexpected::Other("no text"), &"a text"),
            }),
        }
    }

    fn required_text(&mut self, field: &'static str) -> Result<String, FieldError> {
        json::required(self.text(field)?, field)
    }
}

fn extension(value: Value) -> Result<Option<Extension>, EventError> {
    match value {
        Value::Null => Ok(None),
        Value::Bool(value) => Ok(Some(Extension::Bool(value))),
        Value::String(text) if text.len() <= MAX_EVENT_ATTRIBUTE_BYTES => {
            Ok(Some(Extension::Text(text)))
        }
        Value::Number(number) => {
            // Go keeps the whole part of a fraction.
            let whole = match (number.as_i64(), number.as_f64()) {
                (Some(whole), _) => i32::try_from(whole).ok(),
                (None, Some(fraction)) => whole_part(fraction),
                (None, None) => None,
            };
            whole.map(|whole| Some(Extension::Integer(whole))).ok_or(EventError::ExtensionValue)
        }
        Value::String(_) | Value::Array(_) | Value::Object(_) => Err(EventError::ExtensionValue),
    }
}

fn whole_part(number: f64) -> Option<i32> {
    let whole = number.trunc();
    (whole >= f64::from(i32::MIN) && whole <= f64::from(i32::MAX)).then_some(whole as i32)
}

impl RawEvent {
    /// The type, if it is one this version knows.
    #[must_use]
    pub fn kind(&self) -> Option<EventKind> {
        self.kind_text.parse().ok()
    }

    /// Reads an event.
    ///
    /// What a Go node would refuse to publish again is refused here, too.
    ///
    /// # Errors
    /// [`EventError`]; messages over [`MAX_EVENT_BYTES`] are not parsed.
    pub fn decode(message: &[u8]) -> Result<Self, EventError> {
        if message.len() > MAX_EVENT_BYTES {
            let (bytes, limit) = (message.len(), MAX_EVENT_BYTES);
            return Err(FieldError::TooLarge { bytes, limit }.into());
        }
        let mut members: Members =
            serde_json::from_str(&json::text(message)).map_err(FieldError::NotAnObject)?;
        let spec_version = match members.attributes.get("specversion") {
            Some(Value::String(text)) if text == SpecVersion::V1.as_str() => SpecVersion::V1,
            Some(Value::String(text)) if text == SpecVersion::V03.as_str() => SpecVersion::V03,
            _ => return Err(EventError::SpecVersion),
        };
        if members.bad_name {
            return Err(EventError::ExtensionName);
        }
        if members.too_many {
            return Err(EventError::TooManyExtensions);
        }
        let id = members.required_text("id")?;
        let source = uri_reference(&members.required_text("source")?).ok_or(EventError::Source)?;
        let source = json::within(source, "source", MAX_EVENT_ATTRIBUTE_BYTES)?;
        let kind_text = members.required_text("type")?;
        if kind_text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(EventError::Kind);
        }
        let time = match members.attributes.remove("time") {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => {
                let time = timestamp::parse(&text).map_err(EventError::Time)?;
                // Go leaves out the zero value of its time type.
                (!timestamp::is_go_zero(time))
                    .then(|| time.checked_to_offset(UtcOffset::UTC))
                    .flatten()
            }
            Some(_) => return Err(EventError::Time(TimestampError)),
        };
        let subject = members.text("subject")?;
        let content_type = members.text("datacontenttype")?;
        let schema = members.text("dataschema")?;
        let data = match (members.attributes.remove("data"), binary(&mut members.attributes)?) {
            (Some(_), Some(_)) => return Err(EventError::TwoSetsOfData),
            (Some(value), None) if content_type.as_deref().is_none_or(is_json) => {
                EventData::Json(value)
            }
            // To Go these are bytes, and they leave it as such.
            (Some(value), None) => EventData::Binary(value.to_string().into_bytes()),
            (None, Some(bytes)) => EventData::Binary(bytes),
            (None, None) => EventData::None,
        };
        let mut extensions = BTreeMap::new();
        for (name, value) in members.extensions {
            if let Some(value) = value? {
                extensions.insert(name, value);
            }
        }
        Ok(Self {
            spec_version,
            id,
            source,
            kind_text,
            time,
            subject,
            content_type,
            schema,
            extensions,
            data,
        })
    }

    /// Reads the data of an event as one of the bodies of [`event`](crate::event).
    ///
    /// # Errors
    /// [`EventError::Data`] when it is something else.
    pub fn data_as<T: DeserializeOwned>(&self) -> Result<T, EventError> {
        match &self.data {
            EventData::Json(value) => T::deserialize(value),
            EventData::Binary(bytes) => serde_json::from_slice(bytes),
            EventData::None => T::deserialize(Value::Null),
        }
        .map_err(EventError::Data)
    }

    /// Writes the event. JSON under a content type that is not JSON is written as
    /// `data_base64`, as Go does.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut members = Map::new();
        let mut put = |name: &str, value: Value| {
            members.insert(name.to_owned(), value);
        };
        for (name, value) in &self.extensions {
            put(
                name,
                match value {
                    Extension::Bool(value) => Value::Bool(*value),
                    Extension::Integer(value) => Value::from(*value),
                    Extension::Text(text) => Value::String(text.clone()),
                },
            );
        }
        put("specversion", self.spec_version.as_str().into());
        put("id", self.id.clone().into());
        put("source", self.source.clone().into());
        put("type", self.kind_text.clone().into());
        if let Some(time) = self.time {
            put("time", timestamp::format(time).into());
        }
        for (name, text) in [
            ("subject", &self.subject),
            ("datacontenttype", &self.content_type),
            ("dataschema", &self.schema),
        ] {
            if let Some(text) = text {
                put(name, text.clone().into());
            }
        }
        match &self.data {
            EventData::None => {}
            EventData::Json(value) if self.content_type.as_deref().is_none_or(is_json) => {
                put("data", value.clone());
            }
            EventData::Json(value) => {
                put("data_base64", BASE64.encode(value.to_string().as_bytes()).into());
            }
            EventData::Binary(bytes) => put("data_base64", BASE64.encode(bytes).into()),
        }
        Value::Object(members).to_string().into_bytes()
    }
}

fn binary(attributes: &mut Map<String, Value>) -> Result<Option<Vec<u8>>, EventError> {
    match attributes.remove("data_base64") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => {
            BASE64.decode(text.as_bytes()).map(Some).map_err(EventError::Base64)
        }
        Some(_) => Err(EventError::Base64(data_encoding::DecodeError {
            position: 0,
            kind: data_encoding::DecodeKind::Symbol,
        })),
    }
}

fn is_json(content_type: &str) -> bool {
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    media_type.eq_ignore_ascii_case(JSON_CONTENT_TYPE)
        || media_type.eq_ignore_ascii_case("text/json")
        || media_type.to_ascii_lowercase().ends_with("+json")
}

/// The text with everything escaped that cannot stand in a URI reference; `None` if it has a
/// broken escape already.
fn uri_reference(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut written = String::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let (high, low) = (bytes.next()?, bytes.next()?);
                if !high.is_ascii_hexdigit() || !low.is_ascii_hexdigit() {
                    return None;
                }
                written.extend(['%', char::from(high), char::from(low)]);
            }
            b'!'..=b'~' if !b"\"<>\\^`{|}".contains(&byte) => written.push(char::from(byte)),
            _ => {
                written.push('%');
                written.push_str(&data_encoding::HEXUPPER.encode(&[byte]));
            }
        }
    }
    Some(written)
}
