//! From what a person types to one node or one workload.
//!
//! A full id or a full name goes before the start of one. Names and the ids of
//! nodes are compared without regard to case.

use std::collections::BTreeMap;
use std::fmt;

use nex_protocol::control::{NodeTag, PingResponse};
use nex_protocol::name::{NameError, Namespace, NodeId, WorkloadId};
use thiserror::Error;

use super::DiscoveryError;
use super::workloads::{FoundWorkload, WorkloadFilter};
use crate::client::Client;
use crate::request::RequestError;

/// Most candidates that an error message lists.
const MAX_LISTED: usize = 8;

/// One of several that were possible.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Candidate {
    /// Its id.
    pub id: String,
    /// Its name, if it has one.
    pub name: Option<String>,
    /// The node it runs on, for a workload.
    pub node_id: Option<String>,
}

/// A node that exists.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ResolvedNode {
    /// Its id.
    pub id: NodeId,
    /// Its answer to the ping that found it.
    pub ping: PingResponse,
}

/// A workload that runs.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ResolvedWorkload {
    /// Its id.
    pub id: WorkloadId,
    /// Its namespace.
    pub namespace: Namespace,
    /// Its name, as the node says it.
    pub name: String,
    /// Its type, as the node says it.
    pub workload_type: String,
    /// The node it runs on.
    pub node: NodeId,
}

