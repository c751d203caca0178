//! From an order to a running program: fetched if need be, checked, executed.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nex_protocol::nats::Delivery;
use tokio::time::Instant;

use super::{Agent, Launching, sid};
use crate::cache::{CacheError, Fetch, Outgoing, Progress};
use crate::provider::elf::{Child, ElfError, Launch, LaunchError, Linkage, Program};
use crate::session::{Artifact, Event, Kind, Order, one_line};

/// How long the object store may be silent.
const FETCH_LIMIT: Duration = Duration::from_secs(5);
/// Pause before a program whose file was still being written is tried again.
const BUSY_PAUSE: Duration = Duration::from_millis(2);
/// How long that may last: the writer closes the file within milliseconds.
const BUSY_LIMIT: Duration = Duration::from_secs(2);

/// Why a workload did not start.
#[derive(Debug, thiserror::Error)]
pub(super) enum StartError {
    #[error("the artifact cannot be fetched from the node")]
    Fetch(#[source] CacheError),
    #[error("the node's object store fell silent; deploy again")]
    Silent,
    #[error("the artifact {} cannot be opened", .0.display())]
    Open(PathBuf, #[source] io::Error),
    #[error("the artifact has {found} bytes instead of {expected}; deploy again")]
    Size { found: u64, expected: u64 },
    #[error("this is no program for this machine")]
    Elf(#[source] ElfError),
    #[error("the folder {} cannot be made", .0.display())]
    Directory(PathBuf, #[source] io::Error),
    #[error("a function is not a program")]
    Function,
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

/// An artifact on its way.
pub(super) struct Fetching {
    order: Box<Order>,
    fetch: Fetch<File>,
    path: PathBuf,
    pub(super) give_up_at: Instant,
}

impl Agent {
    /// Starts the workload, or begins to fetch it.
    pub(super) fn begin(&mut self, order: Box<Order>) -> Option<Event> {
        match &order.artifact {
            Artifact::File { path, .. } => {
                let path = path.clone();
                self.start_from(order, path)
            }
            Artifact::Cache { .. } => match self.begin_fetch(order) {
                Ok(()) => None,
                Err(error) => Some(Event::LaunchFailed { reason: error.to_line() }),
            },
        }
    }

    /// Starts the workload whose artifact is there.
    fn start_from(&mut self, order: Box<Order>, artifact: PathBuf) -> Option<Event> {
        match &order.kind {
            Kind::Native { .. } => {
                let now = Instant::now();
                let give_up_at = now + BUSY_LIMIT;
                self.launch(Launching { order, program: artifact, again_at: now, give_up_at })
            }
            Kind::Function(function) => {
                let function = function.clone();
                self.prepare(&order, function, artifact)
            }
        }
    }

    fn begin_fetch(&mut self, order: Box<Order>) -> Result<(), StartError> {
        let Artifact::Cache { size, digest } = order.artifact else { return Ok(()) };
        let path = self.home()?.join("artifact");
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o500)
            .open(&path)
            .map_err(|error| StartError::Open(path.clone(), error))?;
        let chunks = self.inbox("chunks");
        self.outbox.subscribe(&self.inbox("store"), sid::STORE);
        self.outbox.subscribe(&chunks, sid::CHUNKS);
        let (fetch, first) = Fetch::begin(order.name.as_str(), size, digest, file, chunks);
        self.send(&first);
        let give_up_at = Instant::now() + FETCH_LIMIT;
        self.fetching = Some(Fetching { order, fetch, path, give_up_at });
        Ok(())
    }

    /// Takes a message of the object store.
    pub(super) fn fetched(&mut self, message: &Delivery) -> Option<Event> {
        let fetching = self.fetching.as_mut()?;
        let progress = if message.sid == sid::CHUNKS {
            fetching.fetch.on_chunk(message)
        } else {
            fetching.fetch.on_answer(message)
        };
        match progress {
            Ok(progress) => {
                fetching.give_up_at = Instant::now() + FETCH_LIMIT;
                match progress {
                    Progress::Waiting => None,
                    Progress::Send(message) => {
                        self.send(&message);
                        None
                    }
                    Progress::Complete => {
                        // Its file is closed here: an open one could not be executed.
                        let Fetching { order, path, .. } = self.end_fetch()?;
                        self.start_from(order, path)
                    }
                }
            }
            Err(error) => self.fetch_failed(&StartError::Fetch(error)),
        }
    }

    pub(super) fn fetch_failed(&mut self, error: &StartError) -> Option<Event> {
        self.end_fetch()?;
        Some(Event::LaunchFailed { reason: error.to_line() })
    }

    pub(super) fn end_fetch(&mut self) -> Option<Fetching> {
        let fetching = self.fetching.take()?;
        self.outbox.unsubscribe(sid::STORE);
        self.outbox.unsubscribe(sid::CHUNKS);
        Some(fetching)
    }

    fn send(&self, message: &Outgoing) {
        let inbox = self.inbox("store");
        let reply = message.wants_answer.then_some(inbox.as_str());
        self.outbox.publish(&message.subject, reply, None, &message.payload);
    }

    pub(super) fn launch(&mut self, launching: Launching) -> Option<Event> {
        match self.start(&launching.order, &launching.program) {
            Ok(child) => Some(self.launched(&launching.order, child)),
            Err(StartError::Launch(LaunchError::Busy)) if Instant::now() < launching.give_up_at => {
                let again_at = Instant::now() + BUSY_PAUSE;
                self.launching = Some(Launching { again_at, ..launching });
                None
            }
            Err(error) => Some(Event::LaunchFailed { reason: error.to_line() }),
        }
    }

    fn start(&mut self, order: &Order, program: &Path) -> Result<Child, StartError> {
        let (Artifact::File { size, .. } | Artifact::Cache { size, .. }) = order.artifact;
        let Kind::Native { argv0, arguments } = &order.kind else {
            return Err(StartError::Function);
        };
        let file = open(program, size)?;
        let linkage = Program::read(&file).map_err(StartError::Elf)?;
        let directory = match &self.keeper {
            Some(keeper) => keeper.directory().to_owned(),
            None => {
                linkage.check_loader(Path::new("/")).map_err(StartError::Elf)?;
                self.working_directory()?
            }
        };
        let environment = order.environment.clone().into();
        let launch = Launch {
            program,
            name: argv0,
            arguments,
            environment: &environment,
            directory: &directory,
        };
        let Some(keeper) = &self.keeper else {
            return launch.start().map_err(StartError::Launch);
        };
        launch.start_with(keeper, &file).map_err(|error| match (error, linkage.linkage) {
            // The file itself is open: what is not there is the loader it names.
            (LaunchError::NotFound, Linkage::Dynamic { loader }) => {
                StartError::Elf(ElfError::NoLoader(loader))
            }
            (error, _) => StartError::Launch(error),
        })
    }

    /// The workload's folder: the one that the node gave, or one of its own.
    fn working_directory(&mut self) -> Result<PathBuf, StartError> {
        if let Some(given) = &self.metadata.working_directory {
            return Ok(given.clone());
        }
        let path = self.home()?.join("work");
        match make_folder(&path) {
            // Of an earlier attempt, which did not start.
            Err(StartError::Directory(_, error))
                if error.kind() == io::ErrorKind::AlreadyExists => {}
            other => other?,
        }
        Ok(path)
    }

    /// A folder for what the node gave no place for; it goes with the agent.
    pub(super) fn home(&mut self) -> Result<PathBuf, StartError> {
        if let Some(made) = &self.directory {
            return Ok(made.clone());
        }
        let name = format!("nex-{}-{}", self.metadata.id, std::process::id());
        let path = self.metadata.temporary_directory.join(name);
        make_folder(&path)?;
        self.directory = Some(path.clone());
        Ok(path)
    }
}

/// Fails if there is anything at `path`: it could be another user's trap.
fn make_folder(path: &Path) -> Result<(), StartError> {
    let made = DirBuilder::new().mode(0o700).create(path);
    made.map_err(|error| StartError::Directory(path.to_owned(), error))
}

fn open(path: &Path, expected: u64) -> Result<File, StartError> {
    let failed = |error| StartError::Open(path.to_owned(), error);
    let file = File::open(path).map_err(failed)?;
    let found = file.metadata().map_err(failed)?.len();
    if found != expected {
        return Err(StartError::Size { found, expected });
    }
    Ok(file)
}
