//! HTTP requests that functions make: what they can, and every bound. Servers are on loopback.

use std::time::Duration;

use nex_protocol::agent::header;
use nex_protocol::config::{ByteSize, HostHttpFile, HostServicesFile};
use nex_testkit::TestNats;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::{HostAgent, HostWorld, TestResolver, TestServer, server};

pub(crate) fn http(config: HostHttpFile) -> HostServicesFile {
    HostServicesFile { http: Some(config), ..HostServicesFile::default() }
}

/// Loopback is reached, as an operator may allow.
pub(crate) fn loopback() -> HostHttpFile {
    HostHttpFile { allow_networks: Some(vec!["127.0.0.0/8".to_owned()]), ..HostHttpFile::default() }
}

async fn agent_with(config: HostHttpFile) -> (HostWorld, HostAgent) {
    let world = HostWorld::with(http(config)).await;
    let agent = world.agent("a", "echo").await;
    (world, agent)
}

fn body(reply: &Value) -> Vec<u8> {
    match reply["body_base64"].as_str() {
        Some(text) => data_encoding::BASE64.decode(text.as_bytes()).unwrap(),
        None => reply["body"].as_str().unwrap().as_bytes().to_vec(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_stay_bytes_both_ways() {
    let (world, agent) = agent_with(loopback()).await;
    let echo = TestServer::start(|seen| server::ok(&seen.body)).await;
    let all: Vec<u8> = (0..=255).collect();
    let url = echo.url("/x");
    let headers = [(header::HTTP_URL, url.as_str())];
    for method in ["post", "put", "patch"] {
        let reply = agent.call(&format!("http.{method}"), &headers, all.clone()).await.unwrap();
        let reply: Value = serde_json::from_slice(&reply).unwrap();
        assert_eq!(body(&reply), all);
        assert_eq!(reply["headers"]["Content-Type"][0], "text/plain");
    }
    assert!(echo.seen().iter().all(|seen| seen.body == all));
    // An agent of the old protocol reads `body` alone.
    let old = world.agent_of("a", "echo", true).await;
    let reply = old.call("http.post", &headers, vec![b'a', 0xff]).await.unwrap();
    let reply: Value = serde_json::from_slice(&reply).unwrap();
    assert_eq!(reply["body"], "a\u{fffd}");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_say_what_they_should_and_nothing_else() {
    let (_world, agent) = agent_with(loopback()).await;
    let web = TestServer::start(|_| server::ok(b"hi")).await;
    // SAFETY-free: the node reads no proxy variables, so there is nothing to set here; what is
    // sent shows it.
    let url = format!("http://user:pass@{}//a/b?x=1&y=%20#frag", web.address);
    let headers = [
        (header::HTTP_URL, url.as_str()),
        (header::HTTP_HEADER, "X-Mine: 1"),
        (header::HTTP_HEADER, "content-type: application/json"),
    ];
    agent.call("http.post", &headers, "{}").await.unwrap();
    agent.http("get", &web.url("/")).await.unwrap();
    agent.http("delete", &web.url("/")).await.unwrap();
    let seen = web.seen();
    assert_eq!((seen[0].method.as_str(), seen[0].path.as_str()), ("POST", "//a/b?x=1&y=%20"));
    assert_eq!(seen[0].header("host"), Some(web.address.to_string().as_str()));
    assert_eq!(seen[0].header("x-mine"), Some("1"));
    assert_eq!(seen[0].header("content-type"), Some("application/json"));
    assert_eq!(seen[0].header("accept-encoding"), Some("identity"));
    assert!(seen[0].header("authorization").unwrap().starts_with("Basic "));
    assert_eq!(seen[0].header("cookie"), None);
    assert_eq!((seen[1].method.as_str(), seen[1].header("authorization")), ("GET", None));
    assert_eq!(seen[2].method, "DELETE");
    let refusal = agent
        .call("http.get", &[(header::HTTP_URL, &url), (header::HTTP_HEADER, "Host: x")], "")
        .await
        .unwrap_err();
    assert!(refusal.contains("set by the node"), "{refusal}");
}

#[tokio::test(flavor = "multi_thread")]
async fn cookies_are_not_kept() {
    let (_world, agent) = agent_with(loopback()).await;
    let web =
        TestServer::start(|_| server::response("200 OK", &[("Set-Cookie", "id=1; Path=/")], b""))
            .await;
    for _ in 0..2 {
        let reply = agent.http("get", &web.url("/")).await.unwrap();
        assert_eq!(reply["headers"]["Set-Cookie"][0], "id=1; Path=/");
    }
    assert!(web.seen().iter().all(|seen| seen.header("cookie").is_none()));
}

#[tokio::test(flavor = "multi_thread")]
async fn sizes_are_bounded_both_ways() {
    let (_world, agent) = agent_with(HostHttpFile {
        max_request_bytes: Some(ByteSize::bytes(100)),
        max_response_bytes: Some(ByteSize::bytes(1000)),
        ..loopback()
    })
    .await;
    let web = TestServer::start(|seen| match seen.path.as_str() {
        "/fits" => server::ok(&[b'x'; 1000]),
        "/told" => b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n".to_vec(),
        "/chunks" => {
            let mut said = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
            for _ in 0..100 {
                said.extend_from_slice(b"64\r\n");
                said.extend_from_slice(&[b'x'; 100]);
                said.extend_from_slice(b"\r\n");
            }
            said
        }
        // To the end of the connection.
        "/endless" => [b"HTTP/1.1 200 OK\r\n\r\n".as_slice(), &[b'x'; 1 << 20]].concat(),
        "/chunk-size" => {
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nx".to_vec()
        }
        _ => server::ok(b""),
    })
    .await;
    assert_eq!(body(&agent.http("get", &web.url("/fits")).await.unwrap()).len(), 1000);
    for path in ["/told", "/chunks", "/endless"] {
        let refusal = agent.http("get", &web.url(path)).await.unwrap_err();
        assert!(refusal.contains("larger than 1000 bytes"), "{path}: {refusal}");
    }
    agent.http("get", &web.url("/chunk-size")).await.unwrap_err();
    let url = web.url("/");
    let headers = [(header::HTTP_URL, url.as_str())];
    agent.call("http.post", &headers, vec![0; 100]).await.unwrap();
    let refusal = agent.call("http.post", &headers, vec![0; 101]).await.unwrap_err();
    assert!(refusal.contains("101 bytes; it can have 100"), "{refusal}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bombs_do_not_go_off() {
    let (_world, agent) = agent_with(loopback()).await;
    let web = TestServer::start(|seen| match seen.path.as_str() {
        "/many" => {
            let mut said = "HTTP/1.1 200 OK\r\n".to_owned();
            for at in 0..200 {
                said.push_str(&format!("x-{at}: y\r\n"));
            }
            said.push_str("Content-Length: 0\r\n\r\n");
            said.into_bytes()
        }
        "/long" => {
            let value = "y".repeat(100 * 1024);
            format!("HTTP/1.1 200 OK\r\nx: {value}\r\nContent-Length: 0\r\n\r\n").into_bytes()
        }
        // Says that it is compressed: it is handed on as it came.
        "/gzip" => server::response("200 OK", &[("Content-Encoding", "gzip")], &[0x1f, 0x8b, 8, 0]),
        "/rubbish" => b"SSH-2.0-OpenSSH_9.6\r\n".to_vec(),
        "/status" => b"HTTP/1.1 99 X\r\n\r\n".to_vec(),
        "/informs" => {
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi".to_vec()
        }
        _ => Vec::new(),
    })
    .await;
    for path in ["/many", "/long", "/rubbish", "/status", "/empty"] {
        let refusal = agent.http("get", &web.url(path)).await.map(|_| path).unwrap_err();
        assert!(refusal.starts_with("http request failed: GET http://"), "{path}: {refusal}");
    }
    let reply = agent.http("get", &web.url("/gzip")).await.unwrap();
    assert_eq!(body(&reply), [0x1f, 0x8b, 8, 0]);
    let reply = agent.http("get", &web.url("/informs")).await.unwrap();
    assert_eq!(body(&reply), b"hi");
}

/// Accepts connections, says `first` and then a byte now and then, for ever.
async fn slow(first: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                // What comes before the request would not be waited for.
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                let mut said = stream.write_all(first).await;
                while said.is_ok() {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    said = stream.write_all(b"x").await;
                }
            });
        }
    });
    format!("http://{address}/")
}

