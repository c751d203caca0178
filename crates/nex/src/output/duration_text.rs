//! Durations for people: three figures and the unit that fits.

use std::time::Duration;

/// `duration` as a person would say it: `840 ns`, `12.3 µs`, `1.24 ms`, `2.50 s`.
pub(crate) fn duration_text(duration: Duration) -> String {
    let nanoseconds = duration.as_nanos();
    if nanoseconds < 1_000 {
        return format!("{nanoseconds} ns");
    }
    let seconds = duration.as_secs_f64();
    let units = [("µs", 1e6, 1e-3), ("ms", 1e3, 1.0), ("s", 1.0, f64::INFINITY)];
    // The first unit in which the number, once rounded, stays below a thousand.
    let (unit, factor) = units
        .into_iter()
        .find(|(_, _, end)| seconds < end * 0.999_5)
        .map_or(("s", 1.0), |(unit, factor, _)| (unit, factor));
    let number = seconds * factor;
    let decimals = match number {
        ..9.995 => 2,
        ..99.95 => 1,
        _ => 0,
    };
    format!("{number:.decimals$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_figures_and_a_unit() {
        for (nanoseconds, text) in [
            (0, "0 ns"),
            (999, "999 ns"),
            (1_000, "1.00 µs"),
            (9_994, "9.99 µs"),
            (9_996, "10.0 µs"),
            (123_456, "123 µs"),
            (999_499, "999 µs"),
            (999_600, "1.00 ms"),
            (1_240_000, "1.24 ms"),
            (99_960_000, "100 ms"),
            (999_600_000, "1.00 s"),
            (2_500_000_000, "2.50 s"),
            (3_600_000_000_000, "3600 s"),
        ] {
            assert_eq!(duration_text(Duration::from_nanos(nanoseconds)), text, "{nanoseconds}");
        }
    }
}
