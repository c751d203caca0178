//! Tokens, as they stand and signed anew, so that the claims behind the signature are reached.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use nex_protocol::claims::{ClaimsRequest, WorkloadClaims};
use nex_protocol::digest::Digest;
use nex_protocol::key::SigningKey;

const SEED: &str = "SAANYD3GRWN2N3ZORRJVLSV3DU3ANOZXIWNT5RENWMUAYK4MDQTP2K2BGA";
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static KEY: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::from_seed(SEED).unwrap());
static START: LazyLock<WorkloadClaims> = LazyLock::new(|| {
    let request = ClaimsRequest::deploy("echo".parse().unwrap(), Digest::of(b""));
    WorkloadClaims::decode(&WorkloadClaims::issue(&KEY, &request, 0)).unwrap()
});

fn base64(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte));
        let word = word << (8 * (3 - chunk.len()));
        for at in 0..=chunk.len() {
            text.push(char::from(ALPHABET[(word >> (18 - 6 * at) & 63) as usize]));
        }
    }
    text
}

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = str::from_utf8(data) {
        let _ = WorkloadClaims::verify(text, 0);
        let _ = text.parse::<Digest>();
    }
    // The issuer put in by a mark that the seeds hold.
    let mut claims = Vec::with_capacity(data.len() + 64);
    let mut rest = data;
    while let Some((&first, tail)) = rest.split_first() {
        match rest.strip_prefix(b"ISSUER") {
            Some(after) => {
                claims.extend_from_slice(KEY.public().to_string().as_bytes());
                rest = after;
            }
            None => {
                claims.push(first);
                rest = tail;
            }
        }
    }
    let header = base64(br#"{"typ":"JWT","alg":"ed25519-nkey"}"#);
    let signed = format!("{header}.{}", base64(&claims));
    let token = format!("{signed}.{}", base64(&KEY.sign(signed.as_bytes())));
    if let Ok(claims) = WorkloadClaims::decode(&token) {
        let _ = claims.check_times(0);
        let _ = WorkloadClaims::check_stop(&START, &claims);
    }
});
