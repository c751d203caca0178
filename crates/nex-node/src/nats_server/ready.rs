//! Knowing when a server listens, and where: it writes a *ports file* then.
//!
//! The file is `{"nats":["nats://127.0.0.1:4222"],…}` in the folder given by
//! `ports_file_dir`. inotify tells when it is written, so nothing polls.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::inotify;
use tokio::io::unix::AsyncFd;

/// Largest ports file that is read, in bytes.
const LARGEST: u64 = 64 << 10;

/// A watch on the folder of the ports file, made before the server starts.
pub(super) struct PortsFile {
    folder: PathBuf,
    watch: AsyncFd<OwnedFd>,
}

impl PortsFile {
    /// Clears what an earlier server left in `folder` and watches it.
    #[allow(unsafe_code, reason = "tokio asks for it: see the comment at the call")]
    pub(super) fn watch(folder: &Path) -> io::Result<Self> {
        match fs::remove_dir_all(folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => fs::create_dir(folder)?,
        }
        let watch = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
        let wanted = inotify::WatchFlags::CLOSE_WRITE | inotify::WatchFlags::MOVED_TO;
        inotify::add_watch(&watch, folder, wanted)?;
        // SAFETY: an `OwnedFd` stays open and the same for as long as it lives,
        // and it lives inside the `AsyncFd`, which gives it out by shared reference only.
        let watch = unsafe { AsyncFd::register(watch)? };
        Ok(Self { folder: folder.to_owned(), watch })
    }

    /// Waits until the server listens; its client port. Safe to cancel.
    pub(super) async fn port(&self) -> io::Result<u16> {
        loop {
            if let Some(port) = self.read() {
                return Ok(port);
            }
            let mut ready = self.watch.readable().await?;
            let mut buffer = [MaybeUninit::uninit(); 1024];
            // Which file it was does not matter: there is only one to come.
            match inotify::Reader::new(&self.watch, &mut buffer).next() {
                Err(rustix::io::Errno::AGAIN) => ready.clear_ready(),
                Err(error) => return Err(error.into()),
                Ok(_) => {}
            }
        }
    }

    fn read(&self) -> Option<u16> {
        let path = fs::read_dir(&self.folder).ok()?.flatten().next()?.path();
        let mut text = String::new();
        File::open(path).ok()?.take(LARGEST).read_to_string(&mut text).ok()?;
        client_port(&text)
    }
}

/// The port of the first client URL; `None` while the file is incomplete.
fn client_port(text: &str) -> Option<u16> {
    let ports: serde_json::Value = serde_json::from_str(text).ok()?;
    let url = ports.get("nats")?.get(0)?.as_str()?;
    url.rsplit_once(':')?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_client_port_is_read() {
        let real = r#"{"nats":["nats://127.0.0.1:40123"],"cluster":["nats://0.0.0.0:6222"]}"#;
        assert_eq!(client_port(real), Some(40123));
        assert_eq!(client_port(r#"{"nats":["tls://[::1]:4222"]}"#), Some(4222));
        for wrong in ["", "{", "[]", r#"{"nats":[]}"#, r#"{"nats":["nats://x:99999"]}"#] {
            assert_eq!(client_port(wrong), None, "{wrong}");
        }
    }

    #[tokio::test]
    async fn it_wakes_when_the_file_is_complete() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("ports");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("stale.ports"), r#"{"nats":["nats://127.0.0.1:1"]}"#).unwrap();
        let ports = PortsFile::watch(&folder).unwrap();
        let file = folder.join("nats-server_1.ports");
        fs::write(&file, "{").unwrap();
        let pending = tokio::time::timeout(Duration::from_millis(50), ports.port()).await;
        assert!(pending.is_err(), "half a file is not an answer");
        let write = async { fs::write(&file, r#"{"nats":["nats://127.0.0.1:77"]}"#).unwrap() };
        let (port, ()) = tokio::join!(ports.port(), write);
        assert_eq!(port.unwrap(), 77);
    }
}
