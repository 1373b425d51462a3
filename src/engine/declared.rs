//! A bundle that no engine made, and of which root says in config.toml what image it is.
//!
//! Owns whose word that is (nobody's, where others than root could have written the bundle), and how
//! it is bound: an overlay of layers that an engine of this node keeps must have the layers of that
//! image, all of them and in order. Other files are only said to be the image's; such an identity is
//! unbound.

use std::io;
use std::path::{Path, PathBuf};

use super::bundle::Bundle;
use super::home::Home;
use super::mounts::parse_overlay;
use super::{Container, Declared, Engines, Rootfs, docker, docker_store, mounts, trouble};
use crate::image::digest::{ChainId, Digest};
use crate::image::identity::{EngineKind, Identity};
use crate::sys::file::{check_owned_file, check_owned_path};
use crate::sys::mount::{Mount, Mounts};
use crate::verdict::{ReasonCode, Undecided};

/// What is mounted, and what of it is bound.
struct Bound {
    rootfs: Rootfs,
    chain: Option<ChainId>,
    /// Where an engine keeps the image's config; empty where none does.
    image_config: PathBuf,
}

/// The layers of one engine's image, for an overlay that has layers of that engine.
struct Expected {
    chain: ChainId,
    image_config: PathBuf,
    /// More than one list where the engine keeps the same layers several times.
    lowers: Vec<Vec<PathBuf>>,
}

/// The image that root says the bundle is, by whatever path the bundle was named.
pub(super) fn find(bundle: &Path, declared: &[Declared]) -> Option<Digest> {
    if declared.is_empty() {
        return None;
    }
    let real = bundle.canonicalize().ok()?;
    let is_it = |declared: &&Declared| {
        declared.path == real || declared.path.canonicalize().is_ok_and(|path| path == real)
    };
    declared.iter().find(is_it).map(|declared| declared.config)
}

/// Identifies the container that root says is of image `config`.
///
/// # Errors
/// `no-identity` where others than root can write the bundle, `unbound`, `unreadable`.
pub(super) fn identify(
    id: &str,
    bundle: Bundle,
    config: Digest,
    engines: &Engines,
) -> Result<Container, Undecided> {
    // The way to it as it was typed: the runtime takes that way once more.
    check_owned_file(&bundle.path.join("config.json"))
        .map_err(|error| not_roots(&bundle.path, &error))?;
    let real = bundle
        .path
        .canonicalize()
        .map_err(|error| trouble::unreadable("the bundle", &bundle.path, &error))?;
    let bundle = Bundle {
        path: real,
        ..bundle
    };
    let rootfs = real_rootfs(&bundle)?;
    only_roots(&bundle.path, &rootfs)?;
    let bound = bind(&rootfs, &bundle, &config, engines)?;
    Ok(Container {
        id: id.to_owned(),
        name: None,
        image_name: None,
        identity: Identity {
            config,
            chain: bound.chain,
            manifest: None,
            engine: EngineKind::Bundle,
        },
        // Nobody keeps count of its starts, so that what lies above its layers has no explanation.
        first_start: true,
        pause: false,
        home: Home::nobodys(bundle.path.clone()),
        image_config: bound.image_config,
        rootfs: bound.rootfs,
        bundle,
    })
}

/// The root file system's path, which must be the one that a runtime finds: without symlinks.
fn real_rootfs(bundle: &Bundle) -> Result<PathBuf, Undecided> {
    let rootfs = bundle.rootfs();
    let real = rootfs
        .canonicalize()
        .map_err(|error| trouble::unreadable("the root file system", &rootfs, &error))?;
    if real == rootfs {
        return Ok(rootfs);
    }
    let detail = format!(
        "the root file system '{}' of the bundle '{}' is reached through a symlink",
        rootfs.display(),
        bundle.path.display()
    );
    let hint = "write the path that it leads to into the bundle's config.json";
    Err(Undecided::new(ReasonCode::NoIdentity, detail, hint))
}

fn bind(
    rootfs: &Path,
    bundle: &Bundle,
    config: &Digest,
    engines: &Engines,
) -> Result<Bound, Undecided> {
    let known = Mounts::ask();
    let mount = known
        .holding(rootfs)
        .map_err(|error| trouble::mounts(rootfs, &error))?;
    if mount.kind == "overlay" && mount.point == rootfs {
        let bound = bind_overlay(&known, &mount, config, engines)?;
        for lower in &bound.rootfs.lowers {
            only_roots(&bundle.path, lower)?;
        }
        if let Some(upper) = &bound.rootfs.upper {
            only_roots(&bundle.path, &upper.join("any"))?;
        }
        return Ok(bound);
    }
    only_roots(&bundle.path, &rootfs.join("any"))?;
    let rootfs = Rootfs {
        path: rootfs.to_path_buf(),
        ..Rootfs::default()
    };
    Ok(unbound(rootfs))
}

