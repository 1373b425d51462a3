//! The files of a ledger that anybody may read, and how they are to be cached.
//!
//! Owns which paths there are: each is spelled by this program, so no path of
//! a request is ever joined to the directory unread. `.state` is none of them.

use std::fs::File;
use std::io::{self, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::condition::Wanted;
use crate::http::message::{Answer, Body, Head, Method};
use crate::image::digest::Digest;
use crate::ledger::checkpoint::MAX_CHECKPOINT;
use crate::ledger::client::{MAX_INDEX_NOTE, MAX_ROOT_NOTE};
use crate::ledger::tiles::TileName;
use crate::sys::file::{open_regular, read_capped};

/// What never changes is asked for once.
const FOR_EVER: &str = "public, max-age=31536000, immutable";

/// What may change is asked about every time.
const ASK_AGAIN: &str = "no-cache";

const TEXT: &str = "text/plain; charset=utf-8";
const BINARY: &str = "application/octet-stream";

/// One file that can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Public {
    path: String,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Small, and replaced as a whole.
    Note { cap: u64 },
    /// Written once. A table's name is its content's digest; a tile's is its place in the log.
    Lasting { table: bool },
}

impl Public {
    /// The file that a request's path means; `None` for every other path.
    pub(super) fn named(path: &str) -> Option<Self> {
        let path = path.strip_prefix('/')?;
        let kind = match path.split_once('/') {
            None if path == "checkpoint" => Kind::Note {
                cap: MAX_CHECKPOINT,
            },
            Some(("index", "note")) => Kind::Note {
                cap: MAX_INDEX_NOTE,
            },
            Some(("index", name)) => {
                let id = name.strip_suffix(".idx")?;
                let spelled = Digest::from_hex(id).is_ok_and(|digest| digest.hex() == id);
                spelled.then_some(Kind::Lasting { table: true })?
            }
            Some(("root", name)) => {
                let number = name.strip_suffix(".note")?;
                let version: u64 = number.parse().ok().filter(|version| *version > 0)?;
                (version.to_string() == number).then_some(Kind::Note { cap: MAX_ROOT_NOTE })?
            }
            Some(("tile", _)) => {
                path.parse::<TileName>().ok()?;
                Kind::Lasting { table: false }
            }
            _ => return None,
        };
        Some(Self {
            path: path.to_owned(),
            kind,
        })
    }

    /// Answers a request for this file.
    pub(super) fn answer(&self, directory: &Path, head: &Head) -> Answer {
        let path = directory.join(&self.path);
        let answer = match self.kind {
            Kind::Note { cap } => note(&path, cap, head),
            Kind::Lasting { table } => lasting(&path, table, head),
        };
        match answer {
            Ok(answer) => answer,
            Err(error) if is_absent(&error) => {
                Answer::refusal(404, "not-found", "the ledger has no such file")
            }
            Err(_) => Answer::refusal(500, "unreadable", "the file cannot be read"),
        }
    }
}

/// Nothing, or something that a ledger does not have at this place.
fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

fn note(path: &Path, cap: u64, head: &Head) -> io::Result<Answer> {
    let bytes = read_capped(path, cap)?;
    let etag = format!("\"{}\"", Digest::of(&bytes).hex());
    let length = bytes.len() as u64;
    Ok(send(head, length, &etag, |from, length| {
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let part = bytes.get(from..).unwrap_or_default();
        Ok(Body::Bytes(part.get(..length).unwrap_or(part).to_vec()))
    })?
    .with("Content-Type", TEXT)
    .with("Cache-Control", ASK_AGAIN))
}

