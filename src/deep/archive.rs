//! The archive of a layer, whole again, and hashed on the way.
//!
//! Owns the two places that it comes from: what is kept of it with the files that were unpacked, and
//! the blob that was pulled. What it says is `tar`'s to read.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;
use ring::digest::{Context, SHA256};

use super::Stop;
use super::tar::invalid;
use super::tar_split::{Content, Crc64, TarSplit};
use crate::image::digest::Digest;
use crate::sys::file::open_regular;

/// As much of a file as is read at once.
const CHUNK: usize = 256 << 10;
/// The first bytes of what gzip and zstd write.
const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// What is kept of an archive, read from its file.
type Kept = TarSplit<BufReader<MultiGzDecoder<BufReader<File>>>>;

/// The archive.
pub(super) enum Archive {
    /// What is kept of it. The content of files is on disk, and goes into the digest.
    TarSplit(Box<Hashed<Kept>>),
    /// All of it. The content of files is in there, and is compared with the disk.
    Blob(Box<Blob>),
}

/// What was pulled: what it unpacks to, and the digest that it should have itself.
pub(super) struct Blob {
    tar: Hashed<Unpacked>,
    digest: Digest,
}

/// A blob's decompressed bytes. The blob itself is hashed too.
pub(super) enum Unpacked {
    Plain(Box<BufReader<Hashed<File>>>),
    Gzip(Box<MultiGzDecoder<BufReader<Hashed<File>>>>),
}

/// A reader, and the hash of what was read.
pub(super) struct Hashed<R> {
    inner: R,
    hash: Context,
}

/// What was found of a file's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// As far as can be told, it is what the archive has.
    Same,
    /// It is something else.
    Other,
}

/// Reads chunks of files, tells somebody, and stops when told to.
pub(super) struct Reading<'a> {
    buffer: Vec<u8>,
    other: Vec<u8>,
    progress: super::Progress<'a>,
}

impl Archive {
    pub(super) fn of_tar_split(path: &Path) -> Result<Self, Stop> {
        let file = open_regular(path).map_err(|error| Stop::reading(path, &error))?;
        let lines = BufReader::with_capacity(
            64 << 10,
            MultiGzDecoder::new(BufReader::with_capacity(64 << 10, file)),
        );
        Ok(Self::TarSplit(Box::new(Hashed::new(TarSplit::new(lines)))))
    }

    pub(super) fn of_blob(path: &Path, digest: Digest) -> Result<Self, Stop> {
        let failed = |error| Stop::reading(path, &error);
        let file = open_regular(path).map_err(failed)?;
        let mut blob = BufReader::with_capacity(CHUNK, Hashed::new(file));
        let start = blob.fill_buf().map_err(failed)?;
        let unpacked = if start.starts_with(GZIP) {
            Unpacked::Gzip(Box::new(MultiGzDecoder::new(blob)))
        } else if start.starts_with(ZSTD) {
            let text = "its blob is compressed with zstd, which this version cannot read";
            return Err(Stop::Undecidable(text.to_owned()));
        } else {
            Unpacked::Plain(Box::new(blob))
        };
        let tar = Hashed::new(unpacked);
        Ok(Self::Blob(Box::new(Blob { tar, digest })))
    }

    /// Takes the content of the member that was read last, of `size` bytes, whose file is `file` if it
    /// is there. Without it what is kept of an archive is no longer whole.
    pub(super) fn content(
        &mut self,
        size: u64,
        file: Option<File>,
        reading: &mut Reading<'_>,
    ) -> Result<Found, Stop> {
        match self {
            Self::TarSplit(split) => {
                split.place(size)?;
                let Some(mut file) = file else {
                    return Ok(Found::Other);
                };
                let hash = &mut split.hash;
                let read = reading.chunks(&mut file, size, |chunk| hash.update(chunk))?;
                Ok(if read == size {
                    Found::Same
                } else {
                    Found::Other
                })
            }
            Self::Blob(blob) => reading.compare(&mut blob.tar, file, size),
        }
    }

    /// The digest of all of it, which has been read to its end.
    pub(super) fn finish(self) -> Result<Digest, Stop> {
        match self {
            Self::TarSplit(split) => Ok(split.digest()),
            Self::Blob(blob) => {
                let Blob { tar, digest } = *blob;
                let diff_id = digest_of(tar.hash);
                let blob = match tar.inner {
                    Unpacked::Plain(blob) => *blob,
                    Unpacked::Gzip(gzip) => gzip.into_inner(),
                };
                let mut blob = blob.into_inner();
                // Nothing that belongs to it follows.
                io::copy(&mut blob, &mut io::sink())?;
                let found = blob.digest();
                if found != digest {
                    let text = format!("its blob {digest} is {found}");
                    return Err(Stop::Undecidable(text));
                }
                Ok(diff_id)
            }
        }
    }
}

