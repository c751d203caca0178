//! The one release of nats-server that Nex installs, and its checksums.

use sha2::{Digest as _, Sha256};

use super::version::ServerVersion;

/// The oldest server that Nex works with: 2.10 and 2.11 lack what the client
/// library needs for key-value buckets, or let one account purge another's data.
pub const OLDEST_VERSION: ServerVersion = ServerVersion::new(2, 12, 0);

/// The version that is installed when the machine has none.
pub const PINNED_VERSION: &str = "2.15.1";

/// Largest program file accepted from a download, in bytes (2.15.1 has 19 MB).
pub(super) const LARGEST_PROGRAM: u64 = 64 << 20;

/// What is known about the pinned release on one kind of machine.
#[derive(Debug, Clone)]
pub(super) struct Release {
    /// The wheel's platform tag, told to `pip` so that it does not guess from
    /// the C library of the machine: the program is static.
    pub(super) wheel_platform: &'static str,
    /// The same for `uv`.
    pub(super) uv_platform: &'static str,
    /// How release archives name this machine.
    pub(super) archive_machine: &'static str,
    /// SHA-256 of the program inside the wheel.
    pub(super) program: Checksum,
    /// SHA-256 of the project's own release archive, whose program is another build.
    pub(super) archive: Checksum,
}

impl Release {
    /// The pins for a machine as [`std::env::consts::ARCH`] names it.
    pub(super) fn for_machine(machine: &str) -> Option<Self> {
        match machine {
            "x86_64" => Some(Self {
                wheel_platform: "manylinux_2_28_x86_64",
                uv_platform: "x86_64-manylinux_2_28",
                archive_machine: "amd64",
                program: Checksum::pinned(
                    "dd9b8a99f78955e35108355176d2fe61269efb909698eb9fce3d5d81a70e2bda",
                ),
                archive: Checksum::pinned(
                    "bf5edc7b1ce98e885c368cb43a886eb148dc5d0551d99f3cf6141fb5e1954c70",
                ),
            }),
            "aarch64" => Some(Self {
                wheel_platform: "manylinux_2_28_aarch64",
                uv_platform: "aarch64-manylinux_2_28",
                archive_machine: "arm64",
                program: Checksum::pinned(
                    "343009a85281846edd8cf8b31227617b5d9ba068b1b09a4821179ea334345d8f",
                ),
                archive: Checksum::pinned(
                    "e2fbab4cad7d3c76e3052eb959570393c9d73ba756b70bf8e9eea61e9ae6d49c",
                ),
            }),
            _ => None,
        }
    }

    /// Name of the archive without its ending; also its folder inside.
    pub(super) fn archive_name(&self) -> String {
        format!("nats-server-v{PINNED_VERSION}-linux-{}", self.archive_machine)
    }

    /// Where the project publishes the archive.
    pub(super) fn archive_url(&self) -> String {
        let name = self.archive_name();
        format!(
            "https://github.com/nats-io/nats-server/releases/download/v{PINNED_VERSION}/{name}.tar.gz"
        )
    }
}

/// A SHA-256 in lower-case hex.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Checksum(String);

impl Checksum {
    fn pinned(hex: &str) -> Self {
        Self(hex.to_owned())
    }

    pub(super) fn of_hasher(hasher: Sha256) -> Self {
        Self(format!("{:x}", hasher.finalize()))
    }

    /// Reads everything and hashes it; the memory used is one small buffer.
    pub(super) fn of_reader(mut reader: impl std::io::Read) -> std::io::Result<Self> {
        let mut hasher = Sha256::new();
        std::io::copy(&mut reader, &mut hasher)?;
        Ok(Self::of_hasher(hasher))
    }

    /// Accepts exactly 64 lower-case hex digits, surrounded by white space at most.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        (text.len() == 64 && text.bytes().all(hex)).then(|| Self(text.to_owned()))
    }
}

impl std::fmt::Display for Checksum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pin_is_a_checksum() {
        for machine in ["x86_64", "aarch64"] {
            let release = Release::for_machine(machine).unwrap();
            for pin in [release.program, release.archive] {
                assert_eq!(Checksum::parse(&pin.to_string()), Some(pin));
            }
        }
        assert!(Release::for_machine("m68k").is_none());
    }

    #[test]
    fn a_checksum_is_64_lower_case_digits() {
        let known = Checksum::of_reader(&b"abc"[..]).unwrap();
        let text = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(known.to_string(), text);
        assert_eq!(Checksum::parse(&format!(" {text}\n")), Some(known));
        assert_eq!(Checksum::parse(&text.to_uppercase()), None);
        assert_eq!(Checksum::parse(text.strip_prefix('b').unwrap()), None);
        assert_eq!(Checksum::parse(&text.replace('b', "g")), None);
    }
}
