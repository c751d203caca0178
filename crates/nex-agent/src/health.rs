//! `GET /healthz`: the smallest HTTP server that answers one question.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// Longest request that is read, in bytes.
const MAX_REQUEST: usize = 4096;
/// How long a client may take over its request.
const REQUEST_LIMIT: Duration = Duration::from_secs(2);
/// Most clients at the same time; more wait in the kernel's queue.
const MAX_CLIENTS: usize = 8;

/// Answers for ever. `started` is the text that is answered: RFC 3339.
///
/// # Errors
/// When the address cannot be listened on.
pub async fn serve(address: SocketAddr, started: String) -> std::io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    let body: Arc<str> = format!("{{\"started\":\"{started}\"}}").into();
    let clients = Arc::new(Semaphore::new(MAX_CLIENTS));
    loop {
        // The semaphore is never closed.
        let Ok(permit) = Arc::clone(&clients).acquire_owned().await else { return Ok(()) };
        match listener.accept().await {
            Ok((client, _)) => {
                let body = Arc::clone(&body);
                tokio::spawn(async move {
                    let _ = tokio::time::timeout(REQUEST_LIMIT, answer(client, &body)).await;
                    drop(permit);
                });
            }
            // The client left in between, or there are no descriptors just now.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn answer(mut client: TcpStream, body: &str) -> std::io::Result<()> {
    let mut request = Vec::new();
    let mut limited = (&mut client).take(MAX_REQUEST as u64);
    while memchr::memmem::find(&request, b"\r\n\r\n").is_none() {
        if limited.read_buf(&mut request).await? == 0 {
            break;
        }
    }
    client.write_all(reply(&request, body).as_bytes()).await?;
    client.shutdown().await
}

fn reply(request: &[u8], body: &str) -> String {
    let path = request.strip_prefix(b"GET ").and_then(|rest| rest.split(|b| *b == b' ').next());
    let (status, kind, body) = match path {
        Some(b"/healthz") => ("200 OK", "application/json", body),
        Some(_) => ("404 Not Found", "text/plain", "only /healthz is here\n"),
        None => ("400 Bad Request", "text/plain", "only GET is answered\n"),
    };
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_only_its_question() {
        assert!(reply(b"GET /healthz HTTP/1.1\r\n\r\n", "{}").starts_with("HTTP/1.1 200 OK"));
        assert!(reply(b"GET / HTTP/1.1\r\n\r\n", "{}").starts_with("HTTP/1.1 404"));
        assert!(reply(b"\x16\x03\x01", "{}").starts_with("HTTP/1.1 400"));
        assert!(reply(b"", "{}").starts_with("HTTP/1.1 400"));
    }
}
