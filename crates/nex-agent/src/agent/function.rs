//! From an order to a function that takes calls, and back.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nex_protocol::subject::AgentSubjectKind;
use wasmtime::Engine;

use super::{Agent, sid};
use crate::calls::beat::Beat;
use crate::calls::{Calls, HostLink, Identity};
use crate::compile;
use crate::link::Outbox;
use crate::output::capture::LogTarget;
use crate::output::lines::Lines;
use crate::provider::compiled::Trusted;
use crate::provider::function::{Function, Host, PrepareError};
use crate::provider::{engine, js, wasm};
use crate::session::{Event, FunctionOrder, Language, Order};

/// Waits for something to be done for a call that runs.
pub(super) async fn work(calls: &mut Option<Calls>) {
    match calls {
        Some(calls) => calls.work().await,
        None => std::future::pending().await,
    }
}

/// Everything that it takes to make a function.
struct Preparing {
    function: FunctionOrder,
    name: String,
    environment: nex_protocol::environment::Environment,
    artifact: PathBuf,
    /// Where the agent may write.
    home: Option<PathBuf>,
    host: Arc<HostLink>,
    outbox: Outbox,
}

impl Agent {
    /// Begins to make the function ready.
    pub(super) fn prepare(
        &mut self,
        order: &Order,
        function: FunctionOrder,
        artifact: PathBuf,
    ) -> Option<Event> {
        let target = LogTarget {
            outbox: self.outbox.clone(),
            subject: self.subject(AgentSubjectKind::Logs),
            source: order.name.to_string(),
        };
        let identity = Identity {
            id: self.metadata.id,
            namespace: order.namespace.clone(),
            workload: order.name.clone(),
        };
        let lines = Lines::new(target, order.rates);
        let host = Arc::new(HostLink::new(self.outbox.clone(), lines, identity));
        self.host = Some(Arc::clone(&host));
        // A script may call while it is evaluated.
        self.listen_for_replies();
        let home = if function.compiled.is_some() {
            None
        } else {
            match self.home() {
                Ok(home) => Some(home),
                Err(error) => return Some(Event::LaunchFailed { reason: error.to_line() }),
            }
        };
        let preparing = Preparing {
            function,
            name: order.name.to_string(),
            environment: order.environment.clone(),
            artifact,
            home,
            host,
            outbox: self.outbox.clone(),
        };
        self.preparing = Some(Box::pin(preparing.run()));
        None
    }

    /// Takes the function into service.
    pub(super) fn prepared(&mut self, prepared: Result<Calls, PrepareError>) -> Event {
        match prepared {
            Ok(calls) => {
                self.calls = Some(calls);
                self.listen_for_calls();
                Event::Launched
            }
            Err(error) => {
                self.host = None;
                self.outbox.unsubscribe(sid::RPC);
                Event::LaunchFailed { reason: error.to_string() }
            }
        }
    }

    /// Subscribes to what a function needs, on a new connection.
    pub(super) fn listen_for_function(&self) {
        self.listen_for_replies();
        self.listen_for_calls();
    }

    /// Subscribes to the replies to host calls.
    fn listen_for_replies(&self) {
        if let Some(host) = &self.host {
            self.outbox.subscribe(&host.identity().inboxes(), sid::RPC);
        }
    }

    /// Subscribes to calls; before the node learns that they can come.
    fn listen_for_calls(&self) {
        if self.calls.is_some() {
            self.outbox.subscribe(&self.subject(AgentSubjectKind::Trigger), sid::TRIGGER);
        }
    }

    /// Takes no more calls; those that run have the grace.
    pub(super) fn close_calls(&mut self) -> Option<Event> {
        let connected = self.link.is_some();
        let calls = self.calls.as_mut()?;
        calls.close();
        if !connected {
            // Nobody would ever see their answers.
            calls.abort();
        }
        self.calls_done()
    }

    /// Ends the calls that run.
    pub(super) fn abort_calls(&mut self) -> Option<Event> {
        let calls = self.calls.as_mut()?;
        calls.close();
        calls.abort();
        self.calls_done()
    }

    /// Whether the last call has ended.
    pub(super) fn calls_done(&self) -> Option<Event> {
        self.calls.as_ref()?.is_done().then_some(Event::TreeGone)
    }
}

impl Preparing {
    async fn run(self) -> Result<Calls, PrepareError> {
        let engine = engine::engine().map_err(|error| {
            PrepareError(format!("this machine does not run WebAssembly: {error:#}"))
        })?;
        let beat = Beat::start(engine.clone())
            .map_err(|error| PrepareError(format!("there is no thread for the clock: {error}")))?;
        let function = self.function(&engine, &beat).await?;
        Ok(Calls::new(function, self.host, self.function.limits, beat, self.outbox))
    }

    async fn function(
        &self,
        engine: &Engine,
        beat: &Beat,
    ) -> Result<Arc<dyn Function>, PrepareError> {
        let compiled = self.compiled().await?;
        let limits = self.function.limits;
        match self.function.language {
            Language::WebAssembly => {
                wasm::prepare(engine, &compiled, &self.name, &self.environment, limits)
            }
            Language::JavaScript => {
                let module = Trusted::vouch(&compiled).module(engine).map_err(|error| {
                    PrepareError(format!("cannot load the JavaScript engine: {error:#}"))
                })?;
                let script = read_script(&self.artifact, limits.max_script_bytes)
                    .map_err(|error| PrepareError(format!("cannot read the script: {error}")))?;
                let environment = self.environment.clone().into();
                let host: Arc<dyn Host> = Arc::clone(&self.host) as _;
                // A script that never ends is stopped while it is evaluated, too.
                let _ticking = beat.hold();
                js::prepare(engine, &module, &script, limits, &environment, host).await
            }
        }
    }

    /// The machine code: what the node gave, or made here and now.
    async fn compiled(&self) -> Result<PathBuf, PrepareError> {
        match (&self.function.compiled, &self.home) {
            (Some(given), _) => Ok(given.clone()),
            (None, Some(home)) => {
                let target = home.join("compiled");
                let artifact = match self.function.language {
                    Language::WebAssembly => Some(self.artifact.as_path()),
                    Language::JavaScript => None,
                };
                compile::by_another_process(artifact, &target).await?;
                Ok(target)
            }
            (None, None) => Err(PrepareError("there is no place for machine code".to_owned())),
        }
    }
}

/// Reads at most one byte more than is allowed, which is then refused as too much.
fn read_script(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut script = Vec::new();
    File::open(path)?.take(limit.saturating_add(1)).read_to_end(&mut script)?;
    Ok(script)
}
