//! Components: commands of WASI 0.2 (`wasi:cli/run`).

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::io::{AsyncWrite, sink};
use wasmtime::component::{Component, InstancePre, ResourceTable, types};
use wasmtime::{Engine, Store};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::bindings::CommandPre;
use wasmtime_wasi::p2::pipe::MemoryInputPipe;
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};
use wasmtime_wasi::{I32Exit, WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use super::Program;
use super::guard::Guard;
use super::http::Outgoing;
use super::keyvalue::{KeyValue, Service};
use super::outcome::{Ended, judge};
use super::output::Output;
use crate::provider::engine::FIRST_TICKS;
use crate::provider::function::{Answer, BoxFuture, Call, CallError, Function, Host, PrepareError};

/// The interface that a command exports, in any 0.2 version.
const RUN: &str = "wasi:cli/run@0.2.";

/// Most bytes of one write; a guest may have the host set as many aside.
const MAX_WRITE: usize = 64 << 10;
/// Most random bytes of one request: nobody can stop a host function.
const MAX_RANDOM: u64 = 4 << 20;
/// Most streams, pollables and the like of one call.
const MAX_RESOURCES: usize = 1024;
/// Most bytes that one host function copies out of the guest.
const MAX_COPIED: usize = 4 << 20;

/// What the host functions of one call work with.
pub(super) struct World {
    guard: Guard,
    output: Shared,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    outgoing: Outgoing,
    table: ResourceTable,
}

impl WasiView for World {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for World {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        let Self { http, outgoing, table, .. } = self;
        WasiHttpCtxView { hooks: outgoing, table, ctx: http }
    }
}

impl World {
    pub(super) fn key_value(&mut self) -> KeyValue<'_> {
        let Outgoing { host, deadline, .. } = &self.outgoing;
        let service = Service { host, deadline: *deadline };
        KeyValue { service, table: &mut self.table }
    }
}

/// Both output streams of a call write to one place.
#[derive(Clone)]
struct Shared(Arc<Mutex<Output>>);

impl Shared {
    fn with<T>(&self, run: impl FnOnce(&mut Output) -> T) -> T {
        run(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// One of them.
#[derive(Clone)]
struct Stream {
    output: Shared,
    is_error: bool,
}

impl IsTerminal for Stream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Stream {
    /// For later versions of WASI, which are not offered.
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl OutputStream for Stream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.output.with(|output| {
            if self.is_error {
                output.write_error(&bytes);
                return Ok(());
            }
            output.write(&bytes).map_err(|too_large| StreamError::Trap(too_large.into()))
        })
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(MAX_WRITE)
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Stream {
    async fn ready(&mut self) {}
}

/// A component, ready to be run.
pub(super) struct ComponentFunction {
    program: Arc<Program>,
    command: CommandPre<World>,
}

/// Whether a component is a command at all.
pub(super) fn check(engine: &Engine, component: &Component) -> Result<(), PrepareError> {
    let shape = component.component_type();
    let is_command = shape.exports(engine).any(|(name, item)| {
        name.starts_with(RUN) && matches!(item.ty, types::ComponentItem::ComponentInstance(_))
    });
    if is_command {
        return Ok(());
    }
    Err(PrepareError(
        "this component cannot be called: it does not export \"wasi:cli/run@0.2\"; \
         build it as a command, such as with the target wasm32-wasip2"
            .to_owned(),
    ))
}

impl ComponentFunction {
    pub(super) fn new(
        program: Arc<Program>,
        linked: InstancePre<World>,
    ) -> Result<Self, PrepareError> {
        let command = CommandPre::new(linked)
            .map_err(|error| PrepareError(format!("this component cannot be called: {error:#}")))?;
        Ok(Self { program, command })
    }

    fn world(&self, call: &Call, host: Arc<dyn Host>) -> World {
        let program = &self.program;
        let output = Output::new(program.limits.max_output_bytes, Arc::clone(&host));
        let output = Shared(Arc::new(Mutex::new(output)));
        let mut table = ResourceTable::new();
        table.set_max_capacity(MAX_RESOURCES);
        let mut wasi = WasiCtx::builder();
        wasi.stdin(MemoryInputPipe::new(call.payload.clone()))
            .stdout(Stream { output: output.clone(), is_error: false })
            .stderr(Stream { output: output.clone(), is_error: true })
            .args(&super::environment::arguments(program, call))
            .envs(&super::environment::environment(program, call))
            .max_random_size(MAX_RANDOM);
        let guard = Guard::new(&program.limits, call.deadline);
        let http = WasiHttpCtx::new();
        let outgoing = Outgoing::new(host, call.deadline);
        World { guard, output, wasi: wasi.build(), http, outgoing, table }
    }

    async fn run(&self, store: &mut Store<World>) -> wasmtime::Result<Result<(), ()>> {
        let command = self.command.instantiate_async(&mut *store).await?;
        command.wasi_cli_run().call_run(store).await
    }
}

impl Function for ComponentFunction {
    fn call(
        self: Arc<Self>,
        call: Call,
        host: Arc<dyn Host>,
    ) -> BoxFuture<Result<Answer, CallError>> {
        Box::pin(async move {
            let mut store = Store::new(self.command.engine(), self.world(&call, host));
            store.limiter(|world| &mut world.guard);
            store.set_hostcall_fuel(MAX_COPIED);
            store.set_epoch_deadline(FIRST_TICKS);
            store.epoch_deadline_callback(|mut context| context.data_mut().guard.tick());
            let ended = match self.run(&mut store).await {
                Ok(Ok(())) => Ended::Well,
                Ok(Err(())) => Ended::Badly(None),
                Err(error) => match error.downcast_ref::<I32Exit>() {
                    Some(I32Exit(0)) => Ended::Well,
                    Some(I32Exit(code)) => Ended::Badly(Some(*code)),
                    None => Ended::Stopped(error),
                },
            };
            let World { guard, output, .. } = store.data_mut();
            output.with(|output| judge(ended, guard, output, &self.program))
        })
    }
}
