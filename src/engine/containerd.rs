//! What containerd keeps in its root directory: image names, and content.
//!
//! Owns where they are and how they are read while containerd runs: `meta.db`
//! without its lock, blobs by digest. Verifying a blob against its digest is
//! left to whoever parses it (`image::subjects`), so that it happens in one place.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::engine::bolt::{BoltError, Bucket, Db, Entry, Tx, Visit};
use crate::image::digest::{Digest, DigestError};
use crate::image::subjects::Blobs;
use crate::sys::file::read_capped;

/// The namespace in which Docker keeps its images.
pub const DOCKER_NAMESPACE: &str = "moby";

/// Names that are looked through when an image is asked for by its digest.
const MAX_IMAGES: usize = 65536;

/// containerd's root directory, such as `/var/lib/containerd`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    path: PathBuf,
}

/// What an image name points at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Its full name, such as `docker.io/library/app:1.4`.
    pub name: String,
    /// The index or manifest that it points at.
    pub target: Digest,
}

/// Blobs by digest, one file each: containerd's content store, or an OCI layout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentStore {
    directory: PathBuf,
}

/// Why containerd's files cannot be read.
#[derive(Debug)]
pub enum ContainerdError {
    /// The database.
    Database(PathBuf, BoltError),
    /// An image points at something that is no digest.
    Target(String, Option<DigestError>),
    /// More images than anything that is looked through.
    TooManyImages,
}

impl Root {
    /// Takes a directory that is said to be containerd's root.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
        }
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The database of names, containers and snapshots.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.path.join("io.containerd.metadata.v1.bolt/meta.db")
    }

    /// The blobs.
    #[must_use]
    pub fn content(&self) -> ContentStore {
        let directory = self.path.join("io.containerd.content.v1.content");
        ContentStore::new(&directory)
    }

    /// The image that `name` points at, or `None` when the name, namespace or database is missing.
    ///
    /// # Errors
    /// [`ContainerdError`] when the database cannot be read.
    pub fn image(&self, namespace: &str, name: &str) -> Result<Option<Image>, ContainerdError> {
        self.read(|tx| image_named(tx, namespace, name))
            .map(Option::flatten)
    }

    /// Every image whose target's hexadecimal digest starts with `prefix`, in order of names.
    ///
    /// # Errors
    /// [`ContainerdError`] when the database cannot be read.
    pub fn images_by_target(
        &self,
        namespace: &str,
        prefix: &str,
    ) -> Result<Vec<Image>, ContainerdError> {
        let found = self.read(|tx| images_of_target(tx, namespace, prefix))?;
        Ok(found.unwrap_or_default())
    }

    /// Runs `read` on the database; `None` when there is no database.
    fn read<T>(
        &self,
        read: impl Fn(&Tx<'_>) -> Result<T, ReadError>,
    ) -> Result<Option<T>, ContainerdError> {
        let path = self.database();
        let db = match Db::open(&path) {
            Err(BoltError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(None);
            }
            opened => opened.map_err(|error| ContainerdError::Database(path.clone(), error))?,
        };
        db.read(read).map(Some).map_err(|error| match error {
            ReadError::Bolt(error) => ContainerdError::Database(path, error),
            ReadError::Meaning(error) => error,
        })
    }
}

impl ContentStore {
    /// Takes a directory that has `blobs/sha256/<hex>`.
    #[must_use]
    pub fn new(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
        }
    }
}

impl Blobs for ContentStore {
    type Error = io::Error;

    fn blob(&self, digest: &Digest, cap: u64) -> Result<Option<Vec<u8>>, io::Error> {
        let path = self.directory.join("blobs/sha256").join(digest.hex());
        match read_capped(&path, cap) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Why the database does not say which images there are.
#[derive(Debug)]
pub enum ReadError {
    /// It cannot be read.
    Bolt(BoltError),
    /// What it says means nothing.
    Meaning(ContainerdError),
}

/// The image that `name` points at in this state of the database.
///
/// # Errors
/// [`ReadError`].
pub fn image_named(tx: &Tx<'_>, namespace: &str, name: &str) -> Result<Option<Image>, ReadError> {
    let Some(images) = images(tx, namespace)? else {
        return Ok(None);
    };
    match images.bucket(name.as_bytes())? {
        Some(bucket) => image(name.to_owned(), &bucket).map(Some),
        None => Ok(None),
    }
}

/// The images whose target starts with `prefix` in this state of the database.
///
/// # Errors
/// [`ReadError`].
pub fn images_of_target(
    tx: &Tx<'_>,
    namespace: &str,
    prefix: &str,
) -> Result<Vec<Image>, ReadError> {
    let (mut found, mut seen) = (Vec::new(), 0);
    let Some(images) = images(tx, namespace)? else {
        return Ok(found);
    };
    images.for_each(|name, entry| {
        seen += 1;
        if seen > MAX_IMAGES {
            return Err(ReadError::Meaning(ContainerdError::TooManyImages));
        }
        if let Entry::Bucket(bucket) = entry {
            let image = image(String::from_utf8_lossy(name).into_owned(), &bucket)?;
            if image.target.hex().starts_with(prefix) {
                found.push(image);
            }
        }
        Ok(Visit::Continue)
    })?;
    Ok(found)
}

/// `v1/<namespace>/images` (containerd, `metadata/buckets.go`).
fn images<'tx>(tx: &'tx Tx<'_>, namespace: &str) -> Result<Option<Bucket<'tx>>, BoltError> {
    tx.bucket(&[b"v1", namespace.as_bytes(), b"images"])
}

fn image(name: String, bucket: &Bucket<'_>) -> Result<Image, ReadError> {
    let digest = match bucket.bucket(b"target")? {
        Some(target) => target.value(b"digest")?,
        None => None,
    };
    let text = digest.and_then(|bytes| String::from_utf8(bytes).ok());
    match text.map(|text| text.parse()) {
        Some(Ok(target)) => Ok(Image { name, target }),
        Some(Err(error)) => Err(ReadError::Meaning(ContainerdError::Target(
            name,
            Some(error),
        ))),
        None => Err(ReadError::Meaning(ContainerdError::Target(name, None))),
    }
}

impl ContainerdError {
    /// Whether another user could read it.
    #[must_use]
    pub fn is_permission(&self) -> bool {
        matches!(self, Self::Database(_, BoltError::Io(error))
            if error.kind() == io::ErrorKind::PermissionDenied)
    }
}

impl From<BoltError> for ReadError {
    fn from(error: BoltError) -> Self {
        Self::Bolt(error)
    }
}

impl fmt::Display for ContainerdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Database(path, _) => write!(f, "cannot read '{}'", path.display()),
            Self::Target(name, _) => write!(f, "image {name:?} has no sha256 target"),
            Self::TooManyImages => write!(f, "more than {MAX_IMAGES} images to look through"),
        }
    }
}

impl std::error::Error for ContainerdError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Database(_, error) => Some(error),
            Self::Target(_, Some(error)) => Some(error),
            Self::Target(_, None) | Self::TooManyImages => None,
        }
    }
}
