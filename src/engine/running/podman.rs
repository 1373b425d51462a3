//! The containers that one graph root of containers/storage has, running or not.

use std::path::{Path, PathBuf};

use super::super::bundle::Bundle;
use super::super::mounts::View;
use super::super::storage::records::{self, Container as Record, Layers};
use super::super::storage::{self, Layout};
use super::super::{Container, Image};
use crate::verdict::Undecided;

/// One graph root.
pub(super) struct Podman {
    layout: Layout,
    containers: Vec<Record>,
    layers: Layers,
}

impl Podman {
    /// Reads all records of a graph root; additional image stores count if they are among `roots`.
    /// `None` when there is no such root.
    pub(super) fn read(
        root: &Path,
        roots: &[PathBuf],
        unread: &mut Vec<Undecided>,
    ) -> Option<Self> {
        let layout = Layout::of_root(root, roots)?;
        let containers = match records::containers(layout.root()) {
            Ok(containers) => containers,
            Err(undecided) => {
                unread.push(undecided);
                Vec::new()
            }
        };
        Some(Self {
            layers: Layers::new(storage::stores(layout.root(), roots)),
            layout,
            containers,
        })
    }

    pub(super) fn containers(&self) -> &[Record] {
        &self.containers
    }

    /// Where it has layers.
    pub(super) fn home(&self) -> PathBuf {
        self.layout.root().join("overlay")
    }

    /// Every path that a container's writable layer may be called by.
    pub(super) fn uppers<'a>(&'a self, record: &'a Record) -> impl Iterator<Item = PathBuf> + 'a {
        self.layout.uppers(record)
    }

    /// Binds the image that a record names to the layers of a process.
    pub(super) fn image(&self, record: &Record, view: &View) -> Result<Image, Undecided> {
        let bundle = Bundle::read(&self.layout.bundle(record))?;
        let container: Container = storage::bind(record, bundle, &self.layout, &self.layers, view)?;
        Ok(container.into())
    }
}
