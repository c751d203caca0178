//! A real `nats-server` for one test.

use std::fmt::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use std::{fs, io};

use async_nats::{Client, ConnectOptions};
use nkeys::KeyPair;
use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;

use crate::tls::TestTls;
use crate::wait::{wait_for, wait_for_async};
use crate::{DEADLINE, nats_server_binary, spawner};

/// How long a server may take to end after SIGTERM before it is killed.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// How a [`TestNats`] is set up. Plain with JetStream unless told otherwise.
#[derive(Debug, Default, Clone)]
pub struct TestNatsOptions {
    auth: Auth,
    tls: Option<TlsMode>,
    domain: Option<String>,
    extra: String,
    without_jetstream: bool,
}

#[derive(Debug, Default, Clone)]
enum Auth {
    #[default]
    Open,
    Password {
        user: String,
        password: String,
    },
    Token(String),
    NKey {
        seed: String,
        public: String,
    },
}

#[derive(Debug, Clone, Copy)]
struct TlsMode {
    ask_client: bool,
    first: bool,
}

impl TestNatsOptions {
    /// Asks clients for this user and password.
    #[must_use]
    pub fn password(mut self, user: &str, password: &str) -> Self {
        self.auth = Auth::Password { user: user.to_owned(), password: password.to_owned() };
        self
    }

    /// Asks clients for this token.
    #[must_use]
    pub fn token(mut self, token: &str) -> Self {
        self.auth = Auth::Token(token.to_owned());
        self
    }

    /// Admits one fresh user nkey; its seed is [`TestNats::nkey_seed`].
    ///
    /// # Panics
    /// When no key can be made.
    #[must_use]
    pub fn nkey(mut self) -> Self {
        let pair = KeyPair::new_user();
        match pair.seed() {
            Ok(seed) => self.auth = Auth::NKey { seed, public: pair.public_key() },
            Err(error) => panic!("cannot make a user nkey: {error}"),
        }
        self
    }

    /// Speaks TLS with a fresh certificate; see [`TestNats::tls`].
    #[must_use]
    pub fn tls(mut self) -> Self {
        self.tls = Some(TlsMode { ask_client: false, first: false });
        self
    }

    /// Like [`TestNatsOptions::tls`], and asks the client for its certificate.
    #[must_use]
    pub fn mutual_tls(mut self) -> Self {
        self.tls = Some(TlsMode { ask_client: true, first: false });
        self
    }

    /// Like [`TestNatsOptions::tls`], with the handshake before the server's greeting.
    #[must_use]
    pub fn tls_first(mut self) -> Self {
        self.tls = Some(TlsMode { ask_client: false, first: true });
        self
    }

    /// Names the JetStream domain.
    #[must_use]
    pub fn jetstream_domain(mut self, domain: &str) -> Self {
        self.domain = Some(domain.to_owned());
        self
    }

    /// Runs without JetStream.
    #[must_use]
    pub fn without_jetstream(mut self) -> Self {
        self.without_jetstream = true;
        self
    }

    /// Adds text to the server's configuration file, e.g. `accounts { … }`.
    #[must_use]
    pub fn config(mut self, text: &str) -> Self {
        self.extra.push_str(text);
        self.extra.push('\n');
        self
    }

    /// Starts the server and returns once it accepts clients.
    ///
    /// # Panics
    /// When it does not start, with what it logged.
    pub async fn start(self) -> TestNats {
        TestNats::start_with(self).await
    }
}

/// A running `nats-server` on loopback, gone when this value is dropped or
/// when the test process dies.
#[derive(Debug)]
pub struct TestNats {
    options: TestNatsOptions,
    folder: TempDir,
    tls: Option<TestTls>,
    port: u16,
    child: Option<Child>,
}

impl TestNats {
    /// Starts a plain server with JetStream on a random loopback port.
    ///
    /// # Panics
    /// When it does not start, with what it logged.
    pub async fn start() -> Self {
        TestNatsOptions::default().start().await
    }

    /// Options other than plain.
    #[must_use]
    pub fn options() -> TestNatsOptions {
        TestNatsOptions::default()
    }

