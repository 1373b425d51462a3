//! Reading a ledger: from a directory, or from any web server over HTTP.
//!
//! Owns what can be asked for, how large an answer may be, and which failure
//! is which: a ledger that cannot be reached, a file that it has not, an answer
//! that is wrong. Refuses to believe anything: whoever asks verifies.

mod add;
mod dir;
mod http;
mod pages;

use std::fmt;
use std::io::{Read, Write};
use std::path::Path;

pub use add::{AddError, Added, add, prove};
pub use dir::Dir;
pub use http::Http;
pub use pages::RemoteTable;

use super::tiles::{TileError, TileName, parse_bundle, parse_hashes};
use crate::image::digest::Digest;

/// Bytes of the longest trust root note that is read: some thousands of signers.
pub const MAX_ROOT_NOTE: u64 = 1 << 20;

/// Bytes of the longest index note that is read.
pub const MAX_INDEX_NOTE: u64 = 16 * 1024;

/// A ledger that can be read.
///
/// A method returns `None` where the ledger says that it has no such file.
pub trait TlogRead: fmt::Debug + Send + Sync {
    /// Names the ledger: its directory or URL.
    fn place(&self) -> &str;

    /// Reads `path` from the byte `from` on.
    ///
    /// An answer may begin at 0 although more was skipped: see [`Piece::from`].
    ///
    /// # Errors
    /// [`ReadError`], also for an answer of more than `cap` bytes.
    fn piece(&self, path: &str, from: u64, cap: u64) -> Result<Option<Piece>, ReadError>;

    /// Reads `length` bytes of `path` from the byte `from` on; fewer where the file ends before.
    ///
    /// # Errors
    /// [`ReadError`].
    fn slice(&self, path: &str, from: u64, length: u64) -> Result<Option<Vec<u8>>, ReadError>;

    /// Reads `path` unless it is still what `etag` names.
    ///
    /// # Errors
    /// [`ReadError`], also for an answer of more than `cap` bytes.
    fn fresh(&self, path: &str, etag: Option<&str>, cap: u64) -> Result<Option<Fresh>, ReadError>;

    /// Copies `path` from the byte `from` on into `sink`, and says where it began and how many bytes came.
    ///
    /// `sink` is told the beginning first, so that it can truncate what it had when the answer
    /// begins at 0.
    ///
    /// # Errors
    /// [`ReadError`], also for an answer that reaches beyond `cap` bytes of the file.
    fn copy(
        &self,
        path: &str,
        from: u64,
        cap: u64,
        sink: &mut dyn Sink,
    ) -> Result<Option<u64>, ReadError>;
}

/// Where a long file is written while it arrives.
pub trait Sink: Write {
    /// The answer begins at this byte of the file: what is beyond it is dropped.
    ///
    /// # Errors
    /// The operating system's.
    fn begin(&mut self, at: u64) -> std::io::Result<()>;
}

/// A part of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Where it begins: the place that was asked for, or 0 when the server sent everything.
    pub from: u64,
    /// The bytes from there to the end of the file.
    pub bytes: Vec<u8>,
}

/// An answer to a conditional question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fresh {
    /// Still what the etag named.
    Same,
    /// Something else, or the etag was not given.
    New {
        /// The whole file.
        bytes: Vec<u8>,
        /// What to name it by next time, if the server says.
        etag: Option<String>,
    },
}

/// Why something could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadError {
    /// The ledger could not be asked, or would not answer.
    Unreachable {
        /// The file's path or URL.
        place: String,
        /// What happened.
        why: String,
    },
    /// It answered with what no honest ledger serves.
    BadAnswer {
        /// The file's path or URL.
        place: String,
        /// What is wrong.
        why: String,
    },
    /// It does not have a file that its own checkpoint or note promises.
    Missing {
        /// The file's path or URL.
        place: String,
    },
    /// The answer could not be stored here.
    Store(String),
}

/// Opens a ledger by URL (`http://`, `https://`, `file://`) or by directory.
///
/// # Errors
/// [`ReadError::BadAnswer`] for another scheme; [`ReadError::Unreachable`] for a directory that is none.
pub fn open(place: &str) -> Result<Box<dyn TlogRead>, ReadError> {
    if place.starts_with("http://") || place.starts_with("https://") {
        return Ok(Box::new(Http::new(place)));
    }
    let path = place.strip_prefix("file://").unwrap_or(place);
    if path.contains("://") {
        return Err(ReadError::BadAnswer {
            place: place.to_owned(),
            why: "a ledger is a directory, or a URL that begins with http://, https:// or file://"
                .to_owned(),
        });
    }
    Ok(Box::new(Dir::open(Path::new(path))?))
}

/// Reads the log's checkpoint.
///
/// # Errors
/// [`ReadError`].
pub fn checkpoint(log: &dyn TlogRead, etag: Option<&str>) -> Result<Fresh, ReadError> {
    let cap = super::checkpoint::MAX_CHECKPOINT;
    required(log, "checkpoint", log.fresh("checkpoint", etag, cap)?)
}

/// Reads the index note; `None` on a ledger that has none yet.
///
/// # Errors
/// [`ReadError`].
pub fn index_note(log: &dyn TlogRead, etag: Option<&str>) -> Result<Option<Fresh>, ReadError> {
    log.fresh("index/note", etag, MAX_INDEX_NOTE)
}

