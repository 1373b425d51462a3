//! Docker's image stores, read as files: which image a name stands for, and its config.
//!
//! Owns the layout of `image/<driver>/` of a graph driver's data root
//! (research: identical from Docker 20.10 to 28). Read by publishers and by
//! people's verbs; what a container runs is `engine::docker`'s to say.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::docker_files::{self, Repositories};
use crate::image::digest::{ChainId, Digest};
use crate::image::reference::ImageName;
use crate::image::subjects::{self, Config, MAX_CONFIG, SubjectsError};
use crate::sys::file::read_capped;

/// The graph drivers that have stored images since Docker 20.10.
const DRIVERS: [&str; 6] = [
    "overlay2",
    "fuse-overlayfs",
    "btrfs",
    "zfs",
    "overlay",
    "vfs",
];

/// Holds every name on the machine; a name takes some 200 bytes.
const MAX_REPOSITORIES: u64 = 64 << 20;

/// Image IDs that are looked through for one that starts as asked.
const MAX_IMAGES: usize = 65536;

/// An image in Docker's own store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredImage {
    /// Its config, hashed and parsed.
    pub config: Config,
    /// Its tags as Docker shows them, sorted: `app:1.4`.
    pub tags: Vec<String>,
    /// Bytes of its layers on disk, as Docker shows them.
    pub size: u64,
}

/// An image ID that is stored, and what it is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The digest of its config.
    pub id: Digest,
    /// Its tags as Docker shows them, then its names by digest; none for what a build left behind.
    pub names: Vec<String>,
}

/// Why Docker's files cannot be read.
#[derive(Debug)]
pub enum DockerError {
    /// The operating system's reason.
    Io(PathBuf, io::Error),
    /// A file does not parse.
    Parse(PathBuf, String),
    /// The image's config is not what it is stored as, or no image's.
    Config(SubjectsError<io::Error>),
    /// More than one image ID starts like this.
    Ambiguous(String),
    /// More images than anything that is looked through.
    TooManyImages,
}

