//! `nex node up`: a node on this machine, until it is told to end.
//!
//! ```text
//! config ─▶ state dir ─▶ own nats-server? ─▶ connect ─▶ Node::start ─▶ ready
//!                                                           │ signal · task ended · nats-server given up
//!                                     second signal ◀─ drain ▼
//!                                          exit 1          exit 0 (clean) or 1
//! ```

mod own_log;
mod own_nats;

use std::time::{Duration, Instant};

use nex_client::{Client, ConnectOptions};
use nex_node::config::{Config, SandboxKind};
use nex_node::state::StateDir;
use nex_node::{Node, StartError, StopReport};
use serde_json::json;

use self::own_nats::OwnNats;
use super::node_config;
use crate::args::{GlobalArgs, UpArgs};
use crate::exit::Exit;
use crate::logging::WaitingLines;
use crate::output::Printer;
use crate::session;
use crate::signals::EndSignals;

pub(crate) async fn run(
    global: &GlobalArgs,
    args: UpArgs,
    own_log: Option<WaitingLines>,
    printer: &mut Printer,
) -> anyhow::Result<Exit> {
    let began = Instant::now();
    if args.end_with_parent {
        end_with_parent()?;
    }
    let (with_nats, nats_port) = (args.with_nats, args.nats_port);
    let config = node_config::checked(
        args.settings,
        |mut overrides| {
            overrides.with_nats = with_nats;
            overrides.nats_port = nats_port;
            overrides
        },
        printer,
    )?;
    // From here on a signal is a wish, not the end: a child has to be stopped.
    let mut signals = EndSignals::listen()?;
    let up = tokio::select! {
        up = Up::start(global, config, printer) => up?,
        () = signals.next() => {
            printer.message("interrupted before the node was ready");
            return Ok(Exit::Failed);
        }
    };
    if let Some(lines) = own_log {
        tokio::spawn(own_log::relay(lines, up.client.nats().clone(), up.node.id()));
    }
    up.announce(began, printer)?;
    let why = up.wait(&mut signals).await;
    up.stop(why, &mut signals, printer).await
}

/// Everything that runs.
struct Up {
    node: Node,
    client: Client,
    nats: Option<OwnNats>,
    drain: Duration,
}

/// Why the node is to end.
enum End {
    /// Somebody said so.
    Signal,
    /// A task without which it is none ended.
    Failed(&'static str),
    /// Its own nats-server cannot be kept alive.
    NatsGaveUp(String),
}

impl Up {
    async fn start(
        global: &GlobalArgs,
        config: Config,
        printer: &mut Printer,
    ) -> anyhow::Result<Self> {
        let drain = config.drain_deadline;
        // First of all: which of the user's state directories is free decides where the
        // nats-server keeps its data, too.
        let state = StateDir::open(config.state_dir.as_deref()).map_err(StartError::State)?;
        let nats = match &config.public_nats_server {
            Some(settings) => Some(OwnNats::start(state.path(), settings, printer).await?),
            None => None,
        };
        let options = match &nats {
            // A server of one's own is on this machine and asks for no login.
            Some(nats) => ConnectOptions::new()
                .no_context()
                .server(nats.url())
                .connection_name(&global.conn_name)
                .timeout(global.timeout()),
            None => session::connect_options(global),
        };
        let started = async {
            let client = Client::connect(options).await?;
            let node = Node::start_in(state, config, client.nats().clone()).await?;
            anyhow::Ok((client, node))
        };
        match started.await {
            Ok((client, node)) => Ok(Self { node, client, nats, drain }),
            Err(error) => {
                if let Some(nats) = nats {
                    nats.stop().await;
                }
                Err(error)
            }
        }
    }

    /// Says that the node is there, and how to reach it.
    fn announce(&self, began: Instant, printer: &mut Printer) -> anyhow::Result<()> {
        let ready = began.elapsed().as_millis();
        let nats = match &self.nats {
            Some(nats) => nats.url(),
            None => self.client.server().to_owned(),
        };
        let node = &self.node;
        printer.heading(&format!("nex node {} is ready in {ready} ms", node.name()));
        printer.message(&format!("  id         {}", node.id()));
        let own = if self.nats.is_some() { " (its own nats-server)" } else { "" };
        printer.message(&format!("  NATS       {nats}{own}"));
        printer.message(&format!("  sandbox    {}", sandbox_in_words(node.sandbox())));
        printer.message(&format!("  state dir  {}", node.state_dir().display()));
        // Last, so that whoever reads both has the messages by then.
        if printer.wants_json() {
            printer.item(&json!({
                "node_id": node.id(),
                "node_name": node.name(),
                "public_xkey": node.xkey().to_string(),
                "nats_url": nats,
                "own_nats": self.nats.is_some(),
                "sandbox": node.sandbox().as_str(),
                "state_dir": node.state_dir(),
                "ready_ms": u64::try_from(ready).unwrap_or(u64::MAX),
            }))?;
        }
        Ok(())
    }

    async fn wait(&self, signals: &mut EndSignals) -> End {
        let nats_gave_up = async {
            match &self.nats {
                Some(nats) => nats.gave_up().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = signals.next() => End::Signal,
            task = self.node.failed() => End::Failed(task),
            why = nats_gave_up => End::NatsGaveUp(why),
        }
    }

    async fn stop(
        self,
        why: End,
        signals: &mut EndSignals,
        printer: &mut Printer,
    ) -> anyhow::Result<Exit> {
        let Self { node, nats, drain, client } = self;
        let orderly = match why {
            End::Signal => true,
            End::Failed(task) => {
                printer
                    .error(&format!("the node's {task} ended by itself; its log above says why"));
                false
            }
            End::NatsGaveUp(why) => {
                printer.error(&why);
                false
            }
        };
        let running = node.workloads().len();
        printer.message(&format!(
            "stopping: {running} {} within {} s; a second signal ends everything at once",
            if running == 1 { "workload" } else { "workloads" },
            drain.as_secs()
        ));
        let StopReport { clean, .. } = tokio::select! {
            report = node.stop(drain) => report,
            () = signals.next() => {
                printer.message("second signal: ended at once");
                return Ok(Exit::Failed);
            }
        };
        // Closed before the server goes, which would look like an outage.
        drop(client);
        if let Some(nats) = nats {
            tokio::select! {
                () = nats.stop() => {}
                () = signals.next() => return Ok(Exit::Failed),
            }
        }
        if clean {
            printer.message("stopped");
        } else {
            printer.warning("stopped, but not everything ended in order; what was left was killed");
        }
        Ok(if clean && orderly { Exit::Ok } else { Exit::Failed })
    }
}

fn sandbox_in_words(sandbox: SandboxKind) -> &'static str {
    match sandbox {
        SandboxKind::Process => "process: no isolation, workloads run with your rights",
        SandboxKind::Namespace => "namespace: Linux namespaces, seccomp, landlock, cgroups",
    }
}

/// Asks the system for SIGTERM when the process that started this one ends.
fn end_with_parent() -> anyhow::Result<()> {
    let parent = rustix::process::getppid();
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM))?;
    // It may have ended before it could be watched.
    if rustix::process::getppid() != parent {
        anyhow::bail!("the program that started this node has ended");
    }
    Ok(())
}
