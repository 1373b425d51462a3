//! Docker with the overlay2 graph driver: which image a container is of, and whether its layers are mounted.
//!
//! Owns the layout below a data root (`containers/`, `image/overlay2/`,
//! `overlay2/`), the same from Docker 20.10 to 28. Trusts the daemon's own
//! files and the kernel's mounts, and nothing that a client can set.

use std::path::{Path, PathBuf};

use super::bundle::Bundle;
use super::docker_files::{self, Record};
use super::home::{self, Home};
use super::layers::MAX_LAYERS;
use super::mounts::View;
use super::{Container, Image, Rootfs, mounts, trouble};
use crate::image::digest::{ChainId, Digest};
use crate::image::identity::{EngineKind, Identity};
use crate::sys::file::{read_capped, read_small};
use crate::verdict::{ReasonCode, Undecided};

/// A container's record with a long health log and many labels.
const MAX_CONTAINER_SIZE: u64 = 16 << 20;
/// An image's config with a long history.
const MAX_IMAGE_SIZE: u64 = 8 << 20;

/// The one graph driver whose mounts name their layers, and its directory below a data root.
pub(super) const DRIVER: &str = "overlay2";

/// Where a container's files are: a data root, and the directory of its root file system in there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    root: PathBuf,
    mount_id: String,
}

impl Layout {
    /// Takes `<root>/overlay2/<id>/merged` apart. `None` unless the root is one of `roots`,
    /// or the `<uid>.<gid>` below one that `userns-remap` uses.
    #[must_use]
    pub fn of(rootfs: &Path, roots: &[PathBuf]) -> Option<Self> {
        let directory = parent_if(rootfs, "merged")?;
        let mount_id = directory.file_name()?.to_str()?.to_owned();
        let root = parent_if(directory.parent()?, "overlay2")?;
        is_listed(root, roots).then(|| Self {
            root: root.to_path_buf(),
            mount_id,
        })
    }
}

impl Layout {
    /// Where the files of container `id` of a data root are, by the layer store's own word.
    ///
    /// # Errors
    /// `unreadable`.
    pub(super) fn of_container(root: &Path, id: &str) -> Result<Self, Undecided> {
        Ok(Self {
            mount_id: read_word(&mount_record(root, id).join("mount-id"))?,
            root: root.to_path_buf(),
        })
    }

    /// Where the root file system is mounted.
    pub(super) fn rootfs(&self) -> PathBuf {
        self.root.join(DRIVER).join(&self.mount_id).join("merged")
    }

    /// The writable layer.
    pub(super) fn upper(&self) -> PathBuf {
        self.root.join(DRIVER).join(&self.mount_id).join("diff")
    }
}

/// Whether this is the root file system of a step of `BuildKit`'s.
#[must_use]
pub fn is_build(rootfs: &Path, roots: &[PathBuf]) -> bool {
    let executor = rootfs.parent().and_then(Path::parent);
    let root = executor
        .and_then(|path| parent_if(path, "executor"))
        .and_then(|path| parent_if(path, "buildkit"));
    root.is_some_and(|root| is_listed(root, roots))
}

pub(super) fn parent_if<'a>(path: &'a Path, name: &str) -> Option<&'a Path> {
    path.parent()
        .filter(|_| path.file_name() == Some(name.as_ref()))
}

pub(super) fn is_listed(root: &Path, roots: &[PathBuf]) -> bool {
    let above = root.parent().filter(|_| is_remapped(root));
    home::is_listed(root, roots) || above.is_some_and(|above| home::is_listed(above, roots))
}

pub(super) fn is_remapped(root: &Path) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    root.file_name()
        .and_then(|name| name.to_str()?.split_once('.'))
        .is_some_and(|(uid, gid)| digits(uid) && digits(gid))
}

/// Identifies container `id`, whose root file system is at `layout`, and binds it to the mounted layers.
///
/// # Errors
/// `no-identity`, `unbound`, `unreadable`.
pub fn identify(id: &str, bundle: Bundle, layout: Layout) -> Result<Container, Undecided> {
    let record = read_record(&layout.root, id, DRIVER)?;
    let layers = |chain| image_layers(&layout.root, chain);
    let image = bind(&record, &layout, &bundle.rootfs(), layers, &View::own())?;
    Ok(Container {
        id: id.to_owned(),
        name: record.name(),
        image_name: Some(record.config.image),
        identity: image.identity,
        first_start: !record.started,
        image_config: image.config,
        pause: image.pause,
        home: Home::docker(layout.root),
        rootfs: image.rootfs,
        bundle,
    })
}

