//! The node as a whole: what it is made of, how it starts, drains and stops.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;
use nex_protocol::{
    control::{NodeTag, WorkloadType, go_arch, go_os},
    key::CurvePublicKey,
    name::NodeId,
    uptime::format_uptime,
};
use tokio::{
    sync::{Semaphore, watch},
    task::JoinHandle,
    time::{Instant, MissedTickBehavior, interval, timeout_at},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    StartError,
    artifact::{ArtifactCache, ObjectSource},
    bus::{BusConfig, BusLimits, Endpoint, LegacyPolicy},
    compile::Compiler,
    config::{Config, SandboxChoice, SandboxKind},
    control::{Handler, Listener, NodeFacts},
    deploy::Deployer,
    host::{HostServices, http::SystemResolver},
    observe::{Outbox, Publisher},
    pool::Pool,
    sandbox::{
        Driver, Launcher, NamespaceDriver, ProcessDriver, StopReason,
        agent_image::agent_image,
        namespace::{CgroupSupport, Cgroups, remove_leftovers},
    },
    state::StateDir,
    trigger::Triggers,
    workload::{Snapshot, Table},
};

/// How often a node says that it is there.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// So many messages of the largest size may wait for an agent to read them.
const LARGE_MESSAGES: usize = 16;

/// After the drain the rest of a stop, such as the last events, has this long.
const STOP_SLACK: Duration = Duration::from_secs(3);

/// A running node. Dropping it kills what runs on it; [`Node::stop`] is the
/// orderly way.
///
/// ```no_run
/// use std::time::Duration;
/// use nex_node::{Node, config::{Config, SandboxChoice}};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let config = Config::builder().sandbox(SandboxChoice::Process).build()?;
/// let nats = async_nats::connect("nats://127.0.0.1:4222").await?;
/// let node = Node::start(config, nats).await?;
/// println!("{}", node.id());
/// node.lame_duck();
/// let report = node.stop(Duration::from_secs(30)).await;
/// assert!(report.clean);
/// # Ok(())
/// # }
/// ```
pub struct Node {
    facts: Arc<NodeFacts>,
    name: String,
    config: Arc<Config>,
    handler: Arc<Handler>,
    publisher: Publisher,
    table: Table,
    pool: Pool,
    sandboxes: TaskTracker,
    stages: Stages,
    critical: Critical,
    nats: async_nats::Client,
    endpoint: Endpoint,
    /// Keeps the lock on the state directory.
    state: StateDir,
}

/// The parts of a node end in this order, each only when the one before it did.
struct Stages {
    /// No more control requests.
    control: CancellationToken,
    /// No more sandboxes; those that are left die.
    work: CancellationToken,
    /// No more events and logs.
    outbox: CancellationToken,
}

/// The tasks without which a node is none. One that ends early is a failure.
struct Critical {
    control: JoinHandle<()>,
    work: Vec<JoinHandle<()>>,
    outbox: JoinHandle<()>,
    failed: watch::Receiver<Option<&'static str>>,
}

/// How a node stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StopReport {
    /// Every workload ended within the deadline, in order.
    pub clean: bool,
    /// Workloads that ran when the stop began.
    pub workloads: usize,
}

impl Node {
    /// Starts a node on a NATS connection. When this returns, the node answers
    /// control requests; its first sandbox may still be on its way.
    ///
    /// # Errors
    /// A [`StartError`]: one line with the cause and the next step.
    pub async fn start(config: Config, nats: async_nats::Client) -> Result<Self, StartError> {
        let state = StateDir::open(config.state_dir.as_deref()).map_err(StartError::State)?;
        Self::start_in(state, config, nats).await
    }

