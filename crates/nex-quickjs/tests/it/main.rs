//! What the built module is.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeSet;

use nex_quickjs::{export, import};
use wasmparser::{ExternalKind, Parser, Payload, TypeRef};

/// Imports, exports, and how many globals can change.
struct Outline {
    imports: BTreeSet<(String, String)>,
    exports: BTreeSet<String>,
    mutable_globals: usize,
    has_start: bool,
}

fn outline() -> Outline {
    let mut outline = Outline {
        imports: BTreeSet::new(),
        exports: BTreeSet::new(),
        mutable_globals: 0,
        has_start: false,
    };
    for part in Parser::new(0).parse_all(nex_quickjs::module()) {
        match part.unwrap() {
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    let import = import.unwrap();
                    assert!(matches!(import.ty, TypeRef::Func(_)), "{import:?}");
                    outline.imports.insert((import.module.to_owned(), import.name.to_owned()));
                }
            }
            Payload::ExportSection(exports) => {
                for export in exports {
                    let export = export.unwrap();
                    assert!(export.kind != ExternalKind::Table, "{export:?}");
                    outline.exports.insert(export.name.to_owned());
                }
            }
            Payload::GlobalSection(globals) => {
                let mutable = |global: &_| {
                    let global: &wasmparser::Global<'_> = global;
                    global.ty.mutable
                };
                outline.mutable_globals +=
                    globals.into_iter().map(Result::unwrap).filter(mutable).count();
            }
            Payload::StartSection { .. } => outline.has_start = true,
            _ => {}
        }
    }
    outline
}

#[test]
fn it_reaches_nothing_but_its_host() {
    let expected = import::ALL.map(|name| (import::MODULE.to_owned(), name.to_owned()));
    assert_eq!(outline().imports, BTreeSet::from(expected));
}

#[test]
fn it_exports_what_is_documented() {
    let exports = outline().exports;
    for name in [
        export::MEMORY,
        export::STACK_POINTER,
        export::HEAP_BASE,
        export::HEAP_TOP,
        export::START,
        export::LOAD,
        export::CALL,
    ] {
        assert!(exports.contains(name), "{name} is missing in {exports:?}");
    }
}

/// Else restoring the memory would not be enough.
#[test]
fn nothing_but_the_memory_and_the_stack_pointer_can_change() {
    let outline = outline();
    assert_eq!(outline.mutable_globals, 1);
    assert!(!outline.has_start);
}

#[test]
fn it_has_nothing_of_the_machine_it_was_built_on() {
    let module = nex_quickjs::module();
    let mut foreign =
        vec![".cargo", "registry/src", "rquickjs-sys", "/target/", "/home/", "/root/"];
    let here = env!("CARGO_MANIFEST_DIR");
    foreign.push(here);
    for text in foreign {
        let found = module.windows(text.len()).any(|window| window == text.as_bytes());
        assert!(!found, "the module holds {text:?}");
    }
}

#[test]
fn the_engine_says_its_version() {
    let numbers = nex_quickjs::ENGINE_VERSION.split('.').map(str::parse::<u32>);
    if std::env::var_os("NEX_QUICKJS_WASM").is_none() {
        assert_eq!(numbers.filter_map(Result::ok).count(), 3);
    }
}
