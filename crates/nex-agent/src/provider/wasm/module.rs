//! Core modules: commands of WASI preview 1.

use std::sync::Arc;

use bytes::Bytes;
use tokio::time::Instant;
use wasmtime::{ExternType, InstancePre, Memory, Module, ModuleExport, Store};

use super::Program;
use super::guard::Guard;
use super::outcome::{Ended, Exit, judge};
use super::output::Output;
use crate::provider::engine::FIRST_TICKS;
use crate::provider::function::{Answer, BoxFuture, Call, CallError, Function, Host, PrepareError};

/// The function that is the program.
const START: &str = "_start";
/// The memory that host functions work on.
const MEMORY: &str = "memory";

/// What the host functions of one call work with.
pub(super) struct World {
    pub(super) guard: Guard,
    pub(super) output: Output,
    /// What is left to read.
    pub(super) input: Bytes,
    /// The memory, once the instance is made.
    pub(super) memory: Option<Memory>,
    /// What the monotonic clock counts from.
    pub(super) began: Instant,
    /// Which of the three standard descriptors the program has closed.
    pub(super) closed: [bool; 3],
    program: Arc<Program>,
    call: Call,
    environment: Option<Vec<(String, String)>>,
}

impl World {
    fn new(program: Arc<Program>, call: Call, host: Arc<dyn Host>) -> Self {
        Self {
            guard: Guard::new(&program.limits, call.deadline),
            output: Output::new(program.limits.max_output_bytes, host),
            input: call.payload.clone(),
            memory: None,
            began: Instant::now(),
            closed: [false; 3],
            program,
            call,
            environment: None,
        }
    }

    pub(super) fn arguments(&self) -> [String; 2] {
        super::environment::arguments(&self.program, &self.call)
    }

    /// Made when asked for: few programs look at it.
    pub(super) fn environment(&mut self) -> &[(String, String)] {
        let Self { environment, program, call, .. } = self;
        environment.get_or_insert_with(|| super::environment::environment(program, call))
    }
}

/// A module, ready to be run.
pub(super) struct ModuleFunction {
    program: Arc<Program>,
    linked: InstancePre<World>,
    start: ModuleExport,
    memory: ModuleExport,
}

/// Whether a module is a command at all.
pub(super) fn check(module: &Module) -> Result<(), PrepareError> {
    let said = match module.get_export(START) {
        Some(ExternType::Func(start)) if start.params().len() + start.results().len() == 0 => {
            match module.get_export(MEMORY) {
                Some(ExternType::Memory(_)) => return Ok(()),
                _ => "it does not export its memory as \"memory\"",
            }
        }
        Some(_) => "its export \"_start\" is no function without parameters and results",
        None if module.get_export("_initialize").is_some() => {
            "it is a reactor (a library): build it as a command, with a main function"
        }
        None => {
            "it exports no \"_start\": build it as a command of WASI preview 1, \
             such as with the target wasm32-wasip1"
        }
    };
    Err(PrepareError(format!("this module cannot be called: {said}")))
}

impl ModuleFunction {
    pub(super) fn new(
        program: Arc<Program>,
        module: &Module,
        linked: InstancePre<World>,
    ) -> Result<Self, PrepareError> {
        check(module)?;
        match (module.get_export_index(START), module.get_export_index(MEMORY)) {
            (Some(start), Some(memory)) => Ok(Self { program, linked, start, memory }),
            // It was there a moment ago.
            _ => Err(PrepareError("this module has lost its exports".to_owned())),
        }
    }

    async fn run(&self, store: &mut Store<World>) -> wasmtime::Result<()> {
        let instance = self.linked.instantiate_async(&mut *store).await?;
        let memory = instance.get_module_export(&mut *store, &self.memory);
        store.data_mut().memory = memory.and_then(wasmtime::Extern::into_memory);
        let start = instance.get_module_export(&mut *store, &self.start);
        match start.and_then(wasmtime::Extern::into_func) {
            Some(start) => start.typed::<(), ()>(&*store)?.call_async(store, ()).await,
            None => Err(wasmtime::Error::msg("the module has lost its start function")),
        }
    }
}

impl Function for ModuleFunction {
    fn call(
        self: Arc<Self>,
        call: Call,
        host: Arc<dyn Host>,
    ) -> BoxFuture<Result<Answer, CallError>> {
        Box::pin(async move {
            let world = World::new(Arc::clone(&self.program), call, host);
            let mut store = Store::new(self.linked.module().engine(), world);
            store.limiter(|world| &mut world.guard);
            store.set_epoch_deadline(FIRST_TICKS);
            store.epoch_deadline_callback(|mut context| context.data_mut().guard.tick());
            let ended = match self.run(&mut store).await {
                Ok(()) => Ended::Well,
                Err(error) => match error.downcast_ref::<Exit>() {
                    Some(Exit(0)) => Ended::Well,
                    Some(Exit(code)) => Ended::Badly(Some(*code)),
                    None => Ended::Stopped(error),
                },
            };
            let World { guard, output, .. } = store.data_mut();
            judge(ended, guard, output, &self.program)
        })
    }
}
