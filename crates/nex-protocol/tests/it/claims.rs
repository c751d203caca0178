//! Tokens against Go's NATS JWT library.

use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use nex_protocol::claims::{
    ClaimsError, ClaimsRequest, HashClaim, MAX_TOKEN_CHARACTERS, StopClaimsError, WorkloadClaims,
};
use nex_protocol::digest::Digest;
use nex_protocol::key::{KeyError, KeyKind, SigningKey};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::vectors::{file, section, text};

fn now(case: &Value) -> i64 {
    case["now"].as_i64().unwrap()
}

fn judge(case: &Value, accepted: bool) {
    match text(case, "expected") {
        "accept" => assert!(accepted, "refused: {case}"),
        "reject" => assert!(!accepted, "accepted: {case}"),
        "either" => {}
        other => panic!("unknown expectation {other}"),
    }
}

#[test]
fn tokens_are_judged_as_expected() {
    let file = file("jwt.json");
    for case in section(&file, "tokens") {
        let verified = WorkloadClaims::verify(text(case, "token"), now(case));
        judge(case, verified.is_ok());
        let (Ok(claims), Some(wire)) = (verified, case["claims_json"].as_str()) else { continue };
        let wire: Value = serde_json::from_str(wire).unwrap();
        assert_eq!(claims.issuer.to_string(), wire["iss"], "{}", case["name"]);
        assert_eq!(claims.workload.as_str(), wire["sub"], "{}", case["name"]);
        assert_eq!(claims.issued_at, wire["iat"], "{}", case["name"]);
        assert_eq!(claims.id.as_deref(), wire["jti"].as_str(), "{}", case["name"]);
        assert_eq!(claims.name.as_deref(), wire["name"].as_str(), "{}", case["name"]);
        assert_eq!(claims.audience.as_deref(), wire["aud"].as_str(), "{}", case["name"]);
        match (&claims.hash, wire["nats"]["hash"].as_str()) {
            (HashClaim::Absent, None) => {}
            (HashClaim::Opaque(hash), Some(sent)) => {
                assert_eq!(hash, sent);
                assert!(sent.parse::<Digest>().is_err(), "{sent}");
            }
            (HashClaim::Sha256(digest), Some(sent)) => {
                assert!(sent == digest.to_string() || sent == digest.to_nats_text(), "{sent}");
            }
            (claim, sent) => panic!("{claim:?} for {sent:?}: {}", case["name"]),
        }
    }
}

#[test]
fn times_are_inclusive_at_both_ends() {
    let file = file("jwt.json");
    for case in section(&file, "clock_checks") {
        let token = text(&file["clock_tokens"], text(case, "token_name"));
        judge(case, WorkloadClaims::verify(token, now(case)).is_ok());
    }
}

#[test]
fn stops_are_judged_as_expected() {
    let file = file("jwt.json");
    for case in section(&file, "stop_checks") {
        let start = WorkloadClaims::decode(text(case, "start_token")).unwrap();
        let stop = WorkloadClaims::verify(text(case, "stop_token"), now(case));
        judge(case, stop.is_ok_and(|stop| WorkloadClaims::check_stop(&start, &stop).is_ok()));
    }
}

#[test]
fn our_tokens_are_those_that_go_makes() {
    let file = file("jwt.json");
    let keys = section(&file, "keys");
    let mut made = 0;
    for case in section(&file, "tokens") {
        // The ones that a library made from plain claims, unless something was put in by hand.
        let name = text(case, "name");
        let by_library = ["deploy", "stop", "lib_"].iter().any(|prefix| name.starts_with(prefix));
        let Ok(claims) = WorkloadClaims::decode(text(case, "token")) else { continue };
        let issuer = keys.iter().find(|key| key["public"] == claims.issuer.to_string());
        let Some(issuer) = issuer.filter(|_| by_library && name != "lib_all") else { continue };
        // Digests are written in hexadecimal: Go's own text is kept where it was another one.
        let hash = match claims.hash {
            HashClaim::Sha256(digest) if name == "deploy_nats_digest" => {
                HashClaim::Opaque(digest.to_nats_text())
            }
            hash => hash,
        };
        let request = ClaimsRequest {
            workload: claims.workload,
            hash,
            lifetime: claims
                .expires_at
                .map(|end| u64::try_from(end - claims.issued_at))
                .transpose()
                .ok()
                .flatten()
                .map(Duration::from_secs),
            not_before: claims.not_before,
            name: claims.name,
            audience: claims.audience,
        };
        if claims.expires_at.is_some_and(|end| end < claims.issued_at) {
            continue;
        }
        let key = SigningKey::from_seed(text(issuer, "seed")).unwrap();
        let token = WorkloadClaims::issue(&key, &request, claims.issued_at);
        assert_eq!(token, text(case, "token"), "{name}");
        made += 1;
    }
    assert!(made >= 10, "{made}");
}

