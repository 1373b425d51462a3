//! What is really mounted in a container that was created and runs no code of its image yet.
//!
//! Owns the comparison of the container's own mount table with what its bundle
//! asked for: between the two, symlinks and directories of others decide where
//! a mount comes from and where it lands.

use std::path::{Path, PathBuf};

use super::code::Code;
use super::host::is_read_only;
use super::observe::{Going, OWN_KINDS, source_of};
use super::reach::{Guard, is_bind};
use super::{Container, Start, Verb, state, trouble};
use crate::policy::facts::{Facts, HostAccess, MountFault, MountFinding};
use crate::sys::lookup::real;
use crate::sys::mount::{Location, Mounts};
use crate::sys::mountinfo::{self, Line};
use crate::verdict::{ReasonCode, Undecided};

/// The mounts of one container.
pub(super) struct Table<'a> {
    /// This process's own mounts, to know a source by.
    host: &'a Mounts,
    /// Where they were read.
    path: PathBuf,
    /// All but the root file system.
    lines: Vec<Line>,
}

impl<'a> Table<'a> {
    /// Reads the mounts of the process that the runtime has made.
    ///
    /// # Errors
    /// `unreadable` when there is no such process, or when it is not in this root file system.
    pub(super) fn of(
        start: &Start,
        container: &Container,
        host: &'a Mounts,
    ) -> Result<Self, Undecided> {
        let pid = match start.init {
            Some(pid) => pid,
            None => state::init_of(start)?,
        };
        let path = mountinfo::path_of(pid);
        let failed = |error| trouble::unreadable("the container's mounts", &path, &error);
        let root = host.locate(&container.rootfs.path).map_err(failed)?;
        let lines = mountinfo::read_of(pid).map_err(failed)?;
        let rootfs = &container.rootfs.path;
        let lines = match start.verb {
            Verb::Hook => {
                let outside = host.holding(rootfs).map_err(failed)?;
                before_pivot(lines, rootfs, &root, outside.point == *rootfs)
            }
            _ => after_pivot(lines, &root),
        };
        let Some(lines) = lines else {
            let detail = format!(
                "process {pid} is not in the root file system '{}'",
                container.rootfs.path.display()
            );
            let hint = "create the container again";
            return Err(Undecided::new(ReasonCode::Unreadable, detail, hint));
        };
        Ok(Self { host, path, lines })
    }

    /// Adds what the bundle did not tell.
    ///
    /// # Errors
    /// `unreadable`.
    pub(super) fn judge(
        &self,
        going: &[Going<'_>],
        code: &Code,
        guard: &Guard<'_>,
        facts: &mut Facts,
    ) -> Result<(), Undecided> {
        for line in &self.lines {
            let point = &line.mount.point;
            let asked = self.asked_for(line, going);
            let (source, destination) = match asked {
                Some(going) => (
                    source_of(going.mount, &going.source),
                    going.mount.destination.clone(),
                ),
                None => (self.source(line, going), point.clone()),
            };
            let finding = |fault, touches| MountFinding {
                fault,
                source: source.clone(),
                destination: destination.clone(),
                touches,
            };
            // crun makes it read-only when its hooks have run.
            let promised = asked.is_some_and(|going| {
                line.mount.point == going.destination && is_read_only(going.mount)
            });
            let line = &Line {
                read_only: line.read_only || promised,
                ..line.clone()
            };
            let reached = guard
                .reached_through(line)
                .map_err(|error| trouble::unreadable("a mount of", &self.path, &error))?;
            if let Some(socket) = reached.socket.map(HostAccess::Socket)
                && !facts.host.contains(&socket)
            {
                facts.host.push(socket);
            }
            // Whatever was asked for has been judged by where it was to go, and is there.
            let covered = match asked {
                Some(_) => None,
                None => {
                    let own = OWN_KINDS.contains(&line.mount.kind.as_str());
                    let anywhere = || code.anywhere.filter(|_| !own).map(Path::new);
                    code.covered_by(point).or_else(anywhere)
                }
            };
            let covered = covered.map(Path::to_path_buf);
            let over_code = covered.map(|covered| finding(MountFault::OverCode, covered));
            let of_state = reached
                .guarded
                .map(|path| finding(MountFault::OfState, path));
            for found in over_code.into_iter().chain(of_state) {
                if !facts.mounts.contains(&found) {
                    facts.mounts.push(found);
                }
            }
        }
        Ok(())
    }

    /// The mount of the bundle that this is, or came along with.
    fn asked_for<'g, 'm>(&self, line: &Line, going: &'g [Going<'m>]) -> Option<&'g Going<'m>> {
        let location = line.mount.location();
        going.iter().find(|going| {
            let Ok(inside) = line.mount.point.strip_prefix(&going.destination) else {
                return false;
            };
            let itself = inside.as_os_str().is_empty();
            if !is_bind(going.mount) {
                return itself && going.mount.kind == line.mount.kind;
            }
            let Ok(real) = real(&going.source) else {
                return false;
            };
            let there = if itself { real } else { real.join(inside) };
            self.is_at(&there, &location)
        })
    }

