//! URLs, by the standard that browsers follow.

use url::Url;
use url::quirks;

use nex_quickjs::url::{PARSE, PARSE_WITH_BASE, SET_FIRST};

/// The parts of a URL after an operation of `nex_quickjs::url`, one a line; `None` if it comes to no
/// URL. A part that cannot be set stays as it is.
pub(super) fn parts(operation: i32, address: &str, argument: &str) -> Option<String> {
    let url = match operation {
        PARSE => Url::parse(address).ok()?,
        PARSE_WITH_BASE => Url::parse(argument).ok()?.join(address).ok()?,
        _ => {
            let mut url = Url::parse(address).ok()?;
            set(&mut url, operation.checked_sub(SET_FIRST)?, argument)?;
            url
        }
    };
    let parts = [
        quirks::href(&url),
        &quirks::origin(&url),
        quirks::protocol(&url),
        quirks::username(&url),
        quirks::password(&url),
        quirks::host(&url),
        quirks::hostname(&url),
        quirks::port(&url),
        quirks::pathname(&url),
        quirks::search(&url),
        quirks::hash(&url),
    ];
    Some(parts.join("\n"))
}

fn set(url: &mut Url, part: i32, value: &str) -> Option<()> {
    // The standard says to ignore what cannot be set.
    let _ = match part {
        0 => quirks::set_protocol(url, value),
        1 => quirks::set_username(url, value),
        2 => quirks::set_password(url, value),
        3 => quirks::set_host(url, value),
        4 => quirks::set_hostname(url, value),
        5 => quirks::set_port(url, value),
        6 => {
            quirks::set_pathname(url, value);
            Ok(())
        }
        7 => {
            quirks::set_search(url, value);
            Ok(())
        }
        8 => {
            quirks::set_hash(url, value);
            Ok(())
        }
        _ => return None,
    };
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_its_parts_one_a_line() {
        let parts = parts(PARSE, "https://u:p@Exämple.org:8080/a b?q=1#f", "").unwrap();
        assert_eq!(
            parts.lines().collect::<Vec<_>>(),
            [
                "https://u:p@xn--exmple-cua.org:8080/a%20b?q=1#f",
                "https://xn--exmple-cua.org:8080",
                "https:",
                "u",
                "p",
                "xn--exmple-cua.org:8080",
                "xn--exmple-cua.org",
                "8080",
                "/a%20b",
                "?q=1",
                "#f",
            ]
        );
    }

    #[test]
    fn what_is_no_url_or_no_operation_has_none() {
        assert_eq!(parts(PARSE, "/a", ""), None);
        assert_eq!(parts(PARSE_WITH_BASE, "b", "not a base"), None);
        for operation in [i32::MIN, -1, SET_FIRST + 9, i32::MAX] {
            assert_eq!(parts(operation, "http://a/", "x"), None, "{operation}");
        }
    }
}
