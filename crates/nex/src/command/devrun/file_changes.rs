//! Knowing when a file was saved, however the editor or the compiler does it:
//! written in place, moved into place, its folder made anew, or a link to it set.
//!
//! inotify watches folders, not the file: a file that is replaced is another one
//! under the same name. What is written in several steps counts once, when
//! nothing more happens for a moment.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::inotify::{self, ReadFlags, WatchFlags};
use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, timeout_at};

/// A save is over when nothing happened for so long.
const QUIET: Duration = Duration::from_millis(100);

/// A file that is written without a pause is looked at after this time all the same.
const LONGEST_SAVE: Duration = Duration::from_secs(2);

/// What is watched for in a folder.
const WANTED: WatchFlags = WatchFlags::CLOSE_WRITE
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::CREATE)
    .union(WatchFlags::ONLYDIR);

/// A watch on one file.
pub(super) struct FileChanges {
    file: PathBuf,
    inotify: AsyncFd<OwnedFd>,
    /// What counts in which watched folder.
    names: HashMap<i32, Vec<OsString>>,
}

impl FileChanges {
    /// Watches `file` from now on.
    #[allow(unsafe_code, reason = "tokio asks for it: see the comment at the call")]
    pub(super) fn watch(file: &Path) -> io::Result<Self> {
        let file = std::path::absolute(file)?;
        let inotify =
            inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
        // SAFETY: an `OwnedFd` stays open and the same for as long as it lives,
        // and it lives inside the `AsyncFd`, which gives it out by shared reference only.
        let inotify = unsafe { AsyncFd::register(inotify)? };
        let mut changes = Self { file, inotify, names: HashMap::new() };
        changes.watch_folders();
        if changes.names.is_empty() {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(changes)
    }

    /// Watches all folders on the way that are there; those that are watched stay so.
    fn watch_folders(&mut self) {
        self.names.clear();
        for (folder, name) in places(&self.file) {
            if let Ok(watch) = inotify::add_watch(self.inotify.get_ref(), &folder, WANTED) {
                let names = self.names.entry(watch).or_default();
                if !names.contains(&name) {
                    names.push(name);
                }
            }
        }
    }

    /// Waits until the file was saved. Safe to cancel.
    pub(super) async fn saved(&mut self) -> io::Result<()> {
        loop {
            self.touched().await?;
            self.quiet().await?;
            // One that was removed is not saved yet.
            if self.file.exists() {
                return Ok(());
            }
        }
    }

    /// Waits until nothing happens any more, though not for ever.
    async fn quiet(&mut self) -> io::Result<()> {
        let latest = Instant::now() + LONGEST_SAVE;
        loop {
            let quiet = (Instant::now() + QUIET).min(latest);
            match timeout_at(quiet, self.touched()).await {
                Ok(touched) => touched?,
                Err(_) => return Ok(()),
            }
        }
    }

    /// Waits for anything that may be a part of a save.
    async fn touched(&mut self) -> io::Result<()> {
        loop {
            let mut ready = self.inotify.readable().await?;
            let touched = match read(self.inotify.get_ref(), &self.names) {
                Ok(touched) => touched,
                Err(error) => return Err(error.into()),
            };
            ready.clear_ready();
            if touched {
                // A folder or a link on the way may be another one now.
                self.watch_folders();
                return Ok(());
            }
        }
    }
}

/// Reads all events that wait; whether one of them counts.
fn read(fd: &OwnedFd, names: &HashMap<i32, Vec<OsString>>) -> rustix::io::Result<bool> {
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut reader = inotify::Reader::new(fd, &mut buffer);
    let mut touched = false;
    loop {
        match reader.next() {
            Ok(event) => touched |= counts(&event, names),
            Err(rustix::io::Errno::AGAIN) => return Ok(touched),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
}

fn counts(event: &inotify::Event<'_>, names: &HashMap<i32, Vec<OsString>>) -> bool {
    let what = event.events();
    // Events were lost, or a folder is not watched any more because it is gone.
    if what.intersects(ReadFlags::QUEUE_OVERFLOW | ReadFlags::IGNORED) {
        return true;
    }
    let Some(name) = event.file_name().map(|name| OsStr::from_bytes(name.to_bytes())) else {
        return false;
    };
    names.get(&event.wd()).is_some_and(|names| names.iter().any(|known| known == name))
}

/// The folders to watch, each with the name that counts in it: of the file, of
/// what it links to, and of the folders that both are in.
fn places(file: &Path) -> Vec<(PathBuf, OsString)> {
    let mut places = Vec::new();
    let target = std::fs::canonicalize(file).ok();
    for path in [Some(file.to_owned()), target].into_iter().flatten() {
        let folder = path.parent().map(Path::to_owned);
        for path in [Some(path), folder].into_iter().flatten() {
            if let (Some(folder), Some(name)) = (path.parent(), path.file_name()) {
                let place = (folder.to_owned(), name.to_owned());
                if !places.contains(&place) {
                    places.push(place);
                }
            }
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use tokio::time::timeout;

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(20);

    async fn seen(changes: &mut FileChanges) {
        timeout(DEADLINE, changes.saved()).await.expect("seen in time").unwrap();
    }

    /// Whatever is done is seen as one save; what is done to others is not seen.
    async fn only(changes: &mut FileChanges, act: impl FnOnce()) {
        act();
        seen(changes).await;
        let more = timeout(2 * QUIET, changes.saved()).await;
        assert!(more.is_err(), "seen twice");
    }

    #[tokio::test]
    async fn every_way_to_save_is_seen_once() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("dist/f.js");
        let write = |text: &str| fs::write(&file, text).unwrap();
        fs::create_dir(folder.path().join("dist")).unwrap();
        write("1");
        let mut changes = FileChanges::watch(&file).unwrap();
        only(&mut changes, || {
            write("2");
            write("3");
        })
        .await;
        only(&mut changes, || {
            let new = folder.path().join("dist/f.js~");
            fs::write(&new, "4").unwrap();
            fs::rename(&new, &file).unwrap();
        })
        .await;
        // As a bundler does that cleans up first.
        only(&mut changes, || {
            fs::remove_dir_all(folder.path().join("dist")).unwrap();
            fs::create_dir(folder.path().join("dist")).unwrap();
            write("5");
        })
        .await;
        only(&mut changes, || write("6")).await;
        fs::write(folder.path().join("dist/other.js"), "").unwrap();
        assert!(timeout(2 * QUIET, changes.saved()).await.is_err(), "another file");
    }

    #[tokio::test]
    async fn a_link_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        let [first, second] = ["first", "second"].map(|name| folder.path().join(name));
        for target in [&first, &second] {
            fs::create_dir(target).unwrap();
            fs::write(target.join("f.js"), "1").unwrap();
        }
        let link = folder.path().join("f.js");
        symlink(first.join("f.js"), &link).unwrap();
        let mut changes = FileChanges::watch(&link).unwrap();
        only(&mut changes, || fs::write(first.join("f.js"), "2").unwrap()).await;
        only(&mut changes, || {
            fs::remove_file(&link).unwrap();
            symlink(second.join("f.js"), &link).unwrap();
        })
        .await;
        only(&mut changes, || fs::write(second.join("f.js"), "2").unwrap()).await;
    }

    #[tokio::test]
    async fn a_file_without_a_folder_cannot_be_watched() {
        assert!(FileChanges::watch(Path::new("/nowhere/at/all.js")).is_err());
    }
}
