//! One member of an archive against what is on disk.
//!
//! Owns what an engine makes of a member: its owner in a user namespace, the way overlayfs writes that
//! something is not there. Times are not compared: nothing that runs depends on them, and what engines
//! keep of them differs. Nor are security labels, which the host sets.

use std::ffi::{CStr, CString, OsStr};
use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::rc::Rc;

use super::difference::{Differences, What};
use super::memory::Stamps;
use super::seen::Seen;
use super::tar::{Kind, Member, invalid};
use crate::engine::unpacked::Layer;
use crate::sys::lookup::Root;
use crate::sys::tree::{Directory, Kind as DiskKind, Node, Tree};
use crate::sys::xattr;

/// How an archive says that a name of a lower layer is gone (OCI image-spec, `layer.md#whiteouts`).
pub(super) const WHITEOUT: &[u8] = b".wh.";
/// How it says that all of a directory's is.
pub(super) const OPAQUE: &[u8] = b".wh..wh..opq";
/// What aufs kept for itself, and no engine unpacks.
const AUFS: &[u8] = b".wh..wh.";

/// How the marks of overlayfs begin.
const OVERLAY: [&[u8]; 2] = [b"trusted.overlay.", b"user.overlay."];
/// Those that say nothing about what is seen.
const HARMLESS: [&[u8]; 5] = [b"origin", b"impure", b"nlink", b"uuid", b"upper"];
/// The attribute of a directory that hides what lower layers have there.
pub(super) const OPAQUE_XATTR: &CStr = c"trusted.overlay.opaque";
const WHITEOUT_XATTR: &CStr = c"trusted.overlay.whiteout";
/// What the host gives its files, whatever is in them.
const LABELS: [&[u8]; 5] = [
    b"security.selinux",
    b"security.ima",
    b"security.evm",
    b"security.apparmor",
    b"security.SMACK64",
];

/// A layer on disk, and what was found there.
pub(super) struct Comparison<'a> {
    layer: &'a Layer,
    pub(super) tree: Tree,
    pub(super) seen: Seen,
    pub(super) differences: Differences,
    /// What is on disk as it was before it was read: what changes from then on is another layer.
    pub(super) stamps: Stamps,
    /// Most members are in the directory of the one before.
    last: Option<(Vec<u8>, Rc<Place>)>,
}

/// A directory by its real path.
struct Place {
    path: Vec<u8>,
    directory: Option<Directory>,
}

impl<'a> Comparison<'a> {
    pub(super) fn new(layer: &'a Layer) -> io::Result<Self> {
        Ok(Self {
            tree: Tree::open(&layer.directory)?,
            layer,
            seen: Seen::default(),
            differences: Differences::default(),
            stamps: Stamps::default(),
            last: None,
        })
    }

    /// Compares all but a file's content, which it opens for that.
    pub(super) fn member(&mut self, member: &Member) -> io::Result<Option<File>> {
        let given = cleaned(&member.path)?;
        let (parent, name) = split(&given);
        let place = self.place(parent)?;
        if name.starts_with(WHITEOUT) {
            self.whiteout(&place, name)?;
            return Ok(None);
        }
        let path = joined(&place.path, name);
        if member.kind == Kind::CharacterDevice && member.device == (0, 0) {
            self.whiteout(&place, &[WHITEOUT, name].concat())?;
            return Ok(None);
        }
        let is_first = self.seen.list(&path)?;
        if !is_first {
            // Of two members with one path the later one is what is unpacked.
            self.differences.forget(&path, |_| true);
        } else if self
            .seen
            .lists(&joined(&place.path, &[WHITEOUT, name].concat()))
        {
            self.differences.forget(&path, |_| true);
        }
        // The top is called by no name.
        let name = OsStr::from_bytes(if name.is_empty() { b"." } else { name });
        let there = match &place.directory {
            Some(directory) => directory.node(name)?.map(|node| (directory, node)),
            None => None,
        };
        let Some((directory, node)) = there else {
            self.differences.add(&path, What::Missing, "", "");
            return Ok(None);
        };
        if is_first {
            self.stamps.add(&path, &node);
        }
        if member.kind == Kind::HardLink {
            self.hard_link(member, &path, &node)?;
            return Ok(None);
        }
        let expected = disk_kind(member.kind);
        if node.kind != expected {
            let (expected, found) = (expected.as_str(), node.kind.as_str());
            self.differences.add(&path, What::Kind, expected, found);
            return Ok(None);
        }
        self.attributes(member, &path, &node)?;
        if member.kind == Kind::File && member.size > 0 && node.size == member.size {
            // It is to be read anyway, and what is open is looked at with fewer steps.
            let file = directory.open(name)?;
            let names = xattr::names_of(file.as_fd())?;
            let value = |attribute: &CStr| xattr::value_of(file.as_fd(), attribute);
            self.xattrs(member, &path, &names, value)?;
            return Ok(Some(file));
        }
        let names = directory.xattrs(name)?;
        let value = |attribute: &CStr| directory.xattr(name, attribute);
        self.xattrs(member, &path, &names, value)?;
        match member.kind {
            Kind::Symlink => self.symlink(member, &path, &directory.link(name)?),
            Kind::CharacterDevice | Kind::BlockDevice => self.device(member, &path, &node),
            Kind::File if node.size != member.size => {
                let (expected, found) = (member.size.to_string(), node.size.to_string());
                self.differences.add(&path, What::Size, expected, found);
            }
            Kind::File | Kind::Directory | Kind::Fifo | Kind::HardLink => {}
        }
        Ok(None)
    }

