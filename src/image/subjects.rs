//! The subjects of an image: its index, manifests and configs, from their bytes.
//!
//! Owns the walk index -> manifest -> config -> layers -> chain ID, for OCI and
//! Docker media types (OCI image-spec; Docker image manifest v2, schema 2).
//! Every blob is hashed before it is parsed, so a subject is never what a store
//! says but what its bytes are. Where blobs come from belongs to `engine` and `cli`.

mod error;

use oci_spec::image::{Descriptor, ImageConfiguration, ImageIndex, ImageManifest};

pub use self::error::SubjectsError;
use crate::image::digest::{ChainId, Digest};

/// Largest config that is read; those of real images have some kilobytes.
pub const MAX_CONFIG: u64 = 8 << 20;
/// Largest manifest or index that is read: what containerd and registries take.
pub const MAX_MANIFEST: u64 = 4 << 20;
/// The most subjects that one statement carries.
pub const MAX_SUBJECTS: usize = 64;

/// Indexes within indexes; nobody is known to use more than two.
const MAX_DEPTH: u32 = 4;
/// Descriptors of one index that are looked at.
const MAX_MANIFESTS: usize = 1024;

/// What a publisher notarizes: a name, and the digests it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageSubjects {
    /// Where it came from: `docker`, `oci`, `docker-archive`, `file` or `hash`.
    pub kind: &'static str,
    /// The name that people know it by, with its scheme: `docker://app:1.4`.
    pub name: String,
    /// Bytes of its layers as its source stores them, or of the file; 0 when not known.
    pub size: u64,
    /// Never empty. Each digest once for each of its kinds.
    pub subjects: Vec<Subject>,
}

/// One digest, and what it is the digest of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// What people call it, such as `linux/arm64`; for display only.
    pub name: String,
    /// The digest.
    pub digest: Digest,
    /// What has this digest.
    pub of: SubjectOf,
}

/// What a subject's digest is the digest of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubjectOf {
    /// An OCI image index or Docker manifest list.
    Index,
    /// An image manifest.
    Manifest {
        /// The digest of the config that it names.
        config: Digest,
    },
    /// An image config, the "image ID".
    Config {
        /// The chain of its layers; `None` only when the config's bytes were not at hand.
        chain: Option<ChainId>,
    },
    /// Any other file.
    File,
}

/// Where blobs are read from.
pub trait Blobs {
    /// Why a blob cannot be read.
    type Error;

    /// The blob stored under `digest`, or `None` when it is not stored. Need not verify the digest.
    ///
    /// # Errors
    /// When the blob is longer than `cap` bytes, or is stored but cannot be read.
    fn blob(&self, digest: &Digest, cap: u64) -> Result<Option<Vec<u8>>, Self::Error>;
}

/// What a walk has found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Found {
    /// Configs, manifests and indexes, each once; an image's config before its manifest.
    pub subjects: Vec<Subject>,
    /// Bytes of all layers of all manifests, as the manifests state them.
    pub size: u64,
}

/// What an image's config says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Its digest.
    pub digest: Digest,
    /// Digests of its uncompressed layers, bottom first; never empty.
    pub diff_ids: Vec<Digest>,
    /// The chain of all of them.
    pub chain: ChainId,
    /// `os/architecture`, or with `/variant`.
    pub platform: String,
}

/// Hashes and parses an image's config.
///
/// # Errors
/// [`SubjectsError`] when it does not parse, has no layers or other digests than SHA-256.
pub fn parse_config<E>(bytes: &[u8]) -> Result<Config, SubjectsError<E>> {
    let digest = Digest::of(bytes);
    let config: ImageConfiguration = parse("config", digest, bytes)?;
    let diff_ids = config
        .rootfs()
        .diff_ids()
        .iter()
        .map(|text| sha256(text))
        .collect::<Result<Vec<_>, _>>()?;
    let chain = ChainId::of_layers(&diff_ids).ok_or(SubjectsError::NoLayers(digest))?;
    let mut platform = format!("{}/{}", config.os(), config.architecture());
    if let Some(variant) = config.variant() {
        platform = format!("{platform}/{variant}");
    }
    Ok(Config {
        digest,
        diff_ids,
        chain,
        platform,
    })
}