impl Read for Archive {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::TarSplit(split) => split.read(buffer),
            Self::Blob(blob) => blob.tar.read(buffer),
        }
    }
}

impl<R: BufRead> Hashed<TarSplit<R>> {
    /// The place of the next file's content, which must be of `size` bytes.
    fn place(&mut self, size: u64) -> io::Result<Content> {
        let content = self.inner.content()?;
        content
            .filter(|content| content.size == size)
            .ok_or_else(|| invalid("a record that its members do not fit"))
    }
}

/// The content of the files that is not what its checksum says, one after the other.
pub(super) struct Checksums {
    split: Kept,
}

impl Checksums {
    pub(super) fn of(path: &Path) -> Result<Self, Stop> {
        match Archive::of_tar_split(path)? {
            Archive::TarSplit(split) => Ok(Self { split: split.inner }),
            Archive::Blob(_) => Err(Stop::Undecidable("no checksums are kept".to_owned())),
        }
    }

    pub(super) fn content(
        &mut self,
        size: u64,
        file: Option<File>,
        reading: &mut Reading<'_>,
    ) -> Result<Found, Stop> {
        let content = self.split.content()?;
        let (Some(Content { crc: Some(crc), .. }), Some(mut file)) = (content, file) else {
            return Ok(Found::Same);
        };
        let mut sum = Crc64::new();
        let read = reading.chunks(&mut file, size, |chunk| sum.update(chunk))?;
        Ok(if read == size && sum.value() == crc {
            Found::Same
        } else {
            Found::Other
        })
    }
}

impl Read for Checksums {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.split.read(buffer)
    }
}

impl<'a> Reading<'a> {
    pub(super) fn new(progress: super::Progress<'a>) -> Self {
        Self {
            buffer: vec![0; CHUNK],
            other: Vec::new(),
            progress,
        }
    }

    /// Says that so many bytes were dealt with.
    pub(super) fn tell(&self, bytes: u64) -> Result<(), Stop> {
        match (self.progress)(bytes) {
            std::ops::ControlFlow::Continue(()) => Ok(()),
            std::ops::ControlFlow::Break(()) => Err(Stop::Cancelled),
        }
    }

    /// Gives `take` up to `size` bytes of a file; says how many there were.
    fn chunks(
        &mut self,
        file: &mut File,
        size: u64,
        mut take: impl FnMut(&[u8]),
    ) -> Result<u64, Stop> {
        let mut read = 0;
        while read < size {
            let want = usize::try_from(size - read).map_or(CHUNK, |left| left.min(CHUNK));
            let buffer = self.buffer.get_mut(..want).unwrap_or_default();
            let count = file.read(buffer)?;
            if count == 0 {
                break;
            }
            take(buffer.get(..count).unwrap_or_default());
            read += count as u64;
            self.tell(count as u64)?;
        }
        Ok(read)
    }

    /// Reads `size` bytes of the archive, and says whether the file has the same.
    fn compare(
        &mut self,
        archive: &mut impl Read,
        mut file: Option<File>,
        size: u64,
    ) -> Result<Found, Stop> {
        self.other.resize(CHUNK, 0);
        let mut found = if file.is_some() {
            Found::Same
        } else {
            Found::Other
        };
        let mut read = 0;
        while read < size {
            let want = usize::try_from(size - read).map_or(CHUNK, |left| left.min(CHUNK));
            let buffer = self.buffer.get_mut(..want).unwrap_or_default();
            archive.read_exact(buffer)?;
            if let Some(there) = &mut file {
                let other = self.other.get_mut(..want).unwrap_or_default();
                match there.read_exact(other) {
                    Ok(()) if other == buffer => {}
                    Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => {
                        return Err(error.into());
                    }
                    Ok(()) | Err(_) => {
                        found = Found::Other;
                        file = None;
                    }
                }
            }
            read += want as u64;
            self.tell(want as u64)?;
        }
        Ok(found)
    }
}

impl<R> Hashed<R> {
    fn new(inner: R) -> Self {
        Self {
            inner,
            hash: Context::new(&SHA256),
        }
    }

    fn digest(self) -> Digest {
        digest_of(self.hash)
    }
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hash.update(buffer.get(..count).unwrap_or_default());
        Ok(count)
    }
}

impl Read for Unpacked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(blob) => blob.read(buffer),
            Self::Gzip(gzip) => gzip.read(buffer),
        }
    }
}

pub(super) fn digest_of(hash: Context) -> Digest {
    let mut bytes = [0; 32];
    for (to, from) in bytes.iter_mut().zip(hash.finish().as_ref()) {
        *to = *from;
    }
    Digest::from_bytes(bytes)
}
