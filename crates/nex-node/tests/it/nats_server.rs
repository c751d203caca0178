//! The supervised `nats-server`: a real one, and programs that only pretend.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use nex_node::nats_server::{
    Authorization, Binary, JetStream, NatsServer, NatsServerConfig, Places, Reason, ServerOptions,
    ServerState, StartError,
};
use nex_testkit::{DEADLINE, nats_server_binary, process, wait_for, wait_until};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

async fn real() -> Binary {
    Binary::at(nats_server_binary().to_owned()).await.unwrap()
}

async fn config(folder: &TempDir) -> NatsServerConfig {
    NatsServerConfig::new(real().await, folder.path().join("nats"))
}

fn kill(pid: u32) {
    kill_process(Pid::from_raw(pid as i32).unwrap(), Signal::KILL).unwrap();
}

fn pid_of(server: &NatsServer) -> u32 {
    match *server.watch().borrow() {
        ServerState::Running { pid } => pid,
        ref other => panic!("not running: {other:?}"),
    }
}

async fn gone(pid: u32) {
    wait_until(DEADLINE, format_args!("process {pid} to be gone"), || !process::is_running(pid))
        .await;
}

/// A program that passes for a nats-server until it is told to serve.
fn pretender(folder: &Path, body: &str) -> PathBuf {
    let path = folder.join("pretender");
    let text = format!(
        "#!/bin/sh\nif [ \"$1\" = --version ]; then echo 'nats-server: v2.99.0'; exit; fi\n{body}\n"
    );
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

async fn pretend(folder: &TempDir, body: &str) -> NatsServerConfig {
    let binary = Binary::at(pretender(folder.path(), body)).await.unwrap();
    NatsServerConfig::new(binary, folder.path().join("nats"))
}

async fn put(url: &str, value: &'static str) {
    let context = async_nats::jetstream::new(async_nats::connect(url).await.unwrap());
    let bucket = async_nats::jetstream::kv::Config { bucket: "b".into(), ..Default::default() };
    let store = context.create_key_value(bucket).await.unwrap();
    store.put("key", Bytes::from_static(value.as_bytes())).await.unwrap();
}

async fn get(url: &str) -> Bytes {
    let context = async_nats::jetstream::new(async_nats::connect(url).await.unwrap());
    context.get_key_value("b").await.unwrap().get("key").await.unwrap().unwrap()
}

#[tokio::test]
async fn it_serves_stops_and_keeps_its_data() {
    let folder = tempfile::tempdir().unwrap();
    let server = NatsServer::start(config(&folder).await).await.unwrap();
    put(&server.url(), "kept").await;
    let (port, pid) = (server.port(), pid_of(&server));
    assert_eq!(server.url(), format!("nats://127.0.0.1:{port}"));
    let mut state = server.watch();
    server.stop().await;
    assert!(!process::is_running(pid), "stop returns after the end");
    assert_eq!(*state.borrow_and_update(), ServerState::Stopped);

    let mut again = config(&folder).await;
    again.port = Some(port);
    let server = NatsServer::start(again).await.unwrap();
    assert_eq!(server.port(), port);
    assert_eq!(get(&server.url()).await, "kept");
    server.stop().await;
}

#[tokio::test]
async fn it_comes_back_on_its_port_after_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    let server = NatsServer::start(config(&folder).await).await.unwrap();
    put(&server.url(), "kept").await;
    let mut state = server.watch();
    for _ in 0..2 {
        let killed = pid_of(&server);
        state.mark_unchanged();
        kill(killed);
        let again =
            |state: &ServerState| matches!(state, ServerState::Running { pid } if *pid != killed);
        tokio::time::timeout(DEADLINE, state.wait_for(again)).await.unwrap().unwrap();
        assert_eq!(get(&server.url()).await, "kept");
    }
    server.stop().await;
}

#[tokio::test]
async fn dropping_it_ends_the_child() {
    let folder = tempfile::tempdir().unwrap();
    let server = NatsServer::start(config(&folder).await).await.unwrap();
    let pid = pid_of(&server);
    drop(server);
    gone(pid).await;
}

#[test]
fn the_end_of_the_runtime_ends_the_child() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server =
        runtime.block_on(async { NatsServer::start(config(&folder).await).await.unwrap() });
    let pid = pid_of(&server);
    drop(runtime);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(gone(pid));
    drop(server);
}

#[tokio::test]
async fn it_survives_the_thread_that_started_it() {
    let folder = tempfile::tempdir().unwrap();
    let (runtime, config) = (tokio::runtime::Handle::current(), config(&folder).await);
    let start = move || runtime.block_on(NatsServer::start(config)).unwrap();
    let starter = std::thread::spawn(start);
    let joined = tokio::task::spawn_blocking(|| starter.join().unwrap());
    let server = joined.await.unwrap();
    let pid = pid_of(&server);
    async_nats::connect(server.url()).await.unwrap();
    assert_eq!(pid_of(&server), pid, "not killed and started again meanwhile");
    server.stop().await;
}