/// Files that nothing but root's word says are the image's.
fn unbound(rootfs: Rootfs) -> Bound {
    Bound {
        rootfs,
        chain: None,
        image_config: PathBuf::new(),
    }
}

fn bind_overlay(
    known: &Mounts,
    mount: &Mount,
    config: &Digest,
    engines: &Engines,
) -> Result<Bound, Undecided> {
    let path = mount.point.as_path();
    for root in &engines.docker_roots {
        let root = root.canonicalize().unwrap_or_else(|_| root.clone());
        let home = root.join("overlay2");
        let (_, mut mounted) = mounts::rootfs(known, path, &home)?;
        if has_layers_of(&home, &mounted) {
            mounted.lowers = mounts::follow_links(&home, mounted.lowers)?;
            return bound(mounted, of_docker(&root, config)?);
        }
        // Docker with the containerd store may run a containerd of its own.
        let own = root.join("containerd/daemon");
        if let Some(bound) = bind_snapshots(known, path, &own, config)? {
            return Ok(bound);
        }
    }
    for root in &engines.containerd_roots {
        let root = root.canonicalize().unwrap_or_else(|_| root.clone());
        if let Some(bound) = bind_snapshots(known, path, &root, config)? {
            return Ok(bound);
        }
    }
    let (_, mounted) = mounts::rootfs(known, path, Path::new("/"))?;
    let overlay = parse_overlay(&mount.options).unwrap_or_default();
    if overlay
        .lowers
        .iter()
        .chain(&overlay.upper)
        .any(|path| path.is_relative())
    {
        let detail = format!(
            "the layers mounted at '{}' are named relative to a directory that nobody knows",
            path.display()
        );
        let hint = "mount them by absolute paths";
        return Err(Undecided::new(ReasonCode::Unbound, detail, hint));
    }
    for lower in &mounted.lowers {
        only_roots(path, &lower.join("any"))?;
    }
    Ok(unbound(mounted))
}

fn bind_snapshots(
    known: &Mounts,
    path: &Path,
    root: &Path,
    config: &Digest,
) -> Result<Option<Bound>, Undecided> {
    let home = docker_store::snapshots_home(root);
    let (_, mounted) = mounts::rootfs(known, path, &home)?;
    if !has_layers_of(&home, &mounted) {
        return Ok(None);
    }
    let image_config = docker_store::blobs(root).join(config.hex());
    let chain = docker::chain_of_config(&image_config, config)?;
    let lowers = docker_store::image_layers(root, &chain)?;
    let expected = Expected {
        chain,
        image_config,
        lowers,
    };
    bound(mounted, expected).map(Some)
}

fn of_docker(root: &Path, config: &Digest) -> Result<Expected, Undecided> {
    let image_config = docker::config_path(root, config);
    let chain = docker::chain_of_config(&image_config, config)?;
    let lowers = vec![docker::image_layers(root, chain)?];
    Ok(Expected {
        chain,
        image_config,
        lowers,
    })
}

fn has_layers_of(home: &Path, mounted: &Rootfs) -> bool {
    mounted.lowers.iter().any(|lower| lower.starts_with(home))
}

fn bound(mounted: Rootfs, expected: Expected) -> Result<Bound, Undecided> {
    if !expected.lowers.contains(&mounted.lowers) {
        let detail = format!(
            "the {} layers mounted at '{}' are not those of the image that config.toml says the bundle is",
            mounted.lowers.len(),
            mounted.path.display()
        );
        let hint = "mount the layers of that image, all of them and in its order";
        return Err(Undecided::new(ReasonCode::Unbound, detail, hint));
    }
    Ok(Bound {
        rootfs: mounted,
        chain: Some(expected.chain),
        image_config: expected.image_config,
    })
}

/// Nobody but root may have a say in what is at `path`.
fn only_roots(bundle: &Path, path: &Path) -> Result<(), Undecided> {
    check_owned_path(path).map_err(|error| not_roots(bundle, &error))
}

fn not_roots(bundle: &Path, error: &io::Error) -> Undecided {
    let detail = format!(
        "the bundle '{}' is not root's alone: {error}",
        bundle.display()
    );
    let hint = "give it, and every directory on the way to it, to root, writable by nobody else";
    Undecided::new(ReasonCode::NoIdentity, detail, hint)
}
