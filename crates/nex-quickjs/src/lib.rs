//! QuickJS-NG as a WebAssembly module, for functions in JavaScript.
