//! The images of containers/storage, read as files: which image a name stands for, and its bytes.
//!
//! Owns `overlay-images/` of a graph root and how Podman completes a short
//! name. Read by publishers and by people's verbs; what a container runs is
//! `engine::storage`'s to say.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::storage::big_data_path;
use crate::image::digest::Digest;
use crate::image::reference::{ImageName, Name};
use crate::image::subjects::{
    Blobs, MAX_CONFIG, Subject, SubjectOf, SubjectsError, parse_config, verify, walk,
};
use crate::sys::file::read_capped;

/// Holds every image of the machine; one takes some kilobytes.
const MAX_RECORDS: u64 = 64 << 20;

/// What the files of manifests are called, before their digest.
const MANIFEST: &str = "manifest-";

/// The registry that a name without one is completed with, after those of this machine.
const DEFAULT: &str = "docker.io/";

/// An image of a graph root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredImage {
    root: PathBuf,
    /// Its id: the digest of its config.
    pub id: Digest,
    /// Its names, in full.
    pub names: Vec<String>,
    /// Digests of its manifests and indexes, as their files are named.
    manifests: Vec<Digest>,
}

/// Why the files of containers/storage cannot be read.
#[derive(Debug)]
pub enum StorageError {
    /// The operating system's reason.
    Io(PathBuf, io::Error),
    /// A file does not parse.
    Parse(PathBuf),
    /// Something of the image is not what it is stored as, or no image's.
    Subjects(SubjectsError<io::Error>),
    /// More than one image is meant.
    Ambiguous(Vec<String>),
}

#[derive(Debug, Deserialize)]
struct Record {
    id: String,
    #[serde(default)]
    names: Option<Vec<String>>,
    #[serde(default, rename = "big-data-names")]
    big_data: Option<Vec<String>>,
}

/// How well a stored name answers the one that was asked for; the first kind that any image has counts.
const KINDS: [fn(&Name, &str, &StoredImage) -> bool; 3] = [is_name, is_local_or_default, ends_so];

/// Looks an image up below `root`, a graph root such as `/var/lib/containers/storage`.
///
/// # Errors
/// [`StorageError`] when a store is there and cannot be read, or more than one image is meant.
pub fn find(root: &Path, wanted: &ImageName) -> Result<Option<StoredImage>, StorageError> {
    let images = list(root)?;
    let mut found = match wanted {
        ImageName::Id(id) => images.iter().filter(|image| image.id == *id).collect(),
        ImageName::Name { name, .. } => named(&images, name),
    };
    if let (true, ImageName::Name { prefix, .. }) = (found.is_empty(), wanted) {
        let starts = |image: &&StoredImage| {
            let prefix = prefix.as_deref();
            prefix.is_some_and(|prefix| image.id.hex().starts_with(prefix))
        };
        found = images.iter().filter(starts).collect();
    }
    if found.len() > 1 {
        let all = |image: &&StoredImage| match image.names.first() {
            Some(name) => name.clone(),
            None => image.id.to_string(),
        };
        return Err(StorageError::Ambiguous(found.iter().map(all).collect()));
    }
    Ok(found.first().copied().cloned())
}

fn named<'a>(images: &'a [StoredImage], name: &Name) -> Vec<&'a StoredImage> {
    for fits in KINDS {
        let has = |image: &&StoredImage| image.names.iter().any(|stored| fits(name, stored, image));
        let found: Vec<_> = images.iter().filter(has).collect();
        if !found.is_empty() {
            return found;
        }
    }
    Vec::new()
}

/// In full; or by the digest of one of its manifests, under a repository that it has a name in.
/// A name without a registry may mean this machine first.
fn is_name(name: &Name, stored: &str, image: &StoredImage) -> bool {
    let full = name.full();
    !full.starts_with(DEFAULT) && is_named(&full, stored, image)
}

/// `app` is `localhost/app` or `docker.io/library/app`; if both are here, that is not clear.
fn is_local_or_default(name: &Name, stored: &str, image: &StoredImage) -> bool {
    let full = name.full();
    let local = format!("localhost/{}", name.familiar());
    full.starts_with(DEFAULT) && (is_named(&full, stored, image) || is_named(&local, stored, image))
}

/// `app` is `registry.example/team/app` where no other image is called so.
fn ends_so(name: &Name, stored: &str, _: &StoredImage) -> bool {
    let end = format!("/{}", name.familiar());
    name.full().starts_with(DEFAULT) && stored.ends_with(&end)
}

fn is_named(full: &str, stored: &str, image: &StoredImage) -> bool {
    let its_digest = || {
        let (repository, digest) = full.split_once('@')?;
        let digest = digest.parse().ok()?;
        Some(repository == repository_of(stored) && image.manifests.contains(&digest))
    };
    stored == full || its_digest().unwrap_or(false)
}

