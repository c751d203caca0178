use nex_protocol::control::{NodeTag, WorkloadPingQuery, WorkloadType, go_arch, go_os};

use crate::vectors::{file, section, text};

#[test]
fn workload_pings_match_like_go() {
    let file = file("control.json");
    let matching = &file["workload_ping_matching"];
    let workloads = section(matching, "workloads");
    for query in section(matching, "queries") {
        let given = |name| Some(text(query, name)).filter(|text| !text.is_empty());
        let asked =
            WorkloadPingQuery { namespace: given("namespace"), workload: given("workload") };
        let matches: Vec<&str> = workloads
            .iter()
            .filter(|w| asked.matches(text(w, "id"), text(w, "namespace"), text(w, "name")))
            .map(|workload| text(workload, "id"))
            .collect();
        assert_eq!(serde_json::json!(matches), query["matches"], "{query}");
    }
}

#[test]
fn tags_have_the_names_of_go() {
    let file = file("control.json");
    let tags = &file["constants"]["tags"];
    for (name, tag) in ["os", "arch", "cpus", "unsafe", "lameduck"].iter().zip(NodeTag::ALL) {
        assert_eq!(tags[name], tag.as_str());
    }
    assert_eq!(NodeTag::NodeName.to_string(), "node_name");
    assert_eq!(
        (go_arch("x86_64"), go_arch("aarch64"), go_arch("s390x")),
        ("amd64", "arm64", "s390x")
    );
    assert_eq!((go_os("linux"), go_os("macos")), ("linux", "darwin"));
}

#[test]
fn types_have_aliases() {
    for (text, expected) in [
        ("elf", WorkloadType::Elf),
        ("native", WorkloadType::Elf),
        ("v8", WorkloadType::V8),
        ("V8", WorkloadType::V8),
        ("js", WorkloadType::V8),
        ("javascript", WorkloadType::V8),
        ("wasm", WorkloadType::Wasm),
        ("oci", WorkloadType::Oci),
    ] {
        assert_eq!(text.parse::<WorkloadType>().unwrap(), expected);
    }
    for text in ["", "elf ", "exe", "w\u{e4}sm"] {
        assert!(text.parse::<WorkloadType>().is_err());
    }
    for kind in WorkloadType::ALL {
        assert_eq!(kind.to_string().parse::<WorkloadType>().unwrap(), kind);
    }
}
