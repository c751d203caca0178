//! Functions in JavaScript, with the agent that the node really runs.

use std::path::PathBuf;
use std::sync::OnceLock;

use nex_client::deploy::{Artifact, Workload, WorkloadBuilder};
use nex_protocol::config::{ByteSize, CompiledCacheFile, FunctionsFile};
use nex_protocol::control::WorkloadType;

use super::{Answer, call};
use crate::world::World;

/// The compiled engine of all tests of this run: making it is a second of work.
fn compiled() -> PathBuf {
    static DIR: OnceLock<tempfile::TempDir> = OnceLock::new();
    DIR.get_or_init(|| tempfile::tempdir().unwrap()).path().to_owned()
}

async fn world(functions: FunctionsFile) -> World {
    let cache = CompiledCacheFile {
        dir: Some(compiled().to_str().unwrap().to_owned()),
        ..CompiledCacheFile::default()
    };
    let functions = FunctionsFile { compiled_cache: Some(cache), ..functions };
    World::with(|config| config.functions(functions).workload_types([WorkloadType::V8])).await
}

fn script(name: &str, artifact: Artifact, trigger: &str) -> WorkloadBuilder {
    Workload::builder(name.parse().unwrap(), WorkloadType::V8, artifact)
        .trigger(trigger.parse().unwrap())
}

/// Does what its payload says.
const MOODY: &str = r#"
let calls = 0;
export default (subject, payload, context) => {
  calls += 1;
  const mood = new TextDecoder().decode(payload);
  if (mood === "throw") throw new Error("in a bad mood");
  if (mood === "loop") for (;;) {}
  if (mood === "memory") { const all = []; for (;;) all.push(new Array(10000).fill(mood)); }
  if (mood === "calls") return calls;
  if (mood === "subject") return subject;
  return payload;
};
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_script_answers_messages_and_what_it_does_wrong_is_told() {
    let functions = FunctionsFile { call_timeout_ms: Some(1_000), ..FunctionsFile::default() };
    let world = world(functions).await;
    let nats = world.nats.client().await;
    let artifact = world.upload_bytes("moody", MOODY.as_bytes()).await;
    let id = world.run(script("moody", artifact, "moody.*")).await;
    assert_eq!(call(&nats, "moody.x", "hello").await, Answer::raw("hello"));
    assert_eq!(call(&nats, "moody.y", "subject").await, Answer::raw("\"moody.y\""));
    let answer = call(&nats, "moody.x", "throw").await;
    let Answer::Failed(500, text) = &answer else { panic!("{answer:?}") };
    assert!(text.contains("in a bad mood"), "{text}");
    assert_eq!(call(&nats, "moody.x", "loop").await.code(), Some(504));
    let greedy = call(&nats, "moody.x", "memory").await;
    assert!(matches!(greedy.code(), Some(500 | 504 | 507)), "{greedy:?}");
    // Every call meets the world as the script left it.
    for _ in 0..3 {
        assert_eq!(call(&nats, "moody.x", "calls").await, Answer::raw("1"));
    }
    assert_eq!(world.node.workloads().get(id).unwrap().restarts, 0);
    assert!(world.end().await.clean);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_that_cannot_be_is_refused_with_the_reason() {
    let functions =
        FunctionsFile { max_script_bytes: Some(ByteSize::bytes(100)), ..FunctionsFile::default() };
    let world = world(functions).await;
    let refused = async |text: &str| {
        let artifact = world.upload_bytes("bad", text.as_bytes()).await;
        world.deploy(script("bad", artifact, "bad")).await.unwrap_err().to_string()
    };
    let text = refused("(subject, payload) => {\n  return payload +;\n}").await;
    assert!(text.contains("SyntaxError") || text.contains('2'), "{text}");
    let text = refused(&format!("() => 1 // {}", "x".repeat(100))).await;
    assert!(text.contains("functions.max_script_bytes"), "{text}");
    assert!(world.node.workloads().is_empty());
    assert!(world.end().await.clean);
}
