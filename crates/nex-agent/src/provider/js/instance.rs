//! One instance of the engine.

use std::sync::Arc;

use bytes::Bytes;
use nex_quickjs::export;
use tokio::time::Instant;
use wasmtime::{Engine, Global, InstancePre, Memory, Store, TypedFunc, UpdateDeadline, Val};

use super::entropy;
use super::failure::Ended;
use super::image::{Image, Layout};
use super::state::{Outcome, State, TimedOut};
use crate::provider::engine::FIRST_TICKS;
use crate::provider::function::{Call, Host};

/// The module is not the engine.
#[derive(Debug, thiserror::Error)]
#[error("the module has no `{0}` of the engine")]
struct Missing(&'static str);

/// An instance, between calls or in one.
pub(super) struct Instance {
    store: Store<State>,
    instance: wasmtime::Instance,
    memory: Memory,
    stack_pointer: Global,
    /// Its value when nothing runs.
    stack: u32,
    /// Where the guest keeps the end of its heap.
    heap_top: usize,
    call: TypedFunc<i64, i32>,
}

impl Instance {
    /// An instance that has run nothing.
    pub(super) async fn fresh(
        pre: &InstancePre<State>,
        engine: &Engine,
        state: State,
    ) -> wasmtime::Result<Self> {
        let mut store = Store::new(engine, state);
        store.limiter(|state| &mut state.limiter);
        // Other calls get a turn at every tick.
        store.epoch_deadline_callback(|context| {
            if Instant::now() >= context.data().deadline {
                return Err(TimedOut.into());
            }
            Ok(UpdateDeadline::Yield(1))
        });
        store.set_epoch_deadline(1);
        let instance = pre.instantiate_async(&mut store).await?;
        let memory =
            instance.get_memory(&mut store, export::MEMORY).ok_or(Missing(export::MEMORY))?;
        let stack_pointer = instance
            .get_global(&mut store, export::STACK_POINTER)
            .ok_or(Missing(export::STACK_POINTER))?;
        let heap_top = instance
            .get_global(&mut store, export::HEAP_TOP)
            .and_then(|global| global.get(&mut store).i32())
            .ok_or(Missing(export::HEAP_TOP))?;
        let stack = stack_pointer.get(&mut store).i32().ok_or(Missing(export::STACK_POINTER))?;
        let call = instance.get_typed_func(&mut store, export::CALL)?;
        store.data_mut().memory = Some(memory);
        Ok(Self {
            instance,
            memory,
            stack_pointer,
            stack: stack.cast_unsigned(),
            heap_top: heap_top.cast_unsigned() as usize,
            call,
            store,
        })
    }

    /// Makes the engine and evaluates a script.
    pub(super) async fn load(&mut self, script: &[u8], is_module: bool) -> Result<(), Ended> {
        self.store.data_mut().script = Bytes::copy_from_slice(script);
        self.store.set_epoch_deadline(1);
        let done = self.run_load(is_module).await;
        self.store.data_mut().end();
        match done {
            Ok(0) => Ok(()),
            Ok(_) => Err(Ended::of(self.store.data_mut().outcome.take())),
            Err(error) => Err(Ended::Stopped(error)),
        }
    }

    async fn run_load(&mut self, is_module: bool) -> wasmtime::Result<i32> {
        let store = &mut self.store;
        let start = self.instance.get_typed_func::<(), i32>(&mut *store, export::START)?;
        let load = self.instance.get_typed_func::<i32, i32>(&mut *store, export::LOAD)?;
        match start.call_async(&mut *store, ()).await? {
            0 => load.call_async(store, i32::from(is_module)).await,
            failed => Ok(failed),
        }
    }

    /// Runs a call. An instance that was stopped is of no use any more.
    pub(super) async fn call(&mut self, call: Call, host: Arc<dyn Host>) -> Result<Bytes, Ended> {
        let state = self.store.data_mut();
        state.begin(call, host);
        if Instant::now() >= state.deadline {
            return Err(Ended::Stopped(TimedOut.into()));
        }
        let seed = entropy::seed().map_err(|error| Ended::Stopped(error.into()))?;
        self.store.set_epoch_deadline(FIRST_TICKS);
        let done = self.call.call_async(&mut self.store, seed).await;
        match (done, self.store.data_mut().outcome.take()) {
            (Ok(0), Some(Outcome::Answered(answer))) => Ok(answer),
            (Ok(_), outcome) => Err(Ended::of(outcome)),
            (Err(error), _) => Err(Ended::Stopped(error)),
        }
    }

    pub(super) fn state(&self) -> &State {
        self.store.data()
    }

    /// Takes the image of this instance.
    pub(super) fn image(&mut self, fresh: &Self) -> Result<Image, Layout> {
        let top = self.heap_top()?;
        let memory = self.memory.data(&self.store);
        Image::take(memory, fresh.memory.data(&fresh.store), self.stack as usize, top)
    }

    /// Makes this fresh instance what the image's was.
    pub(super) async fn apply(&mut self, image: &Image) -> wasmtime::Result<()> {
        let missing = image.size().saturating_sub(self.memory.data_size(&self.store));
        if missing > 0 {
            let pages = (missing as u64).div_ceil(self.memory.page_size(&self.store));
            self.memory.grow_async(&mut self.store, pages).await?;
        }
        Ok(image.apply(self.memory.data_mut(&mut self.store))?)
    }

    /// Makes this instance, after a call that was not stopped, what it was before. Fails where that
    /// cannot be; then it is of no use any more.
    pub(super) fn restore(&mut self, image: &Image) -> Result<(), Layout> {
        let top = self.heap_top()?;
        image.restore(self.memory.data_mut(&mut self.store), top)?;
        let stack = Val::I32(self.stack.cast_signed());
        self.stack_pointer.set(&mut self.store, stack).map_err(|_| Layout)?;
        self.store.data_mut().end();
        Ok(())
    }

    fn heap_top(&self) -> Result<usize, Layout> {
        let mut number = [0; 4];
        self.memory.read(&self.store, self.heap_top, &mut number).map_err(|_| Layout)?;
        Ok(u32::from_le_bytes(number) as usize)
    }
}
