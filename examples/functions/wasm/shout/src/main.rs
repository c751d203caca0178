//! A function in Rust: answers in capital letters, with a greeting before it if
//! its environment has one.
//!
//! The payload is standard input, the reply standard output; what goes to standard
//! error is the log. The arguments are the name of the function and the subject.

use std::io::{self, Read as _, Write as _};

fn main() -> io::Result<()> {
    let subject = std::env::args().nth(1).unwrap_or_default();
    let mut payload = String::new();
    io::stdin().read_to_string(&mut payload)?;
    eprintln!("{} bytes on {subject}", payload.len());
    let greeting = std::env::var("GREETING").map(|text| text + " ").unwrap_or_default();
    write!(io::stdout(), "{greeting}{}", payload.to_uppercase())
}
