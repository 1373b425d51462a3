//! Bytes that are read from the middle: a file, or memory.
//!
//! Owns the one difference between the two, so that a parser which seeks is a
//! function over bytes.

use std::fmt::Debug;
use std::fs::File;
use std::io;

/// Where a parser that seeks reads from.
pub trait Source: Debug {
    /// Reads some bytes at `offset`; none at the end.
    ///
    /// # Errors
    /// The operating system's.
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Fills `bytes` from `offset` on.
    ///
    /// # Errors
    /// The operating system's; `UnexpectedEof` when there are not so many.
    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()>;
}

impl Source for File {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        std::os::unix::fs::FileExt::read_at(self, bytes, offset)
    }

    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(self, bytes, offset)
    }
}

impl Source for [u8] {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let rest = usize::try_from(offset).ok().and_then(|at| self.get(at..));
        let rest = rest.unwrap_or_default();
        let length = rest.len().min(bytes.len());
        for (to, from) in bytes.iter_mut().zip(rest) {
            *to = *from;
        }
        Ok(length)
    }

    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        let length = bytes.len();
        if Source::read_at(self, bytes, offset)? < length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }
}

impl<S: Source + ?Sized> Source for &S {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        (**self).read_at(bytes, offset)
    }

    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        (**self).read_exact_at(bytes, offset)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::Source;

    #[test]
    fn memory_reads_as_a_file_does() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"0123456789").unwrap();
        let memory: &[u8] = b"0123456789";
        for (offset, length) in [(0, 10), (3, 4), (8, 4), (10, 1), (99, 1)] {
            let read = |source: &dyn Source| {
                let mut bytes = vec![0; length];
                let some = source.read_at(&mut bytes, offset).unwrap();
                let all = source.read_exact_at(&mut vec![0; length], offset);
                (some, bytes, all.map_err(|error| error.kind()))
            };
            assert_eq!(read(&file), read(&memory), "{offset} {length}");
        }
    }
}
