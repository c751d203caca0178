//! A function tries to reach what is not public. No packet leaves the machine: what would have to
//! be connected to is on loopback, and refused or watched.

use nex_protocol::agent::header;
use nex_protocol::config::HostHttpFile;
use nex_testkit::TestNats;

use super::http::{http, loopback};
use super::{HostAgent, HostWorld, TestResolver, TestServer, server};

async fn agent_with(
    config: HostHttpFile,
    resolver: std::sync::Arc<TestResolver>,
) -> (HostWorld, HostAgent) {
    let world = HostWorld::on(TestNats::start().await, http(config), resolver).await;
    let agent = world.agent("a", "echo").await;
    (world, agent)
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_that_are_not_public_are_refused_in_every_notation() {
    let web = TestServer::start(|_| server::ok(b"secret")).await;
    let (_world, agent) = agent_with(HostHttpFile::default(), TestResolver::new(&[])).await;
    let port = web.port();
    for host in [
        "127.0.0.1",
        "127.1",
        "127.0.1",
        "2130706433",
        "0x7f000001",
        "0x7F.1",
        "0177.0.0.1",
        "017700000001",
        "127.0.0.1.",
        "127.255.255.254",
        "0.0.0.0",
        "0",
        "１２７.0.0.1",
        "127。0。0。1",
        "%31%32%37.0.0.1",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[0:0:0:0:0:ffff:7f00:0001]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "[fe80::1]",
        "[fc00::1]",
        "[ff02::1]",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.0.1",
        "100.64.0.1",
        "169.254.169.254",
        "0xa9fea9fe",
        "2852039166",
        "0251.0376.0251.0376",
        "[::ffff:169.254.169.254]",
        "[fd00:ec2::254]",
        "224.0.0.1",
        "255.255.255.255",
        "user@127.0.0.1",
        "8.8.8.8@127.0.0.1",
    ] {
        let url = format!("http://{host}:{port}/");
        let refusal = agent.http("get", &url).await.unwrap_err();
        assert!(refusal.contains("not at a public address"), "{host}: {refusal}");
    }
    assert_eq!(web.connections(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_judged_by_where_they_lead() {
    let web = TestServer::start(|_| server::ok(b"secret")).await;
    let resolver = TestResolver::new(&[
        ("localhost", &[&["127.0.0.1", "::1"]]),
        ("inside.test", &[&["10.1.2.3"]]),
        ("metadata.test", &[&["169.254.169.254"]]),
        ("mapped.test", &[&["::ffff:127.0.0.1"]]),
        ("nat64.test", &[&["64:ff9b::a00:1"]]),
        ("mixed.test", &[&["10.0.0.1", "127.0.0.1", "fe80::1"]]),
        ("nothing.test", &[&[]]),
    ]);
    let (_world, agent) = agent_with(HostHttpFile::default(), resolver.clone()).await;
    for name in [
        "localhost",
        "LOCALHOST",
        "localhost.",
        "inside.test",
        "metadata.test",
        "mapped.test",
        "nat64.test",
        "mixed.test",
        "nothing.test",
    ] {
        let url = format!("http://{name}:{}/", web.port());
        let refusal = agent.http("get", &url).await.unwrap_err();
        assert!(refusal.contains("not at a public address"), "{name}: {refusal}");
        assert!(!refusal.contains("10.1.2.3"), "the address is told: {refusal}");
    }
    let refusal = agent.http("get", "http://unknown.test/").await.unwrap_err();
    assert!(refusal.contains("unknown.test cannot be resolved"), "{refusal}");
    assert_eq!(web.connections(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_are_judged_like_any_request() {
    let (_world, agent) = {
        let web = HostHttpFile {
            allow_networks: Some(vec!["127.0.0.2/32".to_owned()]),
            ..HostHttpFile::default()
        };
        agent_with(web, TestResolver::new(&[("inside.test", &[&["127.0.0.1"]])])).await
    };
    let inside = TestServer::start(|_| server::ok(b"secret")).await;
    let port = inside.port();
    let web = TestServer::on("127.0.0.2", move |seen| {
        let to = match seen.path.as_str() {
            "/metadata" => "http://169.254.169.254/latest/meta-data/".to_owned(),
            "/loopback" => format!("http://127.0.0.1:{port}/"),
            "/octal" => format!("http://0177.0.0.1:{port}/"),
            "/mapped" => format!("http://[::ffff:127.0.0.1]:{port}/"),
            "/name" => format!("http://inside.test:{port}/"),
            "/relative" => format!("//127.0.0.1:{port}/"),
            "/file" => "file:///etc/passwd".to_owned(),
            "/gopher" => format!("gopher://127.0.0.1:{port}/"),
            "/twice" => "/loopback".to_owned(),
            _ => "/around".to_owned(),
        };
        server::redirect("302 Found", &to)
    })
    .await;
    for path in ["/metadata", "/loopback", "/octal", "/mapped", "/name", "/relative", "/twice"] {
        let refusal = agent.http("get", &web.url(path)).await.unwrap_err();
        assert!(refusal.contains("not at a public address"), "{path}: {refusal}");
    }
    for path in ["/file", "/gopher"] {
        let refusal = agent.http("get", &web.url(path)).await.unwrap_err();
        assert!(refusal.contains("unsupported protocol scheme"), "{path}: {refusal}");
    }
    let before = web.connections();
    let refusal = agent.http("get", &web.url("/around")).await.unwrap_err();
    assert!(refusal.contains("stopped after 5 redirects"), "{refusal}");
    assert_eq!(web.connections() - before, 6);
    assert_eq!(inside.connections(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_of_dns_that_changes_does_not_help() {
    let inside = TestServer::start(|_| server::ok(b"secret")).await;
    // First an address that may be reached, then one that may not, as rebinding does it.
    let resolver = TestResolver::new(&[("rebind.test", &[&["127.0.0.2"], &["127.0.0.1"]])]);
    let config = HostHttpFile {
        allow_networks: Some(vec!["127.0.0.2/32".to_owned()]),
        timeout_ms: Some(2_000),
        ..HostHttpFile::default()
    };
    let (_world, agent) = agent_with(config, resolver.clone()).await;
    let url = format!("http://rebind.test:{}/", inside.port());
    // What was checked is what is connected to: nobody listens there.
    let refusal = agent.http("get", &url).await.unwrap_err();
    assert!(refusal.contains("cannot connect"), "{refusal}");
    assert_eq!(resolver.asked(), ["rebind.test"], "looked up more than once");
    let refusal = agent.http("get", &url).await.unwrap_err();
    assert!(refusal.contains("not at a public address"), "{refusal}");
    assert_eq!(inside.connections(), 0);
    // The same from one redirect to the next.
    let resolver = TestResolver::new(&[("rebind.test", &[&["127.0.0.2"], &["127.0.0.1"]])]);
    let port = inside.port();
    let web = TestServer::on("127.0.0.2", move |_| {
        server::redirect("307 Temporary Redirect", &format!("http://rebind.test:{port}/"))
    })
    .await;
    let config = HostHttpFile {
        allow_networks: Some(vec!["127.0.0.2/32".to_owned()]),
        ..HostHttpFile::default()
    };
    let (_world, agent) = agent_with(config, resolver).await;
    let url = format!("http://rebind.test:{}/", web.port());
    let refusal = agent.http("get", &url).await.unwrap_err();
    assert!(refusal.contains("not at a public address"), "{refusal}");
    assert_eq!(inside.connections(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_allows_by_name_port_and_network() {
    let web = TestServer::start(|_| server::ok(b"hi")).await;
    let other = TestServer::start(|_| server::ok(b"hi")).await;
    let names: &[(&str, &[&[&str]])] = &[
        ("api.internal", &[&["127.0.0.1"]]),
        ("a.svc.local", &[&["127.0.0.1"]]),
        ("elsewhere.test", &[&["127.0.0.1"]]),
    ];
    let config = HostHttpFile {
        allow_hosts: Some(vec![
            "api.internal".to_owned(),
            "*.svc.local".to_owned(),
            format!("127.0.0.1:{}", web.port()),
        ]),
        ..HostHttpFile::default()
    };
    let (_world, agent) = agent_with(config, TestResolver::new(names)).await;
    for host in ["api.internal", "API.Internal.", "a.svc.local", "127.0.0.1", "0x7f.1"] {
        agent.http("get", &format!("http://{host}:{}/", web.port())).await.unwrap();
    }
    for url in [
        format!("http://127.0.0.1:{}/", other.port()),
        format!("http://elsewhere.test:{}/", web.port()),
    ] {
        let refusal = agent.http("get", &url).await.unwrap_err();
        assert!(refusal.contains("not at a public address"), "{url}: {refusal}");
    }
    assert_eq!(other.connections(), 0);

    let only = HostHttpFile { only_hosts: Some(vec!["api.internal".to_owned()]), ..loopback() };
    let (_world, agent) = agent_with(only, TestResolver::new(names)).await;
    agent.http("get", &format!("http://api.internal:{}/", web.port())).await.unwrap();
    for host in ["elsewhere.test", "127.0.0.1"] {
        let refusal = agent.http("get", &format!("http://{host}:{}/", web.port())).await;
        assert!(refusal.unwrap_err().contains("does not let functions reach"), "{host}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_meant_for_one_host_does_not_go_to_another() {
    let (_world, agent) = agent_with(loopback(), TestResolver::new(&[])).await;
    let other = TestServer::start(|_| server::ok(b"there")).await;
    let to = other.url("/");
    let web = TestServer::start(move |seen| match seen.path.as_str() {
        "/away" => server::redirect("307 Temporary Redirect", &to),
        "/here" => server::redirect("303 See Other", "/end"),
        "/credentials" => {
            server::redirect("302 Found", &to.replace("http://", "http://user:pass@"))
        }
        _ => server::ok(b"here"),
    })
    .await;
    let call = async |path: &str| {
        let url = web.url(path).replace("http://", "http://me:secret@");
        let headers = [
            (header::HTTP_URL, url.as_str()),
            (header::HTTP_HEADER, "X-Api-Key: secret"),
            (header::HTTP_HEADER, "Cookie: secret"),
        ];
        agent.call("http.post", &headers, "body").await.unwrap();
    };
    call("/away").await;
    call("/credentials").await;
    call("/here").await;
    let [away, credentials] = &*other.seen() else { panic!() };
    assert_eq!((away.method.as_str(), away.body.as_slice()), ("POST", &b"body"[..]));
    assert_eq!((credentials.method.as_str(), credentials.body.len()), ("GET", 0));
    for seen in [away, credentials] {
        assert!(seen.headers.iter().all(|(_, value)| !value.contains("secret")), "{seen:?}");
        assert_eq!(seen.header("authorization"), None);
    }
    let end = web.seen().pop().unwrap();
    assert_eq!((end.method.as_str(), end.path.as_str()), ("GET", "/end"));
    assert_eq!(end.header("x-api-key"), Some("secret"));
    assert!(end.header("authorization").is_some());
}

/// The machine's own resolver, for a name that every machine has.
#[tokio::test(flavor = "multi_thread")]
async fn localhost_is_refused_unless_allowed() {
    let web = TestServer::start(|_| server::ok(b"hi")).await;
    let nats = TestNats::start().await;
    for allowed in [false, true] {
        let config = HostHttpFile {
            allow_hosts: allowed.then(|| vec!["localhost".to_owned()]),
            ..HostHttpFile::default()
        };
        let config = nex_node::config::Config::builder().host_services(http(config)).build();
        let services = nex_node::host::HostServices::new(
            nats.client().await,
            &config.unwrap().host_services,
            std::sync::Arc::new(nex_node::host::http::SystemResolver::default()),
        );
        let bus = crate::bus::TestBus::start(|_| {}).await;
        let spare = TestNats::start().await;
        let world = HostWorld { nats: spare, bus, services: services.unwrap() };
        let agent = world.agent("a", "echo").await;
        let url = format!("http://localhost:{}/", web.port());
        let done = agent.http("get", &url).await;
        assert_eq!(done.is_ok(), allowed, "{done:?}");
    }
    assert_eq!(web.connections(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redirects_the_function_gets_them_itself() {
    let config = HostHttpFile { max_redirects: Some(0), ..loopback() };
    let (_world, agent) = agent_with(config, TestResolver::new(&[])).await;
    let web = TestServer::start(|_| server::redirect("301 Moved Permanently", "/there")).await;
    let reply = agent.http("get", &web.url("/")).await.unwrap();
    assert_eq!(reply["status"], 301);
    assert_eq!(reply["headers"]["Location"][0], "/there");
}
