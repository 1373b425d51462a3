//! What a bind mount reaches on the host.
//!
//! Owns the comparison of a mount's source with what no container may write,
//! by path and by place in the file system: a bind elsewhere, or a volume that
//! is a bind itself, has another path and the same place.

use std::cell::OnceCell;
use std::io;
use std::path::{Path, PathBuf};

use super::Guarded;
use super::bundle::Mount;
use super::home::Home;
use super::mounts::parse_overlay;
use crate::sys::lookup::real;
use crate::sys::mount::{Location, Mount as Mounted, Mounts};
use crate::sys::mountinfo::Line;

/// The file systems of volumes that hold what is written to them, and show nothing else of this node.
const VOLUME_KINDS: [&str; 25] = [
    "9p", "bcachefs", "btrfs", "ceph", "cifs", "exfat", "ext2", "ext3", "ext4", "f2fs", "gfs2",
    "jfs", "lustre", "nfs", "nfs4", "ntfs3", "ocfs2", "overlay", "ramfs", "smb3", "tmpfs", "vfat",
    "virtiofs", "xfs", "zfs",
];

/// What is guarded, looked up once for all mounts of a bundle, and not at all for a bundle without
/// mounts of anybody but its engine.
#[derive(Debug)]
pub struct Guard<'a> {
    mounts: &'a Mounts,
    home: &'a Home,
    guarded: &'a Guarded,
    places: OnceCell<Places>,
}

/// Where the guarded paths and sockets are.
#[derive(Debug)]
struct Places {
    paths: Vec<Place>,
    sockets: Vec<Place>,
}

/// A host path without symlinks, and where that is.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    path: PathBuf,
    location: Location,
}

/// What one source reaches.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reached {
    /// Something that it could write and must not.
    pub guarded: Option<PathBuf>,
    /// A socket that commands an engine.
    pub socket: Option<PathBuf>,
}

/// Whether a mount is a bind, whatever its type says.
#[must_use]
pub fn is_bind(mount: &Mount) -> bool {
    let binds = |option: &String| option == "bind" || option == "rbind";
    mount.kind == "bind" || mount.options.iter().any(binds)
}

impl<'a> Guard<'a> {
    /// Takes what is guarded.
    #[must_use]
    pub const fn new(mounts: &'a Mounts, guarded: &'a Guarded, home: &'a Home) -> Self {
        Self {
            mounts,
            home,
            guarded,
            places: OnceCell::new(),
        }
    }

    /// Looks up what is guarded, the first time; what does not exist cannot be reached.
    fn places(&self) -> io::Result<&Places> {
        if let Some(places) = self.places.get() {
            return Ok(places);
        }
        let found = Places {
            paths: places(self.mounts, &self.guarded.paths)?,
            sockets: places(self.mounts, &self.guarded.sockets)?,
        };
        Ok(self.places.get_or_init(|| found))
    }

    /// Says what a bind of `source` reaches.
    ///
    /// # Errors
    /// The operating system's; `NotFound` when the source is not there.
    pub fn reached_by(&self, source: &Path, mount: &Mount) -> io::Result<Reached> {
        let place = place(self.mounts, source)?;
        // The runtime sets one flag of the mount, and another for all that come along: each as last said.
        let is_set = |name: &str, unless: &str| {
            let said = |option: &&String| *option == name || *option == unless;
            let last = mount.options.iter().rev().find(said);
            last.is_some_and(|option| option == name)
        };
        let all_read_only = is_set("rro", "rrw");
        let read_only = all_read_only || is_set("ro", "rw");
        let recursive = !mount.options.iter().any(|option| option == "bind");
        let mut guarded = if read_only {
            None
        } else {
            let holding = self.mounts.holding(&place.path)?;
            self.written(Some(&place.path), &place.location, &holding)?
        };
        // Read-only is said of the first mount alone, unless it is said of all.
        if guarded.is_none() && recursive && !all_read_only {
            guarded = self.below(&place)?;
        }
        Ok(Reached {
            guarded,
            socket: self.socket(Some(&place.path), &place.location)?,
        })
    }

    /// Says what a mount of a container's own table reaches, by its place in the file system alone.
    ///
    /// # Errors
    /// The operating system's.
    pub fn reached_through(&self, line: &Line) -> io::Result<Reached> {
        let location = line.mount.location();
        let guarded = if line.read_only {
            None
        } else {
            self.written(None, &location, &line.mount)?
        };
        Ok(Reached {
            guarded,
            socket: self.socket(None, &location)?,
        })
    }

