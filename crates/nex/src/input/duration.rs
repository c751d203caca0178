//! Durations in Go's notation: `2s`, `500ms`, `1m30s`, `1.5h`.

use std::time::Duration;

/// Why a text is no duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DurationError {
    /// Nothing at all, or a number without its unit.
    MissingUnit,
    /// Something that is neither a number nor a unit Go knows.
    Malformed,
    /// A negative duration: nothing here waits backwards.
    Negative,
    /// More than [`MAX`].
    TooLong,
}

/// The longest duration that is accepted: a hundred years.
const MAX: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

impl std::fmt::Display for DurationError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::MissingUnit => "a duration needs a unit, such as 2s, 500ms or 1m30s",
            Self::Malformed => "not a duration; write it as 2s, 500ms or 1m30s",
            Self::Negative => "a duration cannot be negative; write it as 2s, 500ms or 1m30s",
            Self::TooLong => "more than a hundred years; write something shorter",
        })
    }
}

impl std::error::Error for DurationError {}

/// Nanoseconds of one unit.
fn unit_nanos(unit: &str) -> Option<u64> {
    Some(match unit {
        "ns" => 1,
        // Both spellings of the micro sign, as Go takes them.
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60 * 1_000_000_000,
        "h" => 3_600 * 1_000_000_000,
        _ => return None,
    })
}

/// Reads a duration as Go's `time.ParseDuration` does, without the sign.
///
/// A bare `0` is a duration too.
pub(crate) fn parse(text: &str) -> Result<Duration, DurationError> {
    let text = text.trim();
    let text = text.strip_prefix('+').unwrap_or(text);
    if text.starts_with('-') {
        return Err(DurationError::Negative);
    }
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    if text.is_empty() {
        return Err(DurationError::MissingUnit);
    }
    let mut rest = text;
    let mut total: u128 = 0;
    while !rest.is_empty() {
        let (number, after) =
            split_while(rest, |character| character.is_ascii_digit() || character == '.');
        let (unit, after) =
            split_while(after, |character| !character.is_ascii_digit() && character != '.');
        if number.is_empty() {
            return Err(DurationError::Malformed);
        }
        if unit.is_empty() {
            return Err(DurationError::MissingUnit);
        }
        let nanos = unit_nanos(unit).ok_or(DurationError::Malformed)?;
        total = total.saturating_add(scaled(number, nanos)?);
        rest = after;
    }
    if total > MAX.as_nanos() {
        return Err(DurationError::TooLong);
    }
    u64::try_from(total).map(Duration::from_nanos).map_err(|_| DurationError::TooLong)
}

/// `number` (digits with at most one point) times `nanos`, in nanoseconds.
fn scaled(number: &str, nanos: u64) -> Result<u128, DurationError> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return Err(DurationError::Malformed);
    }
    let whole: u64 =
        if whole.is_empty() { 0 } else { whole.parse().map_err(|_| DurationError::TooLong)? };
    let mut total = u128::from(whole) * u128::from(nanos);
    let mut weight = u128::from(nanos);
    for digit in fraction.chars() {
        weight /= 10;
        total += weight * u128::from(digit.to_digit(10).unwrap_or(0));
    }
    Ok(total)
}

/// Splits `text` behind its longest prefix of characters that `belongs` takes.
fn split_while(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    let end = text.find(|character| !belongs(character)).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_go_takes() {
        for (text, nanos) in [
            ("0", 0),
            ("2s", 2_000_000_000),
            ("500ms", 500_000_000),
            ("1m", 60_000_000_000),
            ("1m30s", 90_000_000_000),
            ("1.5h", 5_400_000_000_000),
            ("1h15m30.918s", 4_530_918_000_000),
            (".5s", 500_000_000),
            ("1.s", 1_000_000_000),
            ("250us", 250_000),
            ("250\u{b5}s", 250_000),
            ("7ns", 7),
            (" 3s ", 3_000_000_000),
            ("+3s", 3_000_000_000),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_nanos(nanos)), "{text}");
        }
    }

    #[test]
    fn says_what_is_wrong() {
        for (text, error) in [
            ("", DurationError::MissingUnit),
            ("2", DurationError::MissingUnit),
            ("1m30", DurationError::MissingUnit),
            ("s", DurationError::Malformed),
            ("2 s", DurationError::Malformed),
            ("2d", DurationError::Malformed),
            ("1..2s", DurationError::Malformed),
            (".s", DurationError::Malformed),
            ("two seconds", DurationError::Malformed),
            ("-2s", DurationError::Negative),
            ("99999999999999999999s", DurationError::TooLong),
            ("9999999h", DurationError::TooLong),
        ] {
            assert_eq!(parse(text), Err(error), "{text}");
        }
    }
}
