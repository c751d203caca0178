//! `wasi:http/outgoing-handler`, by the host service `http`.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use data_encoding::BASE64;
use http::{HeaderName, HeaderValue, Method, Request, Response};
use http_body_util::{BodyExt as _, Full, Limited};
use nex_protocol::agent::header;
use nex_protocol::nats::HeaderMap;
use serde::Deserialize;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

use crate::provider::function::{Host, HostCall};

const SERVICE: &str = "http";
/// A header of the request, as `Name: value`.
const HTTP_HEADER: &str = "x-http-header";
/// Largest body of a request, in bytes: what the link carries.
const MAX_BODY: usize = 1 << 20;
/// Most requests of one call that are under way or whose response is held.
const MAX_REQUESTS: usize = 16;

/// Requests of one call.
pub(super) struct Outgoing {
    pub(super) host: Arc<dyn Host>,
    pub(super) deadline: Instant,
    places: Arc<Semaphore>,
}

impl Outgoing {
    pub(super) fn new(host: Arc<dyn Host>, deadline: Instant) -> Self {
        Self { host, deadline, places: Arc::new(Semaphore::new(MAX_REQUESTS)) }
    }
}

type Io = Box<dyn Future<Output = Result<(), Error>> + Send>;
type Responded = Result<(Response<WasiBody>, Io), Error>;

impl WasiHttpHooks for Outgoing {
    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        // The times of single steps are the node's affair.
        _options: Option<RequestOptions>,
        _io: Io,
    ) -> Box<dyn Future<Output = Responded> + Send> {
        let (host, deadline) = (Arc::clone(&self.host), self.deadline);
        let place = Arc::clone(&self.places).try_acquire_owned();
        Box::new(async move {
            let place = place.map_err(|_| Error::ConnectionLimitReached)?;
            let call = to_call(request).await?;
            let reply = host.call(call, deadline).await.map_err(|error| internal(error.0))?;
            let reply = reply.parts.into_iter().next().unwrap_or_default();
            let done: Io = Box::new(async { Ok(()) });
            let response = response(&reply)?;
            // The place is free again when the guest has let go of the body.
            let response = response.map(|body| {
                let held = body.map_frame(move |frame| {
                    let _ = &place;
                    frame
                });
                held.boxed_unsync()
            });
            Ok((response, done))
        })
    }
}

fn internal(text: String) -> Error {
    Error::InternalError(Some(text))
}

async fn to_call(request: Request<WasiBody>) -> Result<HostCall, Error> {
    let (head, body) = request.into_parts();
    let method = match head.method {
        Method::GET => "get",
        Method::HEAD => "head",
        Method::DELETE => "delete",
        Method::POST => "post",
        Method::PUT => "put",
        Method::PATCH => "patch",
        _ => return Err(Error::HttpRequestMethodInvalid),
    };
    let mut headers = HeaderMap::new();
    headers
        .insert(header::HTTP_URL, &head.uri.to_string())
        .map_err(|_| Error::HttpRequestUriInvalid)?;
    for (name, value) in &head.headers {
        // Both are the node's: it knows where it connects to and what it sends.
        if name == http::header::HOST || name == http::header::CONTENT_LENGTH {
            continue;
        }
        let refused = || Error::HttpRequestHeaderSize {
            field_name: Some(name.to_string()),
            field_size: None,
        };
        let value = value.to_str().map_err(|_| refused())?;
        headers.append(HTTP_HEADER, &format!("{name}: {value}")).map_err(|_| refused())?;
    }
    let body = Limited::new(body, MAX_BODY).collect().await;
    let body = body.map_err(|error| internal(error.to_string()))?.to_bytes();
    Ok(HostCall { service: SERVICE, method, headers, body })
}

/// What the host service answers.
#[derive(Deserialize)]
struct Reply {
    status: u16,
    #[serde(default)]
    headers: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    body: String,
    /// In place of `body` where that is no text.
    body_base64: Option<String>,
}

