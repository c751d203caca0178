//! The JavaScript that every script finds evaluated before it, as a C header.

use std::fmt::Write as _;
use std::path::Path;

use crate::read;

/// Files of `js/`, in the order in which they are one function.
const FILES: [&str; 10] = [
    "head", "inspect", "console", "encoding", "url", "crypto", "clone", "timers", "services",
    "tail",
];

pub(crate) fn header(folder: &Path) -> Result<String, String> {
    let mut script = "(function (native) {\n\"use strict\";\n".to_owned();
    for name in FILES {
        let text = read(&folder.join(name).with_extension("js"))?;
        for line in String::from_utf8_lossy(&text).lines() {
            // The engine keeps a function's source; indentation and comments would be in every
            // image.
            let line = line.trim_start();
            if !line.is_empty() && !line.starts_with("//") {
                script.push_str(line);
                script.push('\n');
            }
        }
    }
    script.push_str("})");
    let mut header = "#include <stddef.h>\nstatic const unsigned char nex_prelude[] = {".to_owned();
    for byte in script.bytes() {
        let _ = write!(header, "{byte},");
    }
    let _ = writeln!(header, "0}};\nstatic const size_t nex_prelude_size = {};", script.len());
    Ok(header)
}
