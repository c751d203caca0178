//! Functions in JavaScript, as guests of WebAssembly.
//!
//! The engine is a module (`nex_quickjs`) that runs in the same wasmtime as functions in
//! WebAssembly. A script is evaluated once; the memory of the instance after that is the *image*,
//! and every call starts from it:
//!
//! ```text
//! prepare ─▶ evaluated ─image─▶ idle ─take─▶ call ─answer─▶ afterwards: copied back ─▶ idle
//!                                │             │
//!                     none idle: fresh       stopped, or grown: dropped
//!                     instance + image
//! ```
//!
//! So no state goes from call to call, and copying back is off the path of the answer. A host call
//! suspends only the call that made it: it waits in a stack of its own.
//!
//! Rooms: `instance` runs the guest, `imports` is what the guest may call, `image` what it
//! starts from, `idle` which instances wait, `failure` and `excerpt` what is said.

mod digest;
mod entropy;
mod excerpt;
mod failure;
mod idle;
mod image;
mod imports;
mod instance;
mod memory;
mod services;
mod state;
mod url;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use nex_protocol::agent::CallFailure;
use tokio::time::Instant;
use wasmtime::{Engine, InstancePre, Module};

use self::failure::Ended;
use self::idle::Idle;
use self::image::Image;
use self::instance::Instance;
use self::state::State;
use super::function::{
    Answer, BoxFuture, Call, CallError, Function, FunctionLimits, Host, PrepareError,
};

/// Evaluates a script and makes it a function.
///
/// `module` is the engine, `nex_quickjs::module()`, compiled for `engine`. `host` gets what the
/// script logs and asks for while it is evaluated. The engine's epoch has to tick, about every
/// millisecond, or a script that never ends is never stopped.
///
/// # Errors
/// [`PrepareError`]: the script is too large, cannot be parsed (with line, column and excerpt),
/// fails, crosses a limit or is no function.
pub async fn prepare(
    engine: &Engine,
    module: &Module,
    script: &[u8],
    limits: FunctionLimits,
    environment: &BTreeMap<String, String>,
    host: Arc<dyn Host>,
) -> Result<Arc<dyn Function>, PrepareError> {
    if script.len() as u64 > limits.max_script_bytes {
        return Err(PrepareError(format!(
            "the script has {} bytes; {} are allowed (max_script_bytes)",
            script.len(),
            limits.max_script_bytes
        )));
    }
    let text = std::str::from_utf8(script).map_err(|error| {
        PrepareError(format!("the script is not UTF-8: byte {} is none", error.valid_up_to()))
    })?;
    let broken = |error: &dyn std::fmt::Display| {
        PrepareError(format!("the JavaScript engine cannot run: {error}"))
    };
    let environment: Arc<str> =
        serde_json::to_string(environment).map_err(|error| broken(&error))?.into();
    let linker = imports::linker(engine).map_err(|error| broken(&error))?;
    let pre = linker.instantiate_pre(module).map_err(|error| broken(&error))?;
    let deadline = Instant::now() + limits.call_timeout;
    let state = || State::new(limits, environment.clone(), host.clone(), deadline);
    let made = Instance::fresh(&pre, engine, state()).await;
    let mut evaluated = made.map_err(|error| unfit(limits, module, &error))?;
    if let Err(ended) = evaluated.load(script, looks_like_module(text)).await {
        return Err(failure::of_script(&ended, evaluated.state(), text));
    }
    let fresh = Instance::fresh(&pre, engine, state()).await.map_err(|error| broken(&error))?;
    let image = evaluated.image(&fresh).map_err(|error| broken(&error))?;
    drop(fresh);
    let script = Arc::new(Script {
        engine: engine.clone(),
        pre,
        image,
        limits,
        environment,
        running: AtomicU32::new(0),
        idle: Mutex::new(Idle::new(limits.max_concurrent_calls.max(1) as usize)),
    });
    script.give_back(evaluated);
    tidy(Arc::downgrade(&script));
    Ok(script)
}

/// A script, evaluated.
struct Script {
    engine: Engine,
    pre: InstancePre<State>,
    image: Image,
    limits: FunctionLimits,
    environment: Arc<str>,
    running: AtomicU32,
    idle: Mutex<Idle<Instance>>,
}