    /// Like [`Node::start`], in a state directory that is open already: for a program that keeps
    /// something of its own there, such as the data of a NATS server that the node is to use.
    ///
    /// # Errors
    /// A [`StartError`]: one line with the cause and the next step.
    pub async fn start_in(
        state: StateDir,
        config: Config,
        nats: async_nats::Client,
    ) -> Result<Self, StartError> {
        let started_at = Instant::now();
        let config = Arc::new(config);
        let identity = state.identity();
        let node = NodeId::try_from(identity.node.public()).map_err(|_| StartError::Identity)?;
        let xkey = identity.xkey.clone();
        let name = config.node_name.clone().unwrap_or_else(|| state.node_name().to_owned());

        let cache_dir = config.artifact_cache.dir.clone();
        let cache = ArtifactCache::open(
            &cache_dir.unwrap_or_else(|| state.artifacts()),
            config.artifact_cache.max_bytes,
            config.limits.max_artifact_bytes,
        )
        .map_err(StartError::Cache)?;
        let agent = agent_program(&config, &state)?;
        let legacy = config.legacy_agents && config.agent_path.is_some();
        let compiled = config.functions.compiled_cache.dir.clone();
        let compiled = compiled.unwrap_or_else(|| state.compiled());
        let shown = vec![cache.folder(), compiled.clone()];
        let driver = driver(&config, &state, agent.clone(), shown).await?;
        let compiler = (!legacy).then(|| Compiler::new(agent, compiled, &config.functions));
        let endpoint = Endpoint::start(BusConfig {
            unix: state.bus_socket().to_owned(),
            tcp: config.bus_tcp,
            legacy: config.legacy_agents.then(LegacyPolicy::default),
            limits: bus_limits(&nats),
        })
        .await
        .map_err(StartError::Bus)?;

        let stages = Stages {
            control: CancellationToken::new(),
            work: CancellationToken::new(),
            outbox: CancellationToken::new(),
        };
        let (failures, failed) = watch::channel(None);
        let guard = |name: &'static str, stage: &CancellationToken| Guard {
            name,
            stage: stage.clone(),
            failures: failures.clone(),
        };

        let (outbox, task) = Outbox::start(nats.clone(), stages.outbox.clone());
        let outbox_task = tokio::spawn(guard("outbox", &stages.outbox).watch(task));
        let publisher = Publisher::new(node, outbox);
        let resolver = Arc::new(SystemResolver::default());
        let host = HostServices::new(nats.clone(), &config.host_services, resolver)
            .map_err(StartError::HostServices)?;
        let sandboxes = TaskTracker::new();
        let launcher = Launcher {
            driver: Arc::clone(&driver),
            endpoint: endpoint.clone(),
            publisher: publisher.clone(),
            host,
            dir: state.sandboxes(),
            tasks: sandboxes.clone(),
            legacy,
            handshake_timeout: config.handshake_timeout,
        };
        let (table, task) = Table::start(launcher.clone(), stages.work.clone());
        let table_task = tokio::spawn(guard("workload table", &stages.work).watch(task));
        let (pool, task) = Pool::start(launcher, config.pool_size, stages.work.clone());
        let pool_task = tokio::spawn(guard("sandbox pool", &stages.work).watch(task));

        let triggers = Triggers::start(
            nats.clone(),
            node,
            publisher.clone(),
            &config.functions,
            stages.work.clone(),
        );
        let (triggers, task) = triggers.await.map_err(StartError::Subscribe)?;
        let triggers_task = tokio::spawn(guard("triggers", &stages.work).watch(task));
        if let Some(compiler) = &compiler
            && config.workload_types.contains(&WorkloadType::V8)
        {
            tokio::spawn(prepare(compiler.clone(), stages.work.clone()));
        }

        let facts = Arc::new(NodeFacts {
            id: node,
            xkey: xkey.public(),
            started_at,
            tags: tags(&config, driver.kind(), &name),
            sandbox: driver.kind(),
        });
        let handler = Arc::new(Handler {
            facts: Arc::clone(&facts),
            config: Arc::clone(&config),
            deployer: Deployer {
                config: Arc::clone(&config),
                xkey: Arc::new(xkey),
                objects: ObjectSource::new(nats.clone()),
                cache,
                pool: pool.clone(),
                table: table.clone(),
                triggers,
                compiler,
                turns: Arc::new(Semaphore::new(config.limits.max_concurrent_deploys)),
            },
            table: table.clone(),
            publisher: publisher.clone(),
            lame_duck: Arc::new(AtomicBool::new(false)),
        });
        let listener = Listener::subscribe(&nats, node).await?;
        let task = listener.run(Arc::clone(&handler), stages.control.clone());
        let control_task = tokio::spawn(guard("control API", &stages.control).watch(task));
        Listener::confirm(&nats, node).await?;
        publisher.node_started();
        tokio::spawn(beat(Arc::clone(&handler), publisher.clone(), stages.work.clone()));

