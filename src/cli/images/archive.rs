//! What `docker save` writes, read as a stream.
//!
//! Owns both layouts: Docker's own (`manifest.json` naming a config and layers) and
//! OCI's (`index.json`), which Docker 25 and later write side by side. Never
//! unpacks: layers flow by, and only documents are kept, few and small.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::convert::Infallible;
use std::io::{self, BufRead as _, BufReader, Read};

use anyhow::{Context as _, bail, ensure};
use oci_spec::image::ImageIndex;
use serde::Deserialize;

use super::metered::{Meter, Metered};
use crate::image::digest::Digest;
use crate::image::reference::Name;
use crate::image::subjects::{self, Blobs, Config, Found, MAX_CONFIG, Subject, descriptor_digest};

/// Documents are no longer than a config may be.
const MAX_DOCUMENT: u64 = MAX_CONFIG;
/// All documents of one archive; an image has a handful of some kilobytes.
const MAX_DOCUMENTS: u64 = 64 << 20;
/// Docker's oldest layout has three entries and a directory for each layer.
const MAX_ENTRIES: usize = 100_000;
/// A header with its long names and attributes.
const MAX_HEADER: u64 = 1 << 20;

/// The documents of an archive.
#[derive(Debug, Default)]
pub struct Archive {
    documents: BTreeMap<String, Vec<u8>>,
    by_digest: HashMap<Digest, String>,
    sizes: HashMap<String, u64>,
    kept: u64,
}

/// The one image of an archive.
#[derive(Debug)]
pub struct ArchivedImage {
    /// Its digests.
    pub subjects: Vec<Subject>,
    /// Its tags as Docker shows them; those that are no names left out.
    pub tags: Vec<String>,
    /// Bytes of its layers as the archive has them.
    pub size: u64,
}

/// One image in `manifest.json`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

impl Archive {
    /// Reads an archive to its end.
    ///
    /// # Errors
    /// What is wrong with it, or why it cannot be read.
    pub fn read(
        source: impl Read,
        expected: Option<u64>,
        progress: &dyn Fn(u64, Option<u64>),
    ) -> anyhow::Result<Self> {
        let meter = Meter::new(expected, progress);
        let mut source = BufReader::with_capacity(1 << 16, source);
        let start = source.fill_buf().context("cannot read the archive")?;
        ensure!(
            !start.starts_with(&[0x1f, 0x8b]),
            "the archive is compressed; decompress it first"
        );
        let mut tar = tar::Archive::new(Metered::new(source, &meter));
        let mut entries = tar.entries().context("cannot read the archive")?;
        let mut archive = Self::default();
        loop {
            // The tar reader takes a header with all that belongs to it into memory.
            meter.allow(MAX_HEADER);
            let Some(entry) = entries.next() else {
                return Ok(archive);
            };
            meter.allow(u64::MAX);
            let mut entry = entry.context("cannot read the archive")?;
            ensure!(
                archive.sizes.len() < MAX_ENTRIES,
                "the archive has more than {MAX_ENTRIES} entries"
            );
            let size = entry.size();
            let read = archive
                .take(&mut entry)
                .context("cannot read the archive")?;
            // To the end here, so that the bound above counts nothing but headers.
            let rest = io::copy(&mut entry, &mut io::sink()).context("cannot read the archive")?;
            ensure!(read + rest == size, "the archive is cut short");
        }
    }

    /// Keeps an entry that may be a document; says how much of it was read.
    fn take(&mut self, entry: &mut tar::Entry<'_, impl Read>) -> anyhow::Result<u64> {
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let path = path.strip_prefix("./").unwrap_or(&path).to_owned();
        let size = entry.size();
        self.sizes.insert(path.clone(), size);
        let is_layer = path.ends_with(".tar");
        if !entry.header().entry_type().is_file() || is_layer || size > MAX_DOCUMENT {
            return Ok(0);
        }
        let mut bytes = Vec::new();
        entry.take(1).read_to_end(&mut bytes)?;
        if !matches!(bytes.as_slice(), [b'{' | b'[']) {
            return Ok(bytes.len() as u64);
        }
        entry.read_to_end(&mut bytes)?;
        let read = bytes.len() as u64;
        self.kept += read;
        ensure!(
            self.kept <= MAX_DOCUMENTS,
            "it has more than {MAX_DOCUMENTS} bytes of documents"
        );
        self.by_digest.insert(Digest::of(&bytes), path.clone());
        let before = self.documents.insert(path.clone(), bytes);
        // Readers would differ in which of the two they take.
        ensure!(
            before.is_none_or(|before| self.documents.get(&path) == Some(&before)),
            "it has two different files {path:?}"
        );
        Ok(read)
    }

