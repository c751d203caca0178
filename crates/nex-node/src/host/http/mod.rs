//! HTTP requests that functions make.
//!
//! Each request has a connection of its own, to an address that was checked; redirects are
//! followed here, so that each of them is checked too. No proxy of the environment, no cookies, no
//! compression, nothing shared between workloads.

pub mod address;
mod egress;
mod exchange;
mod response;

use std::sync::Arc;

use bytes::Bytes;
use data_encoding::BASE64;
use hyper::{
    HeaderMap, Method, StatusCode,
    header::{self, HeaderName, HeaderValue},
};
use nex_protocol::{agent::header as agent_header, nats};
use percent_encoding::percent_decode_str;
use tokio::time::{Instant, timeout_at};
use url::Url;

pub use self::egress::{Resolver, SystemResolver, Ticket};
pub use self::exchange::HttpSetupError;
use self::{
    egress::Egress,
    exchange::{ExchangeError, Exchanger, Outgoing},
};
use super::{call::no_method, failure::Failure};
use crate::config::HostHttpConfig;

/// Longest URL, bytes.
pub const MAX_URL_BYTES: usize = 8 * 1024;

/// Headers that a function may give with a request.
pub const MAX_REQUEST_HEADERS: usize = 32;

/// Headers that are about the connection, which is not the function's.
const NOT_THEIRS: [HeaderName; 10] = [
    header::HOST,
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::TE,
    header::TRAILER,
    header::UPGRADE,
    header::EXPECT,
    header::PROXY_AUTHORIZATION,
    header::ACCEPT_ENCODING,
];

/// A call of the service `http`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpCall {
    method: Method,
    /// Without user and password.
    url: Url,
    headers: HeaderMap,
    body: Bytes,
}

impl HttpCall {
    /// Checks a call of an agent.
    pub(super) fn read(
        method: &str,
        headers: Option<&nats::HeaderMap>,
        body: Bytes,
        config: &HostHttpConfig,
    ) -> Result<Self, Failure> {
        let (method, takes_body) = match method {
            "get" => (Method::GET, false),
            "head" => (Method::HEAD, false),
            "delete" => (Method::DELETE, false),
            "post" => (Method::POST, true),
            "put" => (Method::PUT, true),
            "patch" => (Method::PATCH, true),
            other => {
                return Err(no_method("http", other, "get, head, delete, post, put and patch"));
            }
        };
        let text = headers.and_then(|headers| headers.get(agent_header::HTTP_URL));
        let text = text.filter(|text| !text.is_empty()).ok_or_else(|| Failure::required("url"))?;
        let mut url = read_url(text).map_err(|why| Failure::new(format!("{why}: {text}")))?;
        let mut given = HeaderMap::new();
        if takes_body {
            // What a Go node says of every body.
            given.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        }
        if let Some(credentials) = take_credentials(&mut url) {
            given.insert(header::AUTHORIZATION, credentials);
        }
        let lines = headers.into_iter().flat_map(|all| all.get_all(agent_header::HTTP_HEADER));
        read_headers(lines, &mut given)?;
        let body = if takes_body { body } else { Bytes::new() };
        if body.len() > config.max_request_bytes {
            let (size, limit) = (body.len(), config.max_request_bytes);
            return Err(Failure::new(format!(
                "the request's body has {size} bytes; it can have {limit}"
            )));
        }
        Ok(Self { method, url, headers: given, body })
    }
}

/// A URL that can be asked for; it has a host. A fragment is for whoever reads the response.
fn read_url(text: &str) -> Result<Url, &'static str> {
    if text.len() > MAX_URL_BYTES {
        return Err("the URL is too long");
    }
    // The parser would take them out, which is not what was given.
    if text.contains(|c: char| c.is_control() || c.is_whitespace()) {
        return Err("the URL contains white space or control characters");
    }
    let mut url = Url::parse(text).map_err(|error| match error {
        url::ParseError::RelativeUrlWithoutBase => "the URL has no scheme, such as https://",
        _ => "not a URL",
    })?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("unsupported protocol scheme: only http and https are there");
    }
    if url.port() == Some(0) {
        return Err("port 0 cannot be connected to");
    }
    url.set_fragment(None);
    Ok(url)
}

/// Moves user and password from the URL into a header, where they belong.
fn take_credentials(url: &mut Url) -> Option<HeaderValue> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let mut plain: Vec<u8> = percent_decode_str(url.username()).collect();
    plain.push(b':');
    plain.extend(percent_decode_str(url.password().unwrap_or_default()));
    // Both only fail for URLs without a host.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    let mut value = HeaderValue::from_str(&format!("Basic {}", BASE64.encode(&plain))).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Reads `Name: value` lines. The first of a name replaces what is there.
