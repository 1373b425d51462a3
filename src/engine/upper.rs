//! The writable layer: what is in it that neither the image nor the engine explains.
//!
//! Owns overlayfs' ways to hide what is below (whiteouts, opaque and redirected directories).

use std::ffi::CStr;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use super::Rootfs;
use super::code::Code;
use crate::policy::facts::Upper;
use crate::sys::file::read_capped;
use crate::sys::xattr;

/// As many paths as a refusal can use; more of them say nothing new.
const MAX_FINDINGS: usize = 8;
/// A layer with more entries than this is not explained by a handful of mount points.
const MAX_ENTRIES: usize = 4096;

/// The most bytes of an account file; the image's may be long.
const MAX_ACCOUNTS: u64 = 1 << 20;

const OPAQUE: &CStr = c"trusted.overlay.opaque";
const REDIRECT: &CStr = c"trusted.overlay.redirect";

/// What the engine and the runtime make themselves: the working directory and mount points, without symlinks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Explained {
    /// Where something is mounted.
    pub mounts: Vec<PathBuf>,
    /// Where the runtime makes device nodes.
    pub devices: Vec<PathBuf>,
    /// The working directory.
    pub cwd: PathBuf,
    /// Symlinks that the engine makes, and where they lead.
    pub links: Vec<(PathBuf, PathBuf)>,
    /// Files to which the engine adds a line about the user that the process runs as.
    pub accounts: Vec<PathBuf>,
}

/// Looks at the writable layer of a container that has never run: nothing unexplained may be there.
///
/// # Errors
/// The operating system's.
pub fn before_first_start(rootfs: &Rootfs, explained: &Explained) -> io::Result<Upper> {
    let Some(upper) = &rootfs.upper else {
        return Ok(Upper::Clean);
    };
    let mut walk = Walk::new(rootfs, upper, explained);
    walk.below(Path::new("/"), &|_| true)?;
    Ok(match walk.findings {
        findings if findings.is_empty() => Upper::Clean,
        findings => Upper::NotPristine(findings),
    })
}

/// Looks at the writable layer of a container that has run: its code must still be the image's.
///
/// # Errors
/// The operating system's.
pub fn since_first_start(rootfs: &Rootfs, code: &Code, explained: &Explained) -> io::Result<Upper> {
    let Some(upper) = &rootfs.upper else {
        return Ok(Upper::Clean);
    };
    let mut walk = Walk::new(rootfs, upper, explained);
    for place in code.files.iter().chain(&code.directories) {
        if walk.leads_to(place)? {
            // A directory that the walk only passes through on its way is the image's.
            walk.below(place, &|_| false)?;
        }
    }
    for place in &code.through {
        walk.leads_to(place)?;
    }
    Ok(match walk.findings {
        findings if findings.is_empty() => Upper::Clean,
        findings => Upper::Changed(findings),
    })
}

struct Walk<'a> {
    rootfs: &'a Rootfs,
    upper: &'a Path,
    explained: &'a Explained,
    findings: Vec<PathBuf>,
    entries: usize,
    /// Directories that the layer does not have, so that nobody looks below them again.
    absent: Vec<PathBuf>,
}

impl<'a> Walk<'a> {
    fn new(rootfs: &'a Rootfs, upper: &'a Path, explained: &'a Explained) -> Self {
        Self {
            rootfs,
            upper,
            explained,
            findings: Vec::new(),
            entries: 0,
            absent: Vec::new(),
        }
    }

