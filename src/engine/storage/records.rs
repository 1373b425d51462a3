//! The records of containers/storage: `containers.json`, `layers.json`, and where an image's config is.
//!
//! Owns their names and the parts of them that are read. Each file is replaced
//! as a whole, so it is read without its lock, which a writer may hold.

use std::cell::RefCell;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::engine::trouble;
use crate::image::digest::Digest;
use crate::sys::file::read_capped;
use crate::verdict::{ReasonCode, Undecided};

/// Room for tens of thousands of containers or layers, at some 600 bytes each.
const MAX_RECORDS: u64 = 64 << 20;

/// Containers that end with the machine or with themselves are in a file of their own, since Podman 4.4.
const CONTAINERS: [&str; 2] = ["containers.json", "volatile-containers.json"];
const LAYERS: [&str; 2] = ["layers.json", "volatile-layers.json"];

/// The parts of a container's record that are read.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Container {
    /// Its id.
    pub id: String,
    /// The image's id, which is the digest of its config; empty without an image.
    #[serde(default)]
    pub image: String,
    /// The container's own layer.
    pub layer: String,
    #[serde(default)]
    names: Vec<String>,
    /// JSON of the engine's own.
    #[serde(default)]
    metadata: String,
}

/// What Podman writes down in a container's metadata, as far as it is read.
#[derive(Debug, Deserialize)]
struct Metadata {
    #[serde(rename = "image-name")]
    image_name: Option<String>,
}

impl Container {
    /// The name that people know the container by.
    #[must_use]
    pub fn name(&self) -> Option<String> {
        self.names.first().cloned()
    }

    /// The image's name when the container was made.
    #[must_use]
    pub fn image_name(&self) -> Option<String> {
        let metadata: Metadata = serde_json::from_str(&self.metadata).ok()?;
        metadata.image_name
    }
}

/// Finds the record of container `id` in a graph root.
///
/// # Errors
/// `no-identity` when there is none, `unreadable`.
pub(super) fn container(root: &Path, id: &str) -> Result<Container, Undecided> {
    let directory = root.join("overlay-containers");
    let mut found = None;
    for name in CONTAINERS {
        let path = directory.join(name);
        let records = read_containers(&path)?;
        for record in records.into_iter().filter(|record| record.id == id) {
            if found.replace(record).is_some() {
                return Err(malformed(&path));
            }
        }
    }
    found.ok_or_else(|| {
        let detail = format!(
            "Podman has no record of container '{id}' in '{}'",
            directory.display()
        );
        let hint = "see which engine started it, and create it again";
        Undecided::new(ReasonCode::NoIdentity, detail, hint)
    })
}

/// The records of all containers of a graph root.
///
/// # Errors
/// `unreadable`.
pub(in crate::engine) fn containers(root: &Path) -> Result<Vec<Container>, Undecided> {
    let directory = root.join("overlay-containers");
    let mut all = Vec::new();
    for name in CONTAINERS {
        all.append(&mut read_containers(&directory.join(name))?);
    }
    Ok(all)
}

fn read_containers(path: &Path) -> Result<Vec<Container>, Undecided> {
    read(path, "Podman's record")
}

/// A layer's record as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct LayerRecord {
    /// Its id, and its directory's name.
    pub id: String,
    /// The layer below it.
    #[serde(default)]
    pub parent: Option<String>,
    /// Of what was unpacked; absent for a container's own layer.
    #[serde(default, rename = "diff-digest")]
    pub diff: Option<Digest>,
    /// How long that was; -1 or absent where nobody counted.
    #[serde(default, rename = "diff-size")]
    pub size: i64,
    /// Whose users its files belong to, where they were unpacked for a user namespace.
    #[serde(default, rename = "uidmap")]
    pub uids: Vec<IdRange>,
    /// The same of groups.
    #[serde(default, rename = "gidmap")]
    pub gids: Vec<IdRange>,
}

/// Consecutive ids of a user namespace, and of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct IdRange {
    /// The first one inside.
    #[serde(rename = "container_id")]
    pub inside: u32,
    /// The first one on the host.
    #[serde(rename = "host_id")]
    pub outside: u32,
    /// How many there are.
    pub size: u32,
}

/// An image's record, as far as it says which layer is its topmost.
#[derive(Debug, Deserialize)]
struct ImageRecord {
    id: String,
    #[serde(default)]
    layer: String,
}

/// A layer, and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::engine) struct Layer {
    /// Its directory below `overlay`.
    pub(in crate::engine) directory: PathBuf,
    /// What is kept of its archive.
    pub(in crate::engine) tar_split: PathBuf,
    pub(in crate::engine) record: LayerRecord,
}

