//! Making tokens, byte for byte as Go's NATS JWT library does.

use std::io;
use std::time::Duration;

use data_encoding::{BASE32_NOPAD, BASE64URL_NOPAD};
use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter};
use sha2::{Digest as _, Sha512_256};

use super::{HashClaim, WorkloadClaims};
use crate::digest::Digest;
use crate::key::SigningKey;
use crate::name::WorkloadName;

/// The header of every token we make.
const HEADER: &str = r#"{"typ":"JWT","alg":"ed25519-nkey"}"#;

/// The version of NATS claims that we write.
const CLAIMS_VERSION: u8 = 2;

/// What a token is to claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimsRequest {
    /// The workload's name.
    pub workload: WorkloadName,
    /// The artifact's hash.
    pub hash: HashClaim,
    /// How long the token is good, counted from now. None: for ever.
    pub lifetime: Option<Duration>,
    /// The first second (Unix time) in which the token is good. None: at once.
    pub not_before: Option<i64>,
    /// A name for people to read.
    pub name: Option<String>,
    /// Whom the token is meant for.
    pub audience: Option<String>,
}

impl ClaimsRequest {
    /// Claims to run a workload whose artifact has this digest.
    #[must_use]
    pub const fn deploy(workload: WorkloadName, artifact: Digest) -> Self {
        Self {
            workload,
            hash: HashClaim::Sha256(artifact),
            lifetime: None,
            not_before: None,
            name: None,
            audience: None,
        }
    }

    /// Claims to stop a workload.
    #[must_use]
    pub const fn stop(workload: WorkloadName) -> Self {
        Self {
            workload,
            hash: HashClaim::Absent,
            lifetime: None,
            not_before: None,
            name: None,
            audience: None,
        }
    }
}

/// The claims in Go's order. What is none is left out.
#[derive(Serialize)]
struct Claims<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exp: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jti: Option<&'a str>,
    iat: i64,
    iss: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nbf: Option<i64>,
    sub: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    nats: Option<NatsClaims>,
}

#[derive(Serialize)]
struct NatsClaims {
    #[serde(skip_serializing_if = "Option::is_none")]
    hash: Option<String>,
    version: u8,
}

impl WorkloadClaims {
    /// Signs claims at `now`, in seconds since 1970-01-01T00:00:00Z, and returns the token.
    #[must_use]
    pub fn issue(key: &SigningKey, request: &ClaimsRequest, now: i64) -> String {
        let issuer = key.public().to_string();
        let lifetime = |span: Duration| i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
        let mut claims = Claims {
            aud: request.audience.as_deref(),
            exp: request.lifetime.map(|span| now.saturating_add(lifetime(span))),
            jti: None,
            iat: now,
            iss: &issuer,
            name: request.name.as_deref(),
            nbf: request.not_before,
            sub: request.workload.as_str(),
            nats: None,
        };
        let id = token_id(&go_json(&claims));
        claims.jti = Some(&id);
        claims.nats = Some(NatsClaims { hash: request.hash.to_wire(), version: CLAIMS_VERSION });
        let signed = format!(
            "{}.{}",
            BASE64URL_NOPAD.encode(HEADER.as_bytes()),
            BASE64URL_NOPAD.encode(&go_json(&claims)),
        );
        let signature = BASE64URL_NOPAD.encode(&key.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }
}

/// Go's `jti`: the hash of the standard claims' JSON.
fn token_id(standard_claims: &[u8]) -> String {
    BASE32_NOPAD.encode(&Sha512_256::digest(standard_claims))
}

/// JSON as Go's `json.Marshal` writes it.
fn go_json(value: &impl Serialize) -> Vec<u8> {
    let mut text = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut text, GoFormatter);
    match value.serialize(&mut serializer) {
        Ok(()) => text,
        // Structs of texts and numbers always are JSON, and a vector takes every byte.
        Err(_) => unreachable!("claims are plain data"),
    }
}

/// Escapes the characters that Go escapes for the sake of HTML and JavaScript.
struct GoFormatter;

impl Formatter for GoFormatter {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(['<', '>', '&', '\u{2028}', '\u{2029}']) {
            let (plain, tail) = rest.split_at(at);
            CompactFormatter.write_string_fragment(writer, plain)?;
            let mut characters = tail.chars();
            if let Some(special) = characters.next() {
                write!(writer, "\\u{:04x}", u32::from(special))?;
            }
            rest = characters.as_str();
        }
        CompactFormatter.write_string_fragment(writer, rest)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn token_ids_are_those_that_go_makes() {
        let file: Value =
            serde_json::from_str(include_str!("../../tests/vectors/jwt.json")).unwrap();
        let cases = file["jti"].as_array().unwrap();
        assert!(!cases.is_empty());
        for case in cases {
            let input = case["input"].as_str().unwrap();
            // One case's id was made before a bad byte was replaced: it says so, and gives both.
            let wanted = case.get("computed_from_input").unwrap_or(&case["jti"]);
            assert_eq!(token_id(input.as_bytes()), *wanted, "{}", case["name"]);
            // And the input is what our claims print.
            let claims: Value = serde_json::from_str(input).unwrap();
            let text = |name: &str| claims[name].as_str();
            let ours = Claims {
                aud: text("aud"),
                exp: claims["exp"].as_i64(),
                jti: None,
                iat: claims["iat"].as_i64().unwrap(),
                iss: text("iss").unwrap(),
                name: text("name"),
                nbf: claims["nbf"].as_i64(),
                sub: text("sub").unwrap(),
                nats: None,
            };
            assert_eq!(String::from_utf8(go_json(&ours)).unwrap(), input, "{}", case["name"]);
        }
    }
}