#[tokio::test]
async fn a_busy_port_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = other.local_addr().unwrap().port();
    let mut busy = config(&folder).await;
    busy.port = Some(port);
    let error = NatsServer::start(busy).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "port {port} is already in use on 127.0.0.1: \
             stop the program that listens there, or choose another port"
        )
    );
}

#[tokio::test]
async fn a_data_folder_belongs_to_one_server() {
    let folder = tempfile::tempdir().unwrap();
    let server = NatsServer::start(config(&folder).await).await.unwrap();
    let error = NatsServer::start(config(&folder).await).await.unwrap_err();
    assert!(matches!(error, StartError::DataInUse(_)), "{error}");
    async_nats::connect(server.url()).await.unwrap();
    server.stop().await;
    NatsServer::start(config(&folder).await).await.unwrap().stop().await;
}

#[tokio::test]
async fn streams_elsewhere_belong_to_one_server_too() {
    let folder = tempfile::tempdir().unwrap();
    let with_store = async |data: &str| {
        let mut config = NatsServerConfig::new(real().await, folder.path().join(data));
        let store_dir = Some(folder.path().join("store"));
        config.jetstream = Some(JetStream { store_dir, ..JetStream::default() });
        NatsServer::start(config).await
    };
    let server = with_store("one").await.unwrap();
    put(&server.url(), "kept").await;
    let error = with_store("two").await.unwrap_err();
    assert!(matches!(&error, StartError::DataInUse(path) if path.ends_with("store")), "{error}");
    server.stop().await;
    let server = with_store("two").await.unwrap();
    assert_eq!(get(&server.url()).await, "kept");
    server.stop().await;
}

#[tokio::test]
async fn secrets_stay_in_a_private_file_and_work() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(&folder).await;
    let password = "p\"a\\s$s {word} é\t";
    let user = "ann".to_owned();
    config.options.authorization =
        Some(Authorization::Password { user: user.clone(), password: password.into() });
    config.options.server_name = Some("its-name".into());
    config.options.max_payload = Some(4096);
    let server = NatsServer::start(config).await.unwrap();
    let line = process::command_line(pid_of(&server)).unwrap();
    assert!(!line.contains("ann"), "{line}");
    let file = folder.path().join("nats/nats-server.conf");
    assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    let data = folder.path().join("nats");
    assert_eq!(fs::metadata(data).unwrap().permissions().mode() & 0o777, 0o700);

    assert!(async_nats::connect(server.url()).await.is_err());
    let options = async_nats::ConnectOptions::with_user_and_password(user, password.into());
    let info = options.connect(server.url()).await.unwrap().server_info();
    assert_eq!((info.server_name.as_str(), info.max_payload), ("its-name", 4096));
    server.stop().await;
}

#[tokio::test]
async fn options_are_checked_before_anything_is_touched() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(&folder).await;
    config.options = ServerOptions { max_payload: Some(0), ..ServerOptions::default() };
    let error = NatsServer::start(config).await.unwrap_err();
    assert!(error.to_string().starts_with("the nats-server option `max_payload` must"));
    assert!(!folder.path().join("nats").exists());
}

#[tokio::test]
async fn a_data_folder_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(&folder).await;
    fs::write(folder.path().join("file"), "").unwrap();
    config.data_dir = folder.path().join("file/nats");
    let error = NatsServer::start(config).await.unwrap_err();
    assert!(matches!(error, StartError::Data { .. }), "{error}");
}

#[tokio::test]
async fn a_program_that_ends_at_start_is_quoted() {
    let folder = tempfile::tempdir().unwrap();
    let ends = pretend(&folder, "echo starting; echo '[1] [FTL] no such luck.' >&2; exit 3").await;
    let error = NatsServer::start(ends).await.unwrap_err();
    let text = error.to_string();
    assert!(
        text.starts_with("nats-server ended at start (exit status: 3): no such luck;"),
        "{text}"
    );
    assert!(text.ends_with("nats/nats-server.log"), "{text}");
    let StartError::Ended { lines, .. } = error else { panic!("{error:?}") };
    assert_eq!(lines, ["starting", "[1] [FTL] no such luck."]);
}

#[tokio::test]
async fn a_first_start_that_something_kills_is_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let server = nats_server_binary().display();
    let body = format!("[ -e killed ] || {{ : > killed; kill -KILL $$; }}\nexec '{server}' \"$@\"");
    let server = NatsServer::start(pretend(&folder, &body).await).await.unwrap();
    assert!(folder.path().join("nats/killed").exists());
    put(&server.url(), "served").await;
    server.stop().await;

    let folder = tempfile::tempdir().unwrap();
    let always = pretend(&folder, "echo x >> starts; kill -KILL $$").await;
    let error = NatsServer::start(always).await.unwrap_err();
    assert!(matches!(error, StartError::Ended { .. }), "{error}");
    let starts = fs::read_to_string(folder.path().join("nats/starts")).unwrap();
    assert_eq!(starts.lines().count(), 3, "a few times, then it is said");
}

