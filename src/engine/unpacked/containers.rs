//! The containers of a node, running or not, and the layers that each was made on.

use std::path::{Path, PathBuf};

use super::super::docker_files::Record as DockerRecord;
use super::super::storage::records::{self, Container as PodmanRecord, Layers};
use super::super::{Engines, docker, docker_store, storage};
use super::Layer;
use super::images::{self, Image};
use crate::image::digest::{ChainId, Digest};
use crate::verdict::{ReasonCode, Undecided};

/// A container by its engine's record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// Its id.
    pub id: String,
    /// Its name. Not to be trusted.
    pub name: Option<String>,
    /// What its user asked for. Not to be trusted.
    pub image_name: Option<String>,
    /// `docker` or `podman`.
    pub kind: &'static str,
    record: Record,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Record {
    Docker(PathBuf, DockerRecord),
    Podman(PathBuf, PodmanRecord),
}

/// The containers that `text` may mean: the one of this id or name, or else all whose id begins so.
/// The reasons why some record cannot be read come with them.
#[must_use]
pub fn containers(engines: &Engines, text: &str) -> (Vec<Container>, Vec<Undecided>) {
    let mut unread = Vec::new();
    let mut all = Vec::new();
    for root in images::docker_roots(engines) {
        all.append(&mut of_docker(&root, &mut unread));
    }
    for root in &engines.storage_roots {
        let Ok(root) = root.canonicalize() else {
            continue;
        };
        match records::containers(&root) {
            Ok(records) => all.extend(records.into_iter().map(|record| Container {
                id: record.id.clone(),
                name: record.name(),
                image_name: record.image_name(),
                kind: "podman",
                record: Record::Podman(root.clone(), record),
            })),
            Err(undecided) => unread.push(undecided),
        }
    }
    let is_meant = |found: &Container| found.id == text || found.name.as_deref() == Some(text);
    if all.iter().any(is_meant) {
        all.retain(is_meant);
    } else {
        all.retain(|found| !text.is_empty() && found.id.starts_with(text));
    }
    (all, unread)
}

fn of_docker(root: &Path, unread: &mut Vec<Undecided>) -> Vec<Container> {
    let mut found = Vec::new();
    // A root that is not there has no containers.
    let entries = std::fs::read_dir(root.join("containers"));
    for entry in entries.into_iter().flatten().flatten() {
        let id = entry.file_name().to_string_lossy().into_owned();
        match docker::read_any_record(root, &id) {
            Ok(record) => found.push(Container {
                id,
                name: record.name(),
                image_name: Some(record.config.image.clone()),
                kind: "docker",
                record: Record::Docker(root.to_path_buf(), record),
            }),
            // One that is being made or removed has none.
            Err(_) if !entry.path().join("config.v2.json").exists() => {}
            Err(undecided) => unread.push(undecided),
        }
    }
    found
}

impl Container {
    /// The image that it was made of and its layers, bottom first, each by its engine's record of this
    /// very container.
    ///
    /// # Errors
    /// `no-identity` for a container of no image, `unbound`, `unreadable`.
    pub fn unpacked(&self, engines: &Engines) -> Result<(Image, Vec<Layer>), Undecided> {
        match &self.record {
            Record::Docker(root, record) if record.driver == docker::DRIVER => {
                let config = record.image.parse().map_err(|_| self.no_image())?;
                let chain = docker::chain_of_container(root, &record.id)?;
                let layers = images::in_graph(root, chain)?;
                Ok((of(config, chain, None), layers))
            }
            Record::Docker(root, record) if record.driver == docker_store::SNAPSHOTTER => {
                self.in_containerd(root, record, &engines.containerd_roots)
            }
            Record::Docker(_, record) => Err(docker::not_layered(&record.driver)),
            Record::Podman(root, record) => {
                let config = Digest::from_hex(&record.image).map_err(|_| self.no_image())?;
                let layers = Layers::new(storage::stores(root, &engines.storage_roots));
                let own = layers.find(&record.layer)?;
                let below = own.and_then(|own| own.record.parent);
                let layers = images::in_store(&record.id, below, &layers)?;
                let diffs: Vec<_> = layers.iter().map(|layer| layer.diff_id).collect();
                let chain = ChainId::of_layers(&diffs).ok_or_else(|| self.no_image())?;
                Ok((of(config, chain, None), layers))
            }
        }
    }

    fn in_containerd(
        &self,
        root: &Path,
        record: &DockerRecord,
        containerd_roots: &[PathBuf],
    ) -> Result<(Image, Vec<Layer>), Undecided> {
        let manifest = record.manifest.as_ref().map(|manifest| manifest.digest);
        let manifest = manifest.ok_or_else(|| self.no_image())?;
        let (containerd, snapshots) = docker_store::find(&record.id, root, containerd_roots)?;
        let config = docker_store::config_of(&docker_store::blobs(&containerd), &manifest)?;
        let image = of(config, snapshots.chain, Some(manifest));
        let home = docker_store::snapshots_home(&containerd);
        let lowers = snapshots.below.iter().rev();
        let lowers: Vec<_> = lowers
            .map(|id| docker_store::snapshot_files(&home, *id))
            .collect();
        // Of several namespaces', the layers that this container is on; Docker's own one lies on top.
        let found = images::in_containerd(&containerd, &image)?;
        let layers = found.into_iter().find(|layers| {
            let its = layers.iter().map(|layer| &layer.directory);
            lowers.iter().take(layers.len()).eq(its)
        });
        let layers = layers.ok_or_else(|| {
            let detail = format!(
                "the layers of container '{}' are not those of image {config}",
                self.id
            );
            Undecided::new(ReasonCode::Unbound, detail, "create it again")
        })?;
        Ok((image, layers))
    }

    fn no_image(&self) -> Undecided {
        let detail = format!("the record of container '{}' names no image", self.id);
        let hint = "only containers of an image can be compared with one";
        Undecided::new(ReasonCode::NoIdentity, detail, hint)
    }
}

const fn of(config: Digest, chain: ChainId, manifest: Option<Digest>) -> Image {
    Image {
        config,
        chain,
        manifest,
    }
}
