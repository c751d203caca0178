//! Names and ids.

use nex_protocol::key::{KeyKind, SigningKey};
use nex_protocol::name::{NameError, Namespace, NodeId, WorkloadId, WorkloadName};
use proptest::prelude::*;

#[test]
fn namespaces_are_one_safe_token() {
    let longest = "n".repeat(64);
    for good in ["default", "a", "A-b_9", "-", "0", &longest] {
        assert_eq!(good.parse::<Namespace>().unwrap().as_str(), good);
    }
    assert_eq!("".parse::<Namespace>(), Err(NameError::NamespaceEmpty));
    assert_eq!("n".repeat(65).parse::<Namespace>(), Err(NameError::NamespaceTooLong { found: 65 }));
    for (bad, found) in
        [("a.b", '.'), ("*", '*'), (">", '>'), ("a b", ' '), ("é", 'é'), ("a\n", '\n'), ("/", '/')]
    {
        assert_eq!(bad.parse::<Namespace>(), Err(NameError::NamespaceCharacter { found }), "{bad}");
    }
    assert_eq!(Namespace::default(), *Namespace::DEFAULT);
    assert_eq!(Namespace::system(), *Namespace::SYSTEM);
    assert!(Namespace::default().is_asked_for_by("DeFault"));
    assert!(!Namespace::default().is_asked_for_by("defaults"));
}

#[test]
fn workload_names_follow_their_alphabet() {
    let longest = "w".repeat(63);
    for good in ["echo", "a", "a-1", "a--", "z9", &longest] {
        assert_eq!(good.parse::<WorkloadName>().unwrap().as_str(), good);
    }
    assert_eq!("".parse::<WorkloadName>(), Err(NameError::WorkloadEmpty));
    let long = "w".repeat(64).parse::<WorkloadName>();
    assert_eq!(long, Err(NameError::WorkloadTooLong { found: 64 }));
    for (bad, found) in [("Echo", 'E'), ("1a", '1'), ("-a", '-'), ("é", 'é'), ("*", '*')] {
        assert_eq!(bad.parse::<WorkloadName>(), Err(NameError::WorkloadStart { found }), "{bad}");
    }
    for (bad, found) in [("eCho", 'C'), ("a_b", '_'), ("a.b", '.'), ("a\n", '\n'), ("aé", 'é')] {
        let refused = bad.parse::<WorkloadName>();
        assert_eq!(refused, Err(NameError::WorkloadCharacter { found }), "{bad}");
    }
}

#[test]
fn workload_ids_are_unique_xids() {
    let ids: Vec<WorkloadId> = (0..1000).map(|_| WorkloadId::generate()).collect();
    let distinct: std::collections::HashSet<_> = ids.iter().collect();
    assert_eq!(distinct.len(), ids.len());
    for id in ids {
        assert_eq!(id.to_string().parse(), Ok(id));
        id.as_str().parse::<xid_check::Xid>().unwrap();
    }
    for bad in ["", "dc2b5j1ksdubn3v8p5a", "dc2b5j1ksdubn3v8p5agg", "dc2b5j1ksdubn3v8p5aw"] {
        assert_eq!(bad.parse::<WorkloadId>(), Err(NameError::WorkloadId), "{bad}");
    }
    assert_eq!("DC2B5J1KSDUBN3V8P5AG".parse::<WorkloadId>(), Err(NameError::WorkloadId));
    assert_eq!("dc2b5j1ksdubn3v8péé".parse::<WorkloadId>(), Err(NameError::WorkloadId));
}

/// The rules of xids, read off their definition.
mod xid_check {
    pub(super) struct Xid;

    impl std::str::FromStr for Xid {
        type Err = String;

        fn from_str(text: &str) -> Result<Self, String> {
            // 96 bits in 100: the last character has one bit of them.
            let good = text.len() == 20 && text.ends_with(['0', 'g']);
            good.then_some(Self).ok_or_else(|| text.to_owned())
        }
    }
}

#[test]
fn node_ids_are_server_keys() {
    let key = SigningKey::generate(KeyKind::Server).public();
    let id = NodeId::try_from(key).unwrap();
    assert_eq!(id.to_string(), key.to_string());
    assert_eq!(id.to_string().parse(), Ok(id));
    assert_eq!(id.public_key(), &key);
    let account = SigningKey::generate(KeyKind::Account).public();
    let refused = Err(NameError::NodeKind { found: KeyKind::Account });
    assert_eq!(NodeId::try_from(account), refused);
    assert_eq!(account.to_string().parse::<NodeId>(), refused);
    assert!(matches!("N".parse::<NodeId>(), Err(NameError::Node(_))));
}

proptest! {
    #[test]
    fn names_survive_json(namespace in "[A-Za-z0-9_-]{1,64}", workload in "[a-z][a-z0-9-]{0,62}") {
        let namespace: Namespace = namespace.parse().unwrap();
        let json = serde_json::to_string(&namespace).unwrap();
        prop_assert_eq!(serde_json::from_str::<Namespace>(&json).unwrap(), namespace);
        let workload: WorkloadName = workload.parse().unwrap();
        let json = serde_json::to_string(&workload).unwrap();
        prop_assert_eq!(serde_json::from_str::<WorkloadName>(&json).unwrap(), workload);
    }

    #[test]
    fn no_name_is_too_odd(text in ".{0,70}") {
        let _ = text.parse::<WorkloadId>();
        let _ = text.parse::<NodeId>();
        if let Ok(name) = text.parse::<Namespace>() {
            prop_assert_eq!(name.to_string(), text.as_str());
        }
        if let Ok(name) = text.parse::<WorkloadName>() {
            prop_assert_eq!(name.to_string(), text.as_str());
        }
    }
}
