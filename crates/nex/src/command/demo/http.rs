//! Just enough of an HTTP client to call the service of the demo.

use anyhow::{Context, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// An answer is cut off here.
const MAX_ANSWER_BYTES: u64 = 64 * 1024;

/// The body of the answer to `GET /` at `http://HOST:PORT`.
pub(super) async fn get(url: &str) -> anyhow::Result<String> {
    let Some(host) = url.strip_prefix("http://") else {
        bail!("{url} is not an http:// address; run the demo with a service that says one");
    };
    let cannot = || format!("cannot call the service at {url}; run the demo again");
    let mut stream = TcpStream::connect(host).await.with_context(cannot)?;
    let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.with_context(cannot)?;
    let mut answer = Vec::new();
    stream.take(MAX_ANSWER_BYTES).read_to_end(&mut answer).await.with_context(cannot)?;
    let answer = String::from_utf8_lossy(&answer);
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.starts_with("HTTP/1.1 200") => Ok(body.to_owned()),
        _ => bail!(
            "the service at {url} did not answer 200 OK: {}",
            answer.lines().next().unwrap_or("nothing")
        ),
    }
}
