//! Every way to log in, and what is said when it fails.

use std::fs;
use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use nex_client::connect::CredentialsError;
use nex_client::context::{ContextError, ContextFolder};
use nex_client::protocol::key::{KeyKind, SigningKey};
use nex_client::{Client, ConnectError, ConnectOptions};
use nex_testkit::TestNats;
use serde_json::json;

fn options(nats: &TestNats) -> ConnectOptions {
    ConnectOptions::new().server(nats.url()).no_context().timeout(Duration::from_secs(20))
}

/// Connects and makes a round trip.
async fn works(options: ConnectOptions) {
    let client = Client::connect(options).await.unwrap();
    assert!(client.nodes().await.unwrap().is_empty());
}

async fn fails(options: ConnectOptions) -> ConnectError {
    let error = Client::connect(options).await.expect_err("should not connect");
    let line = error.to_string();
    assert!(!line.contains('\n'), "{line}");
    let everything = format!("{line} {error:?}");
    assert!(!everything.contains("HIDDEN"), "{everything}");
    error
}

#[tokio::test]
async fn nobody_listens() {
    let mut nats = TestNats::start().await;
    nats.stop().await;
    let error = fails(options(&nats)).await;
    assert!(matches!(error, ConnectError::NothingAnswers { .. }), "{error:?}");
    assert_eq!(
        error.to_string(),
        format!(
            "nothing answers at {}: start one with `nats-server -js` or let Nex do it with \
             `nex node up --with-nats`",
            nats.url()
        )
    );
}

#[tokio::test]
async fn something_else_listens() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("nats://{}", listener.local_addr().unwrap());
    let serve = tokio::spawn(async move {
        use tokio::io::AsyncWriteExt;
        let (mut first, _) = listener.accept().await.unwrap();
        first.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        drop(first);
        // The second one is never answered.
        let _second = listener.accept().await.unwrap();
        std::future::pending::<()>().await;
    });
    let to = |timeout| ConnectOptions::new().server(url.as_str()).no_context().timeout(timeout);
    let error = fails(to(Duration::from_secs(20))).await;
    assert!(matches!(error, ConnectError::NotNats { .. }), "{error:?}");
    let error = fails(to(Duration::from_millis(100))).await;
    assert!(matches!(error, ConnectError::TimedOut { .. }), "{error:?}");
    serve.abort();
}

#[tokio::test]
async fn an_unknown_host() {
    let options = ConnectOptions::new().server("nats://no-such-host.invalid").no_context();
    let error = fails(options.timeout(Duration::from_secs(20))).await;
    assert!(matches!(error, ConnectError::UnknownHost { .. }), "{error:?}");
}

#[tokio::test]
async fn user_and_password() {
    let nats = TestNats::options().password("alice", "p@ss").start().await;
    works(options(&nats).user_and_password("alice", "p@ss")).await;
    let in_url = format!("nats://alice:p%40ss@127.0.0.1:{}", nats.port());
    works(options(&nats).server(in_url)).await;
    let error = fails(options(&nats).user_and_password("alice", "HIDDEN")).await;
    assert!(matches!(error, ConnectError::AccessDenied { .. }), "{error:?}");
    assert!(error.to_string().contains("refused the user and password"), "{error}");
    let in_url = format!("nats://alice:HIDDEN@127.0.0.1:{}", nats.port());
    let error = fails(options(&nats).server(in_url)).await;
    assert!(matches!(error, ConnectError::AccessDenied { .. }), "{error:?}");
    let error = fails(options(&nats)).await;
    assert!(error.to_string().contains("without credentials"), "{error}");
}

#[tokio::test]
async fn token() {
    let nats = TestNats::options().token("t0ken").start().await;
    works(options(&nats).token("t0ken")).await;
    let error = fails(options(&nats).token("HIDDEN")).await;
    assert!(matches!(error, ConnectError::AccessDenied { .. }), "{error:?}");
}

