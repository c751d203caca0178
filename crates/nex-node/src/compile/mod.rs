//! Machine code for functions, made once and kept on disk.
//!
//! ```text
//!  artifact ──▶ `nex-agent compile` (a child: capped, killable) ──▶ staging file ──rename──▶ <digest>.cwasm
//! ```
//!
//! The node links no engine. The agent's own `compile` command makes the code, in a child process
//! that gets nothing but the module and is killed when it takes too long: a module that makes the
//! compiler explode costs that child and no more. What is kept is run by every agent that gets it:
//! so the store belongs to the node's user, and nobody else can write to it. Code is only good for
//! the engine that made it, so each version of the engine has a folder of its own.

mod child;
mod error;
mod store;

use std::ffi::OsStr;
use std::fs::File;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OnceCell, Semaphore};

pub(crate) use error::CompileError;
pub(crate) use store::Compiled;

use crate::artifact::{ArtifactLease, Turns};
use crate::config::FunctionsConfig;
use child::{Ended, run};
use store::{Name, Store};

/// Most compilations at the same time; each keeps a CPU busy.
const MAX_COMPILATIONS: usize = 4;

/// How long the agent may take to say which engine it has.
const KEY_LIMIT: Duration = Duration::from_secs(10);

/// How much longer than its time a compilation is waited for: it watches the time itself, and says
/// more about it.
const GRACE: Duration = Duration::from_secs(1);

/// Compiles for one node. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Compiler {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    agent: PathBuf,
    dir: PathBuf,
    max_bytes: u64,
    time: Duration,
    memory_bytes: u64,
    places: Semaphore,
    turns: Turns,
    /// Opened when the agent has said which engine it has.
    store: OnceCell<Arc<Store>>,
    script_engine: OnceCell<Compiled>,
}

impl Compiler {
    /// Compiles with the program `agent` into `dir`.
    pub(crate) fn new(agent: PathBuf, dir: PathBuf, config: &FunctionsConfig) -> Self {
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            inner: Arc::new(Inner {
                agent,
                dir,
                max_bytes: config.compiled_cache.max_bytes,
                time: config.compile_timeout,
                memory_bytes: config.compile_memory_bytes,
                places: Semaphore::new(cpus.min(MAX_COMPILATIONS)),
                turns: Turns::default(),
                store: OnceCell::new(),
                script_engine: OnceCell::new(),
            }),
        }
    }

    /// The machine code of a WebAssembly module; several who want the same get it from one
    /// compilation.
    ///
    /// # Errors
    /// [`CompileError`].
    pub(crate) async fn module(&self, artifact: &ArtifactLease) -> Result<Compiled, CompileError> {
        let (store, digest) = (self.store().await?, artifact.digest());
        let name = Name::Module(digest);
        if let Some(found) = store.find(name) {
            return Ok(found);
        }
        let _turn = self.inner.turns.of(digest).lock_owned().await;
        match store.find(name) {
            Some(found) => Ok(found),
            None => {
                let input = File::open(artifact.path()).map_err(|source| {
                    CompileError::Artifact { path: artifact.path().to_owned(), source }
                })?;
                self.compile(store, name, "wasm", input.into()).await
            }
        }
    }

    /// The machine code of the engine that runs scripts, the same for all of them.
    ///
    /// # Errors
    /// [`CompileError`].
    pub(crate) async fn script_engine(&self) -> Result<Compiled, CompileError> {
        let compiled = self.inner.script_engine.get_or_try_init(|| async {
            let store = self.store().await?;
            match store.find(Name::ScriptEngine) {
                Some(found) => Ok(found),
                None => {
                    let kind = "javascript-engine";
                    self.compile(store, Name::ScriptEngine, kind, Stdio::null()).await
                }
            }
        });
        compiled.await.cloned()
    }

    async fn store(&self) -> Result<&Arc<Store>, CompileError> {
        let inner = &self.inner;
        inner
            .store
            .get_or_try_init(|| async {
                let key = self.engine_key().await?;
                let (dir, max_bytes) = (inner.dir.clone(), inner.max_bytes);
                let opened =
                    tokio::task::spawn_blocking(move || Store::open(&dir, &key, max_bytes));
                Ok(Arc::new(opened.await.map_err(|_| CompileError::Bug)??))
            })
            .await
    }

    /// Which engine the agent has.
    async fn engine_key(&self) -> Result<String, CompileError> {
        let agent = &self.inner.agent;
        let ended = run(agent, &[OsStr::new("engine-key")], Stdio::null(), KEY_LIMIT).await?;
        let key = ended.output.trim().to_owned();
        let is_key = (8..=128).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_hexdigit());
        if ended.status.success() && is_key {
            Ok(key)
        } else {
            Err(CompileError::NoEngine { agent: agent.clone() })
        }
    }

    async fn compile(
        &self,
        store: &Arc<Store>,
        name: Name,
        kind: &str,
        input: Stdio,
    ) -> Result<Compiled, CompileError> {
        let inner = &self.inner;
        // Closed never: the semaphore lives as long as the compiler.
        let _place = inner.places.acquire().await;
        let staging = store.staging()?;
        let seconds = inner.time.as_secs_f64().ceil().max(1.0).to_string();
        let memory = inner.memory_bytes.to_string();
        let arguments = [
            OsStr::new("compile"),
            OsStr::new(kind),
            OsStr::new("--output"),
            staging.file.as_os_str(),
            OsStr::new("--memory-bytes"),
            OsStr::new(&memory),
            OsStr::new("--seconds"),
            OsStr::new(&seconds),
        ];
        let started = tokio::time::Instant::now();
        let Ended { status, complaint, .. } =
            run(&inner.agent, &arguments, input, inner.time + GRACE).await?;
        match status.code() {
            Some(0) => {}
            Some(1) => return Err(CompileError::Refused(complaint)),
            _ => return Err(CompileError::Failed { status, complaint }),
        }
        let store = Arc::clone(store);
        let kept = tokio::task::spawn_blocking(move || store.keep(name, &staging));
        let compiled = kept.await.map_err(|_| CompileError::Bug)??;
        tracing::info!(path = %compiled.path().display(), took = ?started.elapsed(), "compiled");
        Ok(compiled)
    }
}

#[cfg(test)]
mod tests;
