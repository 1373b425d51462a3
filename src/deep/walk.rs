//! All that is in a layer's directory, each path once, in the order of names.
//!
//! Owns the way through the directories, in bounded memory and with few open files. What is made of a
//! path is the caller's: what nobody put into the archive, and what the disk says has changed.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;

use super::compare::{Comparison, OPAQUE, OPAQUE_XATTR, WHITEOUT, counts, is_overlays, joined};
use super::difference::{Differences, What};
use super::tar::invalid;
use super::{Reading, Stop};
use crate::sys::tree::{Directory, Kind, Name, Tree};

/// More paths than any image has.
const MOST: usize = 4 << 20;
/// Bytes of the names that are to be visited yet, of all directories on the way.
const ROOM: usize = 64 << 20;
/// Deeper than the kernel's own limit of a path lets names of one byte go.
const DEEPEST: usize = 2048;
/// Directories that are held open on the way; those below are opened again when they are come back to.
const HELD: usize = 32;

/// Visits what is below `tree`'s top; `visit` says of a directory whether to go into it.
/// It is given the directory that a name is in, that one's path, and the name.
pub(super) fn walk(
    tree: &Tree,
    mut visit: impl FnMut(&Directory, &[u8], &Name) -> Result<bool, Stop>,
) -> Result<(), Stop> {
    let (mut room, mut visited) = (ROOM, 0);
    let mut way = vec![Level::open(tree, Vec::new(), &mut room)?];
    loop {
        let depth = way.len();
        let Some(level) = way.last_mut() else {
            return Ok(());
        };
        let Some(name) = level.names.pop() else {
            room += level.held;
            way.pop();
            continue;
        };
        visited += 1;
        if visited > MOST {
            return Err(invalid("more paths than any image has").into());
        }
        let directory = match level.directory.take() {
            Some(directory) => directory,
            None => open(tree, &level.path)?,
        };
        let enters = visit(&directory, &level.path, &name)?;
        let kind = match name.kind {
            Some(kind) => Some(kind),
            None => directory.node(&name.name)?.map(|node| node.kind),
        };
        if !enters || kind != Some(Kind::Directory) {
            level.directory = Some(directory);
            continue;
        }
        let path = joined(&level.path, name.name.as_bytes());
        if depth < HELD {
            level.directory = Some(directory);
        }
        if depth >= DEEPEST {
            return Err(invalid("directories that are too deep").into());
        }
        way.push(Level::open(tree, path, &mut room)?);
    }
}

/// A directory on the way, and what of it is still to be visited, last one first.
struct Level {
    path: Vec<u8>,
    directory: Option<Directory>,
    names: Vec<Name>,
    /// What it took of the room.
    held: usize,
}

impl Level {
    fn open(tree: &Tree, path: Vec<u8>, room: &mut usize) -> Result<Self, Stop> {
        let directory = open(tree, &path)?;
        let mut names = directory.names(*room)?;
        let held = names.iter().map(Name::size).sum();
        *room = room.saturating_sub(held);
        names.sort_unstable_by(|one, other| other.name.cmp(&one.name));
        Ok(Self {
            path,
            directory: Some(directory),
            names,
            held,
        })
    }
}

fn open(tree: &Tree, path: &[u8]) -> io::Result<Directory> {
    let text = || {
        format!(
            "/{} changes while it is read",
            String::from_utf8_lossy(path)
        )
    };
    tree.directory(path)?
        .ok_or_else(|| io::Error::other(text()))
}

/// A directory that the archive implies has whatever attributes the engine chose, but none by which
/// overlayfs would show something else in it.
fn unlisted(
    directory: &Directory,
    name: &OsStr,
    path: &[u8],
    differences: &mut Differences,
) -> io::Result<()> {
    for attribute in directory.xattrs(name)? {
        if is_overlays(&attribute) && counts(&attribute) {
            differences.add(path, What::Xattr, "", attribute.to_string_lossy());
        }
    }
    Ok(())
}

impl Comparison<'_> {
    /// Finds what is on disk and was never in the archive.
    pub(super) fn added(&mut self, reading: &Reading<'_>) -> Result<(), Stop> {
        let Self {
            tree,
            seen,
            differences,
            stamps,
            ..
        } = self;
        let top = open(tree, b"")?;
        if top.xattr(OsStr::new("."), OPAQUE_XATTR)?.is_some() && !seen.lists(OPAQUE) {
            differences.add(b"", What::Added, "", "opaque directory");
        }
        if !seen.lists(b"") {
            unlisted(&top, OsStr::new("."), b"", differences)?;
            let node = top.node(OsStr::new("."))?;
            if let Some(node) = &node {
                stamps.add(b"", node);
            }
            let mode = node.map_or(0, |node| node.mode);
            if mode & 0o022 != 0 {
                let found = format!("{mode:04o}");
                differences.add(b"", What::Mode, "writable by its owner alone", found);
            }
        }
        walk(tree, |directory, parent, entry| {
            reading.tell(0)?;
            let name = entry.name.as_bytes();
            let path = joined(parent, name);
            let node = match entry.kind {
                // Only these need to be looked at to know what they are.
                Some(Kind::CharacterDevice) | None => directory.node(&entry.name)?,
                // What is not listed was not looked at before.
                Some(_) if !seen.lists(&path) => directory.node(&entry.name)?,
                Some(_) => None,
            };
            if let Some(node) = node.as_ref().filter(|_| !seen.lists(&path)) {
                stamps.add(&path, node);
            }
            if node.is_some_and(|node| node.is_whiteout()) {
                if !seen.lists(&joined(parent, &[WHITEOUT, name].concat())) {
                    differences.add(&path, What::Added, "", "whiteout");
                }
                return Ok(false);
            }
            let kind = entry.kind.or_else(|| node.map(|node| node.kind));
            // No engine makes a file of such a name: it would stand for one that is gone.
            let is_listed = seen.lists(&path) && !name.starts_with(WHITEOUT);
            let is_implied = kind == Some(Kind::Directory) && seen.implies(&path);
            if !is_listed && !is_implied {
                let is_gone = kind == Some(Kind::File)
                    && seen.lists(&joined(parent, &[WHITEOUT, name].concat()));
                // An archive cannot have a socket. One that a build left behind leads nowhere.
                let is_dead = kind == Some(Kind::Socket);
                if !is_gone && !is_dead {
                    let found = kind.map_or("", Kind::as_str);
                    differences.add(&path, What::Added, "", found);
                }
                return Ok(false);
            }
            if !is_listed {
                unlisted(directory, &entry.name, &path, differences)?;
            }
            if kind == Some(Kind::Directory)
                && directory.xattr(&entry.name, OPAQUE_XATTR)?.is_some()
                && !seen.lists(&joined(&path, OPAQUE))
            {
                differences.add(&path, What::Added, "", "opaque directory");
            }
            Ok(true)
        })
    }
}
