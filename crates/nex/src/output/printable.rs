//! Texts of others, made safe for a terminal.

/// `text` without what could steer a terminal: it may come from a tenant.
///
/// Escape sequences (colours, cursor movements) are left out, other control
/// characters but the tab are replaced.
pub(crate) fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        if character == '\x1b' && characters.peek() == Some(&'[') {
            characters.next();
            // Parameters, then one final character from `@` to `~`.
            while let Some(next) =
                characters.next_if(|next| next.is_ascii() && !next.is_ascii_control())
            {
                if ('@'..='~').contains(&next) {
                    break;
                }
            }
        } else if character.is_control() && character != '\t' {
            shown.push('\u{fffd}');
        } else {
            shown.push(character);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn nothing_steers_the_terminal() {
        for (text, shown) in [
            ("plain \u{e9} \t text", "plain \u{e9} \t text"),
            ("\x1b[31mred\x1b[0m", "red"),
            ("\x1b[2J\x1b[1;1Hgone", "gone"),
            ("\x1b]0;title\x07", "\u{fffd}]0;title\u{fffd}"),
            ("a\rb\nc\x08", "a\u{fffd}b\u{fffd}c\u{fffd}"),
            ("\u{9b}31m", "\u{fffd}31m"),
            ("\x1b[", ""),
            ("\x1b", "\u{fffd}"),
        ] {
            assert_eq!(printable(text), shown, "{text:?}");
        }
    }
}
