//! The JavaScript that every script finds evaluated before it: one function, in bytecode.

use std::fmt::Write as _;
use std::path::Path;

use crate::read;

/// Files of `js/`, in the order in which they are one function.
const FILES: [&str; 10] = [
    "head", "inspect", "console", "encoding", "url", "crypto", "clone", "timers", "services",
    "tail",
];

/// The source.
pub(crate) fn script(folder: &Path) -> Result<String, String> {
    let mut script = "(function (native) {\n\"use strict\";\n".to_owned();
    for name in FILES {
        let text = read(&folder.join(name).with_extension("js"))?;
        script.push_str(&String::from_utf8_lossy(&text));
    }
    script.push_str("})\n");
    Ok(script)
}

/// Bytecode as a C header.
pub(crate) fn header(bytecode: &[u8]) -> String {
    let mut header = "static const unsigned char nex_prelude[] = {".to_owned();
    for byte in bytecode {
        let _ = write!(header, "{byte},");
    }
    header + "};\n"
}
