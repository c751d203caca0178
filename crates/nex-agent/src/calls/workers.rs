//! Threads for calls that compute for long.

use std::io;

use tokio::runtime::{Builder, Handle, Runtime};

/// Most threads, however many processors there are: a node has many agents.
const MAX_THREADS: usize = 4;

/// A runtime of its own, started when it is first needed.
#[derive(Debug, Default)]
pub(super) struct Workers(Option<Runtime>);

impl Workers {
    pub(super) fn handle(&mut self) -> io::Result<&Handle> {
        if self.0.is_none() {
            let threads = std::thread::available_parallelism()?.get().min(MAX_THREADS);
            let runtime = Builder::new_multi_thread()
                .worker_threads(threads)
                .thread_name("nex-call")
                .enable_time()
                .build()?;
            self.0 = Some(runtime);
        }
        match &self.0 {
            Some(runtime) => Ok(runtime.handle()),
            None => Err(io::ErrorKind::Other.into()),
        }
    }
}

impl Drop for Workers {
    /// Not waited for: what runs there ends at its next tick, or with the process.
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