fn response(reply: &Bytes) -> Result<Response<WasiBody>, Error> {
    let odd = || internal("the node answers with no HTTP response".to_owned());
    let reply: Reply = serde_json::from_slice(reply).map_err(|_| odd())?;
    let body = match reply.body_base64 {
        Some(text) => BASE64.decode(text.as_bytes()).map_err(|_| odd())?,
        None => reply.body.into_bytes(),
    };
    let mut response = Response::builder().status(reply.status);
    if let Some(headers) = response.headers_mut() {
        for (name, values) in reply.headers {
            let Ok(name) = name.parse::<HeaderName>() else { continue };
            for value in values {
                if let Ok(value) = HeaderValue::from_str(&value) {
                    headers.append(name.clone(), value);
                }
            }
        }
    }
    let body = Full::new(Bytes::from(body)).map_err(|never| match never {}).boxed_unsync();
    response.body(body).map_err(|_| odd())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::function::{BoxFuture, HostError, HostReply};

    /// Answers every call with the same.
    struct Fixed(Result<&'static str, &'static str>);

    impl Host for Fixed {
        fn call(&self, _: HostCall, _: Instant) -> BoxFuture<Result<HostReply, HostError>> {
            let answer = self.0.map(|body| HostReply { parts: vec![body.into()] });
            Box::pin(async move { answer.map_err(|text| HostError(text.to_owned())) })
        }

        fn log(&self, _: nex_protocol::agent::AgentLevel, _: &str) {}
    }

    async fn ask(outgoing: &mut Outgoing) -> Result<Response<WasiBody>, Error> {
        let body = Full::new(Bytes::new()).map_err(|never| match never {}).boxed_unsync();
        let request = Request::builder().uri("http://example.com/").body(body).unwrap();
        let sent = outgoing.send_request(request, None, Box::new(async { Ok(()) }));
        Ok(Box::into_pin(sent).await?.0)
    }

    #[tokio::test]
    async fn only_so_many_responses_are_held_at_a_time() {
        let host = Arc::new(Fixed(Ok(r#"{"status":200,"body":"hi"}"#)));
        let mut outgoing = Outgoing::new(host, Instant::now());
        let mut held = Vec::new();
        for _ in 0..MAX_REQUESTS {
            held.push(ask(&mut outgoing).await.unwrap());
        }
        assert!(matches!(ask(&mut outgoing).await, Err(Error::ConnectionLimitReached)));
        held.pop();
        assert_eq!(ask(&mut outgoing).await.unwrap().status(), 200);
    }

    #[tokio::test]
    async fn the_words_of_the_node_reach_the_guest() {
        let mut outgoing = Outgoing::new(Arc::new(Fixed(Err("not allowed"))), Instant::now());
        match ask(&mut outgoing).await {
            Err(Error::InternalError(Some(text))) => assert_eq!(text, "not allowed"),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_request_is_a_host_call_and_its_reply_a_response() {
        let body = Full::new(Bytes::from_static(b"{}")).map_err(|never| match never {});
        let request = Request::builder()
            .method(Method::POST)
            .uri("https://example.com/a?b=c%20d")
            .header("host", "example.com")
            .header("content-length", "2")
            .header("content-type", "application/json")
            .header("x-tag", "a")
            .header("x-tag", "b")
            .body(body.boxed_unsync())
            .unwrap();
        let call = to_call(request).await.unwrap();
        assert_eq!((call.service, call.method, &call.body[..]), ("http", "post", &b"{}"[..]));
        let headers: Vec<_> = call.headers.iter().collect();
        assert_eq!(
            headers,
            [
                ("x-http-url", "https://example.com/a?b=c%20d"),
                ("x-http-header", "content-type: application/json"),
                ("x-http-header", "x-tag: a"),
                ("x-http-header", "x-tag: b"),
            ]
        );
        for (reply, expected) in [
            (r#"{"status":404,"headers":{"X-Two":["a","b"]},"body":"hi"}"#, &b"hi"[..]),
            (
                r#"{"status":404,"headers":{"X-Two":["a","b"]},"body":"","body_base64":"/wA="}"#,
                &[255, 0],
            ),
        ] {
            let response = response(&Bytes::from(reply)).unwrap();
            assert_eq!(response.status(), 404);
            let values: Vec<_> = response.headers().get_all("x-two").iter().collect();
            assert_eq!(values, ["a", "b"]);
            let body = response.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(body, expected);
        }
        assert!(response(&Bytes::from_static(b"[]")).is_err());
    }
}
