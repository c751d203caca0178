//! What the keys mean together.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nex_protocol::key::{CurveKey, KeyKind, SigningKey};

use super::{flags, good, load, load_with};
use crate::config::{Config, ConfigError, Overrides, SandboxChoice, WarningKind};

fn refused(text: &str) -> bool {
    matches!(load(text), Err(ConfigError::Invalid(_)))
}

#[test]
fn the_sandbox_is_what_each_form_always_meant() {
    let sandbox = |text| good(text).sandbox;
    assert_eq!(sandbox("{}"), SandboxChoice::Firecracker);
    assert_eq!(sandbox(r#"{"no_sandbox": false}"#), SandboxChoice::Firecracker);
    assert_eq!(sandbox(r#"{"no_sandbox": true}"#), SandboxChoice::Process);
    assert_eq!(sandbox(r#"{"sandbox": "auto"}"#), SandboxChoice::Auto);
    assert_eq!(sandbox(r#"{"sandbox": "auto", "no_sandbox": false}"#), SandboxChoice::Auto);
    assert_eq!(sandbox(r#"{"sandbox": "process", "no_sandbox": true}"#), SandboxChoice::Process);
    assert!(refused(r#"{"sandbox": "namespace", "no_sandbox": true}"#));
    assert!(refused(r#"{"sandbox": "process", "no_sandbox": false}"#));
    assert_eq!(flags(&Overrides::default()).unwrap().0.sandbox, SandboxChoice::Auto);
    assert_eq!(Config::builder().build().unwrap().sandbox, SandboxChoice::Auto);
}

#[test]
fn flags_count_more_than_the_file() {
    let overrides = Overrides {
        sandbox: Some(SandboxChoice::Process),
        state_dir: Some("/srv/nex".into()),
        pool_size: Some(7),
        node_name: Some("flagship".to_owned()),
        tags: [("zone".to_owned(), "b".to_owned())].into(),
        with_nats: true,
        nats_port: Some(0),
    };
    let text = r#"{
        "no_sandbox": false,
        "state_dir": "/var/other",
        "machine_pool_size": 2,
        "node_name": "filed",
        "tags": {"zone": "a", "rack": "4"},
        "public_nats_server": {"port": 4333, "jetstream": false}
    }"#;
    let (config, warnings) = load_with(text, &overrides).unwrap();
    assert_eq!(warnings, []);
    assert_eq!(config.sandbox, SandboxChoice::Process);
    assert_eq!(config.state_dir.as_deref(), Some(Path::new("/srv/nex")));
    assert_eq!(config.pool_size, 7);
    assert_eq!(config.node_name.as_deref(), Some("flagship"));
    let tags: Vec<_> = config.tags.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(tags, [("rack", "4"), ("zone", "b")]);
    let server = config.public_nats_server.as_ref().unwrap();
    assert_eq!((server.port, server.jetstream), (None, false));
}

#[test]
fn flags_are_checked_like_the_file() {
    let wrong = Overrides { pool_size: Some(0), ..Overrides::default() };
    assert!(matches!(flags(&wrong), Err(ConfigError::Invalid(_))));
    assert!(Config::builder().pool_size(0).build().is_err());
    assert!(Config::builder().stop_grace(Duration::from_secs(100_000_000)).build().is_err());
    assert!(Config::builder().node_name("two\nlines").build().is_err());
}

#[test]
fn a_path_that_is_no_text_is_refused_not_changed() {
    use std::os::unix::ffi::OsStrExt as _;
    let path = PathBuf::from(std::ffi::OsStr::from_bytes(b"/srv/\xff"));
    let overrides = Overrides { state_dir: Some(path.clone()), ..Overrides::default() };
    assert!(matches!(flags(&overrides), Err(ConfigError::Invalid(_))));
    assert!(Config::builder().state_dir(path).build().is_err());
}

#[test]
fn agents_get_a_tcp_address_only_when_something_needs_it() {
    let tcp = |text: &str| good(text).bus_tcp.map(|address| address.to_string());
    assert_eq!(tcp(r#"{"sandbox": "process"}"#), None);
    assert_eq!(tcp(r#"{"sandbox": "auto"}"#), None);
    assert_eq!(tcp("{}").as_deref(), Some("192.168.127.1:9222"));
    let legacy = r#"{"sandbox": "process", "legacy_agents": true}"#;
    assert_eq!(tcp(legacy).as_deref(), Some("127.0.0.1:9222"));
    let port = r#"{"no_sandbox": true, "internal_node_port": 0}"#;
    assert_eq!(tcp(port).as_deref(), Some("127.0.0.1:0"));
    let any = r#"{"no_sandbox": true, "internal_node_host": "0.0.0.0"}"#;
    assert_eq!(tcp(any).as_deref(), Some("0.0.0.0:9222"));
    let named = r#"{"no_sandbox": true, "internal_node_host": "localhost"}"#;
    assert_eq!(tcp(named).as_deref(), Some("127.0.0.1:9222"));
    assert!(refused(r#"{"no_sandbox": true, "internal_node_host": "nowhere"}"#));
    let legacy = Config::builder().legacy_agent("/bin/agent").internal_node_port(0).build();
    assert_eq!(legacy.unwrap().bus_tcp, Some(SocketAddr::from(([127, 0, 0, 1], 0))));
}

#[test]
fn virtual_machines_reach_the_node_inside_their_subnet() {
    assert!(refused(r#"{"internal_node_host": "10.0.0.1"}"#));
    good(r#"{"sandbox": "process", "internal_node_host": "10.0.0.1"}"#);
    good(r#"{"internal_node_host": "10.0.0.1", "cni": {"subnet": "10.0.0.0/16"}}"#);
    let moved = good(r#"{"cni": {"subnet": "10.0.0.0/16"}}"#);
    assert_eq!(moved.bus_tcp.unwrap().to_string(), "10.0.0.1:9222");
    assert!(refused(r#"{"cni": {"subnet": "10.0.0.0/99"}}"#));
    // Also where no virtual machine would use it.
    assert!(refused(r#"{"sandbox": "process", "cni": {"subnet": "everywhere"}}"#));
}

#[test]
fn both_limiters_need_their_two_numbers() {
    good(r#"{"rate_limiters": {"iops": {"size": 10, "refill_time": 1000}}}"#);
    assert!(refused(r#"{"rate_limiters": {"iops": {"size": 10}}}"#));
    assert!(refused(r#"{"rate_limiters": {"bandwidth": {"refill_time": 10}}}"#));
}

#[test]
fn keys_must_be_public_and_of_their_family() {
    let account = SigningKey::generate(KeyKind::Account);
    let user = SigningKey::generate(KeyKind::User);
    let curve = CurveKey::generate();
    let issuers = |key: &str| format!(r#"{{"valid_issuers": ["{key}"]}}"#);
    let senders = |key: &str| format!(r#"{{"requester_public_keys": ["{key}"]}}"#);
    let config = good(&issuers(&account.public().to_string()));
    assert_eq!(config.valid_issuers, [account.public()]);
    good(&issuers(&user.public().to_string()));
    assert_eq!(good(&senders(&curve.public().to_string())).requester_public_keys, [curve.public()]);
    assert!(refused(&issuers(&curve.public().to_string())));
    assert!(refused(&senders(&account.public().to_string())));
    for seed in [account.seed(), curve.seed()] {
        let error = load(&issuers(&seed)).unwrap_err().to_string();
        assert!(!error.contains(&seed), "a secret in an error: {error}");
        assert!(!error.contains(seed.get(..20).unwrap()), "half a secret in an error: {error}");
    }
}

#[test]
fn the_name_is_a_key_or_the_tag_of_the_go_node() {
    let name = |text: &str| good(text).node_name.clone();
    assert_eq!(name("{}"), None);
    assert_eq!(name(r#"{"node_name": "a b"}"#).as_deref(), Some("a b"));
    let tagged = good(r#"{"tags": {"node_name": "old", "zone": "a"}}"#);
    assert_eq!(tagged.node_name.as_deref(), Some("old"));
    assert_eq!(tagged.tags.len(), 1);
    assert!(refused(r#"{"node_name": "a", "tags": {"node_name": "b"}}"#));
    assert!(refused(r#"{"node_name": "   "}"#));
    let tag = [("node_name".to_owned(), "flag".to_owned())].into();
    let overrides = Overrides { tags: tag, ..Overrides::default() };
    let (config, _) = load_with(r#"{"node_name": "file"}"#, &overrides).unwrap();
    assert_eq!(config.node_name.as_deref(), Some("flag"));
}

#[test]
fn tags_of_the_node_itself_are_not_the_operators() {
    let (config, warnings) = load(r#"{"tags": {"nex.os": "plan9", "zone": ""}}"#).unwrap();
    assert_eq!(warnings.len(), 1);
    assert_eq!(warnings[0].kind, WarningKind::ReservedTag);
    assert_eq!(config.tags.keys().collect::<Vec<_>>(), ["zone"]);
    assert!(refused(&format!(r#"{{"tags": {{"a": "{}"}}}}"#, "x".repeat(2000))));
}

#[test]
fn an_artifact_fits_into_the_cache() {
    let small = good(r#"{"artifact_cache": {"max_bytes": "1GiB"}}"#);
    assert_eq!(small.limits.max_artifact_bytes, 1 << 30);
    assert_eq!(small.artifact_cache.max_bytes, 1 << 30);
    assert!(refused(
        r#"{"artifact_cache": {"max_bytes": 10}, "limits": {"max_artifact_bytes": 11}}"#
    ));
    assert!(refused(r#"{"limits": {"max_artifact_bytes": "1TiB"}}"#));
}

#[test]
fn paths_are_absolute_and_know_the_home_directory() {
    let config = good(
        r#"{"sandbox": "process", "state_dir": "~/nex", "agent_path": "bin/agent", "default_resource_dir": "/res"}"#,
    );
    assert_eq!(config.state_dir.as_deref(), Some(Path::new("/home/ada/nex")));
    let agent = config.agent_path.as_ref().unwrap();
    assert!(agent.is_absolute() && agent.ends_with("bin/agent"));
    assert_eq!(config.file().kernel_filepath.as_deref(), Some("/res/vmlinux"));
    assert_eq!(config.file().rootfs_filepath.as_deref(), Some("/res/rootfs.ext4"));
    assert_eq!(config.file().bin_path.as_deref().unwrap(), ["/usr/local/bin", "/usr/bin", "/bin"]);
}

#[test]
fn what_go_writes_for_nothing_counts_as_nothing() {
    let config = good(
        r#"{
            "no_sandbox": true, "bin_path": null, "kernel_filepath": "", "rootfs_filepath": "",
            "default_resource_dir": "", "internal_node_host": null, "internal_node_port": null,
            "machine_pool_size": 1, "machine_template": {"vcpu_count": null, "memsize_mib": 256},
            "otel_metrics": false, "otel_metrics_port": 0, "otel_metrics_exporter": "",
            "otel_traces": false, "otel_traces_exporter": "", "rate_limiters": null,
            "cni": {"bin_path": null, "interface_name": null, "network_name": null, "subnet": null}
        }"#,
    );
    assert_eq!(config.bus_tcp, None);
    assert_eq!(config.file().kernel_filepath, None);
    assert_eq!(config.file().cni.as_ref().unwrap().subnet.as_deref(), Some("192.168.127.0/24"));
}

#[test]
fn older_spellings_mean_the_same() {
    let config = good(r#"{"kernel_path": "/k", "rootfs_path": "/r"}"#);
    assert_eq!(config.file().kernel_filepath.as_deref(), Some("/k"));
    assert_eq!(config.file().rootfs_filepath.as_deref(), Some("/r"));
}

#[test]
fn a_nats_server_of_its_own_stays_on_the_machine_unless_told() {
    let server = |text: &str| good(text).public_nats_server.clone().unwrap();
    let plain = server(r#"{"public_nats_server": {}}"#);
    assert!(plain.host.is_loopback() && plain.jetstream);
    assert_eq!(plain.port, Some(4222));
    let open = server(r#"{"public_nats_server": {"host": "0.0.0.0", "port": -1}}"#);
    assert!(open.host.is_unspecified());
    assert_eq!(open.port, None);
    let named = r#"{"public_nats_server": {"server_name": "Nex NATS"}}"#;
    let (config, warnings) = load(named).unwrap();
    assert_eq!(warnings[0].kind, WarningKind::Spaces);
    let server = config.public_nats_server.as_ref().unwrap();
    assert_eq!(server.server_name.as_deref(), Some("Nex-NATS"));
}

#[test]
fn host_services_have_limits_and_lists() {
    let plain = good("{}").host_services.clone();
    assert_eq!(plain.max_concurrent_calls, 32);
    assert_eq!((plain.kv.enabled, plain.kv.max_value_bytes), (true, 512 << 10));
    assert_eq!(plain.messaging.request_timeout, Duration::from_millis(500));
    assert_eq!(plain.messaging.request_many_timeout, Duration::from_secs(3));
    assert!(plain.http.allow_hosts.is_empty() && plain.http.allow_networks.is_empty());
    let set = good(
        r#"{"host_services": {
            "max_concurrent_calls": 7,
            "kv": {"enabled": false, "max_value_bytes": "1KiB", "max_bucket_bytes": 4096},
            "messaging": {"allow": ["{namespace}.>"], "deny": ["x"]},
            "http": {
                "allow_hosts": ["*.internal", "127.0.0.1:80"], "allow_networks": ["10.0.0.0/8"],
                "ca_file": "~/ca.pem"
            }
        }}"#,
    );
    let set = &set.host_services;
    assert_eq!(set.max_concurrent_calls, 7);
    assert_eq!((set.kv.enabled, set.kv.max_value_bytes), (false, 1024));
    assert_eq!((set.messaging.allow.len(), set.messaging.deny.len()), (1, 1));
    assert_eq!((set.http.allow_hosts.len(), set.http.allow_networks.len()), (2, 1));
    assert_eq!(set.http.ca_file.as_deref(), Some(Path::new("/home/ada/ca.pem")));
    // What nobody set keeps its default.
    assert_eq!(set.object_store, plain.object_store);
    let kv = |value: &str, bucket: &str| {
        let kv = format!(r#"{{"max_value_bytes": {value}, "max_bucket_bytes": {bucket}}}"#);
        format!(r#"{{"host_services": {{"kv": {kv}}}}}"#)
    };
    assert!(refused(&kv("4097", "4096")));
    assert!(!refused(&kv("4096", "4096")));
    assert!(refused(&kv("1", "1")));
    let small = good(r#"{"host_services": {"kv": {"max_bucket_bytes": "4KiB"}}}"#);
    assert_eq!(small.host_services.kv.max_value_bytes, 4096);
}
