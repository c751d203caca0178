//! A service to try Nex with: it answers HTTP on loopback and logs each request.
//!
//! Nothing but the standard library, so that it builds in a second and runs
//! anywhere, also as a static program.
//!
//! Environment: `PORT` (0, the default, takes a free one), `HOST` (127.0.0.1),
//! `GREETING` ("Hello from Nex"). Arguments are shown in the answer.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A request head is cut off here.
const MAX_HEAD_BYTES: u64 = 16 * 1024;

/// How long a client may take to say what it wants.
const PATIENCE: Duration = Duration::from_secs(5);

/// What every answer needs.
struct Service {
    greeting: String,
    arguments: Vec<String>,
    answered: AtomicU64,
}

fn main() -> std::io::Result<()> {
    let host = std::env::var("HOST").unwrap_or_else(|_| "127.0.0.1".to_owned());
    let port = match std::env::var("PORT") {
        Ok(text) => text.trim().parse::<u16>().map_err(|error| {
            std::io::Error::other(format!("PORT={text} is not a port number: {error}"))
        })?,
        Err(_) => 0,
    };
    let service = Arc::new(Service {
        greeting: std::env::var("GREETING").unwrap_or_else(|_| "Hello from Nex".to_owned()),
        arguments: std::env::args().skip(1).collect(),
        answered: AtomicU64::new(0),
    });
    let listener = TcpListener::bind((host.as_str(), port))?;
    say(&format!("listening on http://{}", listener.local_addr()?));
    for stream in listener.incoming() {
        match stream {
            Ok(stream) => {
                let service = Arc::clone(&service);
                let _ = std::thread::Builder::new().spawn(move || {
                    if let Err(error) = service.answer(&stream) {
                        complain(&format!("a client went away: {error}"));
                    }
                });
            }
            Err(error) => complain(&format!("cannot accept a connection: {error}")),
        }
    }
    Ok(())
}

impl Service {
    fn answer(&self, mut stream: &TcpStream) -> std::io::Result<()> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut reader = BufReader::new(stream.take(MAX_HEAD_BYTES));
        let mut request = String::new();
        reader.read_line(&mut request)?;
        loop {
            let mut header = String::new();
            if reader.read_line(&mut header)? == 0 || header.trim().is_empty() {
                break;
            }
        }
        let mut words = request.split_whitespace();
        let (method, path) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        let (status, body) = match (method, path) {
            ("GET" | "HEAD", "/") => ("200 OK", self.body()),
            ("GET" | "HEAD", _) => ("404 Not Found", "{\"error\":\"only / is here\"}\n".to_owned()),
            _ => ("405 Method Not Allowed", "{\"error\":\"only GET works here\"}\n".to_owned()),
        };
        let shown = if method == "HEAD" { "" } else { body.as_str() };
        write!(
            stream,
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n{shown}",
            body.len()
        )?;
        say(&format!("{} {} {}", printable(method), printable(path), status));
        Ok(())
    }

    fn body(&self) -> String {
        let arguments: Vec<String> = self.arguments.iter().map(|text| quoted(text)).collect();
        format!(
            "{{\"greeting\":{},\"arguments\":[{}],\"request\":{},\"pid\":{}}}\n",
            quoted(&self.greeting),
            arguments.join(","),
            self.answered.fetch_add(1, Ordering::Relaxed) + 1,
            std::process::id()
        )
    }
}

/// `text` as a JSON string.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            control if control.is_control() => {
                quoted.push_str(&format!("\\u{:04x}", u32::from(control)));
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

fn printable(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(200).collect()
}

/// Writes a line to standard output, at once.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Writes a line to standard error.
fn complain(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}
