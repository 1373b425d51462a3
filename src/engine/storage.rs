//! Podman with the overlay driver of containers/storage: which image a container is of, and whether
//! its layers are mounted.
//!
//! Owns the recipe: the container's record names an image, the layers' records
//! name what was unpacked, the image's config is what its name says, and the
//! kernel has just these layers mounted. What the records look like is
//! `records`', whether it has run before is `libpod`'s to say.

pub mod libpod;
mod pause;
pub mod records;

use std::path::{Path, PathBuf};

use self::records::{Container as Record, Layers};
use super::bundle::Bundle;
use super::docker::chain_of_config;
use super::home::{Home, is_listed};
use super::layers::MAX_LAYERS;
use super::mounts::View;
use super::{Container, Rootfs, mounts, trouble};
use crate::image::digest::{ChainId, Digest};
use crate::image::identity::{EngineKind, Identity};
use crate::sys::lookup::real;
use crate::verdict::{ReasonCode, Undecided};

pub use pause::may_be_pause;
pub use records::big_data_path;

/// Where a container's files are: a graph root as it really is, and every way that it is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    given: Vec<PathBuf>,
    root: PathBuf,
}

impl Layout {
    /// Takes `<root>/overlay-containers/<id>/userdata`, a bundle of Podman's, apart.
    /// `None` unless the root is one of `roots`.
    #[must_use]
    pub fn of(bundle: &Path, id: &str, roots: &[PathBuf]) -> Option<Self> {
        let given = bundle.ancestors().nth(3)?;
        if bundle != bundle_of(given, id) || !is_listed(given, roots) {
            return None;
        }
        Self::of_root(given, roots)
    }

    /// A graph root by the name that the engine goes by. `None` when it is not there.
    pub(super) fn of_root(given: &Path, roots: &[PathBuf]) -> Option<Self> {
        let root = given.canonicalize().ok()?;
        // Podman goes by the name that it was given, and runc remembers the real one.
        let same = |listed: &&PathBuf| listed.canonicalize().is_ok_and(|real| real == root);
        let given = std::iter::once(given.to_path_buf());
        let given = given.chain(roots.iter().filter(same).cloned()).collect();
        Some(Self { given, root })
    }

    /// Every path that the writable layer of a container may be called by.
    pub(super) fn uppers<'a>(&'a self, record: &'a Record) -> impl Iterator<Item = PathBuf> + 'a {
        let roots = self.given.iter().chain(std::iter::once(&self.root));
        roots.map(|root| root.join("overlay").join(&record.layer).join("diff"))
    }

    /// The bundle that the engine writes for a container.
    pub(super) fn bundle(&self, record: &Record) -> PathBuf {
        bundle_of(&self.root, &record.id)
    }

    /// The graph root as it really is.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// A path that the engine wrote down, without the symlinks by which it calls its root.
    fn real(&self, path: &Path) -> PathBuf {
        let mut inside = self.given.iter().filter_map(|g| path.strip_prefix(g).ok());
        inside
            .next()
            .map_or_else(|| path.to_path_buf(), |inside| self.root.join(inside))
    }
}

/// Where Podman writes the bundle of a container.
fn bundle_of(root: &Path, id: &str) -> PathBuf {
    root.join("overlay-containers").join(id).join("userdata")
}

/// What a storage says of a container that nothing is checked against.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Claim {
    /// The container's name.
    pub name: Option<String>,
    /// The image's name when the container was made.
    pub image_name: Option<String>,
    /// The image's id.
    pub image: Option<String>,
}

/// Reads what a storage that may be anybody's says of the container of a bundle.
#[must_use]
pub fn claim(bundle: &Path, id: &str) -> Option<Claim> {
    let root = bundle.ancestors().nth(3)?;
    if bundle != bundle_of(root, id) {
        return None;
    }
    let record = records::container(root, id).ok()?;
    Some(Claim {
        name: record.name(),
        image_name: record.image_name(),
        image: Some(record.image).filter(|image| Digest::from_hex(image).is_ok()),
    })
}