fn lasting(path: &Path, table: bool, head: &Head) -> io::Result<Answer> {
    let mut file = open_regular(path)?;
    let metadata = file.metadata()?;
    let etag = if table {
        let name = path.file_stem().and_then(|name| name.to_str());
        format!("\"{}\"", name.unwrap_or_default())
    } else {
        // A file that is never written to again is named by when it was.
        let (seconds, nanoseconds) = (metadata.mtime(), metadata.mtime_nsec());
        format!("\"{:x}-{seconds:x}-{nanoseconds:x}\"", metadata.len())
    };
    Ok(send(head, metadata.len(), &etag, |from, length| {
        part(&mut file, from, length)
    })?
    .with("Content-Type", BINARY)
    .with("Cache-Control", FOR_EVER))
}

fn part(file: &mut File, from: u64, length: u64) -> io::Result<Body> {
    file.seek(SeekFrom::Start(from))?;
    Ok(Body::File(file.try_clone()?, length))
}

fn send(
    head: &Head,
    length: u64,
    etag: &str,
    body: impl FnOnce(u64, u64) -> io::Result<Body>,
) -> io::Result<Answer> {
    // A range of what HEAD does not send means nothing (RFC 9110, 14.2).
    let wanted = match Wanted::of(head, etag, length) {
        Wanted::Nothing => Wanted::Nothing,
        _ if head.method == Method::Head => Wanted::Whole,
        wanted => wanted,
    };
    let answer = match wanted {
        Wanted::Nothing => Answer::new(304, Body::Bytes(Vec::new())),
        Wanted::Whole => Answer::new(200, body(0, length)?),
        Wanted::Part { from, length: part } => {
            let last = from.saturating_add(part).saturating_sub(1);
            Answer::new(206, body(from, part)?)
                .with("Content-Range", format!("bytes {from}-{last}/{length}"))
        }
        Wanted::Beyond => Answer::new(416, Body::Bytes(Vec::new()))
            .with("Content-Range", format!("bytes */{length}")),
    };
    Ok(answer.with("ETag", etag).with("Accept-Ranges", "bytes"))
}

#[cfg(test)]
mod tests {
    use super::{Kind, Public};

    #[test]
    fn has_the_paths_of_a_ledger_and_no_other() {
        let id = "ab".repeat(32);
        let table = format!("/index/{id}.idx");
        for path in [
            "/checkpoint",
            "/index/note",
            &table,
            "/root/1.note",
            "/root/20.note",
            "/tile/0/000",
            "/tile/0/x001/x234/067.p/112",
            "/tile/entries/000.p/1",
        ] {
            let public = Public::named(path).unwrap_or_else(|| panic!("{path}"));
            assert_eq!(format!("/{}", public.path), path);
            let lasting = path.starts_with("/tile/") || path.ends_with(".idx");
            assert_eq!(
                matches!(public.kind, Kind::Lasting { .. }),
                lasting,
                "{path}"
            );
        }
        let upper = format!("/index/{}.idx", "AB".repeat(32));
        for path in [
            "",
            "/",
            "checkpoint",
            "//checkpoint",
            "/checkpoint/",
            "/checkpoint?",
            "/checkpoint?x=1",
            "/./checkpoint",
            "/.state/tree",
            "/.state/keys/log",
            "/index/../.state/keys/log",
            "/tile/../.state/tree",
            "/tile/0/../../.state/tree",
            "/%2estate/tree",
            "/%63heckpoint",
            "/index",
            "/index/",
            "/index/note/",
            &upper,
            "/index/x.idx",
            "/index/.idx",
            "/index/../checkpoint",
            "/root/0.note",
            "/root/01.note",
            "/root/+1.note",
            "/root/1.note/",
            "/root/../checkpoint",
            "/root/.note",
            "/tile",
            "/tile/0/0",
            "/tile/0/000.p/0",
            "/tile/0/000.p/256",
            "/tile/0/x000/000",
            "/tile/00/000",
            "/tile/64/000",
            "/tile/0/000/",
            "/tile//000",
            "/tile/entries/000.p/1/",
            "/add",
            "/checkpoint\0",
            "/index/.note.1.tmp",
        ] {
            assert_eq!(Public::named(path), None, "{path}");
        }
    }
}
