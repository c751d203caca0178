//! The compiler for WebAssembly: clang with a C library for WASI, or `zig cc`, which brings its own.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use sha2::{Digest, Sha256};

use crate::{keep, prelude, read, write};

/// The version of the PyPI wheel `ziglang` that `scripts/setup` fetches.
const ZIG_VERSION: &str = "0.15.2";

/// The C stack, in low memory: running over its end is a trap, not a write to something else.
/// `ENGINE_STACK_BYTES` in shim.c is what the engine lets scripts use of it.
const STACK_BYTES: u32 = 1 << 20;

/// Memory of a fresh instance. What a call needs beyond it grows the memory, and then the instance
/// is not used again; what it does not need costs nothing.
const MEMORY_BYTES: u32 = 4 << 20;

/// Sources of the engine and of the shim.
const ENGINE: [&str; 3] = ["libregexp.c", "libunicode.c", "dtoa.c"];
const SHIM: [&str; 3] = ["engine.c", "shim.c", "libc.c"];
/// The tool for bytecode, which is compiled for this machine with the whole engine.
const TOOL: &str = "bytecode.c";

/// Flags that decide what comes out. No path and no date may get into the module.
const FLAGS: [&str; 14] = [
    "-std=gnu11",
    "-O2",
    "-DNDEBUG",
    "-D_GNU_SOURCE",
    "-fwrapv",
    "-fno-strict-aliasing",
    "-ffunction-sections",
    "-fdata-sections",
    "-fno-ident",
    "-mbulk-memory",
    "-mmutable-globals",
    "-mnontrapping-fptoint",
    "-msign-ext",
    "-w",
];

/// Globals that the host reads beside the functions of the shim.
const GLOBALS: [&str; 3] = ["__stack_pointer", "__heap_base", "nex_heap_top"];

pub(crate) enum Compiler {
    Clang { clang: OsString },
    Zig { zig: PathBuf, cache: PathBuf },
}

impl Compiler {
    /// The first that is complete.
    pub(crate) fn find() -> Result<Self, String> {
        let clang = Self::Clang { clang: "clang".into() };
        if clang.is_complete() {
            return Ok(clang);
        }
        let kept = keep::cache().map(|cache| cache.join("zig").join(ZIG_VERSION));
        let zigs = kept.iter().map(|folder| folder.join("ziglang").join("zig"));
        for zig in zigs.chain([PathBuf::from("zig")]) {
            if Command::new(&zig).arg("version").output().is_ok_and(|out| out.status.success()) {
                let cache = kept.clone().unwrap_or_else(env::temp_dir).join("cache");
                return Ok(Self::Zig { zig, cache });
            }
        }
        Err("no compiler for WebAssembly was found: run scripts/setup, or install clang, lld, \
             wasi-libc and libclang-rt-<version of clang>-dev-wasm32 (Debian's names), or the \
             PyPI package ziglang; NEX_QUICKJS_WASM=/path embeds a module built elsewhere"
            .to_owned())
    }

    /// Whether a program can be compiled and linked: the parts come in packages of their own.
    fn is_complete(&self) -> bool {
        let out = env::var_os("OUT_DIR").map(PathBuf::from).unwrap_or_default();
        let (source, module) = (out.join("probe.c"), out.join("probe.wasm"));
        let text = "#include <stdlib.h>\n\
                    __attribute__((export_name(\"f\"))) long double f(long double *x)\n\
                    { return x[0] * x[1] + (long double)(size_t)malloc(9); }\n";
        if fs::write(&source, text).is_err() {
            return false;
        }
        let objects = [source.into_os_string()];
        let mut link = self.link(&objects, &module);
        link.output().is_ok_and(|out| out.status.success())
    }

    /// What of the compiler decides what comes out: its version, the C library, our flags.
    pub(crate) fn identity(&self) -> Result<String, String> {
        let mut text = format!("{FLAGS:?} {STACK_BYTES} {MEMORY_BYTES} {GLOBALS:?}\n");
        match self {
            Self::Clang { clang } => {
                let ask = |argument: &str| {
                    run(Command::new(clang).args(["--target=wasm32-wasi", argument]))
                        .map(|out| String::from_utf8_lossy(&out.stdout).trim().to_owned())
                };
                text += &ask("--version")?;
                for argument in ["-print-file-name=libc.a", "-print-libgcc-file-name"] {
                    let file = PathBuf::from(ask(argument)?);
                    // Not named by a full path where the compiler has none of its own.
                    if file.is_file() {
                        text += &keep::hex(&Sha256::digest(read(&file)?));
                    }
                }
            }
            Self::Zig { zig, .. } => {
                let out = run(Command::new(zig).arg("version"))?;
                text += "zig ";
                text += &String::from_utf8_lossy(&out.stdout);
            }
        }
        Ok(text)
    }

