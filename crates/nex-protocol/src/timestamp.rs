//! Points in time as Go writes them in JSON: RFC 3339 with up to nine digits of a second.

use time::format_description::well_known::Rfc3339;
use time::{Date, Month, OffsetDateTime, Time, UtcOffset};

/// A text that is no RFC 3339 time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a time; write it like 2024-04-26T12:00:00Z")]
pub struct TimestampError;

/// Reads a time as Go does: capital `T` and `Z` only, a zone is required, no leap seconds. Any
/// number of digits may follow the second, after a point or a comma; those below the nanosecond
/// are dropped.
///
/// # Errors
/// [`TimestampError`] for anything else.
pub fn parse(text: &str) -> Result<OffsetDateTime, TimestampError> {
    read(text).ok_or(TimestampError)
}

/// Writes a time with as many digits of the second as it needs. Times outside the years 0 to 9999
/// cannot be written and give the start of 1970.
#[must_use]
pub fn format(at: OffsetDateTime) -> String {
    at.format(&Rfc3339).unwrap_or_else(|_| "1970-01-01T00:00:00Z".to_owned())
}

/// Whether this is the zero value of Go's `time.Time`, which stands for "no time".
#[must_use]
pub fn is_go_zero(at: OffsetDateTime) -> bool {
    const GO_ZERO_UNIX_SECONDS: i64 = -62_135_596_800;
    at.unix_timestamp() == GO_ZERO_UNIX_SECONDS && at.nanosecond() == 0
}

fn read(text: &str) -> Option<OffsetDateTime> {
    let mut rest = text.as_bytes();
    let year = digits(&mut rest, 4)?;
    literal(&mut rest, b"-")?;
    let month = digits(&mut rest, 2)?;
    literal(&mut rest, b"-")?;
    let day = digits(&mut rest, 2)?;
    literal(&mut rest, b"T")?;
    let hour = digits(&mut rest, 2)?;
    literal(&mut rest, b":")?;
    let minute = digits(&mut rest, 2)?;
    literal(&mut rest, b":")?;
    let second = digits(&mut rest, 2)?;
    let nanosecond = fraction(&mut rest)?;
    let offset = zone(&mut rest)?;
    if !rest.is_empty() {
        return None;
    }
    let month = Month::try_from(u8::try_from(month).ok()?).ok()?;
    let date =
        Date::from_calendar_date(i32::try_from(year).ok()?, month, u8::try_from(day).ok()?).ok()?;
    let time = Time::from_hms_nano(
        u8::try_from(hour).ok()?,
        u8::try_from(minute).ok()?,
        u8::try_from(second).ok()?,
        nanosecond,
    )
    .ok()?;
    Some(OffsetDateTime::new_in_offset(date, time, offset))
}

fn digits(rest: &mut &[u8], count: usize) -> Option<u32> {
    let (number, tail) = rest.split_at_checked(count)?;
    *rest = tail;
    number.iter().try_fold(0_u32, |sum, &digit| {
        digit.is_ascii_digit().then(|| sum * 10 + u32::from(digit - b'0'))
    })
}

fn literal(rest: &mut &[u8], expected: &[u8]) -> Option<()> {
    *rest = rest.strip_prefix(expected)?;
    Some(())
}

fn fraction(rest: &mut &[u8]) -> Option<u32> {
    let Some(tail) = rest.strip_prefix(b".").or_else(|| rest.strip_prefix(b",")) else {
        return Some(0);
    };
    let count = tail.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (written, tail) = tail.split_at_checked(count)?;
    if written.is_empty() {
        return None;
    }
    *rest = tail;
    let digits = written.iter().copied().chain(std::iter::repeat(b'0')).take(9);
    Some(digits.fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0')))
}

fn zone(rest: &mut &[u8]) -> Option<UtcOffset> {
    if let Some(tail) = rest.strip_prefix(b"Z") {
        *rest = tail;
        return Some(UtcOffset::UTC);
    }
    let (sign, tail) = rest.split_first()?;
    *rest = tail;
    let hours = i8::try_from(digits(rest, 2)?).ok()?;
    literal(rest, b":")?;
    let minutes = i8::try_from(digits(rest, 2)?).ok()?;
    if hours > 23 || minutes > 59 {
        return None;
    }
    match sign {
        b'+' => UtcOffset::from_hms(hours, minutes, 0).ok(),
        b'-' => UtcOffset::from_hms(-hours, -minutes, 0).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_what_it_read() {
        for text in [
            "2024-04-26T12:00:00Z",
            "2024-04-26T12:00:00.754387202Z",
            "2024-04-26T12:00:00.5Z",
            "2024-04-26T12:00:00+02:00",
            "2024-04-26T12:00:00-11:30",
            "0001-01-01T00:00:00Z",
            "9999-12-31T23:59:59.999999999Z",
        ] {
            assert_eq!(format(parse(text).unwrap()), text);
        }
        assert_eq!(
            format(parse("2024-04-26T12:00:00,123456789012Z").unwrap()),
            "2024-04-26T12:00:00.123456789Z"
        );
        assert!(is_go_zero(parse("0001-01-01T00:00:00Z").unwrap()));
    }

    #[test]
    fn refuses_what_is_no_time() {
        for text in [
            "",
            "2024-04-26",
            "2024-04-26T12:00:00",
            "2024-04-26t12:00:00z",
            "2024-04-26 12:00:00Z",
            "2016-12-31T23:59:60Z",
            "2024-02-30T12:00:00Z",
            "2024-04-26T12:00:00.Z",
            "2024-04-26T12:00:00Zx",
            "2024-04-26T24:00:00Z",
            "2024-04-26T12:00:00+24:00",
            "+024-04-26T12:00:00Z",
            "2024-04-26T12:00:00é",
        ] {
            assert_eq!(parse(text), Err(TimestampError), "{text}");
        }
    }
}