        let critical = Critical {
            control: control_task,
            work: vec![table_task, pool_task, triggers_task],
            outbox: outbox_task,
            failed,
        };
        Ok(Self {
            facts,
            name,
            config,
            handler,
            publisher,
            table,
            pool,
            sandboxes,
            stages,
            critical,
            nats,
            endpoint,
            state,
        })
    }

    /// The node's id: its public key (`N…`).
    pub fn id(&self) -> NodeId {
        self.facts.id
    }

    /// The key that environments for this node are sealed for (`X…`).
    pub fn xkey(&self) -> CurvePublicKey {
        self.facts.xkey
    }

    /// The node's name, as in its tag `node_name`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The checked configuration that it runs with.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What its workloads are put into.
    pub fn sandbox(&self) -> SandboxKind {
        self.facts.sandbox
    }

    /// Where it keeps its state.
    pub fn state_dir(&self) -> PathBuf {
        self.state.path().to_owned()
    }

    /// The bus over TCP, if it listens there.
    pub fn bus_address(&self) -> Option<std::net::SocketAddr> {
        self.endpoint.tcp()
    }

    /// What runs now.
    pub fn workloads(&self) -> Arc<Snapshot> {
        self.table.snapshot()
    }

    /// Waits until the pool holds a warm sandbox.
    ///
    /// # Errors
    /// The reason why there is none, as a deploy would get it.
    pub async fn warm(&self) -> Result<(), crate::pool::ClaimError> {
        self.pool.warm().await
    }

    /// From now on the node refuses deploys; what runs goes on.
    pub fn lame_duck(&self) {
        self.handler.enter_lame_duck();
    }

    /// Resolves when a task ended without which the node is none, with its name.
    pub async fn failed(&self) -> &'static str {
        let mut failed = self.critical.failed.clone();
        match failed.wait_for(Option::is_some).await {
            Ok(name) => name.unwrap_or("node"),
            Err(_) => "node",
        }
    }

    /// Stops the node: no new requests, those under way are finished, every
    /// workload is stopped with its grace. What still runs after `deadline` is
    /// killed.
    pub async fn stop(self, deadline: Duration) -> StopReport {
        let end = Instant::now() + deadline;
        self.handler.lame_duck.store(true, Ordering::SeqCst);
        self.stages.control.cancel();
        let answered = timeout_at(end, self.critical.control).await.is_ok();

        let snapshot = self.table.snapshot();
        let grace = self.config.stop_grace.min(deadline);
        let stops = snapshot
            .iter()
            .map(|status| self.table.stop(status.workload.id, StopReason::NodeStopping, grace));
        let stopped = timeout_at(end, join_all(stops)).await.is_ok();

        self.stages.work.cancel();
        self.sandboxes.close();
        let rest = async {
            for task in self.critical.work {
                let _ = task.await;
            }
            self.sandboxes.wait().await;
        };
        let killed = timeout_at(end.max(Instant::now()) + STOP_SLACK, rest).await.is_ok();
        let clean = answered && stopped && killed;

        self.publisher.node_stopped(clean);
        self.stages.outbox.cancel();
        // With NATS away the last events cannot be told to anybody.
        let _ = timeout_at(Instant::now() + STOP_SLACK, self.critical.outbox).await;
        drop(self.nats);
        drop(self.endpoint);
        drop(self.state);
        StopReport { clean, workloads: snapshot.len() }
    }
}

/// Reports a task that ended although nobody had stopped its stage.
struct Guard {
    name: &'static str,
    stage: CancellationToken,
    failures: watch::Sender<Option<&'static str>>,
}

impl Guard {
    async fn watch(self, task: impl Future<Output = ()> + Send) {
        // Reports on drop too: a panic unwinds through here.
        let guard = self;
        task.await;
        drop(guard);
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if !self.stage.is_cancelled() {
            tracing::error!(task = self.name, "ended although the node goes on");
            self.failures.send_replace(Some(self.name));
        }
    }
}

