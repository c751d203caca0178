//! Reading tokens: form, signature, times.

use std::fmt;
use std::marker::PhantomData;

use data_encoding::BASE64URL_NOPAD;
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};

use super::{HashClaim, WorkloadClaims};
use crate::key::{KeyError, PublicKey};
use crate::name::{NameError, WorkloadName};

/// Most characters in a token that we read: 16 KiB. One that Go's client makes has about 500.
pub const MAX_TOKEN_CHARACTERS: usize = 16 * 1024;

/// Why a token is not accepted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClaimsError {
    /// Longer than [`MAX_TOKEN_CHARACTERS`].
    #[error(
        "the workload's claims have {found} characters, more than {MAX_TOKEN_CHARACTERS}: sign smaller ones"
    )]
    TooLong {
        /// Bytes that were given.
        found: usize,
    },
    /// Not three parts with dots between them.
    #[error(
        "the workload's claims are not a JWT: give header, claims and signature with dots between"
    )]
    Parts,
    /// A part that is not canonical base64url without padding.
    #[error(
        "the {part} of the workload's claims is not base64url without padding: send the JWT unchanged"
    )]
    Encoding {
        /// Which one.
        part: TokenPart,
    },
    /// A header that is no object with `typ` and `alg`.
    #[error(
        "the header of the workload's claims cannot be read: sign them with a NATS JWT library"
    )]
    Header(#[source] serde_json::Error),
    /// Another `typ` than `JWT`.
    #[error(
        "the header of the workload's claims has another typ than JWT: sign them with a NATS JWT library"
    )]
    Type,
    /// Another `alg` than `ed25519-nkey` and `ed25519`.
    #[error(
        "the workload's claims are signed by another method than ed25519-nkey: sign them with an nkey"
    )]
    Algorithm,
    /// Claims that are no object of the right types, or have a claim twice.
    #[error("the workload's claims cannot be read: sign them with a NATS JWT library")]
    Claims(#[source] serde_json::Error),
    /// A claim that must be there is not.
    #[error("the workload's claims lack `{name}`: sign them with a NATS JWT library")]
    Missing {
        /// The claim's name.
        name: &'static str,
    },
    /// `iss` is not the public key of a signing key.
    #[error("the issuer (iss) of the workload's claims is not a key that can sign")]
    Issuer(#[source] KeyError),
    /// The signature does not fit.
    #[error(
        "the workload's claims are not signed by the issuer they name, or were changed: sign them again"
    )]
    Signature,
    /// `sub` is no workload name.
    #[error("the subject (sub) of the workload's claims is not a workload name")]
    Workload(#[source] NameError),
    /// After `exp`.
    #[error("the workload's claims expired at {expires_at} (Unix time): sign new ones")]
    Expired {
        /// The last second in which they were good.
        expires_at: i64,
    },
    /// Before `nbf`.
    #[error(
        "the workload's claims are good from {not_before} (Unix time) on: wait, or sign new ones"
    )]
    NotYetValid {
        /// The first second in which they will be good.
        not_before: i64,
    },
}

/// A part of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenPart {
    /// The first part.
    Header,
    /// The second part.
    Claims,
    /// The third part.
    Signature,
}

impl fmt::Display for TokenPart {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Header => "header",
            Self::Claims => "claims part",
            Self::Signature => "signature",
        })
    }
}

#[derive(Deserialize)]
struct Header {
    typ: String,
    alg: String,
}

#[derive(Deserialize)]
struct Claims {
    #[serde(default)]
    aud: Option<String>,
    #[serde(default)]
    exp: Option<i64>,
    #[serde(default)]
    jti: Option<String>,
    #[serde(default)]
    iat: Option<i64>,
    #[serde(default)]
    iss: Option<String>,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    nbf: Option<i64>,
    #[serde(default)]
    sub: Option<String>,
    #[serde(default)]
    nats: Option<Object<NatsClaims>>,
}

