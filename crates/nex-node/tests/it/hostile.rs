//! Requests that nobody honest sends: each gets one error envelope that names
//! the cause, and the node goes on.

use std::time::Duration;

use nex_client::deploy::Workload;
use nex_protocol::{
    claims::{ClaimsRequest, HashClaim, WorkloadClaims},
    control::{DeployRequest, WorkloadType},
    digest::Digest,
    environment::Environment,
    key::{CurveKey, KeyKind, SigningKey},
    location::ArtifactLocation,
};
use serde_json::{Value, json};

use crate::world::{World, compile};

const PROGRAM: &str = "int main(void) { return 0; }";

/// Sends a body to the node's deploy subject and returns the error text.
async fn refusal(world: &World, what: &str, body: Vec<u8>) -> String {
    let subject = format!("$NEX.DEPLOY.default.{}", world.node.id());
    refusal_on(world, what, subject, body).await
}

async fn refusal_on(world: &World, what: &str, subject: String, body: Vec<u8>) -> String {
    let request = world.client.nats().request(subject, body.into());
    let reply = tokio::time::timeout(Duration::from_secs(10), request)
        .await
        .unwrap_or_else(|_| panic!("{what}: no reply"))
        .unwrap_or_else(|error| panic!("{what}: {error}"));
    let envelope: Value = serde_json::from_slice(&reply.payload).unwrap();
    let error = envelope["error"].as_str().unwrap_or_else(|| panic!("{what}: {envelope}"));
    assert_eq!(envelope["data"], "", "{what}");
    assert!(!error.is_empty() && !error.contains('\n'), "{what}: {error:?}");
    error.to_owned()
}

/// A good request for `show`, to be spoiled.
async fn good(world: &World) -> DeployRequest {
    let program = compile(world.dir.path(), "good", PROGRAM);
    let workload = world.service("good", &program).await.build().unwrap();
    world.sealed(&workload).request
}

fn fields(request: &DeployRequest) -> Value {
    serde_json::from_slice(&request.encode()).unwrap()
}

