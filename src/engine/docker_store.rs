//! Docker with the containerd image store: which image a container is of, and whether its layers are mounted.
//!
//! Owns how Docker's record, containerd's `meta.db` and the overlayfs
//! snapshotter's `metadata.db` fit together. The chain is the name under which
//! containerd committed the topmost layer; the mount must have exactly the
//! snapshots that lead from it down.

use std::path::{Path, PathBuf};

use super::bolt::{BoltError, Db, Tx, Visit};
use super::bundle::Bundle;
use super::containerd::{DOCKER_NAMESPACE, Root};
use super::docker;
use super::docker_files::{self, Record};
use super::home::Home;
use super::layers::MAX_LAYERS;
use super::mounts::View;
use super::{Container, Image, Rootfs, trouble};
use crate::image::digest::{ChainId, Digest};
use crate::image::identity::{EngineKind, Identity};
use crate::sys::file::read_capped;
use crate::verdict::{ReasonCode, Undecided};

/// The one snapshotter whose mounts name their layers.
pub(super) const SNAPSHOTTER: &str = "overlayfs";
/// containerd's own limit for a manifest.
const MAX_MANIFEST_SIZE: u64 = 8 << 20;

/// Where a container's files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    root: PathBuf,
}

/// A container's snapshots: its own, what is below it topmost first, and the name of the topmost image layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshots {
    /// The container's own snapshot.
    pub own: u64,
    /// What is below it, topmost first.
    pub below: Vec<u64>,
    /// The name of the topmost image layer.
    pub chain: ChainId,
}

/// Why the databases name no chain of snapshots.
#[derive(Debug)]
pub enum Fault {
    /// One of them cannot be read.
    Database(BoltError),
    /// Something that has to be there is missing or is not what containerd writes.
    Missing(&'static str),
}

impl From<BoltError> for Fault {
    fn from(error: BoltError) -> Self {
        Self::Database(error)
    }
}

impl Layout {
    /// Where Docker mounts the root file system of container `id`.
    pub(super) fn rootfs(root: &Path, id: &str) -> PathBuf {
        root.join("rootfs").join(SNAPSHOTTER).join(id)
    }

