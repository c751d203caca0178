//! Every kind of error and warning, word for word.

use super::{flags, load, said};
use crate::config::{Overrides, load as load_file};

#[test]
fn unknown_and_odd_keys_are_warnings() {
    insta::assert_snapshot!(said(load(
        r#"{
  // Comments and trailing commas are welcome.
  "sandbox": "process",
  "machine_pool_sise": 3,
  "pool_size": 3,
  "kernel_file": "/vmlinux",
  "state-dir": "/srv",
  "max_workloads": 7,
  "Machine_Pool_Size": 2,
  "cni": {"sub_net": "10.0.0.0/8"},
  "public_nats_server": {"cluster": {"name": "c"}, "max_bytes": 1},
  "tags": {"nex.cpucount": "64", "zone": "a", "zone": "b"},
  "entirely different": [],
  "bell\u0007": 1,
  "workload_types": ["elf", "v8"],
}"#
    )));
}

#[test]
fn wrong_values_are_errors_with_their_place() {
    insta::assert_snapshot!(said(load(
        r#"{
  "sandbox": "docker",
  "machine_pool_size": 0,
  "stop_grace_ms": -1,
  "drain_deadline_ms": 1.5,
  "no_sandbox": "yes",
  "internal_node_port": 70000,
  "tags": {"a": 1},
  "workload_types": ["elf", "cobol"],
  "valid_issuers": "AABC",
  "limits": {"max_artifact_bytes": "5 parsecs", "max_workloads": 0},
  "artifact_cache": {"max_bytes": 0},
  "logs": [],
  "machine_template": {"vcpu_count": 9999}
}"#
    )));
}

#[test]
fn contradictions_and_keys_are_errors_with_their_place() {
    insta::assert_snapshot!(said(load(
        r#"{
  "sandbox": "qemu",
  "no_sandbox": true,
  "node_name": "a",
  "tags": {"node_name": "b"},
  "internal_node_host": "10.1.1.1",
  "cni": {"subnet": "192.168.0.0/24"},
  "valid_issuers": ["ABC", "SAANWFZ3JINNPERWT3ALE45U7GYT2ZDW6GJUIVPDKUF6GKAX6AISZJMAS4"],
  "requester_public_keys": [""],
  "rate_limiters": {"iops": {}},
  "limits": {"max_artifact_bytes": "20GiB"}
}"#
    )));
}

#[test]
fn mistakes_in_host_services_are_pointed_at() {
    insta::assert_snapshot!(said(load(
        r#"{
  "host_services": {
    "max_concurrent_call": 1,
    "max_concurrent_calls": 0,
    "bucket_replicas": 6,
    "kv": {"enable": true, "max_value_bytes": "9MiB"},
    "object_store": {"max_object_bytes": 1.5},
    "messaging": {"allow": ["a b", "{tenant}.>"], "request_timeout_ms": 0},
    "http": {"allow_hosts": ["http://a"], "allow_networks": ["10.0.0.0"], "max_redirects": 99},
    "https": {}
  },
  "kv": {}
}"#
    )));
    insta::assert_snapshot!(said(load(r#"{"host_services": {"htpp": {"enabled": false}}}"#)));
}

#[test]
fn flags_say_that_they_are_flags() {
    let overrides = Overrides {
        pool_size: Some(100_000),
        node_name: Some("\u{7}".to_owned()),
        ..Overrides::default()
    };
    insta::assert_snapshot!(said(flags(&overrides)));
}

#[test]
fn broken_json_is_pointed_at() {
    let texts = [
        "",
        "  // nothing\n",
        "{\n  \"a\": 1\n  \"b\": 2\n}",
        "{'a': 1}",
        "{\"a\": tru}",
        "{\"machine_pool_size\": 1e999}",
        "{\"a\": \"é\", \"b\" 1}",
        "{} {}",
        "[1]",
        "\"text\"",
        "{\"a\": [",
    ];
    let all: Vec<_> =
        texts.iter().map(|text| format!("{text:?}\n  {}", said(load(text)))).collect();
    insta::assert_snapshot!(all.join("\n"));
}

#[test]
fn files_that_cannot_be_read_say_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(dir.path().join(name), bytes).unwrap();
    write("large.json", &vec![b' '; (1 << 20) + 1]);
    write("latin1.json", b"{\"node_name\": \"caf\xe9\"}");
    write("bom.json", "\u{feff}{\"sandbox\": \"process\"}".as_bytes());
    let said = |name: &str| {
        let text = said(load_file(Some(&dir.path().join(name)), &Overrides::default()));
        text.replace(dir.path().to_str().unwrap(), "DIR")
    };
    let names = ["missing.json", "large.json", "latin1.json", "."];
    let all: Vec<_> = names.iter().map(|name| said(name)).collect();
    insta::assert_snapshot!(all.join("\n"));
    assert_eq!(said("bom.json"), "");
}
