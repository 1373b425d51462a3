//! The containers that one data root of Docker's has, running or not.
//!
//! Owns how their records are found, and that no image's layers are looked up twice.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::super::docker::{self, Layout};
use super::super::docker_files::Record;
use super::super::docker_store::{self, Snapshots};
use super::super::mounts::View;
use super::super::{Image, trouble};
use crate::image::digest::ChainId;
use crate::verdict::Undecided;

/// One data root.
pub(super) struct Docker {
    root: PathBuf,
    containers: Vec<Found>,
    layers: RefCell<HashMap<ChainId, Result<Vec<PathBuf>, Undecided>>>,
}

/// One container's record, and where its layers are.
pub(super) struct Found {
    pub(super) record: Record,
    place: Result<Place, Undecided>,
}

enum Place {
    /// In the graph driver's directory.
    Graph(Layout),
    /// In a containerd's.
    Snapshots((PathBuf, Snapshots)),
}

impl Docker {
    /// Reads all records of the data roots below `root`: its own, and those that `userns-remap` makes there.
    pub(super) fn read(
        root: &Path,
        containerd_roots: &[PathBuf],
        unread: &mut Vec<Undecided>,
    ) -> Vec<Self> {
        let Ok(root) = root.canonicalize() else {
            return Vec::new();
        };
        let names = std::fs::read_dir(&root).into_iter().flatten().flatten();
        let remapped = names
            .map(|entry| entry.path())
            .filter(|path| docker::is_remapped(path));
        std::iter::once(root.clone())
            .chain(remapped)
            .map(|root| Self::of(root, containerd_roots, unread))
            .collect()
    }

    fn of(root: PathBuf, containerd_roots: &[PathBuf], unread: &mut Vec<Undecided>) -> Self {
        let directory = root.join("containers");
        let mut containers = Vec::new();
        match std::fs::read_dir(&directory) {
            Ok(entries) => {
                for entry in entries.flatten() {
                    let id = entry.file_name().to_string_lossy().into_owned();
                    match docker::read_any_record(&root, &id) {
                        Ok(record) => containers.push(Found {
                            place: place(&root, &record, containerd_roots),
                            record,
                        }),
                        // One that is being made or removed has no record.
                        Err(_) if !entry.path().join("config.v2.json").exists() => {}
                        Err(undecided) => unread.push(undecided),
                    }
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => unread.push(trouble::unreadable(
                "Docker's containers",
                &directory,
                &error,
            )),
        }
        Self {
            root,
            containers,
            layers: RefCell::default(),
        }
    }

    pub(super) fn containers(&self) -> &[Found] {
        &self.containers
    }

    /// Where its graph driver has layers.
    pub(super) fn home(&self) -> PathBuf {
        self.root.join(docker::DRIVER)
    }

    /// The containerd that it may run itself.
    pub(super) fn containerd(&self) -> PathBuf {
        self.root.join("containerd/daemon")
    }

    /// Binds the image that a record names to the layers of a process.
    pub(super) fn image(&self, found: &Found, view: &View) -> Result<Image, Undecided> {
        let record = &found.record;
        match &found.place {
            Ok(Place::Graph(layout)) => {
                let layers = |chain| self.layers(chain);
                docker::bind(record, layout, &layout.rootfs(), layers, view)
            }
            Ok(Place::Snapshots(snapshots)) => {
                let rootfs = docker_store::Layout::rootfs(&self.root, &record.id);
                docker_store::bind(record, &rootfs, snapshots, view)
            }
            Err(undecided) => Err(undecided.clone()),
        }
    }

    fn layers(&self, chain: ChainId) -> Result<Vec<PathBuf>, Undecided> {
        let mut known = self.layers.borrow_mut();
        let layers = known.entry(chain);
        let layers = layers.or_insert_with(|| docker::image_layers(&self.root, chain));
        layers.clone()
    }
}

impl Found {
    /// The writable layer that the container is to have.
    pub(super) fn upper(&self) -> Option<PathBuf> {
        match self.place.as_ref().ok()? {
            Place::Graph(layout) => Some(layout.upper()),
            Place::Snapshots((containerd, snapshots)) => {
                let home = docker_store::snapshots_home(containerd);
                Some(docker_store::snapshot_files(&home, snapshots.own))
            }
        }
    }
}

fn place(root: &Path, record: &Record, containerd_roots: &[PathBuf]) -> Result<Place, Undecided> {
    match record.driver.as_str() {
        docker::DRIVER => Layout::of_container(root, &record.id).map(Place::Graph),
        docker_store::SNAPSHOTTER => {
            docker_store::find(&record.id, root, containerd_roots).map(Place::Snapshots)
        }
        other => Err(docker::not_layered(other)),
    }
}