    /// A socket that can be seen can be written to.
    fn socket(&self, path: Option<&Path>, location: &Location) -> io::Result<Option<PathBuf>> {
        let seen = self.places()?.sockets.iter().find(|socket| {
            path.is_some_and(|path| socket.path.starts_with(path))
                || location.holds(&socket.location)
        });
        Ok(seen.map(|socket| socket.path.clone()))
    }

    /// What a writable mount of this place could change.
    fn written(
        &self,
        path: Option<&Path>,
        location: &Location,
        holding: &Mounted,
    ) -> io::Result<Option<PathBuf>> {
        if let Some(found) = self.overlaps(path, location)? {
            return Ok(Some(found));
        }
        if path.is_some_and(|path| self.is_opaque(path, holding)) {
            return Ok(Some(PathBuf::from(&holding.kind)));
        }
        if holding.kind != "overlay" {
            return Ok(None);
        }
        // What is written to an overlay, such as a volume with a driver's options, lands in its upper directory.
        let upper = match parse_overlay(&holding.options).map(|overlay| overlay.upper) {
            Ok(None) => return Ok(None),
            Ok(Some(upper)) if upper.is_absolute() => place(self.mounts, &upper).ok(),
            Ok(Some(_)) | Err(_) => None,
        };
        match upper {
            Some(upper) => self.overlaps(Some(&upper.path), &upper.location),
            // A node's own root may be an overlay that was made outside of this mount namespace.
            None if self.mounts.holding(Path::new("/"))?.device == holding.device => Ok(None),
            // Where else it writes, nobody can say.
            None => Ok(Some(PathBuf::from(&holding.kind))),
        }
    }

    /// Whether a volume is a file system that may show another one, or the kernel itself.
    fn is_opaque(&self, path: &Path, holding: &Mounted) -> bool {
        // A part of a volume is mounted below `tmp` on its way.
        let homes = ["volumes", "tmp"].map(|name| self.home.root().join(name));
        let is_volume = |path: &Path| homes.iter().any(|home| path.starts_with(home));
        is_volume(path)
            && is_volume(&holding.point)
            && !VOLUME_KINDS.contains(&holding.kind.as_str())
    }

    fn overlaps(&self, path: Option<&Path>, location: &Location) -> io::Result<Option<PathBuf>> {
        let overlapping = self.places()?.paths.iter().find(|guarded| {
            let above = path.is_some_and(|path| guarded.path.starts_with(path))
                || location.holds(&guarded.location);
            let by_path = path.and_then(|path| path.strip_prefix(&guarded.path).ok());
            let by_location = guarded
                .location
                .holds(location)
                .then(|| location.inside.strip_prefix(&guarded.location.inside));
            let bad = |name: &Path| {
                // With `userns-remap` the engine's root is below the one that is listed.
                let mut engines = self
                    .home
                    .roots()
                    .filter_map(|root| root.strip_prefix(&guarded.path).ok());
                !engines.any(|engine| {
                    let own = name.strip_prefix(engine);
                    own.is_ok_and(|own| self.home.is_made_name(own))
                })
            };
            let by_location = by_location.and_then(Result::ok);
            above || by_path.is_some_and(bad) || by_location.is_some_and(bad)
        });
        Ok(overlapping.map(|guarded| guarded.path.clone()))
    }

    /// What the mounts below a place could change, if they come along.
    fn below(&self, place: &Place) -> io::Result<Option<PathBuf>> {
        let holding = self.mounts.holding(&place.path)?;
        for mount in self.mounts.below(&holding)? {
            if !mount.point.starts_with(&place.path) {
                continue;
            }
            if let Some(found) = self.written(Some(&mount.point), &mount.location(), &mount)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}

fn places(mounts: &Mounts, paths: &[PathBuf]) -> io::Result<Vec<Place>> {
    let mut places: Vec<Place> = Vec::with_capacity(paths.len());
    for path in paths {
        match place(mounts, path) {
            Ok(place) if places.contains(&place) => {}
            Ok(place) => places.push(place),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(places)
}

fn place(mounts: &Mounts, path: &Path) -> io::Result<Place> {
    let path = real(path)?;
    let location = mounts.locate(&path)?;
    Ok(Place { path, location })
}

#[cfg(test)]
#[path = "reach_tests.rs"]
mod tests;
