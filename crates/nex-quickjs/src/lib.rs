//! QuickJS-NG as a WebAssembly module, for functions in JavaScript.
//!
//! The module is the engine's C sources, a shim (`c/`) and the JavaScript that every script finds
//! (`js/`). It reaches nothing but what its host gives it: there is no import of WASI, no file, no
//! environment, no argument. How it is built is told in `build/main.rs`.
//!
//! # How a host uses it
//!
//! Instantiate, [`export::START`], [`export::LOAD`], and keep a copy of the memory above the stack:
//! the *image*. For every call: [`export::CALL`], then write the image back, set
//! [`export::STACK_POINTER`] to what it was, and put zeros between the end of the image and
//! [`export::HEAP_TOP`]. So every call finds the world as the script left it. An instance that
//! trapped, or whose memory grew, is of no use any more. Functions return 0, or -1 after they have
//! called [`import::FAIL`].
//!
//! | export | | |
//! |---|---|---|
//! | `memory` | memory | the C stack comes first, so what lies below `__stack_pointer` is dead when no function runs |
//! | `__stack_pointer` | global i32, mutable | where the stack begins, growing down to 0 |
//! | `__heap_base` | global i32 | end of the stack and of the static data |
//! | `nex_heap_top` | global i32 | address of an i32: the end of the highest block of memory that was ever handed out |
//! | `start` | `() -> i32` | makes the engine and the API |
//! | `load` | `(module: i32) -> i32` | evaluates the script; `module` says which syntax errors to show where neither reading of the script works: those of a module, if not 0 |
//! | `call` | `(seed: i64) -> i32` | calls the function; `seed` is that of `Math.random` |
//!
//! All imports are functions of the module `nex`. Sizes are bytes, pointers are offsets into the
//! memory; a host has to check all of them. Texts are UTF-8.
//!
//! | import | | |
//! |---|---|---|
//! | `read` | `(what, index, to, size: i32) -> i32` | copies at most `size` bytes of an [`input`] and answers how long it is; -1 if there is none |
//! | `answer` | `(bytes, size: i32)` | the function's answer, at most once a call |
//! | `fail` | `(kind, text, size: i32)` | why a script or a call failed, see [`failure`] |
//! | `log` | `(level, text, size: i32)` | a line of the log, with a level of the agent protocol |
//! | `random` | `(to, size: i32)` | random bytes |
//! | `clock` | `(which: i32) -> i64` | nanoseconds, see [`clock`] |
//! | `sleep` | `(milliseconds: f64)` | returns after that time |
//! | `service` | `(service, argument, argument_size, body, body_size: i32) -> i32` | calls a host service; answers how many parts its answer has ([`input::PART`]), or -1, then part 0 is the text of the error |
//! | `digest` | `(algorithm, bytes, size, to: i32) -> i32` | a digest of at most 64 bytes; 0 to 3 are SHA-1, SHA-256, SHA-384, SHA-512. Answers its size, or -1 |
//! | `url` | `(operation, url, url_size, argument, argument_size: i32) -> i32` | see [`url`]; -1 if what comes out is no URL, else the size of [`input::URL`] |
//!
//! Only `sleep`, `service` and `digest` may take long.

/// Names of what the module exports.
pub mod export {
    /// The memory.
    pub const MEMORY: &str = "memory";
    /// The stack pointer.
    pub const STACK_POINTER: &str = "__stack_pointer";
    /// Where the heap begins.
    pub const HEAP_BASE: &str = "__heap_base";
    /// Where the end of the used heap is found.
    pub const HEAP_TOP: &str = "nex_heap_top";
    /// Makes the engine.
    pub const START: &str = "start";
    /// Evaluates the script.
    pub const LOAD: &str = "load";
    /// Calls the function.
    pub const CALL: &str = "call";
}

/// Names of what the module imports.
pub mod import {
    /// The module of all imports.
    pub const MODULE: &str = "nex";
    /// Reads an input.
    pub const READ: &str = "read";
    /// Answers.
    pub const ANSWER: &str = "answer";
    /// Fails.
    pub const FAIL: &str = "fail";
    /// Logs.
    pub const LOG: &str = "log";
    /// Random bytes.
    pub const RANDOM: &str = "random";
    /// The time.
    pub const CLOCK: &str = "clock";
    /// Waits.
    pub const SLEEP: &str = "sleep";
    /// Calls a host service.
    pub const SERVICE: &str = "service";
    /// Hashes.
    pub const DIGEST: &str = "digest";
    /// Parses URLs.
    pub const URL: &str = "url";
    /// All of them.
    pub const ALL: [&str; 10] =
        [READ, ANSWER, FAIL, LOG, RANDOM, CLOCK, SLEEP, SERVICE, DIGEST, URL];
}

/// What `read` reads.
pub mod input {
    /// The subject of the message.
    pub const SUBJECT: i32 = 0;
    /// The body of the message.
    pub const PAYLOAD: i32 = 1;
    /// The reply subject of the message; empty if there is none.
    pub const REPLY: i32 = 2;
    /// The headers of the message, JSON: `[[name, value], …]`.
    pub const HEADERS: i32 = 3;
    /// The environment of the workload, JSON: `{name: value, …}`.
    pub const ENVIRONMENT: i32 = 4;
    /// The script.
    pub const SCRIPT: i32 = 5;
    /// Part `index` of the last answer of `service`.
    pub const PART: i32 = 6;
    /// The last answer of `url`.
    pub const URL: i32 = 7;
}

/// Kinds of failure.
pub mod failure {
    /// An exception; the text is what it says, with its stack.
    pub const EXCEPTION: i32 = 0;
    /// The script cannot be parsed; the text has the place as `function.js:LINE:COLUMN`.
    pub const SYNTAX: i32 = 1;
    /// The script's value, or its default export, is no function.
    pub const NO_FUNCTION: i32 = 2;
    /// A promise is waited for that nothing can settle any more.
    pub const UNSETTLED: i32 = 3;
    /// The engine could not be made.
    pub const ENGINE: i32 = 4;
}

/// Clocks.
pub mod clock {
    /// Since 1970.
    pub const WALL: i32 = 0;
    /// Since this call began; never goes back.
    pub const STEADY: i32 = 1;
    /// When the call must have ended, on the clock `WALL`.
    pub const DEADLINE: i32 = 2;
}

/// Operations of `url`. The answer is the parts of the URL, one a line: href, origin, protocol,
/// username, password, host, hostname, port, pathname, search, hash.
pub mod url {
    /// Parses `url`; there is no argument.
    pub const PARSE: i32 = 0;
    /// Parses `url` against the base `argument`.
    pub const PARSE_WITH_BASE: i32 = 1;
    /// From this one on: sets a part to `argument`; protocol, username, password, host, hostname,
    /// port, pathname, search, hash, in this order.
    pub const SET_FIRST: i32 = 2;
}

/// The version of QuickJS-NG.
pub const ENGINE_VERSION: &str = env!("NEX_QUICKJS_VERSION");

/// Where the engine's C sources were when the module was built; for benchmarks, nothing else.
#[doc(hidden)]
pub const ENGINE_SOURCE: &str = match option_env!("NEX_QUICKJS_SOURCE") {
    Some(folder) => folder,
    None => "",
};

/// The module.
#[must_use]
pub fn module() -> &'static [u8] {
    include_bytes!(concat!(env!("OUT_DIR"), "/quickjs.wasm"))
}
