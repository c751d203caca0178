//! Functions in JavaScript, in this process: the engine, what scripts find, and what holds them.

mod api;
mod calls;
mod isolation;
mod limits;
mod services;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use nex_agent::provider::engine::engine;
use nex_agent::provider::function::{
    BoxFuture, Call, CallError, Function, FunctionLimits, Host, HostCall, HostError, HostReply,
    PrepareError,
};
use nex_agent::provider::js;
use nex_protocol::agent::AgentLevel;
use nex_protocol::nats::HeaderMap;
use tokio::time::Instant;
use wasmtime::{Engine, Module};

/// The engine, compiled, and its epoch ticking. Compiled once per build folder: that takes a while.
fn compiled() -> &'static (Engine, Module) {
    static COMPILED: OnceLock<(Engine, Module)> = OnceLock::new();
    COMPILED.get_or_init(|| {
        let engine = engine().unwrap();
        let module = kept_or_compiled(&engine);
        let ticking = engine.clone();
        std::thread::spawn(move || {
            loop {
                std::thread::sleep(Duration::from_millis(1));
                ticking.increment_epoch();
            }
        });
        (engine, module)
    })
}

fn kept_or_compiled(engine: &Engine) -> Module {
    use std::hash::{Hash, Hasher};
    let mut hash = std::collections::hash_map::DefaultHasher::new();
    nex_quickjs::module().hash(&mut hash);
    engine.precompile_compatibility_hash().hash(&mut hash);
    let file = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("quickjs-{:016x}.cwasm", hash.finish()));
    if let Ok(machine_code) = fs::read(&file) {
        // SAFETY: made by the code below, in the build folder of these tests.
        #[allow(unsafe_code, reason = "machine code of this very build")]
        let module = unsafe { Module::deserialize(engine, machine_code) };
        if let Ok(module) = module {
            return module;
        }
    }
    let module = Module::new(engine, nex_quickjs::module()).unwrap();
    let fresh = file.with_extension(format!("{}", std::process::id()));
    fs::write(&fresh, module.serialize().unwrap()).unwrap();
    fs::rename(fresh, file).unwrap();
    module
}

/// What answers host calls.
type Services = dyn Fn(HostCall) -> BoxFuture<Result<HostReply, HostError>> + Send + Sync;

/// The surroundings of a function: its log, and host services made by a test.
struct Surroundings {
    lines: Mutex<Vec<(AgentLevel, String)>>,
    services: Box<Services>,
}

impl Host for Surroundings {
    fn call(&self, call: HostCall, _: Instant) -> BoxFuture<Result<HostReply, HostError>> {
        (self.services)(call)
    }

    fn log(&self, level: AgentLevel, text: &str) {
        self.lines.lock().unwrap().push((level, text.to_owned()));
    }
}

/// A script, prepared, and what it is called with.
struct Script {
    function: Arc<dyn Function>,
    surroundings: Arc<Surroundings>,
    timeout: Duration,
}

fn limits() -> FunctionLimits {
    // Debug builds on busy machines are slow; tests that are about time set their own.
    FunctionLimits { call_timeout: Duration::from_secs(60), ..FunctionLimits::default() }
}

fn no_services() -> Box<Services> {
    Box::new(|call| {
        Box::pin(async move { Err(HostError(format!("no {}.{} here", call.service, call.method))) })
    })
}

async fn prepare(script: &str) -> Result<Script, PrepareError> {
    prepare_with(script, limits(), &[], no_services()).await
}

async fn prepare_with(
    script: &str,
    limits: FunctionLimits,
    environment: &[(&str, &str)],
    services: Box<Services>,
) -> Result<Script, PrepareError> {
    let (engine, module) = compiled();
    let pairs = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let environment: BTreeMap<String, String> = pairs.collect();
    let surroundings = Arc::new(Surroundings { lines: Mutex::new(Vec::new()), services });
    let function =
        js::prepare(engine, module, script.as_bytes(), limits, &environment, surroundings.clone())
            .await?;
    Ok(Script { function, surroundings, timeout: limits.call_timeout })
}

impl Script {
    /// A message to `a.b` with this body.
    fn message(&self, payload: &[u8]) -> Call {
        Call {
            subject: "a.b".to_owned(),
            reply: None,
            headers: HeaderMap::new(),
            payload: Bytes::copy_from_slice(payload),
            deadline: Instant::now() + self.timeout,
        }
    }

    /// The answer, with what comes afterwards done.
    async fn ask(&self, call: Call) -> Result<Bytes, CallError> {
        let answer = self.function.clone().call(call, self.surroundings.clone()).await?;
        if let Some(afterwards) = answer.afterwards {
            afterwards();
        }
        Ok(answer.payload)
    }

    async fn call(&self, payload: &[u8]) -> Result<Bytes, CallError> {
        self.ask(self.message(payload)).await
    }

    /// The answer as a text.
    async fn text(&self, payload: &str) -> String {
        let answer = self.call(payload.as_bytes()).await.unwrap();
        String::from_utf8(answer.to_vec()).unwrap()
    }

    fn lines(&self) -> Vec<(AgentLevel, String)> {
        std::mem::take(&mut *self.surroundings.lines.lock().unwrap())
    }
}

/// The answer of a script to a message.
async fn answer(script: &str, payload: &str) -> String {
    prepare(script).await.unwrap_or_else(|error| panic!("{error}")).text(payload).await
}
