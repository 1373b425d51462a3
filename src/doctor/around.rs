//! Runtimes under their own names: what engines find, what other products bring along, and what the
//! gate itself becomes.

use std::path::{Path, PathBuf};

use super::Node;
use super::check::{Check, Findings};
use super::daemons::Daemon;
use super::programs::{NAMES, Way, way};
use crate::engine::RuntimeKind;
use crate::gate::real;
use crate::sys::lookup::real as real_path;

/// Runtimes of products that do not look in `PATH`: a directory, a pattern of one name below it, and
/// where the program is below that.
const BUNDLED: [(&str, &str); 6] = [
    ("/var/lib/rancher/k3s/data", "bin"),
    ("/var/lib/rancher/rke2/data", "bin"),
    ("/snap/docker", "bin"),
    ("/snap/microk8s", "bin"),
    ("/snap/k8s", "bin"),
    ("/usr/lib/cri-o-runc", ""),
];

/// The same, where the directory itself is known.
const FIXED: [&str; 4] = [
    "/usr/libexec/crio",
    "/usr/libexec/cri-o",
    "/usr/local/libexec/crio",
    "/usr/lib/podman",
];

pub(super) fn look(node: &Node<'_>, found: &mut Findings) {
    path(node, found);
    bundled(found);
    real_runtimes(node, found);
}

fn path(node: &Node<'_>, found: &mut Findings) {
    let check = Check::EnginePath;
    let mut told: Vec<PathBuf> = Vec::new();
    let mut is_any = false;
    for daemon in &node.daemons {
        for name in NAMES {
            for (place, program) in daemon.programs(name).into_iter().enumerate() {
                is_any = true;
                let leads = way(&program, Path::new("/"));
                if leads == Way::Gate || told.contains(&program) {
                    continue;
                }
                told.push(program.clone());
                tell(daemon, &program, place, leads, found);
            }
        }
    }
    match is_any {
        true => found.ok_unless_told(check, "every runc and crun that engines find is the gate"),
        false => found.note(check, "engines find neither runc nor crun", ""),
    }
}

fn tell(daemon: &Daemon, program: &Path, place: usize, leads: Way, found: &mut Findings) {
    let check = Check::EnginePath;
    let (name, at) = (&daemon.name, program.display());
    let what = match leads {
        Way::Missing => {
            let what = format!("'{at}' leads nowhere, and {name} finds it first");
            return found.warn(check, what, format!("rm '{at}'"));
        }
        Way::Wrapper => {
            format!("'{at}', which {name} finds, is a script that is not known to lead to vcn-hook")
        }
        Way::Gate | Way::Around => format!("'{at}', which {name} finds, is not vcn-hook"),
    };
    match place {
        0 => found.danger(check, what, super::CONFIGURE),
        // Whoever names it in full is root already.
        _ => found.warn(
            check,
            format!("'{at}' is not vcn-hook; {name} finds another one before it"),
            super::CONFIGURE,
        ),
    }
}

fn bundled(found: &mut Findings) {
    let check = Check::BundledRuntimes;
    let below = BUNDLED.iter().flat_map(|(above, inside)| {
        let entries = std::fs::read_dir(above).into_iter().flatten().flatten();
        entries.map(move |entry| entry.path().join(inside))
    });
    let mut seen = Vec::new();
    for directory in below.chain(FIXED.iter().map(PathBuf::from)) {
        for name in NAMES {
            let program = directory.join(name);
            // `current` leads to one of its neighbours.
            let Ok(real) = real_path(&program) else {
                continue;
            };
            if seen.contains(&real) || way(&program, Path::new("/")) != Way::Around {
                continue;
            }
            seen.push(real);
            let what = format!(
                "'{}' is not vcn-hook, and its product uses no other",
                program.display()
            );
            found.warn(check, what, fix_of(&program));
        }
    }
    found.ok_unless_told(check, "no other product has a runtime of its own here");
}

/// What is theirs is put back by its next update, so that the product must be told, or go.
fn fix_of(program: &Path) -> String {
    if program.starts_with("/snap") {
        let name = program
            .iter()
            .nth(2)
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        return format!(
            "snap remove {name}, and install it from a package that uses /usr/bin/runc"
        );
    }
    if program.starts_with("/var/lib/rancher") {
        return "set BinaryName = \"/usr/libexec/vcn-hook/gate/runc\" for every runtime in its containerd's config.toml.tmpl, and restart it".to_owned();
    }
    format!(
        "dpkg-divert or remove '{}', or tell its engine to use /usr/libexec/vcn-hook/gate/runc",
        program.display()
    )
}

fn real_runtimes(node: &Node<'_>, found: &mut Findings) {
    let check = Check::RealRuntime;
    for kind in [RuntimeKind::Runc, RuntimeKind::Crun] {
        let configured = node.gate.as_ref().ok().map(|gate| match kind {
            RuntimeKind::Runc => &gate.runtimes.runc,
            RuntimeKind::Crun => &gate.runtimes.crun,
        });
        let name = kind.as_str();
        let is_gate = |daemon: &Daemon| {
            let first = daemon.programs(name).into_iter().next();
            first.is_some_and(|program| way(&program, Path::new("/")) == Way::Gate)
        };
        match real::find(kind, configured.map(PathBuf::as_path)) {
            Some(real) => found.ok(check, format!("{name} is '{}'", real.display())),
            None if node.daemons.iter().any(is_gate) => {
                let what = format!(
                    "there is no real {name} that the gate could become: nothing that uses it starts"
                );
                found.danger(check, what, format!("apt-get install --reinstall {name}"));
            }
            None => {}
        }
    }
}
