//! Cuts a stream of bytes into lines.

/// Longest line in bytes; a longer one becomes several pieces, marked with [`CONTINUED`].
pub const MAX_LINE: usize = 16 * 1024;

/// Stands at the end of a piece whose line goes on, and at the start of the piece that goes on.
pub const CONTINUED: char = '…';

/// A line, or a part of a line that is too long or was not ended in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece<'a> {
    /// The bytes without line end. Any bytes: not always UTF-8, perhaps with NUL.
    pub bytes: &'a [u8],
    /// The line started in an earlier piece.
    pub continues: bool,
    /// The line goes on in a later piece.
    pub goes_on: bool,
    /// How many bytes of the stream this is, line end included.
    pub consumed: usize,
}

impl Piece<'_> {
    /// As text for a log: invalid UTF-8 replaced, cuts marked.
    #[must_use]
    pub fn to_text(&self) -> String {
        let text = String::from_utf8_lossy(self.bytes);
        if !self.continues && !self.goes_on {
            return text.into_owned();
        }
        let mut marked = String::with_capacity(text.len() + 2 * CONTINUED.len_utf8());
        if self.continues {
            marked.push(CONTINUED);
        }
        marked.push_str(&text);
        if self.goes_on {
            marked.push(CONTINUED);
        }
        marked
    }
}

/// What happened to the line before the next byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Before {
    /// A line starts here.
    #[default]
    LineStart,
    /// A piece of this line went out because it was too long.
    Cut,
    /// A piece went out because nothing followed for a while; a line end right after it ends that
    /// piece and is no empty line.
    Flushed,
    /// The line was dropped; nothing of it goes out.
    Dropped,
}

/// Cuts bytes that come in any portions into [`Piece`]s.
///
/// Holds at most [`MAX_LINE`] bytes.
#[derive(Debug, Default)]
pub struct Splitter {
    /// The start of a line whose end has not come. Never longer than [`MAX_LINE`].
    partial: Vec<u8>,
    before: Before,
}

impl Splitter {
    /// At the start of a stream.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether the start of a line is held back.
    #[must_use]
    pub fn has_partial(&self) -> bool {
        !self.partial.is_empty()
    }