/// A token with these claims, signed as they stand.
fn signed(key: &SigningKey, header: &Value, claims: &str) -> String {
    let text = format!(
        "{}.{}",
        BASE64URL_NOPAD.encode(header.to_string().as_bytes()),
        BASE64URL_NOPAD.encode(claims.as_bytes())
    );
    format!("{text}.{}", BASE64URL_NOPAD.encode(&key.sign(text.as_bytes())))
}

#[test]
fn arrays_are_not_taken_for_objects() {
    let key = SigningKey::generate(KeyKind::Account);
    let header = json!({"typ": "JWT", "alg": "ed25519-nkey"});
    let issuer = key.public().to_string();
    let good = json!({"iss": issuer, "sub": "echo", "iat": 1}).to_string();
    WorkloadClaims::verify(&signed(&key, &header, &good), 1).unwrap();
    let as_array = json!([null, null, null, 1, issuer, null, null, "echo", null]).to_string();
    let error = WorkloadClaims::verify(&signed(&key, &header, &as_array), 1).unwrap_err();
    assert!(matches!(error, ClaimsError::Claims(_)), "{error}");
    let nats = json!({"iss": issuer, "sub": "echo", "iat": 1, "nats": ["h"]}).to_string();
    let error = WorkloadClaims::verify(&signed(&key, &header, &nats), 1).unwrap_err();
    assert!(matches!(error, ClaimsError::Claims(_)), "{error}");
    let header = json!(["JWT", "ed25519-nkey"]);
    let error = WorkloadClaims::verify(&signed(&key, &header, &good), 1).unwrap_err();
    assert!(matches!(error, ClaimsError::Header(_)), "{error}");
}

#[test]
fn deep_claims_do_not_overflow_the_stack() {
    let key = SigningKey::generate(KeyKind::Account);
    let header = json!({"typ": "JWT", "alg": "ed25519-nkey"});
    let issuer = key.public();
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        for place in ["\"x\":", "\"nats\":", "\"exp\":", "\"nats\":{\"x\":"] {
            let levels = 8_000 / open.len();
            let tower = format!("{}1{}", open.repeat(levels), close.repeat(levels.min(1_000)));
            let claims =
                format!("{{\"iss\":\"{issuer}\",\"sub\":\"echo\",\"iat\":1,{place}{tower}}}");
            assert!(WorkloadClaims::verify(&signed(&key, &header, &claims), 1).is_err());
        }
    }
}

#[test]
fn large_tokens_are_refused_unread() {
    let error = WorkloadClaims::decode(&".".repeat(MAX_TOKEN_CHARACTERS + 1)).unwrap_err();
    assert!(matches!(error, ClaimsError::TooLong { .. }), "{error}");
}

#[test]
fn refusals_name_their_cause() {
    let key = SigningKey::generate(KeyKind::Account);
    let workload = "echo".parse().unwrap();
    let digest = Digest::of(b"artifact");
    let request = ClaimsRequest {
        lifetime: Some(Duration::from_secs(60)),
        not_before: Some(90),
        ..ClaimsRequest::deploy(workload, digest)
    };
    let token = WorkloadClaims::issue(&key, &request, 100);
    let claims = WorkloadClaims::verify(&token, 160).unwrap();
    assert_eq!(claims.hash.digest(), Some(digest));
    assert_eq!(claims.issuer, key.public());
    let error = WorkloadClaims::verify(&token, 161).unwrap_err();
    assert!(matches!(error, ClaimsError::Expired { expires_at: 160 }), "{error}");
    let error = WorkloadClaims::verify(&token, 89).unwrap_err();
    assert!(matches!(error, ClaimsError::NotYetValid { not_before: 90 }), "{error}");
    let header = json!({"typ": "JWT", "alg": "ed25519-nkey"});
    let curve = nex_protocol::key::CurveKey::generate().public();
    let claims = json!({"iss": curve, "sub": "echo", "iat": 1}).to_string();
    let error = WorkloadClaims::verify(&signed(&key, &header, &claims), 1).unwrap_err();
    assert!(matches!(error, ClaimsError::Issuer(KeyError::CurveKey)), "{error}");
}