impl Config {
    /// This config as a subject.
    #[must_use]
    pub fn subject(&self) -> Subject {
        Subject {
            name: self.platform.clone(),
            digest: self.digest,
            of: SubjectOf::Config {
                chain: Some(self.chain),
            },
        }
    }
}

/// Reads the image that `digest` names, an index or a manifest, with all that belongs to it.
///
/// Of an index, the images whose manifest and config are stored are taken: an
/// engine that pulled one platform of many has the index, but not the others.
/// Attestations (platform `unknown/unknown`) and manifests of other things than images are left out.
///
/// # Errors
/// [`SubjectsError`], when anything at hand is not what it should be, or nothing is at hand.
pub fn walk<B: Blobs>(blobs: &B, digest: &Digest) -> Result<Found, SubjectsError<B::Error>> {
    let mut walk = Walk {
        blobs,
        found: Found::default(),
    };
    let bytes = walk
        .read(digest, MAX_MANIFEST, None)?
        .ok_or(SubjectsError::Missing("manifest", *digest))?;
    match shape(*digest, &bytes)? {
        Shape::Index => walk.index(*digest, &bytes, 0)?,
        Shape::Manifest => {
            let manifest: ImageManifest = parse("manifest", *digest, &bytes)?;
            if !is_image(&manifest) {
                let media_type = manifest.config().media_type().to_string();
                return Err(SubjectsError::NotAnImage(*digest, media_type));
            }
            if !walk.manifest(*digest, &manifest)? {
                let config = sha256(manifest.config().digest().as_ref())?;
                return Err(SubjectsError::Missing("config", config));
            }
        }
    }
    Ok(walk.found)
}

/// The digest in a descriptor.
///
/// # Errors
/// [`SubjectsError::Digest`] when it is not SHA-256.
pub fn descriptor_digest<E>(descriptor: &Descriptor) -> Result<Digest, SubjectsError<E>> {
    sha256(descriptor.digest().as_ref())
}

struct Walk<'a, B> {
    blobs: &'a B,
    found: Found,
}

enum Shape {
    Index,
    Manifest,
}

impl<B: Blobs> Walk<'_, B> {
    fn index(
        &mut self,
        digest: Digest,
        bytes: &[u8],
        depth: u32,
    ) -> Result<(), SubjectsError<B::Error>> {
        let index: ImageIndex = parse("index", digest, bytes)?;
        if depth > MAX_DEPTH || index.manifests().len() > MAX_MANIFESTS {
            return Err(SubjectsError::TooMany(digest));
        }
        let before = self.found.subjects.len();
        for descriptor in index.manifests() {
            if !is_attestation(descriptor) {
                self.child(descriptor, depth)?;
            }
        }
        if self.found.subjects.len() == before {
            return Err(SubjectsError::NothingAtHand(digest));
        }
        self.add(digest, "index".to_owned(), SubjectOf::Index)
    }

    fn child(
        &mut self,
        descriptor: &Descriptor,
        depth: u32,
    ) -> Result<(), SubjectsError<B::Error>> {
        let digest = descriptor_digest(descriptor)?;
        let Some(bytes) = self.read(&digest, MAX_MANIFEST, Some(descriptor.size()))? else {
            return Ok(());
        };
        match shape(digest, &bytes)? {
            Shape::Index => match self.index(digest, &bytes, depth + 1) {
                Err(SubjectsError::NothingAtHand(_)) => Ok(()),
                other => other,
            },
            Shape::Manifest => {
                let manifest: ImageManifest = parse("manifest", digest, &bytes)?;
                if is_image(&manifest) {
                    self.manifest(digest, &manifest)?;
                }
                Ok(())
            }
        }
    }

    /// Takes a manifest and its config; false when the config is not stored.
    fn manifest(
        &mut self,
        digest: Digest,
        manifest: &ImageManifest,
    ) -> Result<bool, SubjectsError<B::Error>> {
        let descriptor = manifest.config();
        let wanted = descriptor_digest(descriptor)?;
        let Some(bytes) = self.read(&wanted, MAX_CONFIG, Some(descriptor.size()))? else {
            return Ok(false);
        };
        let config = parse_config(&bytes)?;
        let (expected, found) = (config.diff_ids.len(), manifest.layers().len());
        if expected != found {
            return Err(SubjectsError::Layers {
                manifest: digest,
                expected,
                found,
            });
        }
        let subject = config.subject();
        let new = !self.has(&digest);
        self.add(subject.digest, subject.name, subject.of)?;
        self.add(
            digest,
            config.platform,
            SubjectOf::Manifest {
                config: config.digest,
            },
        )?;
        if new {
            let layers = manifest.layers().iter().map(Descriptor::size);
            self.found.size = layers.fold(self.found.size, u64::saturating_add);
        }
        Ok(true)
    }

    fn read(
        &self,
        digest: &Digest,
        cap: u64,
        size: Option<u64>,
    ) -> Result<Option<Vec<u8>>, SubjectsError<B::Error>> {
        let read = self.blobs.blob(digest, cap);
        let Some(bytes) = read.map_err(|error| SubjectsError::Read(*digest, error))? else {
            return Ok(None);
        };
        verify(digest, &bytes)?;
        let found = bytes.len() as u64;
        match size {
            Some(expected) if expected != found => Err(SubjectsError::Size {
                digest: *digest,
                expected,
                found,
            }),
            Some(_) | None => Ok(Some(bytes)),
        }
    }

    fn has(&self, digest: &Digest) -> bool {
        self.found
            .subjects
            .iter()
            .any(|subject| subject.digest == *digest)
    }

    fn add(
        &mut self,
        digest: Digest,
        name: String,
        of: SubjectOf,
    ) -> Result<(), SubjectsError<B::Error>> {
        if self.has(&digest) {
            return Ok(());
        }
        if self.found.subjects.len() >= MAX_SUBJECTS {
            return Err(SubjectsError::TooMany(digest));
        }
        self.found.subjects.push(Subject { name, digest, of });
        Ok(())
    }
}

