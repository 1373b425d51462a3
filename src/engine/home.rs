//! Where an engine keeps what it makes itself for a container and mounts into it.
//!
//! Owns the names of these files. A name alone says little: what lies in
//! another container's shared memory, its container has put there.

use std::borrow::Cow;
use std::path::{Component, Path, PathBuf};

use crate::sys::lookup;

/// The directories of one engine, and whose layout they have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    root: PathBuf,
    kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    /// A bundle that no engine made: nothing in there is an engine's.
    Nobody,
    Docker,
    /// containers/storage.
    Storage {
        /// The directory for what a reboot may take.
        run: PathBuf,
        /// How the engine may call either, and what that really is.
        given: Vec<(PathBuf, PathBuf)>,
    },
}

impl Home {
    /// Docker's data root.
    #[must_use]
    pub const fn docker(root: PathBuf) -> Self {
        Self {
            root,
            kind: Kind::Docker,
        }
    }

    /// A bundle's directory, in which no engine keeps anything.
    #[must_use]
    pub const fn nobodys(root: PathBuf) -> Self {
        Self {
            root,
            kind: Kind::Nobody,
        }
    }

    /// A graph root of containers/storage, the names that it may be called by, and its run root as the
    /// engine calls it.
    #[must_use]
    pub fn storage(root: PathBuf, names: &[PathBuf], run: PathBuf) -> Self {
        let real = run.canonicalize().unwrap_or_else(|_| run.clone());
        let names = names.iter().map(|name| (name.clone(), root.clone()));
        let given = names.chain([(run, real.clone())]).collect();
        Self {
            root,
            kind: Kind::Storage { run: real, given },
        }
    }

    /// The engine's root directory.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// All directories that are the engine's.
    pub fn roots(&self) -> impl Iterator<Item = &Path> {
        let run = match &self.kind {
            Kind::Nobody | Kind::Docker => None,
            Kind::Storage { run, .. } => Some(run.as_path()),
        };
        std::iter::once(self.root.as_path()).chain(run)
    }

    /// Whether a source is a file or directory that the engine itself made for container `id`.
    #[must_use]
    pub fn made_for(&self, id: &str, source: &Path) -> bool {
        let containers = match self.kind {
            Kind::Nobody => return false,
            Kind::Docker => "containers",
            Kind::Storage { .. } => "overlay-containers",
        };
        let source = self.without_alias(source);
        let its = |root: &Path| source.starts_with(root.join(containers).join(id));
        self.roots().any(its)
            && self.made(&source)
            && lookup::real(&source).is_ok_and(|real| real == source)
    }

    /// A path that the engine wrote down, without the symlinks by which it calls its roots.
    fn without_alias<'a>(&self, source: &'a Path) -> Cow<'a, Path> {
        let given = match &self.kind {
            Kind::Docker | Kind::Nobody => &[][..],
            Kind::Storage { given, .. } => given,
        };
        let mut real = given.iter().filter_map(|(given, real)| {
            let inside = source.strip_prefix(given).ok()?;
            Some(real.join(inside))
        });
        real.next().map_or(Cow::Borrowed(source), Cow::Owned)
    }

    /// Whether a real path is one that the engine made for some container.
    #[must_use]
    pub fn made(&self, real: &Path) -> bool {
        let mut names = self.roots().filter_map(|root| real.strip_prefix(root).ok());
        names.any(|name| self.is_made_name(name))
    }

    /// Whether a real path below one of the engine's directories is one that containers may write.
    #[must_use]
    pub fn is_made_name(&self, name: &Path) -> bool {
        let mut parts = Vec::with_capacity(6);
        for part in name.components().take(6) {
            let Component::Normal(part) = part else {
                return false;
            };
            parts.push(part.to_str().unwrap_or_default());
        }
        match self.kind {
            Kind::Nobody => false,
            Kind::Docker => is_dockers(&parts),
            Kind::Storage { .. } => is_storages(&parts),
        }
    }
}

/// Whether a directory is among those that root listed.
#[must_use]
pub fn is_listed(directory: &Path, listed: &[PathBuf]) -> bool {
    // Engines resolve their root when they start; the list may name a symlink to it.
    listed.iter().any(|listed| {
        listed == directory || lookup::real(listed).is_ok_and(|real| real == directory)
    })
}

fn is_dockers(parts: &[&str]) -> bool {
    match parts {
        ["containers", _, "hosts" | "hostname" | "resolv.conf"]
        | ["containers", _, "mounts", "shm" | "secrets"]
        | ["containers", _, "mounts", "secrets", _] => true,
        ["volumes", _, "_data", ..] => true,
        // Where it mounts a part of a volume on the way; what that is, the place in the file system says.
        ["tmp", name] => name.starts_with("safe-mount"),
        _ => false,
    }
}

