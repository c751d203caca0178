//! Why a `nats-server` did not start.

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

/// Why a server did not start. Each text is one line with a next step.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Another program listens on the port.
    #[error(
        "port {port} is already in use on {host}: stop the program that listens there, or choose another port"
    )]
    PortInUse {
        /// The address asked for.
        host: IpAddr,
        /// The port asked for.
        port: u16,
    },
    /// The address does not belong to this machine, or the port needs privileges.
    #[error(
        "cannot listen on {host} port {port}: choose an address of this machine and a port above 1023"
    )]
    CannotListen {
        /// The address asked for.
        host: IpAddr,
        /// The port asked for.
        port: u16,
        /// What the system said.
        source: io::Error,
    },
    /// Another server keeps its data in this folder.
    #[error("the data folder {} is in use by another nats-server: stop the node that runs it, or choose another folder", .0.display())]
    DataInUse(PathBuf),
    /// The data folder cannot be used.
    #[error("cannot use {}: free some space there, allow this user to write, or choose another data folder", path.display())]
    Data {
        /// What could not be written or read.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// An option that the server would not understand.
    #[error("the nats-server option `{name}` {rule}")]
    Option {
        /// Its name in the configuration file.
        name: &'static str,
        /// What it must be.
        rule: &'static str,
    },
    /// The system did not start the program.
    #[error("cannot run {}: check that it is a program for this machine", path.display())]
    Spawn {
        /// The program.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The program ended before it was ready.
    #[error("nats-server ended at start ({status}): {}; correct that, or look into its log {}", last(lines), log.display())]
    Ended {
        /// How it ended.
        status: ExitStatus,
        /// The last lines it printed, oldest first.
        lines: Vec<String>,
        /// The whole log.
        log: PathBuf,
    },
    /// The program runs but was not ready in time, and was killed.
    #[error("nats-server was not ready within {} s, and last said: {}; free the machine of other work and start again, or look into its log {}", deadline.as_secs(), last(lines), log.display())]
    NotReady {
        /// How long it was waited for.
        deadline: Duration,
        /// The last lines it printed, oldest first.
        lines: Vec<String>,
        /// Its log.
        log: PathBuf,
    },
    /// It was stopped, or the runtime shut down, before it was ready.
    #[error("the start of nats-server was interrupted: start it again")]
    Interrupted,
    /// It died again and again, so it is not started any more.
    #[error("nats-server ended {times} times in a row, and last said: {}; look into its log {}, then restart the node", last(lines), log.display())]
    KeepsDying {
        /// How many times in a row.
        times: u32,
        /// The last lines it printed, oldest first.
        lines: Vec<String>,
        /// Its log.
        log: PathBuf,
    },
}

/// The line that tells most: the last fatal one, else the last one.
fn last(lines: &[String]) -> &str {
    let fatal = lines.iter().rev().find(|line| line.contains("[FTL]") || line.contains("rror"));
    let line = fatal.or(lines.last()).map_or("it printed nothing", String::as_str);
    // The server's own time and process id before it say nothing here.
    line.split_once("[FTL] ").map_or(line, |(_, text)| text).trim_end_matches(['.', ':'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fatal_line_is_shown() {
        let lines = |text: &[&str]| text.iter().map(ToString::to_string).collect::<Vec<_>>();
        let log = lines(&["[1] 2026/11/24 [INF] Starting", "[1] 2026/11/24 [FTL] No luck", "bye"]);
        assert_eq!(last(&log), "No luck");
        assert_eq!(last(&lines(&["bye"])), "bye");
        assert_eq!(last(&[]), "it printed nothing");
    }
}
