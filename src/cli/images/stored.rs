//! Every image that the engines of this machine store.
//!
//! Owns where they are looked for, and what each is called. An image that only has an id is listed
//! too: whether it is worth a word is for whoever asks to say.

use std::collections::BTreeMap;

use super::Sources;
use super::docker::OWN_CONTAINERD;
use crate::engine::containerd::{DOCKER_NAMESPACE, Image, Root};
use crate::engine::{docker_images, storage_images};
use crate::image::digest::Digest;
use crate::image::reference::Name;

/// How Docker begins the name of an image in containerd's store that has none.
const NAMELESS: &str = "moby-dangling@";

/// One image of one engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredImage {
    /// Whose it is, as references begin: `docker` or `podman`.
    pub scheme: &'static str,
    /// By what that engine finds it: the digest of its config, or in containerd's store of its target.
    pub id: Digest,
    /// What it is called; tags first.
    pub names: Vec<String>,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listing {
    /// The images, in the order of engine and id.
    pub images: Vec<StoredImage>,
    /// Why some stores cannot be read.
    pub unread: Vec<String>,
}

/// An id that an engine has, and its names.
type Named = (Digest, Vec<String>);

impl StoredImage {
    /// The reference that means it and no other.
    #[must_use]
    pub fn reference(&self) -> String {
        format!("{}://{}", self.scheme, self.id)
    }
}

/// Lists what is stored.
#[must_use]
pub fn list(sources: &Sources<'_>) -> Listing {
    let docker = sources.docker_roots.iter().map(|root| {
        let images = docker_images::list(root)?.into_iter();
        anyhow::Ok(images.map(|image| (image.id, image.names)).collect())
    });
    let own = sources.docker_roots.iter().map(|r| r.join(OWN_CONTAINERD));
    let roots = own.chain(sources.containerd_roots.iter().cloned());
    let containerd = roots.map(|path| {
        let images = Root::new(&path).images_by_target(DOCKER_NAMESPACE, "")?;
        anyhow::Ok(images.into_iter().map(named).collect())
    });
    let podman = sources.storage_roots.iter().map(|root| {
        let images = storage_images::list(root)?.into_iter();
        anyhow::Ok(
            images
                .map(|image| (image.id, familiar(&image.names)))
                .collect(),
        )
    });
    let mut all: BTreeMap<(&'static str, Digest), Vec<String>> = BTreeMap::new();
    let mut unread = Vec::new();
    let docker = docker.chain(containerd).map(|found| ("docker", found));
    for (scheme, found) in docker.chain(podman.map(|found| ("podman", found))) {
        let found: Vec<Named> = found.unwrap_or_else(|error| {
            unread.push(format!("{error:#}"));
            Vec::new()
        });
        for (id, names) in found {
            // The same id in two stores of one engine is one image.
            let known = all.entry((scheme, id)).or_default();
            known.extend(names);
            known.sort_by_key(|name| (name.contains('@'), name.clone()));
            known.dedup();
        }
    }
    let image = |((scheme, id), names)| StoredImage { scheme, id, names };
    Listing {
        images: all.into_iter().map(image).collect(),
        unread,
    }
}

fn named(image: Image) -> Named {
    let names = match image.name.starts_with(NAMELESS) {
        true => Vec::new(),
        false => familiar(&[image.name]),
    };
    (image.target, names)
}

/// Names as people type them; what is none is not shown as one.
fn familiar(names: &[String]) -> Vec<String> {
    let names = names.iter().filter_map(|name| name.parse::<Name>().ok());
    names.map(|name| name.familiar()).collect()
}