fn read_headers<'a>(
    lines: impl Iterator<Item = &'a str>,
    into: &mut HeaderMap,
) -> Result<(), Failure> {
    let mut given = HeaderMap::new();
    for line in lines {
        let bad = || Failure::new("a request header is `Name: value`".to_owned());
        let (name, value) = line.split_once(':').ok_or_else(bad)?;
        let name: HeaderName = name.parse().map_err(|_| bad())?;
        if NOT_THEIRS.contains(&name) {
            return Err(Failure::new(format!("the request header {name} is set by the node")));
        }
        if given.len() >= MAX_REQUEST_HEADERS {
            return Err(Failure::new(format!("a request can have {MAX_REQUEST_HEADERS} headers")));
        }
        let value = HeaderValue::from_str(value.trim()).map_err(|_| bad())?;
        given.append(name, value);
    }
    for name in given.keys() {
        into.remove(name);
    }
    for (name, value) in &given {
        into.append(name, value.clone());
    }
    Ok(())
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
enum HttpError {
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
    #[error("stopped after {0} redirects")]
    TooManyRedirects(usize),
    #[error("it redirects to something that is no URL: {0}")]
    RedirectUrl(&'static str),
    #[error("it redirects from https to http, which is not followed")]
    Downgrade,
    #[error("no complete response within {} ms", .0.as_millis())]
    Timeout(std::time::Duration),
}

/// The host service HTTP of a node.
#[derive(Debug)]
pub(super) struct HttpService {
    exchanger: Exchanger,
    max_redirects: usize,
    timeout: std::time::Duration,
}

impl HttpService {
    pub(super) fn new(
        config: &HostHttpConfig,
        resolver: Arc<dyn Resolver>,
    ) -> Result<Self, HttpSetupError> {
        Ok(Self {
            exchanger: Exchanger::new(config, Egress::new(config, resolver))?,
            max_redirects: config.max_redirects,
            timeout: config.timeout,
        })
    }

    /// Makes the request and encodes the response, in `room` bytes if it can be.
    pub(super) async fn call(
        &self,
        call: HttpCall,
        ticket: &Ticket,
        room: usize,
        legacy: bool,
    ) -> Result<Bytes, Failure> {
        let described = format!("{} {}", call.method, call.url);
        let deadline = Instant::now() + self.timeout;
        let done = timeout_at(deadline, self.follow(call, ticket, deadline)).await;
        match done.unwrap_or(Err(HttpError::Timeout(self.timeout))) {
            Ok((status, headers, body)) => {
                Ok(response::encode(status, &headers, &body, room, legacy))
            }
            Err(error) => {
                let why = crate::error_chain(&error);
                Err(Failure::new(format!("http request failed: {described}: {why}")))
            }
        }
    }

    /// The response at the end of the redirects.
    async fn follow(
        &self,
        call: HttpCall,
        ticket: &Ticket,
        deadline: Instant,
    ) -> Result<(StatusCode, HeaderMap, Bytes), HttpError> {
        let HttpCall { mut method, mut url, mut headers, mut body } = call;
        let mut followed = 0;
        loop {
            let outgoing =
                Outgoing { method: &method, url: &url, headers: &headers, body: body.clone() };
            let answered = self.exchanger.send(outgoing, ticket, deadline).await?;
            let status = answered.status();
            let location = answered.header(header::LOCATION).filter(|_| is_redirect(status));
            let Some(location) = location.filter(|_| self.max_redirects > 0) else {
                return Ok(self.exchanger.read(answered).await?);
            };
            if followed == self.max_redirects {
                return Err(HttpError::TooManyRedirects(followed));
            }
            followed += 1;
            let next = redirect_target(&url, location)?;
            if !matches!(status, StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT)
                && !matches!(method, Method::GET | Method::HEAD)
            {
                method = Method::GET;
                body = Bytes::new();
                headers.remove(header::CONTENT_TYPE);
            }
            if next.origin() != url.origin() {
                // Whatever the function gave was meant for the first host.
                let kind = headers.remove(header::CONTENT_TYPE);
                headers.clear();
                headers.extend(kind.map(|kind| (Some(header::CONTENT_TYPE), kind)));
            }
            url = next;
        }
    }
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT
    )
}

fn redirect_target(from: &Url, location: &HeaderValue) -> Result<Url, HttpError> {
    let text = location.to_str().map_err(|_| HttpError::RedirectUrl("it is no ASCII"))?;
    if text.len() > MAX_URL_BYTES {
        return Err(HttpError::RedirectUrl("it is too long"));
    }
    let joined = from.join(text).map_err(|_| HttpError::RedirectUrl("it cannot be read"))?;
    let mut next = read_url(joined.as_str()).map_err(HttpError::RedirectUrl)?;
    if from.scheme() == "https" && next.scheme() != "https" {
        return Err(HttpError::Downgrade);
    }
    // Whoever redirects does not choose our credentials.
    let _ = take_credentials(&mut next);
    Ok(next)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn read(method: &str, url: &str, lines: &[&str]) -> Result<HttpCall, String> {
        let mut headers = nats::HeaderMap::new();
        headers.append(agent_header::HTTP_URL, url).unwrap();
        for line in lines {
            headers.append(agent_header::HTTP_HEADER, line).unwrap();
        }
        let config = Config::builder().build().unwrap();
        let body = Bytes::from_static(b"body");
        HttpCall::read(method, Some(&headers), body, &config.host_services.http)
            .map_err(|failure| failure.text().to_owned())
    }

    #[test]
    fn queries_and_slashes_stay_as_given() {
        let call = read("get", "http://h//a//b?x=1&y=a%20b&z=//#frag", &[]).unwrap();
        assert_eq!(call.url.as_str(), "http://h//a//b?x=1&y=a%20b&z=//");
        assert_eq!(call.body, "");
        assert_eq!(read("post", "http://h/", &[]).unwrap().body, "body");
    }

    #[test]
    fn addresses_are_read_in_every_notation() {
        for text in [
            "http://2130706433/",
            "http://0x7f000001/",
            "http://0177.0.0.1/",
            "http://127.1/",
            "http://0x7f.0.0.0x1/",
            "http://127.0.0.1./",
            "http://１２７.0.0.1/",
            "http://%31%32%37.0.0.1/",
            "http://127。0。0。1/",
        ] {
            let call = read("get", text, &[]).unwrap();
            assert_eq!(call.url.host_str(), Some("127.0.0.1"), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_asked_for_is_refused() {
        for (text, why) in [
            ("::bad", "scheme"),
            ("/path", "scheme"),
            ("ftp://h/x", "unsupported protocol scheme"),
            ("file:///etc/passwd", "unsupported protocol scheme"),
            ("http://", "not a URL"),
            ("http://h:99999/", "not a URL"),
            ("http://h:0/", "port 0"),
            ("http://a b/", "white space"),
            ("http://h/a\tb", "white space"),
            ("http://256.256.256.256/", "not a URL"),
        ] {
            let refusal = read("get", text, &[]).unwrap_err();
            assert!(refusal.contains(why), "{text}: {refusal}");
        }
        assert_eq!(read("get", "", &[]).unwrap_err(), "url is required");
        let long = format!("http://h/{}", "a".repeat(MAX_URL_BYTES));
        assert!(read("get", &long, &[]).unwrap_err().contains("too long"));
        assert!(read("connect", "http://h/", &[]).unwrap_err().contains("get, head"));
    }

    #[test]
    fn credentials_go_into_a_header() {
        let call = read("get", "http://us%65r:p%40ss@h/", &[]).unwrap();
        assert_eq!(call.url.as_str(), "http://h/");
        let value = call.headers.get(header::AUTHORIZATION).unwrap();
        assert_eq!(value.to_str().unwrap(), format!("Basic {}", BASE64.encode(b"user:p@ss")));
        assert!(!format!("{call:?}").contains("p@ss") && value.is_sensitive());
    }

    #[test]
    fn a_function_gives_headers_but_not_the_nodes() {
        let call = read("post", "http://h/", &["content-type: a/b", "X-A: 1", "x-a:2"]).unwrap();
        assert_eq!(call.headers.get("content-type").unwrap(), "a/b");
        assert_eq!(call.headers.get_all("x-a").iter().count(), 2);
        for line in [
            "host: other",
            "Content-Length: 1",
            "transfer-encoding: chunked",
            "no colon",
            "bad name: x",
            ": x",
        ] {
            assert!(read("post", "http://h/", &[line]).is_err(), "{line}");
        }
        let many = vec!["x: 1"; MAX_REQUEST_HEADERS + 1];
        assert!(read("get", "http://h/", &many).is_err());
    }

    #[test]
    fn redirects_are_resolved_and_checked() {
        let target = |from: &str, to: &str| {
            let location = HeaderValue::from_str(to).unwrap();
            redirect_target(&Url::parse(from).unwrap(), &location)
                .map(|url| url.to_string())
                .map_err(|error| error.to_string())
        };
        assert_eq!(target("http://h/a/b?x", "../c?y").unwrap(), "http://h/c?y");
        assert_eq!(target("http://h/a", "//g/").unwrap(), "http://g/");
        assert_eq!(target("http://h/a", "https://u:p@h/").unwrap(), "https://h/");
        assert!(target("https://h/a", "http://h/").is_err());
        for bad in ["file:///etc/passwd", "gopher://h", "javascript:alert(1)", "http://"] {
            assert!(target("http://h/a", bad).is_err(), "{bad}");
        }
    }
}