#[tokio::test]
async fn a_program_that_never_serves_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let body = "trap '' TERM; echo waiting; echo $$ > pid; while :; do sleep 1; done";
    let mut hangs = pretend(&folder, body).await;
    hangs.start_deadline = Duration::from_millis(300);
    let error = NatsServer::start(hangs).await.unwrap_err();
    assert!(matches!(error, StartError::NotReady { .. }), "{error}");
    assert!(error.to_string().contains("last said: waiting;"), "{error}");
    let pid = fs::read_to_string(folder.path().join("nats/pid")).unwrap();
    gone(pid.trim().parse().unwrap()).await;
}

#[tokio::test]
async fn a_start_that_is_given_up_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let hangs = pretend(&folder, "echo $$ > pid; exec sleep 1000").await;
    let pid = folder.path().join("nats/pid");
    let start = tokio::spawn(NatsServer::start(hangs));
    let read = || fs::read_to_string(&pid).ok()?.trim().parse::<u32>().ok();
    let pid = wait_for(DEADLINE, "the child", read).await;
    start.abort();
    gone(pid).await;
}

#[tokio::test]
async fn programs_that_do_not_serve_are_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let at = |text: &str| {
        let path = folder.path().join("candidate");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        Binary::at(path)
    };
    let old = at("#!/bin/sh\necho nats-server: v2.9.10\n").await.unwrap_err();
    assert!(old.to_string().ends_with("version 2.9.10 is older than 2.12.0"), "{old}");
    assert_eq!(at("#!/bin/sh\necho hello\n").await.unwrap_err().why, Reason::NoVersion);
    assert_eq!(at("#!/bin/sh\nexec cat /dev/zero\n").await.unwrap_err().why, Reason::NoVersion);
    let not_started = at("\x7fELF").await.unwrap_err().why;
    assert!(matches!(not_started, Reason::DoesNotStart(_)), "{not_started}");
}

#[tokio::test]
async fn the_search_path_comes_before_the_cache() {
    let folder = tempfile::tempdir().unwrap();
    let places = Places::new(folder.path().into(), folder.path().join("cache"));
    let none = Binary::locate(&places).await.unwrap_err();
    assert!(none.passed_over.is_empty());

    // A file in the cache that is not what was installed is never run.
    let cached = places.cache_folder().join("nats-server");
    fs::create_dir_all(places.cache_folder()).unwrap();
    fs::rename(pretender(folder.path(), "touch /tmp/must-not-run"), &cached).unwrap();
    let none = Binary::locate(&places).await.unwrap_err();
    assert_eq!(none.passed_over[0].why, Reason::WrongChecksum);

    // Unless it came from a checked archive and only we can write there.
    let sum = Command::new("sha256sum").arg(&cached).output().unwrap().stdout;
    let sum = String::from_utf8(sum).unwrap().split(' ').next().unwrap().to_owned();
    fs::write(cached.with_file_name("nats-server.sha256"), sum).unwrap();
    assert_eq!(Binary::locate(&places).await.unwrap().path(), cached);
    let everybody = fs::Permissions::from_mode(0o777);
    fs::set_permissions(places.cache_folder(), everybody).unwrap();
    assert!(Binary::locate(&places).await.is_err());

    let on_path = folder.path().join("nats-server");
    std::os::unix::fs::symlink(nats_server_binary(), &on_path).unwrap();
    assert_eq!(Binary::locate(&places).await.unwrap().path(), on_path);
}

/// The parent of the next test: not a test of its own.
#[tokio::test]
#[ignore = "is started by a_killed_parent_leaves_no_orphan"]
async fn parent_that_is_killed() {
    let folder = PathBuf::from(std::env::var_os("NEX_TEST_DATA").unwrap());
    let server = NatsServer::start(NatsServerConfig::new(real().await, folder)).await.unwrap();
    println!("child {} {}", pid_of(&server), server.port());
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn a_killed_parent_leaves_no_orphan() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("nats");
    let mut parent = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "nats_server::parent_that_is_killed", "--ignored", "--nocapture"])
        .env("NEX_TEST_DATA", &data)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(parent.stdout.take().unwrap()).lines();
    let line = lines.find_map(|line| line.unwrap().split_once("child ").map(|(_, l)| l.to_owned()));
    let line = line.unwrap();
    let (child, port) = line.split_once(' ').unwrap();
    let child = child.parse().unwrap();
    assert!(process::is_running(child));

    parent.kill().unwrap();
    parent.wait().unwrap();
    gone(child).await;
    // The folder and the port are free at once for the node that comes back.
    let mut again = config(&folder).await;
    again.port = Some(port.parse().unwrap());
    NatsServer::start(again).await.unwrap().stop().await;
}
