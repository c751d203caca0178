//! A syntax error with the line of the script that it is about.

/// The name that scripts have in messages of the engine.
const FILE: &str = "function.js:";
/// Longest part of a line that is shown, in characters; minified scripts are one line.
const WIDTH: usize = 100;
/// Characters shown before the place of the error where a line is longer.
const BEFORE: usize = 60;

/// The engine's message, and below it the line with a mark under the place. `message` is as the
/// engine gives it: the error, then `at function.js:LINE:COLUMN`, both counted from 1, columns in
/// UTF-16 or bytes as the engine likes: the mark is for the eye.
pub(super) fn of(message: &str, script: &str) -> String {
    let first = message.lines().next().unwrap_or_default();
    let Some((line, column)) = place(message) else { return message.to_owned() };
    let mut text = format!("{first}\n --> line {line}, column {column}");
    let Some(source) = script.lines().nth(line.saturating_sub(1)) else { return text };
    let characters: Vec<char> =
        source.chars().map(|c| if c == '\t' || c.is_control() { ' ' } else { c }).collect();
    let at = column.saturating_sub(1).min(characters.len());
    let start = if characters.len() > WIDTH { at.saturating_sub(BEFORE) } else { 0 };
    let shown: String = characters.iter().skip(start).take(WIDTH).collect();
    let number = line.to_string();
    text += &format!("\n{number} | {}", shown.trim_end());
    text += &format!("\n{} | {}^", " ".repeat(number.len()), " ".repeat(at - start));
    text
}

/// Line and column of the first place that the message names.
fn place(message: &str) -> Option<(usize, usize)> {
    let (_, after) = message.split_once(FILE)?;
    let end = after.find(|c: char| !c.is_ascii_digit() && c != ':').unwrap_or(after.len());
    let (line, column) = after.get(..end)?.split_once(':')?;
    Some((line.parse().ok()?, column.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_line_is_shown_with_a_mark() {
        let message = "SyntaxError: unexpected token\n    at function.js:2:5";
        assert_eq!(
            of(message, "one\n\ttwo üx;\nthree"),
            "SyntaxError: unexpected token\n --> line 2, column 5\n2 |  two üx;\n  |     ^"
        );
    }

    #[test]
    fn of_a_long_line_the_part_around_the_place_is_shown() {
        let script = "x".repeat(5000) + "!" + &"y".repeat(5000);
        let text = of("SyntaxError: no\n    at function.js:1:5001", &script);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[2].find('!'), lines[3].find('^'));
        assert!(lines[2].len() < 120, "{text}");
    }

    #[test]
    fn a_place_that_is_not_there_does_no_harm() {
        for message in ["", "SyntaxError", "a function.js:", "function.js:0:0", "function.js:9:1"] {
            let _ = of(message, "one line");
        }
        assert_eq!(of("no place", "x"), "no place");
    }

    proptest! {
        #[test]
        fn no_message_and_no_script_panics(message in ".*", line in 0..5_usize, column: usize, script in ".*") {
            let _ = of(&format!("{message}\n at function.js:{line}:{column}"), &script);
            let _ = of(&message, &script);
        }
    }
}