    /// Takes `bytes` and gives each piece to `emit`, until that answers `false`.
    ///
    /// Returns what was not looked at: empty unless `emit` stopped. The piece on which it stopped
    /// counts as taken.
    pub fn feed<'a>(
        &mut self,
        mut bytes: &'a [u8],
        mut emit: impl FnMut(Piece<'_>) -> bool,
    ) -> &'a [u8] {
        while !bytes.is_empty() {
            let room = MAX_LINE.saturating_sub(self.partial.len());
            // One byte more than fits: the line end itself takes no room.
            let window = bytes.get(..=room).unwrap_or(bytes);
            let (taken, go_on) = match memchr::memchr(b'\n', window) {
                Some(at) => {
                    (at + 1, self.end_line(window.get(..at).unwrap_or_default(), &mut emit))
                }
                None if window.len() <= room => {
                    if self.before != Before::Dropped {
                        self.partial.extend_from_slice(window);
                    }
                    (window.len(), true)
                }
                None => self.cut_line(window.get(..room).unwrap_or_default(), &mut emit),
            };
            bytes = bytes.get(taken..).unwrap_or_default();
            if !go_on {
                break;
            }
        }
        bytes
    }

    /// Gives out the start of a line whose end does not come, because the stream ended or has
    /// been silent for a while.
    pub fn flush(&mut self, emit: impl FnOnce(Piece<'_>)) {
        if self.partial.is_empty() {
            return;
        }
        emit(Piece {
            bytes: without_return(&self.partial),
            continues: self.before == Before::Cut,
            goes_on: false,
            consumed: self.partial.len(),
        });
        self.partial.clear();
        self.before = Before::Flushed;
    }

    /// Drops what is held back and `bytes`, which follow it. Returns what was dropped: line ends
    /// and bytes.
    pub fn skip(&mut self, bytes: &[u8]) -> (u64, u64) {
        let lines = memchr::memchr_iter(b'\n', bytes).count() as u64;
        let dropped = (bytes.len() + self.partial.len()) as u64;
        match bytes.last() {
            Some(b'\n') => self.before = Before::LineStart,
            Some(_) => self.before = Before::Dropped,
            None if !self.partial.is_empty() => self.before = Before::Dropped,
            None => {}
        }
        self.partial.clear();
        (lines, dropped)
    }

    /// Whether the stream stands in a line of which something was dropped.
    #[must_use]
    pub fn in_dropped_line(&self) -> bool {
        self.before == Before::Dropped
    }

    fn end_line(&mut self, rest: &[u8], emit: &mut impl FnMut(Piece<'_>) -> bool) -> bool {
        let before = std::mem::take(&mut self.before);
        if before == Before::Dropped {
            self.partial.clear();
            return true;
        }
        let consumed = self.partial.len() + rest.len() + 1;
        let line = if self.partial.is_empty() {
            rest
        } else {
            self.partial.extend_from_slice(rest);
            &self.partial
        };
        let line = without_return(line);
        if before == Before::Flushed && line.is_empty() {
            self.partial.clear();
            return true;
        }
        let piece =
            Piece { bytes: line, continues: before == Before::Cut, goes_on: false, consumed };
        let go_on = emit(piece);
        self.partial.clear();
        go_on
    }

    /// The line is longer than [`MAX_LINE`]: gives out that much of it, cut between characters.
    fn cut_line(&mut self, rest: &[u8], emit: &mut impl FnMut(Piece<'_>) -> bool) -> (usize, bool) {
        if self.before == Before::Dropped {
            self.partial.clear();
            // At least one byte, or the caller would not get on.
            return (rest.len().max(1), true);
        }
        self.partial.extend_from_slice(rest);
        let keep = unfinished_character(&self.partial);
        let cut = self.partial.len() - keep;
        let piece = Piece {
            bytes: self.partial.get(..cut).unwrap_or_default(),
            continues: self.before == Before::Cut,
            goes_on: true,
            consumed: cut,
        };
        let go_on = emit(piece);
        self.partial.drain(..cut);
        self.before = Before::Cut;
        (rest.len(), go_on)
    }
}

/// One CR before the line end belongs to it.
fn without_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// How many bytes at the end are the start of a UTF-8 character that is not complete: 0 to 3.
fn unfinished_character(bytes: &[u8]) -> usize {
    for back in 1..=3 {
        let Some(byte) = bytes.len().checked_sub(back).and_then(|at| bytes.get(at)) else { break };
        let length = match byte {
            0x80..=0xbf => continue,
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            _ => return 0,
        };
        return if length > back { back } else { 0 };
    }
    0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split(portions: &[&[u8]]) -> Vec<String> {
        let mut splitter = Splitter::new();
        let mut lines = Vec::new();
        for portion in portions {
            let rest = splitter.feed(portion, |piece| {
                lines.push(piece.to_text());
                true
            });
            assert!(rest.is_empty());
        }
        splitter.flush(|piece| lines.push(piece.to_text()));
        lines
    }

    #[test]
    fn lines_come_out_whole_however_they_are_cut() {
        assert_eq!(
            split(&[b"one\ntwo\r\n", b"th", b"ree\r", b"\n\nfour"]),
            ["one", "two", "three", "", "four"]
        );
        assert_eq!(split(&[b""]), Vec::<String>::new());
        assert_eq!(split(&[b"\n"]), [""]);
    }

    #[test]
    fn nul_and_invalid_bytes_are_kept_safe() {
        assert_eq!(split(&[b"a\0b\xff\n"]), ["a\0b\u{fffd}"]);
    }

    #[test]
    fn a_line_end_after_a_flushed_piece_is_no_empty_line() {
        let mut splitter = Splitter::new();
        let mut lines = Vec::new();
        splitter.feed(b"password: ", |_| unreachable!());
        splitter.flush(|piece| lines.push(piece.to_text()));
        splitter.feed(b"\nnext\n", |piece| {
            lines.push(piece.to_text());
            true
        });
        assert_eq!(lines, ["password: ", "next"]);
    }

    #[test]
    fn a_line_of_exactly_the_limit_is_one_line() {
        let mut line = vec![b'x'; MAX_LINE];
        line.push(b'\n');
        assert_eq!(split(&[&line]).len(), 1);
        line.insert(0, b'x');
        let lines = split(&[&line]);
        assert_eq!(lines.len(), 2);
        assert!(lines[0].ends_with("x…"));
        assert_eq!(lines[1], "…x");
    }

    #[test]
    fn long_lines_are_cut_between_characters() {
        let text = "€".repeat(MAX_LINE);
        let lines = split(&[text.as_bytes(), b"\n"]);
        let joined: String = lines.iter().map(|line| line.trim_matches(CONTINUED)).collect();
        assert_eq!(joined, text);
        assert!(lines.iter().all(|line| !line.contains('\u{fffd}')));
    }

    #[test]
    fn skipping_counts_lines_and_resumes_at_the_next_one() {
        let mut splitter = Splitter::new();
        splitter.feed(b"start of ", |_| unreachable!());
        assert_eq!(splitter.skip(b"a line\nanother\nhalf"), (2, 9 + 19));
        let mut lines = Vec::new();
        splitter.feed(b" of it\nwhole\n", |piece| {
            lines.push(piece.to_text());
            true
        });
        assert_eq!(lines, ["whole"]);
    }

    #[test]
    fn stopping_returns_what_was_not_looked_at() {
        let mut splitter = Splitter::new();
        assert_eq!(splitter.feed(b"a\nb\nc", |_| false), b"b\nc");
    }

    proptest! {
        #[test]
        fn portions_make_no_difference(
            bytes in proptest::collection::vec(
                prop_oneof![4 => any::<u8>(), 1 => Just(b'\n'), 1 => Just(b'\r')], 0..600),
            long in 0_usize..3,
            cuts in proptest::collection::vec(1_usize..50, 1..40),
        ) {
            let mut input = vec![b'z'; long * MAX_LINE];
            input.extend_from_slice(&bytes);
            let whole = split(&[&input]);
            let mut portions: Vec<&[u8]> = Vec::new();
            let mut rest = &input[..];
            let mut sizes = cuts.iter().cycle();
            while !rest.is_empty() {
                let size = (*sizes.next().unwrap() * if long > 0 { 97 } else { 1 }).min(rest.len());
                let (portion, after) = rest.split_at(size);
                portions.push(portion);
                rest = after;
            }
            prop_assert_eq!(whole, split(&portions));
        }

        #[test]
        fn every_byte_is_accounted_for(
            bytes in proptest::collection::vec(
                prop_oneof![3 => any::<u8>(), 1 => Just(b'\n')], 0..600),
            skip_every in 2_usize..6,
        ) {
            let mut splitter = Splitter::new();
            let mut seen = 0_u64;
            for (index, portion) in bytes.chunks(17).enumerate() {
                if index % skip_every == 0 {
                    seen += splitter.skip(portion).1;
                } else {
                    // In a dropped line, bytes up to the next line end go with it uncounted.
                    if splitter.in_dropped_line() {
                        let end = memchr::memchr(b'\n', portion).map_or(portion.len(), |at| at + 1);
                        seen += end as u64;
                    }
                    splitter.feed(portion, |piece| { seen += piece.consumed as u64; true });
                }
            }
            splitter.flush(|piece| seen += piece.consumed as u64);
            prop_assert_eq!(seen, bytes.len() as u64);
        }
    }
}