    /// Says that a member's content is another one.
    pub(super) fn other_content(&mut self, member: &Member) -> io::Result<()> {
        let given = cleaned(&member.path)?;
        let (parent, name) = split(&given);
        let path = joined(&self.place(parent)?.path, name);
        self.differences.add(&path, What::Content, "", "");
        Ok(())
    }

    /// A name of a lower layer that is gone, or all names of a directory.
    fn whiteout(&mut self, place: &Place, name: &[u8]) -> io::Result<()> {
        self.seen.list(&joined(&place.path, name))?;
        if name == OPAQUE {
            let is_opaque = match &place.directory {
                Some(directory) => directory.xattr(OsStr::new("."), OPAQUE_XATTR)?.is_some(),
                None => false,
            };
            if !is_opaque {
                let path = &place.path;
                self.differences
                    .add(path, What::Missing, "opaque directory", "");
            }
            return Ok(());
        }
        if name.starts_with(AUFS) {
            return Ok(());
        }
        let gone = name.strip_prefix(WHITEOUT).unwrap_or(name);
        let path = joined(&place.path, gone);
        let there = match &place.directory {
            Some(directory) => {
                let gone = OsStr::from_bytes(gone);
                match directory.node(gone)? {
                    Some(node) if node.is_whiteout() => true,
                    Some(node) if node.kind == DiskKind::File && node.size == 0 => {
                        directory.xattr(gone, WHITEOUT_XATTR)?.is_some()
                    }
                    Some(_) | None => false,
                }
            }
            None => false,
        };
        // A member of that name replaces it.
        if !there && !self.seen.lists(&path) {
            self.differences.add(&path, What::Missing, "whiteout", "");
        }
        Ok(())
    }

    fn hard_link(&mut self, member: &Member, path: &[u8], node: &Node) -> io::Result<()> {
        let given = cleaned(&member.link)?;
        let (parent, name) = split(&given);
        let place = self.place(parent)?;
        let target = joined(&place.path, name);
        let there = match &place.directory {
            Some(directory) => directory.node(OsStr::from_bytes(name))?,
            None => None,
        };
        if there.is_none_or(|there| there.inode != node.inode) {
            let text = format!("the same file as /{}", String::from_utf8_lossy(&target));
            self.differences.add(path, What::HardLink, text, "another");
        } else if self.differences.has(&target) && self.has_attributes(member, node)? {
            // The header that was unpacked last is the one that counts for all names.
            let about = |what| matches!(what, What::Mode | What::Owner);
            self.differences.forget(&target, about);
        }
        Ok(())
    }

    fn has_attributes(&self, member: &Member, node: &Node) -> io::Result<bool> {
        Ok(node.mode == member.mode && (node.uid, node.gid) == self.owner(member)?)
    }

    fn attributes(&mut self, member: &Member, path: &[u8], node: &Node) -> io::Result<()> {
        if path.is_empty() && self.is_plain_top(node) {
            return Ok(());
        }
        // A symlink's mode means nothing.
        if member.kind != Kind::Symlink && node.mode != member.mode {
            let octal = |mode| format!("{mode:04o}");
            let (expected, found) = (octal(member.mode), octal(node.mode));
            self.differences.add(path, What::Mode, expected, found);
        }
        let (uid, gid) = self.owner(member)?;
        if (node.uid, node.gid) != (uid, gid) {
            let (expected, found) = (format!("{uid}:{gid}"), format!("{}:{}", node.uid, node.gid));
            self.differences.add(path, What::Owner, expected, found);
        }
        Ok(())
    }

    /// The top is made before anything is unpacked, and not every engine gives it what the archive says
    /// (containers/storage does not).
    fn is_plain_top(&self, node: &Node) -> bool {
        matches!(node.mode, 0o555 | 0o755)
            && self.layer.owners.on_disk(0, 0) == Some((node.uid, node.gid))
    }

    /// The owner that the engine gives it on disk.
    fn owner(&self, member: &Member) -> io::Result<(u32, u32)> {
        let owner = self.layer.owners.on_disk(member.uid, member.gid);
        owner.ok_or_else(|| {
            let text = format!(
                "an owner, {}:{}, that the layer's user namespace does not have",
                member.uid, member.gid
            );
            invalid(&text)
        })
    }

    fn symlink(&mut self, member: &Member, path: &[u8], target: &[u8]) {
        if target != member.link {
            let shown = |bytes| String::from_utf8_lossy(bytes).into_owned();
            let (expected, found) = (shown(&member.link), shown(target));
            self.differences.add(path, What::Link, expected, found);
        }
    }

