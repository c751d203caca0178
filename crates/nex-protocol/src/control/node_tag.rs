//! The tags a node gives itself, beside those of its configuration.

use std::fmt;

/// A tag that nodes set themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NodeTag {
    /// Operating system, by Go's name: see [`go_os`].
    Os,
    /// Processor architecture, by Go's name: see [`go_arch`].
    Arch,
    /// Number of processors.
    CpuCount,
    /// `true` when workloads run without a sandbox; absent otherwise.
    Unsafe,
    /// `true` once the node takes no more workloads; absent before.
    LameDuck,
    /// Name of the node; made of two words when its operator sets none.
    NodeName,
}

impl NodeTag {
    /// All tags that nodes set themselves.
    pub const ALL: [Self; 6] =
        [Self::Os, Self::Arch, Self::CpuCount, Self::Unsafe, Self::LameDuck, Self::NodeName];

    /// The name of the tag on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Os => "nex.os",
            Self::Arch => "nex.arch",
            Self::CpuCount => "nex.cpucount",
            Self::Unsafe => "nex.unsafe",
            Self::LameDuck => "nex.lameduck",
            Self::NodeName => "node_name",
        }
    }
}

impl fmt::Display for NodeTag {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

/// Go's name (`GOARCH`) of an architecture named as in [`std::env::consts::ARCH`]. Names without
/// a counterpart are taken as they are.
#[must_use]
pub fn go_arch(arch: &str) -> &str {
    match arch {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        "loongarch64" => "loong64",
        "powerpc64" if cfg!(target_endian = "little") => "ppc64le",
        "powerpc64" => "ppc64",
        other => other,
    }
}

/// Go's name (`GOOS`) of a system named as in [`std::env::consts::OS`]. Names without a
/// counterpart are taken as they are.
#[must_use]
pub fn go_os(os: &str) -> &str {
    match os {
        "macos" => "darwin",
        other => other,
    }
}