fn now() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(now.as_secs()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_are_no_request() {
    let world = World::start().await;
    let nested = "[".repeat(100_000);
    let nested_object = r#"{"a":"#.repeat(100_000);
    let garbage: Vec<u8> =
        (0..500_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let bodies: [(&str, Vec<u8>); 9] = [
        ("an empty object", b"{}".to_vec()),
        ("null", b"null".to_vec()),
        ("nothing", Vec::new()),
        ("an array", b"[]".to_vec()),
        ("a text", br#""deploy""#.to_vec()),
        ("100 000 brackets", nested.into_bytes()),
        ("100 000 objects", nested_object.into_bytes()),
        ("half a megabyte of garbage", garbage),
        ("a truncated object", br#"{"type":"elf","#.to_vec()),
    ];
    for (what, body) in bodies {
        for kind in ["DEPLOY", "STOP"] {
            let subject = format!("$NEX.{kind}.default.{}", world.node.id());
            refusal_on(&world, &format!("{kind} of {what}"), subject, body.clone()).await;
        }
    }
    assert!(world.client.ping_node(world.node.id()).await.is_ok());
    assert!(world.end().await.clean);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_required_field_is_named_when_it_is_missing() {
    let world = World::start().await;
    let request = fields(&good(&world).await);
    for field in
        ["type", "location", "workload_jwt", "environment", "sender_public_key", "target_node"]
    {
        for spoil in [None, Some(Value::Null), Some(json!("")), Some(json!(7)), Some(json!([]))] {
            let mut spoiled = request.clone();
            let map = spoiled.as_object_mut().unwrap();
            match &spoil {
                None => map.remove(field),
                Some(value) => map.insert(field.to_owned(), value.clone()),
            };
            let what = format!("{field} = {spoil:?}");
            let error = refusal(&world, &what, serde_json::to_vec(&spoiled).unwrap()).await;
            assert!(error.contains(field), "{what}: {error}");
        }
    }
    assert!(world.node.workloads().is_empty());
    assert!(world.end().await.clean);
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_that_do_not_hold() {
    let world = World::start().await;
    let request = good(&world).await;
    let digest = WorkloadClaims::verify(&request.workload_jwt, now()).unwrap().hash;
    let claims =
        ClaimsRequest { hash: digest.clone(), ..ClaimsRequest::stop("good".parse().unwrap()) };
    let issue = |claims: &ClaimsRequest, at: i64| WorkloadClaims::issue(&world.issuer, claims, at);
    let expired = ClaimsRequest { lifetime: Some(Duration::from_secs(10)), ..claims.clone() };
    let future = ClaimsRequest { not_before: Some(now() + 3600), ..claims.clone() };
    let wrong = ClaimsRequest { hash: HashClaim::Sha256(Digest::of(b"other")), ..claims.clone() };
    let good = request.workload_jwt.clone();
    let (head, rest) = good.split_once('.').unwrap();
    let (body, signature) = rest.split_once('.').unwrap();
    let other = issue(&wrong, now());
    let foreign_body = other.split('.').nth(1).unwrap();
    let cases = [
        ("expired", issue(&expired, now() - 3600), "expired"),
        ("from the future", issue(&future, now()), "workload_jwt"),
        ("of other bytes", other.clone(), "SHA-256"),
        (
            "with a body that was not signed",
            format!("{head}.{foreign_body}.{signature}"),
            "not signed",
        ),
        ("without signature", format!("{head}.{body}."), "workload_jwt"),
        ("of three dots", "...".to_owned(), "workload_jwt"),
        ("as long as nobody needs", "a".repeat(15_000), "workload_jwt"),
    ];
    for (what, token, says) in cases {
        let spoiled = DeployRequest { workload_jwt: token, ..request.clone() };
        let error = refusal(&world, what, spoiled.encode()).await;
        assert!(error.contains(says), "claims {what}: {error}");
    }
    assert!(world.end().await.clean);
}

#[tokio::test(flavor = "multi_thread")]
async fn names_places_and_secrets_that_are_somebody_elses() {
    let world = World::start().await;
    let request = good(&world).await;
    let elsewhere = ArtifactLocation::new("ARTIFACTS", "nowhere").unwrap();
    let no_bucket = ArtifactLocation::new("NOBUCKET", "good").unwrap();
    let stranger = CurveKey::generate();
    let sealed = Environment::new().seal(&world.publisher, &stranger.public()).unwrap();
    let other_node = SigningKey::generate(KeyKind::Server).public().to_string();
    let spoil = |field: &str, value: Value| {
        let mut spoiled = fields(&request);
        spoiled[field] = value;
        serde_json::to_vec(&spoiled).unwrap()
    };
    let cases = [
        (
            "no such object",
            DeployRequest { location: elsewhere, ..request.clone() }.encode(),
            "nowhere",
        ),
        (
            "no such bucket",
            DeployRequest { location: no_bucket, ..request.clone() }.encode(),
            "NOBUCKET",
        ),
        (
            "sealed for someone else",
            DeployRequest { environment: sealed, ..request.clone() }.encode(),
            "environment",
        ),
        (
            "sealed by someone else",
            DeployRequest { sender: stranger.public(), ..request.clone() }.encode(),
            "environment",
        ),
        ("another node's", spoil("target_node", json!(other_node)), &other_node),
        ("a type nobody knows", spoil("type", json!("cobol")), "type"),
        ("a type this node does not run", spoil("type", json!("oci")), "oci"),
        ("a trigger on everything", spoil("trigger_subjects", json!([">"])), "trigger_subjects"),
        (
            "a trigger on the system",
            spoil("trigger_subjects", json!(["$NEX.DEPLOY.>"])),
            "trigger_subjects",
        ),
        ("a trigger with a blank", spoil("trigger_subjects", json!(["a b"])), "trigger_subjects"),
        ("a location on the web", spoil("location", json!("https://example.com/x")), "location"),
        ("a bucket with a wildcard", spoil("location", json!("nats://*/x")), "location"),
    ];
    for (what, body, says) in cases {
        let error = refusal(&world, what, body).await;
        assert!(error.contains(says), "{what}: {error}");
    }
    for namespace in ["a b", "süd", &"n".repeat(65), "*x", "x>"] {
        for kind in ["DEPLOY", "STOP", "INFO"] {
            let subject = format!("$NEX.{kind}.{namespace}.{}", world.node.id());
            if namespace.contains(' ') {
                continue; // NATS itself does not take it.
            }
            let error = refusal_on(&world, namespace, subject, request.encode()).await;
            assert!(error.contains("subject"), "{kind} {namespace}: {error}");
        }
    }
    assert!(world.node.workloads().is_empty());
    assert!(world.end().await.clean);
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_lists_and_limits_hold() {
    let friend = SigningKey::generate(KeyKind::Account);
    let world = World::with(|config| {
        config.valid_issuers(vec![friend.public()]).require_artifact_hash(true)
    })
    .await;
    let mut request = good(&world).await;
    let error = refusal(&world, "an issuer that is not listed", request.encode()).await;
    assert!(error.contains("valid_issuers"), "{error}");
    let claims = ClaimsRequest::stop("good".parse().unwrap());
    request.workload_jwt = WorkloadClaims::issue(&friend, &claims, now());
    let error = refusal(&world, "claims without a hash", request.encode()).await;
    assert!(error.contains("SHA-256"), "{error}");
    assert!(world.end().await.clean);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_program_is_refused_and_the_sandbox_replaced() {
    let world = World::start().await;
    let artifact = world.upload_bytes("script", b"#!/bin/sh\necho no\n").await;
    let script = Workload::builder("script".parse().unwrap(), WorkloadType::Elf, artifact);
    let error = world.deploy(script).await.unwrap_err().to_string();
    assert!(error.contains("ELF"), "{error}");
    let program = compile(world.dir.path(), "good", PROGRAM);
    world.run(world.service("good", &program).await).await;
    assert!(world.end().await.clean);
}
