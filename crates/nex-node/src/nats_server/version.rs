//! Version numbers of nats-server.

use std::fmt;

/// `major.minor.patch`; what follows a `-` (a pre-release) is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServerVersion {
    major: u32,
    minor: u32,
    patch: u32,
}

impl ServerVersion {
    /// A version from its three numbers.
    #[must_use]
    pub const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self { major, minor, patch }
    }

    /// Reads what `nats-server --version` prints: `nats-server: v2.15.1`.
    #[must_use]
    pub fn from_output(text: &str) -> Option<Self> {
        let (_, number) = text.lines().next()?.trim().rsplit_once(": v")?;
        let number = number.split_once(['-', '+']).map_or(number, |(release, _)| release);
        let mut parts = number.split('.').map(str::parse);
        let version = Self::new(parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?);
        parts.next().is_none().then_some(version)
    }
}

impl fmt::Display for ServerVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_of_real_servers() {
        let read = ServerVersion::from_output;
        assert_eq!(read("nats-server: v2.15.1\n"), Some(ServerVersion::new(2, 15, 1)));
        assert_eq!(read("nats-server: v2.9.10"), Some(ServerVersion::new(2, 9, 10)));
        assert_eq!(read("nats-server: v2.12.0-RC.1"), Some(ServerVersion::new(2, 12, 0)));
        for wrong in ["", "v2.15.1", "nats-server: v2.15", "nats-server: v2.15.1.0", "gnatsd: vx"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
        assert!(ServerVersion::new(2, 9, 10) < super::super::OLDEST_VERSION);
    }
}
