//! From an order to a running program.

use std::{
    fs::{DirBuilder, File},
    io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use crate::{
    provider::elf::{Child, ElfError, Launch, LaunchError, Program},
    session::{Artifact, Order, one_line},
};

use super::Agent;

/// Why a workload did not start.
#[derive(Debug, thiserror::Error)]
pub(super) enum StartError {
    #[error(
        "the artifact was offered in the node's object store only, which this agent does not read; give it a file"
    )]
    NoFile,
    #[error("the artifact {} cannot be opened", .0.display())]
    Open(PathBuf, #[source] io::Error),
    #[error("the artifact has {found} bytes instead of {expected}; deploy again")]
    Size { found: u64, expected: u64 },
    #[error("this is no program for this machine")]
    Elf(#[source] ElfError),
    #[error("the working directory {} cannot be made", .0.display())]
    Directory(PathBuf, #[source] io::Error),
    #[error("the program did not start")]
    Launch(#[source] LaunchError),
}

impl StartError {
    /// The whole chain in one line.
    pub(super) fn to_line(&self) -> String {
        match self {
            // What is inside says it all.
            Self::Launch(inner) => one_line(inner),
            other => one_line(other),
        }
    }
}

/// A program that runs.
pub(super) struct Started {
    pub(super) child: Child,
}

impl Agent {
    pub(super) fn start(&mut self, order: &Order) -> Result<Started, StartError> {
        let (path, size) = match &order.artifact {
            Artifact::File { path, size } => (path, *size),
            Artifact::Cache { .. } => return Err(StartError::NoFile),
        };
        check(path, size)?;
        let directory = self.directory()?;
        let launch = Launch {
            program: path,
            name: &order.argv0,
            arguments: &order.arguments,
            environment: &order.environment,
            directory: &directory,
        };
        Ok(Started { child: launch.start().map_err(StartError::Launch)? })
    }

    /// The workload's folder: the one that the node gave, or one of its own,
    /// which goes with the agent.
    fn directory(&mut self) -> Result<PathBuf, StartError> {
        if let Some(given) = &self.metadata.working_directory {
            return Ok(given.clone());
        }
        if let Some(made) = &self.directory {
            return Ok(made.clone());
        }
        let path = std::env::temp_dir().join(format!("nex-{}", self.metadata.id));
        DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .map_err(|error| StartError::Directory(path.clone(), error))?;
        self.directory = Some(path.clone());
        Ok(path)
    }
}

fn check(path: &Path, expected: u64) -> Result<(), StartError> {
    let open = |error| StartError::Open(path.to_owned(), error);
    let file = File::open(path).map_err(open)?;
    let found = file.metadata().map_err(open)?.len();
    if found != expected {
        return Err(StartError::Size { found, expected });
    }
    let program = Program::read(&file).map_err(StartError::Elf)?;
    program.check_loader(Path::new("/")).map_err(StartError::Elf)
}
