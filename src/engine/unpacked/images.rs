//! Where an engine has the layers of an image.

use std::path::{Path, PathBuf};

use oci_spec::image::ImageManifest;

use super::super::containerd::Root;
use super::super::docker::{self, StoredLayer};
use super::super::docker_store;
use super::super::storage::records::{self, Layers};
use super::super::{Engines, storage, trouble};
use super::{Archive, Layer, Owners};
use crate::image::digest::{ChainId, Digest};
use crate::image::subjects::{
    Blobs as _, MAX_CONFIG, MAX_MANIFEST, descriptor_digest, parse_config,
};
use crate::sys::file::read_small;
use crate::verdict::{ReasonCode, Undecided};

/// An image that is known by its digests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Image {
    /// Its config.
    pub config: Digest,
    /// Its layers.
    pub chain: ChainId,
    /// A manifest of it, which names its layers' blobs.
    pub manifest: Option<Digest>,
}

/// Whose stores are looked in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Store {
    /// Docker's, with either image store.
    Docker,
    /// Podman's.
    Podman,
}

/// Every place where the image is unpacked: its layers, the bottom one first.
///
/// # Errors
/// `unreadable`, `unbound`; `no-identity` when it is unpacked nowhere.
pub fn image(engines: &Engines, store: Store, image: &Image) -> Result<Vec<Vec<Layer>>, Undecided> {
    let found = match store {
        Store::Docker => in_docker(engines, image)?,
        Store::Podman => in_storage(&engines.storage_roots, image)?,
    };
    if found.is_empty() {
        let detail = format!("the layers of image {} are not unpacked here", image.config);
        let hint = "list the engine's root in [engines] of config.toml";
        return Err(Undecided::new(ReasonCode::NoIdentity, detail, hint));
    }
    Ok(found)
}

fn in_docker(engines: &Engines, image: &Image) -> Result<Vec<Vec<Layer>>, Undecided> {
    let mut found = Vec::new();
    let roots = docker_roots(engines);
    for root in &roots {
        if docker::layer_record(root, &image.chain).exists() {
            found.push(in_graph(root, image.chain)?);
        }
    }
    // Without a manifest it is not Docker that has it in there.
    let Some(_) = image.manifest else {
        return Ok(found);
    };
    let own = roots.iter().map(|root| docker_store::own(root));
    for root in own.chain(engines.containerd_roots.iter().cloned()) {
        if Root::new(&root).database().exists() {
            found.append(&mut in_containerd(&root, image)?);
        }
    }
    Ok(found)
}

/// Docker's data roots, and those that `userns-remap` makes below them.
pub(super) fn docker_roots(engines: &Engines) -> Vec<PathBuf> {
    let mut roots = Vec::new();
    for root in &engines.docker_roots {
        let names = std::fs::read_dir(root).into_iter().flatten().flatten();
        let below = names.map(|entry| entry.path());
        roots.push(root.clone());
        roots.extend(below.filter(|path| docker::is_remapped(path)));
    }
    roots
}

/// The layers of a chain in the graph driver's directory, bottom first.
pub(super) fn in_graph(root: &Path, chain: ChainId) -> Result<Vec<Layer>, Undecided> {
    let owners = owners_of(root);
    let layer = |layer: StoredLayer| Layer {
        diff_id: layer.diff,
        directory: layer.files,
        archive: Archive::TarSplit(layer.record.join("tar-split.json.gz")),
        size: size_of(&layer.record),
        owners: owners.clone(),
    };
    let layers = docker::stored_layers(root, chain)?;
    Ok(layers.into_iter().rev().map(layer).collect())
}

/// The number that Docker writes down for its users; 0 where it cannot be read.
fn size_of(record: &Path) -> u64 {
    let bytes = read_small::<64>(&record.join("size")).unwrap_or_default();
    let text = String::from_utf8(bytes).unwrap_or_default();
    text.trim().parse().unwrap_or(0)
}

fn owners_of(root: &Path) -> Owners {
    let name = root.file_name().and_then(|name| name.to_str());
    let ids = name
        .filter(|_| docker::is_remapped(root))
        .and_then(|name| name.split_once('.'))
        .and_then(|(uid, gid)| Some((uid.parse().ok()?, gid.parse().ok()?)));
    ids.map_or_else(Owners::default, |(uid, gid)| Owners::from(uid, gid))
}

