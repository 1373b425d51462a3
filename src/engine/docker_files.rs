//! The files that Docker keeps of images and containers, as bytes.
//!
//! Owns the parts of them that are read, and what must hold of those. Where the
//! files are, and how they fit together, belongs to `docker` and `docker_store`.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde::Deserialize;

use crate::image::digest::{ChainId, Digest};

/// Every name of every image: repository, then name, then image ID.
pub type Repositories = BTreeMap<String, BTreeMap<String, Digest>>;

/// The parts of `config.v2.json` that are read.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Record {
    /// The container's id.
    #[serde(rename = "ID")]
    pub id: String,
    /// The image that it was created from; with a graph driver its config's digest.
    #[serde(rename = "Image")]
    pub image: String,
    /// The manifest, which only the containerd image store names.
    #[serde(default, rename = "ImageManifest")]
    pub manifest: Option<Descriptor>,
    /// The storage driver.
    #[serde(rename = "Driver")]
    pub driver: String,
    /// Whether it has ever run.
    #[serde(default, rename = "HasBeenStartedBefore")]
    pub started: bool,
    /// Its name, with a slash before it.
    #[serde(default, rename = "Name")]
    pub name: String,
    /// What the client asked for.
    #[serde(default, rename = "Config")]
    pub config: RecordConfig,
}

/// One thing in a content store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Descriptor {
    /// Its digest.
    pub digest: Digest,
}

/// What the client asked for, as far as it is shown.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct RecordConfig {
    /// The image's name.
    #[serde(default, rename = "Image")]
    pub image: String,
}

#[derive(Deserialize)]
struct ImageConfig {
    rootfs: ImageRootfs,
}

#[derive(Deserialize)]
struct ImageRootfs {
    diff_ids: Vec<Digest>,
}

/// The part of an image's manifest that names its config.
#[derive(Deserialize)]
struct Manifest {
    config: Descriptor,
}

#[derive(Deserialize)]
struct RepositoriesFile {
    #[serde(default, rename = "Repositories")]
    repositories: Repositories,
}

impl Record {
    /// Parses `config.v2.json`.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    /// The name that people know the container by.
    #[must_use]
    pub fn name(&self) -> Option<String> {
        Some(self.name.trim_start_matches('/').to_owned())
    }
}

/// One word that Docker keeps in a file of its own, and that becomes part of a path.
#[must_use]
pub fn word(bytes: Vec<u8>) -> Option<String> {
    String::from_utf8(bytes).ok().filter(|word| {
        !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    })
}

/// One digest that Docker keeps in a file of its own.
#[must_use]
pub fn digest<D: FromStr>(bytes: &[u8]) -> Option<D> {
    std::str::from_utf8(bytes).ok()?.parse().ok()
}

/// The chain that an image's config names; `None` unless the bytes are that config.
#[must_use]
pub fn chain_of(bytes: &[u8], config: &Digest) -> Option<ChainId> {
    let parsed: ImageConfig = serde_json::from_slice(bytes).ok()?;
    let chain = ChainId::of_layers(&parsed.rootfs.diff_ids)?;
    (Digest::of(bytes) == *config).then_some(chain)
}

/// The config that an image's manifest names; `None` unless the bytes are that manifest.
#[must_use]
pub fn config_of(bytes: &[u8], manifest: &Digest) -> Option<Digest> {
    let parsed: Manifest = serde_json::from_slice(bytes).ok()?;
    (Digest::of(bytes) == *manifest).then_some(parsed.config.digest)
}

/// Parses `repositories.json`.
///
/// # Errors
/// What is wrong with it.
pub fn repositories(bytes: &[u8]) -> Result<Repositories, serde_json::Error> {
    let parsed: RepositoriesFile = serde_json::from_slice(bytes)?;
    Ok(parsed.repositories)
}
