//! Progress bars: of an upload, of a measurement.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Uploads smaller than this are over before a bar could be read.
const MIN_BYTES: u64 = 1024 * 1024;

/// A bar on standard error; invisible where that is no terminal.
pub(crate) struct UploadBar {
    bar: ProgressBar,
}

impl UploadBar {
    /// A bar for `total` bytes.
    pub(crate) fn new(visible: bool, total: u64) -> Self {
        let target = if visible && total >= MIN_BYTES {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(Some(total), target);
        if let Ok(style) = ProgressStyle::with_template(
            "uploading {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}",
        ) {
            bar.set_style(style);
        }
        Self { bar }
    }

    /// Shows that `sent` bytes are there.
    pub(crate) fn set(&self, sent: u64) {
        self.bar.set_position(sent);
    }
}

impl Drop for UploadBar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// A bar that counts rounds, on standard error; invisible where that is no terminal.
pub(crate) struct RoundBar {
    bar: ProgressBar,
}

impl RoundBar {
    /// A bar for so many rounds.
    pub(crate) fn new(visible: bool, rounds: u64) -> Self {
        let target =
            if visible { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(rounds), target);
        if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos}/{len} {eta}") {
            bar.set_style(style);
        }
        Self { bar }
    }

    /// One more is over.
    pub(crate) fn advance(&self) {
        self.bar.inc(1);
    }
}

impl Drop for RoundBar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