/// The layers that containerd has of the image, bottom first; one list for each namespace that has its own.
pub(super) fn in_containerd(root: &Path, image: &Image) -> Result<Vec<Vec<Layer>>, Undecided> {
    let unpacked = docker_store::image_layers(root, &image.chain)?;
    if unpacked.is_empty() {
        return Ok(Vec::new());
    }
    let diff_ids = diff_ids(root, image)?;
    let archives = archives(root, image, diff_ids.len());
    let mut found = Vec::new();
    for mut directories in unpacked {
        directories.reverse();
        if directories.len() != diff_ids.len() {
            let detail = format!(
                "containerd has {} layers of image {}, which has {}",
                directories.len(),
                image.config,
                diff_ids.len()
            );
            return Err(Undecided::new(
                ReasonCode::Unbound,
                detail,
                "remove the image, and pull it again",
            ));
        }
        let layers = directories.into_iter().zip(&diff_ids).zip(&archives);
        let layer =
            |((directory, diff_id), (archive, size)): ((_, &Digest), &(Archive, u64))| Layer {
                diff_id: *diff_id,
                directory,
                archive: archive.clone(),
                size: *size,
                owners: Owners::default(),
            };
        found.push(layers.map(layer).collect());
    }
    Ok(found)
}

/// The digests that the config names, once it is sure to be that config and to name that chain.
fn diff_ids(root: &Path, image: &Image) -> Result<Vec<Digest>, Undecided> {
    let content = Root::new(root).content();
    let path = docker_store::blobs(root).join(image.config.hex());
    let bytes = content
        .blob(&image.config, MAX_CONFIG)
        .map_err(|error| trouble::unreadable("the image's config", &path, &error))?;
    let config = bytes.and_then(|bytes| parse_config::<()>(&bytes).ok());
    config
        .filter(|config| config.digest == image.config && config.chain == image.chain)
        .map(|config| config.diff_ids)
        .ok_or_else(|| {
            let detail = format!(
                "containerd no longer has the config of image {}",
                image.config
            );
            Undecided::new(ReasonCode::Unreadable, detail, "pull the image again")
        })
}

/// The blob of each layer and how long it is, bottom first.
fn archives(root: &Path, image: &Image, count: usize) -> Vec<(Archive, u64)> {
    let gone = |why: &str| vec![(Archive::Gone(why.to_owned()), 0); count];
    let Some(manifest) = image.manifest else {
        return gone(
            "containerd no longer has the manifest that names its blob; pull the image again",
        );
    };
    let bytes = Root::new(root).content().blob(&manifest, MAX_MANIFEST);
    let bytes = bytes.ok().flatten();
    let parsed = bytes
        .filter(|bytes| Digest::of(bytes) == manifest)
        .and_then(|bytes| serde_json::from_slice::<ImageManifest>(&bytes).ok());
    let Some(manifest) = parsed.filter(|manifest| manifest.layers().len() == count) else {
        return gone(
            "containerd no longer has the manifest that names its blob; pull the image again",
        );
    };
    let blobs = docker_store::blobs(root);
    let layers = manifest.layers().iter();
    layers
        .map(|layer| match descriptor_digest::<()>(layer) {
            Ok(digest) => {
                let path = blobs.join(digest.hex());
                let why = "containerd no longer has its blob; pull the image again";
                if path.exists() {
                    (Archive::Blob { path, digest }, layer.size())
                } else {
                    (Archive::Gone(why.to_owned()), 0)
                }
            }
            Err(_) => (
                Archive::Gone("its blob is named by no SHA-256".to_owned()),
                0,
            ),
        })
        .collect()
}

fn in_storage(roots: &[PathBuf], image: &Image) -> Result<Vec<Vec<Layer>>, Undecided> {
    let mut found: Vec<Vec<Layer>> = Vec::new();
    for root in roots.iter().filter_map(|root| root.canonicalize().ok()) {
        let Some(top) = records::top_layer(std::slice::from_ref(&root), &image.config)? else {
            continue;
        };
        let layers = Layers::new(storage::stores(&root, roots));
        let stack = in_store(&image.config.to_string(), Some(top), &layers)?;
        bound(&stack, image)?;
        if !found.contains(&stack) {
            found.push(stack);
        }
    }
    Ok(found)
}

/// A layer of containers/storage and those below it, bottom first.
pub(super) fn in_store(
    of: &str,
    top: Option<String>,
    layers: &Layers,
) -> Result<Vec<Layer>, Undecided> {
    let stack = storage::stack(of, top, layers)?;
    let layer = |layer: records::Layer| {
        let record = layer.record;
        Some(Layer {
            diff_id: record.diff?,
            directory: layer.directory.join("diff"),
            archive: Archive::TarSplit(layer.tar_split),
            size: u64::try_from(record.size).unwrap_or(0),
            owners: Owners {
                uids: record.uids,
                gids: record.gids,
            },
        })
    };
    Ok(stack.into_iter().rev().filter_map(layer).collect())
}

/// Checks that the layers are those that the image's config names.
pub(super) fn bound(layers: &[Layer], image: &Image) -> Result<(), Undecided> {
    let diffs: Vec<_> = layers.iter().map(|layer| layer.diff_id).collect();
    if ChainId::of_layers(&diffs) == Some(image.chain) {
        return Ok(());
    }
    let detail = format!(
        "the layers that are stored for image {} are not those that its config names, {}",
        image.config, image.chain
    );
    let hint = "remove the image, and pull it again";
    Err(Undecided::new(ReasonCode::Unbound, detail, hint))
}