    /// Takes `<root>/rootfs/overlayfs/<id>` apart. `None` unless the root is one of `roots`.
    #[must_use]
    pub fn of(rootfs: &Path, id: &str, roots: &[PathBuf]) -> Option<Self> {
        let parent_if = docker::parent_if;
        let root = parent_if(rootfs, id)
            .and_then(|path| parent_if(path, SNAPSHOTTER))
            .and_then(|path| parent_if(path, "rootfs"))?;
        docker::is_listed(root, roots).then(|| Self {
            root: root.to_path_buf(),
        })
    }
}

/// Identifies container `id`, and binds it to the mounted snapshots.
///
/// # Errors
/// `no-identity`, `unbound`, `unreadable`.
pub fn identify(
    id: &str,
    bundle: Bundle,
    layout: Layout,
    containerd_roots: &[PathBuf],
) -> Result<Container, Undecided> {
    let record = docker::read_record(&layout.root, id, SNAPSHOTTER)?;
    let found = find(id, &layout.root, containerd_roots)?;
    let image = bind(&record, &bundle.rootfs(), &found, &View::own())?;
    Ok(Container {
        id: id.to_owned(),
        name: record.name(),
        image_name: Some(record.config.image),
        identity: image.identity,
        first_start: !record.started,
        pause: image.pause,
        home: Home::docker(layout.root),
        image_config: image.config,
        rootfs: image.rootfs,
        bundle,
    })
}

/// Binds the image of a container's record to the snapshots that are mounted at `rootfs`, which must be
/// those that containerd has of it.
///
/// # Errors
/// `no-identity`, `unbound`, `unreadable`.
pub(super) fn bind(
    record: &Record,
    rootfs: &Path,
    (containerd, snapshots): &(PathBuf, Snapshots),
    view: &View,
) -> Result<Image, Undecided> {
    let id = &record.id;
    let manifest = record.manifest.as_ref().map(|descriptor| descriptor.digest);
    let manifest = manifest.ok_or_else(|| {
        let detail = format!("Docker's record of container '{id}' names no image manifest");
        Undecided::new(
            ReasonCode::NoIdentity,
            detail,
            "start a container of an image",
        )
    })?;
    let blobs = blobs(containerd);
    let config = config_of(&blobs, &manifest)?;

    let home = snapshots_home(containerd);
    let mounted = view.rootfs(rootfs, &home)?;
    let expected = Rootfs {
        path: rootfs.to_path_buf(),
        lowers: snapshots
            .below
            .iter()
            .map(|id| snapshot_files(&home, *id))
            .collect(),
        upper: Some(snapshot_files(&home, snapshots.own)),
    };
    if mounted != expected {
        return Err(trouble::unbound(id, &expected, &mounted));
    }
    Ok(Image {
        identity: Identity {
            config,
            chain: Some(snapshots.chain),
            manifest: Some(manifest),
            engine: EngineKind::DockerContainerd,
        },
        config: blobs.join(config.hex()),
        rootfs: mounted,
        pause: false,
    })
}

/// Where containerd keeps content by its digest.
pub(super) fn blobs(root: &Path) -> PathBuf {
    root.join("io.containerd.content.v1.content/blobs/sha256")
}

/// Reads the manifest that Docker's record names, checks that it is that one, and says which config it names.
pub(super) fn config_of(blobs: &Path, manifest: &Digest) -> Result<Digest, Undecided> {
    let path = blobs.join(manifest.hex());
    let bytes = read_capped(&path, MAX_MANIFEST_SIZE)
        .map_err(|error| trouble::unreadable("the image's manifest", &path, &error))?;
    docker_files::config_of(&bytes, manifest).ok_or_else(|| docker::malformed(&path))
}

/// The containerd that has the container's snapshots: the system's, or the one that Docker runs itself.
pub(super) fn find(
    id: &str,
    docker: &Path,
    containerd_roots: &[PathBuf],
) -> Result<(PathBuf, Snapshots), Undecided> {
    let own = own(docker);
    let mut faults = Vec::new();
    for root in containerd_roots.iter().chain(std::iter::once(&own)) {
        match snapshots(root, id) {
            Ok(snapshots) => return Ok((root.clone(), snapshots)),
            Err(fault) => faults.push(format!("'{}': {fault}", root.display())),
        }
    }
    let detail = format!(
        "no containerd of this node has the layers of container '{id}': {}",
        faults.join(", ")
    );
    let hint = "list containerd's root in [engines] containerd_roots of config.toml";
    Err(Undecided::new(ReasonCode::NoIdentity, detail, hint))
}

/// The containerd that a Docker may run itself.
pub(super) fn own(docker: &Path) -> PathBuf {
    docker.join("containerd/daemon")
}

/// The files of one snapshot.
pub(super) fn snapshot_files(home: &Path, id: u64) -> PathBuf {
    home.join(id.to_string()).join("fs")
}

/// Where containerd keeps the files of snapshots.
pub(super) fn snapshots_home(root: &Path) -> PathBuf {
    root.join("io.containerd.snapshotter.v1.overlayfs/snapshots")
}

/// The layers that containerd has committed as `chain`, topmost first: one list for each namespace
/// that has its own.
///
/// # Errors
/// `unreadable` when its databases cannot be read.
pub(super) fn image_layers(root: &Path, chain: &ChainId) -> Result<Vec<Vec<PathBuf>>, Undecided> {
    let home = snapshots_home(root);
    let directory = |id: u64| snapshot_files(&home, id);
    let read = || {
        let names =
            Db::open(&Root::new(root).database())?.read(|tx| names_of(tx, &chain.to_string()))?;
        let store = Db::open(&root.join("io.containerd.snapshotter.v1.overlayfs/metadata.db"))?;
        let lists = names.iter().map(|name| {
            let layers = store.read(|tx| layers(tx, name))?;
            Ok(layers.into_iter().map(directory).collect())
        });
        lists.collect::<Result<_, Fault>>()
    };
    read().map_err(|fault: Fault| {
        let detail = format!("containerd's layers in '{}': {fault}", root.display());
        let hint = "restart containerd, and start it again";
        Undecided::new(ReasonCode::Unreadable, detail, hint)
    })
}

/// What the snapshotter calls the snapshots that some namespace knows as `called`.
fn names_of(tx: &Tx<'_>, called: &str) -> Result<Vec<Vec<u8>>, Fault> {
    let mut names = Vec::new();
    let Some(namespaces) = tx.bucket(&[b"v1"])? else {
        return Ok(names);
    };
    namespaces.for_each(|namespace, _| {
        let path = [
            b"v1",
            namespace,
            b"snapshots",
            SNAPSHOTTER.as_bytes(),
            called.as_bytes(),
        ];
        if let Some(bucket) = tx.bucket(&path)? {
            names.extend(bucket.value(b"name")?);
        }
        Ok::<_, Fault>(Visit::Continue)
    })?;
    Ok(names)
}

/// The numbers of a committed snapshot and of those below it.
fn layers(tx: &Tx<'_>, name: &[u8]) -> Result<Vec<u64>, Fault> {
    let mut numbers = Vec::new();
    let mut next = name.to_vec();
    while !next.is_empty() {
        if numbers.len() >= MAX_LAYERS {
            return Err(Fault::Missing("it has too many layers"));
        }
        let (number, parent) = snapshot(tx, &next)?;
        numbers.push(number);
        next = parent;
    }
    Ok(numbers)
}

/// Walks from the container's snapshot down to the bottom layer.
fn snapshots(root: &Path, id: &str) -> Result<Snapshots, Fault> {
    let metadata = Db::open(&Root::new(root).database())?;
    let name = metadata.read(|tx| snapshot_name(tx, id))?;
    let store = Db::open(&root.join("io.containerd.snapshotter.v1.overlayfs/metadata.db"))?;
    store.read(|tx| walk(tx, &name, id))
}

/// `v1/moby/snapshots/overlayfs/<id>/name` in `meta.db`: what the snapshotter calls the container's snapshot.
///
/// # Errors
/// [`Fault`].
pub fn snapshot_name(tx: &Tx<'_>, id: &str) -> Result<Vec<u8>, Fault> {
    let path = ["v1", DOCKER_NAMESPACE, "snapshots", SNAPSHOTTER, id];
    let bucket = tx.bucket(&path.map(str::as_bytes))?;
    let bucket = bucket.ok_or(Fault::Missing("it has no snapshot of it"))?;
    let name = bucket.value(b"name")?;
    name.ok_or(Fault::Missing("its snapshot has no name"))
}

/// Walks from the snapshot `name` of container `id` down to the bottom layer, in the snapshotter's `metadata.db`.
///
/// # Errors
/// [`Fault`].
pub fn walk(tx: &Tx<'_>, name: &[u8], id: &str) -> Result<Snapshots, Fault> {
    let (own, mut parent) = snapshot(tx, name)?;
    let mut below = Vec::new();
    let mut chain = None;
    while !parent.is_empty() {
        if below.len() > MAX_LAYERS {
            return Err(Fault::Missing("it has too many layers"));
        }
        let called = last_name(&parent);
        // Docker puts one layer of its own between the container's and the image's.
        if !(below.is_empty() && called == format!("{id}-init")) && chain.is_none() {
            let topmost = called.parse::<ChainId>();
            chain = Some(topmost.map_err(|_| Fault::Missing("its layer is no image's"))?);
        }
        let (number, next) = snapshot(tx, &parent)?;
        below.push(number);
        parent = next;
    }
    Ok(Snapshots {
        own,
        below,
        chain: chain.ok_or(Fault::Missing("it has no layers"))?,
    })
}

/// `v1/snapshots/<name>/{id,parent}` (containerd, `snapshots/storage/bolt.go`).
fn snapshot(tx: &Tx<'_>, name: &[u8]) -> Result<(u64, Vec<u8>), Fault> {
    let bucket = tx.bucket(&[b"v1", b"snapshots", name])?;
    let bucket = bucket.ok_or(Fault::Missing("the snapshotter does not know a snapshot"))?;
    let id = bucket.value(b"id")?.and_then(|bytes| uvarint(&bytes));
    let parent = bucket.value(b"parent")?.unwrap_or_default();
    let id = id.ok_or(Fault::Missing("a snapshot has no number"))?;
    Ok((id, parent))
}

/// The snapshotter's names are `<namespace>/<number>/<what the client called it>`.
fn last_name(name: &[u8]) -> String {
    let mut parts = name.splitn(3, |byte| *byte == b'/');
    let called = parts.nth(2).unwrap_or_default();
    String::from_utf8_lossy(called).into_owned()
}

/// Go's `binary.Uvarint`. `None` unless it is all of `bytes`.
fn uvarint(bytes: &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for (place, byte) in bytes.iter().enumerate() {
        let shift = u32::try_from(place).ok()?.checked_mul(7)?;
        let bits = u64::from(byte & 0x7f);
        number |= bits
            .checked_shl(shift)
            .filter(|shifted| shifted >> shift == bits)?;
        if byte & 0x80 == 0 {
            return (place + 1 == bytes.len()).then_some(number);
        }
    }
    None
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Database(error) => write!(f, "{error}"),
            Self::Missing(what) => f.write_str(what),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::{Layout, last_name, uvarint};

    #[test]
    fn knows_the_roots_that_are_listed() {
        let listed = [PathBuf::from("/var/lib/docker")];
        for (path, known) in [
            ("/var/lib/docker/rootfs/overlayfs/abc", true),
            ("/var/lib/docker/rootfs/overlayfs/other", false),
            ("/var/lib/docker/rootfs/native/abc", false),
            ("/home/eve/rootfs/overlayfs/abc", false),
        ] {
            let layout = Layout::of(Path::new(path), "abc", &listed);
            assert_eq!(layout.is_some(), known, "{path}");
        }
    }

    #[test]
    fn reads_the_numbers_that_go_writes() {
        for (bytes, number) in [
            (&[0][..], Some(0)),
            (&[0x7f], Some(127)),
            (&[0x80, 0x01], Some(128)),
            (&[0xac, 0x02], Some(300)),
            (&[0x80], None),
            (&[], None),
            (&[1, 1], None),
            (
                &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
                Some(u64::MAX),
            ),
            (
                &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02],
                None,
            ),
        ] {
            assert_eq!(uvarint(bytes), number, "{bytes:?}");
        }
    }

    #[test]
    fn a_client_cannot_name_a_snapshot_into_another_namespace() {
        assert_eq!(last_name(b"moby/7/sha256:abc"), "sha256:abc");
        assert_eq!(last_name(b"moby/7/x/sha256:abc"), "x/sha256:abc");
        assert_eq!(last_name(b"moby"), "");
    }
}
