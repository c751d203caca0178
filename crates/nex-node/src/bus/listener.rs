//! The sockets that agents connect to.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nex_protocol::name::WorkloadId;
use nex_protocol::nats::{ErrKind, encode_err};
use rustix::fs::Mode;
use rustix::net::{self, AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::connection::{self, Entrance};
use super::endpoint::Hub;

/// Pause after a failed `accept`: the process is out of descriptors, and trying again at once
/// would only burn the CPU that could close some.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Longest path of a Unix socket on Linux (`sun_path` less its closing zero).
const MAX_SOCKET_PATH: usize = 107;
/// Connections that may wait to be accepted.
const BACKLOG: i32 = 128;

/// Why the endpoint cannot listen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BusError {
    /// The path does not fit into a socket address.
    #[error(
        "socket path {} is longer than {MAX_SOCKET_PATH} bytes: choose a shorter state directory",
        path.display()
    )]
    PathTooLong {
        /// The path.
        path: PathBuf,
    },
    /// The folder of the socket cannot be made or looked at.
    #[error("cannot use {} for the agents' socket: check the path and its owner", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Others could put a socket of theirs in its place.
    #[error(
        "others can write to {} (mode {mode:o}): run `chmod go-w` on it or choose another folder",
        path.display()
    )]
    FolderOpen {
        /// The folder.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Something that is no socket has that name.
    #[error("{} is in the way of the agents' socket: move it away", path.display())]
    NotASocket {
        /// The path.
        path: PathBuf,
    },
    /// Somebody listens there.
    #[error("another node listens at {}: stop it or give this one another state directory", path.display())]
    InUse {
        /// The path.
        path: PathBuf,
    },
    /// The socket cannot be opened.
    #[error("cannot listen at {}", path.display())]
    Unix {
        /// The path.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The TCP address cannot be used.
    #[error(
        "cannot listen at {address} for agents: choose a free `internal_node_host` and `internal_node_port`"
    )]
    Tcp {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Too many connections have not authenticated.
    #[error("too many connections wait for authentication: try again in a few seconds")]
    TooManyStrangers,
    /// An agent of this id has a seat already.
    #[error("agent {id} is registered already: drop its seat first")]
    Duplicate {
        /// The id.
        id: WorkloadId,
    },
}

/// The socket file, removed when dropped unless it has become somebody else's.
#[derive(Debug)]
pub(super) struct UnixSocket {
    path: PathBuf,
    identity: Option<(u64, u64)>,
}

impl UnixSocket {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for UnixSocket {
    fn drop(&mut self) {
        if self.identity.is_some() && identity_of(&self.path) == self.identity {
            // Left behind it does no harm: the next node replaces it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn identity_of(path: &Path) -> Option<(u64, u64)> {
    fs::symlink_metadata(path).ok().map(|found| (found.dev(), found.ino()))
}

/// Opens the socket for local agents.
pub(super) fn open_unix(path: &Path) -> Result<(UnixSocket, UnixListener), BusError> {
    if path.as_os_str().len() > MAX_SOCKET_PATH {
        return Err(BusError::PathTooLong { path: path.to_owned() });
    }
    prepare_folder(path.parent().unwrap_or(Path::new(".")))?;
    remove_stale(path)?;
    let failed = |source| BusError::Unix { path: path.to_owned(), source };
    let listener = bind_private(path).map_err(failed)?;
    let socket = UnixSocket { path: path.to_owned(), identity: identity_of(path) };
    Ok((socket, UnixListener::from_std(listener).map_err(failed)?))
}

/// Binds and listens. The file is of mode 0600 from its first moment: on Linux it takes the mode
/// of the socket it is bound to.
fn bind_private(path: &Path) -> io::Result<std::os::unix::net::UnixListener> {
    let socket = net::socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        None,
    )?;
    rustix::fs::fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
    net::bind(&socket, &SocketAddrUnix::new(path)?)?;
    net::listen(&socket, BACKLOG)?;
    Ok(socket.into())
}

fn prepare_folder(folder: &Path) -> Result<(), BusError> {
    let failed = |source| BusError::Folder { path: folder.to_owned(), source };
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    let mode = fs::metadata(folder).map_err(failed)?.permissions().mode() & 0o7777;
    let (others_write, sticky) = (mode & 0o022 != 0, mode & 0o1000 != 0);
    if others_write && !sticky {
        return Err(BusError::FolderOpen { path: folder.to_owned(), mode });
    }
    Ok(())
}

/// Removes the socket of a node that is gone. One that somebody listens on stays.
fn remove_stale(path: &Path) -> Result<(), BusError> {
    let failed = |source| BusError::Unix { path: path.to_owned(), source };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
        Ok(found) if !found.file_type().is_socket() => {
            return Err(BusError::NotASocket { path: path.to_owned() });
        }
        Ok(_) => {}
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(failed)
        }
        // Connected, or refused for a reason that only a living listener has (a full backlog).
        Ok(_) | Err(_) => Err(BusError::InUse { path: path.to_owned() }),
    }
}