/// A name without its tag and digest.
fn repository_of(stored: &str) -> &str {
    let stored = stored.split_once('@').map_or(stored, |(name, _)| name);
    match stored.rsplit_once(':') {
        // A port is followed by a path.
        Some((repository, tag)) if !tag.contains('/') => repository,
        Some(_) | None => stored,
    }
}

/// Lists the images of a graph root.
///
/// # Errors
/// [`StorageError`] when a store is there and cannot be read.
pub fn list(root: &Path) -> Result<Vec<StoredImage>, StorageError> {
    let path = root.join("overlay-images/images.json");
    let bytes = match read_capped(&path, MAX_RECORDS) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(StorageError::Io(path, error)),
    };
    let records = parse(&bytes).ok_or(StorageError::Parse(path))?;
    Ok(records
        .into_iter()
        .filter_map(|record| record.image(root))
        .collect())
}

fn parse(bytes: &[u8]) -> Option<Vec<Record>> {
    serde_json::from_slice::<Option<Vec<Record>>>(bytes)
        .ok()
        .map(Option::unwrap_or_default)
}

impl Record {
    /// `None` for an id that is no digest: there is no config that it could be checked by.
    fn image(self, root: &Path) -> Option<StoredImage> {
        let named = |name: &String| name.strip_prefix(MANIFEST)?.parse().ok();
        Some(StoredImage {
            root: root.to_path_buf(),
            id: Digest::from_hex(&self.id).ok()?,
            names: self.names.unwrap_or_default(),
            manifests: self.big_data.iter().flatten().filter_map(named).collect(),
        })
    }
}

impl StoredImage {
    /// Its config, and each manifest and index that names it, from their bytes; and the bytes of its layers,
    /// as its manifest states them.
    ///
    /// # Errors
    /// [`StorageError`], when anything is not what its name says.
    pub fn subjects(&self) -> Result<(Vec<Subject>, u64), StorageError> {
        let path = big_data_path(&self.root, &self.id, &self.id.to_string());
        let bytes = read_capped(&path, MAX_CONFIG).map_err(|e| StorageError::Io(path, e))?;
        verify(&self.id, &bytes).map_err(StorageError::Subjects)?;
        let config = parse_config(&bytes).map_err(StorageError::Subjects)?;
        let mut subjects = vec![config.subject()];
        let mut size = 0;
        for manifest in self.manifests.iter().collect::<BTreeSet<_>>() {
            let found = match walk(self, manifest) {
                // An artifact's manifest, or an index of other platforms, is not about this image.
                Err(SubjectsError::NotAnImage(..) | SubjectsError::NothingAtHand(_)) => continue,
                found => found.map_err(StorageError::Subjects)?,
            };
            size = size.max(found.size);
            for subject in found.subjects {
                let other = matches!(subject.of, SubjectOf::Config { .. });
                let known = subjects.iter().any(|s| s.digest == subject.digest);
                if !other && !known {
                    subjects.push(subject);
                }
            }
        }
        Ok((subjects, size))
    }
}

impl Blobs for StoredImage {
    type Error = io::Error;

    fn blob(&self, digest: &Digest, cap: u64) -> Result<Option<Vec<u8>>, io::Error> {
        for name in [digest.to_string(), format!("{MANIFEST}{digest}")] {
            match read_capped(&big_data_path(&self.root, &self.id, &name), cap) {
                Ok(bytes) => return Ok(Some(bytes)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }
}

impl StorageError {
    /// Whether another user could read it.
    #[must_use]
    pub fn is_permission(&self) -> bool {
        let refused = |error: &io::Error| error.kind() == io::ErrorKind::PermissionDenied;
        match self {
            Self::Io(_, error) | Self::Subjects(SubjectsError::Read(_, error)) => refused(error),
            Self::Subjects(_) | Self::Parse(_) | Self::Ambiguous(_) => false,
        }
    }
}

impl fmt::Display for StorageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(path, _) => write!(f, "cannot read '{}'", path.display()),
            Self::Parse(path) => write!(f, "cannot parse '{}'", path.display()),
            Self::Subjects(_) => f.write_str("the image that Podman stores cannot be used"),
            Self::Ambiguous(names) => {
                write!(f, "it may be any of {names:?}; give an image ID")
            }
        }
    }
}

