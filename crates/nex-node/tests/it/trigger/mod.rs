//! Functions on a node in this process: with an agent made of this test program, which does what a
//! call tells it to, and with the real one.

mod agent;
mod calls;
mod life;
mod limits;
mod micro;
mod wasm;

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use async_nats::{Client, HeaderMap, Message, Subject};
use bytes::Bytes;
use futures_util::StreamExt as _;
use nex_client::deploy::{Artifact, Workload, WorkloadBuilder};
use nex_node::config::ConfigBuilder;
use nex_protocol::config::FunctionsFile;
use nex_protocol::control::WorkloadType;
use nex_protocol::name::WorkloadId;

use crate::world::World;

/// A call in a test is answered at once, or something is wrong.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A world whose agents are this test program: see [`agent`].
pub(crate) async fn pretend(functions: FunctionsFile) -> World {
    World::with(|config| pretending(config, functions)).await
}

/// A configuration of a node whose agents are this test program.
pub(crate) fn pretending(config: ConfigBuilder, functions: FunctionsFile) -> ConfigBuilder {
    config.functions(functions).workload_types([WorkloadType::Wasm]).agent(script())
}

/// What a node runs as its agent: this program again, as the one test that is an agent.
fn script() -> std::path::PathBuf {
    static SCRIPT: std::sync::OnceLock<(tempfile::TempDir, std::path::PathBuf)> =
        std::sync::OnceLock::new();
    let (_, path) = SCRIPT.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agent");
        let program = std::env::current_exe().unwrap();
        let text = format!(
            "#!/bin/sh\n\
             case \"$1\" in\n\
             engine-key) echo c0ffee00c0ffee00 ;;\n\
             compile) cat > \"$4\" ;;\n\
             *) exec {} trigger::agent::serve --exact --ignored --quiet --nocapture ;;\n\
             esac\n",
            program.display()
        );
        // Written by another process: a file that is open for writing anywhere, such as in a
        // child that another test forks just now, cannot be executed.
        let written = std::process::Command::new("sh")
            .args(["-c", "printf %s \"$1\" > \"$0\" && chmod 755 \"$0\""])
            .args([path.as_os_str(), text.as_ref()])
            .status();
        assert!(written.unwrap().success());
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o755);
        (dir, path)
    });
    path.clone()
}

/// A function that is called on `triggers`.
pub(crate) fn function(name: &str, artifact: Artifact, triggers: &[&str]) -> WorkloadBuilder {
    let builder = Workload::builder(name.parse().unwrap(), WorkloadType::Wasm, artifact);
    triggers.iter().fold(builder, |builder, subject| builder.trigger(subject.parse().unwrap()))
}

impl World {
    /// Deploys a function of the pretended agent.
    pub(crate) async fn pretended(&self, name: &str, triggers: &[&str]) -> WorkloadId {
        let artifact = self.upload_bytes(name, name.as_bytes()).await;
        self.run(function(name, artifact, triggers)).await
    }
}

/// What came back from a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// An answer, with nothing of ours about it.
    Raw(Bytes),
    /// A failure: the code and the text.
    Failed(u16, String),
    /// Nobody listens.
    Nobody,
}

impl Answer {
    pub(crate) fn raw(text: impl Into<Bytes>) -> Self {
        Self::Raw(text.into())
    }

    pub(crate) fn code(&self) -> Option<u16> {
        if let Self::Failed(code, _) = self { Some(*code) } else { None }
    }
}

pub(crate) async fn call(nats: &Client, subject: &str, payload: impl Into<Bytes>) -> Answer {
    call_with(nats, subject, HeaderMap::new(), payload).await
}

pub(crate) async fn call_with(
    nats: &Client,
    subject: &str,
    headers: HeaderMap,
    payload: impl Into<Bytes>,
) -> Answer {
    let inbox = nats.new_inbox();
    let mut answers = nats.subscribe(inbox.clone()).await.unwrap();
    let (subject, reply) = (Subject::from(subject), Subject::from(inbox));
    let sent = if headers.is_empty() {
        nats.publish_with_reply(subject.clone(), reply, payload.into()).await
    } else {
        nats.publish_with_reply_and_headers(subject.clone(), reply, headers, payload.into()).await
    };
    sent.unwrap();
    let answer = tokio::time::timeout(PATIENCE, answers.next()).await;
    read(answer.unwrap_or_else(|_| panic!("no answer on {subject}")).unwrap())
}

fn read(message: Message) -> Answer {
    if message.status == Some(async_nats::StatusCode::NO_RESPONDERS) {
        return Answer::Nobody;
    }
    let Some(headers) = message.headers else { return Answer::Raw(message.payload) };
    let code = headers.get("Nats-Service-Error-Code").expect("no headers but those of a failure");
    let text = headers.get("Nats-Service-Error").unwrap().to_string();
    assert_eq!(headers.len(), 2, "{headers:?}");
    assert!(message.payload.is_empty());
    Answer::Failed(code.as_str().parse().unwrap(), text)
}
