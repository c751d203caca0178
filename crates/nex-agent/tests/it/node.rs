//! A node that knows one agent: the server side of the protocol on a Unix socket.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use nex_protocol::nats::{
    ClientOp, ConnectOptions, Decoder, HeaderMap, Limits, PONG, Publish, ServerInfo, encode_info,
    encode_msg,
};
use serde_json::{Value, json};

/// Id of every agent here.
pub(crate) const ID: &str = "cohvl8bl5c0s73b2rcs0";
/// Its secret.
pub(crate) const SECRET: &str = "a-secret-of-the-link";
/// No test waits longer for anything.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// The node's side of one agent.
pub(crate) struct Node {
    pub(crate) agent: Child,
    pub(crate) dir: tempfile::TempDir,
    pub(crate) connect: ConnectOptions,
    stream: Option<UnixStream>,
    decoder: Decoder,
    /// (subject, sid)
    subscriptions: Vec<(String, String)>,
    /// Everything the agent has published, in order.
    pub(crate) published: Vec<Publish>,
    requests: usize,
    gone: bool,
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.agent.kill();
        let _ = self.agent.wait();
    }
}

/// A log line as the agent sends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) level: i64,
    pub(crate) source: String,
    pub(crate) text: String,
}

impl Node {
    /// Starts an agent and takes it through the handshake.
    pub(crate) fn with_agent() -> Self {
        Self::with_agent_and(|_| {})
    }

    /// The same, with a say in how the agent is started.
    pub(crate) fn with_agent_and(change: impl FnOnce(&mut Command)) -> Self {
        let mut node = Self::without_handshake(change);
        let handshake = node.wait(|publish| publish.subject.ends_with(".handshake"));
        let reply = handshake.reply.expect("the handshake is a request");
        node.deliver(&reply, None, b"{}");
        node.event("agent_started");
        node
    }