    /// What to call the source of a mount that nobody asked for.
    fn source(&self, line: &Line, going: &[Going<'_>]) -> PathBuf {
        let location = line.mount.location();
        let asked = going
            .iter()
            .filter(|going| is_bind(going.mount))
            .find(|going| {
                let real = real(&going.source);
                real.is_ok_and(|real| self.is_at(&real, &location))
            });
        match asked {
            Some(going) => going.source.clone(),
            None if self.is_at(&line.mount.root, &location) => line.mount.root.clone(),
            // No path, so that no exception can be for it.
            None => format!("{}:{}", line.mount.kind, line.mount.root.display()).into(),
        }
    }

    /// Whether a path has no symlinks and is at this place.
    fn is_at(&self, path: &Path, location: &Location) -> bool {
        real(path).is_ok_and(|real| real == path)
            && self.host.locate(path).is_ok_and(|there| there == *location)
    }
}

/// The mounts of a process whose root directory is the container's; `None` when it is not.
fn after_pivot(lines: Vec<Line>, root: &Location) -> Option<Vec<Line>> {
    let is_root =
        |line: &Line| line.mount.point == Path::new("/") && line.mount.location() == *root;
    let (roots, lines): (Vec<_>, Vec<_>) = lines.into_iter().partition(is_root);
    (!roots.is_empty()).then_some(lines)
}

/// The mounts of a process that is about to make `rootfs` its root directory, as it will then see them.
///
/// It still has all mounts of the host, among them the root file system where that is `mounted` there.
/// Its own is the one that the runtime has mounted over it; `None` where there is none, and so in
/// every process but that container's.
fn before_pivot(
    lines: Vec<Line>,
    rootfs: &Path,
    root: &Location,
    mounted: bool,
) -> Option<Vec<Line>> {
    let stacked = |line: &&Line| line.mount.point == rootfs && line.mount.location() == *root;
    let own = lines.iter().filter(stacked).nth(usize::from(mounted))?;
    let mut ids = vec![own.mount.id];
    let mut inside = Vec::new();
    // A mount may stand before the one that it is on; as deep as this is, that is soon over.
    loop {
        let before = ids.len();
        for line in &lines {
            if !ids.contains(&line.parent) || ids.contains(&line.mount.id) {
                continue;
            }
            ids.push(line.mount.id);
            let mut line = line.clone();
            let point = line.mount.point.strip_prefix(rootfs).ok()?;
            line.mount.point = Path::new("/").join(point);
            inside.push(line);
        }
        if ids.len() == before {
            return Some(inside);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::Table;
    use crate::engine::Guarded;
    use crate::engine::bundle::Mount;
    use crate::engine::code::Code;
    use crate::engine::home::Home;
    use crate::engine::observe::Going;
    use crate::engine::reach::Guard;
    use crate::policy::facts::{Facts, MountFault};
    use crate::sys::mount::{Mount as Mounted, Mounts};
    use crate::sys::mountinfo::Line;

    fn line(host: &Mounts, source: &Path, point: &str, read_only: bool) -> Line {
        let there = host.locate(source).expect("it is there");
        Line {
            mount: Mounted {
                id: 2,
                device: there.device,
                root: there.inside,
                point: point.into(),
                kind: "ext4".to_owned(),
                options: Vec::new(),
            },
            parent: 1,
            read_only,
        }
    }

    #[test]
    fn what_is_mounted_counts_and_not_what_was_asked_for() {
        use MountFault::{OfState, OverCode};
        let folder = tempfile::tempdir().expect("a temporary directory");
        let base = folder.path().canonicalize().expect("it is there");
        for name in ["data/sub", "evil", "state/inner", "docker"] {
            std::fs::create_dir_all(base.join(name)).expect("made");
        }
        let bind = Mount {
            kind: "bind".to_owned(),
            destination: "/data".into(),
            ..Mount::default()
        };
        let going = |source: &str, destination: &str| Going {
            mount: &bind,
            source: base.join(source),
            destination: destination.into(),
            landing: destination.into(),
            is_init: false,
        };
        let going = [going("data", "/usr/bin/tools"), going("evil", "/data/l")];
        let code = Code {
            files: vec!["/opt/app".into()],
            directories: vec!["/usr/bin".into()],
            ..Code::default()
        };
        let guarded = Guarded {
            paths: vec![base.join("state"), base.join("docker")],
            sockets: Vec::new(),
        };
        let host = Mounts::ask();
        let docker = Home::docker(base.join("docker"));
        let guard = Guard::new(&host, &guarded, &docker);
        for (source, point, read_only, found) in [
            // As the bundle asks, and so the bundle's to judge.
            ("data", "/usr/bin/tools", false, None),
            ("data/sub", "/usr/bin/tools/sub", false, None),
            ("evil", "/data/l", false, None),
            // Through a symlink, and from a directory that was swapped.
            ("evil", "/usr/bin", false, Some(OverCode)),
            ("evil", "/usr/bin/tools", true, Some(OverCode)),
            ("state/inner", "/elsewhere", false, Some(OfState)),
            ("", "/elsewhere", false, Some(OfState)),
            ("state", "/elsewhere", true, None),
        ] {
            let table = Table {
                host: &host,
                path: PathBuf::from("/proc/1/mountinfo"),
                lines: vec![line(
                    &host,
                    &base.join(source).canonicalize().expect("it is there"),
                    point,
                    read_only,
                )],
            };
            let mut facts = Facts::none();
            table
                .judge(&going, &code, &guard, &mut facts)
                .expect("judged");
            let faults: Vec<_> = facts.mounts.iter().map(|found| found.fault).collect();
            let expected: Vec<_> = found.into_iter().collect();
            assert_eq!(faults, expected, "{source} on {point}");
        }
    }
}