/// Why a text does not name one node or workload.
#[derive(Debug, Error)]
pub enum ResolveError {
    /// No node at all.
    #[error("no node answers: start one with `nex node up`")]
    NoNodes,
    /// Nodes, but not that one.
    #[error("no node is called {text:?}: there is {}", Listed(candidates))]
    NoSuchNode {
        /// What was asked for.
        text: String,
        /// What there is.
        candidates: Vec<Candidate>,
    },
    /// Several nodes fit.
    #[error("{text:?} could be several nodes, say more of it: {}", Listed(candidates))]
    AmbiguousNode {
        /// What was asked for.
        text: String,
        /// What fits.
        candidates: Vec<Candidate>,
    },
    /// No node was named and there are several.
    #[error("there are several nodes, name one of them: {}", Listed(candidates))]
    SeveralNodes {
        /// All of them.
        candidates: Vec<Candidate>,
    },
    /// Nothing of that name runs.
    #[error("no workload called {text:?} runs{}: `nex ps` lists those that do", Inside(namespace))]
    NoSuchWorkload {
        /// What was asked for.
        text: String,
        /// Where it was looked for.
        namespace: Option<Namespace>,
    },
    /// Several workloads fit.
    #[error("{text:?} could be several workloads, give the id of one: {}", Listed(candidates))]
    AmbiguousWorkload {
        /// What was asked for.
        text: String,
        /// What fits.
        candidates: Vec<Candidate>,
    },
    /// The node's answer names something by an impossible id.
    #[error("a node answered with an id or namespace that is none: check what answers there")]
    BadName(#[source] NameError),
    /// The nodes could not be asked.
    #[error(transparent)]
    Discovery(#[from] DiscoveryError),
    /// The node named by its full id did not answer properly.
    #[error(transparent)]
    Request(#[from] RequestError),
}

impl Client {
    /// Finds the node that a text means: its id, its name, or the start of
    /// either. Without a text, the only node there is.
    pub async fn resolve_node(&self, text: Option<&str>) -> Result<ResolvedNode, ResolveError> {
        // A full id needs no search.
        if let Some(id) = text.and_then(|text| text.parse::<NodeId>().ok()) {
            let ping = self.ping_node(id).await?;
            return Ok(ResolvedNode { id, ping });
        }
        let ping = choose_node(self.nodes().await?, text)?;
        let id = ping.node_id.parse().map_err(ResolveError::BadName)?;
        Ok(ResolvedNode { id, ping })
    }

    /// Finds the running workload that a text means: its id, its name, or the
    /// start of either; in one namespace or in all, on one node or on all.
    pub async fn resolve_workload(
        &self,
        text: &str,
        namespace: Option<&Namespace>,
        node: Option<NodeId>,
    ) -> Result<ResolvedWorkload, ResolveError> {
        let filter =
            namespace.cloned().map_or_else(WorkloadFilter::all, WorkloadFilter::in_namespace);
        let mut running = self.workloads(&filter).await?;
        if let Some(node) = node {
            let node = node.to_string();
            running.retain(|workload| workload.node_id == node);
        }
        let found = choose_workload(running, text, namespace)?;
        Ok(ResolvedWorkload {
            id: found.id.parse().map_err(ResolveError::BadName)?,
            namespace: found.namespace.parse().map_err(ResolveError::BadName)?,
            node: found.node_id.parse().map_err(ResolveError::BadName)?,
            name: found.name,
            workload_type: found.workload_type,
        })
    }
}

/// The name that the tags of a node tell.
pub(super) fn node_name(tags: &BTreeMap<String, String>) -> Option<&str> {
    tags.get(NodeTag::NodeName.as_str()).map(String::as_str).filter(|name| !name.is_empty())
}

/// How well a text fits an id and a name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    Start,
    WholeName,
    WholeId,
}

fn fit(text: &str, id: &str, name: Option<&str>) -> Option<Fit> {
    let starts =
        |whole: &str| whole.get(..text.len()).is_some_and(|start| start.eq_ignore_ascii_case(text));
    if id.eq_ignore_ascii_case(text) {
        Some(Fit::WholeId)
    } else if name.is_some_and(|name| name.eq_ignore_ascii_case(text)) {
        Some(Fit::WholeName)
    } else if !text.is_empty() && (starts(id) || name.is_some_and(starts)) {
        Some(Fit::Start)
    } else {
        None
    }
}

/// Those that fit best.
fn best<T>(all: Vec<T>, fit_of: impl Fn(&T) -> Option<Fit>) -> Vec<T> {
    let top = all.iter().filter_map(&fit_of).max();
    all.into_iter().filter(|one| top.is_some() && fit_of(one) == top).collect()
}

fn choose_node(nodes: Vec<PingResponse>, text: Option<&str>) -> Result<PingResponse, ResolveError> {
    let candidates = |nodes: &[PingResponse]| nodes.iter().map(Candidate::of_node).collect();
    if nodes.is_empty() {
        return Err(ResolveError::NoNodes);
    }
    let all = candidates(&nodes);
    let mut fitting = match text {
        None => nodes,
        Some(text) => best(nodes, |node| fit(text, &node.node_id, node_name(&node.tags))),
    };
    match (fitting.pop(), text) {
        (Some(only), _) if fitting.is_empty() => Ok(only),
        (Some(last), text) => {
            fitting.push(last);
            let candidates = candidates(&fitting);
            Err(match text {
                None => ResolveError::SeveralNodes { candidates },
                Some(text) => ResolveError::AmbiguousNode { text: text.to_owned(), candidates },
            })
        }
        (None, text) => Err(ResolveError::NoSuchNode {
            text: text.unwrap_or_default().to_owned(),
            candidates: all,
        }),
    }
}

fn choose_workload(
    running: Vec<FoundWorkload>,
    text: &str,
    namespace: Option<&Namespace>,
) -> Result<FoundWorkload, ResolveError> {
    let mut fitting = best(running, |found| fit(text, &found.id, Some(&found.name)));
    match fitting.pop() {
        Some(only) if fitting.is_empty() => Ok(only),
        Some(last) => {
            fitting.push(last);
            Err(ResolveError::AmbiguousWorkload {
                text: text.to_owned(),
                candidates: fitting.iter().map(Candidate::of_workload).collect(),
            })
        }
        None => Err(ResolveError::NoSuchWorkload {
            text: text.to_owned(),
            namespace: namespace.cloned(),
        }),
    }
}

impl Candidate {
    fn of_node(node: &PingResponse) -> Self {
        Self {
            id: node.node_id.clone(),
            name: node_name(&node.tags).map(str::to_owned),
            node_id: None,
        }
    }

    fn of_workload(found: &FoundWorkload) -> Self {
        Self {
            id: found.id.clone(),
            name: Some(found.name.clone()),
            node_id: Some(found.node_id.clone()),
        }
    }
}

impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Ids come from peers: a control character must not reach a terminal.
        write!(f, "{}", self.id.escape_debug())?;
        if let Some(name) = &self.name {
            write!(f, " ({})", name.escape_debug())?;
        }
        Ok(())
    }
}