/// The layers of several stores; the later ones are read only when they are asked.
#[derive(Debug)]
pub(in crate::engine) struct Layers {
    stores: Vec<PathBuf>,
    read: RefCell<Vec<Vec<LayerRecord>>>,
}

impl Layers {
    pub(in crate::engine) const fn new(stores: Vec<PathBuf>) -> Self {
        Self {
            stores,
            read: RefCell::new(Vec::new()),
        }
    }

    /// The stores, in the order in which they are asked.
    pub(super) fn stores(&self) -> &[PathBuf] {
        &self.stores
    }

    /// Finds a layer in the first store that has it.
    ///
    /// # Errors
    /// `unreadable`.
    pub(in crate::engine) fn find(&self, id: &str) -> Result<Option<Layer>, Undecided> {
        for (place, store) in self.stores.iter().enumerate() {
            let mut read = self.read.borrow_mut();
            if place == read.len() {
                read.push(layers(store)?);
            }
            let records = read.get(place).map_or(&[][..], Vec::as_slice);
            let at = records.binary_search_by(|record| record.id.as_str().cmp(id));
            if let Some(record) = at.ok().and_then(|at| records.get(at)) {
                let mut record = record.clone();
                record.parent = record.parent.filter(|parent| !parent.is_empty());
                return Ok(Some(Layer {
                    directory: store.join("overlay").join(id),
                    tar_split: directory(store).join(format!("{id}.tar-split.gz")),
                    record,
                }));
            }
        }
        Ok(None)
    }
}

/// The records of all layers of one store, in the order of their ids.
fn layers(store: &Path) -> Result<Vec<LayerRecord>, Undecided> {
    let directory = directory(store);
    let mut all = Vec::new();
    for name in LAYERS {
        let path = directory.join(name);
        let records: Vec<LayerRecord> = read(&path, "the record of layers")?;
        // An id becomes part of a path.
        if !records.iter().all(|record| is_id(&record.id)) {
            return Err(malformed(&path));
        }
        all.extend(records);
    }
    all.sort_by(|one, other| one.id.cmp(&other.id));
    let twice = |pair: &[LayerRecord]| matches!(pair, [one, other] if one.id == other.id);
    if all.windows(2).any(twice) {
        return Err(malformed(&directory));
    }
    Ok(all)
}

/// Where a store keeps what it knows of its layers.
fn directory(store: &Path) -> PathBuf {
    store.join("overlay-layers")
}

/// The topmost layer of an image, by the first of the stores that has the image.
///
/// # Errors
/// `unreadable`.
pub(in crate::engine) fn top_layer(
    stores: &[PathBuf],
    image: &Digest,
) -> Result<Option<String>, Undecided> {
    for store in stores {
        let path = store.join("overlay-images/images.json");
        let records: Vec<ImageRecord> = read(&path, "the record of images")?;
        let found = records
            .into_iter()
            .find(|record| record.id == image.hex() && !record.layer.is_empty());
        if let Some(record) = found {
            return Ok(Some(record.layer));
        }
    }
    Ok(None)
}

fn is_id(text: &str) -> bool {
    Digest::from_hex(text).is_ok()
}

/// Where something of an image is in a graph root: a name that is no plain word is written in Base64.
#[must_use]
pub fn big_data_path(root: &Path, image: &Digest, name: &str) -> PathBuf {
    root.join("overlay-images")
        .join(image.hex())
        .join(format!("={}", STANDARD.encode(name)))
}

/// A file that is not there has no records.
fn read<T: for<'de> Deserialize<'de>>(path: &Path, what: &str) -> Result<Vec<T>, Undecided> {
    let bytes = match read_capped(path, MAX_RECORDS) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        bytes => bytes.map_err(|error| trouble::unreadable(what, path, &error))?,
    };
    parse(&bytes).ok_or_else(|| malformed(path))
}

/// Parses a file of records.
#[must_use]
pub fn parse<T: for<'de> Deserialize<'de>>(bytes: &[u8]) -> Option<Vec<T>> {
    // Go writes an empty list as `null`.
    serde_json::from_slice::<Option<Vec<T>>>(bytes)
        .ok()
        .map(Option::unwrap_or_default)
}