#[tokio::test]
async fn nkey() {
    let nats = TestNats::options().nkey().start().await;
    let file = nats.folder().join("user.nk");
    fs::write(&file, format!("# made by a test\n{}\n", nats.nkey_seed().unwrap())).unwrap();
    works(options(&nats).nkey(&file)).await;

    fs::write(&file, "SUHIDDEN").unwrap();
    let error = fails(options(&nats).nkey(&file)).await;
    assert!(
        matches!(error, ConnectError::Credentials(CredentialsError::NoSeed { .. })),
        "{error:?}"
    );
    let error = fails(options(&nats).nkey(nats.folder().join("missing.nk"))).await;
    assert!(
        matches!(error, ConnectError::Credentials(CredentialsError::Unreadable { .. })),
        "{error:?}"
    );
    let stranger = SigningKey::generate(KeyKind::User);
    fs::write(&file, stranger.seed()).unwrap();
    let error = fails(options(&nats).nkey(&file)).await;
    assert!(matches!(error, ConnectError::AccessDenied { .. }), "{error:?}");
}

/// A NATS JWT of version 2, as far as a server looks at it.
fn jwt(issuer: &SigningKey, subject: &SigningKey, nats: &serde_json::Value) -> String {
    let claims = json!({
        "jti": "X", "iat": 1_700_000_000, "iss": issuer.public().to_string(),
        "sub": subject.public().to_string(), "name": "test", "nats": nats,
    });
    let encode = |text: String| BASE64URL_NOPAD.encode(text.as_bytes());
    let header = encode(json!({"typ": "JWT", "alg": "ed25519-nkey"}).to_string());
    let signed = format!("{header}.{}", encode(claims.to_string()));
    let signature = BASE64URL_NOPAD.encode(&issuer.sign(signed.as_bytes()));
    format!("{signed}.{signature}")
}

#[tokio::test]
async fn credentials_files_and_jwts() {
    let operator = SigningKey::generate(KeyKind::Operator);
    let account = SigningKey::generate(KeyKind::Account);
    let user = SigningKey::generate(KeyKind::User);
    let unlimited = json!({"subs": -1, "data": -1, "payload": -1});
    let operator_jwt = jwt(&operator, &operator, &json!({"type": "operator", "version": 2}));
    let account_limits = json!({
        "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1,
        "wildcards": true, "conn": -1, "leaf": -1,
    });
    let account_jwt = jwt(
        &operator,
        &account,
        &json!({"type": "account", "version": 2, "limits": account_limits}),
    );
    let user_claims = |bearer: bool| {
        let mut claims = unlimited.clone();
        claims["type"] = json!("user");
        claims["version"] = json!(2);
        claims["bearer_token"] = json!(bearer);
        claims
    };
    let user_jwt = jwt(&account, &user, &user_claims(false));
    let nats = TestNats::options()
        .without_jetstream()
        .config(&format!(
            "operator: {operator_jwt}\nresolver: MEMORY\nresolver_preload: {{ {}: {account_jwt} }}\n",
            account.public()
        ))
        .start()
        .await;
    let file = nats.folder().join("me.creds");
    let contents = format!(
        "-----BEGIN NATS USER JWT-----\n{user_jwt}\n------END NATS USER JWT------\n\n\
         -----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
        user.seed()
    );
    fs::write(&file, contents).unwrap();
    works(options(&nats).creds(&file)).await;
    works(options(&nats).creds(format!("file://{}", file.display()))).await;

    // The same without a file: JWT and seed, and a bearer token, in a context.
    let configuration = nats.folder().join("config");
    fs::create_dir_all(configuration.join("nats/context")).unwrap();
    let context = |name: &str, fields: serde_json::Value| {
        fs::write(configuration.join(format!("nats/context/{name}.json")), fields.to_string())
            .unwrap();
        ConnectOptions::new()
            .context(name)
            .context_folder(ContextFolder::inside(&configuration))
            .timeout(Duration::from_secs(20))
    };
    let url = nats.url();
    works(context("jwt", json!({"url": url, "user_jwt": user_jwt, "user_seed": user.seed()})))
        .await;
    let bearer = jwt(&account, &user, &user_claims(true));
    works(context("bearer", json!({"url": url, "user_jwt": bearer}))).await;
    let error = fails(context("unsigned", json!({"url": url, "user_jwt": user_jwt}))).await;
    assert!(matches!(error, ConnectError::AccessDenied { .. }), "{error:?}");

    fs::write(&file, "nothing HIDDEN of use").unwrap();
    let error = fails(options(&nats).creds(&file)).await;
    assert!(
        matches!(error, ConnectError::Credentials(CredentialsError::NoCreds { .. })),
        "{error:?}"
    );
}

