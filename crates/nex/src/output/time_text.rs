//! Times in logs, in the formats the Go CLI names.

use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use crate::args::TimeFormatArg;

const DATE: &[BorrowedFormatItem<'_>] = format_description!("[year]-[month]-[day]");
const DATE_TIME: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");
const STAMP: &[BorrowedFormatItem<'_>] =
    format_description!("[month repr:short] [day padding:space] [hour]:[minute]:[second]");
const RFC_822: &[BorrowedFormatItem<'_>] =
    format_description!("[day] [month repr:short] [year repr:last_two] [hour]:[minute] UTC");
const RFC_3339: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");

/// `when` as text, in UTC.
pub(crate) fn time_text(format: TimeFormatArg, when: OffsetDateTime) -> String {
    let items = match format {
        TimeFormatArg::DateOnly => DATE,
        TimeFormatArg::DateTime => DATE_TIME,
        TimeFormatArg::Stamp => STAMP,
        TimeFormatArg::Rfc822 => RFC_822,
        TimeFormatArg::Rfc3339 => RFC_3339,
    };
    // These formats need nothing that a time could lack.
    when.to_offset(time::UtcOffset::UTC).format(items).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_go_formats() {
        let when = OffsetDateTime::from_unix_timestamp(1_714_132_805).unwrap();
        for (format, text) in [
            (TimeFormatArg::DateOnly, "2024-04-26"),
            (TimeFormatArg::DateTime, "2024-04-26 12:00:05"),
            (TimeFormatArg::Stamp, "Apr 26 12:00:05"),
            (TimeFormatArg::Rfc822, "26 Apr 24 12:00 UTC"),
            (TimeFormatArg::Rfc3339, "2024-04-26T12:00:05Z"),
        ] {
            assert_eq!(time_text(format, when), text);
        }
    }
}