/// Looks an image up in every graph driver's store below `root`, a data root such as `/var/lib/docker`.
///
/// # Errors
/// [`DockerError`] when a store is there and cannot be read.
pub fn find(root: &Path, wanted: &ImageName) -> Result<Vec<StoredImage>, DockerError> {
    let mut found = Vec::new();
    for driver in DRIVERS {
        let store = root.join("image").join(driver);
        match std::fs::symlink_metadata(&store) {
            Ok(_) => found.extend(find_in(&store, wanted)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(DockerError::Io(store, error)),
        }
    }
    Ok(found)
}

/// Lists the images of every graph driver's store below `root`, in the order of their IDs.
///
/// # Errors
/// As [`find`].
pub fn list(root: &Path) -> Result<Vec<Listed>, DockerError> {
    let mut listed = Vec::new();
    for driver in DRIVERS {
        let store = root.join("image").join(driver);
        let ids = match ids(&store) {
            Err(DockerError::Io(_, error)) if error.kind() == io::ErrorKind::NotFound => continue,
            ids => ids?,
        };
        let mut names: HashMap<Digest, Vec<String>> = HashMap::new();
        let repositories = read_repositories(&store.join("repositories.json"))?;
        for (name, id) in repositories.into_values().flatten() {
            names.entry(id).or_default().push(name);
        }
        listed.extend(ids.into_iter().map(|id| {
            let mut names = names.remove(&id).unwrap_or_default();
            names.sort_by_key(|name| (name.contains('@'), name.clone()));
            Listed { id, names }
        }));
    }
    listed.sort_by_key(|image| image.id);
    Ok(listed)
}

fn find_in(store: &Path, wanted: &ImageName) -> Result<Option<StoredImage>, DockerError> {
    let repositories = read_repositories(&store.join("repositories.json"))?;
    let id = match wanted {
        ImageName::Id(id) => Some(*id),
        ImageName::Name { name, prefix } => {
            let names = repositories.get(&name.familiar_repository());
            match (names.and_then(|names| names.get(&name.familiar())), prefix) {
                (Some(id), _) => Some(*id),
                (None, Some(prefix)) => by_prefix(store, prefix)?,
                (None, None) => None,
            }
        }
    };
    let Some(id) = id else {
        return Ok(None);
    };
    let Some(config) = read_config(store, &id)? else {
        return Ok(None);
    };
    let mut tags: Vec<_> = repositories
        .into_values()
        .flatten()
        .filter(|(name, of)| *of == id && !name.contains('@'))
        .map(|(name, _)| name)
        .collect();
    tags.sort();
    Ok(Some(StoredImage {
        size: layer_bytes(store, &config)?,
        config,
        tags,
    }))
}

fn read_repositories(path: &Path) -> Result<Repositories, DockerError> {
    // Written when the first image gets a name.
    let Some(bytes) = read(path, MAX_REPOSITORIES)? else {
        return Ok(Repositories::new());
    };
    docker_files::repositories(&bytes)
        .map_err(|error| DockerError::Parse(path.to_owned(), error.to_string()))
}

fn read_config(store: &Path, id: &Digest) -> Result<Option<Config>, DockerError> {
    let path = store.join("imagedb/content/sha256").join(id.hex());
    let Some(bytes) = read(&path, MAX_CONFIG)? else {
        return Ok(None);
    };
    subjects::verify(id, &bytes).map_err(DockerError::Config)?;
    subjects::parse_config(&bytes)
        .map(Some)
        .map_err(DockerError::Config)
}

fn by_prefix(store: &Path, prefix: &str) -> Result<Option<Digest>, DockerError> {
    let ids = ids(store)?;
    let mut found = ids.into_iter().filter(|id| id.hex().starts_with(prefix));
    match (found.next(), found.next()) {
        (first, None) => Ok(first),
        (_, Some(_)) => Err(DockerError::Ambiguous(prefix.to_owned())),
    }
}

/// Every image ID that a store has a config for.
fn ids(store: &Path) -> Result<Vec<Digest>, DockerError> {
    let path = store.join("imagedb/content/sha256");
    let failed = |error| DockerError::Io(path.clone(), error);
    let mut ids = Vec::new();
    for (seen, entry) in std::fs::read_dir(&path).map_err(failed)?.enumerate() {
        if seen >= MAX_IMAGES {
            return Err(DockerError::TooManyImages);
        }
        let name = entry.map_err(failed)?.file_name();
        // Other names are temporary files of Docker's own.
        ids.extend(name.to_str().and_then(|name| Digest::from_hex(name).ok()));
    }
    Ok(ids)
}

/// Adds up what Docker wrote down for each layer of the chain.
fn layer_bytes(store: &Path, config: &Config) -> Result<u64, DockerError> {
    let mut total: u64 = 0;
    for count in 1..=config.diff_ids.len() {
        let Some(chain) = config.diff_ids.get(..count).and_then(ChainId::of_layers) else {
            continue;
        };
        let directory = store.join("layerdb/sha256").join(chain.digest().hex());
        let path = directory.join("size");
        let bytes = read_capped(&path, 64).map_err(|e| DockerError::Io(path.clone(), e))?;
        let text = String::from_utf8_lossy(&bytes);
        let size: u64 = text
            .trim()
            .parse()
            .map_err(|_| DockerError::Parse(path, "no number".to_owned()))?;
        total = total.saturating_add(size);
    }
    Ok(total)
}

fn read(path: &Path, cap: u64) -> Result<Option<Vec<u8>>, DockerError> {
    match read_capped(path, cap) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(DockerError::Io(path.to_owned(), error)),
    }
}

impl DockerError {
    /// Whether another user could read it.
    #[must_use]
    pub fn is_permission(&self) -> bool {
        matches!(self, Self::Io(_, error) if error.kind() == io::ErrorKind::PermissionDenied)
    }
}

impl fmt::Display for DockerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(path, _) => write!(f, "cannot read '{}'", path.display()),
            Self::Parse(path, why) => write!(f, "cannot parse '{}': {why}", path.display()),
            Self::Config(_) => f.write_str("the image that Docker stores cannot be used"),
            Self::Ambiguous(prefix) => {
                write!(
                    f,
                    "more than one image ID starts with {prefix}; give more digits"
                )
            }
            Self::TooManyImages => write!(f, "more than {MAX_IMAGES} images to look through"),
        }
    }
}

