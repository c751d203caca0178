//! The agent's own words, on standard error: where its node's debug log finds them.

use std::io::Write as _;

/// Writes one line. A standard error that nobody reads any more is no reason to fail.
pub fn say(text: &str) {
    let mut line = Vec::with_capacity(text.len() + 12);
    line.extend_from_slice(b"nex-agent: ");
    line.extend(text.bytes().map(|byte| if byte == b'\n' { b' ' } else { byte }));
    line.push(b'\n');
    // One write, so that lines of several agents on one file do not mix.
    let _ = std::io::stderr().write_all(&line);
}