impl std::error::Error for StorageError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(_, error) => Some(error),
            Self::Subjects(error) => Some(error),
            Self::Parse(_) | Self::Ambiguous(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::{Value, json};

    use super::{StorageError, StoredImage, big_data_path, find, repository_of};
    use crate::image::digest::Digest;
    use crate::image::subjects::SubjectOf;

    struct Store {
        root: tempfile::TempDir,
        images: Vec<Value>,
    }

    impl Store {
        fn new() -> Self {
            Self {
                root: tempfile::tempdir().expect("a temporary directory"),
                images: Vec::new(),
            }
        }

        fn write(&self, id: &Digest, name: &str, bytes: &[u8]) {
            let path = big_data_path(self.root.path(), id, name);
            std::fs::create_dir_all(path.parent().expect("it has one")).expect("made");
            std::fs::write(path, bytes).expect("written");
        }

        /// Returns its id and its manifest's digest.
        fn image(&mut self, names: &[&str], layer: &str) -> (Digest, Digest) {
            let config = json!({
                "architecture": "amd64", "os": "linux",
                "rootfs": {"type": "layers", "diff_ids": [Digest::of(layer.as_bytes())]},
            })
            .to_string();
            let id = Digest::of(config.as_bytes());
            let descriptor = |kind: &str, digest: Digest, size: usize| {
                json!({
                    "mediaType": format!("application/vnd.oci.image.{kind}"),
                    "digest": digest, "size": size,
                })
            };
            let manifest = json!({
                "schemaVersion": 2,
                "config": descriptor("config.v1+json", id, config.len()),
                "layers": [descriptor("layer.v1.tar", Digest::of(b"packed"), 100)],
            })
            .to_string();
            let digest = Digest::of(manifest.as_bytes());
            self.write(&id, &id.to_string(), config.as_bytes());
            self.write(&id, &format!("manifest-{digest}"), manifest.as_bytes());
            self.images.push(json!({
                "id": id.hex(), "names": names,
                "big-data-names": [id.to_string(), format!("manifest-{digest}"), "manifest"],
            }));
            let path = self.root.path().join("overlay-images/images.json");
            std::fs::write(path, json!(self.images).to_string()).expect("written");
            (id, digest)
        }

        fn find(&self, name: &str) -> Result<Option<StoredImage>, StorageError> {
            find(self.root.path(), &name.parse().expect("a name"))
        }

        fn id(&self, name: &str) -> Option<Digest> {
            self.find(name).expect("one image or none").map(|i| i.id)
        }
    }

    #[test]
    fn an_image_is_found_as_podman_finds_it() {
        let mut store = Store::new();
        let (id, manifest) = store.image(&["localhost/app:1.4", "quay.io/team/web:latest"], "a");
        let (hub, _) = store.image(&["docker.io/library/busybox:latest"], "b");
        for name in [
            "app:1.4".to_owned(),
            "localhost/app:1.4".to_owned(),
            "web".to_owned(),
            "quay.io/team/web".to_owned(),
            format!("quay.io/team/web@{manifest}"),
            format!("app@{manifest}"),
            id.hex(),
            id.hex()[..12].to_owned(),
        ] {
            assert_eq!(store.id(&name), Some(id), "{name}");
        }
        for name in ["busybox", "docker.io/library/busybox", "docker.io/busybox"] {
            assert_eq!(store.id(name), Some(hub), "{name}");
        }
        for name in ["app", "quay.io/app:1.4", "eb", "ffff0000ffff"] {
            assert_eq!(store.id(name), None, "{name}");
        }
        store.image(&["docker.io/library/app:1.4"], "c");
        let both = store.find("app:1.4").map_err(|error| error.to_string());
        let error = both.expect_err("it is one of two");
        assert!(error.contains("localhost/app:1.4"), "{error}");
        assert_eq!(store.id("localhost/app:1.4"), Some(id));
    }

    #[test]
    fn subjects_are_what_the_bytes_are() {
        let mut store = Store::new();
        let (id, manifest) = store.image(&["localhost/app:1"], "a");
        let image = store.find("app:1").expect("readable").expect("stored");
        let (subjects, size) = image.subjects().expect("whole");
        let found: Vec<_> = subjects.iter().map(|s| s.digest).collect();
        assert_eq!((found, size), (vec![id, manifest], 100));
        assert!(matches!(
            subjects[0].of,
            SubjectOf::Config { chain: Some(_) }
        ));
        assert_eq!(subjects[1].of, SubjectOf::Manifest { config: id });
        store.write(&id, &format!("manifest-{manifest}"), b"{}");
        assert!(image.subjects().is_err(), "another manifest");
        store.write(&id, &id.to_string(), b"{}");
        assert!(image.subjects().is_err(), "another config");
    }

    #[test]
    fn a_name_ends_before_its_tag_and_not_before_a_port() {
        for (name, repository) in [
            ("localhost/app:1", "localhost/app"),
            ("r:5000/app", "r:5000/app"),
            ("r:5000/app:1", "r:5000/app"),
            ("app@sha256:00", "app"),
        ] {
            assert_eq!(repository_of(name), repository);
        }
        let empty = tempfile::tempdir().expect("a temporary directory");
        let nothing = find(Path::new(empty.path()), &"app".parse().expect("a name"));
        assert_eq!(nothing.expect("no store is no error"), None);
    }
}