fn is_storages(parts: &[&str]) -> bool {
    match parts {
        ["overlay-containers", _, "userdata", name] => matches!(
            *name,
            ".containerenv"
                | "hosts"
                | "hostname"
                | "resolv.conf"
                | "localtime"
                | "passwd"
                | "group"
                | "shm"
                | "secrets"
        ),
        ["overlay-containers", _, "userdata", "run", "secrets"]
        | ["overlay-containers", _, "userdata", "secrets", _] => true,
        ["volumes", _, "_data", ..] => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::Home;

    fn docker(root: &Path) -> Home {
        Home::docker(root.to_path_buf())
    }

    fn storage(root: &Path) -> Home {
        Home::storage(root.join("graph"), &[], root.join("run"))
    }

    #[test]
    fn knows_the_names_of_dockers_own_mounts() {
        for (name, own) in [
            ("containers/abc/hosts", true),
            ("containers/abc/resolv.conf", true),
            ("containers/abc/mounts/shm", true),
            ("containers/abc/mounts/shm/x", false),
            ("containers/abc/mounts/secrets/x", true),
            ("containers/abc/mounts/secrets/x/y", false),
            ("containers/abc/mounts/x", false),
            ("volumes/data/_data", true),
            ("volumes/data/_data/sub", true),
            ("volumes/data/_data/a/b/c/d/e", true),
            ("volumes/data/_data/../../x", false),
            ("containers/abc/config.v2.json", false),
            ("containers/abc/hosts/x", false),
            ("containers/abc", false),
            ("tmp/safe-mount123", true),
            ("tmp/safe-mount123/x", false),
            ("tmp/x", false),
            ("volumes/data", false),
            ("volumes/metadata.db", false),
            ("overlay2/x/diff", false),
            ("overlay-containers/abc/userdata/hosts", false),
            ("", false),
        ] {
            let home = docker(Path::new("/root"));
            assert_eq!(home.is_made_name(Path::new(name)), own, "{name}");
        }
    }

    #[test]
    fn knows_the_names_of_podmans_own_mounts() {
        for (name, own) in [
            ("overlay-containers/abc/userdata/hosts", true),
            ("overlay-containers/abc/userdata/.containerenv", true),
            ("overlay-containers/abc/userdata/shm", true),
            ("overlay-containers/abc/userdata/shm/x", false),
            ("overlay-containers/abc/userdata/run/secrets", true),
            ("overlay-containers/abc/userdata/secrets/x", true),
            ("overlay-containers/abc/userdata/config.json", false),
            ("overlay-containers/abc/userdata", false),
            ("overlay-containers/containers.json", false),
            ("volumes/data/_data/sub", true),
            ("volumes/data", false),
            ("overlay/x/diff", false),
            ("containers/abc/hosts", false),
        ] {
            let home = storage(Path::new("/root"));
            assert_eq!(home.is_made_name(Path::new(name)), own, "{name}");
            let nobodys = Home::nobodys("/root".into());
            assert!(!nobodys.is_made_name(Path::new(name)), "{name}");
        }
    }

    #[test]
    fn an_engine_makes_mounts_for_their_own_container_and_no_symlinks() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let root = folder.path().canonicalize().expect("it is there");
        for id in ["abc", "other"] {
            for shm in [
                root.join("containers").join(id).join("mounts/shm"),
                root.join("graph/overlay-containers")
                    .join(id)
                    .join("userdata/shm"),
            ] {
                std::fs::create_dir_all(&shm).expect("made");
                std::os::unix::fs::symlink("/", shm.join("l")).expect("linked");
            }
        }
        let userdata = root.join("run/overlay-containers/abc/userdata");
        std::fs::create_dir_all(&userdata).expect("made");
        std::fs::write(userdata.join("hosts"), "").expect("written");
        for hostname in [
            root.join("containers/abc/hostname"),
            userdata.join("hostname"),
        ] {
            std::os::unix::fs::symlink("/etc/hostname", hostname).expect("linked");
        }
        std::os::unix::fs::symlink(root.join("run"), root.join("alias")).expect("linked");
        for (home, name, own) in [
            (docker(&root), "containers/abc/mounts/shm", true),
            (docker(&root), "containers/abc/mounts/shm/l", false),
            (docker(&root), "containers/other/mounts/shm", false),
            (docker(&root), "containers/other/mounts/shm/l", false),
            (docker(&root), "containers/abc/hostname", false),
            (docker(&root), "containers/abc/hosts", false),
            (
                storage(&root),
                "graph/overlay-containers/abc/userdata/shm",
                true,
            ),
            (
                storage(&root),
                "graph/overlay-containers/other/userdata/shm",
                false,
            ),
            (
                storage(&root),
                "graph/overlay-containers/abc/userdata/shm/l",
                false,
            ),
            (
                storage(&root),
                "run/overlay-containers/abc/userdata/hosts",
                true,
            ),
            (
                storage(&root),
                "run/overlay-containers/abc/userdata/hostname",
                false,
            ),
            (
                storage(&root),
                "overlay-containers/abc/userdata/hosts",
                false,
            ),
            (
                Home::storage(root.join("graph"), &[], root.join("alias")),
                "alias/overlay-containers/abc/userdata/hosts",
                true,
            ),
            (
                Home::storage(root.join("graph"), &[], root.join("alias")),
                "alias/overlay-containers/abc/userdata/hostname",
                false,
            ),
        ] {
            let source = root.join(name);
            assert_eq!(home.made_for("abc", &source), own, "{name}");
        }
    }
}
