//! How uptimes and run times are written: the style of nats-server.

use std::time::Duration;

/// What stands for an uptime or run time that the node does not know.
pub const UNKNOWN: &str = "unknown";

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const YEAR: u64 = 365 * DAY;

/// Writes an uptime in whole seconds, from the largest unit that is not zero: `59s`, `2m5s`,
/// `3h0m1s`, `4d3h0m1s`, `1y2d3h0m1s`. A year has 365 days.
#[must_use]
pub fn format_uptime(uptime: Duration) -> String {
    let total = uptime.as_secs();
    let (years, days) = (total / YEAR, total % YEAR / DAY);
    let (hours, minutes, seconds) = (total % DAY / HOUR, total % HOUR / MINUTE, total % MINUTE);
    if total >= YEAR {
        format!("{years}y{days}d{hours}h{minutes}m{seconds}s")
    } else if total >= DAY {
        format!("{days}d{hours}h{minutes}m{seconds}s")
    } else if total >= HOUR {
        format!("{hours}h{minutes}m{seconds}s")
    } else if total >= MINUTE {
        format!("{minutes}m{seconds}s")
    } else {
        format!("{seconds}s")
    }
}

/// Writes the summed execution time of a function: `412ns` below 1 µs, `0ms` to `999ms` below
/// 1 s, like an uptime above. (The run time of a service is an uptime.)
#[must_use]
pub fn format_runtime(runtime: Duration) -> String {
    let nanoseconds = runtime.as_nanos();
    if nanoseconds < 1_000 {
        format!("{nanoseconds}ns")
    } else if nanoseconds < 1_000_000_000 {
        format!("{}ms", nanoseconds / 1_000_000)
    } else {
        format_uptime(runtime)
    }
}
