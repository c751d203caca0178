//! From an order to a function that takes calls, and back.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use nex_protocol::subject::AgentSubjectKind;

use super::{Agent, sid};
use crate::calls::{Calls, HostLink, Identity};
use crate::compile;
use crate::link::Outbox;
use crate::output::capture::LogTarget;
use crate::output::lines::Lines;
use crate::provider::function::PrepareError;
use crate::provider::{engine, wasm};
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
                self.listen_for_function();
                Event::Launched
            }
            Err(error) => {
                self.host = None;
                Event::LaunchFailed { reason: error.to_string() }
            }
        }
    }

    /// Subscribes to what a function needs; before the node learns that it is there.
    pub(super) fn listen_for_function(&self) {
        if let Some(calls) = &self.calls {
            self.outbox.subscribe(&self.subject(AgentSubjectKind::Trigger), sid::TRIGGER);
            self.outbox.subscribe(&calls.host().identity().inboxes(), sid::RPC);
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
        let limits = self.function.limits;
        let function = match self.function.language {
            Language::WebAssembly => {
                let compiled = self.compiled().await?;
                wasm::prepare(&engine, &compiled, &self.name, &self.environment, limits)?
            }
            Language::JavaScript => {
                return Err(PrepareError("this agent has no JavaScript engine".to_owned()));
            }
        };
        Calls::new(function, self.host, limits, engine, self.outbox)
            .map_err(|error| PrepareError(format!("there is no thread for its calls: {error}")))
    }

    /// The machine code: what the node gave, or made here and now.
    async fn compiled(&self) -> Result<PathBuf, PrepareError> {
        match (&self.function.compiled, &self.home) {
            (Some(given), _) => Ok(given.clone()),
            (None, Some(home)) => {
                let target = home.join("compiled");
                let artifact: &Path = &self.artifact;
                compile::by_another_process(artifact, &target).await?;
                Ok(target)
            }
            (None, None) => Err(PrepareError("there is no place for machine code".to_owned())),
        }
    }
}