/// What has to be mounted for a container, and the chain that this amounts to.
struct Expected {
    rootfs: Rootfs,
    chain: ChainId,
}

/// Identifies container `id`, whose bundle is in `layout`, and binds it to the mounted layers.
/// An additional image store counts if it is one of `roots`.
///
/// # Errors
/// `no-identity`, `unbound`, `unreadable`.
pub fn identify(
    id: &str,
    bundle: Bundle,
    layout: &Layout,
    roots: &[PathBuf],
) -> Result<Container, Undecided> {
    let record = records::container(&layout.root, id)?;
    let layers = Layers::new(stores(&layout.root, roots));
    bind(&record, bundle, layout, &layers, &View::own())
}

/// Binds the image of a container's record to the layers that are mounted.
///
/// # Errors
/// `no-identity`, `unbound`, `unreadable`.
pub(super) fn bind(
    record: &Record,
    bundle: Bundle,
    layout: &Layout,
    layers: &Layers,
    view: &View,
) -> Result<Container, Undecided> {
    let Record { id, .. } = record;
    let config = image_of(record)?;
    let Expected { rootfs, chain } = expected(record, layers)?;
    let (image_config, named) = config_in(layers.stores(), &config)?;
    if named != chain {
        let detail = format!(
            "the layers of container '{id}' are {chain}, and those that its image names are {named}"
        );
        return Err(Undecided::new(
            ReasonCode::Unbound,
            detail,
            "remove the container and the image, and pull it again",
        ));
    }
    let mounted = mounted(&bundle, layout, layers.stores(), &rootfs, view)?;
    if mounted != rootfs {
        return Err(trouble::unbound(id, &rootfs, &mounted));
    }
    let state = libpod::state(&layout.root, id);
    let mut container = Container {
        id: id.clone(),
        name: record.name(),
        image_name: record.image_name(),
        identity: Identity {
            config,
            chain: Some(chain),
            manifest: None,
            engine: EngineKind::Podman,
        },
        first_start: !state.started,
        pause: false,
        home: Home::storage(layout.root.clone(), &layout.given, state.run_root),
        image_config,
        rootfs,
        bundle,
    };
    container.pause = pause::is_pause(&container);
    // It never writes, so whatever is in its upper layer was put there.
    container.first_start |= container.pause;
    Ok(container)
}

/// The image that the container's record names; one made from a directory (`--rootfs`) has none.
fn image_of(record: &Record) -> Result<Digest, Undecided> {
    Digest::from_hex(&record.image).map_err(|_| {
        let detail = format!(
            "Podman's record of container '{}' names no image",
            record.id
        );
        let hint = "start a container of an image, not of a directory";
        Undecided::new(ReasonCode::NoIdentity, detail, hint)
    })
}

/// The graph root itself, then the others, whose images it may use as an additional image store.
pub(super) fn stores(root: &Path, roots: &[PathBuf]) -> Vec<PathBuf> {
    let mut stores = vec![root.to_path_buf()];
    for other in roots.iter().filter_map(|root| real(root).ok()) {
        if !stores.contains(&other) {
            stores.push(other);
        }
    }
    stores
}

fn expected(record: &Record, layers: &Layers) -> Result<Expected, Undecided> {
    let id = &record.id;
    let own = layers
        .find(&record.layer)?
        .ok_or_else(|| missing(id, &record.layer))?;
    let below = stack(id, own.record.parent, layers)?;
    let own = own.directory;
    let lowers = below.iter().map(|layer| layer.directory.join("diff"));
    let lowers = lowers.collect();
    let mut diffs: Vec<_> = below.iter().filter_map(|layer| layer.record.diff).collect();
    diffs.reverse();
    let chain = ChainId::of_layers(&diffs).ok_or_else(|| {
        let detail = format!("the image of container '{id}' has no layers");
        Undecided::new(ReasonCode::NoIdentity, detail, "start one that has")
    })?;
    Ok(Expected {
        rootfs: Rootfs {
            path: own.join("merged"),
            lowers,
            upper: Some(own.join("diff")),
        },
        chain,
    })
}