impl std::error::Error for DockerError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(_, error) => Some(error),
            Self::Config(error) => Some(error),
            Self::Parse(..) | Self::Ambiguous(_) | Self::TooManyImages => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::{Value, json};

    use super::{DockerError, Listed, StoredImage, find, list};
    use crate::image::digest::{ChainId, Digest};
    use crate::image::subjects::SubjectsError;

    struct Store {
        root: tempfile::TempDir,
        names: Value,
    }

    impl Store {
        fn new() -> Self {
            Self {
                root: tempfile::tempdir().unwrap(),
                names: json!({"Repositories": {}}),
            }
        }

        fn write(&self, path: &str, bytes: &[u8]) {
            let path = self.root.path().join("image/overlay2").join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }

        fn image(&mut self, tags: &[&str], layers: &[&str]) -> Digest {
            let diff_ids: Vec<_> = layers.iter().map(|l| Digest::of(l.as_bytes())).collect();
            let bytes = json!({
                "architecture": "amd64", "os": "linux",
                "rootfs": {"type": "layers", "diff_ids": diff_ids},
            })
            .to_string();
            let id = Digest::of(bytes.as_bytes());
            self.write(
                &format!("imagedb/content/sha256/{}", id.hex()),
                bytes.as_bytes(),
            );
            for count in 1..=layers.len() {
                let chain = ChainId::of_layers(&diff_ids[..count]).unwrap();
                self.write(
                    &format!("layerdb/sha256/{}/size", chain.digest().hex()),
                    b"100",
                );
            }
            for tag in tags {
                let repository = tag.split(['@', ':']).next().unwrap();
                self.names["Repositories"][repository][tag] = json!(id);
            }
            self.write("repositories.json", self.names.to_string().as_bytes());
            id
        }

        fn find(&self, name: &str) -> Result<Vec<StoredImage>, DockerError> {
            find(self.root.path(), &name.parse().unwrap())
        }
    }

    #[test]
    fn an_image_is_found_by_tag_digest_and_id() {
        let mut store = Store::new();
        let by_digest = format!("app@{}", Digest::of(b"manifest"));
        let id = store.image(&["app:1.4", "app:latest", &by_digest], &["a", "b"]);
        store.image(&["other:1"], &["c"]);
        let hex = id.hex();
        for name in [
            "app:1.4",
            "app",
            "docker.io/library/app",
            &by_digest,
            &hex,
            &hex[..12],
        ] {
            let found = store.find(name).unwrap();
            assert_eq!(found.len(), 1, "{name}");
            assert_eq!(found[0].config.digest, id);
            assert_eq!(found[0].tags, ["app:1.4", "app:latest"]);
            assert_eq!(found[0].size, 200);
        }
        for name in ["app:2", "org/app", &Digest::of(b"").hex(), "ffff0000ffff"] {
            assert_eq!(store.find(name).unwrap(), [], "{name}");
        }
    }

    #[test]
    fn every_image_is_listed_with_all_that_it_is_called() {
        let mut store = Store::new();
        let by_digest = format!("app@{}", Digest::of(b"manifest"));
        let named = store.image(&[&by_digest, "app:1.4", "app:1"], &["a"]);
        let left = store.image(&[], &["b"]);
        store.write("imagedb/content/sha256/.tmp-1", b"{}");
        let names = vec!["app:1".to_owned(), "app:1.4".to_owned(), by_digest];
        let mut expected = [
            Listed { id: named, names },
            Listed {
                id: left,
                names: Vec::new(),
            },
        ];
        expected.sort_by_key(|image| image.id);
        assert_eq!(list(store.root.path()).unwrap(), expected);
        assert_eq!(list(Path::new("/nonexistent")).unwrap(), []);
    }

    #[test]
    fn a_name_goes_before_the_start_of_an_id() {
        let mut store = Store::new();
        let id = store.image(&[], &["a"]);
        let prefix = id.hex()[..8].to_owned();
        let named = store.image(&[&format!("{prefix}:latest")], &["b"]);
        assert_eq!(store.find(&prefix).unwrap()[0].config.digest, named);
    }

    #[test]
    fn a_start_that_two_ids_share_is_refused() {
        let mut store = Store::new();
        store.write(&format!("imagedb/content/sha256/abcd{:060}", 1), b"{}");
        store.write(&format!("imagedb/content/sha256/abcd{:060}", 2), b"{}");
        store.image(&[], &["a"]);
        let refused = store.find("abcd");
        assert!(
            matches!(refused, Err(DockerError::Ambiguous(_))),
            "{refused:?}"
        );
    }

    #[test]
    fn a_config_that_was_exchanged_is_refused() {
        let mut store = Store::new();
        let id = store.image(&["app:latest"], &["a"]);
        store.write(&format!("imagedb/content/sha256/{}", id.hex()), b"{}");
        let Err(DockerError::Config(SubjectsError::Mismatch { expected, found })) =
            store.find("app")
        else {
            panic!("an exchanged config was taken");
        };
        assert_eq!((expected, found), (id, Digest::of(b"{}")));
    }

    #[test]
    fn a_root_without_images_has_none() {
        let empty = find(Path::new("/nonexistent"), &"app".parse().unwrap());
        assert_eq!(empty.unwrap(), []);
    }
}