struct Listed<'a>(&'a [Candidate]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, candidate) in self.0.iter().take(MAX_LISTED).enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{candidate}")?;
        }
        match self.0.len().saturating_sub(MAX_LISTED) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

struct Inside<'a>(&'a Option<Namespace>);

impl fmt::Display for Inside<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(namespace) => write!(f, " in the namespace {namespace}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(id: &str, name: &str) -> PingResponse {
        let mut tags = BTreeMap::new();
        if !name.is_empty() {
            tags.insert("node_name".to_owned(), name.to_owned());
        }
        PingResponse { node_id: id.into(), tags, ..PingResponse::default() }
    }

    fn pick(text: Option<&str>) -> Result<String, String> {
        let nodes = vec![node("NABC", "quiet-river"), node("NABD", "quiet"), node("NXYZ", "")];
        choose_node(nodes, text).map(|node| node.node_id).map_err(|error| error.to_string())
    }

    #[test]
    fn nodes_are_found_by_id_name_and_start_of_either() {
        assert_eq!(pick(Some("NABC")).unwrap(), "NABC");
        assert_eq!(pick(Some("nx")).unwrap(), "NXYZ");
        assert_eq!(pick(Some("quiet-")).unwrap(), "NABC");
        // A whole name goes before the start of another.
        assert_eq!(pick(Some("QUIET")).unwrap(), "NABD");
        assert_eq!(
            pick(Some("NAB")).unwrap_err(),
            "\"NAB\" could be several nodes, say more of it: NABC (quiet-river), NABD (quiet)"
        );
        assert!(pick(Some("z")).unwrap_err().starts_with("no node is called \"z\": there is NABC"));
        assert!(pick(Some("é")).is_err());
        assert!(pick(Some("")).is_err());
        assert!(pick(None).unwrap_err().starts_with("there are several nodes"));
        assert_eq!(choose_node(vec![node("N1", "")], None).unwrap().node_id, "N1");
        assert!(matches!(choose_node(vec![], Some("x")), Err(ResolveError::NoNodes)));
    }

    #[test]
    fn workloads_are_found_by_id_name_and_start_of_either() {
        let running = |names: &[(&str, &str)]| -> Vec<FoundWorkload> {
            names
                .iter()
                .map(|(id, name)| FoundWorkload {
                    namespace: "default".into(),
                    name: (*name).into(),
                    id: (*id).into(),
                    workload_type: "elf".into(),
                    node_id: "N".into(),
                    node_name: None,
                })
                .collect()
        };
        let all = running(&[("coh1", "echo"), ("coh2", "echo"), ("dab3", "echoes")]);
        let pick = |text: &str| choose_workload(all.clone(), text, None).map(|found| found.id);
        assert_eq!(pick("coh1").unwrap(), "coh1");
        assert_eq!(pick("echoe").unwrap(), "dab3");
        assert!(
            matches!(pick("echo"), Err(ResolveError::AmbiguousWorkload { candidates, .. }) if candidates.len() == 2)
        );
        assert!(matches!(pick("coh"), Err(ResolveError::AmbiguousWorkload { .. })));
        assert!(matches!(pick("nope"), Err(ResolveError::NoSuchWorkload { .. })));
    }

    #[test]
    fn long_lists_are_cut_and_cleaned() {
        let nodes: Vec<_> = (0..20).map(|n| node(&format!("N{n}\u{1b}[31m"), "")).collect();
        let error = choose_node(nodes, None).unwrap_err().to_string();
        assert!(error.ends_with("and 12 more"), "{error}");
        assert!(!error.contains('\u{1b}'), "{error}");
    }
}