#[tokio::test]
async fn contexts_are_selected_named_and_left_out() {
    let nats = TestNats::options().password("alice", "secret").start().await;
    let folder = nats.folder().join("config");
    fs::create_dir_all(folder.join("nats/context")).unwrap();
    let saved = json!({"url": nats.url(), "user": "alice", "password": "secret"});
    fs::write(folder.join("nats/context/home.json"), saved.to_string()).unwrap();
    let base = || {
        ConnectOptions::new()
            .context_folder(ContextFolder::inside(&folder))
            .timeout(Duration::from_secs(20))
    };
    works(base().context("home")).await;
    let error = fails(base().context("away")).await;
    assert!(matches!(error, ConnectError::Context(ContextError::NotFound { .. })), "{error:?}");
    let error = fails(base().context("../home")).await;
    assert!(matches!(error, ConnectError::Context(ContextError::Name(_))), "{error:?}");

    fs::write(folder.join("nats/context.txt"), "home\n").unwrap();
    works(base()).await;
    // The selected context still tells who we are where a server is named.
    works(base().server(nats.url())).await;
    let error = fails(base().server(nats.url()).no_context()).await;
    assert!(matches!(error, ConnectError::AccessDenied { .. }), "{error:?}");
    fs::write(folder.join("nats/context.txt"), "gone").unwrap();
    let error = fails(base()).await;
    assert!(matches!(error, ConnectError::Context(ContextError::NotFound { .. })), "{error:?}");
}

#[tokio::test]
async fn tls() {
    let nats = TestNats::options().tls().start().await;
    let files = nats.tls().unwrap();
    works(options(&nats).ca(&files.ca)).await;
    // A nats:// URL is upgraded when the server asks for it.
    let plain = format!("nats://127.0.0.1:{}", nats.port());
    works(options(&nats).server(plain).ca(&files.ca)).await;
    let error = fails(options(&nats).ca(&files.client_cert)).await;
    assert!(matches!(error, ConnectError::Tls { .. }), "{error:?}");
    let error = fails(options(&nats).ca(nats.folder().join("missing.pem"))).await;
    assert!(
        matches!(error, ConnectError::Credentials(CredentialsError::Unreadable { .. })),
        "{error:?}"
    );
}

#[tokio::test]
async fn tls_with_client_certificate() {
    let nats = TestNats::options().mutual_tls().start().await;
    let files = nats.tls().unwrap();
    let with_ca = || options(&nats).ca(&files.ca);
    works(with_ca().client_certificate(&files.client_cert, &files.client_key)).await;
    let error = fails(with_ca()).await;
    assert!(matches!(error, ConnectError::Tls { .. }), "{error:?}");
}

#[tokio::test]
async fn tls_before_the_greeting() {
    let nats = TestNats::options().tls_first().start().await;
    let files = nats.tls().unwrap();
    works(options(&nats).ca(&files.ca).tls_first(true)).await;
}

#[tokio::test]
async fn tls_where_there_is_none() {
    let nats = TestNats::start().await;
    let tls = format!("tls://127.0.0.1:{}", nats.port());
    let error = fails(options(&nats).server(tls)).await;
    assert!(matches!(error, ConnectError::Tls { .. }), "{error:?}");
}

#[tokio::test]
async fn an_inbox_prefix_that_the_server_insists_on() {
    let nats = TestNats::options()
        .config(
            "authorization { users = [ { user: a, password: a, permissions: \
             { publish: \"$NEX.>\", subscribe: \"_INBOX_me.>\" } } ] }",
        )
        .start()
        .await;
    works(options(&nats).user_and_password("a", "a").inbox_prefix("_INBOX_me")).await;
}