/// Checks that `bytes` hash to `expected`.
///
/// # Errors
/// [`SubjectsError::Mismatch`] with both digests.
pub fn verify<E>(expected: &Digest, bytes: &[u8]) -> Result<(), SubjectsError<E>> {
    let found = Digest::of(bytes);
    if found == *expected {
        return Ok(());
    }
    Err(SubjectsError::Mismatch {
        expected: *expected,
        found,
    })
}

/// By structure, not by media type: Docker's and old OCI documents need not carry one,
/// and a document that could be read as both must be neither (image-spec, CVE-2021-41190).
fn shape<E>(digest: Digest, bytes: &[u8]) -> Result<Shape, SubjectsError<E>> {
    #[derive(serde::Deserialize)]
    struct Parts {
        manifests: Option<serde::de::IgnoredAny>,
        config: Option<serde::de::IgnoredAny>,
        layers: Option<serde::de::IgnoredAny>,
    }
    let parts: Parts = parse("manifest", digest, bytes)?;
    match (parts.manifests, parts.config, parts.layers) {
        (Some(_), None, None) => Ok(Shape::Index),
        (None, Some(_), Some(_)) => Ok(Shape::Manifest),
        _ => Err(SubjectsError::Parse(
            "manifest",
            digest,
            "it is neither an index nor a manifest".to_owned(),
        )),
    }
}

fn is_attestation(descriptor: &Descriptor) -> bool {
    descriptor.platform().as_ref().is_some_and(|platform| {
        platform.os().to_string() == "unknown" && platform.architecture().to_string() == "unknown"
    })
}

/// A config with any other media type is an artifact's (a Helm chart, a signature), which nothing starts.
fn is_image(manifest: &ImageManifest) -> bool {
    let media_type = manifest.config().media_type().to_string();
    matches!(
        media_type.as_str(),
        "application/vnd.oci.image.config.v1+json"
            | "application/vnd.docker.container.image.v1+json"
    )
}

fn parse<'a, T: serde::Deserialize<'a>, E>(
    what: &'static str,
    digest: Digest,
    bytes: &'a [u8],
) -> Result<T, SubjectsError<E>> {
    serde_json::from_slice(bytes)
        .map_err(|error| SubjectsError::Parse(what, digest, error.to_string()))
}

fn sha256<E>(text: &str) -> Result<Digest, SubjectsError<E>> {
    text.parse()
        .map_err(|error| SubjectsError::Digest(text.to_owned(), error))
}

#[cfg(test)]
mod tests;