/// Opens the TCP listener and says on which port.
pub(super) async fn open_tcp(address: SocketAddr) -> Result<(SocketAddr, TcpListener), BusError> {
    let failed = |source| BusError::Tcp { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((address, listener))
}

/// Accepts local agents until shutdown.
pub(super) async fn accept_unix(hub: Arc<Hub>, listener: UnixListener) {
    let gate = Gate::new(&hub, false);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = hub.shutdown().cancelled() => return,
        };
        match accepted {
            Ok((stream, _)) => match gate.ticket() {
                Some(ticket) => {
                    let (reader, writer) = stream.into_split();
                    gate.admit(&hub, reader, writer, ticket);
                }
                None => turn_away(|words| stream.try_write(words)),
            },
            Err(error) => pause(&error).await,
        }
    }
}

/// Accepts agents over TCP until shutdown.
pub(super) async fn accept_tcp(hub: Arc<Hub>, listener: TcpListener) {
    let gate = Gate::new(&hub, hub.legacy().is_some());
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = hub.shutdown().cancelled() => return,
        };
        match accepted {
            Ok((stream, _)) => match gate.ticket() {
                Some(ticket) => {
                    // Only slower without it.
                    let _ = stream.set_nodelay(true);
                    let (reader, writer) = stream.into_split();
                    gate.admit(&hub, reader, writer, ticket);
                }
                None => turn_away(|words| stream.try_write(words)),
            },
            Err(error) => pause(&error).await,
        }
    }
}

/// Counts the connections of one listener that are nobody's yet, so that strangers on one cannot
/// shut agents out of the other.
#[derive(Debug)]
pub(super) struct Gate {
    strangers: Arc<Semaphore>,
    legacy: bool,
}

impl Gate {
    pub(super) fn new(hub: &Hub, legacy: bool) -> Self {
        Self { strangers: Arc::new(Semaphore::new(hub.limits().max_unauthenticated)), legacy }
    }

    /// A place among the strangers, if there is one.
    pub(super) fn ticket(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.strangers).try_acquire_owned().ok()
    }

    /// Serves a connection that has a ticket.
    pub(super) fn admit<R, W>(
        &self,
        hub: &Arc<Hub>,
        reader: R,
        writer: W,
        ticket: OwnedSemaphorePermit,
    ) where
        R: AsyncRead + Unpin + Send + 'static,
        W: AsyncWrite + Unpin + Send + 'static,
    {
        let entrance = Entrance { legacy: self.legacy, ticket };
        hub.tasks().spawn(connection::serve(Arc::clone(hub), reader, writer, entrance));
    }
}

/// Says why and hangs up, without waiting.
fn turn_away(write: impl FnOnce(&[u8]) -> io::Result<usize>) {
    tracing::warn!("too many connections wait for authentication; one was turned away");
    let mut words = bytes::BytesMut::new();
    encode_err(&mut words, ErrKind::MaximumConnectionsExceeded.as_str());
    // Best effort: it is closed anyway.
    let _ = write(&words);
}

async fn pause(error: &io::Error) {
    tracing::warn!(%error, "cannot accept an agent's connection");
    tokio::time::sleep(ACCEPT_PAUSE).await;
}
