//! Ticks of the engine's epoch while calls run: what makes endless ones give way and end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::{self, Thread};
use std::time::Duration;

use wasmtime::Engine;

/// Time between two ticks.
pub const TICK: Duration = Duration::from_millis(1);

/// Ticks without any call after which the thread sleeps. To wake it takes as long as a short call
/// computes, so it stays up between calls that follow one another.
const IDLE_TICKS: u32 = 20;

#[derive(Debug, Default)]
struct State {
    /// Calls that run.
    running: AtomicUsize,
    /// Calls that began, ever.
    begun: AtomicU64,
    asleep: AtomicBool,
    ended: AtomicBool,
}

/// The thread that ticks. Ends with its owner.
#[derive(Debug)]
pub struct Beat {
    state: Arc<State>,
    thread: Thread,
}

/// Keeps the ticks coming.
#[derive(Debug)]
pub struct Hold(Arc<State>);

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Drop for Beat {
    fn drop(&mut self) {
        self.state.ended.store(true, Ordering::SeqCst);
        self.state.asleep.store(false, Ordering::SeqCst);
        self.thread.unpark();
    }
}

impl Beat {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system has no thread to give.
    pub fn start(engine: Engine) -> std::io::Result<Self> {
        let state = Arc::new(State::default());
        let its = Arc::clone(&state);
        let builder = thread::Builder::new().name("nex-beat".to_owned()).stack_size(64 << 10);
        let thread = builder.spawn(move || its.tick(&engine))?.thread().clone();
        Ok(Self { state, thread })
    }

    /// Ticks come as long as this is held.
    #[must_use]
    pub fn hold(&self) -> Hold {
        self.state.running.fetch_add(1, Ordering::SeqCst);
        self.state.begun.fetch_add(1, Ordering::Relaxed);
        if self.state.asleep.load(Ordering::SeqCst) {
            self.state.asleep.store(false, Ordering::SeqCst);
            self.thread.unpark();
        }
        Hold(Arc::clone(&self.state))
    }
}

impl State {
    fn tick(&self, engine: &Engine) {
        let mut idle = 0;
        let mut seen = 0;
        while !self.ended.load(Ordering::SeqCst) {
            thread::sleep(TICK);
            engine.increment_epoch();
            let begun = self.begun.load(Ordering::Relaxed);
            if self.running.load(Ordering::SeqCst) > 0 || begun != seen {
                (idle, seen) = (0, begun);
                continue;
            }
            idle += 1;
            if idle >= IDLE_TICKS {
                idle = 0;
                self.sleep();
            }
        }
    }

    /// Says first that it sleeps, then looks once more: a call that began in between either sees
    /// that, or is seen here.
    fn sleep(&self) {
        self.asleep.store(true, Ordering::SeqCst);
        if self.running.load(Ordering::SeqCst) > 0 || self.ended.load(Ordering::SeqCst) {
            self.asleep.store(false, Ordering::SeqCst);
        }
        while self.asleep.load(Ordering::SeqCst) {
            thread::park();
        }
    }
}