    /// Compiles and links everything; the module's bytes.
    pub(crate) fn compile(
        &self,
        engine: &Path,
        shim: &Path,
        generated: &Path,
        objects: &Path,
    ) -> Result<Vec<u8>, String> {
        fs::create_dir_all(objects)
            .map_err(|error| format!("cannot make {}: {error}", objects.display()))?;
        let bytecode = self.bytecode(engine, shim, generated, objects)?;
        write(&objects.join("prelude.h"), prelude::header(&bytecode).as_bytes())?;
        let sources = SHIM.map(|name| shim.join(name)).into_iter();
        let mut linked = Vec::new();
        for source in sources.chain(ENGINE.map(|name| engine.join(name))) {
            let object = objects.join(source.file_stem().unwrap_or_default()).with_extension("o");
            let mut compile = self.driver();
            for folder in [engine, shim, objects] {
                compile.arg("-I").arg(folder);
                compile.arg(prefix_map(folder));
            }
            run(compile.args(FLAGS).arg("-c").arg(&source).arg("-o").arg(&object))?;
            linked.push(object.into_os_string());
        }
        let module = objects.join("quickjs.wasm");
        run(&mut self.link(&linked, &module))?;
        read(&module)
    }

    /// The prelude in bytecode, by the same version of the engine. Optimizing the tool would take
    /// longer than it runs.
    fn bytecode(
        &self,
        engine: &Path,
        shim: &Path,
        generated: &Path,
        objects: &Path,
    ) -> Result<Vec<u8>, String> {
        let tool = objects.join("bytecode");
        let mut compile = match self {
            Self::Clang { clang } => Command::new(clang),
            Self::Zig { .. } => self.zig("cc"),
        };
        compile.args(["-O0", "-DNDEBUG", "-D_GNU_SOURCE", "-w", "-fno-sanitize=undefined", "-I"]);
        compile.arg(engine).arg(shim.join(TOOL)).arg(engine.join("quickjs.c"));
        compile.args(ENGINE.map(|name| engine.join(name)));
        run(compile.args(["-lm", "-lpthread", "-o"]).arg(&tool))?;
        let script = generated.join("prelude.js");
        let script = File::open(&script)
            .map_err(|error| format!("cannot read {}: {error}", script.display()))?;
        Ok(run(Command::new(&tool).stdin(script))?.stdout)
    }

    fn driver(&self) -> Command {
        match self {
            Self::Clang { clang } => {
                let mut command = Command::new(clang);
                command.arg("--target=wasm32-wasi");
                command
            }
            Self::Zig { .. } => {
                let mut command = self.zig("cc");
                command.args(["-target", "wasm32-wasi", "-fno-sanitize=undefined"]);
                command
            }
        }
    }

    fn zig(&self, subcommand: &str) -> Command {
        let Self::Zig { zig, cache } = self else { return Command::new("zig") };
        let mut command = Command::new(zig);
        command.env("ZIG_GLOBAL_CACHE_DIR", cache).env("ZIG_LOCAL_CACHE_DIR", cache);
        command.arg(subcommand);
        command
    }

    /// Links what the shim exports, and the globals, to a module without a start function.
    fn link(&self, objects: &[OsString], module: &Path) -> Command {
        let probe =
            objects.iter().any(|object| Path::new(object).extension() == Some(OsStr::new("c")));
        let globals = GLOBALS.iter().filter(|_| !probe).map(|name| format!("--export={name}"));
        if let Self::Zig { .. } = self {
            let mut command = self.zig("build-exe");
            command.args(objects).args(["-target", "wasm32-wasi", "-mexec-model=reactor", "-lc"]);
            command.args(["-O", "ReleaseFast", "-fstrip", "-fno-entry", "--gc-sections"]);
            command.args(globals).arg("--stack").arg(STACK_BYTES.to_string());
            command.arg(format!("--initial-memory={MEMORY_BYTES}"));
            command.arg(format!("-femit-bin={}", module.display()));
            return command;
        }
        let mut command = self.driver();
        command.args(objects).arg("-nostartfiles").arg("-o").arg(module);
        let stack = format!("stack-size={STACK_BYTES}");
        let memory = format!("--initial-memory={MEMORY_BYTES}");
        let fixed = ["--no-entry", "--stack-first", "--gc-sections", "--strip-all", "-z", &stack];
        for argument in fixed.into_iter().map(str::to_owned).chain([memory]).chain(globals) {
            command.arg(format!("-Wl,{argument}"));
        }
        command
    }
}

fn prefix_map(folder: &Path) -> OsString {
    let mut flag = OsString::from("-ffile-prefix-map=");
    flag.push(folder);
    flag.push("=.");
    flag
}

fn run(command: &mut Command) -> Result<Output, String> {
    let output = command
        .output()
        .map_err(|error| format!("cannot run {}: {error}", command.get_program().display()))?;
    if output.status.success() {
        return Ok(output);
    }
    let text = String::from_utf8_lossy(&output.stderr);
    Err(format!("{} failed: {}", command.get_program().display(), text.trim()))
}