/// Reads the trust root note of this version; `None` when the ledger has no such version.
///
/// # Errors
/// [`ReadError`].
pub fn root_note(log: &dyn TlogRead, version: u64) -> Result<Option<Vec<u8>>, ReadError> {
    let path = format!("root/{version}.note");
    Ok(log.piece(&path, 0, MAX_ROOT_NOTE)?.map(|piece| piece.bytes))
}

/// Copies an index file of so many records, from the byte `from` on, into `sink`.
/// Returns how many bytes came.
///
/// # Errors
/// [`ReadError`].
pub fn index_file(
    log: &dyn TlogRead,
    id: &Digest,
    records: u64,
    from: u64,
    sink: &mut dyn Sink,
) -> Result<u64, ReadError> {
    let path = format!("index/{}.idx", id.hex());
    let copied = log.copy(&path, from, index_cap(records), sink)?;
    required(log, &path, copied)
}

/// Bytes of the largest index file of so many records.
///
/// A leaf page holds 51 records, and a key's records (at most 48) stay together, so two
/// neighbours hold more than 51 between them; the upper levels have a 63rd of the pages below.
#[must_use]
pub fn index_cap(records: u64) -> u64 {
    let leaves = records / 26 + 2;
    let pages = leaves.saturating_add(leaves / 62).saturating_add(16);
    pages.saturating_mul(4096)
}

/// Reads a tile or a bundle as the checkpoint it comes from promises it: the partial one, or the
/// full one where the partial one is gone. Skips `from` bytes where the server can.
///
/// The bytes may hold more entries than [`TileName::width`]; the rest is not covered by the checkpoint.
///
/// # Errors
/// [`ReadError`].
pub fn tile(log: &dyn TlogRead, name: TileName, from: u64) -> Result<(TileName, Piece), ReadError> {
    let path = name.to_string();
    if let Some(piece) = log.piece(&path, from, name.cap())? {
        return Ok((name, piece));
    }
    let full = name.full();
    let found = if name.is_partial() {
        log.piece(&full.to_string(), from, full.cap())?
    } else {
        None
    };
    Ok((full, required(log, &path, found)?))
}

/// Reads the entries of one bundle, as many as its name says.
///
/// # Errors
/// [`ReadError`], with [`ReadError::BadAnswer`] for bytes that are no bundle.
pub fn entries(log: &dyn TlogRead, name: TileName) -> Result<Vec<Vec<u8>>, ReadError> {
    let (found, piece) = tile(log, name, 0)?;
    let entries = parse_bundle(&piece.bytes, found.width).map_err(|why| bad(log, found, why))?;
    let wanted = entries.into_iter().take(usize::from(name.width));
    Ok(wanted.map(<[u8]>::to_vec).collect())
}

/// Reads the hashes of one tile, as many as its name says.
///
/// # Errors
/// [`ReadError`], with [`ReadError::BadAnswer`] for bytes that are no tile.
pub fn hashes(log: &dyn TlogRead, name: TileName) -> Result<Vec<[u8; 32]>, ReadError> {
    let (found, piece) = tile(log, name, 0)?;
    let mut hashes = parse_hashes(&piece.bytes, found.width).map_err(|why| bad(log, found, why))?;
    hashes.truncate(usize::from(name.width));
    Ok(hashes)
}

impl super::proof::HashTiles for &dyn TlogRead {
    type Error = ReadError;

    fn hashes(&mut self, tile: TileName) -> Result<Vec<[u8; 32]>, ReadError> {
        hashes(*self, tile)
    }
}

/// Copies what is left of an answer, telling failures to read from failures to write.
fn pump(
    from: &mut dyn Read,
    sink: &mut dyn Sink,
    failed: impl Fn(std::io::Error) -> ReadError,
) -> Result<u64, ReadError> {
    let mut buffer = vec![0; 64 * 1024];
    let mut copied: u64 = 0;
    loop {
        let count = from.read(&mut buffer).map_err(&failed)?;
        let bytes = buffer.get(..count).unwrap_or_default();
        if bytes.is_empty() {
            return Ok(copied);
        }
        sink.write_all(bytes)
            .map_err(|error| ReadError::Store(error.to_string()))?;
        copied = copied.saturating_add(bytes.len() as u64);
    }
}

fn required<T>(log: &dyn TlogRead, path: &str, found: Option<T>) -> Result<T, ReadError> {
    found.ok_or_else(|| ReadError::Missing {
        place: format!("{}/{path}", log.place()),
    })
}

fn bad(log: &dyn TlogRead, name: TileName, why: TileError) -> ReadError {
    ReadError::BadAnswer {
        place: format!("{}/{name}", log.place()),
        why: why.to_string(),
    }
}

impl ReadError {
    /// True when asking again later may help; false when the ledger's answer itself is wrong.
    #[must_use]
    pub const fn is_unreachable(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable { place, why } => write!(f, "cannot reach '{place}': {why}"),
            Self::BadAnswer { place, why } => write!(f, "bad answer from '{place}': {why}"),
            Self::Missing { place } => write!(f, "the ledger lacks '{place}'"),
            Self::Store(why) => write!(f, "cannot store what the ledger answered: {why}"),
        }
    }
}

impl std::error::Error for ReadError {}