    /// The one image in it.
    ///
    /// # Errors
    /// When there is none, or not exactly one.
    pub fn image(&self) -> anyhow::Result<ArchivedImage> {
        let item = self.item()?;
        let found = self.indexed()?;
        let Some(item) = item else {
            let found = found.context("it has neither manifest.json nor index.json")?;
            return Ok(ArchivedImage {
                subjects: found.subjects,
                tags: Vec::new(),
                size: found.size,
            });
        };
        let config = self.config(&item)?;
        let sizes = item.layers.iter().filter_map(|layer| self.sizes.get(layer));
        let size = sizes.fold(0_u64, |total, size| total.saturating_add(*size));
        let tags = item.repo_tags.unwrap_or_default();
        let tags = tags.iter().filter_map(|tag| tag.parse().ok());
        let subject = config.subject();
        let subjects = match found {
            // Of many platforms, manifest.json names only the one of the machine that saved it.
            Some(found) if found.subjects.iter().any(|s| s.digest == subject.digest) => {
                found.subjects
            }
            Some(_) => bail!(
                "manifest.json and index.json name different images: config {} is not in index.json",
                config.digest
            ),
            None => vec![subject],
        };
        Ok(ArchivedImage {
            subjects,
            tags: tags.map(|name: Name| name.familiar()).collect(),
            size,
        })
    }

    fn item(&self) -> anyhow::Result<Option<Item>> {
        let Some(bytes) = self.documents.get("manifest.json") else {
            return Ok(None);
        };
        let mut items: Vec<Item> =
            serde_json::from_slice(bytes).context("cannot parse manifest.json")?;
        if let [_, _, ..] = items.as_slice() {
            let names: Vec<_> = items.iter().flat_map(|item| &item.repo_tags).collect();
            bail!("it has more than one image, save one at a time: {names:?}");
        }
        ensure!(!items.is_empty(), "it has no image");
        Ok(items.pop())
    }

    fn config(&self, item: &Item) -> anyhow::Result<Config> {
        let bytes = self.documents.get(&item.config);
        let bytes = bytes.with_context(|| format!("it lacks the config {:?}", item.config))?;
        // Docker names a config by its digest; other tools need not.
        let last = item.config.rsplit('/').next().unwrap_or_default();
        let stem = last.strip_suffix(".json").unwrap_or(last);
        if let Ok(named) = Digest::from_hex(stem) {
            subjects::verify::<Infallible>(&named, bytes)?;
        }
        let config = subjects::parse_config::<Infallible>(bytes)?;
        ensure!(
            config.diff_ids.len() == item.layers.len(),
            "manifest.json has another number of layers than its config: expected {}, found {}",
            config.diff_ids.len(),
            item.layers.len()
        );
        Ok(config)
    }

    /// The image in `index.json`, if there is such a file.
    fn indexed(&self) -> anyhow::Result<Option<Found>> {
        let Some(bytes) = self.documents.get("index.json") else {
            return Ok(None);
        };
        let index: ImageIndex = serde_json::from_slice(bytes).context("cannot parse index.json")?;
        // One entry for each tag of an image.
        let digests = index
            .manifests()
            .iter()
            .map(descriptor_digest::<Infallible>)
            .collect::<Result<BTreeSet<_>, _>>()?;
        match digests.first() {
            Some(digest) if digests.len() == 1 => Ok(Some(subjects::walk(self, digest)?)),
            Some(_) => bail!("index.json has more than one image, save one at a time"),
            None => bail!("index.json has no image"),
        }
    }
}

impl Blobs for Archive {
    type Error = Infallible;

    fn blob(&self, digest: &Digest, cap: u64) -> Result<Option<Vec<u8>>, Infallible> {
        let path = self.by_digest.get(digest);
        let bytes = path.and_then(|path| self.documents.get(path));
        // One that is too long is left out, as those longer than any document are.
        Ok(bytes.filter(|bytes| bytes.len() as u64 <= cap).cloned())
    }
}
