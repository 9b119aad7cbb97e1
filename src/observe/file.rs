//! A log's file: appended to, and kept from filling the page cache.
//!
//! A log at full rate is hundreds of megabytes an hour that nobody reads twice. Left alone they
//! push out pages that somebody needs, and every new page costs the kernel a fresh one: on a
//! virtual machine whose memory has not been touched yet, 0.9 us for a line of 450 bytes, eight
//! times as much as with pages that are used again. So what has been written a while ago is let
//! go; the last [`KEPT_BYTES`] stay for whoever follows the file.

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use std::{
    fs::File,
    io::{self, IoSlice, Write},
    ops::Range,
};

/// How much is written between two looks.
const STEP_BYTES: u64 = 1024 * 1024;

/// What stays in memory at the file's end.
const KEPT_BYTES: u64 = 4 * STEP_BYTES;

/// How far behind the kept end pages are let go. Some are still on their way to the disk when they
/// are asked to go, and go at one of the next steps.
const SWEPT_BYTES: u64 = 4 * STEP_BYTES;

/// A file that is appended to.
#[derive(Debug)]
pub(super) struct LogFile {
    file: File,
    steps: Steps,
}

impl LogFile {
    /// `file` is open for appending.
    pub(super) fn new(file: File) -> Self {
        // Of a pipe or a terminal nothing is kept, and letting go of it does nothing.
        let length = file.metadata().map_or(0, |metadata| metadata.len());
        Self {
            file,
            steps: Steps::from(length),
        }
    }

    fn wrote(&mut self, bytes: usize) {
        for range in self.steps.advance(bytes as u64).into_iter().flatten() {
            let advice = PosixFadviseAdvice::POSIX_FADV_DONTNEED;
            let (start, length) = (range.start as i64, (range.end - range.start) as i64);
            // Advice: where it is not taken, nothing is lost.
            let _ = posix_fadvise(&self.file, start, length, advice);
        }
    }
}

impl Write for LogFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let written = self.file.write_vectored(slices)?;
        self.wrote(written);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// How far a file has come, and what of it may go. Somebody else's appends make the places wrong,
/// which costs memory and nothing else.
#[derive(Debug)]
struct Steps {
    end: u64,
    /// Where the last step was made: a multiple of [`STEP_BYTES`], at most `end`.
    stepped: u64,
}

impl Steps {
    const fn from(end: u64) -> Self {
        Self {
            end,
            stepped: end - end % STEP_BYTES,
        }
    }

    /// Takes `bytes` on. At each step: what to begin writing to the disk (the kernel writes what
    /// is dirty of what it is asked to let go), and what to let go of.
    fn advance(&mut self, bytes: u64) -> [Option<Range<u64>>; 2] {
        self.end += bytes;
        let from = self.stepped;
        self.stepped = self.end - self.end % STEP_BYTES;
        if self.stepped == from {
            return [None, None];
        }
        let kept = self.stepped.saturating_sub(KEPT_BYTES);
        let swept = kept.saturating_sub(SWEPT_BYTES)..kept;
        [Some(from..self.stepped), (kept > 0).then_some(swept)]
    }
}

#[cfg(test)]
mod tests {
    use super::{KEPT_BYTES, LogFile, STEP_BYTES, Steps};
    use std::{fs::OpenOptions, io::Write as _};

    const MIB: u64 = 1024 * 1024;

    #[test]
    fn every_byte_is_let_go_once_it_is_old_enough_and_none_before() {
        let mut steps = Steps::from(3 * MIB + 5);
        let mut gone = 3 * MIB;
        for _ in 0..1000 {
            let [_, swept] = steps.advance(123_457);
            let Some(swept) = swept else { continue };
            assert!(swept.start <= gone, "nothing is left out");
            gone = gone.max(swept.end);
            assert!(swept.end + KEPT_BYTES <= steps.end, "the end stays");
        }
        assert!(gone + KEPT_BYTES + STEP_BYTES > steps.end);
    }

    #[test]
    fn steps() {
        let mut steps = Steps::from(0);
        assert_eq!(steps.advance(MIB - 1), [None, None]);
        assert_eq!(steps.advance(1), [Some(0..MIB), None]);
        assert_eq!(
            steps.advance(5 * MIB),
            [Some(MIB..6 * MIB), Some(0..2 * MIB)]
        );
        assert_eq!(steps.advance(0), [None, None]);
    }

    #[test]
    fn what_is_let_go_is_still_in_the_file() {
        let path = std::env::temp_dir().join(format!("sluice-log-file-{}", std::process::id()));
        let open = OpenOptions::new().append(true).create(true).open(&path);
        let mut file = LogFile::new(open.expect("a file"));
        let block: Vec<u8> = (0..=255_u8).cycle().take(64 * 1024).collect();
        for _ in 0..320 {
            file.write_all(&block).expect("room on the disk");
        }
        let bytes = std::fs::read(&path).expect("the file");
        let _ = std::fs::remove_file(&path);
        assert_eq!(bytes.len(), 320 * block.len());
        assert!(bytes.chunks(block.len()).all(|chunk| chunk == block));
    }
}
