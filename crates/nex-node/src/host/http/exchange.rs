//! One HTTP request and its response, over a connection of its own.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt as _, Full};
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode,
    body::{Body as _, Incoming},
    client::conn::http1,
    header::{self, HeaderValue},
};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, InvalidDnsNameError, ServerName, pem::PemObject as _},
    },
};
use tokio_util::task::AbortOnDropHandle;
use url::Url;

use super::egress::{Egress, EgressError, Ticket};
use crate::config::HostHttpConfig;

/// Headers that a response may have.
const MAX_RESPONSE_HEADERS: usize = 128;

/// Bytes of a response's headers.
const MAX_HEADER_BYTES: usize = 64 * 1024;

/// Addresses of one host that are tried.
const MAX_ATTEMPTS: u32 = 4;

/// Why the host service HTTP cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum HttpSetupError {
    /// The operator's file of certificate authorities cannot be read.
    #[error(
        "the certificate authorities in {path} cannot be read; check host_services.http.ca_file"
    )]
    Authorities {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The TLS library refuses to work.
    #[error("TLS cannot be set up")]
    Tls(#[source] tokio_rustls::rustls::Error),
}

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExchangeError {
    /// It may not go there.
    #[error(transparent)]
    Egress(#[from] EgressError),
    /// No address took the connection.
    #[error("cannot connect to {host}")]
    Connect {
        host: String,
        #[source]
        source: io::Error,
    },
    /// The host's name cannot be in a certificate.
    #[error("{0} cannot be the name in a certificate")]
    Name(String, #[source] InvalidDnsNameError),
    /// TLS failed.
    #[error("TLS with {host} failed")]
    Tls {
        host: String,
        #[source]
        source: io::Error,
    },
    /// What was sent or received is no HTTP/1.1.
    #[error("HTTP with {host} failed")]
    Http {
        host: String,
        #[source]
        source: hyper::Error,
    },
    /// The request cannot be written.
    #[error("the request cannot be made")]
    Request(#[source] hyper::http::Error),
    /// The response's headers are larger than any sensible ones.
    #[error("the response's headers are larger than {MAX_HEADER_BYTES} bytes")]
    HeadersTooLarge,
    /// The response is larger than allowed.
    #[error("the response is larger than {limit} bytes")]
    TooLarge { limit: usize },
}

/// Makes connections.
#[derive(Debug)]
pub(super) struct Exchanger {
    egress: Egress,
    tls: Arc<ClientConfig>,
    max_response: usize,
}

/// What is sent.
#[derive(Debug)]
pub(super) struct Outgoing<'a> {
    pub(super) method: &'a Method,
    pub(super) url: &'a Url,
    pub(super) headers: &'a HeaderMap,
    pub(super) body: Bytes,
}

/// A response whose body was not read yet.
pub(super) struct Answered {
    response: Response<Incoming>,
    host: String,
    /// Moves the bytes; ends with this.
    _driver: AbortOnDropHandle<()>,
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

impl Exchanger {
    pub(super) fn new(config: &HostHttpConfig, egress: Egress) -> Result<Self, HttpSetupError> {
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        if let Some(path) = &config.ca_file {
            add_authorities(&mut roots, path).map_err(|source| HttpSetupError::Authorities {
                path: path.display().to_string(),
                source,
            })?;
        }
        let provider = Arc::new(ring::default_provider());
        let mut tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(HttpSetupError::Tls)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        // Nothing of one workload's connection is kept for another's.
        tls.resumption = tokio_rustls::rustls::client::Resumption::disabled();
        Ok(Self { egress, tls: Arc::new(tls), max_response: config.max_response_bytes })
    }

    /// Sends a request and waits for the head of its response.
    pub(super) async fn send(
        &self,
        outgoing: Outgoing<'_>,
        ticket: &Ticket,
        deadline: Instant,
    ) -> Result<Answered, ExchangeError> {
        let url = outgoing.url;
        let host = url.host_str().unwrap_or_default().to_owned();
        let stream = self.connect(url, &host, ticket, deadline).await?;
        let failed = |source| ExchangeError::Http { host: host.clone(), source };
        let mut builder = http1::Builder::new();
        builder.max_buf_size(MAX_HEADER_BYTES).max_headers(MAX_RESPONSE_HEADERS);
        let (mut sender, connection) =
            builder.handshake(TokioIo::new(stream)).await.map_err(failed)?;
        let driver = AbortOnDropHandle::new(tokio::spawn(async move {
            // What went wrong is told where the response is waited for.
            let _ = connection.await;
        }));
        let response = sender.send_request(request(outgoing)?).await.map_err(failed)?;
        // The buffer's bound is a rough one: what one read brought is parsed beyond it.
        let sizes =
            response.headers().iter().map(|(name, value)| name.as_str().len() + value.len());
        if sizes.sum::<usize>() > MAX_HEADER_BYTES {
            return Err(ExchangeError::HeadersTooLarge);
        }
        Ok(Answered { response, host, _driver: driver })
    }

    async fn connect(
        &self,
        url: &Url,
        host: &str,
        ticket: &Ticket,
        deadline: Instant,
    ) -> Result<Box<dyn Stream>, ExchangeError> {
        let addresses = self.egress.addresses(url, ticket).await?;
        let stream = connect_to_one_of(&addresses, deadline).await;
        let stream =
            stream.map_err(|source| ExchangeError::Connect { host: host.to_owned(), source })?;
        if url.scheme() != "https" {
            return Ok(Box::new(stream));
        }
        let bare = host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.');
        let name = ServerName::try_from(bare.to_owned())
            .map_err(|error| ExchangeError::Name(host.to_owned(), error))?;
        let stream = TlsConnector::from(Arc::clone(&self.tls)).connect(name, stream).await;
        let stream =
            stream.map_err(|source| ExchangeError::Tls { host: host.to_owned(), source })?;
        Ok(Box::new(stream))
    }

    /// Reads the body, as far as it may go.
    pub(super) async fn read(
        &self,
        answered: Answered,
    ) -> Result<(StatusCode, HeaderMap, Bytes), ExchangeError> {
        let Answered { response, host, _driver } = answered;
        let (head, mut body) = response.into_parts();
        let limit = self.max_response;
        if body.size_hint().lower() > limit as u64 {
            return Err(ExchangeError::TooLarge { limit });
        }
        let mut content = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let frame =
                frame.map_err(|source| ExchangeError::Http { host: host.clone(), source })?;
            // Trailers are of no use to anybody.
            let Ok(data) = frame.into_data() else { continue };
            if content.len().saturating_add(data.len()) > limit {
                return Err(ExchangeError::TooLarge { limit });
            }
            content.extend_from_slice(&data);
        }
        Ok((head.status, head.headers, content.freeze()))
    }
}

impl Answered {
    pub(super) fn status(&self) -> StatusCode {
        self.response.status()
    }

    pub(super) fn header(&self, name: header::HeaderName) -> Option<&HeaderValue> {
        self.response.headers().get(name)
    }
}

fn add_authorities(
    roots: &mut RootCertStore,
    path: &Path,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let mut count = 0;
    for certificate in CertificateDer::pem_file_iter(path)? {
        roots.add(certificate?)?;
        count += 1;
    }
    if count == 0 { Err("there is no certificate in it".into()) } else { Ok(()) }
}

/// Tries one address after the other, each with its share of the time that is left.
async fn connect_to_one_of(addresses: &[SocketAddr], deadline: Instant) -> io::Result<TcpStream> {
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    let mut left = MAX_ATTEMPTS.min(u32::try_from(addresses.len()).unwrap_or(u32::MAX));
    for address in addresses.iter().take(MAX_ATTEMPTS as usize) {
        let now = Instant::now();
        let share = deadline.saturating_duration_since(now) / left.max(1);
        left = left.saturating_sub(1);
        last = match timeout_at(now + share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // Small requests are not held back for more; a socket that refuses still works.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) => error,
            Err(_) => io::ErrorKind::TimedOut.into(),
        };
    }
    Err(last)
}

fn request(outgoing: Outgoing<'_>) -> Result<Request<Full<Bytes>>, ExchangeError> {
    let Outgoing { method, url, headers, body } = outgoing;
    let path = match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    let host = match url.port() {
        Some(port) => format!("{}:{port}", url.host_str().unwrap_or_default()),
        None => url.host_str().unwrap_or_default().to_owned(),
    };
    let mut request = Request::builder()
        .method(method.clone())
        .uri(path)
        .header(header::HOST, host)
        .body(Full::new(body))
        .map_err(ExchangeError::Request)?;
    let into = request.headers_mut();
    into.insert(header::CONNECTION, HeaderValue::from_static("close"));
    into.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
    // What is not compressed needs no bound on what it grows to.
    into.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    let agent = concat!("nex/", env!("CARGO_PKG_VERSION"));
    into.insert(header::USER_AGENT, HeaderValue::from_static(agent));
    for name in headers.keys() {
        into.remove(name);
    }
    for (name, value) in headers {
        into.append(name, value.clone());
    }
    Ok(request)
}
