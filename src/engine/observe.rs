//! What a digest does not say, observed of one start.
//!
//! Owns the order in which the upper layer, the mounts and host access are
//! looked at, and which mounts are the engine's own.

use std::io;
use std::path::{Path, PathBuf};

use super::bundle::Mount;
use super::code::Code;
use super::landing::landing;
use super::reach::{Guard, is_bind};
use super::upper::{self, Explained};
use super::{Container, Guarded, Start, host, layers, table, trouble};
use crate::image::identity::EngineKind;
use crate::policy::facts::{Facts, HostAccess, MountFault, MountFinding};
use crate::sys::file::check_owned_path;
use crate::sys::lookup::{Root, real};
use crate::sys::mount::Mounts;
use crate::verdict::Undecided;

/// The file systems that runtimes make anew for a container.
pub(super) const OWN_KINDS: [&str; 7] = [
    "proc", "sysfs", "tmpfs", "devpts", "mqueue", "cgroup", "cgroup2",
];

/// Programs that engines mount for `--init`, by where distributions put them.
const INITS: [&str; 6] = [
    "/usr/bin/docker-init",
    "/usr/sbin/docker-init",
    "/usr/local/bin/docker-init",
    "/usr/libexec/docker/docker-init",
    "/usr/libexec/podman/catatonit",
    "/usr/bin/catatonit",
];

/// The kernel's modules, which are no code of a container, though they are below `/lib`.
const MODULES: [&str; 2] = ["/lib/modules", "/usr/lib/modules"];

/// One mount of the bundle, and where it really goes.
pub(super) struct Going<'a> {
    pub mount: &'a Mount,
    pub source: PathBuf,
    /// Without symlinks of the image.
    pub destination: PathBuf,
    /// Where it lands over the mounts before it, whose symlinks a runtime follows too.
    pub landing: PathBuf,
    pub is_init: bool,
}

/// Looks at what a digest does not say: the upper layer, the mounts, host access.
///
/// # Errors
/// `unreadable` when something that must be looked at cannot be, `unbound` when the code that is
/// mounted is not that of the layers.
pub fn facts(start: &Start, container: &Container, guarded: &Guarded) -> Result<Facts, Undecided> {
    let path = &container.rootfs.path;
    let failed = |error: io::Error| trouble::unreadable("the root file system", path, &error);
    let root = Root::open(path).map_err(failed)?;
    let going = destinations(start, container, &root).map_err(failed)?;
    let spec = &container.bundle.spec;
    let code = Code::of(&root, &spec.process, behind_init(container, &going)).map_err(failed)?;
    // What has no layers has none that could be others than it seems.
    if !container.rootfs.lowers.is_empty()
        && let Some(program) = layers::foreign(&root, &code, &container.rootfs).map_err(failed)?
    {
        return Err(trouble::foreign(path, &program));
    }
    let explained = Explained {
        mounts: going
            .iter()
            .map(|going| going.destination.clone())
            .collect(),
        devices: devices(container, &root).map_err(failed)?,
        cwd: root.resolve(&spec.process.cwd).map_err(failed)?.path,
        ..by_engine(container.identity.engine)
    };
    let upper = if container.first_start {
        upper::before_first_start(&container.rootfs, &explained)
    } else {
        upper::since_first_start(&container.rootfs, &code, &explained)
    };
    let mut facts = Facts {
        upper: upper.map_err(failed)?,
        host: host::access(&container.bundle, &container.home),
        ..Facts::none()
    };
    let mounts = Mounts::ask();
    let guard = Guard::new(&mounts, guarded, &container.home);
    below_rootfs(container, &mounts, &mut facts).map_err(failed)?;
    over_code(container, &going, &code, &mut facts);
    of_state(start, container, &going, &guard, &mut facts)?;
    if start.is_made() {
        let table = table::Table::of(start, container, &mounts)?;
        table.judge(&going, &code, &guard, &mut facts)?;
    }
    Ok(facts)
}

fn destinations<'a>(
    start: &Start,
    container: &'a Container,
    root: &Root,
) -> io::Result<Vec<Going<'a>>> {
    let Container { bundle, rootfs, .. } = container;
    let mut going: Vec<Going<'_>> = Vec::with_capacity(bundle.spec.mounts.len());
    for mount in &bundle.spec.mounts {
        // A bind's source may be relative to the bundle.
        let source = bundle.path.join(&mount.source);
        let destination = root.resolve(&mount.destination)?.path;
        let landing = if start.is_made() {
            // What was mounted then is seen in the container's own table.
            destination.clone()
        } else {
            landing(&rootfs.path, &going, &mount.destination, &destination)?
        };
        going.push(Going {
            destination,
            landing,
            is_init: is_bind(mount) && is_init(&source),
            source,
            mount,
        });
    }
    Ok(going)
}

fn devices(container: &Container, root: &Root) -> io::Result<Vec<PathBuf>> {
    let devices = container.bundle.spec.linux.devices.iter();
    devices
        .map(|device| Ok(root.resolve(&device.path)?.path))
        .collect()
}