/// Binds the image of a container's record to the layers that are mounted at `rootfs`.
///
/// # Errors
/// `no-identity`, `unbound`, `unreadable`.
pub(super) fn bind(
    record: &Record,
    layout: &Layout,
    rootfs: &Path,
    layers: impl FnOnce(ChainId) -> Result<Vec<PathBuf>, Undecided>,
    view: &View,
) -> Result<Image, Undecided> {
    let id = &record.id;
    let config = record.image.parse().map_err(|_| {
        let detail = format!("Docker's record of container '{id}' names no image digest");
        Undecided::new(
            ReasonCode::NoIdentity,
            detail,
            "start a container of an image",
        )
    })?;
    let (chain, expected) = expected_layers(layout, id, layers)?;
    let home = layout.root.join(DRIVER);
    let mounted = view.rootfs(rootfs, &home)?;
    let mounted = Rootfs {
        lowers: mounts::follow_links(&home, mounted.lowers)?,
        ..mounted
    };
    if mounted != expected {
        return Err(trouble::unbound(id, &expected, &mounted));
    }
    Ok(Image {
        identity: Identity {
            config,
            chain: Some(chain),
            manifest: None,
            engine: EngineKind::Docker,
        },
        config: config_path(&layout.root, &config),
        rootfs: mounted,
        pause: false,
    })
}

/// Reads the config of an image from `path`, checks that it is that one, and says which chain it names.
///
/// # Errors
/// `unreadable`.
pub fn chain_of_config(path: &Path, config: &Digest) -> Result<ChainId, Undecided> {
    let bytes = read_capped(path, MAX_IMAGE_SIZE)
        .map_err(|error| trouble::unreadable("the image's config", path, &error))?;
    docker_files::chain_of(&bytes, config).ok_or_else(|| malformed(path))
}

/// Where the config of an image is below a data root.
pub(super) fn config_path(root: &Path, config: &Digest) -> PathBuf {
    root.join("image/overlay2/imagedb/content/sha256")
        .join(config.hex())
}

/// Reads the record of container `id`, which must be on the storage driver `driver`.
pub(super) fn read_record(root: &Path, id: &str, driver: &str) -> Result<Record, Undecided> {
    let record = read_any_record(root, id)?;
    if record.driver != driver {
        return Err(not_layered(&record.driver));
    }
    Ok(record)
}

/// The layers of the other drivers are no mount's, so that the kernel cannot say which they are.
pub(super) fn not_layered(driver: &str) -> Undecided {
    let detail = format!("storage driver '{driver}' has no layers to bind");
    let hint = "use Docker's overlay2 storage driver";
    Undecided::new(ReasonCode::NoIdentity, detail, hint)
}

/// Reads the record of container `id`, whatever storage driver it is on.
pub(super) fn read_any_record(root: &Path, id: &str) -> Result<Record, Undecided> {
    let path = root.join("containers").join(id).join("config.v2.json");
    let bytes = read_capped(&path, MAX_CONTAINER_SIZE)
        .map_err(|error| trouble::unreadable("Docker's record", &path, &error))?;
    let record = Record::parse(&bytes).ok_or_else(|| malformed(&path))?;
    if record.id != id {
        let detail = format!(
            "Docker's record '{}' is of another container",
            path.display()
        );
        return Err(Undecided::new(
            ReasonCode::NoIdentity,
            detail,
            "restart Docker",
        ));
    }
    Ok(record)
}

/// What has to be mounted for this container, by the layer store; and the chain that this amounts to.
fn expected_layers(
    layout: &Layout,
    id: &str,
    layers: impl FnOnce(ChainId) -> Result<Vec<PathBuf>, Undecided>,
) -> Result<(ChainId, Rootfs), Undecided> {
    let Layout { root, mount_id } = layout;
    let home = root.join(DRIVER);
    let mount = mount_record(root, id);
    let init_id = read_word(&mount.join("init-id"))?;
    if read_word(&mount.join("mount-id"))? != *mount_id || init_id != format!("{mount_id}-init") {
        let detail = format!("the root file system '{mount_id}' is not that of container '{id}'");
        return Err(Undecided::new(
            ReasonCode::Unbound,
            detail,
            "create it again",
        ));
    }
    let chain = chain_of_container(root, id)?;
    let mut lowers = vec![home.join(init_id).join("diff")];
    lowers.append(&mut layers(chain)?);
    let rootfs = Rootfs {
        path: home.join(mount_id).join("merged"),
        lowers,
        upper: Some(home.join(mount_id).join("diff")),
    };
    Ok((chain, rootfs))
}