    fn device(&mut self, member: &Member, path: &[u8], node: &Node) {
        let (major, minor) = member.device;
        if node.device != (u64::from(major), u64::from(minor)) {
            let expected = format!("{major}:{minor}");
            let found = format!("{}:{}", node.device.0, node.device.1);
            self.differences.add(path, What::Device, expected, found);
        }
    }

    fn xattrs(
        &mut self,
        member: &Member,
        path: &[u8],
        names: &[CString],
        value_of: impl Fn(&CStr) -> io::Result<Option<Vec<u8>>>,
    ) -> io::Result<()> {
        for (expected, value) in &member.xattrs {
            let there = names.iter().find(|name| name.to_bytes() == expected);
            let found = match there {
                Some(attribute) => value_of(attribute)?,
                None => None,
            };
            if found.as_ref() != Some(value) && !LABELS.contains(&expected.as_slice()) {
                let found = found.map_or("missing", |_| "another value");
                let shown = String::from_utf8_lossy(expected);
                self.differences.add(path, What::Xattr, shown, found);
            }
        }
        for attribute in names {
            if !member.xattrs.contains_key(attribute.to_bytes()) && counts(attribute) {
                let shown = attribute.to_string_lossy();
                self.differences.add(path, What::Xattr, "", shown);
            }
        }
        Ok(())
    }

    /// Where a directory really is. Engines follow the symlinks that they have unpacked.
    fn place(&mut self, given: &[u8]) -> io::Result<Rc<Place>> {
        if let Some((_, place)) = self.last.as_ref().filter(|(known, _)| known == given) {
            return Ok(Rc::clone(place));
        }
        let mut path = given.to_vec();
        let mut directory = self.tree.directory(given)?;
        if directory.is_none() {
            let root = Root::open(&self.layer.directory)?;
            let found = root.resolve(Path::new(OsStr::from_bytes(given)))?;
            let real = found.path.strip_prefix("/").unwrap_or(&found.path);
            path = real.as_os_str().as_bytes().to_vec();
            directory = self.tree.directory(&path)?;
        }
        self.seen.imply(&path)?;
        let place = Rc::new(Place { path, directory });
        self.last = Some((given.to_vec(), Rc::clone(&place)));
        Ok(place)
    }
}

/// Whether an attribute that the archive does not have makes a difference.
pub(super) fn counts(attribute: &CStr) -> bool {
    let name = attribute.to_bytes();
    if LABELS.contains(&name) || attribute == OPAQUE_XATTR {
        return false;
    }
    mark(attribute).is_none_or(|mark| !HARMLESS.contains(&mark))
}

/// Whether it is one by which overlayfs marks files.
pub(super) fn is_overlays(attribute: &CStr) -> bool {
    mark(attribute).is_some()
}

fn mark(attribute: &CStr) -> Option<&[u8]> {
    let name = attribute.to_bytes();
    OVERLAY.iter().find_map(|prefix| name.strip_prefix(*prefix))
}

const fn disk_kind(kind: Kind) -> DiskKind {
    match kind {
        Kind::File | Kind::HardLink => DiskKind::File,
        Kind::Symlink => DiskKind::Symlink,
        Kind::CharacterDevice => DiskKind::CharacterDevice,
        Kind::BlockDevice => DiskKind::BlockDevice,
        Kind::Directory => DiskKind::Directory,
        Kind::Fifo => DiskKind::Fifo,
    }
}

/// A member's path without slashes at its ends and without `.`; empty for the top.
fn cleaned(path: &[u8]) -> io::Result<Vec<u8>> {
    let mut plain = Vec::with_capacity(path.len());
    for name in path.split(|byte| *byte == b'/') {
        match name {
            b"" | b"." => continue,
            b".." => return Err(invalid("a path with '..'")),
            _ => {}
        }
        if !plain.is_empty() {
            plain.push(b'/');
        }
        plain.extend_from_slice(name);
    }
    Ok(plain)
}

/// The directory and the last name.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(at) => (
            path.get(..at).unwrap_or_default(),
            path.get(at + 1..).unwrap_or_default(),
        ),
        None => (&[], path),
    }
}

pub(super) fn joined(directory: &[u8], name: &[u8]) -> Vec<u8> {
    match (directory, name) {
        (b"", name) => name.to_vec(),
        (directory, b"") => directory.to_vec(),
        (directory, name) => [directory, b"/", name].concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::{cleaned, joined, split};

    #[test]
    fn paths_are_plain_and_stay_inside() {
        for (path, plain) in [
            ("./etc/passwd", "etc/passwd"),
            ("/etc//x/", "etc/x"),
            ("./", ""),
            ("a/./b", "a/b"),
        ] {
            assert_eq!(cleaned(path.as_bytes()).unwrap(), plain.as_bytes());
        }
        for path in ["../x", "a/../../x", "a/.."] {
            cleaned(path.as_bytes()).unwrap_err();
        }
        for path in ["a/b/c", "a", ""] {
            let (parent, name) = split(path.as_bytes());
            assert_eq!(joined(parent, name), path.as_bytes());
        }
    }
}