#[test]
fn a_stop_must_be_newer_and_made_for_stopping() {
    let (key, other) = (SigningKey::generate(KeyKind::User), SigningKey::generate(KeyKind::User));
    let deploy = |name: &str| ClaimsRequest::deploy(name.parse().unwrap(), Digest::of(b""));
    let stop = |name: &str| ClaimsRequest::stop(name.parse().unwrap());
    let claims = |key: &SigningKey, request: ClaimsRequest, now: i64| {
        WorkloadClaims::verify(&WorkloadClaims::issue(key, &request, now), now).unwrap()
    };
    let start = claims(&key, deploy("echo"), 100);
    let check = |stop: WorkloadClaims| WorkloadClaims::check_stop(&start, &stop);
    assert_eq!(check(claims(&key, stop("echo"), 100)), Ok(()));
    assert_eq!(check(claims(&key, stop("echo"), 101)), Ok(()));
    assert_eq!(check(claims(&key, stop("echo"), 99)), Err(StopClaimsError::Older));
    assert_eq!(check(claims(&key, stop("other"), 101)), Err(StopClaimsError::Workload));
    assert_eq!(check(claims(&other, stop("echo"), 101)), Err(StopClaimsError::Issuer));
    assert_eq!(check(claims(&key, deploy("echo"), 101)), Err(StopClaimsError::Captured));
    assert_eq!(check(start.clone()), Err(StopClaimsError::Captured));
    // Even where the start had no hash.
    let bare = claims(&key, stop("echo"), 100);
    assert_eq!(WorkloadClaims::check_stop(&bare, &bare), Err(StopClaimsError::Captured));
}

proptest! {
    #[test]
    fn claims_survive_their_token(
        workload in "[a-z][a-z0-9-]{0,62}",
        hash in prop_oneof![
            Just(HashClaim::Absent),
            "\\PC{0,20}".prop_map(HashClaim::Opaque),
            any::<[u8; 32]>().prop_map(|bytes| HashClaim::Sha256(Digest::from_bytes(bytes))),
        ],
        lifetime in prop::option::of(0u64..=u64::MAX),
        not_before in prop::option::of(1i64..1_000_000),
        name in prop::option::of(".{0,40}"),
        audience in prop::option::of("[<>&\u{2028}\u{2029}a]{0,20}"),
        now in 1_000_000i64..=i64::MAX,
    ) {
        let key = SigningKey::generate(KeyKind::Account);
        let request = ClaimsRequest {
            workload: workload.parse().unwrap(),
            hash,
            lifetime: lifetime.map(Duration::from_secs),
            not_before,
            name,
            audience,
        };
        let token = WorkloadClaims::issue(&key, &request, now);
        let claims = WorkloadClaims::verify(&token, now).unwrap();
        prop_assert_eq!(claims.issuer, key.public());
        prop_assert_eq!(&claims.workload, &request.workload);
        prop_assert_eq!(&claims.hash, &request.hash);
        prop_assert_eq!(claims.issued_at, now);
        prop_assert_eq!(claims.not_before, not_before);
        prop_assert_eq!(claims.expires_at.is_some(), lifetime.is_some());
        prop_assert_eq!(&claims.name, &request.name);
        prop_assert_eq!(&claims.audience, &request.audience);
    }

    #[test]
    fn no_token_is_too_odd(text in "[A-Za-z0-9_.=-]{0,200}|.{0,100}") {
        let _ = WorkloadClaims::verify(&text, 0);
    }

    #[test]
    fn a_changed_token_is_refused(at in any::<prop::sample::Index>(), with in "[A-Za-z0-9_.-]") {
        let key = SigningKey::generate(KeyKind::Account);
        let request = ClaimsRequest::stop("echo".parse().unwrap());
        let token = WorkloadClaims::issue(&key, &request, 5);
        let at = at.index(token.len());
        let mut changed = token.clone();
        changed.replace_range(at..=at, &with);
        prop_assert_eq!(WorkloadClaims::verify(&changed, 5).is_ok(), changed == token);
    }

    #[test]
    fn digests_survive_their_texts(bytes in any::<[u8; 32]>()) {
        let digest = Digest::from_bytes(bytes);
        prop_assert_eq!(digest.to_string().parse::<Digest>(), Ok(digest));
        prop_assert_eq!(digest.to_string().to_uppercase().parse::<Digest>(), Ok(digest));
        prop_assert_eq!(digest.to_nats_text().parse::<Digest>(), Ok(digest));
        let json = serde_json::to_string(&digest).unwrap();
        prop_assert_eq!(serde_json::from_str::<Digest>(&json).unwrap(), digest);
    }

    #[test]
    fn no_digest_is_too_odd(text in "(SHA-256=)?.{0,80}") {
        let _ = text.parse::<Digest>();
    }
}
