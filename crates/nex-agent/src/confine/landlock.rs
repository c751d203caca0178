//! Landlock: a second wall behind the file tree, and around signals and abstract sockets.
//!
//! What is not in the tree cannot be opened anyway; this holds even if something is there that
//! should not be, and binds every later process. Kernels that know less of it do what they can,
//! which `nex doctor` tells.

use std::io;
use std::path::Path;

use landlock::{
    ABI, Access as _, AccessFs, BitFlags, CompatLevel, Compatible as _, PathBeneath, PathFd,
    Ruleset, RulesetAttr as _, RulesetCreated, RulesetCreatedAttr as _, RulesetError,
    RulesetStatus, Scope,
};
use nex_protocol::agent::namespaces::NamespaceSpec;

/// What is restricted, as far as the kernel knows it.
const FILES: ABI = ABI::V5;
const SCOPES: ABI = ABI::V6;

/// Rules that are being collected.
struct Rules(RulesetCreated);

impl Rules {
    fn begin() -> Result<Self, RulesetError> {
        let rules = Ruleset::default()
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(FILES))?
            .scope(Scope::from_all(SCOPES))?
            .create()?;
        Ok(Self(rules))
    }

    /// Allows something below a folder, or for a file. What is not there is left out.
    fn allow(self, path: &Path, rights: BitFlags<AccessFs>) -> Result<Self, RulesetError> {
        let Ok(opened) = PathFd::new(path) else { return Ok(self) };
        Ok(Self(self.0.add_rule(PathBeneath::new(opened, rights))?))
    }

    /// Answers how much of it the kernel knows.
    fn restrict(self) -> io::Result<&'static str> {
        let restricted = self.0.restrict_self().map_err(io::Error::other)?;
        Ok(match restricted.ruleset {
            RulesetStatus::FullyEnforced => "full",
            RulesetStatus::PartiallyEnforced => "partial",
            RulesetStatus::NotEnforced => "none",
        })
    }
}

fn look() -> BitFlags<AccessFs> {
    AccessFs::ReadFile | AccessFs::ReadDir
}

/// Everything that may be done with files, but nothing that makes devices.
fn keep_files() -> BitFlags<AccessFs> {
    let devices = AccessFs::MakeChar | AccessFs::MakeBlock | AccessFs::IoctlDev;
    AccessFs::from_all(FILES) & !devices
}

/// For the agent, in its tree. Answers how much of it the kernel knows.
pub(super) fn bound_agent(spec: &NamespaceSpec) -> io::Result<&'static str> {
    let rules = || {
        let mut rules = Rules::begin()?
            .allow(Path::new("/"), look())?
            .allow(Path::new("/dev"), look() | AccessFs::WriteFile)?
            .allow(Path::new("/tmp"), keep_files() & !AccessFs::Execute)?;
        for path in spec.artifacts.iter().chain([&spec.agent]) {
            rules = rules.allow(Path::new(path), look() | AccessFs::Execute)?;
        }
        Ok::<_, RulesetError>(rules)
    };
    rules().map_err(io::Error::other)?.restrict()
}

/// Rules for keeper and workload, begun while the artifacts can still be named.
pub(super) struct WorkloadRules(Rules);

impl WorkloadRules {
    /// To be called in the host's tree: programs are executed from the artifacts' folders, which
    /// the workload's tree does not have.
    pub(super) fn begin(spec: &NamespaceSpec) -> io::Result<Self> {
        let mut rules = Rules::begin().map_err(io::Error::other)?;
        for folder in &spec.artifacts {
            let rights = AccessFs::ReadFile | AccessFs::Execute;
            rules = rules.allow(Path::new(folder), rights).map_err(io::Error::other)?;
        }
        Ok(Self(rules))
    }

    /// To be called in the workload's tree.
    pub(super) fn restrict(self, writable: &[&str]) -> io::Result<()> {
        let rules = || {
            let mut rules = self
                .0
                .allow(Path::new("/"), look() | AccessFs::Execute)?
                .allow(Path::new("/dev"), look() | AccessFs::WriteFile)?
                // A thread may name itself and others of its process there.
                .allow(Path::new("/proc"), look() | AccessFs::WriteFile | AccessFs::Truncate)?;
            for folder in writable {
                rules = rules.allow(Path::new(folder), keep_files())?;
            }
            Ok::<_, RulesetError>(rules)
        };
        rules().map_err(io::Error::other)?.restrict().map(drop)
    }
}
