//! Uploads into a real object store.

use std::path::{Path, PathBuf};
use std::time::Duration;

use async_nats::jetstream::object_store::ObjectStore;
use nex_client::artifact::{DEFAULT_BUCKET, Progress, Upload, UploadError, digest_of};
use nex_client::protocol::digest::Digest;
use nex_client::{Client, ConnectOptions};
use nex_testkit::TestNats;
use tokio::io::AsyncReadExt;

const MIB: usize = 1024 * 1024;

async fn connect(nats: &TestNats) -> Client {
    let options =
        ConnectOptions::new().server(nats.url()).no_context().timeout(Duration::from_secs(20));
    Client::connect(options).await.unwrap()
}

type IsExpected = fn(&UploadError) -> bool;

/// Bytes that do not repeat with any chunk size.
fn bytes(length: usize, seed: u32) -> Vec<u8> {
    let mut state = seed | 1;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

fn write(folder: &Path, name: &str, contents: &[u8]) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, contents).unwrap();
    path
}

async fn store(nats: &TestNats) -> ObjectStore {
    async_nats::jetstream::new(nats.client().await).get_object_store(DEFAULT_BUCKET).await.unwrap()
}

async fn read(store: &ObjectStore, key: &str) -> Vec<u8> {
    let mut contents = Vec::new();
    store.get(key).await.unwrap().read_to_end(&mut contents).await.unwrap();
    contents
}

async fn stored_bytes(nats: &TestNats) -> u64 {
    let jetstream = async_nats::jetstream::new(nats.client().await);
    let mut stream = jetstream.get_stream(format!("OBJ_{DEFAULT_BUCKET}")).await.unwrap();
    stream.info().await.unwrap().state.bytes
}

#[tokio::test]
async fn ten_mebibytes_arrive_whole_and_only_once() {
    let nats = TestNats::start().await;
    let client = connect(&nats).await;
    let contents = bytes(10 * MIB + 1, 7);
    let file = write(nats.folder(), "program", &contents);
    let upload = Upload::of_file(&file, "program").description("A test");

    let mut steps: Vec<Progress> = Vec::new();
    let sent = client.upload(&upload, |step| steps.push(step)).await.unwrap();
    let size = contents.len() as u64;
    assert_eq!((sent.size, sent.was_there), (size, false));
    assert_eq!(sent.artifact.digest, Digest::of(&contents));
    assert_eq!(sent.artifact.digest, digest_of(&file).await.unwrap());
    assert_eq!(steps.len(), 81, "full chunks of 128 KiB and a rest");
    assert!(steps.windows(2).all(|pair| pair[0].sent < pair[1].sent));
    assert!(steps.iter().all(|step| step.total == size));
    assert_eq!(steps.last().unwrap().sent, size);

    // Another client reads it, and checks the digest while it does.
    let store = store(&nats).await;
    assert!(read(&store, "program").await == contents, "the object differs from the file");
    let info = store.info("program").await.unwrap();
    assert_eq!(info.chunks, 81);
    assert_eq!(info.description.as_deref(), Some("A test"));

    let before = stored_bytes(&nats).await;
    let mut steps = 0;
    let again = client.upload(&upload, |_| steps += 1).await.unwrap();
    assert_eq!((again.was_there, steps), (true, 1));
    assert_eq!(again.artifact, sent.artifact);
    assert_eq!(stored_bytes(&nats).await, before);
}

#[tokio::test]
async fn a_changed_file_replaces_the_object_and_its_chunks() {
    let nats = TestNats::start().await;
    let client = connect(&nats).await;
    let old = bytes(MIB, 1);
    let file = write(nats.folder(), "program", &old);
    let upload = Upload::of_file(&file, "a folder/program.x");
    client.upload(&upload, |_| {}).await.unwrap();
    let before = stored_bytes(&nats).await;
    // Same size, other bytes: the digest tells.
    let new = bytes(MIB, 2);
    write(nats.folder(), "program", &new);
    let sent = client.upload(&upload, |_| {}).await.unwrap();
    assert!(!sent.was_there);
    assert_eq!(sent.artifact.location.key(), "a folder/program.x");
    assert!(read(&store(&nats).await, "a folder/program.x").await == new);
    let after = stored_bytes(&nats).await;
    assert!(after < before + 1024, "{before} → {after}");
}