/// Where the layer store keeps what it knows of a container's mount.
fn mount_record(root: &Path, id: &str) -> PathBuf {
    root.join("image/overlay2/layerdb/mounts").join(id)
}

/// The layers of an image below a data root, topmost first, each checked to be the one that its name says.
///
/// # Errors
/// `unreadable` when the layer store does not have them all, `unbound` when they are too many.
pub(super) fn image_layers(root: &Path, chain: ChainId) -> Result<Vec<PathBuf>, Undecided> {
    let layers = stored_layers(root, chain)?;
    Ok(layers.into_iter().map(|layer| layer.files).collect())
}

/// A layer of the layer store.
#[derive(Debug)]
pub(super) struct StoredLayer {
    /// Of its archive.
    pub(super) diff: Digest,
    /// Where it is unpacked.
    pub(super) files: PathBuf,
    /// Where the layer store keeps what it knows of it.
    pub(super) record: PathBuf,
}

/// As [`image_layers`], with what is known of each.
///
/// # Errors
/// As [`image_layers`].
pub(super) fn stored_layers(root: &Path, chain: ChainId) -> Result<Vec<StoredLayer>, Undecided> {
    let home = root.join(DRIVER);
    let mut layers = Vec::new();
    let mut next = Some(chain);
    while let Some(current) = next {
        if layers.len() >= MAX_LAYERS {
            let detail = format!("the image of {chain} has more than {MAX_LAYERS} layers");
            return Err(Undecided::new(
                ReasonCode::Unbound,
                detail,
                "flatten the image",
            ));
        }
        let record = layer_record(root, &current);
        let diff: Digest = read_digest(&record.join("diff"))?;
        let below: Option<ChainId> = read_digest_if_any(&record.join("parent"))?;
        let computed = below.map_or_else(|| ChainId::from_digest(diff), |below| below.push(&diff));
        if computed != current {
            return Err(malformed(&record));
        }
        let files = home.join(read_word(&record.join("cache-id"))?).join("diff");
        layers.push(StoredLayer {
            diff,
            files,
            record,
        });
        next = below;
    }
    Ok(layers)
}

/// Where the layer store keeps what it knows of the topmost layer of a chain.
pub(super) fn layer_record(root: &Path, chain: &ChainId) -> PathBuf {
    root.join("image/overlay2/layerdb/sha256")
        .join(chain.digest().hex())
}

/// The chain that a container was made on.
///
/// # Errors
/// `unreadable`.
pub(super) fn chain_of_container(root: &Path, id: &str) -> Result<ChainId, Undecided> {
    read_digest(&mount_record(root, id).join("parent"))
}

/// Reads one word that Docker keeps in a file of its own, and that becomes part of a path.
fn read_word(path: &Path) -> Result<String, Undecided> {
    let bytes = read_small::<128>(path)
        .map_err(|error| trouble::unreadable("the layer store", path, &error))?;
    docker_files::word(bytes).ok_or_else(|| malformed(path))
}

fn read_digest<D: std::str::FromStr>(path: &Path) -> Result<D, Undecided> {
    match read_digest_if_any(path) {
        Ok(Some(digest)) => Ok(digest),
        Ok(None) => {
            let error = std::io::ErrorKind::NotFound.into();
            Err(trouble::unreadable("the layer store", path, &error))
        }
        Err(undecided) => Err(undecided),
    }
}

/// A bottom layer has no parent.
fn read_digest_if_any<D: std::str::FromStr>(path: &Path) -> Result<Option<D>, Undecided> {
    let bytes = match read_small::<128>(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        read => read.map_err(|error| trouble::unreadable("the layer store", path, &error))?,
    };
    let digest = docker_files::digest(&bytes);
    digest.map(Some).ok_or_else(|| malformed(path))
}

pub(super) fn malformed(path: &Path) -> Undecided {
    let detail = format!(
        "Docker's file '{}' is not what Docker writes",
        path.display()
    );
    Undecided::new(
        ReasonCode::Unreadable,
        detail,
        "restart Docker; if it stays so, remove the container and create it again",
    )
}

#[cfg(test)]
#[path = "docker_tests.rs"]
mod tests;
