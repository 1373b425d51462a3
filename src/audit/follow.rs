//! A record that grows, read on from where it was left.
//!
//! Owns finding the rest: over lines that are not whole yet, over a rotation, and over a file that was
//! emptied in place. The file that was read last stays open, so what was written to it before its name
//! went to another is read, too. What a line says is the caller's to know.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::sys::file::open_regular;

/// No record is as long: what its parts may have is bounded where they are made.
const MAX_LINE: usize = 1 << 20;

/// A file that lines are appended to.
#[derive(Debug)]
pub struct Follow {
    path: PathBuf,
    /// Of the first file, so many bytes before its end are read.
    tail: u64,
    file: Option<File>,
    at: u64,
    /// The bytes of a line that is not whole yet.
    rest: Vec<u8>,
    /// What follows is the end of a line whose beginning was not read.
    torn: bool,
    /// The first file was longer than what was read of it.
    is_late: bool,
}

impl Follow {
    /// The file at `path`, of which the last `tail` bytes are read when it is met first. Nothing is read yet.
    #[must_use]
    pub fn of(path: &Path, tail: u64) -> Self {
        Self {
            path: path.to_owned(),
            tail,
            file: None,
            at: 0,
            rest: Vec::new(),
            torn: false,
            is_late: false,
        }
    }

    /// Whether the beginning of the file that was met first was not read.
    #[must_use]
    pub const fn is_late(&self) -> bool {
        self.is_late
    }

    /// The file's name.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Hands out each line that was appended since, without its end. A file that is not there has none.
    ///
    /// # Errors
    /// The operating system's; what was handed out is not handed out again.
    pub fn read_on(&mut self, line: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        if self.file.is_none() {
            let Some(mut file) = opened(&self.path)? else {
                return Ok(());
            };
            let from = file.metadata()?.len().saturating_sub(self.tail);
            self.at = file.seek(SeekFrom::Start(from))?;
            self.torn = from > 0;
            self.is_late = self.torn;
            self.file = Some(file);
        }
        self.take(line)?;
        let Some(newer) = opened(&self.path)? else {
            return Ok(());
        };
        if self.is_read(&newer)? {
            return Ok(());
        }
        // A line that its file does not end will not be ended in another.
        self.rest.clear();
        (self.file, self.at, self.torn) = (Some(newer), 0, false);
        self.take(line)
    }

    fn is_read(&self, newer: &File) -> io::Result<bool> {
        let Some(file) = &self.file else {
            return Ok(false);
        };
        let (known, newer) = (file.metadata()?, newer.metadata()?);
        Ok((known.dev(), known.ino()) == (newer.dev(), newer.ino()))
    }

    fn take(&mut self, line: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        if file.metadata()?.len() < self.at {
            self.at = file.seek(SeekFrom::Start(0))?;
            self.rest.clear();
            self.torn = false;
        }
        let mut buffer = vec![0; 64 << 10];
        loop {
            let count = match file.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            self.at = self.at.saturating_add(count as u64);
            let mut parts = buffer.get(..count).unwrap_or_default();
            while let Some(end) = parts.iter().position(|byte| *byte == b'\n') {
                let (part, after) = parts.split_at(end);
                self.rest.extend_from_slice(part);
                if !self.torn && !self.rest.is_empty() {
                    line(&self.rest);
                }
                self.rest.clear();
                self.torn = false;
                parts = after.get(1..).unwrap_or_default();
            }
            self.rest.extend_from_slice(parts);
            if self.rest.len() > MAX_LINE {
                self.rest.clear();
                self.torn = true;
            }
        }
    }
}

fn opened(path: &Path) -> io::Result<Option<File>> {
    match open_regular(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        opened => opened.map(Some),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::path::Path;

    use super::Follow;

    fn append(path: &Path, text: &str) {
        let file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(path);
        file.expect("it opens")
            .write_all(text.as_bytes())
            .expect("it is written");
    }

    fn read(follow: &mut Follow) -> Vec<String> {
        let mut lines = Vec::new();
        let read = follow.read_on(&mut |line| {
            lines.push(String::from_utf8(line.to_vec()).expect("it is ours"));
        });
        read.expect("it is read");
        lines
    }

    #[test]
    fn reads_each_line_once_over_halves_rotations_and_an_emptied_file() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("record");
        let mut follow = Follow::of(&path, 1 << 20);
        assert_eq!(read(&mut follow), [""; 0]);
        append(&path, "a\nb\nhal");
        assert_eq!(read(&mut follow), ["a", "b"]);
        append(&path, "f\n");
        assert_eq!(read(&mut follow), ["half"]);
        // What was written between the last look and the rotation is not lost.
        append(&path, "c\n");
        std::fs::rename(&path, directory.path().join("record.1")).expect("it is renamed");
        append(&path, "d\n");
        assert_eq!(read(&mut follow), ["c", "d"]);
        std::fs::remove_file(&path).expect("it is removed");
        assert_eq!(read(&mut follow), [""; 0]);
        append(&path, "e\n");
        assert_eq!(read(&mut follow), ["e"]);
        std::fs::write(&path, "").expect("it is emptied");
        assert_eq!(read(&mut follow), [""; 0]);
        append(&path, "f\n");
        assert_eq!(read(&mut follow), ["f"]);
    }

    #[test]
    fn a_long_file_is_met_at_its_end_and_a_line_without_end_is_dropped() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("record");
        append(&path, "first\nsecond\nthird\n");
        let mut late = Follow::of(&path, 8);
        assert_eq!(
            (read(&mut late), late.is_late()),
            (vec!["third".to_owned()], true)
        );
        let mut follow = Follow::of(&path, 8 << 20);
        append(&path, &"x".repeat(3 << 20));
        append(&path, "\nlast\n");
        assert_eq!(read(&mut follow), ["first", "second", "third", "last"]);
    }
}