/// What an engine writes into every container before its first start.
fn by_engine(engine: EngineKind) -> Explained {
    match engine {
        EngineKind::Docker | EngineKind::DockerContainerd | EngineKind::Bundle => {
            Explained::default()
        }
        EngineKind::Podman => Explained {
            links: vec![("/etc/mtab".into(), "/proc/mounts".into())],
            accounts: ["/etc/passwd", "/etc/group"].map(PathBuf::from).into(),
            ..Explained::default()
        },
    }
}

/// Whether it is an engine's own `--init`: by its source, which only root can have changed.
pub(super) fn is_init(source: &Path) -> bool {
    let known = INITS.iter().any(|init| Path::new(init) == source);
    known
        && real(source)
            .and_then(|real| check_owned_path(&real))
            .is_ok()
}

/// What an engine's init may start: the word after the `--` that engines write, else any word.
fn behind_init<'a>(container: &'a Container, going: &[Going<'_>]) -> &'a [String] {
    let Some((first, rest)) = container.bundle.spec.process.args.split_first() else {
        return &[];
    };
    let is_init = |going: &Going<'_>| going.is_init && going.mount.destination == Path::new(first);
    if going.iter().any(is_init) {
        started_by_init(rest)
    } else {
        &[]
    }
}

fn started_by_init(words: &[String]) -> &[String] {
    match words {
        [dashes, command, ..] if dashes == "--" => std::slice::from_ref(command),
        words => words,
    }
}

fn below_rootfs(container: &Container, mounts: &Mounts, facts: &mut Facts) -> io::Result<()> {
    let rootfs = mounts.holding(&container.rootfs.path)?;
    for mount in mounts.below(&rootfs)? {
        // A root file system that is no mount of its own stands on one that has others.
        if !mount.point.starts_with(&container.rootfs.path) {
            continue;
        }
        facts.mounts.push(MountFinding {
            fault: MountFault::BelowRootfs,
            source: mount.kind.into(),
            destination: mount.point.clone(),
            touches: mount.point,
        });
    }
    Ok(())
}

fn over_code(container: &Container, going: &[Going<'_>], code: &Code, facts: &mut Facts) {
    for Going {
        mount,
        source,
        destination,
        landing,
        is_init,
    } in going
    {
        let modules = MODULES.iter().any(|modules| Path::new(modules) == source);
        let its_place = MODULES
            .iter()
            .any(|modules| Path::new(modules) == destination);
        let explained = *is_init || (is_bind(mount) && modules && its_place);
        let covered = if explained && landing == destination {
            None
        } else {
            let elsewhere = || code.covered_by(landing);
            let anywhere = || {
                let brought = code
                    .anywhere
                    .filter(|_| brings_files(container, mount, source));
                brought.map(Path::new)
            };
            code.covered_by(destination)
                .or_else(elsewhere)
                .or_else(anywhere)
        };
        if let Some(covered) = covered {
            facts.mounts.push(MountFinding {
                fault: MountFault::OverCode,
                source: source_of(mount, source),
                destination: mount.destination.clone(),
                touches: covered.to_path_buf(),
            });
        }
    }
}

/// Whether a mount may hold files of somebody's choice.
fn brings_files(container: &Container, mount: &Mount, source: &Path) -> bool {
    if is_bind(mount) {
        !container.home.made_for(&container.id, source)
    } else {
        !OWN_KINDS.contains(&mount.kind.as_str())
    }
}

pub(super) fn source_of(mount: &Mount, source: &Path) -> PathBuf {
    if is_bind(mount) {
        source.to_path_buf()
    } else {
        PathBuf::from(&mount.kind)
    }
}

fn of_state(
    start: &Start,
    container: &Container,
    going: &[Going<'_>],
    guard: &Guard<'_>,
    facts: &mut Facts,
) -> Result<(), Undecided> {
    for Going {
        mount,
        source,
        is_init,
        ..
    } in going
    {
        let finding = |touches: PathBuf| MountFinding {
            fault: MountFault::OfState,
            source: source_of(mount, source),
            destination: mount.destination.clone(),
            touches,
        };
        if !is_bind(mount) {
            // What a file system of another type reaches, nobody knows.
            if !OWN_KINDS.contains(&mount.kind.as_str()) {
                facts.mounts.push(finding(PathBuf::from(&mount.kind)));
            }
            continue;
        }
        if *is_init || container.home.made_for(&container.id, source) {
            continue;
        }
        let failed = |error: io::Error| trouble::unreadable("a mount's source", source, &error);
        let reached = match guard.reached_by(source, mount) {
            // It was mounted when the container was created, and has been removed or renamed since:
            // the container's own table says what it is.
            Err(error) if error.kind() == io::ErrorKind::NotFound && start.is_made() => {
                continue;
            }
            reached => reached.map_err(failed)?,
        };
        facts.mounts.extend(reached.guarded.map(finding));
        facts.host.extend(reached.socket.map(HostAccess::Socket));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::started_by_init;

    #[test]
    fn only_dashes_right_behind_an_init_tell_its_command() {
        for (words, commands) in [
            (&["--", "app", "x"][..], &["app"][..]),
            (&["--", "app", "--", "x"], &["app"]),
            (&["/evil", "--", "app"], &["/evil", "--", "app"]),
            (&["-s", "/evil"], &["-s", "/evil"]),
            (&["--"], &["--"]),
            (&[], &[]),
        ] {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            assert_eq!(started_by_init(&words), commands);
        }
    }
}
