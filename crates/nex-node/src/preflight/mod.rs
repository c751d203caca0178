//! What this machine has for sandboxes, and what to do about what it lacks. Nothing is inferred
//! where it can be tried: the sandbox is made, the cgroup is made, both are removed again.

mod machine;
mod settings;

use std::path::Path;

pub(crate) use settings::remedy_for_namespaces;

use crate::{
    config::Config,
    nats_server::{Binary, Places},
    sandbox::{
        NamespaceDriver,
        agent_image::agent_image,
        namespace::{CgroupSupport, Cgroups},
    },
};

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// As it should be.
    Good,
    /// Nex works, with less than the machine could give.
    Weak,
    /// Something that was asked for does not work.
    Missing,
}

impl Verdict {
    /// One word for lists and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Weak => "weak",
            Self::Missing => "missing",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What: `namespaces`, `cgroup`, …
    pub subject: &'static str,
    /// How it stands.
    pub verdict: Verdict,
    /// What was found, in words.
    pub found: String,
    /// What to do, if something should be.
    pub remedy: Option<String>,
}

impl Finding {
    fn good(subject: &'static str, found: impl Into<String>) -> Self {
        Self { subject, verdict: Verdict::Good, found: found.into(), remedy: None }
    }

    fn weak(subject: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        let remedy = Some(remedy.into());
        Self { subject, verdict: Verdict::Weak, found: found.into(), remedy }
    }

    fn missing(subject: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        let remedy = Some(remedy.into());
        Self { subject, verdict: Verdict::Missing, found: found.into(), remedy }
    }
}

/// Looks at this machine for a node of this configuration. Takes some ten milliseconds and leaves
/// nothing behind.
pub async fn examine(config: &Config) -> Vec<Finding> {
    let folder = tempfile::Builder::new().prefix("nex-doctor-").tempdir();
    let mut findings = vec![machine::kernel()];
    match &folder {
        Ok(folder) => findings.extend(sandbox(config, folder.path()).await),
        Err(error) => findings.push(Finding::missing(
            "namespaces",
            format!("a folder to try them in cannot be made: {error}"),
            "set TMPDIR to a folder you may write",
        )),
    }
    findings.push(machine::users());
    findings.push(machine::seccomp());
    findings.push(machine::kvm());
    findings.push(nats_server().await);
    findings.push(machine::disk(config));
    findings.push(machine::clock());
    findings
}

async fn sandbox(config: &Config, folder: &Path) -> Vec<Finding> {
    let subject = "namespaces";
    let agent = match agent_image().materialize(folder) {
        Ok(agent) => agent,
        Err(error) => {
            return vec![Finding::missing(subject, error.to_string(), "install nex anew")];
        }
    };
    let cgroups = Cgroups::open(folder);
    let cgroup = cgroup(cgroups.support());
    let driver = NamespaceDriver::new(agent, Vec::new(), config.namespace.clone(), cgroups);
    let probed = match &driver {
        Ok(driver) => driver.probe(folder).await.map_err(|error| crate::error_chain(&error)),
        Err(error) => Err(error.to_string()),
    };
    match probed {
        Ok(facts) => vec![
            Finding::good(subject, "a sandbox was made and ended"),
            machine::landlock(facts.landlock.as_deref()),
            cgroup,
        ],
        Err(error) => vec![Finding::missing(subject, error, remedy_for_namespaces()), cgroup],
    }
}

fn cgroup(support: &CgroupSupport) -> Finding {
    let subject = "cgroup";
    let wanted = ["memory", "pids", "cpu"];
    let (version, controllers) = match support {
        CgroupSupport::V2(controllers) => (2, controllers),
        CgroupSupport::V1(controllers) => (1, controllers),
        CgroupSupport::None { why } => {
            let weaker = "memory is watched by the agent ten times a second, processors are not \
                          limited, processes are counted per user";
            return Finding::weak(
                subject,
                format!("{why}; {weaker}"),
                "run the node as root, or give it a group of its own: \
                 systemd-run --user --scope -p Delegate=yes nex node up",
            );
        }
    };
    let found = format!("version {version}, {}", controllers.join(", "));
    let lacks = |name: &&str| controllers.iter().all(|has| has != name);
    let lacking: Vec<&str> = wanted.into_iter().filter(lacks).collect();
    if lacking.is_empty() {
        return Finding::good(subject, found);
    }
    let remedy = format!("enable the controllers {} for the node's group", lacking.join(", "));
    Finding::weak(subject, found, remedy)
}

async fn nats_server() -> Finding {
    let subject = "nats-server";
    let places = Places::from_variables(crate::config::variable);
    match Binary::locate(&places).await {
        Ok(binary) => {
            Finding::good(subject, format!("{} {}", binary.path().display(), binary.version()))
        }
        Err(error) => Finding::weak(
            subject,
            crate::error_chain(&error),
            "nothing, if the node connects to a NATS system; nex node up --with-nats gets one",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_weaker_is_said() {
        let all = ["memory", "pids", "cpu"].map(str::to_owned).to_vec();
        assert_eq!(cgroup(&CgroupSupport::V2(all.clone())).verdict, Verdict::Good);
        let two = cgroup(&CgroupSupport::V1(vec!["memory".to_owned(), "cpu".to_owned()]));
        assert_eq!(two.verdict, Verdict::Weak);
        assert!(two.remedy.unwrap().contains("pids"));
        let none = cgroup(&CgroupSupport::None { why: "not delegated".to_owned() });
        assert!(none.found.contains("not delegated") && none.found.contains("watched"));
    }

    #[tokio::test]
    async fn every_finding_that_is_not_good_has_a_remedy() {
        let config = Config::builder().build().unwrap();
        for finding in examine(&config).await {
            let fine = finding.verdict == Verdict::Good;
            assert_eq!(fine, finding.remedy.is_none(), "{finding:?}");
            assert!(!finding.found.is_empty(), "{finding:?}");
        }
    }
}
