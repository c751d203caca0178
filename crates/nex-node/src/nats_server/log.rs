//! The child's output: a file of bounded size and the last lines in memory.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use tokio::sync::oneshot;

/// Size at which the log file is moved to `<name>.1` and begun anew, in bytes.
pub(super) const LARGEST_FILE: u64 = 4 << 20;
/// How many lines are remembered for an error.
const LINES: usize = 20;
/// How much of a line is remembered, in bytes.
const LINE: usize = 400;

/// A log that outlives the children that write to it.
#[derive(Debug, Clone)]
pub(super) struct Log {
    path: PathBuf,
    tail: Arc<Mutex<Tail>>,
}

#[derive(Debug, Default)]
struct Tail {
    lines: VecDeque<String>,
    /// The line that has not ended yet.
    open: Vec<u8>,
}

impl Log {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, tail: Arc::default() }
    }

    /// Takes over the output of a new child; returns when it has ended.
    /// The thread ends with the child: the pipe is then at its end.
    pub(super) fn follow(
        &self,
        output: impl Read + Send + 'static,
    ) -> io::Result<oneshot::Receiver<()>> {
        let mut file = LogFile::open(&self.path)?;
        self.lock().lines.clear();
        let (ended, wait) = oneshot::channel();
        let log = self.clone();
        let body = move || {
            log.copy(output, &mut file);
            // Nobody waits any more when the server was dropped.
            let _ = ended.send(());
        };
        thread::Builder::new().name("nats-log".into()).stack_size(128 << 10).spawn(body)?;
        Ok(wait)
    }

    /// The last lines of the last child, oldest first.
    pub(super) fn last_lines(&self) -> Vec<String> {
        self.lock().lines.iter().cloned().collect()
    }

    fn copy(&self, mut output: impl Read, file: &mut LogFile) {
        let mut buffer = [0; 8 << 10];
        loop {
            match output.read(&mut buffer) {
                Ok(0) => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
                Ok(read) => {
                    let chunk = buffer.get(..read).unwrap_or_default();
                    self.lock().push(chunk);
                    // On a full disk the log has a gap; the child must not
                    // wait for a reader because of it.
                    let _ = file.write(chunk);
                }
            }
        }
        self.lock().end_line();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Tail> {
        self.tail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tail {
    fn push(&mut self, chunk: &[u8]) {
        for part in chunk.split_inclusive(|byte| *byte == b'\n') {
            let room = LINE.saturating_sub(self.open.len());
            self.open.extend(part.iter().take(room));
            if part.ends_with(b"\n") {
                self.end_line();
            }
        }
    }

    fn end_line(&mut self) {
        let text = String::from_utf8_lossy(&self.open);
        let text: String = text.chars().filter(|letter| !letter.is_control()).collect();
        self.open.clear();
        if text.trim().is_empty() {
            return;
        }
        if self.lines.len() == LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(text);
    }
}

/// A file that is begun anew when it is large, with one predecessor kept.
#[derive(Debug)]
struct LogFile {
    path: PathBuf,
    file: File,
    size: u64,
}

impl LogFile {
    fn open(path: &Path) -> io::Result<Self> {
        let file = File::options().create(true).append(true).mode(0o600).open(path)?;
        let size = file.metadata()?.len();
        Ok(Self { path: path.to_owned(), file, size })
    }

    fn write(&mut self, chunk: &[u8]) -> io::Result<()> {
        if self.size + chunk.len() as u64 > LARGEST_FILE {
            std::fs::rename(&self.path, self.path.with_extension("log.1"))?;
            *self = Self::open(&self.path)?;
        }
        self.file.write_all(chunk)?;
        self.size += chunk.len() as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_file_is_bounded_and_the_tail_is_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("nats-server.log");
        let log = Log::new(path.clone());
        let mut output = vec![b'x'; 9 << 20];
        output.extend(b"\nlast but one\r\n\nlast");
        log.follow(io::Cursor::new(output)).unwrap().await.unwrap();

        let lines = log.last_lines();
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[0].len(), LINE);
        assert_eq!(lines[1..], ["last but one", "last"]);
        let size = |name: &str| std::fs::metadata(folder.path().join(name)).unwrap().len();
        assert!(size("nats-server.log") <= LARGEST_FILE);
        assert!(size("nats-server.log.1") <= LARGEST_FILE);
        assert!(std::fs::read_to_string(path).unwrap().ends_with("last"));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[tokio::test]
    async fn only_the_last_lines_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::new(folder.path().join("log"));
        let many: String = (0..1000).map(|n| format!("line {n}\n")).collect();
        log.follow(io::Cursor::new(many)).unwrap().await.unwrap();
        let lines = log.last_lines();
        assert_eq!(lines.len(), LINES);
        assert_eq!(lines.last().unwrap(), "line 999");
        log.follow(io::empty()).unwrap().await.unwrap();
        assert!(log.last_lines().is_empty(), "a new child begins with none");
    }
}
