//! What a node does with a function: has it compiled, deploys it, calls it.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use nex_protocol::nats::{HeaderMap, Publish};
use serde_json::{Value, json};

use crate::node::{ID, Node};

/// Runs the agent's `compile` command.
pub(crate) fn compile(artifact: &[u8], output: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nex-agent"));
    command.args(["compile", "wasm", "--output"]).arg(output);
    let usual = ["--memory-bytes", "4294967296", "--seconds", "60"];
    command.args(if more.is_empty() { &usual } else { more });
    let mut child = command
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // One that gives up early does not read it all.
    let _ = child.stdin.take().unwrap().write_all(artifact);
    child.wait_with_output().unwrap()
}

/// What the command says about an artifact that it refuses.
pub(crate) fn refusal(wat: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("compiled");
    let compiled = compile(&wat::parse_str(wat).unwrap(), &output, &[]);
    assert_eq!(compiled.status.code(), Some(1), "{compiled:?}");
    assert!(std::fs::read_dir(folder.path()).unwrap().next().is_none(), "nothing is left");
    String::from_utf8(compiled.stderr).unwrap()
}

/// An answer to a call.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) body: Vec<u8>,
    pub(crate) error: Option<String>,
    pub(crate) code: Option<u16>,
}

impl Answer {
    pub(crate) fn read(publish: &Publish) -> Self {
        let headers = publish.headers.clone().unwrap();
        let runtime: u64 = headers.get("x-nex-runtime-ns").unwrap().parse().unwrap();
        assert!(runtime > 0);
        let answer = Self {
            body: publish.payload.to_vec(),
            error: headers.get("x-nex-error").map(str::to_owned),
            code: headers.get("x-nex-error-code").map(|code| code.parse().unwrap()),
        };
        assert_eq!(answer.error.is_some(), answer.code.is_some());
        assert!(answer.error.is_none() || answer.body.is_empty());
        answer
    }

    /// The body of a call that went well.
    pub(crate) fn text(&self) -> String {
        assert_eq!((&self.error, self.code), (&None, None));
        String::from_utf8(self.body.clone()).unwrap()
    }

    /// Kind and text of a failure.
    pub(crate) fn failure(&self) -> (u16, &str) {
        (self.code.expect("a failure"), self.error.as_deref().unwrap())
    }
}

impl Node {
    /// Writes text-form WebAssembly as a module or component into the node's folder.
    pub(crate) fn artifact(&self, wat: &str) -> PathBuf {
        let path = self.dir.path().join("artifact.wasm");
        std::fs::write(&path, wat::parse_str(wat).unwrap()).unwrap();
        path
    }

    /// A deploy request for a function in WebAssembly, compiled.
    pub(crate) fn function(&self, wat: &str, more: &Value) -> Value {
        let artifact = self.artifact(wat);
        let bytes = std::fs::read(&artifact).unwrap();
        let compiled = self.dir.path().join("compiled");
        let output = compile(&bytes, &compiled, &[]);
        assert!(output.status.success(), "{output:?}");
        let mut fields = json!({
            "workload_type": "wasm",
            "trigger_subjects": ["a.>"],
            "compiled_path": compiled,
        });
        for (field, value) in more.as_object().unwrap() {
            fields[field] = value.clone();
        }
        crate::node::request(artifact.to_str().unwrap(), &[], &fields)
    }

    /// Deploys a function in WebAssembly.
    pub(crate) fn run_function(&mut self, wat: &str, more: Value) {
        let request = self.function(wat, &more);
        let answer = self.request("deploy", &serde_json::to_vec(&request).unwrap());
        let answer: Value = serde_json::from_slice(&answer.payload).unwrap();
        assert_eq!(answer["accepted"], true, "{answer}");
        self.event("workload_started");
    }

    /// Sends a call on; answers where its answer will come.
    pub(crate) fn begin_call(&mut self, headers: &[(&str, &str)], payload: &[u8]) -> String {
        let mut map = HeaderMap::new();
        if !headers.iter().any(|(name, _)| *name == "x-nex-trigger-subject") {
            map.append("x-nex-trigger-subject", "a.b").unwrap();
        }
        for (name, value) in headers {
            map.append(name, value).unwrap();
        }
        let inbox = self.new_inbox();
        self.deliver_with(&format!("agentint.{ID}.trigger"), Some(&inbox), Some(&map), payload);
        inbox
    }

    /// Waits for the answer to a call.
    pub(crate) fn answer(&mut self, inbox: &str) -> Answer {
        Answer::read(&self.wait(|publish| publish.subject == *inbox))
    }

    /// Calls the function and waits for its answer.
    pub(crate) fn call(&mut self, payload: &[u8]) -> Answer {
        let inbox = self.begin_call(&[], payload);
        let answer = self.answer(&inbox);
        // Tests call thousands of times.
        self.published.retain(|publish| publish.subject != *inbox);
        answer
    }
}