fn malformed(path: &Path) -> Undecided {
    let detail = format!("'{}' is not what containers/storage writes", path.display());
    let hint = "see 'podman system check', or remove the container and create it again";
    Undecided::new(ReasonCode::Unreadable, detail, hint)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Container, Digest, LayerRecord, Layers, big_data_path, container, parse};
    use crate::verdict::ReasonCode;

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    #[test]
    fn reads_what_podman_writes() {
        let text = format!(
            r#"[{{"id":"{A}","names":["web"],"image":"{B}","layer":"{B}",
            "metadata":"{{\"image-name\":\"localhost/app:1\",\"name\":\"web\"}}","created":"x",
            "flags":{{"Volatile":true}}}}]"#
        );
        let records: Vec<Container> = parse(text.as_bytes()).expect("well formed");
        let [record] = records.as_slice() else {
            panic!("{records:?}")
        };
        assert_eq!(record.name().as_deref(), Some("web"));
        assert_eq!(record.image_name().as_deref(), Some("localhost/app:1"));
        let text = format!(
            r#"[{{"id":"{A}","diff-digest":"sha256:{B}","uidset":[0]}},{{"id":"{B}","parent":"{A}"}}]"#
        );
        let layers: Vec<LayerRecord> = parse(text.as_bytes()).expect("well formed");
        assert_eq!(
            layers.iter().map(|layer| layer.diff).collect::<Vec<_>>(),
            [Digest::from_hex(B).ok(), None]
        );
        for broken in ["", "{}", "[{}]", r#"[{"id":1,"layer":"x"}]"#, "[[[["] {
            assert_eq!(parse::<Container>(broken.as_bytes()), None, "{broken}");
        }
        assert_eq!(parse::<Container>(b"null"), Some(Vec::new()));
    }

    #[test]
    fn a_configs_file_is_named_as_go_names_it() {
        let digest =
            Digest::from_hex("475739694b038ef9d5a70dd6c57cb1099ca95100574bd3c5e67a8b80001646f3")
                .expect("a digest");
        let path = "/s/overlay-images/475739694b038ef9d5a70dd6c57cb1099ca95100574bd3c5e67a8b80001646f3/\
                    =c2hhMjU2OjQ3NTczOTY5NGIwMzhlZjlkNWE3MGRkNmM1N2NiMTA5OWNhOTUxMDA1NzRiZDNjNWU2N2E4YjgwMDAxNjQ2ZjM=";
        assert_eq!(
            big_data_path(Path::new("/s"), &digest, &digest.to_string()),
            Path::new(path)
        );
    }

    #[test]
    fn a_record_counts_only_if_it_is_the_only_one() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let directory = folder.path().join("overlay-containers");
        std::fs::create_dir(&directory).expect("made");
        let record = format!(r#"[{{"id":"abc","image":"{A}","layer":"{B}"}}]"#);
        let code = || {
            let found = container(folder.path(), "abc");
            found
                .map(|record| record.layer)
                .map_err(|undecided| undecided.0.code)
        };
        assert_eq!(code(), Err(ReasonCode::NoIdentity));
        std::fs::write(directory.join("volatile-containers.json"), &record).expect("written");
        assert_eq!(code(), Ok(B.to_owned()));
        std::fs::write(directory.join("containers.json"), &record).expect("written");
        assert_eq!(code(), Err(ReasonCode::Unreadable));
        std::fs::write(directory.join("containers.json"), "[").expect("written");
        assert_eq!(code(), Err(ReasonCode::Unreadable));
    }

    #[test]
    fn a_layer_is_that_of_the_first_store_that_has_it() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let stores = ["one", "two"].map(|name| folder.path().join(name)).to_vec();
        for (store, records) in [
            (&stores[0], format!(r#"[{{"id":"{A}","parent":""}}]"#)),
            (
                &stores[1],
                format!(r#"[{{"id":"{B}","parent":"{A}"}},{{"id":"{A}"}}]"#),
            ),
        ] {
            std::fs::create_dir_all(store.join("overlay-layers")).expect("made");
            std::fs::write(store.join("overlay-layers/layers.json"), records).expect("written");
        }
        let layers = Layers::new(stores.clone());
        let found = |id: &str| layers.find(id).expect("readable");
        assert_eq!(
            found(A).map(|layer| (layer.directory, layer.record.parent)),
            Some((stores[0].join("overlay").join(A), None))
        );
        assert_eq!(
            found(B).map(|layer| (layer.directory, layer.record.parent)),
            Some((stores[1].join("overlay").join(B), Some(A.to_owned())))
        );
        assert_eq!(found("c"), None);
        let hostile = r#"[{"id":"../../etc"}]"#;
        std::fs::write(stores[0].join("overlay-layers/layers.json"), hostile).expect("written");
        let code = Layers::new(stores).find(A).map_err(|u| u.0.code);
        assert_eq!(code, Err(ReasonCode::Unreadable));
    }
}
