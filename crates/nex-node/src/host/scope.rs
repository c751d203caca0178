//! Whose call it is.

use nex_protocol::name::{Namespace, WorkloadName};

/// The namespace and workload on whose behalf host services act. Made from what the node knows of
/// a connection, never from anything that came over it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// The tenant.
    pub namespace: Namespace,
    /// The workload.
    pub workload: WorkloadName,
}

impl Scope {
    /// Bucket of the workload's keys.
    ///
    /// No two scopes share a name: a workload name has no underscore, so that the last one before
    /// the ending is where the namespace ends, whatever underscores that has.
    #[must_use]
    pub fn key_value_bucket(&self) -> String {
        format!("hs_{}_{}_kv", self.namespace, self.workload)
    }

    /// Bucket of the workload's objects; unambiguous as that of its keys.
    #[must_use]
    pub fn object_bucket(&self) -> String {
        format!("hs_{}_{}_os", self.namespace, self.workload)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scopes() -> impl Strategy<Value = Scope> {
        // Few letters, so that texts that look alike are common.
        ("[a_-]{1,8}", "[a][a-]{0,6}").prop_map(|(namespace, workload)| Scope {
            namespace: namespace.parse().unwrap(),
            workload: workload.parse().unwrap(),
        })
    }

    /// The scope that a bucket belongs to, read back from its name.
    fn owner(bucket: &str) -> Option<Scope> {
        let rest = bucket.strip_prefix("hs_")?;
        let rest = rest.strip_suffix("_kv").or_else(|| rest.strip_suffix("_os"))?;
        let (namespace, workload) = rest.rsplit_once('_')?;
        Some(Scope { namespace: namespace.parse().ok()?, workload: workload.parse().ok()? })
    }

    proptest! {
        #[test]
        fn a_bucket_names_its_owner(scope in scopes()) {
            prop_assert_eq!(owner(&scope.key_value_bucket()), Some(scope.clone()));
            prop_assert_eq!(owner(&scope.object_bucket()), Some(scope));
        }

        #[test]
        fn two_scopes_share_no_bucket(one in scopes(), other in scopes()) {
            let buckets = |scope: &Scope| [scope.key_value_bucket(), scope.object_bucket()];
            let shared = buckets(&one).iter().any(|bucket| buckets(&other).contains(bucket));
            prop_assert_eq!(shared, one == other);
        }
    }

    #[test]
    fn names_of_go_nodes_are_kept() {
        let scope =
            Scope { namespace: "default".parse().unwrap(), workload: "hostjs".parse().unwrap() };
        assert_eq!(scope.key_value_bucket(), "hs_default_hostjs_kv");
        assert_eq!(scope.object_bucket(), "hs_default_hostjs_os");
    }

    #[test]
    fn the_longest_names_make_a_name_that_nats_takes() {
        let scope = Scope {
            namespace: "n".repeat(64).parse().unwrap(),
            workload: "w".repeat(63).parse().unwrap(),
        };
        // nats-server takes 255 bytes, with `KV_` or `OBJ_` before it.
        assert!(scope.object_bucket().len() + 4 <= 255);
    }
}
