//! Where a mount of a bundle lands over the mounts before it.
//!
//! Owns the walk of a destination through what is not mounted yet: a runtime
//! mounts one after the other, and follows the symlinks that an earlier mount
//! brought along. Nothing leads out of the container's root.

use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::path::{Component, Path, PathBuf};

use super::observe::Going;
use super::reach::is_bind;
use crate::sys::lookup::{cleaned, is_within, real};

/// As many symlinks as runtimes follow that resolve paths themselves.
const MAX_LINKS: usize = 255;

/// Says where a mount on `destination` lands, once `earlier` are mounted; `bare` is where it would
/// without them.
///
/// # Errors
/// The operating system's, among them too many symlinks.
pub(super) fn landing(
    rootfs: &Path,
    earlier: &[Going<'_>],
    destination: &Path,
    bare: &Path,
) -> io::Result<PathBuf> {
    let plain = cleaned(destination);
    let is_over = |mount: &Going<'_>| plain != mount.landing && is_within(&plain, &mount.landing);
    // Without a symlink of the image and beside the other mounts, there is one answer.
    let climbs = destination
        .components()
        .any(|part| part == Component::ParentDir);
    if plain == bare && !climbs && !earlier.iter().any(is_over) {
        return Ok(plain);
    }
    let mut todo = names(destination);
    let mut done = PathBuf::from("/");
    let mut links = 0;
    while let Some(name) = todo.pop() {
        if name == ".." {
            done.pop();
            continue;
        }
        let next = done.join(&name);
        match link_at(rootfs, earlier, &next)? {
            Some(target) => {
                links += 1;
                if links > MAX_LINKS {
                    return Err(nix::errno::Errno::ELOOP.into());
                }
                if target.is_absolute() {
                    done = PathBuf::from("/");
                }
                todo.extend(names(&target));
            }
            None => done = next,
        }
    }
    Ok(done)
}

/// The symlink that stands at a path of the container, which has no other symlink.
fn link_at(rootfs: &Path, earlier: &[Going<'_>], path: &Path) -> io::Result<Option<PathBuf>> {
    // The last one mounted hides what was there before.
    let over = earlier.iter().rev().find_map(|going| {
        let inside = path.strip_prefix(&going.landing).ok()?;
        Some((going, inside))
    });
    let host = match over {
        // A mount's own root is no symlink, and a file system that is made anew has none.
        Some((going, inside)) if inside.as_os_str().is_empty() || !is_bind(going.mount) => {
            return Ok(None);
        }
        Some((going, inside)) => real(&going.source).map(|real| real.join(inside)),
        None => Ok(rootfs.join(path.strip_prefix("/").unwrap_or(path))),
    };
    match host.and_then(std::fs::read_link) {
        Ok(target) => Ok(Some(target)),
        // It is no symlink, or is not there.
        Err(error) => match error.kind() {
            ErrorKind::InvalidInput | ErrorKind::NotFound | ErrorKind::NotADirectory => Ok(None),
            _ => Err(error),
        },
    }
}

/// The names in a path, last one first, `..` among them.
fn names(path: &Path) -> Vec<OsString> {
    let name = |part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsString::from("..")),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    };
    path.components().rev().filter_map(name).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::path::{Path, PathBuf};

    use super::landing;
    use crate::engine::bundle::Mount;
    use crate::engine::observe::Going;
    use crate::sys::lookup::Root;

    #[test]
    fn follows_the_symlinks_that_earlier_mounts_bring() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let at = |name: &str| folder.path().join(name);
        for name in [
            "rootfs/usr/bin",
            "rootfs/d/l",
            "d/plain",
            "app/node_modules",
        ] {
            std::fs::create_dir_all(at(name)).expect("made");
        }
        for (target, link) in [
            ("/usr/bin", "d/l"),
            ("../../../usr", "d/up"),
            ("/d/l", "d/twice"),
            ("d", "rootfs/alias"),
        ] {
            symlink(target, at(link)).expect("linked");
        }
        let bind = Mount {
            kind: "bind".to_owned(),
            ..Mount::default()
        };
        let tmpfs = Mount {
            kind: "tmpfs".to_owned(),
            ..Mount::default()
        };
        let going = |mount, source: PathBuf, landing: &str| Going {
            mount,
            source,
            destination: landing.into(),
            landing: landing.into(),
            is_init: false,
        };
        let earlier = [
            going(&bind, at("d"), "/d"),
            going(&bind, at("app"), "/app"),
            going(&bind, at("d"), "/hidden"),
            going(&tmpfs, "tmpfs".into(), "/hidden"),
        ];
        let rootfs = at("rootfs");
        let root = Root::open(&rootfs).expect("it is there");
        for (destination, lands) in [
            ("/d/l", "/usr/bin"),
            ("/d/l/sh", "/usr/bin/sh"),
            ("/d/up/lib", "/usr/lib"),
            ("/d/twice", "/usr/bin"),
            ("/alias/l", "/usr/bin"),
            ("/d/plain", "/d/plain"),
            ("/d/missing/x", "/d/missing/x"),
            ("/app/node_modules", "/app/node_modules"),
            ("/hidden/l", "/hidden/l"),
            ("/d", "/d"),
            ("/srv", "/srv"),
        ] {
            let destination = Path::new(destination);
            let bare = root.resolve(destination).expect("it resolves").path;
            let landed = landing(&rootfs, &earlier, destination, &bare).expect("it lands");
            assert_eq!(landed, Path::new(lands), "{}", destination.display());
        }
    }
}