impl Function for Script {
    fn call(
        self: Arc<Self>,
        call: Call,
        host: Arc<dyn Host>,
    ) -> BoxFuture<Result<Answer, CallError>> {
        Box::pin(self.run(call, host))
    }
}

impl Script {
    async fn run(self: Arc<Self>, call: Call, host: Arc<dyn Host>) -> Result<Answer, CallError> {
        let running = Running::enter(&self)?;
        let waiting = self.idle().take();
        let mut instance = match waiting {
            Some(instance) => instance,
            None => self.another(&host, call.deadline).await?,
        };
        let done = instance.call(call, host).await;
        drop(running);
        match done {
            Ok(payload) => {
                let afterwards = move || self.refresh(instance);
                Ok(Answer { payload, afterwards: Some(Box::new(afterwards)) })
            }
            Err(ended) => {
                let error = failure::of_call(&ended, instance.state());
                // What was stopped may be in the middle of anything.
                if !matches!(ended, Ended::Stopped(_)) {
                    self.refresh(instance);
                }
                Err(error)
            }
        }
    }

    /// A fresh instance with the image.
    async fn another(
        &self,
        host: &Arc<dyn Host>,
        deadline: Instant,
    ) -> Result<Instance, CallError> {
        let state = State::new(self.limits, self.environment.clone(), host.clone(), deadline);
        let made = async {
            let mut instance = Instance::fresh(&self.pre, &self.engine, state).await?;
            instance.apply(&self.image).await?;
            Ok(instance)
        };
        made.await.map_err(|error| failure::of_instance(&error))
    }

    /// Copies the image back; an instance that it cannot be copied to is dropped.
    fn refresh(&self, mut instance: Instance) {
        if instance.restore(&self.image).is_ok() {
            self.give_back(instance);
        }
    }

    fn give_back(&self, instance: Instance) {
        let now = Instant::now();
        let (more, old) = {
            let mut idle = self.idle();
            (idle.put(instance, now), idle.old(now))
        };
        // Not under the lock: unmapping memory takes its time.
        drop((more, old));
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Idle<Instance>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place among the calls that run; given back when dropped.
struct Running(Arc<Script>);

impl Running {
    fn enter(script: &Arc<Script>) -> Result<Self, CallError> {
        let most = script.limits.max_concurrent_calls;
        let place = Self(script.clone());
        if script.running.fetch_add(1, Ordering::Relaxed) < most {
            return Ok(place);
        }
        let text = format!("{most} calls run already, which is the most");
        Err(CallError { failure: CallFailure::Busy, text })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Drops instances that have waited too long, as long as the function is there.
fn tidy(script: Weak<Script>) {
    let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
    runtime.spawn(async move {
        loop {
            tokio::time::sleep(idle::MAX_WAIT).await;
            let Some(script) = script.upgrade() else { return };
            let old = script.idle().old(Instant::now());
            drop(old);
        }
    });
}

/// Whether a script has a statement that only modules can have: a guess, that decides nothing but
/// which of two syntax errors is shown.
fn looks_like_module(script: &str) -> bool {
    script.lines().any(|line| {
        let line = line.trim_start();
        let rest = line.strip_prefix("export").or_else(|| line.strip_prefix("import"));
        rest.is_some_and(|rest| rest.starts_with([' ', '\t', '{', '*', '"', '\'']))
    })
}

/// Why the first instance of the engine cannot be made: most often its memory is more than a call
/// may have.
fn unfit(limits: FunctionLimits, module: &Module, error: &wasmtime::Error) -> PrepareError {
    let memory = module.get_export(nex_quickjs::export::MEMORY);
    let least =
        memory.and_then(|memory| Some(memory.memory()?.minimum() * memory.memory()?.page_size()));
    match least.filter(|least| *least > limits.max_memory_bytes) {
        Some(least) => PrepareError(format!(
            "functions in JavaScript need {least} bytes of memory for each call; {} are allowed \
             (max_memory_bytes)",
            limits.max_memory_bytes
        )),
        None => PrepareError(format!("the JavaScript engine cannot run: {error}")),
    }
}