    async fn start_with(options: TestNatsOptions) -> Self {
        let folder = match tempfile::Builder::new().prefix("nex-test-nats-").tempdir() {
            Ok(folder) => folder,
            Err(error) => panic!("cannot make a folder for nats-server: {error}"),
        };
        let tls = options.tls.map(|_| TestTls::generate(folder.path()));
        let mut server = Self { options, folder, tls, port: 0, child: None };
        server.write_config();
        server.launch("-1").await;
        server
    }

    /// URL of the server, without credentials. It stays the same over restarts.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "tls" } else { "nats" };
        format!("{scheme}://127.0.0.1:{}", self.port)
    }

    /// The loopback port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Process id of the server; `None` while it is stopped.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// The certificates, where the server speaks TLS.
    #[must_use]
    pub fn tls(&self) -> Option<&TestTls> {
        self.tls.as_ref()
    }

    /// Seed of the user that [`TestNatsOptions::nkey`] made.
    #[must_use]
    pub fn nkey_seed(&self) -> Option<&str> {
        match &self.options.auth {
            Auth::NKey { seed, .. } => Some(seed),
            Auth::Open | Auth::Password { .. } | Auth::Token(_) => None,
        }
    }

    /// Folder of the server: its configuration, log, certificates and data.
    /// Tests may put their own files beside them.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What the server logged since it was last started.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// A fresh connection with the credentials of the options.
    ///
    /// # Panics
    /// When the server refuses it.
    pub async fn client(&self) -> Client {
        self.client_with(self.connect_options()).await
    }

    /// Connect options that this server admits, for tests that change them.
    #[must_use]
    pub fn connect_options(&self) -> ConnectOptions {
        let options = match self.options.auth.clone() {
            Auth::Open => ConnectOptions::new(),
            Auth::Password { user, password } => {
                ConnectOptions::with_user_and_password(user, password)
            }
            Auth::Token(token) => ConnectOptions::with_token(token),
            Auth::NKey { seed, .. } => ConnectOptions::with_nkey(seed),
        };
        let Some(tls) = &self.tls else { return options };
        let options = options.add_root_certificates(tls.ca.clone()).require_tls(true);
        match self.options.tls {
            Some(TlsMode { first: true, .. }) => options.tls_first(),
            Some(TlsMode { ask_client: true, .. }) => {
                options.add_client_certificate(tls.client_cert.clone(), tls.client_key.clone())
            }
            Some(_) | None => options,
        }
    }

    /// A fresh connection with options of the test's own.
    ///
    /// # Panics
    /// When the server refuses it.
    pub async fn client_with(&self, options: ConnectOptions) -> Client {
        match options.connect(self.url()).await {
            Ok(client) => client,
            Err(error) => panic!("cannot connect to {}: {error}\n{}", self.url(), self.log()),
        }
    }

    /// Stops the server in order, as an operator would. Its data stays.
    ///
    /// # Panics
    /// When it cannot be signalled.
    pub async fn stop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        signal(&child, Signal::TERM);
        let ended = tokio::time::timeout(STOP_GRACE, async {
            wait_for(DEADLINE, "the end of nats-server", || child.try_wait().transpose()).await
        });
        if ended.await.is_err() {
            kill_and_reap(&mut child);
        }
    }

    /// Kills the server at once, as a crash would. Its data stays.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            kill_and_reap(&mut child);
        }
    }

    /// Starts a stopped server again on its port with its data; a running one
    /// is stopped first.
    ///
    /// # Panics
    /// When it does not start, with what it logged.
    pub async fn restart(&mut self) {
        self.stop().await;
        // Somebody's outgoing connection may sit on the port for a moment.
        let port = self.port;
        wait_for(DEADLINE, format_args!("port {port} to be free"), || {
            std::net::TcpListener::bind(("127.0.0.1", port)).ok()
        })
        .await;
        self.launch(&port.to_string()).await;
    }

    fn config_file(&self) -> PathBuf {
        self.folder.path().join("nats.conf")
    }

    fn log_file(&self) -> PathBuf {
        self.folder.path().join("nats.log")
    }

    fn ports_folder(&self) -> PathBuf {
        self.folder.path().join("ports")
    }

    fn write_config(&self) {
        let mut text = String::from("server_name: nex-test\n");
        // Writing to a String does not fail.
        let _ = self.compose(&mut text);
        if let Err(error) = fs::write(self.config_file(), text) {
            panic!("cannot write {}: {error}", self.config_file().display());
        }
    }

    fn compose(&self, text: &mut String) -> std::fmt::Result {
        if !self.options.without_jetstream {
            writeln!(text, "jetstream {{ store_dir: {:?}", self.folder.path().join("data"))?;
            if let Some(domain) = &self.options.domain {
                writeln!(text, "domain: {domain:?}")?;
            }
            writeln!(text, "}}")?;
        }
        match &self.options.auth {
            Auth::Open => {}
            Auth::Password { user, password } => {
                writeln!(text, "authorization {{ user: {user:?}, password: {password:?} }}")?;
            }
            Auth::Token(token) => writeln!(text, "authorization {{ token: {token:?} }}")?,
            Auth::NKey { public, .. } => {
                writeln!(text, "authorization {{ users: [ {{ nkey: {public} }} ] }}")?;
            }
        }
        if let (Some(tls), Some(mode)) = (&self.tls, self.options.tls) {
            writeln!(
                text,
                "tls {{ cert_file: {:?}, key_file: {:?}, ca_file: {:?}, verify: {}, \
                 handshake_first: {} }}",
                tls.server_cert, tls.server_key, tls.ca, mode.ask_client, mode.first
            )?;
        }
        text.push_str(&self.options.extra);
        Ok(())
    }

    async fn launch(&mut self, port: &str) {
        let ports = self.ports_folder();
        if let Err(error) = self.spawn(port, &ports) {
            panic!("cannot start {}: {error}", nats_server_binary().display());
        }
        let pid = self.pid();
        // The server writes the file when it listens; it is named after its process.
        let ready = wait_for_async(DEADLINE, "nats-server to listen", || {
            let found = self.listening_port(&ports);
            std::future::ready(found.map(Ok).or_else(|| self.early_end().map(Err)))
        });
        match ready.await {
            Ok(port) => self.port = port,
            Err(status) => {
                panic!("nats-server ({pid:?}) ended with {status} at start:\n{}", self.log())
            }
        }
    }

    fn spawn(&mut self, port: &str, ports: &Path) -> io::Result<()> {
        let _ = fs::remove_dir_all(ports);
        fs::create_dir(ports)?;
        let log = fs::File::create(self.log_file())?;
        let mut command = Command::new(nats_server_binary());
        command.args(["--addr", "127.0.0.1", "--port", port, "--config"]);
        command.arg(self.config_file()).arg("--ports_file_dir").arg(ports);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        self.child = Some(spawner::spawn_bound(command)?);
        Ok(())
    }

    fn listening_port(&self, ports: &Path) -> Option<u16> {
        let file = fs::read_dir(ports).ok()?.flatten().next()?.path();
        // A file that is half written does not parse: looked at again.
        let ports: serde_json::Value = serde_json::from_slice(&fs::read(file).ok()?).ok()?;
        let url = ports.get("nats")?.get(0)?.as_str()?;
        url.rsplit_once(':')?.1.parse().ok()
    }

    fn early_end(&mut self) -> Option<String> {
        let status = self.child.as_mut()?.try_wait().ok()??;
        Some(
            status.signal().map_or_else(|| status.to_string(), |signal| format!("signal {signal}")),
        )
    }
}

impl Drop for TestNats {
    fn drop(&mut self) {
        self.kill();
    }
}

fn signal(child: &Child, signal: Signal) {
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // Fails only when it ended by itself, which the wait after it sees.
        let _ = kill_process_group(group, signal);
    }
}

fn kill_and_reap(child: &mut Child) {
    signal(child, Signal::KILL);
    let _ = child.wait();
}
