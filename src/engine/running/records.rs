//! What the engines of this node have on record, running or not.
//!
//! Owns by what a process is matched with a record: the writable layer that is mounted as its root,
//! which no two containers share. Whether the record then holds is the engine's own code to say.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::super::docker_store::snapshots_home;
use super::super::mounts::View;
use super::super::storage::records::Container as PodmanRecord;
use super::super::{Engines, Image};
use super::Source;
use super::docker::{Docker, Found};
use super::podman::Podman;
use crate::sys::lookup::cleaned;
use crate::verdict::Undecided;

/// The records of all engines.
pub(super) struct Records {
    docker: Vec<Docker>,
    podman: Vec<Podman>,
    /// Where the engines have their layers.
    homes: Vec<PathBuf>,
}

/// One container of one engine.
#[derive(Clone, Copy)]
pub(super) enum Record<'a> {
    Docker(&'a Docker, &'a Found),
    Podman(&'a Podman, &'a PodmanRecord),
}

/// Where a writable layer is, and whose.
pub(super) struct Place<'a> {
    pub(super) path: PathBuf,
    pub(super) record: Option<Record<'a>>,
}

/// The records by what they can be found by.
pub(super) struct Index<'a> {
    uppers: HashMap<PathBuf, Record<'a>>,
    ids: HashMap<&'a str, Record<'a>>,
    homes: &'a [PathBuf],
}

impl Records {
    pub(super) fn read(engines: &Engines, unread: &mut Vec<Undecided>) -> Self {
        let Engines {
            docker_roots,
            containerd_roots,
            storage_roots,
            ..
        } = engines;
        let mut docker = Vec::new();
        for root in docker_roots {
            docker.append(&mut Docker::read(root, containerd_roots, unread));
        }
        let mut podman = Vec::new();
        for root in storage_roots {
            podman.extend(Podman::read(root, storage_roots, unread));
        }
        let containerds = docker.iter().map(Docker::containerd);
        let containerds = containerds.chain(containerd_roots.iter().cloned());
        let homes = containerds
            .map(|root| snapshots_home(&root.canonicalize().unwrap_or(root)))
            .chain(docker.iter().map(Docker::home))
            .chain(podman.iter().map(Podman::home))
            .collect();
        Self {
            docker,
            podman,
            homes,
        }
    }

    pub(super) fn index(&self) -> Index<'_> {
        let mut uppers = HashMap::new();
        let mut ids = HashMap::new();
        for engine in &self.docker {
            for found in engine.containers() {
                let record = Record::Docker(engine, found);
                ids.insert(found.record.id.as_str(), record);
                uppers.extend(found.upper().map(|upper| (upper, record)));
            }
        }
        for engine in &self.podman {
            for container in engine.containers() {
                let record = Record::Podman(engine, container);
                ids.insert(container.id.as_str(), record);
                uppers.extend(engine.uppers(container).map(|upper| (upper, record)));
            }
        }
        Index {
            uppers,
            ids,
            homes: &self.homes,
        }
    }
}

impl<'a> Index<'a> {
    /// Where a writable layer is among those of the engines. A relative one is below some engine's
    /// directory: the options of its mount did not fit in a page.
    pub(super) fn place(&self, upper: &Path) -> Option<Place<'a>> {
        let mut below = Vec::new();
        for path in self.homes.iter().map(|home| cleaned(&home.join(upper))) {
            if let Some(record) = self.uppers.get(&path).copied() {
                let record = Some(record);
                return Some(Place { path, record });
            }
            if self.homes.iter().any(|home| path.starts_with(home)) {
                below.push(path);
            }
        }
        let there = below.iter().find(|path| path.exists());
        let path = there.or_else(|| below.first())?.clone();
        Some(Place { path, record: None })
    }

    pub(super) fn by_id(&self, id: &str) -> Option<Record<'a>> {
        self.ids.get(id).copied()
    }
}

impl Record<'_> {
    pub(super) fn id(&self) -> &str {
        match self {
            Self::Docker(_, found) => &found.record.id,
            Self::Podman(_, record) => &record.id,
        }
    }

    pub(super) const fn source(&self) -> Source {
        match self {
            Self::Docker(..) => Source::Docker,
            Self::Podman(..) => Source::Podman,
        }
    }

    pub(super) fn name(&self) -> Option<String> {
        match self {
            Self::Docker(_, found) => found.record.name(),
            Self::Podman(_, record) => record.name(),
        }
    }

    pub(super) fn image_name(&self) -> Option<String> {
        match self {
            Self::Docker(_, found) => Some(found.record.config.image.clone()),
            Self::Podman(_, record) => record.image_name(),
        }
    }

    /// Binds the image that it names to the layers of a process.
    pub(super) fn image(&self, view: &View) -> Result<Image, Undecided> {
        match self {
            Self::Docker(engine, found) => engine.image(found, view),
            Self::Podman(engine, record) => engine.image(record, view),
        }
    }
}