/// A layer of an image and those below it, topmost first, each with a digest.
///
/// # Errors
/// `unbound` when one is not there or they are too many, `unreadable`.
pub(super) fn stack(
    of: &str,
    top: Option<String>,
    layers: &Layers,
) -> Result<Vec<records::Layer>, Undecided> {
    let mut found = Vec::new();
    let mut next = top;
    while let Some(current) = next {
        if found.len() > MAX_LAYERS {
            let detail = format!("'{of}' has more than {MAX_LAYERS} layers");
            let hint = "flatten the image";
            return Err(Undecided::new(ReasonCode::Unbound, detail, hint));
        }
        let layer = layers
            .find(&current)?
            .filter(|layer| layer.record.diff.is_some())
            .ok_or_else(|| missing(of, &current))?;
        next = layer.record.parent.clone();
        found.push(layer);
    }
    Ok(found)
}

fn missing(id: &str, layer: &str) -> Undecided {
    let detail = format!(
        "no store of this node has the record of layer '{layer}' of '{id}', or no \
         digest of it"
    );
    let hint = "list every additional image store in [engines] storage_roots of config.toml";
    Undecided::new(ReasonCode::Unbound, detail, hint)
}

/// The image's config, which must be the one that its name says; and the chain that it names.
fn config_in(stores: &[PathBuf], config: &Digest) -> Result<(PathBuf, ChainId), Undecided> {
    let paths: Vec<_> = stores
        .iter()
        .map(|store| big_data_path(store, config, &config.to_string()))
        .collect();
    let path = paths.iter().find(|path| path.exists());
    let path = path.or_else(|| paths.first()).cloned().unwrap_or_default();
    let chain = chain_of_config(&path, config)?;
    Ok((path, chain))
}

/// What the kernel has mounted, each layer by the directory that it really is.
fn mounted(
    bundle: &Bundle,
    layout: &Layout,
    stores: &[PathBuf],
    expected: &Rootfs,
    view: &View,
) -> Result<Rootfs, Undecided> {
    let path = layout.real(&bundle.rootfs());
    let home = layout.root.join("overlay");
    let mounted = view.rootfs(&path, &home)?;
    let mut lowers: Vec<_> = mounted
        .lowers
        .iter()
        .map(|lower| layout.real(lower))
        .collect();
    if !bundle.spec.linux.uid_mappings.is_empty()
        && let Some(own) = expected.path.parent()
    {
        lowers = without_mapping(&home, &own.join("mapped"), lowers, expected);
    }
    for store in stores {
        lowers = mounts::follow_links(&store.join("overlay"), lowers)?;
    }
    Ok(Rootfs {
        path,
        lowers,
        upper: mounted.upper.map(|upper| layout.real(&upper)),
    })
}

/// In a user namespace the layers are mounted through mounts with other owners, below the
/// container's own `mapped`, that are gone by now: the whole of `overlay` as `mapped/0` (Podman 4),
/// or each layer as `mapped/<n>` (Podman 5).
fn without_mapping(
    home: &Path,
    mapped: &Path,
    lowers: Vec<PathBuf>,
    expected: &Rootfs,
) -> Vec<PathBuf> {
    let real = |(place, lower): (usize, PathBuf)| {
        let Ok(inside) = lower.strip_prefix(mapped) else {
            return lower;
        };
        if let Ok(link) = inside.strip_prefix("0/l") {
            return home.join("l").join(link);
        }
        let of_place = Path::new(&place.to_string()).join("diff");
        match expected.lowers.get(place) {
            Some(layer) if inside == of_place => layer.clone(),
            _ => lower,
        }
    };
    lowers.into_iter().enumerate().map(real).collect()
}

#[cfg(test)]
#[path = "storage/tests.rs"]
mod tests;