async fn beat(handler: Arc<Handler>, publisher: Publisher, stop: CancellationToken) {
    let mut ticks = interval(HEARTBEAT);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first tick comes at once; `node_started` says as much.
    ticks.tick().await;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {
                let uptime = format_uptime(handler.facts.started_at.elapsed());
                let running = handler.table.snapshot().len() as u64;
                publisher.heartbeat(uptime, handler.tags(), running);
            }
        }
    }
}

/// What makes the sandboxes that the configuration asks for, and nothing weaker. Agents read
/// artifacts and their machine code in the folders `shown`.
async fn driver(
    config: &Config,
    state: &StateDir,
    agent: PathBuf,
    shown: Vec<PathBuf>,
) -> Result<Arc<dyn Driver>, StartError> {
    let choice = config.sandbox;
    let legacy = config.legacy_agents && config.agent_path.is_some();
    match choice {
        SandboxChoice::Firecracker | SandboxChoice::Qemu => Err(StartError::NotBuilt(choice)),
        SandboxChoice::Process if legacy => Ok(Arc::new(ProcessDriver::legacy(agent))),
        SandboxChoice::Process => Ok(Arc::new(ProcessDriver::new(agent))),
        SandboxChoice::Namespace | SandboxChoice::Auto if legacy => {
            Err(StartError::LegacyIsolation(choice))
        }
        SandboxChoice::Namespace | SandboxChoice::Auto => {
            remove_leftovers(&state.sandboxes());
            let cgroups = Cgroups::open(state.path());
            let driver = NamespaceDriver::new(agent, shown, config.namespace.clone(), cgroups)
                .map_err(StartError::ShownFolder)?;
            driver.probe(&state.sandboxes()).await.map_err(|source| StartError::NoIsolation {
                choice,
                remedy: crate::preflight::remedy_for_namespaces(),
                source,
            })?;
            if let CgroupSupport::None { why } = driver.cgroups().support() {
                tracing::warn!(
                    why,
                    "no cgroup for sandboxes: limits hold for single processes only; see nex doctor"
                );
            }
            Ok(Arc::new(driver))
        }
    }
}

/// The agent to run: the one that travels with the node, or the operator's.
fn agent_program(config: &Config, state: &StateDir) -> Result<PathBuf, StartError> {
    let Some(agent) = &config.agent_path else {
        return agent_image().materialize(&state.agents()).map_err(StartError::Agent);
    };
    if agent.is_file() { Ok(agent.clone()) } else { Err(StartError::NoSuchAgent(agent.clone())) }
}

/// Makes the code that every script needs, so that the first deploy finds it.
async fn prepare(compiler: Compiler, stop: CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => {}
        prepared = compiler.script_engine() => if let Err(error) = prepared {
            let error = crate::error_chain(&error);
            tracing::warn!(error, "JavaScript functions cannot be run yet");
        }
    }
}

/// What NATS carries to the node, the bus carries to agents, with the headers that the node adds.
fn bus_limits(nats: &async_nats::Client) -> BusLimits {
    let limits = BusLimits::default();
    let max_payload = nats.max_payload().max(limits.max_payload);
    let max_payload = max_payload.saturating_add(limits.max_headers);
    let max_pending = limits.max_pending.max(max_payload.saturating_mul(LARGE_MESSAGES));
    BusLimits { max_payload, max_pending, ..limits }
}

fn tags(config: &Config, sandbox: SandboxKind, name: &str) -> BTreeMap<String, String> {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let own = [
        (NodeTag::Os, go_os(std::env::consts::OS).to_owned()),
        (NodeTag::Arch, go_arch(std::env::consts::ARCH).to_owned()),
        (NodeTag::CpuCount, cpus.to_string()),
        (NodeTag::NodeName, name.to_owned()),
    ];
    let unsandboxed = sandbox == SandboxKind::Process;
    config
        .tags
        .clone()
        .into_iter()
        .chain(own.map(|(tag, value)| (tag.to_string(), value)))
        .chain(unsandboxed.then(|| (NodeTag::Unsafe.to_string(), "true".to_owned())))
        .collect()
}