    /// Starts an agent and lets it connect; the handshake is not answered.
    pub(crate) fn without_handshake(change: impl FnOnce(&mut Command)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("bus");
        let listener = UnixListener::bind(&socket).unwrap();
        let work = dir.path().join("work");
        std::fs::create_dir(&work).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_nex-agent"));
        command
            .env_clear()
            .env("NEX_SANDBOX", "false")
            .env("NEX_WORKLOADID", ID)
            .env("NEX_NODE_SOCKET", &socket)
            .env("NEX_AGENT_SECRET", SECRET)
            .env("NEX_AGENT_WORKDIR", &work)
            .env("TMPDIR", dir.path())
            .stdin(Stdio::null())
            .stderr(Stdio::piped());
        change(&mut command);
        let agent = command.spawn().unwrap();
        let (stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let mut node = Self {
            agent,
            dir,
            connect: ConnectOptions::default(),
            stream: Some(stream),
            decoder: Decoder::new(Limits::default()),
            subscriptions: Vec::new(),
            published: Vec::new(),
            requests: 0,
            gone: false,
        };
        let mut out = BytesMut::new();
        let info = ServerInfo {
            server_id: "test".to_owned(),
            headers: true,
            max_payload: 1024 * 1024,
            proto: 1,
            ..ServerInfo::default()
        };
        encode_info(&mut out, &info).unwrap();
        node.send(&out);
        node
    }

    /// The folder that workloads start in.
    pub(crate) fn work(&self) -> PathBuf {
        self.dir.path().join("work")
    }

    fn send(&mut self, bytes: &[u8]) {
        if let Some(stream) = &mut self.stream {
            // An agent that has just left is noticed when reading.
            let _ = stream.write_all(bytes);
        }
    }

    /// Closes the connection, as a node that dies.
    pub(crate) fn cut(&mut self) {
        self.stream = None;
    }

    /// Sends a message to whatever subscription fits its subject.
    pub(crate) fn deliver(&mut self, subject: &str, reply: Option<&str>, payload: &[u8]) {
        self.deliver_with(subject, reply, None, payload);
    }

    /// The same with headers.
    pub(crate) fn deliver_with(
        &mut self,
        subject: &str,
        reply: Option<&str>,
        headers: Option<&HeaderMap>,
        payload: &[u8],
    ) {
        let sid = self
            .subscriptions
            .iter()
            .find(|(held, _)| {
                held == subject
                    || held.strip_suffix('*').is_some_and(|start| subject.starts_with(start))
            })
            .unwrap_or_else(|| panic!("nobody listens to {subject}"))
            .1
            .clone();
        let mut out = BytesMut::new();
        encode_msg(&mut out, subject, &sid, reply, headers, payload).unwrap();
        self.send(&out);
    }

    /// Reads what is there, or waits a moment for something.
    pub(crate) fn pump(&mut self) {
        let Some(stream) = &mut self.stream else { return };
        let mut buffer = vec![0; 256 * 1024];
        match stream.read(&mut buffer) {
            Ok(0) => self.gone = true,
            Ok(read) => self.decoder.push(&buffer[..read]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => self.gone = true,
        }
        while let Some(op) = self.decoder.next_client_op().unwrap() {
            match op {
                ClientOp::Connect(options) => self.connect = *options,
                ClientOp::Ping => self.send(PONG),
                ClientOp::Pong | ClientOp::Unsubscribe(_) => {}
                ClientOp::Subscribe(it) => {
                    self.subscriptions.push((it.subject.to_string(), it.sid.to_string()));
                }
                ClientOp::Publish(publish) => self.published.push(publish),
            }
        }
    }

    /// Waits until something that was published, now or before, fits.
    pub(crate) fn wait(&mut self, fits: impl Fn(&Publish) -> bool) -> Publish {
        let give_up_at = Instant::now() + DEADLINE;
        loop {
            if let Some(found) = self.published.iter().find(|publish| fits(publish)) {
                return found.clone();
            }
            if self.gone || Instant::now() > give_up_at {
                panic!("not published (agent gone: {}): {:#?}", self.gone, self.published);
            }
            self.pump();
        }
    }

    /// Asks the agent and waits for its answer.
    pub(crate) fn request(&mut self, what: &str, payload: &[u8]) -> Publish {
        let inbox = self.ask(what, payload);
        self.wait(|publish| publish.subject == *inbox)
    }

    /// Asks the agent; answers where the answer will come.
    pub(crate) fn ask(&mut self, what: &str, payload: &[u8]) -> String {
        let inbox = self.new_inbox();
        self.deliver(&format!("agentint.{ID}.{what}"), Some(&inbox), payload);
        inbox
    }

    /// A subject for an answer.
    pub(crate) fn new_inbox(&mut self) -> String {
        self.requests += 1;
        format!("_INBOX.test.{}", self.requests)
    }

    /// Deploys a program with arguments; answers the agent's answer.
    pub(crate) fn deploy(&mut self, program: &str, arguments: &[&str]) -> Value {
        self.deploy_with(program, arguments, json!({}))
    }

    /// The same with other fields of the request.
    pub(crate) fn deploy_with(&mut self, program: &str, arguments: &[&str], more: Value) -> Value {
        let request = request(program, arguments, &more);
        let answer = self.request("deploy", &serde_json::to_vec(&request).unwrap());
        serde_json::from_slice(&answer.payload).unwrap()
    }

    /// Deploys a shell script, given to a shell as an argument.
    pub(crate) fn run(&mut self, script: &str) {
        self.run_with(script, json!({}));
    }

    /// The same with other fields of the request.
    pub(crate) fn run_with(&mut self, script: &str, more: Value) {
        let answer = self.deploy_with(SHELL, &["-c", script], more);
        assert_eq!(answer["accepted"], true, "{answer}");
    }

    /// Waits for an event; answers its data.
    pub(crate) fn event(&mut self, kind: &str) -> Value {
        let subject = format!("agentint.{ID}.events.{kind}");
        let event = self.wait(|publish| publish.subject == *subject);
        let event: Value = serde_json::from_slice(&event.payload).unwrap();
        assert_eq!(event["specversion"], "1.0");
        assert_eq!(event["type"], kind);
        assert_eq!(event["source"], ID);
        event["data"].clone()
    }

    /// The log lines so far.
    pub(crate) fn lines(&self) -> Vec<Line> {
        self.published
            .iter()
            .filter(|publish| publish.subject.ends_with(".logs"))
            .map(|publish| {
                let log: Value = serde_json::from_slice(&publish.payload).unwrap();
                Line {
                    level: log["level"].as_i64().unwrap_or_default(),
                    source: log["source"].as_str().unwrap_or_default().to_owned(),
                    text: log["text"].as_str().unwrap_or_default().to_owned(),
                }
            })
            .collect()
    }

    /// The texts of the log lines so far.
    pub(crate) fn texts(&self) -> Vec<String> {
        self.lines().into_iter().map(|line| line.text).collect()
    }

    /// Waits for a log line and answers it.
    pub(crate) fn line(&mut self, fits: impl Fn(&str) -> bool) -> Line {
        let give_up_at = Instant::now() + DEADLINE;
        loop {
            if let Some(line) = self.lines().into_iter().find(|line| fits(&line.text)) {
                return line;
            }
            assert!(!self.gone && Instant::now() < give_up_at, "no such line: {:?}", self.texts());
            self.pump();
        }
    }

    /// Waits until the workload is over; answers what the agent says about it.
    pub(crate) fn end(&mut self) -> Value {
        self.event("workload_stopped")
    }

    /// Waits until the agent has left; answers its exit status.
    pub(crate) fn agent_exit(&mut self) -> ExitStatus {
        let give_up_at = Instant::now() + DEADLINE;
        loop {
            self.pump();
            if let Some(status) = self.agent.try_wait().unwrap() {
                self.pump();
                return status;
            }
            assert!(Instant::now() < give_up_at, "the agent does not leave");
        }
    }

    /// What the agent said on its standard error. Only after it left.
    pub(crate) fn last_words(&mut self) -> String {
        let mut text = String::new();
        self.agent.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        text
    }
}

/// A shell, which is an ELF program and does whatever a test needs.
pub(crate) const SHELL: &str = "/bin/sh";

/// A deploy request.
pub(crate) fn request(program: &str, arguments: &[&str], more: &Value) -> Value {
    let size = std::fs::metadata(program).map_or(1, |facts| facts.len());
    let mut request = json!({
        "argv": arguments,
        "description": "a test",
        "environment": {},
        "essential": false,
        "hash": "0".repeat(64),
        "namespace": "default",
        "total_bytes": size,
        "trigger_subjects": [],
        "workload_name": "probe",
        "workload_type": "elf",
        "artifact_path": program,
    });
    for (field, value) in more.as_object().unwrap() {
        request[field] = value.clone();
    }
    request
}

/// Waits until `done`.
pub(crate) fn until(what: &str, mut done: impl FnMut() -> bool) {
    let give_up_at = Instant::now() + DEADLINE;
    while !done() {
        assert!(Instant::now() < give_up_at, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whether a process exists and is no zombie.
pub(crate) fn is_alive(pid: &str) -> bool {
    let path = Path::new("/proc").join(pid.trim()).join("stat");
    std::fs::read_to_string(path).is_ok_and(|stat| !stat.contains(") Z"))
}
