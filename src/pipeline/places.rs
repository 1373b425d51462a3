//! The node's places, as each stage of a decision wants to be told them.
//!
//! Owns the list of what no container may write. Where these places are is gate.bin's to say.

use std::path::{Path, PathBuf};

use crate::audit::Sinks;
use crate::engine::{Declared, Engines, Guarded};
use crate::policy::gatebin::{Bundle, GateBin};
use crate::sys::journal;

/// Where the engines keep their files on this node.
#[must_use]
pub fn engines(gate: &GateBin) -> Engines {
    Engines {
        docker_roots: gate.engines.docker_roots.clone(),
        containerd_roots: gate.engines.containerd_roots.clone(),
        storage_roots: gate.engines.storage_roots.clone(),
        bundles: gate.bundles.iter().map(declared).collect(),
    }
}

fn declared(bundle: &Bundle) -> Declared {
    Declared {
        path: bundle.path.clone(),
        config: bundle.config,
    }
}

/// What no container may write: whoever can, can allow anything.
pub(super) fn guarded(gate: &GateBin) -> Guarded {
    let GateBin {
        state_dir,
        run_dir,
        decisions,
        config_dir,
        runtimes,
        engines,
        bundles,
        ..
    } = gate;
    let own = [
        state_dir,
        run_dir,
        decisions,
        config_dir,
        &runtimes.runc,
        &runtimes.crun,
    ];
    let engines = [
        &engines.docker_roots,
        &engines.containerd_roots,
        &engines.storage_roots,
    ];
    let own = own
        .into_iter()
        .chain(engines.into_iter().flatten())
        // An unbound one is what its files are.
        .chain(bundles.iter().map(|bundle| &bundle.path))
        .cloned();
    // Whoever can replace a program of ours, or one that we may fall back on, is root at the next start.
    let ourselves = std::fs::read_link("/proc/self/exe").ok();
    let fixed = PROGRAMS
        .into_iter()
        .chain(ENGINE_BUNDLES)
        .map(PathBuf::from);
    let paths = own.chain(ourselves).chain(fixed).collect();
    Guarded {
        paths,
        sockets: ENGINE_SOCKETS.map(PathBuf::from).into(),
    }
}

/// Where records go.
pub(super) fn sinks(gate: &GateBin) -> Sinks<'_> {
    Sinks {
        decisions: &gate.decisions,
        run_dir: &gate.run_dir,
        journal: Path::new(journal::SOCKET),
    }
}

/// Where engines write the bundles that the runtime reads after us.
const ENGINE_BUNDLES: [&str; 4] = ["/run/containerd", "/run/docker", "/run/runc", "/run/crun"];

/// Where the runtimes are that the gate becomes.
const PROGRAMS: [&str; 9] = [
    "/usr/libexec/vcn-hook",
    "/usr/sbin/runc",
    "/usr/sbin/crun",
    "/usr/bin/runc",
    "/usr/bin/crun",
    "/usr/local/sbin/runc",
    "/usr/local/sbin/crun",
    "/usr/local/bin/runc",
    "/usr/local/bin/crun",
];

/// Whoever may write to one of these commands an engine or the node itself, and so is root.
const ENGINE_SOCKETS: [&str; 10] = [
    "/run/docker.sock",
    "/var/run/docker.sock",
    "/run/docker/containerd/containerd.sock",
    "/run/containerd/containerd.sock",
    "/run/containerd/s",
    "/run/crio/crio.sock",
    "/run/podman/podman.sock",
    "/run/buildkit/buildkitd.sock",
    "/run/systemd/private",
    "/run/dbus/system_bus_socket",
];