#[tokio::test(flavor = "multi_thread")]
async fn time_is_bounded_whatever_is_slow() {
    let config = HostHttpFile { timeout_ms: Some(400), ..loopback() };
    let (_world, agent) = agent_with(config).await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let urls = [
        format!("http://{}/", silent.local_addr().unwrap()),
        format!("https://{}/", silent.local_addr().unwrap()),
        slow(b"HTTP/1.1 200 ").await,
        slow(b"HTTP/1.1 200 OK\r\nx: ").await,
        slow(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n").await,
        slow(b"HTTP/1.1 200 OK\r\n\r\n").await,
    ];
    for url in &urls {
        let refusal = agent.http("get", url).await.unwrap_err();
        assert!(refusal.contains("no complete response within 400 ms"), "{url}: {refusal}");
    }
    // A port that nobody listens on.
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let refusal = agent.http("get", &format!("http://{free}/")).await.unwrap_err();
    assert!(refusal.contains("cannot connect to 127.0.0.1"), "{refusal}");
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_checked() {
    let authority = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let issuer = rcgen::CertifiedIssuer::self_signed(params, authority).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let names = vec!["web.test".to_owned(), "127.0.0.1".to_owned()];
    let certificate =
        rcgen::CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
    let tls = tokio_rustls::rustls::ServerConfig::builder_with_provider(std::sync::Arc::new(
        tokio_rustls::rustls::crypto::ring::default_provider(),
    ))
    .with_safe_default_protocol_versions()
    .unwrap()
    .with_no_client_auth()
    .with_single_cert(
        vec![certificate.der().clone()],
        tokio_rustls::rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
    )
    .unwrap();
    let web = TestServer::with_tls(tls, |_| server::ok(b"over TLS")).await;
    let dir = tempfile::tempdir().unwrap();
    let ca = dir.path().join("ca.pem");
    std::fs::write(&ca, issuer.pem()).unwrap();
    let url = |host: &str| format!("https://{host}:{}/", web.port());
    let names: &[(&str, &[&[&str]])] =
        &[("web.test", &[&["127.0.0.1"]]), ("other.test", &[&["127.0.0.1"]])];

    let trusting = HostHttpFile { ca_file: Some(ca.to_str().unwrap().to_owned()), ..loopback() };
    let resolver = TestResolver::new(names);
    let world = HostWorld::on(TestNats::start().await, http(trusting), resolver).await;
    let agent = world.agent("a", "echo").await;
    assert_eq!(body(&agent.http("get", &url("web.test")).await.unwrap()), b"over TLS");
    assert_eq!(body(&agent.http("get", &url("127.0.0.1")).await.unwrap()), b"over TLS");
    let refusal = agent.http("get", &url("other.test")).await.unwrap_err();
    assert!(refusal.contains("TLS with other.test failed"), "{refusal}");

    let resolver = TestResolver::new(names);
    let world = HostWorld::on(TestNats::start().await, http(loopback()), resolver).await;
    let agent = world.agent("a", "echo").await;
    let refusal = agent.http("get", &url("web.test")).await.unwrap_err();
    assert!(refusal.contains("TLS with web.test failed"), "{refusal}");
    assert_eq!(web.seen().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_without_certificates_is_found_at_start() {
    let nats = TestNats::start().await;
    let dir = tempfile::tempdir().unwrap();
    let empty = dir.path().join("empty.pem");
    std::fs::write(&empty, "nothing").unwrap();
    for path in [empty, dir.path().join("missing.pem")] {
        let file = HostHttpFile {
            ca_file: Some(path.to_str().unwrap().to_owned()),
            ..HostHttpFile::default()
        };
        let config = nex_node::config::Config::builder().host_services(http(file)).build().unwrap();
        let made = nex_node::host::HostServices::new(
            nats.client().await,
            &config.host_services,
            TestResolver::new(&[]),
        );
        let error = made.unwrap_err().to_string();
        assert!(error.contains("host_services.http.ca_file"), "{error}");
    }
}
