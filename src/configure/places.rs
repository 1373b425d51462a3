//! Where things are on a machine.
//!
//! Owns the fixed paths of the engines' settings and of our own; everything
//! else is told them, so that it can be tried on a machine that is a folder.

use std::path::{Path, PathBuf};

use super::edit::MAX_SETTINGS;
use crate::engine::RuntimeKind;
use crate::sys::file::read_capped;

/// Where things are on a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// This program, which the links lead to.
    pub program: PathBuf,
    /// Where the real runtimes are kept, and our links in `gate` below.
    pub libexec: PathBuf,
    /// Where is written down what was done.
    pub records: PathBuf,
    /// The directories in which engines look for a runtime, first one first.
    pub path: Vec<PathBuf>,
    /// Docker's settings.
    pub daemon_json: PathBuf,
    /// Where Docker keeps its containers when nobody says where.
    pub docker_root: PathBuf,
    /// The directory of Podman's settings for the machine.
    pub containers: PathBuf,
    /// The directory of Podman's settings as its vendor ships them.
    pub containers_share: PathBuf,
    /// Debian's register of diverted files, where there is one.
    pub dpkg_divert: Option<PathBuf>,
    /// Processes, to find out how a daemon was started.
    pub proc: PathBuf,
}

/// As `PATH` has them for the daemons of every distribution.
const PATH: [&str; 6] = [
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
];

impl Places {
    /// Those of the machine that this runs on.
    #[must_use]
    pub fn of_machine(program: PathBuf) -> Self {
        let dpkg_divert = Path::new("/usr/bin/dpkg-divert");
        let is_debian = dpkg_divert.exists() && Path::new("/var/lib/dpkg/status").exists();
        Self {
            program,
            libexec: "/usr/libexec/vcn-hook".into(),
            // Not [state_dir]: a runtime that is called by its own name knows no configuration either.
            records: "/var/lib/vcn-hook/configured".into(),
            path: PATH.map(PathBuf::from).into(),
            daemon_json: "/etc/docker/daemon.json".into(),
            docker_root: "/var/lib/docker".into(),
            containers: "/etc/containers".into(),
            containers_share: "/usr/share/containers".into(),
            dpkg_divert: is_debian.then(|| dpkg_divert.into()),
            proc: "/proc".into(),
        }
    }

    /// Where the real runtime of a kind is kept.
    pub(super) fn real(&self, kind: RuntimeKind) -> PathBuf {
        self.libexec.join(kind.as_str())
    }

    /// Our link of a runtime's name, for an engine that is told which runtime to call.
    pub(super) fn gate(&self, kind: RuntimeKind) -> PathBuf {
        self.libexec.join("gate").join(kind.as_str())
    }

    /// Whether a settings file names our links, whoever owns it and whatever else is in it.
    pub(super) fn are_named_in(&self, path: &Path) -> bool {
        let gate = self.libexec.join("gate").display().to_string();
        let real = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let bytes = read_capped(&real, MAX_SETTINGS).unwrap_or_default();
        String::from_utf8_lossy(&bytes).contains(&gate)
    }

    /// The first program of that name that an engine would find.
    pub(super) fn find(&self, name: &str) -> Option<PathBuf> {
        let mut found = self.path.iter().map(|directory| directory.join(name));
        found.find(|path| path.is_file())
    }
}