#[tokio::test]
async fn bounded_buckets() {
    let nats = TestNats::start().await;
    let client = connect(&nats).await;
    let upload = |file: &Path, key: &str| Upload::of_file(file, key).bucket_bytes(3 * MIB as u64);
    let large = write(nats.folder(), "large", &bytes(4 * MIB, 1));
    let error = client.upload(&upload(&large, "large"), |_| {}).await.unwrap_err();
    assert!(matches!(error, UploadError::TooLarge { .. }), "{error:?}");

    let two = write(nats.folder(), "two", &bytes(2 * MIB, 1));
    client.upload(&upload(&two, "one"), |_| {}).await.unwrap();
    let error = client.upload(&upload(&two, "other"), |_| {}).await.unwrap_err();
    assert!(matches!(error, UploadError::BucketFull { .. }), "{error:?}");
    let left = stored_bytes(&nats).await;
    assert!(left < 5 * MIB as u64 / 2, "half an upload stays behind: {left}");
    assert_eq!(read(&store(&nats).await, "one").await.len(), 2 * MIB);

    // Old and new do not fit at once, but the new one takes the old one's place.
    let new = bytes(2 * MIB, 9);
    write(nats.folder(), "two", &new);
    client.upload(&upload(&two, "one"), |_| {}).await.unwrap();
    assert!(read(&store(&nats).await, "one").await == new);

    // Asked for more room, the bucket grows; asked for less, it stays.
    let roomy = Upload::of_file(&large, "large").bucket_bytes(16 * MIB as u64);
    client.upload(&roomy, |_| {}).await.unwrap();
    client.upload(&upload(&two, "third"), |_| {}).await.unwrap();
}

#[tokio::test]
async fn files_that_are_no_programs() {
    let nats = TestNats::start().await;
    let client = connect(&nats).await;
    let empty = write(nats.folder(), "empty", b"");
    let cases: [(PathBuf, IsExpected); 3] = [
        (empty, |error| matches!(error, UploadError::EmptyFile { .. })),
        (nats.folder().to_owned(), |error| matches!(error, UploadError::NotAFile { .. })),
        (nats.folder().join("nope"), |error| matches!(error, UploadError::Unreadable { .. })),
    ];
    for (path, expected) in cases {
        let error = client.upload(&Upload::of_file(&path, "x"), |_| {}).await.unwrap_err();
        assert!(expected(&error), "{error:?}");
    }
    let file = write(nats.folder(), "file", b"x");
    for (bucket, key) in [("a.b", "x"), ("A", ""), ("", "x")] {
        let upload = Upload::of_file(&file, key).bucket(bucket);
        let error = client.upload(&upload, |_| {}).await.unwrap_err();
        assert!(matches!(error, UploadError::Location(_)), "{error:?}");
    }
}

#[tokio::test]
async fn a_server_without_jetstream_is_named() {
    let nats = TestNats::options().without_jetstream().start().await;
    let client = connect(&nats).await;
    let file = write(nats.folder(), "file", b"x");
    let error = client.upload(&Upload::of_file(&file, "x"), |_| {}).await.unwrap_err();
    assert!(matches!(error, UploadError::NoJetStream { .. }), "{error:?}");
}

#[tokio::test]
async fn a_jetstream_domain_is_used_and_passed_on() {
    let nats = TestNats::options().jetstream_domain("hub").start().await;
    let file = write(nats.folder(), "file", b"x");
    let client = connect(&nats).await.with_jetstream_domain("hub");
    let sent = client.upload(&Upload::of_file(&file, "x"), |_| {}).await.unwrap();
    assert_eq!(sent.artifact.jetstream_domain.as_deref(), Some("hub"));
    let elsewhere = connect(&nats).await.with_jetstream_domain("nowhere");
    let error = elsewhere.upload(&Upload::of_file(&file, "x"), |_| {}).await.unwrap_err();
    assert!(matches!(error, UploadError::NoJetStream { .. }), "{error:?}");
}

#[tokio::test]
async fn a_small_payload_limit_makes_small_chunks() {
    let nats = TestNats::options().config("max_payload: 16384").start().await;
    let client = connect(&nats).await;
    let contents = bytes(100_000, 3);
    let file = write(nats.folder(), "file", &contents);
    client.upload(&Upload::of_file(&file, "x"), |_| {}).await.unwrap();
    assert!(read(&store(&nats).await, "x").await == contents);
}

#[tokio::test]
async fn two_uploads_at_once_create_one_bucket() {
    let nats = TestNats::start().await;
    let (one, two) = (connect(&nats).await, connect(&nats).await);
    let file = write(nats.folder(), "file", &bytes(MIB, 5));
    let (a, b) = (Upload::of_file(&file, "a"), Upload::of_file(&file, "b"));
    let (first, second) = tokio::join!(one.upload(&a, |_| {}), two.upload(&b, |_| {}));
    first.unwrap();
    second.unwrap();
    let store = store(&nats).await;
    assert!(read(&store, "a").await == read(&store, "b").await);
}