#[derive(Deserialize)]
struct NatsClaims {
    #[serde(default)]
    hash: Option<String>,
}

/// A JSON object. Serde alone would read a struct from an array as well.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
            type Value = Object<T>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }

        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

impl WorkloadClaims {
    /// Reads a token, checks its signature and its times.
    ///
    /// `now` is the time in seconds since 1970-01-01T00:00:00Z. Both ends of the span in which a
    /// token is good belong to it.
    ///
    /// # Errors
    /// The first thing that is wrong with the token.
    pub fn verify(token: &str, now: i64) -> Result<Self, ClaimsError> {
        let claims = Self::decode(token)?;
        claims.check_times(now)?;
        Ok(claims)
    }

    /// Reads a token and checks its signature, but not its times: for claims that were accepted
    /// before, such as those of a workload that is found again after a restart.
    ///
    /// # Errors
    /// The first thing that is wrong with the token.
    pub fn decode(token: &str) -> Result<Self, ClaimsError> {
        if token.len() > MAX_TOKEN_CHARACTERS {
            return Err(ClaimsError::TooLong { found: token.len() });
        }
        let (signed, signature_text) = token.rsplit_once('.').ok_or(ClaimsError::Parts)?;
        let (header_text, claims_text) = signed.split_once('.').ok_or(ClaimsError::Parts)?;
        if claims_text.contains('.') {
            return Err(ClaimsError::Parts);
        }
        let Object(header): Object<Header> =
            serde_json::from_slice(&decode_part(header_text, TokenPart::Header)?)
                .map_err(ClaimsError::Header)?;
        if !header.typ.eq_ignore_ascii_case("JWT") {
            return Err(ClaimsError::Type);
        }
        let signed = match header.alg.as_str() {
            "ed25519-nkey" => signed,
            // The first version of NATS JWTs did not sign the header.
            "ed25519" => claims_text,
            _ => return Err(ClaimsError::Algorithm),
        };
        let Object(claims): Object<Claims> =
            serde_json::from_slice(&decode_part(claims_text, TokenPart::Claims)?)
                .map_err(ClaimsError::Claims)?;
        let signature = decode_part(signature_text, TokenPart::Signature)?;
        let issuer: PublicKey = claims
            .iss
            .ok_or(ClaimsError::Missing { name: "iss" })?
            .parse()
            .map_err(ClaimsError::Issuer)?;
        issuer.verify(signed.as_bytes(), &signature).map_err(|_| ClaimsError::Signature)?;
        // Only now is it the issuer who is told what is wrong with the rest.
        Ok(Self {
            issuer,
            workload: claims
                .sub
                .ok_or(ClaimsError::Missing { name: "sub" })?
                .parse::<WorkloadName>()
                .map_err(ClaimsError::Workload)?,
            hash: HashClaim::from_wire(claims.nats.and_then(|Object(nats)| nats.hash)),
            issued_at: claims.iat.ok_or(ClaimsError::Missing { name: "iat" })?,
            // Go leaves a time of zero out, and reads it as none.
            expires_at: claims.exp.filter(|&time| time != 0),
            not_before: claims.nbf.filter(|&time| time != 0),
            id: claims.jti,
            name: claims.name,
            audience: claims.aud,
        })
    }

    /// Whether the claims are good at `now`, in seconds since 1970-01-01T00:00:00Z.
    ///
    /// # Errors
    /// [`ClaimsError::Expired`] or [`ClaimsError::NotYetValid`].
    pub fn check_times(&self, now: i64) -> Result<(), ClaimsError> {
        if let Some(expires_at) = self.expires_at.filter(|&time| time < now) {
            return Err(ClaimsError::Expired { expires_at });
        }
        if let Some(not_before) = self.not_before.filter(|&time| time > now) {
            return Err(ClaimsError::NotYetValid { not_before });
        }
        Ok(())
    }
}

fn decode_part(text: &str, part: TokenPart) -> Result<Vec<u8>, ClaimsError> {
    BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| ClaimsError::Encoding { part })
}