    /// Walks down to `place`, and says whether the layer has such a directory. Nothing on the way may
    /// replace what is below.
    fn leads_to(&mut self, place: &Path) -> io::Result<bool> {
        if self.absent.iter().any(|absent| place.starts_with(absent)) {
            return Ok(false);
        }
        let mut path = PathBuf::from("/");
        for name in place.components().skip(1) {
            path.push(name);
            let Some(metadata) = metadata(&self.on_disk(&path))? else {
                self.absent.push(path);
                return Ok(false);
            };
            if !metadata.is_dir() {
                if !self.is_explained_file(&path, &metadata) {
                    self.find(&path);
                }
                return Ok(false);
            }
            if self.hides(&path)? {
                self.find(&path);
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Looks at everything in the directory `path`. New directories count only if `strict` says so.
    fn below(&mut self, path: &Path, strict: &dyn Fn(&Path) -> bool) -> io::Result<()> {
        let entries = match std::fs::read_dir(self.on_disk(path)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        for entry in entries {
            if self.findings.len() >= MAX_FINDINGS {
                return Ok(());
            }
            self.entries += 1;
            let entry = entry?;
            let inside = path.join(entry.file_name());
            let metadata = entry.metadata()?;
            let fine = if metadata.is_dir() {
                !self.hides(&inside)?
            } else {
                self.is_explained_file(&inside, &metadata)
                    || (strict(&inside) && self.is_engines_file(&inside, &metadata)?)
            };
            if !fine || self.entries > MAX_ENTRIES {
                self.find(&inside);
            } else if metadata.is_dir() {
                // What is in a new directory says more, and can be permitted one by one.
                let before = self.findings.len();
                self.below(&inside, strict)?;
                let unexplained = strict(&inside)
                    && !self.is_explained_directory(&inside)
                    && !self.leads_to_engines_file(&inside);
                if unexplained && self.findings.len() == before {
                    self.find(&inside);
                }
            }
        }
        Ok(())
    }

    /// On the way to the working directory or a mount point, or one of them.
    fn is_explained_directory(&self, path: &Path) -> bool {
        let leads_to = |place: &PathBuf| place.starts_with(path);
        let Explained {
            mounts,
            devices,
            cwd,
            ..
        } = self.explained;
        leads_to(cwd) || mounts.iter().chain(devices).any(leads_to)
    }

    /// An empty file on which a file is mounted, or a device node of the bundle.
    fn is_explained_file(&self, path: &Path, metadata: &Metadata) -> bool {
        let is_among = |places: &[PathBuf]| places.iter().any(|place| place == path);
        let is_empty = metadata.is_file() && metadata.len() == 0;
        let kind = metadata.file_type();
        let is_node = (kind.is_char_device() || kind.is_block_device()) && !is_whiteout(metadata);
        // In a user namespace, runtimes mount devices over empty files.
        (is_empty && (is_among(&self.explained.mounts) || is_among(&self.explained.devices)))
            || (is_node && is_among(&self.explained.devices))
    }

    /// Whether the engine made it before the first start, just as it makes it for every container.
    fn is_engines_file(&self, path: &Path, metadata: &Metadata) -> io::Result<bool> {
        if metadata.is_symlink() {
            let links = &self.explained.links;
            let Some((_, target)) = links.iter().find(|(link, _)| link == path) else {
                return Ok(false);
            };
            return Ok(std::fs::read_link(self.on_disk(path))? == *target);
        }
        if !metadata.is_file() || !self.explained.accounts.iter().any(|file| file == path) {
            return Ok(false);
        }
        let ours = read_capped(&self.on_disk(path), MAX_ACCOUNTS)?;
        let images = self.lower_file(path)?;
        Ok(adds_one_account(&images, &ours))
    }

    /// What the topmost layer that has this file has in it; nothing where none has.
    fn lower_file(&self, path: &Path) -> io::Result<Vec<u8>> {
        for lower in &self.rootfs.lowers {
            if let Some(metadata) = metadata(&inside(lower, path))? {
                if !metadata.is_file() {
                    break;
                }
                return read_capped(&inside(lower, path), MAX_ACCOUNTS);
            }
        }
        Ok(Vec::new())
    }

    fn leads_to_engines_file(&self, path: &Path) -> bool {
        let links = self.explained.links.iter().map(|(link, _)| link);
        let mut files = links.chain(&self.explained.accounts);
        files.any(|file| file.starts_with(path) && self.on_disk(file).symlink_metadata().is_ok())
    }

    /// Whether a directory hides something of the image: it is redirected, or opaque over a layer that has it.
    fn hides(&self, path: &Path) -> io::Result<bool> {
        let on_disk = self.on_disk(path);
        if xattr::has(&on_disk, REDIRECT)? {
            return Ok(true);
        }
        // A new directory is made opaque too, which hides nothing.
        Ok(xattr::has(&on_disk, OPAQUE)? && self.is_in_a_layer(path)?)
    }

    fn is_in_a_layer(&self, path: &Path) -> io::Result<bool> {
        for lower in &self.rootfs.lowers {
            if let Some(metadata) = metadata(&inside(lower, path))? {
                return Ok(!is_whiteout(&metadata));
            }
        }
        Ok(false)
    }

    fn on_disk(&self, path: &Path) -> PathBuf {
        inside(self.upper, path)
    }

    fn find(&mut self, path: &Path) {
        if !self.findings.iter().any(|found| found == path) {
            self.findings.push(path.to_path_buf());
        }
    }
}

/// Whether `after` is `before` and one more line, about a user or a group that is not root's.
fn adds_one_account(before: &[u8], after: &[u8]) -> bool {
    let Some(added) = after.strip_prefix(before) else {
        return false;
    };
    let Some(line) = std::str::from_utf8(added)
        .ok()
        .and_then(|added| added.strip_suffix('\n'))
    else {
        return false;
    };
    // `name:*:uid:gid:...` or `name:x:gid:...`; nobody logs in by it, and it makes nobody root.
    let mut fields = line.trim_start_matches('\n').split(':');
    let (name, password) = (fields.next(), fields.next());
    let number: Option<u32> = fields.next().and_then(|number| number.parse().ok());
    !line.trim_start_matches('\n').contains('\n')
        && name.is_some_and(|name| !name.is_empty())
        && matches!(password, Some("*" | "x"))
        && number.is_some_and(|number| number != 0)
}

/// Where a container's path is in a layer.
pub(crate) fn inside(layer: &Path, path: &Path) -> PathBuf {
    layer.join(path.strip_prefix("/").unwrap_or(path))
}

fn is_whiteout(metadata: &Metadata) -> bool {
    metadata.file_type().is_char_device() && metadata.rdev() == 0
}

fn metadata(path: &Path) -> io::Result<Option<Metadata>> {
    match std::fs::symlink_metadata(path) {
        Ok(metadata) => Ok(Some(metadata)),
        // Where a layer has a file instead of a directory, it does not have what would be in it.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;

    use super::{Explained, before_first_start, since_first_start};
    use crate::engine::Rootfs;
    use crate::engine::code::Code;
    use crate::policy::facts::Upper;

    struct Layers {
        _directory: tempfile::TempDir,
        rootfs: Rootfs,
        upper: PathBuf,
    }

    impl Layers {
        fn new() -> Self {
            let directory = tempfile::tempdir().expect("a temporary directory");
            let upper = directory.path().join("upper");
            let lower = directory.path().join("lower");
            std::fs::create_dir_all(&upper).expect("made");
            std::fs::create_dir_all(lower.join("usr/bin")).expect("made");
            let rootfs = Rootfs {
                path: directory.path().join("merged"),
                lowers: vec![lower],
                upper: Some(upper.clone()),
            };
            Self {
                _directory: directory,
                rootfs,
                upper,
            }
        }

        fn make(&self, entries: &[&str]) {
            for entry in entries {
                let path = self.upper.join(entry.trim_end_matches(['/', '=']));
                std::fs::create_dir_all(path.parent().expect("it has one")).expect("made");
                match entry.chars().last() {
                    Some('/') => std::fs::create_dir_all(&path).expect("made"),
                    Some('=') => std::fs::write(&path, "text").expect("written"),
                    _ => std::fs::write(&path, "").expect("written"),
                }
            }
        }
    }

    fn explained() -> Explained {
        Explained {
            mounts: ["/proc", "/etc/hosts", "/data/deep"]
                .map(PathBuf::from)
                .to_vec(),
            devices: vec!["/nodes/null".into()],
            cwd: "/srv/app".into(),
            ..Explained::default()
        }
    }

    fn paths(list: &[&str]) -> Vec<PathBuf> {
        list.iter().map(PathBuf::from).collect()
    }

    #[test]
    fn before_the_first_start_only_mount_points_and_the_working_directory_are_there() {
        for (entries, unexplained) in [
            (&[][..], &[][..]),
            (&["proc/", "etc/hosts", "data/deep/", "srv/app/"], &[]),
            (&["etc/hosts="], &["/etc/hosts"]),
            (&["srv/app/main="], &["/srv/app/main"]),
            (&["srv/app/more/"], &["/srv/app/more"]),
            (&["bin/app="], &["/bin/app"]),
            (&["opt/a/b/"], &["/opt/a/b"]),
            (&["data/other"], &["/data/other"]),
            (&["proc"], &[]),
            (&["nodes/null"], &[]),
            (&["nodes/null="], &["/nodes/null"]),
            (&["nodes/other"], &["/nodes/other"]),
        ] {
            let layers = Layers::new();
            layers.make(entries);
            let expected = match unexplained {
                [] => Upper::Clean,
                _ => Upper::NotPristine(paths(unexplained)),
            };
            let found = before_first_start(&layers.rootfs, &explained()).expect("readable");
            assert_eq!(found, expected, "{entries:?}");
        }
    }

    /// Needs root, as the gate does.
    #[test]
    fn device_nodes_are_explained_where_the_bundle_has_them() {
        use nix::sys::stat::{Mode, SFlag, makedev, mknod};
        for (name, device, clean) in [
            ("nodes/null", makedev(1, 3), true),
            ("nodes/null", makedev(0, 0), false),
            ("nodes/other", makedev(1, 3), false),
            ("proc", makedev(1, 3), false),
        ] {
            let layers = Layers::new();
            layers.make(&["nodes/"]);
            let path = layers.upper.join(name);
            if let Err(error) = mknod(&path, SFlag::S_IFCHR, Mode::S_IRUSR, device) {
                eprintln!(
                    "no device node can be made here ({error}): checked by 'make test' as root"
                );
                return;
            }
            let found = before_first_start(&layers.rootfs, &explained()).expect("readable");
            assert_eq!(found == Upper::Clean, clean, "{name}: {found:?}");
        }
    }

    #[test]
    fn a_symlink_explains_nothing() {
        let layers = Layers::new();
        symlink("/usr", layers.upper.join("proc")).expect("linked");
        let found = before_first_start(&layers.rootfs, &explained()).expect("readable");
        assert_eq!(found, Upper::NotPristine(paths(&["/proc"])));
    }

    #[test]
    fn what_the_engine_writes_for_every_container_is_explained_and_nothing_like_it() {
        const ROOT: &str = "root:x:0:0:root:/root:/bin/sh\n";
        let explained = Explained {
            links: vec![("/etc/mtab".into(), "/proc/mounts".into())],
            accounts: paths(&["/etc/passwd", "/etc/group"]),
            ..explained()
        };
        for (name, link, text, clean) in [
            ("etc/mtab", "/proc/mounts", "", true),
            ("etc/mtab", "/usr", "", false),
            ("etc/other", "/proc/mounts", "", false),
            ("etc/mtab", "", "", false),
            (
                "etc/passwd",
                "",
                "root:x:0:0:root:/root:/bin/sh\n12:*:12:0:container user:/:/bin/sh\n",
                true,
            ),
            (
                "etc/passwd",
                "",
                "root:x:0:0:root:/root:/bin/sh\n\n12:*:12:0::/:/bin/sh\n",
                true,
            ),
            ("etc/group", "", "12:x:12:12\n", true),
            ("etc/passwd", "", "root:x:0:0:root:/root:/bin/sh\n", false),
            ("etc/passwd", "", "12:*:12:0::/:/bin/sh\n", false),
            (
                "etc/passwd",
                "",
                "root:x:0:0:root:/root:/bin/sh\ne:*:0:0::/:/bin/sh\n",
                false,
            ),
            (
                "etc/passwd",
                "",
                "root:x:0:0:root:/root:/bin/sh\ne::5:0::/:/bin/sh\n",
                false,
            ),
            (
                "etc/passwd",
                "",
                "root:x:0:0:root:/root:/bin/sh\na:*:1:1::/:/x\nb:*:2:2::/:/x\n",
                false,
            ),
        ] {
            let layers = Layers::new();
            let lower = layers.rootfs.lowers[0].join("etc");
            std::fs::create_dir_all(&lower).expect("made");
            std::fs::write(lower.join("passwd"), ROOT).expect("written");
            let path = layers.upper.join(name);
            std::fs::create_dir_all(layers.upper.join("etc")).expect("made");
            if link.is_empty() {
                std::fs::write(&path, text).expect("written");
            } else {
                symlink(link, &path).expect("linked");
            }
            let expected = match clean {
                true => Upper::Clean,
                false => Upper::NotPristine(vec![PathBuf::from("/").join(name)]),
            };
            let found = before_first_start(&layers.rootfs, &explained).expect("readable");
            assert_eq!(found, expected, "{name} {link} {text:?}");
        }
    }

    #[test]
    fn since_the_first_start_only_code_counts() {
        let code = Code {
            files: paths(&["/srv/app/main"]),
            directories: paths(&["/usr/bin", "/usr/lib"]),
            through: paths(&["/etc/alternatives/app", "/opt"]),
            ..Code::default()
        };
        for (entries, changed) in [
            (&["var/log/app=", "srv/app/data=", "tmp/x="][..], &[][..]),
            (&["srv/app/main="], &["/srv/app/main"]),
            (&["srv="], &["/srv"]),
            (&["usr/bin/"], &[]),
            (&["usr/bin/new="], &["/usr/bin/new"]),
            (
                &["usr/lib/python/deep/x.so="],
                &["/usr/lib/python/deep/x.so"],
            ),
            (&["usr/share/x="], &[]),
            (&["etc/alternatives/app"], &["/etc/alternatives/app"]),
            (&["opt/data="], &[]),
        ] {
            let layers = Layers::new();
            layers.make(entries);
            let expected = match changed {
                [] => Upper::Clean,
                _ => Upper::Changed(paths(changed)),
            };
            let found = since_first_start(&layers.rootfs, &code, &explained()).expect("readable");
            assert_eq!(found, expected, "{entries:?}");
        }
    }

    #[test]
    fn a_mount_point_among_code_is_no_change() {
        let code = Code {
            files: paths(&["/etc/hosts"]),
            ..Code::default()
        };
        let layers = Layers::new();
        layers.make(&["etc/hosts"]);
        let found = since_first_start(&layers.rootfs, &code, &explained()).expect("readable");
        assert_eq!(found, Upper::Clean);
    }
}
