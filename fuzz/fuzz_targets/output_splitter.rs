//! What a workload prints, in portions of any size, with pauses and drops in between.
//!
//! The first byte says how large the portions are, the second after how many of them the start of
//! a line is shown, or the portion dropped.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nex_agent::output::split::{MAX_LINE, Splitter};

fuzz_target!(|data: &[u8]| {
    let [size, every, output @ ..] = data else { return };
    // Large enough that short inputs reach the limit of a line.
    let times = if every % 16 == 15 { 2 * MAX_LINE / output.len().max(1) + 1 } else { 1 };
    let repeated = output.repeat(times);
    let whole = lines(&repeated, usize::MAX);
    assert_eq!(lines(&repeated, usize::from(*size) + 1), whole, "portions make no difference");

    let mut splitter = Splitter::new();
    let mut seen = 0;
    for (index, portion) in repeated.chunks(usize::from(*size) + 1).enumerate() {
        match (index + 1) % (usize::from(*every) + 2) {
            0 => {
                let (ends, bytes) = splitter.skip(portion);
                assert!(ends <= portion.len() as u64);
                seen += bytes;
            }
            1 => splitter.flush(|piece| seen += piece.consumed as u64),
            _ => {}
        }
        let mut rest = portion;
        while !rest.is_empty() {
            // Stops after each piece, as a limiter does.
            rest = splitter.feed(rest, |piece| {
                assert!(piece.bytes.len() <= MAX_LINE && !piece.bytes.contains(&b'\n'));
                let _ = piece.to_text();
                seen += piece.consumed as u64;
                false
            });
        }
    }
    assert!(seen <= 2 * repeated.len() as u64);
});

fn lines(bytes: &[u8], size: usize) -> Vec<String> {
    let mut splitter = Splitter::new();
    let mut lines = Vec::new();
    for portion in bytes.chunks(size.min(bytes.len().max(1))) {
        splitter.feed(portion, |piece| {
            lines.push(piece.to_text());
            true
        });
    }
    splitter.flush(|piece| lines.push(piece.to_text()));
    lines
}
